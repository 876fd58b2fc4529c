//! `tacit ledger` on a log as nodes keep it and as a server hands it out, and what it says of one that is not right.

use crate::fixture::{run, text};
use crate::log::{AGENCIES, City, NOW, ORIGIN, contract, cosign, json, key, named, open_cosigner, public};
use crate::signals::free_ports;
use ledger::bytes::Hash;
use ledger::checkpoint::Head;
use ledger::entry::HandOver;
use ledger::key::KeyKind;
use ledger::sequencer::Sequencer;
use serde_json::Value;
use std::fs;

#[test]
fn an_audit_passes_what_is_right_and_names_what_is_not() {
    let city = City::new();
    let tiles = city.download();
    // An agency's own folder has its own cosignatures only.
    let published = tiles.join("checkpoint");
    let alone = city.audit(&city.path("energy"), &[]);
    assert!(alone.code == 1 && alone.err.contains("E_LEDGER_QUORUM"), "{}", alone.err);
    // It is no node that is missing, and what to do is said; below it is done.
    assert!(alone.err.contains("leave LOG out") && alone.err.contains("--checkpoint"), "{}", alone.err);
    assert!(!alone.err.contains("nodes run") && !alone.err.contains("out of date") && !alone.err.contains("newer"), "{}", alone.err);
    let also = city.audit(&city.path("log"), &["--checkpoint", text(&city.path("energy/checkpoint"))]);
    assert_eq!((also.code, also.err.as_str()), (1, alone.err.as_str()), "whichever way it is named");
    for log in [tiles.clone(), city.path("log"), city.path("energy")] {
        let audit = city.audit(&log, &["--json", "--checkpoint", text(&published)]);
        assert_eq!(audit.code, 0, "{}", audit.err);
        let told = json(&audit.out);
        assert_eq!((&told["log"]["size"], &told["entries"]["contract"], &told["ok"]), (&304.into(), &300.into(), &true.into()));
    }
    let audit = city.audit(&tiles, &[]);
    assert!(audit.out.contains("Every hash, signature and rule holds") && audit.out.contains("energy/validated"), "{}", audit.out);

    let bundle = tiles.join("tile/entries/000");
    let mut bytes = fs::read(&bundle).expect("a bundle");
    let at = bytes.windows(8).rposition(|part| part == b"energy.b").expect("a contract");
    bytes[at] = b'E';
    fs::write(&bundle, &bytes).expect("changed");
    let audit = city.audit(&tiles, &[]);
    assert_eq!((audit.code, audit.out.as_str()), (1, ""));
    assert!(audit.err.contains("E_LEDGER_"), "{}", audit.err);

    fs::remove_file(&bundle).expect("removed");
    let audit = city.audit(&tiles, &[]);
    assert_eq!(audit.code, 1);
    assert!(audit.err.contains("E_LEDGER_TILE: tile/entries/000"), "{}", audit.err);

    let other = city.path("other.checkpoint");
    let head = Head { root: Hash([7; 32]), ..city.published().head().clone() };
    fs::write(&other, head.sign(key(ORIGIN).signing_key()).expect("signed").note()).expect("written");
    let audit = city.audit(&city.path("log"), &["--checkpoint", text(&other)]);
    assert!(audit.code == 1 && audit.err.contains("E_LEDGER_QUORUM"), "{}", audit.err);

    // Where several agencies cosigned it, it is the others that are wanted.
    let two = city.path("two.checkpoint");
    let note =
        city.published().note().lines().filter(|line| !line.contains(" energy/")).map(|line| format!("{line}\n")).collect::<String>();
    fs::write(&two, note).expect("written");
    let audit = city.audit(&city.path("log"), &["--checkpoint", text(&two)]);
    assert!(audit.code == 1 && audit.err.contains("missing: energy/witness") && audit.err.contains("nodes run"), "{}", audit.err);

    for (args, says) in [
        (&["ledger", "audit", "/nonexistent", "--policy", text(&city.path("policy"))][..], "planner configuration"),
        (
            &["ledger", "audit", text(&tiles), "--policy", text(&city.path("roster.toml"))],
            "it is a roster (roster.toml), and a policy is wanted",
        ),
        (&["ledger", "audit", text(&tiles), "--policy", text(&tiles.join("checkpoint"))], "not a policy file"),
        (&["ledger", "show", text(city.folder.path())], "checkpoint: there is no such file"),
        (&["ledger", "audit", text(&tiles)], "no planner configuration found"),
    ] {
        let said = run(args);
        assert!(said.code == 2 && said.err.contains(says), "{args:?}: {}", said.err);
    }
}

