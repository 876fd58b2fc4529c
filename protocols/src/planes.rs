//! Elements to bit-planes and integers to elements, where a party knows the values in clear. No branch and no index depends on a value.

use mpc_core::{B64, Column, Layout, Ring};

/// The `R::BITS` bit-planes of the elements of a column of one plane, least significant first.
pub(crate) fn bit_planes<R: Ring>(elements: &Column<R>) -> Column<B64> {
    assert!(R::ROWS == 1 && elements.planes() == 1, "one element a row");
    assert_eq!(elements.layout().width::<R>(), R::BITS, "elements in all their bits");
    let width = R::BITS as usize;
    let layout = Layout::new(elements.rows(), width);
    let mut planes = Column::<B64>::zeros(layout);
    let (stride, words) = (layout.stride::<B64>(), planes.as_mut_slice());
    for (block, rows) in elements.as_slice().chunks(64).enumerate() {
        for half in 0..width.div_ceil(64) {
            let mut square = zeroize::Zeroizing::new([0u64; 64]);
            square.iter_mut().zip(rows).for_each(|(word, v)| *word = (v.to_bits() >> (64 * half)) as u64);
            transpose(&mut square);
            let here = 64.min(width - 64 * half);
            (0..here).for_each(|plane| words[(64 * half + plane) * stride + block] = B64(square[plane]));
        }
    }
    planes
}

/// Bit j of word i becomes bit i of word j: blocks of half the size change places, size by size (Warren, Hacker's Delight, 7-3).
fn transpose(square: &mut [u64; 64]) {
    let (mut size, mut low) = (32, u64::MAX >> 32);
    while size > 0 {
        for i in (0..64).filter(|i| i & size == 0) {
            let moved = (square[i] >> size ^ square[i + size]) & low;
            square[i] ^= moved << size;
            square[i + size] ^= moved;
        }
        size /= 2;
        low ^= low << size;
    }
}

/// The number of elements of `R`: 2^k or 2^k - 1, k = `R::BITS`.
pub(crate) fn modulus<R: Ring>() -> u128 {
    R::ZERO.sub(R::ONE).to_bits() + 1
}

/// `v` in `R`: digits of one bit less than an element, which are all elements, by Horner's rule.
pub(crate) fn element<R: Ring>(v: u128) -> R {
    let digit = R::BITS - 1;
    let base = R::from_bits(1 << (digit - 1)).expect("a power of two below the modulus is an element");
    let base = base.add(base);
    let digit_at = |i: u32| R::from_bits(v >> (i * digit) & ((1 << digit) - 1)).expect("a digit is an element");
    (0..u128::BITS.div_ceil(digit)).rev().fold(R::ZERO, |sum, i| sum.mul(base).add(digit_at(i)))
}

/// `v / divisor` for `v` of `bits` bits and a public divisor: long division, each bit taking the same steps.
pub(crate) fn quotient(v: u128, divisor: u128, bits: u32) -> u128 {
    if divisor.is_power_of_two() {
        return v >> divisor.trailing_zeros();
    }
    let (mut quotient, mut rest) = (0, 0u128);
    for i in (0..bits).rev() {
        rest = rest << 1 | (v >> i & 1);
        let less = rest.wrapping_sub(divisor);
        // the top bit of the difference says that it is negative: rest < 2 divisor <= 2^127
        let fits = (less >> 127) ^ 1;
        rest ^= (rest ^ less) & fits.wrapping_neg();
        quotient = quotient << 1 | fits;
    }
    quotient
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_core::{Fp61, Fp127, Z64};

    #[test]
    fn planes_of_elements() {
        fn holds<R: Ring>(rows: usize) {
            let values: Vec<R> = (0..rows as u128).map(|i| element(i.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))).collect();
            let planes = bit_planes(&Column::from_rows(values.clone()));
            assert_eq!(planes.layout(), Layout::new(rows, R::BITS as usize));
            assert!(planes.to_uints().iter().zip(&values).all(|(bits, v)| *bits == v.to_bits()));
        }
        for rows in [0, 1, 63, 64, 65, 130] {
            holds::<Fp61>(rows);
            holds::<Fp127>(rows);
            holds::<Z64>(rows);
        }
    }

    #[test]
    fn integers_as_elements_and_quotients() {
        for v in [0, 1, 99, 100, 101, u64::MAX as u128, (1 << 126) - 1, 1 << 126, u128::MAX >> 1] {
            assert_eq!(element::<Fp61>(v).to_bits(), v % modulus::<Fp61>());
            assert_eq!(element::<Fp127>(v).to_bits(), v % modulus::<Fp127>());
            assert_eq!(element::<Z64>(v).to_bits(), v % modulus::<Z64>());
            for divisor in [1, 2, 3, 10, 64, 1000, 1 << 60, (1 << 61) - 1, 10u128.pow(18)] {
                assert_eq!(quotient(v, divisor, 127), v / divisor);
            }
        }
    }
}
