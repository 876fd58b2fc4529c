//! Year, month and day of secret dates.
//!
//! *Functionality.* Of days since 1970-01-01 within a public range, in two's complement: the year, the month 1..=12, the day of the month 1..=31, proleptic
//! Gregorian, unsigned. A day outside the range gives some number.
//! *Protocol.* The year is a step function of the day, which rises at each first of January in the range ([`at_least`], [`steps`]). For month and day years
//! begin in March, so that the day a leap year adds is their last: the first of March before the day is a step function whose value costs nothing beyond the
//! comparison, the day of that year a subtraction of its low 9 bits, and the month a step function with the same eleven steps every year; what precedes the month in its
//! year is again a step function, and the day of the month a subtraction of 5 bits.
//! *Cost.* [`at_least`] of the first of Januarys or Marches in the range; for the month a 9-bit subtraction and 11 comparisons of 9 bits more, for the day a
//! 5-bit subtraction more. Twenty years from 2000 (15 bits): year 136 bits a row in 4 rounds, month 220 in 13, day 231 in 17
//! ([`cost::date_part`](crate::cost::date_part)). *Leakage.* None.

use super::list::{at_least, steps};
use super::{Bits, subtract};
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
}

/// Days before each month of a year that begins in March, after the first.
const MONTHS: [i64; 11] = [31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];
/// Bits of a day in a year, and of one in a month.
pub(crate) const DAY_OF_YEAR: usize = 9;
pub(crate) const DAY_OF_MONTH: usize = 5;

/// The part of dates `days`, all in `range`.
///
/// # Panics
/// If the range is empty, or ends do not fit the width of `days`: ranges come from the catalogue, which is checked when it is loaded.
pub fn date_part<E: Engine>(e: &mut E, days: &Bits<E>, range: &RangeInclusive<i64>, part: DatePart) -> Result<Bits<E>, Abort> {
    let plan = Plan::new(days.layout().planes, range, part);
    let days = plan.ordered::<E>(e, days);
    let year = if plan.firsts.is_empty() { None } else { Some(at_least(e, &days, &plan.constants(&plan.firsts))?) };
    let of_year = |e: &mut E, values: &[u128], width| match &year {
        Some(reached) => steps::<E>(e, reached, values, width),
        None => e.constant(&Column::from_ints(&vec![values[0] as i128; days.layout().rows], width)),
    };
    if part == DatePart::Year {
        return Ok(of_year(e, &plan.values, plan.values_width()));
    }
    let before = of_year(e, &plan.values, DAY_OF_YEAR);
    let low = super::extend(e, &days, days.layout().planes.max(DAY_OF_YEAR), super::Sign::Unsigned);
    let day_of_year = subtract(e, &low.planes(0..DAY_OF_YEAR), &before)?;
    let months = at_least(e, &day_of_year, &month_constants())?;
    if part == DatePart::Month {
        return Ok(steps::<E>(e, &months, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2], 4));
    }
    // one less than the days before the month, so that days begin at 1
    let before: Vec<u128> = std::iter::once(0).chain(MONTHS).map(|days| (days - 1) as u128 & 0x1f).collect();
    let before = steps::<E>(e, &months, &before, DAY_OF_MONTH);
    subtract(e, &day_of_year.planes(0..DAY_OF_MONTH), &before)
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
        let month = if part == DatePart::Year { 1 } else { 3 };
        let year_of = |day: i64| year_beginning_in(month, day);
        let years: Vec<i64> = (year_of(first)..=year_of(last)).collect();
        let firsts = years[1..].iter().map(|year| days_before(*year, month)).collect();
        let value = |year: &i64| match part {
            DatePart::Year => *year as u128,
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

/// The comparisons of a day of the year with first days of months.
pub(crate) fn month_constants() -> Column<B64> {
    Column::from_ints(&MONTHS.map(i128::from), DAY_OF_YEAR)
}

/// The day of the first of `month` (1 or 3) in a year, from 1970-01-01 on (Howard Hinnant, days_from_civil).
fn days_before(year: i64, month: i64) -> i64 {
    // years that begin in March, from 0000-03-01
    let (year, day) = if month == 1 { (year - 1, 306) } else { (year, 0) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day - 719_468
}

/// The year, beginning on the first of `month`, in which a day is.
fn year_beginning_in(month: i64, day: i64) -> i64 {
    // too early by a few years at most
    let early = 1968 + if day < 0 { day.div_euclid(365) } else { day / 366 };
    (early..).take_while(|year| days_before(*year, month) <= day).last().unwrap_or(early)
}
