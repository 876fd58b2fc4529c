//! `tacit contract show` and `tacit contract diff`.

use super::{catalog, document, roster};
use crate::cli::ledger::files::LogArgs;
use crate::cli::{Done, print};
use crate::config::read;
use crate::contract::document::Seen;
use crate::contract::{Document, State, changes, odrl, receipt, words};
use crate::error::Error;
use crate::render::{Table, plain};
use clap::Args;
use ledger::contract::{Contract, open_revocation};
use ledger::entry::{Body, Entry, Revoke};
use mpc_core::file::{Kind, unreadable_folder};
use party::contracts::folder;
use query::catalog::Catalog;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Show a contract, and where its negotiation is
#[derive(Debug, Args)]
#[command(after_long_help = SHOW_HELP)]
pub(super) struct ShowArgs {
    /// The contract, or the draft of one; a revocation that lies beside it (FILE.revoke) is seen
    file: PathBuf,
    /// The city's roster, to hold its keys against
    #[arg(long, value_name = "FILE")]
    roster: Option<PathBuf>,
    /// The city's catalogue, to say of which columns nothing is allowed
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// A revocation that lies elsewhere
    #[arg(long, value_name = "FILE")]
    revocation: Option<PathBuf>,
    /// The folder of contracts by which a node goes, to see whether it is there
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// The city's log, to see whether it stands there: a folder of tiles, or a node's ledger folder
    #[arg(long, value_name = "LOG")]
    log: Option<PathBuf>,
    /// As a policy in ODRL (JSON-LD)
    #[arg(long, conflicts_with_all = ["receipt", "json"])]
    odrl: bool,
    /// As a receipt for the office that answers for the data (Markdown)
    #[arg(long, conflicts_with = "json")]
    receipt: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

const SHOW_HELP: &str = "Examples:
  tacit contract show energy.meters.5c1e90d2.contract --roster roster.toml
  tacit contract show energy.meters.5c1e90d2.contract --roster roster.toml --catalogue catalogue.toml
  tacit contract show energy.meters.5c1e90d2.contract --receipt > receipt.md
  tacit contract show energy.meters.5c1e90d2.contract --odrl > policy.jsonld
  tacit contract show energy.meters.5c1e90d2.contract --roster roster.toml --contracts contracts
  tacit contract show energy.meters.5c1e90d2.contract --roster roster.toml --log energy/state/ledger --json

The states are those of the Dataspace Protocol: REQUESTED (a draft), OFFERED (signed by its agency; planners must sign it too), ACCEPTED
(they have), AGREED (its agency goes by it: by its signature alone if nobody else has to sign, else it is among its contracts), VERIFIED (with the roster's
keys), FINALIZED (it stands in the log), TERMINATED (revoked). Nothing of the log is verified here: `tacit ledger audit` does that.";

pub(super) fn show(args: &ShowArgs) -> Done {
    let document = document(&args.file)?;
    let roster = args.roster.as_deref().map(roster).transpose()?;
    let catalog = args.catalogue.as_deref().map(catalog).transpose()?;
    let looked = catalog.as_ref().map(|catalog| Looked::up(&document.contract, catalog));
    let state = document.state(roster.as_ref(), seen(args, &document)?);
    let text = match () {
        () if args.odrl => {
            let agreed = !matches!(state, State::Requested | State::Offered | State::Accepted);
            let policy = odrl::odrl(&document, agreed);
            serde_json::to_string_pretty(&policy).map_err(|e| Error::internal(e.to_string()))? + "\n"
        }
        () if args.receipt => receipt::receipt(&document, state),
        () if args.json => {
            let signed = document.signed.as_ref().map(|signed| json!({"id": signed.id, "countersigned": signed.countersigned}));
            let mut told = json!({"state": state, "signed": signed, "contract": document.contract});
            if let Some(Looked { nothing, unknown }) = &looked {
                (told["nothing_of"], told["unknown"]) = (json!(nothing), json!(unknown));
            }
            format!("{told}\n")
        }
        () => plain(&table(&document, state, looked.as_ref())),
    };
    Ok(print(&text)?)
}

/// What a catalogue says of a contract.
struct Looked {
    /// Columns of which nothing is allowed.
    nothing: Vec<String>,
    /// What the catalogue does not have.
    unknown: Vec<String>,
}

impl Looked {
    fn up(contract: &Contract, catalog: &Catalog) -> Self {
        let columns = catalog.table(&contract.dataset).into_iter().flat_map(|table| &table.columns).map(|column| column.name.clone());
        let nothing = |name: &String| contract.columns.get(name).is_none_or(|allowed| allowed.is_empty());
        Self { nothing: columns.filter(nothing).collect(), unknown: folder::unknown(contract, catalog) }
    }
}

/// What is known of it from files beside it and from the log.
fn seen(args: &ShowArgs, document: &Document) -> Result<Seen, Error> {
    let mut seen = Seen::default();
    let Some(signed) = &document.signed else { return Ok(seen) };
    let beside = args.file.with_extension("revoke");
    let given = args.revocation.as_deref().or_else(|| beside.exists().then_some(&*beside));
    if let Some(path) = given {
        let ended = open_revocation(&read(path, Kind::Revocation)?, &document.contract.owner);
        let ended = ended.map_err(|error| Error::config(format!("{}: {error}", path.display())))?;
        seen.revoked = ended == signed.id;
        if !seen.revoked && args.revocation.is_some() {
            return Err(Error::config(format!("{}: it ends another contract ({})", path.display(), ended.short())));
        }
    }
    if let Some(folder) = &args.contracts {
        seen.held = held(folder, document)?;
    }
    if let Some(log) = &args.log {
        let log = LogArgs::at(log).open()?;
        let size = log.checkpoint.head().size;
        log.files.each(0..size, size, |_, bytes| {
            if let Ok(entry) = Entry::parse(bytes) {
                seen.logged |= entry.id == signed.id;
                seen.revoked |= matches!(entry.body, Body::Revoke(Revoke { contract, .. }) if contract == signed.id);
            }
            Ok(())
        })?;
    }
    Ok(seen)
}

/// Whether a folder has the contract, signed by as many as this file.
fn held(folder: &Path, wanted: &Document) -> Result<bool, Error> {
    let unreadable = |error| Error::config(format!("{}: {}", folder.display(), unreadable_folder(&error)));
    for file in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = file.map_err(unreadable)?.path();
        if path.extension().is_none_or(|extension| extension != "contract") {
            continue;
        }
        if let Ok(Document { signed: Some(found), .. }) = document(&path)
            && wanted.signed.as_ref().is_some_and(|signed| signed.id == found.id && signed.countersigned.is_subset(&found.countersigned))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn table(document: &Document, state: State, looked: Option<&Looked>) -> String {
    let contract = &document.contract;
    let names = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
    let mut table = Table::new(["", "contract"]);
    let mut row = |label: &str, what: String| table.push([label.to_owned(), what]);
    row("called", contract.id.clone());
    row("data set", contract.dataset.clone());
    row("state", state.to_string());
    if let Some(signed) = &document.signed {
        row("id", signed.id.to_string());
        let signers = std::iter::once(contract.owner.name().to_owned()).chain(signed.countersigned.iter().cloned());
        row("signed by", names(&mut signers.into_iter()));
    }
    row("may ask", names(&mut contract.planners.iter().map(|key| key.name().to_owned())));
    row("receive answers", names(&mut contract.receivers.iter().cloned()));
    row("purposes", names(&mut contract.purposes.iter().cloned()));
    for (name, allowed) in &contract.columns {
        row(words::column(name), names(&mut allowed.iter().map(|operation| operation.name().to_owned())));
    }
    if let Some(Looked { nothing, unknown }) = looked {
        row("nothing of", if nothing.is_empty() { "no column".into() } else { nothing.join(", ") });
        unknown.iter().for_each(|what| row("wrong", what.clone()));
    }
    let partners = names(&mut contract.join_with.iter().map(ToString::to_string));
    row("together with", if partners.is_empty() { "no other".into() } else { partners });
    row("in force", format!("{} to {}", contract.not_before, contract.not_after));
    row("answers", contract.max_uses.map_or("any number".into(), |uses| uses.to_string()));
    for restriction in words::restrictions(contract) {
        row("", restriction);
    }
    table.aligned()
}

/// Say what another version of a contract widens and what it narrows
#[derive(Debug, Args)]
#[command(after_long_help = DIFF_HELP)]
pub(super) struct DiffArgs {
    /// The one there is
    old: PathBuf,
    /// The one there may be
    new: PathBuf,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

const DIFF_HELP: &str = "Examples:
  tacit contract diff contracts/energy.meters.5c1e90d2.contract energy.meters.draft
  tacit contract diff old.contract new.contract --json

Either may be a draft. What is wider comes first: it is what the agency would give.";

pub(super) fn diff(args: &DiffArgs) -> Done {
    let [old, new] = [&args.old, &args.new].map(|path: &PathBuf| document(Path::new(path)));
    let changes = changes::changes(&old?.contract, &new?.contract);
    let mut text = String::new();
    for change in &changes {
        text += &match args.json {
            true => serde_json::to_string(change).map_err(|e| Error::internal(e.to_string()))?,
            false => plain(&change.to_string()),
        };
        text.push('\n');
    }
    if changes.is_empty() && !args.json {
        text += "Both allow the same.\n";
    }
    Ok(print(&text)?)
}
