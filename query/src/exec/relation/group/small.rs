//! The ways to group rows; and groups whose keys allow few tuples: one mask for each.
//!
//! *Functionality.* That of a [group](super), with counts and sums only: a place for each tuple of keys that their forms allow, in a public order, 64 at most, and a bit that says whether any row has it.
//! *Protocol.* For each tuple a bit a row says whether the row has it: equality with public constants, gates that tuples share. The bits are lifted; a count is their
//! local sum, a sum an inner product with the values, one element however many rows. A tuple is a row if its count is not 0. Nothing is sorted or moved.
//! *Source.* A sum of products is shared again as one element: Araki, Furukawa, Lindell, Nof, Ohara, CCS'16. A mask for each value of a small domain is folklore.
//! *Cost.* t tuples of keys of k bits in all, n rows, f conditions (a filter, a valid bit) that differ: for the masks k - 1 bits a row and tuple at most, one more for a row's bit, fewer as tuples share their
//! gates, in log2 (k + 1) rounds; t f bits a row, one round; to lift, 61 a row for each of t (1 + f) bits (127 in the wide field), 2 rounds; of each sum t elements in all, one round; and of the
//! counts 121 bits a tuple, 7 rounds. No round depends on the number of rows. *Leakage.* None: all tuples take the same gates, and places that no row has are blanked before they are opened.

use super::super::arrange::{How, Known, Owner};
use super::super::choose::{self, Setting};
use super::*;
use crate::local::Inputs;
use crate::network::Network;
use crate::plan::relation::{Relation, RowForm};
use mpc_core::{Column, PartyId};
use protocols::Estimate;
use protocols::circuit::is_zero;
use protocols::graph::Wire;
use std::collections::HashMap;

/// Most tuples for which masks are considered.
const TUPLES: usize = 64;

/// How a way is gone.
type Run<'r> = &'r mut dyn FnMut(&mut Estimate) -> Result<Rows<Estimate>, Abort>;

/// A value of each key; `None` is NULL.
pub(in crate::exec::relation) type Tuple = Vec<Option<u64>>;

/// How the groups of a relation are found.
pub(in crate::exec::relation) struct Way {
    find: Find,
    /// This one and its alternatives, the quickest first.
    pub ways: Vec<choose::Way>,
}

/// The ways.
enum Find {
    /// The rows are sorted.
    Sorting,
    /// Their owner knows the orders.
    Known,
    /// Their owner knows the order, and nothing is done to rows that were dropped.
    AsTheyAre,
    /// Each of these tuples has a mask.
    Masks(Vec<Tuple>),
}

impl Way {
    /// The quickest way to group `input` over this network, by the cost of each. `known`: the orders, if the rows' owner knows them, and whether rows that were dropped may
    /// stay among the others.
    pub fn choose(
        input: &Relation,
        keys: &[usize],
        folds: &[Fold],
        relation: &Relation,
        known: Option<(&Known<'_>, bool)>,
        network: Network,
    ) -> Result<Self, Abort> {
        let outputs = &relation.columns[keys.len()..];
        let shape = Rows::<Estimate>::shape(input, input.places as usize);
        let setting = Setting::to_price(network);
        let price = |words, run: Run<'_>| choose::Way::price(words, network, run);
        let sorting = price("by sorting".into(), &mut |e| group(e, &shape, keys, folds, outputs, How::Sorting(&setting)))?;
        let mut ways = vec![(Find::Sorting, sorting)];
        if let Some((known, as_they_are)) = known {
            let inputs = Inputs::default();
            let owner = Owner::new(known, PartyId(0), &inputs);
            let way = match as_they_are {
                true => price(known.words(), &mut |e| group_as_they_are(e, &shape, (keys, folds), relation, owner))?,
                false => price(known.words(), &mut |e| group(e, &shape, keys, folds, outputs, How::Known(owner)))?,
            };
            ways.push((if as_they_are { Find::AsTheyAre } else { Find::Known }, way));
        }
        if let Ok(few) = few(input, keys, folds, relation) {
            let way = price(format!("by {} masks", few.len()), &mut |e| masked(e, &shape, keys, folds, relation, &few))?;
            ways.push((Find::Masks(few), way));
        }
        ways.sort_by(|(_, a), (_, b)| a.seconds.total_cmp(&b.seconds));
        let (mut finds, ways): (Vec<Find>, Vec<choose::Way>) = ways.into_iter().unzip();
        Ok(Way { find: finds.swap_remove(0), ways })
    }

    /// Which it is, for people.
    pub fn words(&self) -> &str {
        &self.ways[0].words
    }

    /// Whether the rows are sorted on shares.
    pub fn is_by_sorting(&self) -> bool {
        matches!(self.find, Find::Sorting)
    }

    /// The algorithm, for people.
    pub fn how(&self) -> &'static str {
        match self.find {
            Find::Sorting => "sorted by the keys; what is summed over all rows is subtracted at the last row of each group",
            Find::AsTheyAre | Find::Known => {
                "in an order that their owner knows; what is summed over all rows is subtracted at the last row of each group"
            }
            Find::Masks(_) => "a bit a row for each tuple of keys, and inner products with it",
        }
    }

