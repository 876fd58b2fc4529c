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

/// Numbers of rows at the edges of words and of index widths.
const EDGES: [usize; 10] = [0, 1, 2, 3, 63, 64, 65, 127, 128, 129];

/// Flags of every kind: none, all, every other row, the first or the last alone or all but that one, either half, runs, random.
fn flags(rows: usize) -> Vec<Vec<u64>> {
    let mut words = Words(!(rows as u64));
    let random: Vec<u64> = (0..rows).map(|_| words.below(2)).collect();
    let kinds: [&dyn Fn(usize) -> bool; 11] = [
        &|_| false,
        &|_| true,
        &|i| i % 2 == 0,
        &|i| i % 2 == 1,
        &|i| i == 0,
        &|i| i != 0,
        &|i| i + 1 == rows,
        &|i| i + 1 != rows,
        &|i| i < rows / 2,
        &|i| i >= rows / 2,
        &|i| i / 5 % 2 == 1,
    ];
    kinds.iter().map(|kind| (0..rows).map(|i| u64::from(kind(i))).collect()).chain([random]).collect()
}

/// Places of every kind: where rows are, reversed, one on, halves changed, random.
fn orders(rows: usize) -> Vec<Vec<u32>> {
    let n = rows as u32;
    let kinds: [&dyn Fn(u32) -> u32; 4] = [&|i| i, &|i| n - 1 - i, &|i| (i + 1) % n, &|i| (i + n / 2) % n];
    let mut words = Words(rows as u64);
    let mut random: Vec<u32> = (0..n).collect();
    (1..rows).rev().for_each(|last| random.swap(last, words.below(last as u64 + 1) as usize));
    kinds.iter().map(|kind| (0..n).map(kind).collect()).chain([random]).collect()
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
