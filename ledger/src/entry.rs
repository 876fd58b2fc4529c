//! What stands in the log. An entry is a signed note of at most 65,535 bytes: `tacit/<kind>/v1`, one line of canonical JSON,
//! and the signatures of those who state it. Fields that are not listed here, other spellings, and lengths out of bounds are
//! refused. What only participants may read is there as a salted commitment ([`Opening`]).
//!
//! An entry's id is the SHA-256 of its text, without signatures: who signs later does not change what it is called.

mod job;
mod opening;

pub use job::{Abort, Debit, Outcome, Query, Read, SEALED, Start};
pub use opening::Opening;

use crate::bytes::Hash;
use crate::checkpoint::Checkpoint;
use crate::evidence::Evidence;
use crate::json::{self, JsonError};
use crate::key::{KeyKind, Signer, VerifierKey};
use crate::note::{self, NoteError};
use crate::signed::{self, NoteSignature, SignedNote};
use crate::tile::MAX_ENTRY;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeSet;

/// An entry taken apart. Its fields are in bounds; who signed is for [`crate::replay`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What it states.
    pub body: Body,
    /// SHA-256 of its text.
    pub id: Hash,
    /// What is signed.
    pub text: &'a str,
    /// Its signatures: one at least, no name twice.
    pub signatures: Vec<NoteSignature<'a>>,
}

/// What an entry states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Who belongs to the city.
    Member(Box<Member>),
    /// An owner's standing consent.
    Contract(Contract),
    /// Its end.
    Revoke(Revoke),
    /// What a table holds now.
    DataSet(DataSet),
    /// What is asked.
    Query(Query),
    /// What it costs one owner's budget.
    Debit(Debit),
    /// That the parties begin.
    Start(Start),
    /// That they ended with a result.
    Result(Outcome),
    /// That they ended without.
    Abort(Abort),
    /// That somebody signed two logs.
    Evidence(Exhibit),
    /// That another log goes on where this one ended.
    HandOver(Box<HandOver>),
}

/// An organisation's standing, and its keys. A later entry of the same name replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name in the roster.
    pub name: String,
    /// The registered organisation behind it.
    pub organisation: String,
    /// What it may sign.
    pub role: Role,
    /// Whether it belongs.
    pub standing: Standing,
    /// Signs its entries. Its name is the member's.
    pub key: VerifierKey,
    /// An agency's `<name>/witness`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<VerifierKey>,
    /// An agency's `<name>/validated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated: Option<VerifierKey>,
}

/// What a member may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Owns data, computes, cosigns.
    Agency,
    /// Asks.
    Planner,
    /// Watches: a regulator. It may hand in evidence.
    Auditor,
}

/// Whether a member belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It does.
    Admitted,
    /// It does no longer.
    Removed,
}

/// A contract's note as its owner signed it. The log looks at its `dataset` only; its terms are for the nodes that enforce them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// `agency.table`; the agency signs.
    pub dataset: String,
    /// All its fields.
    pub terms: Value,
}

/// The end of a contract, signed by its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The contract's id.
    pub contract: Hash,
    /// Why, in the owner's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A snapshot of a data set, signed by its owner. Queries name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// `agency.table`.
    pub dataset: String,
    /// The root of the salted tree over its columns.
    pub snapshot: Hash,
    /// Its columns.
    pub columns: Vec<Column>,
}

/// A column's name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type in SQL.
    #[serde(rename = "type")]
    pub sql_type: String,
}

/// Evidence, handed in by any member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exhibit {
    /// The evidence's own text, which verifies by itself.
    pub evidence: String,
}

/// The first entry of a log that goes on where another ended; signed by a quorum of agencies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// The last checkpoint of the log before, cosigned by a quorum.
    pub previous: String,
    /// The key of the log that goes on. Its name is its origin.
    pub key: VerifierKey,
}

impl<'a> Entry<'a> {
    /// Reads an entry, strictly.
    ///
    /// # Errors
    /// It is too long, not a note of a kind the log knows, not canonical, or has fields missing, unknown or out of bounds.
    pub fn parse(entry: &'a [u8]) -> Result<Self, EntryError> {
        if entry.len() > MAX_ENTRY {
            return Err(EntryError::TooLong);
        }
        let entry = std::str::from_utf8(entry).map_err(|_| EntryError::Text)?;
        let SignedNote { text, signatures } = SignedNote::parse(entry, MAX_ENTRY)?;
        let names: BTreeSet<&str> = signatures.iter().map(|signature| signature.name).collect();
        if names.len() < signatures.len() {
            return Err(EntryError::Field("one name signed twice"));
        }
        let (header, body) = note::two_lines(text)?;
        let body = Body::read(note::kind_of(header)?, json::parse_canonical(body)?)?;
        body.check().map_err(EntryError::Field)?;
        Ok(Self { body, id: Hash::sha256(&[text.as_bytes()]), text, signatures })
    }
}

