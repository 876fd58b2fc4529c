//! Row numbers, ranks, tiles, and rows a fixed number away.
//!
//! *Functionality.* Of rows in their order, with the number of the first row of each one's partition and of its first peer, the differences that are its number, ranks and tile; and what the row has that is so many places
//! away, if it is of the same partition. *Protocol* and *cost* are those of the [window](super).
//! *Leakage.* None: gates, and divisions by public numbers; rows move by a public number of places.

use super::super::keys::{width_of, zeros};
use super::super::{Bits, Cells, ColumnShape, Element, Values};
use super::{Constant, Function, Ordered};
use crate::circuit::{self, Rounding, Sign, divide_public, field_bits};
use crate::graph::{self, Logic, Wire};
use crate::relational::number_bits;
use crate::{Engine, Share};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout};

/// ROW_NUMBER, RANK, DENSE_RANK, NTILE, in the planes of `output`. `rows` is how many rows each row's partition has, where that matters.
pub(super) fn number<E: Engine>(
    engine: &mut E,
    ordered: &Ordered<E>,
    function: &Function,
    output: &ColumnShape,
    rows: Option<Cells<E>>,
) -> Result<Cells<E>, Abort> {
    let places = ordered.rows.places;
    let width = width_of(places);
    let peers = || ordered.peers.as_ref().expect("ranks have peers");
    let (value, start) = match function {
        Function::Rank => (peers().start.clone(), &ordered.start),
        Function::DenseRank => {
            let (rank, first) = peers().dense.as_ref().expect("dense ranks number the peers");
            (rank.clone(), first)
        }
        _ => (engine.constant(&number_bits(0, places, width)), &ordered.start),
    };
    let tiles = match (function, rows) {
        (Function::Ntile(tiles), Some(rows)) => Some(tile_sizes(engine, rows.elements::<Fp61>(), *tiles)?),
        _ => None,
    };
    let mut logic = Logic::<E>::new(places);
    let value = match function {
        Function::Rank | Function::DenseRank => logic.wires(&value),
        _ => {
            // public numbers cost less
            let own = number_bits(0, places, width);
            (0..width).map(|p| logic.graph.public(own.pick_planes([p]))).collect()
        }
    };
    let start = logic.wires(start);
    let from_zero = graph::difference(&mut logic.graph, &value, &start);
    let mut planes = match (function, &tiles) {
        (Function::Ntile(tiles), Some((size, rest))) => {
            let (size, rest) = (logic.wires(size), logic.wires(rest));
            // the tiles that begin at or before the row: tile k begins at k q + min(k, rest)
            let g = &mut logic.graph;
            let wide = width + 1;
            let begun: Vec<Wire> = (1..*tiles)
                .map(|k| {
                    let k_planes = graph::number(g, k, wide);
                    // a number that does not fit the planes is greater than all
                    let fits = k < 1 << width.min(63);
                    let few = if fits { graph::less(g, &rest, &k_planes[..width]) } else { g.constant(true) };
                    let least: Vec<Wire> = (0..wide)
                        .map(|p| {
                            let rest = rest.get(p).copied().unwrap_or(g.constant(false));
                            graph::choose(g, few, rest, k_planes[p])
                        })
                        .collect();
                    let multiple = graph::multiple(g, &size, k, wide);
                    let begin = graph::sum(g, &multiple, &least, wide);
                    let mut row = from_zero.clone();
                    row.push(g.constant(false));
                    let later = graph::less(g, &row, &begin);
                    g.not(later)
                })
                .collect();
            graph::count(g, begun, width)
        }
        _ => from_zero,
    };
    let one = graph::number(&logic.graph, 1, planes.len() + 1);
    planes = graph::sum(&mut logic.graph, &planes, &one, one.len());
    planes.resize(output.form.width(), logic.graph.constant(false));
    Ok(Cells { values: Values::Bits(logic.run(engine, &planes)?), valid: None })
}

/// The rows of each row's partition divided by the number of tiles, and the remainder.
fn tile_sizes<E: Engine>(engine: &mut E, rows: &E::Share<Fp61>, tiles: u64) -> Result<(Bits<E>, Bits<E>), Abort> {
    let places = rows.layout().rows;
    let width = width_of(places);
    let size = divide_public::<E, Fp61>(engine, rows, tiles.into(), width as u32, Sign::Unsigned, Rounding::TowardZero)?;
    let multiple = size.scale(&Column::splat(Fp61::from_i128(tiles.into()), Layout::new(places, 1)));
    let rest = rows.sub(&multiple);
    Ok((field_bits::<E, Fp61>(engine, size, width)?, field_bits::<E, Fp61>(engine, rest, width)?))
}

