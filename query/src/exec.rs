//! The joint stage: a [`Plan`] on any [`Engine`].
//!
//! Written once: on `Plain` it is the oracle, on `Rep3` the real thing, on `Estimate` the price list of EXPLAIN. A [`Program`] is the
//! plan laid out for the public row counts at hand, as a list of [`Step`]s:
//!
//! ```text
//! disclose   how many rows owners have, where they may tell: two rounds, before the plan is laid out on so many places
//! share      every owner's columns, one round for each ring
//! logic      all comparisons and connectives of a frame as one circuit, gates of equal depth in one round
//! exists     which groups have a row: an OR-tree over the rows of each group, all openings and groups side by side
//! lift       all bits that are counted or multiplied, as field elements: two rounds for each ring
//! multiply   products of one depth in one round
//! sum        sums of public groups: linear ones are local, sums of products cost one element a group in one round
//! noise      on sums of public groups, made of random bits that nobody knows: all at once
//! suppress   cells that may not come out are zeroed: a sign for each threshold, a product for each opening
//! relation   rows that meet on private keys, one step for each relation: map, join, group, sort, …
//! blank      the rows that are opened: nothing is left in places without a row, nor of where a row was
//! release    after the barrier: each party's part of everything the plan opens to the planner
//! ```

pub mod disclose;
mod exists;
mod field;
mod how;
mod noise;
mod program;
mod relation;
mod step;
mod sums;
mod suppress;

pub(crate) use how::DISCLOSED;
pub use program::{Program, ProgramError};
pub(crate) use relation::{Decision, HomeOrder, Way, are_shared, choose_searches, held, on_the_way, order_at_home};
pub use step::{Step, StepKind};

use crate::dealing::RINGS;
use crate::ground::Ground;
use crate::local::{InputColumn, Inputs};
use crate::plan::{NodeId, Plan};
use field::{Fields, Known, Value};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout, PartyId};
pub(crate) use program::SlotOf;
use protocols::graph::Evaluated;
use protocols::relational::Sorting;
use protocols::{Engine, Input, Released, Share};
use relation::Computed;
use std::collections::HashMap;

/// One party's part of everything of one kind that one release opens; which one follows from its place in the list
/// ([`Ground::parts`]).
pub enum Part {
    /// Existence bits.
    Bits(Released<B64>),
    /// Sums in the value domain.
    Fp61(Released<Fp61>),
    /// Sums in the wide value domain.
    Fp127(Released<Fp127>),
}

