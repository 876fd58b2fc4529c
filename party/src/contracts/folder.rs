//! A folder of contracts: `NAME.contract` is a contract's signed note, `NAME.revoke` the note that ends one. Other files are not looked at.

use super::signs;
use ledger::bytes::Hash;
use ledger::contract::{Contract, ROWS, Security, SignedContract, open_revocation};
use ledger::key::VerifierKey;
use mpc_core::file::{self, Kind};
use mpc_core::roster::Roster;
use query::catalog::Catalog;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the file system says of the files in a folder: if it is the same, so are they.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    files: BTreeMap<PathBuf, (Kind, [i64; 6])>,
    /// Why there is none.
    pub(super) trouble: Option<String>,
}

impl Listing {
    /// Looks at a folder.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(folder: &Path) -> std::io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let kind = match path.extension().and_then(|extension| extension.to_str()) {
                Some("contract") => Kind::Contract,
                Some("revoke") => Kind::Revocation,
                _ => continue,
            };
            // A file that went meanwhile is seen to have gone when it is read.
            let marks = path.metadata().map(|m| [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec(), m.size() as i64, m.ino() as i64]);
            files.insert(path, (kind, marks.unwrap_or_default()));
        }
        Ok(Self { files, trouble: None })
    }

    /// A folder that cannot be read.
    pub(super) fn gone(error: &std::io::Error) -> Self {
        Self { files: BTreeMap::new(), trouble: Some(file::unreadable_folder(error)) }
    }
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Contracts, by id.
    pub contracts: BTreeMap<Hash, SignedContract>,
    /// What was revoked, by whom. The contract need not be there.
    pub revoked: Vec<(Hash, VerifierKey)>,
    /// Files that are refused, and why.
    pub refused: Vec<String>,
}

/// Reads what is listed. A node refuses such contracts of its own as it could not keep; `None` reads for somebody who computes nothing.
pub fn read(folder: &Path, listing: &Listing, node: Option<&str>, roster: &Roster, catalog: &Catalog) -> Contents {
    let owners: BTreeMap<&str, VerifierKey> =
        roster.parties().filter_map(|party| Some((party.name.as_str(), signs(&party.name, &party.key)?))).collect();
    let mut contents = Contents::default();
    for (path, (kind, _)) in &listing.files {
        let refused = match (kind, file::read(path, *kind)) {
            (_, Err(what)) => Err(what),
            (Kind::Revocation, Ok(note)) => revocation(&note, &owners).map(|revoked| contents.revoked.push(revoked)),
            (_, Ok(note)) => contract(&note, node, &owners, catalog).map(|signed| {
                // The same contract twice: perhaps one has a signature that the other lacks.
                let others = signed.countersigned.clone();
                contents.contracts.entry(signed.id).or_insert(signed).countersigned.extend(others);
            }),
        };
        if let Err(what) = refused {
            let name = path.strip_prefix(folder).unwrap_or(path);
            contents.refused.push(format!("{}: {what}", name.display()));
        }
    }
    contents
}

fn contract(note: &str, node: Option<&str>, owners: &BTreeMap<&str, VerifierKey>, catalog: &Catalog) -> Result<SignedContract, String> {
    let signed = SignedContract::open_by(note, |name| owners.get(name)).map_err(|error| error.to_string())?;
    let strange = unknown(&signed.contract, catalog);
    if !strange.is_empty() {
        return Err(format!("{}; correct it, or get the catalogue that has it", strange.join("; ")));
    }
    if node == Some(signed.contract.owner.name())
        && let Some((unkept, instead)) = not_enforced(&signed.contract)
    {
        return Err(format!(
            "this release does not enforce `{unkept}` yet ({instead}), and a node that cannot keep what its own agency asks for does not start"
        ));
    }
    Ok(signed)
}

fn revocation(note: &str, owners: &BTreeMap<&str, VerifierKey>) -> Result<(Hash, VerifierKey), String> {
    let mut why = "it is signed by no agency of the roster".to_owned();
    for owner in owners.values() {
        match open_revocation(note, owner) {
            Ok(contract) => return Ok((contract, owner.clone())),
            Err(ledger::contract::ContractError::Owner { .. }) => {}
            Err(other) => why = other.to_string(),
        }
    }
    Err(why)
}

/// What a contract speaks of that a catalogue does not have.
pub fn unknown(contract: &Contract, catalog: &Catalog) -> Vec<String> {
    let Some(table) = catalog.table(&contract.dataset) else {
        return vec![format!("the catalogue has no table `{}`", contract.dataset)];
    };
    let named = contract.columns.keys().chain(contract.clamp.keys()).chain(&contract.entity_key);
    let strange = named.filter(|column| *column != ROWS && table.column(column).is_none());
    strange.map(|column| format!("{} has no column `{column}` in the catalogue", contract.dataset)).collect()
}

/// The term of a contract that this release does not enforce, and what to write instead.
pub fn not_enforced(contract: &Contract) -> Option<(&'static str, &'static str)> {
    let instead =
        "no protocol of this release holds against parties who cheat; write \"security\": \"semi-honest\", or wait with the contract";
    (contract.security > Security::SemiHonest).then_some(("security", instead))
}
