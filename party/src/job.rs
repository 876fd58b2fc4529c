//! One attempt at one query: a straight line on a thread of its own. Whatever goes wrong ends in a refusal with a code and a sentence;
//! the node and its other jobs do not notice.

#[cfg(test)]
mod bound;
mod deal;
mod failure;
#[cfg(test)]
mod revoked;

use crate::answers::{Answers, Claim};
use crate::attempts::Attempts;
use crate::budget;
use crate::config::Limits;
use crate::dealing::Dealings;
use crate::difference::{Asked, Guard, Refused, Told};
use crate::exchange::Failure;
use crate::joblog;
use crate::ledger::Mirror;
use crate::lock::{self, Pieces};
use crate::node::now;
use crate::observe::Observed;
use crate::offer::{Admitted, Grounds};
use crate::openings::Openings;
use crate::seal::{self, Context};
use crate::source::Sources;
use failure::{of_abort, of_local, of_public};
use ledger::bytes::Hash;
use mpc_core::establish::{ENGINE_VERSION, Terms, establish};
use mpc_core::identity::Identity;
use mpc_core::link::Link;
use mpc_core::meter::Counters;
use mpc_core::{Abort, Meter, PartyId, Session};
use mpc_quic::Mesh;
use protocols::Rep3;
use query::exec::{Part, Program, Step, StepKind, disclose};
use query::ground::Ground;
use query::local::{AtHome, Local, LocalError};
use query::message::frame::{FromParty, Progress, Stage, Stated, StopCode};
use query::message::{Code, Measured, QueryId, Refusal, Sealed, Statement};
use query::plan::Plan;
use query::trace::Trace;
use query::wire;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// What all jobs of a node share.
pub(crate) struct Desk {
    pub node: String,
    pub me: PartyId,
    pub identity: Arc<Identity>,
    pub grounds: Grounds,
    pub sources: Sources,
    pub attempts: Mutex<Attempts>,
    pub guard: Guard,
    pub answers: Answers,
    pub openings: Openings,
    pub dealings: Dealings,
    pub mesh: Mesh,
    pub limits: Limits,
    pub observed: Observed,
    /// The city's log, if this node keeps it.
    pub mirror: Option<Mirror>,
    /// The text of the catalogue, for the coordinator.
    pub catalogue: Option<String>,
}

impl Desk {
    /// The attempts begun; a thread that panicked while it held them left them whole.
    pub fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what it keeps of dealings on snapshots in whose place the log names others.
    pub fn forget_dealings(&self) {
        let Some(Ok(snapshots)) = self.mirror.as_ref().map(|mirror| mirror.look(|replay| replay.snapshots().clone())) else { return };
        if let Err(error) = self.dealings.forget(&snapshots) {
            tracing::warn!(%error, "what was dealt on snapshots that are over is still kept");
        }
    }

    /// Wipes its shares of answers under contracts that are over, or revoked: in the log, or in this node's own folder, so that a coordinator that keeps a revocation from the log keeps nothing alive.
    pub fn forget_answers(&self) {
        let in_log = |contract: &Hash| self.mirror.as_ref().is_some_and(|mirror| mirror.is_revoked(contract));
        self.answers.forget(now(), |contract| in_log(contract) || self.grounds.contracts().is_revoked(contract));
    }
}

/// Ends an attempt at its next round.
#[derive(Default)]
pub(crate) struct Stop {
    ending: OnceLock<Ending>,
    /// What tests do at every message, of whatever round.
    #[cfg(test)]
    at_messages: OnceLock<revoked::AtMessages>,
}

/// Why this node ends an attempt before it is over. What it signs of it are sentences of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The coordinator says so; whether it is true is not for this node to know.
    Told(StopCode),
    /// It took longer than this node allows.
    Overdue,
    /// A later attempt was offered.
    Superseded,
    /// A contract under which it runs was revoked.
    Revoked,
    /// The node shuts down.
    ShuttingDown,
}

impl Stop {
    /// Ends the attempt, for this reason. The first reason stays.
    pub fn now(&self, ending: Ending, mesh: &Mesh, job: QueryId) {
        mesh.cancel(&job.0.0, self.ending.get_or_init(|| ending).words());
    }

