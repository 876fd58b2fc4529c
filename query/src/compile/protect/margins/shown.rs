//! What of a plan comes out, as far as it is folds of rows. That is its outermost folds, and what these find beside rows of the same data set, by a join, UNION or a sub-query that is a
//! value: the mean of a total, in each of the groups, is the total.

use std::collections::BTreeSet;

use datafusion::{
    common::{
        Column, DFSchema,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, JoinType, LogicalPlan},
};

use crate::{
    catalog::Catalog,
    compile::{
        expr::{Reads, said},
        facts::{self, Facts},
        protect::entities::unalias,
        release::aggregate_function,
    },
    protection::Protection,
};

pub(super) struct Fold {
    pub(super) tables: Vec<String>,
    /// What it groups by, without the names of tables.
    pub(super) keys: Vec<String>,
    /// Whether some of its groups are left out above it.
    pub(super) cut: bool,
}

pub(super) fn folds(plan: &LogicalPlan, protection: &Protection, catalog: &Catalog) -> Vec<Fold> {
    let mut shown = Shown { protection, catalog, folds: Vec::new() };
    shown.plan(plan, false);
    shown.folds
}

struct Shown<'a> {
    protection: &'a Protection,
    catalog: &'a Catalog,
    folds: Vec<Fold>,
}

impl Shown<'_> {
    fn plan(&mut self, plan: &LogicalPlan, cut: bool) {
        if let Some(groups) = Groups::of(plan) {
            let keys = self.named(&groups);
            self.beneath(&groups, &keys);
            self.folds.push(Fold { tables: facts::tables(plan), keys, cut });
            return;
        }
        if !matches!(plan, LogicalPlan::Filter(_)) {
            self.values(plan);
        }
        let cut = cut
            || match plan {
                LogicalPlan::Filter(_) | LogicalPlan::Limit(_) => true,
                LogicalPlan::Sort(s) => s.fetch.is_some(),
                LogicalPlan::Join(j) => j.join_type != JoinType::Inner || !j.on.is_empty() || j.filter.is_some(),
                _ => false,
            };
        inputs(plan).into_iter().for_each(|input| self.plan(input, cut));
    }

    /// Sub-queries that stand for values that are shown.
    fn values(&mut self, plan: &LogicalPlan) {
        let _ = plan.apply_expressions(|e| {
            e.apply(|e| {
                if let Expr::ScalarSubquery(s) = e {
                    self.plan(&s.subquery, false);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        });
    }

    /// What groups have of folds, and of rows, that are of the data set of their own rows, and are in several of them: of all groups alike, or of those that another key has in common.
    fn beneath(&mut self, groups: &Groups<'_>, named: &[String]) {
        if groups.keys.is_empty() {
            return;
        }
        let mut met = Met::default();
        let columns = met.plan(groups.input);
        let keys: Vec<Source> = groups.keys.iter().map(|e| met.read(e, groups.input.schema(), &columns)).collect();
        let values: Vec<Source> = groups.values.iter().map(|e| met.read(e, groups.input.schema(), &columns)).collect();
        let read: BTreeSet<usize> = keys.iter().chain(&values).flat_map(Source::parts).collect();
        let tables: Vec<Vec<String>> = met.parts.iter().map(|part| facts::tables(part)).collect();
        let links = self.links(&met, &keys);
        for (place, part) in met.parts.iter().enumerate() {
            let fold = Groups::of(part);
            let by: Vec<String> = match &fold {
                Some(fold) => {
                    let own = self.named(fold);
                    self.beneath(fold, &own);
                    if (0..own.len()).all(|key| links.columns(place).contains(&key)) { own } else { Vec::new() }
                }
                None => links.columns(place).into_iter().map(|c| part.schema().field(c).name().clone()).collect(),
            };
            let others = |table: &&String| tables.iter().enumerate().any(|(other, of)| other != place && of.contains(table));
            let twice: Vec<String> = tables[place].iter().filter(others).cloned().collect();
            if read.contains(&place) && !links.within_groups.contains(&place) && !twice.is_empty() {
                self.folds.push(Fold { tables: twice, keys: if by == named { Vec::new() } else { by }, cut: false });
            }
        }
    }

    /// How parts hang together with the one that has the keys.
    fn links(&self, met: &Met<'_>, keys: &[Source]) -> Links {
        let mut links = Links::default();
        let Some(first) = keys.iter().flat_map(Source::parts).min() else { return links };
        let facts: Vec<Facts> = met.parts.iter().map(|part| Facts::of(part, self.catalog)).collect();
        (links.linked, links.within_groups) = (BTreeSet::from([first]), BTreeSet::from([first]));
        loop {
            let before = (links.linked.len(), links.within_groups.len());
            for (one, other) in (0..met.parts.len()).flat_map(|one| (0..met.parts.len()).map(move |other| (one, other))) {
                let pairs: Vec<(usize, usize)> = met.pairs(one, other).collect();
                if pairs.is_empty() || !links.linked.contains(&one) {
                    continue;
                }
                links.linked.insert(other);
                links.equal.extend(pairs.iter().map(|(_, column)| (other, *column)));
                let on: BTreeSet<usize> = pairs.iter().map(|(column, _)| *column).collect();
                let by_keys = keys.iter().all(|key| key.plain && key.from.iter().all(|(part, column)| *part == one && on.contains(column)));
                let of_entity = pairs.iter().any(|(_, column)| self.is_entity(met.parts[other], *column));
                if links.within_groups.contains(&one) && (by_keys || facts[one].unique_on(&on) || of_entity) {
                    links.within_groups.insert(other);
                }
            }
            if before == (links.linked.len(), links.within_groups.len()) {
                return links;
            }
        }
    }

    /// Whether a column names the entities of its data set, each of which is one.
    fn is_entity(&self, part: &LogicalPlan, column: usize) -> bool {
        let column = Expr::Column(Column::from(part.schema().qualified_field(column)));
        let Some(Expr::Column(c)) = resolved(&column, part, &mut STEPS.clone()) else { return false };
        let Some(table) = c.relation.map(|table| table.to_string()) else { return false };
        let Some(data) = self.protection.datasets.get(&table) else { return false };
        let key = || self.catalog.table(&table).is_some_and(|table| table.key == [c.name.clone()]);
        data.entity_keys.contains(&c.name) || (data.entity_keys.is_empty() && key())
    }

    /// The keys of groups in terms of tables, by whatever name these go.
    fn named(&self, groups: &Groups<'_>) -> Vec<String> {
        let mut keys: Vec<String> = groups.keys.iter().map(|key| self.text(key, groups.input)).collect();
        keys.sort();
        keys
    }

    fn text(&self, key: &Expr, input: &LogicalPlan) -> String {
        let plain = resolved(key, input, &mut STEPS.clone()).and_then(|key| {
            let plain = key.transform(|e| match e {
                Expr::Column(c) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(c.name)))),
                other => Ok(Transformed::no(other)),
            });
            plain.ok().map(|plain| said(&plain.data))
        });
        // what is too long to be looked at is like no other
        plain.unwrap_or_else(|| format!("{} ({})", said(key), self.folds.len()))
    }
}

