//! Comparisons and CASE.

use datafusion::{
    common::DFSchema,
    logical_expr::{Case, Expr, ExprSchemable, Operator},
};

use super::{Emit, Scope, Val, form};
use crate::{
    compile::{SqlError, expr::said, facts::Known, internal, range},
    plan::relation::{RowForm, RowKind, RowNodeId, RowOp},
};

/// Whether a DOUBLE is an exact number that is cast to be compared with another.
fn is_exact_double(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Cast(c) => c.expr.get_type(schema).is_ok_and(|ty| range::scale(&ty).is_some()),
        _ => false,
    }
}

impl Emit<'_> {
    pub(super) fn compare(&mut self, op: Operator, a: &Expr, b: &Expr, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let known = |e: &Expr, scope: &Scope<'_>| form::known_of(e, scope.schema, scope.columns, scope.catalog);
        let (ka, kb) = (known(a, scope), known(b, scope));
        let bytes = ((scope.bytes)(a), (scope.bytes)(b));
        let words = format!("{} {op} {}", said(a), said(b));
        let place = self.text.expr(a).or_else(|| self.text.expr(b));
        let known_operator =
            op.supports_propagation() || matches!(op, Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
        if !known_operator {
            return Err(SqlError::unsupported(
                format!("{words}: the operator {op} over values of several owners cannot be computed on shares"),
                "evaluate it in a sub-query of one owner",
            )
            .at(place));
        }
        // a DOUBLE is named itself, not what is compared with it
        for (e, known, bytes) in [(a, &ka, bytes.0), (b, &kb, bytes.1)] {
            if known.ty.is_floating() && !is_exact_double(e, scope.schema) {
                let named = form::double_in(e, scope.schema);
                form::natural(known, bytes, &said(named))
                    .map_err(|refused| refused.at(place.or_else(|| form::place(e, known, self.text))))?;
            }
        }
        let numeric = range::scale(&ka.ty).is_some() && range::scale(&kb.ty).is_some();
        let (x, y);
        if numeric && !(self.is_simple(a, scope) && self.is_simple(b, scope)) {
            // arithmetic is done on elements: the sign of the difference decides
            let scale = range::scale(&ka.ty).max(range::scale(&kb.ty)).unwrap_or(0);
            let range_of = |k: &Known| k.range.and_then(|r| r.rescale(range::scale(&k.ty)?, scale));
            let wide = || self.wide(a).at(place);
            let (ra, rb) = (range_of(&ka).ok_or_else(wide)?, range_of(&kb).ok_or_else(wide)?);
            let difference = ra.with_zero().sub(rb.with_zero()).ok_or_else(wide)?;
            let ring = form::ring(difference.hull(ra).hull(rb)).ok_or_else(wide)?;
            let element = |k: &Known| form::field_in(ring, k.range?, range::scale(&k.ty)?);
            let (fa, fb) = (element(&ka).ok_or_else(wide)?, element(&kb).ok_or_else(wide)?);
            x = self.value_as(a, &fa, scope)?;
            y = self.value_as(b, &fb, scope)?;
            let (u, v) = (self.raised(x.clone(), scale), self.raised(y.clone(), scale));
            let mut minus = |a: RowNodeId, b: RowNodeId| self.sum(&[(1, a), (-1, b)], ring);
            let bit = match op {
                Operator::Lt | Operator::GtEq => RowOp::Negative(minus(u.node, v.node)),
                Operator::Gt | Operator::LtEq => RowOp::Negative(minus(v.node, u.node)),
                _ => RowOp::Zero(minus(u.node, v.node)),
            };
            let bit = self.node(bit, RowKind::Bit);
            return self.compared(op, bit, &x, &y, a);
        }
        let named = if ka.ty.is_floating() { said(a) } else { words.clone() };
        let form = form::common((&ka, bytes.0), (&kb, bytes.1), &named);
        let form = form.map_err(|e| e.at(place))?;
        x = self.value_as(a, &form, scope)?;
        y = self.value_as(b, &form, scope)?;
        let bit = match op {
            Operator::Lt | Operator::GtEq => RowOp::Less(x.node, y.node),
            Operator::Gt | Operator::LtEq => RowOp::Less(y.node, x.node),
            _ => RowOp::Equal(x.node, y.node),
        };
        let bit = if form == RowForm::Bit && !matches!(bit, RowOp::Equal(..)) {
            // false < true
            let RowOp::Less(low, high) = bit else { return Err(internal("an order of bits")) };
            let not = self.not(low);
            self.and([not, high])
        } else {
            self.node(bit, RowKind::Bit)
        };
        self.compared(op, bit, &x, &y, a)
    }

    /// `bit` says less (greater) or equal; the operator and NULLs decide the rest.
    fn compared(&mut self, op: Operator, bit: RowNodeId, x: &Val, y: &Val, at: &Expr) -> Result<Val, SqlError> {
        let valid = self.both(x.valid, y.valid);
        let bit = match op {
            Operator::Eq | Operator::Lt | Operator::Gt => bit,
            Operator::NotEq | Operator::GtEq | Operator::LtEq => self.not(bit),
            Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => {
                let (vx, vy) = (self.valid_bit(x), self.valid_bit(y));
                let (nx, ny) = (self.not(vx), self.not(vy));
                let (both, neither) = (self.and([vx, vy, bit]), self.and([nx, ny]));
                let same = self.or([both, neither]);
                let node = if op == Operator::IsDistinctFrom { self.not(same) } else { same };
                return Ok(Val { node, valid: None, form: RowForm::Bit });
            }
            _ => return Err(self.beyond(at)),
        };
        Ok(self.truth(bit, valid))
    }

    pub(super) fn case(&mut self, c: &Case, expr: &Expr, form: &RowForm, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let mut result = match &c.else_expr {
            Some(e) => self.value_as(e, form, scope)?,
            None => self.null(form),
        };
        for (when, then) in c.when_then_expr.iter().rev() {
            let when = match &c.expr {
                Some(subject) => self.compare(Operator::Eq, subject, when, scope)?,
                None => self.condition(when, scope)?,
            };
            let then = self.value_as(then, form, scope)?;
            if then.form != *form || result.form != *form {
                return Err(self.beyond(expr));
            }
            result = self.chosen(when.node, then, result);
        }
        Ok(result)
    }
}
