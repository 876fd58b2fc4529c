//! One row for all: sums, counts, the smallest and the largest.
//!
//! *Functionality.* One row of folds over the rows of n places that pass a fold's filter: how many rows or values, their sum, the smallest or largest value, NULL if there is none; folds over
//! an order (distinct values, percentiles) are those of a [group](mod@super::group) without keys.
//! *Protocol.* The bits that say which rows count (row, filter, valid) are ANDed in a circuit and lifted; a count is the local sum of the lifted bits, a sum
//! their inner product with the values: one element however many rows (Araki, Furukawa, Lindell, Nof, Ohara, CCS'16: a sum of products is shared again as one). The smallest value is found by a
//! tournament over pairs (does not count, value), the plane that says so above the value's: what does not count is greater than all; for the largest it is the other way round.
//! *Cost.* b of those bits: b - 1 bits a row for each fold, log2 b rounds. Of each field, for all folds together two rounds and one element a row for each different condition to lift, and
//! one round and element, in all, for each sum of some rows; counts and sums of every row cost nothing. The smallest or largest of k bits: of n - 1 comparisons and choices of k + 1 bits
//! each, 2.5 (k + 1) - 2 - log2 (k + 1) and k + 1 bits, 2 + log2 (k + 1) rounds for each of log2 n halvings, and k bits in one round for NULL. *Leakage.* None.

use super::group::{group_orders, groups};
use super::keys::{Unpack, pack};
use super::{Bits, Cells, ColumnShape, Element, Fold, FoldOp, How, Rows, Shape, SortKey, Values, combine};
use crate::graph::{Logic, Wire};
use crate::{Engine, Share, Table, circuit, stack};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout};

/// One row of `folds` over all rows of `input`, of this shape. [`FoldOp::Same`] is no fold of a total.
pub fn total<E: Engine>(engine: &mut E, input: &Rows<E>, folds: &[Fold], shape: &Shape, how: How<'_>) -> Result<Rows<E>, Abort> {
    let mut columns: Vec<Option<Cells<E>>> = folds.iter().map(|_| None).collect();
    for (fold, cells) in sums::<Fp61, E>(engine, input, folds, shape)? {
        columns[fold] = Some(cells);
    }
    for (fold, cells) in sums::<Fp127, E>(engine, input, folds, shape)? {
        columns[fold] = Some(cells);
    }
    let ordered: Vec<usize> = (0..folds.len()).filter(|f| needs_order(&folds[*f])).collect();
    if !ordered.is_empty() {
        let (of, outputs): (Vec<Fold>, Vec<ColumnShape>) = ordered.iter().map(|f| (folds[*f].clone(), shape.columns[*f])).unzip();
        for (fold, cells) in ordered.iter().zip(over_an_order(engine, input, &of, &outputs, how)?) {
            columns[*fold] = Some(cells);
        }
    }
    for (number, fold) in folds.iter().enumerate() {
        if let FoldOp::Min(column) | FoldOp::Max(column) = fold.op {
            let cells = extreme(engine, input, fold, column)?;
            columns[number] = Some(Cells { valid: cells.valid.filter(|_| shape.columns[number].nullable), ..cells });
        }
    }
    let columns = columns.into_iter().map(|c| c.expect("every fold of a total is one of these"));
    Ok(Rows { places: 1, row: None, columns: columns.collect() })
}

/// The orders of its input that a total takes, as its owner may [know](super::Owner) them.
pub fn total_orders(folds: &[Fold]) -> Vec<Vec<SortKey>> {
    let folds: Vec<Fold> = folds.iter().filter(|fold| needs_order(fold)).cloned().collect();
    if folds.is_empty() { Vec::new() } else { group_orders(&[], &folds, &|_| false) }
}

/// Whether a fold is over sorted values.
fn needs_order(fold: &Fold) -> bool {
    matches!(fold.op, FoldOp::CountDistinct(_) | FoldOp::SumDistinct { .. } | FoldOp::Percentile { .. })
}

/// Folds over sorted values: those of a group without keys, which has a row if there is any.
fn over_an_order<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    folds: &[Fold],
    outputs: &[ColumnShape],
    how: How<'_>,
) -> Result<Vec<Cells<E>>, Abort> {
    let group = groups(engine, input, &[], folds, outputs, how)?;
    if input.places == 0 {
        return Ok(group.columns.iter().map(|column| column.shape().zeros(engine, 1)).collect());
    }
    let mut first = group.columns.iter().fold(Table::new(input.places), pack).slice(0..1);
    if let Some(row) = &group.row {
        first.blank(engine, &row.slice(0..1))?;
    }
    let mut from = Unpack::new(first);
    Ok(group.columns.iter().map(|column| from.column(column)).collect())
}

