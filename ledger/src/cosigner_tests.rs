use super::*;
use crate::bytes::Hash;
use crate::entry::{Body, Debit, Revoke};
use crate::evidence::Evidence;
use crate::policy::Window;
use crate::testing::*;
use std::fs;

fn status(response: &Response) -> (u16, String) {
    (response.status, String::from_utf8_lossy(&response.body).trim_end().to_owned())
}

/// `add-checkpoint` from `old` to the log of these entries.
fn add(old: u64, entries: &[String]) -> AddCheckpoint {
    let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(entry.as_bytes())).collect();
    let size = leaves.len() as u64;
    let proof =
        if old == 0 || old > size { Vec::new() } else { tree::prove(&leaves[..], 0, old, size).unwrap_or_else(|never| match never {}) };
    AddCheckpoint { old, proof, checkpoint: checkpoint(entries, &[], 0) }
}

fn post(cosigner: &mut Cosigner, request: &AddCheckpoint) -> Response {
    cosigner.add_checkpoint(request.to_string().as_bytes(), 5_000)
}

/// Ten entries, and ten that differ from the sixth on.
fn fork() -> [Vec<String>; 2] {
    let mut honest = founding();
    honest.extend(job("one").drain(..2));
    let mut forked = honest[..5].to_vec();
    forked.extend(founding()[5..].iter().rev().cloned());
    forked.extend(job("two").drain(..2));
    [honest, forked]
}

#[test]
fn a_witness_answers_as_the_specification_says() {
    let city = City::new();
    let mut witness = city.cosigners.into_iter().next().expect("energy");
    let [honest, forked] = fork();
    assert_eq!(witness.add_checkpoint(b"old 0\n", 0).status, 400);
    let mut other = add(0, &honest[..3]);
    other.checkpoint = checkpoint_of("city.example/other", &honest[..3], &[], 0);
    assert_eq!(post(&mut witness, &other).status, 404);
    let mut unsigned = add(0, &honest[..3]);
    let head = unsigned.checkpoint.head().clone();
    let line = head.cosign("energy/witness", &key("energy/witness"), 5).expect("cosigned");
    unsigned.checkpoint = Checkpoint::parse(&format!("{head}\n{line}\n")).expect("a checkpoint");
    assert_eq!(post(&mut witness, &unsigned).status, 403);
    unsigned.checkpoint = head.sign(&key("thief")).expect("signed");
    assert_eq!(post(&mut witness, &unsigned).status, 403);

    // The first checkpoint; then one that extends it.
    let first = post(&mut witness, &add(0, &honest[..3]));
    assert_eq!((first.status, first.content_type), (200, wire::TEXT));
    let cosigned =
        Checkpoint::parse(&format!("{}{}", checkpoint(&honest[..3], &[], 0).note(), status(&first).1 + "\n")).expect("a checkpoint");
    assert_eq!(cosigned.verify(&[&witness.witness.key]).expect("verifies")[0].time, Some(5_000));
    let conflict = post(&mut witness, &add(0, &honest[..7]));
    assert_eq!((status(&conflict), conflict.content_type), ((409, "3".into()), "text/x.tlog.size"));
    assert_eq!(post(&mut witness, &add(4, &honest[..7])).status, 409);
    assert_eq!(post(&mut witness, &add(9, &honest[..7])).status, 400);
    assert_eq!(post(&mut witness, &add(3, &honest[..7])).status, 200);
    assert_eq!(post(&mut witness, &add(7, &honest[..7])).status, 200, "the same again, fresh");

    // A fork: at the same size, at a larger one, with the honest log's proof, with its own, with none.
    assert_eq!(post(&mut witness, &add(7, &forked[..7])).status, 409);
    for proof in [add(7, &honest[..9]).proof, add(7, &forked[..9]).proof, vec![]] {
        assert_eq!(post(&mut witness, &AddCheckpoint { proof, ..add(7, &forked[..9]) }).status, 422);
    }
    let mut padded = add(7, &honest[..9]);
    padded.proof.push(Hash([0; 32]));
    assert_eq!(post(&mut witness, &padded).status, 422);
    assert_eq!(witness.pending().expect("known").size, 7);
    assert_eq!(post(&mut witness, &add(7, &honest[..9])).status, 200);
}

