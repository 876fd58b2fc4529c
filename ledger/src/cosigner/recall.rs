//! What a cosigner signed before, as its mark and its peers have it: whether what it knows leads on from there.
//!
//! Without a mark, a doubt ends by any checkpoint that a quorum cosigned at or beyond what the store knows. If the folder was put back as well, that need not be all: what
//! this agency signed beyond that quorum is forgotten, and two checkpoints under its key are left to convict it.

use super::mark::Mark;
use super::{Cosigner, CosignerError, State, told, unwritten};
use crate::checkpoint::{Checkpoint, Head};
use crate::key::VerifierKey;
use crate::store::{Store, StoreError};
use crate::tree::{self, Hashes};
use crate::wire::{AddCheckpoint, Response};
use std::path::Path;

/// What it was shown while its mark was missing.
#[derive(Default)]
pub(super) struct Doubt {
    /// What a quorum cosigned, beyond what it knows: it may cosign exactly that.
    shown: Option<Head>,
}

impl Doubt {
    pub fn is_shown(&self, head: &Head) -> bool {
        self.shown.as_ref() == Some(head)
    }
}

/// Holds what the store says against the mark, and takes over what only the mark knows: what it has forgotten of what it signed, or whether it cannot know.
pub(super) fn compare(
    mark: &Mark,
    store: &Store,
    state: &mut State,
    pending: Option<&Checkpoint>,
) -> Result<(Option<Head>, Option<Doubt>), StoreError> {
    let Some((kept, signed)) = mark.kept() else { return Ok((None, Some(Doubt::default()))) };
    state.closed = state.closed.or(kept.closed);
    state.validated = state.validated.max(kept.validated);
    let forgotten = if leads_to(store, pending, signed)? { None } else { signed.cloned() };
    Ok((forgotten, None))
}

/// Whether a checkpoint that was signed is the beginning of what is known. Between the entries held and the newest checkpoint nobody can
/// say without a proof: a crash leaves a mark there if checkpoints were cosigned without their entries, each of which extends the one before.
fn leads_to(store: &Store, pending: Option<&Checkpoint>, signed: Option<&Head>) -> Result<bool, StoreError> {
    let Some(signed) = signed else { return Ok(true) };
    Ok(match pending.map(Checkpoint::head) {
        Some(known) if known.size == signed.size => known.root == signed.root,
        Some(known) if known.size > signed.size => signed.size > store.size() || store.root_at(signed.size)? == signed.root,
        _ => false,
    })
}

/// Whether whoever knows so many entries may sign.
fn judge(forgotten: Option<&Head>, doubt: Option<&Doubt>, mark: &Mark, known: u64) -> Result<(), CosignerError> {
    match (forgotten, doubt) {
        (Some(forgotten), _) => Err(CosignerError::Forgotten { known, cosigned: forgotten.size }),
        (None, Some(_)) => Err(CosignerError::Unmarked { mark: mark.path(), known }),
        (None, None) => Ok(()),
    }
}

impl Cosigner {
    /// Whether it may sign.
    ///
    /// # Errors
    /// It does not know, or has forgotten, what it last signed.
    pub fn sure(&self) -> Result<(), CosignerError> {
        judge(self.forgotten.as_ref(), self.doubt.as_ref(), &self.mark, self.known())
    }

    /// [`Cosigner::sure`] of the cosigner of this log in `folder` as it would be opened, which nothing is changed by; one may be at work there.
    ///
    /// # Errors
    /// It does not know, or has forgotten, what it last signed; or its store cannot be read, or is another's.
    pub fn look(folder: &Path, log: &VerifierKey) -> Result<(), CosignerError> {
        // Before the store, which whoever is at work there writes first.
        let mark = Mark::read(folder, log)?;
        if Store::is_none(folder) {
            let doubt = (mark.kept().is_none() && !mark.is_missing()).then(Doubt::default);
            return judge(mark.signed().map(Checkpoint::head), doubt.as_ref(), &mark, 0);
        }
        let store = Store::read(folder)?;
        let (mut state, pending) = State::of(&store, log)?;
        if mark.is_missing() && pending.is_none() {
            return Ok(());
        }
        let (forgotten, doubt) = compare(&mark, &store, &mut state, pending.as_ref())?;
        judge(forgotten.as_ref(), doubt.as_ref(), &mark, pending.map_or(0, |pending| pending.head().size))
    }

