//! The log of a running city: it grows, every agency holds it, nodes die and come back, and whoever put a folder back or forks is stopped.

use crate::fixture::{QUICK, Said, Town, run, text, until};
use client::Ask;
use ledger::bytes::Hash;
use ledger::checkpoint::{Checkpoint, Head};
use ledger::entry::{Body, Contract, Entry, Revoke};
use mpc_core::identity::Identity;
use query::message::job::{CityStatus, LedgerStatus};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

const AGENCIES: [&str; 3] = ["transport", "energy", "health"];

#[test]
fn the_log_grows_and_survives_the_death_of_its_nodes() {
    let mut town = Town::invented();
    town.up();
    let begun = settled(&town);
    let index = entered(&town, &contract(&town, 0));
    assert_eq!(index, begun, "the next place");
    let (status, refused) = post(&town, &contract(&town, 0));
    assert!(status == 409 && refused["code"] == "E_LEDGER_REPLAY", "{status} {refused}");
    let (status, refused) = post(&town, "not an entry");
    assert!(status == 422 && refused["code"] == "E_LEDGER_ENTRY", "{status} {refused}");
    let id = Entry::parse(contract(&town, 0).as_bytes()).expect("an entry").id;
    let revoked = signed(&town, &Body::Revoke(Revoke { contract: id, reason: None }));
    assert_eq!(entered(&town, &revoked), begun + 1, "a revocation is on the log once a quorum cosigned it");
    equal_everywhere(&town, begun + 2);

    // Nothing is published without energy; what was handed in stands once it is back.
    town.city.kill("energy");
    let waiting = handed_in(&town, &contract(&town, 1));
    town.up();
    assert_eq!(waiting.join().expect("answered"), begun + 2);
    // The same when the coordinator dies: what it answered for is there, and nothing is there twice.
    town.city.kill("coordinator");
    town.up();
    let (status, refused) = post(&town, &contract(&town, 1));
    assert!(status == 409 && refused["code"] == "E_LEDGER_REPLAY", "{status} {refused}");
    assert_eq!(entered(&town, &contract(&town, 2)), begun + 3);
    equal_everywhere(&town, begun + 4);

    // A question is on it from the query to the result, which the planner's client checks.
    let said = town.run(&["query", QUICK]);
    assert!(
        said.code == 0 && said.out.contains(&format!("entries {} and {} of the log", begun + 4, begun + 7)),
        "{}{}",
        said.out,
        said.err
    );
    equal_everywhere(&town, begun + 8);
    let audited = audit(&town, "health", &["--json", "--checkpoint", text(&folder(&town, "coordinator").join("checkpoint"))]);
    let audited: Value = serde_json::from_str(&audited.out).expect("JSON");
    for kind in ["job-query", "job-debit", "job-start", "job-result"] {
        assert_eq!(audited["entries"][kind], 1, "{kind}: {audited}");
    }
    assert_eq!(audited["jobs"]["done"], 1, "{audited}");
    let client = town.client();
    let answer = town.runtime.block_on(client.ask(QUICK, &Ask::default(), |_| {}));
    let answer = answer.unwrap_or_else(|e| panic!("{e}\n{}", town.logs()));
    let log = answer.log.expect("on the log");
    assert_eq!((log.places.query, log.places.result), (begun + 8, Some(begun + 11)));
    let (status, job) = http(&base(&town, "coordinator"), &format!("GET /v1/jobs/{}", newest(&town)), "");
    assert!(status == 200 && job.contains(&format!("\"log\":{{\"query\":{},\"result\":{}}}", begun + 8, begun + 11)), "{job}");
    let doctor = town.run(&["doctor"]);
    assert!(doctor.code == 0 && doctor.out.contains("ledger"), "{}{}", doctor.out, doctor.err);

    // What an agency puts into its folder of contracts goes onto the log by itself.
    let contracts = town.city.folder().join("contracts");
    let notes = fs::read_dir(&contracts).expect("a folder").map(|file| fs::read_to_string(file.expect("a file").path()).expect("read"));
    let ids = notes.filter_map(|note| {
        let entry = Entry::parse(note.as_bytes()).expect("an entry");
        (entry.signatures[0].name == "energy").then_some(entry.id)
    });
    let contract = ids.into_iter().next().expect("energy allows something");
    let ended = signed(&town, &Body::Revoke(Revoke { contract, reason: Some("no longer".into()) }));
    fs::write(contracts.join("ended.new"), &ended).expect("written");
    fs::rename(contracts.join("ended.new"), contracts.join("ended.revoke")).expect("in place");
    until(|| ledger(&town).published.filter(|published| *published == begun + 13));
    let last = run(&["ledger", "show", text(&folder(&town, "energy")), &(begun + 12).to_string()]);
    assert_eq!(last.out, ended);
}

