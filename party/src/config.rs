//! The one file that configures a party node.
//!
//! ```toml
//! node = "transport"              # this node's name in the roster; also the SQL schema of its tables
//! identity = "transport.key"      # its private key, mode 0600
//! roster = "roster.toml"          # the same file at every node
//! catalogue = "catalogue.toml"    # the same file at every node
//! contracts = "contracts"         # folder, the same at every node: what the agencies allow (NAME.contract) and have ended (NAME.revoke);
//!                                 # looked at all the time. While it is empty, nothing may be asked
//! state = "transport.state"       # folder: which attempts have been used, how often contracts have
//! listen = "0.0.0.0:7101"         # QUIC (UDP); if left out, what the roster says of this node
//! http = "127.0.0.1:7201"         # /healthz, /metrics and /ledger; if left out, there is no such listener
//! profile = "lan"                 # or "wan": many milliseconds between the nodes
//!
//! [limits]                        # all of these have defaults
//! max_rows = 50000000             # no table longer than this is loaded, whatever the catalogue allows
//! memory_mb = 2048                # for the tables, again for a job's local stage, and again for its shares
//! joint_rows = 10000000           # a plan that works on more rows together is refused
//! wire_mb = 16384                 # a plan by which a party may send more is refused
//! jobs = 2                        # jobs at a time; more are refused as busy
//! job_deadline_s = 300            # a job that has not ended by then is stopped
//! peer_timeout_s = 120            # how long a live peer may keep a round waiting, its local stage included
//!
//! [ledger]                        # if left out, this node keeps no log, and takes only jobs that stand on none
//! policy = "city.policy"          # the log's name and key, and the agencies' cosigners; the same file at every node
//! witness = "witness.key"         # signs that the log only grew, mode 0600
//! validated = "validated.key"     # signs that this node holds every entry, and that each may stand
//! folder = "transport.state/ledger" # if left out, `ledger` below `state`
//! handover = "second.handover"    # for a log that goes on where another ended: the hand-over that a quorum signed
//! after = ["transport.state/first"] # with it: the folders of the logs before, the oldest first; this node's mirrors, or others'
//!
//! [[table]]                       # one for each public table and for each table of this node's schema
//! name = "public.zones"
//! path = "keys/zones.csv"
//!
//! [[table]]
//! name = "transport.green_trips"
//! path = "transport/green_trips.csv.gz"
//! format = "csv.gz"               # csv | csv.gz | parquet; if left out, by the extension; parquet may be a folder
//! null = "NA"                     # CSV: what stands for NULL besides the empty field
//! undeclared_columns = "refuse"   # or "ignore" (default): columns the catalogue does not know are not loaded
//! ```
//!
//! Paths are relative to the folder of the file.

use mpc_core::file;
use query::citylog::Before;
use query::size::Bounds;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// A checked configuration. Every path in it is absolute or relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// The node's name in the roster.
    pub node: String,
    /// Its private key.
    pub identity: PathBuf,
    /// The roster.
    pub roster: PathBuf,
    /// The catalogue.
    pub catalogue: PathBuf,
    /// The folder of contracts.
    pub contracts: PathBuf,
    /// The folder where it remembers which attempts have been used.
    pub state: PathBuf,
    /// Where it listens for peers; `None`: where the roster says they reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Where it serves health and metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// The kind of network between the nodes.
    pub profile: Profile,
    /// What it allows itself.
    pub limits: Limits,
    /// Its part in the city's log, if it keeps one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerConfig>,
    /// Where its tables are.
    #[serde(rename = "table")]
    pub tables: Vec<TableFile>,
}

/// An agency's part in the city's log: witness and mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerConfig {
    /// The log's name and key, and the agencies' cosigners.
    pub policy: PathBuf,
    /// The key that signs that the log only grew.
    pub witness: PathBuf,
    /// The key that signs that this node holds every entry, and that each may stand.
    pub validated: PathBuf,
    /// The folder of the log's entries.
    pub folder: PathBuf,
    /// The logs before it.
    #[serde(flatten)]
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

/// What a node allows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// No table longer than this is loaded, whatever the catalogue allows.
    pub max_rows: u64,
    /// Mebibytes for the tables, again for the local stage of a job, and again for its shares.
    pub memory_mb: u64,
    /// Rows a plan's joint stage may work on.
    pub joint_rows: u64,
    /// Mebibytes a plan may have a party send.
    pub wire_mb: u64,
    /// Jobs at a time.
    pub jobs: usize,
    /// Seconds a job may take in all.
    pub job_deadline_s: u64,
    /// Seconds a live peer may keep a round waiting, its local stage included (one that died is noticed in seconds).
    pub peer_timeout_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_rows: 50_000_000,
            memory_mb: 2048,
            joint_rows: 10_000_000,
            wire_mb: 16_384,
            jobs: 2,
            job_deadline_s: 300,
            peer_timeout_s: 120,
        }
    }
}

