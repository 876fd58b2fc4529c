//! `tacit demo`: a whole city on this machine, six questions, and a check of every answer against the same SQL run in clear; and a seventh
//! that contracts do not allow.

mod told;

use crate::city::{Allowed, City, Plan, Program, TableFile};
use crate::cli::{self, Done, End};
use crate::client::{Ask, Client};
use crate::config::Config;
use crate::contract::standing;
use crate::error::{Error, Refusals};
use crate::pooled::Pooled;
use crate::render::{self, Table};
use crate::result::Answer;
use crate::signals::Signals;
use query::datafusion::arrow::array::RecordBatch;
use query::message::Code;
use query::message::job::{PartyRefusal, Places};
use scenarios::Question;
use serde::Serialize;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use told::{Console, json_line, words};

/// Run a whole city on this machine, ask it six questions and check every answer, and one that is refused
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// A folder of real records, laid out as the generated one; if left out, a small invented city
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Asks these questions only (by name; comma-separated or repeated)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    question: Vec<String>,
    /// Prints one JSON object a question and one at the end
    #[arg(long)]
    json: bool,
    /// Prints each question's SQL too
    #[arg(long)]
    sql: bool,
    /// Keeps the city's folder (keys, configurations, logs, data) instead of removing it
    #[arg(long)]
    keep: bool,
}

const HELP: &str = "Examples:
  tacit demo
  tacit demo --question days --sql
  tacit demo --question tips                   one that the contracts do not allow
  tacit demo --data ../shared/data/nyc
  tacit demo --json | jq .question

Four processes are started: a coordinator and three agencies, each with its own key and its own tables. They talk over
QUIC on ports of this machine that are free. Exit code 1 if any answer differs from the clear one.";

/// What a demo does.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of real records; `None`: an invented city.
    pub data: Option<PathBuf>,
    /// The questions, in order.
    pub questions: Vec<&'static Question>,
    /// Whether the city's folder stays.
    pub keep: bool,
    /// The program its nodes are.
    pub program: Program,
}

/// One question of a demo.
#[derive(Debug, Serialize)]
pub struct Asked {
    /// The question's name.
    pub question: &'static str,
    /// In words.
    pub title: &'static str,
    /// What each agency holds of it.
    pub who_holds_what: Vec<(&'static str, &'static str)>,
    /// What the planner learned.
    pub reveals: Vec<String>,
    /// Rounds among the parties.
    pub rounds: u64,
    /// Payload bytes among the parties.
    pub bytes: u64,
    /// From the signature to the finished answer.
    pub seconds: f64,
    /// The answer's rows.
    pub rows: usize,
    /// Whether it equals the same SQL in clear on the pooled tables.
    pub equal: bool,
    /// The places of its query and its result in the city's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Places>,
    /// Where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// The answer.
    #[serde(serialize_with = "as_json")]
    pub answer: Table,
}

/// The whole demo.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Questions asked.
    pub questions: usize,
    /// Whether every answer equals its clear one.
    pub equal: bool,
    /// From the start of the processes to the last answer.
    pub seconds: f64,
    /// From the start of the processes until all were healthy.
    pub seconds_to_healthy: f64,
    /// The largest resident memory of each node, in bytes.
    pub peak_rss: Vec<(String, u64)>,
    /// CPU seconds of all nodes together.
    pub cpu_seconds: f64,
    /// The question that contracts do not allow, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// The city's folder, if it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<PathBuf>,
}

/// A question that was refused, as it should be.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// The question's name.
    pub question: &'static str,
    /// In words.
    pub title: &'static str,
    /// What each agency holds of it.
    pub who_holds_what: Vec<(&'static str, &'static str)>,
    /// Who refuses, and in which words.
    pub refusals: Vec<Said>,
}

