use super::*;
use crate::testing::{self, PARTIES, PLAN, PLANNER, SID, accept, failed, ready, refuse, sealed, sign};
use query::message::frame::{Progress, Stage};
use tempfile::TempDir;

mod again;
mod onlog;

const CATALOG_HASH: Hash = Hash([3; 32]);
const START: u64 = 1_800_000_000;

/// A scheduler, its store's folder, and the parties' ends of their lines.
struct Town {
    scheduler: Scheduler,
    lines: Vec<Option<mpsc::Receiver<ToParty>>>,
    folder: TempDir,
    now: Now,
    epoch: u64,
}

impl Town {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Now { unix_ms: START * 1000, at: Instant::now() };
        let store = Store::open(folder.path()).expect("a store");
        let scheduler = Scheduler::new(testing::city(limits, CATALOG_HASH), store, now).expect("a scheduler");
        Self { scheduler, lines: vec![None, None, None], folder, now, epoch: 0 }
    }

    /// A town whose parties are all there.
    fn complete() -> Self {
        let mut town = Self::new();
        (0..3).for_each(|party| town.seat(party));
        town
    }

    /// Ends the scheduler as a crash would, and starts another on the same store.
    fn restart(self) -> Self {
        let Self { scheduler, folder, now, epoch, .. } = self;
        drop(scheduler);
        let store = Store::open(folder.path()).expect("the store again");
        let city = testing::city(Limits::default(), CATALOG_HASH);
        let scheduler = Scheduler::new(city, store, now).expect("a scheduler");
        Self { scheduler, lines: vec![None, None, None], folder, now, epoch }
    }

    fn seat(&mut self, party: usize) {
        self.connect(party);
        self.say(party, ready(CATALOG_HASH));
    }

    fn connect(&mut self, party: usize) {
        let (to_party, line) = mpsc::channel(8);
        self.epoch += 1;
        self.scheduler.connected(party, self.epoch, to_party, self.now);
        self.lines[party] = Some(line);
    }

    fn say(&mut self, party: usize, frame: FromParty) {
        let epoch = self.scheduler.seats[party].link.as_ref().map_or(0, |link| link.epoch);
        self.scheduler.frame(party, epoch, frame, self.now);
        self.scheduler.tick(self.now);
    }

    fn lose(&mut self, party: usize) {
        let epoch = self.scheduler.seats[party].link.as_ref().map_or(0, |link| link.epoch);
        self.scheduler.lost(party, epoch, "its connection ended", self.now);
        self.scheduler.tick(self.now);
    }

    fn submit(&mut self, number: u8) -> QueryId {
        self.try_submit(PLANNER, number).expect("submitted")
    }

    fn try_submit(&mut self, planner: &str, number: u8) -> Result<QueryId, Refusal> {
        let query = Query { planner: planner.into(), ..testing::query(number, self.now.unix(), CATALOG_HASH) };
        let note = sign(&query);
        let job = QueryId::of(&note);
        let submitted = self.scheduler.submit(job, &query, &Submit { note, entry: None }, self.now)?;
        self.scheduler.tick(self.now);
        Ok(submitted.job)
    }

    fn wait(&mut self, seconds: u64) {
        self.now.unix_ms += seconds * 1000;
        self.now.at += Duration::from_secs(seconds);
        self.scheduler.tick(self.now);
    }

    /// All frames a party has been sent since it was last asked.
    fn heard(&mut self, party: usize) -> Vec<ToParty> {
        let line = self.lines[party].as_mut().expect("seated");
        std::iter::from_fn(|| line.try_recv().ok()).collect()
    }

    /// A party says that it has a session with the others and is at its local stage.
    fn at_work(&mut self, party: usize, job: QueryId) {
        self.at(party, job, Stage::Local);
    }

    fn at(&mut self, party: usize, job: QueryId, stage: Stage) {
        let attempt = self.scheduler.status(job).expect("on record").attempt;
        self.say(party, FromParty::Progress(Progress { job, attempt, stage, done: 0, of: 1, rounds: 0, bytes: 0 }));
    }

    fn start(&mut self, number: u8) -> QueryId {
        let job = self.submit(number);
        (0..3).for_each(|party| self.say(party, accept(party, job, 1, PLAN)));
        assert_eq!(self.state(job), JobState::Running);
        (0..3).for_each(|party| drop(self.heard(party)));
        job
    }

    fn state(&self, job: QueryId) -> JobState {
        self.scheduler.status(job).expect("on record").state
    }

    fn refusals(&self, job: QueryId) -> Vec<(Option<String>, Code)> {
        let refusals = self.scheduler.status(job).expect("on record").refusals;
        refusals.into_iter().map(|r| (r.party, r.refusal.code)).collect()
    }
}

