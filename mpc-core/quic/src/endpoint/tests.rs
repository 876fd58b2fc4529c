//! Who gets in. Every stranger must fail in the handshake, before anything it says is read.

use super::*;
use crate::common::{City, identity};
use crate::tls::{Pinned, certified, provider};
use mpc_core::roster::Planner;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::SignatureScheme;
use rustls::client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;

const MESH: &[u8] = b"tacit-mesh/1";
const CONTROL: &[u8] = b"tacit-control/1";

fn node(city: &mut City, at: usize) -> (Endpoint, Incoming) {
    let socket = city.socket(at);
    Endpoint::on(identity(at), city.roster.clone(), socket, Profile::Lan).expect("bound")
}

/// Whether `peer` is the next to be let in: then nobody before it was.
async fn next_is(incoming: &mut Incoming, peer: &str) -> bool {
    incoming.next().await.is_some_and(|(_, p)| p.name == peer)
}

// ---------------------------------------------------------------- strangers who dial

/// A TLS client that knows the key of whom it dials, and otherwise says what it likes.
struct Stranger {
    key: Option<u8>,
    x509: bool,
    alpn: Vec<Vec<u8>>,
}

impl Stranger {
    fn with(seed: u8, alpn: &[u8]) -> Self {
        Stranger { key: Some(seed), x509: false, alpn: vec![alpn.to_vec()] }
    }

    /// How the attempt to connect and to say something ended.
    async fn knock(self, at: &Endpoint) -> ConnectionError {
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned::new(vec![at.me().key])));
        let mut config = match (self.key.map(|seed| certified(anybody(seed))), self.x509) {
            (None, _) => builder.with_no_client_auth(),
            (Some(key), false) => builder.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key))),
            (Some(key), true) => builder.with_client_cert_resolver(Arc::new(AsCertificate(key))),
        };
        config.alpn_protocols = self.alpn;
        let crypto = QuicClientConfig::try_from(config).expect("a QUIC suite");
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let at = at.local_addr().expect("bound");
        let connecting = endpoint.connect_with(ClientConfig::new(Arc::new(crypto)), at, "tacit").expect("started");
        match connecting.await {
            Err(error) => error,
            // TLS 1.3: the dialler is done before the acceptor has judged it
            Ok(connection) => connection.closed().await,
        }
    }
}

fn anybody(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[seed; 32]))
}

#[derive(Debug)]
struct AsCertificate(Arc<CertifiedKey>);

impl ResolvesClientCert for AsCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
    fn has_certs(&self) -> bool {
        true
    }
}

fn is_tls_refusal(error: &ConnectionError) -> bool {
    // QUIC carries TLS alerts as transport errors 0x100..0x1ff; the reason phrase is for logs
    matches!(error, ConnectionError::ConnectionClosed(c) if (0x100..0x200).contains(&u64::from(c.error_code)))
}

fn with_planner(city: &mut City) {
    let planner = Planner { name: "planning-office".into(), key: anybody(50).public() };
    let roster = Roster::new("Test city".into(), city.roster.nodes().to_vec(), vec![planner]).expect("a good roster");
    city.roster = Arc::new(roster);
}

#[tokio::test]
async fn a_party_lets_in_parties_alone() {
    let mut city = City::new();
    with_planner(&mut city);
    let (party, mut incoming) = node(&mut city, 0);
    let strangers = [
        ("a key that is not in the roster", Stranger::with(99, MESH)),
        ("the coordinator", Stranger::with(4, MESH)),
        ("the coordinator, as to a coordinator", Stranger::with(4, CONTROL)),
        ("a planner", Stranger::with(50, MESH)),
        ("the party's own key", Stranger::with(1, MESH)),
        ("a party that asks for control", Stranger::with(2, CONTROL)),
        ("a party that asks for something else", Stranger::with(2, b"h3")),
        ("a party that asks for nothing", Stranger { alpn: Vec::new(), ..Stranger::with(2, MESH) }),
        ("nobody: no key", Stranger { key: None, ..Stranger::with(2, MESH) }),
        ("a party's key as an X.509 certificate", Stranger { x509: true, ..Stranger::with(2, MESH) }),
    ];
    for (who, stranger) in strangers {
        let error = stranger.knock(&party).await;
        assert!(is_tls_refusal(&error), "{who}: {error:?}");
    }
    let (energy, _accepting) = node(&mut city, 1);
    let (_connection, peer) = energy.connect("transport").await.expect("a party is let in");
    assert_eq!((peer.name.as_str(), peer.role, peer.party), ("transport", Role::Party, Some(PartyId(0))));
    assert!(next_is(&mut incoming, "energy").await);
}

