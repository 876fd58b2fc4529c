//! How many planes of a row are set.
//!
//! *Functionality.* The Hamming weight of the n bits of a row, in floor(log2 n) + 1 bits.
//! *Protocol.* Full adders, column by column: of three bits a, b, c the exclusive or stays, the carry a xor (a xor b)(a xor c) goes on. Exclusive ors are free, so that all adders of
//! a column are one level, whatever they take from one another.
//! *Cost.* n less the number of ones in n's binary form, the least there is (Boyar and Peralta, TCS 396, 2008), in floor(log2 n) rounds ([`cost::weight`](crate::cost::weight)).
//! *Leakage.* None.

use super::Bits;
use crate::{Abort, Engine, Gate, Wire};

/// The number of set planes of each row; at least one plane.
pub fn weight<E: Engine>(e: &mut E, bits: &Bits<E>) -> Result<Bits<E>, Abort> {
    let mut column = Wire::each(bits);
    let mut digits = Vec::new();
    loop {
        let Adders { gates, keep, digit } = Adders::<E>::of(column);
        digits.push(digit);
        if gates.is_empty() {
            return Ok(e.join(&digits));
        }
        // joined, so that wires do not grow from column to column
        let products = Wire::level(e.ands(gates)?);
        let carries: Vec<_> =
            keep.iter().zip(&products).map(|(keep, product)| keep.as_ref().map_or(product.clone(), |a| a ^ product)).collect();
        column = Wire::level(e.join(&carries));
    }
}

/// A wire of an engine.
type WireOf<'a, E> = Wire<'a, Bits<E>>;

/// The adders of a column.
struct Adders<'a, E: Engine> {
    gates: Vec<Gate<'a, Bits<E>>>,
    /// What to add to the product of each for the carry.
    keep: Vec<Option<WireOf<'a, E>>>,
    /// The column's own digit.
    digit: WireOf<'a, E>,
}

impl<'a, E: Engine> Adders<'a, E> {
    fn of(mut column: Vec<WireOf<'a, E>>) -> Self {
        let (mut gates, mut keep) = (Vec::new(), Vec::new());
        while column.len() > 2 {
            let mut add = |bits: &[WireOf<'a, E>]| {
                let [a, b, c] = bits else { return bits.to_vec() };
                let other = a ^ c;
                gates.push((a ^ b, other.clone()));
                keep.push(Some(a.clone()));
                vec![b ^ &other]
            };
            column = column.chunks(3).flat_map(&mut add).collect();
        }
        if let [a, b] = &column[..] {
            gates.push((a.clone(), b.clone()));
            keep.push(None);
            column = vec![a ^ b];
        }
        Adders { gates, keep, digit: column.pop().expect("a column has a bit") }
    }
}
