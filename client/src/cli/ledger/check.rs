//! `tacit ledger verify`, `audit` and `prove`.

use super::files::{self, Files, OwnLogArgs, fails, root};
use super::known;
use super::whole::{Whole, WholeArgs};
use crate::cli::{Done, print};
use crate::config::read;
use crate::error::Error;
use crate::render::{Table, duration, plural};
use clap::Args;
use ledger::audit;
use ledger::bytes::Hash;
use ledger::checkpoint::Head;
use ledger::entry::Entry;
use ledger::policy::Window;
use ledger::receipt::Receipt;
use ledger::replay::Phase;
use ledger::tree;
use mpc_core::file::Kind;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Check a receipt: that an entry is in the log
#[derive(Debug, Args)]
#[command(after_long_help = VERIFY_HELP)]
pub(super) struct VerifyArgs {
    /// The receipt (C2SP tlog-proof), as `tacit ledger prove` makes it
    receipt: PathBuf,
    /// The entry, a signed note
    #[arg(long, value_name = "FILE")]
    entry: PathBuf,
    /// Whom to believe (C2SP tlog-policy); if left out, as the configuration says
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Whom to believe, if it is not said: a party.toml or a planner.toml; if left out, that of TACIT_CONFIG, else the planner's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Counts only cosignatures of the last so many seconds
    #[arg(long, value_name = "SECONDS")]
    fresh: Option<u64>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

const VERIFY_HELP: &str = "Examples:
  tacit ledger verify debit.proof --entry debit.note --policy city.policy
  tacit ledger verify debit.proof --entry debit.note --policy city.policy --fresh 60 --json
  tacit ledger verify debit.proof --entry debit.note                                      the policy that planner.toml or TACIT_CONFIG names

It needs receipt, entry and policy and nothing else: no log, no network. That the entry keeps the log's rules is what the agencies' `validated` cosignatures
under the receipt say; `tacit ledger audit` checks it anew.";

pub(super) fn verify(args: &VerifyArgs) -> Done {
    let receipt = read(&args.receipt, Kind::Receipt)?;
    let receipt: Receipt = receipt.parse().map_err(|error| Error::config(format!("{}: {error}", args.receipt.display())))?;
    let entry = read(&args.entry, Kind::Entry)?;
    let policy = known::policy(args.policy.as_deref(), args.config.as_deref())?;
    let window = args.fresh.map(|fresh| Ok::<_, Error>(Window { fresh, ..Window::at(now()?) })).transpose()?;
    let head = receipt.verify(entry.as_bytes(), &policy, window).map_err(|error| fails(error.code(), error))?;
    let parsed = Entry::parse(entry.as_bytes()).map_err(|error| fails("E_LEDGER_ENTRY", error))?;
    let signers: Vec<&str> = parsed.signatures.iter().map(|signature| signature.name).collect();
    let cosigners = files::cosigners(&receipt.checkpoint, &policy)?;
    let text = match args.json {
        true => {
            let cosigners = cosigners.iter().map(|(name, time)| json!({"name": name, "time": time})).collect::<Vec<_>>();
            let entry = json!({"index": receipt.index, "id": parsed.id, "kind": parsed.body.kind(), "signers": signers});
            format!("{}\n", json!({"ok": true, "entry": entry, "log": told(&head), "cosigners": cosigners}))
        }
        false => format!(
            "It is entry {} of the log, a {} of {}.\n{}{}",
            receipt.index,
            parsed.body.kind(),
            signers.join(", "),
            shown(&head),
            by(&cosigners),
        ),
    };
    Ok(print(&text)?)
}

/// Check a whole log: every hash, every signature, every rule
#[derive(Debug, Args)]
#[command(after_long_help = AUDIT_HELP)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    whole: WholeArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

const AUDIT_HELP: &str = "Examples:
  tacit ledger audit                                    the city's log, as planner.toml or TACIT_CONFIG says
  tacit ledger audit --config energy/party.toml         an agency's own mirror of it
  tacit ledger audit tiles --policy city.policy --roster roster.toml
  tacit ledger audit energy/state/ledger --checkpoint monday.checkpoint --policy city.policy --roster roster.toml --json
  tacit ledger audit new --after old --policy both.policy --roster roster.toml

It checks that the policy believes the checkpoint, that the entries lead to its root and to every tile, that those who must have signed every entry,
and that each may stand where it stands. What owners and agencies state of themselves it cannot check.";

pub(super) fn audit(args: &AuditArgs) -> Done {
    let start = Instant::now();
    let Whole { audit, cosigners, .. } = args.whole.verify()?;
    let mut phases = [0; 4];
    audit.replay.jobs().for_each(|(_, job)| match job.phase {
        Phase::Waiting if job.attempt == 0 => phases[0] += 1,
        Phase::Running { .. } => phases[1] += 1,
        Phase::Done { .. } => phases[2] += 1,
        // Its last attempt is over.
        Phase::Waiting => phases[3] += 1,
    });
    let [waiting, running, done, ended] = phases;
    let members: Vec<&str> = audit.replay.members().map(|member| member.name.as_str()).collect();
    let text = match args.json {
        true => {
            let jobs = json!({"done": done, "ended": ended, "running": running, "waiting": waiting});
            format!("{}\n", json!({"ok": true, "log": told(&audit.head), "entries": audit.kinds, "jobs": jobs, "members": members}))
        }
        false => {
            let mut table = Table::new(["kind", "entries"]);
            audit.kinds.iter().for_each(|(kind, count)| table.push([(*kind).to_owned(), count.to_string()]));
            format!(
                "{}{}\n{}\n{}: {done} done, {ended} refused or aborted, {running} running, {waiting} waiting\nmembers: {}\n\
                 Every hash, signature and rule holds; checked in {}.\n",
                shown(&audit.head),
                by(&cosigners),
                table.aligned(),
                plural(done + ended + running + waiting, "job"),
                members.join(", "),
                duration(start.elapsed()),
            )
        }
    };
    Ok(print(&text)?)
}

/// Make the receipt of an entry
#[derive(Debug, Args)]
#[command(after_long_help = PROVE_HELP, override_usage = "tacit ledger prove [OPTIONS] [LOG] <ENTRY>")]
pub(super) struct ProveArgs {
    /// Which entry: its number, or its id; and before it the log's files: a folder of tiles, or a node's ledger folder (which the node may be using). If these
    /// are left out, an agency's own mirror, or what the coordinator hands out
    #[arg(value_name = "[LOG] ENTRY", num_args = 1..=2, required = true)]
    wanted: Vec<PathBuf>,
    /// The checkpoint to stand on; if left out, the newest in the folder, or the coordinator's
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Whose log, if it is not said: a party.toml or a planner.toml; if left out, that of TACIT_CONFIG, else the planner's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Writes the receipt to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes the entry itself to this file
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    /// Print a JSON object with the receipt and the entry
    #[arg(long, conflicts_with_all = ["output", "entry"])]
    json: bool,
}

const PROVE_HELP: &str = "Examples:
  tacit ledger prove 17 --output debit.proof --entry debit.note       of the city's log, as planner.toml or TACIT_CONFIG says
  tacit ledger prove 17 --config energy/party.toml                    from an agency's own mirror of it
  tacit ledger prove tiles 17 --output debit.proof --entry debit.note
  tacit ledger prove energy/state/ledger 5f0c8a…(64 digits) --checkpoint monday.checkpoint

`tacit ledger show` lists entries with their numbers. Whoever has the receipt, the entry and a policy can check it with `tacit ledger verify`, or with
any tool that knows C2SP tlog-proof.";

/// An entry, by its number or id.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Index(u64),
    Id(Hash),
}

