//! What of the rows a value is made of is chosen by the question, and what is a fact of the table: `CASE WHEN id <> 7 THEN 2 * kwh END` is made of rows with another id, by choice, and of those
//! with a kwh, in fact. Values are read down to the columns of tables, so it is the same whatever sub-query says it.

use std::collections::BTreeSet;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Case, Expr, ExprSchemable, JoinType, LogicalPlan, Operator, lit},
};

use super::super::{
    entities::{OWN, unalias},
    given::{is_condition, is_null, is_zero},
};
use crate::compile::expr::Reads;

/// Rows in which a value is written alike, and adds something.
pub(super) struct Kind {
    /// Where it is by the question's choice; `None`: everywhere.
    pub(super) chosen: Option<Expr>,
    /// Where it is.
    pub(super) given: Option<Expr>,
    pub(super) taken: Taken,
}

/// Which rows are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Those that have a value in these columns.
    Present(String),
    /// What the question makes of columns is a choice itself.
    Chosen,
    /// Looked at by themselves, or of what protects an answer and is not told.
    Apart,
}

/// The kinds of rows a value over the columns of a plan is made of. Where values are only counted, a 0 adds something too.
pub(super) fn kinds(e: &Expr, plan: &LogicalPlan, counted: bool) -> Vec<Kind> {
    let e = unalias(e);
    let parts = parts(e, plan, counted).unwrap_or_else(|| vec![Part { when: Vec::new(), value: e.clone() }]);
    parts.into_iter().flat_map(|part| part.kinds(plan)).collect()
}

/// Kinds that a value may have at most to be looked at one by one.
const MOST: usize = 64;

struct Part {
    /// Alternatives, in each of which all holds.
    when: Vec<Vec<Expr>>,
    value: Expr,
}

impl Part {
    fn kinds(self, plan: &LogicalPlan) -> Vec<Kind> {
        let whens: Vec<&Expr> = self.when.iter().flatten().collect();
        let chosen = self.chosen(plan);
        let taken = match self.natural(plan) {
            _ if whens.iter().copied().chain([&self.value]).any(|e| is_own(e, plan)) => vec![Taken::Apart],
            None => vec![Taken::Chosen],
            // rows that are only counted are known to have a value where they are compared
            Some(names) if names.is_empty() && chosen.is_some() => {
                let read = whens.iter().flat_map(|e| e.reads()).flat_map(|c| origin(c, plan).unwrap_or_default());
                read.collect::<BTreeSet<_>>().into_iter().chain([String::new()]).map(Taken::Present).collect()
            }
            Some(names) => vec![Taken::Present(names.into_iter().collect::<Vec<_>>().join(", "))],
        };
        let there = (!matches!(self.value, Expr::Literal(..))).then(|| self.value.clone().is_not_null());
        let when = self.when.iter().cloned().map(|all| all.into_iter().rev().fold(there.clone(), |rest, when| Some(only(when, rest))));
        let given = match when.collect::<Option<Vec<_>>>() {
            Some(any) if !any.is_empty() => any.into_iter().reduce(Expr::or),
            _ => there,
        };
        taken.into_iter().map(|taken| Kind { chosen: chosen.clone(), given: given.clone(), taken }).collect()
    }

    fn chosen(&self, plan: &LogicalPlan) -> Option<Expr> {
        any(self.when.iter().map(|all| all.iter().filter_map(|when| chosen(when, plan)).reduce(Expr::and)))
    }

    /// The columns that it is of, if rows are passed over only where they are NULL.
    fn natural(&self, plan: &LogicalPlan) -> Option<BTreeSet<String>> {
        let mut names = natural(&self.value, plan)?;
        for when in self.when.iter().flatten() {
            names.extend(facts(when, plan)?);
        }
        Some(names)
    }
}

/// One of some conditions, of which `None` always holds.
fn any(mut conditions: impl Iterator<Item = Option<Expr>>) -> Option<Expr> {
    let first = conditions.next()??;
    conditions.try_fold(first, |any, condition| Some(any.or(condition?)))
}

/// A condition, and where it holds another one: that is not evaluated elsewhere, where it may fail.
fn only(when: Expr, rest: Option<Expr>) -> Expr {
    match rest {
        None => when,
        Some(rest) => Expr::Case(Case::new(None, vec![(Box::new(when), Box::new(rest))], Some(Box::new(lit(false))))),
    }
}

/// What a value may be, and where; without what adds nothing. `None` if there is too much of it.
fn parts(e: &Expr, plan: &LogicalPlan, counted: bool) -> Option<Vec<Part>> {
    let mut all: Vec<Part> = Vec::new();
    for (when, value) in ways(e, plan, counted)? {
        match all.iter_mut().find(|part| part.value == value) {
            _ if is_nothing(&value, counted) => {}
            Some(part) => part.when.push(when),
            None => all.push(Part { when: vec![when], value }),
        }
    }
    Some(all)
}

type Ways = Vec<(Vec<Expr>, Expr)>;

