//! What `tacit init` writes: keys, a roster, and for each node a folder with a commented configuration; with a public
//! table and an invented table per agency, and a contract for each of these, so that the city answers a first question before any real data
//! are there.

mod texts;

use crate::contract::standing::{allowed, signed, standing};
use crate::error::Error;
use crate::founding;
use ledger::bytes::Hash;
use ledger::contract::{Operation, PUBLIC_BENEFIT};
use mpc_core::identity::Identity;
use mpc_core::roster::{Node, Planner, Role, Roster};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use texts::{CATALOGUE, CATALOGUE_TABLE, COORDINATOR, EXAMPLES, PARTY, PLANNER, ROSTER, TABLES, ZONES};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NodeKind {
    /// Holds an agency's data and computes.
    Party,
    /// Schedules; sees no data.
    Coordinator,
    /// Asks.
    Planner,
}

/// Makes a whole city in `dir`, for one machine. What to do next is the returned text.
///
/// # Errors
/// A name cannot be used, or something is in the way; nothing is overwritten.
pub fn city(dir: &Path, city: &str, parties: &[String], planner: &str, base_port: u16) -> Result<String, Error> {
    let ports = Ports::from(base_port)?;
    let coordinator = "coordinator";
    let identities = parties.iter().map(String::as_str).chain([coordinator, planner]).map(|_| generate()).collect::<Result<Vec<_>, _>>()?;
    let mut nodes = Vec::new();
    for (at, (name, identity)) in parties.iter().zip(&identities).enumerate() {
        let addr = format!("127.0.0.1:{}", ports.party(at));
        nodes.push(Node { name: name.clone(), role: Role::Party, key: identity.public(), addr, api: None });
    }
    let [.., coordinator_key, planner_key] = identities.as_slice() else { return Err(Error::config("no parties are given")) };
    nodes.push(Node {
        name: coordinator.into(),
        role: Role::Coordinator,
        key: coordinator_key.public(),
        addr: format!("127.0.0.1:{}", ports.coordinator()),
        api: Some(format!("http://127.0.0.1:{}", ports.api())),
    });
    let planners = vec![Planner { name: planner.into(), key: planner_key.public() }];
    let roster = Roster::new(city.into(), nodes, planners).map_err(|e| Error::config(e.to_string()))?;

    let folder = Folder::new(dir)?;
    folder.write("roster.toml", &format!("{ROSTER}{}", roster.to_toml()))?;
    folder.write("public/zones.csv", ZONES)?;
    folder.write("catalogue.toml", &catalogue(parties))?;
    for (at, (name, identity)) in parties.iter().zip(&identities).enumerate() {
        folder.key(&format!("{name}/{name}.key"), identity)?;
        folder.write(&format!("{name}/data/example.csv"), EXAMPLES[at % EXAMPLES.len()])?;
        let (file, note) = signed(&standing(&format!("{name}.example"), example_columns()?, &roster, planner)?, identity)?;
        folder.write(&format!("contracts/{file}"), &note)?;
        folder.write(&format!("{name}/party.toml"), &party_toml(name, "..", &format!("127.0.0.1:{}", ports.health(at))))?;
    }
    folder.key("coordinator/coordinator.key", coordinator_key)?;
    folder.write("coordinator/coordinator.toml", &coordinator_toml(coordinator, ".."))?;
    folder.key(&format!("{planner}/{planner}.key"), planner_key)?;
    folder.write(&format!("{planner}/planner.toml"), &planner_toml(planner, ".."))?;
    let agencies: Vec<(&str, &Identity)> = parties.iter().map(String::as_str).zip(&identities).collect();
    founding::city(dir, city, coordinator, &agencies, (planner, planner_key))?;
    Ok(next_steps(dir, parties, planner))
}

