//! Why a cosigner does not start, or does not sign.

use crate::note::NoteError;
use crate::policy::PolicyError;
use crate::replay::{RuleError, StoredError};
use crate::store::StoreError;
use std::path::PathBuf;

/// Why a cosigner does not start, or does not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CosignerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry that may not stand.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The entries of its store.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// A checkpoint that is none, or not signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A checkpoint that is not believed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Its two keys are one, or not cosigners'.
    #[error("a cosigner has two different keys, one as witness and one as validated; make another with `tacit key`")]
    Keys,
    /// The state it wrote is not its own.
    #[error("the ledger's folder belongs to another log, or to a sequencer; check the configured folder")]
    State,
    /// What it was given to catch up with does not extend what it knows.
    #[error("the checkpoint cannot be caught up with: {0}")]
    Refused(String),
    /// Its store was put back.
    #[error(
        "this agency cosigned a checkpoint of {cosigned} entries, and the {known} that it knows are not those or fewer: its ledger was rolled back. \
         It cosigns nothing until it has caught up with that checkpoint; find out why before you let it"
    )]
    Forgotten {
        /// The size it knows.
        known: u64,
        /// The size it cosigned.
        cosigned: u64,
    },
    /// The mark beside its store is missing or damaged.
    #[error(
        "what this agency cosigned last is not known: {} is missing or damaged, and its ledger has {known} entries. It cosigns nothing until \
         the coordinator has shown it a checkpoint that a quorum cosigned, of no fewer entries and of the same log", mark.display()
    )]
    Unmarked {
        /// The mark.
        mark: PathBuf,
        /// The size it knows.
        known: u64,
    },
    /// It signed another hand-over.
    #[error("this agency signed another hand-over of this log, and signs no second one: two logs would go on")]
    HandedOver,
    /// The hand-over is not from the end.
    #[error(
        "the log is not handed over at {named} entries: this agency validated {validated} and holds {held}; \
         hand it over at the largest checkpoint a quorum cosigned, once all hold it"
    )]
    NotTheEnd {
        /// What it validated.
        validated: u64,
        /// What it holds.
        held: u64,
        /// What the hand-over names.
        named: u64,
    },
}

impl CosignerError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Rule(error) => error.code(),
            Self::Stored(error) => error.code(),
            Self::Note(_) => "E_LEDGER_SIGNATURE",
            Self::Policy(error) => error.code(),
            Self::Keys | Self::State => "E_LEDGER_CONFIG",
            Self::Forgotten { .. } | Self::Unmarked { .. } | Self::Refused(_) => "E_LEDGER_ROLLBACK",
            Self::NotTheEnd { .. } | Self::HandedOver => "E_LEDGER_HANDOVER",
        }
    }
}
