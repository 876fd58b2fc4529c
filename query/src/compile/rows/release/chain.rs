//! Chains of filters, orders and limits over an aggregate.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::compile::{SqlError, internal, rows::substituted};

/// Whether a plan computes on what an aggregate yields.
pub(super) fn over_aggregate(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(_) => true,
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_) => plan.inputs().first().is_some_and(|input| over_aggregate(input)),
        _ => false,
    }
}

/// Whether the places of a plan's relation are in the order the query asks for.
pub(super) fn in_order(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Limit(_) => true,
        LogicalPlan::Sort(s) => s.fetch.is_some(),
        LogicalPlan::Projection(p) => in_order(&p.input),
        LogicalPlan::SubqueryAlias(a) => in_order(&a.input),
        _ => false,
    }
}

/// LIMIT over a projection: the chain of limit and order, and the projection.
pub(super) fn limited(plan: &LogicalPlan) -> Option<(&LogicalPlan, &datafusion::logical_expr::Projection)> {
    let inner = |p: &'_ LogicalPlan| matches!(p, LogicalPlan::Projection(_));
    match plan {
        LogicalPlan::Limit(l) => match l.input.as_ref() {
            LogicalPlan::Sort(s) if inner(&s.input) => match s.input.as_ref() {
                LogicalPlan::Projection(p) => Some((plan, p)),
                _ => None,
            },
            LogicalPlan::Projection(p) => Some((plan, p)),
            _ => None,
        },
        _ => None,
    }
}

/// A limit and order over a projection, moved below it.
pub(super) fn rebased(chain: &LogicalPlan, projection: &[Expr], below: LogicalPlan) -> Result<LogicalPlan, SqlError> {
    match chain {
        LogicalPlan::Limit(l) => {
            let input = rebased(&l.input, projection, below)?;
            Ok(LogicalPlan::Limit(datafusion::logical_expr::Limit { skip: l.skip.clone(), fetch: l.fetch.clone(), input: Arc::new(input) }))
        }
        LogicalPlan::Sort(s) => {
            let exprs = s
                .expr
                .iter()
                .map(|e| Ok(datafusion::logical_expr::SortExpr { expr: substituted(&e.expr, s.input.schema(), projection)?, ..e.clone() }))
                .collect::<Result<Vec<_>, SqlError>>()?;
            let input = rebased(&s.input, projection, below)?;
            Ok(LogicalPlan::Sort(datafusion::logical_expr::Sort { expr: exprs, input: Arc::new(input), fetch: s.fetch }))
        }
        _ => Ok(below),
    }
}

/// The plan with another aggregate at the bottom, whose first columns are the old one's.
pub(super) fn replaced(plan: &LogicalPlan, aggregate: LogicalPlan) -> Result<LogicalPlan, SqlError> {
    match plan {
        LogicalPlan::Aggregate(_) => Ok(aggregate),
        other => {
            let input = replaced(other.inputs().first().ok_or_else(|| internal("a chain over an aggregate"))?, aggregate)?;
            other.with_new_exprs(other.expressions(), vec![input]).map_err(internal)
        }
    }
}
