//! The ways to group rows, and which is the quickest: sorted on shares, in an order that their owner knows or a join left, or by a mask for each tuple of keys. Rows that come in an
//! order are not sorted on shares, whatever it would take.

use super::arrange::Known;
use super::{choose, order};
use crate::local::Inputs;
use crate::plan::Plan;
use crate::plan::relation::{Fold, Operator, Relation, RelationId, RowForm};
use mpc_core::{Abort, PartyId};
use protocols::rows::{How, KnownOrder, Owner, Rows, Setting, Shape, Tuple, group, group_as_they_are, group_by_masks};
use protocols::{Engine, Estimate};

/// Most tuples for which masks are considered.
const TUPLES: usize = 64;

/// Nobody needs to bring rows into an order in which a join left them.
const STANDS: Owner<'static> = Owner { party: PartyId(0), orders: &[KnownOrder::Stands], dropped: true };

/// How a way is gone.
type Run<'r> = &'r mut dyn FnMut(&mut Estimate) -> Result<Rows<Estimate>, Abort>;

/// How the groups of a relation are found.
pub(super) struct Way {
    find: Find,
    /// This one and its alternatives, the quickest first.
    pub ways: Vec<choose::Way>,
}

/// The ways.
enum Find {
    /// The rows are sorted.
    Sorting,
    /// Their owner knows the orders.
    Known,
    /// Their owner knows the order, and nothing is done to rows that were dropped.
    AsTheyAre,
    /// A join left them in order, and nothing is done to rows that were dropped.
    Joined,
    /// Each of these tuples has a mask.
    Masks(Vec<Tuple>),
}

impl Way {
    /// The quickest way to find the groups of a relation over the plan's network, by the cost of each, and the orders that the owner of the rows knows. Sides are priced with at most `most` places.
    pub fn choose<'p>(plan: &'p Plan, id: RelationId, most: usize) -> Result<Option<(Self, Option<Known<'p>>)>, Abort> {
        let relation = plan.relation(id);
        let Operator::Group { input, keys, folds } = &relation.op else { return Ok(None) };
        let of = plan.relation(*input);
        let (rows, shape, by) = (Rows::to_price(&of.at_most(most)), relation.at_most(most), (keys.as_slice(), folds.as_slice()));
        let setting = Setting::to_price(plan.network.model());
        let price = |words, run: Run<'_>| choose::Way::price(words, plan.network, run);
        // groups of which every row was dropped take a place each: fewer places than rows are known to do only where none is
        let room = relation.places == of.places || of.full;
        let all = order::grouped_by(keys, folds).filter(|_| room);
        let known = Known::of(plan, &relation.op);
        let mut ways = Vec::new();
        match &known {
            Some(known) => {
                let as_they_are = all.is_some_and(|all| order::at_home(plan, *input, all, true).is_some());
                let orders = known.orders(&Estimate::new(), PartyId(0), &Inputs::default())?;
                let owner = known.owner_of(PartyId(0), &orders);
                let way = match as_they_are {
                    true => price(known.words(), &mut |e| group_as_they_are(e, &rows, by, &shape, owner))?,
                    false => price(known.words(), &mut |e| group(e, &rows, by, &shape, How::Known(owner)))?,
                };
                ways.push((if as_they_are { Find::AsTheyAre } else { Find::Known }, way));
            }
            None if all.is_some_and(|all| order::is_in_order(plan, *input, &all)) => {
                let way = price("in the order of the join".into(), &mut |e| group_as_they_are(e, &rows, by, &shape, STANDS))?;
                ways.push((Find::Joined, way));
            }
            None => {}
        }
        if let Ok(few) = few(of, keys, folds, relation) {
            let way = price(format!("by {} masks", few.len()), &mut |e| group_by_masks(e, &rows, by, &shape, &few))?;
            ways.push((Find::Masks(few), way));
        }
        let sorting = price("by sorting".into(), &mut |e| group(e, &rows, by, &shape, How::Sorting(&setting)))?;
        ways.push((Find::Sorting, sorting));
        let ordered = ways.iter().any(|(find, _)| !matches!(find, Find::Masks(_) | Find::Sorting));
        let last = |find: &Find| ordered && matches!(find, Find::Sorting);
        ways.sort_by(|(f, a), (g, b)| last(f).cmp(&last(g)).then(a.seconds.total_cmp(&b.seconds)));
        let (mut finds, ways): (Vec<Find>, Vec<choose::Way>) = ways.into_iter().unzip();
        Ok(Some((Way { find: finds.swap_remove(0), ways }, known)))
    }

    /// Which it is, for people.
    pub fn words(&self) -> &str {
        &self.ways[0].words
    }

    /// Whether the rows are sorted on shares.
    pub fn is_by_sorting(&self) -> bool {
        matches!(self.find, Find::Sorting)
    }

    /// Whether their owner brings them into an order.
    pub fn is_by_owner(&self) -> bool {
        matches!(self.find, Find::Known | Find::AsTheyAre)
    }

    /// The algorithm, for people.
    pub fn how(&self) -> &'static str {
        match self.find {
            Find::Sorting => "sorted by the keys; what is summed over all rows is subtracted at the last row of each group",
            Find::AsTheyAre | Find::Known => {
                "in an order that their owner knows; what is summed over all rows is subtracted at the last row of each group"
            }
            Find::Joined => {
                "side by side since the join by these keys; what is summed over all rows is subtracted at the last row of each group"
            }
            Find::Masks(_) => "a bit a row for each tuple of keys, and inner products with it",
        }
    }

    /// Groups of this shape. `owner` is he who knows the orders, if one does.
    pub fn run<E: Engine>(
        &self,
        engine: &mut E,
        input: &Rows<E>,
        by: (&[usize], &[Fold]),
        shape: &Shape,
        owner: Option<Owner<'_>>,
        setting: &Setting,
    ) -> Result<Rows<E>, Abort> {
        let how = match (&self.find, owner) {
            (Find::Masks(tuples), _) => return group_by_masks(engine, input, by, shape, tuples),
            (Find::Joined, _) => return group_as_they_are(engine, input, by, shape, STANDS),
            (Find::AsTheyAre, Some(owner)) => return group_as_they_are(engine, input, by, shape, owner),
            (Find::Known, Some(owner)) => How::Known(owner),
            _ => How::Sorting(setting),
        };
        group(engine, input, by, shape, how)
    }
}

/// The tuples of which each may have a mask, or why they may not.
pub(super) fn few(input: &Relation, keys: &[usize], folds: &[Fold], relation: &Relation) -> Result<Vec<Tuple>, &'static str> {
    if folds.iter().any(Fold::needs_order) {
        return Err("a fold is over rows side by side");
    }
    let all = tuples(input, keys).ok_or("the keys allow more than 64 tuples")?;
    if all.len() as u64 <= relation.places { Ok(all) } else { Err("there are more tuples than rows") }
}

/// All tuples that the forms of the keys allow, if they are few.
fn tuples(input: &Relation, keys: &[usize]) -> Option<Vec<Tuple>> {
    let mut all: Vec<Tuple> = vec![Vec::new()];
    for key in keys {
        let column = &input.columns[*key];
        let values = match &column.form {
            RowForm::Code { values, .. } => values.len() as u64,
            form if form.width() <= 6 => 1 << form.width(),
            _ => return None,
        };
        let values: Vec<Option<u64>> = (0..values).map(Some).chain(column.nullable.then_some(None)).collect();
        if all.len() * values.len() > TUPLES {
            return None;
        }
        all = all.iter().flat_map(|t| values.iter().map(|v| t.iter().copied().chain([*v]).collect())).collect();
    }
    Some(all)
}
