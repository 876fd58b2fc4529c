//! Which rows an aggregate is made of: those that FILTER lets pass, in which its arguments are not NULL, and in which no CASE of it says 0. A sum of
//! `CASE WHEN … THEN x ELSE 0 END` is made of the rows of its THEN, and one of `CASE WHEN … THEN x ELSE 2 END` of two kinds of rows: whoever is alone in one is found by taking off
//! the other, of which everybody knows the value. So each kind is looked at by itself.
//!
//! A value that is more than a table's own column (a product, weights of a public table, what a sub-query or a UNION has made) may be 0 for all but one without a CASE: of such a term of a sum those
//! rows are counted in which no factor is 0.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Cast, Expr, ExprSchemable, Operator, TryCast, lit},
};

use super::{dominance::is_sum, entities::unalias, refused};
use crate::compile::{
    SqlError,
    expr::{Reads, cast, said},
    facts::{self, Input},
    internal, range,
    release::aggregate_function,
};

/// The conditions of the kinds of rows that some aggregates are made of; none: all rows. What is said of fewer rows is said of all.
pub(super) fn each(aggregates: &[Expr], input: Input<'_>) -> Result<Vec<Option<Expr>>, SqlError> {
    let mut all = Vec::new();
    for e in aggregates {
        let Made { taken, kinds, .. } = Made::of(e, input)?;
        let before = all.len();
        for kind in &kinds {
            let when = and(taken.clone(), kind.when.clone());
            let weighed = kind.weighed(e, input)?;
            match weighed.is_empty() {
                true => all.push(when),
                false => all.extend(weighed.into_iter().map(|there| and(when.clone(), Some(there)))),
            }
        }
        if all.len() == before {
            all.push(Some(lit(false)));
        }
    }
    Ok(once(all))
}

