//! The city's log, sequenced by the test: it may lie, too.

use super::*;
use ledger::checkpoint::{Checkpoint, Head};
use ledger::cosigner::NamedSigner;
use ledger::entry::Entry;
use ledger::key::{KeyKind, VerifierKey};
use ledger::policy::{Agency, Policy};
use ledger::sequencer::{Progress as Cosigned, Sequencer};
use party::contracts::Contracts;
use query::citylog;
use query::consent::Effective;
use query::joblog::{Compiled, QueryEntry};
use query::message::mirror::{self, FromMirror, Refused, Taken, ToMirror};
use query::plan::Plan;
use std::sync::MutexGuard;

pub const ORIGIN: &str = "test/ledger";

impl City {
    /// A city that keeps a log: empty but for its members.
    pub fn with_log() -> Self {
        let mut city = Self::new();
        let new_key = |file: &str| {
            let identity = Identity::generate().expect("randomness");
            identity.save(city.path(file)).expect("saved");
            identity.public()
        };
        let vkey = |name: &str, kind, key: mpc_core::identity::PublicKey| VerifierKey::new(name, kind, key.verifying_key()).expect("a key");
        let log = vkey(ORIGIN, KeyKind::Note, new_key("log.key"));
        let (mut agencies, mut members) = (Vec::new(), Vec::new());
        for name in PARTIES {
            let keys = ["witness", "validated"].map(|what| new_key(&format!("{name}.{what}.key")));
            members.push(citylog::member(name, name, &city.identity(name), Some(keys)).expect("an entry"));
            let [witness, validated] = [(citylog::witness_name(name), keys[0]), (citylog::validated_name(name), keys[1])]
                .map(|(name, key)| vkey(&name, KeyKind::Cosignature, key));
            agencies.push(Agency { name: name.into(), witness, validated });
        }
        members.push(citylog::member("office", "office", &city.planner, None).expect("an entry"));
        let policy = Policy::of_agencies(&log, &agencies, 3).expect("a policy");
        std::fs::write(city.path("city.policy"), policy.to_string()).expect("written");
        let beginning = citylog::beginning(&city.path("city.policy"), &city.roster, None).expect("a log");
        let signer: NamedSigner = citylog::signer(ORIGIN, KeyKind::Note, &city.path("log.key")).expect("its key");
        let mut sequencer = Sequencer::open(&city.path("log"), beginning, signer).expect("opened");
        for entry in &members {
            sequencer.submit(entry.as_bytes()).expect("a founder");
        }
        city.log = Some(Mutex::new(sequencer));
        city
    }

