//! `tacit doctor` for a party: what is wrong before the node starts, and how to mend it. Everything is tried for real: the data are
//! loaded, the ports bound, every other node greeted with the handshake it will get later.

use crate::attempts::{Attempts, AttemptsError};
use crate::config::{Config, LedgerConfig};
use crate::contracts::Contracts;
use crate::ledger::{self, Looked};
use crate::node::{self, now};
use crate::source::Sources;
use ::ledger::bytes::Hash;
use ::ledger::code::next_step;
use mpc_core::identity::{Identity, IdentityError, PublicKey};
use mpc_core::roster::{Role, Roster};
use mpc_quic::{DialError, Endpoint};
use query::catalog::Catalog;
use query::message::Query;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: `key`, `data`, `peer energy`.
    pub check: String,
    /// How it is.
    pub level: Level,
    /// In words.
    pub what: String,
    /// How to mend it; empty if nothing is to be done.
    pub fix: String,
}

/// How a checked thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// In order.
    Ok,
    /// It works, but not as it should, or could not be seen from here.
    Warn,
    /// It does not work.
    Fail,
}

/// Looks at everything a party with this configuration needs. A node that runs from it is not disturbed.
pub async fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let roster = findings.roster(config);
    let catalog = findings.catalog(config);
    let identity = findings.key(config, roster.as_ref());
    let running = findings.state(config);
    if let (Some(roster), Some(catalog)) = (&roster, &catalog) {
        findings.contracts(config, roster, catalog);
    }
    if let (Some(roster), Some(log)) = (&roster, &config.ledger) {
        findings.ledger(&config.node, log, roster);
    }
    if let (Some(roster), Some(catalog)) = (&roster, &catalog) {
        findings.same_catalogue(roster, catalog).await;
    }
    if let Some(catalog) = catalog {
        findings.data(config, catalog).await;
    }
    if let Some(roster) = roster {
        let listen = node::listen_address(config, &roster).await;
        if running {
            findings.running(config).await;
        } else {
            findings.ports(config, listen);
            match identity {
                Some(identity) => findings.reach(config, identity, &roster).await,
                None => findings.warn("peers", "not greeted: without its key nobody knows this node", "mend the key first"),
            }
        }
        findings.clock(&roster).await;
    }
    findings.0
}

/// What to do about a key file that cannot be used.
pub fn mend_key(error: &IdentityError) -> String {
    let make = "`tacit key new FILE` makes a new key, whose public half then goes into roster.toml at every node";
    match error {
        IdentityError::Permissions { path, .. } => {
            format!("run `chmod 600 {}`; if somebody may have read it, replace it: {make}", path.display())
        }
        IdentityError::Io { error, .. } if error.kind() == std::io::ErrorKind::NotFound => {
            format!("let `identity` name the key file; if there is none yet, {make}")
        }
        IdentityError::Io { .. } => "let the user this runs as read the key file, or let `identity` name another".into(),
        _ => format!("let `identity` name the private key (or restore it from a backup); if it is lost, {make}"),
    }
}

