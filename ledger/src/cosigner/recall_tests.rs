use super::*;
use crate::bytes::Hash;
use crate::entry::{Body, HandOver, Member, Role, Standing};
use crate::key::KeyKind;
use crate::replay::Replay;
use crate::testing::*;
use std::fs;
use std::path::{Path, PathBuf};

/// `add-checkpoint` from `old` to the log of these entries.
fn grown(old: usize, entries: &[String]) -> String {
    let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(entry.as_bytes())).collect();
    let prove = || tree::prove(&leaves[..], 0, old as u64, leaves.len() as u64).unwrap_or_else(|never| match never {});
    let proof = if old == 0 { Vec::new() } else { prove() };
    AddCheckpoint { old: old as u64, proof, checkpoint: checkpoint(entries, &[], 0) }.to_string()
}

fn post(cosigner: &mut Cosigner, old: usize, entries: &[String]) -> u16 {
    cosigner.add_checkpoint(grown(old, entries).as_bytes(), 5_000).status
}

/// The log of these jobs after the founding.
fn log(jobs: &[&str]) -> Vec<String> {
    founding().into_iter().chain(jobs.iter().flat_map(|word| job(word))).collect()
}

/// Energy's folder as it is at 13 entries, put away; and its mark.
struct Backup {
    folder: PathBuf,
    copy: PathBuf,
}

impl Backup {
    fn take(city: &City) -> Self {
        let (folder, copied) = (city.folders.path().join("energy"), city.folders.path().join("backup"));
        copy(&folder, &copied);
        Self { folder, copy: copied }
    }

    fn mark(&self) -> PathBuf {
        self.folder.with_added_extension("mark")
    }

    /// Puts the folder back, and opens it.
    fn put_back(&self, city: &mut City) -> Cosigner {
        drop(city.cosigners.remove(0));
        fs::remove_dir_all(&self.folder).expect("removed");
        copy(&self.copy, &self.folder);
        open_cosigner(&self.folder, "energy")
    }
}

/// A city at 18 entries, whose energy was backed up at 13.
fn backed_up() -> (City, Backup) {
    let mut city = City::founded();
    city.append(&job("one"), 2_000);
    let backup = Backup::take(&city);
    city.append(&job("two"), 3_000);
    (city, backup)
}

fn code(cosigner: &Cosigner) -> Option<&'static str> {
    cosigner.sure().err().map(|error| error.code())
}

/// It signs nothing at all: no growth, no fork, no entry, nothing again, no hand-over.
fn signs_nothing(cosigner: &mut Cosigner, known: usize) {
    let fork = [log(&["one"])[..known].to_vec(), job("three")].concat();
    for log in [&log(&["one", "two", "three"]), &fork] {
        assert_eq!(post(cosigner, known, log), 503);
    }
    let body = crate::wire::AddEntries::body(cosigner.store(), ORIGIN, known as u64, known as u64).expect("a body");
    assert_eq!(cosigner.add_entries(&body, 0).status, 503);
    let [witness, validated] = cosigner.update(grown(known, &fork).as_bytes(), &body, 0);
    assert_eq!((witness.status, validated.status), (503, 503));
    assert!(String::from_utf8_lossy(&witness.body).contains("\nfix: "));
    let statement = HandOver { previous: checkpoint(&log(&["one"]), &AGENCIES, 0).note().into(), key: vkey("x/y", KeyKind::Note) };
    assert_eq!(cosigner.hand_over(&statement, None, "energy", &key("energy")).expect_err("no").code(), "E_LEDGER_ROLLBACK");
}

