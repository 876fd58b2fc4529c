//! Moments: their parts, what they are rounded down to, casts between days and units, and moments some days or hours later.

use datafusion::{
    arrow::datatypes::DataType,
    logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator},
};

use protocols::circuit;

use super::{Emit, Scope, Val, form, kind};
use crate::{
    compile::{
        SqlError,
        expr::said,
        internal,
        range::{self, Interval},
        temporal::{self, Cycle, DAY, Grain, Recount},
    },
    plan::{
        Ring,
        relation::{DatePart, RowForm, RowKind, RowNodeId, RowOp},
    },
};

/// Bits of the longest range of days in which parts of dates are known.
const DATE_BITS: u32 = 20;

impl Emit<'_> {
    pub(super) fn date_part(&mut self, part: &str, moment: &Expr, expr: &Expr, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let (unit, _) = self.moment(moment, expr, scope)?;
        let of_date = match part.to_ascii_lowercase().as_str() {
            "year" => DatePart::Year,
            "quarter" => DatePart::Quarter,
            "month" => DatePart::Month,
            "day" => DatePart::Day,
            "doy" => DatePart::DayOfYear,
            other => {
                let cycle = Cycle::of(other, unit).ok_or_else(|| self.beyond(expr))?;
                return self.cycle(cycle, moment, expr, scope);
            }
        };
        let form = self.natural_form(expr, scope)?;
        let RowForm::Planes { offset: base, .. } = &form else { return Err(self.beyond(expr)) };
        let base = i32::try_from(*base).map_err(internal)?;
        let (days, offset) = self.days(moment, unit, expr, scope)?;
        let node = self.node(RowOp::DatePart { of: days.node, offset, part: of_date, base }, kind(&form));
        Ok(self.where_valid(Val { node, valid: days.valid, form }))
    }

    /// DATE_TRUNC.
    pub(super) fn date_trunc(&mut self, word: &str, moment: &Expr, expr: &Expr, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let (unit, range) = self.moment(moment, expr, scope)?;
        let grain = Grain::of(&word.to_ascii_lowercase(), unit).ok_or_else(|| self.beyond(expr))?;
        let form = form::field(grain.range(range, unit), 0).ok_or_else(|| self.wide(expr))?;
        let RowForm::Field { ring, .. } = form else { return Err(self.beyond(expr)) };
        let (terms, constant, valid) = match grain {
            Grain::Even { step, origin } => {
                let x = self.floored(moment, step, origin, expr, scope)?;
                let steps = range.sub(Interval::of(origin, origin)).ok_or_else(|| self.wide(expr))?.floor(step);
                let x = self.as_field(x, ring, steps, expr)?;
                (vec![(step, x.node)], origin, x.valid)
            }
            Grain::First(part, most) => {
                let per = DAY / unit;
                let (days, offset) = self.days(moment, unit, expr, scope)?;
                // the first is its own day's number less 1 before it
                let bits = RowKind::Planes(form::width(most - 1));
                let node = self.node(RowOp::DatePart { of: days.node, offset, part, base: 1 }, bits);
                let since = self.node(RowOp::ToField(node, 0), RowKind::Field(ring));
                let days = self.as_field(days, ring, range.floor(per), expr)?;
                (vec![(per, days.node), (-per, since)], 0, days.valid)
            }
        };
        let node = self.node(RowOp::Linear(terms, constant), RowKind::Field(ring));
        Ok(self.where_valid(Val { node, valid, form }))
    }

    /// A cast between days and moments, or moments and differences of different units.
    pub(super) fn recounted(&mut self, recount: Recount, of: &Expr, expr: &Expr, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let range = self.range(of, scope)?;
        match recount {
            Recount::Floor(by) => self.floored(of, by, 0, expr, scope),
            // rounded down and towards 0 are one where nothing is below 0
            Recount::Truncate(by) if range.min >= 0 => self.floored(of, by, 0, expr, scope),
            Recount::Times(by) => {
                let limits = range::limits(&expr.get_type(scope.schema).map_err(internal)?);
                let to = range.times(by).filter(|to| limits.is_some_and(|limits| to.within(limits)));
                let to = to.and_then(|to| form::field(to, 0)).ok_or_else(|| self.wide(expr))?;
                let RowForm::Field { ring, .. } = to else { return Err(self.beyond(expr)) };
                let from = form::field_in(ring, range, 0).ok_or_else(|| self.wide(expr))?;
                let x = self.value_as(of, &from, scope)?;
                let node = self.node(RowOp::Linear(vec![(by, x.node)], 0), kind(&to));
                Ok(Val { node, valid: x.valid, form: to })
            }
            Recount::Truncate(_) | Recount::Same => {
                let fix = "round down with DATE_TRUNC, or CAST in a sub-query of its owner";
                Err(SqlError::unsupported(format!("{} rounds what is before 1970 up", said(expr)), fix).at(self.text.expr(expr)))
            }
        }
    }

    /// A moment and a literal interval: the same planes, counted from another moment on, unless it has months. `None` if there is no interval.
    pub(super) fn later(&mut self, b: &BinaryExpr, ty: &DataType, expr: &Expr, scope: &mut Scope<'_>) -> Result<Option<Val>, SqlError> {
        let (moment, span, sign) = match (temporal::interval(&b.left), temporal::interval(&b.right), b.op) {
            (None, Some(_), Operator::Plus) => (&b.left, &b.right, 1),
            (None, Some(_), Operator::Minus) => (&b.left, &b.right, -1),
            (Some(_), None, Operator::Plus) => (&b.right, &b.left, 1),
            _ if *ty == DataType::Date32 => return Err(self.beyond(expr)),
            _ => return Ok(None),
        };
        let Some((months, by)) = temporal::moves(span, sign, ty) else {
            let fix = "add whole days (INTERVAL '1 day'), or CAST the date AS TIMESTAMP before hours are added";
            return Err(SqlError::unsupported(format!("{} of a date and less than a day", said(expr)), fix).at(self.text.expr(expr)));
        };
        if months != 0 {
            return self.months_later(moment, (months, by), expr, scope).map(Some);
        }
        let form = self.natural_form(moment, scope)?;
        let x = self.value_as(moment, &form, scope)?;
        let RowForm::Planes { scale, offset, width } = form else { return Err(self.beyond(expr)) };
        Ok(Some(Val { form: RowForm::Planes { scale, offset: offset + by, width }, ..x }))
    }

    /// So many months, and then units, later.
    fn months_later(&mut self, moment: &Expr, (months, by): (i32, i128), expr: &Expr, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let (unit, range) = self.moment(moment, expr, scope)?;
        let per = DAY / unit;
        let (days, offset) = self.days(moment, unit, expr, scope)?;
        let most = (1 << days.form.width()) - 1;
        let first = i64::try_from(offset).map_err(|_| self.wide(expr))?;
        let until = circuit::days_until(&(first..=first + most), months);
        let (least, more) = (*until.start(), i128::from(until.end() - until.start()));
        let base = i32::try_from(least).map_err(|_| self.wide(expr))?;
        let part = DatePart::Later(months);
        let more_days = self.node(RowOp::DatePart { of: days.node, offset, part, base }, RowKind::Planes(form::width(more)));
        if per == 1 {
            let form = RowForm::Planes { scale: 0, offset: offset + i128::from(least) + by, width: form::width(i128::from(most) + more) };
            let node = self.node(RowOp::Add(days.node, more_days), kind(&form));
            return Ok(self.where_valid(Val { node, valid: days.valid, form }));
        }
        let form = form::field(self.range(expr, scope)?, 0).ok_or_else(|| self.wide(expr))?;
        let RowForm::Field { ring, .. } = form else { return Err(self.beyond(expr)) };
        let x = form::planes(range, 0).ok_or_else(|| self.wide(expr))?;
        let x = self.value_as(moment, &x, scope)?;
        let x = self.as_field(x, ring, range, expr)?;
        let more_days = self.node(RowOp::ToField(more_days, 0), RowKind::Field(ring));
        let node = self.node(RowOp::Linear(vec![(1, x.node), (per, more_days)], per * i128::from(least) + by), RowKind::Field(ring));
        Ok(self.where_valid(Val { node, valid: x.valid, form }))
    }

    /// (floor(v / per) + shift) mod modulus, times factor, plus base.
    fn cycle(&mut self, cycle: Cycle, moment: &Expr, expr: &Expr, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let Cycle { per, shift, modulus, factor, base } = cycle;
        let mut x = self.floored(moment, per, 0, expr, scope)?;
        let RowForm::Planes { scale, offset, width } = x.form else { return Err(self.beyond(expr)) };
        x.form = RowForm::Planes { scale, offset: offset + shift, width };
        // steps since the beginning of a cycle
        let begin = (offset + shift).div_euclid(modulus) * modulus;
        let most = offset + shift + (1i128 << width) - 1 - begin;
        let x = self.converted(x, &RowForm::Planes { scale, offset: begin, width: form::width(most) }, expr)?;
        let whole = form::width(most / modulus);
        if whole == 0 && factor == 1 {
            return Ok(Val { form: RowForm::Planes { scale, offset: base, width: form::width(most) }, ..x });
        }
        let ring = form::ring(Interval { min: 0, max: most }).ok_or_else(|| self.wide(expr))?;
        let form = form::field_in(ring, cycle.range(), 0).ok_or_else(|| self.wide(expr))?;
        let mut terms = vec![(factor, self.node(RowOp::ToField(x.node, 0), RowKind::Field(ring)))];
        if whole > 0 {
            let cycles = self.divided(&x, modulus, whole, expr)?;
            terms.push((-factor * modulus, self.node(RowOp::ToField(cycles, 0), RowKind::Field(ring))));
        }
        let node = self.node(RowOp::Linear(terms, base), RowKind::Field(ring));
        Ok(self.where_valid(Val { node, valid: x.valid, form }))
    }

    /// floor((v - origin) / by) as planes.
    fn floored(&mut self, of: &Expr, by: i128, origin: i128, expr: &Expr, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let range = self.range(of, scope)?;
        let to = range.sub(Interval::of(origin, origin)).ok_or_else(|| self.wide(expr))?.floor(by);
        let wide = || self.wide(expr);
        let form = form::planes(Interval { min: to.min * by + origin, max: range.max }, 0).ok_or_else(wide)?;
        let result = form::planes(to, 0).ok_or_else(wide)?;
        let x = self.value_as(of, &form, scope)?;
        let node = self.divided(&x, by, result.width() as u32, expr)?;
        Ok(Val { node, valid: x.valid, form: result })
    }

    /// Planes divided by a public number.
    pub(in crate::compile::rows) fn divided(&mut self, x: &Val, by: i128, width: u32, expr: &Expr) -> Result<RowNodeId, SqlError> {
        let bits = form::width(by).max(x.form.width() as u32);
        match (by, width) {
            (1, _) => Ok(x.node),
            (_, 0) => Ok(self.integer(0, 0)),
            _ if bits + 3 > 127 => Err(self.wide(expr)),
            _ => Ok(self.node(RowOp::Floor { of: x.node, by }, RowKind::Planes(width))),
        }
    }

    /// The unit of a moment, and where it can be.
    fn moment(&self, moment: &Expr, expr: &Expr, scope: &Scope<'_>) -> Result<(i128, Interval), SqlError> {
        let ty = moment.get_type(scope.schema).map_err(internal)?;
        let unit = temporal::unit(&ty).filter(|_| !matches!(ty, DataType::Duration(_))).ok_or_else(|| self.beyond(expr))?;
        Ok((unit, self.range(moment, scope)?))
    }

    fn range(&self, of: &Expr, scope: &Scope<'_>) -> Result<Interval, SqlError> {
        let known = form::known_of(of, scope.schema, scope.columns, scope.catalog);
        known.range.filter(|_| known.wide.is_none()).ok_or_else(|| self.wide(of))
    }

    /// The day of a moment, and the day of plane value 0.
    fn days(&mut self, moment: &Expr, unit: i128, expr: &Expr, scope: &mut Scope<'_>) -> Result<(Val, i128), SqlError> {
        let days = self.floored(moment, DAY / unit, 0, expr, scope)?;
        match days.form {
            RowForm::Planes { offset, width, .. } if width <= DATE_BITS => Ok((days, offset)),
            _ => {
                let message = format!("{} is of moments that lie more than {} years apart", said(expr), (1u32 << DATE_BITS) / 366);
                Err(SqlError::width(message, "declare a narrower min and max in the catalogue").at(self.text.expr(expr)))
            }
        }
    }

    /// Planes as an element of at least this field.
    fn as_field(&mut self, x: Val, ring: Ring, range: Interval, expr: &Expr) -> Result<Val, SqlError> {
        let form = form::field_in(ring, range, 0).ok_or_else(|| self.wide(expr))?;
        self.converted(x, &form, expr)
    }

    /// The value, 0 where it is NULL.
    fn where_valid(&mut self, x: Val) -> Val {
        match x.valid {
            Some(valid) => self.blanked(x, valid),
            None => x,
        }
    }
}
