//! Budgets of privacy, as debits in the log have them: a filter for each data set, planner and month, and one for all planners where a contract asks for it.
//! Data sets of one owner about the same entities share such filters, if their contracts name the same domain of entities.
//!
//! A contract says what its planners may spend of a data set in a calendar month (UTC). What a planner has spent are the debits of all its jobs in that month, under
//! whatever contract; losses add up, and the sum stays within the limit also where later questions depend on earlier answers (Rogers, Roth, Ullman, Vadhan, NeurIPS'16,
//! section 3). A debit stands before anything of its job is computed, covers all attempts, and is never given back. A join debits each of its data sets in full. An answer with noise
//! that was given is given again, the same one, at no cost.

use crate::bytes::Hash;
use crate::contract::{Contract, Decimal, Delta, Dp, Epsilon, Time};
use crate::entry::{self, Debit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What all planners have spent, as a log's debits have it.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    spent: BTreeMap<Account, Loss>,
    /// Planners, data sets, and the noise on answers that were given, how often.
    given: BTreeMap<(String, String, Hash), u64>,
}

/// Whose spending adds up, and of what, in one month.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// A data set; or a domain of entities with its owner before it, `energy/energy.household`.
    pub of: String,
    /// Who spends; `None` is all planners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planner: Option<String>,
    /// When: `2026-11`.
    pub month: String,
}

/// What may be spent of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Of which.
    pub account: Account,
    /// How much.
    pub most: Loss,
}

/// What a contract says of budgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// Of which data set.
    pub dataset: String,
    /// How much. Without it there is nothing to spend.
    pub dp: Option<Dp>,
    /// Whose budget it shares with other data sets of its owner: a domain of entities.
    pub domain: Option<String>,
    /// The last month in which it is in force.
    pub until: String,
}

impl Allowance {
    /// What a contract says.
    pub fn of(contract: &Contract) -> Self {
        let (dataset, dp, domain) = (contract.dataset.clone(), contract.dp.clone(), contract.entity_domain.clone());
        Self { dataset, dp, domain, until: month(contract.not_after.0) }
    }

    /// What bounds the spending of a planner in a month: what it says itself of its data set, and of its domain the least that any of the contracts that stand says.
    pub fn limits<'a>(&'a self, planner: &str, month: &str, standing: impl Iterator<Item = &'a Self>) -> Vec<Limit> {
        let limit = |of: &str, planner: Option<&str>, most| Limit { account: account(of, planner, month), most };
        let mut limits: Vec<Limit> = Vec::new();
        let mut bounded = |of: &str, by: &Self| {
            let most = by.dp.as_ref().map_or(Loss::default(), Loss::of_month);
            let all = by.dp.as_ref().and_then(Loss::of_all);
            limits.push(limit(of, Some(planner), most));
            limits.extend(all.map(|most| limit(of, None, most)));
        };
        bounded(&self.dataset, self);
        if let Some(shared) = self.shared() {
            let same = |other: &&Self| other.dp.is_some() && other.until.as_str() >= month && other.shared().as_ref() == Some(&shared);
            std::iter::once(self).chain(standing.filter(same)).for_each(|by| bounded(&shared, by));
        }
        limits
    }

    /// The domain whose budget it shares, as accounts name it. Domains of two owners are two.
    fn shared(&self) -> Option<String> {
        let owner = entry::owner(&self.dataset).unwrap_or_default();
        self.domain.as_ref().map(|domain| format!("{owner}/{domain}"))
    }

    /// Where a debit counts.
    fn accounts(&self, planner: &str, debit: &Debit) -> Vec<Account> {
        let of = std::iter::once(self.dataset.clone()).chain(self.shared());
        of.flat_map(|of| [Some(planner), None].map(|planner| account(&of, planner, &debit.month))).collect()
    }
}

fn account(of: &str, planner: Option<&str>, month: &str) -> Account {
    Account { of: of.to_owned(), planner: planner.map(str::to_owned), month: month.to_owned() }
}

impl Accounts {
    /// What is spent of an account.
    pub fn spent(&self, account: &Account) -> Loss {
        self.spent.get(account).copied().unwrap_or_default()
    }

