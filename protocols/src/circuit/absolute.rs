//! Absolute value and negation.
//!
//! *Functionality.* [`absolute`]: |x| of two's complement, unsigned (so that -2^(k-1) has one). [`negate_if`]: -x where the bit is set, else x, mod 2^k.
//! *Protocol.* (x xor s) + s. The carry into position i is s and all lower bits of x being zero: ANDs of prefixes by a [prefix tree](super::prefix),
//! in which s is the lowest position. *Cost.* k a power of two: (k/2) log2 k bits a row; ceil(log2 k) rounds ([`cost::negate_if`](crate::cost::negate_if)).
//! *Leakage.* None.

use super::Bits;
use super::prefix::prefix_ands;
use crate::{Abort, Engine, Share, Wire};

/// |x| for x in two's complement.
pub fn absolute<E: Engine>(e: &mut E, x: &Bits<E>) -> Result<Bits<E>, Abort> {
    let sign = x.planes([x.layout().planes - 1]);
    negate_if(e, &sign, x)
}

/// -x mod 2^k where `bit` (one plane) is set, else x.
pub fn negate_if<E: Engine>(e: &mut E, bit: &Bits<E>, x: &Bits<E>) -> Result<Bits<E>, Abort> {
    let width = x.layout().planes;
    assert!(width > 0, "integers have at least one bit");
    let (sign, wires) = (Wire::each(bit).remove(0), Wire::each(x));
    let below = std::iter::once(sign.clone()).chain(wires[..width - 1].iter().map(|bit| !bit)).collect();
    let carries = prefix_ands(e, below)?;
    let negated: Vec<_> = wires.iter().zip(&carries).map(|(x, carry)| &(x ^ &sign) ^ carry).collect();
    Ok(e.join(&negated))
}
