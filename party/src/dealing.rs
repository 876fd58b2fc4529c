//! What owners dealt for a part of a question on a snapshot: whoever deals other inputs for it a second time is refused.
//!
//! *Whose.* An owner's part of a question is what it computes at home and shares ([`query::dealing`]). On the same snapshots it has the same rows, so an owner deals them under the same
//! key again ([`Secret::key`]), and both peers see the same: its right peer the key, its left peer the other component ([`protocols::Ahead`]). The owner says digests of both before it deals, the latter's under a salt that it tells the left peer alone, and signs them with the name of the part ([`Part::name`], [`Dealt`]);
//! each peer holds what it sees against its digest, keeps both with the signature under the name, and takes nothing else under it from then on. The two digests together fix both components, and so the inputs, from the first dealing on.
//! Two signatures under one name are evidence that anybody can check who has the question, and are kept; a refusal without them convicts nobody.
//!
//! *What it does not say.* Nobody but the owner sees its rows in clear, and no share is kept: that the first dealing is of the snapshot whose root stands in the log is not checked. Nor is what an owner states in the joint stage beside the inputs: the orders
//! of its rows (`permute_by`), whether a key repeats (`has_repeats`), and what it asks with and offers in look-ups by known keys (`retrieve`), which are masked anew in each session. Nor are parts of which it does not follow from the plan that
//! the same data make the same of them.
//!
//! *What a record says.* Digests of a pseudo-random key and, under a salt that is pseudo-random as well, of what went to the left peer: nothing about the rows, to anybody who has not both components. That the salt is needed: the right peer knows the masks, and could try
//! inputs of few values until one has the digest. Neither peer can compute what the other was told.
//!
//! *When.* It is compared, and noted on disk, as soon as it is said, before any row is dealt, and after numbers of rows were disclosed, if any are: so an owner sees these before its first dealing, but one that ends an attempt after that deals the same again. All parts of an answer are needed to open it, and a party's leaves it
//! only behind its note: no answer is opened for a dealing that is not noted by both peers. An honest owner deals the same however often an attempt is broken off, so that no note binds it to what it would not deal again.
//!
//! ```text
//! dealings/FILE            the digests, their signature, the job of the first dealing, the snapshots that it was on
//! dealings/FILE.evidence   the owner, the name of the part, and two such records
//! ```
//!
//! FILE is a pseudo-random function of the name: a name is a hash of what is asked.
//!
//! Records go once the log names other snapshots of their data sets: a new version is a new name, and the log says who published it, and when; also if an owner goes back to an older one.

use crate::disk::{BESIDE, replace};
use hkdf::Hkdf;
use ledger::bytes::{Base64, Hash};
use mpc_core::establish::ENGINE_VERSION;
use mpc_core::identity::{Identity, PublicKey};
use mpc_core::stack;
use query::message::{Code, QueryId, Refusal};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// An owner's part of a question, on its snapshots, among the parties of a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// Who is right of whom follows from it: somebody who was an owner's right peer by one roster and its left by another would have both components under one key.
    pub roster: Hash,
    /// With what it pins of public tables.
    pub catalog: Hash,
    pub owner: &'a str,
    /// The snapshots of its data sets that the question reads.
    pub snapshots: BTreeMap<&'a str, Hash>,
    /// What it computes and shares ([`query::dealing::part`]).
    pub what: Hash,
}

impl Part<'_> {
    /// What its dealings go by, at all parties.
    pub fn name(&self) -> Hash {
        let mut text = b"tacit/v1/dealing/part\n".to_vec();
        text.extend(ENGINE_VERSION.to_le_bytes());
        [self.roster, self.catalog, self.what].iter().for_each(|hash| text.extend(hash.0));
        for word in std::iter::once(&self.owner).chain(self.snapshots.keys()) {
            text.extend((word.len() as u64).to_le_bytes());
            text.extend(word.as_bytes());
        }
        self.snapshots.values().for_each(|snapshot| text.extend(snapshot.0));
        Hash::sha256(&[&text])
    }
}

/// What an owner tells one peer of a dealing, and not the other: its right peer the key under which it deals, its left peer the salt. It has no `Debug`, and is wiped when dropped.
pub(crate) struct Secret(Box<Zeroizing<[u8; 32]>>);

