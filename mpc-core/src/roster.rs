//! Who takes part: the nodes and planners of one city, with their pinned keys. The same file lies at every node; its
//! [`Roster::hash`] is pinned in every query, so that no two nodes can work from different ones.

use crate::PartyId;
use crate::identity::PublicKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// A checked roster: exactly three parties, one coordinator, no name, key or address twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Roster {
    city: String,
    #[serde(rename = "node")]
    nodes: Vec<Node>,
    #[serde(rename = "planner")]
    planners: Vec<Planner>,
}

/// One machine that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name, unique in the roster; a party's name is also its SQL schema.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its key, pinned in every handshake.
    pub key: PublicKey,
    /// `host:port` (UDP) where peers reach it over QUIC.
    pub addr: String,
    /// The coordinator's HTTP address for planners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds data and computes.
    Party,
    /// Schedules; sees no data.
    Coordinator,
}

/// Someone who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planner {
    /// Their name, unique in the roster.
    pub name: String,
    /// The key that signs their queries.
    pub key: PublicKey,
}

impl Roster {
    /// Parties in a roster of this release.
    pub const PARTIES: usize = 3;

    /// A roster of these members, checked.
    ///
    /// # Errors
    /// What is wrong with it, and with whom.
    pub fn new(city: String, nodes: Vec<Node>, planners: Vec<Planner>) -> Result<Self, RosterError> {
        let roster = Self { city, nodes, planners };
        roster.check()?;
        Ok(roster)
    }

    /// Reads a roster from TOML.
    ///
    /// # Errors
    /// The text is not a roster; the error says where and why.
    pub fn parse(text: &str) -> Result<Self, RosterError> {
        let file: RosterFile = toml::from_str(text).map_err(|e| RosterError::Toml(e.to_string().trim_end().into()))?;
        Self::new(file.city, file.node, file.planner)
    }

    /// Reads a roster file.
    ///
    /// # Errors
    /// The file cannot be read or is not a roster.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RosterError> {
        let path = path.as_ref();
        let in_file = |error| RosterError::File { path: path.into(), error: Box::new(error) };
        let length = std::fs::metadata(path).map_err(|e| in_file(RosterError::Io(e.to_string())))?.len();
        if length > FILE_CAP {
            return Err(in_file(RosterError::TooLong));
        }
        let text = std::fs::read_to_string(path).map_err(|e| in_file(RosterError::Io(e.to_string())))?;
        Self::parse(&text).map_err(in_file)
    }

    /// The roster as TOML, which [`Roster::parse`] reads back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a roster is plain strings")
    }

    /// The name of the city.
    pub fn city(&self) -> &str {
        &self.city
    }

    /// All nodes, in the order of the file.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All planners, in the order of the file.
    pub fn planners(&self) -> &[Planner] {
        &self.planners
    }

    /// The parties in the order of their ids.
    pub fn parties(&self) -> impl ExactSizeIterator<Item = &Node> + Clone {
        let parties: Vec<&Node> = self.nodes.iter().filter(|n| n.role == Role::Party).collect();
        parties.into_iter()
    }

    /// A party by its id.
    pub fn party(&self, id: PartyId) -> Option<&Node> {
        self.parties().nth(id.index())
    }

    /// The coordinator.
    pub fn coordinator(&self) -> &Node {
        self.nodes.iter().find(|n| n.role == Role::Coordinator).expect("a checked roster has one")
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.name == name)
    }

    /// The node a key belongs to: how a connection learns who is at its other end.
    pub fn node_by_key(&self, key: &PublicKey) -> Option<&Node> {
        self.nodes.iter().find(|n| n.key == *key)
    }

    /// A planner by name.
    pub fn planner(&self, name: &str) -> Option<&Planner> {
        self.planners.iter().find(|p| p.name == name)
    }

    /// The planner a key belongs to.
    pub fn planner_by_key(&self, key: &PublicKey) -> Option<&Planner> {
        self.planners.iter().find(|p| p.key == *key)
    }

    /// A party's id by its name: its place among the party nodes of the file.
    pub fn party_id(&self, name: &str) -> Option<PartyId> {
        // A checked roster has three parties, so the position fits.
        self.parties().position(|n| n.name == name).map(|at| PartyId(at as u8))
    }

    /// SHA-256 over a canonical encoding: the same for every layout of the same roster, different for any other roster,
    /// the order of nodes included (it gives the party ids).
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let text = |hash: &mut Sha256, text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        text(&mut hash, "tacit/roster/v1");
        text(&mut hash, &self.city);
        hash.update((self.nodes.len() as u64).to_le_bytes());
        for node in &self.nodes {
            text(&mut hash, &node.name);
            hash.update([match node.role {
                Role::Party => 1,
                Role::Coordinator => 2,
            }]);
            hash.update(node.key.as_bytes());
            text(&mut hash, &node.addr);
            hash.update([u8::from(node.api.is_some())]);
            text(&mut hash, node.api.as_deref().unwrap_or_default());
        }
        hash.update((self.planners.len() as u64).to_le_bytes());
        for planner in &self.planners {
            text(&mut hash, &planner.name);
            hash.update(planner.key.as_bytes());
        }
        hash.finalize().into()
    }

    fn check(&self) -> Result<(), RosterError> {
        if self.city.is_empty() || self.city.len() > 200 || self.city.chars().any(char::is_control) {
            return Err(RosterError::City);
        }
        self.nodes.iter().try_for_each(Node::check)?;
        self.planners.iter().try_for_each(Planner::check)?;
        let members = || {
            let nodes = self.nodes.iter().map(|n| (n.name.as_str(), n.key));
            nodes.chain(self.planners.iter().map(|p| (p.name.as_str(), p.key)))
        };
        let mut names = HashMap::new();
        let mut keys = HashMap::new();
        for (name, key) in members() {
            if names.insert(name, ()).is_some() {
                return Err(RosterError::DuplicateName(name.into()));
            }
            if let Some(first) = keys.insert(key, name) {
                return Err(RosterError::DuplicateKey { first: first.into(), second: name.into() });
            }
        }
        let mut addresses = HashMap::new();
        for node in &self.nodes {
            if let Some(first) = addresses.insert(node.addr.as_str(), node.name.as_str()) {
                let (first, second) = (first.into(), node.name.clone());
                return Err(RosterError::DuplicateAddress { addr: node.addr.clone(), first, second });
            }
        }
        let coordinators: Vec<String> = self.nodes.iter().filter(|n| n.role == Role::Coordinator).map(|n| n.name.clone()).collect();
        match coordinators.as_slice() {
            [_] => {}
            [] => return Err(RosterError::NoCoordinator),
            _ => return Err(RosterError::Coordinators(coordinators.join(", "))),
        }
        match self.parties().len() {
            Self::PARTIES => Ok(()),
            parties => Err(RosterError::Parties(parties)),
        }
    }
}

