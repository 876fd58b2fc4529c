//! EXPLAIN: what a plan will do, what it will cost and what it reveals, before anything runs.
//!
//! The figures are not estimates: the joint stage is run on [`protocols::Estimate`], the same program over shapes instead of shares,
//! so that they are what the meters of real parties will show. EXPLAIN ANALYZE puts those beside them. Only a samplesort of more than 90 rows costs what the random order of its
//! rows makes it: what is stated then is expected, and marked as such. Rounds are within a fifth of it, bytes within a tenth for a thousand rows or more, and no more than thrice for fewer.

mod lines;
mod noise;
mod text;

pub use lines::{ChoiceLine, ColumnLine, ContractLine, DecidedLine, FrameLine, RevealLine, RowsLine, ScanLine, StepLine, WayLine};
pub use noise::{NoiseLine, NoiseLines, SpentLine};

use crate::catalog::Catalog;
use crate::compile::compile_otherwise;
use crate::exec::disclose::{self, told};
use crate::exec::{DISCLOSED, Decision, Program, ProgramError, Step, Way, are_shared, order_at_home};
use crate::ground::Ground;
use crate::local::{AtHome, Inputs, Local, LocalError, Tables};
use crate::message::{Measured, Refusal};
use crate::plan::relation::{Operator, Relation, RelationId, RowForm};
use crate::plan::{ColumnKind, Form, Plan, Ring, Scan, Source};
use crate::protection::Protection;
use crate::size::Size;
use crate::wire;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use ledger::contract::Sizes;
use mpc_core::{Abort, Layout, PartyId};
use protocols::privacy::Unfit;
use protocols::relational::Sorting;
use protocols::{Cost, Estimate};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Memory for evaluating the public part of a plan.
const MEMORY: usize = 256 << 20;

