//! Groups whose keys allow few tuples: one mask for each.
//!
//! *Functionality.* That of a [group](super), with counts and sums only: a place for each tuple of keys of a public list that has all they allow, in its order, and a bit that says whether any row has it.
//! *Protocol.* For each tuple a bit a row says whether the row has it: equality with public constants, gates that tuples share. The bits are lifted; a count is their
//! local sum, a sum an inner product with the values, one element however many rows. A tuple is a row if its count is not 0. Nothing is sorted or moved.
//! *Source.* A sum of products is shared again as one element: Araki, Furukawa, Lindell, Nof, Ohara, CCS'16. A mask for each value of a small domain is folklore.
//! *Cost.* t tuples of keys of k bits in all, n rows, f conditions (a filter, a valid bit) that differ: for the masks k - 1 bits a row and tuple at most, one more for a row's bit, fewer as tuples share their
//! gates, in log2 (k + 1) rounds; t f bits a row, one round; to lift, 61 a row for each of t (1 + f) bits (127 in the wide field), 2 rounds; of each sum t elements in all, one round; and of the
//! counts 121 bits a tuple, 7 rounds. No round depends on the number of rows. *Leakage.* None: all tuples take the same gates, and places that no row has are blanked before they are opened.

use super::super::{Cells, Element, Fold, FoldOp, Form, Rows, Shape, Values};
use crate::circuit::is_zero;
use crate::graph::{self, Logic, Wire};
use crate::{Engine, Share};
use mpc_core::{Abort, Column, Fp61, Fp127};
use std::collections::{BTreeMap, HashMap};

/// A value of each key; `None` is NULL.
pub type Tuple = Vec<Option<u64>>;

/// The groups with these keys, among which are all that rows can have, in the places of `shape`; folds are counts and sums.
pub fn group_by_masks<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    (keys, folds): (&[usize], &[Fold]),
    shape: &Shape,
    tuples: &[Tuple],
) -> Result<Rows<E>, Abort> {
    let outputs = &shape.columns[keys.len()..];
    let mut logic = Logic::<E>::new(input.places);
    let masks = masks(&mut logic, input, keys, tuples);
    let bits: Vec<Vec<Wire>> = folds
        .iter()
        .map(|fold| {
            let valid = if let FoldOp::Count(c) = fold.op { input.columns[c].valid.as_ref() } else { None };
            let counted = logic.all(valid.into_iter().chain(fold.when.map(|w| input.columns[w].bits())));
            masks.iter().map(|mask| logic.graph.and(*mask, counted)).collect()
        })
        .collect();
    // all bits that are lifted, in one circuit
    let of_form = |form| (0..folds.len()).filter(|f| outputs[*f].form == form).collect::<Vec<_>>();
    let (narrow, wide) = (of_form(Form::Fp61), of_form(Form::Fp127));
    let lifted = |of: &[usize], also: &[Wire]| {
        let mut all: Vec<Wire> = of.iter().flat_map(|f| bits[*f].iter().copied()).chain(also.iter().copied()).collect();
        all.sort();
        all.dedup();
        all
    };
    let (lift61, lift127) = (lifted(&narrow, &masks), lifted(&wide, &[]));
    let planes = logic.run(engine, &[lift61.clone(), lift127.clone()].concat())?;
    let elements61 = engine.bits_to::<Fp61>(&planes.planes(0..lift61.len()))?;
    let mut done: BTreeMap<usize, Cells<E>> = BTreeMap::new();
    done.extend(sums::<Fp61, E>(engine, input, folds, &narrow, &bits, &lift61, &elements61)?);
    if !wide.is_empty() {
        let elements127 = engine.bits_to::<Fp127>(&planes.planes(lift61.len()..lift61.len() + lift127.len()))?;
        done.extend(sums::<Fp127, E>(engine, input, folds, &wide, &bits, &lift127, &elements127)?);
    }
    let counts: Vec<E::Share<Fp61>> = masks.iter().map(|m| elements61.planes([position(&lift61, *m)]).sum()).collect();
    let none = is_zero::<E, Fp61>(engine, Share::concat(&counts.iter().collect::<Vec<_>>()))?;
    let row = engine.not(&none);

    let mut columns: Vec<Cells<E>> = Vec::with_capacity(shape.columns.len());
    for (number, key) in shape.columns[..keys.len()].iter().enumerate() {
        let values: Vec<i128> = tuples.iter().map(|t| t[number].unwrap_or(0).into()).collect();
        let valid: Vec<bool> = tuples.iter().map(|t| t[number].is_some()).collect();
        columns.push(Cells {
            values: Values::Bits(engine.constant(&Column::from_ints(&values, key.form.width()))),
            valid: key.nullable.then(|| engine.constant(&Column::from_bools(&valid))),
        });
    }
    columns.extend(done.into_values());
    let rows = Rows { places: tuples.len(), row: Some(row), columns };
    let spare = shape.places - tuples.len();
    if spare == 0 {
        return Ok(rows);
    }
    Ok(rows.unpacked(rows.table().padded(engine, 0, spare)))
}