impl Node {
    /// The address peers reach it at, resolved now.
    ///
    /// # Errors
    /// The host name does not resolve.
    pub fn resolve(&self) -> std::io::Result<SocketAddr> {
        let none = || std::io::Error::other(format!("`{}` (node `{}`) resolves to no address", self.addr, self.name));
        self.addr.to_socket_addrs()?.next().ok_or_else(none)
    }

    fn check(&self) -> Result<(), RosterError> {
        let name = &self.name;
        let identifier = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(identifier) || name.len() > NAME_CAP {
            return Err(RosterError::NodeName(name.clone()));
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(RosterError::ReservedName(name.clone()));
        }
        let port = self.addr.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
        let clean = self.addr.len() <= TEXT_CAP && !self.addr.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/');
        if !clean || port.is_none_or(|port| port == 0) {
            return Err(RosterError::Address { node: name.clone(), addr: self.addr.clone() });
        }
        match (self.role, &self.api) {
            (Role::Party, None) => Ok(()),
            (Role::Party, Some(_)) => Err(RosterError::PartyApi(name.clone())),
            (Role::Coordinator, None) => Err(RosterError::NoApi(name.clone())),
            (Role::Coordinator, Some(api)) => {
                let rest = api.strip_prefix("http://").or_else(|| api.strip_prefix("https://"));
                match rest.is_some_and(|r| !r.is_empty() && !r.contains(|c: char| c.is_whitespace() || c.is_control()))
                    && api.len() <= TEXT_CAP
                {
                    true => Ok(()),
                    false => Err(RosterError::Api { node: name.clone(), api: api.clone() }),
                }
            }
        }
    }
}

impl Planner {
    fn check(&self) -> Result<(), RosterError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let name = &self.name;
        match name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed) && name.len() <= NAME_CAP {
            true => Ok(()),
            false => Err(RosterError::PlannerName(name.clone())),
        }
    }
}