    fn check(&self) -> Result<(), Refusal> {
        match self.ending.get() {
            None => Ok(()),
            Some(ending) => Err(ending.refusal()),
        }
    }
}

impl Ending {
    /// The refusal of an attempt that ended so.
    pub fn refusal(self) -> Refusal {
        let fix = match self {
            Self::Revoked => "ask the owners of the data for another contract",
            _ => "ask again if the answer is still wanted",
        };
        Refusal::new(self.code(), self.words(), fix)
    }

    fn code(self) -> Code {
        match self {
            Self::Told(code) => code.into(),
            Self::Overdue => Code::Deadline,
            Self::Revoked => Code::Revoked,
            Self::Superseded | Self::ShuttingDown => Code::Peer,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Told(StopCode::Cancelled) => "stopped: the coordinator says that the query was taken back",
            Self::Told(StopCode::Deadline) => "stopped: the coordinator says that the attempt took longer than it may",
            Self::Told(StopCode::Peer) => "stopped: the coordinator says that another party is out of the attempt",
            Self::Overdue => "the attempt took longer than this node allows ([limits] job_deadline_s)",
            Self::Superseded => "stopped: the coordinator offered a later attempt",
            Self::Revoked => "stopped: a contract that allowed the question was revoked, or taken away; nothing of the answer was opened",
            Self::ShuttingDown => "this node is shutting down",
        }
    }
}

/// Where an attempt's frames go.
pub(crate) type Out = dyn Fn(FromParty) + Send + Sync;

/// Runs an attempt to its end. The result is the signed note of the sealed shares, and what goes with it onto the log.
pub(crate) fn run(desk: &Desk, admitted: &Admitted, stop: &Stop, out: &Out) -> Result<Stated, Refusal> {
    let mut attempt = Attempt { desk, admitted, stop, out, last: None, counters: None, reserved: false, told: None, claim: None };
    let result = contained(&desk.node, || attempt.run());
    // Why it was stopped says more than how the stop was felt; but what a node found in its own data is why the others stop.
    let result = result.map_err(|refusal| match stop.check() {
        Err(why) if !matches!(refusal.code, Code::Difference | Code::Data) => why,
        _ => refusal,
    });
    if attempt.claim.take().is_some() {
        // What was kept while a contract was revoked was not there yet to be wiped.
        desk.forget_answers();
    }
    let (spent, reserved) = (attempt.spent(), attempt.reserved);
    if reserved {
        desk.grounds.contracts().release(&admitted.consent);
    }
    desk.observed.ended(admitted.job, result.as_ref().err().map(|refusal| refusal.code), spent.rounds, spent.bytes);
    result
}

/// What `work` yields; a panic in it is a fault of the node, and ends nothing else.
fn contained<T>(node: &str, work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let reason = format!("`{node}` met a fault of its own in this query; it and its other jobs are well");
        Err(Refusal::new(Code::Internal, reason, "please report the query, with the release and the node's log"))
    })
}

struct Attempt<'a> {
    desk: &'a Desk,
    admitted: &'a Admitted,
    stop: &'a Stop,
    out: &'a Out,
    /// The last progress that was sent, and when.
    last: Option<(Stage, Instant)>,
    counters: Option<Counters>,
    /// Whether a use of its contracts is set aside here, as there is no log that counts.
    reserved: bool,
    /// What its answer tells of this node's tables.
    told: Option<Told<'a>>,
    /// The answer that it looks for or makes, if noise is on it.
    claim: Option<Claim<'a>>,
}

/// Progress within a stage is told no more often; in tests of every step.
const PROGRESS: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 100 });

