//! SQL expressions over a frame's rows → [`Val`]: what one side can evaluate stays its expression; what several must evaluate becomes
//! numbers and bits, with SQL's three-valued logic written out.

mod compare;
mod number;
mod scalar;

pub(super) use compare::decimal;
pub(super) use number::{cast, counted, said};

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DFSchema, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{BinaryExpr, Case, Expr, ExprSchemable, Operator, lit},
};

use super::{
    Compiler, SqlError,
    facts::{self, Known},
    internal, range,
    symbol::{BitId, Bits, Local, Side, Tri, Val},
    words::words,
};

/// What an expression reads.
pub(super) trait Reads {
    /// Its columns, in an order that is the same at every node: plans are made in it, and parties agree on their hash.
    fn reads(&self) -> BTreeSet<&Column>;
}

impl Reads for Expr {
    fn reads(&self) -> BTreeSet<&Column> {
        let mut columns = BTreeSet::new();
        // the walk itself cannot fail
        let _ = self.apply(|e| {
            if let Expr::Column(c) = e {
                columns.insert(c);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        columns
    }
}

/// More bits than this in one query are refused.
const MOST_BITS: usize = 20_000;

/// What expressions are read against: the columns of a joint relation, and which of its rows are there.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) schema: &'s DFSchema,
    pub(super) columns: &'s [Val],
    pub(super) present: BitId,
}

impl Compiler<'_> {
    /// Lowers an expression.
    pub(super) fn value(&mut self, expr: &Expr, scope: Scope<'_>) -> Result<Val, SqlError> {
        if self.bits.len() > MOST_BITS {
            return Err(SqlError::unsupported("the query has too many joint conditions", "split the question"));
        }
        if let Expr::Alias(a) = expr {
            return self.value(&a.expr, scope);
        }
        if let Expr::Column(c) = expr {
            let val = scope.columns[scope.schema.index_of_column(c).map_err(internal)?].clone();
            return Ok(self.settle(val, scope.present));
        }
        if let Some(local) = self.at_home(expr, scope)? {
            return Ok(Val::Local(local));
        }
        match expr {
            Expr::BinaryExpr(b) => self.binary(b, expr, scope),
            Expr::Not(e) => self.tri(e, scope).map(|Tri { t, f }| Val::Bool(Tri { t: f, f: t })),
            Expr::IsNull(e) => self.is_valid(e, scope).map(|v| self.sure_not(v)),
            Expr::IsNotNull(e) => self.is_valid(e, scope).map(|v| self.sure(v)),
            Expr::IsTrue(e) => self.tri(e, scope).map(|x| self.sure(x.t)),
            Expr::IsNotTrue(e) => self.tri(e, scope).map(|x| self.sure_not(x.t)),
            Expr::IsFalse(e) => self.tri(e, scope).map(|x| self.sure(x.f)),
            Expr::IsNotFalse(e) => self.tri(e, scope).map(|x| self.sure_not(x.f)),
            Expr::IsUnknown(e) => self.tri(e, scope).map(|x| self.known(x)).map(|k| self.sure_not(k)),
            Expr::IsNotUnknown(e) => self.tri(e, scope).map(|x| self.known(x)).map(|k| self.sure(k)),
            Expr::Negative(e) => Ok(Val::Num(self.num(e, scope)?.negated())),
            Expr::Between(b) => {
                let low = self.compare(Operator::GtEq, &b.expr, &b.low, scope)?;
                let high = self.compare(Operator::LtEq, &b.expr, &b.high, scope)?;
                let all = self.all([low, high]);
                Ok(Val::Bool(if b.negated { Tri { t: all.f, f: all.t } } else { all }))
            }
            Expr::InList(list) => {
                let each = list.list.iter().map(|e| self.compare(Operator::Eq, &list.expr, e, scope)).collect::<Result<Vec<_>, _>>()?;
                let any = self.any(each);
                Ok(Val::Bool(if list.negated { Tri { t: any.f, f: any.t } } else { any }))
            }
            Expr::Case(c) => self.case(c, expr, scope),
            Expr::Cast(c) => self.cast(c, expr, scope),
            Expr::ScalarFunction(f) if f.name() == "coalesce" => self.value(&coalesce(&f.args), scope),
            Expr::ScalarFunction(f) if let Some(case) = scalar::as_case(f, scope.schema) => self.value(&Expr::Case(case), scope),
            other => Err(self.beyond(other, scope)),
        }
    }

    /// The expression as one of a single side, if all it reads is that side's or public.
    fn at_home(&mut self, expr: &Expr, scope: Scope<'_>) -> Result<Option<Local>, SqlError> {
        let mut columns: BTreeMap<Column, Local> = BTreeMap::new();
        for c in expr.reads() {
            let val = scope.columns[scope.schema.index_of_column(c).map_err(internal)?].clone();
            match self.settle(val, scope.present) {
                Val::Local(local) if local.valid == Bits::TRUE => drop(columns.insert(c.clone(), local)),
                _ => return Ok(None),
            }
        }
        let mut side = Side::Public;
        for local in columns.values() {
            match side.with(&local.side) {
                Some(both) => side = both,
                None => return Ok(None),
            }
        }
        for owner in subquery_owners(expr) {
            match side.with(&Side::Owner(owner)) {
                Some(both) => side = both,
                None => return Ok(None),
            }
        }
        let mut knowns: Vec<_> =
            scope.columns.iter().zip(scope.schema.fields()).map(|(val, field)| self.known_of(val, field.data_type())).collect();
        let strict = facts::strict(expr);
        let mut absent = BTreeSet::new();
        for (c, local) in &columns {
            let i = scope.schema.index_of_column(c).map_err(internal)?;
            knowns[i] = local.known.clone();
            if strict {
                absent.extend(local.absent.iter().copied());
            } else {
                knowns[i].nullable |= !local.absent.is_empty();
            }
        }
        let input = facts::Input { schema: scope.schema, columns: &knowns, catalog: self.catalog };
        let known = Known { origin: None, ..facts::of_expr(expr, input) };
        let moved = expr.clone().transform(|e| {
            Ok(match &e {
                Expr::Column(c) => Transformed::yes(placed(columns[c].expr.clone(), c)),
                _ => Transformed::no(e),
            })
        });
        Ok(Some(Local { side, expr: moved.map_err(internal)?.data, known, absent, valid: Bits::TRUE }))
    }

    fn known_of(&self, val: &Val, ty: &DataType) -> Known {
        match val {
            Val::Local(local) => local.known.clone(),
            _ => Known::of_type(ty.clone()),
        }
    }

    /// Drops from a value what the presence of the row already says.
    pub(super) fn settle(&mut self, val: Val, present: BitId) -> Val {
        match val {
            Val::Local(mut local) => {
                if self.bits.implied(local.valid, present) {
                    local.valid = Bits::TRUE;
                }
                let there: Vec<_> = local
                    .absent
                    .iter()
                    .copied()
                    .filter(|&u| {
                        let bit = self.frames.present(u, &mut self.bits);
                        self.bits.implied(bit, present)
                    })
                    .collect();
                local.absent.retain(|u| !there.contains(u));
                Val::Local(local)
            }
            Val::Num(mut num) => {
                if self.bits.implied(num.valid, present) {
                    num.valid = Bits::TRUE;
                }
                Val::Num(num)
            }
            other => other,
        }
    }

    fn sure(&mut self, t: BitId) -> Val {
        Val::Bool(Tri { t, f: self.bits.not(t) })
    }

    fn sure_not(&mut self, f: BitId) -> Val {
        Val::Bool(Tri { t: self.bits.not(f), f })
    }

    fn known(&mut self, x: Tri) -> BitId {
        if self.bits.not(x.t) == x.f { Bits::TRUE } else { self.bits.or([x.t, x.f]) }
    }

    pub(super) fn all(&mut self, of: impl IntoIterator<Item = Tri>) -> Tri {
        let of: Vec<_> = of.into_iter().collect();
        let two_valued = of.iter().all(|x| self.bits.not(x.t) == x.f);
        let t = self.bits.and(of.iter().map(|x| x.t));
        let f = if two_valued { self.bits.not(t) } else { self.bits.or(of.iter().map(|x| x.f)) };
        Tri { t, f }
    }

    fn any(&mut self, of: impl IntoIterator<Item = Tri>) -> Tri {
        let turned: Vec<_> = of.into_iter().map(|x| Tri { t: x.f, f: x.t }).collect();
        let none = self.all(turned);
        Tri { t: none.f, f: none.t }
    }

    /// Whether an expression is not NULL.
    pub(super) fn is_valid(&mut self, expr: &Expr, scope: Scope<'_>) -> Result<BitId, SqlError> {
        let val = self.value(expr, scope)?;
        Ok(self.valid(&val))
    }

    /// Whether a value is not NULL.
    pub(super) fn valid(&mut self, val: &Val) -> BitId {
        match val {
            Val::Bool(x) => self.known(*x),
            Val::Num(n) => n.valid,
            Val::Local(local) => {
                let mut terms = vec![local.valid];
                if local.known.nullable {
                    terms.push(self.bits.local(local.side.clone(), Expr::IsNotNull(Box::new(local.expr.clone()))));
                } else {
                    let units: Vec<_> = local.absent.iter().copied().collect();
                    terms.extend(units.into_iter().map(|u| self.frames.present(u, &mut self.bits)));
                }
                self.bits.and(terms)
            }
        }
    }

    /// Lowers a predicate.
    pub(super) fn tri(&mut self, expr: &Expr, scope: Scope<'_>) -> Result<Tri, SqlError> {
        let val = self.value(expr, scope)?;
        self.as_tri(val, expr)
    }

    pub(super) fn as_tri(&mut self, val: Val, expr: &Expr) -> Result<Tri, SqlError> {
        match val {
            Val::Bool(x) => Ok(x),
            Val::Local(local) if matches!(local.known.ty, DataType::Boolean | DataType::Null) => {
                let valid = local.valid;
                let nullable = local.known.nullable || !local.absent.is_empty();
                let Local { side, expr, .. } = local;
                let (t, f) = match (&expr, nullable) {
                    (Expr::Literal(v, _), _) if v.is_null() => (Bits::FALSE, Bits::FALSE),
                    (_, false) => {
                        let t = self.bits.local(side, expr);
                        (t, self.bits.not(t))
                    }
                    (_, true) => (
                        self.bits.local(side.clone(), Expr::IsTrue(Box::new(expr.clone()))),
                        self.bits.local(side, Expr::IsFalse(Box::new(expr))),
                    ),
                };
                Ok(Tri { t: self.bits.and([t, valid]), f: self.bits.and([f, valid]) })
            }
            _ => {
                Err(SqlError::unsupported(format!("{} is not a condition", words(expr)), "compare it with a value")
                    .at(self.text.expr(expr)))
            }
        }
    }

    fn binary(&mut self, b: &BinaryExpr, expr: &Expr, scope: Scope<'_>) -> Result<Val, SqlError> {
        let words = || words(expr);
        match b.op {
            Operator::And | Operator::Or => {
                let (l, r) = (self.tri(&b.left, scope)?, self.tri(&b.right, scope)?);
                Ok(Val::Bool(if b.op == Operator::And { self.all([l, r]) } else { self.any([l, r]) }))
            }
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom => self.compare(b.op, &b.left, &b.right, scope).map(Val::Bool),
            Operator::Plus | Operator::Minus | Operator::Multiply => {
                self.exact(&b.left, &b.right, scope)?;
                let (l, r) = (self.num(&b.left, scope)?, self.num(&b.right, scope)?);
                let ty = expr.get_type(scope.schema).map_err(internal)?;
                let Some(scale) = range::scale(&ty) else { return Err(self.beyond(expr, scope)) };
                let place = self.text.expr(expr);
                let num = match b.op {
                    Operator::Multiply => {
                        let num = l.multiplied(&r, &mut self.bits, &words()).map_err(|e| e.at(place))?;
                        if num.scale != scale {
                            return Err(self.beyond(expr, scope));
                        }
                        num
                    }
                    op => {
                        let r = if op == Operator::Minus { r.negated() } else { r };
                        let (l, r) = (l.rescaled(scale).map_err(|e| e.at(place))?, r.rescaled(scale).map_err(|e| e.at(place))?);
                        l.plus(r, &mut self.bits, &words()).map_err(|e| e.at(place))?
                    }
                };
                match range::limits(&ty) {
                    Some(limits) if num.range.within(limits) => Ok(Val::Num(num)),
                    _ => Err(SqlError::width(
                        format!("{} can leave its type {}", words(), range::sql_type(&ty)),
                        "CAST an operand to BIGINT or DECIMAL(38, s)",
                    )
                    .at(place)),
                }
            }
            Operator::Divide | Operator::Modulo => {
                let what = if b.op == Operator::Divide { "division" } else { "remainder" };
                Err(SqlError::unsupported(
                    format!("{}: a {what} across owners ({}) cannot be computed on shares", words(), self.sides(expr, scope)),
                    "divide at one owner, or divide sums: SUM(a)/SUM(b) is finished at the planner",
                )
                .at(self.text.expr(expr)))
            }
            _ => Err(self.beyond(expr, scope)),
        }
    }

    /// The owners an expression reads, for messages.
    pub(super) fn sides(&mut self, expr: &Expr, scope: Scope<'_>) -> String {
        let mut sides: BTreeSet<String> = subquery_owners(expr);
        for c in expr.reads() {
            if let Ok(i) = scope.schema.index_of_column(c) {
                match &scope.columns[i] {
                    Val::Local(Local { side: Side::Owner(o), .. }) => drop(sides.insert(o.clone())),
                    Val::Local(_) => {}
                    Val::Num(n) => {
                        sides.extend(n.products.iter().flat_map(|p| p.factors.keys()).filter(|s| **s != Side::Public).map(Side::to_string))
                    }
                    Val::Bool(_) => drop(sides.insert("several owners".to_owned())),
                }
            }
        }
        sides.into_iter().collect::<Vec<_>>().join(", ")
    }

    fn beyond(&mut self, expr: &Expr, scope: Scope<'_>) -> SqlError {
        let sides = self.sides(expr, scope);
        let (what, word) = match expr {
            Expr::ScalarFunction(f) => (format!("the function {}()", f.name()), Some(f.name().to_owned())),
            Expr::Like(l) => (
                (if l.case_insensitive { "ILIKE" } else { "LIKE" }).to_owned(),
                Some((if l.case_insensitive { "ILIKE" } else { "LIKE" }).to_owned()),
            ),
            Expr::TryCast(_) => ("TRY_CAST".to_owned(), Some("TRY_CAST".to_owned())),
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => {
                ("a sub-query over several owners inside an expression".to_owned(), Some("SELECT".to_owned()))
            }
            Expr::BinaryExpr(b) => (format!("the operator {}", b.op), None),
            other => (format!("the expression {}", words(other)), None),
        };
        let place = self.text.expr(expr);
        let place = word.and_then(|w| self.text.before(&w, place)).or(place);
        let of = if sides.is_empty() { String::new() } else { format!(" ({sides})") };
        SqlError::unsupported(
            format!("{what} over values of several owners{of} cannot be computed on shares"),
            "evaluate it in a sub-query of one owner",
        )
        .at(place)
    }
}

/// A column of a home plan, with the place in the text of the column it stands for.
fn placed(expr: Expr, of: &Column) -> Expr {
    match expr {
        Expr::Column(mut c) if c.spans().first().is_none() => {
            c.spans = of.spans.clone();
            Expr::Column(c)
        }
        other => other,
    }
}

fn coalesce(args: &[Expr]) -> Expr {
    let (last, before) = args.split_last().map_or((lit(ScalarValue::Null), &[][..]), |(l, b)| (l.clone(), b));
    let pairs: Vec<_> = before.iter().map(|e| (Box::new(Expr::IsNotNull(Box::new(e.clone()))), Box::new(e.clone()))).collect();
    if pairs.is_empty() { last } else { Expr::Case(Case::new(None, pairs, Some(Box::new(last)))) }
}

fn subquery_owners(expr: &Expr) -> BTreeSet<String> {
    let mut owners = BTreeSet::new();
    let _ = expr.apply(|e| {
        match e {
            Expr::ScalarSubquery(s) => owners.extend(facts::owners(&s.subquery)),
            Expr::Exists(x) => owners.extend(facts::owners(&x.subquery.subquery)),
            Expr::InSubquery(x) => owners.extend(facts::owners(&x.subquery.subquery)),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    owners
}
