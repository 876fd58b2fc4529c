//! One running city, asked in every way the command has.

use crate::fixture::{QUICK, Town, run, text};
use ledger::bytes::Hash;
use ledger::contract::{Contract, SignedContract};
use serde_json::Value;
use std::path::{Path, PathBuf};

#[test]
fn a_running_city_is_asked_in_every_way() {
    let mut town = Town::invented();
    health_tells_how_many_restaurants_there_are(&town);
    signed_anew(&town, "health.uhf42_indicators", "\"min_group\":1,", "\"min_group\":5000,");
    town.up();
    answers_come_as_tables_csv_and_json(&town);
    questions_come_from_files_and_standard_input(&town);
    answers_go_to_files(&town);
    explain_analyze_runs_it(&town);
    what_owners_tell_of_numbers_of_rows_is_used(&town);
    groups_of_too_few_do_not_come_out(&town);
    sql_that_cannot_be_run_is_refused_before_anything_is_sent(&town);
    what_has_no_value_is_pointed_at(&town);
    refusals_have_code_reason_and_fix(&town);
    jobs_are_listed_and_shown(&town);
    doctor_finds_nothing_wrong(&town);
    nothing_secret_is_in_the_logs(&town);
    the_nodes_end_in_order(&mut town);
}

fn answers_come_as_tables_csv_and_json(town: &Town) {
    let table = town.run(&["query", QUICK]);
    assert_eq!(table.code, 0, "{}\n{}", table.err, town.logs());
    assert!(table.out.starts_with(" borough"), "{}", table.out);
    let last = table.out.lines().last().expect("a footer");
    assert!(last.starts_with('(') && last.contains("rows; ") && last.contains("rounds"), "{last}");
    let csv = town.run(&["query", QUICK, "--format", "csv"]);
    let mut lines = csv.out.lines();
    assert_eq!(lines.next(), Some("borough,zones,deaths"));
    let json = town.run(&["query", QUICK, "--format", "json"]);
    let answer: Value = serde_json::from_str(&json.out).expect("JSON");
    let rows = answer["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), lines.count());
    assert!(answer["job"].is_string() && answer["suppressed"].is_null() && answer["cost"]["rounds"].is_number(), "{answer}");
    the_log_is_where_json_says(town, &answer);
    assert!(rows.iter().all(|row| row["deaths"].is_number() && row["borough"].is_string()), "{}", json.out);
    assert_eq!(csv.err, "", "no progress without a terminal");
}

/// A question of one table: query, debit, start and result, at these places, under this checkpoint.
fn the_log_is_where_json_says(town: &Town, answer: &Value) {
    let (log, folder) = (&answer["log"], town.city.folder().join("health/state/ledger"));
    let size = log["checkpoint"]["size"].as_u64().expect("a size");
    let debits = log["debits"].as_array().expect("debits");
    assert_eq!(debits.len(), 1, "{log}");
    for (place, kind) in
        [(&log["query"], "job-query"), (&debits[0], "job-debit"), (&log["start"], "job-start"), (&log["result"], "job-result")]
    {
        assert!(place.as_u64().expect("a place") < size, "{log}");
        let entry = crate::fixture::run(&["ledger", "show", text(&folder), &place.to_string()]).out;
        assert!(entry.starts_with(&format!("tacit/{kind}/")) && entry.contains(answer["job"].as_str().expect("a job")), "{kind}: {entry}");
    }
    let store = ledger::store::Store::read(&folder).expect("a mirror");
    let root = ledger::bytes::Base64(store.root_at(size).expect("a root").0.into()).to_string();
    assert_eq!(log["checkpoint"]["root"], root);
}

fn questions_come_from_files_and_standard_input(town: &Town) {
    let file = town.folder.path().join("question.sql");
    std::fs::write(&file, format!("-- a question\n{QUICK}\n")).expect("written");
    let of_file = town.run(&["query", "-f", text(&file), "--format", "csv"]);
    assert_eq!(of_file.code, 0, "{}", of_file.err);
    let mut command = town.command(&["query", "-", "--format", "csv"]);
    let output = command.write_stdin(QUICK).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), of_file.out);
    let nothing = town.command(&["query", "-"]).write_stdin(" \n").output().expect("it runs");
    assert_eq!(nothing.status.code(), Some(2));
}

