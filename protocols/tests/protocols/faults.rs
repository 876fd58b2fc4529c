//! A faulty or hostile peer: whatever it does to any one of its messages, the others end with a typed abort that names it, or are not
//! harmed. Never a panic, never a wait beyond the deadline.

use mpc_core::link::{Fault, Head};
use mpc_core::world::World;
use mpc_core::{Abort, Column, Fp61, Layout, PartyId, Session};
use protocols::{Engine, Input, Rep3, Rep3Share, circuit};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where nobody needs to wait for a deadline.
const PATIENT: Duration = Duration::from_secs(20);
/// Where somebody waits for what never comes.
const IMPATIENT: Duration = Duration::from_millis(80);

/// Inputs, a comparison, a conversion, products and openings. The truth is (2, 21).
fn program(session: Session) -> Result<(u64, u64), Abort> {
    let me = session.me();
    let mut e = Rep3::new(session);
    let (ages, limits) = (Column::from_ints(&[30, 70, 80], 7), Column::from_ints(&[65, 65, 65], 7));
    let amounts = Column::from_rows([5, 10, 11].map(Fp61::new).to_vec());
    let bits = [(0, &ages), (1, &limits)].map(|(p, c)| Input::new(PartyId(p), c.layout(), (me == PartyId(p)).then_some(c)));
    let bits = e.input(&bits)?;
    let amounts = e.input(&[Input::new(PartyId(2), Layout::new(3, 1), (me == PartyId(2)).then_some(&amounts))])?.remove(0);
    let older = circuit::less(&mut e, &bits[1], &bits[0])?;
    let count: Rep3Share<Fp61> = circuit::count::<_, Fp61>(&mut e, &older)?;
    let sum = circuit::filtered_sum::<_, Fp61>(&mut e, &older, &amounts)?;
    let (count, sum) = (e.verify(count)?, e.verify(sum)?);
    let (count, sum) = (e.open(&count)?, e.open(&sum)?);
    Ok((count.as_slice()[0].get(), sum.as_slice()[0].get()))
}

const TRUTH: (u64, u64) = (2, 21);

/// What a run ended with at each party.
type Ends = Vec<Result<(u64, u64), Abort>>;

