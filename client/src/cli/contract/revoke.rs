//! `tacit contract revoke`.

use super::{document, sign, write_new};
use crate::cli::{Done, print};
use crate::config::VARIABLE;
use crate::error::Error;
use clap::Args;
use ledger::contract::Revocation;
use ledger::entry::{Body, Revoke};
use mpc_core::file::{self, Kind};
use mpc_core::stack;
use std::path::{Path, PathBuf};

/// End a contract: write the note that says so
#[derive(Debug, Args)]
#[command(after_long_help = REVOKE_HELP)]
pub(super) struct RevokeArgs {
    /// The contract
    file: PathBuf,
    /// The private key of its agency's node
    #[arg(long, value_name = "KEY")]
    identity: PathBuf,
    /// Why, for whoever reads it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The file to write; if left out, FILE with the ending .revoke
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The party.toml of the agency's node, to say what follows; if left out, that of TACIT_CONFIG, else the one beside the key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const REVOKE_HELP: &str = "Examples:
  tacit contract revoke contracts/energy.meters.5c1e90d2.contract --identity energy/energy.key --reason \"the pilot is over\"
      where `contracts` is the folder of the agency's node it is in force within a second

A node that has the note in its folder refuses new questions within a second and ends what runs, unless the contract says `new-jobs`. The agency's own
node is enough to keep every answer back; put it into every node's folder all the same. It cannot be taken back: sign a new contract instead.";

pub(super) fn revoke(args: &RevokeArgs) -> Done {
    let document = document(&args.file)?;
    let contract = document.contract;
    let Some(signed) = document.signed else {
        return Err(
            Error::config(format!("{}: it is a draft: nobody has signed it, and there is nothing to end", args.file.display())).into()
        );
    };
    let (identity, owner) = (sign::load(&args.identity)?, contract.owner.name());
    if *contract.owner.key() != identity.public().verifying_key() {
        let what = format!("this is not the key of `{owner}`, who alone can end it");
        return Err(Error::Failed(format!("{}: {what}", args.identity.display())).into());
    }
    let node = args.node(owner)?;
    let body = Body::Revoke(Revoke { contract: signed.id, reason: args.reason.clone() });
    let note = stack::wiped(|| body.sign(owner, identity.signing_key())).map_err(|error| Error::config(error.to_string()))?;
    let path = args.output.clone().unwrap_or_else(|| args.file.with_extension("revoke"));
    write_new(&path, &note)?;
    let ends = format!("{} ends the contract `{}` ({}).", path.display(), contract.id, signed.id.short());
    let place = match &node {
        Some((file, node)) if lies_in(&path, &node.contracts) => {
            format!("It is in the folder by which `{owner}`'s node goes ({}): put it into those of the other nodes, too.", file.display())
        }
        Some((file, node)) => {
            let folder = node.contracts.display();
            format!(
                "It ends nothing before it is in {folder}, by which `{owner}`'s node goes ({}): put it there, and into the folders of the other nodes.",
                file.display()
            )
        }
        None => "It ends nothing before it is in a folder by which a node goes: put it into that of every node where it is not.".to_owned(),
    };
    let running = match contract.revocation {
        Revocation::Immediate => "ends what runs under the contract",
        Revocation::NewJobs => "lets what runs under the contract end",
    };
    let log = match &node {
        Some((_, node)) if node.ledger.is_none() => String::new(),
        Some(_) => format!(" By way of `{owner}`'s node the city's log has it with the next checkpoint, and all nodes go by that."),
        None => format!(" If `{owner}`'s node keeps the city's log, that has it with the next checkpoint, and all nodes go by that."),
    };
    Ok(print(&format!("{ends}\n{place}\nA node that runs sees it there within a second: it refuses new questions, and {running}.{log}\n"))?)
}

impl RevokeArgs {
    /// The owner's node as its configuration says, if that is found.
    fn node(&self, owner: &str) -> Result<Option<(PathBuf, party::Config)>, Error> {
        let load = |path: PathBuf| match party::Config::load(&path) {
            Ok(config) => Ok((path, config)),
            Err(error) => Err(Error::config(error.to_string())),
        };
        if let Some(path) = &self.config {
            let (path, config) = load(path.clone())?;
            if config.node != owner {
                let what = format!("it is of `{}`'s node, and the contract is `{owner}`'s", config.node);
                return Err(Error::config(format!("{}: {what}; give that of `{owner}`'s node, or leave --config out", path.display())));
            }
            return Ok(Some((path, config)));
        }
        // What was not asked for is no reason to keep a revocation back, whatever is wrong with it.
        let places = [std::env::var_os(VARIABLE).map(PathBuf::from), Some(self.identity.with_file_name("party.toml"))];
        let there = places.into_iter().flatten().filter(|path| file::read(path, Kind::Party).is_ok());
        Ok(there.filter_map(|path| load(path).ok()).find(|(_, config)| config.node == owner))
    }
}

fn lies_in(file: &Path, folder: &Path) -> bool {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    matches!((parent.canonicalize(), folder.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
