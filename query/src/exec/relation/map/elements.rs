//! The elements of a Map: lifted bits, linear combinations, products.
//!
//! *Leakage.* None: what is lifted and multiplied, and when, follows from the plan.

use super::super::super::field::{Field, Known, elements, times};
use super::super::super::program::ProgramError;
use super::super::super::share_of;
use super::{Layout, Running};
use crate::plan::Ring;
use crate::plan::relation::{Relation, RowKind, RowNodeId, RowOp};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout as Shape};
use protocols::graph::Wire;
use protocols::rows::Bits;
use protocols::{Engine, Share, stack};
use std::collections::{BTreeSet, HashMap};

/// What is known of one field.
pub(super) struct ElementsOf<E: Engine, R: Field> {
    /// The bits of the stage that are lifted, and the plane of each.
    lifted: Option<E::Share<R>>,
    planes: HashMap<Wire, usize>,
    values: HashMap<usize, Known<R, E::Share<R>>>,
}

impl<E: Engine, R: Field> Default for ElementsOf<E, R> {
    fn default() -> Self {
        ElementsOf { lifted: None, planes: HashMap::new(), values: HashMap::new() }
    }
}

impl<E: Engine, R: Field> ElementsOf<E, R> {
    /// A node as a share.
    pub fn share(&self, engine: &mut E, id: usize) -> E::Share<R> {
        share_of(engine, self.values[&id].clone())
    }
}

/// A field of which a Map has elements.
pub(super) trait Elements: Field {
    fn of_run<'r, E: Engine>(run: &'r Running<'_, E>) -> &'r ElementsOf<E, Self>;
    fn of_run_mut<'r, E: Engine>(run: &'r mut Running<'_, E>) -> &'r mut ElementsOf<E, Self>;
}

impl Elements for Fp61 {
    fn of_run<'r, E: Engine>(run: &'r Running<'_, E>) -> &'r ElementsOf<E, Self> {
        &run.fp61
    }
    fn of_run_mut<'r, E: Engine>(run: &'r mut Running<'_, E>) -> &'r mut ElementsOf<E, Self> {
        &mut run.fp61
    }
}

impl Elements for Fp127 {
    fn of_run<'r, E: Engine>(run: &'r Running<'_, E>) -> &'r ElementsOf<E, Self> {
        &run.fp127
    }
    fn of_run_mut<'r, E: Engine>(run: &'r mut Running<'_, E>) -> &'r mut ElementsOf<E, Self> {
        &mut run.fp127
    }
}

