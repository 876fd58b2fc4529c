//! A shared element as the difference of two integers in bits, the first step from arithmetic to bits.
//!
//! *Functionality.* Bit-planes of integers a and c with x = a - c in the ring, and the products of their bits at chosen positions.
//! *Protocol.* a = x_0 + x_1, which P_0 knows; c = -x_2, which P_1 and P_2 know. P_0 shares the bits of a as (a_0, a_1, 0) with a_1 = F(k_1); c is
//! component 2 of its own sharing. The products are two-holder products (compare Mohassel and Rindal, CCS'18, section 5.3) with components
//! p_0 = F(k_0), p_1 = F'(k_1) and p_2 = (c a_1 - p_1) + (c a_0 - p_0):
//!
//! | round | message | masked by |
//! |---|---|---|
//! | 1 | P_0 to P_2: a_0 = a - a_1 | k_1, not P_2's |
//! | 1 | P_1 to P_2: m_1 = c a_1 - p_1, at the chosen positions | k_1, not P_2's |
//! | 2 | P_2 to P_1: m_2 = c a_0 - p_0, at the chosen positions | k_0, not P_1's |
//!
//! *Cost.* k bits a row by P_0; with m chosen positions m by P_1 and m by P_2. Two rounds; one without products. *Leakage.* None.

use super::{Rep3, Rep3Share};
use crate::engine::Difference;
use crate::planes::bit_planes;
use mpc_core::{Abort, B64, Column, Layout, PartyId, Ring};

const P0: PartyId = PartyId(0);
const P1: PartyId = PartyId(1);
const P2: PartyId = PartyId(2);

impl Rep3 {
    pub(super) fn as_difference<R: Ring>(&mut self, x: &Rep3Share<R>, products: &[usize]) -> Result<Difference<Rep3Share<B64>>, Abort> {
        match self.session.me() {
            P0 => self.difference_as_p0(&bit_planes(&x.known()), products),
            P1 => self.difference_as_p1(&bit_planes(&x.second().map(|c| R::ZERO.sub(c))), products),
            _ => self.difference_as_p2(&bit_planes(&x.first().map(|c| R::ZERO.sub(c))), products),
        }
    }

    fn difference_as_p0(&mut self, a: &Column<B64>, products: &[usize]) -> Result<Difference<Rep3Share<B64>>, Abort> {
        let (input, product) = (self.session.step(), self.session.step());
        let a1 = self.drawn(P1, input, a.layout());
        let a0 = a.zip(&a1, B64::sub);
        let mut round = self.session.round("difference, first");
        round.send(P2, &a0);
        round.run()?;
        let both = if products.is_empty() {
            None
        } else {
            self.session.round("difference, second").run()?;
            let layout = Layout::new(a.rows(), products.len());
            Some(Rep3Share::from_components(self.drawn(P2, product, layout), self.drawn(P1, product, layout)))
        };
        let zeros = || Column::zeros(a.layout());
        Ok(Difference { minuend: Rep3Share::from_components(a0, a1), subtrahend: Rep3Share::from_components(zeros(), zeros()), both })
    }

    fn difference_as_p1(&mut self, c: &Column<B64>, products: &[usize]) -> Result<Difference<Rep3Share<B64>>, Abort> {
        let (input, product) = (self.session.step(), self.session.step());
        let a1 = self.drawn(P0, input, c.layout());
        let both = if products.is_empty() {
            self.session.round("difference, first").run()?;
            None
        } else {
            let layout = Layout::new(c.rows(), products.len());
            let p1 = self.drawn(P0, product, layout);
            let m1 = bits_times(c, &a1, products).combine(&p1, B64::sub);
            let mut round = self.session.round("difference, first");
            round.send(P2, &m1);
            round.run()?;
            let mut round = self.session.round("difference, second");
            let m2 = round.recv(P2, layout);
            let m2: Column<B64> = round.run()?.take(m2);
            Some(Rep3Share::from_components(p1, m1.combine(&m2, B64::add)))
        };
        let zeros = || Column::zeros(c.layout());
        let subtrahend = Rep3Share::from_components(zeros(), c.clone());
        Ok(Difference { minuend: Rep3Share::from_components(a1, zeros()), subtrahend, both })
    }

    fn difference_as_p2(&mut self, c: &Column<B64>, products: &[usize]) -> Result<Difference<Rep3Share<B64>>, Abort> {
        let (_input, product) = (self.session.step(), self.session.step());
        let layout = Layout::new(c.rows(), products.len());
        let mut round = self.session.round("difference, first");
        let a0 = round.recv(P0, c.layout());
        let m1 = (!products.is_empty()).then(|| round.recv(P1, layout));
        let mut inbox = round.run()?;
        let a0: Column<B64> = inbox.take(a0);
        let both = match m1 {
            None => None,
            Some(m1) => {
                let m1: Column<B64> = inbox.take(m1);
                let p0 = self.drawn(P0, product, layout);
                let m2 = bits_times(c, &a0, products).combine(&p0, B64::sub);
                let mut round = self.session.round("difference, second");
                round.send(P1, &m2);
                round.run()?;
                Some(Rep3Share::from_components(m1.combine(&m2, B64::add), p0))
            }
        };
        let zeros = || Column::zeros(c.layout());
        let subtrahend = Rep3Share::from_components(c.clone(), zeros());
        Ok(Difference { minuend: Rep3Share::from_components(zeros(), a0), subtrahend, both })
    }

    /// A column of randomness shared with `peer`.
    pub(super) fn drawn<R: Ring>(&self, peer: PartyId, step: mpc_core::prss::Step, layout: Layout) -> Column<R> {
        let mut elements = self.session.prss(peer).elements(step, 0..layout.len::<R>());
        Column::build(layout, |_, out| elements.fill(out))
    }
}

/// The products of two columns at the chosen planes.
fn bits_times(x: &Column<B64>, y: &Column<B64>, planes: &[usize]) -> Column<B64> {
    let chosen = |c: &Column<B64>| c.pick_planes(planes.iter().copied());
    chosen(x).combine(&chosen(y), B64::mul)
}
