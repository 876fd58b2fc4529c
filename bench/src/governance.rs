//! What governance costs: the check of a question against contracts, how soon a revocation is felt, what an agency compares so that answers do not differ in few, the ledger of a city of three
//! agencies, and noise on what is released.

mod city;
mod consent;
mod guard;
mod job;
mod revoke;

use crate::micro::{self, Job, measure};
use crate::report::{self, Beside, Line, Row};
use crate::usage;
use anyhow::{Result, ensure};
use ledger::audit::audit;
use ledger::store::Store;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// A question, held against the contracts of a city.
    Contracts,
    /// How soon a question is refused once its contract is revoked.
    Revocation,
    /// Whom the cells of an answer are made of, before anything of that table was told.
    Guard,
    /// The same, held against a thousand cells told before.
    GuardThousand,
    /// What a job takes longer on the log.
    Job,
    /// A thousand entries, appended in one batch.
    Append,
    /// All of a log of 10^5 entries, verified offline.
    Verify,
    /// The noise of one cell, and of a thousand.
    Noise(micro::Work),
}

impl Work {
    const ALL: [Work; 9] = [
        Work::Contracts,
        Work::Revocation,
        Work::Guard,
        Work::GuardThousand,
        Work::Job,
        Work::Append,
        Work::Verify,
        Work::Noise(micro::Work::NoiseCell),
        Work::Noise(micro::Work::NoiseThousand),
    ];

    fn name(self) -> &'static str {
        match self {
            Work::Contracts => "contract_check",
            Work::Revocation => "revoke_refused",
            Work::Guard => "difference_guard",
            Work::GuardThousand => "difference_guard_1000",
            Work::Job => "ledger_job",
            Work::Append => "ledger_append",
            Work::Verify => "ledger_verify_1e5",
            Work::Noise(work) => work.name(),
        }
    }

    fn parse(name: &str) -> Result<Self, String> {
        let names = || Work::ALL.map(Work::name).join(", ");
        Work::ALL.into_iter().find(|work| work.name() == name).ok_or_else(|| format!("the works are {}", names()))
    }

    /// Contracts, rows of a table, entries or cells.
    fn rows(self) -> usize {
        match self {
            Work::Contracts => consent::contracts(),
            Work::Revocation => 1,
            Work::Guard | Work::GuardThousand => guard::ROWS,
            // query, three debits, start, result
            Work::Job => 6,
            Work::Append => 1000,
            Work::Verify => 100_000,
            Work::Noise(work) => work.rows(),
        }
    }

    /// Seconds it may take.
    fn limit(self) -> f64 {
        match self {
            Work::Contracts => 0.005,
            // what is promised
            Work::Revocation => 1.0,
            Work::Guard => 1.0,
            Work::GuardThousand => 1.0,
            Work::Job => 0.025,
            // two thousand a second
            Work::Append => 0.5,
            Work::Verify => 3.0,
            Work::Noise(work) => work.limits().wall_s,
        }
    }
}

/// Runs them; `false` if a limit is exceeded.
pub fn run(args: &Args) -> Result<bool> {
    let works = if args.work.is_empty() { &Work::ALL[..] } else { &args.work };
    if !args.json {
        report::header();
    }
    let mut ok = true;
    for work in works {
        let mut row = match work {
            Work::Noise(noise) => {
                ok &= measure(&Job::Micro(*noise), args.repetitions, args.json)?;
                continue;
            }
            Work::Contracts => of_checks(args.repetitions)?,
            Work::Revocation => of_revocations(args.repetitions)?,
            Work::Guard => of_guards(Work::Guard, 0, args.repetitions)?,
            Work::GuardThousand => of_guards(Work::GuardThousand, guard::HISTORY, args.repetitions)?,
            Work::Job => of_jobs(args.repetitions)?,
            Work::Append => of_appends(args.repetitions)?,
            Work::Verify => of_verification(args.repetitions)?,
        };
        row.line.rss_mb = usage::peak_memory()? as f64 / 1e6;
        row.print(args.json);
        ok &= row.line.ok;
    }
    Ok(ok)
}

/// Checks of one repetition.
const CHECKS: u32 = 50;

fn of_checks(repetitions: u32) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let question = consent::Question::new(folder.path())?;
    let tables = question.check()?;
    let (mut times, before) = (Vec::new(), usage::cpu_of_all()?);
    for _ in 0..CHECKS * repetitions {
        let start = Instant::now();
        ensure!(question.check()? == tables, "the check chose another number of contracts");
        times.push(start.elapsed());
    }
    let cpu = (usage::cpu_of_all()? - before) / (CHECKS * repetitions);
    Ok(judge(Work::Contracts, times, cpu))
}

/// Revocations of one repetition.
const REVOKED: u32 = 3;

/// From the command that revokes until the node into whose folder it writes refuses a question; and beside that, until another agency's does.
fn of_revocations(repetitions: u32) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let revoke::Measured { there, elsewhere, cpu } = revoke::measure(folder.path(), REVOKED * repetitions)?;
    let mut row = judge(Work::Revocation, there, cpu);
    let beside_s = median(elsewhere).as_secs_f64();
    let (ratio, limit) = (beside_s / row.line.wall_s, Work::Revocation.limit());
    row.line.ok &= beside_s <= limit;
    row.limits.push((format!("elsewhere {:.0} ms", limit * 1e3), beside_s <= limit));
    row.line.beside = Some(Beside { beside: "until another agency's node refuses", beside_s, ratio, cpu_ratio: None, bytes_ratio: None });
    Ok(row)
}

/// Answers of one repetition.
const GUARDED: u32 = 10;

