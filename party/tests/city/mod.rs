//! A city in one process: three party nodes as they really run, and a coordinator of the test's own, which may lie.

mod line;
pub mod log;

pub use line::{Line, Said};

use ledger::bytes::{Base64, Hash};
use ledger::contract::{Contract, PUBLIC_BENEFIT, Pattern, SignedContract, everything};
use ledger::entry::{Body, Revoke};
use ledger::sequencer::Sequencer;
use mpc_core::PartyId;
use mpc_core::establish::{ENGINE_VERSION, Terms, establish};
use mpc_core::identity::Identity;
use mpc_core::roster::{Node, Planner, Role, Roster};
use mpc_quic::{Endpoint, Incoming, Mesh, Profile};
use party::contracts::{Contracts, signs};
use party::seal::OutputKey;
use party::{Config, NodeError};
use query::catalog::Catalog;
use query::compile::compile;
use query::datafusion::arrow::array::{ArrayRef, Int32Array, RecordBatch};
use query::datafusion::parquet::arrow::ArrowWriter;
use query::message::frame::{FromParty, Offer, Stage, ToParty};
use query::message::{Accept, Code, Failed, Query, QueryId, Refusal, Refuse, Sealed, Statement};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const TABLES_OF: [&str; 3] = ["transport.trips", "energy.use", "health.cases"];
pub const PARTIES: [&str; 3] = ["transport", "energy", "health"];
/// Nothing of the data or the SQL that reads like this may appear in a log.
pub const CANARY: &str = "7731337";

const ZONES: &str = "zone,borough\n1,North\n2,North\n3,South\n4,South\n";
const TABLES: [&str; 3] = [
    "zone,seconds\n1,60\n1,7731337\n2,90\n3,30\n3,31\n3,32\n4,10\n",
    "zone,kwh\n1,7731337\n2,20\n3,30\n4,40\n",
    "zone,cases\n1,5\n2,15\n3,7731337\n4,35\n",
];

/// Across all three silos: 1·20 in zone 2, 3·30 in zone 3, 1·40 in zone 4, each with more than ten cases.
pub const SQL: &str = "SELECT COUNT(*) AS zones, SUM(t.n * e.kwh) AS product \
    FROM public.zones z \
    JOIN (SELECT zone, COUNT(*) AS n FROM transport.trips WHERE seconds < 7731338 GROUP BY zone) t ON t.zone = z.zone \
    JOIN energy.use e ON e.zone = z.zone \
    JOIN health.cases h ON h.zone = z.zone \
    WHERE h.cases > 10";
pub const ANSWER: [&str; 2] = ["3", "150"];

/// A patience no working city needs.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct City {
    pub folder: TempDir,
    pub roster: Arc<Roster>,
    pub catalog: Catalog,
    pub key: OutputKey,
    planner: Identity,
    coordinator: Endpoint,
    incoming: Incoming,
    nodes: Vec<Option<Running>>,
    /// The city's log, if it keeps one.
    log: Option<Mutex<Sequencer>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), NodeError>>,
}

