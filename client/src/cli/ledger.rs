//! `tacit ledger`: what anybody can check, prove and read of the city's log who has its files; and what a member states there. Nothing but `submit`, and whatever is not given
//! the log's files or a checkpoint, uses the network, and nothing but what members state (`member`, `submit` of evidence) and agencies do to their own mirrors (`hand-over sign`, `restore`) a secret key.

mod agency;
mod check;
mod evidence;
pub(super) mod files;
mod handover;
pub(super) mod known;
mod member;
mod restore;
mod show;
mod submit;
mod who;
pub(super) mod whole;

use super::Done;
use clap::{Args, Subcommand};

/// Check, prove and read the city's log, offline; and hand in what shall stand there
///
/// Every member, contract, snapshot, question, debit, start, result and abort stands in one log, which the coordinator sequences and
/// every agency witnesses and mirrors. Its files are in a folder of tiles (C2SP tlog-tiles), or in a node's own ledger folder.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

const HELP: &str = "Examples:
  tacit ledger audit tiles --policy city.policy --roster roster.toml
  tacit ledger show energy/state/ledger --kind job-debit
  tacit ledger prove 17 --output debit.proof --entry debit.note
  tacit ledger verify debit.proof --entry debit.note --policy city.policy
  tacit ledger evidence one.checkpoint other.checkpoint --policy city.policy --log energy/state/ledger
  tacit ledger submit fork.evidence --config energy/party.toml
  tacit ledger member press.entry --config energy/party.toml --name press --organisation 'The Press Office' --role planner --key ed25519:1f0c…
  tacit ledger hand-over sign second.handover --config energy/party.toml
  tacit ledger restore health/state/ledger --config energy/party.toml

A policy (C2SP tlog-policy) says whom to believe: the log's key, the agencies' cosigner keys, and how many of them it takes. Get it from somebody
you trust, never from whoever hands you the log. An agency's own folder holds its own cosignatures only: where those of a quorum are wanted, give the
log's checkpoint with --checkpoint.

Exit codes: 0 it holds; 1 it does not, and E_… says why; 2 a file is missing or not what it should be.";

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    Verify(check::VerifyArgs),
    Audit(check::AuditArgs),
    Prove(check::ProveArgs),
    Evidence(evidence::EvidenceArgs),
    Show(show::ShowArgs),
    HandOver(handover::HandOverArgs),
    Restore(restore::RestoreArgs),
    Submit(submit::SubmitArgs),
    Member(member::MemberArgs),
}

pub(super) fn ledger(args: LedgerArgs) -> Done {
    match args.command {
        LedgerCommand::Verify(args) => check::verify(&args),
        LedgerCommand::Audit(args) => check::audit(&args),
        LedgerCommand::Prove(args) => check::prove(&args),
        LedgerCommand::Evidence(args) => evidence::evidence(&args),
        LedgerCommand::Show(args) => show::show(&args),
        LedgerCommand::HandOver(args) => handover::hand_over(&args),
        LedgerCommand::Restore(args) => restore::restore(&args),
        LedgerCommand::Submit(args) => submit::submit(&args),
        LedgerCommand::Member(args) => member::member(&args),
    }
}
