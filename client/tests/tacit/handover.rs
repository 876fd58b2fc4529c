//! `tacit ledger hand-over`, from the files of a city whose coordinator is gone to a log that goes on.

use crate::citylog::{base, equal_everywhere, http, ledger, settled};
use crate::fixture::{QUICK, Said, Town, run, text, until};
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
        let beginning = citylog::beginning(&city.join("city.policy"), &roster, None).expect("a log");
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
fn a_city_goes_on_with_the_log_that_was_handed_over() {
    let mut town = Town::invented();
    let table = "health.covid_modzcta";
    town.terms(table, |c| c.max_uses = Some(1));
    town.more_terms(table, "more.contract", |c| c.max_uses = Some(2));
    town.up();
    let begun = settled(&town);
    let said = town.run(&["query", QUICK]);
    assert_eq!(said.code, 0, "{}\n{}", said.err, town.logs());
    equal_everywhere(&town, begun + 4);

    // The coordinator's machine is lost, and the log's key with it.
    let files = town.city.folder().to_owned();
    let at = |name: &str| files.join(name);
    for node in AGENCIES.iter().chain([&"coordinator"]) {
        town.city.kill(node);
    }
    let last = at("last.checkpoint");
    fs::copy(at("coordinator/state/ledger/checkpoint"), &last).expect("copied");
    fs::remove_dir_all(at("coordinator/state")).expect("lost");
    fs::remove_file(at("coordinator/log.key")).expect("lost");
    let (key, over) = (at("coordinator/second.key"), at("second.handover"));
    let made = run(&["key", "new", text(&key)]);
    let first = ["--to", "city/second", "--key", made.out.trim(), "--checkpoint", text(&last)];
    let mut line = String::new();
    for (agency, more) in AGENCIES.iter().zip([&first[..], &[], &[]]) {
        let config = town.city.node_config(agency).expect("its configuration").to_owned();
        let said = run(&[&["ledger", "hand-over", "sign", text(&over), "--config", text(&config)], more].concat());
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        line = said.out.lines().find(|line| line.starts_with("log ")).expect("a line of a policy").into();
    }
    let policy = fs::read_to_string(at("city.policy")).expect("a policy");
    fs::write(at("city.policy"), format!("{line}\n{policy}")).expect("written");
    let goes_on = |node: &str, after: &str, from: &str, to: &str| {
        let config = town.city.node_config(node).expect("its configuration");
        let text = fs::read_to_string(config).expect("read");
        let section = format!("[ledger]\nfolder = \"state/second\"\nhandover = \"../second.handover\"\nafter = [\"{after}\"]\n");
        let (before, rest) = text.split_once("[ledger]").expect("it keeps the log");
        let (_, rest) = rest.split_once('\n').expect("more lines");
        fs::write(config, format!("{before}{section}{rest}").replace(from, to)).expect("written");
    };
    AGENCIES.iter().for_each(|agency| goes_on(agency, "state/ledger", "", ""));
    goes_on("coordinator", "../energy/state/ledger", "\"log.key\"", "\"second.key\"");
    town.up();

    // What stood stands: contracts and snapshots need not be entered again, and what was used is used.
    until(|| ledger(&town).published.filter(|published| *published == 1));
    let (status, standing) = http(&base(&town, "coordinator"), "GET /v1/standing", "");
    let standing: serde_json::Value = serde_json::from_str(&standing).expect("JSON");
    let contracts = fs::read_dir(at("contracts")).expect("a folder").count();
    assert_eq!((status, standing["contracts"].as_array().map(Vec::len)), (200, Some(contracts)), "{standing}");
    assert_eq!(standing["used"].as_object().map(serde_json::Map::len), Some(1), "{standing}");
    for n in 0..2 {
        let said = town.run(&["query", QUICK]);
        let places = format!("entries {} and {} of the log", 1 + 4 * n, 4 + 4 * n);
        assert!(said.code == 0 && said.out.contains(&places), "{places}: {}{}\n{}", said.out, said.err, town.logs());
        // So it does after a restart.
        town.city.kill("coordinator");
        town.city.kill("health");
        town.up();
    }
    let said = town.run(&["query", QUICK]);
    assert!(said.code != 0 && said.err.contains("is used up"), "three answers in all: {}{}", said.out, said.err);
    for agency in AGENCIES {
        let (second, first, roster, policy) =
            (at(agency).join("state/second"), at(agency).join("state/ledger"), at("roster.toml"), at("city.policy"));
        let newest = at("coordinator/state/second/checkpoint");
        let args = ["ledger", "audit", text(&second), "--after", text(&first), "--checkpoint", text(&newest), "--json"];
        let said = run(&[&args[..], &["--policy", text(&policy), "--roster", text(&roster)]].concat());
        let audited: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}{}", said.out, said.err));
        assert_eq!((&audited["entries"]["job-result"], &audited["jobs"]["done"]), (&2.into(), &3.into()), "{agency}: {audited}");
    }
    let said = town.run(&["doctor"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

/// A mirror's own checkpoint has its own cosignatures alone, and the coordinator does not run.
#[test]
fn without_a_coordinator_a_checkpoint_must_be_given() {
    let city = City::new();
    let (mirror, config) = (city.path("city/health/state/ledger"), city.path("city/energy/party.toml"));
    let said = run(&["ledger", "restore", text(&mirror), "--config", text(&config)]);
    assert!(said.code != 0 && said.err.contains("--checkpoint FILE") && !said.err.contains("E_LEDGER_QUORUM"), "{}{}", said.out, said.err);
}

#[test]
fn a_lost_mark_is_written_again() {
    let city = City::new();
    let (state, config) = (city.path("city/energy/state"), city.path("city/energy/party.toml"));
    let restore = || {
        let (mirror, checkpoint) = (city.path("city/health/state/ledger"), city.path("city/coordinator/state/ledger/checkpoint"));
        run(&["ledger", "restore", text(&mirror), "--checkpoint", text(&checkpoint), "--config", text(&config)])
    };
    let mark = fs::read(state.join("ledger.mark")).expect("a mark");
    let doctor = || run(&["doctor", text(&config)]).out;
    assert!(doctor().contains("witness and mirror of"), "{}", doctor());
    fs::remove_file(state.join("ledger.mark")).expect("removed");
    assert!(
        doctor().contains("E_LEDGER_ROLLBACK")
            && doctor().contains("stops its node and restores it")
            && doctor().contains("tacit ledger restore"),
        "{}",
        doctor()
    );
    let said = restore();
    assert!(said.code == 0 && said.out.contains("forgotten nothing") && said.out.contains("is written again"), "{}{}", said.out, said.err);
    assert_eq!(fs::read(state.join("ledger.mark")).expect("a mark again"), mark);
    let roster = Roster::load(city.path("city/roster.toml")).expect("a roster");
    let beginning = citylog::beginning(&city.path("city/city.policy"), &roster, None).expect("a log");
    assert!(mirror(city.folder.path(), "energy", "state/ledger", beginning).sure().is_ok(), "its node cosigns from its start");
    let said = restore();
    assert!(said.code == 0 && !said.out.contains("written again"), "{}{}", said.out, said.err);
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