/// The counts and sums whose results are of one field.
fn sums<R: Element, E: Engine>(engine: &mut E, input: &Rows<E>, folds: &[Fold], shape: &Shape) -> Result<Vec<(usize, Cells<E>)>, Abort> {
    let of_ring = |f: &usize| shape.columns[*f].form == R::FORM && !needs_order(&folds[*f]);
    let mine: Vec<usize> = (0..folds.len()).filter(of_ring).collect();
    let mut logic = Logic::new(input.places);
    let masks: Vec<Wire> = mine.iter().map(|f| counts(&mut logic, input, &folds[*f])).collect();
    let column = |c: usize| &input.columns[c];
    let terms = terms::<R, E>(engine, &mut logic, &masks, summed::<R, E>(&column, &mine, folds), |e: &mut E, x, y| e.dot(x, y))?;
    let sum = |term: Term<'_, E::Share<R>>| match (term.product, term.mask, term.values) {
        (Some(dot), ..) => dot,
        (None, Some(mask), _) => mask.sum(),
        (None, None, Some(values)) => values.sum(),
        (None, None, None) => engine.constant(&Column::splat(R::element(input.places as i128), Layout::new(1, 1))),
    };
    let sums = terms.into_iter().map(sum).map(|sum| Cells { values: R::values(sum), valid: None });
    Ok(mine.into_iter().zip(sums).collect())
}

/// For each of the folds `mine` whose result is of one field what each row adds to it; `row` says which places hold one, if they need telling. `column`
/// gives the columns they read.
pub(super) fn contributions<'c, R: Element, E: Engine + 'c>(
    engine: &mut E,
    places: usize,
    column: &impl Fn(usize) -> &'c Cells<E>,
    mine: &[usize],
    folds: &[Fold],
    outputs: &[ColumnShape],
    row: Option<&'c Bits<E>>,
) -> Result<Vec<(usize, Cells<E>)>, Abort> {
    let mine: Vec<usize> = mine.iter().copied().filter(|f| outputs[*f].form == R::FORM).collect();
    let mut logic = Logic::new(places);
    let mask = |logic: &mut Logic<'c, E>, fold: &Fold| {
        let valid = if let FoldOp::Count(c) = fold.op { column(c).valid.as_ref() } else { None };
        logic.all(row.into_iter().chain(valid).chain(fold.when.map(|w| column(w).bits())))
    };
    let masks: Vec<Wire> = mine.iter().map(|f| mask(&mut logic, &folds[*f])).collect();
    let terms = terms::<R, E>(engine, &mut logic, &masks, summed::<R, E>(column, &mine, folds), |e: &mut E, x, y| e.mul(x, y))?;
    let share = |term: Term<'_, E::Share<R>>| match (term.product.or(term.mask), term.values) {
        (Some(share), _) => share,
        (None, Some(values)) => values.clone(),
        (None, None) => engine.constant(&Column::splat(R::ONE, Layout::new(places, 1))),
    };
    let shares = terms.into_iter().map(share).map(|share| Cells { values: R::values(share), valid: None });
    Ok(mine.into_iter().zip(shares).collect())
}

/// What folds sum; counts sum nothing.
fn summed<'c, R: Element, E: Engine + 'c>(
    column: &impl Fn(usize) -> &'c Cells<E>,
    mine: &[usize],
    folds: &[Fold],
) -> Vec<Option<&'c E::Share<R>>> {
    let of = |f: &usize| if let FoldOp::Sum(c) = folds[*f].op { Some(column(c).elements::<R>()) } else { None };
    mine.iter().map(of).collect()
}

/// What a fold adds up.
struct Term<'v, S> {
    /// What it sums times what it counts, where it does both.
    product: Option<S>,
    /// Else which rows it counts; all, if there is none.
    mask: Option<S>,
    values: Option<&'v S>,
}

