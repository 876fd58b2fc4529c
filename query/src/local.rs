//! The local stage: sub-plans run in clear by DataFusion, at the owner of the tables they read (or everywhere, on public ones).
//!
//! What leaves this module are integers and bits ready to be shared, and errors that never carry a value: DataFusion's own messages
//! may quote the cell they stumbled over, so they are reduced to their kind.

mod rows;

pub(crate) use rows::{bits_at, element_at, planes as planes_of, ties};

use crate::exec::InputRing;
use crate::ground::Ground;
use crate::plan::relation::{Operator, Relation, RelationId};
use crate::plan::{ColumnKind, Form, Frame, Plan, Ring, Scan, ScanColumn, ScanId, Source, Subplan};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::arrow::datatypes::{DataType, Decimal128Type};
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionConfig;
use mpc_core::{B64, Column, Fp61, Fp127};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Address space for the planner's recursion; only what is used is ever touched.
const STACK: usize = 64 << 20;

/// Why a local stage failed. No variant carries a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A table of the plan is not at hand.
    #[error("the table {0} is not loaded here; add it to this node's sources")]
    Missing(String),
    /// A table of the plan is at hand with other columns than the catalogue's.
    #[error(
        "the table {0} is loaded with other columns or types than the catalogue declares; check this node's sources against the catalogue"
    )]
    Schema(String),
    /// DataFusion could not run the sub-plan.
    #[error("{place}: {what}")]
    Run {
        /// Which sub-plan.
        place: String,
        /// What kind of error; constant text.
        what: &'static str,
    },
    /// A relation the catalogue declares unique has two rows for one key.
    #[error(
        "{place}: more than one row for the same key of {frame}; a column declared as the key of its table has duplicates, or the sub-query does not group by it"
    )]
    Duplicate {
        /// Which sub-plan.
        place: String,
        /// The frame.
        frame: String,
    },
    /// A key outside the public domain, or rows that do not follow it.
    #[error("{place}: its rows are not the rows of {frame}; check that every key column draws from its declared domain")]
    Keys {
        /// Which sub-plan.
        place: String,
        /// The frame.
        frame: String,
    },
    /// A value outside the range the plan was compiled for.
    #[error(
        "{place}: {column} has a value outside the range {min} to {max} that follows from the catalogue; correct the data or the declared min and max"
    )]
    Range {
        /// Which sub-plan.
        place: String,
        /// The column, as SQL.
        column: String,
        /// Smallest value allowed (the plan's, scaled to an integer).
        min: i128,
        /// Largest value allowed.
        max: i128,
    },
    /// More rows than the plan has places for.
    #[error("{place}: it has not as many rows as the plan has places for ({places}); correct max_rows in the catalogue, or the data")]
    Places {
        /// Which sub-plan.
        place: String,
        /// Rows the plan was compiled for.
        places: u64,
    },
    /// A NULL in a column that is declared without.
    #[error("{place}: {column} has a NULL, but follows from columns declared not nullable; correct the data or the catalogue")]
    Null {
        /// Which sub-plan.
        place: String,
        /// The column, as SQL.
        column: String,
    },
    /// A text that is not in the dictionary of its column.
    #[error("{place}: {column} has a text that is not in its dictionary; correct the data or the catalogue")]
    Unlisted {
        /// Which sub-plan.
        place: String,
        /// The column, as SQL.
        column: String,
    },
    /// A text longer than its column's declared bytes.
    #[error("{place}: {column} has a text of more than {bytes} bytes, or one with a zero byte; correct the data or the declared length")]
    Length {
        /// Which sub-plan.
        place: String,
        /// The column, as SQL.
        column: String,
        /// Bytes allowed.
        bytes: u32,
    },
    /// The plan and this executor disagree: a defect, not bad data.
    #[error("{place}: {what} (a defect in the compiler; please report the query)")]
    Defect {
        /// Which sub-plan.
        place: String,
        /// What was expected; constant text.
        what: &'static str,
    },
}

