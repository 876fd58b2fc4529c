//! CASE: the value of the first condition that holds.
//!
//! *Functionality.* Of n conditions and as many integers, the integer at the first condition that holds, else another one.
//! *Protocol.* P_i, that none of conditions 0..=i holds, by a [prefix tree](super::prefix); then condition i is the first exactly if P_{i-1} xor P_i, since
//! P_i = P_{i-1} and not c_i. At most one is set, so the choice is a sum of products: one message, however many cases.
//! *Cost.* (n/2) log2 n + k bits a row, ceil(log2 n) + 1 rounds; a tree of choices would send n k bits in n rounds
//! ([`cost::case`](crate::cost::case)). *Leakage.* None.

use super::prefix::prefix_ands;
use super::{Bits, assert_same_width};
use crate::{Abort, Engine, Share, Wire};

/// The integer of the first of `cases` whose condition (one plane) holds, else `otherwise`; at least one case.
pub fn case<E: Engine>(e: &mut E, cases: &[(&Bits<E>, &Bits<E>)], otherwise: &Bits<E>) -> Result<Bits<E>, Abort> {
    cases.iter().for_each(|(_, value)| assert_same_width::<E>(value, otherwise));
    let width = otherwise.layout().planes;
    let none: Vec<_> = cases.iter().map(|(condition, _)| !&Wire::each(*condition)[0]).collect();
    let none = prefix_ands(e, none)?;
    let before = std::iter::once(None).chain(none.iter().map(Some));
    let first: Vec<_> = before.zip(&none).map(|(before, none)| before.map_or_else(|| !none, |before| before ^ none)).collect();
    let first = e.join(&first);
    let chosen: Vec<_> = (0..cases.len()).map(|i| first.planes(std::iter::repeat_n(i, width))).collect();
    let instead: Vec<_> = cases.iter().map(|(_, value)| value.sub(otherwise)).collect();
    Ok(e.sum_of_products(&chosen.iter().zip(&instead).collect::<Vec<_>>())?.add(otherwise))
}
