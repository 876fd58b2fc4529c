//! Functions that are a CASE.

use datafusion::{
    common::{DFSchema, ScalarValue},
    logical_expr::{Case, Expr, ExprSchemable, expr::ScalarFunction},
};

/// Beyond so many arguments the CASE, which names each several times, is not written out.
const MOST: usize = 6;

/// ABS, NULLIF, GREATEST and LEAST as the CASE they are.
pub(super) fn as_case(f: &ScalarFunction, schema: &DFSchema) -> Option<Case> {
    match (f.name(), f.args.as_slice()) {
        ("abs", [x]) => {
            let zero = Expr::Literal(ScalarValue::new_zero(&x.get_type(schema).ok()?).ok()?, None);
            Some(case([(x.clone().lt(zero), Expr::Negative(Box::new(x.clone())))], x.clone()))
        }
        ("nullif", [x, other]) => Some(case([(x.clone().eq(other.clone()), Expr::Literal(ScalarValue::Null, None))], x.clone())),
        (name @ ("greatest" | "least"), [first, rest @ ..]) if !rest.is_empty() && rest.len() < MOST => {
            let better = |a: Expr, b: &Expr| {
                let first = if name == "greatest" { a.clone().gt_eq(b.clone()) } else { a.clone().lt_eq(b.clone()) };
                case([(a.clone().is_null(), b.clone()), (b.clone().is_null().or(first), a)], b.clone())
            };
            let (last, between) = rest.split_last()?;
            let best = between.iter().fold(first.clone(), |a, b| Expr::Case(better(a, b)));
            Some(better(best, last))
        }
        _ => None,
    }
}

fn case<const N: usize>(branches: [(Expr, Expr); N], otherwise: Expr) -> Case {
    let branches = branches.into_iter().map(|(when, then)| (Box::new(when), Box::new(then))).collect();
    Case::new(None, branches, Some(Box::new(otherwise)))
}
