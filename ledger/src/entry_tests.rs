use super::*;
use crate::testing::{self, hash, key, signed};
use proptest::prelude::*;
use serde_json::json;

fn all() -> Vec<String> {
    let mut entries = testing::founding();
    entries.extend(testing::job("one"));
    entries.push(signed(Body::Revoke(Revoke { contract: hash("contract"), reason: None }), &["energy"]));
    entries.push(signed(Body::Abort(Abort { job: hash("one"), attempt: 1, code: "E_TIMEOUT".into() }), &["health"]));
    let previous = testing::checkpoint(&testing::founding(), &[], 0).note().into();
    let over = HandOver { previous, key: testing::vkey("city.example/second", KeyKind::Note) };
    entries.push(signed(Body::HandOver(Box::new(over)), &["energy", "health"]));
    let [honest, forked] = [["a", "b"], ["a", "c"]].map(|log| log.map(String::from));
    let checkpoints = [testing::checkpoint(&honest, &[], 0), testing::checkpoint(&forked, &[], 0)];
    let none: &[Hash] = &[];
    let evidence = Evidence::find(&testing::log_key(), &checkpoints[0], &checkpoints[1], none).expect("evidence").to_string();
    entries.push(signed(Body::Evidence(Exhibit { evidence }), &["transport"]));
    entries
}

#[test]
fn every_kind_reads_back_as_it_was_signed() {
    let mut kinds = BTreeSet::new();
    for text in all() {
        let entry = Entry::parse(text.as_bytes()).expect("an entry");
        kinds.insert(entry.body.kind());
        let names: Vec<&str> = entry.signatures.iter().map(|signature| signature.name).collect();
        assert_eq!(signed(entry.body.clone(), &names), text, "one spelling");
        assert!(text.starts_with(&format!("tacit/{}/v1\n", entry.body.kind())));
    }
    assert_eq!(kinds, BTreeSet::from(Body::KINDS));
}

#[test]
fn an_entry_keeps_its_id_whoever_signs_it() {
    let one = signed(Body::Revoke(Revoke { contract: hash("c"), reason: None }), &["energy"]);
    let two = countersign(&one, "health", &key("health")).expect("countersigned");
    assert_eq!(testing::id(&one), testing::id(&two));
    assert!(countersign(&two, "energy", &key("energy")).is_err(), "once each");
}

#[test]
fn unknown_fields_and_kinds_and_other_spellings_are_refused() {
    for text in all() {
        let (head, rest) = text.split_once('\n').expect("lines");
        let refused = |text: String, what: &str| assert!(Entry::parse(text.as_bytes()).is_err(), "{what}: {text}");
        if !head.contains("/contract/") {
            // `~` sorts behind every name, so the text stays canonical.
            refused(format!("{head}\n{}", rest.replacen("}\n\n", ",\"~\":1}\n\n", 1)), "an unknown field");
        }
        refused(format!("{head}\n{}", rest.replacen('{', "{ ", 1)), "white space");
        refused(text.replacen("/v1", "/v2", 1), "a version");
        refused(text.replacen("tacit/", "tacit/x-", 1), "a kind");
        refused(format!("{text}\n"), "a tail");
        refused(text.replace("\n\n", "\n"), "no signature");
        let line = text.lines().last().expect("a signature");
        refused(format!("{text}{line}\n"), "one name twice");
    }
}

