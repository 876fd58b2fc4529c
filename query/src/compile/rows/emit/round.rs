//! Quotients that are rounded half away from 0, and what they are made with.

use datafusion::logical_expr::Expr;

use super::{
    Emit, Val,
    divide::{DIVIDEND_BITS, DIVISOR_BITS, QUOTIENT_BITS},
    form,
};
use crate::{
    compile::{
        SqlError,
        range::{Interval, ten},
    },
    plan::{
        Ring,
        relation::{RowForm, RowKind, RowNodeId, RowOp},
    },
};

/// A quotient of an element.
pub(in crate::compile::rows) struct Fraction {
    pub(in crate::compile::rows) over: Val,
    pub(in crate::compile::rows) under: Under,
    /// Digits behind the point that the quotient of the integers has.
    pub(in crate::compile::rows) scale: i8,
    /// Its magnitude is at most so much.
    pub(in crate::compile::rows) most: i128,
}

impl Fraction {
    /// The most it can be with so many digits more, or fewer.
    pub(in crate::compile::rows) fn largest(&self, digits: i32) -> Option<i128> {
        let ten = ten(digits.unsigned_abs())?;
        if digits >= 0 { self.most.checked_mul(ten) } else { Some((self.most.checked_add(ten / 2)?) / ten) }
    }
}

/// What is divided by.
pub(in crate::compile::rows) enum Under {
    /// An element of a field, at most so large.
    Secret(RowNodeId, Ring, i128),
    Public(i128),
}

impl Emit<'_> {
    /// A bit that is 1 where an element is not 0.
    pub(in crate::compile::rows) fn unless_zero(&mut self, of: RowNodeId) -> RowNodeId {
        let none = self.node(RowOp::Zero(of), RowKind::Bit);
        self.not(none)
    }

    pub(in crate::compile::rows) fn product(&mut self, a: RowNodeId, b: RowNodeId, ring: Ring) -> RowNodeId {
        self.node(RowOp::Product(a, b), RowKind::Field(ring))
    }

    /// A sum in the field of a form.
    pub(in crate::compile::rows) fn linear(&mut self, terms: &[(i128, RowNodeId)], constant: i128, form: &RowForm) -> RowNodeId {
        self.node(RowOp::Linear(terms.to_vec(), constant), RowKind::Field(form.ring().unwrap_or(Ring::Fp127)))
    }

    /// The same element of another field.
    pub(in crate::compile::rows) fn in_ring(&mut self, val: Val, ring: Ring, expr: &Expr) -> Result<Val, SqlError> {
        let RowForm::Field { scale, min, max, .. } = val.form else { return Ok(val) };
        self.converted(val, &RowForm::Field { ring, scale, min, max }, expr)
    }

    /// The quotient with so many digits more, or fewer, rounded half away from 0; at most `largest`. `None` if it is too wide.
    pub(in crate::compile::rows) fn quotient_of(
        &mut self,
        of: Fraction,
        digits: i32,
        largest: i128,
        expr: &Expr,
    ) -> Result<Option<Val>, SqlError> {
        let Fraction { over, under, scale, .. } = of;
        let RowForm::Field { ring, min, max, .. } = over.form else { return Ok(None) };
        let Some(power) = ten(digits.unsigned_abs()) else { return Ok(None) };
        let (up, down) = if digits >= 0 { (power, 1) } else { (1, power) };
        let Ok(scale) = i8::try_from(i32::from(scale) + digits) else { return Ok(None) };
        let result = Interval { min: if min < 0 { -largest } else { 0 }, max: largest };
        if let Under::Public(d) = under
            && up % d == 0
            && down == 1
        {
            // nothing is rounded
            let Some(wider) = Interval { min, max }.times(up / d).and_then(form::ring) else { return Ok(None) };
            let Some(form) = form::field_in(wider.max(ring), result, scale) else { return Ok(None) };
            let over = self.in_ring(over, form.ring().unwrap_or(ring), expr)?;
            let node = self.linear(&[(up / d, over.node)], 0, &form);
            return Ok(Some(Val { node, valid: over.valid, form }));
        }
        let size = Interval { min, max }.magnitude();
        let field = RowKind::Field(ring);
        let (magnitude, negative) = if min < 0 {
            let negative = self.node(RowOp::Negative(over.node), RowKind::Bit);
            let turned = self.node(RowOp::Linear(vec![(-1, over.node)], 0), field);
            (self.node(RowOp::Select(negative, turned, over.node), field), Some(negative))
        } else {
            (over.node, None)
        };
        let bits = form::width(largest);
        let quotient = match under {
            Under::Public(d) => {
                // (2 x + d) / 2 d, rounded down
                let (Some(twice), Some(d)) = (up.checked_mul(2), d.checked_mul(down)) else { return Ok(None) };
                let Some(top) = size.checked_mul(twice).and_then(|top| top.checked_add(d)) else { return Ok(None) };
                let Some(wider) = form::ring(Interval { min: 0, max: top }).filter(|_| form::width(top) + 3 <= 124) else {
                    return Ok(None);
                };
                let form = RowForm::Field { ring, scale, min: 0, max: size };
                let magnitude = self.in_ring(Val { node: magnitude, valid: None, form }, wider.max(ring), expr)?;
                let raised = self.linear(&[(twice, magnitude.node)], d, &magnitude.form);
                let planes = self.node(RowOp::ToPlanes(raised, 0), RowKind::Planes(form::width(top)));
                self.node(RowOp::Floor { of: planes, by: 2 * d }, RowKind::Planes(bits))
            }
            Under::Secret(d, own, most) => {
                let fits = |most: &i128| form::ring(Interval { min: 0, max: *most }).is_some_and(|ring| ring <= own);
                let Some(most) = most.checked_mul(down).filter(fits).filter(|most| bits + form::width(*most) < 127) else {
                    return Ok(None);
                };
                if bits > QUOTIENT_BITS || form::width(size) > DIVIDEND_BITS || form::width(most) > DIVISOR_BITS {
                    return Ok(None);
                }
                let d = if down == 1 { d } else { self.node(RowOp::Linear(vec![(down, d)], 0), RowKind::Field(own)) };
                let a = self.node(RowOp::ToPlanes(magnitude, 0), RowKind::Planes(form::width(size)));
                let b = self.node(RowOp::ToPlanes(d, 0), RowKind::Planes(form::width(most)));
                let shift = digits.max(0).unsigned_abs();
                self.node(RowOp::Quotient { a, b, shift, round: true }, RowKind::Planes(bits))
            }
        };
        let valid = over.valid;
        let Some(negative) = negative else {
            return Ok(Some(Val { node: quotient, valid, form: RowForm::Planes { scale, offset: 0, width: bits } }));
        };
        let Some(form) = form::field(result, scale) else { return Ok(None) };
        let field = RowKind::Field(form.ring().unwrap_or(ring));
        let element = self.node(RowOp::ToField(quotient, 0), field);
        let turned = self.linear(&[(-1, element)], 0, &form);
        let node = self.node(RowOp::Select(negative, turned, element), field);
        Ok(Some(Val { node, valid, form }))
    }
}
