use super::*;
use crate::entry::{Abort, Body, Start};
use crate::testing::*;
use std::fs;

#[test]
fn what_a_quorum_cosigned_is_published() {
    let mut city = City::founded();
    assert_eq!(city.published().head().size, 8);
    city.seal(&job("one"));
    assert_eq!(city.sequencer.head().size, 13);
    for at in 0..3 {
        assert_eq!(city.published().head().size, 8, "{at} of three have cosigned");
        city.cosign(at, 2_000);
    }
    let published = city.published();
    assert_eq!(published.head().size, 13);
    let policy = city.sequencer.replay().policy().expect("a policy");
    assert!(policy.check(&published, Some(crate::policy::Window::at(2_060)), &AGENCIES).is_ok());
    assert_eq!(policy.check(&published, Some(crate::policy::Window::at(2_061)), &[]).expect_err("old").code(), "E_LEDGER_STALE");
    // Without anything new, the agencies make it fresh again.
    city.append(&[], 3_000);
    assert_eq!(city.published().head().size, 13);
    assert!(policy.check(&city.published(), Some(crate::policy::Window::at(3_060)), &AGENCIES).is_ok());
    assert_eq!(city.sequencer.get("checkpoint").body, city.published().note().as_bytes());
}

#[test]
fn a_log_grows_over_many_batches_and_is_the_same_everywhere() {
    let mut city = City::founded();
    for batch in 0..40 {
        let entries: Vec<String> = (0..batch).flat_map(|at| job(&format!("{batch} {at}"))).collect();
        city.append(&entries, 1_000 + batch);
    }
    let size = 8 + 5 * (0..40).sum::<u64>();
    assert_eq!(city.published().head().size, size);
    for cosigner in &city.cosigners {
        assert_eq!((cosigner.store().size(), cosigner.store().root()), (size, city.sequencer.head().root));
        assert_eq!(cosigner.pending(), Some(city.sequencer.head()));
        let at = |path: &str| (cosigner.get(path), city.sequencer.get(path));
        for path in ["tile/0/000", "tile/1/000.p/15", "tile/entries/003", "tile/entries/000.p/7"] {
            let (theirs, ours) = at(path);
            assert_eq!((theirs.status, &theirs.body), (200, &ours.body), "{path}");
        }
    }
    assert_eq!(city.sequencer.get("tile/entries/999").status, 404);
    assert_eq!(city.sequencer.get("tail").status, 404);
}

#[test]
fn what_may_not_stand_is_not_taken() {
    let mut city = City::founded();
    let steps = job("one");
    assert_eq!(city.sequencer.submit(steps[1].as_bytes()).expect_err("before its query").code(), "E_LEDGER_RULE");
    assert_eq!(city.sequencer.submit(steps[0].as_bytes()).expect("it may stand"), 8);
    assert_eq!(city.sequencer.submit(steps[0].as_bytes()).expect_err("twice").code(), "E_LEDGER_REPLAY");
    assert_eq!(city.sequencer.submit(b"rubbish").expect_err("no entry").code(), "E_LEDGER_ENTRY");
    assert_eq!(city.sequencer.seal().expect("sealed").size, 9);
}

#[test]
fn a_sequencer_goes_on_where_it_was() {
    let mut city = City::founded();
    city.append(&job("one"), 2_000);
    let (head, published) = (city.sequencer.head().clone(), city.published());
    let City { folders, sequencer, cosigners } = city;
    drop(sequencer);
    let sequencer = open_sequencer(&folders.path().join("sequencer"));
    let mut city = City { folders, sequencer, cosigners };
    assert_eq!((city.sequencer.head(), city.published()), (&head, published));
    assert_eq!(city.sequencer.submit(job("one")[0].as_bytes()).expect_err("known").code(), "E_LEDGER_REPLAY");
    // It has forgotten where the agencies are, and they tell.
    city.append(&job("two"), 3_000);
    assert_eq!(city.published().head().size, 18);
}

