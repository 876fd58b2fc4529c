//! A contract is revoked at every step of a job, which is before and after every message of every round, and wherever progress is told: whenever its owner's node hears of it before its part is
//! sealed, no part of its is, and the others' parts open nothing. With noise on the answer, what is kept of it on disk goes as well.

mod onlog;
mod tapped;

use super::*;
use crate::config::{Config, Limits};
use crate::contracts::{Contracts, signs};
use crate::control::Jobs;
use crate::node::look_at_contracts;
use ledger::bytes::Base64;
use ledger::contract::{Contract, Dp, DpMode, NoiseLaw, PUBLIC_BENEFIT, Pattern, SignedContract, everything};
use ledger::entry::{self, Body, Entry, Read, Revoke};
use mpc_core::link::{Frame, Head, LinkError};
use mpc_core::roster::{Node, Planner, Role, Roster};
use query::catalog::Catalog;
use query::finish::finish;
use query::message::frame::{self, Offer};
use query::message::{Query, Statement};
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

pub(super) const TABLES: [(&str, &str, &str); 3] = [
    ("transport", "trips", "zone,n\n1,5\n2,6\n3,7\n4,8\n"),
    ("energy", "meters", "zone,n\n1,9\n2,3\n3,4\n4,1\n"),
    ("health", "stays", "zone,n\n1,2\n2,2\n3,8\n4,9\n"),
];
const ZONES: &str = "zone\n1\n2\n3\n4\n";
pub(super) const SQL: &str = "SELECT COUNT(*) AS zones, SUM(t.n * h.n) AS product FROM public.zones z JOIN transport.trips t ON t.zone = z.zone \
    JOIN energy.meters e ON e.zone = z.zone JOIN health.stays h ON h.zone = z.zone WHERE t.n < e.n OR h.n > 7";
/// Under a contract that asks for noise.
const NOISED: &str = "SELECT COUNT(*) AS zones, SUM(n) AS s FROM energy.meters WHERE n < 100";
/// Whose contract is revoked.
pub(super) const OWNER: usize = 1;

/// What is done at every message of an attempt, which it is shown as it is before it is encrypted.
pub(crate) type AtMessages = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// A link at whose messages is done what the stop has for them.
pub(crate) fn watched(inner: Box<dyn Link>, stop: &Stop) -> Box<dyn Link> {
    match stop.at_messages.get() {
        Some(at_messages) => Box::new(Watched { inner, at_messages: at_messages.clone() }),
        None => inner,
    }
}

struct Watched {
    inner: Box<dyn Link>,
    at_messages: AtMessages,
}

impl Link for Watched {
    fn submit(&mut self, to: PartyId, mut frame: Frame) -> Result<(), LinkError> {
        (self.at_messages)(frame.payload_mut());
        self.inner.submit(to, frame)
    }

    fn take(&mut self, from: PartyId, expected: &Head) -> Result<Vec<u8>, LinkError> {
        let mut payload = self.inner.take(from, expected)?;
        (self.at_messages)(&mut payload);
        Ok(payload)
    }

    fn lane(&mut self, lane: u16) -> Result<Box<dyn Link>, LinkError> {
        Ok(Box::new(Self { inner: self.inner.lane(lane)?, at_messages: self.at_messages.clone() }))
    }
}

pub(super) struct City {
    pub(super) folder: TempDir,
    pub(super) desks: Vec<Arc<Desk>>,
    planner: Identity,
    key: seal::OutputKey,
    asked: AtomicUsize,
    /// What contracts ask for, and what is asked under them.
    dp: Option<Dp>,
    pub(super) sql: &'static str,
    /// The columns of every table.
    columns: &'static [&'static str],
    /// Is shown every message, with its party.
    pub(super) tap: Option<Tap>,
    /// What the job's entry says is read, if it stands on a log.
    pub(super) reads: Vec<Read>,
}

type Tap = Arc<dyn Fn(usize, &mut [u8]) + Send + Sync>;

/// What the three tables hold.
struct Data {
    columns: &'static [&'static str],
    /// All columns but `zone`, as the catalogue declares them.
    declared: &'static str,
    /// What else it declares of each table.
    terms: &'static str,
    rows: [String; 3],
}

fn identity(name: &str) -> Identity {
    Identity::from_seed(&Hash::sha256(&[name.as_bytes()]).0)
}

