//! What the line to the coordinator may bring about. The coordinator proposes; nothing it says is believed that the planner's
//! signature or this node's own files do not bear out.

mod line;
mod outbox;

use crate::contracts::Consent;
use crate::job::{self, Desk, Ending, Stop};
use crate::joblog;
use crate::ledger::Worker;
use crate::node::now;
use crate::offer::Admitted;
use ledger::contract::SignedContract;
pub(crate) use line::Control;
use outbox::Outbox;
use query::message::frame::{FromParty, Offer, Signed, Start, Stated, ToParty};
use query::message::{Accept, Code, Failed, QueryId, Refusal, Refuse, Statement};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// The attempts this node has accepted or runs.
#[derive(Clone)]
pub(crate) struct Jobs(Arc<Inner>);

struct Inner {
    desk: Arc<Desk>,
    table: Mutex<Table>,
    /// How many attempts run.
    running: watch::Sender<usize>,
    judging: Arc<Semaphore>,
    outbox: Arc<Outbox>,
    /// The city's log, if this node keeps one.
    ledger: Option<Worker>,
}

#[derive(Default)]
struct Table {
    accepted: HashMap<QueryId, (Admitted, Instant)>,
    running: HashMap<QueryId, Running>,
    /// The last sealed results: a query is answered once, so a coordinator that lost its answer gets the same again.
    answered: VecDeque<(QueryId, Consent, Stated)>,
    closed: bool,
}

#[derive(Clone)]
struct Running {
    attempt: u32,
    consent: Consent,
    stop: Arc<Stop>,
}

/// Offers that are judged at the same time; each compiles a query.
const JUDGING: usize = 2;
/// Address space of a job's thread; only what is used is ever touched.
const STACK: usize = 64 << 20;
/// Accepted attempts that wait for their start; beyond them the oldest is forgotten.
const ACCEPTED: usize = 64;
/// Sealed results kept in memory.
const ANSWERED: usize = 16;

