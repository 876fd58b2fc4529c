//! What it costs to see rows from their groups, and to pair rows of two sides.

use super::{Cost, Opening, bit_times, bits_to, compact, equal, field_bits, less_public, open, product, radix_places, shuffle, sort};
use crate::Cell;
use crate::relational::{Radix, Sorting};
use crate::table::Message;
use mpc_core::{B64, Fp61, Fp127, Layout, Ring, Z64, index_bits};

/// What a row of a table has: planes of bits, and columns of elements of one plane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bit-planes.
    pub bits: usize,
    /// Columns in Z_{2^64}.
    pub z64: usize,
    /// Columns in F(2^61 - 1).
    pub fp61: usize,
    /// Columns in F(2^127 - 1).
    pub fp127: usize,
}

impl Moved {
    /// Bits alone.
    pub const fn bits(bits: usize) -> Self {
        Moved { bits, z64: 0, fp61: 0, fp127: 0 }
    }

    /// What one party sends to pass so many rows on once.
    pub fn message(self, rows: usize) -> Message {
        fn each<R: Ring>(columns: usize, rows: usize) -> Message {
            std::iter::repeat_n(Message::of::<R>(Layout::new(rows, 1)), columns).sum()
        }
        Message::of::<B64>(Layout::new(rows, self.bits))
            + each::<Z64>(self.z64, rows)
            + each::<Fp61>(self.fp61, rows)
            + each::<Fp127>(self.fp127, rows)
    }
}

impl std::ops::Add for Moved {
    type Output = Moved;
    fn add(self, other: Self) -> Self {
        Moved { bits: self.bits + other.bits, z64: self.z64 + other.z64, fp61: self.fp61 + other.fp61, fp127: self.fp127 + other.fp127 }
    }
}

/// Rows zeroed by a bit: one product of all planes, then for each column of elements the bit's conversion and a product.
pub fn blank(rows: usize, moved: Moved) -> Cost {
    fn each<R: Cell>(columns: usize, rows: usize) -> Cost {
        std::iter::repeat_n(bit_times::<R>(Layout::new(rows, 1)), columns).sum()
    }
    let bits = if moved.bits > 0 { product::<B64>(Layout::new(rows, moved.bits)) } else { Cost::FREE };
    bits.then(each::<Z64>(moved.z64, rows)).then(each::<Fp61>(moved.fp61, rows)).then(each::<Fp127>(moved.fp127, rows))
}

/// [`Segments`](crate::relational::Segments): the first rows to the front, and whether they are some; one turn.
pub fn segments(rows: usize, moved: Moved, turn: u64, opening: Opening) -> Cost {
    compact(rows, index_bits(rows), (moved + Moved::bits(1)).message(rows), turn, opening)
}

/// What first rows have at all rows of their groups, which were cut at `turn`: zeroed beyond the groups and taken back.
pub fn spread(rows: usize, moved: Moved, turn: u64) -> Cost {
    blank(rows, moved).then(shuffle(moved.message(rows), turn))
}

/// Sums over the group of each row, in one column of so many planes: zeroed, then spread.
pub fn totals<R: Cell>(rows: usize, planes: usize, turn: u64) -> Cost {
    let layout = Layout::new(rows, planes);
    bit_times::<R>(layout).then(bit_times::<R>(layout)).then(shuffle(Message::of::<R>(layout), turn))
}

/// What [`pairs`] depends on.
#[derive(Debug, Clone, Copy)]
pub struct Pairing {
    /// Rows of the left side, and what they have.
    pub left: (usize, Moved),
    /// Rows of the right side, and what they have.
    pub right: (usize, Moved),
    /// Bits of the key.
    pub key: usize,
    /// The most pairs.
    pub places: usize,
    /// How both sides are sorted by it.
    pub radix: Radix,
}

/// All pairs, of n = n_L + n_R rows with indices of w = log2 n bits: the sort by the key with L + R + k + 2 bits a row; k - 1 bits for the groups; the right rows to the front,
/// 3w + (4/3)(w + R); the numbers of right rows by group, two conversions, 3 products and two spreads of 64 bits beside a compaction; the left rows to the front,
/// 3w + (4/3)(w + L + 129); where they begin, of n_L + 1 rows a product and log2 (places + 1) of its bits; a sort of n_L + 1 + places rows by those, and back, with L + 129 bits;
/// of `places` rows log2 n_R bits; a sort of n_R + places rows by those, and back, with R bits. Where there can be more pairs than places one number is compared and a bit opened.
pub fn pairs(of: &Pairing, turn: u64, opening: Opening) -> Cost {
    let ((rows_left, left), (rows_right, right)) = (of.left, of.right);
    let rows = rows_left + rows_right;
    let (width, one) = (index_bits(rows), Layout::new(rows, 1));
    let mut turn = turn;
    // each sort's last turn is that of its rows
    let sorted = |rows: usize, key: usize, radix: Radix, moved: Moved, turn: &mut u64| {
        let width = index_bits(rows);
        let cost = sort(rows, width, key, Sorting::Radix(radix), moved.message(rows), *turn, opening);
        let rows_turn = radix_places(rows, width, key, radix, *turn, opening).1;
        *turn = rows_turn + 1;
        (cost, rows_turn)
    };
    let z64 = |columns| Moved { z64: columns, ..Moved::default() };

    let mut cost = sorted(rows, of.key, of.radix, left + right + Moved::bits(of.key + 2), &mut turn).0;
    cost = cost.then(equal(rows.saturating_sub(1), of.key, 0));
    cost = cost.then(compact(rows, width, right.message(rows), turn, opening)).then(bits_to::<Z64>(one));
    cost = cost.then(segments(rows, z64(1), turn + 1, opening));
    cost = cost.then(totals::<Z64>(rows, 1, turn + 1)).then(spread(rows, z64(1), turn + 1)).then(bit_times::<Z64>(one));
    turn += 2;
    let most = rows_left as u128 * rows_right as u128;
    if most > of.places as u128 {
        let bits = ((u128::BITS - most.leading_zeros()) as usize).min(Z64::BITS as usize);
        cost = cost.then(field_bits::<Z64>(1, bits)).then(less_public(1, bits)).then(open::<B64>(Layout::new(1, 1)));
    }
    let of_left = left + z64(2) + Moved::bits(1);
    let place_bits = index_bits(of.places + 1) as usize;
    cost = cost.then(compact(rows, width, of_left.message(rows), turn, opening));
    turn += 1;
    cost = cost.then(bit_times::<Z64>(Layout::new(rows_left + 1, 1))).then(field_bits::<Z64>(rows_left + 1, place_bits));
    let last_left = |rows: usize, key: usize, moved: Moved, turn: &mut u64| {
        let (there, rows_turn) = sorted(rows, key, Radix::default(), moved, turn);
        there.then(shuffle(moved.message(rows), rows_turn))
    };
    cost = cost.then(last_left(rows_left + 1 + of.places, place_bits, of_left, &mut turn));
    let partner_bits = index_bits(rows_right) as usize;
    cost = cost.then(field_bits::<Z64>(of.places, partner_bits));
    cost.then(last_left(rows_right + of.places, partner_bits, right, &mut turn))
}
