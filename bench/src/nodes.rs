//! Real nodes: a coordinator and three agencies as processes on loopback, asked as a planner asks, SQL to table. Every answer is compared with
//! DataFusion's on the pooled tables.

use crate::demo::tacit;
use crate::micro::floor;
use crate::report::{Line, Row, Stages};
use anyhow::{Context, Result, bail};
use client::city::{City, Plan, Program};
use client::client::{Ask, Client};
use client::config::Config;
use client::pooled::Pooled;
use query::message::frame::Stage;
use query::message::job::{Event, JobState, What};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Nodes that run.
pub struct Nodes {
    city: City,
    parties: [&'static str; 3],
    client: Client,
    pooled: Pooled,
    runtime: tokio::runtime::Runtime,
}

/// A question to them.
pub struct Question<'a> {
    /// What it is called in reports.
    pub work: &'static str,
    /// What it is for.
    pub purpose: String,
    /// Its text.
    pub sql: &'a str,
    /// The rows of the tables it names.
    pub rows: u64,
    /// Seconds it may take.
    pub limit: Option<f64>,
    /// How often it is asked; the median counts.
    pub repetitions: u32,
}

/// What came of it.
pub enum Outcome {
    /// Answered, and whether the answer is DataFusion's; in parts to print.
    Answered { row: Box<Row>, rows_out: usize, difference: Option<String> },
    /// Refused, or it failed.
    Unanswered(String),
}

const HEALTHY_WITHIN: Duration = Duration::from_secs(180);

impl Nodes {
    /// Starts them in a folder and waits until they know one another.
    pub fn start(folder: &Path, plan: &Plan<'_>, parties: [&'static str; 3]) -> Result<Self> {
        let program = Program { executable: tacit()?, prefix: Vec::new() };
        let mut city = City::make(folder, plan, program)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        city.start_all()?;
        runtime.block_on(city.healthy(HEALTHY_WITHIN, |_| ()))?;
        runtime.block_on(city.connected(HEALTHY_WITHIN))?;
        let client = Client::open(Config::load(&city.planner_config())?)?;
        let pooled = Pooled::open(&city, client.catalog())?;
        Ok(Nodes { city, parties, client, pooled, runtime })
    }

    /// Asks a question so many times, and compares the last answer.
    pub fn ask(&self, question: &Question<'_>) -> Result<Outcome> {
        let cpu = || self.parties.iter().filter_map(|party| self.city.cpu_seconds(party)).sum::<f64>();
        let (before, mut taken, mut last) = (cpu(), Vec::new(), None);
        for _ in 0..question.repetitions {
            let mut watch = Watch::start();
            let ask = Ask { purpose: question.purpose.clone(), ..Ask::default() };
            match self.runtime.block_on(self.client.ask(question.sql, &ask, |event| watch.seen(event))) {
                Ok(answer) => {
                    taken.push((answer.elapsed.as_secs_f64(), watch.stages()));
                    last = Some(answer);
                }
                Err(error) => return Ok(Outcome::Unanswered(error.to_string())),
            }
        }
        let answer = last.context("a question is asked at least once")?;
        if answer.costs.parties.is_empty() {
            bail!("the parties told no costs");
        }
        let cpu_s = (cpu() - before) / f64::from(question.repetitions);
        taken.sort_by(|a, b| a.0.total_cmp(&b.0));
        let best_s = taken[0].0;
        let (wall_s, stages) = taken.swap_remove(taken.len() / 2);
        let peak = self.parties.iter().filter_map(|party| self.city.peak_rss(party)).max().unwrap_or_default();
        let bytes = answer.costs.parties.iter().map(|(_, m)| m.iter().map(|m| m.bytes).sum::<u64>()).max().unwrap_or_default();
        let rounds = answer.costs.rounds();
        let limits: Vec<_> = question.limit.iter().map(|limit| (format!("wall {limit} s"), wall_s <= *limit)).collect();
        let difference = self.pooled.compare(question.sql, &answer.rows)?;
        let line = Line {
            work: question.work,
            rows: question.rows,
            rounds: Some(rounds),
            bytes_party: Some(bytes),
            cpu_s,
            wall_s,
            rss_mb: peak as f64 / 1e6,
            limit: question.limit.unwrap_or(f64::INFINITY),
            ok: limits.iter().all(|(_, ok)| *ok) && difference.is_none(),
            beside: None,
            stages: Some(stages),
        };
        let row = Box::new(Row { best_s, floor_s: Some(floor(bytes, rounds)), line, limits });
        Ok(Outcome::Answered { row, rows_out: answer.rows.num_rows(), difference })
    }

    /// The rows of the private tables that a text names.
    pub fn rows_of(&self, sql: &str) -> Result<u64> {
        let code: String = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join(" ");
        let named = |name: &str| code.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_'))).any(|word| word == name);
        let tables = self.client.catalog().tables().iter().filter(|t| t.owner().is_some());
        tables.filter(|table| named(&table.name)).map(|table| self.count(&table.name)).sum()
    }

    fn count(&self, table: &str) -> Result<u64> {
        let rows = self.pooled.answer(&format!("SELECT * FROM {table}"))?;
        Ok(rows.num_rows() as u64)
    }

    /// Ends them in order.
    pub fn stop(mut self) {
        self.city.stop();
    }
}

/// Watches a job go through its stages, as the planner hears of them.
struct Watch {
    start: Instant,
    offered: Option<Instant>,
    running: Option<Instant>,
    /// When the last party entered each stage.
    entered: BTreeMap<Stage, Instant>,
    /// What each party was last heard to be at.
    at: BTreeMap<String, Stage>,
}

impl Watch {
    fn start() -> Self {
        Watch { start: Instant::now(), offered: None, running: None, entered: BTreeMap::new(), at: BTreeMap::new() }
    }

    fn seen(&mut self, event: &Event) {
        let now = Instant::now();
        match &event.what {
            What::State { state: JobState::Offered, .. } => self.offered = self.offered.or(Some(now)),
            What::State { state: JobState::Running, .. } => self.running = self.running.or(Some(now)),
            What::Progress(progress) => {
                let stage = progress.progress.stage;
                // relations are shared as they are needed: a party may come back to a stage
                if self.at.get(&progress.party).is_none_or(|before| *before < stage) {
                    self.at.insert(progress.party.clone(), stage);
                    self.entered.insert(stage, now);
                }
            }
            _ => {}
        }
    }

    /// What lies between what was seen. What was not seen took no time of its own.
    fn stages(&self) -> Stages {
        let end = Instant::now();
        let entered = |stages: &[Stage]| stages.iter().filter_map(|stage| self.entered.get(stage)).min().copied();
        let marks = [
            self.offered,
            self.running,
            entered(&[Stage::Local]),
            entered(&[Stage::Share, Stage::Joint, Stage::Release]),
            entered(&[Stage::Release]),
            Some(end),
        ];
        let mut before = self.start;
        let [compile_s, offer_s, session_s, local_s, joint_s, finish_s] = marks.map(|mark| {
            let mark = mark.unwrap_or(before).max(before);
            let spent = (mark - before).as_secs_f64();
            before = mark;
            spent
        });
        Stages { compile_s, offer_s, session_s, local_s, joint_s, finish_s }
    }
}
