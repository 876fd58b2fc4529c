//! Operators over rows against plain answers, at edge sizes, on keys of every kind, with NULLs and places without a row; and, of each, that three parties compute what the clear engine does at
//! the cost that is estimated, exactly.

mod groups;
mod joins;
mod oracle;
mod orders;
mod windows;
mod words;

use super::{Words, input};
use mpc_core::{B64, Column, Fp61, Fp127, PartyId, Permutation};
use oracle::{Cell, Row, compare};
use protocols::relational::Network;
use protocols::rows::{
    Cells, ColumnShape, Element, Fold, FoldOp, Form, Function, How, KnownOrder, Lookup, Owner, Rows, Setting, Shape, SortKey, Ties, Top,
    Tuple, Values, Window, cross, group, group_as_they_are, group_by_masks, group_orders, lookup, pairs, ready, top, total, total_orders,
    union, window, window_orders,
};
use protocols::world::{Protocol, check_seeded};
use protocols::{Abort, Engine, Plain};

/// Sizes at which words, digits, halvings and ways to sort change.
const EDGES: [usize; 8] = [0, 1, 2, 3, 63, 64, 65, 300];

/// Rows in clear: a cell for each place and column, and which places hold a row.
#[derive(Debug, Clone)]
struct Clear {
    columns: Vec<ColumnShape>,
    cells: Vec<Row>,
    row: Option<Vec<bool>>,
}

impl Clear {
    /// Those that are rows.
    fn rows(&self) -> Vec<Row> {
        let is_row = |place: &usize| self.row.as_ref().is_none_or(|row| row[*place]);
        (0..self.cells.len()).filter(is_row).map(|place| self.cells[place].clone()).collect()
    }

    fn shape(&self) -> Shape {
        Shape { places: self.cells.len(), full: self.row.is_none(), columns: self.columns.clone() }
    }

    fn share<E: Engine>(&self, e: &mut E, owner: u8) -> Result<Rows<E>, Abort> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (c, column) in self.columns.iter().enumerate() {
            // what is NULL is 0
            let values: Vec<i128> = self.cells.iter().map(|row| row[c].unwrap_or(0)).collect();
            let values = match column.form {
                Form::Planes(width) => Values::Bits(input(e, owner, &Column::from_ints(&values, width))?),
                Form::Fp61 => Values::Fp61(input(e, owner, &Column::from_rows(values.into_iter().map(Fp61::element).collect()))?),
                Form::Fp127 => Values::Fp127(input(e, owner, &Column::from_rows(values.into_iter().map(Fp127::element).collect()))?),
            };
            let valid: Vec<bool> = self.cells.iter().map(|row| row[c].is_some()).collect();
            let valid = column.nullable.then(|| input(e, owner, &Column::from_bools(&valid))).transpose()?;
            columns.push(Cells { values, valid });
        }
        let row = self.row.as_ref().map(|row| input(e, owner, &Column::from_bools(row))).transpose()?;
        Ok(Rows { places: self.cells.len(), row, columns })
    }
}

/// An operator and what it is over.
struct Run {
    inputs: Vec<Clear>,
    op: Op,
    /// Whether its rows' owner knows the orders that it takes.
    known: bool,
    /// By which ways to sort are chosen.
    network: Network,
    /// What it yields.
    shape: Shape,
    /// Whether rows are opened in their order.
    ordered: bool,
    /// The columns that are opened.
    keep: Vec<usize>,
}

enum Op {
    Window { partition: Vec<usize>, by: Vec<SortKey>, unique: bool, functions: Vec<Function> },
    Group { keys: Vec<usize>, folds: Vec<Fold> },
    AsTheyAre { keys: Vec<usize>, folds: Vec<Fold> },
    Masks { keys: Vec<usize>, folds: Vec<Fold>, tuples: Vec<Tuple> },
    Total { folds: Vec<Fold> },
    Top { by: Vec<SortKey>, unique: bool, skip: usize },
    Lookup { on: Vec<(usize, usize)>, columns: Vec<usize>, proved: bool, sorted: bool, in_order: bool },
    Pairs { on: Vec<(usize, usize)> },
    Cross,
    Union,
}

impl Run {
    /// All columns, in any order.
    fn new(inputs: Vec<Clear>, op: Op, shape: Shape) -> Self {
        let keep = (0..shape.columns.len()).collect();
        Run { inputs, op, known: false, network: Network::LAN, shape, ordered: false, keep }
    }

