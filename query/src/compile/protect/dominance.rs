//! Of what comes out no one has more than so many per cent: the (n, k) rule for n = 1 (Hundepool et al., Statistical Disclosure Control, 2012, chapter 4).
//!
//! It holds for sums, and for all that follows from sums, and it is about the entities whose values are summed. Where rows are of named entities, the total of
//! each within a group is a window over the rows, and the greatest is its MAX in the group. Rows that are sums themselves carry the greatest share of one
//! entity beside each sum. An entity may be in several of them, and what is added up then are the greatest shares: no less than any one can have.
//! The whole of which no one may have too much is what all entities have together ([`Portions`]): constants in a sum are nobody's, and hide nobody.
//! A count is no sum: of who is counted each is one. Nor is a MIN, a MAX or a percentile, which is one row's by nature.

mod portions;

pub(super) use portions::{Mixed, Portion, Portions, Projected};

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, DFSchema, ScalarValue, tree_node::TreeNodeRecursion},
    functions::core::expr_fn::coalesce,
    functions_aggregate::{
        expr_fn::{max, sum},
        sum::sum_udaf,
    },
    logical_expr::{
        Case, Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, WindowFunctionDefinition, expr::WindowFunction,
    },
};

use super::{entities::unalias, refused};
use crate::compile::{
    SqlError,
    expr::{cast, said},
    facts::{self, Input},
    internal, range,
    release::{aggregate_function, exact_argument},
};

/// Whether a question sums anything.
pub(super) fn sums(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        let functions = match node {
            LogicalPlan::Aggregate(a) => a.aggr_expr.as_slice(),
            LogicalPlan::Window(w) => w.window_expr.as_slice(),
            _ => &[],
        };
        found |= functions.iter().any(|e| match unalias(e) {
            Expr::AggregateFunction(f) => moments(f.func.name()).is_some(),
            Expr::WindowFunction(f) => moments(f.fun.name()).is_some(),
            _ => false,
        });
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The products of its arguments that an aggregate sums.
fn moments(name: &str) -> Option<&'static [&'static [usize]]> {
    Some(match name {
        "sum" | "avg" => &[&[0]],
        "var" | "var_pop" | "stddev" | "stddev_pop" => &[&[0], &[0, 0]],
        "covar_samp" | "covar_pop" => &[&[0], &[1], &[0, 1]],
        "corr" => &[&[0], &[1], &[0, 0], &[1, 1], &[0, 1]],
        name if name.starts_with("regr_") && name != "regr_count" => &[&[0], &[1], &[0, 0], &[1, 1], &[0, 1]],
        _ => return None,
    })
}

/// Whether an aggregate sums.
pub(super) fn is_sum(aggregate: &Expr) -> bool {
    aggregate_function(aggregate).is_some_and(|f| moments(f.func.name()).is_some())
}

/// What is summed of a group: values, NULL in the rows that are left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summand {
    pub(super) value: Expr,
    pub(super) given: Option<Expr>,
    /// What the value is the product of, where an aggregate multiplies its arguments.
    factors: Vec<Expr>,
}

impl Summand {
    /// All that some aggregates sum, each once.
    pub(super) fn of(aggregates: &[Expr], input: Input<'_>) -> Result<Vec<Self>, SqlError> {
        let mut all: Vec<Self> = Vec::new();
        for e in aggregates {
            let f = aggregate_function(e).ok_or_else(|| internal("an aggregate is a function"))?;
            let Some(moments) = moments(f.func.name()) else { continue };
            if f.params.distinct {
                let what = format!("{}: of a value that several have, no one has a share", said(e));
                return Err(refused(what, "sum all values, without DISTINCT"));
            }
            let args: Vec<Expr> = f.params.args.iter().map(|e| exact(e, input.schema)).collect::<Result<_, _>>()?;
            // a pair counts where both are there
            let both = args.iter().filter(|_| args.len() > 1).filter(|e| facts::nullable(e, input)).map(|e| e.clone().is_not_null());
            let given = f.params.filter.as_deref().cloned().into_iter().chain(both).reduce(Expr::and);
            for product in moments {
                let factors: Option<Vec<Expr>> = match product {
                    [i] => args.get(*i).cloned().map(|value| vec![value]),
                    _ => product.iter().map(|i| wide(args.get(*i)?, input.schema)).collect(),
                };
                let value = factors.clone().and_then(multiplied);
                let (value, factors) = value.zip(factors).ok_or_else(|| internal("a moment is of the aggregate's arguments"))?;
                let summand = Summand { value, given: given.clone(), factors };
                if !all.contains(&summand) {
                    all.push(summand);
                }
            }
        }
        Ok(all)
    }

    /// Whether an aggregate is just this sum.
    pub(super) fn is(&self, e: &Expr, schema: &DFSchema) -> bool {
        let sum = aggregate_function(e).filter(|f| f.func.name() == "sum" && f.params.filter.as_deref() == self.given.as_ref());
        sum.and_then(|f| exact(f.params.args.first()?, schema).ok()).is_some_and(|value| value == self.value)
    }

    fn only(&self, value: Expr) -> Expr {
        match &self.given {
            None => value,
            Some(given) => Expr::Case(Case::new(None, vec![(Box::new(given.clone()), Box::new(value))], None)),
        }
    }

