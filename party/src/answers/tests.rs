use super::*;
use mpc_core::link;
use mpc_core::prss::EdgeKey;
use std::time::Duration;

fn hash(byte: u8) -> Hash {
    Hash([byte; 32])
}

fn job(byte: u8) -> QueryId {
    QueryId(hash(byte))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn open(folder: &tempfile::TempDir) -> Answers {
    Answers::open(folder.path(), Arc::new(Identity::from_seed(&[6; 32]))).expect("opened")
}

const NOISE: Hash = Hash([7; 32]);
/// Sessions, and when contracts are over.
const FIRST: Hash = Hash([1; 32]);
const UNTIL: u64 = 1000;

/// What is claimed for a job, done and let go.
fn within<T>(answers: &Answers, act: impl FnOnce(&Claim<'_>) -> T) -> T {
    act(&answers.claim(NOISE, job(1), 1).expect("nobody else has it"))
}

fn kept(answers: &Answers) {
    within(answers, |claim| claim.keep(FIRST, UNTIL, vec![hash(3), hash(4)], b"a share")).expect("kept");
}

fn state(answers: &Answers) -> State {
    within(answers, |claim| claim.state())
}

#[test]
fn what_any_has_given_is_the_answer_and_what_none_has_given_may_be_made_anew() {
    let all = [State::None, State::Kept(FIRST), State::Given(FIRST), State::Kept(hash(2)), State::Given(hash(2))];
    let of = |state: State| match state {
        State::None => None,
        State::Kept(of) | State::Given(of) => Some(of),
    };
    for at in 0..all.len().pow(3) {
        let states = [at, at / all.len(), at / all.len().pow(2)].map(|at| all[at % all.len()]);
        let decision = decided(&(0..).map(PartyId).zip(states).collect());
        let given = states.iter().find(|state| matches!(state, State::Given(_)));
        let same = states.iter().all(|state| of(*state) == of(states[0]) && *state != State::None);
        match decision {
            Decision::Give(_) => assert!(same, "{states:?}"),
            Decision::Compute => assert!(given.is_none() && !same, "{states:?}"),
            Decision::Lost(lost) => assert!(given.is_some() && !same && !lost.is_empty() && lost.len() < 3, "{states:?}"),
        }
    }
}

#[test]
fn a_share_outlives_the_node_and_so_does_that_it_was_given() {
    let folder = folder();
    let answers = open(&folder);
    assert_eq!(state(&answers), State::None);
    kept(&answers);
    for answers in [answers, open(&folder)] {
        assert_eq!(state(&answers), State::Kept(FIRST));
    }
    let answers = open(&folder);
    within(&answers, |claim| claim.give()).expect("given");
    for answers in [answers, open(&folder)] {
        assert_eq!(state(&answers), State::Given(FIRST));
    }
    let answers = open(&folder);
    let file = folder.path().join("answers").join(NOISE.to_string());
    let (kept, share) = answers.read(&NOISE).expect("read");
    assert!(kept.given && kept.until == UNTIL && kept.contracts == [hash(3), hash(4)] && share.as_slice() == b"a share");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).expect("there")) & 0o777, 0o600);
}

#[test]
fn what_a_crash_left_half_written_was_not_kept_and_what_is_damaged_is_said() {
    let folder = folder();
    kept(&open(&folder));
    let answers = folder.path().join("answers");
    let (whole, torn) = (answers.join(NOISE.to_string()), answers.join(hash(9).to_string()).with_extension("new"));
    let another = answers.join(".keep");
    std::fs::write(&torn, b"a sha").expect("written");
    std::fs::write(&another, b"an operator's").expect("written");
    assert_eq!(state(&open(&folder)), State::Kept(FIRST));
    assert!(!torn.exists() && another.exists());
    for length in [0, MAGIC.len(), MAGIC.len() + HEAD + 63, MAGIC.len() + HEAD + 64 + TAG + TAG] {
        let bytes = std::fs::read(&whole).expect("read");
        std::fs::write(&whole, &bytes[..length]).expect("written");
        let refusal = refused(&open(&folder));
        assert!(refusal.code == Code::Answer && refusal.reason.contains(&NOISE.to_string()), "{refusal}");
        std::fs::write(&whole, bytes).expect("written");
    }
}

