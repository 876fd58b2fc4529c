use super::*;
use crate::testing::{PARTIES, PLAN, PLANNER, identity, roster};
use ledger::cosigner::Cosigner;
use ledger::entry::{self, Body, Contract};
use ledger::key::VerifierKey;
use ledger::policy::{Agency, Policy};
use query::message::mirror::{Parts, Reply};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const ORIGIN: &str = "demo/ledger";
const NOW: u64 = 1_800_000_000;

/// A city's files, and its log.
struct Site {
    folder: TempDir,
    ledger: Ledger,
    epoch: u64,
}

/// An agency at the end of its line.
struct Mirror {
    party: usize,
    epoch: u64,
    cosigner: Cosigner,
    line: mpsc::Receiver<ToParty>,
    parts: Parts,
}

fn public(name: &str, kind: KeyKind) -> VerifierKey {
    VerifierKey::new(name, kind, identity(name).public().verifying_key()).expect("a key")
}

fn contract(n: u64) -> Vec<u8> {
    let terms = serde_json::json!({"dataset": "energy.buildings", "nonce": n});
    let body = Body::Contract(Contract { dataset: "energy.buildings".into(), terms });
    body.sign("energy", identity("energy").signing_key()).expect("signed").into()
}

fn config(folder: &TempDir) -> LedgerConfig {
    let at = |name: &str| folder.path().join(name);
    LedgerConfig { key: at("log.key"), policy: at("city.policy"), founding: at("founding"), folder: at("log"), before: None }
}

/// What `tacit init` makes.
fn files() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    identity(ORIGIN).save(at("log.key")).expect("saved");
    std::fs::create_dir(at("founding")).expect("made");
    let mut agencies = Vec::new();
    for name in PARTIES {
        let [witness, validated] = [citylog::witness_name(name), citylog::validated_name(name)];
        let entry = citylog::member(name, name, &identity(name), Some([identity(&witness).public(), identity(&validated).public()]));
        std::fs::write(at(&format!("founding/{name}.entry")), entry.expect("an entry")).expect("written");
        for key in [&witness, &validated] {
            identity(key).save(at(&key.replace('/', "-"))).expect("saved");
        }
        let key = |name: &str| public(name, KeyKind::Cosignature);
        agencies.push(Agency { name: name.into(), witness: key(&witness), validated: key(&validated) });
    }
    let entry = citylog::member(PLANNER, PLANNER, &identity(PLANNER), None).expect("an entry");
    std::fs::write(at("founding/planner.entry"), entry).expect("written");
    let policy = Policy::of_agencies(&public(ORIGIN, KeyKind::Note), &agencies, 3).expect("a policy");
    std::fs::write(at("city.policy"), policy.to_string()).expect("written");
    folder
}

impl Site {
    fn open() -> Self {
        let folder = files();
        let ledger = start(&config(&folder), &roster()).expect("started");
        Self { folder, ledger, epoch: 0 }
    }

    fn cosigner(&self, party: usize) -> Cosigner {
        let name = PARTIES[party];
        let key = |name: String| {
            let file = self.folder.path().join(name.replace('/', "-"));
            citylog::signer(&name, KeyKind::Cosignature, &file).expect("a key")
        };
        let [witness, validated] = [key(citylog::witness_name(name)), key(citylog::validated_name(name))];
        let beginning = citylog::beginning(&self.folder.path().join("city.policy"), &roster(), None).expect("a log");
        Cosigner::open(&self.folder.path().join(name), beginning, witness, validated).expect("opened")
    }

    /// An agency connects, and shows what it holds.
    async fn connect(&mut self, party: usize) -> Mirror {
        self.epoch += 1;
        let (to_party, line) = mpsc::channel(8);
        self.ledger.connected(party, self.epoch, to_party).await;
        let mirror = Mirror { party, epoch: self.epoch, cosigner: self.cosigner(party), line, parts: Parts::default() };
        let checkpoint = mirror.cosigner.pending_checkpoint().map(|checkpoint| checkpoint.note().to_owned());
        mirror.says(&self.ledger, FromMirror::Held(Held { checkpoint })).await;
        mirror
    }

