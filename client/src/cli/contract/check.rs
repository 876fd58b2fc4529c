//! `tacit contract check`.

use super::{catalog, roster};
use crate::cli::{Done, End, print};
use crate::clock::now;
use crate::config::read;
use crate::contract::{Document, document::Seen, words};
use clap::Args;
use ledger::contract::Time;
use mpc_core::file::Kind;
use party::contracts::folder;
use serde_json::json;
use std::path::PathBuf;

/// Say everything that is wrong with a contract or a draft, and what it allows
#[derive(Debug, Args)]
#[command(after_long_help = CHECK_HELP)]
pub(super) struct CheckArgs {
    /// The contract, or the draft of one
    file: PathBuf,
    /// The city's catalogue, to look its columns up
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// The city's roster, to hold its keys against
    #[arg(long, value_name = "FILE")]
    roster: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

const CHECK_HELP: &str = "Examples:
  tacit contract check energy.meters.draft
  tacit contract check energy.meters.5c1e90d2.contract --roster roster.toml --catalogue catalogue.toml
  tacit contract check energy.meters.5c1e90d2.contract --roster roster.toml --catalogue catalogue.toml --json

Without a roster and a catalogue, keys and columns are not looked up. Exit code 1 if anything is wrong.";

pub(super) fn check(args: &CheckArgs) -> Done {
    let text = read(&args.file, Kind::Contract)?;
    let roster = args.roster.as_deref().map(roster).transpose()?;
    let catalog = args.catalogue.as_deref().map(catalog).transpose()?;
    let (mut wrong, mut notes) = (Vec::new(), Vec::new());
    let document = Document::parse(&text);
    match &document {
        Err(what) => wrong.push(what.clone()),
        Ok(Document { contract, signed }) => {
            wrong.extend(super::wrong(contract));
            wrong.extend(catalog.iter().flat_map(|catalog| folder::unknown(contract, catalog)));
            for name in roster.iter().flat_map(|roster| document.iter().flat_map(|document| document.strangers(roster))) {
                wrong.push(format!("the key of `{name}` is not the one that the roster has for it"));
            }
            let now = now();
            if now < contract.not_before.0 {
                notes.push(format!("it begins at {}, and it is {}", contract.not_before, Time(now)));
            }
            notes.extend(words::caution(contract));
            if signed.is_none() {
                notes.push(format!("it is a draft: `tacit contract sign` signs it, with the key of `{}`", contract.owner.name()));
            }
            let unlooked = [
                (args.roster.is_none(), "its keys were not compared: give --roster"),
                (args.catalogue.is_none(), "its columns were not looked up: give --catalogue"),
            ];
            notes.extend(unlooked.into_iter().filter(|(missing, _)| *missing).map(|(_, what)| what.to_owned()));
        }
    }
    let allows = document.as_ref().map(|document| words::sentences(&document.contract)).unwrap_or_default();
    let text = match args.json {
        true => {
            let state = document.as_ref().ok().map(|document| document.state(roster.as_ref(), Seen::default()));
            format!("{}\n", json!({"ok": wrong.is_empty(), "wrong": wrong, "notes": notes, "allows": allows, "state": state}))
        }
        false => {
            let lines = |mark: &str, all: &[String]| all.iter().map(|what| format!("{mark} {what}\n")).collect::<String>();
            let verdict = match wrong.len() {
                0 => "Nothing is wrong with it.\n".to_owned(),
                n => format!("{} wrong with it.\n", if n == 1 { "One thing is".into() } else { format!("{n} things are") }),
            };
            let gap = if allows.is_empty() { "" } else { "\n" };
            format!("{}{}{verdict}{gap}{}", lines("✗", &wrong), lines("·", &notes), lines("✓", &allows))
        }
    };
    print(&crate::render::plain(&text))?;
    if wrong.is_empty() { Ok(()) } else { Err(End::Quiet(1)) }
}