impl Body {
    /// All kinds.
    pub const KINDS: [&'static str; 11] = [
        "member",
        "contract",
        "revoke",
        "dataset",
        "job-query",
        "job-debit",
        "job-start",
        "job-result",
        "job-abort",
        "evidence",
        "handover",
    ];

    /// The kind in the entry's first line. What concerns a job begins with `job-`, so that it is never mistaken for what
    /// planners and nodes say to one another.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Member(_) => "member",
            Self::Contract(_) => "contract",
            Self::Revoke(_) => "revoke",
            Self::DataSet(_) => "dataset",
            Self::Query(_) => "job-query",
            Self::Debit(_) => "job-debit",
            Self::Start(_) => "job-start",
            Self::Result(_) => "job-result",
            Self::Abort(_) => "job-abort",
            Self::Evidence(_) => "evidence",
            Self::HandOver(_) => "handover",
        }
    }

    /// The entry that states this, signed by `name`.
    ///
    /// # Errors
    /// A field is out of bounds, or the entry too long.
    pub fn sign(&self, name: &str, signer: &impl Signer) -> Result<String, EntryError> {
        self.check().map_err(EntryError::Field)?;
        let kind = self.kind();
        let entry = match self {
            Self::Member(body) => note::sign(kind, name, signer, body),
            Self::Contract(body) => note::sign(kind, name, signer, &body.terms),
            Self::Revoke(body) => note::sign(kind, name, signer, body),
            Self::DataSet(body) => note::sign(kind, name, signer, body),
            Self::Query(body) => note::sign(kind, name, signer, body),
            Self::Debit(body) => note::sign(kind, name, signer, body),
            Self::Start(body) => note::sign(kind, name, signer, body),
            Self::Result(body) => note::sign(kind, name, signer, body),
            Self::Abort(body) => note::sign(kind, name, signer, body),
            Self::Evidence(body) => note::sign(kind, name, signer, body),
            Self::HandOver(body) => note::sign(kind, name, signer, body),
        }?;
        if entry.len() > MAX_ENTRY { Err(EntryError::TooLong) } else { Ok(entry) }
    }

    fn read(kind: &str, value: Value) -> Result<Self, EntryError> {
        fn fields<T: DeserializeOwned>(value: Value) -> Result<T, EntryError> {
            serde_json::from_value(value).map_err(|error| EntryError::Note(NoteError::Body(note::describe(&error))))
        }
        Ok(match kind {
            "member" => Self::Member(fields(value)?),
            "contract" => {
                let dataset = value.get("dataset").and_then(Value::as_str).ok_or(EntryError::Field("`dataset` is missing"))?;
                Self::Contract(Contract { dataset: dataset.into(), terms: value })
            }
            "revoke" => Self::Revoke(fields(value)?),
            "dataset" => Self::DataSet(fields(value)?),
            "job-query" => Self::Query(fields(value)?),
            "job-debit" => Self::Debit(fields(value)?),
            "job-start" => Self::Start(fields(value)?),
            "job-result" => Self::Result(fields(value)?),
            "job-abort" => Self::Abort(fields(value)?),
            "evidence" => Self::Evidence(fields(value)?),
            "handover" => Self::HandOver(fields(value)?),
            _ => return Err(EntryError::Kind),
        })
    }

    /// What the types cannot say.
    fn check(&self) -> Result<(), &'static str> {
        let within = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        match self {
            Self::Member(member) => member.check(),
            Self::Contract(contract) => owner(&contract.dataset).map(drop).ok_or("`dataset` is not `agency.table`"),
            Self::Revoke(revoke) => {
                within(revoke.reason.as_ref().is_none_or(|reason| is_text(reason, 500)), "`reason` is empty or longer than 500 bytes")
            }
            Self::DataSet(data) => {
                owner(&data.dataset).ok_or("`dataset` is not `agency.table`")?;
                let columns: BTreeSet<&str> = data.columns.iter().map(|column| column.name.as_str()).collect();
                let named = data.columns.iter().all(|column| is_text(&column.name, 128) && is_text(&column.sql_type, 128));
                within(
                    named && columns.len() == data.columns.len() && (1..=1024).contains(&columns.len()),
                    "`columns` is empty, too long, or names one twice",
                )
            }
            Self::Query(query) => query.check(),
            Self::Debit(debit) => {
                owner(&debit.dataset).ok_or("`dataset` is not `agency.table`")?;
                within(debit.delta.0 >= 0, "`delta` is negative")?;
                let named = debit.noise.is_some() || debit.epsilon == 0 && debit.delta.0 == 0;
                within(named, "`noise` is missing: ε is spent, and not said for what")?;
                within(is_month(&debit.month), "`month` is not a month such as `2026-11`")
            }
            Self::Start(start) => within(start.attempt > 0, "`attempt` is 0"),
            Self::Result(result) => within(result.attempt > 0, "`attempt` is 0"),
            Self::Abort(abort) => {
                let code = abort.code.strip_prefix("E_").filter(|rest| rest.len() <= 40 && !rest.is_empty());
                let code = code.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'));
                within(abort.attempt > 0 && code, "`attempt` is 0, or `code` is not a code such as `E_TIMEOUT`")
            }
            Self::Evidence(exhibit) => exhibit.evidence.parse::<Evidence>().map(drop).map_err(|_| "`evidence` is no evidence"),
            Self::HandOver(over) => {
                let previous = Checkpoint::parse(&over.previous).map_err(|_| "`previous` is not a checkpoint")?;
                let another = over.key.kind() == KeyKind::Note && over.key.name() != previous.head().origin;
                within(another, "`key` is not the key of another log")
            }
        }
    }
}

