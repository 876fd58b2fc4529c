//! What EXPLAIN says, line by line.

use crate::message::Measured;
use crate::plan::Decided;
use ledger::budget::Loss;
use ledger::contract::{SignedContract, Sizes};
use serde::{Deserialize, Serialize};

/// A contract that allows a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractLine {
    /// What people call it.
    pub contract: String,
    /// The beginning of its id.
    pub id: String,
    /// Its data set.
    pub dataset: String,
    /// What for.
    pub purposes: Vec<String>,
    /// Until when.
    pub until: String,
    /// What a planner may spend in a month, if it asks for noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Loss>,
    /// What an answer costs, such as `3 credit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
}

impl ContractLine {
    /// What there is to say of a contract.
    pub fn of(signed: &SignedContract) -> Self {
        let contract = &signed.contract;
        Self {
            contract: contract.id.clone(),
            id: signed.id.short(),
            dataset: contract.dataset.clone(),
            purposes: contract.purposes.iter().cloned().collect(),
            until: contract.not_after.to_string(),
            budget: contract.dp.as_ref().map(Loss::of_month),
            price: contract.price.as_ref().map(|price| format!("{} {}", price.per_use, price.unit)),
        }
    }
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameLine {
    /// Its name.
    pub name: String,
    /// Its rows: public.
    pub rows: u64,
}

/// A sub-plan at its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanLine {
    /// Who runs it: a party, or `public` for everyone.
    pub owner: String,
    /// For which rows.
    pub frame: String,
    /// What is run.
    pub plan: String,
    /// What of it is shared (or, if public, used).
    pub columns: Vec<ColumnLine>,
}

/// Rows at their owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsLine {
    /// Who runs it: a party, or `public` for everyone.
    pub owner: String,
    /// Places the rows have: public.
    pub places: u64,
    /// Whether fewer rows are padded to them, so that how many there are stays hidden.
    pub padded: bool,
    /// What the other parties are told of how many there are, before these are shared. The places are then as many, and what is stated of all that
    /// follows is the most it may come to.
    #[serde(default)]
    pub sizes: Sizes,
    /// What is run.
    pub plan: String,
    /// What of it is shared (or, if public, used).
    pub columns: Vec<ColumnLine>,
    /// Whether nothing of it is shared: another owner asks for rows by their keys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
    /// The columns by which they are sorted at home, so that a join need not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sorted: Vec<String>,
}

/// A column that enters the joint stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnLine {
    /// What it is, as SQL.
    pub what: String,
    /// Its range, as scaled integers; empty for bits and labels.
    pub range: String,
    /// The forms in which it is shared: `14 bits`, `Fp61`.
    pub forms: Vec<String>,
}

/// A step of the joint stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLine {
    /// The operator.
    pub operator: String,
    /// On what.
    pub what: String,
    /// Rows it works on.
    pub rows: u64,
    /// Rounds.
    pub rounds: u64,
    /// Payload bytes each party sends.
    pub bytes: Vec<u64>,
    /// Whether rounds and bytes are expected, and what they will be depends on a random order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expected: bool,
    /// How it is computed, and why so where there is no other way.
    #[serde(default)]
    pub how: String,
    /// What the cost model chose in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<ChoiceLine>,
    /// What it did cost, party by party in the same order, once it has run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
}

/// A choice of the cost model: of several ways the one of least estimated time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceLine {
    /// What there was to choose.
    pub of: String,
    /// The way that is gone, then the others, the quickest first.
    pub ways: Vec<WayLine>,
}

/// What the compiler decided, and what the other way would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedLine {
    /// What, and why.
    #[serde(flatten)]
    pub decided: Decided,
    /// If there is another way: the whole question as it is, and as it would be, or why it would not be; of time, what the network takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighed: Option<(WayLine, Result<WayLine, String>)>,
}

/// One of several ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayLine {
    /// Which.
    pub what: String,
    /// Rounds.
    pub rounds: u64,
    /// Payload bytes of the party that sends most.
    pub bytes: u64,
    /// Whether rounds and bytes are expected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expected: bool,
    /// Microseconds it is estimated to take, with the local work the cost model knows of.
    pub micros: u64,
}

/// One thing the planner learns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealLine {
    /// What.
    pub what: String,
    /// For what.
    pub per: String,
    /// Why.
    pub why: String,
}
