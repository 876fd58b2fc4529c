//! The larger field.

use super::{Ring, word};
use zeroize::DefaultIsZeroes;

/// Integers mod the Mersenne prime 2^127-1, canonical: fixed-point values whose products leave [`Fp61`](super::Fp61).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Fp127(u128);

impl Fp127 {
    /// The modulus.
    pub const P: u128 = (1 << 127) - 1;

    /// `v` mod p.
    #[inline(always)]
    pub fn new(v: u128) -> Self {
        let v = (v & Self::P) + (v >> 127);
        let d = v.wrapping_sub(Self::P);
        Fp127(d.wrapping_add(Self::P & (((d as i128) >> 127) as u128)))
    }

    /// `v` mod p, for any signed value.
    pub fn from_i128(v: i128) -> Self {
        let size = Fp127::new(v.unsigned_abs());
        let negative = Fp127::ZERO.sub(size);
        Fp127(size.0 ^ ((size.0 ^ negative.0) & (v >> 127) as u128))
    }

    /// The representative in 0..p.
    pub fn get(self) -> u128 {
        self.0
    }

    /// The representative nearest zero.
    pub fn centered(self) -> i128 {
        if self.0 > Self::P / 2 { self.0 as i128 - Self::P as i128 } else { self.0 as i128 }
    }
}

impl Ring for Fp127 {
    const NAME: &'static str = "Fp127";
    const BITS: u32 = 127;
    const ROWS: usize = 1;
    const SAMPLE: usize = 16;
    const ZERO: Self = Fp127(0);
    const ONE: Self = Fp127(1);

    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Fp127::new(self.0 + o.0)
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Fp127::new(self.0 + (Self::P - o.0))
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        // schoolbook on 64-bit halves; 2^128 = 2 (mod p)
        let (a0, a1) = (self.0 as u64 as u128, self.0 >> 64);
        let (b0, b1) = (o.0 as u64 as u128, o.0 >> 64);
        let lo = a0 * b0;
        let mid = a0 * b1 + a1 * b0; // each < 2^127: no overflow
        let hi = a1 * b1 + (mid >> 64); // a1 b1 < 2^126
        let (low, carry) = lo.overflowing_add(mid << 64);
        let hi = hi + carry as u128;
        // value = hi 2^128 + low = 2 hi + low (mod p), hi < 2^126
        Fp127::new(Fp127::new(low).0 + Fp127::new(hi << 1).0)
    }
    #[inline(always)]
    fn sample(bytes: &[u8]) -> Option<Self> {
        let v = (word(bytes) as u128 | (word(&bytes[8..]) as u128) << 64) & Self::P;
        (v != Self::P).then_some(Fp127(v))
    }
    #[inline(always)]
    fn to_bits(self) -> u128 {
        self.0
    }
    #[inline(always)]
    fn from_bits(bits: u128) -> Option<Self> {
        (bits < Self::P).then_some(Fp127(bits))
    }
}

impl DefaultIsZeroes for Fp127 {}
