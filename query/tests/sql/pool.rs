//! All tables of three agencies in one process: each query is answered on shares and, by the oracle, in clear.

use super::search;
use mpc_core::PartyId;
use mpc_core::world::World;
use protocols::{Cost, Rep3};
use query::catalog::{Catalog, ColumnType, PUBLIC_SCHEMA};
use query::compile::{SqlError, compile, compile_protected};
use query::datafusion::arrow::array::types::Date32Type;
use query::datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use query::datafusion::arrow::compute::cast;
use query::datafusion::arrow::compute::kernels::cast_utils::{Parser, parse_decimal};
use query::datafusion::arrow::datatypes::Decimal128Type;
use query::datafusion::datasource::MemTable;
use query::difference::Cell;
use query::exec::Program;
use query::explain::{Price, price, price_of_disclosing};
use query::finish::{Answer, OpenedNumbers, answer, reconstruct};
use query::ground::Ground;
use query::local::{AtHome, Inputs, Local, Tables};
use query::message::Code;
use query::oracle::{Oracle, Tolerance, compare};
use query::plan::Plan;
use query::protection::Protection;
use query::wire;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::sync::Arc;

/// The tables, each agency's apart and pooled.
pub struct Pool {
    pub catalog: Catalog,
    parties: [&'static str; 3],
    tables: Tables,
    oracle: Oracle,
    local: Local,
}

/// How the failures begin that are DataFusion's.
pub const IN_CLEAR: &str = "in clear: ";

/// On what a query is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The clear engine.
    Plain,
    /// Three parties over a network in memory.
    Rep3,
}

/// Why there is no answer.
pub enum NoAnswer {
    /// The compiler refuses the query.
    Refused(Box<SqlError>),
    /// It was tried, and failed.
    Failed(String),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoAnswer::Refused(e) => write!(f, "{} {e}", e.code),
            NoAnswer::Failed(what) => f.write_str(what),
        }
    }
}

/// The plan on as many places as these tell.
pub fn sized(plan: &Plan, homes: &[AtHome]) -> Plan {
    let told = plan.disclosing().map(|d| homes.iter().find_map(|home| home.rows(d.id)).map(|rows| d.said(rows)));
    plan.sized(&told.collect::<Option<Vec<_>>>().expect("somebody holds the rows")).expect("numbers that can be")
}

/// Whether what a party's meter shows, rounds and bytes, is what was stated: exactly, or, where that is expected, within the bounds that EXPLAIN gives.
pub fn is_held(stated: &Price, party: usize, (rounds, bytes): (u64, u64)) -> bool {
    let of = |measured: u64, stated: u64| measured as f64 / stated as f64;
    let (stated_rounds, stated_bytes) = (stated.cost.rounds, stated.cost.bytes[party]);
    match stated.is_exact {
        true => (rounds, bytes) == (stated_rounds, stated_bytes),
        false => (0.8..1.2).contains(&of(rounds, stated_rounds)) && (1.0 / 3.0..3.0).contains(&of(bytes, stated_bytes)),
    }
}

/// What all steps cost together.
pub fn total(steps: &[Price]) -> Price {
    steps.iter().fold(Price { cost: Cost::FREE, is_exact: true }, |sum, step| Price {
        cost: sum.cost.then(step.cost),
        is_exact: sum.is_exact && step.is_exact,
    })
}

/// Of a part of a question, and of what its owner deals for it.
pub type Digests = [[u8; 32]; 2];

