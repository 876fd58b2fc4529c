//! Expressions over the rows of a relation, written down as nodes of a Map.
//!
//! SQL's three truth values are a bit and its valid bit, with the bit 0 where it is not valid; a NULL number is 0 beside a valid bit 0.

mod arithmetic;
mod bits;
mod compare;
mod convert;
mod divide;
mod round;
mod scalar;
mod time;

use std::collections::HashMap;

use datafusion::{
    common::{DFSchema, ScalarValue},
    logical_expr::{Case, Expr, ExprSchemable, Operator},
};

pub(super) use self::divide::Magnitude;
pub(super) use self::round::{Fraction, Under};
use super::{Demand, form};
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        expr::{Reads, said},
        facts::{self, Known},
        internal,
        locate::Text,
        range::{self, ten},
    },
    plan::{
        Ring,
        relation::{Constant, RowForm, RowKind, RowNode, RowNodeId, RowOp},
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

    /// A literal as a constant of this form; `None`: NULL.
    pub(super) fn constant(&self, value: &ScalarValue, form: &RowForm, expr: &Expr) -> Result<Option<Constant>, SqlError> {
        if value.is_null() {
            return Ok(None);
        }
        let mut alone = Emit::new(self.text);
        let node = alone.literal(value, form, expr)?.node;
        match &alone.nodes[node.0].op {
            RowOp::Bit(bit) => Ok(Some(Constant::Planes(vec![u64::from(*bit)]))),
            RowOp::Integer(limbs) => Ok(Some(Constant::Planes(limbs.clone()))),
            RowOp::Element(value) => Ok(Some(Constant::Element(*value))),
            _ => Err(internal(format!("the literal {} as a constant", said(expr)))),
        }
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
                let limbs = form::text_limbs(t, *bytes).ok_or_else(wrong)?;
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
        let named = if known.ty.is_floating() { form::double_in(expr, scope.schema) } else { expr };
        form::natural(&known, (scope.bytes)(expr), &said(named)).map_err(|e| e.at(form::place(expr, &known, self.text)))
    }

    /// In whatever form it comes out; numbers as elements of at least this field.
    fn natural(&mut self, expr: &Expr, ring: Ring, scope: &mut Scope<'_>) -> Result<Val, SqlError> {
        match expr {
            Expr::BinaryExpr(b) => match b.op {
                Operator::And | Operator::Or => {
                    let (l, r) = (self.condition(&b.left, scope)?, self.condition(&b.right, scope)?);
                    Ok(if b.op == Operator::And { self.all(vec![l, r]) } else { self.any(vec![l, r]) })
                }
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                    self.arithmetic(b, expr, ring, scope)
                }
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
            Expr::ScalarFunction(f) => self.function(f, expr, ring, scope),
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

    // ------------------------------------------------------------ refusals

    fn wide(&self, expr: &Expr) -> SqlError {
        SqlError::width(format!("{} can leave the numbers that are shared exactly", said(expr)), "CAST its operands to fewer digits")
            .at(self.text.expr(expr))
    }

    pub(super) fn beyond(&self, expr: &Expr) -> SqlError {
        let word = match expr {
            Expr::ScalarFunction(f) if f.name() == "date_part" && self.text.word("date_part").is_none() => Some("EXTRACT".to_owned()),
            Expr::ScalarFunction(f) => Some(f.name().to_owned()),
            Expr::Like(l) => Some(if l.case_insensitive { "ILIKE" } else { "LIKE" }.to_owned()),
            _ => None,
        };
        let at = self.text.expr(expr);
        let place = word.and_then(|w| self.text.before(&w, at)).or(at);
        SqlError::unsupported(
            format!("{} over values of several owners cannot be computed on shares", said(expr)),
            match expr {
                Expr::ScalarFunction(f) if matches!(f.name(), "round" | "trunc") => {
                    "write CAST(… AS DECIMAL(p, s)), which rounds to s digits"
                }
                Expr::ScalarFunction(f) if !matches!(f.name(), "date_part" | "date_trunc") => {
                    "apply it to the columns of each owner in a sub-query, before they meet, or in the outermost SELECT"
                }
                _ => "evaluate it in a sub-query of one owner",
            },
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
    expr.reads().into_iter().filter_map(|c| schema.index_of_column(c).ok()).collect()
}

/// Whether an expression is NULL whenever all its columns are.
pub(super) fn strict(expr: &Expr) -> bool {
    facts::strict(expr)
}
