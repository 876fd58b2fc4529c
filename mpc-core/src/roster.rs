//! Who takes part: the nodes and planners of one city, with their pinned keys. The same file lies at every node; its
//! [`Roster::hash`] is pinned in every query, so that no two nodes can work from different ones.

mod error;

use crate::PartyId;
use crate::file::{self, Kind};
use crate::identity::PublicKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

pub use error::RosterError;

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
        let text = file::read(path, Kind::Roster).map_err(|what| in_file(RosterError::Unread(what)))?;
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

const NAME_CAP: usize = 63;
const TEXT_CAP: usize = 300;
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
mod tests;
