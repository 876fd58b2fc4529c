//! Columns under construction.

use query::datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int32Builder, Int64Builder, StringBuilder, StringDictionaryBuilder,
    StringViewBuilder,
};
use query::datafusion::arrow::compute::cast;
use query::datafusion::arrow::datatypes::{DataType, Int32Type};
use std::sync::Arc;

/// An Arrow column that is filled with checked values one by one.
pub(crate) enum Builder {
    Int32(Int32Builder),
    Int64(Int64Builder),
    Decimal(Decimal128Builder),
    Date(Date32Builder),
    /// Units since 1970, and the type.
    Timestamp(Int64Builder, DataType),
    Boolean(BooleanBuilder),
    Text(StringBuilder),
    View(StringViewBuilder),
    Dictionary(StringDictionaryBuilder<Int32Type>),
}

impl Builder {
    /// A builder for the type; `None` for one the catalogue never has.
    pub fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int32 => Builder::Int32(Int32Builder::new()),
            DataType::Int64 => Builder::Int64(Int64Builder::new()),
            DataType::Decimal128(..) => Builder::Decimal(Decimal128Builder::new().with_data_type(data_type.clone())),
            DataType::Date32 => Builder::Date(Date32Builder::new()),
            DataType::Timestamp(_, None) => Builder::Timestamp(Int64Builder::new(), data_type.clone()),
            DataType::Boolean => Builder::Boolean(BooleanBuilder::new()),
            DataType::Utf8 => Builder::Text(StringBuilder::new()),
            DataType::Utf8View => Builder::View(StringViewBuilder::new().with_deduplicate_strings()),
            DataType::Dictionary(key, value) if (&**key, &**value) == (&DataType::Int32, &DataType::Utf8) => {
                Builder::Dictionary(StringDictionaryBuilder::new())
            }
            _ => return None,
        })
    }

    /// Appends a checked number; a column of text takes none.
    #[inline]
    pub fn raw(&mut self, raw: i128) {
        match self {
            Builder::Int32(b) => b.append_value(raw as i32),
            Builder::Int64(b) => b.append_value(raw as i64),
            Builder::Decimal(b) => b.append_value(raw),
            Builder::Date(b) => b.append_value(raw as i32),
            Builder::Timestamp(b, _) => b.append_value(raw as i64),
            Builder::Boolean(b) => b.append_value(raw != 0),
            Builder::Text(_) | Builder::View(_) | Builder::Dictionary(_) => debug_assert!(false, "a number in a column of text"),
        }
    }

    /// Appends a checked text; a column of numbers takes none.
    #[inline]
    pub fn text(&mut self, text: &str) {
        match self {
            Builder::Text(b) => b.append_value(text),
            Builder::View(b) => b.append_value(text),
            Builder::Dictionary(b) => b.append_value(text),
            _ => debug_assert!(false, "a text in a column of numbers"),
        }
    }

    /// Appends NULL.
    #[inline]
    pub fn null(&mut self) {
        match self {
            Builder::Int32(b) => b.append_null(),
            Builder::Int64(b) => b.append_null(),
            Builder::Decimal(b) => b.append_null(),
            Builder::Date(b) => b.append_null(),
            Builder::Timestamp(b, _) => b.append_null(),
            Builder::Boolean(b) => b.append_null(),
            Builder::Text(b) => b.append_null(),
            Builder::View(b) => b.append_null(),
            Builder::Dictionary(b) => b.append_null(),
        }
    }

    /// The column so far; the builder starts anew. A dictionary keeps its values, so that all batches share their codes.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Int32(b) => Arc::new(b.finish()),
            Builder::Int64(b) => Arc::new(b.finish()),
            Builder::Decimal(b) => Arc::new(b.finish()),
            Builder::Date(b) => Arc::new(b.finish()),
            Builder::Timestamp(b, data_type) => cast(&b.finish(), data_type).expect("any 64 bits are a timestamp"),
            Builder::Boolean(b) => Arc::new(b.finish()),
            Builder::Text(b) => Arc::new(b.finish()),
            Builder::View(b) => Arc::new(b.finish()),
            Builder::Dictionary(b) => Arc::new(b.finish_preserve_values()),
        }
    }
}
