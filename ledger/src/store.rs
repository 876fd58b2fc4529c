//! A log on disk, append-only, whole after a crash at any moment.
//!
//! ```text
//! tile/0/x001/067  tile/1/004      full tiles, which never change: as they are served
//! tile/entries/x001/067            full entry bundles, likewise
//! tail                             what came after the last full bundle, as a journal of batches
//! signed                           the journal's step at which something was last signed
//! checkpoint                       the note served at /checkpoint
//! lock
//! ```
//!
//! A batch is one record of the journal: its entries, the size and root after it, and the state its role keeps (a
//! cosigner's pending checkpoint). The record ends with a digest over itself and the digest before, is written with one
//! write and synced once. What a crash leaves of it has no right digest and is dropped when the store is opened.
//!
//! When a batch fills a bundle, the order is: the full bundles and tiles (synced), their folders (synced), a new journal
//! beside the old one (synced), its rename, which commits, the folder (synced). Before the rename the old journal is
//! whole and says the old size; full tiles beyond that size are not read, and are written again.
//!
//! Nothing is signed before its record is synced. A record that is lost *after* something was signed (bit rot, a restored
//! backup of `tail` alone) looks like a torn write, but for `signed`, which is written after each signed step and not synced:
//! it is exact after a kill, and may lag behind after a power cut. A store older than its mark is refused. A whole folder
//! that is put back cannot notice that by itself: see [`crate::cosigner`].

use crate::bytes::Hash;
use crate::disk::Disk;
pub use crate::disk::StoreError;
use crate::edge::Edge;
use crate::tile::{self, Level, MAX_BUNDLE, MAX_ENTRY, Tile, WIDTH};
use crate::tree::{self, Hashes};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::path::Path;

/// Where tiles and bundles come from: a store, a folder of files, or a server.
pub trait Tiles {
    /// The bytes of a tile or bundle, exactly as wide as asked.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    fn tile(&self, tile: &Tile) -> Result<Vec<u8>, StoreError>;
}

/// The most entries of one batch.
pub const MAX_BATCH: usize = 4096;

/// A log on disk.
pub struct Store {
    disk: Disk,
    /// None: opened for reading, or a write failed in such a way that nobody knows what the disk holds.
    writer: Option<Writer>,
    at: Position,
}

/// Held open for as long as the store is written.
struct Writer {
    tail: File,
    _lock: File,
}

/// What the journal says.
struct Position {
    step: u64,
    edge: Edge,
    /// The entries after the last full bundle.
    recent: Vec<Vec<u8>>,
    state: String,
    /// The step at which something was last signed, as far as `signed` says.
    signed: Option<u64>,
    /// The journal's length and the digest of its last record.
    length: u64,
    chain: Hash,
}

impl Store {
    /// Opens the store in `folder` for writing; an empty or missing folder becomes an empty log with this state.
    ///
    /// # Errors
    /// It cannot be read or created, is open elsewhere, damaged, or older than what was signed from it.
    pub fn open(folder: &Path, fresh_state: &str) -> Result<Self, StoreError> {
        let disk = Disk::new(folder);
        let mut made = Vec::new();
        disk.make_folder("", &mut made)?;
        let lock = disk.open("lock", OpenOptions::new().create(true).truncate(false).write(true))?;
        lock.try_lock().map_err(|_| StoreError::Locked { path: folder.into() })?;
        if disk.read("tail")?.is_none() {
            if disk.path("tile").exists() || disk.path("signed").exists() {
                return Err(StoreError::Corrupt { path: disk.path("tail"), what: "the ledger's journal is missing" });
            }
            let (record, _) = encode(0, &Edge::default(), fresh_state, std::iter::empty(), &seed(0));
            disk.put("tail", &[&header(0)[..], &record].concat())?;
            disk.sync_folder("")?;
        }
        let at = Position::read(&disk)?;
        let mut tail = disk.open("tail", OpenOptions::new().read(true).write(true))?;
        tail.set_len(at.length).map_err(disk.error("tail", "cut off a torn write"))?;
        tail.seek(SeekFrom::End(0)).map_err(disk.error("tail", "seek in it"))?;
        disk.sync(&tail).map_err(disk.error("tail", "write it through to the disk"))?;
        Ok(Self { disk, writer: Some(Writer { tail, _lock: lock }), at })
    }