/// Makes the key and the configuration of one node in `dir`. Its lines for the roster are the returned text.
///
/// # Errors
/// As [`city`].
pub fn node(dir: &Path, name: &str, kind: NodeKind, addr: Option<&str>, base_port: u16) -> Result<String, Error> {
    let ports = Ports::from(base_port)?;
    let identity = generate()?;
    check_name(name, kind, &identity)?;
    let folder = Folder::new(dir)?;
    folder.key(&format!("{name}.key"), &identity)?;
    let mut log = String::new();
    let (file, text, lines) = match kind {
        NodeKind::Party => {
            let addr = addr.map_or(format!("HOST:{}", ports.party(0)), ToOwned::to_owned);
            let (agency, entry) = founding::agency(dir, name, &identity)?;
            folder.write(&format!("{name}.entry"), &entry)?;
            log = format!("witness {name}/witness {}\nwitness {name}/validated {}\n", agency.witness, agency.validated);
            log += &format!("group {name} all {name}/witness {name}/validated\n");
            let lines = format!("[[node]]\nname = \"{name}\"\nrole = \"party\"\nkey = \"{}\"\naddr = \"{addr}\"\n", identity.public());
            ("party.toml", party_toml(name, ".", &format!("127.0.0.1:{}", ports.health(0))), lines)
        }
        NodeKind::Coordinator => {
            let addr = addr.map_or(format!("HOST:{}", ports.coordinator()), ToOwned::to_owned);
            let host = addr.rsplit_once(':').map_or(addr.as_str(), |(host, _)| host);
            let lines = format!(
                "[[node]]\nname = \"{name}\"\nrole = \"coordinator\"\nkey = \"{}\"\naddr = \"{addr}\"\napi = \"http://{host}:{}\"\n",
                identity.public(),
                ports.api()
            );
            // Its key is known by this name in the policy; a machine that has no address yet has its node's.
            let called = if host == "HOST" { name } else { host };
            log = format!("log {}\n", founding::log(dir, &format!("{called}/ledger"))?);
            ("coordinator.toml", coordinator_toml(name, "."), lines)
        }
        NodeKind::Planner => {
            let entry = query::citylog::member(name, name, &identity, None).map_err(|e| Error::config(e.to_string()))?;
            folder.write(&format!("{name}.entry"), &entry)?;
            let lines = format!("[[planner]]\nname = \"{name}\"\nkey = \"{}\"\n", identity.public());
            ("planner.toml", planner_toml(name, "."), lines)
        }
    };
    folder.write(file, &text)?;
    if kind != NodeKind::Coordinator {
        folder.make("contracts")?;
    }
    let path = dir.join(file);
    Ok(format!(
        "Made {} and {}; the key never leaves this machine.\n\n\
         Send these lines to whoever writes the city's roster.toml{}:\n\n{lines}\n\
         {}Then put the city's roster.toml, catalogue.toml, contracts and city.policy (the same files at every node) into {}, name\n\
         your tables in {}, and run\n\n    tacit doctor {}\n",
        dir.join(format!("{name}.key")).display(),
        path.display(),
        if lines.contains("HOST:") { " (HOST is where your peers reach this machine)" } else { "" },
        about_the_log(name, kind, &log),
        dir.display(),
        path.display(),
        path.display(),
    ))
}

/// What the contracts of the invented tables allow: amounts are added up and compared, zones are what they are added up by.
fn example_columns() -> Result<BTreeMap<String, BTreeSet<Operation>>, Error> {
    allowed(&[("*", "COUNT"), ("amount", "AVG COUNT CORR FILTER MAX MIN SUM VAR"), ("zone", "FILTER GROUP JOIN")])
}

/// The purpose that planners need not type.
pub(crate) fn purpose_line() -> String {
    format!("purpose = \"{PUBLIC_BENEFIT}\"\n")
}

/// What becomes of a node's part in the city's log.
fn about_the_log(name: &str, kind: NodeKind, lines: &str) -> String {
    let entry = match kind {
        NodeKind::Coordinator => String::new(),
        _ => format!("Send {name}.entry to the coordinator, for its folder `founding`.\n"),
    };
    match lines.is_empty() {
        true => format!("{entry}\n"),
        false => format!("{entry}Send these to whoever writes the city.policy (docs/ledger.md):\n\n{lines}\n"),
    }
}

/// Makes a private key in a new file.
///
/// # Errors
/// The file exists or cannot be written.
pub fn make_key(file: &Path) -> Result<Identity, Error> {
    let identity = generate()?;
    identity.save(file).map_err(|e| Error::config(e.to_string()))?;
    Ok(identity)
}

fn generate() -> Result<Identity, Error> {
    Identity::generate().map_err(|e| Error::internal(e.to_string()))
}

