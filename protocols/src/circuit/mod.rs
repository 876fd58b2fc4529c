//! Circuits over any [`Engine`]: written once, run in every scheme.
//!
//! A k-bit integer column is k bit-planes, least significant first. All gates of one level of a circuit travel in one message.
//!
//! | circuit | rounds | bits a row and party, k = 64 |
//! |---|---|---|
//! | [`equal`] | ceil(log2 k) | 63 |
//! | [`less`], [`less_signed`] | 1 + ceil(log2 k) | 152 |
//! | [`less_and_equal`] | 1 + ceil(log2 k) | 158 |
//! | [`less_public`], [`greater_public`] | ceil(log2 k) | 89 |
//! | [`all`], [`any`] of k planes | ceil(log2 k) | 63 |
//! | [`select`] | 1 | 64 |
//! | [`minimum`], [`maximum`] | 2 + ceil(log2 k) | 216 |
//! | [`add`], [`subtract`] | 1 + ceil(log2 k) | 385 |
//! | [`field_bits`], [`is_negative`], [`is_zero`] over Fp61 | 9, 8, 7 | 472, 156, 81 |
//! | [`integer`] over Fp61 | 2 | 3904 |
//! | [`absolute`], [`negate_if`] | ceil(log2 k) | 192 |
//! | [`between`] | 2 + ceil(log2 k) | 305 |
//! | [`case`] of 8 | 4 | 76 |
//! | [`is_in`], [`at_least`] of lists | ceil(log2 k) | 32 and one or two a distinct part of a constant |
//! | [`date_part`] within 20 years: year, month, day | 4, 13, 17 | 136, 220, 231 |
//! | the day of the quarter and of the year, a month later | 17, 9, 17 | 208, 163, 223 |
//! | [`divide_public`], [`divide`] over Fp61 | 13, 49 to 58 | 1000, 3500 to 8200 |
//! | [`weight`] of k planes | floor(log2 k) | 63 |
//! | [`count`], [`bit_times`], [`filtered_sum`] | 2, 3, 3 | 61, 122, 61 over Fp61 |
//!
//! Leakage: none. Nothing is opened here.

mod absolute;
mod adder;
mod between;
mod case;
pub(crate) mod date;
pub(crate) mod divide;
mod equal;
pub(crate) mod field;
mod integer;
mod less;
pub(crate) mod list;
mod minimum;
pub(crate) mod prefix;
mod reduce;
pub(crate) mod scale;
mod select;
mod sums;
mod text;
mod weight;

pub use absolute::{absolute, negate_if};
pub use adder::{add, subtract};
pub use between::between;
pub use case::case;
pub use date::{DatePart, date_part, days_until, months_later};
pub use divide::{Division, Quotient, Rounding, divide};
pub use equal::equal;
pub use field::{field_bits, field_equal, field_less, is_negative, is_zero, signed_field_bits};
pub use integer::{Sign, align, extend, integer, narrow};
pub use less::{greater_public, less, less_and_equal, less_and_equal_signed, less_public, less_signed};
pub use list::{at_least, is_in, steps};
pub use minimum::{maximum, maximum_signed, minimum, minimum_signed};
pub use reduce::{all, any};
pub use scale::divide_public;
pub use select::select;
pub use sums::{bit_times, count, count_in, filtered_sum};
pub use text::{lengthen, text_planes};
pub use weight::weight;

use crate::planes::element;
use crate::{Abort, Engine, Gate, Pair, Share, Wire};
use mpc_core::{B64, Column, Layout, Ring};

/// Shares of bits.
type Bits<E> = <E as Engine>::Share<B64>;

/// Zeros.
fn zero<E: Engine>(e: &mut E, rows: usize, planes: usize) -> Bits<E> {
    e.constant(&Column::zeros(Layout::new(rows, planes)))
}

/// The products of pairs of columns of one plane, in one message.
fn products<E: Engine, R: Ring>(e: &mut E, pairs: &[Pair<'_, E::Share<R>>]) -> Result<Vec<E::Share<R>>, Abort> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let (x, y): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    let product = e.mul(&Share::stack(&x), &Share::stack(&y))?;
    Ok((0..pairs.len()).map(|i| product.planes([i])).collect())
}

/// A public integer in every row.
fn constant<E: Engine, R: Ring>(e: &mut E, rows: usize, c: u128) -> E::Share<R> {
    e.constant(&Column::splat(element(c), Layout::new(rows, 1)))
}

/// x + c for a public integer c and x of one plane.
fn plus<E: Engine, R: Ring>(e: &mut E, x: &E::Share<R>, c: u128) -> E::Share<R> {
    x.add(&constant::<E, R>(e, x.layout().rows, c))
}

/// x - c for a public integer c and x of one plane.
fn minus<E: Engine, R: Ring>(e: &mut E, x: &E::Share<R>, c: u128) -> E::Share<R> {
    x.sub(&constant::<E, R>(e, x.layout().rows, c))
}

/// c x for a public integer c.
fn times<R: Ring, S: Share<R>>(x: &S, c: u128) -> S {
    x.scale(&Column::splat(element(c), x.layout()))
}

/// One level: the ANDs of all gates in one round. No gate, no round.
fn level<'a, E: Engine>(e: &mut E, gates: Vec<Gate<'_, Bits<E>>>) -> Result<Vec<Wire<'a, Bits<E>>>, Abort> {
    if gates.is_empty() { Ok(Vec::new()) } else { Ok(Wire::level(e.ands(gates)?)) }
}

/// A block of consecutive bits: what it generates (a carry, a "less") and whether it lets through what comes from below. The lowest block needs no
/// second, since nothing comes from below.
type Block<'a, E> = (Wire<'a, Bits<E>>, Option<Wire<'a, Bits<E>>>);

/// Merges blocks, lowest first, into one in ceil(log2 n) levels: g = g_hi ^ p_hi g_lo, p = p_hi p_lo. Without `keep` the lowest block's p is neither
/// read nor computed.
fn merge_blocks<'a, E: Engine>(e: &mut E, mut blocks: Vec<Block<'a, E>>, keep: bool) -> Result<Block<'a, E>, Abort> {
    while blocks.len() > 1 {
        let mut gates = Vec::with_capacity(blocks.len());
        for (i, pair) in blocks.chunks_exact(2).enumerate() {
            let [(g_low, p_low), (_, p_high)] = pair else { unreachable!("chunks are pairs") };
            let p_high = p_high.as_ref().expect("only the lowest block may lack p");
            gates.push((p_high.clone(), g_low.clone()));
            if i > 0 || keep {
                gates.push((p_high.clone(), p_low.clone().expect("only the lowest block may lack p")));
            }
        }
        let mut products = level(e, gates)?.into_iter();
        let mut next = || products.next().expect("one product a gate");
        let mut merged = Vec::with_capacity(blocks.len().div_ceil(2));
        for (i, pair) in blocks.chunks(2).enumerate() {
            merged.push(match pair {
                [_, (g_high, _)] => (g_high ^ &next(), (i > 0 || keep).then(&mut next)),
                odd => odd[0].clone(),
            });
        }
        blocks = merged;
    }
    Ok(blocks.pop().expect("there is at least one block"))
}

/// Panics unless `a` and `b` have equal layouts with at least one plane: widths come from the plan, never from a peer.
fn assert_same_width<E: Engine>(a: &Bits<E>, b: &Bits<E>) {
    assert_eq!(a.layout(), b.layout(), "both sides have the same rows and width");
    assert!(a.layout().planes > 0, "integers have at least one bit");
}
