//! A node's mirror: one that starts again, with its folder as it left it or put back; and one whose coordinator says too much.

use super::*;
use ledger::bytes::Base64;
use ledger::key::{KeyKind, VerifierKey};
use ledger::policy::{Agency, Policy};
use ledger::sequencer::{Progress, Sequencer};
use mpc_core::identity::Identity;
use mpc_core::roster::{Node, Planner, Role};
use query::message::mirror::MAX_PART;
use std::fs;

const ORIGIN: &str = "test/ledger";
const AGENCIES: [&str; 3] = ["transport", "energy", "health"];

/// A city's files, its log, and the mirrors of two agencies that stay up.
struct City {
    folder: tempfile::TempDir,
    roster: Roster,
    sequencer: Sequencer,
    others: Vec<Mirror>,
    more: Vec<String>,
}

impl City {
    /// A log with its founders in it, not yet cosigned by anybody.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = |file: &str| {
            let identity = Identity::generate().expect("randomness");
            identity.save(folder.path().join(format!("{file}.key"))).expect("saved");
            identity
        };
        let vkey = |name: &str, kind, key: &Identity| VerifierKey::new(name, kind, key.public().verifying_key()).expect("a name of a key");
        let log = vkey(ORIGIN, KeyKind::Note, &key("log"));
        let (mut agencies, mut members, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
        let node = |name: &str, role, key: &Identity| Node {
            name: name.into(),
            role,
            key: key.public(),
            addr: format!("{name}.invalid:1"),
            api: (role == Role::Coordinator).then(|| "http://127.0.0.1:1".into()),
        };
        let office = key("office");
        for name in AGENCIES {
            let [own, witness, validated] =
                [name.to_owned(), format!("{name}.witness"), format!("{name}.validated")].map(|name| key(&name));
            let entry = citylog::member(name, name, &own, Some([witness.public(), validated.public()])).expect("an entry");
            members.push(entry);
            nodes.push(node(name, Role::Party, &own));
            let [witness, validated] = [(citylog::witness_name(name), witness), (citylog::validated_name(name), validated)]
                .map(|(name, key)| vkey(&name, KeyKind::Cosignature, &key));
            agencies.push(Agency { name: name.into(), witness, validated });
        }
        nodes.push(node("coordinator", Role::Coordinator, &key("coordinator")));
        let roster = Roster::new("Test".into(), nodes, vec![Planner { name: "office".into(), key: office.public() }]).expect("a roster");
        let policy = folder.path().join("city.policy");
        fs::write(&policy, Policy::of_agencies(&log, &agencies, 3).expect("a policy").to_string()).expect("written");
        let beginning = citylog::beginning(&policy, &roster, None).expect("a log");
        let signer = citylog::signer(ORIGIN, KeyKind::Note, &folder.path().join("log.key")).expect("its key");
        let mut sequencer = Sequencer::open(&folder.path().join("log"), beginning, signer).expect("opened");
        for entry in &members {
            sequencer.submit(entry.as_bytes()).expect("a founder");
        }
        sequencer.seal().expect("sealed");
        let more = vec![citylog::member("office", "office", &office, None).expect("an entry")];
        let mut city = Self { folder, roster, sequencer, others: Vec::new(), more };
        city.others = AGENCIES[1..].iter().map(|name| city.open(name)).collect();
        city
    }

    fn ledger(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).join("ledger")
    }

    fn open(&self, name: &str) -> Mirror {
        Mirror::open(name, &self.config(name), &self.roster).expect("opened")
    }

    fn config(&self, name: &str) -> LedgerConfig {
        let at = |file: String| self.folder.path().join(file);
        LedgerConfig {
            policy: at("city.policy".into()),
            witness: at(format!("{name}.witness.key")),
            validated: at(format!("{name}.validated.key")),
            folder: self.ledger(name),
            before: None,
        }
    }

    /// What the coordinator sends an agency.
    fn update_for(&self, name: &str, published: bool) -> (Update, Vec<u8>) {
        let [checkpoint, entries] = self.sequencer.update_for(name).expect("an update");
        let published = self.sequencer.published().filter(|_| published).map(|checkpoint| checkpoint.note().to_owned());
        let checkpoint = String::from_utf8(checkpoint).expect("text");
        (Update { checkpoint, entries: Base64(Vec::new()), published }, entries)
    }

    /// Has a mirror cosign what there is; says how it answered at last.
    fn cosigned(&mut self, name: &str, mirror: &Mirror, published: bool) -> [u16; 2] {
        loop {
            let (update, entries) = self.update_for(name, published);
            let answers = mirror.update(&update, &entries, 1_000);
            let [witness, validated] = [&answers[0], &answers[1]].map(|answer| (answer.status, answer.body.as_slice()));
            if !matches!(self.sequencer.answered(name, witness, validated), Ok(Progress::Again)) {
                return answers.map(|answer| answer.status);
            }
        }
    }

    /// All cosign what there is.
    fn publish(&mut self, mirror: &Mirror) {
        for (at, name) in AGENCIES.iter().enumerate() {
            let mirror = if at == 0 { mirror.clone() } else { self.others[at - 1].clone() };
            assert_eq!(self.cosigned(name, &mirror, true), [200, 200], "{name}");
        }
        assert_eq!(self.sequencer.published().map(|checkpoint| checkpoint.head()), Some(self.sequencer.head()));
    }

    /// The log grows by an entry.
    fn grow(&mut self) {
        let entry = self.more.pop().expect("there is one more");
        self.sequencer.submit(entry.as_bytes()).expect("it may stand");
        self.sequencer.seal().expect("sealed");
    }
}

