//! Joins on a key that is unique on one side.
//!
//! *Functionality.* Rows of two sides, left with unique keys, in the order of their keys, each left row before the right rows of its key; each right row with what the
//! left row of its key has, if there is one, and flags that make it an inner, outer, semi or anti join of either side.
//! *Protocol.* Left rows, in the order of their keys, carry the difference of each column to the left row before; right rows carry zeros. After a stable sort of both sides
//! by key, sums from the first row down give every row what the last left row before it has, its key among it: equal keys, both valid, match
//! (compare Asharov et al., CCS'23; ORQ, SOSP'25, which copies in log2 n steps). Whether a left row has a match, the next row knows: valid right rows of a key are sorted before
//! those that are not.
//! *Cost.* The sort of n = n_L + n_R rows by k bits (one more with `right_filtered`) with 2k + payload + 3 bits and the columns of right; then k + 1 bits a row, ceil(log2 (k + 2))
//! rounds; the left flag one bit and round more ([`cost::join`](crate::cost::join)). *Leakage.* None.

use super::{Applied, Bits, Sorting, sort_in, undo};
use crate::{Abort, Engine, Share, Table, circuit};
use mpc_core::{B64, Column, Layout, index_bits};

/// One side of a join.
pub struct Side<E: Engine> {
    /// The key.
    pub key: Bits<E>,
    /// Which rows take part: one plane.
    pub valid: Bits<E>,
    /// What the rows have.
    pub table: Table<E>,
}

/// What a join needs to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct JoinOptions {
    /// Whether right rows may be invalid: then they are sorted behind the valid ones of their key, so that left flags are right.
    pub right_filtered: bool,
    /// Whether flags of left rows are wanted (semi, anti, left and full joins).
    pub left_flag: bool,
    /// How it sorts.
    pub sorting: Sorting,
}

/// Both sides' rows in the order of their keys.
pub struct Joined<E: Engine> {
    /// The key of each row.
    pub key: Bits<E>,
    /// What the last left row up to here has: that of the same key, where `matched` is set.
    pub left: Table<E>,
    /// What a right row has; zeros at left rows.
    pub right: Table<E>,
    /// Right rows that have a left row: an inner join, and a right semi-join.
    pub matched: Bits<E>,
    /// Right rows that take part: a right outer join.
    pub right_valid: Bits<E>,
    /// Left rows that take part.
    pub left_valid: Bits<E>,
    /// Left rows that have a right row: a left semi-join. With `left_flag` only.
    pub left_matched: Option<Bits<E>>,
    /// Takes rows back: left rows first, then right rows, in their orders before.
    pub applied: Applied<E>,
}

impl<E: Engine> Joined<E> {
    /// Right rows that have no left row: a right anti-join.
    pub fn right_unmatched(&self) -> Bits<E> {
        self.right_valid.add(&self.matched)
    }

    /// Left rows that have no right row: a left anti-join. With the matched rows a left outer join; with those that take part on the right a full one.
    ///
    /// # Panics
    /// Without `left_flag`.
    pub fn left_unmatched(&self) -> Bits<E> {
        self.left_valid.add(self.left_matched.as_ref().expect("a join with left flags"))
    }
}

/// Joins `left`, unique on its key and in its order, with `right`.
pub fn join<E: Engine>(e: &mut E, left: Side<E>, right: Side<E>, options: JoinOptions) -> Result<Joined<E>, Abort> {
    let width = index_bits(left.table.rows() + right.table.rows());
    join_in(e, left, right, options, width)
}

/// [`join`] with indices of `width` bits.
pub(crate) fn join_in<E: Engine>(e: &mut E, left: Side<E>, right: Side<E>, options: JoinOptions, width: u32) -> Result<Joined<E>, Abort> {
    let (rows_left, rows_right) = (left.table.rows(), right.table.rows());
    let rows = rows_left + rows_right;
    let mut none = |rows| e.constant(&Column::<B64>::zeros(Layout::new(rows, 1)));
    let (none_left, none_right) = (none(rows_left), none(rows_right));
    let key: Bits<E> = Share::concat(&[&left.key, &right.key]);
    let left_valid = Share::concat(&[&left.valid, &none_right]);
    let right_valid = Share::concat(&[&none_left, &right.valid]);
    let by = if options.right_filtered {
        let behind = e.not(&right.valid);
        Share::stack(&[&Share::concat(&[&none_left, &behind]), &key])
    } else {
        key.clone()
    };
    drop(right.key);

    // what runs down from the left rows: their columns, then key and valid
    let running = left.table.with(left.key).with(left.valid).differences().padded(e, 0, rows_right);
    let columns = Columns::of(&running);
    let all = columns.append(running, right.table.padded(e, rows_left, 0)).with(key).with(left_valid).with(right_valid);

    let (mut all, applied) = sort_in(e, by, all, options.sorting, width)?;
    let right_valid = all.take_last::<B64>();
    let left_valid = all.take_last::<B64>();
    let key = all.take_last::<B64>();
    let (running, right) = columns.split(all);
    let mut left = running.prefix_sums();
    let valid_here = left.take_last::<B64>();
    let key_here = left.take_last::<B64>();
    let matched = circuit::equal(e, &key, &key_here, &[&valid_here, &right_valid])?;
    let left_matched = if options.left_flag {
        let next = matched.slice(rows.min(1)..rows);
        let has = e.mul(&left_valid.slice(0..rows.saturating_sub(1)), &next)?;
        let none = e.constant(&Column::<B64>::zeros(Layout::new(rows.min(1), 1)));
        Some(Share::concat(&[&has, &none]))
    } else {
        None
    };
    Ok(Joined { key, left, right, matched, right_valid, left_valid, left_matched, applied })
}

