//! For each row of one side the row of another with equal keys, unique there. (Where both owners know their keys, [`find`](crate::relational::find) sorts
//! nothing.)
//!
//! *Functionality.* Each place of base keeps what it has, and gets columns of the row of the table that is equal in all keys, none of them NULL, and a bit that says whether there is such a row:
//! where there is none, nullable columns are NULL, others anything. Two rows of the table with equal keys end the session, unless it is proved that there are none.
//! *Protocol.* The keys of both are sorted together, stably, each table row before the base rows of its key. Table rows carry the differences of what is looked up
//! to the table row before, base rows zeros: sums from the first row down give every row what the last table row before it has, its key among it; equal keys match.
//! Then the permutation is *undone*: what was found goes back to the base's rows, which never
//! moved, nor did their other columns. Differences need the table rows' order: at home its owner sorts them in clear; else they are compacted out of the
//! sorted rows, subtracted there and put back. Where a group-by of the keys comes next, nothing goes back: base's rows move along, NULLs of a key side by side, and are compacted to the front in the
//! order of the keys, which saves sorting them again ([`group_as_they_are`](super::group_as_they_are)). The same equality says of a table row whether it has the key of the table row before: whether any valid one has is opened, unless it is proved that
//! none has.
//! Keys of 80 + 2 log2 N bits or more are moved and compared as a digest of k = 40 + log2 N bits, drawn once they are shared ([`Digest`]).
//! *Source.* Compare Asharov, Hamada, Kikuchi, Nof, Pinkas, Tomida, CCS'23, and [`join`](crate::relational::join), whose rows come out in the order of the keys; the sort is that of Asharov, Hamada,
//! Ikarashi, Kikuchi, Nof, Pinkas, Takahashi, Tomida, CCS'22, section 4.
//! *Cost.* N places of both sides, of which n are base's, w = log2 N bits of an index; keys of k bits, or their digest, d = 1 if a row of the table may be none or have NULL in a key; L bits that are looked up,
//! elements counting 61 or 127. Bits a place of both sides, unless said otherwise, and rounds:
//!
//! | | bits | rounds |
//! |---|---|---|
//! | to draw the digest | 256 bits that are opened, in all | 1 |
//! | a sort by k + d bits, or as many as its own digest has, as [windows](mod@super::window) have it, that moves | L + 2 (k + 1), of a table in order at home, else L + k + 2 | those of the sort |
//! | the table's rows to the front and back, if it is in no order | 8w/3 + (4/3)(w + L + k + 1), and (4/3)(L + k + 1) | 5 and 2 |
//! | equal keys | k - 1 + 1 | log2 k + 1 |
//! | whether a key is there twice, unless it is proved that none is | 1, some 1 more in all halvings, and a bit that is opened | 1 + log2 N + 1 |
//! | what was found, back | (4/3)(L + 1) | 2 |
//! | instead, if base's rows, of B bits, stay in order: they move with the sort, which is by a bit more for each key that may be NULL; to the front | B + 1; 8w/3 + (4/3)(w + B + L + 1) | those of the sort; 5 |
//! | NULL in keys of base, and in what is nullable of what was found | 1 for each, and L, each of base; of an element 61 + 61 to lift and multiply | 1, 1, and 3 a field |
//!
//! `query/tests/sql/relation/costs/lookups.rs` holds it to that. *Leakage.* None but, where it is not proved, whether the table has a key twice; that ends the session. The coin of a digest is uniform.

use super::combine::ones;
use super::digest::Digest;
use super::keys::{Unpack, before, pack, refuse_any, sorted, zeros};
use super::{Bits, Cells, ColumnShape, Element, Rows, Setting, Shape, Values};
use crate::graph::{self, Logic};
use crate::relational::{Compacted, compact, undo};
use crate::{Engine, Share, Table, Wire, circuit};
use mpc_core::{Abort, B64, Fp61, Fp127};

/// What is looked up where.
pub struct Lookup<'a, E: Engine> {
    /// Whose rows and order stay.
    pub base: &'a Rows<E>,
    /// Where is looked.
    pub table: &'a Rows<E>,
    /// Pairs of columns (of base, of table), of equal forms.
    pub on: &'a [(usize, usize)],
    /// Columns of `table` that are looked up.
    pub columns: &'a [usize],
    /// Whether the table's keys are known to be unique.
    pub proved: bool,
    /// Whether the table's places are in the order of the keys, or of their digest among [so many](Self::keys), those without a row, or with NULL in a key, last.
    pub sorted: bool,
    /// Whether base's rows come out in the order of the keys, those that agree on all of them side by side, NULL a value like others. It takes a table with places.
    pub in_order: bool,
    /// How to sort.
    pub setting: &'a Setting,
}

