//! A contract is revoked at every step of a job: whenever its owner's node hears of it before its part is sealed, no part of its is.

use super::*;
use crate::config::{Config, Limits};
use crate::contracts::{Contracts, signs};
use ledger::bytes::Base64;
use ledger::contract::{Contract, PUBLIC_BENEFIT, Pattern, SignedContract, everything};
use ledger::entry::{Body, Revoke};
use mpc_core::roster::{Node, Planner, Role, Roster};
use query::catalog::Catalog;
use query::message::frame::Offer;
use query::message::{Query, Statement};
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use tempfile::TempDir;

const TABLES: [(&str, &str, &str); 3] = [
    ("transport", "trips", "zone,n\n1,5\n2,6\n3,7\n4,8\n"),
    ("energy", "meters", "zone,n\n1,9\n2,3\n3,4\n4,1\n"),
    ("health", "stays", "zone,n\n1,2\n2,2\n3,8\n4,9\n"),
];
const ZONES: &str = "zone\n1\n2\n3\n4\n";
const SQL: &str = "SELECT COUNT(*) AS zones, SUM(t.n * h.n) AS product FROM public.zones z JOIN transport.trips t ON t.zone = z.zone \
    JOIN energy.meters e ON e.zone = z.zone JOIN health.stays h ON h.zone = z.zone WHERE t.n < e.n OR h.n > 7";
/// Whose contract is revoked.
const OWNER: usize = 1;

struct City {
    folder: TempDir,
    desks: Vec<Desk>,
    planner: Identity,
    asked: AtomicU8,
}

fn identity(name: &str) -> Identity {
    Identity::from_seed(&Hash::sha256(&[name.as_bytes()]).0)
}

impl City {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        std::fs::create_dir(folder.path().join("contracts")).expect("made");
        write("zones.csv", ZONES);
        let sockets: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
        let addr = |socket: &UdpSocket| socket.local_addr().expect("an address").to_string();
        let party = |((name, ..), socket): (&(&str, &str, &str), &UdpSocket)| Node {
            name: (*name).into(),
            role: Role::Party,
            key: identity(name).public(),
            addr: addr(socket),
            api: None,
        };
        let key = identity("coordinator").public();
        let coordinator =
            Node { name: "coordinator".into(), role: Role::Coordinator, key, addr: "127.0.0.1:1".into(), api: Some("http://h".into()) };
        let nodes = TABLES.iter().zip(&sockets).map(party).chain([coordinator]);
        let planners = vec![Planner { name: "office".into(), key: identity("office").public() }];
        let roster = Arc::new(Roster::new("c".into(), nodes.collect(), planners).expect("a roster"));
        let catalog = Arc::new(Catalog::parse(&catalogue()).expect("a catalogue"));
        let desks = TABLES.iter().zip(sockets).map(|((name, table, rows), socket)| {
            write(&format!("{name}.csv"), rows);
            desk(folder.path(), name, table, roster.clone(), catalog.clone(), socket)
        });
        let desks = desks.collect();
        let city = Self { folder, desks, planner: identity("office"), asked: AtomicU8::new(0) };
        (0..3).for_each(|party| city.put_contract(party));
        city
    }

    /// A new contract of a party, which every node takes up.
    fn put_contract(&self, party: usize) {
        let (name, table, _) = TABLES[party];
        let key = |name: &str| signs(name, &identity(name).public()).expect("a key");
        let contract = Contract::new(&format!("{name}.{table}"), key(name), vec![key("office")], everything(["zone", "n"]), now());
        let contract = Contract { join_with: [Pattern::Any].into(), ..contract.expect("randomness") };
        let note = contract.sign(identity(name).signing_key()).expect("signed");
        std::fs::write(self.folder.path().join(format!("contracts/{name}.contract")), note).expect("written");
        self.desks.iter().for_each(|desk| assert!(desk.grounds.contracts().reread(true)));
    }

    /// The owner revokes what it has there; its own node hears of it at once, as [`crate::control::Jobs::contracts_changed`] does.
    fn revoke(&self, admitted: &Admitted, stop: &Stop) {
        let (name, desk) = (TABLES[OWNER].0, &self.desks[OWNER]);
        let note = std::fs::read_to_string(self.folder.path().join(format!("contracts/{name}.contract"))).expect("a contract");
        let contract = SignedContract::open(&note, &signs(name, &identity(name).public()).expect("a key")).expect("signed").id;
        let note = Body::Revoke(Revoke { contract, reason: None }).sign(name, identity(name).signing_key()).expect("signed");
        std::fs::write(self.folder.path().join(format!("contracts/{}.revoke", contract.short())), note).expect("written");
        assert!(desk.grounds.contracts().reread(false));
        assert!(desk.grounds.contracts().ended_at_once(&admitted.consent).is_some());
        stop.now(Ending::Revoked, &desk.mesh, admitted.job);
    }

    /// Runs the question at all three; at the owner's progress number `at` its contract is revoked. Results, and how often the owner told
    /// of progress.
    fn run(self: &Arc<Self>, at: usize) -> (Vec<Result<Stated, Refusal>>, usize) {
        let (offer, told) = (self.offer(), Arc::new(AtomicUsize::new(0)));
        let running: Vec<_> = (0..3)
            .map(|party| {
                let (city, offer, told) = (self.clone(), offer.clone(), told.clone());
                std::thread::spawn(move || {
                    let desk = &city.desks[party];
                    let admitted = Arc::new(desk.grounds.admit(&offer, |_, _, _| Ok(()), now()).expect("allowed"));
                    let stop = Arc::new(Stop::default());
                    let (revoking, admitted_there, stop_there) = (city.clone(), admitted.clone(), stop.clone());
                    let out = move |_| {
                        if party == OWNER && told.fetch_add(1, Ordering::SeqCst) + 1 == at {
                            revoking.revoke(&admitted_there, &stop_there);
                        }
                    };
                    super::run(desk, &admitted, &stop, &out)
                })
            })
            .collect();
        (running.into_iter().map(|thread| thread.join().expect("no panic")).collect(), told.load(Ordering::SeqCst))
    }

    fn offer(&self) -> Offer {
        let grounds = &self.desks[0].grounds;
        let query = Query {
            sql: SQL.into(),
            planner: "office".into(),
            roster_hash: Hash(grounds.roster().hash()),
            catalog_hash: grounds.catalog_hash(),
            output_key: Base64(seal::OutputKey::generate().expect("randomness").public().to_vec()),
            purpose: PUBLIC_BENEFIT.into(),
            security: "semi-honest".into(),
            protocol: "rep3".into(),
            epsilon: None,
            nonce: Hash([self.asked.fetch_add(1, Ordering::SeqCst); 32]),
            issued: now(),
            expires: now() + 600,
            analyze: false,
        };
        let note = query.sign("office", &self.planner).expect("signed");
        Offer { job: QueryId::of(&note), attempt: 1, note, entry: None }
    }
}