#[test]
fn a_sequencer_that_was_put_back_signs_nothing() {
    let mut city = City::founded();
    let folder = city.folders.path().join("sequencer");
    let backup = city.folders.path().join("backup");
    copy(&folder, &backup);
    city.append(&job("one"), 2_000);
    let City { folders: _folders, sequencer, cosigners } = city;
    drop(sequencer);
    fs::remove_dir_all(&folder).expect("removed");
    copy(&backup, &folder);
    let mut sequencer = open_sequencer(&folder);
    let theirs = cosigners[0].get("checkpoint");
    let theirs = Checkpoint::parse(std::str::from_utf8(&theirs.body).expect("text")).expect("a checkpoint");
    let error = sequencer.recall(&theirs).expect_err("put back");
    assert_eq!(error.code(), "E_LEDGER_ROLLBACK");
    // A mirror's folder is no sequencer's, and `tacit ledger restore` is for agencies.
    let advice = [error.to_string(), crate::code::next_step(error.code()).into()];
    assert!(advice.iter().all(|text| text.contains("hand the log over") && text.contains("newest copy")), "{advice:?}");
    for refused in
        [sequencer.submit(job("two")[0].as_bytes()).map(drop), sequencer.seal().map(drop), sequencer.update_for("energy").map(drop)]
    {
        assert_eq!(refused.expect_err("nothing more").code(), "E_LEDGER_ROLLBACK");
    }
    // With the same entries again it goes on.
    drop(sequencer);
    let mut restored = open_sequencer(&folder);
    for index in restored.store().size()..cosigners[0].store().size() {
        restored.submit(&cosigners[0].store().entry(index).expect("held")).expect("it may stand");
    }
    restored.seal().expect("sealed");
    restored.recall(&theirs).expect("the same again");
    assert_eq!(restored.head(), theirs.head());
}

#[test]
fn what_a_coordinators_folder_should_not_hold_is_named() {
    let mut city = City::founded();
    city.append(&(2..300).map(|nonce| contract(DATASETS[0], nonce)).collect::<Vec<_>>(), 2_000);
    let City { folders, sequencer, cosigners: _cosigners } = city;
    drop(sequencer);
    let folder = folders.path().join("sequencer");
    let bundle = folder.join("tile/entries/000");
    let whole = fs::read(&bundle).expect("a full bundle");
    let open = |bytes: &[u8]| {
        fs::write(&bundle, bytes).expect("written");
        Sequencer::open(&folder, replay(), named(ORIGIN, KeyKind::Note)).map(drop).map_err(|error| (error.code(), error.to_string()))
    };
    let (code, text) = open(&whole[..whole.len() - 1]).expect_err("cut short");
    assert!(code == "E_LEDGER_CORRUPT" && text.contains("tile/entries/000"), "{code}: {text}");
    let mut changed = whole.clone();
    changed[10] ^= 1;
    let (code, text) = open(&changed).expect_err("no entry");
    assert!(code == "E_LEDGER_ENTRY" && text.starts_with("the ledger's folder holds an entry that may not stand"), "{code}: {text}");
    open(&whole).expect("as it was");
}

#[test]
fn a_full_disk_keeps_the_batch() {
    let mut city = City::founded();
    city.sequencer.submit(job("one")[0].as_bytes()).expect("it may stand");
    city.sequencer.store.fill_disk(true);
    let error = city.sequencer.seal().expect_err("full");
    assert_eq!(error.code(), "E_LEDGER_FULL");
    assert!(error.to_string().contains("make room"), "{error}");
    city.sequencer.store.fill_disk(false);
    assert_eq!(city.sequencer.seal().expect("there is room").size, 9);
}