fn by(party: usize, code: Code) -> (Option<String>, Code) {
    (Some(PARTIES[party].into()), code)
}

#[test]
fn a_job_is_offered_started_sealed_and_done() {
    let mut town = Town::complete();
    let job = town.submit(1);
    assert_eq!(town.state(job), JobState::Offered);
    for party in 0..3 {
        let frames = town.heard(party);
        let [ToParty::Offer(offer)] = frames.as_slice() else { panic!("an offer: {frames:?}") };
        assert_eq!((offer.job, offer.attempt, QueryId::of(&offer.note)), (job, 1, job));
        town.say(party, accept(party, job, 1, PLAN));
    }
    assert_eq!(town.state(job), JobState::Running);
    for party in 0..3 {
        assert_eq!(town.heard(party), [ToParty::Start(Start { job, attempt: 1, checkpoint: None })]);
    }
    let progress = Progress { job, attempt: 1, stage: Stage::Joint, done: 1, of: 2, rounds: 3, bytes: 4 };
    town.say(1, FromParty::Progress(progress.clone()));
    let status = town.scheduler.status(job).expect("on record");
    assert_eq!((status.progress[0].party.as_str(), &status.progress[0].progress), ("energy", &progress));
    assert_eq!(town.scheduler.sealed(job).expect_err("not yet").code, Code::NotReady);
    (0..3).for_each(|party| town.say(party, sealed(party, job, 1, SID)));
    let status = town.scheduler.status(job).expect("on record");
    assert_eq!((status.state, status.plan_hash, status.attempt), (JobState::Done, Some(PLAN), 1));
    let results = town.scheduler.sealed(job).expect("done");
    assert_eq!(results.sealed.iter().map(|s| s.party.as_str()).collect::<Vec<_>>(), PARTIES);
    for (sealed, name) in results.sealed.iter().zip(PARTIES) {
        assert!(Sealed::open(&sealed.note, name, &testing::identity(name).public()).is_ok());
    }
    assert!((0..3).all(|party| town.heard(party).is_empty()), "nobody is told to stop");
}

#[test]
fn all_refusals_are_heard_and_shown() {
    let mut town = Town::complete();
    let job = town.submit(1);
    town.say(0, refuse(0, job, 1, Code::Sql));
    assert_eq!(town.state(job), JobState::Offered, "the others may have reasons too");
    town.say(2, accept(2, job, 1, PLAN));
    town.say(1, refuse(1, job, 1, Code::Data));
    assert_eq!(town.state(job), JobState::Failed);
    assert_eq!(town.refusals(job), [by(0, Code::Sql), by(1, Code::Data)]);
    let frames = town.heard(2);
    assert!(matches!(frames.last(), Some(ToParty::Stop(stop)) if stop.job == job && stop.code == StopCode::Peer), "{frames:?}");
    assert_eq!(town.scheduler.sealed(job).expect_err("failed").code, Code::Sql);
}

#[test]
fn silence_is_not_waited_for_without_end() {
    let mut town = Town::complete();
    let job = town.submit(1);
    town.say(0, refuse(0, job, 1, Code::Busy));
    town.wait(3);
    assert_eq!(town.refusals(job), [by(0, Code::Busy)]);

    let job = town.submit(2);
    town.say(0, accept(0, job, 1, PLAN));
    town.wait(14);
    assert_eq!(town.state(job), JobState::Offered);
    town.wait(1);
    assert_eq!(town.refusals(job), [(None, Code::Deadline)]);
    let reason = town.scheduler.status(job).expect("on record").refusals[0].refusal.reason.clone();
    assert!(reason.contains("energy, health") && !reason.contains("transport"), "{reason}");

    let job = town.start(3);
    town.say(0, sealed(0, job, 1, SID));
    town.wait(60);
    assert_eq!(town.refusals(job), [(None, Code::Deadline)]);

    let job = town.start(4);
    town.wait(3600);
    assert_eq!(town.refusals(job), [(None, Code::Deadline)]);
}

