//! Orders of rows, in words: plain data, which plans have as they stand here.

use serde::Serialize;

/// A column to sort by. It is in planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct SortKey {
    /// The column.
    pub column: usize,
    /// Largest first.
    pub descending: bool,
    /// NULLs before everything else.
    pub nulls_first: bool,
}

/// How rows of equal keys stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// Anyhow.
    Any,
    /// At random: rows in this order come out, and should show nothing of the one before.
    Random,
}

impl Ties {
    /// Of rows whose places are seen, if it is known whether any are tied.
    pub fn seen(unique: bool) -> Self {
        if unique { Ties::Any } else { Ties::Random }
    }
}

/// Rows with equal values side by side: the order of the planes, NULL first.
pub(super) fn side_by_side(column: usize) -> SortKey {
    SortKey { column, descending: false, nulls_first: true }
}
