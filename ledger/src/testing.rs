//! A small city for the tests of this room.

use crate::bytes::Hash;
use crate::checkpoint::{Checkpoint, Head};
use crate::contract::Decimal;
use crate::cosigner::{Cosigner, NamedSigner};
use crate::entry::*;
use crate::key::{KeyKind, VerifierKey};
use crate::replay::Replay;
use crate::sequencer::{Progress, Sequencer};
use crate::tree;
use ed25519_dalek::SigningKey;
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

pub const ORIGIN: &str = "city.example/ledger";
pub const AGENCIES: [&str; 3] = ["energy", "transport", "health"];
pub const PLANNER: &str = "planning-office";

/// The key that goes by this name here.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Hash::sha256(&[b"test key", name.as_bytes()]).0)
}

pub fn vkey(name: &str, kind: KeyKind) -> VerifierKey {
    VerifierKey::new(name, kind, key(name).verifying_key()).expect("a key")
}

pub fn log_key() -> VerifierKey {
    vkey(ORIGIN, KeyKind::Note)
}

pub fn hash(word: &str) -> Hash {
    Hash::sha256(&[word.as_bytes()])
}

pub fn signed(body: Body, by: &[&str]) -> String {
    let first = body.sign(by[0], &key(by[0])).expect("signed");
    by[1..].iter().fold(first, |entry, name| countersign(&entry, name, &key(name)).expect("countersigned"))
}

pub fn member(name: &str) -> Member {
    let cosigner = |what: &str| AGENCIES.contains(&name).then(|| vkey(&format!("{name}/{what}"), KeyKind::Cosignature));
    Member {
        name: name.into(),
        organisation: format!("Office of {name}"),
        role: if AGENCIES.contains(&name) { Role::Agency } else { Role::Planner },
        standing: Standing::Admitted,
        key: vkey(name, KeyKind::Note),
        witness: cosigner("witness"),
        validated: cosigner("validated"),
    }
}

pub fn replay() -> Replay {
    let founders = AGENCIES.iter().chain([&PLANNER]).map(|name| vkey(name, KeyKind::Note)).collect();
    Replay::new(log_key(), founders)
}

pub fn contract(dataset: &str, nonce: u64) -> String {
    let terms = json!({
        "dataset": dataset, "min_group": 10, "nonce": nonce,
        "dp": {"epsilon_per_query_max": "1", "epsilon_month": "1000", "delta": "0.000001", "mode": "required"},
    });
    signed(Body::Contract(Contract { dataset: dataset.into(), terms }), &[owner(dataset).expect("an owner")])
}

pub fn id(entry: &str) -> Hash {
    Entry::parse(entry.as_bytes()).expect("an entry").id
}

pub const DATASETS: [&str; 2] = ["energy.buildings", "health.stays"];

/// Members, contracts and snapshots: what stands in a log before the first job.
pub fn founding() -> Vec<String> {
    let mut entries: Vec<String> =
        AGENCIES.iter().chain([&PLANNER]).map(|name| signed(Body::Member(Box::new(member(name))), &[name])).collect();
    for dataset in DATASETS {
        entries.push(contract(dataset, 1));
        let columns =
            vec![Column { name: "zone".into(), sql_type: "TEXT".into() }, Column { name: "kwh".into(), sql_type: "BIGINT".into() }];
        let data = DataSet { dataset: dataset.into(), snapshot: hash(dataset), columns };
        entries.push(signed(Body::DataSet(data), &[owner(dataset).expect("an owner")]));
    }
    entries
}

pub fn query(word: &str) -> Query {
    Query {
        job: hash(word),
        purpose: "planning of chargers".into(),
        contracts: DATASETS.iter().map(|dataset| id(&contract(dataset, 1))).collect(),
        reads: DATASETS.iter().map(|d| Read { dataset: (*d).into(), snapshot: hash(d), columns: vec!["zone".into()] }).collect(),
        parties: AGENCIES.map(String::from).into(),
        receivers: vec![PLANNER.into()],
        plan_hash: hash("plan"),
        statement: Opening { salt: hash("salt"), value: "SELECT 1".into() }.commitment(),
        expires: 1_900_000_000,
    }
}

pub fn debit(word: &str, dataset: &str) -> Debit {
    let contract = id(&contract(dataset, 1));
    Debit {
        job: hash(word),
        dataset: dataset.into(),
        contract,
        month: "2026-11".into(),
        uses: 1,
        epsilon: 500_000,
        delta: Decimal(1),
        noise: Some(hash(word)),
    }
}

/// A job from question to result: five entries.
pub fn job(word: &str) -> Vec<String> {
    vec![
        signed(Body::Query(query(word)), &[PLANNER]),
        signed(Body::Debit(debit(word, DATASETS[0])), &["energy"]),
        signed(Body::Debit(debit(word, DATASETS[1])), &["health"]),
        signed(Body::Start(Start { job: hash(word), attempt: 1, plan_hash: hash("plan") }), &AGENCIES),
        signed(Body::Result(Outcome { job: hash(word), attempt: 1, result: hash("result") }), &AGENCIES),
    ]
}

