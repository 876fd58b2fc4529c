//! The oracle: any SQL in clear, by DataFusion alone, over all tables pooled. It exists to be compared with; no answer ever comes
//! from here. Tests, scenarios and the demonstration's own check use it, on data that are theirs to pool.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Float32Type, Float64Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::{MemorySchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;

use crate::percentile::percentile_disc;
use crate::rules;

/// All tables of a city in one place.
pub struct Oracle {
    context: SessionContext,
    runtime: tokio::runtime::Runtime,
}

impl Oracle {
    /// An oracle without tables. `public` is the schema of unqualified names.
    pub fn new() -> std::io::Result<Self> {
        let config = SessionConfig::new()
            .with_target_partitions(1)
            .with_default_catalog_and_schema("city", "public")
            // as the compiler reads SQL: 1.5 is a decimal, not a double
            .set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let state = SessionStateBuilder::new().with_config(config).with_default_features().with_optimizer_rules(rules::all()).build();
        let context = SessionContext::new_with_state(state);
        context.register_udaf((*percentile_disc()).clone());
        Ok(Oracle { context, runtime })
    }

    /// Adds a table under its full name, `transport.trips`.
    pub fn table(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<(), DataFusionError> {
        let reference = TableReference::parse_str(name);
        let schema = reference.schema().unwrap_or("public");
        let catalog = self.context.catalog("city").ok_or_else(|| DataFusionError::Internal("no default catalogue".into()))?;
        if catalog.schema(schema).is_none() {
            catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
        }
        self.context.register_table(TableReference::full("city", schema, reference.table()), table)?;
        Ok(())
    }

    /// The answer to `sql`.
    pub fn answer(&self, sql: &str) -> Result<RecordBatch, DataFusionError> {
        self.runtime.block_on(async {
            let frame = self.context.sql(sql).await?;
            let task = Arc::new(frame.task_ctx());
            // its schema, not the frame's: that one does not know yet which types the branches of a CASE are cast to
            let plan = frame.create_physical_plan().await?;
            let schema = plan.schema();
            let batches = collect(plan, task).await?;
            // the batches' own schema may be stricter about NULLs than the plan's
            let schema = batches.first().map_or(schema, RecordBatch::schema);
            Ok(concat_batches(&schema, &batches)?)
        })
    }
}

/// How a comparison is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Largest relative difference of two floating-point numbers taken for equal; everything else is compared exactly.
    pub relative: f64,
    /// Whether the order of the rows matters.
    pub ordered: bool,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { relative: 1e-9, ordered: false }
    }
}

/// Compares an answer with the oracle's: column names and types, number of rows, and every cell. What differs is said in words; since
/// both answers are open to whoever compares, the cells are shown.
pub fn compare(expected: &RecordBatch, actual: &RecordBatch, tolerance: Tolerance) -> Result<(), String> {
    let signature = |b: &RecordBatch| -> Vec<(String, DataType)> {
        b.schema().fields().iter().map(|f| (f.name().to_string(), plain(f.data_type()))).collect()
    };
    let (want, got) = (signature(expected), signature(actual));
    if want != got {
        return Err(format!("columns differ: expected {want:?}, got {got:?}"));
    }
    if expected.num_rows() != actual.num_rows() {
        return Err(format!("expected {} rows, got {}", expected.num_rows(), actual.num_rows()));
    }
    let (mut want, mut got) = (rows(expected)?, rows(actual)?);
    if !tolerance.ordered {
        want.sort_by(|a, b| order(a, b));
        got.sort_by(|a, b| order(a, b));
    }
    for (number, (want, got)) in want.iter().zip(&got).enumerate() {
        for (column, (w, g)) in want.iter().zip(got).enumerate() {
            if !w.equals(g, tolerance.relative) {
                let name = expected.schema().field(column).name().to_string();
                return Err(format!("row {number}, column {name}: expected {w}, got {g}"));
            }
        }
    }
    Ok(())
}

/// Views and dictionaries of a type are that type. How many digits a decimal may have says nothing of its value: DataFusion's optimiser
/// sums partial sums, and gives those ten more each time.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Dictionary(_, value) => plain(value),
        DataType::Decimal32(_, s) | DataType::Decimal64(_, s) | DataType::Decimal128(_, s) | DataType::Decimal256(_, s) => {
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, *s)
        }
        other => other.clone(),
    }
}

/// Differences below this are rounding around zero.
const TINY: f64 = 1e-12;

enum Cell {
    Null,
    Float(f64),
    Text(String),
}