/// What is wrong with a key that is not the one the roster has for `name`, and what to do.
pub fn foreign_key(roster: &Roster, name: &str, public: &PublicKey) -> (String, String) {
    let node = roster.node_by_key(public).map(|node| &node.name);
    match node.or(roster.planner_by_key(public).map(|planner| &planner.name)) {
        Some(owner) => (
            format!("this is the key of `{owner}`, not of `{name}`"),
            format!("let `identity` name the private key of `{name}`; each key belongs on the machine of its owner alone"),
        ),
        None => (
            format!("the roster has another key for `{name}`"),
            format!("let `identity` name the private key that belongs to it, or have roster.toml say key = \"{public}\" at every node"),
        ),
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, check: &str, level: Level, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding { check: check.into(), level, what: what.into(), fix: fix.into() });
    }

    fn ok(&mut self, check: &str, what: impl Into<String>) {
        self.add(check, Level::Ok, what, "");
    }

    fn warn(&mut self, check: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Level::Warn, what, fix);
    }

    fn fail(&mut self, check: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Level::Fail, what, fix);
    }

    fn roster(&mut self, config: &Config) -> Option<Roster> {
        match Roster::load(&config.roster) {
            Ok(roster) => {
                self.ok("roster", format!("{}, hash {}", roster.city(), Hash(roster.hash()).short()));
                Some(roster)
            }
            Err(error) => {
                self.fail("roster", error.to_string(), "get the city's roster.toml: it is the same file at every node");
                None
            }
        }
    }

    fn catalog(&mut self, config: &Config) -> Option<Catalog> {
        match Catalog::load(&config.catalogue) {
            Ok(catalog) => {
                self.ok("catalogue", format!("{} tables, hash {}", catalog.tables().len(), Hash(catalog.hash()).short()));
                Some(catalog)
            }
            Err(error) => {
                self.fail("catalogue", error.to_string(), "get the city's catalogue.toml: it is the same file at every node");
                None
            }
        }
    }

    fn key(&mut self, config: &Config, roster: Option<&Roster>) -> Option<Identity> {
        let identity = match Identity::load(&config.identity) {
            Ok(identity) => identity,
            Err(error) => {
                self.fail("key", error.to_string(), mend_key(&error));
                return None;
            }
        };
        let Some(roster) = roster else {
            self.warn("key", "without a roster it cannot be compared", "mend the roster first");
            return None;
        };
        let (name, public) = (&config.node, identity.public());
        match roster.node(name) {
            Some(node) if node.role != Role::Party => {
                self.fail("key", format!("the roster has `{name}` as the coordinator"), "set `node` to the name of a party in roster.toml");
            }
            Some(node) if node.key == public => {
                self.ok("key", format!("{public} is `{name}` in the roster"));
                return Some(identity);
            }
            Some(_) => {
                let (what, fix) = foreign_key(roster, name, &public);
                self.fail("key", what, fix);
            }
            None => {
                let fix = format!("correct `node`, or have a [[node]] with name = \"{name}\" and key = \"{public}\" put into roster.toml");
                self.fail("key", format!("the roster has no node `{name}`"), fix);
            }
        }
        None
    }

    /// Whether a node runs from this configuration.
    fn state(&mut self, config: &Config) -> bool {
        match Attempts::open(&config.state, now()) {
            Ok(_) => self.ok("state", format!("{} can be written", config.state.display())),
            Err(AttemptsError::InUse(folder)) => {
                self.ok("state", format!("{} is in use: the node is running", folder.display()));
                return true;
            }
            Err(error) => self.fail("state", error.to_string(), "give the node a folder of its own that it may write to"),
        }
        false
    }

    /// The folder as a node would take it at its start.
    fn contracts(&mut self, config: &Config, roster: &Roster, catalog: &Catalog) {
        match Contracts::look(&config.contracts, Some(&config.node), roster, catalog) {
            Ok(summary) if summary.standing == 0 => {
                let fix = "have every agency put its signed contracts there, the same files at every node; docs/contracts.md says how";
                self.warn("contracts", format!("none stands in {}: nothing may be asked", config.contracts.display()), fix);
            }
            Ok(summary) => {
                let revoked = if summary.revoked == 0 { String::new() } else { format!(" ({} revoked)", summary.revoked) };
                self.ok("contracts", format!("{} stand{revoked}, hash {}", summary.standing, summary.hash.short()));
            }
            Err(error) => {
                let fix = "correct or remove the files it names, at every node; `tacit contract check` says more of each";
                self.fail("contracts", error.to_string(), fix);
            }
        }
    }

    /// Whether the node may cosign, as its keys, its folder and what lies beside it say.
    fn ledger(&mut self, node: &str, log: &LedgerConfig, roster: &Roster) {
        match ledger::look(node, log, roster) {
            Ok(Looked { halted: Some(why), .. }) => self.fail("ledger", format!("this node cosigns nothing: {why}"), why.fix),
            Ok(Looked { in_doubt: Some(why), .. }) => self.warn("ledger", why.to_string(), why.fix),
            Ok(Looked { origin, .. }) => self.ok("ledger", format!("witness and mirror of `{origin}`")),
            Err(what) => self.fail(
                "ledger",
                what,
                "get the city's city.policy, the same file at every node, and let `witness` and `validated` name this node's keys for it",
            ),
        }
    }

    async fn data(&mut self, config: &Config, catalog: Catalog) {
        let loading = config.clone();
        let loaded = tokio::task::spawn_blocking(move || Sources::load(&loading, &catalog).map(|s| s.summaries().to_vec())).await;
        match loaded {
            Ok(Ok(tables)) => {
                for table in tables {
                    self.ok("data", format!("{}: {} rows, as declared", table.name, table.rows));
                    if !table.ignored.is_empty() {
                        let what =
                            format!("{}: columns the catalogue does not declare are not loaded: {}", table.name, table.ignored.join(", "));
                        self.warn("data", what, "declare them in the catalogue if they are to be asked about");
                    }
                }
            }
            Ok(Err(error)) => {
                let fix = "correct the data, or have what the catalogue declares corrected at every node";
                error.findings.into_iter().for_each(|finding| self.fail("data", finding.what, fix));
                if error.further > 0 {
                    self.fail("data", format!("{} more findings are not listed", error.further), "mend those listed and look again");
                }
            }
            Err(_) => self.fail("data", "the check of the data ended in a fault of this program", "please report it"),
        }
    }

    fn ports(&mut self, config: &Config, listen: Result<SocketAddr, node::NodeError>) {
        match listen.map(|addr| (addr, std::net::UdpSocket::bind(addr))) {
            Ok((addr, Ok(_))) => self.ok("QUIC port (UDP)", format!("{addr} is free")),
            Ok((addr, Err(error))) => {
                let fix = "end what uses it, or set `listen` to an address of this machine (and the roster to where peers reach it)";
                self.fail("QUIC port (UDP)", format!("{addr}: {error}"), fix);
            }
            Err(error) => self.fail("QUIC port (UDP)", error.to_string(), "correct the address"),
        }
        match config.http.map(|addr| (addr, std::net::TcpListener::bind(addr))) {
            None => self.warn("health port (TCP)", "none: nobody can see how the node is", "set `http`, such as http = \"127.0.0.1:7201\""),
            Some((addr, Ok(_))) => self.ok("health port (TCP)", format!("{addr} is free")),
            Some((addr, Err(error))) => self.fail("health port (TCP)", format!("{addr}: {error}"), "end what uses it, or change `http`"),
        }
    }

    /// Greets every other node as this one will.
    async fn reach(&mut self, config: &Config, identity: Identity, roster: &Roster) {
        let line = match Endpoint::dialler(Arc::new(identity), Arc::new(roster.clone()), node::profile(config.profile)) {
            Ok(line) => line,
            Err(error) => return self.fail("peers", error.to_string(), "see that this machine has a network"),
        };
        for other in roster.nodes().iter().filter(|other| other.name != config.node) {
            let check = match other.role {
                Role::Party => format!("peer {}", other.name),
                Role::Coordinator => "coordinator".to_owned(),
            };
            match line.connect(&other.name).await {
                Ok(_) => self.ok(&check, format!("answers at {} with its key and this roster", other.addr)),
                // Perhaps it has not been started yet: that is not for this node to mend.
                Err(error @ (DialError::Silent { .. } | DialError::Lost { .. })) => {
                    self.warn(&check, error.to_string(), "start it, and let UDP through between the two; queries wait for it");
                }
                Err(error) => self.fail(&check, error.to_string(), "compare roster and keys with the other node's operator"),
            }
        }
        line.close().await;
    }

    /// A node that runs says itself how it is; greeting others under its key would disturb it.
    async fn running(&mut self, config: &Config) {
        let Some(http) = config.http else {
            return self.warn("node", "it runs, and has no `http` to ask how it is", "set `http`, such as http = \"127.0.0.1:7201\"");
        };
        let health = get(&http.to_string(), "/healthz").await.ok();
        let health = health.and_then(|answer| serde_json::from_str::<serde_json::Value>(answer.split_once("\r\n\r\n")?.1).ok());
        let Some(health) = health else {
            return self.fail("node", format!("it runs, but does not answer at http://{http}/healthz"), "look at its log, or restart it");
        };
        for trouble in health["contracts"]["trouble"].as_array().into_iter().flatten().filter_map(|trouble| trouble.as_str()) {
            let fix = "correct or remove the file at every node; until then nothing new comes into force there";
            self.fail("contracts", format!("the running node refuses {trouble}"), fix);
        }
        // What is on the disk was said already.
        if let Some(trouble) =
            health["ledger"]["trouble"].as_str().filter(|_| self.0.iter().all(|f| f.check != "ledger" || f.level < Level::Fail))
        {
            let code = trouble.split_once(": ").map_or(trouble, |(code, _)| code);
            self.fail("ledger", format!("the running node cosigns nothing: {trouble}"), next_step(code));
        }
        for (name, link) in health["connected"].as_object().into_iter().flatten() {
            let check = format!("connection to {name}");
            match link["connected"].as_bool() {
                Some(true) => self.ok(&check, "the running node has it"),
                _ => {
                    let why = link["trouble"].as_str().unwrap_or("not connected");
                    self.fail(&check, format!("the running node has none: {why}"), format!("run `tacit doctor` at {name} too"));
                }
            }
        }
    }

    /// Holds the catalogue against the coordinator's, which every node must have; says nothing if that cannot be seen from here.
    async fn same_catalogue(&mut self, roster: &Roster, catalog: &Catalog) {
        let Some(host) = api_host(roster) else { return };
        let Ok(answer) = get(host, "/v1/catalog").await else { return };
        let Some(Ok(theirs)) = answer.split_once("\r\n\r\n").map(|(_, text)| Catalog::parse(text)) else { return };
        match catalog.difference(&theirs) {
            None => self.ok("coordinator's catalogue", "the same"),
            Some(which) => {
                let what = format!("it is another than this node's: {which}");
                self.fail("coordinator's catalogue", what, "agree on one catalogue.toml and put it at every node")
            }
        }
    }

    async fn clock(&mut self, roster: &Roster) {
        let api = roster.coordinator().api.as_deref().unwrap_or_default();
        let Some(host) = api_host(roster) else {
            return self.warn("clock", format!("not compared: {api} is not plain HTTP"), "see that an NTP client runs here");
        };
        let before = now();
        let theirs = get(host, "/v1/status").await.ok().and_then(|answer| date(&answer));
        let Some(theirs) = theirs else {
            let fix = "see that the coordinator runs and an NTP client runs here";
            return self.warn("clock", format!("not compared: the coordinator does not answer at {api}"), fix);
        };
        // Its answer has whole seconds and took a while.
        let apart = if theirs < before { before - theirs } else { theirs.saturating_sub(now()) }.saturating_sub(1);
        match apart {
            0..=5 => self.ok("clock", "within seconds of the coordinator's"),
            s if s <= Query::MAX_SKEW => {
                self.warn("clock", format!("{s} s away from the coordinator's"), "run an NTP client here and there")
            }
            s => {
                let what = format!("{s} s away from the coordinator's; queries are refused beyond {} s", Query::MAX_SKEW);
                self.fail("clock", what, "run an NTP client here and there");
            }
        }
    }
}

