//! The Merkle tree of a log: RFC 6962, section 2.1, over SHA-256.
//!
//! All three proofs a log gives are one: that the tree over `D[start:end]` is a part of the tree over `D[0:size]`
//! (draft-ietf-plants-merkle-tree-certs, section 4.4). With one leaf it is the audit path of RFC 6962, section 2.1.1, with
//! `start = 0` the consistency proof of section 2.1.2. The prover and the verifier walk the same recursion.

use crate::bytes::Hash;
use std::convert::Infallible;

/// The most hashes in a proof: one for each level of a tree of 2^63 leaves.
pub const MAX_PROOF: usize = 63;

/// The hash of an entry.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash::sha256(&[&[0], entry])
}

/// The hash of two neighbouring trees.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::sha256(&[&[1], &left.0, &right.0])
}

/// The root of the tree without leaves.
pub fn empty_root() -> Hash {
    Hash::sha256(&[])
}

/// Where the hashes of a log's complete subtrees come from.
pub trait Hashes {
    /// Why one cannot be had.
    type Error;

    /// The hash over the leaves `index << level .. (index + 1) << level`, all of which exist.
    ///
    /// # Errors
    /// It cannot be had.
    fn complete(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// All leaf hashes of a small tree.
impl Hashes for [Hash] {
    type Error = Infallible;

    fn complete(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
        let leaves = &self[(index << level) as usize..((index + 1) << level) as usize];
        Ok(fold(leaves))
    }
}

/// The root over 2^h hashes.
pub(crate) fn fold(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two(), "a complete tree");
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    level[0]
}

/// The root of the first `size` leaves.
///
/// # Errors
/// A hash cannot be had.
pub fn root<H: Hashes + ?Sized>(hashes: &H, size: u64) -> Result<Hash, H::Error> {
    if size == 0 { Ok(empty_root()) } else { range(hashes, 0, size) }
}

/// The proof that `D[start:end]` is a subtree of the first `size` leaves. `start` must be a multiple of the least power of two
/// that is not below `end - start`, as it is with single leaves, with prefixes, and with tiles.
///
/// # Errors
/// A hash cannot be had.
pub fn prove<H: Hashes + ?Sized>(hashes: &H, start: u64, end: u64, size: u64) -> Result<Vec<Hash>, H::Error> {
    debug_assert!(is_subtree(start, end) && end <= size, "a subtree within the tree");
    let mut proof = Vec::new();
    // The proof lists the deepest hash first; the walk down meets it last.
    let (mut low, mut high, mut from_root) = (0, size, true);
    loop {
        if (start, end) == (low, high) || (!from_root && high == end) {
            if !from_root {
                proof.push(range(hashes, low, high)?);
            }
            break;
        }
        let middle = low + split(high - low);
        if end <= middle {
            proof.push(range(hashes, middle, high)?);
            high = middle;
        } else {
            proof.push(range(hashes, low, middle)?);
            // A prefix that reaches over the middle: its left part is in the proof, so its right part must be too.
            from_root &= start >= middle;
            low = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Checks [`prove`]'s proof: `part` is the root of `D[start:end]`, `whole` that of the first `size` leaves.
///
/// # Errors
/// It does not prove that.
pub fn verify(start: u64, end: u64, size: u64, part: &Hash, whole: &Hash, proof: &[Hash]) -> Result<(), BadProof> {
    if !is_subtree(start, end) || end > size {
        return Err(BadProof("there is no such part in a tree of this size"));
    }
    if proof.len() > MAX_PROOF {
        return Err(BadProof("it is longer than any proof"));
    }
    let mut walk = Walk { part: *part, proof: proof.iter() };
    let (old, new) = walk.down(start, end, size, true).ok_or(BadProof("it is too short"))?;
    if walk.proof.next().is_some() {
        return Err(BadProof("it is too long"));
    }
    if old != *part || new != *whole { Err(BadProof("it leads to another root")) } else { Ok(()) }
}

/// Checks that the leaf is the one at `index` of the tree.
///
/// # Errors
/// The proof does not prove it.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, whole: &Hash, proof: &[Hash]) -> Result<(), BadProof> {
    let end = index.checked_add(1).ok_or(BadProof("there is no such leaf"))?;
    verify(index, end, size, leaf, whole, proof)
}

/// Checks that the tree of `new` leaves begins with that of `old`.
///
/// # Errors
/// The proof does not prove it.
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> Result<(), BadProof> {
    if old == 0 {
        let empty = proof.is_empty() && *old_root == empty_root() && (new > 0 || *new_root == empty_root());
        return if empty { Ok(()) } else { Err(BadProof("nothing is to be proved of the empty tree, and it has one root")) };
    }
    verify(0, old, new, old_root, new_root, proof)
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Merkle proof does not hold: {0}")]
pub struct BadProof(&'static str);

/// Whether `D[start:end]` is a subtree of every tree that holds it.
pub(crate) fn is_subtree(start: u64, end: u64) -> bool {
    start < end && (end - start).checked_next_power_of_two().is_some_and(|width| start.is_multiple_of(width))
}

/// The root of `D[low:high]`, a subtree.
pub(crate) fn range<H: Hashes + ?Sized>(hashes: &H, low: u64, high: u64) -> Result<Hash, H::Error> {
    let width = high - low;
    if width.is_power_of_two() {
        let level = width.trailing_zeros() as u8;
        return hashes.complete(level, low >> level);
    }
    let middle = low + split(width);
    Ok(node_hash(&range(hashes, low, middle)?, &range(hashes, middle, high)?))
}

/// The largest power of two below `size`, which is 2 at least.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// RFC 6962's recursion, downwards; the hashes come together on the way back.
struct Walk<'a> {
    part: Hash,
    proof: std::slice::Iter<'a, Hash>,
}

impl Walk<'_> {
    /// The root of `D[start:end]` and that of the whole, within a tree of `size` leaves. `known`: the part is given, not proved.
    fn down(&mut self, start: u64, end: u64, size: u64, known: bool) -> Option<(Hash, Hash)> {
        if (start, end) == (0, size) {
            let hash = if known { self.part } else { *self.proof.next()? };
            return Some((hash, hash));
        }
        let middle = split(size);
        if end <= middle {
            let (old, left) = self.down(start, end, middle, known)?;
            Some((old, node_hash(&left, self.proof.next()?)))
        } else if start >= middle {
            let (old, right) = self.down(start - middle, end - middle, size - middle, known)?;
            Some((old, node_hash(self.proof.next()?, &right)))
        } else {
            let (old, right) = self.down(0, end - middle, size - middle, false)?;
            let left = self.proof.next()?;
            Some((node_hash(left, &old), node_hash(left, &right)))
        }
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
