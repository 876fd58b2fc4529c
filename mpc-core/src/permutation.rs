//! Permutations of rows, and their uniform choice from pairwise randomness.

use crate::prss::{BLOCK, Prss, Step};
use crate::{Column, Index};
use zeroize::Zeroize;

/// A permutation of the rows 0..n, n <= 2^32: row i is sent to, or fetched from, the place at i, as the operation says ([`Column::place`],
/// [`Column::fetch`]). Wiped on drop: while rows are secret, so is where they went.
#[derive(Clone)]
pub struct Permutation(Vec<u32>);

impl Permutation {
    /// Every row stays.
    pub fn identity(rows: usize) -> Self {
        let mut places = Vec::with_capacity(rows);
        places.extend((0..rows).map(|i| i as u32));
        Permutation(places)
    }

    /// The permutation with these places; `None` unless each of 0..n is there once.
    pub fn new(places: Vec<u32>) -> Option<Self> {
        let mut seen = vec![0u64; places.len().div_ceil(64)];
        for place in &places {
            let at = *place as usize;
            let word = seen.get_mut(at / 64).filter(|_| at < places.len())?;
            if *word >> (at % 64) & 1 == 1 {
                return None;
            }
            *word |= 1 << (at % 64);
        }
        Some(Permutation(places))
    }

    /// The permutation a public column of indices states; `None` if it is none.
    pub fn from_indices(column: &Column<Index>) -> Option<Self> {
        let mut places = Vec::with_capacity(column.rows());
        places.extend(column.plane(0).iter().map(|v| v.0));
        Permutation::new(places)
    }

    /// A uniform permutation, the same at both holders of the key: Fisher–Yates, each place by multiplication and rejection (Lemire, ACM TOMACS
    /// 2019), so that no bias is left.
    pub fn draw(prss: &Prss, step: Step, rows: usize) -> Self {
        let mut permutation = Permutation::identity(rows);
        // an open range: rejections draw more, equally at both holders
        let mut words = prss.elements::<Index>(step, 0..1 << 40);
        let mut block = [Index(0); BLOCK];
        let (mut at, mut filled) = (0, 0);
        for last in (1..rows).rev() {
            let bound = last as u64 + 1;
            let place = loop {
                if at == filled {
                    (at, filled) = (0, last.min(BLOCK));
                    words.fill(&mut block[..filled]);
                }
                let product = block[at].0 as u64 * bound;
                at += 1;
                // rejected where the low half is below 2^32 mod bound
                if product as u32 as u64 >= bound || product as u32 as u64 >= (1 << 32) % bound {
                    break (product >> 32) as usize;
                }
            };
            permutation.0.swap(last, place);
        }
        block.as_mut_slice().zeroize();
        permutation
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place at each row.
    pub fn places(&self) -> &[u32] {
        &self.0
    }

    /// The permutation that undoes this one.
    pub fn inverse(&self) -> Self {
        let mut inverse = vec![0; self.0.len()];
        self.0.iter().zip(0..).for_each(|(place, row)| inverse[*place as usize] = row);
        Permutation(inverse)
    }

    /// The places as a column of indices of `bits` bits.
    pub fn to_indices(&self, bits: u32) -> Column<Index> {
        Column::from_indices(self.0.iter().copied(), bits)
    }
}

impl Drop for Permutation {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Permutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Permutation of {} rows", self.0.len())
    }
}
