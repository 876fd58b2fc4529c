//! Jobs in the log: their steps, each a batch of its own and cosigned by everybody; and what planners must know to ask, and are given
//! as proof.

use super::*;
use ledger::audit::prove;
use ledger::entry::Body;
use ledger::replay::Phase;
use query::citylog::Before;
use query::message::job::{Receipted, Spent};
use std::collections::{BTreeMap, BTreeSet};

impl Ledger {
    /// Enters a step of a job, whole or not at all, and waits until every agency has cosigned. What stands already of the entries before the last is
    /// passed over. Says the checkpoint.
    ///
    /// # Errors
    /// An entry may not stand, or not all cosign in time.
    pub async fn enter(&self, entries: Vec<String>) -> Result<String, Refused> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Enter { entries, reply }).await;
        patiently(answer).await
    }

    /// What planners must know to ask.
    pub async fn standing(&self, planner: Option<String>) -> Option<Standing> {
        self.ask(|reply| Command::Standing { planner, reply }).await.flatten()
    }

    /// Where a job is in the log.
    pub async fn places(&self, job: QueryId) -> Option<Places> {
        self.ask(|reply| Command::Places { job, reply }).await.flatten()
    }

    /// The proof that a job was asked and answered.
    pub async fn receipts(&self, job: QueryId) -> Option<OnLog> {
        self.ask(|reply| Command::Receipts { job, reply }).await.flatten()
    }
}

/// What stands at some size: the places of the contracts, what was used of them, which are revoked, the snapshots, what is spent, and whom which noise was given to.
#[derive(Clone, Default)]
pub(super) struct Stands {
    contracts: Vec<(usize, u64)>,
    snapshots: BTreeMap<String, Hash>,
    spent: Vec<Spent>,
    used: BTreeMap<Hash, u64>,
    revoked: BTreeSet<Hash>,
    given: BTreeMap<String, BTreeSet<Hash>>,
}

/// Contracts by their places in logs before this one.
pub(super) type Earlier = BTreeMap<(usize, u64), String>;

/// Reads the contracts that stand from the logs before this one.
pub(super) fn earlier(sequencer: &Sequencer, before: Option<&Before>) -> Result<Earlier, String> {
    let replay = sequencer.replay();
    let Some(before) = before else { return Ok(Earlier::new()) };
    let read = |place: (usize, u64)| {
        let entry = before.entry(place.0, place.1)?;
        Ok((place, String::from_utf8(entry).map_err(|error| error.to_string())?))
    };
    replay.contracts().filter(|(log, _)| *log < replay.earlier()).map(read).collect()
}

impl Stands {
    pub(super) fn of(sequencer: &Sequencer) -> Self {
        let replay = sequencer.replay();
        let mut contracts: Vec<(usize, u64)> = replay.contracts().collect();
        contracts.sort_unstable();
        let spent = replay.accounts().all().map(|(account, loss)| Spent { account: account.clone(), loss });
        let mut given: BTreeMap<String, BTreeSet<Hash>> = BTreeMap::new();
        for (planner, noise) in replay.accounts().given() {
            given.entry(planner.to_owned()).or_default().insert(*noise);
        }
        let used = replay.used().map(|(contract, used)| (*contract, used)).collect();
        Self {
            contracts,
            snapshots: replay.snapshots().clone(),
            used,
            revoked: replay.revoked().copied().collect(),
            spent: spent.collect(),
            given,
        }
    }
}

impl Log {
    pub(super) fn enter(&mut self, entries: &[String]) -> Result<u64, Refused> {
        if let Some(place) = entries.last().and_then(|last| self.result_stands(last)) {
            return Ok(place);
        }
        if let Some(Body::Query(query)) = entries.first().and_then(|first| Entry::parse(first.as_bytes()).ok()).map(|entry| entry.body)
            && self.sequencer.replay().job(&query.job).is_some_and(|job| job.log < self.sequencer.replay().earlier())
        {
            // Its planner could not be shown a proof of both ends.
            return Err(Refused::new("E_LEDGER_REPLAY", "the query stands in the log before this one, and its answer would in this one"));
        }
        let entries: Vec<&[u8]> = entries.iter().map(String::as_bytes).collect();
        self.sequencer.submit_step(&entries).map_err(|error| {
            if matches!(error, SequencerError::Forgotten { .. }) {
                self.stops(&error);
            }
            Refused::new(error.code(), error)
        })
    }

