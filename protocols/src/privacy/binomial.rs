//! Binomial noise: the sum of N fair coins less N / 2, which is (ε, δ)-private (Dwork, Kenthapadi, McSherry, Mironov, Naor, EC'06, section 3; draft-case-ppm-binomial-dp).
//!
//! *Functionality.* One integer a row of this law, exactly; no party knows it, nor has chosen anything of it.
//! *Protocol.* Random bits are the coins; their [weight](crate::circuit::weight) as an integer, less N / 2. A coin in the field would take 61 bits; the weight takes about one
//! AND a coin, and the field log2 N elements.
//! *Cost.* N ANDs less the number of ones in N's binary form, and an element for each bit of N, in floor(log2 N) + 2 rounds ([`cost::binomial`](crate::cost::binomial)); ε = 1, δ = 10^-6, Δ = 1:
//! N = 80, 505 bits, 8 rounds. None of it depends on data. *Leakage.* None.
//!
//! *Loss.* δ is exact: the hockey-stick divergence of the law from itself moved by Δ, which falls off to one side only, as C(N, i) / C(N, i - Δ) falls with i. The closed bound of cpSGD
//! (Agarwal et al., NeurIPS'18) would ask for 18 times as many coins at ε = 1. Cells compose by adding up (Dwork and Roth, 2014, theorem 3.16): of an entity that moves
//! several by T in all, one that it moves by d spends (ε d/T, δ d/T).

use super::exact::{Rational, exponential};
use super::{Bits, Delta, Epsilon, Loss, Sensitivity, Unfit};
use crate::circuit::{self, Sign};
use crate::planes::element;
use crate::{Abort, Engine, Share};
use mpc_core::{Column, Layout, Ring};
use num_bigint::BigUint;

/// Noise of one law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binomial {
    coins: u32,
    loss: Loss,
}

impl Binomial {
    /// Coins, at most: beyond them Laplace noise is smaller and cheaper.
    pub const MOST: u32 = 8192;

    /// The noise of fewest coins, an even number, that makes a release of this sensitivity (ε, δ)-private.
    pub fn new(loss: Loss, sensitivity: &Sensitivity) -> Result<Self, Unfit> {
        let Sensitivity { each, total, cells } = *sensitivity;
        if each == 0 || total == 0 || cells == 0 {
            return Err(Unfit::Sensitivity);
        }
        let need = if cells == 1 { Need::of_one(loss, each) } else { Need::of_many(loss, sensitivity) };
        if need.epsilon.0 == 0 || need.epsilon.0 >= 32 * Epsilon::ONE.0 {
            return Err(Unfit::Epsilon(loss.epsilon));
        }
        let private = |pairs: u32| need.is_met_by(2 * pairs);
        let mut enough = 1;
        while !private(enough) {
            enough *= 2;
            if 2 * enough > Self::MOST {
                return Err(Unfit::Coins);
            }
        }
        let (mut few, mut enough) = (enough / 2, enough);
        while enough - few > 1 {
            let middle = few + (enough - few) / 2;
            if private(middle) { enough = middle } else { few = middle }
        }
        Ok(Binomial { coins: 2 * enough, loss })
    }

    /// N: the noise is in -N/2..=N/2.
    pub fn coins(&self) -> u32 {
        self.coins
    }

    /// What it costs to release the cells with this noise on each.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// One value a row.
    pub fn sample<E: Engine, R: Ring>(&self, e: &mut E, rows: usize) -> Result<E::Share<R>, Abort> {
        let coins = e.random_bits(Layout::new(rows, self.coins as usize))?;
        self.from_random::<E, R>(e, &coins)
    }

    /// The values that these coins give: a plane for each.
    pub fn from_random<E: Engine, R: Ring>(&self, e: &mut E, coins: &Bits<E>) -> Result<E::Share<R>, Abort> {
        let Layout { rows, planes, .. } = coins.layout();
        assert_eq!(planes, self.coins as usize, "a plane for each coin");
        let weight = circuit::weight(e, coins)?;
        let sum = circuit::integer::<E, R>(e, &weight, Sign::Unsigned)?;
        let half = e.constant(&Column::splat(element::<R>((self.coins / 2).into()), Layout::new(rows, 1)));
        Ok(sum.sub(&half))
    }

