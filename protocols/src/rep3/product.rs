//! The local part of products: what P_i computes and sends.
//!
//! z_i = sum over the terms of x_i y_i + x_i y_{i+1} + x_{i+1} y_i, plus F(k_i) - F(k_{i+1}); the last two sum to zero over the parties
//! (Araki et al., CCS'16, section 3). Randomness is drawn and multiplied in blocks that stay in the first-level cache: the column of
//! z_i is the only one that is written.
//!
//! *Functionality.* Shares of products, of sums of products with one message, and of a bit with an element. *Cost.* 1 round; the bits of one result a row and party, however many
//! terms it has ([`cost::product`](crate::cost::product)). *Leakage.* None: what is sent is masked by a fresh zero-sharing.

use super::Rep3;
use super::share::{Rep3Share, Slices};
use crate::engine::Share;
use mpc_core::prss::{BLOCK, Elements};
use mpc_core::{Column, Layout, Ring};
use zeroize::Zeroize;

/// Two factors.
pub(super) struct Term<'a, R> {
    pub x: Slices<'a, R>,
    pub y: Slices<'a, R>,
}

impl<R: Ring> Term<'_, R> {
    /// Both components of both factors at `at .. at + len`.
    #[inline(always)]
    fn block(&self, at: usize, len: usize) -> impl Iterator<Item = ((R, R), (R, R))> {
        let (x, y) = ((&self.x.0[at..at + len], &self.x.1[at..at + len]), (&self.y.0[at..at + len], &self.y.1[at..at + len]));
        x.0.iter().zip(x.1).zip(y.0.iter().zip(y.1)).map(|((x0, x1), (y0, y1))| ((*x0, *x1), (*y0, *y1)))
    }
}

impl Rep3 {
    /// The part z_i of a column of sums of products.
    pub(super) fn product_part<R: Ring>(&mut self, layout: Layout, terms: &[Term<'_, R>]) -> Column<R> {
        let mut zero = ZeroPart::draw(self, layout.len::<R>());
        let (first, others) = terms.split_first().expect("a sum of products has at least one");
        Column::build(layout, |at, z| {
            let len = z.len();
            let masks = zero.next(z);
            z.iter_mut().zip(first.block(at, len)).zip(masks).for_each(|((z, (x, y)), mask)| *z = R::masked_cross(x, y, *z, *mask));
            for term in others {
                z.iter_mut().zip(term.block(at, len)).for_each(|(z, (x, y))| *z = z.add(R::cross(x, y)));
            }
        })
    }

    /// The part of the inner product of each plane: one row a plane.
    pub(super) fn dot_part<R: Ring>(&mut self, x: &Rep3Share<R>, y: &Rep3Share<R>) -> Column<R> {
        let Layout { rows, planes, .. } = x.layout();
        let mut zero = ZeroPart::draw(self, planes);
        Column::build(x.layout().with_rows(1), |at, z: &mut [R]| {
            let masks = zero.next(z);
            for ((i, z), mask) in (at..).zip(z).zip(masks) {
                let term = Term { x: x.plane(i), y: y.plane(i) };
                let full = rows / R::ROWS;
                let mut sum = term.block(0, full).fold(R::ZERO, |s, (x, y)| s.add(R::cross(x, y)));
                if rows % R::ROWS > 0 {
                    let last = term.block(full, 1).fold(R::ZERO, |s, (x, y)| s.add(R::cross(x, y)));
                    sum = sum.add(last.first_rows(rows % R::ROWS));
                }
                *z = sum.sum_rows().add(z.sub(*mask));
            }
        })
    }

    /// This party's first component under a fresh sharing of zero.
    pub(super) fn rerandomised_part<R: Ring>(&mut self, x: &Rep3Share<R>) -> Column<R> {
        let mut zero = ZeroPart::draw(self, x.layout().len::<R>());
        Column::build(x.layout(), |at, z: &mut [R]| {
            let masks = zero.next(z);
            let components = x.first().as_slice()[at..].iter();
            z.iter_mut().zip(masks).zip(components).for_each(|((z, mask), x)| *z = x.add(z.sub(*mask)));
        })
    }
}

/// This party's part F(k_i) - F(k_{i+1}) of a fresh sharing of zero, as its two terms.
pub(super) struct ZeroPart<'s, R: Ring> {
    left: Elements<'s, R>,
    right: Elements<'s, R>,
    block: [R; BLOCK],
}

impl<'s, R: Ring> ZeroPart<'s, R> {
    pub(super) fn draw(engine: &'s mut Rep3, len: usize) -> Self {
        let step = engine.session.step();
        let left = engine.session.prss(engine.left()).elements(step, 0..len);
        let right = engine.session.prss(engine.right()).elements(step, 0..len);
        ZeroPart { left, right, block: [R::ZERO; BLOCK] }
    }

    /// Fills `z` with the next F(k_i) and returns as many F(k_{i+1}).
    pub(super) fn next(&mut self, z: &mut [R]) -> &[R] {
        self.left.fill(z);
        let block = &mut self.block[..z.len()];
        self.right.fill(block);
        block
    }
}

impl<R: Ring> Drop for ZeroPart<'_, R> {
    fn drop(&mut self) {
        self.block.as_mut_slice().zeroize();
    }
}
