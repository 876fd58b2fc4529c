//! Conversions, arithmetic on bits and division at the gate.

use super::{Case, GateLine, measured};
use crate::cost::{self, Cost};
use crate::world::Protocol;
use crate::{Abort, Engine, circuit};
use mpc_core::{Column, Fp31, Fp61, Fp127, Layout, Ring, Z64};
use std::marker::PhantomData;

/// Everything at `rows` rows.
pub(super) fn lines(rows: usize, lines: &mut Vec<GateLine>) {
    from_ring::<Fp31>(rows, lines);
    from_ring::<Fp61>(rows, lines);
    from_ring::<Fp127>(rows, lines);
    from_ring::<Z64>(rows, lines);
}

fn from_ring<R: Ring>(rows: usize, lines: &mut Vec<GateLine>) {
    let layout = Layout::new(rows, 1);
    let mut line = |op: &'static str, formula: Cost| {
        let case = Case { op: op.into(), n: rows, k: Some(R::BITS), ..Case::default() };
        lines.push(measured(&OfRing::<R> { op, layout, ring: PhantomData }, case, R::NAME, formula));
    };
    line("difference", cost::difference::<R>(rows, 1));
    line("near_quotient", cost::near_quotient::<Fp61>(layout));
    line("field_bits", cost::field_bits::<R>(rows, R::BITS as usize));
    line("field_bits_20", cost::field_bits::<R>(rows, 20));
    line(if R::NAME == Z64::NAME { "msb_pair" } else { "sign" }, cost::is_negative::<R>(rows));
    line("zero", cost::is_zero::<R>(rows));
}

/// An operation on a column of a ring.
struct OfRing<R> {
    op: &'static str,
    layout: Layout,
    ring: PhantomData<fn() -> R>,
}

impl<R: Ring> Protocol for OfRing<R> {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        let x = e.constant(&Column::<R>::zeros(self.layout));
        match self.op {
            "difference" => e.difference(&x, &[0]).map(drop),
            "near_quotient" => e.near_quotient::<R, Fp61>(&x, &[10]).map(drop),
            "field_bits" => circuit::field_bits::<E, R>(e, &x, R::BITS as usize).map(drop),
            "field_bits_20" => circuit::field_bits::<E, R>(e, &x, 20).map(drop),
            "sign" | "msb_pair" => circuit::is_negative::<E, R>(e, &x).map(drop),
            "zero" => circuit::is_zero::<E, R>(e, &x).map(drop),
            other => unreachable!("the gate names no operation {other}"),
        }
    }
}
