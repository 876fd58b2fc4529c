//! AND and OR over planes.
//!
//! *Functionality.* One bit a row: whether all (any) of the row's bits are set.
//! *Protocol.* A balanced tree of ANDs; OR by De Morgan.
//! *Cost.* k planes: k - 1 bits a row, ceil(log2 k) rounds ([`cost::all`](crate::cost::all)). *Leakage.* None.

use super::{Bits, level};
use crate::{Abort, Engine, Wire};

/// Whether all planes of `bits` are set; at least one plane.
pub fn all<E: Engine>(e: &mut E, bits: &Bits<E>) -> Result<Bits<E>, Abort> {
    let all = and_tree(e, Wire::each(bits))?;
    Ok(e.join(&[all]))
}

/// Whether any plane of `bits` is set; at least one plane.
pub fn any<E: Engine>(e: &mut E, bits: &Bits<E>) -> Result<Bits<E>, Abort> {
    let none = and_tree(e, Wire::each(bits).iter().map(|bit| !bit).collect())?;
    Ok(e.join(&[!none]))
}

/// The AND of all wires.
pub(super) fn and_tree<'a, E: Engine>(e: &mut E, mut wires: Vec<Wire<'a, Bits<E>>>) -> Result<Wire<'a, Bits<E>>, Abort> {
    while wires.len() > 1 {
        let odd = if wires.len() % 2 == 1 { wires.pop() } else { None };
        let gates: Vec<_> = wires.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        wires = level(e, gates)?;
        wires.extend(odd);
    }
    Ok(wires.pop().expect("there is at least one bit"))
}
