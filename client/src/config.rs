//! The planner's own configuration, `planner.toml`, and where it is looked for.
//!
//! ```toml
//! planner = "planning-office"            # this planner's name in the roster
//! identity = "planning-office.key"       # its private key, mode 0600
//! roster = "../roster.toml"              # the same file at every node
//! catalogue = "../catalogue.toml"        # the same file at every node
//! contracts = "../contracts"             # folder, the same at every node: what may be asked; if left out, EXPLAIN does not say
//! purpose = "https://w3id.org/dpv#PublicBenefit"   # what questions are for, if they do not say: an IRI that contracts name
//! policy = "../city.policy"              # whom to believe of the city's log, the same file at every node; if left out, receipts are not checked
//! # coordinator = "http://127.0.0.1:7180"  # if left out, the `api` of the coordinator in the roster
//!
//! [[table]]                              # one for each public table; its content must have the catalogue's hash
//! name = "public.zones"
//! path = "../public/zones.csv"
//! ```
//!
//! Paths are relative to the folder of the file.

use crate::error::Error;
use mpc_core::file;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A planner's configuration. Every path in it is absolute or relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// The planner's name in the roster.
    pub planner: String,
    /// The planner's private key.
    pub identity: PathBuf,
    /// The roster.
    pub roster: PathBuf,
    /// The catalogue.
    pub catalogue: PathBuf,
    /// The folder of contracts, to say beforehand what they allow.
    pub contracts: Option<PathBuf>,
    /// Whom to believe of the city's log.
    pub policy: Option<PathBuf>,
    /// The purpose of questions that name none.
    pub purpose: Option<String>,
    /// The coordinator's HTTP address; `None`: what the roster says.
    pub coordinator: Option<String>,
    /// The public tables.
    pub tables: Vec<PublicTable>,
}

/// Where a public table's file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicTable {
    /// Its name in the catalogue, `public.zones`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// The environment variable that names the configuration file.
pub const VARIABLE: &str = "TACIT_CONFIG";

impl Config {
    /// Finds the configuration: `given` (from `--config` or `TACIT_CONFIG`), else `./planner.toml`, else
    /// `~/.config/tacit/planner.toml`; and reads it.
    ///
    /// # Errors
    /// There is none, or it is wrong.
    pub fn find(given: Option<&Path>) -> Result<Self, Error> {
        match given {
            Some(path) if !path.as_os_str().is_empty() => return Self::load(path),
            // An empty variable is as good as none.
            Some(_) if std::env::var_os(VARIABLE).is_none_or(|value| !value.is_empty()) => {
                return Err(Error::config("--config names no file; give the path of planner.toml, or leave it out"));
            }
            _ => {}
        }
        let places = [Some(PathBuf::from("planner.toml")), home()];
        let found = places.iter().flatten().find(|path| path.exists());
        let looked = || {
            let places: Vec<String> = places.iter().flatten().map(|p| p.display().to_string()).collect();
            Error::config(format!(
                "no planner configuration found (looked for {}); give --config FILE or set {VARIABLE}, or make one with `tacit init`",
                places.join(" and ")
            ))
        };
        Self::load(found.ok_or_else(looked)?)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong; the error names the place.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = read(path, file::Kind::Planner)?;
        let file: File = toml::from_str(&text).map_err(|e| {
            let line = e.span().map(|at| 1 + text[..at.start.min(text.len())].matches('\n').count());
            let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
            Error::config(format!("{}{line}: {}", path.display(), e.message().replace('\n', "; ")))
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        for table in &file.table {
            if !table.name.starts_with("public.") {
                return Err(Error::config(format!(
                    "{}: the table `{}` is not of the schema `public`; a planner holds no others: remove it",
                    path.display(),
                    table.name
                )));
            }
        }
        let tables = file.table.into_iter().map(|t| PublicTable { name: t.name, path: base.join(t.path) });
        Ok(Self {
            file: path.into(),
            planner: file.planner,
            identity: base.join(file.identity),
            roster: base.join(file.roster),
            catalogue: base.join(file.catalogue),
            contracts: file.contracts.map(|folder| base.join(folder)),
            policy: file.policy.map(|policy| base.join(policy)),
            purpose: file.purpose,
            coordinator: file.coordinator,
            tables: tables.collect(),
        })
    }
}

/// The text of a file that was named; an error names it.
pub(crate) fn read(path: &Path, wanted: file::Kind) -> Result<String, Error> {
    file::read(path, wanted).map_err(|what| Error::config(format!("{}: {what}", path.display())))
}

fn home() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| Some(std::env::home_dir()?.join(".config")));
    base.map(|base| base.join("tacit/planner.toml"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    planner: String,
    identity: PathBuf,
    roster: PathBuf,
    catalogue: PathBuf,
    contracts: Option<PathBuf>,
    policy: Option<PathBuf>,
    purpose: Option<String>,
    coordinator: Option<String>,
    #[serde(default)]
    table: Vec<TableFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    name: String,
    path: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("planner.toml");
        std::fs::write(&path, text).expect("written");
        Config::load(&path).map(|config| Config { file: "planner.toml".into(), ..config })
    }

    const SAMPLE: &str = "planner = \"p\"\nidentity = \"/k/p.key\"\nroster = \"/r.toml\"\ncatalogue = \"/c.toml\"\n\
        [[table]]\nname = \"public.zones\"\npath = \"/z.csv\"\n";

    #[test]
    fn a_configuration_is_read() {
        let config = load(SAMPLE).expect("a configuration");
        assert_eq!((config.planner.as_str(), config.coordinator), ("p", None));
        assert_eq!(config.tables, [PublicTable { name: "public.zones".into(), path: "/z.csv".into() }]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (from, to, says) in [
            ("roster", "rooster", "line 3: unknown field `rooster`"),
            ("public.zones", "health.zones", "schema `public`"),
            ("\"p\"", "3", "line 1: invalid type"),
        ] {
            let error = load(&SAMPLE.replacen(from, to, 1)).expect_err(to);
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        let error = Config::load(Path::new("/nonexistent/planner.toml")).expect_err("no file").to_string();
        assert!(error.starts_with("/nonexistent/planner.toml: "), "{error}");
    }
}
