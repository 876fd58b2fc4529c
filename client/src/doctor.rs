//! `tacit doctor`: what is wrong with a node before it starts, or with a planner's way to the city, and how to mend it.

use crate::client::Client;
use crate::config::Config;
use crate::error::Error;
use crate::http::Api;
use crate::pooled::public_tables;
use crate::render::{self, Table};
use ledger::bytes::Hash;
use ledger::key::KeyKind;
use ledger::policy::Window;
use mpc_core::file;
use mpc_core::identity::{Identity, PublicKey};
use mpc_core::roster::{Role, Roster};
use party::contracts::{Contracts, ContractsError};
use party::doctor::{Level, foreign_key, mend_key};
use query::catalog::Catalog;
use query::citylog;
use query::message::Query;
use query::message::job::{CityStatus, LedgerStatus};
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How it is.
    pub outcome: Outcome,
    /// In words.
    pub what: String,
    /// How to mend it; empty if nothing is to be done.
    pub fix: String,
}

/// How a checked thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// In order.
    Fine,
    /// It works, but not as it should.
    Warning,
    /// It does not work.
    Broken,
}

impl Finding {
    fn fine(check: &str, what: impl Into<String>) -> Self {
        Self { check: check.into(), outcome: Outcome::Fine, what: what.into(), fix: String::new() }
    }

    fn warning(check: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.into(), outcome: Outcome::Warning, what: what.into(), fix: fix.into() }
    }

    fn broken(check: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.into(), outcome: Outcome::Broken, what: what.into(), fix: fix.into() }
    }
}

/// What a configuration file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Party,
    Coordinator,
    Planner,
}

/// Looks at everything the configuration file `path` needs to work.
///
/// # Errors
/// The file cannot be read at all.
pub async fn examine(path: &Path) -> Result<Vec<Finding>, Error> {
    match kind(path)? {
        Kind::Planner => Ok(planner(path).await),
        Kind::Coordinator => Ok(coordinator(path).await),
        Kind::Party => Ok(party(path).await),
    }
}

/// Findings as a table, then how to mend what is not in order.
pub fn report(findings: &[Finding]) -> String {
    let mut table = Table::new(["", "check", "finding"]);
    for f in findings {
        let mark = match f.outcome {
            Outcome::Fine => "ok",
            Outcome::Warning => "warning",
            Outcome::Broken => "FAILED",
        };
        let what = f.what.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        table.push([mark, &f.check, &what]);
    }
    let mut text = table.aligned();
    for f in findings.iter().filter(|f| !f.fix.is_empty()) {
        write!(text, "\n{}: {}", f.check, render::plain(&f.fix)).ok();
    }
    let broken = findings.iter().filter(|f| f.outcome == Outcome::Broken).count();
    let verdict = match broken {
        0 => "Everything that was checked works.".into(),
        n => format!("{} of {} checks failed.", n, findings.len()),
    };
    let gap = if findings.iter().any(|f| !f.fix.is_empty()) { "\n" } else { "" };
    format!("{text}{gap}\n{verdict}\n")
}

/// By its fields; where these leave it open, by what the roster says of its node.
fn kind(path: &Path) -> Result<Kind, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let wanted = match by_name(path) {
            Kind::Planner => file::Kind::Planner,
            Kind::Coordinator => file::Kind::Coordinator,
            Kind::Party => file::Kind::Party,
        };
        Error::config(format!("{}: {}", path.display(), file::unreadable(&e, wanted)))
    })?;
    let Ok(file) = text.parse::<toml::Table>() else {
        // whoever parses it for good names the line
        return Ok(by_name(path));
    };
    if file.contains_key("planner") {
        return Ok(Kind::Planner);
    }
    let field = |name: &str| file.get(name).and_then(toml::Value::as_str);
    let role = field("roster").zip(field("node")).and_then(|(roster, node)| {
        let roster = Roster::load(path.parent().unwrap_or(Path::new("")).join(roster)).ok()?;
        roster.node(node).map(|n| n.role)
    });
    Ok(match role {
        Some(Role::Coordinator) => Kind::Coordinator,
        Some(Role::Party) => Kind::Party,
        None => by_name(path),
    })
}

fn by_name(path: &Path) -> Kind {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match () {
        () if name.contains("planner") => Kind::Planner,
        () if name.contains("coordinator") => Kind::Coordinator,
        () => Kind::Party,
    }
}