/// For each tuple whether a row has it.
fn masks<'a, E: Engine>(logic: &mut Logic<'a, E>, input: &'a Rows<E>, keys: &[usize], tuples: &[Tuple]) -> Vec<Wire> {
    let row = input.row.as_ref().map(|row| logic.wire(row, 0));
    let mut known: HashMap<(usize, Option<u64>), Wire> = HashMap::new();
    let mut masks = Vec::with_capacity(tuples.len());
    for tuple in tuples {
        let mut all: Vec<Wire> = row.into_iter().collect();
        for (number, (key, value)) in keys.iter().zip(tuple).enumerate() {
            let is = known.get(&(number, *value)).copied().unwrap_or_else(|| {
                let column = &input.columns[*key];
                let valid = column.valid.as_ref().map(|v| logic.wire(v, 0));
                let planes = logic.wires(column.bits());
                let graph = &mut logic.graph;
                let is = match (value, valid) {
                    (None, Some(valid)) => graph.not(valid),
                    (None, None) => graph.constant(false),
                    (Some(value), valid) => {
                        let value = graph::number(graph, *value, planes.len());
                        let equal = graph::equal(graph, &planes, &value);
                        valid.map_or(equal, |valid| graph.and(equal, valid))
                    }
                };
                known.insert((number, *value), is);
                is
            });
            all.push(is);
        }
        masks.push(graph::all(&mut logic.graph, all));
    }
    masks
}

/// The counts and sums of one field, a row for each tuple.
fn sums<R: Element, E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    folds: &[Fold],
    mine: &[usize],
    bits: &[Vec<Wire>],
    lifted: &[Wire],
    elements: &E::Share<R>,
) -> Result<Vec<(usize, Cells<E>)>, Abort> {
    let of = |wire: Wire| position(lifted, wire);
    let (mut masks, mut values) = (Vec::new(), Vec::new());
    for fold in mine {
        if let FoldOp::Sum(c) = folds[*fold].op {
            masks.extend(bits[*fold].iter().map(|w| of(*w)));
            values.extend(vec![input.columns[c].elements::<R>(); bits[*fold].len()]);
        }
    }
    let dots = match values.is_empty() {
        true => None,
        false => Some(engine.dot(&elements.planes(masks), &Share::stack(&values))?),
    };
    let mut next = 0;
    let mut done = Vec::with_capacity(mine.len());
    for fold in mine {
        let rows: Vec<E::Share<R>> = match (&folds[*fold].op, &dots) {
            (FoldOp::Sum(_), Some(dots)) => {
                next += bits[*fold].len();
                (next - bits[*fold].len()..next).map(|plane| dots.planes([plane])).collect()
            }
            _ => bits[*fold].iter().map(|w| elements.planes([of(*w)]).sum()).collect(),
        };
        done.push((*fold, Cells { values: R::values(Share::concat(&rows.iter().collect::<Vec<_>>())), valid: None }));
    }
    Ok(done)
}

fn position(wires: &[Wire], wire: Wire) -> usize {
    wires.binary_search(&wire).expect("every mask is lifted")
}
