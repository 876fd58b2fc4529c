use super::*;
use crate::testing::{self, CATALOG, PARTIES, PLAN, PLANNER, SID, accept, failed, ready, sealed, sign};
use mpc_core::roster::Node;
use mpc_quic::Profile;
use query::message::frame::{self, FromParty, Progress, Stage, StopCode, ToParty};
use query::message::job::{CityStatus, Event, JobState, JobStatus, SealedResults, Submitted, What};
use query::message::{Cancel, Code, QueryId, Refusal, Sealed, Statement};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle as Task;

/// A coordinator on free ports, with its files.
struct Site {
    folder: TempDir,
    roster: Arc<Roster>,
    catalog_hash: Hash,
    /// What its configuration says beside the usual.
    limits: &'static str,
    /// The address planners come from.
    from: &'static str,
    running: Option<Running>,
}

struct Running {
    http: SocketAddr,
    stop: oneshot::Sender<()>,
    task: Task<Result<(), Error>>,
}

impl Site {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // A port nobody has, for the roster to name; the coordinator opens it again in a moment.
        let free = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a free port");
        let roster = testing::roster();
        let mut nodes = roster.nodes().to_vec();
        nodes.iter_mut().filter(|node| node.api.is_some()).for_each(|node: &mut Node| node.addr = free.to_string());
        let roster = Roster::new(roster.city().into(), nodes, roster.planners().to_vec()).expect("a roster");
        std::fs::write(folder.path().join("roster.toml"), roster.to_toml()).expect("written");
        std::fs::write(folder.path().join("catalogue.toml"), CATALOG).expect("written");
        testing::identity("coordinator").save(folder.path().join("coordinator.key")).expect("saved");
        let catalog = Catalog::load(&folder.path().join("catalogue.toml")).expect("a catalogue");
        let mut site =
            Self { folder, roster: roster.into(), catalog_hash: Hash(catalog.hash()), limits: "", from: "127.0.0.1", running: None };
        site.start().await;
        site
    }

    fn config(&self) -> Config {
        let text = "node = \"coordinator\"\nidentity = \"coordinator.key\"\nroster = \"roster.toml\"\n\
            catalogue = \"catalogue.toml\"\nstate = \"state\"\nhttp = \"127.0.0.1:0\"\n";
        Config::parse(&format!("{text}{}", self.limits), &self.folder.path().join("coordinator.toml")).expect("a configuration")
    }

    async fn start(&mut self) {
        let coordinator = Coordinator::start(self.config()).await.expect("started");
        let http = coordinator.http_addr();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(coordinator.serve(async move {
            let _ = stopped.await;
        }));
        self.running = Some(Running { http, stop, task });
    }

    async fn stop(&mut self) {
        let Running { stop, task, .. } = self.running.take().expect("running");
        drop(stop);
        task.await.expect("no panic").expect("a clean end");
    }

    async fn connect(&self, from: &str) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("an address of this machine");
        socket.connect(self.running.as_ref().expect("running").http).await.expect("connected")
    }

    /// One HTTP/1.0 request: the answer ends with the connection.
    async fn send(&self, request: &str, headers: &str, body: &str) -> BufReader<TcpStream> {
        let mut stream = self.connect(self.from).await;
        let text = format!("{request} HTTP/1.0\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
        // The server may answer before it has read all of a body it refuses.
        let _ = stream.write_all(text.as_bytes()).await;
        BufReader::new(stream)
    }

    async fn ask(&self, request: &str, body: &str) -> (u16, String) {
        let mut answer = self.send(request, "", body).await;
        let mut text = Vec::new();
        let _ = answer.read_to_end(&mut text).await;
        let text = String::from_utf8(text).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("an answer: {text}"));
        (head[9..12].parse().expect("a status"), body.into())
    }

    async fn get<T: DeserializeOwned>(&self, request: &str, body: &str) -> T {
        let (status, text) = self.ask(request, body).await;
        assert!(status < 300, "{request}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{request}: {e} in {text}"))
    }

    async fn refused(&self, request: &str, body: &str) -> (u16, Code) {
        let (status, text) = self.ask(request, body).await;
        let refusal: Refusal = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{request}: {e} in {text}"));
        assert!(!refusal.reason.is_empty() && !refusal.fix.is_empty(), "{refusal:?}");
        (status, refusal.code)
    }

    fn note(&self, number: u8) -> String {
        let query = testing::query(number, Now::read().unix(), self.catalog_hash);
        sign(&Query { roster_hash: Hash(self.roster.hash()), ..query })
    }

    async fn submit(&self, number: u8) -> QueryId {
        self.submit_note(&self.note(number)).await
    }

    async fn submit_note(&self, note: &str) -> QueryId {
        let submitted: Submitted = self.get("POST /v1/jobs", note).await;
        assert_eq!(submitted.job, QueryId::of(note));
        submitted.job
    }

    /// The job's events behind `last`, until `enough` or the stream's end.
    async fn events(&self, job: QueryId, last: u64, enough: impl Fn(&Event) -> bool) -> Vec<Event> {
        let header = format!("Last-Event-ID: {last}\r\n");
        let mut lines = self.send(&format!("GET /v1/jobs/{job}/events"), &header, "").await.lines();
        let mut events = Vec::new();
        while let Some(line) = lines.next_line().await.expect("a line") {
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Event = serde_json::from_str(data).expect("an event");
                let done = enough(&event);
                events.push(event);
                if done {
                    break;
                }
            }
        }
        events
    }

    /// A party on its own QUIC connection; it is seated once this returns.
    async fn party(&self, party: usize) -> Party {
        let identity = Arc::new(testing::identity(PARTIES[party]));
        let endpoint = Endpoint::dialler(identity, self.roster.clone(), Profile::Lan).expect("a socket");
        let (connection, _) = endpoint.connect("coordinator").await.expect("connected");
        let (send, recv) = connection.open_bi().await.expect("a stream");
        let mut party = Party { party, endpoint, send, recv };
        let FromParty::Ready(mut hello) = ready(self.catalog_hash) else { panic!("ready") };
        hello.roster_hash = Hash(self.roster.hash());
        party.say(&FromParty::Ready(hello)).await;
        party
    }

    async fn city(&self) -> CityStatus {
        self.get("GET /v1/status", "").await
    }
}

