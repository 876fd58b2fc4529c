//! What is publicly known of a relation that one owner (or everyone, from public tables) computes at home: its columns' ranges, NULLs,
//! values and origins, which columns are unique, how many rows it can have.

mod aggregate;

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DFSchema,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Distinct, Expr, ExprSchemable, FetchType, Join, JoinType, LogicalPlan, Operator, TableScan, utils::split_conjunction},
};

use super::range::{self, Interval};
use crate::catalog::{Catalog, ColumnType};

/// What is known of a column.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) ty: DataType,
    /// Its scaled integers; `None` for types without.
    pub(super) range: Option<Interval>,
    /// Why an exact column has no usable range.
    pub(super) wide: Option<String>,
    pub(super) nullable: bool,
    /// All values of a text column, sorted.
    pub(super) values: Option<Arc<Vec<String>>>,
    pub(super) origin: Option<Origin>,
    /// Public table and column from which its non-NULL values are drawn.
    pub(super) draws: Option<(String, String)>,
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
    pub(super) rows: u128,
    /// Exactly one row, whatever the data.
    pub(super) exactly_one: bool,
    /// Shows rows of a private table, with no aggregate between.
    pub(super) raw: bool,
}

impl Facts {
    pub(super) fn of(plan: &LogicalPlan, catalog: &Catalog) -> Facts {
        Walk { catalog, scans: 0 }.plan(plan)
    }

