use super::*;
use crate::entry::{Abort, Debit, Exhibit, HandOver, Outcome, Revoke, Start};
use crate::evidence::Evidence;
use crate::testing::*;

fn founded() -> Replay {
    let mut replay = replay();
    founding().iter().for_each(|entry| replay.admit(entry.as_bytes()).expect("it may stand"));
    replay
}

fn after(entries: &[String]) -> Replay {
    let mut replay = founded();
    entries.iter().for_each(|entry| replay.admit(entry.as_bytes()).expect("it may stand"));
    replay
}

#[track_caller]
fn refused(replay: &Replay, entry: &str, code: &str) {
    let mut replay = replay.clone();
    let size = replay.size();
    let error = replay.admit(entry.as_bytes()).expect_err("refused");
    assert_eq!((error.code(), replay.size()), (code, size), "{error}");
}

#[test]
fn a_job_goes_from_question_to_result() {
    let replay = after(&job("one"));
    let done = replay.job(&hash("one")).expect("the job");
    assert_eq!((done.planner.as_str(), done.attempt, done.phase), (PLANNER, 1, Phase::Done { result: hash("result") }));
    assert_eq!(done.debits.values().map(|debit| debit.epsilon).sum::<u64>(), 1_000_000);
    assert_eq!((done.asked, done.answered), (8, Some(12)));
    assert_eq!((replay.size(), replay.agencies().len(), replay.quorum()), (13, 3, 3));
}

#[test]
fn no_entry_stands_twice() {
    let mut replay = replay();
    let mut entries = founding();
    entries.extend(job("one"));
    for (at, entry) in entries.iter().enumerate() {
        replay.admit(entry.as_bytes()).expect("it may stand");
        for old in &entries[..=at] {
            // A start after its result is out of order, everything else a repetition.
            assert!(replay.clone().admit(old.as_bytes()).is_err());
        }
    }
    for at in [0, 4, 5, 8, 9, 11] {
        refused(&replay, &entries[at], "E_LEDGER_REPLAY");
    }
}

#[test]
fn the_steps_of_a_job_keep_their_order() {
    let steps = job("one");
    // Each step needs the ones before it; only the two debits may change places.
    for (skipped, later) in [(0, 1), (1, 3), (2, 3), (0, 3), (3, 4)] {
        let without: Vec<String> =
            steps[..later].iter().enumerate().filter(|(at, _)| *at != skipped).map(|(_, step)| step.clone()).collect();
        let mut replay = founded();
        let stopped = without.iter().any(|entry| replay.admit(entry.as_bytes()).is_err());
        assert!(stopped || replay.admit(steps[later].as_bytes()).is_err(), "step {later} without {skipped}");
    }
    let swapped = [steps[0].clone(), steps[2].clone(), steps[1].clone(), steps[3].clone()];
    after(&swapped);
}

#[test]
fn everything_is_signed_by_those_it_binds() {
    let replay = after(&job("one")[..3]);
    let start = |by: &[&str]| signed(Body::Start(Start { job: hash("one"), attempt: 1, plan_hash: hash("plan") }), by);
    refused(&replay, &start(&["energy", "health"]), "E_LEDGER_SIGNATURE");
    refused(&replay, &start(&["energy", "transport", "health", "stranger"]), "E_LEDGER_SIGNATURE");
    let running = after(&job("one")[..4]);
    refused(
        &running,
        &signed(Body::Result(Outcome { job: hash("one"), attempt: 1, result: hash("r") }), &["energy"]),
        "E_LEDGER_SIGNATURE",
    );
    refused(
        &running,
        &signed(Body::Abort(Abort { job: hash("one"), attempt: 1, code: "E_X".into() }), &["stranger"]),
        "E_LEDGER_SIGNATURE",
    );
    let asked = after(&job("one")[..1]);
    refused(&asked, &signed(Body::Debit(debit("one", DATASETS[0])), &["health"]), "E_LEDGER_SIGNATURE");
    let founded = founded();
    refused(&founded, &signed(Body::Query(query("two")), &["energy"]), "E_LEDGER_SIGNATURE");
    refused(
        &founded,
        &signed(Body::Revoke(Revoke { contract: id(&contract(DATASETS[0], 1)), reason: None }), &["health"]),
        "E_LEDGER_SIGNATURE",
    );
    // A member's name with another key, and a member's signature over something else.
    let forged = Body::Query(query("two")).sign(PLANNER, &key("thief")).expect("signed");
    refused(&founded, &forged, "E_LEDGER_SIGNATURE");
    let other = signed(Body::Query(query("two")), &[PLANNER]);
    let moved = format!(
        "{}\n\n{}",
        signed(Body::Query(query("three")), &[PLANNER]).split_once("\n\n").expect("parts").0,
        other.split_once("\n\n").expect("parts").1
    );
    refused(&founded, &moved, "E_LEDGER_SIGNATURE");
}

