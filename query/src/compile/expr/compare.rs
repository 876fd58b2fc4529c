//! Comparisons across owners: regrouped so that each owner's terms are added up at home, leaving one integer a side of the comparison
//! (or two, added by a circuit).

use std::collections::BTreeMap;

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, ScalarValue},
    logical_expr::{BinaryExpr, Case, Cast, Expr, ExprSchemable, Operator, lit},
};

use super::{Scope, cast, scalar};
use crate::compile::{
    Compiler, SqlError, internal,
    range::{self, Interval},
    symbol::{BitId, Bits, Local, Num, Operand, Part, Side, Tri, Val},
    words::words,
};

impl Compiler<'_> {
    pub(super) fn compare(&mut self, op: Operator, left: &Expr, right: &Expr, scope: Scope<'_>) -> Result<Tri, SqlError> {
        let whole = Expr::BinaryExpr(BinaryExpr::new(Box::new(left.clone()), op, Box::new(right.clone())));
        if let Some(local) = self.at_home(&whole, scope)? {
            return self.as_tri(Val::Local(local), &whole);
        }
        // a CASE is compared branch by branch
        for (i, side) in [left, right].into_iter().enumerate() {
            if self.at_home(side, scope)?.is_none()
                && let Some(case) = as_case(side, scope.schema)
            {
                let turned = Case {
                    expr: case.expr.clone(),
                    when_then_expr: case
                        .when_then_expr
                        .iter()
                        .map(|(w, t)| (w.clone(), Box::new(compared(op, t, left, right, i))))
                        .collect(),
                    else_expr: Some(Box::new(compared(
                        op,
                        &case.else_expr.map_or(Expr::Literal(ScalarValue::Null, None), |e| *e),
                        left,
                        right,
                        i,
                    ))),
                };
                return self.tri(&Expr::Case(turned), scope);
            }
        }
        let (l, r) = (self.value(left, scope)?, self.value(right, scope)?);
        let (valid_l, valid_r) = (self.valid(&l), self.valid(&r));
        let both = self.bits.and([valid_l, valid_r]);
        let negate = matches!(op, Operator::NotEq | Operator::LtEq | Operator::GtEq | Operator::IsDistinctFrom);
        let bit = self.relation(op, l, r, left, right, &whole, scope)?;
        if matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) {
            let (nl, nr) = (self.bits.not(valid_l), self.bits.not(valid_r));
            let (neither, same) = (self.bits.and([nl, nr]), self.bits.and([both, bit]));
            let same = self.bits.or([neither, same]);
            let not = self.bits.not(same);
            return Ok(if negate { Tri { t: not, f: same } } else { Tri { t: same, f: not } });
        }
        let not = self.bits.not(bit);
        let (t, f) = if negate { (not, bit) } else { (bit, not) };
        Ok(Tri { t: self.bits.and([both, t]), f: self.bits.and([both, f]) })
    }

    /// left = right for =, <>; left < right for <, >=; right < left for >, <=.
    #[expect(clippy::too_many_arguments, reason = "values and the expressions they come from, for messages")]
    fn relation(
        &mut self,
        op: Operator,
        l: Val,
        r: Val,
        left: &Expr,
        right: &Expr,
        whole: &Expr,
        scope: Scope<'_>,
    ) -> Result<BitId, SqlError> {
        let equality = matches!(op, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
        let (lt, rt) = (left.get_type(scope.schema).map_err(internal)?, right.get_type(scope.schema).map_err(internal)?);
        if lt == DataType::Boolean && rt == DataType::Boolean {
            let (l, r) = (self.as_tri(l, left)?, self.as_tri(r, right)?);
            let (mut a, mut b) = ((l.t, r.t), (l.f, r.f));
            match op {
                _ if equality => {}
                // FALSE < TRUE
                Operator::Lt | Operator::GtEq => (a, b) = ((l.f, r.t), (Bits::FALSE, Bits::FALSE)),
                _ => (a, b) = ((l.t, r.f), (Bits::FALSE, Bits::FALSE)),
            }
            let (a, b) = (self.bits.and([a.0, a.1]), self.bits.and([b.0, b.1]));
            return Ok(self.bits.or([a, b]));
        }
        self.exact(left, right, scope)?;
        let (l, r) = if lt.is_string() && rt.is_string() {
            self.codes(l, r, whole, scope)?
        } else {
            (self.as_num(l, left)?, self.as_num(r, right)?)
        };
        let scale = l.scale.max(r.scale);
        let place = self.text.expr(whole);
        let (l, r) = (l.rescaled(scale).map_err(|e| e.at(place))?, r.rescaled(scale).map_err(|e| e.at(place))?);
        // l - r, owner by owner
        let mut sums: BTreeMap<Side, Part> = BTreeMap::new();
        let mut constant = 0i128;
        let wide = || SqlError::width(format!("{} compares numbers beyond 127 bits", words(whole)), "CAST to fewer digits").at(place);
        for (sign, num) in [(1, l), (-1, r)] {
            self.regroup(sign, num, scale, &mut sums, &mut constant, whole, scope)?;
        }
        if constant != 0 {
            let part = Part { side: Side::Public, expr: decimal(constant, scale), scale, min: constant, max: constant };
            add_part(&mut sums, part).ok_or_else(wide)?;
        }
        if let Some(public) = sums.remove(&Side::Public) {
            match sums.values_mut().next() {
                Some(first) => *first = sum(first, &public).ok_or_else(wide)?,
                None => drop(sums.insert(Side::Public, public)),
            }
        }
        let mut parts = sums.into_values();
        let Some(first) = parts.next() else { return Ok(if equality { Bits::TRUE } else { Bits::FALSE }) };
        let rest: Vec<_> = parts.map(|p| negated(&p)).collect();
        let swap = matches!(op, Operator::Gt | Operator::LtEq);
        let (mut a, mut b) = (Operand(vec![first]), Operand(rest));
        if b.0.is_empty() {
            b.0.push(Part { side: a.0[0].side.clone(), expr: decimal(0, scale), scale, min: 0, max: 0 });
        }
        if equality {
            return Ok(self.bits.equal(a, b));
        }
        if swap {
            std::mem::swap(&mut a, &mut b);
        }
        Ok(self.bits.less(a, b))
    }

    #[expect(clippy::too_many_arguments, reason = "the accumulators and what messages name")]
    fn regroup(
        &mut self,
        sign: i128,
        num: Num,
        scale: i8,
        sums: &mut BTreeMap<Side, Part>,
        constant: &mut i128,
        whole: &Expr,
        scope: Scope<'_>,
    ) -> Result<(), SqlError> {
        let place = self.text.expr(whole);
        let wide = || SqlError::width(format!("{} compares numbers beyond 127 bits", words(whole)), "CAST to fewer digits").at(place);
        for product in num.products {
            let c = product.coefficient.checked_mul(sign).ok_or_else(wide)?;
            if product.factors.len() > 1 {
                let sides: Vec<_> = product.factors.keys().map(Side::to_string).collect();
                return Err(SqlError::unsupported(
                    format!("{}: a product of private values of {} inside a comparison", words(whole), sides.join(" and ")),
                    "multiply at one owner, or compare the factors",
                )
                .at(place));
            }
            let when = self.bits.and(product.bits.iter().copied());
            let condition = match (when == Bits::TRUE, self.bits.as_local(when)) {
                (true, _) => None,
                (false, Some(local)) => Some(local),
                (false, None) => {
                    let sides = self.sides(whole, scope);
                    return Err(SqlError::unsupported(
                        format!("{}: a CASE with conditions of several owners ({sides}) inside arithmetic that is compared", words(whole)),
                        "compare inside the branches of the CASE",
                    )
                    .at(place));
                }
            };
            let factor = product.factors.into_iter().next();
            if factor.is_none() && condition.is_none() {
                *constant = constant.checked_add(c).ok_or_else(wide)?;
                continue;
            }
            let (mut side, mut expr, range, from) = match factor {
                Some((side, f)) => (side, f.expr, f.range.with_zero(), f.scale),
                None => (Side::Public, decimal(1, scale), Interval::of(1, 1), scale),
            };
            if let Some((other, bit)) = condition {
                side = side.with(&other).ok_or_else(|| {
                    SqlError::unsupported(
                        format!(
                            "{}: a CASE whose condition and value belong to different owners, inside arithmetic that is compared",
                            words(whole)
                        ),
                        "compare inside the branches of the CASE",
                    )
                    .at(place)
                })?;
                expr = Expr::Case(Case::new(None, vec![(Box::new(bit), Box::new(expr))], Some(Box::new(decimal(0, from)))));
            }
            let range = range.times(c).ok_or_else(wide)?.with_zero();
            add_part(sums, Part { side, expr: scaled(expr, from, c, scale).ok_or_else(wide)?, scale, min: range.min, max: range.max })
                .ok_or_else(wide)?;
        }
        Ok(())
    }

    /// Texts with public dictionaries as their ranks in both dictionaries together.
    fn codes(&mut self, l: Val, r: Val, whole: &Expr, scope: Scope<'_>) -> Result<(Num, Num), SqlError> {
        let (Val::Local(l), Val::Local(r)) = (l, r) else { return Err(self.beyond(whole, scope)) };
        let (Some(a), Some(b)) = (&l.known.values, &r.known.values) else {
            let message = format!("{} compares texts of different owners ({})", words(whole), self.sides(whole, scope));
            return Err(SqlError::unsupported(message, "only columns with a dictionary in the catalogue can be compared across owners")
                .at(self.text.expr(whole)));
        };
        let mut all: Vec<_> = a.iter().chain(b.iter()).cloned().collect();
        all.sort();
        all.dedup();
        let mut code = |local: Local| {
            let ranks = all.iter().enumerate().map(|(i, v)| (Box::new(lit(v.as_str())), Box::new(lit(i as i64)))).collect();
            let expr = Expr::Case(Case::new(Some(Box::new(local.expr.clone())), ranks, None));
            let mut known = local.known.clone();
            known.ty = DataType::Int64;
            known.range = Some(Interval { min: 0, max: all.len() as i128 });
            self.as_num(Val::Local(Local { expr, known, ..local }), whole)
        };
        Ok((code(l)?, code(r)?))
    }
}

