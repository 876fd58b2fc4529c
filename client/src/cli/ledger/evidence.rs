//! `tacit ledger evidence`.

use super::files::{self, Files, fails, read_checkpoint, root};
use super::known::{self, Known};
use crate::cli::{Done, print};
use crate::config::read;
use crate::error::Error;
use clap::Args;
use ledger::audit::Log;
use ledger::bytes::Hash;
use ledger::checkpoint::Checkpoint;
use ledger::evidence::{Evidence, EvidenceError};
use ledger::key::VerifierKey;
use mpc_core::file::Kind;
use serde_json::json;
use std::path::PathBuf;

/// Make or check evidence that somebody signed two logs
#[derive(Debug, Args)]
#[command(after_long_help = EVIDENCE_HELP)]
pub(super) struct EvidenceArgs {
    /// Evidence to check; or two checkpoints to make it of
    #[arg(value_name = "FILE", num_args = 1..=2, required = true)]
    files: Vec<PathBuf>,
    /// Whose keys may have signed both checkpoints (C2SP tlog-policy); if left out, as the configuration says
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Whose log, and whose keys, if it is not said: a party.toml or a planner.toml; if left out, that of TACIT_CONFIG, else the planner's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The files of the log of the larger checkpoint, if the two are not of one size; if left out, as the configuration says
    #[arg(long, value_name = "LOG")]
    log: Option<PathBuf>,
    /// Only against the key of this name, such as `energy/witness`; if left out, the first that signed both, the log's own before all
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Writes the evidence to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

const EVIDENCE_HELP: &str = "Examples:
  tacit ledger evidence fork.evidence
  tacit ledger evidence one.checkpoint other.checkpoint --output fork.evidence       against a key of the policy that planner.toml or TACIT_CONFIG names
  tacit ledger evidence one.checkpoint other.checkpoint --config energy/party.toml   with an agency's own mirror, if they are not of one size
  tacit ledger evidence one.checkpoint other.checkpoint --policy city.policy --output fork.evidence
  tacit ledger evidence small.checkpoint large.checkpoint --policy city.policy --log energy/state/ledger --key energy/witness

`tacit ledger submit` puts it on the log. Evidence is complete in itself: two checkpoints signed by one key, and the proof that no log has both. It convicts a coordinator by the log's key and an
agency by its cosigner's. Whether that key is whose it is said to be, a policy or the roster says.";

pub(super) fn evidence(args: &EvidenceArgs) -> Done {
    let evidence = match &args.files[..] {
        [one, other] => make(args, &read_checkpoint(one)?, &read_checkpoint(other)?)?,
        _ => check(args)?,
    };
    let [first, second] = evidence.checkpoints().map(Checkpoint::head);
    if args.json {
        let head = |head: &ledger::checkpoint::Head| json!({"size": head.size, "root": root(head)});
        let text = evidence.to_string();
        let told = json!({"ok": true, "key": evidence.key(), "origin": first.origin, "first": head(first), "second": head(second), "evidence": text});
        return Ok(print(&format!("{told}\n"))?);
    }
    let convicts = format!(
        "`{}` signed two logs called {}: one of {} entries with the root {}, and one of {} entries with the root {}, which does not begin with it.\n\
         Its key is {}.\n",
        evidence.key().name(),
        first.origin,
        first.size,
        root(first),
        second.size,
        root(second),
        evidence.key(),
    );
    match (&args.output, args.files.len()) {
        (_, 1) => print(&convicts)?,
        (Some(path), _) => {
            files::write(path, evidence.to_string().as_bytes())?;
            print(&convicts)?;
        }
        (None, _) => print(&evidence.to_string())?,
    }
    Ok(())
}

/// Reading evidence verifies it; a policy that is named says in addition whether it is against one of its keys.
fn check(args: &EvidenceArgs) -> Result<Evidence, Error> {
    let text = read(&args.files[0], Kind::Evidence)?;
    let evidence: Evidence = text.parse().map_err(|error: EvidenceError| match error {
        EvidenceError::Format(_) => Error::config(format!("{}: {error}", args.files[0].display())),
        error => fails(error.code(), error),
    })?;
    let named = args.policy.is_some() || args.config.is_some() || args.key.is_some();
    if named && !keys(args)?.contains(evidence.key()) {
        let text = format!("it is against {}, which is no key of the policy", evidence.key());
        return Err(fails("E_LEDGER_EVIDENCE", text));
    }
    Ok(evidence)
}

fn make(args: &EvidenceArgs, one: &Checkpoint, other: &Checkpoint) -> Result<Evidence, Error> {
    let size = one.head().size.max(other.head().size);
    let files = match &args.log {
        Some(log) => Some(Files::open(log)?),
        None if one.head().size == other.head().size => None,
        None => {
            let missing = |error: Error| {
                Error::config(format!("the checkpoints are not of one size: give the files of the larger one's log with --log ({error})"))
            };
            Some(Known::load(args.config.as_deref()).and_then(|known| known.files()).map_err(missing)?)
        }
    };
    let none: [Hash; 0] = [];
    let find = |key: &VerifierKey| match &files {
        Some(tiles) => Evidence::find(key, one, other, &Log { tiles, size }),
        None => Evidence::find(key, one, other, &none[..]),
    };
    let mut last = None;
    for key in keys(args)? {
        match find(&key) {
            Ok(evidence) => return Ok(evidence),
            // That one log has both is said rather than that another key did not sign both.
            Err(error) => last = Some(last.filter(|_| matches!(error, EvidenceError::Nothing(_))).unwrap_or(error)),
        }
    }
    Err(last.map_or_else(|| Error::config("the policy has no key"), |error| fails(error.code(), error)))
}

/// The keys that may be convicted, a log's own first.
fn keys(args: &EvidenceArgs) -> Result<Vec<VerifierKey>, Error> {
    let policy = known::policy(args.policy.as_deref(), args.config.as_deref())?;
    let all: Vec<VerifierKey> = policy.logs().iter().chain(policy.cosigners().map(|(_, key)| key)).cloned().collect();
    let Some(name) = &args.key else { return Ok(all) };
    let named: Vec<VerifierKey> = all.iter().filter(|key| key.name() == name).cloned().collect();
    if named.is_empty() {
        let names: Vec<&str> = all.iter().map(VerifierKey::name).collect();
        return Err(Error::config(format!("the policy has no key `{name}`; it has {}", names.join(", "))));
    }
    Ok(named)
}