/// Why a plan cannot be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The public part could not be evaluated.
    #[error(transparent)]
    Public(#[from] LocalError),
    /// The plan does not fit together.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The program could not be priced.
    #[error("the plan cannot be priced: {0}")]
    Price(#[from] Abort),
    /// The answer is too large to be released.
    #[error("{0}")]
    TooLarge(Refusal),
    /// There is no noise of the plan's laws.
    #[error("the noise of the plan cannot be made: {0}")]
    Noise(#[from] Unfit),
    /// DataFusion could not be started.
    #[error("the local engine could not be started: {0}")]
    Engine(#[from] std::io::Error),
}

/// Everything EXPLAIN says; `Display` shows it as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// The plan's hash, in hex.
    pub plan: String,
    /// The parties of the session in the roster's order; bytes are listed in this order.
    pub parties: Vec<String>,
    /// Who holds which tables of the query: a party or `public`, and full table names.
    pub holders: Vec<(String, Vec<String>)>,
    /// The rows the joint stage works on.
    pub frames: Vec<FrameLine>,
    /// What contracts say of it, if somebody who has contracts was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// What runs at home.
    pub scans: Vec<ScanLine>,
    /// Rows that are computed at home and shared one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowsLine>,
    /// What runs together, in order.
    pub steps: Vec<StepLine>,
    /// Bytes that a party takes at its peak for shares: the bound by which nodes admit the plan ([`Size`]).
    #[serde(default)]
    pub memory: u64,
    /// What the compiler decided, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decided: Vec<DecidedLine>,
    /// What the cost model assumes of the network.
    #[serde(default)]
    pub assumed: String,
    /// What contracts ask of what comes out, and is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privacy: Vec<String>,
    /// The noise on what comes out, and what it spends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseLines>,
    /// Everything the planner learns.
    pub reveals: Vec<RevealLine>,
    /// What the planner computes from it, in clear.
    pub answer: String,
}

/// Whether contracts allow a plan, as far as whoever explains it has them: the nodes decide by their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// There are none here.
    NotChecked,
    /// These do.
    Allowed(Vec<ContractLine>),
    /// They do not.
    Refused(Refusal),
}

/// Explains a plan. `parties` are the names of the session's parties in the roster's order.
pub fn explain(plan: &Plan, public: &Tables, parties: &[&str]) -> Result<Explain, ExplainError> {
    let local = Local::new(MEMORY)?;
    let ground = Ground::new(plan, &local, public)?;
    wire::admit(wire::release_bytes(plan, &ground)).map_err(ExplainError::TooLarge)?;
    let program = Program::new(plan, &ground)?;
    let first = match disclose::step(plan) {
        Some(step) => {
            vec![step_line(&step, &Price { cost: price_of_disclosing(plan, parties)?, is_exact: true }, DISCLOSED.into(), Vec::new())]
        }
        None => Vec::new(),
    };
    let priced = priced(&program, parties)?;
    let steps = program.steps().iter().zip(priced).enumerate().map(|(number, (step, (price, sorts)))| {
        Ok(step_line(step, &price, program.how(step), program.decisions(number, &sorts)?.into_iter().map(choice_line).collect()))
    });
    Ok(Explain {
        plan: plan.hash().iter().map(|b| format!("{b:02x}")).collect(),
        parties: parties.iter().map(|p| p.to_string()).collect(),
        holders: holders(plan),
        frames: (0..)
            .zip(&plan.frames)
            .map(|(f, frame)| FrameLine { name: frame.name.clone(), rows: ground.rows(crate::plan::FrameId(f)) as u64 })
            .collect(),
        consent: None,
        scans: plan.scans.iter().map(|scan| scan_line(plan, scan, &local)).collect(),
        rows: (0..)
            .map(RelationId)
            .zip(&plan.relations)
            .zip(are_shared(plan))
            .filter_map(|((id, relation), shared)| rows_line(plan, id, relation, shared, &local))
            .collect(),
        steps: first.into_iter().map(Ok).chain(steps).collect::<Result<_, Abort>>()?,
        memory: Size::of(plan).memory,
        decided: plan.decided.iter().cloned().map(|decided| DecidedLine { decided, weighed: None }).collect(),
        assumed: plan.network.to_string(),
        privacy: plan.protection.as_ref().map(Protection::words).unwrap_or_default(),
        noise: NoiseLines::of(plan)?,
        reveals: plan.reveals.iter().map(|r| RevealLine { what: r.what.clone(), per: r.per.clone(), why: r.why.clone() }).collect(),
        answer: local.shown(&plan.answer),
    })
}

impl Explain {
    /// Puts what each party measured beside the figures: by party name, one entry for each step. Entries that do not fit the steps
    /// are left out.
    pub fn analyze(mut self, measured: &[(String, Vec<Measured>)]) -> Self {
        for (number, step) in self.steps.iter_mut().enumerate() {
            let of = |party: &String| measured.iter().find(|(name, _)| name == party).and_then(|(_, all)| all.get(number));
            let all: Option<Vec<Measured>> = self.parties.iter().map(|p| of(p).filter(|m| m.operator == step.operator).cloned()).collect();
            step.measured = all.unwrap_or_default();
        }
        self
    }

    /// Puts beside it what contracts say of it.
    pub fn under(mut self, consent: Consent) -> Self {
        if let (Some(noise), Consent::Allowed(contracts)) = (&mut self.noise, &consent) {
            let budget = |dataset: &String| contracts.iter().find(|c| c.dataset == *dataset)?.budget;
            noise.spent.iter_mut().for_each(|line| line.month = budget(&line.dataset));
        }
        self.consent = Some(consent);
        self
    }

    /// Puts beside each thing decided what the question would take if it were decided the other way, as far as there is one. The question is compiled and priced
    /// once more for each.
    pub fn weighed(mut self, sql: &str, catalog: &Catalog, plan: &Plan, public: &Tables) -> Self {
        let parties: Vec<&str> = self.parties.iter().map(String::as_str).collect();
        let whole = |what: &str, plan: &Plan, explain: &Explain| {
            let bytes = explain.bytes().into_iter().max().unwrap_or(0);
            let cost = Cost { bits: [0; 3], bytes: [bytes; 3], rounds: explain.rounds() };
            let micros = (plan.network.model().seconds(&cost) * 1e6).round() as u64;
            WayLine { what: what.into(), rounds: cost.rounds, bytes, expected: explain.steps.iter().any(|step| step.expected), micros }
        };
        let mut weighed = Vec::new();
        for DecidedLine { decided, .. } in &self.decided {
            weighed.push(match &decided.other {
                None => None,
                Some(other) => {
                    let priced = compile_otherwise(sql, catalog, plan.protection.as_ref(), &decided.of)
                        .map_err(|refused| refused.message)
                        .and_then(|plan| Ok(whole(other, &plan, &explain(&plan, public, &parties).map_err(|e| e.to_string())?)));
                    Some((whole(&decided.way, plan, &self), priced))
                }
            });
        }
        self.decided.iter_mut().zip(weighed).for_each(|(line, weighed)| line.weighed = weighed);
        self
    }

    /// Rounds of the joint stage.
    pub fn rounds(&self) -> u64 {
        self.steps.iter().map(|s| s.rounds).sum()
    }

    /// Payload bytes of each party.
    pub fn bytes(&self) -> Vec<u64> {
        (0..self.parties.len()).map(|p| self.steps.iter().filter_map(|s| s.bytes.get(p)).sum()).collect()
    }
}

fn step_line(step: &Step, Price { cost, is_exact }: &Price, how: String, choices: Vec<ChoiceLine>) -> StepLine {
    StepLine {
        operator: step.name.clone(),
        what: step.what.clone(),
        rows: step.rows,
        rounds: cost.rounds,
        bytes: cost.bytes.to_vec(),
        expected: !is_exact,
        how,
        choices,
        measured: Vec::new(),
    }
}

/// What it costs that owners tell how many rows they have.
pub fn price_of_disclosing(plan: &Plan, parties: &[&str]) -> Result<Cost, Abort> {
    let mut engine = Estimate::new();
    told(&mut engine, plan, &|name| place_of(name, parties), &AtHome::default())?;
    Ok(engine.cost())
}

/// What a step costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Bytes and rounds.
    pub cost: Cost,
    /// Whether that is what will be paid, and not what is expected.
    pub is_exact: bool,
}

