//! The works: what each computes, on which inputs, and what it may take.

use super::question::Question;
use crate::micro::{Limits, generator};
use anyhow::{Result, ensure};
use mpc_core::{B64, Column, Fp61, Index, Layout, PartyId, Ring};
use protocols::relational::{
    JoinOptions, Keys, Known, Network, Side, Sorting, Standing, Tail, choices, find, group_sums, join, sort, sort_places,
};
use protocols::{Engine, Input, Message, Payload, Rep3, Rep3Share, Table, circuit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// The sorted places of 10^5 keys of 64 bits.
    Sort64Small,
    /// The sorted places of 10^6 keys of 32 bits.
    Sort32,
    /// The sorted places of 10^6 keys of 64 bits.
    Sort64,
    /// A sum by 64-bit keys over 10^5 rows, from unsorted rows to one row a group.
    GroupSum,
    /// 10^5 rows with unique 64-bit keys and 10^5 rows that refer to them, and the sum of the products of what they have.
    Join,
    /// The same, where the owner of either side knows its keys, and one asks the other.
    Find,
    /// Such a sum as SQL, of rows that two agencies have, and how many groups have more than so much.
    GroupSql,
    /// Such a join as SQL, of rows that two agencies have with those of a third.
    JoinSql,
    /// The same, and sums by the key that it joined on: rows stay in its order.
    JoinGroupSql,
    /// The same where what was found goes back to the rows, and they are sorted again: what the one before is compared with.
    JoinGroupTwice,
}

impl Work {
    /// All of them.
    pub const ALL: [Work; 10] = [
        Work::Sort64Small,
        Work::Sort32,
        Work::Sort64,
        Work::GroupSum,
        Work::Join,
        Work::Find,
        Work::GroupSql,
        Work::JoinSql,
        Work::JoinGroupSql,
        Work::JoinGroupTwice,
    ];

    /// As it is called in reports.
    pub fn name(self) -> &'static str {
        match self {
            Work::Sort64Small => "sort64_1e5",
            Work::Sort32 => "sort32_1e6",
            Work::Sort64 => "sort64_1e6",
            Work::GroupSum => "group_sum_1e5",
            Work::Join => "join_1e5",
            Work::Find => "join_psi_1e5",
            Work::GroupSql => "group_sql_1e5",
            Work::JoinSql => "join_sql_1e5",
            Work::JoinGroupSql => "join_group_sql_1e5",
            Work::JoinGroupTwice => "join_group_twice_1e5",
        }
    }

    /// The work of that name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let names = || Work::ALL.map(Work::name).join(", ");
        Work::ALL.into_iter().find(|w| w.name() == name).ok_or_else(|| format!("the works are {}", names()))
    }

    /// Rows worked on: of each side of a join.
    pub fn rows(self) -> usize {
        match self {
            Work::Sort32 | Work::Sort64 => 1_000_000,
            _ => 100_000,
        }
    }

    /// What it may take.
    pub fn limits(self) -> Limits {
        let wall = |wall_s| Limits { wall_s, cpu_s: None, bytes: None, rounds: None, memory: None };
        match self {
            Work::Sort64Small => Limits { cpu_s: Some(1.2), bytes: Some(53_000_000), ..wall(0.7) },
            Work::Sort32 => Limits { bytes: Some(304_000_000), ..wall(5.0) },
            Work::Sort64 => Limits { cpu_s: Some(14.0), bytes: Some(618_000_000), memory: Some(1_000_000_000), ..wall(8.0) },
            Work::GroupSum | Work::GroupSql => wall(1.2),
            Work::Join | Work::Find | Work::JoinSql | Work::JoinGroupSql | Work::JoinGroupTwice => wall(2.5),
        }
    }
}

type Bits = Rep3Share<B64>;
type Values = Rep3Share<Fp61>;

/// A work whose result was checked once.
pub enum Prepared {
    /// A protocol on shares.
    Shared(Box<Shared>),
    /// A question on rows at their owners.
    Question(Box<Question>),
}

impl Prepared {
    /// Makes the inputs, runs once and compares the result with the clear one.
    pub fn new(work: Work, engine: &mut Rep3) -> Result<Self> {
        if !matches!(work, Work::GroupSql | Work::JoinSql | Work::JoinGroupSql | Work::JoinGroupTwice) {
            return Ok(Prepared::Shared(Box::new(Shared::new(work, engine)?)));
        }
        let question = Question::new(work, engine.session().me())?;
        let parts = question.run(engine)?;
        question.check(engine, parts)?;
        Ok(Prepared::Question(Box::new(question)))
    }

    /// Runs it once. What is timed.
    pub fn run(&self, engine: &mut Rep3) -> Result<()> {
        match self {
            Prepared::Shared(shared) => shared.run(engine).map(drop),
            Prepared::Question(question) => question.run(engine).map(drop),
        }
    }
}

