//! TPC-H through real nodes: a coordinator and three agencies as processes on loopback, all 22 queries, every answer compared with
//! DataFusion's on the pooled tables.

use crate::demo::tacit;
use crate::micro::floor;
use crate::report::{self, Line, Row, say};
use anyhow::{Context, Result, anyhow, bail};
use client::city::{City, Plan, Program, TableFile};
use client::client::{Ask, Client};
use client::config::Config;
use client::pooled::Pooled;
use scenarios::tpch::{PARTIES, QUERIES, Query, Tpch};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

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

const HEALTHY_WITHIN: Duration = Duration::from_secs(180);

/// What came of a query.
enum Outcome {
    /// Answered, and whether the answer is DataFusion's; in parts to print.
    Answered { row: Row, rows_out: usize, difference: Option<String> },
    /// Refused, or it failed.
    Unanswered(String),
}

/// A query without an answer, as JSON.
#[derive(Serialize)]
struct Unanswered<'a> {
    work: &'static str,
    ok: bool,
    error: &'a str,
}

/// Runs it; `false` if a limit is exceeded, an answer differs or there is none.
pub fn run(args: &Args) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("tacit-tpch-").tempdir()?;
    let data = Tpch::generate(&folder.path().join("data"), args.scale)?;
    let table = |source: scenarios::Source| TableFile { name: source.table, path: source.path };
    let parties = PARTIES.map(|party| (party, data.sources(party).into_iter().map(table).collect::<Vec<_>>()));
    let plan = Plan { city: "TPC-H", parties: &parties, public: &[], catalogue: &data.catalog_toml() };
    let program = Program { executable: tacit()?, prefix: Vec::new() };
    let mut city = City::make(folder.path(), &plan, program)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    city.start_all()?;
    runtime.block_on(city.healthy(HEALTHY_WITHIN, |_| ()))?;
    runtime.block_on(city.connected(HEALTHY_WITHIN))?;
    let client = Client::open(Config::load(&city.planner_config())?)?;
    let pooled = Pooled::open(&city, client.catalog())?;

    let chosen = |query: &&Query| args.query.is_empty() || args.query.iter().any(|n| usize::from(*n) == query.number);
    let mut ok = true;
    if !args.json && !args.markdown {
        report::header();
    }
    let mut docs = String::from(
        "| query | rows in | rows out | seconds | rounds | MB among the parties | written |\n|---|---:|---:|---:|---:|---:|---|\n",
    );
    for query in QUERIES.iter().filter(chosen) {
        let outcome = ask(query, &data, &city, &client, &pooled, &runtime, args)?;
        let name = NAMES[query.number - 1];
        ok &= match &outcome {
            Outcome::Answered { row, difference, .. } => row.line.ok && difference.is_none(),
            Outcome::Unanswered(_) => false,
        };
        match (&outcome, args.markdown) {
            (_, true) => docs += &markdown(query, &outcome),
            (Outcome::Answered { row, .. }, _) => row.print(args.json),
            (Outcome::Unanswered(error), _) if args.json => say(&serde_json::to_string(&Unanswered { work: name, ok: false, error })?),
            (Outcome::Unanswered(error), _) => say(&format!("{name:<14} NO ANSWER  {error}")),
        }
        if let Outcome::Answered { difference: Some(difference), .. } = &outcome {
            report::error(&anyhow!("{name} differs from DataFusion: {difference}"));
        }
    }
    if args.markdown {
        say(&docs);
    }
    city.stop();
    Ok(ok)
}

fn ask(
    query: &Query,
    data: &Tpch,
    city: &City,
    client: &Client,
    pooled: &Pooled,
    runtime: &tokio::runtime::Runtime,
    args: &Args,
) -> Result<Outcome> {
    let sql = query.sql(args.scale);
    let cpu = || PARTIES.iter().filter_map(|party| city.cpu_seconds(party)).sum::<f64>();
    let (before, mut seconds, mut last) = (cpu(), Vec::new(), None);
    for _ in 0..args.repetitions {
        let purpose = format!("TPC-H Q{}", query.number);
        match runtime.block_on(client.ask(&sql, &Ask { purpose, ..Ask::default() }, |_| ())) {
            Ok(answer) => {
                seconds.push(answer.elapsed.as_secs_f64());
                last = Some(answer);
            }
            Err(error) => return Ok(Outcome::Unanswered(error.to_string())),
        }
    }
    let answer = last.context("a query is asked at least once")?;
    let cpu_s = (cpu() - before) / f64::from(args.repetitions);
    seconds.sort_by(f64::total_cmp);
    let (wall_s, best_s) = (seconds[seconds.len() / 2], seconds[0]);
    let rss_mb = PARTIES.iter().filter_map(|party| city.peak_rss(party)).max().unwrap_or_default() as f64 / 1e6;
    let bytes_party = answer.costs.parties.iter().map(|(_, m)| m.iter().map(|m| m.bytes).sum::<u64>()).max().unwrap_or_default();
    let rounds = answer.costs.rounds();
    let limit = LIMITS.iter().find(|(number, _)| *number == query.number && args.scale == LIMITS_AT).map(|(_, limit)| *limit);
    let limits: Vec<_> = limit.iter().map(|limit| (format!("wall {limit} s"), wall_s <= *limit)).collect();
    let difference = pooled.compare(&sql, &answer.rows)?;
    let line = Line {
        work: NAMES[query.number - 1],
        rows: data.rows_of(&sql),
        rounds,
        bytes_party,
        cpu_s,
        wall_s,
        rss_mb,
        // none: null in JSON
        limit: limit.unwrap_or(f64::INFINITY),
        ok: limits.iter().all(|(_, ok)| *ok) && difference.is_none(),
        beside: None,
    };
    if answer.costs.parties.is_empty() {
        bail!("the parties told no costs");
    }
    let row = Row { best_s, floor_s: floor(bytes_party, rounds), line, limits };
    Ok(Outcome::Answered { row, rows_out: answer.rows.num_rows(), difference })
}

fn markdown(query: &Query, outcome: &Outcome) -> String {
    let mut line = format!("| Q{} {} ", query.number, query.title());
    match outcome {
        Outcome::Answered { row: Row { line: l, .. }, rows_out, difference } => {
            let differs = if difference.is_some() { " DIFFERS" } else { "" };
            let mb = l.bytes_party as f64 * 3.0 / 1e6;
            write!(line, "| {} | {rows_out}{differs} | {:.2} | {} | {mb:.1} ", l.rows, l.wall_s, l.rounds).ok();
        }
        Outcome::Unanswered(error) => {
            let short = error.lines().next().unwrap_or_default();
            write!(line, "| | no answer: {} | | | ", short.replace('|', "/")).ok();
        }
    }
    line + &format!("| {} |\n", query.rewritten())
}
