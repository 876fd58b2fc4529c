//! All pairs of rows with equal keys.
//!
//! *Functionality.* Of two sides every pair of a left and a right row that are equal in all keys, none of them NULL, in as many places as are given, with a bit
//! that says whether a place is a pair. More pairs than places end the session, and that is all that is then known.
//! *Protocol.* [`relational::pairs`](crate::relational::pairs) on the rows without NULL in a key (Krastnikov, Kerschbaum, Stebila, VLDB'20, with look-ups for their second expansion).
//! *Cost.* For a side with places without a row and c nullable keys c bits a row, less one if every place is a row, in log2 (c + 1) rounds, to tell which can be in a pair; then
//! [`cost::pairs`](crate::cost::pairs), in which each column and valid bit of a row counts. *Leakage.* None but whether there are more pairs than places.

use super::keys::{joined, zeros};
use super::{Bits, Rows, Setting};
use crate::graph::Logic;
use crate::relational::{self, Side};
use crate::{Engine, Share};
use mpc_core::{Abort, B64};

/// The pairs by these columns of left and right, in so many places.
pub fn pairs<E: Engine>(
    engine: &mut E,
    left: &Rows<E>,
    right: &Rows<E>,
    on: &[(usize, usize)],
    places: usize,
    setting: &Setting,
) -> Result<Rows<E>, Abort> {
    if places == 0 || left.places == 0 || right.places == 0 {
        let columns = left.columns.iter().chain(&right.columns).map(|c| c.shape().zeros(engine, places)).collect();
        return Ok(Rows { places, row: Some(zeros::<B64, E>(engine, places, 1)), columns });
    }
    let (left_key, left_valid) = side(engine, left, &on.iter().map(|(l, _)| *l).collect::<Vec<_>>())?;
    let (right_key, right_valid) = side(engine, right, &on.iter().map(|(_, r)| *r).collect::<Vec<_>>())?;
    let way = setting.sorting(left.places + right.places, left_key.layout().planes);
    let left_side = Side { key: left_key, valid: left_valid, table: left.table() };
    let right_side = Side { key: right_key, valid: right_valid, table: right.table() };
    let pairs = relational::pairs(engine, left_side, right_side, places, way)?;
    let columns = left.unpacked(pairs.left).columns.into_iter().chain(right.unpacked(pairs.right).columns).collect();
    Ok(Rows { places, row: Some(pairs.valid), columns })
}

/// A side's key, and which of its places can be in a pair: a row, no key of which is NULL.
fn side<E: Engine>(engine: &mut E, rows: &Rows<E>, keys: &[usize]) -> Result<(Bits<E>, Bits<E>), Abort> {
    let mut planes: Vec<Bits<E>> = keys.iter().map(|k| rows.columns[*k].bits().clone()).collect();
    if planes.iter().all(|p| p.layout().planes == 0) {
        // a key of no bits is the same everywhere
        planes.push(zeros::<B64, E>(engine, rows.places, 1));
    }
    let key = joined(engine, rows.places, &planes);
    let mut logic = Logic::<E>::new(rows.places);
    let valid = logic.all(rows.row.iter().chain(keys.iter().filter_map(|k| rows.columns[*k].valid.as_ref())));
    Ok((key, logic.run(engine, &[valid])?))
}
