//! The one place where jobs change. It is plain synchronous code: every method is told the time, changes the records in the
//! store first, then says so to parties and readers. [`crate::handle`] runs it on a thread of its own.
//!
//! ```text
//! Queued ──Offer──► Offered ──three equal Accepts──► Running ──three Sealed──► Done
//!    ▲                 └── Refuse, deadline ────────────┴─ Failed, loss, deadline ──► Failed
//!    └── restart of the coordinator, loss of a party before anything is shared ◄┘
//! ```
//!
//! Where a job stands on the city's log ([`onlog`]), it runs once its start is there, and is done once its result is.

mod attempt;
mod onlog;
mod report;
mod seats;

use crate::clock::Now;
use crate::config::{Deadlines, Limits};
use crate::events::{Follow, Log};
use crate::store::{Record, Store, StoreError};
use attempt::{Attempt, Part};
use ledger::bytes::Hash;
use mpc_core::roster::{Node, Roster};
use onlog::Ending;
pub(crate) use onlog::ForLog;
use query::catalog::Catalog;
use query::message::frame::{FromParty, Offer, Ready, Start, Stop, StopCode, ToParty};
use query::message::job::{JobState, PartyRefusal, SealedNote, SealedResults, Submit, Submitted, What};
use query::message::{Accept, Code, Failed, Query, QueryId, Refusal, Refuse, Sealed, Statement};
use seats::Seat;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// All jobs, all connected parties.
pub(crate) struct Scheduler {
    city: City,
    store: Store,
    jobs: HashMap<QueryId, Record>,
    logs: HashMap<QueryId, Arc<Log>>,
    /// Jobs that wait, in the order of submission.
    queue: BTreeMap<u64, QueryId>,
    running: HashMap<QueryId, Attempt>,
    /// Jobs that ran when the coordinator ended, and by when they must run again.
    interrupted: HashMap<QueryId, Instant>,
    /// What comes in of the attempts at these.
    kept: HashMap<QueryId, Kept>,
    /// Jobs whose results are on their way into the log.
    ending: HashMap<QueryId, Ending>,
    /// What the log is to take next.
    for_log: Vec<ForLog>,
    /// Jobs that lost a party, and when they may be offered again.
    not_before: HashMap<QueryId, Instant>,
    seats: Vec<Seat>,
    next_order: u64,
    finished: [u64; 3],
}

/// What the scheduler works by.
pub(crate) struct City {
    pub roster: Arc<Roster>,
    pub roster_hash: Hash,
    pub catalog_hash: Hash,
    pub catalog: Catalog,
    pub limits: Limits,
    pub deadlines: Deadlines,
}

/// Sealed results of the attempt that ran when the coordinator ended.
struct Kept {
    number: u32,
    plan: Hash,
    sealed: Vec<Option<Part>>,
}

impl Scheduler {
    /// Takes up where the store left off.
    pub(crate) fn new(city: City, store: Store, now: Now) -> Result<Self, StoreError> {
        let seats = city.roster.parties().map(|node| Seat { node: node.clone(), link: None, ready: None, trouble: None }).collect();
        let records = store.records()?;
        let mut scheduler = Self {
            next_order: records.last().map_or(0, |record| record.order + 1),
            city,
            store,
            jobs: HashMap::new(),
            logs: HashMap::new(),
            queue: BTreeMap::new(),
            running: HashMap::new(),
            interrupted: HashMap::new(),
            kept: HashMap::new(),
            ending: HashMap::new(),
            for_log: Vec::new(),
            not_before: HashMap::new(),
            seats,
            finished: [0; 3],
        };
        for record in records {
            scheduler.restore(record, now)?;
        }
        Ok(scheduler)
    }

    fn restore(&mut self, mut record: Record, now: Now) -> Result<(), StoreError> {
        let job = record.job;
        let was = record.state;
        if !was.is_final() {
            if was != JobState::Queued {
                record.state = JobState::Queued;
                self.store.update(&record)?;
                self.interrupted.insert(job, now.at + self.city.deadlines.rejoin());
                if let Some(plan) = record.plan_hash {
                    let sealed = vec![None; self.seats.len()];
                    self.kept.insert(job, Kept { number: record.attempt, plan, sealed });
                }
                tracing::warn!(job = %job.short(), attempt = record.attempt, "the job ran when the coordinator ended; it is tried again");
            }
            self.queue.insert(record.order, job);
        }
        let log = Log::new();
        log.push(now, What::State { state: record.state, attempt: record.attempt });
        self.logs.insert(job, log);
        self.jobs.insert(job, record);
        Ok(())
    }

