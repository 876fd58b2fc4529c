//! What the scheduler tells of itself: job states, the city's state, metrics.

use super::*;
use query::message::job::{CityStatus, JobStatus, PartyProgress, PartyStatus};
use std::fmt::Write;

impl Scheduler {
    /// One job.
    pub(crate) fn status(&self, job: QueryId) -> Result<JobStatus, Refusal> {
        let record = self.jobs.get(&job).ok_or_else(|| no_such_job(job))?;
        Ok(self.describe(record))
    }

    /// The newest jobs, newest first.
    pub(crate) fn list(&self) -> Vec<JobStatus> {
        let mut records: Vec<&Record> = self.jobs.values().collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.order));
        records.truncate(MAX_LISTED);
        records.into_iter().map(|record| self.describe(record)).collect()
    }

    fn describe(&self, record: &Record) -> JobStatus {
        let queued = record.state == JobState::Queued;
        let progress = self.running.get(&record.job).into_iter().flat_map(Attempt::progress);
        let progress =
            progress.map(|(party, progress)| PartyProgress { party: self.seats[party].node.name.clone(), progress: progress.clone() });
        JobStatus {
            job: record.job,
            planner: record.planner.clone(),
            state: record.state,
            attempt: record.attempt,
            ahead: queued.then(|| self.queue.range(..record.order).count() as u64),
            waiting_for: if queued { self.names(&self.missing()) } else { vec![] },
            submitted: record.submitted,
            started: record.started,
            finished: record.finished,
            expires: self.removal(record).unwrap_or(record.expires),
            plan_hash: record.plan_hash,
            progress: progress.collect(),
            refusals: record.refusals.clone(),
            log: None,
        }
    }

    /// The whole city.
    pub(crate) fn city(&self, now: Now) -> CityStatus {
        let party = |seat: &Seat| PartyStatus {
            name: seat.node.name.clone(),
            connected: seat.link.is_some(),
            version: seat.ready.as_ref().map(|ready| ready.version.clone()),
            trouble: seat.link.as_ref().and(seat.trouble.as_ref()).map(|trouble| trouble.reason.clone()),
        };
        CityStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            now: now.unix_ms,
            roster_hash: self.city.roster_hash,
            catalog_hash: self.city.catalog_hash,
            parties: self.seats.iter().map(party).collect(),
            queued: self.queue.len() as u64,
            running: self.running.len() as u64,
            ledger: None,
        }
    }

    /// Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: Vec<(String, u64)>| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let jobs = [("queued", self.queue.len()), ("running", self.running.len())];
        let jobs = jobs.map(|(state, count)| (format!("{{state=\"{state}\"}}"), count as u64));
        family("tacit_coordinator_jobs", "gauge", "Jobs that wait or run.", jobs.into());
        let ended = ["done", "failed", "cancelled"].iter().zip(self.finished);
        let ended = ended.map(|(outcome, count)| (format!("{{outcome=\"{outcome}\"}}"), count)).collect();
        family("tacit_coordinator_jobs_ended_total", "counter", "Jobs that ended since the start.", ended);
        let seats = self.seats.iter().map(|seat| (format!("{{party=\"{}\"}}", seat.node.name), u64::from(seat.link.is_some())));
        family("tacit_coordinator_party_connected", "gauge", "Whether a party is connected.", seats.collect());
        let kept = vec![(String::new(), self.jobs.len() as u64)];
        family("tacit_coordinator_records", "gauge", "Jobs on record, whatever their state.", kept);
        text
    }
}

const MAX_LISTED: usize = 200;
