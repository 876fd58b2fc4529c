//! A cap on the rows of an entity.
//!
//! *Functionality.* Of the valid rows of each entity as many are kept as the cap allows: the first ones. Rows come in the order of their entities, those that are not valid last.
//! *Protocol.* A sort by (not valid, entity). A row is one too many if the row as many places before as the cap is of the same entity, so that nothing is counted.
//! *Cost.* The sort by k + 1 bits with k + 1 bits and the rows' own; then k bits a row, ceil(log2 (k + 1)) rounds ([`cost::cap`](crate::cost::cap)). *Leakage.* None.
//!
//! The sort is stable: an owner decides by the order of its rows which of them count, not how many. The cap holds over all owners together.

use super::Bits;
use crate::circuit;
use crate::relational::{Sorting, sort};
use crate::{Abort, Engine, Share, Table};
use mpc_core::B64;

/// Rows in the order of their entities.
pub struct Capped<E: Engine> {
    /// The entities.
    pub entity: Bits<E>,
    /// Whether the row is valid and within the cap.
    pub kept: Bits<E>,
    /// The rows.
    pub table: Table<E>,
}

/// Keeps at most `most` valid rows of each entity, `most` > 0.
pub fn cap<E: Engine>(
    e: &mut E,
    entity: Bits<E>,
    valid: Bits<E>,
    table: Table<E>,
    most: usize,
    sorting: impl Into<Sorting>,
) -> Result<Capped<E>, Abort> {
    assert!(most > 0, "an entity has a row at least, or none is needed");
    let by = Share::stack(&[&entity, &e.not(&valid)]);
    let (mut table, _) = sort(e, by, table.with(entity).with(valid), sorting)?;
    let valid = table.take_last::<B64>();
    let entity = table.take_last::<B64>();
    let rows = table.rows();
    let first = most.min(rows);
    let later = first..rows;
    // the row before is valid if this one is
    let beyond = circuit::equal(e, &entity.slice(later.clone()), &entity.slice(0..rows - first), &[&valid.slice(later.clone())])?;
    let kept = Share::concat(&[&valid.slice(0..first), &valid.slice(later).add(&beyond)]);
    Ok(Capped { entity, kept, table })
}
