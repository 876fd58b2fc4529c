//! Whether integers lie between others.
//!
//! *Functionality.* low <= x <= high, both ends included; unsigned or two's complement; against secret integers.
//! *Protocol.* Both comparisons in the same rounds, as rows of one column, then an AND. Against public ends [`at_least`](super::at_least) is cheaper: x is
//! between if it is at least low and not at least high + 1, which is an exclusive or.
//! *Cost.* Twice [`less`], and one bit in one round ([`cost::between`](crate::cost::between)). *Leakage.* None.

use super::{Bits, Sign, less, less_signed, level};
use crate::{Abort, Engine, Share, Wire};

/// Whether `low` <= `x` <= `high`.
pub fn between<E: Engine>(e: &mut E, x: &Bits<E>, low: &Bits<E>, high: &Bits<E>, sign: Sign) -> Result<Bits<E>, Abort> {
    let rows = x.layout().rows;
    let (smaller, greater) = (Share::concat(&[x, high]), Share::concat(&[low, x]));
    let outside = match sign {
        Sign::Unsigned => less(e, &smaller, &greater)?,
        Sign::Signed => less_signed(e, &smaller, &greater)?,
    };
    let (below, above) = (outside.slice(0..rows), outside.slice(rows..2 * rows));
    let (below, above) = (Wire::each(&below).remove(0), Wire::each(&above).remove(0));
    let inside = level(e, vec![(!below, !above)])?;
    Ok(e.join(&inside))
}