async fn planner(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(e) => {
            return vec![Finding::broken("configuration", e.to_string(), RECONFIGURE)];
        }
    };
    findings.push(Finding::fine("configuration", path.display().to_string()));
    let (roster, catalog) = shared_files(&config.roster, &config.catalogue, &mut findings);
    let known = roster.as_ref().map(|roster| roster.planner(&config.planner).map(|p| p.key));
    findings.push(key(&config.identity, &config.planner, known.flatten(), roster.as_ref(), "[[planner]]"));
    if let Some(catalog) = &catalog {
        findings.push(match public_tables(&config, catalog) {
            Ok(_) => Finding::fine("public tables", format!("{} as the catalogue pins them", render::plural(config.tables.len(), "table"))),
            Err(e) => Finding::broken(
                "public tables",
                e.to_string(),
                "name each public table's file in a [[table]], and get the file the catalogue pins",
            ),
        });
    }
    if let (Some(folder), Some(roster), Some(catalog)) = (&config.contracts, &roster, &catalog) {
        findings.push(match Contracts::look(folder, None, roster, catalog) {
            Ok(summary) => Finding::fine("contracts", format!("{} stand, hash {}", summary.standing, summary.hash.short())),
            Err(ContractsError::Refused(files)) => {
                let what = format!("questions go by the others, without {}", files.join("; "));
                Finding::warning("contracts", what, "get these files anew from their agencies, or take them away")
            }
            Err(e) => Finding::broken("contracts", e.to_string(), "get the city's contracts, the same files as at every node"),
        });
    }
    if findings.iter().any(|f| f.outcome == Outcome::Broken) {
        findings.push(Finding::warning("coordinator", "not asked", "mend the above first"));
        return findings;
    }
    match Client::open(config) {
        Ok(client) => match client.status().await {
            Ok(status) => {
                let difference = client.catalog_difference().await;
                city(&status, client.roster(), client.catalog(), difference, &mut findings);
            }
            Err(e) => findings.push(unreachable(&e)),
        },
        Err(e) => findings.push(Finding::broken("coordinator", e.to_string(), "correct the address")),
    }
    findings
}

fn unreachable(error: &Error) -> Finding {
    let fix =
        "start it (`tacit coordinator --config …`), or correct `api` of the coordinator in roster.toml; a firewall must let TCP through";
    let what = match error {
        // what to do is said below
        Error::Connection { at, what } => format!("{at}: {}", what.split(';').next().unwrap_or_default()),
        other => other.to_string(),
    };
    Finding::broken("coordinator", what, fix)
}

/// How the city's log is: whether it goes on, how far it is, and who does not cosign.
fn of_the_log(log: &LedgerStatus) -> Vec<Finding> {
    let check = "ledger";
    let entries = format!("{} entries", log.size);
    let mut findings = vec![match (&log.trouble, log.published, log.age) {
        (Some(trouble), ..) => {
            Finding::broken(check, format!("`{}` does not go on: {trouble}", log.origin), "see docs/ledger.md, When things go wrong")
        }
        (None, Some(published), Some(age)) if published == log.size && age <= Window::FRESH => {
            Finding::fine(check, format!("`{}`: {entries}, cosigned by a quorum of {} {age} s ago", log.origin, log.quorum))
        }
        (None, published, _) => {
            let what = format!("`{}`: of {entries}, {} are cosigned by a quorum of {} now", log.origin, published.unwrap_or(0), log.quorum);
            Finding::warning(check, what, "start the agencies that are missing; the log goes on once a quorum is there")
        }
    }];
    let silent = log.agencies.iter().filter_map(|agency| agency.trouble.as_ref().map(|trouble| (agency, trouble)));
    findings.extend(silent.map(|(agency, trouble)| {
        let fix = format!("see the log and /healthz of `{}`, and docs/ledger.md", agency.name);
        Finding::warning(check, format!("`{}` does not cosign: {trouble}", agency.name), fix)
    }));
    findings
}