#[test]
fn a_debit_is_of_a_data_set_the_job_reads_under_its_contract() {
    let asked = after(&job("one")[..1]);
    let debit = |change: &dyn Fn(&mut Debit)| {
        let mut debit = debit("one", DATASETS[0]);
        change(&mut debit);
        signed(Body::Debit(debit), &["energy"])
    };
    refused(&asked, &debit(&|d| d.dataset = "energy.other".into()), "E_LEDGER_RULE");
    refused(&asked, &debit(&|d| d.contract = id(&contract(DATASETS[1], 1))), "E_LEDGER_RULE");
    refused(&asked, &debit(&|d| d.contract = hash("none")), "E_LEDGER_RULE");
    refused(&asked, &debit(&|d| d.job = hash("none")), "E_LEDGER_RULE");
}

#[test]
fn a_debit_is_within_what_is_left_of_the_month() {
    let asked = after(&job("one")[..1]);
    let debit = |word: &str, change: &dyn Fn(&mut Debit)| {
        let mut debit = debit(word, DATASETS[0]);
        change(&mut debit);
        signed(Body::Debit(debit), &["energy"])
    };
    refused(&asked, &debit("one", &|d| d.epsilon = 1_000_000_001), "E_BUDGET");
    refused(&asked, &debit("one", &|d| d.delta = "0.0000011".parse().expect("a number")), "E_BUDGET");
    refused(&asked, &debit("one", &|d| (d.epsilon, d.delta) = (0, "0".parse().expect("a number"))), "E_BUDGET");
    let mut spent = asked.clone();
    spent.admit(debit("one", &|d| d.epsilon = 999_999_999).as_bytes()).expect("all but a millionth");
    assert_eq!(spent.accounts().all().next().expect("an account").1.epsilon.to_string(), "999.999999");
    // another job: other noise costs more than there is, and next month there is more
    spent.admit(signed(Body::Query(query("two")), &[PLANNER]).as_bytes()).expect("another question");
    refused(&spent, &debit("two", &|_| ()), "E_BUDGET");
    for change in [&(|d: &mut Debit| d.month = "2026-12".into()) as &dyn Fn(&mut Debit), &|d: &mut Debit| d.epsilon = 1] {
        let mut spent = spent.clone();
        spent.admit(debit("two", change).as_bytes()).expect("there is so much");
    }
    // the same noise is free once its answer was given
    let same = |d: &mut Debit| (d.epsilon, d.delta, d.noise) = (0, "0".parse().expect("a number"), Some(hash("one")));
    refused(&spent, &debit("two", &same), "E_BUDGET");
    let mut given = after(&job("one"));
    given.admit(signed(Body::Query(query("two")), &[PLANNER]).as_bytes()).expect("another question");
    given.admit(debit("two", &same).as_bytes()).expect("it was given");
    let exact = |d: &mut Debit| (d.epsilon, d.delta, d.noise) = (0, "0".parse().expect("a number"), None);
    spent.admit(debit("two", &exact).as_bytes()).expect("no noise costs nothing");
}

