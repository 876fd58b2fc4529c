//! The node: everything loaded and checked first, then a mesh of peers, a line to the coordinator, and jobs until it is told to end.

use crate::answers::Answers;
use crate::attempts::{Attempts, AttemptsError};
use crate::config::{Config, Profile};
use crate::contracts::{Contracts, ContractsError};
use crate::control::{Control, Jobs};
use crate::dealing::Dealings;
use crate::difference::Guard;
use crate::job::Desk;
use crate::ledger::{self, Mirror};
use crate::observe::{self, Observed};
use crate::offer::Grounds;
use crate::openings::Openings;
use crate::snapshot;
use crate::source::{LoadError, Sources};
use mpc_core::identity::{Identity, IdentityError, PublicKey};
use mpc_core::roster::{Role, Roster, RosterError};
use mpc_quic::{Endpoint, EndpointError, Mesh};
use query::catalog::{Catalog, CatalogError};
use query::message::frame::Ready;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

/// Runs a party node until `shutdown`. It returns without error only after a clean end: jobs ended, peers told, connections closed.
///
/// # Errors
/// The node cannot start: what is wrong and what to do. Once it runs, nothing a peer, the coordinator or a query does ends it.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), NodeError> {
    no_core_dumps();
    quiet_panics();
    quiet_libraries();
    let keys = Keys::load(&config)?;
    let catalog = Arc::new(Catalog::load(&config.catalogue).map_err(NodeError::Catalog)?);
    let attempts = Attempts::open(&config.state, now())?;
    let Keys { identity, roster, me } = keys;
    let contracts = Contracts::open(&config.contracts, &config.state, &config.node, roster.clone(), catalog.clone())?;
    let mirror = config.ledger.as_ref().map(|ledger| Mirror::open(&config.node, ledger, &roster)).transpose();
    let mirror = mirror.map_err(NodeError::Ledger)?;
    let (sources, config) = load(config, catalog.clone()).await?;

    let others = roster.nodes().iter().map(|node| node.name.clone()).filter(|name| *name != config.node);
    let observed = Observed::new(&config.node, sources.summaries(), others);
    let summary = contracts.summary();
    tracing::info!(standing = summary.standing, revoked = summary.revoked, hash = summary.hash.short(), "contracts");
    observed.contracts(summary);
    let listen = listen_address(&config, &roster).await?;
    let profile = profile(config.profile);
    let mesh = Mesh::start(identity.clone(), roster.clone(), listen, profile)?;
    let line = Endpoint::dialler(identity.clone(), roster.clone(), profile)?;
    // Before anybody can see that the node is up: one that is told earlier would end, or not hear it.
    let hangup = signal(SignalKind::hangup()).ok();
    tracing::info!(node = config.node, listen = %mesh.local_addr(), tables = sources.summaries().len(), "party is up");

    let grounds = Grounds::new(&config.node, roster, catalog, config.limits.plan(), Arc::new(contracts));
    let (node, limits, attempts) = (config.node.clone(), config.limits, Mutex::new(attempts));
    let guard = Guard::new(&config.node, &config.state);
    let answers = Answers::open(&config.state, identity.clone()).map_err(NodeError::Answers)?;
    let openings = Openings::open(&config.state).map_err(NodeError::Openings)?;
    let dealings = Dealings::open(&config.state, identity.clone()).map_err(NodeError::Dealings)?;
    let (observing, keeping) = (observed.clone(), mirror.clone());
    let desk = Desk {
        node,
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
        observed: observing,
        mirror: keeping,
        catalogue: std::fs::read_to_string(&config.catalogue).ok().filter(|text| text.len() <= Ready::MAX_CATALOG),
    };
    let desk = Arc::new(desk);
    desk.forget_answers();
    desk.forget_dealings();
    let at = Arc::downgrade(&desk);
    observed.peers(move || {
        let status = at.upgrade().map(|desk| desk.mesh.status()).unwrap_or_default();
        status.into_iter().map(|peer| (peer.name, peer.connected, peer.last_error)).collect()
    });

    match mirror.clone() {
        Some(mirror) => observed.ledger(move || mirror.summary()),
        None => tracing::warn!("this node keeps no log ([ledger] in its configuration): nobody can audit what it computes"),
    }

    let (stop_http, http_stopped) = tokio::sync::oneshot::channel::<()>();
    let http = match config.http {
        None => {
            drop(observed);
            None
        }
        Some(addr) => {
            let serving = observe::serve(addr, observed, mirror.clone(), async { drop(http_stopped.await) }).await;
            let (addr, serving) = serving.map_err(|error| NodeError::Http { addr, error })?;
            tracing::info!(%addr, "health and metrics");
            Some(serving)
        }
    };

    let jobs = Jobs::new(desk.clone()).map_err(|_| NodeError::Fault)?;
    if let Some(mirror) = mirror.clone() {
        let (desk, jobs) = (desk.clone(), jobs.clone());
        // Neither jobs nor the node's end wait for it: a large table is read once more.
        let thread = std::thread::Builder::new().name("snapshot".into());
        thread.spawn(move || state_all(&desk, &mirror, &config.state, &jobs)).map_err(|_| NodeError::Fault)?;
    }
    let control = Control::start(line.clone(), jobs.clone());
    let watching = tokio::spawn(watch_contracts(desk.clone(), jobs.clone(), hangup));
    shutdown.await;
    tracing::info!("shutting down");
    jobs.close(GRACE).await;
    control.close(GRACE).await;
    line.close().await;
    watching.abort();
    let _ = watching.await;
    drop(stop_http);
    if let Some(http) = http {
        // It ends by itself once its last answer is out.
        let _ = tokio::time::timeout(GRACE, http).await;
    }
    drop(jobs);
    // Socket and lock files are with the desk and the mirror. Whoever starts this node again finds them free: what holds them still is about to end, such as
    // a look at the contracts; but for the threads of jobs that did not end in time.
    if let Some(desk) = alone(desk, GRACE).await {
        let _ = tokio::task::spawn_blocking(move || drop(desk)).await;
    }
    if let Some(mirror) = mirror {
        mirror.close(GRACE).await;
    }
    tracing::info!("party is down");
    Ok(())
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The key file.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The roster has no party of this name.
    #[error("the roster has no party `{0}`; correct `node` in the configuration, or have the node added to the roster")]
    NotAParty(String),
    /// The key file is not this node's.
    #[error("the roster lists the key {listed} for `{node}`, the key file has {found}; check `identity`, or have the roster changed")]
    Key {
        /// The node.
        node: String,
        /// The roster's key.
        listed: PublicKey,
        /// The key file's.
        found: PublicKey,
    },
    /// The catalogue.
    #[error("{0}")]
    Catalog(CatalogError),
    /// The contracts.
    #[error(transparent)]
    Contracts(#[from] ContractsError),
    /// The data.
    #[error(transparent)]
    Data(#[from] LoadError),
    /// Its part in the city's log.
    #[error("{0}")]
    Ledger(String),
    /// The state folder.
    #[error(transparent)]
    State(#[from] AttemptsError),
    /// The answers given.
    #[error("{0}; it is of what this node keeps of answers with noise, in the folder `answers` of its state")]
    Answers(std::io::Error),
    /// The words of questions.
    #[error("{0}; it is the folder of what opens the log's commitments, below `state`; check its permissions")]
    Openings(std::io::Error),
    /// What was dealt to it.
    #[error("{0}; it is the folder `dealings` of this node's state; check its permissions")]
    Dealings(std::io::Error),
    /// The mesh.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The node's own address.
    #[error("the roster's address of this node, {addr}, does not resolve here: {reason}; set `listen` in the configuration")]
    Address {
        /// The address.
        addr: String,
        /// What the resolver said.
        reason: String,
    },
    /// The health and metrics address.
    #[error("cannot serve health and metrics on {addr}: {error}; change `http` in the configuration, or free the port")]
    Http {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// A fault of ours.
    #[error("a fault of this program while it loaded the data; please report it")]
    Fault,
}

/// Reads the contracts again whenever their folder has changed, and at once on SIGHUP, so that a revocation holds within a second; one in the log
/// does as soon as this node's mirror has it.
async fn watch_contracts(desk: Arc<Desk>, jobs: Jobs, mut hangup: Option<Signal>) {
    let mut grown = desk.mirror.as_ref().map(Mirror::grown);
    let mut pause = tokio::time::interval(LOOK_AT_CONTRACTS);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let told = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let grows = async {
            match &mut grown {
                Some(grown) => grown.changed().await,
                None => std::future::pending().await,
            }
        };
        let anyway = tokio::select! {
            _ = pause.tick() => false,
            Some(()) = told => true,
            Ok(()) = grows => {
                // What it has grown by may be a revocation.
                jobs.contracts_changed();
                let desk = desk.clone();
                let _ = tokio::task::spawn_blocking(move || desk.forget_dealings()).await;
                continue;
            }
        };
        let (desk, jobs) = (desk.clone(), jobs.clone());
        // What it could not read is read when the folder changes again.
        let _ = tokio::task::spawn_blocking(move || look_at_contracts(&desk, &jobs, anyway)).await;
    }
}

/// Reads the folder of contracts if it has changed, or in any case; what was revoked there ends.
pub(crate) fn look_at_contracts(desk: &Desk, jobs: &Jobs, anyway: bool) {
    // Some may be over by the clock alone.
    desk.forget_answers();
    if desk.grounds.contracts().reread(anyway) {
        desk.observed.contracts(desk.grounds.contracts().summary());
        jobs.contracts_changed();
        jobs.want_on_log(|| ledger::consents(desk.grounds.contracts().folder(), &desk.node));
    }
}

/// What is shared, once nobody else has it any more; none if somebody still does after `grace`.
pub(crate) async fn alone<T>(mut shared: Arc<T>, grace: Duration) -> Option<T> {
    let given_up = tokio::time::Instant::now() + grace;
    loop {
        match Arc::try_unwrap(shared) {
            Ok(alone) => return Some(alone),
            Err(_) if tokio::time::Instant::now() >= given_up => return None,
            Err(still) => shared = still,
        }
        tokio::time::sleep(RELEASED).await;
    }
}

/// How often it is looked whether others have let go.
const RELEASED: Duration = Duration::from_millis(5);
/// How often the folder of contracts is looked at.
const LOOK_AT_CONTRACTS: Duration = Duration::from_millis(200);
const _: () = assert!(LOOK_AT_CONTRACTS.as_millis() < 1000, "a revocation holds within a second");
/// How long a clean end waits for each thing it waits for.
const GRACE: Duration = Duration::from_secs(3);

/// Who a node is, checked against the roster.
pub(crate) struct Keys {
    pub identity: Arc<Identity>,
    pub roster: Arc<Roster>,
    pub me: mpc_core::PartyId,
}

impl Keys {
    pub fn load(config: &Config) -> Result<Self, NodeError> {
        let identity = Identity::load(&config.identity)?;
        let roster = Roster::load(&config.roster)?;
        let node = roster.node(&config.node).filter(|node| node.role == Role::Party);
        let node = node.ok_or_else(|| NodeError::NotAParty(config.node.clone()))?;
        if node.key != identity.public() {
            return Err(NodeError::Key { node: node.name.clone(), listed: node.key, found: identity.public() });
        }
        let me = roster.party_id(&config.node).ok_or_else(|| NodeError::NotAParty(config.node.clone()))?;
        Ok(Self { identity: Arc::new(identity), roster: Arc::new(roster), me })
    }
}

/// Has the log say what this node's contracts are, and what its tables hold.
fn state_all(desk: &Desk, mirror: &Mirror, state: &Path, jobs: &Jobs) {
    jobs.want_on_log(|| ledger::consents(desk.grounds.contracts().folder(), &desk.node));
    let entries = snapshot::entries(&desk.node, &desk.identity, desk.grounds.catalog(), &desk.sources, state);
    let entries = entries.unwrap_or_else(|why| {
        tracing::error!(why, "the log does not say what this node's tables hold, and no job reads them");
        Vec::new()
    });
    mirror.holds(&entries);
    jobs.want_on_log(|| entries);
}

/// Loads the data on a thread that may block.
async fn load(config: Config, catalog: Arc<Catalog>) -> Result<(Sources, Config), NodeError> {
    let started = std::time::Instant::now();
    let loading = tokio::task::spawn_blocking(move || Sources::load(&config, &catalog).map(|sources| (sources, config)));
    let (sources, config) = loading.await.map_err(|_| NodeError::Fault)??;
    for table in sources.summaries() {
        tracing::info!(table = table.name, rows = table.rows, bytes = table.bytes, "table loaded");
        if !table.ignored.is_empty() {
            tracing::warn!(table = table.name, columns = table.ignored.join(", "), "columns the catalogue does not declare are not loaded");
        }
    }
    tracing::info!(millis = started.elapsed().as_millis() as u64, "all tables match the catalogue");
    Ok((sources, config))
}

/// Where the node listens: what the configuration says, else the roster.
pub(crate) async fn listen_address(config: &Config, roster: &Roster) -> Result<SocketAddr, NodeError> {
    if let Some(listen) = config.listen {
        return Ok(listen);
    }
    let addr = roster.node(&config.node).map(|node| node.addr.clone()).ok_or_else(|| NodeError::NotAParty(config.node.clone()))?;
    let failed = |reason: String| NodeError::Address { addr: addr.clone(), reason };
    let mut found = tokio::net::lookup_host(&addr).await.map_err(|e| failed(e.to_string()))?;
    found.next().ok_or_else(|| failed("no address".into()))
}

pub(crate) fn profile(profile: Profile) -> mpc_quic::Profile {
    match profile {
        Profile::Lan => mpc_quic::Profile::Lan,
        Profile::Wan => mpc_quic::Profile::Wan,
    }
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    // A clock before 1970 makes every query one of the future.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A core file would hold shares and keys.
fn no_core_dumps() {
    if rlimit::setrlimit(rlimit::Resource::CORE, 0, 0).is_err() {
        tracing::warn!("core files could not be switched off; switch them off for this service (`ulimit -c 0`)");
    }
}

/// Our own crates log through `tracing`. The libraries that parse and run SQL log through `log`, and at `debug` they print whole plans,
/// literals included: whatever the subscriber is set to, that is not for a log.
fn quiet_libraries() {
    log::set_max_level(log::LevelFilter::Off);
}

/// Threads that touch data say where they panicked, never with what: a library's message may quote a value.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            match thread.name() {
                Some(name @ ("job" | "local" | "compile" | "snapshot")) => {
                    let place = info.location().map(ToString::to_string).unwrap_or_default();
                    tracing::error!(thread = name, place, "a fault of this program ended a job; please report it");
                }
                _ => usual(info),
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_ends_waits_for_whoever_still_holds_its_files_and_no_longer_than_it_should() {
        let shared = Arc::new("a socket");
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        let other = shared.clone();
        let holder = std::thread::spawn(move || {
            // an error: the test is over
            let _ = held.recv();
            drop(other);
        });
        assert_eq!(alone(shared.clone(), Duration::ZERO).await, None);
        let (waiting, ()) = tokio::join!(alone(shared, Duration::from_secs(30)), async { go_on.send(()).expect("it is held") });
        assert_eq!(waiting, Some("a socket"));
        holder.join().expect("no panic");
    }
}
