//! A whole city on this machine: keys, roster and configurations in a folder, each node a child process. The demo, the
//! benchmarks and the tests run on it. Children are gone when it is: their standard input is the leash (a node started
//! with `--until-stdin-closes` ends when it does, even if this process is killed), and what is left is killed on drop.

use crate::contract::standing::{signed, standing};
use crate::error::Error;
use crate::founding;
use crate::http::Api;
use crate::init;
use ledger::contract::{Contract, Operation, Sizes, everything};
use mpc_core::identity::Identity;
use mpc_core::roster::{Node, Planner, Role, Roster};
use query::catalog::Catalog;
use query::message::job::CityStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// The program nodes are children of: usually this one.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable.
    pub executable: PathBuf,
    /// Arguments before `party --config …`: for a program that has `tacit` under a subcommand of its own.
    pub prefix: Vec<OsString>,
}

impl Program {
    /// The running executable.
    ///
    /// # Errors
    /// The system does not say which it is.
    pub fn current() -> Result<Self, Error> {
        let executable = std::env::current_exe().map_err(|e| Error::internal(format!("which program is this? {e}")))?;
        Ok(Self { executable, prefix: Vec::new() })
    }
}

/// A city's files, and the nodes that run.
pub struct City {
    folder: PathBuf,
    roster: Roster,
    nodes: Vec<NodeFiles>,
    running: Vec<Running>,
    program: Program,
}

/// A table and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// `schema.table`.
    pub name: String,
    /// An absolute path.
    pub path: PathBuf,
}

/// What a city is made of.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Its name.
    pub city: &'a str,
    /// The three agencies with the tables each holds.
    pub parties: &'a [(&'a str, Vec<TableFile>)],
    /// The public tables, which everyone holds.
    pub public: &'a [TableFile],
    /// The catalogue.
    pub catalogue: &'a str,
    /// What its contracts allow the planner.
    pub allowed: Allowed,
}

/// What the contracts of a city allow.
#[derive(Debug, Clone)]
pub enum Allowed {
    /// Everything, of all private tables.
    Everything,
    /// These operations of these columns, by table; of other tables nothing.
    Only(BTreeMap<String, BTreeMap<String, BTreeSet<Operation>>>),
}

/// The planner of a city made here.
pub const PLANNER: &str = "planning-office";
/// The coordinator of a city made here.
pub const COORDINATOR: &str = "coordinator";

struct NodeFiles {
    name: String,
    command: &'static str,
    config: PathBuf,
    /// Where it answers for its health.
    health: String,
}

struct Running {
    name: String,
    child: Child,
    leash: Option<ChildStdin>,
}

