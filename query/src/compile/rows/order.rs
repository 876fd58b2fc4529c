//! The order of inner joins. What one owner holds is joined at home; of the rest, the relation from which all others can be looked up (each is
//! unique on its keys) keeps its places, and the others follow.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    common::{
        Column, NullEquality,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    functions_aggregate::expr_fn::min,
    logical_expr::{Expr, Join, JoinType, Limit, LogicalPlan, LogicalPlanBuilder, Operator, Projection, utils::split_conjunction},
};

use super::home;
use crate::compile::expr::Reads;
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        facts::{self, Facts, plain},
        internal,
    },
};

/// The plan as the rest of the compiler likes it: limits beside their orders, scalar sub-queries of other owners as joins, inner joins in a
/// better order.
pub(super) fn prepared(plan: &LogicalPlan, catalog: &Catalog) -> Result<LogicalPlan, SqlError> {
    let plan = plan.clone().transform_down(|node| Ok(limit_down(node))).map_err(internal)?.data;
    let plan = plan.transform_up(|node| scalars_joined(node, catalog)).map_err(internal)?.data;
    ordered(&plan, catalog)
}

/// LIMIT over a projection of an ordered relation is the projection of the LIMIT: SQL orders by columns that are not selected.
fn limit_down(node: LogicalPlan) -> Transformed<LogicalPlan> {
    let LogicalPlan::Limit(limit) = &node else { return Transformed::no(node) };
    let LogicalPlan::Projection(p) = limit.input.as_ref() else { return Transformed::no(node) };
    let below = Limit { skip: limit.skip.clone(), fetch: limit.fetch.clone(), input: p.input.clone() };
    match Projection::try_new_with_schema(p.expr.clone(), LogicalPlan::Limit(below).into(), p.schema.clone()) {
        Ok(projection) => Transformed::yes(LogicalPlan::Projection(projection)),
        Err(_) => Transformed::no(node),
    }
}

/// (SELECT AVG(x) FROM …) of another owner, in a condition or a column: its one row is joined to every row.
fn scalars_joined(node: LogicalPlan, catalog: &Catalog) -> datafusion::common::Result<Transformed<LogicalPlan>> {
    if !matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Projection(_)) || facts::owners(&node).len() <= 1 {
        return Ok(Transformed::no(node));
    }
    with_scalars(node, catalog)
}

/// A filter or projection with its scalar sub-queries joined below it.
pub(in crate::compile) fn with_scalars(node: LogicalPlan, catalog: &Catalog) -> datafusion::common::Result<Transformed<LogicalPlan>> {
    let Some(input) = node.inputs().first().map(|i| (*i).clone()) else { return Ok(Transformed::no(node)) };
    let mut joined = input.clone();
    let mut exprs = Vec::new();
    let mut number = 0;
    for expr in node.expressions() {
        let moved = expr.transform_up(|e| {
            let Expr::ScalarSubquery(s) = &e else { return Ok(Transformed::no(e)) };
            let facts = Facts::of(&s.subquery, catalog);
            if !s.outer_ref_columns.is_empty() || facts.rows > 1 {
                return Ok(Transformed::no(e));
            }
            let name = format!("{ONE}{number}");
            number += 1;
            let column = Expr::Column(s.subquery.schema().columns().swap_remove(0));
            let of = LogicalPlanBuilder::from(s.subquery.as_ref().clone());
            let one = match facts.exactly_one {
                true => of.project(vec![column.alias("value")])?,
                // at most one (LIMIT 1): the least of one value is that value, and that of none is NULL
                false => of.aggregate(Vec::<Expr>::new(), vec![min(column).alias("value")])?,
            };
            let one = one.alias(name.as_str())?.build()?;
            joined = LogicalPlanBuilder::from(joined.clone()).cross_join(one)?.build()?;
            Ok(Transformed::yes(Expr::Column(Column::new(Some(name), "value"))))
        })?;
        exprs.push(moved.data);
    }
    if number == 0 {
        return Ok(Transformed::no(node));
    }
    let above = node.with_new_exprs(exprs, vec![joined])?;
    let back = match &node {
        // a filter shows all columns of its input
        LogicalPlan::Filter(_) => {
            let columns = node.schema().columns().into_iter().map(Expr::Column).collect::<Vec<_>>();
            LogicalPlanBuilder::from(above).project(columns)?.build()?
        }
        _ => {
            let names = node.schema().columns();
            let same = above.schema().columns().into_iter().zip(names);
            let columns = same.map(|(a, n)| if a == n { Expr::Column(a) } else { Expr::Column(a).alias_qualified(n.relation, n.name) });
            LogicalPlanBuilder::from(above.clone()).project(columns.collect::<Vec<_>>())?.build()?
        }
    };
    Ok(Transformed::yes(back))
}

