//! Columns computed from a row's partition.
//!
//! *Functionality.* The rows in the order of (is no row, partition, order), and for each function a column: the row's number, rank, dense rank or tile in its partition, a value some rows
//! before or behind it, the value of its partition's first row, counts and sums over its partition, up to it or up to its last peer (peers are equal in the order), or over it and some rows before it, and every fold of a [group](mod@super::group) over the
//! partition. NULL is a value that partitions are told apart by; places without a row hold anything. Row numbers, tiles, values of other rows and sums up to a row show how peers stand: unless it is
//! known that there are none, every order of them is as likely.
//! *Protocol.* The rows are sorted, after a shuffle if it is seen how peers stand; or an owner who knows the order brings them into it, peers at random, and takes what is computed back to where
//! they were ([`arrange`](super::arrange)). What the first row of a partition, or of a row's peers, has is spread to all its rows by [`Segments`], whose rounds do not depend on the number of
//! rows: row numbers and ranks are differences of public row numbers at secret first rows, running sums differences of sums over all rows, and sums over a row and k before it differences of running sums. The k-th row before is a public shift, and
//! in the partition if the partition begins no later. A fold over the partition that needs an order of its own is computed as a group-by, whose groups line up with the partitions.
//! *Source.* The sort of Asharov, Hamada, Ikarashi, Kikuchi, Nof, Pinkas, Takahashi, Tomida, CCS'22, section 3; sums of sorted groups as differences after a compaction as in Asharov, Hamada,
//! Kikuchi, Nof, Pinkas, Tomida, CCS'23, here taken back to the rows. Liagouris, Kalavri, Faisal, Varia, NSDI'23, have windows by scans of log2 n levels instead.
//! *Cost.* n places, w = log2 n bits of an index, v = log2 (n + 1) of a row's number, p and o bits of partition and order (one more for each column that is nullable), r = 1 if there
//! are places without a row, W bits that a row has. Bits a row and rounds:
//!
//! | | bits | rounds |
//! |---|---|---|
//! | a shuffle, if it is seen how peers stand | 4W/3 | 2 |
//! | rows in their order, k = p + o + r | (4w + 1) + (k/2 - 1)(22w + 11)/3 + (4/3)(w + W) + 2w/3 | 4 + 8 (k/2 - 1) + 2 |
//! | partitions, S = v + 61 for each sum | p - 1 + r, 8w/3 + (4/3)(w + S + 1), v + 4S/3, and 61 + 61 for each sum | log2 p + r, 5, 3, and 3 for each sum |
//! | peers, for ranks and sums to the last of them | the same with p + o in place of p | the same |
//! | sums over a partition, or over peers, all of a field | 2 (61 + 61) + 4/3 * 61 for one | 8 |
//! | a number in its partition | the difference from a public number, and 1: 22 at v = 8, about v log2 v; of a rank v more | some 2 log2 v |
//! | a value of k bits some rows away, NULL or a default outside the partition | a comparison with a public number, 8 at v = 8, about 3v/2; k + 1 | log2 v + 1 |
//! | a sum over a row and some before it, besides the running sum | a comparison with a public number, and 61 + 61 | log2 v + 3 |
//! | a value of k bits of the partition's first row | k more in S, and k with the v that follows | none besides |
//! | tiles, t > 1 of them, besides the number of rows of the partition: the quotient by t (596 by P_0) | 475 | 12 |
//! | the bits of quotient and remainder | 2 * 194 at v = 8, 2 * 181 at v = 4 | 2 * 9 |
//! | a multiple, a sum and a comparison for each tile but the first, and how many begin at or before the row | some 60 (t - 1) at v = 8, 25 (t - 1) at v = 4: 66 at t = 2, 569 at t = 10 | 12 at t = 2, 18 at t = 10, 25 at t = 100 |
//!
//! Partitions, and peers, of 80 + 2 w bits or more are compared as a digest of 40 + w bits, of which 256 bits are opened in a round before (`digest`).
//!
//! `query/tests/sql/relation/costs.rs` holds it to that. *Leakage.* None. An owner who broke ties knows how, as it knows an order without ties. What others' conditions make of the
//! functions afterwards, it can then tell of single rows: with a secret condition behind the window (`rn = 1 AND …`) and the answer in sight, it learns on which of its tied rows the choice fell, and so whether that
//! row met the condition, where somebody who does not know how ties were broken learns that of one of several rows. Where a secret bit may have dropped rows before, which that owner could tell from peers that
//! move up, nobody knows.

mod function;
mod number;
mod sums;

pub use function::{Constant, Function};

use super::group::{group_orders, groups, same_as_before};
use super::keys::{Unpack, pack, width_of};
use super::order::side_by_side;
use super::{Bits, Cells, ColumnShape, Fold, How, Rows, Shape, SortKey, Ties};
use crate::relational::{Applied, Segments, number_bits};
use crate::{Engine, Share, Table, stack};
use mpc_core::{Abort, B64, Fp61, Fp127, Ring};
use std::collections::BTreeSet;

