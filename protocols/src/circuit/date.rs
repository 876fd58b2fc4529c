//! Parts of secret dates, and how far off the same day so many months later is.
//!
//! *Functionality.* Of days since 1970-01-01 within a public range, in two's complement: the year, the month 1..=12, the day of the month 1..=31, of the
//! quarter 1..=92 and of the year 1..=366, proleptic Gregorian, unsigned; and for a public number of months the days until the same day so many months later, or
//! the last day of that month if it has none. A day outside the range gives some number.
//! *Protocol.* The year is a step function of the day, which rises at each first of January in the range ([`at_least`], [`steps`]). For month and day years
//! begin in March, so that the day a leap year adds is their last: the first of March before the day is a step function whose value costs nothing beyond the
//! comparison, the day of that year a subtraction of its low 9 bits, and the month a step function with the same eleven steps every year; what precedes the month in its
//! year is again a step function, and the day of the month a subtraction of 5 bits. Quarters likewise, of years that begin in April. Months later there are three
//! terms: a step function of the year; one of the day of the year, as if no year had a leap day; and one day more if the day is far enough in its year for the
//! leap day of the year it comes to (`Later`).
//! *Cost.* [`at_least`] of the first of Januarys or Marches in the range; for the month a 9-bit subtraction and 11 comparisons of 9 bits more, for the day a
//! 5-bit subtraction more, for months later about 20 comparisons of 9 bits, one AND, and sums of a few bits. Twenty years from 2000 (15 bits): year 136 bits a row in 4
//! rounds, month 220 in 13, day 231 in 17, day of the quarter 208 in 17, day of the year 163 in 9, a month later 223 in 17 ([`cost::date_part`](crate::cost::date_part)).
//! *Leakage.* None.

use super::list::{at_least, steps};
use super::{Bits, add, extend, subtract};
use crate::{Abort, Engine, Share};
use mpc_core::{B64, Column};
use std::ops::RangeInclusive;

/// What to extract of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatePart {
    /// The year.
    Year,
    /// The month, from 1.
    Month,
    /// The day of the month, from 1.
    Day,
    /// The day of the quarter, from 1.
    DayOfQuarter,
    /// The day of the year, from 1.
    DayOfYear,
    /// The days until so many months later (before, if negative), less the least there are ([`days_until`]).
    Later(i32),
}

/// Days before each month of a year that begins in March, after the first.
const MONTHS: [i64; 11] = [31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];
/// Days before each quarter of a year that begins in April, after the first.
const QUARTERS: [i64; 3] = [91, 183, 275];
/// Bits of a day in a year, in a quarter and in a month.
pub(crate) const DAY_OF_YEAR: usize = 9;
pub(crate) const DAY_OF_QUARTER: usize = 7;
pub(crate) const DAY_OF_MONTH: usize = 5;

/// The part of dates `days`, all in `range`.
///
/// # Panics
/// If the range is empty, or ends do not fit the width of `days`: ranges come from the catalogue, which is checked when it is loaded.
pub fn date_part<E: Engine>(e: &mut E, days: &Bits<E>, range: &RangeInclusive<i64>, part: DatePart) -> Result<Bits<E>, Abort> {
    let plan = Plan::new(days.layout().planes, range, part);
    let rows = days.layout().rows;
    let days = plan.ordered::<E>(e, days);
    let year = if plan.firsts.is_empty() { None } else { Some(at_least(e, &days, &plan.constants(&plan.firsts))?) };
    let of_year = |e: &mut E, values: &[u128], width| match &year {
        Some(reached) => steps::<E>(e, reached, values, width),
        None => e.constant(&Column::from_ints(&vec![values[0] as i128; rows], width)),
    };
    if part == DatePart::Year {
        return Ok(of_year(e, &plan.values, plan.values_width()));
    }
    let before = of_year(e, &plan.values, DAY_OF_YEAR);
    let low = extend(e, &days, days.layout().planes.max(DAY_OF_YEAR), super::Sign::Unsigned);
    let day_of_year = subtract(e, &low.planes(0..DAY_OF_YEAR), &before)?;
    // one less than the days before, so that days begin at 1
    let less_one = |days: &[i64], width: usize| -> Vec<u128> {
        std::iter::once(&0).chain(days).map(|days| (days - 1) as u128 & ((1 << width) - 1)).collect()
    };
    match part {
        // a year is done above
        DatePart::Year | DatePart::DayOfYear => Ok(day_of_year),
        DatePart::Month => {
            let months = at_least(e, &day_of_year, &of_year_constants(&MONTHS))?;
            Ok(steps::<E>(e, &months, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2], 4))
        }
        DatePart::Day => {
            let months = at_least(e, &day_of_year, &of_year_constants(&MONTHS))?;
            let before = steps::<E>(e, &months, &less_one(&MONTHS, DAY_OF_MONTH), DAY_OF_MONTH);
            subtract(e, &day_of_year.planes(0..DAY_OF_MONTH), &before)
        }
        DatePart::DayOfQuarter => {
            let quarters = at_least(e, &day_of_year, &of_year_constants(&QUARTERS))?;
            let before = steps::<E>(e, &quarters, &less_one(&QUARTERS, DAY_OF_QUARTER), DAY_OF_QUARTER);
            subtract(e, &day_of_year.planes(0..DAY_OF_QUARTER), &before)
        }
        DatePart::Later(months) => {
            let later = Later::new(range, months);
            let reached = at_least(e, &day_of_year, &of_year_constants(&later.turns))?;
            let days = steps::<E>(e, &reached, &later.days, later.width);
            let leap = of_year(e, &later.leaps, 1);
            let far = reached.planes([later.leap_from]);
            let one = super::products::<E, B64>(e, &[(&far, &leap)])?.remove(0);
            let one = extend(e, &one, later.width, super::Sign::Unsigned);
            let sum = add(e, &days, &one)?;
            if !later.years_differ() {
                return Ok(sum);
            }
            let years = of_year(e, &later.years, later.width);
            add(e, &sum, &years)
        }
    }
}

