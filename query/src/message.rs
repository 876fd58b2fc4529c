//! What clients, the coordinator and parties say to one another. What someone must be able to prove later is a signed
//! note ([`Statement`]); what only keeps the work going is a plain frame ([`frame`]); what people and programs read of a
//! job is in [`job`]. Everything is checked when it is read: lengths, digits, caps.
//!
//! ```text
//! planner ──Query──► coordinator ──Offer──► party        (the same note all the way: everyone verifies it alone)
//!           query                            query
//!                                ◄─Accept── / Refuse
//!                                  debits, start
//!                                ──Start──►
//!                                  checkpoint
//!                                ◄Progress─  ◄─Sealed── / Failed
//!                                              result     abort
//! planner ◄─ three Sealed ─
//!              receipts
//! ```
//!
//! Below each stands what goes with it where the city keeps a log ([`crate::joblog`]): signed entries, which the coordinator appends,
//! the checkpoint of the log with the start, and receipts.

pub mod frame;
pub mod job;
pub mod mirror;
mod refusal;

pub use refusal::{Code, Refusal};

use ledger::bytes::{Base64, Hash};
use ledger::contract::Epsilon;
use ledger::note::{self, NoteError};
use mpc_core::identity::{Identity, PublicKey};
use mpc_core::roster::Roster;
use mpc_core::stack;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;
use std::str::FromStr;

/// Names one query for good, and so its job: SHA-256 over `qid` and the bytes of the signed note.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueryId(pub Hash);

impl QueryId {
    /// The id of this note.
    pub fn of(note: &str) -> Self {
        Self(Hash::sha256(&[b"qid", note.as_bytes()]))
    }

    /// The first eight digits, for people.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for QueryId {
    type Err = ledger::bytes::BadBytes;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Something a planner or a node states and signs.
pub trait Statement: Serialize + DeserializeOwned {
    /// The note's kind.
    const KIND: &'static str;

    /// What the types cannot say: lengths and caps. The text names the field.
    ///
    /// # Errors
    /// The first field out of bounds.
    fn check(&self) -> Result<(), &'static str>;

    /// The signed note of this statement, by the identity called `name`.
    ///
    /// # Errors
    /// A field is out of bounds or the note too long.
    fn sign(&self, name: &str, identity: &Identity) -> Result<String, NoteError> {
        self.check().map_err(|field| NoteError::Body(field.into()))?;
        stack::wiped(|| note::sign(Self::KIND, name, identity.signing_key(), self))
    }

    /// Opens a note of this kind by that key, and checks it.
    ///
    /// # Errors
    /// The note does not verify, or a field is out of bounds.
    fn open(note: &str, name: &str, key: &PublicKey) -> Result<Self, NoteError> {
        let statement: Self = note::open(Self::KIND, note, name, &key.verifying_key())?;
        statement.check().map_err(|field| NoteError::Body(field.into()))?;
        Ok(statement)
    }
}

/// What a planner asks and signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The question.
    pub sql: String,
    /// Who asks: a planner's name in the roster.
    pub planner: String,
    /// The roster the planner knows.
    pub roster_hash: Hash,
    /// The catalogue the question is about.
    pub catalog_hash: Hash,
    /// X25519 key the parties seal the result to (32 bytes); its secret half never leaves the planner.
    pub output_key: Base64,
    /// What the answer is for, in the planner's words.
    pub purpose: String,
    /// `semi-honest`.
    pub security: String,
    /// `rep3`.
    pub protocol: String,
    /// What the question may spend of privacy budgets, if it is less than contracts let it, or if they leave noise to the planner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<Epsilon>,
    /// 32 random bytes: no two queries are the same.
    pub nonce: Hash,
    /// Unix seconds of the signature.
    pub issued: u64,
    /// Unix seconds after which nobody starts on it.
    pub expires: u64,
    /// Whether measured figures are wanted beside the estimates.
    pub analyze: bool,
}

