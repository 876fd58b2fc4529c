//! Rows in orders that their owner knows, so that nothing is sorted on shares.
//!
//! *Functionality.* The rows of n places in the order of some keys: ties anyhow, or, where it is seen how they stand, at random. Rows that secret bits dropped stand among the others, or behind all that are
//! left. What is computed of rows in order goes back to the places where they were.
//! *Which.* The rows are an owner's, place by place, and what they are ordered by is known to it. Secret bits may have dropped rows since, and others may have been found for them; not where ties
//! are broken at random, as their owner knows how.
//! *Protocol.* The owner sorts its rows in clear. In one order it shares them; for every other it states the permutation between the two ([`Engine::permute_by`]). Where rows that were
//! dropped must not stand among the others, those that are left are compacted to the front, which keeps their order.
//! *Source.* A permutation that one party knows: as the shuffle of Araki, Furukawa, Ohara, Pinkas, Rosemarin, Tsuchida, CCS'21, section 5.2, with one party's permutation instead of the parties'; the
//! compaction is one digit of the sort of Asharov, Hamada, Ikarashi, Kikuchi, Nof, Pinkas, Takahashi, Tomida, CCS'22, section 4.
//! *Cost.* w = log2 n bits of an index, W bits that move: nothing for the order in which rows were shared; for another (4/3) W bits a row and w by the owner, 2 rounds
//! ([`cost::permute_by`](crate::cost::permute_by)), and as much for the way back. To compact 8w/3 + (4/3)(w + W) bits a row, 5 rounds ([`cost::compact`](crate::cost::compact)); (4/3) W and 2 rounds
//! for the way back. *Leakage.* None: what an owner states follows from its own rows alone, whatever became of them since, and the others see two uniform permutations.

use super::keys::{Unpack, pack};
use super::{Cells, Rows, Setting};
use crate::relational::{Applied, compact, undo};
use crate::{Engine, Table};
use mpc_core::{Abort, B64, PartyId, Permutation};
use std::collections::BTreeSet;

/// How rows come into the orders that an operator needs.
#[derive(Clone, Copy)]
pub enum How<'a> {
    /// They are sorted on shares.
    Sorting(&'a Setting),
    /// Their owner knows them.
    Known(Owner<'a>),
}

impl How<'_> {
    /// For the orders from this one on.
    pub(super) fn from(self, first: usize) -> Self {
        match self {
            How::Sorting(setting) => How::Sorting(setting),
            How::Known(owner) => How::Known(Owner { orders: &owner.orders[first..], ..owner }),
        }
    }
}

/// An owner who brings rows into the orders that it knows.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// Who. Nobody needs to do anything if the rows stand in all orders.
    pub party: PartyId,
    /// The orders, as the operator numbers them.
    pub orders: &'a [KnownOrder],
    /// Whether secret bits may have dropped rows.
    pub dropped: bool,
}

/// An order that the owner of rows knows.
pub enum KnownOrder {
    /// The rows stand in it.
    Stands,
    /// They do not. At the owner: where each of them goes.
    Moves(Option<Permutation>),
}

impl Owner<'_> {
    /// The rows of a table in an order, those first that hold a row: the bit that says so is column `row` of its bits.
    pub(super) fn arrange<E: Engine>(&self, engine: &mut E, order: usize, table: Table<E>, row: Option<usize>) -> Result<Table<E>, Abort> {
        let table = self.moved(engine, order, table)?;
        let Some(row) = row.filter(|_| self.dropped) else { return Ok(table) };
        let row = table.columns::<B64>()[row].clone();
        Ok(compact(engine, &row, table, false)?.table)
    }

    /// The rows of a table in an order, those that were dropped where they were among the others.
    fn moved<E: Engine>(&self, engine: &mut E, order: usize, table: Table<E>) -> Result<Table<E>, Abort> {
        match &self.orders[order] {
            KnownOrder::Stands => Ok(table),
            KnownOrder::Moves(to) => engine.permute_by(self.party, to.as_ref(), table),
        }
    }

    /// Rows with these columns in the first order, those that were dropped where they were among the others; other columns are left out. `None`: they stand so.
    pub(super) fn rows<E: Engine>(&self, engine: &mut E, input: &Rows<E>, columns: &BTreeSet<usize>) -> Result<Option<Rows<E>>, Abort> {
        if let KnownOrder::Stands = self.orders[0] {
            return Ok(None);
        }
        let table = self.moved(engine, 0, read(input, columns))?;
        Ok(Some(with(input, columns, table)))
    }

    /// Rows with these columns in the first order, those first that hold a row, and what brought them to the front; other columns are left out.
    pub(super) fn rows_in_front<E: Engine>(
        &self,
        engine: &mut E,
        input: &Rows<E>,
        columns: &BTreeSet<usize>,
    ) -> Result<(Rows<E>, Option<Applied<E>>), Abort> {
        let table = self.moved(engine, 0, read(input, columns))?;
        if input.row.is_none() || !self.dropped {
            return Ok((with(input, columns, table), None));
        }
        let row = table.columns::<B64>()[0].clone();
        let front = compact(engine, &row, table, false)?;
        Ok((with(input, columns, front.table), Some(front.applied)))
    }

    /// What rows have that were brought into the first order, and to the front by this, at the places where they were.
    pub(super) fn back<E: Engine>(&self, engine: &mut E, table: Table<E>, front: Option<&Applied<E>>) -> Result<Table<E>, Abort> {
        let table = match front {
            Some(front) => undo(engine, front, table)?,
            None => table,
        };
        match &self.orders[0] {
            KnownOrder::Stands => Ok(table),
            KnownOrder::Moves(to) => engine.permute_by(self.party, to.as_ref().map(Permutation::inverse).as_ref(), table),
        }
    }
}

/// The bit that says whether there is a row, and these columns.
fn read<E: Engine>(input: &Rows<E>, columns: &BTreeSet<usize>) -> Table<E> {
    let table = input.row.iter().fold(Table::new(input.places), |table, row| table.with::<B64>(row.clone()));
    columns.iter().fold(table, |table, c| pack(table, &input.columns[*c]))
}

/// Rows like these with only these columns, from a table of them.
fn with<E: Engine>(like: &Rows<E>, columns: &BTreeSet<usize>, table: Table<E>) -> Rows<E> {
    let mut from = Unpack::new(table);
    let row = like.row.is_some().then(|| from.bits());
    let column = |(c, like): (usize, &Cells<E>)| if columns.contains(&c) { from.column(like) } else { like.slice(0..0) };
    let columns = like.columns.iter().enumerate().map(column).collect();
    Rows { places: like.places, row, columns }
}
