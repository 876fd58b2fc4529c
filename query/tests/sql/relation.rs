//! Relations by hand over tiny tables: in clear, among three parties, and priced.

mod costs;
mod group;
mod lookup;
mod map;
mod rows;
mod window;

use super::pool::{is_held, sized, total};
use super::search;
use ledger::contract::Sizes;
use mpc_core::PartyId;
use mpc_core::world::World;
use protocols::Rep3;
use query::datafusion::arrow::array::{ArrayRef, BooleanArray, Decimal128Array, RecordBatch, StringArray};
use query::datafusion::datasource::{MemTable, provider_as_source};
use query::datafusion::logical_expr::LogicalPlanBuilder;
use query::exec::{Part, Program};
use query::explain::{Price, price, price_of_disclosing};
use query::finish::reconstruct;
use query::ground::Ground;
use query::local::{AtHome, Inputs, Local, LocalError, Tables};
use query::plan::relation::{Operator, Relation, RelationId, RowColumn, RowForm, RowKind, RowNode, RowNodeId, RowOp};
use query::plan::{PLAN_VERSION, Plan, Ring, RowRelease, Source, Subplan};
use query::trace::Trace;
use query::wire;
use std::sync::Arc;

const PARTIES: [&str; 3] = ["transport", "energy", "health"];

fn owner(name: &str) -> Option<PartyId> {
    PARTIES.iter().position(|p| *p == name).map(|p| PartyId(p as u8))
}

/// A value; NULL is `None`, and first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Value {
    Int(i128),
    Text(String),
}

type Cell = Option<Value>;
type Row = Vec<Cell>;

fn int(value: i128) -> Cell {
    Some(Value::Int(value))
}

fn text(value: &str) -> Cell {
    Some(Value::Text(value.into()))
}

fn number(cell: &Cell) -> Option<i128> {
    cell.as_ref().map(|v| if let Value::Int(v) = v { *v } else { panic!("a number") })
}

fn column(form: RowForm, nullable: bool) -> RowColumn {
    RowColumn { words: "c".into(), form, nullable }
}

fn planes(width: u32) -> RowForm {
    RowForm::Planes { scale: 0, offset: 0, width }
}

fn field(ring: Ring) -> RowForm {
    RowForm::Field { ring, scale: 0, min: -1 << 40, max: 1 << 40 }
}

fn codes() -> RowForm {
    RowForm::Code { values: ["ant", "bee", "cat", "dog", "eel"].map(String::from).to_vec(), width: 3 }
}

/// How rows reach an operator that needs them in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// As their owner shared them, who sorted them for it.
    Sorted,
    /// As their owner shared them, who sorted them for something else.
    Otherwise,
    /// Sorted, less those that a secret bit dropped.
    Dropped,
    /// Sorted for something else, less those that a secret bit dropped.
    OtherwiseDropped,
    /// So that nobody knows which is whose.
    Unknown,
}

impl Stand {
    const ALL: [Stand; 5] = [Stand::Sorted, Stand::Otherwise, Stand::Dropped, Stand::OtherwiseDropped, Stand::Unknown];

    /// Whether a secret bit dropped some.
    fn dropped(self) -> bool {
        matches!(self, Stand::Dropped | Stand::OtherwiseDropped)
    }
}

/// Relations under construction, with the tables at home.
#[derive(Default)]
struct Build {
    relations: Vec<Relation>,
    tables: Tables,
}