impl<E: Engine> Lookup<'_, E> {
    /// How many keys a digest must tell apart: those of the table; and those of base, if its rows come out in the order.
    pub fn keys(base: u64, table: u64, in_order: bool) -> u64 {
        table.saturating_add(if in_order { base } else { 0 })
    }
}

/// The columns of base, those looked up, and whether there is such a row, of this shape. `words` names the keys if they are not unique.
pub fn lookup<E: Engine>(engine: &mut E, what: &Lookup<'_, E>, shape: &Shape, words: impl FnOnce() -> String) -> Result<Rows<E>, Abort> {
    let Found { columns, matched, base: in_order } = find(engine, what, words)?;
    let base = in_order.as_ref().unwrap_or(what.base);
    // a NULL key of base equals nothing
    let mut logic = Logic::<E>::new(base.places);
    let valid: Vec<&Bits<E>> = what.on.iter().filter_map(|(b, _)| base.columns[*b].valid.as_ref()).collect();
    let all = logic.all(std::iter::once(&matched).chain(valid));
    let matched = logic.run(engine, &[all])?;
    let outputs = &shape.columns[base.columns.len()..];
    let found = nulls(engine, columns, &outputs[..what.columns.len()], &matched)?;
    let bit = Cells { values: Values::Bits(matched), valid: None };
    let (row, mut columns) = match in_order {
        Some(rows) => (rows.row, rows.columns),
        None => (base.row.clone(), base.columns.clone()),
    };
    columns.extend(found.into_iter().chain(std::iter::once(bit)));
    Ok(Rows { places: what.base.places, row, columns })
}

/// What is found for each place of base, whether its key is a table row's, and base's rows in the order of the keys, if they come out so.
struct Found<E: Engine> {
    columns: Vec<Cells<E>>,
    matched: Bits<E>,
    base: Option<Rows<E>>,
}

fn find<E: Engine>(engine: &mut E, what: &Lookup<'_, E>, words: impl FnOnce() -> String) -> Result<Found<E>, Abort> {
    let (base, table) = (what.base, what.table);
    let looked_up: Vec<&Cells<E>> = what.columns.iter().map(|c| &table.columns[*c]).collect();
    if base.places == 0 || table.places == 0 {
        let columns = looked_up.iter().map(|c| c.shape().zeros(engine, base.places)).collect();
        return Ok(Found { columns, matched: zeros(engine, base.places, 1), base: None });
    }
    let live = live(engine, what)?;
    let by = sorted_by(engine, what, live.as_ref());
    let keys = what.wires();
    let digest = Digest::drawn(engine, keys.base.len(), table.places + base.places)?;
    let table_key = Digest::or_all(engine, table.places, digest.as_ref(), &keys.table);
    let base_key = Digest::or_all(engine, base.places, digest.as_ref(), &keys.base);
    let live = live.unwrap_or_else(|| ones(engine, table.places));
    let none = zeros::<B64, E>(engine, base.places, 1);
    let mut flags = vec![Share::concat(&[&table_key, &base_key]), Share::concat(&[&live, &none])];
    drop(base_key);
    if what.in_order || !what.sorted {
        flags.push(Share::concat(&[&ones(engine, table.places), &none]));
    }

    let payload = || looked_up.iter().fold(Table::new(table.places), |t, c| pack(t, c));
    let along = |e: &mut E, all: Table<E>| if what.in_order { base.table().padded(e, table.places, 0).beside(all) } else { all };
    let stays = |all: &mut Table<E>| what.in_order.then(|| base.take_from(all));
    let (rows, mut payload, flags, applied) = if what.sorted {
        let all = |e: &mut E| {
            let all = payload().with::<B64>(table_key).with::<B64>(live).differences().padded(e, 0, base.places);
            along(e, all)
        };
        let ((mut all, applied), flags) = moved(engine, by, what.setting, all, flags)?;
        (stays(&mut all), all.prefix_sums(), flags, applied)
    } else {
        drop((table_key, live));
        let all = |e: &mut E| {
            let all = payload().padded(e, 0, base.places);
            along(e, all)
        };
        let ((mut all, applied), flags) = moved(engine, by, what.setting, all, flags)?;
        let rows = stays(&mut all);
        // the table's rows to the front, in their new order; how many is public
        let all = all.with::<B64>(flags[0].clone()).with::<B64>(flags[1].clone());
        let Compacted { table: front, applied: to_front, .. } = compact(engine, &flags[2], all, false)?;
        let of_table = front.slice(0..table.places);
        drop(front);
        let differences = of_table.differences().padded(engine, 0, base.places);
        (rows, undo(engine, &to_front, differences)?.prefix_sums(), flags, applied)
    };
    let matched = matched(engine, what, &flags, &mut payload, words)?;
    let payload = payload.with::<B64>(matched);
    let Some(rows) = rows else {
        let back = undo(engine, &applied, payload)?.slice(table.places..table.places + base.places);
        let (columns, matched) = taken(&mut Unpack::new(back), &looked_up);
        return Ok(Found { columns, matched, base: None });
    };
    let of_base = engine.not(&flags[2]);
    drop((flags, applied));
    let front = compact(engine, &of_base, rows.beside(payload), false)?.table.slice(0..base.places);
    let mut from = Unpack::new(front);
    let row = base.row.is_some().then(|| from.bits());
    let in_order = base.columns.iter().map(|column| from.column(column)).collect();
    let (columns, matched) = taken(&mut from, &looked_up);
    Ok(Found { columns, matched, base: Some(Rows { places: base.places, row, columns: in_order }) })
}

