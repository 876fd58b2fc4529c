//! The mesh of parties: one connection to each of the others, kept up by a thread of its own, shared by all jobs.

use crate::endpoint::{Backoff, Endpoint, EndpointError, Incoming, Peer, close, describe};
use crate::link::{Job, QuicLink};
use crate::profile::Profile;
use crate::rendezvous::{Attempt, Rendezvous};
use crate::socket::Through;
use crate::stream::{Outgoing, Preface, code};
use mpc_core::identity::Identity;
use mpc_core::link::LinkError;
use mpc_core::roster::{Role, Roster};
use mpc_core::{Abort, PartyId};
use quinn::{Connection, ConnectionError, RecvStream, VarInt};
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};

/// This party's place in the mesh. Dropping it shuts it down.
pub struct Mesh {
    shared: Arc<Shared>,
    local: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How a peer is reached, for `doctor`, health and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its place among the parties.
    pub party: PartyId,
    /// Its name.
    pub name: String,
    /// Its address in the roster.
    pub addr: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// For how long there has been, or has not been, one.
    pub since: Duration,
    /// The round trip, while connected.
    pub rtt: Option<Duration>,
    /// The datagram size found, while connected.
    pub mtu: Option<u16>,
    /// Bytes of datagrams sent on this connection.
    pub sent: u64,
    /// Bytes of datagrams received on this connection.
    pub received: u64,
    /// Why the last connection ended or could not be made.
    pub last_error: Option<String>,
}

/// How long a new job waits for a peer that is not connected at the moment.
const CONNECT: Duration = Duration::from_secs(4);
/// How long a new stream may take to say what it is for.
const PREFACE: Duration = Duration::from_secs(5);
/// How long a shutdown waits for the last frames to be acknowledged.
const FLUSH: Duration = Duration::from_secs(2);

impl Mesh {
    /// Binds `listen` and begins to connect to the other parties. Returns at once; peers that are not up yet are tried again
    /// for as long as the mesh lives.
    ///
    /// # Errors
    /// The address cannot be had, or the identity is no party's of the roster.
    pub fn start(identity: Arc<Identity>, roster: Arc<Roster>, listen: SocketAddr, profile: Profile) -> Result<Self, EndpointError> {
        let socket = UdpSocket::bind(listen).map_err(|error| EndpointError::Bind { addr: listen, error })?;
        Self::start_on(identity, roster, socket, profile)
    }

    /// Like [`start`](Self::start), on a socket bound already.
    ///
    /// # Errors
    /// The socket cannot be used, or the identity is no party's of the roster.
    pub fn start_on(identity: Arc<Identity>, roster: Arc<Roster>, socket: UdpSocket, profile: Profile) -> Result<Self, EndpointError> {
        Self::start_through(identity, roster, socket, profile, Box::new(|socket| socket))
    }

