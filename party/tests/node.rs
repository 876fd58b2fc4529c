//! Three nodes as they really run, against a coordinator that lies, dies and repeats itself.

mod city;
mod consent;
mod joblog;

use city::{ANSWER, CANARY, City, PARTIES, SQL, Said, unlocked};
use ledger::bytes::Hash;
use query::compile::compile;
use query::finish::finish;
use query::ground::Ground;
use query::local::Local;
use query::message::frame::{Stage, StopCode, ToParty};
use query::message::{Code, QueryId};
use query::wire;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_question_across_three_silos_is_answered_and_nothing_shows_in_the_logs() {
    let logs = capture();
    let mut city = City::new();
    let mut lines = city.start_all().await;
    let offer = city.ask(SQL);
    let mut hashes = Vec::new();
    for line in &mut lines {
        hashes.push(city.accepted(line, &offer).await);
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "all compile the same plan");
    for line in &mut lines {
        line.start(&offer).await;
    }
    let (mut sealed, mut sids) = (Vec::new(), Vec::new());
    for line in &mut lines {
        let Said::Sealed(shares) = city.hear(line).await else { panic!("sealed shares") };
        assert_eq!((shares.job, shares.attempt, shares.plan_hash), (offer.job, 1, hashes[0]));
        assert!(!shares.measured.is_empty());
        let name = PARTIES[line.party];
        let bytes = party::seal::open(&city.key, &shares, name).expect("opened");
        assert!(party::seal::open(&city.key, &shares, PARTIES[(line.party + 1) % 3]).is_err(), "another party's");
        sids.push(shares.sid);
        sealed.push((name.to_owned(), bytes));
        let stages: Vec<Stage> = line.progress.iter().map(|p| p.stage).collect();
        assert!(stages.is_sorted() && stages.first() == Some(&Stage::Session), "{stages:?}");
    }
    assert!(sids.iter().all(|sid| *sid == sids[0]), "one session");
    // What the coordinator was told, as it came out of the encryption: from the first frame to the sealed parts, and no value.
    let canary: u32 = CANARY.parse().expect("a number");
    for line in &lines {
        let has = |bytes: &[u8]| line.raw.windows(bytes.len()).any(|window| window == bytes);
        assert!(has(offer.job.to_string().as_bytes()) && has(b"sealed") && has(b"\"progress\""), "all was kept");
        assert!(
            !has(CANARY.as_bytes()) && !has(&canary.to_le_bytes()) && !has(&canary.to_be_bytes()),
            "a value, of {}",
            PARTIES[line.party]
        );
    }
    let sealed = unlocked(sealed);
    assert_eq!(tokio::task::block_in_place(|| finished(&city, hashes[0], &sealed)), ANSWER);
    // A load error whose cell is the canary.
    std::fs::write(city.path("health.csv"), format!("zone,cases\n1,{CANARY}x\n")).expect("written");
    city.stop(2).await;
    let error = party::run(city.config(2), std::future::pending()).await.expect_err("refused").to_string();
    assert!(error.contains("line 2, column `cases`: not an INT") && !error.contains(CANARY), "{error}");
    // Two rows of one key, which the catalogue declares unique: the places are named, to their owner alone, and no value.
    std::fs::write(city.path("health.csv"), format!("zone,cases\n1,5\n3,{CANARY}\n2,7\n3,8\n")).expect("written");
    let error = party::run(city.config(2), std::future::pending()).await.expect_err("refused").to_string();
    let broken = "health.csv, line 5, column `zone`: the same key as in line 3; the catalogue declares it unique";
    assert!(error.contains(broken) && !error.contains(CANARY), "{error}");
    let folder = city.stop_all().await;

    let logs = logs.text();
    assert!(logs.contains("accepted") && logs.contains("done") && logs.contains("table loaded"), "the logs were captured: {logs}");
    assert!(!logs.contains(CANARY), "a value or a literal: {logs}");
    assert!(!logs.contains("SELECT"), "SQL: {logs}");
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    for (_, share) in sealed.iter().filter(|(_, share)| share.len() >= 16) {
        assert!(!logs.contains(&hex(&share[1..9])), "a share");
    }
    for name in PARTIES {
        let file = std::fs::read_to_string(folder.path().join(format!("{name}.key"))).expect("a key file");
        let body = file.lines().skip_while(|line| !line.starts_with("-----BEGIN")).nth(1).expect("a body");
        assert!(!logs.contains(&body[24..]), "a private key");
    }
}

