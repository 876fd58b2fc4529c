//! Noise that contracts ask for: the same question has the same noise, and a month's budget ends.

use super::{accepted, body};
use crate::city::{City, Line, PARTIES, Said, unlocked};
use ledger::contract::{Decimal, Dp, DpMode, NoiseLaw, SignedContract};
use ledger::entry::{Body, Debit, Revoke, join};
use party::contracts::signs;
use query::finish::finish;
use query::ground::Ground;
use query::local::Local;
use query::message::Code;
use query::message::frame::Offer;
use query::wire;
use std::path::PathBuf;

const SUM: &str = "SELECT COUNT(*) AS n, SUM(kwh) AS s FROM energy.use WHERE kwh < 100";

/// A question may spend 0.5, and a month 1.
fn dp() -> Dp {
    let number = |text: &str| text.parse().expect("a number");
    let delta = "0.000001".parse().expect("a number");
    Dp {
        epsilon_per_query_max: number("0.5"),
        epsilon_month: number("1"),
        epsilon_month_all: None,
        delta,
        mode: DpMode::Required,
        noise: NoiseLaw::Laplace,
    }
}

/// A city whose energy agency lets a question spend 0.5, and a month 1.
fn city() -> City {
    let city = City::with_log();
    city.put_contract(1, |contract| (contract.dp, contract.max_uses) = (Some(dp()), Some(2)));
    city
}

/// Asks, and says the debits and what comes out.
async fn asked(city: &City, lines: &mut [Line], sql: &str) -> (Vec<Debit>, Vec<String>) {
    let offer = city.ask(sql);
    let step = accepted(city, lines, &offer).await;
    let debits = step.iter().filter_map(|entry| if let Body::Debit(debit) = body(entry) { Some(debit) } else { None });
    let debits: Vec<Debit> = debits.collect();
    let checkpoint = city.enter(lines, &step).await;
    for line in lines.iter_mut() {
        line.start_at(&offer, Some(checkpoint.clone())).await;
    }
    let (mut parts, mut entries) = (Vec::new(), Vec::new());
    for line in lines.iter_mut() {
        let Said::Sealed(part) = city.hear(line).await else { panic!("a sealed part") };
        let name = PARTIES[line.party];
        parts.push((name.to_owned(), party::seal::open(&city.key, &part, name).expect("opened")));
        entries.append(&mut line.entries);
    }
    city.enter(lines, &[join(entries.iter().map(String::as_str)).expect("one result")]).await;
    let parts = unlocked(parts);
    (debits, tokio::task::block_in_place(|| finished(city, &offer, &parts)))
}

