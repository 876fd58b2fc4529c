//! Of what comes out no one has more than so many per cent: the (n, k) rule for n = 1 (Hundepool et al., Statistical Disclosure Control, 2012, chapter 4).
//!
//! It holds for sums, and for all that follows from sums, and it is about the entities whose values are summed. Where rows are of named entities, the total of
//! each within a group is a window over the rows, and the greatest is its MAX in the group. Rows that are sums themselves carry the greatest share of one
//! entity beside each sum. An entity may be in several of them, and what is added up then are the greatest shares: no less than any one can have.
//! A count is no sum: of who is counted each is one. Nor is a MIN, a MAX or a percentile, which is one row's by nature.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, DFSchema, ScalarValue, tree_node::TreeNodeRecursion},
    functions::core::expr_fn::coalesce,
    functions_aggregate::{
        expr_fn::{max, sum},
        sum::sum_udaf,
    },
    logical_expr::{
        Case, Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, WindowFunctionDefinition,
        expr::WindowFunction,
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
                let value = match product {
                    [i] => args.get(*i).cloned(),
                    _ => product.iter().map(|i| wide(args.get(*i)?, input.schema)).collect::<Option<Vec<_>>>().and_then(multiplied),
                };
                let value = value.ok_or_else(|| internal("a moment is of the aggregate's arguments"))?;
                let summand = Summand { value, given: given.clone() };
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

    pub(super) fn total(&self) -> Expr {
        sum(self.only(self.value.clone()))
    }

    /// The total of each row's entity in its group, as a window over the rows.
    pub(super) fn of_entity(&self, groups: &[Expr], entity: &Column) -> Result<Expr, SqlError> {
        let by = groups.iter().map(|g| unalias(g).clone()).chain([Expr::Column(entity.clone())]).collect();
        let total = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(sum_udaf()), vec![self.only(self.value.clone())]);
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

/// How a row's columns are made of the values of a data set.
#[derive(Clone, Debug, Default)]
pub(super) struct Portions {
    /// Of these columns, the most that one entity has: the column itself, where that may be all.
    of: BTreeMap<Column, Expr>,
    /// Those of them that are computed of sums.
    summed: BTreeSet<Column>,
    /// Sums that the row shows: the most that one entity has of each, and the whole.
    sums: Vec<(Expr, Expr)>,
}

impl Portions {
    /// All of these columns may be of one.
    pub(super) fn whole(columns: impl IntoIterator<Item = Column>) -> Self {
        Portions { of: columns.into_iter().map(|c| (c.clone(), Expr::Column(c))).collect(), ..Portions::default() }
    }

    pub(super) fn add(&mut self, column: Column, portion: Expr) {
        self.of.insert(column, portion);
    }

    /// A column is computed of sums.
    pub(super) fn sum(&mut self, column: Column) {
        self.summed.insert(column);
    }

    /// Whether a value is computed of sums.
    pub(super) fn summed(&self, e: &Expr) -> bool {
        e.column_refs().into_iter().any(|c| self.summed.contains(c))
    }

    pub(super) fn show(&mut self, greatest: Expr, whole: Expr) {
        self.sums.push((greatest, whole));
    }

    pub(super) fn sums(&self) -> &[(Expr, Expr)] {
        &self.sums
    }

    pub(super) fn concern(&self, e: &Expr) -> bool {
        e.column_refs().into_iter().any(|c| self.of.contains_key(c))
    }

    /// The most that one entity has of a value that is not negative; `None` if it is made of other values.
    pub(super) fn of(&self, e: &Expr, input: Input<'_>) -> Option<Expr> {
        // what is not seen through may be all of one
        let same = |of: &Expr| of.get_type(input.schema).ok() == e.get_type(input.schema).ok();
        self.concern(e).then(|| self.parts(e, input).filter(same).unwrap_or_else(|| e.clone()))
    }

    fn parts(&self, e: &Expr, input: Input<'_>) -> Option<Expr> {
        let of = |e: &Expr| self.of(e, input);
        match e {
            Expr::Column(c) => self.of.get(c).cloned(),
            Expr::Alias(a) => of(&a.expr),
            Expr::Cast(c) => {
                let to = c.field.data_type();
                let digits = |ty: &DataType| range::number(ty);
                let exact = digits(&c.expr.get_type(input.schema).ok()?) <= digits(to);
                of(&c.expr).filter(|_| exact).map(|of| cast(of, to.clone()))
            }
            Expr::BinaryExpr(b) if !may_be_negative(&b.left, input) && !may_be_negative(&b.right, input) => {
                match (b.op, of(&b.left), of(&b.right)) {
                    (Operator::Plus, Some(left), Some(right)) => Some(left + right),
                    (Operator::Plus, left, right) => left.or(right),
                    (Operator::Multiply, Some(left), None) => Some(left * b.right.as_ref().clone()),
                    (Operator::Multiply, None, Some(right)) => Some(b.left.as_ref().clone() * right),
                    _ => None,
                }
            }
            Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
                ("coalesce", [x, other]) if !self.concern(other) => of(x),
                _ => None,
            },
            Expr::Case(c) if c.expr.is_none() => self.chosen(c, input),
            _ => None,
        }
    }

    fn chosen(&self, c: &Case, input: Input<'_>) -> Option<Expr> {
        let branch = |then: &Expr| match self.of(then, input) {
            _ if may_be_negative(then, input) => None,
            Some(of) => Some(of),
            None => Some(Expr::Literal(ScalarValue::new_zero(&then.get_type(input.schema).ok()?).ok()?, None)),
        };
        let when = c.when_then_expr.iter().map(|(when, then)| Some((when.clone(), Box::new(branch(then)?)))).collect::<Option<_>>()?;
        let otherwise = match &c.else_expr {
            Some(e) => Some(Box::new(branch(e)?)),
            None => None,
        };
        Some(Expr::Case(Case::new(None, when, otherwise)))
    }

    /// All columns that they are read from.
    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        let exprs = self.of.values().chain(self.sums.iter().flat_map(|(greatest, whole)| [greatest, whole]));
        exprs.flat_map(|e| e.column_refs().into_iter().cloned()).collect::<Vec<_>>().into_iter()
    }

    /// The same with columns of other names.
    pub(super) fn moved(&self, to: impl Fn(&Expr) -> Result<Expr, SqlError>) -> Result<Self, SqlError> {
        let mut moved = Portions::default();
        for (column, portion) in &self.of {
            if let Expr::Column(column) = to(&Expr::Column(column.clone()))? {
                moved.of.insert(column, to(portion)?);
            }
        }
        for column in &self.summed {
            if let Expr::Column(column) = to(&Expr::Column(column.clone()))? {
                moved.summed.insert(column);
            }
        }
        for (greatest, whole) in &self.sums {
            moved.sums.push((to(greatest)?, to(whole)?));
        }
        Ok(moved)
    }

    /// The same of the first `own` of some expressions, with what is needed for it added to these.
    pub(super) fn projected(&self, exprs: &mut Vec<Expr>, own: usize, input: Input<'_>, mut name: impl FnMut() -> String) -> Projected {
        let mut place = |exprs: &mut Vec<Expr>, e: Expr| {
            exprs.iter().position(|p| *unalias(p) == e).unwrap_or_else(|| {
                exprs.push(e.alias(name()));
                exprs.len() - 1
            })
        };
        let mut projected = Projected::default();
        for i in 0..own {
            let value = unalias(&exprs[i]).clone();
            projected.summed.extend(self.summed(&value).then_some(i));
            match self.of(&value, input) {
                Some(of) if of == value => projected.of.push((i, i)),
                Some(of) => projected.of.push((i, place(exprs, of))),
                None => {}
            }
        }
        for (greatest, whole) in &self.sums {
            projected.sums.push((place(exprs, greatest.clone()), place(exprs, whole.clone())));
        }
        projected
    }
}

/// [`Portions`] by the places of columns.
#[derive(Default)]
pub(super) struct Projected {
    of: Vec<(usize, usize)>,
    summed: Vec<usize>,
    sums: Vec<(usize, usize)>,
}

impl Projected {
    pub(super) fn at(self, column: impl Fn(usize) -> Column) -> Portions {
        let expr = |place| Expr::Column(column(place));
        Portions {
            of: self.of.into_iter().map(|(c, portion)| (column(c), expr(portion))).collect(),
            summed: self.summed.into_iter().map(&column).collect(),
            sums: self.sums.into_iter().map(|(greatest, whole)| (expr(greatest), expr(whole))).collect(),
        }
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
