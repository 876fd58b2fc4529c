//! The orders of rows that their owner knows, so that nothing is sorted on shares ([`protocols::rows::Owner`]): which they are, what the owner states of them, and whether that is quicker.
//!
//! *Which.* The rows are those of a relation at home, place by place, and what they are ordered by are columns there, as they stand. Secret bits may have dropped rows since, and others
//! may have been found for them; not where ties are broken at random, as their owner knows how. In one order an owner shares its rows ([`super::order`]); for every other it states the
//! permutation between the two.

use super::choose::Way;
use super::order::{at_home, is_ordered, keys_at_home};
use crate::exec::field::Value;
use crate::local::{Inputs, bits_at, planes_of, ties};
use crate::network::Network;
use crate::plan::relation::{Function, Operator, Relation, RelationId, SortKey};
use crate::plan::{Plan, Source};
use mpc_core::{Abort, B64, Layout, PartyId, Permutation};
use protocols::rows::{self, How, KnownOrder, Owner, Rows, Setting, Ties, Top, Window};
use protocols::{Engine, Estimate};

/// The orders that an operator needs, all known to the owner of its rows.
pub(super) struct Known<'p> {
    /// Who; `None`: everyone.
    owner: Option<&'p str>,
    home: (RelationId, &'p Relation),
    orders: Vec<HomeKeys>,
    ties: Ties,
    /// Whether secret bits may have dropped rows.
    dropped: bool,
}

/// One of them.
struct HomeKeys {
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
                let at_home = |column: usize| at_home(plan, *input, vec![column], true).is_some();
                (*input, rows::group_orders(keys, folds, &at_home), Ties::Any)
            }
            Operator::Total { input, folds } => (*input, rows::total_orders(folds), Ties::Any),
            Operator::Window { input, partition, by, unique, functions } => {
                (*input, rows::window_orders(partition, by, functions), Function::ties(functions, *unique))
            }
            Operator::Top { input, by, unique, .. } => (*input, vec![by.clone()], Ties::seen(*unique)),
            _ => return None,
        };
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
        let all = orders.into_iter().map(|by| HomeKeys { stands: stands(plan, home, &by, wanted.ties), by });
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

    /// The orders as they stand in a session: at their owner, whose place is this and who has `inputs` in clear, with the permutations that it states.
    pub fn orders<E: Engine>(&self, engine: &E, party: PartyId, inputs: &Inputs) -> Result<Vec<KnownOrder>, Abort> {
        let known = |order: &HomeKeys| {
            if order.stands {
                return Ok(KnownOrder::Stands);
            }
            engine.holds(party).then(|| self.places(order, inputs)).transpose().map(KnownOrder::Moves)
        };
        self.orders.iter().map(known).collect()
    }

    /// Their owner, who knows them so.
    pub fn owner_of<'a>(&self, party: PartyId, orders: &'a [KnownOrder]) -> Owner<'a> {
        Owner { party, orders, dropped: self.dropped }
    }

    /// The places of the rows in an order, at their owner.
    fn places(&self, order: &HomeKeys, inputs: &Inputs) -> Result<Permutation, Abort> {
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

/// An operator of which the owner of its rows knows the orders. So they come into them, whatever a sort on shares would take.
pub(super) struct Order<'p> {
    pub known: Known<'p>,
    /// This way, and that by sorting.
    pub ways: Vec<Way>,
}

type Run<'r> = &'r dyn Fn(&mut Estimate, How<'_>) -> Result<Rows<Estimate>, Abort>;

impl<'p> Order<'p> {
    fn new(known: Known<'p>, network: Network, run: Run<'_>) -> Result<Self, Abort> {
        let setting = Setting::to_price(network.model());
        let orders = known.orders(&Estimate::new(), PartyId(0), &Inputs::default())?;
        let owner = known.owner_of(PartyId(0), &orders);
        let at_home = Way::price(known.words(), network, &mut |e| run(e, How::Known(owner)))?;
        let sorting = Way::price("by sorting".into(), network, &mut |e| run(e, How::Sorting(&setting)))?;
        Ok(Order { known, ways: vec![at_home, sorting] })
    }

    /// The orders of an operator, which the owner of its rows knows.
    pub fn of(plan: &Plan, relation: &Relation, known: Known<'p>) -> Result<Self, Abort> {
        let priced = |id: &RelationId| Rows::to_price(&plan.relation(*id).shape());
        let shape = relation.shape();
        match &relation.op {
            Operator::Total { input, folds } => {
                let input = priced(input);
                Order::new(known, plan.network, &|e, how| rows::total(e, &input, folds, &shape, how))
            }
            Operator::Top { input, by, unique, skip } => {
                let (input, ties, skip) = (priced(input), Ties::seen(*unique), *skip as usize);
                Order::new(known, plan.network, &|e, how| rows::top(e, &input, &Top { by, ties, skip, how }, &shape))
            }
            Operator::Window { input, partition, by, unique, functions } => {
                let (input, ties) = (priced(input), Function::ties(functions, *unique));
                Order::new(known, plan.network, &|e, how| rows::window(e, &input, &Window { partition, by, ties, functions, how }, &shape))
            }
            _ => unreachable!("no other operator needs rows in an order"),
        }
    }
}
