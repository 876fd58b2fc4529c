//! What this node gave of its protected tables, so that no two answers differ in too few entities: N and N − 1 are each large enough, and their difference is
//! one of them.
//!
//! Before anything of a job is shared, the cells of its answer ([`query::difference`]) are compared with each other, with all that was given of the table before,
//! whoever asked, and with those of jobs that run. Where one is nearly another, the job is refused. They are on disk before the sealed part of the answer leaves.
//!
//! A file for each table in `released` in the state folder: the table's snapshot, then cell after cell, fingerprints alone, under this node's secret. A table that
//! changes begins a new one.

use crate::snapshot;
use ledger::bytes::Hash;
use query::catalog::Catalog;
use query::difference::{Cell, Sort, differ, near};
use query::ground::Ground;
use query::local::{Local, LocalError, Tables};
use query::message::{Code, Refusal};
use query::plan::Plan;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// What was given.
pub struct Guard {
    node: String,
    state: PathBuf,
    /// By table, those that were asked about since the node began.
    given: Mutex<HashMap<String, Given>>,
}

/// The cells of a job that runs. They are forgotten with it, unless they were kept.
pub struct Told<'a> {
    guard: &'a Guard,
    cells: BTreeMap<String, Arc<Vec<Cell>>>,
}

/// What of a job is looked at, and with what.
pub struct Asked<'a> {
    /// The plan that runs.
    pub plan: &'a Plan,
    /// What is public of it.
    pub ground: &'a Ground,
    /// What it is run with at home.
    pub local: &'a Local,
    /// This node's tables.
    pub tables: &'a Tables,
    /// The catalogue.
    pub catalog: &'a Catalog,
}

/// Why a job is not begun.
#[derive(Debug)]
pub enum Refused {
    /// As it says.
    Here(Refusal),
    /// The local stage failed.
    Local(LocalError),
}

impl Guard {
    /// The node `node` remembers in the folder `state`.
    pub fn new(node: &str, state: &Path) -> Self {
        Self { node: node.into(), state: state.into(), given: Mutex::default() }
    }

