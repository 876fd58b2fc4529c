//! Sealing: what a party releases travels through the coordinator readable by the planner alone.
//!
//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. The key is the one in the
//! query the planner signed; `info` is `tacit/v1/out` and the session id, `aad` the plan hash and the public shape of the release:
//! job, attempt, length, party. Parties [`seal`], the planner's client [`open`]s: both are here so that they cannot drift apart.
//!
//! What is sealed is locked before ([`crate::lock`]), so that nobody who has not all parts has any of the answer.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{Infallible, TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use ledger::bytes::{Base64, Hash};
use mpc_core::prss::{EdgeKey, Prss, Step};
use mpc_core::{Column, Layout, Z64, stack};
use query::message::{QueryId, Sealed};
use zeroize::Zeroizing;

/// Bytes of a planner's public output key.
pub const KEY_BYTES: usize = 32;
/// Bytes by which a ciphertext is longer than what is in it.
pub const TAG: usize = 16;

/// What a sealed share is bound to. Opening it in any other context fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The query.
    pub job: QueryId,
    /// The attempt at it.
    pub attempt: u32,
    /// The session of the attempt.
    pub sid: Hash,
    /// The plan that was run.
    pub plan_hash: Hash,
    /// The party whose shares these are.
    pub party: &'a str,
}

/// A share in clear, wiped when dropped.
pub type Opened = Zeroizing<Vec<u8>>;

/// A share as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// HPKE's encapsulated key.
    pub encapsulated: Base64,
    /// HPKE's ciphertext.
    pub ciphertext: Base64,
}

/// The private half of a planner's output key. It is made for one query, is never stored by anyone but the planner's
/// client, has no `Debug`, and is wiped when dropped.
pub struct OutputKey {
    secret: Box<Zeroizing<[u8; 32]>>,
    public: [u8; KEY_BYTES],
}

impl OutputKey {
    /// A fresh key from the operating system's randomness.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, SealError> {
        let mut secret = Box::new(Zeroizing::new([0u8; 32]));
        getrandom::fill(secret.as_mut_slice()).map_err(|_| SealError::Randomness)?;
        let mut public = [0; KEY_BYTES];
        stack::wiped(|| {
            let (key, at) = Suite::derive_keypair(secret.as_slice());
            key.write_exact(secret.as_mut_slice());
            at.write_exact(&mut public);
        });
        Ok(Self { secret, public })
    }

    /// The half that goes into the query.
    pub fn public(&self) -> [u8; KEY_BYTES] {
        self.public
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
pub fn seal(output_key: &[u8], context: &Context<'_>, message: &[u8]) -> Result<Envelope, SealError> {
    let key = PublicKey::from_bytes(output_key).map_err(|_| SealError::OutputKey)?;
    let (encapsulated, mut sender) =
        setup_sender_with_rng::<Aead, Kdf, Suite>(&OpModeS::Base, &key, &context.info(), &mut rng()?).map_err(|_| SealError::OutputKey)?;
    let ciphertext = sender.seal(message, &context.aad(message.len())).map_err(|_| SealError::OutputKey)?;
    Ok(Envelope { encapsulated: Base64(encapsulated.to_bytes().to_vec()), ciphertext: Base64(ciphertext) })
}

/// Opens what `party` sealed for this key, in the context its signed note states.
///
/// # Errors
/// It was sealed to another key or in another context, or was changed on its way.
pub fn open(key: &OutputKey, sealed: &Sealed, party: &str) -> Result<Opened, SealError> {
    let Sealed { job, attempt, sid, plan_hash, .. } = *sealed;
    let context = Context { job, attempt, sid, plan_hash, party };
    let length = sealed.ciphertext.0.len().checked_sub(TAG).ok_or(SealError::Open)?;
    let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(&sealed.encapsulated.0).map_err(|_| SealError::Open)?;
    stack::wiped(|| {
        let secret = PrivateKey::from_bytes(key.secret.as_slice()).map_err(|_| SealError::OutputKey)?;
        let mut receiver =
            setup_receiver::<Aead, Kdf, Suite>(&OpModeR::Base, &secret, &encapsulated, &context.info()).map_err(|_| SealError::Open)?;
        receiver.open(&sealed.ciphertext.0, &context.aad(length)).map(Zeroizing::new).map_err(|_| SealError::Open)
    })
}

/// Exclusive or with what the key expands to: it comes off as it went on. For one message a key.
pub(crate) fn masked(key: &EdgeKey, bytes: &mut [u8]) {
    let words = Layout::new(bytes.len().div_ceil(8), 1);
    let prss = Prss::new(key, 0);
    let mut mask = prss.elements(Step::OF_NO_SESSION, 0..words.rows);
    let mask = Column::<Z64>::build(words, |_, words| mask.fill(words));
    for (bytes, word) in bytes.chunks_mut(8).zip(mask.as_slice()) {
        bytes.iter_mut().zip(word.0.to_le_bytes()).for_each(|(byte, mask)| *byte ^= mask);
    }
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
        [b"tacit/v1/out".as_slice(), &self.sid.0].concat()
    }

    fn aad(&self, length: usize) -> Vec<u8> {
        let mut aad = self.plan_hash.0.to_vec();
        aad.extend(self.job.0.0);
        aad.extend(self.attempt.to_le_bytes());
        aad.extend((length as u64).to_le_bytes());
        aad.extend(self.party.as_bytes());
        aad
    }
}

