//! Parquet, one file or a folder of them: streamed once at load to check every cell, then read by DataFusion where it lies.
//! A file that is changed afterwards is noticed before the next job ([`Stamp`]).

use super::declared::{DeclaredColumn, DeclaredTable, Fault, Kind, Rows};
use super::findings::{LoadError, Report};
use super::promises::Promises;
use crate::config::{TableFile, Undeclared};
use query::catalog::digits;
use query::datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch};
use query::datafusion::arrow::compute::cast;
use query::datafusion::arrow::datatypes::{ArrowPrimitiveType, Schema};
use query::datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use query::datafusion::catalog::TableProvider;
use query::datafusion::datasource::file_format::parquet::ParquetFormat;
use query::datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use query::datafusion::parquet::arrow::ProjectionMask;
use query::datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A table checked and ready to be scanned where it lies.
pub(crate) struct ParquetTable {
    pub provider: Arc<dyn TableProvider>,
    pub rows: u64,
    pub ignored: Vec<String>,
    pub stamps: Vec<Stamp>,
}

/// What a file was when it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self { path: path.into(), length: metadata.len(), modified: metadata.modified().ok() })
    }

    /// Whether the file is still what it was.
    pub fn holds(&self) -> bool {
        Self::of(&self.path).is_ok_and(|now| now == *self)
    }
}

/// Checks a Parquet table whole. `most` bounds its rows beside what is declared.
pub(crate) fn read(file: &TableFile, declared: &DeclaredTable, most: u64) -> Result<ParquetTable, LoadError> {
    let one = |what: String| LoadError::one(&declared.name, what);
    let paths = files(&file.path).map_err(|e| one(format!("{}: {e}", file.shown)))?;
    let mut check = Check { file, declared, most, rows: 0, ignored: Vec::new() };
    let promises = Promises::new(declared).map_err(|_| one(format!("{}: a column has a type that cannot be compared", file.shown)));
    let mut promises = promises?;
    let (mut errors, mut stamps) = (Vec::new(), Vec::new());
    for path in &paths {
        let shown = shown(file, path);
        let mut report = Report::new(&declared.name, &shown, declared.columns.len());
        match Stamp::of(path) {
            Ok(stamp) => stamps.push(stamp),
            Err(error) => report.file(None, format!("cannot be read: {error}")),
        }
        let further = check.file(path, &mut report, &mut promises);
        errors.extend(report.finish(()).err());
        if !further {
            break;
        }
    }
    let mut report = Report::new(&declared.name, &file.shown, declared.columns.len());
    promises.check(&mut report, |row| format!("row {row} of the table"));
    errors.extend(report.finish(()).err());
    if !errors.is_empty() {
        return Err(LoadError::all(errors));
    }
    let provider = listing(&paths, declared).map_err(|what| one(format!("{}: {what}", file.shown)))?;
    Ok(ParquetTable { provider, rows: check.rows, ignored: check.ignored, stamps })
}

struct Check<'a> {
    file: &'a TableFile,
    declared: &'a DeclaredTable,
    most: u64,
    rows: u64,
    ignored: Vec<String>,
}

