//! Operators on private rows among three processes over QUIC on loopback, measured as [`micro`](crate::micro) measures protocols.

mod work;

use crate::micro::{Job, measure};
use crate::report;
use anyhow::Result;
pub use work::{Prepared, Work};

/// How to run them.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Only this work; may be repeated
    #[arg(long, value_name = "WORK", value_parser = Work::parse)]
    work: Vec<Work>,
    /// Repetitions; the median counts
    #[arg(short = 'n', long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
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
        ok &= measure(&Job::Relational(work), args.repetitions, args.json)?;
    }
    Ok(ok)
}
