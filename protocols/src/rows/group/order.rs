//! One order of the rows of a group-by, and what is summed in it.
//!
//! *Functionality.* The rows by the keys and, below them, by the values of a column, those that count first; and for each fold something that adds up to it over the rows of a group. *Protocol* and *cost*
//! are those of the [group](super).
//! *Leakage.* None: rows are sorted by protocols that show nothing, or brought into an order by an owner who knows it from its own rows ([`arrange`](super::super::arrange)); where groups begin is secret.

use super::super::combine::ones;
use super::super::digest::Digest;
use super::super::keys::{Unpack, after, before, grouping, joined, pack, planes, sorted};
use super::super::order::side_by_side;
use super::super::total::{contributions, counts};
use super::super::{Bits, Cells, ColumnShape, Element, Fold, FoldOp, How, Rows, Setting, SortKey, Values};
use super::percentile;
use crate::graph::{self, Logic, Wire};
use crate::{Engine, Share, Table, stack};
use mpc_core::{Abort, B64, Column, Fp61, Fp127};
use std::collections::{BTreeMap, BTreeSet};

/// Rows sorted by the keys, and below them by the values of a column.
pub(super) struct Order {
    /// The column, and the filter of the rows that count.
    by: Option<(usize, Option<usize>)>,
    /// The folds computed in it.
    folds: Vec<usize>,
}

/// The rows in an order.
pub(super) struct Sorted<E: Engine> {
    pub places: usize,
    /// The keys.
    pub keys: Vec<Cells<E>>,
    /// Other columns that folds read.
    pub columns: BTreeMap<usize, Cells<E>>,
    /// The value sorted by, and whether it counts (rows that count come first in their group).
    value: Option<(Bits<E>, Bits<E>)>,
    /// Rows that have the key of the row before.
    pub same: Bits<E>,
    /// Rows that are the last of their group.
    pub last: Bits<E>,
}

impl Order {
    /// The orders that these folds need, at least one; folds that need none are in the first.
    pub fn all(folds: &[Fold]) -> Vec<Order> {
        let mut orders: Vec<Order> = Vec::new();
        for (number, fold) in folds.iter().enumerate() {
            let by = match fold.op {
                FoldOp::CountDistinct(c)
                | FoldOp::SumDistinct { by: c, .. }
                | FoldOp::Min(c)
                | FoldOp::Max(c)
                | FoldOp::Percentile { column: c, .. } => (c, fold.when),
                FoldOp::Rows | FoldOp::Count(_) | FoldOp::Sum(_) | FoldOp::Same(_) => continue,
            };
            match orders.iter_mut().find(|o| o.by == Some(by)) {
                Some(order) => order.folds.push(number),
                None => orders.push(Order { by: Some(by), folds: vec![number] }),
            }
        }
        if orders.is_empty() {
            orders.push(Order { by: None, folds: Vec::new() });
        }
        orders[0].folds.extend((0..folds.len()).filter(|f| folds[*f].is_plain()));
        orders
    }

    /// What this order is by. Where nothing is sorted by below the keys, these are also the columns `at_home` of which a group has one value: an owner who brings rows of a group side
    /// by side does so for places without a row, too.
    pub fn keys(&self, keys: &[usize], folds: &[Fold], at_home: &dyn Fn(usize) -> bool) -> Vec<SortKey> {
        let mut by: Vec<SortKey> = keys.iter().map(|key| side_by_side(*key)).collect();
        match self.by {
            // rows that count come first
            Some((value, when)) => {
                by.extend(when.map(|column| SortKey { column, descending: true, nulls_first: false }));
                by.push(SortKey { column: value, descending: false, nulls_first: false });
            }
            None => by.extend(same(folds).filter(|column| at_home(*column)).map(side_by_side)),
        }
        by
    }

