//! Jobs that stand on a log, from the question's entry to the result's: nodes with mirrors of what this test sequences. A contract is revoked at every message of such a job, and between the steps that
//! are entered; nothing opens, nothing of the answer is kept, and the log has the revocation and the end.

use super::*;
use crate::config::LedgerConfig;
use crate::ledger::Worker;
use crate::{joblog, snapshot};
use ledger::entry::join;
use ledger::key::{KeyKind, VerifierKey};
use ledger::policy::{Agency, Policy};
use ledger::replay::{Job, Phase};
use ledger::sequencer::{Progress, Sequencer};
use query::citylog;
use query::joblog::{Compiled, QueryEntry};
use query::message::frame::FromParty;
use query::message::mirror::{Answer, FromMirror, ToMirror, frames};
use std::sync::mpsc::{Receiver, channel};
use tokio::runtime::Runtime;

const ORIGIN: &str = "test/ledger";

/// A city whose nodes keep the log that is sequenced here.
struct OnLog {
    city: Arc<City>,
    sequencer: Sequencer,
    /// The nodes' mirrors, and what each answers.
    mirrors: Vec<(Worker, Receiver<Answer>)>,
    /// For what waits a limited time.
    runtime: Runtime,
}

impl OnLog {
    fn new(sql: &'static str) -> Self {
        let mut city = City::new(None, sql);
        let new_key = |file: &str| {
            let identity = Identity::generate().expect("randomness");
            identity.save(city.folder.path().join(file)).expect("saved");
            identity.public()
        };
        let vkey = |name: &str, kind, key: mpc_core::identity::PublicKey| VerifierKey::new(name, kind, key.verifying_key()).expect("a key");
        let log = vkey(ORIGIN, KeyKind::Note, new_key("log.key"));
        let (mut agencies, mut founders) = (Vec::new(), Vec::new());
        for (name, ..) in TABLES {
            let keys = ["witness", "validated"].map(|what| new_key(&format!("{name}.{what}.key")));
            founders.push(citylog::member(name, name, &identity(name), Some(keys)).expect("an entry"));
            let names = [citylog::witness_name(name), citylog::validated_name(name)];
            let [witness, validated] = [0, 1].map(|at| vkey(&names[at], KeyKind::Cosignature, keys[at]));
            agencies.push(Agency { name: name.into(), witness, validated });
        }
        founders.push(citylog::member("office", "office", &identity("office"), None).expect("an entry"));
        let policy = city.folder.path().join("city.policy");
        std::fs::write(&policy, Policy::of_agencies(&log, &agencies, 3).expect("a policy").to_string()).expect("written");
        let beginning = citylog::beginning(&policy, city.desks[0].grounds.roster(), None).expect("a log");
        let signer = citylog::signer(ORIGIN, KeyKind::Note, &city.folder.path().join("log.key")).expect("its key");
        let mut sequencer = Sequencer::open(&city.folder.path().join("log"), beginning, signer).expect("opened");
        for entry in &founders {
            sequencer.submit(entry.as_bytes()).expect("a founder");
        }
        let (mut mirrors, mut entries) = (Vec::new(), Vec::new());
        for ((name, table, _), desk) in TABLES.iter().zip(&mut city.desks) {
            let at = |file: String| city.folder.path().join(file);
            let config = LedgerConfig {
                policy: policy.clone(),
                witness: at(format!("{name}.witness.key")),
                validated: at(format!("{name}.validated.key")),
                folder: at(format!("{name}.state/ledger")),
                before: None,
            };
            let mirror = Mirror::open(name, &config, desk.grounds.roster()).expect("opened");
            let state = super::config(city.folder.path(), name, table).state;
            let holds = snapshot::entries(name, &desk.identity, desk.grounds.catalog(), &desk.sources, &state).expect("snapshots");
            mirror.holds(&holds);
            // contracts are in the folder that all share: each hands in its own
            entries.extend(crate::ledger::consents(desk.grounds.contracts().folder(), name).into_iter().chain(holds));
            let (answer, answers) = channel();
            let worker = Worker::start(mirror.clone(), move |said| {
                if let FromParty::Ledger(FromMirror::Answer(said)) = said {
                    // an error: the test is over
                    let _ = answer.send(said);
                }
            });
            mirrors.push((worker.expect("a thread"), answers));
            Arc::get_mut(desk).expect("nothing runs").mirror = Some(mirror);
        }
        let mut city = Self { city: Arc::new(city), sequencer, mirrors, runtime: Runtime::new().expect("a runtime") };
        entries.iter().for_each(|entry| drop(city.enter(std::slice::from_ref(entry))));
        city
    }

    /// Enters a step, which all cosign; says the checkpoint.
    fn enter(&mut self, step: &[String]) -> String {
        self.sequenced(step).unwrap_or_else(|code| panic!("{code}"))
    }