/// The tables at hand, under their full names (`transport.trips`).
#[derive(Clone, Default)]
pub struct Tables(BTreeMap<String, Arc<dyn TableProvider>>);

impl Tables {
    /// No tables.
    pub fn new() -> Self {
        Tables::default()
    }

    /// Adds a table; one that had the name before is returned.
    pub fn insert(&mut self, name: impl Into<String>, table: Arc<dyn TableProvider>) -> Option<Arc<dyn TableProvider>> {
        self.0.insert(name.into(), table)
    }

    /// A table by its full name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn TableProvider>> {
        self.0.get(name)
    }

    /// All tables with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<dyn TableProvider>)> {
        self.0.iter().map(|(n, t)| (n.as_str(), t))
    }
}

impl<N: Into<String>> FromIterator<(N, Arc<dyn TableProvider>)> for Tables {
    fn from_iter<I: IntoIterator<Item = (N, Arc<dyn TableProvider>)>>(tables: I) -> Self {
        Tables(tables.into_iter().map(|(n, t)| (n.into(), t)).collect())
    }
}

/// One column of a scan in one of its forms, in clear, ready to be shared.
#[derive(Clone)]
pub enum InputColumn {
    /// Bits or bit-planes.
    Bits(Column<B64>),
    /// Elements of the value domain.
    Fp61(Column<Fp61>),
    /// Elements of the wide value domain.
    Fp127(Column<Fp127>),
}

/// All columns of one scan: `columns[column][form]`.
pub type ScanInputs = Vec<Vec<InputColumn>>;

/// What this node's local stage yields: columns for public rows, and rows, of which the others do not know yet how many there are.
#[derive(Clone, Default)]
pub struct AtHome {
    scans: BTreeMap<ScanId, ScanInputs>,
    relations: BTreeMap<RelationId, RecordBatch>,
}

impl AtHome {
    /// How many rows a relation has, if this node holds it.
    pub fn rows(&self, relation: RelationId) -> Option<u64> {
        self.relations.get(&relation).map(|rows| rows.num_rows() as u64)
    }

    /// What is shared of it: on the places of this plan.
    ///
    /// # Errors
    /// The data are not what the plan was compiled for.
    pub fn inputs(self, plan: &Plan) -> Result<Inputs, LocalError> {
        let mut relations = BTreeMap::new();
        for (id, rows) in self.relations {
            let columns = encoded(plan, id, &rows)?;
            relations.extend(columns.into_iter().map(|(ring, column)| ((id, ring), column)));
        }
        Ok(Inputs { scans: self.scans, relations })
    }
}

/// The columns this node brings to the joint stage, by scan and by relation.
#[derive(Clone, Default)]
pub struct Inputs {
    scans: BTreeMap<ScanId, ScanInputs>,
    relations: BTreeMap<(RelationId, InputRing), InputColumn>,
}

impl Inputs {
    /// The column `column` of `scan` in its form number `form`, if this node holds it.
    pub fn get(&self, scan: ScanId, column: usize, form: usize) -> Option<&InputColumn> {
        self.scans.get(&scan)?.get(column)?.get(form)
    }

    /// All planes of a relation in one ring, if this node holds them.
    pub fn relation(&self, relation: RelationId, ring: InputRing) -> Option<&InputColumn> {
        self.relations.get(&(relation, ring))
    }

    /// Adds what another node holds: only a clear oracle ever holds more than one node's.
    pub fn extend(&mut self, other: Inputs) {
        self.scans.extend(other.scans);
        self.relations.extend(other.relations);
    }
}

/// DataFusion as a local stage: one thread, bounded memory, no disk.
pub struct Local {
    state: SessionState,
    runtime: tokio::runtime::Runtime,
}