    /// Sorts, and brings along what folds read. `number` is that of the order among those of an owner who knows them.
    pub fn sort<E: Engine>(
        &self,
        engine: &mut E,
        input: &Rows<E>,
        keys: &[usize],
        folds: &[Fold],
        (how, number): (How<'_>, usize),
    ) -> Result<Sorted<E>, Abort> {
        let value = match self.by {
            None => None,
            Some((column, _)) => {
                let mut logic = Logic::new(input.places);
                let fold = self.folds.iter().find(|f| !folds[**f].is_plain()).expect("an order is that of a fold");
                let counted = counts(&mut logic, input, &folds[*fold]);
                Some((input.columns[column].bits().clone(), logic.run(engine, &[counted])?))
            }
        };
        let read: BTreeSet<usize> = self.folds.iter().flat_map(|f| folds[*f].reads()).collect();
        let table = || {
            let table = keys.iter().fold(Table::new(input.places), |t, k| pack(t, &input.columns[*k]));
            let table = read.iter().fold(table, |t, c| pack(t, &input.columns[*c]));
            let table = value.iter().fold(table, |t, (value, counts)| t.with::<B64>(value.clone()).with::<B64>(counts.clone()));
            input.row.iter().fold(table, |t, row| t.with::<B64>(row.clone()))
        };
        let table = match how {
            How::Known(owner) => {
                let table = table();
                let row = input.row.is_some().then(|| table.columns::<B64>().len() - 1);
                owner.arrange(engine, number, table, row)?
            }
            How::Sorting(setting) => {
                let by = self.planes(engine, input, (keys, folds), value.as_ref(), setting);
                if by.layout().planes > 0 { sorted(engine, by, setting, |_| table())?.0 } else { table() }
            }
        };
        let mut from = Unpack::new(table);
        let keys: Vec<Cells<E>> = keys.iter().map(|k| from.column(&input.columns[*k])).collect();
        let columns = read.into_iter().map(|c| (c, from.column(&input.columns[c]))).collect();
        let value = value.is_some().then(|| (from.bits(), from.bits()));
        let row = input.row.is_some().then(|| from.bits());
        let same = same_as_before(engine, input.places, &keys, row.as_ref())?;
        let row = row.unwrap_or_else(|| ones(engine, input.places));
        // a row of the same key behind it is a row, and so is this one: no AND
        let last = row.sub(&after::<B64, E>(engine, &same));
        Ok(Sorted { places: input.places, keys, columns, value, same, last })
    }

    /// The planes of what rows are sorted by on shares.
    fn planes<E: Engine>(
        &self,
        engine: &mut E,
        input: &Rows<E>,
        (keys, folds): (&[usize], &[Fold]),
        value: Option<&(Bits<E>, Bits<E>)>,
        setting: &Setting,
    ) -> Bits<E> {
        let mut by: Vec<Bits<E>> = Vec::new();
        if let Some((value, counts)) = value {
            // distinct values need no more than to be side by side
            let enough = self.folds.iter().map(|f| &folds[*f]).all(|f| f.is_plain() || f.is_distinct());
            let digest = Digest::new(&setting.seed, value.layout().planes, input.places as u64).filter(|_| enough);
            by.push(Digest::or_all(engine, input.places, digest.as_ref(), &crate::Wire::each(value)));
            by.push(engine.not(counts));
        }
        by.push(grouping(engine, input, keys, setting));
        by.extend(input.row.as_ref().map(|row| engine.not(row)));
        joined(engine, input.places, &by)
    }

    /// What is summed for each fold, row by row: over the rows of a group it adds up to the fold.
    pub fn sums<E: Engine>(
        &self,
        engine: &mut E,
        sorted: &mut Sorted<E>,
        folds: &[Fold],
        outputs: &[ColumnShape],
    ) -> Result<Vec<(usize, Cells<E>)>, Abort> {
        let mut sums = Vec::new();
        let (of_value, of_rows): (Vec<usize>, Vec<usize>) = self.folds.iter().partition(|f| !folds[**f].is_plain());
        if !of_value.is_empty() {
            sums.extend(self.of_value(engine, sorted, &of_value, folds, outputs)?);
        }
        let column = |c: usize| &sorted.columns[&c];
        sums.extend(contributions::<Fp61, E>(engine, sorted.places, &column, &of_rows, folds, outputs, None)?);
        sums.extend(contributions::<Fp127, E>(engine, sorted.places, &column, &of_rows, folds, outputs, None)?);
        Ok(sums)
    }

    fn of_value<E: Engine>(
        &self,
        engine: &mut E,
        sorted: &Sorted<E>,
        mine: &[usize],
        folds: &[Fold],
        outputs: &[ColumnShape],
    ) -> Result<Vec<(usize, Cells<E>)>, Abort> {
        let (value, counts) = sorted.value.as_ref().expect("rows in the order of a value have it");
        let value_before = before::<B64, E>(engine, value);
        let mut logic = Logic::<E>::new(sorted.places);
        let (this, last) = (logic.wires(value), logic.wires(&value_before));
        let (same, counted) = (logic.wire(&sorted.same, 0), logic.wire(counts, 0));
        // rows that count are the first of their group: the row before counts too
        let behind = logic.graph.and(same, counted);
        let equal = graph::equal(&mut logic.graph, &this, &last);
        let repeated = logic.graph.and(behind, equal);
        let smallest = logic.graph.xor(counted, behind);
        let new = logic.graph.xor(counted, repeated);
        let flags = logic.run(engine, &[behind, smallest, new])?;
        let largest = counts.sub(&after::<B64, E>(engine, &flags.planes([0])));
        let chosen = percentile::chosen(engine, sorted, counts, &largest, &mine.iter().map(|f| &folds[*f].op).collect::<Vec<_>>())?;
        let (smallest, new) = (flags.planes([1]), flags.planes([2]));

        let mut sums = of_distinct::<Fp61, E>(engine, &new, sorted, mine, folds, outputs)?;
        sums.extend(of_distinct::<Fp127, E>(engine, &new, sorted, mine, folds, outputs)?);
        // all other folds are the value of one row
        let mut chosen = chosen.into_iter();
        let one: Vec<(usize, Bits<E>)> = mine
            .iter()
            .filter(|f| !folds[**f].is_distinct())
            .map(|f| match folds[*f].op {
                FoldOp::Min(_) => (*f, smallest.clone()),
                FoldOp::Max(_) => (*f, largest.clone()),
                _ => (*f, chosen.next().expect("a flag for each percentile")),
            })
            .collect();
        let mut logic = Logic::<E>::new(sorted.places);
        let value = logic.wires(value);
        let mut wires: Vec<Wire> = Vec::new();
        for (_, flag) in &one {
            let flag = logic.wire(flag, 0);
            wires.extend(value.iter().map(|plane| logic.graph.and(*plane, flag)));
        }
        let masked = logic.run(engine, &wires)?;
        for (number, (f, flag)) in one.into_iter().enumerate() {
            let planes = number * value.len()..(number + 1) * value.len();
            let valid = outputs[f].nullable.then_some(flag);
            sums.push((f, Cells { values: Values::Bits(masked.planes(planes)), valid }));
        }
        Ok(sums)
    }
}

/// What rows with a value that none before has add to the counts and sums of distinct values of one field.
fn of_distinct<R: Element, E: Engine>(
    engine: &mut E,
    flag: &Bits<E>,
    sorted: &Sorted<E>,
    mine: &[usize],
    folds: &[Fold],
    outputs: &[ColumnShape],
) -> Result<Vec<(usize, Cells<E>)>, Abort> {
    let mine: Vec<usize> = mine.iter().copied().filter(|f| folds[*f].is_distinct() && outputs[*f].form == R::FORM).collect();
    if mine.is_empty() {
        return Ok(Vec::new());
    }
    let counts = engine.bits_to::<R>(flag)?;
    let summed = |f: &usize| if let FoldOp::SumDistinct { of, .. } = folds[*f].op { Some(&sorted.columns[&of]) } else { None };
    let values: Vec<E::Share<R>> = mine.iter().filter_map(summed).map(|c| c.elements::<R>().clone()).collect();
    let mut products = match values.is_empty() {
        true => Vec::new(),
        false => {
            let products = engine.mul(&counts.planes(vec![0; values.len()]), &stack(&values))?;
            (0..values.len()).map(|p| products.planes([p])).collect()
        }
    }
    .into_iter();
    let sum = |f: usize| match folds[f].op {
        FoldOp::SumDistinct { .. } => products.next().expect("a product for each sum"),
        _ => counts.clone(),
    };
    let sums: Vec<E::Share<R>> = mine.iter().copied().map(sum).collect();
    Ok(mine.into_iter().zip(sums).map(|(f, sum)| (f, Cells { values: R::values(sum), valid: None })).collect())
}

/// Rows that agree on the keys side by side already: rows that were dropped stand among them. The columns of which a group has one value are compared, too: where rows were joined and
/// stand by what they were joined on, those that found nothing, whose keys are NULL alike, stand among others. The places that never had a row come last, and
/// are a group of their own or rows of the last that do not count.
pub(super) fn as_they_are<E: Engine>(engine: &mut E, input: &Rows<E>, keys: &[usize], folds: &[Fold]) -> Result<Sorted<E>, Abort> {
    let of = |columns: &mut dyn Iterator<Item = usize>| columns.map(|c| (c, input.columns[c].clone())).collect::<BTreeMap<_, _>>();
    let columns = of(&mut folds.iter().flat_map(Fold::reads));
    let mut all: Vec<Cells<E>> = keys.iter().map(|k| input.columns[*k].clone()).collect();
    all.extend(same(folds).map(|c| input.columns[c].clone()));
    let same = same_as_before(engine, input.places, &all, None)?;
    let next = after::<B64, E>(engine, &same);
    let last = engine.not(&next);
    all.truncate(keys.len());
    Ok(Sorted { places: input.places, keys: all, columns, value: None, same, last })
}

/// The columns of which a group has one value.
pub(super) fn same(folds: &[Fold]) -> impl Iterator<Item = usize> {
    folds.iter().filter_map(|f| if let FoldOp::Same(c) = f.op { Some(c) } else { None })
}

/// Rows that have the key of the row before, which is a row then as this one is: rows come first. Long keys are compared by a digest, drawn now that all of them are shared.
pub(in crate::rows) fn same_as_before<E: Engine>(
    engine: &mut E,
    places: usize,
    keys: &[Cells<E>],
    row: Option<&Bits<E>>,
) -> Result<Bits<E>, Abort> {
    let key: Vec<_> = keys.iter().flat_map(planes).collect();
    let digest = Digest::drawn(engine, key.len(), places)?;
    let key = Digest::or_all(engine, places, digest.as_ref(), &key);
    let last = before::<B64, E>(engine, &key);
    let mut logic = Logic::<E>::new(places);
    let (this, last) = (logic.wires(&key), logic.wires(&last));
    let same = graph::equal(&mut logic.graph, &this, &last);
    let others: Vec<bool> = (0..places).map(|r| r > 0).collect();
    let others = logic.graph.public(Column::from_bools(&others));
    let row = row.map(|r| logic.wire(r, 0));
    let same = logic.graph.and(same, others);
    let same = row.map_or(same, |row| logic.graph.and(same, row));
    logic.run(engine, &[same])
}
