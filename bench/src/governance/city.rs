//! A small city whose log is measured: three agencies, a planner, two data sets, and as many jobs as one wants.

use anyhow::Result;
use ledger::bytes::Hash;
use ledger::checkpoint::{Checkpoint, Head};
use ledger::contract::Decimal;
use ledger::cosigner::{Cosigner, NamedSigner};
use ledger::entry::{self, Body, Column, Contract, DataSet, Debit, Entry, Member, Opening, Outcome, Query, Read, Role, Standing, Start};
use ledger::key::{KeyKind, VerifierKey};
use ledger::replay::Replay;
use ledger::sequencer::{Progress, Sequencer};
use mpc_core::identity::Identity;
use std::path::Path;

pub const ORIGIN: &str = "city.example/ledger";
pub const AGENCIES: [&str; 3] = ["transport", "energy", "health"];
pub const PLANNER: &str = "planning-office";
pub const DATA_SETS: [&str; 2] = ["transport.charging", "energy.feeders"];
/// Entries of a job: query, two debits, start, result.
pub const JOB: usize = 5;

/// The key that goes by this name.
fn key(name: &str) -> Identity {
    Identity::from_seed(&Hash::sha256(&[b"benchmark", name.as_bytes()]).0)
}

fn public(name: &str, kind: KeyKind) -> Result<VerifierKey> {
    Ok(VerifierKey::new(name, kind, key(name).public().verifying_key())?)
}

fn signer(name: &str, kind: KeyKind) -> Result<NamedSigner> {
    Ok(NamedSigner::new(name, kind, Box::new(key(name).signing_key().clone()))?)
}

/// An entry, signed by one.
pub fn signed(body: &Body, name: &str) -> Result<String> {
    Ok(body.sign(name, key(name).signing_key())?)
}

fn signed_by_all(body: &Body) -> Result<String> {
    let first = signed(body, AGENCIES[0])?;
    AGENCIES[1..].iter().try_fold(first, |entry, name| Ok(entry::countersign(&entry, name, key(name).signing_key())?))
}

/// The empty log.
pub fn beginning() -> Result<Replay> {
    let founders = AGENCIES.iter().chain([&PLANNER]).map(|name| public(name, KeyKind::Note)).collect::<Result<_>>()?;
    Ok(Replay::new(public(ORIGIN, KeyKind::Note)?, founders))
}

/// The log in this folder.
pub fn sequencer(folder: &Path) -> Result<Sequencer> {
    Ok(Sequencer::open(folder, beginning()?, signer(ORIGIN, KeyKind::Note)?)?)
}

/// An agency's witness and mirror in this folder.
pub fn cosigner(folder: &Path, agency: &str) -> Result<Cosigner> {
    let named = |what| signer(&format!("{agency}/{what}"), KeyKind::Cosignature);
    Ok(Cosigner::open(folder, beginning()?, named("witness")?, named("validated")?)?)
}

/// What stands in a log before the first job.
pub fn founding() -> Result<Vec<String>> {
    let mut entries = Vec::new();
    for name in AGENCIES.iter().chain([&PLANNER]) {
        let agency = AGENCIES.contains(name);
        let cosigner = |what| agency.then(|| public(&format!("{name}/{what}"), KeyKind::Cosignature)).transpose();
        let member = Member {
            name: (*name).into(),
            organisation: format!("Office of {name}"),
            role: if agency { Role::Agency } else { Role::Planner },
            standing: Standing::Admitted,
            key: public(name, KeyKind::Note)?,
            witness: cosigner("witness")?,
            validated: cosigner("validated")?,
        };
        entries.push(signed(&Body::Member(Box::new(member)), name)?);
    }
    for dataset in DATA_SETS {
        entries.push(contract(dataset)?);
        let columns = ["zone", "hour", "kwh"].map(|name| Column { name: name.into(), sql_type: "BIGINT".into() }).into();
        entries.push(signed(&Body::DataSet(DataSet { dataset: dataset.into(), snapshot: snapshot(dataset), columns }), owner(dataset))?);
    }
    Ok(entries)
}

