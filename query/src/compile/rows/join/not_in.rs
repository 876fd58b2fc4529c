//! NOT IN, where something may be NULL.

use datafusion::{
    common::Column,
    logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, not},
};

use super::Sides;
use crate::compile::{
    SqlError,
    facts::Facts,
    internal,
    rows::{Asked, Demand, Rows, form},
};

impl Rows<'_> {
    /// x NOT IN (…) is true if nothing is listed, or if x is not NULL, nor anything that is listed, and x is not listed. What is listed are the rows for which the
    /// conditions between the sub-query and the outer query hold: each of the three is an EXISTS under these, and what cannot be NULL needs fewer.
    pub(super) fn not_in(&mut self, sides: Sides<'_>, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        let listed = join.right.schema().columns().into_iter().next().map(Expr::Column).ok_or_else(|| internal("a list is a column"))?;
        // conditions that correlate come behind it
        let at = join.on.iter().position(|(_, key)| *key == listed);
        let x_may_be = at.is_some_and(|at| self.may_be_null(&join.on[at].0, &join.left));
        let listed_may_be = self.may_be_null(&listed, &join.right);
        if !x_may_be && !listed_may_be {
            return self.exists(sides, &Join { null_aware: false, ..join.clone() }, demands);
        }
        // a value that is no column has become a condition on the list, and the list's NULLs are gone
        let (Some(at), JoinType::LeftAnti) = (at, join.join_type) else {
            return Err(super::constant_in_nulls().at(self.text.keyword("IN")));
        };
        let x = join.on[at].0.clone();
        let mut correlated = join.on.clone();
        correlated.remove(at);
        let columns: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
        let mark = |of: LogicalPlan, list: LogicalPlan, on: &[(Expr, Expr)], name: &str| {
            let mut columns: Vec<Expr> = of.schema().columns().into_iter().map(Expr::Column).collect();
            let (filter, constraint, nulls) = (join.filter.clone(), join.join_constraint, join.null_equality);
            let met = Join::try_new(of.into(), list.into(), on.to_vec(), filter, JoinType::LeftMark, constraint, nulls, false)?;
            columns.extend(met.schema.columns().pop().map(|mark| Expr::Column(mark).alias(name)));
            LogicalPlanBuilder::from(LogicalPlan::Join(met)).project(columns)?.build()
        };
        let marked = |name: &str| Expr::Column(Column::from_name(name)).is_true();
        let (list, mut of) = (join.right.as_ref(), join.left.as_ref().clone());
        of = mark(of, list.clone(), &join.on, MET).map_err(internal)?;
        let mut keep = not(marked(MET));
        if listed_may_be {
            let nulls = LogicalPlanBuilder::from(list.clone()).filter(listed.is_null()).and_then(|b| b.build()).map_err(internal)?;
            of = mark(of, nulls, &correlated, NULL).map_err(internal)?;
            keep = keep.and(not(marked(NULL)));
        }
        if x_may_be {
            of = mark(of, list.clone(), &correlated, LISTED).map_err(internal)?;
            keep = not(marked(LISTED)).or(x.is_not_null().and(keep));
        }
        let whole = LogicalPlanBuilder::from(of).filter(keep).and_then(|b| b.project(columns)).and_then(|b| b.build()).map_err(internal)?;
        self.lower(&whole, demands)
    }

    fn may_be_null(&self, e: &Expr, plan: &LogicalPlan) -> bool {
        form::known_of(e, plan.schema(), &Facts::of(plan, self.catalog).columns, self.catalog).nullable
    }
}

/// NOT IN of a value that is no column, where something may be NULL.
pub(in crate::compile) fn constant_in_nulls() -> SqlError {
    SqlError::unsupported(
        "NOT IN (sub-query) of a value that is no column, where the value or the list may be NULL",
        "write NOT EXISTS (SELECT 1 … WHERE key = value OR key IS NULL)",
    )
}

/// The columns of marks: whether x is listed, whether a NULL is, whether anything is.
const MET: &str = "__met";
const NULL: &str = "__null";
const LISTED: &str = "__listed";
