//! Checkpoints: a log's signed statement of its size and root, <https://c2sp.org/tlog-checkpoint>, and the cosignatures
//! under it, <https://c2sp.org/tlog-cosignature>.

use crate::bytes::Hash;
use crate::key::{MAX_NAME, Signer, VerifierKey};
use crate::note::NoteError;
use crate::signed::{self, NoteSignature, SignedNote, Verified};
use crate::tile::decimal;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fmt;

/// The longest checkpoint: three lines and [`signed::MAX_SIGNATURES`] signatures.
pub const MAX_CHECKPOINT: usize = 32 * 1024;

/// How far a log is: its origin, its size and its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log's name.
    pub origin: String,
    /// Its number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Head {
    /// Reads the text of a checkpoint. Extension lines, which the specification advises against, are refused: nobody
    /// here could say what they mean.
    ///
    /// # Errors
    /// The text is not of that form.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let bad = NoteError::Framing;
        let lines = text.strip_suffix('\n').map(|text| text.split('\n').collect::<Vec<_>>());
        let Some([origin, size, root]) = lines.as_deref() else {
            return Err(bad("a checkpoint's text is three lines: origin, size, root"));
        };
        if origin.is_empty() || origin.len() > MAX_NAME {
            return Err(bad("a checkpoint's origin has 1 to 255 bytes"));
        }
        let size = decimal(size).ok_or(bad("a checkpoint's size is a decimal number"))?;
        Ok(Self { origin: (*origin).into(), size, root: parse_hash(root).ok_or(bad("a checkpoint's root is 32 bytes in base64"))? })
    }

    /// The checkpoint of this head, signed by the log. The log's key bears the origin as its name.
    ///
    /// # Errors
    /// The origin is not a name a note allows.
    pub fn sign(&self, signer: &(impl Signer + ?Sized)) -> Result<Checkpoint, NoteError> {
        let text = self.to_string();
        let line = signed::sign_line(&text, &self.origin, signer)?;
        Checkpoint::parse(&format!("{text}\n{line}\n"))
    }

    /// A cosigner's line under this head's checkpoint.
    ///
    /// # Errors
    /// The name is not one a note allows.
    pub fn cosign(&self, name: &str, signer: &(impl Signer + ?Sized), time: u64) -> Result<String, NoteError> {
        signed::cosign_line(&self.to_string(), name, signer, time)
    }
}

/// The text of the checkpoint.
impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.0))
    }
}

/// 32 bytes in base64, in their one spelling.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    let text = Some(text).filter(|text| text.len() == 44)?;
    STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
}

