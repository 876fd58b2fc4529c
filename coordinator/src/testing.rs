//! A small city for tests: three parties that say what the test tells them to.

use crate::config::{Deadlines, Limits};
use crate::scheduler::City;
use ledger::bytes::{Base64, Hash};
use ledger::entry::{self, Body};
use mpc_core::identity::Identity;
use mpc_core::roster::{Node, Planner, Role, Roster};
use query::catalog::Catalog;
use query::joblog::QueryEntry;
use query::message::frame::{FromParty, Ready, Signed, Stated};
use query::message::{Accept, Code, Failed, Query, QueryId, Refusal, Refuse, Sealed, Statement, Told};
use std::sync::Arc;

pub(crate) const PARTIES: [&str; 3] = ["transport", "energy", "health"];
pub(crate) const PLANNER: &str = "planning-office";
pub(crate) const CATALOG: &str = r#"version = 1

[[table]]
name = "transport.trips"
max_rows = 1000

[[table.column]]
name = "seconds"
type = "INT"
min = 0
max = 86400

[[table]]
name = "public.days"
rows = 1000
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
key = ["day"]
column = [{ name = "day", type = "INT", nullable = false, min = 1, max = 1000 }]

[[domain]]
name = "days"
table = "public.days"
column = "day"

[[table]]
name = "health.visits"
max_rows = 1000
key = ["day"]
column = [
    { name = "day", type = "INT", nullable = false, min = 1, max = 1000, domain = "days" },
    { name = "n", type = "INT", nullable = false, min = 0, max = 9 },
]
"#;
pub(crate) const PLAN: Hash = Hash([6; 32]);
pub(crate) const SID: Hash = Hash([8; 32]);

pub(crate) fn identity(name: &str) -> Identity {
    Identity::from_seed(&Hash::sha256(&[name.as_bytes()]).0)
}

pub(crate) fn roster() -> Roster {
    let node = |at: usize, name: &str, role, api| Node {
        name: name.into(),
        role,
        key: identity(name).public(),
        addr: format!("127.0.0.1:710{at}"),
        api,
    };
    let mut nodes: Vec<Node> = (1..).zip(PARTIES).map(|(at, name)| node(at, name, Role::Party, None)).collect();
    nodes.push(node(0, "coordinator", Role::Coordinator, Some("http://127.0.0.1:7180".into())));
    let planner = |name: &str| Planner { name: name.into(), key: identity(name).public() };
    Roster::new("Demo city".into(), nodes, vec![planner(PLANNER), planner("press-office")]).expect("a roster")
}

pub(crate) fn city(limits: Limits, catalog_hash: Hash) -> City {
    let roster = Arc::new(roster());
    let catalog = Catalog::parse(CATALOG).expect("a catalogue");
    City { roster_hash: Hash(roster.hash()), roster, catalog_hash, catalog, limits, deadlines: Deadlines::default() }
}

/// A query, told from others by its number.
pub(crate) fn query(number: u8, now: u64, catalog_hash: Hash) -> Query {
    Query {
        sql: "SELECT COUNT(*) FROM transport.trips".into(),
        planner: PLANNER.into(),
        roster_hash: Hash(roster().hash()),
        catalog_hash,
        output_key: Base64(vec![7; 32]),
        purpose: "the bus plan".into(),
        security: "semi-honest".into(),
        protocol: "rep3".into(),
        epsilon: None,
        nonce: Hash([number; 32]),
        issued: now,
        expires: now + 600,
        analyze: false,
    }
}

pub(crate) fn sign(query: &Query) -> String {
    query.sign(&query.planner, &identity(&query.planner)).expect("signed")
}

pub(crate) fn ready(catalog_hash: Hash) -> FromParty {
    ready_with(catalog_hash, None)
}

pub(crate) fn ready_with(catalog_hash: Hash, catalog: Option<String>) -> FromParty {
    FromParty::Ready(Ready { version: "0.1.0".into(), roster_hash: Hash(roster().hash()), catalog_hash, catalog })
}

pub(crate) fn accept(party: usize, job: QueryId, attempt: u32, plan_hash: Hash) -> FromParty {
    FromParty::Accept(stated(party, &Accept { job, attempt, plan_hash }))
}

pub(crate) fn refuse(party: usize, job: QueryId, attempt: u32, code: Code) -> FromParty {
    let refusal = Refusal::new(code, format!("{} says no", PARTIES[party]), "do better");
    FromParty::Refuse(signed(party, &Refuse { job, attempt, refusal }))
}

pub(crate) fn failed(party: usize, job: QueryId, attempt: u32, code: Code) -> FromParty {
    let refusal = Refusal::new(code, format!("{} failed", PARTIES[party]), "mend it");
    FromParty::Failed(stated(party, &Failed { job, attempt, refusal }))
}

pub(crate) fn sealed(party: usize, job: QueryId, attempt: u32, sid: Hash) -> FromParty {
    let peers = PARTIES.iter().enumerate().filter(|(at, _)| *at != party);
    let lock = peers.map(|(_, peer)| Told { peer: (*peer).into(), sent: Hash([3; 32]), received: Hash([3; 32]) }).collect();
    let (encapsulated, ciphertext) = (Base64(vec![1; 32]), Base64(vec![2; 40]));
    let sealed = Sealed { job, attempt, sid, plan_hash: PLAN, encapsulated, ciphertext, measured: vec![], lock };
    FromParty::Sealed(stated(party, &sealed))
}

/// The same frame, with what the party signs for the log.
pub(crate) fn with_entry(party: usize, frame: FromParty, body: &Body) -> FromParty {
    let name = PARTIES[party];
    let entry = body.sign(name, identity(name).signing_key()).expect("signed");
    let add = |stated: Stated| Stated { entries: [stated.entries, vec![entry]].concat(), ..stated };
    match frame {
        FromParty::Accept(stated) => FromParty::Accept(add(stated)),
        FromParty::Sealed(stated) => FromParty::Sealed(add(stated)),
        FromParty::Failed(stated) => FromParty::Failed(add(stated)),
        other => other,
    }
}

/// The planner's entry about a query.
pub(crate) fn entry(job: QueryId) -> QueryEntry {
    let body = Body::Query(entry::Query {
        job: job.0,
        purpose: "the bus plan".into(),
        contracts: vec![],
        reads: vec![],
        parties: PARTIES.map(String::from).into(),
        receivers: vec![PLANNER.into()],
        plan_hash: PLAN,
        statement: Hash([9; 32]),
        expires: 4_000_000_000,
    });
    QueryEntry { entry: body.sign(PLANNER, identity(PLANNER).signing_key()).expect("signed"), salt: Hash([9; 32]) }
}

fn stated(party: usize, statement: &impl Statement) -> Stated {
    Stated { note: signed(party, statement).note, entries: vec![] }
}

fn signed(party: usize, statement: &impl Statement) -> Signed {
    let name = PARTIES[party];
    Signed { note: statement.sign(name, &identity(name)).expect("signed") }
}
