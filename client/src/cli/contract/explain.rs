//! `tacit contract explain`.

use super::{catalog, document};
use crate::caret::point_at;
use crate::cli::{Done, End, print};
use crate::clock::now;
use crate::contract::{Document, words};
use crate::error::Error;
use crate::render::plain;
use clap::Args;
use ledger::bytes::Hash;
use ledger::contract::{Contract, Operation, Security, SignedContract, Time};
use query::compile::compile;
use query::consent::{self, Use};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Say whether a question would be allowed, and by which clause
#[derive(Debug, Args)]
#[command(after_long_help = EXPLAIN_HELP)]
pub(super) struct ExplainArgs {
    /// The contract, or the draft of one; several, of several tables
    #[arg(required = true, num_args = 1..)]
    file: Vec<PathBuf>,
    /// The question in SQL, behind `--`
    #[arg(last = true, required = true, value_name = "SQL")]
    sql: String,
    /// The city's catalogue
    #[arg(long, value_name = "FILE")]
    catalogue: PathBuf,
    /// Who would ask; if left out, the first planner it names
    #[arg(long, value_name = "NAME")]
    planner: Option<String>,
    /// What for; if left out, the first purpose it names
    #[arg(long, value_name = "IRI")]
    purpose: Option<String>,
    /// When; if left out, now
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

const EXPLAIN_HELP: &str = "Examples:
  tacit contract explain energy.meters.draft --catalogue catalogue.toml -- \"SELECT SUM(kwh) FROM energy.meters\"
  tacit contract explain energy.meters.5c1e90d2.contract health.stays.contract --catalogue catalogue.toml -- \"$(cat question.sql)\"

Only what is given is asked: tables of agencies of which no contract is given are not looked at. A contract that planners must sign is taken as if they
had. Exit code 1 if the question is not allowed.";

pub(super) fn explain(args: &ExplainArgs) -> Done {
    let documents = args.file.iter().map(|path| document(path)).collect::<Result<Vec<_>, _>>()?;
    let catalog = catalog(&args.catalogue)?;
    let plan = compile(&args.sql, &catalog).map_err(|error| Error::Sql(point_at(&args.sql, &error)))?;
    let consent::Found { uses, tables, disclosed } =
        consent::interpret(&plan).map_err(|unknown| Error::Failed(format!("it cannot be decided: it has {unknown}")))?;
    let given: Vec<SignedContract> = documents.into_iter().map(as_signed).collect();
    let first = given.first().map(|signed| &signed.contract).ok_or_else(|| Error::config("no contract is given"))?;
    let named = |name: &String| first.planners.iter().find(|key| key.name() == name);
    let planner = match &args.planner {
        None => first.planners.first(),
        Some(name) => named(name),
    };
    let Some(planner) = planner else {
        let named: Vec<&str> = first.planners.iter().map(|key| key.name()).collect();
        let wanted = args.planner.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
        return Err(Error::config(format!("the contract `{}` names no planner{wanted}; it names {}", first.id, named.join(", "))).into());
    };
    let purpose = args.purpose.clone().or_else(|| first.purposes.first().cloned()).unwrap_or_default();
    let ask = consent::Ask {
        sql: &args.sql,
        planner,
        receivers: &[planner.name()],
        purpose: &purpose,
        security: Security::SemiHonest,
        now: args.at.map_or_else(now, |time| time.0),
    };
    let owners: BTreeSet<&str> = given.iter().map(|signed| signed.contract.owner.name()).collect();
    let denied = owners.iter().find_map(|owner| consent::check(&plan, Some(owner), &given, &ask).err());
    let of = |table: &str| table.split_once('.').map_or("", |(agency, _)| agency).to_owned();
    let concerned = |table: &String| owners.contains(of(table).as_str());
    let unlooked: Vec<&String> = tables.iter().filter(|table| !table.starts_with("public.") && !concerned(table)).collect();
    let asked: Vec<&Use> = uses.iter().filter(|used| concerned(&used.table)).collect();
    let text = match args.json {
        true => {
            let uses: Vec<_> = asked
                .iter()
                .map(|used| json!({"table": used.table, "column": used.column, "operation": used.operation, "or": used.or, "grouped": used.grouped, "place": used.place}))
                .collect();
            let denied = denied
                .as_ref()
                .map(|d| json!({"contract": d.contract, "table": d.table, "place": d.place, "reason": d.reason, "fix": d.fix}));
            format!("{}\n", json!({"allowed": denied.is_none(), "denied": denied, "uses": uses, "not_looked_at": unlooked}))
        }
        false => {
            let mut text = match &denied {
                None => "Allowed.\n".to_owned(),
                Some(denial) => format!("Not allowed: {denial}\n  to mend it: {}\n", denial.fix),
            };
            for used in &asked {
                text += &clause(used, &given);
            }
            for (table, sizes) in disclosed.iter().filter(|(table, _)| concerned(table)) {
                text += &format!("· {table} tells others how many rows are left at home ({})\n", sizes.name());
            }
            for Contract { id, price, dp, entity_domain, .. } in given.iter().map(|signed| &signed.contract) {
                if let Some(dp) = dp {
                    let shared = entity_domain.as_ref().map(|domain| format!(", shared by all its owner's tables about {domain}"));
                    text += &format!("· `{id}`: {}{}\n", words::budget(dp), shared.unwrap_or_default());
                }
                if let Some(price) = price {
                    text += &format!("· `{id}`: an answer costs {} {}\n", price.per_use, price.unit);
                }
            }
            for (id, caution) in given.iter().filter_map(|signed| Some((&signed.contract.id, words::caution(&signed.contract)?))) {
                text += &format!("· `{id}`: {caution}\n");
            }
            for table in unlooked {
                text += &format!("· {table} is not looked at: no contract of its agency is given\n");
            }
            text
        }
    };
    print(&plain(&text))?;
    if denied.is_none() { Ok(()) } else { Err(End::Quiet(1)) }
}

/// What is done with a column, and what of which contract allows it.
fn clause(used: &Use, given: &[SignedContract]) -> String {
    let name = used.column.as_deref().unwrap_or("*");
    let of = given.iter().map(|signed| &signed.contract).filter(|contract| contract.dataset == used.table);
    let by = of.into_iter().find_map(|contract| Some((contract.id.as_str(), used.allowed_by(contract)?)));
    let what = format!("{}: {} may {} ({})", used.table, words::column(name), words::may(used.operation), used.place);
    match by {
        Some((contract, operation)) => format!("✓ {what}: `{contract}`, columns.{name}: {operation}\n"),
        None => {
            let others: Vec<_> = used.or.iter().filter(|_| used.or.len() < Operation::ALL.len()).map(|other| other.name()).collect();
            let keys: Vec<_> = used.grouped.iter().map(|key| format!("columns.{key}")).collect();
            let with = if keys.is_empty() { String::new() } else { format!(", with GROUP of {}", keys.join(" and ")) };
            let or = if others.is_empty() { String::new() } else { format!(", or {}{with}", others.join(" or ")) };
            format!("✗ {what}: needs {} of columns.{name}{or}\n", used.operation)
        }
    }
}

/// A draft as it will be once it is signed; planners who must sign have.
fn as_signed(document: Document) -> SignedContract {
    let Document { contract, signed } = document;
    let id = signed.map_or(Hash([0; 32]), |signed| signed.id);
    SignedContract { id, countersigned: contract.planners.iter().map(|key| key.name().to_owned()).collect(), contract }
}
