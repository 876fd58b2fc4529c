//! Conversions, arithmetic on bits and division at the gate.

use super::{Case, GateLine, measured};
use crate::circuit::{self, DatePart, Division, Rounding, Sign};
use crate::cost::{self, Cost};
use crate::world::Protocol;
use crate::{Abort, Engine};
use mpc_core::{B64, Column, Fp31, Fp61, Fp127, Layout, Ring, Z64};
use std::marker::PhantomData;
use std::ops::RangeInclusive;

/// Everything at `rows` rows.
pub(super) fn lines(rows: usize, lines: &mut Vec<GateLine>) {
    from_ring::<Fp31>(rows, lines);
    from_ring::<Fp61>(rows, lines);
    from_ring::<Fp127>(rows, lines);
    from_ring::<Z64>(rows, lines);
    for width in [1, 8, 31, 32, 61, 64] {
        planes(rows, width, lines);
    }
    for (op, part) in DATE_PARTS {
        let on = Dates { layout: Layout::new(rows, 32), part };
        lines.push(measured(&on, named(op, rows, 32), "Z2", cost::date_part(rows, 32, &DATES, part)));
    }
    // a division at the largest size takes longer than all the rest
    let divisions = divisions().into_iter().filter(|_| rows <= 1000);
    for (op, ring, of) in divisions {
        let on = Divided { of, rows };
        lines.push(measured(&on, named(op, rows, of.denominator.0), ring, cost::divide::<Fp61>(rows, &of)));
    }
}

/// Divisions by a hundred.
const SCALES: [(&str, Sign, Rounding); 3] = [
    ("divide_public", Sign::Signed, Rounding::TowardZero),
    ("scale_nearest", Sign::Signed, Rounding::HalfAwayFromZero),
    ("scale_unsigned", Sign::Unsigned, Rounding::TowardZero),
];

/// Twenty years of days.
const DATES: RangeInclusive<i64> = 10_957..=18_261;
const DATE_PARTS: [(&str, DatePart); 7] = [
    ("year", DatePart::Year),
    ("month", DatePart::Month),
    ("day", DatePart::Day),
    ("day_of_quarter", DatePart::DayOfQuarter),
    ("day_of_year", DatePart::DayOfYear),
    ("a_month_later", DatePart::Later(1)),
    ("two_years_ago", DatePart::Later(-24)),
];

/// Divisions of elements of Fp61, done there or in Fp127.
fn divisions() -> [(&'static str, &'static str, Division); 4] {
    let of = |k, quotient, sign, rounding| Division { numerator: (k, sign), denominator: (k, sign), scale: 1, quotient, rounding };
    [
        ("divide_32_20", "Fp61", of(32, 20, Sign::Signed, Rounding::TowardZero)),
        ("divide_32_40", "Fp127", of(32, 40, Sign::Signed, Rounding::TowardZero)),
        ("divide_59_20", "Fp127", of(59, 20, Sign::Signed, Rounding::TowardZero)),
        ("divide_59_40", "Fp127", of(59, 40, Sign::Unsigned, Rounding::HalfAwayFromZero)),
    ]
}

/// Every 37th number up to 200, as far as they fit.
fn constants(width: usize) -> Column<B64> {
    let fitting: Vec<i128> = (0..200).step_by(37).filter(|v| v >> width.min(8) == 0).collect();
    Column::from_ints(&fitting, width)
}

fn planes(rows: usize, width: usize, lines: &mut Vec<GateLine>) {
    let layout = Layout::new(rows, width);
    let mut line = |op, formula: Cost| lines.push(measured(&OfPlanes { op, layout }, named(op, rows, width as u32), "Z2", formula));
    line("integer", cost::integer::<Fp61>(rows, width));
    line("absolute", cost::negate_if(rows, width));
    line("negate_if", cost::negate_if(rows, width));
    line("minimum_signed", cost::minimum(rows, width));
    line("between", cost::between(rows, width));
    line("case", cost::case(rows, width, 5));
    line("is_in", cost::is_in(rows, &constants(width)));
    line("at_least", cost::at_least(rows, &constants(width)));
    line("extend", Cost::FREE);
}

