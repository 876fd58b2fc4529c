//! Jobs that stand on the city's log: what a node signs for them, and what it does not begin whatever the coordinator says.

mod noise;

use crate::city::{City, Line, PARTIES, SQL, Said, TABLES_OF, log::ORIGIN, now};
use ledger::bytes::Hash;
use ledger::checkpoint::Head;
use ledger::entry::{Body, Entry, Revoke, join};
use ledger::replay::Phase;
use mpc_core::identity::Identity;
use query::joblog::{digest, result};
use query::message::Code;
use query::message::frame::{Offer, StopCode, ToParty};

fn body(entry: &str) -> Body {
    Entry::parse(entry.as_bytes()).expect("an entry").body
}

/// A city with a log that is as it begins, and a question in it.
async fn asked() -> (City, [Line; 3], Offer) {
    let mut city = City::with_log();
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    let offer = city.ask(SQL);
    (city, lines, offer)
}

/// All accept; says the step with which the attempt begins.
async fn accepted(city: &City, lines: &mut [Line], offer: &Offer) -> Vec<String> {
    let (mut step, mut starts) = (vec![offer.entry.as_ref().expect("on the log").entry.clone()], Vec::new());
    for line in lines.iter_mut() {
        city.accepted(line, offer).await;
        for entry in line.entries.drain(..) {
            match body(&entry) {
                Body::Start(_) => starts.push(entry),
                _ => step.push(entry),
            }
        }
    }
    step.push(join(starts.iter().map(String::as_str)).expect("one start"));
    step
}

