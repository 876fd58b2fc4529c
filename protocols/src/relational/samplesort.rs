//! Samplesort: shuffle, then reveal comparisons.
//!
//! *Functionality.* The rows in the order of their keys; equal keys keep their order.
//! *Protocol.* The number of each row becomes the low part of its key, so that no two are equal, and all is shuffled. From there on the order of rows is
//! uniformly random and independent of everything, so comparisons of rows may be opened (Hamada, Kikuchi, Ikarashi, Chida, Takahashi, ICISC'12). One row in sixteen is a
//! sample, sorted the same way; every other row finds its place between samples by binary search, a comparison a level for all rows at once, and the few rows between
//! two samples are sorted by quicksort, until all comparisons of those that are left are few. (Without the row's number opened equalities would tell how often keys repeat.)
//! Of more than 2^15 rows a quarter is compared at a time, since two keys and two levels of a comparison are three times what a row has to keep.
//! *Cost.* About log2 n comparisons of k + w bits a row and 2 + ceil(log2 (k + w)) rounds for each of some 3 log2 n levels, or for each quarter of one; how many exactly depends on the
//! random order, so [`cost::samplesort`](crate::cost::samplesort) is an expectation; up to 90 rows are compared all with all in one level, and it is exact. The shuffle carries k + w bits and the row's own. *Leakage.* None: what is opened is the order of rows after the
//! shuffle, a uniformly random permutation.

use super::permute::{Applied, Moved};
use super::{Bits, MANY, less_open};
use crate::{Abort, Engine, Share, Table};
use mpc_core::{B64, Column, Layout, Permutation, Row32, index_bits};
use std::ops::Range;

/// One row in so many is a sample.
const SAMPLE: usize = 16;
/// As many rows, or fewer, are compared all with all at once, without a sample: their pairs are no more than [`last_comparisons`].
pub(crate) const FEW: usize = 90;
/// As many rows, or fewer, are compared all with all.
pub(crate) const LAST: usize = 4;

/// The most comparisons at a time where `rows` rows are sorted.
pub(crate) const fn at_once(rows: usize) -> usize {
    if rows > MANY { rows.div_ceil(4) } else { usize::MAX }
}

/// Comparisons for which the rows between all samples are compared all with all, of `rows` rows in all: few beside those of the search, and they save the last levels.
pub(crate) const fn last_comparisons(rows: usize) -> usize {
    rows / 8 + 4096
}

/// The rows of the table in the stable order of `key`, and what undoes it.
pub fn samplesort<E: Engine>(e: &mut E, key: Bits<E>, table: Table<E>) -> Result<Moved<E>, Abort> {
    let rows = table.rows();
    let distinct = Share::stack(&[&e.constant(&numbers(rows)), &key]);
    drop(key);
    let (mut rows_shuffled, shuffled) = e.shuffle(table.with(distinct))?;
    let key = rows_shuffled.take_last::<B64>();
    if rows > FEW && e.expects_order(key.layout()) {
        return Ok((rows_shuffled, Applied::new(shuffled, Permutation::identity(rows))));
    }
    let order = sorted(e, key)?;
    let mut places = vec![0; rows];
    order.iter().zip(0..).for_each(|(row, place)| places[*row as usize] = place);
    let places = Permutation::new(places).ok_or(Abort::Cheating { check: "opened comparisons order the rows", culprit: None })?;
    Ok((rows_shuffled.place(&places), Applied::new(shuffled, places)))
}

/// The numbers of the rows as bit-planes.
fn numbers(rows: usize) -> Column<B64> {
    let bits = index_bits(rows);
    let mut planes = Column::zeros(Layout::new(rows, bits as usize));
    planes.set_rows(0, &Column::from_rows((0..rows).map(|i| Row32(i as u32)).collect()).narrowed(bits));
    planes
}