    /// Opens the store in `folder` for reading, whether or not a process is writing it.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let disk = Disk::new(folder);
        let at = Position::read(&disk)?;
        Ok(Self { disk, writer: None, at })
    }

    /// Whether there is none yet, and [`Store::open`] would begin one.
    pub(crate) fn is_none(folder: &Path) -> bool {
        ["tail", "tile", "signed"].iter().all(|name| !folder.join(name).exists())
    }

    /// Its number of entries.
    pub fn size(&self) -> u64 {
        self.at.edge.size()
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.at.edge.root()
    }

    /// The root over the first `size` entries.
    ///
    /// # Errors
    /// A tile cannot be read.
    pub fn root_at(&self, size: u64) -> Result<Hash, StoreError> {
        if size == self.size() { Ok(self.root()) } else { tree::root(self, size) }
    }

    /// What its role last wrote down.
    pub(crate) fn state(&self) -> &str {
        &self.at.state
    }

    /// Size and root as they would be with these entries.
    pub(crate) fn root_with(&self, entries: &[&[u8]]) -> Hash {
        let mut edge = self.at.edge.clone();
        entries.iter().for_each(|entry| edge.push(tree::leaf_hash(entry), |_, _| ()));
        edge.root()
    }

    /// Appends entries and replaces the state, both or neither. When it returns, they are on the disk.
    ///
    /// # Errors
    /// The disk is full or fails; nothing was appended.
    pub(crate) fn append(&mut self, entries: &[&[u8]], state: Option<&str>) -> Result<(), StoreError> {
        debug_assert!(entries.len() <= MAX_BATCH && entries.iter().all(|entry| entry.len() <= MAX_ENTRY), "callers check");
        if self.writer.is_none() {
            return Err(StoreError::Closed { path: self.disk.path("") });
        }
        let mut edge = self.at.edge.clone();
        let mut full = Vec::new();
        for entry in entries {
            edge.push(tree::leaf_hash(entry), |tile, hashes| full.push((tile, hashes.iter().flat_map(|hash| hash.0).collect())));
        }
        let grown = state.map_or(0, str::len) + entries.iter().map(|entry| 2 + entry.len()).sum::<usize>();
        if full.is_empty() && self.at.length + (grown as u64) < MAX_TAIL {
            self.append_record(edge, entries, state)
        } else {
            self.rewrite(edge, full, entries, state)
        }
    }

    /// Notes that something is about to be signed from what the store holds.
    ///
    /// # Errors
    /// The disk fails; nothing may be signed.
    pub(crate) fn mark_signed(&mut self) -> Result<(), StoreError> {
        if self.at.signed == Some(self.at.step) {
            return Ok(());
        }
        let step = self.at.step.to_be_bytes();
        let digest = Hash::sha256(&[MARK, &step]);
        let mut file = self.disk.open("signed", OpenOptions::new().create(true).truncate(false).write(true))?;
        self.disk.write(&mut file, &[&step[..], &digest.0].concat()).map_err(self.disk.error("signed", "write it"))?;
        self.at.signed = Some(self.at.step);
        Ok(())
    }

    /// Puts the note served at `/checkpoint` in place. It is not synced: whoever needs it asks for a newer one anyway.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn publish(&self, note: &str) -> Result<(), StoreError> {
        self.disk.put_unsynced("checkpoint", note.as_bytes())
    }

    /// The note served at `/checkpoint`.
    ///
    /// # Errors
    /// The disk fails.
    pub fn checkpoint(&self) -> Result<Option<String>, StoreError> {
        let bytes = self.disk.read("checkpoint")?;
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// An entry.
    ///
    /// # Errors
    /// There is none, or its bundle cannot be read.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, StoreError> {
        let none = || StoreError::NoTile { path: format!("entry {index}") };
        let tile = Tile::holding(Level::Entries, index, self.size()).ok_or_else(none)?;
        let bundle = self.tile(&tile)?;
        let entries = tile::entries(&bundle, tile.width).map_err(|_| self.damaged(&tile))?;
        entries.get((index % WIDTH) as usize).map(|entry| entry.to_vec()).ok_or_else(none)
    }

    /// The common case: one record at the journal's end.
    fn append_record(&mut self, edge: Edge, entries: &[&[u8]], state: Option<&str>) -> Result<(), StoreError> {
        let (record, chain) = encode(self.at.step + 1, &edge, state.unwrap_or_default(), entries.iter().copied(), &self.at.chain);
        let writer = self.writer.as_mut().ok_or_else(|| StoreError::Closed { path: self.disk.path("") })?;
        if let Err(error) = self.disk.write(&mut writer.tail, &record) {
            // What was written of it must go before anything else is appended.
            let undone = writer.tail.set_len(self.at.length).and_then(|()| writer.tail.seek(SeekFrom::Start(self.at.length)));
            if undone.is_err() {
                self.writer = None;
            }
            return Err(self.disk.error("tail", "write it")(error));
        }
        if let Err(error) = self.disk.sync(&writer.tail) {
            // After a failed sync nobody knows what is on the disk.
            self.writer = None;
            return Err(self.disk.error("tail", "write it through to the disk")(error));
        }
        self.at.recent.extend(entries.iter().map(|entry| entry.to_vec()));
        self.at = Position {
            step: self.at.step + 1,
            edge,
            recent: std::mem::take(&mut self.at.recent),
            state: state.map_or_else(|| std::mem::take(&mut self.at.state), str::to_owned),
            signed: self.at.signed,
            length: self.at.length + record.len() as u64,
            chain,
        };
        Ok(())
    }

    /// Full tiles first, then a new journal with the rest, whose rename commits.
    fn rewrite(&mut self, edge: Edge, full: Vec<(Tile, Vec<u8>)>, entries: &[&[u8]], state: Option<&str>) -> Result<(), StoreError> {
        let mut folders = Vec::new();
        let recent: Vec<&[u8]> = self.at.recent.iter().map(Vec::as_slice).chain(entries.iter().copied()).collect();
        let first = self.size() / WIDTH;
        let bundles = recent.chunks_exact(WIDTH as usize);
        let recent: Vec<Vec<u8>> = bundles.remainder().iter().map(|entry| entry.to_vec()).collect();
        for (index, entries) in (first..).zip(bundles) {
            let mut bundle = Vec::new();
            entries.iter().for_each(|entry| tile::push_entry(&mut bundle, entry));
            self.put_tile(&Tile { level: Level::Entries, index, width: WIDTH as u16 }, &bundle, &mut folders)?;
        }
        for (tile, bytes) in &full {
            self.put_tile(tile, bytes, &mut folders)?;
        }
        folders.iter().try_for_each(|folder| self.disk.sync_folder(folder))?;

        let state = state.unwrap_or(&self.at.state).to_owned();
        let base = edge.size() - recent.len() as u64;
        let (record, chain) = encode(self.at.step + 1, &edge, &state, recent.iter().map(Vec::as_slice), &seed(base));
        let journal = [&header(base)[..], &record].concat();
        // From here on the new journal may be the one on the disk, whatever is reported.
        let writer = self.writer.take();
        let old = self.disk.read("tail").ok().flatten();
        if let Err(error) = self.disk.put("tail", &journal) {
            let untouched = old.is_some() && self.disk.read("tail").is_ok_and(|now| now == old);
            self.writer = writer.filter(|_| untouched);
            return Err(error);
        }
        self.disk.sync_folder("")?;
        let mut tail = self.disk.open("tail", OpenOptions::new().read(true).write(true))?;
        tail.seek(SeekFrom::End(0)).map_err(self.disk.error("tail", "seek in it"))?;
        self.at = Position { step: self.at.step + 1, edge, recent, state, signed: self.at.signed, length: journal.len() as u64, chain };
        self.writer = writer.map(|writer| Writer { tail, ..writer });
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn fill_disk(&self, full: bool) {
        self.fail_after(full.then_some(0));
    }

    #[cfg(test)]
    pub(crate) fn fail_after(&self, steps: Option<u64>) {
        steps.map_or_else(|| self.disk.fault.never(), |steps| self.disk.fault.after(steps));
    }

    fn put_tile(&self, tile: &Tile, bytes: &[u8], folders: &mut Vec<String>) -> Result<(), StoreError> {
        let path = tile.to_string();
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.disk.make_folder(folder, folders)?;
        }
        self.disk.put(&path, bytes)
    }

    fn damaged(&self, tile: &Tile) -> StoreError {
        StoreError::Corrupt { path: self.disk.path(&tile.to_string()), what: "the tile does not hold what it should" }
    }
}

