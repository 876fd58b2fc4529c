//! A city's log as the library makes it, in files.

use crate::fixture::{Said, run, text};
use ledger::bytes::Hash;
use ledger::checkpoint::Checkpoint;
use ledger::cosigner::{Cosigner, NamedSigner};
use ledger::entry::{Body, Contract, Member, Role, Standing};
use ledger::key::{KeyKind, VerifierKey};
use ledger::replay::Replay;
use ledger::sequencer::{Progress, Sequencer};
use ledger::store::Tiles;
use ledger::tile::Tile;
use mpc_core::identity::Identity;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const ORIGIN: &str = "city.example/ledger";
pub const AGENCIES: [&str; 3] = ["transport", "energy", "health"];
pub const PLANNER: &str = "planning-office";
pub const NOW: u64 = 1_800_000_000;

/// A city's files, and its log.
pub struct City {
    pub folder: TempDir,
    pub log: Sequencer,
    pub cosigners: Vec<Cosigner>,
}

pub fn key(name: &str) -> Identity {
    Identity::from_seed(&Hash::sha256(&[name.as_bytes()]).0)
}

pub fn public(name: &str, kind: KeyKind) -> VerifierKey {
    VerifierKey::new(name, kind, key(name).public().verifying_key()).expect("a key")
}

pub fn named(name: &str, kind: KeyKind) -> NamedSigner {
    NamedSigner::new(name, kind, Box::new(key(name).signing_key().clone())).expect("a signer")
}

pub fn signed(body: &Body, name: &str) -> String {
    body.sign(name, key(name).signing_key()).expect("signed")
}

pub fn contract(n: u64) -> String {
    let terms = serde_json::json!({"dataset": "energy.buildings", "nonce": n});
    signed(&Body::Contract(Contract { dataset: "energy.buildings".into(), terms }), "energy")
}

impl City {
    /// A log with its members and 300 contracts, cosigned.
    pub fn new() -> Self {
        let mut city = Self::founded();
        city.append((0..300).map(contract));
        city
    }

    /// A log with its members alone.
    pub fn founded() -> Self {
        let folder = TempDir::new().expect("a folder");
        let nodes = AGENCIES.iter().zip(1..).map(|(name, port)| {
            format!("[[node]]\nname = \"{name}\"\nrole = \"party\"\nkey = \"{}\"\naddr = \"127.0.0.1:{port}\"\n", key(name).public())
        });
        let coordinator = format!(
            "[[node]]\nname = \"coordinator\"\nrole = \"coordinator\"\nkey = \"{}\"\naddr = \"127.0.0.1:9\"\napi = \"http://127.0.0.1:9\"\n",
            key("coordinator").public()
        );
        let planner = format!("[[planner]]\nname = \"{PLANNER}\"\nkey = \"{}\"\n", key(PLANNER).public());
        let roster = format!("city = \"Ledgerton\"\n{}{coordinator}{planner}", nodes.collect::<String>());
        fs::write(folder.path().join("roster.toml"), roster).expect("written");
        let founders = AGENCIES.iter().chain([&PLANNER]).map(|name| public(name, KeyKind::Note)).collect();
        let beginning = Replay::new(public(ORIGIN, KeyKind::Note), founders);
        let log = Sequencer::open(&folder.path().join("log"), beginning.clone(), named(ORIGIN, KeyKind::Note)).expect("opened");
        let cosigners = AGENCIES.map(|name| open_cosigner(folder.path(), name, beginning.clone())).into();
        let mut city = Self { folder, log, cosigners };
        let cosigner = |name: &str, what| AGENCIES.contains(&name).then(|| public(&format!("{name}/{what}"), KeyKind::Cosignature));
        let member = |name: &str| Member {
            name: name.into(),
            organisation: format!("Office of {name}"),
            role: if AGENCIES.contains(&name) { Role::Agency } else { Role::Planner },
            standing: Standing::Admitted,
            key: public(name, KeyKind::Note),
            witness: cosigner(name, "witness"),
            validated: cosigner(name, "validated"),
        };
        let members: Vec<String> =
            AGENCIES.iter().chain([&PLANNER]).map(|name| signed(&Body::Member(Box::new(member(name))), name)).collect();
        city.append(members);
        fs::write(city.path("policy"), city.log.replay().policy().expect("a policy").to_string()).expect("written");
        city
    }

    pub fn append(&mut self, entries: impl IntoIterator<Item = String>) {
        for entry in entries {
            self.log.submit(entry.as_bytes()).expect("it may stand");
        }
        self.log.seal().expect("sealed");
        for (name, cosigner) in AGENCIES.iter().zip(&mut self.cosigners) {
            cosign(&mut self.log, name, cosigner);
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn published(&self) -> &Checkpoint {
        self.log.published().expect("cosigned")
    }

    /// What a server would hand out, as files.
    pub fn download(&self) -> PathBuf {
        let tiles = self.path("tiles");
        for tile in Tile::all(self.published().head().size) {
            let path = tiles.join(tile.to_string());
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, self.log.store().tile(&tile).expect("a tile")).expect("written");
        }
        fs::write(tiles.join("checkpoint"), self.published().note()).expect("written");
        tiles
    }

    pub fn audit(&self, log: &Path, more: &[&str]) -> Said {
        let (policy, roster) = (self.path("policy"), self.path("roster.toml"));
        let args = ["ledger", "audit", text(log), "--policy", text(&policy), "--roster", text(&roster)];
        run(&[&args[..], more].concat())
    }
}

pub fn open_cosigner(folder: &Path, name: &str, beginning: Replay) -> Cosigner {
    let [witness, validated] = ["witness", "validated"].map(|what| named(&format!("{name}/{what}"), KeyKind::Cosignature));
    Cosigner::open(&folder.join(name), beginning, witness, validated).expect("opened")
}

pub fn cosign(log: &mut Sequencer, name: &str, cosigner: &mut Cosigner) {
    loop {
        let [checkpoint, entries] = log.update_for(name).expect("an update");
        let [w, v] = cosigner.update(&checkpoint, &entries, NOW);
        if log.answered(name, (w.status, &w.body), (v.status, &v.body)).expect("answered") == Progress::Done {
            return;
        }
    }
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
