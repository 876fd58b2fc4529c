//! An agency's part in a log: witness and mirror in one, with a key for each.
//!
//! As a **witness** (<https://c2sp.org/tlog-witness>) it cosigns a checkpoint that provably extends the last it knows. As a
//! **mirror** (<https://c2sp.org/tlog-mirror>) it takes the entries, replays them by the rules, stores them, and then cosigns as
//! `<agency>/validated`: it holds every entry, and each may stand.
//!
//! **It never signs two logs.** What it is about to sign is on its disk first: in the store, and in a mark beside the store's
//! folder. After a crash it goes on from there. A journal that lost its end is noticed by the store ([`crate::store`]), a folder
//! put back as a whole by the mark: it cosigns nothing until it has caught up with what the mark says ([`Cosigner::catch_up`]). Without
//! the mark it cosigns nothing before it was shown that a quorum is no further than it ([`Cosigner::recall`]).
//!
//! Folder and mark put back together are noticed by others alone: a node hands [`Cosigner::recall`] the newest checkpoint that the
//! coordinator says a quorum cosigned, and a cosignature of its own over more than it knows stops it. A coordinator that hands over
//! an older one is not found out here. What it could gain is this agency's cosignatures under a second log; no quorum follows, as no honest
//! agency whose folder stands cosigns that, and whoever holds the first can convict the key ([`crate::evidence`]).

mod error;
mod mark;
mod recall;

use crate::bytes::Hash;
use crate::checkpoint::{Checkpoint, Head};
use crate::entry::{self, Entry, HandOver};
use crate::json;
use crate::key::{KeyKind, Signer, VerifierKey};
use crate::replay::{self, Replay, RuleError, Undo};
use crate::store::{MAX_BATCH, Store, StoreError, Tiles};
use crate::tile::{Level, Tile, WIDTH};
use crate::tree;
use crate::wire::{self, AddCheckpoint, AddEntries, MirrorInfo, Resource, Response};
pub use error::CosignerError;
use mark::Mark;
use recall::Doubt;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A key and its name.
pub struct NamedSigner {
    key: VerifierKey,
    signer: Box<dyn Signer>,
}

impl NamedSigner {
    /// The signer called `name`.
    ///
    /// # Errors
    /// The name is not one a note allows.
    pub fn new(name: &str, kind: KeyKind, signer: Box<dyn Signer>) -> Result<Self, crate::key::BadKey> {
        Ok(Self { key: VerifierKey::new(name, kind, signer.public())?, signer })
    }

    /// The public half.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    pub(crate) fn signer(&self) -> &dyn Signer {
        &*self.signer
    }
}

/// One agency's cosigner of one log.
pub struct Cosigner {
    store: Store,
    witness: NamedSigner,
    validated: NamedSigner,
    /// The log without entries, and with those in the store.
    beginning: Replay,
    replay: Replay,
    state: State,
    /// The newest checkpoint known to extend all it knew before.
    pending: Option<Checkpoint>,
    /// What it last signed, beside the store's folder.
    mark: Mark,
    /// A checkpoint it once cosigned, as its mark or its peers have it, that what it knows does not lead to.
    forgotten: Option<Head>,
    /// The mark did not say what it last signed, and nobody has either.
    doubt: Option<Doubt>,
}

/// What it keeps beside the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The hand-over it signed, by its id: nothing of this log is cosigned any more.
    closed: Option<Hash>,
    /// The note of the pending checkpoint; empty before the first.
    pending: String,
    /// The largest size it cosigned as validated.
    validated: u64,
}

