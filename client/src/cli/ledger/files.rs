//! The files that the commands read: logs, checkpoints, policies.

use super::known::{self, Known};
use crate::cli::runtime;
use crate::config::read;
use crate::error::Error;
use crate::http::Api;
use clap::Args;
use ledger::audit::Folder;
use ledger::bytes::Base64;
use ledger::checkpoint::{Checkpoint, Head};
use ledger::code::next_step;
use ledger::policy::{Policy, PolicyError};
use ledger::store::{Store, StoreError, Tiles};
use ledger::tile::{self, Level, Tile, WIDTH};
use mpc_core::file::Kind;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// Which log, and how far.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogArgs {
    /// The log's files: a folder of tiles, or a node's ledger folder (which the node may be using)
    #[arg(value_name = "LOG")]
    pub log: PathBuf,
    /// The checkpoint to stand on; if left out, the newest in the folder
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
}

/// The same, where the configuration says which log it is.
#[derive(Debug, Args)]
pub(in crate::cli) struct OwnLogArgs {
    /// The log's files: a folder of tiles, or a node's ledger folder (which the node may be using); if left out, an agency's own mirror, or what the coordinator hands out
    #[arg(value_name = "LOG")]
    pub log: Option<PathBuf>,
    /// The checkpoint to stand on; if left out, the newest in the folder, or the coordinator's
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Whose log, and whom to believe, if it is not said: a party.toml or a planner.toml; if left out, that of TACIT_CONFIG, else the planner's
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl OwnLogArgs {
    pub fn open(&self) -> Result<Log, Error> {
        match &self.log {
            Some(log) => LogArgs { log: log.clone(), checkpoint: self.checkpoint.clone() }.open(),
            None => self.known()?.log(self.checkpoint.as_deref()),
        }
    }

    /// What the configuration says.
    pub fn known(&self) -> Result<Known, Error> {
        Known::load(self.config.as_deref())
    }

    /// Whom to believe: those of this file, else as the configuration says.
    pub fn policy(&self, given: Option<&Path>) -> Result<Policy, Error> {
        known::policy(given, self.config.as_deref())
    }
}

/// A log's files, and a checkpoint of it.
pub(in crate::cli) struct Log {
    pub files: Files,
    pub checkpoint: Checkpoint,
}

impl Log {
    /// Itself, unless a node's mirror has fewer entries than the checkpoint is of.
    pub fn whole(self) -> Result<Self, Error> {
        let size = self.checkpoint.head().size;
        match &self.files {
            Files::Node(store) if store.size() < size => Err(Error::Failed(format!(
                "the node's mirror has {} entries of the log, and the checkpoint is of {size}; try again in a moment, or see by `tacit doctor` what keeps it",
                store.size(),
            ))),
            _ => Ok(self),
        }
    }
}

impl LogArgs {
    /// The newest of a log.
    pub fn at(log: &Path) -> Self {
        Self { log: log.into(), checkpoint: None }
    }

    pub fn open(&self) -> Result<Log, Error> {
        is_folder(&self.log)?;
        // Before the files: a node that uses them may have more by then, and never less.
        let checkpoint = read_checkpoint(self.checkpoint.as_deref().unwrap_or(&self.log.join("checkpoint")))?;
        Ok(Log { files: Files::open(&self.log)?, checkpoint })
    }
}

/// A log's files, as a server hands them out or as a node keeps them.
pub(in crate::cli) enum Files {
    Tiles(Folder),
    Node(Box<Store>),
    Served(Served),
}

/// A log's files at the coordinator, fetched as they are read.
pub(in crate::cli) struct Served {
    api: Api,
    runtime: Runtime,
    seen: RefCell<HashMap<Tile, Vec<u8>>>,
}

impl Served {
    pub fn new(api: Api) -> Result<Self, Error> {
        Ok(Self { api, runtime: runtime()?, seen: RefCell::default() })
    }

    /// The newest checkpoint that a quorum cosigned; `instead` is what else would do.
    pub fn checkpoint(&self, instead: &str) -> Result<String, Error> {
        let text = self.runtime.block_on(self.api.text("/ledger/checkpoint"));
        text.ok_or_else(|| {
            let what = format!("it hands out no checkpoint of the city's log; see that it runs (`tacit doctor`), or {instead}");
            Error::connection(self.api.base(), what)
        })
    }
}

impl Tiles for Served {
    fn tile(&self, tile: &Tile) -> Result<Vec<u8>, StoreError> {
        if let Some(bytes) = self.seen.borrow().get(tile) {
            return Ok(bytes.clone());
        }
        let path = tile.to_string();
        let bytes = self.runtime.block_on(self.api.bytes(&format!("/ledger/{path}")));
        let bytes = bytes.ok_or_else(|| StoreError::NoTile { path: format!("{}/ledger/{path}", self.api.base()) })?;
        self.seen.borrow_mut().insert(*tile, bytes.clone());
        Ok(bytes)
    }
}

/// A log is in a folder; whoever has one entry of it in a file reads that as it is.
fn is_folder(log: &Path) -> Result<(), Error> {
    let what = match log.is_dir() {
        true => return Ok(()),
        false if log.exists() => "this is a file, and a log is a folder",
        false => "there is no such folder",
    };
    Err(Error::config(format!("{}: {what}; name a folder of tiles, or a node's ledger folder", log.display())))
}

impl Files {
    pub fn open(folder: &Path) -> Result<Self, Error> {
        is_folder(folder)?;
        match () {
            () if folder.join("tail").exists() => Store::read(folder).map(Box::new).map(Self::Node).map_err(|e| fails(e.code(), e)),
            () if folder.join("tile").is_dir() || folder.join("checkpoint").exists() => Ok(Self::Tiles(Folder(folder.into()))),
            () => Err(Error::config(format!(
                "{}: there is no log in this folder: it has neither `tile` nor `tail`; name a folder of tiles, or a node's ledger folder",
                folder.display()
            ))),
        }
    }

