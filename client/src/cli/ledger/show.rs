//! `tacit ledger show`.

use super::files::{LogArgs, fails, root};
use crate::cli::{Done, print};
use crate::error::Error;
use crate::render::{Table, plain};
use clap::Args;
use ledger::entry::{Body, Entry};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// List the entries of a log, or read one
#[derive(Debug, Args)]
#[command(after_long_help = SHOW_HELP)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The number of an entry to read as it stands
    #[arg(value_name = "ENTRY")]
    index: Option<u64>,
    /// Only entries of this kind, such as `job-debit`
    #[arg(long, value_name = "KIND", conflicts_with = "index")]
    kind: Option<String>,
    /// Only what concerns the job whose id begins so
    #[arg(long, value_name = "JOB", conflicts_with = "index")]
    job: Option<String>,
    /// How many of the last such entries
    #[arg(long, value_name = "N", default_value_t = 40, conflicts_with = "index")]
    last: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

const SHOW_HELP: &str = "Examples:
  tacit ledger show energy/state/ledger
  tacit ledger show energy/state/ledger --kind job-debit --last 1000 --json
  tacit ledger show energy/state/ledger --job 5f0c8a
  tacit ledger show energy/state/ledger 17

Nothing is verified here: `tacit ledger audit` does that. The kinds are member, contract, revoke, dataset, job-query, job-debit, job-start, job-result,
job-abort, evidence and handover.";

pub(super) fn show(args: &ShowArgs) -> Done {
    if let Some(kind) = args.kind.as_deref().filter(|kind| !Body::KINDS.contains(kind)) {
        return Err(Error::config(format!("there is no kind of entry `{kind}`; there are {}", Body::KINDS.join(", "))).into());
    }
    let log = args.log.open()?;
    let head = log.checkpoint.head();
    if let Some(index) = args.index {
        let entry = log.files.entry(index, head.size)?;
        let text = match args.json {
            true => format!("{}\n", told(index, &parsed(index, &entry)?)),
            false => plain(&String::from_utf8_lossy(&entry)),
        };
        return Ok(print(&text)?);
    }
    let mut seen = VecDeque::new();
    log.files.each(0..head.size, head.size, |index, bytes| {
        let entry = parsed(index, bytes)?;
        let kind = args.kind.as_ref().is_none_or(|kind| entry.body.kind() == kind);
        let job = args.job.as_ref().is_none_or(|wanted| about(&entry.body).0.is_some_and(|job| job.starts_with(wanted.as_str())));
        if kind && job && args.last > 0 {
            seen.truncate(args.last - 1);
            seen.push_front(match args.json {
                true => Shown::Json(told(index, &entry)),
                false => Shown::Row(row(index, &entry)),
            });
        }
        Ok(())
    })?;
    let mut table = Table::new(["entry", "kind", "signed by", "job", "what"]);
    let mut text = String::new();
    for shown in seen.into_iter().rev() {
        match shown {
            Shown::Json(value) => text += &format!("{value}\n"),
            Shown::Row(row) => table.push(row),
        }
    }
    if !args.json {
        text = format!("{}: {} entries, root {}\n\n{}", head.origin, head.size, root(head), table.aligned());
    }
    Ok(print(&text)?)
}

enum Shown {
    Json(Value),
    Row([String; 5]),
}

fn parsed(index: u64, bytes: &[u8]) -> Result<Entry<'_>, Error> {
    Entry::parse(bytes).map_err(|error| fails("E_LEDGER_ENTRY", format!("entry {index}: {error}")))
}

fn signers<'a>(entry: &Entry<'a>) -> Vec<&'a str> {
    entry.signatures.iter().map(|signature| signature.name).collect()
}

fn told(index: u64, entry: &Entry<'_>) -> Value {
    let body = entry.text.lines().nth(1).and_then(|line| serde_json::from_str::<Value>(line).ok());
    json!({"index": index, "id": entry.id, "kind": entry.body.kind(), "signers": signers(entry), "body": body})
}

fn row(index: u64, entry: &Entry<'_>) -> [String; 5] {
    let (job, what) = about(&entry.body);
    let job = job.map(|job| job[..8].to_owned()).unwrap_or_default();
    [index.to_string(), entry.body.kind().into(), signers(entry).join(", "), job, what]
}

/// Which job an entry concerns, and what it says in a few words.
fn about(body: &Body) -> (Option<String>, String) {
    let lower = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    match body {
        Body::Member(member) => (None, format!("{}: {}, {}", member.name, lower(&member.role), lower(&member.standing))),
        Body::Contract(contract) => (None, contract.dataset.clone()),
        Body::Revoke(revoke) => (None, format!("the contract {}", revoke.contract.short())),
        Body::DataSet(data) => (None, format!("{}: snapshot {}, {} columns", data.dataset, data.snapshot.short(), data.columns.len())),
        Body::Query(query) => {
            let reads: Vec<&str> = query.reads.iter().map(|read| read.dataset.as_str()).collect();
            (Some(query.job.to_string()), format!("{}; reads {}", query.purpose, reads.join(", ")))
        }
        Body::Debit(debit) => {
            let epsilon = format!("{}.{:06}", debit.epsilon / 1_000_000, debit.epsilon % 1_000_000);
            let uses = if debit.uses == 1 { "1 use".into() } else { format!("{} uses", debit.uses) };
            (Some(debit.job.to_string()), format!("{}, {}: {uses}, ε {epsilon}", debit.dataset, debit.month))
        }
        Body::Start(start) => (Some(start.job.to_string()), format!("attempt {}", start.attempt)),
        Body::Result(result) => (Some(result.job.to_string()), format!("attempt {}", result.attempt)),
        Body::Abort(abort) => (Some(abort.job.to_string()), format!("attempt {}: {}", abort.attempt, abort.code)),
        Body::Evidence(exhibit) => {
            let against = exhibit.evidence.parse().map(|evidence: ledger::evidence::Evidence| evidence.key().name().to_owned());
            (None, format!("against {}", against.unwrap_or_default()))
        }
        Body::HandOver(over) => (None, format!("goes on as {}", over.key.name())),
    }
}
