//! A pseudo-random function whose key two parties share.
//!
//! `F(K, x, i) = AES-128(K, x + 2^112 i)`: blocks `i` of the value at a point `x` of less than 112 bits; a permutation is told from a function after some 2^64 blocks.
//! Of strings of words it is the CBC-MAC, their length in front (Bellare, Kilian, Rogaway, JCSS 2000): with q strings of l blocks it differs from
//! a random function by some l^2 q^2 / 2^128. A key serves either points or strings, never both.

use crate::prss::{Prss, Step};
use crate::{Z64, stack};
use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use std::ops::Range;
use zeroize::{Zeroize, Zeroizing};

/// Points have fewer bits.
pub const POINT_BITS: u32 = 112;

/// Blocks encrypted at a time.
const BLOCKS: usize = 8;

/// The function under one key, which lives on the heap and is wiped.
pub struct Prf(Box<Aes128Enc>);

impl Prf {
    /// Words of a step that [`draw`](Self::draw) takes.
    pub const WORDS: usize = 2;

    /// The function number `number` of a step of pairwise randomness: both holders of the edge key have the same.
    pub fn draw(prss: &Prss, step: Step, number: usize) -> Self {
        let words: Range<usize> = number * Self::WORDS..(number + 1) * Self::WORDS;
        stack::wiped(|| {
            let mut drawn = [Z64(0); Self::WORDS];
            prss.elements(step, words).fill(&mut drawn);
            let mut key = Zeroizing::new([0; 16]);
            key.as_chunks_mut::<8>().0.iter_mut().zip(&drawn).for_each(|(bytes, word)| *bytes = word.0.to_le_bytes());
            drawn.as_mut_slice().zeroize();
            Prf(Box::new(Aes128Enc::new((&*key).into())))
        })
    }

    /// The words of the value at `point` from block `first` on.
    pub fn fill(&self, point: u128, first: u16, out: &mut [u64]) {
        debug_assert!(point >> POINT_BITS == 0, "a point has fewer bits");
        let mut block = u128::from(first);
        for out in out.chunks_mut(2 * BLOCKS) {
            let mut blocks = [Array::default(); BLOCKS];
            let used = &mut blocks[..out.len().div_ceil(2)];
            for bytes in &mut *used {
                *bytes = (point | block << POINT_BITS).to_le_bytes().into();
                block += 1;
            }
            self.0.encrypt_blocks(used);
            for (words, bytes) in out.chunks_mut(2).zip(&*used) {
                words.iter_mut().zip(bytes.as_chunks::<8>().0).for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
            }
        }
    }

    /// 128 bits of a string of words.
    pub fn of_words(&self, words: &[u64]) -> u128 {
        let next = |state: u128| {
            let mut block = state.to_le_bytes().into();
            self.0.encrypt_block(&mut block);
            u128::from_le_bytes(block.into())
        };
        words.chunks(2).fold(next(words.len() as u128), |state, pair| {
            next(state ^ pair.iter().rev().fold(0, |value, word| value << 64 | u128::from(*word)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prss::EdgeKey;

    fn prf(key: u8, number: usize) -> Prf {
        Prf::draw(&Prss::new(&EdgeKey::new([key; 32]), 0), Step(3), number)
    }

    #[test]
    fn both_holders_have_the_same_and_no_other() {
        let values = |prf: &Prf| {
            let mut out = [0; 37];
            prf.fill(5, 2, &mut out);
            (out, prf.of_words(&[1, 2, 3]))
        };
        assert_eq!(values(&prf(1, 0)), values(&prf(1, 0)));
        assert!(values(&prf(1, 0)) != values(&prf(1, 1)) && values(&prf(1, 0)) != values(&prf(2, 0)));
    }

    #[test]
    fn values_are_addressed_by_block() {
        let prf = prf(1, 0);
        let (mut all, mut from_third) = ([0; 41], [0; 35]);
        prf.fill(9, 0, &mut all);
        prf.fill(9, 3, &mut from_third);
        assert_eq!(all[6..], from_third);
        let mut other = [0; 41];
        prf.fill(10, 0, &mut other);
        assert!(all.iter().zip(&other).all(|(a, b)| a != b));
    }

    #[test]
    fn strings_differ_in_any_word() {
        let prf = prf(1, 0);
        let base = prf.of_words(&[4, 5, 6]);
        assert!([[5, 5, 6], [4, 4, 6], [4, 5, 7]].iter().all(|words| prf.of_words(words) != base));
        assert!(prf.of_words(&[4, 5]) != prf.of_words(&[4, 5, 0]) && prf.of_words(&[]) != 0);
    }
}