#[test]
fn answers_that_are_none_are_refused() {
    let mut city = City::founded();
    city.seal(&job("one")[..1]);
    let [checkpoint, entries] = city.sequencer.update_for("energy").expect("an update");
    let [witness, validated] = city.cosigners[0].update(&checkpoint, &entries, 2_000);
    let mut told = |w: (u16, &[u8]), v: (u16, &[u8])| city.sequencer.answered("energy", w, v).map_err(|error| error.code());
    let (good_w, good_v) = ((200, &witness.body[..]), (200, &validated.body[..]));
    // Another's line, the other key's line, nothing, sizes nobody has, other codes, other bytes.
    for bad in
        [(200, &validated.body[..]), (200, b""), (409, b"99\n"), (409, b"8\n"), (409, b"x"), (403, b"no\n"), (500, b""), (200, &[0xff; 40])]
    {
        assert_eq!(told(bad, good_v), Err("E_LEDGER_COSIGNER"), "{bad:?}");
    }
    for bad in [(200, &witness.body[..]), (202, &b"9\n99\n\n"[..]), (409, b"9\n"), (422, b"E_LEDGER_RULE\n")] {
        assert_eq!(told(good_w, bad), Err("E_LEDGER_COSIGNER"), "{bad:?}");
    }
    assert_eq!(told(good_w, (202, b"9\n8\n\n")), Ok(Progress::Again));
    assert_eq!(told(good_w, good_v), Ok(Progress::Done));
    assert!(city.sequencer.answered("nobody", good_w, good_v).is_err());
}

#[test]
fn a_step_of_a_job_is_taken_whole_or_not_at_all() {
    let mut city = City::founded();
    let steps = job("one");
    let step = |city: &mut City, entries: &[&String]| {
        let entries: Vec<&[u8]> = entries.iter().map(|entry| entry.as_bytes()).collect();
        city.sequencer.submit_step(&entries).map_err(|error| error.code())
    };
    // Without a debit the start may not stand, and so nothing of it does: least of all the other debit.
    assert_eq!(step(&mut city, &[&steps[0], &steps[1], &steps[3]]), Err("E_LEDGER_RULE"));
    assert_eq!((city.sequencer.replay().size(), city.sequencer.replay().job(&hash("one")).is_none()), (8, true));
    assert_eq!(city.sequencer.seal().expect("nothing to seal").size, 8);
    assert_eq!(step(&mut city, &[&steps[0], &steps[1], &steps[2], &steps[3]]), Ok(11));
    // A second attempt: query and debits stand already, the first one ends, the second starts.
    let abort = Body::Abort(Abort { job: hash("one"), attempt: 1, code: "E_PEER".into() });
    let (abort, start) = (signed(abort, &["health"]), Start { job: hash("one"), attempt: 2, plan_hash: hash("plan") });
    let start = signed(Body::Start(start), &AGENCIES);
    assert_eq!(step(&mut city, &[&steps[0], &steps[1], &steps[2], &start]), Err("E_LEDGER_REPLAY"), "one runs");
    assert_eq!(step(&mut city, &[&steps[0], &steps[1], &steps[2], &abort, &start]), Ok(13));
    assert_eq!(step(&mut city, &[&steps[0], &start]), Err("E_LEDGER_REPLAY"), "what comes last is new");
    city.append(&[], 2_000);
    assert_eq!((city.published().head().size, city.cosigners[0].store().size()), (14, 14));
}

#[test]
fn folders_of_other_roles_are_refused() {
    let city = City::founded();
    let open =
        |folder: &str, origin: &str| Sequencer::open(&city.folders.path().join(folder), replay(), named(origin, KeyKind::Note)).map(drop);
    assert_eq!(open("new", "city.example/other").expect_err("another log's key").code(), "E_LEDGER_CONFIG");
    let City { folders, sequencer, cosigners } = city;
    drop((sequencer, cosigners));
    let open = |folder: &str| Sequencer::open(&folders.path().join(folder), replay(), named(ORIGIN, KeyKind::Note)).map(drop);
    assert_eq!(open("energy").expect_err("a cosigner's").code(), "E_LEDGER_CONFIG");
}
