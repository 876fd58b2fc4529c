//! Contracts: what an owner allows to be asked of one data set, said once and signed. A contract is an entry of the log, a signed
//! note over one line of canonical JSON:
//!
//! ```text
//! tacit/contract/v1
//! {"columns":{"*":["COUNT"],"kwh":["AVG","SUM"],"zone":["FILTER","GROUP"]},"countersigned":false,"dataset":"energy.buildings",…}
//!
//! — energy x08go/ZJkuBS9UG…=
//! — planning-office kT7s…=
//! ```
//!
//! What is not listed is not allowed. There is one spelling: lists are sorted and name nothing twice, numbers with a point are text
//! without needless zeros, times are UTC. A contract's id is its entry's, so a planner's counter-signature does not change it; its owner
//! ends it by an entry `tacit/revoke/v1` with that id. Whether a query keeps to it is for `query::consent` to say; what several
//! contracts allow together is their [`Terms::meet`].

mod draft;
mod terms;
mod value;

pub use self::draft::{BadOperation, PUBLIC_BENEFIT, everything};
pub use self::terms::{DataTerms, Terms};
pub use self::value::{BadValue, Bound, Decimal, Delta, Epsilon, Pattern, Time};

use crate::bytes::Hash;
use crate::entry::{self, Body, Entry, EntryError, Revoke, is_text, is_word};
use crate::key::{KeyKind, Signer, VerifierKey};
use crate::note;
use crate::signed::SignedNote;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The terms of one data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// What people call it; of the letters of names.
    pub id: String,
    /// `agency.table`.
    pub dataset: String,
    /// Who signs it: the agency's key for entries.
    pub owner: VerifierKey,
    /// Who may ask.
    pub planners: Vec<VerifierKey>,
    /// Whether a planner may ask only after signing the contract too.
    pub countersigned: bool,
    /// Who may be given an answer: planners by name.
    pub receivers: BTreeSet<String>,
    /// What for: IRIs, of the Data Privacy Vocabulary where it has one. A narrower purpose is another purpose.
    pub purposes: BTreeSet<String>,
    /// What may be done with each column; with `*`, the rows: COUNT alone.
    pub columns: BTreeMap<String, BTreeSet<Operation>>,
    /// The column that says whose a row is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_key: Option<String>,
    /// Of which domain of entities that is: the owner's contracts with one domain share a budget. `energy.household`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_domain: Option<String>,
    /// What is released is of at least so many entities, or rows if there is no entity key.
    pub min_group: u64,
    /// The most of a released sum that may come from one entity, in per cent; 100 is no bound.
    pub dominance_pct: u64,
    /// Values beyond these count as these.
    pub clamp: BTreeMap<String, (Bound, Bound)>,
    /// How many rows of an entity count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows_per_entity: Option<u64>,
    /// Noise and what may be spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dp: Option<Dp>,
    /// With which data sets it may be joined. With itself and with public tables it always may.
    pub join_with: BTreeSet<Pattern>,
    /// The weakest protocol it may go into.
    pub security: Security,
    /// What others may learn of the number of its rows.
    pub sizes: Sizes,
    /// From when on, inclusive.
    pub not_before: Time,
    /// Until when, exclusive.
    pub not_after: Time,
    /// How many answers may be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u64>,
    /// What an answer costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// What a revocation does to jobs that run.
    pub revocation: Revocation,
    /// Random: no two contracts are the same.
    pub nonce: Hash,
}

/// What may be done with a column. A closed list: what has no name here is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Operation {
    /// Its mean may come out.
    Avg,
    /// Its linear relation to another column: CORR, COVAR, REGR.
    Corr,
    /// The number of its values.
    Count,
    /// The number of its different values.
    CountDistinct,
    /// It may be compared, itself or what is computed of it, to choose what counts: WHERE, HAVING, CASE, FILTER.
    Filter,
    /// Rows may be split by it, and its values name the groups that come out.
    Group,
    /// It may be matched with another data set's.
    Join,
    /// Its largest value.
    Max,
    /// Its median and other percentiles.
    Median,
    /// Its smallest value.
    Min,
    /// Rows may be ranked or cut off by it, where it does not come out itself.
    Order,
    /// Its values may come out as they are, row by row.
    Release,
    /// Its sum.
    Sum,
    /// Its variance and standard deviation.
    Var,
}

