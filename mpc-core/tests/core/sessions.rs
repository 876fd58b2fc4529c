//! Rounds over links: what arrives is what the program expects, or the session ends with a typed abort that says why.

use mpc_core::link::{Fault, Frame, Head, Kind, Link, LinkError, RecordLink, View, memory};
use mpc_core::prss::EdgeKey;
use mpc_core::round::PIECE;
use mpc_core::world::World;
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Index, Layout, Meter, PartyId, Ring, Session, Z64};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where nobody needs to wait for a deadline.
const PATIENT: Duration = Duration::from_secs(20);
/// Where somebody waits for what never comes.
const SHORT: Duration = Duration::from_millis(60);

fn head(len: u32) -> Head {
    Head { session: *b"sixteen bytes id", lane: 3, kind: Kind::Round, piece: 1, step: 9, len }
}

fn frame(head: Head, payload: &[u8]) -> Frame {
    let mut frame = Frame::with_capacity(payload.len());
    frame.payload_mut().extend_from_slice(payload);
    frame.seal(&head);
    frame
}

proptest! {
    #[test]
    fn heads_return(
        (session, lane, piece) in any::<([u8; 16], u16, u8)>(), step in any::<u64>(), len in any::<u32>(), kind in 0usize..4
    ) {
        let head = Head { session, lane, piece, step, len, kind: [Kind::Round, Kind::Hello, Kind::Confirm, Kind::Abort][kind] };
        prop_assert_eq!(Head::decode(&head.encode()), Some(head));
    }

    #[test]
    fn no_bytes_make_a_head_panic(bytes in any::<[u8; Head::BYTES]>()) {
        let known = (1..=4).contains(&bytes[30]);
        prop_assert_eq!(Head::decode(&bytes).is_some(), known);
        if let Some(head) = Head::decode(&bytes) {
            prop_assert_eq!(head.encode(), bytes);
        }
    }
}

#[test]
fn memory_delivers_in_order_and_by_lane() {
    let mut links = memory(2, PATIENT);
    let (mut b, mut a) = (links.pop().unwrap(), links.pop().unwrap());
    let (mut a2, mut b2) = (a.lane(7).unwrap(), b.lane(7).unwrap());
    a.submit(PartyId(1), frame(head(2), &[1, 2])).unwrap();
    a2.submit(PartyId(1), frame(head(1), &[9])).unwrap();
    a.submit(PartyId(1), frame(head(0), &[])).unwrap();
    assert_eq!(b2.take(PartyId(0), &head(1)), Ok(vec![9]));
    assert_eq!(b.take(PartyId(0), &head(2)), Ok(vec![1, 2]));
    assert_eq!(b.take(PartyId(0), &head(0)), Ok(vec![]));
}

#[test]
fn memory_says_what_is_wrong() {
    let mut links = memory(2, SHORT);
    let (mut b, mut a) = (links.pop().unwrap(), links.pop().unwrap());
    let from = PartyId(0);
    assert_eq!(b.take(from, &head(1)), Err(LinkError::Deadline(SHORT)));
    for wrong in [
        Head { step: 8, ..head(1) },
        Head { lane: 2, ..head(1) },
        Head { piece: 2, ..head(1) },
        Head { session: [0; 16], ..head(1) },
        Head { kind: Kind::Hello, ..head(1) },
    ] {
        a.submit(PartyId(1), frame(wrong, &[5])).unwrap();
        assert_eq!(b.take(from, &head(1)), Err(LinkError::Unexpected(Some(wrong))));
    }
    a.submit(PartyId(1), frame(head(2), &[5, 6])).unwrap();
    assert_eq!(b.take(from, &head(1)), Err(LinkError::Unexpected(Some(head(2)))));
    a.submit(PartyId(1), frame(Head { kind: Kind::Abort, ..head(0) }, &[])).unwrap();
    assert_eq!(b.take(from, &head(1)), Err(LinkError::Aborted));
    let second_lane = a.lane(1).unwrap();
    drop(a);
    assert!(matches!(b.take(from, &head(1)), Err(LinkError::Gone(_))));
    drop(second_lane);
}

