//! What is computed of a set of rows: plain data, which plans have as they stand here.

use serde::Serialize;

/// What is computed of a set of rows. Rows in which `when` (a column of one plane; NULL is false) is not true are passed over, and so
/// are NULL values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fold {
    /// What.
    pub op: FoldOp,
    /// FILTER (WHERE …).
    pub when: Option<usize>,
}

/// The folds. Sums and counts are never NULL here: of no value they are 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FoldOp {
    /// Number of rows: a field element.
    Rows,
    /// Number of non-NULL values of a column: a field element.
    Count(usize),
    /// Number of distinct non-NULL values of a column in planes: a field element.
    CountDistinct(usize),
    /// Sum of a column of elements, in their field.
    Sum(usize),
    /// That sum over one row for each distinct non-NULL value of another column, in planes.
    SumDistinct {
        /// Whose values are told apart.
        by: usize,
        /// What is summed: a function of it.
        of: usize,
    },
    /// The value that all rows of a group have in a column that is a function of the keys (in planes). Not with `when`.
    Same(usize),
    /// Smallest value of a column in planes, NULL if there is none.
    Min(usize),
    /// Largest value of a column in planes, NULL if there is none.
    Max(usize),
    /// The values at positions floor(p (n-1)) and ceil(p (n-1)) of the n sorted non-NULL values of a column in planes, p = of.0 / of.1,
    /// are `lower` and, if `lower` is false, the upper one; NULL if n = 0. With `discrete`, the one value at position ceil(p n) - 1 (not below 0),
    /// from the largest down with `descending`: floor((1 - p) n), not above n - 1, from the smallest up.
    Percentile {
        /// The column.
        column: usize,
        /// p as a fraction.
        of: (u64, u64),
        /// Which neighbour; of no meaning if `discrete`.
        lower: bool,
        /// PERCENTILE_DISC.
        discrete: bool,
        /// PERCENTILE_DISC … ORDER BY x DESC; only with `discrete`.
        descending: bool,
    },
}

impl Fold {
    /// Whether it needs no order of the rows of a group.
    pub fn is_plain(&self) -> bool {
        matches!(self.op, FoldOp::Rows | FoldOp::Count(_) | FoldOp::Sum(_) | FoldOp::Same(_))
    }

    /// Whether it is of rows side by side: over the order of a column's values, or of one row of the group.
    pub fn needs_order(&self) -> bool {
        !self.is_plain() || matches!(self.op, FoldOp::Same(_))
    }

    /// Whether it needs no more of an order than that equal values are side by side.
    pub(super) fn is_distinct(&self) -> bool {
        matches!(self.op, FoldOp::CountDistinct(_) | FoldOp::SumDistinct { .. })
    }

    /// The columns it reads of sorted rows, besides the value that they are sorted by and whether it counts.
    pub(super) fn reads(&self) -> Vec<usize> {
        match self.op {
            FoldOp::Rows => self.when.into_iter().collect(),
            FoldOp::Count(c) | FoldOp::Sum(c) | FoldOp::Same(c) => std::iter::once(c).chain(self.when).collect(),
            FoldOp::SumDistinct { of, .. } => vec![of],
            FoldOp::CountDistinct(_) | FoldOp::Min(_) | FoldOp::Max(_) | FoldOp::Percentile { .. } => Vec::new(),
        }
    }
}
