//! Numbers: sums and products of elements, quotients of planes, casts to more digits.

use datafusion::{
    arrow::datatypes::DataType,
    logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator},
};

use super::{Emit, Fraction, Magnitude, Scope, Under, Val, form, kind};
use crate::{
    compile::{
        SqlError,
        expr::said,
        internal,
        range::{self, Interval, ten},
        temporal::{self, Recount},
    },
    plan::{
        Ring,
        relation::{RowForm, RowKind, RowNodeId, RowOp},
    },
};

impl Emit<'_> {
    pub(super) fn cast(&mut self, inner: &Expr, expr: &Expr, ring: Ring, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let (from, to) = (inner.get_type(scope.schema).map_err(internal)?, expr.get_type(scope.schema).map_err(internal)?);
        if from == to || (from.is_string() && to.is_string()) {
            let form = self.natural_form(inner, scope)?;
            return self.value_as(inner, &form, scope);
        }
        match temporal::recount(&from, &to) {
            Recount::Same => {}
            recount => return self.recounted(recount, inner, expr, scope),
        }
        let (Some(s), Some(t)) = (range::scale(&from), range::scale(&to)) else { return Err(self.no_number(expr, scope)) };
        let known = form::known_of(inner, scope.schema, scope.columns, scope.catalog);
        let range = known.range.ok_or_else(|| self.wide(inner))?;
        if t < s {
            return self.lowered(inner, expr, (s, range), (t, &to), ring, scope);
        }
        let raised = range.rescale(s, t).filter(|r| range::limits(&to).is_some_and(|l| r.within(l))).ok_or_else(|| self.wide(expr))?;
        let ring = form::ring(raised.with_zero()).ok_or_else(|| self.wide(expr))?.max(ring);
        let form = form::field_in(ring, range, s).ok_or_else(|| self.wide(expr))?;
        let x = self.value_as(inner, &form, scope)?;
        Ok(self.raised(x, t))
    }

    /// A DOUBLE is named itself, not what is computed of it.
    fn no_number(&self, expr: &Expr, scope: &Scope<'_>) -> SqlError {
        let double = form::double_in(expr, scope.schema);
        let refused = (double != expr).then(|| self.natural_form(double, scope).err()).flatten();
        refused.unwrap_or_else(|| self.beyond(expr))
    }

    /// A number as a DECIMAL with fewer digits behind the point: rounded half away from 0.
    fn lowered(
        &mut self,
        inner: &Expr,
        expr: &Expr,
        (s, range): (i8, Interval),
        (t, to): (i8, &DataType),
        ring: Ring,
        scope: &mut Scope<'_>,
    ) -> Result<Val, SqlError> {
        // to an integer it would be truncated
        if !matches!(to, DataType::Decimal128(..)) {
            return Err(self.beyond(expr));
        }
        let form = form::field_in(ring, range, s).ok_or_else(|| self.wide(expr))?;
        let over = self.value_as(inner, &form, scope)?;
        let (of, digits) = (Fraction { over, under: Under::Public(1), scale: s, most: range.magnitude() }, i32::from(t) - i32::from(s));
        let largest = of.largest(digits).filter(|most| range::limits(to).is_some_and(|limits| *most <= limits.max));
        let largest = largest.ok_or_else(|| self.wide(expr))?;
        self.quotient_of(of, digits, largest, expr)?.ok_or_else(|| self.wide(expr))
    }

    /// An element with more digits behind the point.
    pub(super) fn raised(&mut self, x: Val, to: i8) -> Val {
        let RowForm::Field { ring, scale, min, max } = x.form else { return x };
        let factor = u32::try_from(to - scale).ok().and_then(ten).unwrap_or(1);
        if factor == 1 {
            return x;
        }
        let node = self.node(RowOp::Linear(vec![(factor, x.node)], 0), RowKind::Field(ring));
        let form = RowForm::Field { ring, scale: to, min: min.saturating_mul(factor), max: max.saturating_mul(factor) };
        Val { node, valid: x.valid, form }
    }

    pub(super) fn arithmetic(&mut self, b: &BinaryExpr, expr: &Expr, ring: Ring, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let ty = expr.get_type(scope.schema).map_err(internal)?;
        if let Some(later) = self.later(b, &ty, expr, scope)? {
            return Ok(later);
        }
        let Some(scale) = range::scale(&ty) else { return Err(self.no_number(expr, scope)) };
        let known = form::known_of(expr, scope.schema, scope.columns, scope.catalog);
        let range = known.range.filter(|_| known.wide.is_none()).ok_or_else(|| self.wide(expr))?;
        let operand = |e: &Expr, me: &Self| -> Result<(i8, Interval), SqlError> {
            let k = form::known_of(e, scope.schema, scope.columns, scope.catalog);
            match (range::scale(&k.ty), k.range) {
                (Some(s), Some(r)) if k.wide.is_none() => Ok((s, r)),
                _ => Err(me.wide(e)),
            }
        };
        let ((ls, lr), (rs, rr)) = (operand(&b.left, self)?, operand(&b.right, self)?);
        let ring = form::ring(range.with_zero()).ok_or_else(|| self.wide(expr))?.max(ring);
        if b.op == Operator::Divide {
            return self.quotient(b, (ls, lr), (rs, rr), scale, range, expr, scope);
        }
        if b.op == Operator::Modulo {
            return self.remainder(b, (ls, lr), (rs, rr), scale, expr, scope);
        }
        let wide = |me: &Self| me.wide(expr);
        let ring = [lr, rr].iter().try_fold(ring, |ring, r| Some(form::ring(r.with_zero())?.max(ring))).ok_or_else(|| wide(self))?;
        let lf = form::field_in(ring, lr, ls).ok_or_else(|| wide(self))?;
        let rf = form::field_in(ring, rr, rs).ok_or_else(|| wide(self))?;
        let (l, r) = (self.value_as(&b.left, &lf, scope)?, self.value_as(&b.right, &rf, scope)?);
        let form = form::field_in(ring, range, scale).ok_or_else(|| wide(self))?;
        let valid = self.both(l.valid, r.valid);
        let valid = self.known_valid(valid);
        if b.op == Operator::Multiply {
            if ls + rs != scale {
                return Err(self.beyond(expr));
            }
            let node = match (&self.nodes[l.node.0].op, &self.nodes[r.node.0].op) {
                (RowOp::Element(c), _) => RowOp::Linear(vec![(*c, r.node)], 0),
                (_, RowOp::Element(c)) => RowOp::Linear(vec![(*c, l.node)], 0),
                _ => RowOp::Product(l.node, r.node),
            };
            let node = self.node(node, RowKind::Field(ring));
            return Ok(Val { node, valid, form });
        }
        let (l, r) = (self.raised(l, scale), self.raised(r, scale));
        let sign = if b.op == Operator::Minus { -1 } else { 1 };
        let node = self.sum(&[(1, l.node), (sign, r.node)], ring);
        let val = Val { node, valid: None, form };
        Ok(match valid {
            // a sum is not 0 by itself where one side is NULL
            Some(v) => self.blanked(val, v),
            None => val,
        })
    }

    /// Σ coefficient × element, constants apart.
    pub(super) fn sum(&mut self, terms: &[(i128, RowNodeId)], ring: Ring) -> RowNodeId {
        let mut constant = 0i128;
        let mut kept = Vec::new();
        for (c, id) in terms {
            match &self.nodes[id.0].op {
                RowOp::Element(v) => constant += c * v,
                _ => kept.push((*c, *id)),
            }
        }
        if kept.is_empty() {
            return self.element(constant, ring);
        }
        self.node(RowOp::Linear(kept, constant), RowKind::Field(ring))
    }

    /// a / b as SQL's decimals have it: truncated at the type's digits, NULL never (a divisor of 0 is refused unless its range excludes it
    /// or NULLIF makes it NULL).
    #[allow(clippy::too_many_arguments)]
    fn quotient(
        &mut self,
        b: &BinaryExpr,
        (ls, lr): (i8, Interval),
        (rs, rr): (i8, Interval),
        scale: i8,
        range: Interval,
        expr: &Expr,
        scope: &mut Scope<'_>,
    ) -> Result<Val, SqlError> {
        let place = self.text.expr(expr);
        if rr.min <= 0 && rr.max >= 0 && !form::known_of(&b.right, scope.schema, scope.columns, scope.catalog).nonzero {
            return Err(SqlError::unsupported(
                format!("{} may divide by 0, and whether it does would be seen", said(expr)),
                format!("write NULLIF({}, 0) as the divisor", said(&b.right)),
            )
            .at(place));
        }
        let wide = |me: &Self| me.wide(expr);
        let shift = u32::try_from(i32::from(scale) - i32::from(ls) + i32::from(rs)).map_err(|_| self.beyond(expr))?;
        let (a, a_negative) = self.magnitude(&b.left, lr, ls, scope)?;
        let (d, d_negative) = self.magnitude(&b.right, rr, rs, scope)?;
        let most = lr.magnitude().checked_mul(ten(shift).ok_or_else(|| wide(self))?).ok_or_else(|| wide(self))?;
        let valid = self.both(a.valid, d.valid);
        let valid = self.known_valid(valid);
        let (over, under) = (Magnitude { node: a.node, most: lr.magnitude() }, Magnitude { node: d.node, most: rr.magnitude() });
        let positive = self.long_quotient(over, under, shift, (scale, most), valid).ok_or_else(|| wide(self))?;
        let negative = match (a_negative, d_negative) {
            (Some(x), Some(y)) => {
                let same = self.node(RowOp::Equal(x, y), RowKind::Bit);
                Some(self.not(same))
            }
            (x, y) => x.or(y),
        };
        let Some(negative) = negative else { return Ok(positive) };
        let form = form::field(range.hull(Interval { min: -most, max: most }), scale).ok_or_else(|| wide(self))?;
        let element = self.converted(positive, &form, expr)?;
        let turned = self.node(RowOp::Linear(vec![(-1, element.node)], 0), kind(&form));
        let node = self.node(RowOp::Select(negative, turned, element.node), kind(&form));
        Ok(Val { node, ..element })
    }

    /// The remainder of a division by a public number: the magnitude less the whole multiples in it, with the sign of what is divided, as SQL has it.
    fn remainder(
        &mut self,
        b: &BinaryExpr,
        (ls, lr): (i8, Interval),
        (rs, rr): (i8, Interval),
        scale: i8,
        expr: &Expr,
        scope: &mut Scope<'_>,
    ) -> Result<Val, SqlError> {
        let wide = |me: &Self| me.wide(expr);
        let raised = |range: Interval, from: i8| range.rescale(from, scale).filter(|_| from <= scale);
        let (of, by) = (raised(lr, ls).ok_or_else(|| wide(self))?, raised(rr, rs).ok_or_else(|| wide(self))?.magnitude());
        if !is_number(&b.right) || by == 0 {
            let (what, fix) = match by {
                0 => (format!("{} divides by 0", said(expr)), "divide by another number".to_owned()),
                _ => {
                    let factor = |e: &Expr| if matches!(e, Expr::BinaryExpr(_)) { format!("({})", said(e)) } else { said(e) };
                    let (of, by) = (factor(&b.left), factor(&b.right));
                    let what = format!("{}: a remainder by what is no number in the question cannot be computed on shares", said(expr));
                    (what, format!("write a number instead of {by}, or, of whole numbers, {of} - {by} * ({of} / NULLIF({by}, 0))"))
                }
            };
            return Err(SqlError::unsupported(what, fix).at(self.text.expr(expr)));
        }
        let most = of.magnitude();
        let whole = Interval { min: 0, max: most };
        let (mut size, negative) = self.magnitude(&b.left, lr, ls, scope)?;
        if ls < scale {
            let element = form::field(whole, scale).ok_or_else(|| wide(self))?;
            size = self.converted(size, &element, expr)?;
            size = self.converted(size, &form::planes(whole, scale).ok_or_else(|| wide(self))?, expr)?;
        }
        let form = form::field(whole, scale).ok_or_else(|| wide(self))?;
        let field = kind(&form);
        let mut rest = self.node(RowOp::ToField(size.node, 0), field);
        if most >= by {
            let multiples = self.divided(&size, by, form::width(most / by), expr)?;
            let multiples = self.node(RowOp::ToField(multiples, 0), field);
            rest = self.node(RowOp::Linear(vec![(1, rest), (-by, multiples)], 0), field);
        }
        let least = most.min(by - 1);
        let RowForm::Field { ring, .. } = form else { return Err(self.beyond(expr)) };
        let range = Interval { min: if negative.is_some() { -least } else { 0 }, max: if of.max > 0 { least } else { 0 } };
        let form = form::field_in(ring, range, scale).ok_or_else(|| wide(self))?;
        let node = match negative {
            Some(negative) => {
                let turned = self.node(RowOp::Linear(vec![(-1, rest)], 0), field);
                self.node(RowOp::Select(negative, turned, rest), field)
            }
            None => rest,
        };
        Ok(Val { node, valid: size.valid, form })
    }

    /// |x| as planes with offset 0, and whether x is negative, if it can be.
    fn magnitude(&mut self, expr: &Expr, range: Interval, scale: i8, scope: &mut Scope<'_>) -> Result<(Val, Option<RowNodeId>), SqlError> {
        let wide = self.wide(expr);
        let whole = Interval { min: 0, max: range.magnitude() };
        let planes = form::planes(whole, scale).ok_or_else(|| wide.clone())?;
        if range.min >= 0 {
            return Ok((self.value_as(expr, &planes, scope)?, None));
        }
        let ring = form::ring(range).ok_or(wide)?;
        let (size, negative) = self.absolute(expr, range, scale, ring, scope)?;
        let size = self.converted(size, &planes, expr)?;
        Ok((size, negative))
    }
}

/// Whether an expression is a number that is written, NULL not.
fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(a) => is_number(&a.expr),
        Expr::Cast(c) => is_number(&c.expr),
        Expr::Literal(v, _) => !v.is_null(),
        _ => false,
    }
}
