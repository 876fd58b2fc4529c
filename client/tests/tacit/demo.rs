//! The demo, end to end.

use crate::fixture::run;

#[test]
fn the_demo_answers_five_questions_equal_to_their_clear_answers_and_cleans_up() {
    let before = folders();
    let demo = run(&["demo", "--json"]);
    assert_eq!(demo.code, 0, "{}{}", demo.out, demo.err);
    let lines: Vec<serde_json::Value> = demo.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 6, "five questions and a summary");
    for asked in &lines[..5] {
        assert_eq!(asked["equal"], true, "{asked}");
        assert!(asked["rounds"].as_u64() > Some(0) && asked["bytes"].as_u64() > Some(0), "{asked}");
        assert!(asked["reveals"].as_array().is_some_and(|r| !r.is_empty()), "{asked}");
        assert_eq!(asked["answer"].as_array().map(|rows| rows.len() as u64), asked["rows"].as_u64());
    }
    assert_eq!(lines[5]["equal"], true);
    assert_eq!(lines[5]["peak_rss"].as_array().map(Vec::len), Some(4), "{}", lines[5]);
    assert!(folders().iter().all(|folder| before.contains(folder)), "nothing is left behind");
}

#[test]
fn one_question_of_the_demo_reads_as_a_story() {
    let demo = run(&["demo", "--question", "days", "--sql"]);
    assert_eq!(demo.code, 0, "{}{}", demo.out, demo.err);
    for part in ["[1 of 1] days", "energy holds", "planner learns", "cost", "equals the same SQL in clear", "Peak memory", "SELECT"] {
        assert!(demo.out.contains(part), "{part} in {}", demo.out);
    }
}

/// Demo folders of this machine.
fn folders() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir()).expect("the temporary folder");
    let demo = |path: &std::path::PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("tacit-demo-"));
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(demo).collect()
}
