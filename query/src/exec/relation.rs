//! The relations of a plan ([`crate::plan::relation`]) on shares: an [`Operator`] a file, each once for all engines. Nothing branches on values but on
//! the random order that samplesort opens, so that what [`protocols::Estimate`] says of a relation is what it costs, or is expected to.

mod arrange;
mod check;
mod choose;
mod combine;
mod digest;
mod group;
mod keys;
mod logic;
mod lookup;
mod map;
mod noise;
mod order;
mod pairs;
mod released;
mod top;
mod total;
mod why;
mod window;

pub(crate) use choose::{Decision, Way};
pub(crate) use lookup::choose::choose_searches;
pub(crate) use order::{HomeOrder, Ties, order_at_home};
pub(super) use why::{no_asking, no_masks, no_order};
pub(super) use window::ties as window_ties;

use super::field::{Field, Value};
use super::program::{ProgramError, Slot, SlotOf, counted};
use super::step::{Step, StepKind};
use super::{InputRing, Run, stack, stranger};
use crate::local::planes_of;
use crate::plan::relation::{Operator, Relation, RelationId, Search};
use crate::plan::{Plan, Source};
use arrange::{Choice, How, Known, Owner, choice};
use choose::Setting;
use group::small;
use lookup::ask::Ask;
use map::Layout as MapLayout;
use mpc_core::{Abort, B64, Fp61, Fp127, Layout, PartyId, Ring};
use protocols::{Cell, Engine, Share};
use std::collections::{BTreeMap, HashMap};

/// Shared bits.
type Bits<E> = <E as Engine>::Share<B64>;

/// The rows of a relation on shares.
pub(super) struct Rows<E: Engine> {
    /// Places.
    places: usize,
    /// Which places hold a row; `None`: all.
    row: Option<Bits<E>>,
    columns: Vec<Cells<E>>,
}

/// A column of a relation on shares.
struct Cells<E: Engine> {
    values: Values<E>,
    /// The valid bit, if it is nullable.
    valid: Option<Bits<E>>,
}

/// The values of a column on shares.
pub(super) enum Values<E: Engine> {
    Bits(Bits<E>),
    Fp61(E::Share<Fp61>),
    Fp127(E::Share<Fp127>),
}

impl<E: Engine> Clone for Values<E> {
    fn clone(&self) -> Self {
        match self {
            Values::Bits(v) => Values::Bits(v.clone()),
            Values::Fp61(v) => Values::Fp61(v.clone()),
            Values::Fp127(v) => Values::Fp127(v.clone()),
        }
    }
}

impl<E: Engine> Clone for Cells<E> {
    fn clone(&self) -> Self {
        Cells { values: self.values.clone(), valid: self.valid.clone() }
    }
}

impl<E: Engine> Cells<E> {
    /// The planes of a column that is not of elements.
    fn bits(&self) -> &Bits<E> {
        match &self.values {
            Values::Bits(bits) => bits,
            _ => unreachable!("checked by the layout: the column is in planes"),
        }
    }

    /// The elements of a column of this field.
    fn elements<R: Element>(&self) -> &E::Share<R> {
        R::of_values(&self.values).expect("checked by the layout: the column is of this field")
    }

    /// The rows in a range.
    fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Cells {
            values: match &self.values {
                Values::Bits(v) => Values::Bits(v.slice(range.clone())),
                Values::Fp61(v) => Values::Fp61(v.slice(range.clone())),
                Values::Fp127(v) => Values::Fp127(v.slice(range.clone())),
            },
            valid: self.valid.as_ref().map(|v| v.slice(range)),
        }
    }

    /// This column with rows moved publicly.
    fn gather(&self, rows: &[Option<usize>]) -> Self {
        Cells {
            values: match &self.values {
                Values::Bits(v) => Values::Bits(v.gather(rows)),
                Values::Fp61(v) => Values::Fp61(v.gather(rows)),
                Values::Fp127(v) => Values::Fp127(v.gather(rows)),
            },
            valid: self.valid.as_ref().map(|v| v.gather(rows)),
        }
    }
}

/// A field in which columns hold elements.
pub(super) trait Element: Field + Cell {
    fn of_values<E: Engine>(values: &Values<E>) -> Option<&E::Share<Self>>;
    fn values<E: Engine>(share: E::Share<Self>) -> Values<E>;
}

