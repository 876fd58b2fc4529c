//! Percentiles: the row whose number in its group is the wanted one.
//!
//! *Functionality.* Of rows in the order of (group, counts, value) a bit at the one, in each group in which a row counts, that is at position floor(p (n - 1)), ceil(p (n - 1)),
//! ceil(p n) - 1 or, from the largest down, floor((1 - p) n) of the n that count, for a public p = a/b.
//! *Protocol.* The row numbers of a group's first and last counting rows are public constants at secret rows: masked and compacted like any sum, they give the group's start and
//! count; both go back to the group's last row and from there, as differences summed from the last row up, to all its rows. Which number is wanted is then a
//! comparison of small multiples: floor(A/b) = j where b j <= A < b (j + 1). The compaction and the way back are those of Asharov, Hamada, Ikarashi, Kikuchi, Nof, Pinkas, Takahashi, Tomida,
//! CCS'22; that the position is compared, never opened, is what the sorted groups of Asharov et al., CCS'23, allow.
//! *Cost.* n places, w = log2 n bits of an index, v = log2 (n + 1) of a number: 8w/3 + (4/3)(w + 2v + 1) bits a row and 5 rounds to the front, 2v and 1 round to blank, 8v/3 and 2 rounds
//! back; then two differences of v bits and, for each percentile, some sums and two comparisons of v + 2 + log2 max(a, b) bits, in a circuit that all percentiles share. *Leakage.* None.

use super::super::keys::{after, before, width_of};
use super::super::{Bits, FoldOp};
use super::order::Sorted;
use crate::graph::{self, Graph, Logic, Wire};
use crate::relational::{compact, number_bits, undo};
use crate::{Engine, Share, Table};
use mpc_core::{Abort, B64};

/// For each percentile among `ops` the rows it chooses, at most one a group.
pub(super) fn chosen<E: Engine>(
    engine: &mut E,
    sorted: &Sorted<E>,
    counts: &Bits<E>,
    largest: &Bits<E>,
    ops: &[&FoldOp],
) -> Result<Vec<Bits<E>>, Abort> {
    let wanted: Vec<&FoldOp> = ops.iter().copied().filter(|op| matches!(op, FoldOp::Percentile { .. })).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let width = width_of(sorted.places);
    let (start, end) = bounds(engine, sorted, largest, width)?;
    let mut logic = Logic::<E>::new(sorted.places);
    let (start, end) = (logic.wires(&start), logic.wires(&end));
    let counted = logic.wire(counts, 0);
    let number: Vec<Wire> = {
        let public = number_bits(0, sorted.places, width);
        (0..width).map(|p| logic.graph.public(public.pick_planes([p]))).collect()
    };
    let graph = &mut logic.graph;
    let number = graph::difference(graph, &number, &start);
    let count = graph::difference(graph, &end, &start);
    let outputs: Vec<Wire> = wanted
        .iter()
        .map(|op| {
            let FoldOp::Percentile { of: (a, b), lower, discrete, descending, .. } = op else {
                unreachable!("only percentiles are wanted")
            };
            let (of, position) = match (discrete, descending, lower) {
                // the largest
                (true, true, _) if *a == 0 => ((1, 1), Position::Below),
                (true, true, _) => ((b - a, *b), Position::Under),
                (true, false, _) => ((*a, *b), Position::Discrete),
                (false, _, true) => ((*a, *b), Position::Below),
                (false, _, false) => ((*a, *b), Position::Above),
            };
            let is = is_wanted(graph, &number, &count, of, position);
            graph.and(is, counted)
        })
        .collect();
    let flags = logic.run(engine, &outputs)?;
    Ok((0..outputs.len()).map(|plane| flags.planes([plane])).collect())
}

/// Which row is at p of n.
#[derive(Clone, Copy)]
enum Position {
    /// floor(p (n - 1)).
    Below,
    /// ceil(p (n - 1)).
    Above,
    /// ceil(p n) - 1, at least 0.
    Discrete,
    /// floor(p n), for p below 1.
    Under,
}