#[test]
fn a_folder_put_back_is_behind_its_mark_and_signs_nothing_until_it_has_caught_up() {
    let (mut city, backup) = backed_up();
    let published = city.published();
    let mut energy = backup.put_back(&mut city);
    assert_eq!(code(&energy), Some("E_LEDGER_ROLLBACK"));
    signs_nothing(&mut energy, 13);
    // Nobody need have told: and what others tell that is older changes nothing.
    energy.recall(&checkpoint(&log(&["one"]), &AGENCIES, 0)).expect("known");
    signs_nothing(&mut energy, 13);
    // Started again it is no other.
    drop(energy);
    let mut energy = open_cosigner(&backup.folder, "energy");
    signs_nothing(&mut energy, 13);
    // Another agency's mirror has what it lacks.
    energy.catch_up(&published, city.cosigners[0].store()).expect("caught up");
    assert_eq!((code(&energy), energy.pending()), (None, Some(published.head())));
    assert_eq!(post(&mut energy, 18, &log(&["one", "three", "two"])), 422, "a fork");
    assert_eq!(post(&mut energy, 18, &log(&["one", "two", "three"])), 200);
    drop(energy);
    assert_eq!(code(&open_cosigner(&backup.folder, "energy")), None);
}

#[test]
fn an_empty_folder_is_behind_its_mark() {
    let (mut city, backup) = backed_up();
    drop(city.cosigners.remove(0));
    fs::remove_dir_all(&backup.folder).expect("removed");
    let mut energy = open_cosigner(&backup.folder, "energy");
    assert_eq!(code(&energy), Some("E_LEDGER_ROLLBACK"));
    assert_eq!(post(&mut energy, 0, &log(&["three"])), 503);
    energy.catch_up(&city.published(), city.cosigners[0].store()).expect("caught up");
    assert_eq!((code(&energy), energy.pending()), (None, Some(city.published().head())));
}

#[test]
fn what_only_this_agency_signed_is_not_forgotten_either() {
    let (mut city, backup) = backed_up();
    // As a witness it is ahead of any quorum.
    let ahead = log(&["one", "two", "three"]);
    assert_eq!(post(&mut city.cosigners[0], 18, &ahead), 200);
    let published = city.published();
    let mut energy = backup.put_back(&mut city);
    // What the quorum has is not enough, what the mark says is where it was.
    energy.catch_up(&published, city.cosigners[0].store()).expect("caught up");
    assert_eq!(energy.pending(), Some(checkpoint(&ahead, &[], 0).head()));
    let forked = log(&["one", "two", "four"]);
    assert!(post(&mut energy, 18, &forked) >= 400 && post(&mut energy, 23, &forked) >= 400);
    assert_eq!(post(&mut energy, 23, &log(&["one", "two", "three", "four"])), 200);
}

#[test]
fn a_folder_of_another_log_than_the_mark_signs_nothing_and_cannot_catch_up() {
    let (mut city, backup) = backed_up();
    let published = city.published();
    let other = city.folders.path().join("other");
    let mut forked = open_cosigner(&other, "energy");
    assert_eq!(post(&mut forked, 0, &log(&["two", "one"])), 200);
    drop((forked, city.cosigners.remove(0)));
    fs::remove_dir_all(&backup.folder).expect("removed");
    fs::rename(&other, &backup.folder).expect("moved");
    let mut energy = open_cosigner(&backup.folder, "energy");
    assert_eq!(code(&energy), Some("E_LEDGER_ROLLBACK"));
    assert_eq!(post(&mut energy, 18, &log(&["two", "one", "three"])), 503);
    assert!(energy.catch_up(&published, city.cosigners[0].store()).is_err());
    assert_eq!(code(&energy), Some("E_LEDGER_ROLLBACK"));
}

