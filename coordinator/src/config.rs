//! The one file that configures the coordinator.
//!
//! ```toml
//! node = "coordinator"            # its name in the roster
//! identity = "coordinator.key"    # its private key, mode 0600
//! roster = "roster.toml"          # the same file at every node
//! catalogue = "catalogue.toml"    # the same file at every node
//! state = "state"                 # folder: job queue and sealed results
//! listen = "0.0.0.0:7100"         # QUIC (UDP) for parties; if left out, what the roster says of this node
//! http = "127.0.0.1:7180"         # HTTP for planners; if left out, the host and port of `api` in the roster
//! profile = "lan"                 # or "wan": many milliseconds between the nodes
//!
//! [limits]                        # all of these have defaults
//! running = 1                     # jobs at a time; the rest wait
//! queued = 256                    # jobs that may wait
//! queued_per_planner = 16         # of these, by one planner
//! keep_hours = 24                 # how long a finished job and its sealed results are kept
//! joint_rows = 10000000           # a plan that works on more rows together is refused
//! wire_mb = 16384                 # a plan by which a party may send more is refused
//! memory_mb = 2048                # a plan with more shares at a party is refused
//!
//! [deadlines]                     # seconds
//! offer = 15                      # for the parties to accept or refuse
//! run = 3600                      # for a job to run
//! seal = 60                       # for the last sealed result to come after the first
//! rejoin = 60                     # after a restart: for the parties to come back to jobs that ran
//!
//! [ledger]                        # if left out, the city keeps no log, and jobs stand on none
//! key = "log.key"                 # the log's own key, mode 0600
//! policy = "city.policy"          # the log's name and key, and the agencies' cosigners; the same file at every node
//! founding = "founding"           # folder: NAME.entry of each founder, what an empty log begins with
//! folder = "state/ledger"         # if left out, `ledger` below `state`
//! handover = "second.handover"    # for a log that goes on where another ended: the hand-over that a quorum signed
//! after = ["energy.ledger"]       # with it: the folders of the logs before, the oldest first; an agency's mirror, or tiles
//! ```
//!
//! Paths are relative to the folder of the file.

use mpc_core::file;
use query::citylog::Before;
use query::size::Bounds;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A checked configuration. Every path in it is absolute or relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The node's name in the roster.
    pub node: String,
    /// Its private key.
    pub identity: PathBuf,
    /// The roster.
    pub roster: PathBuf,
    /// The catalogue.
    pub catalogue: PathBuf,
    /// The folder of its job queue and sealed results.
    pub state: PathBuf,
    /// Where it listens for parties (QUIC); `None`: where the roster says they reach it.
    pub listen: Option<SocketAddr>,
    /// Where it listens for planners (HTTP); `None`: host and port of its `api` in the roster.
    pub http: Option<SocketAddr>,
    /// The kind of network between the nodes.
    pub profile: Profile,
    /// What it allows.
    pub limits: Limits,
    /// How long it waits.
    pub deadlines: Deadlines,
    /// The city's log, if it keeps one.
    pub ledger: Option<LedgerConfig>,
}

/// The city's log, which the coordinator sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerConfig {
    /// The log's own key.
    pub key: PathBuf,
    /// The log's name and key, and the agencies' cosigners.
    pub policy: PathBuf,
    /// The folder of what an empty log begins with.
    pub founding: PathBuf,
    /// The folder of its entries.
    pub folder: PathBuf,
    /// The logs before it.
    pub before: Option<Before>,
}

/// The kind of network between the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Within a building or a machine.
    #[default]
    Lan,
    /// Many milliseconds apart.
    Wan,
}

impl From<Profile> for mpc_quic::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Lan => Self::Lan,
            Profile::Wan => Self::Wan,
        }
    }
}

/// What the coordinator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Jobs at a time; the rest wait.
    pub running: usize,
    /// Jobs that may wait.
    pub queued: usize,
    /// Jobs of one planner that may wait or run.
    pub queued_per_planner: usize,
    /// Hours a finished job and its sealed results are kept.
    pub keep_hours: u64,
    /// Rows a plan's joint stage may work on.
    pub joint_rows: u64,
    /// Mebibytes a plan may have a party send.
    pub wire_mb: u64,
    /// Mebibytes of shares a plan may have at a party.
    pub memory_mb: u64,
}

impl Limits {
    /// What a plan may come to. Each party has bounds of its own.
    pub(crate) fn plan(&self) -> Bounds {
        Bounds { rows: self.joint_rows, wire_mb: self.wire_mb, memory_mb: self.memory_mb }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { running: 1, queued: 256, queued_per_planner: 16, keep_hours: 24, joint_rows: 10_000_000, wire_mb: 16_384, memory_mb: 2048 }
    }
}

/// How long the coordinator waits, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deadlines {
    /// For the parties to accept or refuse.
    pub offer: u64,
    /// For a job to run.
    pub run: u64,
    /// For the last sealed result to come after the first.
    pub seal: u64,
    /// After a restart: for the parties to come back to jobs that ran.
    pub rejoin: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { offer: 15, run: 3600, seal: 60, rejoin: 60 }
    }
}

impl Deadlines {
    pub(crate) fn offer(&self) -> Duration {
        Duration::from_secs(self.offer)
    }

    pub(crate) fn run(&self) -> Duration {
        Duration::from_secs(self.run)
    }

    pub(crate) fn seal(&self) -> Duration {
        Duration::from_secs(self.seal)
    }

