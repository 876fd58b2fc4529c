//! Who a node or a planner is: an Ed25519 key pair. The same key signs notes and terminates TLS, and the roster pins
//! its public half, so that there is one thing to compare and nothing to certify.

use crate::file::{self, Kind};
use crate::stack;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// An Ed25519 key pair. It has no `Debug` and no `Clone`, and its memory is wiped when it is dropped. The key is on the heap, so that moving the
/// identity leaves no copy.
pub struct Identity {
    key: Box<SigningKey>,
    public: PublicKey,
}

impl Identity {
    /// A fresh identity from the operating system's randomness.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(seed.as_mut()).map_err(|e| IdentityError::Randomness(e.to_string()))?;
        Ok(Self::from_seed(&seed))
    }

    /// The identity of a given secret seed: for key files and seeded tests.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = stack::wiped(|| Box::new(SigningKey::from_bytes(seed)));
        let public = PublicKey(key.verifying_key().to_bytes());
        Self { key, public }
    }

    /// Reads a key file written by [`Identity::save`] (PKCS#8 PEM, so `openssl pkey` reads it too).
    ///
    /// # Errors
    /// The file cannot be read, is open to other users of this machine, or is not an Ed25519 key.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        let io = |error: std::io::Error| IdentityError::Io { path: path.into(), error };
        let file = std::fs::File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        let mut text = Zeroizing::new(Vec::with_capacity(KEY_FILE_CAP + 1));
        file.take(KEY_FILE_CAP as u64 + 1).read_to_end(&mut text).map_err(io)?;
        // Asked of the open file, not of the path: nothing can be swapped in between. What is no key at all need not be closed to others.
        if text.windows(BEGIN.len()).any(|part| part == BEGIN.as_bytes()) {
            check_private(path, &metadata)?;
        }
        stack::wiped(|| decode_pem(&text).map(|seed| Self::from_seed(&seed)))
            .map_err(|what| IdentityError::Format { path: path.into(), what })
    }

    /// Writes the key file with mode 0600. An existing file is never overwritten: a lost identity cannot be had back.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), IdentityError> {
        let path = path.as_ref();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => IdentityError::Exists(path.into()),
            _ => IdentityError::Io { path: path.into(), error },
        })?;
        let text = stack::wiped(|| encode_pem(self));
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| IdentityError::Io { path: path.into(), error })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// An Ed25519 signature over `message`. Callers separate domains: every message we sign begins with its kind.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        stack::wiped(|| self.key.sign(message).to_bytes())
    }

    /// The key itself, for the two places that need it: signed notes and the TLS handshake.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }
}

/// An Ed25519 public key, checked to be a point of the curve and not of small order. Its text form is `ed25519:<base64>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key with these 32 bytes.
    ///
    /// # Errors
    /// The bytes are not a point of the curve, or one of small order (for which signatures mean nothing).
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BadPublicKey> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| BadPublicKey("they are not a point of the curve"))?;
        if key.is_weak() {
            return Err(BadPublicKey("they are a point of small order"));
        }
        Ok(Self(*bytes))
    }

    /// Its 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Its 32 bytes, borrowed.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key as `ed25519-dalek` has it, for signed notes.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::from_bytes(&self.0).expect("a point of the curve: checked when the key was made")
    }

    /// Checks a signature strictly: no small-order point, no malleable encoding.
    ///
    /// # Errors
    /// The signature is not this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        self.verifying_key().verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = BadPublicKey;

    fn from_str(text: &str) -> Result<Self, BadPublicKey> {
        let encoded = text.strip_prefix(PREFIX).ok_or(BadPublicKey("it does not begin with `ed25519:`"))?;
        let bytes = BASE64.decode(encoded).map_err(|_| BadPublicKey("what follows `ed25519:` is not base64"))?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| BadPublicKey("it is not 32 bytes long"))?;
        Self::from_bytes(&bytes)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why some text or bytes are not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key: {0}; a public key reads `ed25519:` and 44 characters of base64")]
