//! Sums by group.
//!
//! *Functionality.* Of rows sorted by key, one row for each key: the key, the sums of values over its rows, and what the group's last row carries. The
//! groups come first, in their order; the rest is blanked, or how many there are is opened.
//! *Protocol.* A row is the last of its group where its key differs from the next one's. Prefix sums run over all rows; the last rows are compacted to the front;
//! a group's sum is the difference of two neighbours (Asharov, Hamada, Kikuchi, Nof, Pinkas, Tomida, CCS'23, for the setting). What lies beyond the groups repeats
//! real keys and sums, in number the sizes of groups: it is multiplied by the compacted flag.
//! *Cost.* Keys of k bits, m sums of v bits, c bits carried: (k - 1) + 3w + (4/3)(w + k + c + mv + 1) + v + mv bits a row, and k + c for the blanking of keys;
//! ceil(log2 k) + 9 rounds, and one ([`cost::group_sums`](crate::cost::group_sums)). With the count opened the blanking is saved. *Leakage.* None but the count, if asked for.
//!
//! COUNT is the sum of ones, AVG and variances follow from sums. MIN, MAX, first and last values: sort by (key, value) and carry the value; the
//! first rows' compaction ([`first_rows`] as the flag of [`compact`](super::compact)) lines up with the last rows'. Rows that do not count are sorted behind all others by a plane
//! above the key's, and their values are zero: groups of such rows are then not valid.

use super::Bits;
use super::compact::compact_in;
use crate::{Abort, Cell, Engine, Share, Table, circuit};
use mpc_core::{B64, Column, Layout, Ring, index_bits};

/// What becomes of the rows beyond the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// They become zero; the number of groups stays secret.
    Blank,
    /// The number of groups is opened; the rows beyond it are cut off.
    Open,
    /// They stay, and must not be opened: for who knows from elsewhere how many groups there are.
    Keep,
}

/// One row for each group.
pub struct Groups<E: Engine, R: Ring> {
    /// The keys.
    pub key: Bits<E>,
    /// The sums, a plane each.
    pub sums: E::Share<R>,
    /// What the last rows carried.
    pub carried: Table<E>,
    /// Whether there is a group; `None` after [`Tail::Open`].
    pub valid: Option<Bits<E>>,
}

/// Whether each row is the first of those with its key: `key` is sorted.
pub fn first_rows<E: Engine>(e: &mut E, key: &Bits<E>) -> Result<Bits<E>, Abort> {
    let (differs, one) = changes(e, key)?;
    Ok(Share::concat(&[&one, &differs]))
}

/// Whether each row is the last of those with its key: `key` is sorted.
pub fn last_rows<E: Engine>(e: &mut E, key: &Bits<E>) -> Result<Bits<E>, Abort> {
    let (differs, one) = changes(e, key)?;
    Ok(Share::concat(&[&differs, &one]))
}

/// For each row but the first whether its key differs from the row before, and a bit 1 for the row that has no neighbour, if there is any.
fn changes<E: Engine>(e: &mut E, key: &Bits<E>) -> Result<(Bits<E>, Bits<E>), Abort> {
    let rows = key.layout().rows;
    let differences = key.differences().slice(rows.min(1)..rows);
    let alike = e.not(&differences);
    drop(differences);
    let same = circuit::all(e, &alike)?;
    let one = e.constant(&Column::splat(B64::ONE, Layout::new(rows.min(1), 1)));
    Ok((e.not(&same), one))
}

/// The sums of `values`, a plane each, by `key`, which is sorted, with what `carried` has in the last row of each group. With `valid`, groups whose last
/// row is not valid are left out; they must come last.
pub fn group_sums<E: Engine, R: Cell>(
    e: &mut E,
    key: Bits<E>,
    values: E::Share<R>,
    carried: Table<E>,
    valid: Option<&Bits<E>>,
    tail: Tail,
) -> Result<Groups<E, R>, Abort> {
    let rows = carried.rows();
    let mut last = last_rows(e, &key)?;
    if let Some(valid) = valid {
        last = e.mul(&last, valid)?;
    }
    // with groups left out there may be none
    let width = index_bits(rows + usize::from(valid.is_some() && tail == Tail::Open));
    let (mut groups, count) = sums_of_last(e, key, values, carried, last, tail, width)?;
    if let Some(valid) = &groups.valid {
        let mut table = std::mem::replace(&mut groups.carried, Table::new(0)).with(groups.key);
        table.blank(e, valid)?;
        groups.key = table.take_last::<B64>();
        groups.carried = table;
    }
    if let Some(count) = count {
        // where no group is left out there is one at least: 0 is 2^width
        let count = if count == 0 && valid.is_none() { rows } else { count };
        groups.key = groups.key.slice(0..count);
        groups.sums = groups.sums.slice(0..count);
        groups.carried = groups.carried.slice(0..count);
    }
    Ok(groups)
}

/// [`group_sums`] for given last rows, with indices of `width` bits; keys and what is carried are not blanked, nothing is cut off. Also the number of groups,
/// mod 2^width, if it is opened.
pub(crate) fn sums_of_last<E: Engine, R: Cell>(
    e: &mut E,
    key: Bits<E>,
    values: E::Share<R>,
    carried: Table<E>,
    last: Bits<E>,
    tail: Tail,
    width: u32,
) -> Result<(Groups<E, R>, Option<usize>), Abort> {
    let mut table = carried.with(key).with(values.prefix_sums());
    drop(values);
    if tail == Tail::Blank {
        table = table.with(last.clone());
    }
    let compacted = compact_in(e, &last, table, width, tail == Tail::Open)?;
    let mut table = compacted.table;
    let valid = (tail == Tail::Blank).then(|| table.take_last::<B64>());
    let key = table.take_last::<B64>();
    let ends = table.take_last::<R>();
    let sums = ends.differences();
    let sums = match &valid {
        Some(valid) => circuit::bit_times::<E, R>(e, valid, &sums)?,
        None => sums,
    };
    Ok((Groups { key, sums, carried: table, valid }, compacted.count))
}
