//! How far one entity reaches into a relation.
//!
//! Two data sets are neighbours if one lacks the rows of one entity. Of a relation computed from both, it is known how many rows are added, removed or changed at most (a
//! changed row counts twice: as one removed and one added), which columns may change in a row that stays, and, of sums and counts of a sub-query, how much the column
//! moves over all rows together, absent rows and NULL being 0. Any other column moves by as many rows times the greatest magnitude that the compiler proves of it.
//!
//! A table's rows: those that count of an entity. A filter keeps rows; a join repeats a row as often as the other side's keys repeat; a group is one row, however many of
//! its rows change. (McSherry, SIGMOD'09, section 3.2: stable transformations; Johnson, Near, Song, VLDB'18 for joins, here with the bounds of the catalogue instead
//! of the data's own.)

use std::collections::BTreeSet;

use datafusion::{
    common::{DFSchema, NullEquality},
    logical_expr::{Distinct, Expr, Join, JoinType, LogicalPlan, TableScan, expr::AggregateFunction},
};

use super::{By, Groups};
use crate::compile::expr::Reads;
use crate::compile::{
    SqlError,
    facts::{self, Facts},
    internal,
    protect::refused,
    range::{self, Interval},
    release::{aggregate_function, exact_argument},
    words::words,
};

/// One walk over a plan.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) groups: Groups<'a>,
}

/// What one entity does to a relation.
#[derive(Clone, Debug, Default)]
struct Reach {
    /// Rows added, removed or, twice, changed.
    rows: By,
    /// Of these, rows added or removed.
    churn: By,
    columns: Vec<Column>,
}

#[derive(Clone, Debug, Default)]
struct Column {
    /// How much the values move together, if that is known better than from rows.
    total: Option<By>,
    /// Entities of which data sets may change it in a row that stays.
    changed: BTreeSet<String>,
    /// The data set whose entities it names.
    entity: Option<String>,
}

/// What is folded, and by what.
pub(super) struct Below<'a> {
    walk: Walk<'a>,
    plan: &'a LogicalPlan,
    facts: Facts,
    reach: Reach,
    whole: bool,
    /// Whether no row changes its group.
    stays: bool,
}