    /// The rows that come out in clear.
    fn plain(&self) -> Result<Vec<Row>, Abort> {
        self.run(&mut Plain::seeded(3))
    }

    /// Holds the rows to these, in clear.
    fn expect(&self, mut expected: Vec<Row>) {
        if !self.ordered {
            expected.sort();
        }
        assert_eq!(self.plain().expect("in clear"), expected);
    }

    /// Likewise, also among three parties, at the estimated cost. Beyond 90 places rows are sorted by radix: what a samplesort costs is expected, not exact.
    fn check(mut self, expected: Vec<Row>) {
        self.expect(expected);
        if self.inputs.iter().map(|input| input.cells.len()).sum::<usize>() > 90 {
            self.network = Network { bandwidth: 1e6, round_trip: 1e-6 };
        }
        check_seeded(&self, 5);
    }

    /// The orders that the operator takes of its input.
    fn orders(&self) -> (Vec<Vec<SortKey>>, Ties) {
        match &self.op {
            Op::Window { partition, by, unique, functions } => {
                (window_orders(partition, by, functions), Function::ties(functions, *unique))
            }
            Op::Group { keys, folds } => (group_orders(keys, folds, &|_| false), Ties::Any),
            Op::AsTheyAre { keys, folds } => (group_orders(keys, folds, &|_| true), Ties::Any),
            Op::Total { folds } => (total_orders(folds), Ties::Any),
            Op::Top { by, unique, .. } => (vec![by.clone()], Ties::seen(*unique)),
            _ => (Vec::new(), Ties::Any),
        }
    }

    /// Where each place goes in an order; ties anyhow, unless they are seen.
    fn places(&self, by: &[SortKey], ties: Ties) -> Permutation {
        let cells = &self.inputs[0].cells;
        let mut words = Words(77);
        let random: Vec<u64> = cells.iter().map(|_| if ties == Ties::Random { words.next() } else { 0 }).collect();
        let mut from: Vec<usize> = (0..cells.len()).collect();
        from.sort_by(|a, b| compare(by, &cells[*a], &cells[*b]).then(random[*a].cmp(&random[*b])));
        let mut places = vec![0; from.len()];
        from.iter().zip(0..).for_each(|(row, place)| places[*row] = place);
        Permutation::new(places).expect("each place once")
    }
}

impl Protocol for Run {
    type Output = Vec<Row>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<Row>, Abort> {
        let owner = |side: usize| PartyId((side as u8 + 1) % 3);
        let mut inputs = Vec::new();
        for (side, clear) in self.inputs.iter().enumerate() {
            inputs.push(clear.share(e, owner(side).0)?);
        }
        let input = &inputs[0];
        let setting = Setting { seed: [7; 32], network: self.network };
        let (orders, ties) = self.orders();
        let at_owner = e.holds(owner(0));
        let stands = |by: &Vec<SortKey>| self.inputs[0].cells.is_sorted_by(|a, b| compare(by, a, b).is_lt());
        let orders: Vec<KnownOrder> = orders
            .iter()
            .map(|by| if stands(by) { KnownOrder::Stands } else { KnownOrder::Moves(at_owner.then(|| self.places(by, ties))) })
            .collect();
        let owner = Owner { party: owner(0), orders: &orders, dropped: input.row.is_some() };
        let how = if self.known { How::Known(owner) } else { How::Sorting(&setting) };
        let shape = &self.shape;
        let rows = match &self.op {
            Op::Window { partition, by, functions, .. } => window(e, input, &Window { partition, by, ties, functions, how }, shape)?,
            Op::Group { keys, folds } => group(e, input, (keys, folds), shape, how)?,
            Op::AsTheyAre { keys, folds } => group_as_they_are(e, input, (keys, folds), shape, owner)?,
            Op::Masks { keys, folds, tuples } => group_by_masks(e, input, (keys, folds), shape, tuples)?,
            Op::Total { folds } => total(e, input, folds, shape, how)?,
            Op::Top { by, skip, .. } => top(e, input, &Top { by, ties, skip: *skip, how }, shape)?,
            Op::Lookup { on, columns, proved, sorted, in_order } => {
                let (proved, sorted, in_order, setting) = (*proved, *sorted, *in_order, &setting);
                let what = Lookup { base: input, table: &inputs[1], on, columns, proved, sorted, in_order, setting };
                lookup(e, &what, shape, || "keys".into())?
            }
            Op::Pairs { on } => pairs(e, input, &inputs[1], on, shape.places, &setting)?,
            Op::Cross => cross(e, input, &inputs[1])?,
            Op::Union => union(e, &inputs.iter().collect::<Vec<_>>(), shape),
        };
        assert_eq!((rows.places, rows.columns.len()), (shape.places, shape.columns.len()));
        let columns = self.keep.iter().map(|c| rows.columns[*c].clone()).collect();
        open(e, &Rows { columns, ..rows }, self.ordered)
    }
}

