//! The signed-note format itself, <https://c2sp.org/signed-note>: a text, a blank line, and a line for each signature.
//! Checkpoints and entries are such notes with several signatures; [`crate::note`] are those with exactly one.

use crate::key::{KeyKind, MAX_NAME, Signer, VerifierKey};
use crate::note::{NoteError, is_key_name};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The most signatures a note may carry. The format asks for 16 at least; 20 agencies cosign with two keys each.
pub const MAX_SIGNATURES: usize = 64;

pub(crate) const DASH: &str = "\u{2014} ";

/// A note taken apart; nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote<'a> {
    /// What is signed: everything up to and including the newline before the blank line.
    pub text: &'a str,
    /// Its signatures, as they stand; one at least.
    pub signatures: Vec<NoteSignature<'a>>,
}

/// One line under a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature<'a> {
    /// Whose key is said to have signed.
    pub name: &'a str,
    /// Which of that name's keys.
    pub id: [u8; 4],
    /// What the algorithm makes of it.
    pub bytes: Vec<u8>,
}

/// A signature that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Which of the keys given.
    pub key: usize,
    /// The time the cosigner states, in Unix seconds; none for a plain signature.
    pub time: Option<u64>,
}

impl<'a> SignedNote<'a> {
    /// Takes a note of at most `cap` bytes apart.
    ///
    /// # Errors
    /// It is longer, not framed as a note, or has too many signatures.
    pub fn parse(note: &'a str, cap: usize) -> Result<Self, NoteError> {
        let bad = NoteError::Framing;
        if note.len() > cap {
            return Err(NoteError::TooLong);
        }
        if note.bytes().any(|b| b < b' ' && b != b'\n') {
            return Err(bad("it holds a control character"));
        }
        let split = note.rfind("\n\n").ok_or(bad("no blank line parts its text from its signature"))?;
        let (text, signatures) = (&note[..split + 1], &note[split + 2..]);
        Ok(Self { text, signatures: parse_signatures(signatures)? })
    }

    /// Which of `keys` signed. Signatures by others are passed over, as the format wants.
    ///
    /// # Errors
    /// A signature that names one of the keys does not verify.
    pub fn verify(&self, keys: &[&VerifierKey]) -> Result<Vec<Verified>, NoteError> {
        let mut verified = Vec::new();
        for signature in &self.signatures {
            for (at, key) in keys.iter().enumerate() {
                if signature.name == key.name() && signature.id == key.id() {
                    verified.push(Verified { key: at, time: signature.check(self.text, key)? });
                }
            }
        }
        Ok(verified)
    }
}

impl NoteSignature<'_> {
    /// The time stated, if `key` made this signature over `text`.
    pub(crate) fn check(&self, text: &str, key: &VerifierKey) -> Result<Option<u64>, NoteError> {
        let wrong = || NoteError::Signature { name: key.name().into() };
        match key.kind() {
            KeyKind::Note => {
                let signature: &[u8; 64] = self.bytes.as_slice().try_into().map_err(|_| wrong())?;
                key.verifies(text.as_bytes(), signature).then_some(None).ok_or_else(wrong)
            }
            KeyKind::Cosignature => {
                let (time, signature) = self.bytes.split_first_chunk().ok_or_else(wrong)?;
                let signature: &[u8; 64] = signature.try_into().map_err(|_| wrong())?;
                let time = u64::from_be_bytes(*time);
                let honest = time <= i64::MAX as u64 && key.verifies(cosigned(text, time).as_bytes(), signature);
                honest.then_some(Some(time)).ok_or_else(wrong)
            }
        }
    }

    /// The line as it stands under a note, without its newline.
    pub fn line(&self) -> String {
        let mut bytes = self.id.to_vec();
        bytes.extend(&self.bytes);
        format!("{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// Signature lines on their own, as a witness answers with: one at least, each ended by a newline.
///
/// # Errors
/// They are not framed as signature lines, or too many.
pub fn parse_signatures(lines: &str) -> Result<Vec<NoteSignature<'_>>, NoteError> {
    let bad = NoteError::Framing;
    let lines = lines.strip_suffix('\n').ok_or(bad("its last line does not end"))?;
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        if signatures.len() == MAX_SIGNATURES {
            return Err(bad("it has more than 64 signatures"));
        }
        let line = line.strip_prefix(DASH).ok_or(bad("a signature line does not begin with a dash"))?;
        let (name, encoded) = line.split_once(' ').ok_or(bad("a signature line has no name"))?;
        if !is_key_name(name) || name.len() > MAX_NAME {
            return Err(bad("a signer's name is empty, too long, or holds a space or `+`"));
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| bad("a signature is not base64"))?;
        let (id, bytes) = bytes.split_first_chunk().ok_or(bad("a signature is too short"))?;
        signatures.push(NoteSignature { name, id: *id, bytes: bytes.to_vec() });
    }
    Ok(signatures)
}

/// The line by which `signer`, called `name`, signs the text of a note.
///
/// # Errors
/// The name is not one a note allows.
pub fn sign_line(text: &str, name: &str, signer: &(impl Signer + ?Sized)) -> Result<String, NoteError> {
    let key = named(name, KeyKind::Note, signer)?;
    Ok(NoteSignature { name, id: key.id(), bytes: signer.sign(text.as_bytes()).to_vec() }.line())
}

/// The line by which `signer`, called `name`, cosigns the text of a checkpoint at `time` (Unix seconds):
/// <https://c2sp.org/tlog-cosignature>, version 1.
///
/// # Errors
/// The name is not one a note allows, or the time is beyond 2^63.
pub fn cosign_line(text: &str, name: &str, signer: &(impl Signer + ?Sized), time: u64) -> Result<String, NoteError> {
    let key = named(name, KeyKind::Cosignature, signer)?;
    if time > i64::MAX as u64 {
        return Err(NoteError::Framing("its time is beyond what a cosignature can state"));
    }
    let mut bytes = time.to_be_bytes().to_vec();
    bytes.extend(signer.sign(cosigned(text, time).as_bytes()));
    Ok(NoteSignature { name, id: key.id(), bytes }.line())
}

fn named(name: &str, kind: KeyKind, signer: &(impl Signer + ?Sized)) -> Result<VerifierKey, NoteError> {
    VerifierKey::new(name, kind, signer.public()).map_err(|_| NoteError::Framing("the signer's name is empty or holds a space or `+`"))
}

fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}
