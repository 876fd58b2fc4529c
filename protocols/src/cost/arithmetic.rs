//! Between the field and bits, arithmetic on bits, division.

use super::{Cost, adder, all, bits_to, difference, less, levels, merges, near_quotient, product};
use crate::circuit::{DatePart, Division, Rounding, Sign, date, field, list, prefix, scale};
use mpc_core::{B64, Column, Fp127, Layout, Ring};
use std::ops::RangeInclusive;

/// The low `width` bits of field elements. All k = 61 of Fp61: 61 bits for the products, 2 * 176 - 1 in the tree, 60 for the borrow that goes around;
/// 2 + ceil(log2 k) + 1 rounds.
pub fn field_bits<R: Ring>(rows: usize, width: usize) -> Cost {
    let tree = field::borrows::<R>(width);
    let products = tree.reads.iter().filter(|reads| **reads).count();
    let around = if field::goes_around::<R>() { width - 1 } else { 0 };
    difference::<R>(rows, products).then(levels(rows, tree.gates().chain([around]).filter(|gates| *gates > 0)))
}

/// The sign of field elements: for k - 1 even pairs and the top position in one chain, k bits by P_0 and (k + 1)/2 by the others for the products, k - 1 for the pairs,
/// then the tree; 3 + ceil(log2 ((k + 1)/2)) rounds.
pub fn is_negative<R: Ring>(rows: usize) -> Cost {
    let (top, around) = (R::BITS as usize - 1, field::goes_around::<R>());
    let (pairs, odd) = (top / 2, top % 2);
    let first = (2 * pairs).saturating_sub((!around).into());
    let blocks = pairs + odd + usize::from(around);
    let gates = std::iter::once(first).filter(|gates| *gates > 0).chain(merges(blocks, false));
    difference::<R>(rows, field::sign_borrows::<R>().len()).then(levels(rows, gates))
}

/// Whether field elements are zero: k bits by P_0, then equality of k bits.
pub fn is_zero<R: Ring>(rows: usize) -> Cost {
    difference::<R>(rows, 0).then(all(rows, R::BITS as usize))
}

/// Integers of `width` bits as elements: one element a bit, 2 rounds.
pub fn integer<R: Ring>(rows: usize, width: usize) -> Cost {
    bits_to::<R>(Layout::new(rows, width))
}

/// Negation where a bit is set, and absolute value. A power of two: (width/2) log2 width bits; ceil(log2 width) rounds.
pub fn negate_if(rows: usize, width: usize) -> Cost {
    prefix_ands(rows, width)
}

fn prefix_ands(rows: usize, wires: usize) -> Cost {
    levels(rows, prefix::prefix_and_tree(wires).gates().filter(|gates| *gates > 0))
}

/// Between secret ends: two comparisons in the same rounds, then one bit.
pub fn between(rows: usize, width: usize) -> Cost {
    less(2 * rows, width).then(levels(rows, [1]))
}

/// A choice of the first of `cases` that holds: the ANDs of prefixes, then `width` bits in one round.
pub fn case(rows: usize, width: usize, cases: usize) -> Cost {
    prefix_ands(rows, cases).then(product::<B64>(Layout::new(rows, width)))
}

/// Membership among public constants.
pub fn is_in(rows: usize, constants: &Column<B64>) -> Cost {
    let width = constants.planes();
    let gates = if constants.rows() == 0 { Vec::new() } else { list::Nodes::new(width, constants).membership_gates(width) };
    levels(rows, gates)
}

/// Order against public constants.
pub fn at_least(rows: usize, constants: &Column<B64>) -> Cost {
    let width = constants.planes();
    levels(rows, list::Nodes::new(width, constants).order_gates(width))
}

/// A part of dates in `range`, of `width` bits.
pub fn date_part(rows: usize, width: usize, range: &RangeInclusive<i64>, part: DatePart) -> Cost {
    let years = date::year_constants(width, range, part).map_or(Cost::FREE, |constants| at_least(rows, &constants));
    let day_of_year = || years.then(adder(rows, date::DAY_OF_YEAR));
    let compared = |constants: &Column<B64>| day_of_year().then(at_least(rows, constants));
    match part {
        DatePart::Year => years,
        DatePart::DayOfYear => day_of_year(),
        DatePart::Month => compared(&date::month_constants()),
        DatePart::Day => compared(&date::month_constants()).then(adder(rows, date::DAY_OF_MONTH)),
        DatePart::DayOfQuarter => compared(&date::quarter_constants()).then(adder(rows, date::DAY_OF_QUARTER)),
        DatePart::Later(months) => {
            let later = date::Later::new(range, months);
            let sums = if later.years_differ() { 2 } else { 1 };
            let sums = (0..sums).map(|_| adder(rows, later.width)).sum::<Cost>();
            compared(&date::of_year_constants(&later.turns)).then(levels(rows, [1])).then(sums)
        }
    }
}

/// Division by a public constant.
pub fn divide_public<R: Ring>(rows: usize, divisor: u128, sign: Sign, rounding: Rounding) -> Cost {
    if divisor == 1 {
        return Cost::FREE;
    }
    let near = near_quotient::<R>(Layout::new(rows, 1));
    if !scale::by_sign(divisor, sign, rounding) {
        return near.then(is_negative::<R>(2 * rows)).then(bits_to::<R>(Layout::new(2 * rows, 1)));
    }
    let corrections = if rounding == Rounding::TowardZero { 3 } else { 2 };
    near.then(is_negative::<R>(5 * rows)).then(levels(rows, [2])).then(bits_to::<R>(Layout::new(rows, corrections)))
}

/// Division of secret by secret over `R`.
pub fn divide<R: Ring>(rows: usize, of: &Division) -> Cost {
    let converted = if of.numerator.1 == Sign::Signed { 2 * rows } else { rows };
    let bits = field_bits::<R>(converted, of.width()).then(prefix_ands(rows, of.denominator.0 as usize));
    if of.fits::<R>() {
        return bits.then(quotient::<R>(rows, of));
    }
    let there = near_quotient::<Fp127>(Layout::new(rows, 2));
    bits.then(there).then(quotient::<Fp127>(rows, of)).then(near_quotient::<R>(Layout::new(rows, 1)))
}

fn quotient<W: Ring>(rows: usize, of: &Division) -> Cost {
    let products = |planes| if planes == 0 { Cost::FREE } else { product::<W>(Layout::new(rows, planes)) };
    let near = |planes| near_quotient::<W>(Layout::new(rows, planes));
    let signs = [of.numerator.1, of.denominator.1].iter().filter(|sign| **sign == Sign::Signed).count();
    let (mut shift, mut sign) = (of.shift_bits(), signs + 1);
    let mut cost = bits_to::<W>(Layout::new(rows, shift + sign)).then(products(signs + shift / 2 + sign / 2));
    (shift, sign) = (shift.div_ceil(2), sign.div_ceil(2));
    while shift > 1 || sign > 1 {
        cost = cost.then(products(shift / 2 + sign / 2));
        (shift, sign) = (shift.div_ceil(2), sign.div_ceil(2));
    }
    let shifted = products(2 * shift).then(if of.first_shifts() == [0, 0] { Cost::FREE } else { near(2) });
    let first = products(1).then(near(1));
    let factors = (1..of.factors()).map(|_| products(2).then(near(2))).sum::<Cost>().then(first);
    let corrected = products(1).then(is_negative::<W>(2 * rows)).then(bits_to::<W>(Layout::new(2 * rows, 1)));
    cost.then(shifted).then(first).then(factors).then(first).then(corrected).then(products(1))
}
