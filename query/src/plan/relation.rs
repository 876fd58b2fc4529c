//! Relations over private rows: what a [`Plan`](super::Plan) does where owners meet row by row, on keys nobody may see.
//!
//! ```text
//!  Home      one owner's sub-plan, padded to a public number of rows      Public: everyone's
//!  Map       columns computed row by row; rows dropped                    WHERE, expressions, HAVING
//!  Lookup    for each row of one relation the row of another, unique one  JOIN, LEFT JOIN, IN, EXISTS and their negations
//!  Pairs     all pairs of rows with equal keys, up to a public number     JOIN of many with many
//!  Cross     all pairs of rows                                            scalar sub-queries, small products
//!  Group     one row for each key                                         GROUP BY, DISTINCT
//!  Total     one row for all                                              aggregates without GROUP BY
//!  Top       the first rows in an order                                   ORDER BY … LIMIT
//!  Union     the rows of several                                          UNION ALL
//!  Noise     its sums with noise                                      differential privacy
//!  Window    columns computed from a row's partition                      OVER (PARTITION BY … ORDER BY …)
//! ```
//!
//! The number of *places* of a relation is public and follows from the catalogue, and from what owners disclose ([`sizes`](super::sizes)); which of
//! them hold a row is a secret bit. A NULL is a valid bit 0 beside a value whose planes or element are all 0; a place without a row holds
//! anything. The order of places means nothing except after [`Operator::Top`].

use super::{Ring, Source, Subplan, as_text, noise::Noised};
use ledger::contract::Sizes;
pub use protocols::rows::{Constant, Fold, FoldOp, Function, SortKey};
use serde::Serialize;

/// Position of a [`Relation`] in [`Plan::relations`](super::Plan::relations).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RelationId(pub usize);

/// Position of a [`RowNode`] among those of its [`Operator::Map`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RowNodeId(pub usize);

/// A relation, computed from earlier ones.
#[derive(Clone, Debug, Serialize)]
pub struct Relation {
    /// How.
    pub op: Operator,
    /// Its places: public.
    pub places: u64,
    /// Whether every place holds a row.
    pub full: bool,
    /// Its columns.
    pub columns: Vec<RowColumn>,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowColumn {
    /// What it is, as SQL text for people.
    pub words: String,
    /// How its values are shared.
    pub form: RowForm,
    /// Whether it has a valid bit.
    pub nullable: bool,
}

/// How the values of a column are shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowForm {
    /// One bit.
    Bit,
    /// `raw - offset` as an unsigned integer of `width` bits, where raw is the value times 10^scale.
    Planes {
        /// Power of ten.
        scale: i8,
        /// Smallest raw value.
        #[serde(serialize_with = "as_text")]
        offset: i128,
        /// Number of planes, 0 to 127.
        width: u32,
    },
    /// The position of a text in a sorted public list, in `width` bits: its order is the texts' order.
    Code {
        /// All texts.
        values: Vec<String>,
        /// Number of planes.
        width: u32,
    },
    /// UTF-8 of at most so many bytes, padded with zero bytes: 8 planes a byte, the first byte most significant.
    Text {
        /// Bytes.
        bytes: u32,
    },
    /// A field element, negative values centred: the value times 10^scale, within min..=max.
    Field {
        /// The field.
        ring: Ring,
        /// Power of ten.
        scale: i8,
        /// Smallest raw value.
        #[serde(serialize_with = "as_text")]
        min: i128,
        /// Largest raw value.
        #[serde(serialize_with = "as_text")]
        max: i128,
    },
}

impl RowForm {
    /// Bit-planes of a value; 0 for field elements.
    pub fn width(&self) -> usize {
        match self {
            RowForm::Bit => 1,
            RowForm::Planes { width, .. } | RowForm::Code { width, .. } => *width as usize,
            RowForm::Text { bytes } => 8 * *bytes as usize,
            RowForm::Field { .. } => 0,
        }
    }

    /// Its field, if it is a field element.
    pub fn ring(&self) -> Option<Ring> {
        match self {
            RowForm::Field { ring, .. } => Some(*ring),
            _ => None,
        }
    }
}

