//! Everything that is tested from outside, in one program: the circuits are generic, and are compiled for each scheme once.

mod arithmetic;
mod bits;
mod circuits;
mod costs;
mod dealing;
mod division;
mod faults;
mod privacy;
mod relational;
mod rows;
mod shares;
mod vectors;
mod views;

use mpc_core::{Column, PartyId, Ring};
use protocols::{Abort, Engine, Input};

/// Numbers of rows at the edges of words, of widths and of blocks.
const SIZES: [usize; 7] = [0, 1, 2, 63, 64, 65, 1000];

/// A repeatable stream of words.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        // splitmix64
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