#[tokio::test]
async fn a_coordinator_lets_in_parties_alone() {
    let mut city = City::new();
    with_planner(&mut city);
    let (coordinator, mut incoming) = node(&mut city, 3);
    let strangers = [
        ("a key that is not in the roster", Stranger::with(99, CONTROL)),
        ("a planner", Stranger::with(50, CONTROL)),
        ("the coordinator's own key", Stranger::with(4, CONTROL)),
        ("a party that wants to compute with it", Stranger::with(2, MESH)),
        ("nobody: no key", Stranger { key: None, ..Stranger::with(2, CONTROL) }),
    ];
    for (who, stranger) in strangers {
        let error = stranger.knock(&coordinator).await;
        assert!(is_tls_refusal(&error), "{who}: {error:?}");
    }
    let health = Endpoint::dialler(identity(2), city.roster.clone(), Profile::Lan).expect("bound");
    let (connection, peer) = health.connect("coordinator").await.expect("a party is let in");
    assert_eq!((peer.name.as_str(), peer.role, peer.party), ("coordinator", Role::Coordinator, None));
    let (accepted, peer) = incoming.next().await.expect("it is open");
    assert_eq!((peer.name.as_str(), peer.party), ("health", Some(PartyId(2))));

    // what they are for: messages on streams of their own
    let (mut send, _recv) = connection.open_bi().await.expect("opened");
    send.write_all(b"accept").await.expect("written");
    send.finish().expect("open until now");
    let (_send, mut recv) = accepted.accept_bi().await.expect("accepted");
    assert_eq!(recv.read_to_end(16).await.expect("read"), b"accept");
}

// ---------------------------------------------------------------- strangers who answer

/// A server with any key that knows party 1, speaks `alpn` and, if it is let in, says `hello`.
fn impostor(seed: u8, alpn: &[u8], socket: UdpSocket, hello: &'static [u8]) {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(Arc::new(Pinned::new(vec![identity(1).public()])))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(anybody(seed)))));
    config.alpn_protocols = vec![alpn.to_vec()];
    let crypto = QuicServerConfig::try_from(config).expect("a QUIC suite");
    let (server, runtime) = (ServerConfig::with_crypto(Arc::new(crypto)), Arc::new(TokioRuntime));
    let endpoint = quinn::Endpoint::new(EndpointConfig::default(), Some(server), socket, runtime).expect("bound");
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connection) = incoming.await else { continue };
            let Ok((mut send, _recv)) = connection.accept_bi().await else { continue };
            let _ = send.write_all(hello).await;
            let _ = send.finish();
            let _ = send.stopped().await;
        }
    });
}

#[tokio::test]
async fn a_node_talks_to_nobody_but_whom_it_dialled() {
    for (what, seed) in [("another party", 3), ("the coordinator", 4), ("a stranger", 99)] {
        let mut city = City::new();
        let socket = city.socket(0);
        impostor(seed, MESH, socket, b"");
        let (energy, _accepting) = node(&mut city, 1);
        let error = energy.connect("transport").await.expect_err(what);
        assert!(matches!(&error, DialError::WrongKey { node, .. } if node == "transport"), "{what}: {error}");
    }
    let mut city = City::new();
    let socket = city.socket(0);
    impostor(1, CONTROL, socket, b"");
    let (energy, _accepting) = node(&mut city, 1);
    let error = energy.connect("transport").await.expect_err("the right key in another role");
    assert!(matches!(&error, DialError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_node_that_says_something_else_first_is_left() {
    let mut city = City::new();
    let socket = city.socket(0);
    impostor(1, MESH, socket, &[b'x'; 40]);
    let (energy, _accepting) = node(&mut city, 1);
    let error = energy.connect("transport").await.expect_err("not a hello");
    assert!(matches!(&error, DialError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn nodes_with_different_rosters_part_at_once() {
    let mut city = City::new();
    let (_party, mut incoming) = node(&mut city, 0);
    let old = city.roster.clone();
    with_planner(&mut city);
    let (energy, _accepting) = node(&mut city, 1);
    let error = energy.connect("transport").await.expect_err("another roster");
    assert_eq!(error, DialError::Roster("transport".into()));
    city.roster = old;
    let (health, _accepting) = node(&mut city, 2);
    health.connect("transport").await.expect("the same roster");
    assert!(next_is(&mut incoming, "health").await);
}

#[tokio::test]
async fn only_parties_dial_and_only_whom_the_roster_names() {
    let mut city = City::new();
    let (energy, _accepting) = node(&mut city, 1);
    let (coordinator, _control) = node(&mut city, 3);
    assert_eq!(energy.connect("police").await.err(), Some(DialError::UnknownNode("police".into())));
    assert_eq!(energy.connect("energy").await.err(), Some(DialError::NotDialled("energy".into())));
    assert_eq!(coordinator.connect("energy").await.err(), Some(DialError::NotDialled("energy".into())));
    let bound = Endpoint::dialler(anybody(99), city.roster.clone(), Profile::Lan);
    assert!(matches!(bound.err(), Some(EndpointError::NotInRoster(_))));
    let mesh = crate::Mesh::start(identity(3), city.roster.clone(), "127.0.0.1:0".parse().expect("an address"), Profile::Lan);
    assert!(matches!(mesh.err(), Some(EndpointError::NotAParty(name)) if name == "coordinator"));
}