/// What the planner makes of three opened shares.
fn finished(city: &City, plan_hash: Hash, sealed: &[(String, Vec<u8>)]) -> Vec<String> {
    let plan = compile(SQL, &city.catalog).expect("a plan");
    assert_eq!(plan.hash(), plan_hash.0, "the planner compiles the same plan");
    let local = Local::new(1 << 28).expect("a local stage");
    let sources = party::source::Sources::load(&city.config(0), &city.catalog).expect("loaded");
    let ground = Ground::new(&plan, &local, sources.public()).expect("public rows");
    let parts = sealed.iter().map(|(name, bytes)| (name.clone(), wire::decode(bytes, &plan, &ground).expect("a release")));
    let answer = finish(&plan, &ground, &local, &parts.collect::<Vec<_>>()).expect("an answer");
    assert_eq!(answer.num_rows(), 1);
    let shown = |column| query::datafusion::arrow::util::display::array_value_to_string(column, 0).expect("shown");
    answer.columns().iter().map(|column| shown(column)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_and_repetitions_of_the_coordinator_are_refused() {
    let mut city = City::new();
    let mut line = city.start(0).await;
    let offer = city.ask(SQL);

    // Not accepted, so not started.
    line.start(&offer).await;
    let refusal = city.failed(&mut line).await;
    assert_eq!(refusal.code, Code::Desync);
    assert!(refusal.reason.contains("which it has not accepted"), "{refusal}");

    // Swapped.
    for (from, to) in [("h.cases > 10", "h.cases > 0"), (&offer.note[30..50], "xxxxxxxxxxxxxxxxxxxx")] {
        let mut swapped = offer.clone();
        swapped.note = swapped.note.replacen(from, to, 1);
        assert_eq!(city.refused(&mut line, &swapped).await, Code::Signature, "under the old id");
        swapped.job = QueryId::of(&swapped.note);
        assert_eq!(city.refused(&mut line, &swapped).await, Code::Signature, "under its own id");
    }
    let mut other = offer.clone();
    other.job = QueryId(Hash([1; 32]));
    assert_eq!(city.refused(&mut line, &other).await, Code::Signature);

    // Another attempt than the accepted one.
    city.accepted(&mut line, &offer).await;
    let mut next = offer.clone();
    next.attempt = 2;
    line.start(&next).await;
    assert_eq!(city.failed(&mut line).await.code, Code::Desync);

    // An offer repeated before its start changes nothing; after it, it is a replay.
    city.accepted(&mut line, &offer).await;
    line.start(&offer).await;
    line.stop(&offer, StopCode::Cancelled).await;
    assert_eq!(city.failed(&mut line).await.code, Code::Cancelled);
    assert_eq!(city.refused(&mut line, &offer).await, Code::Replay);
    line.start(&offer).await;
    assert_eq!(city.failed(&mut line).await.code, Code::Desync);

    // A restart does not forget.
    city.stop(0).await;
    let mut line = city.start(0).await;
    assert_eq!(city.refused(&mut line, &offer).await, Code::Replay);
    city.accepted(&mut line, &next).await;

    // What is not a frame ends the line, and the party comes back.
    line.send.write_all(&[0, 0, 0, 5, 1, 2, 3, 4, 5]).await.expect("written");
    let mut line = city.line().await;
    line.send.write_all(&[0xff; 64]).await.expect("written");
    let mut line = city.line().await;
    assert_eq!(city.refused(&mut line, &offer).await, Code::Replay);
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_party_fails_the_attempt_and_the_next_one_works() {
    let mut city = City::new();
    let mut lines = city.start_all().await;
    let offer = city.ask(SQL);
    for line in &mut lines {
        city.accepted(line, &offer).await;
    }
    // Two begin; the third ends before it does.
    let [one, two, _] = &mut lines;
    one.start(&offer).await;
    two.start(&offer).await;
    city.stop(2).await;
    for line in [one, two] {
        let refusal = tokio::time::timeout(Duration::from_secs(10), city.failed(line)).await.expect("in time");
        assert_eq!(refusal.code, Code::Peer, "{refusal}");
        assert!(refusal.reason.contains("`health` is gone"), "{refusal}");
    }
    lines[2] = city.start(2).await;
    city.answered(&mut lines, SQL).await;
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_that_breaks_off_in_the_middle_of_a_round_ends_the_job_and_no_node() {
    let mut city = City::new();
    let mut lines = [city.start(0).await, city.start(1).await];
    let offer = city.ask(SQL);
    for line in &mut lines {
        city.accepted(line, &offer).await;
    }
    let (tell, gone) = std::sync::mpsc::channel();
    let third = city.join_and_break(2, &offer, gone);
    for line in &mut lines {
        line.start(&offer).await;
    }
    // both wait for what the third shares
    for line in &mut lines {
        city.reaches(line, Stage::Share).await;
    }
    tell.send(()).expect("it is there");
    third.await.expect("no panic");
    let mut reasons = Vec::new();
    for line in &mut lines {
        let refusal = city.failed(line).await;
        assert_eq!(refusal.code, Code::Peer, "{refusal}");
        reasons.push(refusal.reason);
    }
    // whoever finds it out first says so to the other, which may hear of that before it finds out itself
    assert!(reasons.iter().any(|reason| reason.contains("`health`")), "{reasons:?}");
    let [transport, energy] = lines;
    let mut lines = [transport, energy, city.start(2).await];
    city.answered(&mut lines, SQL).await;
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_fail_on_a_value_is_refused_and_an_answered_query_is_not_run_again() {
    let mut city = City::new();
    let mut lines = city.start_all().await;
    // A division by zero in zone 1, which has 5 cases; in zone 3 a value that does not fit its type: either failure would tell of the data.
    let failing = ["100 / (cases - 5)", "CAST(CAST(cases * 1000 AS SMALLINT) AS INT) + cases"].map(|quotient| {
        let table = format!("(SELECT zone, CAST({quotient} AS INT) AS quotient FROM health.cases) h");
        SQL.replace("h.cases > 10", "h.quotient > 1").replace("health.cases h", &table)
    });
    for sql in failing {
        let offer = city.ask(&sql);
        for line in &mut lines {
            line.say(&ToParty::Offer(offer.clone())).await;
            let Said::Refuse(refuse) = city.hear(line).await else { panic!("no party runs what can fail: {sql}") };
            assert_eq!(refuse.refusal.code, Code::Unsupported, "{}", refuse.refusal);
        }
    }

    let offer = city.ask(SQL);
    for line in &mut lines {
        city.accepted(line, &offer).await;
    }
    for line in &mut lines {
        line.start(&offer).await;
    }
    let mut again = offer.clone();
    again.attempt = 2;
    for line in &mut lines {
        let Said::Sealed(first) = city.hear(line).await else { panic!("sealed shares") };
        line.say(&ToParty::Offer(again.clone())).await;
        let Said::Sealed(second) = city.hear(line).await else { panic!("the same shares") };
        assert_eq!(first, second, "a coordinator that lost them has them again");
        let Said::Refuse(refuse) = city.hear(line).await else { panic!("no further attempt") };
        assert_eq!(refuse.refusal.code, Code::Replay);
    }
    // Nor after a restart, when only the disk remembers.
    city.stop(1).await;
    lines[1] = city.start(1).await;
    assert_eq!(city.refused(&mut lines[1], &again).await, Code::Replay);
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parties_that_were_told_different_things_stop_before_a_share_moves() {
    let mut city = City::new();
    let mut lines = city.start_all().await;
    let (offer, other) = (city.ask(SQL), city.ask(SQL));
    let mut second = offer.clone();
    second.attempt = 2;
    // The coordinator starts another query at the third party, and another attempt.
    for (line, offer) in lines.iter_mut().zip([&offer, &offer, &other]) {
        city.accepted(line, offer).await;
        line.start(offer).await;
    }
    for line in &mut lines {
        let job = if line.party == 2 { &other } else { &offer };
        line.stop(job, StopCode::Deadline).await;
        let code = city.failed(line).await.code;
        // The second party may have felt that the first is gone before it was told.
        assert!(code == Code::Deadline || (line.party == 1 && code == Code::Peer), "{code}");
    }
    // A node that is busy says so; one that is stopped is free again.
    let [line, ..] = &mut lines;
    city.accepted(line, &second).await;
    line.start(&second).await;
    assert_eq!(city.refused(line, &city.ask(SQL)).await, Code::Busy);
    line.stop(&second, StopCode::Cancelled).await;
    assert_eq!(city.failed(line).await.code, Code::Cancelled);
    city.accepted(line, &city.ask(SQL)).await;
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_the_heels_of_the_start_is_never_lost() {
    let mut city = City::new();
    let [mut line, ..] = city.start_all().await;
    // The others are not told to start: only the stop can end the attempt, which may not have begun when it comes.
    for _ in 0..40 {
        let offer = city.ask(SQL);
        city.accepted(&mut line, &offer).await;
        line.start(&offer).await;
        line.stop(&offer, StopCode::Cancelled).await;
        assert_eq!(city.failed(&mut line).await.code, Code::Cancelled);
    }
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_sees_what_is_wrong_and_disturbs_nobody() {
    use party::doctor::{Level, check};
    let mut city = City::new();
    let level = |findings: &[party::doctor::Finding], name: &str| {
        let found = findings.iter().filter(|f| f.check == name).map(|f| f.level).max();
        found.unwrap_or_else(|| panic!("no finding `{name}` in {findings:?}"))
    };
    let findings = check(&city.config(0)).await;
    for (name, expected) in [
        ("roster", Level::Ok),
        ("catalogue", Level::Ok),
        ("contracts", Level::Ok),
        ("key", Level::Ok),
        ("state", Level::Ok),
        ("data", Level::Ok),
        ("QUIC port (UDP)", Level::Ok),
        ("coordinator", Level::Ok),
        ("peer energy", Level::Warn),
        ("clock", Level::Warn),
    ] {
        assert_eq!(level(&findings, name), expected, "{name}: {findings:?}");
    }
    assert!(findings.iter().all(|f| f.level == Level::Ok || !f.fix.is_empty()), "{findings:?}");
    let line = city.start(1).await;
    let findings = check(&city.config(0)).await;
    assert_eq!(level(&findings, "peer energy"), Level::Ok, "{findings:?}");
    let findings = check(&city.config(1)).await;
    assert!(findings.iter().any(|f| f.what.contains("the node is running")), "{findings:?}");
    assert!(line.connection.close_reason().is_none());

    // Everything wrong at once.
    std::fs::write(city.path("transport.csv"), "zone,seconds\n9,x\n").expect("written");
    std::fs::copy(city.path("energy.key"), city.path("swapped.key")).expect("copied");
    let config = party::Config { identity: city.path("swapped.key"), ..city.config(0) };
    let findings = check(&config).await;
    assert_eq!((level(&findings, "data"), level(&findings, "key")), (Level::Fail, Level::Fail), "{findings:?}");
    let busy = party::Config { listen: city.roster.node("energy").map(|n| n.addr.parse().expect("an address")), ..config };
    assert_eq!(level(&check(&busy).await, "QUIC port (UDP)"), Level::Fail);
    let error = party::run(busy, std::future::pending()).await.expect_err("refused").to_string();
    assert!(error.contains("the roster lists the key"), "{error}");
    city.stop_all().await;
}

/// Everything that is logged from now on, at every level, by every thread.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
    }
}

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn capture() -> Logs {
    use tracing_subscriber::util::SubscriberInitExt;
    let logs = Logs::default();
    let writer = logs.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone());
    // Takes in what libraries say through `log`, too.
    subscriber.finish().try_init().expect("the only subscriber of this process");
    logs
}