/// The operating system's randomness as HPKE wants it: drawn beforehand, so that a lack of it is an error and not a panic, used once,
/// and wiped. (A generator would leave a copy of its state behind.)
struct Drawn {
    bytes: Zeroizing<[u8; DRAWN]>,
    used: usize,
}

/// More than the key encapsulation of X25519 asks for.
const DRAWN: usize = 64;

fn rng() -> Result<Drawn, SealError> {
    let mut bytes = Zeroizing::new([0; DRAWN]);
    getrandom::fill(bytes.as_mut()).map_err(|_| SealError::Randomness)?;
    Ok(Drawn { bytes, used: 0 })
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word).map(|()| u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word).map(|()| u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        let next = self.bytes.get(self.used..self.used + to.len()).expect("HPKE draws one seed of 32 bytes");
        to.copy_from_slice(next);
        self.used += to.len();
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: QueryId = QueryId(Hash([1; 32]));
    const CONTEXT: Context<'_> = Context { job: JOB, attempt: 1, sid: Hash([2; 32]), plan_hash: Hash([3; 32]), party: "transport" };

    fn sealed(key: &OutputKey) -> Sealed {
        let Envelope { encapsulated, ciphertext } = seal(&key.public(), &CONTEXT, b"shares").expect("sealed");
        let Context { job, attempt, sid, plan_hash, .. } = CONTEXT;
        Sealed { job, attempt, sid, plan_hash, encapsulated, ciphertext, measured: vec![], lock: vec![] }
    }

    #[test]
    fn what_is_sealed_opens_for_the_planner_alone() {
        let key = OutputKey::generate().expect("randomness");
        let note = sealed(&key);
        assert_eq!(note.ciphertext.0.len(), 6 + TAG);
        assert_eq!(open(&key, &note, "transport").expect("opened").as_slice(), b"shares");
        assert_ne!(sealed(&key), note, "sealing is randomised");
        assert_eq!(open(&key, &note, "transport").expect("opened").as_slice(), b"shares");
        let other = OutputKey::generate().expect("randomness");
        assert_eq!(open(&other, &note, "transport"), Err(SealError::Open));
    }

    #[test]
    fn nothing_opens_in_another_context_or_changed() {
        let key = OutputKey::generate().expect("randomness");
        let note = sealed(&key);
        let other = Hash([9; 32]);
        for changed in [
            Sealed { job: QueryId(other), ..note.clone() },
            Sealed { attempt: 2, ..note.clone() },
            Sealed { sid: other, ..note.clone() },
            Sealed { plan_hash: other, ..note.clone() },
            Sealed { encapsulated: Base64(vec![]), ..note.clone() },
        ] {
            assert_eq!(open(&key, &changed, "transport"), Err(SealError::Open));
        }
        assert_eq!(open(&key, &note, "energy"), Err(SealError::Open));
        for at in 0..note.ciphertext.0.len() {
            let mut changed = note.clone();
            changed.ciphertext.0[at] ^= 1;
            assert_eq!(open(&key, &changed, "transport"), Err(SealError::Open), "byte {at}");
            changed.ciphertext.0.truncate(at);
            assert_eq!(open(&key, &changed, "transport"), Err(SealError::Open), "cut to {at}");
        }
        for at in 0..32 {
            let mut changed = note.clone();
            changed.encapsulated.0[at] ^= 1;
            assert_eq!(open(&key, &changed, "transport"), Err(SealError::Open), "key byte {at}");
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
