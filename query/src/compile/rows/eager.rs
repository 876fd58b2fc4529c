//! Groups below joins. What an owner can group before it meets others has fewer rows to share, and needs no sort on shares.
//!
//! *Whole.* A join with a relation that is unique on its keys neither splits nor repeats the rows of the other side. Where all rows of a group agree
//! on the join's keys, they meet the same row or none: the groups may be formed first (invariant grouping: Chaudhuri and Shim, VLDB'94).
//! *In part.* Otherwise rows that agree on the group's keys and the join's may be folded first, if that bounds the rows more tightly, and sums, counts and
//! extremes of those folded again (eager aggregation: Yan and Larson, VLDB'95).
//! *Counted.* Where neither side is unique on the keys, one is folded to a row for each key, with the number of its rows: what is summed of the other side
//! counts so many times, and products of a factor of each are products of sums. So are all sums where there are no keys. Pairs are never formed.

mod counted;
mod product;

use std::collections::BTreeSet;

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, DFSchema, NullEquality, ScalarValue},
    logical_expr::{
        Aggregate, Cast, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, expr::AggregateFunction, utils::split_conjunction,
    },
};

pub(super) use self::product::filtered;

use super::{home, substituted};
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        expr::{Reads, said},
        facts::{self, Facts, plain},
        internal,
        release::aggregate_function,
    },
    plan::Decided,
};

/// The same aggregate with groups formed below the join it is over, if that helps; and why it is, or is not, if it is over a join.
pub(super) fn below_join(
    a: &Aggregate,
    catalog: &Catalog,
    otherwise: Option<&str>,
) -> Result<(Option<LogicalPlan>, Option<Decided>), SqlError> {
    if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
        return Ok((None, None));
    }
    let Some(over) = Over::of(a)? else { return Ok((None, None)) };
    let plan = &LogicalPlan::Aggregate(a.clone());
    let keys = a.group_expr.iter().map(said).collect::<Vec<_>>().join(", ");
    let of = if keys.is_empty() { "aggregates over a join".into() } else { format!("groups by {keys} over a join") };
    const AFTER: &str = "formed after the join";
    let otherwise = otherwise == Some(of.as_str());
    let better = |(better, way, why): Better| ((!otherwise).then_some(better), Some(Decided::new(of.clone(), way, why).or(AFTER)));
    if over.join.on.is_empty() {
        return Ok(over.crossed(plan, catalog)?.map_or((None, None), better));
    }
    let sides = [true, false].map(|straight| Sides::of(&over, straight, catalog));
    let mut worse = None;
    for side in sides.iter().filter(|s| s.unique) {
        match side.grouped(plan)? {
            Some((found, true)) => return Ok(better(found)),
            // what was folded once is not folded twice
            Some((found, false)) if !side.is_folded() => worse = Some(found),
            _ => {}
        }
    }
    if let Some((found, way, _)) = worse {
        let why = "folded before it, half of the rows or more may be left, as the catalogue bounds them";
        return Ok((otherwise.then_some(found), Some(Decided::new(of.clone(), AFTER, why).or(way))));
    }
    let none = |why: &str| Ok((None, Some(Decided::new(of.clone(), AFTER, why))));
    if sides.iter().any(|s| s.unique) {
        let of_base = |s: &Sides<'_>| over.aggregates.iter().all(|e| s.of_base(e));
        return none(match sides.iter().any(|s| s.unique && of_base(s)) {
            true => "its rows are folded already, or an aggregate is of no parts",
            false => "what is aggregated is not of the repeated side alone",
        });
    }
    // what one owner folds at home needs no sort
    let at_home = |s: &&Sides<'_>| facts::owners(s.table).len() <= 1;
    for side in sides.iter().filter(at_home).chain(sides.iter().filter(|s| !at_home(s))) {
        if let Some(found) = side.counted(plan)? {
            return Ok(better(found));
        }
    }
    none("neither side is unique on the keys, and more of both is needed than what they are joined on")
}

