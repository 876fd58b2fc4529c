//! What the coordinator, who sequences the city's log, and a party, who witnesses and mirrors it, say to one another. Parties
//! dial and need no port of their own, so the bodies of `add-checkpoint` and `add-entries` ([`ledger::wire`]) go the other way
//! round: over the line a party has opened.
//!
//! ```text
//! party ──Held──► coordinator        the newest checkpoint it knows: what the log must not have forgotten
//!       ──Entry──►                   what it wants to stand there
//!       ◄──Entry──                   whether it will
//!       ◄──Part── … ◄──Update──      one at a time
//!       ──Answer──►
//! ```

use super::within;
use ledger::bytes::{Base64, Hash};
use ledger::checkpoint::MAX_CHECKPOINT;
use ledger::code::next_step;
use ledger::tile::MAX_ENTRY;
use ledger::wire::{MAX_ADD_CHECKPOINT, MAX_ADD_ENTRIES, Response};
use serde::{Deserialize, Serialize};

/// The longest part of `add-entries` in one frame, in bytes before base64.
pub const MAX_PART: usize = 512 * 1024;
/// The longest answer to an update, in bytes before base64.
const MAX_ANSWER: usize = 64 * 1024;
/// The longest sentence about an entry.
const MAX_REASON: usize = 2000;

/// From the coordinator to a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToMirror {
    /// The next part of an `add-entries`.
    Part(Base64),
    /// Its last part, with all else that belongs to the update.
    Update(Update),
    /// What becomes of an entry.
    Entry(Taken),
}

/// From a party to the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FromMirror {
    /// What it knows of the log: once, when the line is there.
    Held(Held),
    /// To an update.
    Answer(Answer),
    /// An entry of its own for the log.
    Entry(super::frame::Signed),
}

/// How far the log is, and what a mirror lacks of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The body of `add-checkpoint`.
    pub checkpoint: String,
    /// The last part of the body of `add-entries`.
    pub entries: Base64,
    /// The newest checkpoint that a quorum cosigned: a party whose folder was put back finds its own cosignature there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}

/// Whether an entry will stand in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// Which.
    pub entry: Hash,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// Why an entry is not taken, or a log does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// One of the ledger's codes.
    pub code: String,
    /// In words.
    pub reason: String,
    /// What to do next.
    pub fix: String,
}

impl Refused {
    /// The refusal of this code, with a sentence that fits a frame, and the next step that goes with the code.
    pub fn new(code: &str, reason: impl std::fmt::Display) -> Self {
        let reason = reason.to_string();
        let end = (0..=MAX_REASON.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
        Self { code: code.into(), reason: reason[..end].into(), fix: next_step(code).into() }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}

/// What a party knows of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The newest checkpoint, as the log signed it; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// The answers to `add-checkpoint` and `add-entries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The witness's.
    pub witness: Reply,
    /// The mirror's.
    pub validated: Reply,
}

/// An answer as HTTP would have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// HTTP's status code.
    pub status: u16,
    /// The body.
    pub body: Base64,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        let mut body = response.body;
        body.truncate(MAX_ANSWER);
        Self { status: response.status, body: Base64(body) }
    }
}

/// The frames of one update: the bodies, cut to what a frame holds.
pub fn frames(checkpoint: Vec<u8>, mut entries: Vec<u8>, published: Option<String>) -> Vec<ToMirror> {
    let checkpoint = String::from_utf8(checkpoint).unwrap_or_default();
    let mut frames = Vec::new();
    while entries.len() > MAX_PART {
        let rest = entries.split_off(MAX_PART);
        frames.push(ToMirror::Part(Base64(std::mem::replace(&mut entries, rest))));
    }
    frames.push(ToMirror::Update(Update { checkpoint, entries: Base64(entries), published }));
    frames
}

/// The parts of an `add-entries` as they come.
#[derive(Debug, Default)]
pub struct Parts(Vec<u8>);

impl Parts {
    /// Adds a part. What is longer than any body is dropped, and the whole with it.
    pub fn add(&mut self, part: &[u8]) {
        match self.0.len() + part.len() <= MAX_ADD_ENTRIES {
            true => self.0.extend_from_slice(part),
            false => self.0 = Vec::new(),
        }
    }

