//! A job's steps into the city's log. What the parties have signed is put together here and entered as one batch; the scheduler goes on when it is told
//! that all agencies cosigned. Nothing is entered before all parties have accepted, so a refusal costs nobody anything.

use super::attempt::{Phase, rank};
use super::*;
use ledger::entry::{self, Body, Entry};
use query::message::mirror::Refused;

/// What the log is to take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ForLog {
    /// A step of an attempt: [`Scheduler::entered`] is to be told what became of it.
    Step { job: QueryId, attempt: u32, entries: Vec<String> },
    /// The end of an attempt, if it runs there, as parties signed it: one stands, the first that may.
    Abort(Vec<String>),
}

/// A job whose parts are all here.
pub(crate) struct Ending {
    attempt: u32,
    sealed: Vec<Part>,
    result: String,
}

impl Scheduler {
    /// What the log is to take now.
    pub(crate) fn for_log(&mut self) -> Vec<ForLog> {
        std::mem::take(&mut self.for_log)
    }

    /// Enters query, debits and start; and before the start the end of an attempt that the log may take to be running.
    pub(super) fn enter_start(&mut self, job: QueryId, now: Now) {
        let Some(attempt) = self.running.get_mut(&job) else { return };
        match begun(attempt) {
            Ok(entries) => {
                attempt.phase = Phase::Entering;
                attempt.deadline = now.at + ENTERING;
                self.for_log.push(ForLog::Step { job, attempt: attempt.number, entries });
            }
            Err(why) => self.end_unlogged(job, Refused::new("E_LEDGER_ENTRY", why), now),
        }
    }

    /// A party signed the end of an attempt. Whatever has become of the job meanwhile, the log is to say that it is over; while the others' reasons are awaited
    /// it waits with them, since the first to arrive may only be a consequence, and the log keeps one.
    pub(super) fn signed_end(&mut self, party: usize, job: QueryId, number: u32, code: Code, entries: Vec<String>) {
        match self.attempt(job, number).filter(|attempt| !attempt.is_answered(party)) {
            Some(attempt) => attempt.ends.extend(entries.into_iter().map(|entry| (rank(code), party, entry))),
            None if entries.is_empty() => {}
            None => self.for_log.push(ForLog::Abort(entries)),
        }
    }

    /// Takes an attempt that is over from those under way; its end goes onto the log.
    pub(super) fn take_running(&mut self, job: QueryId) -> Option<Attempt> {
        let mut attempt = self.running.remove(&job)?;
        attempt.ends.sort();
        if !attempt.ends.is_empty() {
            self.for_log.push(ForLog::Abort(attempt.ends.drain(..).map(|(.., entry)| entry).collect()));
        }
        Some(attempt)
    }

    /// Enters the result.
    pub(super) fn enter_result(&mut self, job: QueryId, attempt: u32, sealed: Vec<Part>, now: Now) {
        match entry::join(sealed.iter().filter_map(|part| part.entry.as_deref())) {
            Ok(result) => {
                self.take_running(job);
                self.ending.insert(job, Ending { attempt, sealed, result: result.clone() });
                self.for_log.push(ForLog::Step { job, attempt, entries: vec![result] });
            }
            Err(error) => {
                let why = format!("the parties signed no result, or different ones: {error}");
                self.end_unlogged(job, Refused::new("E_LEDGER_ENTRY", why), now);
            }
        }
    }

    /// What became of a step: the checkpoint with it, which all agencies cosigned.
    pub(crate) fn entered(&mut self, job: QueryId, attempt: u32, result: Result<String, Refused>, now: Now) {
        if let Some(Ending { sealed, result: entry, .. }) = self.ending.get(&job).filter(|ending| ending.attempt == attempt) {
            return match result {
                Ok(_) => {
                    let sealed = sealed.clone();
                    self.finish(job, attempt, &sealed, now);
                }
                // An agency is away. The result is in the log all the same, and cosigned once it is back.
                Err(refused) if refused.code == "E_LEDGER_QUORUM" && self.jobs.get(&job).is_some_and(|job| job.expires > now.unix()) => {
                    self.for_log.push(ForLog::Step { job, attempt, entries: vec![entry.clone()] });
                }
                Err(refused) => self.end_unlogged(job, refused, now),
            };
        }
        let enters = self.attempt(job, attempt).is_some_and(|attempt| attempt.phase == Phase::Entering);
        match result {
            Ok(checkpoint) if enters => self.start(job, Some(checkpoint), now),
            Err(refused) if enters => self.end_unlogged(job, refused, now),
            // It ended while its start was entered: the parties, told once more, sign its end for the log.
            Ok(_) => {
                let why = self.jobs.get(&job).and_then(|record| record.refusals.first());
                let code = StopCode::of(why.map_or(Code::Peer, |why| why.refusal.code));
                for party in 0..self.seats.len() {
                    self.send(party, ToParty::Stop(Stop { job, attempt, code }), now);
                }
            }
            Err(_) => {}
        }
    }

    fn end_unlogged(&mut self, job: QueryId, refused: Refused, now: Now) {
        let code = Code::of_ledger(&refused.code);
        let reason = format!("the job does not stand on the city's log: {refused}");
        self.end(job, JobState::Failed, vec![PartyRefusal::of_coordinator(Refusal::new(code, reason, refused.fix))], now);
    }
}

/// The entries with which an attempt begins.
fn begun(attempt: &Attempt) -> Result<Vec<String>, String> {
    let (mut entries, mut aborts, mut starts) = (Vec::from_iter(attempt.entry.clone()), Vec::new(), Vec::new());
    for signed in attempt.entries().flatten() {
        match Entry::parse(signed.as_bytes()).map_err(|error| error.to_string())?.body {
            Body::Debit(_) => entries.push(signed.clone()),
            Body::Abort(_) => aborts.push(signed.clone()),
            Body::Start(_) => starts.push(signed.as_str()),
            other => return Err(format!("a party signed a `{}` with its acceptance", other.kind())),
        }
    }
    entries.append(&mut aborts);
    entries.push(entry::join(starts).map_err(|error| format!("the start: {error}"))?);
    Ok(entries)
}

/// Longer than the log takes before it says that it has no quorum.
const ENTERING: Duration = Duration::from_secs(60);
