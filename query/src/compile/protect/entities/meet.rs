//! Operators of several inputs.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{ExprSchema, NullEquality, ScalarValue},
    logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, Union, lit},
};

use super::{
    Are, Counted, Entities, choose,
    walk::{Walk, at},
};
use crate::compile::expr::Reads;
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        expr::cast,
        facts::{Facts, Input, plain},
        internal,
        protect::dominance::{Mixed, Portions, Projected},
        range,
    },
};

impl Walk<'_> {
    pub(super) fn join(&mut self, j: &Join) -> Result<Counted, SqlError> {
        use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
        let turned: Vec<_> = j.on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
        match j.join_type {
            LeftSemi => return self.exists(j, &j.left, &j.right, &j.on),
            RightSemi => return self.exists(j, &j.right, &j.left, &turned),
            LeftAnti | LeftMark if self.protects(&j.right) => return Err(self.uncounted("NOT EXISTS, NOT IN, or EXISTS beside OR")),
            RightAnti | RightMark if self.protects(&j.left) => return Err(self.uncounted("NOT EXISTS, NOT IN, or EXISTS beside OR")),
            _ => {}
        }
        let (mut left, mut right) = (self.plan(&j.left)?, self.plan(&j.right)?);
        if matches!(j.join_type, Right | Full) {
            left = self.written(left)?;
        }
        if matches!(j.join_type, Left | Full) {
            right = self.written(right)?;
        }
        let plan = rebuilt_join(j, left.plan.clone(), right.plan.clone(), j.on.clone(), j.join_type)?;
        let repeats = |other: &Counted, on: Vec<&Expr>| repeats(&other.plan, on, j.null_equality, self.catalog);
        let (of_left, of_right) =
            (repeats(&left, j.on.iter().map(|p| &p.0).collect()), repeats(&right, j.on.iter().map(|p| &p.1).collect()));
        let mut of = Vec::new();
        if !matches!(j.join_type, RightAnti | RightMark) {
            of.extend(left.of.into_iter().map(|e| e.repeated(of_right, matches!(j.join_type, Right | Full))));
        }
        if matches!(j.join_type, Inner | Left | Right | Full | RightAnti | RightMark) {
            of.extend(right.of.into_iter().map(|e| e.repeated(of_left, matches!(j.join_type, Left | Full))));
        }
        Ok(self.counted(plan, of))
    }

    /// EXISTS, IN: a row is also of the entities that make it pass.
    fn exists(&mut self, j: &Join, kept: &LogicalPlan, other: &LogicalPlan, on: &[(Expr, Expr)]) -> Result<Counted, SqlError> {
        let (kept, other) = (self.plan(kept)?, self.plan(other)?);
        // what is joined on names the entity on either side
        let same = |e: &Entities| match &e.are {
            Are::Named(c) => on.iter().find_map(|(k, o)| match (k, o) {
                (Expr::Column(k), Expr::Column(o)) if o == c => Some(k.clone()),
                _ => None,
            }),
            Are::Numbered { .. } => None,
        };
        let known: Option<Vec<Entities>> = other.of.iter().map(|e| same(e).map(|c| e.clone().with(c))).collect();
        if let Some(known) = known {
            let known = known.into_iter().map(|e| Entities { portions: Portions::default(), ..e });
            let straight = j.join_type == JoinType::LeftSemi;
            let (left, right) = if straight { (kept.plan, other.plan) } else { (other.plan, kept.plan) };
            let plan = rebuilt_join(j, left, right, j.on.clone(), j.join_type)?;
            return Ok(self.counted(plan, kept.of.into_iter().chain(known).collect()));
        }
        if j.filter.is_some() || on.is_empty() || j.null_aware {
            return Err(self.uncounted("EXISTS or IN with other conditions than equal keys"));
        }
        // rows that would pass meet the one row of all that make them
        let folded = self.folded(other, on.iter().map(|(_, o)| o.clone()).collect(), Vec::new())?;
        let alias = format!("__matched_{}", self.next);
        self.next += 1;
        let before = folded.plan.schema().clone();
        let names: Vec<Expr> = before.columns().into_iter().enumerate().map(|(i, c)| Expr::Column(c).alias(format!("m{i}"))).collect();
        let named =
            LogicalPlanBuilder::from(folded.plan).project(names).and_then(|b| b.alias(alias)).and_then(|b| b.build()).map_err(internal)?;
        let keys = on.iter().enumerate().map(|(i, (k, _))| (k.clone(), Expr::Column(at(named.schema(), i)))).collect();
        let of_kept = repeats(&kept.plan, on.iter().map(|(k, _)| k).collect(), j.null_equality, self.catalog);
        let matched = folded.of.iter().map(|e| e.moved(|c| Ok(at(named.schema(), before.index_of_column(c)?))));
        let matched = matched.collect::<Result<Vec<_>, _>>()?.into_iter().map(|e| e.repeated(of_kept, false)).collect::<Vec<_>>();
        let plan = rebuilt_join(j, kept.plan, named, keys, JoinType::Inner)?;
        Ok(self.counted(plan, kept.of.into_iter().chain(matched).collect()))
    }

    /// Numbers as columns, so that they are NULL where an outer join has no row.
    fn written(&mut self, inner: Counted) -> Result<Counted, SqlError> {
        let constant = |e: &Entities| matches!(&e.are, Are::Numbered { number, .. } if number.reads().is_empty());
        if !inner.of.iter().any(constant) {
            return Ok(inner);
        }
        let mut exprs: Vec<Expr> = inner.plan.schema().columns().into_iter().map(Expr::Column).collect();
        let mut places = Vec::new();
        for e in &inner.of {
            places.push(constant(e).then(|| {
                exprs.push(e.value().alias(self.name(e)));
                exprs.len() - 1
            }));
        }
        self.projected(inner, exprs, places)
    }

    /// Rows of some inputs are of no entity of what only others read.
    pub(super) fn union(&mut self, u: &Union, plan: &LogicalPlan) -> Result<Counted, SqlError> {
        let inputs = u.inputs.iter().map(|i| self.plan(i)).collect::<Result<Vec<_>, _>>()?;
        if inputs.iter().flat_map(|input| &input.of).any(|e| !e.portions.sums().is_empty()) {
            return Err(self.uncounted("UNION ALL of sums, whose greatest shares are of different sums"));
        }
        let mut all: Vec<(String, Option<String>, usize)> = Vec::new();
        for input in &inputs {
            all.extend(input.occurrences());
        }
        all.sort();
        all.dedup();
        let mut arms = Vec::new();
        for (arm, original) in inputs.iter().zip(&u.inputs) {
            let facts = Facts::of(&arm.plan, self.catalog);
            let own = arm.occurrences();
            let found = all.iter().map(|o| own.iter().position(|mine| mine == o).map(|i| &arm.of[i]));
            arms.push((arm, original, facts, found.collect::<Vec<_>>()));
        }
        // named in all inputs, by columns of one type, or numbered
        let mut of = Vec::new();
        let mut columns: Vec<Vec<Expr>> =
            arms.iter().map(|(_, original, ..)| original.schema().columns().into_iter().map(Expr::Column).collect()).collect();
        for (i, (table, key, _)) in all.iter().enumerate() {
            let mut names = Vec::new();
            for (arm, .., found) in &arms {
                names.push(match found[i].map(|e| &e.are) {
                    Some(Are::Named(c)) => Some(Some(arm.plan.schema().data_type(c).map_err(internal)?.clone())),
                    Some(Are::Numbered { .. }) => None,
                    None => Some(None),
                });
            }
            let types: Option<Vec<Option<DataType>>> = names.into_iter().collect();
            let one = types.and_then(|types| {
                let mut types = types.into_iter().flatten();
                let first = types.next()?;
                types.all(|t| t == first).then_some(first)
            });
            let portions = Portions::default();
            let e = Entities { table: table.clone(), key: key.clone(), are: Are::Numbered { number: lit(0i64), most: Some(0) }, portions };
            let name = self.name(&e);
            let mut most = Some(0u128);
            for ((arm, _, facts, found), columns) in arms.iter().zip(&mut columns) {
                let (value, times) = match (found[i].map(|e| &e.are), &one) {
                    (Some(Are::Named(c)), Some(_)) => (Expr::Column(c.clone()), None),
                    (None, Some(ty)) => (Expr::Literal(ScalarValue::try_from(ty).map_err(internal)?, None), None),
                    (Some(Are::Named(c)), None) => {
                        let at = arm.plan.schema().index_of_column(c).map_err(internal)?;
                        (choose(Expr::Column(c.clone()).is_not_null(), lit(1i64), lit(0i64)), facts.columns[at].repeats)
                    }
                    (Some(Are::Numbered { number, most }), None) => (number.clone(), *most),
                    (None, None) => (lit(0i64), Some(0)),
                    (Some(Are::Numbered { .. }), Some(_)) => return Err(internal("an entity is named or numbered")),
                };
                columns.push(value.alias(&name));
                most = most.zip(times).map(|(a, b)| a.saturating_add(b));
            }
            of.push((e, one.is_some(), most));
        }
        // what an input has of other values is of no entity
        let mut portions: Vec<Projected> = all.iter().map(|_| Projected::default()).collect();
        for (i, column) in (0..all.len()).flat_map(|i| (0..plan.schema().fields().len()).map(move |column| (i, column))) {
            let each = arms.iter().map(|(arm, original, facts, found)| {
                let value = Expr::Column(at(original.schema(), column));
                let input = Input { schema: arm.plan.schema(), columns: &facts.columns, catalog: self.catalog };
                let portion = found[i].map_or(Ok(None), |e| e.portions.of(&value, input))?;
                Ok(portion.map(|portion| (portion.greatest == value && portion.whole == value, portion)))
            });
            let ty = plan.schema().field(column).data_type();
            let portion = match each.collect::<Result<Vec<_>, Mixed>>() {
                Ok(each) if each.iter().all(Option::is_none) => continue,
                Ok(each) if each.iter().all(|portion| portion.as_ref().is_some_and(|(all, _)| *all)) => Some(column),
                Ok(each) if range::number(ty).is_some() => {
                    let name = self.name(&of[i].0);
                    for (columns, portion) in columns.iter_mut().zip(each) {
                        let of_arm = match portion {
                            Some((_, portion)) => cast(portion.greatest, ty.clone()),
                            None => Expr::Literal(ScalarValue::new_zero(ty).map_err(internal)?, None),
                        };
                        columns.push(of_arm.alias(&name));
                    }
                    columns.first().map(|columns| columns.len() - 1)
                }
                _ => None,
            };
            portions[i].add(column, portion);
        }
        let width = plan.schema().fields().len();
        let inputs = arms.iter().zip(columns).map(|((arm, ..), exprs)| {
            Projection::try_new(exprs, Arc::new(arm.plan.clone())).map(|p| Arc::new(LogicalPlan::Projection(p))).map_err(internal)
        });
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let plan = LogicalPlan::Union(Union::try_new_with_loose_types(inputs).map_err(internal)?);
        let of = of.into_iter().zip(portions).enumerate().map(|(i, ((e, is_named, most), portions))| {
            let column = at(plan.schema(), width + i);
            let are = if is_named { Are::Named(column) } else { Are::Numbered { number: Expr::Column(column), most } };
            Entities { are, portions: portions.at(|place| at(plan.schema(), place)), ..e }
        });
        let of = of.collect();
        Ok(self.counted(plan, of))
    }
}