    /// The exact law: the weights of -N/2..=N/2, of 2^N in all.
    pub fn weights(&self) -> Vec<BigUint> {
        let mut row = vec![BigUint::from(1u8)];
        (0..self.coins).for_each(|i| row.push(row[i as usize].clone() * (self.coins - i) / (i + 1)));
        row
    }

    /// The least t with P(|noise| > t) <= 1 / `odds`: at 20, what to print behind ± for 95 %.
    pub fn error(&self, odds: u32) -> u32 {
        let (half, weights, total) = (self.coins / 2, self.weights(), BigUint::from(1u8) << self.coins);
        let mut beyond = BigUint::ZERO;
        // from the edge inwards: once t is no longer enough, t + 1 was
        for t in (0..half).rev() {
            beyond += &weights[(half + t + 1) as usize] * 2u8;
            if &beyond * odds > total {
                return t + 1;
            }
        }
        0
    }
}

/// What is enough of the law of one cell: it is (ε, δ)-private between values `shift` apart. All is rounded down: what is spent is no more than what is debited.
struct Need {
    epsilon: Epsilon,
    delta: Delta,
    shift: u64,
}

impl Need {
    /// All, as far as an entity may move the cell: between values less far apart the law is closer.
    fn of_one(loss: Loss, each: u64) -> Self {
        Need { epsilon: loss.epsilon, delta: loss.delta, shift: each }
    }

    /// A part for each unit by which an entity moves any cell. Between values 1 apart the law shall be (k, δ')-private, k = ε / T. Then between values d apart it is (k d, δ' (1 + e^k + … + e^(k (d - 1))))-private
    /// (Dwork and Roth, 2014, theorem 2.2, with δ), and the second is at most δ d / T for all d <= D if it is for D, since that sum grows faster than d: δ' = δ D / T (e^k - 1) / (e^(k D) - 1).
    fn of_many(loss: Loss, sensitivity: &Sensitivity) -> Self {
        let Sensitivity { each, total, .. } = *sensitivity;
        let epsilon = Epsilon(loss.epsilon.0 / total);
        let less_one = |x: BigUint, bits: u32| x - (BigUint::from(1u8) << bits);
        let one = exponential(&Rational::epsilon(epsilon, 1, 0), 128);
        let far = exponential(&Rational { numerator: BigUint::from(epsilon.0) * each, denominator: Epsilon::ONE.0.into() }, 128);
        let parts = (less_one(one.low, one.bits) << far.bits) * loss.delta.0 * each;
        let of = (less_one(far.high, far.bits) << one.bits) * total;
        let delta = parts / of.max(BigUint::from(1u8));
        Need { epsilon, delta: Delta(u128::try_from(delta).unwrap_or(loss.delta.0)), shift: 1 }
    }

    /// Whether noise of so many coins is of this kind.
    fn is_met_by(&self, coins: u32) -> bool {
        let Need { epsilon, delta, shift } = *self;
        let e = exponential(&Rational::epsilon(epsilon, 1, 0), 128);
        let (mut here, mut before) = (BigUint::from(1u8), BigUint::from(1u8));
        let mut excess = BigUint::ZERO;
        for i in 0..=coins {
            let allowed = if u64::from(i) < shift { BigUint::ZERO } else { &before * &e.low };
            let weight = &here << e.bits;
            if weight <= allowed {
                break;
            }
            excess += weight - allowed;
            here = here * (coins - i) / (i + 1);
            if let Some(j) = u64::from(i).checked_sub(shift) {
                before = before * (coins - j as u32) / (j as u32 + 1);
            }
        }
        excess * Delta::ONE.0 <= (BigUint::from(delta.0) << (e.bits + coins))
    }
}