impl Limits {
    /// How long a job may take in all.
    pub fn job_deadline(&self) -> Duration {
        Duration::from_secs(self.job_deadline_s)
    }

    /// How long a peer may keep a round waiting.
    pub fn peer_timeout(&self) -> Duration {
        Duration::from_secs(self.peer_timeout_s)
    }

    /// What a plan may come to.
    pub fn plan(&self) -> Bounds {
        Bounds { rows: self.joint_rows, wire_mb: self.wire_mb, memory_mb: self.memory_mb }
    }

    /// The memory bound in bytes.
    pub fn memory(&self) -> usize {
        usize::try_from(self.memory_mb.saturating_mul(1 << 20)).unwrap_or(usize::MAX)
    }
}

/// Where a table is, and in which form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableFile {
    /// `schema.table`, as in the catalogue.
    pub name: String,
    /// The file, or for Parquet a folder.
    pub path: PathBuf,
    /// The path as the file has it: what errors call the table's data.
    #[serde(skip)]
    pub shown: String,
    /// The form of the data.
    pub format: Format,
    /// CSV: what stands for NULL besides the empty field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<String>,
    /// What becomes of columns that the catalogue does not declare.
    pub undeclared_columns: Undeclared,
}

/// The form of a table's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// CSV with a header line.
    #[serde(rename = "csv")]
    Csv,
    /// The same, compressed with gzip.
    #[serde(rename = "csv.gz")]
    CsvGz,
    /// A Parquet file, or a folder of them.
    #[serde(rename = "parquet")]
    Parquet,
}

/// What becomes of columns that are in the data and not in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undeclared {
    /// They are not loaded, so that nothing can be asked of them.
    #[default]
    Ignore,
    /// The table is refused.
    Refuse,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// It cannot be read or something in it is wrong; the error names the line and what to do.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = file::read(path, file::Kind::Party).map_err(|what| ConfigError { file: path.into(), line: None, what })?;
        Self::parse(&text, path)
    }

    /// Reads the text of the configuration file `path`.
    ///
    /// # Errors
    /// Something in it is wrong; the error names the line and what to do.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let error = |at: Option<Range<usize>>, what: String| ConfigError {
            file: path.into(),
            line: at.map(|at| 1 + text[..at.start.min(text.len())].matches('\n').count()),
            what,
        };
        let file: File = toml::from_str(text).map_err(|e| error(e.span(), describe(&e)))?;
        file.check(path.parent().unwrap_or(Path::new(""))).map_err(|(at, what)| error(Some(at), what))
    }

    /// The configuration as TOML, which [`Config::parse`] reads back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is strings and integers")
    }
}

/// What is wrong with a configuration file, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {what}", file.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, where there is one.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Spanned<String>,
    identity: Spanned<PathBuf>,
    roster: Spanned<PathBuf>,
    catalogue: Spanned<PathBuf>,
    contracts: Spanned<PathBuf>,
    state: Spanned<PathBuf>,
    listen: Option<Spanned<String>>,
    http: Option<Spanned<String>>,
    #[serde(default)]
    profile: Profile,
    limits: Option<Spanned<Limits>>,
    ledger: Option<LedgerFile>,
    #[serde(default)]
    table: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerFile {
    policy: Spanned<PathBuf>,
    witness: Spanned<PathBuf>,
    validated: Spanned<PathBuf>,
    folder: Option<Spanned<PathBuf>>,
    handover: Option<Spanned<PathBuf>>,
    #[serde(default)]
    after: Vec<Spanned<PathBuf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: Spanned<String>,
    path: Spanned<PathBuf>,
    format: Option<Format>,
    null: Option<Spanned<String>>,
    #[serde(default)]
    undeclared_columns: Undeclared,
}

type At<T> = Result<T, (Range<usize>, String)>;

