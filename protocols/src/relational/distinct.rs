//! Distinct rows.
//!
//! *Functionality.* Of the valid rows of each key one is flagged; rows come in the order of their keys, those that are not valid last.
//! *Protocol.* A sort by (not valid, key); a valid row counts if its key differs from the row before. DISTINCT and UNION are this; INTERSECT and EXCEPT are semi- and
//! anti-joins ([`join`](super::join)) of distinct rows.
//! *Cost.* The sort by k + 1 bits with k + 1 bits and the rows' own; then k - 1 and 1 bits a row but the first, ceil(log2 k) + 1 rounds
//! ([`cost::distinct`](crate::cost::distinct)). *Leakage.* None.

use super::group::first_rows;
use super::{Bits, Sorting, sort_in};
use crate::{Abort, Engine, Share, Table};
use mpc_core::{B64, index_bits};

/// Rows in the order of their keys.
pub struct Distinct<E: Engine> {
    /// The keys.
    pub key: Bits<E>,
    /// Whether this is the row that counts.
    pub first: Bits<E>,
    /// The rows.
    pub table: Table<E>,
}

/// Flags the first valid row of each key.
pub fn distinct<E: Engine>(
    e: &mut E,
    key: Bits<E>,
    valid: Bits<E>,
    table: Table<E>,
    sorting: impl Into<Sorting>,
) -> Result<Distinct<E>, Abort> {
    let width = index_bits(table.rows());
    distinct_in(e, key, valid, table, sorting.into(), width)
}

/// [`distinct`] with indices of `width` bits.
pub(crate) fn distinct_in<E: Engine>(
    e: &mut E,
    key: Bits<E>,
    valid: Bits<E>,
    table: Table<E>,
    sorting: Sorting,
    width: u32,
) -> Result<Distinct<E>, Abort> {
    let by = Share::stack(&[&key, &e.not(&valid)]);
    let (mut table, _) = sort_in(e, by, table.with(key).with(valid), sorting, width)?;
    let valid = table.take_last::<B64>();
    let key = table.take_last::<B64>();
    let first = first_rows(e, &key)?;
    let rows = table.rows();
    // the first row is the first of its key: its flag is its valid bit
    let others = rows.min(1)..rows;
    let counts = e.mul(&first.slice(others.clone()), &valid.slice(others))?;
    Ok(Distinct { key, first: Share::concat(&[&valid.slice(0..rows.min(1)), &counts]), table })
}
