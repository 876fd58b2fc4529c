//! Random questions by the thousand: what Tacit answers is what DataFusion answers on the pooled tables. It is the test suite's own program
//! (`query/tests/sql/random_tests.rs`, which otherwise asks three hundred), started with other numbers: so the engine is compiled for it once, and
//! not here again.

use crate::report::say;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many questions, and which.
#[derive(clap::Args)]
pub struct Args {
    /// How many questions
    #[arg(long, default_value_t = 10_000)]
    queries: u64,
    /// The first one's seed; each next one's is one more
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Every so many is answered by three parties, the others in the clear engine
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    sample: u64,
    /// Threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Line {
    work: &'static str,
    queries: u64,
    #[serde(flatten)]
    tally: Tally,
    ok: bool,
}

/// What the test writes.
#[derive(Serialize, Deserialize)]
struct Tally {
    answered: u64,
    refused: BTreeMap<String, u64>,
    wrong: Vec<Wrong>,
    wall_s: f64,
}

#[derive(Serialize, Deserialize)]
struct Wrong {
    seed: u64,
    sql: String,
    what: String,
}

/// Runs it; `false` if an answer is wrong or there is none without a refusal.
pub fn run(args: &Args) -> Result<bool> {
    let tally = ask(args)?;
    let ok = tally.wrong.is_empty();
    if args.json {
        say(&serde_json::to_string(&Line { work: "fuzz_sql", queries: args.queries, tally, ok })?);
        return Ok(ok);
    }
    say(&format!("{} questions in {:.0} s: {} answered as DataFusion does", args.queries, tally.wall_s, tally.answered));
    let mut refused: Vec<_> = tally.refused.iter().collect();
    refused.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (what, n) in refused {
        say(&format!("{n:>8} refused: {what}"));
    }
    for Wrong { seed, sql, what } in &tally.wrong {
        say(&format!("   WRONG seed {seed}: {sql}\n         → {what}"));
    }
    Ok(ok)
}

fn ask(args: &Args) -> Result<Tally> {
    let folder = tempfile::Builder::new().prefix("tacit-fuzz-").tempdir()?;
    let tally = folder.path().join("tally.json");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this crate is a folder of the workspace")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "--quiet", "--workspace", "--test", "sql", "--", "--ignored", "--exact", "--nocapture"])
        .arg("random_tests::by_the_thousand")
        .current_dir(workspace)
        .env("FUZZ_QUERIES", args.queries.to_string())
        .env("FUZZ_SEED", args.seed.to_string())
        .env("FUZZ_SAMPLE", args.sample.to_string())
        .env("FUZZ_THREADS", args.threads.to_string())
        .env("FUZZ_TALLY", &tally)
        // what it prints is for people: the progress
        .stdout(Stdio::null())
        .status()
        .context("cargo did not start")?;
    let Ok(text) = std::fs::read_to_string(&tally) else {
        bail!("the test ended with {status} before it had asked everything; its error is above");
    };
    serde_json::from_str(&text).context("the test's tally is not as this benchmark knows it")
}
