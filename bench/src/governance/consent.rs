//! What a node does of a question before it accepts it: the plan that it compiled, interpreted and held against all contracts that it holds.

use anyhow::{Context, Result, anyhow, bail};
use ledger::bytes::Hash;
use ledger::contract::{Contract, Operation, PUBLIC_BENEFIT, Pattern, Security, SignedContract};
use ledger::key::{KeyKind, VerifierKey};
use mpc_core::identity::Identity;
use query::catalog::Catalog;
use query::compile::compile;
use query::consent::{self, Ask};
use query::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Contracts of each table: all but one allow too little, or another planner.
const EACH: usize = 5;
const PLANNER: &str = "planning-office";

/// How many contracts there are.
pub fn contracts() -> usize {
    scenarios::allowed().len() * EACH
}

/// A question of New York's, as each node has it.
pub struct Question {
    sql: &'static str,
    plan: Plan,
    contracts: Vec<SignedContract>,
    planner: VerifierKey,
}

impl Question {
    /// The question that reads most tables of all agencies, and what they allow.
    pub fn new(folder: &Path) -> Result<Self> {
        let question = scenarios::question("correlations").context("the scenarios have no such question")?;
        let (data, work) = (folder.join("data"), folder.join("work"));
        scenarios::generate(&data, scenarios::DEMO_SEED)?;
        let catalog = Catalog::parse(&scenarios::City::open(&data, &work)?.catalog_toml())?;
        let plan = compile(question.sql, &catalog).map_err(|error| anyhow!("{}: {}", question.id, error.message))?;
        let mut contracts = Vec::new();
        for (table, allowed) in scenarios::allowed() {
            for nth in 0..EACH {
                contracts.push(contract(table, allowed, nth)?);
            }
        }
        Ok(Self { sql: question.sql, plan, contracts, planner: key(PLANNER)? })
    }

    /// Whether it is allowed, and under which contracts: one for each table that it reads.
    pub fn check(&self) -> Result<usize> {
        let ask = Ask {
            sql: self.sql,
            planner: &self.planner,
            receivers: &[PLANNER],
            purpose: PUBLIC_BENEFIT,
            security: Security::SemiHonest,
            now: 1,
        };
        match consent::check(&self.plan, None, &self.contracts, &ask) {
            Ok(effective) => Ok(effective.contracts.len()),
            Err(denial) => bail!("the question is refused: {denial}"),
        }
    }
}

/// The last of a table's is the one that allows what is asked.
fn contract(table: &str, allowed: scenarios::Allowed, nth: usize) -> Result<SignedContract> {
    let allowed = if nth + 1 == EACH { allowed } else { &allowed[..1] };
    let operations = |words: &str| words.split(' ').map(str::parse).collect::<Result<BTreeSet<Operation>, _>>();
    let mut columns = BTreeMap::new();
    for (column, words) in allowed {
        columns.insert((*column).to_owned(), operations(words)?);
    }
    let planner = if nth == 0 { "press" } else { PLANNER };
    let (agency, _) = table.split_once('.').context("a table of no agency")?;
    let contract =
        Contract::new(table, key(agency)?, vec![key(planner)?], columns, 0).map_err(|error| anyhow!("no randomness: {error}"))?;
    let contract = Contract { join_with: [Pattern::Any].into(), ..contract };
    Ok(SignedContract { id: Hash::sha256(&[table.as_bytes(), &[nth as u8]]), contract, countersigned: BTreeSet::new() })
}

fn key(name: &str) -> Result<VerifierKey> {
    let identity = Identity::from_seed(&Hash::sha256(&[b"benchmark", name.as_bytes()]).0);
    Ok(VerifierKey::new(name, KeyKind::Note, identity.public().verifying_key())?)
}
