//! Which attempts at which queries this node has begun, and which queries it has answered: kept on disk, so that a restart does not
//! forget. An attempt that was begun is never begun again, and a query that was answered is never run again, whoever asks.
//!
//! One text file in the node's state folder, `attempts`. A line is on disk before the first share of its attempt moves, and another
//! before the sealed release leaves the node. Lines whose query has expired are dropped: an expired query is refused anyway. Whatever
//! goes wrong here, what cannot be noted is not done.

use crate::disk::replace;
use ledger::bytes::Hash;
use query::message::{Code, Query, QueryId, Refusal};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// The attempts begun.
pub struct Attempts {
    path: PathBuf,
    file: File,
    /// Lines in the file, those of expired queries included.
    lines: usize,
    /// A line was perhaps half written: nothing is noted behind it before the file is written anew.
    torn: bool,
    most: usize,
    /// Held as long as the node runs, so that no second one shares the folder.
    _lock: File,
    begun: HashMap<Hash, Begun>,
}

struct Begun {
    job: QueryId,
    attempt: u32,
    expires: u64,
    /// Whether its release was sealed.
    sealed: bool,
}

impl Attempts {
    /// The most queries that are remembered until they expire; beyond them new ones are refused.
    pub const MOST: usize = 200_000;

    /// Opens the file in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// The folder cannot be used, another node uses it, or the file is damaged.
    pub fn open(folder: &Path, now: u64) -> Result<Self, AttemptsError> {
        let io = |error: std::io::Error| AttemptsError::Io { folder: folder.into(), error };
        std::fs::create_dir_all(folder).map_err(io)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(io)?;
        lock.try_lock().map_err(|e| match e {
            std::fs::TryLockError::WouldBlock => AttemptsError::InUse(folder.into()),
            std::fs::TryLockError::Error(error) => io(error),
        })?;
        let path = folder.join("attempts");
        let begun = match File::open(&path) {
            Ok(file) => read(file, now).map_err(|e| match e {
                Unreadable::Io(error) => io(error),
                Unreadable::Line(line) => AttemptsError::Damaged { path: path.clone(), line },
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(io(error)),
        };
        let file = rewrite(&path, &begun).map_err(io)?;
        Ok(Self { path, file, lines: begun.len(), torn: false, most: Self::MOST, _lock: lock, begun })
    }

    /// Whether this attempt may still be begun.
    ///
    /// # Errors
    /// `E_REPLAY`.
    pub fn check(&self, job: QueryId, query: &Query, attempt: u32) -> Result<(), Refusal> {
        let replay = |reason: String| {
            let fix = "submit the query again with `tacit query`, which makes a new one";
            Err(Refusal::new(Code::Replay, reason, fix))
        };
        match self.begun.get(&query.nonce) {
            Some(begun) if begun.job != job => replay("another query with the same nonce was run before".into()),
            Some(begun) if begun.sealed => {
                replay(format!("this node answered the query in attempt {}, and answers a query once", begun.attempt))
            }
            Some(begun) if begun.attempt >= attempt => {
                replay(format!("attempt {attempt} of this query is not new: this node has begun attempt {}", begun.attempt))
            }
            _ => Ok(()),
        }
    }

    /// Notes on disk that this attempt is begun; only then may it be.
    ///
    /// # Errors
    /// `E_REPLAY`; `E_BUSY` if as many queries are remembered as may be; `E_INTERNAL` if the note cannot be written.
    pub fn begin(&mut self, job: QueryId, query: &Query, attempt: u32, now: u64) -> Result<(), Refusal> {
        self.check(job, query, attempt)?;
        if self.begun.len() >= self.most && !self.begun.contains_key(&query.nonce) {
            self.forget_expired(now);
            if self.begun.len() >= self.most {
                let reason = format!("this node remembers {} queries that have not expired, the most it can", self.begun.len());
                let fix = "ask again once some have expired, and ask with a shorter `--valid-for`";
                return Err(Refusal::new(Code::Busy, reason, fix));
            }
        }
        self.note(query.nonce, Begun { job, attempt, expires: query.expires, sealed: false }, now)
    }

    /// Notes on disk that this attempt's release is sealed; only then may it leave the node. No attempt at the query is begun any more.
    ///
    /// # Errors
    /// `E_INTERNAL` if the note cannot be written, or the attempt was not begun.
    pub fn seal(&mut self, job: QueryId, query: &Query, attempt: u32, now: u64) -> Result<(), Refusal> {
        match self.begun.get(&query.nonce) {
            Some(begun) if begun.job == job && begun.attempt == attempt => {}
            _ => return Err(Refusal::new(Code::Internal, "an attempt was sealed that was not begun", "please report the query")),
        }
        self.note(query.nonce, Begun { job, attempt, expires: query.expires, sealed: true }, now)
    }

    /// Whether this attempt's release was sealed, and may have left the node.
    pub fn is_sealed(&self, job: QueryId, attempt: u32) -> bool {
        self.begun.values().any(|begun| begun.sealed && (begun.job, begun.attempt) == (job, attempt))
    }

    fn note(&mut self, nonce: Hash, entry: Begun, now: u64) -> Result<(), Refusal> {
        let line = line(&nonce, &entry);
        let written = self.make_room(now).and_then(|()| {
            // Until the line is known to be whole on disk, the file is not.
            self.torn = true;
            self.file.write_all(line.as_bytes())?;
            self.file.sync_data()
        });
        written.map_err(|error| {
            let reason = format!("this node cannot note the attempt in {}: {error}", self.path.display());
            Refusal::new(Code::Internal, reason, "its operator should look at the disk of its state folder")
        })?;
        self.torn = false;
        self.lines += 1;
        self.begun.insert(nonce, entry);
        Ok(())
    }

    /// Writes the file anew if its last line may be torn, or most of its lines are of no use.
    fn make_room(&mut self, now: u64) -> std::io::Result<()> {
        let crowded = self.lines > 2 * self.begun.len() + SLACK;
        if crowded {
            self.forget_expired(now);
        }
        if crowded || self.torn {
            self.file = rewrite(&self.path, &self.begun)?;
            self.lines = self.begun.len();
        }
        Ok(())
    }

    fn forget_expired(&mut self, now: u64) {
        self.begun.retain(|_, entry| entry.matters(now));
    }
}

impl Begun {
    /// Whether a clock somewhere may still take the query for one that stands.
    fn matters(&self, now: u64) -> bool {
        self.expires.saturating_add(Query::MAX_SKEW) >= now
    }
}

/// Why the attempts cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptsError {
    /// The folder or file cannot be used.
    #[error("the state folder {}: {error}; check `state` in the configuration and the folder's permissions", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the file system said.
        error: std::io::Error,
    },
    /// Another process has it.
    #[error("the state folder {} is in use by another node; is it running already? Give each node a `state` of its own", .0.display())]
    InUse(PathBuf),
    /// A line is not one of ours.
    #[error(
        "{}, line {line}: not a note of an attempt; the file is damaged. Restore it, or remove it once every query of the last seven days has expired",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
}

