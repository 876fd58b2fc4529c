//! How equal keys are found: by the cost model, once a plan is compiled, and as a part of it.

use super::ask::Ask;
use super::choose::Way;
use super::{group, order};
use crate::local::Inputs;
use crate::plan::Plan;
use crate::plan::relation::{Operator, RelationId, Search};
use mpc_core::{Abort, PartyId};
use protocols::Estimate;
use protocols::rows::{Lookup, Rows, Setting, lookup};

/// Sides of more places are priced as if they had so many: a plan is compiled before anybody has admitted its size, and costs are linear by then.
const PRICED: usize = 1 << 20;

/// Says of each look-up how equal keys are found.
pub(crate) fn choose_searches(plan: &mut Plan) -> Result<(), Abort> {
    for id in (0..plan.relations.len()).map(RelationId) {
        if let Some((search, _)) = ways(plan, id, PRICED)?.first() {
            set(plan, id, *search);
        }
    }
    Ok(())
}

/// The ways to find the equal keys of a look-up, the quickest first; none if the relation is none. Where rows may stay in the order of the keys for groups by them, the groups are a part of
/// each way. Its sides are priced with at most `most` places.
pub(super) fn ways(plan: &Plan, id: RelationId, most: usize) -> Result<Vec<(Search, Way)>, Abort> {
    let mut ways = Vec::new();
    if !matches!(plan.relation(id).op, Operator::Lookup { .. }) {
        return Ok(ways);
    }
    let grouped = grouped(plan, id);
    for search in [Search::Sort, Search::SortInOrder, Search::Ask] {
        if search == Search::SortInOrder && grouped.is_none() {
            continue;
        }
        // how rows stand at home follows from what they are used for
        let mut plan = plan.clone();
        set(&mut plan, id, search);
        ways.extend(way(&plan, id, search, grouped, most)?.map(|way| (search, way)));
    }
    ways.sort_by(|(_, a), (_, b)| a.seconds.total_cmp(&b.seconds));
    Ok(ways)
}

/// The first groups whose rows a look-up could leave side by side. What other readers of it gain or lose is not priced.
pub(super) fn grouped(plan: &Plan, lookup: RelationId) -> Option<RelationId> {
    let mut groups = (0..plan.relations.len()).map(RelationId).filter(|id| {
        let Operator::Group { input, keys, folds } = &plan.relation(*id).op else { return false };
        order::grouped_by(keys, folds).is_some_and(|all| order::found_by(plan, *input, &all) == Some(lookup))
    });
    groups.next()
}

fn set(plan: &mut Plan, id: RelationId, to: Search) {
    if let Operator::Lookup { search, .. } = &mut plan.relations[id.0].op {
        *search = to;
    }
}

fn way(plan: &Plan, id: RelationId, search: Search, grouped: Option<RelationId>, most: usize) -> Result<Option<Way>, Abort> {
    let relation = plan.relation(id);
    let Operator::Lookup { base, table, on, columns, proved, .. } = &relation.op else { return Ok(None) };
    let priced = |id: RelationId| Rows::to_price(&plan.relation(id).at_most(most));
    let (base_rows, parties) = (priced(*base), [PartyId(0), PartyId(1)]);
    let groups = match grouped {
        Some(id) => group::Way::choose(plan, id, most)?.map(|(way, _)| way),
        None => None,
    };
    let with_groups = |way: Way| groups.iter().fold(way, |way, groups| way.then(&groups.ways[0]));
    let way = match search {
        Search::Ask => {
            let Some(ask) = Ask::of(plan, &relation.op) else { return Ok(None) };
            let ask = ask.with_places(most);
            let [asks, answers] = ask.owners();
            let words = format!("{asks} asks {answers} by keys that each knows at home");
            let run = &mut |e: &mut Estimate| ask.run(e, &base_rows, parties, &Inputs::default(), (relation, *proved), String::new);
            Way::price(words, plan.network, run)?
        }
        Search::Sort | Search::SortInOrder => {
            let in_order = search == Search::SortInOrder;
            let table_rows = priced(*table);
            let sorted = order::is_sorted(plan, &relation.op);
            let what = Lookup {
                base: &base_rows,
                table: &table_rows,
                on,
                columns,
                proved: *proved,
                sorted,
                in_order,
                setting: &Setting::to_price(plan.network.model()),
            };
            let words = match in_order {
                true => "the keys of both sides are sorted together, and the rows stay in that order for the groups",
                false => "the keys of both sides are sorted together",
            };
            Way::price(words.into(), plan.network, &mut |e| lookup(e, &what, &relation.shape(), String::new))?
        }
    };
    Ok(Some(with_groups(way)))
}