impl File {
    fn check(self, base: &Path) -> At<Config> {
        let limits = self.limits.as_ref().map(|l| *l.get_ref()).unwrap_or_default();
        if let Some(at) = self.limits.as_ref().map(Spanned::span) {
            limits.check().map_err(|what| (at, what))?;
        }
        if self.node.get_ref().is_empty() {
            return Err((self.node.span(), "`node` is empty; give this node's name in the roster".into()));
        }
        let mut lines = HashMap::new();
        let schemas = [self.node.get_ref().as_str(), "public"];
        let mut tables = Vec::with_capacity(self.table.len());
        for table in self.table {
            let at = table.name.span();
            let name = table.name.get_ref().clone();
            match name.split_once('.') {
                Some((schema, rest)) if schemas.contains(&schema) && !rest.is_empty() => {}
                Some((schema, rest)) if !rest.is_empty() => {
                    let what =
                        format!("the table `{name}` is of the schema `{schema}`; this node holds `public` and its own, `{}`", schemas[0]);
                    return Err((at, what));
                }
                _ => return Err((at, format!("`{name}` is not `schema.table`, such as `{}.trips` or `public.zones`", schemas[0]))),
            }
            if lines.insert(name, ()).is_some() {
                return Err((at, format!("the table `{}` is given twice; remove one", table.name.get_ref())));
            }
            tables.push(table.check(base)?);
        }
        let address = |text: Option<Spanned<String>>, field: &str| match text {
            None => Ok(None),
            Some(text) => match text.get_ref().parse::<SocketAddr>() {
                Ok(address) => Ok(Some(address)),
                Err(_) => {
                    let what = format!("`{field}` is not an address and a port, such as \"127.0.0.1:7101\" or \"[::]:7101\"");
                    Err((text.span(), what))
                }
            },
        };
        let state = resolve(base, &self.state, "state")?;
        let ledger = self.ledger.map(|file| {
            let folder = file.folder.map_or_else(|| Ok(state.join("ledger")), |folder| resolve(base, &folder, "folder"))?;
            let at = file.policy.span();
            let [policy, witness, validated] = [("policy", file.policy), ("witness", file.witness), ("validated", file.validated)]
                .map(|(field, path)| resolve(base, &path, field));
            let handover = file.handover.as_ref().map(|handover| resolve(base, handover, "handover")).transpose()?;
            let after = file.after.iter().map(|folder| resolve(base, folder, "after")).collect::<At<_>>()?;
            let before = Before::of(handover, after).map_err(|what| (at, what.to_owned()))?;
            Ok(LedgerConfig { before, policy: policy?, witness: witness?, validated: validated?, folder })
        });
        Ok(Config {
            identity: resolve(base, &self.identity, "identity")?,
            roster: resolve(base, &self.roster, "roster")?,
            catalogue: resolve(base, &self.catalogue, "catalogue")?,
            contracts: resolve(base, &self.contracts, "contracts")?,
            state,
            node: self.node.into_inner(),
            listen: address(self.listen, "listen")?,
            http: address(self.http, "http")?,
            profile: self.profile,
            limits,
            ledger: ledger.transpose()?,
            tables,
        })
    }
}

impl Table {
    fn check(self, base: &Path) -> At<TableFile> {
        let path = resolve(base, &self.path, "path")?;
        let shown = self.path.get_ref().display().to_string();
        let format = match self.format.or_else(|| Format::of(&shown)) {
            Some(format) => format,
            None => {
                let what = format!("the extension of `{shown}` says nothing of its form; add format = \"csv\", \"csv.gz\" or \"parquet\"");
                return Err((self.path.span(), what));
            }
        };
        if let (Some(null), Format::Parquet) = (&self.null, format) {
            return Err((null.span(), "`null` is for CSV; Parquet has NULLs of its own: remove the line".into()));
        }
        let name = self.name.into_inner();
        Ok(TableFile { name, path, shown, format, null: self.null.map(Spanned::into_inner), undeclared_columns: self.undeclared_columns })
    }
}

impl Format {
    fn of(path: &str) -> Option<Self> {
        let path = path.to_ascii_lowercase();
        match () {
            () if path.ends_with(".csv.gz") => Some(Self::CsvGz),
            () if path.ends_with(".csv") => Some(Self::Csv),
            () if path.ends_with(".parquet") => Some(Self::Parquet),
            () => None,
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), String> {
        let bounds = [
            ("max_rows", self.max_rows, 1, 1 << 40),
            ("memory_mb", self.memory_mb, 16, 1 << 30),
            ("joint_rows", self.joint_rows, 1, 1 << 40),
            ("wire_mb", self.wire_mb, 1, 1 << 30),
            ("jobs", self.jobs as u64, 1, 256),
            ("job_deadline_s", self.job_deadline_s, 1, 7 * 86_400),
            ("peer_timeout_s", self.peer_timeout_s, 1, 86_400),
        ];
        match bounds.iter().find(|(_, value, low, high)| value < low || value > high) {
            None => Ok(()),
            Some((name, value, low, high)) => Err(format!("[limits] {name} = {value} must be from {low} to {high}")),
        }
    }
}

fn resolve(base: &Path, path: &Spanned<PathBuf>, field: &str) -> At<PathBuf> {
    match path.get_ref().as_os_str().is_empty() {
        true => Err((path.span(), format!("`{field}` is empty; give a path, relative to the folder of this file"))),
        false => Ok(base.join(path.get_ref())),
    }
}

/// What the parser says, on one line.
fn describe(error: &toml::de::Error) -> String {
    error.message().lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
