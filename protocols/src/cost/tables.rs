//! What relational operators cost: formulas of rows, widths and what moves.

use super::{Cost, bits_to, levels, open, product};
use crate::relational::Radix;
use crate::table::Message;
use mpc_core::{B64, Index, Layout, PartyId, index_bits};

/// A shuffle or its undoing: 1, 2 and 1 messages that carry the table; the t-th shuffle of a run (from 0) starts at P_{t mod 3}.
pub fn shuffle(message: Message, turn: u64) -> Cost {
    let start = (turn % 3) as usize;
    let times = |p: usize| if p == (start + 1) % 3 { 2 } else { 1 };
    Cost { bits: std::array::from_fn(|p| times(p) * message.bits), bytes: std::array::from_fn(|p| times(p) * message.bytes), rounds: 2 }
}

/// A permutation that `owner` alone knows: it sends the table twice and one permutation, the others the table once.
pub fn permute_by(owner: PartyId, rows: usize, message: Message) -> Cost {
    let places = Message::of::<Index>(Layout::narrow(rows, 1, index_bits(rows)));
    let by = |p: usize| if p == owner.index() { message + message + places } else { message };
    Cost { bits: std::array::from_fn(|p| by(p).bits), bytes: std::array::from_fn(|p| by(p).bytes), rounds: 2 }
}

/// Rows to places of `width` bits: a shuffle of both, then the places opened.
pub fn apply(rows: usize, width: u32, message: Message, turn: u64) -> Cost {
    let places = Layout::narrow(rows, 1, width);
    shuffle(message + Message::of::<Index>(places), turn).then(open::<Index>(places))
}

/// One permutation after another: places undone.
pub fn compose(rows: usize, width: u32, turn: u64) -> Cost {
    shuffle(Message::of::<Index>(Layout::narrow(rows, 1, width)), turn)
}

/// Places by a digit of `bits` bits: 2w, 4w + 1 or 8w + 4 bits a row, 3, 4 or 5 rounds.
pub fn digit(rows: usize, width: u32, bits: usize) -> Cost {
    let levels = levels(rows, [&[][..], &[1], &[3, 1]][bits - 1].iter().copied());
    let converted = bits_to::<Index>(Layout::narrow(rows, (1 << bits) - 1, width));
    levels.then(converted).then(product::<Index>(Layout::narrow(rows, 1, width)))
}

/// Stable compaction: 3w + (4/3)(w + W) bits a row, 6 rounds.
pub fn compact(rows: usize, width: u32, message: Message, turn: u64) -> Cost {
    digit(rows, width, 1).then(apply(rows, width, message, turn))
}

/// The places of a radix sort by digits of `radix.digit` bits, the last narrower, of keys of `key` bits; and the turn after it.
pub fn sort_places(rows: usize, width: u32, key: usize, radix: Radix, turn: u64) -> (Cost, u64) {
    let index = Message::of::<Index>(Layout::narrow(rows, 1, width));
    let bits = |planes| Message::of::<B64>(Layout::new(rows, planes));
    let (mut cost, mut turn, mut done) = (Cost::FREE, turn, 0);
    while done < key {
        let digit_bits = radix.digit.min(key - done);
        if done > 0 {
            let message = if radix.moving { bits(key - done) + index } else { bits(digit_bits) };
            cost = cost.then(apply(rows, width, message, turn));
        }
        cost = cost.then(digit(rows, width, digit_bits));
        if done > 0 {
            cost = if radix.moving { cost } else { cost.then(compose(rows, width, turn)) };
            turn += 1;
        }
        done += digit_bits;
    }
    if radix.moving && key > radix.digit {
        cost = cost.then(apply(rows, width, index, turn));
        turn += 1;
    }
    (cost, turn)
}

/// A radix sort, rows included.
pub fn sort(rows: usize, width: u32, key: usize, radix: Radix, message: Message, turn: u64) -> Cost {
    let (cost, turn) = sort_places(rows, width, key, radix, turn);
    cost.then(apply(rows, width, message, turn))
}
