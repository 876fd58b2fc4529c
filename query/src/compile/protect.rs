//! A question as its contracts protect it: the same SQL, of other tables and with one condition more.
//!
//! ```text
//!  choices    what sub-queries choose by CASE, where it is summed
//!  scans      clamps and caps: what the owner of a table reads of it
//!  entities   how many entities each row of a relation is made of, carried up to where groups come out
//!  given      which rows an aggregate is made of
//!  dominance  how much of a sum is of one entity
//!  margins    groups beside their total
//!  follow     which rows of a table a row of an owner's sub-plan is made of, and with which values
//!  noise      how far one entity moves a sum, and the noise that hides it
//! ```
//!
//! A minimum group, or a greatest share, is a condition on groups like HAVING, and goes the same way: what may not come out is dropped, or zeroed, on shares. It is set where a
//! group is formed, below the query's own HAVING, ORDER BY and LIMIT, so that these see nothing of what is hidden.

mod choices;
mod dominance;
mod entities;
mod follow;
mod given;
mod margins;
mod noise;
mod scans;

pub(super) use choices::where_summed;
pub(super) use entities::{Counted, Weight};
pub(super) use noise::{Moved, Spread, split};
pub(super) use scans::bounded;

pub(crate) use follow::{Level, Taken, Trail, View, follow};

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery};

use self::entities::Rule;
use super::{SqlError, facts, internal, locate::Text};
use crate::{catalog::Catalog, message::Code, protection::Protection};

/// What groups must be made of, and what that is read from.
#[derive(Clone, Copy)]
pub(super) struct Groups<'a> {
    pub(super) protection: &'a Protection,
    pub(super) catalog: &'a Catalog,
    pub(super) text: &'a Text,
    /// Among how many noised sums ε is split.
    parts: u64,
    /// Whether the question sums anything.
    sums: bool,
    /// Whether it shows groups beside their total.
    beside_total: bool,
}

impl<'a> Groups<'a> {
    /// What is asked of the groups of a question.
    pub(super) fn of(
        plan: &LogicalPlan,
        protection: &'a Protection,
        catalog: &'a Catalog,
        text: &'a Text,
        parts: u64,
    ) -> Result<Self, SqlError> {
        let groups = Groups { protection, catalog, text, parts, sums: dominance::sums(plan), beside_total: false };
        let groups = if groups.noise(plan).is_some() { groups.without_dominance()? } else { groups };
        let asked = groups.concern(plan);
        Ok(Groups { beside_total: asked && margins::beside_total(plan, protection, catalog)?, ..groups })
    }

    fn rule(self) -> Rule {
        let percent = self.protection.dominance_pct;
        Rule {
            min_group: self.protection.min_group,
            percent: (self.sums && percent < 100).then_some(percent),
            beside_total: self.beside_total,
            noisy: self.protection.noise.is_some(),
            branches: self.protection.of_branches(),
        }
    }

    /// Whether anything is asked of the groups of a plan.
    pub(super) fn concern(self, plan: &LogicalPlan) -> bool {
        let Rule { min_group, percent, .. } = self.rule();
        (min_group > 1 || percent.is_some()) && facts::tables(plan).iter().any(|t| self.protection.datasets.contains_key(t))
    }

    /// Of which entities the rows of a plan are.
    pub(super) fn counted(self, plan: &LogicalPlan) -> Result<Counted, SqlError> {
        Counted::of(plan, self)
    }

    /// A plan whose rows come out one by one, without those that are not of enough entities. ORDER BY … LIMIT and window functions see none of them.
    pub(super) fn kept(self, plan: &LogicalPlan) -> Result<LogicalPlan, SqlError> {
        if !self.concern(plan) {
            return Ok(plan.clone());
        }
        let below = match plan {
            LogicalPlan::Limit(l) => Some(&l.input),
            LogicalPlan::Sort(s) => Some(&s.input),
            LogicalPlan::Window(w) => Some(&w.input),
            LogicalPlan::Projection(p) if compares(&p.input) => Some(&p.input),
            LogicalPlan::Filter(f) if compares(&f.input) => Some(&f.input),
            LogicalPlan::SubqueryAlias(a) if compares(&a.input) => Some(&a.input),
            _ => None,
        };
        if let LogicalPlan::Union(u) = plan {
            // each row is of one of the questions
            let kept = u.inputs.iter().map(|input| self.kept(input)).collect::<Result<Vec<_>, _>>()?;
            return plan.with_new_exprs(Vec::new(), kept).map_err(internal);
        }
        if let Some(below) = below {
            return plan.with_new_exprs(plan.expressions(), vec![self.kept(below)?]).map_err(internal);
        }
        let counted = self.counted(plan)?;
        let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let (counted, Some(enough)) = counted.enough(&columns)? else { return Ok(plan.clone()) };
        let kept = LogicalPlanBuilder::from(counted).filter(enough).and_then(|b| b.project(columns));
        kept.and_then(|b| b.build()).map_err(internal)
    }
}

/// Whether what a row is, or that it is there, depends on others.
fn compares(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Limit(_) | LogicalPlan::Window(_) => true,
        LogicalPlan::Sort(s) => s.fetch.is_some() || compares(&s.input),
        LogicalPlan::Projection(p) => compares(&p.input),
        LogicalPlan::Filter(f) => compares(&f.input),
        LogicalPlan::SubqueryAlias(a) => compares(&a.input),
        _ => false,
    }
}

/// What contracts do not allow to come out, whatever columns it is of.
fn refused(what: impl Into<String>, fix: impl Into<String>) -> SqlError {
    SqlError::new(Code::NoConsent, what, fix)
}

/// The sub-query that an expression is.
fn subquery(e: &Expr) -> Option<&Subquery> {
    match e {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(within) => Some(&within.subquery),
        _ => None,
    }
}
