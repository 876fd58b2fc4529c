//! Budgets of privacy, as debits in the log have them: a filter for each data set, planner and month.
//!
//! A contract says what its planners may spend of a data set in a calendar month (UTC). What a planner has spent are the debits of all its jobs in that month, under
//! whatever contract; losses add up, and the sum stays within the limit also where later questions depend on earlier answers (Rogers, Roth, Ullman, Vadhan, NeurIPS'16,
//! section 3). A debit stands before anything of its job is computed, covers all attempts, and is never given back. A join debits each of its data sets in full. An answer with noise
//! that was paid for is given again, the same one, at no cost.

use crate::bytes::Hash;
use crate::contract::{Decimal, Delta, Dp, Epsilon, Time};
use crate::entry::Debit;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What all planners have spent, as a log's debits have it.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// By planner, data set and month.
    spent: BTreeMap<(String, String, String), Loss>,
    /// Planners, data sets, and the noise that is paid for.
    paid: BTreeSet<(String, String, Hash)>,
    /// The same of answers that were given, and how often.
    given: BTreeMap<(String, String, Hash), u64>,
}

impl Accounts {
    /// What a planner has spent of a data set in a month.
    pub fn spent(&self, planner: &str, dataset: &str, month: &str) -> Loss {
        self.spent.get(&(planner.to_owned(), dataset.to_owned(), month.to_owned())).copied().unwrap_or_default()
    }

    /// All that is spent: planner, data set, month, and how much.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &str, Loss)> {
        self.spent.iter().map(|((planner, dataset, month), loss)| (planner.as_str(), dataset.as_str(), month.as_str(), *loss))
    }

    /// Whether a planner has paid a data set for this noise: it is the same again, and costs nothing.
    pub fn is_paid(&self, planner: &str, dataset: &str, noise: &Hash) -> bool {
        self.paid.contains(&(planner.to_owned(), dataset.to_owned(), *noise))
    }

    /// Whether a planner was given the answer with the noise that this debit names: given again, it costs no use.
    pub fn is_given(&self, planner: &str, debit: &Debit) -> bool {
        answer(planner, debit).is_some_and(|answer| self.given.contains_key(&answer))
    }

    /// Whether a debit of a job of this planner may stand: what it costs is left, and what costs nothing of a budget though it has noise is paid for.
    ///
    /// # Errors
    /// What is left, and when there is more; for unpaid noise that there is nothing.
    pub fn admit(&self, planner: &str, dp: Option<&Dp>, debit: &Debit) -> Result<(), Exhausted> {
        let unpaid = debit.noise.filter(|noise| dp.is_some() && debit.epsilon == 0 && !self.is_paid(planner, &debit.dataset, noise));
        let spent = self.spent(planner, &debit.dataset, &debit.month);
        match unpaid {
            None => admit(dp, debit, spent),
            Some(_) => Err(Exhausted::of(dp, debit, spent)),
        }
    }

    /// Takes a debit that stands now.
    pub(crate) fn debit(&mut self, planner: &str, debit: &Debit) {
        let account = (planner.to_owned(), debit.dataset.clone(), debit.month.clone());
        let spent = self.spent.entry(account).or_default();
        *spent = spent.and(Loss::of(debit));
        if let Some(noise) = debit.noise.filter(|_| debit.epsilon > 0) {
            self.paid.insert((planner.to_owned(), debit.dataset.clone(), noise));
        }
    }

    /// Takes down that the answer with a debit's noise was given.
    pub(crate) fn give(&mut self, planner: &str, debit: &Debit) {
        if let Some(answer) = answer(planner, debit) {
            *self.given.entry(answer).or_default() += 1;
        }
    }

    /// Takes the last [`Accounts::give`] back.
    pub(crate) fn take_back(&mut self, planner: &str, debit: &Debit) {
        let Some(answer) = answer(planner, debit) else { return };
        match self.given.get_mut(&answer) {
            Some(times) if *times > 1 => *times -= 1,
            _ => drop(self.given.remove(&answer)),
        }
    }

    /// Takes the last debit back. `paid` says whether its noise was paid for before.
    pub(crate) fn undo(&mut self, planner: &str, debit: &Debit, paid: bool) {
        let account = (planner.to_owned(), debit.dataset.clone(), debit.month.clone());
        let left = self.spent.get(&account).map(|spent| spent.less(Loss::of(debit)));
        match left.filter(|left| *left != Loss::default()) {
            Some(left) => drop(self.spent.insert(account, left)),
            None => drop(self.spent.remove(&account)),
        }
        if let Some(noise) = debit.noise.filter(|_| !paid) {
            self.paid.remove(&(planner.to_owned(), debit.dataset.clone(), noise));
        }
    }
}