fn answers_go_to_files(town: &Town) {
    let file = town.folder.path().join("answer.csv");
    let said = town.run(&["query", QUICK, "--format", "csv", "--output", text(&file), "--quiet", "--purpose", "a test"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""));
    let written = std::fs::read_to_string(&file).expect("the file");
    assert!(written.starts_with("borough,zones,deaths\n"), "{written}");
    let nowhere = town.run(&["query", QUICK, "--output", "/nonexistent/answer.csv"]);
    assert_eq!(nowhere.code, 2, "found out before anything is asked");
}

fn explain_analyze_runs_it(town: &Town) {
    let explain = town.run(&["query", &format!("EXPLAIN {QUICK}")]);
    assert_eq!(explain.code, 0, "{}", explain.err);
    let analyzed = town.run(&["query", &format!("EXPLAIN ANALYZE {QUICK}")]);
    assert_eq!(analyzed.code, 0, "{}", analyzed.err);
    assert_ne!(explain.out, analyzed.out);
    assert!(analyzed.out.to_lowercase().contains("reveals"), "{}", analyzed.out);
}

/// Rounded up, in the catalogue; contracts of a city for tests allow all of it.
fn health_tells_how_many_restaurants_there_are(town: &Town) {
    let folder = town.city.folder();
    let catalogue = folder.join("catalogue.toml");
    let declared = std::fs::read_to_string(&catalogue).expect("the catalogue");
    let restaurants = "name = \"health.restaurants\"\n";
    let telling = declared.replacen(restaurants, &format!("{restaurants}sizes = \"bucket\"\n"), 1);
    assert_ne!(telling, declared);
    std::fs::write(&catalogue, telling).expect("written");
}

/// health's contract for a table, with other terms.
fn signed_anew(town: &Town, table: &str, from: &str, to: &str) {
    let folder = town.city.folder();
    let contracts = std::fs::read_dir(folder.join("contracts")).expect("the contracts").map(|entry| entry.expect("a file").path());
    let texts = contracts.map(|path| (std::fs::read_to_string(&path).expect("a contract"), path));
    let (signed, path) = texts.into_iter().find(|(text, _)| text.contains(&format!("\"{table}\""))).expect("the contract");
    let terms = signed.lines().nth(1).expect("its terms");
    let line = terms.replace(from, to);
    assert_ne!(line, terms);
    let draft = path.with_extension("draft");
    std::fs::write(&draft, line).expect("written");
    std::fs::remove_file(&path).expect("removed");
    let key = folder.join("health/health.key");
    let said = run(&["contract", "sign", text(&draft), "--identity", text(&key), "--output", text(&path)]);
    assert_eq!(said.code, 0, "{}", said.err);
    std::fs::remove_file(&draft).expect("removed");
}

/// Everybody works on so many restaurants as health tells.
fn what_owners_tell_of_numbers_of_rows_is_used(town: &Town) {
    let sql = "SELECT COUNT(*) AS n FROM health.restaurants r JOIN energy.graded_buildings g ON g.address_key = r.address_key WHERE r.latest_grade = 'C'";
    let json = |sql: &str| -> Value {
        let said = town.run(&["query", sql, "--format", "json"]);
        assert_eq!(said.code, 0, "{}\n{}", said.err, town.logs());
        serde_json::from_str(&said.out).expect("JSON")
    };
    let (before, after) = (json(&format!("EXPLAIN {sql}")), json(&format!("EXPLAIN ANALYZE {sql}")));
    let places = |explained: &Value| -> Vec<u64> {
        let rows = explained["rows"].as_array().expect("rows at home");
        rows.iter().map(|row| row["places"].as_u64().expect("a number")).collect()
    };
    assert_eq!(before["rows"][0]["sizes"], "bucket", "{before}");
    assert!(places(&before)[0] > 2 * places(&after)[0] && places(&before)[1] == places(&after)[1], "{before}\n{after}");
    assert_eq!(before["plan"], after["plan"]);
    let steps = after["steps"].as_array().expect("steps");
    assert_eq!(steps[0]["operator"], "disclose");
    for step in steps {
        let measured = step["measured"].as_array().expect("what was measured");
        for (party, measured) in measured.iter().enumerate() {
            assert!(step["expected"].is_null(), "the cost of each step is known: {step}");
            assert_eq!((&measured["rounds"], &measured["bytes"]), (&step["rounds"], &step["bytes"][party]), "{step}");
        }
        assert_eq!(measured.len(), 3, "{step}");
    }
}

