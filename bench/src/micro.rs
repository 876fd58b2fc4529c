//! Protocols among three processes over QUIC on loopback. Each party is a child process of this one with a mesh, a session
//! and a Rep3 engine; each work is checked against its clear result once, then repeated from a common start.

mod delay;
pub mod network;
pub mod party;
mod work;

use crate::relational;
use crate::report::{self, Line, Row};
use anyhow::{Context, Result, bail};
use mpc_core::identity::Identity;
use mpc_core::roster::{Node, Role, Roster};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
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
    fn name(&self) -> &'static str {
        match self {
            Job::Micro(work) => work.name(),
            Job::Relational(work) => work.name(),
        }
    }

    fn rows(&self) -> usize {
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

/// What three parties together took for one repetition.
struct Run {
    wall: Duration,
    cpu: Duration,
    cost: Done,
}

fn judge(job: &Job, runs: &[Run]) -> Row {
    let median = |f: &dyn Fn(&Run) -> Duration| {
        let mut all: Vec<Duration> = runs.iter().map(f).collect();
        all.sort();
        all[all.len() / 2].as_secs_f64()
    };
    let best_s = runs.iter().map(|r| r.wall).min().unwrap_or_default().as_secs_f64();
    let cost = &runs[0].cost;
    let (wall_s, cpu_s) = (median(&|r| r.wall), median(&|r| r.cpu));
    let limits = job.limits();
    let mut judged = vec![(format!("wall {:.0} ms", limits.wall_s * 1e3), wall_s <= limits.wall_s)];
    judged.extend(limits.cpu_s.map(|cpu| (format!("cpu {:.0} ms", cpu * 1e3), cpu_s <= cpu)));
    let peak = runs.iter().map(|r| r.cost.peak_memory).max().unwrap_or_default();
    judged.extend(limits.memory.map(|memory| (format!("{:.0} MB resident", memory as f64 / 1e6), peak <= memory)));
    judged.extend(limits.bytes.map(|bytes| (format!("{:.1} MB", bytes as f64 / 1e6), cost.bytes <= bytes)));
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
    };
    Row { floor_s: floor(cost.bytes, cost.rounds), best_s, line, limits: judged }
}

// ---------------------------------------------------------------- parent and parties

/// What a party is told first.
#[derive(Serialize, Deserialize)]
struct Setup {
    party: u8,
    seed: [u8; 32],
    roster: String,
    path: Path,
}

/// What lies between the parties.
#[derive(Serialize, Deserialize, Clone)]
struct Path {
    /// The profile they are set to.
    profile: String,
    /// How long a datagram takes.
    delay_ms: u64,
}

impl Default for Path {
    fn default() -> Self {
        Path { profile: "lan".into(), delay_ms: 0 }
    }
}

/// What a party is told then; one JSON value a line.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Share the inputs and check the result once.
    Prepare(Job),
    /// Run at this time (nanoseconds since 1970) and say how long after it the run had ended.
    Run { at: u64 },
    /// Say what it cost.
    Report,
    /// End.
    Stop,
}

/// What a party answers.
#[derive(Serialize, Deserialize)]
enum Answer {
    Ready,
    Ended { wall_ns: u64 },
    Cost(Done),
}

/// What one repetition cost one party.
#[derive(Serialize, Deserialize, Clone)]
struct Done {
    cpu_ns: u64,
    bytes: u64,
    rounds: u64,
    peak_memory: u64,
}

struct Parties {
    all: Vec<Party>,
    roster: Roster,
}

struct Party {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Parties {
    fn start(path: &Path) -> Result<Self> {
        let seeds: Vec<[u8; 32]> = (0..4u8).map(|node| [node + 1; 32]).collect();
        let nodes = seeds.iter().enumerate().map(|(at, seed)| {
            Ok(Node {
                name: ["transport", "energy", "health", "coordinator"][at].into(),
                role: if at < 3 { Role::Party } else { Role::Coordinator },
                key: Identity::from_seed(seed).public(),
                addr: free_address()?,
                api: (at == 3).then(|| "http://127.0.0.1:1".into()),
            })
        });
        let roster = Roster::new("Benchmark".into(), nodes.collect::<Result<_>>()?, Vec::new())?;
        let program = std::env::current_exe().context("where this program is")?;
        let parties = seeds[..3].iter().enumerate().map(|(party, seed)| {
            let mut child = Command::new(&program)
                .arg("party")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("starting {}", program.display()))?;
            let orders = child.stdin.take().context("no pipe to the child")?;
            let answers = BufReader::new(child.stdout.take().context("no pipe from the child")?);
            let mut party_process = Party { child, orders, answers };
            party_process.tell(&Setup { party: party as u8, seed: *seed, roster: roster.to_toml(), path: path.clone() })?;
            Ok(party_process)
        });
        let all = parties.collect::<Result<_>>()?;
        Ok(Parties { all, roster })
    }

    /// Where they listen.
    fn addresses(&self) -> Result<Vec<SocketAddr>> {
        Ok(self.roster.parties().map(Node::resolve).collect::<Result<_, _>>()?)
    }

    fn measure(&mut self, job: &Job, repetitions: u32) -> Result<Vec<Run>> {
        self.order(&Order::Prepare(job.clone()))?;
        // the first finds caches and windows cold and is not counted
        (0..=repetitions).map(|_| self.repeat()).skip(1).collect()
    }

    fn repeat(&mut self) -> Result<Run> {
        let start = SystemTime::now() + Duration::from_millis(10);
        let at = u64::try_from(start.duration_since(UNIX_EPOCH)?.as_nanos())?;
        let mut wall = Duration::ZERO;
        for answer in self.order(&Order::Run { at })? {
            let Answer::Ended { wall_ns } = answer else { bail!("a party answers out of turn") };
            wall = wall.max(Duration::from_nanos(wall_ns));
        }
        let mut costs = Vec::new();
        for answer in self.order(&Order::Report)? {
            let Answer::Cost(cost) = answer else { bail!("a party answers out of turn") };
            costs.push(cost);
        }
        let most = |f: fn(&Done) -> u64| costs.iter().map(f).max().unwrap_or_default();
        let cpu_ns = costs.iter().map(|c| c.cpu_ns).sum();
        let cost = Done { cpu_ns, bytes: most(|c| c.bytes), rounds: most(|c| c.rounds), peak_memory: most(|c| c.peak_memory) };
        Ok(Run { wall, cpu: Duration::from_nanos(cpu_ns), cost })
    }

    fn order(&mut self, order: &Order) -> Result<Vec<Answer>> {
        self.all.iter_mut().try_for_each(|party| party.tell(order))?;
        self.all.iter_mut().map(Party::hear).collect()
    }

    fn stop(mut self) -> Result<()> {
        self.all.iter_mut().try_for_each(|party| party.tell(&Order::Stop))?;
        for party in &mut self.all {
            let status = party.child.wait()?;
            if !status.success() {
                bail!("a party ended with {status}");
            }
        }
        Ok(())
    }
}

impl Drop for Parties {
    fn drop(&mut self) {
        for party in &mut self.all {
            // both fail if it has ended, which is what is wanted
            let _ = party.child.kill();
            let _ = party.child.wait();
        }
    }
}

impl Party {
    fn tell(&mut self, what: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(what)? + "\n";
        self.orders.write_all(line.as_bytes()).context("a party has ended; its error is above")?;
        Ok(self.orders.flush()?)
    }

    fn hear(&mut self) -> Result<Answer> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("a party has ended; its error is above");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

fn free_address() -> Result<String> {
    // free now; that another program takes it in the next moment is unlikely and shows at once
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
