//! One attempt at a job: what each party has answered, and what follows from it.

use super::*;
use query::message::frame::{Progress, Stage, Stated};
use query::message::job::PartyProgress;

/// An attempt, from its offer to its end.
pub(crate) struct Attempt {
    pub number: u32,
    pub phase: Phase,
    /// When the phase is over, come what may.
    pub deadline: Instant,
    /// The planner's entry, if the job stands on the log.
    pub entry: Option<String>,
    /// What parties signed of its end for the log, until it is over: how far from the cause the reason is, whose, and the entry.
    pub ends: Vec<(u8, usize, String)>,
    parties: Vec<Answers>,
    refusals: Vec<PartyRefusal>,
}

/// Where an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The parties are asked.
    Offered,
    /// They have accepted; the start is on its way into the log.
    Entering,
    /// The parties compute.
    Running,
    /// A party is out before the start; the others' answers are awaited, for they may have reasons of their own.
    Refused,
    /// A party is out in mid-run; the others are told to stop and their last words awaited for a moment, since the first to
    /// arrive is often only a consequence ("a peer is gone") of the cause ("my data are bad").
    Stopping,
}

#[derive(Default)]
struct Answers {
    /// The plan, and what goes onto the log with it.
    accepted: Option<(Hash, Vec<String>)>,
    progress: Option<Progress>,
    sealed: Option<Part>,
    /// It has refused, failed, or is gone.
    out: bool,
}

/// A party's sealed part of a result.
#[derive(Clone)]
pub(crate) struct Part {
    pub sid: Hash,
    pub note: String,
    /// The entry about the result, signed by the party.
    pub entry: Option<String>,
}

impl Attempt {
    pub(crate) fn new(number: u32, entry: Option<String>, parties: usize, deadline: Instant) -> Self {
        let parties = std::iter::repeat_with(Answers::default).take(parties).collect();
        Self { number, phase: Phase::Offered, deadline, entry, ends: vec![], parties, refusals: vec![] }
    }

    /// What each party has signed for the log with its acceptance.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[String]> {
        self.parties.iter().map(|answers| answers.accepted.as_ref().map_or(&[][..], |(_, entries)| entries.as_slice()))
    }

    /// Whether nothing more is expected of this party.
    pub(crate) fn is_answered(&self, party: usize) -> bool {
        self.parties[party].out || self.parties[party].sealed.is_some()
    }

    /// Who may still hold on to the attempt when it ends.
    pub(crate) fn still_at_it(&self) -> Vec<usize> {
        (0..self.parties.len()).filter(|party| !self.is_answered(*party)).collect()
    }

    /// Whether, as far as is known, no share has moved: nobody got further than meeting the others.
    fn is_before_shares(&self) -> bool {
        self.parties.iter().all(|answers| answers.sealed.is_none() && answers.progress.as_ref().is_none_or(|p| p.stage <= Stage::Session))
    }

    pub(crate) fn progress(&self) -> impl Iterator<Item = (usize, &Progress)> {
        self.parties.iter().enumerate().filter_map(|(party, answers)| Some((party, answers.progress.as_ref()?)))
    }

    fn waiting_for(&self) -> Vec<usize> {
        let waits = |party: &usize| match self.phase {
            Phase::Offered | Phase::Refused => !self.parties[*party].out && self.parties[*party].accepted.is_none(),
            Phase::Entering => false,
            Phase::Running | Phase::Stopping => !self.is_answered(*party),
        };
        (0..self.parties.len()).filter(waits).collect()
    }

    /// The reasons that are causes. What the others merely felt of them ("a peer is gone") would hide them.
    fn take_causes(&mut self) -> Vec<PartyRefusal> {
        let rank = |refusal: &PartyRefusal| match (refusal.refusal.code, &refusal.party) {
            // this coordinator knows who was lost; the others know only that somebody was
            (Code::Peer, None) => rank(Code::Peer) - 1,
            (code, _) => rank(code),
        };
        let mut refusals = std::mem::take(&mut self.refusals);
        let first = refusals.iter().map(rank).min().unwrap_or(0).max(1);
        refusals.retain(|refusal| rank(refusal) <= first);
        refusals.sort_by_key(rank);
        refusals
    }
}

