//! What came out, and what was done with the columns: not on the log in words, but its plan is, as a hash. Whoever has the SQL and the catalogue compiles it again, under the contracts
//! that the log names; if that is the plan of the log, what it opens is what was opened, and nothing else.

use super::{History, Question};
use crate::contract::Document;
use ledger::bytes::Hash;
use ledger::contract::{Decimal, Epsilon, Operation, ROWS, Security, SignedContract, Sizes};
use query::catalog::Catalog;
use query::compile::compile;
use query::consent::{self, Effective};
use query::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// What a question's plan says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Everything that the planner learnt, and other parties: a line each.
    pub lines: Vec<String>,
    /// What was done with the columns of the data set, as contracts name it.
    pub uses: BTreeMap<String, Vec<&'static str>>,
}

/// By job: what came out, or why nobody can say it here. Only of questions whose SQL is known.
pub type All = BTreeMap<Hash, Result<Released, String>>;

/// What came of these questions, as far as it is known what they are.
pub fn all<'a>(history: &History, questions: impl IntoIterator<Item = (&'a Question, &'a str)>, catalog: &Catalog) -> All {
    questions.into_iter().map(|(question, sql)| (question.query.job, released(history, question, sql, catalog))).collect()
}

fn released(history: &History, question: &Question, sql: &str, catalog: &Catalog) -> Result<Released, String> {
    let (plan, effective) = planned(history, question, sql, catalog)?;
    let mut lines: Vec<String> = plan.reveals.iter().map(line).collect();
    let disclosed = consent::interpret(&plan).map(|found| found.disclosed).unwrap_or_default();
    lines.extend(disclosed.iter().filter(|(_, sizes)| **sizes != Sizes::Hidden).map(|(table, sizes)| {
        let rounded = if *sizes == Sizes::Exact { "" } else { ", rounded up" };
        format!("how many rows of {table} were left at its owner{rounded} (to the other parties too)")
    }));
    let mine = |alone: bool| effective.uses.iter().filter(move |used| used.table == history.dataset && used.or.is_empty() == alone);
    let mut done: BTreeMap<String, BTreeSet<Operation>> = BTreeMap::new();
    // What has a name of its own first: the rest mostly comes with it, as whether there is a value comes with a sum.
    for used in mine(true).chain(mine(false)) {
        let done = done.entry(used.column.clone().unwrap_or_else(|| ROWS.into())).or_default();
        if !used.or.iter().any(|other| done.contains(other)) {
            done.insert(used.operation);
        }
    }
    let uses = done.into_iter().map(|(column, done)| (column, done.into_iter().map(Operation::name).collect())).collect();
    Ok(Released { lines, uses })
}

fn line(reveal: &query::plan::Reveal) -> String {
    let why = if reveal.why.is_empty() { String::new() } else { format!(" ({})", reveal.why) };
    format!("{}, for {}{why}", reveal.what, reveal.per)
}

/// The plan that the log names.
fn planned(history: &History, question: &Question, sql: &str, catalog: &Catalog) -> Result<(Plan, Effective), String> {
    let query = &question.query;
    let contracts: Vec<SignedContract> = query.contracts.iter().filter_map(|id| signed(history.notes.get(id)?)).collect();
    let planner = contracts.iter().flat_map(|signed| &signed.contract.planners).find(|key| key.name() == question.planner);
    let planner = planner.ok_or("no contract that it names has its planner, as this version reads contracts")?;
    let asked = compile(sql, catalog).map_err(|error| format!("its SQL does not compile by this catalogue: {}", error.message))?;
    let receivers: Vec<&str> = query.receivers.iter().map(String::as_str).collect();
    // An entry has no time of its own; a time at which all of them were in force will do.
    let now = contracts.iter().map(|signed| signed.contract.not_before.0).max().unwrap_or_default();
    let ask = consent::Ask { sql, planner, receivers: &receivers, purpose: &query.purpose, security: Security::SemiHonest, now };
    let effective = consent::check(&asked, None, &contracts, &ask).map_err(|_| "by this catalogue, its contracts do not allow it")?;
    // What it may spend stands in its debit, or in that of whoever paid for the same noise first.
    let noise = question.debit.as_ref().and_then(|(_, debit)| debit.noise);
    let debits = history.questions.iter().filter_map(|other| Some(&other.debit.as_ref()?.1));
    let paid = debits.filter(|debit| noise.is_some() && debit.noise == noise && debit.epsilon > 0).map(|debit| debit.epsilon);
    let spent: BTreeSet<u64> = paid.collect();
    let spent = spent.into_iter().map(|epsilon| -> Option<Epsilon> { Some(Decimal(epsilon.into())) });
    let wanted = |plan: &Plan| Hash(plan.hash()) == query.plan_hash;
    let planned = spent.chain([None]).filter_map(|epsilon| effective.plan(asked.clone(), sql, catalog, epsilon).ok()).find(wanted);
    planned.map(|plan| (plan, effective)).ok_or_else(|| {
        "the log names another plan than this version makes of it by this catalogue; take the catalogue and the version of that time".into()
    })
}

/// A contract as the log has it, where its signatures were verified.
fn signed(note: &str) -> Option<SignedContract> {
    let document = Document::parse(note).ok()?;
    let signed = document.signed?;
    Some(SignedContract { contract: document.contract, id: signed.id, countersigned: signed.countersigned })
}
