//! Discrete Laplace noise: P(k) = (1 - q) / (1 + q) q^|k| with q = e^(-ε/Δ), which makes a value of sensitivity Δ ε-private (Ghosh, Roughgarden, Sundararajan, STOC'09).
//!
//! *Functionality.* One integer a row of this law, to within [`Laplace::loss`]'s δ; no party knows it, nor has chosen anything of it.
//! *Protocol.* A geometric G, P(G = k) = (1 - q) q^k, has independent bits: bit i is set with probability 1 / (1 + e^((ε/Δ) 2^i)) (Dwork, Kenthapadi, McSherry, Mironov, Naor,
//! EC'06, section 4; Champion, shelat, Ullman, CCS'19). Let s be a bit of its own with P(s = 1) = q / (1 + q) = 1 / (1 + e^(ε/Δ)). Then G where s = 0 and -1 - G where s = 1 has the
//! law above: (1 - q) q^k / (1 + q) for k >= 0, and q (1 - q) q^(-k-1) / (1 + q) for k < 0. In two's complement -1 - G is G with all bits complemented, so the
//! noise is the bits of G, each xor s, under the sign s: of d + 1 biased bits, where the difference of two geometrics takes 2d. A biased bit is [r < t] for λ = 64 random bits r and
//! the integer t = floor(2^λ p). All bits of all rows are compared at once.
//! *Cost.* (d + 1)(89 + 61) bits a row over Fp61, 8 rounds ([`cost::laplace`](crate::cost::laplace)); ε/Δ = 1: d = 6, 1050 bits; none of it depends on data, so that it can be done
//! at any time before. *Leakage.* None.
//!
//! *Distance.* Of the d + 1 thresholds each is off by less than 2^-λ, and G reaches 2^d with probability at most 2^-λ: the law is within (d + 2) 2^-λ of the ideal one. Noise on
//! c cells that one entity touches is within c times that of an ε-private one, hence (ε, δ)-private with δ = (1 + e^ε) c (d + 2) 2^-λ.

use super::exact::{Rational, bit_count, ceil_shift, exponential, threshold};
use super::{Bits, Delta, Epsilon, Loss, Sensitivity, Unfit};
use crate::circuit::{self, Sign};
use crate::{Abort, Engine, Share};
use mpc_core::{B64, Column, Layout, Ring};
use num_bigint::BigUint;

/// Noise of one law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laplace {
    epsilon: Epsilon,
    cells: u64,
    /// Random bits of a biased bit.
    precision: u32,
    /// Of 2^precision: the biases of the bits of G.
    thresholds: Vec<u64>,
}

impl Laplace {
    /// Random bits of a biased bit.
    pub const PRECISION: u32 = 64;

    /// The noise that makes a release of this sensitivity ε-private.
    pub fn new(epsilon: Epsilon, sensitivity: &Sensitivity) -> Result<Self, Unfit> {
        Self::with_precision(epsilon, sensitivity, Self::PRECISION)
    }

    /// [`new`](Self::new) with biased bits of another precision, at most 64: to see the exact law where it is small.
    pub fn with_precision(epsilon: Epsilon, sensitivity: &Sensitivity, precision: u32) -> Result<Self, Unfit> {
        assert!(0 < precision && precision <= 64, "a precision of 1 to 64 bits");
        let Sensitivity { total, cells, .. } = *sensitivity;
        if epsilon.0 == 0 || u128::from(epsilon.0) >= 32 * u128::from(total) * u128::from(Epsilon::ONE.0) {
            return Err(if total == 0 { Unfit::Sensitivity } else { Unfit::Epsilon(epsilon) });
        }
        let bits = bit_count(&Rational::epsilon(epsilon, total, 0), precision);
        if bits > 120 {
            return Err(Unfit::Wide(bits));
        }
        // the sign has the bias of the lowest bit, also where G has none
        let thresholds = (0..bits.max(1)).map(|i| threshold(&Rational::epsilon(epsilon, total, i), precision)).collect();
        Ok(Laplace { epsilon, cells, precision, thresholds })
    }

    /// d: the noise is in -2^d..2^d.
    pub fn bits(&self) -> u32 {
        self.thresholds.len() as u32
    }

    /// Random bits of a biased bit.
    pub fn precision(&self) -> u32 {
        self.precision
    }

    /// Of 2^[`precision`](Self::precision): how likely each bit of G is set; the first is the sign's bias too.
    pub fn thresholds(&self) -> &[u64] {
        &self.thresholds
    }

    /// What it costs to release the cells with this noise on each.
    pub fn loss(&self) -> Loss {
        let e = exponential(&Rational::epsilon(self.epsilon, 1, 0), 64);
        let factor = (BigUint::from(1u8) << e.bits) + e.high;
        let delta = ceil_shift(factor * self.cells * (self.bits() + 2) * Delta::ONE.0, e.bits + self.precision);
        let delta = u128::try_from(delta).map_or(Delta::ONE, |units| Delta(units).min(Delta::ONE));
        Loss { epsilon: self.epsilon, delta }
    }

    /// One value a row.
    pub fn sample<E: Engine, R: Ring>(&self, e: &mut E, rows: usize) -> Result<E::Share<R>, Abort> {
        let random = e.random_bits(self.random(rows))?;
        self.from_random::<E, R>(e, &random)
    }