    /// Whether at most one row agrees on these columns.
    pub(super) fn unique_on(&self, columns: &BTreeSet<usize>) -> bool {
        self.rows <= 1 || self.unique.iter().any(|u| u.is_subset(columns))
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
pub(super) fn tables(plan: &LogicalPlan) -> Vec<String> {
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

/// The range of a scalar sub-query's column, by its type alone.
pub(super) fn column_of(plan: &LogicalPlan) -> Option<Interval> {
    range::limits(plan.schema().field(0).data_type())
}

/// What is known of an expression over columns of which this is known.
pub(super) fn of_expr(expr: &Expr, schema: &DFSchema, columns: &[Known]) -> Known {
    if let Expr::Alias(a) = expr {
        return of_expr(&a.expr, schema, columns);
    }
    if let Expr::Column(c) = expr
        && let Ok(i) = schema.index_of_column(c)
    {
        return columns[i].clone();
    }
    let (range, wide) = match range::of(expr, schema, columns) {
        Ok(range) => (range, None),
        Err(why) => (None, Some(why)),
    };
    let ty = expr.get_type(schema).unwrap_or(DataType::Null);
    let draws = match expr {
        // a wider integer type holds the same values
        Expr::Cast(c) if ty.is_integer() => of_expr(&c.expr, schema, columns).draws,
        _ => None,
    };
    Known {
        ty,
        range,
        wide,
        nullable: nullable(expr, schema, columns),
        values: values(expr, schema, columns),
        origin: origin(expr, schema, columns),
        draws,
    }
}

fn nullable(expr: &Expr, schema: &DFSchema, columns: &[Known]) -> bool {
    match expr {
        Expr::Alias(a) => nullable(&a.expr, schema, columns),
        Expr::Column(c) => schema.index_of_column(c).map_or(true, |i| columns[i].nullable),
        Expr::Literal(v, _) => v.is_null(),
        Expr::Cast(c) => nullable(&c.expr, schema, columns),
        Expr::Not(e) | Expr::Negative(e) => nullable(e, schema, columns),
        Expr::BinaryExpr(b) if !matches!(b.op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) => {
            nullable(&b.left, schema, columns) || nullable(&b.right, schema, columns)
        }
        Expr::Case(c) => {
            let falls_through = c.else_expr.as_ref().is_none_or(|e| nullable(e, schema, columns));
            falls_through || c.when_then_expr.iter().any(|(w, t)| nullable(t, schema, columns) && !not_null_of(w, t))
        }
        other => other.nullable(schema).unwrap_or(true),
    }
}

// CASE WHEN x IS NOT NULL THEN x ELSE …: the shape of COALESCE
fn not_null_of(when: &Expr, then: &Expr) -> bool {
    matches!(when, Expr::IsNotNull(e) if **e == *then)
}

/// All values of a text expression, if they are few and public.
fn values(expr: &Expr, schema: &DFSchema, columns: &[Known]) -> Option<Arc<Vec<String>>> {
    use datafusion::common::ScalarValue;
    let set = match expr {
        Expr::Alias(a) => return values(&a.expr, schema, columns),
        Expr::Column(c) => return schema.index_of_column(c).ok().and_then(|i| columns[i].values.clone()),
        Expr::Cast(c) if c.field.data_type().is_string() => return values(&c.expr, schema, columns),
        Expr::Literal(ScalarValue::Utf8(v) | ScalarValue::Utf8View(v) | ScalarValue::LargeUtf8(v), _) => v.iter().cloned().collect(),
        Expr::Literal(v, _) if v.is_null() => BTreeSet::new(),
        Expr::Case(c) => {
            let mut all = BTreeSet::new();
            for branch in c.when_then_expr.iter().map(|(_, t)| t.as_ref()).chain(c.else_expr.as_deref()) {
                all.extend(values(branch, schema, columns)?.iter().cloned());
            }
            all
        }
        Expr::ScalarFunction(f) if f.name() == "coalesce" => {
            let mut all = BTreeSet::new();
            for e in &f.args {
                all.extend(values(e, schema, columns)?.iter().cloned());
            }
            all
        }
        _ => return None,
    };
    Some(Arc::new(set.into_iter().collect()))
}

fn origin(expr: &Expr, schema: &DFSchema, columns: &[Known]) -> Option<Origin> {
    let mut from: Option<(usize, String)> = None;
    let composed = expr.clone().transform(|e| match e {
        Expr::Column(ref c) => {
            let found = schema.index_of_column(c).ok().and_then(|i| columns[i].origin.clone());
            match (found, &from) {
                (Some(o), None) => {
                    from = Some((o.scan, o.table.clone()));
                    Ok(Transformed::yes(o.expr))
                }
                (Some(o), Some((scan, _))) if *scan == o.scan => Ok(Transformed::yes(o.expr)),
                _ => datafusion::common::plan_err!("mixed"),
            }
        }
        Expr::ScalarSubquery(_) | Expr::AggregateFunction(_) | Expr::WindowFunction(_) => datafusion::common::plan_err!("more than a row"),
        other => Ok(Transformed::no(other)),
    });
    // a function that turns NULL into something else is not NULL where the outer join found no row
    if !strict(expr) {
        return None;
    }
    composed.ok().zip(from).map(|(e, (scan, table))| Origin { scan, table, expr: e.data })
}

/// NULL whenever one of its columns is.
pub(super) fn strict(expr: &Expr) -> bool {
    let mut strict = true;
    let _ = expr.apply(|e| {
        let ok = match e {
            Expr::Column(_)
            | Expr::Literal(..)
            | Expr::Alias(_)
            | Expr::Cast(_)
            | Expr::Not(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Like(_) => true,
            Expr::BinaryExpr(b) => b.op.is_numerical_operators() || b.op.supports_propagation() || b.op == Operator::NotEq,
            Expr::ScalarFunction(f) => matches!(
                f.name(),
                "date_part" | "date_trunc" | "abs" | "round" | "floor" | "ceil" | "lower" | "upper" | "to_char" | "substr"
            ),
            _ => false,
        };
        strict &= ok;
        Ok(if ok { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    strict
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
                    not_null(condition, f.input.schema(), &mut facts);
                }
                facts
            }
            LogicalPlan::Projection(p) => {
                let facts = self.plan(&p.input);
                let columns = p.expr.iter().map(|e| of_expr(e, p.input.schema(), &facts.columns)).collect();
                let places: Vec<_> = p.expr.iter().map(|e| plain(e, p.input.schema())).collect();
                let unique =
                    facts.unique.iter().filter_map(|u| u.iter().map(|c| places.iter().position(|p| *p == Some(*c))).collect()).collect();
                Facts { columns, unique, ..facts }
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
                for e in &w.window_expr {
                    facts.columns.push(aggregate::window(e, w.input.schema(), &facts));
                }
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
            Known { ty, range, wide: None, nullable: column.nullable, values: column.dictionary.clone().map(Arc::new), origin, draws }
        });
        let columns: Vec<_> = columns.collect();
        let key: Option<BTreeSet<_>> = table.key.iter().map(|k| kept.iter().position(|&i| table.columns[i].name == *k)).collect();
        let unique = key.filter(|k| !k.is_empty()).into_iter().collect();
        Facts { columns, unique, rows: table.max_rows.into(), exactly_one: false, raw: !public }
    }

    fn join(&mut self, join: &Join) -> Facts {
        let (left, right) = (self.plan(&join.left), self.plan(&join.right));
        let on = |side: &LogicalPlan, pick: fn(&(Expr, Expr)) -> &Expr| -> BTreeSet<usize> {
            join.on.iter().filter_map(|p| plain(pick(p), side.schema())).collect()
        };
        let (left_on, right_on) = (on(&join.left, |p| &p.0), on(&join.right, |p| &p.1));
        let (left_one, right_one) = (left.unique_on(&left_on), right.unique_on(&right_on));
        let width = left.columns.len();
        let raw = left.raw || right.raw;
        match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => return Facts { exactly_one: false, raw, ..left },
            JoinType::RightSemi | JoinType::RightAnti => return Facts { exactly_one: false, raw, ..right },
            JoinType::LeftMark => {
                let mut facts = Facts { raw, ..left };
                facts.columns.push(Known {
                    ty: DataType::Boolean,
                    range: Some(Interval::BIT),
                    wide: None,
                    nullable: true,
                    values: None,
                    origin: None,
                    draws: None,
                });
                return facts;
            }
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {}
            _ => return by_type(&LogicalPlan::Join(join.clone()), u128::MAX, raw),
        }
        let mut columns = left.columns;
        columns.extend(right.columns.clone());
        let outer = |columns: &mut [Known]| columns.iter_mut().for_each(|c| c.nullable = true);
        match join.join_type {
            JoinType::Left => outer(&mut columns[width..]),
            JoinType::Right => outer(&mut columns[..width]),
            JoinType::Full => outer(&mut columns),
            _ => {
                for (l, r) in &join.on {
                    let (Some(l), Some(r)) = (plain(l, join.left.schema()), plain(r, join.right.schema())) else { continue };
                    equate(&mut columns, l, width + r);
                }
            }
        }
        let shift = |u: &BTreeSet<usize>| u.iter().map(|c| c + width).collect::<BTreeSet<_>>();
        let mut unique = Vec::new();
        // the rows that an outer join adds have NULLs on the other side, more than one perhaps
        if right_one && matches!(join.join_type, JoinType::Inner | JoinType::Left) {
            unique.extend(left.unique.iter().cloned());
        }
        if left_one && matches!(join.join_type, JoinType::Inner | JoinType::Right) {
            unique.extend(right.unique.iter().map(shift));
        }
        if join.join_type == JoinType::Inner {
            unique.extend(left.unique.iter().flat_map(|l| right.unique.iter().map(move |r| l.union(&shift(r)).copied().collect())));
        }
        let rows = match (join.join_type, left_one, right_one) {
            (JoinType::Full, true, true) => left.rows.saturating_add(right.rows),
            (JoinType::Full, ..) => left.rows.saturating_mul(right.rows.max(1)).saturating_add(right.rows),
            (JoinType::Inner, true, true) => left.rows.min(right.rows),
            (JoinType::Inner | JoinType::Left, _, true) => left.rows,
            (JoinType::Inner | JoinType::Right, true, _) => right.rows,
            (JoinType::Left, ..) => left.rows.saturating_mul(right.rows.max(1)),
            (JoinType::Right, ..) => right.rows.saturating_mul(left.rows.max(1)),
            _ => left.rows.saturating_mul(right.rows),
        };
        let free = join.on.is_empty() && join.filter.is_none();
        let exactly_one = match join.join_type {
            JoinType::Inner => free && left.exactly_one && right.exactly_one,
            JoinType::Left => left.exactly_one && right.rows <= 1,
            JoinType::Right => right.exactly_one && left.rows <= 1,
            _ => false,
        };
        Facts { columns, unique, rows, exactly_one, raw }
    }
}

/// An inner join made these equal (and not NULL): what is known of one is known of the other.
fn equate(columns: &mut [Known], l: usize, r: usize) {
    columns[l].nullable = false;
    columns[r].nullable = false;
    if columns[l].ty != columns[r].ty {
        return;
    }
    let origin = columns[l].origin.clone().or(columns[r].origin.clone());
    let draws = columns[l].draws.clone().or(columns[r].draws.clone());
    for c in [l, r] {
        columns[c].origin = columns[c].origin.clone().or(origin.clone());
        columns[c].draws = columns[c].draws.clone().or(draws.clone());
    }
}

/// A condition that is never true of NULL leaves its columns without NULLs.
fn not_null(condition: &Expr, schema: &DFSchema, facts: &mut Facts) {
    let mut mark = |e: &Expr| {
        if let Some(i) = plain(e, schema) {
            facts.columns[i].nullable = false;
        }
    };
    match condition {
        Expr::IsNotNull(e) | Expr::IsTrue(e) | Expr::IsFalse(e) => mark(e),
        Expr::Column(_) => mark(condition),
        Expr::Not(e) => mark(e),
        Expr::Between(b) => mark(&b.expr),
        Expr::InList(l) => mark(&l.expr),
        Expr::BinaryExpr(b) if b.op.supports_propagation() || b.op == Operator::NotEq => {
            mark(&b.left);
            mark(&b.right);
        }
        _ => {}
    }
}

/// The position of the column an expression is, through aliases and casts to wider integers.
pub(super) fn plain(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Alias(a) => plain(&a.expr, schema),
        Expr::Column(c) => schema.index_of_column(c).ok(),
        Expr::Cast(c) => {
            let (from, to) = (c.expr.get_type(schema).ok()?, c.field.data_type());
            let wider = range::limits(&from)?.within(range::limits(to)?) && from.is_integer() && to.is_integer();
            if wider { plain(&c.expr, schema) } else { None }
        }
        _ => None,
    }
}

fn by_type(plan: &LogicalPlan, rows: u128, raw: bool) -> Facts {
    let columns = plan.schema().fields().iter().map(|f| Known {
        ty: f.data_type().clone(),
        range: range::limits(f.data_type()),
        wide: None,
        nullable: true,
        values: None,
        origin: None,
        draws: None,
    });
    Facts { columns: columns.collect(), unique: Vec::new(), rows, exactly_one: false, raw }
}