/// Another plan for the same, what it does, and why.
type Better = (LogicalPlan, String, String);

/// An aggregate over a join, written over the join's own columns.
struct Over<'a> {
    join: &'a Join,
    /// Conditions between the two.
    conditions: Vec<Expr>,
    keys: Vec<Expr>,
    /// Each once.
    aggregates: Vec<Expr>,
    /// Which of them each aggregate that was asked for is.
    at: Vec<usize>,
}

impl<'a> Over<'a> {
    fn of(a: &'a Aggregate) -> Result<Option<Self>, SqlError> {
        let (mut keys, mut aggregates, mut conditions) = (a.group_expr.clone(), a.aggr_expr.clone(), Vec::new());
        let mut input = a.input.as_ref();
        loop {
            let (below, schema, to): (&LogicalPlan, &DFSchema, Vec<Expr>) = match input {
                LogicalPlan::Projection(p) => (&p.input, &p.schema, p.expr.clone()),
                LogicalPlan::SubqueryAlias(s) => (&s.input, &s.schema, s.input.schema().columns().into_iter().map(Expr::Column).collect()),
                LogicalPlan::Filter(f) => {
                    conditions.extend(split_conjunction(&f.predicate).into_iter().cloned());
                    input = &f.input;
                    continue;
                }
                LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
                    let plain = join.null_equality == NullEquality::NullEqualsNothing;
                    conditions.extend(join.filter.iter().flat_map(|f| split_conjunction(f).into_iter().cloned()));
                    let (aggregates, at) = distinct(aggregates.iter().map(unalias).cloned());
                    return Ok(plain.then_some(Over { join, conditions, keys, aggregates, at }));
                }
                _ => return Ok(None),
            };
            for expr in keys.iter_mut().chain(&mut aggregates).chain(&mut conditions) {
                *expr = substituted(expr, schema, &to)?;
            }
            input = below;
        }
    }

    fn joined(&self, left: LogicalPlan, right: LogicalPlan, on: Vec<(Expr, Expr)>) -> Result<LogicalPlan, SqlError> {
        let constraint = self.join.join_constraint;
        let equality = NullEquality::NullEqualsNothing;
        let join = Join::try_new(left.into(), right.into(), on, None, JoinType::Inner, constraint, equality, false);
        Ok(LogicalPlan::Join(join.map_err(internal)?))
    }

    /// Under the names and types that were asked for.
    fn as_asked(
        &self,
        plan: &LogicalPlan,
        whole: LogicalPlanBuilder,
        values: Vec<Expr>,
        folds: &[Fold<'_>],
        catalog: &Catalog,
    ) -> Result<LogicalPlan, SqlError> {
        let keys = self.keys.len();
        let facts = Facts::of(plan, catalog);
        let out = plan.schema().iter().enumerate().map(|(i, (relation, field))| {
            let value = match i.checked_sub(keys).map(|f| self.at[f]) {
                Some(fold) => {
                    let never_zero = facts.columns[i].range.is_some_and(|range| range.min > 0);
                    folds[fold].finished(values[keys + fold].clone(), field.data_type(), never_zero)
                }
                None => values[i].clone(),
            };
            value.alias_qualified(relation.cloned(), field.name().clone())
        });
        whole.project(out.collect::<Vec<_>>()).and_then(|b| b.build()).map_err(internal)
    }
}

/// The side whose rows are folded, and the one it meets.
struct Sides<'o> {
    over: &'o Over<'o>,
    base: &'o LogicalPlan,
    table: &'o LogicalPlan,
    /// Keys of base and table.
    on: Vec<(Expr, Expr)>,
    /// Whether the table has one row for each key.
    unique: bool,
    facts: Facts,
    catalog: &'o Catalog,
}

