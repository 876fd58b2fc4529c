//! `tacit ledger hand-over`, from the files of a city whose coordinator is gone to a log that goes on.

use crate::fixture::{Said, run, text};
use crate::log::cosign;
use ledger::cosigner::Cosigner;
use ledger::key::{KeyKind, VerifierKey};
use ledger::replay::Replay;
use ledger::sequencer::Sequencer;
use mpc_core::identity::Identity;
use mpc_core::roster::Roster;
use query::citylog;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const AGENCIES: [&str; 3] = ["transport", "energy", "health"];

/// A city as `tacit init` makes it, and its log as the nodes would have kept it.
struct City {
    folder: TempDir,
    old: Sequencer,
}

impl City {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let city = folder.path().join("city");
        assert_eq!(run(&["init", text(&city)]).code, 0);
        let roster = Roster::load(city.join("roster.toml")).expect("a roster");
        let beginning = citylog::beginning(&city.join("city.policy"), &roster).expect("a log");
        let signer = citylog::signer(beginning.log().name(), KeyKind::Note, &city.join("coordinator/log.key")).expect("a key");
        let mut old = Sequencer::open(&city.join("coordinator/state/ledger"), beginning.clone(), signer).expect("opened");
        for name in AGENCIES.iter().chain([&"planning-office"]) {
            let entry = fs::read(city.join(format!("founding/{name}.entry"))).expect("an entry");
            old.submit(&entry).expect("it may stand");
        }
        old.seal().expect("sealed");
        for name in AGENCIES {
            cosign(&mut old, name, &mut mirror(folder.path(), name, "state/ledger", beginning.clone()));
        }
        Self { folder, old }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sign(&self, file: &Path, agency: &str, more: &[&str]) -> Said {
        let config = self.path(&format!("city/{agency}/party.toml"));
        run(&[&["ledger", "hand-over", "sign", text(file), "--config", text(&config)], more].concat())
    }

    fn found(&self, folder: &Path, handover: &Path, key: &Path) -> Said {
        let after = self.path("city/health/state/ledger");
        let (policy, roster) = (self.path("city/city.policy"), self.path("city/roster.toml"));
        let args = ["ledger", "hand-over", "found", text(folder), "--handover", text(handover), "--after", text(&after)];
        run(&[&args[..], &["--key", text(key), "--policy", text(&policy), "--roster", text(&roster)]].concat())
    }
}

fn mirror(folder: &Path, agency: &str, log: &str, beginning: Replay) -> Cosigner {
    let home = folder.join("city").join(agency);
    let signer = |name: String, key: &str| citylog::signer(&name, KeyKind::Cosignature, &home.join(key)).expect("a key");
    let witness = signer(citylog::witness_name(agency), "witness.key");
    let validated = signer(citylog::validated_name(agency), "validated.key");
    Cosigner::open(&home.join(log), beginning, witness, validated).expect("opened")
}

#[test]
fn agencies_hand_a_log_over_and_another_begins_with_it() {
    let city = City::new();
    let (key, file, second) = (city.path("second.key"), city.path("second.handover"), city.path("second"));
    let made = run(&["key", "new", text(&key)]);
    assert_eq!(made.code, 0, "{}", made.err);
    let public = made.out.trim();
    // The coordinator is gone. Each agency's checkpoint has its own cosignatures; together they are a quorum's.
    let held = AGENCIES.map(|name| city.path(&format!("city/{name}/state/ledger/checkpoint")));
    let to = ["--to", "demo-city/second", "--key", public];
    let all: Vec<&str> = to.into_iter().chain(held.iter().flat_map(|held| ["--checkpoint", text(held)])).collect();
    let said = city.sign(&file, "energy", &to);
    assert!(said.code == 2 && said.err.contains("is a new file: give --to, --key and --checkpoint"), "{}", said.err);
    let alone = city.sign(&file, "energy", &all[..6]);
    assert!(alone.code == 1 && alone.err.contains("E_LEDGER_QUORUM") && !file.exists(), "{}", alone.err);

    let said = city.sign(&file, "energy", &all);
    assert!(said.code == 0 && said.out.contains("It takes 2 signatures more"), "{}{}", said.out, said.err);
    let said = city.sign(&file, "energy", &[]);
    assert_eq!(said.code, 1, "it signed already: {}", said.out);
    let other = city.path("other.handover");
    let elsewhere: Vec<&str> = all.iter().map(|arg| if *arg == "demo-city/second" { "demo-city/third" } else { *arg }).collect();
    let said = city.sign(&other, "energy", &elsewhere);
    assert!(said.code == 1 && said.err.contains("E_LEDGER_HANDOVER") && said.err.contains("signs no second one"), "{}", said.err);
    let said = city.sign(&file, "transport", &all);
    assert!(said.code == 2 && said.err.contains("it is there already"), "{}", said.err);
    assert_eq!(city.sign(&file, "transport", &[]).code, 0);
    let early = city.found(&second, &file, &key);
    assert!(early.code == 1 && early.err.contains("E_LEDGER_SIGNATURE") && !second.exists(), "{}", early.err);
    let said = city.sign(&file, "health", &[]);
    assert!(said.code == 0 && said.out.contains("That is a quorum"), "{}{}", said.out, said.err);
    let line = said.out.lines().find(|line| line.starts_with("log ")).expect("a line of a policy");

    let wrong = city.found(&second, &file, &city.path("city/coordinator/log.key"));
    assert!(wrong.code == 2 && wrong.err.contains("the hand-over is to demo-city/second+"), "{}", wrong.err);
    let said = city.found(&second, &file, &key);
    assert!(said.code == 0 && said.out.contains("goes on where demo-city/ledger ended, at 4 entries"), "{}{}", said.out, said.err);
    assert_eq!(city.found(&second, &file, &key).code, 2, "nothing is overwritten");

    // The agencies cosign it; then an audit of both finds nothing wrong.
    let name = "demo-city/second";
    let identity = Identity::load(&key).expect("the key");
    let log = VerifierKey::new(name, KeyKind::Note, identity.public().verifying_key()).expect("a key");
    assert_eq!(line, format!("log {log}"));
    let beginning = city.old.replay().succeed(log, city.old.store().root());
    let signer = citylog::signer(name, KeyKind::Note, &key).expect("a key");
    let mut new = Sequencer::open(&second, beginning.clone(), signer).expect("opened");
    for agency in AGENCIES {
        cosign(&mut new, agency, &mut mirror(city.folder.path(), agency, "state/second", beginning.clone()));
    }
    let (policy, both) = (city.path("city/city.policy"), city.path("both.policy"));
    fs::write(&both, format!("{line}\n{}", fs::read_to_string(&policy).expect("a policy"))).expect("written");
    let (roster, before) = (city.path("city/roster.toml"), city.path("city/energy/state/ledger"));
    let audit = run(&["ledger", "audit", text(&second), "--after", text(&before), "--policy", text(&both), "--roster", text(&roster)]);
    assert!(audit.code == 0 && audit.out.contains("handover"), "{}{}", audit.out, audit.err);
}

#[test]
fn what_is_no_hand_over_is_said() {
    let city = City::new();
    let file = city.path("a.handover");
    fs::copy(city.path("city/founding/energy.entry"), &file).expect("copied");
    let said = city.sign(&file, "energy", &[]);
    assert!(said.code == 2 && said.err.contains("it is an entry of another kind"), "{}", said.err);
    fs::write(&file, "nothing\n").expect("written");
    let said = city.sign(&file, "energy", &[]);
    assert!(said.code == 2 && said.err.contains("it is no hand-over"), "{}", said.err);
}
