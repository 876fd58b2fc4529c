//! A party that is in the roster and misbehaves: whatever it sends is a typed error at the job concerned and nowhere else.

use crate::common::{City, WAIT, everywhere, exchange, head, identity};
use mpc_core::link::{Head, Kind, Link, LinkError};
use mpc_core::{Abort, PartyId};
use mpc_quic::quinn::{Connection, SendStream};
use mpc_quic::{Endpoint, Mesh, Profile, QuicLink};
use tokio::runtime::Runtime;

/// Party 0, 1 and, in place of a mesh at party 2, bare connections to both.
struct Scene {
    meshes: Vec<Mesh>,
    runtime: Runtime,
    hostile: Connection,
    _endpoint: Endpoint,
}

const JOB: [u8; 32] = [7; 32];

impl Scene {
    fn new() -> Self {
        let mut city = City::new();
        let meshes = vec![city.mesh(0), city.mesh(1)];
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let socket = city.socket(2);
        let (endpoint, hostile) = runtime.block_on(async {
            let (endpoint, _) = Endpoint::on(identity(2), city.roster.clone(), socket, Profile::Lan).expect("bound");
            let (hostile, _) = endpoint.connect("transport").await.expect("it is a party");
            let (other, _) = endpoint.connect("energy").await.expect("it is a party");
            // kept up
            tokio::spawn(async move { other.closed().await });
            (endpoint, hostile)
        });
        Scene { meshes, runtime, hostile, _endpoint: endpoint }
    }

    fn link(&self) -> QuicLink {
        self.meshes[0].link(JOB, 1, WAIT).expect("a link")
    }

    fn say(&self, bytes: &[u8]) -> SendStream {
        self.runtime.block_on(async {
            let mut stream = self.hostile.open_uni().await.expect("a stream");
            stream.write_all(bytes).await.expect("written");
            stream
        })
    }

    /// What the mesh answers a stream it does not want.
    fn refused(&self, stream: &SendStream) -> u64 {
        let stopped = self.runtime.block_on(stream.stopped()).expect("the connection lives");
        stopped.expect("it is stopped, not read to its end").into_inner()
    }
}

fn preface(attempt: u32, lane: u16) -> Vec<u8> {
    [&b"tq1\n"[..], &JOB, &attempt.to_le_bytes(), &lane.to_le_bytes()].concat()
}

fn malformed(bytes: &[u8]) -> LinkError {
    let scene = Scene::new();
    let mut link = scene.link();
    let _stream = scene.say(&[&preface(1, 0), bytes].concat());
    link.take(PartyId(2), &head(0, 16)).expect_err("not as expected")
}

#[test]
fn heads_that_are_not_as_expected_are_named() {
    for wrong in [
        Head { session: [8; 16], ..head(0, 16) },
        Head { lane: 1, ..head(0, 16) },
        Head { piece: 1, ..head(0, 16) },
        Head { kind: Kind::Hello, ..head(0, 16) },
        head(1, 16),
        head(0, 15),
        head(0, 17),
        head(0, u32::MAX as usize),
    ] {
        assert_eq!(malformed(&[&wrong.encode()[..], &[0; 16]].concat()), LinkError::Unexpected(Some(wrong)));
    }
    assert_eq!(malformed(&[0xff; 64]), LinkError::Unexpected(None));
    assert_eq!(malformed(&[0; 32]), LinkError::Unexpected(None));
    let abort = Head { kind: Kind::Abort, ..head(3, 0) };
    assert_eq!(malformed(&abort.encode()), LinkError::Aborted);
}

#[test]
fn streams_cut_short_are_typed_errors() {
    for cut in [0, 1, 31, 32, 40] {
        let scene = Scene::new();
        let mut link = scene.link();
        let frame = [&head(0, 16).encode()[..], &[0; 16]].concat();
        let mut stream = scene.say(&[&preface(1, 0), &frame[..cut]].concat());
        stream.finish().expect("open until now");
        let error = link.take(PartyId(2), &head(0, 16)).expect_err("cut short");
        assert!(matches!(error, LinkError::Gone(_)), "{cut}: {error:?}");
    }
}

