//! Quotients by public divisors, near enough: two parties divide their parts, one product mends the wrap around the modulus.
//!
//! *Functionality.* For 0 <= x < 2^(k-1), k the width of R: floor(x / d) + e over S with e in {0, 1, 2}; e in {0, 1} if d is a power of two; e = 0 if
//! d = 1, which moves x from one ring to another. Other x give some element; nothing breaks.
//! *Protocol.* x = a - c + w M with M the modulus, a = x_0 + x_1 known to P_0, c = -x_2 known to P_1 and P_2. As x < 2^(k-1), the difference wraps exactly
//! if the top bit of c is set and that of a is not: w = s t with s = c's top bit and t = 1 - a's. The result is
//!
//! floor(a / d) - floor(c / d) + ceil(M / d) s t,
//!
//! off by the remainders alone: a mod d - c mod d is in -(d-1)..=d-1 and M - d ceil(M / d) in -(d-1)..=0 (-1 or 0 for powers of two). That no error is larger
//! is what local truncation (Mohassel and Zhang, S&P'17) lacks, where a wrap is merely unlikely. P_0 shares floor(a / d) and t by F(k_1); the product
//! has components p_0 = F(k_0), p_1 = F'(k_1):
//!
//! | round | message | masked by |
//! |---|---|---|
//! | 1 | P_0 to P_2: component 0 of floor(a / d) and t_0 = t - t_1 | k_1, not P_2's |
//! | 1 | P_1 to P_2: m_1 = s t_1 - p_1 | k_1, not P_2's |
//! | 2 | P_2 to P_1: m_2 = s t_0 - p_0 | k_0, not P_1's |
//!
//! *Cost.* Two rounds; 2 elements of S a row by P_0, 1 by P_1, 1 by P_2. *Leakage.* None.

use super::{Rep3, Rep3Share};
use crate::planes::{element, modulus, quotient};
use mpc_core::{Abort, Column, Layout, PartyId, Ring};

const P0: PartyId = PartyId(0);
const P1: PartyId = PartyId(1);
const P2: PartyId = PartyId(2);

impl Rep3 {
    pub(super) fn quotient_near<R: Ring, S: Ring>(&mut self, x: &Rep3Share<R>, divisors: &[u128]) -> Result<Rep3Share<S>, Abort> {
        assert_eq!(x.first().planes(), divisors.len(), "one divisor for each plane");
        let layout = x.first().layout();
        assert_eq!(layout, Layout::new(layout.rows, layout.planes), "elements in all their bits");
        let (input, product) = (self.session.step(), self.session.step());
        let both = Layout::new(layout.rows, 2 * layout.planes);
        let tops = |c: &Column<S>| c.slice_planes(layout.planes..both.planes);
        let quotients = |c: &Column<S>| c.slice_planes(0..layout.planes);
        let weight = |d: &u128| std::iter::repeat_n(element(modulus::<R>().div_ceil(*d)), layout.rows);
        let weights = Column::from_elements(divisors.iter().flat_map(weight).collect(), layout).expect("one element a row");
        let weigh = |c: &Column<S>| c.zip(&weights, S::mul);
        match self.session.me() {
            P0 => {
                let known = parts::<R, S>(&x.known(), divisors, |top| 1 - top);
                let second = self.drawn::<S>(P1, input, both);
                let first = known.zip(&second, S::sub);
                let mut round = self.session.round("quotient, first");
                round.send(P2, &first);
                round.run()?;
                self.session.round("quotient, second").run()?;
                let [p0, p1] = [P2, P1].map(|peer| weigh(&self.drawn(peer, product, layout)));
                Ok(Rep3Share::from_components(quotients(&first).zip(&p0, S::add), quotients(&second).zip(&p1, S::add)))
            }
            P1 => {
                let known = parts::<R, S>(&x.second().map(|c| R::ZERO.sub(c)), divisors, |top| top);
                let shared = self.drawn::<S>(P0, input, both);
                let p1 = self.drawn::<S>(P0, product, layout);
                let m1 = tops(&known).zip(&tops(&shared), S::mul).zip(&p1, S::sub);
                let mut round = self.session.round("quotient, first");
                round.send(P2, &m1);
                round.run()?;
                let mut round = self.session.round("quotient, second");
                let m2 = round.recv(P2, layout);
                let m2: Column<S> = round.run()?.take(m2);
                let last = weigh(&m1.zip(&m2, S::add)).zip(&quotients(&known), S::sub);
                Ok(Rep3Share::from_components(quotients(&shared).zip(&weigh(&p1), S::add), last))
            }
            _ => {
                let known = parts::<R, S>(&x.first().map(|c| R::ZERO.sub(c)), divisors, |top| top);
                let mut round = self.session.round("quotient, first");
                let (shared, m1) = (round.recv(P0, both), round.recv(P1, layout));
                let mut inbox = round.run()?;
                let (shared, m1): (Column<S>, Column<S>) = (inbox.take(shared), inbox.take(m1));
                let p0 = self.drawn::<S>(P0, product, layout);
                let m2 = tops(&known).zip(&tops(&shared), S::mul).zip(&p0, S::sub);
                let mut round = self.session.round("quotient, second");
                round.send(P1, &m2);
                round.run()?;
                let last = weigh(&m1.zip(&m2, S::add)).zip(&quotients(&known), S::sub);
                Ok(Rep3Share::from_components(last, quotients(&shared).zip(&weigh(&p0), S::add)))
            }
        }
    }
}

/// The quotients of each plane, then what `of_top` makes of the top bits.
fn parts<R: Ring, S: Ring>(known: &Column<R>, divisors: &[u128], of_top: impl Fn(u128) -> u128) -> Column<S> {
    let planes = || divisors.iter().enumerate().map(|(i, d)| (known.plane(i), *d));
    let quotients = planes().flat_map(|(plane, d)| plane.iter().map(move |v| element(quotient(v.to_bits(), d, R::BITS))));
    let tops = planes().flat_map(|(plane, _)| plane.iter().map(|v| element(of_top(v.to_bits() >> (R::BITS - 1)))));
    let layout = Layout::new(known.rows(), 2 * divisors.len());
    Column::from_elements(quotients.chain(tops).collect(), layout).expect("one element a row")
}