    /// Adds a job, or finds it: a query sent twice is one job.
    pub(crate) fn submit(&mut self, job: QueryId, query: &Query, submitted: &Submit, now: Now) -> Result<Submitted, Refusal> {
        if let Some(record) = self.jobs.get(&job) {
            return Ok(Submitted { job, state: record.state });
        }
        // It would wait until somebody mends that, and nobody would know.
        match self.seats.iter().find_map(|seat| seat.link.as_ref().and(seat.trouble.as_ref())) {
            Some(trouble) => return Err(trouble.clone()),
            None => self.room_for(&query.planner)?,
        }
        let record = Record {
            job,
            planner: query.planner.clone(),
            state: JobState::Queued,
            attempt: 0,
            order: self.next_order,
            submitted: now.unix(),
            started: None,
            finished: None,
            expires: query.expires,
            plan_hash: None,
            on_log: submitted.entry.is_some(),
            refusals: vec![],
        };
        self.store.insert(&record, submitted).map_err(|e| store_refusal(&e))?;
        self.next_order += 1;
        tracing::info!(job = %job.short(), planner = %record.planner, "job queued");
        self.queue.insert(record.order, job);
        self.jobs.insert(job, record);
        self.logs.insert(job, Log::new());
        self.tell(job, now, What::State { state: JobState::Queued, attempt: 0 });
        Ok(Submitted { job, state: JobState::Queued })
    }

    fn room_for(&self, planner: &str) -> Result<(), Refusal> {
        let limits = &self.city.limits;
        let busy = |reason: String| Err(Refusal::new(Code::Busy, reason, "wait for a job to end, or cancel one"));
        if self.queue.len() >= limits.queued {
            return busy(format!("{} jobs wait already, which is the most this coordinator queues", limits.queued));
        }
        let waiting = self.queue.values().filter(|job| self.jobs.get(job).is_some_and(|r| r.planner == planner)).count();
        let running = self.running.keys().filter(|job| self.jobs.get(job).is_some_and(|r| r.planner == planner)).count();
        if waiting + running >= limits.queued_per_planner {
            return busy(format!("`{planner}` has {} jobs waiting or running, which is the most for one planner", waiting + running));
        }
        if self.jobs.len() >= MAX_RECORDS {
            return busy(format!("{MAX_RECORDS} jobs are on record; old ones expire after {} hours", limits.keep_hours));
        }
        Ok(())
    }

    /// Ends a job on its planner's word; whether it is theirs has been checked.
    pub(crate) fn cancel(&mut self, job: QueryId, now: Now) -> Result<Submitted, Refusal> {
        let state = self.jobs.get(&job).ok_or_else(|| no_such_job(job))?.state;
        if state.is_final() {
            return Ok(Submitted { job, state });
        }
        let refusal = Refusal::new(Code::Cancelled, "the planner took the query back", "ask again if it is wanted after all");
        self.end(job, JobState::Cancelled, vec![PartyRefusal::of_coordinator(refusal)], now);
        Ok(Submitted { job, state: JobState::Cancelled })
    }

    /// Whose job it is.
    pub(crate) fn planner_of(&self, job: QueryId) -> Option<&str> {
        self.jobs.get(&job).map(|record| record.planner.as_str())
    }

    /// The sealed results of a job that is done.
    pub(crate) fn sealed(&self, job: QueryId) -> Result<SealedResults, Refusal> {
        let record = self.jobs.get(&job).ok_or_else(|| no_such_job(job))?;
        match record.state {
            JobState::Done => {}
            JobState::Failed | JobState::Cancelled => {
                let first = record.refusals.first().map(|r| r.refusal.clone());
                return Err(first.unwrap_or_else(|| Refusal::new(Code::Internal, "the job has no result", "")));
            }
            state => {
                let fix = format!("follow /v1/jobs/{job}/events and fetch the result when the job is done");
                return Err(Refusal::new(Code::NotReady, format!("the job is {state}"), fix));
            }
        }
        let notes = self.store.sealed(job).map_err(|e| store_refusal(&e))?;
        let sealed = self.seats.iter().zip(notes).map(|(seat, note)| SealedNote { party: seat.node.name.clone(), note });
        Ok(SealedResults { job, attempt: record.attempt, sealed: sealed.collect(), log: None })
    }