/// What rows show once they are made ready: in their order, or sorted.
fn open<E: Engine>(e: &mut E, rows: &Rows<E>, ordered: bool) -> Result<Vec<Row>, Abort> {
    let opened = ready(e, rows, ordered)?;
    let bits = match opened.bits() {
        Some(bits) => {
            let bits = e.verify(bits)?;
            e.open::<B64>(&bits)?
        }
        None => Column::from_ints(&vec![0; rows.places], 0),
    };
    let fp61 = integers::<Fp61, E>(e, opened.elements::<Fp61>())?;
    let fp127 = integers::<Fp127, E>(e, opened.elements::<Fp127>())?;
    let mut all = Vec::new();
    for place in 0..rows.places {
        let (mut plane, mut narrow, mut wide) = (0, 0, 0);
        let mut bit = |count: usize| {
            plane += count;
            (plane - count..plane).rev().fold(0, |value, p| value << 1 | i128::from(bits.bit(place, p)))
        };
        let is_row = rows.row.is_none() || bit(1) == 1;
        let element = |of: &[i128], next: &mut usize| {
            *next += 1;
            of[(*next - 1) * rows.places + place]
        };
        let row: Row = rows
            .columns
            .iter()
            .map(|column| {
                let value = match column.shape().form {
                    Form::Planes(width) => bit(width),
                    Form::Fp61 => element(&fp61, &mut narrow),
                    Form::Fp127 => element(&fp127, &mut wide),
                };
                (!column.shape().nullable || bit(1) == 1).then_some(value)
            })
            .collect();
        if is_row {
            all.push(row);
        }
    }
    if !ordered {
        all.sort();
    }
    Ok(all)
}

/// Opened elements, plane by plane, negative ones centred.
fn integers<R: Element, E: Engine>(e: &mut E, share: Option<E::Share<R>>) -> Result<Vec<i128>, Abort> {
    let Some(share) = share else { return Ok(Vec::new()) };
    let share = e.verify(share)?;
    let largest = R::ZERO.sub(R::ONE).to_bits() as i128;
    let centred = |v: i128| if v > largest / 2 { v - largest - 1 } else { v };
    Ok(e.open::<R>(&share)?.as_slice().iter().map(|v| centred(v.to_bits() as i128)).collect())
}

/// The columns of [`table`]: a partition; an order; a number that each row has for itself; a value; elements; a condition; a function of the value, and one of the partition.
const PARTITION: usize = 0;
const ORDER: usize = 1;
const OWN: usize = 2;
const VALUE: usize = 3;
const NARROW: usize = 4;
const WIDE: usize = 5;
const WHEN: usize = 6;
const OF_VALUE: usize = 7;
const OF_PARTITION: usize = 8;

fn shape(form: Form, nullable: bool) -> ColumnShape {
    ColumnShape { form, nullable }
}

fn columns() -> Vec<ColumnShape> {
    vec![
        shape(Form::Planes(3), true),
        shape(Form::Planes(9), true),
        shape(Form::Planes(9), false),
        shape(Form::Planes(5), true),
        shape(Form::Fp61, true),
        shape(Form::Fp127, false),
        shape(Form::Planes(1), true),
        shape(Form::Fp61, false),
        shape(Form::Planes(4), false),
    ]
}

/// Orders of every kind: all equal, all distinct, sorted, reversed, few values.
const KINDS: usize = 5;

