//! Bits to any ring: the two-holder product of the exclusive or.
//!
//! *Functionality.* Shares of a bit over Z_2 become shares of the same 0 or 1 over R.
//! *Protocol.* b = a xor c with a = b_0 xor b_1, which P_0 knows, and c = b_2, which P_1 and P_2 know; b = a + c - 2ac over R (compare Mohassel and
//! Rindal, CCS'18, section 5.4). P_0 shares a as (a_0, a_1, 0) with a_1 = F(k_1); then ac = c a_0 + c a_1 with components p_0 = F(k_0), p_1 = F'(k_1) and
//! p_2 = (c a_1 - p_1) + (c a_0 - p_0):
//!
//! | round | message | masked by |
//! |---|---|---|
//! | 1 | P_0 to P_2: a_0 = a - a_1 | k_1, not P_2's |
//! | 1 | P_1 to P_2: m_1 = c a_1 - p_1 | k_1, not P_2's |
//! | 2 | P_2 to P_1: m_2 = c a_0 - p_0 | k_0, not P_1's |
//!
//! *Cost.* Two rounds, one element a bit by each party. *Leakage.* None.

use super::{Rep3, Rep3Share};
use mpc_core::prss::BLOCK;
use mpc_core::{Abort, B64, Column, Layout, PartyId, Ring};
use zeroize::Zeroize;

const P0: PartyId = PartyId(0);
const P1: PartyId = PartyId(1);
const P2: PartyId = PartyId(2);

impl Rep3 {
    pub(super) fn convert_bits<R: Ring>(&mut self, bits: &Rep3Share<B64>, layout: Layout) -> Result<Rep3Share<R>, Abort> {
        match self.session.me() {
            P0 => self.convert_as_p0(&bits.known(), layout),
            P1 => self.convert_as_p1(bits.second(), layout),
            _ => self.convert_as_p2(bits.first(), layout),
        }
    }

    /// Leaves with (a_0 - 2 p_0, a_1 - 2 p_1).
    fn convert_as_p0<R: Ring>(&mut self, a: &Column<B64>, layout: Layout) -> Result<Rep3Share<R>, Abort> {
        let (input, product) = (self.session.step(), self.session.step());
        let len = layout.len::<R>();
        let mut masks = self.session.prss(P1).elements(input, 0..len);
        let (mut a0, mut a1) = Column::build_pair(layout, |at, a0: &mut [R], a1| {
            masks.fill(a1);
            a.bits_into(at, a0);
            a0.iter_mut().zip(&*a1).for_each(|(a0, a1)| *a0 = a0.sub(*a1));
        });
        drop(masks);
        let mut round = self.session.round("bits, first");
        round.send(P2, &a0);
        round.run()?;
        self.session.round("bits, second").run()?;
        for (component, peer) in [(&mut a0, P2), (&mut a1, P1)] {
            let mut products = self.session.prss(peer).elements(product, 0..len);
            let mut p = [R::ZERO; BLOCK];
            component.update(|_, block| {
                let p = &mut p[..block.len()];
                products.fill(p);
                block.iter_mut().zip(&*p).for_each(|(v, p)| *v = minus_twice(*v, *p));
            });
        }
        Ok(Rep3Share::from_components(a0, a1))
    }

    /// Leaves with (a_1 - 2 p_1, c - 2 p_2).
    fn convert_as_p1<R: Ring>(&mut self, c: &Column<B64>, layout: Layout) -> Result<Rep3Share<R>, Abort> {
        let (input, product) = (self.session.step(), self.session.step());
        let len = layout.len::<R>();
        let mut masks = self.session.prss(P0).elements(input, 0..len);
        let mut products = self.session.prss(P0).elements(product, 0..len);
        let mut p = [R::ZERO; BLOCK];
        let (m1, component) = Column::build_pair(layout, |at, m1: &mut [R], component| {
            let p = &mut p[..m1.len()];
            masks.fill(component);
            products.fill(p);
            c.bits_into(at, m1);
            for ((m, a1), p) in m1.iter_mut().zip(component).zip(&*p) {
                *m = m.mul(*a1).sub(*p);
                *a1 = minus_twice(*a1, *p);
            }
        });
        drop((masks, products));
        let mut round = self.session.round("bits, first");
        round.send(P2, &m1);
        round.run()?;
        let mut p2 = m1;
        let mut round = self.session.round("bits, second");
        round.recv_each(P2, layout, |at, m2| p2.add_at(at, m2));
        round.run()?;
        Ok(Rep3Share::from_components(component, last_component(c, p2)))
    }

    /// Leaves with (c - 2 p_2, a_0 - 2 p_0).
    fn convert_as_p2<R: Ring>(&mut self, c: &Column<B64>, layout: Layout) -> Result<Rep3Share<R>, Abort> {
        let (_input, product) = (self.session.step(), self.session.step());
        let mut round = self.session.round("bits, first");
        let (a0, m1) = (round.recv(P0, layout), round.recv(P1, layout));
        let mut inbox = round.run()?;
        let (mut component, mut p2): (Column<R>, Column<R>) = (inbox.take(a0), inbox.take(m1));
        let mut products = self.session.prss(P0).elements(product, 0..layout.len::<R>());
        let mut p = [R::ZERO; BLOCK];
        let m2 = Column::build(layout, |at, m2: &mut [R]| {
            let p = &mut p[..m2.len()];
            products.fill(p);
            c.bits_into(at, m2);
            for ((m, p), a0) in m2.iter_mut().zip(&*p).zip(&mut component.as_mut_slice()[at..]) {
                *m = m.mul(*a0).sub(*p);
                *a0 = minus_twice(*a0, *p);
            }
            p2.add_at(at, m2);
        });
        drop(products);
        p.as_mut_slice().zeroize();
        let mut round = self.session.round("bits, second");
        round.send(P1, m2);
        round.run()?;
        Ok(Rep3Share::from_components(last_component(c, p2), component))
    }
}

/// c - 2 p_2, in the place of p_2.
fn last_component<R: Ring>(c: &Column<B64>, mut p2: Column<R>) -> Column<R> {
    let mut bits = [R::ZERO; BLOCK];
    p2.update(|at, p2| {
        let bits = &mut bits[..p2.len()];
        c.bits_into(at, bits);
        p2.iter_mut().zip(bits).for_each(|(p, bit)| *p = minus_twice(*bit, *p));
    });
    bits.as_mut_slice().zeroize();
    p2
}

#[inline(always)]
fn minus_twice<R: Ring>(v: R, p: R) -> R {
    v.sub(p.add(p))
}
