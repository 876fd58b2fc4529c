//! A shared element as the difference of two integers in bits, the first step from arithmetic to bits.
//!
//! *Functionality.* For integers a and c with x = a - c in the ring: where their bits differ, c's bits, and (not a) c at chosen positions.
//! *Protocol.* a = x_0 + x_1, which P_0 knows; c = -x_2, which P_1 and P_2 know. P_0 shares the bits of a as (a_0, a_1, 0) with a_1 = F(k_1); c is
//! component 2 of its own sharing, so a xor c is (a_0, a_1, c). The products a c are two-holder products (compare Mohassel and Rindal, CCS'18, section 5.3) with components
//! p_0 = F(k_0), p_1 = F'(k_1) and p_2 = (c a_1 - p_1) + (c a_0 - p_0), and (not a) c is c less those:
//!
//! | round | message | masked by |
//! |---|---|---|
//! | 1 | P_0 to P_2: a_0 = a - a_1 | k_1, not P_2's |
//! | 1 | P_1 to P_2: m_1 = c a_1 - p_1, at the chosen positions | k_1, not P_2's |
//! | 2 | P_2 to P_1: m_2 = c a_0 - p_0, at the chosen positions | k_0, not P_1's |
//!
//! *Cost.* k bits a row by P_0; with m chosen positions m by P_1 and m by P_2. Two rounds; one without any. *Leakage.* None.

use super::{Rep3, Rep3Share};
use crate::engine::Difference;
use crate::planes::bit_planes;
use mpc_core::{Abort, B64, Column, Layout, PartyId, Ring};

const P0: PartyId = PartyId(0);
const P1: PartyId = PartyId(1);
const P2: PartyId = PartyId(2);

type Differing = Result<Difference<Rep3Share<B64>>, Abort>;

impl Rep3 {
    pub(super) fn as_difference<R: Ring>(&mut self, x: Rep3Share<R>, borrows: &[usize], subtrahend: &[usize]) -> Differing {
        let negated = |x: Column<R>| bit_planes(&x.map(|x| R::ZERO.sub(x)));
        match self.session.me() {
            P0 => self.difference_as_p0(bit_planes(&x.into_known()), borrows, subtrahend),
            P1 => self.difference_as_p1(negated(x.into_components().1), borrows, subtrahend),
            _ => self.difference_as_p2(negated(x.into_components().0), borrows, subtrahend),
        }
    }

    fn difference_as_p0(&mut self, a: Column<B64>, borrows: &[usize], subtrahend: &[usize]) -> Differing {
        let (input, product) = (self.session.step(), self.session.step());
        let rows = a.rows();
        let a1 = self.drawn(P1, input, a.layout());
        let a0 = a.combine(&a1, B64::sub);
        let mut round = self.session.round("difference, first");
        round.send(P2, &a0);
        round.run()?;
        if !borrows.is_empty() {
            self.session.round("difference, second").run()?;
        }
        let layout = Layout::new(rows, borrows.len());
        let zeros = || Column::zeros(Layout::new(rows, subtrahend.len()));
        Ok(Difference {
            odd: Rep3Share::from_components(a0, a1),
            borrows: Rep3Share::from_components(self.drawn(P2, product, layout), self.drawn(P1, product, layout)),
            subtrahend: Rep3Share::from_components(zeros(), zeros()),
        })
    }

    fn difference_as_p1(&mut self, c: Column<B64>, borrows: &[usize], subtrahend: &[usize]) -> Differing {
        let (input, product) = (self.session.step(), self.session.step());
        let a1 = self.drawn(P0, input, c.layout());
        let layout = Layout::new(c.rows(), borrows.len());
        let p1 = self.drawn(P0, product, layout);
        let mut last = bits_times(&c, &a1, borrows).combine(&p1, B64::sub);
        let mut round = self.session.round("difference, first");
        if !borrows.is_empty() {
            round.send(P2, &last);
        }
        round.run()?;
        if !borrows.is_empty() {
            let mut round = self.session.round("difference, second");
            round.recv_each(P2, layout, |at, m2| last.add_at(at, m2));
            round.run()?;
        }
        let last = last.combine(&c.pick_planes(borrows.iter().copied()), B64::add);
        let of_c = c.pick_planes(subtrahend.iter().copied());
        Ok(Difference {
            odd: Rep3Share::from_components(a1, c),
            borrows: Rep3Share::from_components(p1, last),
            subtrahend: Rep3Share::from_components(Column::zeros(of_c.layout()), of_c),
        })
    }

    fn difference_as_p2(&mut self, c: Column<B64>, borrows: &[usize], subtrahend: &[usize]) -> Differing {
        let (_input, product) = (self.session.step(), self.session.step());
        let layout = Layout::new(c.rows(), borrows.len());
        let mut round = self.session.round("difference, first");
        let a0 = round.recv(P0, c.layout());
        let m1 = (!borrows.is_empty()).then(|| round.recv(P1, layout));
        let mut inbox = round.run()?;
        let a0: Column<B64> = inbox.take(a0);
        let p0 = self.drawn(P0, product, layout);
        let mut last = c.pick_planes(borrows.iter().copied());
        if let Some(m1) = m1 {
            let m2 = bits_times(&c, &a0, borrows).combine(&p0, B64::sub);
            last = last.combine(&inbox.take(m1), B64::add).combine(&m2, B64::add);
            let mut round = self.session.round("difference, second");
            round.send(P1, m2);
            round.run()?;
        }
        let of_c = c.pick_planes(subtrahend.iter().copied());
        let zeros = Column::zeros(of_c.layout());
        Ok(Difference {
            odd: Rep3Share::from_components(c, a0),
            borrows: Rep3Share::from_components(last, p0),
            subtrahend: Rep3Share::from_components(of_c, zeros),
        })
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
