//! The same as SQL: a question over three agencies' tables, compiled as nodes compile it, from rows at their owners to the parts that they release.

use super::work::Work;
use crate::micro::generator;
use anyhow::{Context, Result, anyhow, ensure};
use mpc_core::{PartyId, Ring};
use protocols::{Engine, Released, Rep3, Rep3Share};
use query::catalog::Catalog;
use query::compile::compile;
use query::datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use query::datafusion::arrow::util::display::array_value_to_string;
use query::datafusion::datasource::MemTable;
use query::exec::{Part, Program};
use query::finish::finish;
use query::ground::Ground;
use query::local::{Inputs, Local, Tables};
use query::plan::Plan;
use query::plan::relation::{Operator, Search};
use std::collections::BTreeMap;
use std::sync::Arc;

const PARTIES: [&str; 3] = ["east", "west", "prices"];
/// What is sold east and west, and what it costs by its key, which nobody may see.
const CATALOGUE: &str = "
version = 1
[[table]]
name = \"east.sales\"
max_rows = 50000
column = [{ name = \"k\", type = \"BIGINT\", min = 0, max = 9223372036854775807, nullable = false }, { name = \"v\", type = \"INT\", min = 0, max = 100000, nullable = false }]
[[table]]
name = \"west.sales\"
max_rows = 50000
column = [{ name = \"k\", type = \"BIGINT\", min = 0, max = 9223372036854775807, nullable = false }, { name = \"v\", type = \"INT\", min = 0, max = 100000, nullable = false }]
[[table]]
name = \"prices.list\"
max_rows = 100000
key = [\"k\"]
column = [{ name = \"k\", type = \"BIGINT\", min = 0, max = 9223372036854775807, nullable = false }, { name = \"v\", type = \"INT\", min = 0, max = 100000, nullable = false }]
";
const SALES: &str = "(SELECT k, v FROM east.sales UNION ALL SELECT k, v FROM west.sales)";
/// A sum above which a group is counted.
const MANY: i64 = 1_000_000;
/// The same of what is paid.
const DEAR: i64 = 50_000_000_000;

/// A question with this party's rows, and the answer that is right.
pub struct Question {
    plan: Plan,
    ground: Ground,
    local: Local,
    inputs: Inputs,
    expected: i64,
}

impl Question {
    /// That of a work.
    pub fn new(work: Work, me: PartyId) -> Result<Self> {
        let clear = Clear::of(work);
        let sql = match work {
            Work::GroupSql => format!("SELECT COUNT(*) AS n FROM (SELECT k FROM {SALES} s GROUP BY k HAVING SUM(v) > {MANY}) g"),
            Work::JoinGroupSql | Work::JoinGroupTwice => format!(
                "SELECT COUNT(*) AS n FROM (SELECT s.k FROM {SALES} s JOIN prices.list p ON p.k = s.k GROUP BY s.k HAVING SUM(CAST(s.v AS BIGINT) * p.v) > {DEAR}) g"
            ),
            _ => format!("SELECT SUM(CAST(s.v AS BIGINT) * p.v) AS n FROM {SALES} s JOIN prices.list p ON p.k = s.k"),
        };
        let catalog = Catalog::parse(CATALOGUE).map_err(|e| anyhow!("{e}"))?;
        let mut plan = compile(&sql, &catalog).map_err(|e| anyhow!("{e}"))?;
        let searches =
            plan.relations.iter_mut().filter_map(|r| if let Operator::Lookup { search, .. } = &mut r.op { Some(search) } else { None });
        for search in searches {
            let chosen = if matches!(work, Work::JoinSql) { Search::Sort } else { Search::SortInOrder };
            ensure!(*search == chosen, "the join goes another way");
            if work == Work::JoinGroupTwice {
                *search = Search::Sort;
            }
        }
        let local = Local::new(1 << 30)?;
        let ground = Ground::new(&plan, &local, &Tables::new())?;
        let name = PARTIES[me.index()];
        let home = local.at_home(&plan, name, &ground, &clear.tables(name)?)?;
        let inputs = home.inputs(&plan)?;
        Ok(Self { plan, ground, local, inputs, expected: clear.answer(work) })
    }

    /// Runs it once.
    pub fn run(&self, engine: &mut Rep3) -> Result<Vec<Part>> {
        let program = Program::new(&self.plan, &self.ground)?;
        let owner = |name: &str| PARTIES.iter().position(|party| *party == name).map(|number| PartyId(number as u8));
        Ok(joint::rep3(&program, engine, &owner, &self.inputs, &mut |_, _| ())?)
    }

    /// Opens what was released among the parties, and compares.
    pub fn check(&self, engine: &mut Rep3, parts: Vec<Part>) -> Result<()> {
        let opened = parts.into_iter().map(|part| {
            Ok(match part {
                Part::Bits(released) => Part::Bits(open(engine, released)?),
                Part::Fp61(released) => Part::Fp61(open(engine, released)?),
                Part::Fp127(released) => Part::Fp127(open(engine, released)?),
            })
        });
        let opened = opened.collect::<Result<Vec<_>>>()?;
        let rows = finish(&self.plan, &self.ground, &self.local, &[("all".into(), opened)])?;
        let answer = array_value_to_string(rows.column(0), 0)?;
        ensure!(answer == self.expected.to_string(), "the answer is {answer}, and should be {}", self.expected);
        Ok(())
    }
}

/// A party's components, opened to all.
fn open<R: Ring>(engine: &mut Rep3, released: Released<R>) -> Result<Released<R>> {
    let mut components = released.components.into_iter().map(|(_, component)| component);
    let (first, second) = (components.next().context("a component")?, components.next().context("another")?);
    let verified = engine.verify(Rep3Share::from_components(first, second))?;
    Ok(Released { of: 1, components: vec![(0, engine.open(&verified)?)] })
}

/// All rows: everyone makes them, as each checks the answer.
struct Clear {
    sales: Vec<(i64, i32)>,
    list: Vec<(i64, i32)>,
}

impl Clear {
    fn of(work: Work) -> Self {
        let rows = work.rows();
        let mut next = generator(work.name().len() as u64);
        let mut value = {
            let mut next = generator(1);
            move || (next() % 100_001) as i32
        };
        let list: BTreeMap<i64, i32> = (0..rows).map(|_| ((next() >> 1) as i64, value())).collect();
        let list: Vec<(i64, i32)> = list.into_iter().collect();
        let key = |row: usize| match work {
            // some twenty rows a group
            Work::GroupSql => list[row % (rows / 20)].0,
            // half of the groups find a row
            Work::JoinGroupSql | Work::JoinGroupTwice => list[row % (rows / 20)].0 ^ (row % (rows / 20) % 2) as i64,
            // half of them find a row
            _ => list[(row * 7919) % rows].0 ^ (row % 2) as i64,
        };
        let sales = (0..rows).map(|row| (key(row), value())).collect();
        Self { sales, list }
    }

    /// Those of one party.
    fn tables(&self, party: &str) -> Result<Tables> {
        let half = self.sales.len() / 2;
        let (name, rows) = match party {
            "east" => ("east.sales", &self.sales[..half]),
            "west" => ("west.sales", &self.sales[half..]),
            _ => ("prices.list", &self.list[..]),
        };
        let columns: [(&str, ArrayRef); 2] = [
            ("k", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
            ("v", Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ];
        let batch = RecordBatch::try_from_iter(columns)?;
        let mut tables = Tables::new();
        tables.insert(name, Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?));
        Ok(tables)
    }

    fn answer(&self, work: Work) -> i64 {
        if work == Work::GroupSql {
            let mut groups = BTreeMap::<i64, i64>::new();
            self.sales.iter().for_each(|(k, v)| *groups.entry(*k).or_default() += i64::from(*v));
            return groups.values().filter(|sum| **sum > MANY).count() as i64;
        }
        let list: BTreeMap<i64, i32> = self.list.iter().copied().collect();
        if matches!(work, Work::JoinGroupSql | Work::JoinGroupTwice) {
            let mut groups = BTreeMap::<i64, i64>::new();
            let paid = self.sales.iter().filter_map(|(k, v)| Some((*k, i64::from(*v) * i64::from(*list.get(k)?))));
            paid.for_each(|(k, paid)| *groups.entry(k).or_default() += paid);
            return groups.values().filter(|sum| **sum > DEAR).count() as i64;
        }
        self.sales.iter().filter_map(|(k, v)| Some(i64::from(*v) * i64::from(*list.get(k)?))).sum()
    }
}
