//! `tacit contract`, from the draft to the end of a contract.

mod terms;

use crate::fixture::{Said, run, text};
use crate::log::{City, NOW, PLANNER, key, public, signed};
use ledger::contract::{Contract, everything};
use ledger::entry::{Body, Entry, Revoke};
use ledger::key::KeyKind;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A city that nobody has started, and a place to work.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a folder") };
        assert_eq!(run(&["init", text(&desk.path("city"))]).code, 0);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn contract(&self, command: &str, args: &[&str]) -> Said {
        run(&[&["contract", command], args].concat())
    }

    /// The options that name roster and catalogue.
    fn shared(&self) -> [String; 4] {
        let path = |name: &str| text(&self.path(name)).to_owned();
        ["--roster".into(), path("city/roster.toml"), "--catalogue".into(), path("city/catalogue.toml")]
    }

    fn new_contract(&self, output: &Path, more: &[&str]) -> Said {
        let shared = self.shared();
        let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
        let fixed = ["--dataset", "energy.example", "--planner", "planning-office", "--output", text(output)];
        self.contract("new", &[&fixed[..], &shared, more].concat())
    }

    fn check(&self, file: &Path) -> Value {
        let shared = self.shared();
        let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
        let said = self.contract("check", &[&[text(file), "--json"][..], &shared].concat());
        let value: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}{}", said.out, said.err));
        assert_eq!(said.code, i32::from(value["ok"] != true), "{value}");
        value
    }

    fn state(&self, file: &Path, more: &[&str]) -> String {
        let said = self.contract("show", &[&[text(file), "--json"][..], more].concat());
        let value: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}{}", said.out, said.err));
        value["state"].as_str().expect("a state").to_owned()
    }

    fn key(&self, name: &str) -> PathBuf {
        self.path(&format!("city/{name}/{name}.key"))
    }

    fn sign(&self, file: &Path, name: &str) -> Said {
        self.contract("sign", &[text(file), "--identity", text(&self.key(name))])
    }

    /// Signs a draft as its agency, and finds what was written.
    fn signed(&self, draft: &Path) -> PathBuf {
        let said = self.sign(draft, "energy");
        assert_eq!(said.code, 0, "{}", said.err);
        said.out.split_once(" is signed by energy.").expect("a file").0.into()
    }
}