impl City {
    /// Writes keys, roster and configurations into `folder`, with ports that are free now.
    ///
    /// # Errors
    /// The folder cannot be written, or no ports are free.
    pub fn make(folder: &Path, plan: &Plan<'_>, program: Program) -> Result<Self, Error> {
        let ports = FreePorts::take(plan.parties.len())?;
        let mut members = Vec::new();
        let write_key = |name: &str| {
            let home = folder.join(name);
            std::fs::create_dir_all(&home).map_err(|e| Error::config(format!("{}: {e}", home.display())))?;
            init::make_key(&home.join(format!("{name}.key")))
        };
        let mut identities = Vec::new();
        for ((name, _), quic) in plan.parties.iter().zip(&ports.quic) {
            let (addr, identity) = (format!("127.0.0.1:{quic}"), write_key(name)?);
            members.push(Node { name: (*name).into(), role: Role::Party, key: identity.public(), addr, api: None });
            identities.push((*name, identity));
        }
        let api = format!("http://127.0.0.1:{}", ports.api);
        members.push(Node {
            name: COORDINATOR.into(),
            role: Role::Coordinator,
            key: write_key(COORDINATOR)?.public(),
            addr: format!("127.0.0.1:{}", ports.coordinator),
            api: Some(api.clone()),
        });
        let planner = write_key(PLANNER)?;
        let planners = vec![Planner { name: PLANNER.into(), key: planner.public() }];
        let roster = Roster::new(plan.city.into(), members, planners).map_err(|e| Error::config(e.to_string()))?;

        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|e| Error::config(format!("{}: {e}", path.display()))).map(|()| path)
        };
        write("roster.toml", &roster.to_toml())?;
        write("catalogue.toml", plan.catalogue)?;
        let contracts = folder.join("contracts");
        std::fs::create_dir_all(&contracts).map_err(|e| Error::config(format!("{}: {e}", contracts.display())))?;
        for contract in plan.contracts(&roster)? {
            let agency = contract.owner.name();
            let identity = Identity::load(folder.join(agency).join(format!("{agency}.key"))).map_err(|e| Error::config(e.to_string()))?;
            let (name, note) = signed(&contract, &identity)?;
            write(&format!("contracts/{name}"), &note)?;
        }
        let agencies: Vec<(&str, &Identity)> = identities.iter().map(|(name, identity)| (*name, identity)).collect();
        founding::city(folder, plan.city, COORDINATOR, &agencies, (PLANNER, &planner))?;
        let mut nodes = vec![NodeFiles {
            name: COORDINATOR.into(),
            command: "coordinator",
            config: write(
                &format!("{COORDINATOR}/coordinator.toml"),
                &(common("node", COORDINATOR, true) + &founding::COORDINATOR.replace("{shared}", "..")),
            )?,
            health: api,
        }];
        for ((name, tables), http) in plan.parties.iter().zip(&ports.http) {
            let mut text = common("node", name, true) + CONTRACTS;
            text += &format!("http = \"127.0.0.1:{http}\"\n");
            text += &founding::PARTY.replace("{shared}", "..");
            text += &table_lines(plan.public.iter().chain(tables));
            let config = write(&format!("{name}/party.toml"), &text)?;
            nodes.push(NodeFiles { name: (*name).into(), command: "party", config, health: format!("http://127.0.0.1:{http}") });
        }
        write(
            &format!("{PLANNER}/planner.toml"),
            &(common("planner", PLANNER, false) + CONTRACTS + POLICY + &init::purpose_line() + &table_lines(plan.public.iter())),
        )?;
        Ok(Self { folder: folder.into(), roster, nodes, running: Vec::new(), program })
    }

    /// The folder it lives in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its roster.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The planner's configuration.
    pub fn planner_config(&self) -> PathBuf {
        self.folder.join(PLANNER).join("planner.toml")
    }

    /// A node's configuration.
    pub fn node_config(&self, name: &str) -> Option<&Path> {
        self.nodes.iter().find(|n| n.name == name).map(|n| n.config.as_path())
    }

    /// The private key of a member, by name.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn identity(&self, name: &str) -> Result<Identity, Error> {
        Identity::load(self.folder.join(name).join(format!("{name}.key"))).map_err(|e| Error::config(e.to_string()))
    }

    /// The names of its nodes, the coordinator first.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|n| n.name.as_str())
    }

    /// Starts every node that does not run.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start_all(&mut self) -> Result<(), Error> {
        let names: Vec<String> = self.node_names().map(ToOwned::to_owned).collect();
        names.iter().try_for_each(|name| self.start(name))
    }

    /// Starts one node, if it does not run.
    ///
    /// # Errors
    /// There is no such node, or it cannot be started.
    pub fn start(&mut self, name: &str) -> Result<(), Error> {
        if self.running.iter().any(|r| r.name == name) {
            return Ok(());
        }
        let node = self.nodes.iter().find(|n| n.name == name).ok_or_else(|| Error::internal(format!("no node `{name}` in this city")))?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path(name));
        let log = log.map_err(|e| Error::config(format!("{}: {e}", self.log_path(name).display())))?;
        let mut command = Command::new(&self.program.executable);
        command.args(&self.program.prefix).args([node.command, "--until-stdin-closes", "--config"]).arg(&node.config);
        // A group of its own: Ctrl-C in the terminal reaches this process, which ends its children in order.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let mut child = command
            .spawn()
            .map_err(|e| Error::internal(format!("cannot start {} for `{name}`: {e}", self.program.executable.display())))?;
        let leash = child.stdin.take();
        self.running.push(Running { name: name.into(), child, leash });
        Ok(())
    }

    /// Waits until every running node says it is healthy. `seen` is told of each as it comes.
    ///
    /// # Errors
    /// A node ended, or is not healthy within `within`; with the end of its log.
    pub async fn healthy(&mut self, within: Duration, mut seen: impl FnMut(&str)) -> Result<(), Error> {
        let deadline = Instant::now() + within;
        let mut waiting: Vec<(String, Api)> = Vec::new();
        for running in &self.running {
            if let Some(node) = self.nodes.iter().find(|n| n.name == running.name) {
                waiting.push((node.name.clone(), Api::new(&node.health)?));
            }
        }
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while !waiting.is_empty() {
            pause.tick().await;
            let mut still = Vec::new();
            for (name, api) in waiting {
                match api.succeeds("/healthz").await {
                    true => seen(&name),
                    false => still.push((name, api)),
                }
            }
            waiting = still;
            for (name, _) in &waiting {
                if let Some(status) = self.ended(name) {
                    return Err(Error::Failed(format!("the node `{name}` ended ({status}); its log ends:\n{}", self.log_end(name))));
                }
                if Instant::now() > deadline {
                    let log = self.log_end(name);
                    return Err(Error::Failed(format!("the node `{name}` is not healthy after {within:?}; its log ends:\n{log}")));
                }
            }
        }
        Ok(())
    }

    /// Waits until every party is connected to the coordinator and can take part.
    ///
    /// # Errors
    /// One is not, `within` this time.
    pub async fn connected(&mut self, within: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + within;
        let api = Api::new(self.roster.coordinator().api.as_deref().unwrap_or_default())?;
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            let missing = match api.get::<CityStatus>("/v1/status").await {
                Ok(Ok(status)) => status.parties.into_iter().find(|p| !p.connected || p.trouble.is_some()).map(|p| p.name),
                _ => Some(COORDINATOR.to_owned()),
            };
            let Some(name) = missing else { return Ok(()) };
            if let Some(status) = self.ended(&name) {
                return Err(Error::Failed(format!("the node `{name}` ended ({status}); its log ends:\n{}", self.log_end(&name))));
            }
            if Instant::now() > deadline {
                let log = self.log_end(&name);
                return Err(Error::Failed(format!("the node `{name}` cannot take part after {within:?}; its log ends:\n{log}")));
            }
        }
    }

    /// Kills a node on the spot (SIGKILL), as a power cut would.
    pub fn kill(&mut self, name: &str) {
        if let Some(at) = self.running.iter().position(|r| r.name == name) {
            let mut running = self.running.swap_remove(at);
            running.child.kill().ok();
            running.child.wait().ok();
        }
    }

    /// Whether a node that was started still runs.
    pub fn is_running(&mut self, name: &str) -> bool {
        self.running.iter().any(|r| r.name == name) && self.ended(name).is_none()
    }

    /// The process of a running node.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.running.iter().find(|r| r.name == name).map(|r| r.child.id())
    }

    /// The largest resident memory a running node ever had, in bytes, where the system says so.
    pub fn peak_rss(&self, name: &str) -> Option<u64> {
        let running = self.running.iter().find(|r| r.name == name)?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// CPU seconds a running node has used, in user and system together, where the system says so.
    pub fn cpu_seconds(&self, name: &str) -> Option<f64> {
        let running = self.running.iter().find(|r| r.name == name)?;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.child.id())).ok()?;
        // behind the closing bracket of the name: state, then 10 fields, then utime and stime in ticks of 1/100 s
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
        Some(ticks / 100.0)
    }

    /// The last lines of a node's log.
    pub fn log_end(&self, name: &str) -> String {
        let text = std::fs::read(self.log_path(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].iter().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
    }

    /// Where a node's log is.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.folder.join(name).join("log")
    }

    /// Ends all nodes, in order, and waits until they have.
    pub fn stop(&mut self) {
        for running in &mut self.running {
            running.leash = None;
        }
        let deadline = Instant::now() + Duration::from_secs(3);
        for running in &mut self.running {
            // A node that does not leave within the time is killed.
            while matches!(running.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            running.child.kill().ok();
            running.child.wait().ok();
        }
        self.running.clear();
    }

    fn ended(&mut self, name: &str) -> Option<String> {
        let running = self.running.iter_mut().find(|r| r.name == name)?;
        let status = running.child.try_wait().ok()??;
        Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "for no reason given".into(),
        })
    }
}

