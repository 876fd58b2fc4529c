//! The relations of a plan ([`crate::plan::relation`]) on shares, once for all engines: the operators of [`protocols::rows`], each in the way that is chosen for it, and the expressions of a plan ([`map`]). Nothing branches on values but on
//! the random order that samplesort opens, so that what [`protocols::Estimate`] says of a relation is what it costs, or is expected to.

mod arrange;
mod ask;
mod check;
mod choose;
mod group;
mod map;
mod noise;
mod order;
mod run;
mod search;
mod why;

pub(crate) use choose::{Decision, Way};
pub(crate) use order::{HomeOrder, order_at_home};
pub(super) use run::Computed;
pub(crate) use search::choose_searches;
pub(super) use why::{no_asking, no_masks, no_order};

use super::InputRing;
use super::program::{ProgramError, Slot, SlotOf, counted};
use super::step::{Step, StepKind};
use crate::local::planes_of;
use crate::plan::relation::{Operator, Relation, RelationId, RowColumn, Search};
use crate::plan::{Plan, Ring, Source};
use arrange::{Known, Order};
use ask::Ask;
use map::Map;
pub(crate) use map::on_the_way;
use mpc_core::{Abort, Layout};
use protocols::rows::{ColumnShape, Form, Setting, Shape};
use std::collections::BTreeMap;

/// The relations of a plan, laid out.
pub(super) struct Relations<'p> {
    maps: BTreeMap<usize, Map<'p>>,
    /// How groups are found, and the orders that the owner of the rows knows.
    groups: BTreeMap<usize, (group::Way, Option<Known<'p>>)>,
    /// Other operators of which the owner of the rows knows the orders.
    orders: BTreeMap<usize, Order<'p>>,
    /// Look-ups in which one owner asks another.
    asks: BTreeMap<usize, Ask<'p>>,
    setting: Setting,
    /// The last relation that reads the shares of each, or one past the last relation if its rows are released; `None`: nobody does, and there are none.
    last: Vec<Option<usize>>,
}

impl<'p> Relations<'p> {
    /// Lays out all relations of `plan`.
    pub(super) fn new(plan: &'p Plan) -> Result<Self, ProgramError> {
        check::check(plan)?;
        let mut relations = Relations {
            maps: BTreeMap::new(),
            groups: BTreeMap::new(),
            orders: BTreeMap::new(),
            asks: BTreeMap::new(),
            setting: Setting { seed: plan.hash(), network: plan.network.model() },
            last: last_readers(plan),
        };
        for (id, relation) in plan.relations.iter().enumerate().filter(|(id, _)| relations.last[*id].is_some()) {
            match &relation.op {
                Operator::Map { .. } => {
                    relations.maps.insert(id, Map::new(plan, relation)?);
                }
                Operator::Lookup { search: Search::Ask, .. } => {
                    let ask = Ask::of(plan, &relation.op).ok_or(ProgramError("who asks, and who is asked, know their keys at home"))?;
                    relations.asks.insert(id, ask);
                }
                Operator::Group { .. } => {
                    let way = group::Way::choose(plan, RelationId(id), usize::MAX).ok().flatten();
                    relations.groups.insert(id, way.ok_or(ProgramError("a group-by has a price"))?);
                }
                op => {
                    let Some(known) = Known::of(plan, op) else { continue };
                    let order = Order::of(plan, relation, known).map_err(|_| ProgramError("an order has a price"))?;
                    relations.orders.insert(id, order);
                }
            }
        }
        Ok(relations)
    }

    /// How the rows of an operator come into its order, for people; empty if they are sorted on shares.
    fn order(&self, id: usize) -> String {
        self.orders.get(&id).map_or(String::new(), |order| format!(", {}", order.known.words()))
    }