pub struct BadPublicKey(&'static str);

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// Why an identity could not be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file system said no.
    #[error("the key file {}: {}", path.display(), file::unreadable(error, Kind::Key))]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the file system said.
        error: std::io::Error,
    },
    /// The key file would have been overwritten.
    #[error("the key file {} exists already and is not overwritten; move it away first if a new identity is meant", .0.display())]
    Exists(PathBuf),
    /// Others can read the key file.
    #[error("the key file {} is open to other users (mode {mode:04o}); close it with `chmod 600 {}`", path.display(), path.display())]
    Permissions {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key file.
    #[error("the key file {} is not an Ed25519 private key in PEM: {what}", path.display())]
    Format {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it; constant text.
        what: &'static str,
    },
    /// No randomness.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(String),
}

const PREFIX: &str = "ed25519:";
const KEY_FILE_CAP: usize = 4096;
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// PKCS#8 of an Ed25519 key (RFC 8410, section 7) up to its 32 bytes of seed.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

fn encode_pem(identity: &Identity) -> Zeroizing<String> {
    let mut der = Zeroizing::new([0u8; 48]);
    der[..16].copy_from_slice(&PKCS8);
    der[16..].copy_from_slice(identity.key.as_bytes());
    let mut body = Zeroizing::new([0u8; 64]);
    let length = BASE64.encode_slice(der.as_ref(), body.as_mut()).expect("48 bytes are 64 characters");
    let body = std::str::from_utf8(&body[..length]).expect("base64 is ASCII");
    // Sized up front: a growing string would leave copies of the seed behind.
    let mut text = Zeroizing::new(String::with_capacity(512));
    for part in ["# tacit identity ", &identity.public.to_string(), "\n", BEGIN, "\n", body, "\n", END, "\n"] {
        text.push_str(part);
    }
    text
}

fn decode_pem(text: &[u8]) -> Result<Zeroizing<[u8; 32]>, &'static str> {
    if text.len() > KEY_FILE_CAP {
        return Err("it is far too long");
    }
    let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
    let (_, rest) = text.split_once(BEGIN).ok_or("there is no `-----BEGIN PRIVATE KEY-----` line; check the path")?;
    let (body, _) = rest.split_once(END).ok_or("there is no `-----END PRIVATE KEY-----` line")?;
    let mut line = Zeroizing::new(String::with_capacity(body.len()));
    line.extend(body.chars().filter(|c| !c.is_ascii_whitespace()));
    let der = Zeroizing::new(BASE64.decode(line.as_bytes()).map_err(|_| "its body is not base64")?);
    let seed = der.strip_prefix(&PKCS8).ok_or("it is a key of another kind (PKCS#8 version 1 is meant)")?;
    let seed: &[u8; 32] = seed.try_into().map_err(|_| "its seed is not 32 bytes long")?;
    Ok(Zeroizing::new(*seed))
}

