//! Disks that are full: a node says so, leaves nothing half written, and goes on once there is room. What fills a disk here is a limit on the size of files, which
//! holds for one process, and can be lifted.

use crate::citylog::{checkpoint, contract, equal_everywhere, handed_in, health, ledger, settled};
use crate::fixture::{QUICK, Said, Town, said, until};
use client::city::Program;
use std::process::Command;

#[test]
fn an_agency_whose_disk_is_full_says_so_and_goes_on() {
    let mut town = town();
    let begun = settled(&town);
    disk(&town, "energy", "0");
    // All agencies cosign what a job begins with: it waits.
    let asked = town.command(&["query", QUICK, "--format", "csv"]);
    let waiting = std::thread::spawn(move || said(asked));
    let trouble = until(|| health(&town, "energy")["trouble"].as_str().map(ToOwned::to_owned));
    assert!(trouble.starts_with("E_LEDGER_FULL: ") && trouble.contains("make room"), "{trouble}");
    assert!(town.city.is_running("energy"), "{}", town.logs());

    disk(&town, "energy", "unlimited");
    answered(&town, &waiting.join().expect("it ended"));
    until(|| health(&town, "energy")["trouble"].is_null().then_some(()));
    let stands = grown(&town, begun);
    goes_on(&mut town, "energy", stands);
}

#[test]
fn a_coordinator_whose_disk_is_full_says_so_and_goes_on() {
    let mut town = town();
    let begun = settled(&town);
    disk(&town, "coordinator", "0");
    for _ in 0..2 {
        let said = town.run(&["query", QUICK]);
        assert_ne!(said.code, 0, "{}", said.out);
        for part in ["E_INTERNAL", "job store", "to mend it"] {
            assert!(said.err.contains(part), "{part} in {}\n{}", said.err, town.logs());
        }
    }
    let waiting = handed_in(&town, &contract(&town, 0));
    let trouble = until(|| ledger(&town).trouble);
    assert!(trouble.starts_with("E_LEDGER_FULL: ") && trouble.contains("make room"), "{trouble}");
    assert!(town.city.is_running("coordinator"), "{}", town.logs());

    disk(&town, "coordinator", "unlimited");
    assert_eq!(waiting.join().expect("answered"), begun);
    until(|| ledger(&town).trouble.is_none().then_some(()));
    goes_on(&mut town, "coordinator", begun + 1);
}

/// A city whose processes are told of a limit, instead of ended by it.
pub fn town() -> Town {
    let tacit = env!("CARGO_BIN_EXE_tacit");
    let program =
        Program { executable: "/bin/sh".into(), prefix: ["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", tacit].map(Into::into).into() };
    let mut town = Town::invented_with(program);
    town.up();
    town
}

/// How large the files of a node may be.
pub fn disk(town: &Town, node: &str, bytes: &str) {
    let pid = town.city.pid(node).expect("it runs").to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status().expect("prlimit runs");
    assert!(set.success());
}

/// The next question is answered, every log is whole and the same, and so they are after a restart.
fn goes_on(town: &mut Town, node: &str, mut entries: u64) {
    for _ in 0..2 {
        answered(town, &town.run(&["query", QUICK, "--format", "csv"]));
        entries = grown(town, entries);
        equal_everywhere(town, entries);
        town.city.kill(node);
        town.up();
    }
}

/// How many entries there are, one more question answered. How often it was tried is a matter of patience, and of when agencies notice that one has restarted.
fn grown(town: &Town, entries: u64) -> u64 {
    let stands = checkpoint(town, "coordinator").head().size;
    assert!(stands >= entries + STEPS && (stands - entries - STEPS).is_multiple_of(RETRY), "{entries} {stands}");
    stands
}

fn answered(town: &Town, said: &Said) {
    assert!(said.code == 0 && said.out.starts_with("borough,zones,deaths\n"), "{}\n{}", said.err, town.logs());
}

/// Entries of an answered question of one table: query, debit, start and result.
const STEPS: u64 = 4;
/// Entries of another attempt: the abort of the one before, and a start.
const RETRY: u64 = 2;
