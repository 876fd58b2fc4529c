//! Relations whose places are in an order that saves work: an owner sorts its rows in clear, at home.

use super::arrange::Wanted;
use crate::plan::Plan;
use crate::plan::relation::{Fold, FoldOp, Operator, RelationId, RowOp, Search, SortKey};
use protocols::Estimate;
use protocols::rows::{Digest, Lookup, Ties};
use std::collections::BTreeSet;

/// How the owner of a relation at home sorts its rows before it shares them.
pub(crate) enum HomeOrder {
    /// By these columns, the first the most significant, to be looked up, or to ask: rows in which one is NULL last. By a digest of the columns, if they are wide and
    /// are sorted on shares.
    Lookup(Vec<usize>, Option<Digest>),
    /// By these keys.
    By(Vec<SortKey>, Ties),
}

impl HomeOrder {
    /// The columns of the order, the first the most significant.
    pub fn columns(&self) -> Vec<usize> {
        match self {
            HomeOrder::Lookup(columns, _) => columns.clone(),
            HomeOrder::By(by, _) => by.iter().map(|key| key.column).collect(),
        }
    }
}

/// What the rows of a relation at home are read by.
#[derive(Clone, PartialEq, Eq)]
enum Use {
    /// A join that sorts the keys of both sides together looks them up, by a digest of them if there are too many bits of so many keys.
    LookedUp(LookedUp),
    /// A group-by, a window or the first rows in an order.
    Ordered(Vec<SortKey>, Ties),
    /// A join in which their owner asks for other rows.
    Asking(Vec<usize>),
}

/// By what, and among how many keys.
#[derive(Clone)]
struct LookedUp {
    columns: Vec<usize>,
    width: usize,
    keys: u64,
}

impl LookedUp {
    /// The relation at home whose rows a join looks up by sorting.
    fn of(plan: &Plan, op: &Operator) -> Option<(RelationId, Self)> {
        let Operator::Lookup { base, table, on, search: search @ (Search::Sort | Search::SortInOrder), .. } = op else { return None };
        let (home, columns) = at_home(plan, *table, on.iter().map(|(_, t)| *t).collect(), false)?;
        let width = columns.iter().map(|c| plan.relation(home).columns[*c].form.width()).sum();
        let keys = Lookup::<Estimate>::keys(plan.relation(*base).places, plan.relation(*table).places, *search == Search::SortInOrder);
        Some((home, LookedUp { columns, width, keys }))
    }
}

impl PartialEq for LookedUp {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns && Digest::bits(self.width, self.keys) == Digest::bits(other.width, other.keys)
    }
}

impl Eq for LookedUp {}

/// The order of a relation at home: that of the first join that looks its rows up by sorting; if there is none, that of the first operator that can do without a sort;
/// and else that of the first join in which its owner asks. Other orders cost its owner a permutation ([`super::arrange`]).
pub(crate) fn order_at_home(plan: &Plan, id: RelationId) -> Option<HomeOrder> {
    Some(match used(plan, id)? {
        Use::LookedUp(LookedUp { columns, width, keys }) => HomeOrder::Lookup(columns, Digest::new(&plan.hash(), width, keys)),
        Use::Asking(columns) => HomeOrder::Lookup(columns, None),
        Use::Ordered(by, ties) => HomeOrder::By(by, ties),
    })
}

/// The columns by which the rows are sorted, and for what.
fn used(plan: &Plan, id: RelationId) -> Option<Use> {
    let looked_up = plan.relations.iter().find_map(|relation| {
        let (home, by) = LookedUp::of(plan, &relation.op)?;
        (home == id).then_some(Use::LookedUp(by))
    });
    let ordered = || {
        plan.relations.iter().find_map(|relation| {
            let wanted = Wanted::of(plan, &relation.op)?;
            let (home, mut orders) = wanted.at_home(plan)?;
            let by = orders.swap_remove(0);
            (home == id && !by.is_empty()).then_some(Use::Ordered(by, wanted.ties))
        })
    };
    let asking = || {
        plan.relations.iter().find_map(|relation| match &relation.op {
            Operator::Lookup { base, on, search: Search::Ask, .. } => {
                let (home, columns) = at_home(plan, *base, on.iter().map(|(b, _)| *b).collect(), true)?;
                (home == id).then_some(Use::Asking(columns))
            }
            _ => None,
        })
    };
    // a sort on shares costs more than the permutation that rows side by side save who asks
    looked_up.or_else(ordered).or_else(asking)
}

/// The relation at home whose rows these are, as [`at_home`] has it, and the keys in its columns.
pub(super) fn keys_at_home(plan: &Plan, id: RelationId, by: &[SortKey], dropped: bool) -> Option<(RelationId, Vec<SortKey>)> {
    let (home, columns) = at_home(plan, id, by.iter().map(|key| key.column).collect(), dropped)?;
    Some((home, by.iter().zip(columns).map(|(key, column)| SortKey { column, ..*key }).collect()))
}

/// All columns whose values a group has in common, if its folds need no order of others.
pub(super) fn grouped_by(keys: &[usize], folds: &[Fold]) -> Option<Vec<usize>> {
    let same = folds.iter().filter_map(|f| if let FoldOp::Same(c) = f.op { Some(c) } else { None });
    folds.iter().all(Fold::is_plain).then(|| keys.iter().copied().chain(same).collect())
}

