//! Rows in orders that their owner knows, so that nothing is sorted on shares.
//!
//! *Functionality.* The rows of n places in the order of some keys: ties anyhow, or, where it is seen how they stand, at random. Rows that secret bits dropped stand among the others, or behind all that are
//! left. What is computed of rows in order goes back to the places where they were.
//! *Which.* The rows are those of a relation at home, place by place, and what they are ordered by are columns there, as they stand. Secret bits may have dropped rows since, and others
//! may have been found for them; not where ties are broken at random, as their owner knows how.
//! *Protocol.* The owner sorts its rows in clear. In one order it shares them ([`super::order`]); for every other it states the permutation between the two
//! ([`Engine::permute_by`]). Where rows that were dropped must not stand among the others, those that are left are compacted to the front, which keeps their order.
//! *Source.* A permutation that one party knows: as the shuffle of Araki, Furukawa, Ohara, Pinkas, Rosemarin, Tsuchida, CCS'21, section 5.2, with one party's permutation instead of the parties'; the
//! compaction is one digit of the sort of Asharov, Hamada, Ikarashi, Kikuchi, Nof, Pinkas, Takahashi, Tomida, CCS'22, section 4.
//! *Cost.* w = log2 n bits of an index, W bits that move: nothing for the order in which rows were shared; for another (4/3) W bits a row and w by the owner, 2 rounds
//! ([`protocols::cost::permute_by`]), and as much for the way back. To compact 8w/3 + (4/3)(w + W) bits a row, 5 rounds ([`protocols::cost::compact`]); (4/3) W and 2 rounds for the way back.
//! *Leakage.* None: what an owner states follows from its own rows alone, whatever became of them since, and the others see two uniform permutations.

use super::choose::{Setting, Way};
use super::group::order::Order;
use super::keys::{Unpack, pack};
use super::order::{Ties, is_ordered, keys_at_home};
use super::{Cells, Rows, top, total, window};
use crate::exec::field::Value;
use crate::local::{Inputs, bits_at, planes_of, ties};
use crate::network::Network;
use crate::plan::relation::{Operator, Relation, RelationId, SortKey};
use crate::plan::{Plan, Source};
use mpc_core::{Abort, B64, Layout, PartyId, Permutation};
use protocols::relational::{Applied, compact, undo};
use protocols::{Engine, Estimate, Table};
use std::collections::BTreeSet;

/// The orders that an operator needs, all known to the owner of its rows.
pub(super) struct Known<'p> {
    /// Who; `None`: everyone.
    owner: Option<&'p str>,
    home: (RelationId, &'p Relation),
    orders: Vec<KnownOrder>,
    ties: Ties,
    /// Whether secret bits may have dropped rows.
    dropped: bool,
}

struct KnownOrder {
    /// In columns at home.
    by: Vec<SortKey>,
    /// Whether the rows were shared in this order.
    stands: bool,
}

/// An operator's input, the orders that it needs of it, and how ties stand: where that is seen, an owner who knows it could tell from who comes out which rows were dropped, and none
/// must have been.
pub(super) struct Wanted {
    pub input: RelationId,
    pub orders: Vec<Vec<SortKey>>,
    pub ties: Ties,
}

impl Wanted {
    /// By operator; `None` if it needs none.
    pub fn of(plan: &Plan, op: &Operator) -> Option<Self> {
        let (input, orders, ties) = match op {
            Operator::Group { input, keys, folds } => {
                let at_home = |column: usize| keys_at_home(plan, *input, &[side_by_side(column)], true).is_some();
                (*input, Order::all(folds).iter().map(|order| order.keys(keys, folds, &at_home)).collect(), Ties::Any)
            }
            Operator::Total { input, folds } => {
                let folds = total::in_order(folds);
                let orders: Vec<Order> = if folds.is_empty() { Vec::new() } else { Order::all(&folds) };
                (*input, orders.iter().map(|order| order.keys(&[], &folds, &|_| false)).collect(), Ties::Any)
            }
            Operator::Window { input, partition, by, unique, functions } => {
                let folds = window::in_order(functions);
                let first = partition.iter().map(|c| side_by_side(*c)).chain(by.iter().copied()).collect();
                let others = if folds.is_empty() { Vec::new() } else { Order::all(&folds) };
                let others = others.iter().map(|order| order.keys(partition, &folds, &|_| false));
                (*input, std::iter::once(first).chain(others).collect(), window::ties(functions, *unique))
            }
            Operator::Top { input, by, unique, .. } => (*input, vec![by.clone()], Ties::seen(*unique)),
            _ => return None,
        };
        let orders: Vec<Vec<SortKey>> = orders;
        (!orders.is_empty()).then_some(Wanted { input, orders, ties })
    }

