//! Receipts: that an entry is in the log, as one text that verifies offline, <https://c2sp.org/tlog-proof>.

use crate::bytes::{Base64, Hash};
use crate::checkpoint::{Checkpoint, Head, MAX_CHECKPOINT, parse_hash};
use crate::note::NoteError;
use crate::policy::{Policy, PolicyError, Window};
use crate::tile::decimal;
use crate::tree::{self, BadProof, MAX_PROOF};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fmt;
use std::str::FromStr;

/// An entry's place in a log, the Merkle path to a checkpoint, and that checkpoint with its cosignatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Anything beside; it is not authenticated.
    pub extra: Option<Base64>,
    /// The entry's place, counted from 0.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub proof: Vec<Hash>,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
}

impl Receipt {
    /// Checks that `entry` is in a log the policy believes, and says at which head.
    ///
    /// # Errors
    /// It is not, or not provably.
    pub fn verify(&self, entry: &[u8], policy: &Policy, window: Option<Window>) -> Result<Head, ReceiptError> {
        let head = policy.check(&self.checkpoint, window, &[])?;
        tree::verify_inclusion(&tree::leaf_hash(entry), self.index, head.size, &head.root, &self.proof)?;
        Ok(head)
    }
}

const FIRST: &str = "c2sp.org/tlog-proof@v1\n";
/// The most bytes beside a proof.
const MAX_EXTRA: usize = 64 * 1024;
/// The longest receipt, in bytes.
pub const MAX_RECEIPT: usize = 2 * MAX_EXTRA + MAX_CHECKPOINT + 4096;

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FIRST)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {extra}")?;
        }
        writeln!(f, "index {}", self.index)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.0)))?;
        write!(f, "\n{}", self.checkpoint.note())
    }
}

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        let bad = ReceiptError::Format;
        if text.len() > MAX_RECEIPT {
            return Err(bad("it is too long"));
        }
        let text = text.strip_prefix(FIRST).ok_or(bad("its first line is not `c2sp.org/tlog-proof@v1`"))?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(bad("no blank line parts its proof from its checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        let extra = lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let extra: Option<Base64> = extra.map(str::parse).transpose().map_err(|_| bad("its extra data are not base64"))?;
        if extra.as_ref().is_some_and(|extra| extra.0.len() > MAX_EXTRA) {
            return Err(bad("its extra data are longer than 64 KiB"));
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal).ok_or(bad("it has no index"))?;
        let proof = parse_proof(lines).ok_or(bad("its proof is not at most 63 hashes in base64"))?;
        Ok(Self { extra, index, proof, checkpoint: Checkpoint::parse(checkpoint)? })
    }
}

/// Hashes, one a line, [`MAX_PROOF`] at most.
pub(crate) fn parse_proof<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<Hash>> {
    let mut proof = Vec::new();
    for line in lines {
        proof.push(parse_hash(line).filter(|_| proof.len() < MAX_PROOF)?);
    }
    Some(proof)
}

/// Why a receipt is none, or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Not a receipt.
    #[error("not a tlog-proof: {0}")]
    Format(&'static str),
    /// Its checkpoint is none.
    #[error("not a tlog-proof: {0}")]
    Note(#[from] NoteError),
    /// Its checkpoint is not believed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The entry is another.
    #[error("{0}: the entry is not the one in the log at this place")]
    Proof(#[from] BadProof),
}

impl ReceiptError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) | Self::Note(_) => "E_LEDGER_PROOF",
            Self::Policy(error) => error.code(),
            Self::Proof(_) => "E_LEDGER_PROOF",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyKind, VerifierKey};
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    fn receipt(index: u64, size: u64) -> (Receipt, Policy) {
        let log = SigningKey::from_bytes(&[1; 32]);
        let key = VerifierKey::new("city.example/ledger", KeyKind::Note, log.verifying_key()).expect("a key");
        let leaves: Vec<Hash> = (0..size).map(|i| tree::leaf_hash(&i.to_be_bytes())).collect();
        let root = tree::root(&leaves[..], size).unwrap_or_else(|never| match never {});
        let proof = tree::prove(&leaves[..], index, index + 1, size).unwrap_or_else(|never| match never {});
        let checkpoint = Head { origin: key.name().into(), size, root }.sign(&log).expect("signed");
        let policy = format!("log {key}\nquorum none\n").parse().expect("a policy");
        (Receipt { extra: None, index, proof, checkpoint }, policy)
    }

    #[test]
    fn a_receipt_reads_back_and_verifies() {
        for (index, size) in [(0, 1), (0, 2), (4, 5), (77, 200)] {
            let (mut receipt, policy) = receipt(index, size);
            for extra in [None, Some(Base64(vec![])), Some(Base64(vec![1, 2]))] {
                receipt.extra = extra;
                let read: Receipt = receipt.to_string().parse().expect("a receipt");
                assert_eq!(read, receipt);
                assert_eq!(read.verify(&index.to_be_bytes(), &policy, None).expect("in the log").size, size);
                assert!(read.verify(b"another", &policy, None).is_err());
            }
        }
    }

    #[test]
    fn a_receipt_changed_anywhere_proves_nothing() {
        let (receipt, policy) = receipt(5, 9);
        let text = receipt.to_string();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let read = String::from_utf8(changed).ok().and_then(|text| text.parse::<Receipt>().ok());
            assert!(read.is_none_or(|read| read.verify(&5u64.to_be_bytes(), &policy, None).is_err()), "byte {at}");
            if text.is_char_boundary(at) {
                assert!(text[..at].parse::<Receipt>().is_err(), "cut at {at}");
            }
        }
        assert!(format!("{text}\n").parse::<Receipt>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,100}", index in "[0-9]{0,21}", line in "[A-Za-z0-9+/=\n]{0,90}") {
            let _ = text.parse::<Receipt>();
            let _ = format!("{FIRST}index {index}\n{line}\n\no\n1\n{line}\n\n\u{2014} a {line}\n").parse::<Receipt>();
        }
    }
}
