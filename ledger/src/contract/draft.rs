//! A contract to begin with: what it says unless its owner says otherwise.

use super::{Contract, Operation, ROWS, Revocation, Security, Sizes, Time};
use crate::bytes::Hash;
use crate::key::VerifierKey;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// The purpose of a city's planning in the Data Privacy Vocabulary.
pub const PUBLIC_BENEFIT: &str = "https://w3id.org/dpv#PublicBenefit";

const DAY: u64 = 86_400;

impl Contract {
    /// A contract for a year from the beginning of this day (`now` in Unix seconds), of which answers go to whoever may ask, with no other data
    /// set, and which is called after its table.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn new(
        dataset: &str,
        owner: VerifierKey,
        mut planners: Vec<VerifierKey>,
        columns: BTreeMap<String, BTreeSet<Operation>>,
        now: u64,
    ) -> Result<Self, getrandom::Error> {
        let mut nonce = Hash([0; 32]);
        getrandom::fill(&mut nonce.0)?;
        planners.sort_by_key(ToString::to_string);
        let today = now - now % DAY;
        Ok(Self {
            id: name_of(dataset),
            dataset: dataset.into(),
            owner,
            countersigned: false,
            receivers: planners.iter().map(|key| key.name().to_owned()).collect(),
            planners,
            purposes: BTreeSet::from([PUBLIC_BENEFIT.to_owned()]),
            columns,
            entity_key: None,
            entity_domain: None,
            min_group: 1,
            dominance_pct: 100,
            clamp: BTreeMap::new(),
            max_rows_per_entity: None,
            dp: None,
            join_with: BTreeSet::new(),
            security: Security::SemiHonest,
            sizes: Sizes::Hidden,
            not_before: Time(today),
            not_after: Time(today + 365 * DAY),
            max_uses: None,
            price: None,
            revocation: Revocation::Immediate,
            nonce,
        })
    }
}

/// The letters of a table's name that a contract's name may have.
fn name_of(dataset: &str) -> String {
    let table = dataset.split_once('.').map_or(dataset, |(_, table)| table).to_ascii_lowercase();
    let letters = table.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '-' });
    letters.take(63).collect()
}

/// All that can be allowed of these columns, and of the rows.
pub fn everything<'a>(columns: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, BTreeSet<Operation>> {
    let rows = (ROWS.to_owned(), BTreeSet::from([Operation::Count]));
    columns.into_iter().map(|column| (column.to_owned(), Operation::ALL.into())).chain([rows]).collect()
}

impl FromStr for Operation {
    type Err = BadOperation;

    fn from_str(text: &str) -> Result<Self, BadOperation> {
        Self::ALL.into_iter().find(|operation| operation.name() == text).ok_or(BadOperation)
    }
}

/// Some text is no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadOperation;

impl std::error::Error for BadOperation {}

impl fmt::Display for BadOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Operation::ALL.iter().map(|operation| operation.name()).collect();
        write!(f, "not an operation; there are {}", names.join(", "))
    }
}
