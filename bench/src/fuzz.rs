//! Random questions by the thousand: what Tacit answers is what DataFusion answers on the pooled tables. The grammar, the town and the
//! comparison are those of the test suite, which asks three hundred.

#[path = "../../query/tests/sql/grammar.rs"]
mod grammar;
#[path = "../../query/tests/sql/pool.rs"]
mod pool;
#[path = "../../query/tests/sql/random.rs"]
mod random;
#[path = "../../query/tests/sql/town.rs"]
mod town;
#[path = "../../query/tests/sql/words.rs"]
mod words;

use crate::report::say;
use anyhow::{Result, anyhow};
use random::{Tally, ask};
use serde::Serialize;
use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

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
    answered: usize,
    refused: BTreeMap<String, usize>,
    wrong: Vec<Wrong>,
    wall_s: f64,
    ok: bool,
}

#[derive(Serialize)]
struct Wrong {
    seed: u64,
    sql: String,
    what: String,
}

/// Runs it; `false` if an answer is wrong or there is none without a refusal.
pub fn run(args: &Args) -> Result<bool> {
    let started = Instant::now();
    let seeds = |of: u64| (0..args.queries).map(|n| args.seed + n).filter(move |seed| seed % args.threads == of);
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let workers: Vec<_> = (0..args.threads).map(|of| scope.spawn(move || ask(&town::town(), seeds(of), args.sample, |_| ()))).collect();
        workers.into_iter().map(|w| w.join().map_err(|_| anyhow!("a thread panicked outside a question"))).collect::<Result<_>>()
    })?;
    let mut all = Tally::default();
    for tally in tallies {
        all.answered += tally.answered;
        all.wrong.extend(tally.wrong);
        tally.refused.into_iter().for_each(|(what, n)| *all.refused.entry(what).or_default() += n);
    }
    all.wrong.sort_by_key(|(seed, ..)| *seed);
    let (wall_s, ok) = (started.elapsed().as_secs_f64(), all.wrong.is_empty());
    if args.json {
        let wrong = all.wrong.into_iter().map(|(seed, sql, what)| Wrong { seed, sql, what }).collect();
        let line = Line { work: "fuzz_sql", queries: args.queries, answered: all.answered, refused: all.refused, wrong, wall_s, ok };
        say(&serde_json::to_string(&line)?);
        return Ok(ok);
    }
    say(&format!("{} questions in {wall_s:.0} s: {} answered as DataFusion does", args.queries, all.answered));
    for (what, n) in all.refusals() {
        say(&format!("{n:>8} refused: {what}"));
    }
    for (seed, sql, what) in &all.wrong {
        say(&format!("   WRONG seed {seed}: {sql}\n         → {what}"));
    }
    Ok(ok)
}
