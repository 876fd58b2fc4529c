//! Sealing: what a party releases travels through the coordinator readable by the planner alone.
//!
//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. The key is the one in the
//! query the planner signed; `info` binds the session, `aad` the plan and the public shape of the release. Parties
//! [`seal`], the planner's client [`open`]s: both are here so that they cannot drift apart.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a planner's public output key.
pub const KEY_BYTES: usize = 32;
/// Bytes by which a sealed message is longer than what is in it: the encapsulated key and the tag.
pub const OVERHEAD: usize = 32 + 16;

/// What a sealed message is bound to. Opening it in any other context fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The session whose shares these are.
    pub session: &'a [u8; 32],
    /// The plan that was run.
    pub plan_hash: &'a [u8; 32],
    /// The public shape of the release, as its encoding states it.
    pub shape: &'a [u8],
}

/// The private half of a planner's output key. It is made for one query, is never stored by anyone but the planner's
/// client, has no `Debug`, and is wiped when dropped.
pub struct OutputKey {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; KEY_BYTES],
}

impl OutputKey {
    /// A fresh key from the operating system's randomness.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, SealError> {
        let mut ikm = Zeroizing::new([0u8; 32]);
        getrandom::fill(ikm.as_mut()).map_err(|_| SealError::Randomness)?;
        let (secret, _) = Suite::derive_keypair(ikm.as_ref());
        let mut bytes = Zeroizing::new([0u8; 32]);
        secret.write_exact(bytes.as_mut());
        Self::from_secret(&bytes)
    }

    /// The key with these secret bytes, as [`OutputKey::secret`] gave them.
    ///
    /// # Errors
    /// The bytes are not an X25519 key.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, SealError> {
        let key = PrivateKey::from_bytes(secret).map_err(|_| SealError::OutputKey)?;
        let mut public = [0; KEY_BYTES];
        Suite::sk_to_pk(&key).write_exact(&mut public);
        Ok(Self { secret: Zeroizing::new(*secret), public })
    }

    /// The half that goes into the query.
    pub fn public(&self) -> [u8; KEY_BYTES] {
        self.public
    }

    /// The secret bytes, for a client that fetches the result in a later run.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

/// Whether something can be sealed to this key: it has 32 bytes and is not a point of small order (to which everything
/// would be sealed under a key anyone knows).
///
/// # Errors
/// It is not such a key.
pub fn check_output_key(key: &[u8]) -> Result<(), SealError> {
    let key = PublicKey::from_bytes(key).map_err(|_| SealError::OutputKey)?;
    // The crate refuses an all-zero shared secret, which is what small order comes to.
    setup_sender_with_rng::<Aead, Kdf, Suite>(&OpModeS::Base, &key, b"tacit/v1/check", &mut rng()?)
        .map(|_| ())
        .map_err(|_| SealError::OutputKey)
}

/// Seals `message` to a planner's output key.
///
/// # Errors
/// The key is not one to which anything can be sealed, or there is no randomness.
pub fn seal(output_key: &[u8], context: &Context<'_>, message: &[u8]) -> Result<Vec<u8>, SealError> {
    let key = PublicKey::from_bytes(output_key).map_err(|_| SealError::OutputKey)?;
    let (encapsulated, mut sender) =
        setup_sender_with_rng::<Aead, Kdf, Suite>(&OpModeS::Base, &key, &context.info(), &mut rng()?).map_err(|_| SealError::OutputKey)?;
    let sealed = sender.seal(message, &context.aad()).map_err(|_| SealError::OutputKey)?;
    let mut out = Vec::with_capacity(OVERHEAD + message.len());
    out.extend_from_slice(&encapsulated.to_bytes());
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// Opens what a party sealed for this key in this context. The message is wiped when dropped.
///
/// # Errors
/// It was sealed to another key or in another context, or was changed on its way.
pub fn open(key: &OutputKey, context: &Context<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (encapsulated, ciphertext) = sealed.split_first_chunk::<32>().ok_or(SealError::Open)?;
    let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| SealError::Open)?;
    let secret = PrivateKey::from_bytes(key.secret.as_ref()).map_err(|_| SealError::OutputKey)?;
    let mut receiver =
        setup_receiver::<Aead, Kdf, Suite>(&OpModeR::Base, &secret, &encapsulated, &context.info()).map_err(|_| SealError::Open)?;
    receiver.open(ciphertext, &context.aad()).map(Zeroizing::new).map_err(|_| SealError::Open)
}