#[test]
fn whoever_puts_a_folder_back_or_forks_the_log_is_stopped() {
    let mut town = Town::invented();
    town.up();
    let begun = settled(&town);
    let (mirror, log) = (folder(&town, "energy"), folder(&town, "coordinator"));
    for (node, folder) in [("energy", &mirror), ("coordinator", &log)] {
        town.city.kill(node);
        copy(folder, &folder.with_extension("old"));
        town.up();
    }
    entered(&town, &contract(&town, 0));

    // energy's folder is put back: it finds its own cosignature over more than it knows.
    town.city.kill("energy");
    fs::rename(&mirror, mirror.with_extension("new")).expect("moved");
    copy(&mirror.with_extension("old"), &mirror);
    town.up();
    let trouble = until(|| health(&town, "energy")["trouble"].as_str().map(ToOwned::to_owned));
    assert!(trouble.starts_with("E_LEDGER_ROLLBACK: "), "{trouble}");
    // Until it has shown what it holds, that is what the coordinator says.
    let told = |agency: &str| ledger(&town).agencies.into_iter().find(|one| one.name == agency).and_then(|one| one.trouble);
    until(|| told("energy").filter(|told| told.contains("E_LEDGER_ROLLBACK")));
    let doctor = town.run(&["doctor"]);
    assert!(doctor.out.contains("E_LEDGER_ROLLBACK"), "{}", doctor.out);
    town.city.kill("energy");
    let (config, other) = (town.city.node_config("energy").expect("its configuration"), folder(&town, "health"));
    let restored = run(&["ledger", "restore", text(&other), "--config", text(config)]);
    assert!(restored.code == 0 && restored.out.contains("energy knew of"), "{}{}", restored.out, restored.err);
    town.up();
    assert_eq!(entered(&town, &contract(&town, 1)), begun + 1, "with another agency's mirror it goes on");
    equal_everywhere(&town, begun + 2);

    // A coordinator that forks: witnesses refuse the other log, say so, and keep what convicts it.
    let published = checkpoint(&town, "coordinator");
    let key = Identity::load(town.city.folder().join("coordinator/log.key")).expect("the log's key");
    let other = Head { root: Hash([7; 32]), ..published.head().clone() }.sign(key.signing_key()).expect("signed");
    let body = format!("old {}\n\n{}", published.head().size, other.note());
    let (status, said) = http(&base(&town, "health"), "POST /ledger/add-checkpoint", &body);
    assert!(status == 503 && said.starts_with("E_LEDGER_FORK: "), "{status} {said}");
    let trouble = health(&town, "health")["trouble"].to_string();
    let fork = folder(&town, "health").with_extension("fork");
    assert!(trouble.contains("E_LEDGER_FORK") && trouble.contains("tacit ledger evidence"), "{trouble}");
    let (policy, held) = (town.city.folder().join("city.policy"), folder(&town, "health").join("checkpoint"));
    let file = town.city.folder().join("fork.evidence");
    let made = run(&["ledger", "evidence", text(&fork), text(&held), "--policy", text(&policy), "--output", text(&file)]);
    assert!(made.code == 0 && made.out.contains("signed two logs"), "{}{}", made.out, made.err);

    // The coordinator's folder is put back: the agencies' checkpoints say so, and nothing is signed.
    town.city.kill("coordinator");
    fs::rename(&log, log.with_extension("new")).expect("moved");
    copy(&log.with_extension("old"), &log);
    town.up();
    let trouble = until(|| ledger(&town).trouble);
    assert!(trouble.starts_with("E_LEDGER_ROLLBACK: "), "{trouble}");
    let (status, refused) = post(&town, &contract(&town, 2));
    assert!(status == 503 && refused["code"] == "E_LEDGER_ROLLBACK", "{status} {refused}");
}