impl Local {
    /// A local stage that may use `memory` bytes for its operators.
    pub fn new(memory: usize) -> std::io::Result<Self> {
        let config = SessionConfig::new()
            .with_target_partitions(1)
            .with_information_schema(false)
            // it compares what may be NULL, which the optimiser's own rewritings make stricter; types are checked when columns are read
            .set_bool("datafusion.execution.skip_physical_aggregate_schema_check", true);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory)))
            .build_arc()
            .map_err(|e| std::io::Error::other(e.strip_backtrace()))?;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(environment)
            .with_default_features()
            .with_optimizer_rules(crate::rules::all())
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        Ok(Local { state, runtime })
    }

    /// Runs a sub-plan on `tables`. `place` names it in errors.
    pub fn run(&self, subplan: &Subplan, tables: &Tables, place: &str) -> Result<RecordBatch, LocalError> {
        let run = async |plan: LogicalPlan| {
            let physical = self.state.create_physical_plan(&plan).await?;
            let schema = physical.schema();
            let batches = collect(physical, self.state.task_ctx()).await?;
            Ok(concat_batches(&schema, &batches)?)
        };
        // binding walks the plan, too
        let bound = || bind(subplan.logical(), tables).map(|plan| self.runtime.block_on(run(plan)));
        let ran = on_a_deep_stack(|| Ok(bound())).map_err(|what| LocalError::Run { place: place.into(), what })?;
        ran?.map_err(|e: DataFusionError| LocalError::Run { place: place.into(), what: kind(&e) })
    }

    /// A sub-plan as it will run: after DataFusion's optimiser. For people.
    pub(crate) fn shown(&self, subplan: &Subplan) -> String {
        let optimized = on_a_deep_stack(|| self.state.optimize(subplan.logical()));
        optimized.as_ref().unwrap_or(subplan.logical()).display_indent().to_string()
    }

    /// Computes every scan and every relation that `party` owns.
    pub fn at_home(&self, plan: &Plan, party: &str, ground: &Ground, tables: &Tables) -> Result<AtHome, LocalError> {
        let scans = plan.scans_of(party).map(|(id, scan)| Ok((id, self.scan(plan, scan, ground, tables)?))).collect::<Result<_, _>>()?;
        let mut relations = BTreeMap::new();
        for (id, relation) in (0..).map(RelationId).zip(&plan.relations) {
            if matches!(&relation.op, Operator::Home { source: Source::Party(owner), .. } if owner == party) {
                relations.insert(id, self.rows(relation, tables)?);
            }
        }
        Ok(AtHome { scans, relations })
    }

    /// The columns of a relation of public rows.
    pub(crate) fn public(&self, plan: &Plan, id: RelationId, tables: &Tables) -> Result<Vec<(InputRing, InputColumn)>, LocalError> {
        encoded(plan, id, &self.rows(plan.relation(id), tables)?)
    }

    /// The rows of a relation that is computed in clear.
    fn rows(&self, relation: &Relation, tables: &Tables) -> Result<RecordBatch, LocalError> {
        let (subplan, place) = at_home(relation)?;
        let rows = self.run(subplan, tables, &place)?;
        match rows.num_rows() as u64 > relation.places {
            true => Err(LocalError::Places { place, places: relation.places }),
            false => Ok(rows),
        }
    }

    fn scan(&self, plan: &Plan, scan: &Scan, ground: &Ground, tables: &Tables) -> Result<ScanInputs, LocalError> {
        let place = place(plan, scan);
        let batch = self.run(&scan.plan, tables, &place)?;
        let columns = aligned(&batch, plan.frame(scan.frame), ground.keys(scan.frame), scan, &place)?;
        scan.columns.iter().zip(&columns).map(|(c, array)| encode(c, array, &place)).collect()
    }
}