#[test]
fn without_its_mark_it_waits_for_what_a_quorum_cosigned() {
    let (mut city, backup) = backed_up();
    let published = city.published();
    fs::remove_file(backup.mark()).expect("a mark");
    city.reopen(0);
    assert_eq!(code(&city.cosigners[0]), Some("E_LEDGER_ROLLBACK"));
    assert!(city.cosigners[0].sure().expect_err("no").to_string().contains("energy.mark is missing"));
    assert!(post(&mut city.cosigners[0], 18, &log(&["one", "two", "three"])) == 503);
    // Not by what is older, not by what too few or strangers signed.
    let all = log(&["one", "two"]);
    for shown in [checkpoint(&log(&["one"]), &AGENCIES, 0), checkpoint(&all, &AGENCIES[..2], 0), checkpoint(&all, &[], 0)] {
        city.cosigners[0].recall(&shown).expect("it is known");
        assert_eq!(code(&city.cosigners[0]), Some("E_LEDGER_ROLLBACK"));
    }
    // It is in doubt after a crash still, until somebody shows it.
    city.reopen(0);
    assert!(!backup.mark().exists());
    city.cosigners[0].recall(&published).expect("known");
    assert_eq!(code(&city.cosigners[0]), None);
    city.append(&job("three"), 4_000);
    city.reopen(0);
    assert_eq!(code(&city.cosigners[0]), None, "it has a mark again");
}

/// What a cosigner says of itself is seen without opening it.
#[test]
fn a_look_at_a_folder_says_what_a_cosigner_opened_there_would() {
    let (mut city, backup) = backed_up();
    let looked = || Cosigner::look(&backup.folder, &log_key()).map_err(|error| error.to_string());
    assert_eq!(looked(), Ok(()), "one is at work there");
    let mark = fs::read(backup.mark()).expect("a mark");
    let put_back = |from: Option<&Path>, mark: Option<&[u8]>| {
        fs::remove_dir_all(&backup.folder).expect("removed");
        from.iter().for_each(|from| copy(from, &backup.folder));
        let _ = fs::remove_file(backup.mark());
        mark.iter().for_each(|mark| fs::write(backup.mark(), mark).expect("written"));
    };
    let whole = city.folders.path().join("whole");
    copy(&backup.folder, &whole);
    drop(city.cosigners.remove(0));
    for from in [Some(&whole), Some(&backup.copy), None] {
        for kept in [Some(&mark[..]), Some(&mark[..9]), None] {
            put_back(from.map(PathBuf::as_path), kept);
            let (seen, is_there) = (looked(), backup.folder.exists());
            assert_eq!(
                (looked(), is_there, fs::read(backup.mark()).ok().as_deref()),
                (seen.clone(), from.is_some(), kept),
                "nothing changed"
            );
            let opened = open_cosigner(&backup.folder, "energy").sure().map_err(|error| error.to_string());
            assert_eq!(seen, opened);
            assert_eq!(seen.is_ok(), kept == Some(&mark[..]) && from == Some(&whole) || kept.is_none() && from.is_none());
        }
    }
    let other = Cosigner::look(&city.folders.path().join("sequencer"), &log_key()).expect_err("no cosigner's");
    assert_eq!(other.code(), "E_LEDGER_CONFIG");
}

/// Whoever answers for the agency has shown it the checkpoint, and it signs nothing before it starts again.
#[test]
fn a_doubt_that_ended_is_settled_without_a_signature() {
    let (mut city, backup) = backed_up();
    let published = city.published();
    let mark = fs::read(backup.mark()).expect("a mark");
    for damaged in [None, Some(&mark[..9])] {
        fs::remove_file(backup.mark()).expect("a mark");
        damaged.iter().for_each(|bytes| fs::write(backup.mark(), bytes).expect("written"));
        city.reopen(0);
        assert_eq!(city.cosigners[0].settle().expect_err("nobody has shown it").code(), "E_LEDGER_ROLLBACK");
        assert_eq!(fs::read(backup.mark()).ok().as_deref(), damaged);
        city.cosigners[0].recall(&published).expect("known");
        assert!(city.cosigners[0].settle().expect("nothing is in doubt"));
        assert_eq!(fs::read(backup.mark()).expect("a mark again"), mark);
        assert!(!city.cosigners[0].settle().expect("nothing is in doubt"), "it has one");
        city.reopen(0);
        assert_eq!(code(&city.cosigners[0]), None);
    }
}

