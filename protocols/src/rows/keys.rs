//! What joins, groups and sorts share: keys as planes, neighbours, tables of columns.
//!
//! *Cost.* That of a sort by the planes of the key ([`cost::sort`](crate::cost::sort)) in the way that the network makes quickest; of [`refuse_any`] n - 1 bits in all in ceil(log2 n) rounds, and one to open it.
//! Nothing else here sends.
//! *Leakage.* None, but of [`refuse_any`]: it opens, verified, one bit for all rows, whether one of them breaks what its operator relies on; if so the session ends.

use super::digest::Digest;
use super::{Bits, Cells, Rows, Setting, SortKey, Ties, Values};
use crate::relational::{Moved, Sorting, any_row, apply, sort, sort_places};
use crate::{Engine, Share, Table, Wire};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout, Ring};

/// Samplesort moves so many rows with their keys, which saves five rounds. Of more, memory counts, and they are few of its rounds.
const TOGETHER: usize = 1 << 12;

/// A column's planes in the order of its values, least significant first, NULL a value of its own.
pub(super) fn planes<E: Engine>(column: &Cells<E>) -> impl Iterator<Item = Wire<'_, Bits<E>>> {
    std::iter::once(column.bits()).chain(&column.valid).flat_map(Wire::each)
}

/// What rows are sorted by to bring equal keys together: the planes of the columns, NULL a value of its own; a digest of them if they are many.
pub(super) fn grouping<E: Engine>(engine: &mut E, rows: &Rows<E>, keys: &[usize], setting: &Setting) -> Bits<E> {
    let key: Vec<Wire<'_, Bits<E>>> = keys.iter().rev().flat_map(|k| planes(&rows.columns[*k])).collect();
    let digest = Digest::new(&setting.seed, key.len(), rows.places as u64);
    Digest::or_all(engine, rows.places, digest.as_ref(), &key)
}

/// The planes of a sort key, least significant first.
pub(super) fn sort_planes<E: Engine>(engine: &mut E, column: &Cells<E>, key: &SortKey) -> Vec<Bits<E>> {
    let value = column.bits();
    let value = if key.descending { engine.not(value) } else { value.clone() };
    // NULL is 0 in the valid bit
    let null = column.valid.as_ref().map(|valid| if key.nulls_first { valid.clone() } else { engine.not(valid) });
    std::iter::once(value).chain(null).collect()
}

/// The rows of a table in the stable order of a key, by the quickest way, and what undoes it.
pub(super) fn sorted<E: Engine>(
    engine: &mut E,
    key: Bits<E>,
    setting: &Setting,
    table: impl FnOnce(&mut E) -> Table<E>,
) -> Result<Moved<E>, Abort> {
    let Layout { rows, planes, .. } = key.layout();
    let by = setting.sorting(rows, planes);
    if by == Sorting::Samplesort && rows <= TOGETHER {
        let table = table(engine);
        return sort(engine, key, table, by);
    }
    // rows are no sooner copied than they move
    let places = sort_places(engine, key, by)?;
    let table = table(engine);
    apply(engine, places, table)
}

/// All planes as one share of so many rows; there may be none.
pub(super) fn joined<E: Engine>(engine: &mut E, rows: usize, planes: &[Bits<E>]) -> Bits<E> {
    match planes {
        [] => zeros(engine, rows, 0),
        planes => crate::stack::<B64, _>(planes),
    }
}

/// Zeros.
pub(super) fn zeros<R: Ring, E: Engine>(engine: &mut E, rows: usize, planes: usize) -> E::Share<R> {
    engine.constant(&Column::zeros(Layout::new(rows, planes)))
}

/// Each row's predecessor; the first row's is zero.
pub(super) fn before<R: Ring, E: Engine>(engine: &mut E, x: &E::Share<R>) -> E::Share<R> {
    let Layout { rows, planes, .. } = x.layout();
    let first = zeros::<R, E>(engine, rows.min(1), planes);
    Share::concat(&[&first, &x.slice(0..rows.saturating_sub(1))])
}

/// Each row's successor; the last row's is zero.
pub(super) fn after<R: Ring, E: Engine>(engine: &mut E, x: &E::Share<R>) -> E::Share<R> {
    let Layout { rows, planes, .. } = x.layout();
    let last = zeros::<R, E>(engine, rows.min(1), planes);
    Share::concat(&[&x.slice(rows.min(1)..rows), &last])
}

/// Planes that hold the numbers 0..=`most`.
pub(super) fn width_of(most: usize) -> usize {
    (usize::BITS - most.leading_zeros()) as usize
}