#[test]
fn two_tables_of_one_domain_share_a_budget() {
    let tables = ["energy.buildings", "energy.meters"];
    let contract = |dataset: &str, month: &str| {
        let dp = serde_json::json!({"epsilon_per_query_max": "1", "epsilon_month": month, "delta": "0.000001", "mode": "required"});
        let terms =
            serde_json::json!({"dataset": dataset, "dp": dp, "entity_domain": "energy.household", "not_after": "2027-01-01T00:00:00Z"});
        signed(Body::Contract(crate::entry::Contract { dataset: dataset.into(), terms }), &["energy"])
    };
    let contracts = [contract(tables[0], "1"), contract(tables[1], "0.6")];
    let columns = vec![entry::Column { name: "kwh".into(), sql_type: "BIGINT".into() }];
    let meters = entry::DataSet { dataset: tables[1].into(), snapshot: hash(tables[1]), columns };
    let mut replay = after(&[contracts[0].clone(), contracts[1].clone(), signed(Body::DataSet(meters), &["energy"])]);
    let ids = contracts.each_ref().map(|contract| id(contract));
    let ask = |replay: &mut Replay, word: &str| {
        let reads = tables.map(|d| entry::Read { dataset: d.into(), snapshot: hash(d), columns: vec!["kwh".into()] }).into();
        take(replay, &[signed(Body::Query(Query { contracts: ids.to_vec(), reads, ..query(word) }), &[PLANNER])]);
    };
    let spends = |word: &str, at: usize, epsilon: u64| {
        signed(Body::Debit(Debit { contract: ids[at], epsilon, ..debit(word, tables[at]) }), &["energy"])
    };
    ask(&mut replay, "one");
    refused(&replay, &spends("one", 0, 700_000), "E_BUDGET");
    take(&mut replay, &[spends("one", 0, 400_000)]);
    // What the one has spent, the other lacks.
    refused(&replay, &spends("one", 1, 200_001), "E_BUDGET");
    let debit = |at: usize, epsilon: u64| Debit { contract: ids[at], epsilon, ..debit("two", tables[at]) };
    assert!(replay.bears(PLANNER, &debit(1, 100_000), &[debit(0, 100_000)]).is_ok());
    assert!(replay.bears(PLANNER, &debit(1, 100_000), &[debit(0, 100_001)]).is_err(), "both are debited by one question");
    take(&mut replay, &[spends("one", 1, 200_000)]);
    ask(&mut replay, "two");
    refused(&replay, &spends("two", 0, 1), "E_BUDGET");
    // Its owner ends the narrower contract: the other one's bound is left.
    take(&mut replay, &[signed(Body::Revoke(Revoke { contract: ids[1], reason: None }), &["energy"])]);
    refused(&replay, &spends("two", 0, 400_001), "E_BUDGET");
    take(&mut replay, &[spends("two", 0, 400_000)]);
}

#[test]
fn a_query_names_contracts_snapshots_and_members_of_the_log() {
    let founded = founded();
    let query = |change: &dyn Fn(&mut Query)| {
        let mut query = query("two");
        change(&mut query);
        signed(Body::Query(query), &[PLANNER])
    };
    refused(&founded, &query(&|q| q.contracts.truncate(1)), "E_LEDGER_RULE");
    refused(&founded, &query(&|q| q.contracts[0] = hash("none")), "E_LEDGER_RULE");
    refused(&founded, &query(&|q| q.reads[0].snapshot = hash("old")), "E_LEDGER_RULE");
    refused(&founded, &query(&|q| q.parties.push("nobody".into())), "E_LEDGER_RULE");
    refused(&founded, &query(&|q| q.receivers = vec!["energy".into()]), "E_LEDGER_RULE");
}

