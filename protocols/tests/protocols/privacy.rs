//! Output privacy against the clear answer, in every scheme, with its exact cost; the laws of noise and the accounting against exact integers.

mod account;
mod cells;
mod noise;
mod rows;
mod samples;

use super::{SIZES, Words, input};
use mpc_core::{B64, Column, Ring};
use protocols::{Abort, Engine};

/// Shares integers as bits.
fn input_bits<E: Engine>(e: &mut E, owner: u8, values: &[i128], width: usize) -> Result<E::Share<B64>, Abort> {
    input(e, owner, &Column::from_ints(values, width))
}

fn open<E: Engine, R: Ring>(e: &mut E, share: &E::Share<R>) -> Result<Vec<i128>, Abort> {
    let share = e.verify(share.clone())?;
    Ok(e.open(&share)?.as_slice().iter().map(|v| nearest(*v)).collect())
}

fn open_bits<E: Engine>(e: &mut E, share: &E::Share<B64>) -> Result<Vec<u128>, Abort> {
    let share = e.verify(share.clone())?;
    Ok(e.open(&share)?.to_uints())
}

/// The representative nearest 0.
fn nearest<R: Ring>(v: R) -> i128 {
    let (up, down) = (v.to_bits() as i128, R::ZERO.sub(v).to_bits() as i128);
    if up <= down { up } else { -down }
}

fn field<R: Ring>(v: i128) -> R {
    let magnitude = R::from_bits(v.unsigned_abs()).expect("an element");
    if v < 0 { R::ZERO.sub(magnitude) } else { magnitude }
}
