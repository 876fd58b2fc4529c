//! What owners dealt for a part of a question on a snapshot: whoever deals other inputs for it a second time is refused.
//!
//! *Whose.* An owner's part of a question is what it computes at home and shares: its sub-plans, in which order their rows stand, and with which types and layouts. On the same snapshots it has the same rows, so an owner deals them under the same
//! key again ([`Key::of`]), and both peers see the same: its right peer the key, its left peer the other component ([`protocols::Rep3::dealing`]). Each keeps a digest of what it saw, 32 bytes, under the name of the part ([`Part::name`]); what a peer has been dealt for that name is what it goes on
//! taking. The two digests together fix both components, and so the inputs, from the first dealing on.
//!
//! *What it does not say.* Nobody but the owner sees its rows in clear, and no share is kept: that the first dealing is of the snapshot whose root stands in the log is not checked. Nor is what an owner states in the joint stage beside the inputs, the orders
//! of its rows and what it offers for look-ups by known keys, which are not dealt.
//!
//! *What a record says.* The digest of a uniform column, or of a pseudo-random key: nothing about the rows.
//!
//! *When.* It is compared, and noted on disk, as soon as it is there, before anything that was dealt is computed with: an owner that ends an attempt after it has seen numbers of rows that others disclosed deals the same again. All parts of an answer are needed to open it, and a party's leaves it
//! only behind its note: no answer is opened for a dealing that is not noted by both peers. An honest owner deals the same however often an attempt is broken off, so that no note binds it to what it would not deal again.
//!
//! ```text
//! dealings/NAME   a digest, the job of the first dealing, the snapshots that it was on
//! ```
//!
//! Records of snapshots that are no longer the data sets' in the log are removed: a new version is a new name, and the log says who published it.

use crate::disk::{BESIDE, replace};
use hkdf::Hkdf;
use ledger::bytes::Hash;
use mpc_core::identity::Identity;
use mpc_core::stack;
use query::message::{Code, QueryId, Refusal};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// An owner's part of a question, on its snapshots, among the parties of a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// Who is right of whom follows from it: somebody who was an owner's right peer by one roster and its left by another would have both components under one key.
    pub roster: Hash,
    pub owner: &'a str,
    /// The snapshots of its data sets that the question reads.
    pub snapshots: BTreeMap<&'a str, Hash>,
    /// What it computes and shares: sub-plans, orders, types and layouts. Not how many rows it discloses: it would choose its name by them.
    pub what: Hash,
}

impl Part<'_> {
    /// What its dealings go by, at all parties.
    pub fn name(&self) -> Hash {
        let mut text = b"tacit/v1/dealing/part\n".to_vec();
        text.extend(self.roster.0);
        text.extend(self.what.0);
        for word in std::iter::once(&self.owner).chain(self.snapshots.keys()) {
            text.extend((word.len() as u64).to_le_bytes());
            text.extend(word.as_bytes());
        }
        self.snapshots.values().for_each(|snapshot| text.extend(snapshot.0));
        Hash::sha256(&[&text])
    }
}

/// The key under which an owner deals. It has no `Debug`, and is wiped when dropped.
pub(crate) struct Key(Box<Zeroizing<[u8; 32]>>);

impl Key {
    /// That of a part and its inputs: HKDF-SHA-256, a pseudo-random function, of the node's secret key. `inputs` is a hash of all inputs in clear, with types and layouts: other inputs have another key, whatever else is the same, so that no key ever masks two.
    pub fn of(identity: &Identity, part: &Part<'_>, inputs: &Hash) -> Self {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        stack::wiped(|| {
            let secret = Zeroizing::new(identity.signing_key().to_bytes());
            let info = [part.name().0, inputs.0].concat();
            Hkdf::<Sha256>::new(Some(b"tacit/v1/dealing/key"), &*secret)
                .expand(&info, key.0.as_mut_slice())
                .expect("32 bytes are an output of HKDF");
        });
        key
    }

    /// What the right peer keeps of it.
    pub fn digest(&self) -> Hash {
        stack::wiped(|| Hash::sha256(&[b"tacit/v1/dealing/digest\n", self.0.as_slice()]))
    }
}