#[test]
fn a_revoked_contract_stops_every_step() {
    let revoke = signed(Body::Revoke(Revoke { contract: id(&contract(DATASETS[0], 1)), reason: None }), &["energy"]);
    let steps = job("one");
    for done in 0..5 {
        let mut replay = after(&steps[..done]);
        replay.admit(revoke.as_bytes()).expect("an owner may always revoke");
        refused(&replay, &revoke, "E_REVOKED");
        if done != 2 {
            refused(&replay, &steps[done], "E_REVOKED");
        }
    }
    // The other owner's debit is his own affair; nothing starts on it.
    let mut replay = after(&steps[..2]);
    [&revoke, &steps[2]].iter().for_each(|entry| replay.admit(entry.as_bytes()).expect("it may stand"));
    refused(&replay, &steps[3], "E_REVOKED");
    assert!(!replay.stands(&id(&contract(DATASETS[0], 1))) && replay.stands(&id(&contract(DATASETS[1], 1))));
    // A new contract over the same data is a new consent.
    replay.admit(contract(DATASETS[0], 2).as_bytes()).expect("a new one");
}

#[test]
fn a_contract_may_let_jobs_that_run_end() {
    let lenient = |dataset: &str| {
        let terms = serde_json::json!({"dataset": dataset, "nonce": 7, "revocation": "new-jobs"});
        signed(Body::Contract(crate::entry::Contract { dataset: dataset.into(), terms }), &[entry::owner(dataset).expect("an owner")])
    };
    let ids: Vec<Hash> = DATASETS.iter().map(|dataset| id(&lenient(dataset))).collect();
    let mut steps: Vec<String> = DATASETS.iter().map(|dataset| lenient(dataset)).collect();
    steps.push(signed(Body::Query(Query { contracts: ids.clone(), ..query("one") }), &[PLANNER]));
    for (contract, dataset) in ids.iter().zip(DATASETS) {
        let debit = Debit { contract: *contract, epsilon: 0, delta: "0".parse().expect("a number"), noise: None, ..debit("one", dataset) };
        steps.push(signed(Body::Debit(debit), &[entry::owner(dataset).expect("an owner")]));
    }
    let revoke = signed(Body::Revoke(Revoke { contract: ids[0], reason: None }), &["energy"]);
    let [.., start, result] = &job("one")[..] else { panic!("five steps") };
    let mut replay = after(&steps);
    replay.admit(revoke.as_bytes()).expect("revoked before the start");
    refused(&replay, start, "E_REVOKED");
    let mut replay = after(&steps);
    [start, &revoke, result].iter().for_each(|entry| replay.admit(entry.as_bytes()).expect("what ran may end"));
    assert!(replay.is_revoked(&ids[0]) && !replay.is_revoked(&ids[1]) && !replay.is_revoked(&hash("none")));
}

#[test]
fn a_failed_attempt_is_followed_by_another_and_costs_nothing_more() {
    let mut replay = after(&job("one")[..4]);
    let abort = |attempt| signed(Body::Abort(Abort { job: hash("one"), attempt, code: "E_PEER_GONE".into() }), &["health"]);
    let start = |attempt| signed(Body::Start(Start { job: hash("one"), attempt, plan_hash: hash("plan") }), &AGENCIES);
    refused(&replay, &start(2), "E_LEDGER_REPLAY");
    refused(&replay, &abort(2), "E_LEDGER_REPLAY");
    replay.admit(abort(1).as_bytes()).expect("given up");
    refused(&replay, &abort(1), "E_LEDGER_REPLAY");
    refused(&replay, &start(1), "E_LEDGER_REPLAY");
    refused(&replay, &signed(Body::Debit(debit("one", DATASETS[0])), &["energy"]), "E_LEDGER_REPLAY");
    refused(&replay, &abort(9), "E_LEDGER_REPLAY");
    replay.admit(start(2).as_bytes()).expect("again");
    assert_eq!(replay.job(&hash("one")).expect("the job").phase, Phase::Running { since: 13 });
}

type Change<'a> = &'a dyn Fn(&mut Debit);