impl Drop for City {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Plan<'_> {
    fn contracts(&self, roster: &Roster) -> Result<Vec<Contract>, Error> {
        let catalog = Catalog::parse(self.catalogue).map_err(|e| Error::config(e.to_string()))?;
        let allowed: BTreeMap<_, _> = match &self.allowed {
            Allowed::Only(allowed) => allowed.clone(),
            Allowed::Everything => {
                let private = catalog.tables().iter().filter(|table| table.owner().is_some());
                private.map(|table| (table.name.clone(), everything(table.columns.iter().map(|column| column.name.as_str())))).collect()
            }
        };
        let contract = |(table, columns): (String, _)| {
            let sizes = match self.allowed {
                Allowed::Everything => Sizes::Exact,
                // What the catalogue has an owner tell of its rows, its contract lets it.
                Allowed::Only(_) => catalog.table(&table).map(|table| table.sizes).unwrap_or_default(),
            };
            standing(&table, columns, roster, PLANNER).map(|contract| Contract { sizes, ..contract })
        };
        allowed.into_iter().map(contract).collect()
    }
}

const CONTRACTS: &str = "contracts = \"../contracts\"\n";
const POLICY: &str = "policy = \"../city.policy\"\n";

fn common(key: &str, name: &str, state: bool) -> String {
    let state = if state { "state = \"state\"\n" } else { "" };
    format!("{key} = \"{name}\"\nidentity = \"{name}.key\"\nroster = \"../roster.toml\"\ncatalogue = \"../catalogue.toml\"\n{state}")
}