#[test]
fn fields_out_of_bounds_are_neither_signed_nor_read() {
    let refused = |body: Body| assert!(matches!(body.sign("energy", &key("energy")), Err(EntryError::Field(_))), "{body:?}");
    let member = |change: &dyn Fn(&mut Member)| {
        let mut member = testing::member("energy");
        change(&mut member);
        refused(Body::Member(Box::new(member)));
    };
    member(&|m| m.name = "Energy".into());
    member(&|m| m.name = "x".repeat(64));
    member(&|m| m.organisation = String::new());
    member(&|m| m.organisation = "a\nb".into());
    member(&|m| m.key = testing::vkey("health", KeyKind::Note));
    member(&|m| m.witness = None);
    member(&|m| m.role = Role::Planner);
    member(&|m| m.validated = m.witness.clone());
    // The entry-signing key as a cosigner's: what it signs could be taken for one another.
    member(&|m| m.witness = Some(VerifierKey::new("energy/witness", KeyKind::Cosignature, *m.key.key()).expect("a key")));
    let query = |change: &dyn Fn(&mut Query)| {
        let mut query = testing::query("one");
        change(&mut query);
        refused(Body::Query(query));
    };
    query(&|q| q.purpose = String::new());
    query(&|q| q.reads.push(q.reads[0].clone()));
    query(&|q| q.reads[0].dataset = "buildings".into());
    query(&|q| q.contracts.push(q.contracts[0]));
    query(&|q| q.parties.clear());
    query(&|q| q.receivers = vec!["a b".into()]);
    for month in ["2026-13", "2026-00", "2026-1", "26-011", "2026-11-01", "2026+11", "20é-11"] {
        refused(Body::Debit(Debit { month: month.into(), ..testing::debit("one", "energy.buildings") }));
    }
    for code in ["", "E_", "TIMEOUT", "E_time", "E_A B"] {
        refused(Body::Abort(Abort { job: hash("one"), attempt: 1, code: code.into() }));
    }
    refused(Body::Start(Start { job: hash("one"), attempt: 0, plan_hash: hash("plan") }));
    refused(Body::DataSet(DataSet { dataset: "energy.buildings".into(), snapshot: hash("s"), columns: vec![] }));
    refused(Body::Evidence(Exhibit { evidence: "believe me".into() }));
    for dataset in ["", ".", "energy.", ".buildings", "Energy.buildings", "energy"] {
        refused(Body::Contract(Contract { dataset: dataset.into(), terms: json!({"dataset": dataset}) }));
    }
}

#[test]
fn copies_that_were_signed_apart_are_one_entry() {
    let start = |attempt| Body::Start(Start { job: hash("one"), attempt, plan_hash: hash("plan") });
    let copies = ["energy", "transport", "health"].map(|name| start(1).sign(name, &key(name)).expect("signed"));
    let joined = join(copies.iter().map(String::as_str)).expect("one text");
    assert_eq!(joined, testing::signed(start(1), &["energy", "transport", "health"]));
    let other = start(2).sign("health", &key("health")).expect("signed");
    for copies in [&[copies[0].as_str(), &other][..], &[&copies[0], &copies[0]], &[&copies[0], "x"], &["x"], &[]] {
        assert!(join(copies.iter().copied()).is_err(), "{copies:?}");
    }
}

#[test]
fn an_entry_fits_into_a_bundle() {
    let contract = |length: usize| {
        Body::Contract(Contract { dataset: "energy.b".into(), terms: json!({"dataset": "energy.b", "x": "x".repeat(length)}) })
    };
    let longest = (65_000..65_535).rev().find(|length| contract(*length).sign("energy", &key("energy")).is_ok()).expect("one fits");
    let entry = contract(longest).sign("energy", &key("energy")).expect("signed");
    assert_eq!(entry.len(), MAX_ENTRY);
    assert!(Entry::parse(entry.as_bytes()).is_ok());
    assert!(Entry::parse(&[entry.as_bytes(), b"x"].concat()).is_err());
    assert!(countersign(&entry, "health", &key("health")).is_err());
}

#[test]
fn a_commitment_is_opened_by_its_opening_alone() {
    let opening = Opening::fresh("SELECT secret".into()).expect("randomness");
    let again = Opening::fresh("SELECT secret".into()).expect("randomness");
    assert_ne!(opening.commitment(), again.commitment(), "nobody can guess and compare");
    assert_eq!(Opening { value: "SELECT secret".into(), ..opening.clone() }.commitment(), opening.commitment());
    assert_ne!(Opening { value: "SELECT other".into(), ..opening.clone() }.commitment(), opening.commitment());
    assert!(!format!("{opening:?}").contains("secret"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in "(member|contract|revoke|dataset|job-query|job-debit|handover|evidence)", json in "[\\[\\]{}:,\"a-z0-9.]{0,60}") {
        let _ = Entry::parse(&bytes);
        let text = format!("tacit/{kind}/v1\n{json}\n");
        let line = signed::sign_line(&text, "energy", &key("energy")).expect("signed");
        let _ = Entry::parse(format!("{text}\n{line}\n").as_bytes());
    }

    #[test]
    fn no_change_panics(which in 0usize..17, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let all = all();
        let mut bytes = all[which % all.len()].clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Entry::parse(&bytes);
    }
}
