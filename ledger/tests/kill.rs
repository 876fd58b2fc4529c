//! kill -9, over and over: a log and its cosigner in a process that is killed while it appends. What was told to be in the log
//! is in it, and everything ever cosigned is of one log.

mod common;

use common::*;
use ledger::bytes::Hash;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const FOLDER: &str = "LEDGER_KILL_FOLDER";

#[allow(clippy::print_stdout, reason = "the parent reads it")]
/// What the parent starts: appends, has it cosigned, tells, for ever.
#[test]
#[ignore = "runs as the child of the test below"]
fn appending() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let (mut log, mut agency) = (sequencer(&folder.join("log")), cosigner(&folder.join("agency")));
    for round in 0.. {
        // Batches of many sizes, so that some fill bundles and some do not.
        let size = log.head().size + 1 + round * round % 90;
        grow(&mut log, size);
        cosign(&mut log, &mut agency, 1_800_000_000);
        println!("cosigned {} {}", log.head().size, log.head().root);
    }
}

#[test]
fn nothing_that_was_cosigned_is_ever_taken_back() {
    let folder = TempDir::new().expect("a folder");
    let mut cosigned: Vec<(u64, Hash)> = Vec::new();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "appending", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let heads = lines.map_while(Result::ok).filter_map(|line| {
            let mut words = line.split("cosigned ").nth(1)?.split(' ');
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        });
        // It is killed in the middle of whatever follows the line.
        cosigned.extend(heads.take(3 + 2 * round));
        child.kill().expect("killed");
        child.wait().expect("gone");

        let log = sequencer(&folder.path().join("log"));
        let agency = cosigner(&folder.path().join("agency"));
        agency.sure().expect("it goes on by itself");
        let (last, _) = *cosigned.last().expect("it got somewhere");
        assert!(log.head().size >= last && agency.store().size() >= last);
        for (size, root) in &cosigned {
            assert_eq!(log.store().root_at(*size).expect("a root"), *root, "the log at {size}");
            assert_eq!(agency.store().root_at(*size).expect("a root"), *root, "the mirror at {size}");
        }
        assert!(cosigned.is_sorted());
    }
    assert!(cosigned.len() > 100);
}