/// The id of the newest job.
fn newest(town: &Town) -> String {
    let jobs = town.runtime.block_on(town.client().jobs()).expect("the jobs");
    jobs.first().expect("one was asked").job.to_string()
}

#[test]
fn a_question_is_asked_under_a_contract_that_has_uses_left() {
    let mut town = Town::invented();
    let (table, now) = ("health.covid_modzcta", std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs());
    let price = ledger::contract::Price { unit: "credit".into(), per_use: 3 };
    town.terms(table, |c| (c.max_uses, c.price) = (Some(1), Some(price.clone())));
    town.more_terms(table, "more.contract", |c| (c.max_uses, c.price) = (Some(1), Some(price.clone())));
    town.more_terms(table, "ended.contract", |c| c.not_after.0 = now - 1);
    town.more_terms(table, "later.contract", |c| (c.not_before.0, c.not_after.0) = (now + 86_400, now + 90_000));
    town.more_terms(table, "revoked.contract", |c| c.price = Some(price.clone()));
    town.up();
    settled(&town);
    // On the log alone, before it is in anybody's folder.
    let note = fs::read_to_string(town.city.folder().join("contracts/revoked.contract")).expect("a contract");
    let contract = Entry::parse(note.as_bytes()).expect("an entry").id;
    let health = town.city.identity("health").expect("a key");
    entered(&town, &Body::Revoke(Revoke { contract, reason: None }).sign("health", health.signing_key()).expect("signed"));
    let said = town.run(&["explain", QUICK]);
    assert!(said.out.contains("  price  ") && said.out.contains("  3 credit  "), "{}{}", said.out, said.err);
    // Each answer says under which of them it was given.
    let said = town.run(&["query", QUICK]);
    assert_eq!(said.code, 0, "{}{}\n{}", said.out, said.err, town.logs());
    let (_, shown) = said.out.split_once("(under the contract `").expect("the contract");
    let (first, _) = shown.split_once(&format!(") for {table})\n(")).expect("its data set, then the footer");
    let (_, first) = first.split_once("` (").expect("the beginning of its id");
    let said = town.run(&["query", QUICK, "--format", "json"]);
    assert_eq!(said.code, 0, "{}{}\n{}", said.out, said.err, town.logs());
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    let [second] = answer["contracts"].as_array().expect("contracts").as_slice() else { panic!("one data set: {answer}") };
    assert_eq!((second["dataset"].as_str(), second["contract"].is_string()), (Some(table), true), "{second}");
    let second = second["id"].as_str().expect("an id");
    let fresh: Vec<String> = ["health.covid_modzcta.contract", "more.contract"]
        .map(|name| fs::read_to_string(town.city.folder().join("contracts").join(name)).expect("a contract"))
        .map(|note| Entry::parse(note.as_bytes()).expect("an entry").id.to_string())
        .into();
    let of = |id: &str| fresh.iter().position(|whole| whole.starts_with(id)).expect("one of those that had uses left");
    assert_ne!(of(first), of(second));
    let said = town.run(&["query", QUICK]);
    assert!(said.code != 0 && said.err.contains("is used up: it is for 1 answers"), "{}{}", said.out, said.err);
}

/// Waits until the log has what it begins with: every member, every contract, and what each table holds. Says how many entries.
pub fn settled(town: &Town) -> u64 {
    let tables: usize = AGENCIES.iter().map(|name| tables(town, name)).sum();
    let contracts = fs::read_dir(town.city.folder().join("contracts")).expect("a folder").count();
    let all = (AGENCIES.len() + 1 + tables + contracts) as u64;
    until(|| ledger(town).published.filter(|published| *published == all));
    all
}

/// The tables of an agency's own.
fn tables(town: &Town, agency: &str) -> usize {
    let config = fs::read_to_string(town.city.node_config(agency).expect("its configuration")).expect("read");
    config.matches(&format!("name = \"{agency}.")).count()
}