/// Samples among `rows` rows: one less than a power of two, so that binary search takes as many steps for all.
pub(crate) fn samples(rows: usize) -> usize {
    if rows <= FEW { 0 } else { ((rows / SAMPLE) as f64).log2().round().exp2() as usize - 1 }
}

/// The rows in the order of their keys, which differ.
fn sorted<E: Engine>(e: &mut E, key: Bits<E>) -> Result<Vec<u32>, Abort> {
    let rows = key.layout().rows;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let samples = samples(rows);
    let sample = if samples > 0 { sorted(e, key.slice(0..samples))? } else { Vec::new() };
    let sample_key = key.pick(&sample);
    let part = at_once(rows).min(rows - samples);
    let parts: Vec<_> = (samples..rows).step_by(part).map(|from| key.slice(from..rows.min(from + part))).collect();
    drop(key);
    // between which samples each other row is
    let mut below = vec![0u32; rows - samples];
    let mut step = samples.div_ceil(2) as u32;
    while step > 0 {
        for (others, below) in parts.iter().zip(below.chunks_mut(part)) {
            let probes: Vec<u32> = below.iter().map(|below| below + step - 1).collect();
            let less = less_open(e, others, &sample_key.pick(&probes))?;
            let words = less.plane(0);
            below.iter_mut().enumerate().for_each(|(i, below)| *below += if is_set(words, i) { 0 } else { step });
        }
        step /= 2;
    }
    drop(sample_key);
    // by bucket, in their order
    let mut starts = vec![0usize; samples + 2];
    below.iter().for_each(|bucket| starts[*bucket as usize + 1] += 1);
    (0..=samples).for_each(|bucket| starts[bucket + 1] += starts[bucket]);
    let mut next = starts.clone();
    let mut bucketed = vec![0u32; below.len()];
    for (row, bucket) in (0..).zip(&below) {
        let next = &mut next[*bucket as usize];
        bucketed[*next] = row;
        *next += 1;
    }
    drop((below, next));
    let segments = starts.windows(2).map(|w| w[0]..w[1]).collect();
    let others: Bits<E> = Share::concat(&parts.iter().collect::<Vec<_>>());
    drop(parts);
    let key = others.pick(&bucketed);
    drop(others);
    let ordered = quicksorted(e, key, (segments, rows))?;

    let mut order = Vec::with_capacity(rows);
    for bucket in 0..=samples {
        order.extend(ordered[starts[bucket]..starts[bucket + 1]].iter().map(|at| samples as u32 + bucketed[*at as usize]));
        order.extend(sample.get(bucket));
    }
    Ok(order)
}

/// Whether the bit of row `row` is set; inlined, as it is asked for every comparison.
#[inline(always)]
fn is_set(words: &[B64], row: usize) -> bool {
    words[row / 64].0 >> (row % 64) & 1 == 1
}

/// The rows of each segment in the order of their keys, of `all` rows that are sorted; all are compared with all once those are few.
fn quicksorted<E: Engine>(e: &mut E, mut key: Bits<E>, (segments, all): (Vec<Range<usize>>, usize)) -> Result<Vec<u32>, Abort> {
    let mut order: Vec<u32> = (0..key.layout().rows as u32).collect();
    let mut segments: Vec<_> = segments.into_iter().filter(|s| s.len() > 1).collect();
    // keys of rows that still have neighbours to be compared with, and where each row's is: segment by segment
    let mut held = order.clone();
    while !segments.is_empty() {
        let active: usize = segments.iter().map(ExactSizeIterator::len).sum();
        if active < key.layout().rows / 2 {
            let mut rows: Vec<u32> = Vec::with_capacity(active);
            rows.extend(segments.iter().flat_map(|s| &order[s.clone()]));
            key = key.pick(&rows.iter().map(|row| held[*row as usize]).collect::<Vec<_>>());
            rows.iter().zip(0..).for_each(|(row, at)| held[*row as usize] = at);
        }
        let pairs: usize = segments.iter().map(|s| all_pairs(s.len())).sum();
        let whole = pairs <= last_comparisons(all);
        let mut next = Vec::new();
        let mut rest = &segments[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(as_many(rest, whole, at_once(all)));
            compared(e, &key, &held, &mut order, (now, whole), &mut next)?;
            rest = later;
        }
        segments = next;
    }
    Ok(order)
}