/// A head with the signatures under it; they are verified by whoever knows the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    head: Head,
    note: String,
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// It is too long, not a note, or its text not that of a checkpoint.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let head = Head::parse(SignedNote::parse(note, MAX_CHECKPOINT)?.text)?;
        Ok(Self { head, note: note.into() })
    }

    /// What is stated.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The whole note.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Which of `keys` signed or cosigned.
    ///
    /// # Errors
    /// A signature that names one of the keys does not verify.
    pub fn verify(&self, keys: &[&VerifierKey]) -> Result<Vec<Verified>, NoteError> {
        SignedNote::parse(&self.note, MAX_CHECKPOINT)?.verify(keys)
    }

    /// Whether the log's own key signed.
    ///
    /// # Errors
    /// It did not, its signature does not verify, or the key bears another name than the origin.
    pub fn verify_log(&self, log: &VerifierKey) -> Result<(), NoteError> {
        let wrong = || NoteError::Signer { expected: log.name().into() };
        let signed = log.name() == self.head.origin && !self.verify(&[log])?.is_empty();
        signed.then_some(()).ok_or_else(wrong)
    }

    /// The checkpoint with these lines under it instead of all that were there but the log's own.
    pub(crate) fn with_only<'a>(&self, log: &VerifierKey, lines: impl Iterator<Item = &'a str>) -> Result<Self, NoteError> {
        let own = |s: &NoteSignature| s.name == log.name() && s.id == log.id();
        let note = SignedNote::parse(&self.note, MAX_CHECKPOINT)?;
        let line = note.signatures.iter().find(|s| own(s)).ok_or(NoteError::Signer { expected: log.name().into() })?;
        let mut text = format!("{}\n{}\n", note.text, line.line());
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyKind;
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    fn head() -> Head {
        Head { origin: "city.example/ledger".into(), size: 7, root: Hash([9; 32]) }
    }

    fn key(seed: u8, name: &str, kind: KeyKind) -> (SigningKey, VerifierKey) {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        let public = VerifierKey::new(name, kind, signing.verifying_key()).expect("a key");
        (signing, public)
    }

    #[test]
    fn the_examples_of_the_specification_read() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let head = Head::parse(text).expect("a head");
        assert_eq!((head.size, head.to_string().as_str()), (20_852_163, text));
        let note = format!(
            "{text}\n\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
             \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
        );
        let note = SignedNote::parse(&note, MAX_CHECKPOINT).expect("a note");
        let cosignature = &note.signatures[1].bytes;
        assert_eq!((cosignature.len(), u64::from_be_bytes(cosignature[..8].try_into().expect("8"))), (72, 1_679_315_147));
    }

    #[test]
    fn the_log_and_its_cosigners_are_told_apart() {
        let (log, log_key) = key(1, "city.example/ledger", KeyKind::Note);
        let (witness, witness_key) = key(2, "energy/witness", KeyKind::Cosignature);
        let (_, stranger) = key(3, "energy/witness", KeyKind::Cosignature);
        let line = head().cosign("energy/witness", &witness, 1_800_000_000).expect("cosigned");
        let signed = head().sign(&log).expect("signed").with_only(&log_key, [line.as_str()].into_iter()).expect("whole");
        assert_eq!(signed.verify_log(&log_key), Ok(()));
        let seen = signed.verify(&[&stranger, &witness_key, &log_key]).expect("all verify");
        assert_eq!(seen, [Verified { key: 2, time: None }, Verified { key: 1, time: Some(1_800_000_000) }]);
        // A key of the right name and bytes, but of the other kind, is another key.
        let (_, wrong_kind) = key(2, "energy/witness", KeyKind::Note);
        assert_eq!(signed.verify(&[&wrong_kind]), Ok(vec![]));
        let (_, other_log) = key(1, "city.example/other", KeyKind::Note);
        assert!(signed.verify_log(&other_log).is_err());
    }

    #[test]
    fn a_cosignature_over_another_head_or_time_is_refused() {
        let (log, log_key) = key(1, "city.example/ledger", KeyKind::Note);
        let (witness, witness_key) = key(2, "energy/witness", KeyKind::Cosignature);
        let cosigned = |head: &Head, line: &str| {
            head.sign(&log).expect("signed").with_only(&log_key, [line].into_iter()).and_then(|c| c.verify(&[&witness_key]))
        };
        let line = head().cosign("energy/witness", &witness, 5).expect("cosigned");
        assert!(cosigned(&head(), &line).is_ok());
        assert!(cosigned(&Head { size: 8, ..head() }, &line).is_err());
        let lines = format!("{line}\n");
        let mut bytes = signed::parse_signatures(&lines).expect("a line")[0].clone();
        bytes.bytes[7] ^= 1;
        assert!(cosigned(&head(), &bytes.line()).is_err(), "another time");
        assert!(head().cosign("energy/witness", &witness, 1 << 63).is_err());
    }

    #[test]
    fn many_signatures_are_read_and_too_many_refused() {
        let (log, log_key) = key(1, "city.example/ledger", KeyKind::Note);
        let lines: Vec<String> =
            (0..64u8).map(|i| head().cosign(&format!("w{i}"), &SigningKey::from_bytes(&[i; 32]), 5).expect("cosigned")).collect();
        let with = |count| head().sign(&log).expect("signed").with_only(&log_key, lines[..count].iter().map(String::as_str));
        assert_eq!(with(63).expect("64 signatures").verify_log(&log_key), Ok(()));
        assert!(with(64).is_err());
    }

    #[test]
    fn other_texts_are_refused() {
        let root = STANDARD.encode([9; 32]);
        for text in [
            format!("o\n7\n{root}"),
            format!("\n7\n{root}\n"),
            format!("o\n07\n{root}\n"),
            format!("o\n+7\n{root}\n"),
            format!("o\n7\n{root}\nextension\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            "o\n7\nAAAA\n".into(),
            "o\n7\n".into(),
        ] {
            assert!(Head::parse(&text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}", size in "[0-9]{0,21}", root in "[A-Za-z0-9+/=]{40,46}", line in "(?s).{0,60}") {
            let _ = Checkpoint::parse(&text);
            let _ = Checkpoint::parse(&format!("o\n{size}\n{root}\n\n\u{2014} {line}\n"));
            let _ = signed::parse_signatures(&line);
            if let Ok(head) = Head::parse(&format!("o\n{size}\n{root}\n")) {
                prop_assert_eq!(Head::parse(&head.to_string()), Ok(head));
            }
        }
    }
}