impl Cosigner {
    /// Opens the cosigner of the log that `beginning` begins, with its store in `folder`. The entries there are replayed; their
    /// signatures were verified when they came.
    ///
    /// # Errors
    /// The store cannot be opened, or holds what this log cannot.
    pub fn open(folder: &Path, beginning: Replay, witness: NamedSigner, validated: NamedSigner) -> Result<Self, CosignerError> {
        if witness.key.key() == validated.key.key() || [&witness, &validated].iter().any(|key| key.key.kind() != KeyKind::Cosignature) {
            return Err(CosignerError::Keys);
        }
        let fresh = State { closed: None, pending: String::new(), validated: 0 };
        let store = Store::open(folder, &json::to_canonical(&fresh).map_err(|_| CosignerError::State)?)?;
        let (mut state, pending) = State::of(&store, beginning.log())?;
        let replay = replay::stored(&store, beginning.clone(), store.size())?;
        let mut mark = Mark::read(folder, beginning.log())?;
        if mark.is_missing() && pending.is_none() {
            // A first start: from here on a store without a mark has lost it.
            mark.keep(&state)?;
        }
        let (forgotten, doubt) = recall::compare(&mark, &store, &mut state, pending.as_ref())?;
        Ok(Self { store, witness, validated, beginning, replay, state, pending, mark, forgotten, doubt })
    }

    /// The keys it cosigns with: `<agency>/witness` and `<agency>/validated`.
    pub fn keys(&self) -> [&VerifierKey; 2] {
        [&self.witness.key, &self.validated.key]
    }

    /// The mirror's entries.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What they amount to.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// The newest checkpoint known to extend all it knew before, by its size and root; none before the first.
    pub fn pending(&self) -> Option<&Head> {
        self.pending.as_ref().map(Checkpoint::head)
    }

    /// The same as the log signed it: what a sequencer must not have forgotten.
    pub fn pending_checkpoint(&self) -> Option<&Checkpoint> {
        self.pending.as_ref()
    }

    /// Answers a GET below the log's prefix.
    pub fn get(&self, path: &str) -> Response {
        match Resource::parse(path) {
            Some(Resource::Tile(tile)) => wire::serve_tile(&self.store, &tile),
            Some(Resource::Checkpoint) => match self.store.checkpoint() {
                Ok(Some(note)) => Response::new(200, wire::TEXT, note),
                Ok(None) => Response::text(404, "there is no checkpoint yet"),
                Err(error) => Response::text(500, error),
            },
            None => Response::text(404, "there is no such resource; a log has `checkpoint` and `tile/…`"),
        }
    }

    /// Answers `POST add-checkpoint` at `now` (Unix seconds): the witness's part.
    pub fn add_checkpoint(&mut self, body: &[u8], now: u64) -> Response {
        let staged = self.stage(body);
        staged
            .and_then(|staged| self.commit(Some(staged), &[], None))
            .and_then(|()| self.cosign_witness(now))
            .unwrap_or_else(|refused| refused)
    }

    /// Answers `POST add-entries` at `now`: the mirror's part.
    pub fn add_entries(&mut self, body: &[u8], now: u64) -> Response {
        self.mirror(None, body, now).unwrap_or_else(|refused| refused)
    }

    /// Answers both at once, for a sequencer that asks for both: the disk is written through once instead of twice.
    pub fn update(&mut self, checkpoint: &[u8], entries: &[u8], now: u64) -> [Response; 2] {
        let staged = match self.stage(checkpoint) {
            Ok(staged) => staged,
            Err(refused) => return [refused, self.add_entries(entries, now)],
        };
        match self.mirror(Some(staged.clone()), entries, now) {
            Ok(validated) => [self.cosign_witness(now).unwrap_or_else(|refused| refused), validated],
            Err(refused) => {
                let witnessed = self.commit(Some(staged), &[], None).and_then(|()| self.cosign_witness(now));
                [witnessed.unwrap_or_else(|refused| refused), refused]
            }
        }
    }