/// What is wrong with a roster, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// An error in a named file.
    #[error("the roster {}: {error}", path.display())]
    File {
        /// The roster file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<RosterError>,
    },
    /// The file could not be read.
    #[error("{0}")]
    Io(String),
    /// The file is no roster by its size.
    #[error("it is longer than 1 MiB, which no roster is; check the path")]
    TooLong,
    /// Not TOML, or not the fields of a roster.
    #[error("{0}")]
    Toml(String),
    /// The city's name.
    #[error("`city` must be a line of 1 to 200 characters")]
    City,
    /// A node's name.
    #[error("`{0}` cannot name a node: use a small letter, then small letters, digits and `_`, at most 63 (it is also an SQL schema)")]
    NodeName(String),
    /// A node's name that SQL needs itself.
    #[error("`{0}` cannot name a node: the word is reserved; choose another name")]
    ReservedName(String),
    /// A planner's name.
    #[error("`{0}` cannot name a planner: use a small letter, then small letters, digits, `_` and `-`, at most 63")]
    PlannerName(String),
    /// A name used twice.
    #[error("the name `{0}` is used twice; names of nodes and planners must differ")]
    DuplicateName(String),
    /// A key used twice.
    #[error("`{first}` and `{second}` have the same key; give each its own (`tacit init` makes them)")]
    DuplicateKey {
        /// Who has it.
        first: String,
        /// Who has it too.
        second: String,
    },
    /// An address used twice.
    #[error("`{first}` and `{second}` have the same address {addr}; give each its own port")]
    DuplicateAddress {
        /// The address.
        addr: String,
        /// Who has it.
        first: String,
        /// Who has it too.
        second: String,
    },
    /// Not `host:port`.
    #[error("node `{node}`: `addr = \"{addr}\"` is not `host:port` with a port from 1 to 65535")]
    Address {
        /// Whose.
        node: String,
        /// The text.
        addr: String,
    },
    /// An HTTP address where none belongs.
    #[error("node `{0}` is a party and has an `api`; only the coordinator has one: remove the line")]
    PartyApi(String),
    /// No HTTP address.
    #[error("node `{0}` is the coordinator and needs an `api`, such as api = \"http://127.0.0.1:7180\"")]
    NoApi(String),
    /// Not an HTTP address.
    #[error("node `{node}`: `api = \"{api}\"` does not begin with `http://` or `https://` and a host")]
    Api {
        /// Whose.
        node: String,
        /// The text.
        api: String,
    },
    /// No coordinator.
    #[error("there is no coordinator; one node must have role = \"coordinator\"")]
    NoCoordinator,
    /// Several coordinators.
    #[error("there are several coordinators ({0}); exactly one node may have role = \"coordinator\"")]
    Coordinators(String),
    /// Not three parties.
    #[error("there are {0} parties; this release computes among exactly three (role = \"party\")")]
    Parties(usize),
}

