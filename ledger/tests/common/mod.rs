//! A log of one agency, for the tests that look at the room from outside.

use ed25519_dalek::SigningKey;
use ledger::bytes::Hash;
use ledger::cosigner::{Cosigner, NamedSigner};
use ledger::entry::{Body, Contract, Member, Role, Standing};
use ledger::key::{KeyKind, VerifierKey};
use ledger::replay::Replay;
use ledger::sequencer::{Progress, Sequencer};
use std::path::Path;

pub const ORIGIN: &str = "city.example/ledger";

pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Hash::sha256(&[name.as_bytes()]).0)
}

pub fn vkey(name: &str, kind: KeyKind) -> VerifierKey {
    VerifierKey::new(name, kind, key(name).verifying_key()).expect("a key")
}

fn named(name: &str, kind: KeyKind) -> NamedSigner {
    NamedSigner::new(name, kind, Box::new(key(name))).expect("a signer")
}

pub fn beginning() -> Replay {
    Replay::new(vkey(ORIGIN, KeyKind::Note), vec![vkey("energy", KeyKind::Note)])
}

pub fn sequencer(folder: &Path) -> Sequencer {
    Sequencer::open(folder, beginning(), named(ORIGIN, KeyKind::Note)).expect("opened")
}

pub fn cosigner(folder: &Path) -> Cosigner {
    let [witness, validated] = ["energy/witness", "energy/validated"].map(|name| named(name, KeyKind::Cosignature));
    Cosigner::open(folder, beginning(), witness, validated).expect("opened")
}

/// The n-th entry: the agency, then one contract after the other.
pub fn entry(n: u64) -> String {
    let body = match n {
        0 => Body::Member(Box::new(Member {
            name: "energy".into(),
            organisation: "Office of Energy".into(),
            role: Role::Agency,
            standing: Standing::Admitted,
            key: vkey("energy", KeyKind::Note),
            witness: Some(vkey("energy/witness", KeyKind::Cosignature)),
            validated: Some(vkey("energy/validated", KeyKind::Cosignature)),
        })),
        _ => {
            let terms = serde_json::json!({"dataset": "energy.buildings", "nonce": n});
            Body::Contract(Contract { dataset: "energy.buildings".into(), terms })
        }
    };
    body.sign("energy", &key("energy")).expect("signed")
}

/// Appends entries up to `size`.
pub fn grow(sequencer: &mut Sequencer, size: u64) {
    for n in sequencer.head().size..size {
        sequencer.submit(entry(n).as_bytes()).expect("it may stand");
    }
    sequencer.seal().expect("sealed");
}

/// Has the cosigner cosign.
pub fn cosign(sequencer: &mut Sequencer, cosigner: &mut Cosigner, now: u64) {
    for _ in 0..100 {
        let [checkpoint, entries] = sequencer.update_for("energy").expect("an update");
        let [w, v] = cosigner.update(&checkpoint, &entries, now);
        if sequencer.answered("energy", (w.status, &w.body), (v.status, &v.body)).expect("answered") == Progress::Done {
            return;
        }
    }
    panic!("it never has all");
}
