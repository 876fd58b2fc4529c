//! What can be wrong with a roster.

use std::path::PathBuf;

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
    Unread(String),
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