/// A city whose log has grown since the first agency's folder and mark were put away.
fn backed_up() -> (City, PathBuf) {
    let mut city = City::new();
    let mirror = city.open(AGENCIES[0]);
    city.publish(&mirror);
    let (state, backup) = (city.folder.path().join(AGENCIES[0]), city.folder.path().join("backup"));
    copy(&state, &backup);
    city.grow();
    city.publish(&mirror);
    (city, backup)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for item in fs::read_dir(from).expect("a folder").map(|item| item.expect("an item").path()) {
        let target = to.join(item.file_name().expect("a name"));
        match item.is_dir() {
            true => copy(&item, &target),
            false => assert!(fs::copy(&item, target).is_ok()),
        }
    }
}

fn put_back(city: &City, backup: &Path, whole: bool) {
    let state = city.folder.path().join(AGENCIES[0]);
    let mark = fs::read(state.join("ledger.mark")).expect("a mark");
    fs::remove_dir_all(&state).expect("removed");
    copy(backup, &state);
    if !whole {
        fs::write(state.join("ledger.mark"), mark).expect("written");
    }
}

fn trouble(mirror: &Mirror) -> String {
    mirror.summary().trouble.unwrap_or_default()
}

#[test]
fn a_node_that_starts_again_cosigns_for_nobody_before_the_coordinator_has_told_what_a_quorum_cosigned() {
    let mut city = City::new();
    let mirror = city.open(AGENCIES[0]);
    let body = |city: &City| city.update_for(AGENCIES[0], true).0.checkpoint.into_bytes();
    // At its first start there is nothing it could have forgotten.
    assert_eq!(mirror.post(Posted::Checkpoint, &body(&city), 1_000).status, 200);
    // Killed while the city is founded, when no quorum has cosigned anything yet, it goes on.
    drop(mirror);
    let mirror = city.open(AGENCIES[0]);
    city.publish(&mirror);
    drop(mirror);
    for published in [true, false] {
        let mirror = city.open(AGENCIES[0]);
        for posted in [Posted::Checkpoint, Posted::Entries] {
            let refused = mirror.post(posted, &body(&city), 1_000);
            let text = String::from_utf8_lossy(&refused.body).into_owned();
            assert!(refused.status == 503 && text.starts_with("E_LEDGER_BEHIND: ") && text.contains("\nfix: "), "{text}");
        }
        assert_eq!(city.cosigned(AGENCIES[0], &mirror, published), [200, 200]);
        assert_eq!(mirror.post(Posted::Checkpoint, &body(&city), 1_000).status, 200);
        assert_eq!(trouble(&mirror), "");
    }
}

#[test]
fn a_node_whose_folder_alone_was_put_back_needs_nobody_to_tell_it() {
    let (mut city, backup) = backed_up();
    put_back(&city, &backup, false);
    let mirror = city.open(AGENCIES[0]);
    assert!(trouble(&mirror).starts_with("E_LEDGER_ROLLBACK: "), "{}", trouble(&mirror));
    assert_eq!(mirror.look(|_| ()).expect_err("it takes no part").code, "E_LEDGER_ROLLBACK");
    // Whatever the coordinator says, or does not say.
    assert_eq!(city.cosigned(AGENCIES[0], &mirror, false), [503, 503]);
    let (update, _) = city.update_for(AGENCIES[0], false);
    assert_eq!(mirror.post(Posted::Checkpoint, update.checkpoint.as_bytes(), 1_000).status, 503);
}

