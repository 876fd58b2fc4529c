//! Expressions over the rows of a relation, written down as nodes of a Map.
//!
//! SQL's three truth values are a bit and its valid bit, with the bit 0 where it is not valid; a NULL number is 0 beside a valid bit 0.

use std::collections::HashMap;

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, ScalarValue},
    logical_expr::{BinaryExpr, Case, Expr, ExprSchemable, Operator},
};

use super::{Demand, form};
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        expr::said,
        facts::{self, Known},
        internal,
        locate::Text,
        range::{self, Interval, ten},
    },
    plan::{
        Ring,
        relation::{RowForm, RowKind, RowNode, RowNodeId, RowOp},
    },
};

/// A value as nodes.
#[derive(Clone, Debug)]
pub(super) struct Val {
    pub(super) node: RowNodeId,
    pub(super) valid: Option<RowNodeId>,
    pub(super) form: RowForm,
}

/// Where the values of an expression's columns come from.
pub(super) struct Scope<'s> {
    pub(super) schema: &'s DFSchema,
    pub(super) columns: &'s [Known],
    pub(super) catalog: &'s Catalog,
    /// Longest UTF-8 of a text.
    pub(super) bytes: &'s dyn Fn(&Expr) -> Option<u32>,
    /// Whether a whole expression is supplied from below.
    pub(super) leaf: &'s dyn Fn(&Expr) -> bool,
    /// A column that is computed here (a fold, a match bit), if it is one.
    #[allow(clippy::type_complexity)]
    pub(super) made: &'s mut dyn FnMut(&mut Emit<'_>, &Expr) -> Result<Option<Val>, SqlError>,
}

/// Nodes under construction.
pub(super) struct Emit<'a> {
    text: &'a Text,
    nodes: Vec<RowNode>,
    index: HashMap<RowNode, RowNodeId>,
    /// What is asked from below: node `Column(i)` is the i-th of these.
    pub(super) leaves: Vec<Demand>,
    /// Where a leaf's row may be missing: a bit that leaves for which the function holds are NULL without.
    pub(super) missing: Option<Missing<'a>>,
}

/// Leaves that are NULL where a bit is 0.
pub(super) struct Missing<'a> {
    pub(super) unless: RowNodeId,
    pub(super) of: &'a dyn Fn(&Expr) -> bool,
}

fn kind(form: &RowForm) -> RowKind {
    match form {
        RowForm::Bit => RowKind::Bit,
        RowForm::Field { ring, .. } => RowKind::Field(*ring),
        other => RowKind::Planes(other.width() as u32),
    }
}