    /// All that is spent.
    pub fn all(&self) -> impl Iterator<Item = (&Account, Loss)> {
        self.spent.iter().map(|(account, loss)| (account, *loss))
    }

    /// Whether a planner was given the answer with the noise that this debit names: all parties have seen what it cost before they computed it. Given again, it costs nothing of a
    /// budget, and no use.
    pub fn is_given(&self, planner: &str, debit: &Debit) -> bool {
        answer(planner, debit).is_some_and(|answer| self.given.contains_key(&answer))
    }

    /// The noise on answers that planners were given, each with its planner; of several data sets, several times.
    pub fn given(&self) -> impl Iterator<Item = (&str, &Hash)> {
        self.given.keys().map(|(planner, _, noise)| (planner.as_str(), noise))
    }

    /// Whether a debit of a job of this planner may stand: what it costs is left of every account, and what costs nothing of a budget though it has noise was given before. `standing`
    /// are what all contracts say that are not revoked; `before` is what else the job is to be debited.
    ///
    /// # Errors
    /// What is left, and when there is more; for noise that was never given that there is nothing.
    pub fn admit<'a>(
        &self,
        planner: &str,
        allowance: &'a Allowance,
        standing: impl Iterator<Item = &'a Allowance>,
        debit: &Debit,
        before: &[(&Allowance, &Debit)],
    ) -> Result<(), Box<Exhausted>> {
        let spent = |account: &Account| {
            let also = before.iter().filter(|(allowance, debit)| allowance.accounts(planner, debit).contains(account));
            also.fold(self.spent(account), |spent, (_, debit)| spent.and(Loss::of(debit)))
        };
        let is_free = allowance.dp.is_some() && debit.epsilon == 0;
        let unpaid = debit.noise.is_some() && is_free && !self.is_given(planner, debit);
        let limits = allowance.limits(planner, &debit.month, standing);
        let cost = Loss::of(debit);
        let left = left(&limits, spent);
        if !unpaid && cost.within(left) {
            return Ok(());
        }
        let own = |limit: &&Limit| limit.account.planner.is_some() && limit.account.of == debit.dataset;
        let shared = limits.iter().find(|limit| !own(limit) && !cost.within(limit.most.less(spent(&limit.account))));
        let shared = shared.map(|limit| limit.account.clone());
        Err(Box::new(Exhausted { dataset: debit.dataset.clone(), cost, left, shared, renewed: after(&debit.month) }))
    }

    /// Takes a debit that stands now.
    pub(crate) fn debit(&mut self, planner: &str, allowance: &Allowance, debit: &Debit) {
        let loss = Loss::of(debit);
        if loss == Loss::default() {
            return;
        }
        for account in allowance.accounts(planner, debit) {
            let spent = self.spent.entry(account).or_default();
            *spent = spent.and(loss);
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

    /// Takes the last debit back.
    pub(crate) fn undo(&mut self, planner: &str, allowance: &Allowance, debit: &Debit) {
        for account in allowance.accounts(planner, debit) {
            let left = self.spent.get(&account).map(|spent| spent.less(Loss::of(debit)));
            match left.filter(|left| *left != Loss::default()) {
                Some(left) => drop(self.spent.insert(account, left)),
                None => drop(self.spent.remove(&account)),
            }
        }
    }
}

/// What is left where several limits hold, of which so much is spent: the least.
pub fn left(limits: &[Limit], spent: impl Fn(&Account) -> Loss) -> Loss {
    limits.iter().map(|limit| limit.most.less(spent(&limit.account))).reduce(Loss::least).unwrap_or_default()
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

    /// What a contract lets all planners spend in a month, if it says so: of δ as many times a planner's as of ε.
    fn of_all(dp: &Dp) -> Option<Self> {
        let epsilon = dp.epsilon_month_all?;
        // A contract has an ε of at most 1000, and a δ below 1. One that does not has no budget.
        let delta = dp.delta.0.checked_mul(epsilon.0).and_then(|delta| delta.checked_div(dp.epsilon_month.0)).unwrap_or(0);
        Some(Loss { epsilon, delta: Decimal(delta) })
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

    /// The least of each.
    pub fn least(self, other: Self) -> Self {
        Loss { epsilon: self.epsilon.min(other.epsilon), delta: self.delta.min(other.delta) }
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
    /// With whom or what else the budget is shared of which it is not left, if it is.
    pub shared: Option<Account>,
    /// The day from which there is a budget again.
    pub renewed: String,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, cost, left, shared, renewed } = self;
        write!(f, "the question costs {cost} of the budget of {dataset}, and this planner has {left} left until {renewed}")?;
        match shared {
            Some(Account { of, .. }) if of != dataset => write!(f, ", as all data sets of {of} share a budget"),
            Some(Account { planner: None, .. }) => write!(f, ", as what all planners may spend together is bounded too"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Exhausted {}

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
            epsilon_month_all: None,
            delta: delta.parse().expect("a number"),
            mode: DpMode::Required,
            noise: NoiseLaw::Laplace,
        }
    }

    fn debit(noise: &str, month: &str, epsilon: u64) -> Debit {
        let noise = Some(testing::hash(noise));
        Debit { month: month.into(), epsilon, delta: Decimal(5), noise, ..testing::debit("job", "energy.buildings") }
    }

    fn allowance(dp: Option<&Dp>, debit: &Debit) -> Allowance {
        Allowance { dataset: debit.dataset.clone(), dp: dp.cloned(), domain: None, until: "2027-12".into() }
    }

    /// Spends what it may.
    fn spend(accounts: &mut Accounts, planner: &str, dp: &Dp, debit: &Debit) -> Result<(), Box<Exhausted>> {
        let allowance = allowance(Some(dp), debit);
        accounts.admit(planner, &allowance, std::iter::empty(), debit, &[]).inspect(|()| accounts.debit(planner, &allowance, debit))
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
        assert_eq!(accounts.spent(&account("health.stays", Some("ana"), "2026-11")).epsilon, Decimal(500_000));
    }

    #[test]
    fn an_answer_is_paid_for_once_if_it_is_given() {
        let (dp, mut accounts) = (dp("0.5", "0.000000000001"), Accounts::default());
        let free = |noise| Debit { epsilon: 0, delta: Decimal(0), ..debit(noise, "2026-11", 0) };
        assert!(spend(&mut accounts, "ana", &dp, &free("one")).is_err(), "nobody has paid for it");
        assert!(spend(&mut accounts, "ana", &dp, &debit("one", "2026-11", 500_000)).is_ok());
        assert!(
            spend(&mut accounts, "ana", &dp, &free("one")).is_err(),
            "nobody but its owner knows what it costs, before all parties have computed it"
        );
        accounts.give("ana", &debit("one", "2026-11", 500_000));
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
        assert!(
            spend(&mut accounts, "ana", &dp, &exact).is_ok()
                && accounts.admit("ana", &allowance(None, &exact), std::iter::empty(), &exact, &[]).is_ok()
        );
        assert!(
            accounts.admit("ana", &allowance(None, &exact), std::iter::empty(), &debit("one", "2026-11", 1), &[]).is_err(),
            "without `dp` there is nothing to spend"
        );
    }

    #[test]
    fn what_is_taken_back_is_there_again() {
        let (dp, mut accounts) = (dp("0.5", "0.000000000001"), Accounts::default());
        let debit = debit("one", "2026-11", 500_000);
        for _ in 0..3 {
            assert!(spend(&mut accounts, "ana", &dp, &debit).is_ok());
            accounts.undo("ana", &allowance(Some(&dp), &debit), &debit);
        }
        assert_eq!(accounts.all().count(), 0);
    }

    #[test]
    fn what_all_planners_may_spend_together_ends_too() {
        let (dp, mut accounts) =
            (Dp { epsilon_month_all: Some("1.5".parse().expect("a number")), ..dp("1", "0.000000000001") }, Accounts::default());
        assert!(spend(&mut accounts, "ana", &dp, &debit("one", "2026-11", 1_000_000)).is_ok());
        assert!(spend(&mut accounts, "ben", &dp, &debit("one", "2026-11", 400_000)).is_ok());
        let exhausted = spend(&mut accounts, "ben", &dp, &debit("two", "2026-11", 200_000)).expect_err("0.6 are his own, 0.1 are left");
        assert_eq!(exhausted.left.epsilon, Decimal(100_000));
        assert!(exhausted.to_string().contains("as what all planners may spend together is bounded too"), "{exhausted}");
        let own = spend(&mut accounts, "ana", &dp, &debit("three", "2026-11", 1)).expect_err("her own is spent");
        assert!(own.left.epsilon.0 == 0 && own.shared.is_none(), "{own}");
        assert!(spend(&mut accounts, "ben", &dp, &debit("two", "2026-11", 100_000)).is_ok());
        assert!(spend(&mut accounts, "eve", &dp, &debit("four", "2026-11", 1)).is_err(), "nothing is left for anybody");
        assert!(spend(&mut accounts, "eve", &dp, &debit("four", "2026-12", 1_000_000)).is_ok());
    }

    /// However many they are, and however little each has spent.
    #[test]
    fn planners_together_spend_delta_in_the_ratio_of_epsilon() {
        let all =
            |epsilon: &str| Dp { epsilon_month_all: Some(epsilon.parse().expect("a number")), ..dp("2", "0.00000000000000000000001") };
        // Each debit takes 5, and a planner has 10 for ε = 2.
        for (epsilon, answers) in [("2", 2), ("3", 3), ("5", 5), ("1.9", 1)] {
            let mut accounts = Accounts::default();
            let spent =
                (0..9).filter(|at| spend(&mut accounts, &format!("planner-{at}"), &all(epsilon), &debit("one", "2026-11", 1)).is_ok());
            assert_eq!(spent.count(), answers, "{epsilon}");
        }
        let left = Allowance { dp: Some(all("3")), ..allowance(None, &debit("one", "2026-11", 1)) };
        let of_all = left.limits("ana", "2026-11", std::iter::empty()).into_iter().find(|limit| limit.account.planner.is_none());
        assert_eq!(of_all.expect("a bound of all").most.to_string(), "ε = 3, δ = 0.000000000000000000000015");
    }

    #[test]
    fn data_sets_about_the_same_entities_share_the_least_of_their_budgets() {
        let of = |dataset: &str, domain: &str, epsilon: &str, until: &str| Allowance {
            dataset: dataset.into(),
            dp: Some(Dp { epsilon_month_all: Some("2".parse().expect("a number")), ..dp(epsilon, "0.000000000001") }),
            domain: Some(domain.into()),
            until: until.into(),
        };
        let standing = [
            of("energy.meters", "household", "2", "2027-12"),
            of("energy.bills", "household", "1", "2027-12"),
            of("energy.trees", "tree", "1", "2027-12"),
            of("health.stays", "household", "1", "2027-12"),
            of("energy.old", "household", "0.1", "2026-10"),
        ];
        let mut accounts = Accounts::default();
        let mut spend = |at: usize, planner: &str, epsilon: u64| {
            let debit = Debit { dataset: standing[at].dataset.clone(), ..debit(&format!("{at}{planner}{epsilon}"), "2026-11", epsilon) };
            let admitted = accounts.admit(planner, &standing[at], standing.iter(), &debit, &[]);
            admitted.inspect(|()| accounts.debit(planner, &standing[at], &debit))
        };
        assert!(spend(0, "ana", 600_000).is_ok());
        let exhausted = spend(1, "ana", 500_000).expect_err("0.4 are left of what both have");
        assert!(exhausted.left.epsilon == Decimal(400_000), "{exhausted}");
        assert!(exhausted.to_string().contains("as all data sets of energy/household share a budget"), "{exhausted}");
        assert!(spend(0, "ana", 500_000).is_err(), "the meters' own contract says 2, and that of the bills 1");
        assert!(spend(1, "ana", 400_000).is_ok() && spend(0, "ana", 1).is_err());
        // other entities, other owners, and other planners: as many as may
        assert!(spend(2, "ana", 1_000_000).is_ok() && spend(3, "ana", 1_000_000).is_ok());
        assert!(spend(0, "ben", 1_000_000).is_ok());
        assert!(spend(1, "eve", 1).is_err(), "2 are spent by all");
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        assert_eq!([1_796_083_199, 1_796_083_200].map(month), ["2026-11", "2026-12"]);
        assert_eq!(["2026-01", "2026-09", "2026-11", "2026-12"].map(after), ["2026-02-01", "2026-10-01", "2026-12-01", "2027-01-01"]);
    }
}