impl City {
    /// Writes all files and starts the coordinator; no party yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let identities: Vec<Identity> = (0..5).map(|_| Identity::generate().expect("randomness")).collect();
        let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
        let names = [PARTIES.as_slice(), &["coordinator"]].concat();
        let nodes = names.iter().zip(&identities).zip(&ports).map(|((name, identity), port)| Node {
            name: (*name).into(),
            role: if *name == "coordinator" { Role::Coordinator } else { Role::Party },
            key: identity.public(),
            addr: format!("127.0.0.1:{port}"),
            api: (*name == "coordinator").then(|| "http://127.0.0.1:1".into()),
        });
        let planner = Planner { name: "office".into(), key: identities[4].public() };
        let roster = Roster::new("Test city".into(), nodes.collect(), vec![planner]).expect("a roster");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("roster.toml", &roster.to_toml());
        write("catalogue.toml", &catalogue());
        write("zones.csv", ZONES);
        for ((name, table), identity) in PARTIES.iter().zip(TABLES).zip(&identities) {
            match *name {
                "energy" => parquet(&folder.path().join("energy.parquet"), table),
                _ => write(&format!("{name}.csv"), table),
            }
            identity.save(folder.path().join(format!("{name}.key"))).expect("saved");
        }
        let mut identities = identities.into_iter().skip(3);
        let coordinator = Arc::new(identities.next().expect("five"));
        let planner = identities.next().expect("five");
        let roster = Arc::new(roster);
        let listen: SocketAddr = roster.coordinator().addr.parse().expect("an address");
        let (coordinator, incoming) = Endpoint::bind(coordinator, roster.clone(), listen, Profile::Lan).expect("bound");
        let catalog = Catalog::parse(&catalogue()).expect("a catalogue");
        let key = OutputKey::generate().expect("randomness");
        std::fs::create_dir(folder.path().join("contracts")).expect("made");
        let city = Self { folder, roster, catalog, key, planner, coordinator, incoming, nodes: vec![None, None, None], log: None };
        (0..3).for_each(|party| city.put_contract(party, |_| {}));
        city
    }

    /// What a party allows of its table: everything, but for what is changed.
    pub fn contract(&self, party: usize, change: impl FnOnce(&mut Contract)) -> Contract {
        let key = |name: &str, key| signs(name, key).expect("a key");
        let owner = key(PARTIES[party], &self.roster.node(PARTIES[party]).expect("in the roster").key);
        let planner = key("office", &self.roster.planner("office").expect("in the roster").key);
        let table = self.catalog.table(TABLES_OF[party]).expect("in the catalogue");
        let columns = everything(table.columns.iter().map(|column| column.name.as_str()));
        let mut contract = Contract::new(&table.name, owner, vec![planner], columns, now()).expect("randomness");
        contract.join_with = [Pattern::Any].into();
        change(&mut contract);
        contract
    }

    /// Puts a party's contract into the folder that all share, in place of the one that is there.
    pub fn put_contract(&self, party: usize, change: impl FnOnce(&mut Contract)) {
        self.put(&format!("{}.contract", PARTIES[party]), &self.signed(party, &self.contract(party, change)));
    }

    pub fn signed(&self, party: usize, contract: &Contract) -> String {
        contract.sign(self.identity(PARTIES[party]).signing_key()).expect("signed")
    }

    /// Puts a file into the folder of contracts, whole at once.
    pub fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path("beside"), text).expect("written");
        std::fs::rename(self.path("beside"), self.path("contracts").join(name)).expect("moved");
    }

    pub fn take_away(&self, name: &str) {
        std::fs::remove_file(self.path("contracts").join(name)).expect("removed");
    }

    /// Revokes the contract that a party has in the folder.
    pub fn revoke(&self, party: usize) {
        let name = PARTIES[party];
        let note = std::fs::read_to_string(self.path("contracts").join(format!("{name}.contract"))).expect("a contract");
        let owner = signs(name, &self.roster.node(name).expect("in the roster").key).expect("a key");
        let contract = SignedContract::open(&note, &owner).expect("signed").id;
        let note = Body::Revoke(Revoke { contract, reason: None }).sign(name, self.identity(name).signing_key()).expect("signed");
        self.put(&format!("{}.revoke", contract.short()), &note);
    }

    pub fn identity(&self, name: &str) -> Identity {
        Identity::load(self.path(&format!("{name}.key"))).expect("a key file")
    }

    pub fn config(&self, party: usize) -> Config {
        let name = PARTIES[party];
        let table = TABLES_OF[party];
        // Its own folder, if it is given one; else the one that all share.
        let contracts = Some(format!("{name}.contracts")).filter(|own| self.path(own).is_dir()).unwrap_or("contracts".into());
        let text = format!(
            "node = \"{name}\"\nidentity = \"{name}.key\"\nroster = \"roster.toml\"\ncatalogue = \"catalogue.toml\"\n\
             contracts = \"{contracts}\"\nstate = \"{name}.state\"\nhttp = \"127.0.0.1:0\"\n[limits]\njobs = 1\n\
             [[table]]\nname = \"public.zones\"\npath = \"zones.csv\"\n\
             [[table]]\nname = \"{table}\"\npath = \"{name}.{}\"\n",
            if name == "energy" { "parquet" } else { "csv" }
        );
        let section =
            format!("[ledger]\npolicy = \"city.policy\"\nwitness = \"{name}.witness.key\"\nvalidated = \"{name}.validated.key\"\n");
        let text = if self.log.is_some() { text + &section } else { text };
        Config::parse(&text, &self.path(&format!("{name}.toml"))).expect("a configuration")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a party and waits for its line.
    pub async fn start(&mut self, party: usize) -> Line {
        let (stop, stopped) = oneshot::channel();
        let mut task = tokio::spawn(party::run(self.config(party), async { drop(stopped.await) }));
        let line = tokio::select! {
            line = self.line() => line,
            ended = &mut task => match ended.expect("no panic") {
                Ok(()) => panic!("`{}` ended before anybody told it to", PARTIES[party]),
                Err(error) => panic!("`{}` does not start: {error}", PARTIES[party]),
            },
        };
        self.nodes[party] = Some(Running { stop, task });
        assert_eq!(line.party, party);
        line
    }

    /// Starts all three.
    pub async fn start_all(&mut self) -> [Line; 3] {
        [self.start(0).await, self.start(1).await, self.start(2).await]
    }

    /// The next party that connects, once it is ready.
    pub async fn line(&mut self) -> Line {
        let connect = async {
            let (connection, peer, (send, recv)) = loop {
                let (connection, peer) = self.incoming.next().await.expect("the endpoint is open");
                // A doctor only says hello.
                if let Ok(streams) = connection.accept_bi().await {
                    break (connection, peer, streams);
                }
            };
            let party = peer.party.expect("only parties connect").index();
            let (progress, entries, waiting, raw, sealed) = Default::default();
            let mut line = Line { party, connection, send, recv, progress, entries, waiting, raw, sealed };
            let FromParty::Ready(ready) = line.read().await else { panic!("the first frame is Ready") };
            assert_eq!((ready.roster_hash.0, ready.catalog_hash.0), (self.roster.hash(), self.catalog.hash()));
            line
        };
        tokio::time::timeout(PATIENCE, connect).await.expect("a party connects")
    }

    /// Ends a party cleanly.
    pub async fn stop(&mut self, party: usize) {
        let Running { stop, task } = self.nodes[party].take().expect("it runs");
        stop.send(()).expect("it listens");
        task.await.expect("no panic").expect("a clean end");
    }

    /// Ends all that run; their files stay as long as the folder.
    pub async fn stop_all(mut self) -> TempDir {
        for party in 0..3 {
            if self.nodes[party].is_some() {
                self.stop(party).await;
            }
        }
        self.coordinator.close().await;
        self.folder
    }

    /// A signed query.
    pub fn ask(&self, sql: &str) -> Offer {
        self.ask_for(sql, PUBLIC_BENEFIT)
    }

    /// A signed query for a purpose.
    pub fn ask_for(&self, sql: &str, purpose: &str) -> Offer {
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos().to_le_bytes()[..8]);
        let now = now();
        let query = Query {
            sql: sql.into(),
            planner: "office".into(),
            roster_hash: Hash(self.roster.hash()),
            catalog_hash: Hash(self.catalog.hash()),
            output_key: Base64(self.key.public().to_vec()),
            purpose: purpose.into(),
            security: "semi-honest".into(),
            protocol: "rep3".into(),
            epsilon: None,
            nonce: Hash(nonce),
            issued: now,
            expires: now + 600,
            analyze: true,
        };
        let note = query.sign("office", &self.planner).expect("signed");
        let entry = self.log.as_ref().map(|_| self.entry(&note, |_| {}, None));
        Offer { job: QueryId::of(&note), attempt: 1, note, entry }
    }

    /// What the party says next, but for progress.
    pub async fn hear(&self, line: &mut Line) -> Said {
        let name = PARTIES[line.party];
        let key = &self.roster.node(name).expect("in the roster").key;
        let hear = async {
            loop {
                let (said, entries) = match line.read().await {
                    FromParty::Progress(progress) => {
                        line.progress.push(progress);
                        continue;
                    }
                    FromParty::Ready(_) => panic!("ready is said once"),
                    said @ FromParty::Ledger(_) => {
                        self.keep(line, said).await;
                        continue;
                    }
                    FromParty::Accept(stated) => (Said::Accept(Accept::open(&stated.note, name, key).expect("signed")), stated.entries),
                    FromParty::Refuse(signed) => (Said::Refuse(Refuse::open(&signed.note, name, key).expect("signed")), Vec::new()),
                    FromParty::Sealed(stated) => {
                        line.sealed.clone_from(&stated.note);
                        (Said::Sealed(Box::new(Sealed::open(&stated.note, name, key).expect("signed"))), stated.entries)
                    }
                    FromParty::Failed(stated) => (Said::Failed(Failed::open(&stated.note, name, key).expect("signed")), stated.entries),
                };
                line.entries = entries;
                return said;
            }
        };
        tokio::time::timeout(PATIENCE, hear).await.expect("the party says something")
    }

    /// Waits until a party that has started is in this stage.
    pub async fn reaches(&self, line: &mut Line, stage: Stage) {
        let reach = async {
            while line.progress.last().is_none_or(|progress| progress.stage < stage) {
                match line.read().await {
                    FromParty::Progress(progress) => line.progress.push(progress),
                    said @ FromParty::Ledger(_) => self.keep(line, said).await,
                    other => panic!("not in progress: {other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, reach).await.expect("it comes so far");
    }

    /// In the place of a party that does not run: joins the session as it would, and is gone once told, or if the other end of what it is told by is.
    pub fn join_and_break(&self, party: usize, offer: &Offer, gone: std::sync::mpsc::Receiver<()>) -> JoinHandle<()> {
        let name = PARTIES[party];
        let identity = Arc::new(Identity::load(self.path(&format!("{name}.key"))).expect("its key"));
        let listen = self.roster.node(name).expect("in the roster").addr.parse().expect("an address");
        let query = Query::open(&offer.note, "office", &self.planner.public()).expect("signed");
        let plan = compile(&query.sql, &self.catalog).expect("a plan");
        let catalog = Arc::new(self.catalog.clone());
        let contracts =
            Contracts::open(&self.path("contracts"), self.folder.path(), name, self.roster.clone(), catalog).expect("contracts");
        let terms = Terms {
            qid: offer.job.0.0,
            plan_hash: plan.hash(),
            roster_hash: self.roster.hash(),
            catalog_hash: self.catalog.hash(),
            contracts: contracts.admit(&plan, &query, &[], now()).expect("allowed").1.hash().0,
            log: [0; 32],
            attempt: offer.attempt,
            engine_version: ENGINE_VERSION,
            params: Hash::sha256(&[b"tacit/v1/params\n", query.protocol.as_bytes(), b"\n", query.security.as_bytes()]).0,
            data: [0; 32],
        };
        let (roster, job, attempt) = (self.roster.clone(), offer.job.0.0, offer.attempt);
        tokio::task::spawn_blocking(move || {
            let mesh = Mesh::start(identity.clone(), roster.clone(), listen, Profile::Lan).expect("started");
            let link = mesh.link(job, attempt, PATIENCE).expect("a link");
            let me = PartyId(u8::try_from(party).expect("three parties"));
            let session = establish(&identity, &roster, me, &terms, Box::new(link)).expect("established");
            // an error: whoever tells is gone, and so is this
            let _ = gone.recv();
            drop((session, mesh));
        })
    }

    /// Asks all parties, which answer.
    pub async fn answered(&self, lines: &mut [Line; 3], sql: &str) -> Offer {
        let offer = self.ask(sql);
        for line in lines.iter_mut() {
            self.accepted(line, &offer).await;
        }
        for line in lines.iter_mut() {
            line.start(&offer).await;
        }
        for line in lines.iter_mut() {
            let said = self.hear(line).await;
            assert!(matches!(said, Said::Sealed(_)), "{said:?}");
        }
        offer
    }

    /// Offers to a party, which accepts.
    pub async fn accepted(&self, line: &mut Line, offer: &Offer) -> Hash {
        line.say(&ToParty::Offer(offer.clone())).await;
        match self.hear(line).await {
            Said::Accept(accept) => {
                assert_eq!((accept.job, accept.attempt), (offer.job, offer.attempt));
                accept.plan_hash
            }
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Offers to a party, which refuses.
    pub async fn refused(&self, line: &mut Line, offer: &Offer) -> Code {
        self.refusal(line, offer).await.code
    }

    /// The same, with what it says.
    pub async fn refusal(&self, line: &mut Line, offer: &Offer) -> Refusal {
        line.say(&ToParty::Offer(offer.clone())).await;
        match self.hear(line).await {
            Said::Refuse(refuse) => refuse.refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Offers to a party again and again until it refuses: it has read its contracts anew.
    pub async fn refused_soon(&self, line: &mut Line, offer: &Offer) -> Refusal {
        let ask = async {
            loop {
                line.say(&ToParty::Offer(offer.clone())).await;
                match self.hear(line).await {
                    Said::Accept(_) => {}
                    Said::Refuse(refuse) => return refuse.refusal,
                    other => panic!("neither accepted nor refused: {other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, ask).await.expect("it refuses")
    }

    /// The same until it accepts.
    pub async fn accepted_soon(&self, line: &mut Line, offer: &Offer) {
        let ask = async {
            loop {
                line.say(&ToParty::Offer(offer.clone())).await;
                match self.hear(line).await {
                    Said::Accept(_) => return,
                    Said::Refuse(_) => {}
                    other => panic!("neither accepted nor refused: {other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, ask).await.expect("it accepts")
    }

    /// The party's attempt fails.
    pub async fn failed(&self, line: &mut Line) -> Refusal {
        match self.hear(line).await {
            Said::Failed(failed) => failed.refusal,
            other => panic!("not failed: {other:?}"),
        }
    }
}

fn catalogue() -> String {
    let most = 10_000_000;
    let table = |party: usize, name: &str, key: &str, column: &str| {
        format!(
            "[[table]]\nname = \"{}.{name}\"\nmax_rows = 9\nkey = [{key}]\ncolumn = [\n\
             {{ name = \"zone\", type = \"INT\", min = 1, max = 4, domain = \"zones\", nullable = false }},\n\
             {{ name = \"{column}\", type = \"INT\", min = 0, max = {most}, nullable = false }},\n]\n",
            PARTIES[party]
        )
    };
    let hash = Hash::sha256(&[ZONES.as_bytes()]);
    [
        format!("version = 1\n[[table]]\nname = \"public.zones\"\nrows = 4\nsha256 = \"{hash}\"\nkey = [\"zone\"]\n"),
        "column = [{ name = \"zone\", type = \"INT\", nullable = false }, { name = \"borough\", type = \"STRING\" }]\n".into(),
        "[[domain]]\nname = \"zones\"\ntable = \"public.zones\"\ncolumn = \"zone\"\n".into(),
        table(0, "trips", "", "seconds"),
        table(1, "use", "\"zone\"", "kwh"),
        table(2, "cases", "\"zone\"", "cases"),
    ]
    .concat()
}

/// A table of two columns of integers as Parquet.
fn parquet(path: &Path, csv: &str) {
    let mut lines = csv.lines().map(|line| line.split_once(',').expect("two columns"));
    let (one, two) = lines.next().expect("a header");
    let (ones, twos): (Vec<i32>, Vec<i32>) = lines.map(|(a, b)| (a.parse::<i32>().expect("INT"), b.parse::<i32>().expect("INT"))).unzip();
    let columns: [(&str, ArrayRef); 2] = [(one, Arc::new(Int32Array::from(ones))), (two, Arc::new(Int32Array::from(twos)))];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let file = std::fs::File::create(path).expect("created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

/// What the parties sealed, once all parts are there.
pub fn unlocked(parts: Vec<(String, party::seal::Opened)>) -> Vec<(String, Vec<u8>)> {
    let (names, locked): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let unlocked = party::lock::unlock(locked).expect("locked");
    names.into_iter().zip(unlocked).map(|(name, part)| (name, part.to_vec())).collect()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

/// A port that is free for UDP and TCP at the moment, no two times the same, and below those that systems give to whoever names none: none of these takes it.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().expect("no test has panicked here");
    loop {
        let port = 12_000 + (RandomState::new().hash_one("port") % 20_000) as u16;
        let is_free = UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free && given.insert(port) {
            return port;
        }
    }
}