/// Between which numbers of days a day of the range is from the same so many months later; [`DatePart::Later`] is less the first, and has the bits for the last.
pub fn days_until(range: &RangeInclusive<i64>, months: i32) -> RangeInclusive<i64> {
    let later = Later::new(range, months);
    later.least..=later.least + (1 << later.width) - 1
}

/// The day so many months after a day, or the last of that month if it has none.
pub fn months_later(day: i64, months: i32) -> i64 {
    let year = year_beginning_in(3, day);
    let (years, later) = of_year_later(day - days_before(year, 3), months, is_leap(year + i64::from(months.div_euclid(12))));
    days_before(year + years, 3) + later
}

/// What is public of dates some months later. The days until then are
/// `least + years(year) + days(day of the year) + [the day is not before turn leap_from] leaps(year)`,
/// in years that begin in March: a leap day of the year that the date comes to moves all that lies at it or beyond.
pub(crate) struct Later {
    least: i64,
    /// Bits of the sum without `least`.
    pub width: usize,
    /// Of each year of the range, less the least.
    pub years: Vec<u128>,
    /// Of each year: whether the year so many whole years later ends with a leap day.
    leaps: Vec<u128>,
    /// Days of the year at which `days` changes, and the one at which leap days begin to matter.
    pub turns: Vec<i64>,
    days: Vec<u128>,
    leap_from: usize,
}

impl Later {
    pub fn new(range: &RangeInclusive<i64>, months: i32) -> Self {
        let whole = i64::from(months.div_euclid(12));
        let years: Vec<i64> = (year_beginning_in(3, *range.start())..=year_beginning_in(3, *range.end())).collect();
        let moved: Vec<i64> = years.iter().map(|year| days_before(year + whole, 3) - days_before(*year, 3)).collect();
        // within the year it comes to, and whether the next
        let until = |day: i64, leap: bool| {
            let (years, later) = of_year_later(day, months, leap);
            later - day + (years - whole) * (365 + i64::from(leap))
        };
        let of_day: Vec<i64> = (0..366).map(|day| until(day, false)).collect();
        let leap_from = (0..366).find(|day| until(*day, true) > of_day[*day as usize]).expect("the last day of a leap year");
        let turns: Vec<i64> = (1..366).filter(|day| *day == leap_from || of_day[*day as usize] != of_day[*day as usize - 1]).collect();
        let (least_year, least_day) = (moved.iter().min().copied().unwrap_or(0), of_day.iter().min().copied().unwrap_or(0));
        let above = |value: i64, least: i64| (value - least) as u128;
        let days: Vec<u128> = std::iter::once(0).chain(turns.iter().copied()).map(|day| above(of_day[day as usize], least_day)).collect();
        let years_above: Vec<u128> = moved.iter().map(|moved| above(*moved, least_year)).collect();
        let most = days.iter().max().copied().unwrap_or(0) + years_above.iter().max().copied().unwrap_or(0) + 1;
        Self {
            least: least_year + least_day,
            width: 128 - most.leading_zeros() as usize,
            leaps: years.iter().map(|year| u128::from(is_leap(year + whole))).collect(),
            years: years_above,
            leap_from: turns.iter().position(|day| *day == leap_from).expect("it is a turn"),
            turns,
            days,
        }
    }

    /// Whether whole years are not all of the same length.
    pub fn years_differ(&self) -> bool {
        self.years.iter().any(|years| *years > 0)
    }
}

/// Of a day in a year that begins in March, counted from 0: years and the day in that year some months later. `leap`: the year so many whole years later ends with a leap day.
fn of_year_later(day: i64, months: i32, leap: bool) -> (i64, i64) {
    let month = MONTHS.partition_point(|first| *first <= day) as i64;
    let first = |month: i64| if month == 0 { 0 } else { MONTHS[month as usize - 1] };
    let to = month + i64::from(months.rem_euclid(12));
    let (carried, to) = (to / 12, to % 12);
    let end = if to == 11 { 365 + i64::from(leap) } else { first(to + 1) };
    (i64::from(months.div_euclid(12)) + carried, (first(to) + day - first(month)).min(end - 1))
}