    pub(crate) fn rejoin(&self) -> Duration {
        Duration::from_secs(self.rejoin)
    }
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// It cannot be read or something in it is wrong; the error names the line and what to do.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = file::read(path, file::Kind::Coordinator).map_err(|what| ConfigError { file: path.into(), line: None, what })?;
        Self::parse(&text, path)
    }

    /// Reads the text of the configuration file `path`.
    ///
    /// # Errors
    /// Something in it is wrong; the error names the line and what to do.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let error = |line, what: String| ConfigError { file: path.into(), line, what };
        let file: File = toml::from_str(text).map_err(|e| {
            let line = e.span().map(|at| 1 + text[..at.start.min(text.len())].matches('\n').count());
            error(line, e.message().replace('\n', "; "))
        })?;
        let Limits { running, queued, queued_per_planner, keep_hours, joint_rows, wire_mb, memory_mb } = file.limits;
        let Deadlines { offer, run, seal, rejoin } = file.deadlines;
        let bounded: [(&str, u64, u64); 11] = [
            ("limits.running", running as u64, 64),
            ("limits.queued", queued as u64, 10_000),
            ("limits.queued_per_planner", queued_per_planner as u64, 10_000),
            ("limits.keep_hours", keep_hours, 24 * 365),
            ("limits.joint_rows", joint_rows, 1 << 40),
            ("limits.wire_mb", wire_mb, 1 << 30),
            ("limits.memory_mb", memory_mb, 1 << 30),
            ("deadlines.offer", offer, 24 * 3600),
            ("deadlines.run", run, 30 * 24 * 3600),
            ("deadlines.seal", seal, 24 * 3600),
            ("deadlines.rejoin", rejoin, 24 * 3600),
        ];
        if let Some((name, value, most)) = bounded.into_iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            return Err(error(None, format!("`{name} = {value}` must be from 1 to {most}")));
        }
        let base = path.parent().unwrap_or(Path::new(""));
        let ledger = file.ledger.map(|LedgerFile { key, policy, founding, folder, handover, after }| {
            let before = Before::of(handover.map(|file| base.join(file)), after.iter().map(|folder| base.join(folder)).collect());
            Ok(LedgerConfig {
                key: base.join(key),
                policy: base.join(policy),
                founding: base.join(founding),
                folder: base.join(folder.unwrap_or_else(|| file.state.join("ledger"))),
                before: before.map_err(|what| ConfigError { file: path.into(), line: None, what: what.into() })?,
            })
        });
        Ok(Self {
            node: file.node,
            identity: base.join(file.identity),
            roster: base.join(file.roster),
            catalogue: base.join(file.catalogue),
            state: base.join(file.state),
            listen: file.listen,
            http: file.http,
            profile: file.profile,
            limits: file.limits,
            deadlines: file.deadlines,
            ledger: ledger.transpose()?,
        })
    }
}

/// What is wrong with a configuration file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {what}", file.display(), line.map(|l| format!(", line {l}")).unwrap_or_default())]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, where there is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: String,
    identity: PathBuf,
    roster: PathBuf,
    catalogue: PathBuf,
    state: PathBuf,
    listen: Option<SocketAddr>,
    http: Option<SocketAddr>,
    #[serde(default)]
    profile: Profile,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    deadlines: Deadlines,
    ledger: Option<LedgerFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerFile {
    key: PathBuf,
    policy: PathBuf,
    founding: PathBuf,
    folder: Option<PathBuf>,
    handover: Option<PathBuf>,
    #[serde(default)]
    after: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str =
        "node = \"c\"\nidentity = \"c.key\"\nroster = \"../roster.toml\"\ncatalogue = \"/etc/c.toml\"\nstate = \"state\"\n";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/srv/tacit/coordinator.toml"))
    }

    #[test]
    fn paths_are_relative_to_the_file_and_the_rest_has_defaults() {
        let config = parse(SAMPLE).expect("a configuration");
        assert_eq!(config.identity, Path::new("/srv/tacit/c.key"));
        assert_eq!(config.catalogue, Path::new("/etc/c.toml"));
        assert_eq!((config.limits, config.deadlines), (Limits::default(), Deadlines::default()));
        assert_eq!((config.listen, config.http, config.profile, config.ledger), (None, None, Profile::Lan, None));
        let with = parse(&format!("{SAMPLE}[ledger]\nkey = \"log.key\"\npolicy = \"../city.policy\"\nfounding = \"../founding\"\n"));
        let ledger = with.expect("a configuration").ledger.expect("a log");
        assert_eq!(
            (ledger.key.as_path(), ledger.folder.as_path()),
            (Path::new("/srv/tacit/log.key"), Path::new("/srv/tacit/state/ledger"))
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, says) in [
            (SAMPLE.replace("roster", "rooster"), "/srv/tacit/coordinator.toml, line 3: unknown field `rooster`"),
            (format!("{SAMPLE}listen = \"7100\"\n"), "line 6"),
            (format!("{SAMPLE}[limits]\nrunning = 0\n"), "`limits.running = 0` must be from 1 to 64"),
            (format!("{SAMPLE}[deadlines]\noffer = 100000\n"), "`deadlines.offer = 100000`"),
            (format!("{SAMPLE}[limits]\nwalking = 1\n"), "walking"),
            (String::new(), "missing field `node`"),
        ] {
            let error = parse(&text).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
        let error = Config::load("/nonexistent/c.toml").expect_err("no file").to_string();
        assert!(error.starts_with("/nonexistent/c.toml: "), "{error}");
    }
}
