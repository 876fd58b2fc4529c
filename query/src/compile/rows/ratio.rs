//! Means that are compared, as the sums and counts they are made of.
//!
//! AVG of integers is a DOUBLE in SQL, which shares do not have. What is compared with it needs no quotient: AVG(x) > c where SUM(x) > c · COUNT(x), as a count is
//! never negative, and the sum is NULL where the count is 0. So sums and counts are carried up the plan beside a mean, and every comparison of means and exact numbers that
//! no owner can make at home becomes one of products. A plan is rewritten as it is lowered, when it has been decided what is opened: no column is lost, and those that are added
//! are not released.
//!
//! *What is exact.* The comparison is that of the quotients themselves with the decimal numbers that are written. DataFusion compares the doubles nearest to them. Rounding to the
//! nearest keeps the order, so that the answers can differ only where two numbers have one nearest double: not while |SUM| · 10^s < 2^52, for s digits behind the point of what
//! the mean is compared with; and, of a DECIMAL, where the mean rounded to 15 digits is that number: not while COUNT · 10^s < 2 · 10^15. With a number of 15 or more digits behind
//! the point the mean is compared as DataFusion does, rounded to 15 (`CAST`); doubles that take more than 15 digits to write are refused. What is added to a mean, or multiplied with it, is exact here and rounded there: where both sides are equal, a rounding may decide there.
//! *Cost.* That of comparing elements, and of a product for each side that is divided by a count, if the other side is not a constant.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    functions_aggregate::{count::count_udaf, sum::sum_udaf},
    logical_expr::{
        Aggregate, BinaryExpr, Expr, ExprSchemable, JoinType, LogicalPlan, Operator,
        expr::{AggregateFunction, AggregateFunctionParams},
        expr_rewriter::NamePreserver,
        lit,
        utils::merge_schema,
    },
};

use super::{emit::unalias, release::wide_integer};
use crate::compile::expr::Reads;
use crate::compile::{
    SqlError,
    expr::{cast, said},
    facts::owners,
    internal,
    locate::Text,
    range,
    release::{aggregate_function, exact_argument},
};

/// Digits of a DECIMAL, and most behind its point.
const DIGITS: u8 = 38;
const MOST_SCALE: i8 = 37;

/// What DataFusion makes of a DOUBLE that is compared with a DECIMAL has so many digits behind the point, and so many or more in all. Here it is compared as it is.
const COERCED: (u8, i8) = (30, 15);