#[test]
fn a_node_without_its_mark_waits_for_the_quorum_and_goes_on_by_itself() {
    let (mut city, _) = backed_up();
    for damaged in [None, Some("{\"closed\":null,")] {
        let mark = city.ledger(AGENCIES[0]).with_added_extension("mark");
        fs::remove_file(&mark).expect("a mark");
        damaged.iter().for_each(|text| fs::write(&mark, text).expect("written"));
        let mirror = city.open(AGENCIES[0]);
        assert!(trouble(&mirror).contains("ledger.mark is missing or damaged"), "{}", trouble(&mirror));
        assert_eq!(city.cosigned(AGENCIES[0], &mirror, false), [503, 503], "a coordinator that tells nothing");
        assert!(trouble(&mirror).starts_with("E_LEDGER_ROLLBACK: "), "{}", trouble(&mirror));
        assert_eq!(city.cosigned(AGENCIES[0], &mirror, true), [200, 200]);
        assert_eq!(trouble(&mirror), "");
        drop(mirror);
        let mirror = city.open(AGENCIES[0]);
        assert_eq!(city.cosigned(AGENCIES[0], &mirror, false), [200, 200], "it has a mark again");
    }
}

#[test]
fn a_node_whose_whole_state_was_put_back_is_told_by_its_own_cosignature() {
    let (mut city, backup) = backed_up();
    put_back(&city, &backup, true);
    let mirror = city.open(AGENCIES[0]);
    assert_eq!(trouble(&mirror), "", "nothing here says so");
    let (update, _) = city.update_for(AGENCIES[0], true);
    assert_eq!(mirror.post(Posted::Checkpoint, update.checkpoint.as_bytes(), 1_000).status, 503, "it waits to be told");
    assert_eq!(city.cosigned(AGENCIES[0], &mirror, true), [503, 503]);
    assert!(trouble(&mirror).starts_with("E_LEDGER_ROLLBACK: "), "{}", trouble(&mirror));
    assert_eq!(city.cosigned(AGENCIES[0], &mirror, false), [503, 503], "it does not forget again");
}

#[test]
fn a_node_that_would_cosign_nothing_is_seen_before_it_starts() {
    let (city, backup) = backed_up();
    let looked = || look(AGENCIES[0], &city.config(AGENCIES[0]), &city.roster).expect("its keys are the policy's");
    let told = |refused: Option<Refused>| refused.map(|refused| refused.to_string()).unwrap_or_default();
    let fine = looked();
    assert_eq!((fine.origin.as_str(), fine.halted, fine.in_doubt), (ORIGIN, None, None));
    let mark = city.ledger(AGENCIES[0]).with_added_extension("mark");
    let kept = fs::read(&mark).expect("a mark");
    fs::remove_file(&mark).expect("removed");
    let unmarked = looked();
    assert_eq!(unmarked.halted, None);
    assert!(told(unmarked.in_doubt).contains("ledger.mark is missing or damaged"));
    fs::write(&mark, kept).expect("written");
    put_back(&city, &backup, false);
    assert!(told(looked().halted).contains("its ledger was rolled back"));
    fs::write(city.ledger(AGENCIES[0]).with_added_extension("fork"), "another log's checkpoint").expect("written");
    assert!(told(looked().halted).starts_with("E_LEDGER_FORK: "));
}

#[test]
fn a_coordinator_that_says_more_than_it_has_to_is_not_kept_in_memory() {
    assert!(MAX_ADD_ENTRIES.div_ceil(MAX_PART) + ASKS < QUEUED, "an honest one is heard");
    let (go_on, held) = mpsc::channel::<()>();
    let (count, counted) = mpsc::channel();
    let worker = Worker::doing(move |work| {
        // an error: the test is over
        let _ = held.recv();
        let _ = count.send(matches!(work, Work::Said(..)));
    });
    let worker = worker.expect("a thread");
    (0..10 * QUEUED).for_each(|_| worker.said(ToMirror::Part(Base64(vec![0; 10]))));
    worker.connected();
    drop((go_on, worker));
    let heard: Vec<bool> = counted.into_iter().collect();
    assert_eq!(heard.iter().filter(|said| **said).count(), QUEUED);
    assert_eq!(heard.last(), Some(&false), "what this node has to do itself is done");
}
