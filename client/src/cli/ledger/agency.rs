//! An agency's own part in the log, opened by its node's configuration while the node is stopped.

use super::files::fails;
use crate::error::Error;
use ledger::cosigner::Cosigner;
use mpc_core::roster::Roster;
use party::config::Config;
use query::citylog::{self, validated_name, witness_name};
use std::path::{Path, PathBuf};

/// An agency's witness and mirror.
pub(super) struct Agency {
    pub config: Config,
    /// Whom it believes.
    pub policy: PathBuf,
    pub cosigner: Cosigner,
}

impl Agency {
    /// Opens its folder, which no node may be using.
    pub fn open(file: &Path) -> Result<Self, Error> {
        let config = Config::load(file).map_err(|error| Error::config(error.to_string()))?;
        let keeps_none = || Error::config(format!("{}: this node keeps no log: it has no section [ledger]", file.display()));
        let ledger = config.ledger.as_ref().ok_or_else(keeps_none)?;
        let roster = Roster::load(&config.roster).map_err(|error| Error::config(error.to_string()))?;
        let beginning = citylog::beginning(&ledger.policy, &roster, ledger.before.as_ref()).map_err(Error::config)?;
        let signer = |name: String, key: &Path| citylog::cosigner(&ledger.policy, &name, key).map_err(Error::config);
        let witness = signer(witness_name(&config.node), &ledger.witness)?;
        let validated = signer(validated_name(&config.node), &ledger.validated)?;
        let cosigner = Cosigner::open(&ledger.folder, beginning, witness, validated).map_err(|error| fails(error.code(), error))?;
        Ok(Self { policy: ledger.policy.clone(), cosigner, config })
    }
}
