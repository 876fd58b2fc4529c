//! The command line without a running city: usage, setting up, looking, and the exit codes of what cannot work.

use crate::fixture::{run, said, tacit, text};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const AGENCIES: [&str; 2] = ["energy", "health"];

/// A city nobody has started, on ports nobody has.
fn city() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("city");
    let made = run(&["init", dir.to_str().expect("UTF-8"), "--base-port", "61000"]);
    assert_eq!(made.code, 0, "{}", made.err);
    (folder, dir)
}

fn failed(report: &str, check: &str) -> bool {
    report.lines().any(|line| line.trim_start().starts_with("FAILED") && line.split('|').nth(1).is_some_and(|c| c.trim() == check))
}

#[test]
fn help_is_there_for_everything_and_has_examples() {
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.out.contains("Exit codes:") && help.out.contains("tacit demo"), "{}", help.out);
    for command in ["demo", "init", "key", "party", "coordinator", "query", "explain", "catalog", "jobs", "doctor", "contract", "ledger"] {
        let help = run(&[command, "--help"]);
        assert_eq!(help.code, 0, "{command}");
        assert!(help.out.contains("Example"), "{command}: {}", help.out);
    }
    for command in ["ledger", "ledger restore", "ledger show", "ledger evidence", "ledger audit", "ledger prove", "contract show", "audit"]
    {
        let help = run(&[&command.split(' ').collect::<Vec<_>>()[..], &["--help"]].concat());
        let names = |folder: &str| AGENCIES.iter().any(|agency| help.out.contains(&format!(" {agency}/{folder}")));
        assert!(names("state/ledger") && !names("ledger"), "{command}: folders are those that `tacit init` makes: {}", help.out);
    }
    assert!(run(&["--version"]).out.starts_with("tacit "));
}