/// A circuit over bit-planes.
struct OfPlanes {
    op: &'static str,
    layout: Layout,
}

impl Protocol for OfPlanes {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        let x = e.constant(&Column::<B64>::zeros(self.layout));
        let bit = e.constant(&Column::<B64>::zeros(Layout::new(self.layout.rows, 1)));
        match self.op {
            "integer" => circuit::integer::<E, Fp61>(e, &x, Sign::Signed).map(drop),
            "absolute" => circuit::absolute(e, &x).map(drop),
            "negate_if" => circuit::negate_if(e, &bit, &x).map(drop),
            "minimum_signed" => circuit::minimum_signed(e, &x, &x).map(drop),
            "between" => circuit::between(e, &x, &x, &x, Sign::Signed).map(drop),
            "case" => circuit::case(e, &[(&bit, &x); 5], &x).map(drop),
            "is_in" => circuit::is_in(e, &x, &constants(self.layout.planes)).map(drop),
            "at_least" => circuit::at_least(e, &x, &constants(self.layout.planes)).map(drop),
            "extend" => {
                circuit::extend(e, &x, self.layout.planes + 3, Sign::Signed);
                Ok(())
            }
            other => unreachable!("the gate names no operation {other}"),
        }
    }
}

/// A part of dates.
struct Dates {
    layout: Layout,
    part: DatePart,
}

impl Protocol for Dates {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        let days = e.constant(&Column::<B64>::zeros(self.layout));
        circuit::date_part(e, &days, &DATES, self.part).map(drop)
    }
}

/// A division of elements of Fp61.
struct Divided {
    of: Division,
    rows: usize,
}

impl Protocol for Divided {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        let x = e.constant(&Column::<Fp61>::zeros(Layout::new(self.rows, 1)));
        circuit::divide::<E, Fp61>(e, &x, &x, &self.of).map(drop)
    }
}

fn named(op: &str, rows: usize, k: u32) -> Case {
    Case { op: op.into(), n: rows, k: Some(k), ..Case::default() }
}

fn from_ring<R: Ring>(rows: usize, lines: &mut Vec<GateLine>) {
    let layout = Layout::new(rows, 1);
    let mut line = |op: &'static str, formula: Cost| {
        lines.push(measured(&OfRing::<R> { op, layout, ring: PhantomData }, named(op, rows, R::BITS), R::NAME, formula));
    };
    line("difference", cost::difference::<R>(rows, 1));
    line("near_quotient", cost::near_quotient::<Fp61>(layout));
    line("field_bits", cost::field_bits::<R>(rows, R::BITS as usize));
    line("field_bits_20", cost::field_bits::<R>(rows, 20));
    line(if R::NAME == Z64::NAME { "msb_pair" } else { "sign" }, cost::is_negative::<R>(rows));
    line("zero", cost::is_zero::<R>(rows));
    for (op, sign, rounding) in SCALES {
        line(op, cost::divide_public::<R>(rows, 100, sign, rounding));
    }
}

/// An operation on a column of a ring.
struct OfRing<R> {
    op: &'static str,
    layout: Layout,
    ring: PhantomData<fn() -> R>,
}

impl<R: Ring> Protocol for OfRing<R> {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        let x = e.constant(&Column::<R>::zeros(self.layout));
        match self.op {
            "difference" => e.difference(x, &[0], &[]).map(drop),
            "near_quotient" => e.near_quotient::<R, Fp61>(&x, &[10]).map(drop),
            "field_bits" => circuit::field_bits::<E, R>(e, x, R::BITS as usize).map(drop),
            "field_bits_20" => circuit::field_bits::<E, R>(e, x, 20).map(drop),
            "sign" | "msb_pair" => circuit::is_negative::<E, R>(e, x).map(drop),
            "divide_public" | "scale_nearest" | "scale_unsigned" => {
                let (_, sign, rounding) = SCALES.into_iter().find(|(op, ..)| *op == self.op).expect("one of them");
                circuit::divide_public::<E, R>(e, &x, 100, 20, sign, rounding).map(drop)
            }
            "zero" => circuit::is_zero::<E, R>(e, x).map(drop),
            other => unreachable!("the gate names no operation {other}"),
        }
    }
}