    /// Compares what a job would tell with what was told.
    ///
    /// # Errors
    /// `E_DIFFERENCE`: it differs too little from something else; `E_INTERNAL`: what was told cannot be read. The local stage failed.
    pub fn admit(&self, asked: &Asked<'_>) -> Result<Told<'_>, Refused> {
        let Asked { plan, ground, local, tables, catalog } = asked;
        let least = plan.protection.as_ref().map_or(1, |protection| protection.min_group);
        let mut told = Told { guard: self, cells: BTreeMap::new() };
        if least <= 1 {
            return Ok(told);
        }
        let secret = snapshot::secret(&self.state.join("snapshot.secret")).map_err(|error| Refused::Here(self.unreadable(&error)))?;
        let key = Zeroizing::new(<[u8; 32]>::from(Sha256::new().chain_update(b"tacit/v1/difference\n").chain_update(*secret).finalize()));
        let fingerprint = |parts: &[&[u8]]| fingerprint(&key, parts);
        let cells = local.cells(plan, &self.node, ground, tables, catalog, &fingerprint).map_err(Refused::Local)?;
        let mut given = lock(&self.given);
        for (dataset, cells) in cells {
            if !given.contains_key(&dataset) {
                let table =
                    catalog.table(&dataset).ok_or_else(|| Refused::Here(self.unreadable(&"a table that is not in the catalogue")))?;
                let snapshot = snapshot::of(table, tables, &secret).map_err(|error| Refused::Here(self.unreadable(&error)))?;
                let opened = Given::open(&self.file(&dataset), snapshot).map_err(|error| Refused::Here(self.unreadable(&error)))?;
                given.insert(dataset.clone(), opened);
            }
            let Some(known) = given.get_mut(&dataset) else { continue };
            let cells: Vec<Cell> = cells.into_iter().filter(|cell| !known.has(cell)).collect();
            match known.judge(&cells, least) {
                Ok(Verdict::Apart) => {}
                Ok(Verdict::Near) => return Err(Refused::Here(self.differs(&dataset, plan, least))),
                Ok(Verdict::Full) => return Err(Refused::Here(self.full(&dataset))),
                Err(error) => return Err(Refused::Here(self.unreadable(&error))),
            }
            let cells = Arc::new(cells);
            known.running.push(cells.clone());
            told.cells.insert(dataset, cells);
        }
        Ok(told)
    }

    fn file(&self, dataset: &str) -> PathBuf {
        self.state.join("released").join(dataset)
    }

    fn differs(&self, dataset: &str, plan: &Plan, least: u64) -> Refusal {
        let keys = plan.protection.iter().filter_map(|p| p.datasets.get(dataset)).flat_map(|data| &data.entity_keys);
        let keys: Vec<&str> = keys.map(String::as_str).collect();
        let of = if keys.is_empty() { format!("rows of {dataset}") } else { format!("different {} of {dataset}", keys.join(" or ")) };
        let reason = format!(
            "`{}`: this answer would have groups that differ in fewer than {least} {of} from each other or from what was answered before; the difference would tell of these few",
            self.node
        );
        let fix =
            format!("ask what was asked before, as it was asked; or of groups that differ in at least {least} {of}, or in all of them");
        Refusal::new(Code::Difference, reason, fix)
    }

    fn full(&self, dataset: &str) -> Refusal {
        let reason = format!(
            "`{}` remembers as much of what it told of {dataset} as it can ({} MB), and could not say of another answer whether it differs enough",
            self.node,
            MOST >> 20
        );
        Refusal::new(Code::Difference, reason, "ask what was asked before; the node begins anew when the table's data are renewed")
    }

    fn unreadable(&self, error: &dyn Display) -> Refusal {
        let reason = format!("`{}` cannot look up what it has told before: {error}", self.node);
        Refusal::new(Code::Internal, reason, "its operator should look at its state folder")
    }
}

impl Told<'_> {
    /// How many cells were not told before.
    pub fn cells(&self) -> usize {
        self.cells.values().map(|cells| cells.len()).sum()
    }

    /// Notes on disk what is about to be told; only then may it be.
    ///
    /// # Errors
    /// `E_INTERNAL` if it cannot be written.
    pub fn keep(&self) -> Result<(), Refusal> {
        let mut given = lock(&self.guard.given);
        for (dataset, cells) in &self.cells {
            let Some(known) = given.get_mut(dataset) else { continue };
            known.keep(cells).map_err(|error| {
                let reason = format!("this node cannot note what it tells in {}: {error}", self.guard.file(dataset).display());
                Refusal::new(Code::Internal, reason, "its operator should look at the disk of its state folder")
            })?;
        }
        Ok(())
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let mut given = lock(&self.guard.given);
        for (dataset, cells) in &self.cells {
            if let Some(known) = given.get_mut(dataset) {
                known.running.retain(|other| !Arc::ptr_eq(other, cells));
            }
        }
    }
}

/// What was given of one table.
struct Given {
    file: File,
    /// Of what is whole in it.
    length: u64,
    /// Where cells of so many entities are, and what they are compared with.
    by_size: BTreeMap<u64, Vec<(u64, Sort)>>,
    digests: HashSet<u64>,
    /// Of jobs that run.
    running: Vec<Arc<Vec<Cell>>>,
}

enum Verdict {
    Apart,
    Near,
    Full,
}

/// Bytes kept of one table; beyond them nothing new of it is told.
const MOST: u64 = 1 << 30;
const MAGIC: &[u8] = b"tacit/v1/released\n";
const HEADER: u64 = MAGIC.len() as u64 + 32;
/// Before a cell: how many entities, its digest, its sort.
const HEAD: u64 = 24;

