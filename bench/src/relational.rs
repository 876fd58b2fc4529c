//! Operators on private rows among three processes over QUIC on loopback, measured as [`micro`](crate::micro) measures protocols; and the
//! question of New York that needs most of them, through real nodes.

mod local;
mod question;
mod work;

use crate::micro::{Job, measure};
use crate::{nyc, report};
use anyhow::Result;
pub use work::{Prepared, Work};

/// How to run them.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Only this work; may be repeated
    #[arg(long, value_name = "WORK", value_parser = Choice::parse)]
    work: Vec<Choice>,
    /// Repetitions; the median counts
    #[arg(short = 'n', long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Measure instead what the cost model takes as local work of sorts
    #[arg(long, conflicts_with_all = ["json", "work", "repetitions"])]
    local: bool,
}

/// One thing to measure.
#[derive(Clone, Copy)]
enum Choice {
    Operator(Work),
    /// Q5 of New York, where its records are.
    Nyc,
}

impl Choice {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            nyc::Q5 => Ok(Choice::Nyc),
            name => Work::parse(name).map(Choice::Operator).map_err(|works| format!("{works}, {}", nyc::Q5)),
        }
    }
}

/// Runs them; `false` if a limit is exceeded.
pub fn run(args: &Args) -> Result<bool> {
    if args.local {
        return local::run();
    }
    let all = || Work::ALL.into_iter().map(Choice::Operator).chain([Choice::Nyc]).collect();
    let works = if args.work.is_empty() { all() } else { args.work.clone() };
    if !args.json {
        report::header();
    }
    let mut ok = true;
    for work in works {
        ok &= match work {
            Choice::Operator(work) => measure(&Job::Relational(work), args.repetitions, args.json)?,
            Choice::Nyc => nyc::measure(&[nyc::Q5], args.repetitions, args.json)?,
        };
    }
    Ok(ok)
}
