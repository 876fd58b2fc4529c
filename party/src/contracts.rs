//! The contracts a node holds, and whether they allow a plan. A folder has the signed notes of all agencies, the same at every node; what is
//! in it now is what counts, and what none of it allows is refused.
//!
//! ```text
//! folder   NAME.contract, NAME.revoke: read, verified, held against roster and catalogue
//! uses     how many answers were given under contracts that allow only so many, on disk, by a node that keeps no log
//! ```
//!
//! At the start the folder is taken as a whole or not at all. Later a file that is refused keeps anything new from coming into force, and is
//! told of in log, health and metrics; what was taken away or revoked ends all the same.

pub mod folder;
mod uses;

use folder::{Contents, Listing};
use ledger::bytes::Hash;
use ledger::contract::{Contract, Revocation, Security, SignedContract};
use ledger::key::{KeyKind, VerifierKey};
use mpc_core::roster::Roster;
use query::catalog::Catalog;
use query::consent::{self, Ask, Denial, Effective};
use query::joblog;
use query::message::{Code, Query, Refusal};
use query::plan::Plan;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uses::Uses;
pub use uses::UsesError;
pub(crate) use uses::used_up;

/// What a node holds. Every part of it looks at the same.
pub struct Contracts {
    folder: PathBuf,
    node: String,
    roster: Arc<Roster>,
    catalog: Arc<Catalog>,
    held: Mutex<Arc<Held>>,
    listing: Mutex<Listing>,
    uses: Mutex<Uses>,
}

/// What stands at one time.
#[derive(Debug, Default)]
struct Held {
    /// By id, so that all nodes look at them in one order.
    standing: BTreeMap<Hash, Arc<SignedContract>>,
    /// What its owner revoked, with the owner.
    revoked: BTreeMap<Hash, VerifierKey>,
    /// What was revoked or taken away, as far as its terms are known: to tell whoever could have asked under it.
    gone: BTreeMap<Hash, Arc<SignedContract>>,
    /// What is wrong in the folder.
    trouble: Vec<String>,
}

/// What there is to see of a node's contracts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// How many stand.
    pub standing: usize,
    /// How many were revoked.
    pub revoked: usize,
    /// A hash of those that stand: the same at every node.
    pub hash: Hash,
    /// What is wrong in the folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trouble: Vec<String>,
}

impl Contracts {
    /// Reads the folder, for the node `node`. Uses are counted in the folder `state`.
    ///
    /// # Errors
    /// The folder is not there, a file in it is refused, or what was counted cannot be read.
    pub fn open(folder: &Path, state: &Path, node: &str, roster: Arc<Roster>, catalog: Arc<Catalog>) -> Result<Self, ContractsError> {
        let (listing, held) = take(folder, Some(node), &roster, &catalog)?;
        let held = Mutex::new(Arc::new(held));
        let uses = Mutex::new(Uses::open(state)?);
        Ok(Self { folder: folder.into(), node: node.into(), roster, catalog, held, listing: Mutex::new(listing), uses })
    }

    /// What the node `node` would take from a folder, or somebody who computes nothing.
    ///
    /// # Errors
    /// The folder is not there, or a file in it is refused.
    pub fn look(folder: &Path, node: Option<&str>, roster: &Roster, catalog: &Catalog) -> Result<Summary, ContractsError> {
        take(folder, node, roster, catalog).map(|(_, held)| held.summary())
    }

