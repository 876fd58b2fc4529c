//! Rows of several rings that move together.

use crate::circuit;
use crate::engine::{Engine, Share};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Index, Layout, Permutation, Ring, Z64};
use std::ops::Range;

/// Shared columns of equal rows: bit-planes, indices and values. What moves, moves together; each column keeps its place among those of its ring.
pub struct Table<E: Engine> {
    pub(crate) rows: usize,
    pub(crate) bits: Vec<E::Share<B64>>,
    pub(crate) index: Vec<E::Share<Index>>,
    pub(crate) z64: Vec<E::Share<Z64>>,
    pub(crate) fp61: Vec<E::Share<Fp61>>,
    pub(crate) fp127: Vec<E::Share<Fp127>>,
}

/// A ring of which a table has columns.
pub trait Cell: Ring {
    /// The table's columns over this ring.
    fn of<E: Engine>(table: &Table<E>) -> &Vec<E::Share<Self>>;
    /// The same, to change.
    fn of_mut<E: Engine>(table: &mut Table<E>) -> &mut Vec<E::Share<Self>>;
}

macro_rules! cell {
    ($ring:ty, $columns:ident) => {
        impl Cell for $ring {
            fn of<E: Engine>(table: &Table<E>) -> &Vec<E::Share<Self>> {
                &table.$columns
            }
            fn of_mut<E: Engine>(table: &mut Table<E>) -> &mut Vec<E::Share<Self>> {
                &mut table.$columns
            }
        }
    };
}

cell!(B64, bits);
cell!(Index, index);
cell!(Z64, z64);
cell!(Fp61, fp61);
cell!(Fp127, fp127);

/// A table of `rows` rows whose columns are the image of each column of another, which is lent (`iter`) or given up (`into_iter`).
macro_rules! map {
    ($table:ident.$each:ident(), $rows:expr, |$column:ident| $image:expr) => {
        Table {
            rows: $rows,
            bits: $table.bits.$each().map(|$column| $image).collect(),
            index: $table.index.$each().map(|$column| $image).collect(),
            z64: $table.z64.$each().map(|$column| $image).collect(),
            fp61: $table.fp61.$each().map(|$column| $image).collect(),
            fp127: $table.fp127.$each().map(|$column| $image).collect(),
        }
    };
}

impl<E: Engine> Clone for Table<E> {
    fn clone(&self) -> Self {
        map!(self.iter(), self.rows, |c| c.clone())
    }
}

impl<E: Engine> Table<E> {
    /// A table of `rows` rows and no column.
    pub fn new(rows: usize) -> Self {
        Table { rows, bits: Vec::new(), index: Vec::new(), z64: Vec::new(), fp61: Vec::new(), fp127: Vec::new() }
    }