impl Operation {
    /// All.
    pub const ALL: [Self; 14] = [
        Self::Avg,
        Self::Corr,
        Self::Count,
        Self::CountDistinct,
        Self::Filter,
        Self::Group,
        Self::Join,
        Self::Max,
        Self::Median,
        Self::Min,
        Self::Order,
        Self::Release,
        Self::Sum,
        Self::Var,
    ];

    /// As a contract spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avg => "AVG",
            Self::Corr => "CORR",
            Self::Count => "COUNT",
            Self::CountDistinct => "COUNT_DISTINCT",
            Self::Filter => "FILTER",
            Self::Group => "GROUP",
            Self::Join => "JOIN",
            Self::Max => "MAX",
            Self::Median => "MEDIAN",
            Self::Min => "MIN",
            Self::Order => "ORDER",
            Self::Release => "RELEASE",
            Self::Sum => "SUM",
            Self::Var => "VAR",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Differential privacy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dp {
    /// The most one query may spend.
    pub epsilon_per_query_max: Epsilon,
    /// The most all queries of one planner may spend in a month.
    pub epsilon_month: Epsilon,
    /// The most all queries of all planners may spend in a month: planners may tell one another what they are told. Of δ they may spend as large a part of `delta` for each `epsilon_month`.
    /// A contract with several planners says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon_month_all: Option<Epsilon>,
    /// The δ of a month.
    pub delta: Delta,
    /// Whether answers without noise are allowed.
    pub mode: DpMode,
    /// Of which kind the noise is.
    #[serde(default, skip_serializing_if = "NoiseLaw::is_default")]
    pub noise: NoiseLaw,
}

/// A kind of noise; of an earlier one less is spent of δ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseLaw {
    /// Discrete Laplace: of δ next to nothing.
    #[default]
    Laplace,
    /// The heads of fair coins: as large a part of the month's δ as of its ε, and never more than half the coins away.
    Binomial,
}

impl NoiseLaw {
    /// As a contract spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Laplace => "laplace",
            Self::Binomial => "binomial",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether answers without noise are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DpMode {
    /// They are, under the other rules.
    Optional,
    /// They are not.
    Required,
}

/// Against whom a protocol holds; later ones hold against more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// A party that keeps to the protocol and looks.
    SemiHonest,
    /// A party that does anything.
    Malicious,
}

/// What others may learn of the number of rows, beyond the bound in the catalogue; later ones tell more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sizes {
    /// Nothing.
    #[default]
    Hidden,
    /// How many are left after the owner's own filters, joins and groups, rounded up.
    Bucket,
    /// How many are left.
    Exact,
}

impl Sizes {
    /// As a contract and a catalogue spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Bucket => "bucket",
            Self::Exact => "exact",
        }
    }
}

/// What a revocation does to jobs that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// They stop before their next round.
    Immediate,
    /// They may end.
    NewJobs,
}

/// What an answer costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// In what: `credit`.
    pub unit: String,
    /// How much.
    pub per_use: u64,
}

/// The column of [`Contract::columns`] that stands for the rows.
pub const ROWS: &str = "*";

impl Contract {
    /// The note of this contract, signed by its owner.
    ///
    /// # Errors
    /// A field is out of bounds, the signer is not the owner, or the note too long.
    pub fn sign(&self, signer: &impl Signer) -> Result<String, ContractError> {
        self.check()?;
        if signer.public() != *self.owner.key() {
            return Err(ContractError::Owner { expected: self.owner.name().into() });
        }
        let terms = serde_json::to_value(self).map_err(|_| ContractError::Field("a field is no JSON"))?;
        let body = Body::Contract(entry::Contract { dataset: self.dataset.clone(), terms });
        Ok(body.sign(self.owner.name(), signer)?)
    }

    /// What it allows.
    pub fn terms(&self, id: Hash) -> Terms {
        Terms::of(self, id)
    }

    /// Whether it is in force at this time, in Unix seconds.
    pub fn in_force(&self, now: u64) -> bool {
        (self.not_before.0..self.not_after.0).contains(&now)
    }

