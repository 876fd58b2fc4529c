//! How much noise contracts ask for, and how much the planner does.

use std::collections::BTreeSet;

use ledger::contract::{self, Decimal, Delta, DpMode, NoiseLaw, Terms};
use protocols::privacy::Epsilon;
use serde::Serialize;

use crate::{compile::SqlError, message::Code};

/// Noise on everything that comes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Noise {
    /// What the whole question may spend.
    pub epsilon: Epsilon,
    /// The most that may be spent of δ; no bound, if there is none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::plan::noise::as_text")]
    pub delta: Option<Delta>,
    /// What the question spends of δ, if the noise is binomial.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::plan::noise::as_text")]
    pub binomial: Option<Delta>,
    /// The data sets whose entities it hides, and of whose budgets it is spent.
    pub datasets: BTreeSet<String>,
}

impl Noise {
    /// The noise that terms ask for, or that they allow and the planner asks for: as much as makes the question spend `asked`, or what a question may.
    ///
    /// # Errors
    /// More is asked than the terms allow, or ε without a contract that speaks of it.
    pub fn of(terms: &Terms, asked: Option<contract::Epsilon>) -> Result<Option<Self>, SqlError> {
        let refused = |what: String, fix: &str| Err(SqlError::new(Code::NoConsent, what, fix));
        let (Some(mode), Some(most)) = (terms.noise, terms.epsilon_per_query) else {
            return match asked {
                None => Ok(None),
                Some(_) => refused(
                    "ε is asked for, and no contract of these data sets has a budget of it".into(),
                    "ask without `--epsilon`; or have an owner sign a contract with `dp`",
                ),
            };
        };
        if asked.is_none() && mode == DpMode::Optional {
            return Ok(None);
        }
        let epsilon = asked.unwrap_or(most);
        let Some(epsilon) = u64::try_from(epsilon.0).ok().filter(|units| *units > 0 && epsilon <= most).map(Epsilon) else {
            let what = format!("the contracts of these data sets let a question spend at most ε = {most}, and it asks for {epsilon}");
            return refused(what, "ask for less with `--epsilon`, and get more noise");
        };
        // as large a part of the month's δ as of its ε: both are spent when one is
        let months = terms.datasets.values().filter_map(|data| data.epsilon_month);
        let part = |delta: Delta, month: contract::Epsilon| Decimal(delta.0.saturating_mul(epsilon.0.into()) / month.0.max(1));
        let of_month = terms.delta.and_then(|delta| months.map(|month| part(delta, month)).min());
        let binomial = of_month.filter(|_| terms.law == Some(NoiseLaw::Binomial));
        let datasets = terms.datasets.iter().filter(|(_, data)| data.epsilon_month.is_some()).map(|(name, _)| name.clone()).collect();
        Ok(Some(Noise { epsilon, delta: terms.delta, binomial, datasets }))
    }
}
