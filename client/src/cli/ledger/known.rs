//! What a member's configuration says of the city's log: where it is, and whom to believe. For commands that are not told otherwise.

use super::files::{Files, Log, Served, read_checkpoint, read_policy};
use crate::config::{Config, VARIABLE};
use crate::error::Error;
use crate::http::Api;
use ledger::checkpoint::Checkpoint;
use ledger::policy::Policy;
use mpc_core::file::{self, Kind};
use mpc_core::roster::Roster;
use party::openings::FOLDER;
use std::path::{Path, PathBuf};

/// Whom to believe: those of the file that is given, else as the configuration says.
pub(super) fn policy(given: Option<&Path>, config: Option<&Path>) -> Result<Policy, Error> {
    given.map_or_else(|| read_policy(Known::load(config)?.policy()?), read_policy)
}

/// Of an agency, by its party.toml; or of a planner.
pub(in crate::cli) struct Known {
    file: PathBuf,
    pub roster: PathBuf,
    pub catalogue: PathBuf,
    policy: Option<PathBuf>,
    /// An agency's mirror.
    own: Option<PathBuf>,
    /// The logs before it, the oldest first.
    pub after: Vec<PathBuf>,
    /// What opens the log's commitments, at an agency.
    pub openings: Option<PathBuf>,
    coordinator: Option<String>,
}

impl Known {
    /// By the file that is named, else by the one that `TACIT_CONFIG` names, else by the planner's, wherever that is looked for.
    pub fn load(given: Option<&Path>) -> Result<Self, Error> {
        let variable = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
        let given = given.map(Path::to_owned).or(variable);
        match given.as_deref().filter(|path| file::read(path, Kind::Party).is_ok()) {
            Some(path) => {
                let config = party::Config::load(path).map_err(|error| Error::config(error.to_string()))?;
                let (policy, own, before) = config
                    .ledger
                    .map(|ledger| (ledger.policy, ledger.folder, ledger.before))
                    .map_or_else(|| (None, None, None), |(policy, folder, before)| (Some(policy), Some(folder), before));
                Ok(Self {
                    file: path.into(),
                    roster: config.roster,
                    catalogue: config.catalogue,
                    policy,
                    own,
                    after: before.map(|before| before.after).unwrap_or_default(),
                    openings: Some(config.state.join(FOLDER)),
                    coordinator: None,
                })
            }
            None => {
                let Config { file, roster, catalogue, policy, coordinator, .. } = Config::find(given.as_deref())?;
                Ok(Self { file, roster, catalogue, policy, own: None, after: Vec::new(), openings: None, coordinator })
            }
        }
    }

    /// Whom to believe.
    pub fn policy(&self) -> Result<&Path, Error> {
        self.policy.as_deref().ok_or_else(|| {
            Error::config(format!(
                "{} does not say whom to believe of the city's log; give --policy FILE, or add `policy` there",
                self.file.display()
            ))
        })
    }

    /// The log: an agency's own mirror, up to the checkpoint that the coordinator hands out, as its own has its own cosignatures only; or all of it from the coordinator. Whoever hands
    /// it out, it is checked.
    pub fn log(&self, checkpoint: Option<&Path>) -> Result<Log, Error> {
        let checkpoint = match checkpoint {
            Some(path) => read_checkpoint(path)?,
            None => self.checkpoint(match self.own {
                Some(_) => "name with --checkpoint one that it handed out before, which others may have kept",
                None => "name the log's files: LOG",
            })?,
        };
        let files = match &self.own {
            Some(folder) => Files::open(folder)?,
            None => Files::Served(self.served()?),
        };
        Log { files, checkpoint }.whole()
    }

    /// The newest checkpoint that a quorum cosigned, as the coordinator hands it out; `instead` is what else would do.
    pub fn checkpoint(&self, instead: &str) -> Result<Checkpoint, Error> {
        let text = self.served()?.checkpoint(instead)?;
        Checkpoint::parse(&text)
            .map_err(|error| Error::Failed(format!("what the coordinator hands out as the log's checkpoint is none: {error}")))
    }

    /// The log's files, however far they are.
    pub fn files(&self) -> Result<Files, Error> {
        match &self.own {
            Some(folder) => Files::open(folder),
            None => Ok(Files::Served(self.served()?)),
        }
    }

    fn served(&self) -> Result<Served, Error> {
        Served::new(Api::new(&self.api()?)?)
    }

    fn api(&self) -> Result<String, Error> {
        let roster = Roster::load(&self.roster).map_err(|error| Error::config(error.to_string()))?;
        let base = self.coordinator.clone().or_else(|| roster.coordinator().api.clone());
        base.ok_or_else(|| Error::config("the roster has no `api` for the coordinator; name the log's files: LOG"))
    }
}