impl<'a> Walk<'a> {
    /// A relation that is grouped.
    pub(super) fn folded(self, plan: &'a LogicalPlan, keys: &[Expr]) -> Result<Below<'a>, SqlError> {
        let reach = self.plan(plan)?;
        let stays = keys.iter().all(|key| self.changed(key, plan.schema(), &reach).is_empty());
        Ok(Below { walk: self, plan, facts: Facts::of(plan, self.groups.catalog), reach, whole: keys.is_empty(), stays })
    }

    fn plan(self, plan: &LogicalPlan) -> Result<Reach, SqlError> {
        if plan.expressions().iter().any(subquery) {
            return Err(self.unbounded("a sub-query that stands for a value or a condition", "write it as a join"));
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(a) => self.plan(&a.input),
            LogicalPlan::Sort(s) if s.fetch.is_none() => self.plan(&s.input),
            LogicalPlan::Filter(f) => {
                let mut reach = self.plan(&f.input)?;
                if !self.changed(&f.predicate, f.input.schema(), &reach).is_empty() {
                    // whether a row is there depends on what changes in it
                    reach.come_and_go();
                }
                Ok(reach)
            }
            LogicalPlan::Projection(p) => {
                let input = self.plan(&p.input)?;
                let columns = p.expr.iter().map(|e| self.column(e, p.input.schema(), &input)).collect();
                Ok(Reach { columns, ..input })
            }
            LogicalPlan::Window(w) => {
                let mut reach = self.plan(&w.input)?;
                if !w.window_expr.iter().all(|e| is_within_entity(e, w.input.schema(), &reach)) {
                    return Err(self.unbounded("a window function", "aggregate with GROUP BY"));
                }
                reach.columns.extend(w.window_expr.iter().map(|_| Column::default()));
                Ok(reach)
            }
            LogicalPlan::Join(j) => self.join(j),
            LogicalPlan::Union(u) => {
                let all = u.inputs.iter().map(|input| self.plan(input)).collect::<Result<Vec<_>, _>>()?;
                let (mut rows, mut churn) = (By::new(), By::new());
                for reach in &all {
                    add(&mut rows, &reach.rows);
                    add(&mut churn, &reach.churn);
                }
                let column = |i: usize| {
                    let mut column = Column { total: Some(By::new()), ..Column::default() };
                    for one in all.iter().filter_map(|reach| reach.columns.get(i)) {
                        column.total = column.total.zip(one.total.as_ref()).map(|(mut total, more)| {
                            add(&mut total, more);
                            total
                        });
                        column.changed.extend(one.changed.iter().cloned());
                    }
                    column
                };
                Ok(Reach { rows, churn, columns: (0..plan.schema().fields().len()).map(column).collect() })
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let mut reach = self.plan(input)?;
                reach.come_and_go();
                Ok(reach)
            }
            LogicalPlan::Aggregate(a) if !a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) => {
                let below = self.folded(&a.input, &a.group_expr)?;
                let mut columns: Vec<Column> = a.group_expr.iter().map(|e| self.column(e, a.input.schema(), &below.reach)).collect();
                columns.iter_mut().for_each(|c| (c.total, c.changed) = (None, BTreeSet::new()));
                let changed: BTreeSet<String> = below.reach.rows.keys().cloned().collect();
                for expr in &a.aggr_expr {
                    let f = aggregate_function(expr).ok_or_else(|| internal("an aggregate is a function"))?;
                    let total = match (f.func.name(), f.params.args.as_slice()) {
                        ("count", _) => Some(below.counted(f)?),
                        ("sum", [arg]) if !f.params.distinct => {
                            Some(below.summed(exact_argument(arg, a.input.schema()), f.params.filter.as_deref())?.0)
                        }
                        _ => None,
                    };
                    columns.push(Column { total, changed: changed.clone(), entity: None });
                }
                // a group is there as long as a row is, and a row that changes may leave its own for another
                let churn = match (below.whole, below.stays) {
                    (true, _) => By::new(),
                    (false, true) => below.reach.churn,
                    (false, false) => below.reach.rows.clone(),
                };
                Ok(Reach { rows: times(&below.reach.rows, 2), churn, columns })
            }
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {
                Ok(Reach { columns: vec![Column::default(); plan.schema().fields().len()], ..Reach::default() })
            }
            LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => Err(self.unbounded("LIMIT", "leave it out, or set a condition instead")),
            other => {
                let name = other.display().to_string();
                Err(self.unbounded(name.split([':', ' ']).next().unwrap_or("this construct"), "write it as joins and aggregates"))
            }
        }
    }

    fn scan(self, scan: &TableScan) -> Result<Reach, SqlError> {
        let Groups { protection, catalog, .. } = self.groups;
        let name = scan.table_name.to_string();
        let mut columns = vec![Column::default(); scan.projected_schema.fields().len()];
        let asks = protection.noise.as_ref().is_some_and(|noise| noise.datasets.contains(&name));
        let (true, Some(data), Some(table)) = (asks, protection.datasets.get(&name), catalog.table(&name)) else {
            return Ok(Reach { columns, ..Reach::default() });
        };
        // entities that a clamp makes one are capped together: without one of them rows of the others count
        if let Some(key) = data.entity_keys.iter().find(|key| data.clamp.contains_key(*key)) {
            let what = format!("the contract for {name} asks for noise, and clamps {key}, which says whose a row is");
            return Err(refused(what, "have its owner sign a contract that clamps other columns"));
        }
        let single = |key: &String| table.key == [key.as_str()] || table.column(key).is_some_and(|c| c.repeats == Some(1) && !c.nullable);
        let most = match (data.entity_keys.iter().all(single), data.max_rows_per_entity, data.entity_keys.len()) {
            (true, ..) => 1,
            (false, Some(most), 1) => most.into(),
            (false, Some(_), _) => {
                let what = format!("the contracts for {name} name several entity keys, and noise hides entities of one");
                return Err(refused(what, "have its owner sign contracts of one entity key"));
            }
            (false, None, _) => {
                let key = data.entity_keys.iter().next().map_or("", String::as_str);
                let what =
                    format!("the contract for {name} asks for noise, and says of no number of rows of a {key} that only so many count");
                return Err(refused(what, "have its owner set `max_rows_per_entity` in the contract"));
            }
        };
        for key in &data.entity_keys {
            if let Some(at) = scan.projected_schema.fields().iter().position(|f| f.name() == key) {
                columns[at].entity = Some(name.clone());
            }
        }
        let rows = By::from([(name, most)]);
        Ok(Reach { churn: rows.clone(), rows, columns })
    }