    /// Like [`start_on`](Self::start_on), with something between the socket and QUIC.
    ///
    /// # Errors
    /// The socket cannot be used, or the identity is no party's of the roster.
    pub fn start_through(
        identity: Arc<Identity>,
        roster: Arc<Roster>,
        socket: UdpSocket,
        profile: Profile,
        through: Through,
    ) -> Result<Self, EndpointError> {
        keep_freed_memory();
        let (stop, stopped) = oneshot::channel();
        let (started, starting) = std::sync::mpsc::sync_channel(1);
        let io = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(e) => return drop(started.send(Err(EndpointError::Socket(e)))),
            };
            runtime.block_on(async move {
                let (flushed, flushing) = mpsc::channel(1);
                match Shared::start(identity, roster, socket, profile, through, flushed) {
                    Err(e) => drop(started.send(Err(e))),
                    Ok((shared, endpoint, incoming)) => {
                        let local = endpoint.local_addr().map_err(EndpointError::Socket);
                        drop(started.send(local.map(|local| (shared.clone(), local))));
                        run(shared, endpoint, incoming, stopped, flushing).await;
                    }
                }
            });
        };
        let thread = std::thread::Builder::new().name("tacit-io".into()).spawn(io).map_err(EndpointError::Socket)?;
        let died = || EndpointError::Socket(std::io::Error::other("the IO thread died"));
        let (shared, local) = starting.recv().map_err(|_| died())??;
        Ok(Mesh { shared, local, stop: Some(stop), thread: Some(thread) })
    }

    /// Where the socket is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The link for attempt `attempt` at `job`, once there is a connection to every peer. No frame is awaited longer than `wait`.
    ///
    /// # Errors
    /// A peer is out of reach, or this attempt runs or has run here.
    pub fn link(&self, job: [u8; 32], attempt: u32, wait: Duration) -> Result<QuicLink, Abort> {
        let job = self.shared.begin(job, attempt, wait)?;
        let deadline = Instant::now() + wait.min(CONNECT);
        let connections = self.shared.peers.iter().map(|slot| slot.as_ref().map(|slot| slot.wait(deadline)).transpose());
        let connections = connections.collect::<Result<Vec<_>, Abort>>()?;
        QuicLink::open(job, 0, connections).map_err(|(peer, e)| match e {
            LinkError::Gone(reason) => Abort::PeerGone { peer, label: "link", reason },
            LinkError::Deadline(waited) => Abort::Deadline { peer, label: "link", waited },
            LinkError::Aborted | LinkError::Unexpected(_) => {
                Abort::PeerGone { peer, label: "link", reason: "it aborted the session".into() }
            }
        })
    }

    /// Ends every wait of every attempt at `job` that runs here: its links fail with `reason`, its peers are told when they are dropped.
    pub fn cancel(&self, job: &[u8; 32], reason: &str) {
        let jobs: Vec<_> = self.shared.jobs().iter().filter(|((id, _), _)| id == job).filter_map(|(_, j)| j.upgrade()).collect();
        jobs.iter().for_each(|job| job.cancel(reason));
    }

    /// Every peer, in the order of the parties.
    pub fn status(&self) -> Vec<PeerStatus> {
        self.shared.peers.iter().flatten().map(Slot::status).collect()
    }

    /// Ends the jobs that still run, lets the last frames out, closes the connections and waits for the IO thread to end.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let jobs: Vec<_> = self.shared.jobs().values().filter_map(Weak::upgrade).collect();
        jobs.iter().for_each(|job| job.cancel("this node is shutting down"));
        drop(jobs);
        // the receiver is gone only if the thread is
        let _ = self.stop.take().map(|stop| stop.send(()));
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the IO thread panicked");
        }
    }
}

// ---------------------------------------------------------------- shared state

/// The attempts that run here.
type Jobs = HashMap<Attempt, Weak<Job>>;

/// What the IO thread and the protocol threads share.
pub(crate) struct Shared {
    /// One slot per party, `None` at this party's own place.
    peers: Vec<Option<Slot>>,
    rendezvous: Rendezvous,
    jobs: Mutex<Jobs>,
    runtime: Handle,
    flushed: Mutex<Option<mpsc::Sender<()>>>,
}

