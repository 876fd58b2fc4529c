//! Keys as notes name them: a name, what the key signs, and the public half, in the format's text form
//! `name+id+base64` ("vkey", <https://c2sp.org/signed-note#verifier-keys>).

use crate::note::is_key_name;
use base64::{Engine as _, engine::general_purpose::STANDARD};
pub use ed25519_dalek::VerifyingKey;
use ed25519_dalek::{Signature, SigningKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Something that signs with one Ed25519 key. A node implements it over its own key type, which knows how to keep the
/// key off the stack; the room itself never holds a secret key.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public(&self) -> VerifyingKey;

    /// An Ed25519 signature over `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

impl Signer for SigningKey {
    fn public(&self) -> VerifyingKey {
        self.verifying_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        ed25519_dalek::Signer::sign(self, message).to_bytes()
    }
}

impl<S: Signer + ?Sized> Signer for Box<S> {
    fn public(&self) -> VerifyingKey {
        (**self).public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        (**self).sign(message)
    }
}

/// What a key signs, as the format's algorithm byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The text of a note (0x01): entries, and a log's own checkpoints.
    Note = 1,
    /// A checkpoint with a time before it (0x04): cosignature/v1.
    Cosignature = 4,
}

/// The longest name of a key, in bytes.
pub const MAX_NAME: usize = 255;

/// A named public key that verifies one kind of signature.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: VerifyingKey,
    id: [u8; 4],
}

impl VerifierKey {
    /// The key called `name`.
    ///
    /// # Errors
    /// The name is not one a note allows, or the key is of small order.
    pub fn new(name: &str, kind: KeyKind, key: VerifyingKey) -> Result<Self, BadKey> {
        if !is_key_name(name) || name.len() > MAX_NAME {
            return Err(BadKey("its name is empty, longer than 255 bytes, or holds a space or `+`"));
        }
        if key.is_weak() {
            return Err(BadKey("it is a point of small order"));
        }
        let id = key_id(name, kind, &key);
        Ok(Self { name: name.into(), kind, key, id })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key itself.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The four bytes by which a note names it.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether `signature` is this key's over `message`, strictly: no small-order point, no malleable encoding.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// The four bytes by which a note names a key.
pub(crate) fn key_id(name: &str, kind: KeyKind, key: &VerifyingKey) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', kind as u8]).chain_update(key.as_bytes()).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.kind as u8];
        bytes.extend(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(bytes))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        if text.len() > MAX_NAME + 64 {
            return Err(BadKey("it is too long"));
        }
        // The base64 part may hold `+` too, so the text is taken apart from the left.
        let (name, rest) = text.split_once('+').ok_or(BadKey("it is not `name+id+key`"))?;
        let (id, encoded) = rest.split_once('+').ok_or(BadKey("it is not `name+id+key`"))?;
        let bytes = STANDARD.decode(encoded).map_err(|_| BadKey("its last part is not base64"))?;
        let (kind, bytes) = bytes.split_first().ok_or(BadKey("its last part is empty"))?;
        let kind = match kind {
            1 => KeyKind::Note,
            4 => KeyKind::Cosignature,
            _ => return Err(BadKey("it is neither an Ed25519 key nor a cosignature/v1 key")),
        };
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| BadKey("its key is not 32 bytes long"))?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| BadKey("its key is not a point of the curve"))?;
        let key = Self::new(name, kind, key)?;
        if id != format!("{:08x}", u32::from_be_bytes(key.id)) {
            return Err(BadKey("its id is not that of its name and key"));
        }
        Ok(key)
    }
}

impl Serialize for VerifierKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifierKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why some text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key in the form `name+id+base64`: {0}")]
pub struct BadKey(&'static str);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_read_as_other_implementations_write_them() {
        // Go's golang.org/x/mod/sumdb/note, Go's checksum database.
        for vkey in [
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        ] {
            assert_eq!(vkey.parse::<VerifierKey>().expect("a key").to_string(), vkey);
        }
    }

    #[test]
    fn one_key_has_another_id_for_each_name_and_kind() {
        let public = SigningKey::from_bytes(&[7; 32]).verifying_key();
        let key = |name, kind| VerifierKey::new(name, kind, public).expect("a key");
        let note = key("energy", KeyKind::Note);
        assert_ne!(note.id(), key("energy", KeyKind::Cosignature).id());
        assert_ne!(note.id(), key("health", KeyKind::Note).id());
        let text = note.to_string();
        assert!(text.replace("energy", "health").parse::<VerifierKey>().is_err(), "an id of another name");
        assert!(text.to_uppercase().parse::<VerifierKey>().is_err());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(VerifierKey::new("a b", KeyKind::Note, SigningKey::from_bytes(&[7; 32]).verifying_key()).is_err());
        let identity = VerifyingKey::from_bytes(&{
            let mut bytes = [0; 32];
            bytes[0] = 1;
            bytes
        });
        assert!(VerifierKey::new("a", KeyKind::Note, identity.expect("the neutral point")).is_err());
        for bad in ["", "a", "a+b", "a+00000000+", "a+00000000+AQ==", "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,80}", name in "[a-z+ ]{0,5}", id in "[0-9a-f]{7,9}", key in "[A-Za-z0-9+/]{0,60}={0,2}") {
            let _ = text.parse::<VerifierKey>();
            let _ = format!("{name}+{id}+{key}").parse::<VerifierKey>();
        }
    }
}
