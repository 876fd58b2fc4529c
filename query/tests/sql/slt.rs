//! The sqllogictest files of `tests/slt`: the expected answers are DataFusion's on the pooled tables, and Tacit's must be the same.
//!
//! `UPDATE_SLT=1 cargo test --workspace --test sql slt::clear` writes the expected answers anew from DataFusion's; those of refusals are
//! ours and stay.

use super::pool::{NoAnswer, On, Pool};
use super::town::town;
use query::datafusion::arrow::array::{Array, AsArray, RecordBatch};
use query::datafusion::arrow::datatypes::{DataType, Float64Type};
use query::datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use sqllogictest::{
    DB, DBOutput, DefaultColumnType, Record, RecordOutput, Runner, TestErrorKind, default_normalizer, default_validator, parse_file,
    strict_column_validator,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// `file:line reason` of every query that is refused as yet. One that runs must leave this list.
const NOT_YET: &str = include_str!("../slt/not_yet.txt");

#[test]
fn clear() {
    let town = Arc::new(town());
    let update = std::env::var_os("UPDATE_SLT").is_some();
    for file in files() {
        let mut runner = Runner::new(|| async { Ok(Engine { town: town.clone(), on: None }) });
        runner.with_column_validator(strict_column_validator);
        if update {
            let written = runner.update_test_file(&file, " ", default_validator, default_normalizer, strict_column_validator);
            // nothing in it waits: the engine answers at once
            let Poll::Ready(written) = std::pin::pin!(written).as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("{}: the runner waits for something", file.display())
            };
            written.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        } else {
            runner.run_file(&file).unwrap_or_else(|e| panic!("{}", e.display(false)));
        }
    }
}

#[test]
fn shared() {
    let town = Arc::new(town());
    let listed: BTreeMap<&str, &str> = NOT_YET.lines().filter_map(|line| line.split_once(' ')).collect();
    let (mut queries, mut failures, mut unseen) = (0, Vec::new(), listed.keys().copied().collect::<BTreeSet<_>>());
    for file in files() {
        let short = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        for record in parse_file::<DefaultColumnType>(&file).unwrap_or_else(|e| panic!("{e}")) {
            let (Record::Query { loc, .. } | Record::Statement { loc, .. }) = &record else { continue };
            let place = format!("{short}:{}", loc.line());
            queries += 1;
            let outcome = Outcome::of(&town, On::Plain, &record);
            let listed = listed.contains_key(place.as_str());
            unseen.remove(place.as_str());
            match outcome {
                Outcome::Right if listed => failures.push(format!("{place}: runs and agrees: take it off the list")),
                Outcome::Right => match Outcome::of(&town, On::Rep3, &record) {
                    Outcome::Right => {}
                    Outcome::Refused(what) | Outcome::Wrong(what) => failures.push(format!("{place}: three parties: {what}")),
                },
                Outcome::Refused(_) if listed => {}
                Outcome::Refused(what) => failures.push(format!("{place}: {what}")),
                Outcome::Wrong(what) => failures.push(format!("{place}: {what}")),
            }
        }
    }
    failures.extend(unseen.iter().map(|place| format!("{place}: on the list, but there is no query")));
    assert!(failures.is_empty(), "{} of {queries} fail:\n{}", failures.len(), failures.join("\n"));
    assert!(queries >= 300, "only {queries} queries");
}

/// How a record ended.
enum Outcome {
    Right,
    Refused(String),
    Wrong(String),
}

impl Outcome {
    fn of(town: &Arc<Pool>, on: On, record: &Record<DefaultColumnType>) -> Self {
        let mut runner = Runner::new(|| async { Ok(Engine { town: town.clone(), on: Some(on) }) });
        runner.with_column_validator(strict_column_validator);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runner.run(record.clone())));
        match run {
            Err(_) => Outcome::Wrong("panicked".into()),
            Ok(Ok(RecordOutput::Nothing)) => Outcome::Wrong("was not run".into()),
            Ok(Ok(_)) => Outcome::Right,
            Ok(Err(e)) => match e.kind() {
                TestErrorKind::Fail { err, sql, .. } if err.to_string().starts_with("E_") => Outcome::Refused(format!("{err}\n{sql}")),
                kind => Outcome::Wrong(kind.to_string()),
            },
        }
    }
}

pub(super) fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "slt")).collect();
    files.sort();
    files
}

/// What answers: Tacit (`on` says how), or DataFusion on the pooled tables.
struct Engine {
    town: Arc<Pool>,
    on: Option<On>,
}

struct Failure(String);

impl Debug for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl DB for Engine {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let rows = match self.on {
            None => self.town.clear(sql).map_err(Failure)?,
            Some(on) => self.town.answer(sql, on).map_err(|e| match e {
                NoAnswer::Refused(e) => Failure(format!("{} at {e}", e.code)),
                NoAnswer::Failed(what) => Failure(what),
            })?,
        };
        let types = rows.schema().fields().iter().map(|f| letter(f.data_type())).collect();
        Ok(DBOutput::Rows { types, rows: cells(&rows).map_err(Failure)? })
    }

    fn engine_name(&self) -> &str {
        if self.on.is_some() { "tacit" } else { "datafusion" }
    }
}

fn letter(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        t if t.is_integer() => DefaultColumnType::Integer,
        t if t.is_floating() || t.is_decimal() => DefaultColumnType::FloatingPoint,
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

fn cells(batch: &RecordBatch) -> Result<Vec<Vec<String>>, String> {
    let mut rows = vec![Vec::new(); batch.num_rows()];
    for column in batch.columns() {
        let formatter = ArrayFormatter::try_new(column, &FormatOptions::default()).map_err(|e| e.to_string())?;
        for (r, row) in rows.iter_mut().enumerate() {
            row.push(match column.data_type() {
                _ if column.is_null(r) => "NULL".into(),
                DataType::Float64 => float(column.as_primitive::<Float64Type>().value(r)),
                _ => match formatter.value(r).to_string() {
                    // a space would end the cell
                    text if text.is_empty() => "(empty)".into(),
                    text => text.replace(' ', "_"),
                },
            });
        }
    }
    Ok(rows)
}

/// Nine digits: what is behind them is rounding.
fn float(value: f64) -> String {
    let digits = 9_i32.saturating_sub(value.abs().max(1e-300).log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.to_owned() }
}
