//! The log's sequencer: it gives entries their places, signs how far the log is, and collects the agencies' cosignatures. It is
//! trusted for nothing but staying up. It applies the rules itself, so that an honest one never appends what agencies would not
//! validate; and it serves no checkpoint as the newest before a quorum cosigned it.
//!
//! It does no input or output but its store's. A server takes entries ([`Sequencer::submit`]), seals them into a batch
//! ([`Sequencer::seal`]), sends every agency its [`Sequencer::update_for`] and hands the answers to [`Sequencer::answered`].
//!
//! What it signs is on its disk first. If its folder was put back, its own checkpoints in others' hands say so: at every start
//! the server hands it the checkpoints that agencies have ([`Sequencer::recall`]) before it seals anything.

use crate::checkpoint::{Checkpoint, Head};
use crate::cosigner::NamedSigner;
use crate::key::KeyKind;
use crate::note::NoteError;
use crate::policy::Agency;
use crate::replay::{self, Replay, RuleError, StoredError};
use crate::signed;
use crate::store::{MAX_BATCH, Store, StoreError};
use crate::tree;
use crate::wire::{self, AddCheckpoint, AddEntries, MirrorInfo, Resource, Response};
use std::path::Path;

/// A log, and what its agencies have cosigned of it.
pub struct Sequencer {
    store: Store,
    signer: NamedSigner,
    /// The entries of the store and of the batch.
    replay: Replay,
    batch: Vec<Vec<u8>>,
    /// The store's head, signed.
    head: Checkpoint,
    /// The agencies that cosign it, and how many of them make a quorum; 0 before the first.
    agencies: Vec<Cosigning>,
    quorum: usize,
    /// The newest checkpoint that a quorum cosigned.
    published: Option<Checkpoint>,
    /// A checkpoint of its own, in others' hands, that its store does not lead to.
    forgotten: Option<Head>,
}

/// Where one agency is.
struct Cosigning {
    agency: Agency,
    /// The size its witness is at, and the first entry its mirror lacks, as far as it told.
    size: u64,
    next: u64,
    /// Its lines under the head.
    witnessed: Option<String>,
    validated: Option<String>,
}

/// What an agency's answers came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Both its cosignatures are there.
    Done,
    /// It is at another size than was thought: send it its next update.
    Again,
}

impl Sequencer {
    /// Opens the log that `beginning` begins, with its store in `folder`. The signer's name is the log's origin.
    ///
    /// # Errors
    /// The store cannot be opened, or holds what this log cannot.
    pub fn open(folder: &Path, beginning: Replay, signer: NamedSigner) -> Result<Self, SequencerError> {
        if signer.key() != beginning.log() || signer.key().kind() != KeyKind::Note {
            return Err(SequencerError::Config);
        }
        let mut store = Store::open(folder, STATE)?;
        if store.state() != STATE {
            return Err(SequencerError::Config);
        }
        let replay = replay::stored(&store, beginning, store.size())?;
        store.mark_signed()?;
        let head = Head { origin: signer.key().name().into(), size: store.size(), root: store.root() }.sign(signer.signer())?;
        let published = store.checkpoint()?.and_then(|note| Checkpoint::parse(&note).ok());
        let published = published.filter(|published| published.verify_log(signer.key()).is_ok());
        let mut sequencer =
            Self { store, signer, replay, batch: Vec::new(), head, agencies: Vec::new(), quorum: 0, published: None, forgotten: None };
        if let Some(published) = published {
            sequencer.recall(&published)?;
            sequencer.published = Some(published);
        }
        sequencer.gather();
        Ok(sequencer)
    }

    /// The log's entries.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What they amount to, with those of the batch.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// How far the log is, cosigned or not.
    pub fn head(&self) -> &Head {
        self.head.head()
    }

    /// The newest checkpoint that a quorum cosigned.
    pub fn published(&self) -> Option<&Checkpoint> {
        self.published.as_ref()
    }

    /// Answers a GET below the log's prefix.
    pub fn get(&self, path: &str) -> Response {
        match (Resource::parse(path), &self.published) {
            (Some(Resource::Tile(tile)), _) => wire::serve_tile(&self.store, &tile),
            (Some(Resource::Checkpoint), Some(published)) => Response::new(200, wire::TEXT, published.note()),
            (Some(Resource::Checkpoint), None) => Response::text(404, "no quorum has cosigned a checkpoint yet"),
            (None, _) => Response::text(404, "there is no such resource; a log has `checkpoint` and `tile/…`"),
        }
    }