/// There are 42 neighbourhoods, and health wants 5000.
fn groups_of_too_few_do_not_come_out(town: &Town) {
    let sql = "SELECT COUNT(*) AS n FROM health.uhf42_indicators";
    let explain = town.run(&["explain", sql]);
    assert!(explain.out.contains("at least 5000"), "{}{}", explain.out, explain.err);
    let json = town.run(&["query", sql, "--format", "json"]);
    assert_eq!(json.code, 0, "{}\n{}", json.err, town.logs());
    let rows: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(rows["rows"], serde_json::json!([{"n": null}]), "{}", json.out);
    assert_eq!(rows["suppressed"], serde_json::json!({"cells": 1, "of": 1}), "{}", json.out);
    let table = town.run(&["query", sql]);
    assert!(table.out.contains("1 cell of 1 held back by contracts: NULL"), "{}", table.out);
}

fn sql_that_cannot_be_run_is_refused_before_anything_is_sent(town: &Town) {
    let bad = town.run(&["query", "SELECT COUNT(*)\nFROM transport.green_tripz"]);
    assert_eq!((bad.code, bad.out.as_str()), (1, ""));
    assert!(bad.err.contains("E_SQL at line 2, column"), "{}", bad.err);
    let rows = town.run(&["query", "SELECT * FROM transport.green_trips"]);
    assert_eq!((rows.code, rows.out.as_str()), (1, ""), "no row is ever released");
    assert!(rows.err.contains("E_"), "{}", rows.err);
}

/// The planner's own arithmetic on what came out: as SQL, which has no answer.
fn what_has_no_value_is_pointed_at(town: &Town) {
    let cases = [
        (
            "SELECT z.borough,\n  SUM(c.covid_deaths) / (COUNT(*) - COUNT(*)) AS quotient FROM",
            "E_SQL at line 2, column 23: ",
            "divides by 0",
            "write NULLIF(",
        ),
        (
            "SELECT z.borough, CAST(1000 * COUNT(*) AS TINYINT) AS small FROM",
            "E_WIDTH at line 1, column 19: ",
            "does not hold",
            "write TRY_CAST(",
        ),
        // which of the two it is, the tokens do not say, and the column's name does
        (
            "SELECT z.borough, 1 / COUNT(*) AS share, 1 / (COUNT(*) - COUNT(*)) AS quotient FROM",
            "E_SQL at line 1, column 71: ",
            "divides by 0",
            "NULLIF(",
        ),
    ];
    for (select, code, says, advises) in cases {
        let sql = format!("{select} public.zones z JOIN health.covid_modzcta c ON c.modzcta = z.modzcta GROUP BY z.borough");
        let said = town.run(&["query", &sql]);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{sql}\n{}", said.err);
        for part in [code, says, advises, "to mend it: ", "^"] {
            assert!(said.err.contains(part), "{part} in {}", said.err);
        }
    }
}

/// A planner's configuration beside the city's own, changed.
fn planner(town: &Town, name: &str, change: impl Fn(&str) -> String) -> PathBuf {
    let own = std::fs::read_to_string(town.city.planner_config()).expect("the configuration");
    let file = town.city.planner_config().with_file_name(format!("{name}.toml"));
    std::fs::write(&file, change(&own)).expect("written");
    file
}

fn refused(town: &Town, config: &Path, args: &[&str], code: &str) {
    let said = run(&[&["query", QUICK, "--config", text(config)], args].concat());
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{code}: {}", said.err);
    for part in ["refused", "no share has moved", code, "to mend it: "] {
        assert!(said.err.contains(part), "{part} in {}\n{}", said.err, town.logs());
    }
}

