//! Dates, timestamps and their differences as the integers they are: days or units since 1970, units between two moments.

use datafusion::{
    arrow::{
        compute::kernels::cast_utils::IntervalUnit,
        datatypes::{DataType, TimeUnit},
    },
    common::{
        ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan},
};

use super::{SqlError, locate::Text, range::Interval};
use crate::plan::relation::DatePart;
use protocols::circuit;

/// Nanoseconds of a second.
pub(super) const SECOND: i128 = 1_000_000_000;
/// Nanoseconds of a day.
pub(super) const DAY: i128 = 86_400 * SECOND;

/// Nanoseconds of the unit of a moment or a difference; `None` for any other type, and for moments of a time zone.
pub(super) fn unit(ty: &DataType) -> Option<i128> {
    Some(match ty {
        DataType::Date32 => DAY,
        DataType::Timestamp(unit, None) | DataType::Duration(unit) => match unit {
            TimeUnit::Second => SECOND,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        },
        _ => return None,
    })
}

/// Every EXTRACT and DATE_TRUNC asks for a part that there is: the binder takes any word.
pub(super) fn known_parts(plan: &LogicalPlan, text: &Text) -> Result<(), SqlError> {
    let mut refused = None;
    let walk = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|e| {
            e.apply(|e| {
                let Expr::ScalarFunction(f) = e else { return Ok(TreeNodeRecursion::Continue) };
                let Some(Expr::Literal(word, _)) = f.args.first() else { return Ok(TreeNodeRecursion::Continue) };
                let Some(Some(word)) = word.try_as_str() else { return Ok(TreeNodeRecursion::Continue) };
                let (what, parts) = match f.name() {
                    "date_part" if !is_part(word) => ("part of a date or time", PARTS),
                    "date_trunc" if Grain::of(&word.to_ascii_lowercase(), 1).is_none() => ("part to which DATE_TRUNC rounds down", GRAINS),
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                let place = text.word(word).or_else(|| text.expr(e)).or_else(|| text.keyword("SELECT"));
                refused.get_or_insert_with(|| SqlError::sql(format!("{word} is no {what}"), format!("write one of {parts}")).at(place));
                Ok(TreeNodeRecursion::Stop)
            })
        })
    });
    walk.map_err(|e| text.explain(&e))?;
    refused.map_or(Ok(()), Err)
}

/// Parts that EXTRACT knows, of which some have more names.
const PARTS: &str =
    "YEAR, ISOYEAR, QUARTER, MONTH, WEEK, DAY, DOY, DOW, ISODOW, HOUR, MINUTE, SECOND, MILLISECOND, MICROSECOND, NANOSECOND, EPOCH";

/// What DATE_TRUNC rounds down to.
const GRAINS: &str = "'year', 'quarter', 'month', 'week', 'day', 'hour', 'minute', 'second', 'millisecond', 'microsecond'";

fn is_part(word: &str) -> bool {
    let word = word.trim_matches(['\'', '"']).to_ascii_lowercase();
    match word.parse() {
        Ok(IntervalUnit::Century | IntervalUnit::Decade) => false,
        Ok(_) => true,
        Err(_) => matches!(word.as_str(), "isoyear" | "qtr" | "quarter" | "doy" | "dow" | "isodow" | "epoch"),
    }
}

/// What a cast between exact types does to the integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recount {
    /// It is the same number.
    Same,
    /// Units become so many finer ones each.
    Times(i128),
    /// So many units become one coarser one, rounded down: the day of a moment.
    Floor(i128),
    /// Likewise, rounded towards 0: Arrow's moments of a coarser unit.
    Truncate(i128),
}

/// What a cast from one exact type to another does.
pub(super) fn recount(from: &DataType, to: &DataType) -> Recount {
    match (unit(from), unit(to)) {
        (Some(a), Some(b)) if a > b => Recount::Times(a / b),
        (Some(a), Some(b)) if a < b && *to == DataType::Date32 => Recount::Floor(b / a),
        (Some(a), Some(b)) if a < b => Recount::Truncate(b / a),
        _ => Recount::Same,
    }
}

impl Interval {
    /// Rounded down.
    pub(super) fn floor(self, by: i128) -> Interval {
        Interval { min: self.min.div_euclid(by), max: self.max.div_euclid(by) }
    }