#[test]
fn no_length_of_a_peer_is_allocated() {
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmPeak:"))?.trim().trim_end_matches("kB").trim();
        line.parse::<u64>().ok()
    };
    let before = peak();
    for _ in 0..3 {
        let announced = head(0, u32::MAX as usize);
        assert_eq!(malformed(&announced.encode()), LinkError::Unexpected(Some(announced)));
    }
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < 2_000_000, "address space grew by {} kB", after - before);
    }
}

#[test]
fn streams_that_do_not_say_what_they_are_for_are_refused() {
    const MALFORMED: u64 = 4;
    let scene = Scene::new();
    let garbage = scene.say(&[0x55; 64]);
    assert_eq!(scene.refused(&garbage), MALFORMED);
    let mut short = scene.say(&preface(1, 0)[..41]);
    short.finish().expect("open until now");
    // a stream whose end has come cannot be stopped; the job does not get it
    drop(scene.meshes[0].link([1; 32], 1, WAIT).expect("all are connected now"));
    let mut link = scene.meshes[0].link(JOB, 1, std::time::Duration::from_millis(1)).expect("a link");
    assert!(matches!(link.take(PartyId(2), &head(0, 16)), Err(LinkError::Deadline(_))));
}

#[test]
fn a_second_stream_for_a_lane_is_refused_and_the_first_goes_on() {
    const LATE: u64 = 2;
    let scene = Scene::new();
    let mut link = scene.link();
    let frame = |step| [&head(step, 4).encode()[..], &[1, 2, 3, 4]].concat();
    let mut first = scene.say(&[preface(1, 0), frame(0)].concat());
    assert_eq!(link.take(PartyId(2), &head(0, 4)), Ok(vec![1, 2, 3, 4]));
    let second = scene.say(&[preface(1, 0), frame(1)].concat());
    assert_eq!(scene.refused(&second), LATE);
    scene.runtime.block_on(first.write_all(&frame(1))).expect("written");
    assert_eq!(link.take(PartyId(2), &head(1, 4)), Ok(vec![1, 2, 3, 4]));
    // and once the attempt is over, nobody gets in under its name
    drop(link);
    let third = scene.say(&preface(1, 1));
    assert_eq!(scene.refused(&third), LATE);
}

#[test]
fn only_so_many_streams_wait_for_unknown_jobs() {
    const BUSY: u64 = 3;
    let scene = Scene::new();
    let waiting: Vec<SendStream> = (0..64).map(|attempt| scene.say(&preface(100 + attempt, 0))).collect();
    let more: Vec<SendStream> = (0..8).map(|attempt| scene.say(&preface(1000 + attempt, 0))).collect();
    // as many as there are too many are refused, whichever come last
    scene.runtime.block_on(async {
        let mut stopped = tokio::task::JoinSet::new();
        for stream in waiting.iter().chain(&more) {
            stopped.spawn(stream.stopped());
        }
        for _ in 0..more.len() {
            let code = stopped.join_next().await.expect("more to come").expect("no panic").expect("the connection lives");
            assert_eq!(code.map(|c| c.into_inner()), Some(BUSY));
        }
    });
}

#[test]
fn a_hostile_peer_spoils_its_own_job_only() {
    let mut city = City::new();
    let meshes = city.meshes();
    let errors = everywhere(&meshes, 1, |me, mut link| {
        exchange(&mut link, me, 0, 100).expect("exchanged");
        if me == 2 {
            let broken = mpc_core::link::FaultLink::new(link, std::sync::Arc::new(|_, _, bytes| vec![vec![0xee; bytes.len()]]));
            let mut broken = broken;
            return exchange(&mut broken, me, 1, 100).err();
        }
        exchange(&mut link, me, 1, 100).err()
    });
    assert_eq!(errors[0], Some(LinkError::Unexpected(None)));
    everywhere(&meshes, 2, |me, mut link| exchange(&mut link, me, 0, 100).expect("the next job runs"));
}