#[test]
fn a_lost_party_is_named_and_the_next_job_waits_for_it() {
    let mut town = Town::complete();
    let job = town.start(1);
    town.at_work(0, job);
    town.lose(1);
    for party in [0, 2] {
        assert!(matches!(town.heard(party).as_slice(), [ToParty::Stop(stop)] if stop.code == StopCode::Peer));
        town.say(party, failed(party, job, 1, Code::Peer));
    }
    assert_eq!(town.state(job), JobState::Failed);
    assert_eq!(town.refusals(job), [(None, Code::Peer)], "who was lost, and not what the others felt of it");
    let reason = town.scheduler.status(job).expect("on record").refusals[0].refusal.reason.clone();
    assert!(reason.contains("`energy`"), "{reason}");

    let next = town.submit(2);
    let status = town.scheduler.status(next).expect("on record");
    assert_eq!((status.state, status.waiting_for), (JobState::Queued, vec!["energy".to_string()]));
    town.seat(1);
    assert_eq!(town.state(next), JobState::Offered);
}

#[test]
fn the_others_last_words_are_awaited_for_a_moment_only() {
    let mut town = Town::complete();
    let job = town.start(1);
    town.at_work(2, job);
    town.lose(1);
    assert_eq!(town.state(job), JobState::Running);
    town.wait(1);
    assert_eq!(town.refusals(job), [(None, Code::Peer)]);
}

#[test]
fn causes_are_shown_and_their_consequences_are_not() {
    let mut town = Town::complete();
    for (number, said, shown) in [
        (1, [Code::Peer, Code::Peer, Code::Data], vec![by(2, Code::Data)]),
        (2, [Code::Data, Code::Peer, Code::Data], vec![by(0, Code::Data), by(2, Code::Data)]),
        (3, [Code::Peer, Code::Deadline, Code::Peer], vec![by(1, Code::Deadline)]),
        (4, [Code::Peer, Code::Desync, Code::Internal], vec![by(2, Code::Internal), by(1, Code::Desync)]),
        (5, [Code::Peer, Code::Desync, Code::Peer], vec![by(1, Code::Desync)]),
        (6, [Code::Peer, Code::Peer, Code::Peer], vec![by(0, Code::Peer), by(1, Code::Peer), by(2, Code::Peer)]),
    ] {
        let job = town.start(number);
        town.at_work(0, job);
        (0..3).for_each(|party| town.say(party, failed(party, job, 1, said[party])));
        assert_eq!(town.refusals(job), shown, "{said:?}");
        // What the others are told does not depend on what the first one said.
        let stops: Vec<ToParty> = (1..3).flat_map(|party| town.heard(party)).filter(|f| matches!(f, ToParty::Stop(_))).collect();
        assert!(stops.iter().all(|f| matches!(f, ToParty::Stop(stop) if stop.code == StopCode::Peer)), "{stops:?}");
    }
}

#[test]
fn a_party_that_has_sealed_may_go() {
    let mut town = Town::complete();
    let job = town.start(1);
    town.say(1, sealed(1, job, 1, SID));
    town.lose(1);
    town.say(0, sealed(0, job, 1, SID));
    town.say(2, sealed(2, job, 1, SID));
    assert_eq!(town.state(job), JobState::Done);
}

#[test]
fn different_plans_sessions_and_broken_notes_end_the_attempt() {
    let mut town = Town::complete();
    let job = town.submit(1);
    (0..3).for_each(|party| town.say(party, accept(party, job, 1, if party == 2 { SID } else { PLAN })));
    assert_eq!(town.refusals(job), [(None, Code::Plan)]);

    let job = town.start(2);
    (0..3).for_each(|party| town.say(party, sealed(party, job, 1, if party == 2 { PLAN } else { SID })));
    assert_eq!(town.refusals(job), [(None, Code::Desync)]);

    let job = town.submit(3);
    town.say(0, accept(1, job, 1, PLAN));
    assert!(town.lines[0].as_mut().expect("a line").try_recv().is_ok(), "the offer");
    assert!(!town.scheduler.city(town.now).parties[0].connected, "another party's signature ends the connection");
    town.wait(3);
    assert_eq!((town.state(job), town.refusals(job)), (JobState::Queued, vec![(None, Code::Peer)]), "until it is back");
}

#[test]
fn late_and_early_words_change_nothing() {
    let mut town = Town::complete();
    let job = town.start(1);
    town.say(0, failed(0, job, 2, Code::Data));
    town.say(0, sealed(0, job, 2, SID));
    town.say(0, accept(0, job, 1, SID));
    town.say(0, accept(0, QueryId(SID), 1, PLAN));
    assert_eq!(town.state(job), JobState::Running);
    (0..3).for_each(|party| town.say(party, sealed(party, job, 1, SID)));
    town.say(0, failed(0, job, 1, Code::Data));
    assert_eq!(town.state(job), JobState::Done);
}

