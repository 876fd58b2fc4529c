//! Jobs that are tried again: after a loss before anything was shared, and after a restart of the coordinator.

use super::*;

#[test]
fn a_party_lost_before_anything_is_shared_is_waited_for() {
    let mut town = Town::complete();
    // Dead when it was offered, and noticed only then.
    let job = town.submit(1);
    town.say(0, accept(0, job, 1, PLAN));
    town.lose(1);
    town.say(2, accept(2, job, 1, PLAN));
    let status = town.scheduler.status(job).expect("on record");
    assert_eq!((status.state, status.attempt, status.waiting_for), (JobState::Queued, 1, vec!["energy".to_string()]));
    assert_eq!(town.refusals(job), [(None, Code::Peer)], "why the last attempt ended");
    for party in [0, 2] {
        assert!(matches!(town.heard(party).last(), Some(ToParty::Stop(stop)) if stop.attempt == 1), "nobody holds on to the attempt");
    }
    // Another planner's job does not overtake it.
    let next = town.submit(2);
    town.wait(1);
    town.seat(1);
    assert_eq!((town.state(job), town.state(next)), (JobState::Offered, JobState::Queued));
    // Lost again while the parties meet.
    (0..3).for_each(|party| town.say(party, accept(party, job, 2, PLAN)));
    town.at(0, job, Stage::Session);
    town.say(0, failed(0, job, 2, Code::Peer));
    town.say(1, failed(1, job, 2, Code::Peer));
    town.say(2, failed(2, job, 2, Code::Peer));
    assert_eq!(town.state(job), JobState::Queued);
    assert_eq!(town.state(next), JobState::Offered, "others need not wait for it");
    (0..3).for_each(|party| town.say(party, accept(party, next, 1, PLAN)));
    (0..3).for_each(|party| town.say(party, sealed(party, next, 1, SID)));
    town.wait(2);
    (0..3).for_each(|party| town.say(party, accept(party, job, 3, PLAN)));
    (0..3).for_each(|party| town.say(party, sealed(party, job, 3, SID)));
    let status = town.scheduler.status(job).expect("on record");
    assert_eq!((status.state, status.attempt, status.refusals), (JobState::Done, 3, vec![]));
}

#[test]
fn a_job_that_loses_parties_again_and_again_is_given_up() {
    let mut town = Town::complete();
    let job = town.submit(1);
    for attempt in 1..=3 {
        (0..3).for_each(|party| town.say(party, accept(party, job, attempt, PLAN)));
        (0..3).for_each(|party| drop(town.heard(party)));
        assert_eq!(town.state(job), JobState::Running);
        town.say(2, failed(2, job, attempt, Code::Peer));
        (0..2).for_each(|party| town.say(party, failed(party, job, attempt, Code::Peer)));
        town.wait(attempt.into());
    }
    assert_eq!(town.state(job), JobState::Failed);
    assert_eq!(town.refusals(job).len(), 3, "nobody knows who was lost, so all are shown");
    // One whose time is over is not tried again either.
    let job = town.submit(2);
    town.now.unix_ms += 600_000;
    town.lose(0);
    town.wait(3);
    assert_eq!(town.state(job), JobState::Failed);
}

#[test]
fn results_of_the_attempt_that_a_restart_cut_off_are_the_answer() {
    let mut town = Town::complete();
    let job = town.start(1);
    town.say(0, sealed(0, job, 1, SID));
    let mut town = town.restart();
    (0..3).for_each(|party| town.seat(party));
    assert_eq!(town.scheduler.status(job).expect("on record").attempt, 2, "offered again");
    // Each party answers a query once: it sends what it has, and refuses the new attempt.
    for party in 0..3 {
        assert_eq!(town.state(job), JobState::Offered);
        town.say(party, sealed(party, job, 1, SID));
        town.say(party, refuse(party, job, 2, Code::Replay));
    }
    let status = town.scheduler.status(job).expect("on record");
    assert_eq!((status.state, status.attempt, status.refusals), (JobState::Done, 1, vec![]));
    let results = town.scheduler.sealed(job).expect("done");
    assert_eq!((results.attempt, results.sealed.len()), (1, 3));
    assert_eq!(town.restart().state(job), JobState::Done);
}

#[test]
fn results_of_another_attempt_plan_or_session_are_not() {
    let mut town = Town::complete();
    let job = town.start(1);
    let mut town = town.restart();
    (0..3).for_each(|party| town.seat(party));
    town.say(0, sealed(0, job, 7, SID));
    for party in 0..3 {
        town.say(party, sealed(party, job, 1, if party == 2 { PLAN } else { SID }));
        town.say(party, refuse(party, job, 2, Code::Replay));
    }
    assert_eq!(town.refusals(job), [by(0, Code::Replay), by(1, Code::Replay), by(2, Code::Replay)]);
}