#[test]
fn a_node_dialled_by_whom_it_dials_itself_refuses() {
    // the earlier in the roster never dials; if it does, it is turned away
    let mut city = City::new();
    let energy = city.mesh(1);
    let socket = city.socket(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (endpoint, _) = Endpoint::on(identity(0), city.roster.clone(), socket, Profile::Lan).expect("bound");
        let (connection, _) = endpoint.connect("energy").await.expect("its key is good");
        let closed = connection.closed().await;
        assert!(closed.to_string().contains("not yours to dial"), "{closed}");
    });
    assert!(matches!(energy.link(JOB, 1, std::time::Duration::from_millis(1)), Err(Abort::PeerGone { .. })));
}

#[test]
fn a_peer_that_never_reads_is_waited_for_and_costs_bounded_memory() {
    let scene = Scene::new();
    let wait = std::time::Duration::from_millis(300);
    drop(scene.link());
    let mut link = scene.meshes[0].link(JOB, 2, wait).expect("all are connected now");
    let len = 4 << 20;
    let (sent, error) = (0u64..)
        .find_map(|step| Some((step, link.submit(PartyId(2), crate::common::frame(head(step, len), &vec![1; len])).err()?)))
        .expect("an end");
    assert_eq!(error, LinkError::Deadline(wait));
    // what is queued, and what QUIC holds of one stream
    assert!(sent <= 16 + 2 + 1, "{sent} frames of 4 MB were taken");
    // the other peer is none the worse
    link.submit(PartyId(1), crate::common::frame(head(0, 8), &[1; 8])).expect("queued");
}

#[test]
fn streams_that_never_come_to_the_point_disturb_nobody() {
    let scene = Scene::new();
    let mut links = [0, 1].map(|party| scene.meshes[party].link(JOB, 1, WAIT).expect("a link"));
    let talk = |links: &mut [QuicLink; 2], step| {
        links[0].submit(PartyId(1), crate::common::frame(head(step, 4), &[5; 4])).expect("queued");
        assert_eq!(links[1].take(PartyId(0), &head(step, 4)), Ok(vec![5; 4]));
    };
    talk(&mut links, 0);
    // as many as a connection may have open, each with less than a preface, and one more in every role a preface can have
    let slow: Vec<SendStream> = (0..1000).map(|at| scene.say(&preface(1, 0)[..at % 42])).collect();
    talk(&mut links, 1);
    let mut own = scene.say(&[preface(1, 0), head(0, 4).encode().to_vec()].concat());
    scene.runtime.block_on(own.write_all(&[7; 4])).expect("written");
    assert_eq!(links[0].take(PartyId(2), &head(0, 4)), Ok(vec![7; 4]), "its own session too");
    drop(slow);
    talk(&mut links, 2);
}

#[test]
fn what_a_peer_sends_unasked_is_bounded_by_its_connection() {
    const WINDOW: u64 = 128 << 20;
    let scene = Scene::new();
    let mut links = [0, 1].map(|party| scene.meshes[party].link(JOB, 1, WAIT).expect("a link"));
    // streams for jobs that never begin, all that is let through on each
    let written = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    for attempt in 0..40 {
        let (hostile, written) = (scene.hostile.clone(), written.clone());
        scene.runtime.spawn(async move {
            let mut stream = hostile.open_uni().await.expect("a stream");
            stream.write_all(&preface(100 + attempt, 0)).await.expect("written");
            while let Ok(taken) = stream.write(&[3; 1 << 16]).await {
                written.fetch_add(taken as u64, std::sync::atomic::Ordering::Relaxed);
            }
        });
    }
    for step in 0..500 {
        links[0].submit(PartyId(1), crate::common::frame(head(step, 1000), &[5; 1000])).expect("queued");
        assert_eq!(links[1].take(PartyId(0), &head(step, 1000)), Ok(vec![5; 1000]));
    }
    let written = written.load(std::sync::atomic::Ordering::Relaxed);
    assert!(written <= WINDOW, "{written} bytes were let through");
}
