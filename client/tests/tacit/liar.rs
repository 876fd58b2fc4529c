//! A coordinator that lies: this test has its key and takes its place. Each party finds out by itself and refuses, with a
//! code and a sentence, before it has a session, and so before any share can move.

use crate::fixture::{QUICK, Town};
use ledger::bytes::{Base64, Hash};
use mpc_core::roster::Role;
use mpc_quic::quinn::{Connection, RecvStream, SendStream};
use mpc_quic::{Endpoint, Incoming, Profile};
use query::message::frame::{self, FromParty, Offer, PREFIX, Start, ToParty};
use query::message::{Code, Failed, Query, QueryId, Refusal, Refuse, Statement};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn a_coordinator_that_lies_is_refused_by_every_party() {
    let mut town = Town::invented();
    for party in scenarios::PARTIES {
        // One of the lies has them wait for a party that does not come.
        let config = town.city.node_config(party).expect("a configuration");
        let text = std::fs::read_to_string(config).expect("the file");
        // Of the log it can lie as well; that is in the tests of the nodes.
        let (before, after) = text.split_once("\n[ledger]").expect("it keeps the log");
        let (_, tables) = after.split_once("\n[[table]]").expect("its tables");
        let text = format!("{before}\n[[table]]{tables}\n[limits]\npeer_timeout_s = 2\n");
        std::fs::write(config, text).expect("written");
        town.city.start(party).expect("started");
    }
    let Town { city, runtime, .. } = &town;
    runtime.block_on(async {
        let mut liar = Liar::take_the_place(city).await;
        let honest = liar.note(city, |_| {});

        let swapped_sql = honest.replace("COUNT(*) AS zones", "SUM(zones) AS zones");
        assert_ne!(swapped_sql, honest);
        liar.all_refuse(&swapped_sql, Code::Signature).await;
        let other_roster = Hash([7; 32]);
        let own = city.roster().hash();
        liar.all_refuse(&honest.replace(&Hash(own).to_string(), &other_roster.to_string()), Code::Signature).await;
        liar.all_refuse(&honest.replace(&liar.output_key(), &Base64(vec![9; 32]).to_string()), Code::Signature).await;

        // Signed by the planner, for another world than the parties': an old note, say.
        liar.all_refuse(&liar.note(city, |q| q.roster_hash = other_roster), Code::Roster).await;
        liar.all_refuse(&liar.note(city, |q| q.catalog_hash = other_roster), Code::Catalog).await;
        liar.all_refuse(&liar.note(city, |q| q.output_key = Base64(vec![0; 32])), Code::OutputKey).await;
        liar.all_refuse(&liar.note(city, |q| (q.issued, q.expires) = (1, 2)), Code::Expired).await;
        // Signed by somebody who is in the roster, but no planner.
        liar.all_refuse(&liar.signed_by_itself(city), Code::Planner).await;

        // Another query under the honest one's id.
        let other = liar.note(city, |q| q.purpose = "another".into());
        liar.all_refuse_as(QueryId::of(&honest), &other, Code::Signature).await;

        // A different query, and so a different plan, for one of the three: each accepts its own, and then they meet.
        liar.parties_with_different_plans_do_not_start(city).await;
        // A replay of what has run.
        liar.all_refuse_a_replay(city).await;
    });
    for party in scenarios::PARTIES {
        assert!(town.city.is_running(party), "{party} is well:\n{}", town.logs());
    }
}

/// The false coordinator with its three lines.
struct Liar {
    lines: BTreeMap<String, Line>,
    key: Base64,
    _endpoint: Endpoint,
    _incoming: Incoming,
}

struct Line {
    _connection: Connection,
    send: SendStream,
    recv: RecvStream,
}

impl Liar {
    async fn take_the_place(city: &client::city::City) -> Self {
        let identity = city.identity("coordinator").expect("its key");
        let roster = Arc::new(city.roster().clone());
        let listen = roster.coordinator().resolve().expect("its address");
        let (endpoint, mut incoming) = Endpoint::bind(Arc::new(identity), roster, listen, Profile::Lan).expect("bound");
        let mut lines = BTreeMap::new();
        while lines.len() < 3 {
            let (connection, peer) = incoming.next().await.expect("a party");
            assert_eq!(peer.role, Role::Party);
            let (send, recv) = connection.accept_bi().await.expect("its stream");
            let mut line = Line { _connection: connection, send, recv };
            assert!(matches!(line.hear().await, FromParty::Ready(_)));
            lines.insert(peer.name, line);
        }
        let key = party::seal::OutputKey::generate().expect("randomness");
        Self { lines, key: Base64(key.public().to_vec()), _endpoint: endpoint, _incoming: incoming }
    }

    fn output_key(&self) -> String {
        self.key.to_string()
    }