fn desk(folder: &Path, name: &str, table: &str, roster: Arc<Roster>, catalog: Arc<Catalog>, socket: UdpSocket) -> Desk {
    let config = format!(
        "node = \"{name}\"\nidentity = \"k\"\nroster = \"r\"\ncatalogue = \"c\"\ncontracts = \"contracts\"\nstate = \"{name}.state\"\n\
         [[table]]\nname = \"public.zones\"\npath = \"zones.csv\"\n[[table]]\nname = \"{name}.{table}\"\npath = \"{name}.csv\"\n"
    );
    let config = Config::parse(&config, &folder.join("party.toml")).expect("a configuration");
    let sources = Sources::load(&config, &catalog).expect("loaded");
    let attempts = Mutex::new(Attempts::open(&config.state, now()).expect("opened"));
    let contracts = Contracts::open(&config.contracts, &config.state, name, roster.clone(), catalog.clone()).expect("contracts");
    let identity = Arc::new(identity(name));
    let mesh = Mesh::start_on(identity.clone(), roster.clone(), socket, mpc_quic::Profile::Lan).expect("started");
    let observed = Observed::new(name, sources.summaries(), []);
    let me = roster.party_id(name).expect("in the roster");
    let limits = Limits::default();
    let grounds = Grounds::new(name, roster, catalog, limits.plan(), Arc::new(contracts));
    let guard = Guard::new(name, &config.state);
    let answers = Answers::open(&config.state, identity.clone()).expect("opened");
    let openings = Openings::open(&config.state).expect("opened");
    Desk {
        node: name.into(),
        me,
        identity,
        grounds,
        sources,
        attempts,
        guard,
        answers,
        openings,
        mesh,
        limits,
        observed,
        mirror: None,
        catalogue: None,
    }
}

fn catalogue() -> String {
    let hash = Hash::sha256(&[ZONES.as_bytes()]);
    let public = format!(
        "version = 1\n[[table]]\nname = \"public.zones\"\nrows = 4\nsha256 = \"{hash}\"\nkey = [\"zone\"]\n\
         column = [{{ name = \"zone\", type = \"INT\", nullable = false }}]\n\
         [[domain]]\nname = \"zones\"\ntable = \"public.zones\"\ncolumn = \"zone\"\n"
    );
    let private = TABLES.map(|(name, table, _)| {
        format!(
            "[[table]]\nname = \"{name}.{table}\"\nmax_rows = 9\nkey = [\"zone\"]\ncolumn = [\n\
             {{ name = \"zone\", type = \"INT\", min = 1, max = 4, domain = \"zones\", nullable = false }},\n\
             {{ name = \"n\", type = \"INT\", min = 0, max = 1000, nullable = false }},\n]\n"
        )
    });
    public + &private.concat()
}

#[test]
fn a_revocation_at_any_step_keeps_the_answer_from_being_opened() {
    let city = Arc::new(City::new());
    let (results, steps) = city.run(0);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(steps > 8, "{steps} steps");
    for at in 1..=steps {
        city.put_contract(OWNER);
        let (results, _) = city.run(at);
        let refusal = results[OWNER].as_ref().map(|_| ()).expect_err("its part is not sealed");
        assert_eq!(refusal.code, Code::Revoked, "at {at}: {refusal}");
        // The others feel it, or had sealed parts that the owner's piece locks, which its own part alone has.
        let felt = |result: &Result<Stated, Refusal>| result.as_ref().err().is_none_or(|refusal| refusal.code == Code::Peer);
        assert!(results.iter().enumerate().all(|(party, result)| party == OWNER || felt(result)), "at {at}: {results:?}");
    }
    city.put_contract(OWNER);
    assert!(city.run(0).0.iter().all(Result::is_ok), "under another contract it is answered");
}
