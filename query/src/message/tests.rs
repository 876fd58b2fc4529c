use super::frame::{
    self, FrameError, FromParty, MAX_FRAME, Message, Offer, Progress, Ready, Stage, Start, Stated, Stop, StopCode, ToParty,
};
use super::job::{Event, PartyRefusal, What, Word};
use super::*;
use mpc_core::roster::{Node, Planner, Role};
use proptest::prelude::*;

const NOW: u64 = 1_800_000_000;
const CATALOG: Hash = Hash([3; 32]);

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

fn roster() -> Roster {
    let node = |at: u8, name: &str| Node {
        name: name.into(),
        role: if at == 0 { Role::Coordinator } else { Role::Party },
        key: identity(at).public(),
        addr: format!("127.0.0.1:71{at:02}"),
        api: (at == 0).then(|| "http://127.0.0.1:7180".into()),
    };
    let nodes = vec![node(0, "coordinator"), node(1, "transport"), node(2, "energy"), node(3, "health")];
    let planner = |seed, name: &str| Planner { name: name.into(), key: identity(seed).public() };
    let planners = vec![planner(9, "planning-office"), planner(10, "press-office")];
    Roster::new("Demo city".into(), nodes, planners).expect("a roster")
}

fn query() -> Query {
    Query {
        sql: "SELECT COUNT(*) FROM transport.trips".into(),
        planner: "planning-office".into(),
        roster_hash: roster().hash().into(),
        catalog_hash: CATALOG,
        output_key: Base64(vec![7; 32]),
        purpose: "the bus plan".into(),
        security: "semi-honest".into(),
        protocol: "rep3".into(),
        epsilon: None,
        nonce: Hash([1; 32]),
        issued: NOW,
        expires: NOW + 600,
        analyze: false,
    }
}

fn signed(change: impl FnOnce(&mut Query)) -> String {
    let mut query = query();
    change(&mut query);
    note::sign(Query::KIND, "planning-office", identity(9).signing_key(), &query).expect("signed")
}

fn refused(note: &str) -> Code {
    let refusal = Query::admit(note, &roster(), CATALOG, NOW).expect_err("refused");
    assert!(!refusal.reason.is_empty() && !refusal.fix.is_empty(), "{refusal}");
    refusal.code
}

#[test]
fn a_sound_query_is_admitted_by_everyone_under_the_same_id() {
    let note = query().sign("planning-office", &identity(9)).expect("signed");
    let (id, opened) = Query::admit(&note, &roster(), CATALOG, NOW).expect("admitted");
    assert_eq!(opened, query());
    assert_eq!(id, QueryId::of(&note));
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_ne!(QueryId::of(&signed(|q| q.nonce = Hash([2; 32]))), id);
}

#[test]
fn whatever_is_wrong_with_a_query_has_its_code() {
    assert_eq!(refused("not a note"), Code::Signature);
    assert_eq!(refused(&signed(|_| {}).replace("COUNT", "SUM")), Code::Signature);
    let stranger = query().sign("stranger", &identity(42)).expect("signed");
    assert_eq!(refused(&stranger), Code::Planner);
    let node = query().sign("transport", &identity(1)).expect("signed");
    assert_eq!(refused(&node), Code::Planner);
    let impostor = query().sign("planning-office", &identity(42)).expect("signed");
    assert_eq!(refused(&impostor), Code::Signature);
    let for_another = query().sign("press-office", &identity(10)).expect("signed");
    assert_eq!(refused(&for_another), Code::Signature);
    assert_eq!(refused(&signed(|q| q.roster_hash = Hash([0; 32]))), Code::Roster);
    assert_eq!(refused(&signed(|q| q.catalog_hash = Hash([0; 32]))), Code::Catalog);
    assert_eq!(refused(&signed(|q| q.issued = NOW + 61)), Code::NotYet);
    assert_eq!(refused(&signed(|q| q.expires = NOW)), Code::Expired);
    assert_eq!(refused(&signed(|q| q.expires = NOW + Query::MAX_LIFETIME + 1)), Code::Expired);
    assert_eq!(refused(&signed(|q| q.security = "malicious".into())), Code::Unsupported);
    assert_eq!(refused(&signed(|q| q.protocol = "spdz".into())), Code::Unsupported);
    assert_eq!(refused(&signed(|q| q.output_key = Base64(vec![0; 32]))), Code::OutputKey);
    // Fields out of bounds, signed all the same.
    assert_eq!(refused(&signed(|q| q.output_key = Base64(vec![7; 31]))), Code::Signature);
    assert_eq!(refused(&signed(|q| q.sql = " \n".into())), Code::Signature);
    assert_eq!(refused(&signed(|q| q.sql = "x".repeat(Query::MAX_SQL + 1))), Code::Signature);
    assert_eq!(refused(&signed(|q| q.purpose = "x".repeat(Query::MAX_PURPOSE + 1))), Code::Signature);
    assert!(Query { sql: String::new(), ..query() }.sign("planning-office", &identity(9)).is_err());
}

