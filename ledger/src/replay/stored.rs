//! What a store's entries amount to, for whoever opens it: the log's own, or an agency's mirror of it.

use super::{Replay, RuleError};
use crate::entry::Entry;
use crate::store::{Store, StoreError, Tiles};
use crate::tile::{self, Level, Tile, WIDTH};

/// Replays the first `size` entries of a store. Their signatures were verified before they were stored.
pub(crate) fn stored(store: &Store, mut replay: Replay, size: u64) -> Result<Replay, StoredError> {
    for index in 0..size.div_ceil(WIDTH) {
        let width = (size - index * WIDTH).min(WIDTH) as u16;
        let tile = Tile { level: Level::Entries, index, width };
        let bundle = store.tile(&tile)?;
        let entries = tile::entries(&bundle, width).map_err(|_| StoredError::Unreadable { tile: tile.to_string() })?;
        for entry in entries {
            let entry = Entry::parse(entry).map_err(RuleError::Entry)?;
            replay.check(&entry)?;
            replay.apply(entry);
        }
    }
    Ok(replay)
}

/// Why the entries of a ledger's folder are not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of them may not stand in this log.
    #[error("the ledger's folder holds an entry that may not stand in this log: {0}")]
    Rule(#[from] RuleError),
    /// A bundle is not what was written there.
    #[error("the ledger's folder is damaged: {tile} does not hold the entries it should")]
    Unreadable {
        /// The bundle, by its path in the folder.
        tile: String,
    },
}

impl StoredError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Rule(error) => error.code(),
            Self::Unreadable { .. } => "E_LEDGER_CORRUPT",
        }
    }
}
