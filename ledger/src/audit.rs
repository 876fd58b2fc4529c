//! What anybody can check of a log who has its files, offline: every hash, every signature, every rule.

use crate::batch::{self, Claim};
use crate::bytes::Hash;
use crate::checkpoint::{Checkpoint, Head};
use crate::edge::Edge;
use crate::entry::{Entry, EntryError};
use crate::key::{KeyKind, VerifierKey};
use crate::policy::{Policy, PolicyError};
use crate::receipt::Receipt;
use crate::replay::{Replay, RuleError};
use crate::signed::NoteSignature;
use crate::store::{self, StoreError, Tiles};
use crate::tile::{self, Level, Tile, WIDTH};
use crate::tree::{self, Hashes};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;

/// A log's files as a server hands them out, in a folder.
pub struct Folder(pub PathBuf);

impl Folder {
    /// The checkpoint beside the tiles.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn checkpoint(&self) -> Result<String, StoreError> {
        let path = self.0.join("checkpoint");
        std::fs::read_to_string(&path).map_err(|error| StoreError::Io { what: "read it", path, error })
    }
}

impl Tiles for Folder {
    fn tile(&self, tile: &Tile) -> Result<Vec<u8>, StoreError> {
        let path = tile.to_string();
        let full = Tile { width: WIDTH as u16, ..*tile }.to_string();
        let bytes = std::fs::read(self.0.join(&path));
        if let Ok(bytes) = bytes {
            return Ok(bytes);
        }
        // Once a tile is full, its partial files may be gone.
        let none = || StoreError::NoTile { path: path.clone() };
        let mut bytes = std::fs::read(self.0.join(full)).map_err(|_| none())?;
        let width = usize::from(tile.width);
        let end = match tile.level {
            Level::Hashes(_) => 32 * width,
            Level::Entries => {
                let entries = tile::entries(&bytes, WIDTH as u16).map_err(|_| none())?;
                entries[..width].iter().map(|entry| 2 + entry.len()).sum()
            }
        };
        bytes.truncate(end);
        Ok(bytes)
    }
}

/// A log's hashes, from its tiles.
pub struct Log<'a, T: ?Sized> {
    /// The tiles.
    pub tiles: &'a T,
    /// The log's number of entries.
    pub size: u64,
}

impl<T: Tiles + ?Sized> Hashes for Log<'_, T> {
    type Error = StoreError;

    fn complete(&self, level: u8, index: u64) -> Result<Hash, StoreError> {
        store::complete(self.tiles, level, index, self.size)
    }
}

/// What a whole log amounts to.
#[derive(Debug, Clone)]
pub struct Audit {
    /// How far it is.
    pub head: Head,
    /// Entries of each kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// What they amount to.
    pub replay: Replay,
}

/// Checks a whole log: that `policy` believes the checkpoint, that the entries lead to its root and to every tile, that every entry is
/// signed by those who must, and that each may stand where it stands.
///
/// # Errors
/// The first thing that is wrong, and where.
pub fn audit(tiles: &impl Tiles, checkpoint: &Checkpoint, policy: &Policy, beginning: Replay) -> Result<Audit, AuditError> {
    let head = policy.check(checkpoint, None, &[])?;
    if head.origin != beginning.log().name() {
        return Err(AuditError::Policy(PolicyError::Log { origin: head.origin }));
    }
    let mut log = Walk { tiles, size: head.size, edge: Edge::default(), audit: Audit { head, kinds: BTreeMap::new(), replay: beginning } };
    let bundles = log.size.div_ceil(WIDTH);
    for first in (0..bundles).step_by(CHUNK as usize) {
        log.chunk(first, (first + CHUNK).min(bundles))?;
    }
    if log.edge.root() != log.audit.head.root {
        return Err(AuditError::Root { size: log.size });
    }
    for tile in Tile::all(log.size).filter(|tile| !tile.is_full()) {
        if let Level::Hashes(level) = tile.level {
            log.compare(&tile, log.edge.partial(level))?;
        }
    }
    Ok(log.audit)
}

/// The receipt of the entry at `index`, under a checkpoint.
///
/// # Errors
/// There is none, or a tile cannot be read.
pub fn prove(tiles: &impl Tiles, checkpoint: &Checkpoint, index: u64) -> Result<Receipt, AuditError> {
    let size = checkpoint.head().size;
    if index >= size {
        return Err(AuditError::NoEntry { index, size });
    }
    let proof = tree::prove(&Log { tiles, size }, index, index + 1, size)?;
    Ok(Receipt { extra: None, index, proof, checkpoint: checkpoint.clone() })
}

/// Bundles that are in memory at a time.
const CHUNK: u64 = 16;

struct Walk<'a, T> {
    tiles: &'a T,
    size: u64,
    edge: Edge,
    audit: Audit,
}

