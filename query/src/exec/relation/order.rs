//! Relations whose places are in an order that saves work: an owner sorts its rows in clear, at home.

use super::digest::Digest;
use super::group::order::plain;
use crate::plan::Plan;
use crate::plan::relation::{Fold, FoldOp, Operator, RelationId, RowOp};

/// How the owner of a relation at home sorts its rows before it shares them.
pub(crate) struct HomeOrder {
    /// By these columns, the first the most significant.
    pub columns: Vec<usize>,
    /// What the order is for.
    pub order: Order,
}

/// What rows are sorted for at home.
pub(crate) enum Order {
    /// To be looked up: rows in which a column is NULL last. By a digest of the columns, if they are wide.
    Lookup(Option<Digest>),
    /// To be grouped: NULL is a value like others.
    Group,
}

/// The order of a relation at home: that of the first join that looks its rows up, or of the first group-by that can do without a sort.
pub(crate) fn order_at_home(plan: &Plan, id: RelationId) -> Option<HomeOrder> {
    let (columns, lookup) = keys_at_home(plan, id)?;
    let relation = plan.relation(id);
    let width = columns.iter().map(|c| relation.columns[*c].form.width()).sum();
    let order = if lookup { Order::Lookup(Digest::new(&plan.hash(), width, relation.places)) } else { Order::Group };
    Some(HomeOrder { columns, order })
}

/// The columns, and whether they are looked up (else grouped by).
fn keys_at_home(plan: &Plan, id: RelationId) -> Option<(Vec<usize>, bool)> {
    plan.relations.iter().find_map(|relation| {
        let (found, lookup) = match &relation.op {
            Operator::Lookup { table, on, .. } => (at_home(plan, *table, on.iter().map(|(_, t)| *t).collect(), false), true),
            Operator::Group { input, keys, folds } => (at_home(plan, *input, grouped_by(keys, folds)?, true), false),
            _ => return None,
        };
        found.filter(|(home, _)| *home == id).map(|(_, columns)| (columns, lookup))
    })
}

/// All columns whose values a group has in common, if its folds need no order of others.
pub(super) fn grouped_by(keys: &[usize], folds: &[Fold]) -> Option<Vec<usize>> {
    let same = folds.iter().filter_map(|f| if let FoldOp::Same(c) = f.op { Some(c) } else { None });
    folds.iter().all(plain).then(|| keys.iter().copied().chain(same).collect())
}

/// The relation at home whose rows these are, place by place, and its columns that are those. Rows that are dropped stay where they are, among those
/// that are not: `dropped` says whether there may be such.
fn at_home(plan: &Plan, id: RelationId, columns: Vec<usize>, dropped: bool) -> Option<(RelationId, Vec<usize>)> {
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
    at_home(plan, id, columns.to_vec(), false).is_some_and(|(home, columns)| keys_at_home(plan, home) == Some((columns, true)))
}

/// Whether rows that agree on these columns are side by side, those that were dropped among them; last come places that never had a row.
pub(super) fn is_grouped(plan: &Plan, id: RelationId, columns: &[usize]) -> bool {
    at_home(plan, id, columns.to_vec(), true).is_some_and(|(home, columns)| keys_at_home(plan, home) == Some((columns, false)))
}
