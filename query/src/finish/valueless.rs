//! What the planner computes in clear of released numbers may have no value, as in SQL: a quotient by 0, a CAST to a type that does not hold what came out. Then there is no answer;
//! which expression it was is found by computing its parts by themselves, and said with what to write instead.

use super::FinishError;
use crate::compile::words::words;
use crate::compile::{SqlError, deep, only_place_of, sql_type};
use crate::local::{DIVISION_BY_ZERO, DOES_NOT_FIT, Local, LocalError, Tables};
use crate::message::Code;
use crate::plan::Subplan;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator};

/// An expression of the answer that has no value in some row.
#[derive(Debug, Clone)]
pub struct Valueless {
    error: SqlError,
    /// How it may be written in the question.
    tokens: &'static [&'static str],
    /// What the column is called that it is part of.
    column: Option<String>,
}

impl std::fmt::Display for Valueless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.error.code, self.error)
    }
}

impl Valueless {
    /// The error, with its place in the question if there is only one that it can be.
    pub fn found_in(&self, sql: &str) -> SqlError {
        let column = || only_place_of(sql, &[self.column.as_deref()?]);
        let (line, column) = only_place_of(sql, self.tokens).or_else(column).unzip();
        SqlError { line, column, ..self.error.clone() }
    }
}

/// Why an answer could not be computed from what was released: which expression has no value, if one has none.
pub(super) fn explained(error: LocalError, answer: &Subplan, tables: &Tables, local: &Local) -> FinishError {
    let computed = Computed { local, tables };
    let valueless = match error {
        LocalError::Run { what: DIVISION_BY_ZERO | DOES_NOT_FIT, .. } => {
            deep(|| computed.valueless(answer.logical())).ok().flatten().flatten()
        }
        _ => None,
    };
    valueless.map_or(FinishError::Answer(error), |valueless| FinishError::Valueless(Box::new(valueless)))
}

/// What the answer is computed by, and from.
struct Computed<'a> {
    local: &'a Local,
    tables: &'a Tables,
}

impl Computed<'_> {
    /// How a plan fails, if it does.
    fn failure(&self, plan: LogicalPlan) -> Option<&'static str> {
        match self.local.run(&Subplan::new(plan), self.tables, "a part of the answer") {
            Err(LocalError::Run { what, .. }) => Some(what),
            _ => None,
        }
    }

    /// The expression that has no value, of the lowest node that fails.
    fn valueless(&self, plan: &LogicalPlan) -> Option<Valueless> {
        self.failure(plan.clone())?;
        if let Some(below) = plan.inputs().into_iter().find_map(|input| self.valueless(input)) {
            return Some(below);
        }
        let mut found = None;
        let walked = plan.apply_subqueries(|subquery| {
            found = self.valueless(subquery);
            Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        if walked.is_err() || found.is_some() {
            return found;
        }
        let [input] = plan.inputs()[..] else { return None };
        plan.expressions().iter().find_map(|expr| {
            let (part, what) = self.innermost(expr, input)?;
            let column = if let Expr::Alias(alias) = expr { Some(alias.name.clone()) } else { None };
            of(&part, what, column)
        })
    }

    /// The smallest part of an expression that cannot be computed by itself over these rows, and how it fails.
    fn innermost(&self, expr: &Expr, input: &LogicalPlan) -> Option<(Expr, &'static str)> {
        let alone = || LogicalPlanBuilder::from(input.clone()).project([expr.clone()]).and_then(LogicalPlanBuilder::build).ok();
        let failure = match expr {
            Expr::Column(_) | Expr::Literal(..) => return None,
            // of rows that are folded, or of a partition: what they are made of is computed by itself
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => None,
            _ => Some(self.failure(alone()?)?),
        };
        let mut part = None;
        let walked = expr.apply_children(|child| {
            part = self.innermost(child, input);
            Ok(if part.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        walked.ok()?;
        part.or_else(|| Some((expr.clone(), failure?)))
    }
}

/// What is said of it.
fn of(expr: &Expr, what: &str, column: Option<String>) -> Option<Valueless> {
    let said = |code, message: String, fix: String, tokens| Some(Valueless { error: SqlError::new(code, message, fix), tokens, column });
    match as_written(expr.clone()) {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Divide | Operator::Modulo), right }) if what == DIVISION_BY_ZERO => {
            let divisor = words(&right);
            let of = words(&Expr::BinaryExpr(BinaryExpr { left, op, right }));
            said(
                Code::Sql,
                format!("{of} divides by 0 in a row of the answer, and has no value there"),
                format!("write NULLIF({divisor}, 0) instead of {divisor} behind the `{op}`, which is NULL then"),
                if op == Operator::Divide { &["/"] } else { &["%"] },
            )
        }
        Expr::Cast(cast) if what == DOES_NOT_FIT => {
            let (value, ty) = (words(&cast.expr), sql_type(cast.field.data_type()));
            said(
                Code::Width,
                format!("CAST({value} AS {ty}) does not hold a value of the answer"),
                format!("write TRY_CAST({value} AS {ty}), which is NULL then, or CAST it to a wider type"),
                &["CAST", "::"],
            )
        }
        _ => None,
    }
}

/// The names that DataFusion gives to aggregates say of which type a number is.
fn as_written(expr: Expr) -> Expr {
    let renamed = expr.clone().transform(|expr| match expr {
        Expr::Column(column) if column.name.contains("Int64(") => {
            let mut name = column.name.replace("count(Int64(1))", "COUNT(*)");
            while let Some((before, (number, after))) =
                name.split_once("Int64(").and_then(|(before, rest)| Some((before, rest.split_once(')')?)))
            {
                name = format!("{before}{number}{after}");
            }
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
        }
        other => Ok(Transformed::no(other)),
    });
    renamed.map_or(expr, |renamed| renamed.data)
}