fn ways(e: &Expr, plan: &LogicalPlan, counted: bool) -> Option<Ways> {
    let of = |e: &Expr| ways(e, plan, counted);
    match e {
        Expr::Alias(a) => of(&a.expr),
        e if !counted && is_condition(e, plan.schema()) => {
            Some(vec![(vec![e.clone()], lit(true)), (vec![e.clone().is_not_true()], lit(false))])
        }
        Expr::ScalarFunction(f) if f.name() == "coalesce" && f.args.iter().skip(1).all(|other| is_nothing(other, counted)) => {
            of(f.args.first()?)
        }
        Expr::Case(c) => {
            let (mut before, mut all) = (Vec::new(), Ways::new());
            for (when, then) in &c.when_then_expr {
                let when = c.expr.as_ref().map_or(when.as_ref().clone(), |base| base.as_ref().clone().eq(when.as_ref().clone()));
                let here = [before.clone(), vec![when.clone().is_true()]].concat();
                all.extend(of(then)?.into_iter().map(|(more, value)| ([here.clone(), more].concat(), value)));
                before.push(when.is_not_true());
            }
            if let Some(other) = &c.else_expr {
                all.extend(of(other)?.into_iter().map(|(more, value)| ([before.clone(), more].concat(), value)));
            }
            (all.len() <= MOST).then_some(all)
        }
        Expr::Cast(_) | Expr::TryCast(_) | Expr::Negative(_) | Expr::BinaryExpr(_) | Expr::ScalarFunction(_) => {
            let mut parts = Vec::new();
            e.apply_children(|part| {
                parts.push(of(part));
                Ok(TreeNodeRecursion::Continue)
            })
            .ok()?;
            let mut all = vec![(Vec::new(), Vec::new())];
            for part in parts {
                let part = part?;
                let with = |(when, values): &(Vec<Expr>, Vec<Expr>)| {
                    let one = |(more, value): &(Vec<Expr>, Expr)| {
                        ([when.clone(), more.clone()].concat(), [values.clone(), vec![value.clone()]].concat())
                    };
                    part.iter().map(one).collect::<Vec<_>>()
                };
                if all.len() * part.len() > MOST {
                    return None;
                }
                all = all.iter().flat_map(with).collect();
            }
            let rebuilt = |(when, values): (Vec<Expr>, Vec<Expr>)| {
                let mut values = values.into_iter();
                let whole = e.clone().map_children(|part| Ok(Transformed::yes(values.next().unwrap_or(part))));
                Some((when, whole.ok()?.data))
            };
            all.into_iter().map(rebuilt).collect()
        }
        e => Some(vec![(Vec::new(), e.clone())]),
    }
}

/// What of a condition is a choice; `None`: nothing.
fn chosen(e: &Expr, plan: &LogicalPlan) -> Option<Expr> {
    match e {
        Expr::Alias(a) => chosen(&a.expr, plan),
        Expr::IsTrue(e) => chosen(e, plan),
        Expr::IsNotTrue(e) => chosen(e, plan).map(Expr::is_not_true),
        Expr::Not(e) => chosen(e, plan).map(|e| Expr::Not(Box::new(e))),
        Expr::IsNull(x) => match natural(x, plan) {
            Some(_) => None,
            None => there(x, plan).map(Expr::is_not_true),
        },
        Expr::IsNotNull(x) => there(x, plan),
        Expr::BinaryExpr(b) if b.op == Operator::And => {
            [chosen(&b.left, plan), chosen(&b.right, plan)].into_iter().flatten().reduce(Expr::and)
        }
        Expr::BinaryExpr(b) if b.op == Operator::Or && chosen(&b.left, plan).is_none() && chosen(&b.right, plan).is_none() => None,
        Expr::Literal(v, _) if *v == true.into() => None,
        e => (!is_own(e, plan)).then(|| e.clone()),
    }
}

/// Where there is a value, by choice.
fn there(e: &Expr, plan: &LogicalPlan) -> Option<Expr> {
    any(parts(e, plan, true)?.iter().map(|part| part.chosen(plan)))
}

/// The columns that have a value where a condition holds because it says so; `None`: what the question makes of them has.
fn facts(e: &Expr, plan: &LogicalPlan) -> Option<BTreeSet<String>> {
    match e {
        Expr::Alias(a) => facts(&a.expr, plan),
        Expr::IsTrue(e) => facts(e, plan),
        Expr::IsNotNull(x) | Expr::IsNull(x) => {
            let all = parts(x, plan, true)?.iter().map(|part| part.natural(plan)).collect::<Option<Vec<_>>>()?;
            Some(all.into_iter().flatten().collect())
        }
        Expr::BinaryExpr(b) if b.op == Operator::And => Some(facts(&b.left, plan)?.into_iter().chain(facts(&b.right, plan)?).collect()),
        _ => Some(BTreeSet::new()),
    }
}

