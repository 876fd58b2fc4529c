//! What is stated of a job, from its question to its end.

use super::{is_text, is_word, owner};
use crate::bytes::Hash;
use crate::contract::{Decimal, Delta};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A question, signed by the planner who asks it. What it touches is public, its words are committed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The id of the planner's signed query, which names the job.
    pub job: Hash,
    /// What the answer is for.
    pub purpose: String,
    /// The contracts it relies on.
    pub contracts: Vec<Hash>,
    /// What it reads.
    pub reads: Vec<Read>,
    /// The agencies that compute.
    pub parties: Vec<String>,
    /// Who gets the answer: planners by name.
    pub receivers: Vec<String>,
    /// The plan every party compiled.
    pub plan_hash: Hash,
    /// Commitment to the SQL.
    pub statement: Hash,
    /// Unix seconds after which nobody starts on it.
    pub expires: u64,
}

/// What a query reads of one data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// `agency.table`.
    pub dataset: String,
    /// Which snapshot of it.
    pub snapshot: Hash,
    /// Which columns.
    pub columns: Vec<String>,
}

/// What a job costs the budget of one data set, signed by its owner before the job starts. It covers all attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debit {
    /// The job.
    pub job: Hash,
    /// `agency.table`.
    pub dataset: String,
    /// The contract it is debited from.
    pub contract: Hash,
    /// The month of the budget, `2026-11`.
    pub month: String,
    /// Uses: one, or none for an answer that is given again.
    pub uses: u64,
    /// Millionths of ε.
    pub epsilon: u64,
    /// δ.
    #[serde(default = "no_delta", skip_serializing_if = "is_no_delta")]
    pub delta: Delta,
    /// Which noise is on the answer: a job with the same noise shows nothing that this one does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Hash>,
}

fn no_delta() -> Delta {
    Decimal(0)
}

fn is_no_delta(delta: &Delta) -> bool {
    delta.0 == 0
}

/// The beginning of an attempt, signed by all parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The job.
    pub job: Hash,
    /// Counted from 1.
    pub attempt: u64,
    /// The plan.
    pub plan_hash: Hash,
}

/// The end of a job with a result, signed by all parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The job.
    pub job: Hash,
    /// The attempt that succeeded.
    pub attempt: u64,
    /// Commitment to what was released.
    pub result: Hash,
}

/// The code of an abort by a party whose part of the answer was sealed and may be out: the job keeps the uses it took.
pub const SEALED: &str = "E_SEALED";

/// The end of an attempt without a result, signed by one party at least. What was debited of budgets stays debited; uses are given back, unless the
/// answer may be out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// The job.
    pub job: Hash,
    /// The attempt that failed.
    pub attempt: u64,
    /// Why: `E_…`.
    pub code: String,
}

impl Query {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let reads: BTreeSet<&str> = self.reads.iter().map(|read| read.dataset.as_str()).collect();
        let columns = |read: &Read| read.columns.len() <= 1024 && read.columns.iter().all(|column| is_text(column, 128));
        if !is_text(&self.purpose, 1000) {
            return Err("`purpose` is empty or longer than 1,000 bytes");
        }
        // A question of public tables alone reads none.
        if reads.len() != self.reads.len() || reads.len() > 64 || !self.reads.iter().all(columns) {
            return Err("`reads` is too long, or names a data set twice");
        }
        if !self.reads.iter().all(|read| owner(&read.dataset).is_some()) {
            return Err("a `dataset` is not `agency.table`");
        }
        if self.contracts.len() > 64 || self.contracts.iter().collect::<BTreeSet<_>>().len() != self.contracts.len() {
            return Err("`contracts` is too long, or names one twice");
        }
        for names in [&self.parties, &self.receivers] {
            let distinct: BTreeSet<&String> = names.iter().collect();
            if distinct.len() != names.len() || !(1..=32).contains(&names.len()) || !names.iter().all(|name| is_word(name)) {
                return Err("`parties` or `receivers` is empty, too long, or names one twice");
            }
        }
        Ok(())
    }
}