impl<'a> Emit<'a> {
    pub(super) fn text(&self) -> &'a Text {
        self.text
    }

    pub(super) fn new(text: &'a Text) -> Self {
        Emit { text, nodes: Vec::new(), index: HashMap::new(), leaves: Vec::new(), missing: None }
    }

    /// The nodes, with `Column(i)` moved to column `to[i]`.
    pub(super) fn into_nodes(self, to: &[usize], nullable: &[bool]) -> Vec<RowNode> {
        let moved = |node: RowNode| {
            let op = match node.op {
                RowOp::Column(i) => RowOp::Column(to[i]),
                // never NULL after all
                RowOp::Valid(i) if !nullable[to[i]] => RowOp::Bit(true),
                RowOp::Valid(i) => RowOp::Valid(to[i]),
                other => other,
            };
            RowNode { op, ..node }
        };
        self.nodes.into_iter().map(moved).collect()
    }

    pub(super) fn node(&mut self, op: RowOp, kind: RowKind) -> RowNodeId {
        let node = RowNode { op, kind };
        if let Some(id) = self.index.get(&node) {
            return *id;
        }
        let id = RowNodeId(self.nodes.len());
        self.nodes.push(node.clone());
        self.index.insert(node, id);
        id
    }

    // ------------------------------------------------------------ bits

    pub(super) fn bit(&mut self, value: bool) -> RowNodeId {
        self.node(RowOp::Bit(value), RowKind::Bit)
    }

    fn constant_bit(&self, id: RowNodeId) -> Option<bool> {
        match self.nodes[id.0].op {
            RowOp::Bit(b) => Some(b),
            _ => None,
        }
    }

    pub(super) fn not(&mut self, a: RowNodeId) -> RowNodeId {
        match (&self.nodes[a.0].op, self.constant_bit(a)) {
            (_, Some(b)) => self.bit(!b),
            (RowOp::Not(inner), _) => *inner,
            _ => self.node(RowOp::Not(a), RowKind::Bit),
        }
    }

    pub(super) fn and(&mut self, of: impl IntoIterator<Item = RowNodeId>) -> RowNodeId {
        self.many(of, true)
    }

    pub(super) fn or(&mut self, of: impl IntoIterator<Item = RowNodeId>) -> RowNodeId {
        self.many(of, false)
    }

    fn many(&mut self, of: impl IntoIterator<Item = RowNodeId>, neutral: bool) -> RowNodeId {
        let mut kept = Vec::new();
        for id in of {
            match self.constant_bit(id) {
                Some(b) if b == neutral => {}
                Some(b) => return self.bit(b),
                None => kept.push(id),
            }
        }
        kept.sort_unstable();
        kept.dedup();
        match kept.as_slice() {
            [] => self.bit(neutral),
            [one] => *one,
            _ => self.node(if neutral { RowOp::And(kept) } else { RowOp::Or(kept) }, RowKind::Bit),
        }
    }

    fn both(&mut self, a: Option<RowNodeId>, b: Option<RowNodeId>) -> Option<RowNodeId> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.and([a, b])),
            (a, b) => a.or(b),
        }
    }

    /// Drops a valid bit that is always 1.
    fn known_valid(&self, valid: Option<RowNodeId>) -> Option<RowNodeId> {
        valid.filter(|v| self.constant_bit(*v) != Some(true))
    }

    /// A bit and its valid bit, 0 where it is not valid.
    fn truth(&mut self, bit: RowNodeId, valid: Option<RowNodeId>) -> Val {
        let valid = self.known_valid(valid);
        let node = match valid {
            Some(v) => self.and([bit, v]),
            None => bit,
        };
        Val { node, valid, form: RowForm::Bit }
    }

    /// Whether a truth value is false.
    fn falsity(&mut self, x: &Val) -> RowNodeId {
        let not = self.not(x.node);
        match x.valid {
            Some(v) => self.and([v, not]),
            None => not,
        }
    }

    fn all(&mut self, of: Vec<Val>) -> Val {
        let t = self.and(of.iter().map(|x| x.node));
        if of.iter().all(|x| x.valid.is_none()) {
            return Val { node: t, valid: None, form: RowForm::Bit };
        }
        let falsities: Vec<_> = of.iter().map(|x| self.falsity(x)).collect();
        let valid = self.or(falsities.into_iter().chain([t]));
        Val { node: t, valid: self.known_valid(Some(valid)), form: RowForm::Bit }
    }

    fn negated(&mut self, x: Val) -> Val {
        let node = self.falsity(&x);
        Val { node, ..x }
    }

    fn any(&mut self, of: Vec<Val>) -> Val {
        let turned = of.into_iter().map(|x| self.negated(x)).collect();
        let none = self.all(turned);
        self.negated(none)
    }

    fn valid_bit(&mut self, x: &Val) -> RowNodeId {
        match x.valid {
            Some(v) => v,
            None => self.bit(true),
        }
    }

    // ------------------------------------------------------------ leaves and constants

    /// An expression that is supplied from below in this form.
    pub(super) fn leaf(&mut self, expr: &Expr, form: &RowForm, nullable: bool) -> Val {
        let demand = Demand { expr: expr.clone(), form: form.clone() };
        let i = self.leaves.iter().position(|d| *d == demand).unwrap_or_else(|| {
            self.leaves.push(demand);
            self.leaves.len() - 1
        });
        let node = self.node(RowOp::Column(i), kind(form));
        let valid = nullable.then(|| self.node(RowOp::Valid(i), RowKind::Bit));
        let val = Val { node, valid, form: form.clone() };
        match &self.missing {
            Some(m) if (m.of)(expr) => {
                let unless = m.unless;
                self.only_where(val, unless)
            }
            _ => val,
        }
    }

    /// The value where the bit is 1, else NULL.
    pub(super) fn only_where(&mut self, val: Val, bit: RowNodeId) -> Val {
        let valid = self.valid_bit(&val);
        let valid = self.and([valid, bit]);
        self.blanked(val, valid)
    }

    /// The value, 0 where the valid bit is.
    fn blanked(&mut self, val: Val, valid: RowNodeId) -> Val {
        let Some(valid) = self.known_valid(Some(valid)) else { return Val { valid: None, ..val } };
        let kind = kind(&val.form);
        let node = match kind {
            RowKind::Bit => self.and([val.node, valid]),
            RowKind::Planes(_) => {
                let zero = self.node(RowOp::Integer(Vec::new()), kind);
                self.node(RowOp::Select(valid, val.node, zero), kind)
            }
            RowKind::Field(ring) => {
                let lifted = self.node(RowOp::Lift(valid), RowKind::Field(ring));
                self.node(RowOp::Product(val.node, lifted), kind)
            }
        };
        Val { node, valid: Some(valid), form: val.form }
    }

    fn integer(&mut self, value: i128, width: u32) -> RowNodeId {
        let value = value as u128;
        let mut limbs = vec![value as u64, (value >> 64) as u64];
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        self.node(RowOp::Integer(limbs), RowKind::Planes(width))
    }

    pub(super) fn element(&mut self, value: i128, ring: Ring) -> RowNodeId {
        self.node(RowOp::Element(value), RowKind::Field(ring))
    }

    fn null(&mut self, form: &RowForm) -> Val {
        let node = match kind(form) {
            RowKind::Bit => self.bit(false),
            RowKind::Planes(w) => self.integer(0, w),
            RowKind::Field(ring) => self.element(0, ring),
        };
        let valid = Some(self.bit(false));
        Val { node, valid, form: form.clone() }
    }

    fn literal(&mut self, value: &ScalarValue, form: &RowForm, expr: &Expr) -> Result<Val, SqlError> {
        if value.is_null() {
            return Ok(self.null(form));
        }
        let text = match value {
            ScalarValue::Utf8(Some(t)) | ScalarValue::Utf8View(Some(t)) | ScalarValue::LargeUtf8(Some(t)) => Some(t.as_str()),
            _ => None,
        };
        let wrong = || internal(format!("the literal {} in another form", said(expr)));
        let node = match (form, text) {
            (RowForm::Bit, None) => match value {
                ScalarValue::Boolean(Some(b)) => self.bit(*b),
                _ => return Err(wrong()),
            },
            (RowForm::Code { values, width }, Some(t)) => {
                let at = values.binary_search_by(|v| v.as_str().cmp(t)).map_err(|_| wrong())?;
                self.integer(at as i128, *width)
            }
            (RowForm::Text { bytes }, Some(t)) => {
                let size = *bytes as usize;
                if t.len() > size {
                    return Err(wrong());
                }
                // the first byte is the most significant
                let mut limbs = vec![0u64; size.div_ceil(8)];
                for (i, byte) in t.bytes().enumerate() {
                    let place = size - 1 - i;
                    limbs[place / 8] |= u64::from(byte) << (place % 8 * 8);
                }
                while limbs.last() == Some(&0) {
                    limbs.pop();
                }
                self.node(RowOp::Integer(limbs), RowKind::Planes(8 * *bytes))
            }
            (RowForm::Planes { scale, offset, width }, None) => {
                let raw = raw(value, *scale).ok_or_else(wrong)?;
                self.integer(raw.checked_sub(*offset).filter(|v| *v >= 0).ok_or_else(wrong)?, *width)
            }
            (RowForm::Field { ring, scale, .. }, None) => {
                let raw = raw(value, *scale).ok_or_else(wrong)?;
                self.element(raw, *ring)
            }
            _ => return Err(wrong()),
        };
        Ok(Val { node, valid: None, form: form.clone() })
    }

    // ------------------------------------------------------------ any expression in a given form

    /// The expression in exactly this form.
    pub(super) fn value_as(&mut self, expr: &Expr, form: &RowForm, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        if let Expr::Alias(a) = expr {
            return self.value_as(&a.expr, form, scope);
        }
        if let Expr::Literal(v, _) = expr {
            return self.literal(v, form, expr);
        }
        if (scope.leaf)(expr) {
            let known = form::known_of(expr, scope.schema, scope.columns, scope.catalog);
            return Ok(self.leaf(expr, form, known.nullable));
        }
        if let Some(val) = (scope.made)(self, expr)? {
            return self.converted(val, form, expr);
        }
        match expr {
            Expr::Case(c) => self.case(c, expr, form, scope),
            Expr::ScalarFunction(f) if f.name() == "coalesce" => self.value_as(&coalesce(&f.args), form, scope),
            Expr::ScalarFunction(f) if f.name() == "nullif" && f.args.len() == 2 => {
                let same = self.compare(Operator::Eq, &f.args[0], &f.args[1], scope)?;
                let val = self.value_as(&f.args[0], form, scope)?;
                let differ = self.not(same.node);
                Ok(self.only_where(val, differ))
            }
            _ => {
                let ring = match form {
                    RowForm::Field { ring, .. } => *ring,
                    _ => Ring::Fp61,
                };
                let val = self.natural(expr, ring, scope)?;
                self.converted(val, form, expr)
            }
        }
    }

    /// A condition.
    pub(super) fn condition(&mut self, expr: &Expr, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        self.value_as(expr, &RowForm::Bit, scope)
    }

    /// The form in which an expression is best compared, sorted and released.
    pub(super) fn natural_form(&self, expr: &Expr, scope: &Scope<'_>) -> Result<RowForm, SqlError> {
        let known = form::known_of(expr, scope.schema, scope.columns, scope.catalog);
        form::natural(&known, (scope.bytes)(expr), &said(expr)).map_err(|e| e.at(self.text.expr(expr)))
    }

    /// In whatever form it comes out; numbers as elements of at least this field.
    fn natural(&mut self, expr: &Expr, ring: Ring, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        match expr {
            Expr::BinaryExpr(b) => match b.op {
                Operator::And | Operator::Or => {
                    let (l, r) = (self.condition(&b.left, scope)?, self.condition(&b.right, scope)?);
                    Ok(if b.op == Operator::And { self.all(vec![l, r]) } else { self.any(vec![l, r]) })
                }
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide => self.arithmetic(b, expr, ring, scope),
                op => self.compare(op, &b.left, &b.right, scope),
            },
            Expr::Not(e) => {
                let x = self.condition(e, scope)?;
                Ok(self.negated(x))
            }
            Expr::IsNull(e) | Expr::IsNotNull(e) => {
                let valid = self.validity(e, scope)?;
                let node = if matches!(expr, Expr::IsNull(_)) { self.not(valid) } else { valid };
                Ok(Val { node, valid: None, form: RowForm::Bit })
            }
            Expr::IsTrue(e) | Expr::IsNotTrue(e) => {
                let x = self.condition(e, scope)?;
                let node = if matches!(expr, Expr::IsTrue(_)) { x.node } else { self.not(x.node) };
                Ok(Val { node, valid: None, form: RowForm::Bit })
            }
            Expr::IsFalse(e) | Expr::IsNotFalse(e) => {
                let x = self.condition(e, scope)?;
                let f = self.falsity(&x);
                let node = if matches!(expr, Expr::IsFalse(_)) { f } else { self.not(f) };
                Ok(Val { node, valid: None, form: RowForm::Bit })
            }
            Expr::IsUnknown(e) | Expr::IsNotUnknown(e) => {
                let x = self.condition(e, scope)?;
                let v = self.valid_bit(&x);
                let node = if matches!(expr, Expr::IsUnknown(_)) { self.not(v) } else { v };
                Ok(Val { node, valid: None, form: RowForm::Bit })
            }
            Expr::Between(b) => {
                let low = self.compare(Operator::GtEq, &b.expr, &b.low, scope)?;
                let high = self.compare(Operator::LtEq, &b.expr, &b.high, scope)?;
                let all = self.all(vec![low, high]);
                Ok(if b.negated { self.negated(all) } else { all })
            }
            Expr::InList(list) => {
                let each = list.list.iter().map(|e| self.compare(Operator::Eq, &list.expr, e, scope)).collect::<Result<Vec<_>, _>>()?;
                let any = self.any(each);
                Ok(if list.negated { self.negated(any) } else { any })
            }
            Expr::Negative(e) => {
                let (ty, known) =
                    (expr.get_type(scope.schema).map_err(internal)?, form::known_of(expr, scope.schema, scope.columns, scope.catalog));
                let (Some(scale), Some(range)) = (range::scale(&ty), known.range) else { return Err(self.beyond(expr)) };
                let form = form::field_in(ring, range, scale).ok_or_else(|| self.wide(expr))?;
                let x = self.value_as(e, &form, scope)?;
                let node = self.node(RowOp::Linear(vec![(-1, x.node)], 0), kind(&form));
                Ok(Val { node, ..x })
            }
            Expr::Cast(c) => self.cast(&c.expr, expr, ring, scope),
            Expr::Case(_) => {
                let form = self.natural_form(expr, scope)?;
                self.value_as(expr, &form, scope)
            }
            _ => Err(self.beyond(expr)),
        }
    }

    /// Whether an expression is not NULL, without its value where that is not needed.
    fn validity(&mut self, expr: &Expr, scope: &mut Scope<'_>) -> Result<RowNodeId, SqlError> {
        match expr {
            Expr::Alias(a) => self.validity(&a.expr, scope),
            Expr::Literal(v, _) => Ok(self.bit(!v.is_null())),
            e if (scope.leaf)(e) => match form::known_of(e, scope.schema, scope.columns, scope.catalog).nullable {
                true => match self.leaves.iter().position(|d| d.expr == *e).filter(|_| self.missing.is_none()) {
                    // its value is there already, and the valid bit with it
                    Some(i) => Ok(self.node(RowOp::Valid(i), RowKind::Bit)),
                    // at home it is a bit; where an outer join finds no row, that bit is 0
                    None => Ok(self.leaf(&e.clone().is_not_null(), &RowForm::Bit, false).node),
                },
                false => Ok(self.bit(true)),
            },
            Expr::Case(c) => {
                let mut valid = match &c.else_expr {
                    Some(e) => self.validity(e, scope)?,
                    None => self.bit(false),
                };
                for (when, then) in c.when_then_expr.iter().rev() {
                    let when = match &c.expr {
                        Some(subject) => self.compare(Operator::Eq, subject, when, scope)?,
                        None => self.condition(when, scope)?,
                    };
                    let then = self.validity(then, scope)?;
                    let bit = |node| Val { node, valid: None, form: RowForm::Bit };
                    valid = self.chosen(when.node, bit(then), bit(valid)).node;
                }
                Ok(valid)
            }
            Expr::ScalarFunction(f) if f.name() == "coalesce" => {
                let each = f.args.iter().map(|e| self.validity(e, scope)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.or(each))
            }
            _ => {
                let form = self.natural_form(expr, scope)?;
                let val = self.value_as(expr, &form, scope)?;
                Ok(self.valid_bit(&val))
            }
        }
    }

    fn cast(&mut self, inner: &Expr, expr: &Expr, ring: Ring, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let (from, to) = (inner.get_type(scope.schema).map_err(internal)?, expr.get_type(scope.schema).map_err(internal)?);
        if from == to || (from.is_string() && to.is_string()) {
            let form = self.natural_form(inner, scope)?;
            return self.value_as(inner, &form, scope);
        }
        let numeric = |t: &DataType| range::scale(t).is_some() && *t != DataType::Date32;
        if !numeric(&from) || !numeric(&to) {
            return Err(self.beyond(expr));
        }
        let (Some(s), Some(t)) = (range::scale(&from), range::scale(&to)) else { return Err(self.beyond(expr)) };
        let known = form::known_of(inner, scope.schema, scope.columns, scope.catalog);
        let range = known.range.ok_or_else(|| self.wide(inner))?;
        if t < s {
            return Err(self.beyond(expr));
        }
        let raised = range.rescale(s, t).ok_or_else(|| self.wide(expr))?;
        let ring = form::ring(raised.with_zero()).ok_or_else(|| self.wide(expr))?.max(ring);
        let form = form::field_in(ring, range, s).ok_or_else(|| self.wide(expr))?;
        let x = self.value_as(inner, &form, scope)?;
        Ok(self.raised(x, t))
    }

    /// An element with more digits behind the point.
    fn raised(&mut self, x: Val, to: i8) -> Val {
        let RowForm::Field { ring, scale, min, max } = x.form else { return x };
        let factor = u32::try_from(to - scale).ok().and_then(ten).unwrap_or(1);
        if factor == 1 {
            return x;
        }
        let node = self.node(RowOp::Linear(vec![(factor, x.node)], 0), RowKind::Field(ring));
        let form = RowForm::Field { ring, scale: to, min: min.saturating_mul(factor), max: max.saturating_mul(factor) };
        Val { node, valid: x.valid, form }
    }

    fn arithmetic(&mut self, b: &BinaryExpr, expr: &Expr, ring: Ring, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        let ty = expr.get_type(scope.schema).map_err(internal)?;
        let Some(scale) = range::scale(&ty).filter(|_| ty != DataType::Date32) else { return Err(self.beyond(expr)) };
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
    fn sum(&mut self, terms: &[(i128, RowNodeId)], ring: Ring) -> RowNodeId {
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
        let width = form::width(most);
        if width > 126 {
            return Err(wide(self));
        }
        let q = self.node(RowOp::Quotient { a: a.node, b: d.node, shift, round: false }, RowKind::Planes(width));
        let valid = self.both(a.valid, d.valid);
        let valid = self.known_valid(valid);
        let magnitude = Interval { min: 0, max: most };
        let positive = Val { node: q, valid, form: form::planes(magnitude, scale).ok_or_else(|| wide(self))? };
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

    /// |x| as planes with offset 0, and whether x is negative, if it can be.
    fn magnitude(&mut self, expr: &Expr, range: Interval, scale: i8, scope: &mut Scope<'_>) -> Result<(Val, Option<RowNodeId>), SqlError> {
        let wide = self.wide(expr);
        let whole = Interval { min: 0, max: range.magnitude() };
        let planes = form::planes(whole, scale).ok_or_else(|| wide.clone())?;
        if range.min >= 0 {
            return Ok((self.value_as(expr, &planes, scope)?, None));
        }
        let form = form::field(range, scale).ok_or(wide)?;
        let x = self.value_as(expr, &form, scope)?;
        let negative = self.node(RowOp::Negative(x.node), RowKind::Bit);
        let turned = self.node(RowOp::Linear(vec![(-1, x.node)], 0), kind(&form));
        let size = self.node(RowOp::Select(negative, turned, x.node), kind(&form));
        let size = self.converted(Val { node: size, ..x }, &planes, expr)?;
        Ok((size, Some(negative)))
    }

    // ------------------------------------------------------------ comparisons

    fn compare(&mut self, op: Operator, a: &Expr, b: &Expr, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
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
        let simple = |e: &Expr, scope: &Scope<'_>| matches!(unalias(e), Expr::Literal(..)) || (scope.leaf)(e) || matches!(e, Expr::Case(_));
        let numeric = range::scale(&ka.ty).is_some() && range::scale(&kb.ty).is_some();
        let (x, y);
        if numeric && !(simple(a, scope) && simple(b, scope)) {
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
        let form = form::common((&ka, bytes.0), (&kb, bytes.1), &words);
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

    fn case(&mut self, c: &Case, expr: &Expr, form: &RowForm, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
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

    fn chosen(&mut self, bit: RowNodeId, then: Val, otherwise: Val) -> Val {
        match self.constant_bit(bit) {
            Some(true) => return then,
            Some(false) => return otherwise,
            None => {}
        }
        let kind = kind(&then.form);
        let pick =
            |me: &mut Self, a: RowNodeId, b: RowNodeId, kind: RowKind| if a == b { a } else { me.node(RowOp::Select(bit, a, b), kind) };
        let node = pick(self, then.node, otherwise.node, kind);
        let valid = if then.valid.is_none() && otherwise.valid.is_none() {
            None
        } else {
            let (a, b) = (self.valid_bit(&then), self.valid_bit(&otherwise));
            Some(pick(self, a, b, RowKind::Bit))
        };
        Val { node, valid, form: then.form }
    }

    // ------------------------------------------------------------ conversions

    /// A value in another form of the same type.
    pub(super) fn converted(&mut self, val: Val, to: &RowForm, expr: &Expr) -> Result<Val, SqlError> {
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
                let by = offset.checked_sub(*low).ok_or_else(wrong)?;
                let kind = RowKind::Planes(*w);
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
            (RowForm::Field { ring, scale, .. }, RowForm::Planes { scale: t, offset, width }) if scale <= *t => {
                let factor = u32::try_from(*t - scale).ok().and_then(ten).ok_or_else(wrong)?;
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
            _ => Err(wrong()),
        }
    }

    // ------------------------------------------------------------ refusals

    fn wide(&self, expr: &Expr) -> SqlError {
        SqlError::width(format!("{} can leave the numbers that are shared exactly", said(expr)), "CAST its operands to fewer digits")
            .at(self.text.expr(expr))
    }

    pub(super) fn beyond(&self, expr: &Expr) -> SqlError {
        let word = match expr {
            Expr::ScalarFunction(f) => Some(f.name().to_owned()),
            Expr::Like(l) => Some(if l.case_insensitive { "ILIKE" } else { "LIKE" }.to_owned()),
            _ => None,
        };
        let at = self.text.expr(expr);
        let place = word.and_then(|w| self.text.before(&w, at)).or(at);
        SqlError::unsupported(
            format!("{} over values of several owners cannot be computed on shares", said(expr)),
            "evaluate it in a sub-query of one owner",
        )
        .at(place)
    }
}

/// A literal as a raw integer of this scale.
fn raw(value: &ScalarValue, scale: i8) -> Option<i128> {
    let own = range::scale(&value.data_type())?;
    let v = range::literal(value)?.min;
    if own <= scale {
        return v.checked_mul(ten((scale - own) as u32)?);
    }
    let unit = ten((own - scale) as u32)?;
    (v % unit == 0).then_some(v / unit)
}

fn coalesce(args: &[Expr]) -> Expr {
    let (last, before) = match args.split_last() {
        Some((last, before)) => (last.clone(), before),
        None => (Expr::Literal(ScalarValue::Null, None), &[][..]),
    };
    let pairs: Vec<_> = before.iter().map(|e| (Box::new(Expr::IsNotNull(Box::new(e.clone()))), Box::new(e.clone()))).collect();
    if pairs.is_empty() { last } else { Expr::Case(Case::new(None, pairs, Some(Box::new(last)))) }
}

pub(super) fn unalias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(a) => unalias(&a.expr),
        other => other,
    }
}

/// The columns an expression reads, as positions.
pub(super) fn positions(expr: &Expr, schema: &DFSchema) -> Vec<usize> {
    expr.column_refs().into_iter().filter_map(|c| schema.index_of_column(c).ok()).collect()
}

/// Whether an expression is NULL whenever all its columns are.
pub(super) fn strict(expr: &Expr) -> bool {
    facts::strict(expr)
}
