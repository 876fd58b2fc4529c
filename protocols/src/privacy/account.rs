//! What releases cost in privacy, and budgets that it is taken from.
//!
//! *Adjacency.* Two data sets are neighbours if one is the other without the rows of one entity. *Loss.* (ε, δ)-differential privacy, ε in whole millionths and
//! δ in whole 10^-24ths, both rounded up where they are computed. *Composition.* Losses add up (Dwork, Kenthapadi, McSherry, Mironov, Naor, EC'06; Dwork and Roth, 2014,
//! theorem 3.16). *Filter.* A budget admits a release only if the sum of all losses so far and its own stays within the limit; this is valid for
//! parameters chosen adaptively, by what came out before (Rogers, Roth, Ullman, Vadhan, NeurIPS'16, section 3).

use super::{Bounds, Unfit};
use std::fmt;

/// ε in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Epsilon(pub u64);

impl Epsilon {
    /// How many make 1.
    pub const ONE: Epsilon = Epsilon(1_000_000);
}

/// δ in 10^-24ths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Delta(pub u128);

impl Delta {
    /// How many make 1.
    pub const ONE: Delta = Delta(10u128.pow(24));
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0.into(), 6))
    }
}

impl fmt::Display for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0, 24))
    }
}

/// `units` of 10^-`places`, without zeros at the end.
fn decimal(units: u128, places: usize) -> String {
    let one = 10u128.pow(places as u32);
    let digits = format!("{}.{:0places$}", units / one, units % one);
    digits.trim_end_matches('0').trim_end_matches('.').into()
}

/// What a release costs: it is (ε, δ)-differentially private.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Loss {
    /// ε.
    pub epsilon: Epsilon,
    /// δ.
    pub delta: Delta,
}

impl Loss {
    /// Both, one after the other or at once; at most everything.
    pub fn and(self, other: Loss) -> Loss {
        Loss { epsilon: Epsilon(self.epsilon.0.saturating_add(other.epsilon.0)), delta: Delta(self.delta.0.saturating_add(other.delta.0)) }
    }

    fn within(self, limit: Loss) -> bool {
        self.epsilon <= limit.epsilon && self.delta <= limit.delta
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ε = {}, δ = {}", self.epsilon, self.delta)
    }
}

/// A privacy filter: so much may be lost, so much is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Budget {
    limit: Loss,
    spent: Loss,
}

impl Budget {
    /// Nothing spent yet.
    pub fn new(limit: Loss) -> Self {
        Budget { limit, spent: Loss::default() }
    }

    /// What is left.
    pub fn left(&self) -> Loss {
        Loss {
            epsilon: Epsilon(self.limit.epsilon.0.saturating_sub(self.spent.epsilon.0)),
            delta: Delta(self.limit.delta.0.saturating_sub(self.spent.delta.0)),
        }
    }

    /// What is spent.
    pub fn spent(&self) -> Loss {
        self.spent
    }

    /// Spends `loss`, or nothing if it is more than what is left.
    pub fn spend(&mut self, loss: Loss) -> Result<(), Exhausted> {
        debit(&mut [self], loss)
    }
}

/// Takes `loss` from every one of `budgets` (of both data sets of a join, of planner and month), or from none if one of them has less left.
pub fn debit(budgets: &mut [&mut Budget], loss: Loss) -> Result<(), Exhausted> {
    if let Some(budget) = budgets.iter().position(|budget| !loss.within(budget.left())) {
        return Err(Exhausted { budget, asked: loss, left: budgets[budget].left() });
    }
    budgets.iter_mut().for_each(|budget| budget.spent = budget.spent.and(loss));
    Ok(())
}

/// A loss that a budget does not bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// Which of the budgets, from 0.
    pub budget: usize,
    /// What was asked for.
    pub asked: Loss,
    /// What it has left.
    pub left: Loss,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a release costs {}, and the privacy budget has {} left: ask for a smaller ε, or wait until the budget is renewed",
            self.asked, self.left
        )
    }
}

impl std::error::Error for Exhausted {}

/// How far one entity's rows can move the cells of one column of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Sensitivity {
    /// One cell, at most.
    pub each: u64,
    /// All cells together, at most (the L1 norm).
    pub total: u64,
    /// So many cells, at most.
    pub cells: u64,
}

impl Sensitivity {
    /// Counts of distinct entities in `cells` cells, of which an entity has at most `rows` rows.
    pub fn of_entities(rows: u64, cells: u64) -> Self {
        let cells = rows.min(cells);
        Sensitivity { each: 1, total: cells, cells }
    }

    /// Counts of rows.
    pub fn of_rows(rows: u64, cells: u64) -> Self {
        Sensitivity { each: rows, total: rows, cells: rows.min(cells) }
    }

    /// Sums of values within `bounds`, as integers in the unit of the column.
    pub fn of_sums(bounds: &Bounds, rows: u64, cells: u64) -> Result<Self, Unfit> {
        let greatest = u64::try_from(bounds.magnitude()).map_err(|_| Unfit::Sensitivity)?;
        let total = greatest.checked_mul(rows).ok_or(Unfit::Sensitivity)?;
        Ok(Sensitivity { each: total, total, cells: rows.min(cells) })
    }
}
