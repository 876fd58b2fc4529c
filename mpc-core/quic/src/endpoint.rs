//! Connections between nodes. Who may connect to whom follows from the roster: parties dial parties and the coordinator, nobody dials
//! anybody else, planners never. Who is at the other end is the roster's entry for the key it proved to hold, nothing it says.

use crate::hello::{self, HelloError, Intent};
use crate::profile::Profile;
use crate::reset::{RandomIds, ResetKey};
use crate::socket::{MAX_DATAGRAM, Socket, Through};
use crate::tls::{self, Purpose};
use mpc_core::PartyId;
use mpc_core::identity::{Identity, PublicKey};
use mpc_core::roster::{Node, Role, Roster};
use quinn::{ClientConfig, Connection, ConnectionError, EndpointConfig, ServerConfig, TokioRuntime, VarInt};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// The node at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name in the roster.
    pub name: String,
    /// Its role in the roster.
    pub role: Role,
    /// The key it proved to hold.
    pub key: PublicKey,
    /// Its place among the parties, if it is one.
    pub party: Option<PartyId>,
}

impl Peer {
    fn of(roster: &Roster, node: &Node) -> Self {
        Peer { name: node.name.clone(), role: node.role, key: node.key, party: roster.party_id(&node.name) }
    }
}

/// Codes with which a connection is closed.
pub(crate) mod close {
    pub(crate) const SHUTDOWN: u32 = 0;
    pub(crate) const ROSTER: u32 = 1;
    pub(crate) const REPLACED: u32 = 2;
    pub(crate) const PROTOCOL: u32 = 3;
}

/// One UDP socket that dials and accepts. Cheap to clone; lives in the tokio runtime it was bound in.
#[derive(Clone)]
pub struct Endpoint {
    inner: quinn::Endpoint,
    identity: Arc<Identity>,
    roster: Arc<Roster>,
    roster_hash: [u8; 32],
    me: Peer,
    profile: Profile,
    receive_buffer: usize,
}

/// Connections that have been accepted and have said hello, in the order in which they did.
pub struct Incoming(mpsc::Receiver<(Connection, Peer)>);

impl Incoming {
    /// The next one; `None` once the endpoint is closed.
    pub async fn next(&mut self) -> Option<(Connection, Peer)> {
        self.0.recv().await
    }
}

/// Why an endpoint could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {addr} (UDP): {error}; is another node running there, or is the address not this machine's?")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The socket cannot be used.
    #[error("the UDP socket cannot be used: {0}")]
    Socket(std::io::Error),
    /// The identity is no node's.
    #[error("the key {0} belongs to no node of the roster; start with the key file the roster lists, or add the node to it")]
    NotInRoster(PublicKey),
    /// This node is no party.
    #[error("`{0}` is not a party of the roster; only parties compute with one another")]
    NotAParty(String),
    /// The build lacks a cipher suite.
    #[error("{0}")]
    Tls(String),
}

/// Why a node could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The roster has no such node.
    #[error("the roster has no node `{0}`")]
    UnknownNode(String),
    /// Nodes of this node's role do not dial that one.
    #[error("`{0}` is not dialled from here: parties dial parties and the coordinator, nobody dials anybody else")]
    NotDialled(String),
    /// Its address does not resolve.
    #[error("the address {addr} of `{node}` does not resolve: {reason}; correct it in the roster, or the name server")]
    Resolve {
        /// Whom.
        node: String,
        /// The roster's address.
        addr: String,
        /// What the resolver said.
        reason: String,
    },
    /// No answer.
    #[error("`{node}` does not answer at {addr} (UDP); is it running, and does a firewall let UDP through?")]
    Silent {
        /// Whom.
        node: String,
        /// Where.
        addr: SocketAddr,
    },
    /// Somebody else is there.
    #[error("who answers at {addr} does not hold the key the roster lists for `{node}`; check its address and its key file")]
    WrongKey {
        /// Whom.
        node: String,
        /// Where.
        addr: SocketAddr,
    },
    /// It does not want this node.
    #[error("`{node}` refuses this node: {reason}")]
    Refused {
        /// Whom.
        node: String,
        /// Why.
        reason: String,
    },
    /// The rosters differ.
    #[error("`{0}` has another roster; put the same roster file at both nodes and restart them")]
    Roster(String),
    /// The connection ended before it began.
    #[error("the connection to `{node}` ended: {reason}")]
    Lost {
        /// Whom.
        node: String,
        /// Why.
        reason: String,
    },
}