fn finished(city: &City, offer: &Offer, parts: &[(String, Vec<u8>)]) -> Vec<String> {
    let (_, plan, _) = city.protected(&offer.note);
    let local = Local::new(1 << 28).expect("a local stage");
    let sources = party::source::Sources::load(&city.config(0), &city.catalog).expect("loaded");
    let ground = Ground::new(&plan, &local, sources.public()).expect("public rows");
    let parts = parts.iter().map(|(name, bytes)| (name.clone(), wire::decode(bytes, &plan, &ground).expect("a release")));
    let answer = finish(&plan, &ground, &local, &parts.collect::<Vec<_>>()).expect("an answer");
    let shown = |column| query::datafusion::arrow::util::display::array_value_to_string(column, 0).expect("shown");
    answer.columns().iter().map(|column| shown(column)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_paid_for_once_and_has_one_answer() {
    let mut city = city();
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    let (debits, first) = asked(&city, &mut lines, SUM).await;
    let [paid] = &debits[..] else { panic!("one debit: {debits:?}") };
    assert!((paid.dataset.as_str(), paid.epsilon) == ("energy.use", 500_000) && paid.delta.0 > 0 && paid.noise.is_some(), "{paid:?}");
    // another job, another session
    let (debits, again) = asked(&city, &mut lines, SUM).await;
    assert_eq!(again, first);
    assert!((debits[0].epsilon, debits[0].delta.0, debits[0].noise) == (0, 0, paid.noise), "{debits:?}");
    assert_eq!((paid.uses, debits[0].uses), (1, 0), "what is given again takes no use");
    // other processes
    for party in 0..3 {
        city.stop(party).await;
    }
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    let (debits, again) = asked(&city, &mut lines, SUM).await;
    assert!(again == first && debits[0].epsilon == 0, "{again:?} {debits:?}");
    // another plan has other noise: of values this wide it is the same by accident once in some ten million
    let (debits, other) = asked(&city, &mut lines, &SUM.replace("100", "101")).await;
    assert!(debits[0].epsilon == 500_000 && debits[0].noise != paid.noise && other[1] != first[1], "{other:?} {first:?}");
    // which was all of this month
    let offer = city.ask(&SUM.replace("100", "102"));
    let refusal = city.refusal(&mut lines[1], &offer).await;
    assert_eq!(refusal.code, Code::Budget, "{refusal}");
    assert!(refusal.reason.contains("costs ε = 0.5") && refusal.reason.contains("ε = 0, ") && refusal.reason.contains("-01"), "{refusal}");
    assert!(refusal.fix.contains("asked before costs nothing"), "{}", refusal.fix);
    let (debits, again) = asked(&city, &mut lines, SUM).await;
    assert!(again == first && debits[0].epsilon == 0);
    city.stop_all().await;
}

/// The files of a party's shares of answers.
fn shares(city: &City, party: usize) -> Vec<PathBuf> {
    let folder = city.config(party).state.join("answers");
    std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
}

/// Who has lost its share is named, and nobody computes in its place; what a revoked contract was answered under is wiped.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_is_kept_by_all_as_long_as_its_contract_stands() {
    let mut city = city();
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    asked(&city, &mut lines, SUM).await;
    let [lost] = &shares(&city, 2)[..] else { panic!("one share") };
    for party in 0..3 {
        city.stop(party).await;
    }
    let share = std::fs::read(lost).expect("read");
    std::fs::remove_file(lost).expect("removed");
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    let offer = city.ask(SUM);
    let step = accepted(&city, &mut lines, &offer).await;
    let checkpoint = city.enter(&mut lines, &step).await;
    for line in lines.iter_mut() {
        line.start_at(&offer, Some(checkpoint.clone())).await;
    }
    let mut refusals = Vec::new();
    for line in lines.iter_mut() {
        refusals.push(city.failed(line).await);
    }
    // Who finds it first is gone before the others may have heard of all.
    let (found, felt): (Vec<_>, Vec<_>) = refusals.iter().partition(|refusal| refusal.code == Code::Answer);
    assert!(!found.is_empty() && found.iter().all(|refusal| refusal.reason.contains("`health` no longer has")), "{found:?}");
    assert!(felt.iter().all(|refusal| refusal.code == Code::Peer), "{felt:?}");
    for party in 0..3 {
        city.stop(party).await;
    }
    std::fs::write(lost, share).expect("written");
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    asked(&city, &mut lines, SUM).await;

    let note = std::fs::read_to_string(city.path("contracts/energy.contract")).expect("a contract");
    let contract = SignedContract::open(&note, &signs("energy", &city.identity("energy").public()).expect("a key")).expect("signed").id;
    let revoke = Body::Revoke(Revoke { contract, reason: None }).sign("energy", city.identity("energy").signing_key()).expect("signed");
    city.enter(&mut lines, &[revoke]).await;
    for party in 0..3 {
        city.stop(party).await;
    }
    let lines = city.start_all().await;
    assert!((0..3).all(|party| shares(&city, party).is_empty()));
    drop(lines);
    city.stop_all().await;
}

/// A coordinator that keeps a revocation from the log keeps no share alive; a contract that was taken away may come back, and its answers with it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_has_the_revocation_of_is_wiped_before_the_log_has_it() {
    let mut city = city();
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    asked(&city, &mut lines, SUM).await;
    let note = std::fs::read_to_string(city.path("contracts/energy.contract")).expect("a contract");
    for (revoked, left) in [(false, 1), (true, 0)] {
        if revoked {
            city.put("energy.contract", &note);
            city.revoke(1);
        } else {
            city.take_away("energy.contract");
        }
        for party in 0..3 {
            city.stop(party).await;
        }
        // Nothing is entered for them: what they find is in their folders.
        lines = city.start_all().await;
        assert!((0..3).all(|party| shares(&city, party).len() == left), "{revoked}");
    }
    drop(lines);
    city.stop_all().await;
}

