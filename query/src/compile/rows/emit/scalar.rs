//! Functions of a row: ABS, GREATEST, LEAST.

use datafusion::{
    common::ScalarValue,
    logical_expr::{Case, Expr, expr::ScalarFunction},
};

use super::{Emit, Scope, Val, form, kind, unalias};
use crate::{
    compile::{
        SqlError,
        expr::said,
        facts, internal,
        range::{self, Interval},
    },
    plan::{
        Ring,
        relation::{RowForm, RowKind, RowNodeId, RowOp},
    },
};

impl Emit<'_> {
    /// A function that has a circuit.
    pub(super) fn function(&mut self, f: &ScalarFunction, expr: &Expr, ring: Ring, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        match (f.name(), f.args.as_slice()) {
            ("abs", [x]) => {
                let known = form::known_of(x, scope.schema, scope.columns, scope.catalog);
                let (Some(scale), Some(range), None) = (range::scale(&known.ty), known.range, known.wide) else {
                    return Err(self.beyond(expr));
                };
                self.absolute(x, range, scale, ring, scope).map(|(x, _)| x)
            }
            ("greatest", args) => self.extreme(args, true, expr, ring, scope),
            ("least", args) => self.extreme(args, false, expr, ring, scope),
            ("date_part", [Expr::Literal(ScalarValue::Utf8(Some(part)), _), moment]) => self.date_part(part, moment, expr, scope),
            ("date_trunc", [Expr::Literal(ScalarValue::Utf8(Some(word)), _), moment]) => self.date_trunc(word, moment, expr, scope),
            _ => Err(self.beyond(expr)),
        }
    }

    /// |x| as an element, and whether x is negative, if it can be.
    pub(super) fn absolute(
        &mut self,
        expr: &Expr,
        range: Interval,
        scale: i8,
        ring: Ring,
        scope: &mut Scope<'_>,
    ) -> Result<(Val, Option<RowNodeId>), SqlError> {
        let form = form::field_in(ring, range, scale).ok_or_else(|| self.wide(expr))?;
        let x = self.value_as(expr, &form, scope)?;
        if range.min >= 0 {
            return Ok((x, None));
        }
        let negative = self.node(RowOp::Negative(x.node), RowKind::Bit);
        let turned = self.node(RowOp::Linear(vec![(-1, x.node)], 0), kind(&form));
        let node = self.node(RowOp::Select(negative, turned, x.node), kind(&form));
        let form = form::field_in(ring, Interval { min: 0, max: range.magnitude() }, scale).ok_or_else(|| self.wide(expr))?;
        Ok((Val { node, form, ..x }, Some(negative)))
    }

    /// The greatest or the least of values that are not NULL.
    fn extreme(&mut self, args: &[Expr], greatest: bool, expr: &Expr, ring: Ring, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let mut known = form::known_of(expr, scope.schema, scope.columns, scope.catalog);
        // each argument is compared, also those that cannot be the result
        let input = facts::Input { schema: scope.schema, columns: scope.columns, catalog: scope.catalog };
        let of_args = args.iter().map(|e| range::converted(e, &known.ty, input).ok().flatten());
        known.range = of_args.reduce(|a, b| a.zip(b).map(|(a, b)| a.hull(b))).flatten().or(known.range);
        let form = match range::number(&known.ty) {
            // arithmetic is done on elements: the sign of the difference decides
            Some(scale) if !args.iter().all(|e| self.is_simple(e, scope)) => {
                let range = known.range.filter(|_| known.wide.is_none()).ok_or_else(|| self.wide(expr))?.with_zero();
                let ring = range.sub(range).and_then(form::ring).ok_or_else(|| self.wide(expr))?.max(ring);
                form::field_in(ring, range, scale).ok_or_else(|| self.wide(expr))?
            }
            _ => form::natural(&known, (scope.bytes)(expr), &said(expr)).map_err(|e| e.at(self.text().expr(expr)))?,
        };
        let values = args.iter().map(|e| self.value_as(e, &form, scope)).collect::<Result<Vec<_>, _>>()?;
        let best = values.into_iter().reduce(|a, b| {
            let (low, high) = if greatest { (a.node, b.node) } else { (b.node, a.node) };
            let less = self.ordered(low, high, &form);
            let (none, there) = (self.valid_bit(&a), self.valid_bit(&b));
            let none = self.not(none);
            let better = self.and([there, less]);
            let second = self.or([none, better]);
            self.chosen(second, b, a)
        });
        best.ok_or_else(|| internal("a function of one argument at least"))
    }

    /// Whether low < high, of one form.
    fn ordered(&mut self, low: RowNodeId, high: RowNodeId, form: &RowForm) -> RowNodeId {
        match form {
            RowForm::Field { ring, .. } => {
                let difference = self.sum(&[(1, low), (-1, high)], *ring);
                self.node(RowOp::Negative(difference), RowKind::Bit)
            }
            RowForm::Bit => {
                let not = self.not(low);
                self.and([not, high])
            }
            _ => self.node(RowOp::Less(low, high), RowKind::Bit),
        }
    }

    /// Whether a number comes in planes without more ado.
    pub(super) fn is_simple(&self, expr: &Expr, scope: &Scope<'_>) -> bool {
        matches!(unalias(expr), Expr::Literal(..) | Expr::Case(Case { .. })) || (scope.leaf)(expr)
    }
}