#[test]
fn a_folder_put_back_without_its_mark_is_found_out_by_the_quorum() {
    let (mut city, backup) = backed_up();
    let published = city.published();
    fs::remove_file(backup.mark()).expect("a mark");
    let mut energy = backup.put_back(&mut city);
    assert_eq!(code(&energy), Some("E_LEDGER_ROLLBACK"));
    signs_nothing(&mut energy, 13);
    assert_eq!(energy.recall(&published).expect_err("it cosigned more").code(), "E_LEDGER_ROLLBACK");
    signs_nothing(&mut energy, 13);
    energy.catch_up(&published, city.cosigners[0].store()).expect("caught up");
    assert_eq!(code(&energy), None);
}

/// Its mark was lost, and the quorum never came as far as it: whoever answers for the agency says that this is all.
#[test]
fn the_operator_can_say_that_an_older_quorum_is_the_last() {
    let (mut city, backup) = backed_up();
    let published = city.published();
    assert_eq!(post(&mut city.cosigners[0], 18, &log(&["one", "two", "three"])), 200);
    fs::remove_file(backup.mark()).expect("a mark");
    city.reopen(0);
    let [energy, transport, _] = &mut city.cosigners[..] else { panic!("three") };
    energy.recall(&published).expect("known");
    assert_eq!(code(energy), Some("E_LEDGER_ROLLBACK"));
    energy.catch_up(&published, transport.store()).expect("all it holds leads there");
    assert_eq!((code(energy), energy.pending().expect("known").size), (None, 23));
    city.reopen(0);
    assert_eq!(code(&city.cosigners[0]), None);
}

#[test]
fn what_was_recalled_without_a_mark_is_not_passed_over_for_an_older_checkpoint() {
    let (mut city, backup) = backed_up();
    let newest = city.published();
    let mut energy = backup.put_back(&mut city);
    drop(energy);
    fs::remove_file(backup.mark()).expect("a mark");
    energy = open_cosigner(&backup.folder, "energy");
    energy.recall(&newest).expect_err("it cosigned that");
    let older = checkpoint(&log(&["one"]), &AGENCIES, 0);
    assert!(energy.catch_up(&older, city.cosigners[0].store()).is_err());
    assert_eq!(code(&energy), Some("E_LEDGER_ROLLBACK"));
    energy.catch_up(&newest, city.cosigners[0].store()).expect("caught up");
    assert_eq!((code(&energy), energy.pending()), (None, Some(newest.head())));
}

#[test]
fn folders_beside_one_another_have_marks_of_their_own() {
    let log = vkey("x/y", KeyKind::Note);
    let marks = ["ledger", "ledger.2", "ledger.old"].map(|name| Mark::read(&Path::new("/nowhere").join(name), &log).expect("none").path());
    assert_eq!(marks, ["ledger.mark", "ledger.2.mark", "ledger.old.mark"].map(|name| Path::new("/nowhere").join(name)));
}

#[test]
fn a_torn_mark_is_no_mark() {
    let (mut city, backup) = backed_up();
    let published = city.published();
    let mark = fs::read(backup.mark()).expect("a mark");
    let mut flipped = mark.clone();
    let at = mark.len() / 2;
    flipped[at] ^= 1;
    let cuts = (0..mark.len()).step_by(7).map(|cut| mark[..cut].to_vec());
    let wrong = checkpoint_of("city.example/other", &log(&[]), &[], 0);
    let stranger = State { closed: None, pending: wrong.note().into(), validated: 8 };
    let stranger = crate::json::to_canonical(&stranger).expect("canonical").into_bytes();
    for torn in cuts.chain([flipped, stranger, vec![0; mark.len()]]) {
        drop(city.cosigners.remove(0));
        fs::write(backup.mark(), &torn).expect("written");
        let mut energy = open_cosigner(&backup.folder, "energy");
        assert_eq!(code(&energy), Some("E_LEDGER_ROLLBACK"), "{}", String::from_utf8_lossy(&torn));
        assert_eq!(post(&mut energy, 18, &log(&["one", "two", "three"])), 503);
        energy.recall(&published).expect("known");
        assert_eq!(code(&energy), None);
        city.cosigners.insert(0, energy);
    }
    // What a crash leaves beside it is nothing.
    drop(city.cosigners.remove(0));
    fs::write(backup.mark(), &mark).expect("written");
    fs::write(backup.folder.with_added_extension("mark.new"), &mark[..9]).expect("written");
    assert_eq!(code(&open_cosigner(&backup.folder, "energy")), None);
}

