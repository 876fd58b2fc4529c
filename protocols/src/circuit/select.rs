//! Choice between integers by a secret bit.
//!
//! *Functionality.* `x` where the bit is set, else `y`. *Protocol.* y xor bit (x xor y).
//! *Cost.* k planes: k bits a row, one round ([`cost::select`](crate::cost::select)). *Leakage.* None.

use super::{Bits, assert_same_width, level};
use crate::{Abort, Engine, Share, Wire};

/// `x` where `bit` (one plane) is set, else `y`.
pub fn select<E: Engine>(e: &mut E, bit: &Bits<E>, x: &Bits<E>, y: &Bits<E>) -> Result<Bits<E>, Abort> {
    assert_same_width::<E>(x, y);
    assert_eq!(bit.layout().planes, 1, "one bit chooses for all planes");
    let (bit, x, y) = (Wire::each(bit).remove(0), Wire::each(x), Wire::each(y));
    let gates: Vec<_> = x.iter().zip(&y).map(|(x, y)| (bit.clone(), x ^ y)).collect();
    let products = level(e, gates)?;
    let chosen: Vec<_> = y.iter().zip(&products).map(|(y, product)| y ^ product).collect();
    Ok(e.join(&chosen))
}