impl City {
    pub(super) fn new(dp: Option<Dp>, sql: &'static str) -> Self {
        Self::declaring("", dp, sql)
    }

    /// The same, of whose tables the catalogue says this as well.
    pub(super) fn declaring(terms: &'static str, dp: Option<Dp>, sql: &'static str) -> Self {
        let declared = "{ name = \"n\", type = \"INT\", min = 0, max = 1000, nullable = false }";
        let rows = TABLES.map(|(.., rows)| rows.to_owned());
        Self::of(&Data { columns: &["zone", "n"], declared, terms, rows }, dp, sql)
    }

    fn of(data: &Data, dp: Option<Dp>, sql: &'static str) -> Self {
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
        let catalog = Arc::new(Catalog::parse(&catalogue(data)).expect("a catalogue"));
        let desks = TABLES.iter().zip(&data.rows).zip(sockets).map(|(((name, table, _), rows), socket)| {
            write(&format!("{name}.csv"), rows);
            Arc::new(desk(folder.path(), name, table, roster.clone(), catalog.clone(), socket))
        });
        let desks = desks.collect();
        let key = seal::OutputKey::generate().expect("randomness");
        let noised = Read { dataset: "energy.meters".into(), snapshot: Hash([4; 32]), columns: vec!["n".into()] };
        let reads = dp.iter().map(|_| noised.clone()).collect();
        let asked = AtomicUsize::new(0);
        let city = Self { folder, desks, planner: identity("office"), key, asked, dp, sql, columns: data.columns, tap: None, reads };
        (0..3).for_each(|party| drop(city.put_contract(party)));
        city
    }

    /// A new contract of a party, which every node takes up: its note.
    fn put_contract(&self, party: usize) -> String {
        let (name, table, _) = TABLES[party];
        let key = |name: &str| signs(name, &identity(name).public()).expect("a key");
        let contract =
            Contract::new(&format!("{name}.{table}"), key(name), vec![key("office")], everything(self.columns.iter().copied()), now());
        let dp = self.dp.clone().filter(|_| party == OWNER);
        let catalog = self.desks[0].grounds.catalog();
        let sizes = catalog.table(&format!("{name}.{table}")).expect("in the catalogue").sizes;
        let contract = Contract { join_with: [Pattern::Any].into(), sizes, dp, ..contract.expect("randomness") };
        let note = contract.sign(identity(name).signing_key()).expect("signed");
        std::fs::write(self.folder.path().join(format!("contracts/{name}.contract")), &note).expect("written");
        self.desks.iter().for_each(|desk| assert!(desk.grounds.contracts().reread(true)));
        note
    }

    /// The owner revokes what it has there: the note.
    fn put_revocation(&self) -> String {
        let name = TABLES[OWNER].0;
        let note = std::fs::read_to_string(self.folder.path().join(format!("contracts/{name}.contract"))).expect("a contract");
        let contract = SignedContract::open(&note, &signs(name, &identity(name).public()).expect("a key")).expect("signed").id;
        let note = Body::Revoke(Revoke { contract, reason: None }).sign(name, identity(name).signing_key()).expect("signed");
        std::fs::write(self.folder.path().join(format!("contracts/{}.revoke", contract.short())), &note).expect("written");
        note
    }

    /// The same; its own node hears of it at once, as [`Jobs::contracts_changed`] does.
    fn revoke(&self, admitted: &Admitted, stop: &Stop) {
        self.put_revocation();
        let desk = &self.desks[OWNER];
        assert!(desk.grounds.contracts().reread(false));
        assert!(desk.grounds.contracts().ended_at_once(&admitted.consent).is_some());
        stop.now(Ending::Revoked, &desk.mesh, admitted.job);
    }

    /// Runs the question at all three; at the owner's step number `at` its contract is revoked. Results, and how many steps the owner took.
    pub(super) fn run(self: &Arc<Self>, at: usize) -> (Vec<Result<Stated, Refusal>>, usize) {
        let (city, offer) = (self.clone(), self.offer());
        self.run_admitted(move |party| city.admitted(party, &offer), at)
    }

