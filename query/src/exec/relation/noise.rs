//! One row with noise on its sums, or none: where a sum that is compared only is less than its threshold, noise and all.
//!
//! *Rounds.* Those of the noise ([`crate::exec::noise`]) for each field, those of a sign, and a tree of ANDs if there are several thresholds. *Leakage.* None here: whether a row is there
//! is shown where it is opened, and is a function of the noisy sum alone.

use crate::exec::field::Field;
use crate::exec::noise::made;
use crate::plan::noise::Noised;
use crate::plan::relation::Relation;
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout};
use protocols::rows::{Cells, Rows};
use protocols::{Engine, Share, circuit, stack};

/// The row of `input` with noise; its last columns are compared with `least`.
pub(super) fn noise<E: Engine>(
    engine: &mut E,
    input: &Rows<E>,
    noised: &[Noised],
    least: &[i128],
    relation: &Relation,
) -> Result<Rows<E>, Abort> {
    // whether there is a value would be exact; where there is none it is 0
    let mut columns: Vec<_> = input.columns.iter().map(|c| Cells { values: c.values.clone(), valid: None }).collect();
    added::<Fp61, E>(engine, &mut columns, noised)?;
    added::<Fp127, E>(engine, &mut columns, noised)?;
    let compared = columns.split_off(relation.columns.len());
    let mut below = signs::<Fp61, E>(engine, &compared, least)?;
    below.extend(signs::<Fp127, E>(engine, &compared, least)?);
    let mut enough: Vec<E::Share<B64>> = below.iter().map(|b| engine.not(b)).collect();
    while enough.len() > 1 {
        let odd = if enough.len() % 2 == 1 { enough.pop() } else { None };
        let (left, right): (Vec<_>, Vec<_>) = enough.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).unzip();
        let both = engine.mul(&stack(&left), &stack(&right))?;
        enough = (0..left.len()).map(|p| both.planes([p])).chain(odd).collect();
    }
    Ok(Rows { places: 1, row: enough.pop(), columns })
}

/// Adds the noise of one field.
fn added<R: Field, E: Engine>(engine: &mut E, columns: &mut [Cells<E>], noised: &[Noised]) -> Result<(), Abort> {
    let mine: Vec<&Noised> = noised.iter().filter(|n| columns.get(n.of).is_some_and(|c| R::of_values::<E>(&c.values).is_some())).collect();
    if mine.is_empty() {
        return Ok(());
    }
    let noise = made::<E, R>(engine, mine.iter().copied(), 1)?;
    for (law, n) in mine.iter().enumerate() {
        let sum = columns[n.of].elements::<R>().add(&noise.slice(law..law + 1));
        columns[n.of].values = R::values(sum);
    }
    Ok(())
}

/// Whether each of the columns of one field is less than its threshold.
fn signs<R: Field, E: Engine>(engine: &mut E, columns: &[Cells<E>], least: &[i128]) -> Result<Vec<E::Share<B64>>, Abort> {
    let mut above = Vec::new();
    for (column, least) in columns.iter().zip(least) {
        let Some(sum) = R::of_values::<E>(&column.values) else { continue };
        let least = engine.constant(&Column::splat(R::element(*least), Layout::new(1, 1)));
        above.push(sum.sub(&least));
    }
    if above.is_empty() {
        return Ok(Vec::new());
    }
    let below = circuit::is_negative::<E, R>(engine, Share::concat(&above.iter().collect::<Vec<_>>()))?;
    Ok((0..above.len()).map(|row| below.slice(row..row + 1)).collect())
}
