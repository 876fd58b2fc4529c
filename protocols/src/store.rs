//! A key–value store that shows nothing of its keys: an OKVS (Garimella, Pinkas, Rosulek, Trieu, Yanai, CRYPTO'21).
//!
//! *Functionality.* [`encode`] turns pairs of a tag and a value into a store whose size is public; [`decode`] gives the value of a tag that was encoded, and of any other tag
//! what follows from the store. If the values are uniform, so is the store: it says nothing of the tags, nor how many there were.
//! *Method.* Tags fall into buckets; within a bucket a tag is a uniform vector over Z_2, and its value the sum of the bucket's rows where the vector is 1. Encoding is
//! solving these equations, the free rows uniform (the dense matrix of Garimella et al., section 4.1, on bins as in section 6 of Pinkas, Rosulek, Trieu, Yanai, EUROCRYPT'20). Buckets
//! and vectors are values of a pseudo-random function of the tags, so that whether it fails does not depend on what the tags stand for.
//! *Failure.* 2^-40 at most, proved, not extrapolated from experiments as for cuckoo hashing: half of it for a bucket with more tags than it may have ([`tail`], a Chernoff bound on the
//! binomial in integers rounded up, times the buckets), half for vectors that are not independent: k vectors of k + d bits are not with probability below 2^-d.
//! *Size.* n + 41 rows up to 1024 tags; then some 1.8 rows a tag.

use mpc_core::prf::Prf;
use std::ops::Range;
use zeroize::Zeroizing;

/// Failure has probability 2^-40 at most.
const CERTAINTY: u32 = 40;
/// Up to so many tags fall into one bucket.
const ALONE: usize = 1024;
/// Tags a bucket, on average: solving takes the square of it, the rows above the average its root.
const MEAN: usize = 256;
/// The block of the function of the tags that says the bucket; vectors take those from 0.
const BUCKET: u16 = u16::MAX;

/// The public shape of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    buckets: usize,
    /// Most tags of a bucket.
    load: usize,
    /// Rows of a bucket.
    rows: usize,
}

impl Shape {
    /// Of a store of at most `count` tags.
    pub fn new(count: usize) -> Self {
        let buckets = if count <= ALONE { 1 } else { count.div_ceil(MEAN) };
        let certainty = CERTAINTY + 1 + (buckets as u64).next_power_of_two().ilog2();
        let load = if buckets == 1 { count } else { load(count as u64, buckets as u64, certainty.into()) };
        Shape { buckets, load, rows: if count == 0 { 0 } else { load + certainty as usize } }
    }

    /// Rows of the store.
    pub fn rows(&self) -> usize {
        self.buckets * self.rows
    }

    fn bucket(&self, tag: u128, of: &Prf) -> usize {
        let mut word = [0];
        of.fill(tag, BUCKET, &mut word);
        ((u128::from(word[0]) * self.buckets as u128) >> 64) as usize
    }

    /// The numbers of the tags by buckets, and where those of each begin.
    fn buckets(&self, tags: &[u128], of: &Prf) -> (Zeroizing<Vec<u32>>, Vec<u32>) {
        let mut starts = vec![0; self.buckets + 1];
        let bucket: Zeroizing<Vec<u32>> = Zeroizing::new(tags.iter().map(|tag| self.bucket(*tag, of) as u32).collect());
        bucket.iter().for_each(|bucket| starts[*bucket as usize + 1] += 1);
        (0..self.buckets).for_each(|bucket| starts[bucket + 1] += starts[bucket]);
        let (mut next, mut numbers) = (starts.clone(), Zeroizing::new(vec![0; tags.len()]));
        for (number, bucket) in (0..).zip(bucket.iter()) {
            let next = &mut next[*bucket as usize];
            numbers[*next as usize] = number;
            *next += 1;
        }
        (numbers, starts)
    }

    /// Words of a vector.
    fn words(&self) -> usize {
        self.rows.div_ceil(64)
    }

    fn vector(&self, tag: u128, of: &Prf, out: &mut [u64]) {
        of.fill(tag, 0, out);
        if !self.rows.is_multiple_of(64) {
            out[self.rows / 64] &= u64::MAX >> (64 - self.rows % 64);
        }
    }
}

