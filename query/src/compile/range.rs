//! Interval analysis: which integers an expression of exact type can take, from the ranges the catalogue declares.

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::ScalarValue,
    logical_expr::{BinaryExpr, Case, Expr, ExprSchemable, Operator},
};

use super::{
    facts::{Facts, Input, dropped, nullable},
    real,
    temporal::{self, Cycle, Grain},
};
use crate::catalog::digits;

/// An inclusive interval of integers scaled by the type (DECIMAL(p,s): times 10^s, DATE: days, TIMESTAMP: units).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) min: i128,
    pub(super) max: i128,
}

impl Interval {
    pub(super) const ZERO: Interval = Interval { min: 0, max: 0 };
    pub(super) const BIT: Interval = Interval { min: 0, max: 1 };

    pub(super) fn of(a: i128, b: i128) -> Self {
        Interval { min: a.min(b), max: a.max(b) }
    }

    pub(super) fn hull(self, other: Self) -> Self {
        Interval { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// With 0, the value shared for NULL.
    pub(super) fn with_zero(self) -> Self {
        self.hull(Self::ZERO)
    }

    pub(super) fn within(self, outer: Self) -> bool {
        outer.min <= self.min && self.max <= outer.max
    }

    pub(super) fn meet(self, other: Self) -> Self {
        let min = self.min.max(other.min);
        Interval { min, max: self.max.min(other.max).max(min) }
    }

    /// The largest magnitude; saturates.
    pub(super) fn magnitude(self) -> i128 {
        self.min.saturating_abs().max(self.max.saturating_abs())
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        Some(Interval { min: self.min.checked_add(other.min)?, max: self.max.checked_add(other.max)? })
    }

    pub(super) fn sub(self, other: Self) -> Option<Self> {
        Some(Interval { min: self.min.checked_sub(other.max)?, max: self.max.checked_sub(other.min)? })
    }

    pub(super) fn mul(self, other: Self) -> Option<Self> {
        let mut ends = [0; 4];
        for (i, (a, b)) in
            [(self.min, other.min), (self.min, other.max), (self.max, other.min), (self.max, other.max)].into_iter().enumerate()
        {
            ends[i] = a.checked_mul(b)?;
        }
        Some(Interval { min: ends.into_iter().min()?, max: ends.into_iter().max()? })
    }

    pub(super) fn times(self, factor: i128) -> Option<Self> {
        self.mul(Interval::of(factor, factor))
    }

    /// To another number of digits behind the point, rounded away from zero where digits are lost.
    pub(super) fn rescale(self, from: i8, to: i8) -> Option<Self> {
        if to >= from {
            return self.times(ten((to - from) as u32)?);
        }
        let unit = ten((from - to) as u32)?;
        Some(Interval { min: self.min / unit - 1, max: self.max / unit + 1 })
    }
}

/// 10^n, if it fits.
pub(super) fn ten(n: u32) -> Option<i128> {
    10i128.checked_pow(n)
}

/// Digits behind the point of an exact type: a number, a moment or a difference of moments.
pub(super) fn scale(ty: &DataType) -> Option<i8> {
    match ty {
        DataType::Decimal128(_, s) | DataType::Decimal32(_, s) | DataType::Decimal64(_, s) => Some(*s),
        t if t.is_integer() => Some(0),
        t => temporal::unit(t).map(|_| 0),
    }
}

/// Digits behind the point of an exact number, which can be added up and multiplied: a moment is none.
pub(super) fn number(ty: &DataType) -> Option<i8> {
    scale(ty).filter(|_| !ty.is_temporal())
}

/// What to write for a value that is no exact number.
pub(super) fn as_number(words: &str, ty: &DataType) -> String {
    match ty {
        DataType::Duration(unit) => format!("write CAST({words} AS BIGINT), which counts {}", words_of(*unit)),
        DataType::Interval(_) => "compare differences of timestamps with an INTERVAL of hours, minutes and seconds".to_owned(),
        ty if ty.is_temporal() => format!("write EXTRACT(… FROM {words}), or subtract another moment"),
        _ => format!("write CAST({words} AS DECIMAL(p, s)) with the digits you need"),
    }
}

fn words_of(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "seconds",
        TimeUnit::Millisecond => "milliseconds",
        TimeUnit::Microsecond => "microseconds",
        TimeUnit::Nanosecond => "nanoseconds",
    }
}

/// All values of a type, `None` if it has no exact integers.
pub(super) fn limits(ty: &DataType) -> Option<Interval> {
    let (min, max) = match ty {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 | DataType::Date32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 | DataType::Timestamp(_, None) | DataType::Duration(_) => (i64::MIN.into(), i64::MAX.into()),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        DataType::UInt64 => (0, u64::MAX.into()),
        DataType::Boolean => (0, 1),
        DataType::Decimal128(p, _) | DataType::Decimal32(p, _) | DataType::Decimal64(p, _) => {
            let max = ten((*p).into())? - 1;
            (-max, max)
        }
        _ => return None,
    };
    Some(Interval { min, max })
}

/// What an expression can be, given its columns. `Err` says in words why an exact type has no bound (an overflow).
pub(super) fn of(expr: &Expr, input: Input<'_>) -> Result<Option<Interval>, String> {
    let ty = match expr.get_type(input.schema) {
        Ok(ty) => ty,
        Err(_) => return Ok(None),
    };
    let inside = |e: &Expr| of(e, input);
    let Some(limits) = limits(&ty) else { return Ok(None) };
    let found = match expr {
        Expr::Alias(a) => return inside(&a.expr),
        Expr::Column(c) => match input.column(c) {
            Some(known) => match (&known.range, &known.wide) {
                (_, Some(why)) => return Err(why.clone()),
                (range, None) => *range,
            },
            None => None,
        },
        Expr::Literal(value, _) => literal(value),
        Expr::Negative(e) => inside(e)?.map(|i| within_type(Interval::ZERO.sub(i), &ty, limits, || shown(expr))).transpose()?,
        Expr::BinaryExpr(b) => return binary(b, &ty, limits, input),
        // what TRY_CAST cannot keep is NULL
        Expr::Cast(datafusion::logical_expr::Cast { expr: inner, .. })
        | Expr::TryCast(datafusion::logical_expr::TryCast { expr: inner, .. }) => converted(inner, &ty, input)?.map(|i| i.meet(limits)),
        Expr::Case(c) => case(c, input)?,
        Expr::ScalarFunction(f) if f.name() == "abs" => match f.args.first().map(inside).transpose()?.flatten() {
            Some(i) => Some(within_type(Some(Interval { min: 0, max: i.magnitude() }), &ty, limits, || shown(expr))?),
            None => None,
        },
        Expr::ScalarFunction(f) => function(f.name(), &f.args, input)?,
        Expr::ScalarSubquery(s) => match Facts::of(&s.subquery, input.catalog).columns.into_iter().next() {
            Some(known) => match known.wide {
                Some(why) => return Err(why),
                None => known.range,
            },
            None => None,
        },
        _ => None,
    };
    // NULL literals and what is not analysed
    Ok(Some(found.unwrap_or(limits)))
}

/// The values an expression has once it is cast to a type, whether the type holds them or not.
pub(super) fn converted(expr: &Expr, to: &DataType, input: Input<'_>) -> Result<Option<Interval>, String> {
    let Ok(from) = expr.get_type(input.schema) else { return Ok(None) };
    let Some(scale) = scale_or_bit(to) else { return Ok(None) };
    match scale_or_bit(&from) {
        Some(digits) => Ok(of(expr, input)?.and_then(|i| i.recounted(temporal::recount(&from, to))?.rescale(digits, scale))),
        None => Ok(real::of(expr, input).and_then(|r| r.scaled(scale))),
    }
}

fn scale_or_bit(ty: &DataType) -> Option<i8> {
    scale(ty).or((*ty == DataType::Boolean).then_some(0))
}

/// The scaled integer of a literal; NULL counts as 0.
pub(super) fn literal(value: &ScalarValue) -> Option<Interval> {
    let v = match value {
        ScalarValue::Int8(v) => v.map(i128::from),
        ScalarValue::Int16(v) => v.map(i128::from),
        ScalarValue::Int32(v) | ScalarValue::Date32(v) => v.map(i128::from),
        ScalarValue::Int64(v)
        | ScalarValue::TimestampSecond(v, None)
        | ScalarValue::TimestampMillisecond(v, None)
        | ScalarValue::TimestampMicrosecond(v, None)
        | ScalarValue::TimestampNanosecond(v, None)
        | ScalarValue::DurationSecond(v)
        | ScalarValue::DurationMillisecond(v)
        | ScalarValue::DurationMicrosecond(v)
        | ScalarValue::DurationNanosecond(v) => v.map(i128::from),
        ScalarValue::UInt8(v) => v.map(i128::from),
        ScalarValue::UInt16(v) => v.map(i128::from),
        ScalarValue::UInt32(v) => v.map(i128::from),
        ScalarValue::UInt64(v) => v.map(i128::from),
        ScalarValue::Boolean(v) => v.map(i128::from),
        ScalarValue::Decimal128(v, ..) => *v,
        _ => return None,
    };
    let v = v.unwrap_or(0);
    Some(Interval { min: v, max: v })
}

fn binary(b: &BinaryExpr, ty: &DataType, limits: Interval, input: Input<'_>) -> Result<Option<Interval>, String> {
    if let Some(moved) = moved(b, input)? {
        return match ty {
            DataType::Date32 => Ok(Some(moved.meet(limits))),
            _ => within_type(Some(moved), ty, limits, || shown(&Expr::BinaryExpr(b.clone()))).map(Some),
        };
    }
    let (Some(left), Some(right)) = (of(&b.left, input)?, of(&b.right, input)?) else { return Ok(Some(limits)) };
    let types = (b.left.get_type(input.schema), b.right.get_type(input.schema));
    let (Ok(lt), Ok(rt)) = types else { return Ok(Some(limits)) };
    let (Some(ls), Some(rs), Some(to)) = (scale(&lt), scale(&rt), scale(ty)) else { return Ok(Some(limits)) };
    let found = match b.op {
        Operator::Plus => left.rescale(ls, to).zip(right.rescale(rs, to)).and_then(|(l, r)| l.add(r)),
        Operator::Minus => left.rescale(ls, to).zip(right.rescale(rs, to)).and_then(|(l, r)| l.sub(r)),
        Operator::Multiply if i32::from(ls) + i32::from(rs) == i32::from(to) => left.mul(right),
        Operator::Divide => quotient(left, right, i32::from(to) - i32::from(ls) + i32::from(rs)),
        Operator::Modulo => {
            let same = ls.max(rs);
            left.rescale(ls, same).zip(right.rescale(rs, same)).filter(|_| same == to).map(|(l, r)| {
                let most = l.magnitude().min(r.magnitude().saturating_sub(1).max(0));
                Interval { min: if l.min < 0 { -most } else { 0 }, max: if l.max > 0 { most } else { 0 } }
            })
        }
        Operator::Multiply => None,
        _ => return Ok(Some(limits)),
    };
    within_type(found, ty, limits, || shown(&Expr::BinaryExpr(b.clone()))).map(Some)
}

/// A moment and an interval: where it can be then.
fn moved(b: &BinaryExpr, input: Input<'_>) -> Result<Option<Interval>, String> {
    let (moment, by, sign) = match (temporal::interval(&b.left), temporal::interval(&b.right), b.op) {
        (None, Some(by), Operator::Plus) => (&b.left, by, 1),
        (None, Some(by), Operator::Minus) => (&b.left, by, -1),
        (Some(by), None, Operator::Plus) => (&b.right, by, 1),
        _ => return Ok(None),
    };
    let Some(unit) = moment.get_type(input.schema).ok().and_then(|ty| temporal::unit(&ty)) else { return Ok(None) };
    let (months, days, nanos) = by;
    let Some(at) = of(moment, input)? else { return Ok(None) };
    let at = match i32::try_from(sign * months) {
        Ok(0) => Some(at),
        Ok(months) => temporal::months_later(at, months, unit),
        Err(_) => None,
    };
    // what is less than a unit is lost
    let by = Interval::of(days, days).times(sign * temporal::DAY).and_then(|by| by.add(Interval::of(sign * nanos, sign * nanos)));
    Ok(at.zip(by).and_then(|(at, by)| at.add(by.floor(unit))))
}

/// Integers wrap around silently, decimals go on beyond their digits as long as 128 bits last.
fn within_type(found: Option<Interval>, ty: &DataType, limits: Interval, words: impl Fn() -> String) -> Result<Interval, String> {
    match found {
        Some(i) if (ty.is_integer() || ty.is_temporal()) && !i.within(limits) => {
            Err(format!("{} can leave its type {}", words(), sql_type(ty)))
        }
        Some(i) => Ok(i),
        None => Err(format!("{} can leave 128 bits", words())),
    }
}

fn shown(expr: &Expr) -> String {
    super::words::words(expr)
}

/// SQL's name of a type.
pub(crate) fn sql_type(ty: &DataType) -> String {
    match ty {
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::UInt64 => "BIGINT UNSIGNED".into(),
        DataType::Float32 => "REAL".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", digits(*unit)),
        DataType::Duration(_) => "a difference of timestamps".into(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Null => "NULL of no type".into(),
        DataType::Interval(_) => "INTERVAL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".into(),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => format!("DECIMAL({p},{s})"),
        other => other.to_string(),
    }
}

fn quotient(left: Interval, right: Interval, shift: i32) -> Option<Interval> {
    let least = if right.min > 0 {
        right.min
    } else if right.max < 0 {
        -right.max
    } else {
        1
    };
    let most = left.magnitude();
    let most = if shift >= 0 { most.checked_mul(ten(shift as u32)?)? / least } else { most / least / ten(shift.unsigned_abs())? };
    let most = most.checked_add(1)?;
    let positive = left.min >= 0 && right.min >= 0;
    Some(Interval { min: if positive { 0 } else { -most }, max: most })
}

fn case(c: &Case, input: Input<'_>) -> Result<Option<Interval>, String> {
    let branches = c.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(c.else_expr.as_deref());
    let mut hull: Option<Interval> = None;
    for branch in branches.filter(|e| !matches!(e, Expr::Literal(v, _) if v.is_null())) {
        match of(branch, input)? {
            Some(i) => hull = Some(hull.map_or(i, |h| h.hull(i))),
            None => return Ok(None),
        }
    }
    Ok(Some(hull.unwrap_or(Interval::ZERO)))
}

fn function(name: &str, args: &[Expr], input: Input<'_>) -> Result<Option<Interval>, String> {
    let arg = |i: usize| args.get(i).map_or(Ok(None), |e| of(e, input));
    Ok(match name {
        "nullif" => arg(0)?,
        "greatest" | "least" => return extreme(name == "greatest", args, input),
        "coalesce" | "nvl" | "ifnull" => {
            let mut hull: Option<Interval> = None;
            for e in args {
                match of(e, input)? {
                    Some(i) => hull = Some(hull.map_or(i, |h| h.hull(i))),
                    None => return Ok(None),
                }
            }
            hull
        }
        "signum" => Some(Interval { min: -1, max: 1 }),
        "date_part" => match args.first() {
            Some(Expr::Literal(ScalarValue::Utf8(Some(part)), _)) => {
                let (part, unit) = (part.to_ascii_lowercase(), unit_of(args.get(1), input));
                match (part.as_str(), unit) {
                    ("year", Some(unit)) => {
                        arg(1)?.map(|i| i.floor(temporal::DAY / unit)).map(|i| Interval { min: year(i.min), max: year(i.max) })
                    }
                    (part, Some(unit)) => Cycle::of(part, unit).map(Cycle::range).or_else(|| date_part(part)),
                    (_, None) => None,
                }
            }
            _ => None,
        },
        "date_trunc" => match (args.first(), unit_of(args.get(1), input)) {
            (Some(Expr::Literal(ScalarValue::Utf8(Some(word)), _)), Some(unit)) => {
                Grain::of(&word.to_ascii_lowercase(), unit).zip(arg(1)?).map(|(grain, i)| grain.range(i, unit))
            }
            _ => None,
        },
        _ => None,
    })
}

/// Nanoseconds of the unit of a moment.
fn unit_of(expr: Option<&Expr>, input: Input<'_>) -> Option<i128> {
    expr?.get_type(input.schema).ok().filter(|ty| !matches!(ty, DataType::Duration(_))).and_then(|ty| temporal::unit(&ty))
}

/// GREATEST or LEAST, which pass NULLs over: an argument that is never NULL bounds it.
fn extreme(greatest: bool, args: &[Expr], input: Input<'_>) -> Result<Option<Interval>, String> {
    let mut hull: Option<Interval> = None;
    let mut bound: Option<i128> = None;
    for e in args {
        let Some(i) = of(e, input)? else { return Ok(None) };
        hull = Some(hull.map_or(i, |h| h.hull(i)));
        if !nullable(e, input) && !dropped(e, input) {
            let end = if greatest { i.min } else { i.max };
            bound = Some(bound.map_or(end, |b| if greatest { b.max(end) } else { b.min(end) }));
        }
    }
    Ok(hull.map(|h| match bound {
        Some(b) if greatest => Interval { min: b, max: h.max },
        Some(b) => Interval { min: h.min, max: b },
        None => h,
    }))
}

/// The calendar year of a day since 1970-01-01: every 400 years have 146,097 days (Hinnant, days_from_civil).
fn year(day: i128) -> i128 {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // years begin in March here
    year + era * 400 + i128::from(of_year >= 306)
}

fn date_part(part: &str) -> Option<Interval> {
    let (min, max) = match part {
        "quarter" => (1, 4),
        "month" => (1, 12),
        "week" => (1, 53),
        "day" => (1, 31),
        "doy" => (1, 366),
        _ => return None,
    };
    Some(Interval { min, max })
}

#[cfg(test)]
mod tests {
    use super::year;

    #[test]
    fn years_begin_on_the_first_of_january() {
        for (day, want) in
            [(0, 1970), (-1, 1969), (364, 1970), (365, 1971), (10_956, 1999), (10_957, 2000), (11_016, 2000), (-719_528, 0), (-719_529, -1)]
        {
            assert_eq!(year(day), want, "{day}");
        }
    }
}
