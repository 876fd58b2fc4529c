//! How equal keys are found: by the cost model, once a plan is compiled, and as a part of it.

use super::ask::Ask;
use super::choose::Way;
use super::order;
use crate::local::Inputs;
use crate::plan::Plan;
use crate::plan::relation::{Operator, Relation, RelationId, Search};
use mpc_core::{Abort, PartyId};
use protocols::Estimate;
use protocols::rows::{Lookup, Rows, Setting, Shape, lookup};

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

/// The ways to find the equal keys of a look-up, the quickest first; none if the relation is none. Its sides are priced with at most `most` places.
pub(super) fn ways(plan: &Plan, id: RelationId, most: usize) -> Result<Vec<(Search, Way)>, Abort> {
    let mut ways = Vec::new();
    if !matches!(plan.relation(id).op, Operator::Lookup { .. }) {
        return Ok(ways);
    }
    for search in [Search::Sort, Search::Ask] {
        // how rows stand at home follows from what they are used for
        let mut plan = plan.clone();
        set(&mut plan, id, search);
        ways.extend(way(&plan, plan.relation(id), search, most)?.map(|way| (search, way)));
    }
    ways.sort_by(|(_, a), (_, b)| a.seconds.total_cmp(&b.seconds));
    Ok(ways)
}

fn set(plan: &mut Plan, id: RelationId, to: Search) {
    if let Operator::Lookup { search, .. } = &mut plan.relations[id.0].op {
        *search = to;
    }
}

fn way(plan: &Plan, relation: &Relation, search: Search, most: usize) -> Result<Option<Way>, Abort> {
    let Operator::Lookup { base, table, on, columns, proved, .. } = &relation.op else { return Ok(None) };
    let priced = |id: RelationId| {
        let relation = plan.relation(id);
        Rows::to_price(&Shape { places: usize::try_from(relation.places).unwrap_or(most).min(most), ..relation.shape() })
    };
    let (base_rows, parties) = (priced(*base), [PartyId(0), PartyId(1)]);
    match search {
        Search::Ask => {
            let Some(ask) = Ask::of(plan, &relation.op) else { return Ok(None) };
            let ask = ask.with_places(most);
            let [asks, answers] = ask.owners();
            let words = format!("{asks} asks {answers} by keys that each knows at home");
            let run = &mut |e: &mut Estimate| ask.run(e, &base_rows, parties, &Inputs::default(), (relation, *proved), String::new);
            Way::price(words, plan.network, run).map(Some)
        }
        Search::Sort => {
            let table_rows = priced(*table);
            let sorted = order::is_sorted(plan, *table, &on.iter().map(|(_, t)| *t).collect::<Vec<_>>());
            let what = Lookup {
                base: &base_rows,
                table: &table_rows,
                on,
                columns,
                proved: *proved,
                sorted,
                setting: &Setting::to_price(plan.network.model()),
            };
            let words = "the keys of both sides are sorted together".into();
            Way::price(words, plan.network, &mut |e| lookup(e, &what, &relation.shape(), String::new)).map(Some)
        }
    }
}
