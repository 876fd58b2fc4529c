//! Window functions, in words: plain data, which plans have as they stand here.

use super::super::{Fold, Ties};
use serde::{Serialize, Serializer};

/// A window function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// ROW_NUMBER(), in planes.
    RowNumber,
    /// RANK(), likewise.
    Rank,
    /// DENSE_RANK(), likewise.
    DenseRank,
    /// NTILE(n), likewise.
    Ntile(u64),
    /// The value of a column so many rows before (negative: after) in the partition.
    Lag {
        /// The column.
        column: usize,
        /// How many rows.
        by: i64,
        /// What it is outside the partition, instead of NULL.
        default: Option<Constant>,
    },
    /// A fold over the whole partition.
    Whole(Fold),
    /// A fold (Rows, Count or Sum) over the partition's rows up to this one and its peers in the order (`peers`), or up to this one.
    Running {
        /// Which.
        fold: Fold,
        /// RANGE: rows equal in the order count together.
        peers: bool,
    },
    /// A fold (Rows, Count or Sum) over a row and so many before it in the partition.
    Trailing {
        /// Which.
        fold: Fold,
        /// How many rows before it.
        before: u64,
    },
    /// The value of a column in the partition's first row.
    First(usize),
}

impl Function {
    /// Whether it shows how rows stand that are equal in partition and order.
    fn shows_ties(&self) -> bool {
        match self {
            Function::RowNumber | Function::Running { peers: false, .. } | Function::Trailing { .. } | Function::First(_) => true,
            Function::Ntile(tiles) => *tiles > 1,
            Function::Lag { by, .. } => *by != 0,
            Function::Rank | Function::DenseRank | Function::Whole(_) | Function::Running { peers: true, .. } => false,
        }
    }

    /// How rows must stand that are equal in partition and order: at random, if there may be such and a function shows it.
    pub fn ties(functions: &[Function], unique: bool) -> Ties {
        if functions.iter().any(Function::shows_ties) { Ties::seen(unique) } else { Ties::Any }
    }
}

/// A public value in the form of a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Constant {
    /// Of a column in planes: little-endian limbs of 64 of them.
    Planes(Vec<u64>),
    /// Of elements.
    Element(#[serde(serialize_with = "as_text")] i128),
}

impl Constant {
    /// One of its planes.
    pub fn plane(&self, number: usize) -> bool {
        matches!(self, Constant::Planes(limbs) if limbs.get(number / 64).is_some_and(|limb| limb >> (number % 64) & 1 == 1))
    }
}

/// As plans have wide integers: in digits.
fn as_text<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
