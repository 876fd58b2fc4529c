//! `tacit init` and `tacit key`.

use super::{Done, print};
use crate::error::Error;
use crate::init::{self, NodeKind};
use clap::{Args, Subcommand};
use mpc_core::identity::Identity;
use std::path::{Path, PathBuf};

/// Make keys, a roster and commented configuration files for a city
#[derive(Debug, Args)]
#[command(after_long_help = INIT_HELP)]
pub(super) struct InitArgs {
    /// The folder to make; files that exist are never overwritten
    dir: PathBuf,
    /// The three agencies, in the order of the roster
    #[arg(long, value_delimiter = ',', default_value = "transport,energy,health")]
    parties: Vec<String>,
    /// The planner who may ask
    #[arg(long, default_value = "planning-office")]
    planner: String,
    /// The city's name
    #[arg(long, default_value = "Demo city")]
    city: String,
    /// First UDP port: the coordinator's; the parties have the next three, the API is at +80, health and metrics at +100 and on
    #[arg(long, default_value_t = 7100)]
    base_port: u16,
    /// Only one node, on its own machine: makes its key and configuration, and prints its lines for the roster
    #[arg(long, value_name = "NAME", conflicts_with_all = ["parties", "planner"])]
    node: Option<String>,
    /// What that one node is
    #[arg(long, value_enum, default_value = "party", requires = "node")]
    role: NodeKind,
    /// Where its peers reach that one node (QUIC, UDP)
    #[arg(long, value_name = "HOST:PORT", requires = "node")]
    addr: Option<String>,
}

const INIT_HELP: &str = "Examples:
  tacit init city
      all nodes of a city in ./city, for one machine: roster.toml, catalogue.toml, and a folder with a private key
      and a configuration for each node

  Agencies on machines of their own never send a private key anywhere. Each runs, on its own machine,
      tacit init tacit --node transport --addr transport.example.org:7101
      tacit init tacit --node coordinator --role coordinator --addr coordinator.example.org:7100
      tacit init tacit --node planning-office --role planner
  and sends what is printed (its name, public key and address) to whoever writes roster.toml. That file then goes to
  every node; compare `tacit doctor`'s roster hash over the telephone.";

pub(super) fn init(args: InitArgs) -> Done {
    let said = match &args.node {
        Some(name) => init::node(&args.dir, name, args.role, args.addr.as_deref(), args.base_port)?,
        None => init::city(&args.dir, &args.city, &args.parties, &args.planner, args.base_port)?,
    };
    Ok(print(&said)?)
}

/// Make a private key, or show the public half of one
#[derive(Debug, Args)]
#[command(after_long_help = KEY_HELP)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

const KEY_HELP: &str = "Examples:
  tacit key new transport.key       makes the file (mode 0600) and prints the public key
  tacit key show transport.key      prints the public key for the roster";

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Makes a private key in a new file (mode 0600) and prints its public half
    New {
        /// The file to make
        file: PathBuf,
    },
    /// Prints the public half of a private key
    Show {
        /// The private key's file
        file: PathBuf,
    },
}

pub(super) fn key(args: KeyArgs) -> Done {
    let identity = match &args.command {
        KeyCommand::New { file } => init::make_key(file)?,
        KeyCommand::Show { file } => load_key(file)?,
    };
    Ok(print(&format!("{}\n", identity.public()))?)
}

fn load_key(file: &Path) -> Result<Identity, Error> {
    Identity::load(file).map_err(|e| Error::config(e.to_string()))
}