/// What is computed over which partitions.
pub struct Window<'a> {
    /// Rows with equal values here form a partition.
    pub partition: &'a [usize],
    /// Their order within it.
    pub by: &'a [SortKey],
    /// How rows stand that are equal in both: as [`Function::ties`] says.
    pub ties: Ties,
    /// What is computed.
    pub functions: &'a [Function],
    /// How rows come into the order.
    pub how: How<'a>,
}

impl Window<'_> {
    /// The columns that are read of rows in order.
    fn reads(&self) -> BTreeSet<usize> {
        let keys = self.partition.iter().copied().chain(self.by.iter().map(|key| key.column));
        let of = |function: &Function| match function {
            Function::Lag { column, .. } | Function::First(column) => vec![*column],
            Function::Whole(fold) | Function::Running { fold, .. } | Function::Trailing { fold, .. } => fold.reads(),
            Function::RowNumber | Function::Rank | Function::DenseRank | Function::Ntile(_) => Vec::new(),
        };
        keys.chain(self.functions.iter().flat_map(of)).collect()
    }
}

/// Rows in their order, cut into partitions and peers.
struct Ordered<E: Engine> {
    rows: Rows<E>,
    /// What brought those to the front that hold a row, if their owner knew the order and some may have been dropped.
    front: Option<Applied<E>>,
    partitions: Segments<E>,
    /// The number of the first row of each row's partition, in planes that number all rows.
    start: Bits<E>,
    /// What that row has in the columns whose first values are asked for.
    firsts: Vec<Cells<E>>,
    peers: Option<Peers<E>>,
}

/// Rows equal in the order.
struct Peers<E: Engine> {
    /// The number of the first peer.
    start: Bits<E>,
    /// The number of the peers among all: of each row, and of the first row of its partition.
    dense: Option<(Bits<E>, Bits<E>)>,
}

/// The columns of `input`, then one for each function: rows of this shape.
pub fn window<E: Engine>(engine: &mut E, input: &Rows<E>, what: &Window<'_>, shape: &Shape) -> Result<Rows<E>, Abort> {
    let outputs = &shape.columns[input.columns.len()..];
    if input.places == 0 {
        let columns = input.columns.iter().cloned().chain(outputs.iter().map(|c| c.zeros(engine, 0))).collect();
        return Ok(Rows { places: 0, row: input.row.clone(), columns });
    }
    let (ordered, spread) = order(engine, input, what, outputs)?;
    let whole = whole_in_order(engine, input, what, outputs, &ordered)?;
    let (mut spread, mut firsts) = (spread.into_iter(), ordered.firsts.iter().cloned());
    let mut whole = whole.into_iter();
    let mut columns = Vec::with_capacity(outputs.len());
    for (function, output) in what.functions.iter().zip(outputs) {
        columns.push(match function {
            Function::Whole(fold) if fold.needs_order() => whole.next().expect("a column for each fold over an order"),
            Function::Whole(_) | Function::Running { .. } => spread.next().expect("a column for each sum"),
            Function::Trailing { before, .. } => {
                let running = spread.next().expect("a column for each sum");
                number::trailing(engine, &ordered, &running, *before)?
            }
            Function::First(_) => firsts.next().expect("a column for each first value"),
            Function::Lag { column, by, default } => number::lag(engine, &ordered, &ordered.rows.columns[*column], *by, default.as_ref())?,
            Function::Ntile(_) => number::number(engine, &ordered, function, output, spread.next())?,
            _ => number::number(engine, &ordered, function, output, None)?,
        });
    }
    let (row, mut all) = match what.how {
        How::Known(owner) => {
            let table = owner.back(engine, columns.iter().fold(Table::new(input.places), pack), ordered.front.as_ref())?;
            let mut from = Unpack::new(table);
            columns = columns.iter().map(|like| from.column(like)).collect();
            (input.row.clone(), input.columns.clone())
        }
        How::Sorting(_) => (ordered.rows.row, ordered.rows.columns),
    };
    all.extend(columns);
    Ok(Rows { places: input.places, row, columns: all })
}