/// That an answer of which the file cannot be read is neither given nor made anew; the node starts all the same, for other questions.
fn refused(answers: &Answers) -> Refusal {
    assert!(answers.claim(hash(77), QueryId(hash(1)), 1).is_ok());
    answers.claim(NOISE, QueryId(hash(1)), 1).err().expect("refused")
}

#[test]
fn shares_go_with_their_contracts() {
    let file = |folder: &tempfile::TempDir| folder.path().join("answers").join(NOISE.to_string());
    for (now, revoked, stays) in [(UNTIL, 9, true), (UNTIL + 1, 9, false), (0, 3, false), (0, 4, false), (0, 5, true)] {
        let folder = folder();
        let answers = open(&folder);
        kept(&answers);
        let forget = || answers.forget(now, |contract| *contract == hash(revoked));
        // An attempt that may end has its answer.
        within(&answers, |claim| {
            forget();
            claim.give()
        })
        .expect("given");
        assert!(file(&folder).exists());
        forget();
        assert_eq!((file(&folder).exists(), state(&answers) != State::None), (stays, stays), "{now} {revoked}");
    }
}

#[test]
fn a_share_on_disk_says_nothing_without_the_nodes_key_and_is_refused_if_any_of_it_was_changed() {
    let folder = folder();
    let answers = open(&folder);
    // The first file, which was not given, is not to be had from the disk once it was.
    for given in [false, true] {
        match given {
            false => kept(&answers),
            true => within(&answers, |claim| claim.give()).expect("given"),
        }
        let file = answers.path(&NOISE);
        let bytes = std::fs::read(&file).expect("read");
        assert!(!bytes.windows(7).any(|part| part == b"a share"));
        let another = Answers::open(folder.path(), Arc::new(Identity::from_seed(&[7; 32]))).expect("opened");
        assert!(refused(&another).reason.contains("is another node's; restore it"));
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            std::fs::write(&file, &changed).expect("written");
            assert!(refused(&open(&folder)).reason.contains("restore it"), "byte {at}, bit {bit}, given: {given}");
        }
        // Nor is it given by a node that has it open.
        let mut changed = bytes.clone();
        *changed.last_mut().expect("some") ^= 1;
        std::fs::write(&file, &changed).expect("written");
        assert!(answers.read(&NOISE).is_err());
        if !given {
            let refusal = within(&answers, |claim| claim.give()).expect_err("it is not as it was kept");
            assert!(refusal.reason.contains("it was changed"), "{refusal}");
        }
        // Longer, shorter, or as another answer's.
        for changed in [[&bytes[..], &[0]].concat(), bytes[..bytes.len() - 1].to_vec()] {
            std::fs::write(&file, &changed).expect("written");
            assert!(answers.read(&NOISE).is_err());
        }
        std::fs::write(answers.path(&hash(8)), &bytes).expect("written");
        assert!(answers.read(&hash(8)).is_err());
        std::fs::remove_file(answers.path(&hash(8))).expect("removed");
        std::fs::write(&file, bytes).expect("written");
        assert_eq!(answers.read(&NOISE).expect("whole again").1.as_slice(), b"a share");
    }
}

#[test]
fn what_cannot_be_read_is_wiped_with_its_contract_and_read_once_it_is_mended() {
    let folder = folder();
    kept(&open(&folder));
    let file = open(&folder).path(&NOISE);
    let whole = std::fs::read(&file).expect("read");
    let mut changed = whole.clone();
    *changed.last_mut().expect("some") ^= 1;
    std::fs::write(&file, &changed).expect("written");
    let answers = open(&folder);
    refused(&answers);
    answers.forget(0, |_| false);
    std::fs::write(&file, &whole).expect("mended");
    assert!(answers.claim(NOISE, QueryId(hash(1)), 1).is_ok() && state(&answers) == State::Kept(FIRST));
    std::fs::write(&file, &changed).expect("written");
    let answers = open(&folder);
    answers.forget(0, |contract| *contract == hash(4));
    assert!(!file.exists() && answers.claim(NOISE, QueryId(hash(1)), 1).is_ok() && state(&answers) == State::None);
}