impl Check<'_> {
    /// Checks one file; whether to go on with the next.
    fn file(&mut self, path: &Path, report: &mut Report<'_>, promises: &mut Promises<'_>) -> bool {
        let opened = File::open(path).map_err(|e| e.to_string());
        let builder = opened.and_then(|file| ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| "it is not Parquet".into()));
        let builder = match builder {
            Ok(builder) => builder,
            Err(error) => {
                report.file(None, format!("cannot be read: {error}"));
                return true;
            }
        };
        let Some(places) = self.schema(builder.schema(), report) else { return true };
        let mask = ProjectionMask::roots(builder.parquet_schema(), places.iter().copied());
        let reader = match builder.with_projection(mask).with_batch_size(8192).build() {
            Ok(reader) => reader,
            Err(_) => {
                report.file(None, "cannot be read: it is damaged");
                return true;
            }
        };
        let mut before = 0;
        for batch in reader {
            let Ok(batch) = batch else {
                report.file(None, format!("cannot be read beyond row {before}: it is damaged; copy it again"));
                return true;
            };
            if self.rows + batch.num_rows() as u64 > self.most.min(self.declared.rows.most()) {
                let bound = self.most.min(self.declared.rows.most());
                let whose =
                    if bound == self.declared.rows.most() { "its max_rows in the catalogue" } else { "this node's [limits] max_rows" };
                report.file(None, format!("the table has more than {bound} rows, {whose}"));
                return false;
            }
            self.batch(&batch, before, report, promises);
            before += batch.num_rows() as u64;
        }
        true
    }

    fn schema(&mut self, schema: &Schema, report: &mut Report<'_>) -> Option<Vec<usize>> {
        let mut places = Vec::with_capacity(self.declared.columns.len());
        for column in &self.declared.columns {
            match schema.index_of(&column.name) {
                Ok(at) if fits(schema.field(at).data_type(), column.kind) => places.push(at),
                Ok(at) => {
                    let found = schema.field(at).data_type();
                    report.column(&column.name, format!("is {found} in the file, which is not read as {column}; convert it"));
                }
                Err(_) => report.column(&column.name, format!("is not in the file; the catalogue declares it as {column}")),
            }
        }
        let others = (0..schema.fields().len()).filter(|at| !self.declared.columns.iter().any(|c| c.name == *schema.field(*at).name()));
        let others: Vec<String> = others.map(|at| format!("`{}`", schema.field(at).name())).collect();
        if self.file.undeclared_columns == Undeclared::Refuse && !others.is_empty() {
            let names = others.join(", ");
            report.file(
                None,
                format!("has columns the catalogue does not declare: {names}; declare them, or set undeclared_columns = \"ignore\""),
            );
        }
        if self.ignored.is_empty() {
            self.ignored = others;
        }
        (places.len() == self.declared.columns.len()).then_some(places)
    }

    fn batch(&mut self, batch: &RecordBatch, before: u64, report: &mut Report<'_>, promises: &mut Promises<'_>) {
        let mut whole: Vec<Option<ArrayRef>> = vec![None; self.declared.columns.len()];
        for (at, column) in self.declared.columns.iter().enumerate() {
            let Some(array) = batch.column_by_name(&column.name) else { continue };
            let mut bad = |row: usize, fault: Fault| {
                report.cell(format_args!("row {}", before + row as u64 + 1), at, &column.name, || column.describe(fault));
            };
            if !column.nullable && array.null_count() > 0 {
                (0..array.len()).filter(|row| array.is_null(*row)).for_each(|row| bad(row, Fault::Null));
            }
            values(array, column, &mut bad);
            if promises.concern(at) {
                whole[at] = cast(array, &column.data_type).ok();
            }
        }
        let numbers: Vec<u64> = (1..=batch.num_rows() as u64).map(|row| self.rows + row).collect();
        if promises.append(&whole, &numbers).is_err() {
            report.file(None, "its key, or a column whose values are bounded, could not be compared");
        }
        self.rows += batch.num_rows() as u64;
    }
}

/// Which types of a file are read as which of the catalogue's: never one that could lose something.
fn fits(found: &DataType, kind: Kind) -> bool {
    match kind {
        Kind::Int | Kind::BigInt => found.is_integer(),
        Kind::Decimal { scale, .. } => found.is_integer() || matches!(found, DataType::Decimal128(_, s) if (0..=scale).contains(s)),
        Kind::Date => *found == DataType::Date32,
        Kind::Timestamp(_) => match found {
            DataType::Timestamp(_, zone) => zone.as_deref().is_none_or(|zone| matches!(zone, "UTC" | "+00:00")),
            _ => false,
        },
        Kind::Boolean => *found == DataType::Boolean,
        Kind::Text => match found {
            DataType::Dictionary(_, value) => is_text(value),
            other => is_text(other),
        },
    }
}