/// The rows of a relation that is computed in clear, as the columns that are shared.
fn encoded(plan: &Plan, id: RelationId, rows: &RecordBatch) -> Result<Vec<(InputRing, InputColumn)>, LocalError> {
    let (_, place) = at_home(plan.relation(id))?;
    rows::encode(plan.relation(id), rows, crate::exec::order_at_home(plan, id).as_ref(), &place)
}

/// What is run for a relation, and where.
fn at_home(relation: &Relation) -> Result<(&Subplan, String), LocalError> {
    match &relation.op {
        Operator::Home { source: Source::Public, plan, .. } => Ok((plan, "public rows".into())),
        Operator::Home { source: Source::Party(name), plan, .. } => Ok((plan, format!("the local stage of {name}"))),
        _ => Err(LocalError::Defect { place: "a relation".into(), what: "only rows at home are computed in clear" }),
    }
}

/// Runs on a thread of its own: DataFusion's planner recurses, and the caller may be inside an async runtime.
fn on_a_deep_stack<T: Send>(work: impl FnOnce() -> Result<T, DataFusionError> + Send) -> Result<T, &'static str> {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name("local".into()).stack_size(STACK).spawn_scoped(scope, work);
        match worker.map(|w| w.join()) {
            Ok(Ok(result)) => result.map_err(|e| kind(&e)),
            Ok(Err(_)) => Err("DataFusion gave up on it"),
            Err(_) => Err("no thread could be started"),
        }
    })
}

/// A scan as people know it.
pub(crate) fn place(plan: &Plan, scan: &Scan) -> String {
    match &scan.source {
        Source::Public => format!("public columns for {}", plan.frame(scan.frame).name),
        Source::Party(name) => format!("the local stage of {name} for {}", plan.frame(scan.frame).name),
    }
}

/// The plan with its table scans on the tables at hand.
fn bind(plan: &LogicalPlan, tables: &Tables) -> Result<LogicalPlan, LocalError> {
    let mut failed = None;
    let bound = plan.clone().transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let name = full_name(&scan.table_name);
        match tables.get(&name) {
            None => failed = Some(LocalError::Missing(name)),
            Some(table) => {
                let (want, have) = (scan.source.schema(), table.schema());
                let same = want.fields().len() == have.fields().len()
                    && want.fields().iter().zip(have.fields()).all(|(w, h)| w.name() == h.name() && w.data_type() == h.data_type());
                if !same || !scan.filters.is_empty() {
                    failed = Some(LocalError::Schema(name));
                } else {
                    scan.source = provider_as_source(table.clone());
                }
            }
        }
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    });
    match (failed, bound) {
        (Some(e), _) => Err(e),
        (None, Ok(bound)) => Ok(bound.data),
        (None, Err(e)) => Err(LocalError::Run { place: "binding the tables of a sub-plan".into(), what: kind(&e) }),
    }
}

/// `schema.table`; an unqualified table is one of the planner's released tables.
fn full_name(table: &TableReference) -> String {
    match table.schema() {
        Some(schema) => format!("{schema}.{}", table.table()),
        None => table.table().to_string(),
    }
}

/// The columns behind the keys, once the keys are the frame's.
pub(crate) fn aligned(
    batch: &RecordBatch,
    frame: &Frame,
    keys: &[ArrayRef],
    scan: &Scan,
    place: &str,
) -> Result<Vec<ArrayRef>, LocalError> {
    let defect = |what| LocalError::Defect { place: place.into(), what };
    if batch.num_columns() != keys.len() + scan.columns.len() {
        return Err(defect("a scan yields its keys and its columns"));
    }
    let rows = keys.first().map_or(1, |k| k.len());
    if batch.num_rows() > rows {
        return Err(LocalError::Duplicate { place: place.into(), frame: frame.name.clone() });
    }
    let out_of_step = || LocalError::Keys { place: place.into(), frame: frame.name.clone() };
    if batch.num_rows() < rows {
        return Err(out_of_step());
    }
    for (want, have) in keys.iter().zip(batch.columns()) {
        let have = cast(have, want.data_type()).map_err(|_| defect("a key has the type of the frame's"))?;
        if **want != *have {
            return Err(out_of_step());
        }
    }
    Ok(batch.columns()[keys.len()..].to_vec())
}