/// The plan with its inner joins over several owners in a better order.
fn ordered(plan: &LogicalPlan, catalog: &Catalog) -> Result<LogicalPlan, SqlError> {
    let mut failed = None;
    let moved = plan.clone().transform_down(|node| {
        if failed.is_some() || facts::owners(&node).len() <= 1 {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        }
        if !is_tree(&node) {
            return Ok(Transformed::no(node));
        }
        match reordered(&node, catalog) {
            // its leaves have been visited
            Ok(better) => Ok(Transformed::new(better, true, TreeNodeRecursion::Jump)),
            Err(e) => {
                failed = Some(e);
                Ok(Transformed::no(node))
            }
        }
    });
    match failed {
        Some(e) => Err(e),
        None => Ok(moved.map_err(internal)?.data),
    }
}

fn is_inner(join: &Join) -> bool {
    join.join_type == JoinType::Inner && (join.on.is_empty() || join.null_equality == NullEquality::NullEqualsNothing)
}

/// EXISTS and its negation over a tree are conditions on one of its leaves.
fn is_condition(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && !join.on.is_empty()
        && join.null_equality == NullEquality::NullEqualsNothing
}

fn is_tree(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(j) if is_inner(j) => true,
        LogicalPlan::Join(j) if is_condition(j) => is_tree(&j.left),
        LogicalPlan::Filter(f) => is_tree(&f.input),
        _ => false,
    }
}

/// A join tree, taken apart.
#[derive(Default)]
struct Tree {
    leaves: Vec<LogicalPlan>,
    conditions: Vec<Expr>,
    exists: Vec<Join>,
}

impl Tree {
    fn collect(&mut self, plan: &LogicalPlan, catalog: &Catalog) -> Result<(), SqlError> {
        match plan {
            LogicalPlan::Join(j) if is_inner(j) => {
                self.collect(&j.left, catalog)?;
                self.collect(&j.right, catalog)?;
                self.conditions.extend(j.on.iter().map(|(l, r)| l.clone().eq(r.clone())));
                self.conditions.extend(j.filter.iter().flat_map(|f| split_conjunction(f).into_iter().cloned()));
            }
            LogicalPlan::Filter(f) if is_tree(&f.input) => {
                self.collect(&f.input, catalog)?;
                self.conditions.extend(split_conjunction(&f.predicate).into_iter().cloned());
            }
            LogicalPlan::Join(j) if is_condition(j) && is_tree(&j.left) => {
                self.collect(&j.left, catalog)?;
                let right = ordered(&j.right, catalog)?;
                self.exists.push(Join { right: right.into(), ..j.clone() });
            }
            leaf => self.leaves.push(ordered(leaf, catalog)?),
        }
        Ok(())
    }

    fn leaf_of(&self, column: &Column) -> Option<usize> {
        self.leaves.iter().position(|l| l.schema().has_column(column))
    }

    fn leaves_of(&self, expr: &Expr) -> BTreeSet<usize> {
        expr.reads().into_iter().filter_map(|c| self.leaf_of(c)).collect()
    }
}