/// Handshakes under way at once; beyond a few, strangers must first prove their address.
const HANDSHAKES: usize = 64;
const HANDSHAKES_UNPROVEN: usize = 16;
/// Connection attempts nobody has looked at yet, and what each may have sent.
const PENDING: usize = 256;
const PENDING_BYTES: u64 = 16 << 10;
/// Accepted connections nobody has asked for yet.
const ACCEPTED: usize = 16;

impl Endpoint {
    /// Binds `listen` and begins to accept. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be had, or the identity is no node's of the roster.
    pub fn bind(
        identity: Arc<Identity>,
        roster: Arc<Roster>,
        listen: SocketAddr,
        profile: Profile,
    ) -> Result<(Self, Incoming), EndpointError> {
        let socket = UdpSocket::bind(listen).map_err(|error| EndpointError::Bind { addr: listen, error })?;
        Self::on(identity, roster, socket, profile)
    }

    /// Like [`bind`](Self::bind), on a socket bound already.
    ///
    /// # Errors
    /// The socket cannot be used, or the identity is no node's of the roster.
    pub fn on(
        identity: Arc<Identity>,
        roster: Arc<Roster>,
        socket: UdpSocket,
        profile: Profile,
    ) -> Result<(Self, Incoming), EndpointError> {
        Self::through(identity, roster, socket, profile, Box::new(|socket| socket))
    }

    /// Like [`on`](Self::on), with something between the socket and QUIC.
    ///
    /// # Errors
    /// The socket cannot be used, or the identity is no node's of the roster.
    pub(crate) fn through(
        identity: Arc<Identity>,
        roster: Arc<Roster>,
        socket: UdpSocket,
        profile: Profile,
        through: Through,
    ) -> Result<(Self, Incoming), EndpointError> {
        let purpose = Purpose::to(Self::own(&identity, &roster)?.role);
        let crypto = tls::server(identity.clone(), &roster, purpose).map_err(|e| EndpointError::Tls(e.to_string()))?;
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server.migration(false);
        // who has not been looked at yet costs a few packets of memory, and there are few
        server.max_incoming(PENDING).incoming_buffer_size(PENDING_BYTES).incoming_buffer_size_total(PENDING as u64 * PENDING_BYTES);
        let endpoint = Self::assemble(identity, roster, socket, profile, Some((server, purpose)), through)?;
        let (accepted, incoming) = mpsc::channel(ACCEPTED);
        tokio::spawn(endpoint.clone().accept(accepted));
        Ok((endpoint, Incoming(incoming)))
    }

    /// An endpoint that only dials, from any free port: what a party uses towards the coordinator. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// There is no free port, or the identity is no node's of the roster.
    pub fn dialler(identity: Arc<Identity>, roster: Arc<Roster>, profile: Profile) -> Result<Self, EndpointError> {
        // one socket for both families where the system has IPv6, else the old one
        let socket = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0")).map_err(EndpointError::Socket)?;
        Self::assemble(identity, roster, socket, profile, None, Box::new(|socket| socket))
    }

    fn assemble(
        identity: Arc<Identity>,
        roster: Arc<Roster>,
        socket: UdpSocket,
        profile: Profile,
        server: Option<(ServerConfig, Purpose)>,
        through: Through,
    ) -> Result<Self, EndpointError> {
        let me = Self::own(&identity, &roster)?;
        let mut config = EndpointConfig::new(Arc::new(ResetKey::of(&identity)));
        config.cid_generator(|| Box::new(RandomIds));
        config.max_udp_payload_size(MAX_DATAGRAM as u16).expect("the largest datagram is in QUIC's bounds");
        let socket = Socket::new(socket, profile.socket_buffer(), through).map_err(EndpointError::Socket)?;
        let receive_buffer = socket.receive_buffer();
        let server = server.map(|(mut server, purpose)| {
            server.transport_config(profile.transport(purpose, receive_buffer));
            server
        });
        let inner = quinn::Endpoint::new_with_abstract_socket(config, server, Arc::new(socket), Arc::new(TokioRuntime))
            .map_err(EndpointError::Socket)?;
        Ok(Endpoint { inner, identity, roster_hash: roster.hash(), roster, me, profile, receive_buffer })
    }

    fn own(identity: &Identity, roster: &Roster) -> Result<Peer, EndpointError> {
        let key = identity.public();
        roster.node_by_key(&key).map(|node| Peer::of(roster, node)).ok_or(EndpointError::NotInRoster(key))
    }

