//! Relations whose places are in an order that saves work: an owner sorts its rows in clear, at home.

use super::digest::Digest;
use crate::plan::Plan;
use crate::plan::relation::{Operator, RelationId, RowOp};

/// How the owner of a relation at home sorts its rows before it shares them.
pub(crate) struct HomeOrder {
    /// By these columns, the first the most significant.
    pub columns: Vec<usize>,
    /// By a digest of them, if they are wide.
    pub digest: Option<Digest>,
}

/// The order of a relation at home: by the keys of the first join that looks them up.
pub(crate) fn order_at_home(plan: &Plan, id: RelationId) -> Option<HomeOrder> {
    let columns = keys_at_home(plan, id)?;
    let relation = plan.relation(id);
    let width = columns.iter().map(|c| relation.columns[*c].form.width()).sum();
    Some(HomeOrder { columns, digest: Digest::new(&plan.hash(), width, relation.places) })
}

fn keys_at_home(plan: &Plan, id: RelationId) -> Option<Vec<usize>> {
    plan.relations.iter().find_map(|relation| match &relation.op {
        Operator::Lookup { table, on, .. } => {
            at_home(plan, *table, on.iter().map(|(_, t)| *t).collect()).filter(|(home, _)| *home == id).map(|(_, c)| c)
        }
        _ => None,
    })
}

/// The relation at home whose rows these are, place by place, and its columns that are those.
fn at_home(plan: &Plan, id: RelationId, columns: Vec<usize>) -> Option<(RelationId, Vec<usize>)> {
    match &plan.relation(id).op {
        Operator::Home { .. } => Some((id, columns)),
        // a row that is dropped would stay where it is, among those that are not
        Operator::Map { input, nodes, columns: outputs, keep: None } => {
            let from = columns.iter().map(|c| {
                let (value, valid) = outputs[*c];
                let RowOp::Column(from) = nodes[value.0].op else { return None };
                let nullable = plan.relation(*input).columns[from].nullable;
                (valid.map(|v| &nodes[v.0].op) == nullable.then_some(&RowOp::Valid(from))).then_some(from)
            });
            at_home(plan, *input, from.collect::<Option<_>>()?)
        }
        Operator::Lookup { base, .. } => {
            let of_base = plan.relation(*base).columns.len();
            columns.iter().all(|c| *c < of_base).then_some(())?;
            at_home(plan, *base, columns)
        }
        _ => None,
    }
}
/// Whether the places of a relation are in the order of these columns: first the rows in which none is NULL, sorted, then all other places.
pub(super) fn is_sorted(plan: &Plan, id: RelationId, columns: &[usize]) -> bool {
    match at_home(plan, id, columns.to_vec()) {
        Some((home, columns)) => keys_at_home(plan, home).as_deref() == Some(&columns),
        None => false,
    }
}