    /// All that is wrong with it and that the types cannot say. Nobody signs or reads it before there is nothing.
    pub fn problems(&self) -> Vec<&'static str> {
        let mut problems = Vec::new();
        let mut within = |holds: bool, what| problems.extend((!holds).then_some(what));
        within(is_word(&self.id), "`id` is empty, longer than 63 bytes, or has other letters than a-z, 0-9, `_`, `-`");
        match entry::owner(&self.dataset) {
            None => within(false, "`dataset` is not `agency.table`"),
            Some(owner) => {
                within(self.owner.kind() == KeyKind::Note && self.owner.name() == owner, "`owner` is no key of the data set's agency")
            }
        }
        let planners: Vec<String> = self.planners.iter().map(ToString::to_string).collect();
        let word = |key: &VerifierKey| key.kind() == KeyKind::Note && is_word(key.name());
        within(
            sorted(&planners) && (1..=64).contains(&planners.len()) && self.planners.iter().all(word),
            "`planners` is empty, too long, not sorted, or holds a key that signs no queries",
        );
        let receivers = (1..=64).contains(&self.receivers.len()) && self.receivers.iter().all(|name| is_word(name));
        within(receivers, "`receivers` is empty, too long, or holds what is no planner's name");
        let purposes = (1..=64).contains(&self.purposes.len()) && self.purposes.iter().all(|purpose| is_iri(purpose));
        within(purposes, "`purposes` is empty, too long, or holds what is no IRI such as `https://w3id.org/dpv#PublicBenefit`");
        let named = |column: &String| is_text(column, 128) && column != ROWS;
        let rows = |column: &String, allowed: &BTreeSet<Operation>| column == ROWS && allowed.iter().eq([&Operation::Count]);
        let each = self.columns.iter().all(|(column, allowed)| !allowed.is_empty() && named(column) || rows(column, allowed));
        within(
            (1..=1024).contains(&self.columns.len()) && each,
            "`columns` is empty or too long, a column has no name or no operation, or `*` has another than COUNT",
        );
        within(self.entity_key.as_ref().is_none_or(named), "`entity_key` is no column");
        let domain = self.entity_domain.as_ref().is_none_or(|domain| domain.len() <= 128 && domain.split('.').all(is_word));
        within(domain, "`entity_domain` is longer than 128 bytes, or no words with points between them such as `energy.household`");
        within(self.entity_domain.is_none() || self.entity_key.is_some(), "`entity_domain` needs an `entity_key`");
        let clamp = |(column, (low, high)): (&String, &(Bound, Bound))| self.columns.contains_key(column) && named(column) && low <= high;
        within(self.clamp.iter().all(clamp), "`clamp` names what is not in `columns`, or a largest value below the smallest");
        within((1..=MOST).contains(&self.min_group), "`min_group` is not between 1 and 1,000,000,000");
        within((1..=100).contains(&self.dominance_pct), "`dominance_pct` is not between 1 and 100");
        let rows = self.max_rows_per_entity.is_none_or(|rows| (1..=MOST).contains(&rows));
        within(rows, "`max_rows_per_entity` is not between 1 and 1,000,000,000");
        within(self.max_rows_per_entity.is_none() || self.entity_key.is_some(), "`max_rows_per_entity` needs an `entity_key`");
        if let Some(dp) = &self.dp {
            let positive = |epsilon: Epsilon| (1..=1_000_000_000).contains(&epsilon.0);
            let spent = positive(dp.epsilon_per_query_max) && positive(dp.epsilon_month) && dp.epsilon_per_query_max <= dp.epsilon_month;
            within(spent, "`dp`: an ε is not between 0.000001 and 1000, or one query may spend more than a month");
            let all = dp.epsilon_month_all.is_none_or(|all| positive(all) && dp.epsilon_per_query_max <= all);
            within(all, "`dp`: `epsilon_month_all` is not between 0.000001 and 1000, or one query may spend more");
            let bounded = dp.epsilon_month_all.is_some() || self.planners.len() < 2;
            within(
                bounded,
                "`dp`: each of several planners may spend `epsilon_month`, and nothing says what all together may; write `epsilon_month_all`, \"epsilon_month_all\": \"4\" for instance, no more than you would give one",
            );
            within((0..Delta::ONE.0).contains(&dp.delta.0), "`dp`: `delta` is not between 0 and 1");
            within(dp.noise == NoiseLaw::Laplace || dp.delta.0 > 0, "`dp`: binomial noise spends of `delta`, which is 0");
        }
        within(self.join_with.len() <= 64, "`join_with` has more than 64 patterns");
        within(self.not_before < self.not_after, "`not_after` is not later than `not_before`");
        within(self.max_uses.is_none_or(|uses| (1..=MOST).contains(&uses)), "`max_uses` is not between 1 and 1,000,000,000");
        let price = |price: &Price| is_word(&price.unit) && price.per_use <= MOST;
        within(self.price.as_ref().is_none_or(price), "`price`: the unit is no word, or an answer costs more than 1,000,000,000");
        problems
    }

    fn check(&self) -> Result<(), ContractError> {
        self.problems().first().map_or(Ok(()), |problem| Err(ContractError::Field(problem)))
    }
}