/// Where the coordinator answers planners, if that is plain HTTP.
fn api_host(roster: &Roster) -> Option<&str> {
    roster.coordinator().api.as_deref()?.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or(rest))
}

/// How long anything may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most that is read of an answer.
const ANSWER: u64 = 256 * 1024;

/// A plain HTTP answer, head and body.
async fn get(host: &str, path: &str) -> std::io::Result<String> {
    let host_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let ask = async {
        let mut stream = TcpStream::connect(&host_port).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(PATIENCE, ask).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

/// Unix seconds of an answer's `Date`, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(answer: &str) -> Option<u64> {
    let line = answer.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then_some(value.trim())
    })?;
    let words: Vec<&str> = line.split(' ').collect();
    let &[_, day, month, year, time, "GMT"] = words.as_slice() else { return None };
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let days = crate::source::days(year.parse().ok()?, month, day.parse().ok()?)?;
    let mut seconds = u64::try_from(days).ok()? * 86_400;
    for (part, unit) in time.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<u64>().ok().filter(|n| *n < 100)? * unit;
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        let answer = |date: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nDate: {date}\r\n\r\nDate: no");
        assert_eq!(date(&answer("Sun, 06 Nov 1994 08:49:37 GMT")), Some(784_111_777));
        for bad in ["", "yesterday", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 aa:49:37 GMT"] {
            assert_eq!(date(&answer(bad)), None, "{bad}");
        }
        assert_eq!(date("HTTP/1.1 200 OK\r\n\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT"), None);
    }
}