/// Which answer a debit is of, if there is noise on it: the same is given again.
fn answer(planner: &str, debit: &Debit) -> Option<(String, String, Hash)> {
    debit.noise.map(|noise| (planner.to_owned(), debit.dataset.clone(), noise))
}

/// What is spent of a budget, or may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// ε.
    pub epsilon: Epsilon,
    /// δ.
    pub delta: Delta,
}

impl Default for Loss {
    fn default() -> Self {
        Loss { epsilon: Decimal(0), delta: Decimal(0) }
    }
}

impl Loss {
    /// What a contract lets a planner spend in a month.
    pub fn of_month(dp: &Dp) -> Self {
        Loss { epsilon: dp.epsilon_month, delta: dp.delta }
    }

    /// What a debit comes to.
    pub fn of(debit: &Debit) -> Self {
        Loss { epsilon: Decimal(debit.epsilon.into()), delta: debit.delta }
    }

    fn and(self, other: Self) -> Self {
        Loss {
            epsilon: Decimal(self.epsilon.0.saturating_add(other.epsilon.0)),
            delta: Decimal(self.delta.0.saturating_add(other.delta.0)),
        }
    }

    fn within(self, limit: Self) -> bool {
        self.epsilon <= limit.epsilon && self.delta <= limit.delta
    }

    /// What is left of it.
    pub fn less(self, spent: Self) -> Self {
        Loss { epsilon: Decimal((self.epsilon.0 - spent.epsilon.0).max(0)), delta: Decimal((self.delta.0 - spent.delta.0).max(0)) }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ε = {}, δ = {}", self.epsilon, self.delta)
    }
}

/// A loss that is more than what is left of a month's budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The data set.
    pub dataset: String,
    /// What was asked for.
    pub cost: Loss,
    /// What is left.
    pub left: Loss,
    /// The day from which there is a budget again.
    pub renewed: String,
}

impl Exhausted {
    fn of(dp: Option<&Dp>, debit: &Debit, spent: Loss) -> Self {
        let left = dp.map_or(Loss::default(), Loss::of_month).less(spent);
        Exhausted { dataset: debit.dataset.clone(), cost: Loss::of(debit), left, renewed: after(&debit.month) }
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, cost, left, renewed } = self;
        write!(f, "the question costs {cost} of the budget of {dataset}, and this planner has {left} left until {renewed}")
    }
}

impl std::error::Error for Exhausted {}

/// Whether a debit is within what the contract lets its planner spend, of which so much is spent. A contract that speaks of no noise has no budget of it.
fn admit(dp: Option<&Dp>, debit: &Debit, spent: Loss) -> Result<(), Exhausted> {
    let (cost, limit) = (Loss::of(debit), dp.map_or(Loss::default(), Loss::of_month));
    match cost == Loss::default() || spent.and(cost).within(limit) {
        true => Ok(()),
        false => Err(Exhausted::of(dp, debit, spent)),
    }
}

/// The month of a time, in UTC: `2026-11`.
pub fn month(now: u64) -> String {
    Time(now).to_string().chars().take("2026-11".len()).collect()
}

