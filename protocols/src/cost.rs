//! What operations cost, exactly: formulas of public sizes only.
//!
//! *Bits* are payload at exact element widths. *Bytes* follow the wire: a message is one column sent to one peer, its bits are rounded up
//! to whole bytes once, and nothing else is added (frame heads, QUIC and TLS are the transport's). *Rounds* never depend on the number
//! of rows: an operation on no rows still takes its rounds, with empty messages. `rows` is always the number of rows, `width` the number of
//! bit-planes.
//!
//! The same figures come from three sides, and the tests (and `cargo run -p bench -- cost`, through [`gate`](crate::gate)) demand that they are
//! equal: these formulas; [`Estimate`], which runs the protocol's own code without shares; and the meter of real parties.

mod arithmetic;
mod groups;
mod privacy;
mod tables;

pub use crate::estimate::Estimate;
pub use crate::gate::{GateLine, gate};
pub use arithmetic::{
    at_least, between, case, date_part, divide, divide_public, field_bits, integer, is_in, is_negative, is_zero, negate_if,
};
pub use groups::{Moved, Pairing, blank, pairs, segments, spread, totals};
use mpc_core::{B64, Layout, PartyId, Ring};
pub use privacy::{binomial, cap, clamp, clamp_field, complement, laplace, safe, weight};
pub use tables::{
    Opening, apply, compact, compose, digit, distinct, find, group_sums, has_repeats, join, join_match, ordering, permute_by, radix_places,
    retrieve, samplesort, shuffle, sort,
};

/// The cost of a protocol: what each party sends, and rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// Payload bits sent by P_0, P_1, P_2.
    pub bits: [u64; 3],
    /// Payload bytes sent by P_0, P_1, P_2.
    pub bytes: [u64; 3],
    /// Rounds.
    pub rounds: u64,
}

impl Cost {
    /// Nothing is sent.
    pub const FREE: Cost = Cost { bits: [0; 3], bytes: [0; 3], rounds: 0 };

    /// One round in which each of `messages` is sent: its sender and its layout.
    pub fn round<R: Ring>(messages: impl IntoIterator<Item = (PartyId, Layout)>) -> Self {
        let mut cost = Cost { rounds: 1, ..Cost::FREE };
        for (from, layout) in messages {
            cost.bits[from.index()] += layout.bits::<R>();
            cost.bytes[from.index()] += layout.bytes::<R>() as u64;
        }
        cost
    }

    /// One round in which every party sends one message of `layout`.
    pub fn each<R: Ring>(layout: Layout) -> Self {
        Cost::round::<R>((0..3).map(|p| (PartyId(p), layout)))
    }

    /// This, then `next`.
    pub fn then(self, next: Cost) -> Self {
        let sum = |a: [u64; 3], b: [u64; 3]| std::array::from_fn(|p| a[p] + b[p]);
        Cost { bits: sum(self.bits, next.bits), bytes: sum(self.bytes, next.bytes), rounds: self.rounds + next.rounds }
    }

    /// All of these in the same rounds.
    pub fn at_once(costs: impl IntoIterator<Item = Cost>) -> Self {
        costs.into_iter().fold(Cost::FREE, |a, b| Cost { rounds: a.rounds.max(b.rounds), ..a.then(b) })
    }

    /// Bits sent by all parties together.
    pub fn total_bits(&self) -> u64 {
        self.bits.iter().sum()
    }

