//! Rows put side by side or one after the other.
//!
//! *Functionality.* Cross: all pairs of a place of one side and a place of the other; a pair is a row if both are. Union: the places of several, one after the other; a bit that one of
//! them lacks (a row's, a valid one) is 1 in its places.
//! *Protocol.* Places are copied by public positions, at each party. *Source.* None is needed: shares are copied.
//! *Cost.* Of a cross one bit a pair and one round, if both sides have places without a row; else nothing. Of a union nothing. *Leakage.* None: numbers of places are public.

use super::{Bits, Cells, Rows, Shape, Values};
use crate::{Engine, Share};
use mpc_core::{Abort, B64, Column, Layout, Ring};

/// All pairs of places, those of `right` faster. A pair is a row if both are: one AND a place, where both have places without a row.
pub fn cross<E: Engine>(engine: &mut E, left: &Rows<E>, right: &Rows<E>) -> Result<Rows<E>, Abort> {
    let places = left.places * right.places;
    let of_left: Vec<Option<usize>> = (0..places).map(|p| Some(p / right.places)).collect();
    let of_right: Vec<Option<usize>> = (0..places).map(|p| Some(p % right.places)).collect();
    let row = match (left.row.as_ref().map(|r| r.gather(&of_left)), right.row.as_ref().map(|r| r.gather(&of_right))) {
        (Some(a), Some(b)) => Some(engine.mul(&a, &b)?),
        (a, b) => a.or(b),
    };
    let columns = left.columns.iter().map(|c| c.gather(&of_left)).chain(right.columns.iter().map(|c| c.gather(&of_right)));
    Ok(Rows { places, row, columns: columns.collect() })
}

/// The rows of all inputs, one after the other, of which this is public: no message. Columns have equal forms; one is nullable if it is in any input.
pub fn union<E: Engine>(engine: &mut E, inputs: &[&Rows<E>], shape: &Shape) -> Rows<E> {
    let mut bit = |of: &dyn Fn(&Rows<E>) -> Option<Bits<E>>| {
        let bits: Vec<Bits<E>> = inputs.iter().map(|i| of(i).unwrap_or_else(|| ones(engine, i.places))).collect();
        concat::<B64, _>(&bits.iter().collect::<Vec<_>>())
    };
    let row = (!shape.full).then(|| bit(&|i| i.row.clone()));
    let columns = shape.columns.iter().enumerate().map(|(c, column)| Cells {
        values: values(&inputs.iter().map(|i| &i.columns[c].values).collect::<Vec<_>>()),
        valid: column.nullable.then(|| bit(&|i| i.columns[c].valid.clone())),
    });
    Rows { places: shape.places, columns: columns.collect(), row }
}

/// The bit 1 at every place.
pub(super) fn ones<E: Engine>(engine: &mut E, places: usize) -> Bits<E> {
    engine.constant(&Column::splat(B64::ONE, Layout::new(places, 1)))
}

/// Values of one form, one after the other.
fn values<E: Engine>(all: &[&Values<E>]) -> Values<E> {
    match all[0] {
        Values::Bits(_) => Values::Bits(concat::<B64, _>(&pick(all, |v| if let Values::Bits(v) = v { Some(v) } else { None }))),
        Values::Fp61(_) => Values::Fp61(concat(&pick(all, |v| if let Values::Fp61(v) = v { Some(v) } else { None }))),
        Values::Fp127(_) => Values::Fp127(concat(&pick(all, |v| if let Values::Fp127(v) = v { Some(v) } else { None }))),
    }
}

fn pick<'v, E: Engine, S>(all: &[&'v Values<E>], of: impl Fn(&'v Values<E>) -> Option<&'v S>) -> Vec<&'v S> {
    all.iter().map(|v| of(v).expect("the columns of a union have equal forms")).collect()
}

/// The rows of all shares, one after the other.
pub(super) fn concat<R: Ring, S: Share<R>>(shares: &[&S]) -> S {
    S::concat(shares)
}
