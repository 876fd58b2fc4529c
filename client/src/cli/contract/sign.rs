//! `tacit contract sign`.

use super::{document, replace, write_new, wrong};
use crate::cli::{Done, print};
use crate::contract::Document;
use crate::error::Error;
use clap::Args;
use ledger::entry::{Entry, countersign};
use ledger::key::VerifierKey;
use mpc_core::identity::Identity;
use mpc_core::stack;
use std::path::{Path, PathBuf};

/// Sign a draft as its agency, or a contract as one of its planners
#[derive(Debug, Args)]
#[command(after_long_help = SIGN_HELP)]
pub(super) struct SignArgs {
    /// The draft, or the contract that the agency has signed
    file: PathBuf,
    /// The private key: the agency's node's, or the planner's
    #[arg(long, value_name = "KEY")]
    identity: PathBuf,
    /// The file to write; if left out, an agency's is FILE with the first digits of the contract's id and the ending .contract; a planner's signature is added in place
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const SIGN_HELP: &str = "Examples:
  tacit contract sign energy.meters.draft --identity energy/energy.key
      the agency signs: energy.meters.5c1e90d2.contract
  tacit contract sign energy.meters.5c1e90d2.contract --identity planning-office/planning-office.key
      a planner signs too, where the contract asks for it (`countersigned`), and sends it back

The name of what an agency signs has the first digits of the contract's id, so that it takes the place of no other contract in any folder; no file is
overwritten. The key decides whose signature it is. What is wrong with a contract is not signed: `tacit contract check` says what.";

pub(super) fn sign(args: &SignArgs) -> Done {
    let Document { contract, signed } = document(&args.file)?;
    let identity = load(&args.identity)?;
    let is = |key: &VerifierKey| *key.key() == identity.public().verifying_key();
    if let Some(problem) = wrong(&contract).first() {
        let file = args.file.display();
        let mend = match &signed {
            None => format!("correct the draft; `tacit contract check {file}` says all that is wrong"),
            Some(_) => format!("ask `{}` for another version; what was signed is not changed", contract.owner.name()),
        };
        let what = format!("{file}: it is not signed while something is wrong with it: {problem}\n  to mend it: {mend}");
        return Err(Error::Failed(what).into());
    }
    let (owner, planners) = (contract.owner.name(), contract.planners.iter().map(|key| key.name()).collect::<Vec<_>>().join(", "));
    let (path, said) = match signed {
        None if is(&contract.owner) => {
            let note = stack::wiped(|| contract.sign(identity.signing_key())).map_err(|error| Error::Failed(error.to_string()))?;
            let path = args.output.clone().map_or_else(|| named(&args.file, &note), Ok)?;
            write_new(&path, &note)?;
            (path, format!("signed by {owner}"))
        }
        None => {
            let what = format!("a draft is first signed by its agency, and this is not the key that it has for `{owner}`");
            return Err(Error::Failed(format!("{}: {what}", args.identity.display())).into());
        }
        Some(signed) => {
            let Some(planner) = contract.planners.iter().find(|key| is(key)) else {
                let what = format!("this is the key of none of its planners ({planners}), and `{owner}` has signed it already");
                return Err(Error::Failed(format!("{}: {what}", args.identity.display())).into());
            };
            let note = stack::wiped(|| countersign(&signed.note, planner.name(), identity.signing_key()));
            let note = note.map_err(|error| Error::Failed(format!("{}: {error}", args.file.display())))?;
            match &args.output {
                Some(path) => write_new(path, &note)?,
                None => replace(&args.file, &note)?,
            }
            (args.output.clone().unwrap_or_else(|| args.file.clone()), format!("signed by {} too", planner.name()))
        }
    };
    let file = path.display();
    Ok(print(&format!("{file} is {said}. Put it into the folder of contracts of every node.\n"))?)
}

/// A name that no other contract has: those of one table lie beside one another in the folders of nodes, where one that takes another's place ends it.
fn named(draft: &Path, note: &str) -> Result<PathBuf, Error> {
    let id = Entry::parse(note.as_bytes()).map_err(|error| Error::internal(format!("what was signed is no entry: {error}")))?.id;
    Ok(draft.with_extension(format!("{}.contract", id.short())))
}

pub(super) fn load(path: &Path) -> Result<Identity, Error> {
    Identity::load(path).map_err(|error| Error::config(error.to_string()))
}
