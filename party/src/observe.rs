//! What a node lets its operator see: structured logs, health, metrics. Names, counts and times; never a value, a share, a key or
//! a planner's SQL.

use crate::contracts::Summary;
use crate::ledger::{self as log, Mirror};
use crate::source::TableSummary;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use query::message::frame::Stage;
use query::message::{Code, QueryId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// The figures of one node. Cheap to clone; every part of the node writes to the same.
#[derive(Clone)]
pub struct Observed(Arc<Figures>);

struct Figures {
    node: String,
    started: Instant,
    tables: Vec<TableSummary>,
    state: Mutex<State>,
    rounds: AtomicU64,
    bytes: AtomicU64,
    offers: AtomicU64,
    peers: OnceLock<Peers>,
    ledger: OnceLock<Box<dyn Fn() -> log::Summary + Send + Sync>>,
}

/// Asks how the peers are reached: name, whether connected, the last error.
type Peers = Box<dyn Fn() -> Vec<(String, bool, Option<String>)> + Send + Sync>;

#[derive(Default)]
struct State {
    links: BTreeMap<String, Link>,
    running: BTreeMap<QueryId, Running>,
    outcomes: BTreeMap<String, u64>,
    contracts: Option<Summary>,
    seconds: f64,
}

#[derive(Clone, Serialize)]
struct Link {
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

struct Running {
    attempt: u32,
    stage: Stage,
    since: Instant,
}

impl Observed {
    /// For a node that has loaded these tables and should be connected to these others.
    pub fn new(node: &str, tables: &[TableSummary], others: impl IntoIterator<Item = String>) -> Self {
        let links = others.into_iter().map(|name| (name, Link { connected: false, trouble: None })).collect();
        Self(Arc::new(Figures {
            node: node.into(),
            started: Instant::now(),
            tables: tables.to_vec(),
            state: Mutex::new(State { links, ..State::default() }),
            rounds: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            offers: AtomicU64::new(0),
            peers: OnceLock::new(),
            ledger: OnceLock::new(),
        }))
    }

    /// The connection to another node is there, or is not and why.
    pub fn link(&self, name: &str, trouble: Option<String>) {
        self.state().links.insert(name.into(), Link { connected: trouble.is_none(), trouble });
    }

    /// The contracts were read.
    pub fn contracts(&self, summary: Summary) {
        self.state().contracts = Some(summary);
    }

    /// Whom to ask how the peers are reached, whenever somebody looks. The first one stays.
    pub fn peers(&self, ask: impl Fn() -> Vec<(String, bool, Option<String>)> + Send + Sync + 'static) {
        // Set once, when the node starts.
        let _ = self.0.peers.set(Box::new(ask));
    }

    /// Whom to ask of the city's log. The first one stays.
    pub fn ledger(&self, ask: impl Fn() -> log::Summary + Send + Sync + 'static) {
        // Set once, when the node starts.
        let _ = self.0.ledger.set(Box::new(ask));
    }

    /// An offer came in.
    pub fn offered(&self) {
        self.0.offers.fetch_add(1, Relaxed);
    }

    /// An attempt entered a stage.
    pub fn stage(&self, job: QueryId, attempt: u32, stage: Stage) {
        let mut state = self.state();
        let running = state.running.entry(job).or_insert_with(|| Running { attempt, stage, since: Instant::now() });
        (running.attempt, running.stage) = (attempt, stage);
    }

    /// An attempt is over: done, or failed with this code.
    pub fn ended(&self, job: QueryId, code: Option<Code>, rounds: u64, bytes: u64) {
        let mut state = self.state();
        let outcome = code.map_or("done".into(), |code| code.to_string());
        *state.outcomes.entry(outcome).or_default() += 1;
        if let Some(running) = state.running.remove(&job) {
            state.seconds += running.since.elapsed().as_secs_f64();
        }
        drop(state);
        self.0.rounds.fetch_add(rounds, Relaxed);
        self.0.bytes.fetch_add(bytes, Relaxed);
    }

    /// An offer was refused.
    pub fn refused(&self, code: Code) {
        *self.state().outcomes.entry(code.to_string()).or_default() += 1;
    }

    /// Jobs that run now.
    pub fn running(&self) -> usize {
        self.state().running.len()
    }

    /// The node's health, and whether it can take part in jobs.
    pub fn health(&self) -> (bool, serde_json::Value) {
        self.look();
        let ledger = self.0.ledger.get().map(|ask| ask());
        let cosigns = ledger.as_ref().is_none_or(|ledger| ledger.trouble.is_none());
        let state = self.state();
        let in_order = state.contracts.as_ref().is_none_or(|contracts| contracts.trouble.is_empty());
        let ready = in_order && cosigns && state.links.values().all(|link| link.connected);
        let running = state.running.iter().map(|(job, running)| {
            serde_json::json!({
                "job": job, "attempt": running.attempt, "stage": running.stage, "seconds": running.since.elapsed().as_secs(),
            })
        });
        let health = serde_json::json!({
            "ledger": ledger.map_or_else(|| "none: the jobs of this node stand on no log".into(), |ledger| serde_json::json!(ledger)),
            "node": self.0.node,
            "version": env!("CARGO_PKG_VERSION"),
            "status": if ready { "ok" } else { "degraded" },
            "uptime_s": self.0.started.elapsed().as_secs(),
            "connected": state.links,
            "tables": self.0.tables.iter().map(|t| serde_json::json!({ "name": t.name, "rows": t.rows })).collect::<Vec<_>>(),
            "contracts": state.contracts,
            "jobs": running.collect::<Vec<_>>(),
        });
        (ready, health)
    }

    /// The figures in Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.look();
        let state = self.state();
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, values: Vec<(String, f64)>| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP tacit_{name} {help}\n# TYPE tacit_{name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(text, "tacit_{name}{labels} {value}");
            }
        };
        let one = |value: f64| vec![(String::new(), value)];
        let labelled = |label: &str, of: &str, value: f64| (format!("{{{label}=\"{of}\"}}"), value);
        let outcomes = state.outcomes.iter().map(|(outcome, n)| labelled("outcome", outcome, *n as f64)).collect();
        metric("jobs_total", "counter", "Attempts that ended, and offers refused, by outcome.", outcomes);
        metric("jobs_running", "gauge", "Attempts that run now.", one(state.running.len() as f64));
        metric("jobs_seconds_total", "counter", "Wall time of attempts that ended.", one(state.seconds));
        metric("offers_total", "counter", "Offers received.", one(self.0.offers.load(Relaxed) as f64));
        metric("rounds_total", "counter", "Rounds of attempts that ended.", one(self.0.rounds.load(Relaxed) as f64));
        metric("sent_payload_bytes_total", "counter", "Payload sent in attempts that ended.", one(self.0.bytes.load(Relaxed) as f64));
        let links = state.links.iter().map(|(name, link)| labelled("node", name, f64::from(u8::from(link.connected)))).collect();
        metric("connected", "gauge", "Whether the node is connected.", links);
        if let Some(contracts) = &state.contracts {
            metric("contracts", "gauge", "Contracts that stand.", one(contracts.standing as f64));
            metric("contracts_refused", "gauge", "Files in the folder of contracts that are refused.", one(contracts.trouble.len() as f64));
        }
        let rows = self.0.tables.iter().map(|t| labelled("table", &t.name, t.rows as f64)).collect();
        metric("table_rows", "gauge", "Rows loaded.", rows);
        metric("uptime_seconds", "gauge", "Time since the node started.", one(self.0.started.elapsed().as_secs_f64()));
        if let Some(ledger) = self.0.ledger.get().map(|ask| ask()) {
            metric("ledger_entries", "gauge", "Entries of the city's log that this node holds.", one(ledger.entries as f64));
            metric("ledger_waiting", "gauge", "Entries of this node that the log has not taken yet.", one(ledger.waiting as f64));
            let trouble = f64::from(u8::from(ledger.trouble.is_some()));
            metric("ledger_trouble", "gauge", "Whether this node cosigns nothing; /healthz says why.", one(trouble));
        }
        if let Some(rss) = resident() {
            metric("resident_bytes", "gauge", "Resident memory of the process.", one(rss as f64));
        }
        text
    }

    fn look(&self) {
        for (name, connected, error) in self.0.peers.get().map(|ask| ask()).unwrap_or_default() {
            self.link(&name, (!connected).then(|| error.unwrap_or_else(|| "not connected yet".into())));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters are never left half-written.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resident memory of this process in bytes, where the system tells.
pub fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = statm.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Serves `/healthz`, `/metrics` and, for a mirror of the city's log, `/ledger` until `shutdown`.
///
/// # Errors
/// The address cannot be had.
pub async fn serve(
    addr: SocketAddr,
    observed: Observed,
    mirror: Option<Mirror>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let listener = tokio::net::TcpListener::bind(addr).await?;
    let bound = listener.local_addr()?;
    let (health, metrics) = (observed.clone(), observed);
    let router = Router::new()
        .route("/healthz", get(move || async move { healthz(&health) }))
        .route("/metrics", get(move || async move { ([(header::CONTENT_TYPE, PROMETHEUS)], metrics.metrics()) }))
        .merge(mirror.map(log::routes).unwrap_or_default());
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(shutdown).await {
            tracing::warn!(%error, "health and metrics are no longer served");
        }
    });
    Ok((bound, serving))
}

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn healthz(observed: &Observed) -> Response {
    // A node that waits for the others is alive: whoever restarts nodes by this must not restart it.
    let (_, health) = observed.health();
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], format!("{health}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::bytes::Hash;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn get(addr: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(addr).await.expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        answer
    }

    #[test]
    fn a_node_that_cosigns_nothing_is_not_in_order() {
        let summary = |trouble: Option<&str>| log::Summary {
            origin: "test/ledger".into(),
            entries: 3,
            known: 3,
            waiting: 0,
            refused: None,
            trouble: trouble.map(Into::into),
        };
        for (trouble, status) in [(None, "ok"), (Some("E_LEDGER_ROLLBACK: it was put back"), "degraded")] {
            let observed = Observed::new("transport", &[], []);
            let told = summary(trouble);
            observed.ledger(move || told.clone());
            let (ready, health) = observed.health();
            assert_eq!((ready, &health["status"]), (trouble.is_none(), &serde_json::json!(status)));
        }
    }

    #[tokio::test]
    async fn health_and_metrics_are_served_until_shutdown() {
        let tables = [TableSummary { name: "transport.trips".into(), rows: 3, bytes: 9, ignored: vec![] }];
        let observed = Observed::new("transport", &tables, ["energy".into(), "coordinator".into()]);
        let job = QueryId(Hash([1; 32]));
        observed.link("energy", None);
        observed.contracts(Summary { standing: 2, revoked: 1, hash: Hash([3; 32]), trouble: vec!["x.contract: no".into()] });
        observed.stage(job, 1, Stage::Joint);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let (addr, serving) = serve("127.0.0.1:0".parse().expect("an address"), observed.clone(), None, shutdown).await.expect("bound");
        let health = get(addr, "/healthz").await;
        assert!(health.starts_with("HTTP/1.1 200") && health.contains("\"status\":\"degraded\""), "{health}");
        assert!(health.contains("\"stage\":\"joint\"") && health.contains("\"energy\":{\"connected\":true}"), "{health}");
        observed.ended(job, None, 5, 700);
        observed.refused(Code::Replay);
        observed.link("coordinator", None);
        assert!(health.contains("\"trouble\":[\"x.contract: no\"]") && !observed.health().0, "{health}");
        observed.contracts(Summary { standing: 2, revoked: 1, hash: Hash([3; 32]), trouble: vec![] });
        assert!(observed.health().0);
        let metrics = get(addr, "/metrics").await;
        for line in [
            "tacit_jobs_total{outcome=\"done\"} 1",
            "tacit_jobs_total{outcome=\"E_REPLAY\"} 1",
            "tacit_jobs_running 0",
            "tacit_rounds_total 5",
            "tacit_sent_payload_bytes_total 700",
            "tacit_contracts 2",
            "tacit_contracts_refused 0",
            "tacit_connected{node=\"energy\"} 1",
            "tacit_table_rows{table=\"transport.trips\"} 3",
            "# TYPE tacit_resident_bytes gauge",
        ] {
            assert!(metrics.contains(&format!("\n{line}\n")), "{line} in {metrics}");
        }
        stop.send(()).expect("still there");
        serving.await.expect("ended");
    }
}
