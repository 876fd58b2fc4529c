//! Three parties as child processes of this one, told what to run line by line: one JSON value a line each way.

use super::Job;
use anyhow::{Context, Result, bail};
use mpc_core::identity::Identity;
use mpc_core::roster::{Node, Role, Roster};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What three parties together took for one repetition.
pub struct Run {
    /// From the common start to the slowest party's end.
    pub wall: Duration,
    /// All three together.
    pub cpu: Duration,
    /// Of the party that has most of each.
    pub cost: Done,
}

/// What a party of ours is told first.
#[derive(Serialize, Deserialize)]
pub struct Setup {
    pub party: u8,
    pub seed: [u8; 32],
    pub roster: String,
    pub path: Path,
}

/// What lies between the parties.
#[derive(Serialize, Deserialize, Clone)]
pub struct Path {
    /// The profile they are set to.
    pub profile: String,
    /// How long a datagram takes.
    pub delay_ms: u64,
}

impl Default for Path {
    fn default() -> Self {
        Path { profile: "lan".into(), delay_ms: 0 }
    }
}

/// What a party is told then; one JSON value a line.
#[derive(Serialize, Deserialize)]
pub enum Order {
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
pub enum Answer {
    Ready,
    Ended { wall_ns: u64 },
    Cost(Done),
}

/// What one repetition cost one party. What a peer does not tell is left out.
#[derive(Serialize, Deserialize, Clone)]
pub struct Done {
    pub cpu_ns: u64,
    pub bytes: Option<u64>,
    pub rounds: Option<u64>,
    pub peak_memory: u64,
}

/// Three of them.
pub struct Parties {
    all: Vec<Party>,
    addresses: Vec<SocketAddr>,
}

struct Party {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Parties {
    /// Tacit's own: this program again, with a mesh and a session each.
    pub fn start(path: &Path) -> Result<Self> {
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
        let addresses = roster.parties().map(Node::resolve).collect::<Result<_, _>>()?;
        let program = std::env::current_exe().context("where this program is")?;
        let parties = (0..3u8).zip(&seeds).map(|(party, seed)| {
            let mut command = Command::new(&program);
            command.arg("party");
            (command, Setup { party, seed: *seed, roster: roster.to_toml(), path: path.clone() })
        });
        Parties::of(addresses, parties)
    }

    /// Of programs that speak these words, each with what it is told first.
    pub fn of(addresses: Vec<SocketAddr>, programs: impl IntoIterator<Item = (Command, impl Serialize)>) -> Result<Self> {
        let parties = programs.into_iter().map(|(mut command, setup)| {
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("starting {}", command.get_program().to_string_lossy()))?;
            let orders = child.stdin.take().context("no pipe to the child")?;
            let answers = BufReader::new(child.stdout.take().context("no pipe from the child")?);
            let mut party = Party { child, orders, answers };
            party.tell(&setup)?;
            Ok(party)
        });
        Ok(Parties { all: parties.collect::<Result<_>>()?, addresses })
    }

    /// Where they listen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Prepares a job and runs it so many times.
    pub fn measure(&mut self, job: &Job, repetitions: u32) -> Result<Vec<Run>> {
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
        let cpu_ns = costs.iter().map(|c| c.cpu_ns).sum();
        let cost = Done {
            cpu_ns,
            bytes: costs.iter().filter_map(|c| c.bytes).max(),
            rounds: costs.iter().filter_map(|c| c.rounds).max(),
            peak_memory: costs.iter().map(|c| c.peak_memory).max().unwrap_or_default(),
        };
        Ok(Run { wall, cpu: Duration::from_nanos(cpu_ns), cost })
    }

    fn order(&mut self, order: &Order) -> Result<Vec<Answer>> {
        self.all.iter_mut().try_for_each(|party| party.tell(order))?;
        self.all.iter_mut().map(Party::hear).collect()
    }

    /// Ends them in order.
    pub fn stop(mut self) -> Result<()> {
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
