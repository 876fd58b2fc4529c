//! A party process that is killed outright.

use crate::common::{City, WAIT, exchange, identity};
use mpc_core::link::LinkError;
use mpc_core::roster::Roster;
use mpc_quic::{Mesh, Profile, QuicLink};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const JOB: [u8; 32] = [7; 32];

/// Party 2, in a process of its own when started by the test below; nothing otherwise.
#[test]
#[allow(clippy::print_stdout, reason = "tells the parent how far it is")]
fn party_process() {
    let Ok(roster) = std::env::var("TACIT_TEST_PARTY") else { return };
    let roster = Arc::new(Roster::parse(&roster).expect("the parent's roster"));
    let listen = roster.parties().nth(2).expect("three parties").resolve().expect("an address");
    let mesh = Mesh::start(identity(2), roster, listen, Profile::Lan).expect("started");
    for attempt in std::io::stdin().lock().lines() {
        let attempt = attempt.expect("a line").parse().expect("a number");
        let mut link = mesh.link(JOB, attempt, WAIT).expect("a link");
        for step in 0.. {
            if let Err(error) = exchange(&mut link, 2, step, 1000) {
                // the parent waits to be told, and sees that this process ends
                assert!(step > 10, "lost before it ran: {error:?}");
                break;
            }
            if step == 10 {
                println!("\nrunning");
            }
        }
    }
}

fn start(roster: &Roster, attempt: u32) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "killed::party_process", "--nocapture"])
        .env("TACIT_TEST_PARTY", roster.to_toml())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let orders = child.stdin.as_mut().expect("a pipe");
    orders.write_all(format!("{attempt}\n").as_bytes()).expect("told");
    child
}

fn wait_until_running(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
    assert!(lines.any(|line| line.is_ok_and(|l| l == "running")), "it never ran");
}

#[test]
fn a_killed_party_is_noticed_and_found_again() {
    let mut city = City::new();
    let meshes = [city.mesh(0), city.mesh(1)];
    drop(city.socket(2));
    let run = |me: u8, mut link: QuicLink, rounds: std::ops::Range<u64>| {
        rounds.map(|step| exchange(&mut link, me, step, 1000)).find_map(Result::err)
    };
    for attempt in [1, 2] {
        let mut child = start(&city.roster, attempt);
        let errors: Vec<Option<LinkError>> = std::thread::scope(|scope| {
            let running: Vec<_> = meshes
                .iter()
                .zip(0..)
                .map(|(mesh, me)| scope.spawn(move || run(me, mesh.link(JOB, attempt, WAIT).expect("a link"), 0..u64::MAX)))
                .collect();
            wait_until_running(&mut child);
            child.kill().expect("killed");
            child.wait().expect("gone");
            running.into_iter().map(|t| t.join().expect("no panic")).collect()
        });
        // by the silence of its connection, long before the deadline of the frame
        assert!(errors.iter().any(|e| matches!(e, Some(LinkError::Gone(reason)) if reason.contains("sign of life"))), "{errors:?}");
        assert!(errors.iter().all(|e| matches!(e, Some(LinkError::Gone(_)))), "{errors:?}");
        let status = meshes[0].status();
        assert!(status[0].connected, "the others are well: {status:?}");
    }
}