    /// Takes an entry into the batch, and says which place it will have. It is in the log once the batch is sealed, and can be
    /// relied on once a quorum cosigned.
    ///
    /// # Errors
    /// It may not stand here, or the batch is full.
    pub fn submit(&mut self, entry: &[u8]) -> Result<u64, SequencerError> {
        self.check_remembered()?;
        if self.batch.len() == MAX_BATCH {
            return Err(SequencerError::Busy);
        }
        self.replay.admit(entry)?;
        self.batch.push(entry.into());
        Ok(self.store.size() + self.batch.len() as u64 - 1)
    }

    /// Takes a step of a job into the batch, whole or not at all, and says which place its last entry will have. What stands already of the
    /// entries before the last is passed over: a query and its debits are for all attempts.
    ///
    /// # Errors
    /// An entry may not stand here, or the batch is full.
    pub fn submit_step(&mut self, entries: &[&[u8]]) -> Result<u64, SequencerError> {
        self.check_remembered()?;
        if self.batch.len() + entries.len() > MAX_BATCH {
            return Err(SequencerError::Busy);
        }
        let (before, mut undo) = (self.batch.len(), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            match self.replay.step(entry) {
                Ok(step) => {
                    undo.push(step);
                    self.batch.push(entry.to_vec());
                }
                Err(RuleError::Again(_)) if at + 1 < entries.len() => {}
                Err(error) => {
                    undo.into_iter().rev().for_each(|step| self.replay.undo(step));
                    self.batch.truncate(before);
                    return Err(error.into());
                }
            }
        }
        Ok(self.store.size() + self.batch.len() as u64 - 1)
    }

    /// Appends the batch, then signs the new head. Nothing happens if the batch is empty.
    ///
    /// # Errors
    /// The disk is full or fails. The batch is kept, and can be sealed once there is room.
    pub fn seal(&mut self) -> Result<&Head, SequencerError> {
        self.check_remembered()?;
        if !self.batch.is_empty() {
            let entries: Vec<&[u8]> = self.batch.iter().map(Vec::as_slice).collect();
            self.store.append(&entries, None)?;
            self.batch.clear();
            self.store.mark_signed()?;
            let head = Head { origin: self.signer.key().name().into(), size: self.store.size(), root: self.store.root() };
            self.head = head.sign(self.signer.signer())?;
            self.gather();
        }
        Ok(self.head())
    }

    /// The agencies of the log as it stands, by name.
    pub fn agencies(&self) -> impl Iterator<Item = &str> {
        self.agencies.iter().map(|one| one.agency.name.as_str())
    }

    /// What to send an agency: the bodies of `add-checkpoint` and of `add-entries`. Sent again when both its cosignatures are there,
    /// it makes them newer.
    ///
    /// # Errors
    /// The store cannot be read, or there is no such agency.
    pub fn update_for(&self, agency: &str) -> Result<[Vec<u8>; 2], SequencerError> {
        self.check_remembered()?;
        let at = self.agencies.iter().find(|one| one.agency.name == agency).ok_or(SequencerError::Config)?;
        let (old, next, size) = (at.size, at.next, self.head().size);
        let proof = if old == 0 { Vec::new() } else { tree::prove(&self.store, 0, old, size)? };
        let checkpoint = AddCheckpoint { old, proof, checkpoint: self.head.clone() }.to_string().into_bytes();
        Ok([checkpoint, AddEntries::body(&self.store, self.signer.key().name(), next, size)?])
    }

    /// Takes an agency's answers to both: status and body. When they complete a quorum, the checkpoint is published.
    ///
    /// # Errors
    /// The agency refused, or answered with what is no answer.
    pub fn answered(&mut self, agency: &str, witness: (u16, &[u8]), validated: (u16, &[u8])) -> Result<Progress, SequencerError> {
        let (text, size) = (self.head().to_string(), self.head().size);
        let at = self.agencies.iter_mut().find(|one| one.agency.name == agency).ok_or(SequencerError::Config)?;
        let refused = |(status, body): (u16, &[u8])| SequencerError::Refused {
            agency: agency.into(),
            status,
            // What to do next is for the agency, whose node says it, too.
            text: String::from_utf8_lossy(&body[..body.len().min(500)]).lines().next().unwrap_or_default().trim_end().into(),
        };
        match witness {
            (200, lines) => {
                let line = cosignature(lines, &text, &at.agency.witness).ok_or_else(|| refused(witness))?;
                (at.witnessed, at.size) = (Some(line), size);
            }
            // A size that is not this log's is a claim; what would prove it is a checkpoint, see `recall`.
            (409, body) => {
                at.size = wire::parse_size(body).filter(|told| *told <= size && *told != at.size).ok_or_else(|| refused(witness))?
            }
            _ => return Err(refused(witness)),
        }
        match validated {
            (200, lines) => {
                let line = cosignature(lines, &text, &at.agency.validated).ok_or_else(|| refused(validated))?;
                (at.validated, at.next) = (Some(line), size);
            }
            (202 | 409, body) => {
                let info = MirrorInfo::parse(body).ok().filter(|info| info.next <= size);
                at.next = info.ok_or_else(|| refused(validated))?.next;
            }
            _ => return Err(refused(validated)),
        }
        let done = witness.0 == 200 && validated.0 == 200;
        if done {
            self.publish()?;
        }
        Ok(if done { Progress::Done } else { Progress::Again })
    }