    /// The same, or the code of why it may not stand.
    fn sequenced(&mut self, step: &[String]) -> Result<String, &'static str> {
        let entries: Vec<&[u8]> = step.iter().map(String::as_bytes).collect();
        self.sequencer.submit_step(&entries).map_err(|error| error.code())?;
        self.sequencer.seal().expect("sealed");
        for (at, (worker, answers)) in self.mirrors.iter().enumerate() {
            let name = TABLES[at].0;
            loop {
                let [checkpoint, entries] = self.sequencer.update_for(name).expect("an update");
                frames(checkpoint, entries, None).into_iter().for_each(|frame: ToMirror| worker.said(frame));
                let answer = answers.recv().expect("an answer");
                let [witness, validated] = [&answer.witness, &answer.validated].map(|reply| (reply.status, reply.body.0.as_slice()));
                if self.sequencer.answered(name, witness, validated).expect("in order") == Progress::Done {
                    break;
                }
            }
        }
        Ok(self.sequencer.published().expect("a quorum cosigned").note().to_owned())
    }

    /// A new contract of the owner, in all folders and on the log.
    fn put_contract(&mut self) {
        let note = self.city.put_contract(OWNER);
        self.enter(&[note]);
    }

    /// A question with its entry, by what stands.
    fn asked(&self) -> Offer {
        let offer = self.city.offer();
        let grounds = &self.city.desks[0].grounds;
        let Admitted { job, query, plan_hash, effective, .. } = grounds.admit(&offer, |_, _, _| Ok(()), now()).expect("allowed");
        let compiled = Compiled { job, query: &query, plan_hash, effective: &effective };
        let parties = TABLES.into_iter().map(|(name, ..)| name);
        let entry = compiled.entry(parties, |dataset| self.sequencer.replay().snapshot(dataset), query.nonce).expect("all have snapshots");
        let entry = Body::Query(entry).sign("office", self.city.planner.signing_key()).expect("signed");
        Offer { entry: Some(QueryEntry { entry, salt: query.nonce }), ..offer }
    }

    /// What a party makes of an offer, and signs with its acceptance.
    fn accepts(&self, party: usize, offer: &Offer) -> Result<(Admitted, Vec<String>), Refusal> {
        let _within = self.runtime.enter();
        let desk = &self.city.desks[party];
        let mut admitted = desk.grounds.admit(offer, |_, _, _| Ok(()), now())?;
        let entries = joblog::accept(desk, offer, &mut admitted)?;
        Ok((admitted, entries))
    }

    /// All accept: what each admitted, and the step with which the attempt begins.
    fn accepted(&self, offer: &Offer) -> (Vec<Admitted>, Vec<String>) {
        let (mut all, mut starts) = (Vec::new(), Vec::new());
        let mut step = vec![offer.entry.as_ref().expect("on the log").entry.clone()];
        for party in 0..3 {
            let (admitted, entries) = self.accepts(party, offer).expect("accepted");
            all.push(admitted);
            let (start, other): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| kind(entry) == "job-start");
            starts.extend(start);
            step.extend(other);
        }
        step.push(joined(&starts));
        (all, step)
    }

    /// A question that all accepted and that is started on the log.
    fn started(&mut self) -> Vec<Admitted> {
        let (admitted, step) = self.accepted(&self.asked());
        let kinds: Vec<&str> = step.iter().map(|entry| kind(entry)).collect();
        assert_eq!(kinds, ["job-query", "job-debit", "job-debit", "job-debit", "job-start"]);
        let checkpoint = self.enter(&step);
        admitted.into_iter().map(|admitted| Admitted { checkpoint: Some(checkpoint.clone()), ..admitted }).collect()
    }

    /// Runs it: results, and how many steps the owner took. At its step number `at` the owner revokes.
    fn run(&self, admitted: &[Admitted], at: usize) -> (Vec<Result<Stated, Refusal>>, usize) {
        let admitted = admitted.to_vec();
        self.city.run_admitted(move |party| admitted[party].clone(), at)
    }

    fn job(&self, job: QueryId) -> &Job {
        self.sequencer.replay().job(&job.0).expect("on the log")
    }

    /// All that the nodes keep in files.
    fn kept(&self) -> Vec<String> {
        let folder = |(name, ..): &(&str, &str, &str)| self.city.folder.path().join(format!("{name}.state"));
        let files = TABLES.iter().flat_map(|table| std::fs::read_dir(folder(table)).expect("a folder"));
        let mut names: Vec<String> = files.map(|file| file.expect("a file").file_name().into_string().expect("a name")).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn kind(entry: &str) -> &'static str {
    Entry::parse(entry.as_bytes()).expect("an entry").body.kind()
}

fn joined(signed: &[String]) -> String {
    join(signed.iter().map(String::as_str)).expect("one entry")
}

/// What the parties that sealed signed of the result.
fn outcome(results: &[Result<Stated, Refusal>]) -> Vec<String> {
    results.iter().flatten().flat_map(|stated| stated.entries.clone()).collect()
}