impl Secret {
    /// The key of a part and its inputs: HKDF-SHA-256, a pseudo-random function, of the node's secret key. `inputs` is a hash of all inputs in clear, with types and layouts: other inputs have another key, whatever else is the same, so that no key ever masks two.
    pub fn key(identity: &Identity, part: &Part<'_>, inputs: &[u8; 32]) -> Self {
        Self::of(b"tacit/v1/dealing/key", identity, part, inputs)
    }

    /// The salt of the digest of what goes to the left peer, likewise.
    pub fn salt(identity: &Identity, part: &Part<'_>, inputs: &[u8; 32]) -> Self {
        Self::of(b"tacit/v1/dealing/salt", identity, part, inputs)
    }

    fn of(label: &[u8], identity: &Identity, part: &Part<'_>, inputs: &[u8; 32]) -> Self {
        Self::derived(label, identity, &Zeroizing::new([part.name().0, *inputs].concat()))
    }

    fn derived(label: &[u8], identity: &Identity, info: &[u8]) -> Self {
        let mut secret = Self(Box::new(Zeroizing::new([0; 32])));
        stack::wiped(|| {
            let signing = Zeroizing::new(identity.signing_key().to_bytes());
            Hkdf::<Sha256>::new(Some(label), &*signing).expand(info, secret.0.as_mut_slice()).expect("32 bytes are an output of HKDF");
        });
        secret
    }

    /// One that a peer told.
    pub fn told(bytes: &[u8; 32]) -> Self {
        let mut secret = Self(Box::new(Zeroizing::new([0; 32])));
        secret.0.copy_from_slice(bytes);
        secret
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn into_bytes(self) -> Box<Zeroizing<[u8; 32]>> {
        self.0
    }

    /// What is said and kept of a key.
    pub fn digest(&self) -> Hash {
        stack::wiped(|| Hash::sha256(&[b"tacit/v1/dealing/digest\n", self.0.as_slice()]))
    }
}

/// What an owner says of a dealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dealt {
    /// A digest of what goes to its left peer, under a salt.
    pub left: Hash,
    /// That of its key.
    pub key: Hash,
    /// The owner's, over the name of the part and both.
    pub signature: [u8; 64],
}

impl Dealt {
    /// As the owner says it.
    pub fn signed(identity: &Identity, part: &Part<'_>, left: Hash, key: Hash) -> Self {
        Self { left, key, signature: identity.sign(&statement(part, &left, &key)) }
    }

    /// Whether the owner has signed it.
    pub fn is_signed(&self, part: &Part<'_>, owner: &PublicKey) -> bool {
        owner.verify(&statement(part, &self.left, &self.key), &self.signature).is_ok()
    }
}

fn statement(part: &Part<'_>, left: &Hash, key: &Hash) -> Vec<u8> {
    [&b"tacit/v1/dealing\n"[..], &part.name().0, &left.0, &key.0].concat()
}

/// What this node was dealt.
pub(crate) struct Dealings {
    folder: PathBuf,
    identity: Arc<Identity>,
    /// Two jobs on the same part are one after the other. The snapshots by which records were forgotten last.
    noting: Mutex<Option<BTreeMap<String, Hash>>>,
}