    /// The values of a range after a cast that is no change of digits.
    pub(super) fn recounted(self, recount: Recount) -> Option<Interval> {
        match recount {
            Recount::Same => Some(self),
            Recount::Times(by) => self.times(by),
            Recount::Floor(by) => Some(self.floor(by)),
            Recount::Truncate(by) => Some(Interval { min: self.min / by, max: self.max / by }),
        }
    }
}

/// A part of a moment that repeats: hours of days, days of weeks. With v in units, it is (floor(v / per) + shift) mod modulus, times `factor`, plus `base`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cycle {
    pub(super) per: i128,
    pub(super) shift: i128,
    pub(super) modulus: i128,
    pub(super) factor: i128,
    pub(super) base: i128,
}

impl Cycle {
    /// The part of moments of this unit.
    pub(super) fn of(part: &str, unit: i128) -> Option<Cycle> {
        // nanoseconds of a step, steps of a cycle, where 1970 begins in it, the first value
        let (step, steps, shift, base) = match part {
            "hour" => (3600 * SECOND, 24, 0, 0),
            "minute" => (60 * SECOND, 60, 0, 0),
            "second" => (SECOND, 60, 0, 0),
            "millisecond" => (1_000_000, 60_000, 0, 0),
            "microsecond" => (1_000, 60_000_000, 0, 0),
            "nanosecond" => (1, 60_000_000_000, 0, 0),
            // 1970 began on a Thursday
            "dow" => (DAY, 7, 4, 0),
            "isodow" => (DAY, 7, 3, 1),
            _ => return None,
        };
        let longer = step.max(unit);
        let modulus = step * steps / longer;
        (modulus > 0).then_some(Cycle { per: longer / unit, shift, modulus, factor: longer / step, base })
    }

    /// All values.
    pub(super) fn range(self) -> Interval {
        Interval { min: self.base, max: self.base + (self.modulus - 1) * self.factor }
    }
}

/// What DATE_TRUNC rounds moments down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// Multiples of so many units, counted from `origin`.
    Even { step: i128, origin: i128 },
    /// The first day of a month, quarter or year, by which part of a date it is counted from 1, and up to what.
    First(DatePart, i128),
}

impl Grain {
    pub(super) fn of(word: &str, unit: i128) -> Option<Grain> {
        let (step, origin) = match word {
            "microsecond" => (1_000, 0),
            "millisecond" => (1_000_000, 0),
            "second" => (SECOND, 0),
            "minute" => (60 * SECOND, 0),
            "hour" => (3600 * SECOND, 0),
            "day" => (DAY, 0),
            // a Monday
            "week" => (7 * DAY, -3 * DAY),
            "month" => return Some(Grain::First(DatePart::Day, 31)),
            "quarter" => return Some(Grain::First(DatePart::DayOfQuarter, 92)),
            "year" => return Some(Grain::First(DatePart::DayOfYear, 366)),
            _ => return None,
        };
        Some(Grain::Even { step: (step / unit).max(1), origin: origin / unit })
    }

    /// What moments of this range are rounded down to.
    pub(super) fn range(self, of: Interval, unit: i128) -> Interval {
        match self {
            Grain::Even { step, origin } => {
                let down = |v: i128| (v - origin).div_euclid(step) * step + origin;
                Interval { min: down(of.min), max: down(of.max) }
            }
            Grain::First(_, days) => Interval { min: of.min - days * DAY / unit, max: of.max },
        }
    }
}

/// Months, days and nanoseconds of a literal interval.
pub(super) fn interval(expr: &Expr) -> Option<(i128, i128, i128)> {
    match expr {
        Expr::Alias(a) => interval(&a.expr),
        Expr::Literal(ScalarValue::IntervalYearMonth(Some(months)), _) => Some(((*months).into(), 0, 0)),
        Expr::Literal(ScalarValue::IntervalDayTime(Some(v)), _) => Some((0, v.days.into(), i128::from(v.milliseconds) * 1_000_000)),
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(v)), _) => Some((v.months.into(), v.days.into(), v.nanoseconds.into())),
        _ => None,
    }
}

