//! Relational operators against the clear answer, in every scheme, at edge sizes and on adversarial keys.

mod faults;
mod groups;
mod joins;
mod known;
mod opened;
mod order;
mod rows;
mod vectors;

use super::{SIZES, Words, input};
use mpc_core::{B64, Column, Layout, Ring};
use protocols::world::{self, Protocol};
use protocols::{Abort, Engine, Plain};

/// Keys of every kind: all equal, all distinct, sorted, reversed, few values, random.
fn keys(rows: usize, width: usize) -> Vec<Vec<u64>> {
    let mut words = Words(rows as u64);
    let mask = u64::MAX >> (64 - width);
    let n = rows as u64;
    let mut distinct: Vec<u64> = (0..n).collect();
    (1..rows).rev().for_each(|last| distinct.swap(last, words.below(last as u64 + 1) as usize));
    let kinds = [
        vec![mask; rows],
        distinct,
        (0..n).collect(),
        (0..n).rev().collect(),
        (0..n).map(|_| words.below(3)).collect(),
        (0..n).map(|_| words.next()).collect(),
    ];
    kinds.map(|kind| kind.into_iter().map(|k| k & mask).collect()).into()
}

/// Runs in every scheme without comparing the estimated cost.
fn same_everywhere<P: Protocol>(protocol: &P) -> P::Output {
    let expected = protocol.run(&mut Plain::new()).expect("in clear");
    assert!(world::metered(protocol, 3).0.into_iter().all(|result| result == expected));
    expected
}

/// Shares integers as bits.
fn input_bits<E: Engine>(e: &mut E, owner: u8, values: &[u64], width: usize) -> Result<E::Share<B64>, Abort> {
    let ints: Vec<i128> = values.iter().map(|v| *v as i128).collect();
    input(e, owner, &Column::from_ints(&ints, width))
}

fn open<E: Engine, R: Ring>(e: &mut E, share: &E::Share<R>) -> Result<Vec<u128>, Abort> {
    let share = e.verify(share.clone())?;
    Ok(e.open(&share)?.as_slice().iter().map(|v| v.to_bits()).collect())
}

fn open_bits<E: Engine>(e: &mut E, share: &E::Share<B64>) -> Result<Vec<u64>, Abort> {
    let share = e.verify(share.clone())?;
    Ok(e.open(&share)?.to_uints().into_iter().map(|v| v as u64).collect())
}

fn one(rows: usize) -> Layout {
    Layout::new(rows, 1)
}
