//! Strangers on the wire: whatever they send to a node's socket, the session that runs there goes on, new members are let in, and memory stays
//! bounded. What it costs in time is the benchmark's matter.

mod common;

use common::{City, everywhere, exchange, identity};
use mpc_quic::{Endpoint, Mesh, Profile};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

/// Datagrams of a flood.
const MANY: usize = 20_000;
/// What a flood may cost a process, both ends of it together.
const MEMORY_KB: u64 = 100_000;

fn peak_memory_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Runs a session of 200 rounds on `meshes` while `flood` runs, and as many afterwards.
fn undisturbed(meshes: &[Mesh], flood: impl FnOnce() + Send) {
    let rounds =
        |job| everywhere(meshes, job, |me, mut link| (0..200).for_each(|step| exchange(&mut link, me, step, 500).expect("exchanged")));
    rounds(1);
    let before = peak_memory_kb();
    std::thread::scope(|scope| {
        let flooding = scope.spawn(flood);
        rounds(2);
        flooding.join().expect("no panic");
    });
    rounds(3);
    if let (Some(before), Some(after)) = (before, peak_memory_kb()) {
        let grown = after.saturating_sub(before);
        assert!(grown < MEMORY_KB, "memory grew by {grown} kB");
    }
    let status = meshes.iter().flat_map(Mesh::status).collect::<Vec<_>>();
    assert!(status.iter().all(|s| s.connected && s.last_error.is_none()), "{status:?}");
}

/// Bytes that look random and are the same in every run.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn junk_datagrams_disturb_nobody() {
    let mut city = City::new();
    let meshes = city.meshes();
    let victims: Vec<SocketAddr> = meshes.iter().map(Mesh::local_addr).collect();
    undisturbed(&meshes, move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let mut next = noise(7);
        for at in 0..MANY {
            let len = [0, 1, 20, 43, 1200, 1452, 9000, 65_507][at % 8];
            let mut junk: Vec<u8> = std::iter::repeat_with(|| next().to_le_bytes()).flatten().take(len).collect();
            if len > 20 {
                // long heads of version 1 of every type, of an unknown version, and short heads
                match at % 3 {
                    0 => junk[..6].copy_from_slice(&[0xc0 | (at % 64) as u8, 0, 0, 0, 1, 8]),
                    1 => junk[..6].copy_from_slice(&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8]),
                    _ => junk[0] = 0x40 | (at % 64) as u8,
                }
            }
            // a full buffer is the flooder's loss
            let _ = socket.send_to(&junk, victims[at % victims.len()]);
        }
    });
}

/// First datagrams of handshakes with whoever listens at `at`, which answers none of them.
fn first_flights(at: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let _guard = runtime.enter();
    let city = City::new();
    // a member of another city, as whom this one sees it: nobody
    let addr = at.local_addr().expect("bound");
    let nodes = city.roster.nodes().iter().cloned().map(|mut node| {
        if node.name == "transport" {
            node.addr = addr.to_string();
        }
        node
    });
    let roster = Arc::new(mpc_core::roster::Roster::new("Other city".into(), nodes.collect(), Vec::new()).expect("a good roster"));
    let mut flights = Vec::new();
    let mut bytes = [0; 2048];
    while flights.len() < count {
        let stranger = Endpoint::dialler(identity(1), roster.clone(), Profile::Lan).expect("bound");
        let dialling = runtime.spawn(async move { stranger.connect("transport").await.err() });
        let (len, _) = at.recv_from(&mut bytes).expect("it dials");
        flights.push(bytes[..len].to_vec());
        dialling.abort();
    }
    flights
}

#[test]
fn half_open_and_replayed_handshakes_disturb_nobody_and_members_still_get_in() {
    let mut city = City::new();
    let meshes = city.meshes();
    let victim = meshes[0].local_addr();
    let flights = first_flights(&UdpSocket::bind("127.0.0.1:0").expect("a free port"), 100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let roster = city.roster.clone();
    undisturbed(&meshes, move || {
        // each from several addresses: as many connections that never answer
        let sockets: Vec<UdpSocket> = (0..20).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a free port")).collect();
        for socket in &sockets {
            for flight in &flights {
                let _ = socket.send_to(flight, victim);
            }
        }
        // strangers hold the few places of those who have not shown that they are where they say; a member shows it and is let in
        runtime.block_on(async {
            let doctor = Endpoint::dialler(identity(2), roster, Profile::Lan).expect("bound");
            doctor.probe("transport").await.expect("a member is let in");
            doctor.close().await;
        });
    });
}

#[test]
fn a_recorded_session_replayed_disturbs_nobody() {
    let mut city = City::new();
    // party 0 is reached through a wire that keeps what goes to it
    let wire = Wire::to(city.socket(0));
    let hidden = wire.inner.try_clone().expect("a second handle");
    let meshes = vec![Mesh::start_on(identity(0), city.roster.clone(), hidden, Profile::Lan).expect("started"), city.mesh(1), city.mesh(2)];
    let victim = meshes[0].local_addr();
    let kept = wire.kept.clone();
    undisturbed(&meshes, move || {
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let kept = kept.lock().expect("not poisoned").clone();
        assert!(kept.len() > 100, "a handshake and a session were kept");
        let mut next = noise(11);
        for round in 0..3 {
            for datagram in &kept {
                let mut datagram = datagram.clone();
                if round == 2 {
                    let at = next() as usize % datagram.len();
                    datagram[at] ^= 1 << (next() % 8);
                }
                // from a stranger's address and from the wire itself, as the peer seemed to be
                let _ = stranger.send_to(&datagram, victim);
                wire.replay(&datagram, victim);
            }
        }
        drop(wire);
    });
}

/// A wire in front of a node: it has the node's address, keeps what it passes on, and each peer is passed on from a socket of its own.
struct Wire {
    inner: UdpSocket,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    towards: Arc<Mutex<Vec<UdpSocket>>>,
}

impl Wire {
    fn to(outer: UdpSocket) -> Self {
        let inner = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let wire = Wire { kept: Arc::default(), towards: Arc::default(), inner };
        let (node, kept, towards) = (wire.inner.local_addr().expect("bound"), wire.kept.clone(), wire.towards.clone());
        std::thread::spawn(move || {
            let mut peers: Vec<(SocketAddr, UdpSocket)> = Vec::new();
            let mut bytes = vec![0; 65_536];
            while let Ok((len, from)) = outer.recv_from(&mut bytes) {
                if !peers.iter().any(|(peer, _)| *peer == from) {
                    let near = UdpSocket::bind("127.0.0.1:0").expect("a free port");
                    let (back, outer) = (near.try_clone().expect("a second handle"), outer.try_clone().expect("a second handle"));
                    towards.lock().expect("not poisoned").push(near.try_clone().expect("a second handle"));
                    std::thread::spawn(move || {
                        let mut bytes = vec![0; 65_536];
                        while let Ok((len, _)) = back.recv_from(&mut bytes) {
                            let _ = outer.send_to(&bytes[..len], from);
                        }
                    });
                    peers.push((from, near));
                }
                let Some((_, near)) = peers.iter().find(|(peer, _)| *peer == from) else { continue };
                kept.lock().expect("not poisoned").push(bytes[..len].to_vec());
                let _ = near.send_to(&bytes[..len], node);
            }
        });
        wire
    }

    /// Sends `datagram` once more, from where each peer seemed to be.
    fn replay(&self, datagram: &[u8], to: SocketAddr) {
        for near in self.towards.lock().expect("not poisoned").iter() {
            let _ = near.send_to(datagram, to);
        }
    }
}