    /// The whole body.
    pub fn end(&mut self, last: &[u8]) -> Vec<u8> {
        self.add(last);
        std::mem::take(&mut self.0)
    }
}

impl ToMirror {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Part(part) => within(part.0.len() <= MAX_PART, "a part of entries is too long"),
            Self::Update(Update { checkpoint, entries, published }) => {
                within(checkpoint.len() <= MAX_ADD_CHECKPOINT, "`checkpoint` is too long")?;
                within(entries.0.len() <= MAX_PART, "`entries` is too long")?;
                within(published.as_ref().is_none_or(|note| note.len() <= MAX_CHECKPOINT), "`published` is too long")
            }
            Self::Entry(Taken { refused, .. }) => {
                let short = |r: &Refused| r.code.len() <= 64 && r.reason.len() <= MAX_REASON && r.fix.len() <= MAX_REASON;
                within(refused.as_ref().is_none_or(short), "`refused` is too long")
            }
        }
    }
}

impl FromMirror {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Held(Held { checkpoint }) => {
                within(checkpoint.as_ref().is_none_or(|note| note.len() <= MAX_CHECKPOINT), "`checkpoint` is too long")
            }
            Self::Answer(Answer { witness, validated }) => {
                within([witness, validated].iter().all(|reply| reply.body.0.len() <= MAX_ANSWER), "an answer is too long")
            }
            Self::Entry(signed) => within(signed.note.len() <= MAX_ENTRY, "an entry is too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::frame::{self, MAX_FRAME, ToParty};

    #[test]
    fn the_longest_update_fits_its_frames_and_is_put_together_again() {
        let body: Vec<u8> = (0..MAX_ADD_ENTRIES).map(|at| at as u8).collect();
        let checkpoint = vec![b'x'; MAX_ADD_CHECKPOINT];
        let (mut parts, mut whole) = (Parts::default(), None);
        for part in frames(checkpoint.clone(), body.clone(), Some("y".repeat(MAX_CHECKPOINT))) {
            let frame = frame::encode(&ToParty::Ledger(part)).expect("within a frame");
            assert!(frame.len() <= MAX_FRAME);
            let ToParty::Ledger(part) = frame::decode(&frame[frame::PREFIX..]).expect("reads back") else { panic!("the ledger's") };
            match part {
                ToMirror::Part(part) => parts.add(&part.0),
                ToMirror::Update(update) => whole = Some((update.checkpoint.into_bytes(), parts.end(&update.entries.0))),
                ToMirror::Entry(_) => panic!("no entry"),
            }
        }
        assert_eq!(whole, Some((checkpoint, body)));
    }

    #[test]
    fn what_is_too_long_is_no_frame() {
        let part = |length| frame::encode(&ToParty::Ledger(ToMirror::Part(Base64(vec![0; length]))));
        assert!(part(MAX_PART).is_ok() && part(MAX_PART + 1).is_err());
        let said = |said| frame::encode(&frame::FromParty::Ledger(said));
        let entry = |length| FromMirror::Entry(frame::Signed { note: "x".repeat(length) });
        assert!(said(entry(MAX_ENTRY)).is_ok() && said(entry(MAX_ENTRY + 1)).is_err());
        assert!(said(FromMirror::Held(Held { checkpoint: Some("x".repeat(MAX_CHECKPOINT + 1)) })).is_err());
        let reply = |length| Reply { status: 200, body: Base64(vec![0; length]) };
        assert!(said(FromMirror::Answer(Answer { witness: reply(0), validated: reply(MAX_ANSWER + 1) })).is_err());
        let long = Refused::new("E_X", "é".repeat(MAX_REASON));
        assert!(long.reason.len() <= MAX_REASON && !long.fix.is_empty());
        let taken = |fix| Taken { entry: Hash([0; 32]), refused: Some(Refused { fix, ..long.clone() }) };
        let told = |fix| frame::encode(&ToParty::Ledger(ToMirror::Entry(taken(fix))));
        assert!(told(long.fix.clone()).is_ok() && told("x".repeat(MAX_REASON + 1)).is_err());
        let mut parts = Parts::default();
        parts.add(&vec![0; MAX_ADD_ENTRIES]);
        assert!(parts.end(&[0]).is_empty(), "more than any body");
    }
}
