//! Complementary suppression: what is shown beside a published total gives no suppressed cell away.
//!
//! *Functionality.* Cells are in groups, each beside its published total. Where a cell of a group may not be shown, so many others go with it that at least two are hidden, and that the
//! hidden ones have as many entities together as the rule asks of one: those with the fewest entities go first, ties by their place.
//! *Protocol.* A sort by (group, safe, entities). In that order group borders are public, unsafe cells come first, and the sums of entities before each cell are local. A cell is hidden if
//! the first of its group is unsafe, and it is unsafe itself, or second, or the entities before it are too few. The bits are taken back to their places.
//! *Cost.* The bits of the counts, the sort, a sign and 2 ANDs a row, 1 bit undone; over Fp61 9 + 8 + 2 + 2 rounds and the sort's ([`cost::complement`](crate::cost::complement)). *Leakage.* None.
//!
//! *What holds.* All that a group's total and its shown cells tell of the hidden ones is their sum. With values that are not negative each of them can then be anything from 0 to that sum: the
//! interval that linear programming finds for a hidden count is as wide as the sum, thus at least the threshold, unless the whole group has less, when the rule hides its
//! total as well. Cells that belong to two published totals are not protected by this: of a two-way table publish the margins of one way.

use super::Bits;
use crate::planes::element;
use crate::relational::{Sorting, sort, undo};
use crate::{Abort, Cell, Engine, Share, Table, circuit};
use mpc_core::{B64, Column, Layout, Ring, index_bits};

/// The cells that stand beside each published total: all cells in their order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Margins(pub Vec<usize>);

impl Margins {
    fn cells(&self) -> usize {
        self.0.iter().sum()
    }

    /// For each cell its group's number and its place in it.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.0.iter().enumerate().flat_map(|(group, cells)| (0..*cells).map(move |place| (group, place)))
    }

    /// Bits that number the groups: none if there is one.
    pub(crate) fn bits(&self) -> usize {
        if self.0.len() < 2 { 0 } else { index_bits(self.0.len()) as usize }
    }
}

/// Which cells are shown, given those that are `safe`, their `entities`, below 2^`width`, and how many of these a hidden sum must have.
pub fn complement<E: Engine, R: Cell>(
    e: &mut E,
    safe: &Bits<E>,
    entities: (&E::Share<R>, usize),
    least: u64,
    margins: &Margins,
    sorting: impl Into<Sorting>,
) -> Result<Bits<E>, Abort> {
    let (entities, width) = entities;
    let rows = safe.layout().rows;
    assert_eq!(rows, margins.cells(), "every cell stands beside a total");
    let groups: Vec<i128> = margins.places().map(|(group, _)| group as i128).collect();
    let bits = circuit::field_bits::<E, R>(e, entities.clone(), width)?;
    let mut key = vec![bits, safe.clone()];
    key.extend((margins.bits() > 0).then(|| e.constant(&Column::<B64>::from_ints(&groups, margins.bits()))));
    let table = Table::new(rows).with(safe.clone()).with::<R>(entities.clone());
    let (mut table, applied) = sort(e, Share::stack(&key.iter().collect::<Vec<_>>()), table, sorting)?;
    let (safe, entities) = (table.take_last::<B64>(), table.take_last::<R>());

    // a group has the same places after the sort as before
    let starts: Vec<_> = margins.places().enumerate().map(|(row, (_, place))| Some(row - place)).collect();
    let before = entities.prefix_sums().sub(&entities);
    let before = before.sub(&before.gather(&starts));
    let least = e.constant(&Column::splat(element::<R>(least.into()), Layout::new(rows, 1)));
    let few = circuit::is_negative::<E, R>(e, before.sub(&least))?;
    let second: Vec<bool> = margins.places().map(|(_, place)| place == 1).collect();
    let second = Column::from_bools(&second);
    let others = second.map(|v| v.add(B64::ONE));
    let few = few.scale(&others);
    let few = e.add_public(&few, &second);

    let apart = e.not(&few);
    let apart = e.mul(&safe, &apart)?;
    let (with, none) = (e.not(&apart), safe.gather(&starts));
    let any = e.not(&none);
    let hidden = e.mul(&any, &with)?;
    let shown = e.not(&hidden);
    Ok(undo(e, &applied, Table::new(rows).with(shown))?.take_last::<B64>())
}
