//! Sums over pairs that fall apart: Σ f·g over the pairs of rows, with f of the one side and g of the other, is a sum of products of sums.

use datafusion::{
    arrow::datatypes::DataType,
    functions_aggregate::expr_fn::{count, sum},
    logical_expr::{Expr, ExprSchemable, Operator, expr::AggregateFunction, lit, utils::split_conjunction},
};

use super::unalias;
use crate::compile::{
    expr::cast,
    facts::Input,
    range,
    rows::{form, release::wide_integer},
};

/// SUM or COUNT over pairs of rows: a factor of each side, in those pairs for which conditions on either side alone hold.
pub(super) struct Product {
    pub(super) base: Factor,
    pub(super) table: Factor,
}

/// What a side has in it.
#[derive(Default)]
pub(super) struct Factor {
    /// They are multiplied: numbers, with their digits behind the point.
    values: Vec<(Expr, i8)>,
    given: Vec<Expr>,
}

impl Product {
    /// `pairs` is what is known of them, `of_base` says whose an expression is.
    pub(super) fn of(f: &AggregateFunction, pairs: Input<'_>, of_base: &dyn Fn(&Expr) -> Option<bool>) -> Option<Self> {
        if f.params.distinct || !f.params.order_by.is_empty() {
            return None;
        }
        let mut product = Product { base: Factor::default(), table: Factor::default() };
        let mut apart = Apart { pairs, of_base, product: &mut product };
        match (f.func.name(), f.params.args.as_slice()) {
            ("count", args) => args.iter().try_for_each(|e| apart.there(e))?,
            ("sum", [x]) => {
                // a product that leaves its type is refused as it stands
                form::known_of(x, pairs.schema, pairs.columns, pairs.catalog).wide.is_none().then_some(())?;
                apart.value(x)?;
            }
            _ => return None,
        }
        f.params.filter.iter().try_for_each(|given| apart.given(given))?;
        Some(product)
    }
}

impl Factor {
    /// Its sum over the rows that are folded to one; NULL of none, or, if it is `counted`, 0.
    pub(super) fn folded(&self, counted: bool) -> Option<Expr> {
        let folded = match self.value() {
            Some(value) => sum(value),
            None if counted => count(lit(1i64)),
            None => sum(lit(1i64)),
        };
        filtered(folded, self.given())
    }

    /// Its value in one row; `None`: 1.
    pub(super) fn value(&self) -> Option<Expr> {
        match self.values.as_slice() {
            [(one, _)] => Some(one.clone()),
            several => several.iter().map(|(value, scale)| decimal(value, *scale)).reduce(|a, b| a * b),
        }
    }

    pub(super) fn scale(&self) -> i8 {
        self.values.iter().map(|(_, scale)| scale).sum()
    }

    pub(super) fn given(&self) -> Option<Expr> {
        self.given.iter().cloned().reduce(Expr::and)
    }
}

/// An expression on its way apart.
struct Apart<'a> {
    pairs: Input<'a>,
    of_base: &'a dyn Fn(&Expr) -> Option<bool>,
    product: &'a mut Product,
}

impl Apart<'_> {
    fn side(&mut self, e: &Expr) -> Option<&mut Factor> {
        Some(if (self.of_base)(e)? { &mut self.product.base } else { &mut self.product.table })
    }

    /// Multiplies by it; where it is NULL the pair does not count.
    fn value(&mut self, e: &Expr) -> Option<()> {
        let e = unalias(e);
        if matches!(e, Expr::Literal(v, _) if v.is_null()) {
            return None;
        }
        let schema = self.pairs.schema;
        let scale = |e: &Expr| range::number(&e.get_type(schema).ok()?);
        if let Some(side) = self.side(e) {
            side.values.push((wide_integer(e, schema), scale(e)?));
            return Some(());
        }
        match e {
            Expr::BinaryExpr(b) if b.op == Operator::Multiply => {
                // else digits are cut off
                (scale(e)? == scale(&b.left)?.checked_add(scale(&b.right)?)?).then_some(())?;
                self.value(&b.left)?;
                self.value(&b.right)
            }
            Expr::Cast(c) if self.keeps(&c.expr, c.field.data_type()) => self.value(&c.expr),
            Expr::Case(_) => {
                let (when, then) = only(e)?;
                self.given(when)?;
                self.value(then)
            }
            _ => None,
        }
    }

    /// Counts only pairs in which it is not NULL.
    fn there(&mut self, e: &Expr) -> Option<()> {
        let e = unalias(e);
        if matches!(e, Expr::Literal(v, _) if v.is_null()) {
            return None;
        }
        if self.side(e).is_some() {
            let is_nullable = form::known_of(e, self.pairs.schema, self.pairs.columns, self.pairs.catalog).nullable;
            if is_nullable && let Some(side) = self.side(e) {
                side.given.push(e.clone().is_not_null());
            }
            return Some(());
        }
        match e {
            Expr::BinaryExpr(b) if b.op == Operator::Multiply => {
                self.there(&b.left)?;
                self.there(&b.right)
            }
            Expr::Cast(c) => self.there(&c.expr),
            Expr::Case(_) => {
                let (when, then) = only(e)?;
                self.given(when)?;
                self.there(then)
            }
            _ => None,
        }
    }

    /// Counts only pairs for which it is true.
    fn given(&mut self, condition: &Expr) -> Option<()> {
        split_conjunction(condition).into_iter().try_for_each(|part| {
            if let Some(side) = self.side(part) {
                side.given.push(part.clone());
                return Some(());
            }
            match part {
                Expr::IsNotNull(e) => self.there(e),
                _ => None,
            }
        })
    }

    /// Whether a cast changes no number.
    fn keeps(&self, e: &Expr, to: &DataType) -> bool {
        let from = e.get_type(self.pairs.schema).ok().and_then(|ty| range::number(&ty));
        from.zip(range::number(to)).is_some_and(|(from, to)| from <= to)
    }
}

/// CASE WHEN condition THEN value END.
fn only(e: &Expr) -> Option<(&Expr, &Expr)> {
    let Expr::Case(c) = e else { return None };
    let is_null = |e: &Expr| matches!(e, Expr::Literal(v, _) if v.is_null());
    match c.when_then_expr.as_slice() {
        [(when, then)] if c.expr.is_none() && c.else_expr.as_deref().is_none_or(is_null) => Some((when, then)),
        _ => None,
    }
}

/// The product of two numbers of so many digits behind the point, in which nothing is lost.
pub(super) fn times((a, scale): (Expr, i8), (b, other): (Expr, i8)) -> Expr {
    decimal(&a, scale) * decimal(&b, other)
}

fn decimal(e: &Expr, scale: i8) -> Expr {
    cast(e.clone(), DataType::Decimal128(38, scale))
}

/// An aggregate over the rows for which a condition holds.
pub(in crate::compile::rows) fn filtered(aggregate: Expr, given: Option<Expr>) -> Option<Expr> {
    let Expr::AggregateFunction(mut f) = aggregate else { return None };
    f.params.filter = f.params.filter.take().map(|filter| *filter).into_iter().chain(given).reduce(Expr::and).map(Box::new);
    Some(Expr::AggregateFunction(f))
}
