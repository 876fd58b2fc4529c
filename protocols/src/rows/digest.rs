//! Wide keys, shortened where only their equality matters.
//!
//! A sort's cost grows with the bits of its key. Joins and groups sort to bring equal keys together; any order of the keys will do, so a long one is sorted by a digest: a random
//! linear map of its bits, which on shares is free. h(x) = low(x) + M high(x) over Z_2 with M uniform: keys that differ have equal digests with probability 2^-h at most (Carter
//! and Wegman, JCSS 1979). With h = 39 + 2 log2 n bits no two of n keys do, except with probability 2^-40. What is joined or grouped is compared in full:
//! a collision could part rows, never mix them. M follows from a public seed, which must be fixed before any data are read (a plan's hash).
//!
//! *Functionality.* Of keys of k bits, of which there are at most n, digests of h = 39 + 2 log2 n; the same of keys on shares and in clear. *Cost.* None: no round and no bit. *Leakage.* None; that a group came out twice, which it would with probability 2^-40, would show that two of its keys collided.

use super::Bits;
use crate::{Engine, Wire};
use mpc_core::index_bits;
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
    /// The bits of a digest of keys of `width` bits, of which there are at most `count`; `None` if they are short already.
    pub fn bits(width: usize, count: u64) -> Option<usize> {
        let bits = CERTAINTY - 1 + 2 * index_bits(usize::try_from(count).unwrap_or(usize::MAX)) as usize;
        (width > bits).then_some(bits)
    }

    /// The digest of such keys.
    pub fn new(seed: &[u8; 32], width: usize, count: u64) -> Option<Self> {
        let bits = Self::bits(width, count)?;
        let limbs = (width - bits).div_ceil(64);
        let mask = |bit: usize| {
            let limb = |limb: usize| {
                let place = [(bit as u64).to_le_bytes(), (limb as u64).to_le_bytes()].concat();
                let hash = Sha256::new().chain_update(b"tacit/digest/v1\n").chain_update(seed).chain_update(place).finalize();
                hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
            };
            (0..limbs).map(limb).collect()
        };
        Some(Digest { masks: (0..bits).map(mask).collect() })
    }

    /// Of shared keys.
    /// No message.
    pub(super) fn of<E: Engine>(&self, engine: &mut E, key: &Bits<E>) -> Bits<E> {
        let wires = Wire::each(key);
        let (low, high) = wires.split_at(self.masks.len());
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
