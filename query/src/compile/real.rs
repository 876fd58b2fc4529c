//! Interval analysis of floating-point expressions: enough to prove that a cast back to an exact type holds every value. A bound says, too,
//! that the value is never infinite and never NaN.

use datafusion::{
    common::{ScalarValue, tree_node::TreeNode},
    logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator},
};

use super::{
    facts::{Facts, Input, has_subquery},
    range::{self, Interval},
};

/// Bounds of a finite number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Real {
    min: f64,
    max: f64,
}

impl Real {
    pub(super) const SHARE: Real = Real { min: 0.0, max: 1.0 };

    /// With room for the rounding of many operations (which never crosses 0); `None` where it is not finite.
    fn new(a: f64, b: f64) -> Option<Real> {
        let (min, max) = (a.min(b), a.max(b));
        let room = min.abs().max(max.abs()) * 1e-9;
        let real = Real {
            min: if min >= 0.0 { (min - room).max(0.0) } else { min - room },
            max: if max <= 0.0 { (max + room).min(0.0) } else { max + room },
        };
        // NaN compares with nothing
        (real.min >= -1e300 && real.max <= 1e300).then_some(real)
    }

    /// An exact range.
    pub(super) fn of(range: Interval, scale: i8) -> Option<Real> {
        let unit = 10f64.powi(scale.into());
        Real::new(range.min as f64 / unit, range.max as f64 / unit)
    }

    pub(super) fn hull(self, other: Real) -> Real {
        Real { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// The sum of up to so many.
    pub(super) fn times(self, rows: i128) -> Option<Real> {
        Real::new(self.min.min(0.0) * rows as f64, self.max.max(0.0) * rows as f64)
    }

    /// From 0 to the width of the range.
    pub(super) fn spread(self) -> Option<Real> {
        Real::new(0.0, self.max - self.min)
    }

    pub(super) fn squared(self) -> Option<Real> {
        Real::new(0.0, (self.max * self.max).max(self.min * self.min))
    }

    /// As integers scaled by a power of ten, rounded outwards.
    pub(super) fn scaled(self, scale: i8) -> Option<Interval> {
        let unit = 10f64.powi(scale.into());
        let (min, max) = ((self.min * unit).floor() - 1.0, (self.max * unit).ceil() + 1.0);
        (min > -1e38 && max < 1e38).then_some(Interval { min: min as i128, max: max as i128 })
    }
}

/// What a number can be, exact or not, given its columns.
pub(super) fn of(expr: &Expr, input: Input<'_>) -> Option<Real> {
    let ty = expr.get_type(input.schema).ok()?;
    if let Some(scale) = range::scale(&ty) {
        return range::of(expr, input).ok().flatten().and_then(|i| Real::of(i, scale));
    }
    if !ty.is_floating() {
        return None;
    }
    match expr {
        Expr::Alias(a) => of(&a.expr, input),
        Expr::Column(c) => input.column(c).and_then(|k| k.real),
        Expr::Literal(ScalarValue::Float64(Some(v)), _) => Real::new(*v, *v),
        Expr::Literal(ScalarValue::Float32(Some(v)), _) => Real::new((*v).into(), (*v).into()),
        Expr::Cast(c) => of(&c.expr, input).filter(|r| r.min > -1e38 && r.max < 1e38),
        Expr::Negative(e) => of(e, input).map(|r| Real { min: -r.max, max: -r.min }),
        Expr::BinaryExpr(b) => binary(b, input),
        Expr::Case(c) => {
            let branches = c.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(c.else_expr.as_deref());
            hull(branches, input)
        }
        Expr::ScalarFunction(f) => function(f.name(), &f.args, input),
        Expr::ScalarSubquery(s) => Facts::of(&s.subquery, input.catalog).columns.first().and_then(|k| k.real),
        _ => None,
    }
}

fn hull<'e>(exprs: impl Iterator<Item = &'e Expr>, input: Input<'_>) -> Option<Real> {
    let values = exprs.filter(|e| !matches!(e, Expr::Literal(v, _) if v.is_null()));
    values.map(|e| of(e, input)).reduce(|a, b| a.zip(b).map(|(a, b)| a.hull(b)))?
}

fn binary(b: &BinaryExpr, input: Input<'_>) -> Option<Real> {
    let (l, r) = (of(&b.left, input)?, of(&b.right, input)?);
    let corners = |op: fn(f64, f64) -> f64, r: Real| {
        let all = [op(l.min, r.min), op(l.min, r.max), op(l.max, r.min), op(l.max, r.max)];
        Real::new(all.into_iter().fold(f64::INFINITY, f64::min), all.into_iter().fold(f64::NEG_INFINITY, f64::max))
    };
    match b.op {
        Operator::Plus => Real::new(l.min + r.min, l.max + r.max),
        Operator::Minus => Real::new(l.min - r.max, l.max - r.min),
        Operator::Multiply => corners(|a, b| a * b, r),
        Operator::Divide if r.min > 0.0 || r.max < 0.0 => corners(|a, b| a / b, r),
        Operator::Divide => {
            let least = least_divisor(&b.right, input)?;
            let most = l.min.abs().max(l.max.abs()) / least;
            Real::new(if l.min >= 0.0 && r.min >= 0.0 { 0.0 } else { -most }, most)
        }
        _ => None,
    }
}

/// The least magnitude of an exact number that is not 0.
fn least_divisor(expr: &Expr, input: Input<'_>) -> Option<f64> {
    let exact = match expr {
        Expr::Alias(a) => return least_divisor(&a.expr, input),
        Expr::Cast(c) if c.field.data_type().is_floating() => return least_divisor(&c.expr, input),
        other => other,
    };
    let scale = range::scale(&exact.get_type(input.schema).ok()?)?;
    // what is exact all through is looked at once more, nothing else
    let simple = !has_subquery(exact) && !exact.exists(|e| Ok(e.get_type(input.schema).is_ok_and(|t| t.is_floating()))).unwrap_or(true);
    if !simple {
        return None;
    }
    super::total::never_zero(exact, input, &[]).then(|| 10f64.powi(-i32::from(scale)))
}

fn function(name: &str, args: &[Expr], input: Input<'_>) -> Option<Real> {
    let first = || of(args.first()?, input);
    match name {
        "abs" => first().and_then(|r| Real::new(0.0, r.max.abs().max(r.min.abs()))),
        "sqrt" => first().filter(|r| r.min >= 0.0).and_then(|r| Real::new(r.min.sqrt(), r.max.sqrt())),
        "ln" => first().filter(|r| r.min > 0.0).and_then(|r| Real::new(r.min.ln(), r.max.ln())),
        "exp" => first().filter(|r| r.max < 600.0).and_then(|r| Real::new(r.min.exp(), r.max.exp())),
        "round" | "floor" | "ceil" | "trunc" if args.len() == 1 => first().and_then(|r| Real::new(r.min - 1.0, r.max + 1.0)),
        "round" | "trunc" => match args.get(1) {
            Some(Expr::Literal(v, _)) if range::literal(v).is_some_and(|i| i.min >= 0) => {
                first().and_then(|r| Real::new(r.min - 1.0, r.max + 1.0))
            }
            _ => None,
        },
        "nullif" => first(),
        "coalesce" | "nvl" | "ifnull" | "greatest" | "least" => hull(args.iter(), input),
        _ => None,
    }
}