impl Pool {
    /// Agencies without tables.
    pub fn new(parties: [&'static str; 3], catalog: &str) -> Result<Self, String> {
        let catalog = Catalog::parse(catalog).map_err(|e| e.to_string())?;
        let oracle = Oracle::new().map_err(|e| e.to_string())?;
        let local = Local::new(1 << 30).map_err(|e| e.to_string())?;
        Ok(Pool { catalog, parties, tables: Tables::new(), oracle, local })
    }

    /// Adds a table from its CSV: a header, then rows in which an empty cell is NULL.
    pub fn add(&mut self, name: &str, csv: impl Read) -> Result<(), String> {
        let declared = self.catalog.table(name).ok_or_else(|| format!("{name} is not in the catalogue"))?;
        let mut reader = csv::Reader::from_reader(csv);
        let header: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(ToOwned::to_owned).collect();
        let mut columns: Vec<Vec<Option<String>>> = vec![Vec::new(); header.len()];
        for row in reader.records() {
            for (cell, column) in row.map_err(|e| format!("{name}: {e}"))?.iter().zip(&mut columns) {
                column.push((!cell.is_empty()).then(|| cell.to_owned()));
            }
        }
        let arrays = declared.columns.iter().map(|c| {
            let at = header.iter().position(|h| *h == c.name).ok_or_else(|| format!("{name} has no column {}", c.name))?;
            array(c.column_type, &columns[at]).ok_or_else(|| format!("{name}.{}: a cell is not a {}", c.name, c.column_type))
        });
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let schema = declared.arrow_schema();
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| format!("{name}: {e}"))?;
        let table = Arc::new(MemTable::try_new(schema, vec![vec![batch]]).map_err(|e| e.to_string())?);
        self.oracle.table(name, table.clone()).map_err(|e| e.to_string())?;
        self.tables.insert(name, table);
        Ok(())
    }

    /// The answer in clear, on the pooled tables.
    pub fn clear(&self, sql: &str) -> Result<RecordBatch, String> {
        self.oracle.answer(sql).map_err(|e| e.to_string())
    }

    /// The plan of a query.
    pub fn plan(&self, sql: &str) -> Result<Plan, NoAnswer> {
        compile(sql, &self.catalog).map_err(|e| NoAnswer::Refused(Box::new(e)))
    }

    /// The plan of a query whose answer is protected.
    pub fn protected(&self, sql: &str, protection: &Protection) -> Result<Plan, NoAnswer> {
        compile_protected(sql, &self.catalog, protection).map_err(|e| NoAnswer::Refused(Box::new(e)))
    }

    /// What a party contributes to an answer.
    pub fn cells(&self, plan: &Plan, party: &str) -> Result<BTreeMap<String, Vec<Cell>>, NoAnswer> {
        let fingerprint = |parts: &[&[u8]]| {
            let mut hasher = DefaultHasher::new();
            parts.hash(&mut hasher);
            hasher.finish()
        };
        let cells = self.local.cells(plan, party, &self.ground(plan)?, &self.at(party), &self.catalog, &fingerprint);
        cells.map_err(|e| NoAnswer::Failed(e.to_string()))
    }

    /// The public part of a plan.
    pub fn ground(&self, plan: &Plan) -> Result<Ground, NoAnswer> {
        Ground::new(plan, &self.local, &self.at(PUBLIC_SCHEMA)).map_err(|e| NoAnswer::Failed(e.to_string()))
    }

    /// The answer on shares.
    pub fn answer(&self, sql: &str, on: On) -> Result<RecordBatch, NoAnswer> {
        let plan = self.plan(sql)?;
        self.answer_by(&plan, &self.ground(&plan)?, on)
    }

    /// A plan on as many places as owners tell.
    pub fn sized(&self, plan: &Plan) -> Result<Plan, NoAnswer> {
        Ok(sized(plan, &self.at_home(plan, &self.ground(plan)?)?))
    }

    fn at_home(&self, plan: &Plan, ground: &Ground) -> Result<Vec<AtHome>, NoAnswer> {
        let homes = self.parties.iter().map(|party| self.local.at_home(plan, party, ground, &self.at(party)));
        homes.collect::<Result<_, _>>().map_err(|e| NoAnswer::Failed(e.to_string()))
    }