/// Runs the program while `change` is applied to the frame with index `at` of `party`; `None` when it sends fewer.
fn run(party: u8, at: u64, change: impl Fn(Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Option<Ends> {
    run_within(PATIENT, party, at, change)
}

fn run_within(timeout: Duration, party: u8, at: u64, change: impl Fn(Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Option<Ends> {
    let hit = Arc::new(Mutex::new(false));
    let seen = hit.clone();
    let fault: Fault = Arc::new(move |i, _, bytes| {
        if i != at {
            return vec![bytes];
        }
        *seen.lock().expect("not poisoned") = true;
        change(bytes)
    });
    let outcomes = World::new(3, 8).timeout(timeout).fault(PartyId(party), fault).run(program);
    hit.lock().expect("not poisoned").then(|| outcomes.into_iter().map(|o| o.result).collect())
}

/// Applies `change` to every frame of every party in turn and hands what each run ended with to `expect`.
fn every_frame<C>(change: impl Fn() -> C, expect: impl Fn(u8, u64, &[Result<(u64, u64), Abort>]))
where
    C: Fn(Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static,
{
    every_frame_within(PATIENT, change, expect);
}

fn every_frame_within<C>(timeout: Duration, change: impl Fn() -> C, expect: impl Fn(u8, u64, &[Result<(u64, u64), Abort>]))
where
    C: Fn(Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static,
{
    let mut frames = 0;
    for party in 0..3 {
        for at in 0.. {
            let Some(ends) = run_within(timeout, party, at, change()) else { break };
            expect(party, at, &ends);
            frames += 1;
        }
    }
    assert!(frames >= 30, "{frames} frames were changed");
}

/// Some honest party aborts and nobody has a wrong result.
fn someone_aborts(party: u8, at: u64, ends: &[Result<(u64, u64), Abort>]) {
    let honest = ends.iter().enumerate().filter(|(p, _)| *p != party as usize);
    assert!(honest.clone().any(|(_, r)| r.is_err()), "P_{party}, frame {at}: {ends:?}");
    assert!(ends.iter().flatten().all(|r| *r == TRUTH), "P_{party}, frame {at}: {ends:?}");
}

/// Someone says that it was this party's message that is out of order.
fn the_culprit_is_named(party: u8, at: u64, ends: &[Result<(u64, u64), Abort>]) {
    someone_aborts(party, at, ends);
    let names = |r: &Result<(u64, u64), Abort>| matches!(r, Err(Abort::Desync { peer, .. } | Abort::Malformed { peer, .. }) if *peer == PartyId(party));
    assert!(ends.iter().any(names), "P_{party}, frame {at}: {ends:?}");
}

#[test]
fn without_faults() {
    let ends = run(0, 0, |bytes| vec![bytes]).expect("P_0 sends");
    assert!(ends.iter().all(|r| *r == Ok(TRUTH)), "{ends:?}");
}

#[test]
fn dropped() {
    every_frame_within(IMPATIENT, || |_| vec![], someone_aborts);
}

#[test]
fn truncated() {
    every_frame(|| |bytes: Vec<u8>| vec![bytes[..bytes.len() - 1].to_vec()], the_culprit_is_named);
    every_frame(|| |bytes: Vec<u8>| vec![bytes[..Head::BYTES - 1].to_vec()], the_culprit_is_named);
    every_frame(|| |bytes: Vec<u8>| vec![bytes[..1].to_vec()], the_culprit_is_named);
}

#[test]
fn extended() {
    every_frame(|| |bytes: Vec<u8>| vec![[bytes, vec![0]].concat()], the_culprit_is_named);
    every_frame(|| |bytes: Vec<u8>| vec![[bytes, vec![0xff; 1 << 16]].concat()], the_culprit_is_named);
}

#[test]
fn another_head() {
    // a bit of the session, the lane, the kind, the step and the length, and the reserved byte
    for byte in [0, 15, 16, 23, 24, 27, 28, 30, 31] {
        let flip = move |mut bytes: Vec<u8>| {
            bytes[byte] ^= 0x10;
            vec![bytes]
        };
        every_frame(|| flip, the_culprit_is_named);
    }
}

#[test]
fn announced_as_aborted() {
    let abort = |mut bytes: Vec<u8>| {
        bytes[30] = 4;
        vec![bytes]
    };
    every_frame(|| abort, someone_aborts);
}

#[test]
fn sent_twice() {
    // the copy of the last frame to a peer is never read
    every_frame(
        || |bytes: Vec<u8>| vec![bytes.clone(), bytes],
        |party, at, ends| {
            assert!(ends.iter().flatten().all(|r| *r == TRUTH), "P_{party}, frame {at}: {ends:?}");
        },
    );
}

#[test]
fn swapped_with_the_next() {
    for party in 0..3 {
        for at in 0.. {
            let held: Mutex<Option<(PartyId, Vec<u8>)>> = Mutex::default();
            let hit: Arc<Mutex<bool>> = Arc::default();
            let seen = hit.clone();
            let fault: Fault = Arc::new(move |i, to, bytes| {
                let mut held = held.lock().expect("not poisoned");
                if i == at {
                    *seen.lock().expect("not poisoned") = true;
                    *held = Some((to, bytes));
                    return vec![];
                }
                match held.take_if(|(peer, _)| *peer == to) {
                    Some((_, earlier)) => vec![bytes, earlier],
                    None => vec![bytes],
                }
            });
            let outcomes = World::new(3, 8).timeout(IMPATIENT).fault(PartyId(party), fault).run(program);
            let ends: Vec<_> = outcomes.into_iter().map(|o| o.result).collect();
            if !*hit.lock().expect("not poisoned") {
                assert!(at > 8, "P_{party} sends more than {at} frames");
                break;
            }
            someone_aborts(party, at, &ends);
        }
    }
}

#[test]
fn replayed_from_another_session() {
    let recorded: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let keep = recorded.clone();
    let record: Fault = Arc::new(move |_, _, bytes| {
        keep.lock().expect("not poisoned").push(bytes.clone());
        vec![bytes]
    });
    World::new(3, 9).fault(PartyId(1), record).run_ok(program);
    let recorded = recorded.lock().expect("not poisoned").clone();
    for (at, frame) in (0..).zip(recorded) {
        let ends = run(1, at, move |_| vec![frame.clone()]).expect("it sends as many");
        the_culprit_is_named(1, at, &ends);
    }
}

#[test]
fn flipped_in_the_payload() {
    // a wrong result is possible here: that is what semi-honest means
    let mut outcomes = [0; 2];
    for bit in [0, 3, 7] {
        for party in 0..3 {
            for at in 0.. {
                let flip = move |mut bytes: Vec<u8>| {
                    if let Some(byte) = bytes.get_mut(Head::BYTES) {
                        *byte ^= 1 << bit;
                    }
                    vec![bytes]
                };
                let Some(ends) = run(party, at, flip) else { break };
                ends.iter().for_each(|r| outcomes[usize::from(r.is_err())] += 1);
            }
        }
    }
    assert!(outcomes[0] > 0);
}

#[test]
fn elements_beyond_the_modulus() {
    let ones = |mut bytes: Vec<u8>| {
        bytes[Head::BYTES..].fill(0xff);
        vec![bytes]
    };
    // the last frame of each party opens an element of Fp61
    for party in 0..3 {
        let last = (0..).find(|at| run(party, *at, |b| vec![b]).is_none()).expect("it ends") - 1;
        let ends = run(party, last, ones).expect("there is one");
        assert!(ends.iter().any(|r| matches!(r, Err(Abort::Malformed { peer, label: "open", .. }) if *peer == PartyId(party))), "{ends:?}");
    }
}

#[test]
fn a_party_that_leaves_ends_the_others() {
    for party in 0..3u8 {
        let outcomes = World::new(3, 8).timeout(PATIENT).run(|session| {
            if session.me() == PartyId(party) {
                return Err(Abort::Refused("leaving".into()));
            }
            program(session)
        });
        for (p, outcome) in outcomes.iter().enumerate().filter(|(p, _)| *p != party as usize) {
            assert!(matches!(outcome.result, Err(Abort::PeerGone { .. })), "P_{p}: {:?}", outcome.result);
        }
    }
}

#[test]
fn an_owner_without_values_is_refused() {
    let outcomes = World::new(3, 8).timeout(PATIENT).run(|session| {
        let input = Input::<Fp61>::new(PartyId(0), Layout::new(3, 1), None);
        Rep3::new(session).input(&[input]).map(drop)
    });
    assert!(matches!(outcomes[0].result, Err(Abort::Refused(_))));
    let outcomes = World::new(3, 8).timeout(PATIENT).run(|session| {
        let values = Column::from_rows(vec![Fp61::new(1)]);
        let input = Input::new(PartyId(3), Layout::new(1, 1), Some(&values));
        Rep3::new(session).input(&[input]).map(drop)
    });
    assert!(outcomes.iter().all(|o| matches!(o.result, Err(Abort::Refused(_)))));
}