/// What the coordinator says of itself and of the parties.
fn city(status: &CityStatus, roster: &Roster, catalog: &Catalog, difference: Option<String>, findings: &mut Vec<Finding>) {
    let jobs = format!("{} queued, {} running", render::plural(status.queued as usize, "job"), status.running);
    findings.push(Finding::fine("coordinator", format!("version {}, {jobs}", status.version)));
    if status.version != env!("CARGO_PKG_VERSION") {
        let what = format!("it runs {}, this is {}", status.version, env!("CARGO_PKG_VERSION"));
        findings.push(Finding::warning("version", what, "install the same release everywhere"));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let skew = Duration::from_millis(status.now).abs_diff(now);
    findings.push(match skew.as_secs() {
        0..=5 => Finding::fine("clock", format!("within {} of the coordinator's", render::duration(skew.max(Duration::from_millis(1))))),
        s if s <= Query::MAX_SKEW => {
            Finding::warning("clock", format!("{s} s away from the coordinator's"), "run an NTP client here and there")
        }
        s => Finding::broken(
            "clock",
            format!("{s} s away from the coordinator's; queries are refused beyond {} s", Query::MAX_SKEW),
            "run an NTP client here and there",
        ),
    });
    let mut same = |what: &str, theirs: Hash, ours: Hash, difference: Option<String>| {
        findings.push(match theirs == ours {
            true => Finding::fine(&format!("coordinator's {what}"), "the same as here"),
            false => {
                let which = difference.map(|which| format!(": {which}")).unwrap_or_default();
                let differs = format!("{} there, {} here{which}", theirs.short(), ours.short());
                Finding::broken(
                    &format!("coordinator's {what}"),
                    differs,
                    format!("agree on one {what}.toml and put it at every node and planner"),
                )
            }
        });
    };
    same("roster", status.roster_hash, roster.hash().into(), None);
    same("catalogue", status.catalog_hash, catalog.hash().into(), difference);
    if let Some(log) = &status.ledger {
        findings.extend(of_the_log(log));
    }
    for party in &status.parties {
        let check = format!("party {}", party.name);
        let version = party.version.as_deref().unwrap_or("unknown");
        findings.push(match (party.connected, &party.trouble) {
            (true, None) => Finding::fine(&check, format!("connected to the coordinator, version {version}")),
            (_, Some(trouble)) => {
                Finding::broken(&check, trouble.clone(), "put the same roster.toml and catalogue.toml at both and restart it")
            }
            (false, None) => {
                let fix = format!(
                    "start it (`tacit party --config …`), or run `tacit doctor` on its configuration at {}; queries wait for it",
                    party.name
                );
                Finding::broken(&check, "not connected to the coordinator", fix)
            }
        });
    }
}

async fn coordinator(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = match coordinator::Config::load(path) {
        Ok(config) => config,
        Err(e) => {
            return vec![Finding::broken("configuration", e.to_string(), RECONFIGURE)];
        }
    };
    findings.push(Finding::fine("configuration", path.display().to_string()));
    let (roster, catalog) = shared_files(&config.roster, &config.catalogue, &mut findings);
    let node = roster.as_ref().and_then(|roster| roster.node(&config.node)).cloned();
    findings.push(key(&config.identity, &config.node, node.as_ref().map(|n| n.key), roster.as_ref(), "[[node]]"));
    findings.push(writable("state", &config.state));
    if let (Some(log), Some(roster)) = (&config.ledger, &roster) {
        let looked = citylog::beginning(&log.policy, roster, log.before.as_ref()).and_then(|beginning| {
            let signer = citylog::signer(beginning.log().name(), KeyKind::Note, &log.key)?;
            let (origin, file) = (beginning.log().name(), log.key.display());
            if signer.key() == beginning.log() {
                Ok(origin.to_owned())
            } else {
                Err(format!("the key in {file} is not that of `{origin}`"))
            }
        });
        findings.push(match looked {
            Ok(origin) => Finding::fine("ledger", format!("sequences `{origin}`")),
            Err(what) => {
                Finding::broken("ledger", what, "get the city's city.policy, the same file at every node, and let `key` name the log's key")
            }
        });
    }
    let (Some(roster), Some(catalog), Some(node)) = (roster, catalog, node) else { return findings };
    if node.role != Role::Coordinator {
        let fix = "`node` must be the name of the coordinator in roster.toml";
        findings.push(Finding::broken("role", format!("the roster has `{}` as a party", node.name), fix));
        return findings;
    }
    // A coordinator that runs answers for itself and has its ports; one that does not must find them free.
    let running = match node.api.as_deref().map(Api::new) {
        Some(Ok(api)) => api.get::<CityStatus>("/v1/status").await.ok().and_then(Result::ok),
        _ => None,
    };
    match running {
        // It has the file that was read here.
        Some(status) => city(&status, &roster, &catalog, None, &mut findings),
        None => {
            let quic = config.listen.or_else(|| node.resolve().ok());
            let api = node.api.as_deref().and_then(|api| api.strip_prefix("http://")).map(|rest| rest.trim_end_matches('/'));
            let http = config.http.or_else(|| std::net::ToSocketAddrs::to_socket_addrs(api?).ok()?.next());
            findings.push(free("QUIC port (UDP)", quic, "listen", |at| UdpSocket::bind(at).map(drop)));
            findings.push(free("HTTP port (TCP)", http, "http", |at| TcpListener::bind(at).map(drop)));
        }
    }
    findings
}

async fn party(path: &Path) -> Vec<Finding> {
    let config = match party::Config::load(path) {
        Ok(config) => config,
        Err(e) => return vec![Finding::broken("configuration", e.to_string(), RECONFIGURE)],
    };
    let mut findings = vec![Finding::fine("configuration", path.display().to_string())];
    findings.extend(party::doctor::check(&config).await.into_iter().map(|f| {
        let outcome = match f.level {
            Level::Ok => Outcome::Fine,
            Level::Warn => Outcome::Warning,
            Level::Fail => Outcome::Broken,
        };
        Finding { check: f.check, outcome, what: f.what, fix: f.fix }
    }));
    findings
}

const RECONFIGURE: &str = "correct the line it names; `tacit init --help` makes a fresh one";

/// Roster and catalogue, with what there is to say of them.
fn shared_files(roster: &Path, catalogue: &Path, findings: &mut Vec<Finding>) -> (Option<Roster>, Option<Catalog>) {
    let roster = Roster::load(roster);
    findings.push(match &roster {
        Ok(roster) => Finding::fine("roster", format!("{}, hash {}", roster.city(), Hash(roster.hash()).short())),
        Err(e) => Finding::broken("roster", e.to_string(), "get the city's roster.toml, the same file for every node"),
    });
    let catalog = Catalog::load(catalogue);
    findings.push(match &catalog {
        Ok(catalog) => {
            let tables = render::plural(catalog.tables().len(), "table");
            Finding::fine("catalogue", format!("{tables}, hash {}", Hash(catalog.hash()).short()))
        }
        Err(e) => Finding::broken("catalogue", e.to_string(), "get the city's catalogue.toml, the same file for every node"),
    });
    (roster.ok(), catalog.ok())
}

fn key(file: &Path, name: &str, known: Option<PublicKey>, roster: Option<&Roster>, section: &str) -> Finding {
    let identity = match Identity::load(file) {
        Ok(identity) => identity,
        Err(e) => {
            return Finding::broken("key", e.to_string(), mend_key(&e));
        }
    };
    let public = identity.public();
    match known {
        Some(key) if key == public => Finding::fine("key", format!("{public} is `{name}` in the roster")),
        Some(_) => {
            let (what, fix) = roster.map(|roster| foreign_key(roster, name, &public)).unwrap_or_default();
            Finding::broken("key", what, fix)
        }
        None if roster.is_some() => Finding::broken(
            "key",
            format!("the roster has no `{name}`"),
            format!("have a {section} with name = \"{name}\" and key = \"{public}\" put into roster.toml at every node"),
        ),
        None => Finding::warning("key", format!("{public}; without a roster it cannot be compared"), "mend the roster first"),
    }
}

fn writable(check: &str, folder: &Path) -> Finding {
    let probe = folder.join(".tacit-doctor");
    let existed = folder.exists();
    let tried = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&probe, b"")).and_then(|()| std::fs::remove_file(&probe));
    if !existed {
        std::fs::remove_dir(folder).ok();
    }
    match tried {
        Ok(()) => Finding::fine(check, format!("{} can be written", folder.display())),
        Err(e) => Finding::broken(check, format!("{}: {e}", folder.display()), "give the node's user the right to write there"),
    }
}

fn free(check: &str, at: Option<SocketAddr>, field: &str, bind: impl Fn(SocketAddr) -> std::io::Result<()>) -> Finding {
    let Some(at) = at else {
        return Finding::broken(check, "its address does not resolve", format!("correct it in roster.toml, or set `{field}`"));
    };
    match bind(at) {
        Ok(()) => Finding::fine(check, format!("{at} is free")),
        Err(e) => {
            let fix = format!("another program has it, or this machine has no such address: change the roster, or set `{field}`");
            Finding::broken(check, format!("{at}: {e}"), fix)
        }
    }
}
