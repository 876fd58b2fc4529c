//! Stable compaction.
//!
//! *Functionality.* The rows whose flag is set come first, then the others, both in their order; how many are set may be opened.
//! *Protocol.* The places by the complement of the flag, a digit of one bit, then [`apply`](super::apply).
//! *Cost.* W bits a row: 3w + (4/3)(w + W) bits a row, 6 rounds; the count travels with the opening of the places, w bits
//! ([`cost::compact`](crate::cost::compact)). Opened within the shuffle, each apply takes a round and w/3 bits less ([`Opening`](crate::cost::Opening)). *Leakage.* None but the count, if asked for.

use super::{Applied, Bits, apply_and_open, places_by_digit};
use crate::{Abort, Engine, Table};
use mpc_core::index_bits;

/// A table after compaction.
pub struct Compacted<E: Engine> {
    /// The rows, those with the flag first.
    pub table: Table<E>,
    /// To undo it.
    pub applied: Applied<E>,
    /// How many rows have the flag, if opened.
    pub count: Option<usize>,
}

/// Moves the rows whose `flag` (one plane) is set to the front; `open` also opens how many they are.
pub fn compact<E: Engine>(e: &mut E, flag: &Bits<E>, table: Table<E>, open: bool) -> Result<Compacted<E>, Abort> {
    let rows = table.rows();
    // a count runs over 0..=n
    compact_in(e, flag, table, index_bits(rows + usize::from(open)), open)
}

/// [`compact`] with indices of `width` bits, in which a count of 2^width reads 0.
pub(crate) fn compact_in<E: Engine>(e: &mut E, flag: &Bits<E>, table: Table<E>, width: u32, open: bool) -> Result<Compacted<E>, Abort> {
    let behind = e.not(flag);
    let digit = places_by_digit(e, &behind, width)?;
    let also = e.verify(digit.counts.iter().take(usize::from(open)).collect::<Vec<_>>())?;
    let ((table, applied), opened) = apply_and_open(e, digit.places, table, &also)?;
    let count = opened.first().map(|count| count.as_slice()[0].0 as usize);
    if count.is_some_and(|count| count > table.rows()) {
        return Err(Abort::Cheating { check: "no more rows are counted than there are", culprit: None });
    }
    Ok(Compacted { table, applied, count })
}
