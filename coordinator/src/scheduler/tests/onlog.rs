//! Jobs that stand on the city's log: what is entered, when, and what becomes of them if it is not.

use super::*;
use crate::testing::{entry, with_entry};
use ledger::contract::Decimal;
use ledger::entry::{Abort, Body, Debit, Entry, Outcome, Start as Started};
use query::message::mirror::Refused;

impl Town {
    fn submit_on_log(&mut self, number: u8) -> QueryId {
        let query = testing::query(number, self.now.unix(), CATALOG_HASH);
        let note = sign(&query);
        let job = QueryId::of(&note);
        let submitted = Submit { note, entry: Some(entry(job)) };
        self.scheduler.submit(job, &query, &submitted, self.now).expect("submitted");
        self.scheduler.tick(self.now);
        job
    }

    /// All accept; says what the log is to take.
    fn accepted(&mut self, job: QueryId, attempt: u32) -> Vec<ForLog> {
        for party in 0..3 {
            let start = Body::Start(Started { job: job.0, attempt: attempt.into(), plan_hash: PLAN });
            self.say(party, with_entry(party, accept(party, job, attempt, PLAN), &start));
        }
        self.scheduler.for_log()
    }

    fn entered(&mut self, job: QueryId, attempt: u32, result: Result<&str, &str>) {
        let result = result.map(Into::into).map_err(|code| Refused::new(code, "it may not"));
        self.scheduler.entered(job, attempt, result, self.now);
        self.scheduler.tick(self.now);
    }

    fn runs(&mut self, number: u8) -> QueryId {
        let job = self.submit_on_log(number);
        assert_eq!(self.accepted(job, 1).len(), 1);
        self.entered(job, 1, Ok("a checkpoint"));
        assert_eq!(self.state(job), JobState::Running);
        (0..3).for_each(|party| drop(self.heard(party)));
        job
    }

    fn all_sealed(&mut self, job: QueryId) -> Vec<ForLog> {
        for party in 0..3 {
            self.say(party, result(party, job, SID));
        }
        self.scheduler.for_log()
    }
}

fn result(party: usize, job: QueryId, result: Hash) -> FromParty {
    with_entry(party, sealed(party, job, 1, SID), &Body::Result(Outcome { job: job.0, attempt: 1, result }))
}

/// The kinds of a step's entries, each with the number of its signatures.
fn kinds(step: &[ForLog]) -> Vec<(&'static str, usize)> {
    let [ForLog::Step { entries, .. }] = step else { panic!("one step: {step:?}") };
    let kind = |entry: &String| Entry::parse(entry.as_bytes()).map(|entry| (entry.body.kind(), entry.signatures.len())).expect("an entry");
    entries.iter().map(kind).collect()
}

#[test]
fn a_job_runs_once_its_start_is_on_the_log_and_is_done_once_its_result_is() {
    let mut town = Town::complete();
    let job = town.submit_on_log(1);
    let ToParty::Offer(offer) = town.heard(0).remove(0) else { panic!("an offer") };
    assert_eq!(offer.entry, Some(entry(job)));
    (1..3).for_each(|party| drop(town.heard(party)));
    let debit = Debit {
        job: job.0,
        dataset: "energy.use".into(),
        contract: SID,
        month: "2026-11".into(),
        uses: 1,
        epsilon: 0,
        delta: Decimal(0),
        noise: None,
    };
    let start = Body::Start(Started { job: job.0, attempt: 1, plan_hash: PLAN });
    town.say(0, with_entry(0, accept(0, job, 1, PLAN), &start));
    town.say(2, with_entry(2, accept(2, job, 1, PLAN), &start));
    assert_eq!(town.scheduler.for_log(), [], "not before all have accepted");
    town.say(1, with_entry(1, with_entry(1, accept(1, job, 1, PLAN), &Body::Debit(debit)), &start));
    assert_eq!(kinds(&town.scheduler.for_log()), [("job-query", 1), ("job-debit", 1), ("job-start", 3)]);
    assert!((0..3).all(|party| town.heard(party).is_empty()), "nobody starts before it stands");
    town.entered(job, 1, Ok("a checkpoint"));
    for party in 0..3 {
        assert_eq!(town.heard(party), [ToParty::Start(Start { job, attempt: 1, checkpoint: Some("a checkpoint".into()) })]);
    }
    assert_eq!(kinds(&town.all_sealed(job)), [("job-result", 3)]);
    assert_eq!(town.state(job), JobState::Running);
    assert_eq!(town.scheduler.sealed(job).expect_err("not before it stands").code, Code::NotReady);
    // An agency is away: the log has it all the same.
    town.entered(job, 1, Err("E_LEDGER_QUORUM"));
    assert_eq!(kinds(&town.scheduler.for_log()), [("job-result", 3)]);
    town.entered(job, 1, Ok("another checkpoint"));
    assert_eq!(town.state(job), JobState::Done);
    assert_eq!(town.scheduler.sealed(job).expect("done").sealed.len(), 3);
}