impl Program<'_> {
    /// Runs the program. `owner` gives a party's place in the roster, `inputs` are the columns this node holds; `progress` is called
    /// before each step with its number, and once more at the end.
    pub fn run<E: Engine>(
        &self,
        engine: &mut E,
        owner: &dyn Fn(&str) -> Option<PartyId>,
        inputs: &Inputs,
        progress: &mut dyn FnMut(&E, usize),
    ) -> Result<Vec<Part>, Abort> {
        let mut run = Run {
            program: self,
            owner,
            inputs,
            bits: HashMap::new(),
            logic: HashMap::new(),
            fp61: Fields::default(),
            fp127: Fields::default(),
            relations: Computed::default(),
        };
        let mut exists: HashMap<usize, E::Share<B64>> = HashMap::new();
        let mut parts = Vec::new();
        for (number, step) in self.steps().iter().enumerate() {
            progress(engine, number);
            match step.kind {
                // before the program was laid out
                StepKind::Disclose => {}
                StepKind::ShareBits => run.bits = self.share::<E, B64>(engine, owner, inputs)?,
                StepKind::ShareFp61 => run.fp61.inputs = self.share::<E, Fp61>(engine, owner, inputs)?,
                StepKind::ShareFp127 => run.fp127.inputs = self.share::<E, Fp127>(engine, owner, inputs)?,
                StepKind::Logic(frame) => {
                    let (graph, schedule) = self.circuit(frame);
                    let bits = &run.bits;
                    let done = schedule.run(graph, engine, |plane| {
                        let (slot, plane) = self.plane(plane);
                        bits.get(&slot).map(|share: &E::Share<B64>| share.planes([plane])).expect("inputs are shared before the logic runs")
                    })?;
                    run.logic.insert(frame, done);
                }
                StepKind::Exists(release) => {
                    exists.insert(release, run.exists(engine, release)?);
                }
                StepKind::Lift61(frame) => run.lift::<Fp61>(engine, frame)?,
                StepKind::Lift127(frame) => run.lift::<Fp127>(engine, frame)?,
                StepKind::Multiply61(batch) => run.multiply::<Fp61>(engine, batch)?,
                StepKind::Multiply127(batch) => run.multiply::<Fp127>(engine, batch)?,
                StepKind::Sum61(release) => {
                    let sums = run.sums::<Fp61>(engine, release)?;
                    run.fp61.sums.insert(release, sums);
                }
                StepKind::Sum127(release) => {
                    let sums = run.sums::<Fp127>(engine, release)?;
                    run.fp127.sums.insert(release, sums);
                }
                StepKind::Noise(release) => run.noise(engine, release)?,
                StepKind::Suppress(release) => {
                    let bits = run.suppress(engine, release, exists.remove(&release))?;
                    exists.insert(release, bits);
                }
                StepKind::Relation(relation) => run.relation(engine, relation)?,
                StepKind::Rows(release) => run.ready(engine, release)?,
                StepKind::Release => parts = run.release(engine, &exists)?,
            }
        }
        progress(engine, self.steps().len());
        Ok(parts)
    }

    /// What the cost model chose in a step that sorts so.
    pub(crate) fn decisions(&self, step: usize, sorts: &[(Layout, Sorting)]) -> Result<Vec<Decision>, Abort> {
        let StepKind::Relation(id) = self.steps()[step].kind else { return Ok(Vec::new()) };
        let mut decisions: Vec<Decision> = self.relations().decision(self.plan(), id)?.into_iter().collect();
        let mut seen: Vec<(Layout, Sorting, usize)> = Vec::new();
        for (key, by) in sorts {
            match seen.iter_mut().find(|(k, s, _)| (k, s) == (key, by)) {
                Some((.., times)) => *times += 1,
                None => seen.push((*key, *by, 1)),
            }
        }
        decisions.extend(seen.into_iter().map(|(key, by, times)| Decision::sort(key, by, times, self.plan().network)));
        Ok(decisions)
    }

    /// What a slot is filled with, at its owner.
    pub(crate) fn held<'i>(&self, inputs: &'i Inputs, of: SlotOf, ring: InputRing) -> Option<&'i InputColumn> {
        match of {
            SlotOf::Scan(scan, column, form) => inputs.get(scan, column, form),
            SlotOf::Relation(relation) => inputs.relation(relation, ring),
        }
    }

    /// What a party deals, in the order of the steps that share it.
    pub(crate) fn dealt<'s>(&'s self, party: &'s str) -> impl Iterator<Item = (SlotOf, InputRing)> + 's {
        let of_ring = move |ring| self.slots().iter().filter(move |slot| slot.ring == ring && slot.owner == party);
        RINGS.into_iter().flat_map(of_ring).map(|slot| (slot.of, slot.ring))
    }

    /// Shares the columns of one ring, of all owners.
    fn share<E: Engine, R: Value>(
        &self,
        engine: &mut E,
        owner: &dyn Fn(&str) -> Option<PartyId>,
        inputs: &Inputs,
    ) -> Result<HashMap<usize, E::Share<R>>, Abort> {
        let slots: Vec<(usize, _)> = self.slots().iter().enumerate().filter(|(_, s)| s.ring == R::RING).collect();
        let mut columns = Vec::with_capacity(slots.len());
        for (_, slot) in &slots {
            let owner = owner(&slot.owner).ok_or_else(|| stranger(&slot.owner))?;
            let values: Option<&Column<R>> = self.held(inputs, slot.of, slot.ring).and_then(R::column);
            if engine.holds(owner) && values.is_none_or(|v| v.layout() != slot.layout) {
                return Err(Abort::Refused("this node's local stage did not yield the columns of the plan".into()));
            }
            columns.push(Input { owner, layout: slot.layout, values });
        }
        let shares = engine.deal(&columns)?;
        Ok(slots.iter().map(|(number, _)| *number).zip(shares).collect())
    }
}

