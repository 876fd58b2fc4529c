//! What the city's log says of one data set: who asked what of which columns, what for and under which contract, what came of it, and what it
//! cost. The log was verified before; what it does not say (the words of a question, what was released) is shown to whoever holds the opening.
//!
//! ```text
//! history  the entries that concern it, put together
//! openings what their commitments hide, where somebody holds it
//! released what came out, where the SQL is known
//! total    what they come to
//! told     as JSON
//! page     as a page to print: html writes it, chart its pictures
//! ```

mod chart;
pub mod history;
mod html;
pub mod openings;
pub mod page;
pub mod released;
pub mod told;
pub mod total;

pub use history::{History, Place, Question, Reader, State};
pub use openings::{Opened, Openings};
pub use total::{Total, Totals};

use ledger::contract::{Epsilon, Time};

/// A log that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// Its root, as a checkpoint spells it.
    pub root: String,
    /// The checkpoint it was verified with.
    pub checkpoint: String,
}

/// What is known of the whole: the logs, and when that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The logs, the oldest first; the last is the one that goes on.
    pub logs: Vec<Source>,
    /// Who cosigned its checkpoint, with the time each states.
    pub cosigners: Vec<(String, u64)>,
}

impl Standing {
    /// The newest time that a cosigner states: the log is known up to here.
    pub fn time(&self) -> u64 {
        self.cosigners.iter().map(|(_, time)| *time).max().unwrap_or_default()
    }

    /// A place in words: the number alone in the log that goes on, with the log's name in those before.
    pub fn name(&self, place: Place) -> String {
        match self.logs.get(place.log) {
            Some(log) if place.log + 1 < self.logs.len() => format!("{}#{}", log.origin, place.index),
            _ => place.index.to_string(),
        }
    }
}

/// ε as contracts spell it, from millionths.
pub(crate) fn epsilon(millionths: i128) -> String {
    Epsilon::to_string(&ledger::contract::Decimal(millionths))
}

/// A time as contracts spell it. What is beyond their last year is in it.
pub(crate) fn time(seconds: u64) -> String {
    const LAST: u64 = 253_402_300_799;
    Time(seconds.min(LAST)).to_string()
}

/// The month of a time: `2026-11`.
pub(crate) fn month(seconds: u64) -> String {
    time(seconds)[..7].to_owned()
}