#[test]
fn what_is_refused_is_not_entered_and_what_is_not_entered_does_not_start() {
    let mut town = Town::complete();
    let job = town.submit_on_log(1);
    town.say(0, refuse(0, job, 1, Code::NoConsent));
    assert_eq!(town.accepted(job, 1), [], "a refusal costs nobody anything");
    assert_eq!(town.refusals(job), [by(0, Code::NoConsent)]);

    for (number, code, shown) in
        [(2, "E_REVOKED", Code::Revoked), (3, "E_LEDGER_RULE", Code::LedgerRule), (4, "E_LEDGER_FULL", Code::Ledger)]
    {
        let job = town.submit_on_log(number);
        assert_eq!(town.accepted(job, 1).len(), 1);
        (0..3).for_each(|party| drop(town.heard(party)));
        town.entered(job, 1, Err(code));
        assert_eq!(town.refusals(job), [(None, shown)]);
        assert!(matches!(town.heard(0).as_slice(), [ToParty::Stop(_)]), "nobody holds on to it");
    }

    // One signed another start than the others, or something else.
    let job = town.submit_on_log(5);
    let odd = Body::Start(Started { job: job.0, attempt: 9, plan_hash: PLAN });
    town.say(0, with_entry(0, accept(0, job, 1, PLAN), &odd));
    assert_eq!(town.accepted(job, 1), []);
    assert_eq!(town.refusals(job), [(None, Code::LedgerEntry)]);
    // Nobody signed any.
    let job = town.submit_on_log(6);
    (0..3).for_each(|party| town.say(party, accept(party, job, 1, PLAN)));
    assert_eq!((town.scheduler.for_log(), town.refusals(job)), (vec![], vec![(None, Code::LedgerEntry)]));
}

#[test]
fn an_attempt_that_ends_while_it_is_entered_is_ended_there_too() {
    let mut town = Town::complete();
    let job = town.submit_on_log(1);
    town.accepted(job, 1);
    town.lose(1);
    assert_eq!(town.state(job), JobState::Queued, "nothing was shared");
    (0..3).filter(|party| *party != 1).for_each(|party| drop(town.heard(party)));
    town.entered(job, 1, Ok("a checkpoint"));
    assert!(matches!(town.heard(0).as_slice(), [ToParty::Stop(stop)] if (stop.attempt, stop.code) == (1, StopCode::Peer)));
    // Told so, a party signs the end; with the next attempt it comes along as well.
    let abort = Body::Abort(Abort { job: job.0, attempt: 1, code: "E_PEER".into() });
    town.say(0, with_entry(0, failed(0, job, 1, Code::Peer), &abort));
    assert!(matches!(&town.scheduler.for_log()[..], [ForLog::Abort(_)]));
    town.seat(1);
    town.wait(1);
    let start = Body::Start(Started { job: job.0, attempt: 2, plan_hash: PLAN });
    for party in 0..3 {
        town.say(party, with_entry(party, with_entry(party, accept(party, job, 2, PLAN), &abort), &start));
    }
    let step = kinds(&town.scheduler.for_log());
    assert_eq!(step, [("job-query", 1), ("job-abort", 1), ("job-abort", 1), ("job-abort", 1), ("job-start", 3)]);

    // They are told why.
    let mut town = Town::complete();
    let job = town.submit_on_log(1);
    town.accepted(job, 1);
    town.scheduler.cancel(job, town.now).expect("cancelled");
    town.heard(0);
    town.entered(job, 1, Ok("a checkpoint"));
    assert!(matches!(town.heard(0).as_slice(), [ToParty::Stop(stop)] if (stop.attempt, stop.code) == (1, StopCode::Cancelled)));
}

