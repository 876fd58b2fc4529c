//! Addition of integers in bits.
//!
//! *Functionality.* a + b or a - b mod 2^k.
//! *Protocol.* Carries by a [prefix tree](super::prefix). a - b = not (not a + b).
//! *Cost.* k a power of two: k log2 k + 1 bits a row; 1 + ceil(log2 k) rounds ([`cost::adder`](crate::cost::adder)).
//! *Leakage.* None.

use super::prefix::Tree;
use super::{Bits, assert_same_width, level};
use crate::{Abort, Engine, Wire};

/// `a` + `b` mod 2^k.
pub fn add<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<Bits<E>, Abort> {
    assert_same_width::<E>(a, b);
    let sum = sum(e, &Wire::each(a), &Wire::each(b))?;
    Ok(e.join(&sum))
}

/// `a` - `b` mod 2^k.
pub fn subtract<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<Bits<E>, Abort> {
    assert_same_width::<E>(a, b);
    let not_a: Vec<_> = Wire::each(a).iter().map(|bit| !bit).collect();
    let sum = sum(e, &not_a, &Wire::each(b))?;
    Ok(e.join(&sum.into_iter().map(|bit| !bit).collect::<Vec<_>>()))
}

fn sum<'a, E: Engine>(e: &mut E, a: &[Wire<'a, Bits<E>>], b: &[Wire<'a, Bits<E>>]) -> Result<Vec<Wire<'a, Bits<E>>>, Abort> {
    let pairs: Vec<_> = a.iter().cloned().zip(b.iter().cloned()).collect();
    let single: Vec<_> = a.iter().zip(b).map(|(a, b)| a ^ b).collect();
    let generated = level(e, pairs)?;
    let tree = Tree::new(vec![true; single.len()], vec![false; single.len()]);
    let (carries, _) = tree.run(e, generated, single.clone())?;
    let from_below = std::iter::once(None).chain(carries.iter().map(Some));
    Ok(single.iter().zip(from_below).map(|(bit, carry)| carry.map_or_else(|| bit.clone(), |c| bit ^ c)).collect())
}