/// A scanned column in all of its forms.
pub(crate) fn encode(column: &ScanColumn, array: &ArrayRef, place: &str) -> Result<Vec<InputColumn>, LocalError> {
    let defect = |what| LocalError::Defect { place: place.into(), what };
    let values: Vec<i128> = match &column.kind {
        ColumnKind::Label(_) => return Ok(Vec::new()),
        _ if array.null_count() > 0 => return Err(defect("a scanned column is never NULL")),
        ColumnKind::Bit => {
            let bits = array.as_boolean_opt().ok_or_else(|| defect("a bit is a boolean"))?;
            bits.values().iter().map(i128::from).collect()
        }
        ColumnKind::Integer { scale, min, max } => {
            if !matches!(array.data_type(), DataType::Decimal128(_, s) if s == scale) {
                return Err(defect("an integer is a decimal of the plan's scale"));
            }
            let values: Vec<i128> = array.as_primitive::<Decimal128Type>().values().to_vec();
            if values.iter().any(|v| v < min || v > max) {
                return Err(LocalError::Range { place: place.into(), column: column.words.clone(), min: *min, max: *max });
            }
            values
        }
    };
    column.forms.iter().map(|form| form_of(*form, &values).ok_or_else(|| defect("a form holds its column's range"))).collect()
}

fn form_of(form: Form, values: &[i128]) -> Option<InputColumn> {
    Some(match form {
        Form::Bit => InputColumn::Bits(Column::from_ints(values, 1)),
        Form::Planes { offset, width } => {
            let raised: Vec<i128> =
                values.iter().map(|v| v.checked_sub(offset).filter(|v| *v >= 0 && v >> width.min(127) == 0)).collect::<Option<_>>()?;
            InputColumn::Bits(Column::from_ints(&raised, width as usize))
        }
        Form::Field(Ring::Fp61) => InputColumn::Fp61(Column::from_rows(values.iter().map(|v| Fp61::from_i128(*v)).collect())),
        Form::Field(Ring::Fp127) => InputColumn::Fp127(Column::from_rows(values.iter().map(|v| Fp127::from_i128(*v)).collect())),
    })
}

/// What some kinds are called.
pub(crate) const DIVISION_BY_ZERO: &str = "division by zero";
pub(crate) const DOES_NOT_FIT: &str = "a value does not fit the type it is cast to";

/// The kind of a DataFusion error: its own text may quote data.
fn kind(error: &DataFusionError) -> &'static str {
    match error {
        DataFusionError::ArrowError(e, _) => match e.as_ref() {
            ArrowError::DivideByZero => DIVISION_BY_ZERO,
            ArrowError::ArithmeticOverflow(_) => "an arithmetic operation overflows; cast its operands to a wider type",
            ArrowError::CastError(_) | ArrowError::ParseError(_) | ArrowError::InvalidArgumentError(_) => DOES_NOT_FIT,
            ArrowError::MemoryError(_) | ArrowError::OffsetOverflowError(_) => "the memory limit was reached",
            ArrowError::IoError(..) | ArrowError::CsvError(_) | ArrowError::ParquetError(_) => "a source could not be read",
            _ => "a computation failed",
        },
        DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => "a source could not be read",
        DataFusionError::ResourcesExhausted(_) => "the memory limit was reached; raise it or narrow the query",
        DataFusionError::NotImplemented(_) => "DataFusion cannot run this construct",
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => kind(inner),
        DataFusionError::Shared(inner) => kind(inner),
        DataFusionError::Collection(all) => all.first().map_or("a computation failed", kind),
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::Internal(_) => "DataFusion could not plan it",
        _ => "a computation failed",
    }
}
