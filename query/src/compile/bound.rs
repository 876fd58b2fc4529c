//! How large a question may be. Short texts can stand for huge plans (a CTE that is read twice, whose CTE is read twice, …), and everything after the binder
//! walks plans: a question beyond these bounds is refused before it costs anything. The bounds are counts, not seconds, so that every node draws the same line.

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{Expr, LogicalPlan},
};

use super::{Code, SqlError, locate::Text};

/// Operators, each occurrence of a CTE counted.
const MOST_OPERATORS: usize = 1_500;
/// Operators one below the other.
const DEEPEST_OPERATOR: usize = 128;
/// Columns, constants and operations in all expressions together.
const MOST_TERMS: usize = 20_000;
/// Operations one inside the other.
const DEEPEST_TERM: usize = 128;

/// Whether a bound question is within the bounds.
pub(super) fn check(plan: &LogicalPlan, text: &Text) -> Result<(), SqlError> {
    let mut size = Size { operators: 0, terms: 0 };
    size.plan(plan, 1).map_err(|beyond| {
        SqlError::new(
            Code::TooLarge,
            format!("the question has {beyond}"),
            "split it, or write it flatter: IN (…) for a chain of ORs, one sub-query read once",
        )
        .at(text.first())
    })
}

struct Size {
    operators: usize,
    terms: usize,
}

impl Size {
    fn plan(&mut self, plan: &LogicalPlan, depth: usize) -> Result<(), String> {
        self.operators += 1;
        if self.operators > MOST_OPERATORS {
            return Err(format!("more than {MOST_OPERATORS} operators, each reading of a CTE or view counted"));
        }
        if depth > DEEPEST_OPERATOR {
            return Err(format!("more than {DEEPEST_OPERATOR} operators one below the other"));
        }
        let mut beyond = Ok(());
        let _ = plan.apply_expressions(|e| {
            beyond = self.term(e, 1, depth);
            Ok(if beyond.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        beyond?;
        plan.inputs().into_iter().try_for_each(|input| self.plan(input, depth + 1))
    }

    fn term(&mut self, expr: &Expr, depth: usize, operator: usize) -> Result<(), String> {
        self.terms += 1;
        if self.terms > MOST_TERMS {
            return Err(format!("more than {MOST_TERMS} columns, constants and operations"));
        }
        if depth > DEEPEST_TERM {
            return Err(format!("an expression of more than {DEEPEST_TERM} operations one inside the other"));
        }
        match expr {
            Expr::ScalarSubquery(s) => self.plan(&s.subquery, operator + 1)?,
            Expr::Exists(e) => self.plan(&e.subquery.subquery, operator + 1)?,
            Expr::InSubquery(i) => self.plan(&i.subquery.subquery, operator + 1)?,
            Expr::SetComparison(c) => self.plan(&c.subquery.subquery, operator + 1)?,
            _ => {}
        }
        let mut beyond = Ok(());
        let _ = expr.apply_children(|e| {
            beyond = self.term(e, depth + 1, operator);
            Ok(if beyond.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        beyond
    }
}
