//! The questions of the New York pack that have a reference answer, on all its records, through real nodes. The records lie outside the
//! project: `TACIT_DATA`, or `../shared/data`; where they are absent, that is said.

use crate::nodes::{Nodes, Outcome, Question};
use crate::report;
use anyhow::{Context, Result, anyhow};
use client::city::{Allowed, Plan, TableFile};
use scenarios::{PARTIES, shared_data};

/// How to run it.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Only this question; may be repeated
    #[arg(long, value_name = "QUESTION", value_parser = known)]
    question: Vec<&'static str>,
    /// How often each is asked; the median counts
    #[arg(short = 'n', long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
}

/// Restaurants met with graded buildings on their addresses, 24,806 × 18,860.
pub const Q5: &str = "nyc_q5";
/// What that may take, from SQL to table.
const Q5_LIMIT_S: f64 = 3.0;

/// The pack's questions and ours for them.
const QUESTIONS: [(&str, &str); 6] = [
    ("nyc_q1", "boroughs"),
    ("nyc_q2", "correlations"),
    ("nyc_q3", "omicron"),
    (Q5, "addresses"),
    ("nyc_q8", "quartiles"),
    ("nyc_q9", "percentiles"),
];

fn known(name: &str) -> Result<&'static str, String> {
    let found = QUESTIONS.iter().map(|(work, _)| *work).find(|work| *work == name);
    found.ok_or_else(|| format!("the questions are {}", QUESTIONS.map(|(work, _)| work).join(", ")))
}

/// Runs it; `false` if a limit is exceeded, an answer differs or there is none.
pub fn run(args: &Args) -> Result<bool> {
    if !args.json {
        report::header();
    }
    let all = QUESTIONS.map(|(work, _)| work);
    measure(if args.question.is_empty() { &all } else { &args.question }, args.repetitions, args.json)
}

/// Asks these and prints a line for each.
pub fn measure(works: &[&'static str], repetitions: u32, json: bool) -> Result<bool> {
    let data = match shared_data() {
        Ok(data) => data.join("nyc"),
        Err(absent) => {
            // not having them is no failure
            works.iter().for_each(|work| report::without(work, true, &absent.to_string(), json));
            return Ok(true);
        }
    };
    let folder = tempfile::Builder::new().prefix("tacit-nyc-").tempdir()?;
    let files = scenarios::City::open(&data, folder.path())?;
    let table = |source: scenarios::Source| TableFile { name: source.table, path: source.path };
    let parties = PARTIES.map(|party| (party, files.sources(party).into_iter().map(table).collect::<Vec<_>>()));
    let public: Vec<TableFile> = files.public_sources().into_iter().map(table).collect();
    let catalogue = files.catalog_toml();
    let plan = Plan { city: "New York", parties: &parties, public: &public, catalogue: &catalogue, allowed: Allowed::Everything };
    let nodes = Nodes::start(folder.path(), &plan, PARTIES)?;

    let mut ok = true;
    for work in works {
        let (_, ours) = QUESTIONS.iter().find(|(name, _)| name == work).context("a question of the pack")?;
        let sql = scenarios::question(ours).context("a question of ours")?.sql;
        let rows = nodes.rows_of(sql)?;
        let limit = (*work == Q5).then_some(Q5_LIMIT_S);
        match nodes.ask(&Question { work, purpose: format!("benchmark: {ours}"), sql, rows, limit, repetitions })? {
            Outcome::Answered { row, difference, .. } => {
                ok &= row.line.ok;
                row.print(json);
                if let Some(difference) = difference {
                    report::error(&anyhow!("{work} differs from DataFusion: {difference}"));
                }
            }
            Outcome::Unanswered(error) => {
                ok = false;
                report::without(work, false, &error, json);
            }
        }
    }
    nodes.stop();
    Ok(ok)
}