    /// The same of what each party admitted.
    fn run_admitted(
        self: &Arc<Self>,
        admit: impl Fn(usize) -> Admitted + Send + Sync + 'static,
        at: usize,
    ) -> (Vec<Result<Stated, Refusal>>, usize) {
        let (admit, taken) = (Arc::new(admit), Arc::new(AtomicUsize::new(0)));
        let running: Vec<_> = (0..3)
            .map(|party| {
                let (city, admit, taken) = (self.clone(), admit.clone(), taken.clone());
                std::thread::spawn(move || {
                    let desk = &city.desks[party];
                    let admitted = Arc::new(admit(party));
                    let stop = Arc::new(Stop::default());
                    // Weak, as the stop holds it.
                    let (revoking, admitted_there, stop_there) = (city.clone(), admitted.clone(), Arc::downgrade(&stop));
                    let step: AtMessages = Arc::new(move |message| {
                        if let Some(tap) = &revoking.tap {
                            tap(party, message);
                        }
                        if party == OWNER && taken.fetch_add(1, Ordering::SeqCst) + 1 == at {
                            revoking.revoke(&admitted_there, &stop_there.upgrade().expect("it runs"));
                        }
                    });
                    assert!(stop.at_messages.set(step.clone()).is_ok());
                    super::run(desk, &admitted, &stop, &move |said| step(&mut frame::encode(&said).expect("a frame")))
                })
            })
            .collect();
        (running.into_iter().map(|thread| thread.join().expect("no panic")).collect(), taken.load(Ordering::SeqCst))
    }

    /// What a party makes of an offer. If the job stands on a log, as with noise, it is its entry that names snapshots, and the noise; no party has a mirror here, so that none is asked for a start.
    pub(super) fn admitted(&self, party: usize, offer: &Offer) -> Admitted {
        let admitted = self.desks[party].grounds.admit(offer, |_, _, _| Ok(()), now()).expect("allowed");
        let entry = (!self.reads.is_empty()).then(|| {
            Arc::new(entry::Query {
                job: offer.job.0,
                purpose: PUBLIC_BENEFIT.into(),
                contracts: admitted.consent.contracts().map(|signed| signed.id).collect(),
                reads: self.reads.clone(),
                parties: Vec::new(),
                receivers: Vec::new(),
                plan_hash: admitted.plan_hash,
                statement: Hash([5; 32]),
                expires: 0,
            })
        });
        Admitted { entry, ..admitted }
    }

    /// What a planner makes of the parts of these parties, who may put in what he likes for the others.
    fn opened(&self, parts: &[(usize, &Stated)], others: &[u8]) -> Option<Vec<String>> {
        let open = |(party, stated): &(usize, &Stated)| {
            let (name, _, _) = TABLES[*party];
            let sealed = Sealed::open(&stated.note, name, &identity(name).public()).expect("signed");
            seal::open(&self.key, &sealed, name).expect("sealed to him")
        };
        let mut locked: Vec<_> = (0..3).map(|_| Zeroizing::new(others.to_vec())).collect();
        parts.iter().for_each(|part| locked[part.0] = open(part));
        let unlocked = crate::lock::unlock(locked).expect("locked");
        let of = |(party, part)| parts.iter().any(|(of, _)| *of == party).then_some((party, part));
        self.finished(&unlocked.into_iter().enumerate().filter_map(of).collect::<Vec<_>>())
    }

    /// The answer that these parties' parts are, if they are one.
    fn finished(&self, parts: &[(usize, Zeroizing<Vec<u8>>)]) -> Option<Vec<String>> {
        let desk = &self.desks[0];
        let plan = self.admitted(0, &self.offer()).plan;
        let local = Local::new(1 << 28).expect("a local stage");
        let ground = Ground::new(&plan, &local, desk.sources.public()).expect("public rows");
        let plan = wire::sized(&parts.first()?.1, &plan)?;
        let part = |(party, part): &(usize, Zeroizing<Vec<u8>>)| Some((TABLES[*party].0.to_owned(), wire::decode(part, &plan, &ground)?));
        let parts = parts.iter().map(part).collect::<Option<Vec<_>>>()?;
        let answer = finish(&plan, &ground, &local, &parts).ok()?;
        let shown = |column| query::datafusion::arrow::util::display::array_value_to_string(column, 0).expect("shown");
        Some(answer.columns().iter().map(|column| shown(column)).collect())
    }