    /// Whether one owner knows all orders.
    pub fn is_known(&self, plan: &Plan) -> bool {
        self.at_home(plan).is_some_and(|(home, _)| owner(plan.relation(home)).is_some())
    }

    /// The relation at home, and the orders in its columns.
    pub fn at_home(&self, plan: &Plan) -> Option<(RelationId, Vec<Vec<SortKey>>)> {
        let orders = self.orders.iter().map(|by| keys_at_home(plan, self.input, by, self.ties == Ties::Any));
        let orders: Vec<(RelationId, Vec<SortKey>)> = orders.collect::<Option<_>>()?;
        let home = orders.first()?.0;
        // what is known to all is in one order everywhere
        (self.ties == Ties::Any || owner(plan.relation(home)).is_some()).then(|| (home, orders.into_iter().map(|(_, by)| by).collect()))
    }
}

/// Rows with equal values side by side: the order of the planes, NULL first.
pub(super) fn side_by_side(column: usize) -> SortKey {
    SortKey { column, descending: false, nulls_first: true }
}

/// Whose rows at home these are, unless everyone's.
pub(super) fn owner(relation: &Relation) -> Option<&str> {
    match &relation.op {
        Operator::Home { source: Source::Party(owner), .. } => Some(owner),
        _ => None,
    }
}

impl<'p> Known<'p> {
    /// The orders that an operator needs, if the owner of its rows knows all of them.
    pub fn of(plan: &'p Plan, op: &Operator) -> Option<Self> {
        let wanted = Wanted::of(plan, op)?;
        let (home, orders) = wanted.at_home(plan)?;
        let relation = plan.relation(home);
        let all = orders.into_iter().map(|by| KnownOrder { stands: stands(plan, home, &by, wanted.ties), by });
        let (owner, orders) = (owner(relation), all.collect::<Vec<_>>());
        let dropped = keys_at_home(plan, wanted.input, &[], false).is_none();
        let known = owner.is_some() || orders.iter().all(|order| order.stands);
        known.then_some(Known { owner, home: (home, relation), orders, ties: wanted.ties, dropped })
    }

    /// Whose rows they are; `None`: everyone's.
    pub fn owner(&self) -> Option<&'p str> {
        self.owner
    }

    /// What is done, for people.
    pub fn words(&self) -> String {
        let who = self.owner.map_or("sorted in clear".into(), |owner| format!("sorted at home by {owner}"));
        match self.orders.iter().filter(|order| !order.stands).count() {
            0 => who,
            1 => who + ", who moves the rows from another order",
            times => format!("{who}, who moves the rows from another order {times} times"),
        }
    }

    /// The places of the rows in an order, at their owner.
    fn places(&self, order: &KnownOrder, inputs: &Inputs) -> Result<Permutation, Abort> {
        let (id, relation) = self.home;
        let rows = usize::try_from(relation.places).map_err(|_| missing())?;
        let planes = planes_of(relation, B64::RING);
        // the most significant first, and whether its complement counts
        let mut key: Vec<(usize, bool)> = if relation.full { Vec::new() } else { vec![(0, true)] };
        for by in &order.by {
            let column = bits_at(relation, by.column);
            let width = relation.columns[by.column].form.width();
            key.extend((width < column.len()).then_some((column.start + width, !by.nulls_first)));
            key.extend((0..width).rev().map(|plane| (column.start + plane, by.descending)));
        }
        let limbs = key.len().div_ceil(64) + 1;
        let mut words = vec![0u64; rows * limbs];
        if !key.is_empty() {
            let column = inputs.relation(id, B64::RING).and_then(B64::column);
            let column = column.filter(|c| c.layout() == Layout::new(rows, planes)).ok_or_else(missing)?;
            for (at, (plane, complement)) in key.into_iter().enumerate() {
                for row in (0..rows).filter(|row| column.bit(*row, plane) != complement) {
                    words[row * limbs + at / 64] |= 1 << (63 - at % 64);
                }
            }
        }
        if self.ties == Ties::Random {
            let random = ties(rows).ok_or(Abort::Exhausted("the operating system gave no randomness"))?;
            random.into_iter().enumerate().for_each(|(row, tie)| words[(row + 1) * limbs - 1] = tie);
        }
        let mut from: Vec<usize> = (0..rows).collect();
        from.sort_by(|a, b| words[a * limbs..(a + 1) * limbs].cmp(&words[b * limbs..(b + 1) * limbs]));
        let mut places = vec![0; rows];
        from.iter().zip(0..).for_each(|(row, place)| places[*row] = place);
        Permutation::new(places).ok_or_else(missing)
    }
}