impl Query {
    /// The longest SQL text, in bytes.
    pub const MAX_SQL: usize = 64 * 1024;
    /// The longest statement of purpose, in bytes.
    pub const MAX_PURPOSE: usize = 1000;
    /// The longest a query may stand, in seconds.
    pub const MAX_LIFETIME: u64 = 7 * 24 * 3600;
    /// How far clocks may differ, in seconds.
    pub const MAX_SKEW: u64 = 60;

    /// Opens a query's note as every node does it for itself, trusting nobody who passed it on: the signature of a planner
    /// of *this* roster, the same roster and catalogue, the times, the output key, and a mode this release has. Whether the
    /// query ran before is for each party to know.
    ///
    /// # Errors
    /// The refusal to give.
    pub fn admit(note: &str, roster: &Roster, catalog_hash: Hash, now: u64) -> Result<(QueryId, Self), Refusal> {
        let not_a_note =
            |e: NoteError| Refusal::new(Code::Signature, format!("the query is not accepted: {e}"), "sign it again with `tacit query`");
        let name = note::signer(note).map_err(not_a_note)?;
        let Some(planner) = roster.planner(name) else {
            let reason = "the query is signed by someone who is not a planner in this roster";
            return Err(Refusal::new(Code::Planner, reason, "ask the city's operators to add your key to the roster"));
        };
        let query = Self::open(note, name, &planner.key).map_err(not_a_note)?;
        query.admit_opened(&planner.name, roster, catalog_hash, now)?;
        Ok((QueryId::of(note), query))
    }

    fn admit_opened(&self, signer: &str, roster: &Roster, catalog_hash: Hash, now: u64) -> Result<(), Refusal> {
        let refuse = |code, reason: &str, fix: &str| Err(Refusal::new(code, reason, fix));
        if self.planner != signer {
            return refuse(Code::Signature, "the query names another planner than its signature", "sign it with your own key");
        }
        if self.roster_hash.0 != roster.hash() {
            return refuse(Code::Roster, "the query was signed for another roster", "use the roster file the nodes have now");
        }
        if self.catalog_hash != catalog_hash {
            let fix = "fetch the catalogue the nodes have now (`tacit catalog`)";
            return refuse(Code::Catalog, "the query was signed for another catalogue", fix);
        }
        if self.issued > now.saturating_add(Self::MAX_SKEW) {
            return refuse(Code::NotYet, "the query is dated in the future", "set the clocks (`tacit doctor` compares them)");
        }
        if self.expires <= now {
            return refuse(Code::Expired, "the query has expired", "ask again; `--valid-for` makes a query stand longer");
        }
        if self.expires.saturating_sub(self.issued) > Self::MAX_LIFETIME {
            return refuse(Code::Expired, "the query would stand for more than seven days", "sign it for a shorter time");
        }
        if self.security != "semi-honest" {
            return refuse(Code::Unsupported, "this release has one security mode", "use security `semi-honest`");
        }
        if self.protocol != "rep3" {
            return refuse(Code::Unsupported, "this release has one protocol", "use protocol `rep3`");
        }
        if self.output_key.0.iter().all(|byte| *byte == 0) {
            return refuse(Code::OutputKey, "the output key is all zeros", "let `tacit query` make one");
        }
        Ok(())
    }
}

impl Statement for Query {
    const KIND: &'static str = "query";

    fn check(&self) -> Result<(), &'static str> {
        let sql = !self.sql.trim().is_empty() && self.sql.len() <= Self::MAX_SQL;
        within(sql, "`sql` must be 1 to 65536 bytes long")?;
        within(is_name(&self.planner), "`planner` is not a name")?;
        within(self.output_key.0.len() == 32, "`output_key` must be 32 bytes long")?;
        within(self.purpose.len() <= Self::MAX_PURPOSE, "`purpose` must be at most 1000 bytes long")?;
        let spends = self.epsilon.is_none_or(|epsilon| (1..=1000 * Epsilon::ONE.0).contains(&epsilon.0));
        within(spends, "`epsilon` must be above 0 and at most 1000")?;
        within(self.security.len() <= 32, "`security` is too long")?;
        within(self.protocol.len() <= 32, "`protocol` is too long")?;
        within(self.issued <= MAX_TIME && self.expires <= MAX_TIME, "`issued` or `expires` is no Unix time")
    }
}

