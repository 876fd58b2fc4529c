//! What was released, at those who answer for the data: every node keeps what opens the log's commitments, and `tacit audit` holds it against the log.

use crate::citylog::{folder, settled};
use crate::fixture::{Said, Town, run, text};
use crate::full::{disk, town};
use ledger::entry::Opening;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SQL: &str = "SELECT z.borough, COUNT(*) AS zones, SUM(c.covid_deaths) AS deaths FROM public.zones z \
    JOIN health.covid_modzcta c ON c.modzcta = z.modzcta WHERE c.covid_deaths > 10 GROUP BY z.borough ORDER BY z.borough";
const DATASET: &str = "health.covid_modzcta";

fn audit(town: &Town, more: &[&str]) -> Said {
    audited(town, DATASET, more)
}

/// What health is told of one of its data sets, by its own mirror.
pub fn audited(town: &Town, dataset: &str, more: &[&str]) -> Said {
    let (log, checkpoint) = (folder(town, "health"), folder(town, "coordinator").join("checkpoint"));
    let (policy, roster) = (town.city.folder().join("city.policy"), town.city.folder().join("roster.toml"));
    let args = [
        "audit",
        text(&log),
        "--checkpoint",
        text(&checkpoint),
        "--dataset",
        dataset,
        "--policy",
        text(&policy),
        "--roster",
        text(&roster),
    ];
    run(&[&args[..], more].concat())
}