/// Compares the rows of neighbouring segments and puts them in their order as far as that is known then; what is left to do is appended to `next`.
fn compared<E: Engine>(
    e: &mut E,
    key: &Bits<E>,
    held: &[u32],
    order: &mut [u32],
    (segments, whole): (&[Range<usize>], bool),
    next: &mut Vec<Range<usize>>,
) -> Result<(), Abort> {
    let count = segments.iter().map(|s| comparisons(s.len(), whole)).sum();
    let (mut left, mut right) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for segment in segments {
        let rows = &order[segment.clone()];
        // all pairs of a few, else everyone with the first: rows are in random order
        let pivots = if whole || rows.len() <= LAST { rows.len() - 1 } else { 1 };
        for (i, pivot) in rows[..pivots].iter().enumerate() {
            left.extend(&rows[i + 1..]);
            right.extend(std::iter::repeat_n(pivot, rows.len() - i - 1));
        }
    }
    // keys of neighbouring segments are side by side
    let places = || segments.iter().flat_map(|s| &order[s.clone()]).map(|row| held[*row as usize]);
    let (Some(first), Some(last)) = (places().min(), places().max()) else { return Ok(()) };
    let key = key.slice(first as usize..last as usize + 1);
    let at = |rows: &[u32]| rows.iter().map(|row| held[*row as usize] - first).collect::<Vec<_>>();
    let operands = (key.pick(&at(&left)), key.pick(&at(&right)));
    drop(key);
    let less = less_open(e, &operands.0, &operands.1)?;
    drop((operands, left, right));
    let less = less.plane(0);
    let mut at = 0;
    for segment in segments {
        let rows = order[segment.clone()].to_vec();
        if whole || rows.len() <= LAST {
            let mut places = vec![0; rows.len()];
            for i in 0..rows.len() - 1 {
                for j in i + 1..rows.len() {
                    places[if is_set(less, at) { i } else { j }] += 1;
                    at += 1;
                }
            }
            // a place taken twice shows in the end: the order is then no permutation
            rows.iter().zip(places).for_each(|(row, place)| order[segment.start + place] = *row);
        } else {
            let is_less: Vec<bool> = (at..at + rows.len() - 1).map(|i| is_set(less, i)).collect();
            at += rows.len() - 1;
            let side = |wanted: bool| rows[1..].iter().zip(&is_less).filter(move |(_, less)| **less == wanted).map(|(row, _)| *row);
            let pivot = segment.start + is_less.iter().filter(|less| **less).count();
            let sorted = side(true).chain([rows[0]]).chain(side(false));
            order[segment.clone()].iter_mut().zip(sorted).for_each(|(slot, row)| *slot = row);
            next.extend([segment.start..pivot, pivot + 1..segment.end].into_iter().filter(|s| s.len() > 1));
        }
    }
    Ok(())
}

/// How many of the segments, one at least, take no more than `most` comparisons.
fn as_many(segments: &[Range<usize>], whole: bool, most: usize) -> usize {
    let sums = segments.iter().scan(0, |sum, segment| {
        *sum += comparisons(segment.len(), whole);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= most).count().max(1)
}

/// Comparisons of a segment: of all with all where it is small or wanted, else with one.
const fn comparisons(rows: usize, whole: bool) -> usize {
    if whole || rows <= LAST { all_pairs(rows) } else { rows - 1 }
}

/// Comparisons of each of so many rows with each other.
pub(crate) const fn all_pairs(rows: usize) -> usize {
    rows * rows.saturating_sub(1) / 2
}