/// The least number that a bucket of `buckets` has more tags of `count` than with probability 2^-`certainty` at most.
fn load(count: u64, buckets: u64, certainty: u64) -> usize {
    let mut least = count.div_ceil(buckets);
    while tail(count, buckets, least + 1) < certainty {
        least += 1;
    }
    least as usize
}

/// At least `at` of `count` tags fall into one of `buckets` buckets with probability 2^-tail at most. With mean m = count / buckets and t = `at` > m it is
/// e^(t - m) (m / t)^t at most (Chernoff); logarithms have 32 places and are rounded to the safe side.
fn tail(count: u64, buckets: u64, at: u64) -> u64 {
    // log2 e, rounded up
    const LOG2_E: u128 = 6_196_328_019;
    let above = (u128::from(at) * u128::from(buckets)).saturating_sub(count.into());
    let lost = (above * LOG2_E).div_ceil(buckets.into());
    // t / m, rounded down
    let ratio = ((u128::from(at) * u128::from(buckets)) << 32) / u128::from(count);
    let gained = u128::from(at) * log2(ratio as u64);
    (gained.saturating_sub(lost) >> 32) as u64
}

/// The logarithm of x / 2^32 >= 1, times 2^32, rounded down: its places by squaring.
fn log2(x: u64) -> u128 {
    let whole = x.ilog2().saturating_sub(32);
    let mut x = u128::from(x >> whole);
    let mut log = u128::from(whole) << 32;
    for place in (0..32).rev() {
        // below 4 with 32 places
        x = (x * x) >> 32;
        if x >= 2 << 32 {
            x >>= 1;
            log |= 1 << place;
        }
    }
    log
}

/// The store of pairs of `tags` and values of `limbs` words: `value` says the value of a tag's number, `write` gets the rows of the store in their order, those of a bucket at
/// a time. Tags are distinct and no more than the shape holds. `of` is the function of the tags, `free` one that whoever gets the store does not know. `None` with
/// probability 2^-40 at most, and if a tag is there twice.
pub(crate) fn encode(
    shape: &Shape,
    tags: &[u128],
    limbs: usize,
    (of, free): (&Prf, &Prf),
    mut value: impl FnMut(usize, &mut [u64]),
    mut write: impl FnMut(&[u64]),
) -> Option<()> {
    // points beyond all tags
    let point = |row: usize| 1 << (mpc_core::prf::POINT_BITS - 1) | row as u128;
    let (words, width) = (shape.words(), shape.words() + limbs);
    let (numbers, starts) = shape.buckets(tags, of);
    let mut rows = Zeroizing::new(vec![0; shape.rows * limbs]);
    for (bucket, range) in starts.windows(2).enumerate() {
        let numbers = &numbers[range[0] as usize..range[1] as usize];
        if numbers.len() > shape.load {
            return None;
        }
        // each equation a vector and its value
        let mut equations = Zeroizing::new(vec![0; numbers.len() * width]);
        let mut pivots = Vec::with_capacity(numbers.len());
        for (number, row) in numbers.iter().zip(0..) {
            let (solved, rest) = equations.split_at_mut(row * width);
            let equation = &mut rest[..width];
            shape.vector(tags[*number as usize], of, &mut equation[..words]);
            value(*number as usize, &mut equation[words..]);
            for (pivot, solved) in pivots.iter().zip(solved.chunks_exact(width)) {
                add(equation, solved, bit(equation, *pivot));
            }
            let first = equation[..words].iter().position(|word| *word != 0)?;
            pivots.push(64 * first + equation[first].trailing_zeros() as usize);
        }
        rows.chunks_exact_mut(limbs.max(1)).enumerate().for_each(|(row, out)| free.fill(point(bucket * shape.rows + row), 0, out));
        for (pivot, equation) in pivots.iter().zip(equations.chunks_exact(width)).rev() {
            let (vector, value) = equation.split_at(words);
            rows[pivot * limbs..][..limbs].fill(0);
            let mut sum = value.to_vec();
            rows.chunks_exact(limbs.max(1)).enumerate().for_each(|(at, row)| add(&mut sum, row, bit(vector, at)));
            rows[pivot * limbs..][..limbs].copy_from_slice(&sum);
        }
        write(&rows);
    }
    Some(())
}