impl Given {
    fn open(path: &Path, snapshot: Hash) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut header = Vec::new();
        (&file).take(HEADER).read_to_end(&mut header)?;
        let whole = header.len() as u64 == HEADER;
        if whole && !header.starts_with(MAGIC) {
            let what = "it is not a list of what was released; restore it, or remove it once the table has changed";
            return Err(std::io::Error::other(format!("{}: {what}", path.display())));
        }
        let mut given = Self { file, length: HEADER, by_size: BTreeMap::new(), digests: HashSet::new(), running: Vec::new() };
        if whole && header[MAGIC.len()..] == snapshot.0 {
            given.read()?;
        } else {
            given.file.set_len(0)?;
            given.file.write_all_at(&[MAGIC, &snapshot.0].concat(), 0)?;
            given.file.sync_all()?;
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(given)
    }

    /// What is in the file. What a crash left half written was not told.
    fn read(&mut self) -> std::io::Result<()> {
        let end = self.file.metadata()?.len();
        let mut head = [0; HEAD as usize];
        while self.length + HEAD <= end {
            self.file.read_exact_at(&mut head, self.length)?;
            let ((entities, digest), sort) = (pair(&head), pair(&head[8..]).1);
            let after = self.length + HEAD + kept(entities);
            if entities == 0 || after > end {
                break;
            }
            self.by_size.entry(entities).or_default().push((self.length + HEAD, sort_of(sort)));
            self.digests.insert(digest);
            self.length = after;
        }
        self.file.set_len(self.length)
    }

    /// Whether a cell was told: then all has been compared with it.
    fn has(&self, cell: &Cell) -> bool {
        self.digests.contains(&digest(cell))
    }

    fn judge(&self, cells: &[Cell], least: u64) -> std::io::Result<Verdict> {
        let within = |a: usize, b: usize| (a as u64).abs_diff(b as u64) < least;
        for (at, cell) in cells.iter().enumerate() {
            let others = cells[..at].iter().chain(self.running.iter().flat_map(|running| running.iter()));
            if others.filter(|other| within(cell.of.len(), other.of.len())).any(|other| cell.near(other, least)) {
                return Ok(Verdict::Near);
            }
        }
        let sizes = || cells.iter().map(|cell| cell.of.len() as u64);
        let (Some(smallest), Some(largest)) = (sizes().min(), sizes().max()) else { return Ok(Verdict::Apart) };
        for (entities, places) in self.by_size.range(smallest.saturating_sub(least - 1)..largest + least) {
            let close: Vec<&Cell> = cells.iter().filter(|cell| (cell.of.len() as u64).abs_diff(*entities) < least).collect();
            for (place, sort) in places {
                if self.near(close.iter().copied().filter(|cell| cell.sort.compares(*sort)), *place, *entities, least)? {
                    return Ok(Verdict::Near);
                }
            }
        }
        let more: u64 =
            cells.iter().chain(self.running.iter().flat_map(|running| running.iter())).map(|cell| HEAD + kept(cell.of.len() as u64)).sum();
        Ok(if self.length + more > MOST { Verdict::Full } else { Verdict::Apart })
    }

