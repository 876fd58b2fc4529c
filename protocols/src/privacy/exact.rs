//! Exponentials, biases and losses, exactly: integers and rationals between which a real number is enclosed. All of it is public.
//!
//! e^x for rational x by its series at x / 2^s <= 1 and s squarings, every step rounded down for the lower end and up for the upper. A threshold is certified: both
//! ends give the same integer, or more bits are taken; e^x is irrational for rational x > 0, so that ends.

use super::Epsilon;
use num_bigint::BigUint;

/// x >= 0 as a fraction.
#[derive(Clone)]
pub(super) struct Rational {
    pub(super) numerator: BigUint,
    pub(super) denominator: BigUint,
}

impl Rational {
    /// 2^`doublings` ε / `by`.
    pub(super) fn epsilon(epsilon: Epsilon, by: u64, doublings: u32) -> Self {
        Rational { numerator: BigUint::from(epsilon.0) << doublings, denominator: BigUint::from(by) * Epsilon::ONE.0 }
    }

    fn at_least(&self, bound: u32) -> bool {
        self.numerator >= &self.denominator * bound
    }
}

/// low <= 2^bits e^x <= high, of a relative width of about 2^-precision.
pub(super) struct Exponential {
    pub(super) low: BigUint,
    pub(super) high: BigUint,
    pub(super) bits: u32,
}

/// e^x.
pub(super) fn exponential(x: &Rational, precision: u32) -> Exponential {
    let halvings = (0u32..).find(|s| x.numerator <= &x.denominator << *s).expect("some power of two is above any number");
    let bits = precision + 2 * halvings + 16;
    let denominator = &x.denominator << halvings;
    let (mut term, mut low, mut terms) = (BigUint::from(1u8) << bits, BigUint::ZERO, 0u32);
    while term != BigUint::ZERO {
        low += &term;
        terms += 1;
        term = term * &x.numerator / (&denominator * terms);
    }
    // each term is low by less than 2, the tail by less than 4
    let mut high = &low + 2 * terms + 4u32;
    for _ in 0..halvings {
        low = (&low * &low) >> bits;
        high = ceil_shift(&high * &high, bits);
    }
    Exponential { low, high, bits }
}

/// ceil(n / 2^bits).
pub(super) fn ceil_shift(n: BigUint, bits: u32) -> BigUint {
    let low = &n >> bits;
    if &low << bits == n { low } else { low + 1u8 }
}

/// floor(2^precision / (1 + e^x)).
pub(super) fn threshold(x: &Rational, precision: u32) -> u64 {
    if x.at_least(precision) {
        return 0; // e^precision is above 2^precision
    }
    let mut bits = precision + 64;
    loop {
        let e = exponential(x, bits);
        let (one, scaled) = (BigUint::from(1u8) << e.bits, BigUint::from(1u8) << (precision + e.bits));
        let (least, most) = (&scaled / (&one + e.high), &scaled / (one + e.low));
        if least == most {
            return u64::try_from(least).expect("it is below 2^(precision - 1)");
        }
        bits *= 2;
    }
}

/// The least d with e^(-2^d x) <= 2^-precision.
pub(super) fn bit_count(x: &Rational, precision: u32) -> u32 {
    let enough = |d: &u32| {
        let x = Rational { numerator: &x.numerator << *d, denominator: x.denominator.clone() };
        if x.at_least(precision) {
            return true;
        }
        let e = exponential(&x, 256);
        e.low >> e.bits >= BigUint::from(1u8) << precision
    };
    (0..).find(enough).expect("2^d x is above any bound for some d")
}

/// The least δ, as the fraction of the two numbers, for which noise of these integer weights is (ε, δ)-private between values `shift` apart, in both directions: max over
/// both of the sum of max(0, P(k) - e^ε P(k - shift)), with e^ε from below (the hockey-stick divergence; Balle, Barthe, Gaboardi, NeurIPS'18).
pub fn hockey_stick(weights: &[BigUint], epsilon: Epsilon, shift: usize) -> (BigUint, BigUint) {
    let e = exponential(&Rational::epsilon(epsilon, 1, 0), 128);
    let excess = |weight: &dyn Fn(usize) -> BigUint| -> BigUint {
        let before = |i: usize| if i >= shift { weight(i - shift) * &e.low } else { BigUint::ZERO };
        (0..weights.len()).map(|i| ((weight(i) << e.bits), before(i))).filter(|(v, b)| v > b).map(|(v, b)| v - b).sum()
    };
    let up = excess(&|i| weights[i].clone());
    let down = excess(&|i| weights[weights.len() - 1 - i].clone());
    (up.max(down), weights.iter().sum::<BigUint>() << e.bits)
}
