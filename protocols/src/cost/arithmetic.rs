//! Between the field and bits, and arithmetic on bits.

use super::{Cost, all, difference, levels, merges};
use crate::circuit::field;
use mpc_core::Ring;

/// The low `width` bits of field elements. All k = 61 of Fp61: 61 bits for the products, 2 * 176 - 1 in the tree, 60 for the borrow that goes around;
/// 2 + ceil(log2 k) + 1 rounds.
pub fn field_bits<R: Ring>(rows: usize, width: usize) -> Cost {
    let tree = field::borrows::<R>(width);
    let products = tree.reads.iter().filter(|reads| **reads).count();
    let around = if field::goes_around::<R>() { width - 1 } else { 0 };
    let gates = tree.levels.iter().map(|level| level.gates()).chain([around]).filter(|gates| *gates > 0);
    difference::<R>(rows, products).then(levels(rows, gates))
}

/// The sign of field elements: for k - 1 even pairs and the top position in one chain, k bits by P_0 and (k + 1)/2 by the others for the products, k - 1 for the pairs,
/// then the tree; 3 + ceil(log2 ((k + 1)/2)) rounds.
pub fn is_negative<R: Ring>(rows: usize) -> Cost {
    let (top, around) = (R::BITS as usize - 1, field::goes_around::<R>());
    let (pairs, odd) = (top / 2, top % 2);
    let first = (2 * pairs).saturating_sub((!around).into());
    let blocks = pairs + odd + usize::from(around);
    let gates = std::iter::once(first).filter(|gates| *gates > 0).chain(merges(blocks, false));
    difference::<R>(rows, field::sign_products::<R>().len()).then(levels(rows, gates))
}

/// Whether field elements are zero: k bits by P_0, then equality of k bits.
pub fn is_zero<R: Ring>(rows: usize) -> Cost {
    difference::<R>(rows, 0).then(all(rows, R::BITS as usize))
}