/// A kept answer may be given by any later attempt, which is not compared with others: what it tells without noise is noted before it is kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_kept_answer_tells_is_noted_first() {
    let mut city = city();
    city.put_contract(2, |contract| (contract.entity_key, contract.min_group) = (Some("zone".into()), 2));
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    let state = city.config(2).state;
    // so that its share cannot be kept
    std::fs::remove_dir_all(state.join("answers")).expect("removed");
    let sql = "SELECT COUNT(*) AS n FROM health.cases ORDER BY (SELECT COUNT(*) FROM energy.use)";
    let offer = city.ask(sql);
    let step = accepted(&city, &mut lines, &offer).await;
    let checkpoint = city.enter(&mut lines, &step).await;
    for line in lines.iter_mut() {
        line.start_at(&offer, Some(checkpoint.clone())).await;
    }
    let refusal = city.failed(&mut lines[2]).await;
    assert!(refusal.code == Code::Internal && refusal.reason.contains("cannot keep its share of the answer"), "{refusal}");
    let noted = std::fs::metadata(state.join("released").join("health.cases")).expect("there").len();
    assert!(noted > 200, "{noted} bytes: no more than the head of the file");
    city.stop_all().await;
}

/// An owner that signs a debit of nothing is believed by nobody who has compiled the question.
#[tokio::test(flavor = "multi_thread")]
async fn a_debit_of_less_than_the_question_costs_starts_nothing() {
    let mut city = city();
    let mut lines = city.start_all().await;
    city.settled(&mut lines).await;
    let offer = city.ask(SUM);
    let step = accepted(&city, &mut lines, &offer).await;
    let mut step = Some(step);
    // Nothing; another month's; hardly anything.
    let changes: [fn(Debit) -> Debit; 3] = [
        |debit| Debit { epsilon: 0, delta: Decimal(0), noise: None, ..debit },
        |debit| Debit { month: "2031-07".into(), ..debit },
        |debit| Debit { epsilon: 1, ..debit },
    ];
    for change in changes {
        let (offer, step) = match step.take() {
            Some(step) => (offer.clone(), step),
            None => {
                let offer = city.ask(SUM);
                let step = accepted(&city, &mut lines, &offer).await;
                (offer, step)
            }
        };
        let less = |entry: &String| match body(entry) {
            Body::Debit(debit) => Body::Debit(change(debit)).sign("energy", city.identity("energy").signing_key()).expect("signed"),
            _ => entry.clone(),
        };
        let changed: Vec<String> = step.iter().map(less).collect();
        assert_ne!(changed, step);
        let checkpoint = city.enter(&mut lines, &changed).await;
        for line in lines.iter_mut() {
            line.start_at(&offer, Some(checkpoint.clone())).await;
        }
        for line in lines.iter_mut() {
            let refusal = city.failed(line).await;
            assert_eq!(refusal.code, Code::LedgerJob, "{refusal}");
            assert!(
                refusal.reason.contains("ε = 0.5") && refusal.reason.contains("energy.use, and its owner has not debited"),
                "{refusal}"
            );
        }
        // The use of the contract is given back.
        let ended = std::mem::take(&mut lines[0].entries);
        city.enter(&mut lines, &ended).await;
    }
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_without_a_log_spends_nothing() {
    let mut city = City::new();
    city.put_contract(1, |contract| contract.dp = Some(dp()));
    let mut line = city.start(1).await;
    let refusal = city.refusal(&mut line, &city.ask(SUM)).await;
    assert!(refusal.code == Code::Budget && refusal.reason.contains("keeps no log"), "{refusal}");
    city.stop_all().await;
}