    /// Reads the folder again, if anything in it has changed, or in any case. Says whether it was read.
    pub fn reread(&self, anyway: bool) -> bool {
        let listing = match Listing::of(&self.folder) {
            Ok(listing) => listing,
            // Without its folder nothing is known to stand.
            Err(error) => Listing::gone(&error),
        };
        let mut last = lock(&self.listing);
        if *last == listing && !anyway {
            return false;
        }
        let contents = match &listing.trouble {
            Some(trouble) => Contents { refused: vec![format!("{}: {trouble}", self.folder.display())], ..Contents::default() },
            None => folder::read(&self.folder, &listing, Some(&self.node), &self.roster, &self.catalog),
        };
        *last = listing;
        let mut held = lock(&self.held);
        let next = held.next(contents, own(&self.node, &self.roster).as_ref());
        for trouble in next.trouble.iter().filter(|trouble| !held.trouble.contains(trouble)) {
            tracing::error!(trouble, "nothing new comes into force before this is mended");
        }
        tracing::info!(standing = next.standing.len(), revoked = next.revoked.len(), "contracts read");
        *held = Arc::new(next);
        true
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What there is to see.
    pub fn summary(&self) -> Summary {
        self.held().summary()
    }

    /// Whether the contracts that stand allow a plan, of all data sets it touches; under which terms, and which they are. Where several would do, it is
    /// for the planner to say under which he asks: those that are `named`, if they do. Of uses it is asked only if none are: contracts are named in entries of the log, whose
    /// rules count uses.
    ///
    /// # Errors
    /// `E_NO_CONSENT`: what is not allowed, and what would be; `E_USED_UP`.
    pub fn admit(&self, plan: &Plan, query: &Query, named: &[Hash], now: u64) -> Result<(Effective, Consent), Refusal> {
        let planner = self.roster.planner(&query.planner).and_then(|planner| signs(&planner.name, &planner.key));
        let Some(planner) = planner else {
            return Err(Refusal::new(Code::Planner, "the planner has no key in this roster", "ask the city's operators to add it"));
        };
        let ask = Ask {
            sql: &query.sql,
            planner: &planner,
            receivers: &[&query.planner],
            purpose: &query.purpose,
            // The one that this release has; another is refused before.
            security: Security::SemiHonest,
            now,
        };
        let held = self.held();
        let check = |of: &dyn Fn(&Hash) -> bool| {
            let standing = held.standing.values().filter(|signed| of(&signed.id));
            let contracts: Vec<Arc<SignedContract>> = standing.cloned().collect();
            consent::check(plan, None, &contracts, &ask)
        };
        let refused = |denial: Box<Denial>| held.refused(denial, plan, &ask);
        let used_up: Vec<Hash> = {
            let uses = lock(&self.uses);
            held.standing.values().filter(|signed| uses.left(signed) == Some(0)).map(|signed| signed.id).collect()
        };
        let effective = if named.is_empty() {
            check(&|id| !used_up.contains(id)).map_err(|denial| match check(&|_| true) {
                // What else is not allowed is said first.
                Err(denial) => refused(denial),
                Ok(all) => {
                    let spent = all.contracts.into_values().find(|id| used_up.contains(id)).and_then(|id| held.standing.get(&id));
                    spent.map_or_else(|| refused(denial), |signed| uses::used_up(signed))
                }
            })?
        } else {
            // If those do not allow it and others do, the planner's entry is not what is found here, and that is said.
            check(&|id| named.contains(id)).or_else(|_| check(&|_| true)).map_err(refused)?
        };
        let contracts = effective.contracts.values().filter_map(|id| held.standing.get(id).cloned());
        let consent = Consent { contracts: contracts.collect() };
        Ok((effective, consent))
    }

    /// The first contract of these that does not stand any more.
    pub fn ended(&self, consent: &Consent) -> Option<Arc<SignedContract>> {
        let held = self.held();
        consent.contracts.iter().find(|signed| !held.standing.contains_key(&signed.id)).cloned()
    }

    /// The same for an attempt that runs: some contracts let it end.
    pub fn ended_at_once(&self, consent: &Consent) -> Option<Arc<SignedContract>> {
        let held = self.held();
        consent.ending_at_once().find(|signed| !held.standing.contains_key(&signed.id)).cloned().map(Arc::new)
    }

    /// Whether the folder has its owner's revocation of a contract. One that was merely taken away may come back.
    pub fn is_revoked(&self, contract: &Hash) -> bool {
        self.held().revoked.contains_key(contract)
    }

    /// Sets a use of each of these aside, for an attempt that begins.
    ///
    /// # Errors
    /// `E_USED_UP`.
    pub fn reserve(&self, consent: &Consent) -> Result<(), Refusal> {
        lock(&self.uses).reserve(&consent.contracts)
    }

    /// Counts what was set aside, on disk: an answer is about to leave.
    ///
    /// # Errors
    /// `E_INTERNAL`: it cannot be written.
    pub fn count(&self, consent: &Consent) -> Result<(), Refusal> {
        lock(&self.uses).count(&consent.contracts)
    }

    /// Sets nothing aside any more for an attempt, which is over.
    pub fn release(&self, consent: &Consent) {
        lock(&self.uses).release(&consent.contracts);
    }

    fn held(&self) -> Arc<Held> {
        lock(&self.held).clone()
    }
}

/// What stands by a folder, for somebody who computes nothing and asks whether he might.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The contracts.
    pub contracts: Vec<SignedContract>,
    /// Files that are left out, and why. Nobody is let in by what is read here, so the others count all the same.
    pub left_out: Vec<String>,
}

impl Standing {
    /// By a folder.
    ///
    /// # Errors
    /// It is not there.
    pub fn read(folder: &Path, roster: &Roster, catalog: &Catalog) -> Result<Self, ContractsError> {
        let listing = Listing::of(folder).map_err(|error| ContractsError::Folder { folder: folder.into(), error })?;
        let mut contents = folder::read(folder, &listing, None, roster, catalog);
        let left_out = std::mem::take(&mut contents.refused);
        let held = Held::default().next(contents, None);
        Ok(Self { contracts: held.standing.into_values().map(Arc::unwrap_or_clone).collect(), left_out })
    }
}

/// All of a folder, or nothing.
fn take(folder: &Path, node: Option<&str>, roster: &Roster, catalog: &Catalog) -> Result<(Listing, Held), ContractsError> {
    let listing = Listing::of(folder).map_err(|error| ContractsError::Folder { folder: folder.into(), error })?;
    let contents = folder::read(folder, &listing, node, roster, catalog);
    match contents.refused.is_empty() {
        true => Ok((listing, Held::default().next(contents, node.and_then(|node| own(node, roster)).as_ref()))),
        false => Err(ContractsError::Refused(contents.refused)),
    }
}

