//! Seeded draws on integers.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::Stream;

pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64, stream: Stream) -> Self {
        // The key is spelled out rather than left to `seed_from_u64`, whose expansion is the library's to change.
        let mut key = *b"tacit scenarios city v1 --------";
        key[24..].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream as u64);
        Self(rng)
    }

    /// Uniform in `lo..=hi`. The bias of the multiply-shift is below 2^-40 for the ranges used here.
    pub(super) fn range(&mut self, lo: i64, hi: i64) -> i64 {
        let width = (hi - lo + 1) as u128;
        lo + ((u128::from(self.0.next_u64()) * width) >> 64) as i64
    }

    /// Bell-shaped in `lo..=hi`: the mean of four uniforms.
    pub(super) fn bell(&mut self, lo: i64, hi: i64) -> i64 {
        (0..4).map(|_| self.range(lo, hi)).sum::<i64>().div_euclid(4)
    }

    /// True in `per_mille` cases of a thousand.
    pub(super) fn chance(&mut self, per_mille: i64) -> bool {
        self.range(0, 999) < per_mille
    }

    /// `None` in `per_mille` cases of a thousand; the value is drawn by the caller either way, so the stream stays in step.
    pub(super) fn unless<T>(&mut self, per_mille: i64, value: T) -> Option<T> {
        if self.chance(per_mille) { None } else { Some(value) }
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.range(0, from.len() as i64 - 1) as usize]
    }

    pub(super) fn weighted(&mut self, weights: &Weights) -> usize {
        let at = self.range(0, weights.total() - 1);
        weights.0.partition_point(|&upto| upto <= at)
    }
}

/// Cumulative weights; at least one must be positive.
pub(super) struct Weights(Vec<i64>);

impl Weights {
    pub(super) fn new(weights: impl IntoIterator<Item = i64>) -> Self {
        let mut sum = 0;
        Self(
            weights
                .into_iter()
                .map(|w| {
                    sum += w;
                    sum
                })
                .collect(),
        )
    }

    fn total(&self) -> i64 {
        self.0.last().copied().unwrap_or(0)
    }
}