fn refusals_have_code_reason_and_fix(town: &Town) {
    refused(town, &town.city.planner_config(), &["--valid-for", "0"], "E_EXPIRED");
    refused(town, &town.city.planner_config(), &["--purpose", "https://w3id.org/dpv#Marketing for a friend"], "E_NO_CONSENT");
    let without =
        planner(town, "without", |own| own.lines().filter(|line| !line.starts_with("purpose")).map(|line| format!("{line}\n")).collect());
    refused(town, &without, &["--purpose", "the bus plan"], "E_NO_CONSENT");

    // A planner nobody else knows, who has written themselves into their own roster.
    let folder = town.city.planner_config().with_file_name("");
    let key = run(&["key", "new", text(&folder.join("stranger.key"))]).out;
    let roster = std::fs::read_to_string(town.city.folder().join("roster.toml")).expect("the roster");
    let with = |text: String| {
        let file = folder.join("other-roster.toml");
        std::fs::write(file, text).expect("written");
    };
    with(format!("{roster}\n[[planner]]\nname = \"stranger\"\nkey = \"{}\"\n", key.trim()));
    let stranger = planner(town, "stranger", |own| {
        let own = own.replace("\"planning-office\"", "\"stranger\"").replace("planning-office.key", "stranger.key");
        own.replace("../roster.toml", "other-roster.toml")
    });
    refused(town, &stranger, &[], "E_PLANNER");

    // The right planner with another roster.
    with(roster.replacen("Demo city", "Another city", 1));
    let elsewhere = planner(town, "elsewhere", |own| own.replace("../roster.toml", "other-roster.toml"));
    refused(town, &elsewhere, &[], "E_ROSTER");

    // Also where it would wait for contracts that the city's log does not have.
    let (owns, theirs) = (town.city.folder().join("contracts"), town.city.folder().join("elsewhere"));
    std::fs::create_dir(&theirs).expect("a folder");
    for agency in ["transport", "energy", "health"] {
        let identity = town.city.identity(agency).expect("its key");
        let owner = party::contracts::signs(agency, &identity.public()).expect("a key");
        for file in std::fs::read_dir(&owns).expect("the contracts") {
            let file = file.expect("a file");
            let note = std::fs::read_to_string(file.path()).expect("a contract");
            let Ok(signed) = SignedContract::open(&note, &owner) else { continue };
            let other = Contract { nonce: Hash([9; 32]), ..signed.contract };
            std::fs::write(theirs.join(file.file_name()), other.sign(identity.signing_key()).expect("signed")).expect("written");
        }
    }
    let waits = planner(town, "waits", |own| own.replace("../roster.toml", "other-roster.toml").replace("../contracts", "../elsewhere"));
    refused(town, &waits, &[], "E_ROSTER");

    // A key that is not the planner's never gets as far as that.
    let wrong = planner(town, "wrong", |own| own.replace("planning-office.key", "stranger.key"));
    let said = run(&["query", QUICK, "--config", text(&wrong)]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("another key for `planning-office`"), "{}", said.err);
}

fn jobs_are_listed_and_shown(town: &Town) {
    let jobs = town.run(&["jobs"]);
    assert_eq!(jobs.code, 0, "{}", jobs.err);
    assert!(jobs.out.contains("done") && jobs.out.contains("planning-office"), "{}", jobs.out);
    let id = jobs.out.lines().find(|line| line.contains("done")).and_then(|line| line.split_whitespace().next()).expect("a job");
    let one = town.run(&["jobs", id]);
    assert_eq!(one.code, 0, "{}", one.err);
    assert!(one.out.contains(&format!("job      {id}")) && one.out.contains("state    done"), "{}", one.out);
    let none = town.run(&["jobs", "zz"]);
    assert_eq!(none.code, 2);
}

fn doctor_finds_nothing_wrong(town: &Town) {
    let own = town.run(&["doctor"]);
    assert_eq!(own.code, 0, "{}{}", own.out, own.err);
    for node in town.city.node_names() {
        let config = town.city.node_config(node).expect("a configuration");
        let doctor = run(&["doctor", text(config)]);
        assert_eq!(doctor.code, 0, "{node}: {}{}", doctor.out, doctor.err);
    }
}

fn nothing_secret_is_in_the_logs(town: &Town) {
    let deaths = town.run(&["query", QUICK, "--format", "json"]);
    let rows: Value = serde_json::from_str(&deaths.out).expect("JSON");
    for node in town.city.node_names() {
        let log = std::fs::read_to_string(town.city.log_path(node)).expect("a log");
        assert!(!log.is_empty(), "{node} has a log");
        let key = std::fs::read_to_string(town.city.folder().join(node).join(format!("{node}.key"))).expect("a key");
        let secret = key.lines().find(|line| !line.starts_with('-')).expect("its bytes");
        assert!(!log.contains(secret), "{node}'s key is in its log");
        for row in rows["rows"].as_array().expect("rows") {
            assert!(!log.contains(&format!("deaths={}", row["deaths"])), "{node}");
        }
    }
}

fn the_nodes_end_in_order(town: &mut Town) {
    let folder = town.city.folder().to_owned();
    let names: Vec<String> = town.city.node_names().map(ToOwned::to_owned).collect();
    assert!(names.iter().all(|name| town.city.is_running(name)));
    town.city.stop();
    for name in names {
        let log = std::fs::read_to_string(folder.join(&name).join("log")).expect("a log");
        assert!(!log.contains("panicked"), "{name}: {log}");
    }
}