impl Layout<'_> {
    /// Finds out what an element node needs: which bits are lifted, how many products deep it is.
    pub(super) fn lay_element(
        &mut self,
        input: &Relation,
        id: usize,
        ring: Ring,
        stage: usize,
        depths: &mut HashMap<usize, u32>,
    ) -> Result<(), ProgramError> {
        let op = self.nodes[id].op.clone();
        let operand = |layout: &Self, o: &RowNodeId| {
            let public = layout.public.get(&o.0).copied().filter(|_| layout.nodes[o.0].kind == RowKind::Field(ring));
            let depth = if layout.stage[o.0] == Some(stage) { depths.get(&o.0).copied().unwrap_or(0) } else { 0 };
            public.map(|public| (public, depth)).ok_or(ProgramError("elements are of one field"))
        };
        let (public, depth) = match &op {
            RowOp::Column(column) => {
                let of = input.columns.get(*column).and_then(|c| c.form.ring());
                if of != Some(ring) {
                    return Err(ProgramError("a column node has its column's kind"));
                }
                (false, 0)
            }
            RowOp::Element(_) => (true, 0),
            RowOp::Lift(bit) => {
                let bit = self.bit_of(*bit, stage)?;
                (self.lift(id, ring, stage, vec![bit]), 0)
            }
            RowOp::ToField(planes, _) => {
                let wires = self.wires_in(*planes, stage)?;
                (self.lift(id, ring, stage, wires), 0)
            }
            RowOp::Linear(terms, _) => {
                let all = terms.iter().map(|(_, o)| operand(self, o)).collect::<Result<Vec<_>, _>>()?;
                (all.iter().all(|(public, _)| *public), all.iter().map(|(_, d)| *d).max().unwrap_or(0))
            }
            RowOp::Product(a, b) => {
                let ((a_public, a), (b_public, b)) = (operand(self, a)?, operand(self, b)?);
                (a_public && b_public, a.max(b) + u32::from(!a_public && !b_public))
            }
            RowOp::Select(bit, a, b) => {
                let ((a_public, a), (b_public, b)) = (operand(self, a)?, operand(self, b)?);
                let bit = self.bit_of(*bit, stage)?;
                let known = self.lift(id, ring, stage, vec![bit]);
                (known && a_public && b_public, a.max(b) + u32::from(!(known || a_public && b_public)))
            }
            _ => return Err(ProgramError("an operation on bits yields bits")),
        };
        self.public.insert(id, public);
        depths.insert(id, depth);
        self.stages[stage].elements.entry(depth).or_default().push(id);
        Ok(())
    }

    /// Notes that a node needs these bits as elements; whether all are known in clear.
    fn lift(&mut self, id: usize, ring: Ring, stage: usize, wires: Vec<Wire>) -> bool {
        let secret: BTreeSet<Wire> = wires.iter().copied().filter(|w| matches!(w, Wire::Secret(_))).collect();
        let public = secret.is_empty();
        let stage = &mut self.stages[stage];
        stage.outputs.extend(&secret);
        if !public {
            stage.lifts.entry(ring).or_default().extend(secret);
        }
        self.lifted.insert(id, wires);
        public
    }

    /// Everything of a stage behind its circuit.
    pub(super) fn run_elements<E: Engine>(&self, engine: &mut E, stage: usize, run: &mut Running<'_, E>) -> Result<(), Abort> {
        self.lift_all::<Fp61, E>(engine, stage, run)?;
        self.lift_all::<Fp127, E>(engine, stage, run)?;
        for nodes in self.stages[stage].elements.values() {
            self.at_depth::<Fp61, E>(engine, stage, nodes, run)?;
            self.at_depth::<Fp127, E>(engine, stage, nodes, run)?;
        }
        // no later stage reads them
        (run.fp61.lifted, run.fp127.lifted) = (None, None);
        Ok(())
    }

    fn lift_all<R: Elements, E: Engine>(&self, engine: &mut E, stage: usize, run: &mut Running<'_, E>) -> Result<(), Abort> {
        let Some(wires) = self.stages[stage].lifts.get(&R::FIELD) else { return Ok(()) };
        let bits = stack::<B64, _>(&wires.iter().map(|w| run.circuits[stage][w].clone()).collect::<Vec<Bits<E>>>());
        let lifted = engine.bits_to::<R>(&bits)?;
        let elements = R::of_run_mut(run);
        elements.lifted = Some(lifted);
        elements.planes = wires.iter().enumerate().map(|(plane, wire)| (*wire, plane)).collect();
        Ok(())
    }

    fn at_depth<R: Elements, E: Engine>(
        &self,
        engine: &mut E,
        stage: usize,
        nodes: &[usize],
        run: &mut Running<'_, E>,
    ) -> Result<(), Abort> {
        let mine: Vec<usize> = nodes.iter().copied().filter(|id| self.nodes[*id].kind == RowKind::Field(R::FIELD)).collect();
        // the products of this depth, together
        let mut factors = Vec::new();
        for id in &mine {
            if let Some((x, y)) = self.factors::<R, E>(engine, stage, *id, run) {
                factors.push((*id, x, y));
            }
        }
        let mut products = HashMap::new();
        if !factors.is_empty() {
            let (x, y): (Vec<_>, Vec<_>) = factors.iter().map(|(_, x, y)| (x.clone(), y.clone())).unzip();
            let all = engine.mul(&stack(&x), &stack(&y))?;
            products.extend(factors.iter().enumerate().map(|(plane, f)| (f.0, Known::Secret(all.planes([plane])))));
        }
        for id in mine {
            let value = self.element::<R, E>(engine, stage, id, products.remove(&id), run);
            R::of_run_mut(run).values.insert(id, value);
        }
        Ok(())
    }

    /// The two shared factors of a node that needs a round.
    fn factors<R: Elements, E: Engine>(
        &self,
        engine: &mut E,
        stage: usize,
        id: usize,
        run: &Running<'_, E>,
    ) -> Option<(E::Share<R>, E::Share<R>)> {
        let values = &R::of_run(run).values;
        match &self.nodes[id].op {
            RowOp::Product(a, b) => match (&values.get(&a.0)?, &values.get(&b.0)?) {
                (Known::Secret(a), Known::Secret(b)) => Some((a.clone(), b.clone())),
                _ => None,
            },
            RowOp::Select(_, a, b) => {
                let (a, b) = (values.get(&a.0)?.clone(), values.get(&b.0)?.clone());
                match (self.lifted::<R, E>(stage, id, 0, run), minus(engine, a, b)) {
                    (Known::Secret(bit), Known::Secret(difference)) => Some((bit, difference)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// A node, once everything it needs is known; `product` is that of its factors.
    fn element<R: Elements, E: Engine>(
        &self,
        engine: &mut E,
        stage: usize,
        id: usize,
        product: Option<Known<R, E::Share<R>>>,
        run: &Running<'_, E>,
    ) -> Known<R, E::Share<R>> {
        let of = |id: &RowNodeId| R::of_run(run).values[&id.0].clone();
        let splat = |value: i128| Column::splat(R::element(value), Shape::new(run.input.places, 1));
        let scaled = |known, coefficient: i128| if coefficient == 1 { known } else { times(known, Known::Public(splat(coefficient))) };
        match &self.nodes[id].op {
            RowOp::Column(column) => Known::Secret(run.input.columns[*column].elements::<R>().clone()),
            RowOp::Element(value) => Known::Public(splat(*value)),
            RowOp::Lift(_) => self.lifted::<R, E>(stage, id, 0, run),
            RowOp::ToField(_, offset) => (0..self.lifted[&id].len()).fold(Known::Public(splat(*offset)), |sum, plane| {
                let lifted = self.lifted::<R, E>(stage, id, plane, run);
                plus(engine, sum, scaled(lifted, 1 << plane))
            }),
            RowOp::Linear(terms, constant) => {
                terms.iter().fold(Known::Public(splat(*constant)), |sum, (c, node)| plus(engine, sum, scaled(of(node), *c)))
            }
            RowOp::Product(a, b) => product.unwrap_or_else(|| times(of(a), of(b))),
            RowOp::Select(_, a, b) => {
                let taken = product.unwrap_or_else(|| {
                    let difference = minus(engine, of(a), of(b));
                    times(self.lifted::<R, E>(stage, id, 0, run), difference)
                });
                plus(engine, taken, of(b))
            }
            _ => unreachable!("checked by the layout: an element"),
        }
    }

    /// A bit that a node needs as elements.
    fn lifted<R: Elements, E: Engine>(&self, stage: usize, id: usize, number: usize, run: &Running<'_, E>) -> Known<R, E::Share<R>> {
        let wire = self.lifted[&id][number];
        match self.stages[stage].graph.value(wire) {
            Some(public) => Known::Public(elements(public)),
            None => {
                let elements = R::of_run(run);
                let lifted = elements.lifted.as_ref().expect("lifted in this stage");
                Known::Secret(lifted.planes([elements.planes[&wire]]))
            }
        }
    }
}

fn plus<R: Field, E: Engine>(engine: &mut E, a: Known<R, E::Share<R>>, b: Known<R, E::Share<R>>) -> Known<R, E::Share<R>> {
    match (a, b) {
        (Known::Public(a), Known::Public(b)) => Known::Public(a.zip(&b, R::add)),
        (Known::Secret(a), Known::Secret(b)) => Known::Secret(a.add(&b)),
        (Known::Secret(s), Known::Public(p)) | (Known::Public(p), Known::Secret(s)) => Known::Secret(engine.add_public(&s, &p)),
    }
}

fn minus<R: Field, E: Engine>(engine: &mut E, a: Known<R, E::Share<R>>, b: Known<R, E::Share<R>>) -> Known<R, E::Share<R>> {
    let layout = match &b {
        Known::Public(b) => b.layout(),
        Known::Secret(b) => b.layout(),
    };
    let negative = times(b, Known::Public(Column::splat(R::ZERO.sub(R::ONE), layout)));
    plus(engine, a, negative)
}