#[test]
fn a_contract_is_drafted_signed_countersigned_and_ended() {
    let desk = Desk::new();
    let draft = desk.path("c.draft");
    // Default deny: without `--allow` there is nothing to sign.
    assert_eq!(desk.new_contract(&draft, &[]).code, 0);
    let listed: Value = serde_json::from_str(&std::fs::read_to_string(&draft).expect("the draft")).expect("JSON");
    assert_eq!(listed["columns"], serde_json::json!({"*": [], "amount": [], "zone": []}));
    let found = desk.check(&draft);
    assert!(found["wrong"].to_string().contains("`columns` is empty"), "{found}");
    let said = desk.sign(&draft, "energy");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("is not signed while something is wrong"), "{}", said.err);
    assert_eq!(desk.new_contract(&draft, &[]).code, 2, "nothing is overwritten");

    std::fs::remove_file(&draft).expect("removed");
    let allowed = [
        "--allow",
        "amount=SUM,AVG",
        "--allow",
        "*=COUNT",
        "--countersigned",
        "--join-with",
        "health.*",
        "--max-uses",
        "7",
        "--sizes",
        "bucket",
    ];
    assert_eq!(desk.new_contract(&draft, &allowed).code, 0);
    let found = desk.check(&draft);
    assert_eq!((&found["ok"], &found["state"]), (&Value::from(true), &Value::from("REQUESTED")));
    for sentence in [
        "amount may be averaged and be summed.",
        "Together with health.*.",
        "7 times.",
        "Others may learn about how many rows are left at home.",
        "Nothing else may be done",
    ] {
        assert!(found["allows"].to_string().contains(sentence), "{sentence}: {found}");
    }
    // Only its agency signs a draft.
    let said = desk.sign(&draft, "health");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("not the key that it has for `energy`"), "{}", said.err);
    let contract = desk.signed(&draft);
    let roster = ["--roster", text(&desk.path("city/roster.toml"))].map(str::to_owned);
    let roster: Vec<&str> = roster.iter().map(String::as_str).collect();
    assert_eq!(desk.state(&contract, &roster), "OFFERED");
    assert_eq!(desk.sign(&contract, "health").code, 1, "none of its planners");
    assert_eq!(desk.sign(&contract, "planning-office").code, 0);
    assert_eq!(desk.sign(&contract, "planning-office").code, 1, "once");
    assert_eq!((desk.state(&contract, &[]), desk.state(&contract, &roster)), ("ACCEPTED".into(), "ACCEPTED".into()));
    let policy: Value = serde_json::from_str(&desk.contract("show", &[text(&contract), "--odrl"]).out).expect("JSON-LD");
    assert_eq!(policy["@type"], "Offer", "nobody has agreed");
    // Its agency puts it among those by which its node goes: it is agreed.
    let held = desk.path("held");
    std::fs::create_dir(&held).expect("a folder");
    let contracts = ["--contracts", text(&held)];
    assert_eq!(desk.state(&contract, &contracts), "ACCEPTED", "it is not there");
    std::fs::copy(&contract, held.join("c.contract")).expect("copied");
    assert_eq!(desk.state(&contract, &contracts), "AGREED");
    assert_eq!(desk.state(&contract, &[&roster[..], &contracts].concat()), "VERIFIED");
    let policy: Value =
        serde_json::from_str(&desk.contract("show", &[text(&contract), "--odrl", contracts[0], contracts[1]]).out).expect("JSON-LD");
    assert_eq!(policy["@type"], "Agreement");
    let none = desk.contract("show", &[text(&contract), "--contracts", "/nonexistent"]);
    assert!(none.code == 2 && none.err.contains("there is no such folder"), "{}", none.err);
    assert_eq!(desk.check(&contract)["ok"], true);

    // Its owner ends it, and nobody else.
    let revoke =
        |name: &str| desk.contract("revoke", &[text(&contract), "--identity", text(&desk.key(name)), "--reason", "the pilot is over"]);
    assert_eq!((revoke("planning-office").code, revoke("energy").code), (1, 0));
    assert_eq!(desk.state(&contract, &roster), "TERMINATED");
    let revocation = contract.with_extension("revoke");
    let note = std::fs::read_to_string(&revocation).expect("the revocation");
    assert!(note.starts_with("tacit/revoke/v1\n") && note.contains("the pilot is over"), "{note}");

    // A party takes both as they are: nothing stands then.
    for file in [&contract, &revocation] {
        std::fs::copy(file, desk.path("city/contracts").join(file.file_name().expect("a name"))).expect("copied");
    }
    let doctor = run(&["doctor", text(&desk.path("city/energy/party.toml"))]);
    assert!(doctor.out.contains("3 stand (1 revoked)"), "{}", doctor.out);
}

