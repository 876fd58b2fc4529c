//! The catalogue: which tables the city has, who owns them, and what is publicly known of their columns.
//!
//! It is one TOML file, the same at every node, and says nothing of where data are. What it declares is what the compiler may rely on:
//! a private column's range decides how wide its shares are, a declared key that a join meets at most one row, a declared domain
//! which rows the joint stage works on. Owners check every declaration when they load their data, so a false one ends in a precise
//! error at home and never in a wrong answer.

mod difference;
mod parse;

use std::{fmt, path::Path, sync::Arc};

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use ledger::contract::Sizes;
use mpc_core::file;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::network::Network;

/// The schema of tables every node holds.
pub const PUBLIC_SCHEMA: &str = "public";

/// All tables and domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Catalog {
    version: u32,
    network: Network,
    tables: Vec<Table>,
    domains: Vec<Domain>,
}

/// A table of one owner, or a public one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// `schema.table`; the schema is the owner's name in the roster, or `public`.
    pub name: String,
    /// Exact number of rows of a public table; upper bound of a private one.
    pub max_rows: u64,
    /// SHA-256 of the uncompressed CSV of a public table, hex.
    pub sha256: Option<String>,
    /// Columns that are together unique and never NULL; empty if none are declared.
    pub key: Vec<String>,
    /// Whether an answer may show values of single rows (`release = "rows"`); else only aggregates and public values come out.
    pub rows_released: bool,
    /// What the other parties may learn of how many of its rows a query works on.
    pub sizes: Sizes,
    /// The columns, in the order of the file. The data may have others; they are not visible.
    pub columns: Vec<Column>,
}

/// A column and what is publicly known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Lower-case name.
    pub name: String,
    /// Its SQL type.
    pub column_type: ColumnType,
    /// Inclusive range, scaled by the type (DECIMAL: times 10^scale, DATE: days since 1970-01-01, TIMESTAMP: units since then).
    pub range: Option<Range>,
    /// The domain its non-NULL values are drawn from.
    pub domain: Option<String>,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// All values a STRING column can have, if they are public.
    pub dictionary: Option<Vec<String>>,
    /// Bytes of UTF-8 a STRING has at most: the width in which it is shared.
    pub max_bytes: Option<u32>,
    /// How many different values it has at most, NULL aside.
    pub distinct: Option<u64>,
    /// In how many rows a value is at most, NULL aside.
    pub repeats: Option<u64>,
}

/// An inclusive range of scaled integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Smallest value.
    pub min: i128,
    /// Largest value.
    pub max: i128,
}

impl Serialize for Range {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}..{}", self.min, self.max))
    }
}

/// The SQL types of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// 32-bit integer.
    Int,
    /// 64-bit integer.
    BigInt,
    /// Exact decimal of so many digits, of which so many behind the point.
    Decimal(u8, i8),
    /// Calendar day.
    Date,
    /// A moment of no time zone, in whole units.
    Timestamp(TimeUnit),
    /// TRUE or FALSE.
    Boolean,
    /// UTF-8 text.
    String,
}

impl Serialize for ColumnType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Int => f.write_str("INT"),
            ColumnType::BigInt => f.write_str("BIGINT"),
            ColumnType::Decimal(p, s) => write!(f, "DECIMAL({p},{s})"),
            ColumnType::Date => f.write_str("DATE"),
            ColumnType::Timestamp(unit) => write!(f, "TIMESTAMP({})", digits(*unit)),
            ColumnType::Boolean => f.write_str("BOOLEAN"),
            ColumnType::String => f.write_str("STRING"),
        }
    }
}

impl ColumnType {
    /// As Arrow carries it.
    pub fn arrow(self) -> DataType {
        match self {
            ColumnType::Int => DataType::Int32,
            ColumnType::BigInt => DataType::Int64,
            ColumnType::Decimal(p, s) => DataType::Decimal128(p, s),
            ColumnType::Date => DataType::Date32,
            ColumnType::Timestamp(unit) => DataType::Timestamp(unit, None),
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::String => DataType::Utf8,
        }
    }