    fn join(self, join: &Join) -> Result<Reach, SqlError> {
        if join.null_aware {
            return Err(self.unbounded("NOT IN of values that may be NULL, one of which decides on all rows", "ask for NOT EXISTS"));
        }
        if join.null_equality == NullEquality::NullEqualsNull {
            return Err(self.unbounded("a join where NULL equals NULL", "join by `=`, and use UNION or sub-queries for set operations"));
        }
        let (left, right) = (self.plan(&join.left)?, self.plan(&join.right)?);
        let facts = [Facts::of(&join.left, self.groups.catalog), Facts::of(&join.right, self.groups.catalog)];
        let on = |side: &LogicalPlan, pick: fn(&(Expr, Expr)) -> &Expr| -> BTreeSet<usize> {
            join.on.iter().filter_map(|pair| facts::plain(pick(pair), side.schema())).collect()
        };
        let (left_on, right_on) = (on(&join.left, |p| &p.0), on(&join.right, |p| &p.1));
        let sides = [
            Side { reach: &left, facts: &facts[0], meets: facts[1].repeated(&right_on) },
            Side { reach: &right, facts: &facts[1], meets: facts[0].repeated(&left_on) },
        ];
        // whether rows meet must not depend on what changes in them: else that is rows that come and go
        let mut changes = join.on.iter().any(|(l, r)| {
            !self.changed(l, join.left.schema(), &left).is_empty() || !self.changed(r, join.right.schema(), &right).is_empty()
        });
        let both = || left.columns.iter().chain(&right.columns).any(|c| !c.changed.is_empty());
        changes |= join.filter.is_some() && both();
        let [of_left, of_right] = &sides;
        let mut joined = match join.join_type {
            JoinType::Inner => of_left.and(of_right, false, false),
            JoinType::Left => of_left.and(of_right, true, false),
            JoinType::Right => of_left.and(of_right, false, true),
            JoinType::LeftSemi | JoinType::LeftAnti => of_left.where_met(of_right),
            JoinType::RightSemi | JoinType::RightAnti => of_right.where_met(of_left),
            _ => return Err(self.unbounded("a FULL JOIN", "write it as LEFT JOINs of a public table")),
        };
        if changes {
            joined.come_and_go();
        }
        Ok(joined)
    }

    /// What one entity does to an expression.
    fn column(self, e: &Expr, schema: &DFSchema, input: &Reach) -> Column {
        match facts::plain(same(e, schema), schema) {
            // with 0 for NULL, the rows of no entity are those of one as well
            Some(at) if filled(e) => Column { entity: None, ..input.columns[at].clone() },
            Some(at) => input.columns[at].clone(),
            None => Column { total: None, changed: self.changed(e, schema, input), entity: None },
        }
    }

    fn changed(self, e: &Expr, schema: &DFSchema, input: &Reach) -> BTreeSet<String> {
        let read = e.reads().into_iter().filter_map(|c| schema.index_of_column(c).ok());
        read.flat_map(|at| input.columns[at].changed.iter().cloned()).collect()
    }

    fn unbounded(self, construct: &str, fix: &str) -> SqlError {
        let what = format!("what comes out has noise on it, and how much one entity has to do with it is not known behind {construct}");
        refused(what, fix).at(self.groups.text.keyword("SELECT"))
    }
}

impl Reach {
    /// Whether a row is there depends on what changes in it.
    fn come_and_go(&mut self) {
        self.churn.clone_from(&self.rows);
        self.columns.iter_mut().for_each(|c| c.total = None);
    }
}