    /// The place of this very result: a coordinator that was restarted enters it again.
    fn result_stands(&self, entry: &str) -> Option<u64> {
        let Body::Result(outcome) = Entry::parse(entry.as_bytes()).ok()?.body else { return None };
        let job = self.sequencer.replay().job(&outcome.job)?;
        job.answered.filter(|_| job.phase == Phase::Done { result: outcome.result })
    }

    /// Answers those whose step all agencies have cosigned. A party passes no attempt before.
    pub(super) fn steps_cosigned(&mut self) {
        let Some(published) = self.sequencer.published() else { return };
        let size = published.head().size;
        let by = |seat: &Seat| seat.cosigned.is_some_and(|(cosigned, _)| cosigned == size);
        if !self.seats.iter().all(by) {
            return;
        }
        let note = published.note().to_owned();
        for (index, reply) in std::mem::take(&mut self.steps) {
            match index < size {
                // Whoever asked may have gone.
                true => drop(reply.send(Ok(note.clone()))),
                false if reply.is_closed() => {}
                false => self.steps.push((index, reply)),
            }
        }
    }

    pub(super) fn standing(&self, planner: Option<&str>) -> Option<Standing> {
        let here = |index| self.sequencer.store().entry(index).ok().and_then(|entry| String::from_utf8(entry).ok());
        let note = |place: &(usize, u64)| self.earlier.get(place).cloned().or_else(|| here(place.1));
        let contracts = self.standing.contracts.iter().map(note).collect::<Option<_>>()?;
        let Stands { snapshots, used, revoked, spent, given, .. } = &self.standing;
        let (snapshots, used, revoked, spent) = (snapshots.clone(), used.clone(), revoked.clone(), spent.clone());
        let given = planner.and_then(|planner| given.get(planner)).cloned().unwrap_or_default();
        Some(Standing { origin: self.sequencer.head().origin.clone(), contracts, snapshots, used, revoked, spent, given })
    }

    pub(super) fn places(&self, job: QueryId) -> Option<Places> {
        let sealed = |place: &u64| *place < self.sequencer.store().size();
        let job = self.sequencer.replay().job(&job.0).filter(|job| job.log == self.sequencer.replay().earlier())?;
        sealed(&job.asked).then(|| Places { query: job.asked, result: job.answered.filter(sealed) })
    }

    pub(super) fn receipts(&self, job: QueryId) -> Option<OnLog> {
        let Places { query, result } = self.places(job)?;
        let result = result?;
        let (debits, start) = self.begun(job, query..result)?;
        let checkpoint = self.sequencer.published()?;
        let receipted = |index: u64| {
            let entry = String::from_utf8(self.sequencer.store().entry(index).ok()?).ok()?;
            let receipt = prove(self.sequencer.store(), checkpoint, index).ok()?.to_string();
            Some(Receipted { entry, receipt })
        };
        let debits = debits.into_iter().map(receipted).collect::<Option<_>>()?;
        Some(OnLog { query: receipted(query)?, debits, start: receipted(start)?, result: receipted(result)? })
    }

    /// The places of a job's debits, and of the start of its last attempt. A first attempt's are right behind the query.
    fn begun(&self, job: QueryId, within: std::ops::Range<u64>) -> Option<(Vec<u64>, u64)> {
        let attempt = self.sequencer.replay().job(&job.0)?.attempt;
        let mut debits = Vec::new();
        for index in within {
            let entry = self.sequencer.store().entry(index).ok()?;
            match Entry::parse(&entry).ok()?.body {
                Body::Debit(debit) if debit.job == job.0 => debits.push(index),
                Body::Start(start) if start.job == job.0 && start.attempt == attempt => return Some((debits, index)),
                _ => {}
            }
        }
        None
    }
}
