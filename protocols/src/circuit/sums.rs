//! Counts and sums of the rows whose bit is set.
//!
//! *Functionality.* [`count`]: how many; [`filtered_sum`]: the sum of their values; [`bit_times`]: each row's value or zero.
//! *Protocol.* The bits become 0 or 1 in the ring of the result ([`Engine::bits_to`]); then a local sum, an inner product, a product.
//! *Cost.* One element a row in 2 rounds for the conversion; then nothing, one element a plane in a round, one element a row and plane in a round
//! ([`cost::count`](crate::cost::count), [`cost::filtered_sum`](crate::cost::filtered_sum), [`cost::bit_times`](crate::cost::bit_times)).
//! *Leakage.* None. A count in Z_{2^w} wraps: n rows need ceil(log2 (n+1)) bits.

use super::Bits;
use crate::{Abort, Engine, Share};
use mpc_core::Ring;

/// How many rows of each plane of `bits` are set: one row a plane.
pub fn count<E: Engine, R: Ring>(e: &mut E, bits: &Bits<E>) -> Result<E::Share<R>, Abort> {
    Ok(e.bits_to::<R>(bits)?.sum())
}

/// For each plane of `values` the sum over the rows whose bit (one plane) is set: one row a plane.
pub fn filtered_sum<E: Engine, R: Ring>(e: &mut E, bit: &Bits<E>, values: &E::Share<R>) -> Result<E::Share<R>, Abort> {
    let bit = spread::<E, R>(e, bit, values.layout().planes)?;
    e.dot(&bit, values)
}

/// The rows of `values` whose bit (one plane) is set, zero elsewhere.
pub fn bit_times<E: Engine, R: Ring>(e: &mut E, bit: &Bits<E>, values: &E::Share<R>) -> Result<E::Share<R>, Abort> {
    let bit = spread::<E, R>(e, bit, values.layout().planes)?;
    e.mul(&bit, values)
}

/// One converted bit for each of `planes` planes.
fn spread<E: Engine, R: Ring>(e: &mut E, bit: &Bits<E>, planes: usize) -> Result<E::Share<R>, Abort> {
    assert_eq!(bit.layout().planes, 1, "one bit for all planes of a row");
    let bit = e.bits_to::<R>(bit)?;
    Ok(if planes == 1 { bit } else { bit.planes(std::iter::repeat_n(0, planes)) })
}