/// Journals longer than this are written anew: superseded states are all that makes one longer than a bundle.
const MAX_TAIL: u64 = MAX_BUNDLE as u64 + (16 << 20);

impl Tiles for Store {
    fn tile(&self, tile: &Tile) -> Result<Vec<u8>, StoreError> {
        tile_of(&self.disk, &self.at, tile)
    }
}

impl Hashes for Store {
    type Error = StoreError;

    fn complete(&self, level: u8, index: u64) -> Result<Hash, StoreError> {
        complete(self, level, index, self.size())
    }
}

/// A complete subtree's hash, from the tile that holds it or its leaves.
pub(crate) fn complete(tiles: &(impl Tiles + ?Sized), level: u8, index: u64, size: u64) -> Result<Hash, StoreError> {
    let (tile_level, height) = (level / 8, level % 8);
    let place = index << height;
    let none = || StoreError::NoTile { path: format!("tile/{tile_level} for place {place}") };
    let tile = Tile::holding(Level::Hashes(tile_level), place, size).ok_or_else(none)?;
    let hashes = tile::hashes(&tiles.tile(&tile)?, tile.width).map_err(|_| none())?;
    let within = (place % WIDTH) as usize;
    Ok(tree::fold(hashes.get(within..within + (1 << height)).ok_or_else(none)?))
}