/// The planes of both sides' keys, the first pair the most significant.
struct Keys<'a, E: Engine> {
    base: Vec<Wire<'a, Bits<E>>>,
    table: Vec<Wire<'a, Bits<E>>>,
}

impl<'a, E: Engine> Lookup<'a, E> {
    fn wires(&self) -> Keys<'a, E> {
        let planes = |cells: &'a Cells<E>| Wire::each(cells.bits());
        let base = self.on.iter().rev().flat_map(|(b, _)| planes(&self.base.columns[*b])).collect();
        let table = self.on.iter().rev().flat_map(|(_, t)| planes(&self.table.columns[*t])).collect();
        Keys { base, table }
    }
}

/// What the rows of both sides are sorted by: the keys or a digest of them; above it rows of base with NULL in a key, if they come out in order, and last rows of the table that cannot be found.
fn sorted_by<E: Engine>(engine: &mut E, what: &Lookup<'_, E>, live: Option<&Bits<E>>) -> Bits<E> {
    let (base, places, keys) = (what.base, what.table.places, what.wires());
    let count = Lookup::<E>::keys(base.places as u64, places as u64, what.in_order);
    let digest = Digest::new(&what.setting.seed, keys.base.len(), count);
    let sides = [(places, &keys.table), (base.places, &keys.base)].map(|(rows, keys)| Digest::or_all(engine, rows, digest.as_ref(), keys));
    let mut by = vec![Share::concat(&[&sides[0], &sides[1]])];
    drop(sides);
    for valid in what.on.iter().filter_map(|(b, _)| base.columns[*b].valid.as_ref()).filter(|_| what.in_order) {
        let (none, null) = (zeros::<B64, E>(engine, places, 1), engine.not(valid));
        by.push(Share::concat(&[&none, &null]));
    }
    if let Some(live) = live {
        let (dead, none) = (engine.not(live), zeros::<B64, E>(engine, base.places, 1));
        by.push(Share::concat(&[&dead, &none]));
    }
    crate::stack::<B64, _>(&by)
}

/// Whether the row in each place has the key of the last row of the table before it, which leaves the `payload` with whether it can be found; of rows in the order of the keys, whose own are in `flags`, and
/// whether they are such rows of the table.
fn matched<E: Engine>(
    engine: &mut E,
    what: &Lookup<'_, E>,
    flags: &[Bits<E>],
    payload: &mut Table<E>,
    words: impl FnOnce() -> String,
) -> Result<Bits<E>, Abort> {
    let live_before = before::<B64, E>(engine, &payload.take_last());
    let key_before = before::<B64, E>(engine, &payload.take_last());
    let mut logic = Logic::<E>::new(payload.rows());
    let (this, last) = (logic.wires(&flags[0]), logic.wires(&key_before));
    let same = graph::equal(&mut logic.graph, &this, &last);
    let valid = logic.wire(&live_before, 0);
    let same = logic.graph.and(same, valid);
    if what.proved {
        return logic.run(engine, &[same]);
    }
    let live = logic.wire(&flags[1], 0);
    let twice = logic.graph.and(same, live);
    let both = logic.run(engine, &[same, twice])?;
    refuse_any(engine, &both.planes([1]), || not_unique(&words()))?;
    Ok(both.planes([0]))
}