#[test]
fn what_was_sent_before_the_end_closed_still_arrives() {
    let mut links = memory(2, PATIENT);
    let (mut b, mut a) = (links.pop().unwrap(), links.pop().unwrap());
    a.submit(PartyId(1), frame(head(1), &[5])).unwrap();
    drop(a);
    assert_eq!(b.take(PartyId(0), &head(1)), Ok(vec![5]));
    assert!(matches!(b.take(PartyId(0), &head(1)), Err(LinkError::Gone(_))));
}

#[test]
fn a_record_is_what_was_received() {
    let mut links = memory(2, PATIENT);
    let (b, mut a) = (links.pop().unwrap(), links.pop().unwrap());
    let view = View::default();
    let mut b = RecordLink::new(b, view.clone());
    a.submit(PartyId(1), frame(head(1), &[5])).unwrap();
    b.take(PartyId(0), &head(1)).unwrap();
    assert_eq!(*view.lock().unwrap(), [(PartyId(0), head(1), vec![5])]);
}

// ------------------------------------------------------------ rounds

/// Both parties send a column of words and one of bits, over two rounds.
fn exchange(mut session: Session) -> Result<(Column<Fp61>, Column<B64>), Abort> {
    let peer = session.right(1);
    let (words, bits) = (Column::splat(Fp61::new(session.me().0.into()), Layout::new(3, 1)), Column::splat(B64(!0), Layout::new(10, 2)));
    let mut round = session.round("first");
    round.send(peer, &words);
    round.send(peer, &bits);
    let (w, b) = (round.recv(peer, words.layout()), round.recv(peer, bits.layout()));
    let mut inbox = round.run()?;
    let got = (inbox.take(w), inbox.take(b));
    let mut round = session.round("second");
    round.send(peer, &got.0);
    let back = round.recv(peer, words.layout());
    assert!(round.run()?.take(back) == words);
    Ok(got)
}

#[test]
fn a_round_is_metered_to_the_bit() {
    let outcomes = World::new(2, 1).run(exchange);
    for (p, outcome) in outcomes.iter().enumerate() {
        let (words, bits) = outcome.result.as_ref().unwrap();
        assert!(words.as_slice().iter().all(|w| w.get() == 1 - p as u64));
        assert!(bits.to_uints() == [3; 10]);
        // 183 and 20 bits in one frame, 183 in another; each column in whole bytes
        assert_eq!(outcome.meter, Meter { rounds: 2, bits: 183 + 20 + 183, bytes: 23 + 3 + 23, received: 23 + 3 + 23 });
        let lens: Vec<u32> = outcome.view.lock().unwrap().iter().map(|(_, head, _)| head.len).collect();
        assert_eq!(lens, [26, 23]);
    }
}

#[test]
fn lanes_run_side_by_side_and_share_the_meter() {
    let outcomes = World::new(2, 1).run_ok(|mut session| {
        let lanes = session.lanes(4)?;
        let results: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = lanes.into_iter().map(|lane| scope.spawn(|| exchange(lane).map(drop))).collect();
            running.into_iter().map(|r| r.join().unwrap()).collect()
        });
        results.into_iter().collect::<Result<Vec<_>, _>>()?;
        exchange(session).map(drop)
    });
    for (_, meter) in outcomes {
        assert_eq!((meter.rounds, meter.bytes), (2 * 5, 49 * 5));
    }
}

