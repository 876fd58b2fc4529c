//! `tacit ledger hand-over`: a log ends, and another goes on where it ended.

use super::agency::Agency;
use super::files::{Files, Log, fails, read_checkpoint, read_policy, write};
use super::whole::audited;
use crate::cli::{Done, print};
use crate::config::{Config, read};
use crate::error::Error;
use crate::render::plural;
use clap::{Args, Subcommand};
use ledger::checkpoint::Checkpoint;
use ledger::entry::{Body, Entry, HandOver};
use ledger::key::{KeyKind, VerifierKey};
use ledger::sequencer::Sequencer;
use ledger::signed::SignedNote;
use mpc_core::file::Kind;
use mpc_core::identity::{Identity, PublicKey};
use mpc_core::roster::Roster;
use mpc_core::stack;
use query::citylog;
use std::path::{Path, PathBuf};

/// Hand a log over to another sequencer
///
/// When the sequencer fails or lies, a quorum of the agencies ends its log and begins another: each closes its own mirror and signs the same
/// hand-over, in a file that goes round, and the new sequencer's log begins with it. What was debited stays debited.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct HandOverArgs {
    #[command(subcommand)]
    command: HandOverCommand,
}

const HELP: &str = "Examples:
  tacit ledger hand-over sign second.handover --config energy/party.toml --to demo-city/second --key ed25519:1f0c… --checkpoint last.checkpoint
  tacit ledger hand-over sign second.handover --config health/party.toml
  tacit ledger hand-over found second --handover second.handover --after energy/state/ledger --key second.key \\
      --policy both.policy --roster roster.toml
  tacit ledger audit second --after energy/state/ledger --policy both.policy --roster roster.toml";

#[derive(Debug, Subcommand)]
enum HandOverCommand {
    Sign(SignArgs),
    Found(FoundArgs),
}

pub(super) fn hand_over(args: &HandOverArgs) -> Done {
    match &args.command {
        HandOverCommand::Sign(args) => sign(args),
        HandOverCommand::Found(args) => found(args),
    }
}