    /// Bytes sent by the party that sends most.
    pub fn max_bytes(&self) -> u64 {
        self.bytes.into_iter().max().unwrap_or(0)
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Self {
        costs.fold(Cost::FREE, Cost::then)
    }
}

// ------------------------------------------------------------ operations of the engine

/// Inputs of any parties in one round: each column by its owner.
pub fn input<R: Ring>(inputs: impl IntoIterator<Item = (PartyId, Layout)>) -> Cost {
    Cost::round::<R>(inputs)
}

/// A sum of products, however many.
pub fn product<R: Ring>(layout: Layout) -> Cost {
    Cost::each::<R>(layout)
}

/// The inner products of the planes of two columns of `layout`: one row, whatever their length.
pub fn dot<R: Ring>(layout: Layout) -> Cost {
    Cost::each::<R>(layout.with_rows(1))
}

/// Bits to the ring `R`, one of `layout`: a_0 and m_1 in the first round, m_2 in the second.
pub fn bits_to<R: Ring>(layout: Layout) -> Cost {
    Cost::round::<R>([(PartyId(0), layout), (PartyId(1), layout)]).then(Cost::round::<R>([(PartyId(2), layout)]))
}

/// An element of `R` as a difference of integers in bits, with `products` products of their bits: no second round without any.
pub fn difference<R: Ring>(rows: usize, products: usize) -> Cost {
    let by = |p: u8, planes| (PartyId(p), Layout::new(rows, planes));
    let integer = by(0, R::BITS as usize);
    if products == 0 {
        return Cost::round::<B64>([integer]);
    }
    Cost::round::<B64>([integer, by(1, products)]).then(Cost::round::<B64>([by(2, products)]))
}

/// Near quotients over `S`, of `layout`.
pub fn near_quotient<S: Ring>(layout: Layout) -> Cost {
    let both = Layout::new(layout.rows, 2 * layout.planes);
    Cost::round::<S>([(PartyId(0), both), (PartyId(1), layout)]).then(Cost::round::<S>([(PartyId(2), layout)]))
}

/// Opening to all.
pub fn open<R: Ring>(layout: Layout) -> Cost {
    Cost::each::<R>(layout)
}

/// Opening to one: its right neighbour sends.
pub fn open_to<R: Ring>(to: PartyId, layout: Layout) -> Cost {
    Cost::round::<R>([(to.right(1, 3), layout)])
}

/// Releasing to someone outside: a fresh sharing.
pub fn release<R: Ring>(layout: Layout) -> Cost {
    Cost::each::<R>(layout)
}

/// `bit ? x : y`, where `layout` is that of x and y.
pub fn select<R: Ring>(layout: Layout) -> Cost {
    product::<R>(layout)
}

// ------------------------------------------------------------ circuits, by level

/// The AND (or OR) of `planes` planes: planes - 1 bits a row, ceil(log2 planes) rounds.
pub fn all(rows: usize, planes: usize) -> Cost {
    levels(rows, halvings(planes))
}

/// Equality: width - 1 bits a row, ceil(log2 width) rounds. With `also` further bits in the tree, width + also in place of width.
pub fn equal(rows: usize, width: usize, also: usize) -> Cost {
    all(rows, width + also)
}

/// Less-than. Even width: 2.5 width - 2 - ceil(log2 width) bits a row; odd width > 1: (5 width - 3)/2 - ceil(log2 (width+1)); width 1: one bit.
/// 1 + ceil(log2 width) rounds.
pub fn less(rows: usize, width: usize) -> Cost {
    comparison(rows, width, false)
}

/// Less-than and equality together: ceil(log2 width) bits more.
pub fn less_and_equal(rows: usize, width: usize) -> Cost {
    comparison(rows, width, true)
}

fn comparison(rows: usize, width: usize, keep: bool) -> Cost {
    let (pairs, odd) = (width / 2, width % 2);
    let equalities = if keep { pairs } else { pairs.saturating_sub(1) };
    let pair_levels = [pairs + equalities + odd, pairs];
    levels(rows, pair_levels[..if pairs > 0 { 2 } else { 1 }].iter().copied().chain(merges(pairs + odd, keep)))
}

/// Less-than against public values. Even width: 1.5 width - 1 - ceil(log2 width) bits a row, ceil(log2 width) rounds.
pub fn less_public(rows: usize, width: usize) -> Cost {
    let (pairs, odd) = (width / 2, width % 2);
    levels(rows, (pairs > 0).then_some(pairs).into_iter().chain(merges(pairs + odd, false)))
}

/// The lesser of two: less-than, then one AND a plane.
pub fn minimum(rows: usize, width: usize) -> Cost {
    less(rows, width).then(select::<B64>(Layout::new(rows, width)))
}

/// a + b mod 2^width (and a - b): for a power of two width log2 width + 1 bits a row, 1 + ceil(log2 width) rounds.
pub fn adder(rows: usize, width: usize) -> Cost {
    let spans = std::iter::successors(Some(1), |d| Some(2 * d)).take_while(move |d| *d < width);
    let gates = |d: usize| {
        let upper = |from: usize| (from..width).filter(|i| i & d != 0).count();
        upper(0) + upper(2 * d)
    };
    levels(rows, std::iter::once(width).chain(spans.map(gates)))
}

/// How many bits of each plane are set, as elements of `R`; `layout` is that of the bits as elements.
pub fn count<R: Ring>(layout: Layout) -> Cost {
    bits_to::<R>(layout)
}

/// Bit times value, for each row of `layout` (one bit plane for all planes).
pub fn bit_times<R: Ring>(layout: Layout) -> Cost {
    bits_to::<R>(layout.with_planes(1)).then(product::<R>(layout))
}

/// The sum over the rows whose bit is set of each plane of `layout`.
pub fn filtered_sum<R: Ring>(layout: Layout) -> Cost {
    bits_to::<R>(layout.with_planes(1)).then(dot::<R>(layout))
}

/// One message of ANDs by each party for each level.
fn levels(rows: usize, gates: impl IntoIterator<Item = usize>) -> Cost {
    gates.into_iter().map(|g| product::<B64>(Layout::new(rows, g))).sum()
}

/// Gates at each level of a tree over `n` leaves.
fn halvings(n: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(n), |n| Some(n.div_ceil(2))).take_while(|n| *n > 1).map(|n| n / 2)
}

/// Gates at each level of merging `n` blocks (g, p): two a merge, but one at the lowest unless its p is kept.
fn merges(n: usize, keep: bool) -> impl Iterator<Item = usize> {
    halvings(n).map(move |m| 2 * m - usize::from(!keep))
}