/// So many places with an order of this kind.
fn table(places: usize, kind: usize) -> Clear {
    let mut words = Words((places * KINDS + kind) as u64);
    let mut own: Vec<i128> = (0..places as i128).collect();
    (1..places).rev().for_each(|last| own.swap(last, words.below(last as u64 + 1) as usize));
    let cells = (0..places).map(|place| {
        let mut cell = |bound: u64, null: u64| -> Cell { (words.below(null) > 0).then(|| words.below(bound).into()) };
        let partition = if kind == 0 { Some(5) } else { cell(4, 6) };
        let order = match kind {
            0 => Some(400),
            1 => Some(own[place]),
            2 => Some(place as i128 / 3),
            3 => Some((places - place) as i128 / 2),
            _ => cell(5, 5),
        };
        let value = cell(if kind == 0 { 1 } else { 20 }, 5);
        let narrow = cell(1 << 30, 4).map(|v| v - (1 << 29));
        let wide = cell(1 << 50, u64::MAX).map(|v| (v << 40) - (1 << 80));
        let when = cell(2, 4);
        let of_value = value.map_or(0, |v| 3 * v - 20);
        let of_partition = partition.map_or(9, |p| (5 * p + 1) % 16);
        vec![partition, order, Some(own[place]), value, narrow, wide, when, Some(of_value), Some(of_partition)]
    });
    Clear { columns: columns(), cells: cells.collect(), row: None }
}

/// Which places hold a row: all; some; none.
fn masks(places: usize) -> [Option<Vec<bool>>; 3] {
    let mut words = Words(places as u64 ^ 99);
    [None, Some((0..places).map(|_| words.below(3) > 0).collect()), Some(vec![false; places])]
}

/// Tables of every size, kind and mask.
fn tables(sizes: &[usize]) -> impl Iterator<Item = Clear> {
    let of_size = |places: usize| (0..KINDS).flat_map(move |kind| masks(places).map(|row| Clear { row, ..table(places, kind) }));
    sizes.iter().copied().flat_map(of_size)
}

fn ascending(column: usize) -> SortKey {
    SortKey { column, descending: false, nulls_first: false }
}

fn fold(op: FoldOp) -> Fold {
    Fold { op, when: None }
}

fn filtered(op: FoldOp) -> Fold {
    Fold { op, when: Some(WHEN) }
}

/// What a fold of [`table`] yields: counts in this field.
fn folded(fold: &Fold, counts: Form) -> ColumnShape {
    let columns = columns();
    match fold.op {
        FoldOp::Rows | FoldOp::Count(_) | FoldOp::CountDistinct(_) => shape(counts, false),
        FoldOp::Sum(c) | FoldOp::SumDistinct { of: c, .. } => shape(columns[c].form, false),
        FoldOp::Same(c) => columns[c],
        FoldOp::Min(c) | FoldOp::Max(c) | FoldOp::Percentile { column: c, .. } => shape(columns[c].form, true),
    }
}

/// Percentiles of every kind of the value.
fn percentiles() -> Vec<Fold> {
    let of = [(0, 1), (1, 2), (1, 3), (9, 10), (1, 1)];
    let kinds = [(true, false, false), (false, false, false), (false, true, false), (false, true, true)];
    let all = of.iter().flat_map(|of| kinds.map(|kind| (*of, kind)));
    all.map(|(of, (lower, discrete, descending))| fold(FoldOp::Percentile { column: VALUE, of, lower, discrete, descending })).collect()
}

/// Folds of every kind.
fn folds() -> Vec<Fold> {
    let mut all = vec![
        fold(FoldOp::Rows),
        filtered(FoldOp::Rows),
        fold(FoldOp::Count(VALUE)),
        filtered(FoldOp::Count(NARROW)),
        fold(FoldOp::Sum(NARROW)),
        filtered(FoldOp::Sum(NARROW)),
        fold(FoldOp::Sum(WIDE)),
        filtered(FoldOp::Sum(WIDE)),
        fold(FoldOp::CountDistinct(VALUE)),
        filtered(FoldOp::CountDistinct(VALUE)),
        fold(FoldOp::SumDistinct { by: VALUE, of: OF_VALUE }),
        filtered(FoldOp::SumDistinct { by: VALUE, of: OF_VALUE }),
        fold(FoldOp::Min(VALUE)),
        fold(FoldOp::Max(VALUE)),
        filtered(FoldOp::Min(ORDER)),
        filtered(FoldOp::Max(ORDER)),
    ];
    all.extend(percentiles());
    all
}
