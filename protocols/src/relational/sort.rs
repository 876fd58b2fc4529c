//! Sorting, by whichever algorithm.
//!
//! *Functionality.* The rows in the stable order of a key, one plane or many; or the places they would take.
//! *Protocol.* [`Radix`] sort or [`samplesort`]; [`choose`](super::choose) says which is quicker. Samplesort has the rows in
//! their order at once; places are the numbers of the rows in their order, taken back. Radix sort has the places first. *Cost, leakage.* Theirs.

use super::radix::radix_places;
use super::samplesort::FEW;
use super::{Bits, Indices, Moved, Radix, apply, row_numbers, samplesort, undo};
use crate::{Abort, Engine, Share, Table};
use mpc_core::{Index, index_bits};

/// How rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sorting {
    /// Digit by digit.
    Radix(Radix),
    /// By comparisons after a shuffle.
    Samplesort,
}

impl Sorting {
    /// Whether what it takes to sort so many rows is known beforehand: the order of a samplesort is random, and how many comparisons it takes with it, unless all rows are compared
    /// with all.
    pub fn is_exact(self, rows: usize) -> bool {
        matches!(self, Sorting::Radix(_)) || rows <= FEW
    }
}

impl Default for Sorting {
    /// Radix sort by two bits.
    fn default() -> Self {
        Sorting::Radix(Radix::default())
    }
}

impl From<Radix> for Sorting {
    fn from(radix: Radix) -> Self {
        Sorting::Radix(radix)
    }
}

impl std::fmt::Display for Sorting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Sorting::Radix(Radix { digit, moving: false }) => write!(f, "radix sort, {digit}-bit digits"),
            Sorting::Radix(Radix { digit, moving: true }) => write!(f, "moving radix sort, {digit}-bit digits"),
            Sorting::Samplesort => write!(f, "samplesort"),
        }
    }
}

/// One column of a composite key.
pub struct Key<'a, S> {
    /// Its planes, least significant first, in the order of unsigned integers.
    pub bits: &'a S,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// The planes of a composite key, the most significant column first in `keys`: descending columns are complemented. NULLs first or last are a plane of
/// their own above the value's.
pub fn order<E: Engine>(e: &mut E, keys: &[Key<'_, Bits<E>>]) -> Bits<E> {
    let columns: Vec<_> = keys.iter().rev().map(|key| if key.descending { e.not(key.bits) } else { key.bits.clone() }).collect();
    Share::stack(&columns.iter().collect::<Vec<_>>())
}

/// The rows of the table in the stable order of `key`, its planes least significant first, and what undoes it.
pub fn sort<E: Engine>(e: &mut E, key: Bits<E>, table: Table<E>, sorting: impl Into<Sorting>) -> Result<Moved<E>, Abort> {
    let width = index_bits(table.rows());
    sort_in(e, key, table, sorting.into(), width)
}

/// [`sort`] with indices of `width` bits.
pub(crate) fn sort_in<E: Engine>(e: &mut E, key: Bits<E>, table: Table<E>, sorting: Sorting, width: u32) -> Result<Moved<E>, Abort> {
    e.sorts(key.layout(), sorting);
    match sorting {
        Sorting::Samplesort => samplesort(e, key, table),
        Sorting::Radix(radix) => {
            let places = radix_places(e, key, radix, width)?;
            apply(e, places, table)
        }
    }
}

/// The place of each row in the stable order of `key`, as indices of as many bits as number the rows.
pub fn sort_places<E: Engine>(e: &mut E, key: Bits<E>, sorting: impl Into<Sorting>) -> Result<Indices<E>, Abort> {
    let (rows, sorting) = (key.layout().rows, sorting.into());
    let width = index_bits(rows);
    e.sorts(key.layout(), sorting);
    match sorting {
        Sorting::Radix(radix) => radix_places(e, key, radix, width),
        Sorting::Samplesort => {
            let (_, applied) = samplesort(e, key, Table::new(rows))?;
            let numbers = row_numbers(e, rows, width);
            Ok(undo(e, &applied, Table::new(rows).with(numbers))?.take_first::<Index>())
        }
    }
}