impl Attempt<'_> {
    fn run(&mut self) -> Result<Stated, Refusal> {
        let Admitted { job, attempt, query, consent, .. } = self.admitted;
        let contracts = self.desk.grounds.contracts();
        let log = joblog::gate(self.desk, self.admitted)?;
        joblog::keep(self.desk, self.admitted)?;
        // From here on this attempt is used up, whatever becomes of it.
        self.desk.attempts().begin(*job, query, *attempt, now())?;
        if self.admitted.entry.is_none() {
            contracts.reserve(consent)?;
            self.reserved = true;
        }
        let noise = budget::noise(self.desk, self.admitted)?;
        self.claim = noise.map(|noise| self.desk.answers.claim(noise, *job, *attempt)).transpose()?;
        self.stop.check()?;

        self.progress(Stage::Session, 0, 1);
        let wait = self.desk.limits.peer_timeout();
        let link = self.desk.mesh.link(job.0.0, *attempt, wait).map_err(|abort| self.refusal(&abort, Stage::Session))?;
        // Who stopped it before the mesh knew the attempt has cancelled nothing there.
        self.stop.check()?;
        let link: Box<dyn Link> = Box::new(link);
        #[cfg(test)]
        let link = revoked::watched(link, self.stop);
        let roster = self.desk.grounds.roster();
        let session = establish(&self.desk.identity, roster, self.desk.me, &self.terms(log), link);
        let session = session.map_err(|abort| self.refusal(&abort, Stage::Session))?;
        self.counters = Some(session.counters());
        let (mut session, stated) = self.answer(session);
        if stated.is_err() {
            // So that nobody waits for this node.
            session.abandon();
        }
        stated
    }

    /// This node's part of the answer: of the one that was given before, or a new one.
    fn answer(&mut self, mut session: Session) -> (Session, Result<Stated, Refusal>) {
        let given = self.claim.as_ref().map_or(Ok(None), |claim| claim.given(&mut session, |party| self.name(party)));
        match given.map_err(|failure| self.failed(failure)) {
            Err(refusal) => (session, Err(refusal)),
            Ok(Some(message)) => {
                let stated = self.seal(&mut session, &message, Vec::new());
                (session, stated)
            }
            Ok(None) => {
                let mut engine = Rep3::new(session);
                let computed = self.compute(&mut engine);
                let mut session = engine.into_session();
                let stated = computed.and_then(|(message, measured)| {
                    self.keep(&session, &message)?;
                    self.seal(&mut session, &message, measured)
                });
                (session, stated)
            }
        }
    }

    /// Keeps this node's part of an answer with noise, before that of any is given. What it tells is noted as told before: an answer that is kept may be given by any later attempt, and
    /// is not compared with others again.
    fn keep(&mut self, session: &Session, message: &[u8]) -> Result<(), Refusal> {
        let Some(claim) = &self.claim else { return Ok(()) };
        self.told.take().map_or(Ok(()), |told| told.keep())?;
        let contracts = || self.admitted.consent.contracts();
        let until = contracts().map(|signed| signed.contract.not_after.0).min();
        let until =
            until.ok_or_else(|| Refusal::new(Code::Internal, "an answer with noise is under no contract", "please report the query"))?;
        claim.keep(Hash(*session.id()), until, contracts().map(|signed| signed.id).collect(), message)
    }

    /// Seals this node's part; once this returns, the query is answered.
    fn seal(&mut self, session: &mut Session, message: &[u8], measured: Vec<Measured>) -> Result<Stated, Refusal> {
        let Admitted { job, attempt, query, plan, plan_hash, consent, .. } = self.admitted;
        let (sid, roster) = (Hash(*session.id()), self.desk.grounds.roster());
        let context = Context { job: *job, attempt: *attempt, sid, plan_hash: *plan_hash, party: &self.desk.node };
        let defect = |error: seal::SealError| Refusal::new(Code::OutputKey, error.to_string(), "");
        let pieces = lock::drawn(session.me(), session.parties()).map_err(defect)?;
        let pieces = Pieces::exchanged(session, pieces).map_err(|abort| self.refusal(&abort, Stage::Release))?;
        let sealed = seal::seal(&query.output_key.0, &context, &pieces.lock(message));
        let seal::Envelope { encapsulated, ciphertext } = sealed.map_err(defect)?;
        let sealed = Sealed {
            job: *job,
            attempt: *attempt,
            sid,
            plan_hash: *plan_hash,
            encapsulated,
            ciphertext,
            measured: query::trace::told(measured, query.analyze),
            lock: pieces.told(|peer| roster.party(peer).map(|node| node.name.clone()).unwrap_or_default()),
        };
        let note = sealed
            .sign(&self.desk.node, &self.desk.identity)
            .map_err(|e| Refusal::new(Code::Internal, format!("the sealed result cannot be signed: {e}"), "please report the query"))?;
        let entries = joblog::result(self.desk, self.admitted, session, &note).map_err(|failure| self.failed(failure))?;
        // The last moment at which a revocation keeps the answer from being opened.
        self.stop.check()?;
        self.told.take().map_or(Ok(()), |told| told.keep())?;
        if self.reserved {
            self.desk.grounds.contracts().count(consent)?;
        }
        self.claim.as_ref().map_or(Ok(()), Claim::give)?;
        // From here on the query is answered: no further attempt at it is ever begun here.
        self.desk.attempts().seal(*job, query, *attempt, now())?;
        tracing::debug!(job = %job.short(), frames = plan.frames.len(), "sealed");
        Ok(Stated { note, entries })
    }

    /// The local stage, the joint stage and the release: what is to be sealed, and what each step cost.
    fn compute(&mut self, engine: &mut Rep3) -> Result<(Zeroizing<Vec<u8>>, Vec<Measured>), Refusal> {
        let (desk, plan) = (self.desk, &*self.admitted.plan);
        self.progress(Stage::Local, 0, 1);
        self.stop.check()?;
        if let Some(table) = desk.sources.changed() {
            let reason = format!("the data of `{table}` at `{}` were changed after they were checked", desk.node);
            return Err(Refusal::new(Code::Data, reason, "its operator should restart the node, which checks them anew"));
        }
        let (ground, home) = self.local()?;
        wire::admit(wire::release_bytes(plan, &ground))?;
        self.stop.check()?;

        let defect = |what: String| Refusal::new(Code::Internal, what, "please report the query");
        let roster = desk.grounds.roster();
        let owner = |name: &str| roster.party_id(name);
        let mut trace = Trace::new();
        trace.mark(&[], 0, engine.meter());
        let sizes = joint::rep3_disclose(engine, plan, &owner, &home).map_err(|abort| self.refusal(&abort, Stage::Share))?;
        let first = disclose::step(plan);
        let plan = plan.sized(&sizes).ok_or_else(|| defect("numbers of rows that were disclosed fit no plan".into()))?;
        let inputs = home.inputs(&plan).map_err(|e| of_local(&e, &desk.node, self.admitted.job))?;
        let program = Program::new(&plan, &ground).map_err(|e| defect(e.to_string()))?;

        let disclosed = engine.meter();
        self.deal(engine, &program, &inputs)?;
        trace.leave_out(engine.meter() - disclosed);

        let before = usize::from(first.is_some());
        let steps: Vec<Step> = first.into_iter().chain(program.steps().iter().cloned()).collect();
        let stages: Vec<Stage> = steps.iter().map(|step| stage(step.kind)).collect();
        let mut progress = |engine: &Rep3, number: usize| {
            trace.mark(&steps, before + number, engine.meter());
            let (stage, done, of) = place(&stages, before + number);
            self.progress(stage, done, of);
        };
        let parts = joint::rep3(&program, engine, &owner, &inputs, &mut progress);
        let parts = parts.and_then(|parts| engine.dealt().map(|()| parts)).map_err(|abort| self.refusal(&abort, Stage::Joint))?;
        drop(inputs);
        self.encode(&plan, &parts).map(|message| (message, trace.into_measured()))
    }

    fn local(&mut self) -> Result<(Ground, AtHome), Refusal> {
        let (desk, plan, node) = (self.desk, &*self.admitted.plan, &self.desk.node);
        let local = Local::new(self.desk.limits.memory()).map_err(|e| {
            let reason = format!("`{node}` cannot set up its local stage: {e}");
            Refusal::new(Code::Internal, reason, "its operator should look at the node's log")
        })?;
        let ground = Ground::new(plan, &local, desk.sources.public()).map_err(|e| of_public(&e, node))?;
        let failed = |e: LocalError| of_local(&e, node, self.admitted.job);
        let home = local.at_home(plan, node, &ground, desk.sources.tables()).map_err(failed)?;
        let asked = Asked { plan, ground: &ground, local: &local, tables: desk.sources.tables(), catalog: desk.grounds.catalog() };
        let told = desk.guard.admit(&asked).map_err(|refused| match refused {
            Refused::Here(refusal) => refusal,
            Refused::Local(error) => failed(error),
        })?;
        self.told = Some(told);
        Ok((ground, home))
    }

    fn encode(&self, plan: &Plan, parts: &[Part]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let message = wire::encode(plan, parts);
        message.ok_or_else(|| Refusal::new(Code::Internal, "the released shares are not those of this scheme", "please report the query"))
    }

    fn terms(&self, log: [u8; 32]) -> Terms {
        let Admitted { job, attempt, query, plan_hash, consent, entry, .. } = self.admitted;
        // Whatever decides how the plan runs beside the plan itself: today the scheme and what it promises.
        let params = Hash::sha256(&[b"tacit/v1/params\n", query.protocol.as_bytes(), b"\n", query.security.as_bytes()]);
        Terms {
            qid: job.0.0,
            plan_hash: plan_hash.0,
            roster_hash: self.desk.grounds.roster().hash(),
            catalog_hash: self.desk.grounds.catalog_hash().0,
            contracts: consent.hash().0,
            log,
            attempt: *attempt,
            engine_version: ENGINE_VERSION,
            params: params.0,
            data: entry.as_deref().map_or([0; 32], query::joblog::data),
        }
    }

    fn refusal(&self, abort: &Abort, stage: Stage) -> Refusal {
        of_abort(abort, stage, self.desk.grounds.roster(), &self.desk.node)
    }

    fn failed(&self, failure: Failure) -> Refusal {
        match failure {
            Failure::Session(abort) => self.refusal(&abort, Stage::Release),
            Failure::Refused(refusal) => refusal,
        }
    }

    fn name(&self, party: PartyId) -> String {
        failure::name(self.desk.grounds.roster(), party)
    }

    fn spent(&self) -> Meter {
        self.counters.as_ref().map(Counters::read).unwrap_or_default()
    }

    fn progress(&mut self, stage: Stage, done: u64, of: u64) {
        let now = Instant::now();
        let fresh = self.last.is_none_or(|(last, at)| last != stage || now.duration_since(at) >= PROGRESS);
        if !fresh {
            return;
        }
        let Admitted { job, attempt, .. } = *self.admitted;
        if self.last.is_none_or(|(last, _)| last != stage) {
            tracing::debug!(job = %job.short(), attempt, %stage, "stage");
            self.desk.observed.stage(job, attempt, stage);
        }
        self.last = Some((stage, now));
        let Meter { rounds, bytes, .. } = self.spent();
        (self.out)(FromParty::Progress(Progress { job, attempt, stage, done, of, rounds, bytes }));
    }
}

