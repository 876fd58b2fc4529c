//! Addition of integers in bits.
//!
//! *Functionality.* a + b or a - b mod 2^k.
//! *Protocol.* Carries by Sklansky's prefix tree (IRE Trans. EC-9, 1960): after the level of span d every position of an upper half of 2d positions knows the
//! carry out of the lower half. a - b = not (not a + b).
//! *Cost.* k a power of two: k log2 k + 1 bits a row; 1 + ceil(log2 k) rounds ([`cost::adder`](crate::cost::adder)).
//! *Leakage.* None.

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
    let generated = level(e, &pairs)?;
    let carries = prefix_carries(e, generated, single.clone())?;
    let from_below = std::iter::once(None).chain(carries.iter().map(Some));
    Ok(single.iter().zip(from_below).map(|(bit, carry)| carry.map_or_else(|| bit.clone(), |c| bit ^ c)).collect())
}

/// The carry out of positions 0..=i for every i, from what each position generates (`g`) and lets through (`p`).
fn prefix_carries<'a, E: Engine>(
    e: &mut E,
    mut g: Vec<Wire<'a, Bits<E>>>,
    mut p: Vec<Wire<'a, Bits<E>>>,
) -> Result<Vec<Wire<'a, Bits<E>>>, Abort> {
    let mut span = 1;
    while span < g.len() {
        // the upper halves, each with the top of its lower half; a lowest block lets nothing through from below
        let upper: Vec<_> = (0..g.len()).filter(|i| i & span != 0).map(|i| (i, (i & !(2 * span - 1)) + span - 1)).collect();
        let passing: Vec<_> = upper.iter().copied().filter(|(i, _)| *i >= 2 * span).collect();
        let carried = upper.iter().map(|&(i, below)| (p[i].clone(), g[below].clone()));
        let passed = passing.iter().map(|&(i, below)| (p[i].clone(), p[below].clone()));
        let mut products = level(e, &carried.chain(passed).collect::<Vec<_>>())?.into_iter();
        for ((i, _), product) in upper.iter().zip(&mut products) {
            g[*i] = &g[*i] ^ &product;
        }
        for ((i, _), product) in passing.iter().zip(products) {
            p[*i] = product;
        }
        span *= 2;
    }
    Ok(g)
}