impl Member {
    fn check(&self) -> Result<(), &'static str> {
        if !is_word(&self.name) || !is_text(&self.organisation, 200) {
            return Err("`name` or `organisation` is empty or too long, or `name` has other letters than a-z, 0-9, `_`, `-`");
        }
        if self.key.kind() != KeyKind::Note || self.key.name() != self.name {
            return Err("`key` does not sign entries under the member's name");
        }
        match (self.role, &self.witness, &self.validated) {
            (Role::Agency, Some(witness), Some(validated)) => {
                let named = |key: &VerifierKey, what| key.kind() == KeyKind::Cosignature && key.name() == format!("{}/{what}", self.name);
                if !named(witness, "witness") || !named(validated, "validated") {
                    return Err("`witness` and `validated` are not the agency's cosigner keys");
                }
                // One key, one meaning: signatures of notes and cosignatures must never be taken for one another.
                let keys = [self.key.key(), witness.key(), validated.key()].map(|key| key.to_bytes());
                if keys[0] == keys[1] || keys[0] == keys[2] || keys[1] == keys[2] {
                    return Err("two of the agency's keys are the same");
                }
                Ok(())
            }
            (Role::Planner | Role::Auditor, None, None) => Ok(()),
            _ => Err("agencies have `witness` and `validated`, others have neither"),
        }
    }
}

/// Adds a signature to an entry: what several must sign goes round.
///
/// # Errors
/// It is no entry, or `name` signed it already.
pub fn countersign(entry: &str, name: &str, signer: &impl Signer) -> Result<String, EntryError> {
    let text = Entry::parse(entry.as_bytes())?.text;
    let entry = format!("{entry}{}\n", signed::sign_line(text, name, signer)?);
    Entry::parse(entry.as_bytes())?;
    Ok(entry)
}

/// One entry of copies that were signed apart: the text of all, with the signatures of all.
///
/// # Errors
/// There is none, a copy is no entry, or they are not of one text.
pub fn join<'a>(copies: impl IntoIterator<Item = &'a str>) -> Result<String, EntryError> {
    let mut copies = copies.into_iter();
    let mut joined = copies.next().ok_or(EntryError::Field("nobody signed it"))?.to_owned();
    let text = Entry::parse(joined.as_bytes())?.text.to_owned();
    for copy in copies {
        let copy = Entry::parse(copy.as_bytes())?;
        if copy.text != text {
            return Err(EntryError::Field("its copies differ"));
        }
        copy.signatures.iter().for_each(|signature| joined += &format!("{}\n", signature.line()));
    }
    Entry::parse(joined.as_bytes())?;
    Ok(joined)
}

/// The agency a data set belongs to: `energy` of `energy.buildings`.
pub fn owner(dataset: &str) -> Option<&str> {
    let (owner, table) = dataset.split_once('.')?;
    (is_word(owner) && is_text(table, 128)).then_some(owner)
}

pub(crate) fn is_word(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

pub(crate) fn is_text(text: &str, cap: usize) -> bool {
    !text.is_empty() && text.len() <= cap && !text.chars().any(char::is_control)
}

fn is_month(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let parts = text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2 && digits(year) && digits(month));
    parts.is_some_and(|(_, month)| ("01"..="12").contains(&month))
}

/// Why bytes are no entry. Nothing here quotes them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Longer than any entry.
    #[error("the entry is longer than {MAX_ENTRY} bytes")]
    TooLong,
    /// Not text.
    #[error("the entry is not UTF-8")]
    Text,
    /// Not a note of ours.
    #[error("the entry is refused: {0}")]
    Note(#[from] NoteError),
    /// Not canonical.
    #[error("the entry is refused: {0}")]
    Json(#[from] JsonError),
    /// Of a kind the log does not know.
    #[error("the entry is of no kind the ledger holds")]
    Kind,
    /// A field is out of bounds.
    #[error("the entry is refused: {0}")]
    Field(&'static str),
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