/// Aborts, for a reason that lies in the data, if the bit of any row is set: one opened bit.
pub(super) fn refuse_any<E: Engine>(engine: &mut E, bit: &Bits<E>, reason: impl FnOnce() -> String) -> Result<(), Abort> {
    let any = any_row(engine, bit)?;
    let any = engine.verify(any)?;
    if engine.open::<B64>(&any)?.bit(0, 0) { Err(Abort::Data(reason())) } else { Ok(()) }
}

/// A column into a table: its values and its valid bit.
pub(super) fn pack<E: Engine>(table: Table<E>, column: &Cells<E>) -> Table<E> {
    let table = match &column.values {
        Values::Bits(v) => table.with::<B64>(v.clone()),
        Values::Fp61(v) => table.with::<Fp61>(v.clone()),
        Values::Fp127(v) => table.with::<Fp127>(v.clone()),
    };
    column.valid.iter().fold(table, |table, valid| table.with::<B64>(valid.clone()))
}

/// The columns of a table, which leave it in the order in which they came.
pub(super) struct Unpack<E: Engine> {
    pub bits: std::vec::IntoIter<Bits<E>>,
    pub fp61: std::vec::IntoIter<E::Share<Fp61>>,
    pub fp127: std::vec::IntoIter<E::Share<Fp127>>,
}

impl<E: Engine> Unpack<E> {
    pub fn new(mut table: Table<E>) -> Self {
        Unpack { bits: table.take::<B64>().into_iter(), fp61: table.take::<Fp61>().into_iter(), fp127: table.take::<Fp127>().into_iter() }
    }

    /// The next column of bits.
    pub fn bits(&mut self) -> Bits<E> {
        self.bits.next().expect("as many columns leave a table as came in")
    }

    /// The next column, of the form of this one.
    pub fn column(&mut self, like: &Cells<E>) -> Cells<E> {
        let many = "as many columns leave a table as came in";
        let values = match &like.values {
            Values::Bits(_) => Values::Bits(self.bits()),
            Values::Fp61(_) => Values::Fp61(self.fp61.next().expect(many)),
            Values::Fp127(_) => Values::Fp127(self.fp127.next().expect(many)),
        };
        let valid = like.valid.is_some().then(|| self.bits());
        Cells { values, valid }
    }
}

impl<E: Engine> Rows<E> {
    /// All columns and the row's bit as a table.
    pub(super) fn table(&self) -> Table<E> {
        let table = self.row.iter().fold(Table::new(self.places), |table, row| table.with::<B64>(row.clone()));
        self.columns.iter().fold(table, pack)
    }

    /// The first columns of a table, which are like these.
    pub(super) fn take_from(&self, table: &mut Table<E>) -> Table<E> {
        let bit = |into: Table<E>, table: &mut Table<E>| into.with::<B64>(table.take_first());
        let mut taken = self.row.iter().fold(Table::new(table.rows()), |taken, _| bit(taken, table));
        for column in &self.columns {
            taken = match column.values {
                Values::Bits(_) => bit(taken, table),
                Values::Fp61(_) => taken.with::<Fp61>(table.take_first()),
                Values::Fp127(_) => taken.with::<Fp127>(table.take_first()),
            };
            taken = column.valid.iter().fold(taken, |taken, _| bit(taken, table));
        }
        taken
    }

    /// The rows by partition and in an order, sorted on shares, then places without one.
    pub(super) fn in_order(
        &self,
        engine: &mut E,
        partition: &[usize],
        by: &[SortKey],
        ties: Ties,
        setting: &Setting,
    ) -> Result<Self, Abort> {
        let shuffled = if ties == Ties::Random { Some(self.shuffled(engine)?) } else { None };
        let rows = shuffled.as_ref().unwrap_or(self);
        let mut planes: Vec<Bits<E>> = Vec::new();
        for key in by.iter().rev() {
            planes.extend(sort_planes(engine, &rows.columns[key.column], key));
        }
        planes.push(grouping(engine, rows, partition, setting));
        planes.extend(rows.row.as_ref().map(|row| engine.not(row)));
        let key = joined(engine, rows.places, &planes);
        drop(planes);
        let table = if key.layout().planes == 0 { rows.table() } else { sorted(engine, key, setting, |_| rows.table())?.0 };
        Ok(self.unpacked(table))
    }

    /// These rows in an order that nobody knows.
    pub(super) fn shuffled(&self, engine: &mut E) -> Result<Self, Abort> {
        let table = engine.shuffle(self.table())?.0;
        Ok(self.unpacked(table))
    }

    /// Rows like these, from a table like theirs.
    pub(super) fn unpacked(&self, table: Table<E>) -> Self {
        let places = table.rows();
        let mut from = Unpack::new(table);
        let row = self.row.is_some().then(|| from.bits());
        let columns = self.columns.iter().map(|c| from.column(c)).collect();
        Rows { places, row, columns }
    }
}