#[test]
fn jobs_run_one_at_a_time_in_the_order_they_came() {
    let mut town = Town::complete();
    let jobs: Vec<QueryId> = (1..4).map(|number| town.submit(number)).collect();
    let ahead: Vec<_> = jobs.iter().map(|job| town.scheduler.status(*job).expect("on record").ahead).collect();
    assert_eq!(ahead, [None, Some(0), Some(1)]);
    for job in &jobs {
        assert_eq!(town.state(*job), JobState::Offered);
        town.say(0, refuse(0, *job, 1, Code::Busy));
        town.wait(3);
    }
    let listed: Vec<QueryId> = town.scheduler.list().iter().map(|status| status.job).collect();
    assert_eq!(listed, jobs.iter().rev().copied().collect::<Vec<_>>(), "the newest first");
}

#[test]
fn queues_are_bounded_and_a_query_sent_twice_is_one_job() {
    let mut town = Town::with(Limits { queued: 3, queued_per_planner: 2, ..Limits::default() });
    let first = town.submit(1);
    assert_eq!(town.submit(1), first);
    town.submit(2);
    let refusal = town.try_submit(PLANNER, 3).expect_err("the planner's quota");
    assert_eq!(refusal.code, Code::Busy);
    assert!(refusal.reason.contains(PLANNER), "{refusal}");
    town.try_submit("press-office", 4).expect("another planner's");
    assert_eq!(town.try_submit("press-office", 5).expect_err("the queue").code, Code::Busy);
    town.scheduler.cancel(first, town.now).expect("cancelled");
    town.try_submit("press-office", 5).expect("room again");
}

#[test]
fn a_cancelled_job_stops_at_the_parties() {
    let mut town = Town::complete();
    let (running, queued) = (town.start(1), town.submit(2));
    for job in [queued, running, running] {
        assert_eq!(town.scheduler.cancel(job, town.now).expect("cancelled").state, JobState::Cancelled);
    }
    for party in 0..3 {
        assert!(matches!(town.heard(party).as_slice(), [ToParty::Stop(stop)] if stop.code == StopCode::Cancelled));
    }
    assert_eq!(town.refusals(queued), [(None, Code::Cancelled)]);
    assert_eq!(town.scheduler.cancel(QueryId(SID), town.now).expect_err("unknown").code, Code::NotFound);
    let next = town.submit(3);
    assert_eq!(town.state(next), JobState::Offered);
}

#[test]
fn after_a_restart_what_waited_waits_and_what_ran_is_tried_again() {
    let mut town = Town::complete();
    let done = town.start(1);
    (0..3).for_each(|party| town.say(party, sealed(party, done, 1, SID)));
    let (ran, waits) = (town.start(2), town.submit(3));
    let mut town = town.restart();
    assert_eq!(town.scheduler.sealed(done).expect("still there").sealed.len(), 3);
    assert_eq!((town.state(ran), town.state(waits)), (JobState::Queued, JobState::Queued));
    (0..3).for_each(|party| town.seat(party));
    let frames = town.heard(0);
    assert!(matches!(frames.as_slice(), [ToParty::Offer(offer)] if offer.job == ran && offer.attempt == 2), "{frames:?}");
    town.say(0, refuse(0, ran, 2, Code::Busy));
    town.wait(3);
    assert!(matches!(town.heard(1).as_slice(), [_, ToParty::Stop(_), ToParty::Offer(o)] if o.job == waits && o.attempt == 1));
}

#[test]
fn after_a_restart_absent_parties_are_waited_for_only_so_long() {
    let mut town = Town::complete();
    let (ran, waits) = (town.start(1), town.submit(2));
    let mut town = town.restart();
    town.seat(0);
    town.wait(59);
    assert_eq!(town.state(ran), JobState::Queued);
    town.wait(1);
    assert_eq!(town.refusals(ran), [(None, Code::Peer)]);
    let reason = town.scheduler.status(ran).expect("on record").refusals[0].refusal.reason.clone();
    assert!(reason.contains("energy, health"), "{reason}");
    assert_eq!(town.state(waits), JobState::Queued);
}

#[test]
fn a_job_that_ends_the_coordinator_again_and_again_is_given_up() {
    let mut town = Town::complete();
    let job = town.submit(1);
    for _ in 0..3 {
        assert_eq!(town.state(job), JobState::Offered);
        town = town.restart();
        (0..3).for_each(|party| town.seat(party));
    }
    assert_eq!(town.refusals(job), [(None, Code::Internal)]);
}