/// A CAST that is written is no coercion, and would be taken for one.
pub(in crate::compile) fn no_coercion_written(plan: &LogicalPlan, text: &Text) -> std::result::Result<(), SqlError> {
    let mut found = None;
    let walk = plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|e| {
            e.apply(|e| {
                if found.is_none() && owners(node).len() > 1 && coerced(e, &schema).is_some() {
                    found = Some(text.expr(e).or_else(|| text.keyword("CAST")));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walk.map_err(internal)?;
    let Some(place) = found else { return Ok(()) };
    let (digits, scale) = COERCED;
    let message = format!("CAST of a DOUBLE AS DECIMAL({digits}, {scale}) or wider");
    Err(SqlError::unsupported(message, format!("write DECIMAL({}, {scale}), or fewer digits behind the point", digits - 1)).at(place))
}

/// The plan, in which means are compared by their sums and counts.
pub(super) fn compared(plan: &LogicalPlan) -> std::result::Result<LogicalPlan, SqlError> {
    let carried = Means::default().carried(plan, &BTreeSet::new()).map_err(internal)?;
    Ok(carried.map_or_else(|| plan.clone(), |(plan, _)| plan))
}

/// Columns that are quotients, and what of.
type Found = BTreeMap<Column, Parts>;

/// A quotient's columns.
#[derive(Clone, Debug)]
struct Parts {
    over: (Column, i8),
    under: (Column, i8),
}

/// A DECIMAL, and its digits behind the point.
type Number = (Expr, i8);

/// A quotient of exact numbers; the divisor is above 0 where the quotient is not NULL.
struct Ratio {
    over: Number,
    under: Option<Number>,
}

#[derive(Default)]
struct Means {
    names: BTreeSet<String>,
}

impl Means {
    /// The plan with the parts of those of the wanted columns that are quotients; `None` if it is as it was.
    fn carried(&mut self, plan: &LogicalPlan, wanted: &BTreeSet<Column>) -> Result<Option<(LogicalPlan, Found)>> {
        let several = owners(plan).len() > 1;
        if !several && wanted.is_empty() {
            return Ok(None);
        }
        let inputs = plan.inputs();
        let schema = merge_schema(&inputs);
        let exprs = plan.expressions();
        // the equal keys of a join stay keys
        let keys = if let LogicalPlan::Join(j) = plan { j.on.len() } else { 0 };
        let mut asked = BTreeSet::new();
        if several {
            exprs.iter().skip(keys).for_each(|e| asked_by(e, plan, &schema, &mut asked));
        }
        asked.extend(wanted.iter().flat_map(|c| below(c, plan, &schema)));
        let (mut found, mut changed) = (Found::new(), false);
        let mut new = Vec::new();
        for input in inputs {
            let own = asked.iter().filter(|c| input.schema().has_column(c)).cloned().collect();
            match self.carried(input, &own)? {
                Some((input, parts)) => {
                    changed = true;
                    found.extend(parts);
                    new.push(input);
                }
                None => new.push(input.clone()),
            }
        }
        let mut added = Vec::new();
        let mut out = Vec::new();
        for column in wanted {
            match plan {
                LogicalPlan::Projection(p) => {
                    let expr = unalias(&p.expr[plan.schema().index_of_column(column)?]);
                    let Some(ratio) = ratio(expr, &schema, &mut |c| found.get(c).cloned()) else { continue };
                    let (under, scale) = ratio.under.unwrap_or_else(|| (one(), 0));
                    let over = self.named(&said(expr), &mut added, ratio.over.0);
                    let under = self.named("count", &mut added, under);
                    out.push((column, Parts { over: (over, ratio.over.1), under: (under, scale) }));
                }
                LogicalPlan::Aggregate(a) => out.extend(self.mean(a, column, &schema, &mut added)?.map(|parts| (column, parts))),
                LogicalPlan::SubqueryAlias(a) => {
                    let inner = &a.input.schema().columns()[plan.schema().index_of_column(column)?];
                    out.extend(found.get(inner).cloned().map(|parts| (column, parts)));
                }
                _ => out.extend(found.get(column).cloned().map(|parts| (column, parts))),
            }
        }
        if !changed && added.is_empty() {
            return Ok(None);
        }
        let names = NamePreserver::new(plan);
        let rewritten = exprs.into_iter().enumerate().map(|(i, e)| match several && i >= keys && !found.is_empty() {
            true => {
                let name = names.save(&e);
                Ok(name.restore(self::rewritten(e, plan, &schema, &found)?))
            }
            false => Ok(e),
        });
        let exprs = rewritten.chain(added.into_iter().map(Ok)).collect::<Result<Vec<_>>>()?;
        let new = plan.with_new_exprs(exprs, new)?;
        // where the added columns are now
        let columns = new.schema().columns();
        let at = |c: Column| columns.iter().find(|n| n.name == c.name).cloned().unwrap_or(c);
        let parts = |p: Parts| Parts { over: (at(p.over.0), p.over.1), under: (at(p.under.0), p.under.1) };
        let found = out.into_iter().map(|(column, p)| (column.clone(), parts(p))).collect();
        Ok(Some((new, found)))
    }

    /// The sum and the count of a mean.
    fn mean(&mut self, a: &Aggregate, column: &Column, schema: &DFSchema, added: &mut Vec<Expr>) -> Result<Option<Parts>> {
        let Some(expr) = a.schema.index_of_column(column)?.checked_sub(a.group_expr.len()).and_then(|i| a.aggr_expr.get(i)) else {
            return Ok(None);
        };
        let Some(f) = aggregate_function(expr).filter(|f| f.func.name() == "avg" && f.params.order_by.is_empty()) else { return Ok(None) };
        let arg = exact_argument(&f.params.args[0], schema);
        let Some(scale) = range::number(&arg.get_type(schema)?) else { return Ok(None) };
        let params = |arg: Expr| AggregateFunctionParams { args: vec![arg], ..f.params.clone() };
        // the same sum as that of AVG where it is released
        let sum = Expr::AggregateFunction(AggregateFunction { func: sum_udaf(), params: params(wide_integer(arg, schema)) });
        let count = Expr::AggregateFunction(AggregateFunction { func: count_udaf(), params: params(arg.clone()) });
        let over = self.named(&format!("SUM({})", said(arg)), added, sum);
        let under = self.named(&format!("COUNT({})", said(arg)), added, count);
        Ok(Some(Parts { over: (over, scale), under: (under, 0) }))
    }

    /// Adds a column; no two have the same name.
    fn named(&mut self, words: &str, added: &mut Vec<Expr>, expr: Expr) -> Column {
        let mut name = format!("{words} of a mean");
        while !self.names.insert(name.clone()) {
            name.push('\'');
        }
        added.push(expr.alias(name.clone()));
        Column::new_unqualified(name)
    }
}

/// The columns of the input that a column of the output is made of.
fn below(column: &Column, plan: &LogicalPlan, schema: &DFSchema) -> Vec<Column> {
    let Ok(at) = plan.schema().index_of_column(column) else { return Vec::new() };
    match plan {
        LogicalPlan::Projection(p) => {
            let mut read = Vec::new();
            let _ = ratio(unalias(&p.expr[at]), schema, &mut |c| noted(c, &mut read));
            read
        }
        LogicalPlan::SubqueryAlias(a) => vec![a.input.schema().columns().swap_remove(at)],
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Window(_) => vec![column.clone()],
        LogicalPlan::Join(j) if !matches!(j.join_type, JoinType::LeftMark | JoinType::RightMark) => vec![column.clone()],
        _ => Vec::new(),
    }
}

/// Notes a column that may be a quotient.
fn noted(column: &Column, read: &mut Vec<Column>) -> Option<Parts> {
    read.push(column.clone());
    Some(Parts { over: (column.clone(), 0), under: (column.clone(), 0) })
}

/// Whether an owner computes what is made of these columns.
fn at_home(plan: &LogicalPlan, columns: &BTreeSet<Column>) -> bool {
    let inside = |input: &LogicalPlan| columns.iter().all(|c| input.schema().has_column(c));
    match plan {
        _ if owners(plan).len() <= 1 => true,
        LogicalPlan::Projection(p) => {
            let read = columns.iter().filter_map(|c| plan.schema().index_of_column(c).ok()).flat_map(|i| p.expr[i].reads());
            at_home(&p.input, &read.cloned().collect())
        }
        LogicalPlan::SubqueryAlias(a) => {
            let inner = a.input.schema().columns();
            at_home(&a.input, &columns.iter().filter_map(|c| plan.schema().index_of_column(c).ok()).map(|i| inner[i].clone()).collect())
        }
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Join(_) => {
            plan.inputs().into_iter().find(|input| inside(input)).is_some_and(|input| at_home(input, columns))
        }
        _ => false,
    }
}

/// A comparison, a list, or whether there is a value, of DOUBLEs: its operands.
fn operands<'e>(expr: &'e Expr, schema: &DFSchema) -> Option<Vec<&'e Expr>> {
    let operands = match expr {
        Expr::BinaryExpr(b) if is_comparison(b.op) => vec![b.left.as_ref(), b.right.as_ref()],
        Expr::InList(l) => std::iter::once(l.expr.as_ref()).chain(&l.list).collect(),
        Expr::IsNull(e) | Expr::IsNotNull(e) => vec![e.as_ref()],
        _ => return None,
    };
    operands.iter().any(|e| coerced(e, schema).is_some() || is_double(e, schema)).then_some(operands)
}

fn is_double(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|ty| ty == DataType::Float64)
}

/// The DOUBLE that is compared with a DECIMAL.
fn coerced<'e>(expr: &'e Expr, schema: &DFSchema) -> Option<&'e Expr> {
    match expr {
        Expr::Cast(c) if is_double(&c.expr, schema) => match c.field.data_type() {
            DataType::Decimal128(digits, scale) if *digits >= COERCED.0 && *scale == COERCED.1 => Some(&c.expr),
            _ => None,
        },
        _ => None,
    }
}

