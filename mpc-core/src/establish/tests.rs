use super::*;
use crate::link::{self, Fault, FaultLink, RecordLink, View};
use crate::roster::{Node, Role};
use crate::{Column, Fp61, Layout};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const N: usize = 3;

fn identity(party: usize) -> Identity {
    Identity::from_seed(&[party as u8 + 1; 32])
}

fn roster() -> Roster {
    let names = ["transport", "energy", "health", "coordinator"];
    let nodes = names.iter().enumerate().map(|(at, name)| Node {
        name: (*name).into(),
        role: if at < N { Role::Party } else { Role::Coordinator },
        key: identity(at).public(),
        addr: format!("127.0.0.1:{}", 7101 + at),
        api: (at == N).then(|| "http://127.0.0.1:7180".into()),
    });
    Roster::new("Test city".into(), nodes.collect(), Vec::new()).expect("a good roster")
}

fn terms() -> Terms {
    Terms {
        qid: [1; 32],
        plan_hash: [2; 32],
        roster_hash: [3; 32],
        catalog_hash: [4; 32],
        contracts: [6; 32],
        log: [8; 32],
        attempt: 7,
        engine_version: ENGINE_VERSION,
        params: [5; 32],
        data: [8; 32],
    }
}

struct Setup {
    terms: Vec<Terms>,
    identities: Vec<Identity>,
    faults: Vec<Option<Fault>>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { terms: vec![terms(); N], identities: (0..N).map(identity).collect(), faults: vec![None; N] }
    }
}