struct Party {
    party: usize,
    endpoint: Endpoint,
    send: mpc_quic::quinn::SendStream,
    recv: mpc_quic::quinn::RecvStream,
}

impl Party {
    async fn say(&mut self, frame: &FromParty) {
        self.send.write_all(&frame::encode(frame).expect("encoded")).await.expect("written");
    }

    async fn hear(&mut self) -> ToParty {
        let mut prefix = [0; frame::PREFIX];
        self.recv.read_exact(&mut prefix).await.expect("a frame");
        let mut body = vec![0; frame::length(prefix).expect("a length")];
        self.recv.read_exact(&mut body).await.expect("a body");
        frame::decode(&body).expect("a message")
    }

    /// Accepts what is offered, and waits for the start.
    async fn accept(&mut self) -> (QueryId, u32) {
        let frame = self.hear().await;
        let ToParty::Offer(offer) = frame else { panic!("an offer: {frame:?}") };
        self.say(&accept(self.party, offer.job, offer.attempt, PLAN)).await;
        let frame = self.hear().await;
        assert!(matches!(&frame, ToParty::Start(start) if start.job == offer.job), "{frame:?}");
        (offer.job, offer.attempt)
    }

    async fn run(&mut self) {
        let (job, attempt) = self.accept().await;
        self.say(&sealed(self.party, job, attempt, SID)).await;
    }
}

#[tokio::test]
async fn a_question_goes_all_the_way_over_http_and_quic() {
    let mut site = Site::open().await;
    let parties = tokio::join!(site.party(0), site.party(1), site.party(2));
    let working = [parties.0, parties.1, parties.2].map(|mut party| {
        tokio::spawn(async move {
            party.run().await;
            party
        })
    });
    let note = site.note(1);
    let job = site.submit_note(&note).await;
    assert_eq!(site.submit_note(&note).await, job, "sent twice, one job");

    let events = site.events(job, 0, |_| false).await;
    let states: Vec<JobState> =
        events.iter().filter_map(|e| if let What::State { state, .. } = e.what { Some(state) } else { None }).collect();
    assert_eq!(states, [JobState::Queued, JobState::Offered, JobState::Running, JobState::Done]);
    assert_eq!(events.iter().filter(|e| matches!(e.what, What::Sealed { .. })).count(), 3);
    let resumed = site.events(job, events[2].seq, |_| false).await;
    assert_eq!(resumed, events[3..]);

    let results: SealedResults = site.get(&format!("GET /v1/jobs/{job}/result"), "").await;
    for (sealed, name) in results.sealed.iter().zip(PARTIES) {
        assert_eq!(sealed.party, name);
        Sealed::open(&sealed.note, name, &testing::identity(name).public()).expect("the party's own word");
    }
    let listed: Vec<JobStatus> = site.get("GET /v1/jobs", "").await;
    assert_eq!(listed.iter().map(|s| (s.job, s.state)).collect::<Vec<_>>(), [(job, JobState::Done)]);
    assert!(site.city().await.parties.iter().all(|party| party.connected && party.trouble.is_none()));
    for party in working {
        drop(party.await.expect("the party ran"));
    }
    site.stop().await;
}