    pub fn sequencer(&self) -> MutexGuard<'_, Sequencer> {
        self.log.as_ref().expect("it keeps a log").lock().expect("not poisoned")
    }

    /// Waits until the log has all contracts and what all tables hold, and all have cosigned.
    pub async fn settled(&self, lines: &mut [Line]) {
        let settle = async {
            loop {
                // What a node wants to stand there comes by itself, with its answers.
                self.cosigned(lines).await;
                let sequencer = self.sequencer();
                let replay = sequencer.replay();
                let stated = replay.snapshots().len() == lines.len() && replay.contracts().count() == lines.len();
                if stated && replay.size() == sequencer.store().size() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, settle).await.expect("the log is settled")
    }

    /// Enters a step; says the checkpoint that all have cosigned.
    pub async fn enter(&self, lines: &mut [Line], entries: &[String]) -> String {
        let entries: Vec<&[u8]> = entries.iter().map(String::as_bytes).collect();
        self.sequencer().submit_step(&entries).unwrap_or_else(|error| panic!("{}: {error}", error.code()));
        self.cosigned(lines).await
    }

    /// Has all cosign what there is.
    pub async fn cosigned(&self, lines: &mut [Line]) -> String {
        self.sequencer().seal().expect("sealed");
        let cosign = async {
            for line in lines.iter_mut() {
                while !self.updated(line).await {}
            }
        };
        tokio::time::timeout(PATIENCE, cosign).await.expect("all cosign");
        self.sequencer().published().expect("a quorum cosigned").note().to_owned()
    }

    async fn updated(&self, line: &mut Line) -> bool {
        let [checkpoint, entries] = self.sequencer().update_for(PARTIES[line.party]).expect("an update");
        for frame in mirror::frames(checkpoint, entries, None) {
            line.say(&ToParty::Ledger(frame)).await;
        }
        loop {
            match line.frame().await {
                FromParty::Ledger(FromMirror::Answer(answer)) => {
                    let [witness, validated] = [&answer.witness, &answer.validated].map(|reply| (reply.status, reply.body.0.as_slice()));
                    let told = self.sequencer().answered(PARTIES[line.party], witness, validated);
                    return told.unwrap_or_else(|error| panic!("{error}")) == Cosigned::Done;
                }
                said => self.keep(line, said).await,
            }
        }
    }

    /// Takes what is the log's; what is not waits to be heard.
    pub(super) async fn keep(&self, line: &mut Line, said: FromParty) {
        match said {
            FromParty::Ledger(FromMirror::Entry(signed)) => {
                let refused = self.sequencer().submit(signed.note.as_bytes()).err().map(|error| Refused::new(error.code(), error));
                let entry = Entry::parse(signed.note.as_bytes()).expect("an entry").id;
                line.say(&ToParty::Ledger(ToMirror::Entry(Taken { entry, refused }))).await;
            }
            FromParty::Ledger(_) => {}
            other => line.waiting.push_back(other),
        }
    }

    /// The planner's entry about a query, but for what is changed; signed by the planner, or by somebody else.
    pub fn entry(&self, note: &str, change: impl FnOnce(&mut ledger::entry::Query), by: Option<&Identity>) -> QueryEntry {
        let (query, plan, effective) = self.protected(note);
        let compiled = Compiled { job: QueryId::of(note), query: &query, plan_hash: Hash(plan.hash()), effective: &effective };
        let salt = query.nonce;
        let entry = compiled.entry(PARTIES.into_iter(), |dataset| self.sequencer().replay().snapshot(dataset), salt);
        let mut entry = entry.expect("all tables have snapshots");
        change(&mut entry);
        let signed = Body::Query(entry).sign("office", by.unwrap_or(&self.planner).signing_key()).expect("signed");
        QueryEntry { entry: signed, salt }
    }

    /// A query, and the plan that the contracts which all share make of it.
    pub fn protected(&self, note: &str) -> (Query, Plan, Effective) {
        let query = Query::open(note, "office", &self.planner.public()).expect("signed");
        let asked = compile(&query.sql, &self.catalog).expect("a plan");
        let catalog = Arc::new(self.catalog.clone());
        let contracts =
            Contracts::open(&self.path("contracts"), self.folder.path(), PARTIES[0], self.roster.clone(), catalog).expect("contracts");
        let (effective, _) = contracts.admit(&asked, &query, &[], now()).expect("allowed");
        let plan = effective.plan(asked, &query.sql, &self.catalog, query.epsilon).expect("a plan");
        (query, plan, effective)
    }

    /// The checkpoint of a head as the log and these agencies' cosigners sign it at a time: the test has all keys.
    pub fn checkpoint(&self, head: &Head, agencies: &[&str], time: u64) -> String {
        let mut note = head.sign(self.identity("log").signing_key()).expect("signed").note().to_owned();
        for name in agencies {
            for (cosigner, file) in [(citylog::witness_name(name), "witness"), (citylog::validated_name(name), "validated")] {
                let key = self.identity(&format!("{name}.{file}"));
                note += &format!("{}\n", head.cosign(&cosigner, key.signing_key(), time).expect("cosigned"));
            }
        }
        Checkpoint::parse(&note).expect("a checkpoint").note().to_owned()
    }
}