#[test]
fn a_share_that_could_not_be_wiped_is_wiped_once_the_disk_is_mended() {
    let folder = folder();
    let answers = open(&folder);
    kept(&answers);
    let (file, share) = (answers.path(&NOISE), b"what is left of the share");
    std::fs::remove_file(&file).expect("removed");
    std::fs::create_dir(&file).expect("made, so that nothing can be overwritten");
    (0..3).for_each(|_| answers.forget(0, |_| true));
    assert!(answers.inner().unwiped.contains(&NOISE) && state(&answers) != State::None, "it is said once, and tried again");
    let beside = file.with_extension(BESIDE);
    std::fs::remove_dir(&beside).expect("renamed");
    std::fs::write(&beside, share).expect("written");
    answers.forget(0, |_| true);
    assert!(!beside.exists() && answers.inner().unwiped.is_empty() && state(&answers) == State::None);
}

#[test]
fn what_is_computed_anew_leaves_nothing_of_the_share_before() {
    let folder = folder();
    let answers = open(&folder);
    kept(&answers);
    let before = std::fs::File::open(answers.path(&NOISE)).expect("there");
    let length = before.metadata().expect("there").len();
    within(&answers, |claim| claim.keep(hash(2), UNTIL, vec![hash(3)], b"another share")).expect("kept");
    assert_eq!(state(&answers), State::Kept(hash(2)));
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut &before, &mut left).expect("read");
    assert!(left.len() as u64 == length && left.iter().all(|byte| *byte == 0), "overwritten");
}

#[test]
fn one_job_at_a_time_and_its_latest_attempt() {
    let folder = folder();
    let answers = open(&folder);
    let first = answers.claim(NOISE, job(1), 1).expect("nobody else has it");
    let refusal = answers.claim(NOISE, job(2), 1).err().expect("another job has it");
    assert!(refusal.code == Code::Busy && refusal.reason.contains(&job(1).short()), "{refusal}");
    assert!(answers.claim(hash(8), job(2), 1).is_ok(), "another answer");
    let second = answers.claim(NOISE, job(1), 2).expect("a later attempt");
    assert!(first.keep(FIRST, UNTIL, vec![], b"").is_err() && first.give().is_err(), "the first is over");
    drop(first);
    assert!(answers.claim(NOISE, job(2), 1).is_err(), "the second still has it");
    second.keep(FIRST, UNTIL, vec![], b"").expect("kept");
    drop(second);
    assert!(answers.claim(NOISE, job(2), 1).is_ok());
}

/// Three parties with what each of them has done; what each finds.
fn found(prepare: [fn(&Answers); 3]) -> Vec<Result<Option<Vec<u8>>, Refusal>> {
    let links = link::memory(3, Duration::from_secs(20));
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..3u8)
            .zip(links)
            .zip(prepare)
            .map(|((me, link), prepare)| {
                scope.spawn(move || {
                    let edge = |peer: u8| EdgeKey::new([3 * me.min(peer) + me.max(peer); 32]);
                    let keys = (0..3).map(|peer| (peer != me).then(|| edge(peer))).collect();
                    let mut session = Session::new(PartyId(me), [5; 32], keys, Box::new(link));
                    let folder = folder();
                    let answers = open(&folder);
                    prepare(&answers);
                    let given = within(&answers, |claim| claim.given(&mut session, |party| format!("party {party}")));
                    match given {
                        Ok(share) => Ok(share.map(|share| share.to_vec())),
                        Err(Failure::Refused(refusal)) => Err(refusal),
                        Err(Failure::Session(abort)) => panic!("{abort}"),
                    }
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

#[test]
fn parties_find_the_same() {
    let nothing = |_: &Answers| ();
    let given = |answers: &Answers| {
        kept(answers);
        within(answers, |claim| claim.give()).expect("given");
    };
    assert_eq!(found([nothing, nothing, nothing]), [Ok(None), Ok(None), Ok(None)]);
    assert_eq!(found([kept, nothing, kept]), [Ok(None), Ok(None), Ok(None)]);
    assert_eq!(found([kept, given, kept]), [const { b"a share" }; 3].map(|share| Ok(Some(share.to_vec()))));
    for found in found([kept, given, nothing]) {
        let refusal = found.expect_err("one has lost it");
        assert!(refusal.code == Code::Answer && refusal.reason.contains("party 2 no longer has") && !refusal.fix.is_empty(), "{refusal}");
    }
}