impl<'o> Sides<'o> {
    fn of(over: &'o Over<'o>, straight: bool, catalog: &'o Catalog) -> Self {
        let Join { left, right, on, .. } = over.join;
        let (base, table): (&LogicalPlan, &LogicalPlan) = if straight { (left, right) } else { (right, left) };
        let on: Vec<_> = on.iter().map(|(l, r)| if straight { (l.clone(), r.clone()) } else { (r.clone(), l.clone()) }).collect();
        let keys: BTreeSet<_> = on.iter().filter_map(|(_, t)| plain(t, table.schema())).collect();
        let unique = !keys.is_empty() && Facts::of(table, catalog).unique_on(&keys);
        let facts = Facts::of(base, catalog);
        Sides { over, base, table, on, unique, facts, catalog }
    }

    /// The aggregate, with the base's rows folded first, and whether that is worth it.
    fn grouped(&self, plan: &LogicalPlan) -> Result<Option<(Better, bool)>, SqlError> {
        if !self.over.aggregates.iter().all(|e| self.of_base(e)) {
            return Ok(None);
        }
        // what is asked of the base's columns after the fold: by whom they are grouped
        let mut keys: Vec<Expr> = Vec::new();
        let mut add = |e: &Expr| {
            if !keys.contains(e) {
                keys.push(e.clone());
            }
        };
        // without keys there is one row even of no rows: it cannot be formed below a join that drops it
        let whole = !self.over.keys.is_empty() && self.whole();
        for key in self.over.keys.iter().map(unalias) {
            match self.of_base(key) && !key.reads().is_empty() {
                true => add(key),
                false => key.reads().into_iter().filter(|c| self.has(c)).for_each(|c| add(&Expr::Column(c.clone()))),
            }
        }
        self.on.iter().for_each(|(b, _)| add(b));
        for condition in &self.over.conditions {
            condition.reads().into_iter().filter(|c| self.has(c)).for_each(|c| add(&Expr::Column(c.clone())));
        }
        let folds: Option<Vec<Fold>> =
            self.over.aggregates.iter().map(|e| if whole { Some(Fold::Whole(e)) } else { Fold::split(e) }).collect();
        let Some(folds) = folds else { return Ok(None) };
        let better = self.rewritten(plan, &keys, &folds, whole)?;
        let (left, of) = self.folded_to(&keys);
        let (way, why) = match whole {
            true => ("formed before the join", "all rows of a group meet the same row, or none".into()),
            false => ("folded before the join, and again after it", format!("at most {left} rows are then left of {of}")),
        };
        Ok(Some(((better, way.into(), why), whole || left <= of / 2)))
    }

