//! What can go wrong at the planner's side, and the exit code each ends in.

use query::message::job::PartyRefusal;
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
    #[error("the query was refused, and no share has moved\n  {0}")]
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

/// One refusal, and whether whoever is said to refuse has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// Who refuses, and why.
    pub refusal: PartyRefusal,
    /// Signed by that party. Else the coordinator says so.
    pub signed: bool,
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
        for (at, Declined { refusal: PartyRefusal { party, refusal, .. }, signed }) in self.0.iter().enumerate() {
            let by = match party {
                None => "coordinator".to_owned(),
                Some(party) if *signed => party.clone(),
                Some(party) => format!("{party} (as the coordinator says; it is not signed)"),
            };
            write!(f, "{}{by}: {refusal}", if at == 0 { "" } else { "\n  " })?;
            if !refusal.fix.is_empty() {
                write!(f, "\n    to mend it: {}", refusal.fix)?;
            }
        }
        Ok(())
    }
}
