//! `tacit query`, `tacit explain` and `tacit jobs`.

use super::{Done, PlannerArgs, SqlArgs, on_terminal, print, runtime};
use crate::client::{Ask, Client};
use crate::clock::now;
use crate::config::Config;
use crate::error::{Declined, Error};
use crate::joblog;
use crate::progress::Progress;
use crate::render::{self, Format, Table};
use crate::result::Answer;
use clap::Args;
use ledger::bytes::Base64;
use ledger::contract::Epsilon;
use mpc_core::roster::Roster;
use party::openings::What;
use query::message::QueryId;
use query::message::job::{JobState, JobStatus, Places};
use query::plan::Plan;
use serde_json::json;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ask a question and print the answer
#[derive(Debug, Args)]
#[command(after_long_help = QUERY_HELP)]
pub(super) struct QueryArgs {
    #[command(flatten)]
    sql: SqlArgs,
    #[command(flatten)]
    planner: PlannerArgs,
    /// How the answer is printed; JSON has, beside its rows, the job, the contracts under which it was answered and where it stands in the city's log
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Writes the answer to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What the answer is for: one of the contracts' IRIs, and words of your own; if it begins with no IRI, the configured one is put before it
    #[arg(long, value_name = "TEXT", default_value = "")]
    purpose: String,
    /// What the question may spend of privacy budgets, such as 0.2: the less, the more noise. By default what the contracts let it
    #[arg(long, value_name = "EPSILON")]
    epsilon: Option<Epsilon>,
    /// Seconds the query stands: after that nobody starts on it
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    valid_for: u64,
    /// Puts what opens the question's commitments in the city's log (its SQL, and of the answer the digests of its parts) into this folder, for
    /// `tacit audit --openings`
    #[arg(long, value_name = "DIR")]
    save_opening: Option<PathBuf>,
    /// Says nothing but the answer
    #[arg(short, long)]
    quiet: bool,
}

const QUERY_HELP: &str = "Examples:
  tacit query \"SELECT COUNT(*) FROM transport.green_trips\"
  tacit query -f question.sql --purpose \"bus plan 2027\"
  tacit query - --format csv < question.sql > answer.csv
  tacit query -f question.sql --save-opening openings
  tacit query \"EXPLAIN ANALYZE SELECT …\"        runs it, with measured figures beside the estimates

The planner's key signs the query; each agency seals its shares of the answer to a key made for this one query, and
only this process can open them. Ctrl-C takes the query back. Exit codes: see `tacit --help`.";

pub(super) fn query(args: QueryArgs) -> Done {
    let text = args.sql.read()?;
    let (sql, explain) = take_explain(&text);
    let client = Client::open(Config::find(args.planner.config.as_deref())?)?;
    if !args.quiet {
        warn_of_contracts(&client)?;
    }
    if explain == Explain::Only {
        return Ok(print(&explained(&foretold(&client, &sql, &args.purpose, args.epsilon)?, args.format == Format::Json)?)?);
    }
    let output = args.output.as_deref().map(Output::open).transpose()?;
    let analyze = explain == Explain::Analyze;
    let ask = Ask {
        purpose: args.purpose,
        epsilon: args.epsilon,
        analyze,
        valid_for: Duration::from_secs(args.valid_for),
        openings: args.save_opening,
    };
    let answer = runtime()?.block_on(wait(&client, &sql, &ask, args.quiet))?;
    if let (Some(folder), Some(log)) = (&ask.openings, &answer.log)
        && let Err(error) = joblog::keep(folder, answer.job, What::Result, &log.result)
    {
        // The answer is here, and is not given again.
        writeln!(std::io::stderr(), "tacit: what opens the result is not kept: {error}").ok();
    }
    let mut text = match analyze {
        true => explained(&client.analyze(&sql, &ask, &answer)?, args.format == Format::Json)?,
        false => {
            let table = Table::from_batch(&answer.rows).map_err(Error::internal)?;
            if args.format == Format::Json { object(&answer, &table) } else { table.render(args.format) }
        }
    };
    let footer = footer(&answer);
    let shows_footer = !args.quiet && !analyze && args.format == Format::Table;
    let noise = noise(&answer.plan).filter(|_| !args.quiet && !analyze);
    match output {
        Some(output) => {
            output.write(&text)?;
            if !args.quiet {
                writeln!(std::io::stderr(), "{}{footer}", noise.unwrap_or_default()).ok();
            }
        }
        // rows for programs stay rows
        None if !shows_footer => {
            write!(std::io::stderr(), "{}", noise.unwrap_or_default()).ok();
            print(&text)?;
        }
        None => {
            writeln!(text, "{}{footer}", noise.unwrap_or_default()).ok();
            print(&text)?;
        }
    }
    Ok(())
}