/// A message of several pieces: planes that end within a byte, narrow and wide elements, blocks and pieces that end anywhere.
fn long(session: &mut Session, from: PartyId) -> Result<Meter, Abort> {
    let random = |seed: u64, rows: usize| {
        let mut state = seed;
        let next = std::iter::repeat_with(move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 3
        });
        next.take(rows)
    };
    let bits =
        |rows: usize, planes| Column::from_elements(random(1, rows.div_ceil(64) * planes).map(B64).collect(), Layout::new(rows, planes));
    let (bits, last) = (bits(70_001, 77).expect("fits"), bits(3, 5).expect("fits"));
    let narrow = Column::from_indices(random(2, 300_001).map(|v| v as u32 >> 11), 21);
    let words = Column::from_rows(random(3, 99_999).map(Fp61::new).collect());
    let wide = Column::from_rows(random(4, 33_333).map(|v| Fp127::new(u128::from(v) << 60)).collect());
    let none = Column::<Fp61>::zeros(Layout::new(0, 1));
    let (me, peer) = (session.me(), session.right(1));
    let before = session.meter();
    let mut sum = Column::<Index>::zeros(narrow.layout());
    let mut round = session.round("long");
    if me == from {
        round.send(peer, &bits);
        round.send(peer, &narrow);
        round.send(peer, &none);
        round.send(peer, words);
        round.send(peer, &wide);
        round.send(peer, &last);
        let ticket = round.recv::<Z64>(peer, Layout::new(1, 1));
        assert!(round.run()?.take(ticket).as_slice()[0] == Z64(7));
    } else {
        let tickets = (round.recv(peer, bits.layout()), {
            round.recv_each(peer, narrow.layout(), |at, block| {
                sum.as_mut_slice()[at..].iter_mut().zip(block).for_each(|(s, v)| *s = s.add(*v));
            });
            round.recv(peer, none.layout())
        });
        let (w, wd, l) = (round.recv(peer, words.layout()), round.recv(peer, wide.layout()), round.recv(peer, last.layout()));
        round.send(peer, Column::splat(Z64(7), Layout::new(1, 1)));
        let mut inbox = round.run()?;
        assert!(inbox.take(tickets.0) == bits && inbox.take(tickets.1) == none && inbox.take(w) == words);
        assert!(inbox.take(wd) == wide && inbox.take(l) == last);
        drop(inbox);
        assert!(sum == narrow);
    }
    Ok(session.meter() - before)
}

#[test]
fn a_long_message_goes_in_pieces_and_counts_as_one() {
    let outcomes = World::new(2, 1).run(|mut session| Ok([long(&mut session, PartyId(0))?, long(&mut session, PartyId(1))?]));
    let bits = 70_001 * 77 + 300_001 * 21 + 99_999 * 61 + 33_333 * 127 + 15;
    let bytes = [70_001 * 77, 300_001 * 21, 99_999 * 61, 33_333 * 127, 15].map(|bits: u64| bits.div_ceil(8)).iter().sum();
    for (p, outcome) in outcomes.iter().enumerate() {
        let metered = outcome.result.as_ref().expect("it arrives");
        assert_eq!(metered[p], Meter { rounds: 1, bits, bytes, received: 8 });
        assert_eq!(metered[1 - p], Meter { rounds: 1, bits: 64, bytes: 8, received: bytes });
        let view = outcome.view.lock().expect("not poisoned");
        let pieces: Vec<_> = view.iter().map(|(_, head, payload)| (head.step, head.piece, payload.len())).collect();
        let long =
            (0..bytes.div_ceil(PIECE as u64)).map(|i| (i as u8, (bytes - i * PIECE as u64).min(PIECE as u64) as usize)).collect::<Vec<_>>();
        assert!(long.len() > 9, "{long:?}");
        let (mine, theirs) = (p as u64 + 1, 2 - p as u64);
        let expected = |step: u64| if step == mine { vec![(0, 8)] } else { long.clone() };
        let expected: Vec<_> =
            [1, 2].into_iter().flat_map(|step| expected(step).into_iter().map(move |(piece, len)| (step, piece, len))).collect();
        assert_eq!(pieces, expected, "step {theirs} is long");
    }
}

#[test]
fn a_piece_lost_is_noticed_at_the_next() {
    let results = with_fault(|index, bytes| if index == 3 { Vec::new() } else { vec![bytes] });
    assert!(matches!(&results, Err(Abort::Desync { expected, got, .. }) if expected.piece == 3 && got.piece == 4), "{results:?}");
}

