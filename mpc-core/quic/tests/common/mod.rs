//! A city of three parties and a coordinator on free loopback ports.
#![allow(dead_code, reason = "each test binary uses its part")]

use mpc_core::PartyId;
use mpc_core::identity::Identity;
use mpc_core::link::{Frame, Head, Kind, Link, LinkError};
use mpc_core::roster::{Node, Role, Roster};
use mpc_quic::{Mesh, Profile};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

pub const NAMES: [&str; 4] = ["transport", "energy", "health", "coordinator"];
pub const WAIT: Duration = Duration::from_secs(30);

pub struct City {
    pub roster: Arc<Roster>,
    pub sockets: Vec<Option<UdpSocket>>,
}

pub fn identity(node: usize) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[node as u8 + 1; 32]))
}

impl City {
    pub fn new() -> Self {
        let sockets: Vec<UdpSocket> = NAMES.iter().map(|_| UdpSocket::bind("127.0.0.1:0").expect("a free port")).collect();
        let nodes = NAMES.iter().zip(&sockets).enumerate().map(|(at, (name, socket))| Node {
            name: (*name).into(),
            role: if at < 3 { Role::Party } else { Role::Coordinator },
            key: identity(at).public(),
            addr: socket.local_addr().expect("bound").to_string(),
            api: (at == 3).then(|| "http://127.0.0.1:7180".into()),
        });
        let roster = Roster::new("Test city".into(), nodes.collect(), Vec::new()).expect("a good roster");
        City { roster: Arc::new(roster), sockets: sockets.into_iter().map(Some).collect() }
    }

    pub fn socket(&mut self, node: usize) -> UdpSocket {
        self.sockets[node].take().expect("taken once")
    }

    pub fn mesh(&mut self, party: usize) -> Mesh {
        let socket = self.socket(party);
        Mesh::start_on(identity(party), self.roster.clone(), socket, Profile::Lan).expect("started")
    }

    pub fn meshes(&mut self) -> Vec<Mesh> {
        (0..3).map(|party| self.mesh(party)).collect()
    }
}

pub fn head(step: u64, len: usize) -> Head {
    Head { session: [9; 16], lane: 0, kind: Kind::Round, piece: 0, step, len: len as u32 }
}

pub fn frame(head: Head, payload: &[u8]) -> Frame {
    let mut frame = Frame::with_capacity(payload.len());
    frame.payload_mut().extend_from_slice(payload);
    frame.seal(&head);
    frame
}

/// What party `from` sends to party `to` in the tests: different for everybody, never all zero.
pub fn pattern(from: u8, to: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31) ^ from << 4 ^ to << 2 ^ 1).collect()
}

/// One exchange of `len` bytes with every other party.
pub fn exchange(link: &mut dyn Link, me: u8, step: u64, len: usize) -> Result<(), LinkError> {
    let peers = (0..3).filter(|p| *p != me);
    for peer in peers.clone() {
        link.submit(PartyId(peer), frame(head(step, len), &pattern(me, peer, len)))?;
    }
    for peer in peers {
        assert!(link.take(PartyId(peer), &head(step, len))? == pattern(peer, me, len), "party {peer}'s bytes, step {step}");
    }
    Ok(())
}

/// Runs `program` at every party, on a link for `job` each, and returns what each brought home.
pub fn everywhere<T: Send>(meshes: &[Mesh], job: u8, program: impl Fn(u8, mpc_quic::QuicLink) -> T + Sync) -> Vec<T> {
    let program = &program;
    std::thread::scope(|scope| {
        let running: Vec<_> = meshes
            .iter()
            .enumerate()
            .map(|(me, mesh)| scope.spawn(move || program(me as u8, mesh.link([job; 32], 1, WAIT).expect("a link"))))
            .collect();
        running.into_iter().map(|t| t.join().expect("no panic")).collect()
    })
}