    /// What parties deal, by party: the part of the question that it is and a hash of the inputs; `None` for a part that is not said to be the same each time. With so much memory for operators.
    pub fn dealt(&self, sql: &str, memory: usize) -> Result<BTreeMap<&'static str, Option<Digests>>, NoAnswer> {
        let plan = self.plan(sql)?;
        let failed = |e: &dyn std::fmt::Display| NoAnswer::Failed(e.to_string());
        let local = Local::new(memory).map_err(|e| failed(&e))?;
        let ground = self.ground(&plan)?;
        let homes = self.at_home(&plan, &ground)?;
        let ran = sized(&plan, &homes);
        let program = Program::new(&ran, &ground).map_err(|e| failed(&e))?;
        let mut dealt = BTreeMap::new();
        for party in self.parties.into_iter().filter(|party| program.deals(party) > 0) {
            let home = local.at_home(&plan, party, &ground, &self.at(party)).map_err(|e| failed(&e))?;
            let inputs = home.inputs(&ran).map_err(|e| failed(&e))?;
            let hash = || program.hash_of_dealt(party, &inputs).expect("all of its columns are at hand");
            dealt.insert(party, query::dealing::part(&plan, party).map(|part| [part, **hash()]));
        }
        Ok(dealt)
    }

    /// The answer on shares, by this plan.
    pub fn answer_by(&self, plan: &Plan, ground: &Ground, on: On) -> Result<RecordBatch, NoAnswer> {
        self.whole_answer_by(plan, ground, on).map(|answer| answer.rows)
    }

    /// The same, with what does not come out of it. What three parties send is what the plan's price is.
    pub fn whole_answer_by(&self, asked: &Plan, ground: &Ground, on: On) -> Result<Answer, NoAnswer> {
        let failed = |e: &dyn std::fmt::Display| NoAnswer::Failed(e.to_string());
        let homes = self.at_home(asked, ground)?;
        let plan = &sized(asked, &homes);
        let program = Program::new(plan, ground).map_err(|e| failed(&e))?;
        let owner = |name: &str| self.parties.iter().position(|p| *p == name).map(|p| PartyId(p as u8));
        let inputs: Vec<Inputs> = homes.iter().map(|home| home.clone().inputs(plan)).collect::<Result<_, _>>().map_err(|e| failed(&e))?;
        let parts = match on {
            On::Plain => {
                let mut pooled = Inputs::default();
                inputs.iter().for_each(|i| pooled.extend(i.clone()));
                let parts = joint::plain(&program, 0, &owner, &pooled).map_err(|e| failed(&e))?;
                vec![("everyone".to_owned(), parts)]
            }
            On::Rep3 => {
                let outcomes = World::new(3, 1).run(|session| {
                    let me = session.me().index();
                    let mut engine = Rep3::new(session);
                    let told = joint::rep3_disclose(&mut engine, asked, &owner, &homes[me])?;
                    assert!(asked.sized(&told).is_some_and(|told| told.hash() == plan.hash()), "all learn what owners tell");
                    let parts = joint::rep3(&program, &mut engine, &owner, &inputs[me], &mut |_, _| ())?;
                    Ok(wire::encode(plan, &parts))
                });
                let mut prices = price(&program, &self.parties).map_err(|e| failed(&e))?;
                prices.push(Price { cost: price_of_disclosing(asked, &self.parties).map_err(|e| failed(&e))?, is_exact: true });
                let stated = total(&prices);
                let parts = outcomes.into_iter().zip(self.parties).enumerate().map(|(number, (outcome, party))| {
                    if outcome.result.is_ok() && !is_held(&stated, number, (outcome.meter.rounds, outcome.meter.bytes)) {
                        return Err(format!("{party}: priced {stated:?}, metered {:?}", outcome.meter));
                    }
                    let bytes = outcome.result.map_err(|e| format!("{party}: {e}"))?.ok_or("not three-party parts")?;
                    Ok((party.to_owned(), wire::decode(&bytes, plan, ground).ok_or("the release cannot be decoded")?))
                });
                parts.collect::<Result<Vec<_>, String>>().map_err(NoAnswer::Failed)?
            }
        };
        answer(plan, ground, &self.local, &parts).map_err(|e| failed(&e))
    }

    /// What a plan opens in clear, with the noise of each seed.
    pub fn opened(&self, plan: &Plan, ground: &Ground, seeds: std::ops::Range<u64>) -> Result<Vec<OpenedNumbers>, NoAnswer> {
        let failed = |e: &dyn std::fmt::Display| NoAnswer::Failed(e.to_string());
        let mut pooled = Inputs::default();
        for home in self.at_home(plan, ground)? {
            pooled.extend(home.inputs(plan).map_err(|e| failed(&e))?);
        }
        let program = Program::new(plan, ground).map_err(|e| failed(&e))?;
        let owner = |name: &str| self.parties.iter().position(|p| *p == name).map(|p| PartyId(p as u8));
        let of = |seed| {
            let parts = joint::plain(&program, seed, &owner, &pooled).map_err(|e| failed(&e))?;
            reconstruct(plan, ground, &[("everyone".to_owned(), parts)]).map_err(|e| failed(&e))
        };
        seeds.map(of).collect()
    }

    /// The public tables.
    pub fn public(&self) -> Tables {
        self.at(PUBLIC_SCHEMA)
    }

    /// Answers a query both ways, and on shares by every [search]. `Ok(Some(_))`: it is refused, and why; `Err`: the answers differ, or there is none.
    pub fn check(&self, sql: &str, on: On) -> Result<Option<Box<SqlError>>, String> {
        let expected = self.clear(sql).map_err(|e| format!("{IN_CLEAR}{e}"))?;
        let answers = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let plan = self.plan(sql)?;
            let ground = self.ground(&plan)?;
            search::all(&plan, &ground).iter().map(|plan| self.answer_by(plan, &ground, on)).collect::<Result<Vec<_>, _>>()
        }));
        match answers.map_err(|_| "panicked")? {
            // a fault of ours is no refusal
            Err(NoAnswer::Refused(e)) if e.code == Code::Internal => Err(format!("{} {e}", e.code)),
            Err(NoAnswer::Refused(e)) => Ok(Some(e)),
            Err(NoAnswer::Failed(what)) => Err(what),
            Ok(answers) => {
                let tolerance = Tolerance { ordered: ordered(sql), ..Tolerance::default() };
                answers.iter().try_for_each(|answer| compare(&expected, answer, tolerance)).map(|()| None)
            }
        }
    }

    /// What one agency holds: its own tables and the public ones.
    fn at(&self, party: &str) -> Tables {
        let held = |name: &str| name.split_once('.').is_some_and(|(schema, _)| schema == PUBLIC_SCHEMA || schema == party);
        self.tables.iter().filter(|(name, _)| held(name)).map(|(name, table)| (name, table.clone())).collect()
    }
}

