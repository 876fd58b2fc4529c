//! What the catalogue promises of a table, in the form in which its data are checked against it.

use query::catalog::digits;
use query::datafusion::arrow::datatypes::{DataType, Schema, TimeUnit};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// A table as declared.
pub(crate) struct DeclaredTable {
    /// `schema.table`.
    pub name: String,
    /// Its columns in the order of the catalogue.
    pub columns: Vec<DeclaredColumn>,
    /// Positions of the columns that are unique together.
    pub key: Vec<usize>,
    /// How many rows it may have.
    pub rows: Rows,
    /// SHA-256 of the uncompressed CSV of a public table.
    pub sha256: Option<[u8; 32]>,
    /// The Arrow schema under which queries know it.
    pub schema: Arc<Schema>,
}

/// How many rows a table may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// A private table: no more than this.
    AtMost(u64),
    /// A public table: just so many.
    Exactly(u64),
}

impl Rows {
    pub fn most(self) -> u64 {
        match self {
            Rows::AtMost(n) | Rows::Exactly(n) => n,
        }
    }
}

/// A column as declared.
pub(crate) struct DeclaredColumn {
    pub name: String,
    pub kind: Kind,
    /// Inclusive; of the raw integer (unscaled decimal, days or units since 1970).
    pub range: Option<(i128, i128)>,
    pub nullable: bool,
    /// Each set its values must lie in.
    pub members: Vec<Members>,
    /// The longest text in a cell, in bytes.
    pub max_bytes: usize,
    /// Most different values, NULL aside.
    pub distinct: Option<u64>,
    /// Most rows that have the same value, NULL aside.
    pub repeats: Option<u64>,
    /// How queries know it.
    pub data_type: DataType,
}

/// The types of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    BigInt,
    Decimal { precision: u8, scale: i8 },
    Date,
    Timestamp(TimeUnit),
    Boolean,
    Text,
}

/// A public set of values.
#[derive(Clone)]
pub(crate) struct Members {
    /// The domain's name; `None` for the column's own dictionary.
    pub domain: Option<String>,
    pub set: Arc<Set>,
}

/// The values themselves, of the column's own type.
pub(crate) enum Set {
    Raw(HashSet<i128>),
    Text(HashSet<Box<str>>),
}

impl Set {
    pub fn has_raw(&self, raw: i128) -> bool {
        matches!(self, Set::Raw(set) if set.contains(&raw))
    }

    pub fn has_text(&self, text: &str) -> bool {
        matches!(self, Set::Text(set) if set.contains(text))
    }

    pub fn len(&self) -> usize {
        match self {
            Set::Raw(set) => set.len(),
            Set::Text(set) => set.len(),
        }
    }
}

/// What is wrong with a cell. It never says what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not of the declared type.
    Type,
    /// A decimal or timestamp with more digits behind the point than declared.
    Scale,
    /// Outside the declared range, or that of the type.
    Range,
    /// NULL where that is not allowed.
    Null,
    /// Not in the set with this index.
    Member(usize),
    /// Text that is not UTF-8.
    Encoding,
    /// Text beyond [`DeclaredColumn::MAX_TEXT`].
    Length,
}

impl DeclaredColumn {
    /// The longest text in a cell, in bytes.
    pub const MAX_TEXT: usize = 65_536;

    /// Checks a number against range and sets.
    #[inline]
    pub fn check_raw(&self, raw: i128) -> Result<(), Fault> {
        let (low, high) = self.range.unwrap_or((i128::MIN, i128::MAX));
        let (type_low, type_high) = self.kind.bounds();
        if raw < low || raw > high || raw < type_low || raw > type_high {
            return Err(Fault::Range);
        }
        match self.members.iter().position(|m| !m.set.has_raw(raw)) {
            Some(at) => Err(Fault::Member(at)),
            None => Ok(()),
        }
    }

    /// Checks a text against length and sets.
    #[inline]
    pub fn check_text(&self, text: &str) -> Result<(), Fault> {
        if text.len() > self.max_bytes {
            return Err(Fault::Length);
        }
        // shared texts are padded with zero bytes
        if text.as_bytes().contains(&0) {
            return Err(Fault::Encoding);
        }
        match self.members.iter().position(|m| !m.set.has_text(text)) {
            Some(at) => Err(Fault::Member(at)),
            None => Ok(()),
        }
    }

    /// A fault in words.
    pub fn describe(&self, fault: Fault) -> String {
        match fault {
            Fault::Type => format!("not {} (declared {self})", self.kind.with_article()),
            Fault::Scale if matches!(self.kind, Kind::Timestamp(_)) => format!("finer than the unit of the column ({self})"),
            Fault::Scale => format!("more digits behind the point than declared ({self})"),
            Fault::Range => format!("outside its declared range ({self})"),
            Fault::Null => format!("empty, but the column is declared not nullable ({self})"),
            Fault::Member(at) => match self.members.get(at).and_then(|m| m.domain.as_deref()) {
                Some(domain) => format!("not a value of the domain `{domain}` ({self})"),
                None => format!("not in the dictionary of the column ({self})"),
            },
            Fault::Encoding => "not UTF-8, or with a NUL character; save the file as UTF-8 text".into(),
            Fault::Length => format!("longer than {} bytes", self.max_bytes),
        }
    }
}

impl fmt::Display for DeclaredColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match self.range {
            Some((low, high)) => write!(f, " {}..={}", Raw(self.kind, low), Raw(self.kind, high)),
            None => Ok(()),
        }
    }
}

impl Kind {
    fn bounds(self) -> (i128, i128) {
        match self {
            Kind::Int => (i32::MIN.into(), i32::MAX.into()),
            Kind::BigInt | Kind::Timestamp(_) => (i64::MIN.into(), i64::MAX.into()),
            Kind::Decimal { precision, .. } => {
                let most = 10i128.checked_pow(precision.into()).map_or(i128::MAX, |p| p - 1);
                (-most, most)
            }
            Kind::Date => (i32::MIN.into(), i32::MAX.into()),
            Kind::Boolean => (0, 1),
            Kind::Text => (i128::MIN, i128::MAX),
        }
    }

    fn with_article(self) -> String {
        match self {
            Kind::Int => "an INT".into(),
            other => format!("a {other}"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Int => f.write_str("INT"),
            Kind::BigInt => f.write_str("BIGINT"),
            Kind::Decimal { precision, scale } => write!(f, "DECIMAL({precision},{scale})"),
            Kind::Date => f.write_str("DATE"),
            Kind::Timestamp(unit) => write!(f, "TIMESTAMP({})", digits(*unit)),
            Kind::Boolean => f.write_str("BOOLEAN"),
            Kind::Text => f.write_str("STRING"),
        }
    }
}

/// A declared bound as the catalogue has it.
struct Raw(Kind, i128);

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Decimal { scale, .. } if scale > 0 => {
                let unit = 10u128.pow(scale as u32);
                let (sign, magnitude) = (if self.1 < 0 { "-" } else { "" }, self.1.unsigned_abs());
                write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = scale as usize)
            }
            Kind::Date => match super::cell::civil(self.1) {
                Some((year, month, day)) => write!(f, "{year:04}-{month:02}-{day:02}"),
                None => write!(f, "day {}", self.1),
            },
            Kind::Timestamp(unit) => f.write_str(&super::cell::moment_text(self.1, unit)),
            _ => write!(f, "{}", self.1),
        }
    }
}
