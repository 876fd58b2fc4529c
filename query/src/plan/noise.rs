//! The noise on what is opened: where it goes, by which law, and what that costs.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use protocols::privacy::{Binomial, Delta, Epsilon, Laplace, Loss, Noise, Sensitivity, Unfit};
use serde::Serialize;

use super::{Plan, relation::Operator};

/// Noise on one sum, in all cells and groups alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Noised {
    /// Which sum: an index into the openings of a cell, or a column of a relation.
    pub of: usize,
    /// If that is a condition on several sums, which of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<usize>,
    /// What is summed, in words.
    pub words: String,
    /// Power of ten by which it is scaled.
    pub scale: i8,
    /// How much noise.
    pub law: Law,
}

/// Discrete Laplace noise, or binomial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Law {
    /// What it spends.
    pub epsilon: Epsilon,
    /// What it spends of δ, if it is binomial.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub delta: Option<Delta>,
    /// How far one entity can move what it is added to.
    pub sensitivity: Sensitivity,
}

impl Law {
    /// The noise itself.
    ///
    /// # Errors
    /// There is none of this law.
    pub fn noise(&self) -> Result<Noise, Unfit> {
        if let Some(noise) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|known| known.get(self)) {
            return Ok(noise.clone());
        }
        let Law { epsilon, sensitivity, .. } = *self;
        let noise = match self.delta {
            None => Laplace::new(epsilon, &sensitivity).map(Noise::Laplace),
            Some(delta) => Binomial::new(Loss { epsilon, delta }, &sensitivity).map(Noise::Binomial),
        }?;
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(*self, noise.clone());
        Ok(noise)
    }
}

/// The noise of laws that were looked at: a law of thousands of coins takes a tenth of a second to find, and each question asks for its laws several times.
static KNOWN: Mutex<Option<HashMap<Law, Noise>>> = Mutex::new(None);
const MOST_KNOWN: usize = 1024;

impl Noised {
    /// What is behind ±, 19 times out of 20: `12`, `0.25`.
    ///
    /// # Errors
    /// There is no noise of this law.
    pub fn error(&self) -> Result<String, Unfit> {
        Ok(self.scaled(self.law.noise()?.error(20)))
    }

    /// So many units of the last digit.
    pub fn scaled(&self, units: u128) -> String {
        let digits = usize::try_from(self.scale).unwrap_or(0);
        let one = 10u128.pow(digits as u32);
        match digits {
            0 => units.to_string(),
            _ => format!("{}.{:0digits$}", units / one, units % one),
        }
    }
}

impl Plan {
    /// All noise that it makes.
    pub fn noised(&self) -> impl Iterator<Item = &Noised> {
        let of_relations =
            self.relations.iter().filter_map(|r| if let Operator::Noise { noised, .. } = &r.op { Some(noised) } else { None });
        self.releases.iter().map(|r| &r.noise).chain(of_relations).flatten()
    }

    /// What it spends of the budget of each data set: nothing of those that ask for no noise. Noise that is made once for several data sets is spent of each.
    ///
    /// # Errors
    /// There is no noise of a law.
    pub fn spent(&self) -> Result<BTreeMap<String, Loss>, Unfit> {
        let laws = self.noised().map(|noised| noised.law.noise()).collect::<Result<Vec<_>, _>>()?;
        let loss = laws.iter().fold(Loss::default(), |sum, law| sum.and(law.loss()));
        let noise = self.protection.as_ref().and_then(|protection| protection.noise.as_ref()).filter(|_| !laws.is_empty());
        Ok(noise.into_iter().flat_map(|noise| &noise.datasets).map(|dataset| (dataset.clone(), loss)).collect())
    }
}

/// Of what has more digits than a JSON number; `None` is left out by whoever asks.
pub(crate) fn as_text<T: std::fmt::Display, S: serde::Serializer>(of: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match of {
        Some(of) => serializer.collect_str(of),
        None => serializer.serialize_none(),
    }
}
