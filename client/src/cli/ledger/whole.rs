//! A whole log, with those before it, checked before anything of it is believed.

use super::files::{self, Files, Log, OwnLogArgs, fails};
use crate::error::Error;
use clap::Args;
use ledger::audit::{self, Audit};
use ledger::checkpoint::Checkpoint;
use ledger::entry::{Body, Entry, HandOver};
use ledger::policy::Policy;
use ledger::replay::Replay;
use mpc_core::roster::Roster;
use query::citylog;
use std::path::PathBuf;

/// Which log, and whom to believe about it.
#[derive(Debug, Args)]
pub(in crate::cli) struct WholeArgs {
    #[command(flatten)]
    pub log: OwnLogArgs,
    /// Whom to believe (C2SP tlog-policy); if left out, as the configuration says
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The city's roster: its members are the founders, who may admit themselves; if left out, that of the configuration
    #[arg(long, value_name = "FILE")]
    pub roster: Option<PathBuf>,
    /// The log that was handed over to this one, and those before it, the oldest first
    #[arg(long, value_name = "LOG")]
    pub after: Vec<PathBuf>,
}

/// A log of which every hash, signature and rule holds.
pub(in crate::cli) struct Whole {
    /// Those that were handed over, the oldest first, and the log itself.
    pub logs: Vec<Log>,
    /// What it amounts to.
    pub audit: Audit,
    /// Who cosigned its checkpoint, with the time each states.
    pub cosigners: Vec<(String, u64)>,
}

impl WholeArgs {
    pub fn verify(&self) -> Result<Whole, Error> {
        let policy = self.log.policy(self.policy.as_deref())?;
        let roster = self.roster.clone().map_or_else(|| Ok::<_, Error>(self.log.known()?.roster), Ok)?;
        let roster = Roster::load(&roster).map_err(|error| Error::config(error.to_string()))?;
        let mut logs = Vec::new();
        let after = if self.log.log.is_none() && self.after.is_empty() { self.log.known()?.after } else { self.after.clone() };
        let log = self.log.open()?;
        files::believed(&log.checkpoint, &policy, ", or leave LOG out and name the agency's party.toml with --config: it is fetched then")?;
        let audit = audited(log, &policy, &roster, &after, &mut logs)?;
        let cosigners = logs.last().map_or(Ok(Vec::new()), |log| files::cosigners(&log.checkpoint, &policy))?;
        Ok(Whole { logs, audit, cosigners })
    }
}

/// Checks a log, those `before` it first, and puts them to `logs` in this order.
pub(super) fn audited(log: Log, policy: &Policy, roster: &Roster, before: &[PathBuf], logs: &mut Vec<Log>) -> Result<Audit, Error> {
    let head = policy.check(&log.checkpoint, None, &[]).map_err(|error| fails(error.code(), error))?;
    let known = policy.logs().iter().find(|log| log.name() == head.origin);
    let key = known.cloned().ok_or_else(|| Error::internal("a log that the policy believes is not in it"))?;
    let beginning = match (handed_over(&log.files, head.size)?, before.split_last()) {
        (None, _) => Replay::new(key, citylog::founders(roster).map_err(|error| Error::config(error.to_string()))?),
        (Some(over), last) => {
            let previous = Checkpoint::parse(&over.previous).map_err(|error| fails("E_LEDGER_ENTRY", error))?;
            let missing = || {
                let origin = &previous.head().origin;
                Error::config(format!(
                    "this log goes on where `{origin}` ended, and cannot be checked without it: give its files with --after"
                ))
            };
            let (last, rest) = last.ok_or_else(missing)?;
            let previous = Log { files: Files::open(last)?, checkpoint: previous };
            let audit = audited(previous, policy, roster, rest, logs)?;
            audit.replay.succeed(key, audit.head.root)
        }
    };
    let audit = audit::audit(&log.files, &log.checkpoint, policy, beginning).map_err(|error| fails(error.code(), error))?;
    logs.push(log);
    Ok(audit)
}

/// What a log that goes on where another ended begins with.
fn handed_over(files: &Files, size: u64) -> Result<Option<HandOver>, Error> {
    if size == 0 {
        return Ok(None);
    }
    Ok(match Entry::parse(&files.entry(0, size)?).map(|entry| entry.body) {
        Ok(Body::HandOver(over)) => Some(*over),
        _ => None,
    })
}