/// For each right row, in their order, what the last left row has whose key is not greater than its own; zeros where there is none. `left` is in the order of its
/// keys.
pub(super) fn last_left<E: Engine>(
    e: &mut E,
    (left_key, left): (Bits<E>, Table<E>),
    right_key: Bits<E>,
    sorting: Sorting,
) -> Result<Table<E>, Abort> {
    let (rows_left, rows_right) = (left.rows(), right_key.layout().rows);
    let rows = rows_left + rows_right;
    let running = left.differences().padded(e, 0, rows_right);
    let key = Share::concat(&[&left_key, &right_key]);
    drop((left_key, right_key));
    let (sorted, applied) = sort_in(e, key, running, sorting, index_bits(rows))?;
    Ok(undo(e, &applied, sorted.prefix_sums())?.slice(rows_left..rows))
}

/// How many columns of each ring a table has, to take two tables apart that moved as one.
pub(super) struct Columns([usize; 5]);

impl Columns {
    pub(super) fn of<E: Engine>(table: &Table<E>) -> Self {
        Columns([table.bits.len(), table.index.len(), table.z64.len(), table.fp61.len(), table.fp127.len()])
    }

    pub(super) fn append<E: Engine>(&self, mut table: Table<E>, other: Table<E>) -> Table<E> {
        table.bits.extend(other.bits);
        table.index.extend(other.index);
        table.z64.extend(other.z64);
        table.fp61.extend(other.fp61);
        table.fp127.extend(other.fp127);
        table
    }

    pub(super) fn split<E: Engine>(&self, mut table: Table<E>) -> (Table<E>, Table<E>) {
        let Columns([bits, index, z64, fp61, fp127]) = self;
        let mut rest = Table::new(table.rows());
        rest.bits = table.bits.split_off(*bits);
        rest.index = table.index.split_off(*index);
        rest.z64 = table.z64.split_off(*z64);
        rest.fp61 = table.fp61.split_off(*fp61);
        rest.fp127 = table.fp127.split_off(*fp127);
        (table, rest)
    }
}

/// Whether two valid neighbours have equal keys, in one row: `key` is sorted, and rows that are not valid are behind the valid ones of their key. To check that
/// a side is unique, open it. n (k + 2) bits, ceil(log2 (k + 2)) + ceil(log2 n) rounds.
pub fn has_duplicates<E: Engine>(e: &mut E, key: &Bits<E>, valid: &Bits<E>) -> Result<Bits<E>, Abort> {
    let rows = key.layout().rows;
    let (this, next) = (0..rows.saturating_sub(1), rows.min(1)..rows);
    let also = [&valid.slice(this.clone()), &valid.slice(next.clone())];
    let same = circuit::equal(e, &key.slice(this), &key.slice(next), &also)?;
    any_row(e, &same)
}

/// Whether the bit (one plane) of any row is set, in one row: halves are joined until one row is left.
pub fn any_row<E: Engine>(e: &mut E, bit: &Bits<E>) -> Result<Bits<E>, Abort> {
    let mut none = e.not(bit);
    if none.layout().rows == 0 {
        return Ok(e.constant(&Column::<B64>::zeros(Layout::new(1, 1))));
    }
    while none.layout().rows > 1 {
        let rows = none.layout().rows;
        let half = rows / 2;
        let both = e.mul(&none.slice(0..half), &none.slice(half..2 * half))?;
        none = if rows % 2 == 1 { Share::concat(&[&both, &none.slice(rows - 1..rows)]) } else { both };
    }
    Ok(e.not(&none))
}