fn is_comparison(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

/// Whether no owner computes an expression over the inputs of a part of the plan.
fn is_joint(expr: &Expr, plan: &LogicalPlan) -> bool {
    let columns: BTreeSet<Column> = expr.reads().into_iter().cloned().collect();
    let inside = |input: &&LogicalPlan| columns.iter().all(|c| input.schema().has_column(c));
    !plan.inputs().into_iter().filter(inside).any(|input| at_home(input, &columns))
}

/// The columns that the comparisons in an expression would have taken apart.
fn asked_by(expr: &Expr, plan: &LogicalPlan, schema: &DFSchema, asked: &mut BTreeSet<Column>) {
    let _ = expr.apply(|e| {
        if let Some(operands) = operands(e, schema)
            && is_joint(e, plan)
        {
            let mut read = Vec::new();
            if operands.iter().all(|o| ratio(o, schema, &mut |c| noted(c, &mut read)).is_some()) {
                asked.extend(read);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
}

/// The expression with its comparisons of quotients as comparisons of products.
fn rewritten(expr: Expr, plan: &LogicalPlan, schema: &DFSchema, found: &Found) -> Result<Expr> {
    let rewritten = expr.transform_up(|e| {
        let Some(operands) = operands(&e, schema).filter(|_| is_joint(&e, plan)) else { return Ok(Transformed::no(e)) };
        let ratios: Option<Vec<_>> = operands.iter().map(|o| ratio(o, schema, &mut |c| found.get(c).cloned())).collect();
        let better = match (&e, ratios.as_deref()) {
            (Expr::IsNull(_), Some([of])) => Some(of.over.0.clone().is_null()),
            (Expr::IsNotNull(_), Some([of])) => Some(of.over.0.clone().is_not_null()),
            (Expr::InList(list), Some([of, listed @ ..])) if listed.iter().all(|x| x.over.1 < COERCED.1) => {
                let (op, and) = if list.negated { (Operator::NotEq, Expr::and as fn(_, _) -> _) } else { (Operator::Eq, Expr::or as _) };
                listed.iter().map(|one| products(op, of, one)).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().reduce(and))
            }
            (Expr::BinaryExpr(b), Some([l, r])) if [l, r].iter().all(|x| x.under.is_some() || x.over.1 < COERCED.1) => products(b.op, l, r),
            _ => None,
        };
        Ok(better.map_or_else(|| Transformed::no(e), Transformed::yes))
    });
    rewritten.map(|e| e.data)
}

/// l / m op r / n, where m and n are above 0.
fn products(op: Operator, l: &Ratio, r: &Ratio) -> Option<Expr> {
    let side = |x: &Ratio, y: &Ratio| match &y.under {
        None => Some(x.over.clone()),
        Some(under) => times(&x.over, under),
    };
    let (l, r) = (side(l, r)?, side(r, l)?);
    let scale = l.1.max(r.1);
    Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(raised(l, scale)), op, Box::new(raised(r, scale)))))
}

/// A DOUBLE as a quotient of exact numbers, where some columns are.
fn ratio(expr: &Expr, schema: &DFSchema, found: &mut dyn FnMut(&Column) -> Option<Parts>) -> Option<Ratio> {
    if let Some(double) = coerced(expr, schema) {
        return ratio(double, schema, found);
    }
    if !is_double(expr, schema) {
        return Some(Ratio { over: exact(expr, schema)?, under: None });
    }
    match expr {
        Expr::Alias(a) => ratio(&a.expr, schema, found),
        Expr::Column(c) => {
            let at = schema.index_of_column(c).ok().filter(|i| *schema.field(*i).data_type() == DataType::Float64)?;
            let Parts { over, under } = found(&schema.columns()[at])?;
            let part = |(column, scale): (Column, i8)| (cast(Expr::Column(column), DataType::Decimal128(DIGITS, scale)), scale);
            Some(Ratio { over: part(over), under: Some(part(under)) })
        }
        Expr::Literal(ScalarValue::Float64(Some(v)), _) => Some(Ratio { over: written(*v)?, under: None }),
        Expr::Cast(c) => Some(Ratio { over: exact(&c.expr, schema)?, under: None }),
        Expr::BinaryExpr(b) => combined(b.op, ratio(&b.left, schema, found)?, ratio(&b.right, schema, found)?),
        _ => None,
    }
}

/// A number that is no DOUBLE, with no more digits behind the point than it has.
fn exact(expr: &Expr, schema: &DFSchema) -> Option<Number> {
    let scale = range::number(&expr.get_type(schema).ok()?)?;
    match expr {
        Expr::Alias(a) => exact(&a.expr, schema),
        Expr::Literal(v, _) if !v.is_null() => {
            let (mut v, mut scale) = (range::literal(v)?.min, scale);
            while scale > 0 && v % 10 == 0 {
                (v, scale) = (v / 10, scale - 1);
            }
            Some((Expr::Literal(ScalarValue::Decimal128(Some(v), DIGITS, scale), None), scale))
        }
        Expr::Cast(c) if range::number(&c.expr.get_type(schema).ok()?).is_some_and(|own| own <= scale) => exact(&c.expr, schema),
        _ => Some((cast(expr.clone(), DataType::Decimal128(DIGITS, scale)), scale)),
    }
}

fn combined(op: Operator, l: Ratio, r: Ratio) -> Option<Ratio> {
    let under = match (&l.under, &r.under) {
        (Some(l), Some(r)) => Some(times(l, r)?),
        (l, r) => l.clone().or(r.clone()),
    };
    let over = match op {
        Operator::Multiply => times(&l.over, &r.over)?,
        Operator::Plus | Operator::Minus => {
            let side = |x: &Ratio, y: &Ratio| y.under.as_ref().map_or_else(|| Some(x.over.clone()), |under| times(&x.over, under));
            let (a, b) = (side(&l, &r)?, side(&r, &l)?);
            let scale = a.1.max(b.1);
            (Expr::BinaryExpr(BinaryExpr::new(Box::new(raised(a, scale)), op, Box::new(raised(b, scale)))), scale)
        }
        _ => return None,
    };
    Some(Ratio { over, under })
}

fn times(a: &Number, b: &Number) -> Option<Number> {
    let scale = a.1.checked_add(b.1).filter(|s| *s <= MOST_SCALE)?;
    Some((Expr::BinaryExpr(BinaryExpr::new(Box::new(a.0.clone()), Operator::Multiply, Box::new(b.0.clone()))), scale))
}

/// A number with so many digits behind the point, or more.
fn raised((expr, scale): Number, to: i8) -> Expr {
    match &expr {
        Expr::Cast(c) if scale == to && *c.field.data_type() == DataType::Decimal128(DIGITS, to) => expr,
        Expr::Literal(ScalarValue::Decimal128(Some(v), ..), _) => {
            let factor = u32::try_from(to - scale).ok().and_then(range::ten);
            match factor.and_then(|factor| v.checked_mul(factor)) {
                Some(v) => Expr::Literal(ScalarValue::Decimal128(Some(v), DIGITS, to), None),
                None => cast(expr, DataType::Decimal128(DIGITS, to)),
            }
        }
        _ => cast(expr, DataType::Decimal128(DIGITS, to)),
    }
}

/// The shortest decimal number that is this double: the one that was written.
fn written(v: f64) -> Option<Number> {
    let text = v.is_finite().then(|| v.to_string())?;
    let (whole, digits) = text.split_once('.').unwrap_or((&text, ""));
    let scale = i8::try_from(digits.len()).ok().filter(|s| *s <= MOST_SCALE)?;
    // a double tells 15 digits apart: one that takes more was computed
    let significant = format!("{whole}{digits}").trim_matches(|c: char| c == '0' || c == '-').len();
    let unscaled = format!("{whole}{digits}")
        .parse::<i128>()
        .ok()
        .filter(|v| range::limits(&DataType::Decimal128(DIGITS, 0)).is_some_and(|l| v.abs() <= l.max) && significant <= 15)?;
    Some((Expr::Literal(ScalarValue::Decimal128(Some(unscaled), DIGITS, scale), None), scale))
}

fn one() -> Expr {
    lit(ScalarValue::Decimal128(Some(1), DIGITS, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_is_the_number_that_was_written() {
        let value = |v: f64| match written(v) {
            Some((Expr::Literal(ScalarValue::Decimal128(Some(v), ..), _), scale)) => Some((v, scale)),
            _ => None,
        };
        assert_eq!(value(5.0), Some((5, 0)));
        assert_eq!(value(-0.125), Some((-125, 3)));
        assert_eq!(value(0.1), Some((1, 1)));
        assert_eq!(value(-0.0), Some((0, 0)));
        assert_eq!(value(1e30), Some((10_i128.pow(30), 0)));
        assert_eq!([value(1e38), value(1e-38), value(f64::NAN), value(f64::INFINITY), value(17.0 / 3.0)], [None; 5]);
    }
}