#[cfg(unix)]
fn check_private(path: &Path, metadata: &std::fs::Metadata) -> Result<(), IdentityError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(IdentityError::Permissions { path: path.into(), mode }),
    }
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &std::fs::Metadata) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    const SEED: [u8; 32] = [
        0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab,
        0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb,
    ];

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("tacit-identity-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a scratch folder");
        dir
    }

    #[test]
    fn known_answer_of_rfc_8032() {
        let identity = Identity::from_seed(&SEED);
        let hex: String = identity.public().to_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = identity.sign(&[0x72]);
        assert_eq!(signature[..4], [0x92, 0xa0, 0x09, 0xa9]);
        assert_eq!(identity.public().verify(&[0x72], &signature), Ok(()));
        assert_eq!(identity.public().verify(&[0x73], &signature), Err(BadSignature));
        assert_eq!(identity.public().verify(&[0x72], &signature[..63]), Err(BadSignature));
    }

    #[test]
    fn public_keys_round_trip_as_text() {
        let key = Identity::generate().expect("randomness").public();
        assert_eq!(key.to_string().parse::<PublicKey>(), Ok(key));
        assert_eq!(format!("{key:?}"), key.to_string());
        for bad in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", "ed25519:????", &format!("{key}=")] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn small_order_keys_are_refused() {
        let mut identity_point = [0u8; 32];
        identity_point[0] = 1;
        for bytes in [[0u8; 32], identity_point] {
            let error = PublicKey::from_bytes(&bytes).expect_err("small order");
            assert!(error.to_string().contains("small order"), "{error}");
        }
    }

    #[test]
    fn key_files_round_trip_and_are_never_overwritten() {
        let dir = scratch("round-trip");
        let path = dir.join("node.key");
        let identity = Identity::generate().expect("randomness");
        identity.save(&path).expect("saved");
        assert_eq!(Identity::load(&path).expect("loaded").public(), identity.public());
        let error = Identity::from_seed(&SEED).save(&path).expect_err("it exists");
        assert!(matches!(error, IdentityError::Exists(_)), "{error}");
        assert_eq!(Identity::load(&path).expect("still there").public(), identity.public());
        std::fs::remove_dir_all(dir).expect("cleaned up");
    }

    #[cfg(unix)]
    #[test]
    fn key_files_open_to_others_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = scratch("permissions");
        let path = dir.join("node.key");
        Identity::from_seed(&SEED).save(&path).expect("saved");
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        for open in [0o640, 0o604, 0o644, 0o666] {
            mode(open);
            let error = Identity::load(&path).map(|_| ()).expect_err("open to others").to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
        mode(0o400);
        assert!(Identity::load(&path).is_ok());
        std::fs::remove_dir_all(dir).expect("cleaned up");
    }

    #[test]
    fn what_is_not_a_key_file_is_named_and_never_quoted() {
        let pem = encode_pem(&Identity::from_seed(&SEED));
        for length in 0..pem.len() - END.len() - 1 {
            assert!(decode_pem(&pem.as_bytes()[..length]).is_err(), "{length}");
        }
        assert_eq!(*decode_pem(pem.as_bytes()).expect("whole"), SEED);
        for bad in [&b"\xff\xfe"[..], b"", &[b'A'; KEY_FILE_CAP + 1], b"-----BEGIN PRIVATE KEY-----AAAA-----END PRIVATE KEY-----"] {
            assert!(decode_pem(bad).is_err());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_key_is_in_memory_once_and_then_not_at_all() {
        use crate::memory::{Masked, deep};
        /// SHA-256 of "an identity only this test has", and the two halves of the SHA-512 of that, the first clamped: all in complement.
        const SECRETS: [Masked; 3] = [
            Masked::complement([
                0x92, 0xcb, 0x02, 0x6e, 0x01, 0xad, 0xce, 0xce, 0x65, 0x32, 0x24, 0x56, 0x1e, 0xbd, 0x43, 0x64, 0xe3, 0x13, 0xe2, 0x7b,
                0x58, 0x6f, 0x4c, 0x12, 0xa2, 0xb2, 0x0a, 0xfb, 0xa6, 0x76, 0x9f, 0xb8,
            ]),
            Masked::complement([
                0x97, 0x11, 0xa2, 0xa1, 0xbf, 0x2e, 0x94, 0xdf, 0x65, 0x81, 0xaa, 0x1a, 0x42, 0x7c, 0x9d, 0xe2, 0x29, 0x51, 0x81, 0xec,
                0xd4, 0xea, 0x4e, 0x7c, 0x1a, 0x4c, 0x02, 0xa0, 0xc8, 0x62, 0x08, 0xae,
            ]),
            Masked::complement([
                0xe0, 0x93, 0xd1, 0x5e, 0x62, 0x4c, 0xd7, 0x18, 0xef, 0x65, 0x8d, 0x10, 0x09, 0x30, 0xca, 0x5b, 0x52, 0xf5, 0x91, 0xa3,
                0x3f, 0x01, 0x44, 0x24, 0x48, 0x01, 0x9d, 0xcf, 0xc6, 0x5a, 0xc0, 0x7b,
            ]),
        ];
        let copies = || SECRETS.each_ref().map(Masked::copies);
        let mut seed: Box<Zeroizing<[u8; 32]>> = Box::default();
        SECRETS[0].reveal(&mut seed);
        let identity = deep(|| Identity::from_seed(&seed));
        drop(seed);
        let (moved, dir) = (Some(identity), scratch("once"));
        let identity = moved.expect("it was moved there");
        assert_eq!(copies(), [1, 0, 0]);
        deep(|| identity.sign(b"message"));
        deep(|| identity.save(dir.join("node.key")).expect("saved"));
        assert_eq!(copies(), [1, 0, 0], "after signing and saving");
        drop(identity);
        assert_eq!(copies(), [0, 0, 0]);
        let loaded = deep(|| Identity::load(dir.join("node.key")).expect("loaded"));
        assert_eq!(copies(), [1, 0, 0], "after loading");
        drop(loaded);
        assert_eq!(copies(), [0, 0, 0]);
        std::fs::remove_dir_all(dir).expect("cleaned up");
    }
}