fn add_part(sums: &mut BTreeMap<Side, Part>, part: Part) -> Option<()> {
    let joined = match sums.get(&part.side) {
        None => part,
        Some(mine) => sum(mine, &part)?,
    };
    sums.insert(joined.side.clone(), joined);
    Some(())
}

fn sum(a: &Part, b: &Part) -> Option<Part> {
    let range = Interval { min: a.min, max: a.max }.add(Interval { min: b.min, max: b.max })?;
    let expr = zero_for_null(&a.expr, a.scale) + zero_for_null(&b.expr, b.scale);
    Some(Part { side: a.side.clone(), expr: cast(expr, DataType::Decimal128(38, a.scale)), scale: a.scale, min: range.min, max: range.max })
}

fn negated(a: &Part) -> Part {
    Part { expr: Expr::Negative(Box::new(a.expr.clone())), min: -a.max, max: -a.min, ..a.clone() }
}

fn zero_for_null(expr: &Expr, scale: i8) -> Expr {
    match expr {
        Expr::Literal(..) => expr.clone(),
        _ => crate::compile::emit::or_zero(expr.clone(), scale),
    }
}

/// coefficient × expr, brought from its scale to another: the coefficient already holds the power of ten.
fn scaled(expr: Expr, from: i8, coefficient: i128, to: i8) -> Option<Expr> {
    let power = range::ten(u32::try_from(i32::from(to) - i32::from(from)).ok()?)?;
    let wide = DataType::Decimal128(38, to);
    let rest = coefficient / power;
    if rest * power == coefficient {
        let expr = if from == to { expr } else { cast(expr, wide.clone()) };
        return Some(match rest {
            1 => expr,
            -1 => Expr::Negative(Box::new(expr)),
            _ => cast(expr * decimal(rest, 0), wide),
        });
    }
    None
}

