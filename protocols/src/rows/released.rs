//! Rows made ready to be opened: what is not a row, or NULL, shows nothing; where a row was shows nothing either, unless the order is the answer.
//!
//! *Functionality.* All planes of rows, zeros where a place holds no row, in a uniformly random order of places, or in their own.
//! *Protocol.* Each plane is multiplied by the row's bit, which is lifted for elements; then a shuffle. What is NULL is zeros already, in rows.
//! *Source.* The shuffle of Araki, Furukawa, Ohara, Pinkas, Rosemarin, Tsuchida, CCS'21, section 5.2.
//! *Cost.* Rows of W bits and e61 and e127 elements: W bits a row in one round; for each field with elements 61 (127) bits a row to lift the bit, two rounds, and as many for each
//! element, one round. Nothing of that where every place holds a row. The shuffle (4/3)(W + 61 e61 + 127 e127), and 4/3 for the row's bit, in 2 rounds, if more than one place is not in order.
//! *Leakage.* None: where a row was is gone with the shuffle; in order it is the answer. The number of places is public.

use super::{Bits, Cells, Element, Rows, Values};
use crate::{Cell, Engine, Share, Table, circuit, stack};
use mpc_core::{Abort, B64, Fp61, Fp127, Ring};

/// All planes of rows, column by column: of bits its planes, then its valid bit.
pub struct Ready<E: Engine> {
    table: Table<E>,
}

impl<E: Engine> Ready<E> {
    /// The bits that are opened, if any.
    pub fn bits(&self) -> Option<Bits<E>> {
        all::<B64, E>(&self.table)
    }

    /// The elements that are opened, if any.
    pub fn elements<R: Element>(&self) -> Option<E::Share<R>> {
        all::<R, E>(&self.table)
    }
}

/// Blanks every column where its place holds no row, and shuffles the places unless they are opened in order.
pub fn ready<E: Engine>(engine: &mut E, rows: &Rows<E>, ordered: bool) -> Result<Ready<E>, Abort> {
    let planes: Vec<&Bits<E>> = rows.columns.iter().flat_map(of_column).collect();
    let mut table = Table::new(rows.places);
    if let Some(row) = &rows.row {
        table = table.with::<B64>(row.clone());
        let bits = join::<B64, E>(&planes);
        if let Some(bits) = bits {
            let row = row.planes(std::iter::repeat_n(0, bits.layout().planes));
            table = table.with::<B64>(engine.mul(&bits, &row)?);
        }
        if let Some(values) = elements::<Fp61, E>(&rows.columns) {
            table = table.with::<Fp61>(circuit::bit_times(engine, row, &values)?);
        }
        if let Some(values) = elements::<Fp127, E>(&rows.columns) {
            table = table.with::<Fp127>(circuit::bit_times(engine, row, &values)?);
        }
    } else {
        table = join::<B64, E>(&planes).into_iter().fold(table, |table, bits| table.with::<B64>(bits));
        table = elements::<Fp61, E>(&rows.columns).into_iter().fold(table, |table, values| table.with::<Fp61>(values));
        table = elements::<Fp127, E>(&rows.columns).into_iter().fold(table, |table, values| table.with::<Fp127>(values));
    }
    if !ordered && rows.places > 1 {
        table = engine.shuffle(table)?.0;
    }
    Ok(Ready { table })
}

/// The value planes of a column, then its valid bit.
fn of_column<E: Engine>(column: &Cells<E>) -> impl Iterator<Item = &Bits<E>> {
    let value = if let Values::Bits(bits) = &column.values { Some(bits) } else { None };
    value.into_iter().chain(&column.valid)
}

fn elements<R: Element, E: Engine>(columns: &[Cells<E>]) -> Option<E::Share<R>> {
    let all: Vec<&E::Share<R>> = columns.iter().filter_map(|c| R::of_values(&c.values)).collect();
    join::<R, E>(&all)
}

/// The planes of all shares as one, if there is a plane.
fn join<R: Ring, E: Engine>(shares: &[&E::Share<R>]) -> Option<E::Share<R>> {
    let planes: usize = shares.iter().map(|s| s.layout().planes).sum();
    (planes > 0).then(|| Share::stack(shares))
}

fn all<R: Cell, E: Engine>(table: &Table<E>) -> Option<E::Share<R>> {
    let columns = table.columns::<R>();
    (!columns.is_empty()).then(|| stack(columns))
}