/// Why something was not sealed or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The output key is malformed.
    #[error("the output key is not an X25519 public key of 32 bytes, or is a point of small order")]
    OutputKey,
    /// The sealed message does not open.
    #[error("the sealed share does not open: it was sealed to another key, for another session, plan or shape, or was changed on its way")]
    Open,
    /// No randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
}

type Suite = X25519HkdfSha256;
type Aead = ChaCha20Poly1305;
type Kdf = HkdfSha256;
type PublicKey = <Suite as Kem>::PublicKey;
type PrivateKey = <Suite as Kem>::PrivateKey;

impl Context<'_> {
    fn info(&self) -> Vec<u8> {
        [b"tacit/v1/out".as_slice(), self.session].concat()
    }

    fn aad(&self) -> Vec<u8> {
        [self.plan_hash.as_slice(), self.shape].concat()
    }
}

fn rng() -> Result<ChaCha20Rng, SealError> {
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(|_| SealError::Randomness)?;
    let rng = ChaCha20Rng::from_seed(seed);
    seed.zeroize();
    Ok(rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: Context<'_> = Context { session: &[1; 32], plan_hash: &[2; 32], shape: b"2x5 fp61" };

    #[test]
    fn what_is_sealed_opens_for_the_planner_alone() {
        let key = OutputKey::generate().expect("randomness");
        let sealed = seal(&key.public(), &CONTEXT, b"shares").expect("sealed");
        assert_eq!(sealed.len(), 6 + OVERHEAD);
        assert_eq!(open(&key, &CONTEXT, &sealed).expect("opened").as_slice(), b"shares");
        assert_ne!(seal(&key.public(), &CONTEXT, b"shares").expect("sealed"), sealed, "sealing is randomised");
        let stored = OutputKey::from_secret(key.secret()).expect("a key");
        assert_eq!(stored.public(), key.public());
        assert_eq!(open(&stored, &CONTEXT, &sealed).expect("opened").as_slice(), b"shares");
        let other = OutputKey::generate().expect("randomness");
        assert_eq!(open(&other, &CONTEXT, &sealed), Err(SealError::Open));
    }

    #[test]
    fn nothing_opens_in_another_context_or_changed() {
        let key = OutputKey::generate().expect("randomness");
        let sealed = seal(&key.public(), &CONTEXT, b"shares").expect("sealed");
        for other in [
            Context { session: &[3; 32], ..CONTEXT },
            Context { plan_hash: &[3; 32], ..CONTEXT },
            Context { shape: b"2x6 fp61", ..CONTEXT },
        ] {
            assert_eq!(open(&key, &other, &sealed), Err(SealError::Open));
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&key, &CONTEXT, &changed), Err(SealError::Open), "byte {at}");
            assert_eq!(open(&key, &CONTEXT, &sealed[..at]), Err(SealError::Open), "cut to {at}");
        }
    }

    #[test]
    fn malformed_output_keys_are_refused() {
        let good = OutputKey::generate().expect("randomness").public();
        assert_eq!(check_output_key(&good), Ok(()));
        let mut one = [0u8; 32];
        one[0] = 1;
        for bad in [&[][..], &good[..31], &[0; 33], &[0; 32], &one] {
            assert_eq!(check_output_key(bad), Err(SealError::OutputKey));
            assert_eq!(seal(bad, &CONTEXT, b"shares"), Err(SealError::OutputKey));
        }
    }
}
