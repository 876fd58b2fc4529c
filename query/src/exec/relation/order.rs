//! Relations whose places are in an order that saves work: an owner sorts its rows in clear, at home.

use super::digest::Digest;
use super::group::order::plain;
use crate::plan::Plan;
use crate::plan::relation::{Fold, FoldOp, Operator, RelationId, RowOp, Search};
use std::collections::BTreeSet;

/// How the owner of a relation at home sorts its rows before it shares them.
pub(crate) struct HomeOrder {
    /// By these columns, the first the most significant.
    pub columns: Vec<usize>,
    /// What the order is for.
    pub order: Order,
}

/// What rows are sorted for at home.
pub(crate) enum Order {
    /// To be looked up, or to ask: rows in which a column is NULL last. By a digest of the columns, if they are wide and are sorted on shares.
    Lookup(Option<Digest>),
    /// To be grouped: NULL is a value like others.
    Group,
}

/// What the rows of a relation at home are read by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// A join that sorts the keys of both sides together looks them up.
    LookedUp,
    /// A group-by.
    Grouped,
    /// A join in which their owner asks for other rows.
    Asking,
}

/// The order of a relation at home: that of the first join that looks its rows up by sorting, or of the first group-by that can do without a sort; if there
/// is none, that of the first join in which its owner asks.
pub(crate) fn order_at_home(plan: &Plan, id: RelationId) -> Option<HomeOrder> {
    let (columns, used) = keys_at_home(plan, id)?;
    let relation = plan.relation(id);
    let width = columns.iter().map(|c| relation.columns[*c].form.width()).sum();
    let order = match used {
        Use::LookedUp => Order::Lookup(Digest::new(&plan.hash(), width, relation.places)),
        Use::Asking => Order::Lookup(None),
        Use::Grouped => Order::Group,
    };
    Some(HomeOrder { columns, order })
}

/// The columns by which the rows are sorted, and for what.
fn keys_at_home(plan: &Plan, id: RelationId) -> Option<(Vec<usize>, Use)> {
    let first = |asking: bool| {
        plan.relations.iter().find_map(|relation| {
            let (found, used) = match &relation.op {
                Operator::Lookup { base, on, search: Search::Ask, .. } if asking => {
                    (at_home(plan, *base, on.iter().map(|(b, _)| *b).collect(), true), Use::Asking)
                }
                Operator::Lookup { table, on, search: Search::Sort, .. } if !asking => {
                    (at_home(plan, *table, on.iter().map(|(_, t)| *t).collect(), false), Use::LookedUp)
                }
                Operator::Group { input, keys, folds } if !asking => (at_home(plan, *input, grouped_by(keys, folds)?, true), Use::Grouped),
                _ => return None,
            };
            found.filter(|(home, _)| *home == id).map(|(_, columns)| (columns, used))
        })
    };
    // a sort on shares costs more than the permutation that rows side by side save who asks
    first(false).or_else(|| first(true))
}

/// All columns whose values a group has in common, if its folds need no order of others.
pub(super) fn grouped_by(keys: &[usize], folds: &[Fold]) -> Option<Vec<usize>> {
    let same = folds.iter().filter_map(|f| if let FoldOp::Same(c) = f.op { Some(c) } else { None });
    folds.iter().all(plain).then(|| keys.iter().copied().chain(same).collect())
}

/// The relation at home whose rows these are, place by place, and its columns that are those. Rows that are dropped stay where they are, among those
/// that are not: `dropped` says whether there may be such.
pub(super) fn at_home(plan: &Plan, id: RelationId, columns: Vec<usize>, dropped: bool) -> Option<(RelationId, Vec<usize>)> {
    match &plan.relation(id).op {
        Operator::Home { .. } => Some((id, columns)),
        Operator::Map { input, nodes, columns: outputs, keep } if dropped || keep.is_none() => {
            let from = columns.iter().map(|c| {
                let (value, valid) = outputs[*c];
                let RowOp::Column(from) = nodes[value.0].op else { return None };
                let nullable = plan.relation(*input).columns[from].nullable;
                (valid.map(|v| &nodes[v.0].op) == nullable.then_some(&RowOp::Valid(from))).then_some(from)
            });
            at_home(plan, *input, from.collect::<Option<_>>()?, dropped)
        }
        Operator::Lookup { base, .. } => {
            let of_base = plan.relation(*base).columns.len();
            columns.iter().all(|c| *c < of_base).then_some(())?;
            at_home(plan, *base, columns, dropped)
        }
        _ => None,
    }
}

/// Whether the places of a relation are in the order of these columns: first the rows in which none is NULL, sorted, then all other places.
pub(super) fn is_sorted(plan: &Plan, id: RelationId, columns: &[usize]) -> bool {
    at_home(plan, id, columns.to_vec(), false).is_some_and(|(home, columns)| keys_at_home(plan, home) == Some((columns, Use::LookedUp)))
}

/// Whether rows that agree on these columns are side by side, those that were dropped among them; last come places that never had a row.
pub(super) fn is_grouped(plan: &Plan, id: RelationId, columns: &[usize]) -> bool {
    at_home(plan, id, columns.to_vec(), true).is_some_and(|(home, columns)| keys_at_home(plan, home) == Some((columns, Use::Grouped)))
}

/// Whether the rows of a relation at home that agree on these columns are side by side, those in which one is NULL behind all others.
pub(super) fn is_together(plan: &Plan, home: RelationId, columns: &[usize]) -> bool {
    let wanted: BTreeSet<&usize> = columns.iter().collect();
    let nullable = columns.iter().any(|c| plan.relation(home).columns[*c].nullable);
    match keys_at_home(plan, home) {
        Some((sorted, Use::LookedUp | Use::Asking)) => sorted.iter().collect::<BTreeSet<_>>() == wanted,
        Some((sorted, Use::Grouped)) => !nullable && (0..=sorted.len()).any(|n| sorted[..n].iter().collect::<BTreeSet<_>>() == wanted),
        None => false,
    }
}
