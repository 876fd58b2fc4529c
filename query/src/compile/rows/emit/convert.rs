//! A value in another form.

use datafusion::logical_expr::Expr;

use super::{Emit, Val, form};
use crate::{
    compile::{
        SqlError,
        expr::said,
        range::{Interval, ten},
    },
    plan::{
        Ring,
        relation::{RowForm, RowKind, RowOp},
    },
};

impl Emit<'_> {
    /// A value in another form of the same type.
    pub(in crate::compile::rows) fn converted(&mut self, val: Val, to: &RowForm, expr: &Expr) -> Result<Val, SqlError> {
        if val.form == *to {
            return Ok(val);
        }
        let place = self.text.expr(expr);
        let wrong = || {
            SqlError::unsupported(format!("{} is needed in another form than it has", said(expr)), "CAST it in a sub-query of its owner")
                .at(place)
        };
        match (val.form.clone(), to) {
            (RowForm::Planes { scale: s, offset, width }, RowForm::Planes { scale: t, offset: low, width: w }) if s == *t => {
                let mut by = offset.checked_sub(*low).ok_or_else(wrong)?;
                let kind = RowKind::Planes(*w);
                // what is NULL everywhere may lie anywhere: no value is moved so far
                let room = if by >= 0 { *w } else { width.max(*w) };
                if by.unsigned_abs() >> room > 0 {
                    by = by.rem_euclid(1 << *w);
                }
                let node = if by >= 0 {
                    let by = self.integer(by, *w);
                    self.node(RowOp::Add(val.node, by), kind)
                } else {
                    let by = self.integer(-by, width.max(*w));
                    self.node(RowOp::Sub(val.node, by), kind)
                };
                let val = Val { node, valid: val.valid, form: to.clone() };
                Ok(match val.valid {
                    Some(v) if by != 0 => self.blanked(val, v),
                    _ => val,
                })
            }
            (RowForm::Bit, RowForm::Planes { scale: 0, offset: 0, width }) => {
                let (one, zero) = (self.integer(1, *width), self.integer(0, *width));
                let node = self.node(RowOp::Select(val.node, one, zero), RowKind::Planes(*width));
                Ok(Val { node, valid: val.valid, form: to.clone() })
            }
            (RowForm::Bit, RowForm::Field { ring, scale: 0, .. }) => {
                let node = self.node(RowOp::Lift(val.node), RowKind::Field(*ring));
                Ok(Val { node, valid: val.valid, form: to.clone() })
            }
            (RowForm::Planes { scale, offset, .. }, RowForm::Field { ring, scale: t, .. }) if scale <= *t => {
                let factor = u32::try_from(*t - scale).ok().and_then(ten).ok_or_else(wrong)?;
                let kind = RowKind::Field(*ring);
                let node = match val.valid {
                    // 0 where NULL: the offset counts only where there is a value
                    Some(v) if offset != 0 => {
                        let (bare, valid) = (self.node(RowOp::ToField(val.node, 0), kind), self.node(RowOp::Lift(v), kind));
                        self.node(RowOp::Linear(vec![(factor, bare), (factor * offset, valid)], 0), kind)
                    }
                    _ => {
                        let bare = self.node(RowOp::ToField(val.node, offset), kind);
                        if factor == 1 { bare } else { self.node(RowOp::Linear(vec![(factor, bare)], 0), kind) }
                    }
                };
                Ok(Val { node, valid: val.valid, form: to.clone() })
            }
            (RowForm::Field { ring, scale, min, max }, RowForm::Planes { scale: t, offset, width }) if scale <= *t => {
                let factor = u32::try_from(*t - scale).ok().and_then(ten).ok_or_else(wrong)?;
                let range = Interval { min, max }.times(factor).ok_or_else(wrong)?;
                if !form::apart(ring, range, *offset, *width) {
                    // planes that cover more than this value: they are made of its own
                    let planes = form::planes(Interval { min, max }, scale).ok_or_else(wrong)?;
                    let val = self.converted(val, &planes, expr)?;
                    let wide = form::field_in(Ring::Fp127, range, *t).ok_or_else(wrong)?;
                    let val = if scale == *t { val } else { self.converted(val, &wide, expr)? };
                    return self.converted(val, to, expr);
                }
                let raised =
                    if factor == 1 { val.node } else { self.node(RowOp::Linear(vec![(factor, val.node)], 0), RowKind::Field(ring)) };
                let node = self.node(RowOp::ToPlanes(raised, *offset), RowKind::Planes(*width));
                let val = Val { node, valid: val.valid, form: to.clone() };
                Ok(match val.valid {
                    Some(v) if *offset != 0 => self.blanked(val, v),
                    _ => val,
                })
            }
            (RowForm::Field { ring, scale, min, max }, RowForm::Field { ring: r, scale: t, .. }) if scale <= *t => {
                let moved = if ring == *r {
                    val
                } else {
                    // through planes: there is no cheaper way between the fields
                    let planes = form::planes(Interval { min, max }, scale).ok_or_else(wrong)?;
                    let val = self.converted(val, &planes, expr)?;
                    return self.converted(val, to, expr);
                };
                let moved = self.raised(moved, *t);
                Ok(Val { form: to.clone(), ..moved })
            }
            (RowForm::Code { values, .. }, RowForm::Code { values: all, .. }) => {
                let at = |text: &String| all.binary_search(text).ok().map(|at| vec![at as u64]);
                let at = values.iter().map(at).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
                self.listed(val, at, to, expr)
            }
            (RowForm::Code { values, .. }, RowForm::Text { bytes }) => {
                let texts = values.iter().map(|text| form::text_limbs(text, *bytes)).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
                self.listed(val, texts, to, expr)
            }
            // what is missing at the end are zeros
            (RowForm::Text { bytes }, RowForm::Text { bytes: longer }) if bytes < *longer => {
                let node = self.node(RowOp::Shift(val.node, 8 * (longer - bytes)), super::kind(to));
                Ok(Val { node, valid: val.valid, form: to.clone() })
            }
            _ => Err(wrong()),
        }
    }

    /// The value that a public list has for each code.
    fn listed(&mut self, val: Val, values: Vec<Vec<u64>>, to: &RowForm, expr: &Expr) -> Result<Val, SqlError> {
        if values.len() > RowOp::MOST_LISTED {
            let what = format!("{} has a dictionary of {} texts, too long to meet other texts here", said(expr), values.len());
            let fix = "declare max_bytes for its column in the catalogue instead of the dictionary";
            return Err(SqlError::unsupported(what, fix).at(self.text.expr(expr)));
        }
        // where there is NULL the code is 0
        let is_blank = values.first().is_none_or(|value| value.iter().all(|limb| *limb == 0));
        let node = self.node(RowOp::Listed(val.node, values), super::kind(to));
        let listed = Val { node, valid: val.valid, form: to.clone() };
        Ok(match val.valid {
            Some(valid) if !is_blank => self.blanked(listed, valid),
            _ => listed,
        })
    }
}