    /// The random bits that `rows` values take: rows are bits of the noise, from the lowest to the sign, for all values each.
    pub fn random(&self, rows: usize) -> Layout {
        Self::random_of(&[self], rows)
    }

    /// The values that these random bits give.
    pub fn from_random<E: Engine, R: Ring>(&self, e: &mut E, random: &Bits<E>) -> Result<E::Share<R>, Abort> {
        let layout = random.layout();
        let rows = layout.rows / self.biased();
        assert_eq!(layout, self.random(rows), "as many random bits as the values take");
        Self::of_random::<E, R>(e, &[self], rows, random)
    }

    /// `rows` values of each law, law by law, all at once: in the rounds that one of them takes. The laws are of one precision.
    pub fn sample_each<E: Engine, R: Ring>(e: &mut E, laws: &[&Laplace], rows: usize) -> Result<E::Share<R>, Abort> {
        let random = e.random_bits(Self::random_of(laws, rows))?;
        Self::of_random::<E, R>(e, laws, rows, &random)
    }

    fn random_of(laws: &[&Laplace], rows: usize) -> Layout {
        let precision = laws.first().map_or(Self::PRECISION, |law| law.precision);
        assert!(laws.iter().all(|law| law.precision == precision), "laws of one precision");
        Layout::new(laws.iter().map(|law| law.biased()).sum::<usize>() * rows, precision as usize)
    }

    fn of_random<E: Engine, R: Ring>(e: &mut E, laws: &[&Laplace], rows: usize, random: &Bits<E>) -> Result<E::Share<R>, Abort> {
        assert!(laws.iter().all(|law| law.bits() + 2 < R::BITS), "the plan's ranges leave room for the noise");
        let biases = laws.iter().flat_map(|law| law.thresholds.iter().chain(&law.thresholds[..1]));
        let thresholds: Vec<_> = biases.flat_map(|t| std::iter::repeat_n(i128::from(*t), rows)).collect();
        let bits = circuit::less_public(e, random, &Column::from_ints(&thresholds, random.layout().planes))?;
        let widest = laws.iter().map(|law| law.biased()).max().unwrap_or(1);
        // all in two's complement of the widest: above its own bits a value has its sign
        let mut planes: Vec<Vec<Bits<E>>> = vec![Vec::new(); widest];
        let mut first = 0;
        for law in laws {
            let bit = |i: usize| bits.slice((first + i) * rows..(first + i + 1) * rows);
            let sign = bit(law.biased() - 1);
            for (i, plane) in planes.iter_mut().enumerate() {
                plane.push(if i + 1 < law.biased() { bit(i).add(&sign) } else { sign.clone() });
            }
            first += law.biased();
        }
        let planes: Vec<Bits<E>> = planes.iter().map(|of| Share::<B64>::concat(&of.iter().collect::<Vec<_>>())).collect();
        circuit::integer::<E, R>(e, &Share::<B64>::stack(&planes.iter().collect::<Vec<_>>()), Sign::Signed)
    }

    /// Random bits of which a value is made.
    pub fn random_bits(&self) -> u64 {
        self.biased() as u64 * u64::from(self.precision)
    }

    /// Bits of G and the sign.
    fn biased(&self) -> usize {
        self.thresholds.len() + 1
    }

    /// The exact law: the weights of -2^d..2^d, of 2^(λ(d+1)) in all. For small d.
    pub fn weights(&self) -> Vec<BigUint> {
        let not = |t: u64| (BigUint::from(1u8) << self.precision) - t;
        let mut geometric = vec![BigUint::from(1u8)];
        for t in &self.thresholds {
            geometric = geometric.iter().map(|w| w * not(*t)).chain(geometric.iter().map(|w| w * *t)).collect();
        }
        let sign = self.thresholds[0];
        geometric.iter().rev().map(|w| w * sign).chain(geometric.iter().map(|w| w * not(sign))).collect()
    }

    /// The least t with P(|noise| > t) <= 1 / `odds`: at 20, what to print behind ± for 95 %.
    pub fn error(&self, odds: u32) -> u128 {
        let total = BigUint::from(1u8) << (self.precision * (self.bits() + 1));
        let sign = self.thresholds[0];
        let beyond = |t: u128| {
            let negative = if t == 0 { BigUint::from(1u8) << (self.precision * self.bits()) } else { self.above(t - 1) };
            self.above(t) * ((BigUint::from(1u8) << self.precision) - sign) + negative * sign
        };
        let (mut low, mut high) = (0, 1u128 << self.bits());
        while low < high {
            let middle = low + (high - low) / 2;
            if beyond(middle) * odds <= total { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// The weight of G > t, of 2^(λd): at the highest bit that differs from t's it is set in G.
    fn above(&self, t: u128) -> BigUint {
        let (mut above, mut equal) = (BigUint::ZERO, BigUint::from(1u8));
        if t >> self.bits() > 0 {
            return above;
        }
        for (i, threshold) in self.thresholds.iter().enumerate().rev() {
            let unset = (BigUint::from(1u8) << self.precision) - *threshold;
            if t >> i & 1 == 0 {
                above += (&equal * *threshold) << (self.precision as usize * i);
                equal *= unset;
            } else {
                equal *= *threshold;
            }
        }
        above
    }
}
