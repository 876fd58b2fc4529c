//! The relations of a plan in one run: each computed from earlier ones, and kept while somebody reads it.

use super::arrange::Known;
use super::{noise, order};
use crate::exec::field::{Field, Value};
use crate::exec::program::SlotOf;
use crate::exec::{Run, stranger};
use crate::plan::Plan;
use crate::plan::relation::{Function, Operator, RelationId, Search};
use mpc_core::{Abort, PartyId};
use protocols::Engine;
use protocols::rows::{self, Bits, How, KnownOrder, Lookup, Rows, Ties, Top, Window};
use std::collections::HashMap;

/// The relations computed so far in one run.
pub(in crate::exec) struct Computed<E: Engine> {
    rows: HashMap<usize, Rows<E>>,
    /// Rows ready to be opened, by release.
    ready: HashMap<usize, rows::Ready<E>>,
}

impl<E: Engine> Default for Computed<E> {
    fn default() -> Self {
        Computed { rows: HashMap::new(), ready: HashMap::new() }
    }
}

/// Orders that an owner knows, at its place in the session, as they stand there.
type Orders<'p> = (&'p Known<'p>, PartyId, Vec<KnownOrder>);

impl<E: Engine> Run<'_, E> {
    /// Computes a relation from earlier ones.
    pub(in crate::exec) fn relation(&mut self, engine: &mut E, id: usize) -> Result<(), Abort> {
        let (plan, laid) = (self.program.plan(), self.program.relations());
        let relation = &plan.relations[id];
        let shape = &relation.shape();
        relation.op.shared_inputs().iter().for_each(|input| self.bring(engine, *input));
        let of = |id: &RelationId| &self.relations.rows[&id.0];
        let orders = self.orders(engine, id)?;
        let rows = match &relation.op {
            Operator::Home { .. } => return Ok(()),
            Operator::Map { input, .. } => laid.maps[&id].run(engine, of(input))?,
            Operator::Cross { left, right } => rows::cross(engine, of(left), of(right))?,
            Operator::Union { inputs } => rows::union(engine, &inputs.iter().map(of).collect::<Vec<_>>(), shape),
            Operator::Total { input, folds } => rows::total(engine, of(input), folds, shape, self.how(&orders))?,
            Operator::Noise { input, noised, least } => noise::noise(engine, of(input), noised, least, relation)?,
            Operator::Top { input, by, unique, skip } => {
                let what = Top { by, ties: Ties::seen(*unique), skip: *skip as usize, how: self.how(&orders) };
                rows::top(engine, of(input), &what, shape)?
            }
            Operator::Lookup { base, table, on, proved, search: Search::Ask, .. } => {
                let words = || keys_in_words(plan, *table, on);
                let ask = &laid.asks[&id];
                let [asks, answers] = ask.owners().map(|owner| self.party(owner));
                ask.run(engine, of(base), [asks?, answers?], self.inputs, (relation, *proved), words)?
            }
            Operator::Lookup { base, table, on, columns, proved, search } => {
                let words = || keys_in_words(plan, *table, on);
                let sorted = order::is_sorted(plan, &relation.op);
                let (proved, in_order, setting) = (*proved, *search == Search::SortInOrder, &laid.setting);
                let what = Lookup { base: of(base), table: of(table), on, columns, proved, sorted, in_order, setting };
                rows::lookup(engine, &what, shape, words)?
            }
            Operator::Group { input, keys, folds } => {
                let (way, _) = &laid.groups[&id];
                let owner = orders.as_ref().map(|(known, party, orders)| known.owner_of(*party, orders));
                way.run(engine, of(input), (keys, folds), shape, owner, &laid.setting)?
            }
            Operator::Pairs { left, right, on } => rows::pairs(engine, of(left), of(right), on, shape.places, &laid.setting)?,
            Operator::Window { input, partition, by, unique, functions } => {
                let ties = Function::ties(functions, *unique);
                rows::window(engine, of(input), &Window { partition, by, ties, functions, how: self.how(&orders) }, shape)?
            }
        };
        self.relations.rows.insert(id, rows);
        // shares nobody will read again
        self.relations.rows.retain(|of, _| laid.last[*of] > Some(id) || *of == id);
        Ok(())
    }

    /// Makes the rows of a release ready to be opened.
    pub(in crate::exec) fn ready(&mut self, engine: &mut E, number: usize) -> Result<(), Abort> {
        let release = &self.program.plan().rows[number];
        self.bring(engine, release.relation);
        let ready = rows::ready(engine, &self.relations.rows[&release.relation.0], release.ordered)?;
        self.relations.ready.insert(number, ready);
        Ok(())
    }

    /// What a release of rows opens in one ring.
    pub(in crate::exec) fn opened<R: Field>(&self, number: usize) -> Option<E::Share<R>> {
        self.relations.ready.get(&number).and_then(|r| r.elements::<R>())
    }

    /// The bits a release of rows opens.
    pub(in crate::exec) fn opened_bits(&self, number: usize) -> Option<Bits<E>> {
        self.relations.ready.get(&number).and_then(|r| r.bits())
    }

    /// A party's place in the session.
    fn party(&self, name: &str) -> Result<PartyId, Abort> {
        (self.owner)(name).ok_or_else(|| stranger(name))
    }

    /// Who knows the orders that a relation needs of its rows, if they come into them so.
    fn orders(&self, engine: &E, id: usize) -> Result<Option<Orders<'_>>, Abort> {
        let Some(known) = self.program.relations().known(id) else { return Ok(None) };
        // what everyone knows stands in its order
        let party = known.owner().map_or(Ok(PartyId(0)), |owner| self.party(owner))?;
        Ok(Some((known, party, known.orders(engine, party, self.inputs)?)))
    }

    /// How rows come into the order that a relation needs.
    fn how<'a>(&'a self, orders: &'a Option<Orders<'_>>) -> How<'a> {
        match orders {
            Some((known, party, orders)) => How::Known(known.owner_of(*party, orders)),
            None => How::Sorting(&self.program.relations().setting),
        }
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
        self.relations.rows.insert(id.0, Rows::split(&relation.shape(), bits, fp61, fp127));
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