/// Without the coordinator an agency needs a checkpoint: its log's files it has.
#[test]
fn who_is_out_of_the_coordinators_reach_is_told_what_else_would_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let city = folder.path().join("city");
    assert_eq!(run(&["init", text(&city), "--base-port", &free_ports()]).code, 0);
    for (config, instead, other) in [
        ("energy/party.toml", "name with --checkpoint one that it handed out before", "LOG"),
        ("planning-office/planner.toml", "name the log's files: LOG", "--checkpoint"),
    ] {
        let said = run(&["ledger", "audit", "--config", text(&city.join(config))]);
        assert!(said.code == 4 && said.err.contains(instead) && !said.err.contains(other), "{config}: {}", said.err);
    }
}

#[test]
fn a_receipt_is_made_and_checked_and_proves_no_other_entry() {
    let city = City::new();
    let (receipt, entry, policy, log) = (city.path("a.proof"), city.path("a.note"), city.path("policy"), city.path("health"));
    let published = city.path("log/checkpoint");
    let prove = |more: &[&str]| run(&[&["ledger", "prove", text(&log), "--checkpoint", text(&published)], more].concat());
    let made = prove(&["17", "--output", text(&receipt), "--entry", text(&entry)]);
    assert_eq!((made.code, made.out.as_str()), (0, ""), "{}", made.err);
    assert_eq!(fs::read_to_string(&entry).expect("the entry"), contract(13));
    let check = |more: &[&str]| {
        let args = ["ledger", "verify", text(&receipt), "--entry", text(&entry), "--policy", text(&policy)];
        run(&[&args[..], more].concat())
    };
    let said = check(&[]);
    assert!(said.code == 0 && said.out.contains("entry 17 of the log, a contract of energy"), "{}{}", said.out, said.err);
    let told = json(&check(&["--json"]).out);
    assert_eq!((&told["entry"]["index"], told["cosigners"].as_array().map(Vec::len)), (&17.into(), Some(6)));
    let id = told["entry"]["id"].as_str().expect("an id");
    let by_id = prove(&[id]);
    assert_eq!(by_id.out, fs::read_to_string(&receipt).expect("the receipt"));

    // The agencies cosigned long ago.
    let stale = check(&["--fresh", "60"]);
    assert!(stale.code == 1 && stale.err.contains("E_LEDGER_STALE"), "{}", stale.err);
    fs::write(&entry, contract(14)).expect("another");
    let other = check(&[]);
    assert!(other.code == 1 && other.err.contains("E_LEDGER_PROOF"), "{}", other.err);
    let beyond = prove(&["304"]);
    assert!(beyond.code == 1 && beyond.err.contains("E_LEDGER_TILE"), "{}", beyond.err);
    assert_eq!(prove(&["last"]).code, 2);
}

#[test]
fn entries_are_listed_and_read() {
    let city = City::new();
    let log = city.path("log");
    let list = run(&["ledger", "show", text(&log), "--last", "3"]);
    assert_eq!(list.code, 0, "{}", list.err);
    assert!(list.out.contains("304 entries") && list.out.contains("energy.buildings") && list.out.contains(" 303 "), "{}", list.out);
    assert_eq!(list.out.lines().filter(|line| line.contains("contract")).count(), 3);
    let members = run(&["ledger", "show", text(&log), "--kind", "member", "--json"]);
    let members: Vec<Value> = members.out.lines().map(json).collect();
    assert_eq!((members.len(), &members[2]["body"]["name"]), (4, &"health".into()));
    assert_eq!(run(&["ledger", "show", text(&log), "17"]).out, contract(13));
    assert_eq!(run(&["ledger", "show", text(&log), "304"]).code, 1);
    let unknown = run(&["ledger", "show", text(&log), "--kind", "foo"]);
    assert!(unknown.code == 2 && unknown.err.contains("no kind of entry `foo`; there are member, contract, "), "{}", unknown.err);
    let note = city.path("a.note");
    fs::write(&note, contract(1)).expect("written");
    let file = run(&["ledger", "show", text(&note)]);
    assert!(file.code == 2 && file.err.contains("a.note: this is a file, and a log is a folder"), "{}", file.err);
    let nothing = run(&["ledger", "show", text(&city.path("nowhere"))]);
    assert!(nothing.code == 2 && nothing.err.contains("nowhere: there is no such folder"), "{}", nothing.err);
}