/// The relation at home whose rows these are, place by place, and its columns that are those. Rows that are dropped stay where they are, among those
/// that are not: `dropped` says whether there may be such.
pub(super) fn at_home(plan: &Plan, id: RelationId, columns: Vec<usize>, dropped: bool) -> Option<(RelationId, Vec<usize>)> {
    match &plan.relation(id).op {
        Operator::Home { .. } => Some((id, columns)),
        Operator::Map { input, keep, .. } if dropped || keep.is_none() => {
            let from = columns.iter().map(|c| as_it_stands(plan, id, *c));
            at_home(plan, *input, from.collect::<Option<_>>()?, dropped)
        }
        Operator::Lookup { base, search: Search::Sort | Search::Ask, .. } => {
            let of_base = plan.relation(*base).columns.len();
            columns.iter().all(|c| *c < of_base).then_some(())?;
            at_home(plan, *base, columns, dropped)
        }
        // what an owner who knows the order computes over it goes back to where the rows were
        Operator::Window { input, .. } if Wanted::of(plan, &plan.relation(id).op).is_some_and(|wanted| wanted.is_known(plan)) => {
            let of_input = plan.relation(*input).columns.len();
            columns.iter().all(|c| *c < of_input).then_some(())?;
            at_home(plan, *input, columns, dropped)
        }
        _ => None,
    }
}

/// The column of a map's input that one of its columns is.
fn as_it_stands(plan: &Plan, map: RelationId, column: usize) -> Option<usize> {
    let Operator::Map { input, nodes, columns, .. } = &plan.relation(map).op else { return None };
    let (value, valid) = columns[column];
    let RowOp::Column(from) = nodes[value.0].op else { return None };
    let nullable = plan.relation(*input).columns[from].nullable;
    (valid.map(|v| &nodes[v.0].op) == nullable.then_some(&RowOp::Valid(from))).then_some(from)
}

/// The look-up that finds these rows by these columns, and so could leave those that agree on them side by side ([`Search::SortInOrder`]): keys of it, all of them, and
/// besides what it found, which rows of a key have in common.
pub(super) fn found_by(plan: &Plan, id: RelationId, columns: &[usize]) -> Option<RelationId> {
    match &plan.relation(id).op {
        Operator::Map { input, .. } => {
            let from = columns.iter().map(|c| as_it_stands(plan, id, *c)).collect::<Option<Vec<_>>>()?;
            found_by(plan, *input, &from)
        }
        Operator::Lookup { base, table, on, columns: found, .. } => {
            let of_base = plan.relation(*base).columns.len();
            let mut keys = BTreeSet::new();
            for column in columns {
                let pair = match column.checked_sub(of_base) {
                    None => Some(on.iter().position(|(b, _)| b == column)?),
                    // where nothing is found it is NULL, whatever the key; a key that is never NULL was found, or the row is dropped
                    Some(at) if found.get(at).is_some() && !plan.relation(id).columns[*column].nullable => {
                        on.iter().position(|(_, t)| *t == found[at])
                    }
                    Some(_) => None,
                };
                keys.extend(pair);
            }
            (keys.len() == on.len() && plan.relation(*table).places > 0).then_some(id)
        }
        _ => None,
    }
}

/// Whether a look-up left the rows of a relation that agree on these columns side by side.
pub(super) fn is_in_order(plan: &Plan, id: RelationId, columns: &[usize]) -> bool {
    let by = found_by(plan, id, columns).map(|lookup| &plan.relation(lookup).op);
    matches!(by, Some(Operator::Lookup { search: Search::SortInOrder, .. }))
}

/// Whether the places of the table of a look-up are in the order that it sorts by: first the rows in which no key is NULL, sorted, then all other places.
pub(super) fn is_sorted(plan: &Plan, lookup: &Operator) -> bool {
    LookedUp::of(plan, lookup).is_some_and(|(home, by)| used(plan, home) == Some(Use::LookedUp(by)))
}

/// Whether the places of a relation at home are in the order of these keys; last come those that never had a row.
pub(super) fn is_ordered(plan: &Plan, home: RelationId, by: &[SortKey], ties: Ties) -> bool {
    match used(plan, home) {
        Some(Use::Ordered(sorted, at_random)) => match ties {
            Ties::Any => sorted.starts_with(by),
            Ties::Random => sorted == by && at_random == Ties::Random,
        },
        _ => false,
    }
}

/// Whether the rows of a relation at home that agree on these columns are side by side, those in which one is NULL behind all others.
pub(super) fn is_together(plan: &Plan, home: RelationId, columns: &[usize]) -> bool {
    let wanted: BTreeSet<&usize> = columns.iter().collect();
    let nullable = columns.iter().any(|c| plan.relation(home).columns[*c].nullable);
    match used(plan, home) {
        Some(Use::LookedUp(LookedUp { columns: sorted, .. }) | Use::Asking(sorted)) => sorted.iter().collect::<BTreeSet<_>>() == wanted,
        Some(Use::Ordered(by, _)) => {
            !nullable && (0..=by.len()).any(|n| by[..n].iter().map(|key| &key.column).collect::<BTreeSet<_>>() == wanted)
        }
        None => false,
    }
}
