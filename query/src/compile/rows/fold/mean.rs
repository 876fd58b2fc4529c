//! Means on shares: of all values (AVG), of the two in the middle (MEDIAN).

use datafusion::logical_expr::Expr;

use crate::{
    compile::{
        SqlError,
        expr::said,
        internal,
        range::{self, Interval},
        rows::{
            emit::{Emit, Magnitude, Val},
            form,
        },
    },
    plan::{
        Ring,
        relation::{RowForm, RowKind, RowOp},
    },
};

impl Emit<'_> {
    /// x / n as a DECIMAL with `digits` more than x: truncated, NULL where n is 0. None of the values that x is the sum of is beyond `one`.
    pub(super) fn average(&mut self, x: Val, n: Val, digits: u32, one: i128, expr: &Expr) -> Result<Val, SqlError> {
        let wide = || {
            SqlError::width(format!("{} can leave the numbers that are shared exactly", said(expr)), "CAST its argument to fewer digits")
        };
        let (RowForm::Field { scale, min, max, ring }, RowForm::Field { max: most, .. }) = (x.form.clone(), n.form.clone()) else {
            return Err(wide());
        };
        let none = self.node(RowOp::Zero(n.node), RowKind::Bit);
        let valid = Some(self.not(none));
        let size = Interval { min, max }.magnitude();
        let top = range::ten(digits).and_then(|f| size.min(one).checked_mul(f)).ok_or_else(wide)?;
        let planes = |most: i128| form::planes(Interval { min: 0, max: most }, 0).ok_or_else(wide);
        let field = RowKind::Field(ring);
        let (magnitude, negative) = if min < 0 {
            let negative = self.node(RowOp::Negative(x.node), RowKind::Bit);
            let turned = self.node(RowOp::Linear(vec![(-1, x.node)], 0), field);
            (self.node(RowOp::Select(negative, turned, x.node), field), Some(negative))
        } else {
            (x.node, None)
        };
        let kind = |form: &RowForm| RowKind::Planes(form.width() as u32);
        let a = self.node(RowOp::ToPlanes(magnitude, 0), kind(&planes(size)?));
        let b = self.node(RowOp::ToPlanes(n.node, 0), kind(&planes(most)?));
        let to = i8::try_from(digits).map_err(internal)? + scale;
        let (a, b) = (Magnitude { node: a, most: size }, Magnitude { node: b, most });
        let positive = self.long_quotient(a, b, digits, (to, top), valid).ok_or_else(wide)?;
        let Some(negative) = negative else { return Ok(positive) };
        let form = form::field(Interval { min: -top, max: top }, to).ok_or_else(wide)?;
        let element = self.converted(positive, &form, expr)?;
        let kind = RowKind::Field(form.ring().unwrap_or(Ring::Fp61));
        let turned = self.node(RowOp::Linear(vec![(-1, element.node)], 0), kind);
        let node = self.node(RowOp::Select(negative, turned, element.node), kind);
        Ok(Val { node, ..element })
    }

    /// (low + high) / 2 of numbers that can be negative, truncated towards 0.
    pub(super) fn signed_middle(
        &mut self,
        low: Val,
        high: Val,
        scale: i8,
        (offset, width): (i128, u32),
        expr: &Expr,
    ) -> Result<Val, SqlError> {
        let wide = || {
            SqlError::width(format!("{} can leave the numbers that are shared exactly", said(expr)), "CAST its argument to fewer digits")
        };
        let range = Interval { min: 2 * offset, max: 2 * (offset + (1i128 << width.min(120))) };
        let form = form::field(range, scale).ok_or_else(wide)?;
        let kind = RowKind::Field(form.ring().unwrap_or(Ring::Fp61));
        let valid = low.valid;
        let (x, y) = (self.converted(low, &form, expr)?, self.converted(high, &form, expr)?);
        let sum = self.node(RowOp::Linear(vec![(1, x.node), (1, y.node)], 0), kind);
        let negative = self.node(RowOp::Negative(sum), RowKind::Bit);
        let turned = self.node(RowOp::Linear(vec![(-1, sum)], 0), kind);
        let size = self.node(RowOp::Select(negative, turned, sum), kind);
        let whole = form::width(range.magnitude());
        let size = self.node(RowOp::ToPlanes(size, 0), RowKind::Planes(whole));
        let size = Val { node: size, valid: None, form: RowForm::Planes { scale, offset: 0, width: whole } };
        let half = self.divided(&size, 2, whole, expr)?;
        let half = self.node(RowOp::ToField(half, 0), kind);
        let turned = self.node(RowOp::Linear(vec![(-1, half)], 0), kind);
        let node = self.node(RowOp::Select(negative, turned, half), kind);
        Ok(Val { node, valid, form })
    }

    /// (low + high) / 2 of planes with an offset, truncated towards 0 as SQL's integers are.
    pub(super) fn middle(&mut self, low: Val, high: Val, scale: i8, (offset, width): (i128, u32), expr: &Expr) -> Result<Val, SqlError> {
        // raw values are offset + planes: their sum is 2 offset + sum; with an offset of at least 0 truncation is flooring
        let sum = self.node(RowOp::Add(low.node, high.node), RowKind::Planes(width + 1));
        let sum = Val { node: sum, valid: None, form: RowForm::Planes { scale, offset: 0, width: width + 1 } };
        let half = self.divided(&sum, 2, width, expr)?;
        Ok(Val { node: half, valid: low.valid, form: RowForm::Planes { scale, offset, width } })
    }
}