/// What folds add up whose rows are counted by these wires: each different one is lifted once, and all products are of one round.
fn terms<'v, R: Element, E: Engine>(
    engine: &mut E,
    logic: &mut Logic<'_, E>,
    masks: &[Wire],
    values: Vec<Option<&'v E::Share<R>>>,
    multiply: impl FnOnce(&mut E, &E::Share<R>, &E::Share<R>) -> Result<E::Share<R>, Abort>,
) -> Result<Vec<Term<'v, E::Share<R>>>, Abort> {
    let always = logic.graph.constant(true);
    let mut lifted: Vec<Wire> = masks.iter().copied().filter(|mask| *mask != always).collect();
    lifted.sort();
    lifted.dedup();
    let elements = if lifted.is_empty() {
        None
    } else {
        let bits = logic.run(engine, &lifted)?;
        Some(engine.bits_to::<R>(&bits)?)
    };
    let plane = |wire: &Wire| lifted.binary_search(wire).ok();
    let mut terms: Vec<_> = values.into_iter().map(|values| Term { product: None, mask: None, values }).collect();
    let (both, alone): (Vec<usize>, Vec<usize>) =
        (0..terms.len()).filter(|at| plane(&masks[*at]).is_some()).partition(|at| terms[*at].values.is_some());
    let Some(elements) = elements else { return Ok(terms) };
    let planes = |of: &[usize]| elements.planes(of.iter().filter_map(|at| plane(&masks[*at])));
    for at in alone {
        terms[at].mask = Some(planes(&[at]));
    }
    if !both.is_empty() {
        let x = planes(&both);
        drop(elements);
        let y: Vec<&E::Share<R>> = both.iter().filter_map(|at| terms[*at].values).collect();
        let products = multiply(engine, &x, &Share::stack(&y))?;
        both.into_iter().enumerate().for_each(|(plane, at)| terms[at].product = Some(products.planes([plane])));
    }
    Ok(terms)
}

/// Which rows a fold counts. A sum need not ask for NULLs, which are 0.
pub(super) fn counts<'a, E: Engine>(logic: &mut Logic<'a, E>, input: &'a Rows<E>, fold: &Fold) -> Wire {
    let valid = match fold.op {
        FoldOp::Rows | FoldOp::Sum(_) | FoldOp::Same(_) => None,
        FoldOp::Count(c)
        | FoldOp::CountDistinct(c)
        | FoldOp::SumDistinct { by: c, .. }
        | FoldOp::Min(c)
        | FoldOp::Max(c)
        | FoldOp::Percentile { column: c, .. } => input.columns[c].valid.as_ref(),
    };
    // a condition that is NULL has the bit 0
    let when = fold.when.map(|w| input.columns[w].bits());
    logic.all(input.row.iter().chain(valid).chain(when))
}

/// The smallest or largest value of the rows that count, NULL if there is none.
fn extreme<E: Engine>(engine: &mut E, input: &Rows<E>, fold: &Fold, column: usize) -> Result<Cells<E>, Abort> {
    let smallest = matches!(fold.op, FoldOp::Min(_));
    let mut logic = Logic::new(input.places);
    let counted = counts(&mut logic, input, fold);
    let counted = if smallest { logic.graph.not(counted) } else { counted };
    let top = logic.run(engine, &[counted])?;
    let values = input.columns[column].bits();
    let width = values.layout().planes;
    // the top plane says for the smallest that a row does not count, for the largest that it does
    let mut rows: Bits<E> = stack(&[values.clone(), top]);
    if input.places == 0 {
        let nothing = engine.constant(&Column::zeros(Layout::new(1, width + 1)));
        rows = if smallest { engine.not(&nothing) } else { nothing };
    }
    while rows.layout().rows > 1 {
        let count = rows.layout().rows;
        let (a, b) = (rows.slice(0..count / 2), rows.slice(count / 2..count / 2 * 2));
        let best = if smallest { circuit::minimum(engine, &a, &b)? } else { circuit::maximum(engine, &a, &b)? };
        rows = if count % 2 == 0 { best } else { combine::concat::<B64, _>(&[&best, &rows.slice(count - 1..count)]) };
    }
    let top = rows.planes([width]);
    let valid = if smallest { engine.not(&top) } else { top };
    let values = rows.planes(0..width);
    // NULL is 0
    let values = if width == 0 { values } else { engine.mul(&values, &valid.planes(std::iter::repeat_n(0, width)))? };
    Ok(Cells { values: Values::Bits(values), valid: Some(valid) })
}