impl Dealings {
    /// Opens the folder `dealings` of a node's state, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub fn open(state: &Path, identity: Arc<Identity>) -> IoResult<Self> {
        let folder = state.join("dealings");
        std::fs::create_dir_all(&folder)?;
        for file in std::fs::read_dir(&folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|ending| ending == BESIDE) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(Self { folder, identity, noting: Mutex::new(None) })
    }

    /// Where a part's record is. The name of a part follows from the question: whoever has the folder alone is not to try questions by it.
    fn path(&self, part: &Part<'_>) -> PathBuf {
        self.folder.join(Hash(*Secret::derived(b"tacit/v1/dealing/file", &self.identity, &part.name().0).bytes()).to_string())
    }

    /// Notes what was dealt for a part, if it is the first, and compares it if it is not. It is on disk once this returns. Nothing is noted on snapshots that are not `current`: what was dealt on them is forgotten.
    ///
    /// # Errors
    /// `E_DATA`: the owner dealt otherwise before, or its data were published anew since. Or the record cannot be read or written.
    pub fn note(&self, node: &str, part: &Part<'_>, dealt: &Dealt, job: QueryId, current: impl FnOnce() -> bool) -> Result<(), Refusal> {
        let _noting = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(part);
        let sets: Vec<String> = part.snapshots.keys().map(|set| format!("`{set}`")).collect();
        let sets = sets.join(", ");
        if !current() {
            return Err(Refusal::new(Code::Data, format!("the log names another snapshot of {sets} than the question"), "ask again"));
        }
        let failed = |error: Error| {
            let reason = format!("`{node}` cannot keep what was dealt to it in {}: {error}", self.folder.display());
            Refusal::new(Code::Internal, reason, "its operator should look at the disk of its state folder")
        };
        let Some(record) = read(&path).map_err(failed)? else {
            return replace(&path, &[&Record::of(part, dealt, job).bytes()]).map(drop).map_err(failed);
        };
        if (record.left, record.key) == (dealt.left, dealt.key) {
            return Ok(());
        }
        let evidence = path.with_extension(EVIDENCE);
        if !evidence.try_exists().map_err(failed)? {
            let both = [evidence_of(part).as_bytes(), &record.bytes(), &Record::of(part, dealt, job).bytes()].concat();
            replace(&evidence, &[&both]).map_err(failed)?;
        }
        tracing::warn!(owner = part.owner, job = %job.short(), first = %record.job.short(), evidence = %evidence.display(), "an owner signed two dealings of one part");
        let reason = format!(
            "`{}` deals other inputs than it did before, for the same part of a question on the same snapshot of {sets}; `{node}` has its signatures of both",
            part.owner
        );
        Err(Refusal::new(
            Code::Data,
            reason,
            "ask its owner; data that have changed are published as another snapshot, by restarting the node",
        ))
    }

    /// Removes the records of snapshots in whose place the log names others; looks through them only if it names others than the last time.
    ///
    /// # Errors
    /// The folder cannot be read, or a record removed.
    pub fn forget(&self, snapshots: &BTreeMap<String, Hash>) -> IoResult<()> {
        let mut last = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(snapshots) {
            return Ok(());
        }
        for file in std::fs::read_dir(&self.folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|ending| ending == EVIDENCE) {
                continue;
            }
            let Some(record) = read(&path)? else { continue };
            if record.snapshots.iter().any(|(set, snapshot)| snapshots.get(set).is_some_and(|current| current != snapshot)) {
                std::fs::remove_file(path)?;
            }
        }
        *last = Some(snapshots.clone());
        Ok(())
    }
}

struct Record {
    left: Hash,
    key: Hash,
    signature: Base64,
    job: QueryId,
    snapshots: Vec<(String, Hash)>,
}

const MAGIC: &str = "tacit/v1/dealing";
/// The ending of two records of one part, which stay.
const EVIDENCE: &str = "evidence";

/// Whose, and the name that the signatures are over.
fn evidence_of(part: &Part<'_>) -> String {
    format!("tacit/v1/dealing/evidence\n{} {}\n", part.name(), part.owner)
}

impl Record {
    fn of(part: &Part<'_>, dealt: &Dealt, job: QueryId) -> Self {
        let snapshots = part.snapshots.iter().map(|(set, snapshot)| ((*set).to_owned(), *snapshot)).collect();
        Self { left: dealt.left, key: dealt.key, signature: Base64(dealt.signature.to_vec()), job, snapshots }
    }

    /// What was signed, but for the name of the part.
    fn evidence(&self) -> String {
        format!("{} {} {}", self.left, self.key, self.signature)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{MAGIC}\n{}\n{}\n", self.evidence(), self.job);
        self.snapshots.iter().for_each(|(set, snapshot)| text += &format!("{snapshot} {set}\n"));
        text.into_bytes()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (MAGIC, dealt, job) = (lines.next()?, lines.next()?, lines.next()?.parse().ok()?) else { return None };
        let mut dealt = dealt.split(' ');
        let (left, key, signature) = (dealt.next()?.parse().ok()?, dealt.next()?.parse().ok()?, dealt.next()?.parse().ok()?);
        let snapshot = |line: &str| line.split_once(' ').and_then(|(snapshot, set)| Some((set.to_owned(), snapshot.parse().ok()?)));
        let record = Self { left, key, signature, job, snapshots: lines.map(snapshot).collect::<Option<_>>()? };
        dealt.next().is_none().then_some(record)
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
        Part { roster: Hash([3; 32]), catalog: Hash([5; 32]), owner: "energy", snapshots, what: Hash([4; 32]) }
    }