#[test]
fn wrong_usage_ends_in_2_and_says_what() {
    for args in [&["quary"][..], &[], &["query"], &["query", "-f", "/nonexistent.sql"], &["query", "SELECT 1", "--format", "xml"]] {
        let said = run(args);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{args:?}");
        assert!(!said.err.is_empty());
    }
    for command in ["query", "explain"] {
        let said = run(&[command]);
        assert!(said.err.contains("<SQL|--file <FILE>>"), "{}", said.err);
        assert_eq!(run(&[command, "SELECT 1", "-f", "question.sql"]).code, 2);
    }
    let said = run(&["query", "SELECT 1"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("no planner configuration found") && said.err.contains("tacit init"), "{}", said.err);
    let said = run(&["query", "SELECT 1", "--config", "/nonexistent/planner.toml"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("/nonexistent/planner.toml: there is no such file"), "{}", said.err);
    let said = run(&["query", "SELECT 1", "--config", ""]);
    assert_eq!((said.code, said.err.as_str()), (2, "tacit: --config names no file; give the path of planner.toml, or leave it out\n"));
    let said = run(&["demo", "--question", "weather"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("no question `weather`; there are underserved"), "{}", said.err);
    let said = run(&["demo", "--data", "/nonexistent"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("/nonexistent: there is no such folder; give one"), "{}", said.err);
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let (folder, dir) = city();
    for args in [&["query", "SELECT 1"][..], &["explain", "SELECT 1"], &["catalog"], &["jobs"], &["doctor"]] {
        let [unset, empty] = [None, Some("")].map(|variable| {
            let mut command = tacit(args);
            command.current_dir(folder.path()).envs(variable.map(|empty| ("TACIT_CONFIG", empty)));
            said(command)
        });
        assert!(empty.code == 2 && empty.err.contains("no planner configuration found"), "{args:?}: {}", empty.err);
        assert_eq!((empty.code, empty.err), (unset.code, unset.err), "{args:?}");
    }
    let mut command = tacit(&["catalog"]);
    command.current_dir(dir.join("planning-office")).env("TACIT_CONFIG", "");
    let found = said(command);
    assert_eq!(found.code, 0, "./planner.toml is found: {}", found.err);
}

#[test]
fn a_key_is_made_once_and_shown_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.key");
    let made = run(&["key", "new", text(&file)]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.starts_with("ed25519:"), "{}", made.out);
    assert_eq!(run(&["key", "show", text(&file)]).out, made.out);
    let again = run(&["key", "new", text(&file)]);
    assert_eq!(again.code, 2);
    assert_eq!(run(&["key", "show", text(&file)]).out, made.out, "the key is still the first");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let open = run(&["key", "show", text(&file)]);
    assert_eq!(open.code, 2, "a key others can read is refused");
    assert!(open.err.contains("chmod 600"), "{}", open.err);
}

#[test]
fn init_makes_a_city_that_doctor_finds_sound_but_not_running() {
    let (_folder, dir) = city();
    let again = run(&["init", text(&dir)]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("is not empty"), "{}", again.err);

    let coordinator = run(&["doctor", text(&dir.join("coordinator/coordinator.toml"))]);
    assert_eq!(coordinator.code, 0, "{}{}", coordinator.out, coordinator.err);
    assert!(coordinator.out.contains("Everything that was checked works"), "{}", coordinator.out);

    let planner = run(&["doctor", text(&dir.join("planning-office/planner.toml"))]);
    assert_eq!(planner.code, 1);
    assert!(failed(&planner.out, "coordinator") && planner.out.contains("tacit coordinator --config"), "{}", planner.out);

    let party = run(&["doctor", text(&dir.join("transport/party.toml"))]);
    assert!(party.out.contains("public.zones") && party.out.contains("transport.example"), "{}{}", party.out, party.err);
}

#[test]
fn doctor_names_what_is_broken_and_how_to_mend_it() {
    let (_folder, dir) = city();
    let planner = dir.join("planning-office/planner.toml");
    let stranger = dir.join("stranger.key");
    assert_eq!(run(&["key", "new", text(&stranger)]).code, 0);
    let swap = |file: &Path, from: &str, to: &str| {
        let text = std::fs::read_to_string(file).expect("the file");
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(file, text.replacen(from, to, 1)).expect("written");
    };
    swap(&planner, "planning-office.key", "../stranger.key");
    swap(&dir.join("public/zones.csv"), "North", "Nord");
    let doctor = run(&["doctor", text(&planner)]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.contains("the roster has another key for `planning-office`"), "{}", doctor.out);
    assert!(failed(&doctor.out, "public tables"), "{}", doctor.out);
    assert!(doctor.out.contains("zones.csv"), "{}", doctor.out);

    let party = dir.join("health/party.toml");
    swap(&dir.join("health/data/example.csv"), "2,3", "2,many");
    let doctor = run(&["doctor", text(&party)]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.contains("example.csv") && doctor.out.contains("amount"), "{}", doctor.out);
    assert!(!doctor.out.contains("many"), "no cell is shown: {}", doctor.out);
    swap(&party, "node = ", "nod = ");
    let doctor = run(&["doctor", text(&party)]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.contains("unknown field `nod`"), "{}", doctor.out);
}

#[test]
fn doctor_knows_an_open_key_from_a_missing_one_and_whose_key_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, dir) = city();
    let key = |name: &str| dir.join(format!("{name}/{name}.key"));
    let mode = |mode| std::fs::set_permissions(key("transport"), std::fs::Permissions::from_mode(mode)).expect("changed");
    for config in ["transport/party.toml", "coordinator/coordinator.toml", "planning-office/planner.toml"] {
        let config = dir.join(config);
        let text_of = std::fs::read_to_string(&config).expect("the file");
        let name = config.parent().and_then(Path::file_name).expect("a folder").to_string_lossy().into_owned();
        // Of another node.
        let other = if name == "planning-office" { "transport" } else { "energy" };
        std::fs::write(&config, text_of.replacen(&format!("\"{name}.key\""), &format!("\"../{other}/{other}.key\""), 1)).expect("written");
        let doctor = run(&["doctor", text(&config)]);
        assert_eq!(doctor.code, 1);
        assert!(doctor.out.contains(&format!("this is the key of `{other}`, not of `{name}`")), "{}", doctor.out);
        assert!(doctor.out.contains(&format!("let `identity` name the private key of `{name}`")), "{}", doctor.out);
        // None.
        std::fs::write(&config, text_of.replacen(&format!("\"{name}.key\""), "\"nowhere.key\"", 1)).expect("written");
        let doctor = run(&["doctor", text(&config)]);
        assert!(failed(&doctor.out, "key") && doctor.out.contains("tacit key new FILE"), "{}", doctor.out);
        std::fs::write(&config, text_of).expect("written");
    }
    mode(0o644);
    let doctor = run(&["doctor", text(&dir.join("transport/party.toml"))]);
    assert!(failed(&doctor.out, "key"), "{}", doctor.out);
    let advice = doctor.out.lines().find(|line| line.starts_with("key: ")).expect("advice");
    assert!(advice.contains(&format!("run `chmod 600 {}`", key("transport").display())), "{advice}");
    mode(0o600);
    let doctor = run(&["doctor", text(&dir.join("transport/party.toml"))]);
    assert!(!failed(&doctor.out, "key"), "{}", doctor.out);
}

#[test]
fn the_catalogue_is_shown_as_tables_and_columns() {
    let (_folder, dir) = city();
    let config = dir.join("planning-office/planner.toml");
    let tables = run(&["catalog", "--config", text(&config)]);
    assert!(tables.out.contains("energy.example") && tables.out.contains("public.zones.zone"), "{}{}", tables.out, tables.err);
    let mut columns = tacit(&["catalog", "energy.example"]);
    columns.env("TACIT_CONFIG", &config);
    let columns = said(columns);
    assert!(columns.out.contains("0 to 1000") && columns.out.contains("held by energy alone"), "{}{}", columns.out, columns.err);
    let json = run(&["catalog", "--format", "json", "--config", text(&config)]);
    let rows: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(4));
    let unknown = run(&["catalog", "energy.exam", "--config", text(&config)]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("no table `energy.exam`; it has energy.example"), "{}", unknown.err);
}

