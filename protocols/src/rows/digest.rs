//! Wide keys, shortened where only their equality matters.
//!
//! A sort's cost grows with the bits of its key, and so does that of moving a key and of comparing it. Joins and groups sort to bring equal keys together; any order of the keys will do, so a long one is
//! sorted by a digest: a random linear map of its bits, which on shares is free. h(x) = low(x) + M high(x) over Z_2 with M uniform: keys that differ have equal digests with probability 2^-h at most
//! (Carter and Wegman, JCSS 1979). With h = 39 + 2 log2 n bits no two of n keys do, except with probability 2^-40. This M follows from a public seed, a plan's hash, since an owner who sorts at home must know it:
//! who knows it could choose keys that collide. A collision of these digests can part rows, never mix them: rows are joined, and grouped, only where their keys are equal when compared in full or, if they are long, by a second digest.
//! That one's M is drawn when the keys are shared, so that they do not depend on it: with 40 + log2 n bits none of n comparisons errs, except with probability 2^-40, in which case rows are mixed. (A party that deviates could hold back its shares until it has seen the coin, where
//! nothing was sent between, and choose keys by it, unless it is bound to them as in jobs on the log; to collide with another's key it must know that, and could have used it as it is.)
//!
//! *Functionality.* Of keys of k bits digests: to sort at most n of them, of 39 + 2 log2 n bits, the same on shares and in clear; to compare n pairs, of 40 + log2 n.
//! *Cost.* None: no round and no bit. To draw the second M, 256 random bits are opened: one round. *Leakage.* None: what is opened is
//! uniform. That a group came out twice, or two as one, which they would with probability 2^-40, would show that two keys collided.

use super::Bits;
use super::keys::zeros;
use crate::{Engine, Wire};
use mpc_core::{Abort, B64, Layout, index_bits};
use sha2::{Digest as _, Sha256};

/// Collisions have probability 2^-40 at most.
const CERTAINTY: usize = 40;

/// A digest of keys of so many bits.
#[derive(Debug)]
pub struct Digest {
    /// For each bit which bits of the key beyond the digest's own width it takes in.
    masks: Vec<Vec<u64>>,
}

impl Digest {
    /// The bits of a digest to sort keys of `width` bits, of which there are at most `count`; `None` if they are short already.
    pub fn bits(width: usize, count: u64) -> Option<usize> {
        let bits = CERTAINTY - 1 + 2 * index_bits(usize::try_from(count).unwrap_or(usize::MAX)) as usize;
        (width > bits).then_some(bits)
    }

    /// The digest to sort such keys.
    pub fn new(seed: &[u8; 32], width: usize, count: u64) -> Option<Self> {
        Some(Digest::of_seed(b"tacit/digest/v1\n", seed, width, Self::bits(width, count)?))
    }

    /// The bits of a digest to compare `count` pairs of keys of `width` bits; `None` if they are not much longer, and the round that draws it is not worth it.
    pub fn compared_bits(width: usize, count: usize) -> Option<usize> {
        let bits = CERTAINTY + index_bits(count) as usize;
        (count > 1 && width >= 2 * bits).then_some(bits)
    }

    /// The digest to compare such keys, which are shared already.
    pub(super) fn drawn<E: Engine>(engine: &mut E, width: usize, count: usize) -> Result<Option<Self>, Abort> {
        let Some(bits) = Self::compared_bits(width, count) else { return Ok(None) };
        let seed = engine.random_bits(Layout::new(256, 1))?;
        let seed = engine.verify(seed)?;
        let seed: Vec<u8> = engine.open::<B64>(&seed)?.plane(0).iter().flat_map(|word| word.0.to_le_bytes()).collect();
        Ok(Some(Digest::of_seed(b"tacit/digest/compared/v1\n", &seed, width, bits)))
    }

    fn of_seed(context: &[u8], seed: &[u8], width: usize, bits: usize) -> Self {
        let limbs = (width - bits).div_ceil(64);
        let mask = |bit: usize| {
            let limb = |limb: usize| {
                let place = [(bit as u64).to_le_bytes(), (limb as u64).to_le_bytes()].concat();
                let hash = Sha256::new().chain_update(context).chain_update(seed).chain_update(place).finalize();
                hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
            };
            (0..limbs).map(limb).collect()
        };
        Digest { masks: (0..bits).map(mask).collect() }
    }

    /// Of shared keys, their bits least significant first.
    /// No message.
    pub(super) fn of<E: Engine>(&self, engine: &mut E, key: &[Wire<'_, Bits<E>>]) -> Bits<E> {
        let (low, high) = key.split_at(self.masks.len());
        let taken = |mask: &[u64]| -> Vec<Wire<'_, Bits<E>>> {
            high.iter().enumerate().filter(|(at, _)| mask[at / 64] >> (at % 64) & 1 == 1).map(|(_, w)| w.clone()).collect()
        };
        let all: Vec<_> = low
            .iter()
            .zip(&self.masks)
            .map(|(low, mask)| {
                let mut sum = taken(mask);
                sum.push(low.clone());
                while sum.len() > 1 {
                    sum = sum.chunks(2).map(|pair| if let [a, b] = pair { a ^ b } else { pair[0].clone() }).collect();
                }
                sum.remove(0)
            })
            .collect();
        engine.join(&all)
    }

    /// Keys as they are, or a digest of them, in so many rows.
    /// No message.
    pub(super) fn or_all<E: Engine>(engine: &mut E, rows: usize, digest: Option<&Self>, key: &[Wire<'_, Bits<E>>]) -> Bits<E> {
        match digest {
            Some(digest) => digest.of(engine, key),
            None if key.is_empty() => zeros(engine, rows, 0),
            None => engine.join(key),
        }
    }

    /// Of a key in clear, its bits least significant first.
    pub fn of_clear(&self, key: &[bool]) -> u128 {
        let (low, high) = key.split_at(self.masks.len());
        let mut limbs = vec![0_u64; self.masks[0].len()];
        high.iter().enumerate().filter(|(_, bit)| **bit).for_each(|(at, _)| limbs[at / 64] |= 1 << (at % 64));
        low.iter().zip(&self.masks).enumerate().fold(0, |digest, (at, (low, mask))| {
            let parity = limbs.iter().zip(mask).fold(0, |ones, (a, b)| ones + (a & b).count_ones()) & 1;
            digest | u128::from(u32::from(*low) ^ parity) << at
        })
    }
}