#[tokio::test]
async fn jobs_survive_a_restart() {
    let mut site = Site::open().await;
    let job = site.submit(1).await;
    let stream = site.events(job, 0, |e| matches!(e.what, What::State { .. })).await;
    assert_eq!(stream.len(), 1);
    site.stop().await;
    site.start().await;
    let status: JobStatus = site.get(&format!("GET /v1/jobs/{job}"), "").await;
    assert_eq!((status.state, status.waiting_for), (JobState::Queued, PARTIES.map(String::from).to_vec()));
    let (mut a, mut b, mut c) = tokio::join!(site.party(0), site.party(1), site.party(2));
    tokio::join!(a.run(), b.run(), c.run());
    let last = site.events(job, stream[0].seq, |_| false).await.pop().expect("events");
    assert_eq!(last.what, What::State { state: JobState::Done, attempt: 1 });
    site.stop().await;
}

#[tokio::test]
async fn a_party_lost_in_mid_job_is_named_and_the_next_job_runs_once_it_is_back() {
    let mut site = Site::open().await;
    let (mut a, mut b, mut c) = tokio::join!(site.party(0), site.party(1), site.party(2));
    let job = site.submit(1).await;
    tokio::join!(a.accept(), b.accept(), c.accept());
    a.say(&FromParty::Progress(Progress { job, attempt: 1, stage: Stage::Local, done: 0, of: 1, rounds: 0, bytes: 0 })).await;
    site.events(job, 0, |e| matches!(e.what, What::Progress(_))).await;
    b.endpoint.close().await;
    for party in [&mut a, &mut c] {
        let frame = party.hear().await;
        assert!(matches!(&frame, ToParty::Stop(stop) if stop.code == StopCode::Peer), "{frame:?}");
        party.say(&failed(party.party, job, 1, Code::Peer)).await;
    }
    site.events(job, 0, |_| false).await;
    let status: JobStatus = site.get(&format!("GET /v1/jobs/{job}"), "").await;
    assert_eq!(status.state, JobState::Failed);
    assert!(status.refusals[0].refusal.reason.contains("`energy`"), "{:?}", status.refusals);
    assert_eq!(site.refused(&format!("GET /v1/jobs/{job}/result"), "").await, (502, Code::Peer));

    let next = site.submit(2).await;
    let mut b = site.party(1).await;
    tokio::join!(a.run(), b.run(), c.run());
    let last = site.events(next, 0, |_| false).await.pop().expect("events");
    assert_eq!(last.what, What::State { state: JobState::Done, attempt: 1 });
    site.stop().await;
}

#[tokio::test]
async fn a_party_that_breaks_the_protocol_is_dropped_and_nobody_else_is() {
    let mut site = Site::open().await;
    for garbage in [&[0xff; 8][..], &[0, 0, 0, 0], &[0, 0, 0, 2, b'{', b'}'], &[0, 0x10, 0, 1], &[0, 0, 0, 1, 0xff]] {
        let mut party = site.party(0).await;
        party.send.write_all(garbage).await.expect("written");
        let closed = party.recv.read_to_end(100).await;
        assert!(closed.is_err(), "the coordinator closes the connection");
    }
    let _back = site.party(0).await;
    assert_eq!(site.ask("GET /healthz", "").await, (200, "ok\n".into()));
    site.stop().await;
}

