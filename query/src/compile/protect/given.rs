//! Which rows an aggregate is made of: those that FILTER lets pass, in which its arguments are not NULL, and in which no CASE of it says 0. A sum of
//! `CASE WHEN … THEN x ELSE 0 END` is made of the rows of its THEN, and one of `CASE WHEN … THEN x ELSE 2 END` of two kinds of rows: whoever is alone in one is found by taking off
//! the other, of which everybody knows the value. So each kind is looked at by itself.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, ExprSchemable, Operator, lit},
};

use super::{entities::unalias, refused};
use crate::compile::{
    SqlError,
    expr::{cast, said},
    facts::{self, Input},
    internal, range,
    release::aggregate_function,
};

/// The conditions of the kinds of rows that some aggregates are made of; none: all rows. What is said of fewer rows is said of all.
pub(super) fn each(aggregates: &[Expr], input: Input<'_>) -> Result<Vec<Option<Expr>>, SqlError> {
    let mut all = Vec::new();
    for e in aggregates {
        let (taken, kinds) = Kind::of_aggregate(e, input)?;
        let before = all.len();
        all.extend(kinds.iter().filter(|kind| !kind.is_zero()).map(|kind| and(taken.clone(), kind.when.clone())));
        if all.len() == before {
            all.push(if kinds.is_empty() { taken } else { Some(lit(false)) });
        }
    }
    Ok(once(all))
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
    let (taken, kinds) = Kind::of_aggregate(aggregate, input)?;
    if !kinds.iter().any(Kind::is_zero) {
        return Ok(taken);
    }
    let any = kinds.into_iter().filter(|kind| !kind.is_zero()).map(|kind| kind.when.unwrap_or_else(|| lit(true))).reduce(Expr::or);
    Ok(and(taken, Some(any.unwrap_or_else(|| lit(false)))))
}

/// Kinds of rows that the arguments of an aggregate may have at most: each is counted by itself.
const MOST: usize = 64;

/// Rows in which arguments choose alike.
#[derive(Clone)]
struct Kind {
    when: Option<Expr>,
    /// The arguments there, without a choice.
    values: Vec<Expr>,
}

impl Kind {
    /// Which rows an aggregate takes, whatever it makes of them, and the kinds of them; none if there is nothing to choose.
    fn of_aggregate(e: &Expr, input: Input<'_>) -> Result<(Option<Expr>, Vec<Kind>), SqlError> {
        let f = aggregate_function(e).ok_or_else(|| internal("an aggregate is a function"))?;
        let args: Vec<&Expr> = f.params.args.iter().filter(|arg| !matches!(arg, Expr::Literal(v, _) if !v.is_null())).collect();
        let there = args.iter().filter(|arg| facts::nullable(arg, input)).map(|arg| (*arg).clone().is_not_null());
        let taken = f.params.filter.as_deref().cloned().into_iter().chain(there).reduce(Expr::and);
        if f.func.name() == "count" && !f.params.distinct {
            return Ok((taken, Vec::new()));
        }
        // one of two values, as a CASE has them
        let value = |e: &Expr| if is_condition(e, input.schema) { cast(e.clone(), DataType::Int64) } else { e.clone() };
        let whole = Kind { when: None, values: args.into_iter().map(value).collect() };
        let kinds = whole.apart(input).ok_or_else(|| {
            let what = format!("{} has more than {MOST} kinds of rows by its CASEs, and by a contract each must be of enough", said(e));
            refused(what, "write an aggregate with FILTER (WHERE …) for each, or fewer cases")
        })?;
        Ok((taken, if kinds.len() > 1 { kinds } else { Vec::new() }))
    }

    /// By all choices, those that end alike as one; `None` if they are too many.
    fn apart(self, input: Input<'_>) -> Option<Vec<Kind>> {
        let (mut open, mut done) = (vec![self], Vec::<Kind>::new());
        while let Some(kind) = open.pop() {
            let choice = kind.values.iter().enumerate().find_map(|(at, value)| Some((at, choice(value, input)?)));
            let Some((at, (chosen, branches))) = choice else {
                match done.iter_mut().find(|other| other.values == kind.values || (other.is_zero() && kind.is_zero())) {
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

    /// Whether nothing is added up there.
    fn is_zero(&self) -> bool {
        self.values.iter().any(is_zero)
    }
}

/// What a value may be, and where.
type Branches = Vec<(Option<Expr>, Expr)>;

/// The first choice in a value.
fn choice(e: &Expr, input: Input<'_>) -> Option<(Expr, Branches)> {
    let mut found = None;
    let _ = e.apply(|e| {
        found = branches(e, input).map(|branches| (e.clone(), branches));
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

fn branches(e: &Expr, input: Input<'_>) -> Option<Branches> {
    let null = || lit(ScalarValue::Null);
    match e {
        Expr::Cast(c) if matches!(c.expr.get_type(input.schema), Ok(DataType::Boolean)) => {
            let holds = c.expr.as_ref().clone();
            Some(vec![(Some(holds.clone().is_true()), lit(1i64)), (Some(holds.is_not_true()), lit(0i64))])
        }
        Expr::Case(c) => {
            if let ([(when, then)], Some(other)) = (c.when_then_expr.as_slice(), c.else_expr.as_deref())
                && matches!(when.as_ref(), Expr::IsNotNull(x) if x == then)
                && is_fact(then, other)
            {
                return None;
            }
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
            ("coalesce" | "nvl" | "ifnull", [x, other]) if is_fact(x, other) => None,
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

/// Whether one of two values is a column's, and the other one stands where it has none: that is a fact of the table, and no question's choice.
fn is_fact(x: &Expr, other: &Expr) -> bool {
    match x {
        Expr::Alias(a) => is_fact(&a.expr, other),
        Expr::Cast(c) => is_fact(&c.expr, other),
        Expr::Column(_) => !is_zero(other),
        _ => false,
    }
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

/// Whether a value without a choice is 0 or NULL.
fn is_zero(e: &Expr) -> bool {
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