/// The values of tags, `limbs` words each; `rows` gives those rows of the store.
pub(crate) fn decode(
    shape: &Shape,
    tags: &[u128],
    limbs: usize,
    of: &Prf,
    rows: impl Fn(Range<usize>) -> Zeroizing<Vec<u64>>,
) -> Zeroizing<Vec<u64>> {
    let mut values = Zeroizing::new(vec![0; tags.len() * limbs]);
    if shape.rows == 0 || limbs == 0 {
        return values;
    }
    // the sums of each choice of four rows, so that a vector is read four bits at a time
    let groups = shape.rows.div_ceil(4);
    let mut sums = vec![0; groups * 16 * limbs];
    let mut vector = vec![0; shape.words()];
    let (numbers, starts) = shape.buckets(tags, of);
    for (bucket, range) in starts.windows(2).enumerate().filter(|(_, range)| range[0] < range[1]) {
        let rows = rows(bucket * shape.rows..(bucket + 1) * shape.rows);
        for (four, sums) in rows.chunks(4 * limbs).zip(sums.chunks_exact_mut(16 * limbs)) {
            for (place, row) in four.chunks_exact(limbs).enumerate() {
                let (without, with) = sums[..limbs << (place + 1)].split_at_mut(limbs << place);
                for (without, with) in without.chunks_exact(limbs).zip(with.chunks_exact_mut(limbs)) {
                    with.iter_mut().zip(without.iter().zip(row)).for_each(|(sum, (a, b))| *sum = a ^ b);
                }
            }
        }
        for number in &numbers[range[0] as usize..range[1] as usize] {
            shape.vector(tags[*number as usize], of, &mut vector);
            let value = &mut values[*number as usize * limbs..][..limbs];
            for (group, sums) in sums.chunks_exact(16 * limbs).enumerate() {
                let choice = (vector[group / 16] >> (4 * (group % 16)) & 15) as usize;
                value.iter_mut().zip(&sums[choice * limbs..]).for_each(|(v, sum)| *v ^= sum);
            }
        }
    }
    values
}

/// Adds `other` if `choice` is 1.
#[inline(always)]
fn add(words: &mut [u64], other: &[u64], choice: u64) {
    let mask = choice.wrapping_neg();
    words.iter_mut().zip(other).for_each(|(a, b)| *a ^= b & mask);
}

