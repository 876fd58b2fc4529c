//! Dates and moments: arithmetic that stays within what 64 bits of nanoseconds tell apart, the years 1678 to 2261.

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{Expr, ExprSchemable, Operator},
};

use super::Check;
use crate::compile::{facts::Input, range, range::Interval, temporal};

/// Days before and after 1970 that are safe in every type.
const DAYS: i128 = 106_000;

/// Days before and after 1970 that have a date.
const DATES: i128 = 90_000_000;

/// Specifiers of a date that every formatter knows.
const SPECIFIERS: &str = "aAbBCdeFgGhjmuUVwWyY%";

impl Check<'_, '_> {
    /// A date or moment of a safe year.
    pub(super) fn dated(self, expr: &Expr) -> bool {
        days(expr, self.input).is_some_and(|i| i.magnitude() <= DAYS)
    }

    /// A moment of a year that has dates.
    pub(super) fn has_date(self, expr: &Expr) -> bool {
        days(expr, self.input).is_some_and(|i| i.magnitude() <= DATES)
    }

    /// The result of date arithmetic is safe.
    pub(super) fn in_time(self, expr: &Expr) -> bool {
        if let Expr::Alias(a) = expr {
            return self.in_time(&a.expr);
        }
        match expr {
            // a difference of two dates
            Expr::BinaryExpr(b) if b.op == Operator::Minus && matches!(expr.get_type(self.input.schema), Ok(DataType::Duration(_))) => {
                let sides = days(&b.left, self.input).zip(days(&b.right, self.input));
                sides.is_some_and(|(l, r)| l.sub(r).is_some_and(|i| i.magnitude() <= DAYS))
            }
            other => self.dated(other),
        }
    }

    /// ORDER BY's value moved by a RANGE's offset stays within its type.
    pub(super) fn shifts(self, by: &Expr, offset: &ScalarValue) -> bool {
        if let (Some(at), Some(by)) = (days(by, self.input), interval_days(offset)) {
            return at.magnitude() + by <= DAYS;
        }
        let Ok(ty) = by.get_type(self.input.schema) else { return false };
        let Some(limits) = range::limits(&ty).filter(|_| ty.is_integer()) else { return ty.is_floating() };
        let (at, by) = (range::of(by, self.input).ok().flatten(), range::literal(offset).map(|i| i.magnitude()));
        at.zip(by).is_some_and(|(at, by)| at.add(Interval { min: -by, max: by }).is_some_and(|i| i.within(limits)))
    }
}

/// A format that can be applied to every date.
pub(super) fn plain_format(format: Option<&Expr>) -> bool {
    let Some(Expr::Literal(ScalarValue::Utf8(Some(format)), _)) = format else { return false };
    format.split('%').skip(1).all(|rest| rest.is_empty() || rest.starts_with(|c| SPECIFIERS.contains(c))) && !format.ends_with('%')
}

/// Days since 1970 that a date or moment can be.
fn days(expr: &Expr, input: Input<'_>) -> Option<Interval> {
    let ty = expr.get_type(input.schema).ok()?;
    if !matches!(ty, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)) {
        return None;
    }
    if let Some(unit) = temporal::unit(&ty) {
        return range::of(expr, input).ok().flatten().map(|i| i.floor(temporal::DAY / unit));
    }
    match expr {
        Expr::Alias(a) => days(&a.expr, input),
        Expr::Cast(c) => days(&c.expr, input),
        Expr::ScalarFunction(f) if f.name() == "date_trunc" => days(f.args.get(1)?, input)?.add(Interval { min: -366, max: 1 }),
        Expr::ScalarFunction(f) if matches!(f.name(), "coalesce" | "greatest" | "least") => {
            f.args.iter().map(|e| days(e, input)).reduce(|a, b| a.zip(b).map(|(a, b)| a.hull(b)))?
        }
        Expr::BinaryExpr(b) if matches!(b.op, Operator::Plus | Operator::Minus) => {
            let (moment, span) = match (days(&b.left, input), days(&b.right, input)) {
                (Some(moment), None) => (moment, &b.right),
                (None, Some(moment)) => (moment, &b.left),
                _ => return None,
            };
            let Expr::Literal(span, _) = span.as_ref() else { return None };
            let span = interval_days(span)?;
            moment.add(Interval { min: -span, max: span })
        }
        _ => None,
    }
}

/// At least so many days long is an interval, whatever its sign.
fn interval_days(value: &ScalarValue) -> Option<i128> {
    let (months, days, nanos) = match value {
        ScalarValue::IntervalYearMonth(Some(m)) => (i128::from(*m), 0, 0),
        ScalarValue::IntervalDayTime(Some(v)) => (0, i128::from(v.days), i128::from(v.milliseconds) * 1_000_000),
        ScalarValue::IntervalMonthDayNano(Some(v)) => (v.months.into(), v.days.into(), v.nanoseconds.into()),
        _ => return None,
    };
    Some(months.abs() * 31 + days.abs() + nanos.abs() / 86_400_000_000_000 + 1)
}
