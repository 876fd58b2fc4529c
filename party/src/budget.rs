//! What a question costs this node's data sets, and whether what is left of their budgets bears it. The city's log is what counts: debits stand there before anything is computed, every
//! node and every auditor adds them up alike ([`ledger::budget`]), and no node keeps a sum of its own.

use crate::contracts::used_up;
use crate::job::Desk;
use crate::offer::Admitted;
use ledger::budget::{self, Accounts, Exhausted, month};
use ledger::bytes::Hash;
use ledger::contract::{Decimal, Dp};
use ledger::entry::{self, Debit};
use ledger::replay::Replay;
use protocols::privacy::Loss;
use query::message::{Code, Query, Refusal};
use std::collections::BTreeMap;

/// What a job costs this node's data sets, if their budgets and contracts bear it. An answer with noise that the planner was given costs nothing of
/// a budget, and no use: it is the one that he had.
///
/// # Errors
/// What is left, and when there is more; or that a contract is used up.
pub(crate) fn debits(desk: &Desk, admitted: &Admitted, replay: &Replay, now: u64) -> Result<Vec<Debit>, Refusal> {
    let spent = spent(admitted)?;
    let (planner, accounts, of) = (&admitted.query.planner, replay.accounts(), noise(desk, admitted)?);
    let mut debits = Vec::new();
    for (dataset, contract) in admitted.effective.contracts.iter().filter(|(dataset, _)| entry::owner(dataset) == Some(&desk.node)) {
        let signed = admitted.consent.contracts().find(|signed| signed.id == *contract);
        let mut debit = Debit {
            job: admitted.job.0,
            dataset: dataset.clone(),
            contract: *contract,
            month: month(now),
            uses: 1,
            epsilon: 0,
            delta: Decimal(0),
            noise: of,
        };
        if accounts.is_given(planner, &debit) {
            debit.uses = 0;
        } else if let Some(cost) = spent.get(dataset).map(cost) {
            (debit.epsilon, debit.delta) = (u64::try_from(cost.epsilon.0).unwrap_or(u64::MAX), cost.delta);
        }
        let dp = signed.and_then(|signed| signed.contract.dp.as_ref());
        replay.bears(planner, &debit, &debits).map_err(|exhausted| refusal(&desk.node, dp, &exhausted))?;
        if let Some(signed) = signed.filter(|_| debit.uses > 0 && replay.stands(contract) && !replay.has_use(contract)) {
            return Err(used_up(signed));
        }
        debits.push(debit);
    }
    Ok(debits)
}

/// Whether all owners have debited what a job costs: what the plan spends, of a month in which the question stands; or nothing for an answer that the planner was given.
///
/// # Errors
/// `E_LEDGER_JOB`: one has debited something else.
pub(crate) fn debited(
    desk: &Desk,
    admitted: &Admitted,
    debits: &BTreeMap<String, Debit>,
    accounts: &Accounts,
    now: u64,
) -> Result<(), Refusal> {
    let spent = spent(admitted)?;
    let of = noise(desk, admitted)?;
    // They cover all attempts, the first of which may have been as long ago as a question stands.
    let stands = Query::MAX_LIFETIME + Query::MAX_SKEW;
    let months = [now.saturating_sub(stands), now.saturating_add(Query::MAX_SKEW)].map(month);
    let right = |debit: &Debit, cost: budget::Loss| {
        let is = budget::Loss::of(debit);
        let free = is == budget::Loss::default() && accounts.is_given(&admitted.query.planner, debit);
        debit.noise == of && months.contains(&debit.month) && (is == cost || free)
    };
    let wrong =
        spent.iter().find(|(dataset, loss)| loss.epsilon.0 > 0 && !debits.get(*dataset).is_some_and(|debit| right(debit, cost(loss))));
    match wrong {
        None => Ok(()),
        Some((dataset, loss)) => Err(Refusal::new(
            Code::LedgerJob,
            format!(
                "`{}`: the question spends ε = {}, δ = {} of the budget of {dataset}, and its owner has not debited that",
                desk.node, loss.epsilon, loss.delta
            ),
            "nothing was shared; its owner should compare its release with the others'",
        )),
    }
}

/// Without the city's log there are no budgets, and what spends of this node's is refused.
///
/// # Errors
/// The plan spends ε of a data set of this node.
pub(crate) fn none(desk: &Desk, admitted: &Admitted) -> Result<(), Refusal> {
    let spent = spent(admitted)?;
    match spent.keys().find(|dataset| entry::owner(dataset) == Some(&desk.node)) {
        None => Ok(()),
        Some(dataset) => Err(Refusal::new(
            Code::Budget,
            format!("the question spends of the privacy budget of {dataset}, and `{}` keeps no log to debit it on", desk.node),
            "its operator should give it a section [ledger] (docs/ledger.md); or ask without `--epsilon`, if contracts allow it",
        )),
    }
}

/// What names the noise on an answer: a hash of plan, roster, catalogue, snapshots and contracts. `None` if there is none on it, or none that is debited.
///
/// # Errors
/// There is no noise of a law that the plan has.
pub(crate) fn noise(desk: &Desk, admitted: &Admitted) -> Result<Option<Hash>, Refusal> {
    let Some(entry) = admitted.entry.as_deref() else { return Ok(None) };
    let spends = !spent(admitted)?.is_empty();
    Ok(spends.then(|| query::joblog::noise(entry, &desk.grounds.roster().hash(), &desk.grounds.catalog_hash().0)))
}

/// As the log writes it.
fn cost(loss: &Loss) -> budget::Loss {
    budget::Loss { epsilon: Decimal(loss.epsilon.0.into()), delta: Decimal(i128::try_from(loss.delta.0).unwrap_or(i128::MAX)) }
}

fn spent(admitted: &Admitted) -> Result<BTreeMap<String, Loss>, Refusal> {
    admitted.plan.spent().map_err(|unfit| Refusal::new(Code::Internal, unfit.to_string(), "please report the query"))
}

fn refusal(node: &str, dp: Option<&Dp>, exhausted: &Exhausted) -> Refusal {
    let fix = match dp {
        Some(_) => {
            format!("ask for less with `--epsilon`, or again from {}; a question that was asked before costs nothing", exhausted.renewed)
        }
        None => "have its owner sign a contract with `dp`".to_owned(),
    };
    Refusal::new(Code::Budget, format!("`{node}`: {exhausted}"), fix)
}
