//! What opens the commitments of the jobs that this node takes part in: the SQL of each question, and the digests of the sealed parts of its answer. Never
//! rows, nor shares. `tacit audit` shows them to whoever answers for the data.
//!
//! ```text
//! openings/JOB-statement.json   {"salt": …, "value": the SQL}
//! openings/JOB-result.json      {"salt": the session, "value": a digest a line}
//! ```
//!
//! A statement is on disk before this node begins an attempt at it, a result before this node's part of it leaves. What cannot be kept is not done. They
//! stay as long as the log that they open: an owner may want to know years later what was asked of its data, and they are small: of three parties 372 bytes a
//! question besides its SQL. Nothing sweeps them, as no date is right for all: how long words may or must be kept is law and policy where the node is. Who takes
//! files away loses words, and nothing that nodes or the log need.

use crate::disk::{BESIDE, replace};
use ledger::bytes::Hash;
use ledger::entry::Opening;
use query::message::{Code, QueryId, Refusal};
use std::fs::DirBuilder;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folder, below a node's state.
pub const FOLDER: &str = "openings";

/// Which of a job's commitments is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// That of its query: the SQL.
    Statement,
    /// That of its result.
    Result,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Result => "result",
        }
    }
}

/// What the file of an opening is called.
pub fn file_name(job: &Hash, what: What) -> String {
    format!("{job}-{}.json", what.name())
}

/// Whose opening a file of this name is; none if it is called otherwise, as one that somebody handed over may be.
pub fn named(name: &str) -> Option<(Hash, What)> {
    let (job, what) = name.strip_suffix(".json")?.split_once('-')?;
    let what = [What::Statement, What::Result].into_iter().find(|known| known.name() == what)?;
    Some((job.parse().ok()?, what))
}

/// Puts an opening into a folder, which is made if it is not there: whole or not at all, readable by this user alone.
///
/// # Errors
/// It cannot be written.
pub fn write(folder: &Path, job: &Hash, what: What, opening: &Opening) -> IoResult<()> {
    let path = folder.join(file_name(job, what));
    let text = serde_json::to_string(opening).map_err(Error::other)? + "\n";
    // A later attempt at a question has the same words.
    if std::fs::read_to_string(&path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    make(folder)?;
    replace(&path, &[text.as_bytes()]).map(drop)
}

fn make(folder: &Path) -> IoResult<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The openings that this node has.
pub(crate) struct Openings {
    folder: PathBuf,
}

impl Openings {
    /// In the folder `openings` of a node's state, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(state: &Path) -> IoResult<Self> {
        let folder = state.join(FOLDER);
        let named = |error: Error| Error::new(error.kind(), format!("{}: {error}", folder.display()));
        make(&folder).map_err(named)?;
        for file in std::fs::read_dir(&folder).map_err(named)? {
            let path = file.map_err(named)?.path();
            // Half written when the node died.
            if path.extension().is_some_and(|extension| extension == BESIDE) {
                std::fs::remove_file(&path)
                    .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(named(error)) })?;
            }
        }
        Ok(Self { folder })
    }

    /// Keeps one.
    ///
    /// # Errors
    /// `E_INTERNAL`: it cannot be written.
    pub fn keep(&self, job: QueryId, what: What, opening: &Opening) -> Result<(), Refusal> {
        write(&self.folder, &job.0, what, opening).map_err(|error| {
            let reason = format!("this node cannot keep what opens the job's {} in {}: {error}", what.name(), self.folder.display());
            Refusal::new(Code::Internal, reason, "its operator should look at the disk of its state folder")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const JOB: QueryId = QueryId(Hash([7; 32]));

    fn opening(value: &str) -> Opening {
        Opening { salt: Hash([1; 32]), value: value.into() }
    }

    #[test]
    fn an_opening_is_kept_whole_and_for_this_user_alone() {
        let state = tempfile::tempdir().expect("a folder");
        let openings = Openings::open(state.path()).expect("opened");
        for (what, value) in
            [(What::Statement, "SELECT 1\n-- \"so\""), (What::Statement, "SELECT 1\n-- \"so\""), (What::Result, "digest\n")]
        {
            openings.keep(JOB, what, &opening(value)).expect("kept");
            let path = state.path().join(FOLDER).join(file_name(&JOB.0, what));
            let kept: Opening = serde_json::from_str(&std::fs::read_to_string(&path).expect("read")).expect("an opening");
            assert_eq!(kept, opening(value));
            assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::metadata(state.path().join(FOLDER)).expect("there").permissions().mode() & 0o777, 0o700);
        let names: Vec<_> = std::fs::read_dir(state.path().join(FOLDER)).expect("a folder").collect();
        assert_eq!(names.len(), 2);
    }

    /// The figure in the documentation, and that files may be taken away while the node runs.
    #[test]
    fn they_are_small_and_may_be_taken_away() {
        let state = tempfile::tempdir().expect("a folder");
        let openings = Openings::open(state.path()).expect("opened");
        let path = |what| state.path().join(FOLDER).join(file_name(&JOB.0, what));
        let sql = "SELECT COUNT(*) FROM energy.meters";
        let result = query::joblog::result(Hash([2; 32]), [3, 4, 5].map(|digest| Hash([digest; 32])));
        for _ in 0..2 {
            openings.keep(JOB, What::Statement, &opening(sql)).expect("kept");
            openings.keep(JOB, What::Result, &result).expect("kept");
            let bytes: u64 = [What::Statement, What::Result].map(|what| std::fs::metadata(path(what)).expect("there").len()).iter().sum();
            assert_eq!(bytes, 372 + sql.len() as u64);
            [What::Statement, What::Result].iter().for_each(|what| std::fs::remove_file(path(*what)).expect("taken away"));
        }
        // The whole folder, too: the next start makes another.
        std::fs::remove_dir(state.path().join(FOLDER)).expect("removed");
        openings.keep(JOB, What::Statement, &opening(sql)).expect("kept");
        assert!(Openings::open(state.path()).is_ok() && path(What::Statement).exists());
    }

    #[test]
    fn names_say_whose_it_is() {
        for what in [What::Statement, What::Result] {
            assert_eq!(named(&file_name(&JOB.0, what)), Some((JOB.0, what)));
        }
        for other in ["statement", "07-statement.json", &format!("{}-answer.json", JOB.0), &format!("{}-result", JOB.0)] {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_half_written_goes_and_what_cannot_be_written_is_refused() {
        let state = tempfile::tempdir().expect("a folder");
        let folder = state.path().join(FOLDER);
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(folder.join("half.new"), "{").expect("written");
        let openings = Openings::open(state.path()).expect("opened");
        assert!(!folder.join("half.new").exists());
        std::fs::remove_dir(&folder).expect("empty");
        std::fs::write(&folder, "").expect("a file in its place");
        let refusal = openings.keep(JOB, What::Statement, &opening("SELECT 1")).expect_err("no folder");
        assert!(refusal.code == Code::Internal && refusal.reason.contains("openings") && refusal.fix.contains("disk"), "{refusal}");
        assert!(Openings::open(state.path()).map(drop).expect_err("a file").to_string().contains("openings"));
    }
}
