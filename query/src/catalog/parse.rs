//! TOML → [`Catalog`], and every check that needs no data.

use std::collections::BTreeSet;

use datafusion::arrow::{
    array::timezone::Tz,
    array::types::Date32Type,
    compute::kernels::cast_utils::{Parser, parse_decimal, string_to_datetime},
    datatypes::{Decimal128Type, TimeUnit},
};
use ledger::contract::Sizes;
use serde::Deserialize;

use crate::network::Network;

use super::{Catalog, CatalogError, Column, ColumnType, Domain, PUBLIC_SCHEMA, Range, Table, digits};

/// Rows beyond this are taken for a slip of the pen.
const MOST_ROWS: u64 = 1 << 40;
/// A longer text is no key and no name.
const MOST_BYTES: u32 = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    network: FileNetwork,
    #[serde(default)]
    table: Vec<FileTable>,
    #[serde(default)]
    domain: Vec<FileDomain>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileNetwork {
    bandwidth_mbit: Option<i64>,
    round_trip_ms: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    name: String,
    rows: Option<u64>,
    max_rows: Option<u64>,
    sha256: Option<String>,
    #[serde(default)]
    key: Vec<String>,
    release: Option<String>,
    sizes: Option<String>,
    #[serde(default)]
    column: Vec<FileColumn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileColumn {
    name: String,
    #[serde(rename = "type")]
    column_type: String,
    unit: Option<String>,
    min: Option<toml::Value>,
    max: Option<toml::Value>,
    domain: Option<String>,
    nullable: Option<bool>,
    dictionary: Option<Vec<String>>,
    max_bytes: Option<u32>,
    distinct: Option<u64>,
    repeats: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDomain {
    name: String,
    table: String,
    column: String,
    values: Option<u64>,
}

macro_rules! fail {
    ($($message:tt)*) => { return Err(CatalogError::new(format!($($message)*))) };
}

pub(super) fn catalog(text: &str) -> Result<Catalog, CatalogError> {
    let file: File = toml::from_str(text)
        .map_err(|e| CatalogError { message: e.message().to_owned(), at: e.span().map(|span| position(text, span.start)) })?;
    if file.version != 1 {
        fail!("version {} of the catalogue format is not known here; this release reads version 1", file.version);
    }
    let network = Network::new(file.network.bandwidth_mbit, file.network.round_trip_ms).map_err(CatalogError::new)?;
    let mut tables = file.table.into_iter().map(table).collect::<Result<Vec<_>, _>>()?;
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(twice) = tables.windows(2).find(|w| w[0].name == w[1].name) {
        fail!("table {} is declared twice", twice[0].name);
    }
    if tables.is_empty() {
        fail!("the catalogue declares no table: add a [[table]]");
    }
    let mut domains = file.domain.into_iter().map(|d| domain(d, &tables)).collect::<Result<Vec<_>, _>>()?;
    domains.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(twice) = domains.windows(2).find(|w| w[0].name == w[1].name) {
        fail!("domain {} is declared twice", twice[0].name);
    }
    for table in &tables {
        for column in &table.columns {
            draws(table, column, &domains, &tables)?;
        }
    }
    Ok(Catalog { version: file.version, network, tables, domains })
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or("").chars().count() + 1)
}

fn table(file: FileTable) -> Result<Table, CatalogError> {
    let name = file.name;
    let Some((schema, short)) = name.split_once('.') else {
        fail!("table {name}: write schema.table, where the schema is the owner's name in the roster, or public");
    };
    if !identifier(schema) || !identifier(short) {
        fail!("table {name}: names are lower-case letters, digits and _, and begin with a letter");
    }
    let public = schema == PUBLIC_SCHEMA;
    let (max_rows, sha256) = match (public, file.rows, file.max_rows, file.sha256) {
        (true, Some(rows), None, Some(sha256)) => {
            let sha256 = sha256.to_ascii_lowercase();
            if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                fail!("table {name}: sha256 is 64 hexadecimal digits, the hash of the uncompressed CSV");
            }
            (rows, Some(sha256))
        }
        (true, ..) => {
            fail!("table {name} is public: declare rows (its exact number) and sha256 (of its uncompressed CSV), and not max_rows")
        }
        (false, None, Some(max_rows), None) => (max_rows, None),
        (false, ..) => fail!("table {name} is private: declare max_rows (an upper bound everyone may know), and neither rows nor sha256"),
    };
    if max_rows == 0 || max_rows > MOST_ROWS {
        fail!("table {name}: the number of rows must lie between 1 and {MOST_ROWS}");
    }
    let columns = file.column.into_iter().map(|c| column(c, &name, public)).collect::<Result<Vec<_>, _>>()?;
    if columns.is_empty() {
        fail!("table {name} declares no column: add a [[table.column]]");
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = columns.iter().find(|c| !seen.insert(c.name.as_str())) {
        fail!("table {name}: column {} is declared twice", twice.name);
    }
    let mut in_key = BTreeSet::new();
    for key in &file.key {
        match columns.iter().find(|c| c.name == *key) {
            None => fail!("table {name}: key names the column {key}, which is not declared"),
            Some(c) if c.nullable => fail!("table {name}: key column {key} must be declared nullable = false"),
            Some(_) if !in_key.insert(key) => fail!("table {name}: key names the column {key} twice"),
            Some(_) => {}
        }
    }
    let rows_released = match file.release.as_deref() {
        None | Some("aggregates") => public,
        Some("rows") => true,
        Some(other) => fail!("table {name}: release = \"{other}\" is not known; write \"aggregates\" (the default) or \"rows\""),
    };
    let sizes = match file.sizes.as_deref() {
        Some(_) if public => fail!("table {name}: sizes is of private tables; everybody can count the rows of a public one"),
        None | Some("hidden") => Sizes::Hidden,
        Some("bucket") => Sizes::Bucket,
        Some("exact") => Sizes::Exact,
        Some(other) => fail!("table {name}: sizes = \"{other}\" is not known; write \"hidden\" (the default), \"bucket\" or \"exact\""),
    };
    Ok(Table { name, max_rows, sha256, key: file.key, rows_released, sizes, columns })
}

fn column(file: FileColumn, table: &str, public: bool) -> Result<Column, CatalogError> {
    let name = file.name;
    if !identifier(&name) {
        fail!("column {table}.{name}: names are lower-case letters, digits and _, and begin with a letter");
    }
    let column_type =
        column_type(&file.column_type, file.unit.as_deref()).map_err(|e| CatalogError::new(format!("column {table}.{name}: {e}")))?;
    let bound = |which: &str, value: Option<&toml::Value>| match (value, column_type.limits()) {
        (None, _) => Ok(None),
        (Some(_), None) => Err(CatalogError::new(format!("column {table}.{name}: {which} has no meaning for {column_type}"))),
        (Some(value), Some(limits)) => match scaled(value, column_type) {
            Some(v) if limits.min <= v && v <= limits.max => Ok(Some(v)),
            _ => Err(CatalogError::new(format!("column {table}.{name}: {which} = {value} is not a value of {column_type}"))),
        },
    };
    let range = match (bound("min", file.min.as_ref())?, bound("max", file.max.as_ref())?) {
        (Some(min), Some(max)) if min <= max => Some(Range { min, max }),
        (Some(_), Some(_)) => fail!("column {table}.{name}: min is greater than max"),
        (None, None) if public || column_type.limits().is_none() => None,
        (None, None) => fail!(
            "column {table}.{name}: a private {column_type} column needs its public range: declare min and max (it decides how wide its shares are)"
        ),
        _ => fail!("column {table}.{name}: declare both min and max"),
    };
    if let Some(dictionary) = &file.dictionary {
        if column_type != ColumnType::String {
            fail!("column {table}.{name}: only a STRING column has a dictionary");
        }
        let distinct: BTreeSet<_> = dictionary.iter().collect();
        if dictionary.is_empty() || distinct.len() != dictionary.len() {
            fail!("column {table}.{name}: a dictionary lists at least one value, and each once");
        }
    }
    // sorted, so that the order in the file does not change the plan
    let dictionary = file.dictionary.map(|mut d| {
        d.sort();
        d
    });
    let max_bytes = match (file.max_bytes, &dictionary) {
        (Some(_), _) if column_type != ColumnType::String => fail!("column {table}.{name}: only a STRING column has max_bytes"),
        (Some(0), _) => fail!("column {table}.{name}: max_bytes is at least 1"),
        (Some(b), _) if b > MOST_BYTES => fail!("column {table}.{name}: max_bytes is at most {MOST_BYTES}"),
        (Some(b), Some(d)) if d.iter().any(|v| v.len() > b as usize) => {
            fail!("column {table}.{name}: a value of the dictionary is longer than max_bytes")
        }
        (None, Some(d)) => d.iter().map(|v| v.len() as u32).max(),
        (bytes, _) => bytes,
    };
    for (what, bound) in [("distinct", file.distinct), ("repeats", file.repeats)] {
        match bound {
            Some(_) if public => fail!("column {table}.{name}: {what} is of private columns; everybody can count those of a public table"),
            Some(0) => fail!("column {table}.{name}: {what} is at least 1"),
            _ => {}
        }
    }
    let nullable = file.nullable.unwrap_or(true);
    let (distinct, repeats) = (file.distinct, file.repeats);
    Ok(Column { name, column_type, range, domain: file.domain, nullable, dictionary, max_bytes, distinct, repeats })
}

fn column_type(text: &str, unit: Option<&str>) -> Result<ColumnType, String> {
    let upper = text.trim().to_ascii_uppercase();
    if unit.is_some() && upper != "TIMESTAMP" {
        return Err("only a TIMESTAMP column has a unit".into());
    }
    Ok(match upper.as_str() {
        "INT" => ColumnType::Int,
        "BIGINT" => ColumnType::BigInt,
        "DATE" => ColumnType::Date,
        "TIMESTAMP" => ColumnType::Timestamp(match unit {
            None | Some("s") => TimeUnit::Second,
            Some("ms") => TimeUnit::Millisecond,
            Some("us") => TimeUnit::Microsecond,
            Some("ns") => TimeUnit::Nanosecond,
            Some(other) => return Err(format!("unit = \"{other}\" is not known; write \"s\" (the default), \"ms\", \"us\" or \"ns\"")),
        }),
        "BOOLEAN" => ColumnType::Boolean,
        "STRING" => ColumnType::String,
        other => {
            let unknown = || format!("unknown type {text}: use INT, BIGINT, DECIMAL(p,s), DATE, TIMESTAMP, BOOLEAN or STRING");
            let inside = other.strip_prefix("DECIMAL(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(unknown)?;
            let (precision, scale) = inside.split_once(',').unwrap_or((inside, "0"));
            let (precision, scale) = (precision.trim().parse::<u8>(), scale.trim().parse::<u8>());
            match (precision, scale) {
                (Ok(p @ 1..=38), Ok(s)) if s <= p => ColumnType::Decimal(p, s as i8),
                _ => return Err(format!("{text}: DECIMAL(p,s) has 1 to 38 digits p, of which at most p behind the point")),
            }
        }
    })
}

fn scaled(value: &toml::Value, column_type: ColumnType) -> Option<i128> {
    let text = match value {
        toml::Value::Integer(i) => i.to_string(),
        toml::Value::Float(f) if f.is_finite() => f.to_string(),
        toml::Value::String(s) => s.trim().to_owned(),
        toml::Value::Datetime(d) => d.to_string(),
        _ => return None,
    };
    match column_type {
        ColumnType::Int | ColumnType::BigInt => text.parse().ok(),
        ColumnType::Date => Date32Type::parse(&text).map(i128::from),
        ColumnType::Timestamp(unit) => moment(&text, unit),
        ColumnType::Decimal(_, scale) => {
            let behind = text.split_once('.').map_or("", |(_, behind)| behind);
            // a bound with more digits than the column would be rounded silently
            (behind.len() <= scale as usize).then_some(())?;
            parse_decimal::<Decimal128Type>(&text, 38, scale).ok()
        }
        ColumnType::Boolean | ColumnType::String => None,
    }
}

/// Units since 1970 of a moment that is a whole number of them.
fn moment(text: &str, unit: TimeUnit) -> Option<i128> {
    let at = string_to_datetime(&"+00:00".parse::<Tz>().ok()?, text).ok()?;
    let (second, nanos) = (10i128.pow(digits(unit)), i128::from(at.timestamp_subsec_nanos()));
    let unit = 1_000_000_000 / second;
    (nanos % unit == 0).then(|| i128::from(at.timestamp()) * second + nanos / unit)
}

fn domain(file: FileDomain, tables: &[Table]) -> Result<Domain, CatalogError> {
    let FileDomain { name, table, column, values } = file;
    if !identifier(&name) {
        fail!("domain {name}: names are lower-case letters, digits and _, and begin with a letter");
    }
    let Some(declared) = tables.iter().find(|t| t.name == table) else {
        fail!("domain {name}: there is no table {table}");
    };
    if declared.owner().is_some() {
        fail!("domain {name}: {table} is private; a domain is the column of a public table");
    }
    if declared.column(&column).is_none() {
        fail!("domain {name}: {table} has no column {column}");
    }
    let exact = declared.key == [column.as_str()];
    match values {
        Some(v) if v == 0 || v > declared.max_rows || (exact && v != declared.max_rows) => {
            fail!("domain {name}: values = {v} cannot be, {table} has {} rows", declared.max_rows)
        }
        _ => {}
    }
    let values = values.unwrap_or(declared.max_rows);
    Ok(Domain { name, table, column, values })
}

fn draws(table: &Table, column: &Column, domains: &[Domain], tables: &[Table]) -> Result<(), CatalogError> {
    let Some(name) = &column.domain else { return Ok(()) };
    let Some(domain) = domains.iter().find(|d| d.name == *name) else {
        fail!("column {}.{}: there is no domain {name}; add a [[domain]] of that name", table.name, column.name);
    };
    let of = tables.iter().find(|t| t.name == domain.table).and_then(|t| t.column(&domain.column));
    match of {
        Some(of) if of.column_type == column.column_type => Ok(()),
        Some(of) => {
            fail!("column {}.{} is {}, the values of its domain {name} are {}", table.name, column.name, column.column_type, of.column_type)
        }
        None => fail!("domain {name}: {} has no column {}", domain.table, domain.column),
    }
}

fn identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
