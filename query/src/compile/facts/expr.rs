//! Facts of expressions.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, ExprSchemable, Operator},
};

use super::{Input, Known, Origin};
use crate::compile::expr::Reads;
use crate::compile::{range, real, total};

/// What is known of an expression over a relation's columns.
pub(in crate::compile) fn of_expr(expr: &Expr, input: Input<'_>) -> Known {
    if let Expr::Alias(a) = expr {
        return of_expr(&a.expr, input);
    }
    if let Expr::Column(c) = expr
        && let Some(known) = input.column(c)
    {
        return known.clone();
    }
    let (range, wide) = match range::of(expr, input) {
        Ok(range) => (range, None),
        Err(why) => (None, Some(why)),
    };
    let ty = expr.get_type(input.schema).unwrap_or(DataType::Null);
    let (draws, distinct) = match expr {
        // a wider integer type holds the same values
        Expr::Cast(c) if ty.is_integer() => {
            let of = of_expr(&c.expr, input);
            (of.draws, of.distinct)
        }
        _ => (None, None),
    };
    let repeats = plain(expr, input.schema).and_then(|c| input.columns.get(c)).and_then(|k| k.repeats);
    Known {
        range,
        real: if ty.is_floating() { real::of(expr, input) } else { None },
        wide,
        nullable: nullable(expr, input),
        dropped: dropped(expr, input),
        // what a sub-query yields is looked into once
        nonzero: !has_subquery(expr) && total::never_zero(expr, input, &[]),
        values: values(expr, input),
        origin: origin(expr, input),
        draws,
        distinct,
        repeats,
        own: is_own(expr, input),
        ty,
    }
}

/// Whether an expression is a column of an owner's table, as it stands or within bounds.
fn is_own(expr: &Expr, input: Input<'_>) -> bool {
    match expr {
        Expr::Alias(a) => is_own(&a.expr, input),
        Expr::Column(c) => input.column(c).is_some_and(|known| known.own),
        Expr::Cast(c) => is_own(&c.expr, input),
        // what has a value is within bounds
        Expr::Case(c) => match (c.when_then_expr.as_slice(), &c.else_expr) {
            ([(when, then)], None) => matches!(when.as_ref(), Expr::IsNotNull(_)) && is_own(then, input),
            _ => false,
        },
        Expr::ScalarFunction(f) if matches!(f.name(), "least" | "greatest") => {
            let of: Vec<&Expr> = f.args.iter().filter(|e| !matches!(e, Expr::Literal(..))).collect();
            matches!(of[..], [x] if is_own(x, input))
        }
        _ => false,
    }
}

/// Whether an expression is of a column where rows with NULLs were dropped.
pub(in crate::compile) fn dropped(expr: &Expr, input: Input<'_>) -> bool {
    expr.reads().into_iter().any(|c| input.column(c).is_some_and(|known| known.dropped))
}

/// Whether an expression can be NULL.
pub(in crate::compile) fn nullable(expr: &Expr, input: Input<'_>) -> bool {
    match expr {
        Expr::Alias(a) => nullable(&a.expr, input),
        Expr::Column(c) => input.column(c).is_none_or(|k| k.nullable),
        Expr::Literal(v, _) => v.is_null(),
        Expr::Cast(c) => nullable(&c.expr, input),
        Expr::Not(e) | Expr::Negative(e) => nullable(e, input),
        Expr::BinaryExpr(b) if !matches!(b.op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) => {
            nullable(&b.left, input) || nullable(&b.right, input)
        }
        Expr::Case(c) => {
            let falls_through = c.else_expr.as_ref().is_none_or(|e| nullable(e, input));
            falls_through || c.when_then_expr.iter().any(|(w, t)| nullable(t, input) && !not_null_of(w, t))
        }
        Expr::ScalarFunction(f) => match f.name() {
            "abs" | "date_part" | "date_trunc" => f.args.iter().any(|e| nullable(e, input)),
            "coalesce" | "greatest" | "least" => f.args.iter().all(|e| nullable(e, input)),
            _ => true,
        },
        other => other.nullable(input.schema).unwrap_or(true),
    }
}

// CASE WHEN x IS NOT NULL THEN x ELSE …: the shape of COALESCE
fn not_null_of(when: &Expr, then: &Expr) -> bool {
    matches!(when, Expr::IsNotNull(e) if **e == *then)
}