    /// The steps that compute the relations, and those that make their rows ready to be opened.
    pub(super) fn steps(&self, plan: &Plan) -> Vec<Step> {
        let mut steps = Vec::new();
        for (id, relation) in plan.relations.iter().enumerate().filter(|(id, _)| self.last[*id].is_some()) {
            let places = |id: &RelationId| plan.relation(*id).places;
            let rows = counted(relation.places as usize, "places");
            let (name, what) = match &relation.op {
                Operator::Home { .. } => continue,
                Operator::Map { keep, .. } => {
                    let what = format!("{}{}", self.maps[&id].words(), if keep.is_some() { ", rows kept by a secret bit" } else { "" });
                    ("map", what)
                }
                Operator::Lookup { base, table, on, .. } => {
                    let words: Vec<&str> = on.iter().map(|(b, _)| plan.relation(*base).columns[*b].words.as_str()).collect();
                    let asked = self.asks.get(&id).map(|ask| format!(", {} asks {}", ask.owners()[0], ask.owners()[1]));
                    let what = format!("{} places with {} unique on {}", places(base), places(table), words.join(", "));
                    ("join", what + &asked.unwrap_or_default())
                }
                Operator::Pairs { left, right, on } => {
                    let words: Vec<&str> = on.iter().map(|(l, _)| plan.relation(*left).columns[*l].words.as_str()).collect();
                    ("join", format!("{} places with {} on {}, at most {rows}", places(left), places(right), words.join(", ")))
                }
                Operator::Cross { left, right } => ("cross", format!("{} times {} places", places(left), places(right))),
                Operator::Group { input, keys, folds } => {
                    let words: Vec<&str> = keys.iter().map(|k| plan.relation(*input).columns[*k].words.as_str()).collect();
                    let what = format!(
                        "{} places by {}, {}, {}",
                        places(input),
                        words.join(", "),
                        counted(folds.len(), "folds"),
                        self.groups[&id].0.words()
                    );
                    ("group", what)
                }
                Operator::Total { input, folds } => {
                    ("total", format!("{} of {} places{}", counted(folds.len(), "folds"), places(input), self.order(id)))
                }
                Operator::Noise { noised, .. } => ("noise", counted(noised.len(), "sums")),
                Operator::Top { input, by, skip, .. } => {
                    let words: Vec<&str> = by.iter().map(|k| plan.relation(*input).columns[k.column].words.as_str()).collect();
                    ("sort", format!("{} places by {}, {rows} after {skip}{}", places(input), words.join(", "), self.order(id)))
                }
                Operator::Union { inputs } => ("union", counted(inputs.len(), "relations")),
                Operator::Window { input, functions, .. } => {
                    ("window", format!("{} over {} places{}", counted(functions.len(), "functions"), places(input), self.order(id)))
                }
            };
            steps.push(Step { kind: StepKind::Relation(id), name: name.into(), what, rows: relation.places });
        }
        for (number, release) in plan.rows.iter().enumerate() {
            let relation = plan.relation(release.relation);
            let order = if release.ordered { "in their order" } else { "shuffled" };
            let what = format!("{} of {}, {order}", counted(relation.columns.len(), "columns"), release.name);
            steps.push(Step { kind: StepKind::Rows(number), name: "blank".into(), what, rows: relation.places });
        }
        steps
    }
}

/// For each relation the last that reads its shares ([`Relations::last`]).
fn last_readers(plan: &Plan) -> Vec<Option<usize>> {
    let mut last = vec![None; plan.relations.len()];
    plan.rows.iter().for_each(|r| last[r.relation.0] = Some(plan.relations.len()));
    for (id, relation) in plan.relations.iter().enumerate().rev() {
        if last[id].is_some() {
            relation.op.shared_inputs().into_iter().for_each(|input| last[input.0] = last[input.0].max(Some(id)));
        }
    }
    last
}

/// Whether anybody reads shares of each relation. Rows at home that are only asked for are never shared.
pub(crate) fn are_shared(plan: &Plan) -> Vec<bool> {
    last_readers(plan).iter().map(Option::is_some).collect()
}

/// The relations of which a party holds shares while relation `id` is computed, itself among them, and those that it reads; with `id` one past the last, while rows are
/// released. What is shared from home is held from the beginning.
pub(crate) fn held(plan: &Plan, id: usize) -> (Vec<RelationId>, Vec<RelationId>) {
    let last = last_readers(plan);
    let is_home = |of: usize| matches!(plan.relations[of].op, Operator::Home { .. });
    let held = (0..plan.relations.len()).filter(|of| last[*of].is_some_and(|last| last >= id) && (*of <= id || is_home(*of)));
    let read =
        plan.relations.get(id).map_or_else(|| plan.rows.iter().map(|r| r.relation).collect(), |relation| relation.op.shared_inputs());
    (held.map(RelationId).collect(), read)
}

