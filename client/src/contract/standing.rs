//! Contracts that this program writes by itself: for a year, for one planner, together with whatever.

use crate::clock::now;
use crate::error::Error;
use ledger::contract::{Contract, Operation, Pattern};
use ledger::key::VerifierKey;
use mpc_core::identity::Identity;
use mpc_core::roster::Roster;
use mpc_core::stack;
use std::collections::{BTreeMap, BTreeSet};

/// A year's contract for a table: its agency allows the planner these operations, together with any other data set.
///
/// # Errors
/// The roster does not know one of the two.
pub(crate) fn standing(
    table: &str,
    columns: BTreeMap<String, BTreeSet<Operation>>,
    roster: &Roster,
    planner: &str,
) -> Result<Contract, Error> {
    let planner = planner_keys(roster, &[planner.to_owned()])?;
    let contract = Contract::new(table, agency_key(roster, table)?, planner, columns, now());
    let contract = contract.map_err(|e| Error::internal(format!("no randomness: {e}")))?;
    Ok(Contract { join_with: BTreeSet::from([Pattern::Any]), ..contract })
}

/// The key with which the agency of a table signs contracts.
///
/// # Errors
/// The roster has no such party.
pub(crate) fn agency_key(roster: &Roster, table: &str) -> Result<VerifierKey, Error> {
    let agency = table.split_once('.').map_or(table, |(agency, _)| agency);
    let party = roster.parties().find(|party| party.name == agency);
    let key = party.and_then(|party| party::contracts::signs(&party.name, &party.key));
    key.ok_or_else(|| Error::config(format!("the roster has no party `{agency}`, whose table {table} would be")))
}

/// The keys of planners.
///
/// # Errors
/// The roster has no planner of such a name.
pub(crate) fn planner_keys(roster: &Roster, names: &[String]) -> Result<Vec<VerifierKey>, Error> {
    let key = |name: &String| {
        let planner = roster.planner(name).and_then(|planner| party::contracts::signs(&planner.name, &planner.key));
        planner.ok_or_else(|| Error::config(format!("the roster has no planner `{name}`; it must have one whom a contract names")))
    };
    names.iter().map(key).collect()
}

/// The signed note of a contract, and the name of its file.
///
/// # Errors
/// The contract is out of bounds, or not the signer's.
pub(crate) fn signed(contract: &Contract, identity: &Identity) -> Result<(String, String), Error> {
    let note = stack::wiped(|| contract.sign(identity.signing_key()));
    let name = format!("{}.{}.contract", contract.owner.name(), contract.id);
    note.map(|note| (name, note)).map_err(|e| Error::config(format!("the contract for {}: {e}", contract.dataset)))
}

/// Operations of columns, in words.
pub(crate) fn allowed(columns: &[(&str, &str)]) -> Result<BTreeMap<String, BTreeSet<Operation>>, Error> {
    let operations = |words: &str| words.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    let column =
        |(name, words): &(&str, &str)| Ok((name.to_string(), operations(words).map_err(|e| Error::internal(format!("{words}: {e}")))?));
    columns.iter().map(column).collect()
}
