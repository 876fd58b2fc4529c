//! `tacit contract new`.

use super::protection::Protection;
use super::{catalog, ended, roster, write_new};
use crate::cli::{Done, print};
use crate::clock::now;
use crate::contract::standing;
use crate::error::Error;
use clap::Args;
use ledger::contract::{Contract, Operation, Pattern, Price, ROWS, Revocation, Sizes, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Write the draft of a contract: every column is listed, and nothing is allowed that is not asked for
#[derive(Debug, Args)]
#[command(after_long_help = NEW_HELP)]
pub(super) struct NewArgs {
    /// The table, `agency.table`
    #[arg(long, value_name = "AGENCY.TABLE")]
    dataset: String,
    /// The city's roster, which has the keys
    #[arg(long, value_name = "FILE")]
    roster: PathBuf,
    /// The city's catalogue, which has the columns
    #[arg(long, value_name = "FILE")]
    catalogue: PathBuf,
    /// Who may ask (by name; comma-separated or repeated); answers go to them
    #[arg(long, value_name = "NAME", value_delimiter = ',', required = true)]
    planner: Vec<String>,
    /// What is allowed of a column, or of the rows (`*`); may be repeated
    #[arg(long, value_name = "COLUMN=OPERATION,…")]
    allow: Vec<String>,
    /// Who is given answers, of the planners (by name; comma-separated or repeated); if left out, all who may ask
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    receiver: Vec<String>,
    /// What for: IRIs, of the Data Privacy Vocabulary if it has one; if left out, https://w3id.org/dpv#PublicBenefit
    #[arg(long, value_name = "IRI")]
    purpose: Vec<String>,
    /// The other agencies' data sets it may be used together with: `health.stays`, `health.*`, `*`; if left out, none
    #[arg(long, value_name = "PATTERN")]
    join_with: Vec<Pattern>,
    /// From when on, such as 2027-01-01T00:00:00Z; if left out, today
    #[arg(long, value_name = "TIME")]
    not_before: Option<Time>,
    /// Until when; if left out, a year later
    #[arg(long, value_name = "TIME")]
    not_after: Option<Time>,
    /// How many answers in all; if left out, any number
    #[arg(long, value_name = "N")]
    max_uses: Option<u64>,
    /// What an answer costs: how much of what unit, such as '3 credit'
    #[arg(long, value_name = "'N UNIT'", value_parser = price, allow_hyphen_values = true)]
    price: Option<Price>,
    /// What a revocation does to jobs that run: `immediate` ends them before their next round, `new-jobs` lets them end
    #[arg(long, value_name = "WHAT", value_parser = revocation, default_value = "immediate")]
    revocation: Revocation,
    /// What others may learn of how many rows are left at home: `hidden`, `bucket` (the number rounded up) or `exact`
    #[arg(long, value_name = "SIZES", value_parser = sizes, default_value = "hidden")]
    sizes: Sizes,
    /// Whether planners must sign it too
    #[arg(long)]
    countersigned: bool,
    /// What people call it; if left out, after the table
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// The file to write, `-` for standard output; if left out, AGENCY.TABLE.draft
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    protection: Protection,
}

const NEW_HELP: &str = "Examples:
  tacit contract new --dataset energy.meters --planner planning-office --roster roster.toml --catalogue catalogue.toml
  tacit contract new --dataset energy.meters --planner planning-office --allow 'kwh=SUM,AVG' --allow 'zone=GROUP,JOIN' --allow '*=COUNT' \\
      --join-with 'health.*' --max-uses 100 --sizes bucket --not-after 2028-01-01T00:00:00Z --roster roster.toml --catalogue catalogue.toml --output -
  tacit contract new --dataset energy.meters --planner planning-office --allow 'kwh=SUM' --allow 'zone=GROUP' --entity-key meter --min-group 10 \\
      --dominance 50 --clamp 'kwh=0..5000' --rows-per-entity 12 --epsilon-month 4 --epsilon-query 0.5 --delta 0.000001 --noise binomial \\
      --noise-required --price '3 credit' --roster roster.toml --catalogue catalogue.toml

The operations are AVG, CORR, COUNT, COUNT_DISTINCT, FILTER, GROUP, JOIN, MAX, MEDIAN, MIN, ORDER, RELEASE, SUM, VAR; docs/contracts.md says what each means.
A draft is JSON, to be edited; columns that allow nothing are left out when it is signed.";

pub(super) fn new(args: &NewArgs) -> Done {
    let (roster, catalog) = (roster(&args.roster)?, catalog(&args.catalogue)?);
    let Some(table) = catalog.table(&args.dataset).filter(|table| table.owner().is_some()) else {
        let names: Vec<&str> = catalog.tables().iter().filter(|table| table.owner().is_some()).map(|table| table.name.as_str()).collect();
        return Err(
            Error::config(format!("the catalogue has no table of an agency `{}`; it has {}", args.dataset, names.join(", "))).into()
        );
    };
    let mut columns: BTreeMap<String, BTreeSet<Operation>> =
        table.columns.iter().map(|column| (column.name.clone(), BTreeSet::new())).collect();
    columns.insert(ROWS.into(), BTreeSet::new());
    args.protection.known(table)?;
    for allow in &args.allow {
        let (name, operations) =
            allow.split_once('=').ok_or_else(|| Error::config(format!("--allow {allow}: write it as 'kwh=SUM,AVG'")))?;
        let Some(allowed) = columns.get_mut(name) else {
            return Err(Error::config(format!("--allow {allow}: {} has no column `{name}`", table.name)).into());
        };
        for word in operations.split(',').map(str::trim) {
            allowed.insert(word.parse().map_err(|error| Error::config(format!("--allow {allow}: `{word}` is {error}")))?);
        }
    }
    let (owner, planners) = (standing::agency_key(&roster, &table.name)?, standing::planner_keys(&roster, &args.planner)?);
    let contract =
        Contract::new(&table.name, owner, planners, columns, now()).map_err(|e| Error::internal(format!("no randomness: {e}")))?;
    let contract = args.protection.put_into(contract);
    let contract = Contract {
        id: args.id.clone().unwrap_or(contract.id),
        purposes: if args.purpose.is_empty() { contract.purposes } else { args.purpose.iter().cloned().collect() },
        join_with: args.join_with.iter().cloned().collect(),
        not_before: args.not_before.unwrap_or(contract.not_before),
        not_after: args.not_after.unwrap_or(contract.not_after),
        max_uses: args.max_uses,
        price: args.price.clone(),
        revocation: args.revocation,
        sizes: args.sizes,
        countersigned: args.countersigned,
        ..contract
    };
    let receivers = args.receiver.iter().cloned().collect::<BTreeSet<_>>();
    if let Some(stranger) = receivers.iter().find(|name| !contract.receivers.contains(*name)) {
        return Err(Error::config(format!("--receiver {stranger}: it may not ask; give it as a --planner, too")).into());
    }
    let contract = if receivers.is_empty() { contract } else { Contract { receivers, ..contract } };
    refuse_wrong(&contract)?;
    let text = serde_json::to_string_pretty(&contract).map_err(|e| Error::internal(e.to_string()))? + "\n";
    let default = PathBuf::from(format!("{}.draft", table.name));
    match args.output.as_deref().unwrap_or(&default) {
        path if path == Path::new("-") => Ok(print(&text)?),
        path => {
            write_new(path, &text)?;
            let file = path.display();
            Ok(print(&format!("Wrote {file}. Edit it, then `tacit contract check {file}` and `tacit contract sign {file}`.\n"))?)
        }
    }
}

fn sizes(text: &str) -> Result<Sizes, &'static str> {
    let known = [Sizes::Hidden, Sizes::Bucket, Sizes::Exact].into_iter().find(|sizes| sizes.name() == text);
    known.ok_or("there are hidden, bucket and exact")
}