#[test]
fn no_two_forks_are_cosigned_at_any_pair_of_sizes() {
    let [honest, forked] = fork();
    for known in 6..=10 {
        for new in known..=10 {
            let folder = tempfile::TempDir::new().expect("a folder");
            let folder = folder.path().join("ledger");
            let mut witness = open_cosigner(&folder, "energy");
            assert_eq!(post(&mut witness, &add(0, &honest[..known])).status, 200);
            // Crashed and started anew, it is no more forgetful.
            drop(witness);
            let mut witness = open_cosigner(&folder, "energy");
            for old in 0..=new as u64 {
                assert!(post(&mut witness, &add(old, &forked[..new])).status >= 400, "{known} then {new} from {old}");
            }
        }
    }
}

#[test]
fn a_crash_at_any_step_before_the_answer_never_lets_two_forks_be_signed() {
    let [honest, forked] = fork();
    // First the store's steps, then those of the mark beside it.
    for (steps, of_mark) in (0..6).flat_map(|steps| [(steps, false), (steps, true)]) {
        for known in [0, 5] {
            let folder = tempfile::TempDir::new().expect("a folder");
            let folder = folder.path().join("ledger");
            let mut witness = open_cosigner(&folder, "energy");
            if known > 0 {
                assert_eq!(post(&mut witness, &add(0, &honest[..known])).status, 200);
            }
            match of_mark {
                false => witness.store.fail_after(Some(steps)),
                true => witness.mark.fail_after(Some(steps)),
            }
            let answer = post(&mut witness, &add(known as u64, &honest[..8]));
            drop(witness);
            let mut witness = open_cosigner(&folder, "energy");
            witness.sure().expect("it goes on by itself");
            let other = [known as u64, 8].map(|old| post(&mut witness, &add(old, &forked[..9])).status);
            match answer.status {
                200 => assert!(other.iter().all(|status| *status != 200), "signed, then a fork, after {steps} steps"),
                507 => assert!(other.contains(&200) || witness.pending().expect("known").size == 8, "nothing was signed"),
                status => panic!("{status}"),
            }
        }
    }
}

#[test]
fn a_mirror_validates_what_it_holds_and_nothing_else() {
    let mut city = City::founded();
    // A sequencer that appends what may not stand: the start of a job without its debits.
    let steps = job("one");
    let mut entries = founding();
    entries.extend([steps[0].clone(), steps[3].clone()]);
    let cosigner = &mut city.cosigners[0];
    let request = add(8, &entries);
    assert_eq!(post(cosigner, &request).status, 200, "as a witness it only says that the log grew");
    let bytes: Vec<&[u8]> = entries.iter().map(String::as_bytes).collect();
    let log = tempfile::TempDir::new().expect("a folder");
    let mut log = Store::open(log.path(), "other").expect("opened");
    log.append(&bytes, None).expect("appended");
    let body = AddEntries::body(&log, ORIGIN, 8, 10).expect("a body");
    let refused = cosigner.add_entries(&body, 5_000);
    assert_eq!(refused.status, 422);
    assert!(status(&refused).1.starts_with("E_LEDGER_RULE: entry 9"), "{:?}", status(&refused));
    assert_eq!((cosigner.store().size(), cosigner.replay().size()), (8, 8), "not even the entry before it");
    assert!(cosigner.replay().job(&hash("one")).is_none());
}