impl Element for Fp61 {
    fn of_values<E: Engine>(values: &Values<E>) -> Option<&E::Share<Self>> {
        if let Values::Fp61(v) = values { Some(v) } else { None }
    }
    fn values<E: Engine>(share: E::Share<Self>) -> Values<E> {
        Values::Fp61(share)
    }
}

impl Element for Fp127 {
    fn of_values<E: Engine>(values: &Values<E>) -> Option<&E::Share<Self>> {
        if let Values::Fp127(v) = values { Some(v) } else { None }
    }
    fn values<E: Engine>(share: E::Share<Self>) -> Values<E> {
        Values::Fp127(share)
    }
}

impl<E: Engine> Rows<E> {
    /// The rows of a relation from all its planes, ring by ring ([`planes_of`]).
    fn split(relation: &Relation, bits: Option<Bits<E>>, fp61: Option<E::Share<Fp61>>, fp127: Option<E::Share<Fp127>>) -> Self {
        let mut next = [0; 3];
        fn take<R: Ring, S: Share<R>>(share: &Option<S>, next: &mut usize, planes: usize) -> S {
            let from = *next;
            *next += planes;
            share.as_ref().expect("a ring of which a relation has planes is shared").planes(from..*next)
        }
        let row = (!relation.full).then(|| take(&bits, &mut next[0], 1));
        let columns = relation.columns.iter().map(|column| Cells {
            values: match column.form.ring() {
                None if column.form.width() == 0 && bits.is_none() => unreachable!("a column without planes has a relation with bits"),
                None => Values::Bits(take(&bits, &mut next[0], column.form.width())),
                Some(crate::plan::Ring::Fp61) => Values::Fp61(take(&fp61, &mut next[1], 1)),
                Some(crate::plan::Ring::Fp127) => Values::Fp127(take(&fp127, &mut next[2], 1)),
            },
            valid: column.nullable.then(|| take(&bits, &mut next[0], 1)),
        });
        Rows { places: relation.places as usize, columns: columns.collect(), row }
    }
}