/// Lines beyond twice what is remembered before the file is written anew.
const SLACK: usize = 1024;
/// No line of ours is longer.
const LINE: u64 = 256;

enum Unreadable {
    Io(std::io::Error),
    Line(usize),
}

/// Reads all lines, however many there are.
fn read(file: File, now: u64) -> Result<HashMap<Hash, Begun>, Unreadable> {
    let (mut reader, mut begun, mut number) = (BufReader::new(file), HashMap::new(), 0);
    loop {
        let mut text = Vec::new();
        (&mut reader).take(LINE).read_until(b'\n', &mut text).map_err(Unreadable::Io)?;
        number += 1;
        match text.strip_suffix(b"\n") {
            Some(whole) => {
                let entry = std::str::from_utf8(whole).ok().and_then(parse);
                let (nonce, entry) = entry.ok_or(Unreadable::Line(number))?;
                if entry.matters(now) {
                    begun.insert(nonce, entry);
                }
            }
            None if text.len() as u64 == LINE => return Err(Unreadable::Line(number)),
            // A last line without its end was cut off by a crash before the attempt began.
            None => return Ok(begun),
        }
    }
}

fn line(nonce: &Hash, entry: &Begun) -> String {
    let sealed = if entry.sealed { " sealed" } else { "" };
    format!("{nonce} {} {} {}{sealed}\n", entry.job, entry.attempt, entry.expires)
}

fn parse(line: &str) -> Option<(Hash, Begun)> {
    let mut fields = line.split(' ');
    let mut next = || fields.next();
    let (nonce, job) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let (attempt, expires) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let sealed = match next() {
        None => false,
        Some("sealed") => true,
        Some(_) => return None,
    };
    next().is_none().then_some((nonce, Begun { job, attempt, expires, sealed }))
}