impl Relations<'_> {
    /// Who knows the orders that a relation needs of its rows, if they come into them so.
    fn known(&self, id: usize) -> Option<&Known<'_>> {
        match self.groups.get(&id) {
            Some((way, known)) => known.as_ref().filter(|_| way.is_by_owner()),
            None => self.orders.get(&id).map(|order| &order.known),
        }
    }

    /// What a map computes besides gates.
    pub(super) fn divisions(&self, id: usize) -> String {
        self.maps.get(&id).map_or_else(String::new, Map::divisions)
    }

    /// How groups are found, and whether their rows are sorted on shares.
    pub(super) fn group_words(&self, id: usize) -> (&'static str, bool) {
        let way = &self.groups[&id].0;
        (way.how(), way.is_by_sorting())
    }

    /// What an owner does who knows the order that an operator needs.
    pub fn order_words(&self, id: usize) -> Option<String> {
        self.orders.get(&id).map(|order| order.known.words())
    }

    /// What the cost model chose of a relation, if there was a choice.
    pub(super) fn decision(&self, plan: &Plan, id: usize) -> Result<Option<Decision>, Abort> {
        let decision = match &plan.relations[id].op {
            Operator::Lookup { search, .. } => {
                let mut ways = search::ways(plan, RelationId(id), usize::MAX)?;
                ways.sort_by_key(|(way, _)| way != search);
                let of = if search::grouped(plan, RelationId(id)).is_some() { "equal keys and their groups" } else { "equal keys" };
                Decision { of: of.into(), ways: ways.into_iter().map(|(_, way)| way).collect() }
            }
            Operator::Group { .. } => Decision { of: "groups".into(), ways: self.groups[&id].0.ways.clone() },
            _ => Decision { of: "order".into(), ways: self.orders.get(&id).map_or_else(Vec::new, |order| order.ways.clone()) },
        };
        Ok(Some(decision).filter(|d| d.ways.len() > 1))
    }
}

impl Relation {
    /// Bits of a place.
    pub(crate) fn held_bits(&self) -> u64 {
        let of = |column: &RowColumn| {
            let value = column.form.ring().map_or(column.form.width() as u64, Ring::held_bits);
            value + u64::from(column.nullable)
        };
        self.columns.iter().map(of).fold(1, u64::saturating_add)
    }

    /// The same of at most so many places.
    fn at_most(&self, most: usize) -> Shape {
        Shape { places: usize::try_from(self.places).unwrap_or(most).min(most), ..self.shape() }
    }

    /// What its operators need to know of it.
    fn shape(&self) -> Shape {
        let column = |column: &RowColumn| ColumnShape {
            form: match column.form.ring() {
                None => Form::Planes(column.form.width()),
                Some(Ring::Fp61) => Form::Fp61,
                Some(Ring::Fp127) => Form::Fp127,
            },
            nullable: column.nullable,
        };
        Shape { places: self.places as usize, full: self.full, columns: self.columns.iter().map(column).collect() }
    }
}

impl Operator {
    /// The relations it reads.
    fn inputs(&self) -> Vec<RelationId> {
        match self {
            Operator::Home { .. } => Vec::new(),
            Operator::Map { input, .. }
            | Operator::Group { input, .. }
            | Operator::Total { input, .. }
            | Operator::Noise { input, .. }
            | Operator::Top { input, .. }
            | Operator::Window { input, .. } => vec![*input],
            Operator::Lookup { base, table, .. } => vec![*base, *table],
            Operator::Pairs { left, right, .. } | Operator::Cross { left, right } => vec![*left, *right],
            Operator::Union { inputs } => inputs.clone(),
        }
    }

    /// Those of which it reads shares: who is asked for rows reads them himself.
    fn shared_inputs(&self) -> Vec<RelationId> {
        match self {
            Operator::Lookup { base, search: Search::Ask, .. } => vec![*base],
            _ => self.inputs(),
        }
    }
}

/// What the owners of relations at home share, ring by ring: nothing of those of which nobody reads shares.
pub(super) fn slots(plan: &Plan) -> Vec<Slot> {
    let mut slots = Vec::new();
    let shared = are_shared(plan);
    for (id, relation) in (0..).map(RelationId).zip(&plan.relations).filter(|(id, _)| shared[id.0]) {
        let Operator::Home { source: Source::Party(owner), .. } = &relation.op else { continue };
        for ring in [InputRing::Bits, InputRing::Fp61, InputRing::Fp127] {
            let planes = planes_of(relation, ring);
            if planes > 0 {
                let layout = Layout::new(relation.places as usize, planes);
                slots.push(Slot { of: SlotOf::Relation(id), owner: owner.clone(), ring, layout });
            }
        }
    }
    slots
}