/// Sorts, and computes everything that runs over the partitions, in the order of the functions.
fn order<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    what: &Window<'_>,
    outputs: &[ColumnShape],
) -> Result<(Ordered<E>, Vec<Cells<E>>), Abort> {
    let places = input.places;
    let (rows, front) = match what.how {
        How::Known(owner) => owner.rows_in_front(engine, input, &what.reads())?,
        How::Sorting(setting) => (input.in_order(engine, what.partition, what.by, what.ties, setting)?, None),
    };
    let cells = |columns: &[usize]| columns.iter().map(|c| rows.columns[*c].clone()).collect::<Vec<_>>();
    let sums = sums::Sums::new(engine, &rows, what.functions, outputs)?;
    let width = width_of(places);
    let own = engine.constant(&number_bits(0, places, width));

    let with_peers = |f: &Function| matches!(f, Function::Rank | Function::DenseRank | Function::Running { peers: true, .. });
    let dense = what.functions.contains(&Function::DenseRank);
    let mut peers = None;
    if what.functions.iter().any(with_peers) {
        let keys: Vec<usize> = what.partition.iter().copied().chain(what.by.iter().map(|k| k.column)).collect();
        let same = same_as_before(engine, places, &cells(&keys), rows.row.as_ref())?;
        let first = engine.not(&same);
        let table = sums.before(Table::new(places).with::<B64>(own.clone()), |s| s.peers);
        let (segments, heads) = Segments::new(engine, &first, table)?;
        // peers are numbered by their place among all first rows
        let heads = if dense { heads.with::<B64>(own.clone()) } else { heads };
        peers = Some((heads, segments));
    }
    let (mut start, mut rank, mut ends) = (None, None, None);
    if let Some((heads, segments)) = peers {
        let (fp61, fp127) = (sums.peer_totals::<Fp61>(engine, &heads, &segments)?, sums.peer_totals::<Fp127>(engine, &heads, &segments)?);
        let mut from = Unpack::new(segments.spread(engine, heads)?);
        start = Some(from.bits());
        rank = dense.then(|| from.bits());
        // sums up to the last peer: those before the first, and those of the peers
        let sum = |a: Option<E::Share<Fp61>>, b: Option<E::Share<Fp61>>| a.zip(b).map(|(a, b)| a.add(&b));
        let sum_wide = |a: Option<E::Share<Fp127>>, b: Option<E::Share<Fp127>>| a.zip(b).map(|(a, b)| a.add(&b));
        ends = Some((sum(stacked(from.fp61), fp61), sum_wide(stacked(from.fp127), fp127)));
    }

    let same = same_as_before(engine, places, &cells(what.partition), rows.row.as_ref())?;
    let first = engine.not(&same);
    let table = rank.iter().fold(Table::new(places).with::<B64>(own), |t, r| t.with::<B64>(r.clone()));
    let table = sums.before(table, |_| true);
    let column = |f: &Function| if let Function::First(column) = f { Some(*column) } else { None };
    let firsts = cells(&what.functions.iter().filter_map(column).collect::<Vec<_>>());
    let table = firsts.iter().fold(table, pack);
    let (partitions, heads) = Segments::new(engine, &first, table)?;
    let (fp61, fp127) = (sums.totals::<Fp61>(engine, &heads, &partitions)?, sums.totals::<Fp127>(engine, &heads, &partitions)?);
    let mut from = Unpack::new(partitions.spread(engine, heads)?);
    let partition_start = from.bits();
    let dense = rank.map(|rank| (rank, from.bits()));
    let (ends61, ends127) = ends.unwrap_or((None, None));
    let mut done = sums.finish::<Fp61>(stacked(sums.take::<Fp61>(&mut from.fp61)), fp61, ends61);
    done.extend(sums.finish::<Fp127>(stacked(sums.take::<Fp127>(&mut from.fp127)), fp127, ends127));
    let firsts = firsts.iter().map(|like| from.column(like)).collect();
    done.sort_by_key(|(function, _)| *function);
    let peers = start.map(|start| Peers { start, dense });
    let ordered = Ordered { rows, front, partitions, start: partition_start, firsts, peers };
    Ok((ordered, done.into_iter().map(|(_, cells)| cells).collect()))
}

/// The orders of its input that these window functions take, as its owner may [know](super::Owner) them.
pub fn window_orders(partition: &[usize], by: &[SortKey], functions: &[Function]) -> Vec<Vec<SortKey>> {
    let first = partition.iter().map(|c| side_by_side(*c)).chain(by.iter().copied()).collect();
    let folds = in_order(functions);
    let others = if folds.is_empty() { Vec::new() } else { group_orders(partition, &folds, &|_| false) };
    std::iter::once(first).chain(others).collect()
}

/// The folds over whole partitions that need an order of their own.
fn in_order(functions: &[Function]) -> Vec<Fold> {
    let fold = |f: &Function| if let Function::Whole(fold) = f { Some(fold.clone()) } else { None };
    functions.iter().filter_map(fold).filter(Fold::needs_order).collect()
}

/// Folds over whole partitions that need an order of their own: groups, which come in the order of the partitions.
fn whole_in_order<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    what: &Window<'_>,
    outputs: &[ColumnShape],
    ordered: &Ordered<E>,
) -> Result<Vec<Cells<E>>, Abort> {
    let needs = |(f, _): &(&Function, &ColumnShape)| matches!(f, Function::Whole(fold) if fold.needs_order());
    let columns: Vec<ColumnShape> = what.functions.iter().zip(outputs).filter(needs).map(|(_, c)| *c).collect();
    let folds = in_order(what.functions);
    if folds.is_empty() {
        return Ok(Vec::new());
    }
    let groups = groups(engine, input, what.partition, &folds, &columns, what.how.from(1))?;
    let folds = &groups.columns[what.partition.len()..];
    let heads = folds.iter().fold(Table::new(input.places), pack);
    let mut from = Unpack::new(ordered.partitions.spread(engine, heads)?);
    Ok(folds.iter().map(|like| from.column(like)).collect())
}

/// Columns of one plane as one share, if there are any.
fn stacked<R: Ring, S: Share<R>>(columns: impl Iterator<Item = S>) -> Option<S> {
    let columns: Vec<S> = columns.collect();
    (!columns.is_empty()).then(|| stack(&columns))
}
