//! What can go wrong at the planner's side, and the exit code each ends in.

use crate::render::plural;
use mpc_core::roster::Roster;
use query::message::job::{PartyRefusal, Word};
use query::message::{QueryId, Refusal};
use std::fmt;

/// An error a person reads: what happened, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The arguments or a configuration file.
    #[error("{0}")]
    Config(String),
    /// The SQL does not compile here; nothing was sent.
    #[error("{0}")]
    Sql(String),
    /// Parties, or the coordinator, declined to run the query.
    #[error("the query was refused, and no share has moved{hearsay}\n  {0}", hearsay = .0.hearsay())]
    Refused(Refusals),
    /// The job was accepted and ended without an answer.
    #[error("the job failed\n  {0}")]
    Job(Refusals),
    /// Something else did not work.
    #[error("{0}")]
    Failed(String),
    /// What came back does not check out; no answer is shown.
    #[error("the result does not check out, and is not shown: {0}")]
    Untrusted(String),
    /// A node is out of reach.
    #[error("the coordinator at {at}: {what}")]
    Connection {
        /// Which address.
        at: String,
        /// What happened and what to do.
        what: String,
    },
    /// The person at the keyboard stopped it.
    #[error("{0}")]
    Cancelled(String),
    /// A fault of this program.
    #[error("{0} (this is a fault of tacit itself; please report it)")]
    Internal(String),
}

/// Who declined a query, and why; all of them, so that one round mends everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals(pub Vec<Declined>);

/// One refusal, and what of it whoever is said to refuse has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// Who refuses, and why.
    pub refusal: PartyRefusal,
    /// What that party has signed. If nothing, the coordinator says so.
    pub signed: Option<Word>,
}

impl Declined {
    /// A refusal of a job, checked against the roster.
    pub fn of(refusal: PartyRefusal, job: QueryId, roster: &Roster) -> Self {
        Self { signed: refusal.signed(job, roster), refusal }
    }
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PartyRefusal { party, refusal, .. } = &self.refusal;
        match (party, self.signed) {
            (None, _) => write!(f, "coordinator: {refusal}")?,
            (Some(party), Some(_)) => write!(f, "{party}: {refusal}")?,
            (Some(party), None) => write!(f, "{party} (as the coordinator says; it is not signed): {refusal}")?,
        }
        if refusal.fix.is_empty() { Ok(()) } else { write!(f, "\n    to mend it: {}", refusal.fix) }
    }
}

impl Refusals {
    /// What is said of refusals that not every party has signed.
    fn hearsay(&self) -> &'static str {
        if self.0.iter().all(|d| d.signed == Some(Word::Refused)) { "" } else { ", as the coordinator reports" }
    }
}

/// Why contracts here refuse a question, where some of them could not be read.
pub(crate) fn unread(mut denial: Refusal, left_out: &[String]) -> Refusal {
    if !left_out.is_empty() {
        let files = plural(left_out.len(), "file");
        denial.reason += &format!("; {files} of this planner's folder of contracts could not be read, and may allow it");
        denial.fix += &format!("; or mend what could not be read ({})", left_out.join("; "));
    }
    denial
}

impl Error {
    /// A configuration error.
    pub fn config(what: impl Into<String>) -> Self {
        Error::Config(what.into())
    }

    /// A node out of reach.
    pub fn connection(at: &str, what: String) -> Self {
        Error::Connection { at: at.into(), what }
    }

    /// A fault of this program.
    pub fn internal(what: impl Into<String>) -> Self {
        Error::Internal(what.into())
    }

    /// The process's exit code: see `tacit --help`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Sql(_) | Error::Job(_) | Error::Failed(_) | Error::Untrusted(_) | Error::Internal(_) => 1,
            Error::Config(_) => 2,
            Error::Refused(_) => 3,
            Error::Connection { .. } => 4,
            Error::Cancelled(_) => 130,
        }
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, declined) in self.0.iter().enumerate() {
            write!(f, "{}{declined}", if at == 0 { "" } else { "\n  " })?;
        }
        Ok(())
    }
}