/// The roster knows which names are allowed; ask it with a roster around this one name.
fn check_name(name: &str, kind: NodeKind, identity: &Identity) -> Result<(), Error> {
    let (mut nodes, mut planners) = (Vec::new(), Vec::new());
    for at in 1..=Roster::PARTIES + 1 {
        let (role, api) = match at <= Roster::PARTIES {
            true => (Role::Party, None),
            false => (Role::Coordinator, Some("http://h".to_owned())),
        };
        nodes.push(Node { name: format!("other{at}"), role, key: generate()?.public(), addr: format!("h:{at}"), api });
    }
    match kind {
        NodeKind::Party => (nodes[0].name, nodes[0].key) = (name.into(), identity.public()),
        NodeKind::Coordinator => (nodes[3].name, nodes[3].key) = (name.into(), identity.public()),
        NodeKind::Planner => planners.push(Planner { name: name.into(), key: identity.public() }),
    }
    Roster::new("city".into(), nodes, planners).map(|_| ()).map_err(|e| Error::config(e.to_string()))
}

/// The ports of a city on one machine.
struct Ports(u16);

impl Ports {
    fn from(base: u16) -> Result<Self, Error> {
        match base.checked_add(110) {
            Some(_) if base > 0 => Ok(Self(base)),
            _ => Err(Error::config(format!("--base-port {base}: give a port from 1 to 65425; the city uses up to 110 beyond it"))),
        }
    }

    fn coordinator(&self) -> u16 {
        self.0
    }

    fn party(&self, at: usize) -> u16 {
        self.0 + 1 + (at as u16).min(50)
    }

    fn api(&self) -> u16 {
        self.0 + 80
    }

    fn health(&self, at: usize) -> u16 {
        self.0 + 101 + (at as u16).min(8)
    }
}

/// A new folder that only grows.
struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder must not be there, or be empty.
    fn new(root: &Path) -> Result<Self, Error> {
        let in_the_way = std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
        if in_the_way {
            return Err(Error::config(format!(
                "{} is not empty, and nothing is ever overwritten (a lost key cannot be had back); name another folder",
                root.display()
            )));
        }
        std::fs::create_dir_all(root).map_err(|e| Error::config(format!("{}: {e}", root.display())))?;
        Ok(Self { root: root.into() })
    }

    fn place(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.root.join(name);
        let parent = path.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(parent).map_err(|e| Error::config(format!("{}: {e}", parent.display())))?;
        Ok(path)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.place(name)?;
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| Error::config(format!("{}: {e}", path.display())))
    }

    fn make(&self, name: &str) -> Result<(), Error> {
        let path = self.root.join(name);
        std::fs::create_dir(&path).map_err(|e| Error::config(format!("{}: {e}", path.display())))
    }

    fn key(&self, name: &str, identity: &Identity) -> Result<(), Error> {
        identity.save(self.place(name)?).map_err(|e| Error::config(e.to_string()))
    }
}

fn next_steps(dir: &Path, parties: &[String], planner: &str) -> String {
    let dir = dir.display();
    let mut text = format!(
        "Made the city in {dir}: roster.toml, catalogue.toml, contracts/, public/, and a folder with a key for each node.\n\n\
         Next, each in its own terminal:\n\n    tacit coordinator --config {dir}/coordinator/coordinator.toml\n"
    );
    for name in parties {
        writeln!(text, "    tacit party --config {dir}/{name}/party.toml").ok();
    }
    let sql = parties.iter().take(3).map(|p| format!("(SELECT SUM(amount) FROM {p}.example) {p}")).collect::<Vec<_>>().join(", ");
    text += &format!(
        "\nThen ask (the example tables hold invented rows):\n\n    export TACIT_CONFIG={dir}/{planner}/planner.toml\n    tacit doctor\n    tacit query \"SELECT {sql}\"\n\n\
         Put your own tables into catalogue.toml and each party.toml, and what may be asked of them into contracts/ (`tacit contract new`). For nodes on machines of their own see\n`tacit init --help`.\n"
    );
    text
}

fn catalogue(parties: &[String]) -> String {
    let hash = Hash::sha256(&[ZONES.as_bytes()]);
    let mut text = CATALOGUE.replace("{rows}", &(ZONES.lines().count() - 1).to_string()).replace("{sha256}", &hash.to_string());
    for name in parties {
        text += &CATALOGUE_TABLE.replace("{party}", name);
    }
    text
}