impl Setup {
    fn fault(party: usize, fault: impl Fn(u64, PartyId, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let mut setup = Setup::default();
        setup.faults[party] = Some(Arc::new(fault));
        setup
    }

    fn run(self) -> Vec<(Result<Session, Abort>, View)> {
        let roster = roster();
        let links = link::memory(N as u8, Duration::from_secs(20));
        std::thread::scope(|scope| {
            let running: Vec<_> = links
                .into_iter()
                .zip(self.identities)
                .zip(self.terms)
                .zip(self.faults)
                .enumerate()
                .map(|(p, (((link, identity), terms), fault))| {
                    let roster = &roster;
                    scope.spawn(move || {
                        let view = View::default();
                        let link: Box<dyn Link> = match fault {
                            Some(fault) => Box::new(FaultLink::new(link, fault)),
                            None => Box::new(link),
                        };
                        let link = RecordLink::new(link, view.clone());
                        (establish(&identity, roster, PartyId(p as u8), &terms, Box::new(link)), view)
                    })
                })
                .collect();
            running.into_iter().map(|t| t.join().expect("no panic")).collect()
        })
    }

    fn errors(self) -> Vec<Abort> {
        self.run().into_iter().map(|(r, _)| r.err().expect("no party goes on")).collect()
    }
}

/// A fault that rewrites the payload of frames of `kind` to `victim`.
fn rewrite(
    kind: Kind,
    victim: u8,
    f: impl Fn(&mut Vec<u8>) + Send + Sync + 'static,
) -> impl Fn(u64, PartyId, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static {
    move |_, to, bytes| {
        let mut head = Head::decode(bytes.first_chunk().expect("a frame")).expect("a head");
        if head.kind != kind || to != PartyId(victim) {
            return vec![bytes];
        }
        let mut payload = bytes[Head::BYTES..].to_vec();
        f(&mut payload);
        head.len = payload.len() as u32;
        vec![[&head.encode()[..], &payload].concat()]
    }
}

fn culprit(abort: &Abort) -> Option<PartyId> {
    match abort {
        Abort::Cheating { culprit, .. } => *culprit,
        _ => None,
    }
}

#[test]
fn all_parties_get_one_session_with_pairwise_keys() {
    let mut sessions: Vec<Session> = Setup::default().run().into_iter().map(|(r, _)| r.expect("established")).collect();
    assert!(sessions.iter().all(|s| s.id() == sessions[0].id()));
    let step = sessions.iter_mut().map(Session::step).collect::<Vec<_>>()[0];
    let draw = |s: &Session, peer: u8| {
        let mut out = [Fp61::default(); 4];
        s.prss(PartyId(peer)).fill(step, 0, &mut out);
        out.map(|v| v.get())
    };
    let edges: Vec<_> = [(0, 1), (1, 2), (0, 2)].map(|(a, b)| (draw(&sessions[a], b as u8), draw(&sessions[b], a as u8))).into();
    assert!(edges.iter().all(|(a, b)| a == b));
    assert!(edges[0].0 != edges[1].0 && edges[1].0 != edges[2].0 && edges[0].0 != edges[2].0);

    // and it carries a round
    let sums: Vec<u64> = std::thread::scope(|scope| {
        let running: Vec<_> = sessions
            .iter_mut()
            .map(|s| {
                scope.spawn(move || {
                    let (right, left) = (s.right(1), s.right(2));
                    let mut round = s.round("sum");
                    round.send(right, Column::from_rows(vec![Fp61::new(20)]));
                    let ticket = round.recv::<Fp61>(left, Layout::new(1, 1));
                    round.run().expect("runs").take(ticket).as_slice()[0].get()
                })
            })
            .collect();
        running.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    assert_eq!(sums, [20; 3]);
}

#[test]
fn every_attempt_has_its_own_session_id() {
    let ids: Vec<[u8; 32]> = (0..2).map(|_| *Setup::default().run().remove(0).0.expect("established").id()).collect();
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_term_on_which_parties_differ_is_named_with_the_peer() {
    type Change = fn(&mut Terms);
    let changes: [(&str, Change); 10] = [
        ("another query", |t| t.qid[0] ^= 1),
        ("another plan", |t| t.plan_hash[31] ^= 1),
        ("another set of contracts", |t| t.contracts[0] ^= 1),
        ("another head of the city's log", |t| t.log[0] ^= 1),
        ("another roster", |t| t.roster_hash[0] ^= 1),
        ("another catalogue", |t| t.catalog_hash[0] ^= 1),
        ("another attempt (8; here 7)", |t| t.attempt += 1),
        ("another engine version", |t| t.engine_version += 1),
        ("another set of snapshots", |t| t.data[9] ^= 1),
        ("another parameters", |t| t.params[9] ^= 1),
    ];
    for (text, change) in changes {
        let mut setup = Setup::default();
        change(&mut setup.terms[1]);
        let errors = setup.errors();
        for honest in [0, 2] {
            let Abort::Refused(reason) = &errors[honest] else { panic!("{text}: {}", errors[honest]) };
            assert!(reason.contains("party 1 (`energy`)") && reason.contains(text), "{reason}");
        }
        assert!(matches!(&errors[1], Abort::Refused(_)), "{text}: {}", errors[1]);
    }
}

#[test]
fn different_hellos_to_different_peers_are_found_out() {
    // signed properly, by the equivocating party itself: only the nonce differs
    let setup = Setup::fault(
        2,
        rewrite(Kind::Hello, 0, |payload| {
            let bytes: [u8; HELLO] = payload[..].try_into().expect("a Hello");
            let mut hello = Hello::verify(&bytes, PartyId(2), &identity(2).public()).expect("its own");
            hello.nonce[0] ^= 1;
            *payload = hello.sign(&identity(2)).to_vec();
        }),
    );
    let errors = setup.errors();
    for honest in [0, 1] {
        assert!(matches!(errors[honest], Abort::Cheating { culprit: None, .. }), "{}", errors[honest]);
    }
}

#[test]
fn a_key_that_is_not_the_rosters_is_refused() {
    let mut setup = Setup::default();
    setup.identities[1] = Identity::from_seed(&[99; 32]);
    let errors = setup.errors();
    assert!(matches!(errors[1], Abort::Refused(_)), "its own node sees it first: {}", errors[1]);

    for (kind, check) in [(Kind::Hello, "signature of the Hello"), (Kind::Confirm, "signature of the Confirm")] {
        let forged = move |payload: &mut Vec<u8>| {
            let thief = Identity::from_seed(&[99; 32]);
            let at = payload.len() - SIGNATURE;
            let message = match kind {
                Kind::Hello => [HELLO_DOMAIN, &payload[..at]].concat(),
                _ => confirm_message(PartyId(1), &payload[..at]),
            };
            payload.splice(at.., thief.sign(&message));
        };
        let errors = Setup::fault(1, rewrite(kind, 0, forged)).run();
        let error = errors[0].0.as_ref().err().expect("refused");
        assert_eq!(error, &Abort::Cheating { check, culprit: Some(PartyId(1)) });
    }
}

#[test]
fn every_byte_of_both_flights_is_bound() {
    for (kind, len) in [(Kind::Hello, HELLO), (Kind::Confirm, CONFIRM)] {
        for at in (0..len).step_by(7).chain([len - 1]) {
            let outcomes = Setup::fault(1, rewrite(kind, 2, move |payload| payload[at] ^= 0x10)).run();
            let error = outcomes[2].0.as_ref().err().expect("refused");
            assert_eq!(culprit(error), Some(PartyId(1)), "{kind:?} byte {at}: {error}");
        }
    }
}

#[test]
fn truncated_padded_and_misplaced_flights_are_typed_errors() {
    type Break = fn(&mut Vec<u8>);
    let breaks: [Break; 4] = [|p| p.truncate(17), |p| p.push(0), |p| p.clear(), |p| p.resize(1 << 20, 7)];
    for kind in [Kind::Hello, Kind::Confirm] {
        for change in breaks {
            let outcomes = Setup::fault(0, rewrite(kind, 1, change)).run();
            let error = outcomes[1].0.as_ref().err().expect("refused");
            assert!(matches!(error, Abort::Desync { peer: PartyId(0), .. }), "{error}");
        }
    }
    // a Confirm where a Hello belongs, and bytes that are no frame at all
    let swapped = Setup::fault(0, |_, _, mut bytes| {
        bytes[30] ^= 1;
        vec![bytes]
    });
    assert!(matches!(swapped.errors()[1], Abort::Desync { .. } | Abort::Malformed { .. }));
    let garbage = Setup::fault(0, |_, _, bytes| vec![vec![0xff; bytes.len()]]);
    assert!(matches!(garbage.errors()[1], Abort::Malformed { peer: PartyId(0), .. }));
}

#[test]
fn flights_of_another_attempt_are_refused() {
    let record = |attempt: u32| {
        let mut setup = Setup::default();
        setup.terms.iter_mut().for_each(|t| t.attempt = attempt);
        setup.run().into_iter().map(|(r, view)| r.map(|_| view).expect("established")).collect::<Vec<_>>()
    };
    let recorded = |views: &[View], at: usize, from: u8, kind: Kind| {
        let view = views[at].lock().expect("not poisoned");
        view.iter().find(|(p, h, _)| *p == PartyId(from) && h.kind == kind).map(|(.., payload)| payload.clone()).expect("received")
    };
    let replay = |kind: Kind, old: Vec<u8>| {
        let old = Mutex::new(old);
        Setup::fault(1, rewrite(kind, 0, move |payload| payload.clone_from(&old.lock().expect("not poisoned")))).run()
    };
    // another number
    let other = record(6);
    let outcome = replay(Kind::Hello, recorded(&other, 0, 1, Kind::Hello));
    let Some(Abort::Refused(reason)) = outcome[0].0.as_ref().err() else { panic!("not refused") };
    assert!(reason.contains("another attempt (6; here 7)"), "{reason}");
    // even the same number: ephemeral keys and nonces differ
    let same = record(7);
    for kind in [Kind::Hello, Kind::Confirm] {
        let outcome = replay(kind, recorded(&same, 0, 1, kind));
        assert!(outcome[0].0.is_err(), "{kind:?}");
    }
    // a peer's own flight sent back to it
    let outcome = replay(Kind::Hello, recorded(&same, 1, 0, Kind::Hello));
    assert_eq!(outcome[0].0.as_ref().err().and_then(culprit), Some(PartyId(1)));
}

#[test]
fn low_order_and_reflected_ephemeral_keys_are_refused() {
    let low_order: [[u8; 32]; 2] = [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }];
    for point in low_order {
        let setup = Setup::fault(1, move |index, to, bytes| {
            let point = MontgomeryPoint(point);
            rewrite(Kind::Hello, to.0, move |payload| {
                let bytes: [u8; HELLO] = payload[..].try_into().expect("a Hello");
                let hello = Hello::verify(&bytes, PartyId(1), &identity(1).public()).expect("its own");
                *payload = Hello { ephemeral: point, ..hello }.sign(&identity(1)).to_vec();
            })(index, to, bytes)
        });
        let outcomes = setup.run();
        for honest in [0, 2] {
            let error = outcomes[honest].0.as_ref().err().expect("refused");
            // the Confirm of the deviating party is over other Hellos than it sent, or its key is no key: either way nobody goes on
            assert!(matches!(error, Abort::Cheating { .. } | Abort::PeerGone { .. }), "{error}");
        }
    }
    let secret = Ephemeral(Box::new(Zeroizing::new([9; 32])));
    for theirs in [MontgomeryPoint([0; 32]), MontgomeryPoint(low_order[1]), secret.public()] {
        let error = secret.edge(&theirs, &[0; 32], PartyId(0), PartyId(1)).err().expect("refused");
        assert_eq!(culprit(&error), Some(PartyId(1)));
    }
}

#[cfg(target_os = "linux")]
mod wiped {
    use super::*;
    use crate::Z64;
    use crate::memory::{Masked, deep};

    /// SHA-256 of "a secret only this test has", as all that follow in complement.
    const MINE: Masked = Masked::complement([
        0xa5, 0xb0, 0x88, 0xdb, 0x52, 0x5c, 0xdc, 0x90, 0xd1, 0xf1, 0x50, 0x52, 0xf4, 0xbb, 0xaa, 0xa8, 0x4a, 0x8b, 0xb4, 0x36, 0x1e, 0x8d,
        0x2f, 0xda, 0x97, 0xd9, 0x26, 0xbf, 0xb2, 0xcc, 0x1f, 0x1d,
    ]);
    const THEIRS: MontgomeryPoint = MontgomeryPoint([
        0xd2, 0x98, 0xc5, 0xc4, 0x92, 0xee, 0x21, 0x3c, 0xe6, 0xde, 0x21, 0x8a, 0xc5, 0x15, 0x5e, 0xb0, 0x30, 0x61, 0x03, 0x68, 0x80, 0x3f,
        0xd4, 0xee, 0x98, 0xc7, 0x77, 0xb3, 0xcf, 0x3c, 0xa0, 0x53,
    ]);
    /// X25519 of the two.
    const SHARED: Masked = Masked::complement([
        0x1f, 0x04, 0xab, 0xf1, 0x30, 0xf2, 0x4c, 0x20, 0x32, 0x23, 0x49, 0xf6, 0x3f, 0x5f, 0x30, 0xb7, 0x8b, 0x4e, 0x70, 0x50, 0x4f, 0x10,
        0x75, 0xab, 0x59, 0xa7, 0xb0, 0x0e, 0x98, 0x3f, 0x02, 0xa9,
    ]);
    /// HKDF of it between parties 0 and 1 with a session id of sevens.
    const EDGE: Masked = Masked::complement([
        0xd1, 0xab, 0x13, 0xa8, 0x8c, 0x2f, 0xd0, 0x1f, 0x55, 0x4f, 0xd0, 0xc6, 0xf5, 0xcf, 0xac, 0xe7, 0xae, 0x18, 0xe3, 0xf5, 0x95, 0x7a,
        0xc5, 0xbd, 0xab, 0xe7, 0xa4, 0xc9, 0x71, 0x50, 0xab, 0x58,
    ]);
    /// The AES key of its lane 3: sixteen bytes.
    const LANE: Masked = Masked::complement([
        0x25, 0x9b, 0xc9, 0xc8, 0xbe, 0x68, 0x9a, 0x44, 0xbb, 0xfc, 0x93, 0x4d, 0x4d, 0x7b, 0xda, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0,
    ]);

    #[test]
    fn no_key_outlives_its_use() {
        let mut secret = Ephemeral(Box::default());
        MINE.reveal(&mut secret.0);
        let key = deep(|| secret.edge(&THEIRS, &[7; 32], PartyId(0), PartyId(1)).expect("a good key"));
        assert_eq!((MINE.copies(), SHARED.copies(), EDGE.copies()), (1, 0, 1), "only what is still needed, and once");
        drop(secret);
        let session = |key: EdgeKey| {
            let link = link::memory(2, Duration::from_secs(20)).remove(0);
            let mut session = Session::new(PartyId(0), [7; 32], vec![None, Some(key)], Box::new(link));
            let mut lane = session.lanes(3).expect("opened").remove(2);
            let (step, mut drawn) = (lane.step(), [Z64(0); 4]);
            lane.prss(PartyId(1)).fill(step, 0, &mut drawn);
            assert!(EDGE.copies() == 1 && LANE.copies_of::<16>() <= 64, "one key, and what AES makes of the lane's");
        };
        deep(|| session(key));
        assert_eq!((MINE.copies(), EDGE.copies(), LANE.copies_of::<16>()), (0, 0, 0), "nothing once the session is over");
    }
}