    /// Digits behind the point.
    pub fn scale(self) -> i8 {
        match self {
            ColumnType::Decimal(_, s) => s,
            _ => 0,
        }
    }

    /// The range of the type itself, scaled; `None` for BOOLEAN and STRING.
    pub fn limits(self) -> Option<Range> {
        let symmetric = |max: i128| Range { min: -max, max };
        match self {
            ColumnType::Int | ColumnType::Date => Some(Range { min: i32::MIN.into(), max: i32::MAX.into() }),
            ColumnType::BigInt | ColumnType::Timestamp(_) => Some(Range { min: i64::MIN.into(), max: i64::MAX.into() }),
            ColumnType::Decimal(p, _) => Some(symmetric(10i128.pow(p.into()) - 1)),
            ColumnType::Boolean | ColumnType::String => None,
        }
    }
}

/// Digits of a second that a unit tells apart: SQL's TIMESTAMP(digits).
pub fn digits(unit: TimeUnit) -> u32 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// A public set of values: those of a column of a public table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// The public table.
    pub table: String,
    /// The column whose distinct values it is.
    pub column: String,
    /// How many there are: declared, or the table's rows (exact if the column is the table's key, else an upper bound).
    pub values: u64,
}

/// What is wrong with a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .at.as_ref().map(|(l, c)| format!("line {l}, column {c}: ")).unwrap_or_default())]
pub struct CatalogError {
    /// What, where, and what is expected.
    pub message: String,
    /// Line and column, where the TOML itself is at fault.
    pub at: Option<(usize, usize)>,
}

impl CatalogError {
    fn new(message: impl Into<String>) -> Self {
        CatalogError { message: message.into(), at: None }
    }
}

impl Catalog {
    /// Reads and checks a catalogue.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        parse::catalog(text)
    }

    /// Reads and checks a catalogue file.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        let text = file::read(path, file::Kind::Catalogue).map_err(|what| CatalogError::new(format!("{}: {what}", path.display())))?;
        Self::parse(&text).map_err(|e| CatalogError { message: format!("{}: {}", path.display(), e.message), at: e.at })
    }

    /// What is pinned in every query: SHA-256 over what the catalogue declares (layout and comments of the file do not count).
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"tacit/catalog/v1\n");
        hash.update(serde_json::to_vec(self).expect("a catalogue has string keys only"));
        hash.finalize().into()
    }

    /// What lies between the parties, as far as ways are chosen by it.
    pub fn network(&self) -> Network {
        self.network
    }

    /// All tables, sorted by name.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// All domains, sorted by name.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// The table of a full name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.name == name)
    }

    /// The domain of a name.
    pub fn domain(&self, name: &str) -> Option<&Domain> {
        self.domains.iter().find(|d| d.name == name)
    }

    /// The tables one party must serve.
    pub fn tables_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Table> + 'a {
        self.tables.iter().filter(move |t| t.owner() == Some(owner))
    }

    /// The tables every node holds.
    pub fn public_tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|t| t.owner().is_none())
    }

    /// The names of all owners, sorted.
    pub fn owners(&self) -> Vec<&str> {
        let mut owners: Vec<_> = self.tables.iter().filter_map(Table::owner).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

impl Table {
    /// Name of the owner; `None` for a public table.
    pub fn owner(&self) -> Option<&str> {
        Some(self.schema()).filter(|s| *s != PUBLIC_SCHEMA)
    }

    /// The part of the name before the point.
    pub fn schema(&self) -> &str {
        self.name.split_once('.').map_or("", |(schema, _)| schema)
    }

    /// The part of the name behind the point.
    pub fn short_name(&self) -> &str {
        self.name.split_once('.').map_or(&self.name, |(_, name)| name)
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The declared columns as an Arrow schema.
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|c| Field::new(&c.name, c.column_type.arrow(), c.nullable));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests;
