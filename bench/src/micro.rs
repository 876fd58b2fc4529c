//! Protocols among three processes over QUIC on loopback. Each party is a child process of this one with a mesh, a session
//! and a Rep3 engine; each work is checked against its clear result once, then repeated from a common start.

mod delay;
pub mod network;
mod parties;
pub mod party;
mod work;

use crate::relational;
use crate::report::{self, Line, Row};
use anyhow::Result;
use parties::{Answer, Done, Order, Setup};
pub use parties::{Parties, Path, Run};
use serde::{Deserialize, Serialize};
use std::time::Duration;
pub use work::{Limits, Work, generator};

/// How to run them.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Only this work, and not the demo; may be repeated
    #[arg(long, value_name = "WORK", value_parser = Work::parse)]
    work: Vec<Work>,
    /// Repetitions; the median counts
    #[arg(short = 'n', long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
}

/// Runs them; `false` if a limit is exceeded.
pub fn run(args: &Args) -> Result<bool> {
    let works = if args.work.is_empty() { Work::ALL.to_vec() } else { args.work.clone() };
    if !args.json {
        report::header();
    }
    let mut ok = true;
    for work in works {
        ok &= measure(&Job::Micro(work), args.repetitions, args.json)?;
    }
    if args.work.is_empty() {
        ok &= crate::demo::print(args.json)?;
    }
    Ok(ok)
}

/// Measures a work and prints it; `false` if a limit is exceeded.
pub fn measure(job: &Job, repetitions: u32, json: bool) -> Result<bool> {
    // processes of its own for each work, so that memory is the work's
    let mut parties = Parties::start(&Path::default())?;
    let runs = parties.measure(job, repetitions)?;
    parties.stop()?;
    let row = judge(job, &runs);
    row.print(json);
    Ok(row.line.ok)
}

/// What parties can be told to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Job {
    /// A work of `micro`.
    Micro(Work),
    /// A work of `relational`.
    Relational(relational::Work),
}

impl Job {
    /// As it is called in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Job::Micro(work) => work.name(),
            Job::Relational(work) => work.name(),
        }
    }

    /// Rows worked on.
    pub fn rows(&self) -> usize {
        match self {
            Job::Micro(work) => work.rows(),
            Job::Relational(work) => work.rows(),
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Job::Micro(work) => work.limits(),
            Job::Relational(work) => work.limits(),
        }
    }
}

/// What the transport alone would take, from the measured limits of hardware and QUIC: 0.64 CPU-seconds a gigabyte, both ends together, shared by two cores,
/// and 87 microseconds a dependent round.
pub fn floor(bytes_party: u64, rounds: u64) -> f64 {
    3.0 * bytes_party as f64 * 0.64e-9 / 2.0 + rounds as f64 * 87e-6
}

/// The median of the repetitions, held against what the job may take.
pub fn judge(job: &Job, runs: &[Run]) -> Row {
    let median = |f: &dyn Fn(&Run) -> Duration| {
        let mut all: Vec<Duration> = runs.iter().map(f).collect();
        all.sort();
        all[all.len() / 2].as_secs_f64()
    };
    let best_s = runs.iter().map(|r| r.wall).min().unwrap_or_default().as_secs_f64();
    let cost = &runs[0].cost;
    let (wall_s, cpu_s) = (median(&|r| r.wall), median(&|r| r.cpu));
    let limits = job.limits();
    let mut judged = Vec::new();
    if limits.wall_s.is_finite() {
        judged.push((format!("wall {:.0} ms", limits.wall_s * 1e3), wall_s <= limits.wall_s));
    }
    judged.extend(limits.cpu_s.map(|cpu| (format!("cpu {:.0} ms", cpu * 1e3), cpu_s <= cpu)));
    let peak = runs.iter().map(|r| r.cost.peak_memory).max().unwrap_or_default();
    judged.extend(limits.memory.map(|memory| (format!("{:.0} MB resident", memory as f64 / 1e6), peak <= memory)));
    let size = |bytes: u64| if bytes < 100_000 { format!("{bytes} B") } else { format!("{:.1} MB", bytes as f64 / 1e6) };
    judged.extend(limits.bytes.map(|bytes| (size(bytes), cost.bytes.is_some_and(|b| b <= bytes))));
    judged.extend(limits.rounds.map(|rounds| (format!("{rounds} rounds"), cost.rounds.is_some_and(|r| r <= rounds))));
    let line = Line {
        work: job.name(),
        rows: job.rows() as u64,
        rounds: cost.rounds,
        bytes_party: cost.bytes,
        cpu_s,
        wall_s,
        rss_mb: peak as f64 / 1e6,
        limit: limits.wall_s,
        ok: judged.iter().all(|(_, ok)| *ok),
        beside: None,
        stages: None,
    };
    Row { floor_s: cost.bytes.zip(cost.rounds).map(|(bytes, rounds)| floor(bytes, rounds)), best_s, line, limits: judged }
}
