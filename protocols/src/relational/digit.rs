//! Places by one digit of a key: a stable counting sort.
//!
//! *Functionality.* For a digit of c bits, the place of each row in the stable order of the digits.
//! *Protocol.* The products of the digit's bits become 0 or 1 in Z_{2^w}; sums and differences of them give, for each value v, f_v = 1 where the digit is v. With
//! s_v the number of rows before this one whose digit is v, plus all rows with a smaller digit, the place is the sum of f_v s_v; as the f_v add up to one, it
//! is s_0 + sum over v > 0 of f_v (s_v - s_0), one sum of products (Chida et al., ePrint 2019/695, section 4, for c = 1; here 2^c - 1 converted bits).
//! *Cost.* c = 1: 2w bits a row, 3 rounds; c = 2: 4w + 1, 4; c = 3: 8w + 4, 5 ([`cost::digit`](crate::cost::digit)). *Leakage.* None.

use super::{Bits, Indices};
use crate::{Abort, Engine, Ranked, Share, Wire};
use mpc_core::{Column, Index, Layout, Ring};

/// The places of the rows in the stable order of `digit`, one to three planes, least significant first, as indices of `width` bits.
pub fn places_by_digit<E: Engine>(e: &mut E, digit: &Bits<E>, width: u32) -> Result<Ranked<E>, Abort> {
    let bits = digit.layout().planes;
    assert!((1..=3).contains(&bits), "a digit has one to three bits");
    let products = products(e, digit)?;
    let Layout { rows, planes, .. } = products.layout();
    let products = e.bits_as::<Index>(&products, Layout::narrow(rows, planes, width))?;
    e.ranked(&products)
}

/// [`Engine::ranked`] of any engine, by operations on columns.
pub(crate) fn ranked<E: Engine>(e: &mut E, products: &Indices<E>) -> Result<Ranked<E>, Abort> {
    let is = indicators(e, products);
    let before = is.sums_before();
    let first = before.planes([0]);
    let terms: Vec<_> = (1..is.layout().planes).map(|v| (is.planes([v]), before.planes([v]).sub(&first))).collect();
    let places = e.sum_of_products(&terms.iter().map(|(f, s)| (f, s)).collect::<Vec<_>>())?.add(&first);
    Ok(Ranked { places, counts: super::each_plane(&is.sum()) })
}

/// The product of the bits in each set m, 0 < m < 2^c, at plane m - 1: one round for the pairs, one for the triple.
fn products<E: Engine>(e: &mut E, digit: &Bits<E>) -> Result<Bits<E>, Abort> {
    let wires = Wire::each(digit);
    match &wires[..] {
        [a, b] => {
            let pair = e.ands(vec![(a.clone(), b.clone())])?;
            Ok(Share::stack(&[digit, &pair]))
        }
        [a, b, c] => {
            let pairs = e.ands(vec![(a.clone(), b.clone()), (a.clone(), c.clone()), (b.clone(), c.clone())])?;
            let all = Wire::level(pairs.planes([0]));
            let triple = e.ands(vec![(all[0].clone(), c.clone())])?;
            Ok(Share::stack(&[&digit.planes([0, 1]), &pairs.planes([0]), &digit.planes([2]), &pairs.planes([1, 2]), &triple]))
        }
        _ => Ok(digit.clone()),
    }
}

/// Whether the digit is v, at plane v: by inclusion and exclusion over the products of the sets that contain v.
fn indicators<E: Engine>(e: &mut E, products: &Indices<E>) -> Indices<E> {
    let planes = super::each_plane(products);
    let values = planes.len() + 1;
    let one = e.constant(&Column::splat(Index::ONE, products.layout().with_planes(1)));
    let product = |m: usize| if m == 0 { &one } else { &planes[m - 1] };
    let indicator = |v: usize| {
        let mut sum = product(v).clone();
        for m in (v + 1..values).filter(|m| m & v == v) {
            sum = if (m ^ v).count_ones().is_multiple_of(2) { sum.add(product(m)) } else { sum.sub(product(m)) };
        }
        sum
    };
    let indicators: Vec<_> = (0..values).map(indicator).collect();
    Share::stack(&indicators.iter().collect::<Vec<_>>())
}
