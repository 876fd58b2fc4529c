//! Who signs: an agency or a planner, by the configuration of its node.

use crate::config::Config;
use crate::error::Error;
use ledger::entry::Body;
use mpc_core::file::{self, Kind};
use mpc_core::identity::Identity;
use mpc_core::roster::Roster;
use mpc_core::stack;
use std::path::{Path, PathBuf};

/// A member, as its configuration says.
pub(super) struct Who {
    pub name: String,
    identity: PathBuf,
    roster: PathBuf,
    coordinator: Option<String>,
}

impl Who {
    /// From a party.toml or a planner.toml; the planner's, wherever that is looked for, if none is given.
    pub fn load(config: Option<&Path>) -> Result<Self, Error> {
        match config.filter(|path| file::read(path, Kind::Party).is_ok()) {
            Some(path) => Self::agency(path),
            None => {
                let Config { planner, identity, roster, coordinator, .. } = Config::find(config)?;
                Ok(Self { name: planner, identity, roster, coordinator })
            }
        }
    }

    /// From a party.toml.
    pub fn agency(path: &Path) -> Result<Self, Error> {
        let config = party::Config::load(path).map_err(|error| Error::config(error.to_string()))?;
        Ok(Self { name: config.node, identity: config.identity, roster: config.roster, coordinator: None })
    }

    /// Signs what it states.
    pub fn sign(&self, body: &Body) -> Result<String, Error> {
        let identity = self.identity()?;
        stack::wiped(|| body.sign(&self.name, identity.signing_key())).map_err(|error| Error::config(error.to_string()))
    }

    /// Adds its signature to what others have signed.
    pub fn countersign(&self, entry: &str) -> Result<String, Error> {
        let identity = self.identity()?;
        stack::wiped(|| ledger::entry::countersign(entry, &self.name, identity.signing_key()))
            .map_err(|error| Error::config(error.to_string()))
    }

    /// Where the coordinator takes entries.
    pub fn api(&self) -> Result<String, Error> {
        let roster = Roster::load(&self.roster).map_err(|error| Error::config(error.to_string()))?;
        let base = self.coordinator.clone().or_else(|| roster.coordinator().api.clone());
        base.ok_or_else(|| Error::config("the roster has no `api` for the coordinator"))
    }

    fn identity(&self) -> Result<Identity, Error> {
        Identity::load(&self.identity).map_err(|error| Error::config(error.to_string()))
    }
}