/// What is known so far in one run.
struct Run<'r, E: Engine> {
    program: &'r Program<'r>,
    /// A party's place in the session.
    owner: &'r dyn Fn(&str) -> Option<PartyId>,
    /// What this node holds in clear.
    inputs: &'r Inputs,
    /// Shared bits and bit-planes, by input slot.
    bits: HashMap<usize, E::Share<B64>>,
    /// What the circuit of each frame yielded.
    logic: HashMap<usize, Evaluated<E::Share<B64>>>,
    fp61: Fields<E, Fp61>,
    fp127: Fields<E, Fp127>,
    relations: Computed<E>,
}

impl<E: Engine> Run<'_, E> {
    fn plan(&self) -> &Plan {
        self.program.plan()
    }

    fn ground(&self) -> &Ground {
        self.program.ground()
    }

    /// A bit node, after the logic of its frame.
    fn bit(&self, node: NodeId) -> Known<B64, E::Share<B64>> {
        let frame = self.plan().node(node).frame.0;
        let wire = self.program.bit(node);
        match (self.program.circuit(frame).0.value(wire), self.logic.get(&frame).and_then(|l| l.share(wire))) {
            (Some(public), _) => Known::Public(public.clone()),
            (None, Some(share)) => Known::Secret(share.clone()),
            (None, None) => unreachable!("the logic of a frame keeps every wire that is read"),
        }
    }

    fn release(&self, engine: &mut E, exists: &HashMap<usize, E::Share<B64>>) -> Result<Vec<Part>, Abort> {
        let mut parts = Vec::new();
        for part in self.ground().parts(self.plan()) {
            let missing = || Abort::Refused("the plan opens something that was not computed".into());
            // rows are numbered behind the releases of frames
            let rows = part.release.checked_sub(self.plan().releases.len());
            parts.push(match part.ring {
                InputRing::Bits => {
                    let bits = rows.map_or_else(|| exists.get(&part.release).cloned(), |r| self.opened_bits(r));
                    let bits = engine.verify(bits.ok_or_else(missing)?)?;
                    Part::Bits(engine.release(&bits)?)
                }
                InputRing::Fp61 => {
                    let sums = rows.map_or_else(|| self.fp61.sums.get(&part.release).cloned(), |r| self.opened::<Fp61>(r));
                    let sums = engine.verify(sums.ok_or_else(missing)?)?;
                    Part::Fp61(engine.release(&sums)?)
                }
                InputRing::Fp127 => {
                    let sums = rows.map_or_else(|| self.fp127.sums.get(&part.release).cloned(), |r| self.opened::<Fp127>(r));
                    let sums = engine.verify(sums.ok_or_else(missing)?)?;
                    Part::Fp127(engine.release(&sums)?)
                }
            });
        }
        Ok(parts)
    }
}

fn stranger(name: &str) -> Abort {
    Abort::Refused(format!("{name} is not a party of this session"))
}

/// A column known in clear or shared, as a share: constants cost nothing.
fn share_of<R: mpc_core::Ring, E: Engine>(engine: &mut E, known: Known<R, E::Share<R>>) -> E::Share<R> {
    match known {
        Known::Public(column) => engine.constant(&column),
        Known::Secret(share) => share,
    }
}

/// Which ring a column is shared in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InputRing {
    /// Bits.
    Bits,
    /// The value domain.
    Fp61,
    /// The wide value domain.
    Fp127,
}

impl InputRing {
    /// Which ring a clear column is of.
    pub fn of(column: &InputColumn) -> Self {
        match column {
            InputColumn::Bits(_) => InputRing::Bits,
            InputColumn::Fp61(_) => InputRing::Fp61,
            InputColumn::Fp127(_) => InputRing::Fp127,
        }
    }

    /// Bits of `layout` on the wire, rounded up to bytes.
    pub fn bytes(self, layout: Layout) -> usize {
        match self {
            InputRing::Bits => layout.bytes::<B64>(),
            InputRing::Fp61 => layout.bytes::<Fp61>(),
            InputRing::Fp127 => layout.bytes::<Fp127>(),
        }
    }
}