/// The stage a step belongs to.
fn stage(kind: StepKind) -> Stage {
    match kind {
        StepKind::Disclose | StepKind::ShareBits | StepKind::ShareFp61 | StepKind::ShareFp127 => Stage::Share,
        StepKind::Release => Stage::Release,
        _ => Stage::Joint,
    }
}

/// Where step `number` is: its stage, how many of the stage's steps come before it, how many there are.
fn place(stages: &[Stage], number: usize) -> (Stage, u64, u64) {
    let stage = stages.get(number).or(stages.last()).copied().unwrap_or(Stage::Release);
    let of_stage = |steps: &[Stage]| steps.iter().filter(|s| **s == stage).count() as u64;
    (stage, of_stage(&stages[..number.min(stages.len())]), of_stage(stages).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_refusal_of_the_job() {
        assert_eq!(contained("energy", || Ok(7)), Ok(7));
        let refusal = contained("energy", || -> Result<(), Refusal> { panic!("a fault") }).expect_err("it panicked");
        assert_eq!(refusal.code, Code::Internal);
        assert!(refusal.reason.contains("`energy` met a fault of its own") && !refusal.fix.is_empty(), "{refusal}");
    }

    #[test]
    fn progress_counts_the_steps_of_a_stage() {
        use Stage::{Joint, Release, Share};
        let stages = [Share, Share, Joint, Joint, Joint, Release];
        let places: Vec<_> = (0..=6).map(|number| place(&stages, number)).collect();
        assert_eq!(places, [(Share, 0, 2), (Share, 1, 2), (Joint, 0, 3), (Joint, 1, 3), (Joint, 2, 3), (Release, 0, 1), (Release, 1, 1)]);
        assert_eq!(place(&[], 0), (Release, 0, 1));
    }
}