#[test]
fn a_piece_that_is_no_encoding_is_malformed() {
    // a word of wide elements with all bits set, in the last long piece
    let results = with_fault(|index, mut bytes| {
        if index == 8 {
            let at = bytes.len() - 2000;
            bytes[at..at + 64].fill(0xff);
        }
        vec![bytes]
    });
    assert!(matches!(&results, Err(Abort::Malformed { peer: PartyId(0), label: "long", .. })), "{results:?}");
}

/// What party 1 makes of a long message of which the pieces are changed.
fn with_fault(fault: impl Fn(u64, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Result<Meter, Abort> {
    let fault: Fault = Arc::new(move |index, _, bytes| fault(index, bytes));
    let world = World::new(2, 1).timeout(SHORT).fault(PartyId(0), fault);
    world.run(|mut session| long(&mut session, PartyId(0))).swap_remove(1).result
}

#[test]
fn a_party_runs_again_alone_against_what_it_received() {
    let world = World::new(2, 1);
    let run = |mut session: Session| {
        let metered = long(&mut session, PartyId(0))?;
        let step = session.step();
        let mut drawn = [Z64(0); 4];
        session.prss(session.right(1)).fill(step, 0, &mut drawn);
        Ok((metered, drawn.map(|v| v.0)))
    };
    for (p, outcome) in (0..).zip(world.run(run)) {
        let again = world.run_alone(PartyId(p), outcome.view, run);
        assert_eq!(again.expect("the same again"), outcome.result.expect("it arrives"));
    }
}

#[test]
fn a_lane_is_opened_once_and_opens_none() {
    let outcomes = World::new(2, 1).run(|mut session| {
        let mut lane = session.lanes(2)?.remove(1);
        let nested = lane.lanes(1).map(drop);
        let more = session.lanes(1)?.remove(0);
        let too_many = session.lanes(u16::MAX - 2).map(drop);
        // the lanes are 2 and 3: had either number been given twice, the frames of one would come to the other
        let run = |mut lane: Session, value| {
            let peer = lane.right(1);
            let column = Column::splat(Z64(value), Layout::new(1, 1));
            let mut round = lane.round("lane");
            round.send(peer, &column);
            let ticket = round.recv::<Z64>(peer, column.layout());
            Ok(round.run()?.take(ticket).as_slice()[0].0)
        };
        Ok((nested, too_many, run(more, 3)?, run(lane, 2)?))
    });
    for outcome in outcomes {
        let (nested, too_many, third, second) = outcome.result.unwrap();
        assert!(matches!(nested, Err(Abort::Exhausted(why)) if why.contains("opens no lanes")));
        assert!(matches!(too_many, Err(Abort::Exhausted(why)) if why.contains("65,535")));
        assert_eq!((second, third), (2, 3));
    }
}

/// What each party ends with when everything party 0 sends goes through `fault`.
fn ends(fault: impl Fn(u64, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Vec<Result<(), Abort>> {
    let fault: Fault = Arc::new(move |i, _, bytes| fault(i, bytes));
    World::new(2, 1).timeout(PATIENT).fault(PartyId(0), fault).run(exchange).into_iter().map(|o| o.result.map(drop)).collect()
}

/// Applies `f` to the frame with index `at`.
fn change(at: u64, f: impl Fn(Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Vec<Result<(), Abort>> {
    ends(move |i, bytes| if i == at { f(bytes) } else { vec![bytes] })
}

#[test]
fn without_a_fault_a_faulty_link_changes_nothing() {
    assert!(ends(|_, bytes| vec![bytes]).iter().all(Result::is_ok));
}

#[test]
fn a_frame_that_never_comes_is_missed_where_it_was_due() {
    let lost_first = change(0, |_| vec![]);
    // the next frame comes instead
    assert!(
        matches!(&lost_first[1], Err(Abort::Desync { label: "first", expected, got, .. }) if got.step > expected.step),
        "{lost_first:?}"
    );
    let lost_last = change(1, |_| vec![]);
    let expected = |e: &Abort| {
        matches!(e, Abort::Deadline { peer: PartyId(0), label: "second", .. } | Abort::PeerGone { peer: PartyId(0), label: "second", .. })
    };
    assert!(lost_last[1].as_ref().is_err_and(expected), "{lost_last:?}");
}

#[test]
fn frames_of_another_length_are_refused() {
    let shorter = change(0, |b| vec![b[..b.len() - 1].to_vec()]);
    let longer = change(0, |b| vec![[b, vec![0]].concat()]);
    let headless = change(0, |b| vec![b[..20].to_vec()]);
    let lying = change(0, |mut b| {
        b[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
        vec![b]
    });
    for results in [shorter, longer, headless, lying] {
        let expected = |e: &Abort| matches!(e, Abort::Desync { peer: PartyId(0), .. } | Abort::Malformed { peer: PartyId(0), .. });
        assert!(results[1].as_ref().is_err_and(expected), "{results:?}");
    }
}

#[test]
fn every_bit_of_a_head_counts() {
    for bit in 0..Head::BYTES * 8 {
        let results = change(1, move |mut b| {
            b[bit / 8] ^= 1 << (bit % 8);
            vec![b]
        });
        assert!(results[1].is_err(), "bit {bit}");
    }
}

#[test]
fn replayed_and_swapped_frames_are_out_of_step() {
    let replayed = change(0, |b| vec![b.clone(), b]);
    assert!(matches!(&replayed[1], Err(Abort::Desync { expected, got, .. }) if got.step < expected.step), "{replayed:?}");
    let held: Mutex<Vec<u8>> = Mutex::default();
    let old_again = ends(move |i, b| {
        if i == 0 {
            held.lock().unwrap().clone_from(&b);
            vec![b]
        } else {
            vec![held.lock().unwrap().clone()]
        }
    });
    assert!(matches!(&old_again[1], Err(Abort::Desync { .. })), "{old_again:?}");
}

#[test]
fn elements_that_are_not_canonical_are_refused() {
    let results = change(1, |mut b| {
        b[Head::BYTES..].fill(0xff);
        vec![b]
    });
    assert!(matches!(results[1], Err(Abort::Malformed { peer: PartyId(0), label: "second", .. })), "{results:?}");
}

#[test]
fn a_party_that_abandons_ends_its_peers_at_once() {
    let outcomes = World::new(3, 1).run(|mut session| {
        if session.me() == PartyId(2) {
            session.abandon();
            return Ok(());
        }
        let mut round = session.round("wait");
        let ticket = round.recv::<Z64>(PartyId(2), Layout::new(1, 1));
        round.run()?.take(ticket);
        Ok(())
    });
    for outcome in &outcomes[..2] {
        let expected = |e: &Abort| matches!(e, Abort::PeerGone { peer: PartyId(2), label: "wait", reason } if reason.contains("aborted"));
        assert!(outcome.result.as_ref().is_err_and(expected));
    }
}

#[test]
fn a_world_is_repeatable_from_its_seed() {
    let run = |seed| {
        let outcomes = World::new(3, seed).run(|mut session| {
            let step = session.step();
            let (mut secret, peer) = ([Z64(0); 4], session.right(1));
            session.prss(peer).fill(step, 0, &mut secret);
            Ok((*session.id(), secret.map(|v| v.0)))
        });
        outcomes.into_iter().map(|o| o.result.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
#[should_panic(expected = "party 1, after 1 rounds: party 0")]
fn a_stall_is_reported_with_who_and_where() {
    World::new(2, 1).timeout(SHORT).run_ok(|mut session| {
        let peer = session.right(1);
        let mut round = session.round("a message nobody sends");
        let ticket = round.recv::<Z64>(peer, Layout::new(1, 1));
        round.run()?.take(ticket);
        Ok(())
    });
}

#[test]
#[should_panic(expected = "one edge key for each peer")]
fn a_session_has_a_key_for_each_peer() {
    let link = memory(2, SHORT).remove(0);
    Session::new(PartyId(0), [0; 32], vec![Some(EdgeKey::new([1; 32])), Some(EdgeKey::new([2; 32]))], Box::new(link));
}