fn tile_of(disk: &Disk, at: &Position, tile: &Tile) -> Result<Vec<u8>, StoreError> {
    let path = tile.to_string();
    let none = || StoreError::NoTile { path: path.clone() };
    let present = Tile::holding(tile.level, tile.index.checked_mul(WIDTH).ok_or_else(none)?, at.edge.size()).ok_or_else(none)?;
    let width = usize::from(tile.width);
    if width == 0 || tile.width > present.width {
        return Err(none());
    }
    if !present.is_full() {
        return Ok(match tile.level {
            Level::Hashes(level) => at.edge.partial(level)[..width].iter().flat_map(|hash| hash.0).collect(),
            Level::Entries => {
                let mut bundle = Vec::new();
                at.recent[..width].iter().for_each(|entry| tile::push_entry(&mut bundle, entry));
                bundle
            }
        });
    }
    // A full tile also answers for every partial one it once was.
    let name = present.to_string();
    let damaged = || StoreError::Corrupt { path: disk.path(&name), what: "the tile is missing or cut short" };
    let mut bytes = disk.read(&name)?.ok_or_else(damaged)?;
    let end = match tile.level {
        Level::Hashes(_) => 32 * width,
        Level::Entries => {
            let entries = tile::entries(&bytes, present.width).map_err(|_| damaged())?;
            entries[..width].iter().map(|entry| 2 + entry.len()).sum()
        }
    };
    if bytes.len() < end {
        return Err(damaged());
    }
    bytes.truncate(end);
    Ok(bytes)
}

const MAGIC: &[u8] = b"tacit/tail/v1\n";
const MARK: &[u8] = b"tacit/signed/v1\n";

fn header(base: u64) -> Vec<u8> {
    [MAGIC, &base.to_be_bytes()].concat()
}

fn seed(base: u64) -> Hash {
    Hash::sha256(&[&header(base)])
}

/// A record, and its digest.
fn encode<'a>(step: u64, edge: &Edge, state: &str, entries: impl Iterator<Item = &'a [u8]>, chain: &Hash) -> (Vec<u8>, Hash) {
    let mut record = vec![0; 4];
    record.extend(step.to_be_bytes());
    record.extend(edge.size().to_be_bytes());
    record.extend(edge.root().0);
    record.extend((state.len() as u32).to_be_bytes());
    record.extend(state.as_bytes());
    entries.for_each(|entry| tile::push_entry(&mut record, entry));
    let length = (record.len() - 4) as u32;
    record[..4].copy_from_slice(&length.to_be_bytes());
    let chain = Hash::sha256(&[&chain.0, &record]);
    record.extend(chain.0);
    (record, chain)
}

/// A record taken apart; its digest is right.
struct Record<'a> {
    step: u64,
    size: u64,
    root: Hash,
    state: &'a str,
    entries: Vec<&'a [u8]>,
    chain: Hash,
}