#[inline(always)]
fn bit(words: &[u64], at: usize) -> u64 {
    words[at / 64] >> (at % 64) & 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_core::prf::Prf;
    use mpc_core::world::World;

    /// Two functions, the same for each seed.
    fn functions(seed: u64) -> (Prf, Prf) {
        let both = World::new(2, seed).run_ok(|mut session| {
            let (peer, step) = (session.right(1), session.step());
            Ok((Prf::draw(session.prss(peer), step, 0), Prf::draw(session.prss(peer), step, 1)))
        });
        both.into_iter().next().expect("two parties").0
    }

    fn words(seed: u64, count: usize) -> Vec<u64> {
        let prf = functions(seed).0;
        let mut out = vec![0; count];
        prf.fill(1 << 100 | u128::from(seed), 0, &mut out);
        out
    }

    /// The store as a whole, of values side by side.
    fn encoded(shape: &Shape, tags: &[u128], values: &[u64], limbs: usize, functions: (&Prf, &Prf)) -> Option<Vec<u64>> {
        let mut store = Vec::new();
        let value = |number: usize, out: &mut [u64]| out.copy_from_slice(&values[number * limbs..][..limbs]);
        encode(shape, tags, limbs, functions, value, |rows| store.extend_from_slice(rows)).map(|()| store)
    }

    fn decoded(shape: &Shape, store: &[u64], tags: &[u128], limbs: usize, of: &Prf) -> Vec<u64> {
        let rows = |range: Range<usize>| Zeroizing::new(store[range.start * limbs..range.end * limbs].to_vec());
        decode(shape, tags, limbs, of, rows).to_vec()
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let (of, free) = functions(1);
        for count in [0, 1, 2, 63, 64, 65, 1000, 1024, 1025, 5000] {
            for (used, limbs) in [(count, 1), (count, 3), (count / 2, 2), (0, 1)] {
                let shape = Shape::new(count);
                let tags: Vec<u128> = (0..used as u128).map(|i| (i * i) << 20 | i).collect();
                let values = words(7, used * limbs);
                let store = encoded(&shape, &tags, &values, limbs, (&of, &free)).expect("it fails with probability 2^-40");
                assert_eq!(store.len(), shape.rows() * limbs);
                assert_eq!(decoded(&shape, &store, &tags, limbs, &of), values, "{used} of {count}");
            }
        }
    }

    #[test]
    fn other_tags_have_values_of_their_own() {
        let (of, free) = functions(2);
        let shape = Shape::new(300);
        let tags: Vec<u128> = (0..200).collect();
        let store = encoded(&shape, &tags, &words(3, 200), 1, (&of, &free)).expect("it fails with probability 2^-40");
        let others: Vec<u128> = (200..1200).collect();
        let mut values = decoded(&shape, &store, &others, 1, &of);
        let ones: u32 = values.iter().map(|v| v.count_ones()).sum();
        assert!((31_000..33_000).contains(&ones), "{ones} of 64,000 bits are 1");
        values.extend(words(3, 200));
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 1200);
    }

    #[test]
    fn a_tag_twice_and_too_many_tags_are_refused() {
        let (of, free) = functions(3);
        let twice = encoded(&Shape::new(4), &[1, 2, 1], &[1, 2, 3], 1, (&of, &free));
        let many = encoded(&Shape::new(2), &[1, 2, 3], &[1, 2, 3], 1, (&of, &free));
        assert!(twice.is_none() && many.is_none());
    }

    /// The exact tail of the binomial, as 2^-result rounded up: term by term, scaled so that nothing is lost that matters.
    fn exact_tail(count: u64, buckets: u64, at: u64) -> f64 {
        let p = 1.0 / buckets as f64;
        let ln_choose = |k: u64| (1..=k).map(|i| (((count - k + i) as f64) / i as f64).ln()).sum::<f64>();
        let first = ln_choose(at) + at as f64 * p.ln() + (count - at) as f64 * (1.0 - p).ln();
        let mut term = 1.0;
        let mut sum = 1.0;
        for k in at..(at + 2000).min(count) {
            term *= (count - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
            sum += term;
        }
        -(first + f64::ln(sum)) / std::f64::consts::LN_2
    }

    #[test]
    fn buckets_overflow_with_probability_below_two_to_the_minus_41() {
        for count in [1025, 2000, 10_000, 100_000, 1_000_000, 20_000_000] {
            let shape = Shape::new(count);
            let (count, buckets, load) = (count as u64, shape.buckets as u64, shape.load as u64);
            let all = exact_tail(count, buckets, load + 1) - (buckets as f64).log2();
            assert!(all >= 41.0, "{count} tags: 2^-{all}");
            // the bound is not far from what is needed
            let tighter = exact_tail(count, buckets, load - load / 12) - (buckets as f64).log2();
            assert!(tighter < 41.0, "{count} tags: a load of {load} is too many");
            for at in [load, load + 1, 2 * load] {
                assert!(tail(count, buckets, at) as f64 <= exact_tail(count, buckets, at), "{count} tags, {at} in a bucket");
            }
        }
    }

    #[test]
    fn logarithms_are_rounded_down() {
        for x in [1.0, 1.0001, 1.5, 2.0, 3.0, 7.9, 1000.0_f64] {
            let scaled = (x * 4_294_967_296.0) as u64;
            let log = log2(scaled) as f64 / 4_294_967_296.0;
            assert!(log <= (scaled as f64 / 4_294_967_296.0).log2() + 1e-12 && log > x.log2() - 1e-6, "{x}: {log}");
        }
    }

    #[test]
    fn vectors_are_independent_as_often_as_random_ones() {
        // eight vectors of ten bits: fewer than one of four sets is dependent, and at least one of 2^10
        let of = functions(4).0;
        let shape = Shape { buckets: 1, load: 8, rows: 10 };
        let sets = 4096;
        let failed =
            (0..sets).filter(|set| encoded(&shape, &(set * 8..set * 8 + 8).collect::<Vec<_>>(), &[0; 8], 1, (&of, &of)).is_none()).count();
        // 1 - (1 - 2^-10) ... (1 - 2^-3) = 0.2303
        assert!((840..1050).contains(&failed), "{failed} of {sets}");
    }
}