/// A table's contracts lie beside one another, whichever of them `tacit init` wrote: a plain run and a plain `cp` put a new one there and take none away.
#[test]
fn what_is_signed_never_takes_the_place_of_another_contract() {
    let desk = Desk::new();
    let contracts = desk.path("city/contracts");
    let first = contracts.join("energy.example.contract");
    let before = std::fs::read_to_string(&first).expect("the first contract");
    for place in ["work", "work", "city/contracts"] {
        let draft = desk.path(place).join("energy.example.draft");
        std::fs::create_dir_all(desk.path(place)).expect("a folder");
        std::fs::remove_file(&draft).ok();
        assert_eq!(desk.new_contract(&draft, &["--allow", "amount=SUM"]).code, 0);
        let file = desk.signed(&draft);
        let name = file.file_name().expect("a name").to_owned();
        let note = std::fs::read(&file).expect("a contract");
        let id = Entry::parse(&note).expect("an entry").id;
        assert_eq!(name.to_str(), Some(format!("energy.example.{}.contract", id.short()).as_str()));
        std::fs::write(contracts.join(&name), note).expect("put there");
    }
    assert_eq!(std::fs::read_to_string(&first).expect("it is there"), before);
    let doctor = run(&["doctor", text(&desk.path("city/energy/party.toml"))]);
    assert!(doctor.out.contains("6 stand"), "{}", doctor.out);
    // What a name is given for is not overwritten either.
    let said = desk.contract(
        "sign",
        &[text(&desk.path("work/energy.example.draft")), "--identity", text(&desk.key("energy")), "--output", text(&first)],
    );
    assert!(said.code == 2 && said.err.contains("is not overwritten; name another with --output"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&first).expect("it is there"), before);
}

/// Whoever revokes is told what follows where the note is, and what is left to do.
#[test]
fn a_revocation_says_where_it_is_in_force_and_what_follows() {
    let desk = Desk::new();
    let (folder, config) = (desk.path("city/contracts"), desk.path("city/energy/party.toml"));
    let signed = |name: &str, more: &[&str]| {
        let draft = desk.path(name);
        let said = desk.new_contract(&draft, &[&["--allow", "amount=SUM"], more].concat());
        assert_eq!(said.code, 0, "{}", said.err);
        desk.signed(&draft)
    };
    let revoke = |file: &Path, more: &[&str]| {
        let said = desk.contract("revoke", &[&[text(file), "--identity", text(&desk.key("energy"))], more].concat());
        assert_eq!(said.code, 0, "{}", said.err);
        said.out
    };
    let says = |said: &str, parts: &[&str], not: &[&str]| {
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
        assert!(!not.iter().any(|part| said.contains(part)), "{not:?}: {said}");
    };
    let (sees, log) = ("sees it there within a second: it refuses new questions", "the city's log has it with the next checkpoint");

    // In the folder of the owner's node, whose configuration is beside its key.
    let live = revoke(&folder.join("energy.example.contract"), &[]);
    says(
        &live,
        &["It is in the folder by which `energy`'s node goes (", text(&config), "of the other nodes", sees, log],
        &["nothing before"],
    );
    // Elsewhere: nothing has ended, and it is said where it does.
    let away = signed("away.draft", &["--revocation", "new-jobs"]);
    let (there, runs) =
        (format!("before it is in {}", text(&desk.path("city/energy/../contracts"))), "lets what runs under the contract end");
    says(&revoke(&away, &[]), &["ends nothing", &there, "put it there", sees, runs, log], &["It is in the folder"]);
    let told = desk.path("there.revoke");
    says(&revoke(&away, &["--config", text(&config), "--output", text(&told)]), &[&there, runs], &["It is in the folder"]);
    let put = folder.join("away.revoke");
    says(&revoke(&away, &["--config", text(&config), "--output", text(&put)]), &["It is in the folder", runs], &["nothing before"]);

    // Another agency's configuration says nothing of it, and nothing is written.
    let (wrong, health, key) = (desk.path("wrong.revoke"), desk.path("city/health/party.toml"), desk.key("energy"));
    let args = [text(&away), "--identity", text(&key), "--output", text(&wrong), "--config", text(&health)];
    let said = desk.contract("revoke", &args);
    assert!(said.code == 2 && said.err.contains("it is of `health`'s node, and the contract is `energy`'s"), "{}", said.err);
    assert!(!wrong.exists());

    // A node without the log has nothing to put there; and where nobody knows the node, nothing is claimed of it.
    let whole = std::fs::read_to_string(&config).expect("the configuration");
    let (before, behind) = whole.split_once("[ledger]").expect("its part in the log");
    let tables = behind.split_once("[[table]]").expect("its tables").1;
    std::fs::write(&config, format!("{before}[[table]]{tables}")).expect("written");
    says(&revoke(&signed("apart.draft", &[]), &[]), &[&there, sees, "ends what runs"], &["the city's log"]);
    std::fs::remove_file(&config).expect("removed");
    let unknown = revoke(&signed("unknown.draft", &[]), &[]);
    says(
        &unknown,
        &["before it is in a folder by which a node goes", "every node", sees, "If `energy`'s node keeps"],
        &["It is in the folder"],
    );
}

