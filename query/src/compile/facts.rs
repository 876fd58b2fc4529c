//! What is publicly known of a relation that one owner (or everyone, from public tables) computes at home: its columns' ranges, NULLs,
//! values and origins, which columns are unique, how many rows it can have.

mod aggregate;
mod expr;
mod join;

pub(super) use aggregate::{default_away, one as of_aggregate, one_of_them, window as of_window};
pub(super) use expr::{dropped, has_subquery, nullable, of_expr, plain, strict};

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, DFSchema, tree_node::TreeNodeRecursion},
    logical_expr::{Distinct, Expr, FetchType, Filter, LogicalPlan, Operator, TableScan, utils::split_conjunction},
};

use super::{
    range::{self, Interval},
    real::Real,
    total,
};
use crate::catalog::{Catalog, ColumnType};

/// What is known of a column.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) ty: DataType,
    /// Its scaled integers; `None` for types without.
    pub(super) range: Option<Interval>,
    /// Bounds of a floating-point number that is always finite.
    pub(super) real: Option<Real>,
    /// Why an exact column has no usable range.
    pub(super) wide: Option<String>,
    pub(super) nullable: bool,
    /// Rows where it was NULL were dropped, or will be: what is computed of it where it is may still meet them.
    pub(super) dropped: bool,
    /// It is never 0 (a condition may say so, or its own form).
    pub(super) nonzero: bool,
    /// All values of a text column, sorted.
    pub(super) values: Option<Arc<Vec<String>>>,
    pub(super) origin: Option<Origin>,
    /// Public table and column from which its non-NULL values are drawn.
    pub(super) draws: Option<(String, String)>,
    /// Most different values, NULL aside.
    pub(super) distinct: Option<u128>,
    /// Most rows with the same value, NULL aside.
    pub(super) repeats: Option<u128>,
    /// It is a column of an owner's table, as it stands or within bounds.
    pub(super) own: bool,
}

impl Known {
    /// What the type alone tells.
    pub(super) fn of_type(ty: DataType) -> Known {
        Known {
            range: range::limits(&ty),
            ty,
            real: None,
            wide: None,
            nullable: true,
            dropped: false,
            nonzero: false,
            values: None,
            origin: None,
            draws: None,
            distinct: None,
            repeats: None,
            own: false,
        }
    }

    /// Rows where it is NULL are dropped.
    pub(super) fn drop_nulls(&mut self) {
        self.dropped |= self.nullable;
        self.nullable = false;
    }
}

/// The relation an expression reads.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) schema: &'a DFSchema,
    pub(super) columns: &'a [Known],
    pub(super) catalog: &'a Catalog,
}

impl<'a> Input<'a> {
    pub(super) fn column(&self, column: &Column) -> Option<&'a Known> {
        self.schema.index_of_column(column).ok().and_then(|i| self.columns.get(i))
    }
}

/// The column is this function of a row of a public table (or NULL, if an outer join found no row).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    /// Which occurrence of the table: columns of one occurrence come from the same row.
    pub(super) scan: usize,
    pub(super) table: String,
    /// Over the table's columns, unqualified.
    pub(super) expr: Expr,
}

impl Origin {
    /// The table's column, if it is one.
    pub(super) fn column(&self) -> Option<&str> {
        match &self.expr {
            Expr::Column(c) => Some(&c.name),
            _ => None,
        }
    }
}

/// What is known of a relation.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) columns: Vec<Known>,
    /// Sets of columns that are unique among rows (NULLs counting as equal).
    pub(super) unique: Vec<BTreeSet<usize>>,
    /// Rows that agree on the first columns agree on the second (NULLs counting as equal).
    pub(super) determines: Vec<Determines>,
    pub(super) rows: u128,
    /// Exactly one row, whatever the data.
    pub(super) exactly_one: bool,
    /// Shows rows of a private table, with no aggregate between.
    pub(super) raw: bool,
}

/// A functional dependency.
type Determines = (BTreeSet<usize>, BTreeSet<usize>);