impl Held {
    fn summary(&self) -> Summary {
        let (standing, hash) = (self.standing.len(), joblog::contracts(self.standing.keys()));
        Summary { standing, revoked: self.revoked.len(), hash, trouble: self.trouble.clone() }
    }

    /// What stands once the folder was read, for the first time or again. While there is trouble in it nothing comes into force that is not.
    fn next(&self, contents: Contents, own: Option<&VerifierKey>) -> Self {
        let Contents { mut contracts, mut revoked, refused } = contents;
        // A contract is revoked by its owner. Who revokes may have taken the contract away: of one that is not known here this node's own agency is believed, whose shares it wipes.
        revoked.retain(|(id, by)| {
            let known = contracts.get(id).map(|signed| &signed.contract.owner).or_else(|| self.owner(id));
            known.or(own) == Some(by)
        });
        let revoked: BTreeMap<Hash, VerifierKey> = revoked.into_iter().collect();
        let ended: Vec<_> = contracts.extract_if(.., |id, _| revoked.contains_key(id)).collect();
        contracts.retain(|id, _| refused.is_empty() || self.standing.contains_key(id));
        let standing: BTreeMap<_, _> = contracts.into_iter().map(|(id, signed)| (id, Arc::new(signed))).collect();
        let mut gone: BTreeMap<_, _> = self.gone.iter().chain(&self.standing).map(|(id, signed)| (*id, signed.clone())).collect();
        gone.extend(ended.into_iter().map(|(id, signed)| (id, Arc::new(signed))));
        gone.retain(|id, _| !standing.contains_key(id));
        Self { standing, revoked, gone, trouble: refused }
    }

    /// Why a question is refused; and, if what is gone would have allowed it, that there was such a contract. Nobody else is told of it.
    fn refused(&self, denial: Box<Denial>, plan: &Plan, ask: &Ask<'_>) -> Refusal {
        let mut refusal = Refusal::from(denial);
        let all: Vec<Arc<SignedContract>> = self.standing.values().chain(self.gone.values()).cloned().collect();
        let Ok(effective) = consent::check(plan, None, &all, ask) else { return refusal };
        let mut away = false;
        for signed in effective.contracts.values().filter_map(|id| self.gone.get(id)) {
            let Contract { id, dataset, .. } = &signed.contract;
            let how = match self.revoked.get(&signed.id) {
                Some(owner) => format!("was revoked by {}", owner.name()),
                None => "was taken out of this node's folder of contracts".into(),
            };
            away |= !self.revoked.contains_key(&signed.id);
            refusal.reason += &format!("; the contract `{id}` ({}) for {dataset}, which allowed it, {how}", signed.id.short());
        }
        if away {
            refusal.fix += "; or have the contract put back into this node's folder, if it was taken away by mistake";
        }
        refusal
    }

    /// Whose a contract is that the folder had before.
    fn owner(&self, contract: &Hash) -> Option<&VerifierKey> {
        self.standing.get(contract).map(|signed| &signed.contract.owner).or_else(|| self.revoked.get(contract))
    }
}

/// The key by which this node's agency signs.
fn own(node: &str, roster: &Roster) -> Option<VerifierKey> {
    roster.node(node).and_then(|listed| signs(node, &listed.key))
}

/// The contracts under which a query was admitted, one for each data set it touches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consent {
    contracts: Vec<Arc<SignedContract>>,
}

impl Consent {
    /// What parties compare before a share moves.
    pub fn hash(&self) -> Hash {
        joblog::contracts(self.contracts.iter().map(|signed| &signed.id))
    }

    /// Those whose revocation ends what runs.
    pub fn ending_at_once(&self) -> impl Iterator<Item = &SignedContract> {
        self.contracts().filter(|signed| signed.contract.revocation == Revocation::Immediate)
    }

    /// The contracts, in the order of the data sets.
    pub fn contracts(&self) -> impl Iterator<Item = &SignedContract> {
        self.contracts.iter().map(|signed| &**signed)
    }
}

/// The key by which somebody of the roster signs notes.
pub fn signs(name: &str, key: &mpc_core::identity::PublicKey) -> Option<VerifierKey> {
    VerifierKey::new(name, KeyKind::Note, key.verifying_key()).ok()
}

/// What is behind these locks is replaced as a whole: a thread that panicked has left it whole.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a node has no contracts to go by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractsError {
    /// The folder.
    #[error(
        "the folder of contracts {}: {}; make it, or correct `contracts` in the configuration (while it is empty, nothing may be asked)",
        folder.display(), mpc_core::file::unreadable_folder(error)
    )]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the file system said.
        error: std::io::Error,
    },
    /// Files in it.
    #[error("contracts are refused, and nothing is taken before all are in order:\n  {}", .0.join("\n  "))]
    Refused(Vec<String>),
    /// What was counted.
    #[error(transparent)]
    Uses(#[from] UsesError),
}

#[cfg(test)]
mod tests;
