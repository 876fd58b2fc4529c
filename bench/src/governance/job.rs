//! What a job costs more where the city keeps a log: a planner's client, a coordinator and three agencies, each a process of its own on loopback with files on
//! disk, are asked the same question, in turn with a city that is the same but for its log. With it a job has an entry of the planner, a debit of each
//! agency, start and result signed by all three, two batches that all have validated and cosigned before the job goes on, the gate, and receipts.

use crate::demo::tacit;
use anyhow::{Context, Result, anyhow};
use client::city::{Allowed, City, Program};
use client::config::Config;
use client::{Ask, Client, demo};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long jobs took, pair by pair, and what all nodes' processors worked more for one on the log.
pub struct Measured {
    pub with: Vec<Duration>,
    pub without: Vec<Duration>,
    pub cpu: Duration,
}

/// Asks `jobs` times in both cities.
pub fn measure(folder: &Path, jobs: u32) -> Result<Measured> {
    let question = scenarios::question("boroughs").context("the scenarios have no such question")?;
    let data = folder.join("data");
    scenarios::generate(&data, scenarios::DEMO_SEED)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut cities = [Town::start(&data, &runtime, true)?, Town::start(&data, &runtime, false)?];
    // The first wait for the log to say what tables hold, and find caches cold.
    for town in &cities {
        (0..COLD).try_for_each(|_| town.ask(&runtime, question.sql).map(drop))?;
    }
    let before = cities.each_ref().map(Town::cpu);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..jobs {
        with.push(cities[0].ask(&runtime, question.sql)?);
        without.push(cities[1].ask(&runtime, question.sql)?);
    }
    let after = cities.each_ref().map(Town::cpu);
    let more = (after[0] - before[0]) - (after[1] - before[1]);
    cities.iter_mut().for_each(|town| town.city.stop());
    Ok(Measured { with, without, cpu: Duration::from_secs_f64(more.max(0.0) / f64::from(jobs)) })
}

/// Questions that are not counted.
const COLD: u32 = 3;
const WITHIN: Duration = Duration::from_secs(120);

struct Town {
    // ended first: its nodes write into the folder
    city: City,
    client: Client,
    _folder: TempDir,
}

impl Town {
    fn start(data: &Path, runtime: &Runtime, keeps_log: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let files = scenarios::City::open(data, folder.path())?;
        let program = Program { executable: tacit()?, prefix: Vec::new() };
        let mut city = demo::make(&folder, &files, Allowed::Everything, program)?;
        if !keeps_log {
            for name in city.node_names().map(str::to_owned).collect::<Vec<_>>() {
                forget_log(city.node_config(&name).with_context(|| format!("`{name}` has no configuration"))?)?;
            }
        }
        city.start_all()?;
        runtime.block_on(city.healthy(WITHIN, |_| {}))?;
        runtime.block_on(city.connected(WITHIN))?;
        let client = Client::open(Config::load(&city.planner_config())?)?;
        Ok(Self { city, client, _folder: folder })
    }

    fn ask(&self, runtime: &Runtime, sql: &str) -> Result<Duration> {
        let start = Instant::now();
        let answer = runtime.block_on(self.client.ask(sql, &Ask::default(), |_| {})).map_err(|error| anyhow!("{error}"))?;
        drop(answer);
        Ok(start.elapsed())
    }

    fn cpu(&self) -> f64 {
        self.city.node_names().filter_map(|name| self.city.cpu_seconds(name)).sum()
    }
}

/// Takes the section about the log out of a node's configuration.
fn forget_log(config: &Path) -> Result<()> {
    let text = std::fs::read_to_string(config)?;
    let (before, section) = text.split_once("\n[ledger]").with_context(|| format!("{}: it keeps no log", config.display()))?;
    let after = section.find("\n[").map_or("", |at| &section[at..]);
    Ok(std::fs::write(config, format!("{before}{after}"))?)
}