    /// What entities have of the value; `None` if it is made of other values.
    pub(super) fn portion(&self, portions: &Portions, input: Input<'_>) -> Result<Option<Portion>, Mixed> {
        match portions.of(&self.value, input) {
            // what an aggregate multiplies it sums by itself as well, so that constants are looked at there
            Err(mixed) if self.factors.len() > 1 => {
                let factors = self.factors.iter().map(|e| portions.of(e, input)).collect::<Result<Option<Vec<_>>, _>>()?;
                let rows: Option<Vec<Expr>> = factors.into_iter().flatten().map(Portion::of_row).collect();
                let whole = rows.filter(|rows| !rows.is_empty()).and_then(multiplied);
                whole.map(|whole| Some(Portion { greatest: whole.clone(), whole })).ok_or(mixed)
            }
            known => known,
        }
    }

    /// Whether all of the value is of entities.
    pub(super) fn is_total(&self, total: &Expr) -> bool {
        self.total(self.value.clone()) == *total
    }

    /// The total of what entities have in all rows.
    pub(super) fn total(&self, whole: Expr) -> Expr {
        sum(self.only(whole))
    }

    /// The total of each row's entity in its group, as a window over the rows.
    pub(super) fn of_entity(&self, whole: Expr, groups: &[Expr], entity: &Column) -> Result<Expr, SqlError> {
        let by = groups.iter().map(|g| unalias(g).clone()).chain([Expr::Column(entity.clone())]).collect();
        let total = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(sum_udaf()), vec![self.only(whole)]);
        Expr::from(total).partition_by(by).build().map_err(internal)
    }

    /// The greatest portion of rows, so many times.
    pub(super) fn greatest(&self, portion: Expr, times: u128, schema: &DFSchema) -> Result<Expr, SqlError> {
        match times {
            1 => Ok(max(self.only(portion))),
            _ => multiple(portion, times, schema).map(|all| max(self.only(all))),
        }
    }

    /// The greatest portions of all rows.
    pub(super) fn portions(&self, portion: Expr) -> Expr {
        sum(self.only(portion))
    }
}

/// Whether a number can be below 0, for all that is known of it.
pub(super) fn may_be_negative(e: &Expr, input: Input<'_>) -> bool {
    facts::of_expr(e, input).range.is_none_or(|range| range.min < 0)
}

/// Whether a portion is at most so many per cent of the whole; NULL is 0.
pub(super) fn within(greatest: Expr, whole: Expr, percent: u64, types: &[DataType; 2]) -> Result<Expr, SqlError> {
    let [of_greatest, of_whole] = types;
    let term = |e: Expr, times: u64, ty: &DataType| {
        let zero = Expr::Literal(ScalarValue::new_zero(ty).map_err(internal)?, None);
        product(coalesce(vec![e, zero]), times.into(), ty)
    };
    Ok(term(greatest, 100, of_greatest)?.lt_eq(term(whole, percent, of_whole)?))
}

/// What is negative where a row adds too much of one entity: `percent` × whole − 100 × portion.
pub(super) fn left(portion: Expr, whole: Expr, percent: u64, schema: &DFSchema) -> Result<Expr, SqlError> {
    Ok(multiple(whole, percent.into(), schema)? - multiple(portion, 100, schema)?)
}

/// The rows with more columns, windows over the same partition.
pub(super) fn with_windows(plan: LogicalPlan, windows: Vec<Expr>) -> Result<LogicalPlan, SqlError> {
    match windows.is_empty() {
        true => Ok(plan),
        false => LogicalPlanBuilder::from(plan).window(windows).and_then(|b| b.build()).map_err(internal),
    }
}

fn multiple(e: Expr, times: u128, schema: &DFSchema) -> Result<Expr, SqlError> {
    let ty = e.get_type(schema).map_err(internal)?;
    product(e, times, &ty)
}

/// So many times a number, exactly.
fn product(e: Expr, times: u128, ty: &DataType) -> Result<Expr, SqlError> {
    let scale = range::number(ty).ok_or_else(|| internal("a share of a number"))?;
    let times = i128::try_from(times).map_err(internal)?;
    let digits = u8::try_from(times.to_string().len()).map_err(internal)?;
    Ok(cast(e, DataType::Decimal128(38, scale)) * Expr::Literal(ScalarValue::Decimal128(Some(times), digits, 0), None))
}

/// A value as it is summed: exact, and as wide as its sum.
fn exact(e: &Expr, schema: &DFSchema) -> Result<Expr, SqlError> {
    let e = exact_argument(e, schema);
    Ok(match e.get_type(schema).map_err(internal)? {
        DataType::Int8 | DataType::Int16 | DataType::Int32 => cast(e.clone(), DataType::Int64),
        _ => e.clone(),
    })
}

fn wide(e: &Expr, schema: &DFSchema) -> Option<Expr> {
    let scale = range::number(&e.get_type(schema).ok()?)?;
    Some(cast(e.clone(), DataType::Decimal128(38, scale)))
}

fn multiplied(factors: Vec<Expr>) -> Option<Expr> {
    factors.into_iter().reduce(|a, b| a * b)
}