    /// Shown a checkpoint that others have: whether this log signed more than its store holds, or something else. If so nothing is
    /// sealed or sent any more: its own newest copy of the folder must be put there first, or the log be handed over.
    ///
    /// # Errors
    /// It did: its store was put back.
    pub fn recall(&mut self, checkpoint: &Checkpoint) -> Result<(), SequencerError> {
        if checkpoint.verify_log(self.signer.key()).is_err() {
            return Ok(());
        }
        let (seen, held) = (checkpoint.head(), self.store.size());
        if seen.size > held || self.store.root_at(seen.size)? != seen.root {
            self.forgotten = Some(seen.clone());
        }
        self.check_remembered()
    }

    fn check_remembered(&self) -> Result<(), SequencerError> {
        let held = self.store.size();
        self.forgotten.as_ref().map_or(Ok(()), |seen| Err(SequencerError::Forgotten { held, signed: seen.size }))
    }

    /// The agencies of the log as sealed, without cosignatures under the new head.
    fn gather(&mut self) {
        let mut known = std::mem::take(&mut self.agencies);
        let at = |agency: Agency| {
            let (size, next) = known.iter_mut().find(|one| one.agency.name == agency.name).map_or((0, 0), |one| (one.size, one.next));
            Cosigning { agency, size, next, witnessed: None, validated: None }
        };
        self.agencies = self.replay.agencies().into_iter().map(at).collect();
        self.quorum = self.replay.quorum() as usize;
    }

    /// Publishes the head if a quorum cosigned it. Every line was verified when it came.
    fn publish(&mut self) -> Result<(), SequencerError> {
        let both = |one: &Cosigning| Some([one.witnessed.clone()?, one.validated.clone()?]);
        let whole: Vec<[String; 2]> = self.agencies.iter().filter_map(both).collect();
        if self.quorum > 0 && whole.len() >= self.quorum {
            let checkpoint = self.head.with_only(self.signer.key(), whole.as_flattened().iter().map(String::as_str))?;
            self.store.publish(checkpoint.note())?;
            self.published = Some(checkpoint);
        }
        Ok(())
    }
}

/// A sequencer keeps nothing beside the entries: what it signs follows from them.
const STATE: &str = "sequencer";

/// The line of `key` among these, if it cosigns this text.
fn cosignature(lines: &[u8], text: &str, key: &crate::key::VerifierKey) -> Option<String> {
    let lines = std::str::from_utf8(lines).ok().filter(|lines| lines.len() <= crate::checkpoint::MAX_CHECKPOINT)?;
    let lines = signed::parse_signatures(lines).ok()?;
    let mine = lines.iter().find(|line| line.name == key.name() && line.id == key.id())?;
    mine.check(text, key).ok()?;
    Some(mine.line())
}

/// Why the sequencer does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SequencerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entry may not stand.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The origin is no name.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The entries of its store.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// The batch is full.
    #[error("{MAX_BATCH} entries wait already; try again in a moment")]
    Busy,
    /// The folder or the key is another's, or there is no such agency.
    #[error("the ledger's folder or key belongs to another log or to a cosigner, or there is no such agency; check the configuration")]
    Config,
    /// An agency refused.
    #[error("`{agency}` answered {status}: {text}")]
    Refused {
        /// Which agency.
        agency: String,
        /// HTTP's status code.
        status: u16,
        /// What it said.
        text: String,
    },
    /// Its store was put back.
    #[error(
        "this log signed a checkpoint of {signed} entries that its {held} entries do not lead to: its folder was rolled back. \
         Nothing more is signed; put the newest copy of its own folder there, or the agencies hand the log over"
    )]
    Forgotten {
        /// Entries in the store.
        held: u64,
        /// Entries of the checkpoint.
        signed: u64,
    },
}

impl SequencerError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Rule(error) => error.code(),
            Self::Note(_) | Self::Config => "E_LEDGER_CONFIG",
            Self::Stored(error) => error.code(),
            Self::Busy => "E_BUSY",
            Self::Refused { .. } => "E_LEDGER_COSIGNER",
            Self::Forgotten { .. } => "E_LEDGER_ROLLBACK",
        }
    }
}

#[cfg(test)]
#[path = "sequencer_tests.rs"]
mod tests;