/// Months, and then units, that a literal interval, taken `sign` times, moves moments of a type by: moments to the unit below. `None` for dates and less than a day.
pub(super) fn moves(span: &Expr, sign: i128, ty: &DataType) -> Option<(i32, i128)> {
    let (unit, (months, days, nanos)) = (unit(ty)?, interval(span)?);
    let months = i32::try_from(sign * months).ok()?;
    (*ty != DataType::Date32 || nanos == 0).then(|| (months, (sign * (days * DAY + nanos)).div_euclid(unit)))
}

/// Where moments of a range are so many months later.
pub(super) fn months_later(of: Interval, months: i32, unit: i128) -> Option<Interval> {
    let per = DAY / unit;
    // years within what the calendar is computed in
    let day = |moment: i128| i64::try_from(moment.div_euclid(per)).ok().filter(|day| day.unsigned_abs() < 1 << 40);
    let (first, last) = (day(of.min)?, day(of.max)?);
    let to = |day: i64| i128::from(circuit::months_later(day, months)) * per;
    Some(Interval { min: to(first), max: to(last) + per - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_recount() {
        let (s, ms) = (DataType::Timestamp(TimeUnit::Second, None), DataType::Timestamp(TimeUnit::Millisecond, None));
        assert_eq!(recount(&DataType::Date32, &s), Recount::Times(86_400));
        assert_eq!(recount(&s, &DataType::Date32), Recount::Floor(86_400));
        assert_eq!(recount(&ms, &s), Recount::Truncate(1000));
        assert_eq!(recount(&s, &ms), Recount::Times(1000));
        assert_eq!(recount(&s, &DataType::Int64), Recount::Same);
        let i = Interval { min: -1, max: 86_400 };
        assert_eq!(i.recounted(Recount::Floor(86_400)), Some(Interval { min: -1, max: 1 }));
        assert_eq!(i.recounted(Recount::Truncate(86_400)), Some(Interval { min: 0, max: 1 }));
    }

    #[test]
    fn parts_repeat() {
        let second = Cycle::of("second", 1_000_000);
        assert_eq!(second, Some(Cycle { per: 1000, shift: 0, modulus: 60, factor: 1, base: 0 }));
        let millisecond = Cycle::of("millisecond", SECOND).expect("a part");
        assert_eq!(millisecond, Cycle { per: 1, shift: 0, modulus: 60, factor: 1000, base: 0 });
        assert_eq!(millisecond.range(), Interval { min: 0, max: 59_000 });
        assert_eq!(Cycle::of("isodow", DAY), Some(Cycle { per: 1, shift: 3, modulus: 7, factor: 1, base: 1 }));
        assert_eq!((Cycle::of("minute", DAY), Cycle::of("year", 1)), (None, None));
    }

    #[test]
    fn moments_are_rounded_down() {
        // 1969-12-31 23:00:00 and 1970-01-05, a Monday
        let of = Interval { min: -3600, max: 4 * 86_400 };
        let range = |word| Grain::of(word, SECOND).map(|grain| grain.range(of, SECOND));
        assert_eq!(range("day"), Some(Interval { min: -86_400, max: 4 * 86_400 }));
        assert_eq!(range("week"), Some(Interval { min: -3 * 86_400, max: 4 * 86_400 }));
        assert_eq!(range("millisecond"), Some(of));
        assert_eq!(range("decade"), None);
    }

    #[test]
    fn months_end_with_their_last_day() {
        // 2000-01-28 to 2000-01-31: all are at most the 29th of February, a year and a month later the 28th
        let of = Interval { min: 10_984, max: 10_987 };
        assert_eq!(months_later(of, 1, DAY), Some(Interval { min: 11_015, max: 11_016 }));
        assert_eq!(months_later(of, 13, DAY), Some(Interval { min: 11_381, max: 11_381 }));
        let seconds = Interval { min: of.min * 86_400 + 5, max: of.max * 86_400 };
        assert_eq!(months_later(seconds, -1, SECOND), Some(Interval { min: 10_953 * 86_400, max: 10_957 * 86_400 - 1 }));
        assert_eq!(months_later(Interval { min: 0, max: i128::from(i64::MAX) }, 1, DAY), None);
    }
}
