//! The first rows in an order.
//!
//! *Protocol.* A shuffle, so that ties are broken at random, whatever the order before shows; a stable radix sort by (is no row, keys); the rest is cut off.
//! *Rounds.* Two, and those of the sort: 4 + 9 for each further two bits of the key, 3 for the rows.

use super::keys::{joined, sort_planes};
use super::{Bits, Rows};
use crate::plan::relation::{Relation, SortKey};
use mpc_core::Abort;
use protocols::relational::{Radix, apply, sort_places};
use protocols::{Engine, Share};

/// As many rows as `relation` has places, after the first `skip` in this order.
pub(super) fn top<E: Engine>(engine: &mut E, input: &Rows<E>, by: &[SortKey], skip: usize, relation: &Relation) -> Result<Rows<E>, Abort> {
    let shuffled = engine.shuffle(&input.table())?.0;
    let input = input.unpacked(shuffled);
    let mut planes: Vec<Bits<E>> = Vec::new();
    for key in by.iter().rev() {
        planes.extend(sort_planes(engine, &input.columns[key.column], key));
    }
    planes.extend(input.row.as_ref().map(|row| engine.not(row)));
    let key = joined(engine, input.places, &planes);
    let sorted = if key.layout().planes == 0 {
        input.table()
    } else {
        let places = sort_places(engine, &key, Radix::default())?;
        apply(engine, &places, &input.table())?.0
    };
    Ok(input.unpacked(sorted.slice(skip..skip + relation.places as usize)))
}
