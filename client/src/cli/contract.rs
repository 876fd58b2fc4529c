//! `tacit contract`: what an agency allows to be asked, drafted, checked, signed, shown, compared, ended. Nothing here uses the network.

mod check;
mod draft;
mod explain;
mod protection;
mod revoke;
mod show;
mod sign;

use super::Done;
use crate::clock::now;
use crate::config::read;
use crate::contract::Document;
use crate::error::Error;
use clap::{Args, Subcommand};
use ledger::contract::Contract;
use mpc_core::file::Kind;
use mpc_core::roster::Roster;
use party::contracts::folder;
use query::catalog::Catalog;
use std::io::Write as _;
use std::path::Path;

/// Write, check, sign, show, compare and end contracts
///
/// A contract is what an agency allows to be asked of one of its tables: of which columns what, by whom, for what, until when. Signed, it goes into
/// the folder of contracts of every node; without one, nothing may be asked.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct ContractArgs {
    #[command(subcommand)]
    command: ContractCommand,
}

const HELP: &str = "Examples:
  tacit contract new --dataset energy.meters --planner planning-office --allow 'kwh=SUM,AVG' --allow 'zone=GROUP,JOIN' \\
      --roster roster.toml --catalogue catalogue.toml
  tacit contract check energy.meters.draft --roster roster.toml --catalogue catalogue.toml
  tacit contract explain energy.meters.draft --catalogue catalogue.toml -- \"SELECT SUM(kwh) FROM energy.meters\"
  tacit contract sign energy.meters.draft --identity energy/energy.key
  tacit contract show energy.meters.5c1e90d2.contract --roster roster.toml
  tacit contract diff old.contract energy.meters.draft
  tacit contract revoke energy.meters.5c1e90d2.contract --identity energy/energy.key --reason \"the pilot is over\"

Put what is signed (*.contract, *.revoke) into the folder that `contracts` names in every party.toml; nodes notice within a second. docs/contracts.md
explains every field.

Exit codes: 0 it is so; 1 it is wrong, or not allowed, and is said why; 2 a file is missing or not what it should be.";

#[derive(Debug, Subcommand)]
enum ContractCommand {
    New(Box<draft::NewArgs>),
    Check(check::CheckArgs),
    Sign(sign::SignArgs),
    Show(show::ShowArgs),
    Diff(show::DiffArgs),
    Revoke(revoke::RevokeArgs),
    Explain(explain::ExplainArgs),
}

pub(super) fn contract(args: ContractArgs) -> Done {
    match args.command {
        ContractCommand::New(args) => draft::new(&args),
        ContractCommand::Check(args) => check::check(&args),
        ContractCommand::Sign(args) => sign::sign(&args),
        ContractCommand::Show(args) => show::show(&args),
        ContractCommand::Diff(args) => show::diff(&args),
        ContractCommand::Revoke(args) => revoke::revoke(&args),
        ContractCommand::Explain(args) => explain::explain(&args),
    }
}

/// What is wrong with a contract by itself, whatever roster and catalogue there are.
fn wrong(contract: &Contract) -> Vec<String> {
    let mut wrong: Vec<String> = contract.problems().into_iter().map(String::from).collect();
    if let Some((unkept, instead)) = folder::not_enforced(contract) {
        let agency = contract.owner.name();
        wrong.push(format!("this release does not enforce `{unkept}` yet ({instead}), and so `{agency}`'s node refuses it"));
    }
    wrong.extend(ended(contract));
    wrong
}

/// That nobody may ask anything by it any more.
fn ended(contract: &Contract) -> Option<String> {
    (now() >= contract.not_after.0).then(|| format!("it ended at {}", contract.not_after))
}

/// A contract's file, a draft or a note.
fn document(path: &Path) -> Result<Document, Error> {
    Document::parse(&read(path, Kind::Contract)?).map_err(|what| Error::config(format!("{}: {what}", path.display())))
}

fn roster(path: &Path) -> Result<Roster, Error> {
    Roster::load(path).map_err(|error| Error::config(error.to_string()))
}

fn catalog(path: &Path) -> Result<Catalog, Error> {
    Catalog::load(path).map_err(|error| Error::config(error.to_string()))
}

/// Writes a new file, whole or not at all: a node may be looking at its folder.
fn write_new(path: &Path, text: &str) -> Result<(), Error> {
    if path.exists() {
        return Err(Error::config(format!("{} exists already, and is not overwritten; name another with --output", path.display())));
    }
    replace(path, text)
}

fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::Builder::new().prefix(".tacit-").tempfile_in(folder).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(permissions)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    });
    written.map(drop).map_err(|error| Error::config(format!("{}: it cannot be written: {error}", path.display())))
}
