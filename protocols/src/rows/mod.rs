//! Operators over *rows* as queries have them, for any [`Engine`]: written once, run in every scheme.
//!
//! [`Rows`] have a public number n of *places*; which of them hold a row is a secret bit, unless all do: filters, joins and groups change bits, never sizes. A column is in bit-planes, to be
//! compared, or of field elements, to be summed ([`Values`]), and has perhaps a valid bit; a NULL is 0 beside it. A place without a row holds anything. How many places, planes and
//! valid bits there are is public ([`Shape`]), and all that messages follow from.
//!
//! [`relational`](crate::relational) has what these are made of: shuffles, permutations, sorts, compaction, segments, on bare columns. Nothing here sends or draws randomness but through that, through
//! [`circuit`](crate::circuit) and through [`graph`](crate::graph), in which the gates of an operator share their rounds; but for one coin (`digest`).
//!
//! | operator | file | rounds | bits a row and party |
//! |---|---|---|---|
//! | [`window`]: numbers, ranks, tiles, rows away, sums over or up to | `window/` | the order's; ceil(log2 p), 5 and 3 for partitions, as many for peers; the function's | the order's; p + 8w/3 + (4/3)(w + S) + v + 4S/3, likewise; the function's |
//! | [`group`]: counts, sums, extremes, distinct values | `group/`, `group/order` | the order's, ceil(log2 k) + 1, ceil(log2 l) + 1, 3, and 5 | the order's, k + l + 8w/3 + (4/3)(w + S), 61 for each condition and sum |
//! | percentiles of a group | `group/percentile` | 8, and those of sums and comparisons of v bits | 8w/3 + (4/3)(w + 2v) + 2v + 8v/3, and the same |
//! | [`group_as_they_are`]: rows that their owner has side by side | `group/` | ceil(log2 k), 3, 5 and 8 | k + 8w/3 + (4/3)(w + S), 61 for each condition and sum, and 121: nothing is sorted |
//! | [`group_by_masks`]: one of t tuples each | `group/masks` | ceil(log2 (k + 1)) + 11 | t (k - 1) at most, and 61 t for each condition: nothing moves |
//! | [`total`]: one row for all | `total` | ceil(log2 b) + 3; of an extreme ceil(log2 n) (2 + ceil(log2 (l + 1))) + 1 | b - 1 and 61 for each condition; of an extreme 3.5 l |
//! | [`top`]: the first in an order | `top` | the order's, and 2 if ties are broken | the order's, and 4W/3 if ties are broken |
//! | [`lookup`] on keys unique there | `lookup` | the sort's, ceil(log2 k) + 1, 2 and 1 | those of both sides: the sort's, k + (4/3)(L + 1), and L for NULLs |
//! | [`pairs`] of equal keys | `pairs` | those of [`relational::pairs`](crate::relational::pairs), and a conjunction's | the same |
//! | [`cross`], [`union`] | `combine` | 1 and none | 1 and none |
//! | [`ready`]: blanked and shuffled, to be opened | `released` | 1, 3 for each field, 2 | W, 61 for each element and once, (4/3) W |
//!
//! k, l, p, L, S, W are the bits of keys, of an ordered value, of a partition, of what is looked up, summed, moved; w = log2 n, v = log2 (n + 1); b conditions. Each file says more. *The order's*
//! ([`How`]): a sort on shares by the bits of all that rows are ordered by, in the way that the network makes quickest ([`Setting::sorting`]); or, where an owner knows the order, nothing, or
//! a permutation that it states (`arrange`: (4/3) W + w/3 and 2 rounds). Wide keys that need only be equal are sorted by a digest, which costs nothing, and compared
//! by another, which takes a round to draw (`digest`).
//!
//! *Leakage.* None beyond public sizes, but for uniform bits that nothing else depends on (`digest`), and what is opened, verified, and ends the session if it is set: one bit of a look-up that must find unique keys, unless it is proved that they are
//! (`keys`), and one of pairs that must fit their places. An owner who breaks ties at random knows how: `window` and `top` say what follows.

mod arrange;
mod cells;
mod combine;
mod digest;
mod fold;
mod group;
mod keys;
mod lookup;
mod order;
mod pairs;
mod released;
mod top;
mod total;
mod window;

pub use arrange::{How, KnownOrder, Owner};
pub use cells::{Cells, ColumnShape, Element, Form, Rows, Shape, Values};
pub use combine::{cross, union};
pub use digest::Digest;
pub use fold::{Fold, FoldOp};
pub use group::{Tuple, group, group_as_they_are, group_by_masks, group_orders};
pub use lookup::{Lookup, lookup, not_unique};
pub use order::{SortKey, Ties};
pub use pairs::pairs;
pub use released::{Ready, ready};
pub use top::{Top, top};
pub use total::{total, total_orders};
pub use window::{Constant, Function, Window, window, window_orders};

use crate::Engine;
use crate::relational::{Network, Sorting, choose};
use crate::table::Message;
use mpc_core::B64;

/// Shared bits.
pub type Bits<E> = <E as Engine>::Share<B64>;

/// How rows are sorted on shares: public, and alike at all parties.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// What the digests of wide keys are drawn from: fixed before any data are read.
    pub seed: [u8; 32],
    /// By which the quickest sort is chosen.
    pub network: Network,
}

impl Setting {
    /// To price what is sorted over this network: costs do not depend on the seed.
    pub fn to_price(network: Network) -> Self {
        Setting { seed: [0; 32], network }
    }

    /// How to sort so many rows by a key of so many bits: the quickest way.
    pub fn sorting(&self, rows: usize, bits: usize) -> Sorting {
        choose(rows, bits, Message::default(), self.network)
    }
}
