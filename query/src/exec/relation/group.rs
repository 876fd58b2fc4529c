//! One row for each key.
//!
//! *Protocol.* The rows are sorted by (is no row, keys); a row's key is compared with the one before. Every fold becomes a sum over the rows of a group: a count of lifted
//! bits, a value where it counts, the smallest value XORed with zeros for all other rows. Sums run over all rows; the last row of each group is compacted to the front,
//! where the differences of neighbours are the groups' sums (Asharov, Hamada, Kikuchi, Nof, Pinkas, Tomida, CCS'23, and protocols::relational::group_sums). Folds over the
//! *order* of a column sort by its value below the keys, the rows that count first: each column and filter its own sort, whose groups line up.
//! *Rounds.* For each order the sort's, 3 to apply, log2 of the key's width and 2, those of the folds, 6 for the compaction; a percentile 12 and its comparisons more.

pub(super) mod order;
mod percentile;
pub(super) mod small;

use super::keys::{Unpack, after, before, grouping, joined, numbers, pack, planes, width_of};
use super::logic::Logic;
use super::total::{contributions, counts};
use super::{Bits, Cells, Element, Rows, Values};
use crate::exec::circuit;
use crate::plan::relation::{Fold, FoldOp, RowColumn};
use mpc_core::{Abort, B64, Fp61, Fp127};
use order::{Order, Sorted};
use protocols::relational::compact;
use protocols::{Engine, Share, Table};
use std::collections::BTreeMap;

/// One row for each tuple of keys: the keys, then the folds, whose columns are `outputs`. As many places as `input` has. `seed` is that of
/// [digests](super::digest).
pub(super) fn group<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    keys: &[usize],
    folds: &[Fold],
    outputs: &[RowColumn],
    seed: &[u8; 32],
) -> Result<Rows<E>, Abort> {
    let mut row = None;
    let mut grouped: Vec<Cells<E>> = Vec::new();
    let mut done: BTreeMap<usize, Cells<E>> = BTreeMap::new();
    for (number, order) in Order::all(folds).into_iter().enumerate() {
        let mut sorted = order.sort(engine, input, keys, folds, number == 0, seed)?;
        let sums = order.sums(engine, &mut sorted, folds, outputs)?;
        let mut table = sums.iter().fold(Table::new(input.places), |t, (_, c)| pack(t, c)).prefix_sums();
        let kept: &[Cells<E>] = if number == 0 { &sorted.keys } else { &[] };
        table = kept.iter().fold(table, pack).with::<B64>(sorted.last.clone());
        let mut front = compact(engine, &sorted.last, &table, false)?.table;
        let last = front.take_last::<B64>();
        // the columns leave in the order in which they came; keys came last
        let mut from = Unpack::new(front);
        for (fold, like) in &sums {
            let ends = from.column(like);
            done.insert(*fold, ends.differences(engine));
        }
        if number == 0 {
            grouped = sorted.keys.iter().map(|k| from.column(k)).collect();
            row = Some(last);
        }
    }
    grouped.extend(done.into_values());
    Ok(Rows { places: input.places, row, columns: grouped })
}

/// Whether a fold is over the order of a column's values.
pub(super) fn needs_order(fold: &Fold) -> bool {
    !order::plain(fold)
}

impl<E: Engine> Cells<E> {
    /// Each row less the row before.
    fn differences(&self, engine: &mut E) -> Self {
        Cells {
            values: match &self.values {
                Values::Bits(v) => Values::Bits(v.sub(&before::<B64, E>(engine, v))),
                Values::Fp61(v) => Values::Fp61(v.sub(&before::<Fp61, E>(engine, v))),
                Values::Fp127(v) => Values::Fp127(v.sub(&before::<Fp127, E>(engine, v))),
            },
            valid: self.valid.as_ref().map(|v| v.sub(&before::<B64, E>(engine, v))),
        }
    }
}
