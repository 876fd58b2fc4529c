//! The demo, end to end.

use crate::fixture::{Said, said, tacit};
use tempfile::TempDir;

#[test]
fn the_demo_answers_six_questions_equal_to_their_clear_answers_and_cleans_up() {
    let (demo, folder) = demo(&["--json"]);
    assert_eq!(demo.code, 0, "{}{}", demo.out, demo.err);
    let lines: Vec<serde_json::Value> = demo.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 7, "six questions and a summary");
    // the private join, on addresses that nobody else has
    assert!(lines[..6].iter().any(|asked| asked["question"] == "addresses" && asked["rows"].as_u64() > Some(0)), "{}", demo.out);
    for asked in &lines[..6] {
        assert_eq!(asked["equal"], true, "{asked}");
        assert!(asked["rounds"].as_u64() > Some(0) && asked["bytes"].as_u64() > Some(0), "{asked}");
        assert!(asked["reveals"].as_array().is_some_and(|r| !r.is_empty()), "{asked}");
        assert_eq!(asked["answer"].as_array().map(|rows| rows.len() as u64), asked["rows"].as_u64());
    }
    assert_eq!(lines[6]["equal"], true);
    let refused = &lines[6]["refused"];
    let refusals = refused["refusals"].as_array().expect("refusals");
    assert_eq!((refused["question"].as_str(), refusals.len()), (Some("tips"), 3), "{refused}");
    for refusal in refusals {
        let reason = refusal["reason"].as_str().expect("words");
        assert!(
            refusal["code"] == "E_NO_CONSENT" && refusal["signed"] == true && reason.contains("does not allow tip_usd in SUM"),
            "{refusal}"
        );
    }
    assert_eq!(lines[6]["peak_rss"].as_array().map(Vec::len), Some(4), "{}", lines[6]);
    assert!(is_empty(&folder), "nothing is left behind");
}

#[test]
fn one_question_of_the_demo_reads_as_a_story() {
    let (demo, _folder) = demo(&["--question", "days", "--sql"]);
    assert_eq!(demo.code, 0, "{}{}", demo.out, demo.err);
    for part in ["[1 of 1] days", "energy holds", "planner learns", "cost", "equals the same SQL in clear", "Peak memory", "SELECT"] {
        assert!(demo.out.contains(part), "{part} in {}", demo.out);
    }
}

#[test]
fn the_question_that_contracts_do_not_allow_is_refused_readably() {
    let (demo, _folder) = demo(&["--question", "tips"]);
    assert_eq!(demo.code, 0, "{}{}", demo.out, demo.err);
    for part in ["[refused] tips", "does not allow tip_usd in SUM", "to mend it", "signed by       ", "health", "one is refused"] {
        assert!(demo.out.contains(part), "{part} in {}", demo.out);
    }
}

#[test]
fn a_demo_that_keeps_its_city_says_where() {
    let (demo, folder) = demo(&["--question", "days", "--keep"]);
    assert_eq!(demo.code, 0, "{}{}", demo.out, demo.err);
    let line = demo.out.lines().find_map(|line| line.strip_prefix("The city is kept in ")).expect("it says so");
    let kept = std::path::PathBuf::from(line.trim_end_matches('.'));
    assert!(kept.starts_with(folder.path()), "{}", kept.display());
    for file in ["roster.toml", "catalogue.toml", "planning-office/planner.toml", "health/party.toml", "coordinator/log"] {
        assert!(kept.join(file).is_file(), "{file}");
    }
}

/// Runs a demo whose temporary files all lie in one folder.
fn demo(args: &[&str]) -> (Said, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = tacit(&[&["demo"], args].concat());
    command.env("TMPDIR", folder.path());
    (said(command), folder)
}

fn is_empty(folder: &TempDir) -> bool {
    std::fs::read_dir(folder.path()).expect("the folder").next().is_none()
}