/// Whether the query's own last clause is ORDER BY.
pub fn ordered(sql: &str) -> bool {
    sql.rfind("ORDER BY").is_some_and(|at| !sql[at..].contains(')') && !sql[at..].contains("FROM"))
}

fn array(column_type: ColumnType, cells: &[Option<String>]) -> Option<ArrayRef> {
    fn all<T>(cells: &[Option<String>], read: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
        cells.iter().map(|cell| cell.as_deref().map(&read).map_or(Some(None), |v| v.map(Some))).collect()
    }
    Some(match column_type {
        ColumnType::Int => Arc::new(Int32Array::from(all(cells, |c| c.parse().ok())?)),
        ColumnType::BigInt => Arc::new(Int64Array::from(all(cells, |c| c.parse().ok())?)),
        ColumnType::Date => Arc::new(Date32Array::from(all(cells, Date32Type::parse)?)),
        ColumnType::Timestamp(_) => {
            let texts = StringArray::from(cells.to_vec());
            cast(&texts, &column_type.arrow()).ok().filter(|moments| moments.null_count() == texts.null_count())?
        }
        ColumnType::Decimal(p, s) => {
            let values = all(cells, |c| parse_decimal::<Decimal128Type>(c, p, s).ok())?;
            Arc::new(Decimal128Array::from(values).with_precision_and_scale(p, s).ok()?)
        }
        ColumnType::Boolean => Arc::new(BooleanArray::from(all(cells, |c| c.parse().ok())?)),
        ColumnType::String => Arc::new(StringArray::from(cells.to_vec())),
    })
}
