//! Tacit beside other systems on this machine, in turn and on the same work: three processes on loopback each, from shares that are there to
//! shares of the result. Now SPU in its ABY3 mode, installed for the occasion.
//!
//! What is the same: rows, 64-bit numbers, three parties of which one may look, every result checked once against a clear one. What is not: Tacit
//! multiplies in F(2^61−1), SPU in Z(2^64); SPU's sort moves the keys where Tacit's gives each row its place; and Tacit's groups end as one row
//! each with a flag, where SPU's sums stay at the last row of their group.

mod spu;

use crate::micro::{Job, Parties, Path, Work as Micro, judge};
use crate::relational::Work as Relational;
use crate::report::{self, Beside, Row};
use anyhow::{Context, Result};
use std::path::PathBuf;

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
    #[arg(short = 'n', long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// A Python of version 3.10 or 3.11; if left out, the first of that version in PATH
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// A virtual environment to install SPU into and to leave there, so that the next run finds it; if left out, one that is thrown away
    #[arg(long, value_name = "DIR")]
    venv: Option<PathBuf>,
}

/// One work, of both systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Mul,
    Equal,
    Less,
    Sort,
    GroupSum,
}

impl Work {
    const ALL: [Work; 5] = [Work::Mul, Work::Equal, Work::Less, Work::Sort, Work::GroupSum];

    /// Its name, and that of SPU's line.
    fn names(self) -> [&'static str; 2] {
        match self {
            Work::Mul => ["mul_1e6", "mul_1e6_spu"],
            Work::Equal => ["eq64_1e6", "eq64_1e6_spu"],
            Work::Less => ["lt64_1e6", "lt64_1e6_spu"],
            Work::Sort => ["sort64_1e5", "sort64_1e5_spu"],
            Work::GroupSum => ["group_sum_1e5", "group_sum_1e5_spu"],
        }
    }

    fn parse(name: &str) -> Result<Self, String> {
        let names = || Work::ALL.map(|w| w.names()[0]).join(", ");
        Work::ALL.into_iter().find(|w| w.names()[0] == name).ok_or_else(|| format!("the works are {}", names()))
    }

    /// What either party is told to run.
    fn job(self) -> Job {
        match self {
            Work::Mul => Job::Micro(Micro::Mul),
            Work::Equal => Job::Micro(Micro::Equal),
            Work::Less => Job::Micro(Micro::Less),
            Work::Sort => Job::Relational(Relational::Sort64Small),
            Work::GroupSum => Job::Relational(Relational::GroupSum),
        }
    }
}

/// Runs them. A peer that is not there or fails is said so; only Tacit's own failure is an error.
pub fn run(args: &Args) -> Result<bool> {
    let spu = match spu::Spu::install(args.python.as_deref(), args.venv.as_deref()) {
        Ok(spu) => Some(spu),
        Err(error) => {
            // nothing of Tacit's is wrong with that
            report::without("spu", true, &format!("SPU cannot be installed here, so Tacit runs alone: {error:#}"), args.json);
            None
        }
    };
    if !args.json {
        report::header();
    }
    let works = if args.work.is_empty() { &Work::ALL[..] } else { &args.work };
    for work in works {
        let [name, peers_name] = work.names();
        let mut ours = measure(*work, name, args.repetitions, || Parties::start(&Path::default()))?;
        let theirs = spu.as_ref().map(|spu| measure(*work, peers_name, args.repetitions, || spu.parties()));
        if let Some(Ok(theirs)) = &theirs {
            ours.line.beside = Some(beside(&ours, theirs));
        }
        ours.print(args.json);
        match theirs {
            None => (),
            Some(Ok(row)) => row.print(args.json),
            Some(Err(error)) => report::without(peers_name, false, &format!("{error:#}"), args.json),
        }
    }
    Ok(true)
}

fn measure(work: Work, name: &'static str, repetitions: u32, start: impl FnOnce() -> Result<Parties>) -> Result<Row> {
    let mut parties = start()?;
    let runs = parties.measure(&work.job(), repetitions).with_context(|| name.to_owned())?;
    parties.stop()?;
    let mut row = judge(&work.job(), &runs);
    // here one is held against the other; what Tacit may take is judged by `micro` and `relational`
    (row.line.work, row.line.limit, row.line.ok, row.limits) = (name, f64::INFINITY, true, Vec::new());
    // the floor is that of Tacit's transport
    row.floor_s = row.floor_s.filter(|_| name == work.names()[0]);
    Ok(row)
}

fn beside(ours: &Row, theirs: &Row) -> Beside {
    let (ours, theirs) = (&ours.line, &theirs.line);
    Beside {
        beside: "SPU",
        beside_s: theirs.wall_s,
        ratio: theirs.wall_s / ours.wall_s,
        cpu_ratio: Some(theirs.cpu_s / ours.cpu_s),
        bytes_ratio: theirs.bytes_party.zip(ours.bytes_party).map(|(theirs, ours)| theirs as f64 / ours as f64),
    }
}
