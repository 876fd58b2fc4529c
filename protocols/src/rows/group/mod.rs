//! One row for each key.
//!
//! *Functionality.* For each tuple of keys that rows have, NULL a value like others, a row with the keys and folds of the rows that pass a filter: how many rows, values or distinct
//! values, their sum, the smallest, largest or a percentile, the value that all have.
//! *Protocol.* The rows are sorted by (is no row, keys); a row's key is compared with the one before. Every fold becomes a sum over the rows of a group: a count of lifted
//! bits, a value where it counts, the smallest value XORed with zeros for all other rows. Sums run over all rows; the last row of each group is compacted to the front,
//! where the differences of neighbours are the groups' sums (Asharov, Hamada, Kikuchi, Nof, Pinkas, Tomida, CCS'23, and [`group_sums`](crate::relational::group_sums)). Folds over the
//! *order* of a column sort by its value below the keys, the rows that count first: each column and filter its own sort, whose groups line up.
//! Where the owner of the rows knows the orders, nothing is sorted on shares ([`arrange`](super::arrange)).
//! *Cost.* n places, w = log2 n bits of an index, k bits of keys and r = 1 if there are places without a row. For each order, of a value of l bits and whether it counts: the sort by
//! k + r, and l + 1 more, bits of what its folds read; k - 1 + r bits a row in log2 k + 1 rounds to find the groups (keys of 80 + 2 log2 n bits or more are compared as a digest of k = 40 + log2 n bits,
//! of which 256 bits are opened in a round before); l + 1 in log2 l + 1 rounds to find the smallest and largest value, and new ones;
//! l bits in one round for each smallest, largest or percentile, which has its own besides; for sums two rounds to lift their conditions and one for the products; then
//! the front, 8w/3 + (4/3)(w + S + 1) bits and 5 rounds for the S bits of keys and folds. *Leakage.* None: the number of groups is secret, and places beyond them, which hold anything,
//! are blanked before they are opened.

mod masks;
mod order;
mod percentile;

pub use masks::{Tuple, group_by_masks};
pub(super) use order::same_as_before;

use super::keys::{Unpack, pack};
use super::total::contributions;
use super::{Bits, Cells, ColumnShape, Fold, FoldOp, Form, How, Owner, Rows, Shape, SortKey};
use crate::circuit::is_zero;
use crate::relational::compact;
use crate::{Engine, Share, Table};
use mpc_core::{Abort, B64, Fp61, Fp127};
use order::{Order, Sorted};
use std::collections::{BTreeMap, BTreeSet};

/// One row for each tuple of keys: the keys, then the folds, in the places of `shape`; fewer than `input` has only where it is known that there are no more groups.
pub fn group<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    (keys, folds): (&[usize], &[Fold]),
    shape: &Shape,
    how: How<'_>,
) -> Result<Rows<E>, Abort> {
    let groups = groups(engine, input, keys, folds, &shape.columns[keys.len()..], how)?;
    Ok(groups.unpacked(groups.table().slice(0..shape.places)))
}

/// [`group`] in as many places as `input` has, the folds' columns being `outputs`. Groups come in the order of the keys, or of their digest.
pub(super) fn groups<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    keys: &[usize],
    folds: &[Fold],
    outputs: &[ColumnShape],
    how: How<'_>,
) -> Result<Rows<E>, Abort> {
    let mut first = None;
    let mut done: BTreeMap<usize, Cells<E>> = BTreeMap::new();
    for (number, order) in Order::all(folds).into_iter().enumerate() {
        let mut sorted = order.sort(engine, input, keys, folds, (how, number))?;
        let sums = order.sums(engine, &mut sorted, folds, outputs)?;
        let Front { keys, folds, last } = front(engine, &sorted, &sums, folds, number == 0)?;
        done.extend(folds);
        first.get_or_insert((keys, last));
    }
    let (mut columns, last) = first.expect("folds are computed in an order at least");
    columns.extend(done.into_values());
    Ok(Rows { places: input.places, row: Some(last), columns })
}