impl Build {
    /// Rows at home.
    fn home(&mut self, source: Source, places: u64, full: bool, columns: Vec<RowColumn>, rows: &[Row]) -> RelationId {
        let name = format!("t{}", self.relations.len());
        let full_name = match &source {
            Source::Public => format!("public.{name}"),
            Source::Party(party) => format!("{party}.{name}"),
        };
        let arrays: Vec<(String, ArrayRef)> = columns
            .iter()
            .enumerate()
            .map(|(c, column)| (format!("c{c}"), array(column, rows.iter().map(|r| r[c].clone()).collect())))
            .collect();
        let batch =
            RecordBatch::try_from_iter_with_nullable(arrays.into_iter().map(|(n, a)| (n, a, true))).expect("columns of equal lengths");
        let table: Arc<MemTable> = Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("one batch of its own schema"));
        let plan = LogicalPlanBuilder::scan(full_name.as_str(), provider_as_source(table.clone()), None).and_then(|b| b.build());
        self.tables.insert(full_name, table);
        let op = Operator::Home { source, plan: Subplan::new(plan.expect("a scan")), sizes: Sizes::Hidden };
        self.push(op, places, full, columns)
    }

    fn private(&mut self, party: usize, places: u64, columns: Vec<RowColumn>, rows: &[Row]) -> RelationId {
        self.home(Source::Party(PARTIES[party].into()), places, false, columns, rows)
    }

    fn push(&mut self, op: Operator, places: u64, full: bool, columns: Vec<RowColumn>) -> RelationId {
        self.relations.push(Relation { op, places, full, columns });
        RelationId(self.relations.len() - 1)
    }

    /// These rows, so; `taken` is the column by which they are sorted for something else, `bit` says which rows are left where some are dropped.
    fn stand(&mut self, rows: RelationId, stand: Stand, taken: usize, bit: usize) -> RelationId {
        let Relation { places, full, columns, .. } = self.relations[rows.0].clone();
        if matches!(stand, Stand::Otherwise | Stand::OtherwiseDropped) {
            let first = Operator::Group { input: rows, keys: vec![taken], folds: Vec::new() };
            self.push(first, places, false, vec![columns[taken].clone()]);
        }
        match stand {
            Stand::Sorted | Stand::Otherwise => rows,
            Stand::Dropped | Stand::OtherwiseDropped => kept(self, rows, bit),
            Stand::Unknown => self.push(Operator::Union { inputs: vec![rows] }, places, full, columns),
        }
    }

    fn columns(&self, id: RelationId) -> Vec<RowColumn> {
        self.relations[id.0].columns.clone()
    }

    fn plan(&self, ordered: bool) -> Plan {
        let relation = RelationId(self.relations.len() - 1);
        let answer = LogicalPlanBuilder::empty(false).build().expect("a plan");
        Plan {
            version: PLAN_VERSION,
            parties: PARTIES.map(String::from).to_vec(),
            frames: Vec::new(),
            scans: Vec::new(),
            nodes: Vec::new(),
            releases: Vec::new(),
            relations: self.relations.clone(),
            rows: vec![RowRelease { name: "r".into(), relation, ordered, safe: false, columns: Vec::new() }],
            answer: Subplan::new(answer),
            reveals: Vec::new(),
            network: Default::default(),
            decided: Vec::new(),
            protection: None,
        }
    }

    fn at_home(&self, plan: &Plan, local: &Local, ground: &Ground) -> Result<Vec<AtHome>, LocalError> {
        PARTIES.iter().map(|p| local.at_home(plan, p, ground, &self.tables)).collect()
    }

    fn inputs(&self, plan: &Plan, local: &Local, ground: &Ground) -> Result<Vec<Inputs>, LocalError> {
        self.at_home(plan, local, ground)?.into_iter().map(|home| home.inputs(plan)).collect()
    }

    /// The last relation's rows, as opened in clear and among three parties, whose cost is the stated one; by sorting, and by asking where keys are known;
    /// on the places of the plan, and on as many as owners tell.
    fn opened(&self, ordered: bool) -> Vec<Vec<Row>> {
        let plan = self.plan(ordered);
        let local = Local::new(64 << 20).expect("a runtime");
        let ground = Ground::new(&plan, &local, &self.tables).expect("the public part is right");
        let plans = search::all(&plan, &ground);
        let told = [Sizes::Bucket, Sizes::Exact].map(|sizes| plans.iter().map(move |plan| telling(plan, sizes)));
        let told: Vec<Plan> = told.into_iter().flatten().filter(|plan| plan.disclosing().next().is_some()).collect();
        plans.iter().chain(&told).flat_map(|plan| self.opened_by(plan, &local, &ground)).collect()
    }

    fn opened_by(&self, asked: &Plan, local: &Local, ground: &Ground) -> [Vec<Row>; 2] {
        let homes = self.at_home(asked, local, ground).expect("the data are right");
        let plan = &sized(asked, &homes);
        let inputs: Vec<Inputs> = homes.iter().map(|home| home.clone().inputs(plan).expect("the data are right")).collect();
        let program = Program::new(plan, ground).expect("the plan is executable");
        let mut pooled = Inputs::default();
        inputs.iter().for_each(|i| pooled.extend(i.clone()));
        let parts = joint::plain(&program, 0, &owner, &pooled).expect("the clear engine does not abort");
        let clear = rows(plan, ground, &[("all".into(), parts)]);

        let ran = World::new(3, 7).run_ok(|session| {
            let me = session.me().index();
            let mut engine = Rep3::new(session);
            let told = joint::rep3_disclose(&mut engine, asked, &owner, &homes[me])?;
            assert_eq!(asked.sized(&told).expect("numbers that can be").hash(), plan.hash());
            let mut trace = Trace::new();
            let parts = joint::rep3(&program, &mut engine, &owner, &inputs[me], &mut |e: &Rep3, step| {
                trace.mark(program.steps(), step, e.meter())
            })?;
            Ok((wire::encode(plan, &parts).expect("three-party parts"), trace.into_measured()))
        });
        let mut parts: Vec<(String, Vec<Part>)> = Vec::new();
        for (name, ((bytes, _), _)) in PARTIES.iter().zip(&ran) {
            assert_eq!(bytes.len(), wire::release_bytes(plan, ground));
            assert_eq!(wire::sized(bytes, asked).map(|plan| plan.hash()), Some(plan.hash()));
            parts.push((name.to_string(), wire::decode(bytes, plan, ground).expect("what was encoded")));
        }
        let shared = rows(plan, ground, &parts);
        let prices = price(&program, &PARTIES).expect("a price");
        let telling = price_of_disclosing(asked, &PARTIES).expect("a price");
        for (party, ((_, measured), meter)) in ran.iter().enumerate() {
            for (price, measured) in prices.iter().zip(measured) {
                assert!(is_held(price, party, (measured.rounds, measured.bytes)), "{price:?} {measured:?}");
            }
            let Price { cost, is_exact } = total(&prices);
            let stated = telling.then(cost);
            assert!(!is_exact || (meter.bits, meter.rounds) == (stated.bits[party], stated.rounds), "{stated:?} {meter:?}");
        }
        [clear, shared]
    }

    /// Among which ways the cost model chose in a step, as EXPLAIN has it: the first is the one that is gone, at the cost that is stated of it.
    fn ways(&self, operator: &str) -> Vec<String> {
        let explained = query::explain::explain(&self.plan(false), &self.tables, &PARTIES).expect("an explanation");
        let step = explained.steps.iter().find(|s| s.operator == operator).expect("there is such a step");
        let ways = &step.choices.first().expect("there was a choice").ways;
        assert_eq!(ways[0].rounds, step.rounds);
        // a sort on shares is the last where an owner knows the order
        assert!(ways[..ways.len() - 1].is_sorted_by_key(|way| way.micros), "{ways:?}");
        let text = explained.to_string();
        assert!(ways.iter().all(|way| text.contains(&way.what)), "{text}");
        ways.iter().map(|way| way.what.clone()).collect()
    }

    /// Whether rows are sorted on shares in a step, as EXPLAIN has it, and what it says of the step.
    fn sorts(&self, operator: &str) -> (bool, String) {
        let explained = query::explain::explain(&self.plan(false), &self.tables, &PARTIES).expect("an explanation");
        let step = explained.steps.iter().rfind(|s| s.operator == operator).expect("there is such a step");
        (step.choices.iter().any(|choice| choice.of.contains("sort")), step.what.clone())
    }

    /// The last relation's rows, which must be these in any order.
    fn expect(&self, mut expected: Vec<Row>) {
        expected.sort();
        for mut rows in self.opened(false) {
            rows.sort();
            assert_eq!(rows, expected);
        }
    }
}