/// A sequencer that lies about budgets: its log has a debit of more than is left, well signed by the data's owner. Each honest mirror counts for itself, and none cosigns it as valid.
#[test]
fn an_overspending_debit_that_a_lying_sequencer_seals_is_cosigned_by_no_mirror() {
    let mut city = City::founded();
    city.append(&job("one"), 2_000);
    let mut entries = founding();
    entries.extend(job("one"));
    // A contract's planner may spend ε = 1000 a month, of which 0.5 is gone.
    let over = Debit { epsilon: 999_500_001, ..debit("two", DATASETS[0]) };
    let lie = [signed(Body::Query(query("two")), &[PLANNER]), signed(Body::Debit(over), &["energy"])];
    let honest = entries.len() as u64;
    entries.extend(lie.clone());
    assert_eq!(city.sequencer.submit(lie[0].as_bytes()).expect("a question"), honest);
    assert_eq!(city.sequencer.submit(lie[1].as_bytes()).expect_err("more than is left").code(), "E_BUDGET", "an honest one");

    let bytes: Vec<&[u8]> = entries.iter().map(String::as_bytes).collect();
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut log = Store::open(folder.path(), "liar").expect("opened");
    log.append(&bytes, None).expect("appended by its own rules");
    let body = AddEntries::body(&log, ORIGIN, honest, honest + 2).expect("a body");
    let request = add(honest, &entries).to_string();
    for cosigner in &mut city.cosigners {
        let root = cosigner.store().root();
        // As a witness it says that the log only grew, which is true.
        let [witness, validated] = cosigner.update(request.as_bytes(), &body, 3_000);
        assert_eq!((witness.status, validated.status), (200, 422));
        let said = status(&validated).1;
        assert!(said.starts_with(&format!("E_BUDGET: entry {}: the debit is refused", honest + 1)) && said.contains("\nfix: "), "{said}");
        // Nor does it on a second try, or started anew: nothing of the step is held, not even the question before the debit.
        assert_eq!(cosigner.add_entries(&body, 3_001).status, 422);
        assert_eq!((cosigner.store().size(), cosigner.store().root(), cosigner.replay().size()), (honest, root, honest));
        assert!(cosigner.replay().job(&hash("two")).is_none());
        let spent = cosigner.replay().accounts().all().find(|(account, _)| account.of == DATASETS[0]).expect("an account").1;
        assert_eq!(spent.epsilon.to_string(), "0.5");
    }
    let roots: Vec<Hash> = city.cosigners.iter().map(|cosigner| cosigner.store().root()).collect();
    assert!(roots.iter().all(|root| *root == roots[0]), "the logs of all are alike");
    // Without a quorum of those who validated it no attempt begins on it.
    let witnessed = checkpoint(&entries, &[], 0);
    assert!(city.cosigners.iter().all(|cosigner| cosigner.gate(&hash("two"), 1, &witnessed, Window::at(3_000)).is_err()));
}

#[test]
fn a_mirror_takes_entries_as_the_specification_says() {
    let mut city = City::founded();
    let entries: Vec<String> = (0..200).flat_map(|at| job(&at.to_string())).collect();
    city.seal(&entries);
    let [checkpoint, whole] = city.sequencer.update_for("energy").expect("an update");
    let cosigner = &mut city.cosigners[0];
    let body = |start, end| AddEntries::body(city.sequencer.store(), ORIGIN, start, end).expect("a body");
    // Nothing is known of that size yet.
    let conflict = cosigner.add_entries(&whole, 5_000);
    assert_eq!((status(&conflict), conflict.content_type), ((409, "8\n8".into()), "text/x.tlog.mirror-info"));
    assert_eq!(cosigner.add_checkpoint(&checkpoint, 5_000).status, 200);
    assert_eq!(cosigner.add_entries(b"", 0).status, 400);
    let elsewhere = AddEntries::body(city.sequencer.store(), "city.example/other", 8, 1008).expect("a body");
    assert_eq!(cosigner.add_entries(&elsewhere, 0).status, 404);
    assert_eq!(cosigner.add_entries(&body(9, 1008), 0).status, 409, "beyond the next");
    // A body that was cut off: what came whole is kept, and the next request goes on from there.
    let first = AddEntries::parse(&whole).expect("a request").packages().next().expect("a package");
    let before_second = whole.len() - tail(&whole, &first);
    assert_eq!(cosigner.add_entries(&whole[..before_second - 1], 0).status, 400, "not one whole package");
    assert_eq!(status(&cosigner.add_entries(&whole[..before_second], 0)), (202, "1008\n256".into()));
    assert_eq!(cosigner.store().size(), 256);
    assert_eq!(cosigner.add_entries(&body(0, 1008), 0).status, 409, "far too much again");
    // A changed entry, a changed proof.
    let rest = body(256, 1008);
    for at in [100, rest.len() - 5] {
        let mut changed = rest.clone();
        changed[at] ^= 1;
        assert_eq!(cosigner.add_entries(&changed, 0).status, 422, "byte {at}");
        assert_eq!((cosigner.store().size(), cosigner.replay().size()), (256, 256));
    }
    assert_eq!(cosigner.add_entries(&rest, 6_000).status, 200);
    assert_eq!(cosigner.store().root(), city.sequencer.head().root);
    // Both its lines stand under the checkpoint it serves.
    let served = String::from_utf8(cosigner.get("checkpoint").body).expect("text");
    let served = Checkpoint::parse(&served).expect("a checkpoint");
    assert_eq!(served.verify(&cosigner.keys()).expect("verifies").len(), 2);
    assert_eq!(cosigner.add_entries(&body(1008, 1008), 7_000).status, 200, "the same again, fresh");
}

/// How many bytes follow the first package.
fn tail(body: &[u8], first: &wire::Package) -> usize {
    let header = 2 + ORIGIN.len() + 16 + 2;
    let package = first.entries.iter().map(|entry| 2 + entry.len()).sum::<usize>() + 1 + 32 * first.proof.len();
    body.len() - header - package
}

