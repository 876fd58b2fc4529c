//! What this node gave of its protected tables, so that no two answers differ in too few entities: N and N − 1 are each large enough, and their difference is
//! one of them.
//!
//! Before anything of a job is shared, the cells of its answer ([`query::difference`]) are compared with each other, with all that was given of the table before,
//! whoever asked, and with those of jobs that run. Where one is nearly another, the job is refused. They are on disk before the sealed part of the answer leaves.
//!
//! A file for each table in `released` in the state folder: the table's snapshot, then cell after cell, fingerprints alone, under this node's secret. A table that
//! changes begins a new one.

use crate::snapshot;
use crate::source::Sources;
use ledger::bytes::Hash;
use query::catalog::Catalog;
use query::difference::{Cell, Sort, near};
use query::ground::Ground;
use query::local::{Local, LocalError};
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
pub(crate) struct Guard {
    node: String,
    state: PathBuf,
    /// By table, those that were asked about since the node began.
    given: Mutex<HashMap<String, Given>>,
}

/// The cells of a job that runs. They are forgotten with it, unless they were kept.
pub(crate) struct Told<'a> {
    guard: &'a Guard,
    cells: BTreeMap<String, Arc<Vec<Cell>>>,
}

/// What of a job is looked at, and with what.
pub(crate) struct Asked<'a> {
    pub plan: &'a Plan,
    pub ground: &'a Ground,
    pub local: &'a Local,
    pub sources: &'a Sources,
    pub catalog: &'a Catalog,
}

/// Why a job is not begun.
pub(crate) enum Refused {
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
        let Asked { plan, ground, local, sources, catalog } = asked;
        let least = plan.protection.as_ref().map_or(1, |protection| protection.min_group);
        let mut told = Told { guard: self, cells: BTreeMap::new() };
        if least <= 1 {
            return Ok(told);
        }
        let secret = snapshot::secret(&self.state.join("snapshot.secret")).map_err(|error| Refused::Here(self.unreadable(&error)))?;
        let key = Zeroizing::new(<[u8; 32]>::from(Sha256::new().chain_update(b"tacit/v1/difference\n").chain_update(*secret).finalize()));
        let fingerprint = |parts: &[&[u8]]| fingerprint(&key, parts);
        let cells = local.cells(plan, &self.node, ground, sources.tables(), catalog, &fingerprint).map_err(Refused::Local)?;
        let mut given = lock(&self.given);
        for (dataset, cells) in cells {
            if !given.contains_key(&dataset) {
                let table =
                    catalog.table(&dataset).ok_or_else(|| Refused::Here(self.unreadable(&"a table that is not in the catalogue")))?;
                let snapshot = snapshot::of(table, sources, &secret).map_err(|error| Refused::Here(self.unreadable(&error)))?;
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
            let size = cell.of.len() as u64;
            for (entities, places) in self.by_size.range(size.saturating_sub(least - 1)..size + least) {
                for (place, _) in places.iter().filter(|(_, sort)| cell.sort.compares(*sort)) {
                    if self.near(cell, *place, *entities, least)? {
                        return Ok(Verdict::Near);
                    }
                }
            }
        }
        let more: u64 =
            cells.iter().chain(self.running.iter().flat_map(|running| running.iter())).map(|cell| HEAD + kept(cell.of.len() as u64)).sum();
        Ok(if self.length + more > MOST { Verdict::Full } else { Verdict::Apart })
    }