/// The plan, with all owners telling how many rows they have.
fn telling(plan: &Plan, to: Sizes) -> Plan {
    let mut plan = plan.clone();
    for relation in &mut plan.relations {
        if let Operator::Home { sizes, .. } = &mut relation.op {
            *sizes = to;
        }
    }
    plan
}

fn array(column: &RowColumn, cells: Vec<Cell>) -> ArrayRef {
    let texts = || cells.iter().map(|c| c.as_ref().map(|v| if let Value::Text(t) = v { t.as_str() } else { panic!("a text") }));
    match &column.form {
        RowForm::Bit => Arc::new(cells.iter().map(|c| number(c).map(|v| v != 0)).collect::<BooleanArray>()),
        RowForm::Code { .. } | RowForm::Text { .. } => Arc::new(texts().collect::<StringArray>()),
        RowForm::Planes { scale, .. } | RowForm::Field { scale, .. } => {
            let values = cells.iter().map(number).collect::<Decimal128Array>();
            Arc::new(values.with_precision_and_scale(38, *scale).expect("38 digits are allowed"))
        }
    }
}

fn rows(plan: &Plan, ground: &Ground, parts: &[(String, Vec<Part>)]) -> Vec<Row> {
    let opened = reconstruct(plan, ground, parts).expect("the parts agree and are in range");
    let (opened, columns) = (opened.rows(0), &plan.relation(plan.rows[0].relation).columns);
    let cell = |row: usize, c: usize| match opened.numbers(columns.len() + c).expect("a valid bit")[row] {
        0 => None,
        _ => Some(match opened.texts(c) {
            Some(texts) => Value::Text(texts[row].clone()),
            None => Value::Int(opened.numbers(c).expect("a number")[row]),
        }),
    };
    (0..opened.rows()).map(|row| (0..columns.len()).map(|c| cell(row, c)).collect()).collect()
}