/// Submits, waits with a progress bar, and fetches; Ctrl-C takes the query back.
async fn wait(client: &Client, sql: &str, ask: &Ask, quiet: bool) -> Result<Answer, Error> {
    let progress = Progress::new(!quiet && on_terminal());
    let asked = client.submit(sql, ask).await?;
    let mut seen = |event: &_| progress.event(event);
    tokio::select! {
        ended = client.follow(asked.job, &mut seen) => ended?,
        never = missing(client, asked.job, &progress, quiet) => match never {},
        _ = tokio::signal::ctrl_c() => {
            progress.clear();
            let cancelled = tokio::time::timeout(Duration::from_secs(5), client.cancel(asked.job)).await;
            let job = asked.job.short();
            return Err(Error::Cancelled(match cancelled {
                Ok(Ok(())) => format!("cancelled the job {job}"),
                Ok(Err(e)) => format!("stopped waiting; the job {job} could not be cancelled: {e}"),
                Err(_) => format!("stopped waiting; the job {job} could not be cancelled: the coordinator does not answer"),
            }));
        }
    }
    let answer = client.answer(&asked).await;
    progress.clear();
    answer
}

/// Says once which parties a job waits for; whoever waits should know for whom.
async fn missing(client: &Client, job: QueryId, progress: &Progress, quiet: bool) -> Infallible {
    let mut told = quiet;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Ok(status) = client.job(job).await else { continue };
        if !told && status.state == JobState::Queued && !status.waiting_for.is_empty() {
            let who = status.waiting_for.join(", ");
            let parties = client.status().await.map_or_else(|_| Vec::new(), |city| city.parties);
            let why = parties.into_iter().find_map(|party| party.trouble).unwrap_or_else(|| "not connected to the coordinator".into());
            progress.note(&format!("waiting for {who}, {why}; Ctrl-C takes the query back"));
            told = true;
        }
    }
}

/// How much noise is on what came out, a line; `None` if there is none.
fn noise(plan: &Plan) -> Option<String> {
    let sums: Vec<String> = errors(plan).map(|(what, error)| format!("{what} ± {error}")).collect();
    (!sums.is_empty()).then(|| format!("(with noise, at 95 %: {})\n", sums.join("; ")))
}

/// What came out with noise, and how much of it there is at most, 19 times out of 20.
fn errors(plan: &Plan) -> impl Iterator<Item = (&str, String)> {
    plan.noised().filter(|noised| noised.guard.is_none()).filter_map(|noised| Some((noised.words.as_str(), noised.error().ok()?)))
}

fn footer(answer: &Answer) -> String {
    let rows = render::plural(answer.rows.num_rows(), "row");
    let few = match answer.suppressed {
        Some(few) if few.cells > 0 => format!("{} of {} held back by contracts: NULL; ", render::plural(few.cells, "cell"), few.of),
        _ => String::new(),
    };
    let log = answer.log.as_ref().map(|log| format!("; {}", render::places(&log.places))).unwrap_or_default();
    format!("{}({rows}; {few}{}; {}{log})", under(answer), render::duration(answer.elapsed), answer.costs.words())
}

/// By which contracts it was given, a line, as far as the log tells: of several that would have allowed it those that its query names.
fn under(answer: &Answer) -> String {
    let contracts: Vec<String> = answer.log.iter().flat_map(|log| &log.contracts).map(ToString::to_string).collect();
    match contracts.as_slice() {
        [] => String::new(),
        [one] => render::plain(&format!("(under the contract {one})\n")),
        all => render::plain(&format!("(under the contracts {})\n", all.join(", "))),
    }
}

/// An answer for programs: its rows, and what the footer says of it.
fn object(answer: &Answer, rows: &Table) -> String {
    let log = answer.log.as_ref().map(|log| {
        let (Places { query, result }, head) = (&log.places, &log.head);
        let checkpoint = json!({"origin": head.origin, "size": head.size, "root": Base64(head.root.0.into())});
        json!({"query": query, "debits": log.debits, "start": log.start, "result": result, "checkpoint": checkpoint})
    });
    let contracts = answer.log.as_ref().map(|log| &log.contracts);
    let suppressed = answer.suppressed.map(|few| json!({"cells": few.cells, "of": few.of}));
    let cost = json!({"rounds": answer.costs.rounds(), "bytes": answer.costs.bytes(), "seconds": answer.elapsed.as_secs_f64()});
    let noise: Vec<_> = errors(&answer.plan).map(|(what, error)| json!({"of": what, "error": error})).collect();
    // The rows as they are spelled: a number keeps every digit it has.
    let rows = rows.render(Format::Json);
    format!(
        "{{\n\"job\": {},\n\"rows\": {},\n\"suppressed\": {},\n\"noise\": {},\n\"contracts\": {},\n\"cost\": {cost},\n\"log\": {}\n}}\n",
        json!(answer.job),
        rows.trim_end(),
        json!(suppressed),
        json!(noise),
        json!(contracts),
        json!(log)
    )
}