fn reordered(plan: &LogicalPlan, catalog: &Catalog) -> Result<LogicalPlan, SqlError> {
    let mut tree = Tree::default();
    tree.collect(plan, catalog)?;
    let classes = classes(&tree.conditions);
    let rest = apply_exists(&mut tree, &classes)?;
    let owners: Vec<BTreeSet<String>> = tree.leaves.iter().map(facts::owners).collect();
    let mut conditions = tree.conditions.clone();
    // equal columns of leaves of one owner are joined at home, though the text may equate both with a third
    for class in &classes {
        let members: Vec<_> = class.iter().filter_map(|c| Some((tree.leaf_of(c)?, c))).collect();
        for (i, (a, x)) in members.iter().enumerate() {
            for (b, y) in &members[i + 1..] {
                let eq = Expr::Column((*x).clone()).eq(Expr::Column((*y).clone()));
                let known = conditions.iter().any(|c| *c == eq || matches!(c, Expr::BinaryExpr(e) if e.op == Operator::Eq && *e.left == Expr::Column((*y).clone()) && *e.right == Expr::Column((*x).clone())));
                if a != b
                    && owners[*a].len() <= 1
                    && owners[*b].len() <= 1
                    && (owners[*a] == owners[*b] || owners[*a].is_empty() || owners[*b].is_empty())
                    && !known
                {
                    conditions.push(eq);
                }
            }
        }
    }
    let parts = components(&tree, &owners, &conditions);
    let mut enforced = Enforced { used: vec![false; conditions.len()], equal: Vec::new() };
    let mut homes = Vec::new();
    for part in &parts {
        homes.push(joined(part.iter().map(|l| tree.leaves[*l].clone()).collect(), &conditions, &mut enforced, catalog)?);
    }
    let mut whole = joined(in_order(homes, &conditions, catalog), &conditions, &mut enforced, catalog)?;
    let left: Vec<_> = conditions.iter().zip(&enforced.used).filter(|(_, u)| !**u).map(|(c, _)| c.clone()).collect();
    if let Some(condition) = left.into_iter().reduce(Expr::and) {
        whole = LogicalPlanBuilder::from(whole).filter(condition).and_then(|b| b.build()).map_err(internal)?;
    }
    for exists in rest {
        let left = whole.into();
        whole = LogicalPlan::Join(
            Join::try_new(
                left,
                exists.right,
                exists.on,
                exists.filter,
                exists.join_type,
                exists.join_constraint,
                exists.null_equality,
                exists.null_aware,
            )
            .map_err(internal)?,
        );
    }
    let columns = plan.schema().columns().into_iter().map(Expr::Column).collect::<Vec<_>>();
    LogicalPlanBuilder::from(whole).project(columns).and_then(|b| b.build()).map_err(internal)
}

/// Columns that the conditions make equal.
fn classes(conditions: &[Expr]) -> Vec<BTreeSet<Column>> {
    let mut classes: Vec<BTreeSet<Column>> = Vec::new();
    for condition in conditions {
        let Expr::BinaryExpr(b) = condition else { continue };
        let (Operator::Eq, Expr::Column(x), Expr::Column(y)) = (b.op, b.left.as_ref(), b.right.as_ref()) else { continue };
        let mut merged = BTreeSet::from([x.clone(), y.clone()]);
        classes.retain(|c| {
            let meets = c.contains(x) || c.contains(y);
            if meets {
                merged.extend(c.iter().cloned());
            }
            !meets
        });
        classes.push(merged);
    }
    classes
}

/// Applies each EXISTS to the leaf that has its columns (or equal ones), best to one of the sub-query's own owner. What no leaf has is returned.
fn apply_exists(tree: &mut Tree, classes: &[BTreeSet<Column>]) -> Result<Vec<Join>, SqlError> {
    let mut rest = Vec::new();
    for join in std::mem::take(&mut tree.exists) {
        let right = facts::owners(&join.right);
        let outer: Vec<Expr> = join.on.iter().map(|(l, _)| l.clone()).chain(join.filter.clone()).collect();
        let left_columns: BTreeSet<Column> =
            outer.iter().flat_map(|e| e.reads()).filter(|c| join.left.schema().has_column(c)).cloned().collect();
        let moves = |leaf: &LogicalPlan| -> Option<BTreeMap<Column, Column>> {
            left_columns
                .iter()
                .map(|c| {
                    if leaf.schema().has_column(c) {
                        return Some((c.clone(), c.clone()));
                    }
                    let class = classes.iter().find(|class| class.contains(c))?;
                    class.iter().find(|d| leaf.schema().has_column(d)).map(|d| (c.clone(), d.clone()))
                })
                .collect()
        };
        let candidates: Vec<_> = (0..tree.leaves.len()).filter_map(|i| Some((i, moves(&tree.leaves[i])?))).collect();
        let same = candidates.iter().find(|(i, _)| facts::owners(&tree.leaves[*i]) == right).or_else(|| candidates.first());
        let Some((leaf, to)) = same else {
            rest.push(join);
            continue;
        };
        let moved = |e: Expr| {
            e.transform(|e| {
                Ok(match &e {
                    Expr::Column(c) => to.get(c).map_or_else(|| Transformed::no(e.clone()), |d| Transformed::yes(Expr::Column(d.clone()))),
                    _ => Transformed::no(e),
                })
            })
            .map(|t| t.data)
            .map_err(internal)
        };
        let on = join.on.iter().map(|(l, r)| Ok((moved(l.clone())?, r.clone()))).collect::<Result<Vec<_>, SqlError>>()?;
        let filter = join.filter.clone().map(moved).transpose()?;
        let left = tree.leaves[*leaf].clone().into();
        let applied =
            Join::try_new(left, join.right.clone(), on, filter, join.join_type, join.join_constraint, join.null_equality, join.null_aware);
        tree.leaves[*leaf] = LogicalPlan::Join(applied.map_err(internal)?);
    }
    Ok(rest)
}