#[test]
fn queries_lapse_and_finished_jobs_are_removed() {
    let mut town = Town::new();
    let waits = town.submit(1);
    town.wait(600);
    assert_eq!(town.refusals(waits), [(None, Code::Expired)]);
    let removal = town.scheduler.status(waits).expect("on record").expires;
    assert_eq!(removal, START + 600 + 24 * 3600);
    town.wait(24 * 3600 - 1);
    assert!(town.scheduler.status(waits).is_ok());
    town.wait(1);
    assert_eq!(town.scheduler.status(waits).expect_err("removed").code, Code::NotFound);
    assert!(town.scheduler.follow(waits, 0).is_err());
    assert!(town.restart().scheduler.list().is_empty());
}

#[test]
fn a_party_with_another_catalogue_is_not_asked() {
    let mut town = Town::complete();
    town.lose(2);
    let waits = town.submit(1);
    let theirs = testing::CATALOG.replacen("max = 9 }", "max = 8 }", 1);
    for (catalog, says) in [
        (Some(theirs), "`health` has another catalogue than the coordinator: health.visits.n is declared otherwise"),
        (Some("[".into()), "`health` has another catalogue than the coordinator"),
        (None, "`health` has another catalogue than the coordinator"),
    ] {
        town.connect(2);
        town.say(2, testing::ready_with(SID, catalog));
        assert_eq!(town.scheduler.status(waits).expect("on record").waiting_for, ["health"]);
        let status = town.scheduler.city(town.now).parties.remove(2);
        assert!(status.connected && status.trouble.as_ref().is_some_and(|t| t.starts_with(says)), "{status:?}");
        let refusal = town.try_submit(PLANNER, 2).expect_err("it would wait for nobody knows what");
        assert!(refusal.code == Code::Catalog && refusal.reason.starts_with(says), "{refusal}");
    }
    // of one that is not there, or has not said yet, nothing is known
    town.connect(2);
    town.submit(2);
    town.say(2, ready(CATALOG_HASH));
    assert!(town.scheduler.status(waits).expect("on record").waiting_for.is_empty());
}

#[test]
fn an_old_connection_cannot_speak_or_end_for_the_new_one() {
    let mut town = Town::complete();
    let job = town.start(1);
    town.at_work(0, job);
    let old = town.scheduler.seats[1].link.as_ref().map_or(0, |link| link.epoch);
    town.seat(1);
    assert_eq!(town.state(job), JobState::Running, "the others are heard first");
    town.wait(1);
    assert_eq!(town.refusals(job), [(None, Code::Peer)], "what ran under the old connection is over");
    let next = town.submit(2);
    town.scheduler.frame(1, old, refuse(1, next, 1, Code::Data), town.now);
    town.scheduler.lost(1, old, "its connection ended", town.now);
    (0..3).for_each(|party| town.say(party, accept(party, next, 1, PLAN)));
    assert_eq!(town.state(next), JobState::Running);
}

#[test]
fn a_party_must_begin_with_ready_and_drain_its_frames() {
    let mut town = Town::complete();
    let (to_party, _line) = mpsc::channel(1);
    town.scheduler.connected(0, 99, to_party, town.now);
    town.say(0, accept(0, QueryId(SID), 1, PLAN));
    assert!(!town.scheduler.city(town.now).parties[0].connected);

    let (to_party, _line) = mpsc::channel(1);
    town.scheduler.connected(0, 100, to_party, town.now);
    town.say(0, ready(CATALOG_HASH));
    let job = town.submit(1);
    (0..3).for_each(|party| town.say(party, accept(party, job, 1, PLAN)));
    assert!(!town.scheduler.city(town.now).parties[0].connected, "offer and start, and room for one frame");
    town.wait(1);
    assert_eq!((town.state(job), town.refusals(job)), (JobState::Queued, vec![(None, Code::Peer)]));
}

#[test]
fn metrics_read_as_prometheus_wants_them() {
    let mut town = Town::complete();
    let job = town.start(1);
    town.scheduler.cancel(job, town.now).expect("cancelled");
    town.lose(2);
    let text = town.scheduler.metrics();
    for line in [
        "tacit_coordinator_jobs{state=\"queued\"} 0",
        "tacit_coordinator_jobs_ended_total{outcome=\"cancelled\"} 1",
        "tacit_coordinator_party_connected{party=\"health\"} 0",
        "tacit_coordinator_party_connected{party=\"energy\"} 1",
        "tacit_coordinator_records 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}