/// All values of a text expression, if they are few and public.
fn values(expr: &Expr, input: Input<'_>) -> Option<Arc<Vec<String>>> {
    let set = match expr {
        Expr::Alias(a) => return values(&a.expr, input),
        Expr::Column(c) => return input.column(c).and_then(|k| k.values.clone()),
        Expr::Cast(c) if c.field.data_type().is_string() => return values(&c.expr, input),
        Expr::Literal(ScalarValue::Utf8(v) | ScalarValue::Utf8View(v) | ScalarValue::LargeUtf8(v), _) => v.iter().cloned().collect(),
        Expr::Literal(v, _) if v.is_null() => BTreeSet::new(),
        Expr::Case(c) => {
            let mut all = BTreeSet::new();
            for branch in c.when_then_expr.iter().map(|(_, t)| t.as_ref()).chain(c.else_expr.as_deref()) {
                all.extend(values(branch, input)?.iter().cloned());
            }
            all
        }
        Expr::ScalarFunction(f) if matches!(f.name(), "coalesce" | "greatest" | "least") => {
            let mut all = BTreeSet::new();
            for e in &f.args {
                all.extend(values(e, input)?.iter().cloned());
            }
            all
        }
        _ => return None,
    };
    Some(Arc::new(set.into_iter().collect()))
}

fn origin(expr: &Expr, input: Input<'_>) -> Option<Origin> {
    let mut from: Option<(usize, String)> = None;
    let composed = expr.clone().transform(|e| match e {
        Expr::Column(ref c) => {
            let found = input.column(c).and_then(|k| k.origin.clone());
            match (found, &from) {
                (Some(o), None) => {
                    from = Some((o.scan, o.table.clone()));
                    Ok(Transformed::yes(o.expr))
                }
                (Some(o), Some((scan, _))) if *scan == o.scan => Ok(Transformed::yes(o.expr)),
                _ => datafusion::common::plan_err!("mixed"),
            }
        }
        Expr::ScalarSubquery(_) | Expr::AggregateFunction(_) | Expr::WindowFunction(_) => datafusion::common::plan_err!("more than a row"),
        other => Ok(Transformed::no(other)),
    });
    // a function that turns NULL into something else is not NULL where the outer join found no row
    if !strict(expr) {
        return None;
    }
    composed.ok().zip(from).map(|(e, (scan, table))| Origin { scan, table, expr: e.data })
}

/// NULL whenever one of its columns is.
pub(in crate::compile) fn strict(expr: &Expr) -> bool {
    let mut strict = true;
    let _ = expr.apply(|e| {
        let ok = match e {
            Expr::Column(_)
            | Expr::Literal(..)
            | Expr::Alias(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::Not(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Like(_) => true,
            Expr::BinaryExpr(b) => b.op.is_numerical_operators() || compares(b.op),
            Expr::ScalarFunction(f) => matches!(
                f.name(),
                "date_part" | "date_trunc" | "abs" | "round" | "floor" | "ceil" | "lower" | "upper" | "to_char" | "substr"
            ),
            _ => false,
        };
        strict &= ok;
        Ok(if ok { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    strict
}

/// The position of the column an expression is, through aliases and casts to wider integers.
pub(in crate::compile) fn plain(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Alias(a) => plain(&a.expr, schema),
        Expr::Column(c) => schema.index_of_column(c).ok(),
        Expr::Cast(c) => {
            let (from, to) = (c.expr.get_type(schema).ok()?, c.field.data_type());
            let wider = range::limits(&from)?.within(range::limits(to)?) && from.is_integer() && to.is_integer();
            if wider { plain(&c.expr, schema) } else { None }
        }
        _ => None,
    }
}

/// A condition that is never true of NULL leaves its columns without NULLs.
pub(super) fn not_null(condition: &Expr, schema: &DFSchema, columns: &mut [Known]) {
    let mut mark = |e: &Expr| {
        if let Some(i) = plain(e, schema) {
            columns[i].drop_nulls();
        }
    };
    match condition {
        Expr::IsNotNull(e) | Expr::IsTrue(e) | Expr::IsFalse(e) => mark(e),
        Expr::Column(_) => mark(condition),
        Expr::Not(e) => mark(e),
        Expr::Between(b) => mark(&b.expr),
        Expr::InList(l) => mark(&l.expr),
        Expr::BinaryExpr(b) if compares(b.op) => {
            mark(&b.left);
            mark(&b.right);
        }
        _ => {}
    }
}

/// A comparison that is NULL if one of its operands is: not IS DISTINCT FROM.
fn compares(op: Operator) -> bool {
    op.supports_propagation() && !matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

pub(in crate::compile) fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_)))).unwrap_or(true)
}