/// How a relation is computed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// The rows of a sub-plan, in clear at its owner (or everywhere, on public tables); its output columns are the relation's, in order. More
    /// rows than places is an error at the owner.
    Home {
        /// Who runs it.
        source: Source,
        /// What is run.
        plan: Subplan,
        /// What the other parties learn of how many rows there are, before these are shared ([`super::Plan::sized`]).
        sizes: Sizes,
    },
    /// Columns computed row by row.
    Map {
        /// From these rows.
        input: RelationId,
        /// Expressions; an operand has a smaller id than the node that uses it.
        nodes: Vec<RowNode>,
        /// For each output column its value, and its valid bit if it is nullable. The value is 0 where the valid bit is.
        columns: Vec<(RowNodeId, Option<RowNodeId>)>,
        /// The bit that says which rows stay; all, if `None`.
        keep: Option<RowNodeId>,
    },
    /// For each row of `base` the row of `table` with equal keys, at most one (`table` is unique on them; that it is, is checked: one
    /// opened bit). A NULL key equals nothing. Columns: those of base; `columns` of table; one bit, whether there is such a row.
    Lookup {
        /// Whose rows and order stay.
        base: RelationId,
        /// Where is looked.
        table: RelationId,
        /// Pairs of columns (of base, of table), of equal forms.
        on: Vec<(usize, usize)>,
        /// Columns of `table` that are kept. NULL where there is no row if the output column is nullable, else anything.
        columns: Vec<usize>,
        /// Whether uniqueness follows from how `table` is computed and need not be checked.
        proved: bool,
        /// How equal keys are found.
        search: Search,
    },
    /// All pairs of a row of `left` and a row of `right` with equal keys. More pairs than places is an error (one opened bit).
    /// Columns: those of left, then those of right.
    Pairs {
        /// One side.
        left: RelationId,
        /// The other.
        right: RelationId,
        /// Pairs of columns, of equal forms.
        on: Vec<(usize, usize)>,
    },
    /// All pairs of places: the places of `right` run faster. Columns: those of left, then those of right.
    Cross {
        /// One side.
        left: RelationId,
        /// The other.
        right: RelationId,
    },
    /// One row for each tuple of keys (NULL equals NULL here). Columns: the keys, then one for each fold. Fewer places than `input` only
    /// where the keys' forms do not allow more tuples.
    Group {
        /// Of these rows.
        input: RelationId,
        /// Columns: Bit, Planes, Code or Text.
        keys: Vec<usize>,
        /// What is computed of each group.
        folds: Vec<Fold>,
    },
    /// One row for all rows, even if there is none. One column for each fold.
    Total {
        /// Of these rows.
        input: RelationId,
        /// What is computed.
        folds: Vec<Fold>,
    },
    /// The rows after the first `skip` in this order, as many as there are places; rows come first, in order.
    Top {
        /// Of these rows.
        input: RelationId,
        /// The order.
        by: Vec<SortKey>,
        /// Whether no two rows are equal in it, by what the catalogue says. Else ties are broken at random.
        unique: bool,
        /// Rows left out.
        skip: u64,
    },
    /// The rows of all inputs, one after the other. Forms of a column are equal; it is nullable if any input's is.
    Union {
        /// Of these.
        inputs: Vec<RelationId>,
    },
    /// The one row of `input` with noise on its sums, 0 for NULL, without its last columns, which are compared only: there is no row if one of them is less
    /// than its threshold, noise and all.
    Noise {
        /// Of this row.
        input: RelationId,
        /// The noise on columns of form Field.
        noised: Vec<Noised>,
        /// The thresholds of the last columns.
        #[serde(serialize_with = "texts")]
        least: Vec<i128>,
    },
    /// The columns of `input`, then one for each function.
    Window {
        /// Of these rows.
        input: RelationId,
        /// Rows with equal values here (NULL equals NULL) form a partition.
        partition: Vec<usize>,
        /// Their order within it.
        by: Vec<SortKey>,
        /// Whether no two rows are equal in both, by what the catalogue says. Else ties are broken at random where a function shows how they stand.
        unique: bool,
        /// What is computed.
        functions: Vec<Function>,
    },
}

/// How the rows of two sides that have equal keys are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// The rows of both sides are sorted together by their keys, and what is found goes back to base's rows.
    Sort,
    /// The rows of both sides are sorted together by their keys, and base's rows stay in that order, where a group-by of the same keys finds them side by side.
    SortInOrder,
    /// One owner asks another for the rows with its keys. Both know their keys in clear, and the other what its rows have: their rows come from
    /// home, place by place, and so do these columns.
    Ask,
}