impl<T: Tiles> Walk<'_, T> {
    /// Some bundles: read in order, taken apart on all cores, replayed in order, verified on all cores.
    fn chunk(&mut self, first: u64, end: u64) -> Result<(), AuditError> {
        let mut bundles = Vec::new();
        for index in first..end {
            let tile = Tile { level: Level::Entries, index, width: (self.size - index * WIDTH).min(WIDTH) as u16 };
            bundles.push((tile, self.tiles.tile(&tile)?));
        }
        let mut entries = Vec::new();
        for (tile, bundle) in &bundles {
            entries.extend(tile::entries(bundle, tile.width).map_err(|_| AuditError::Tile { path: tile.to_string() })?);
        }
        let parsed = on_all_cores(&entries, |part| part.iter().map(|entry| (tree::leaf_hash(entry), Entry::parse(entry))).collect());
        let mut signatures = Vec::new();
        for (index, (leaf, entry)) in (first * WIDTH..).zip(parsed) {
            let mut full = Vec::new();
            self.edge.push(leaf, |tile, hashes| full.push((tile, hashes.to_vec())));
            full.iter().try_for_each(|(tile, hashes)| self.compare(tile, hashes))?;
            let at = |error: RuleError| AuditError::Entry { index, error: Box::new(error) };
            let entry = entry.map_err(|error| at(error.into()))?;
            let keys = self.audit.replay.check(&entry).map_err(at)?;
            *self.audit.kinds.entry(entry.body.kind()).or_default() += 1;
            let text = entry.text;
            signatures.extend(entry.signatures.iter().cloned().zip(keys).map(|(made, key)| Signature { index, text, made, key }));
            self.audit.replay.apply(entry);
        }
        on_all_cores(&signatures, Signature::check_all).into_iter().collect()
    }

    fn compare(&self, tile: &Tile, hashes: &[Hash]) -> Result<(), AuditError> {
        let bytes = self.tiles.tile(tile)?;
        let same = tile::hashes(&bytes, tile.width).is_ok_and(|served| served == hashes);
        if same { Ok(()) } else { Err(AuditError::Tile { path: tile.to_string() }) }
    }
}

/// A signature of an entry, with the key that must have made it.
struct Signature<'a> {
    index: u64,
    text: &'a str,
    made: NoteSignature<'a>,
    key: VerifierKey,
}

impl Signature<'_> {
    /// Together first, which is quick; one by one if that fails, to say which it is.
    fn check_all(signatures: &[Self]) -> Vec<Result<(), AuditError>> {
        let claims: Option<Vec<Claim<'_>>> = signatures.iter().map(Self::claim).collect();
        let sure = claims.is_some_and(|claims| batch::all_verify(&claims));
        if sure { Vec::new() } else { signatures.iter().map(Self::check).collect() }
    }

    fn claim(&self) -> Option<Claim<'_>> {
        let plain = self.key.kind() == KeyKind::Note;
        let signature = self.made.bytes.as_slice().try_into().ok().filter(|_| plain)?;
        Some(Claim { key: &self.key, message: self.text.as_bytes(), signature })
    }

    fn check(&self) -> Result<(), AuditError> {
        let failed = |error| AuditError::Entry { index: self.index, error: Box::new(RuleError::Entry(EntryError::Note(error))) };
        self.made.check(self.text, &self.key).map(drop).map_err(failed)
    }
}

/// `work` on all items, in order, a part of them on each core.
fn on_all_cores<'a, I: Sync, O: Send>(items: &'a [I], work: impl Fn(&'a [I]) -> Vec<O> + Sync) -> Vec<O> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(cores).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = items.chunks(share).map(|items| scope.spawn(move || work(items))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Where a log is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The checkpoint is not believed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A file is missing or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tile is not what the entries make it.
    #[error("`{path}` does not hold what the log's entries make it: fetch it again, or from another agency's mirror")]
    Tile {
        /// Its path.
        path: String,
    },
    /// The root is another.
    #[error("the {size} entries do not lead to the checkpoint's root: fetch them again, or from another agency's mirror")]
    Root {
        /// The log's size.
        size: u64,
    },
    /// An entry may not stand.
    #[error("entry {index}: {error}")]
    Entry {
        /// Its place.
        index: u64,
        /// Why.
        error: Box<RuleError>,
    },
    /// There is no such entry.
    #[error("the checkpoint is of {size} entries, and entry {index} is not one of them")]
    NoEntry {
        /// Asked for.
        index: u64,
        /// The log's size.
        size: u64,
    },
}

impl AuditError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Policy(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Tile { .. } | Self::Root { .. } => "E_LEDGER_CORRUPT",
            Self::Entry { error, .. } => error.code(),
            Self::NoEntry { .. } => "E_LEDGER_TILE",
        }
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
