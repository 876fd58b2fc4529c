//! What contracts ask of what comes out: values within bounds, few rows of an entity, groups of enough entities, sums of which no one has too much. It is part of the plan that runs, so
//! that parties agree on it before anything is shared.

mod noise;

pub use self::noise::Noise;

use std::collections::{BTreeMap, BTreeSet};

use ledger::contract::{Bound, DataTerms, Epsilon, Terms};
use serde::Serialize;

use crate::compile::SqlError;

/// How the answer of a query is protected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Protection {
    /// What comes out is of at least so many entities of each of these data sets; 1 asks for nothing.
    pub min_group: u64,
    /// Of a sum that comes out no entity of these data sets has more than so many per cent; 100 asks for nothing.
    pub dominance_pct: u64,
    /// The data sets that are protected.
    pub datasets: BTreeMap<String, Protected>,
    /// The noise on all of it, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
}

/// How one data set is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Protected {
    /// The columns that say whose a row is: groups are counted by each of them. By rows, if there is none.
    pub entity_keys: BTreeSet<String>,
    /// Values beyond these count as these; as NULL, if the smallest is above the largest.
    pub clamp: BTreeMap<String, (Bound, Bound)>,
    /// How many rows of an entity count.
    pub max_rows_per_entity: Option<u64>,
}

impl Protection {
    /// What terms ask for, and the planner: to spend so much of ε. `None` if that is nothing.
    ///
    /// # Errors
    /// The planner asks for what the terms do not allow.
    pub fn of(terms: &Terms, epsilon: Option<Epsilon>) -> Result<Option<Self>, SqlError> {
        let datasets: BTreeMap<_, _> = terms.datasets.iter().map(|(name, terms)| (name.clone(), Protected::of(terms))).collect();
        let changed = |data: &Protected| !data.clamp.is_empty() || data.max_rows_per_entity.is_some();
        let noise = Noise::of(terms, epsilon)?;
        let protects = terms.min_group > 1 || terms.dominance_pct < 100 || datasets.values().any(changed) || noise.is_some();
        Ok(protects.then_some(Protection { min_group: terms.min_group, dominance_pct: terms.dominance_pct, datasets, noise }))
    }

    /// Whether the rows of each value that a CASE chooses must be of enough entities by themselves. Noise hides who is alone among them, of the data sets that it is made for.
    pub(crate) fn of_branches(&self) -> bool {
        let hidden = |name: &String| self.noise.as_ref().is_some_and(|noise| noise.datasets.contains(name));
        self.min_group > 1 && !self.datasets.keys().all(hidden)
    }

    /// What it is, a line each.
    pub fn words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, data) in &self.datasets {
            let clamps = data.clamp.iter().map(|(column, (low, high))| match low > high {
                true => format!("{name}.{column} counts as NULL"),
                false => format!("{name}.{column} counts as {low} if it is less, as {high} if it is more"),
            });
            lines.extend(clamps);
            if let Some(most) = data.max_rows_per_entity {
                lines.extend(data.entity_keys.iter().map(|key| format!("{name}: of the rows of a {key} at most {most} count")));
            }
        }
        for (name, data) in self.datasets.iter().filter(|_| self.min_group > 1) {
            let least = self.min_group;
            lines.extend(
                data.entity_keys.iter().map(|key| format!("what comes out is of at least {least} different {key} of {name}, or NULL")),
            );
            if data.entity_keys.is_empty() {
                lines.push(format!("what comes out is of at least {least} rows of {name}, or NULL"));
            }
        }
        for (name, data) in self.datasets.iter().filter(|_| self.dominance_pct < 100) {
            let most = self.dominance_pct;
            let keys = data.entity_keys.iter().map(String::as_str).chain(data.entity_keys.is_empty().then_some("row"));
            lines.extend(keys.map(|key| format!("no {key} of {name} has more than {most} % of a sum that comes out, or it is NULL")));
        }
        if self.min_group > 1 || self.dominance_pct < 100 {
            lines.push("of groups beside their total at least two are NULL, or none".into());
        }
        lines
    }
}

impl Protected {
    fn of(terms: &DataTerms) -> Self {
        Protected { entity_keys: terms.entity_keys.clone(), clamp: terms.clamp.clone(), max_rows_per_entity: terms.max_rows_per_entity }
    }
}