/// The file an answer goes to, found writable before anything is asked.
struct Output<'a> {
    path: &'a Path,
}

impl<'a> Output<'a> {
    fn open(path: &'a Path) -> Result<Self, Error> {
        let is_new = !path.exists();
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        opened.map_err(|e| Error::config(format!("{}: {e}", path.display())))?;
        if is_new {
            std::fs::remove_file(path).ok();
        }
        Ok(Self { path })
    }

    fn write(&self, text: &str) -> Result<(), Error> {
        std::fs::write(self.path, text).map_err(|e| Error::Failed(format!("{}: {e}", self.path.display())))
    }
}

/// Print what a question would do, cost and reveal; nothing of it is sent
#[derive(Debug, Args)]
#[command(after_long_help = EXPLAIN_HELP)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    sql: SqlArgs,
    #[command(flatten)]
    planner: PlannerArgs,
    /// What the answer would be for: contracts are for certain purposes
    #[arg(long, value_name = "TEXT", default_value = "")]
    purpose: String,
    /// What the question may spend of privacy budgets; by default what the contracts let it
    #[arg(long, value_name = "EPSILON")]
    epsilon: Option<Epsilon>,
    /// Prints it as JSON
    #[arg(long)]
    json: bool,
}

const EXPLAIN_HELP: &str = "Examples:
  tacit explain \"SELECT COUNT(*) FROM transport.green_trips\"
  tacit explain -f question.sql
  tacit query \"EXPLAIN ANALYZE SELECT …\"        runs it, with measured figures beside the estimates";

pub(super) fn explain(args: ExplainArgs) -> Done {
    let text = args.sql.read()?;
    let (sql, explain) = take_explain(&text);
    if explain == Explain::Analyze {
        return Err(Error::config("EXPLAIN ANALYZE runs the question: use `tacit query \"EXPLAIN ANALYZE …\"`").into());
    }
    let client = Client::open(Config::find(args.planner.config.as_deref())?)?;
    warn_of_contracts(&client)?;
    Ok(print(&explained(&foretold(&client, &sql, &args.purpose, args.epsilon)?, args.json)?)?)
}

/// Names the files of the planner's folder of contracts that are left out. The nodes decide by their own: it is no reason not to ask.
fn warn_of_contracts(client: &Client) -> Result<(), Error> {
    for file in client.own_contracts()?.unwrap_or_default().left_out {
        let what = format!(
            "warning: a file of the folder of contracts is left out: {file}\n  to mend it: get it anew from its agency, or take it away"
        );
        writeln!(std::io::stderr(), "tacit: {}", render::plain(&what)).ok();
    }
    Ok(())
}

/// What a question would do; and where it would spend of budgets what is left of them, if the coordinator answers.
fn foretold(client: &Client, sql: &str, purpose: &str, epsilon: Option<Epsilon>) -> Result<query::explain::Explain, Error> {
    let explain = client.explain(sql, purpose, epsilon)?;
    Ok(runtime()?.block_on(client.with_budgets(explain.clone())).unwrap_or(explain))
}

