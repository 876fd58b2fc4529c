//! How many answers a node that keeps no log gave under contracts that allow only so many; where there is one, uses are counted by its rules. One small text file in the node's state folder, `uses`, a line for
//! each contract; it is replaced as a whole, so that a crash leaves the old one or the new. A use is set aside when an attempt begins and is on
//! disk before its sealed release leaves the node: what cannot be counted is not given.

use crate::disk::replace;
use ledger::bytes::Hash;
use ledger::contract::SignedContract;
use query::message::{Code, Refusal};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was counted.
pub(super) struct Uses {
    path: PathBuf,
    counted: BTreeMap<Hash, u64>,
    /// Set aside for attempts that run.
    aside: BTreeMap<Hash, u64>,
}

impl Uses {
    pub fn open(state: &Path) -> Result<Self, UsesError> {
        let path = state.join("uses");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(UsesError::Io { path, error }),
        };
        let counted = text.lines().map(parse).collect::<Option<_>>().filter(|_| text.is_empty() || text.ends_with('\n'));
        match counted {
            Some(counted) => Ok(Self { path, counted, aside: BTreeMap::new() }),
            None => Err(UsesError::Damaged { path }),
        }
    }

    /// Answers that may still be given; `None` if any number may.
    pub fn left(&self, signed: &SignedContract) -> Option<u64> {
        let of = |counts: &BTreeMap<Hash, u64>| counts.get(&signed.id).copied().unwrap_or_default();
        signed.contract.max_uses.map(|most| most.saturating_sub(of(&self.counted)).saturating_sub(of(&self.aside)))
    }

    pub fn reserve(&mut self, contracts: &[Arc<SignedContract>]) -> Result<(), Refusal> {
        if let Some(spent) = contracts.iter().find(|signed| self.left(signed) == Some(0)) {
            return Err(used_up(spent));
        }
        for signed in limited(contracts) {
            *self.aside.entry(signed.id).or_default() += 1;
        }
        Ok(())
    }

    pub fn count(&mut self, contracts: &[Arc<SignedContract>]) -> Result<(), Refusal> {
        if limited(contracts).next().is_none() {
            return Ok(());
        }
        let mut counted = self.counted.clone();
        for signed in limited(contracts) {
            *counted.entry(signed.id).or_default() += 1;
        }
        write(&self.path, &counted).map_err(|error| {
            let reason = format!("this node cannot count the use of a contract in {}: {error}", self.path.display());
            Refusal::new(Code::Internal, reason, "its operator should look at the disk of its state folder")
        })?;
        self.counted = counted;
        Ok(())
    }

    pub fn release(&mut self, contracts: &[Arc<SignedContract>]) {
        for signed in limited(contracts) {
            if let Some(aside) = self.aside.get_mut(&signed.id) {
                *aside = aside.saturating_sub(1);
            }
        }
    }
}

/// The refusal of one more answer.
pub(crate) fn used_up(signed: &SignedContract) -> Refusal {
    let contract = &signed.contract;
    let answers = contract.max_uses.unwrap_or_default();
    let reason = format!("the contract `{}` for {} is used up: it is for {answers} answers in all", contract.id, contract.dataset);
    Refusal::new(Code::UsedUp, reason, format!("ask {} for another contract", contract.owner.name()))
}

fn limited(contracts: &[Arc<SignedContract>]) -> impl Iterator<Item = &SignedContract> {
    contracts.iter().map(|signed| &**signed).filter(|signed| signed.contract.max_uses.is_some())
}

fn parse(line: &str) -> Option<(Hash, u64)> {
    let (id, count) = line.split_once(' ')?;
    Some((id.parse().ok()?, count.parse().ok()?))
}

fn write(path: &Path, counted: &BTreeMap<Hash, u64>) -> std::io::Result<()> {
    let mut text = String::new();
    for (id, count) in counted {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id} {count}");
    }
    replace(path, &[text.as_bytes()]).map(drop)
}

/// Why it is not known how many answers were given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsesError {
    /// The file cannot be read.
    #[error("{}: {error}; this user must be able to read it", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        error: std::io::Error,
    },
    /// It is not one of ours.
    #[error("{}: not a count of uses; the file is damaged. Restore it; without it, answers would be given twice", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}