/// Close an agency's mirror for good, and sign the hand-over
#[derive(Debug, Args)]
#[command(after_long_help = SIGN_HELP)]
struct SignArgs {
    /// The hand-over: a new file for the first agency to sign; the others add their signatures
    file: PathBuf,
    /// The configuration of the agency's node, which must not be running
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What the log that goes on is called (the first to sign says it)
    #[arg(long, value_name = "NAME", requires = "key")]
    to: Option<String>,
    /// Its public key, as `tacit key new` printed it
    #[arg(long, value_name = "KEY", requires = "to")]
    key: Option<PublicKey>,
    /// The largest checkpoint that a quorum cosigned; or what agencies hold of it, of which the cosignatures are put together
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

const SIGN_HELP: &str = "Examples:
  tacit ledger hand-over sign second.handover --config energy/party.toml --to demo-city/second --key ed25519:1f0c… --checkpoint last.checkpoint
  tacit ledger hand-over sign second.handover --config health/party.toml
  tacit ledger hand-over sign second.handover --config energy/party.toml --to demo-city/second --key ed25519:1f0c… \\
      --checkpoint energy/state/ledger/checkpoint --checkpoint health/state/ledger/checkpoint --checkpoint transport/state/ledger/checkpoint

The agency signs no hand-over from before the end of what it validated, and no second one. From then on its node cosigns nothing more of this log.
`tacit key new` makes the key of the new log.";

fn sign(args: &SignArgs) -> Done {
    let (statement, others) = match args.file.exists() {
        true if args.to.is_some() || !args.checkpoint.is_empty() => {
            let taken = "it is there already, and says to which log and from which checkpoint: leave --to, --key and --checkpoint out, or name a new file";
            return Err(Error::config(format!("{}: {taken}", args.file.display())).into());
        }
        true => {
            let (statement, text) = read_hand_over(&args.file)?;
            (statement, Some(text))
        }
        false => (args.statement()?, None),
    };
    let Agency { config, mut cosigner, .. } = Agency::open(&args.config)?;
    let identity = Identity::load(&config.identity).map_err(|error| Error::config(error.to_string()))?;
    let handed = stack::wiped(|| cosigner.hand_over(&statement, others.as_deref(), &config.node, identity.signing_key()));
    let entry = handed.map_err(|error| fails(error.code(), error))?;
    write(&args.file, entry.as_bytes())?;
    let signers = Entry::parse(entry.as_bytes()).map_err(|error| fails("E_LEDGER_ENTRY", error))?.signatures.len();
    let quorum = cosigner.replay().quorum() as usize;
    let next = match quorum.saturating_sub(signers) {
        0 => "That is a quorum: `tacit ledger hand-over found` begins the log".to_owned(),
        n => format!("It takes {} more", plural(n, "signature")),
    };
    let (node, to) = (&config.node, &statement.key);
    let signed = format!("{node} cosigns nothing more of this log, and signed that {} goes on. {next}.\n", to.name());
    Ok(print(&format!("{signed}Its line of a policy is\nlog {to}\n"))?)
}

impl SignArgs {
    fn statement(&self) -> Result<HandOver, Error> {
        let missing = || Error::config(format!("{} is a new file: give --to, --key and --checkpoint", self.file.display()));
        let (Some(name), Some(key), false) = (&self.to, &self.key, self.checkpoint.is_empty()) else { return Err(missing()) };
        let key = VerifierKey::new(name, KeyKind::Note, key.verifying_key())
            .map_err(|_| Error::config(format!("`{name}` is no name of a log; one is such as `demo-city/second`")))?;
        Ok(HandOver { previous: together(&self.checkpoint)?, key })
    }
}

/// One checkpoint with the signatures that several files have of it.
fn together(files: &[PathBuf]) -> Result<String, Error> {
    let mut note = String::new();
    for file in files {
        let checkpoint = read_checkpoint(file)?;
        if note.is_empty() {
            note = checkpoint.note().to_owned();
            continue;
        }
        let bad = |error| Error::config(format!("{}: it is no checkpoint: {error}", file.display()));
        let parsed = SignedNote::parse(checkpoint.note(), checkpoint.note().len()).map_err(bad)?;
        if !note.starts_with(parsed.text) {
            return Err(Error::config(format!("{}: it is another checkpoint than that in {}", file.display(), files[0].display())));
        }
        for line in parsed
            .signatures
            .iter()
            .map(|signature| signature.line())
            .filter(|line| !note.lines().any(|had| had == line))
            .collect::<Vec<_>>()
        {
            note += &format!("{line}\n");
        }
    }
    Ok(note)
}

fn read_hand_over(file: &Path) -> Result<(HandOver, String), Error> {
    let text = read(file, Kind::Entry)?;
    match Entry::parse(text.as_bytes()).map(|entry| entry.body) {
        Ok(Body::HandOver(over)) => Ok((*over, text)),
        Ok(_) => Err(Error::config(format!("{}: it is an entry of another kind, and a hand-over is wanted here", file.display()))),
        Err(error) => Err(Error::config(format!("{}: it is no hand-over: {error}", file.display()))),
    }
}

/// Begin the log that goes on, with a hand-over that a quorum signed
#[derive(Debug, Args)]
#[command(after_long_help = FOUND_HELP)]
struct FoundArgs {
    /// The folder of the new log, which must not be there yet
    folder: PathBuf,
    /// The hand-over that a quorum signed
    #[arg(long, value_name = "FILE")]
    handover: PathBuf,
    /// The log that ends, and those before it, the oldest first: an agency's ledger folder, or a folder of tiles
    #[arg(long, value_name = "LOG", required = true)]
    after: Vec<PathBuf>,
    /// The new log's own key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Whom to believe of the log that ends (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The city's roster; if left out, the planner's
    #[arg(long, value_name = "FILE")]
    roster: Option<PathBuf>,
}

const FOUND_HELP: &str = "Examples:
  tacit ledger hand-over found second --handover second.handover --after energy/state/ledger --key second.key \\
      --policy both.policy --roster roster.toml
  tacit ledger audit second --after energy/state/ledger --policy both.policy --roster roster.toml

The log that ends is checked first, as `tacit ledger audit` does, up to the checkpoint that the hand-over names. The new log can be audited once
a quorum of agencies has cosigned it; the policy must have the keys of both logs then.";

fn found(args: &FoundArgs) -> Done {
    let (over, text) = read_hand_over(&args.handover)?;
    if args.folder.exists() {
        return Err(Error::config(format!("{}: it is there already; name a new folder", args.folder.display())).into());
    }
    let policy = read_policy(&args.policy)?;
    let roster = args.roster.clone().map_or_else(|| Ok::<_, Error>(Config::find(None)?.roster), Ok)?;
    let roster = Roster::load(&roster).map_err(|error| Error::config(error.to_string()))?;
    let signer = citylog::signer(over.key.name(), KeyKind::Note, &args.key).map_err(Error::config)?;
    if *signer.key() != over.key {
        let wrong = format!("{}: its key is {}, and the hand-over is to {}", args.key.display(), signer.key(), over.key);
        return Err(Error::config(wrong).into());
    }
    let previous = Checkpoint::parse(&over.previous).map_err(|error| fails("E_LEDGER_ENTRY", error))?;
    let [before @ .., last] = &args.after[..] else { return Err(Error::config("give the log that ends with --after").into()) };
    let last = Log { files: Files::open(last)?, checkpoint: previous };
    let audit = audited(last, &policy, &roster, before, &mut Vec::new())?;
    let beginning = audit.replay.succeed(over.key.clone(), audit.head.root);
    // Before there is a folder: whether a quorum signed.
    beginning.clone().admit(text.as_bytes()).map_err(|error| fails(error.code(), error))?;
    let failed = |error: ledger::sequencer::SequencerError| fails(error.code(), error);
    let mut log = Sequencer::open(&args.folder, beginning, signer).map_err(failed)?;
    log.submit(text.as_bytes()).map_err(failed)?;
    let head = log.seal().map_err(failed)?;
    Ok(print(&format!(
        "{} holds {}, which goes on where {} ended, at {} entries. Its first checkpoint waits for a quorum's cosignatures.\n",
        args.folder.display(),
        head.origin,
        audit.head.origin,
        audit.head.size
    ))?)
}
