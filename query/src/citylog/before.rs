//! A log that goes on where another ended: what a node must have of those before it.

use super::{founders, read};
use ledger::audit::{Folder, audit};
use ledger::bytes::Hash;
use ledger::checkpoint::Checkpoint;
use ledger::entry::{Body, Entry, HandOver};
use ledger::policy::Policy;
use ledger::replay::Replay;
use ledger::store::{Store, StoreError, Tiles};
use ledger::tile::{self, Level, Tile, WIDTH};
use mpc_core::file::{self, Kind};
use mpc_core::roster::Roster;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The logs before a city's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The hand-over that a quorum signed, with which the log begins.
    pub handover: PathBuf,
    /// The logs before it, the oldest first: folders of tiles, or nodes' ledger folders.
    pub after: Vec<PathBuf>,
}

impl Before {
    /// What a configuration says, if it says anything of it.
    ///
    /// # Errors
    /// One of the two is missing.
    pub fn of(handover: Option<PathBuf>, after: Vec<PathBuf>) -> Result<Option<Self>, &'static str> {
        match (handover, after.is_empty()) {
            (None, true) => Ok(None),
            (Some(handover), false) => Ok(Some(Self { handover, after })),
            _ => Err("`handover` and `after` of [ledger] belong together: the hand-over's file, and the folders of the logs before"),
        }
    }

    /// The hand-over's text.
    ///
    /// # Errors
    /// It cannot be read; in words that begin with the file's name.
    pub fn text(&self) -> Result<String, String> {
        file::read(&self.handover, Kind::Entry).map_err(|what| self.failed(what))
    }

    /// An entry of one of those logs: 0 is the oldest.
    ///
    /// # Errors
    /// It is not there.
    pub fn entry(&self, log: usize, index: u64) -> Result<Vec<u8>, String> {
        let mut over = hand_over(self.text()?.as_bytes())?;
        for (at, folder) in self.after.iter().enumerate().skip(log).rev() {
            let (files, size) = (Files::open(folder)?, end(&over)?.head().size);
            if at == log {
                return entry(&files, index, size);
            }
            over = hand_over(&entry(&files, 0, size)?)?;
        }
        Err(format!("`after` names {} logs", self.after.len()))
    }

    /// The empty log that goes on. Those before it are checked as an audit does.
    pub(super) fn beginning(&self, policy: &Path, roster: &Roster) -> Result<Replay, String> {
        let text = self.text()?;
        let over = hand_over(text.as_bytes()).map_err(|what| self.failed(what))?;
        let parsed = read(policy)?;
        if !parsed.logs().contains(&over.key) {
            return Err(format!("{}: it has no line `log {}`, of the log that goes on", policy.display(), over.key));
        }
        let (before, root) = ended(&parsed, roster, &over, &self.after)?;
        let beginning = before.succeed(over.key.clone(), root);
        // Before a node signs anything: whether a quorum signed it.
        beginning.clone().admit(text.as_bytes()).map_err(|error| self.failed(format!("{}: {error}", error.code())))?;
        Ok(beginning)
    }

    fn failed(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.handover.display())
    }
}

/// What the last of these logs came to where it was handed over, and its root there.
fn ended(policy: &Policy, roster: &Roster, over: &HandOver, after: &[PathBuf]) -> Result<(Replay, Hash), String> {
    let end = end(over)?;
    let head = end.head();
    let (last, rest) = after.split_last().ok_or_else(|| format!("`after` lacks the folder of `{}`, which was handed over", head.origin))?;
    let failed = |what: String| format!("{}: {what}", last.display());
    let files = Files::open(last)?;
    let key = policy.logs().iter().find(|log| log.name() == head.origin);
    let key = key.cloned().ok_or_else(|| format!("the policy has no line `log` for `{}`, which was handed over", head.origin))?;
    let beginning = match hand_over(&entry(&files, 0, head.size).map_err(failed)?) {
        Ok(over) => {
            let (before, root) = ended(policy, roster, &over, rest)?;
            before.succeed(key, root)
        }
        Err(_) => Replay::new(key, founders(roster).map_err(|error| error.to_string())?),
    };
    let audited = audit(&files, &end, policy, beginning).map_err(|error| failed(format!("{}: {error}", error.code())))?;
    Ok((audited.replay, audited.head.root))
}

fn end(over: &HandOver) -> Result<Checkpoint, String> {
    Checkpoint::parse(&over.previous).map_err(|error| format!("the hand-over's checkpoint: {error}"))
}

fn hand_over(entry: &[u8]) -> Result<HandOver, String> {
    match Entry::parse(entry).map(|entry| entry.body) {
        Ok(Body::HandOver(over)) => Ok(*over),
        Ok(other) => Err(format!("it is a `{}`, and no hand-over", other.kind())),
        Err(error) => Err(format!("it is no hand-over: {error}")),
    }
}

fn entry(tiles: &impl Tiles, index: u64, size: u64) -> Result<Vec<u8>, String> {
    let missing = || format!("there is no entry {index} in it");
    let (bundle, at) = (index / WIDTH, (index % WIDTH) as usize);
    let width = size.saturating_sub(bundle * WIDTH).min(WIDTH) as u16;
    let bytes = tiles.tile(&Tile { level: Level::Entries, index: bundle, width }).map_err(|error| format!("{}: {error}", error.code()))?;
    let entries = tile::entries(&bytes, width).map_err(|_| missing())?;
    entries.get(at).map(|entry| entry.to_vec()).ok_or_else(missing)
}

/// A log's files, as a node keeps them or as a server hands them out.
enum Files {
    Node(Box<Store>),
    Tiles(Folder),
}

impl Files {
    fn open(folder: &Path) -> Result<Self, String> {
        match folder.join("tail").exists() {
            true => {
                let store = Store::read(folder).map_err(|error| format!("{}: {}: {error}", folder.display(), error.code()))?;
                Ok(Self::Node(Box::new(store)))
            }
            false => Ok(Self::Tiles(Folder(folder.into()))),
        }
    }
}

impl Tiles for Files {
    fn tile(&self, tile: &Tile) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Node(store) => store.tile(tile),
            Self::Tiles(folder) => folder.tile(tile),
        }
    }
}
