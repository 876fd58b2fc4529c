//! What survives a restart: job records, their notes, and sealed results, in one redb file. Every change is one
//! transaction, on disk before anyone is told of it.

use ledger::bytes::Hash;
use query::message::QueryId;
use query::message::job::{JobState, PartyRefusal, Submit};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A job, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub job: QueryId,
    pub planner: String,
    pub state: JobState,
    /// The current attempt, or the last; 0 before the first.
    pub attempt: u32,
    /// Its place in the order of submission.
    pub order: u64,
    /// Unix seconds, as are all times here.
    pub submitted: u64,
    pub started: Option<u64>,
    pub finished: Option<u64>,
    /// When the query expires.
    pub expires: u64,
    pub plan_hash: Option<Hash>,
    /// Whether it stands on the city's log.
    #[serde(default)]
    pub on_log: bool,
    pub refusals: Vec<PartyRefusal>,
}

/// The file.
pub(crate) struct Store {
    file: PathBuf,
    /// Closed when the disk fails, since redb gives a database up then, and opened again when it is needed next.
    db: Mutex<Option<Database>>,
}

impl Store {
    /// Opens the store in this folder, making both if they are not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let file = folder.join("jobs.redb");
        let error = |what: String| StoreError::Open { file: file.clone(), what };
        make_folder(folder).map_err(|e| error(e.to_string()))?;
        let db = Database::create(&file).map_err(|e| match e {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                error("it is in use; is another coordinator running with this `state` folder?".into())
            }
            other => error(other.to_string()),
        })?;
        let store = Self { file: file.clone(), db: Mutex::new(Some(db)) };
        store.create_tables().map_err(|e| error(e.to_string()))?;
        Ok(store)
    }

    /// All records, in the order of submission.
    pub(crate) fn records(&self) -> Result<Vec<Record>, StoreError> {
        let mut records = self.with(|db| {
            let transaction = db.begin_read()?;
            let table = transaction.open_table(JOBS)?;
            let mut records = Vec::new();
            for entry in table.iter()? {
                let (key, value) = entry?;
                match serde_json::from_slice::<Record>(value.value()) {
                    Ok(record) if record.job.0.0 == *key.value() => records.push(record),
                    _ => return Err(redb::Error::Corrupted("a job record is unreadable".into())),
                }
            }
            Ok(records)
        })?;
        records.sort_by_key(|record| record.order);
        Ok(records)
    }

    /// Adds a job with its note, and its entry for the log.
    pub(crate) fn insert(&self, record: &Record, submitted: &Submit) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.open_table(NOTES)?.insert(&record.job.0.0, submitted.note.as_str())?;
            if let Some(entry) = &submitted.entry {
                let text = serde_json::to_vec(entry).map_err(|e| redb::Error::Io(e.into()))?;
                transaction.open_table(ENTRIES)?.insert(&record.job.0.0, text.as_slice())?;
            }
            put(transaction, record)
        })
    }

    /// Writes a changed record.
    pub(crate) fn update(&self, record: &Record) -> Result<(), StoreError> {
        self.write(|transaction| put(transaction, record))
    }

    /// Writes a record and its sealed results, in one.
    pub(crate) fn finish(&self, record: &Record, sealed: &[&str]) -> Result<(), StoreError> {
        self.write(|transaction| {
            {
                let mut table = transaction.open_table(SEALED)?;
                for (party, note) in (0u8..).zip(sealed) {
                    table.insert((&record.job.0.0, party), *note)?;
                }
            }
            put(transaction, record)
        })
    }

    /// The planner's note of a job, and its entry.
    pub(crate) fn submitted(&self, job: QueryId) -> Result<Option<Submit>, StoreError> {
        self.with(|db| {
            let transaction = db.begin_read()?;
            let (notes, entries) = (transaction.open_table(NOTES)?, transaction.open_table(ENTRIES)?);
            let Some(note) = notes.get(&job.0.0)?.map(|note| note.value().to_owned()) else { return Ok(None) };
            let entry = entries.get(&job.0.0)?.map(|text| serde_json::from_slice(text.value()));
            let unreadable = |_| redb::Error::Corrupted("a job's entry is unreadable".into());
            Ok(Some(Submit { note, entry: entry.transpose().map_err(unreadable)? }))
        })
    }

    /// The sealed results of a job, in the order of the parties.
    pub(crate) fn sealed(&self, job: QueryId) -> Result<Vec<String>, StoreError> {
        self.with(|db| {
            let table = db.begin_read()?.open_table(SEALED)?;
            let mut notes = Vec::new();
            for entry in table.range((&job.0.0, 0)..=(&job.0.0, u8::MAX))? {
                notes.push(entry?.1.value().to_owned());
            }
            Ok(notes)
        })
    }

    /// Removes jobs with all that belongs to them.
    pub(crate) fn remove(&self, jobs: &[QueryId]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let (mut records, mut notes) = (transaction.open_table(JOBS)?, transaction.open_table(NOTES)?);
            let (mut sealed, mut entries) = (transaction.open_table(SEALED)?, transaction.open_table(ENTRIES)?);
            for job in jobs {
                entries.remove(&job.0.0)?;
                records.remove(&job.0.0)?;
                notes.remove(&job.0.0)?;
                sealed.retain_in((&job.0.0, 0)..=(&job.0.0, u8::MAX), |_, _| false)?;
            }
            Ok(())
        })
    }

    fn create_tables(&self) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.open_table(JOBS)?;
            transaction.open_table(NOTES)?;
            transaction.open_table(ENTRIES)?;
            transaction.open_table(SEALED)?;
            Ok(())
        })
    }

    fn write(&self, change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>) -> Result<(), StoreError> {
        self.with(|db| {
            let transaction = db.begin_write()?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        })
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        // Whatever a panic left undone, redb undoes.
        let mut open = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let db = match open.take() {
            Some(db) => db,
            None => Database::create(&self.file).map_err(|error| failed(error.into()))?,
        };
        let done = work(&db);
        if !matches!(done, Err(redb::Error::Io(_) | redb::Error::PreviousIo)) {
            *open = Some(db);
        }
        done.map_err(failed)
    }
}