#[test]
fn a_statement_of_one_kind_is_not_one_of_another() {
    let job = QueryId(Hash([5; 32]));
    let start = Accept { job, attempt: 1, plan_hash: Hash([6; 32]) };
    let note = start.sign("transport", &identity(1)).expect("signed");
    assert_eq!(Accept::open(&note, "transport", &identity(1).public()), Ok(start));
    assert!(Refuse::open(&note, "transport", &identity(1).public()).is_err());
    assert!(Accept::open(&note, "energy", &identity(2).public()).is_err());
    assert!(Accept { job, attempt: 0, plan_hash: Hash([6; 32]) }.sign("transport", &identity(1)).is_err());
}

fn sealed() -> Sealed {
    Sealed {
        job: QueryId(Hash([5; 32])),
        attempt: 1,
        sid: Hash([8; 32]),
        plan_hash: Hash([6; 32]),
        encapsulated: Base64(vec![1; 32]),
        ciphertext: Base64(vec![2; 100]),
        measured: vec![Measured { operator: "Aggregate".into(), rounds: 2, bytes: 100, micros: 7 }],
        lock: ["energy", "health"].map(|peer| Told { peer: peer.into(), sent: Hash([3; 32]), received: Hash([4; 32]) }).into(),
    }
}

#[test]
fn sealed_results_are_bounded_and_fit_a_frame() {
    let sign = |sealed: &Sealed| sealed.sign("transport", &identity(1));
    let note = sign(&sealed()).expect("signed");
    assert_eq!(Sealed::open(&note, "transport", &identity(1).public()), Ok(sealed()));
    let largest = Sealed { ciphertext: Base64(vec![2; Sealed::MAX_CIPHERTEXT]), ..sealed() };
    let note = sign(&largest).expect("signed");
    let frame = frame::encode(&FromParty::Sealed(Stated { note, entries: vec![] })).expect("fits");
    assert!(frame.len() <= MAX_FRAME);
    assert!(sign(&Sealed { ciphertext: Base64(vec![2; Sealed::MAX_CIPHERTEXT + 1]), ..sealed() }).is_err());
    assert!(sign(&Sealed { encapsulated: Base64(vec![1; 31]), ..sealed() }).is_err());
    assert!(sign(&Sealed { measured: vec![sealed().measured[0].clone(); 1001], ..sealed() }).is_err());
    for peers in [0, 1, 3] {
        assert!(sign(&Sealed { lock: vec![sealed().lock[0].clone(); peers], ..sealed() }).is_err());
    }
    let unnamed = Told { peer: "é".into(), ..sealed().lock[0].clone() };
    assert!(sign(&Sealed { lock: vec![unnamed, sealed().lock[1].clone()], ..sealed() }).is_err());
}

#[test]
fn codes_read_as_the_protocol_names_them() {
    assert_eq!(Code::NotYet.to_string(), "E_NOT_YET");
    assert_eq!(serde_json::to_string(&Code::OutputKey).expect("JSON"), "\"E_OUTPUT_KEY\"");
    let refusal = Refusal::new(Code::Sql, "é".repeat(3000), "fix");
    assert!(refusal.reason.len() <= Refusal::MAX_TEXT);
    assert!(Refusal::new(Code::Sql, "no table `x` at 1:15", "").to_string().starts_with("E_SQL: no table"));
}

fn frames() -> Vec<FromParty> {
    let job = QueryId(Hash([5; 32]));
    let progress = Progress { job, attempt: 1, stage: Stage::Joint, done: 1, of: 4, rounds: 12, bytes: 3456 };
    vec![
        FromParty::Ready(Ready {
            version: "0.1.0".into(),
            roster_hash: Hash([1; 32]),
            catalog_hash: CATALOG,
            catalog: Some("version = 1\n".into()),
        }),
        FromParty::Accept(Stated { note: "a note".into(), entries: vec!["an entry".into()] }),
        FromParty::Progress(progress),
    ]
}