/// What each step of a program costs, from running it on shapes.
pub fn price(program: &Program<'_>, parties: &[&str]) -> Result<Vec<Price>, Abort> {
    Ok(priced(program, parties)?.into_iter().map(|(price, _)| price).collect())
}

/// A step's price, and the sorts in it.
type Priced = (Price, Vec<(Layout, Sorting)>);

fn priced(program: &Program<'_>, parties: &[&str]) -> Result<Vec<Priced>, Abort> {
    let owner = |name: &str| place_of(name, parties);
    let mut readings = Vec::new();
    let mut engine = Estimate::new();
    program.run(&mut engine, &owner, &Inputs::default(), &mut |e: &Estimate, _| readings.push((e.cost(), e.sorts().len())))?;
    let difference = |before: &Cost, after: &Cost| Cost {
        bits: std::array::from_fn(|p| after.bits[p] - before.bits[p]),
        bytes: std::array::from_fn(|p| after.bytes[p] - before.bytes[p]),
        rounds: after.rounds - before.rounds,
    };
    let steps = readings.windows(2).map(|w| {
        let sorts = engine.sorts()[w[0].1..w[1].1].to_vec();
        let is_exact = sorts.iter().all(|(key, by)| by.is_exact(key.rows));
        (Price { cost: difference(&w[0].0, &w[1].0), is_exact }, sorts)
    });
    Ok(steps.collect())
}

fn place_of(name: &str, parties: &[&str]) -> Option<PartyId> {
    parties.iter().position(|p| *p == name).and_then(|p| u8::try_from(p).ok()).map(PartyId)
}

fn choice_line(decision: Decision) -> ChoiceLine {
    let way = |way: Way| WayLine {
        what: way.words,
        rounds: way.cost.rounds,
        bytes: way.cost.max_bytes(),
        expected: !way.is_exact,
        micros: (way.seconds * 1e6).round() as u64,
    };
    ChoiceLine { of: decision.of, ways: decision.ways.into_iter().map(way).collect() }
}

