//! Stable radix sort.
//!
//! *Functionality.* The rows in the order of their keys; equal keys keep their order.
//! *Protocol.* From the least significant digit up: the digit is brought into the order so far ([`apply`](super::apply)), its places are computed
//! ([`places_by_digit`](super::places_by_digit)) and composed with the places so far (Asharov et al., CCS'22, section 4; Chida et al., ePrint 2019/695). The
//! *moving* variant carries the rest of the key and the row's number along instead of composing: fewer rounds, more bits; the row numbers are
//! places in the end, so that applying them to the last places gives the whole.
//! *Cost.* Digits of c bits, d = k/c of them: c = 2: (4w + 1) + (d - 1)(23w + 11)/3 bits a row and party, 4 + 9(d - 1) rounds; moving 7d rounds; then W bits a
//! row in 3 rounds for the rows ([`cost::radix_places`](crate::cost::radix_places), [`cost::sort`](crate::cost::sort)). Opened within the shuffle, each apply takes a round and w/3 bits less ([`Opening`](crate::cost::Opening)). *Leakage.* None.

use super::{Bits, Indices, apply, places_by_digit, row_numbers, undo};
use crate::{Abort, Engine, Share, Table};
use mpc_core::{B64, Index, Layout};

/// How a radix sort goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Radix {
    /// Bits of a digit, 1 to 3.
    pub digit: usize,
    /// Whether the rest of the key travels.
    pub moving: bool,
}

impl Default for Radix {
    /// Two bits, composed: the fewest bytes.
    fn default() -> Self {
        Radix { digit: 2, moving: false }
    }
}

/// The place of each row in the stable order of `key`, its planes least significant first, as indices of `width` bits, enough to number the rows.
pub fn radix_places<E: Engine>(e: &mut E, key: Bits<E>, radix: Radix, width: u32) -> Result<Indices<E>, Abort> {
    if radix.moving { moving(e, key, radix.digit, width) } else { composing(e, key, radix.digit, width) }
}

fn composing<E: Engine>(e: &mut E, key: Bits<E>, digit: usize, width: u32) -> Result<Indices<E>, Abort> {
    let rows = key.layout().rows;
    let mut places: Option<Indices<E>> = None;
    for digit in digits(key.layout().planes, digit) {
        let digit = key.planes(digit);
        places = Some(match places {
            None => places_by_digit(e, &digit, width)?.places,
            Some(so_far) => {
                let (mut moved, applied) = apply(e, so_far, Table::new(rows).with(digit))?;
                let then = places_by_digit(e, &moved.take_first::<B64>(), width)?.places;
                undo(e, &applied, Table::new(rows).with(then))?.take_first::<Index>()
            }
        });
    }
    Ok(places.unwrap_or_else(|| row_numbers(e, rows, width)))
}

fn moving<E: Engine>(e: &mut E, key: Bits<E>, digit: usize, width: u32) -> Result<Indices<E>, Abort> {
    let Layout { rows, planes, .. } = key.layout();
    let mut numbers = row_numbers(e, rows, width);
    let mut rest = key;
    let mut places: Option<Indices<E>> = None;
    for digit in digits(planes, digit) {
        if let Some(places) = places {
            let (mut moved, _) = apply(e, places, Table::new(rows).with(rest).with(numbers))?;
            (rest, numbers) = (moved.take_first::<B64>(), moved.take_first::<Index>());
        }
        places = Some(places_by_digit(e, &rest.planes(0..digit.len()), width)?.places);
        rest = rest.planes(digit.len()..planes - digit.start);
    }
    match places {
        None => Ok(numbers),
        Some(places) if planes <= digit => Ok(places),
        Some(places) => Ok(apply(e, numbers, Table::new(rows).with(places))?.0.take_first::<Index>()),
    }
}

/// The planes of each digit from the least significant; the last may be narrower.
fn digits(planes: usize, digit: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..planes).step_by(digit).map(move |from| from..(from + digit).min(planes))
}
