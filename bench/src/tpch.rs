//! TPC-H through real nodes: a coordinator and three agencies as processes on loopback, all 22 queries, every answer compared with
//! DataFusion's on the pooled tables.

use crate::nodes::{Nodes, Outcome, Question};
use crate::report::{self, Row, say};
use anyhow::{Result, anyhow};
use client::city::{Allowed, Plan, TableFile};
use scenarios::tpch::{PARTIES, QUERIES, Query, Tpch};
use std::fmt::Write;

/// How to run it.
#[derive(clap::Args)]
pub struct Args {
    /// Scale factor: 1 is six million lines of orders
    #[arg(long, default_value_t = 0.01)]
    scale: f64,
    /// These queries only (numbers; comma-separated or repeated)
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=22))]
    query: Vec<u8>,
    /// How often each query is asked; the median counts
    #[arg(short = 'n', long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table of docs/tpch.md
    #[arg(long)]
    markdown: bool,
}

/// What a query may take, in seconds, at scale factor 0.01.
const LIMITS: [(usize, f64); 4] = [(1, 3.0), (3, 6.0), (6, 0.5), (13, 6.0)];
const LIMITS_AT: f64 = 0.01;

const NAMES: [&str; 22] = [
    "tpch_q1", "tpch_q2", "tpch_q3", "tpch_q4", "tpch_q5", "tpch_q6", "tpch_q7", "tpch_q8", "tpch_q9", "tpch_q10", "tpch_q11", "tpch_q12",
    "tpch_q13", "tpch_q14", "tpch_q15", "tpch_q16", "tpch_q17", "tpch_q18", "tpch_q19", "tpch_q20", "tpch_q21", "tpch_q22",
];

/// Runs it; `false` if a limit is exceeded, an answer differs or there is none.
pub fn run(args: &Args) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("tacit-tpch-").tempdir()?;
    let data = Tpch::generate(&folder.path().join("data"), args.scale)?;
    let table = |source: scenarios::Source| TableFile { name: source.table, path: source.path };
    let parties = PARTIES.map(|party| (party, data.sources(party).into_iter().map(table).collect::<Vec<_>>()));
    let plan = Plan { city: "TPC-H", parties: &parties, public: &[], catalogue: &data.catalog_toml(), allowed: Allowed::Everything };
    let nodes = Nodes::start(folder.path(), &plan, PARTIES)?;

    let chosen = |query: &&Query| args.query.is_empty() || args.query.iter().any(|n| usize::from(*n) == query.number);
    let mut ok = true;
    if !args.json && !args.markdown {
        report::header();
    }
    let mut docs = String::from(
        "| query | rows in | rows out | seconds | rounds | MB among the parties | written |\n|---|---:|---:|---:|---:|---:|---|\n",
    );
    for query in QUERIES.iter().filter(chosen) {
        let sql = query.sql(args.scale);
        let limit = LIMITS.iter().find(|(number, _)| *number == query.number && args.scale == LIMITS_AT).map(|(_, limit)| *limit);
        let outcome = nodes.ask(&Question {
            work: NAMES[query.number - 1],
            purpose: format!("TPC-H Q{}", query.number),
            sql: &sql,
            rows: data.rows_of(&sql),
            limit,
            repetitions: args.repetitions,
        })?;
        let name = NAMES[query.number - 1];
        ok &= match &outcome {
            Outcome::Answered { row, difference, .. } => row.line.ok && difference.is_none(),
            Outcome::Unanswered(_) => false,
        };
        match (&outcome, args.markdown) {
            (_, true) => docs += &markdown(query, &outcome),
            (Outcome::Answered { row, .. }, _) => row.print(args.json),
            (Outcome::Unanswered(error), _) => report::without(name, false, error, args.json),
        }
        if let Outcome::Answered { difference: Some(difference), .. } = &outcome {
            report::error(&anyhow!("{name} differs from DataFusion: {difference}"));
        }
    }
    if args.markdown {
        say(&docs);
    }
    nodes.stop();
    Ok(ok)
}

fn markdown(query: &Query, outcome: &Outcome) -> String {
    let mut line = format!("| Q{} {} ", query.number, query.title());
    match outcome {
        Outcome::Answered { row, rows_out, difference } => {
            let Row { line: l, .. } = &**row;
            let differs = if difference.is_some() { " DIFFERS" } else { "" };
            let (mb, rounds) = (l.bytes_party.unwrap_or_default() as f64 * 3.0 / 1e6, l.rounds.unwrap_or_default());
            write!(line, "| {} | {rows_out}{differs} | {:.2} | {rounds} | {mb:.1} ", l.rows, l.wall_s).ok();
        }
        Outcome::Unanswered(error) => {
            let short = error.lines().next().unwrap_or_default();
            write!(line, "| | no answer: {} | | | ", short.replace('|', "/")).ok();
        }
    }
    line + &format!("| {} |\n", query.rewritten())
}
