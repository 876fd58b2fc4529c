//! Why a session ended early. Every error a protocol can meet is one of these, and each says what happened and to whom.

use crate::{PartyId, link::Head};
use std::time::Duration;

/// The typed end of a session. Nothing here carries a share, a key or a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Abort {
    /// A peer is at another place of the program: its frame carries another session, lane, step or kind.
    #[error("party {peer} is out of step at `{label}`: expected {expected}, got {got}")]
    Desync {
        /// Who sent the frame.
        peer: PartyId,
        /// The round in which it was read.
        label: &'static str,
        /// What this program expected.
        expected: Box<Head>,
        /// What the frame said.
        got: Box<Head>,
    },
    /// A peer's connection ended.
    #[error("party {peer} is gone at `{label}`: {reason}")]
    PeerGone {
        /// Who is gone.
        peer: PartyId,
        /// The round in which it was missed.
        label: &'static str,
        /// What the transport said.
        reason: String,
    },
    /// A peer did not answer in time.
    #[error("party {peer} did not answer within {waited:?} at `{label}`")]
    Deadline {
        /// Who was awaited.
        peer: PartyId,
        /// The round in which it was awaited.
        label: &'static str,
        /// How long.
        waited: Duration,
    },
    /// A peer's bytes are not what the protocol allows here.
    #[error("party {peer} sent a malformed message at `{label}`: {what}")]
    Malformed {
        /// Who sent it.
        peer: PartyId,
        /// The round in which it was read.
        label: &'static str,
        /// What is wrong with it; constant text.
        what: &'static str,
    },
    /// A check that only a deviating party can fail has failed.
    #[error("the check `{check}` failed{}", culprit.map(|p| format!(": party {p} deviated")).unwrap_or_default())]
    Cheating {
        /// Which check.
        check: &'static str,
        /// Who, where it can be named.
        culprit: Option<PartyId>,
    },
    /// The parties' data break what the computation was told of them: every party sees it, none a value.
    #[error("the data are not as declared: {0}")]
    Data(String),
    /// A bound of this node was reached.
    #[error("exhausted: {0}")]
    Exhausted(&'static str),
    /// This node or a peer declined to take part.
    #[error("refused: {0}")]
    Refused(String),
}