fn read(frame: &[u8]) -> Result<FromParty, FrameError> {
    let mut partial = frame::Partial::default();
    let mut rest = frame;
    loop {
        match partial.missing()? {
            0 => return partial.message(),
            // in pieces, as a stream gives them
            missing => {
                let (piece, left) = rest.split_at(missing.min(7).min(rest.len()));
                assert!(!piece.is_empty(), "the frame is whole");
                partial.add(piece);
                rest = left;
            }
        }
    }
}

#[test]
fn a_stated_length_takes_no_memory() {
    let mut partial = frame::Partial::default();
    partial.add(&(MAX_FRAME as u32).to_be_bytes());
    partial.add(b"{");
    assert_eq!(partial.missing(), Ok(MAX_FRAME - 1));
    assert!(partial.capacity() < 64, "{}", partial.capacity());
    let mut beyond = frame::Partial::default();
    beyond.add(&(MAX_FRAME as u32 + 1).to_be_bytes());
    assert_eq!(beyond.missing(), Err(FrameError::TooLong(MAX_FRAME + 1)));
}

#[test]
fn frames_read_back_and_their_lengths_are_capped() {
    for message in frames() {
        assert_eq!(read(&frame::encode(&message).expect("encoded")), Ok(message));
    }
    let start = frame::encode(&ToParty::Start(Start { job: QueryId(Hash([5; 32])), attempt: 1, checkpoint: None })).expect("encoded");
    assert_eq!(read(&start), Err(FrameError::Malformed), "a frame of the other side");
    assert_eq!(frame::length([0; 4]), Err(FrameError::Malformed));
    assert_eq!(frame::length([0, 0x10, 0, 0]), Ok(MAX_FRAME));
    assert_eq!(frame::length([0, 0x10, 0, 1]), Err(FrameError::TooLong(MAX_FRAME + 1)));
    assert_eq!(frame::length([0xff; 4]), Err(FrameError::TooLong(u32::MAX as usize)));
    let job = QueryId(Hash([5; 32]));
    let offer = |attempt, note: String| frame::encode(&ToParty::Offer(Offer { job, attempt, note, entry: None }));
    assert!(offer(1, "x".repeat(note::MAX_NOTE)).is_ok());
    assert!(offer(1, "x".repeat(note::MAX_NOTE + 1)).is_err());
    assert!(offer(0, String::new()).is_err());
    assert!(matches!(offer(1, "\"".repeat(note::MAX_NOTE)), Err(FrameError::TooLong(_))));
}

#[test]
fn what_goes_with_a_note_is_bounded() {
    let job = QueryId(Hash([5; 32]));
    let stated = |length| frame::encode(&FromParty::Failed(Stated { note: String::new(), entries: vec!["x".repeat(length)] }));
    assert!(stated(Stated::MAX_ENTRIES).is_ok() && stated(Stated::MAX_ENTRIES + 1).is_err());
    let entry = |length| Some(crate::joblog::QueryEntry { entry: "x".repeat(length), salt: CATALOG });
    let offer = |length| frame::encode(&ToParty::Offer(Offer { job, attempt: 1, note: String::new(), entry: entry(length) }));
    assert!(offer(ledger::tile::MAX_ENTRY).is_ok() && offer(ledger::tile::MAX_ENTRY + 1).is_err());
    let start = |length: usize| frame::encode(&ToParty::Start(Start { job, attempt: 1, checkpoint: Some("x".repeat(length)) }));
    let longest = ledger::checkpoint::MAX_CHECKPOINT;
    assert!(start(longest).is_ok() && start(longest + 1).is_err());
}

#[test]
fn ledger_codes_are_called_as_the_ledger_calls_them() {
    for code in ["E_LEDGER_ENTRY", "E_LEDGER_RULE", "E_LEDGER_STALE", "E_LEDGER_FORK", "E_REVOKED"] {
        assert_eq!(Code::of_ledger(code).to_string(), code);
    }
    assert_eq!(Code::of_ledger("E_LEDGER_CONFIG"), Code::Ledger);
}