fn told(town: &Town, more: &[&str]) -> Value {
    let said = audit(town, &[more, &["--json"]].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str(&said.out).expect("JSON")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn an_owner_sees_what_was_asked_of_its_data_and_what_came_out() {
    let mut town = Town::invented();
    town.up();
    settled(&town);
    let saved = town.folder.path().join("saved");
    let said = town.run(&["query", SQL, "--save-opening", text(&saved), "--format", "csv"]);
    assert!(said.code == 0 && said.out.starts_with("borough,zones,deaths\n"), "{}\n{}", said.err, town.logs());

    // All who took part have the same two, of the question and of the answer, and so has the planner who wanted them.
    let planners = files(&saved);
    assert_eq!(planners.len(), 2);
    for agency in ["transport", "energy", "health"] {
        let kept = files(&town.city.folder().join(agency).join("state/openings"));
        assert_eq!(kept.len(), 2, "{agency}: {kept:?}");
        for (own, other) in kept.iter().zip(&planners) {
            assert_eq!(own.file_name(), other.file_name());
            assert_eq!(fs::read(own).expect("read"), fs::read(other).expect("read"));
            assert_eq!(fs::metadata(own).expect("there").permissions().mode() & 0o777, 0o600);
        }
    }

    // To its owner, from its own folders alone, the statement; what came out, with the catalogue.
    let config = town.city.node_config("health").expect("its configuration");
    let asked = told(&town, &[]);
    assert_eq!((&asked["questions"][0]["sql"], &asked["questions"][0]["releases"]), (&SQL.into(), &Value::Null));
    let asked = told(&town, &["--config", text(config)]);
    let question = &asked["questions"][0];
    assert_eq!(question["sql"], SQL);
    assert_eq!(question["state"], "released");
    assert_eq!(question["columns"], serde_json::json!(["covid_deaths", "modzcta"]));
    let uses = |column: &str| {
        question["uses"][column].as_array().expect("uses").iter().map(|one| one.as_str().expect("a word")).collect::<Vec<_>>()
    };
    assert_eq!(uses("covid_deaths"), ["FILTER", "SUM"]);
    assert!(uses("modzcta").contains(&"GROUP"), "{question}");
    let releases: Vec<&str> = question["releases"].as_array().expect("lines").iter().map(|line| line.as_str().expect("text")).collect();
    assert_eq!(releases.len(), 3, "{releases:?}");
    assert!(releases.iter().any(|line| line.starts_with("sum of c.covid_deaths, for each z.borough")), "{releases:?}");
    assert_eq!(question["debit"]["uses"], 1);
    assert_eq!(question["answer"].as_str().expect("the digests").lines().count(), 3);
    assert_eq!(asked["openings_refused"], serde_json::json!([]));
    assert!(asked["entries"].as_array().expect("entries").iter().all(|entry| entry["proof"].is_array()));

    let page = town.folder.path().join("page.html");
    let catalogue = town.city.folder().join("catalogue.toml");
    let said = audit(&town, &["--openings", text(&saved), "--catalogue", text(&catalogue), "--html", text(&page)]);
    assert_eq!(said.code, 0, "{}", said.err);
    for part in [
        "asked:\n  SELECT z.borough",
        "released, by the plan whose hash is on the log, and nothing else:\n  ",
        "did with the columns:\n  rows: COUNT\n  covid_deaths: FILTER, SUM\n  modzcta: GROUP\n",
    ] {
        assert!(said.out.contains(part), "{part}:\n{}", said.out);
    }
    let html = fs::read_to_string(&page).expect("the page");
    assert!(html.contains("What came out, by the plan whose fingerprint is on the log, and nothing else:"), "{html}");

    // What opens something else than the log has is not shown, and said; the rest is.
    let (statement, other) = (planners.iter().find(|path| text(path).contains("statement")).expect("it"), saved.join("mine"));
    let forged = Opening { value: "SELECT 1".into(), ..serde_json::from_str(&fs::read_to_string(statement).expect("read")).expect("one") };
    for path in [statement, &other] {
        fs::write(path, serde_json::to_string(&forged).expect("JSON")).expect("written");
    }
    let asked = told(&town, &["--openings", text(&saved), "--catalogue", text(&catalogue)]);
    assert_eq!((&asked["questions"][0]["sql"], &asked["questions"][0]["releases"]), (&Value::Null, &Value::Null));
    let refused = asked["openings_refused"].as_array().expect("sentences");
    assert_eq!(refused.len(), 2, "{refused:?}");
    let said = audit(&town, &["--openings", text(&saved)]);
    for part in
        ["an opening is refused: ", "does not open the statement that the log has of this job", "mine opens nothing that the log has of"]
    {
        assert!(said.out.contains(part), "{part}:\n{}", said.out);
    }
    assert!(!said.out.contains("SELECT 1"), "{}", said.out);

    // Another catalogue than that of the time makes another plan, or none.
    let text_of = fs::read_to_string(&catalogue).expect("the catalogue");
    let changed = town.folder.path().join("other.toml");
    assert!(text_of.contains("covid_deaths"));
    fs::write(&changed, text_of.replace("covid_deaths", "covid_other")).expect("written");
    let said = audit(&town, &["--config", text(config), "--catalogue", text(&changed)]);
    assert!(said.code == 0 && said.out.contains("what it released is not told here: its SQL does not compile"), "{}{}", said.out, said.err);
}

#[test]
fn a_node_begins_nothing_of_which_it_cannot_keep_the_words() {
    let mut town = town();
    settled(&town);
    let kept = town.city.folder().join("health/state/openings");
    fs::remove_dir(&kept).expect("empty");
    fs::write(&kept, "").expect("a file in its place");
    let said = town.run(&["query", SQL]);
    for part in ["E_INTERNAL", "cannot keep what opens the job's statement", "its operator should look at the disk of its state folder"] {
        assert!(said.code != 0 && said.err.contains(part), "{part} in {}\n{}", said.err, town.logs());
    }
    fs::remove_file(&kept).expect("removed");
    disk(&town, "health", "unlimited");
    let said = town.run(&["query", SQL, "--format", "csv"]);
    assert!(said.code == 0, "{}\n{}", said.err, town.logs());
    assert_eq!(files(&kept).len(), 2, "it goes on, and a folder that was taken away is made again");
    town.city.kill("health");
    fs::write(kept.join("half.new"), "{").expect("written");
    town.up();
    assert_eq!(files(&kept).len(), 2);
}

/// As the issue of a month's report is begun: nothing but the data set is said, and the configuration says the rest.
#[test]
fn an_audit_finds_the_log_by_the_configuration() {
    let mut town = Town::invented();
    town.up();
    assert_eq!(town.run(&["query", SQL]).code, 0, "{}", town.logs());
    // A planner's, from the coordinator; an agency's, from its own mirror, with the words of the question that it keeps.
    let planner = town.run(&["audit", "--dataset", DATASET]);
    assert!(planner.code == 0 && planner.out.contains(DATASET), "{}{}", planner.out, planner.err);
    let config = town.city.node_config("health").expect("its configuration");
    let agency = town.run(&["audit", "--dataset", DATASET, "--config", text(config), "--json"]);
    assert_eq!(agency.code, 0, "{}", agency.err);
    let told: Value = serde_json::from_str(&agency.out).expect("JSON");
    assert!(told["questions"][0]["sql"].as_str().is_some_and(|sql| sql.contains("covid_deaths")), "{}", told["questions"]);
    for args in [&["ledger", "audit"][..], &["ledger", "audit", "--config", text(config)]] {
        let said = town.run(args);
        assert!(said.code == 0 && said.out.contains("Every hash, signature and rule holds"), "{}{}", said.out, said.err);
    }
    // A receipt as well.
    let proofs = town.folder.path().join("proofs");
    let said = town.run(&["audit", "--dataset", DATASET, "--proofs", text(&proofs)]);
    assert_eq!(said.code, 0, "{}", said.err);
    let files = fs::read_dir(&proofs).expect("the folder").map(|file| file.expect("a file").path());
    let proof = files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "proof")).expect("a receipt");
    let verified = town.run(&["ledger", "verify", text(&proof), "--entry", text(&proof.with_extension("note"))]);
    assert!(verified.code == 0 && verified.out.contains("It is entry "), "{}{}", verified.out, verified.err);
    // One of a single entry, and of which log need not be said either.
    let (receipt, entry) = (town.folder.path().join("one.proof"), town.folder.path().join("one.note"));
    for of in [&[][..], &["--config", text(config)]] {
        let made = town.run(&[&["ledger", "prove", "1", "--output", text(&receipt), "--entry", text(&entry)], of].concat());
        assert_eq!((made.code, made.out.as_str()), (0, ""), "{}", made.err);
        let verified = town.run(&[&["ledger", "verify", text(&receipt), "--entry", text(&entry)], of].concat());
        assert!(verified.code == 0 && verified.out.contains("It is entry 1 of the log"), "{}{}", verified.out, verified.err);
    }
    let none = town.run(&["ledger", "prove", "99999"]);
    assert!(none.code == 1 && none.err.contains("E_LEDGER_TILE"), "{}", none.err);
    assert_eq!(town.run(&["ledger", "prove"]).code, 2, "of which entry is to be said");
    // Nor whose keys: here, that one log has both checkpoints.
    let same = town.city.folder().join("coordinator/state/ledger/checkpoint");
    let honest = town.run(&["ledger", "evidence", text(&same), text(&same)]);
    assert!(honest.code == 1 && honest.err.contains("one log has both checkpoints"), "{}", honest.err);
    // What is said counts before what is found.
    let other = town.folder.path().join("other.policy");
    std::fs::write(&other, "quorum none\n").expect("written");
    let said = town.run(&["audit", "--dataset", DATASET, "--policy", text(&other)]);
    assert_ne!(said.code, 0, "{}", said.out);
    let missing = town.run(&["audit", "nowhere", "--dataset", DATASET]);
    assert!(missing.code == 2 && missing.err.contains("nowhere"), "{}", missing.err);
}