/// Whether rows at home stand so already.
fn stands(plan: &Plan, home: RelationId, by: &[SortKey], ties: Ties) -> bool {
    (by.is_empty() && ties == Ties::Any) || is_ordered(plan, home, by, ties)
}

fn missing() -> Abort {
    Abort::Refused("this node's local stage did not yield the rows of the plan".into())
}

/// An owner who brings rows into the orders that it knows.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    known: &'a Known<'a>,
    party: PartyId,
    /// What is in clear here.
    inputs: &'a Inputs,
    /// The first order that is meant.
    first: usize,
}

impl<'a> Owner<'a> {
    /// Whose place in the session is this.
    pub fn new(known: &'a Known<'a>, party: PartyId, inputs: &'a Inputs) -> Self {
        Owner { known, party, inputs, first: 0 }
    }

    /// For the orders from this one on.
    pub fn from(self, first: usize) -> Self {
        Owner { first: self.first + first, ..self }
    }

    /// The rows of a table in an order, those first that hold a row: the bit that says so is column `row` of its bits.
    pub fn arrange<E: Engine>(&self, engine: &mut E, order: usize, table: Table<E>, row: Option<usize>) -> Result<Table<E>, Abort> {
        let (table, _) = self.moved(engine, order, table)?;
        let Some(row) = row.filter(|_| self.known.dropped) else { return Ok(table) };
        let row = table.columns::<B64>()[row].clone();
        Ok(compact(engine, &row, table, false)?.table)
    }

    /// The rows of a table in an order, those that were dropped where they were among the others, and at the owner where each row went, if they were moved.
    fn moved<E: Engine>(&self, engine: &mut E, order: usize, table: Table<E>) -> Result<(Table<E>, Option<Permutation>), Abort> {
        let order = &self.known.orders[self.first + order];
        if order.stands {
            return Ok((table, None));
        }
        let to = engine.holds(self.party).then(|| self.known.places(order, self.inputs)).transpose()?;
        Ok((engine.permute_by(self.party, to.as_ref(), table)?, to))
    }

    /// Rows with these columns in the first order, those that were dropped where they were among the others; other columns are left out. `None`: they stand so.
    pub fn rows<E: Engine>(&self, engine: &mut E, input: &Rows<E>, columns: &BTreeSet<usize>) -> Result<Option<Rows<E>>, Abort> {
        if self.known.orders[self.first].stands {
            return Ok(None);
        }
        let (table, _) = self.moved(engine, 0, read(input, columns))?;
        Ok(Some(with(input, columns, table)))
    }

    /// Rows with these columns in the first order, those first that hold a row, and what brought them there; other columns are left out.
    pub fn rows_in_front<E: Engine>(
        &self,
        engine: &mut E,
        input: &Rows<E>,
        columns: &BTreeSet<usize>,
    ) -> Result<(Rows<E>, Brought<E>), Abort> {
        let (table, to) = self.moved(engine, 0, read(input, columns))?;
        if input.row.is_none() || !self.known.dropped {
            return Ok((with(input, columns, table), Brought { to, front: None }));
        }
        let row = table.columns::<B64>()[0].clone();
        let front = compact(engine, &row, table, false)?;
        Ok((with(input, columns, front.table), Brought { to, front: Some(front.applied) }))
    }

    /// What rows have that were brought into the first order, at the places where they were.
    pub fn back<E: Engine>(&self, engine: &mut E, table: Table<E>, brought: &Brought<E>) -> Result<Table<E>, Abort> {
        let table = match &brought.front {
            Some(front) => undo(engine, front, table)?,
            None => table,
        };
        if self.known.orders[self.first].stands {
            return Ok(table);
        }
        let from = brought.to.as_ref().map(Permutation::inverse);
        engine.permute_by(self.party, from.as_ref(), table)
    }
}