impl Below<'_> {
    /// Rows that one entity has to do with.
    pub(super) fn rows(&self) -> By {
        self.reach.rows.clone()
    }

    /// Cells that it moves: where all rows are of one group, there is one.
    pub(super) fn cells(&self) -> By {
        let most = if self.whole { 1 } else { u128::MAX };
        self.reach.rows.iter().map(|(dataset, rows)| (dataset.clone(), most.min(*rows))).collect()
    }

    /// How much it moves a count.
    pub(super) fn counted(&self, f: &AggregateFunction) -> Result<By, SqlError> {
        let (schema, params) = (self.plan.schema(), &f.params);
        let mut total = self.touched(params.args.iter().chain(params.filter.as_deref())).clone();
        // of all entities together it is one
        if let (true, true, [arg]) = (self.whole, params.distinct, params.args.as_slice())
            && let Some(at) = facts::plain(arg, schema)
            && let Some(own) = &self.reach.columns[at].entity
            && let Some(rows) = total.get_mut(own)
        {
            *rows = 1.min(*rows);
        }
        Ok(total)
    }

    /// Rows that come and go; all that change, if one of these, or a row's group, may change in a row that stays.
    fn touched<'e>(&self, mut read: impl Iterator<Item = &'e Expr>) -> &By {
        let same = self.stays && read.all(|e| self.walk.changed(e, self.plan.schema(), &self.reach).is_empty());
        if same { &self.reach.churn } else { &self.reach.rows }
    }

    /// How much it moves a sum of values where a condition holds; with their scale and range.
    pub(super) fn summed(&self, arg: &Expr, filter: Option<&Expr>) -> Result<(By, i8, Interval), SqlError> {
        let schema = self.plan.schema();
        let known = facts::of_expr(arg, facts::Input { schema, columns: &self.facts.columns, catalog: self.walk.groups.catalog });
        let (Some(scale), Some(range)) = (range::number(&known.ty), known.range) else {
            return Err(refused(format!("the sum of {} cannot have noise: it is of no exact numbers", words(arg)), "CAST it to DECIMAL"));
        };
        let column = self.walk.column(arg, schema, &self.reach);
        // rows are chosen by what does not change in them
        let chosen = self.stays && filter.is_none_or(|e| self.walk.changed(e, schema, &self.reach).is_empty());
        if let Some(total) = column.total.filter(|_| chosen) {
            return Ok((total, scale, range));
        }
        let magnitude = range.with_zero().magnitude().unsigned_abs();
        Ok((times(self.touched([arg].into_iter().chain(filter)), magnitude), scale, range))
    }
}

/// One side of a join.
struct Side<'r> {
    reach: &'r Reach,
    facts: &'r Facts,
    /// Rows of the other side that one of its rows meets, at most.
    meets: u128,
}