/// A city in which both contracts are for so many answers; the steps of its jobs.
fn limited(most: u64) -> (Replay, impl Fn(&str, Change<'_>) -> Vec<String>) {
    let entry = move |dataset: &str| {
        let terms = serde_json::json!({"dataset": dataset, "nonce": 9, "max_uses": most});
        signed(Body::Contract(crate::entry::Contract { dataset: dataset.into(), terms }), &[entry::owner(dataset).expect("an owner")])
    };
    let contracts = DATASETS.map(entry);
    let ids = contracts.each_ref().map(|contract| id(contract));
    let steps = move |word: &str, change: &dyn Fn(&mut Debit)| {
        let mut steps = vec![signed(Body::Query(Query { contracts: ids.to_vec(), ..query(word) }), &[PLANNER])];
        for (contract, dataset) in ids.iter().zip(DATASETS) {
            let free =
                Debit { contract: *contract, epsilon: 0, delta: "0".parse().expect("a number"), noise: None, ..debit(word, dataset) };
            let mut debit = free;
            change(&mut debit);
            steps.push(signed(Body::Debit(debit), &[entry::owner(dataset).expect("an owner")]));
        }
        steps.extend(job(word).drain(3..));
        steps
    };
    (after(&contracts), steps)
}

fn take(replay: &mut Replay, entries: &[String]) {
    entries.iter().for_each(|entry| replay.admit(entry.as_bytes()).expect("it may stand"));
}

fn abort(word: &str, attempt: u64, code: &str, by: &str) -> String {
    signed(Body::Abort(Abort { job: hash(word), attempt, code: code.into() }), &[by])
}

fn start(word: &str, attempt: u64) -> String {
    signed(Body::Start(Start { job: hash(word), attempt, plan_hash: hash("plan") }), &AGENCIES)
}

#[test]
fn what_is_used_up_starts_nothing() {
    let (mut replay, steps) = limited(2);
    let as_it_is = |_: &mut Debit| ();
    take(&mut replay, &steps("one", &as_it_is));
    // What is asked and not started takes nothing; what runs takes its use.
    take(&mut replay, &steps("two", &as_it_is)[..3]);
    take(&mut replay, &steps("three", &as_it_is)[..4]);
    assert!(replay.used().all(|(_, used)| used == 2) && replay.used().count() == 2);
    refused(&replay, &steps("two", &as_it_is)[3], "E_USED_UP");
    let error = replay.clone().admit(steps("two", &as_it_is)[3].as_bytes()).expect_err("used up").to_string();
    assert!(error.contains("`energy.buildings` is used up: it is for 2 answers in all; ask its owner"), "{error}");
    // It ends without an answer, and another may start; then not the first again.
    take(&mut replay, &[abort("three", 1, "E_PEER", "health"), steps("two", &as_it_is)[3].clone()]);
    refused(&replay, &start("three", 2), "E_USED_UP");
    take(&mut replay, &[abort("two", 1, "E_PEER", "energy"), start("three", 2)]);
    assert!(!replay.has_use(&id(&steps("x", &as_it_is)[0])), "not even a contract");
}

#[test]
fn a_use_is_given_back_by_who_is_needed_for_an_answer_and_has_given_none() {
    let as_it_is = |_: &mut Debit| ();
    for (code, by, back) in [("E_PEER", "transport", true), ("E_CANCELLED", PLANNER, false), (entry::SEALED, "health", false)] {
        let (mut replay, steps) = limited(1);
        take(&mut replay, &steps("one", &as_it_is)[..4]);
        take(&mut replay, &[abort("one", 1, code, by)]);
        assert_eq!(replay.used().count(), if back { 0 } else { 2 }, "{code} by {by}");
        take(&mut replay, &steps("two", &as_it_is)[..3]);
        match back {
            true => take(&mut replay, &steps("two", &as_it_is)[3..]),
            false => refused(&replay, &steps("two", &as_it_is)[3], "E_USED_UP"),
        }
        // The job that kept its use goes on with it, and takes no second.
        if !back {
            take(
                &mut replay,
                &[start("one", 2), signed(Body::Result(Outcome { job: hash("one"), attempt: 2, result: hash("r") }), &AGENCIES)],
            );
            assert!(replay.used().all(|(_, used)| used == 1));
        }
    }
}

#[test]
fn an_answer_that_is_given_again_takes_no_use() {
    let (mut replay, steps) = limited(1);
    let noised = |uses: u64| move |debit: &mut Debit| (debit.uses, debit.noise) = (uses, Some(hash("noise")));
    let (once, again) = (noised(1), noised(0));
    // Not before it was given: asking, and an attempt that ended, is not enough.
    take(&mut replay, &steps("one", &once)[..1]);
    refused(&replay, &steps("one", &again)[1], "E_LEDGER_RULE");
    refused(&replay, &steps("one", &noised(2))[1], "E_LEDGER_RULE");
    take(&mut replay, &steps("one", &once)[1..4]);
    take(&mut replay, &[abort("one", 1, "E_PEER", "health")]);
    take(&mut replay, &steps("two", &once)[..1]);
    refused(&replay, &steps("two", &again)[1], "E_LEDGER_RULE");
    take(&mut replay, &steps("two", &once)[1..]);
    take(&mut replay, &steps("three", &again));
    assert!(replay.used().all(|(_, used)| used == 1));
    take(&mut replay, &steps("four", &once)[..1]);
    for other in [&|debit: &mut Debit| debit.uses = 0, &|debit: &mut Debit| (debit.uses, debit.noise) = (0, Some(hash("other")))]
        as [&dyn Fn(&mut Debit); 2]
    {
        refused(&replay, &steps("four", other)[1], "E_LEDGER_RULE");
    }
    take(&mut replay, &steps("four", &once)[1..3]);
    refused(&replay, &steps("four", &once)[3], "E_USED_UP");
}

#[test]
fn founders_admit_themselves_and_a_quorum_everybody_else() {
    let newcomer = |by: &[&str]| signed(Body::Member(Box::new(member("newcomer"))), by);
    refused(&replay(), &newcomer(&["newcomer"]), "E_LEDGER_SIGNATURE");
    let founded = founded();
    refused(&founded, &newcomer(&["newcomer"]), "E_LEDGER_SIGNATURE");
    refused(&founded, &newcomer(&["energy", "health"]), "E_LEDGER_SIGNATURE");
    let mut grown = founded.clone();
    grown.admit(newcomer(&AGENCIES).as_bytes()).expect("voted in");
    assert!(grown.members().any(|member| member.name == "newcomer"));
    // Removed by a quorum, nobody comes back by himself.
    let mut gone = member(PLANNER);
    gone.standing = Standing::Removed;
    grown.admit(signed(Body::Member(Box::new(gone)), &AGENCIES).as_bytes()).expect("voted out");
    refused(&grown, &signed(Body::Member(Box::new(member(PLANNER))), &[PLANNER]), "E_LEDGER_SIGNATURE");
    refused(&grown, &signed(Body::Query(query("two")), &[PLANNER]), "E_LEDGER_SIGNATURE");
    // Keys are not shared between members, nor with the log.
    let mut twin = member("twin");
    twin.key = VerifierKey::new("twin", crate::key::KeyKind::Note, *log_key().key()).expect("a key");
    refused(&founded, &signed(Body::Member(Box::new(twin)), &AGENCIES), "E_LEDGER_RULE");
}

#[test]
fn evidence_is_taken_from_any_member_once() {
    let [honest, forked] = [["a", "b"], ["a", "c"]].map(|log| checkpoint(&log.map(String::from), &[], 0));
    let none: &[Hash] = &[];
    let evidence = Evidence::find(&log_key(), &honest, &forked, none).expect("evidence").to_string();
    let entry = signed(Body::Evidence(Exhibit { evidence }), &[PLANNER]);
    let mut replay = founded();
    replay.admit(entry.as_bytes()).expect("evidence");
    refused(&replay, &entry, "E_LEDGER_REPLAY");
}

#[test]
fn another_log_goes_on_where_this_one_ended() {
    let mut entries = founding();
    entries.extend(job("one").drain(..3));
    let before = after(&entries[8..]);
    let second = vkey("city.example/second", crate::key::KeyKind::Note);
    let over = |entries: &[String], agencies: &[&str], key: &VerifierKey, by: &[&str]| {
        let previous = checkpoint(entries, agencies, 5).note().into();
        signed(Body::HandOver(Box::new(HandOver { previous, key: key.clone() })), by)
    };
    let root = checkpoint(&entries, &[], 0).head().root;
    let next = before.succeed(second.clone(), root);
    refused(&next, &job("two")[0], "E_LEDGER_RULE");
    refused(&next, &over(&entries, &AGENCIES[..2], &second, &AGENCIES), "E_LEDGER_QUORUM");
    refused(&next, &over(&entries, &AGENCIES, &second, &AGENCIES[..2]), "E_LEDGER_SIGNATURE");
    refused(&next, &over(&entries[..9], &AGENCIES, &second, &AGENCIES), "E_LEDGER_RULE");
    refused(&next, &over(&entries, &AGENCIES, &vkey("city.example/third", crate::key::KeyKind::Note), &AGENCIES), "E_LEDGER_RULE");
    refused(&before, &over(&entries, &AGENCIES, &second, &AGENCIES), "E_LEDGER_RULE");
    // What was debited stays debited, and the job starts in the new log.
    let mut next = next;
    next.admit(over(&entries, &AGENCIES, &second, &AGENCIES).as_bytes()).expect("handed over");
    refused(&next, &over(&entries, &AGENCIES, &second, &AGENCIES), "E_LEDGER_RULE");
    refused(&next, &job("one")[1], "E_LEDGER_REPLAY");
    next.admit(job("one")[3].as_bytes()).expect("it starts");
    assert_eq!(next.size(), 2);
}

#[test]
fn what_is_taken_back_leaves_nothing() {
    let mut entries = founding();
    entries.extend(job("one").drain(..4));
    entries.push(signed(Body::Abort(Abort { job: hash("one"), attempt: 1, code: "E_X".into() }), &["health"]));
    entries.push(signed(Body::Start(Start { job: hash("one"), attempt: 2, plan_hash: hash("plan") }), &AGENCIES));
    entries.push(signed(Body::Result(Outcome { job: hash("one"), attempt: 2, result: hash("r") }), &AGENCIES));
    entries.push(signed(Body::Revoke(Revoke { contract: id(&contract(DATASETS[0], 1)), reason: None }), &["energy"]));
    let mut moved = member(PLANNER);
    moved.organisation = "another".into();
    entries.push(signed(Body::Member(Box::new(moved)), &AGENCIES));
    let mut replay = replay();
    for (at, entry) in entries.iter().enumerate() {
        let before = format!("{:?}", sorted(&replay));
        let mut undo: Vec<Undo> = entries[at..].iter().map(|entry| replay.step(entry.as_bytes()).expect("it may stand")).collect();
        while let Some(step) = undo.pop() {
            replay.undo(step);
        }
        assert_eq!(format!("{:?}", sorted(&replay)), before, "entry {at}");
        replay.admit(entry.as_bytes()).expect("it may stand");
    }
}

/// A replay without its hash maps' order.
fn sorted(replay: &Replay) -> impl std::fmt::Debug {
    let contracts: BTreeMap<_, _> = replay.contracts.clone().into_iter().collect();
    let jobs: BTreeMap<_, _> = replay.jobs.clone().into_iter().collect();
    (contracts, jobs, Replay { contracts: HashMap::new(), jobs: HashMap::new(), ..replay.clone() })
}