    fn rewritten(&self, plan: &LogicalPlan, keys: &[Expr], folds: &[Fold<'_>], whole_groups: bool) -> Result<LogicalPlan, SqlError> {
        let aggregates = folds.iter().map(|f| unalias(f.first()).clone()).collect::<Vec<_>>();
        let first = folded_by(FOLDED, self.base, keys, &aggregates)?;
        let names: Vec<Column> = names(FOLDED, keys).into_iter().chain(names(FOLDED, &aggregates)).collect();
        let of_first = |e: &Expr| replaced(e, &|e| keys.iter().position(|k| k == e).map(|i| Expr::Column(names[i].clone())));
        let on = self.on.iter().map(|(b, t)| Ok((of_first(b)?, t.clone()))).collect::<Result<Vec<_>, SqlError>>()?;
        let mut whole = LogicalPlanBuilder::from(self.over.joined(first, self.table.clone(), on)?);
        let conditions = self.over.conditions.iter().map(of_first).collect::<Result<Vec<_>, _>>()?;
        if let Some(condition) = conditions.into_iter().reduce(Expr::and) {
            whole = whole.filter(condition).map_err(internal)?;
        }
        let groups = self.over.keys.iter().map(|k| of_first(unalias(k))).collect::<Result<Vec<_>, _>>()?;
        let again: Option<Vec<Expr>> =
            folds.iter().enumerate().map(|(i, f)| f.again(Expr::Column(names[keys.len() + i].clone()))).collect();
        let values: Vec<Expr> = match again {
            Some(again) if !whole_groups => {
                let (again, at) = distinct(again);
                whole = whole.aggregate(groups, apart(again)).map_err(internal)?;
                in_places(&whole, self.over.keys.len(), &at)
            }
            _ => groups.into_iter().chain(names[keys.len()..].iter().cloned().map(Expr::Column)).collect(),
        };
        self.over.as_asked(plan, whole, values, folds, self.catalog)
    }

    /// Whether all rows of a group meet the same row, and pass the same conditions.
    fn whole(&self) -> bool {
        let schema = self.base.schema();
        let mut group: BTreeSet<usize> = BTreeSet::new();
        for key in self.over.keys.iter().map(unalias) {
            group.extend(plain(key, schema));
            // the table's key is as good
            group.extend(self.on.iter().filter(|(_, t)| t == key).filter_map(|(b, _)| plain(b, schema)));
        }
        let fixed = self.facts.determined(&group);
        let needed = self.on.iter().map(|(b, _)| b).chain(&self.over.conditions).chain(self.over.keys.iter().filter(|k| !self.of_base(k)));
        let mut columns = needed.flat_map(Reads::reads).filter_map(|c| schema.maybe_index_of_column(c));
        columns.all(|c| fixed.contains(&c))
    }

    /// How many rows are left at most when rows that agree on these are folded, and of how many.
    fn folded_to(&self, keys: &[Expr]) -> (u64, u64) {
        let places = |facts: &Facts| home::places(facts, self.catalog).unwrap_or(u64::MAX);
        let folded = LogicalPlanBuilder::from(self.base.clone()).aggregate(keys.to_vec(), Vec::<Expr>::new()).and_then(|b| b.build());
        (folded.map_or(u64::MAX, |folded| places(&Facts::of(&folded, self.catalog))), places(&self.facts))
    }

    fn is_folded(&self) -> bool {
        self.base.schema().columns().iter().any(is_folded)
    }

    /// Whether an expression is of the base; `None` if it is of both.
    fn side(&self, e: &Expr) -> Option<bool> {
        let of_table = || e.reads().into_iter().all(|c| self.table.schema().has_column(c));
        if self.of_base(e) { Some(true) } else { of_table().then_some(false) }
    }

    fn has(&self, column: &Column) -> bool {
        self.base.schema().has_column(column)
    }

    fn of_base(&self, e: &Expr) -> bool {
        e.reads().into_iter().all(|c| self.has(c))
    }
}

/// The relation of what was folded first, and of what it then meets.
const FOLDED: &str = "__folded";
const OTHER: &str = "__folded_too";

/// Whether a column is of such a relation.
pub(in crate::compile) fn is_folded(column: &Column) -> bool {
    column.relation.as_ref().is_some_and(|r| [FOLDED, OTHER].contains(&r.table()))
}

/// Its columns: what they are, in words, so that messages have them; told apart by a number where two have the same.
fn names(relation: &'static str, of: &[Expr]) -> Vec<Column> {
    let words: Vec<String> = of.iter().map(said).collect();
    let name = |i: usize| match words.iter().take(i).filter(|w| **w == words[i]).count() {
        0 => words[i].clone(),
        n => format!("{} ({})", words[i], n + 1),
    };
    (0..of.len()).map(|i| Column::new(Some(relation), name(i))).collect()
}

/// Each expression once, and which one each is.
fn distinct(exprs: impl IntoIterator<Item = Expr>) -> (Vec<Expr>, Vec<usize>) {
    let mut once: Vec<Expr> = Vec::new();
    let at = exprs.into_iter().map(|e| {
        once.iter().position(|o| *o == e).unwrap_or_else(|| {
            once.push(e);
            once.len() - 1
        })
    });
    let at = at.collect();
    (once, at)
}

/// Expressions that have names of their own: a name leaves casts out, so that MIN(x) and MIN(CAST(x AS DOUBLE)) have one.
fn apart(exprs: Vec<Expr>) -> Vec<Expr> {
    let names: Vec<String> = exprs.iter().map(|e| e.schema_name().to_string()).collect();
    let of = |(i, e): (usize, Expr)| match names[..i].iter().filter(|n| **n == names[i]).count() {
        0 => e,
        n => e.alias(format!("{} ({})", names[i], n + 1)),
    };
    exprs.into_iter().enumerate().map(of).collect()
}

/// The columns of an aggregate: its keys, then for each place its fold.
fn in_places(aggregate: &LogicalPlanBuilder, keys: usize, at: &[usize]) -> Vec<Expr> {
    let columns: Vec<Expr> = aggregate.schema().columns().into_iter().map(Expr::Column).collect();
    (0..keys).chain(at.iter().map(|fold| keys + fold)).map(|c| columns[c].clone()).collect()
}

/// Rows folded by these keys, under a name.
fn folded_by(relation: &'static str, rows: &LogicalPlan, keys: &[Expr], folds: &[Expr]) -> Result<LogicalPlan, SqlError> {
    let folded = LogicalPlanBuilder::from(rows.clone()).aggregate(apart(keys.to_vec()), apart(folds.to_vec())).map_err(internal)?;
    // names that no other relation has
    let named = folded.schema().columns().into_iter().zip(names(relation, keys).into_iter().chain(names(relation, folds)));
    let named = named.map(|(c, name)| Expr::Column(c).alias(name.name)).collect::<Vec<_>>();
    folded.project(named).and_then(|b| b.alias(relation)).and_then(|b| b.build()).map_err(internal)
}

/// An aggregate in two steps.
enum Fold<'e> {
    /// All of it in the first.
    Whole(&'e Expr),
    /// The first step, and what folds its results.
    Split(&'e Expr, &'e AggregateFunction),
}

impl<'e> Fold<'e> {
    /// SUM, COUNT, MIN and MAX can be taken of parts.
    fn split(e: &'e Expr) -> Option<Self> {
        let f = aggregate_function(e)?;
        let extreme = matches!(f.func.name(), "min" | "max" | "bool_and" | "bool_or");
        let sum = matches!(f.func.name(), "sum" | "count") && !f.params.distinct;
        (extreme || sum).then_some(Fold::Split(e, f))
    }