const MOST: u64 = 1_000_000_000;

fn sorted(texts: &[String]) -> bool {
    texts.windows(2).all(|two| two[0] < two[1])
}

fn is_iri(text: &str) -> bool {
    let scheme = text.strip_prefix("https://").or_else(|| text.strip_prefix("urn:"));
    text.len() <= 200 && scheme.is_some_and(|rest| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control()))
}

/// A contract whose signatures verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedContract {
    /// The contract.
    pub contract: Contract,
    /// The id of its entry, by which it is revoked and debited.
    pub id: Hash,
    /// Planners who signed it too.
    pub countersigned: BTreeSet<String>,
}

impl SignedContract {
    /// Reads a contract's note, strictly: signed by the owner whose key the reader knows, and by none of its planners wrongly. Signatures of
    /// others count for nothing.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn open(note: &str, owner: &VerifierKey) -> Result<Self, ContractError> {
        Self::open_by(note, |_| Some(owner))
    }

    /// The same for a reader who knows several owners, by name: the data set says whose contract it is.
    ///
    /// # Errors
    /// As [`SignedContract::open`]; or nobody of that name is known.
    pub fn open_by<'k>(note: &str, owners: impl FnOnce(&str) -> Option<&'k VerifierKey>) -> Result<Self, ContractError> {
        let entry = Entry::parse(note.as_bytes())?;
        let Body::Contract(entry::Contract { dataset, terms }) = entry.body else { return Err(ContractError::Kind) };
        let name = entry::owner(&dataset).ok_or(ContractError::Field("`dataset` is not `agency.table`"))?;
        let owner = owners(name).ok_or_else(|| ContractError::Stranger { name: name.into() })?;
        let contract: Contract = serde_json::from_value(terms.clone()).map_err(|error| ContractError::Body(note::describe(&error)))?;
        if serde_json::to_value(&contract).ok() != Some(terms) {
            return Err(ContractError::Field("a list is not sorted, or names something twice"));
        }
        contract.check()?;
        if contract.owner != *owner {
            return Err(ContractError::Owner { expected: owner.name().into() });
        }
        let keys: Vec<&VerifierKey> = std::iter::once(owner).chain(&contract.planners).collect();
        let signed = SignedNote { text: entry.text, signatures: entry.signatures }.verify(&keys).map_err(EntryError::Note)?;
        if !signed.iter().any(|verified| verified.key == 0) {
            return Err(ContractError::Owner { expected: owner.name().into() });
        }
        let countersigned =
            signed.iter().filter(|verified| verified.key > 0).map(|verified| keys[verified.key].name().to_owned()).collect();
        Ok(Self { id: entry.id, countersigned, contract })
    }
}

/// Reads a revocation's note: which contract its owner ends.
///
/// # Errors
/// It is no revocation, or not signed by this owner.
pub fn open_revocation(note: &str, owner: &VerifierKey) -> Result<Hash, ContractError> {
    let entry = Entry::parse(note.as_bytes())?;
    let Body::Revoke(Revoke { contract, .. }) = entry.body else { return Err(ContractError::Kind) };
    let signed = SignedNote { text: entry.text, signatures: entry.signatures }.verify(&[owner]).map_err(EntryError::Note)?;
    if signed.is_empty() { Err(ContractError::Owner { expected: owner.name().into() }) } else { Ok(contract) }
}

/// Why a note is no contract that can be relied on. Nothing here quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// No entry at all.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// An entry of another kind.
    #[error("it is an entry of another kind")]
    Kind,
    /// Fields are missing, unknown, or of another type.
    #[error("the contract is refused: {0}")]
    Body(String),
    /// A field is out of bounds.
    #[error("the contract is refused: {0}")]
    Field(&'static str),
    /// Of an agency that the reader does not know.
    #[error("its data set is of `{name}`, which the reader does not know as an agency")]
    Stranger {
        /// Whose it would be.
        name: String,
    },
    /// Not by its owner.
    #[error("it is not signed by `{expected}`, who owns the data set, with the key the reader knows")]
    Owner {
        /// Who should have.
        expected: String,
    },
}

#[cfg(test)]
mod tests;