#[test]
fn a_mirror_that_was_away_catches_up() {
    let mut city = City::founded();
    for batch in 0..5 {
        let entries: Vec<String> = (0..60).flat_map(|at| job(&format!("{batch} {at}"))).collect();
        city.seal(&entries);
        // Two keep up, and that is too few to be believed.
        city.cosign(0, 2_000 + batch);
        city.cosign(1, 2_000 + batch);
        assert_eq!(city.published().head().size, 8);
    }
    city.reopen(2);
    city.cosign(2, 3_000);
    assert_eq!(city.published().head().size, 1508);
    let roots: Vec<Hash> = city.cosigners.iter().map(|cosigner| cosigner.store().root()).collect();
    assert!(roots.iter().all(|root| *root == city.sequencer.head().root));
}

#[test]
fn a_full_disk_is_told_and_nothing_is_signed() {
    let mut city = City::founded();
    city.seal(&job("one")[..1]);
    let [checkpoint, entries] = city.sequencer.update_for("energy").expect("an update");
    let cosigner = &mut city.cosigners[0];
    cosigner.store.fill_disk(true);
    for answer in cosigner.update(&checkpoint, &entries, 5_000) {
        assert_eq!(answer.status, 507);
        assert!(status(&answer).1.starts_with("E_LEDGER_FULL"), "{:?}", status(&answer));
    }
    assert_eq!((cosigner.pending().expect("known").size, cosigner.replay().size()), (8, 8));
    cosigner.store.fill_disk(false);
    for answer in cosigner.update(&checkpoint, &entries, 5_000) {
        assert_eq!(answer.status, 200);
    }
}

#[test]
fn a_cosigner_that_was_put_back_with_its_mark_remembers_by_what_others_have() {
    let mut city = City::founded();
    let (folder, backup) = (city.folders.path().join("energy"), city.folders.path().join("backup"));
    city.append(&job("one"), 2_000);
    copy(&folder, &backup);
    let mark = folder.with_added_extension("mark");
    let marked = fs::read(&mark).expect("a mark");
    city.append(&job("two"), 3_000);
    let published = city.published();
    let City { folders: _folders, sequencer, mut cosigners } = city;
    cosigners.remove(0);
    fs::remove_dir_all(&folder).expect("removed");
    copy(&backup, &folder);
    // The mark goes back with it: nothing here says what came after.
    fs::write(&mark, &marked).expect("written");
    let mut energy = open_cosigner(&folder, "energy");
    assert_eq!(energy.pending().expect("known").size, 13);
    let error = energy.recall(&published).expect_err("it cosigned more");
    assert_eq!(error.code(), "E_LEDGER_ROLLBACK");
    // A lying sequencer would now get its fork cosigned; and so would an honest one its growth: neither is.
    let mut entries = founding();
    entries.extend(job("one"));
    let honest: Vec<String> = entries.iter().cloned().chain(job("two")).chain(job("three")).collect();
    let forked: Vec<String> = entries.iter().cloned().chain(job("three")).collect();
    for log in [&honest, &forked] {
        assert_eq!(post(&mut energy, &add(13, log)).status, 503);
    }
    // It catches up with what it cosigned, proved from another's mirror, and goes on.
    energy.catch_up(&published, cosigners[0].store()).expect("caught up");
    assert_eq!(energy.pending(), Some(published.head()));
    assert!(post(&mut energy, &add(18, &forked)).status >= 400);
    assert_eq!(post(&mut energy, &add(18, &honest)).status, 200);
    drop(sequencer);

    // Had it cosigned a fork by then, it could never go on.
    fs::remove_dir_all(&folder).unwrap_or_default();
    drop(energy);
    let _ = fs::remove_dir_all(&folder);
    copy(&backup, &folder);
    fs::write(&mark, &marked).expect("written");
    let mut energy = open_cosigner(&folder, "energy");
    assert_eq!(post(&mut energy, &add(13, &forked)).status, 200);
    assert_eq!(energy.recall(&published).expect_err("the same size, another root").code(), "E_LEDGER_ROLLBACK");
    assert_eq!(energy.catch_up(&published, cosigners[0].store()).expect_err("it is no growth").code(), "E_LEDGER_ROLLBACK");
    assert_eq!(post(&mut energy, &add(18, &forked)).status, 503);
    // And anybody can show it.
    let line = forked_line(&forked);
    let evidence = Evidence::find(&energy.witness.key, &line, &published, cosigners[0].store()).expect("evidence");
    assert!(evidence.to_string().parse::<Evidence>().is_ok());
}