impl Shared {
    fn start(
        identity: Arc<Identity>,
        roster: Arc<Roster>,
        socket: UdpSocket,
        profile: Profile,
        through: Through,
        flushed: mpsc::Sender<()>,
    ) -> Result<(Arc<Self>, Endpoint, Incoming), EndpointError> {
        let (endpoint, incoming) = Endpoint::through(identity, roster.clone(), socket, profile, through)?;
        let me = endpoint.me();
        if me.role != Role::Party {
            return Err(EndpointError::NotAParty(me.name.clone()));
        }
        let slots = roster.parties().zip(0..).map(|(node, id)| (me.party != Some(PartyId(id))).then(|| Slot::new(PartyId(id), node)));
        let shared = Shared {
            peers: slots.collect(),
            rendezvous: Rendezvous::default(),
            jobs: Mutex::default(),
            runtime: Handle::current(),
            flushed: Mutex::new(Some(flushed)),
        };
        Ok((Arc::new(shared), endpoint, incoming))
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn rendezvous(&self) -> &Rendezvous {
        &self.rendezvous
    }

    fn begin(self: &Arc<Self>, job: [u8; 32], attempt: u32, wait: Duration) -> Result<Arc<Job>, Abort> {
        if !self.rendezvous.begin((job, attempt)) {
            return Err(Abort::Refused(format!("attempt {attempt} at this job runs or has run here; take the next number")));
        }
        let begun = Arc::new(Job { shared: self.clone(), job, attempt, wait, stop: Mutex::default() });
        self.jobs().insert((job, attempt), Arc::downgrade(&begun));
        Ok(begun)
    }

    /// The attempt has ended here.
    pub(crate) fn end(&self, attempt: Attempt) {
        self.jobs().remove(&attempt);
        self.rendezvous.end(attempt);
    }

    /// Finishes a stream in the background; a shutdown waits for it. What the peer has not read after `wait` it does not get.
    pub(crate) fn finish(&self, outgoing: Arc<Outgoing>, wait: Duration) {
        let Some(flushed) = lock(&self.flushed).clone() else { return };
        self.runtime.spawn(async move {
            match tokio::time::timeout(wait, outgoing.finish()).await {
                Ok(Some(mut stream)) => {
                    // fails if it was reset, and then there is nothing to wait for
                    if stream.finish().is_ok() {
                        let _ = tokio::time::timeout(FLUSH, stream.stopped()).await;
                    }
                }
                Ok(None) => {}
                Err(_) => outgoing.abort(),
            }
            drop(flushed);
        });
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        lock(&self.jobs)
    }

    fn slot(&self, party: PartyId) -> Option<&Slot> {
        self.peers.get(party.index()).and_then(Option::as_ref)
    }
}

/// The connection to one peer, or why there is none.
struct Slot {
    party: PartyId,
    name: String,
    addr: String,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    connection: Option<Connection>,
    since: Instant,
    last_error: Option<String>,
}

impl Slot {
    fn new(party: PartyId, node: &mpc_core::roster::Node) -> Self {
        let state = State { connection: None, since: Instant::now(), last_error: None };
        Slot { party, name: node.name.clone(), addr: node.addr.clone(), state: Mutex::new(state), changed: Condvar::new() }
    }

    fn wait(&self, deadline: Instant) -> Result<Connection, Abort> {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(lock(&self.state), left, |state| state.open().is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.open().cloned().ok_or_else(|| Abort::PeerGone {
            peer: self.party,
            label: "link",
            reason: state.error().unwrap_or_else(|| format!("`{}` has not connected; is it running?", self.name)),
        })
    }

    fn connected(&self, connection: &Connection) {
        let mut state = lock(&self.state);
        let old = state.connection.replace(connection.clone());
        state.since = Instant::now();
        state.last_error = None;
        drop(state);
        self.changed.notify_all();
        if let Some(old) = old {
            old.close(VarInt::from_u32(close::REPLACED), b"replaced");
        }
        tracing::info!(peer = self.name, "connected");
    }

    fn disconnected(&self, connection: usize, reason: &ConnectionError) {
        let mut state = lock(&self.state);
        if state.connection.as_ref().is_some_and(|c| c.stable_id() == connection) {
            let reason = describe(reason);
            tracing::warn!(peer = self.name, reason, "disconnected");
            *state = State { connection: None, since: Instant::now(), last_error: Some(reason) };
        }
    }

    fn failed(&self, reason: String) {
        let mut state = lock(&self.state);
        if state.last_error.as_ref() != Some(&reason) {
            tracing::warn!(peer = self.name, reason, "cannot connect");
        }
        state.last_error = Some(reason);
    }

    fn status(&self) -> PeerStatus {
        let state = lock(&self.state);
        let stats = state.open().map(Connection::stats);
        PeerStatus {
            party: self.party,
            name: self.name.clone(),
            addr: self.addr.clone(),
            connected: stats.is_some(),
            since: state.since.elapsed(),
            rtt: stats.map(|s| s.path.rtt),
            mtu: stats.map(|s| s.path.current_mtu),
            sent: stats.map_or(0, |s| s.udp_tx.bytes),
            received: stats.map_or(0, |s| s.udp_rx.bytes),
            last_error: state.error(),
        }
    }
}

impl State {
    /// The connection, unless it has ended already and nobody has noted it yet.
    fn open(&self) -> Option<&Connection> {
        self.connection.as_ref().filter(|c| c.close_reason().is_none())
    }