/// All answer; says the result's entry.
async fn sealed(city: &City, lines: &mut [Line]) -> String {
    let (mut entries, mut digests, mut sid) = (Vec::new(), Vec::new(), Hash([0; 32]));
    for line in lines.iter_mut() {
        let Said::Sealed(part) = city.hear(line).await else { panic!("a sealed part") };
        sid = part.sid;
        digests.push(digest(&line.sealed));
        entries.append(&mut line.entries);
    }
    let entry = join(entries.iter().map(String::as_str)).expect("one result");
    let Body::Result(outcome) = body(&entry) else { panic!("a result") };
    assert_eq!(outcome.result, result(sid, digests).commitment(), "what was handed over");
    entry
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stands_on_the_log_from_question_to_result() {
    let (city, mut lines, offer) = asked().await;
    let step = accepted(&city, &mut lines, &offer).await;
    let kinds: Vec<&str> = step.iter().map(|entry| body(entry).kind()).collect();
    assert_eq!(kinds, ["job-query", "job-debit", "job-debit", "job-debit", "job-start"]);
    let checkpoint = city.enter(&mut lines, &step).await;
    for line in &mut lines {
        line.start_at(&offer, Some(checkpoint.clone())).await;
    }
    let entry = sealed(&city, &mut lines).await;
    city.enter(&mut lines, &[entry]).await;
    {
        let sequencer = city.sequencer();
        let job = sequencer.replay().job(&offer.job.0).expect("on the log");
        assert!(matches!(job.phase, Phase::Done { .. }) && job.debits.len() == 3, "{job:?}");
        assert!(job.debits.iter().all(|(dataset, debit)| TABLES_OF.contains(&dataset.as_str()) && (debit.uses, debit.epsilon) == (1, 0)));
        assert_eq!(job.query.reads.iter().map(|read| read.columns.len()).collect::<Vec<_>>(), [2, 2, 2]);
    }
    // The same once more: it was answered.
    for line in &mut lines {
        line.say(&ToParty::Offer(offer.clone())).await;
        assert!(matches!(city.hear(line).await, Said::Sealed(_)) && line.entries.len() == 1, "its part, with its signature");
        let Said::Refuse(refuse) = city.hear(line).await else { panic!("no further attempt") };
        assert_eq!(refuse.refusal.code, Code::Replay);
    }
    city.stop_all().await;
}

/// A use is the log's to count: of two questions that all have accepted one starts, one that ends without an answer gives its use back, and nobody
/// who has answered says that there was none.
#[tokio::test(flavor = "multi_thread")]
async fn a_contract_is_used_up_by_what_was_answered() {
    let mut city = City::with_log();
    city.put_contract(1, |contract| contract.max_uses = Some(1));
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    let (first, second) = (city.ask(SQL), city.ask(SQL));
    let steps = [accepted(&city, &mut lines, &first).await, accepted(&city, &mut lines, &second).await];
    let checkpoint = city.enter(&mut lines, &steps[0]).await;
    let refused = city.sequencer().submit_step(&steps[1].iter().map(String::as_bytes).collect::<Vec<_>>()).expect_err("used up");
    assert_eq!(refused.code(), "E_USED_UP", "{refused}");
    let third = city.ask(SQL);
    let refusal = city.refusal(&mut lines[1], &third).await;
    assert!(refusal.code == Code::UsedUp && refusal.reason.contains("is used up: it is for 1 answers"), "{refusal}");
    // It ends before anything was released.
    lines[1].start_at(&first, Some(checkpoint)).await;
    lines[1].stop(&first, StopCode::Cancelled).await;
    city.failed(&mut lines[1]).await;
    let end: Vec<String> = lines[1].entries.drain(..).collect();
    assert!(matches!(&end[..], [end] if body(end).kind() == "job-abort"), "{end:?}");
    city.enter(&mut lines, &end).await;
    let fourth = city.ask(SQL);
    let step = accepted(&city, &mut lines, &fourth).await;
    let checkpoint = city.enter(&mut lines, &step).await;
    for line in lines.iter_mut() {
        line.start_at(&fourth, Some(checkpoint.clone())).await;
    }
    sealed(&city, &mut lines).await;
    // A coordinator that has the answer keeps it off the log, and wants it ended there.
    lines[1].stop(&fourth, StopCode::Peer).await;
    city.failed(&mut lines[1]).await;
    let end: Vec<String> = lines[1].entries.drain(..).collect();
    let [Body::Abort(abort)] = &end.iter().map(|end| body(end)).collect::<Vec<_>>()[..] else { panic!("an end: {end:?}") };
    assert_eq!(abort.code, ledger::entry::SEALED);
    city.enter(&mut lines, &end).await;
    assert_eq!(city.refused(&mut lines[1], &city.ask(SQL)).await, Code::UsedUp);
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_not_what_a_node_finds_is_refused() {
    let (city, mut lines, offer) = asked().await;
    let line = &mut lines[0];
    let without = Offer { entry: None, ..offer.clone() };
    let refusal = city.refusal(line, &without).await;
    assert!(refusal.code == Code::LedgerEntry && refusal.reason.contains("without an entry"), "{refusal}");
    type Change = (&'static str, fn(&mut ledger::entry::Query));
    let changes: [Change; 9] = [
        ("columns", |q| q.reads[0].columns.truncate(1)),
        ("snapshot", |q| q.reads[1].snapshot = Hash([9; 32])),
        ("contracts", |q| q.contracts.truncate(2)),
        ("purpose", |q| q.purpose = "https://w3id.org/dpv#Marketing".into()),
        ("plan_hash", |q| q.plan_hash = Hash([9; 32])),
        ("parties", |q| q.parties.truncate(2)),
        ("receivers", |q| q.receivers.push("press".into())),
        ("expires", |q| q.expires += 1),
        ("job", |q| q.job = Hash([9; 32])),
    ];
    for (field, change) in changes {
        let changed = Offer { entry: Some(city.entry(&offer.note, change, None)), ..offer.clone() };
        let refusal = city.refusal(line, &changed).await;
        assert!(refusal.code == Code::LedgerEntry && refusal.reason.contains(&format!("`{field}`")), "{field}: {refusal}");
        assert!(!refusal.fix.is_empty());
    }
    let somebody = Identity::generate().expect("randomness");
    let mut salted = city.entry(&offer.note, |_| {}, None);
    salted.salt = Hash([9; 32]);
    for entry in [city.entry(&offer.note, |_| {}, Some(&somebody)), salted] {
        let forged = Offer { entry: Some(entry), ..offer.clone() };
        assert_eq!(city.refused(line, &forged).await, Code::LedgerEntry);
    }
    // Once the log has one, another about the same query is a repetition.
    let step = accepted(&city, &mut lines, &offer).await;
    city.enter(&mut lines, &step).await;
    let sent_again = Offer { attempt: 2, ..offer.clone() };
    city.accepted(&mut lines[0], &sent_again).await;
    let mut other = city.entry(&offer.note, |_| {}, None);
    let Body::Query(mut query) = body(&other.entry) else { panic!("a query") };
    other.salt = Hash([8; 32]);
    query.statement = ledger::entry::Opening { salt: other.salt, value: SQL.into() }.commitment();
    other.entry = city.entry(&offer.note, |q| *q = query, None).entry;
    let refusal = city.refusal(&mut lines[0], &Offer { entry: Some(other), ..sent_again }).await;
    assert_eq!(refusal.code, Code::LedgerReplay, "{refusal}");
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_the_log_does_not_bear_out_begins_nothing() {
    let (city, mut lines, offer) = asked().await;
    let step = accepted(&city, &mut lines, &offer).await;
    let before = city.cosigned(&mut lines).await;
    let refused = async |city: &City, line: &mut Line, checkpoint: Option<String>, code: Code, says: &str| {
        city.accepted(line, &offer).await;
        line.start_at(&offer, checkpoint).await;
        let refusal = city.failed(line).await;
        assert!(refusal.code == code && refusal.reason.contains(says) && !refusal.fix.is_empty(), "{says}: {refusal}");
        assert!(matches!(&line.entries[..], [entry] if body(entry).kind() == "job-abort"), "its end, for the log");
        assert!(line.progress.is_empty(), "nothing was begun");
    };
    refused(&city, &mut lines[0], None, Code::LedgerJob, "without a checkpoint").await;
    refused(&city, &mut lines[0], Some(before.clone()), Code::LedgerJob, "not in the log").await;
    refused(&city, &mut lines[0], Some("nonsense".into()), Code::LedgerSignature, "").await;
    // Without one debit the coordinator's log takes no start; nor would a mirror.
    let lacking: Vec<&[u8]> = step.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, entry)| entry.as_bytes()).collect();
    assert_eq!(city.sequencer().submit_step(&lacking).expect_err("a debit is missing").code(), "E_LEDGER_RULE");

    let checkpoint = city.enter(&mut lines, &step).await;
    let head = city.sequencer().head().clone();
    let late = now() - 120;
    refused(&city, &mut lines[0], Some(before), Code::LedgerJob, "not started").await;
    refused(&city, &mut lines[0], Some(city.checkpoint(&head, &PARTIES, late)), Code::LedgerStale, "out of date").await;
    refused(&city, &mut lines[0], Some(city.checkpoint(&head, &PARTIES[..2], now())), Code::LedgerQuorum, "too few").await;
    let fork = Head { root: Hash([7; 32]), ..head.clone() };
    refused(&city, &mut lines[0], Some(city.checkpoint(&fork, &PARTIES, now())), Code::LedgerFork, "another log").await;
    let ahead = Head { size: head.size + 5, ..head.clone() };
    refused(&city, &mut lines[0], Some(city.checkpoint(&ahead, &PARTIES, now())), Code::LedgerBehind, "of the").await;
    let foreign = Head { origin: format!("{ORIGIN}/other"), ..head };
    refused(&city, &mut lines[0], Some(city.checkpoint(&foreign, &PARTIES, now())), Code::Ledger, "E_LEDGER_ORIGIN").await;

    // What it refused used nothing up; and what the log holds costs nobody anything more.
    city.accepted(&mut lines[0], &offer).await;
    assert!(lines[0].entries.iter().all(|entry| body(entry).kind() == "job-start"), "debited once");
    for line in &mut lines {
        line.start_at(&offer, Some(checkpoint.clone())).await;
    }
    sealed(&city, &mut lines).await;
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parties_on_different_heads_stop_before_a_share_moves() {
    let (city, mut lines, offer) = asked().await;
    let step = accepted(&city, &mut lines, &offer).await;
    let first = city.enter(&mut lines, &step).await;
    let more = city.signed(1, &city.contract(1, |_| {}));
    let second = city.enter(&mut lines, &[more]).await;
    for (line, checkpoint) in lines.iter_mut().zip([&first, &first, &second]) {
        line.start_at(&offer, Some(checkpoint.clone())).await;
    }
    let mut told = 0;
    for line in &mut lines {
        let refusal = city.failed(line).await;
        match refusal.code {
            Code::LedgerFork => told += 1,
            // Told by another that it is over.
            code => assert_eq!(code, Code::Peer, "{refusal}"),
        }
    }
    assert!(told > 0, "somebody says what it is");
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_in_a_later_attempt_after_a_restart() {
    let (mut city, mut lines, offer) = asked().await;
    let step = accepted(&city, &mut lines, &offer).await;
    city.enter(&mut lines, &step).await;
    // The coordinator ends here, and one party too; nobody was told to start.
    city.stop(1).await;
    lines[1] = city.start(1).await;
    let again = Offer { attempt: 2, ..offer };
    let step = accepted(&city, &mut lines, &again).await;
    let kinds: Vec<&str> = step.iter().map(|entry| body(entry).kind()).collect();
    assert_eq!(kinds, ["job-query", "job-abort", "job-abort", "job-abort", "job-start"], "nothing is debited twice");
    let checkpoint = city.enter(&mut lines, &step).await;
    for line in &mut lines {
        line.start_at(&again, Some(checkpoint.clone())).await;
    }
    let entry = sealed(&city, &mut lines).await;
    city.enter(&mut lines, &[entry]).await;
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_what_runs_in_the_log_alone_is_signed_for_it() {
    let (city, mut lines, offer) = asked().await;
    let step = accepted(&city, &mut lines, &offer).await;
    city.enter(&mut lines, &step).await;
    lines[0].stop(&offer, StopCode::Cancelled).await;
    assert_eq!(city.failed(&mut lines[0]).await.code, Code::Cancelled);
    let abort = lines[0].entries.clone();
    city.enter(&mut lines, &abort).await;
    assert_eq!(city.sequencer().replay().job(&offer.job.0).expect("on the log").phase, Phase::Waiting);
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_in_the_log_ends_what_runs_at_every_node() {
    let (city, mut lines, offer) = asked().await;
    let step = accepted(&city, &mut lines, &offer).await;
    let checkpoint = city.enter(&mut lines, &step).await;
    // One waits for the others, who are not told to start. In no folder is there a revocation.
    lines[0].start_at(&offer, Some(checkpoint)).await;
    let Body::Query(query) = body(&step[0]) else { panic!("a query") };
    // By data sets: energy.use, health.cases, transport.trips.
    let contract = query.contracts[1];
    let revoke = Body::Revoke(Revoke { contract, reason: None }).sign("health", city.identity("health").signing_key()).expect("signed");
    city.enter(&mut lines, &[revoke]).await;
    assert_eq!(city.failed(&mut lines[0]).await.code, Code::Revoked);
    let refusal = city.refusal(&mut lines[1], &offer).await;
    assert!(refusal.code == Code::Revoked && refusal.reason.contains("in the city's log"), "{refusal}");
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_log_takes_no_job_that_stands_on_one() {
    let mut city = City::new();
    let mut line = city.start(0).await;
    let offer = city.ask(SQL);
    city.accepted(&mut line, &offer).await;
    assert!(line.entries.is_empty());
    let entry = query::joblog::QueryEntry { entry: "an entry".into(), salt: Hash([1; 32]) };
    let refusal = city.refusal(&mut line, &Offer { entry: Some(entry), ..offer }).await;
    assert!(refusal.code == Code::LedgerEntry && refusal.reason.contains("keeps none"), "{refusal}");
    city.stop_all().await;
}
