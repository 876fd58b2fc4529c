//! Secret permutations: apply, undo, compose.
//!
//! *Functionality.* [`apply`]: row i goes to the place that a share of indices states; [`undo`]: rows in that order back to where they came from;
//! [`compose`]: the places of a row under two permutations after one another.
//! *Protocol.* The rows and their places are shuffled together and the places opened: what is opened is a uniformly random permutation. (In replicated shares the
//! places are opened as they come out of the shuffle: its last round tells two parties each other's part of them, and now the third one both.) Everyone then puts
//! the rows in their places. Undoing takes the rows to their shuffled order and unshuffles them; a second permutation's places, undone, are the composition
//! (Asharov, Hamada, Ikarashi, Kikuchi, Nof, Pinkas, Takahashi, Tomida, CCS'22, section 3; Chida et al., ePrint 2019/695).
//! *Cost.* n rows of W bits: apply (4/3)(w + W) + 2w/3 bits a row, 2 rounds (opened after the shuffle: w, 3); undo 4W/3 bits, 2 rounds; compose 4w/3 bits, 2 rounds
//! ([`cost::apply`](crate::cost::apply), [`cost::shuffle`](crate::cost::shuffle)). *Leakage.* None.

use super::Indices;
use crate::{Abort, Engine, Table, Verified};
use mpc_core::{Column, Index, Permutation};

/// What remains of an application: enough to undo it.
pub struct Applied<E: Engine> {
    shuffled: E::Shuffled,
    places: Permutation,
}

impl<E: Engine> Applied<E> {
    pub(super) fn new(shuffled: E::Shuffled, places: Permutation) -> Self {
        Applied { shuffled, places }
    }
}

/// Rows in their new order, and what undoes it.
pub type Moved<E> = (Table<E>, Applied<E>);

/// Row i of the table at `places` of i, which must be a permutation of 0..n.
pub fn apply<E: Engine>(e: &mut E, places: Indices<E>, table: Table<E>) -> Result<Moved<E>, Abort> {
    let nothing = e.verify(Vec::new())?;
    Ok(apply_and_open(e, places, table, &nothing)?.0)
}

/// [`apply`], with the values of `also`, which everyone may learn, opened in the same round.
pub fn apply_and_open<E: Engine>(
    e: &mut E,
    places: Indices<E>,
    table: Table<E>,
    also: &Verified<Vec<&Indices<E>>>,
) -> Result<(Moved<E>, Vec<Column<Index>>), Abort> {
    let opened = e.shuffle_and_open(table, places, also)?;
    let places = e.permutation(&opened.places)?;
    Ok(((opened.table.place(&places), Applied { shuffled: opened.shuffled, places }), opened.also))
}

/// The rows of a table in the order of an application back in the order before it.
pub fn undo<E: Engine>(e: &mut E, applied: &Applied<E>, table: Table<E>) -> Result<Table<E>, Abort> {
    e.unshuffle_from(table, &applied.places, &applied.shuffled)
}

/// The places of the rows before an application once they also went through `then`, the places of the rows after it.
pub fn compose<E: Engine>(e: &mut E, applied: &Applied<E>, then: Indices<E>) -> Result<Indices<E>, Abort> {
    Ok(undo(e, applied, Table::new(applied.places.len()).with(then))?.take_last::<Index>())
}