    fn query(&self, city: &client::city::City) -> Query {
        let catalog = query::catalog::Catalog::load(&city.folder().join("catalogue.toml")).expect("the catalogue");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).expect("randomness");
        Query {
            sql: QUICK.into(),
            planner: client::city::PLANNER.into(),
            roster_hash: Hash(city.roster().hash()),
            catalog_hash: Hash(catalog.hash()),
            output_key: self.key.clone(),
            purpose: ledger::contract::PUBLIC_BENEFIT.into(),
            security: "semi-honest".into(),
            protocol: "rep3".into(),
            epsilon: None,
            nonce: Hash(nonce),
            issued: now,
            expires: now + 600,
            analyze: false,
        }
    }

    /// What the planner signed, with a change made before the signature.
    fn note(&self, city: &client::city::City, change: impl FnOnce(&mut Query)) -> String {
        let mut query = self.query(city);
        change(&mut query);
        let planner = city.identity(client::city::PLANNER).expect("the planner's key");
        query.sign(client::city::PLANNER, &planner).expect("signed")
    }

    fn signed_by_itself(&self, city: &client::city::City) -> String {
        let mut query = self.query(city);
        query.planner = "coordinator".into();
        query.sign("coordinator", &city.identity("coordinator").expect("its key")).expect("signed")
    }

    async fn all_refuse(&mut self, note: &str, code: Code) {
        self.all_refuse_as(QueryId::of(note), note, code).await;
    }

    async fn all_refuse_as(&mut self, job: QueryId, note: &str, code: Code) {
        for (name, line) in &mut self.lines {
            line.say(&ToParty::Offer(Offer { job, attempt: 1, note: note.into(), entry: None })).await;
            let refusal = line.refusal(name).await;
            assert_eq!(refusal.code, code, "{name}: {refusal}");
            assert!(refusal.reason.len() > 20 && !refusal.fix.is_empty(), "{name}: {refusal:?}");
        }
    }

    async fn parties_with_different_plans_do_not_start(&mut self, city: &client::city::City) {
        let one = self.note(city, |_| {});
        let other = self.note(city, |q| q.sql = q.sql.replace("SUM(c.covid_deaths)", "SUM(c.covid_cases)"));
        let job = QueryId::of(&one);
        for (name, line) in &mut self.lines {
            let note = if name == "health" { &other } else { &one };
            line.say(&ToParty::Offer(Offer { job: QueryId::of(note), attempt: 1, note: note.clone(), entry: None })).await;
            assert!(matches!(line.hear().await, FromParty::Accept(_)), "{name}");
        }
        for (name, line) in &mut self.lines {
            let job = if name == "health" { QueryId::of(&other) } else { job };
            line.say(&ToParty::Start(Start { job, attempt: 1, checkpoint: None })).await;
        }
        // transport and energy meet and miss health; nobody has a session of three, so nobody seals anything.
        for (name, line) in &mut self.lines {
            let refusal = line.failure(name).await;
            assert!(matches!(refusal.code, Code::Peer | Code::Deadline | Code::Plan | Code::Desync), "{name}: {refusal}");
        }
    }

    async fn all_refuse_a_replay(&mut self, city: &client::city::City) {
        let note = self.note(city, |_| {});
        let job = QueryId::of(&note);
        let offer = ToParty::Offer(Offer { job, attempt: 1, note: note.clone(), entry: None });
        for line in self.lines.values_mut() {
            line.say(&offer).await;
            assert!(matches!(line.hear().await, FromParty::Accept(_)));
        }
        for line in self.lines.values_mut() {
            line.say(&ToParty::Start(Start { job, attempt: 1, checkpoint: None })).await;
        }
        for (name, line) in &mut self.lines {
            loop {
                match line.hear().await {
                    FromParty::Sealed(_) => break,
                    FromParty::Progress(_) => {}
                    other => panic!("{name}: {other:?}"),
                }
            }
        }
        // Whoever lost the answer may have it once more; nothing is run again.
        for (name, line) in &mut self.lines {
            line.say(&offer).await;
            assert!(matches!(line.hear().await, FromParty::Sealed(_)), "{name}");
            assert_eq!(line.refusal(name).await.code, Code::Replay, "{name}");
        }
    }
}

impl Line {
    async fn say(&mut self, frame: &ToParty) {
        let bytes = frame::encode(frame).expect("a frame");
        self.send.write_all(&bytes).await.expect("sent");
    }

    /// What the party says next, but for what is the log's.
    async fn hear(&mut self) -> FromParty {
        loop {
            let mut prefix = [0; PREFIX];
            self.recv.read_exact(&mut prefix).await.expect("a frame");
            let mut body = vec![0; frame::length(prefix).expect("a length")];
            self.recv.read_exact(&mut body).await.expect("a frame");
            match frame::decode(&body).expect("a frame") {
                FromParty::Ledger(_) => {}
                said => return said,
            }
        }
    }

    /// A refusal before anything has begun: nothing else, no progress, comes first.
    async fn refusal(&mut self, name: &str) -> Refusal {
        match self.hear().await {
            FromParty::Refuse(signed) => body::<Refuse>(&signed.note).refusal,
            other => panic!("{name}: {other:?}"),
        }
    }

    async fn failure(&mut self, name: &str) -> Refusal {
        loop {
            match self.hear().await {
                FromParty::Failed(signed) => return body::<Failed>(&signed.note).refusal,
                FromParty::Refuse(signed) => return body::<Refuse>(&signed.note).refusal,
                FromParty::Progress(p) if p.stage == frame::Stage::Session => {}
                other => panic!("{name} went on: {other:?}"),
            }
        }
    }
}

/// What a note says; whose it is was settled by the connection.
fn body<T: Statement>(note: &str) -> T {
    let line = note.lines().nth(1).expect("a body");
    serde_json::from_str(line).expect("a statement")
}