impl Counted {
    /// Which data set, by which key, and the how manieth of these.
    fn occurrences(&self) -> Vec<(String, Option<String>, usize)> {
        let same = |i: usize| (0..i).filter(|j| self.of[*j].table == self.of[i].table && self.of[*j].key == self.of[i].key).count();
        (0..self.of.len()).map(|i| (self.of[i].table.clone(), self.of[i].key.clone(), same(i))).collect()
    }
}

/// How many rows have equal keys, at most.
fn repeats(plan: &LogicalPlan, on: Vec<&Expr>, equality: NullEquality, catalog: &Catalog) -> Option<u128> {
    let facts = Facts::of(plan, catalog);
    let keys: BTreeSet<usize> = on.into_iter().filter_map(|e| plain(e, plan.schema())).collect();
    if facts.unique_on(&keys) {
        return Some(1);
    }
    // of NULLs there may be more
    let counts = |c: &usize| equality == NullEquality::NullEqualsNothing || !facts.columns[*c].nullable;
    keys.iter().filter(|c| counts(c)).filter_map(|c| facts.columns[*c].repeats).min()
}

fn rebuilt_join(
    j: &Join,
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    join_type: JoinType,
) -> Result<LogicalPlan, SqlError> {
    let filter = if join_type == j.join_type { j.filter.clone() } else { None };
    let null_aware = join_type == j.join_type && j.null_aware;
    let join = Join::try_new(left.into(), right.into(), on, filter, join_type, j.join_constraint, j.null_equality, null_aware);
    Ok(LogicalPlan::Join(join.map_err(internal)?))
}
