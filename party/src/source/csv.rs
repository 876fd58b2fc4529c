//! CSV, plain or gzipped, read by our own checked reader: one pass, and every cell is checked as it becomes a value.

use super::cell;
use super::column::Builder;
use super::declared::{DeclaredColumn, DeclaredTable, Fault, Kind, Rows};
use super::findings::{LoadError, Report};
use super::promises::Promises;
use crate::config::{Format, TableFile, Undeclared};
use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;
use query::datafusion::arrow::array::{ArrayRef, RecordBatch};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A table read and checked.
pub(crate) struct CsvTable {
    pub batches: Vec<RecordBatch>,
    pub rows: u64,
    /// Columns of the file that the catalogue does not know; they were not loaded.
    pub ignored: Vec<String>,
}

/// Reads a CSV table whole. `most` bounds its rows beside what is declared.
pub(crate) fn read(file: &TableFile, declared: &DeclaredTable, most: u64) -> Result<CsvTable, LoadError> {
    let mut report = Report::new(&declared.name, &file.shown, declared.columns.len());
    let mut table = CsvTable { batches: Vec::new(), rows: 0, ignored: Vec::new() };
    match Input::open(file) {
        Ok(input) => Reading { file, declared, most, report: &mut report, table: &mut table }.run(input),
        Err(error) => report.file(None, format!("cannot be read: {error}; check `path` and the file's permissions")),
    }
    report.finish(table)
}

struct Reading<'a, 'r> {
    file: &'a TableFile,
    declared: &'a DeclaredTable,
    most: u64,
    report: &'r mut Report<'a>,
    table: &'r mut CsvTable,
}

impl Reading<'_, '_> {
    fn run(&mut self, input: Input) {
        let (digest, since) = (input.digest.clone(), input.since.clone());
        // Uneven lines are ours to report; the header is a line like any other.
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1 << 16).from_reader(input);
        let mut record = ByteRecord::new();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return self.report.file(None, "is empty; its first line must name the columns"),
            Err(error) => return self.fail(&error, 1),
        }
        let Some(places) = self.header(&record) else { return };
        if self.rows(&mut reader, &mut record, &places, &since) {
            self.totals(digest);
        }
    }

    /// Finds each declared column in the header line; neither the order nor capitals matter, as in SQL.
    fn header(&mut self, header: &ByteRecord) -> Option<Vec<usize>> {
        let find = |column: &DeclaredColumn| {
            let mut at = (0..header.len()).filter(|at| header[*at].eq_ignore_ascii_case(column.name.as_bytes()));
            (at.next(), at.next())
        };
        // As UTF-16 or with accents of another code page, no name would be found, or the wrong ones.
        if header.iter().any(|name| std::str::from_utf8(name).map_or(true, |name| name.contains('\0'))) {
            self.report.file(Some(1), "the header line is not UTF-8; save the file in that encoding");
            return None;
        }
        let mut places = Vec::with_capacity(self.declared.columns.len());
        for column in &self.declared.columns {
            match find(column) {
                (Some(at), None) => places.push(at),
                (Some(_), Some(_)) => self.report.column(&column.name, "is twice in the header line; which one is meant?"),
                (None, _) => {
                    let what = format!("is not in the header line; the catalogue declares it as {column}");
                    self.report.column(&column.name, what);
                }
            }
        }
        if places.len() < self.declared.columns.len() {
            // Names are not quoted here: a file without a header line would show its first record.
            return None;
        }
        let others = (0..header.len()).filter(|at| !places.contains(at));
        self.table.ignored = others.map(|at| shown_name(&header[at], at)).collect();
        if self.file.undeclared_columns == Undeclared::Refuse && !self.table.ignored.is_empty() {
            let names = self.table.ignored.join(", ");
            self.report.file(
                None,
                format!("has columns the catalogue does not declare: {names}; declare them, or set undeclared_columns = \"ignore\""),
            );
        }
        Some(places)
    }

    /// Reads all records; whether the end of the file was reached.
    fn rows(&mut self, reader: &mut csv::Reader<Input>, record: &mut ByteRecord, places: &[usize], since: &AtomicU64) -> bool {
        let width = record.len();
        let Some(mut batch) = Batch::new(self.declared) else {
            self.report.file(None, "has a column of a type this release cannot load");
            return false;
        };
        let most = self.most.min(self.declared.rows.most());
        loop {
            since.store(0, Relaxed);
            match reader.read_byte_record(record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.fail(&error, reader.position().line());
                    return false;
                }
            }
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != width {
                self.report.record(line, format_args!("has {} fields, the header line has {width}", record.len()));
                continue;
            }
            if self.table.rows == most {
                let what = match self.declared.rows {
                    Rows::Exactly(n) => format!("has more rows than the {n} the catalogue states for this public table"),
                    Rows::AtMost(n) if n == most => format!("has more rows than its max_rows = {n} in the catalogue"),
                    Rows::AtMost(_) => format!("has more rows than this node's [limits] max_rows = {most}"),
                };
                self.report.file(Some(line), what);
                return false;
            }
            self.table.rows += 1;
            batch.lines.push(line);
            for (at, (column, place)) in self.declared.columns.iter().zip(places).enumerate() {
                let cell = &record[*place];
                let null = cell.is_empty() || self.file.null.as_ref().is_some_and(|null| null.as_bytes() == cell);
                if let Err(fault) = batch.put(at, column, cell, null) {
                    self.report.cell(format_args!("line {line}"), at, &column.name, || column.describe(fault));
                    batch.columns[at].null();
                }
            }
            if batch.lines.len() == BATCH && !self.flush(&mut batch) {
                return false;
            }
        }
        if !self.flush(&mut batch) {
            return false;
        }
        batch.promises.check(self.report, |line| format!("line {line}"));
        true
    }

    fn flush(&mut self, batch: &mut Batch) -> bool {
        if batch.lines.is_empty() {
            return true;
        }
        match batch.finish(self.declared) {
            Ok(whole) if self.report.is_clean() => self.table.batches.push(whole),
            // Nothing of a table with a finding is ever used.
            Ok(_) => self.table.batches.clear(),
            Err(what) => {
                self.report.file(None, what);
                return false;
            }
        }
        true
    }

    /// What only the whole file shows.
    fn totals(&mut self, digest: Option<Digester>) {
        if let Rows::Exactly(n) = self.declared.rows
            && self.table.rows != n
        {
            self.report.file(None, format!("has {} rows, the catalogue states {n} for this public table", self.table.rows));
        }
        let hash: Option<[u8; 32]> = digest.map(|d| d.lock().unwrap_or_else(|p| p.into_inner()).clone().finalize().into());
        if let (Some(declared), Some(found)) = (self.declared.sha256, hash)
            && declared != found
        {
            let what = "is not the public table the catalogue pins (another SHA-256); fetch the city's own copy";
            self.report.file(None, what);
        }
    }

    fn fail(&mut self, error: &csv::Error, line: u64) {
        let what = match error.kind() {
            csv::ErrorKind::Io(io) if io.kind() == ErrorKind::UnexpectedEof => {
                "the compressed data end in the middle: the file is cut short; copy it again".into()
            }
            csv::ErrorKind::Io(io) if self.file.format == Format::CsvGz && io.kind() == ErrorKind::InvalidInput => {
                "is not gzip, or has something behind the compressed data; check the file and its `format`".into()
            }
            csv::ErrorKind::Io(io) => format!("cannot be read further: {io}"),
            _ => "is not CSV".into(),
        };
        self.report.file(Some(line), what);
    }
}

