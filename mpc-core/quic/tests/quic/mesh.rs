//! Three parties in one process, each with its own socket and IO thread.

use crate::common::{City, WAIT, everywhere, exchange, frame, head, identity, pattern};
use mpc_core::establish::{ENGINE_VERSION, Terms, establish};
use mpc_core::link::{Kind, Link, LinkError};
use mpc_core::prss::EdgeKey;
use mpc_core::{Abort, Column, Fp61, Layout, PartyId, Session};
use mpc_quic::{Endpoint, Mesh, Profile, QuicLink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

#[test]
fn frames_of_every_size_arrive_as_they_were_sent() {
    let meshes = City::new().meshes();
    everywhere(&meshes, 1, |me, mut link| {
        for (step, len) in [0, 1, 31, 32, 33, 1000, 65_536, 3_000_000, 20_000_000, 5].into_iter().enumerate() {
            exchange(&mut link, me, step as u64, len).expect("exchanged");
        }
    });
    for status in meshes.iter().flat_map(Mesh::status) {
        assert!(status.connected && status.last_error.is_none() && status.sent > 0, "{status:?}");
    }
}

#[test]
fn parties_set_for_a_long_path_reach_each_other() {
    let mut city = City::new();
    let mut far =
        |party: usize| Mesh::start_on(identity(party), city.roster.clone(), city.sockets[party].take().expect("taken once"), Profile::Wan);
    let meshes: Vec<Mesh> = (0..3).map(&mut far).collect::<Result<_, _>>().expect("started");
    everywhere(&meshes, 1, |me, mut link| {
        for (step, len) in [0, 1, 65_536, 20_000_000].into_iter().enumerate() {
            exchange(&mut link, me, step as u64, len).expect("exchanged");
        }
    });
}

#[test]
fn nobody_waits_for_a_peer_to_read() {
    let meshes = City::new().meshes();
    let (len, rounds) = (6_000_000, 8);
    everywhere(&meshes, 1, |me, mut link| {
        // everything is submitted before anything is taken: far more than the windows hold
        for step in 0..rounds {
            for peer in (0..3).filter(|p| *p != me) {
                link.submit(PartyId(peer), frame(head(step, len), &pattern(me, peer, len))).expect("queued");
            }
        }
        for step in 0..rounds {
            for peer in (0..3).filter(|p| *p != me) {
                assert!(link.take(PartyId(peer), &head(step, len)).expect("taken") == pattern(peer, me, len));
            }
        }
    });
}

#[test]
fn lanes_and_jobs_run_side_by_side() {
    let meshes = City::new().meshes();
    std::thread::scope(|scope| {
        for job in 1..=3 {
            let meshes = &meshes;
            scope.spawn(move || {
                everywhere(meshes, job, |me, mut link| {
                    let mut lanes: Vec<Box<dyn Link>> = (1..=4).map(|lane| link.lane(lane).expect("opened")).collect();
                    std::thread::scope(|scope| {
                        for lane in &mut lanes {
                            scope.spawn(move || (0..30).for_each(|step| exchange(lane, me, step, 3000).expect("exchanged")));
                        }
                    });
                    exchange(&mut link, me, 0, 10).expect("exchanged");
                });
            });
        }
    });
}

#[test]
fn a_session_is_established_and_runs_rounds() {
    let mut city = City::new();
    let meshes = city.meshes();
    let sums = everywhere(&meshes, 1, |me, link| {
        let terms = terms(&city, 1);
        let mut session = establish(&identity(me.into()), &city.roster, PartyId(me), &terms, Box::new(link)).expect("established");
        let (left, right) = (session.right(2), session.right(1));
        let mut sum = Fp61::new(me.into());
        for _ in 0..2 {
            let mut round = session.round("sum");
            round.send(right, Column::from_rows(vec![sum]));
            let ticket = round.recv::<Fp61>(left, Layout::new(1, 1));
            let got = round.run().expect("runs").take(ticket).as_slice()[0];
            sum = Fp61::new(got.get() + u64::from(me));
        }
        sum.get()
    });
    // each walks two steps round the ring: the numbers of all three parties
    assert_eq!(sums, [3; 3]);
}

fn terms(city: &City, job: u8) -> Terms {
    Terms {
        qid: [job; 32],
        plan_hash: [2; 32],
        roster_hash: city.roster.hash(),
        catalog_hash: [4; 32],
        contracts: [0; 32],
        log: [0; 32],
        attempt: 1,
        engine_version: ENGINE_VERSION,
        params: [0; 32],
        data: [0; 32],
    }
}

#[test]
fn parties_that_disagree_at_their_first_word_do_not_wait_for_one_another() {
    let mut city = City::new();
    let meshes = city.meshes();
    // Whoever sees it first ends its streams, which may not have arrived: each of the others must still hear of it.
    for job in 1..=30 {
        let aborts = everywhere(&meshes, job, |me, link| {
            let mut terms = terms(&city, job);
            terms.params[0] ^= u8::from(me == 2);
            establish(&identity(me.into()), &city.roster, PartyId(me), &terms, Box::new(link)).map(|_| ()).expect_err("they differ")
        });
        assert!(aborts.iter().any(|abort| matches!(abort, Abort::Refused(_))), "{aborts:?}");
        assert!(!aborts.iter().any(|abort| matches!(abort, Abort::Deadline { .. })), "{aborts:?}");
    }
}

#[test]
fn a_peer_may_be_ahead_and_its_streams_wait() {
    let meshes = City::new().meshes();
    let open = |me: usize| meshes[me].link([5; 32], 1, WAIT).expect("a link");
    let mut ahead = open(0);
    for step in 0..3 {
        for peer in [1, 2] {
            ahead.submit(PartyId(peer), frame(head(step, 4), &pattern(0, peer, 4))).expect("queued");
        }
    }
    for (me, mut link) in [(1, open(1)), (2, open(2))] {
        for step in 0..3 {
            assert_eq!(link.take(PartyId(0), &head(step, 4)).expect("waited for it"), pattern(0, me, 4));
        }
    }
}

#[test]
fn an_attempt_runs_once() {
    let meshes = City::new().meshes();
    let link = meshes[0].link([5; 32], 1, WAIT).expect("a link");
    assert!(matches!(meshes[0].link([5; 32], 1, WAIT), Err(Abort::Refused(_))), "while it runs");
    drop(link);
    assert!(matches!(meshes[0].link([5; 32], 1, WAIT), Err(Abort::Refused(_))), "and afterwards");
    assert!(meshes[0].link([5; 32], 2, WAIT).is_ok(), "another number is another attempt");
}

#[test]
fn streams_for_an_attempt_that_has_ended_are_refused() {
    let meshes = City::new().meshes();
    drop(meshes[1].link([5; 32], 1, WAIT).expect("a link"));
    let mut late = meshes[0].link([5; 32], 1, WAIT).expect("a link");
    // it may take the refusal a moment to travel
    let refused = (0..).find_map(|step| late.submit(PartyId(1), frame(head(step, 1000), &[7; 1000])).err());
    let Some(LinkError::Gone(reason)) = refused else { panic!("not refused") };
    assert!(reason.contains("ended this attempt"), "{reason}");
}

#[test]
fn an_abort_overtakes_what_is_queued() {
    let meshes = City::new().meshes();
    let errors = everywhere(&meshes, 1, |me, mut link| match me {
        0 => {
            (0..2).for_each(|step| exchange(&mut link, 0, step, 8).expect("exchanged"));
            for peer in [1, 2] {
                for step in 2..30 {
                    link.submit(PartyId(peer), frame(head(step, 1 << 20), &vec![1; 1 << 20])).expect("queued");
                }
                let abort = mpc_core::link::Head { kind: Kind::Abort, ..head(0, 0) };
                link.submit(PartyId(peer), frame(abort, &[])).expect("queued");
            }
            LinkError::Aborted
        }
        _ => {
            (0..2).for_each(|step| exchange(&mut link, me, step, 8).expect("exchanged"));
            (2..30).find_map(|step| link.take(PartyId(0), &head(step, 1 << 20)).err()).expect("not all of it comes")
        }
    });
    assert_eq!(errors, [LinkError::Aborted, LinkError::Aborted, LinkError::Aborted]);
}

#[test]
fn a_peer_that_leaves_in_the_middle_of_a_frame_is_gone() {
    let meshes = City::new().meshes();
    let errors = everywhere(&meshes, 1, |me, mut link| {
        exchange(&mut link, me, 0, 8).expect("exchanged");
        if me == 0 {
            // a head that promises more than follows
            let mut short = frame(head(1, 50), &[1; 50]).into_bytes();
            short.truncate(40);
            let mut broken = mpc_core::link::FaultLink::new(link, std::sync::Arc::new(move |_, _, _| vec![short.clone()]));
            for peer in [1, 2] {
                broken.submit(PartyId(peer), frame(head(1, 0), &[])).expect("queued");
            }
            return LinkError::Aborted;
        }
        link.take(PartyId(0), &head(1, 50)).expect_err("it left")
    });
    assert!(matches!(&errors[1..], [LinkError::Gone(_), LinkError::Gone(_)]), "{errors:?}");
}

#[test]
fn a_node_that_shuts_down_is_noticed_at_once_and_the_others_stay_well() {
    let mut meshes = City::new().meshes();
    let last = meshes.pop().expect("three");
    let mut links: Vec<_> = meshes.iter().map(|mesh| mesh.link([1; 32], 1, WAIT).expect("a link")).collect();
    drop(last.link([1; 32], 1, WAIT).expect("a link"));
    last.shutdown();
    for (me, link) in links.iter_mut().enumerate() {
        let begun = Instant::now();
        let error = link.take(PartyId(2), &head(0, 8)).expect_err("gone");
        assert!(matches!(error, LinkError::Gone(_)) && begun.elapsed() < WAIT, "{error:?}");
        // the two that are left still reach each other
        let other = 1 - me as u8;
        link.submit(PartyId(other), frame(head(0, 8), &[3; 8])).expect("queued");
    }
    for (me, link) in links.iter_mut().enumerate() {
        link.take(PartyId(1 - me as u8), &head(0, 8)).expect("reached");
    }
    let status = meshes[0].status();
    assert!(status[0].connected && !status[1].connected, "{status:?}");
    assert!(status[1].last_error.as_ref().is_some_and(|e| e.contains("shut down")), "{status:?}");
    let Err(Abort::PeerGone { peer, reason, .. }) = meshes[0].link([2; 32], 1, Duration::from_millis(1)) else { panic!("connected") };
    assert!(peer == PartyId(2) && reason.contains("shut down"), "{reason}");
}

#[test]
fn a_node_that_comes_back_is_found_again() {
    let mut city = City::new();
    let mut meshes = city.meshes();
    everywhere(&meshes, 1, |me, mut link| exchange(&mut link, me, 0, 8).expect("exchanged"));
    // the first listens, the last dials: both directions of coming back
    for party in [0, 2] {
        let addr = meshes[party].local_addr();
        let (rest, back) = (meshes.split_off(party + 1), meshes.pop().expect("it is there"));
        back.shutdown();
        meshes.push(Mesh::start(identity(party), city.roster.clone(), addr, Profile::Lan).expect("the port is free again"));
        meshes.extend(rest);
        everywhere(&meshes, 2 + party as u8, |me, mut link| exchange(&mut link, me, 0, 8).expect("exchanged"));
    }
}

#[test]
fn a_probe_disturbs_nothing() {
    let mut city = City::new();
    let meshes = city.meshes();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    everywhere(&meshes, 1, |me, mut link| {
        exchange(&mut link, me, 0, 8).expect("exchanged");
        if me == 2 {
            // with the very key of a party that is connected
            runtime.block_on(async {
                let doctor = Endpoint::dialler(identity(2), city.roster.clone(), Profile::Lan).expect("bound");
                for peer in ["transport", "energy"] {
                    doctor.probe(peer).await.expect("it is there");
                }
                doctor.close().await;
            });
        }
        exchange(&mut link, me, 1, 8).expect("exchanged");
    });
}

#[test]
fn a_cancelled_job_ends_its_waits_and_no_other() {
    let meshes = City::new().meshes();
    let mut waiting = meshes[0].link([1; 32], 1, WAIT).expect("a link");
    std::thread::scope(|scope| {
        let taker = scope.spawn(move || waiting.take(PartyId(1), &head(0, 8)));
        meshes[0].cancel(&[1; 32], "the planner cancelled it");
        let error = taker.join().expect("no panic").expect_err("cancelled");
        assert_eq!(error, LinkError::Gone("the planner cancelled it".into()));
    });
    everywhere(&meshes, 2, |me, mut link| exchange(&mut link, me, 0, 8).expect("exchanged"));
}

#[test]
fn what_is_awaited_in_vain_ends_at_the_deadline() {
    let meshes = City::new().meshes();
    let wait = Duration::from_millis(1);
    drop(meshes[0].link([9; 32], 1, WAIT).expect("connected by now"));
    let mut link = meshes[0].link([1; 32], 1, wait).expect("a link");
    assert_eq!(link.take(PartyId(1), &head(0, 8)), Err(LinkError::Deadline(wait)));
}

#[test]
fn a_lane_that_panics_in_the_middle_of_a_message_ends_its_session_and_nothing_else() {
    let meshes = City::new().meshes();
    let key = |a: u8, b: u8| EdgeKey::new([1 + a.min(b) + 3 * a.max(b); 32]);
    // a few messages of thirty pieces round the ring
    let rounds = |me: u8, link: QuicLink, faulty: bool| {
        let keys = (0..3).map(|peer| (peer != me).then(|| key(me, peer))).collect();
        let mut session = Session::new(PartyId(me), [5; 32], keys, Box::new(link));
        let (left, right) = (session.right(2), session.right(1));
        let column = Column::splat(Fp61::new(me.into()), Layout::new(1 << 20, 1));
        let mut run = || {
            for _ in 0..3 {
                let mut rows = 0;
                let mut round = session.round("long");
                round.send(right, &column);
                round.recv_each(left, column.layout(), |_, block: &[Fp61]| {
                    rows += block.len();
                    assert!(!faulty || rows < 1 << 19, "a fault of its own");
                });
                round.run()?;
                assert_eq!(rows, 1 << 20);
            }
            Ok(())
        };
        let result: Result<(), Abort> = run();
        if result.is_err() {
            session.abandon();
        }
        result
    };
    let results = everywhere(&meshes, 1, |me, link| catch_unwind(AssertUnwindSafe(|| rounds(me, link, me == 2))));
    assert!(results[2].is_err(), "it panicked");
    for result in &results[..2] {
        assert!(matches!(result, Ok(Err(Abort::PeerGone { label: "long", .. }))), "{result:?}");
    }
    let results = everywhere(&meshes, 2, |me, link| rounds(me, link, false));
    assert_eq!(results, [Ok(()), Ok(()), Ok(())], "the nodes are well");
}