/// What would be wrong with it whatever else its owner adds: said before there is a draft.
fn refuse_wrong(contract: &Contract) -> Result<(), Error> {
    let mut contract = contract.clone();
    contract.columns.retain(|_, allowed| !allowed.is_empty());
    // Nothing allowed is a draft to be edited.
    let columns_are_missing = |what: &&str| contract.columns.is_empty() && (what.starts_with("`columns`") || what.starts_with("`clamp`"));
    let mut wrong: Vec<String> = contract.problems().into_iter().filter(|what| !columns_are_missing(what)).map(String::from).collect();
    wrong.extend(ended(&contract).map(|ended| format!("{ended}; give a later --not-after")));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Error::config(format!("the contract would be wrong, and is not written: {}", wrong.join("; "))))
    }
}

fn price(text: &str) -> Result<Price, &'static str> {
    const BAD: &str = "write it as '3 credit': a whole number, and a unit of the letters a-z, 0-9, `_`, `-`";
    let (amount, unit) = text.split_once(' ').ok_or(BAD)?;
    Ok(Price { unit: unit.into(), per_use: amount.parse().map_err(|_| BAD)? })
}

fn revocation(text: &str) -> Result<Revocation, &'static str> {
    match text {
        "immediate" => Ok(Revocation::Immediate),
        "new-jobs" => Ok(Revocation::NewJobs),
        _ => Err("there are immediate and new-jobs"),
    }
}