    fn first(&self) -> &'e Expr {
        match self {
            Fold::Whole(e) | Fold::Split(e, _) => e,
        }
    }

    fn again(&self, of: Expr) -> Option<Expr> {
        use datafusion::functions_aggregate::expr_fn::{bool_and, bool_or, max, min, sum};
        match self {
            Fold::Whole(_) => None,
            Fold::Split(_, f) => Some(match f.func.name() {
                "min" => min(of),
                "max" => max(of),
                "bool_and" => bool_and(of),
                "bool_or" => bool_or(of),
                _ => sum(of),
            }),
        }
    }

    /// Of the second step's result, as the type that was asked for; no rows are counted as 0, where there can be none.
    fn finished(&self, value: Expr, ty: &DataType, never_zero: bool) -> Expr {
        let Fold::Split(_, f) = self else { return value };
        let value = match f.func.name() {
            "sum" | "count" => Expr::Cast(Cast::new(Box::new(value), ty.clone())),
            _ => return value,
        };
        match f.func.name() {
            "count" if !never_zero => datafusion::functions::core::expr_fn::coalesce(vec![
                value,
                Expr::Literal(ScalarValue::new_zero(ty).unwrap_or(ScalarValue::Null), None),
            ]),
            _ => value,
        }
    }
}

/// An expression with every part for which there is another replaced by it, the largest parts first.
fn replaced(e: &Expr, by: &dyn Fn(&Expr) -> Option<Expr>) -> Result<Expr, SqlError> {
    use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
    let moved = e.clone().transform_down(|e| {
        Ok(match by(&e) {
            Some(other) => Transformed::new(other, true, TreeNodeRecursion::Jump),
            None => Transformed::no(e),
        })
    });
    Ok(moved.map_err(internal)?.data)
}

fn unalias(e: &Expr) -> &Expr {
    super::emit::unalias(e)
}