    /// This node, as its peers see it.
    pub fn me(&self) -> &Peer {
        &self.me
    }

    /// Where the socket is bound.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Tries once to connect to the node called `name`, and waits for its hello.
    ///
    /// # Errors
    /// Why it did not work, in words for the log and for `doctor`.
    pub async fn connect(&self, name: &str) -> Result<(Connection, Peer), DialError> {
        self.reach(name, Intent::Join).await
    }

    /// Whether the node called `name` is there and would let this one in, and the round trip to it. Disturbs nothing that runs there, not even
    /// the connection it may already have to this node: what `doctor` asks.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn probe(&self, name: &str) -> Result<Duration, DialError> {
        let (connection, _) = self.reach(name, Intent::Probe).await?;
        let rtt = connection.rtt();
        connection.close(VarInt::from_u32(close::SHUTDOWN), b"thank you");
        Ok(rtt)
    }

    async fn reach(&self, name: &str, intent: Intent) -> Result<(Connection, Peer), DialError> {
        let node = self.roster.node(name).ok_or_else(|| DialError::UnknownNode(name.into()))?;
        if self.me.role != Role::Party || node.key == self.me.key {
            return Err(DialError::NotDialled(name.into()));
        }
        let addr = self.resolve(node).await?;
        let silent = || DialError::Silent { node: name.into(), addr };
        match tokio::time::timeout(self.profile.handshake(), self.handshake(node, addr, intent)).await {
            Err(_) => Err(silent()),
            Ok(result) => result.map(|connection| (connection, Peer::of(&self.roster, node))),
        }
    }

    /// Connects to the node called `name`, again and again with growing pauses until it works; `failed` hears of every failure
    /// and how long the pause will be.
    pub async fn dial(&self, name: &str, mut failed: impl FnMut(&DialError, Duration)) -> (Connection, Peer) {
        let mut backoff = Backoff::default();
        loop {
            match self.connect(name).await {
                Ok(connected) => return connected,
                Err(error) => {
                    let pause = backoff.pause();
                    failed(&error, pause);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Closes every connection and waits until the peers can know.
    pub async fn close(&self) {
        self.inner.close(VarInt::from_u32(close::SHUTDOWN), b"shut down");
        // peers that are gone do not answer; the rest do within a round trip
        let _ = tokio::time::timeout(Duration::from_millis(500), self.inner.wait_idle()).await;
    }

    async fn resolve(&self, node: &Node) -> Result<SocketAddr, DialError> {
        let failed = |reason: String| DialError::Resolve { node: node.name.clone(), addr: node.addr.clone(), reason };
        let mut found = tokio::net::lookup_host(&node.addr).await.map_err(|e| failed(e.to_string()))?;
        let v4 = self.inner.local_addr().is_ok_and(|a| a.is_ipv4());
        found.find(|a| a.is_ipv4() || !v4).ok_or_else(|| failed("no address this node's socket can reach".into()))
    }

    async fn handshake(&self, node: &Node, addr: SocketAddr, intent: Intent) -> Result<Connection, DialError> {
        let name = &node.name;
        let purpose = Purpose::to(node.role);
        let lost = |reason: String| DialError::Lost { node: name.clone(), reason };
        let crypto = tls::client(self.identity.clone(), node.key, purpose).map_err(|e| lost(e.to_string()))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(self.profile.transport(purpose, self.receive_buffer));
        let connecting = self.inner.connect_with(config, mapped(addr, self.inner.local_addr().ok()), tls::SERVER_NAME);
        let connection = connecting.map_err(|e| lost(e.to_string()))?.await.map_err(|e| judged(e, name, addr))?;
        match hello::offer(&connection, &self.roster_hash, intent).await {
            Ok(()) => Ok(connection),
            Err(HelloError::Roster) => {
                connection.close(VarInt::from_u32(close::ROSTER), b"another roster");
                Err(DialError::Roster(name.clone()))
            }
            Err(HelloError::Garbage) => {
                connection.close(VarInt::from_u32(close::PROTOCOL), b"not a hello");
                Err(lost("it speaks another protocol; install the same release at both nodes".into()))
            }
            // the stream can fail a moment before the connection's own reason is in
            Err(HelloError::Lost) => Err(judged(connection.closed().await, name, addr)),
        }
    }

    async fn accept(self, accepted: mpsc::Sender<(Connection, Peer)>) {
        let slots = Arc::new(Semaphore::new(HANDSHAKES));
        while let Some(incoming) = self.inner.accept().await {
            let Ok(slot) = slots.clone().try_acquire_owned() else {
                incoming.ignore();
                continue;
            };
            if HANDSHAKES - slots.available_permits() > HANDSHAKES_UNPROVEN && !incoming.remote_address_validated() {
                // only fails if the address is validated already
                let _ = incoming.retry();
                continue;
            }
            let (endpoint, accepted) = (self.clone(), accepted.clone());
            tokio::spawn(async move {
                let from = incoming.remote_address();
                match tokio::time::timeout(endpoint.profile.handshake(), endpoint.welcome(incoming)).await {
                    Ok(Ok((connection, peer, intent))) => match intent {
                        // fails if nobody accepts any more
                        Intent::Join => drop(accepted.send((connection, peer)).await),
                        Intent::Probe => drop(tokio::time::timeout(endpoint.profile.handshake(), connection.closed()).await),
                    },
                    Ok(Err(reason)) => tracing::warn!(%from, reason, "connection refused"),
                    Err(_) => tracing::warn!(%from, "connection refused: no hello in time"),
                }
                drop(slot);
            });
        }
    }

    async fn welcome(&self, incoming: quinn::Incoming) -> Result<(Connection, Peer, Intent), String> {
        let connection = incoming.accept().map_err(|e| describe(&e))?.await.map_err(|e| describe(&e))?;
        let key = tls::peer_key(&connection).ok_or("it has no key")?;
        let node = self.roster.node_by_key(&key).ok_or("its key is not in the roster")?;
        let refuse = |code: u32, reason: &str| {
            connection.close(VarInt::from_u32(code), reason.as_bytes());
            format!("`{}`: {reason}", node.name)
        };
        match hello::answer(&connection, &self.roster_hash).await {
            Ok(intent) => Ok((connection, Peer::of(&self.roster, node), intent)),
            Err(HelloError::Roster) => Err(refuse(close::ROSTER, "another roster")),
            Err(HelloError::Garbage) => Err(refuse(close::PROTOCOL, "not a hello")),
            Err(HelloError::Lost) => Err(describe(&connection.closed().await)),
        }
    }
}

/// Pauses between attempts: 50 ms, doubled up to 2 s, each varied by up to a quarter so that nodes do not march in step.
#[derive(Debug, Clone)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Backoff(Duration::from_millis(50))
    }
}

impl Backoff {
    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Duration::from_secs(2));
        let mut random = [0];
        // without randomness they march in step, no more
        let _ = getrandom::fill(&mut random);
        pause - pause / 4 * u32::from(random[0]) / 256
    }
}

