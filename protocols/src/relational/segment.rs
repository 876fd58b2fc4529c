//! Groups seen from their rows: what the first row, or all rows, of a group have, at each of its rows.
//!
//! *Functionality.* Rows are cut into groups of neighbours by a flag at each group's first row. [`Segments::spread`]: every row gets what its group's first row has;
//! [`Segments::totals`]: the sum over its group; [`Segments::running_sums`]: the sum over its group's rows up to it; [`Segments::numbers`]: its place in the group.
//! *Protocol.* The first rows are compacted to the front. There neighbours are first rows of neighbouring groups: their differences, zeroed beyond the
//! last group and taken back to their rows ([`undo`](super::undo)), sum up, from the first row down, to what the group's first row has. A group's sum is the difference of
//! the sums before it and before the next group; no round depends on the number of rows (compare the scans of log2 n rounds of Liagouris et al., NSDI'23).
//! *Cost.* For W bits spread: compaction 3w + (4/3)(w + W + 1) bits a row, 6 rounds; the zeroing W bits (elements: twice), 1 or 3 rounds; back 4W/3 bits, 2 rounds;
//! totals one more zeroing. Opened within the shuffle, each apply takes a round and w/3 bits less ([`Opening`](crate::cost::Opening)). *Leakage.* None.

use super::compact::compact_in;
use super::{Applied, Bits, Indices, row_numbers, undo};
use crate::{Abort, Cell, Engine, Share, Table, circuit};
use mpc_core::{B64, Index, index_bits};

/// Rows cut into groups, with the groups' first rows at the front.
pub struct Segments<E: Engine> {
    applied: Applied<E>,
    /// Whether there is a first row.
    valid: Bits<E>,
    rows: usize,
}

impl<E: Engine> Segments<E> {
    /// Groups by the flag (one plane) at their first rows; the first row of all must have it. Also what their first rows have in `table`: one row a
    /// group, at the front, anything beyond.
    pub fn new(e: &mut E, first: &Bits<E>, table: Table<E>) -> Result<(Self, Table<E>), Abort> {
        let rows = table.rows();
        let compacted = compact_in(e, first, table.with(first.clone()), index_bits(rows), false)?;
        let mut heads = compacted.table;
        let valid = heads.take_last::<B64>();
        Ok((Segments { applied: compacted.applied, valid, rows }, heads))
    }

    /// What is at the front for each group, at each of its rows.
    pub fn spread(&self, e: &mut E, heads: Table<E>) -> Result<Table<E>, Abort> {
        let mut differences = heads.differences();
        differences.blank(e, &self.valid)?;
        Ok(undo(e, &self.applied, differences)?.prefix_sums())
    }

    /// The sum over the group of each row, of values whose sum over `all` rows is given; `starts` is what [`sums_before`] has at the first rows.
    pub fn totals<R: Cell>(&self, e: &mut E, all: &E::Share<R>, starts: &E::Share<R>) -> Result<E::Share<R>, Abort> {
        // less the sum of all rows, which ends the last group: then zeros stand behind it
        let starts = starts.sub(&all.pick(&vec![0; self.rows]));
        let starts = Table::new(self.rows).with(circuit::bit_times::<E, R>(e, &self.valid, &starts)?);
        let totals = starts.padded(e, 0, 1).differences().slice(1..self.rows + 1);
        Ok(self.spread(e, totals)?.take_last::<R>())
    }

    /// The sum of `values` over the rows of its group up to each row; `starts` as in [`totals`](Self::totals).
    pub fn running_sums<R: Cell>(&self, e: &mut E, values: &E::Share<R>, starts: &E::Share<R>) -> Result<E::Share<R>, Abort> {
        let starts = self.spread(e, Table::new(self.rows).with(starts.clone()))?.take_last::<R>();
        Ok(values.prefix_sums().sub(&starts))
    }

    /// The number of each row in its group, from 0. `starts` is what [`row numbers`](numbers_of_rows) has at the first rows.
    pub fn numbers(&self, e: &mut E, starts: &Indices<E>) -> Result<Indices<E>, Abort> {
        let starts = self.spread(e, Table::new(self.rows).with(starts.clone()))?.take_last::<Index>();
        let numbers = numbers_of_rows(e, self.rows);
        Ok(numbers.sub(&starts))
    }
}

/// The sum of the rows before each, in each plane: what [`Segments::totals`] needs of the first rows.
pub fn sums_before<E: Engine, R: Cell>(values: &E::Share<R>) -> E::Share<R> {
    values.prefix_sums().sub(values)
}

/// The public numbers of the rows from 0, shared: what [`Segments::numbers`] needs of the first rows. A rank is the number of the first of a row's peers.
pub fn numbers_of_rows<E: Engine>(e: &mut E, rows: usize) -> Indices<E> {
    row_numbers(e, rows, index_bits(rows))
}
