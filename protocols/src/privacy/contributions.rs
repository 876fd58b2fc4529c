//! Who is in a group, and how much of it is whose: what minimum group and dominance look at.
//!
//! *Functionality.* For each group: how many distinct entities have valid rows in it, the sum of their values, and the totals of the entities with the greatest ones. The groups
//! come first, in their order, as in [`group_sums`] by the same keys; the rest is blanked.
//! *Protocol.* Rows are sorted by (not valid, group, entity) and summed up: a row for each entity of a group. These are sorted by (not there, group, total), so that an entity's
//! place from the end of its group is its rank; the group's last row takes the totals of the rows before it as far as they are of its group. Then they are summed up again.
//! *Cost.* The sorts' and group sums' ([`group_sums`]), the bits of the totals between, and for each rank but the first an equality and two elements: as [`Estimate`](crate::Estimate) says.
//! *Leakage.* None.
//!
//! Values are not negative: of shares of a whole only parts make sense. An entity is whoever the key says; rows of different owners with one key are one entity.

use super::Bits;
use crate::circuit;
use crate::relational::{Groups, Sorting, Tail, group_sums, sort};
use crate::{Abort, Cell, Engine, Share, Table};
use mpc_core::B64;

/// What is known of the groups, one row each; all of it zero where there is no group.
pub struct Contributions<E: Engine, R: Cell> {
    /// The group's key.
    pub group: Bits<E>,
    /// Distinct entities.
    pub entities: E::Share<R>,
    /// The sum of all values.
    pub total: E::Share<R>,
    /// The totals of single entities, the greatest first: a plane each, 0 where there are not so many.
    pub largest: E::Share<R>,
    /// Whether there is a group.
    pub valid: Bits<E>,
}

/// The rows to look at.
pub struct Rows<'a, E: Engine, R: Cell> {
    /// The group of each.
    pub group: &'a Bits<E>,
    /// Whose it is.
    pub entity: &'a Bits<E>,
    /// Whether it counts.
    pub valid: &'a Bits<E>,
    /// Its value: 0 or more.
    pub value: &'a E::Share<R>,
}

/// Entities and totals of the groups, with the `ranks` (one at least) greatest totals, which are below 2^`width`.
pub fn contributions<E: Engine, R: Cell>(
    e: &mut E,
    rows: &Rows<'_, E, R>,
    ranks: usize,
    width: usize,
    sorting: impl Into<Sorting>,
) -> Result<Contributions<E, R>, Abort> {
    assert!(ranks > 0, "the greatest total at least");
    let sorting = sorting.into();
    let by_entity = entities(e, rows, sorting)?;
    let (groups, there) = (by_entity.key, by_entity.valid.expect("asked for"));
    let bits = circuit::field_bits::<E, R>(e, by_entity.sums.clone(), width)?;
    let behind = e.not(&there);
    let table = Table::new(there.layout().rows).with(groups.clone()).with(there).with::<R>(by_entity.sums);
    let (mut table, _) = sort(e, Share::stack(&[&bits, &groups, &behind]), table, sorting)?;
    let there = table.take_last::<B64>();
    let group = table.take_last::<B64>();
    let total = table.take_last::<R>();
    let ranked = ranked(e, &group, &total, ranks)?;
    let one = e.bits_to::<R>(&there)?;
    let carried = Table::new(table.rows()).with::<R>(ranked);
    let Groups { key, sums, mut carried, valid } =
        group_sums::<E, R>(e, group, Share::stack(&[&one, &total]), carried, Some(&there), Tail::Blank)?;
    Ok(Contributions {
        group: key,
        entities: sums.planes([0]),
        total: sums.planes([1]),
        largest: carried.take_last::<R>(),
        valid: valid.expect("asked for"),
    })
}

/// One row for each entity of each group: the group as the key, the entity's total.
fn entities<E: Engine, R: Cell>(e: &mut E, rows: &Rows<'_, E, R>, sorting: Sorting) -> Result<Groups<E, R>, Abort> {
    let Rows { group, entity, valid, value } = *rows;
    let behind = e.not(valid);
    let key: Bits<E> = Share::stack(&[entity, group]);
    let value = circuit::bit_times::<E, R>(e, valid, value)?;
    let table = Table::new(valid.layout().rows).with(key.clone()).with(valid.clone()).with::<R>(value);
    let (mut table, _) = sort(e, Share::stack(&[&key, &behind]), table, sorting)?;
    let (valid, key, value) = (table.take_last::<B64>(), table.take_first::<B64>(), table.take_last::<R>());
    let mut sums = group_sums::<E, R>(e, key, value, Table::new(table.rows()), Some(&valid), Tail::Blank)?;
    let planes = entity.layout().planes;
    sums.key = sums.key.planes(planes..planes + group.layout().planes);
    Ok(sums)
}

/// For each row its total and those of the rows before it, as far as they are of its group: a plane each.
fn ranked<E: Engine, R: Cell>(e: &mut E, group: &Bits<E>, total: &E::Share<R>, ranks: usize) -> Result<E::Share<R>, Abort> {
    let rows = total.layout().rows;
    if ranks == 1 {
        return Ok(total.clone());
    }
    let back = (1..ranks).map(|by| by.min(rows));
    let (mut here, mut before, mut totals) = (Vec::new(), Vec::new(), Vec::new());
    for by in back.clone() {
        here.push(group.slice(by..rows));
        before.push(group.slice(0..rows - by));
        totals.push(total.slice(0..rows - by));
    }
    fn all<R: mpc_core::Ring, S: Share<R>>(parts: &[S]) -> S {
        S::concat(&parts.iter().collect::<Vec<_>>())
    }
    let same = circuit::equal(e, &all::<B64, _>(&here), &all::<B64, _>(&before), &[])?;
    let totals = circuit::bit_times::<E, R>(e, &same, &all::<R, _>(&totals))?;
    let mut planes = vec![total.clone()];
    let mut at = 0;
    for by in back {
        let none = total.slice(0..by).sub(&total.slice(0..by));
        planes.push(Share::concat(&[&none, &totals.slice(at..at + rows - by)]));
        at += rows - by;
    }
    Ok(Share::stack(&planes.iter().collect::<Vec<_>>()))
}