fn forked_line(entries: &[String]) -> Checkpoint {
    checkpoint(entries, &["energy"], 5_000)
}

#[test]
fn what_others_show_that_is_known_or_not_its_own_changes_nothing() {
    let mut city = City::founded();
    city.append(&job("one"), 2_000);
    let published = city.published();
    city.cosigners[0].recall(&published).expect("known");
    city.cosigners[0].recall(&checkpoint(&founding(), &AGENCIES, 1_000)).expect("older, and the same log");
    // Signed by others, or by nobody it is.
    let longer: Vec<String> = founding().into_iter().chain(job("one")).chain(job("two")).collect();
    city.cosigners[0].recall(&checkpoint(&longer, &["health"], 1_000)).expect("not its own");
    city.append(&job("two"), 3_000);
    // A smaller checkpoint of another log, with its own cosignature: it was put back once, long ago.
    assert_eq!(city.cosigners[0].recall(&checkpoint(&fork()[1], &["energy"], 1)).expect_err("a fork").code(), "E_LEDGER_ROLLBACK");
}

#[test]
fn a_party_begins_on_a_fresh_log_that_all_parties_validated() {
    let mut city = City::founded();
    let steps = job("one");
    city.append(&steps[..3], 12_000);
    let early = city.published();
    let gate = |city: &City, attempt, checkpoint: &Checkpoint, now| {
        city.cosigners[0].gate(&hash("one"), attempt, checkpoint, Window::at(now)).map_err(|error| error.code())
    };
    assert_eq!(gate(&city, 1, &early, 12_000), Err("E_LEDGER_JOB"), "not started");
    city.append(&steps[3..4], 12_010);
    let started = city.published();
    assert_eq!(gate(&city, 1, &started, 12_010), Ok(started.head().clone()));
    assert_eq!(gate(&city, 1, &early, 12_010), Err("E_LEDGER_JOB"), "the start is not in that checkpoint");
    assert_eq!(gate(&city, 2, &started, 12_010), Err("E_LEDGER_JOB"), "another attempt");
    assert_eq!(gate(&city, 1, &started, 12_071), Err("E_LEDGER_STALE"));
    assert_eq!(gate(&city, 1, &started, 12_010 - 3_600), Err("E_LEDGER_STALE"), "a clock an hour off");
    let mut entries = founding();
    entries.extend(steps[..4].iter().cloned());
    assert_eq!(gate(&city, 1, &checkpoint(&entries, &AGENCIES[..2], 12_010), 12_010), Err("E_LEDGER_QUORUM"));
    assert_eq!(gate(&city, 1, &checkpoint(&fork()[1], &AGENCIES, 12_010), 12_010), Err("E_LEDGER_FORK"));
    let ahead: Vec<String> = entries.iter().cloned().chain([job("two")[0].clone()]).collect();
    assert_eq!(gate(&city, 1, &checkpoint(&ahead, &AGENCIES, 12_010), 12_010), Err("E_LEDGER_BEHIND"));
    assert_eq!(city.cosigners[0].gate(&hash("none"), 1, &started, Window::at(12_010)).map_err(|e| e.code()), Err("E_LEDGER_JOB"));
    // Revoked in what it knows, though not in what it is shown.
    let revoke = signed(Body::Revoke(Revoke { contract: id(&contract(DATASETS[0], 1)), reason: None }), &["energy"]);
    city.append(&[revoke], 12_020);
    assert_eq!(gate(&city, 1, &started, 12_020), Err("E_REVOKED"));
}

#[test]
fn an_expired_query_does_not_begin() {
    let mut city = City::founded();
    city.append(&job("one")[..4], 1_900_000_001);
    let late = city.cosigners[0].gate(&hash("one"), 1, &city.published(), Window::at(1_900_000_001));
    assert_eq!(late.map_err(|error| error.code()), Err("E_LEDGER_JOB"));
}

