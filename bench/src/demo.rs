//! A whole city: `tacit demo` as a user runs it, from started processes to the last answer.

use crate::micro::floor;
use crate::report::{self, Line, Row};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How to run it.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// From started processes to the last answer.
const LIMIT_S: f64 = 10.0;
/// A party's resident memory.
const LIMIT_MB: f64 = 300.0;

/// Runs it; `false` if a limit is exceeded.
pub fn run(args: &Args) -> Result<bool> {
    if !args.json {
        report::header();
    }
    print(args.json)
}

/// Runs it and prints its line alone.
pub fn print(json: bool) -> Result<bool> {
    let row = measure()?;
    row.print(json);
    Ok(row.line.ok)
}

/// What `tacit demo --json` prints for a question.
#[derive(Deserialize)]
struct Question {
    rounds: u64,
    bytes: u64,
    rows: u64,
}

/// What it prints at the end.
#[derive(Deserialize)]
struct Summary {
    equal: bool,
    seconds: f64,
    peak_rss: Vec<(String, u64)>,
    cpu_seconds: f64,
}

fn measure() -> Result<Row> {
    let output = Command::new(tacit()?).args(["demo", "--json"]).stderr(Stdio::inherit()).output().context("`tacit demo` did not start")?;
    if !output.status.success() {
        bail!("`tacit demo` failed ({}); run it by hand to see why", output.status);
    }
    let text = String::from_utf8(output.stdout).context("`tacit demo --json` printed something else than JSON")?;
    let mut lines: Vec<&str> = text.lines().collect();
    let summary = lines.pop().context("`tacit demo --json` printed nothing")?;
    let summary: Summary = serde_json::from_str(summary).context("the demo's summary is not as this benchmark knows it")?;
    let questions: Vec<Question> = lines
        .into_iter()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("a question's line is not as this benchmark knows it")?;
    if !summary.equal {
        bail!("an answer of the demo differs from the clear one");
    }

    let (rounds, bytes) = questions.iter().fold((0, 0), |(r, b), q| (r + q.rounds, b + q.bytes));
    let parties = summary.peak_rss.iter().filter(|(name, _)| name != "coordinator");
    let rss_mb = parties.map(|(_, bytes)| *bytes).max().unwrap_or_default() as f64 / 1e6;
    let limits =
        vec![(format!("wall {:.0} s", LIMIT_S), summary.seconds <= LIMIT_S), (format!("{LIMIT_MB:.0} MB a party"), rss_mb <= LIMIT_MB)];
    // the demo tells what the parties sent together
    let bytes_party = bytes.div_ceil(3);
    let line = Line {
        work: "demo",
        rows: questions.iter().map(|q| q.rows).sum(),
        rounds: Some(rounds),
        bytes_party: Some(bytes_party),
        cpu_s: summary.cpu_seconds,
        wall_s: summary.seconds,
        rss_mb,
        limit: LIMIT_S,
        ok: limits.iter().all(|(_, ok)| *ok),
        beside: None,
        stages: None,
    };
    Ok(Row { best_s: summary.seconds, floor_s: Some(floor(bytes_party, rounds)), line, limits })
}

/// The program, built as it is now, beside this one.
pub fn tacit() -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this crate is a folder of the workspace")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build"]).current_dir(workspace).status().context("cargo did not start")?;
    if !built.success() {
        bail!("`cargo build` failed; mend the build first");
    }
    Ok(std::env::current_exe()?.with_file_name(format!("tacit{}", std::env::consts::EXE_SUFFIX)))
}