fn holders(plan: &Plan) -> Vec<(String, Vec<String>)> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let at_home = plan.relations.iter().filter_map(|r| if let Operator::Home { plan, .. } = &r.op { Some(plan) } else { None });
    for subplan in plan.scans.iter().map(|s| &s.plan).chain(plan.frames.iter().map(|f| &f.rows)).chain(at_home) {
        // the walk itself cannot fail
        let _ = subplan.logical().apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Some(schema) = scan.table_name.schema()
            {
                tables.entry(schema.to_string()).or_default().insert(format!("{schema}.{}", scan.table_name.table()));
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }
    tables.into_iter().map(|(holder, tables)| (holder, tables.into_iter().collect())).collect()
}

fn scan_line(plan: &Plan, scan: &Scan, local: &Local) -> ScanLine {
    let columns = scan.columns.iter().map(|column| ColumnLine {
        what: column.words.clone(),
        range: match &column.kind {
            ColumnKind::Integer { scale, min, max } => range(*min, *max, *scale),
            ColumnKind::Bit | ColumnKind::Label(_) => String::new(),
        },
        forms: column.forms.iter().map(|f| form(*f)).collect(),
    });
    ScanLine {
        owner: match &scan.source {
            Source::Public => "public".into(),
            Source::Party(name) => name.clone(),
        },
        frame: plan.frame(scan.frame).name.clone(),
        plan: local.shown(&scan.plan),
        columns: columns.collect(),
    }
}

fn rows_line(plan: &Plan, id: RelationId, relation: &Relation, shared: bool, local: &Local) -> Option<RowsLine> {
    let Operator::Home { source, plan: subplan, sizes } = &relation.op else { return None };
    let columns = relation.columns.iter().map(|column| ColumnLine {
        what: column.words.clone(),
        range: match &column.form {
            RowForm::Bit => String::new(),
            RowForm::Planes { scale, offset, width } => {
                range(*offset, offset.saturating_add(1_i128.checked_shl(*width).map_or(i128::MAX, |most| most.saturating_sub(1))), *scale)
            }
            RowForm::Code { values, .. } => format!("one of {} texts", values.len()),
            RowForm::Text { bytes } => format!("text of at most {bytes} bytes"),
            RowForm::Field { min, max, scale, .. } => range(*min, *max, *scale),
        },
        forms: {
            let value = match (&column.form, column.form.width()) {
                (RowForm::Field { ring: Ring::Fp61, .. }, _) => "Fp61".into(),
                (RowForm::Field { ring: Ring::Fp127, .. }, _) => "Fp127".into(),
                (_, 1) => "1 bit".into(),
                (_, width) => format!("{width} bits"),
            };
            std::iter::once(value).chain(column.nullable.then(|| "a valid bit".into())).collect()
        },
    });
    let sorted = order_at_home(plan, id).map(|order| order.columns()).unwrap_or_default();
    Some(RowsLine {
        owner: match source {
            Source::Public => "public".into(),
            Source::Party(name) => name.clone(),
        },
        places: relation.places,
        padded: !relation.full && *sizes == Sizes::Hidden,
        sizes: *sizes,
        asked: !shared && *source != Source::Public,
        plan: local.shown(subplan),
        columns: columns.collect(),
        sorted: sorted.iter().map(|c| relation.columns[*c].words.clone()).collect(),
    })
}

fn range(min: i128, max: i128, scale: i8) -> String {
    match scale {
        0 => format!("{min} to {max}"),
        _ => format!("{min} to {max}, in units of 10^-{scale}"),
    }
}

fn form(form: Form) -> String {
    match form {
        Form::Bit => "1 bit".into(),
        Form::Planes { width: 1, .. } => "1 bit".into(),
        Form::Planes { width, .. } => format!("{width} bits"),
        Form::Field(Ring::Fp61) => "Fp61".into(),
        Form::Field(Ring::Fp127) => "Fp127".into(),
    }
}