    fn others() -> Vec<Part<'static>> {
        let swapped = BTreeMap::from([("energy.meters", Hash([2; 32])), ("energy.use", Hash([1; 32]))]);
        vec![
            Part { roster: Hash([9; 32]), ..part() },
            Part { catalog: Hash([9; 32]), ..part() },
            Part { owner: "health", ..part() },
            Part { what: Hash([9; 32]), ..part() },
            Part { snapshots: swapped, ..part() },
            Part { snapshots: BTreeMap::from([("energy.meters", Hash([1; 32]))]), ..part() },
            Part { snapshots: BTreeMap::from([("energy.meter", Hash([1; 32])), ("senergy.use", Hash([2; 32]))]), ..part() },
        ]
    }

    fn dealt(part: &Part<'_>, left: u8, key: u8) -> Dealt {
        Dealt::signed(&Identity::from_seed(&[1; 32]), part, Hash([left; 32]), Hash([key; 32]))
    }

    #[test]
    fn key_and_salt_are_of_all_that_the_inputs_follow_from_and_of_them() {
        let (one, other) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let (part, inputs) = (part(), [5; 32]);
        let mut digests = Vec::new();
        for of in [Secret::key, Secret::salt] {
            let digest = |identity, part, inputs| of(identity, part, inputs).digest();
            digests.push(digest(&one, &part, &inputs));
            assert_eq!(Some(&digest(&one, &part, &inputs)), digests.last());
            assert_eq!(Some(&Secret::told(of(&one, &part, &inputs).bytes()).digest()), digests.last());
            // nothing that is said gives the other
            assert_ne!(Hash(*of(&one, &part, &inputs).bytes()), digests[0]);
            digests.push(digest(&other, &part, &inputs));
            digests.push(digest(&one, &part, &[6; 32]));
            digests.extend(others().iter().map(|part| digest(&one, part, &inputs)));
        }
        assert!((0..digests.len()).all(|at| !digests[..at].contains(&digests[at])));
    }

    #[test]
    fn a_signature_is_of_one_dealing_of_one_part() {
        let owner = Identity::from_seed(&[1; 32]).public();
        let signed = dealt(&part(), 1, 2);
        assert!(signed.is_signed(&part(), &owner));
        assert!(!signed.is_signed(&part(), &Identity::from_seed(&[2; 32]).public()));
        assert!(others().iter().all(|other| !signed.is_signed(other, &owner)));
        let (left, key) = (signed.left, signed.key);
        for changed in
            [Dealt { left: key, ..signed.clone() }, Dealt { key: left, ..signed.clone() }, Dealt { left: key, key: left, ..signed.clone() }]
        {
            assert!(!changed.is_signed(&part(), &owner));
        }
    }

    #[test]
    fn what_was_dealt_once_is_taken_and_nothing_else() {
        let state = tempfile::tempdir().expect("a folder");
        let open = || Dealings::open(state.path(), Arc::new(Identity::from_seed(&[3; 32]))).expect("opened");
        let note = |dealings: &Dealings, part: &Part<'_>, left, key| dealings.note("health", part, &dealt(part, left, key), JOB, || true);
        let dealings = open();
        assert_eq!(note(&dealings, &part(), 1, 1), Ok(()));
        assert_eq!(note(&dealings, &part(), 1, 1), Ok(()), "as often as it likes");
        // Other parts are other parts.
        assert!(others().iter().all(|part| note(&dealings, part, 2, 2).is_ok()));
        for dealings in [dealings, open()] {
            for (left, key) in [(2, 2), (1, 2), (2, 1)] {
                let refusal = note(&dealings, &part(), left, key).expect_err("another dealing");
                assert_eq!(refusal.code, Code::Data);
                for word in ["`energy`", "`health`", "`energy.meters`, `energy.use`"] {
                    assert!(refusal.reason.contains(word), "{word}: {refusal}");
                }
                assert!(!refusal.to_string().contains(&JOB.short()), "who asked before is not told");
            }
            assert_eq!(note(&dealings, &part(), 1, 1), Ok(()), "after a restart as well");
        }
        // What convicts the owner stays, and its own name is not that of the file.
        let dealings = open();
        dealings.forget(&BTreeMap::from([("energy.use".to_owned(), Hash([9; 32]))])).expect("looked through");
        let kept: Vec<PathBuf> =
            std::fs::read_dir(state.path().join("dealings")).expect("a folder").map(|file| file.expect("a file").path()).collect();
        let evidence = kept.iter().find(|path| path.extension().is_some()).expect("evidence");
        assert!(!evidence.to_string_lossy().contains(&part().name().to_string()));
        let text = std::fs::read_to_string(evidence).expect("a text");
        let signed: Vec<Dealt> = text.lines().filter_map(signed_line).collect();
        assert_eq!(signed.len(), 2);
        let owner = Identity::from_seed(&[1; 32]).public();
        assert!(signed.iter().all(|dealt| dealt.is_signed(&part(), &owner)) && signed[0] != signed[1]);
        assert!(text.contains(&format!("{} energy\n", part().name())));
    }

    fn signed_line(line: &str) -> Option<Dealt> {
        let words: Vec<&str> = line.split(' ').collect();
        let [left, key, signature] = words[..] else { return None };
        let Base64(signature) = signature.parse().ok()?;
        Some(Dealt { left: left.parse().ok()?, key: key.parse().ok()?, signature: signature.try_into().ok()? })
    }

    #[test]
    fn nothing_is_noted_on_a_snapshot_that_is_over() {
        let state = tempfile::tempdir().expect("a folder");
        let dealings = Dealings::open(state.path(), Arc::new(Identity::from_seed(&[3; 32]))).expect("opened");
        let note = |of, current: bool| dealings.note("health", &part(), &dealt(&part(), of, of), JOB, || current);
        note(1, true).expect("noted");
        // A job that was admitted before, and comes to deal after: its record is gone, and so is the snapshot.
        dealings.forget(&BTreeMap::from([("energy.meters".to_owned(), Hash([9; 32]))])).expect("looked through");
        let refusal = note(2, false).expect_err("over");
        assert!(refusal.code == Code::Data && refusal.reason.contains("another snapshot"), "{refusal}");
        assert_eq!(std::fs::read_dir(state.path().join("dealings")).expect("a folder").count(), 0);
    }

    #[test]
    fn a_record_goes_with_its_snapshot_and_not_before() {
        let state = tempfile::tempdir().expect("a folder");
        let open = || Dealings::open(state.path(), Arc::new(Identity::from_seed(&[3; 32]))).expect("opened");
        let dealings = open();
        let note = |dealings: &Dealings, of: u8| dealings.note("health", &part(), &dealt(&part(), of, of), JOB, || true);
        note(&dealings, 1).expect("noted");
        let log =
            |meters, used| BTreeMap::from([("energy.meters".to_owned(), Hash([meters; 32])), ("energy.use".to_owned(), Hash([used; 32]))]);
        for snapshots in [log(1, 2), BTreeMap::new()] {
            dealings.forget(&snapshots).expect("looked through");
            assert!(note(&dealings, 2).is_err(), "it is still there");
        }
        dealings.forget(&log(1, 8)).expect("looked through");
        assert_eq!(note(&dealings, 2), Ok(()), "one of them is of the past");
        // One that is damaged is not taken for none.
        let path = dealings.path(&part());
        std::fs::write(&path, "tacit/v1/dealing\n").expect("written");
        assert_eq!(note(&dealings, 1).expect_err("unreadable").code, Code::Internal);
        // Half written: it was not noted.
        std::fs::rename(&path, path.with_extension(BESIDE)).expect("renamed");
        assert_eq!(note(&open(), 1), Ok(()));
    }
}
