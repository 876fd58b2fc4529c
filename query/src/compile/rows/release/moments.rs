//! Moments as aggregates over private rows.

use datafusion::{
    arrow::datatypes::DataType,
    functions_aggregate::expr_fn::{count, sum},
    logical_expr::{Case, Expr, ExprSchemable, lit},
};

use crate::compile::{
    SqlError,
    expr::{cast, said},
    facts::Known,
    internal, range,
    release::Moments,
    rows::form,
};
use crate::plan::relation::RowForm;

/// Integers as SUM takes them, so that SUM(x) and AVG(x) have one sum.
pub(super) fn wide_integer(expr: &Expr, schema: &datafusion::common::DFSchema) -> Expr {
    match expr.get_type(schema) {
        Ok(ty) if ty.is_integer() && !matches!(ty, DataType::Int64 | DataType::UInt64) && !matches!(expr, Expr::Literal(..)) => {
            cast(expr.clone(), DataType::Int64)
        }
        _ => expr.clone(),
    }
}

/// A moment: an aggregate, the form in which it is opened, what it is in words, and for what it is opened.
pub(super) struct Part {
    pub(super) aggregate: Expr,
    pub(super) form: RowForm,
    pub(super) words: String,
    pub(super) why: String,
}

/// Moments as aggregates over private rows.
pub(super) struct RowMoments<'m> {
    pub(super) schema: &'m datafusion::common::DFSchema,
    pub(super) columns: &'m [Known],
    pub(super) catalog: &'m crate::catalog::Catalog,
    pub(super) rows: i128,
    /// A group has a row.
    pub(super) grouped: bool,
    pub(super) args: Vec<Expr>,
    pub(super) filter: Option<Expr>,
    /// The aggregate of the query that is looked at.
    pub(super) why: String,
    pub(super) parts: Vec<Part>,
}

impl RowMoments<'_> {
    fn part(&mut self, aggregate: Expr, form: RowForm, words: String) -> usize {
        self.parts.iter().position(|p| p.aggregate == aggregate).unwrap_or_else(|| {
            self.parts.push(Part { aggregate, form, words, why: self.why.clone() });
            self.parts.len() - 1
        })
    }

    fn known(&self, of: usize) -> Known {
        form::known_of(&self.args[of], self.schema, self.columns, self.catalog)
    }

    /// FILTER, and that these are not NULL.
    fn given(&self, of: &[usize]) -> Option<Expr> {
        let constant = |i: &usize| matches!(&self.args[*i], Expr::Literal(v, _) if !v.is_null());
        let valid = of.iter().filter(|i| !constant(i)).filter(|i| self.known(**i).nullable).map(|i| self.args[*i].clone().is_not_null());
        self.filter.clone().into_iter().chain(valid).reduce(Expr::and)
    }
}

impl Moments for RowMoments<'_> {
    fn count(&mut self, of: &[usize]) -> Result<usize, SqlError> {
        let given = self.given(of);
        let words = given.as_ref().map_or_else(|| "number of rows".into(), |given| format!("number of rows with {}", said(given)));
        let expr = match given {
            None => count(lit(1i64)),
            Some(given) => count(Expr::Case(Case::new(None, vec![(Box::new(given), Box::new(lit(1i64)))], None))),
        };
        let form = form::field(range::Interval { min: 0, max: self.rows }, 0).ok_or_else(|| internal("a count is small"))?;
        Ok(self.part(expr, form, words))
    }

    fn sum(&mut self, product: &[usize], of: &[usize]) -> Result<usize, SqlError> {
        let mut range = range::Interval { min: 1, max: 1 };
        let mut scale = 0i8;
        let mut factors = Vec::new();
        let words = product.iter().map(|i| said(&self.args[*i])).collect::<Vec<_>>().join(" × ");
        let wide =
            || SqlError::width(format!("the sum of {words} can leave the numbers that are shared exactly"), "CAST it to fewer digits");
        for &i in product {
            let known = self.known(i);
            let own = self.scale(i)?;
            range = range.mul(known.range.filter(|_| known.wide.is_none()).ok_or_else(wide)?.with_zero()).ok_or_else(wide)?;
            scale += own;
            factors.push(cast(self.args[i].clone(), DataType::Decimal128(38, own)));
        }
        // a square is never negative
        if let [a, b] = product
            && a == b
        {
            range.min = 0;
        }
        let total = range.with_zero().times(self.rows).ok_or_else(wide)?;
        let form = form::field(total, scale).ok_or_else(wide)?;
        let value =
            if factors.len() == 1 { self.args[product[0]].clone() } else { factors.into_iter().reduce(|a, b| a * b).ok_or_else(wide)? };
        let others: Vec<_> = of.iter().copied().filter(|i| !product.contains(i)).collect();
        let given = self.given(&others);
        let over = given.as_ref().map(|given| format!(" over rows with {}", said(given))).unwrap_or_default();
        let expr = match given {
            None => sum(value),
            Some(given) => sum(Expr::Case(Case::new(None, vec![(Box::new(given), Box::new(value))], None))),
        };
        Ok(self.part(expr, form, format!("sum of {words}{over}")))
    }

    fn some(&mut self, of: &[usize]) -> Result<Option<usize>, SqlError> {
        let always = self.grouped && self.given(of).is_none();
        if always { Ok(None) } else { self.count(of).map(Some) }
    }

    fn scale(&mut self, of: usize) -> Result<i8, SqlError> {
        let known = self.known(of);
        let words = said(&self.args[of]);
        if let Some(why) = known.wide {
            return Err(SqlError::width(why, format!("CAST the operands of {words} to DECIMAL(38, s), or to fewer digits")));
        }
        range::scale(&known.ty).filter(|_| known.ty != DataType::Date32).ok_or_else(|| {
            SqlError::unsupported(
                format!("{words} is {}, which is not shared exactly", range::sql_type(&known.ty)),
                format!("CAST {words} to DECIMAL(p, s)"),
            )
        })
    }
}