const NAME_CAP: usize = 63;
const TEXT_CAP: usize = 300;
const FILE_CAP: u64 = 1 << 20;
/// Schemas every node has, whoever it is.
const RESERVED: [&str; 2] = ["public", "information_schema"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RosterFile {
    city: String,
    #[serde(default)]
    node: Vec<Node>,
    #[serde(default)]
    planner: Vec<Planner>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn key(seed: u8) -> PublicKey {
        Identity::from_seed(&[seed; 32]).public()
    }

    fn sample() -> String {
        let mut text = String::from("city = \"Demo city\"\n");
        for (at, name) in ["transport", "energy", "health"].iter().enumerate() {
            let key = key(at as u8 + 1);
            text += &format!("[[node]]\nname = \"{name}\"\nrole = \"party\"\nkey = \"{key}\"\naddr = \"127.0.0.1:710{}\"\n", at + 1);
        }
        text += &format!("[[node]]\nname = \"coordinator\"\nrole = \"coordinator\"\nkey = \"{}\"\n", key(4));
        text += "addr = \"127.0.0.1:7100\"\napi = \"http://127.0.0.1:7180\"\n";
        text + &format!("[[planner]]\nname = \"planning-office\"\nkey = \"{}\"\n", key(5))
    }

    fn refused(text: &str, says: &str) {
        let error = Roster::parse(text).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn a_roster_gives_ids_by_order_and_finds_members_by_key() {
        let roster = Roster::parse(&sample()).expect("a roster");
        assert_eq!(roster.city(), "Demo city");
        assert_eq!(roster.parties().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["transport", "energy", "health"]);
        assert_eq!(roster.party_id("health"), Some(PartyId(2)));
        assert_eq!(roster.party_id("coordinator"), None);
        assert_eq!(roster.party(PartyId(1)).map(|n| n.name.as_str()), Some("energy"));
        assert_eq!(roster.party(PartyId(3)), None);
        assert_eq!(roster.coordinator().api.as_deref(), Some("http://127.0.0.1:7180"));
        assert_eq!(roster.node_by_key(&key(2)).map(|n| n.name.as_str()), Some("energy"));
        assert_eq!(roster.node_by_key(&key(5)), None, "a planner is not a node");
        assert_eq!(roster.planner_by_key(&key(5)).map(|p| p.name.as_str()), Some("planning-office"));
        assert_eq!(roster.planner_by_key(&key(1)), None, "a node is not a planner");
        assert_eq!(roster.coordinator().resolve().expect("an address").port(), 7100);
    }

    #[test]
    fn the_hash_depends_on_what_is_said_and_not_on_how() {
        let text = sample();
        let roster = Roster::parse(&text).expect("a roster");
        let spaced = format!("# the city\n{}", text.replace(" = ", "   =  ").replace("[[node]]", "\n[[node]]"));
        assert_eq!(Roster::parse(&spaced).expect("a roster").hash(), roster.hash());
        assert_eq!(Roster::parse(&roster.to_toml()).expect("written back"), roster);
        for (from, to) in [
            ("Demo city", "Demo citz"),
            ("energy", "energia"),
            ("127.0.0.1:7102", "127.0.0.1:7202"),
            ("http://127", "https://127"),
            ("planning-office", "planning_office"),
            ("\"transport\"", "\"energy2\""),
        ] {
            assert_ne!(Roster::parse(&text.replace(from, to)).expect("a roster").hash(), roster.hash(), "{from}");
        }
        let mut nodes = roster.nodes().to_vec();
        nodes.swap(0, 1);
        let swapped = Roster::new("Demo city".into(), nodes, roster.planners().to_vec()).expect("a roster");
        assert_ne!(swapped.hash(), roster.hash(), "the order gives the ids");
    }

    #[test]
    fn the_hash_is_pinned() {
        let hex: String = Roster::parse(&sample()).expect("a roster").hash().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "6154a0db179ab30287b05e87bb5e738b5a9761a2a61ab2f43aef6742d1946255");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = sample();
        refused("", "city");
        refused(&text.replace("city =", "town ="), "town");
        refused(&text.replace("addr = \"127.0.0.1:7101\"", "addr = \"127.0.0.1:7101\"\nport = 3"), "port");
        refused(&text.replace("\"energy\"", "\"transport\""), "`transport` is used twice");
        refused(&text.replace("planning-office", "transport"), "`transport` is used twice");
        refused(&text.replace(&key(2).to_string(), &key(1).to_string()), "`transport` and `energy` have the same key");
        refused(&text.replace(&key(5).to_string(), &key(1).to_string()), "`transport` and `planning-office` have the same key");
        refused(&text.replace(":7102", ":7101"), "same address 127.0.0.1:7101");
        refused(&text.replace("role = \"coordinator\"", "role = \"party\""), "has an `api`");
        refused(&text.replace("api = \"http://127.0.0.1:7180\"", ""), "needs an `api`");
        refused(&text.replace("http://127.0.0.1:7180", "127.0.0.1:7180"), "http://");
        refused(&text.replace("127.0.0.1:7102", "127.0.0.1"), "host:port");
        refused(&text.replace("127.0.0.1:7102", "127.0.0.1:0"), "host:port");
        refused(&text.replace("role = \"party\"", "role = \"observer\""), "observer");
        refused(&text.replace("ed25519:", "ed25518:"), "public key");
        for name in ["Energy", "1energy", "en ergy", "en-ergy", "", "énergie", &"e".repeat(64)] {
            refused(&text.replace("\"energy\"", &format!("\"{name}\"")), "cannot name a node");
        }
        for name in RESERVED {
            refused(&text.replace("\"energy\"", &format!("\"{name}\"")), "reserved");
        }
        refused(&text.replace("planning-office", "Planning Office"), "cannot name a planner");
    }

    #[test]
    fn there_are_exactly_three_parties_and_one_coordinator() {
        let roster = Roster::parse(&sample()).expect("a roster");
        let with = |nodes: Vec<Node>| Roster::new("c".into(), nodes, vec![]);
        let nodes = roster.nodes();
        assert_eq!(with(nodes[1..].to_vec()), Err(RosterError::Parties(2)));
        assert_eq!(with(nodes[..3].to_vec()), Err(RosterError::NoCoordinator));
        let mut four = nodes.to_vec();
        four.push(Node { name: "water".into(), key: key(9), addr: "127.0.0.1:7104".into(), ..nodes[0].clone() });
        assert_eq!(with(four.clone()), Err(RosterError::Parties(4)));
        four[4].role = Role::Coordinator;
        four[4].api = Some("http://h".into());
        assert_eq!(with(four), Err(RosterError::Coordinators("coordinator, water".into())));
    }

    #[test]
    fn a_file_error_names_the_file() {
        let error = Roster::load("/nonexistent/roster.toml").expect_err("no such file").to_string();
        assert!(error.contains("/nonexistent/roster.toml"), "{error}");
    }
}