/// [`group`], in the places of `shape`, of rows whose owner brings those that agree on the keys side by side: then nothing moves but the groups, to the front. Rows that
/// were dropped stand among the others: they count nothing, and a group of which no row is left is none.
pub fn group_as_they_are<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    (keys, folds): (&[usize], &[Fold]),
    shape: &Shape,
    owner: Owner<'_>,
) -> Result<Rows<E>, Abort> {
    let places = shape.places;
    let read: BTreeSet<usize> = keys.iter().copied().chain(folds.iter().flat_map(Fold::reads)).collect();
    let moved = owner.rows(engine, input, &read)?;
    let input = moved.as_ref().unwrap_or(input);
    let sorted = order::as_they_are(engine, input, keys, folds)?;
    // of all folds, and of the rows that are left
    let mut all = folds.to_vec();
    let mut outputs = shape.columns[keys.len()..].to_vec();
    if input.row.is_some() {
        outputs.push(ColumnShape { form: Form::Fp61, nullable: false });
        all.push(Fold { op: FoldOp::Rows, when: None });
    }
    let column = |c: usize| &input.columns[c];
    let numbers: Vec<usize> = (0..all.len()).collect();
    let mut sums = contributions::<Fp61, E>(engine, input.places, &column, &numbers, &all, &outputs, input.row.as_ref())?;
    sums.extend(contributions::<Fp127, E>(engine, input.places, &column, &numbers, &all, &outputs, input.row.as_ref())?);
    let Front { keys: mut columns, folds: mut done, mut last } = front(engine, &sorted, &sums, folds, true)?;
    if let Some(count) = done.remove(&folds.len()) {
        let (last_rows, count) = (last.slice(0..places), count.elements::<Fp61>().slice(0..places));
        let none = is_zero::<E, Fp61>(engine, count)?;
        let some = engine.not(&none);
        last = engine.mul(&last_rows, &some)?;
    }
    columns.extend(done.into_values());
    let slice = |c: &Cells<E>| c.slice(0..places);
    Ok(Rows { places, row: Some(last.slice(0..places)), columns: columns.iter().map(slice).collect() })
}

/// The orders of its input that a [`group`] takes, as its owner may [know](Owner) them. Where nothing is sorted by below the keys, columns `at_home` of which a group has one value are a part
/// of the order.
pub fn group_orders(keys: &[usize], folds: &[Fold], at_home: &dyn Fn(usize) -> bool) -> Vec<Vec<SortKey>> {
    Order::all(folds).iter().map(|order| order.keys(keys, folds, at_home)).collect()
}

/// The groups in front: what their last rows have, and the differences of their sums.
struct Front<E: Engine> {
    keys: Vec<Cells<E>>,
    folds: BTreeMap<usize, Cells<E>>,
    /// Which places have a group.
    last: Bits<E>,
}

fn front<E: Engine>(
    engine: &mut E,
    sorted: &Sorted<E>,
    sums: &[(usize, Cells<E>)],
    folds: &[Fold],
    first: bool,
) -> Result<Front<E>, Abort> {
    let mut table = sums.iter().fold(Table::new(sorted.places), |t, (_, c)| pack(t, c)).prefix_sums();
    // of these the last row of a group has the value
    let same = folds.iter().enumerate().filter_map(|(f, fold)| if let FoldOp::Same(c) = fold.op { Some((f, c)) } else { None });
    let same: Vec<(usize, &Cells<E>)> = same.filter(|_| first).map(|(f, c)| (f, &sorted.columns[&c])).collect();
    let keys: &[Cells<E>] = if first { &sorted.keys } else { &[] };
    table = keys.iter().chain(same.iter().map(|(_, c)| *c)).fold(table, pack).with::<B64>(sorted.last.clone());
    let mut front = compact(engine, &sorted.last, table, false)?.table;
    let last = front.take_last::<B64>();
    // the columns leave in the order in which they came; keys came last
    let mut from = Unpack::new(front);
    let mut done: BTreeMap<usize, Cells<E>> = sums.iter().map(|(fold, like)| (*fold, from.column(like).differences())).collect();
    let keys = keys.iter().map(|k| from.column(k)).collect();
    done.extend(same.iter().map(|(fold, like)| (*fold, from.column(like))));
    Ok(Front { keys, folds: done, last })
}
