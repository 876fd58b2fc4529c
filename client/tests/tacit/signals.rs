//! Ctrl-C, a polite end and a hard one: whatever ends a command, no process and no file of it stays behind.

use crate::fixture::{run, text, until};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[test]
fn a_demo_that_is_interrupted_leaves_no_process_and_no_file() {
    for (signal, code, nodes) in [("INT", Some(130), 4), ("TERM", Some(130), 4), ("INT", Some(130), 1)] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut demo = start(&["demo"], folder.path());
        let children = until(|| Some(children(demo.id())).filter(|children| children.len() >= nodes));
        send(signal, demo.id());
        assert_eq!(demo.wait().expect("it ended").code(), code, "{signal}");
        assert!(children.iter().all(|child| !is_alive(*child)), "{signal}: no node stays");
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}

#[test]
fn nodes_do_not_outlive_a_demo_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = start(&["demo"], folder.path());
    let children = until(|| Some(children(demo.id())).filter(|children| children.len() == 4));
    demo.kill().expect("killed");
    demo.wait().expect("it ended");
    until(|| children.iter().all(|child| !is_alive(*child)).then_some(()));
}

#[test]
fn nodes_end_in_order_on_either_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let city = folder.path().join("city");
    let made = run(&["init", text(&city), "--base-port", &free_ports()]);
    assert_eq!(made.code, 0, "{}", made.err);
    for (command, file, up, down) in [
        ("coordinator", "coordinator/coordinator.toml", "coordinator started", "coordinator stops"),
        ("party", "transport/party.toml", "party is up", "party is down"),
    ] {
        for signal in ["INT", "TERM"] {
            let mut node = start(&[command, "--config", text(&city.join(file))], folder.path());
            let mut log = BufReader::new(node.stderr.take().expect("its standard error")).lines().map_while(Result::ok);
            assert!(log.any(|line| line.contains(up)), "{command} comes up, the second time too");
            if command == "party" {
                send("HUP", node.id());
                assert!(log.any(|line| line.contains("contracts read")), "it looks at its contracts when it is told to");
            }
            send(signal, node.id());
            assert!(log.any(|line| line.contains(down)), "{command} says that it ends");
            assert_eq!(node.wait().expect("it ended").code(), Some(0), "{command}, {signal}");
        }
    }
}

/// The first of the ports that a city takes: below those that systems give to whoever names none.
pub fn free_ports() -> String {
    use std::hash::{BuildHasher, RandomState};
    use std::net::{TcpListener, UdpSocket};
    until(|| {
        let base = 12_000 + (RandomState::new().hash_one("ports") % 20_000) as u16;
        let udp = [base, base + 1, base + 2, base + 3].map(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok());
        let tcp = [base + 80, base + 101, base + 102, base + 103].map(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        udp.into_iter().chain(tcp).all(|free| free).then(|| base.to_string())
    })
}

pub fn start(args: &[&str], temp: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tacit"));
    command.args(args).env("TMPDIR", temp).env_remove("TACIT_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("started")
}

/// There is no way to send a signal from the standard library.
fn send(signal: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

/// The processes this one has started.
fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    entries.filter(|process| stat(*process).is_some_and(|(_, of)| of == parent)).collect()
}

fn is_alive(process: u32) -> bool {
    stat(process).is_some_and(|(state, _)| state != "Z")
}

/// A process's state and parent.
fn stat(process: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // behind the closing bracket of the name
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
