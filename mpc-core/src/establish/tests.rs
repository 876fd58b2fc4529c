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
        attempt: 7,
        engine_version: ENGINE_VERSION,
        params: [5; 32],
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
                    round.send(right, &Column::from_rows(vec![Fp61::new(20)]));
                    let ticket = round.recv::<Fp61>(left, Layout::new(1, 1));
                    round.run().expect("runs").take(ticket).expect("decodes").as_slice()[0].get()
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
    let changes: [(&str, Change); 7] = [
        ("another query", |t| t.qid[0] ^= 1),
        ("another plan", |t| t.plan_hash[31] ^= 1),
        ("another roster", |t| t.roster_hash[0] ^= 1),
        ("another catalogue", |t| t.catalog_hash[0] ^= 1),
        ("another attempt (8; here 7)", |t| t.attempt += 1),
        ("another engine version", |t| t.engine_version += 1),
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
    let secret = Ephemeral(Zeroizing::new([9; 32]));
    for theirs in [MontgomeryPoint([0; 32]), MontgomeryPoint(low_order[1]), secret.public()] {
        let error = secret.edge(&theirs, &[0; 32], PartyId(0), PartyId(1)).err().expect("refused");
        assert_eq!(culprit(&error), Some(PartyId(1)));
    }
}