impl std::str::FromStr for Wanted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let index = text.parse().map(Self::Index).ok();
        index.or_else(|| text.parse().map(Self::Id).ok()).ok_or("an entry's number, or its id of 64 hexadecimal digits")
    }
}

pub(super) fn prove(args: &ProveArgs) -> Done {
    let (log, wanted) = match &args.wanted[..] {
        [entry] => (None, entry),
        [log, entry] => (Some(log.clone()), entry),
        _ => return Err(Error::config("one entry is asked for, of one log: [LOG] ENTRY").into()),
    };
    let unknown = |what: &str| Error::config(format!("`{}` is not {what}", wanted.display()));
    let wanted: Wanted = wanted.to_string_lossy().parse().map_err(unknown)?;
    let log = OwnLogArgs { log, checkpoint: args.checkpoint.clone(), config: args.config.clone() }.open()?;
    let head = log.checkpoint.head();
    let index = match wanted {
        Wanted::Index(index) => index,
        Wanted::Id(id) => find(&log.files, id, head.size)?,
    };
    let entry = log.files.entry(index, head.size)?;
    let receipt = audit::prove(&log.files, &log.checkpoint, index).map_err(|error| fails(error.code(), error))?;
    // A receipt that proves nothing is not handed out.
    tree::verify_inclusion(&tree::leaf_hash(&entry), index, head.size, &head.root, &receipt.proof)
        .map_err(|error| fails("E_LEDGER_CORRUPT", format!("the log's files do not lead to the checkpoint: {error}; fetch them again")))?;
    let (receipt, entry) = (receipt.to_string(), String::from_utf8_lossy(&entry).into_owned());
    if args.json {
        return Ok(print(&format!("{}\n", json!({"index": index, "log": told(head), "entry": entry, "receipt": receipt})))?);
    }
    put(args.entry.as_deref(), &entry)?;
    match &args.output {
        Some(path) => Ok(files::write(path, receipt.as_bytes())?),
        None => Ok(print(&receipt)?),
    }
}

fn put(path: Option<&Path>, text: &str) -> Result<(), Error> {
    path.map_or(Ok(()), |path| files::write(path, text.as_bytes()))
}

fn find(files: &Files, id: Hash, size: u64) -> Result<u64, Error> {
    let mut found = None;
    files.each(0..size, size, |index, entry| {
        if found.is_none() && Entry::parse(entry).is_ok_and(|entry| entry.id == id) {
            found = Some(index);
        }
        Ok(())
    })?;
    found.ok_or_else(|| fails("E_LEDGER_TILE", format!("none of the {size} entries has the id {id}")))
}

fn told(head: &Head) -> serde_json::Value {
    json!({"origin": head.origin, "size": head.size, "root": root(head)})
}

fn shown(head: &Head) -> String {
    format!("{}: {} entries, root {}\n", head.origin, head.size, root(head))
}

fn by(cosigners: &[(String, u64)]) -> String {
    let names: Vec<&str> = cosigners.iter().map(|(name, _)| name.as_str()).collect();
    format!("cosigned by {}\n", names.join(", "))
}

fn now() -> Result<u64, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(now.map_err(|_| Error::config("this machine's clock is before 1970; set it"))?.as_secs())
}
