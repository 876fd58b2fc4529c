//! Field elements of the joint stage: columns, lifted bits, products.

use super::program::Product;
use super::{InputRing, Run};
use crate::local::InputColumn;
use crate::plan::{self, NodeId, Op};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout, Ring};
use protocols::rows::Element;
use protocols::{Engine, Share, stack};
use std::collections::HashMap;

/// A ring in which inputs are shared.
pub(super) trait Value: Ring {
    const RING: InputRing;
    /// The clear column, if it is of this ring.
    fn column(input: &InputColumn) -> Option<&Column<Self>>;
}

/// A ring in which values are summed and multiplied.
pub(super) trait Field: Value + Element {
    const FIELD: plan::Ring;
    fn fields<'a, E: Engine>(run: &'a Run<'_, E>) -> &'a Fields<E, Self>;
    fn fields_mut<'a, E: Engine>(run: &'a mut Run<'_, E>) -> &'a mut Fields<E, Self>;
}

impl Value for B64 {
    const RING: InputRing = InputRing::Bits;
    fn column(input: &InputColumn) -> Option<&Column<Self>> {
        if let InputColumn::Bits(c) = input { Some(c) } else { None }
    }
}

impl Value for Fp61 {
    const RING: InputRing = InputRing::Fp61;
    fn column(input: &InputColumn) -> Option<&Column<Self>> {
        if let InputColumn::Fp61(c) = input { Some(c) } else { None }
    }
}

impl Value for Fp127 {
    const RING: InputRing = InputRing::Fp127;
    fn column(input: &InputColumn) -> Option<&Column<Self>> {
        if let InputColumn::Fp127(c) = input { Some(c) } else { None }
    }
}

impl Field for Fp61 {
    const FIELD: plan::Ring = plan::Ring::Fp61;
    fn fields<'a, E: Engine>(run: &'a Run<'_, E>) -> &'a Fields<E, Self> {
        &run.fp61
    }
    fn fields_mut<'a, E: Engine>(run: &'a mut Run<'_, E>) -> &'a mut Fields<E, Self> {
        &mut run.fp61
    }
}

impl Field for Fp127 {
    const FIELD: plan::Ring = plan::Ring::Fp127;
    fn fields<'a, E: Engine>(run: &'a Run<'_, E>) -> &'a Fields<E, Self> {
        &run.fp127
    }
    fn fields_mut<'a, E: Engine>(run: &'a mut Run<'_, E>) -> &'a mut Fields<E, Self> {
        &mut run.fp127
    }
}

/// A column every node knows, or one that is shared.
#[derive(Clone)]
pub(super) enum Known<R: Ring, S> {
    Public(Column<R>),
    Secret(S),
}

/// What is known so far of one field.
pub(super) struct Fields<E: Engine, R: Ring> {
    /// Shared inputs, by slot.
    pub inputs: HashMap<usize, E::Share<R>>,
    /// Lifted bits and products.
    values: HashMap<NodeId, E::Share<R>>,
    /// The sums of each release.
    pub sums: HashMap<usize, E::Share<R>>,
}

impl<E: Engine, R: Ring> Default for Fields<E, R> {
    fn default() -> Self {
        Fields { inputs: HashMap::new(), values: HashMap::new(), sums: HashMap::new() }
    }
}

impl<E: Engine> Run<'_, E> {
    /// A field node, once everything it needs has run. Products with public factors are local and formed here.
    pub(super) fn element<R: Field>(&self, id: NodeId) -> Known<R, E::Share<R>> {
        if let Some(share) = R::fields(self).values.get(&id) {
            return Known::Secret(share.clone());
        }
        match &self.plan().node(id).op {
            Op::Column { scan, column, form } => match self.program.slot_of(*scan, *column, *form) {
                Some(slot) => Known::Secret(R::fields(self).inputs.get(&slot).expect("inputs are shared before they are used").clone()),
                None => {
                    Known::Public(self.program.public(*scan, *column, *form).and_then(R::column).expect("checked by the layout").clone())
                }
            },
            Op::Lift(bit) => match self.bit(*bit) {
                Known::Public(bits) => Known::Public(elements(&bits)),
                Known::Secret(_) => unreachable!("secret bits are lifted before they are used"),
            },
            Op::Product(a, b) => times(self.element::<R>(*a), self.element::<R>(*b)),
            _ => unreachable!("checked by the layout: a field node is a column, a lifted bit or a product"),
        }
    }

    /// Lifts all secret bits of a frame that are used in this field.
    pub(super) fn lift<R: Field>(&mut self, engine: &mut E, frame: usize) -> Result<(), Abort> {
        let lifts = self.program.lifts(R::FIELD, frame);
        let bits: Vec<_> = lifts
            .iter()
            .map(|(_, bit)| match self.bit(*bit) {
                Known::Secret(share) => share,
                Known::Public(_) => unreachable!("public bits are not lifted"),
            })
            .collect();
        let lifted = engine.bits_to::<R>(&stack(&bits))?;
        let values = &mut R::fields_mut(self).values;
        for (plane, (node, _)) in lifts.iter().enumerate() {
            values.insert(*node, lifted.planes([plane]));
        }
        Ok(())
    }

    /// The products of one batch: one frame, one depth.
    pub(super) fn multiply<R: Field>(&mut self, engine: &mut E, batch: usize) -> Result<(), Abort> {
        let batch = self.program.products(R::FIELD, batch);
        let side = |of: fn(&Product) -> NodeId| -> Vec<E::Share<R>> {
            let secret = |id| match self.element::<R>(id) {
                Known::Secret(share) => share,
                Known::Public(_) => unreachable!("products with public factors are local"),
            };
            batch.iter().map(|product| secret(of(product))).collect()
        };
        let (x, y) = (stack(&side(|p| p.a)), stack(&side(|p| p.b)));
        let z = engine.mul(&x, &y)?;
        let values = &mut R::fields_mut(self).values;
        for (plane, product) in batch.iter().enumerate() {
            values.insert(product.node, z.planes([plane]));
        }
        Ok(())
    }
}

/// The product where at least one factor is public.
pub(super) fn times<R: Ring, S: Share<R>>(a: Known<R, S>, b: Known<R, S>) -> Known<R, S> {
    match (a, b) {
        (Known::Public(a), Known::Public(b)) => Known::Public(a.zip(&b, R::mul)),
        (Known::Public(p), Known::Secret(s)) | (Known::Secret(s), Known::Public(p)) => Known::Secret(s.scale(&p)),
        (Known::Secret(_), Known::Secret(_)) => unreachable!("products of two shared columns take a round"),
    }
}

/// Public bits as public elements.
pub(super) fn elements<R: Ring>(bits: &Column<B64>) -> Column<R> {
    let rows = (0..bits.rows()).map(|r| if bits.bit(r, 0) { R::ONE } else { R::ZERO }).collect();
    Column::from_elements(rows, Layout::new(bits.rows(), 1)).expect("one element a row")
}