/// An IPv4 address as a socket bound to `[::]` wants it.
fn mapped(addr: SocketAddr, local: Option<SocketAddr>) -> SocketAddr {
    match (addr, local) {
        (SocketAddr::V4(v4), Some(SocketAddr::V6(_))) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        _ => addr,
    }
}

/// What the end of a connection says about the node at its other end.
fn judged(error: ConnectionError, name: &str, addr: SocketAddr) -> DialError {
    let node = name.to_owned();
    match &error {
        ConnectionError::TimedOut => DialError::Silent { node, addr },
        // our own verifier's word
        ConnectionError::TransportError(e) if tls::refusal(e.code).is_some() => DialError::WrongKey { node, addr },
        ConnectionError::ConnectionClosed(c) => match tls::refusal(c.error_code) {
            Some(reason) => DialError::Refused { node, reason: reason.into() },
            None => DialError::Lost { node, reason: describe(&error) },
        },
        ConnectionError::ApplicationClosed(c) if c.error_code == VarInt::from_u32(close::ROSTER) => DialError::Roster(node),
        _ => DialError::Lost { node, reason: describe(&error) },
    }
}

/// The end of a connection in words.
pub(crate) fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TimedOut => "no sign of life from it for seconds; it was killed, or the network is down".into(),
        ConnectionError::Reset => "it has restarted".into(),
        ConnectionError::LocallyClosed => "this node closed the connection".into(),
        ConnectionError::ApplicationClosed(c) => match u32::try_from(c.error_code.into_inner()) {
            Ok(close::SHUTDOWN) => "it was shut down".into(),
            Ok(close::ROSTER) => "it has another roster".into(),
            Ok(close::REPLACED) => "it opened a new connection".into(),
            _ => "it closed the connection over a breach of protocol".into(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