impl Cell {
    fn equals(&self, other: &Cell, relative: f64) -> bool {
        match (self, other) {
            (Cell::Null, Cell::Null) => true,
            (Cell::Float(a), Cell::Float(b)) => {
                a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= relative * a.abs().max(b.abs()) || (a - b).abs() <= TINY
            }
            (Cell::Text(a), Cell::Text(b)) => a == b,
            _ => false,
        }
    }

    /// Exact cells first: rows are matched by them before floating-point noise can reorder anything.
    fn rank(&self) -> u8 {
        match self {
            Cell::Text(_) => 0,
            Cell::Null => 1,
            Cell::Float(_) => 2,
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cell::Null => f.write_str("NULL"),
            Cell::Float(v) => write!(f, "{v:?}"),
            Cell::Text(t) => f.write_str(t),
        }
    }
}

fn order(a: &[Cell], b: &[Cell]) -> std::cmp::Ordering {
    let exact = |row: &[Cell]| -> Vec<(u8, String)> {
        row.iter().map(|c| (c.rank(), if let Cell::Text(t) = c { t.clone() } else { String::new() })).collect()
    };
    let floats = |row: &[Cell]| -> Vec<f64> { row.iter().filter_map(|c| if let Cell::Float(v) = c { Some(*v) } else { None }).collect() };
    exact(a).cmp(&exact(b)).then_with(|| floats(a).partial_cmp(&floats(b)).unwrap_or(std::cmp::Ordering::Equal))
}

fn rows(batch: &RecordBatch) -> Result<Vec<Vec<Cell>>, String> {
    let options = FormatOptions::default();
    let mut rows: Vec<Vec<Cell>> = (0..batch.num_rows()).map(|_| Vec::with_capacity(batch.num_columns())).collect();
    for column in batch.columns() {
        let formatter = ArrayFormatter::try_new(column, &options).map_err(|e| e.to_string())?;
        for (r, row) in rows.iter_mut().enumerate() {
            row.push(match column.data_type() {
                _ if column.is_null(r) => Cell::Null,
                DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(r)),
                DataType::Float32 => Cell::Float(column.as_primitive::<Float32Type>().value(r).into()),
                _ => Cell::Text(formatter.value(r).to_string()),
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array};

    fn batch(n: Vec<Option<i64>>, x: Vec<Option<f64>>) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(n)) as ArrayRef), ("x", Arc::new(Float64Array::from(x)))])
            .expect("equal lengths")
    }

    #[test]
    fn an_answer_without_rows_has_the_types_of_one_with_rows() {
        let oracle = Oracle::new().expect("an oracle");
        let types = |condition: &str| {
            let sql = format!("SELECT CASE WHEN a THEN b ELSE c END AS x FROM (VALUES (true, 1.5, 7)) AS t(a, b, c) WHERE {condition}");
            let answer = oracle.answer(&sql).expect("an answer");
            (answer.num_rows(), answer.schema().field(0).data_type().clone())
        };
        let ((one, some), (none, empty)) = (types("c = 7"), types("c = 8"));
        assert_eq!((one, none), (1, 0));
        assert_eq!(some, empty);
    }

    #[test]
    fn what_differs_is_found_and_what_does_not_is_not() {
        let a = batch(vec![Some(1), None, Some(2)], vec![Some(0.5), Some(1.0), None]);
        let turned = batch(vec![Some(2), Some(1), None], vec![None, Some(0.5 + 1e-12), Some(1.0)]);
        let strict = Tolerance { relative: 1e-15, ordered: false };
        let ordered = Tolerance { ordered: true, ..Tolerance::default() };
        assert_eq!(compare(&a, &turned, Tolerance::default()), Ok(()));
        assert!(compare(&a, &turned, ordered).is_err());
        for wrong in [
            batch(vec![Some(1), None, Some(3)], vec![Some(0.5), Some(1.0), None]),
            batch(vec![Some(1), Some(0), Some(2)], vec![Some(0.5), Some(1.0), None]),
            batch(vec![Some(1), None, Some(2)], vec![Some(0.5), Some(1.1), None]),
            batch(vec![Some(1), None], vec![Some(0.5), Some(1.0)]),
        ] {
            assert!(compare(&a, &wrong, Tolerance::default()).is_err());
        }
        assert!(compare(&a, &batch(vec![Some(1), None, Some(2)], vec![Some(0.501), Some(1.0), None]), strict).is_err());
        assert!(compare(&a, &a.project(&[0]).expect("a column"), Tolerance::default()).is_err());
    }
}
