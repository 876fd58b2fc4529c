//! `tacit ledger restore`.

use super::agency::Agency;
use super::files::{Files, Log, believed, fails, read_checkpoint, read_policy};
use super::known::Known;
use crate::cli::{Done, print};
use crate::error::Error;
use clap::Args;
use ledger::audit;
use std::path::PathBuf;

/// Let an agency whose ledger folder was put back catch up with what it cosigned before
///
/// A node whose mark (`ledger.mark` beside its folder) or whose own cosignature is of more than it knows cosigns nothing more (E_LEDGER_ROLLBACK), and none
/// that has lost the mark does until a quorum is seen to be as far as it. This command, given the log from another agency's mirror, proves that what it knows
/// and what the mark says are the beginning of that log, and lets it know the rest.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct RestoreArgs {
    /// The log's files: another agency's ledger folder (whose node may be using it), or a folder of tiles
    #[arg(value_name = "LOG")]
    log: PathBuf,
    /// The checkpoint to catch up with, which a quorum cosigned; if left out, the coordinator's, or of a folder of tiles the newest in it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The configuration of the agency's node, which must not be running
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

const HELP: &str = "Examples:
  tacit ledger restore health/state/ledger --config energy/party.toml
  tacit ledger restore health/state/ledger --checkpoint log.checkpoint --config energy/party.toml
  tacit ledger restore tiles --config energy/party.toml

Find out first why the folder was put back. An agency's folder has its own cosignatures only, so the checkpoint is the coordinator's; give the one
that another agency knows a quorum of if you doubt the coordinator. Start the node afterwards: it fetches the entries it lacks from the coordinator. A folder that does not open at all (E_LEDGER_CORRUPT, or the journal lost its end), or
that is not the beginning of that log, is removed first, but not the mark beside it; the command then makes another.";

pub(super) fn restore(args: &RestoreArgs) -> Done {
    let log = open(args)?;
    let Agency { config, policy, mut cosigner } = Agency::open(&args.config)?;
    let head = believed(&log.checkpoint, &read_policy(&policy)?, "")?;
    let before = cosigner.pending().map_or(0, |known| known.size);
    // What it forgot is what it may cosign next, and nothing else: `catch_up` proves that it is what it knows, grown.
    let remembered = cosigner.recall(&log.checkpoint).is_ok() && cosigner.sure().is_ok();
    if remembered && before >= head.size {
        let settled = cosigner.settle().map_err(|error| fails(error.code(), error))?;
        let known = format!("{} knows of {before} entries already, and has forgotten nothing of these {}.", config.node, head.size);
        let mark = if settled { " Its mark was missing or damaged, and is written again." } else { "" };
        return Ok(print(&format!("{known}{mark}\n"))?);
    }
    let caught_up = cosigner.catch_up(&log.checkpoint, &audit::Log { tiles: &log.files, size: head.size });
    caught_up.map_err(|error| fails(error.code(), error))?;
    let (node, held, known) = (&config.node, cosigner.store().size(), cosigner.pending().map_or(0, |known| known.size));
    let told = format!("{node} knew of {before} entries and knows of {known}; it holds {held}");
    Ok(print(&format!("{told}, and fetches the rest once its node runs.\n"))?)
}

fn open(args: &RestoreArgs) -> Result<Log, Error> {
    let files = Files::open(&args.log)?;
    let checkpoint = match (&args.checkpoint, &files) {
        (Some(path), _) => read_checkpoint(path)?,
        (None, Files::Tiles(_)) => read_checkpoint(&args.log.join("checkpoint"))?,
        // A mirror's own is cosigned by nobody else.
        (None, _) => Known::load(Some(&args.config))?.checkpoint("give one that a quorum cosigned: --checkpoint FILE")?,
    };
    Log { files, checkpoint }.whole()
}