    /// Closes this log and signs, with the key of its entries, that another goes on where `statement` says: first the one, and
    /// for good, then the other. `others` are the signatures so far, none if it is the first to sign.
    ///
    /// # Errors
    /// The checkpoint is not one a quorum cosigned, or not the end of what this agency validated; or it signed another hand-over.
    pub fn hand_over(
        &mut self,
        statement: &HandOver,
        others: Option<&str>,
        name: &str,
        signer: &impl Signer,
    ) -> Result<String, CosignerError> {
        self.sure()?;
        let previous = Checkpoint::parse(&statement.previous)?;
        let head = previous.head();
        // A job starts on what a quorum validated. Any two quorums share an honest agency, which signs no end before that.
        if head.size < self.state.validated || head.size > self.store.size() || self.store.root_at(head.size)? != head.root {
            return Err(CosignerError::NotTheEnd { validated: self.state.validated, held: self.store.size(), named: head.size });
        }
        // Members may have changed since: what counts is who they were at that size.
        replay::stored(&self.store, self.beginning.clone(), head.size)?.policy()?.check(&previous, None, &[])?;
        let body = entry::Body::HandOver(Box::new(statement.clone()));
        let mine = body.sign(name, signer).map_err(RuleError::Entry)?;
        let id = Entry::parse(mine.as_bytes()).map_err(RuleError::Entry)?.id;
        if self.state.closed.is_some_and(|signed| signed != id) {
            return Err(CosignerError::HandedOver);
        }
        let entry = match others {
            None => mine,
            Some(others) => {
                let theirs = Entry::parse(others.as_bytes()).map_err(RuleError::Entry)?;
                if theirs.body != body {
                    return Err(CosignerError::State);
                }
                entry::countersign(others, name, signer).map_err(RuleError::Entry)?
            }
        };
        let state = State { closed: Some(id), ..self.state.clone() };
        self.store.append(&[], Some(&json::to_canonical(&state).map_err(|_| CosignerError::State)?))?;
        self.state = state;
        self.remember().map_err(told)?;
        Ok(entry)
    }

    /// The size of the checkpoint a next one must extend.
    fn known(&self) -> u64 {
        self.pending().map_or(0, |head| head.size)
    }

    /// Checks an `add-checkpoint` that it is to cosign, and changes nothing.
    fn stage(&self, body: &[u8]) -> Result<Checkpoint, Response> {
        let staged = self.stage_checkpoint(body)?;
        self.check_remembered(staged.head()).map(|()| staged)
    }

    /// Checks that an `add-checkpoint` is of this log and extends what is known.
    fn stage_checkpoint(&self, body: &[u8]) -> Result<Checkpoint, Response> {
        let AddCheckpoint { old, proof, checkpoint } =
            AddCheckpoint::parse(body).map_err(|error| Response::refused(400, "E_LEDGER_REQUEST", error))?;
        let (log, head) = (self.replay.log(), checkpoint.head());
        if head.origin != log.name() {
            return Err(Response::refused(404, "E_LEDGER_ORIGIN", "this cosigner does not know that log"));
        }
        checkpoint.verify_log(log).map_err(|error| Response::refused(403, "E_LEDGER_SIGNATURE", error))?;
        self.check_open()?;
        if old > head.size {
            return Err(Response::refused(400, "E_LEDGER_REQUEST", "the old size is larger than the checkpoint's"));
        }
        let known = self.known();
        let conflict = || Response::new(409, wire::SIZE, format!("{known}\n"));
        if old != known || self.pending().is_some_and(|pending| pending.size == head.size && pending.root != head.root) {
            return Err(conflict());
        }
        let root = self.pending().map_or_else(tree::empty_root, |pending| pending.root);
        tree::verify_consistency(old, &root, head.size, &head.root, &proof)
            .map_err(|error| Response::refused(422, "E_LEDGER_PROOF", error))?;
        checkpoint.with_only(log, std::iter::empty()).map_err(|error| Response::refused(403, "E_LEDGER_SIGNATURE", error))
    }

    fn check_open(&self) -> Result<(), Response> {
        let closed = || Response::refused(410, "E_LEDGER_HANDOVER", "this log was handed over to another; cosignatures are for that one");
        self.state.closed.map_or(Ok(()), |_| Err(closed()))
    }

