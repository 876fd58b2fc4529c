//! All tables of a city in one place and in clear: what a demo or a test compares answers with. No real deployment has this.

use crate::city::City;
use crate::config;
use crate::error::Error;
use party::config::{Config, Format, Limits, Profile, TableFile, Undeclared};
use party::source::Sources;
use query::catalog::Catalog;
use query::datafusion::arrow::array::RecordBatch;
use query::local::Tables;
use query::oracle::{self, Oracle, Tolerance};

/// The pooled tables.
pub struct Pooled {
    oracle: Oracle,
}

impl Pooled {
    /// Loads every party's tables.
    ///
    /// # Errors
    /// A file is missing, or not as the catalogue declares.
    pub fn open(city: &City, catalog: &Catalog) -> Result<Self, Error> {
        let oracle = Oracle::new().map_err(|e| Error::internal(e.to_string()))?;
        let add = |tables: &Tables, public: bool| {
            let chosen = tables.iter().filter(|(name, _)| name.starts_with("public.") == public);
            chosen.map(|(name, table)| oracle.table(name, table.clone())).collect::<Result<Vec<_>, _>>()
        };
        for (at, node) in city.roster().parties().enumerate() {
            let file = city.node_config(&node.name).ok_or_else(|| Error::internal("a party has a configuration"))?;
            let config = Config::load(file).map_err(|e| Error::config(e.to_string()))?;
            let sources = Sources::load(&config, catalog).map_err(|e| Error::config(e.to_string()))?;
            add(sources.tables(), false).map_err(|e| Error::internal(e.to_string()))?;
            if at == 0 {
                add(sources.public(), true).map_err(|e| Error::internal(e.to_string()))?;
            }
        }
        Ok(Self { oracle })
    }

    /// The answer in clear.
    ///
    /// # Errors
    /// The SQL is wrong.
    pub fn answer(&self, sql: &str) -> Result<RecordBatch, Error> {
        self.oracle.answer(sql).map_err(|e| Error::Failed(format!("in clear: {e}")))
    }

    /// Where `actual` differs from the answer in clear, if it does.
    ///
    /// # Errors
    /// The SQL is wrong.
    pub fn compare(&self, sql: &str, actual: &RecordBatch) -> Result<Option<String>, Error> {
        // An ORDER BY behind the last bracket is the question's own.
        let ordered = sql.rsplit(')').next().is_some_and(|end| end.to_ascii_uppercase().contains("ORDER BY"));
        let tolerance = Tolerance { ordered, ..Tolerance::default() };
        Ok(oracle::compare(&self.answer(sql)?, actual, tolerance).err())
    }
}

/// The public tables of a planner's configuration, checked against the catalogue's hashes as every node checks them.
///
/// # Errors
/// A file is missing, or not the one the catalogue pins.
pub(crate) fn public_tables(config: &config::Config, catalog: &Catalog) -> Result<Tables, Error> {
    let tables = config.tables.iter().map(|table| TableFile {
        name: table.name.clone(),
        path: table.path.clone(),
        shown: table.path.display().to_string(),
        format: Format::Csv,
        null: None,
        undeclared_columns: Undeclared::Ignore,
    });
    // A planner owns no tables: what a node of this name must load is the public ones alone.
    let node = Config {
        node: config.planner.clone(),
        identity: config.identity.clone(),
        roster: config.roster.clone(),
        catalogue: config.catalogue.clone(),
        contracts: config.file.clone(),
        state: config.file.clone(),
        listen: None,
        http: None,
        profile: Profile::Lan,
        limits: Limits::default(),
        ledger: None,
        tables: tables.collect(),
    };
    let sources = Sources::load(&node, catalog).map_err(|e| Error::config(e.to_string()))?;
    Ok(sources.public().clone())
}
