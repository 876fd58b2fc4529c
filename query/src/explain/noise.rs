//! What noise there will be on what comes out, and what it spends.

use crate::plan::Plan;
use crate::plan::noise::Noised;
use ledger::budget::Loss;
use protocols::privacy::{Noise, Unfit};
use serde::{Deserialize, Serialize};

/// All noise of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoiseLines {
    /// What is spent of the budget of each data set.
    pub spent: Vec<SpentLine>,
    /// On which sums it is.
    pub sums: Vec<NoiseLine>,
}

/// What is spent of the budget of one data set, as exact decimals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentLine {
    /// The data set.
    pub dataset: String,
    /// ε.
    pub epsilon: String,
    /// δ.
    pub delta: String,
    /// What the contract lets the planner spend in a month, as far as whoever explains it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Loss>,
    /// What is left of that, if the coordinator was asked: its word, of which nothing is proved here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Loss>,
}

/// The noise on one sum, in all its cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoiseLine {
    /// What is summed.
    pub what: String,
    /// Its part of ε.
    pub epsilon: String,
    /// How far one entity moves it, at most.
    pub moved: String,
    /// The noise is at most so much, 19 times out of 20.
    pub error: String,
    /// Of how many coins it is, if it is binomial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coins: Option<u32>,
    /// Whether it is only compared, and does not come out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compared: bool,
}

impl NoiseLines {
    /// What a plan does; `None` if it makes no noise.
    pub(super) fn of(plan: &Plan) -> Result<Option<Self>, Unfit> {
        if plan.noised().next().is_none() {
            return Ok(None);
        }
        let spent = plan.spent()?.into_iter().map(|(dataset, loss)| SpentLine {
            dataset,
            epsilon: loss.epsilon.to_string(),
            delta: loss.delta.to_string(),
            month: None,
            left: None,
        });
        let line = |noised: &Noised| {
            let law = noised.law.noise()?;
            Ok(NoiseLine {
                what: noised.words.clone(),
                epsilon: noised.law.epsilon.to_string(),
                moved: noised.scaled(noised.law.sensitivity.total.into()),
                error: noised.scaled(law.error(20)),
                coins: if let Noise::Binomial(law) = law { Some(law.coins()) } else { None },
                compared: noised.guard.is_some(),
            })
        };
        Ok(Some(NoiseLines { spent: spent.collect(), sums: plan.noised().map(line).collect::<Result<_, Unfit>>()? }))
    }

    /// The same for people, a line each.
    pub(super) fn words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(SpentLine { epsilon, delta, .. }) = self.spent.first() {
            let of: Vec<&str> = self.spent.iter().map(|s| s.dataset.as_str()).collect();
            lines.push(format!("noise spends ε = {epsilon}, δ = {delta} of the budget of {}", of.join(", and as much of that of ")));
        }
        let budgets = self.spent.iter().filter_map(|SpentLine { dataset, month, left, .. }| match (month, left) {
            (Some(month), Some(left)) => Some(format!(
                "{dataset}: {left} are left of this month's {month}, as the coordinator says; nodes go by their own mirrors of the log"
            )),
            (Some(month), None) => Some(format!("{dataset}: a month has {month}; what is left of it stands on the city's log")),
            (None, _) => None,
        });
        lines.extend(budgets);
        lines.extend(self.sums.iter().map(|NoiseLine { what, epsilon, moved, error, coins, compared }| {
            let what = if *compared { format!("whether {what}, which is compared only") } else { what.clone() };
            let coins = coins.map(|coins| format!(", {coins} coins")).unwrap_or_default();
            format!("{what}: ± {error} at 95 % (ε = {epsilon}{coins}; one entity moves it by at most {moved})")
        }));
        lines
    }
}