    /// Takes entries towards the pending checkpoint, or the staged one, and cosigns once all are there.
    fn mirror(&mut self, staged: Option<Checkpoint>, body: &[u8], now: u64) -> Result<Response, Response> {
        let request = AddEntries::parse(body).map_err(|error| Response::refused(400, "E_LEDGER_REQUEST", error))?;
        if request.origin != self.replay.log().name() {
            return Err(Response::refused(404, "E_LEDGER_ORIGIN", "this mirror does not know that log"));
        }
        self.check_open()?;
        if staged.is_none() {
            self.sure().map_err(|why| Response::refused(503, why.code(), why))?;
        }
        let target = staged.as_ref().map(Checkpoint::head).or(self.pending()).cloned();
        let (size, next) = (target.as_ref().map_or(0, |head| head.size), self.store.size());
        let info =
            |status, next| Response::new(status, wire::MIRROR_INFO, MirrorInfo { size, next, ticket: Default::default() }.to_string());
        // Nobody need send much again: what is below the next entry's bundle is of no use.
        let Some(target) = target.filter(|_| request.end == size && request.start <= next && request.start >= next / WIDTH * WIDTH) else {
            return Err(info(409, next));
        };
        let mut undo = Vec::new();
        let taken = self.take(&request, &target, &mut undo).and_then(|entries| {
            let held = next + entries.len() as u64;
            self.commit(staged, &entries, (held == size).then_some(size)).map(|()| held)
        });
        match taken {
            Err(refused) => {
                // The entries are not stored, so they were never replayed.
                undo.into_iter().rev().for_each(|step| self.replay.undo(step));
                Err(refused)
            }
            Ok(held) if held < size => Ok(info(202, held)),
            Ok(_) => self.cosign_validated(now),
        }
    }