#[test]
fn the_end_on_the_log_names_the_cause_and_not_what_the_others_felt_of_it() {
    let end = |code: Code, job: QueryId| Body::Abort(Abort { job: job.0, attempt: 1, code: code.to_string() });
    let say = |town: &mut Town, party, job, code| town.say(party, with_entry(party, failed(party, job, 1, code), &end(code, job)));
    let entered = |town: &mut Town| {
        let log = town.scheduler.for_log();
        let [ForLog::Abort(ends)] = &log[..] else { panic!("one end: {log:?}") };
        let code = |note: &String| match Entry::parse(note.as_bytes()).expect("an entry").body {
            Body::Abort(abort) => abort.code,
            other => panic!("a {}", other.kind()),
        };
        ends.iter().map(code).collect::<Vec<_>>()
    };
    let mut town = Town::complete();
    // Whoever speaks first.
    for (number, order) in [(1, [0, 1, 2]), (2, [1, 0, 2]), (3, [1, 2, 0])] {
        let job = town.runs(number);
        for (at, party) in order.into_iter().enumerate() {
            assert_eq!(town.scheduler.for_log(), [], "{at} of three have said why");
            town.at_work(party, job);
            say(&mut town, party, job, if party == 0 { Code::Difference } else { Code::Peer });
        }
        assert_eq!(entered(&mut town), ["E_DIFFERENCE", "E_PEER", "E_PEER"], "{order:?}");
        assert_eq!(town.refusals(job), [by(0, Code::Difference)]);
    }

    // Who says nothing is not waited for longer than for its reason.
    let job = town.runs(4);
    town.at_work(1, job);
    say(&mut town, 1, job, Code::Peer);
    assert_eq!(town.scheduler.for_log(), []);
    town.wait(1);
    assert_eq!(entered(&mut town), ["E_PEER"]);
    // What comes later is entered as it comes: the log takes it if it has no end yet.
    say(&mut town, 0, job, Code::Difference);
    assert_eq!(entered(&mut town), ["E_DIFFERENCE"]);

    // Who takes the question back meanwhile keeps no end from the log, nor does a party that is lost before anything was shared.
    let job = town.runs(5);
    town.at_work(1, job);
    say(&mut town, 1, job, Code::Data);
    town.scheduler.cancel(job, town.now).expect("cancelled");
    assert_eq!(entered(&mut town), ["E_DATA"]);
    let job = town.runs(6);
    town.lose(2);
    say(&mut town, 0, job, Code::Peer);
    say(&mut town, 1, job, Code::Peer);
    assert_eq!((town.state(job), entered(&mut town)), (JobState::Queued, vec!["E_PEER".to_owned(), "E_PEER".to_owned()]));
}

#[test]
fn a_result_that_the_log_does_not_take_is_not_handed_out() {
    let mut town = Town::complete();
    let job = town.runs(1);
    assert_eq!(town.all_sealed(job).len(), 1);
    town.entered(job, 1, Err("E_REVOKED"));
    assert_eq!(town.refusals(job), [(None, Code::Revoked)]);
    assert_eq!(town.scheduler.sealed(job).expect_err("no result").code, Code::Revoked);
    // Different results are none.
    let job = town.runs(2);
    (0..3).for_each(|party| town.say(party, result(party, job, if party == 2 { PLAN } else { SID })));
    assert_eq!((town.scheduler.for_log(), town.refusals(job)), (vec![], vec![(None, Code::LedgerEntry)]));
}

#[test]
fn a_result_that_was_on_its_way_when_the_coordinator_ended_is_entered_again() {
    let mut town = Town::complete();
    let job = town.runs(1);
    assert_eq!(town.all_sealed(job).len(), 1);
    let mut town = town.restart();
    (0..3).for_each(|party| town.seat(party));
    for party in 0..3 {
        town.say(party, result(party, job, SID));
        town.say(party, refuse(party, job, 2, Code::Replay));
    }
    assert_eq!(kinds(&town.scheduler.for_log()), [("job-result", 3)]);
    town.entered(job, 1, Ok("a checkpoint"));
    assert_eq!((town.state(job), town.scheduler.status(job).expect("on record").attempt), (JobState::Done, 1));
}

#[test]
fn what_was_cut_off_on_the_log_and_is_not_tried_again_is_ended_there() {
    let mut town = Town::complete();
    let job = town.submit_on_log(1);
    // Its start is on its way into the log; whether it got there, a coordinator that starts again does not know.
    town.accepted(job, 1);
    let mut town = town.restart();
    town.now.unix_ms += 600_000;
    town.seat(0);
    town.wait(1);
    assert_eq!(town.state(job), JobState::Queued, "it has expired, and those who could sign the end are not all there");
    (1..3).for_each(|party| town.seat(party));
    town.wait(1);
    assert_eq!(town.refusals(job), [(None, Code::Expired)]);
    for party in 0..3 {
        assert!(matches!(town.heard(party).as_slice(), [ToParty::Stop(stop)] if stop.job == job && stop.attempt == 1), "{party}");
    }
    let abort = Body::Abort(Abort { job: job.0, attempt: 1, code: "E_CANCELLED".into() });
    town.say(2, with_entry(2, failed(2, job, 1, Code::Cancelled), &abort));
    assert!(matches!(&town.scheduler.for_log()[..], [ForLog::Abort(_)]));

    // Those who come back in time sign for those who do not.
    let mut town = Town::complete();
    let job = town.submit_on_log(1);
    town.accepted(job, 1);
    let mut town = town.restart();
    town.seat(1);
    town.wait(60);
    assert_eq!(town.refusals(job), [(None, Code::Peer)]);
    assert!(matches!(town.heard(1).as_slice(), [ToParty::Stop(stop)] if stop.attempt == 1));
}