#[test]
fn fields_nobody_knows_and_counts_beyond_their_end_are_refused() {
    let text = |m: &FromParty| serde_json::to_string(m).expect("JSON");
    let progress = text(&frames()[2]);
    assert!(frame::decode::<FromParty>(progress.as_bytes()).is_ok());
    for (from, to) in [("\"of\":4", "\"of\":4,\"x\":1"), ("\"of\":4", "\"of\":0"), ("\"joint\"", "\"lunch\""), ("12", "-12")] {
        assert!(frame::decode::<FromParty>(progress.replace(from, to).as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn a_coordinator_has_three_reasons_to_stop_an_attempt_and_no_others() {
    let job = QueryId(Hash([5; 32]));
    let stop = ToParty::Stop(Stop { job, attempt: 1, code: StopCode::Cancelled });
    let text = serde_json::to_string(&stop).expect("JSON");
    assert_eq!(frame::decode(text.as_bytes()), Ok(stop));
    for code in ["E_DEADLINE", "E_PEER"] {
        assert!(frame::decode::<ToParty>(text.replace("E_CANCELLED", code).as_bytes()).is_ok(), "{code}");
    }
    for code in ["E_DATA", "E_INTERNAL", "E_PLAN", "E_BUSY"] {
        let swapped = text.replace("E_CANCELLED", code);
        assert_eq!(frame::decode::<ToParty>(swapped.as_bytes()), Err(FrameError::Malformed), "{code}");
    }
    assert_eq!([Code::Cancelled, Code::Deadline, Code::Data].map(StopCode::of), [StopCode::Cancelled, StopCode::Deadline, StopCode::Peer]);
}

#[test]
fn events_read_as_documented() {
    let refusal = Refusal::new(Code::Peer, "energy is gone", "start it again");
    let what = What::Refused(PartyRefusal { party: Some("energy".into()), refusal, note: None });
    let event = Event { seq: 3, at: 5, what };
    let text = serde_json::to_string(&event).expect("JSON");
    assert!(text.contains(r#""what":{"type":"refused","party":"energy","refusal":{"code":"E_PEER""#), "{text}");
    assert_eq!(serde_json::from_str::<Event>(&text).expect("reads back"), event);
}

proptest! {
    #[test]
    fn no_frame_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (frame::decode::<FromParty>(&body), frame::decode::<ToParty>(&body));
    }

    #[test]
    fn no_changed_frame_panics(which in 0usize..3, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut frame = frame::encode(&frames()[which]).expect("encoded");
        let at = at.index(frame.len() - frame::PREFIX) + frame::PREFIX;
        frame[at] = to;
        if let Ok(message) = frame::decode::<FromParty>(&frame[frame::PREFIX..]) {
            prop_assert!(message.check().is_ok());
        }
    }

    #[test]
    fn no_note_panics_as_a_query(text in "(?s).*") {
        prop_assert!(Query::admit(&text, &roster(), CATALOG, NOW).is_err());
    }
}

#[test]
fn a_refusal_is_a_partys_own_if_its_note_says_so() {
    let (roster, job) = (roster(), QueryId(Hash([5; 32])));
    let refusal = Refusal::new(Code::Busy, "too much to do", "ask later");
    let note =
        |job, refusal: &Refusal, key| Refuse { job, attempt: 1, refusal: refusal.clone() }.sign("energy", &identity(key)).expect("signed");
    let said = |note: Option<String>| PartyRefusal { party: Some("energy".into()), refusal: refusal.clone(), note };
    assert_eq!(said(Some(note(job, &refusal, 2))).signed(job, &roster), Some(Word::Refused));
    let failed = Failed { job, attempt: 1, refusal: refusal.clone() }.sign("energy", &identity(2)).expect("signed");
    assert_eq!(said(Some(failed)).signed(job, &roster), Some(Word::Failed));

    let other = Refusal::new(Code::Busy, "nothing to do", "");
    for (note, why) in [
        (None, "no note"),
        (Some(note(QueryId(Hash([6; 32])), &refusal, 2)), "another job"),
        (Some(note(job, &other, 2)), "other words"),
        (Some(note(job, &refusal, 1)), "another party's key"),
        (Some("energy says no".into()), "no note at all"),
    ] {
        assert_eq!(said(note).signed(job, &roster), None, "{why}");
    }
    let nobody = PartyRefusal { party: Some("water".into()), ..said(Some(note(job, &refusal, 2))) };
    assert_eq!(nobody.signed(job, &roster), None);
    assert_eq!(PartyRefusal::of_coordinator(refusal.clone()).signed(job, &roster), None);
}
