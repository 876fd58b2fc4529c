//! What the catalogue allows to be shown.

use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use super::MOST_LISTED;
use crate::compile::{
    SqlError,
    expr::said,
    facts::{self, Facts},
    rows::{Rows, form},
};

impl Rows<'_> {
    /// Rows of private tables may be shown only if their owners' catalogue entries say so.
    pub(super) fn may_show_rows(&self, plan: &LogicalPlan) -> Result<(), SqlError> {
        let closed: Vec<_> = facts::tables(plan).into_iter().filter(|t| self.catalog.table(t).is_none_or(|t| !t.rows_released)).collect();
        if closed.is_empty() {
            return Ok(());
        }
        let tables = closed.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
        Err(SqlError::unsupported(
            format!("the answer would show rows of the private table {tables}"),
            "aggregate: SELECT COUNT(*), SUM(…), AVG(…) …; or have its owner declare release = \"rows\" in the catalogue",
        )
        .at(self.text.keyword("SELECT")))
    }

    /// Which values of a group key occur is seen: the values must be public, or the tables' rows may be.
    pub(super) fn may_show_keys(&self, a: &Aggregate) -> Result<(), SqlError> {
        let facts = Facts::of(&a.input, self.catalog);
        if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return Err(SqlError::unsupported("ROLLUP, CUBE and GROUPING SETS are not supported", "ask one question for each grouping"));
        }
        for key in &a.group_expr {
            let known = form::known_of(key, a.input.schema(), &facts.columns, self.catalog);
            let few = form::values(&known, self.catalog).is_some_and(|n| n <= MOST_LISTED);
            if known.draws.is_some() || known.values.is_some() || few {
                continue;
            }
            let closed: Vec<_> =
                facts::tables(&a.input).into_iter().filter(|t| self.catalog.table(t).is_none_or(|t| !t.rows_released)).collect();
            if !closed.is_empty() {
                return Err(SqlError::unsupported(
                    format!("the group key {} is private: which of its values occur would be seen in the answer", said(key)),
                    "group by a public table's column, a column with a domain or dictionary in the catalogue, or a condition; or have the owner declare release = \"rows\"",
                )
                .at(self.text.expr(key)));
            }
        }
        Ok(())
    }
}
