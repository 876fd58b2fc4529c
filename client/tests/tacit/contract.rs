//! `tacit contract`, from the draft to the end of a contract.

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

#[test]
fn every_term_has_an_option() {
    let desk = Desk::new();
    let draft = desk.path("c.draft");
    let options = [
        ["--allow", "amount=SUM"],
        ["--allow", "zone=GROUP"],
        ["--entity-key", "zone"],
        ["--entity-domain", "energy.area"],
        ["--min-group", "10"],
        ["--dominance", "50"],
        ["--clamp", "amount=-1.5..5000"],
        ["--rows-per-entity", "12"],
        ["--epsilon-month", "4"],
        ["--epsilon-month-all", "9"],
        ["--epsilon-query", "0.5"],
        ["--delta", "0.000001"],
        ["--noise", "binomial"],
        ["--price", "3 credit"],
        ["--join-with", "health.*"],
        ["--sizes", "exact"],
        ["--max-uses", "100"],
        ["--receiver", "planning-office"],
        ["--revocation", "new-jobs"],
        ["--not-before", "2027-01-01T00:00:00Z"],
        ["--not-after", "2028-01-01T00:00:00Z"],
        ["--purpose", "https://w3id.org/dpv#ServiceProvision"],
    ];
    let options: Vec<&str> = options.concat();
    let said = desk.new_contract(&draft, &[&options[..], &["--noise-required"]].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    let found = desk.check(&draft);
    assert_eq!((&found["ok"], &found["wrong"]), (&Value::from(true), &serde_json::json!([])), "{found}");
    let shown = desk.contract("show", &[text(&draft)]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in [
        "What comes out is of at least 10 different zone.",
        "No one has more than 50 per cent of a sum that comes out.",
        "Values of amount below -1.5 count as -1.5, and above 5000 as 5000.",
        "At most 12 rows of each zone count.",
        "Every answer has noise, the heads of coins: ε at most 0.5 a question and 4 a month (δ 0.000001); of all planners together 9 a month.",
        "Its budget is shared by all tables of energy about energy.area.",
        "Others may learn how many rows are left at home.",
        "An answer costs 3 credit.",
        "health.*",
        "100",
        "2027-01-01T00:00:00Z to 2028-01-01T00:00:00Z",
        "https://w3id.org/dpv#ServiceProvision",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(found["allows"].to_string().contains("what runs then may end"), "{found}");
    // It is signed as it is.
    assert_eq!(desk.sign(&draft, "energy").code, 0);

    for (args, says) in [
        (&["--entity-key", "meter"][..], "--entity-key meter: energy.example has no column `meter`; it has"),
        (&["--clamp", "watts=0..1"], "--clamp watts: energy.example has no column `watts`"),
        (&["--clamp", "amount=0-1"], "write it as 'kwh=0..5000'"),
        (&["--clamp", "amount=0..1e3"], "`1e3` is not a number such as `0.5`"),
        (&["--allow", "amount=SUM", "--clamp", "amount=5..1"], "the contract would be wrong, and is not written: `clamp` names"),
        (&["--rows-per-entity", "3"], "--entity-key"),
        (&["--epsilon-query", "1"], "--epsilon-month"),
        (&["--epsilon-month", "1", "--epsilon-query", "2"], "one query may spend more than a month"),
        (&["--epsilon-month", "1", "--noise", "binomial"], "binomial noise spends of `delta`, which is 0"),
        (&["--epsilon-month", "1", "--noise", "gauss"], "there are laplace and binomial"),
        (&["--min-group", "0"], "`min_group` is not between"),
        (&["--dominance", "101"], "`dominance_pct` is not between"),
        (&["--price", "credit"], "write it as '3 credit'"),
        (&["--revocation", "later"], "there are immediate and new-jobs"),
        (&["--receiver", "press"], "--receiver press: it may not ask"),
        (&["--not-after", "1999-01-01T00:00:00Z"], "`not_after` is not later"),
    ] {
        let said = desk.new_contract(&desk.path("n.draft"), args);
        assert!(said.code == 2 && said.err.contains(says), "{says}: {}", said.err);
        assert!(!desk.path("n.draft").exists(), "{args:?}");
    }
}

#[test]
fn what_is_wrong_is_said_all_at_once() {
    let desk = Desk::new();
    let draft = desk.path("c.draft");
    assert_eq!(desk.new_contract(&draft, &["--allow", "amount=SUM"]).code, 0);
    let edited = std::fs::read_to_string(&draft).expect("the draft");
    let edited =
        edited.replace("\"semi-honest\"", "\"malicious\"").replace("\"amount\"", "\"amounts\"").replace("\"example\"", "\"Example\"");
    std::fs::write(&draft, edited.replace("dpv#", "dpv #")).expect("written");
    let found = desk.check(&draft);
    for wrong in ["`id` is empty", "`purposes` is empty", "no column `amounts`", "does not enforce `security` yet ("] {
        assert!(found["wrong"].to_string().contains(wrong), "{wrong}: {found}");
    }
    // A note that was changed, one by a stranger's key, and what is no contract at all.
    let good = std::fs::read_to_string(desk.path("city/contracts/energy.example.contract")).expect("a contract");
    let changed = desk.path("changed.contract");
    std::fs::write(&changed, good.replace("\"SUM\",", "")).expect("written");
    let found = desk.check(&changed);
    assert!(found["wrong"].to_string().contains("does not verify"), "{found}");
    let other = desk.path("other");
    assert_eq!(run(&["init", text(&other)]).code, 0);
    let strange = desk.check(&other.join("contracts/energy.example.contract"));
    assert!(strange["wrong"].to_string().contains("the key of `energy` is not the one that the roster has"), "{strange}");
    let said = desk.contract("show", &[text(&desk.path("city/roster.toml"))]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    let none = desk.contract("show", &["/nonexistent.contract"]);
    assert!(none.code == 2 && none.err.contains("there is no such file, and a contract is wanted here"), "{}", none.err);
    for (args, says) in [
        (["--allow", "watts=SUM"], "has no column `watts`"),
        (["--allow", "amount=TOTAL"], "`TOTAL` is not an operation; there are AVG"),
        (["--allow", "amount"], "write it as"),
        (["--planner", "press"], "no planner `press`"),
        (["--sizes", "all"], "there are hidden, bucket and exact"),
    ] {
        let said = desk.new_contract(&desk.path("n.draft"), &args);
        assert!(said.code == 2 && said.err.contains(says), "{says}: {}", said.err);
    }
}

#[test]
fn a_contract_is_shown_to_people_to_programs_and_to_those_who_answer_for_the_data() {
    let desk = Desk::new();
    let contract = desk.path("city/contracts/energy.example.contract");
    let shown = desk.contract("show", &[text(&contract)]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in ["energy.example", "AGREED", "AVG, CORR, COUNT", "planning-office", "any number"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let policy: Value = serde_json::from_str(&desk.contract("show", &[text(&contract), "--odrl"]).out).expect("JSON-LD");
    assert_eq!((policy["@type"].as_str(), policy["conflict"].as_str()), (Some("Agreement"), Some("prohibit")));
    let permissions = policy["permission"].as_array().expect("permissions");
    assert_eq!(permissions.len(), 3, "one a column, and one of the rows");
    let of_amount = permissions.iter().find(|p| p["target"] == "urn:tacit:dataset:energy.example:amount").expect("of amount");
    assert_eq!(of_amount["assigner"], "urn:tacit:member:energy");
    assert!(of_amount["action"].as_array().is_some_and(|all| all.contains(&"tacit:SUM".into())), "{of_amount}");
    let purpose =
        serde_json::json!({"leftOperand": "purpose", "operator": "eq", "rightOperand": {"@id": "https://w3id.org/dpv#PublicBenefit"}});
    assert!(of_amount["constraint"].as_array().is_some_and(|all| all.contains(&purpose)), "{of_amount}");
    let receipt = desk.contract("show", &[text(&contract), "--receipt"]).out;
    for part in [
        "# Receipt: use of energy.example",
        "**Purpose**: <https://w3id.org/dpv#PublicBenefit>",
        "## Retention",
        "## How it ends",
        "SHA-256",
    ] {
        assert!(receipt.contains(part), "{part}: {receipt}");
    }
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

#[test]
fn what_widens_and_what_narrows_is_said() {
    let desk = Desk::new();
    let (old, new) = (desk.path("old.draft"), desk.path("new.draft"));
    assert_eq!(desk.new_contract(&old, &["--allow", "amount=SUM,FILTER", "--join-with", "*", "--max-uses", "5"]).code, 0);
    let wider =
        ["--allow", "amount=SUM,AVG", "--join-with", "health.*", "--countersigned", "--purpose", "https://w3id.org/dpv#ServiceProvision"];
    assert_eq!(desk.new_contract(&new, &wider).code, 0);
    let diff = desk.contract("diff", &[text(&old), text(&new)]);
    assert_eq!(diff.code, 0, "{}", diff.err);
    let lines: Vec<&str> = diff.out.lines().collect();
    assert_eq!(
        lines,
        [
            "✓ wider: amount may be averaged",
            "✓ wider: for https://w3id.org/dpv#ServiceProvision",
            "✓ wider: answers in all: not bounded, and was 5",
            "✗ narrower: amount may no longer be compared, to choose what counts",
            "✗ narrower: no longer for https://w3id.org/dpv#PublicBenefit",
            "✗ narrower: it may no longer be used together with all of *",
            "✗ narrower: planners must sign it too",
        ]
    );
    let back = desk.contract("diff", &[text(&new), text(&old), "--json"]);
    let ways: Vec<Value> = back.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(ways.iter().filter(|change| change["way"] == "wider").count(), 4, "{}", back.out);
    assert_eq!(desk.contract("diff", &[text(&old), text(&old)]).out, "Both allow the same.\n");
}

#[test]
fn budgets_are_shown_and_compared() {
    let desk = Desk::new();
    let plain = desk.path("plain.draft");
    assert_eq!(desk.new_contract(&plain, &["--allow", "amount=SUM"]).code, 0);
    let draft = |name: &str, more: Value| {
        let mut draft: Value = serde_json::from_str(&std::fs::read_to_string(&plain).expect("a draft")).expect("JSON");
        draft["entity_key"] = "id".into();
        draft["dp"] = serde_json::json!({"epsilon_per_query_max": "1", "epsilon_month": "2", "delta": "0", "mode": "optional"});
        more["dp"].as_object().into_iter().flatten().for_each(|(name, value)| draft["dp"][name] = value.clone());
        more["entity_domain"].as_str().into_iter().for_each(|domain| draft["entity_domain"] = domain.into());
        let path = desk.path(name);
        std::fs::write(&path, draft.to_string()).expect("written");
        path
    };
    let alone = draft("alone.draft", serde_json::json!({}));
    let shared = draft("shared.draft", serde_json::json!({"dp": {"epsilon_month_all": "5"}, "entity_domain": "energy.household"}));
    let diff = |one: &Path, other: &Path| desk.contract("diff", &[text(one), text(other)]).out;
    let narrower =
        "✗ narrower: it shares the budget of energy.household\n✗ narrower: ε of a month of all planners: 5, and was not bounded\n";
    assert_eq!(diff(&alone, &shared), narrower);
    let wider =
        "✓ wider: it shares the budget of energy.household no more\n✓ wider: ε of a month of all planners: not bounded, and was 5\n";
    assert_eq!(diff(&shared, &alone), wider);
    let show = |more: &[&str]| desk.contract("show", &[&[text(&shared)], more].concat()).out;
    for (more, told) in [
        (&[][..], "ε at most 1 a question and 2 a month (δ 0); of all planners together 5 a month."),
        (&[], "Its budget is shared by all tables of energy about energy.household."),
        (&["--receipt"], "each `id`'s, of energy.household"),
        (&["--odrl"], "tacit:epsilonPerMonthOfAll"),
        (&["--odrl"], "tacit:entityDomain"),
    ] {
        assert!(show(more).contains(told), "{told}: {}", show(more));
    }
}

#[test]
fn whether_a_question_would_be_allowed_and_by_which_clause_is_said() {
    let desk = Desk::new();
    let draft = desk.path("c.draft");
    assert_eq!(desk.new_contract(&draft, &["--allow", "amount=SUM", "--allow", "zone=GROUP,JOIN"]).code, 0);
    let catalogue = desk.path("city/catalogue.toml");
    let explain = |more: &[&str], sql: &str| {
        desk.contract("explain", &[&[text(&draft), "--catalogue", text(&catalogue)][..], more, &["--", sql]].concat())
    };
    let said = explain(&[], "SELECT SUM(amount) AS s FROM energy.example");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("Allowed.\n") && said.out.contains("`example`, columns.amount: SUM"), "{}", said.out);
    assert!(!said.out.contains("costs"), "{}", said.out);
    // What it costs is said as well; what no node could keep is, with what to write instead.
    let free = std::fs::read_to_string(&draft).expect("a draft");
    let mut terms: Value = serde_json::from_str(&free).expect("JSON");
    (terms["price"], terms["security"]) = (serde_json::json!({"unit": "credit", "per_use": 3}), "malicious".into());
    std::fs::write(&draft, terms.to_string()).expect("written");
    let check = desk.contract("check", &[text(&draft)]);
    assert!(check.out.contains("An answer costs 3 credit") && check.out.contains("write \"security\": \"semi-honest\""), "{}", check.out);
    let said = explain(&[], "SELECT SUM(amount) AS s FROM energy.example");
    assert!(said.code == 1 && said.out.contains("with \"security\": \"semi-honest\""), "{}", said.out);
    terms["security"] = "semi-honest".into();
    std::fs::write(&draft, terms.to_string()).expect("written");
    let said = explain(&[], "SELECT SUM(amount) AS s FROM energy.example");
    assert!(said.code == 0 && said.out.contains("`example`: an answer costs 3 credit"), "{}", said.out);
    std::fs::write(&draft, free).expect("written");
    let said = explain(&[], "SELECT AVG(amount) AS m FROM energy.example");
    assert_eq!(said.code, 1);
    assert!(said.out.starts_with("Not allowed: ") && said.out.contains("✗") && said.out.contains("to mend it"), "{}", said.out);
    let said = explain(&["--purpose", "https://w3id.org/dpv#Marketing", "--json"], "SELECT SUM(amount) AS s FROM energy.example");
    let value: Value = serde_json::from_str(&said.out).expect("JSON");
    assert!(said.code == 1 && value["denied"]["reason"].as_str().is_some_and(|r| r.contains("does not allow the purpose")), "{value}");
    let said = explain(&["--at", "2020-01-01T00:00:00Z"], "SELECT SUM(amount) AS s FROM energy.example");
    assert!(said.code == 1 && said.out.contains("begins at"), "{}", said.out);
    let joined = "SELECT SUM(e.amount) AS s FROM public.zones z JOIN (SELECT zone, SUM(amount) AS amount FROM energy.example GROUP BY zone) e \
        ON e.zone = z.zone JOIN (SELECT zone, SUM(amount) AS amount FROM health.example GROUP BY zone) h ON h.zone = z.zone WHERE h.amount > 1";
    let said = explain(&[], joined);
    assert!(said.code == 1 && said.out.contains("together with health.example"), "{}", said.out);
    assert!(said.out.contains("health.example is not looked at"), "{}", said.out);
    let said = explain(&[], "SELEC 1");
    assert!(said.code == 1 && said.err.contains("E_SQL"), "{}", said.err);
    let said = explain(&[], "SELECT SUM(amount)\n FROM energy.exampel");
    assert!(said.code == 1 && said.err.contains(" at line 2, column ") && said.err.contains("FROM energy.exampel\n"), "{}", said.err);
    assert!(said.err.lines().any(|line| line.trim() == "^"), "{}", said.err);
    let said = explain(&["--planner", "nobody"], "SELECT SUM(amount) AS s FROM energy.example");
    assert!(said.code == 2 && said.err.contains("names no planner `nobody`; it names planning-office"), "{}", said.err);
}
