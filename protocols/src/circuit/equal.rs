//! Equality of integers.
//!
//! *Functionality.* One bit a row: a = b. Further bits join the same tree at no extra round: a = b and all of them.
//! *Protocol.* The AND over all positions of not (a_j xor b_j).
//! *Cost.* k planes: k - 1 bits a row, ceil(log2 k) rounds; m further bits: k + m in place of k
//! ([`cost::equal`](crate::cost::equal)). Against a public value the same. *Leakage.* None.

use super::reduce::and_tree;
use super::{Bits, assert_same_width};
use crate::{Abort, Engine, Wire};

/// Whether `a` equals `b`, and every plane of `also` is set.
pub fn equal<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>, also: &[&Bits<E>]) -> Result<Bits<E>, Abort> {
    assert_same_width::<E>(a, b);
    let same = Wire::each(a).iter().zip(&Wire::each(b)).map(|(a, b)| !(a ^ b)).collect::<Vec<_>>();
    let wires = same.into_iter().chain(also.iter().flat_map(|bits| Wire::each(*bits))).collect();
    let equal = and_tree(e, wires)?;
    Ok(e.join(&[equal]))
}