fn party_toml(name: &str, shared: &str, http: &str) -> String {
    let (settings, tables) = PARTY.split_at(PARTY.find(TABLES).unwrap_or(PARTY.len()));
    [settings.trim_end_matches('\n'), "\n", founding::PARTY, "\n", tables]
        .concat()
        .replace("{name}", name)
        .replace("{shared}", shared)
        .replace("{http}", http)
}

fn coordinator_toml(name: &str, shared: &str) -> String {
    [COORDINATOR, founding::COORDINATOR].concat().replace("{name}", name).replace("{shared}", shared)
}

fn planner_toml(name: &str, shared: &str) -> String {
    PLANNER.replace("{name}", name).replace("{shared}", shared).replace("{purpose}", PUBLIC_BENEFIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_city_is_made_once_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("city");
        let said = city(&dir, "C", &names(&["a", "b", "c"]), "office", 7100).expect("made");
        assert!(said.contains("tacit party --config"), "{said}");
        let roster = Roster::load(dir.join("roster.toml")).expect("a roster");
        assert_eq!(roster.parties().map(|n| n.addr.as_str()).collect::<Vec<_>>(), ["127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"]);
        for name in ["a", "b", "c", "coordinator", "office"] {
            let identity = Identity::load(dir.join(format!("{name}/{name}.key"))).expect("a key only its owner reads");
            let known = roster.node_by_key(&identity.public()).map(|n| &n.name);
            let known = known.or(roster.planner_by_key(&identity.public()).map(|p| &p.name));
            assert_eq!(known.map(String::as_str), Some(name));
        }
        let config = crate::config::Config::load(&dir.join("office/planner.toml")).expect("a planner");
        assert!(config.roster.exists() && config.catalogue.exists() && config.tables[0].path.exists());
        let party = party::config::Config::load(dir.join("a/party.toml")).expect("a party's configuration");
        let log = party.ledger.expect("it keeps the log");
        assert_eq!(party::ledger::look("a", &log, &roster).map(|looked| looked.origin), Ok("c/ledger".into()));
        let swapped = party::config::LedgerConfig { witness: log.validated.clone(), ..log };
        let refused = party::ledger::look("a", &swapped, &roster).expect_err("another key");
        assert!(refused.contains("is not the one that") && refused.contains("`a/witness`"), "{refused}");
        let again = city(&dir, "C", &names(&["a", "b", "c"]), "office", 7100).expect_err("in the way");
        assert!(again.to_string().contains("not empty"), "{again}");
    }

    #[test]
    fn bad_names_leave_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("city");
        for (parties, planner, says) in [
            (&["a", "b"][..], "office", "2 parties"),
            (&["a", "b", "b"], "office", "twice"),
            (&["a", "b", "C"], "office", "`C`"),
            (&["a", "b", "c"], "Office", "`Office`"),
        ] {
            let error = city(&dir, "C", &names(parties), planner, 7100).expect_err(says);
            assert!(error.to_string().contains(says), "{error}");
        }
        assert!(city(&dir, "C", &names(&["a", "b", "c"]), "o", 65_500).is_err());
        assert!(!dir.exists());
    }

    #[test]
    fn one_node_prints_its_lines_for_the_roster() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut roster = String::from("city = \"C\"\n");
        for (name, kind, addr) in [
            ("a", NodeKind::Party, Some("a.example:7101")),
            ("b", NodeKind::Party, Some("b.example:7101")),
            ("c", NodeKind::Party, Some("c.example:7101")),
            ("coordinator", NodeKind::Coordinator, Some("d.example:7100")),
            ("office", NodeKind::Planner, None),
        ] {
            let said = node(&folder.path().join(name), name, kind, addr, 7100).expect("made");
            let lines = said.split("\n\n").find(|part| part.starts_with("[[")).expect("lines for the roster");
            roster += lines;
            roster += "\n";
        }
        let roster = Roster::parse(&roster).expect("a roster");
        assert_eq!(roster.coordinator().api.as_deref(), Some("http://d.example:7180"));
        assert!(node(&folder.path().join("x"), "X", NodeKind::Party, None, 7100).is_err());
    }
}