    /// Groups, in the places of `relation`. `owner` is he who knows the orders, if one does.
    pub fn run<E: Engine>(
        &self,
        engine: &mut E,
        input: &Rows<E>,
        (keys, folds): (&[usize], &[Fold]),
        relation: &Relation,
        owner: Option<Owner<'_>>,
        setting: &Setting,
    ) -> Result<Rows<E>, Abort> {
        let how = match (&self.find, owner) {
            (Find::Masks(tuples), _) => return masked(engine, input, keys, folds, relation, tuples),
            (Find::AsTheyAre, Some(owner)) => return group_as_they_are(engine, input, (keys, folds), relation, owner),
            (Find::Known, Some(owner)) => How::Known(owner),
            _ => How::Sorting(setting),
        };
        let grouped = group(engine, input, keys, folds, &relation.columns[keys.len()..], how)?;
        Ok(grouped.unpacked(grouped.table().slice(0..relation.places as usize)))
    }
}

/// The tuples of which each may have a mask, or why they may not.
pub(in crate::exec::relation) fn few(
    input: &Relation,
    keys: &[usize],
    folds: &[Fold],
    relation: &Relation,
) -> Result<Vec<Tuple>, &'static str> {
    if folds.iter().any(needs_order) {
        return Err("a fold is over rows side by side");
    }
    let all = tuples(input, keys).ok_or("the keys allow more than 64 tuples")?;
    if all.len() as u64 <= relation.places { Ok(all) } else { Err("there are more tuples than rows") }
}

/// All tuples that the forms of the keys allow, if they are few.
fn tuples(input: &Relation, keys: &[usize]) -> Option<Vec<Tuple>> {
    let mut all: Vec<Tuple> = vec![Vec::new()];
    for key in keys {
        let column = &input.columns[*key];
        let values = match &column.form {
            RowForm::Code { values, .. } => values.len() as u64,
            form if form.width() <= 6 => 1 << form.width(),
            _ => return None,
        };
        let values: Vec<Option<u64>> = (0..values).map(Some).chain(column.nullable.then_some(None)).collect();
        if all.len() * values.len() > TUPLES {
            return None;
        }
        all = all.iter().flat_map(|t| values.iter().map(|v| t.iter().copied().chain([*v]).collect())).collect();
    }
    Some(all)
}

fn masked<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    keys: &[usize],
    folds: &[Fold],
    relation: &Relation,
    tuples: &[Tuple],
) -> Result<Rows<E>, Abort> {
    let outputs = &relation.columns[keys.len()..];
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
    let of_ring = |ring| (0..folds.len()).filter(|f| outputs[*f].form.ring() == Some(ring)).collect::<Vec<_>>();
    let (narrow, wide) = (of_ring(crate::plan::Ring::Fp61), of_ring(crate::plan::Ring::Fp127));
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

    let mut columns: Vec<Cells<E>> = Vec::with_capacity(relation.columns.len());
    for (number, key) in relation.columns[..keys.len()].iter().enumerate() {
        let values: Vec<i128> = tuples.iter().map(|t| t[number].unwrap_or(0).into()).collect();
        let valid: Vec<bool> = tuples.iter().map(|t| t[number].is_some()).collect();
        columns.push(Cells {
            values: Values::Bits(engine.constant(&Column::from_ints(&values, key.form.width()))),
            valid: key.nullable.then(|| engine.constant(&Column::from_bools(&valid))),
        });
    }
    columns.extend(done.into_values());
    let rows = Rows { places: tuples.len(), row: Some(row), columns };
    let spare = relation.places as usize - tuples.len();
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