    /// An entry of the first `size`.
    pub fn entry(&self, index: u64, size: u64) -> Result<Vec<u8>, Error> {
        let mut found = None;
        self.each(index..index + 1, size, |_, entry| {
            found = Some(entry.to_vec());
            Ok(())
        })?;
        found.ok_or_else(|| fails("E_LEDGER_TILE", format!("the checkpoint is of {size} entries, and entry {index} is not one of them")))
    }

    /// Looks at entries of the first `size`, in order.
    pub fn each(&self, range: std::ops::Range<u64>, size: u64, mut look: impl FnMut(u64, &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let end = range.end.min(size);
        for bundle in range.start / WIDTH..end.div_ceil(WIDTH) {
            let tile = Tile { level: Level::Entries, index: bundle, width: (size - bundle * WIDTH).min(WIDTH) as u16 };
            let bytes = self.tile(&tile).map_err(|e| fails(e.code(), e))?;
            let entries = tile::entries(&bytes, tile.width).map_err(|e| fails("E_LEDGER_CORRUPT", format!("{tile}: {e}")))?;
            let wanted = (bundle * WIDTH..).zip(entries).filter(|(index, _)| (range.start..end).contains(index));
            for (index, entry) in wanted {
                look(index, entry)?;
            }
        }
        Ok(())
    }
}

impl Tiles for Files {
    fn tile(&self, tile: &Tile) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Tiles(folder) => folder.tile(tile),
            Self::Node(store) => store.tile(tile),
            Self::Served(served) => served.tile(tile),
        }
    }
}

/// What does not hold, by its code; and what to do about it.
pub(in crate::cli) fn fails(code: &str, what: impl Display) -> Error {
    Error::Failed(format!("{code}: {what}\n  to mend it: {}", next_step(code)))
}

pub(in crate::cli) fn read_checkpoint(path: &Path) -> Result<Checkpoint, Error> {
    let text = read(path, Kind::Checkpoint)?;
    Checkpoint::parse(&text).map_err(|error| Error::config(format!("{}: it is no checkpoint: {error}", path.display())))
}

pub(in crate::cli) fn read_policy(path: &Path) -> Result<Policy, Error> {
    let text = read(path, Kind::Policy)?;
    text.parse().map_err(|error: PolicyError| Error::config(format!("{}: {error}", path.display())))
}

/// What a checkpoint is of, if the policy believes it. In an agency's mirror it has that agency's cosignatures alone: what is missing then is no agency's node.
pub(in crate::cli) fn believed(checkpoint: &Checkpoint, policy: &Policy, also: &str) -> Result<Head, Error> {
    policy.check(checkpoint, None, &[]).map_err(|error| {
        let of_one = || {
            let names = cosigners(checkpoint, policy).unwrap_or_default();
            let agencies: BTreeSet<&str> = names.iter().filter_map(|(name, _)| Some(name.split_once('/')?.0)).collect();
            agencies.len() == 1
        };
        match error.code() {
            code @ "E_LEDGER_QUORUM" if of_one() => Error::Failed(format!(
                "{code}: {error}\n  to mend it: an agency's own folder has its own cosignatures only: name with --checkpoint the checkpoint that the coordinator hands out (/ledger/checkpoint){also}"
            )),
            code => fails(code, error),
        }
    })
}

/// Writes a file that was asked for.
pub(in crate::cli) fn write(path: &Path, text: &[u8]) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|error| Error::config(format!("{}: it cannot be written: {error}", path.display())))
}

/// A root as a checkpoint spells it.
pub(in crate::cli) fn root(head: &Head) -> String {
    Base64(head.root.0.into()).to_string()
}

/// The cosigners of a policy who cosigned, with the time each states.
pub(in crate::cli) fn cosigners(checkpoint: &Checkpoint, policy: &Policy) -> Result<Vec<(String, u64)>, Error> {
    let known: Vec<_> = policy.cosigners().collect();
    let keys: Vec<_> = known.iter().map(|(_, key)| *key).collect();
    let seen = checkpoint.verify(&keys).map_err(|error| fails("E_LEDGER_SIGNATURE", error))?;
    Ok(seen.iter().map(|one| (known[one.key].0.to_owned(), one.time.unwrap_or_default())).collect())
}