/// How far a party's reason is from being the cause: what ranks higher may be felt of what ranks lower.
pub(super) fn rank(code: Code) -> u8 {
    match code {
        // of its own accord a party says this of a peer that deviates: never a mere consequence
        Code::Desync => 1,
        Code::Deadline => 2,
        Code::Peer => 4,
        Code::Cancelled => 5,
        _ => 0,
    }
}

impl Scheduler {
    /// The attempt, if this is the one under way.
    pub(super) fn attempt(&mut self, job: QueryId, number: u32) -> Option<&mut Attempt> {
        // Words about any other attempt are late, not wrong.
        self.running.get_mut(&job).filter(|attempt| attempt.number == number)
    }

    pub(super) fn accepted(&mut self, party: usize, accept: &Accept, entries: Vec<String>, now: Now) {
        let (job, plan_hash) = (accept.job, accept.plan_hash);
        let Some(attempt) = self.attempt(job, accept.attempt) else { return };
        let answers = &mut attempt.parties[party];
        if answers.out || answers.accepted.is_some() {
            return;
        }
        answers.accepted = Some((plan_hash, entries));
        let name = self.seats[party].node.name.clone();
        self.tell(job, now, What::Accepted { party: name, plan_hash });
        self.start_if_all_accepted(job, now);
        self.end_if_all_heard(job, now);
    }

    fn start_if_all_accepted(&mut self, job: QueryId, now: Now) {
        let Some(attempt) = self.running.get_mut(&job).filter(|attempt| attempt.phase == Phase::Offered) else { return };
        let plan = |answers: &Answers| answers.accepted.as_ref().map(|(plan, _)| *plan);
        let Some(plans) = attempt.parties.iter().map(plan).collect::<Option<Vec<Hash>>>() else { return };
        if plans.iter().any(|plan| *plan != plans[0]) {
            let refusals = self.plans_differ(&plans);
            return self.end(job, JobState::Failed, refusals, now);
        }
        if let Some(record) = self.jobs.get_mut(&job) {
            record.plan_hash = Some(plans[0]);
        }
        match self.running.get(&job).is_some_and(|attempt| attempt.entry.is_some()) {
            true => self.enter_start(job, now),
            false => self.start(job, None, now),
        }
    }

    /// All have accepted the same plan, and the log says so if it is to.
    pub(super) fn start(&mut self, job: QueryId, checkpoint: Option<String>, now: Now) {
        let Some(attempt) = self.running.get_mut(&job) else { return };
        attempt.phase = Phase::Running;
        attempt.deadline = now.at + self.city.deadlines.run();
        let number = attempt.number;
        self.enter(job, JobState::Running, now);
        self.send_all(job, &ToParty::Start(Start { job, attempt: number, checkpoint }), now);
    }

    fn plans_differ(&self, plans: &[Hash]) -> Vec<PartyRefusal> {
        let list: Vec<String> = self.seats.iter().zip(plans).map(|(seat, plan)| format!("`{}` {}", seat.node.name, plan.short())).collect();
        let reason = format!("the parties compiled the query to different plans: {}", list.join(", "));
        let refusal = Refusal::new(Code::Plan, reason, "give all nodes the same release of tacit and the same catalogue");
        vec![PartyRefusal::of_coordinator(refusal)]
    }

    pub(super) fn progress(&mut self, party: usize, progress: Progress, now: Now) {
        let Some(attempt) = self.attempt(progress.job, progress.attempt) else { return };
        attempt.parties[party].progress = Some(progress.clone());
        let party = self.seats[party].node.name.clone();
        self.tell(progress.job, now, What::Progress(PartyProgress { party, progress }));
    }

    /// A party refused, or failed, as it says in this note.
    pub(super) fn declined(&mut self, party: usize, job: QueryId, number: u32, refusal: Refusal, note: String, now: Now) {
        if self.attempt(job, number).is_some_and(|attempt| !attempt.is_answered(party)) {
            let name = Some(self.seats[party].node.name.clone());
            self.fault(job, party, PartyRefusal { party: name, refusal, note: Some(note) }, now);
        }
    }