/// Rows of a batch. Small enough to stay in the cache of one core.
const BATCH: usize = 16_384;

/// A record beyond this many bytes has an open quote somewhere.
const MAX_RECORD: u64 = 16 << 20;

struct Batch<'a> {
    columns: Vec<Builder>,
    lines: Vec<u64>,
    promises: Promises<'a>,
}

impl<'a> Batch<'a> {
    fn new(declared: &'a DeclaredTable) -> Option<Self> {
        let columns = declared.columns.iter().map(|column| Builder::new(&column.data_type)).collect::<Option<_>>()?;
        Some(Self { columns, lines: Vec::with_capacity(BATCH), promises: Promises::new(declared).ok()? })
    }

    #[inline]
    fn put(&mut self, at: usize, column: &DeclaredColumn, cell: &[u8], null: bool) -> Result<(), Fault> {
        let builder = &mut self.columns[at];
        if null {
            if !column.nullable {
                return Err(Fault::Null);
            }
            builder.null();
            return Ok(());
        }
        if column.kind == Kind::Text {
            let text = std::str::from_utf8(cell).map_err(|_| Fault::Encoding)?;
            column.check_text(text)?;
            builder.text(text);
        } else {
            let raw = cell::raw(column.kind, cell)?;
            column.check_raw(raw)?;
            builder.raw(raw);
        }
        Ok(())
    }

    fn finish(&mut self, declared: &DeclaredTable) -> Result<RecordBatch, String> {
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(Builder::finish).collect();
        let internal = |_| "could not be put into columns: a fault of this program; please report it".to_owned();
        let concerned: Vec<Option<ArrayRef>> = columns.iter().cloned().map(Some).collect();
        self.promises.append(&concerned, &self.lines).map_err(internal)?;
        self.lines.clear();
        // Cells with a finding were left NULL, so the schema's own check would come too early.
        let nullable = declared.columns.iter().zip(&columns).all(|(c, array)| c.nullable || array.null_count() == 0);
        match nullable {
            true => RecordBatch::try_new(declared.schema.clone(), columns).map_err(internal),
            false => Ok(RecordBatch::new_empty(declared.schema.clone())),
        }
    }
}

type Digester = Arc<std::sync::Mutex<Sha256>>;

/// The uncompressed bytes of a file, hashed on the way where a hash is pinned, and bounded within a record.
struct Input {
    inner: Box<dyn Read>,
    digest: Option<Digester>,
    since: Arc<AtomicU64>,
}

impl Input {
    fn open(file: &TableFile) -> std::io::Result<Self> {
        let opened = File::open(&file.path)?;
        if opened.metadata()?.is_dir() {
            return Err(std::io::Error::other("it is a folder, and only Parquet tables may be one"));
        }
        let buffered = BufReader::with_capacity(1 << 17, opened);
        let inner: Box<dyn Read> = match file.format {
            Format::CsvGz => Box::new(MultiGzDecoder::new(buffered)),
            Format::Csv | Format::Parquet => Box::new(buffered),
        };
        let digest = super::is_public(&file.name).then(Digester::default);
        Ok(Self { inner, digest, since: Arc::default() })
    }
}

impl Read for Input {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(to)?;
        if self.since.fetch_add(n as u64, Relaxed) > MAX_RECORD {
            return Err(std::io::Error::other("a record is longer than 16 MiB; is a quote left open?"));
        }
        if let Some(digest) = &self.digest {
            digest.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).update(&to[..n]);
        }
        Ok(n)
    }
}

/// A column's name, if it looks like one.
fn shown_name(name: &[u8], at: usize) -> String {
    let plain = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b' ' | b'.');
    match std::str::from_utf8(name) {
        Ok(text) if name.iter().all(plain) && (1..=63).contains(&name.len()) => format!("`{text}`"),
        _ => format!("number {}", at + 1),
    }
}
