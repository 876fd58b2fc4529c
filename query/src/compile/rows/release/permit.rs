//! What the catalogue allows to be shown.

use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use crate::compile::{
    Compiler, SqlError,
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
            return Err(Compiler::new(self.catalog, self.text).grouping_sets());
        }
        let known: Vec<_> = a.group_expr.iter().map(|key| form::known_of(key, a.input.schema(), &facts.columns, self.catalog)).collect();
        let closed = facts::tables(&a.input).into_iter().any(|t| self.catalog.table(&t).is_none_or(|t| !t.rows_released));
        if let Some(i) = form::private_key(&known, self.catalog).filter(|_| closed) {
            let key = &a.group_expr[i];
            return Err(form::is_private(&said(key), self.text.expr(key)));
        }
        Ok(())
    }
}
