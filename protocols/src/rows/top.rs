//! The first rows in an order.
//!
//! *Functionality.* Of n places the rows after the first `skip` in the order of some keys, as many as are wanted: NULLs first or last, ascending or descending, rows that
//! are equal in all keys in any order, each as likely, unless it is known that there are none; places that are left over hold no row.
//! *Protocol.* An owner who knows the order brings the rows into it ([`arrange`](super::arrange)): those that are left are compacted to the front if a secret bit may have dropped some, which may be only
//! where there are no ties; else that owner breaks ties at random. Where nobody knows it: a shuffle, so that ties are broken at random, whatever the order before shows, unless there are none; a
//! stable sort by (is no row, keys), by radix or samplesort, whichever is quicker; the rest is cut off. The shuffle is that of Araki, Furukawa, Ohara, Pinkas,
//! Rosemarin, Tsuchida, CCS'21, section 5.2, the sort by radix that of Asharov, Hamada, Ikarashi, Kikuchi, Nof, Pinkas, Takahashi, Tomida, CCS'22, section 3.
//! *Cost.* Rows of W bits, keys of k bits (one more for each that is nullable, and one if there are places without a row), indices of w = log2 n bits: the shuffle's 4W/3 bits a row and
//! 2 rounds; of a radix sort by digits of two bits (4w + 1) + (k/2 - 1)(22w + 11)/3 bits and 4 + 8 (k/2 - 1) rounds; (4/3)(w + W) + 2w/3 bits and 2 rounds to move the rows. Cutting off
//! costs nothing, nor do keys of no bits. An owner's order takes what [`arrange`](super::arrange) says. *Leakage.* None: the places
//! that are opened are those of a random order. An owner who broke ties knows how, as it knows an order without ties: with a secret condition behind (a join of the first rows with another owner's) and the answer in sight, it
//! learns on which of its tied rows the choice fell, and so whether that row met the condition. Where rows may have been dropped before, it could tell from who comes out that others were, so that nobody knows.

use super::combine::ones;
use super::{How, Rows, Shape, SortKey, Ties};
use crate::Engine;
use mpc_core::Abort;

/// Which rows are the first.
pub struct Top<'a> {
    /// The order.
    pub by: &'a [SortKey],
    /// How rows stand that are equal in it.
    pub ties: Ties,
    /// How many are left out before them.
    pub skip: usize,
    /// How they come into the order.
    pub how: How<'a>,
}

/// As many rows as `shape` has places; places beyond the input's hold no row.
pub fn top<E: Engine>(engine: &mut E, input: &Rows<E>, what: &Top<'_>, shape: &Shape) -> Result<Rows<E>, Abort> {
    let mut rows = match what.how {
        // the bit that says whether there is a row comes first in a table
        How::Known(owner) => input.unpacked(owner.arrange(engine, 0, input.table(), input.row.as_ref().map(|_| 0))?),
        How::Sorting(setting) => input.in_order(engine, &[], what.by, what.ties, setting)?,
    };
    if !shape.full && rows.row.is_none() {
        rows.row = Some(ones(engine, rows.places));
    }
    let (from, to) = (what.skip.min(rows.places), (what.skip + shape.places).min(rows.places));
    let spare = shape.places - (to - from);
    Ok(rows.unpacked(rows.table().slice(from..to).padded(engine, 0, spare)))
}
