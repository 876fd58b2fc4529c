//! Whether a party may begin an attempt, as far as the log says.
//!
//! A party begins if, in a checkpoint that a quorum and all other parties cosigned within the last minute, the attempt is
//! started, and if nothing it knows beyond that revokes a contract. It knows the log itself, entry by entry; so what it is given
//! is one checkpoint, and no proof besides. The head it returns goes into the transcript that seeds the attempt's
//! randomness: parties that stand on different logs stop there.

use crate::bytes::Hash;
use crate::checkpoint::{Checkpoint, Head};
use crate::cosigner::Cosigner;
use crate::policy::{PolicyError, Window};
use crate::replay::{Phase, RuleError};
use crate::store::StoreError;

impl Cosigner {
    /// Passes an attempt of a job, or not.
    ///
    /// # Errors
    /// Why this party does not begin.
    pub fn gate(&self, job: &Hash, attempt: u64, checkpoint: &Checkpoint, window: Window) -> Result<Head, GateError> {
        let known = self.replay().job(job).ok_or(GateError::Job("the job is not in the log"))?;
        let parties: Vec<&str> = known.query.parties.iter().map(String::as_str).collect();
        let head = self.replay().policy()?.check(checkpoint, Some(window), &parties)?;
        if head.size > self.store().size() {
            return Err(GateError::Behind { held: self.store().size(), size: head.size });
        }
        if self.store().root_at(head.size)? != head.root {
            return Err(GateError::Forked { size: head.size });
        }
        match known.phase {
            Phase::Running { since } if known.attempt == attempt && since < head.size => {}
            _ => return Err(GateError::Job("this attempt is not started in the log, or has ended")),
        }
        self.replay().check_contracts(&known.query)?;
        if known.query.expires < window.now {
            return Err(GateError::Job("the query has expired"));
        }
        Ok(head)
    }
}

/// Why a party does not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The checkpoint is not believed, or not new.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A contract is revoked.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The job is not at this point.
    #[error("{0}; the planner asks again")]
    Job(&'static str),
    /// The mirror lags.
    #[error("this agency holds {held} of the {size} entries that the job stands on; wait for the rest")]
    Behind {
        /// Entries it holds.
        held: u64,
        /// Entries of the checkpoint.
        size: u64,
    },
    /// The log is two.
    #[error("the checkpoint of {size} entries is of another log than this agency holds: keep both as evidence, and tell the others")]
    Forked {
        /// Entries of the checkpoint.
        size: u64,
    },
}

impl GateError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Policy(error) => error.code(),
            Self::Rule(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Job(_) => "E_LEDGER_JOB",
            Self::Behind { .. } => "E_LEDGER_BEHIND",
            Self::Forked { .. } => "E_LEDGER_FORK",
        }
    }
}
