//! Frames between the coordinator and a party. The party dials, opens one bidirectional stream and begins with
//! [`FromParty::Ready`]; from then on both sides send frames as they come. When the connection ends, so does whatever ran
//! under it: a party drops it, and waits for an offer of a new attempt over a new connection. A frame is its length as a big-endian u32,
//! then that many bytes of JSON; a length beyond [`MAX_FRAME`] is refused, and any other takes memory only as its bytes come ([`Partial`]).

use super::mirror::{FromMirror, ToMirror};
use super::{Code, QueryId, within};
use crate::joblog::QueryEntry;
use ledger::bytes::Hash;
use ledger::checkpoint::MAX_CHECKPOINT;
use ledger::note::MAX_NOTE;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest body of a frame.
pub const MAX_FRAME: usize = 1 << 20;
/// Bytes of a frame's length.
pub const PREFIX: usize = 4;

/// From the coordinator to a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToParty {
    /// Will you run this?
    Offer(Offer),
    /// All have accepted the same plan: run.
    Start(Start),
    /// This attempt is over: drop it if it runs.
    Stop(Stop),
    /// The city's log, of which the party is witness and mirror.
    Ledger(ToMirror),
}

/// From a party to the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FromParty {
    /// The first frame of a connection.
    Ready(Ready),
    /// A signed [`super::Accept`]; for the log the party's debits, its signature of the start, and the end of an earlier attempt.
    Accept(Stated),
    /// A signed [`super::Refuse`].
    Refuse(Signed),
    /// How far an attempt is.
    Progress(Progress),
    /// A signed [`super::Sealed`]; for the log the party's signature of the result.
    Sealed(Stated),
    /// A signed [`super::Failed`]; for the log the end of the attempt.
    Failed(Stated),
    /// The same log.
    Ledger(FromMirror),
}

/// What a party works with; a difference shows before any query does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// Its release.
    pub version: String,
    /// Its roster.
    pub roster_hash: Hash,
    /// Its catalogue.
    pub catalog_hash: Hash,
    /// The text of that, so that a difference can be named; nothing, if it is longer than [`Ready::MAX_CATALOG`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
}

impl Ready {
    /// The longest text of a catalogue in a frame: escaped as JSON it still fits.
    pub const MAX_CATALOG: usize = 128 * 1024;
}

/// A query to run. The note is the planner's own, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// [`QueryId::of`] the note; a party computes it itself.
    pub job: QueryId,
    /// From 1.
    pub attempt: u32,
    /// The signed [`super::Query`].
    pub note: String,
    /// The planner's entry about it; without one the job stands on no log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<QueryEntry>,
}

/// Go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Which query.
    pub job: QueryId,
    /// Which attempt.
    pub attempt: u32,
    /// The checkpoint of the city's log in which the attempt is started, cosigned by all parties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// No further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Which query.
    pub job: QueryId,
    /// Which attempt.
    pub attempt: u32,
    /// Why.
    pub code: StopCode,
}

/// Why an attempt is over: all the coordinator can say of it. A party that stops signs a sentence of its own, never one of the
/// coordinator's choosing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StopCode {
    /// The planner took the query back.
    #[serde(rename = "E_CANCELLED")]
    Cancelled,
    /// It took too long.
    #[serde(rename = "E_DEADLINE")]
    Deadline,
    /// Another party is out of it.
    #[serde(rename = "E_PEER")]
    Peer,
}

impl StopCode {
    /// What the parties still at it are told of an attempt that ended for this reason.
    pub fn of(code: Code) -> Self {
        match code {
            Code::Cancelled => Self::Cancelled,
            Code::Deadline => Self::Deadline,
            _ => Self::Peer,
        }
    }
}

impl From<StopCode> for Code {
    fn from(code: StopCode) -> Self {
        match code {
            StopCode::Cancelled => Self::Cancelled,
            StopCode::Deadline => Self::Deadline,
            StopCode::Peer => Self::Peer,
        }
    }
}

/// A signed note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Its text.
    pub note: String,
}

/// A signed note, and what goes with it onto the city's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stated {
    /// Its text.
    pub note: String,
    /// Signed entries, where the job stands on the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
}

impl Stated {
    /// The longest entries of one note together, in bytes.
    pub const MAX_ENTRIES: usize = 128 * 1024;

    fn check(&self) -> Result<(), &'static str> {
        within(self.note.len() <= MAX_NOTE, "`note` is too long")?;
        within(self.entries.iter().map(String::len).sum::<usize>() <= Self::MAX_ENTRIES, "`entries` are too long")
    }
}

/// How far a party is with an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Which query.
    pub job: QueryId,
    /// Which attempt.
    pub attempt: u32,
    /// Where it is.
    pub stage: Stage,
    /// Steps of the stage that are done.
    pub done: u64,
    /// Steps the stage has.
    pub of: u64,
    /// Rounds so far.
    pub rounds: u64,
    /// Payload bytes sent so far.
    pub bytes: u64,
}

