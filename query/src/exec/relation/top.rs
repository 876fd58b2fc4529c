//! The first rows in an order.
//!
//! *Protocol.* A shuffle, so that ties are broken at random, whatever the order before shows; a stable radix sort by (is no row, keys); the rest is cut off.
//! *Rounds.* Two, and those of the sort: 4 + 9 for each further two bits of the key, 3 for the rows.

use super::combine::ones;
use super::keys::{joined, radix, sort_planes};
use super::{Bits, Rows};
use crate::plan::relation::{Relation, SortKey};
use mpc_core::Abort;
use protocols::relational::{apply, sort_places};
use protocols::{Engine, Share};

/// As many rows as `relation` has places, after the first `skip` in this order; places beyond the input's hold no row.
pub(super) fn top<E: Engine>(engine: &mut E, input: &Rows<E>, by: &[SortKey], skip: usize, relation: &Relation) -> Result<Rows<E>, Abort> {
    let shuffled = engine.shuffle(input.table())?.0;
    let input = input.unpacked(shuffled);
    let mut planes: Vec<Bits<E>> = Vec::new();
    for key in by.iter().rev() {
        planes.extend(sort_planes(engine, &input.columns[key.column], key));
    }
    planes.extend(input.row.as_ref().map(|row| engine.not(row)));
    let key = joined(engine, input.places, &planes);
    drop(planes);
    let sorted = if key.layout().planes == 0 {
        input.table()
    } else {
        let way = radix(input.places, key.layout().planes);
        let places = sort_places(engine, key, way)?;
        apply(engine, places, input.table())?.0
    };
    let mut rows = input.unpacked(sorted);
    if !relation.full && rows.row.is_none() {
        rows.row = Some(ones(engine, rows.places));
    }
    let (from, to) = (skip.min(rows.places), (skip + relation.places as usize).min(rows.places));
    let spare = relation.places as usize - (to - from);
    Ok(rows.unpacked(rows.table().slice(from..to).padded(engine, 0, spare)))
}
