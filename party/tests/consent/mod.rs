//! What the nodes' contracts allow, forbid and end.

use crate::city::{City, Line, PARTIES, SQL, TABLES_OF, now};
use ledger::contract::{Contract, Operation, PUBLIC_BENEFIT, Security, everything};
use mpc_core::identity::Identity;
use party::contracts::signs;
use query::message::Code;

/// What a node says of a question that the contract of `energy.use`, so changed, does not allow; and that it allows it again.
async fn refused(city: &City, line: &mut Line, change: impl FnOnce(&mut Contract), says: &str) {
    city.put_contract(1, change);
    let refusal = city.refused_soon(line, &city.ask(SQL)).await;
    assert_eq!(refusal.code, Code::NoConsent, "{refusal}");
    assert!(refusal.reason.contains("`use` for energy.use") && refusal.reason.contains(says), "{says}: {refusal}");
    assert!(!refusal.fix.is_empty(), "{refusal:?}");
    city.put_contract(1, |_| {});
    city.accepted_soon(line, &city.ask(SQL)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_refuses_what_any_contract_does_not_allow() {
    let mut city = City::new();
    // Transport's node decides on energy's contracts as well.
    let mut line = city.start(0).await;
    city.accepted(&mut line, &city.ask(SQL)).await;

    let somebody = Identity::generate().expect("randomness").public();
    let (press, office) = (signs("press", &somebody).expect("a key"), signs("office", &somebody).expect("a key"));
    refused(&city, &mut line, |c| c.planners = vec![press], "does not name `office` among its planners").await;
    refused(&city, &mut line, |c| c.planners = vec![office], "names `office` with another key").await;
    refused(&city, &mut line, |c| c.receivers = ["press".to_owned()].into(), "does not let `office` have answers").await;
    refused(&city, &mut line, |c| c.purposes = ["https://w3id.org/dpv#Marketing".to_owned()].into(), "does not allow the purpose").await;
    refused(&city, &mut line, |c| c.join_with.clear(), "to be used together with health.cases").await;
    let only = |allowed: &[Operation]| {
        let mut columns = everything(["zone"]);
        columns.insert("kwh".into(), allowed.iter().copied().collect());
        columns
    };
    refused(&city, &mut line, |c| c.columns = only(&[Operation::Avg]), "does not allow kwh in SUM").await;
    refused(&city, &mut line, |c| c.columns = everything(["zone"]), "allows nothing of kwh").await;
    refused(&city, &mut line, |c| c.not_after.0 = now() - 1, "ended at").await;
    refused(&city, &mut line, |c| (c.not_before.0, c.not_after.0) = (now() + 600, now() + 1200), "begins at").await;
    refused(&city, &mut line, |c| c.countersigned = true, "binds `office` only after it signed it").await;

    // For another purpose than the contracts', and for none.
    for purpose in ["", "to test", "https://w3id.org/dpv#Marketing", "https://w3id.org/dpv#PublicBenefits"] {
        assert_eq!(city.refused(&mut line, &city.ask_for(SQL, purpose)).await, Code::NoConsent, "{purpose}");
    }
    city.accepted(&mut line, &city.ask_for(SQL, &format!("{PUBLIC_BENEFIT} and words of our own"))).await;

    // Default deny.
    city.take_away("energy.contract");
    let refusal = city.refused_soon(&mut line, &city.ask(SQL)).await;
    assert!(refusal.code == Code::NoConsent && refusal.reason.contains("there is no contract for energy.use"), "{refusal}");
    city.put_contract(1, |_| {});
    city.accepted_soon(&mut line, &city.ask(SQL)).await;

    // Forged: energy's name and another's key. What stands goes on, nothing new comes into force.
    let forged = city.contract(1, |_| {}).sign(city.identity("health").signing_key()).expect_err("not its owner").to_string();
    assert!(forged.contains("`energy`"), "{forged}");
    let owner = signs("energy", &city.identity("health").public()).expect("a key");
    let forged = city.contract(1, |c| c.owner = owner).sign(city.identity("health").signing_key()).expect("signed");
    city.take_away("energy.contract");
    city.put("forged.contract", &forged);
    let refusal = city.refused_soon(&mut line, &city.ask(SQL)).await;
    assert!(refusal.reason.contains("there is no contract for energy.use"), "{refusal}");
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_hold_different_contracts_say_so_before_a_share_moves() {
    let mut city = City::new();
    // Health has another contract of energy than the others have.
    std::fs::create_dir(city.path("health.contracts")).expect("made");
    for party in [0, 2] {
        let name = format!("{}.contract", PARTIES[party]);
        std::fs::copy(city.path("contracts").join(&name), city.path("health.contracts").join(&name)).expect("copied");
    }
    let other = city.signed(1, &city.contract(1, |_| {}));
    std::fs::write(city.path("health.contracts/energy.contract"), other).expect("written");
    let mut lines = city.start_all().await;
    let offer = city.ask(SQL);
    for line in &mut lines {
        city.accepted(line, &offer).await;
    }
    for line in &mut lines {
        line.start(&offer).await;
    }
    let mut told = 0;
    for line in &mut lines {
        let refusal = city.failed(line).await;
        match refusal.code {
            Code::NoConsent => {
                assert!(refusal.reason.contains("another set of contracts") && refusal.reason.contains("`contracts` folder"), "{refusal}");
                told += 1;
            }
            // Told by another that it is over.
            code => assert_eq!(code, Code::Peer, "{refusal}"),
        }
    }
    assert!(told > 0, "somebody says what it is");
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_is_used_up_stays_so() {
    let mut city = City::new();
    city.put_contract(1, |c| c.max_uses = Some(1));
    let mut lines = city.start_all().await;
    // An attempt that ends without an answer uses nothing.
    let offer = city.ask(SQL);
    let [line, ..] = &mut lines;
    city.accepted(line, &offer).await;
    line.start(&offer).await;
    line.stop(&offer, query::message::frame::StopCode::Cancelled).await;
    city.failed(line).await;
    city.answered(&mut lines, SQL).await;
    for line in &mut lines {
        let refusal = city.refusal(line, &city.ask(SQL)).await;
        assert!(refusal.code == Code::UsedUp && refusal.reason.contains("is used up: it is for 1 answers"), "{refusal}");
    }
    city.stop(2).await;
    let mut line = city.start(2).await;
    assert_eq!(city.refused(&mut line, &city.ask(SQL)).await, Code::UsedUp);
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_what_runs_and_forgets_what_was_sealed() {
    let mut city = City::new();
    let mut lines = city.start_all().await;
    let sealed = city.answered(&mut lines, SQL).await;
    let [line, other, _] = &mut lines;
    // One waits for the others, who are not told to start; one has accepted and is started too late.
    let (running, late) = (city.ask(SQL), city.ask(SQL));
    city.accepted(line, &running).await;
    city.accepted(other, &late).await;
    line.start(&running).await;
    city.revoke(1);
    let refusal = city.failed(line).await;
    assert!(refusal.code == Code::Revoked && refusal.reason.contains("nothing of the answer was opened"), "{refusal}");
    city.refused_soon(other, &late).await;
    other.start(&late).await;
    assert_eq!(city.failed(other).await.code, Code::Revoked);
    // What the coordinator lost of the answer before, it does not have again.
    assert_eq!(city.refused(line, &sealed).await, Code::Replay);
    let refusal = city.refusal(line, &city.ask(SQL)).await;
    let revoked = "for energy.use, which allowed it, was revoked by energy";
    assert!(refusal.reason.contains("there is no contract for energy.use") && refusal.reason.contains(revoked), "{refusal}");
    // Asked of others' tables alone, it goes on.
    city.accepted(line, &city.ask(&format!("SELECT COUNT(*) AS n FROM {}", TABLES_OF[0]))).await;
    city.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_cannot_keep_of_its_own_contracts_keeps_it_from_starting() {
    let city = City::new();
    city.put_contract(1, |c| c.security = Security::Malicious);
    let error = party::run(city.config(1), std::future::pending()).await.expect_err("it does not start").to_string();
    assert!(error.contains("energy.contract: this release does not enforce `security` yet"), "{error}");
    let findings = party::doctor::check(&city.config(1)).await;
    assert!(findings.iter().any(|f| f.check == "contracts" && f.what.contains("`security`") && !f.fix.is_empty()), "{findings:?}");
    std::fs::remove_dir_all(city.path("contracts")).expect("removed");
    let error = party::run(city.config(0), std::future::pending()).await.expect_err("it does not start").to_string();
    assert!(error.contains("there is no such folder; make it"), "{error}");
    city.stop_all().await;
}