    /// Whether one of some cells is near what was told. That is read once for all of them, and as a rule only its beginning.
    fn near<'a>(&self, cells: impl Iterator<Item = &'a Cell>, place: u64, entities: u64, least: u64) -> std::io::Result<bool> {
        let read = |entities: u64| {
            let mut bytes = vec![0; kept(entities) as usize];
            self.file.read_exact_at(&mut bytes, place).map(|()| bytes.chunks_exact(16).map(pair).collect::<Vec<_>>())
        };
        let (mut first, mut whole) = (None, None);
        for cell in cells {
            let exact = entities <= EXACT && cell.of.len() as u64 <= EXACT;
            if exact {
                let first = once(&mut first, || read(entities.min(2 * least)))?;
                let last = first.last().map_or(0, |(entity, _)| *entity);
                let up_to = cell.of.iter().copied().take_while(|(entity, _)| *entity <= last);
                if differ(up_to, first.iter().copied(), least) == least {
                    continue;
                }
            }
            let told = once(&mut whole, || read(entities))?.iter().copied();
            let near = match exact {
                true => near(cell.of.iter().copied(), told, least),
                false => {
                    let told = if entities <= EXACT { sketch(told) } else { told.flat_map(|(one, other)| [one, other]).collect() };
                    let differ = sketch(cell.of.iter().copied()).into_iter().zip(told).filter(|(one, other)| one != other).count();
                    (1..least).contains(&(differ as u64))
                }
            };
            if near {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn keep(&mut self, cells: &[Cell]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for cell in cells.iter().filter(|cell| !self.has(cell)) {
            let digest = digest(cell);
            let entities = cell.of.len() as u64;
            [entities, digest, number_of(cell.sort)].into_iter().for_each(|number| bytes.extend(number.to_le_bytes()));
            places.push((entities, (self.length + bytes.len() as u64, cell.sort), digest));
            let numbers = match entities <= EXACT {
                true => cell.of.iter().flat_map(|(entity, what)| [*entity, *what]).collect(),
                false => sketch(cell.of.iter().copied()),
            };
            bytes.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&bytes, self.length).and_then(|()| self.file.sync_data()).inspect_err(|_| {
            // What is written next goes to the same place.
            let _ = self.file.set_len(self.length);
        })?;
        self.length += bytes.len() as u64;
        for (entities, place, digest) in places {
            self.by_size.entry(entities).or_default().push(place);
            self.digests.insert(digest);
        }
        Ok(())
    }
}

/// What is read when it is first asked for.
fn once<T>(of: &mut Option<T>, read: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<&T> {
    match of {
        Some(of) => Ok(of),
        None => Ok(of.insert(read()?)),
    }
}

/// Cells of so many entities are kept as they are; larger ones as a sketch.
const EXACT: u64 = 2048;

/// Bytes of a cell of so many entities.
fn kept(entities: u64) -> u64 {
    16 * entities.min(EXACT)
}

/// A sum for each of 4096 parts of the entities, by their fingerprints. Where fewer than k entities differ, so many sums do at most, and one at least; where many do, many
/// sums: cells may look nearer than they are, not farther.
fn sketch(cell: impl Iterator<Item = (u64, u64)>) -> Vec<u64> {
    let mut sums = vec![0_u64; 2 * EXACT as usize];
    for (entity, what) in cell {
        let sum = &mut sums[(entity >> 52) as usize];
        *sum = sum.wrapping_add(what.wrapping_mul(entity | 1));
    }
    sums
}

fn pair(bytes: &[u8]) -> (u64, u64) {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    (number(&bytes[..8]), number(&bytes[8..16]))
}

/// Sorts as they are written: a fingerprint of a name is not as small as this.
fn number_of(sort: Sort) -> u64 {
    match sort {
        Sort::Rows => 0,
        Sort::Chosen => 1,
        Sort::Values => 2,
        Sort::Present(name) => name,
    }
}

fn sort_of(number: u64) -> Sort {
    match number {
        0 => Sort::Rows,
        1 => Sort::Chosen,
        2 => Sort::Values,
        name => Sort::Present(name),
    }
}

fn fingerprint(key: &[u8; 32], parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new().chain_update(key);
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    pair(&hash.finalize()).0
}

/// What tells cells apart; their fingerprints are under a key already.
fn digest(cell: &Cell) -> u64 {
    let mut hash = Sha256::new().chain_update(number_of(cell.sort).to_le_bytes());
    for (entity, what) in &cell.of {
        hash.update(entity.to_le_bytes());
        hash.update(what.to_le_bytes());
    }
    pair(&hash.finalize()).0
}

/// What is behind the lock is changed once a file is: a thread that panicked has left it whole.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
