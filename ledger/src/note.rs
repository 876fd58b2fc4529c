//! Signed notes, as <https://c2sp.org/signed-note> has them, with an Ed25519 signature each. The text of ours is two
//! lines: `tacit/<kind>/v1`, which separates one kind of statement from every other, and one line of canonical JSON.
//!
//! A note of ours has exactly one signature and exactly one spelling, so that its hash can stand for it.

use crate::json::{self, JsonError};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

/// The longest note anyone signs or opens.
pub const MAX_NOTE: usize = 768 * 1024;

/// Signs `body` as a statement of `kind` by the key called `name`.
///
/// # Errors
/// The body has no canonical JSON (a fraction, an integer over 53 bits), the note would be longer than [`MAX_NOTE`], or
/// kind or name are not words a note allows.
pub fn sign(kind: &str, name: &str, key: &SigningKey, body: &impl Serialize) -> Result<String, NoteError> {
    if !is_kind(kind) {
        return Err(NoteError::Framing("its kind is not a word of small letters, digits and `-`"));
    }
    if !is_key_name(name) {
        return Err(NoteError::Framing("the signer's name is empty or holds a space or `+`"));
    }
    let text = format!("{}\n{}\n", header(kind), json::to_canonical(body)?);
    let mut signature = key_id(name, &key.verifying_key()).to_vec();
    signature.extend(key.sign(text.as_bytes()).to_bytes());
    let note = format!("{text}\n{DASH}{name} {}\n", STANDARD.encode(signature));
    if note.len() > MAX_NOTE { Err(NoteError::TooLong) } else { Ok(note) }
}

/// Opens a note: it must be of this kind, by this name and key, canonical, and have not a byte more. Nothing of the body
/// is read before the signature has verified.
///
/// # Errors
/// The first of these that does not hold.
pub fn open<T: DeserializeOwned>(kind: &str, note: &str, name: &str, key: &VerifyingKey) -> Result<T, NoteError> {
    let note = Framed::parse(note)?;
    if note.header != header(kind) {
        return Err(NoteError::Kind { expected: kind.into() });
    }
    if note.name != name {
        return Err(NoteError::Signer { expected: name.into() });
    }
    if note.key_id != key_id(name, key) {
        return Err(NoteError::Key { name: name.into() });
    }
    let signature = Signature::from_bytes(&note.signature);
    key.verify_strict(note.text.as_bytes(), &signature).map_err(|_| NoteError::Signature { name: name.into() })?;
    let body = json::parse_canonical(note.body)?;
    serde_json::from_value(body).map_err(|error| NoteError::Body(describe(&error)))
}

/// Whose key a note *says* it is signed by. Nothing is verified: it only tells which key to try.
///
/// # Errors
/// The text is not framed as a note.
pub fn signer(note: &str) -> Result<&str, NoteError> {
    Framed::parse(note).map(|note| note.name)
}

/// Which kind a note *says* it is of. Nothing is verified.
///
/// # Errors
/// The text is not framed as a note of ours.
pub fn kind(note: &str) -> Result<&str, NoteError> {
    let header = Framed::parse(note)?.header;
    let kind = header.strip_prefix("tacit/").and_then(|rest| rest.strip_suffix("/v1"));
    kind.filter(|kind| is_kind(kind)).ok_or(NoteError::Framing("its first line is not `tacit/<kind>/v1`"))
}

/// The four bytes by which a note names a key.
pub fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key.as_bytes()).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A key in the format's own text form, `name+id+base64`, for other tools that verify notes.
pub fn verifier_key(name: &str, key: &VerifyingKey) -> String {
    let mut bytes = vec![ED25519];
    bytes.extend(key.as_bytes());
    format!("{name}+{:08x}+{}", u32::from_be_bytes(key_id(name, key)), STANDARD.encode(bytes))
}

/// Why a note was not signed or not accepted. Nothing here quotes the note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Longer than any note.
    #[error("the note is longer than {MAX_NOTE} bytes")]
    TooLong,
    /// Not framed as a note.
    #[error("not a signed note: {0}")]
    Framing(&'static str),
    /// A statement of another kind.
    #[error("not a note of the kind `{expected}`")]
    Kind {
        /// The kind that was wanted.
        expected: String,
    },
    /// Signed under another name.
    #[error("the note is not signed by `{expected}`")]
    Signer {
        /// Who should have signed.
        expected: String,
    },
    /// Signed with another key of the same name.
    #[error("the note is signed with another key than the roster has for `{name}`")]
    Key {
        /// Whose key.
        name: String,
    },
    /// The signature does not verify.
    #[error("the signature of `{name}` does not verify: the note was changed after it was signed")]
    Signature {
        /// Who is said to have signed.
        name: String,
    },
    /// The body is not canonical JSON.
    #[error("the note's body is refused: {0}")]
    Json(#[from] JsonError),
    /// The body does not have the fields of its kind.
    #[error("the note's body is refused: {0}")]
    Body(String),
}

/// The algorithm byte of the format.
const ED25519: u8 = 1;
const DASH: &str = "\u{2014} ";

/// A note taken apart; nothing verified.
struct Framed<'a> {
    /// What is signed: everything up to and including the newline before the blank line.
    text: &'a str,
    header: &'a str,
    body: &'a str,
    name: &'a str,
    key_id: [u8; 4],
    signature: [u8; 64],
}

impl<'a> Framed<'a> {
    fn parse(note: &'a str) -> Result<Self, NoteError> {
        let bad = NoteError::Framing;
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        if note.bytes().any(|b| b < b' ' && b != b'\n') {
            return Err(bad("it holds a control character"));
        }
        let split = note.rfind("\n\n").ok_or(bad("no blank line parts its text from its signature"))?;
        let (text, signatures) = (&note[..split + 1], &note[split + 2..]);
        let line = signatures.strip_suffix('\n').ok_or(bad("its last line does not end"))?;
        if line.contains('\n') {
            return Err(bad("it has more than one signature"));
        }
        let line = line.strip_prefix(DASH).ok_or(bad("its signature line does not begin with a dash"))?;
        let (name, encoded) = line.split_once(' ').ok_or(bad("its signature line has no name"))?;
        if !is_key_name(name) {
            return Err(bad("the signer's name is empty or holds a space or `+`"));
        }
        let signature = STANDARD.decode(encoded).map_err(|_| bad("its signature is not base64"))?;
        let (key_id, signature) = signature.split_first_chunk().ok_or(bad("its signature is too short"))?;
        let signature: &[u8; 64] = signature.try_into().map_err(|_| bad("its signature is not 64 bytes long"))?;
        let lines = text.strip_suffix('\n').and_then(|text| text.split_once('\n'));
        let (header, body) = lines.filter(|(_, body)| !body.contains('\n')).ok_or(bad("its text is not two lines"))?;
        Ok(Self { text, header, body, name, key_id: *key_id, signature: *signature })
    }
}

fn header(kind: &str) -> String {
    format!("tacit/{kind}/v1")
}

fn is_kind(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// What serde says, without the value it says it about.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.starts_with("invalid type") || text.starts_with("invalid value") {
        true => "a field has another type or an illegal value".into(),
        false => text.chars().take(200).collect(),
    }
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