/// What brought rows into an order.
pub(super) struct Brought<E: Engine> {
    /// Where each row went, at the owner, if they were moved: ties are broken once.
    to: Option<Permutation>,
    /// What brought those to the front that hold a row, if some may have been dropped.
    front: Option<Applied<E>>,
}

/// The bit that says whether there is a row, and these columns.
fn read<E: Engine>(input: &Rows<E>, columns: &BTreeSet<usize>) -> Table<E> {
    let table = input.row.iter().fold(Table::new(input.places), |table, row| table.with::<B64>(row.clone()));
    columns.iter().fold(table, |table, c| pack(table, &input.columns[*c]))
}

/// Rows like these with only these columns, from a table of them.
fn with<E: Engine>(like: &Rows<E>, columns: &BTreeSet<usize>, table: Table<E>) -> Rows<E> {
    let mut from = Unpack::new(table);
    let row = like.row.is_some().then(|| from.bits());
    let column = |(c, like): (usize, &Cells<E>)| if columns.contains(&c) { from.column(like) } else { like.slice(0..0) };
    let columns = like.columns.iter().enumerate().map(column).collect();
    Rows { places: like.places, row, columns }
}

/// How rows come into an order.
#[derive(Clone, Copy)]
pub(super) enum How<'a> {
    /// They are sorted on shares.
    Sorting(&'a Setting),
    /// Their owner knows it.
    Known(Owner<'a>),
}

impl How<'_> {
    /// For the orders from this one on.
    pub fn from(self, first: usize) -> Self {
        match self {
            How::Sorting(setting) => How::Sorting(setting),
            How::Known(owner) => How::Known(owner.from(first)),
        }
    }
}

/// What the cost model chose where the owner of rows knows an operator's orders.
pub(super) struct Choice<'p> {
    pub known: Known<'p>,
    /// Whether it is as the owner knows.
    pub chosen: bool,
    /// The ways, the quickest first.
    pub ways: Vec<Way>,
}

type Run<'r> = &'r dyn Fn(&mut Estimate, How<'_>) -> Result<Rows<Estimate>, Abort>;

impl<'p> Choice<'p> {
    /// The cheaper of two ways to do what `run` does; `always` the one that the owner knows.
    fn new(known: Known<'p>, always: bool, network: Network, run: Run<'_>) -> Result<Self, Abort> {
        let setting = Setting::to_price(network);
        let inputs = Inputs::default();
        let owner = Owner::new(&known, PartyId(0), &inputs);
        let at_home = Way::price(known.words(), network, &mut |e| run(e, How::Known(owner)))?;
        let sorting = Way::price("by sorting".into(), network, &mut |e| run(e, How::Sorting(&setting)))?;
        let chosen = always || at_home.seconds <= sorting.seconds;
        let ways = if chosen { vec![at_home, sorting] } else { vec![sorting, at_home] };
        Ok(Choice { known, chosen, ways })
    }
}

/// What brings the rows of an operator into its order, of the two ways the cheaper.
pub(super) fn choice<'p>(plan: &Plan, relation: &Relation, known: Known<'p>) -> Result<Choice<'p>, Abort> {
    let shape = |id: &RelationId| Rows::<Estimate>::shape(plan.relation(*id), plan.relation(*id).places as usize);
    match &relation.op {
        Operator::Total { input, folds } => {
            let input = shape(input);
            Choice::new(known, false, plan.network, &|e, how| total::total(e, &input, folds, relation, how))
        }
        Operator::Top { input, by, unique, skip } => {
            let (input, ties, skip) = (shape(input), Ties::seen(*unique), *skip as usize);
            Choice::new(known, false, plan.network, &|e, how| top::top(e, &input, &top::Top { by, ties, skip, how }, relation))
        }
        Operator::Window { input, partition, by, unique, functions } => {
            let (input, ties) = (shape(input), window::ties(functions, *unique));
            // what reads it may rely on the places
            Choice::new(known, true, plan.network, &|e, how| {
                window::window(e, &input, &window::Window { partition, by, ties, functions, how }, relation)
            })
        }
        _ => unreachable!("no other operator needs rows in an order"),
    }
}
