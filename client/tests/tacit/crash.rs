//! A coordinator that is killed between the log and the parties: what it has entered, nobody has been told.

use crate::citylog::{audit, equal_everywhere, folder, ledger, settled};
use crate::fixture::{QUICK, said, text, until};
use crate::full::{disk, town};
use serde_json::Value;

#[test]
fn a_job_whose_start_was_entered_and_not_told_runs_after_a_restart_and_costs_once() {
    let mut town = town();
    let begun = settled(&town);
    // energy cannot cosign: query, debit and start are in the coordinator's log, and no party is told to start.
    disk(&town, "energy", "0");
    let asked = town.command(&["query", QUICK, "--format", "json"]);
    let waiting = std::thread::spawn(move || said(asked));
    until(|| (ledger(&town).size == begun + 3).then_some(()));
    assert_eq!(ledger(&town).published, Some(begun));
    town.city.kill("coordinator");
    disk(&town, "energy", "unlimited");
    town.up();

    let answered = waiting.join().expect("it ended");
    assert_eq!(answered.code, 0, "{}\n{}", answered.err, town.logs());
    let answer: Value = serde_json::from_str(&answered.out).expect("JSON");
    // The attempt that nobody began is ended by whoever accepts the next.
    assert_eq!((&answer["log"]["query"], &answer["log"]["debits"]), (&begun.into(), &serde_json::json!([begun + 1])));
    assert_eq!((&answer["log"]["start"], &answer["log"]["result"]), (&(begun + 4).into(), &(begun + 5).into()));
    equal_everywhere(&town, begun + 6);
    let said = audit(&town, "energy", &["--json", "--checkpoint", text(&folder(&town, "coordinator").join("checkpoint"))]);
    let audited: Value = serde_json::from_str(&said.out).expect("JSON");
    let count = ["job-query", "job-debit", "job-start", "job-abort", "job-result"].map(|kind| audited["entries"][kind].as_u64());
    assert_eq!(count, [1, 1, 2, 1, 1].map(Some), "{audited}");
    assert_eq!(audited["jobs"]["done"], 1, "{audited}");
}