/// What the guard of one agency adds to a job; and beside that, the agency's part of the job at home.
fn of_guards(work: Work, history: usize, repetitions: u32) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let city = guard::City::new(folder.path())?;
    let told = city.tell(history)?;
    let question = city.question(0)?;
    // the first looks what the table holds
    let (_, cells) = city.admit(&question)?;
    report::moment(&format!("{}: {cells} cells, held against one another and {told} told before", work.name()));
    let (mut times, mut home, mut cpu) = (Vec::new(), Vec::new(), Duration::ZERO);
    for _ in 0..GUARDED * repetitions {
        let before = usage::cpu_of_all()?;
        times.push(city.admit(&question)?.0);
        cpu += usage::cpu_of_all()? - before;
        home.push(city.at_home(&question)?);
    }
    let mut row = judge(work, times, cpu / (GUARDED * repetitions));
    let beside_s = median(home).as_secs_f64();
    let ratio = beside_s / row.line.wall_s;
    row.line.beside = Some(Beside { beside: "its part of the job at home", beside_s, ratio, cpu_ratio: None, bytes_ratio: None });
    Ok(row)
}

/// Jobs of one repetition.
const JOBS: u32 = 20;

fn of_jobs(repetitions: u32) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let job::Measured { with, without, cpu } = job::measure(folder.path(), JOBS * repetitions)?;
    let more = with.iter().zip(&without).map(|(with, without)| with.saturating_sub(*without)).collect();
    let mut row = judge(Work::Job, more, cpu);
    let beside_s = median(without).as_secs_f64();
    row.line.beside =
        Some(Beside { beside: "the whole job without", beside_s, ratio: beside_s / row.line.wall_s, cpu_ratio: None, bytes_ratio: None });
    Ok(row)
}

/// Entries that are there, signed, until they are on the coordinator's disk; and beside that, until all agencies hold them, have checked them and
/// cosigned.
fn of_appends(repetitions: u32) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let mut log = city::sequencer(&folder.path().join("coordinator"))?;
    let mut agencies = Vec::new();
    for name in city::AGENCIES {
        agencies.push((name, city::cosigner(&folder.path().join(name), name)?));
    }
    city::append(&mut log, &city::founding()?)?;
    let (mut times, mut cosigned, mut cpu) = (Vec::new(), Vec::new(), Duration::ZERO);
    // the first is not counted
    for at in 0..=u64::from(repetitions) {
        let jobs = (Work::Append.rows() / city::JOB) as u64;
        let entries = (at * jobs..(at + 1) * jobs).map(city::job).collect::<Result<Vec<_>>>()?.concat();
        let (before, start) = (usage::cpu_of_all()?, Instant::now());
        city::append(&mut log, &entries)?;
        times.push(start.elapsed());
        cpu += usage::cpu_of_all()? - before;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        agencies.iter_mut().try_for_each(|(name, cosigner)| city::cosign(&mut log, name, cosigner, now))?;
        cosigned.push(start.elapsed());
    }
    let beside_s = median(cosigned.split_off(1)).as_secs_f64();
    let mut row = judge(Work::Append, times.split_off(1), cpu / (repetitions + 1));
    let ratio = beside_s / row.line.wall_s;
    row.line.beside = Some(Beside { beside: "until three agencies cosigned", beside_s, ratio, cpu_ratio: None, bytes_ratio: None });
    Ok(row)
}

/// Jobs in a batch of the log that is verified.
const BATCH: usize = 800;

/// A log of jobs, made once and cosigned by all agencies; then everything there is to check of it.
fn of_verification(repetitions: u32) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let size = Work::Verify.rows();
    let mut log = city::sequencer(folder.path())?;
    city::append(&mut log, &city::founding()?)?;
    let jobs = (size - log.head().size as usize).div_ceil(city::JOB) as u64;
    for first in (0..jobs).step_by(BATCH) {
        let mut entries = (first..jobs.min(first + BATCH as u64)).map(city::job).collect::<Result<Vec<_>>>()?.concat();
        // the last job is under way
        entries.truncate(size - log.head().size as usize);
        city::append(&mut log, &entries)?;
        report::moment(&format!("{}: {} of {size} entries made", Work::Verify.name(), log.head().size));
    }
    let policy = log.replay().policy()?;
    let checkpoint = city::cosigned(log.head(), 0)?;
    let store = Store::read(folder.path())?;
    let (mut times, mut cpu) = (Vec::new(), Duration::ZERO);
    for _ in 0..repetitions {
        let (before, start) = (usage::cpu_of_all()?, Instant::now());
        let audit = audit(&store, &checkpoint, &policy, city::beginning()?)?;
        times.push(start.elapsed());
        cpu += usage::cpu_of_all()? - before;
        ensure!(audit.head.size == size as u64 && audit.kinds["job-query"] == jobs, "the audit has seen another log");
    }
    Ok(judge(Work::Verify, times, cpu / repetitions))
}

fn judge(work: Work, mut times: Vec<Duration>, cpu: Duration) -> Row {
    times.sort();
    let (best, wall_s, limit) = (times[0], times[times.len() / 2].as_secs_f64(), work.limit());
    let ok = wall_s <= limit;
    let line = Line {
        work: work.name(),
        rows: work.rows() as u64,
        rounds: None,
        bytes_party: None,
        cpu_s: cpu.as_secs_f64(),
        wall_s,
        rss_mb: 0.0,
        limit,
        ok,
        beside: None,
        stages: None,
    };
    Row { line, best_s: best.as_secs_f64(), floor_s: None, limits: vec![(format!("wall {:.0} ms", limit * 1e3), ok)] }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
