//! The coordinator as a process: what it opens at its start, and how it ends.

use crate::api::{self, Api, Compile};
use crate::clock::Now;
use crate::config::Config;
use crate::control;
use crate::handle;
use crate::listener::{Bounded, Bounds};
use crate::scheduler::{City, Scheduler};
use crate::store::Store;
use ledger::bytes::Hash;
use mpc_core::identity::{Identity, IdentityError};
use mpc_core::roster::{Roster, RosterError};
use mpc_quic::{Endpoint, EndpointError, Incoming};
use query::catalog::Catalog;
use query::compile::compile;
use query::message::{Query, Refusal};
use query::size::{self, Size};
use std::future::Future;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Runs the coordinator until `shutdown` resolves.
///
/// # Errors
/// Something it needs is not as it should be; the error says what, and what to do.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
    Coordinator::start(config).await?.serve(shutdown).await
}

/// A coordinator that has opened its store and its ports.
pub struct Coordinator {
    api: Api,
    http: TcpListener,
    http_addr: SocketAddr,
    parties: Endpoint,
    incoming: Incoming,
    parties_addr: SocketAddr,
    scheduler: JoinHandle<()>,
}

impl Coordinator {
    /// Reads the files, opens the store and the ports. Nothing is served yet.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn start(config: Config) -> Result<Self, Error> {
        quiet_libraries();
        let identity = Identity::load(&config.identity)?;
        let roster = Roster::load(&config.roster)?;
        check_node(&config, &identity, &roster)?;
        let roster_text = read(&config.roster)?;
        let catalog_text = read(&config.catalogue)?;
        let catalog = Catalog::load(&config.catalogue).map_err(|e| Error::Catalogue(e.to_string()))?;
        let catalog_hash = Hash(catalog.hash());
        let roster = Arc::new(roster);
        let listen = parties_address(&config, &roster)?;
        let http = bind(http_address(&config, &roster)?).await?;
        let http_addr = http.local_addr().map_err(|e| Error::Thread(e.to_string()))?;
        let store = Store::open(&config.state).map_err(|e| Error::Store(e.to_string()))?;
        let bound = Endpoint::bind(Arc::new(identity), roster.clone(), listen, config.profile.into());
        let (parties, incoming) = bound.map_err(|e| Error::Quic(Box::new(e)))?;
        let parties_addr = parties.local_addr().map_err(|e| Error::Thread(e.to_string()))?;
        let city = City {
            roster_hash: Hash(roster.hash()),
            roster: roster.clone(),
            catalog_hash,
            catalog: catalog.clone(),
            limits: config.limits,
            deadlines: config.deadlines,
        };
        let scheduler = Scheduler::new(city, store, Now::read()).map_err(|e| Error::Store(e.to_string()))?;
        let log = config.ledger.as_ref().map(|config| crate::ledger::start(config, &roster)).transpose().map_err(Error::Ledger)?;
        let (handle, scheduler) = handle::start(scheduler, log).map_err(|e| Error::Thread(e.to_string()))?;
        let compile = compile_with(catalog, roster.coordinator().name.clone(), config.limits.plan());
        let roster_text = roster_text.into();
        let checking = Arc::new(Semaphore::new(CHECKING));
        let api = Api { handle, checking, roster, roster_text, catalog_text: catalog_text.into(), catalog_hash, compile };
        tracing::info!(http = %http_addr, quic = %parties_addr, city = %api.roster.city(), "coordinator started");
        Ok(Self { api, http, http_addr, parties, incoming, parties_addr, scheduler })
    }
}

impl Coordinator {
    /// Where it listens for planners.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where it listens for parties.
    pub fn parties_addr(&self) -> SocketAddr {
        self.parties_addr
    }

    /// Serves until `shutdown` resolves, then ends what goes on: streams are closed, and jobs that run are left to be
    /// tried again after the next start.
    ///
    /// # Errors
    /// The HTTP listener fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Self { api, http, parties, incoming, scheduler, .. } = self;
        let handle = api.handle.clone();
        let accepting = tokio::spawn(control::accept(handle.clone(), incoming));
        let (stop, stopped) = watch::channel(false);
        let until_stopped = |mut stopped: watch::Receiver<bool>| async move {
            // The sender lives as long as this function.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let http = Bounded::new(http, CONNECTIONS);
        let http = axum::serve(http, api::router(api)).with_graceful_shutdown(until_stopped(stopped.clone()));
        let mut http = tokio::spawn(async move { http.await });
        let early = tokio::select! {
            () = shutdown => None,
            ended = &mut http => Some(ended),
        };
        tracing::info!("coordinator stops");
        stop.send_replace(true);
        handle.stop().await;
        drop(handle);
        let joined = tokio::task::spawn_blocking(move || scheduler.join()).await;
        accepting.abort();
        parties.close().await;
        let ended = match early {
            Some(ended) => ended,
            None => match tokio::time::timeout(LINGER, &mut http).await {
                Ok(ended) => ended,
                Err(_) => {
                    http.abort();
                    Ok(Ok(()))
                }
            },
        };
        ended.map_err(|e| Error::Thread(e.to_string()))?.map_err(|e| Error::Thread(e.to_string()))?;
        match joined {
            Ok(Ok(())) => Ok(()),
            _ => Err(Error::Thread("the scheduler's thread panicked".into())),
        }
    }
}

