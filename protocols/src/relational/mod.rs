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
//! | [`sort_places`], [`sort`] of k bits | `radix` | 4 + 9 (k/2 - 1), 3 more | (4w + 1) + (k/2 - 1)(23w + 11)/3 for c = 2 |
//!
//! W is the width of what moves, as in [`Table::message`](crate::Table::message).

mod compact;
mod digit;
mod permute;
mod radix;

pub(crate) use compact::compact_in;
pub use compact::{Compacted, compact};
pub use digit::{Digit, places_by_digit};
pub use permute::{Applied, Moved, apply, apply_and_open, compose, undo};
pub(crate) use radix::sort_places_in;
pub use radix::{Key, Radix, order, sort, sort_places};

use crate::{Engine, Share};
use mpc_core::{B64, Column, Index, Ring};

/// Shares of bits.
type Bits<E> = <E as Engine>::Share<B64>;
/// Shares of indices.
type Indices<E> = <E as Engine>::Share<Index>;

/// The public column 0, 1, 2, ...: the numbers of the rows.
fn row_numbers<E: Engine>(e: &mut E, rows: usize, bits: u32) -> Indices<E> {
    e.constant(&Column::from_indices((0..rows).map(|i| i as u32), bits))
}

/// The planes of a share one by one as shares of their own.
fn each_plane<R: Ring, S: Share<R>>(share: &S) -> Vec<S> {
    (0..share.layout().planes).map(|i| share.planes([i])).collect()
}