    fn near(&self, cell: &Cell, place: u64, entities: u64, least: u64) -> std::io::Result<bool> {
        let mut bytes = vec![0; kept(entities) as usize];
        self.file.read_exact_at(&mut bytes, place)?;
        let pairs = || bytes.chunks_exact(16).map(pair);
        if entities <= EXACT && cell.of.len() as u64 <= EXACT {
            return Ok(near(cell.of.iter().copied(), pairs(), least));
        }
        let told = if entities <= EXACT { sketch(pairs()) } else { pairs().flat_map(|(one, other)| [one, other]).collect() };
        let differ = sketch(cell.of.iter().copied()).into_iter().zip(told).filter(|(one, other)| one != other).count() as u64;
        Ok((1..least).contains(&differ))
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
mod tests {
    use super::*;

    const SNAPSHOT: Hash = Hash([7; 32]);

    /// So many entities from one on, each with its number as what it is.
    fn cell(from: u64, entities: u64) -> Cell {
        let spread = |entity: u64| entity.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut of: Vec<(u64, u64)> = (from..from + entities).map(|entity| (spread(entity), entity)).collect();
        of.sort_unstable();
        Cell { sort: Sort::Rows, of }
    }

    fn open(folder: &Path) -> Given {
        Given::open(&folder.join("released/energy.meters"), SNAPSHOT).expect("opened")
    }

    fn apart(given: &Given, cells: &[Cell], least: u64) -> bool {
        matches!(given.judge(cells, least).expect("read"), Verdict::Apart)
    }

    #[test]
    fn what_differs_in_few_from_what_was_told_is_near() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut given = open(folder.path());
        given.keep(&[cell(1, 500), cell(9_000, 70), cell(20_000, 2_048), cell(40_000, 30_000)]).expect("kept");
        for _ in 0..2 {
            for (asked, least, is_apart) in [
                (cell(2, 499), 5, false),
                (cell(1, 501), 5, false),
                (cell(5, 496), 5, false),
                (cell(6, 495), 5, true),
                (cell(6, 495), 6, false),
                (cell(3, 500), 4, true),
                (cell(3, 500), 5, false),
                (cell(1_000, 500), 5, true),
                (cell(9_001, 70), 3, false),
                (cell(20_001, 2_048), 3, false),
                (cell(20_001, 2_048), 2, true),
                // kept as it is, and asked as a sketch
                (cell(20_000, 2_050), 3, false),
                (cell(20_000, 2_100), 50, true),
                (cell(40_000, 29_999), 2, false),
                (cell(40_003, 30_000), 7, false),
                (cell(40_100, 30_000), 50, true),
                (cell(80_000, 30_000), 50, true),
            ] {
                assert_eq!(apart(&given, std::slice::from_ref(&asked), least), is_apart, "{} entities, {least}", asked.of.len());
            }
            for mut other in [cell(1, 500), cell(40_000, 30_000)] {
                other.of[250].1 += 1;
                assert!(!apart(&given, &[other], 2), "another value of one entity");
            }
            assert!(apart(&given, &[Cell { sort: Sort::Values, ..cell(2, 499) }], 5), "values are no rows");
            assert!(given.has(&cell(1, 500)) && !given.has(&cell(1, 499)));
            // The same after a restart.
            given = open(folder.path());
        }
        assert!(!apart(&given, &[cell(5_000, 9), cell(5_001, 9)], 5), "two cells of one answer");
        given.running.push(Arc::new(vec![cell(6_000, 9)]));
        assert!(!apart(&given, &[cell(6_000, 10)], 5), "a job that runs");
    }

    #[test]
    fn a_torn_cell_was_not_told_and_a_new_snapshot_forgets() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut given = open(folder.path());
        given.keep(&[cell(1, 100)]).expect("kept");
        given.keep(&[cell(1_000, 100)]).expect("kept");
        let path = folder.path().join("released/energy.meters");
        let whole = std::fs::read(&path).expect("read");
        for cut in [1, 16, 1_000, 1_623] {
            std::fs::write(&path, &whole[..whole.len() - cut]).expect("written");
            let mut given = open(folder.path());
            assert!(given.has(&cell(1, 100)) && !given.has(&cell(1_000, 100)), "{cut}");
            given.keep(&[cell(1_000, 100)]).expect("kept");
            assert_eq!(std::fs::read(&path).expect("read"), whole, "{cut}");
        }
        assert!(Given::open(&path, Hash([8; 32])).expect("opened").by_size.is_empty());
        std::fs::write(&path, vec![b'x'; 100]).expect("written");
        let error = Given::open(&path, SNAPSHOT).map(|_| ()).expect_err("damaged").to_string();
        assert!(error.contains("energy.meters") && error.contains("restore it"), "{error}");
    }

    #[test]
    fn beyond_its_bound_nothing_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut given = open(folder.path());
        given.length = MOST - 16 * 9;
        assert!(matches!(given.judge(&[cell(1, 9)], 5).expect("read"), Verdict::Full));
        let refusal = Guard::new("energy", folder.path()).full("energy.meters");
        assert!(refusal.code == Code::Difference && refusal.reason.contains("1024 MB"), "{refusal}");
    }
}