/// The first day after a month: `2027-01-01` of `2026-12`.
pub fn after(month: &str) -> String {
    let (year, month) = month.split_once('-').unwrap_or((month, "12"));
    match (year.parse::<u32>(), month.parse::<u32>()) {
        (Ok(year), Ok(month @ 1..12)) => format!("{year:04}-{:02}-01", month + 1),
        (Ok(year), _) => format!("{:04}-01-01", year + 1),
        _ => "the next month".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{DpMode, NoiseLaw};
    use crate::testing;

    fn dp(epsilon: &str, delta: &str) -> Dp {
        let number = |text: &str| text.parse().expect("a number");
        Dp {
            epsilon_per_query_max: number("1"),
            epsilon_month: number(epsilon),
            delta: delta.parse().expect("a number"),
            mode: DpMode::Required,
            noise: NoiseLaw::Laplace,
        }
    }

    fn debit(noise: &str, month: &str, epsilon: u64) -> Debit {
        let noise = Some(testing::hash(noise));
        Debit { month: month.into(), epsilon, delta: Decimal(5), noise, ..testing::debit("job", "energy.buildings") }
    }

    /// Spends what it may.
    fn spend(accounts: &mut Accounts, planner: &str, dp: &Dp, debit: &Debit) -> Result<(), Exhausted> {
        accounts.admit(planner, Some(dp), debit).inspect(|()| accounts.debit(planner, debit))
    }

    #[test]
    fn a_month_is_spent_and_the_next_is_new() {
        let (dp, mut accounts) = (dp("1.2", "0.000000000001"), Accounts::default());
        for (noise, month, fits) in [
            ("one", "2026-11", true),
            ("two", "2026-11", true),
            ("three", "2026-11", false),
            ("four", "2026-12", true),
            ("five", "2027-01", true),
        ] {
            let spent = spend(&mut accounts, "ana", &dp, &debit(noise, month, 500_000));
            assert_eq!(spent.is_ok(), fits, "{noise}");
            if let Err(exhausted) = spent {
                let said = exhausted.to_string();
                assert!(said.contains("costs ε = 0.5") && said.contains("ε = 0.2") && said.contains("until 2026-12-01"), "{said}");
            }
        }
        // what is left may be spent to the last millionth, and another planner has a budget of its own
        assert!(spend(&mut accounts, "ana", &dp, &debit("six", "2026-11", 200_001)).is_err());
        assert!(spend(&mut accounts, "ana", &dp, &debit("six", "2026-11", 200_000)).is_ok());
        assert!(spend(&mut accounts, "ben", &dp, &debit("six", "2026-11", 1_200_000)).is_ok());
    }

    #[test]
    fn debits_under_all_contracts_of_a_data_set_add_up_and_others_do_not() {
        let (dp, mut accounts) = (dp("1", "0.000000000001"), Accounts::default());
        let other = Debit { contract: testing::hash("another"), ..debit("one", "2026-11", 600_000) };
        assert!(spend(&mut accounts, "ana", &dp, &other).is_ok());
        assert!(spend(&mut accounts, "ana", &dp, &debit("two", "2026-11", 500_000)).is_err());
        // the other side of a join
        let elsewhere = Debit { dataset: "health.stays".into(), ..debit("two", "2026-11", 500_000) };
        assert!(spend(&mut accounts, "ana", &dp, &elsewhere).is_ok());
        assert_eq!(accounts.spent("ana", "health.stays", "2026-11").epsilon, Decimal(500_000));
    }

    #[test]
    fn the_same_noise_is_paid_for_once() {
        let (dp, mut accounts) = (dp("0.5", "0.000000000001"), Accounts::default());
        let free = |noise| Debit { epsilon: 0, delta: Decimal(0), ..debit(noise, "2026-11", 0) };
        assert!(spend(&mut accounts, "ana", &dp, &free("one")).is_err(), "nobody has paid for it");
        assert!(spend(&mut accounts, "ana", &dp, &debit("one", "2026-11", 500_000)).is_ok());
        assert!(accounts.is_paid("ana", "energy.buildings", &testing::hash("one")));
        // in this month, and in any other
        assert!(spend(&mut accounts, "ana", &dp, &free("one")).is_ok());
        assert!(spend(&mut accounts, "ana", &dp, &Debit { month: "2027-03".into(), ..free("one") }).is_ok());
        assert!(spend(&mut accounts, "ana", &dp, &free("two")).is_err(), "other noise");
        assert!(spend(&mut accounts, "ben", &dp, &free("one")).is_err(), "another planner");
    }

    #[test]
    fn delta_is_spent_too_and_nothing_costs_nothing() {
        let (dp, mut accounts) = (dp("4", "0.000000000000000000000007"), Accounts::default());
        assert!(spend(&mut accounts, "ana", &dp, &debit("one", "2026-11", 1)).is_ok());
        let exhausted = spend(&mut accounts, "ana", &dp, &debit("two", "2026-11", 1)).expect_err("2 of 7 are left, and it takes 5");
        assert_eq!(exhausted.left.delta, Decimal(2));
        let exact = Debit { epsilon: 0, delta: Decimal(0), noise: None, ..debit("", "2026-11", 0) };
        assert!(spend(&mut accounts, "ana", &dp, &exact).is_ok() && accounts.admit("ana", None, &exact).is_ok());
        assert!(accounts.admit("ana", None, &debit("one", "2026-11", 1)).is_err(), "without `dp` there is nothing to spend");
    }

    #[test]
    fn what_is_taken_back_is_there_again() {
        let (dp, mut accounts) = (dp("0.5", "0.000000000001"), Accounts::default());
        let debit = debit("one", "2026-11", 500_000);
        for _ in 0..3 {
            assert!(spend(&mut accounts, "ana", &dp, &debit).is_ok());
            accounts.undo("ana", &debit, false);
        }
        assert_eq!(accounts.spent("ana", "energy.buildings", "2026-11"), Loss::default());
        assert!(!accounts.is_paid("ana", "energy.buildings", &testing::hash("one")));
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        assert_eq!([1_796_083_199, 1_796_083_200].map(month), ["2026-11", "2026-12"]);
        assert_eq!(["2026-01", "2026-09", "2026-11", "2026-12"].map(after), ["2026-02-01", "2026-10-01", "2026-12-01", "2027-01-01"]);
    }
}