/// What an expression is of, if it only computes with columns of tables, and compares nothing but with NULL.
fn natural(e: &Expr, plan: &LogicalPlan) -> Option<BTreeSet<String>> {
    let all = |of: &mut dyn Iterator<Item = &Expr>| {
        let names = of.map(|e| natural(e, plan)).collect::<Option<Vec<_>>>()?;
        Some(names.into_iter().flatten().collect::<BTreeSet<_>>())
    };
    match e {
        Expr::Column(c) => origin(c, plan),
        Expr::Literal(..) => Some(BTreeSet::new()),
        Expr::Alias(a) => natural(&a.expr, plan),
        Expr::Cast(c) => natural(&c.expr, plan),
        Expr::TryCast(c) => natural(&c.expr, plan),
        Expr::Negative(e) | Expr::IsNull(e) | Expr::IsNotNull(e) => natural(e, plan),
        Expr::BinaryExpr(b) if b.op == Operator::Divide => {
            let divisor = divisor(&b.right)?;
            let names = all(&mut [b.left.as_ref(), divisor].into_iter())?;
            // a whole quotient tells values apart, which then choose among another column's
            let whole = || e.get_type(plan.schema()).is_ok_and(|ty: DataType| ty.is_integer());
            (names.len() < 2 || !whole()).then_some(names)
        }
        Expr::BinaryExpr(b) if b.op.is_numerical_operators() => {
            let names = all(&mut [b.left.as_ref(), b.right.as_ref()].into_iter())?;
            (names.len() < 2 || b.op != Operator::Modulo).then_some(names)
        }
        Expr::ScalarFunction(f) => match f.name() {
            "coalesce" | "abs" | "round" | "date_part" | "date_trunc" => all(&mut f.args.iter()),
            "greatest" | "least" if f.args.iter().filter(|e| !matches!(e, Expr::Literal(..))).count() < 2 => all(&mut f.args.iter()),
            _ => None,
        },
        Expr::Case(c) => {
            let null = |e: &Expr| matches!(e, Expr::IsNull(_) | Expr::IsNotNull(_));
            let known = c.expr.is_none() && c.when_then_expr.iter().all(|(when, _)| null(when));
            let all_of = c.when_then_expr.iter().flat_map(|(when, then)| [when, then]).chain(&c.else_expr);
            known.then(|| all(&mut all_of.map(AsRef::as_ref))).flatten()
        }
        _ => None,
    }
}

/// A column or number that is divided by, which where it is 0 may be made NULL; what is computed may be 0 where the question wants it.
fn divisor(e: &Expr) -> Option<&Expr> {
    match e {
        Expr::Column(_) | Expr::Literal(..) => Some(e),
        Expr::Cast(c) => divisor(&c.expr),
        Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            ("nullif", [x, zero]) if is_nothing(zero, false) => divisor(x),
            _ => None,
        },
        _ => None,
    }
}

/// The columns of tables that a column is of, if it is natural. What is made of several rows has a name of its own: of which rows, is looked at where it is made.
fn origin(c: &Column, plan: &LogicalPlan) -> Option<BTreeSet<String>> {
    let own = |name: String| Some([name].into());
    let nth = |plan: &LogicalPlan, i: usize| Column::from(plan.schema().qualified_field(i));
    let Ok(i) = plan.schema().index_of_column(c) else { return own(c.name.clone()) };
    match plan {
        _ if c.name.starts_with(OWN) => own(c.name.clone()),
        LogicalPlan::Projection(p) => natural(&p.expr[i], &p.input),
        LogicalPlan::SubqueryAlias(a) => origin(&nth(&a.input, i), &a.input),
        LogicalPlan::Filter(f) => origin(c, &f.input),
        LogicalPlan::Sort(s) => origin(c, &s.input),
        LogicalPlan::Limit(l) => origin(c, &l.input),
        LogicalPlan::Repartition(r) => origin(c, &r.input),
        LogicalPlan::Window(w) if i < w.input.schema().fields().len() => origin(c, &w.input),
        LogicalPlan::Join(j) => {
            let left = match j.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => j.left.schema().fields().len(),
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => usize::MAX,
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => 0,
            };
            let (side, i) = if i < left { (&j.left, i) } else { (&j.right, i - left) };
            // a mark is of no side
            if i < side.schema().fields().len() { origin(&nth(side, i), side) } else { own(c.name.clone()) }
        }
        LogicalPlan::Aggregate(a) => match a.group_expr.get(i) {
            Some(Expr::GroupingSet(_)) => own(c.name.clone()),
            Some(key) => natural(key, &a.input),
            None => own(a.aggr_expr.get(i - a.group_expr.len()).map_or(c.name.clone(), |e| unalias(e).to_string())),
        },
        _ => own(c.name.clone()),
    }
}

/// Whether an expression reads what protects the answer.
fn is_own(e: &Expr, plan: &LogicalPlan) -> bool {
    e.reads().into_iter().any(|c| origin(c, plan).is_some_and(|names| names.iter().any(|name| name.starts_with(OWN))))
}

/// Whether a value without a choice is NULL, or 0 where values are summed.
fn is_nothing(e: &Expr, counted: bool) -> bool {
    is_null(e) || !counted && is_zero(e)
}