    /// All three connect, and cosign what they are sent.
    async fn connect_all(&mut self) -> Vec<JoinHandle<Mirror>> {
        let mut mirrors = Vec::new();
        for party in 0..PARTIES.len() {
            mirrors.push(self.connect(party).await.serve(self.ledger.clone()));
        }
        mirrors
    }
}

impl Mirror {
    /// Cosigns until the line ends.
    fn serve(mut self, ledger: Ledger) -> JoinHandle<Mirror> {
        tokio::spawn(async move {
            while let Some(answer) = self.answer().await {
                self.says(&ledger, answer).await;
            }
            self
        })
    }

    /// The answer to the next update.
    async fn answer(&mut self) -> Option<FromMirror> {
        loop {
            match self.line.recv().await? {
                ToParty::Ledger(ToMirror::Part(part)) => self.parts.add(&part.0),
                ToParty::Ledger(ToMirror::Update(update)) => {
                    let entries = self.parts.end(&update.entries.0);
                    let answers = self.cosigner.update(update.checkpoint.as_bytes(), &entries, NOW);
                    let [witness, validated] = answers.map(Reply::from);
                    return Some(FromMirror::Answer(Answer { witness, validated }));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    async fn says(&self, ledger: &Ledger, said: FromMirror) {
        ledger.said(self.party, self.epoch, said).await;
    }
}

#[tokio::test]
async fn entries_stand_once_a_quorum_cosigned_and_stay_over_a_restart() {
    let mut site = Site::open();
    let mirrors = site.connect_all().await;
    assert_eq!(site.ledger.submit(contract(0)).await, Ok(4), "behind the four founders");
    let refused = site.ledger.submit(contract(0)).await.expect_err("it stands there");
    assert_eq!(refused.code, "E_LEDGER_REPLAY");
    assert_eq!(site.ledger.submit(b"nonsense".to_vec()).await.expect_err("no entry").code, "E_LEDGER_ENTRY");
    let status = site.ledger.status().await.expect("it runs");
    assert_eq!((status.size, status.published, status.quorum, &status.trouble), (5, Some(5), 3, &None));
    assert!(metrics(&status).contains("\ntacit_ledger_cosigned_entries 5\n"));
    let checkpoint = site.ledger.get("checkpoint".into()).await.expect("it runs");
    assert!(checkpoint.status == 200 && checkpoint.body.starts_with(b"demo/ledger\n5\n"));

    site.ledger.stop().await;
    for mirror in mirrors {
        drop(mirror.await.expect("its line ended"));
    }
    site.ledger = start(&config(&site.folder), &roster()).expect("started again");
    let mirrors = site.connect_all().await;
    assert_eq!(site.ledger.submit(contract(1)).await, Ok(5));
    site.ledger.stop().await;
    let mut roots = Vec::new();
    for mirror in mirrors {
        roots.push(mirror.await.expect("its line ended").cosigner.store().root());
    }
    assert!(roots.iter().all(|root| *root == roots[0]));
}

#[tokio::test]
async fn a_step_of_a_job_waits_for_every_agency_and_has_receipts() {
    let mut site = Site::open();
    let mirrors = site.connect_all().await;
    site.ledger.submit(contract(0)).await.expect("it stands");
    let job = QueryId(Hash([5; 32]));
    let signed = |body: &Body| {
        let copies = PARTIES.map(|name| body.sign(name, identity(name).signing_key()).expect("signed"));
        entry::join(copies.iter().map(String::as_str)).expect("one text")
    };
    let start = signed(&Body::Start(entry::Start { job: job.0, attempt: 1, plan_hash: PLAN }));
    let result = |result| signed(&Body::Result(entry::Outcome { job: job.0, attempt: 1, result }));
    let checkpoint = site.ledger.enter(vec![crate::testing::entry(job).entry, start]).await.expect("it stands");
    assert!(checkpoint.starts_with("demo/ledger\n7\n") && checkpoint.matches("validated").count() == 3, "{checkpoint}");
    assert_eq!(site.ledger.places(job).await, Some(Places { query: 5, result: None }));
    assert_eq!(site.ledger.receipts(job).await, None);
    let standing = site.ledger.standing(None).await.expect("it is open");
    assert_eq!((standing.contracts, standing.snapshots.len()), (vec![String::from_utf8(contract(0)).expect("text")], 0));
    site.ledger.enter(vec![result(PLAN)]).await.expect("it stands");
    site.ledger.enter(vec![result(PLAN)]).await.expect("it stands already");
    assert_eq!(site.ledger.enter(vec![result(Hash([1; 32]))]).await.expect_err("another").code, "E_LEDGER_RULE");
    let policy: Policy = std::fs::read_to_string(site.folder.path().join("city.policy")).expect("read").parse().expect("a policy");
    let receipts = site.ledger.receipts(job).await.expect("it is done");
    for (receipted, index) in [(&receipts.query, 5), (&receipts.result, 7)] {
        let receipt: ledger::receipt::Receipt = receipted.receipt.parse().expect("a receipt");
        receipt.verify(receipted.entry.as_bytes(), &policy, None).expect("it proves");
        assert_eq!(receipt.index, index);
    }
    site.ledger.stop().await;
    for mirror in mirrors {
        drop(mirror.await.expect("its line ended"));
    }
}

#[tokio::test]
async fn a_slow_agency_holds_up_no_batch_and_its_late_answer_is_passed_over() {
    let mut site = Site::open();
    let mut slow = site.connect(2).await;
    let quick = [site.connect(0).await.serve(site.ledger.clone()), site.connect(1).await.serve(site.ledger.clone())];
    let late = slow.answer().await.expect("asked about the founders");
    let entering = tokio::spawn({
        let ledger = site.ledger.clone();
        async move { ledger.submit(contract(0)).await }
    });
    while site.ledger.status().await.expect("it runs").size < 5 {
        tokio::task::yield_now().await;
    }
    slow.says(&site.ledger, late).await;
    let slow = slow.serve(site.ledger.clone());
    assert_eq!(entering.await.expect("no panic"), Ok(4));
    assert_eq!(site.ledger.status().await.expect("it runs").trouble, None);
    site.ledger.stop().await;
    for mirror in quick.into_iter().chain([slow]) {
        assert_eq!(mirror.await.expect("its line ended").cosigner.store().size(), 5);
    }
}

#[tokio::test]
async fn a_log_that_forgot_signs_nothing() {
    let mut site = Site::open();
    let mirrors = site.connect_all().await;
    site.ledger.submit(contract(0)).await.expect("it stands");
    site.ledger.stop().await;
    for mirror in mirrors {
        drop(mirror.await.expect("its line ended"));
    }
    std::fs::remove_dir_all(site.folder.path().join("log")).expect("removed");
    site.ledger = start(&config(&site.folder), &roster()).expect("started from nothing");
    let _mirror = site.connect(0).await;
    let refused = site.ledger.submit(contract(1)).await.expect_err("it signed five entries before");
    assert_eq!(refused.code, "E_LEDGER_ROLLBACK");
    let status = site.ledger.status().await.expect("it runs");
    assert!(status.size == 0 && status.trouble.expect("it is said").starts_with("E_LEDGER_ROLLBACK: "));
}

#[test]
fn what_a_log_cannot_begin_with_is_named() {
    let folder = files();
    let whole = config(&folder);
    let empty = tempfile::tempdir().expect("a folder");
    let foreign = empty.path().join("foreign");
    std::fs::create_dir(&foreign).expect("made");
    std::fs::write(foreign.join("a.entry"), contract(0)).expect("written");
    for (config, says) in [
        (LedgerConfig { policy: empty.path().join("city.policy"), ..whole.clone() }, "city.policy"),
        (LedgerConfig { policy: folder.path().join("log.key"), ..whole.clone() }, "log.key"),
        (LedgerConfig { key: empty.path().join("log.key"), ..whole.clone() }, "log.key"),
        (LedgerConfig { key: folder.path().join("energy-witness"), ..whole.clone() }, "E_LEDGER_CONFIG"),
        (LedgerConfig { founding: empty.path().into(), ..whole.clone() }, "no agency's entry is there"),
        (LedgerConfig { founding: foreign, ..whole.clone() }, "a.entry: E_LEDGER_SIGNATURE"),
    ] {
        let error = start(&config, &roster()).map(|_| ()).expect_err(says);
        assert!(error.contains(says), "{error}");
    }
    start(&whole, &roster()).map(|_| ()).expect("nothing stands in the way of what is right");
}