/// A party's refusal.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Who.
    pub party: String,
    /// For programs.
    pub code: Code,
    /// What is not allowed.
    pub reason: String,
    /// What would be.
    pub fix: String,
    /// Whether the party has signed it, or the coordinator says so.
    pub signed: bool,
}

/// What happens in a demo, as it happens.
pub trait Audience {
    /// Something is about to take a moment.
    fn step(&mut self, what: &str);
    /// The city's folder stays, whatever becomes of the demo.
    fn kept(&mut self, _folder: &Path) {}
    /// An answer is here and checked.
    fn answered(&mut self, number: usize, of: usize, question: &'static Question, asked: &Asked);
    /// A question was refused, as it should be.
    fn refused(&mut self, _question: &'static Question, _refused: &Refused) {}
}

pub(crate) fn run(args: Args) -> Done {
    let questions = choose(&args.question)?;
    let options = Options { data: args.data, questions, keep: args.keep, program: Program::current()? };
    let mut console = Console { json: args.json, sql: args.sql, bar: None, failed: None, kept: None };
    let summary = play(&options, &mut console);
    console.bar = None;
    if let (Err(_), Some(folder)) = (&summary, &console.kept) {
        writeln!(std::io::stderr(), "tacit: the city of the demo is kept in {}", folder.display()).ok();
    }
    let summary = summary?;
    if let Some(error) = console.failed {
        return Err(error.into());
    }
    match args.json {
        true => cli::print(&json_line(&summary)?)?,
        false => cli::print(&words(&summary))?,
    }
    if summary.equal { Ok(()) } else { Err(End::Quiet(1)) }
}

fn choose(names: &[String]) -> Result<Vec<&'static Question>, Error> {
    let unknown = |name: &String| {
        let all: Vec<&str> = scenarios::questions().chain([scenarios::refused()]).map(|q| q.id).collect();
        Error::config(format!("there is no question `{name}`; there are {}", all.join(", ")))
    };
    match names {
        [] => Ok(scenarios::demo().iter().chain([scenarios::refused()]).collect()),
        names => names.iter().map(|name| scenarios::question(name).ok_or_else(|| unknown(name))).collect(),
    }
}

/// Runs a demo. The city is gone when it returns, however it ends.
///
/// # Errors
/// A node does not come up, a question fails, or someone pressed Ctrl-C. An answer that differs is no error here.
pub fn play(options: &Options, audience: &mut impl Audience) -> Result<Summary, Error> {
    let runtime = cli::runtime()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let folder = tempfile::Builder::new().prefix("tacit-demo-").tempdir();
    let mut folder = folder.map_err(|e| Error::Failed(format!("no temporary folder: {e}")))?;
    folder.disable_cleanup(options.keep);
    if options.keep {
        audience.kept(folder.path());
    }

    let data = match &options.data {
        Some(data) => data.clone(),
        None => {
            audience.step("inventing a small city");
            let data = folder.path().join("data");
            scenarios::generate(&data, scenarios::DEMO_SEED).map_err(|e| Error::Failed(e.to_string()))?;
            data
        }
    };
    if !data.is_dir() {
        let what = "there is no such folder; give one of records laid out as scenarios/README.md shows, or leave --data out";
        return Err(Error::config(format!("{}: {what}", data.display())));
    }
    let data = data.canonicalize().map_err(|e| Error::config(format!("{}: {e}", data.display())))?;
    let files = scenarios::City::open(&data, folder.path()).map_err(|e| Error::config(e.to_string()))?;
    let mut city = make(&folder, &files, contracts()?, options.program.clone())?;

    let started = Instant::now();
    audience.step("starting a coordinator and three agencies");
    city.start_all()?;
    let mut healthy = 0;
    let seen = |name: &str| {
        healthy += 1;
        audience.step(&format!("{name} is up ({healthy} of {})", scenarios::PARTIES.len() + 1));
    };
    runtime.block_on(signals.or(city.healthy(HEALTHY_WITHIN, seen)))?;
    runtime.block_on(signals.or(city.connected(HEALTHY_WITHIN)))?;
    let seconds_to_healthy = started.elapsed().as_secs_f64();

    let client = Client::open(Config::load(&city.planner_config())?)?;
    let (mut answers, mut refused) = (Vec::new(), None);
    for question in &options.questions {
        audience.step(question.title);
        let ask = Ask { purpose: format!("demo: {}", question.title), ..Ask::default() };
        let answer = runtime.block_on(signals.or(client.ask(question.sql, &ask, |_| {})));
        match answer {
            Ok(_) if question.id == scenarios::refused().id => {
                return Err(Error::Failed(format!("question `{}`: it was answered, and no contract allows it", question.id)));
            }
            Err(Error::Refused(refusals)) if question.id == scenarios::refused().id => {
                refused = Some((*question, declined(question, refusals)))
            }
            answer => answers.push((*question, answer.map_err(|e| in_question(question, e))?)),
        }
        // The check comes after the last answer, so that its time is not counted; memory is read while the nodes live.
    }
    let seconds = started.elapsed().as_secs_f64();
    let peak_rss = city.node_names().filter_map(|name| Some((name.to_owned(), city.peak_rss(name)?))).collect();
    let cpu_seconds = city.node_names().filter_map(|name| city.cpu_seconds(name)).sum();
    city.stop();

    audience.step("checking against the clear answers");
    let pooled = Pooled::open(&city, client.catalog())?;
    let mut equal = true;
    for (at, (question, answer)) in answers.iter().enumerate() {
        let asked = check(&client, question, answer, &pooled)?;
        equal &= asked.equal;
        audience.answered(at + 1, answers.len(), question, &asked);
        runtime.block_on(signals.or(async { Ok(()) }))?;
    }
    let refused = refused.map(|(question, refused)| {
        audience.refused(question, &refused);
        refused
    });
    let kept = options.keep.then(|| folder.path().to_owned());
    Ok(Summary { questions: answers.len(), equal, seconds, seconds_to_healthy, peak_rss, cpu_seconds, refused, kept })
}

/// A city of the scenarios, made in a folder.
///
/// # Errors
/// As [`City::make`].
pub fn make(folder: &tempfile::TempDir, files: &scenarios::City, allowed: Allowed, program: Program) -> Result<City, Error> {
    let table = |source: scenarios::Source| TableFile { name: source.table, path: source.path };
    let parties = scenarios::PARTIES.map(|party| (party, files.sources(party).into_iter().map(table).collect::<Vec<_>>()));
    let public: Vec<TableFile> = files.public_sources().into_iter().map(table).collect();
    let plan = Plan { city: "Demo city", parties: &parties, public: &public, catalogue: &files.catalog_toml(), allowed };
    City::make(folder.path(), &plan, program)
}

/// What the agencies of the scenarios allow.
///
/// # Errors
/// None: it is all spelled as contracts spell it.
pub fn contracts() -> Result<Allowed, Error> {
    let table = |(table, columns): &(&str, scenarios::Allowed)| Ok(((*table).to_owned(), standing::allowed(columns)?));
    scenarios::allowed().iter().map(table).collect::<Result<_, Error>>().map(Allowed::Only)
}

fn declined(question: &'static Question, refusals: Refusals) -> Refused {
    let said = refusals.0.into_iter().map(|declined| {
        let (PartyRefusal { party, refusal, .. }, signed) = (declined.refusal, declined.signed.is_some());
        Said { party: party.unwrap_or_else(|| "coordinator".into()), code: refusal.code, reason: refusal.reason, fix: refusal.fix, signed }
    });
    let who_holds_what = question.who_holds_what.to_vec();
    Refused { question: question.id, title: question.title, who_holds_what, refusals: said.collect() }
}

fn check(client: &Client, question: &'static Question, answer: &Answer, pooled: &Pooled) -> Result<Asked, Error> {
    let plan = client.compile(question.sql)?;
    let difference = pooled.compare(question.sql, &answer.rows)?;
    Ok(Asked {
        question: question.id,
        title: question.title,
        who_holds_what: question.who_holds_what.to_vec(),
        reveals: plan.reveals.iter().map(|r| format!("{} for {}", r.what, r.per)).collect(),
        rounds: answer.costs.rounds(),
        bytes: answer.costs.bytes(),
        seconds: answer.elapsed.as_secs_f64(),
        rows: answer.rows.num_rows(),
        equal: difference.is_none(),
        log: answer.log.as_ref().map(|log| log.places),
        difference,
        answer: cells(&answer.rows)?,
    })
}

fn cells(rows: &RecordBatch) -> Result<Table, Error> {
    Table::from_batch(rows).map_err(Error::internal)
}

fn in_question(question: &Question, error: Error) -> Error {
    match error {
        Error::Sql(what) => Error::Sql(format!("question `{}`: {what}", question.id)),
        Error::Failed(what) => Error::Failed(format!("question `{}`: {what}", question.id)),
        other => other,
    }
}

const HEALTHY_WITHIN: Duration = Duration::from_secs(180);

fn as_json<S: serde::Serializer>(table: &Table, to: S) -> Result<S::Ok, S::Error> {
    let rows: serde_json::Value = serde_json::from_str(&table.render(render::Format::Json)).map_err(serde::ser::Error::custom)?;
    rows.serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::bytes::Hash;
    use ledger::contract::{Contract, PUBLIC_BENEFIT, Pattern, Security, SignedContract};
    use party::contracts::{folder, signs};
    use query::catalog::Catalog;
    use query::compile::compile;
    use query::consent;

    /// The contracts of the city, and its catalogue.
    fn city() -> (Vec<SignedContract>, Catalog) {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        scenarios::generate(&data, scenarios::DEMO_SEED).expect("generated");
        let files = scenarios::City::open(&data, folder.path()).expect("a city's files");
        let catalog = Catalog::parse(&files.catalog_toml()).expect("a catalogue");
        let Ok(Allowed::Only(allowed)) = contracts() else { panic!("it is spelled as contracts spell it") };
        let signed = allowed.into_iter().map(|(table, columns)| {
            let (owner, _) = table.split_once('.').expect("a table");
            let contract = Contract::new(&table, key(owner), vec![key("office")], columns, 0).expect("randomness");
            let contract = Contract { join_with: [Pattern::Any].into(), ..contract };
            SignedContract { id: Hash::sha256(&[table.as_bytes()]), contract, countersigned: [].into() }
        });
        (signed.collect(), catalog)
    }

    fn key(name: &str) -> ledger::key::VerifierKey {
        let identity = mpc_core::identity::Identity::from_seed(&Hash::sha256(&[name.as_bytes()]).0);
        signs(name, &identity.public()).expect("a key")
    }

    #[test]
    fn the_questions_are_allowed_and_the_one_is_not() {
        let (signed, catalog) = city();
        let office = key("office");
        for contract in signed.iter().map(|signed| &signed.contract) {
            assert_eq!(folder::unknown(contract, &catalog), [""; 0]);
        }
        let denials = scenarios::questions().chain([scenarios::refused()]).filter_map(|question| {
            let plan = compile(question.sql, &catalog).expect(question.id);
            let receivers = &["office"];
            let (planner, purpose, security) = (&office, PUBLIC_BENEFIT, Security::SemiHonest);
            let ask = consent::Ask { sql: question.sql, planner, receivers, purpose, security, now: 1 };
            consent::check(&plan, None, &signed, &ask).err().map(|denial| (question.id, denial.reason))
        });
        let denials: Vec<_> = denials.collect();
        assert!(matches!(&denials[..], [("tips", reason)] if reason.contains("does not allow tip_usd")), "{denials:#?}");
    }
}