/// The stages of an attempt, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Hello and Confirm among the parties.
    Session,
    /// Each party's own part, in clear, at home.
    Local,
    /// Columns are shared.
    Share,
    /// The joint computation.
    Joint,
    /// Shares of the result are sealed.
    Release,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// A message that goes into a frame.
pub trait Message: Serialize + DeserializeOwned {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The first field out of bounds.
    fn check(&self) -> Result<(), &'static str>;
}

impl Message for ToParty {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Offer(Offer { attempt, note, entry, .. }) => {
                within(*attempt > 0, "`attempt` counts from 1")?;
                entry.as_ref().map_or(Ok(()), QueryEntry::check)?;
                within(note.len() <= MAX_NOTE, "`note` is too long")
            }
            Self::Start(Start { attempt, checkpoint, .. }) => {
                within(checkpoint.as_ref().is_none_or(|note| note.len() <= MAX_CHECKPOINT), "`checkpoint` is too long")?;
                within(*attempt > 0, "`attempt` counts from 1")
            }
            Self::Stop(Stop { attempt, .. }) => within(*attempt > 0, "`attempt` counts from 1"),
            Self::Ledger(said) => said.check(),
        }
    }
}

impl Message for FromParty {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Ready(ready) => {
                within(ready.catalog.as_ref().is_none_or(|text| text.len() <= Ready::MAX_CATALOG), "`catalog` is too long")?;
                within(ready.version.len() <= 100, "`version` is too long")
            }
            Self::Accept(stated) | Self::Sealed(stated) | Self::Failed(stated) => stated.check(),
            Self::Refuse(signed) => within(signed.note.len() <= MAX_NOTE, "`note` is too long"),
            Self::Progress(progress) => {
                within(progress.attempt > 0, "`attempt` counts from 1")?;
                within(progress.done <= progress.of, "`done` is beyond `of`")
            }
            Self::Ledger(said) => said.check(),
        }
    }
}

/// A whole frame, length first.
///
/// # Errors
/// The message is out of its bounds, or longer than [`MAX_FRAME`].
pub fn encode(message: &impl Message) -> Result<Vec<u8>, FrameError> {
    message.check().map_err(FrameError::Field)?;
    let mut frame = vec![0; PREFIX];
    serde_json::to_writer(&mut frame, message).map_err(|_| FrameError::Malformed)?;
    let length = u32::try_from(frame.len() - PREFIX).ok().filter(|length| *length as usize <= MAX_FRAME);
    let length = length.ok_or(FrameError::TooLong(frame.len() - PREFIX))?;
    frame[..PREFIX].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// The length of the body that follows this prefix: at most [`MAX_FRAME`].
///
/// # Errors
/// The length is zero or beyond the cap.
pub fn length(prefix: [u8; PREFIX]) -> Result<usize, FrameError> {
    match u32::from_be_bytes(prefix) as usize {
        0 => Err(FrameError::Malformed),
        length if length > MAX_FRAME => Err(FrameError::TooLong(length)),
        length => Ok(length),
    }
}

/// A frame on its way in. It grows with what has come: a stated length takes no memory.
#[derive(Debug, Default)]
pub struct Partial(Vec<u8>);

impl Partial {
    /// How many bytes may be added next: those of the length first, then those of the body. 0 once the frame is whole.
    ///
    /// # Errors
    /// What has come is not the beginning of a frame.
    pub fn missing(&self) -> Result<usize, FrameError> {
        match self.0.first_chunk() {
            None => Ok(PREFIX - self.0.len()),
            Some(prefix) => Ok((PREFIX + length(*prefix)?).saturating_sub(self.0.len())),
        }
    }

    /// Bytes it takes in memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Adds what has come, no more than is [missing](Self::missing).
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The message of a whole frame.
    ///
    /// # Errors
    /// The frame is not such a message, or out of its bounds.
    pub fn message<M: Message>(&self) -> Result<M, FrameError> {
        decode(self.0.get(PREFIX..).unwrap_or_default())
    }
}

/// The message of a frame's body.
///
/// # Errors
/// The body is not such a message, or out of its bounds.
pub fn decode<M: Message>(body: &[u8]) -> Result<M, FrameError> {
    if body.len() > MAX_FRAME {
        return Err(FrameError::TooLong(body.len()));
    }
    let message: M = serde_json::from_slice(body).map_err(|_| FrameError::Malformed)?;
    message.check().map_err(FrameError::Field)?;
    Ok(message)
}

/// Why a frame is not sent or not accepted. Nothing here quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Longer than any frame.
    #[error("a frame of {0} bytes is longer than the {MAX_FRAME} allowed")]
    TooLong(usize),
    /// Not a message of this side.
    #[error("a frame is not a message of the control plane")]
    Malformed,
    /// A field out of bounds.
    #[error("a frame is refused: {0}")]
    Field(&'static str),
}