#[test]
fn a_log_is_handed_over_to_another_sequencer() {
    let mut city = City::founded();
    city.append(&job("one")[..3], 2_000);
    let early = checkpoint(&founding(), &AGENCIES, 1_000);
    let end = city.published();
    let second = "city.example/second";
    let statement = |previous: &Checkpoint| HandOver { previous: previous.note().into(), key: vkey(second, KeyKind::Note) };
    let sign = |cosigner: &mut Cosigner, agency: &str, previous: &Checkpoint, others: Option<&str>| {
        cosigner.hand_over(&statement(previous), others, agency, &key(agency)).map_err(|error| error.code())
    };
    // Not before the end, not beyond it, not of a fork, not without a quorum.
    assert_eq!(sign(&mut city.cosigners[0], "energy", &early, None), Err("E_LEDGER_HANDOVER"));
    let longer: Vec<String> = founding().into_iter().chain(job("one")).collect();
    assert_eq!(sign(&mut city.cosigners[0], "energy", &checkpoint(&longer, &AGENCIES, 2_000), None), Err("E_LEDGER_HANDOVER"));
    let entries = &longer[..11];
    assert_eq!(sign(&mut city.cosigners[0], "energy", &checkpoint(entries, &AGENCIES[1..], 2_000), None), Err("E_LEDGER_QUORUM"));
    let entry = AGENCIES
        .iter()
        .zip(&mut city.cosigners)
        .fold(None, |others: Option<String>, (agency, cosigner)| Some(sign(cosigner, agency, &end, others.as_deref()).expect("signed")));
    let entry = entry.expect("three signed");

    // From then on, and after a crash too, nothing of the old log is cosigned, and no other hand-over signed; the same one is.
    city.reopen(1);
    let elsewhere = HandOver { key: vkey("city.example/third", KeyKind::Note), ..statement(&end) };
    let another = city.cosigners[1].hand_over(&elsewhere, None, "transport", &key("transport"));
    assert_eq!(another.map_err(|error| error.code()), Err("E_LEDGER_HANDOVER"));
    assert!(sign(&mut city.cosigners[1], "transport", &end, None).is_ok());
    for cosigner in &mut city.cosigners {
        assert_eq!(post(cosigner, &add(11, &longer)).status, 410);
        assert_eq!(cosigner.add_entries(&AddEntries::body(city.sequencer.store(), ORIGIN, 11, 11).expect("a body"), 0).status, 410);
    }
    // The new log begins with the hand-over and goes on with the job.
    let beginning = |cosigner: &Cosigner| cosigner.replay().succeed(vkey(second, KeyKind::Note), cosigner.store().root());
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut sequencer =
        crate::sequencer::Sequencer::open(&folder.path().join("s"), beginning(&city.cosigners[0]), named(second, KeyKind::Note))
            .expect("opened");
    assert!(sequencer.submit(job("one")[3].as_bytes()).is_err(), "not the hand-over");
    sequencer.submit(entry.as_bytes()).expect("the hand-over");
    sequencer.submit(job("one")[3].as_bytes()).expect("the start of a job debited before");
    sequencer.seal().expect("sealed");
    for (agency, old) in AGENCIES.iter().zip(&city.cosigners) {
        let mut cosigner = open_cosigner_of(&folder.path().join(agency), agency, beginning(old));
        let [checkpoint, entries] = sequencer.update_for(agency).expect("an update");
        let [w, v] = cosigner.update(&checkpoint, &entries, 9_000);
        assert_eq!(
            sequencer.answered(agency, (w.status, &w.body), (v.status, &v.body)).expect("answered"),
            crate::sequencer::Progress::Done
        );
        if let Some(published) = sequencer.published() {
            assert!(cosigner.gate(&hash("one"), 1, published, Window::at(9_000)).is_ok());
        }
    }
    assert_eq!(sequencer.published().expect("published").head().size, 2);
}

#[test]
fn a_key_for_each_meaning_and_a_folder_for_each_log() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let folder = folder.path().join("ledger");
    let one = || named("energy/witness", KeyKind::Cosignature);
    assert_eq!(Cosigner::open(&folder, replay(), one(), one()).map(drop).expect_err("one key").code(), "E_LEDGER_CONFIG");
    let note = named("energy/validated", KeyKind::Note);
    assert_eq!(Cosigner::open(&folder, replay(), one(), note).map(drop).expect_err("another kind").code(), "E_LEDGER_CONFIG");
    let mut cosigner = open_cosigner(&folder, "energy");
    assert_eq!(post(&mut cosigner, &add(0, &founding())).status, 200);
    drop(cosigner);
    let other = Replay::new(vkey("city.example/other", KeyKind::Note), vec![]);
    let validated = named("energy/validated", KeyKind::Cosignature);
    assert_eq!(Cosigner::open(&folder, other, one(), validated).map(drop).expect_err("another log").code(), "E_LEDGER_CONFIG");
}