    /// The answer that all parts give.
    pub(super) fn answer(&self, results: &[Result<Stated, Refusal>]) -> Vec<String> {
        let parts: Vec<_> = results.iter().map(|result| result.as_ref().expect("sealed")).enumerate().collect();
        self.opened(&parts, &[]).expect("an answer")
    }

    /// That the attempt ended at the owner, and that what the others have does not open. How many of them had sealed their parts.
    fn is_kept_back(&self, at: usize, results: &[Result<Stated, Refusal>]) -> usize {
        let refusal = results[OWNER].as_ref().map(|_| ()).expect_err("its part is not sealed");
        assert_eq!(refusal.code, Code::Revoked, "at {at}: {refusal}");
        // The others feel it, or had sealed parts that the owner's piece locks, which its own part alone has.
        let felt = |result: &Result<Stated, Refusal>| result.as_ref().err().is_none_or(|refusal| refusal.code == Code::Peer);
        assert!(results.iter().enumerate().all(|(party, result)| party == OWNER || felt(result)), "at {at}: {results:?}");
        let parts: Vec<_> = results.iter().enumerate().filter_map(|(party, result)| Some((party, result.as_ref().ok()?))).collect();
        for others in [[0; crate::lock::LOCK], [7; crate::lock::LOCK]] {
            let opened = self.opened(&parts, &others);
            assert!(parts.is_empty() || opened.is_none(), "at {at}: {opened:?}");
        }
        parts.len()
    }

    /// What two parties have on disk of the one answer, opened by their keys.
    fn on_disk(&self, parties: [usize; 2]) -> Option<Vec<String>> {
        let share = |party: usize| {
            let folder = self.folder.path().join(format!("{}.state/answers", TABLES[party].0));
            let file = std::fs::read_dir(folder).expect("a folder").next().expect("a share").expect("a file").file_name();
            let noise = file.to_str().and_then(|name| name.parse().ok()).expect("the noise's name");
            self.desks[party].answers.read(&noise).expect("its own").1
        };
        self.finished(&parties.map(|party| (party, share(party))))
    }

    /// How many shares of answers a party has on disk.
    fn shares(&self, party: usize) -> usize {
        let state = self.folder.path().join(format!("{}.state/answers", TABLES[party].0));
        std::fs::read_dir(state).expect("a folder").count()
    }

    pub(super) fn offer(&self) -> Offer {
        let grounds = &self.desks[0].grounds;
        let query = Query {
            sql: self.sql.into(),
            planner: "office".into(),
            roster_hash: Hash(grounds.roster().hash()),
            catalog_hash: grounds.catalog_hash(),
            output_key: Base64(self.key.public().to_vec()),
            purpose: PUBLIC_BENEFIT.into(),
            security: "semi-honest".into(),
            protocol: "rep3".into(),
            epsilon: None,
            nonce: Hash::sha256(&[&self.asked.fetch_add(1, Ordering::SeqCst).to_le_bytes()]),
            issued: now(),
            expires: now() + 600,
            analyze: false,
        };
        let note = query.sign("office", &self.planner).expect("signed");
        Offer { job: QueryId::of(&note), attempt: 1, note, entry: None }
    }
}

pub(super) fn config(folder: &Path, name: &str, table: &str) -> Config {
    let config = format!(
        "node = \"{name}\"\nidentity = \"k\"\nroster = \"r\"\ncatalogue = \"c\"\ncontracts = \"contracts\"\nstate = \"{name}.state\"\n\
         [[table]]\nname = \"public.zones\"\npath = \"zones.csv\"\n[[table]]\nname = \"{name}.{table}\"\npath = \"{name}.csv\"\n"
    );
    Config::parse(&config, &folder.join("party.toml")).expect("a configuration")
}

fn desk(folder: &Path, name: &str, table: &str, roster: Arc<Roster>, catalog: Arc<Catalog>, socket: UdpSocket) -> Desk {
    let config = config(folder, name, table);
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
    let dealings = Dealings::open(&config.state, identity.clone()).expect("opened");
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
        dealings,
        mesh,
        limits,
        observed,
        mirror: None,
        catalogue: None,
    }
}

