//! Evidence that a key signed two logs that cannot be one: a text that anybody can check, with nothing else at hand.
//!
//! It holds two checkpoints signed (or cosigned) by the same key for the same origin, of n1 ≤ n2 entries. If n1 = n2, their
//! roots differ. If n1 < n2, it holds what the root at n1 is in the second log, another than the first checkpoint's, and
//! the consistency proof from there to the second checkpoint. Unless SHA-256 has collisions, no log has both.
//!
//! It convicts a sequencer by the log's key and a witness by its cosigner key alike, and nobody can make it without that key's
//! two signatures.

use crate::bytes::Hash;
use crate::checkpoint::Checkpoint;
use crate::json;
use crate::key::VerifierKey;
use crate::note::NoteError;
use crate::receipt::parse_proof;
use crate::signed::{NoteSignature, SignedNote};
use crate::tree::{self, BadProof, Hashes, MAX_PROOF};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Evidence that [`Evidence::key`] signed two logs. What is read or made verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    key: VerifierKey,
    first: Checkpoint,
    second: Checkpoint,
    /// The second log's root at the first one's size.
    root: Hash,
    proof: Vec<Hash>,
}

impl Evidence {
    /// Makes evidence of two checkpoints, if they are. `second_log` has the hashes of the log of the larger checkpoint.
    ///
    /// # Errors
    /// They are no evidence: the key did not sign both, or one log has both. Or a hash cannot be had.
    pub fn find<H: Hashes + ?Sized>(key: &VerifierKey, one: &Checkpoint, other: &Checkpoint, second_log: &H) -> Result<Self, EvidenceError>
    where
        H::Error: fmt::Display,
    {
        let (first, second) = if one.head().size <= other.head().size { (one, other) } else { (other, one) };
        let (old, new) = (first.head().size, second.head().size);
        let hash = |error: H::Error| EvidenceError::Log(error.to_string());
        let (root, proof) = match old == 0 || old == new {
            true => (second.head().root, Vec::new()),
            false => (tree::root(second_log, old).map_err(hash)?, tree::prove(second_log, 0, old, new).map_err(hash)?),
        };
        let evidence = Self { key: key.clone(), first: only(first, key)?, second: only(second, key)?, root, proof };
        evidence.check()?;
        Ok(evidence)
    }

    /// Who signed two logs.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The two checkpoints.
    pub fn checkpoints(&self) -> [&Checkpoint; 2] {
        [&self.first, &self.second]
    }

    fn check(&self) -> Result<(), EvidenceError> {
        let (first, second) = (self.first.head(), self.second.head());
        for checkpoint in self.checkpoints() {
            if checkpoint.verify(&[&self.key])?.is_empty() {
                return Err(EvidenceError::Nothing("the key did not sign both checkpoints"));
            }
        }
        if first.origin != second.origin {
            return Err(EvidenceError::Nothing("the checkpoints are of two logs"));
        }
        if first.size == 0 || first.size > second.size {
            return Err(EvidenceError::Nothing("the first checkpoint is of an empty log, or larger than the second"));
        }
        if first.size == second.size && self.root != second.root {
            return Err(EvidenceError::Nothing("its root is not that of the second log"));
        }
        if self.root == first.root {
            return Err(EvidenceError::Nothing("one log has both checkpoints"));
        }
        Ok(tree::verify_consistency(first.size, &self.root, second.size, &second.root, &self.proof)?)
    }
}

/// The checkpoint with this key's signature alone: what others signed is no part of the matter.
fn only(checkpoint: &Checkpoint, key: &VerifierKey) -> Result<Checkpoint, EvidenceError> {
    let note = SignedNote::parse(checkpoint.note(), crate::checkpoint::MAX_CHECKPOINT)?;
    let by_key = |s: &&NoteSignature| s.name == key.name() && s.id == key.id();
    let line = note.signatures.iter().find(by_key).ok_or(EvidenceError::Nothing("the key did not sign both checkpoints"))?;
    Ok(Checkpoint::parse(&format!("{}\n{}\n", note.text, line.line()))?)
}

const FIRST: &str = "tacit/equivocation/v1\n";
/// The longest evidence, in bytes.
pub const MAX_EVIDENCE: usize = 16 * 1024;

