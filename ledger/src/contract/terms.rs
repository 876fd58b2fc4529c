//! What contracts allow together. [`Terms`] form a semilattice: `meet` is commutative, associative and idempotent, and what the meet
//! allows each of the two allows. A bound that one of them does not have is the other's; a data set that one does not speak of is as
//! the other has it.

use super::{Bound, Contract, Delta, DpMode, Epsilon, NoiseLaw, Operation, Pattern, Revocation, Security, Sizes, Time};
use crate::bytes::Hash;
use std::collections::{BTreeMap, BTreeSet};

/// What one contract allows, or several together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whose terms these are, by id.
    pub contracts: BTreeSet<Hash>,
    /// Who may ask, as keys in text form.
    pub planners: BTreeSet<String>,
    /// Who may be given the answer.
    pub receivers: BTreeSet<String>,
    /// What for.
    pub purposes: BTreeSet<String>,
    /// What is released is of at least so many entities.
    pub min_group: u64,
    /// The most of a sum that may come from one entity, in per cent.
    pub dominance_pct: u64,
    /// The most one query may spend; `None` is no bound.
    pub epsilon_per_query: Option<Epsilon>,
    /// The δ of a month; `None` is no bound.
    pub delta: Option<Delta>,
    /// Whether answers without noise are allowed; `None` is that nothing is said of noise.
    pub noise: Option<DpMode>,
    /// Of which kind it is: binomial if all want it so, as Laplace noise hides as much for less δ. `None` is that nothing is said of noise.
    pub law: Option<NoiseLaw>,
    /// The weakest protocol.
    pub security: Security,
    /// What others may learn of numbers of rows.
    pub sizes: Sizes,
    /// From when on, inclusive.
    pub not_before: Time,
    /// Until when, exclusive. It may lie before `not_before`: then never.
    pub not_after: Time,
    /// What a revocation does to jobs that run.
    pub revocation: Revocation,
    /// What holds for each data set alone.
    pub datasets: BTreeMap<String, DataTerms>,
}

/// What holds for one data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataTerms {
    /// What may be done with each column.
    pub columns: BTreeMap<String, BTreeSet<Operation>>,
    /// Groups are counted by each of these.
    pub entity_keys: BTreeSet<String>,
    /// What is spent of it is spent of the budgets of these domains of entities, too.
    pub entity_domains: BTreeSet<String>,
    /// Values beyond these count as these. If the smallest is above the largest, no value counts.
    pub clamp: BTreeMap<String, (Bound, Bound)>,
    /// How many rows of an entity count; `None` is all.
    pub max_rows_per_entity: Option<u64>,
    /// With which data sets it may be joined; none of these patterns covers another.
    pub join_with: BTreeSet<Pattern>,
    /// What may be spent in a month; `None` is no bound.
    pub epsilon_month: Option<Epsilon>,
    /// What all planners may spend in a month; `None` is no bound.
    pub epsilon_month_all: Option<Epsilon>,
    /// How many answers; `None` is no bound.
    pub max_uses: Option<u64>,
    /// What an answer costs, by unit.
    pub price: BTreeMap<String, u64>,
}

impl Terms {
    pub(super) fn of(contract: &Contract, id: Hash) -> Self {
        let dp = contract.dp.as_ref();
        let data = DataTerms {
            columns: contract.columns.clone(),
            entity_keys: contract.entity_key.iter().cloned().collect(),
            entity_domains: contract.entity_domain.iter().cloned().collect(),
            clamp: contract.clamp.clone(),
            max_rows_per_entity: contract.max_rows_per_entity,
            join_with: widest(contract.join_with.iter().cloned()),
            epsilon_month: dp.map(|dp| dp.epsilon_month),
            epsilon_month_all: dp.and_then(|dp| dp.epsilon_month_all),
            max_uses: contract.max_uses,
            price: contract.price.iter().map(|price| (price.unit.clone(), price.per_use)).collect(),
        };
        Self {
            contracts: BTreeSet::from([id]),
            planners: contract.planners.iter().map(ToString::to_string).collect(),
            receivers: contract.receivers.clone(),
            purposes: contract.purposes.clone(),
            min_group: contract.min_group,
            dominance_pct: contract.dominance_pct,
            epsilon_per_query: dp.map(|dp| dp.epsilon_per_query_max),
            delta: dp.map(|dp| dp.delta),
            noise: dp.map(|dp| dp.mode),
            law: dp.map(|dp| dp.noise),
            security: contract.security,
            sizes: contract.sizes,
            not_before: contract.not_before,
            not_after: contract.not_after,
            revocation: contract.revocation,
            datasets: BTreeMap::from([(contract.dataset.clone(), data)]),
        }
    }