pub fn owner(dataset: &str) -> &str {
    entry::owner(dataset).unwrap_or(dataset)
}

fn snapshot(dataset: &str) -> Hash {
    Hash::sha256(&[dataset.as_bytes()])
}

fn contract(dataset: &str) -> Result<String> {
    let terms = serde_json::json!({"dataset": dataset, "min_group": 10, "planners": [PLANNER], "epsilon": 5_000_000});
    signed(&Body::Contract(Contract { dataset: dataset.into(), terms }), owner(dataset))
}

fn contract_id(dataset: &str) -> Result<Hash> {
    Ok(Entry::parse(contract(dataset)?.as_bytes())?.id)
}

/// A question of the planner's.
pub fn query(job: Hash) -> Result<Body> {
    Ok(Body::Query(Query {
        job,
        purpose: "where to permit chargers".into(),
        contracts: DATA_SETS.iter().map(|dataset| contract_id(dataset)).collect::<Result<_>>()?,
        reads: DATA_SETS
            .iter()
            .map(|dataset| Read { dataset: (*dataset).into(), snapshot: snapshot(dataset), columns: vec!["zone".into(), "kwh".into()] })
            .collect(),
        parties: AGENCIES.map(String::from).into(),
        receivers: vec![PLANNER.into()],
        plan_hash: plan(),
        statement: Opening { salt: job, value: "SELECT zone, SUM(kwh) FROM transport.charging GROUP BY zone".into() }.commitment(),
        expires: 4_000_000_000,
    }))
}

fn plan() -> Hash {
    Hash::sha256(&[b"plan"])
}

pub fn debit(job: Hash, dataset: &str) -> Result<Body> {
    let contract = contract_id(dataset)?;
    Ok(Body::Debit(Debit {
        job,
        dataset: dataset.into(),
        contract,
        month: "2026-11".into(),
        uses: 1,
        epsilon: 0,
        delta: Decimal(0),
        noise: None,
    }))
}

pub fn start(job: Hash) -> Body {
    Body::Start(Start { job, attempt: 1, plan_hash: plan() })
}

pub fn result(job: Hash) -> Body {
    Body::Result(Outcome { job, attempt: 1, result: Hash::sha256(&[b"result", &job.0]) })
}

/// The id of the n-th job.
pub fn job_id(n: u64) -> Hash {
    Hash::sha256(&[b"job", &n.to_be_bytes()])
}

/// The entries of the n-th job, from question to result.
pub fn job(n: u64) -> Result<[String; JOB]> {
    let job = job_id(n);
    let [first, second] = DATA_SETS;
    Ok([
        signed(&query(job)?, PLANNER)?,
        signed(&debit(job, first)?, owner(first))?,
        signed(&debit(job, second)?, owner(second))?,
        signed_by_all(&start(job))?,
        signed_by_all(&result(job))?,
    ])
}

/// Appends entries.
pub fn append(log: &mut Sequencer, entries: &[String]) -> Result<()> {
    entries.iter().try_for_each(|entry| log.submit(entry.as_bytes()).map(drop))?;
    log.seal()?;
    Ok(())
}

/// Has an agency cosign all there is.
pub fn cosign(log: &mut Sequencer, agency: &str, cosigner: &mut Cosigner, now: u64) -> Result<()> {
    loop {
        let [checkpoint, entries] = log.update_for(agency)?;
        let [witness, validated] = cosigner.update(&checkpoint, &entries, now);
        if log.answered(agency, (witness.status, &witness.body), (validated.status, &validated.body))? == Progress::Done {
            return Ok(());
        }
    }
}

/// The checkpoint of this head with the cosignatures of all agencies.
pub fn cosigned(head: &Head, now: u64) -> Result<Checkpoint> {
    let mut note = head.sign(key(ORIGIN).signing_key())?.note().to_owned();
    for name in AGENCIES.iter().flat_map(|agency| ["witness", "validated"].map(|what| format!("{agency}/{what}"))) {
        note += &format!("{}\n", head.cosign(&name, key(&name).signing_key(), now)?);
    }
    Ok(Checkpoint::parse(&note)?)
}