/// The line of JSON in an evidence's text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    first: String,
    key: VerifierKey,
    proof: Vec<String>,
    root: Hash,
    second: String,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = Fields {
            first: self.first.note().into(),
            key: self.key.clone(),
            proof: self.proof.iter().map(|hash| STANDARD.encode(hash.0)).collect(),
            root: self.root,
            second: self.second.note().into(),
        };
        writeln!(f, "{FIRST}{}", json::to_canonical(&fields).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Evidence {
    type Err = EvidenceError;

    fn from_str(text: &str) -> Result<Self, EvidenceError> {
        let bad = EvidenceError::Format;
        if text.len() > MAX_EVIDENCE {
            return Err(bad("it is longer than 16 KiB"));
        }
        let line = text.strip_prefix(FIRST).and_then(|rest| rest.strip_suffix('\n')).filter(|line| !line.contains('\n'));
        let line = line.ok_or(bad("it is not `tacit/equivocation/v1` and one line"))?;
        let value = json::parse_canonical(line).map_err(|_| bad("its second line is not canonical JSON"))?;
        let fields: Fields = serde_json::from_value(value).map_err(|_| bad("its fields are not those of evidence"))?;
        let proof = Some(&fields.proof).filter(|proof| proof.len() <= MAX_PROOF);
        let proof = proof.and_then(|proof| parse_proof(proof.iter().map(String::as_str))).ok_or(bad("its proof is none"))?;
        let (first, second) = (Checkpoint::parse(&fields.first)?, Checkpoint::parse(&fields.second)?);
        let evidence = Self { key: fields.key, first, second, root: fields.root, proof };
        evidence.check()?;
        Ok(evidence)
    }
}

/// Why something is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Not in the form of evidence.
    #[error("not evidence: {0}")]
    Format(&'static str),
    /// A checkpoint is none, or a signature does not verify.
    #[error("not evidence: {0}")]
    Note(#[from] NoteError),
    /// It proves nothing against the key.
    #[error("this is no evidence against the key: {0}")]
    Nothing(&'static str),
    /// The consistency proof does not hold.
    #[error("this is no evidence against the key: {0}")]
    Proof(#[from] BadProof),
    /// The hashes of the second log cannot be had.
    #[error("the evidence cannot be made: {0}")]
    Log(String),
}

impl EvidenceError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        "E_LEDGER_EVIDENCE"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Head;
    use crate::key::KeyKind;
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    const ORIGIN: &str = "city.example/ledger";

    fn log() -> (SigningKey, VerifierKey) {
        let key = SigningKey::from_bytes(&[1; 32]);
        let public = VerifierKey::new(ORIGIN, KeyKind::Note, key.verifying_key()).expect("a key");
        (key, public)
    }

    /// A log of `size` entries, other ones from `fork` on.
    fn leaves(size: u64, fork: u64) -> Vec<Hash> {
        (0..size).map(|i| tree::leaf_hash(&[u8::from(i >= fork), i as u8])).collect()
    }

    fn checkpoint(leaves: &[Hash]) -> Checkpoint {
        let size = leaves.len() as u64;
        let root = tree::root(leaves, size).unwrap_or_else(|never| match never {});
        Head { origin: ORIGIN.into(), size, root }.sign(&log().0).expect("signed")
    }

    #[test]
    fn a_fork_at_every_pair_of_sizes_is_evidence_and_growth_is_not() {
        let key = log().1;
        for new in 1..=17 {
            for old in 1..=new {
                let honest = leaves(new, u64::MAX);
                let grown = checkpoint(&honest[..old as usize]);
                assert!(Evidence::find(&key, &grown, &checkpoint(&honest), &honest[..]).is_err(), "{old} to {new} is growth");
                for fork in 0..old {
                    let forked = leaves(old, fork);
                    let evidence = Evidence::find(&key, &checkpoint(&honest), &checkpoint(&forked), &honest[..]).expect("evidence");
                    let text = evidence.to_string();
                    assert_eq!(text.parse(), Ok(evidence));
                    assert!(text.len() < 3000, "{} bytes", text.len());
                }
            }
        }
    }

    #[test]
    fn a_witness_is_convicted_by_its_cosignatures() {
        let witness = SigningKey::from_bytes(&[2; 32]);
        let key = VerifierKey::new("energy/witness", KeyKind::Cosignature, witness.verifying_key()).expect("a key");
        let cosigned = |leaves: &[Hash]| {
            let signed = checkpoint(leaves);
            let line = signed.head().cosign("energy/witness", &witness, 7).expect("cosigned");
            Checkpoint::parse(&format!("{}{line}\n", signed.note())).expect("a checkpoint")
        };
        let honest = leaves(9, u64::MAX);
        let evidence = Evidence::find(&key, &cosigned(&leaves(5, 2)), &cosigned(&honest), &honest[..]).expect("evidence");
        assert_eq!(evidence.key(), &key);
        // Without its second cosignature there is nothing.
        assert!(Evidence::find(&key, &cosigned(&leaves(5, 2)), &checkpoint(&honest), &honest[..]).is_err());
    }

    #[test]
    fn evidence_changed_anywhere_is_none() {
        let honest = leaves(9, u64::MAX);
        let text = Evidence::find(&log().1, &checkpoint(&leaves(5, 2)), &checkpoint(&honest), &honest[..]).expect("evidence").to_string();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert!(
                String::from_utf8(changed).is_ok_and(|text| text.parse::<Evidence>().is_err()) || !text.is_char_boundary(at),
                "byte {at}"
            );
        }
        assert!(format!("{text}\n").parse::<Evidence>().is_err());
    }

    #[test]
    fn nobody_is_convicted_of_another_log() {
        let (signing, key) = log();
        let other = Head { origin: "city.example/other".into(), size: 9, root: Hash([1; 32]) }.sign(&signing).expect("signed");
        let honest = leaves(9, u64::MAX);
        assert!(Evidence::find(&key, &other, &checkpoint(&honest), &honest[..]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,100}", json in "[\\[\\]{}:,\"a-z0-9]{0,60}") {
            let _ = text.parse::<Evidence>();
            let _ = format!("{FIRST}{json}\n").parse::<Evidence>();
        }
    }
}