    fn error(&self) -> Option<String> {
        let ended = self.connection.as_ref().and_then(Connection::close_reason);
        ended.map(|e| describe(&e)).or_else(|| self.last_error.clone())
    }
}

/// Columns and frames come and go by the megabyte, and by default glibc hands each back to the system and has it cleared again at the next
/// round: half the CPU of a large multiplication. It keeps up to twice the largest block it has ever unmapped, 32 MB at most
/// (mallopt(3), M_TRIM_THRESHOLD), so it is shown one. Other allocators take no notice.
fn keep_freed_memory() {
    std::hint::black_box(Vec::<u8>::with_capacity(31 << 20));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// ---------------------------------------------------------------- the IO thread

async fn run(
    shared: Arc<Shared>,
    endpoint: Endpoint,
    mut incoming: Incoming,
    mut stopped: oneshot::Receiver<()>,
    mut flushing: mpsc::Receiver<()>,
) {
    // of two parties the later in the roster dials, so that there is one connection
    let me = endpoint.me().party;
    for slot in shared.peers.iter().flatten().filter(|slot| Some(slot.party) < me) {
        tokio::spawn(keep_dialling(shared.clone(), endpoint.clone(), slot.party, slot.name.clone()));
    }
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = incoming.next() => match accepted {
                Some((connection, Peer { party: Some(party), .. })) if Some(party) > me => {
                    tokio::spawn(serve(shared.clone(), party, connection));
                }
                Some((connection, peer)) => {
                    tracing::warn!(peer = peer.name, "connection refused: this node dials that one");
                    connection.close(VarInt::from_u32(close::PROTOCOL), b"not yours to dial");
                }
                None => break,
            },
        }
    }
    // streams that are being finished hold a sender each
    drop(lock(&shared.flushed).take());
    let _ = tokio::time::timeout(FLUSH, flushing.recv()).await;
    endpoint.close().await;
}

async fn keep_dialling(shared: Arc<Shared>, endpoint: Endpoint, party: PartyId, name: String) {
    let mut backoff = Backoff::default();
    loop {
        let failed = |error: &crate::DialError, _| {
            if let Some(slot) = shared.slot(party) {
                slot.failed(error.to_string());
            }
        };
        let (connection, _) = endpoint.dial(&name, failed).await;
        let begun = Instant::now();
        serve(shared.clone(), party, connection).await;
        // a peer that accepts and closes at once is not dialled in a busy loop
        if begun.elapsed() > Duration::from_secs(5) {
            backoff = Backoff::default();
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Takes in the peer's streams for as long as the connection lasts.
async fn serve(shared: Arc<Shared>, party: PartyId, connection: Connection) {
    let Some(slot) = shared.slot(party) else { return };
    let id = connection.stable_id();
    slot.connected(&connection);
    let reason = loop {
        match connection.accept_uni().await {
            Ok(stream) => drop(tokio::spawn(place(shared.clone(), party, id, stream))),
            Err(reason) => break reason,
        }
    };
    slot.disconnected(id, &reason);
    shared.rendezvous.lost(party, id);
}

async fn place(shared: Arc<Shared>, party: PartyId, connection: usize, mut stream: RecvStream) {
    let mut bytes = [0; Preface::BYTES];
    let read = tokio::time::timeout(PREFACE, stream.read_exact(&mut bytes)).await;
    match Preface::decode(&bytes) {
        Some(preface) if matches!(read, Ok(Ok(()))) => shared.rendezvous.leave(party, connection, preface, stream),
        _ => {
            tracing::warn!(%party, "a stream without a preface is refused");
            // fails if it has ended already
            let _ = stream.stop(VarInt::from_u32(code::MALFORMED));
        }
    }
}
