//! All there is of TLS: version 1.3 only, both sides authenticated by raw Ed25519 keys (RFC 7250), nothing resumed, no early data.
//! There are no certificates, no authorities and no names to check: the roster lists the keys, and a key's role decides what it may do.

use mpc_core::identity::{Identity, PublicKey};
use mpc_core::roster::{Role, Roster};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, ServerConfig, SignatureAlgorithm,
    SignatureScheme, client::AlwaysResolvesClientRawPublicKeys, version::TLS13,
};
use std::fmt;
use std::sync::Arc;

/// What a connection is for. It follows from the role of the node that accepts, and is fixed in the handshake by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Party to party.
    Mesh,
    /// Party to coordinator.
    Control,
}

impl Purpose {
    /// What connections to a node of `role` are for.
    pub(crate) fn to(role: Role) -> Self {
        match role {
            Role::Party => Purpose::Mesh,
            Role::Coordinator => Purpose::Control,
        }
    }

    fn alpn(self) -> Vec<u8> {
        match self {
            Purpose::Mesh => b"tacit-mesh/1".to_vec(),
            Purpose::Control => b"tacit-control/1".to_vec(),
        }
    }
}

/// Rustls has no cipher suite QUIC could begin with: a broken build.
#[derive(Debug, thiserror::Error)]
#[error("this build has no TLS 1.3 cipher suite for QUIC: {0}")]
pub(crate) struct NoTls(String);

/// The accepting side of `identity`, which speaks `purpose`: of all keys in the world it lets in those of the parties.
pub(crate) fn server(identity: Arc<Identity>, roster: &Roster, purpose: Purpose) -> Result<QuicServerConfig, NoTls> {
    let own = identity.public();
    let allowed = roster.parties().map(|node| node.key).filter(|key| *key != own).collect();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| NoTls(e.to_string()))?
        .with_client_cert_verifier(Arc::new(Pinned::new(allowed)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(identity))));
    config.alpn_protocols = vec![purpose.alpn()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.try_into().map_err(|e: quinn::crypto::rustls::NoInitialCipherSuite| NoTls(e.to_string()))
}

/// The dialling side of `identity`: it goes on only if exactly `pinned` answers.
pub(crate) fn client(identity: Arc<Identity>, pinned: PublicKey, purpose: Purpose) -> Result<QuicClientConfig, NoTls> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| NoTls(e.to_string()))?
        .dangerous() // rustls's word for a verifier of one's own
        .with_custom_certificate_verifier(Arc::new(Pinned::new(vec![pinned])))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(identity))));
    config.alpn_protocols = vec![purpose.alpn()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config.try_into().map_err(|e: quinn::crypto::rustls::NoInitialCipherSuite| NoTls(e.to_string()))
}

/// The key the other end of a connection has proved to hold.
pub(crate) fn peer_key(connection: &quinn::Connection) -> Option<PublicKey> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    match chain.as_slice() {
        [only] => from_spki(only),
        _ => None,
    }
}

/// The server name quinn asks for; it is neither sent nor checked.
pub(crate) const SERVER_NAME: &str = "tacit";

/// Whether a handshake failed because the peer judged our key or protocol, and which.
pub(crate) fn refusal(code: quinn::TransportErrorCode) -> Option<&'static str> {
    use rustls::AlertDescription as Alert;
    let is = |alert: Alert| code == quinn::TransportErrorCode::crypto(u8::from(alert));
    if is(Alert::AccessDenied) || is(Alert::CertificateUnknown) || is(Alert::BadCertificate) || is(Alert::DecryptError) {
        Some("it does not know this node's key; check that both nodes have the same roster and that this node runs with its own key file")
    } else if is(Alert::NoApplicationProtocol) {
        Some("it does not offer what this node asks for; check the roles in the roster and that both run the same release")
    } else if is(Alert::CertificateRequired) || is(Alert::UnsupportedCertificate) {
        Some("it asks for a node's key and got none")
    } else {
        None
    }
}

// ---------------------------------------------------------------- keys

/// An Ed25519 SubjectPublicKeyInfo (RFC 8410) is this prefix and 32 bytes.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn to_spki(key: &PublicKey) -> Vec<u8> {
    [&SPKI[..], key.as_bytes()].concat()
}

fn from_spki(spki: &[u8]) -> Option<PublicKey> {
    PublicKey::from_bytes(spki.strip_prefix(&SPKI)?.try_into().ok()?).ok()
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256, ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    })
}

pub(crate) fn certified(identity: Arc<Identity>) -> Arc<CertifiedKey> {
    let spki = CertificateDer::from(to_spki(&identity.public()));
    Arc::new(CertifiedKey::new(vec![spki], Arc::new(NodeKey(identity))))
}

/// The node's key as rustls signs with it. The key itself stays where it is.
#[derive(Clone)]
struct NodeKey(Arc<Identity>);

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.0.public())
    }
}

impl SigningKey for NodeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(to_spki(&self.0.public())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for NodeKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

// ---------------------------------------------------------------- verifier

/// Lets in exactly these keys.
#[derive(Debug)]
pub(crate) struct Pinned {
    keys: Vec<PublicKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    pub(crate) fn new(keys: Vec<PublicKey>) -> Self {
        Pinned { keys, algorithms: ring::default_provider().signature_verification_algorithms }
    }

    fn check(&self, spki: &[u8], chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        match from_spki(spki) {
            Some(key) if chain.is_empty() && self.keys.contains(&key) => Ok(()),
            _ => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }
}

/// What is the same whichever end is verified: TLS 1.3 with raw Ed25519 keys and nothing else.
macro_rules! raw_ed25519_keys {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            spki: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            if signed.scheme != SignatureScheme::ED25519 {
                return Err(Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon));
            }
            verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(spki.as_ref()), signed, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for Pinned {
    raw_ed25519_keys!();

    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }
}

impl ClientCertVerifier for Pinned {
    raw_ed25519_keys!();

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }
}
