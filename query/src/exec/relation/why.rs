//! Why a step has no other way, for people: what keeps an owner from ordering rows, or from asking another for them, and groups from being a mask each.

use super::arrange::{Known, Wanted, owner};
use super::ask::Ask;
use super::group;
use super::order::at_home;
use crate::plan::Plan;
use crate::plan::relation::{Operator, Relation, RelationId};
use protocols::rows::Ties;
use std::collections::BTreeSet;

/// Why nobody knows the orders that an operator needs; `None` if somebody does, or it needs none.
pub(in crate::exec) fn no_order(plan: &Plan, op: &Operator) -> Option<String> {
    let wanted = Wanted::of(plan, op)?;
    if Known::of(plan, op).is_some() {
        return None;
    }
    let columns = wanted.orders.iter().flatten().map(|key| key.column).collect();
    Some(match (known(plan, wanted.input, columns), wanted.ties) {
        (Err(why), _) => why,
        (Ok(_), Ties::Random) => "a secret bit may have dropped some of the rows, which whoever knows how ties stand could tell".into(),
        (Ok(_), Ties::Any) => "everyone knows the rows, and in another order".into(),
    })
}

/// Why no owner asks another in a look-up; `None` if one can, or it is none.
pub(in crate::exec) fn no_asking(plan: &Plan, op: &Operator) -> Option<String> {
    let Operator::Lookup { base, table, on, columns, .. } = op else { return None };
    if Ask::of(plan, op).is_some() {
        return None;
    }
    let asks = known(plan, *base, on.iter().map(|(b, _)| *b).collect());
    let answers = known(plan, *table, on.iter().map(|(_, t)| *t).chain(columns.iter().copied()).collect());
    Some(match (asks, answers) {
        (Err(why), _) => format!("on the side that looks up, {why}"),
        (_, Err(why)) => format!("on the side where it is looked, {why}"),
        (Ok(asks), Ok(answers)) if asks == answers => format!("{asks} has both sides"),
        _ => "a secret bit may have dropped some of the rows among which it is looked".into(),
    })
}

/// Why groups are not a mask for each tuple of keys; `None` if they can be, or are none.
pub(in crate::exec) fn no_masks(plan: &Plan, relation: &Relation) -> Option<String> {
    let Operator::Group { input, keys, folds } = &relation.op else { return None };
    group::few(plan.relation(*input), keys, folds, relation).err().map(Into::into)
}

/// Whose rows at home these are, place by place, with these columns as they stand; else why nobody's.
fn known(plan: &Plan, id: RelationId, columns: BTreeSet<usize>) -> Result<&str, String> {
    let Some((home, _)) = at_home(plan, id, Vec::new(), true) else {
        return Err(format!("the rows are {}, whose places no owner knows", placed(plan, id)));
    };
    let unknown = columns.into_iter().filter(|c| at_home(plan, id, vec![*c], true).is_none());
    let unknown: Vec<&str> = unknown.map(|c| plan.relation(id).columns[c].words.as_str()).collect();
    match (owner(plan.relation(home)), unknown.as_slice()) {
        (Some(owner), []) => Ok(owner),
        (Some(owner), unknown) => Err(format!("{owner}, whose rows they are, does not know {}", unknown.join(", "))),
        (None, _) => Err("everyone knows the rows".into()),
    }
}

/// What rows are that are no longer at the places they have at home.
fn placed(plan: &Plan, id: RelationId) -> &'static str {
    match &plan.relation(id).op {
        Operator::Map { input, .. } | Operator::Noise { input, .. } => placed(plan, *input),
        Operator::Lookup { base, .. } => placed(plan, *base),
        Operator::Window { input, .. } if at_home(plan, *input, Vec::new(), true).is_none() => placed(plan, *input),
        Operator::Window { .. } => "sorted for a window",
        Operator::Group { .. } => "groups",
        Operator::Total { .. } => "one for all",
        Operator::Pairs { .. } | Operator::Cross { .. } => "pairs",
        Operator::Top { .. } => "the first in an order",
        Operator::Union { .. } => "those of several relations",
        Operator::Home { .. } => "at home",
    }
}