impl Jobs {
    /// Of this node, with a thread for its mirror of the city's log, if it keeps that.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn new(desk: Arc<Desk>) -> std::io::Result<Self> {
        let (running, _) = watch::channel(0);
        let judging = Arc::new(Semaphore::new(JUDGING));
        let outbox = Arc::new(Outbox::default());
        let out = outbox.clone();
        let ledger = desk.mirror.clone().map(|mirror| Worker::start(mirror, move |frame| out.push(frame))).transpose()?;
        Ok(Self(Arc::new(Inner { desk, table: Mutex::default(), running, judging, outbox, ledger })))
    }

    /// What the coordinator said.
    fn take(&self, frame: ToParty) {
        match frame {
            ToParty::Offer(offer) => self.offer(offer),
            ToParty::Start(start) => self.start(start),
            ToParty::Stop(stop) => {
                tracing::info!(job = %stop.job.short(), attempt = stop.attempt, code = %Code::from(stop.code), "stopped by the coordinator");
                let mut table = self.table();
                if table.accepted.get(&stop.job).is_some_and(|(admitted, _)| admitted.attempt == stop.attempt) {
                    table.accepted.remove(&stop.job);
                }
                let running =
                    table.running.get(&stop.job).filter(|running| running.attempt == stop.attempt).map(|running| running.stop.clone());
                drop(table);
                match running {
                    Some(running) => running.now(Ending::Told(stop.code), &self.0.desk.mesh, stop.job),
                    // It was started in the log, and never or no more here.
                    None if joblog::runs(&self.0.desk, stop.job, stop.attempt) => {
                        self.fail(stop.job, stop.attempt, Ending::Told(stop.code).refusal(), true);
                    }
                    None => {}
                }
            }
            ToParty::Ledger(said) => {
                if let Some(ledger) = &self.0.ledger {
                    ledger.said(said);
                }
            }
        }
    }

    fn offer(&self, offer: Offer) {
        let desk = &self.0.desk;
        desk.observed.offered();
        // A later attempt means that the coordinator has given the earlier one up.
        let earlier =
            self.table().running.get(&offer.job).filter(|running| running.attempt < offer.attempt).map(|running| running.stop.clone());
        if let Some(earlier) = earlier {
            earlier.now(Ending::Superseded, &desk.mesh, offer.job);
        }
        let jobs = self.clone();
        let Ok(permit) = self.0.judging.clone().try_acquire_owned() else {
            let reason = format!("`{}` is judging as many offers as it does at a time", desk.node);
            return self.refuse(&offer, Refusal::new(Code::Busy, reason, "ask again in a moment"));
        };
        tokio::task::spawn_blocking(move || {
            jobs.judge(&offer);
            drop(permit);
        });
    }

    fn judge(&self, offer: &Offer) {
        let desk = &self.0.desk;
        let busy = || {
            let table = self.table();
            let reason = match table.closed {
                true => format!("`{}` is shutting down", desk.node),
                false if table.running.len() < desk.limits.jobs => return Ok(()),
                false => format!("`{}` runs {} jobs, as many as it does at a time", desk.node, table.running.len()),
            };
            Err(Refusal::new(Code::Busy, reason, "ask again when one has ended"))
        };
        let new = |job, query: &_, attempt| desk.attempts().check(job, query, attempt);
        let admitted = busy().and_then(|()| desk.grounds.admit(offer, new, now()));
        let signed = admitted.and_then(|mut admitted| {
            let entries = joblog::accept(desk, offer, &mut admitted)?;
            let Admitted { job, attempt, plan_hash, .. } = admitted;
            let accept = Accept { job, attempt, plan_hash }.sign(&desk.node, &desk.identity);
            let note = accept.map_err(|e| Refusal::new(Code::Internal, e.to_string(), "please report the query"))?;
            Ok((admitted, Stated { note, entries }))
        });
        match signed {
            Ok((admitted, stated)) => {
                let Admitted { job, attempt, .. } = admitted;
                tracing::info!(job = %job.short(), attempt, planner = admitted.query.planner, plan = admitted.plan_hash.short(), "accepted");
                self.table().accept(admitted);
                self.0.outbox.push(FromParty::Accept(stated));
            }
            Err(refusal) => {
                let answered = self.table().answered.iter().find(|(job, ..)| *job == offer.job).map(|(.., stated)| stated.clone());
                if let (Code::Replay, Some(stated)) = (refusal.code, answered) {
                    self.0.outbox.push(FromParty::Sealed(stated));
                }
                self.refuse(offer, refusal);
            }
        }
    }

    fn refuse(&self, offer: &Offer, refusal: Refusal) {
        let desk = &self.0.desk;
        log("refused", offer.job, offer.attempt, &refusal);
        desk.observed.refused(refusal.code);
        let refuse = Refuse { job: offer.job, attempt: offer.attempt, refusal };
        self.send(refuse.sign(&desk.node, &desk.identity), |note| FromParty::Refuse(Signed { note }));
    }

    fn start(&self, start: Start) {
        let Start { job, attempt, checkpoint } = start;
        let desk = self.0.desk.clone();
        let mut table = self.table();
        let admitted = match table.begin(job, attempt, desk.limits.jobs, &desk.node) {
            Ok(admitted) if admitted.query.expires <= now() => Err(Refusal::new(
                Code::Expired,
                "the query expired before it was started",
                "ask again; `--valid-for` makes a query stand longer",
            )),
            other => other,
        };
        let admitted = match admitted {
            Ok(admitted) => Admitted { checkpoint, ..admitted },
            Err(refusal) => {
                drop(table);
                desk.observed.refused(refusal.code);
                return self.fail(job, attempt, refusal, joblog::runs(&desk, job, attempt));
            }
        };
        let on_log = admitted.entry.is_some();
        let stop = Arc::new(Stop::default());
        table.running.insert(job, Running { attempt, consent: admitted.consent.clone(), stop: stop.clone() });
        drop(table);
        // After it is seen to run: what ends from here on ends it.
        if desk.grounds.contracts().ended(&admitted.consent).is_some() {
            return drop(self.end(job, attempt, self.failed(job, attempt, Ending::Revoked.refusal(), on_log)));
        }
        self.0.running.send_modify(|n| *n += 1);
        let (jobs, stopping) = (self.clone(), stop.clone());
        // plans are trees of a bounded depth (query::compile), walked here as well
        let thread = std::thread::Builder::new().name("job".into()).stack_size(STACK);
        let spawned = thread.spawn(move || jobs.run(&admitted, &stopping));
        if let Err(error) = spawned {
            let reason = format!("`{}` cannot start a thread: {error}", desk.node);
            let refusal = Refusal::new(Code::Busy, reason, "ask again when fewer jobs run");
            drop(self.end(job, attempt, self.failed(job, attempt, refusal, on_log)));
            return self.0.running.send_modify(|n| *n = n.saturating_sub(1));
        }
        // Weak, so that neither the attempt nor the node lives on for it.
        let (deadline, stop, desk) = (desk.limits.job_deadline(), Arc::downgrade(&stop), Arc::downgrade(&desk));
        tokio::spawn(async move {
            tokio::time::sleep(deadline).await;
            if let (Some(stop), Some(desk)) = (stop.upgrade(), desk.upgrade()) {
                stop.now(Ending::Overdue, &desk.mesh, job);
            }
        });
    }

    /// The whole life of an attempt's thread.
    fn run(self, admitted: &Admitted, stop: &Stop) {
        let Admitted { job, attempt, .. } = *admitted;
        let started = Instant::now();
        let outbox = self.0.clone();
        let result = job::run(&self.0.desk, admitted, stop, &move |frame| outbox.outbox.push(frame));
        let millis = started.elapsed().as_millis() as u64;
        let said = match &result {
            Ok(stated) => {
                tracing::info!(job = %job.short(), attempt, millis, "done");
                Some(FromParty::Sealed(stated.clone()))
            }
            Err(refusal) => self.failed(job, attempt, refusal.clone(), admitted.entry.is_some()),
        };
        let mut table = self.end(job, attempt, said);
        if let Ok(stated) = result {
            table.answered(job, admitted.consent.clone(), stated);
        }
        drop(table);
        // Only now, so that a shutdown waits for the note.
        self.0.running.send_modify(|n| *n = n.saturating_sub(1));
    }

    /// Tells of the end of an attempt that has no place here.
    fn fail(&self, job: QueryId, attempt: u32, refusal: Refusal, on_log: bool) {
        self.failed(job, attempt, refusal, on_log).into_iter().for_each(|said| self.0.outbox.push(said));
    }

    /// What is told of the end of an attempt, and to the log if it stands there.
    fn failed(&self, job: QueryId, attempt: u32, refusal: Refusal, on_log: bool) -> Option<FromParty> {
        log("failed", job, attempt, &refusal);
        let desk = &self.0.desk;
        let entries = if on_log { joblog::abort(desk, job, attempt, refusal.code) } else { Vec::new() };
        let note = Failed { job, attempt, refusal }.sign(&desk.node, &desk.identity);
        // A refusal of ours is within all bounds.
        let note = note.inspect_err(|error| tracing::error!(%error, "a note could not be signed")).ok()?;
        Some(FromParty::Failed(Stated { note, entries }))
    }

    fn send(&self, note: Result<String, ledger::note::NoteError>, frame: impl FnOnce(String) -> FromParty) {
        match note {
            Ok(note) => self.0.outbox.push(frame(note)),
            // A refusal of ours is within all bounds.
            Err(error) => tracing::error!(%error, "a note could not be signed"),
        }
    }

    /// Frees the place of an attempt and says how it ended. The place is free before the coordinator hears of the end; and whoever finds it free, a Stop
    /// that comes late, finds it told: of two ends the coordinator would believe the first.
    fn end(&self, job: QueryId, attempt: u32, said: Option<FromParty>) -> MutexGuard<'_, Table> {
        let mut table = self.table();
        if table.running.get(&job).is_some_and(|running| running.attempt == attempt) {
            table.running.remove(&job);
        }
        said.into_iter().for_each(|said| self.0.outbox.push(said));
        table
    }

    /// Ends what runs under contracts that stand no more, here or in the log, and forgets what was sealed under them.
    pub fn contracts_changed(&self) {
        let desk = &self.0.desk;
        let ended_at_once = |consent: &Consent| {
            let revoked = |signed: &&SignedContract| desk.mirror.as_ref().is_some_and(|mirror| mirror.is_revoked(&signed.id));
            desk.grounds.contracts().ended_at_once(consent).or_else(|| consent.ending_at_once().find(revoked).cloned().map(Arc::new))
        };
        desk.forget_answers();
        let mut table = self.table();
        let answered = std::mem::take(&mut table.answered).into_iter();
        let (stand, ended): (Vec<_>, Vec<_>) = answered.partition(|(_, consent, _)| ended_at_once(consent).is_none());
        table.answered = stand.into();
        // Nor does what waits for the line leave later.
        let ended: Vec<Stated> = ended.into_iter().map(|(.., stated)| stated).collect();
        self.0.outbox.retain(|frame| !matches!(frame, FromParty::Sealed(stated) if ended.contains(stated)));
        let running: Vec<(QueryId, Running)> = table.running.iter().map(|(job, running)| (*job, running.clone())).collect();
        drop(table);
        for (job, Running { attempt, consent, stop }) in running {
            if let Some(ended) = ended_at_once(&consent) {
                let (contract, dataset) = (&ended.contract.id, &ended.contract.dataset);
                tracing::warn!(job = %job.short(), attempt, contract, dataset, "stopped: its contract was revoked or taken away");
                stop.now(Ending::Revoked, &self.0.desk.mesh, job);
            }
        }
    }

    /// Hands in what this node wants to stand in the city's log, if it keeps one.
    pub fn want_on_log(&self, entries: impl FnOnce() -> Vec<String>) {
        if let Some(ledger) = &self.0.ledger {
            ledger.want(entries());
        }
    }

    /// Accepts nothing more, ends what runs and waits until it has ended.
    pub async fn close(&self, grace: Duration) {
        let running: Vec<(QueryId, Arc<Stop>)> = {
            let mut table = self.table();
            table.closed = true;
            table.accepted.clear();
            table.running.iter().map(|(job, running)| (*job, running.stop.clone())).collect()
        };
        for (job, stop) in running {
            stop.now(Ending::ShuttingDown, &self.0.desk.mesh, job);
        }
        let mut count = self.0.running.subscribe();
        if tokio::time::timeout(grace, count.wait_for(|n| *n == 0)).await.is_err() {
            tracing::warn!("a job is still in its local stage; the node ends without it");
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Keeps an accepted attempt until it is started; a newer one replaces it.
    fn accept(&mut self, admitted: Admitted) {
        if self.accepted.len() >= ACCEPTED
            && let Some(oldest) = self.accepted.iter().min_by_key(|(_, (_, since))| *since).map(|(job, _)| *job)
        {
            self.accepted.remove(&oldest);
        }
        self.accepted.insert(admitted.job, (admitted, Instant::now()));
    }

    fn answered(&mut self, job: QueryId, consent: Consent, stated: Stated) {
        if self.answered.len() >= ANSWERED {
            self.answered.pop_front();
        }
        self.answered.push_back((job, consent, stated));
    }

    /// Takes what was accepted under this number, if it may start.
    fn begin(&mut self, job: QueryId, attempt: u32, most: usize, node: &str) -> Result<Admitted, Refusal> {
        let again = "submit the query again";
        if self.closed {
            return Err(Refusal::new(Code::Busy, format!("`{node}` is shutting down"), "ask again when it is back"));
        }
        if self.running.contains_key(&job) {
            return Err(Refusal::new(Code::Replay, format!("an attempt at this query runs at `{node}` already"), again));
        }
        if self.running.len() >= most {
            return Err(Refusal::new(
                Code::Busy,
                format!("`{node}` runs as many jobs as it does at a time"),
                "ask again when one has ended",
            ));
        }
        match self.accepted.remove(&job) {
            Some((admitted, _)) if admitted.attempt == attempt => Ok(admitted),
            other => {
                if let Some(other) = other {
                    self.accepted.insert(job, other);
                }
                let reason = format!("`{node}` was told to start attempt {attempt} of a query, which it has not accepted");
                Err(Refusal::new(Code::Desync, reason, again))
            }
        }
    }
}

/// Refusals are logged by code; the sentence only where it can hold nothing of the query's text.
fn log(what: &'static str, job: QueryId, attempt: u32, refusal: &Refusal) {
    let quotes = matches!(refusal.code, Code::Sql | Code::Width | Code::Unsupported | Code::NoConsent | Code::Data | Code::Internal);
    let reason = if quotes { "" } else { refusal.reason.as_str() };
    tracing::warn!(job = %job.short(), attempt, code = %refusal.code, reason, "{what}");
}