/// Why the coordinator does not start, or ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The QUIC endpoint.
    #[error(transparent)]
    Quic(Box<EndpointError>),
    /// The catalogue.
    #[error("{0}")]
    Catalogue(String),
    /// Configuration and roster disagree.
    #[error("{0}")]
    Node(String),
    /// A file cannot be read.
    #[error("{}: {why}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The job store.
    #[error("{0}")]
    Store(String),
    /// The city's log.
    #[error("{0}")]
    Ledger(String),
    /// A port cannot be opened.
    #[error("cannot listen at {address} (HTTP): {why}; is another process listening there?")]
    Http {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// A thread ended that should not have.
    #[error("the coordinator ended: {0}")]
    Thread(String),
}

fn check_node(config: &Config, identity: &Identity, roster: &Roster) -> Result<(), Error> {
    let node = roster.coordinator();
    if node.name != config.node {
        let (here, there) = (&config.node, &node.name);
        return Err(Error::Node(format!("the configuration is of the node `{here}`, but the roster's coordinator is `{there}`")));
    }
    if node.key != identity.public() {
        return Err(Error::Node(format!(
            "the key in {} is {}, but the roster has {} for `{}`; use the right key file, or put the key into the roster",
            config.identity.display(),
            identity.public(),
            node.key,
            node.name
        )));
    }
    Ok(())
}

fn http_address(config: &Config, roster: &Roster) -> Result<SocketAddr, Error> {
    if let Some(http) = config.http {
        return Ok(http);
    }
    let api = roster.coordinator().api.clone().unwrap_or_default();
    let (default_port, rest) = match api.split_once("://") {
        Some(("https", rest)) => (443, rest),
        Some((_, rest)) => (80, rest),
        None => (80, api.as_str()),
    };
    let host = rest.split('/').next().unwrap_or(rest);
    let resolved = host.to_socket_addrs().or_else(|_| (host, default_port).to_socket_addrs());
    let why = |why: String| Error::Http { address: api.clone(), why };
    resolved.map_err(|e| why(e.to_string()))?.next().ok_or_else(|| why("it resolves to no address".into()))
}

fn parties_address(config: &Config, roster: &Roster) -> Result<SocketAddr, Error> {
    let node = roster.coordinator();
    let unresolved = |e: std::io::Error| Error::Node(format!("the address of `{}` in the roster does not resolve: {e}", node.name));
    config.listen.map_or_else(|| node.resolve().map_err(unresolved), Ok)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let failed = |e: std::io::Error| Error::Http { address: address.to_string(), why: e.to_string() };
    TcpListener::bind(address).await.map_err(failed)
}

fn read(file: &std::path::Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|e| Error::File { file: file.into(), why: e.to_string() })
}

/// Our own crates log through `tracing`. The libraries that parse and plan SQL log through `log`, and at `debug` they print the query,
/// literals included: whatever the subscriber is set to, that is not for a log.
fn quiet_libraries() {
    log::set_max_level(log::LevelFilter::Off);
}

/// The planner hears at once what is wrong with the SQL. Every party compiles for itself all the same.
fn compile_with(catalog: Catalog, node: String, bounds: size::Bounds) -> Arc<Compile> {
    Arc::new(move |query: &Query| match compile(&query.sql, &catalog) {
        Ok(plan) => Size::of(&plan).admit(&bounds, &node),
        Err(error) => {
            let place = error.line.zip(error.column).map(|(line, column)| format!("at {line}:{column}: "));
            Err(Refusal::new(error.code, format!("{}{}", place.unwrap_or_default(), error.message), error.fix))
        }
    })
}

/// Queries that are verified and compiled at a time; the rest wait.
const CHECKING: usize = 4;
/// HTTP connections: streams of events send a comment more often than they may be silent.
const CONNECTIONS: Bounds =
    Bounds { connections: 512, per_address: 128, silence: Duration::from_secs(60), request: Duration::from_secs(60) };
/// How long connections may finish what they are at.
const LINGER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
