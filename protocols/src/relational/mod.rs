//! Operators over the rows of tables, for any [`Engine`](crate::Engine): written once, run in every scheme.
//!
//! Rows are numbered by n <= 2^w shared indices, w = [`index_bits`](mpc_core::index_bits)(n); a *place* of a row is where it goes. What is opened on the way is the
//! place of a row in a uniformly random order, never anything else, except a number of rows where an operator says so.
//!
//! | operator | file | rounds | bits a row and party |
//! |---|---|---|---|
//! | [`apply`], [`undo`], [`compose`] | `permute` | 3, 2, 2 | (4/3)(w + W) + w, 4W/3, 4w/3 |
//! | [`places_by_digit`] of c bits | `digit` | 3, 4, 5 for c = 1, 2, 3 | 2w, 4w + 1, 8w + 4 |
//! | [`compact`] | `compact` | 6 | 3w + (4/3)(w + W) |
//! | [`radix_places`], [`sort`] of k bits | `radix` | 4 + 9 (k/2 - 1), 3 more | (4w + 1) + (k/2 - 1)(23w + 11)/3 for c = 2 |
//! | [`samplesort`] of k bits | `samplesort` | some 3 log2 n (2 + log2 (k + w)) | about 2.5 (k + w) log2 n |
//! | [`group_sums`] of sorted rows | `group` | ceil(log2 k) + 10 | (k - 1) + 3w + (4/3)(w + W + 1) + v + W |
//! | [`Segments`] | `segment` | 6, then 3 to 5 | 3w + (4/3)(w + W + 1), then 7W/3 |
//! | [`join`] on a unique key | `join` | the sort's, ceil(log2 (k + 2)) | the sort's, k + 1 |
//! | [`find`] where owners know the keys | `find` | ceil(log2 (40 + w)) + 5 to 9 | see there: nothing is sorted |
//! | [`pairs`] on any key | `expand` | those of three sorts, and some sixty | those of three sorts, and linear work ([`cost::pairs`](crate::cost::pairs)) |
//! | [`distinct`] | `distinct` | the sort's, ceil(log2 k) + 1 | the sort's, k |
//!
//! W is the width of what moves, as in [`Table::message`](crate::Table::message). All figures are of places that are opened in a round after the shuffle
//! ([`Opening::After`](crate::cost::Opening::After)), as in the independent model and in any scheme that verifies before it opens. Replicated shares, in which queries run, open
//! them within the shuffle's last round ([`Opening::Within`](crate::cost::Opening::Within)): each [`apply`] takes a round and w/3 bits a row less, [`compact`] one in all, and radix
//! sort 8 rounds and (22w + 11)/3 bits a digit after the first.

mod choose;
mod compact;
mod digit;
mod distinct;
mod expand;
mod find;
mod group;
mod join;
mod permute;
mod radix;
mod samplesort;
mod segment;
mod sort;

pub use choose::{Choice, Network, choices, choose, find_work, sort_work};
pub(crate) use compact::compact_in;
pub use compact::{Compacted, compact};
pub use digit::places_by_digit;
pub(crate) use digit::ranked;
pub(crate) use distinct::distinct_in;
pub use distinct::{Distinct, distinct};
pub use expand::{Pairs, pairs};
pub(crate) use find::questions;
pub use find::{Clear, Found, Keys, Known, Standing, find, has_repeats};
pub(crate) use group::sums_of_last;
pub use group::{Groups, Tail, first_rows, group_sums, last_rows};
pub(crate) use join::join_in;
pub use join::{JoinOptions, Joined, Side, any_row, has_duplicates, join};
pub use permute::{Applied, Moved, apply, apply_and_open, compose, undo};
pub use radix::{Radix, radix_places};
pub use samplesort::samplesort;
pub(crate) use samplesort::{FEW, LAST, all_pairs, at_once, last_comparisons, samples};
pub use segment::{Segments, numbers_of_rows, sums_before};
pub(crate) use sort::sort_in;
pub use sort::{Key, Sorting, order, sort, sort_places};

use crate::{Abort, Engine, Share, circuit};
use mpc_core::{B64, Column, Index, Layout, Ring, Row64};

/// Shares of bits.
type Bits<E> = <E as Engine>::Share<B64>;
/// Shares of indices.
type Indices<E> = <E as Engine>::Share<Index>;

/// With more rows memory counts, and rounds do less: no operator then takes three times its share columns. With fewer, some take more of what is a megabyte or two.
pub(crate) const MANY: usize = 1 << 15;

/// The public column 0, 1, 2, ...: the numbers of the rows.
fn row_numbers<E: Engine>(e: &mut E, rows: usize, bits: u32) -> Indices<E> {
    e.constant(&Column::from_indices((0..rows).map(|i| i as u32), bits))
}

/// The public numbers of so many rows, from `from` on, as bit-planes.
pub(crate) fn number_bits(from: usize, rows: usize, bits: usize) -> Column<B64> {
    let mut planes = Column::zeros(Layout::new(rows, bits));
    if bits > 0 {
        planes.set_rows(0, &Column::from_rows((from..from + rows).map(|i| Row64(i as u64)).collect()).narrowed(bits as u32));
    }
    planes
}

/// The planes of a share one by one as shares of their own.
fn each_plane<R: Ring, S: Share<R>>(share: &S) -> Vec<S> {
    (0..share.layout().planes).map(|i| share.planes([i])).collect()
}

/// Opens whether each row of `a` is less than the same row of `b`, all of them rows in a uniformly random order.
fn less_open<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<Column<B64>, Abort> {
    let less = circuit::less(e, a, b)?;
    let less = e.verify(less)?;
    e.open(&less)
}
