//! What a cosigner last signed, in a file beside its folder (`ledger.mark` beside `ledger`): the state that it keeps in the store as well. Whoever puts the
//! folder back leaves the mark, and it says so.
//!
//! It is replaced whole and written through before any signature leaves, after the store: a crash in between leaves a mark that is older than the store, and of
//! the same log. Before the first signature it says that there was none, so that it is missing only where somebody took it away.

use super::State;
use crate::checkpoint::{Checkpoint, Head};
use crate::disk::Disk;
use crate::json;
use crate::key::VerifierKey;
use crate::store::StoreError;
use std::path::{Path, PathBuf};

pub(super) struct Mark {
    disk: Disk,
    name: String,
    found: Found,
}

enum Found {
    Missing,
    Damaged,
    /// The last checkpoint that was signed, with the state; none before the first.
    Kept(State, Option<Checkpoint>),
}

impl Mark {
    /// Reads the mark beside a store's folder.
    ///
    /// # Errors
    /// There is one, and the disk does not hand it out.
    pub fn read(folder: &Path, log: &VerifierKey) -> Result<Self, StoreError> {
        let path = folder.with_added_extension("mark");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let disk = Disk::new(beside);
        let found = match disk.read(&name)? {
            None => Found::Missing,
            Some(bytes) => parse(&bytes, log).map_or(Found::Damaged, |(state, signed)| Found::Kept(state, signed)),
        };
        Ok(Self { disk, name, found })
    }

    pub fn path(&self) -> PathBuf {
        self.disk.path(&self.name)
    }

    pub fn is_missing(&self) -> bool {
        matches!(self.found, Found::Missing)
    }

    /// What it says, with the head of what was last signed.
    pub fn kept(&self) -> Option<(&State, Option<&Head>)> {
        match &self.found {
            Found::Kept(state, signed) => Some((state, signed.as_ref().map(Checkpoint::head))),
            Found::Missing | Found::Damaged => None,
        }
    }

    /// The last checkpoint that was signed.
    pub fn signed(&self) -> Option<&Checkpoint> {
        match &self.found {
            Found::Kept(_, signed) => signed.as_ref(),
            Found::Missing | Found::Damaged => None,
        }
    }

    /// Replaces it, unless it says this already.
    ///
    /// # Errors
    /// The disk does not take it; nothing may be signed.
    pub fn keep(&mut self, state: &State) -> Result<(), StoreError> {
        if self.kept().is_some_and(|(kept, _)| kept == state) {
            return Ok(());
        }
        let unlike = |what| StoreError::Corrupt { path: self.disk.path(&self.name), what };
        let text = json::to_canonical(state).map_err(|_| unlike("the mark beside the ledger's folder cannot be written"))?;
        let signed = state.pending().map_err(|_| unlike("what the ledger says was signed last is no checkpoint"))?;
        self.disk.put(&self.name, text.as_bytes())?;
        self.disk.sync_folder("")?;
        self.found = Found::Kept(state.clone(), signed);
        Ok(())
    }

    #[cfg(test)]
    pub fn fail_after(&self, steps: Option<u64>) {
        steps.map_or_else(|| self.disk.fault.never(), |steps| self.disk.fault.after(steps));
    }
}

/// A state whose checkpoint the log signed, or none: no other file is taken for a mark, nor what a disk made of one.
fn parse(bytes: &[u8], log: &VerifierKey) -> Option<(State, Option<Checkpoint>)> {
    let state = State::parse(std::str::from_utf8(bytes).ok()?)?;
    let signed = state.pending().ok()?;
    let of_the_log = signed.as_ref().is_none_or(|signed| signed.head().origin == log.name() && signed.verify_log(log).is_ok());
    of_the_log.then_some((state, signed))
}