/// Sizes at which words, digits and halvings change.
const EDGES: [usize; 9] = [0, 1, 2, 3, 63, 64, 65, 127, 129];

/// Keys of eight bits: all equal, all distinct, sorted and reversed, these with repetitions.
fn kinds(rows: usize) -> [Vec<i128>; 4] {
    let n = rows as i128;
    [vec![255; rows], (0..n).map(|i| i * 37 % 251).collect(), (0..n).map(|i| i / 3).collect(), (0..n).rev().map(|i| i / 2).collect()]
}

/// Every so many a NULL.
fn now_and_then(values: Vec<i128>, null: usize) -> Vec<Cell> {
    values.into_iter().enumerate().map(|(at, v)| if at % null == 1 { None } else { int(v) }).collect()
}

/// All columns as they stand, of the rows whose bit is set.
fn kept(build: &mut Build, input: RelationId, bit: usize) -> RelationId {
    let columns = build.columns(input);
    let mut nodes = Vec::new();
    let mut node = |op, kind| {
        nodes.push(RowNode { op, kind });
        RowNodeId(nodes.len() - 1)
    };
    let out = columns.iter().enumerate().map(|(c, column)| {
        let kind = match &column.form {
            RowForm::Bit => RowKind::Bit,
            RowForm::Field { ring, .. } => RowKind::Field(*ring),
            form => RowKind::Planes(form.width() as u32),
        };
        (node(RowOp::Column(c), kind), column.nullable.then(|| node(RowOp::Valid(c), RowKind::Bit)))
    });
    let out: Vec<_> = out.collect();
    let keep = Some(out[bit].0);
    let places = build.relations[input.0].places;
    build.push(Operator::Map { input, nodes, columns: out, keep }, places, false, columns)
}

/// Small numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }

    /// A number, or now and then NULL.
    fn cell(&mut self, bound: u64, nullable: bool) -> Cell {
        if nullable && self.below(4) == 0 { None } else { int(self.below(bound).into()) }
    }

    fn rows(&mut self, count: usize, columns: &[(u64, bool)]) -> Vec<Row> {
        (0..count).map(|_| columns.iter().map(|(bound, nullable)| self.cell(*bound, *nullable)).collect()).collect()
    }
}
