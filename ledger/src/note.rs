//! Signed notes, as <https://c2sp.org/signed-note> has them, with an Ed25519 signature each. The text of ours is two
//! lines: `tacit/<kind>/v1`, which separates one kind of statement from every other, and one line of canonical JSON.
//!
//! A note of ours has exactly one signature and exactly one spelling, so that its hash can stand for it.

use crate::json::{self, JsonError};
use crate::key::{KeyKind, Signer, VerifierKey};
use crate::signed::{self, SignedNote};
use ed25519_dalek::VerifyingKey;
use serde::{Serialize, de::DeserializeOwned};

/// The longest note anyone signs or opens.
pub const MAX_NOTE: usize = 768 * 1024;

/// Signs `body` as a statement of `kind` by the key called `name`.
///
/// # Errors
/// The body has no canonical JSON (a fraction, an integer over 53 bits), the note would be longer than [`MAX_NOTE`], or
/// kind or name are not words a note allows.
pub fn sign(kind: &str, name: &str, key: &impl Signer, body: &impl Serialize) -> Result<String, NoteError> {
    if !is_kind(kind) {
        return Err(NoteError::Framing("its kind is not a word of small letters, digits and `-`"));
    }
    let text = format!("{}\n{}\n", header(kind), json::to_canonical(body)?);
    let note = format!("{text}\n{}\n", signed::sign_line(&text, name, key)?);
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
    if note.signature.name != name {
        return Err(NoteError::Signer { expected: name.into() });
    }
    let key = VerifierKey::new(name, KeyKind::Note, *key).map_err(|_| NoteError::Key { name: name.into() })?;
    if note.signature.id != key.id() {
        return Err(NoteError::Key { name: name.into() });
    }
    note.signature.check(note.text, &key)?;
    let body = json::parse_canonical(note.body)?;
    serde_json::from_value(body).map_err(|error| NoteError::Body(describe(&error)))
}

/// Whose key a note *says* it is signed by. Nothing is verified: it only tells which key to try.
///
/// # Errors
/// The text is not framed as a note.
pub fn signer(note: &str) -> Result<&str, NoteError> {
    Framed::parse(note).map(|note| note.signature.name)
}

/// Which kind a note *says* it is of. Nothing is verified.
///
/// # Errors
/// The text is not framed as a note of ours.
pub fn kind(note: &str) -> Result<&str, NoteError> {
    kind_of(Framed::parse(note)?.header)
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

/// A note of ours taken apart; nothing verified.
struct Framed<'a> {
    text: &'a str,
    header: &'a str,
    body: &'a str,
    signature: signed::NoteSignature<'a>,
}

impl<'a> Framed<'a> {
    fn parse(note: &'a str) -> Result<Self, NoteError> {
        let SignedNote { text, signatures } = SignedNote::parse(note, MAX_NOTE)?;
        let [signature] = <[_; 1]>::try_from(signatures).map_err(|_| NoteError::Framing("it has more than one signature"))?;
        let (header, body) = two_lines(text)?;
        Ok(Self { text, header, body, signature })
    }
}

/// Header and body of a text of ours.
pub(crate) fn two_lines(text: &str) -> Result<(&str, &str), NoteError> {
    let lines = text.strip_suffix('\n').and_then(|text| text.split_once('\n'));
    lines.filter(|(_, body)| !body.contains('\n')).ok_or(NoteError::Framing("its text is not two lines"))
}

/// The kind a header states.
pub(crate) fn kind_of(header: &str) -> Result<&str, NoteError> {
    let kind = header.strip_prefix("tacit/").and_then(|rest| rest.strip_suffix("/v1"));
    kind.filter(|kind| is_kind(kind)).ok_or(NoteError::Framing("its first line is not `tacit/<kind>/v1`"))
}

pub(crate) fn header(kind: &str) -> String {
    format!("tacit/{kind}/v1")
}

fn is_kind(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// What serde says, without the value it says it about.
pub(crate) fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.starts_with("invalid type") || text.starts_with("invalid value") {
        true => "a field has another type or an illegal value".into(),
        false => text.chars().take(200).collect(),
    }
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
