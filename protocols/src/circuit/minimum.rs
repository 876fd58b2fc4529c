//! The lesser and the greater of two integers, unsigned or in two's complement.
//!
//! *Functionality.* Of each row the lesser, or the greater, integer. *Protocol.* [`less`], then [`select`].
//! *Cost.* The sum of both: for even k, 3.5 k - 2 - ceil(log2 k) bits a row, 2 + ceil(log2 k) rounds
//! ([`cost::minimum`](crate::cost::minimum)). *Leakage.* None.

use super::{Bits, less, less_signed, select};
use crate::{Abort, Engine};

/// The lesser of `a` and `b`, unsigned.
pub fn minimum<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<Bits<E>, Abort> {
    let a_is_less = less(e, a, b)?;
    select(e, &a_is_less, a, b)
}

/// The greater of `a` and `b`, unsigned.
pub fn maximum<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<Bits<E>, Abort> {
    let a_is_less = less(e, a, b)?;
    select(e, &a_is_less, b, a)
}

/// The lesser of `a` and `b`, two's complement.
pub fn minimum_signed<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<Bits<E>, Abort> {
    let a_is_less = less_signed(e, a, b)?;
    select(e, &a_is_less, a, b)
}

/// The greater of `a` and `b`, two's complement.
pub fn maximum_signed<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<Bits<E>, Abort> {
    let a_is_less = less_signed(e, a, b)?;
    select(e, &a_is_less, b, a)
}