/// Writes the file anew, so that a crash leaves the old one or the new.
fn rewrite(path: &Path, begun: &HashMap<Hash, Begun>) -> std::io::Result<File> {
    let text: String = begun.iter().map(|(nonce, entry)| line(nonce, entry)).collect();
    replace(path, &[text.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::bytes::Base64;

    const NOW: u64 = 1_700_000_000;

    fn query(nonce: u8) -> Query {
        Query {
            sql: "SELECT 1".into(),
            planner: "p".into(),
            roster_hash: Hash([0; 32]),
            catalog_hash: Hash([0; 32]),
            output_key: Base64(vec![9; 32]),
            purpose: String::new(),
            security: "semi-honest".into(),
            protocol: "rep3".into(),
            epsilon: None,
            nonce: Hash([nonce; 32]),
            issued: NOW,
            expires: NOW + 100,
            analyze: false,
        }
    }

    const JOB: QueryId = QueryId(Hash([7; 32]));

    #[test]
    fn a_restart_does_not_forget() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Attempts::open(&folder.path().join("state"), NOW);
        let mut attempts = open().expect("opened");
        attempts.begin(JOB, &query(1), 2, NOW).expect("new");
        assert!(matches!(open(), Err(AttemptsError::InUse(_))), "two nodes, one folder");
        drop(attempts);
        let mut attempts = open().expect("opened");
        for old in [1, 2] {
            let refusal = attempts.begin(JOB, &query(1), old, NOW).expect_err("not new");
            assert_eq!(refusal.code, Code::Replay);
            assert!(refusal.reason.contains("has begun attempt 2"), "{refusal}");
        }
        let other = QueryId(Hash([8; 32]));
        assert_eq!(attempts.check(other, &query(1), 9).expect_err("the nonce was used").code, Code::Replay);
        attempts.begin(other, &query(2), 1, NOW).expect("another query");
        attempts.begin(JOB, &query(1), 3, NOW).expect("the next attempt");
    }

    #[test]
    fn a_torn_line_is_no_attempt_and_a_damaged_one_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("attempts");
        let whole = line(&Hash([1; 32]), &Begun { job: JOB, attempt: 1, expires: NOW + 1, sealed: false });
        std::fs::write(&path, format!("{whole}{}", &whole[..90])).expect("written");
        let attempts = Attempts::open(folder.path(), NOW).expect("opened");
        assert!(attempts.check(JOB, &query(1), 1).is_err());
        drop(attempts);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), whole);
        std::fs::write(&path, format!("{whole}x\n{whole}")).expect("written");
        let error = Attempts::open(folder.path(), NOW).map(|_| ()).expect_err("damaged").to_string();
        assert!(error.contains("attempts, line 2"), "{error}");
    }

    #[test]
    fn the_expired_are_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut attempts = Attempts::open(folder.path(), NOW).expect("opened");
        attempts.begin(JOB, &query(1), 1, NOW).expect("new");
        drop(attempts);
        let attempts = Attempts::open(folder.path(), NOW + 100 + Query::MAX_SKEW).expect("opened");
        assert!(attempts.check(JOB, &query(1), 1).is_err(), "clocks may differ");
        drop(attempts);
        drop(Attempts::open(folder.path(), NOW + 101 + Query::MAX_SKEW).expect("opened"));
        assert_eq!(std::fs::read_to_string(folder.path().join("attempts")).expect("read"), "");
    }

    #[test]
    fn a_query_that_was_answered_is_not_run_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut attempts = Attempts::open(folder.path(), NOW).expect("opened");
        assert_eq!(attempts.seal(JOB, &query(1), 1, NOW).expect_err("not begun").code, Code::Internal);
        attempts.begin(JOB, &query(1), 1, NOW).expect("new");
        attempts.begin(JOB, &query(1), 2, NOW).expect("the first gave nothing");
        attempts.seal(JOB, &query(1), 2, NOW).expect("begun");
        for _ in 0..2 {
            let refusal = attempts.begin(JOB, &query(1), 3, NOW).expect_err("answered");
            assert!(refusal.code == Code::Replay && refusal.reason.contains("answered the query in attempt 2"), "{refusal}");
            drop(attempts);
            attempts = Attempts::open(folder.path(), NOW).expect("opened");
        }
    }

    #[test]
    fn a_long_file_is_read_to_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        // As many attempts at one query as fill any buffer: only the last line says that it was answered.
        let mut text = String::new();
        for attempt in 1..=20_000 {
            text += &line(&Hash([1; 32]), &Begun { job: JOB, attempt, expires: NOW, sealed: attempt == 20_000 });
        }
        std::fs::write(folder.path().join("attempts"), text).expect("written");
        let attempts = Attempts::open(folder.path(), NOW).expect("opened");
        assert!(attempts.check(JOB, &query(1), 20_001).is_err());
        drop(attempts);
        // Not a file of ours, and without an end to its line.
        std::fs::write(folder.path().join("attempts"), vec![b'0'; 1 << 20]).expect("written");
        let error = Attempts::open(folder.path(), NOW).map(|_| ()).expect_err("damaged").to_string();
        assert!(error.contains("attempts, line 1"), "{error}");
    }

    #[test]
    fn beyond_its_memory_a_node_takes_nothing_new_and_forgets_nothing_that_stands() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut attempts = Attempts::open(folder.path(), NOW).expect("opened");
        attempts.most = 3;
        let job = |number: u8| QueryId(Hash([number; 32]));
        for number in 1..=3 {
            attempts.begin(job(number), &query(number), 1, NOW).expect("room");
        }
        let refusal = attempts.begin(job(4), &query(4), 1, NOW).expect_err("no room");
        assert!(refusal.code == Code::Busy && refusal.reason.contains("3 queries") && !refusal.fix.is_empty(), "{refusal:?}");
        attempts.begin(job(2), &query(2), 2, NOW).expect("a further attempt takes no room");
        assert!((1..=3).all(|number| attempts.check(job(number), &query(number), 1).is_err()), "nothing is forgotten for it");
        let later = NOW + 101 + Query::MAX_SKEW;
        attempts.begin(job(4), &Query { expires: later + 9, ..query(4) }, 1, later).expect("the others have expired");
    }

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut attempts = Attempts::open(folder.path(), NOW).expect("opened");
        attempts.lines = SLACK + 100;
        attempts.begin(JOB, &query(1), 1, NOW).expect("new");
        assert_eq!(attempts.lines, 1, "written anew");
        attempts.begin(JOB, &query(1), 2, NOW).expect("new");
        drop(attempts);
        let attempts = Attempts::open(folder.path(), NOW).expect("opened");
        assert!(attempts.check(JOB, &query(1), 2).is_err());
    }

    #[test]
    fn a_disk_that_does_not_take_the_note_stops_the_attempt_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut attempts = Attempts::open(folder.path(), NOW).expect("opened");
        attempts.begin(JOB, &query(1), 1, NOW).expect("new");
        // A full disk, as a device that is always full: half a line may have been written.
        let whole = std::mem::replace(&mut attempts.file, OpenOptions::new().write(true).open("/dev/full").expect("a full device"));
        let other = QueryId(Hash([8; 32]));
        assert_eq!(attempts.begin(other, &query(2), 1, NOW).expect_err("not noted").code, Code::Internal);
        assert_eq!(attempts.seal(JOB, &query(1), 1, NOW).map_err(|e| e.code), Ok(()), "the disk is well again: the file is written anew");
        (&whole).write_all(b"torn").expect("written to the old file, which nobody reads");
        attempts.begin(other, &query(2), 1, NOW).expect("new");
        drop(attempts);
        let attempts = Attempts::open(folder.path(), NOW).expect("opened");
        assert!(attempts.check(JOB, &query(1), 2).is_err() && attempts.check(other, &query(2), 1).is_err());
    }

    #[test]
    fn a_crash_at_any_byte_of_a_line_leaves_what_was_noted_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("attempts");
        let first = line(&Hash([1; 32]), &Begun { job: JOB, attempt: 1, expires: NOW, sealed: false });
        let second = line(&Hash([1; 32]), &Begun { job: JOB, attempt: 1, expires: NOW, sealed: true });
        for cut in 0..=second.len() {
            std::fs::write(&path, format!("{first}{}", &second[..cut])).expect("written");
            let mut attempts = Attempts::open(folder.path(), NOW).expect("opened");
            assert!(attempts.check(JOB, &query(1), 1).is_err(), "cut at {cut}");
            assert_eq!(attempts.check(JOB, &query(1), 2).is_err(), cut == second.len(), "cut at {cut}");
            attempts.begin(QueryId(Hash([9; 32])), &query(2), 1, NOW).expect("what follows is a line of its own");
            drop(attempts);
            drop(Attempts::open(folder.path(), NOW).expect("still sound"));
        }
    }
}
