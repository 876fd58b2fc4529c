//! Places by a digit, in one pass over the rows.
//!
//! The sum of products of [`places_by_digit`](crate::relational::places_by_digit): which value the digit has is linear in the converted products of its bits, and
//! how many rows with each value came before is a running sum, so a row's part of the sum of products needs nothing but the row and 2^c running sums. Written as operations on columns
//! the same takes some thirty passes over memory.

use super::product::ZeroPart;
use super::{Rep3, Rep3Share};
use crate::engine::{Ranked, Share};
use mpc_core::{Abort, Column, Index, Ring};

impl Rep3 {
    pub(super) fn rank(&mut self, products: &Rep3Share<Index>) -> Result<Ranked<Self>, Abort> {
        match products.layout().planes {
            1 => self.rank_by::<2>(products),
            3 => self.rank_by::<4>(products),
            7 => self.rank_by::<8>(products),
            planes => unreachable!("a digit of one to three bits has no {planes} products"),
        }
    }

    /// V values of the digit.
    fn rank_by<const V: usize>(&mut self, products: &Rep3Share<Index>) -> Result<Ranked<Self>, Abort> {
        let layout = products.layout().with_planes(1);
        // the constant 1 is component 0
        let me = self.session.me().0;
        let one = [u32::from(me == 0), u32::from(me == 2)];
        let planes: [[&[Index]; 2]; V] = std::array::from_fn(|m| {
            // plane 0 stands for the empty product and is not read
            let (first, second) = products.plane(m.saturating_sub(1));
            [first, second]
        });
        let totals = [0, 1].map(|c| {
            let sum = |plane: &[Index]| plane.iter().fold(0u32, |s, v| s.wrapping_add(v.0));
            let mut totals: [u32; V] = std::array::from_fn(|m| sum(planes[m][c]));
            totals[0] = one[c].wrapping_mul(layout.rows as u32);
            indicators(&mut totals);
            totals
        });
        // rows with a smaller digit come first
        let mut before = totals.map(|totals| {
            let mut sum = 0u32;
            totals.map(|total| {
                let before = sum;
                sum = sum.wrapping_add(total);
                before
            })
        });
        let mut zero = ZeroPart::draw(self, layout.rows);
        let part = Column::build(layout, |at, z: &mut [Index]| {
            let masks = zero.next(z);
            let rows: [[&[Index]; 2]; V] = planes.map(|plane| plane.map(|c| &c[at..at + z.len()]));
            for (i, (z, mask)) in z.iter_mut().zip(masks).enumerate() {
                let is = [0, 1].map(|c| {
                    let mut is: [u32; V] = std::array::from_fn(|m| rows[m][c][i].0);
                    is[0] = one[c];
                    indicators(&mut is);
                    is
                });
                let mut sum = z.sub(*mask).add(Index(before[0][0]));
                for v in 1..V {
                    let rank = [0, 1].map(|c: usize| Index(before[c][v].wrapping_sub(before[c][0])));
                    sum = sum.add(Index::cross((Index(is[0][v]), Index(is[1][v])), (rank[0], rank[1])));
                }
                *z = sum;
                for c in 0..2 {
                    for v in 0..V {
                        before[c][v] = before[c][v].wrapping_add(is[c][v]);
                    }
                }
            }
        });
        drop(zero);
        let count = |v: usize| {
            let column = |c: usize| Column::from_rows(vec![Index(totals[c][v])]).narrowed(layout.width::<Index>());
            Rep3Share::from_components(column(0), column(1))
        };
        Ok(Ranked { counts: (0..V).map(count).collect(), places: self.reshare("places", part)? })
    }
}

/// From the products of the bits in each set to whether the digit is each value: inclusion and exclusion over the sets that contain it.
#[inline(always)]
fn indicators<const V: usize>(products: &mut [u32; V]) {
    let mut bit = 1;
    while bit < V {
        for v in (0..V).filter(|v| v & bit == 0) {
            products[v] = products[v].wrapping_sub(products[v | bit]);
        }
        bit *= 2;
    }
}