/// An expression over a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct RowNode {
    /// How it is computed.
    pub op: RowOp,
    /// What its value is.
    pub kind: RowKind,
}

/// What a node's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// One bit.
    Bit,
    /// An unsigned integer of so many bits.
    Planes(u32),
    /// A field element.
    Field(Ring),
}

/// Row by row operations. Operands of binary operations on planes may be narrower than the other: their upper planes are 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOp {
    /// The value of an input column: Bit, Planes (also of Code and Text) or Field.
    Column(usize),
    /// The valid bit of a nullable input column.
    Valid(usize),
    /// A constant bit.
    Bit(bool),
    /// A constant unsigned integer, most significant 128 bits first for texts: little-endian limbs of 64 bits.
    Integer(Vec<u64>),
    /// A constant element.
    Element(#[serde(serialize_with = "as_text")] i128),
    /// Complement of a bit.
    Not(RowNodeId),
    /// Conjunction of bits.
    And(Vec<RowNodeId>),
    /// Disjunction of bits.
    Or(Vec<RowNodeId>),
    /// a < b, of planes: a bit.
    Less(RowNodeId, RowNodeId),
    /// a = b, of planes or bits: a bit.
    Equal(RowNodeId, RowNodeId),
    /// a + b, of planes; it fits the node's width.
    Add(RowNodeId, RowNodeId),
    /// a - b, of planes; it is not negative.
    Sub(RowNodeId, RowNodeId),
    /// The second operand where the bit is 1, else the third: bits, planes or elements, all of the node's kind.
    Select(RowNodeId, RowNodeId, RowNodeId),
    /// A bit as the element 0 or 1.
    Lift(RowNodeId),
    /// Planes + offset as an element.
    ToField(RowNodeId, #[serde(serialize_with = "as_text")] i128),
    /// An element - offset as planes; it is not negative and fits the node's width.
    ToPlanes(RowNodeId, #[serde(serialize_with = "as_text")] i128),
    /// Whether an element is negative: a bit.
    Negative(RowNodeId),
    /// Whether an element is 0: a bit.
    Zero(RowNodeId),
    /// Σ coefficient × element + constant.
    Linear(#[serde(serialize_with = "as_terms")] Vec<(i128, RowNodeId)>, #[serde(serialize_with = "as_text")] i128),
    /// Product of two elements.
    Product(RowNodeId, RowNodeId),
    /// a / b of planes, rounded towards 0 after multiplying a by 10^shift: planes. Where b = 0: 0.
    Quotient {
        /// Dividend.
        a: RowNodeId,
        /// Divisor.
        b: RowNodeId,
        /// Decimal digits.
        shift: u32,
        /// Whether the last digit is rounded half away from 0 instead.
        round: bool,
    },
    /// Planes divided by a public number, rounded down: planes.
    Floor {
        /// The dividend.
        of: RowNodeId,
        /// The divisor, at least 1.
        #[serde(serialize_with = "as_text")]
        by: i128,
    },
    /// Planes moved up by so many: planes.
    Shift(RowNodeId, u32),
    /// The value of a public list at this position, 0 beyond its end: planes. Values are limbs as those of integers.
    Listed(RowNodeId, Vec<Vec<u64>>),
    /// A part of a date given as planes of days since 1970-01-01 minus offset: planes of the part minus its own offset.
    DatePart {
        /// The days.
        of: RowNodeId,
        /// Days of plane value 0.
        #[serde(serialize_with = "as_text")]
        offset: i128,
        /// Which part.
        part: DatePart,
        /// Value of the part that plane value 0 stands for.
        base: i32,
    },
}

impl RowOp {
    /// The values that a public list has at most.
    pub const MOST_LISTED: usize = 1 << 12;
}

/// Parts of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DatePart {
    /// Calendar year.
    Year,
    /// 1 to 12.
    Month,
    /// 1 to 31.
    Day,
    /// 1 to 4.
    Quarter,
    /// 1 to 92.
    DayOfQuarter,
    /// 1 to 366.
    DayOfYear,
    /// Days until the same day so many months later, or the last of that month.
    Later(i32),
}

fn as_terms<S: serde::Serializer>(terms: &[(i128, RowNodeId)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(terms.iter().map(|(c, n)| (c.to_string(), n)))
}

fn texts<S: serde::Serializer>(all: &[i128], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(i128::to_string))
}
