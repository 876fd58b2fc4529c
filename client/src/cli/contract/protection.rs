//! The options of `tacit contract new` that are about what comes out.

use crate::error::Error;
use clap::Args;
use ledger::contract::{Bound, Contract, Decimal, Delta, Dp, DpMode, Epsilon, NoiseLaw};
use query::catalog::Table;

/// What protects what comes out.
#[derive(Debug, Args)]
#[command(next_help_heading = "What comes out")]
pub(super) struct Protection {
    /// The column that says whose a row is
    #[arg(long, value_name = "COLUMN")]
    entity_key: Option<String>,
    /// Of which domain of entities that is, such as energy.household: tables of one domain share a budget of noise
    #[arg(long, value_name = "DOMAIN", requires = "entity_key")]
    entity_domain: Option<String>,
    /// Of how many entities it is at least (rows, without an --entity-key)
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_group: u64,
    /// How many per cent of a sum one entity may have at most; 100 is no bound
    #[arg(long, value_name = "PERCENT", default_value_t = 100)]
    dominance: u64,
    /// Values of a column beyond these count as these, such as 'kwh=0..5000'; may be repeated
    #[arg(long, value_name = "COLUMN=LOW..HIGH", value_parser = clamp)]
    clamp: Vec<(String, (Bound, Bound))>,
    /// How many rows of an entity count
    #[arg(long, value_name = "N", requires = "entity_key")]
    rows_per_entity: Option<u64>,
    /// Noise: what the questions of a planner may spend in a month, such as 4
    #[arg(long, value_name = "EPSILON")]
    epsilon_month: Option<Epsilon>,
    /// What all planners may spend in a month together, such as 10; if left out and there are several, as much as one
    #[arg(long, value_name = "EPSILON", requires = "epsilon_month")]
    epsilon_month_all: Option<Epsilon>,
    /// What one question may spend, such as 0.5; if left out, all of the month's
    #[arg(long, value_name = "EPSILON", requires = "epsilon_month")]
    epsilon_query: Option<Epsilon>,
    /// The δ of a month, such as 0.000001
    #[arg(long, value_name = "DELTA", requires = "epsilon_month")]
    delta: Option<Delta>,
    /// The kind of noise: `laplace`, or `binomial`, which spends of δ as well
    #[arg(long, value_name = "KIND", value_parser = noise, requires = "epsilon_month")]
    noise: Option<NoiseLaw>,
    /// That no answer comes out without noise
    #[arg(long, requires = "epsilon_month")]
    noise_required: bool,
}

impl Protection {
    /// Whether the columns that it names are the table's.
    pub fn known(&self, table: &Table) -> Result<(), Error> {
        let named = self.entity_key.iter().map(|name| ("--entity-key", name));
        let named = named.chain(self.clamp.iter().map(|(name, _)| ("--clamp", name)));
        let columns = || table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>();
        match named.into_iter().find(|(_, name)| !columns().contains(&name.as_str())) {
            None => Ok(()),
            Some((option, name)) => {
                Err(Error::config(format!("{option} {name}: {} has no column `{name}`; it has {}", table.name, columns().join(", "))))
            }
        }
    }

    /// A contract with these terms.
    pub fn put_into(&self, contract: Contract) -> Contract {
        let dp = self.epsilon_month.map(|month| Dp {
            epsilon_per_query_max: self.epsilon_query.unwrap_or(month),
            epsilon_month: month,
            // What planners are told they may tell one another.
            epsilon_month_all: self.epsilon_month_all.or((contract.planners.len() > 1).then_some(month)),
            delta: self.delta.unwrap_or(Decimal(0)),
            mode: if self.noise_required { DpMode::Required } else { DpMode::Optional },
            noise: self.noise.unwrap_or_default(),
        });
        Contract {
            entity_key: self.entity_key.clone(),
            entity_domain: self.entity_domain.clone(),
            min_group: self.min_group,
            dominance_pct: self.dominance,
            clamp: self.clamp.iter().cloned().collect(),
            max_rows_per_entity: self.rows_per_entity,
            dp,
            ..contract
        }
    }
}

fn clamp(text: &str) -> Result<(String, (Bound, Bound)), String> {
    let parts = text.split_once('=').and_then(|(column, bounds)| Some((column, bounds.split_once("..")?)));
    let (column, (low, high)) = parts.ok_or("write it as 'kwh=0..5000'")?;
    let bound = |text: &str| text.trim().parse::<Bound>().map_err(|error| format!("`{text}` is {error}"));
    Ok((column.trim().into(), (bound(low)?, bound(high)?)))
}

fn noise(text: &str) -> Result<NoiseLaw, &'static str> {
    let known = [NoiseLaw::Laplace, NoiseLaw::Binomial].into_iter().find(|law| law.name() == text);
    known.ok_or("there are laplace and binomial")
}