#[test]
fn evidence_is_made_of_two_checkpoints_and_convicts_whoever_signed_both() {
    let city = City::new();
    let (policy, log, fork, file) = (city.path("policy"), city.path("log"), city.path("fork"), city.path("fork.evidence"));
    let published = log.join("checkpoint");
    let write = |size: u64| {
        let head = Head { size, root: Hash([7; 32]), ..city.published().head().clone() };
        let cosigned = head.cosign("energy/witness", key("energy/witness").signing_key(), NOW).expect("cosigned");
        let note = format!("{}{cosigned}\n", head.sign(key(ORIGIN).signing_key()).expect("signed").note());
        fs::write(&fork, note).expect("written");
    };
    for (size, more) in [(304, &[][..]), (200, &["--log", text(&log)])] {
        write(size);
        for (name, key) in [(ORIGIN, None), ("energy/witness", Some("energy/witness"))] {
            let args = ["ledger", "evidence", text(&fork), text(&published), "--policy", text(&policy), "--output", text(&file)];
            let key = key.map(|key| ["--key", key]);
            let made = run(&[&args[..], more, key.as_ref().map_or(&[][..], |key| &key[..])].concat());
            assert!(made.code == 0 && made.out.contains(&format!("`{name}` signed two logs")), "{}{}", made.out, made.err);
            let checked = run(&["ledger", "evidence", text(&file), "--policy", text(&policy), "--json"]);
            assert!(checked.code == 0 && json(&checked.out)["first"]["size"] == size, "{}{}", checked.out, checked.err);
        }
    }
    let honest =
        ["ledger", "evidence", text(&fork), text(&published), "--policy", text(&policy), "--log", text(&log), "--key", "health/witness"];
    let said = run(&honest);
    assert!(said.code == 1 && said.err.contains("E_LEDGER_EVIDENCE") && said.err.contains("did not sign both"), "{}", said.err);
    let nobody = run(&[&honest[..9], &["nobody"]].concat());
    assert!(nobody.code == 2 && nobody.err.contains("no key `nobody`; it has ") && nobody.err.contains("energy/witness"), "{}", nobody.err);
    let same = run(&["ledger", "evidence", text(&published), text(&published), "--policy", text(&policy)]);
    assert!(same.code == 1 && same.err.contains("one log has both checkpoints"), "{}", same.err);
    assert_eq!(run(&["ledger", "evidence", text(&fork), text(&published), "--policy", text(&policy)]).code, 2, "it takes --log");

    let whole = fs::read_to_string(&file).expect("evidence");
    fs::write(&file, whole.replacen("\\n200\\n", "\\n201\\n", 1)).expect("changed");
    let forged = run(&["ledger", "evidence", text(&file)]);
    assert!(forged.code == 1 && forged.err.contains("E_LEDGER_EVIDENCE"), "{}", forged.err);
    fs::write(&file, "something else\n").expect("changed");
    assert_eq!(run(&["ledger", "evidence", text(&file)]).code, 2);
}

#[test]
fn a_log_that_goes_on_elsewhere_is_checked_with_the_one_before() {
    let mut city = City::new();
    let name = "city.example/second";
    let statement = HandOver { previous: city.published().note().into(), key: public(name, KeyKind::Note) };
    let over = AGENCIES.iter().zip(&mut city.cosigners).fold(None::<String>, |others, (agency, cosigner)| {
        let identity = key(agency);
        Some(cosigner.hand_over(&statement, others.as_deref(), agency, identity.signing_key()).expect("handed over"))
    });
    let beginning = city.log.replay().succeed(public(name, KeyKind::Note), city.log.store().root());
    let mut second = Sequencer::open(&city.path("second"), beginning.clone(), named(name, KeyKind::Note)).expect("opened");
    second.submit(over.expect("signed").as_bytes()).expect("it may stand");
    second.submit(contract(300).as_bytes()).expect("it may stand");
    second.seal().expect("sealed");
    for agency in AGENCIES {
        cosign(&mut second, agency, &mut open_cosigner(&city.path("after"), agency, beginning.clone()));
    }
    let policy = fs::read_to_string(city.path("policy")).expect("a policy");
    fs::write(city.path("policy"), format!("log {}\n{policy}", public(name, KeyKind::Note))).expect("written");
    let log = city.path("second");
    let alone = city.audit(&log, &[]);
    assert!(alone.code == 2 && alone.err.contains("--after") && alone.err.contains(ORIGIN), "{}", alone.err);
    let audit = city.audit(&log, &["--after", text(&city.path("log")), "--json"]);
    assert_eq!(audit.code, 0, "{}", audit.err);
    assert_eq!(json(&audit.out)["entries"]["handover"], 1);
}
