//! `tacit ledger submit`: the one command here that uses the network.

use super::files::fails;
use super::who::Who;
use crate::cli::{Done, print, runtime};
use crate::config::read;
use crate::error::Error;
use crate::http::Api;
use clap::Args;
use ledger::entry::{Body, Entry, Exhibit};
use ledger::evidence::Evidence;
use mpc_core::file::Kind;
use query::message::mirror::Refused;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;

/// Hand an entry in, or evidence, to stand in the city's log
///
/// The coordinator takes what the rules allow, and answers once a quorum of agencies has checked and cosigned it. Evidence is signed by the member whose
/// configuration is given; an entry is handed in as it was signed.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct SubmitArgs {
    /// Evidence, as `tacit ledger evidence` makes it; or a signed entry: of a member, a contract, the end of one
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Whose: a party.toml or a planner.toml; if left out, the planner's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

const HELP: &str = "Examples:
  tacit ledger submit fork.evidence --config energy/party.toml
  tacit ledger submit press.entry --config energy/party.toml
  tacit ledger submit meters.revoke

Whether it stands is proved by `tacit ledger prove` and `verify`, from an agency's mirror. Exit codes: 0 it stands; 1 it may not (E_… says why), or the coordinator
does not answer as it should; 2 a file is missing or not what it should be; 4 no connection.";

#[derive(Deserialize)]
struct Entered {
    index: u64,
}

pub(super) fn submit(args: &SubmitArgs) -> Done {
    let who = Who::load(args.config.as_deref())?;
    let text = read(&args.file, Kind::Entry)?;
    let entry = match text.parse::<Evidence>() {
        Ok(_) => who.sign(&Body::Evidence(Exhibit { evidence: text }))?,
        Err(_) if text.starts_with(EVIDENCE) => return Err(Error::config(format!("{}: it is no evidence", args.file.display())).into()),
        Err(_) => text,
    };
    let known = Entry::parse(entry.as_bytes());
    let known = known.map_err(|error| Error::config(format!("{}: it is neither an entry nor evidence: {error}", args.file.display())))?;
    let api = Api::new(&who.api()?)?;
    let answer = runtime()?.block_on(api.post_text::<Entered>("/ledger/entries", entry.clone()))?;
    let Entered { index } = answer.map_err(|problem| match serde_json::from_str::<Refused>(&problem.body) {
        Ok(Refused { code, reason, .. }) => fails(&code, reason),
        Err(_) => Error::Failed(format!("the coordinator does not take it: {} ({})", problem.body, problem.status)),
    })?;
    let kind = known.body.kind();
    Ok(print(&match args.json {
        true => format!("{}\n", json!({"index": index, "kind": kind, "id": known.id})),
        false => format!("Entry {index} of the log, of the kind {kind}, its id {}.\n", known.id),
    })?)
}

const EVIDENCE: &str = "tacit/equivocation/v1\n";