/// A protocol with its inputs shared.
pub struct Shared {
    work: Work,
    keys: Bits,
    values: Values,
    /// The other side of a join.
    other: Option<(Bits, Values)>,
    /// What the owners of both sides know: keys, and the values of the first.
    known: Option<(Column<B64>, Column<B64>, Column<Fp61>)>,
    clear: Clear,
}

/// The inputs in clear: everyone makes them, as each checks its own result.
struct Clear {
    keys: Vec<u64>,
    values: Vec<u64>,
    other: Option<(Vec<u64>, Vec<u64>)>,
}

/// A result, still shared.
pub enum Outcome {
    /// Where each row goes.
    Places(Rep3Share<Index>),
    /// Keys, sums and flags of groups.
    Groups(Bits, Values, Bits),
    /// A sum.
    Sum(Values),
}

impl Shared {
    /// Shares the inputs, runs once and compares the opened result with the clear one.
    fn new(work: Work, engine: &mut Rep3) -> Result<Self> {
        let clear = Clear::of(work);
        let width = if work == Work::Sort32 { 32 } else { 64 };
        let keys = share(engine, PartyId(0), &planes(&clear.keys, width))?;
        let values = share(engine, PartyId(1), &numbers(&clear.values))?;
        let other = match &clear.other {
            Some((keys, values)) => Some((share(engine, PartyId(1), &planes(keys, width))?, share(engine, PartyId(1), &numbers(values))?)),
            None => None,
        };
        let known = match (&clear.other, work) {
            (Some((others, _)), Work::Find) => Some((planes(&clear.keys, width), planes(others, width), numbers(&clear.values))),
            _ => None,
        };
        let shared = Shared { work, keys, values, other, known, clear };
        let outcome = shared.run(engine)?;
        shared.check(engine, outcome)?;
        Ok(Shared { clear: Clear { keys: Vec::new(), values: Vec::new(), other: None }, ..shared })
    }

    fn run(&self, engine: &mut Rep3) -> Result<Outcome> {
        Ok(match (self.work, &self.other, &self.known) {
            (Work::GroupSum, ..) => self.group_sum(engine)?,
            (Work::Join, Some((keys, values)), _) => self.join(engine, keys, values)?,
            (Work::Find, Some((_, values)), Some((keys, others, own))) => self.find(engine, (keys, own), (others, values))?,
            _ => Outcome::Places(sort_places(engine, self.keys.clone(), self.sorting())?),
        })
    }

    /// The algorithm that sends least.
    fn sorting(&self) -> Sorting {
        let key = if self.work == Work::Sort32 { 32 } else { 64 };
        let all = choices(self.work.rows(), key, Message::default(), Network::LOOPBACK);
        all.into_iter().min_by_key(|choice| choice.cost.max_bytes()).map_or_else(Sorting::default, |choice| choice.sorting)
    }

    fn group_sum(&self, engine: &mut Rep3) -> Result<Outcome> {
        let rows = self.work.rows();
        let table = Table::new(rows).with(self.keys.clone()).with::<Fp61>(self.values.clone());
        let (mut sorted, _) = sort(engine, self.keys.clone(), table, self.sorting())?;
        let (keys, values) = (sorted.take_first::<B64>(), sorted.take_first::<Fp61>());
        let groups = group_sums::<_, Fp61>(engine, keys, values, sorted, None, Tail::Blank)?;
        Ok(Outcome::Groups(groups.key, groups.sums, groups.valid.unwrap_or_else(|| unreachable!("a blank tail has flags"))))
    }

    fn join(&self, engine: &mut Rep3, keys: &Bits, values: &Values) -> Result<Outcome> {
        let rows = self.work.rows();
        let all = engine.constant(&Column::splat(B64::ONE, Layout::new(rows, 1)));
        let side = |key: &Bits, values: &Values| Side {
            key: key.clone(),
            valid: all.clone(),
            table: Table::new(rows).with::<Fp61>(values.clone()),
        };
        let (left, right) = (side(&self.keys, &self.values), side(keys, values));
        let mut joined = join(engine, left, right, JoinOptions { sorting: self.sorting(), ..JoinOptions::default() })?;
        let (x, y) = (joined.left.take_first::<Fp61>(), joined.right.take_first::<Fp61>());
        let matched = circuit::bit_times::<_, Fp61>(engine, &joined.matched, &x)?;
        Ok(Outcome::Sum(engine.dot(&matched, &y)?))
    }

