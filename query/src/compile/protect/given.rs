//! Which rows an aggregate is made of: those that FILTER lets pass, in which its arguments are not NULL, and in which no CASE of it says 0. A sum of
//! `CASE WHEN … THEN x ELSE 0 END` is made of the rows of its THEN.

use datafusion::{
    arrow::datatypes::DataType,
    logical_expr::{Case, Expr, ExprSchemable, Operator, lit},
};

use crate::compile::{
    SqlError,
    facts::{self, Input},
    internal, range,
    release::aggregate_function,
};

/// The conditions of some aggregates, each once; `None`: all rows. What is said of fewer rows is said of all.
pub(super) fn of(aggregates: &[Expr], input: Input<'_>) -> Result<Vec<Option<Expr>>, SqlError> {
    let mut all: Vec<Expr> = Vec::new();
    for e in aggregates {
        let f = aggregate_function(e).ok_or_else(|| internal("an aggregate is a function"))?;
        let mut conditions: Vec<Expr> = f.params.filter.as_deref().cloned().into_iter().collect();
        for arg in f.params.args.iter().filter(|arg| !matches!(arg, Expr::Literal(v, _) if !v.is_null())) {
            if facts::nullable(arg, input) {
                conditions.push(arg.clone().is_not_null());
            }
            if f.func.name() != "count" {
                conditions.extend(chosen(arg, input));
            }
        }
        let condition = conditions.into_iter().reduce(Expr::and);
        if let Some(condition) = condition.filter(|c| !all.contains(c)) {
            all.push(condition);
        }
    }
    Ok(if all.is_empty() { vec![None] } else { all.into_iter().map(Some).collect() })
}

/// Where a value is not 0 because a CASE, or a condition as a number, says so; `None`: nothing says that it is.
fn chosen(e: &Expr, input: Input<'_>) -> Option<Expr> {
    match e {
        Expr::Alias(a) => chosen(&a.expr, input),
        Expr::Negative(e) => chosen(e, input),
        Expr::Cast(c) => match c.expr.get_type(input.schema).ok()? {
            DataType::Boolean => Some(c.expr.as_ref().clone().is_true()),
            _ => chosen(&c.expr, input),
        },
        Expr::Case(c) => branches(c, input),
        Expr::BinaryExpr(b) => match (b.op, chosen(&b.left, input), chosen(&b.right, input)) {
            (Operator::Multiply, left, right) => [left, right].into_iter().flatten().reduce(Expr::and),
            (Operator::Divide, left, _) => left,
            (Operator::Plus | Operator::Minus, left, right) => Some(left?.or(right?)),
            _ => None,
        },
        Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            ("abs", [x]) => chosen(x, input),
            ("coalesce", [x, zero]) if is_zero(zero) => {
                let there = facts::nullable(x, input).then(|| x.clone().is_not_null());
                there.into_iter().chain(chosen(x, input)).reduce(Expr::and)
            }
            _ => None,
        },
        _ => None,
    }
}

fn branches(c: &Case, input: Input<'_>) -> Option<Expr> {
    let nothing = lit(0i64);
    let all: Vec<_> = c.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain([c.else_expr.as_deref().unwrap_or(&nothing)]).collect();
    if all.iter().all(|then| !is_zero(then) && chosen(then, input).is_none()) {
        return None;
    }
    let mut before: Option<Expr> = None;
    let mut any: Option<Expr> = None;
    let and = |a: Option<Expr>, b: Option<Expr>| [a, b].into_iter().flatten().reduce(Expr::and);
    for (i, then) in all.iter().enumerate() {
        let when = c.when_then_expr.get(i).map(|(when, _)| match &c.expr {
            Some(base) => base.as_ref().clone().eq(when.as_ref().clone()),
            None => when.as_ref().clone(),
        });
        if !is_zero(then) {
            let here = and(and(before.clone(), when.clone().map(Expr::is_true)), chosen(then, input)).unwrap_or_else(|| lit(true));
            any = Some(any.map_or(here.clone(), |any: Expr| any.or(here)));
        }
        before = and(before, when.map(Expr::is_not_true));
    }
    Some(any.unwrap_or_else(|| lit(false)))
}

fn is_zero(e: &Expr) -> bool {
    match e {
        Expr::Alias(a) => is_zero(&a.expr),
        Expr::Cast(c) => is_zero(&c.expr),
        Expr::Literal(v, _) => v.is_null() || range::literal(v).is_some_and(|i| i == range::Interval::ZERO),
        _ => false,
    }
}