/// What was found, and whether it was, out of a table.
fn taken<E: Engine>(from: &mut Unpack<E>, looked_up: &[&Cells<E>]) -> (Vec<Cells<E>>, Bits<E>) {
    let found = looked_up.iter().map(|column| from.column(column)).collect();
    (found, from.bits())
}

/// Why the session ends if keys are not unique: only that is known, not which.
pub fn not_unique(words: &str) -> String {
    format!("two rows have the same {words}, which was declared, or taken, to be unique")
}

type Moved<E> = (crate::relational::Moved<E>, Vec<Bits<E>>);

/// A table and single columns in the order of a key.
fn moved<E: Engine>(
    engine: &mut E,
    by: Bits<E>,
    setting: &Setting,
    table: impl FnOnce(&mut E) -> Table<E>,
    with: Vec<Bits<E>>,
) -> Result<Moved<E>, Abort> {
    let count = with.len();
    let all = |engine: &mut E| with.into_iter().fold(table(engine), |table, column| table.with::<B64>(column));
    let (mut all, applied) = sorted(engine, by, setting, all)?;
    let mut flags: Vec<Bits<E>> = (0..count).map(|_| all.take_last::<B64>()).collect();
    flags.reverse();
    Ok(((all, applied), flags))
}

/// Which places of the table can be found: a row, no key of which is NULL. `None`: all.
fn live<E: Engine>(engine: &mut E, what: &Lookup<'_, E>) -> Result<Option<Bits<E>>, Abort> {
    let valid: Vec<&Bits<E>> = what.on.iter().filter_map(|(_, t)| what.table.columns[*t].valid.as_ref()).collect();
    if what.table.row.is_none() && valid.is_empty() {
        return Ok(None);
    }
    let mut logic = Logic::<E>::new(what.table.places);
    let all = logic.all(what.table.row.iter().chain(valid));
    logic.run(engine, &[all]).map(Some)
}

/// Columns in which NULL stands where nothing was found, as far as they are nullable.
fn nulls<E: Engine>(engine: &mut E, found: Vec<Cells<E>>, outputs: &[ColumnShape], matched: &Bits<E>) -> Result<Vec<Cells<E>>, Abort> {
    let mut columns = Vec::with_capacity(found.len());
    let mut logic = Logic::<E>::new(matched.layout().rows);
    let mut wires = Vec::new();
    let there = logic.wire(matched, 0);
    for (column, _) in found.iter().zip(outputs).filter(|(_, output)| output.nullable) {
        let value = if let Values::Bits(bits) = &column.values { Some(bits) } else { None };
        for share in value.into_iter().chain(&column.valid) {
            for wire in logic.wires(share) {
                wires.push(logic.graph.and(wire, there));
            }
        }
    }
    let planes = logic.run(engine, &wires)?;
    let (fp61, fp127) = (blanked::<Fp61, E>(engine, &found, outputs, matched)?, blanked::<Fp127, E>(engine, &found, outputs, matched)?);
    let (mut fp61, mut fp127, mut next) = (fp61.into_iter(), fp127.into_iter(), 0);
    for (column, output) in found.iter().zip(outputs) {
        if !output.nullable {
            columns.push(Cells { values: column.values.clone(), valid: None });
            continue;
        }
        let mut take = |count: usize| {
            next += count;
            planes.planes(next - count..next)
        };
        let many = "an element for each nullable column of elements";
        let values = match &column.values {
            Values::Bits(bits) => Values::Bits(take(bits.layout().planes)),
            Values::Fp61(_) => Values::Fp61(fp61.next().expect(many)),
            Values::Fp127(_) => Values::Fp127(fp127.next().expect(many)),
        };
        let valid = if column.valid.is_some() { take(1) } else { matched.clone() };
        columns.push(Cells { values, valid: Some(valid) });
    }
    Ok(columns)
}

/// The nullable columns of one field, 0 where nothing was found.
fn blanked<R: Element, E: Engine>(
    engine: &mut E,
    found: &[Cells<E>],
    outputs: &[ColumnShape],
    matched: &Bits<E>,
) -> Result<Vec<E::Share<R>>, Abort> {
    let nullable = found.iter().zip(outputs).filter(|(_, output)| output.nullable);
    let values: Vec<&E::Share<R>> = nullable.filter_map(|(column, _)| R::of_values(&column.values)).collect();
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let all = circuit::bit_times::<E, R>(engine, matched, &Share::stack(&values))?;
    Ok((0..values.len()).map(|plane| all.planes([plane])).collect())
}