/// Leaves of one owner that some condition connects.
fn components(tree: &Tree, owners: &[BTreeSet<String>], conditions: &[Expr]) -> Vec<Vec<usize>> {
    let mut part: Vec<usize> = (0..tree.leaves.len()).collect();
    let owner_of = |part: &[usize], p: usize| -> BTreeSet<String> {
        part.iter().enumerate().filter(|(_, q)| **q == p).flat_map(|(i, _)| owners[i].iter().cloned()).collect()
    };
    for condition in conditions {
        let leaves: Vec<_> = tree.leaves_of(condition).into_iter().collect();
        let [a, b] = leaves.as_slice() else { continue };
        let (p, q) = (part[*a], part[*b]);
        let both: BTreeSet<_> = owner_of(&part, p).union(&owner_of(&part, q)).cloned().collect();
        if p != q && both.len() <= 1 {
            part.iter_mut().filter(|x| **x == q).for_each(|x| *x = p);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    part.into_iter().enumerate().for_each(|(leaf, p)| groups.entry(p).or_default().push(leaf));
    groups.into_values().collect()
}

/// Equalities between two relations, as keys (of the first, of the second), and their numbers.
fn keys(a: &LogicalPlan, b: &LogicalPlan, conditions: &[Expr]) -> Vec<(usize, Expr, Expr)> {
    let within = |e: &Expr, p: &LogicalPlan| {
        let refs = e.reads();
        !refs.is_empty() && refs.iter().all(|c| p.schema().has_column(c))
    };
    let mut found = Vec::new();
    for (i, condition) in conditions.iter().enumerate() {
        let Expr::BinaryExpr(e) = condition else { continue };
        if e.op != Operator::Eq {
            continue;
        }
        if within(&e.left, a) && within(&e.right, b) {
            found.push((i, (*e.left).clone(), (*e.right).clone()));
        } else if within(&e.right, a) && within(&e.left, b) {
            found.push((i, (*e.right).clone(), (*e.left).clone()));
        }
    }
    found
}

fn unique(table: &LogicalPlan, keys: &[(usize, Expr, Expr)], catalog: &Catalog) -> bool {
    let columns: BTreeSet<_> = keys.iter().filter_map(|(_, _, k)| plain(k, table.schema())).collect();
    let facts = Facts::of(table, catalog);
    facts.rows <= 1 || (!columns.is_empty() && facts.unique_on(&columns))
}

/// An order in which, as far as can be, each relation is unique on its keys to those before.
fn in_order(mut parts: Vec<LogicalPlan>, conditions: &[Expr], catalog: &Catalog) -> Vec<LogicalPlan> {
    let bound = |p: &LogicalPlan| home::places(&Facts::of(p, catalog), catalog).unwrap_or(u64::MAX);
    // keys between parts do not change as parts are joined: look at single parts
    let follow = |start: usize, parts: &[LogicalPlan]| -> (usize, Vec<usize>) {
        let (mut order, mut looked_up) = (vec![start], 0);
        while order.len() < parts.len() {
            let rest: Vec<_> = (0..parts.len()).filter(|i| !order.contains(i)).collect();
            let keys_to = |i: usize| order.iter().flat_map(|o| keys(&parts[*o], &parts[i], conditions)).collect::<Vec<_>>();
            let by_key = rest.iter().copied().find(|i| unique(&parts[*i], &keys_to(*i), catalog));
            looked_up += usize::from(by_key.is_some());
            let next = by_key.or_else(|| rest.iter().copied().find(|i| !keys_to(*i).is_empty())).unwrap_or(rest[0]);
            order.push(next);
        }
        (looked_up, order)
    };
    let best =
        (0..parts.len()).map(|s| (follow(s, &parts), bound(&parts[s]))).min_by_key(|((n, _), places)| (std::cmp::Reverse(*n), *places));
    let Some(((_, order), _)) = best else { return parts };
    let mut slots: Vec<Option<LogicalPlan>> = parts.drain(..).map(Some).collect();
    order.into_iter().filter_map(|i| slots[i].take()).collect()
}

/// What the relations that are joined already fulfil.
struct Enforced {
    /// Conditions, by number.
    used: Vec<bool>,
    /// Equalities of columns.
    equal: Vec<Expr>,
}

impl Enforced {
    fn note(&mut self, number: usize, condition: &Expr) {
        self.used[number] = true;
        self.equal.push(condition.clone());
    }

    /// Whether two columns are equal by what is enforced, perhaps by way of others.
    fn implies(&self, l: &Expr, r: &Expr) -> bool {
        matches!((l, r), (Expr::Column(l), Expr::Column(r)) if classes(&self.equal).iter().any(|c| c.contains(l) && c.contains(r)))
    }
}

/// The relations joined one after the other, each condition where its columns are first together.
fn joined(parts: Vec<LogicalPlan>, conditions: &[Expr], enforced: &mut Enforced, catalog: &Catalog) -> Result<LogicalPlan, SqlError> {
    let mut parts = parts.into_iter();
    let mut whole = filtered(parts.next().ok_or_else(|| internal("a join has relations"))?, conditions, enforced)?;
    let mut rest: Vec<_> = parts.collect();
    while !rest.is_empty() {
        // connected ones first, in the order given
        let next = rest.iter().position(|p| !keys(&whole, p, conditions).is_empty()).unwrap_or(0);
        let part = filtered(rest.remove(next), conditions, enforced)?;
        let mut found = keys(&whole, &part, conditions);
        // of equal columns, first those that make the relation unique
        let facts = Facts::of(&part, catalog);
        let place = |e: &Expr| plain(e, part.schema());
        let all: BTreeSet<_> = found.iter().filter_map(|(_, _, r)| place(r)).collect();
        if let Some(key) = facts.unique.iter().find(|u| u.is_subset(&all)) {
            found.sort_by_key(|(_, _, r)| place(r).is_none_or(|c| !key.contains(&c)));
        }
        let mut pairs: Vec<(Expr, Expr)> = Vec::new();
        for (i, l, r) in found {
            // of two keys that are equal on either side, one will do
            if !enforced.implies(&l, &r) {
                pairs.push((l, r));
            }
            enforced.note(i, &conditions[i]);
        }
        let join = Join::try_new(
            whole.into(),
            part.into(),
            pairs,
            None,
            JoinType::Inner,
            datafusion::common::JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        );
        whole = filtered(LogicalPlan::Join(join.map_err(internal)?), conditions, enforced)?;
    }
    Ok(whole)
}

fn filtered(plan: LogicalPlan, conditions: &[Expr], enforced: &mut Enforced) -> Result<LogicalPlan, SqlError> {
    let mut here = Vec::new();
    for (i, condition) in conditions.iter().enumerate() {
        let refs = condition.reads();
        if !enforced.used[i] && !refs.is_empty() && refs.iter().all(|c| plan.schema().has_column(c)) {
            enforced.note(i, condition);
            here.push(condition.clone());
        }
    }
    match here.into_iter().reduce(Expr::and) {
        Some(condition) => LogicalPlanBuilder::from(plan).filter(condition).and_then(|b| b.build()).map_err(internal),
        None => Ok(plan),
    }
}

/// Relations that stand for the one row of a sub-query begin with this.
pub(in crate::compile) const ONE: &str = "__one_";
