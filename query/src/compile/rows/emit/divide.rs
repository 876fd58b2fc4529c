//! Division of magnitudes, rounded towards 0, as long as it needs to be.
//!
//! One [`Quotient`](RowOp::Quotient) has [`QUOTIENT_BITS`] at most. A longer one is divided as on paper: the leading digits first, then what is left of each step with
//! the next digits behind it. Digits are those of the exact quotient, so that the whole is what one division would make of it.
//! *Cost.* A quotient for each step; between two, a product and the bits of what is left. A dividend that is itself longer than one quotient is cut in two by a
//! [`Floor`](RowOp::Floor).

use super::{Emit, Val, form};
use crate::{
    compile::range::{Interval, ten},
    plan::relation::{RowForm, RowKind, RowNodeId, RowOp},
};

/// Most bits of a quotient by a secret number.
pub(super) const QUOTIENT_BITS: u32 = 54;

/// Most bits of a quotient and its divisor together.
const WITH_DIVISOR: u32 = 126;

/// Most bits of a dividend.
pub(super) const DIVIDEND_BITS: u32 = 125;

/// Most bits of a divisor.
pub(super) const DIVISOR_BITS: u32 = 122;

/// Most bits of what is divided by a public number.
const FLOOR_BITS: u32 = 124;

/// A magnitude in planes, and the most it can be.
#[derive(Clone, Copy)]
pub(in crate::compile::rows) struct Magnitude {
    pub(in crate::compile::rows) node: RowNodeId,
    pub(in crate::compile::rows) most: i128,
}

impl Emit<'_> {
    /// a · 10^shift / b, at most `most`, with so many digits behind the point; 0 where b is 0. `None` if it is too wide.
    pub(in crate::compile::rows) fn long_quotient(
        &mut self,
        a: Magnitude,
        b: Magnitude,
        shift: u32,
        (scale, most): (i8, i128),
        valid: Option<RowNodeId>,
    ) -> Option<Val> {
        let (bits, divisor_bits) = (form::width(most), form::width(b.most));
        if divisor_bits > DIVISOR_BITS {
            return None;
        }
        let magnitude = Interval { min: 0, max: most };
        if bits <= QUOTIENT_BITS && bits + divisor_bits <= WITH_DIVISOR && form::width(a.most) <= DIVIDEND_BITS {
            let form = form::planes(magnitude, scale)?;
            let node = self.node(RowOp::Quotient { a: a.node, b: b.node, shift, round: false }, RowKind::Planes(form.width() as u32));
            return Some(Val { node, valid, form });
        }
        // what is left of a step is divided with the next digits behind it
        let room = QUOTIENT_BITS.min(DIVIDEND_BITS - divisor_bits);
        // most digits of one step
        let digits = (1..=u32::from(u8::MAX)).take_while(|d| ten(*d).is_some_and(|t| form::width(t - 1) <= room)).last()?;
        let whole = form::field(magnitude, scale)?;
        let field = |of: &RowForm| of.ring().map(RowKind::Field);
        let (out, widest) = (field(&whole)?, a.most.max(ten(digits)?.checked_mul(b.most)?));
        let kind = field(&form::field(Interval { min: 0, max: widest }, 0)?)?;
        let divisor = self.node(RowOp::ToField(b.node, 0), kind);
        let mut terms = Vec::new();
        let mut step = |me: &mut Self, n: RowNodeId, up: u32, most: i128, behind: u32| -> Option<RowNodeId> {
            let q = me.node(RowOp::Quotient { a: n, b: b.node, shift: up, round: false }, RowKind::Planes(form::width(most)));
            terms.push((ten(behind)?, me.node(RowOp::ToField(q, 0), out)));
            let (n, q) = (me.node(RowOp::ToField(n, 0), kind), me.node(RowOp::ToField(q, 0), kind));
            let met = me.node(RowOp::Product(q, divisor), kind);
            Some(me.node(RowOp::Linear(vec![(ten(up)?, n), (-1, met)], 0), kind))
        };
        let planes = |me: &mut Self, of: RowNodeId, most: i128| me.node(RowOp::ToPlanes(of, 0), RowKind::Planes(form::width(most)));
        // digits of the dividend that wait for the second step
        let waiting = (0..=digits).find(|d| ten(*d).is_some_and(|t| form::width(a.most / t) <= room))?;
        let mut left = shift;
        let mut rest = if waiting == 0 {
            let fits = |up: &u32| ten(*up).and_then(|t| a.most.checked_mul(t)).is_some_and(|top| form::width(top) <= room);
            let up = (0..=shift).take_while(fits).last()?;
            left -= up;
            step(self, a.node, up, a.most * ten(up)?, left)?
        } else {
            let cut = ten(waiting).filter(|_| form::width(a.most) <= FLOOR_BITS)?;
            let high = self.node(RowOp::Floor { of: a.node, by: cut }, RowKind::Planes(form::width(a.most / cut)));
            let rest = step(self, high, 0, a.most / cut, waiting + shift)?;
            let (all, high) = (self.node(RowOp::ToField(a.node, 0), kind), self.node(RowOp::ToField(high, 0), kind));
            let next = self.node(RowOp::Linear(vec![(cut, rest), (1, all), (-cut, high)], 0), kind);
            let next = planes(self, next, cut * b.most);
            step(self, next, 0, cut - 1, shift)?
        };
        while left > 0 {
            let up = left.min(digits);
            left -= up;
            let next = planes(self, rest, b.most);
            rest = step(self, next, up, ten(up)? - 1, left)?;
        }
        let node = self.node(RowOp::Linear(terms, 0), out);
        Some(Val { node, valid, form: whole })
    }
}