/// What this node was dealt.
pub(crate) struct Dealings {
    folder: PathBuf,
    /// Two jobs on the same part are one after the other.
    noting: Mutex<()>,
}

impl Dealings {
    /// Opens the folder `dealings` of a node's state, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub fn open(state: &Path) -> IoResult<Self> {
        let folder = state.join("dealings");
        std::fs::create_dir_all(&folder)?;
        for file in std::fs::read_dir(&folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|ending| ending == BESIDE) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(Self { folder, noting: Mutex::new(()) })
    }

    /// Notes what was dealt for a part, if it is the first, and compares it if it is not. It is on disk once this returns.
    ///
    /// # Errors
    /// `E_DATA`: the owner dealt otherwise before. Or the record cannot be read or written.
    pub fn note(&self, node: &str, part: &Part<'_>, digest: Hash, job: QueryId) -> Result<(), Refusal> {
        let _noting = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.join(part.name().to_string());
        let failed = |error: Error| {
            let reason = format!("`{node}` cannot keep what was dealt to it in {}: {error}", self.folder.display());
            Refusal::new(Code::Internal, reason, "its operator should look at the disk of its state folder")
        };
        match read(&path).map_err(failed)? {
            None => replace(&path, &[&Record::of(part, digest, job).bytes()]).map(drop).map_err(failed),
            Some(record) if record.digest == digest => Ok(()),
            Some(record) => {
                let sets: Vec<String> = part.snapshots.keys().map(|set| format!("`{set}`")).collect();
                let reason = format!(
                    "`{}` dealt other inputs to `{node}` than in job {}, for the same part of a question on the same snapshot of {}",
                    part.owner,
                    record.job.short(),
                    sets.join(", ")
                );
                Err(Refusal::new(
                    Code::Data,
                    reason,
                    "ask its owner; data that have changed are published as another snapshot, by restarting the node",
                ))
            }
        }
    }

    /// Removes the records of snapshots that are no longer those of their data sets.
    pub fn forget(&self, current: impl Fn(&str) -> Option<Hash>) -> IoResult<()> {
        let _noting = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        for file in std::fs::read_dir(&self.folder)? {
            let path = file?.path();
            let Some(record) = read(&path)? else { continue };
            if record.snapshots.iter().any(|(set, snapshot)| current(set) != Some(*snapshot)) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

struct Record {
    digest: Hash,
    job: QueryId,
    snapshots: Vec<(String, Hash)>,
}

const MAGIC: &str = "tacit/v1/dealing";

impl Record {
    fn of(part: &Part<'_>, digest: Hash, job: QueryId) -> Self {
        Self { digest, job, snapshots: part.snapshots.iter().map(|(set, snapshot)| ((*set).to_owned(), *snapshot)).collect() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{MAGIC}\n{}\n{}\n", self.digest, self.job);
        self.snapshots.iter().for_each(|(set, snapshot)| text += &format!("{snapshot} {set}\n"));
        text.into_bytes()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (MAGIC, digest, job) = (lines.next()?, lines.next()?.parse().ok()?, lines.next()?.parse().ok()?) else { return None };
        let snapshot = |line: &str| line.split_once(' ').and_then(|(snapshot, set)| Some((set.to_owned(), snapshot.parse().ok()?)));
        Some(Self { digest, job, snapshots: lines.map(snapshot).collect::<Option<_>>()? })
    }
}

/// `None` if there is none. A record that cannot be read is not taken for none.
fn read(path: &Path) -> IoResult<Option<Record>> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => Record::parse(&text?).map(Some).ok_or_else(|| Error::other(format!("{} is none of this; restore it", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: QueryId = QueryId(Hash([7; 32]));

    fn part() -> Part<'static> {
        let snapshots = BTreeMap::from([("energy.meters", Hash([1; 32])), ("energy.use", Hash([2; 32]))]);
        Part { roster: Hash([3; 32]), owner: "energy", snapshots, what: Hash([4; 32]) }
    }

    fn others() -> Vec<Part<'static>> {
        let swapped = BTreeMap::from([("energy.meters", Hash([2; 32])), ("energy.use", Hash([1; 32]))]);
        vec![
            Part { roster: Hash([9; 32]), ..part() },
            Part { owner: "health", ..part() },
            Part { what: Hash([9; 32]), ..part() },
            Part { snapshots: swapped, ..part() },
            Part { snapshots: BTreeMap::from([("energy.meters", Hash([1; 32]))]), ..part() },
            Part { snapshots: BTreeMap::from([("energy.meter", Hash([1; 32])), ("senergy.use", Hash([2; 32]))]), ..part() },
        ]
    }

    #[test]
    fn a_key_is_of_all_that_the_inputs_follow_from_and_of_them() {
        let (one, other) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let (part, inputs) = (part(), Hash([5; 32]));
        let mut digests = vec![Key::of(&one, &part, &inputs).digest()];
        assert_eq!(Key::of(&one, &part, &inputs).digest(), digests[0]);
        digests.push(Key::of(&other, &part, &inputs).digest());
        digests.push(Key::of(&one, &part, &Hash([6; 32])).digest());
        digests.extend(others().iter().map(|part| Key::of(&one, part, &inputs).digest()));
        assert!((0..digests.len()).all(|at| !digests[..at].contains(&digests[at])));
    }

    #[test]
    fn what_was_dealt_once_is_taken_and_nothing_else() {
        let state = tempfile::tempdir().expect("a folder");
        let open = || Dealings::open(state.path()).expect("opened");
        let note = |dealings: &Dealings, part: &Part<'_>, digest: u8| dealings.note("health", part, Hash([digest; 32]), JOB);
        let dealings = open();
        assert_eq!(note(&dealings, &part(), 1), Ok(()));
        assert_eq!(note(&dealings, &part(), 1), Ok(()), "as often as it likes");
        // Other parts are other parts.
        assert!(others().iter().all(|part| note(&dealings, part, 2).is_ok()));
        for dealings in [dealings, open()] {
            let refusal = note(&dealings, &part(), 2).expect_err("another dealing");
            assert_eq!(refusal.code, Code::Data);
            for word in ["`energy`", "`health`", "`energy.meters`, `energy.use`", &JOB.short()] {
                assert!(refusal.reason.contains(word), "{word}: {refusal}");
            }
            assert_eq!(note(&dealings, &part(), 1), Ok(()), "after a restart as well");
        }
    }

    #[test]
    fn a_record_goes_with_its_snapshot_and_not_before() {
        let state = tempfile::tempdir().expect("a folder");
        let dealings = Dealings::open(state.path()).expect("opened");
        let digest = |digest: u8| Hash([digest; 32]);
        dealings.note("health", &part(), digest(1), JOB).expect("noted");
        dealings.forget(|set| part().snapshots.get(set).copied()).expect("looked through");
        assert!(dealings.note("health", &part(), digest(2), JOB).is_err(), "it is still there");
        dealings.forget(|set| Some(if set == "energy.use" { Hash([8; 32]) } else { Hash([1; 32]) })).expect("looked through");
        assert_eq!(dealings.note("health", &part(), digest(2), JOB), Ok(()), "one of them is of the past");
        // One that is damaged is not taken for none.
        let path = state.path().join("dealings").join(part().name().to_string());
        std::fs::write(&path, "tacit/v1/dealing\n").expect("written");
        assert_eq!(dealings.note("health", &part(), digest(1), JOB).expect_err("unreadable").code, Code::Internal);
        // Half written: it was not noted.
        std::fs::rename(&path, path.with_extension(BESIDE)).expect("renamed");
        assert_eq!(Dealings::open(state.path()).expect("opened").note("health", &part(), digest(1), JOB), Ok(()));
    }
}
