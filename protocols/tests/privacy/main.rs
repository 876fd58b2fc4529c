//! Output privacy against the clear answer, in every scheme, with its exact cost; the laws of noise and the accounting against exact integers.

mod account;
mod cells;
mod noise;
mod rows;

use mpc_core::{B64, Column, PartyId, Ring};
use protocols::{Abort, Engine, Input};

/// Numbers of rows at the edges of words and blocks.
const SIZES: [usize; 7] = [0, 1, 2, 63, 64, 65, 1000];

/// A repeatable stream of words (SplitMix64).
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Shares what `owner` knows.
fn input<E: Engine, R: Ring>(e: &mut E, owner: u8, values: &Column<R>) -> Result<E::Share<R>, Abort> {
    let owner = PartyId(owner);
    let mine = e.holds(owner).then_some(values);
    Ok(e.input(&[Input::new(owner, values.layout(), mine)])?.remove(0))
}

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