fn table_lines<'a>(tables: impl Iterator<Item = &'a TableFile>) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let lines = tables.map(|t| format!("\n[[table]]\nname = {}\npath = {}\n", quoted(&t.name), quoted(&t.path.display().to_string())));
    lines.collect()
}

/// Ports that were free a moment ago, all held at once so that none is given twice.
struct FreePorts {
    coordinator: u16,
    api: u16,
    quic: Vec<u16>,
    http: Vec<u16>,
}

impl FreePorts {
    fn take(parties: usize) -> Result<Self, Error> {
        let none = |e: std::io::Error| Error::config(format!("no free port on 127.0.0.1: {e}"));
        let udp: Vec<UdpSocket> =
            (0..=parties).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>().map_err(none)?;
        let tcp: Vec<TcpListener> =
            (0..=parties).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>().map_err(none)?;
        let mut quic = udp.iter().map(|s| s.local_addr().map(|a| a.port())).collect::<Result<Vec<_>, _>>().map_err(none)?;
        let mut http = tcp.iter().map(|s| s.local_addr().map(|a| a.port())).collect::<Result<Vec<_>, _>>().map_err(none)?;
        let coordinator = quic.pop().unwrap_or_default();
        let api = http.pop().unwrap_or_default();
        Ok(Self { coordinator, api, quic, http })
    }
}