fn explained(explain: &query::explain::Explain, json: bool) -> Result<String, Error> {
    match json {
        true => Ok(serde_json::to_string_pretty(explain).map_err(|e| Error::internal(e.to_string()))? + "\n"),
        false => Ok(explain.to_string().trim_end().to_owned() + "\n"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Explain {
    No,
    Only,
    Analyze,
}

/// Takes EXPLAIN or EXPLAIN ANALYZE off the front. Blanks stand in their place, so that positions in errors stay true.
fn take_explain(sql: &str) -> (String, Explain) {
    let Some((from, to)) = word(sql, 0).filter(|(from, to)| sql[*from..*to].eq_ignore_ascii_case("explain")) else {
        return (sql.to_owned(), Explain::No);
    };
    let blank = |from: usize, to: usize, text: &str| format!("{}{}{}", &text[..from], " ".repeat(to - from), &text[to..]);
    let text = blank(from, to, sql);
    match word(&text, to).filter(|(from, to)| text[*from..*to].eq_ignore_ascii_case("analyze")) {
        Some((from, to)) => (blank(from, to, &text), Explain::Analyze),
        None => (text, Explain::Only),
    }
}

/// The next word at or behind `at`, past white space and comments.
fn word(sql: &str, mut at: usize) -> Option<(usize, usize)> {
    loop {
        let rest = &sql[at..];
        at += rest.len() - rest.trim_start().len();
        let rest = &sql[at..];
        if rest.starts_with("--") {
            at += rest.find('\n')? + 1;
        } else if rest.starts_with("/*") {
            at += rest.find("*/")? + 2;
        } else {
            let length = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            return (length > 0).then_some((at, at + length));
        }
    }
}

/// List the coordinator's jobs, or show one
#[derive(Debug, Args)]
#[command(after_long_help = JOBS_HELP)]
pub(super) struct JobsArgs {
    /// A job's id, or the beginning of it
    id: Option<String>,
    #[command(flatten)]
    planner: PlannerArgs,
    /// Takes the job back
    #[arg(long, requires = "id")]
    cancel: bool,
}

const JOBS_HELP: &str = "Examples:
  tacit jobs
  tacit jobs 5f0c21aa
  tacit jobs 5f0c21aa --cancel";

pub(super) fn jobs(args: JobsArgs) -> Done {
    let client = Client::open(Config::find(args.planner.config.as_deref())?)?;
    let text = runtime()?.block_on(async {
        let Some(id) = &args.id else { return Ok(list(&client.jobs().await?)) };
        let job = match id.parse::<QueryId>() {
            Ok(job) => job,
            Err(_) => by_prefix(id, &client.jobs().await?)?,
        };
        if args.cancel {
            client.cancel(job).await?;
        }
        Ok(one(&client.job(job).await?, client.roster()))
    });
    let text: Result<String, Error> = text;
    Ok(print(&text?)?)
}

fn by_prefix(id: &str, jobs: &[JobStatus]) -> Result<QueryId, Error> {
    let found: Vec<QueryId> = jobs.iter().map(|j| j.job).filter(|job| job.to_string().starts_with(id)).collect();
    match found.as_slice() {
        [job] => Ok(*job),
        [] => Err(Error::config(format!("no job's id begins with `{id}`; `tacit jobs` lists them"))),
        more => Err(Error::config(format!("{} jobs' ids begin with `{id}`; give more digits", more.len()))),
    }
}

fn list(jobs: &[JobStatus]) -> String {
    let mut table = Table::new(["job", "planner", "state", "attempt", "age", "note"]);
    for job in jobs {
        let note = match (job.ahead, job.refusals.first()) {
            (Some(ahead), _) => format!("{ahead} before it"),
            (None, Some(r)) => format!("{}: {}", r.party.as_deref().unwrap_or("coordinator"), r.refusal.code),
            (None, None) => String::new(),
        };
        table.push([job.job.short(), job.planner.clone(), job.state.to_string(), job.attempt.to_string(), age(job.submitted), note]);
    }
    format!("{}({})\n", table.aligned(), render::plural(table.len(), "job"))
}

fn one(job: &JobStatus, roster: &Roster) -> String {
    let mut text = format!("job      {}\nplanner  {}\nstate    {}\n", job.job, job.planner, job.state);
    writeln!(text, "attempt  {}\nage      {}", job.attempt, age(job.submitted)).ok();
    if let Some(ahead) = job.ahead {
        writeln!(text, "before   {}", render::plural(ahead as usize, "job")).ok();
    }
    if let Some(plan) = &job.plan_hash {
        writeln!(text, "plan     {plan}").ok();
    }
    if let Some(places) = &job.log {
        writeln!(text, "log      {}", render::places(places)).ok();
    }
    for p in &job.progress {
        let p = (&p.party, &p.progress);
        let bytes = render::bytes(p.1.bytes);
        writeln!(text, "  {}: {}, step {} of {}, {} rounds, {bytes} sent", p.0, p.1.stage, p.1.done, p.1.of, p.1.rounds).ok();
    }
    for refusal in &job.refusals {
        writeln!(text, "  {}", Declined::of(refusal.clone(), job.job, roster)).ok();
    }
    render::plain(&text)
}

fn age(submitted: u64) -> String {
    match now().saturating_sub(submitted) {
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} min", s / 60),
        s if s < 172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explain_is_taken_off_and_positions_stay() {
        for (text, sql, explain) in [
            ("SELECT 1", "SELECT 1", Explain::No),
            ("explain SELECT 1", "        SELECT 1", Explain::Only),
            ("-- why\n/* x */ EXPLAIN\nAnalyze SELECT 1", "-- why\n/* x */        \n        SELECT 1", Explain::Analyze),
            ("EXPLAIN", "       ", Explain::Only),
            ("explained", "explained", Explain::No),
            ("-- only a comment", "-- only a comment", Explain::No),
            ("/* open", "/* open", Explain::No),
        ] {
            assert_eq!(take_explain(text), (sql.to_owned(), explain), "{text}");
        }
    }
}
