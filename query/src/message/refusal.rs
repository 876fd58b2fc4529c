//! Why something is not done: in words, and for programs.

use super::within;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why something is not done, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{code}: {reason}")]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people: what happened, and where. Never a value, a share or a key.
    pub reason: String,
    /// For people: what to do next. May be empty.
    pub fix: String,
}

impl Refusal {
    /// The longest reason and fix, in bytes.
    pub const MAX_TEXT: usize = 4000;

    /// A refusal; texts beyond the cap are cut.
    pub fn new(code: Code, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, reason: cut(reason.into()), fix: cut(fix.into()) }
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        within(self.reason.len() <= Self::MAX_TEXT && self.fix.len() <= Self::MAX_TEXT, "`reason` or `fix` is too long")
    }
}

/// Why something is refused, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Code {
    /// A note does not verify.
    #[serde(rename = "E_SIGNATURE")]
    Signature,
    /// The signer is no planner of the roster.
    #[serde(rename = "E_PLANNER")]
    Planner,
    /// The query's time is over.
    #[serde(rename = "E_EXPIRED")]
    Expired,
    /// The query is dated in the future.
    #[serde(rename = "E_NOT_YET")]
    NotYet,
    /// This attempt of the query was seen before.
    #[serde(rename = "E_REPLAY")]
    Replay,
    /// Another roster.
    #[serde(rename = "E_ROSTER")]
    Roster,
    /// Another catalogue.
    #[serde(rename = "E_CATALOG")]
    Catalog,
    /// The SQL is wrong; the reason has line and column.
    #[serde(rename = "E_SQL")]
    Sql,
    /// A sum or product could leave the value domain.
    #[serde(rename = "E_WIDTH")]
    Width,
    /// This release cannot do it.
    #[serde(rename = "E_UNSUPPORTED")]
    Unsupported,
    /// Too much waits already.
    #[serde(rename = "E_BUSY")]
    Busy,
    /// No contract allows it.
    #[serde(rename = "E_NO_CONSENT")]
    NoConsent,
    /// A contract has no uses left.
    #[serde(rename = "E_USED_UP")]
    UsedUp,
    /// A contract under which it ran was revoked.
    #[serde(rename = "E_REVOKED")]
    Revoked,
    /// Its answer would differ in too few entities from another.
    #[serde(rename = "E_DIFFERENCE")]
    Difference,
    /// It spends more than is left of a privacy budget.
    #[serde(rename = "E_BUDGET")]
    Budget,
    /// It was answered before, and a party has lost its share of the answer.
    #[serde(rename = "E_ANSWER")]
    Answer,
    /// A party's data are not as declared.
    #[serde(rename = "E_DATA")]
    Data,
    /// A peer is gone or out of reach.
    #[serde(rename = "E_PEER")]
    Peer,
    /// A peer is at another place of the program.
    #[serde(rename = "E_DESYNC")]
    Desync,
    /// A fault of ours.
    #[serde(rename = "E_INTERNAL")]
    Internal,
    /// Parties compiled different plans.
    #[serde(rename = "E_PLAN")]
    Plan,
    /// The output key is unusable.
    #[serde(rename = "E_OUTPUT_KEY")]
    OutputKey,
    /// The planner took the query back.
    #[serde(rename = "E_CANCELLED")]
    Cancelled,
    /// It took too long.
    #[serde(rename = "E_DEADLINE")]
    Deadline,
    /// The plan, or what was sent, is larger than a bound that is configured.
    #[serde(rename = "E_TOO_LARGE")]
    TooLarge,
    /// The job's entry in the city's log is missing, none, or not what this node finds.
    #[serde(rename = "E_LEDGER_ENTRY")]
    LedgerEntry,
    /// A signature of an entry or a checkpoint is missing or does not verify.
    #[serde(rename = "E_LEDGER_SIGNATURE")]
    LedgerSignature,
    /// An entry may not stand in the log.
    #[serde(rename = "E_LEDGER_RULE")]
    LedgerRule,
    /// An entry stands there already.
    #[serde(rename = "E_LEDGER_REPLAY")]
    LedgerReplay,
    /// The job is not at this point in the log.
    #[serde(rename = "E_LEDGER_JOB")]
    LedgerJob,
    /// A node's mirror of the log lags.
    #[serde(rename = "E_LEDGER_BEHIND")]
    LedgerBehind,
    /// A checkpoint is out of date.
    #[serde(rename = "E_LEDGER_STALE")]
    LedgerStale,
    /// Too few agencies cosigned.
    #[serde(rename = "E_LEDGER_QUORUM")]
    LedgerQuorum,
    /// The log is two.
    #[serde(rename = "E_LEDGER_FORK")]
    LedgerFork,
    /// A ledger was put back.
    #[serde(rename = "E_LEDGER_ROLLBACK")]
    LedgerRollback,
    /// Whatever else keeps the log from going on; the reason has its own code.
    #[serde(rename = "E_LEDGER")]
    Ledger,
    /// The coordinator's API: there is no such thing.
    #[serde(rename = "E_NOT_FOUND")]
    NotFound,
    /// The coordinator's API: the job is not over yet.
    #[serde(rename = "E_NOT_READY")]
    NotReady,
    /// The coordinator's API: the request makes no sense.
    #[serde(rename = "E_REQUEST")]
    Request,
}

impl Code {
    /// What the ledger calls so.
    pub fn of_ledger(code: &str) -> Self {
        Self::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(code)).unwrap_or(Self::Ledger)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The serialized name is the only one there is.
        self.serialize(f)
    }
}

fn cut(mut text: String) -> String {
    let mut end = text.len().min(Refusal::MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
