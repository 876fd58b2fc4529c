//! What output privacy costs.

use super::{Cost, Opening, all, at_least, bits_to, equal, field_bits, integer, is_negative, less_public, levels, product, shuffle, sort};
use crate::circuit::Sign;
use crate::privacy::{Binomial, Bounds, Laplace, Margins, Rule, clamp_constants};
use crate::relational::Sorting;
use crate::table::Message;
use mpc_core::{B64, Layout, Ring, index_bits};

/// How many of `planes` planes are set: `planes` less the ones in its binary form; floor(log2 planes) rounds.
pub fn weight(rows: usize, planes: usize) -> Cost {
    levels(rows, std::iter::successors(Some(planes / 2), |n| Some(n / 2)).take_while(|n| *n > 0))
}

/// Laplace noise: d + 1 comparisons of 64 random bits, and as many elements.
pub fn laplace<R: Ring>(rows: usize, noise: &Laplace) -> Cost {
    let biased = noise.bits() as usize + 1;
    less_public(rows * biased, noise.precision() as usize).then(integer::<R>(rows, biased))
}

/// Binomial noise: the weight of its coins, and an element for each bit of it.
pub fn binomial<R: Ring>(rows: usize, noise: &Binomial) -> Cost {
    let coins = noise.coins() as usize;
    weight(rows, coins).then(integer::<R>(rows, coins.ilog2() as usize + 1))
}

/// Integers of `width` bits clamped.
pub fn clamp(rows: usize, width: usize, sign: Sign, bounds: &Bounds) -> Cost {
    clamp_constants(width, sign, bounds).map_or(Cost::FREE, |constants| at_least(rows, &constants).then(levels(rows, [width])))
}

/// Field elements clamped.
pub fn clamp_field<R: Ring>(rows: usize) -> Cost {
    is_negative::<R>(2 * rows).then(bits_to::<R>(Layout::new(rows, 2))).then(product::<R>(Layout::new(rows, 1)))
}

/// At most `most` rows of each entity of `key` bits; `bits` travel beside key and flag.
pub fn cap(rows: usize, key: usize, bits: usize, most: usize, sorting: Sorting, turn: u64, opening: Opening) -> Cost {
    let moved = Message::of::<B64>(Layout::new(rows, key + 1 + bits));
    sort(rows, index_bits(rows), key + 1, sorting, moved, turn, opening).then(equal(rows - most.min(rows), key, 1))
}

/// Which cells may be shown.
pub fn safe<R: Ring>(rows: usize, rule: &Rule) -> Cost {
    match rule.dominance {
        None => is_negative::<R>(rows),
        Some(_) => is_negative::<R>(2 * rows).then(all(rows, 2)),
    }
}

/// Complementary suppression of cells with counts of `width` bits, by a radix sort that makes `turns` shuffles.
pub fn complement<R: Ring>(width: usize, margins: &Margins, sorting: Sorting, turn: u64, turns: u64, opening: Opening) -> Cost {
    let rows = margins.0.iter().sum();
    let bit = Layout::new(rows, 1);
    let moved = Message::of::<B64>(bit) + Message::of::<R>(bit);
    let sorted = sort(rows, index_bits(rows), width + 1 + margins.bits(), sorting, moved, turn, opening);
    let hidden = is_negative::<R>(rows).then(levels(rows, [1, 1]));
    field_bits::<R>(rows, width).then(sorted).then(hidden).then(shuffle(Message::of::<B64>(bit), turn + turns - 1))
}