#[test]
fn explain_and_bad_sql_need_no_network() {
    let (_folder, dir) = city();
    let config = dir.join("planning-office/planner.toml");
    let explain = run(&["explain", "SELECT SUM(amount) FROM energy.example", "--config", text(&config)]);
    assert_eq!(explain.code, 0, "{}", explain.err);
    assert!(explain.out.to_lowercase().contains("reveals") && explain.out.contains("rounds"), "{}", explain.out);
    assert!(explain.out.contains("Consent\n") && explain.out.contains("energy.example  example"), "{}", explain.out);
    let refused = run(&["explain", "SELECT MEDIAN(amount) AS m FROM energy.example", "--config", text(&config)]);
    assert_eq!(refused.code, 0, "{}", refused.err);
    assert!(refused.out.contains("refused: ") && refused.out.contains("does not allow amount in MEDIAN"), "{}", refused.out);
    let other =
        ["explain", "SELECT SUM(amount) FROM energy.example", "--purpose", "https://w3id.org/dpv#Marketing", "--config", text(&config)];
    assert!(run(&other).out.contains("does not allow the purpose"));
    let without = config.with_file_name("without.toml");
    let own = std::fs::read_to_string(&config).expect("the configuration");
    std::fs::write(&without, own.replace("\ncontracts", "\n# contracts")).expect("written");
    let unchecked = run(&["explain", "SELECT SUM(amount) FROM energy.example", "--config", text(&without)]);
    assert!(unchecked.out.contains("not checked: no contracts here"), "{}", unchecked.out);
    let asked = run(&["query", "explain SELECT SUM(amount) FROM energy.example", "--config", text(&config)]);
    assert_eq!(asked.out, explain.out);
    let json = run(&["explain", "--json", "SELECT SUM(amount) FROM energy.example", "--config", text(&config)]);
    assert!(serde_json::from_str::<serde_json::Value>(&json.out).is_ok(), "{}", json.out);

    let bad = run(&["query", "SELECT SUM(amount)\nFROM energy.exampel", "--config", text(&config)]);
    assert_eq!((bad.code, bad.out.as_str()), (1, ""));
    assert!(bad.err.contains("E_SQL at line 2") && bad.err.contains("energy.exampel") && bad.err.contains('^'), "{}", bad.err);
    let bad = run(&["explain", "SELEC 1", "--config", text(&config)]);
    assert_eq!(bad.code, 1);
    assert!(bad.err.contains("E_SQL"), "{}", bad.err);

    let away = run(&["query", "SELECT SUM(amount) FROM energy.example", "--config", text(&config)]);
    assert_eq!((away.code, away.out.as_str()), (4, ""));
    assert!(away.err.contains("is the coordinator running"), "{}", away.err);
    let away = run(&["jobs", "--config", text(&config)]);
    assert_eq!(away.code, 4);
}