#[test]
fn a_revocation_at_any_step_of_a_job_on_the_log_ends_it_there() {
    let mut on_log = OnLog::new(SQL);
    let admitted = on_log.started();
    let (results, steps) = on_log.run(&admitted, 0);
    let answer = on_log.city.answer(&results);
    assert_eq!(answer, ["3", "138"]);
    on_log.enter(&[joined(&outcome(&results))]);
    assert!(matches!(on_log.job(admitted[0].job).phase, Phase::Done { .. }));
    // Two rounds about dealings and one about the result, to and from two peers, besides those of a job without a log.
    let plain = Arc::new(City::new(None, SQL)).run(0).1;
    assert_eq!(steps, plain + 12, "{steps} steps");

    let mut parts = Vec::new();
    for at in 1..=steps {
        on_log.put_contract();
        let admitted = on_log.started();
        let job = admitted[0].job;
        assert!(on_log.job(job).holds, "a use is taken");
        let (results, _) = on_log.run(&admitted, at);
        parts.push(on_log.city.is_kept_back(at, &results));
        assert!((0..3).all(|party| on_log.city.shares(party) == 0), "at {at}: a share is on a disk");
        // The owner's node hands in what it found in its folder, and all that ended say so; the two others' word is no result.
        let revoked = on_log.city.put_revocation();
        let mut ends = Vec::new();
        for (party, result) in results.iter().enumerate() {
            if let Err(refusal) = result {
                ends.push((party, joblog::abort(&on_log.city.desks[party], job, 1, refusal.code)));
            }
        }
        on_log.enter(&[revoked]);
        if parts.last().is_some_and(|parts| *parts > 0) {
            assert_eq!(on_log.sequenced(&[joined(&outcome(&results))]), Err("E_REVOKED"), "at {at}");
        }
        let (_, [end]) = ends.iter().find(|(party, _)| *party == OWNER).map(|(party, end)| (party, &end[..])).expect("it ended") else {
            panic!("at {at}: one entry");
        };
        let Body::Abort(abort) = Entry::parse(end.as_bytes()).expect("an entry").body else { panic!("an end") };
        assert_eq!((abort.job, abort.attempt, abort.code.as_str()), (job.0, 1, "E_REVOKED"));
        on_log.enter(std::slice::from_ref(end));
        let ended = on_log.job(job);
        assert!(ended.phase == Phase::Waiting && !ended.holds && ended.answered.is_none(), "at {at}: {ended:?}");
        assert!(on_log.sequencer.replay().is_revoked(&admitted[OWNER].effective.contracts["energy.meters"]), "at {at}");
    }
    assert!(parts.contains(&2), "both others have sealed theirs in vain");
    // Digests of what was dealt stay, which bind to the snapshot, and the words of questions; no share of anything does.
    let kept = ["answers", "attempts", "dealings", "ledger", "ledger.mark", "lock", "openings", "snapshot.secret"];
    assert_eq!(on_log.kept(), kept);

    on_log.put_contract();
    let admitted = on_log.started();
    let (results, _) = on_log.run(&admitted, 0);
    assert_eq!(on_log.city.answer(&results), answer, "under another contract it is answered, and its owner deals as before");
    on_log.enter(&[joined(&outcome(&results))]);
}

/// Nor does it go on if the revocation is on the log before the acceptance, the start, the session or the result.
#[test]
fn a_revocation_between_the_steps_on_the_log_lets_none_of_them_follow() {
    let mut on_log = OnLog::new(SQL);
    let refused = |refusal: Result<(), Refusal>| refusal.expect_err("refused").code;
    let revoked = |on_log: &mut OnLog| {
        let revocation = on_log.city.put_revocation();
        on_log.enter(&[revocation]);
    };

    let offer = on_log.asked();
    revoked(&mut on_log);
    (0..3).for_each(|party| assert_eq!(refused(on_log.accepts(party, &offer).map(drop)), Code::Revoked));

    on_log.put_contract();
    let (_, step) = on_log.accepted(&on_log.asked());
    revoked(&mut on_log);
    let size = on_log.sequencer.store().size();
    assert_eq!(on_log.sequenced(&step), Err("E_REVOKED"));
    assert_eq!(on_log.sequencer.store().size(), size, "nothing is debited");

    on_log.put_contract();
    let admitted = on_log.started();
    revoked(&mut on_log);
    let (results, steps) = on_log.run(&admitted, 0);
    assert_eq!(steps, 0, "no session is begun");
    results.into_iter().for_each(|result| assert_eq!(refused(result.map(drop)), Code::Revoked));

    on_log.put_contract();
    let admitted = on_log.started();
    let (results, _) = on_log.run(&admitted, 0);
    revoked(&mut on_log);
    assert_eq!(on_log.sequenced(&[joined(&outcome(&results))]), Err("E_REVOKED"), "it is nobody's result");
    // Whoever has sealed does not say that nothing was answered.
    let [end] = &joblog::abort(&on_log.city.desks[OWNER], admitted[OWNER].job, 1, Code::Revoked)[..] else { panic!("one entry") };
    let Body::Abort(abort) = Entry::parse(end.as_bytes()).expect("an entry").body else { panic!("an end") };
    assert_eq!(abort.code, ledger::entry::SEALED);
    on_log.enter(std::slice::from_ref(end));
    let ended = on_log.job(admitted[0].job);
    assert!(ended.phase == Phase::Waiting && ended.holds && ended.answered.is_none(), "{ended:?}");
}