/// The relations of a plan, laid out.
pub(super) struct Relations<'p> {
    maps: BTreeMap<usize, MapLayout<'p>>,
    /// How groups are found, and the orders that the owner of the rows knows.
    groups: BTreeMap<usize, (small::Way, Option<Known<'p>>)>,
    /// Other operators of which the owner of the rows knows the orders.
    orders: BTreeMap<usize, Choice<'p>>,
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
            setting: Setting::of(plan),
            last: last_readers(plan),
        };
        for (id, relation) in plan.relations.iter().enumerate().filter(|(id, _)| relations.last[*id].is_some()) {
            match &relation.op {
                Operator::Map { .. } => {
                    relations.maps.insert(id, MapLayout::new(plan, relation)?);
                }
                Operator::Lookup { search: Search::Ask, .. } => {
                    let ask = Ask::of(plan, &relation.op).ok_or(ProgramError("who asks, and who is asked, know their keys at home"))?;
                    relations.asks.insert(id, ask);
                }
                Operator::Group { input, keys, folds } => {
                    let of = plan.relation(*input);
                    // groups of which every row was dropped take a place each: fewer places than rows are known to do only where none is
                    let room = relation.places == of.places || of.full;
                    let all = order::grouped_by(keys, folds);
                    let as_they_are = room && all.is_some_and(|all| order::at_home(plan, *input, all, true).is_some());
                    let known = Known::of(plan, &relation.op);
                    let way = small::Way::choose(of, keys, folds, relation, known.as_ref().map(|known| (known, as_they_are)), plan.network);
                    let way = way.map_err(|_| ProgramError("a group-by has a price"))?;
                    relations.groups.insert(id, (way, known));
                }
                op => {
                    let Some(known) = Known::of(plan, op) else { continue };
                    let choice = choice(plan, relation, known).map_err(|_| ProgramError("an order has a price"))?;
                    relations.orders.insert(id, choice);
                }
            }
        }
        Ok(relations)
    }

    /// How the rows of an operator come into its order, for people; empty if they are sorted on shares.
    fn order(&self, id: usize) -> String {
        let choice = self.orders.get(&id).filter(|choice| choice.chosen);
        choice.map_or(String::new(), |choice| format!(", {}", choice.ways[0].words))
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
    /// What a map computes besides gates.
    pub(super) fn divisions(&self, id: usize) -> String {
        self.maps.get(&id).map_or_else(String::new, map::Layout::divisions)
    }

    /// How groups are found, and whether their rows are sorted on shares.
    pub(super) fn group_words(&self, id: usize) -> (&'static str, bool) {
        let way = &self.groups[&id].0;
        (way.how(), way.is_by_sorting())
    }

    /// What an owner does who knows the order that an operator needs, if that is the way it goes.
    pub fn order_words(&self, id: usize) -> Option<String> {
        self.orders.get(&id).filter(|choice| choice.chosen).map(|choice| choice.known.words())
    }

    /// What the cost model chose of a relation, if there was a choice.
    pub(super) fn decision(&self, plan: &Plan, id: usize) -> Result<Option<Decision>, Abort> {
        let decision = match &plan.relations[id].op {
            Operator::Lookup { search, .. } => {
                let mut ways = lookup::choose::ways(plan, RelationId(id), usize::MAX)?;
                ways.sort_by_key(|(way, _)| way != search);
                Decision { of: "equal keys".into(), ways: ways.into_iter().map(|(_, way)| way).collect() }
            }
            Operator::Group { .. } => Decision { of: "groups".into(), ways: self.groups[&id].0.ways.clone() },
            _ => Decision { of: "order".into(), ways: self.orders.get(&id).map_or_else(Vec::new, |choice| choice.ways.clone()) },
        };
        Ok(Some(decision).filter(|d| d.ways.len() > 1))
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

/// The relations computed so far in one run.
pub(super) struct Computed<E: Engine> {
    rows: HashMap<usize, Rows<E>>,
    /// Rows ready to be opened, by release.
    ready: HashMap<usize, released::Ready<E>>,
}

impl<E: Engine> Default for Computed<E> {
    fn default() -> Self {
        Computed { rows: HashMap::new(), ready: HashMap::new() }
    }
}

impl<E: Engine> Run<'_, E> {
    /// Computes a relation from earlier ones.
    pub(super) fn relation(&mut self, engine: &mut E, id: usize) -> Result<(), Abort> {
        let (plan, laid) = (self.program.plan(), self.program.relations());
        let relation = &plan.relations[id];
        relation.op.shared_inputs().iter().for_each(|input| self.bring(engine, *input));
        let of = |id: &RelationId| &self.relations.rows[&id.0];
        let rows = match &relation.op {
            Operator::Home { .. } => return Ok(()),
            Operator::Map { input, .. } => laid.maps[&id].run(engine, of(input))?,
            Operator::Cross { left, right } => combine::cross(engine, of(left), of(right))?,
            Operator::Union { inputs } => combine::union(engine, &inputs.iter().map(of).collect::<Vec<_>>(), relation),
            Operator::Total { input, folds } => total::total(engine, of(input), folds, relation, self.how(id)?)?,
            Operator::Noise { input, noised, least } => noise::noise(engine, of(input), noised, least, relation)?,
            Operator::Top { input, by, unique, skip } => {
                let what = top::Top { by, ties: Ties::seen(*unique), skip: *skip as usize, how: self.how(id)? };
                top::top(engine, of(input), &what, relation)?
            }
            Operator::Lookup { base, table, on, proved, search: Search::Ask, .. } => {
                let words = || keys_in_words(plan, *table, on);
                let ask = &laid.asks[&id];
                let [asks, answers] = ask.owners().map(|owner| self.party(owner));
                ask.run(engine, of(base), [asks?, answers?], self.inputs, (relation, *proved), words)?
            }
            Operator::Lookup { base, table, on, columns, proved, search: Search::Sort } => {
                let words = || keys_in_words(plan, *table, on);
                let sorted = order::is_sorted(plan, *table, &on.iter().map(|(_, t)| *t).collect::<Vec<_>>());
                let what =
                    lookup::Lookup { base: of(base), table: of(table), on, columns, proved: *proved, sorted, setting: &laid.setting };
                lookup::lookup(engine, &what, relation, words)?
            }
            Operator::Group { input, keys, folds } => {
                let (way, known) = &laid.groups[&id];
                let owner = known.as_ref().map(|known| self.owner_of(known)).transpose()?;
                way.run(engine, of(input), (keys, folds), relation, owner, &laid.setting)?
            }
            Operator::Pairs { left, right, on } => pairs::pairs(engine, of(left), of(right), on, relation, &laid.setting)?,
            Operator::Window { input, partition, by, unique, functions } => {
                let ties = window::ties(functions, *unique);
                window::window(engine, of(input), &window::Window { partition, by, ties, functions, how: self.how(id)? }, relation)?
            }
        };
        self.relations.rows.insert(id, rows);
        // shares nobody will read again
        self.relations.rows.retain(|of, _| laid.last[*of] > Some(id) || *of == id);
        Ok(())
    }

    /// Makes the rows of a release ready to be opened.
    pub(super) fn ready(&mut self, engine: &mut E, number: usize) -> Result<(), Abort> {
        let release = &self.program.plan().rows[number];
        self.bring(engine, release.relation);
        let ready = released::ready(engine, &self.relations.rows[&release.relation.0], release.ordered)?;
        self.relations.ready.insert(number, ready);
        Ok(())
    }

    /// What a release of rows opens in one ring.
    pub(super) fn opened<R: Element>(&self, number: usize) -> Option<E::Share<R>> {
        self.relations.ready.get(&number).and_then(|r| r.elements::<R>())
    }

    /// The bits a release of rows opens.
    pub(super) fn opened_bits(&self, number: usize) -> Option<Bits<E>> {
        self.relations.ready.get(&number).and_then(|r| r.bits())
    }

    /// A party's place in the session.
    fn party(&self, name: &str) -> Result<PartyId, Abort> {
        (self.owner)(name).ok_or_else(|| stranger(name))
    }

    /// How rows come into the order that a relation needs.
    fn how(&self, id: usize) -> Result<How<'_>, Abort> {
        let laid = self.program.relations();
        match laid.orders.get(&id).filter(|choice| choice.chosen) {
            Some(choice) => self.owner_of(&choice.known).map(How::Known),
            None => Ok(How::Sorting(&laid.setting)),
        }
    }

    /// Who knows orders.
    fn owner_of<'a>(&'a self, known: &'a Known<'a>) -> Result<Owner<'a>, Abort> {
        // what everyone knows stands in its order
        let party = known.owner().map_or(Ok(PartyId(0)), |owner| self.party(owner))?;
        Ok(Owner::new(known, party, self.inputs))
    }

    /// Puts the rows of a relation at home together from what was shared.
    fn bring(&mut self, engine: &mut E, id: RelationId) {
        let relation = self.program.plan().relation(id);
        if self.relations.rows.contains_key(&id.0) {
            return;
        }
        let bits = self.at_home(engine, id, |run| &mut run.bits);
        let fp61 = self.at_home(engine, id, |run| &mut run.fp61.inputs);
        let fp127 = self.at_home(engine, id, |run| &mut run.fp127.inputs);
        self.relations.rows.insert(id.0, Rows::split(relation, bits, fp61, fp127));
    }

    /// All planes of a relation at home in one ring: shared, or known to everyone.
    fn at_home<R: Value>(
        &mut self,
        engine: &mut E,
        id: RelationId,
        shared: impl Fn(&mut Self) -> &mut HashMap<usize, E::Share<R>>,
    ) -> Option<E::Share<R>> {
        if let Some(column) = self.ground().relation(id, R::RING).and_then(R::column) {
            return Some(engine.constant(column));
        }
        let slot = self.program.slots().iter().position(|s| s.of == SlotOf::Relation(id) && s.ring == R::RING)?;
        shared(self).remove(&slot)
    }
}

/// The keys of a side that is looked up, and the tables that its rows come of, for people.
fn keys_in_words(plan: &Plan, table: RelationId, on: &[(usize, usize)]) -> String {
    let keys: Vec<&str> = on.iter().map(|(_, t)| plan.relation(table).columns[*t].words.as_str()).collect();
    let (mut tables, mut next) = (Vec::new(), vec![table]);
    while let Some(id) = next.pop() {
        let op = &plan.relation(id).op;
        if let Operator::Home { plan, .. } = op {
            tables.extend(crate::compile::tables(plan.logical()).into_iter().filter(|table| !tables.contains(table)).collect::<Vec<_>>());
        }
        next.extend(op.inputs().into_iter().rev());
    }
    format!("{} in {}", keys.join(", "), tables.join(", "))
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