/// Nobody is let in by what a planner's folder holds: what of it cannot be read is named, and the rest says what it says.
#[test]
fn a_broken_file_in_a_planners_folder_is_named_and_left_out() {
    let desk = Desk::new();
    let (folder, config) = (desk.path("city/contracts"), desk.path("city/planning-office/planner.toml"));
    let good = std::fs::read(folder.join("energy.example.contract")).expect("a contract");
    std::fs::write(folder.join("broken.contract"), &good[..100]).expect("written");
    let explain = |sql: &str| run(&["explain", sql, "--config", text(&config)]);
    let warned =
        ["tacit: warning: a file of the folder of contracts is left out: broken.contract: ", "to mend it: get it anew from its agency"];
    let said = explain("SELECT SUM(amount) AS s FROM energy.example");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("\n  energy.example  example "), "{}", said.out);
    assert!(warned.iter().all(|part| said.err.contains(part)), "{}", said.err);
    assert!(!said.out.contains("could not be read"), "{}", said.out);
    // Without the whole one it may be the broken one that allows it.
    std::fs::remove_file(folder.join("energy.example.contract")).expect("removed");
    let said = explain("SELECT SUM(amount) AS s FROM energy.example");
    assert!(said.out.contains("1 file of this planner's folder of contracts could not be read, and may allow it"), "{}", said.out);
    assert!(warned.iter().all(|part| said.err.contains(part)), "{}", said.err);
    let doctor = run(&["doctor", text(&config)]);
    assert!(
        doctor.out.contains("warning") && doctor.out.contains("questions go by the others, without broken.contract: "),
        "{}",
        doctor.out
    );
}

#[test]
fn a_contract_is_final_once_it_stands_in_the_log() {
    let mut city = City::founded();
    let planners = vec![public(PLANNER, KeyKind::Note)];
    let contract = Contract::new("energy.buildings", public("energy", KeyKind::Note), planners, everything(["kwh"]), NOW);
    let note = contract.expect("a contract").sign(key("energy").signing_key()).expect("signed");
    let id = Entry::parse(note.as_bytes()).expect("an entry").id;
    let file = city.path("buildings.contract");
    std::fs::write(&file, &note).expect("written");
    let state = |city: &City, log: &Path| {
        let roster = city.path("roster.toml");
        let said = run(&["contract", "show", text(&file), "--roster", text(&roster), "--log", text(log), "--json"]);
        assert_eq!(said.code, 0, "{}", said.err);
        serde_json::from_str::<Value>(&said.out).expect("JSON")["state"].as_str().expect("a state").to_owned()
    };
    let log = city.path("log");
    assert_eq!(state(&city, &log), "VERIFIED", "it is not there yet");
    city.append([note]);
    assert_eq!(state(&city, &log), "FINALIZED");
    assert_eq!(state(&city, &city.path("health")), "FINALIZED", "as an agency's mirror has it");
    city.append([signed(&Body::Revoke(Revoke { contract: id, reason: None }), "energy")]);
    assert_eq!(state(&city, &city.download()), "TERMINATED", "as a server hands it out");
    let none = run(&["contract", "show", text(&file), "--log", text(&city.path("nothing"))]);
    assert!(none.code == 2 && none.err.contains("there is no such folder"), "{}", none.err);
}
