//! Which attempts at which queries this node has begun: kept on disk, so that a restart does not forget. An attempt that was begun is
//! never begun again, whoever asks.
//!
//! One append-only text file in the node's state folder, `attempts`, one line for each attempt begun, on disk before the first share of
//! the attempt moves. Lines whose query has expired are dropped when the file is opened: an expired query is refused anyway.

use ledger::bytes::Hash;
use query::message::{Code, Query, QueryId, Refusal};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The attempts begun.
pub struct Attempts {
    path: PathBuf,
    file: File,
    /// Held as long as the node runs, so that no second one shares the folder.
    _lock: File,
    begun: HashMap<Hash, Begun>,
}

struct Begun {
    job: QueryId,
    attempt: u32,
    expires: u64,
}

impl Attempts {
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
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => file.take(FILE_CAP).read_to_string(&mut text).map(|_| ()).map_err(io)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let mut begun = HashMap::new();
        // A last line without its end was cut off by a crash before the attempt began.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        for (number, line) in whole.lines().enumerate() {
            let (nonce, entry) = parse(line).ok_or_else(|| AttemptsError::Damaged { path: path.clone(), line: number + 1 })?;
            if entry.expires.saturating_add(Query::MAX_SKEW) >= now {
                begun.insert(nonce, entry);
            }
        }
        let file = rewrite(&path, &begun).map_err(io)?;
        Ok(Self { path, file, _lock: lock, begun })
    }

    /// Whether this attempt may still be begun.
    ///
    /// # Errors
    /// `E_REPLAY`.
    pub fn check(&self, job: QueryId, query: &Query, attempt: u32) -> Result<(), Refusal> {
        let fix = "submit the query again with `tacit query`, which makes a new one";
        match self.begun.get(&query.nonce) {
            Some(begun) if begun.job != job => Err(Refusal::new(Code::Replay, "another query with the same nonce was run before", fix)),
            Some(begun) if begun.attempt >= attempt => {
                let reason = format!("attempt {attempt} of this query is not new: this node has begun attempt {}", begun.attempt);
                Err(Refusal::new(Code::Replay, reason, fix))
            }
            _ => Ok(()),
        }
    }

    /// Notes on disk that this attempt is begun; only then may it be.
    ///
    /// # Errors
    /// `E_REPLAY`, or `E_INTERNAL` if the note cannot be written.
    pub fn begin(&mut self, job: QueryId, query: &Query, attempt: u32) -> Result<(), Refusal> {
        self.check(job, query, attempt)?;
        let entry = Begun { job, attempt, expires: query.expires };
        let line = line(&query.nonce, &entry);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            let reason = format!("this node cannot note the attempt in {}: {error}", self.path.display());
            Refusal::new(Code::Internal, reason, "its operator should look at the disk of its state folder")
        })?;
        self.begun.insert(query.nonce, entry);
        Ok(())
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

/// A million attempts.
const FILE_CAP: u64 = 160 << 20;

fn line(nonce: &Hash, entry: &Begun) -> String {
    format!("{nonce} {} {} {}\n", entry.job, entry.attempt, entry.expires)
}

fn parse(line: &str) -> Option<(Hash, Begun)> {
    let mut fields = line.split(' ');
    let mut next = || fields.next();
    let nonce = next()?.parse().ok()?;
    let entry = Begun { job: next()?.parse().ok()?, attempt: next()?.parse().ok()?, expires: next()?.parse().ok()? };
    next().is_none().then_some((nonce, entry))
}

/// Writes the file anew beside the old one and puts it in its place, so that a crash leaves one of the two.
fn rewrite(path: &Path, begun: &HashMap<Hash, Begun>) -> std::io::Result<File> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    let text: String = begun.iter().map(|(nonce, entry)| line(nonce, entry)).collect();
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
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
        attempts.begin(JOB, &query(1), 2).expect("new");
        assert!(matches!(open(), Err(AttemptsError::InUse(_))), "two nodes, one folder");
        drop(attempts);
        let mut attempts = open().expect("opened");
        for old in [1, 2] {
            let refusal = attempts.begin(JOB, &query(1), old).expect_err("not new");
            assert_eq!(refusal.code, Code::Replay);
            assert!(refusal.reason.contains("has begun attempt 2"), "{refusal}");
        }
        let other = QueryId(Hash([8; 32]));
        assert_eq!(attempts.check(other, &query(1), 9).expect_err("the nonce was used").code, Code::Replay);
        attempts.begin(other, &query(2), 1).expect("another query");
        attempts.begin(JOB, &query(1), 3).expect("the next attempt");
    }

    #[test]
    fn a_torn_line_is_no_attempt_and_a_damaged_one_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("attempts");
        let whole = line(&Hash([1; 32]), &Begun { job: JOB, attempt: 1, expires: NOW + 1 });
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
        attempts.begin(JOB, &query(1), 1).expect("new");
        drop(attempts);
        let attempts = Attempts::open(folder.path(), NOW + 100 + Query::MAX_SKEW).expect("opened");
        assert!(attempts.check(JOB, &query(1), 1).is_err(), "clocks may differ");
        drop(attempts);
        drop(Attempts::open(folder.path(), NOW + 101 + Query::MAX_SKEW).expect("opened"));
        assert_eq!(std::fs::read_to_string(folder.path().join("attempts")).expect("read"), "");
    }
}