    /// What both allow.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self {
            contracts: self.contracts.union(&other.contracts).copied().collect(),
            planners: common(&self.planners, &other.planners),
            receivers: common(&self.receivers, &other.receivers),
            purposes: common(&self.purposes, &other.purposes),
            min_group: self.min_group.max(other.min_group),
            dominance_pct: self.dominance_pct.min(other.dominance_pct),
            epsilon_per_query: least(self.epsilon_per_query, other.epsilon_per_query),
            delta: least(self.delta, other.delta),
            noise: self.noise.max(other.noise),
            law: least(self.law, other.law),
            security: self.security.max(other.security),
            sizes: self.sizes.min(other.sizes),
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
            revocation: self.revocation.min(other.revocation),
            datasets: united(&self.datasets, &other.datasets, DataTerms::meet),
        }
    }

    /// What all of them allow; `None` of none.
    pub fn meet_all(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        all.into_iter().reduce(|one, other| one.meet(&other))
    }
}

impl DataTerms {
    fn meet(&self, other: &Self) -> Self {
        let columns = self.columns.iter().filter_map(|(name, allowed)| {
            let both = common(allowed, other.columns.get(name)?);
            (!both.is_empty()).then(|| (name.clone(), both))
        });
        let joined = self.join_with.iter().flat_map(|one| other.join_with.iter().filter_map(|other| one.meet(other)));
        Self {
            columns: columns.collect(),
            entity_keys: self.entity_keys.union(&other.entity_keys).cloned().collect(),
            entity_domains: self.entity_domains.union(&other.entity_domains).cloned().collect(),
            clamp: united(&self.clamp, &other.clamp, |one, other| (one.0.max(other.0), one.1.min(other.1))),
            max_rows_per_entity: least(self.max_rows_per_entity, other.max_rows_per_entity),
            join_with: widest(joined),
            epsilon_month: least(self.epsilon_month, other.epsilon_month),
            epsilon_month_all: least(self.epsilon_month_all, other.epsilon_month_all),
            max_uses: least(self.max_uses, other.max_uses),
            price: united(&self.price, &other.price, |one, other| *one.max(other)),
        }
    }
}

fn common<T: Ord + Clone>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> BTreeSet<T> {
    one.intersection(other).cloned().collect()
}

/// The lesser bound, where `None` is none.
fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// All keys of both; what both have is `both` of them.
fn united<V: Clone>(one: &BTreeMap<String, V>, other: &BTreeMap<String, V>, both: impl Fn(&V, &V) -> V) -> BTreeMap<String, V> {
    let mut all = one.clone();
    for (key, value) in other {
        let value = one.get(key).map_or_else(|| value.clone(), |mine| both(mine, value));
        all.insert(key.clone(), value);
    }
    all
}

/// The patterns without those that another covers: one set of patterns for what they mean.
fn widest(patterns: impl IntoIterator<Item = Pattern>) -> BTreeSet<Pattern> {
    let all: BTreeSet<Pattern> = patterns.into_iter().collect();
    let covered = |narrow: &Pattern| all.iter().any(|wide| wide != narrow && wide.meet(narrow).as_ref() == Some(narrow));
    all.iter().filter(|pattern| !covered(pattern)).cloned().collect()
}
