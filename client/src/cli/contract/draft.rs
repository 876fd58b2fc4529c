//! `tacit contract new`.

use super::{catalog, roster, write_new};
use crate::cli::{Done, print};
use crate::clock::now;
use crate::contract::standing;
use crate::error::Error;
use clap::Args;
use ledger::contract::{Contract, Operation, Pattern, ROWS, Sizes, Time};
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
}

const NEW_HELP: &str = "Examples:
  tacit contract new --dataset energy.meters --planner planning-office --roster roster.toml --catalogue catalogue.toml
  tacit contract new --dataset energy.meters --planner planning-office --allow 'kwh=SUM,AVG' --allow 'zone=GROUP,JOIN' --allow '*=COUNT' \\
      --join-with 'health.*' --max-uses 100 --sizes bucket --not-after 2028-01-01T00:00:00Z --roster roster.toml --catalogue catalogue.toml --output -

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
    let contract = Contract {
        id: args.id.clone().unwrap_or(contract.id),
        purposes: if args.purpose.is_empty() { contract.purposes } else { args.purpose.iter().cloned().collect() },
        join_with: args.join_with.iter().cloned().collect(),
        not_before: args.not_before.unwrap_or(contract.not_before),
        not_after: args.not_after.unwrap_or(contract.not_after),
        max_uses: args.max_uses,
        sizes: args.sizes,
        countersigned: args.countersigned,
        ..contract
    };
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