    /// The events of a job behind `seq`.
    pub(crate) fn follow(&self, job: QueryId, seq: u64) -> Result<Follow, Refusal> {
        self.logs.get(&job).map(|log| log.follow(seq)).ok_or_else(|| no_such_job(job))
    }

    /// Whatever the time brings: deadlines, expiry, the next job. To be called after every other change, and by the clock.
    pub(crate) fn tick(&mut self, now: Now) {
        self.meet_deadlines(now);
        self.lapse(now);
        self.remove_expired(now);
        self.dispatch(now);
    }

    /// When [`Scheduler::tick`] is due at the latest.
    pub(crate) fn next_tick(&self, now: Now) -> Instant {
        let deadlines = self.running.values().map(|attempt| attempt.deadline);
        let again = self.not_before.values().copied().filter(|at| *at > now.at);
        deadlines.chain(again).chain([now.at + Duration::from_secs(1)]).min().unwrap_or(now.at)
    }

    /// Ends all streams of events. What runs is tried again after the next start.
    pub(crate) fn close(&self) {
        self.logs.values().for_each(|log| log.close());
    }

    /// Waiting jobs whose time is over.
    fn lapse(&mut self, now: Now) {
        let missing = self.missing();
        let names = self.names(&missing).join(", ");
        let over: Vec<(QueryId, bool)> = self
            .queue
            .values()
            .filter_map(|job| {
                let record = self.jobs.get(job)?;
                let rejoins = self.interrupted.get(job).filter(|_| !missing.is_empty());
                // Of what may run on the log, somebody has to sign the end.
                let unheard = record.on_log && rejoins.is_some_and(|until| *until > now.at);
                let expired = record.expires <= now.unix() && !unheard;
                let abandoned = rejoins.is_some_and(|until| *until <= now.at);
                (expired || abandoned).then_some((*job, expired))
            })
            .collect();
        for (job, expired) in over {
            let refusal = match (expired, missing.is_empty()) {
                (true, true) => Refusal::new(Code::Expired, "the query expired before its turn came", "ask again"),
                (true, false) => Refusal::new(
                    Code::Expired,
                    format!("the query expired while it waited for parties that are not there: {names}"),
                    "see that these nodes run, then ask again",
                ),
                (false, _) => Refusal::new(
                    Code::Peer,
                    format!("the coordinator was restarted while the job ran, and these parties did not come back in time: {names}"),
                    "see that these nodes run, then ask again",
                ),
            };
            self.end(job, JobState::Failed, vec![PartyRefusal::of_coordinator(refusal)], now);
        }
    }

    /// Records and results that have been kept long enough.
    fn remove_expired(&mut self, now: Now) {
        let expired: HashSet<QueryId> =
            self.jobs.values().filter(|r| self.removal(r).is_some_and(|at| at <= now.unix())).map(|r| r.job).collect();
        if expired.is_empty() {
            return;
        }
        let list: Vec<QueryId> = expired.iter().copied().collect();
        match self.store.remove(&list) {
            Ok(()) => tracing::info!(jobs = list.len(), "finished jobs and their sealed results removed"),
            Err(error) => return tracing::error!(%error, "finished jobs could not be removed"),
        }
        self.jobs.retain(|job, _| !expired.contains(job));
        self.logs.retain(|job, _| !expired.contains(job));
    }

    /// When a finished job is removed: kept for the configured time, and at least as long as its query could be sent again.
    fn removal(&self, record: &Record) -> Option<u64> {
        let finished = record.finished.filter(|_| record.state.is_final())?;
        Some(finished.saturating_add(self.city.limits.keep_hours * 3600).max(record.expires))
    }

    /// Starts what can start.
    fn dispatch(&mut self, now: Now) {
        while self.running.len() < self.city.limits.running && self.missing().is_empty() {
            let due = |job: &QueryId| self.not_before.get(job).is_none_or(|at| *at <= now.at);
            let Some((order, job)) = self.queue.iter().find(|(_, job)| due(job)).map(|(order, job)| (*order, *job)) else { return };
            self.queue.remove(&order);
            self.offer(job, now);
        }
    }

