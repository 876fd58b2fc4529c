//! What people and programs read of a job over the coordinator's HTTP API.

use super::frame::Progress;
use super::{Failed, QueryId, Refusal, Refuse, Statement};
use crate::joblog::QueryEntry;
use ledger::budget::{Account, Loss};
use ledger::bytes::Hash;
use mpc_core::roster::Roster;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn, or for the parties to be there.
    Queued,
    /// The parties are asked.
    Offered,
    /// The parties compute.
    Running,
    /// Three sealed results lie ready.
    Done,
    /// Over, without a result.
    Failed,
    /// Taken back by the planner.
    Cancelled,
}

impl JobState {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// A job as anyone may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// The query's id.
    pub job: QueryId,
    /// Who asked.
    pub planner: String,
    /// Where it is.
    pub state: JobState,
    /// The current attempt; 0 before the first.
    pub attempt: u32,
    /// Jobs before it, while it is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// Parties it waits for, while it is queued and they are not connected (or connected with another roster or catalogue).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
    /// Unix seconds.
    pub submitted: u64,
    /// Unix seconds of the current attempt's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<u64>,
    /// Unix seconds: when the query lapses while it waits, or its record and result are removed once it is over.
    pub expires: u64,
    /// The plan all three accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<Hash>,
    /// Every party's last word on how far it is.
    #[serde(default)]
    pub progress: Vec<PartyProgress>,
    /// Why it failed, or why the last attempt did; all refusals of all parties.
    #[serde(default)]
    pub refusals: Vec<PartyRefusal>,
    /// Where it stands in the city's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Places>,
}

/// The places of a job's entries in the city's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Of its query.
    pub query: u64,
    /// Of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<u64>,
}

/// How far one party is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyProgress {
    /// Which party.
    pub party: String,
    /// Its word.
    pub progress: Progress,
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyRefusal {
    /// Who refuses: a party, or `None` for the coordinator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<String>,
    /// Why.
    pub refusal: Refusal,
    /// The party's own signed [`Refuse`] or [`Failed`] that says so, for whoever would not take the coordinator's word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl PartyRefusal {
    /// The coordinator's own.
    pub fn of_coordinator(refusal: Refusal) -> Self {
        Self { party: None, refusal, note: None }
    }

    /// What the party itself has signed, if its note says this of this job.
    pub fn signed(&self, job: QueryId, roster: &Roster) -> Option<Word> {
        let Self { party: Some(party), refusal, note: Some(note) } = self else { return None };
        let node = roster.parties().find(|node| node.name == *party)?;
        if Refuse::open(note, party, &node.key).is_ok_and(|said| said.job == job && said.refusal == *refusal) {
            return Some(Word::Refused);
        }
        let failed = Failed::open(note, party, &node.key).is_ok_and(|said| said.job == job && said.refusal == *refusal);
        failed.then_some(Word::Failed)
    }
}

/// A party's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It did not begin.
    Refused,
    /// It began, and ended without a result.
    Failed,
}

/// One thing that happened to a job. In a stream of server-sent events the event's id is `seq`, and its data this object;
/// a stream may be resumed behind any `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up within a job; gaps may be seen after a restart.
    pub seq: u64,
    /// Unix milliseconds.
    pub at: u64,
    /// What.
    pub what: What,
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum What {
    /// It entered a state; a final one ends the stream.
    State {
        /// Which.
        state: JobState,
        /// Of this attempt.
        attempt: u32,
    },
    /// A party accepted.
    Accepted {
        /// Who.
        party: String,
        /// What it compiled.
        plan_hash: Hash,
    },
    /// A party refused or failed, or (without a name) the coordinator gave up.
    Refused(PartyRefusal),
    /// A party is this far.
    Progress(PartyProgress),
    /// A party's sealed result is here.
    Sealed {
        /// Whose.
        party: String,
    },
}

/// The body of `POST /v1/jobs` and of `DELETE /v1/jobs/{id}`; the bare text of the note does as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// The signed [`super::Query`], or [`super::Cancel`].
    pub note: String,
    /// The entry about the query, where the city keeps a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<QueryEntry>,
}

/// `POST /v1/jobs` answers with this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The job's id, which a planner can compute too.
    pub job: QueryId,
    /// Where it is; a query sent twice is one job.
    pub state: JobState,
}

/// `GET /v1/jobs/{id}/result` answers with this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedResults {
    /// Whose result.
    pub job: QueryId,
    /// The attempt that gave it.
    pub attempt: u32,
    /// One signed [`super::Sealed`] a party, in the order of the roster.
    pub sealed: Vec<SealedNote>,
    /// Its query and its result in the city's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<OnLog>,
}

/// A job in the city's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnLog {
    /// What was asked.
    pub query: Receipted,
    /// What it cost each data set.
    pub debits: Vec<Receipted>,
    /// The start of the attempt that answered it.
    pub start: Receipted,
    /// That it was answered.
    pub result: Receipted,
}

/// An entry of the city's log, and that it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipted {
    /// The entry.
    pub entry: String,
    /// Its receipt, as <https://c2sp.org/tlog-proof> has it.
    pub receipt: String,
}

/// `GET /v1/standing?planner=NAME` answers with this: what a planner must know of the log to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The log's name.
    pub origin: String,
    /// The contracts that are not revoked, as they stand there.
    pub contracts: Vec<String>,
    /// The latest snapshot of every data set.
    pub snapshots: BTreeMap<String, Hash>,
    /// How many uses of these contracts jobs have taken, where any have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub used: BTreeMap<Hash, u64>,
    /// The contracts that were revoked.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub revoked: BTreeSet<Hash>,
    /// What planners have spent of budgets of noise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spent: Vec<Spent>,
    /// The noise on the answers that the planner was given who is named in the request: given again, they cost nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub given: BTreeSet<Hash>,
}

/// What is spent of an account of noise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Of which.
    pub account: Account,
    /// How much.
    pub loss: Loss,
}

/// A party's signed [`super::Sealed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedNote {
    /// Whose.
    pub party: String,
    /// The note.
    pub note: String,
}

/// `GET /v1/status` answers with this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CityStatus {
    /// The coordinator's release.
    pub version: String,
    /// The coordinator's clock, Unix milliseconds.
    pub now: u64,
    /// Its roster.
    pub roster_hash: Hash,
    /// Its catalogue.
    pub catalog_hash: Hash,
    /// Every party of the roster.
    pub parties: Vec<PartyStatus>,
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that run.
    pub running: u64,
    /// The city's log, if it keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerStatus>,
}

/// The city's log as its sequencer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerStatus {
    /// The log's name.
    pub origin: String,
    /// Its entries.
    pub size: u64,
    /// Entries of the newest checkpoint that a quorum cosigned.
    pub published: Option<u64>,
    /// Seconds since a quorum last cosigned.
    pub age: Option<u64>,
    /// How many agencies make a quorum.
    pub quorum: u64,
    /// The agencies that cosign.
    pub agencies: Vec<LedgerAgency>,
    /// What keeps the log from going on, with its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One agency's part in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerAgency {
    /// Its name.
    pub name: String,
    /// Entries of the newest checkpoint it cosigned since the coordinator's start.
    pub cosigned: Option<u64>,
    /// Why it does not cosign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One party as the coordinator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyStatus {
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Its release, once it was connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What keeps it from taking part although it is connected: another roster or catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
