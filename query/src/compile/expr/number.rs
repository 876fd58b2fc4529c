//! Exact numbers: which expressions can be shared as integers, and what CASE and CAST do to sums of products.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{Case, Cast, Expr, ExprSchemable, Operator},
};

use super::Scope;
use crate::compile::{
    Compiler, SqlError,
    facts::Known,
    internal,
    range::{self, Interval},
    release::exact_argument,
    symbol::{Bits, Factor, Local, Num, Product, Side, Tri, Val},
    temporal::{self, Recount},
    words::words,
};

impl Compiler<'_> {
    /// DataFusion casts both operands to DOUBLE if one is: the error names that one.
    pub(in crate::compile) fn exact(&self, left: &Expr, right: &Expr, scope: Scope<'_>) -> Result<(), SqlError> {
        let inexact = |e: &&Expr| exact_argument(e, scope.schema).get_type(scope.schema).is_ok_and(|t| t.is_floating());
        let Some(culprit) = [left, right].into_iter().find(inexact) else { return Ok(()) };
        let words = said(culprit);
        let message =
            format!("{words} is DOUBLE and cannot be computed with across owners; only INT, BIGINT, DECIMAL, DATE and TIMESTAMP can");
        Err(SqlError::unsupported(message, format!("write CAST({words} AS DECIMAL(p, s)) with the digits you need"))
            .at(self.text.expr(culprit)))
    }

    /// Lowers a number of exact type.
    pub(in crate::compile) fn num(&mut self, expr: &Expr, scope: Scope<'_>) -> Result<Num, SqlError> {
        let val = self.value(expr, scope)?;
        self.as_num(val, expr)
    }

    pub(in crate::compile) fn as_num(&mut self, val: Val, expr: &Expr) -> Result<Num, SqlError> {
        match val {
            Val::Num(num) => Ok(num),
            Val::Bool(_) => {
                Err(SqlError::unsupported(format!("{} is a condition, not a number", words(expr)), "write CASE WHEN … THEN 1 ELSE 0 END")
                    .at(self.text.expr(expr)))
            }
            Val::Local(local) => {
                let valid = self.valid(&Val::Local(local.clone()));
                let guards = self.bits.terms(local.valid);
                if local.known.ty.is_null() {
                    return Ok(Num { scale: 0, products: Vec::new(), range: Interval::ZERO, valid: Bits::FALSE });
                }
                let factor = self.factor(&local, expr)?;
                let range = factor.range.with_zero();
                let scale = factor.scale;
                let constant = match &local.expr {
                    Expr::Literal(value, _) => range::literal(value).map(|i| i.min),
                    _ => None,
                };
                let (coefficient, factors) = match constant {
                    Some(c) => (c, BTreeMap::new()),
                    None => (1, BTreeMap::from([(local.side.clone(), factor)])),
                };
                let products = vec![Product { coefficient, bits: BTreeSet::new(), guards, factors }];
                Ok(Num { scale, products, range, valid })
            }
        }
    }

    /// A local value as an integer that can be shared; an error says what to write if it cannot.
    fn factor(&self, local: &Local, expr: &Expr) -> Result<Factor, SqlError> {
        let words = said(expr);
        if let Some(why) = &local.known.wide {
            return Err(SqlError::width(why.clone(), format!("CAST the operands of {words} to DECIMAL(38, s), or to fewer digits"))
                .at(self.text.expr(expr)));
        }
        let ty = &local.known.ty;
        let Some((scale, range)) = range::scale(ty).zip(local.known.range) else {
            let fix = match ty {
                DataType::Float32 | DataType::Float64 | DataType::Float16 => {
                    format!("write CAST({words} AS DECIMAL(p, s)) with the digits you need")
                }
                DataType::Boolean => "write CASE WHEN … THEN 1 ELSE 0 END".to_owned(),
                _ => "compare it at its owner, or group by it".to_owned(),
            };
            let message = format!(
                "{words} is {} and cannot be shared as a number; only INT, BIGINT, DECIMAL, DATE and TIMESTAMP can",
                range::sql_type(ty)
            );
            return Err(SqlError::unsupported(message, fix).at(self.text.expr(expr)));
        };
        let whole = *ty == DataType::Decimal128(38, scale);
        let expr = if whole { local.expr.clone() } else { counted(local.expr.clone(), ty, scale) };
        Ok(Factor { expr, scale, range })
    }

    /// CASE: the first condition that is true selects; none: ELSE, or NULL.
    pub(super) fn case(&mut self, c: &Case, expr: &Expr, scope: Scope<'_>) -> Result<Val, SqlError> {
        if let Some(local) = self.same_key(c, scope)? {
            return Ok(Val::Local(local));
        }
        let mut conditions = Vec::new();
        for (when, _) in &c.when_then_expr {
            conditions.push(match &c.expr {
                Some(base) => self.compare(Operator::Eq, base, when, scope)?.t,
                None => self.tri(when, scope)?.t,
            });
        }
        let mut selected = Vec::new();
        let mut open = Bits::TRUE;
        for t in conditions {
            selected.push(self.bits.and([open, t]));
            let not = self.bits.not(t);
            open = self.bits.and([open, not]);
        }
        selected.push(open);
        let null = Expr::Literal(ScalarValue::Null, None);
        let branches: Vec<_> = c.when_then_expr.iter().map(|(_, t)| t.as_ref()).chain([c.else_expr.as_deref().unwrap_or(&null)]).collect();
        let ty = expr.get_type(scope.schema).map_err(internal)?;
        if ty == DataType::Boolean {
            let mut sides = (Vec::new(), Vec::new());
            for (select, branch) in selected.into_iter().zip(branches) {
                let x = self.tri(branch, scope)?;
                sides.0.push(self.bits.and([select, x.t]));
                sides.1.push(self.bits.and([select, x.f]));
            }
            return Ok(Val::Bool(Tri { t: self.bits.or(sides.0), f: self.bits.or(sides.1) }));
        }
        let Some(scale) = range::scale(&ty) else { return Err(self.beyond(expr, scope)) };
        let mut products = Vec::new();
        let mut valid = Vec::new();
        let mut all_valid = true;
        let mut range: Option<Interval> = None;
        for (select, branch) in selected.into_iter().zip(branches) {
            if select == Bits::FALSE {
                continue;
            }
            let num = self.num(branch, scope)?.rescaled(scale).map_err(|e| e.at(self.text.expr(expr)))?;
            all_valid &= num.valid == Bits::TRUE;
            valid.push(self.bits.and([select, num.valid]));
            let terms = self.bits.terms(select);
            products.extend(num.products.into_iter().filter(|p| p.coefficient != 0).map(|mut p| {
                p.bits.extend(terms.iter().copied());
                p
            }));
            range = Some(range.map_or(num.range, |r| r.hull(num.range)));
        }
        let valid = if all_valid { Bits::TRUE } else { self.bits.or(valid) };
        Ok(Val::Num(Num { scale, products, range: range.unwrap_or(Interval::ZERO).with_zero(), valid }))
    }

    /// COALESCE of the two sides' keys of a FULL JOIN: the same public key, there where either side is.
    fn same_key(&mut self, c: &Case, scope: Scope<'_>) -> Result<Option<Local>, SqlError> {
        let coalesced = c.expr.is_none() && c.when_then_expr.iter().all(|(w, t)| matches!(w.as_ref(), Expr::IsNotNull(e) if e == t));
        let (true, Some(last)) = (coalesced, &c.else_expr) else { return Ok(None) };
        let mut valid = Vec::new();
        let mut key: Option<Local> = None;
        for e in c.when_then_expr.iter().map(|(_, t)| t).chain([last]) {
            match self.value(e, scope)? {
                Val::Local(local) if local.side == Side::Public && key.as_ref().is_none_or(|k| k.expr == local.expr) => {
                    valid.push(self.valid(&Val::Local(local.clone())));
                    key = Some(local);
                }
                _ => return Ok(None),
            }
        }
        let valid = self.bits.or(valid);
        let Some(key) = key else { return Ok(None) };
        let local = Local { valid, absent: BTreeSet::new(), known: Known { nullable: false, ..key.known }, ..key };
        match self.settle(Val::Local(local), scope.present) {
            Val::Local(local) => Ok(Some(local)),
            _ => Ok(None),
        }
    }

    pub(super) fn cast(&mut self, c: &Cast, expr: &Expr, scope: Scope<'_>) -> Result<Val, SqlError> {
        let to = c.field.data_type();
        let from = c.expr.get_type(scope.schema).map_err(internal)?;
        if *to == from {
            return self.value(&c.expr, scope);
        }
        let (Some(scale), Some(limits)) = (range::scale(to), range::limits(to)) else {
            let fix = "keep it an INT, BIGINT, DECIMAL, DATE, TIMESTAMP or BOOLEAN until it is aggregated";
            return Err(SqlError::unsupported(
                format!("{}: shares of several owners ({}) have no type {}", words(expr), self.sides(expr, scope), range::sql_type(to)),
                fix,
            )
            .at(self.text.expr(expr)));
        };
        // days of moments and moments of days are other numbers
        if temporal::recount(&from, to) != Recount::Same {
            return Err(self.beyond(expr, scope));
        }
        let num = if from == DataType::Boolean {
            let x = self.tri(&c.expr, scope)?;
            let product = Product { coefficient: 1, bits: self.bits.terms(x.t), guards: BTreeSet::new(), factors: BTreeMap::new() };
            Num { scale: 0, products: vec![product], range: Interval::BIT, valid: self.known(x) }
        } else {
            self.num(&c.expr, scope)?
        };
        if num.scale > scale {
            let fix = "round at one owner, or after aggregating";
            return Err(SqlError::unsupported(
                format!(
                    "{}: digits of a value of several owners ({}) cannot be rounded off on shares",
                    words(expr),
                    self.sides(expr, scope)
                ),
                fix,
            )
            .at(self.text.expr(expr)));
        }
        let num = num.rescaled(scale).map_err(|e| e.at(self.text.expr(expr)))?;
        if !num.range.within(limits) {
            let message =
                format!("{} can be out of range: values from {} to {} at scale {scale}", words(expr), num.range.min, num.range.max);
            return Err(SqlError::width(message, "CAST to a wider type").at(self.text.expr(expr)));
        }
        Ok(Val::Num(num))
    }
}

/// An expression as the query has it, without the casts that the types of its operands brought in.
pub(in crate::compile) fn said(expr: &Expr) -> String {
    if let Expr::Cast(c) = expr
        && *c.field.data_type() == DataType::Float64
    {
        return format!("CAST({} AS DOUBLE)", said(&c.expr));
    }
    words(expr)
}

/// An exact value, or a bit, as the decimal that is shared: a moment as what it counts.
pub(in crate::compile) fn counted(expr: Expr, ty: &DataType, scale: i8) -> Expr {
    let number = match ty {
        DataType::Date32 => cast(expr, DataType::Int32),
        DataType::Timestamp(..) | DataType::Duration(_) => cast(expr, DataType::Int64),
        DataType::Boolean => cast(expr, DataType::Int8),
        _ => expr,
    };
    cast(number, DataType::Decimal128(38, scale))
}

pub(in crate::compile) fn cast(expr: Expr, to: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), to))
}