/// Whether a question chooses which rows some aggregates are made of.
pub(super) fn chooses(aggregates: &[Expr], input: Input<'_>) -> Result<bool, SqlError> {
    for e in aggregates {
        let filtered = aggregate_function(e).is_some_and(|f| f.params.filter.is_some());
        let Made { kinds, whole, .. } = Made::of(e, input)?;
        if filtered || !whole || kinds.len() > 1 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The conditions of the rows that some aggregates are made of, of whatever kind.
pub(super) fn of_all(aggregates: &[Expr], input: Input<'_>) -> Result<Vec<Option<Expr>>, SqlError> {
    aggregates.iter().map(|e| of(e, input)).collect::<Result<_, _>>().map(once)
}

/// Each condition once; no condition only where there is no other.
fn once(conditions: Vec<Option<Expr>>) -> Vec<Option<Expr>> {
    let mut all: Vec<Option<Expr>> = Vec::new();
    for condition in conditions.into_iter().filter(Option::is_some) {
        if !all.contains(&condition) {
            all.push(condition);
        }
    }
    if all.is_empty() { vec![None] } else { all }
}

/// The condition of all rows that one aggregate is made of; `None`: all.
pub(super) fn of(aggregate: &Expr, input: Input<'_>) -> Result<Option<Expr>, SqlError> {
    let Made { taken, kinds, whole } = Made::of(aggregate, input)?;
    if whole {
        return Ok(taken);
    }
    let any = kinds.into_iter().map(|kind| kind.when.unwrap_or_else(|| lit(true))).reduce(Expr::or);
    Ok(and(taken, Some(any.unwrap_or_else(|| lit(false)))))
}

/// Kinds of rows that the arguments of an aggregate may have at most: each is counted by itself.
const MOST: usize = 64;

/// What an aggregate is made of.
struct Made {
    /// Which rows it takes, whatever it makes of them; `None`: all.
    taken: Option<Expr>,
    /// The kinds of them, but for one of which it makes nothing.
    kinds: Vec<Kind>,
    /// Whether there is no such kind.
    whole: bool,
}

/// Rows in which arguments choose alike.
#[derive(Clone)]
struct Kind {
    when: Option<Expr>,
    /// The arguments there, without a choice.
    values: Vec<Expr>,
}

impl Made {
    fn of(e: &Expr, input: Input<'_>) -> Result<Self, SqlError> {
        let f = aggregate_function(e).ok_or_else(|| internal("an aggregate is a function"))?;
        let args: Vec<&Expr> = f.params.args.iter().filter(|arg| !matches!(arg, Expr::Literal(v, _) if !v.is_null())).collect();
        let there = args.iter().filter(|arg| facts::nullable(arg, input)).map(|arg| (*arg).clone().is_not_null());
        let taken = f.params.filter.as_deref().cloned().into_iter().chain(there).reduce(Expr::and);
        if f.func.name() == "count" && !f.params.distinct {
            return Ok(Made { taken, kinds: vec![Kind { when: None, values: Vec::new() }], whole: true });
        }
        // one of two values, as a CASE has them
        let value = |e: &Expr| if is_condition(e, input.schema) { cast(e.clone(), DataType::Int64) } else { e.clone() };
        let whole = Kind { when: None, values: args.into_iter().map(value).collect() };
        let adds = f.func.name() == "sum";
        let mut kinds = whole.apart(input, adds).ok_or_else(|| {
            let what = format!("{} has more than {MOST} kinds of rows by its CASEs, and by a contract each must be of enough", said(e));
            refused(what, "write an aggregate with FILTER (WHERE …) for each, or fewer cases")
        })?;
        let all = kinds.len();
        if all > 1 {
            kinds.retain(|kind| !kind.is_none(adds));
        }
        Ok(Made { taken, whole: kinds.len() == all, kinds })
    }
}

impl Kind {
    /// By all choices, those that end alike as one; `None` if they are too many.
    fn apart(self, input: Input<'_>, adds: bool) -> Option<Vec<Kind>> {
        let (mut open, mut done) = (vec![self], Vec::<Kind>::new());
        while let Some(kind) = open.pop() {
            let choice = kind.values.iter().enumerate().find_map(|(at, value)| Some((at, choice(value, input)?)));
            let Some((at, (chosen, branches))) = choice else {
                match done.iter_mut().find(|other| other.values == kind.values || (other.is_none(adds) && kind.is_none(adds))) {
                    Some(other) => other.when = other.when.take().zip(kind.when).map(|(a, b)| a.or(b)),
                    None => done.push(kind),
                }
                continue;
            };
            // the last first, as the first is taken up next
            for (when, value) in branches.into_iter().rev() {
                let mut values = kind.values.clone();
                values[at] = replaced(&values[at], &chosen, &value);
                open.push(Kind { when: and(kind.when.clone(), when), values });
            }
            if open.len() + done.len() > MOST {
                return None;
            }
        }
        Some(done)
    }

    /// Whether the aggregate makes nothing of these rows: what is NULL is passed over, and of what is added up 0 is nothing.
    fn is_none(&self, adds: bool) -> bool {
        self.values.iter().any(|value| is_null(value) || (adds && is_zero(value)))
    }

    /// Where terms of a sum are not 0 that are more than a table's own column.
    fn weighed(&self, e: &Expr, input: Input<'_>) -> Result<Vec<Expr>, SqlError> {
        let mut all = Vec::new();
        if !is_sum(e) {
            return Ok(all);
        }
        for factors in self.values.iter().flat_map(terms).map(factors) {
            if factors.is_empty() || matches!(factors[..], [factor] if facts::of_expr(factor, input).own) {
                continue;
            }
            let not_zero = factors.into_iter().map(|factor| {
                let ty = factor.get_type(input.schema).map_err(internal)?;
                Ok(factor.clone().not_eq(Expr::Literal(ScalarValue::new_zero(&ty).map_err(internal)?, None)))
            });
            let not_zero = not_zero.collect::<Result<Vec<_>, SqlError>>()?;
            all.extend(not_zero.into_iter().reduce(Expr::and));
        }
        Ok(all)
    }
}

/// What is added up to a value.
fn terms(e: &Expr) -> Vec<&Expr> {
    match e {
        Expr::Alias(a) => terms(&a.expr),
        Expr::Cast(c) => terms(&c.expr),
        Expr::Negative(e) => terms(e),
        Expr::BinaryExpr(b) if matches!(b.op, Operator::Plus | Operator::Minus) => [terms(&b.left), terms(&b.right)].concat(),
        e => vec![e],
    }
}

/// What decides whether a term is 0: its factors, without literals and what it is divided by.
fn factors(e: &Expr) -> Vec<&Expr> {
    match e {
        Expr::Alias(a) => factors(&a.expr),
        Expr::Cast(c) => factors(&c.expr),
        Expr::Negative(e) => factors(e),
        Expr::BinaryExpr(b) if b.op == Operator::Multiply => [factors(&b.left), factors(&b.right)].concat(),
        Expr::BinaryExpr(b) if b.op == Operator::Divide => factors(&b.left),
        e if e.reads().is_empty() => Vec::new(),
        e => vec![e],
    }
}

/// What a value may be, and where.
type Branches = Vec<(Option<Expr>, Expr)>;

/// The first choice in a value.
fn choice(e: &Expr, input: Input<'_>) -> Option<(Expr, Branches)> {
    let mut found = None;
    if is_fact(e, input) {
        return None;
    }
    let _ = e.apply(|e| {
        found = branches(e, input).map(|branches| (e.clone(), branches));
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

fn branches(e: &Expr, input: Input<'_>) -> Option<Branches> {
    let null = || lit(ScalarValue::Null);
    match e {
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. })
            if matches!(expr.get_type(input.schema), Ok(DataType::Boolean)) =>
        {
            let holds = expr.as_ref().clone();
            Some(vec![(Some(holds.clone().is_true()), lit(1i64)), (Some(holds.is_not_true()), lit(0i64))])
        }
        Expr::Case(c) => {
            let whens = c.when_then_expr.iter().map(|(when, then)| {
                let when = match &c.expr {
                    Some(base) => base.as_ref().clone().eq(when.as_ref().clone()),
                    None => when.as_ref().clone(),
                };
                (when, then.as_ref().clone())
            });
            Some(in_turn(whens, c.else_expr.as_deref().cloned().unwrap_or_else(null)))
        }
        Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            ("coalesce" | "nvl" | "ifnull", all) => {
                let sure = all.iter().position(|x| !facts::nullable(x, input)).unwrap_or(all.len() - 1);
                Some(in_turn(all[..sure].iter().map(|x| (x.clone().is_not_null(), x.clone())), all[sure].clone()))
            }
            ("nvl2", [x, there, not]) => Some(in_turn(std::iter::once((x.clone().is_not_null(), there.clone())), not.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a value is the truth of a condition, and no column's.
pub(super) fn is_condition(e: &Expr, schema: &DFSchema) -> bool {
    !matches!(unalias(e), Expr::Column(_) | Expr::Literal(..)) && matches!(e.get_type(schema), Ok(DataType::Boolean))
}

/// Whether a whole value is a table's column, or a literal where that has none: which rows these are is a fact of the table, and no question's choice.
fn is_fact(e: &Expr, input: Input<'_>) -> bool {
    let (x, other) = match e {
        Expr::Alias(a) => return is_fact(&a.expr, input),
        Expr::Cast(c) => return is_fact(&c.expr, input),
        Expr::Case(c) => match (c.when_then_expr.as_slice(), c.else_expr.as_deref()) {
            ([(when, then)], Some(other)) if matches!(when.as_ref(), Expr::IsNotNull(x) if x == then) => (then.as_ref(), other),
            _ => return false,
        },
        Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            ("coalesce" | "nvl" | "ifnull", [x, other]) => (x, other),
            _ => return false,
        },
        _ => return false,
    };
    facts::of_expr(x, input).own && other.reads().is_empty() && !is_zero(other)
}

/// The first whose condition is true, or the last.
fn in_turn(whens: impl Iterator<Item = (Expr, Expr)>, last: Expr) -> Branches {
    let mut before: Option<Expr> = None;
    let mut all = Vec::new();
    for (when, then) in whens {
        all.push((and(before.clone(), Some(when.clone().is_true())), then));
        before = and(before, Some(when.is_not_true()));
    }
    all.push((before, last));
    all
}

/// A value with another part in place of one.
fn replaced(e: &Expr, part: &Expr, by: &Expr) -> Expr {
    let whole = e
        .clone()
        .transform_down(|e| Ok(if e == *part { Transformed::new(by.clone(), true, TreeNodeRecursion::Jump) } else { Transformed::no(e) }));
    whole.map_or_else(|_| e.clone(), |t| t.data)
}

fn and(a: Option<Expr>, b: Option<Expr>) -> Option<Expr> {
    [a, b].into_iter().flatten().reduce(Expr::and)
}

/// Whether a value without a choice is NULL.
pub(super) fn is_null(e: &Expr) -> bool {
    match e {
        Expr::Alias(a) => is_null(&a.expr),
        Expr::Cast(c) => is_null(&c.expr),
        Expr::TryCast(c) => is_null(&c.expr),
        Expr::Negative(e) => is_null(e),
        Expr::Literal(v, _) => v.is_null(),
        Expr::BinaryExpr(b) if b.op.is_numerical_operators() => is_null(&b.left) || is_null(&b.right),
        Expr::ScalarFunction(f) => matches!(f.name(), "abs" | "round" | "trunc") && f.args.first().is_some_and(is_null),
        _ => false,
    }
}

/// Whether a value without a choice is 0 or NULL.
pub(super) fn is_zero(e: &Expr) -> bool {
    match e {
        Expr::Alias(a) => is_zero(&a.expr),
        Expr::Cast(c) => is_zero(&c.expr),
        Expr::Negative(e) => is_zero(e),
        Expr::Literal(v, _) => v.is_null() || range::literal(v).is_some_and(|i| i == range::Interval::ZERO),
        Expr::BinaryExpr(b) => match b.op {
            Operator::Multiply => is_zero(&b.left) || is_zero(&b.right),
            Operator::Divide => is_zero(&b.left),
            Operator::Plus | Operator::Minus => is_zero(&b.left) && is_zero(&b.right),
            _ => false,
        },
        Expr::ScalarFunction(f) => matches!(f.name(), "abs" | "round" | "trunc") && f.args.first().is_some_and(is_zero),
        _ => false,
    }
}
