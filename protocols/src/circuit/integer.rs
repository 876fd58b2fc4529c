//! Integers in bits as field elements, and their widths.
//!
//! *Functionality.* [`integer`]: unsigned or two's complement bits to a ring. [`extend`] and [`narrow`]: other widths of the same integers; [`align`]: two
//! columns in the wider of both widths, as comparisons need them.
//! *Protocol.* [`Engine::bits_to`] for every plane, then the weighted sum: 2^i, and -2^(k-1) for a sign. Widths are local: planes are repeated, added as
//! zeros or left out. *Cost.* k elements a row, 2 rounds; widths nothing ([`cost::integer`](crate::cost::integer)). *Leakage.* None.
//!
//! The other route, one component opened to its two holders under a mask that P_0 knows in bits (Mohassel and Rindal, CCS'18, section 5.4), takes about 8 k + 60
//! bits in place of 61 k, but 7 + ceil(log2 k) rounds, and the two holders must be given the component by one of them, lest a third make their copies
//! differ. It is worth its rounds for wide integers in very many rows; what is summed is shared in the field by its owner, so there are few of those.

use super::{Bits, zero};
use crate::{Abort, Engine, Share};
use mpc_core::{B64, Column, Layout, Ring};

/// What a column of bits says of negative values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// There are none.
    Unsigned,
    /// Two's complement: the top bit counts negatively.
    Signed,
}

/// The integers as elements of `R`, which must be able to hold them.
pub fn integer<E: Engine, R: Ring>(e: &mut E, bits: &Bits<E>, sign: Sign) -> Result<E::Share<R>, Abort> {
    let width = bits.layout().planes;
    assert!(width > 0, "integers have at least one bit");
    let converted = e.bits_to::<R>(bits)?;
    let top = converted.planes([width - 1]);
    let top = if sign == Sign::Signed { top.sub(&top.add(&top)) } else { top };
    Ok((0..width - 1).rev().fold(top, |sum, i| sum.add(&sum).add(&converted.planes([i]))))
}

/// The same integers in `width` bits, not fewer than they have.
pub fn extend<E: Engine>(e: &mut E, bits: &Bits<E>, width: usize, sign: Sign) -> Bits<E> {
    let Layout { planes, rows, .. } = bits.layout();
    assert!(0 < planes && planes <= width, "{planes} bits do not fit {width}");
    match sign {
        Sign::Signed => bits.planes((0..width).map(|i| i.min(planes - 1))),
        Sign::Unsigned if planes == width => bits.clone(),
        Sign::Unsigned => Share::stack(&[bits, &e.constant(&Column::<B64>::zeros(Layout::new(rows, width - planes)))]),
    }
}

/// The integers mod 2^`width`: the same ones, where they fit.
pub fn narrow<E: Engine>(bits: &Bits<E>, width: usize) -> Bits<E> {
    bits.planes(0..width)
}

/// Two columns of integers in the wider of their widths.
pub fn align<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>, sign: Sign) -> (Bits<E>, Bits<E>) {
    let width = a.layout().planes.max(b.layout().planes);
    (extend(e, a, width, sign), extend(e, b, width, sign))
}

/// The integers shifted up by public `planes`, zeros below.
pub(super) fn shift_up<E: Engine>(e: &mut E, bits: &Bits<E>, planes: usize) -> Bits<E> {
    if planes == 0 { bits.clone() } else { Share::stack(&[&zero(e, bits.layout().rows, planes), bits]) }
}