impl Side<'_> {
    /// The columns of both; `keeps` says whether a row that meets none stays.
    fn and(&self, other: &Self, keeps: bool, other_keeps: bool) -> Reach {
        let mut rows = By::new();
        // where the other side's rows stay without a partner, one that loses its own changes
        add(&mut rows, &times(&self.reach.rows, self.joined(keeps).saturating_mul(1 + u128::from(other_keeps))));
        add(&mut rows, &times(&other.reach.rows, other.joined(other_keeps).saturating_mul(1 + u128::from(keeps))));
        let mut churn = times(&self.reach.churn, self.comes(other, keeps, other_keeps));
        add(&mut churn, &times(&other.reach.churn, other.comes(self, other_keeps, keeps)));
        let mut columns = self.columns(other, keeps, other_keeps);
        columns.extend(other.columns(self, other_keeps, keeps));
        Reach { rows, churn, columns }
    }

    /// The rows for which there is one of the other side, or none.
    fn where_met(&self, other: &Self) -> Reach {
        let mut rows = self.reach.rows.clone();
        add(&mut rows, &times(&other.reach.rows, other.meets));
        let mut churn = self.reach.churn.clone();
        add(&mut churn, &times(&other.reach.churn, other.meets));
        let columns = self.reach.columns.iter().zip(&self.facts.columns).map(|(column, known)| {
            let total = column.total.clone().zip(magnitude(known)).map(|(mut total, most)| {
                add(&mut total, &times(&other.reach.churn, other.meets.saturating_mul(most)));
                total
            });
            Column { total, entity: self.entity(column, other), changed: column.changed.clone() }
        });
        Reach { rows, churn, columns: columns.collect() }
    }

    /// Whose rows a column names, unless they decide on other entities' rows on the other side.
    fn entity(&self, column: &Column, other: &Self) -> Option<String> {
        column.entity.clone().filter(|own| !other.reach.rows.contains_key(own))
    }

    /// Rows of the join that come or go with one of its own. Where the other side's rows stay, and met no other, they only change.
    fn comes(&self, other: &Self, keeps: bool, other_keeps: bool) -> u128 {
        if other_keeps && other.meets <= 1 { keeps.into() } else { self.joined(keeps) }
    }

    fn joined(&self, keeps: bool) -> u128 {
        self.meets.max(u128::from(keeps))
    }

    /// Its columns in the join.
    fn columns(&self, other: &Self, keeps: bool, other_keeps: bool) -> Vec<Column> {
        // a row that stays whomever it meets, and meets one at most, is in one row of the join
        let lost = if keeps && self.meets <= 1 { 0 } else { other.meets };
        let each = self.reach.columns.iter().zip(&self.facts.columns).map(|(column, known)| {
            let total = column.total.clone().zip(magnitude(known)).map(|(total, most)| {
                let mut total = times(&total, self.joined(keeps));
                add(&mut total, &times(&other.reach.churn, lost.saturating_mul(most)));
                total
            });
            // in a row of the other side that stays without a partner they become NULL
            let mut changed = column.changed.clone();
            if other_keeps {
                changed.extend(self.reach.rows.keys().cloned());
            }
            Column { total, changed, entity: self.entity(column, other) }
        });
        each.collect()
    }
}

/// The same number, through aliases, casts that change no digit, and 0 for NULL.
fn same<'e>(e: &'e Expr, schema: &DFSchema) -> &'e Expr {
    use datafusion::logical_expr::ExprSchemable;
    match e {
        Expr::Alias(a) => same(&a.expr, schema),
        Expr::Cast(c) => {
            let from = c.expr.get_type(schema).ok().and_then(|ty| range::number(&ty));
            if from.is_some() && from == range::number(c.field.data_type()) { same(&c.expr, schema) } else { e }
        }
        Expr::ScalarFunction(f) if f.name() == "coalesce" => match f.args.as_slice() {
            [x, Expr::Literal(v, _)] if range::literal(v) == Some(Interval::ZERO) => same(x, schema),
            _ => e,
        },
        _ => e,
    }
}

/// Whether a number has been put in for NULL.
fn filled(e: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    e.exists(|e| Ok(matches!(e, Expr::ScalarFunction(_)))).unwrap_or(true)
}

/// Whether a window function tells rows of an entity apart, such as their number: no other entity's rows have to do with it.
fn is_within_entity(e: &Expr, schema: &DFSchema, reach: &Reach) -> bool {
    let Expr::WindowFunction(f) = e.clone().unalias() else { return false };
    let of = |e: &Expr| facts::plain(e, schema).and_then(|at| reach.columns[at].entity.as_ref());
    let one = |own: &String| reach.rows.keys().all(|dataset| dataset == own);
    let apart = reach.rows.is_empty() || f.params.partition_by.iter().filter_map(of).any(one);
    apart && reach.columns.iter().all(|column| column.changed.is_empty())
}

fn magnitude(known: &facts::Known) -> Option<u128> {
    known.range.map(|range| range.with_zero().magnitude().unsigned_abs())
}

fn subquery(e: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    e.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)))).unwrap_or(true)
}

fn times(by: &By, factor: u128) -> By {
    by.iter().map(|(name, n)| (name.clone(), n.saturating_mul(factor))).collect()
}

fn add(by: &mut By, more: &By) {
    for (name, n) in more {
        let sum = by.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*n);
    }
}