/// A planner takes a query back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// Which.
    pub job: QueryId,
}

impl Statement for Cancel {
    const KIND: &'static str = "cancel";

    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// A party agrees to run this attempt of this query, as this plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// Which query.
    pub job: QueryId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What the party compiled it to, by itself.
    pub plan_hash: Hash,
}

impl Statement for Accept {
    const KIND: &'static str = "accept";

    fn check(&self) -> Result<(), &'static str> {
        within(self.attempt > 0, "`attempt` counts from 1")
    }
}

/// A party declines to run a query; nothing has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// Which query.
    pub job: QueryId,
    /// Which attempt.
    pub attempt: u32,
    /// Why.
    pub refusal: Refusal,
}

impl Statement for Refuse {
    const KIND: &'static str = "refuse";

    fn check(&self) -> Result<(), &'static str> {
        self.refusal.check()
    }
}

/// An attempt ended at a party without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Which query.
    pub job: QueryId,
    /// Which attempt.
    pub attempt: u32,
    /// Why.
    pub refusal: Refusal,
}

impl Statement for Failed {
    const KIND: &'static str = "failed";

    fn check(&self) -> Result<(), &'static str> {
        self.refusal.check()
    }
}

/// A party's shares of a result, sealed to the planner's output key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Which query.
    pub job: QueryId,
    /// Which attempt.
    pub attempt: u32,
    /// The session among the parties.
    pub sid: Hash,
    /// The plan it ran.
    pub plan_hash: Hash,
    /// HPKE's encapsulated key (32 bytes).
    pub encapsulated: Base64,
    /// HPKE's ciphertext.
    pub ciphertext: Base64,
    /// What each operator cost here, when the query asked for it.
    #[serde(default)]
    pub measured: Vec<Measured>,
    /// Digests of the pieces of the lock that it told its peers, and that they told it.
    pub lock: Vec<Told>,
}

/// What a party says of the pieces of the lock between it and a peer, so that nobody is blamed for another's: digests of random pieces, which tell nothing of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The peer.
    pub peer: String,
    /// Of the piece that this party told it.
    pub sent: Hash,
    /// Of the piece that it told this party.
    pub received: Hash,
}

impl Sealed {
    /// The longest ciphertext, in bytes.
    pub const MAX_CIPHERTEXT: usize = 512 * 1024;
    /// The longest release that is sealed, in bytes: the rest is the AEAD's tag, and the pieces of the lock that the sealing party told its peers.
    pub const MAX_RELEASE: usize = Self::MAX_CIPHERTEXT - 16 - 32 * Self::PEERS;
    /// Peers of a party in a session.
    pub const PEERS: usize = 2;
}

impl Statement for Sealed {
    const KIND: &'static str = "sealed";

    fn check(&self) -> Result<(), &'static str> {
        within(self.attempt > 0, "`attempt` counts from 1")?;
        within(self.encapsulated.0.len() == 32, "`encapsulated` must be 32 bytes long")?;
        within(self.ciphertext.0.len() <= Self::MAX_CIPHERTEXT, "`ciphertext` must be at most 512 KiB long")?;
        within(self.lock.len() == Self::PEERS && self.lock.iter().all(|told| is_name(&told.peer)), "`lock` must name both peers")?;
        let named = self.measured.iter().all(|m| m.operator.len() <= 200);
        within(named && self.measured.len() <= 1000, "`measured` is too long")
    }
}

/// What one operator of a plan cost at one party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The operator, as `EXPLAIN` names it.
    pub operator: String,
    /// Rounds it took.
    pub rounds: u64,
    /// Payload bytes this party sent.
    pub bytes: u64,
    /// Wall time, in microseconds.
    pub micros: u64,
}

/// A name as rosters have them: at most 63 small letters, digits, `_` and `-`.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(allowed)
}

fn within(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// The year 9999, in Unix seconds.
const MAX_TIME: u64 = 253_402_300_799;

#[cfg(test)]
mod tests;