    /// The entries of a request that the store lacks, proved to be in the tree of `target`, and replayed.
    fn take<'a>(&mut self, request: &AddEntries<'a>, target: &Head, undo: &mut Vec<Undo>) -> Result<Vec<&'a [u8]>, Response> {
        let next = self.store.size();
        let mut entries: Vec<&[u8]> = Vec::new();
        let before = self.first_bundle(request.start).map_err(|error| Response::refused(500, error.code(), error))?;
        let mut before: Vec<&[u8]> = before.iter().map(Vec::as_slice).collect();
        let mut packages = 0;
        for package in request.packages() {
            packages += 1;
            let end = package.start + package.entries.len() as u64;
            let leaves: Vec<_> = before.drain(..).chain(package.entries.iter().copied()).map(tree::leaf_hash).collect();
            let part = tree::root(&leaves[..], leaves.len() as u64).unwrap_or_else(|never| match never {});
            let start = end - leaves.len() as u64;
            tree::verify(start, end, target.size, &part, &target.root, &package.proof)
                .map_err(|error| Response::refused(422, "E_LEDGER_PROOF", error))?;
            for (at, entry) in (package.start..).zip(package.entries).filter(|(at, _)| *at >= next) {
                let step =
                    self.replay.step(entry).map_err(|error| Response::refused(422, error.code(), format_args!("entry {at}: {error}")))?;
                undo.push(step);
                entries.push(entry);
            }
            if entries.len() + WIDTH as usize > MAX_BATCH {
                break;
            }
        }
        if packages == 0 && request.start < request.end {
            return Err(Response::refused(400, "E_LEDGER_REQUEST", "there is no whole package of entries"));
        }
        // What came is proved; that what was there before leads there too, the root says.
        let whole = next + entries.len() as u64 == target.size;
        if whole && self.store.root_with(&entries) != target.root {
            return Err(Response::refused(422, "E_LEDGER_CORRUPT", "the entries held do not lead to the checkpoint's root"));
        }
        Ok(entries)
    }

    /// The entries of the first package's bundle that stand before it.
    fn first_bundle(&self, start: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let width = start % WIDTH;
        if width == 0 {
            return Ok(Vec::new());
        }
        let tile = Tile { level: Level::Entries, index: start / WIDTH, width: width as u16 };
        let bundle = self.store.tile(&tile)?;
        let none = |_| StoreError::NoTile { path: tile.to_string() };
        Ok(crate::tile::entries(&bundle, tile.width).map_err(none)?.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// Takes down what may be signed then. Nothing changes if the disk does not take it.
    fn commit(&mut self, pending: Option<Checkpoint>, entries: &[&[u8]], validated: Option<u64>) -> Result<(), Response> {
        let mut state = self.state.clone();
        if let Some(pending) = &pending {
            state.pending = pending.note().into();
        }
        state.validated = validated.map_or(state.validated, |size| state.validated.max(size));
        let text = json::to_canonical(&state).map_err(|error| Response::refused(500, "E_LEDGER_CONFIG", error))?;
        let changed = (state != self.state).then_some(text.as_str());
        if changed.is_some() || !entries.is_empty() {
            self.store.append(entries, changed).map_err(|error| unwritten(&error))?;
        }
        self.state = state;
        if let Some(pending) = pending {
            // What it forgot says nothing of what a quorum came to.
            let shown = self.doubt.as_ref().is_some_and(|doubt| doubt.is_shown(pending.head()));
            if self.forgotten.take().is_none() || shown {
                self.doubt = None;
            }
            self.pending = Some(pending);
        }
        Ok(())
    }

    fn cosign_witness(&mut self, now: u64) -> Result<Response, Response> {
        self.remember()?;
        let pending = self.pending().ok_or_else(|| Response::text(409, "there is no checkpoint yet"))?;
        self.cosign(&self.witness, pending, now).map(|line| Response::new(200, wire::TEXT, line))
    }

    /// Cosigns as validated, and puts the checkpoint in place for those who fetch it from the mirror.
    fn cosign_validated(&mut self, now: u64) -> Result<Response, Response> {
        self.remember()?;
        let pending = self.pending.as_ref().ok_or_else(|| Response::text(409, "there is no checkpoint yet"))?;
        let [witnessed, validated] = [&self.witness, &self.validated].map(|signer| self.cosign(signer, pending.head(), now));
        let validated = validated?;
        let published = self.store.publish(&format!("{}{}{validated}", pending.note(), witnessed?));
        published.map_err(|error| Response::refused(500, error.code(), error))?;
        Ok(Response::new(200, wire::TEXT, validated))
    }

    fn cosign(&self, named: &NamedSigner, head: &Head, now: u64) -> Result<String, Response> {
        let line = head.cosign(named.key.name(), named.signer(), now);
        line.map(|line| format!("{line}\n")).map_err(|error| Response::refused(500, "E_LEDGER_CONFIG", error))
    }
}

impl State {
    fn parse(text: &str) -> Option<Self> {
        json::parse_canonical(text).ok().and_then(|value| serde_json::from_value(value).ok())
    }

    /// What a store of a cosigner of this log says, with the pending checkpoint.
    fn of(store: &Store, log: &VerifierKey) -> Result<(Self, Option<Checkpoint>), CosignerError> {
        let state = Self::parse(store.state()).ok_or(CosignerError::State)?;
        let pending = state.pending()?;
        let of_the_log = pending.as_ref().is_none_or(|pending| pending.head().origin == log.name());
        if of_the_log { Ok((state, pending)) } else { Err(CosignerError::State) }
    }

    fn pending(&self) -> Result<Option<Checkpoint>, crate::note::NoteError> {
        Some(&self.pending).filter(|note| !note.is_empty()).map(|note| Checkpoint::parse(note)).transpose()
    }
}

/// What the disk did not take.
fn unwritten(error: &StoreError) -> Response {
    let status = if matches!(error, StoreError::Full { .. }) { 507 } else { 500 };
    Response::refused(status, error.code(), error)
}

/// A refusal in words.
fn told(refused: Response) -> CosignerError {
    CosignerError::Refused(String::from_utf8_lossy(&refused.body).trim_end().into())
}

#[cfg(test)]
#[path = "cosigner_tests.rs"]
mod tests;