    /// Party 1's rows, which stand in the order of their keys, ask for those of party 0.
    fn find(&self, engine: &mut Rep3, table: (&Column<B64>, &Column<Fp61>), base: (&Column<B64>, &Values)) -> Result<Outcome> {
        let rows = self.work.rows();
        let all = Column::splat(B64::ONE, Layout::new(rows, 1));
        let (no_bits, no_wide) = (Column::zeros(Layout::new(rows, 0)), Column::zeros(Layout::new(rows, 0)));
        let owns = engine.holds(PartyId(0));
        let clear = |here: bool, key| here.then_some(Keys { key, valid: &all });
        let asks = Known { owner: PartyId(1), key: base.0.layout(), clear: clear(engine.holds(PartyId(1)), base.0) };
        let answers = Known { owner: PartyId(0), key: table.0.layout(), clear: clear(owns, table.0) };
        let payload = Payload { bits: 0, fp61: 1, fp127: 0 };
        let rows = owns.then_some((&no_bits, table.1, &no_wide));
        let found = find(engine, (&asks, Standing::Together), &answers, payload, rows)?;
        Ok(Outcome::Sum(engine.dot(&found.fp61, base.1)?))
    }

    fn check(&self, engine: &mut Rep3, outcome: Outcome) -> Result<()> {
        let Clear { keys, values, other } = &self.clear;
        let equal = match (outcome, other) {
            (Outcome::Places(places), _) => {
                let places = open(engine, places)?;
                let mut order: Vec<usize> = (0..keys.len()).collect();
                order.sort_by_key(|i| keys[*i]);
                order.iter().enumerate().all(|(to, from)| places.as_slice()[*from].0 as usize == to)
            }
            (Outcome::Groups(key, sums, valid), _) => {
                let (key, sums, valid) = (open(engine, key)?.to_uints(), open(engine, sums)?, open(engine, valid)?.to_bools(0));
                let mut groups = BTreeMap::<u64, u64>::new();
                keys.iter().zip(values).for_each(|(k, v)| *groups.entry(*k).or_default() += v);
                let got = key.iter().zip(sums.as_slice()).map(|(k, s)| (*k as u64, s.get()));
                let count = valid.iter().take_while(|v| **v).count();
                count == groups.len() && got.take(count).eq(groups) && valid[count..].iter().all(|v| !v)
            }
            (Outcome::Sum(sum), Some((other_keys, other_values))) => {
                let left: BTreeMap<u64, u64> = keys.iter().copied().zip(values.iter().copied()).collect();
                let term = |(k, v): (&u64, &u64)| left.get(k).map_or(Fp61::ZERO, |x| Fp61::new(*x).mul(Fp61::new(*v)));
                let expected = other_keys.iter().zip(other_values).map(term).fold(Fp61::ZERO, Fp61::add);
                open(engine, sum)?.as_slice() == [expected]
            }
            _ => false,
        };
        ensure!(equal, "{} differs from its clear result", self.work.name());
        Ok(())
    }
}

impl Clear {
    fn of(work: Work) -> Self {
        let rows = work.rows();
        let mut next = generator(work.name().len() as u64);
        let mut keys: Vec<u64> = (0..rows).map(|_| next()).collect();
        match work {
            Work::Sort32 => keys.iter_mut().for_each(|k| *k >>= 32),
            // some twenty rows a group
            Work::GroupSum => keys.iter_mut().for_each(|k| *k = (*k % (rows as u64 / 20)).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            // the owner of unique keys shares them in their order
            Work::Join | Work::Find => keys.sort(),
            _ => (),
        }
        let values: Vec<u64> = (0..rows).map(|_| next() >> 40).collect();
        let other = matches!(work, Work::Join | Work::Find).then(|| {
            // half of them find a row
            let key = |i: usize| if i.is_multiple_of(2) { keys[(i * 7919) % rows] } else { keys[i] ^ 1 };
            let mut others: Vec<u64> = (0..rows).map(key).collect();
            if work == Work::Find {
                // at home, as queries have it
                others.sort();
            }
            (others, values.iter().rev().copied().collect())
        });
        Clear { keys, values, other }
    }
}

fn share<R: Ring>(engine: &mut Rep3, owner: PartyId, column: &Column<R>) -> Result<Rep3Share<R>> {
    let mine = engine.holds(owner).then_some(column);
    Ok(engine.input(&[Input::new(owner, column.layout(), mine)])?.remove(0))
}

fn open<R: Ring>(engine: &mut Rep3, share: Rep3Share<R>) -> Result<Column<R>> {
    let verified = engine.verify(share)?;
    Ok(engine.open(&verified)?)
}

fn planes(values: &[u64], width: usize) -> Column<B64> {
    let mut planes = Column::zeros(Layout::new(values.len(), width));
    planes.set_rows(0, &Column::from_rows(values.iter().map(|v| mpc_core::Row64(*v)).collect()).narrowed(width as u32));
    planes
}

fn numbers(values: &[u64]) -> Column<Fp61> {
    Column::from_rows(values.iter().map(|v| Fp61::new(*v)).collect())
}