/// What groups rows.
struct Groups<'p> {
    keys: Vec<Expr>,
    /// What is shown of the rows of a group.
    values: Vec<Expr>,
    input: &'p LogicalPlan,
}

impl<'p> Groups<'p> {
    fn of(plan: &'p LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::Aggregate(a) => {
                // who counts is not shown
                let arguments = |e: &Expr| aggregate_function(e).map_or(vec![e.clone()], |f| f.params.args.clone());
                Some(Groups { keys: a.group_expr.clone(), values: a.aggr_expr.iter().flat_map(arguments).collect(), input: &a.input })
            }
            LogicalPlan::Distinct(d) => {
                let keys = d.input().schema().columns().into_iter().map(Expr::Column).collect();
                Some(Groups { keys, values: Vec::new(), input: d.input() })
            }
            _ => None,
        }
    }
}

/// Folds and tables that come together below a fold.
#[derive(Default)]
struct Met<'p> {
    parts: Vec<&'p LogicalPlan>,
    /// Columns of parts that a join has equal.
    equal: Vec<[(usize, usize); 2]>,
}

/// The columns of parts that a value is read from.
#[derive(Clone, Default)]
struct Source {
    from: BTreeSet<(usize, usize)>,
    /// Whether it is one of them.
    plain: bool,
}

impl Source {
    fn parts(&self) -> impl Iterator<Item = usize> {
        self.from.iter().map(|(part, _)| *part)
    }

    fn and(mut self, other: Source) -> Source {
        self.from.extend(other.from);
        Source { plain: false, ..self }
    }
}