/// The value of a column so many rows before; outside the partition a default, or NULL.
pub(super) fn lag<E: Engine>(
    engine: &mut E,
    ordered: &Ordered<E>,
    column: &Cells<E>,
    by: i64,
    default: Option<&Constant>,
) -> Result<Cells<E>, Abort> {
    let places = ordered.rows.places;
    let width = width_of(places);
    let from: Vec<Option<usize>> = (0..places)
        .map(|row| i64::try_from(row).ok()?.checked_sub(by).and_then(|r| usize::try_from(r).ok()).filter(|r| *r < places))
        .collect();
    let there = column.gather(&from);
    // the earlier of the two rows must not be before the start of the later one's partition; a place without a row is a partition of its own
    let start = if by >= 0 { ordered.start.clone() } else { ordered.start.gather(&from) };
    let mut logic = Logic::<E>::new(places);
    let start = logic.wires(&start);
    let earlier: Vec<i128> = (0..places).map(|row| if by >= 0 { from[row].unwrap_or(0) } else { row } as i128).collect();
    let earlier = Column::from_ints(&earlier, width);
    let earlier: Vec<Wire> = (0..width).map(|p| logic.graph.public(earlier.pick_planes([p]))).collect();
    let exists = logic.graph.public(Column::from_bools(&from.iter().map(Option::is_some).collect::<Vec<_>>()));
    let before = graph::less(&mut logic.graph, &earlier, &start);
    let within = logic.graph.not(before);
    let within = logic.graph.and(within, exists);
    let mut outputs = vec![within];
    let valid = there.valid.as_ref().map_or(logic.graph.constant(true), |v| logic.wire(v, 0));
    let outside = logic.graph.constant(default.is_some());
    outputs.push(graph::choose(&mut logic.graph, within, valid, outside));
    if let Values::Bits(bits) = &there.values {
        for (plane, wire) in logic.wires(bits).into_iter().enumerate() {
            let outside = logic.graph.constant(default.is_some_and(|default| default.plane(plane)));
            outputs.push(graph::choose(&mut logic.graph, within, wire, outside));
        }
    }
    let bits = logic.run(engine, &outputs)?;
    let within = bits.planes([0]);
    let values = match &there.values {
        Values::Bits(v) => {
            Values::Bits(if v.layout().planes == 0 { zeros::<B64, E>(engine, places, 0) } else { bits.planes(2..outputs.len()) })
        }
        Values::Fp61(v) => Values::Fp61(where_within::<Fp61, E>(engine, &within, v, default)?),
        Values::Fp127(v) => Values::Fp127(where_within::<Fp127, E>(engine, &within, v, default)?),
    };
    let nullable = default.is_none() || there.valid.is_some();
    Ok(Cells { values, valid: nullable.then(|| bits.planes([1])) })
}

/// Sums over each row and so many before it in its partition, from those up to it.
pub(super) fn trailing<E: Engine>(engine: &mut E, ordered: &Ordered<E>, running: &Cells<E>, before: u64) -> Result<Cells<E>, Abort> {
    let by = i64::try_from(before).unwrap_or(i64::MAX).saturating_add(1);
    // outside the partition there is nothing to take off
    let earlier = lag(engine, ordered, running, by, None)?;
    let values = match (&running.values, &earlier.values) {
        (Values::Fp61(all), Values::Fp61(earlier)) => Values::Fp61(all.sub(earlier)),
        (Values::Fp127(all), Values::Fp127(earlier)) => Values::Fp127(all.sub(earlier)),
        _ => unreachable!("sums are elements, and so are those before them"),
    };
    Ok(Cells { values, valid: None })
}

/// Elements where the bit is 1, else a default, or 0.
fn where_within<R: Element, E: Engine>(
    engine: &mut E,
    within: &Bits<E>,
    values: &E::Share<R>,
    default: Option<&Constant>,
) -> Result<E::Share<R>, Abort> {
    let Some(Constant::Element(default)) = default else { return circuit::bit_times::<E, R>(engine, within, values) };
    let default = engine.constant(&Column::splat(R::element(*default), values.layout()));
    let above = circuit::bit_times::<E, R>(engine, within, &values.sub(&default))?;
    Ok(above.add(&default))
}