#[test]
fn a_hand_over_is_not_forgotten_with_the_folder() {
    let mut city = City::founded();
    let backup = Backup::take(&city);
    let statement = HandOver { previous: city.published().note().into(), key: vkey("city.example/second", KeyKind::Note) };
    city.cosigners[0].hand_over(&statement, None, "energy", &key("energy")).expect("signed");
    let mut energy = backup.put_back(&mut city);
    assert_eq!(code(&energy), None, "it knows of all that it cosigned");
    assert_eq!(post(&mut energy, 8, &log(&["one"])), 410);
    let elsewhere = HandOver { key: vkey("city.example/third", KeyKind::Note), ..statement };
    assert_eq!(energy.hand_over(&elsewhere, None, "energy", &key("energy")).expect_err("another").code(), "E_LEDGER_HANDOVER");
}

/// Of four agencies three are a quorum: the log goes on without the fourth, which has lost its mark meanwhile.
#[test]
fn what_a_quorum_signed_without_it_may_be_cosigned_and_nothing_else() {
    let agencies = ["energy", "transport", "health", "water"];
    let agency = |name: &str| Member {
        name: name.into(),
        organisation: name.into(),
        role: Role::Agency,
        standing: Standing::Admitted,
        key: vkey(name, KeyKind::Note),
        witness: Some(vkey(&format!("{name}/witness"), KeyKind::Cosignature)),
        validated: Some(vkey(&format!("{name}/validated"), KeyKind::Cosignature)),
    };
    let mut entries: Vec<String> = agencies.iter().map(|name| signed(Body::Member(Box::new(agency(name))), &[name])).collect();
    let open = |folder: &Path| {
        let founders = agencies.iter().map(|name| vkey(name, KeyKind::Note)).collect();
        open_cosigner_of(folder, "energy", Replay::new(log_key(), founders))
    };
    let folders = tempfile::TempDir::new().expect("a folder");
    let (folder, held) = (folders.path().join("energy"), folders.path().join("held"));
    let mut store = Store::open(&held, "other").expect("opened");
    store.append(&entries.iter().map(String::as_bytes).collect::<Vec<_>>(), None).expect("appended");
    let body = crate::wire::AddEntries::body(&store, ORIGIN, 0, 4).expect("a body");
    let answers = open(&folder).update(grown(0, &entries).as_bytes(), &body, 1);
    assert_eq!(answers.map(|answer| answer.status), [200, 200]);
    entries.extend(DATASETS.map(|dataset| contract(dataset, 1)));
    let quorum = checkpoint(&entries, &agencies[1..], 2);
    let beyond: Vec<String> = entries.iter().cloned().chain([contract(DATASETS[0], 2)]).collect();

    fs::remove_file(folder.with_added_extension("mark")).expect("a mark");
    let mut energy = open(&folder);
    assert_eq!(post(&mut energy, 4, &entries), 503);
    energy.recall(&quorum).expect("not its own");
    assert_eq!(post(&mut energy, 4, &beyond), 503, "more than the quorum has");
    assert_eq!(code(&energy), Some("E_LEDGER_ROLLBACK"));
    assert_eq!(post(&mut energy, 4, &entries), 200);
    assert_eq!((code(&energy), post(&mut energy, 6, &beyond)), (None, 200));
}
