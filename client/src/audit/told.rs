//! A history as JSON, for programs.

use super::history::{Contract, Step};
use super::{History, Opened, Place, Question, Standing, State, Total, Totals, epsilon, time};
use ledger::bytes::Hash;
use ledger::receipt::Receipt;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All of it. `questions` are those that were asked for; `receipts` are of `history.entries`.
pub fn told(history: &History, questions: &[&Question], standing: &Standing, opened: &Opened, receipts: &[Receipt]) -> Value {
    let totals = Totals::of(questions.iter().copied());
    let logs =
        standing.logs.iter().map(|log| json!({"origin": log.origin, "size": log.size, "root": log.root, "checkpoint": log.checkpoint}));
    let cosigners = standing.cosigners.iter().map(|(name, at)| json!({"name": name, "time": time(*at)}));
    let entries = history.entries.iter().zip(receipts).map(|(entry, receipt)| {
        let proof: Vec<String> = receipt.proof.iter().map(|hash| base64(*hash)).collect();
        json!({"at": at(entry.place), "kind": entry.kind, "id": entry.id, "signers": entry.signers, "proof": proof})
    });
    let snapshots = history.snapshots.iter().map(|one| json!({"at": at(one.place), "snapshot": one.root, "columns": one.columns}));
    let asked = questions.iter().map(|question| asked(history, question, opened));
    json!({
        "ok": true,
        "dataset": history.dataset,
        "as_of": time(standing.time()),
        "logs": logs.collect::<Vec<_>>(),
        "cosigners": cosigners.collect::<Vec<_>>(),
        "columns": history.columns,
        "questions": asked.collect::<Vec<_>>(),
        "totals": {
            "all": total(&totals.all),
            "planners": all(&totals.planners),
            "purposes": all(&totals.purposes),
            "months": all(&totals.months),
            "columns": all(&totals.columns),
        },
        "contracts": history.contracts.iter().map(|contract| contracted(contract, standing.time())).collect::<Vec<_>>(),
        "snapshots": snapshots.collect::<Vec<_>>(),
        "entries": entries.collect::<Vec<_>>(),
        "openings_refused": opened.wrong,
    })
}

fn at(place: Place) -> Value {
    json!({"log": place.log, "index": place.index})
}

fn asked(history: &History, question: &Question, opened: &Opened) -> Value {
    let query = &question.query;
    let steps = question.steps.iter().map(|(place, step)| match step {
        Step::Started { attempt } => json!({"at": at(*place), "is": "started", "attempt": attempt}),
        Step::Released { attempt, result } => json!({"at": at(*place), "is": "released", "attempt": attempt, "result": result}),
        Step::Aborted { attempt, code } => json!({"at": at(*place), "is": "aborted", "attempt": attempt, "code": code}),
    });
    let released = opened.released(question).and_then(|released| released.as_ref().ok());
    let state = question.state();
    let (result, code) = match state {
        State::Released(result) => (Some(result), None),
        State::Aborted(code) => (None, Some(code)),
        State::Waiting | State::Running => (None, None),
    };
    json!({
        "at": at(question.place),
        "job": query.job,
        "planner": question.planner,
        "purpose": query.purpose,
        "contracts": history.under(question).map(|contract| contract.id).collect::<Vec<_>>(),
        "columns": question.columns,
        "snapshot": question.snapshot,
        "together_with": query.reads.iter().map(|read| &read.dataset).filter(|name| **name != history.dataset).collect::<Vec<_>>(),
        "parties": query.parties,
        "receivers": query.receivers,
        "plan_hash": query.plan_hash,
        "statement": query.statement,
        "sql": opened.open(&query.statement),
        "uses": released.map(|released| &released.uses),
        "releases": released.map(|released| &released.lines),
        "not_compiled": opened.released(question).and_then(|released| released.as_ref().err()),
        "month": question.month(),
        "expires": time(query.expires),
        "state": state.name().split(',').next(),
        "result": result,
        "answer": result.and_then(|result| opened.open(result)),
        "code": code,
        "debit": question.debit.as_ref().map(|(place, debit)| json!({
            "at": at(*place), "contract": debit.contract, "month": debit.month, "uses": debit.uses, "epsilon": epsilon(debit.epsilon.into()),
        })),
        "uses_held": question.uses(),
        "price": question.price().map(|(amount, unit)| json!({"amount": amount, "unit": unit})),
        "steps": steps.collect::<Vec<_>>(),
    })
}

fn contracted(contract: &Contract, now: u64) -> Value {
    let revoked = contract.revoked.as_ref().map(|(place, reason)| json!({"at": at(*place), "reason": reason}));
    let spent = contract.spent.iter().map(|((month, planner), spent)| {
        let left = contract.monthly().map(|most| epsilon((most - spent).max(0)));
        json!({"month": month, "planner": planner, "epsilon": epsilon(*spent), "left": left})
    });
    json!({
        "at": at(contract.place),
        "id": contract.id,
        "name": contract.name(),
        "state": contract.standing(now),
        "terms": contract.terms,
        "revoked": revoked,
        "uses": contract.uses,
        "uses_left": contract.uses_left(now),
        "epsilon_month": contract.monthly().map(epsilon),
        "spent": spent.collect::<Vec<_>>(),
    })
}

fn total(total: &Total) -> Value {
    json!({"questions": total.questions, "released": total.released, "uses": total.uses, "epsilon": epsilon(total.epsilon), "price": total.price})
}

fn all(totals: &BTreeMap<String, Total>) -> Vec<Value> {
    let named = |(name, of): (&String, &Total)| {
        let mut value = total(of);
        value["name"] = name.as_str().into();
        value
    };
    totals.iter().map(named).collect()
}

fn base64(hash: Hash) -> String {
    ledger::bytes::Base64(hash.0.into()).to_string()
}