/// What is public of an extraction: where its step function rises and what it is between.
pub(crate) struct Plan {
    width: usize,
    /// Whether days have a sign that may be set.
    signed: bool,
    /// The first days of years after the first day of the range.
    firsts: Vec<i64>,
    /// The year, or the low bits of its first day in the order of `days`.
    values: Vec<u128>,
}

impl Plan {
    fn new(planes: usize, range: &RangeInclusive<i64>, part: DatePart) -> Self {
        let (first, last) = (*range.start(), *range.end());
        let bits = |v: i64| 64 - if v < 0 { !v } else { v }.leading_zeros() as usize;
        let magnitude = bits(first).max(bits(last));
        assert!(first <= last && magnitude < planes, "a range of dates within {planes} bits");
        let signed = first < 0;
        // a bit fewer where the sign is known
        let width = if signed { magnitude + 1 } else { magnitude.max(1) };
        let lift = if signed { 1 << magnitude } else { 0 };
        let month = match part {
            DatePart::Year | DatePart::DayOfYear => 1,
            DatePart::DayOfQuarter => 4,
            DatePart::Month | DatePart::Day | DatePart::Later(_) => 3,
        };
        let year_of = |day: i64| year_beginning_in(month, day);
        let years: Vec<i64> = (year_of(first)..=year_of(last)).collect();
        let firsts = years[1..].iter().map(|year| days_before(*year, month)).collect();
        let value = |year: &i64| match part {
            DatePart::Year => *year as u128,
            // days begin at 1
            DatePart::DayOfYear => (days_before(*year, month) - 1 + lift) as u128 & ((1 << DAY_OF_YEAR) - 1),
            _ => (days_before(*year, month) + lift) as u128 & ((1 << DAY_OF_YEAR) - 1),
        };
        Plan { width, signed, firsts, values: years.iter().map(value).collect() }
    }

    /// The days in as few bits as the range needs, in unsigned order.
    fn ordered<E: Engine>(&self, e: &mut E, days: &Bits<E>) -> Bits<E> {
        let low = days.planes(0..self.width);
        if !self.signed {
            return low;
        }
        let mut wires = crate::Wire::each(&low);
        wires[self.width - 1] = !&wires[self.width - 1];
        e.join(&wires)
    }

    /// Days as constants in the same order.
    fn constants(&self, days: &[i64]) -> Column<B64> {
        let lift = if self.signed { 1 << (self.width - 1) } else { 0 };
        Column::from_ints(&days.iter().map(|day| i128::from(day + lift)).collect::<Vec<_>>(), self.width)
    }

    fn values_width(&self) -> usize {
        128 - self.values.iter().fold(1, |all, v| all | v).leading_zeros() as usize
    }
}

/// The comparisons of an extraction with first days of years: their width and constants.
pub(crate) fn year_constants(planes: usize, range: &RangeInclusive<i64>, part: DatePart) -> Option<Column<B64>> {
    let plan = Plan::new(planes, range, part);
    (!plan.firsts.is_empty()).then(|| plan.constants(&plan.firsts))
}

/// The comparisons of a day of the year with such days.
pub(crate) fn of_year_constants(days: &[i64]) -> Column<B64> {
    Column::from_ints(&days.iter().map(|day| i128::from(*day)).collect::<Vec<_>>(), DAY_OF_YEAR)
}

/// The comparisons with the first days of months and of quarters.
pub(crate) fn month_constants() -> Column<B64> {
    of_year_constants(&MONTHS)
}

pub(crate) fn quarter_constants() -> Column<B64> {
    of_year_constants(&QUARTERS)
}

/// Whether a year that begins in March ends with a leap day.
fn is_leap(year: i64) -> bool {
    days_before(year + 1, 3) - days_before(year, 3) == 366
}

/// The day of the first of `month` (1, 3 or 4) in a year, from 1970-01-01 on (Howard Hinnant, days_from_civil).
fn days_before(year: i64, month: i64) -> i64 {
    // years that begin in March, from 0000-03-01
    let (year, day) = match month {
        1 => (year - 1, 306),
        3 => (year, 0),
        _ => (year, 31),
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day - 719_468
}

/// The year, beginning on the first of `month` (1, 3 or 4), in which a day is (Howard Hinnant, civil_from_days).
fn year_beginning_in(month: i64, day: i64) -> i64 {
    let (day, later) = match month {
        1 => (day - 306, 1),
        3 => (day, 0),
        _ => (day - 31, 0),
    };
    let (era, of_era) = ((day + 719_468).div_euclid(146_097), (day + 719_468).rem_euclid(146_097));
    era * 400 + (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365 + later
}