/// A constant as DECIMAL(38, scale).
pub(in crate::compile) fn decimal(value: i128, scale: i8) -> Expr {
    Expr::Literal(ScalarValue::Decimal128(Some(value), 38, scale), None)
}

fn as_case(expr: &Expr, schema: &DFSchema) -> Option<Case> {
    match expr {
        Expr::Alias(a) => as_case(&a.expr, schema),
        Expr::Case(c) => Some(c.clone()),
        Expr::ScalarFunction(f) => scalar::as_case(f, schema),
        Expr::Cast(c) => {
            let inner = as_case(&c.expr, schema)?;
            let turn = |e: &Expr| Box::new(Expr::Cast(Cast { expr: Box::new(e.clone()), field: c.field.clone() }));
            Some(Case {
                expr: inner.expr,
                when_then_expr: inner.when_then_expr.iter().map(|(w, t)| (w.clone(), turn(t))).collect(),
                else_expr: inner.else_expr.as_ref().map(|e| turn(e)),
            })
        }
        _ => None,
    }
}

fn compared(op: Operator, branch: &Expr, left: &Expr, right: &Expr, which: usize) -> Expr {
    let (l, r) = if which == 0 { (branch, right) } else { (left, branch) };
    Expr::BinaryExpr(BinaryExpr::new(Box::new(l.clone()), op, Box::new(r.clone())))
}