/// What went wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// The file could not be opened.
    #[error("the job store {}: {what}", file.display())]
    Open { file: PathBuf, what: String },
    /// The file could not be read or written.
    #[error("the job store: {0}")]
    Failed(String),
}

const JOBS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("jobs/v1");
const NOTES: TableDefinition<&[u8; 32], &str> = TableDefinition::new("notes/v1");
const ENTRIES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("entries/v1");
const SEALED: TableDefinition<(&[u8; 32], u8), &str> = TableDefinition::new("sealed/v1");

fn failed(error: redb::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn put(transaction: &redb::WriteTransaction, record: &Record) -> Result<(), redb::Error> {
    let text = serde_json::to_vec(record).map_err(|e| redb::Error::Io(e.into()))?;
    transaction.open_table(JOBS)?.insert(&record.job.0.0, text.as_slice())?;
    Ok(())
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use query::joblog::QueryEntry;
    use query::message::{Code, Refusal};

    fn record(byte: u8, order: u64) -> Record {
        Record {
            job: QueryId(Hash([byte; 32])),
            planner: "planning-office".into(),
            state: JobState::Queued,
            attempt: 0,
            order,
            submitted: 1,
            started: None,
            finished: None,
            expires: 99,
            plan_hash: None,
            on_log: false,
            refusals: vec![PartyRefusal::of_coordinator(Refusal::new(Code::Busy, "r", "f"))],
        }
    }

    #[test]
    fn what_is_written_is_there_after_reopening() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (record(9, 1), record(1, 2));
        let store = Store::open(folder.path()).expect("opened");
        let entry = QueryEntry { entry: "an entry".into(), salt: Hash([4; 32]) };
        let submitted = |note: &str, entry| Submit { note: note.into(), entry };
        store.insert(&second, &submitted("second", None)).expect("inserted");
        store.insert(&first, &submitted("first", Some(entry.clone()))).expect("inserted");
        let done = Record { state: JobState::Done, ..second.clone() };
        store.finish(&done, &["a", "b", "c"]).expect("finished");
        drop(store);
        let store = Store::open(folder.path()).expect("opened again");
        assert_eq!(store.records().expect("read"), [first.clone(), done]);
        assert_eq!(store.submitted(first.job).expect("read"), Some(submitted("first", Some(entry))));
        assert_eq!(store.submitted(second.job).expect("read"), Some(submitted("second", None)));
        assert_eq!(store.sealed(second.job).expect("read"), ["a", "b", "c"]);
        assert!(store.sealed(first.job).expect("read").is_empty());
        store.remove(&[second.job]).expect("removed");
        assert_eq!(store.records().expect("read"), std::slice::from_ref(&first));
        assert!(store.sealed(second.job).expect("read").is_empty());
        assert_eq!(store.submitted(second.job).expect("read"), None);
    }

    #[test]
    fn what_is_written_survives_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("opened");
        let submitted = |note: &str| Submit { note: note.into(), entry: None };
        store.insert(&record(1, 1), &submitted("note")).expect("inserted");
        // What lies on disk while the store is open is what a killed process leaves behind.
        let left = tempfile::tempdir().expect("a folder");
        std::fs::copy(folder.path().join("jobs.redb"), left.path().join("jobs.redb")).expect("copied");
        store.insert(&record(2, 2), &submitted("later")).expect("inserted");
        let found = Store::open(left.path()).expect("opened");
        assert_eq!(found.records().expect("read"), [record(1, 1)]);
        assert_eq!(found.submitted(record(1, 1).job).expect("read"), Some(submitted("note")));
    }

    #[test]
    fn two_coordinators_cannot_share_a_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = Store::open(folder.path()).expect("opened");
        let error = Store::open(folder.path()).map(|_| ()).expect_err("in use").to_string();
        assert!(error.contains("another coordinator"), "{error}");
    }
}