    /// A party is out of an attempt, which therefore ends; the others are heard first, but not for long.
    pub(super) fn fault(&mut self, job: QueryId, party: usize, refusal: PartyRefusal, now: Now) {
        let Some(attempt) = self.running.get_mut(&job) else { return };
        attempt.parties[party].out = true;
        attempt.refusals.push(refusal);
        match attempt.phase {
            Phase::Offered | Phase::Entering => {
                attempt.phase = Phase::Refused;
                attempt.deadline = attempt.deadline.min(now.at + GRACE_OFFERED);
            }
            Phase::Running => {
                attempt.phase = Phase::Stopping;
                attempt.deadline = attempt.deadline.min(now.at + GRACE_RUNNING);
                let (attempt, waiting) = (attempt.number, attempt.waiting_for());
                for party in waiting {
                    self.send(party, ToParty::Stop(Stop { job, attempt, code: StopCode::Peer }), now);
                }
            }
            Phase::Refused | Phase::Stopping => {}
        }
        self.end_if_all_heard(job, now);
    }

    fn end_if_all_heard(&mut self, job: QueryId, now: Now) {
        let ending = |attempt: &&Attempt| matches!(attempt.phase, Phase::Refused | Phase::Stopping);
        if self.running.get(&job).filter(ending).is_some_and(|attempt| attempt.waiting_for().is_empty()) {
            self.end_attempt(job, now);
        }
    }

    fn end_attempt(&mut self, job: QueryId, now: Now) {
        let Some(attempt) = self.running.get_mut(&job) else { return };
        let refusals = attempt.take_causes();
        let only_lost = attempt.is_before_shares() && refusals.iter().all(|refusal| refusal.refusal.code == Code::Peer);
        let may_again = |record: &Record| record.attempt < MAX_ATTEMPTS && record.expires > now.unix();
        match only_lost && self.jobs.get(&job).is_some_and(may_again) {
            true => self.requeue(job, refusals, now),
            false => self.end(job, JobState::Failed, refusals, now),
        }
    }

    /// A party was lost before anything was shared: the job takes its place in the queue again, as it would have waited had the loss
    /// been noticed before it was offered.
    fn requeue(&mut self, job: QueryId, refusals: Vec<PartyRefusal>, now: Now) {
        let Some(attempt) = self.take_running(job) else { return };
        let Some(record) = self.jobs.get_mut(&job) else { return };
        record.refusals.clone_from(&refusals);
        self.queue.insert(record.order, job);
        self.not_before.insert(job, now.at + AGAIN_AFTER * attempt.number);
        for refusal in refusals {
            self.tell(job, now, What::Refused(refusal));
        }
        self.enter(job, JobState::Queued, now);
        for party in attempt.still_at_it() {
            self.send(party, ToParty::Stop(Stop { job, attempt: attempt.number, code: StopCode::Peer }), now);
        }
    }

    pub(super) fn sealed_by(&mut self, party: usize, sealed: &Sealed, stated: Stated, now: Now) {
        let (job, seal) = (sealed.job, self.city.deadlines.seal());
        let part = Part { sid: sealed.sid, note: stated.note, entry: stated.entries.into_iter().next() };
        if self.attempt(job, sealed.attempt).is_none() {
            return self.sealed_before_restart(party, sealed, part, now);
        }
        let Some(attempt) = self.attempt(job, sealed.attempt).filter(|attempt| attempt.phase == Phase::Running) else { return };
        if attempt.is_answered(party) {
            return;
        }
        if attempt.parties[party].accepted.as_ref().is_none_or(|(plan, _)| *plan != sealed.plan_hash) {
            let name = &self.seats[party].node.name;
            let reason = format!("`{name}` sealed a result of another plan than it accepted");
            let refusal = Refusal::new(Code::Plan, reason, format!("tell the operator of `{name}`"));
            return self.fault(job, party, PartyRefusal::of_coordinator(refusal), now);
        }
        attempt.parties[party].sealed = Some(part);
        attempt.deadline = attempt.deadline.min(now.at + seal);
        let name = self.seats[party].node.name.clone();
        self.tell(job, now, What::Sealed { party: name });
        self.finish_if_all_sealed(job, now);
    }

