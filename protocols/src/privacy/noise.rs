//! Noise of either law, for who adds it: how wide it is, what it costs, and values of it.
//!
//! *Functionality.* [`Noise::sample_each`]: so many values of each of several laws, which no party knows.
//! *Rounds.* All Laplace laws together take those of one ([`Laplace`]); binomial ones of as many coins are made together ([`Binomial`]), others one after the other.
//! *Cost.* Theirs. *Leakage.* None.

use super::{Binomial, Laplace, Loss};
use crate::{Abort, Engine, Share};
use mpc_core::Ring;
use std::collections::BTreeMap;

/// Noise of one law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noise {
    /// Discrete Laplace.
    Laplace(Laplace),
    /// Binomial.
    Binomial(Binomial),
}

impl Noise {
    /// Its values are at most 2 to this in magnitude.
    pub fn bits(&self) -> u32 {
        match self {
            Noise::Laplace(law) => law.bits(),
            Noise::Binomial(law) => (law.coins() / 2).next_power_of_two().trailing_zeros(),
        }
    }

    /// Random bits of which a value is made.
    pub fn random_bits(&self) -> u64 {
        match self {
            Noise::Laplace(law) => law.random_bits(),
            Noise::Binomial(law) => law.coins().into(),
        }
    }

    /// What it costs to release with it on.
    pub fn loss(&self) -> Loss {
        match self {
            Noise::Laplace(law) => law.loss(),
            Noise::Binomial(law) => law.loss(),
        }
    }

    /// The least t with P(|noise| > t) <= 1 / `odds`: at 20, what to print behind ± for 95 %.
    pub fn error(&self, odds: u32) -> u128 {
        match self {
            Noise::Laplace(law) => law.error(odds),
            Noise::Binomial(law) => law.error(odds).into(),
        }
    }

    /// So many values of each law, law by law.
    pub fn sample_each<E: Engine, R: Ring>(e: &mut E, laws: &[Noise], rows: usize) -> Result<E::Share<R>, Abort> {
        let mut made: Vec<(usize, E::Share<R>)> = Vec::new();
        let mut keep = |which: &[usize], values: E::Share<R>| {
            made.extend(which.iter().enumerate().map(|(at, law)| (*law, values.slice(at * rows..(at + 1) * rows))));
        };
        let (mut which, mut laplace) = (Vec::new(), Vec::new());
        let mut binomial: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (number, law) in laws.iter().enumerate() {
            match law {
                Noise::Laplace(law) => {
                    which.push(number);
                    laplace.push(law);
                }
                Noise::Binomial(law) => binomial.entry(law.coins()).or_default().push(number),
            }
        }
        if !laplace.is_empty() {
            keep(&which, Laplace::sample_each::<E, R>(e, &laplace, rows)?);
        }
        for which in binomial.into_values() {
            if let Some(Noise::Binomial(law)) = which.first().and_then(|first| laws.get(*first)) {
                keep(&which, law.sample::<E, R>(e, which.len() * rows)?);
            }
        }
        made.sort_by_key(|(law, _)| *law);
        Ok(Share::concat(&made.iter().map(|(_, values)| values).collect::<Vec<_>>()))
    }
}