/// Whether row `number` of `count` counting rows (at least one) is the one at p = a/b.
fn is_wanted(g: &mut Graph, number: &[Wire], count: &[Wire], (a, b): (u64, u64), position: Position) -> Wire {
    let common = gcd(a, b).max(1);
    let (a, b) = (a / common, (b / common).max(1));
    let width = number.len() + 2 + 64 - a.max(b).leading_zeros() as usize;
    let bj = graph::multiple(g, number, b, width);
    let next = {
        let b = graph::number(g, b, width);
        graph::sum(g, &bj, &b, width)
    };
    // A = a n for the discrete ones (at least 1, so that position 0 is the least), else a (n - 1)
    let total = match (position, a) {
        (Position::Discrete, 0) => graph::number(g, 1, width),
        (Position::Discrete | Position::Under, _) => graph::multiple(g, count, a, width),
        (Position::Below | Position::Above, _) => {
            let one = graph::number(g, 1, count.len());
            let less_one = graph::difference(g, count, &one);
            graph::multiple(g, &less_one, a, width)
        }
    };
    let (not_below, below) = match position {
        Position::Discrete => {
            // ceil(A/b) - 1 = j: b j < A <= b (j + 1)
            let above = graph::less(g, &bj, &total);
            let beyond = graph::less(g, &next, &total);
            (above, g.not(beyond))
        }
        Position::Below | Position::Under => {
            // floor(A/b) = j
            let under = graph::less(g, &total, &bj);
            (g.not(under), graph::less(g, &total, &next))
        }
        Position::Above => {
            // ceil(A/b) = j: b j - b < A <= b j
            let beyond = graph::less(g, &bj, &total);
            let b = graph::number(g, b, width);
            let raised = graph::sum(g, &total, &b, width);
            (g.not(beyond), graph::less(g, &bj, &raised))
        }
    };
    g.and(not_below, below)
}

/// At each row of a group: the number of its first row, and one beyond that of the last row that counts (0 if none does).
fn bounds<E: Engine>(engine: &mut E, sorted: &Sorted<E>, largest: &Bits<E>, width: usize) -> Result<(Bits<E>, Bits<E>), Abort> {
    let from_one = number_bits(1, sorted.places, width);
    let ends = largest.planes(std::iter::repeat_n(0, width)).scale(&from_one);
    let numbers = engine.constant(&from_one);
    let table = Table::new(sorted.places).with::<B64>(ends.prefix_sums()).with::<B64>(numbers).with::<B64>(sorted.last.clone());
    let front = compact(engine, &sorted.last, table, false)?;
    let mut groups = front.table;
    let (valid, last, ends) = (groups.take_last::<B64>(), groups.take_last::<B64>(), groups.take_last::<B64>());
    let ends = ends.sub(&before::<B64, E>(engine, &ends));
    // a group starts where the one before ends
    let start = before::<B64, E>(engine, &last);
    let mut bounds = Table::new(sorted.places).with::<B64>(start).with::<B64>(ends);
    bounds.blank(engine, &valid)?;
    // differences to the next group, at the last row of each: from the last row up they sum up to the group's own
    let rows: Vec<Bits<E>> = bounds.take::<B64>().iter().map(|c| c.sub(&after::<B64, E>(engine, c))).collect();
    let table = rows.into_iter().fold(Table::new(sorted.places), |t, c| t.with::<B64>(c));
    let mut back = undo(engine, &front.applied, table)?;
    let upwards = |c: Bits<E>| {
        let up_to = c.prefix_sums();
        let all = c.sum();
        let all: Bits<E> = all.gather(&vec![Some(0); sorted.places]);
        all.sub(&up_to).add(&c)
    };
    let ends = upwards(back.take_last::<B64>());
    Ok((upwards(back.take_last::<B64>()), ends))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