    /// A result of the attempt that ran when the coordinator ended. Its party answers a query once and will not run it again, so
    /// three of these are the answer.
    fn sealed_before_restart(&mut self, party: usize, sealed: &Sealed, part: Part, now: Now) {
        let job = sealed.job;
        let Some(kept) = self.kept.get_mut(&job).filter(|kept| (kept.number, kept.plan) == (sealed.attempt, sealed.plan_hash)) else {
            // Words about any other attempt are late, not wrong.
            return;
        };
        kept.sealed[party] = Some(part);
        let Some(all) = kept.sealed.iter().cloned().collect::<Option<Vec<_>>>() else { return };
        if all.iter().any(|part| part.sid != all[0].sid) {
            return;
        }
        let stopped = self.take_running(job).map(|attempt| (attempt.number, attempt.still_at_it()));
        self.all_sealed(job, sealed.attempt, all, now);
        let (attempt, parties) = stopped.unwrap_or_default();
        for party in parties {
            self.send(party, ToParty::Stop(Stop { job, attempt, code: StopCode::Peer }), now);
        }
    }

    fn finish_if_all_sealed(&mut self, job: QueryId, now: Now) {
        let Some(attempt) = self.running.get(&job) else { return };
        let sealed: Option<Vec<Part>> = attempt.parties.iter().map(|answers| answers.sealed.clone()).collect();
        let (Some(sealed), number) = (sealed, attempt.number) else { return };
        if sealed.iter().any(|part| part.sid != sealed[0].sid) {
            let reason = "the parties sealed results of different sessions";
            let refusal = Refusal::new(Code::Desync, reason, "ask again; if it recurs, tell the operators");
            return self.end(job, JobState::Failed, vec![PartyRefusal::of_coordinator(refusal)], now);
        }
        self.all_sealed(job, number, sealed, now);
    }

    /// Three sealed results of one session are here.
    fn all_sealed(&mut self, job: QueryId, attempt: u32, sealed: Vec<Part>, now: Now) {
        match self.jobs.get(&job).is_some_and(|record| record.on_log) {
            true => self.enter_result(job, attempt, sealed, now),
            false => self.finish(job, attempt, &sealed, now),
        }
    }

    /// They are the answer, and the log says so if it is to.
    pub(super) fn finish(&mut self, job: QueryId, attempt: u32, sealed: &[Part], now: Now) {
        let notes: Vec<&str> = sealed.iter().map(|part| part.note.as_str()).collect();
        let Some(record) = self.jobs.get_mut(&job) else { return };
        let done = Record { state: JobState::Done, attempt, finished: Some(now.unix()), refusals: vec![], ..record.clone() };
        if let Err(error) = self.store.finish(&done, &notes) {
            return self.end_by_store(job, &error, now);
        }
        *record = done;
        self.queue.remove(&record.order);
        self.take_running(job);
        self.forget(job);
        self.finished[0] += 1;
        tracing::info!(job = %job.short(), attempt, "job done");
        self.tell(job, now, What::State { state: JobState::Done, attempt });
    }

    pub(super) fn meet_deadlines(&mut self, now: Now) {
        let due: Vec<QueryId> = self.running.iter().filter(|(_, attempt)| attempt.deadline <= now.at).map(|(job, _)| *job).collect();
        for job in due {
            let Some(attempt) = self.running.get_mut(&job) else { continue };
            if matches!(attempt.phase, Phase::Offered | Phase::Entering | Phase::Running) {
                let (phase, late) = (attempt.phase, attempt.waiting_for());
                let names = self.names(&late).join(", ");
                let reason = match phase {
                    Phase::Entering => "the city's log did not take the start in time".into(),
                    Phase::Offered => format!("these parties did not answer the offer in time: {names}"),
                    _ => format!("these parties did not finish in time: {names}"),
                };
                let refusal = Refusal::new(Code::Deadline, reason, "ask again; if it recurs, tell these nodes' operators");
                let refusal = PartyRefusal::of_coordinator(refusal);
                if let Some(attempt) = self.running.get_mut(&job) {
                    attempt.refusals.push(refusal);
                }
            }
            self.end_attempt(job, now);
        }
    }
}

/// How long the others' reasons are collected after the first.
const GRACE_OFFERED: Duration = Duration::from_secs(3);
const GRACE_RUNNING: Duration = Duration::from_secs(1);
/// How long a job waits before it is offered again, for each attempt it had.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