/// The checkpoint over these entries, cosigned with both keys of these agencies at `time`.
pub fn checkpoint(entries: &[String], agencies: &[&str], time: u64) -> Checkpoint {
    checkpoint_of(ORIGIN, entries, agencies, time)
}

pub fn checkpoint_of(origin: &str, entries: &[String], agencies: &[&str], time: u64) -> Checkpoint {
    let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(entry.as_bytes())).collect();
    let root = tree::root(&leaves[..], leaves.len() as u64).unwrap_or_else(|never| match never {});
    let head = Head { origin: origin.into(), size: leaves.len() as u64, root };
    let mut note = head.sign(&key(origin)).expect("signed").note().to_owned();
    for name in agencies.iter().flat_map(|agency| [format!("{agency}/witness"), format!("{agency}/validated")]) {
        note.push_str(&format!("{}\n", head.cosign(&name, &key(&name), time).expect("cosigned")));
    }
    Checkpoint::parse(&note).expect("a checkpoint")
}

pub fn named(name: &str, kind: KeyKind) -> NamedSigner {
    NamedSigner::new(name, kind, Box::new(key(name))).expect("a signer")
}

pub fn open_sequencer(folder: &Path) -> Sequencer {
    Sequencer::open(folder, replay(), named(ORIGIN, KeyKind::Note)).expect("opened")
}

pub fn open_cosigner(folder: &Path, agency: &str) -> Cosigner {
    open_cosigner_of(folder, agency, replay())
}

pub fn open_cosigner_of(folder: &Path, agency: &str, beginning: Replay) -> Cosigner {
    let [witness, validated] = ["witness", "validated"].map(|what| named(&format!("{agency}/{what}"), KeyKind::Cosignature));
    Cosigner::open(folder, beginning, witness, validated).expect("opened")
}

/// A sequencer and the agencies' cosigners, as they would be behind their servers.
pub struct City {
    pub folders: TempDir,
    pub sequencer: Sequencer,
    pub cosigners: Vec<Cosigner>,
}

impl City {
    pub fn new() -> Self {
        let folders = TempDir::new().expect("a folder");
        let sequencer = open_sequencer(&folders.path().join("sequencer"));
        let cosigners = AGENCIES.iter().map(|agency| open_cosigner(&folders.path().join(agency), agency)).collect();
        Self { folders, sequencer, cosigners }
    }

    /// A city whose log holds what stands before the first job.
    pub fn founded() -> Self {
        let mut city = Self::new();
        city.append(&founding(), 1_000);
        city
    }

    /// Appends entries, and has the agencies cosign at `now`.
    pub fn append(&mut self, entries: &[String], now: u64) {
        self.seal(entries);
        (0..AGENCIES.len()).for_each(|at| self.cosign(at, now));
    }

    /// Appends entries.
    pub fn seal(&mut self, entries: &[String]) {
        for entry in entries {
            self.sequencer.submit(entry.as_bytes()).expect("it may stand");
        }
        self.sequencer.seal().expect("sealed");
    }

    /// Sends one agency updates until it has cosigned.
    pub fn cosign(&mut self, at: usize, now: u64) {
        for _ in 0..300 {
            let [checkpoint, entries] = self.sequencer.update_for(AGENCIES[at]).expect("an update");
            let [witness, validated] = self.cosigners[at].update(&checkpoint, &entries, now);
            let told = self.sequencer.answered(AGENCIES[at], (witness.status, &witness.body), (validated.status, &validated.body));
            if told.expect("answers") == Progress::Done {
                return;
            }
        }
        panic!("{} never has all", AGENCIES[at]);
    }

    pub fn published(&self) -> Checkpoint {
        self.sequencer.published().expect("published").clone()
    }

    /// Closes a cosigner and opens it again.
    pub fn reopen(&mut self, at: usize) {
        let other = self.folders.path().join("elsewhere");
        drop(std::mem::replace(&mut self.cosigners[at], open_cosigner(&other, AGENCIES[at])));
        let folder = self.folders.path().join(AGENCIES[at]);
        drop(std::mem::replace(&mut self.cosigners[at], open_cosigner(&folder, AGENCIES[at])));
        std::fs::remove_dir_all(other).expect("removed");
    }
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for item in std::fs::read_dir(from).expect("a folder") {
        let item = item.expect("an item");
        let target = to.join(item.file_name());
        match item.file_type().expect("a type").is_dir() {
            true => copy(&item.path(), &target),
            false => drop(std::fs::copy(item.path(), target).expect("copied")),
        }
    }
}
