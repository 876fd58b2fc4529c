//! Counts and sums of the rows whose bit is set.
//!
//! *Functionality.* [`count`]: how many; [`filtered_sum`]: the sum of their values; [`bit_times`]: each row's value or zero.
//! *Protocol.* The bits become 0 or 1 in the ring of the result ([`Engine::bits_to`]); then a local sum, an inner product, a product.
//! *Cost.* One element a row in 2 rounds for the conversion; then nothing, one element a plane in a round, one element a row and plane in a round
//! ([`cost::count`](crate::cost::count), [`cost::filtered_sum`](crate::cost::filtered_sum), [`cost::bit_times`](crate::cost::bit_times)).
//! *Leakage.* None. A count in Z_{2^w} wraps: n rows need ceil(log2 (n+1)) bits.

use super::Bits;
use crate::{Abort, Engine, Share};
use mpc_core::{Layout, Ring};

/// How many rows of each plane of `bits` are set: one row a plane.
pub fn count<E: Engine, R: Ring>(e: &mut E, bits: &Bits<E>) -> Result<E::Share<R>, Abort> {
    let Layout { rows, planes, .. } = bits.layout();
    count_in(e, bits, Layout::new(rows, planes))
}

/// [`count`] in narrow elements: `layout` is that of the bits as elements.
pub fn count_in<E: Engine, R: Ring>(e: &mut E, bits: &Bits<E>, layout: Layout) -> Result<E::Share<R>, Abort> {
    Ok(e.bits_as::<R>(bits, layout)?.sum())
}

/// For each plane of `values` the sum over the rows whose bit (one plane) is set: one row a plane.
pub fn filtered_sum<E: Engine, R: Ring>(e: &mut E, bit: &Bits<E>, values: &E::Share<R>) -> Result<E::Share<R>, Abort> {
    let bit = spread::<E, R>(e, bit, values.layout())?;
    e.dot(&bit, values)
}

/// The rows of `values` whose bit (one plane) is set, zero elsewhere.
pub fn bit_times<E: Engine, R: Ring>(e: &mut E, bit: &Bits<E>, values: &E::Share<R>) -> Result<E::Share<R>, Abort> {
    let bit = spread::<E, R>(e, bit, values.layout())?;
    e.mul_freeing(bit, values)
}

/// One converted bit for each plane of `layout`.
fn spread<E: Engine, R: Ring>(e: &mut E, bit: &Bits<E>, layout: Layout) -> Result<E::Share<R>, Abort> {
    assert_eq!(bit.layout().planes, 1, "one bit for all planes of a row");
    let bit = e.bits_as::<R>(bit, layout.with_planes(1))?;
    Ok(if layout.planes == 1 { bit } else { bit.planes(std::iter::repeat_n(0, layout.planes)) })
}
