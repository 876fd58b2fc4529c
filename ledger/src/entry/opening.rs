//! What of an entry is not for everybody: salted commitments, and what opens them.

use crate::bytes::Hash;
use serde::{Deserialize, Serialize};

/// What a commitment hides. Whoever holds it can show it; without the salt nobody can guess it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// 32 random bytes.
    pub salt: Hash,
    /// What is committed to.
    pub value: String,
}

impl Opening {
    /// A fresh commitment's opening.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn fresh(value: String) -> Result<Self, getrandom::Error> {
        let mut salt = Hash([0; 32]);
        getrandom::fill(&mut salt.0)?;
        Ok(Self { salt, value })
    }

    /// What stands in the log.
    pub fn commitment(&self) -> Hash {
        Hash::sha256(&[b"tacit/commitment/v1\n", &self.salt.0, self.value.as_bytes()])
    }
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the opening of {}", self.commitment().short())
    }
}