impl Facts {
    pub(super) fn of(plan: &LogicalPlan, catalog: &Catalog) -> Facts {
        Walk { catalog, scans: 0 }.plan(plan)
    }

    /// Whether at most one row agrees on these columns.
    pub(super) fn unique_on(&self, columns: &BTreeSet<usize>) -> bool {
        self.rows <= 1 || self.unique.iter().any(|u| u.is_subset(columns))
    }

    /// All columns that are functions of these.
    pub(super) fn determined(&self, columns: &BTreeSet<usize>) -> BTreeSet<usize> {
        if self.unique_on(columns) {
            return (0..self.columns.len()).collect();
        }
        let mut all = columns.clone();
        loop {
            let before = all.len();
            for (of, columns) in &self.determines {
                if of.is_subset(&all) {
                    all.extend(columns);
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// Most rows of a group by these.
    pub(super) fn in_group(&self, keys: &[Expr], schema: &DFSchema) -> u128 {
        // NULLs form a group, of however many rows
        let columns = keys.iter().filter_map(|k| plain(k, schema)).filter(|c| !self.columns[*c].nullable);
        self.repeated(&columns.collect())
    }

    /// Those of some expressions on which all others depend, given which column each is, if it is one.
    pub(super) fn essential(&self, of: &BTreeSet<usize>, column: impl Fn(usize) -> Option<usize>) -> BTreeSet<usize> {
        let mut kept = of.clone();
        for i in of.iter().rev() {
            let others: BTreeSet<usize> = kept.iter().filter(|o| *o != i).filter_map(|o| column(*o)).collect();
            if column(*i).is_some_and(|c| self.determined(&others).contains(&c)) {
                kept.remove(i);
            }
        }
        kept
    }

    /// Most rows that agree with one value of each of these columns.
    pub(super) fn repeated(&self, columns: &BTreeSet<usize>) -> u128 {
        if self.unique_on(columns) {
            return self.rows.min(1);
        }
        columns.iter().filter_map(|c| self.columns[*c].repeats).fold(self.rows, u128::min)
    }
}

/// Names of the owners whose tables a plan reads, also in its sub-queries.
pub(super) fn owners(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut owners = BTreeSet::new();
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            owners.extend(scan.table_name.schema().filter(|s| *s != crate::catalog::PUBLIC_SCHEMA).map(str::to_owned));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    owners
}

/// Names of the tables a plan reads, in order of appearance.
pub(crate) fn tables(plan: &LogicalPlan) -> Vec<String> {
    let mut tables = Vec::new();
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let name = scan.table_name.to_string();
            if !tables.contains(&name) {
                tables.push(name);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    tables
}

struct Walk<'a> {
    catalog: &'a Catalog,
    scans: usize,
}

impl Walk<'_> {
    fn plan(&mut self, plan: &LogicalPlan) -> Facts {
        match plan {
            LogicalPlan::TableScan(scan) => self.table(scan),
            LogicalPlan::SubqueryAlias(a) => self.plan(&a.input),
            LogicalPlan::Subquery(s) => self.plan(&s.subquery),
            LogicalPlan::Sort(s) => {
                let mut facts = self.plan(&s.input);
                if let Some(fetch) = s.fetch {
                    facts.rows = facts.rows.min(fetch as u128);
                }
                facts
            }
            LogicalPlan::Repartition(r) => self.plan(&r.input),
            LogicalPlan::Limit(l) => {
                let mut facts = self.plan(&l.input);
                facts.exactly_one = false;
                if let Ok(FetchType::Literal(Some(n))) = l.get_fetch_type() {
                    facts.rows = facts.rows.min(n as u128);
                }
                facts
            }
            LogicalPlan::Filter(f) => {
                let mut facts = self.plan(&f.input);
                facts.exactly_one = false;
                for condition in split_conjunction(&f.predicate) {
                    expr::not_null(condition, f.input.schema(), &mut facts.columns);
                }
                if let Some((column, most)) = capped(f) {
                    let repeats = &mut facts.columns[column].repeats;
                    *repeats = Some(repeats.map_or(most, |known| known.min(most)));
                    if most == 1 {
                        facts.unique.push(BTreeSet::from([column]));
                    }
                }
                for e in total::not_zero(&f.predicate) {
                    if let Some(i) = plain(e, f.input.schema()) {
                        facts.columns[i].nonzero = true;
                    }
                }
                facts
            }
            LogicalPlan::Projection(p) => {
                let facts = self.plan(&p.input);
                let input = Input { schema: p.input.schema(), columns: &facts.columns, catalog: self.catalog };
                let columns = p.expr.iter().map(|e| of_expr(e, input)).collect();
                let places: Vec<_> = p.expr.iter().map(|e| plain(e, p.input.schema())).collect();
                let place = |c: &usize| places.iter().position(|p| *p == Some(*c));
                let unique = facts.unique.iter().filter_map(|u| u.iter().map(place).collect()).collect();
                let determines = moved(&facts.determines, place);
                Facts { columns, unique, determines, ..facts }
            }
            LogicalPlan::Distinct(d) => {
                let (mut facts, all) = match d {
                    Distinct::All(input) => (self.plan(input), true),
                    Distinct::On(on) => (self.plan(&on.input), false),
                };
                if all {
                    facts.unique.push((0..facts.columns.len()).collect());
                    facts
                } else {
                    Facts { unique: Vec::new(), exactly_one: false, ..by_type(plan, facts.rows, facts.raw) }
                }
            }
            LogicalPlan::Aggregate(a) => {
                let input = self.plan(&a.input);
                aggregate::aggregate(a, &input, self.catalog)
            }
            LogicalPlan::Window(w) => {
                let mut facts = self.plan(&w.input);
                let input = Input { schema: w.input.schema(), columns: &facts.columns, catalog: self.catalog };
                let windows: Vec<_> = w.window_expr.iter().map(|e| of_window(e, input, facts.rows)).collect();
                facts.columns.extend(windows);
                facts
            }
            LogicalPlan::Join(j) => self.join(j),
            LogicalPlan::Union(u) => {
                let all: Vec<_> = u.inputs.iter().map(|i| self.plan(i)).collect();
                let rows = all.iter().fold(0u128, |n, f| n.saturating_add(f.rows));
                let mut facts = by_type(plan, rows, all.iter().any(|f| f.raw));
                for (i, column) in facts.columns.iter_mut().enumerate() {
                    column.nullable = all.iter().any(|f| f.columns[i].nullable);
                    let same_type = all.iter().all(|f| f.columns[i].ty == column.ty);
                    let hull = all.iter().map(|f| f.columns[i].range).reduce(|a, b| a.zip(b).map(|(a, b)| a.hull(b))).flatten();
                    if same_type && hull.is_some() {
                        column.range = hull;
                    }
                    column.real = all.iter().map(|f| f.columns[i].real).reduce(|a, b| a.zip(b).map(|(a, b)| a.hull(b))).flatten();
                    column.own = all.iter().all(|f| f.columns[i].own);
                    column.wide = all.iter().find_map(|f| f.columns[i].wide.clone());
                    let draws = all.first().and_then(|f| f.columns[i].draws.clone());
                    column.draws = draws.filter(|d| all.iter().all(|f| f.columns[i].draws.as_ref() == Some(d)));
                    let values: Option<Vec<_>> = all.iter().map(|f| f.columns[i].values.clone()).collect();
                    column.values =
                        values.map(|v| Arc::new(v.iter().flat_map(|v| v.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect()));
                }
                facts
            }
            LogicalPlan::EmptyRelation(e) => {
                Facts { exactly_one: e.produce_one_row, ..by_type(plan, u128::from(e.produce_one_row), false) }
            }
            LogicalPlan::Values(v) => Facts { exactly_one: v.values.len() == 1, ..by_type(plan, v.values.len() as u128, false) },
            other => by_type(other, u128::MAX, true),
        }
    }

    fn table(&mut self, scan: &TableScan) -> Facts {
        let name = scan.table_name.to_string();
        let Some(table) = self.catalog.table(&name) else {
            return by_type(&LogicalPlan::TableScan(scan.clone()), u128::MAX, true);
        };
        let public = table.owner().is_none();
        let id = self.scans;
        self.scans += 1;
        let all: Vec<_> = (0..table.columns.len()).collect();
        let kept = scan.projection.as_ref().unwrap_or(&all);
        let columns = kept.iter().map(|&i| {
            let column = &table.columns[i];
            let ty = column.column_type.arrow();
            let range = match column.range {
                Some(r) => Some(Interval { min: r.min, max: r.max }),
                None if column.column_type == ColumnType::String => None,
                None => range::limits(&ty),
            };
            let draws = match (&column.domain, public) {
                (Some(d), _) => self.catalog.domain(d).map(|d| (d.table.clone(), d.column.clone())),
                (None, true) => Some((name.clone(), column.name.clone())),
                (None, false) => None,
            };
            // an unqualified column must not be taken apart at points, hence no parsing
            let origin =
                public.then(|| Origin { scan: id, table: name.clone(), expr: Expr::Column(Column::new_unqualified(&column.name)) });
            let values = column.dictionary.clone().map(Arc::new);
            let repeats = if table.key == [column.name.as_str()] { Some(1) } else { column.repeats.map(u128::from) };
            let distinct = column.distinct.map(u128::from);
            Known { range, nullable: column.nullable, values, origin, draws, distinct, repeats, own: !public, ..Known::of_type(ty) }
        });
        let columns: Vec<_> = columns.collect();
        let key: Option<BTreeSet<_>> = table.key.iter().map(|k| kept.iter().position(|&i| table.columns[i].name == *k)).collect();
        let single = (0..columns.len()).filter(|i| columns[*i].repeats == Some(1) && !columns[*i].nullable).map(|i| BTreeSet::from([i]));
        let mut unique: Vec<BTreeSet<usize>> = key.filter(|k| !k.is_empty()).into_iter().chain(single).collect();
        unique.dedup();
        Facts { columns, unique, determines: Vec::new(), rows: table.max_rows.into(), exactly_one: false, raw: !public }
    }
}

/// ROW_NUMBER() OVER (PARTITION BY column …) <= n: no value of the column, nor NULL, is in more rows.
fn capped(filter: &Filter) -> Option<(usize, u128)> {
    let (LogicalPlan::Window(w), Expr::BinaryExpr(b)) = (filter.input.as_ref(), &filter.predicate) else { return None };
    let (Expr::Column(number), Operator::LtEq, Expr::Literal(most, _)) = (b.left.as_ref(), b.op, b.right.as_ref()) else { return None };
    let of = w.schema.index_of_column(number).ok()?.checked_sub(w.input.schema().fields().len())?;
    let function = match w.window_expr.get(of)? {
        Expr::Alias(a) => a.expr.as_ref(),
        other => other,
    };
    let Expr::WindowFunction(function) = function else { return None };
    let [Expr::Column(by)] = function.params.partition_by.as_slice() else { return None };
    let most = range::literal(most).filter(|_| function.fun.name() == "row_number" && !most.is_null())?.max;
    Some((w.input.schema().index_of_column(by).ok()?, u128::try_from(most).ok()?))
}

/// Dependencies among columns that have other numbers now, or none.
fn moved(determines: &[Determines], place: impl Fn(&usize) -> Option<usize>) -> Vec<Determines> {
    let moved = determines.iter().filter_map(|(of, columns)| {
        let of: Option<BTreeSet<usize>> = of.iter().map(&place).collect();
        Some((of?, columns.iter().filter_map(&place).collect()))
    });
    moved.collect()
}

fn by_type(plan: &LogicalPlan, rows: u128, raw: bool) -> Facts {
    let columns = plan.schema().fields().iter().map(|f| Known::of_type(f.data_type().clone())).collect();
    Facts { columns, unique: Vec::new(), determines: Vec::new(), rows, exactly_one: false, raw }
}