impl<'a> Record<'a> {
    /// The first record of `journal`; none if it is torn.
    fn take(journal: &mut &'a [u8], chain: &Hash) -> Option<Self> {
        let (length, _) = journal.split_first_chunk()?;
        let length = 4 + u32::from_be_bytes(*length) as usize;
        let (record, rest) = journal.split_at_checked(length)?;
        let (digest, rest) = rest.split_first_chunk()?;
        let chain = Hash::sha256(&[&chain.0, record]);
        if chain.0 != *digest {
            return None;
        }
        let (step, body) = record.get(4..)?.split_first_chunk()?;
        let (size, body) = body.split_first_chunk()?;
        let (root, body) = body.split_first_chunk()?;
        let (state, body) = body.split_first_chunk()?;
        let (state, mut body) = body.split_at_checked(u32::from_be_bytes(*state) as usize)?;
        let mut entries = Vec::new();
        while !body.is_empty() {
            entries.push(tile::take_entry(&mut body)?);
        }
        *journal = rest;
        let state = std::str::from_utf8(state).ok()?;
        Some(Self { step: u64::from_be_bytes(*step), size: u64::from_be_bytes(*size), root: Hash(*root), state, entries, chain })
    }
}

impl Position {
    fn read(disk: &Disk) -> Result<Self, StoreError> {
        let corrupt = |what| StoreError::Corrupt { path: disk.path("tail"), what };
        let journal = disk.read("tail")?.ok_or_else(|| corrupt("there is no ledger here"))?;
        let rest = journal.strip_prefix(MAGIC).and_then(<[u8]>::split_first_chunk);
        let (base, mut rest) = rest.ok_or_else(|| corrupt("it is not a ledger's journal"))?;
        let base = u64::from_be_bytes(*base);
        let first = Record::take(&mut rest, &seed(base)).ok_or_else(|| corrupt("its first record is damaged"))?;
        let (mut step, mut size, mut root, mut chain, mut state) = (first.step, first.size, first.root, first.chain, first.state);
        let mut recent = first.entries;
        let mut length = journal.len() - rest.len();
        while let Some(record) = Record::take(&mut rest, &chain) {
            (step, size, root, chain) = (record.step, record.size, record.root, record.chain);
            state = if record.state.is_empty() { state } else { record.state };
            recent.extend(record.entries);
            length = journal.len() - rest.len();
        }
        if !base.is_multiple_of(WIDTH) || base + recent.len() as u64 != size || recent.len() as u64 >= WIDTH {
            return Err(corrupt("its records do not follow one another"));
        }
        let mark = disk.read("signed")?;
        let mark =
            mark.as_deref().and_then(|mark| mark.split_first_chunk()).filter(|(step, digest)| Hash::sha256(&[MARK, *step]).0 == *digest);
        let signed = mark.map(|(step, _)| u64::from_be_bytes(*step));
        if let Some(signed) = signed.filter(|signed| *signed > step) {
            return Err(StoreError::RolledBack { path: disk.path(""), signed, found: step });
        }
        let mut at =
            Self { step, edge: Edge::new(base, Vec::new()), recent: Vec::new(), state: state.into(), signed, length: length as u64, chain };
        at.edge = read_edge(disk, &at, base)?;
        recent.iter().for_each(|entry| at.edge.push(tree::leaf_hash(entry), |_, _| ()));
        at.recent = recent.into_iter().map(<[u8]>::to_vec).collect();
        if at.edge.root() != root {
            return Err(corrupt("its root is not that of the tiles beside it"));
        }
        Ok(at)
    }
}

/// The edge of a log of full bundles only: each hash in a partial tile is the root of a full tile below.
fn read_edge(disk: &Disk, at: &Position, base: u64) -> Result<Edge, StoreError> {
    let mut levels = vec![Vec::new()];
    for level in 1u8..8 {
        let items = Tile::items(Level::Hashes(level), base);
        if items == 0 {
            break;
        }
        let hashes: Result<Vec<Hash>, StoreError> = (items / WIDTH * WIDTH..items)
            .map(|index| {
                let tile = Tile { level: Level::Hashes(level - 1), index, width: WIDTH as u16 };
                let bytes = tile_of(disk, at, &tile)?;
                let damaged = |_| StoreError::Corrupt { path: disk.path(&tile.to_string()), what: "the tile has another length" };
                Ok(tree::fold(&tile::hashes(&bytes, tile.width).map_err(damaged)?))
            })
            .collect();
        levels.push(hashes?);
    }
    Ok(Edge::new(base, levels))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