#[tokio::test]
async fn planners_cancel_their_own_jobs_only() {
    let mut site = Site::open().await;
    let job = site.submit(1).await;
    let delete = format!("DELETE /v1/jobs/{job}");
    let cancel = |name: &str, job| Cancel { job }.sign(name, &testing::identity(name)).expect("signed");
    assert_eq!(site.refused(&delete, &cancel("press-office", job)).await, (401, Code::Signature));
    assert_eq!(site.refused(&delete, &cancel(PLANNER, QueryId(SID))).await, (401, Code::Signature));
    let body = serde_json::json!({ "note": cancel(PLANNER, job) }).to_string();
    let cancelled: Submitted = site.get(&delete, &body).await;
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(site.refused(&format!("GET /v1/jobs/{job}/result"), "").await.0, 410);
    site.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_in_json() {
    let mut site = Site::open().await;
    let unknown = QueryId(SID);
    for (request, body, status, code) in [
        ("POST /v1/jobs", "not a note".to_string(), 401, Code::Signature),
        ("POST /v1/jobs", site.note(1).replace("COUNT", "SUM"), 401, Code::Signature),
        ("POST /v1/jobs", "{\"node\":1}".into(), 400, Code::Request),
        ("POST /v1/jobs", "x".repeat(2 << 20), 413, Code::TooLarge),
        (&format!("DELETE /v1/jobs/{unknown}"), "x".repeat(2 << 20), 413, Code::TooLarge),
        ("GET /v1/nothing", String::new(), 404, Code::NotFound),
        ("PUT /v1/jobs", String::new(), 400, Code::Request),
        ("GET /v1/jobs/xyz", String::new(), 400, Code::Request),
        (&format!("GET /v1/jobs/{unknown}"), String::new(), 404, Code::NotFound),
        (&format!("GET /v1/jobs/{unknown}/result"), String::new(), 404, Code::NotFound),
        (&format!("GET /v1/jobs/{unknown}/events"), String::new(), 404, Code::NotFound),
        (&format!("DELETE /v1/jobs/{unknown}"), "x".into(), 404, Code::NotFound),
    ] {
        assert_eq!(site.refused(request, &body).await, (status, code), "{request}");
    }
    let now = Now::read().unix();
    let stranger = Query { planner: "stranger".into(), ..testing::query(1, now, site.catalog_hash) };
    assert_eq!(site.refused("POST /v1/jobs", &sign(&stranger)).await, (403, Code::Planner));
    let other = testing::query(1, now, site.catalog_hash);
    assert_eq!(site.refused("POST /v1/jobs", &sign(&other)).await, (409, Code::Roster));
    let here = Query { roster_hash: Hash(site.roster.hash()), ..testing::query(1, now, site.catalog_hash) };
    let wrong = Query { sql: "SELECT COUNT(*)\nFROM transport.tripps".into(), ..here };
    let (status, text) = site.ask("POST /v1/jobs", &sign(&wrong)).await;
    let refusal: Refusal = serde_json::from_str(&text).expect("a refusal");
    assert_eq!((status, refusal.code), (422, Code::Sql));
    assert!(refusal.reason.starts_with("at 2:") && refusal.reason.contains("tripps"), "{refusal:?}");
    let job = site.submit(1).await;
    assert_eq!(site.refused(&format!("GET /v1/jobs/{job}/result"), "").await, (409, Code::NotReady));
    assert_eq!(site.ask("GET /v1/catalog", "").await, (200, CATALOG.into()));
    assert_eq!(site.ask("GET /v1/roster", "").await, (200, site.roster.to_toml()));
    assert!(site.ask("GET /metrics", "").await.1.contains("tacit_coordinator_jobs{state=\"queued\"} 1"));
    site.stop().await;
}

#[tokio::test]
async fn a_plan_beyond_the_bounds_is_refused_before_a_party_hears_of_it() {
    let mut site = Site::open().await;
    site.stop().await;
    site.limits = "[limits]\nwire_mb = 1\njoint_rows = 1\nmemory_mb = 1\n";
    site.start().await;
    site.submit(1).await;
    let query = testing::query(2, Now::read().unix(), site.catalog_hash);
    let sql = "SELECT d.day, SUM(v.n) AS n FROM public.days d JOIN health.visits v ON v.day = d.day GROUP BY d.day".into();
    let query = Query { roster_hash: Hash(site.roster.hash()), sql, ..query };
    assert_eq!(site.refused("POST /v1/jobs", &sign(&query)).await, (413, Code::TooLarge));
    site.stop().await;
}

#[tokio::test]
async fn a_flood_does_not_keep_a_query_from_its_answer() {
    let mut site = Site::open().await;
    // Half a request on every connection an address may have, and a body that never comes.
    let mut flood = Vec::new();
    for at in 0..128 {
        let mut stream = site.connect("127.0.0.1").await;
        let half: &[u8] = if at % 2 == 0 { b"GET /v1/jobs HT" } else { b"POST /v1/jobs HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nx" };
        stream.write_all(half).await.expect("written");
        flood.push(stream);
    }
    // All are accepted, in their order: the next one is one too many.
    assert_eq!(site.refused("GET /v1/jobs", "").await, (429, Code::Busy));
    site.from = "127.0.0.2";

    // A party that dials again and again, and never stops talking.
    let mut dialled = Vec::new();
    for _ in 0..16 {
        dialled.push(site.party(0).await);
    }
    let parties = tokio::join!(site.party(0), site.party(1), site.party(2));
    let job = site.submit(1).await;
    let unknown = |job, done| FromParty::Progress(Progress { job, attempt: 1, stage: Stage::Local, done, of: 9_999, rounds: 0, bytes: 0 });
    let working = [parties.0, parties.1, parties.2].map(|mut party| {
        tokio::spawn(async move {
            for done in 0..5_000 {
                party.say(&unknown(QueryId(SID), done)).await;
            }
            let (job, attempt) = party.accept().await;
            for done in 0..5_000 {
                party.say(&unknown(job, done)).await;
            }
            party.say(&sealed(party.party, job, attempt, SID)).await;
            party
        })
    });
    let events = site.events(job, 0, |_| false).await;
    assert_eq!(events.last().map(|e| &e.what), Some(&What::State { state: JobState::Done, attempt: 1 }));
    let results: SealedResults = site.get(&format!("GET /v1/jobs/{job}/result"), "").await;
    assert_eq!(results.sealed.len(), 3);
    for party in working {
        drop(party.await.expect("the party ran"));
    }
    drop((flood, dialled));
    site.stop().await;
}

/// Everything that is logged from now on, at every level, by every thread.
#[derive(Clone, Default)]
struct Logs(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_query_shows_in_the_log_at_any_level() {
    use tracing_subscriber::util::SubscriberInitExt;
    let logs = Logs::default();
    let writer = logs.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone());
    // Takes in what libraries say through `log`, too.
    subscriber.finish().try_init().expect("the only subscriber of this process");
    let mut site = Site::open().await;
    let ask = |sql: &str| {
        let query = testing::query(77, Now::read().unix(), site.catalog_hash);
        sign(&Query { roster_hash: Hash(site.roster.hash()), sql: sql.into(), purpose: "canary7731337".into(), ..query })
    };
    site.submit_note(&ask("SELECT COUNT(*) AS canary FROM transport.trips WHERE seconds < 7731337")).await;
    site.refused("POST /v1/jobs", &ask("SELECT canary7731337 FROM transport.trips")).await;
    site.refused("POST /v1/jobs", &ask("SELEC 7731337 canary")).await;
    site.stop().await;
    let logs = String::from_utf8(logs.0.lock().expect("not poisoned").clone()).expect("text");
    assert!(logs.contains("job queued") && logs.contains("coordinator stops"), "the logs were captured: {logs}");
    for hint in ["7731337", "canary", "SELECT", "SELEC"] {
        let line = logs.lines().find(|line| line.contains(hint));
        assert_eq!(line, None, "{hint}");
    }
}

#[tokio::test]
async fn a_wrong_start_says_what_to_mend() {
    let mut site = Site::open().await;
    let told = |config: Config| async { Coordinator::start(config).await.map(|_| ()).expect_err("refused").to_string() };
    let config = site.config();
    let text = told(config.clone()).await;
    assert!(text.contains("another"), "the store or the port is in use: {text}");
    site.stop().await;
    let text = told(Config { node: "transport".into(), ..config.clone() }).await;
    assert!(text.contains("`transport`") && text.contains("`coordinator`"), "{text}");
    let key = site.folder.path().join("other.key");
    testing::identity("other").save(&key).expect("saved");
    let text = told(Config { identity: key, ..config.clone() }).await;
    assert!(text.contains("other.key") && text.contains("ed25519:"), "{text}");
    let text = told(Config { roster: "/nonexistent/roster.toml".into(), ..config }).await;
    assert!(text.contains("/nonexistent/roster.toml"), "{text}");
}