    /// With this column as the last of its ring.
    ///
    /// # Panics
    /// If it has other rows than the table.
    pub fn with<R: Cell>(mut self, column: E::Share<R>) -> Self {
        assert_eq!(column.layout().rows, self.rows, "the columns of a table have equal rows");
        R::of_mut(&mut self).push(column);
        self
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns over `R`.
    pub fn columns<R: Cell>(&self) -> &[E::Share<R>] {
        R::of(self)
    }

    /// The columns over `R`, which leave the table.
    pub fn take<R: Cell>(&mut self) -> Vec<E::Share<R>> {
        std::mem::take(R::of_mut(self))
    }

    /// Takes the first column over `R` out.
    ///
    /// # Panics
    /// If there is none.
    pub fn take_first<R: Cell>(&mut self) -> E::Share<R> {
        R::of_mut(self).remove(0)
    }

    /// Takes the last column over `R` out.
    ///
    /// # Panics
    /// If there is none.
    pub fn take_last<R: Cell>(&mut self) -> E::Share<R> {
        R::of_mut(self).pop().expect("the table has such a column")
    }

    /// With the columns of another table as the last of each ring.
    ///
    /// # Panics
    /// If it has other rows than this one.
    pub fn beside(mut self, mut other: Self) -> Self {
        assert_eq!(other.rows, self.rows, "tables side by side have equal rows");
        self.bits.append(&mut other.bits);
        self.index.append(&mut other.index);
        self.z64.append(&mut other.z64);
        self.fp61.append(&mut other.fp61);
        self.fp127.append(&mut other.fp127);
        self
    }

    /// Row i at `to.places()[i]`, for a permutation that this party may know.
    pub fn place(self, to: &Permutation) -> Self {
        map!(self.into_iter(), self.rows, |c| c.place(to))
    }

    /// Row `from.places()[j]` at j: the inverse of [`place`](Self::place).
    pub fn fetch(self, from: &Permutation) -> Self {
        map!(self.into_iter(), self.rows, |c| c.fetch(from))
    }

    /// The rows in `range`.
    pub fn slice(&self, range: Range<usize>) -> Self {
        map!(self.iter(), range.len(), |c| c.slice(range.clone()))
    }

    /// The rows of all `tables`, one after the other; their columns must be alike, and there must be at least one table.
    pub fn concat(tables: &[&Self]) -> Self {
        fn each<R: Cell, E: Engine>(tables: &[&Table<E>]) -> Vec<E::Share<R>> {
            let columns = tables.first().map_or(0, |t| R::of(t).len());
            assert!(tables.iter().all(|t| R::of(t).len() == columns), "tables have as many columns");
            (0..columns).map(|i| Share::concat(&tables.iter().map(|t| &R::of(t)[i]).collect::<Vec<_>>())).collect()
        }
        Table {
            rows: tables.iter().map(|t| t.rows).sum(),
            bits: each::<B64, E>(tables),
            index: each::<Index, E>(tables),
            z64: each::<Z64, E>(tables),
            fp61: each::<Fp61, E>(tables),
            fp127: each::<Fp127, E>(tables),
        }
    }

    /// With rows of zeros before and after its own.
    pub fn padded(self, e: &mut E, before: usize, after: usize) -> Self {
        fn padded<E: Engine, R: Ring>(e: &mut E, column: &E::Share<R>, before: usize, after: usize) -> E::Share<R> {
            let zeros = [before, after].map(|rows| e.constant(&Column::zeros(column.layout().with_rows(rows))));
            Share::concat(&[&zeros[0], column, &zeros[1]])
        }
        map!(self.into_iter(), before + self.rows + after, |c| padded(e, &c, before, after))
    }

    /// As many rows of zeros.
    pub fn zeros(&self, e: &mut E, rows: usize) -> Self {
        map!(self.iter(), rows, |c| e.constant(&Column::zeros(c.layout().with_rows(rows))))
    }

    /// The difference of each row to the one before; the first row's is itself.
    pub fn differences(self) -> Self {
        map!(self.into_iter(), self.rows, |c| c.differences())
    }

    /// The sum of each row and all rows before it: undoes [`differences`](Self::differences).
    pub fn prefix_sums(self) -> Self {
        map!(self.into_iter(), self.rows, |c| c.prefix_sums())
    }

    /// Zeros the rows whose bit (one plane) is not set: one product, and for each column that is not of bits the bit's conversion.
    pub fn blank(&mut self, e: &mut E, keep: &E::Share<B64>) -> Result<(), Abort> {
        fn elements<R: Cell, E: Engine>(table: &mut Table<E>, e: &mut E, keep: &E::Share<B64>) -> Result<(), Abort> {
            for column in R::of_mut(table) {
                *column = circuit::bit_times::<E, R>(e, keep, column)?;
            }
            Ok(())
        }
        if !self.bits.is_empty() {
            let all = Share::stack(&self.bits.iter().collect::<Vec<_>>());
            let all = e.mul(&keep.planes(std::iter::repeat_n(0, all.layout().planes)), &all)?;
            let mut at = 0;
            for column in &mut self.bits {
                let planes = column.layout().planes;
                *column = all.planes(at..at + planes);
                at += planes;
            }
        }
        elements::<Index, E>(self, e, keep)?;
        elements::<Z64, E>(self, e, keep)?;
        elements::<Fp61, E>(self, e, keep)?;
        elements::<Fp127, E>(self, e, keep)
    }

    /// What one party sends to pass the whole table on once.
    pub fn message(&self) -> Message {
        let planes = self.bits.iter().map(|c| c.layout().planes).sum();
        fn each<R: Ring, S: Share<R>>(columns: &[S]) -> Message {
            columns.iter().map(|c| Message::of::<R>(c.layout())).sum()
        }
        [
            Message::of::<B64>(Layout::new(self.rows, planes)),
            each::<Index, _>(&self.index),
            each::<Z64, _>(&self.z64),
            each::<Fp61, _>(&self.fp61),
            each::<Fp127, _>(&self.fp127),
        ]
        .into_iter()
        .sum()
    }
}

/// The payload of a message, in bits and in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Message {
    /// Bits at exact widths.
    pub bits: u64,
    /// Bytes; each column is rounded up once. Bit-planes of a table are one column.
    pub bytes: u64,
}

impl Message {
    /// A column.
    pub const fn of<R: Ring>(layout: Layout) -> Self {
        Message { bits: layout.bits::<R>(), bytes: layout.bytes::<R>() as u64 }
    }
}

impl std::ops::Add for Message {
    type Output = Message;
    fn add(self, other: Self) -> Self {
        Message { bits: self.bits + other.bits, bytes: self.bytes + other.bytes }
    }
}

impl std::iter::Sum for Message {
    fn sum<I: Iterator<Item = Message>>(messages: I) -> Self {
        messages.fold(Message::default(), |a, b| a + b)
    }
}