/// Every agency mirrors the coordinator's log, and an audit of each folder finds nothing wrong.
pub fn equal_everywhere(town: &Town, size: u64) {
    let published = checkpoint(town, "coordinator");
    assert_eq!(published.head().size, size);
    let log = folder(town, "coordinator").join("checkpoint");
    for name in AGENCIES {
        assert_eq!(checkpoint(town, name).head(), published.head(), "{name}");
        let said = audit(town, name, &["--checkpoint", text(&log)]);
        assert!(said.code == 0 && said.out.contains("Every hash, signature and rule holds"), "{name}: {}{}", said.out, said.err);
    }
    let said = audit(town, "coordinator", &[]);
    assert_eq!(said.code, 0, "{}", said.err);
}

pub fn audit(town: &Town, name: &str, more: &[&str]) -> Said {
    let (log, files) = (folder(town, name), town.city.folder());
    let (policy, roster) = (files.join("city.policy"), files.join("roster.toml"));
    run(&[&["ledger", "audit", text(&log), "--policy", text(&policy), "--roster", text(&roster)], more].concat())
}

pub fn contract(town: &Town, n: u64) -> String {
    let dataset = "energy.buildings";
    signed(town, &Body::Contract(Contract { dataset: dataset.into(), terms: serde_json::json!({"dataset": dataset, "nonce": n}) }))
}

fn signed(town: &Town, body: &Body) -> String {
    body.sign("energy", town.city.identity("energy").expect("a key").signing_key()).expect("signed")
}

pub fn folder(town: &Town, name: &str) -> PathBuf {
    town.city.folder().join(name).join("state/ledger")
}

/// Where a node answers over HTTP.
pub fn base(town: &Town, name: &str) -> String {
    let config = fs::read_to_string(town.city.node_config(name).expect("its configuration")).expect("read");
    let http = config.lines().find_map(|line| line.strip_prefix("http = ")).map(|http| http.trim_matches('"').to_owned());
    http.unwrap_or_else(|| town.city.roster().coordinator().api.clone().expect("an address")).replace("http://", "")
}

pub fn checkpoint(town: &Town, name: &str) -> Checkpoint {
    let (status, note) = http(&base(town, name), "GET /ledger/checkpoint", "");
    assert_eq!(status, 200, "{name}: {note}");
    Checkpoint::parse(&note).expect("a checkpoint")
}

pub fn health(town: &Town, name: &str) -> Value {
    let (_, health) = http(&base(town, name), "GET /healthz", "");
    serde_json::from_str::<Value>(&health).expect("JSON")["ledger"].take()
}

pub fn ledger(town: &Town) -> LedgerStatus {
    let (_, status) = http(&base(town, "coordinator"), "GET /v1/status", "");
    serde_json::from_str::<CityStatus>(&status).expect("the city's state").ledger.expect("a log")
}

fn post(town: &Town, entry: &str) -> (u16, Value) {
    posted(&base(town, "coordinator"), entry)
}

fn posted(base: &str, entry: &str) -> (u16, Value) {
    let (status, answer) = http(base, "POST /ledger/entries", entry);
    (status, serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}")))
}

fn entered(town: &Town, entry: &str) -> u64 {
    let (status, answer) = post(town, entry);
    assert_eq!(status, 200, "{answer}\n{}", town.logs());
    answer["index"].as_u64().expect("a place")
}

/// Hands an entry in from a thread of its own; says its place once a quorum cosigned it.
pub fn handed_in(town: &Town, entry: &str) -> std::thread::JoinHandle<u64> {
    let (base, entry) = (base(town, "coordinator"), entry.to_owned());
    std::thread::spawn(move || {
        let (status, answer) = posted(&base, &entry);
        assert_eq!(status, 200, "{answer}");
        answer["index"].as_u64().expect("a place")
    })
}

pub fn http(base: &str, request: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(base).expect("connected");
    write!(stream, "{request} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head[9..12].parse().expect("a status"), body.into())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for file in fs::read_dir(from).expect("a folder").flatten() {
        match file.path().is_dir() {
            true => copy(&file.path(), &to.join(file.file_name())),
            false => drop(fs::copy(file.path(), to.join(file.file_name())).expect("copied")),
        }
    }
}