fn catalogue(Data { declared, terms, .. }: &Data) -> String {
    let hash = Hash::sha256(&[ZONES.as_bytes()]);
    let public = format!(
        "version = 1\n[[table]]\nname = \"public.zones\"\nrows = 4\nsha256 = \"{hash}\"\nkey = [\"zone\"]\n\
         column = [{{ name = \"zone\", type = \"INT\", nullable = false }}]\n\
         [[domain]]\nname = \"zones\"\ntable = \"public.zones\"\ncolumn = \"zone\"\n"
    );
    let private = TABLES.map(|(name, table, _)| {
        format!(
            "[[table]]\nname = \"{name}.{table}\"\nmax_rows = 9\nkey = [\"zone\"]\n{terms}column = [\n\
             {{ name = \"zone\", type = \"INT\", min = 1, max = 4, domain = \"zones\", nullable = false }},\n\
             {declared},\n]\n"
        )
    });
    public + &private.concat()
}

#[test]
fn a_revocation_at_any_step_keeps_the_answer_from_being_opened() {
    let city = Arc::new(City::new(None, SQL));
    let (results, steps) = city.run(0);
    let answer = city.answer(&results);
    // Three of the zones, with 5 · 2 and 7 · 8 and 8 · 9: two parties hold all of it, but for the lock.
    assert_eq!(answer, ["3", "138"]);
    assert!(steps > 40, "{steps} steps");
    let mut parts = Vec::new();
    for at in 1..=steps {
        city.put_contract(OWNER);
        let (results, _) = city.run(at);
        parts.push(city.is_kept_back(at, &results));
    }
    assert!(parts.contains(&2), "both others have sealed theirs in vain");
    city.put_contract(OWNER);
    assert_eq!(city.answer(&city.run(0).0), answer, "under another contract it is answered");
}

/// With noise parties first ask one another whether they have given the answer, keep their shares of it before any gives its part, and tell the digests of the parts for the log.
#[test]
fn a_revocation_at_any_step_leaves_no_share_of_an_answer_with_noise() {
    let number = |text: &str| text.parse().expect("a number");
    let dp = Dp {
        epsilon_per_query_max: number("0.5"),
        epsilon_month: number("1"),
        epsilon_month_all: None,
        delta: "0.000001".parse().expect("a number"),
        mode: DpMode::Required,
        noise: NoiseLaw::Laplace,
    };
    let city = Arc::new(City::new(Some(dp), NOISED));
    let (results, computed) = city.run(0);
    let answer = city.answer(&results);
    let (results, given) = city.run(0);
    assert_eq!(city.answer(&results), answer, "the same noise");
    // What is on the disks of two of the nodes is the answer, with both their keys.
    assert_eq!(city.on_disk([0, 2]), Some(answer.clone()));
    assert!(given < computed && given > 12, "{given} of {computed} steps");
    let jobs: Vec<Jobs> = city.desks.iter().map(|desk| Jobs::new(desk.clone()).expect("a thread")).collect();
    // What every node does several times a second.
    let look = || city.desks.iter().zip(&jobs).for_each(|(desk, jobs)| look_at_contracts(desk, jobs, false));
    city.put_revocation();
    look();
    let mut parts = Vec::new();
    // Steps of an answer that is computed, and of one that is given again.
    for (before, steps) in [(false, computed), (true, given)] {
        for at in 1..=steps {
            city.put_contract(OWNER);
            if before {
                city.answer(&city.run(0).0);
                assert!((0..3).all(|party| city.shares(party) == 1));
            }
            let (results, _) = city.run(at);
            parts.push(city.is_kept_back(at, &results));
            assert_eq!(city.shares(OWNER), 0, "at {at} of {steps}");
            // The peers keep theirs no longer than until they look.
            look();
            assert!((0..3).all(|party| city.shares(party) == 0), "at {at} of {steps}");
        }
    }
    assert!(parts.contains(&2), "both others have sealed theirs in vain");
}

#[tokio::test]
async fn the_next_look_at_the_folder_refuses_new_questions() {
    let city = City::new(None, SQL);
    let desk = &city.desks[OWNER];
    let jobs = Jobs::new(desk.clone()).expect("a thread");
    let (admit, offer) = (|offer: &Offer| desk.grounds.admit(offer, |_, _, _| Ok(()), now()).map(|_| ()), city.offer());
    admit(&offer).expect("it stands");
    city.put_revocation();
    admit(&offer).expect("nobody has looked");
    look_at_contracts(desk, &jobs, false);
    assert_eq!(admit(&offer).expect_err("revoked").code, Code::NoConsent);
}