    fn offer(&mut self, job: QueryId, now: Now) {
        let Submit { note, entry } = match self.store.submitted(job) {
            Ok(Some(submitted)) => submitted,
            Ok(None) => return self.end_by_store(job, &StoreError::Failed("the job's note is gone".into()), now),
            Err(error) => return self.end_by_store(job, &error, now),
        };
        let Some(record) = self.jobs.get_mut(&job) else { return };
        self.not_before.remove(&job);
        let interrupted = self.interrupted.remove(&job).is_some();
        if interrupted && record.attempt >= MAX_ATTEMPTS {
            let reason = format!("the coordinator ended during each of {MAX_ATTEMPTS} attempts");
            let refusal = Refusal::new(Code::Internal, reason, "tell the coordinator's operator: its log says more");
            return self.end(job, JobState::Failed, vec![PartyRefusal::of_coordinator(refusal)], now);
        }
        record.attempt += 1;
        record.started = Some(now.unix());
        let attempt = record.attempt;
        let deadline = now.at + self.city.deadlines.offer();
        self.running.insert(job, Attempt::new(attempt, entry.as_ref().map(|entry| entry.entry.clone()), self.seats.len(), deadline));
        // The attempt is on disk before anyone hears of it: no two offers ever carry the same number.
        self.enter(job, JobState::Offered, now);
        self.send_all(job, &ToParty::Offer(Offer { job, attempt, note, entry }), now);
    }

    /// Changes a job's state, on disk first.
    fn enter(&mut self, job: QueryId, state: JobState, now: Now) {
        let Some(record) = self.jobs.get_mut(&job) else { return };
        record.state = state;
        let (attempt, record) = (record.attempt, &*record);
        tracing::info!(job = %job.short(), attempt, %state, "job state");
        if let Err(error) = self.store.update(record) {
            tracing::error!(job = %job.short(), %error, "the job's state is not on disk");
        }
        self.tell(job, now, What::State { state, attempt });
    }

    /// Ends a job without a result; parties that are still at it are told to stop.
    fn end(&mut self, job: QueryId, state: JobState, refusals: Vec<PartyRefusal>, now: Now) {
        let Some(record) = self.jobs.get_mut(&job) else { return };
        record.finished = Some(now.unix());
        record.refusals.clone_from(&refusals);
        self.queue.remove(&record.order);
        // The log may take it to be running, and whoever takes part to be over: told so, a party that finds it there signs the end.
        let cut_off = self.interrupted.contains_key(&job).then_some(record.attempt).filter(|_| record.on_log);
        self.forget(job);
        self.finished[usize::from(state == JobState::Cancelled) + 1] += 1;
        let stopped = self.take_running(job).map(|attempt| (attempt.number, attempt.still_at_it()));
        let stopped = stopped.or_else(|| cut_off.map(|attempt| (attempt, (0..self.seats.len()).collect())));
        let code = StopCode::of(refusals.first().map_or(Code::Internal, |r| r.refusal.code));
        for refusal in refusals {
            tracing::warn!(job = %job.short(), code = %refusal.refusal.code, party = refusal.party.as_deref(), "job refused or failed");
            self.tell(job, now, What::Refused(refusal));
        }
        self.enter(job, state, now);
        if let Some((attempt, parties)) = stopped {
            for party in parties {
                self.send(party, ToParty::Stop(Stop { job, attempt, code }), now);
            }
        }
    }

    /// A job that is over is waited for no more.
    fn forget(&mut self, job: QueryId) {
        self.interrupted.remove(&job);
        self.kept.remove(&job);
        self.ending.remove(&job);
        self.not_before.remove(&job);
    }

    fn end_by_store(&mut self, job: QueryId, error: &StoreError, now: Now) {
        tracing::error!(job = %job.short(), %error, "the job store fails");
        let refusals = vec![PartyRefusal::of_coordinator(store_refusal(error))];
        self.end(job, JobState::Failed, refusals, now);
    }

    fn tell(&self, job: QueryId, now: Now, what: What) {
        if let Some(log) = self.logs.get(&job) {
            log.push(now, what);
        }
    }
}

/// Jobs on record, whatever their state: a bound on memory and disk.
const MAX_RECORDS: usize = 20_000;
/// Attempts at a job before it is no longer tried again after a restart or a loss: the job itself may be what ends the nodes.
const MAX_ATTEMPTS: u32 = 3;

fn no_such_job(job: QueryId) -> Refusal {
    let reason = format!("there is no job {}", job.short());
    Refusal::new(Code::NotFound, reason, "check the id; finished jobs are removed after a while")
}

fn store_refusal(error: &StoreError) -> Refusal {
    tracing::error!(%error, "the job store fails");
    Refusal::new(Code::Internal, "the coordinator's job store fails", "tell the coordinator's operator: its log says more")
}

#[cfg(test)]
mod tests;
