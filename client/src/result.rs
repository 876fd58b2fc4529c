//! From three sealed shares to an answer. Everything is checked against the planner's *own* roster and the plan it compiled
//! itself; the coordinator, which handed the shares over, is believed nothing.

use crate::client::Asked;
use crate::error::Error;
use crate::render;
use ledger::bytes::Hash;
use mpc_core::roster::Roster;
use query::datafusion::arrow::array::RecordBatch;
use query::finish::{FinishError, finish};
use query::ground::Ground;
use query::local::{Local, Tables};
use query::message::job::SealedResults;
use query::message::{Measured, Sealed, Statement};
use query::wire;
use std::time::Duration;

/// An answer that checked out.
#[derive(Debug)]
pub struct Answer {
    /// Its rows.
    pub rows: RecordBatch,
    /// What it cost.
    pub costs: Costs,
    /// From signing to the finished answer.
    pub elapsed: Duration,
}

/// What the parties say an answer cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Costs {
    /// Each party with what each operator cost there.
    pub parties: Vec<(String, Vec<Measured>)>,
}

impl Costs {
    /// Rounds of the party that had most.
    pub fn rounds(&self) -> u64 {
        self.parties.iter().map(|(_, m)| m.iter().map(|m| m.rounds).sum()).max().unwrap_or(0)
    }

    /// Payload bytes sent by all parties together.
    pub fn bytes(&self) -> u64 {
        self.parties.iter().flat_map(|(_, m)| m).map(|m| m.bytes).sum()
    }

    /// `12 rounds, 34.2 kB among the parties`.
    pub fn words(&self) -> String {
        format!("{} rounds, {} among the parties", self.rounds(), render::bytes(self.bytes()))
    }
}

/// A party's verified and opened share.
pub(crate) struct Share {
    pub party: String,
    pub sealed: Sealed,
    pub bytes: party::seal::Opened,
}

/// Verifies all three notes and opens what they seal.
pub(crate) fn verify(asked: &Asked, results: &SealedResults, roster: &Roster) -> Result<Vec<Share>, Error> {
    let wrong =
        |what: String| Error::Untrusted(format!("{what}; if it happens again, tell the operators of the coordinator and of the party"));
    let plan_hash = Hash(asked.plan.hash());
    if results.job != asked.job {
        return Err(wrong(format!("the coordinator hands over the result of another job ({})", results.job.short())));
    }
    let mut shares: Vec<Share> = Vec::new();
    for node in roster.parties() {
        let name = &node.name;
        let mut notes = results.sealed.iter().filter(|s| s.party == *name);
        let (Some(note), None) = (notes.next(), notes.next()) else {
            return Err(wrong(format!("the coordinator does not hand over exactly one share of the party {name}")));
        };
        let sealed = Sealed::open(&note.note, name, &node.key).map_err(|e| wrong(format!("the share of {name} is refused: {e}")))?;
        if sealed.job != asked.job {
            return Err(wrong(format!("the share of {name} belongs to another job ({})", sealed.job.short())));
        }
        if sealed.plan_hash != plan_hash {
            return Err(wrong(format!(
                "{name} ran another plan ({}) than this client compiled ({})",
                sealed.plan_hash.short(),
                plan_hash.short()
            )));
        }
        if let Some(first) = shares.first() {
            if (sealed.attempt, sealed.sid) != (first.sealed.attempt, first.sealed.sid) {
                return Err(wrong(format!("the shares of {} and {name} are of different sessions", first.party)));
            }
            if sealed.digests != first.sealed.digests {
                return Err(wrong(format!("{} and {name} worked from different public data", first.party)));
            }
        }
        let bytes = party::seal::open(&asked.key, &sealed, name).map_err(|e| wrong(format!("the share of {name}: {e}")))?;
        shares.push(Share { party: name.clone(), sealed, bytes });
    }
    Ok(shares)
}

/// Verifies, opens, adds up and finishes.
pub(crate) fn open(asked: &Asked, results: &SealedResults, roster: &Roster, public: &Tables) -> Result<Answer, Error> {
    let shares = verify(asked, results, roster)?;
    let local = Local::new(FINISH_MEMORY).map_err(|e| Error::internal(e.to_string()))?;
    let ground = Ground::new(&asked.plan, &local, public).map_err(|e| Error::Failed(e.to_string()))?;
    let mut parts = Vec::new();
    let mut costs = Costs::default();
    for share in shares {
        let part = wire::decode(&share.bytes, &asked.plan, &ground);
        let wrong = || Error::Untrusted(format!("the share of {} has not the shape its plan prescribes", share.party));
        parts.push((share.party.clone(), part.ok_or_else(wrong)?));
        costs.parties.push((share.party, share.sealed.measured));
    }
    let rows = finish(&asked.plan, &ground, &local, &parts).map_err(|e| match e {
        FinishError::Answer(_) | FinishError::Type(..) => Error::Failed(e.to_string()),
        _ => Error::Untrusted(e.to_string()),
    })?;
    Ok(Answer { rows, costs, elapsed: asked.since.elapsed() })
}

/// What finishing an answer may use; released tables are small.
const FINISH_MEMORY: usize = 512 << 20;