impl<'p> Met<'p> {
    /// What each column of a plan is read from.
    fn plan(&mut self, plan: &'p LogicalPlan) -> Vec<Source> {
        let mut columns = match plan {
            _ if Groups::of(plan).is_some() || matches!(plan, LogicalPlan::TableScan(_)) => {
                let part = self.parts.len();
                self.parts.push(plan);
                (0..plan.schema().fields().len()).map(|c| Source { from: BTreeSet::from([(part, c)]), plain: true }).collect()
            }
            LogicalPlan::Projection(p) => {
                let below = self.plan(&p.input);
                p.expr.iter().map(|e| self.read(e, p.input.schema(), &below)).collect()
            }
            LogicalPlan::Window(w) => {
                let mut below = self.plan(&w.input);
                let values: Vec<Source> = w.window_expr.iter().map(|e| self.read(e, w.input.schema(), &below)).collect();
                below.extend(values);
                below
            }
            LogicalPlan::Union(u) => {
                let each: Vec<Vec<Source>> = u.inputs.iter().map(|input| self.plan(input)).collect();
                each.into_iter().reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.and(b)).collect()).unwrap_or_default()
            }
            LogicalPlan::Join(j) if inputs(plan).len() == 2 => {
                let (left, right) = (self.plan(&j.left), self.plan(&j.right));
                for (l, r) in &j.on {
                    let pair = [self.read(l, j.left.schema(), &left), self.read(r, j.right.schema(), &right)];
                    if let [Source { from: l, plain: true }, Source { from: r, plain: true }] = pair {
                        self.equal.extend(l.first().copied().zip(r.first().copied()).map(|(l, r)| [l, r]));
                    }
                }
                left.into_iter().chain(right).collect()
            }
            _ => inputs(plan).into_iter().flat_map(|input| self.plan(input)).collect(),
        };
        columns.resize(plan.schema().fields().len(), Source::default());
        columns
    }

    fn read(&mut self, e: &'p Expr, schema: &DFSchema, columns: &[Source]) -> Source {
        let of = |c: &Column| schema.index_of_column(c).ok().and_then(|place| columns.get(place)).cloned().unwrap_or_default();
        if let Expr::Column(c) = unalias(e) {
            return of(c);
        }
        let mut all = e.reads().into_iter().map(of).fold(Source::default(), Source::and);
        let _ = e.apply(|e| {
            if let Expr::ScalarSubquery(s) = e {
                all = self.plan(&s.subquery).into_iter().fold(std::mem::take(&mut all), Source::and);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        all
    }

    /// Columns of two parts that are equal.
    fn pairs(&self, one: usize, other: usize) -> impl Iterator<Item = (usize, usize)> {
        let both = self.equal.iter().flat_map(|[a, b]| [(*a, *b), (*b, *a)]);
        both.filter(move |(a, b)| one != other && a.0 == one && b.0 == other).map(|(a, b)| (a.1, b.1))
    }
}

/// How parts hang together with the one that has the keys of the groups.
#[derive(Default)]
struct Links {
    /// By joins on equal columns.
    linked: BTreeSet<usize>,
    /// So that no row of theirs is in several groups, or it is of one entity.
    within_groups: BTreeSet<usize>,
    /// Columns that these joins are on.
    equal: BTreeSet<(usize, usize)>,
}

impl Links {
    fn columns(&self, part: usize) -> BTreeSet<usize> {
        self.equal.iter().filter(|(of, _)| *of == part).map(|(_, column)| *column).collect()
    }
}

/// Inputs whose columns come out.
fn inputs(plan: &LogicalPlan) -> Vec<&LogicalPlan> {
    match plan {
        LogicalPlan::Join(j) if matches!(j.join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark) => vec![&j.left],
        LogicalPlan::Join(j) if matches!(j.join_type, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark) => vec![&j.right],
        _ => plan.inputs(),
    }
}

/// Columns that a key is followed through, at most: written out, it may be much longer than the question.
const STEPS: usize = 256;

/// A value in terms of the columns of tables, as far as rows of these have it.
fn resolved(e: &Expr, plan: &LogicalPlan, steps: &mut usize) -> Option<Expr> {
    let mut lost = false;
    let whole = unalias(e).clone().transform(|e| match e {
        Expr::Column(c) if !lost => Ok(match origin(&c, plan, steps) {
            Some(of) => Transformed::yes(of),
            None => {
                lost = true;
                Transformed::no(Expr::Column(c))
            }
        }),
        other => Ok(Transformed::no(other)),
    });
    whole.ok().filter(|_| !lost).map(|whole| whole.data)
}

fn origin(c: &Column, plan: &LogicalPlan, steps: &mut usize) -> Option<Expr> {
    *steps = steps.checked_sub(1)?;
    let Ok(place) = plan.schema().index_of_column(c) else { return Some(Expr::Column(c.clone())) };
    match plan {
        LogicalPlan::Projection(p) => resolved(p.expr.get(place)?, &p.input, steps),
        LogicalPlan::SubqueryAlias(a) => origin(&Column::from(a.input.schema().qualified_field(place)), &a.input, steps),
        LogicalPlan::Aggregate(a) if place < a.group_expr.len() => resolved(&a.group_expr[place], &a.input, steps),
        LogicalPlan::TableScan(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Union(_) => Some(Expr::Column(c.clone())),
        other => match other.inputs().into_iter().find(|input| input.schema().has_column(c)) {
            Some(input) => origin(c, input, steps),
            None => Some(Expr::Column(c.clone())),
        },
    }
}