    /// Shown a checkpoint that others have: whether this cosigner once cosigned more than it knows. If so it cosigns nothing
    /// until it has caught up with it. If its mark was lost, one that a quorum cosigned and that is no older than what it knows says where it was.
    ///
    /// # Errors
    /// It did, or even something else than it knows: its store was put back.
    pub fn recall(&mut self, checkpoint: &Checkpoint) -> Result<(), CosignerError> {
        let (seen, known) = (checkpoint.head(), self.known());
        if seen.origin != self.replay.log().name() {
            return Ok(());
        }
        let mine = !checkpoint.verify(&[&self.witness.key, &self.validated.key])?.is_empty();
        let remembered = match seen.size {
            size if size > known => false,
            size if size == known => self.pending() == Some(seen),
            size => size > self.store.size() || self.store.root_at(size)? == seen.root,
        };
        if mine && !remembered {
            // Of several the largest is the one to catch up with.
            if self.forgotten.as_ref().is_none_or(|forgotten| forgotten.size < seen.size) {
                self.forgotten = Some(seen.clone());
            }
            return Err(CosignerError::Forgotten { known, cosigned: seen.size });
        }
        let believed = || self.replay.policy().is_ok_and(|policy| policy.check(checkpoint, None, &[]).is_ok());
        if seen.size >= known && self.doubt.is_some() && believed() {
            // The same says that nothing came after; more, which others signed without it, is proved as it is cosigned.
            self.doubt = (!remembered).then(|| Doubt { shown: Some(seen.clone()) });
        }
        Ok(())
    }

    /// Makes a checkpoint known that it once cosigned and forgot, or that whoever answers for this agency knows to be what it cosigned last,
    /// if that extends what it knows. `log` has the hashes of the log up to there, from any mirror: they are proved.
    ///
    /// # Errors
    /// It does not, or the disk fails.
    pub fn catch_up<H: Hashes + ?Sized>(&mut self, checkpoint: &Checkpoint, log: &H) -> Result<(), CosignerError>
    where
        H::Error: std::fmt::Display,
    {
        let (old, head) = (self.known(), checkpoint.head());
        let refused = |error: &dyn std::fmt::Display| CosignerError::Refused(error.to_string());
        let prove = |old| if old == 0 || old >= head.size { Ok(Vec::new()) } else { tree::prove(log, 0, old, head.size) };
        // What is later must be known from the mark, or it would be forgotten for good.
        let marked = |forgotten: &Head| self.mark.signed().is_some_and(|signed| signed.head() == forgotten);
        if let Some(forgotten) = self.forgotten.as_ref().filter(|forgotten| forgotten.size > head.size && !marked(forgotten)) {
            return Err(CosignerError::Refused(format!("it once cosigned a later one, of {} entries", forgotten.size)));
        }
        if let Some(forgotten) = self.forgotten.as_ref().filter(|forgotten| forgotten.size <= head.size) {
            let proof = prove(forgotten.size).map_err(|error| refused(&error))?;
            tree::verify_consistency(forgotten.size, &forgotten.root, head.size, &head.root, &proof).map_err(|error| refused(&error))?;
        }
        let held = head.size < old && head.size <= self.store.size() && self.store.root_at(head.size)? == head.root;
        let staged = if held && self.forgotten.is_none() {
            // It is in doubt, and a quorum is not as far as it is.
            None
        } else {
            let proof = prove(old).map_err(|error| refused(&error))?;
            let body = AddCheckpoint { old, proof, checkpoint: checkpoint.clone() }.to_string();
            Some(self.stage_checkpoint(body.as_bytes()).map_err(told)?)
        };
        // What it signed since is in the mark: that is where it was, whatever the quorum did not come to.
        let marked = self.mark.signed().filter(|signed| signed.head().size > head.size && self.forgotten.is_some()).cloned();
        self.commit(marked.or(staged), &[], None).map_err(told)?;
        (self.forgotten, self.doubt) = (None, None);
        self.remember().map_err(told)
    }

    /// Writes the mark again that was missing, once nothing is in doubt: without it the next start would be in doubt as this one was. Says whether it was.
    ///
    /// # Errors
    /// It still is in doubt, or the disk fails.
    pub fn settle(&mut self) -> Result<bool, CosignerError> {
        self.sure()?;
        let missing = self.mark.kept().is_none();
        self.take_down()?;
        Ok(missing)
    }

    /// Whether it may sign this, given what it knows of what it signed before.
    pub(super) fn check_remembered(&self, head: &Head) -> Result<(), Response> {
        // What it is asked to sign next must be exactly what it signed, before it can be more.
        let expected = self.forgotten.as_ref().or(self.doubt.as_ref().and_then(|doubt| doubt.shown.as_ref()));
        if expected == Some(head) { Ok(()) } else { self.sure().map_err(|why| Response::refused(503, why.code(), why)) }
    }

    /// Sees to it that what is about to be signed is remembered, whatever becomes of the folder. What it is about is in the store by then.
    pub(super) fn remember(&mut self) -> Result<(), Response> {
        self.take_down().map_err(|error| unwritten(&error))
    }

    fn take_down(&mut self) -> Result<(), StoreError> {
        self.store.mark_signed()?;
        self.mark.keep(&self.state)
    }
}

#[cfg(test)]
#[path = "recall_tests.rs"]
mod tests;