fn is_text(found: &DataType) -> bool {
    matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Checks every value of a column whose type [`fits`].
fn values(array: &ArrayRef, column: &DeclaredColumn, bad: &mut impl FnMut(usize, Fault)) {
    fn numbers<T: ArrowPrimitiveType>(
        array: &ArrayRef,
        factor: i128,
        column: &DeclaredColumn,
        bad: &mut impl FnMut(usize, Fault),
        raw: impl Fn(T::Native) -> i128,
    ) {
        let array: &PrimitiveArray<T> = array.as_primitive();
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            let scaled = raw(array.value(row)).checked_mul(factor).ok_or(Fault::Range);
            if let Err(fault) = scaled.and_then(|raw| column.check_raw(raw)) {
                bad(row, fault);
            }
        }
    }
    let power = |scale: i8| 10i128.checked_pow(u32::from(scale.unsigned_abs())).unwrap_or(i128::MAX);
    let factor = match (column.kind, array.data_type()) {
        (Kind::Decimal { scale, .. }, DataType::Decimal128(_, s)) => power(scale - s),
        (Kind::Decimal { scale, .. }, _) => power(scale),
        _ => 1,
    };
    match array.data_type() {
        DataType::Int8 => numbers::<Int8Type>(array, factor, column, bad, i128::from),
        DataType::Int16 => numbers::<Int16Type>(array, factor, column, bad, i128::from),
        DataType::Int32 => numbers::<Int32Type>(array, factor, column, bad, i128::from),
        DataType::Int64 => numbers::<Int64Type>(array, factor, column, bad, i128::from),
        DataType::UInt8 => numbers::<UInt8Type>(array, factor, column, bad, i128::from),
        DataType::UInt16 => numbers::<UInt16Type>(array, factor, column, bad, i128::from),
        DataType::UInt32 => numbers::<UInt32Type>(array, factor, column, bad, i128::from),
        DataType::UInt64 => numbers::<UInt64Type>(array, factor, column, bad, i128::from),
        DataType::Date32 => numbers::<Date32Type>(array, factor, column, bad, i128::from),
        DataType::Timestamp(found, _) => moments(array, *found, column, bad),
        DataType::Decimal128(..) => numbers::<Decimal128Type>(array, factor, column, bad, |raw| raw),
        DataType::Boolean => {}
        _ => match cast(array, &DataType::Utf8View) {
            Ok(texts) => {
                let texts = texts.as_string_view();
                for (row, text) in texts.iter().enumerate() {
                    if let Some(Err(fault)) = text.map(|text| column.check_text(text)) {
                        bad(row, fault);
                    }
                }
            }
            Err(_) => bad(0, Fault::Type),
        },
    }
}

/// Checks moments of any unit: each must be a whole number of the column's.
fn moments(array: &ArrayRef, found: TimeUnit, column: &DeclaredColumn, bad: &mut impl FnMut(usize, Fault)) {
    let (Kind::Timestamp(unit), Ok(units)) = (column.kind, cast(array, &DataType::Int64)) else { return bad(0, Fault::Type) };
    let units: &PrimitiveArray<Int64Type> = units.as_primitive();
    let (finer, coarser) = (digits(found).saturating_sub(digits(unit)), digits(unit).saturating_sub(digits(found)));
    let (by, times) = (10i128.pow(finer), 10i128.pow(coarser));
    for row in (0..units.len()).filter(|row| units.is_valid(*row)) {
        let raw = i128::from(units.value(row));
        let whole = if raw % by == 0 { column.check_raw(raw / by * times) } else { Err(Fault::Scale) };
        if let Err(fault) = whole {
            bad(row, fault);
        }
    }
}

/// The files of a table, in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |e: std::io::Error| format!("cannot be read: {e}; check `path` and the file's permissions");
    let path = path.canonicalize().map_err(unreadable)?;
    if path.is_file() {
        return Ok(vec![path]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with(['.', '_']));
        if !hidden && path.is_file() && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err("the folder has no file that ends in `.parquet`".into()),
        false => Ok(files),
    }
}

/// A file of the table as the configuration calls it.
fn shown(file: &TableFile, path: &Path) -> String {
    match file.path.is_dir() {
        true => format!("{}/{}", file.shown.trim_end_matches('/'), path.file_name().unwrap_or_default().to_string_lossy()),
        false => file.shown.clone(),
    }
}

fn listing(paths: &[PathBuf], declared: &DeclaredTable) -> Result<Arc<dyn TableProvider>, String> {
    let url = |path: &PathBuf| {
        let text = path.to_str().filter(|text| !text.contains(['*', '?', '['])).ok_or("its path must be UTF-8 without `*`, `?` and `[`")?;
        ListingTableUrl::parse(text).map_err(|_| "its path cannot be used")
    };
    let urls = paths.iter().map(url).collect::<Result<Vec<_>, _>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(declared.schema.clone());
    let table = ListingTable::try_new(config).map_err(|_| "DataFusion cannot list it")?;
    Ok(Arc::new(table))
}

/// What the number of rows of a public table must be is a matter of its hash, and only CSV has one.
pub(crate) fn allowed(declared: &DeclaredTable) -> bool {
    matches!(declared.rows, Rows::AtMost(_))
}
