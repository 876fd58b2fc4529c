//! Connection ids and stateless resets that survive a restart: a node that comes back at the same address answers packets of its former
//! life with a reset its peers can check, so they drop the dead connection at once instead of waiting for silence to tell.

use mpc_core::identity::Identity;
use mpc_core::stack;
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator};
use std::time::Duration;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Keys reset tokens; the same in every life of a node.
pub(crate) struct ResetKey(Box<Zeroizing<[u8; 32]>>);

impl ResetKey {
    /// Derived from the node's key: an Ed25519 signature is deterministic and nobody else can make it.
    pub(crate) fn of(identity: &Identity) -> Self {
        let mut key = ResetKey(Box::default());
        stack::wiped(|| {
            let signature = Zeroizing::new(identity.sign(b"tacit/v1/quic-reset\0"));
            **key.0 = blake3::derive_key("tacit/v1/quic stateless reset", &signature[..]);
        });
        key
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], out: &mut [u8]) {
        stack::wiped(|| blake3::Hasher::new_keyed(&self.0).update(data).finalize_xof().fill(out));
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let mut expected = [0; 32];
        self.sign(data, &mut expected);
        bool::from(expected[..].ct_eq(signature)).then_some(()).ok_or(CryptoError)
    }
}

/// Random ids of a fixed length, every one of which may be answered with a reset (quinn's default recognises only those of
/// its present life).
pub(crate) struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; 8];
        getrandom::fill(&mut id).expect("the operating system gives randomness, as it did when TLS began");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
