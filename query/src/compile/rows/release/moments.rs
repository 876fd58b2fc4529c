//! Moments as aggregates over private rows.

use datafusion::{
    arrow::datatypes::DataType,
    functions_aggregate::expr_fn::{count, count_distinct, sum, sum_distinct},
    logical_expr::{
        Case, Expr, ExprSchemable,
        expr::{AggregateFunction, AggregateFunctionParams},
        lit,
    },
};

use crate::compile::{
    SqlError,
    expr::{cast, said},
    facts::Known,
    internal, range,
    release::{Moments, exact_argument, is_statistic, statistic},
    rows::form,
};
use crate::{
    percentile::{self, Rank},
    plan::{Finish, relation::RowForm},
};

/// Integers as SUM takes them, so that SUM(x) and AVG(x) have one sum.
pub(in crate::compile::rows) fn wide_integer(expr: &Expr, schema: &datafusion::common::DFSchema) -> Expr {
    match expr.get_type(schema) {
        Ok(ty) if ty.is_integer() && !matches!(ty, DataType::Int64 | DataType::UInt64) && !matches!(expr, Expr::Literal(..)) => {
            cast(expr.clone(), DataType::Int64)
        }
        _ => expr.clone(),
    }
}

/// What is wrong with a percentile.
pub(in crate::compile) fn no_percentile(p: &Expr) -> SqlError {
    SqlError::unsupported(format!("{} is no percentile", said(p)), "write a number from 0 to 1 with at most 15 digits")
}

/// The value in rows in which the condition is true, else NULL.
fn only(given: Option<Expr>, value: Expr) -> Expr {
    match given {
        None => value,
        Some(given) => Expr::Case(Case::new(None, vec![(Box::new(given), Box::new(value))], None)),
    }
}

/// Which rows a sum is over, in words.
fn over(given: Option<&Expr>) -> String {
    given.map(|given| format!(" over rows with {}", said(given))).unwrap_or_default()
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
    /// Of the one argument, each value once.
    pub(super) distinct: bool,
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

    /// Number of rows in which none of these arguments is NULL.
    fn rows(&mut self, of: &[usize]) -> Result<usize, SqlError> {
        let given = self.given(of);
        let words = given.as_ref().map_or_else(|| "number of rows".into(), |given| format!("number of rows with {}", said(given)));
        let expr = count(only(given, lit(1i64)));
        self.counted(expr, words)
    }

    fn counted(&mut self, expr: Expr, words: String) -> Result<usize, SqlError> {
        let form = form::field(range::Interval { min: 0, max: self.rows }, 0).ok_or_else(|| internal("a count is small"))?;
        Ok(self.part(expr, form, words))
    }
}

/// How an aggregate of the query is released.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// As a column.
    Itself,
    /// As this moment.
    Moment(usize),
    /// It follows from moments.
    Finish(Finish),
}

impl RowMoments<'_> {
    /// How the aggregate that is looked at is released.
    pub(super) fn how(&mut self, f: &AggregateFunction, expr: &Expr) -> Result<How, SqlError> {
        let (name, params) = (f.func.name(), &f.params);
        let floating = expr.get_type(self.schema).is_ok_and(|ty| ty.is_floating());
        // of distinct values, only what follows from their number and sum
        let linear = matches!(name, "count" | "sum" | "avg") && params.args.len() == 1;
        Ok(match (name, params.args.as_slice(), params.order_by.as_slice()) {
            (name, args, []) if is_statistic(name) && (!params.distinct || linear) => How::Finish(statistic(name, args.len(), self)?),
            ("percentile_cont", [_, p], by) if !params.distinct => How::Finish(self.percentile(p, by.first().is_some_and(|by| !by.asc))?),
            ("median", [_], []) if floating && !params.distinct => How::Moment(self.exact(f)?),
            ("min" | "max", [_], _) if floating => How::Moment(self.exact(f)?),
            (name, ..) if params.distinct && !matches!(name, "min" | "max") => {
                let what = format!("{}(DISTINCT …) over several owners' data is not supported", name.to_uppercase());
                return Err(SqlError::unsupported(what, "take the distinct values in a sub-query"));
            }
            _ => How::Itself,
        })
    }

    /// PERCENTILE_CONT: the number of values, and the two between which it lies.
    pub(super) fn percentile(&mut self, p: &Expr, descending: bool) -> Result<Finish, SqlError> {
        let (a, b) = percentile::fraction(p).ok_or_else(|| no_percentile(p))?;
        let of = if descending { (b - a, b) } else { (a, b) };
        let (n, scale) = (self.rows(&[0])?, self.scale(0)?);
        let mut neighbour = |rank: Rank, where_: &str| {
            let value = self.args[0].clone();
            let words = format!("the value of {} at percentile {}, or the next {where_}", said(&value), said(p));
            let form = form::natural(&self.known(0), None, &said(&value))?;
            Ok(self.part(rank.call(value, of, self.filter.clone()), form, words))
        };
        Ok(Finish::Percentile {
            n,
            lower: neighbour(Rank::Below, "below")?,
            upper: neighbour(Rank::Above, "above")?,
            scale,
            of,
            descending,
        })
    }

    /// An aggregate that DataFusion makes a DOUBLE, of the exact values: its moment. A median has one digit more, for the mean of two values.
    pub(super) fn exact(&mut self, f: &AggregateFunction) -> Result<usize, SqlError> {
        let scale = self.scale(0)?;
        if f.func.name() == "median" {
            self.args[0] = cast(self.args[0].clone(), DataType::Decimal128(38, scale + 1));
        }
        let form = form::natural(&self.known(0), None, &said(&self.args[0]))?;
        let params = AggregateFunctionParams { args: self.args.clone(), ..f.params.clone() };
        let aggregate = Expr::AggregateFunction(AggregateFunction { func: f.func.clone(), params });
        let words = said(&aggregate);
        Ok(self.part(aggregate, form, words))
    }
}

impl Moments for RowMoments<'_> {
    fn count(&mut self, of: &[usize]) -> Result<usize, SqlError> {
        if !self.distinct {
            return self.rows(of);
        }
        // of the query's own COUNT(DISTINCT x), if it has one
        let (value, filter) = (exact_argument(&self.args[of[0]], self.schema).clone(), self.filter.clone());
        let words = format!("number of distinct {}{}", said(&value), over(filter.as_ref()));
        self.counted(count_distinct(only(filter, value)), words)
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
        let over = over(given.as_ref());
        let value = only(given, value);
        Ok(match self.distinct {
            false => self.part(sum(value), form, format!("sum of {words}{over}")),
            true => self.part(sum_distinct(value), form, format!("sum of distinct {words}{over}")),
        })
    }

    fn some(&mut self, of: &[usize]) -> Result<Option<usize>, SqlError> {
        let always = self.grouped && self.given(of).is_none();
        if always { Ok(None) } else { self.rows(of).map(Some) }
    }

    fn scale(&mut self, of: usize) -> Result<i8, SqlError> {
        let known = self.known(of);
        let words = said(&self.args[of]);
        if let Some(why) = known.wide {
            return Err(SqlError::width(why, format!("CAST the operands of {words} to DECIMAL(38, s), or to fewer digits")));
        }
        range::number(&known.ty).ok_or_else(|| {
            SqlError::unsupported(
                format!("{words} is {}, which is not shared exactly", range::sql_type(&known.ty)),
                if known.ty.is_temporal() { range::as_number(&words, &known.ty) } else { format!("CAST {words} to DECIMAL(p, s)") },
            )
        })
    }
}
