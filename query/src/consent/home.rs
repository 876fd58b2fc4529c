//! Labels through the operators of a sub-plan that is run in clear.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use datafusion::{
    common::DFSchema,
    logical_expr::{
        Aggregate, Distinct, Expr, Join, JoinType, LogicalPlan, TableScan, WindowFrame, WindowFrameBound, WindowFrameUnits,
        expr::{AggregateFunction, NullTreatment, WindowFunction},
    },
};
use ledger::contract::{Operation, Sizes};

use super::{
    Unknown,
    expr::{Row, uncast},
    label::{Atom, Kind, Label, Source},
    uses::Uses,
};
use crate::{
    compile::{tables, words::words},
    plan::whole_text,
};

/// A relation's labels.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) columns: Vec<Label>,
    /// What decides how many rows there are, and which, besides what was compared on the way.
    pub(super) rows: Label,
    /// What each is one of: the rows of a table, not grouped since, or the groups by a column.
    single: Label,
    /// What they are in order of.
    order: Label,
    /// The columns on which they were joined: groups by these are the join's.
    pub(super) joined: BTreeSet<Source>,
}

/// Interprets sub-plans.
#[derive(Debug, Default)]
pub(super) struct Home {
    pub(super) uses: Uses,
    /// Columns that are never NULL.
    always: BTreeSet<Source>,
    /// All tables that are read.
    pub(super) tables: BTreeSet<String>,
    /// What is told of numbers of rows, of each table they come of.
    pub(super) disclosed: BTreeMap<String, Sizes>,
    /// Rows that the sub-queries around see: name and labels.
    pub(super) outer: Vec<(DFSchema, Vec<Label>)>,
}

impl Home {
    pub(super) fn plan(&mut self, plan: &LogicalPlan) -> Result<Labels, Unknown> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(a) => self.plan(&a.input),
            LogicalPlan::Subquery(s) => self.plan(&s.subquery),
            LogicalPlan::Repartition(r) => self.plan(&r.input),
            LogicalPlan::Limit(l) => Ok(self.plan(&l.input)?.cut()),
            LogicalPlan::EmptyRelation(_) => Ok(Labels::new(vec![Label::default(); plan.schema().fields().len()], Label::default())),
            LogicalPlan::Values(_) => {
                let list: Rc<str> = whole_text(plan).into();
                let columns = (0..plan.schema().fields().len()).map(|i| Label::of(Source::Listed(list.clone(), i)));
                Ok(Labels::new(columns.collect(), Label::default()))
            }
            LogicalPlan::Projection(p) => {
                let input = self.plan(&p.input)?;
                let columns = self.exprs(&p.expr, p.input.schema(), &input)?;
                Ok(Labels { columns, ..input })
            }
            LogicalPlan::Filter(f) => {
                let input = self.plan(&f.input)?;
                let label = self.condition(&f.predicate, f.input.schema(), &input)?;
                self.at(&words(&f.predicate), |me| me.uses.filter(&label));
                Ok(self.filtered(input, &label))
            }
            LogicalPlan::Sort(s) => {
                let input = self.plan(&s.input)?;
                let mut order = Label::default();
                for by in &s.expr {
                    order = order.and(&self.ordered(&by.expr, s.input.schema(), &input)?);
                }
                let sorted = Labels { order, ..input };
                Ok(if s.fetch.is_some() { sorted.cut() } else { sorted })
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = self.plan(input)?;
                self.uses.placed(&input.rows);
                Ok(self.grouped(&input.columns, &input))
            }
            LogicalPlan::Aggregate(a) => self.aggregate(a),
            LogicalPlan::Window(w) => {
                let input = self.plan(&w.input)?;
                let mut columns = input.columns.clone();
                for e in &w.window_expr {
                    let Expr::WindowFunction(function) = unalias(e) else { return Err(Unknown::of("a window without a function")) };
                    let label = self.at(&words(e), |me| me.window(function, w.input.schema(), &input))?;
                    columns.push(label);
                }
                Ok(Labels { columns, ..input })
            }
            LogicalPlan::Join(j) => self.join(j),
            LogicalPlan::Union(u) => {
                let all = u.inputs.iter().map(|input| self.plan(input)).collect::<Result<Vec<_>, _>>()?;
                // literals of nobody's rows are a list, as VALUES are
                let list: Option<Rc<str>> = all.iter().all(|labels| labels.rows.0.is_empty()).then(|| whole_text(plan).into());
                let column = |i: usize| {
                    let one = Label::one_of(all.iter().filter_map(|labels| labels.columns.get(i)));
                    let listed = list.as_ref().filter(|_| one.0.is_empty());
                    listed.map_or(one, |list| Label::of(Source::Listed(list.clone(), i)))
                };
                let columns = (0..u.schema.fields().len()).map(column).collect();
                Ok(Labels::new(columns, Label::union(all.iter().map(|labels| &labels.rows))).of(&all.iter().collect::<Vec<_>>()))
            }
            other => Err(Unknown::of(other.display())),
        }
    }

    /// Other parties are told how many rows a sub-plan has.
    pub(super) fn discloses(&mut self, plan: &LogicalPlan, sizes: Sizes) {
        for table in tables(plan) {
            let most = self.disclosed.entry(table).or_default();
            *most = sizes.max(*most);
        }
    }

    /// Whether a column always has a value.
    pub(super) fn always(&self) -> impl Fn(&Source) -> bool + '_ {
        |source| self.always.contains(source)
    }

    /// Does something with the place set, and puts it back.
    pub(super) fn at<T>(&mut self, place: &str, run: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.uses.place, place.to_owned());
        let done = run(self);
        self.uses.place = before;
        done
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Labels, Unknown> {
        if !scan.filters.is_empty() || scan.fetch.is_some() {
            return Err(Unknown::of("a table scan with a filter in it"));
        }
        let name = scan.table_name.to_string();
        let table: Rc<str> = name.as_str().into();
        self.tables.insert(name);
        let schema = scan.source.schema();
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let columns = scan.projection.as_ref().unwrap_or(&all).iter().map(|i| {
            let source = Source::Column(table.clone(), schema.field(*i).name().as_str().into());
            if !schema.field(*i).is_nullable() {
                self.always.insert(source.clone());
            }
            Label::of(source)
        });
        let rows = Label::rows(&table);
        Ok(Labels::new(columns.collect(), rows))
    }

    fn exprs(&mut self, exprs: &[Expr], schema: &DFSchema, input: &Labels) -> Result<Vec<Label>, Unknown> {
        exprs.iter().map(|e| self.row(schema, input).expr(e)).collect()
    }

    fn row<'a>(&'a mut self, schema: &'a DFSchema, input: &'a Labels) -> Row<'a> {
        Row { home: self, schema, columns: &input.columns }
    }

    fn condition(&mut self, e: &Expr, schema: &DFSchema, input: &Labels) -> Result<Label, Unknown> {
        self.row(schema, input).condition(e)
    }

    fn ordered(&mut self, e: &Expr, schema: &DFSchema, input: &Labels) -> Result<Label, Unknown> {
        let label = self.row(schema, input).expr(e)?;
        self.at(&format!("ORDER BY {}", words(e)), |me| me.uses.order(&label));
        Ok(label)
    }

    /// Rows that passed a condition: they are there where what it asks for is.
    pub(super) fn filtered(&self, input: Labels, condition: &Label) -> Labels {
        let there = condition.map(|atom| {
            let rows = matches!(atom.source, Source::Rows(_)) && atom.kind != Kind::Place;
            rows.then(|| Atom::new(atom.source.clone(), Kind::Presence))
        });
        Labels { rows: input.rows.and(&there), ..input }
    }

    /// One row for each tuple of keys.
    pub(super) fn grouped(&mut self, keys: &[Label], of: &Labels) -> Labels {
        let columns: Vec<Label> = keys.iter().map(|key| self.uses.key(key)).collect();
        let rows = self.uses.grouped(&Label::union(&columns), &of.rows, &of.joined);
        Labels { joined: of.joined.clone(), ..Labels::new(columns, rows) }
    }

    fn aggregate(&mut self, a: &Aggregate) -> Result<Labels, Unknown> {
        let input = self.plan(&a.input)?;
        let schema = a.input.schema();
        let sets = a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_)));
        let keys: Vec<Expr> = if sets {
            datafusion::logical_expr::utils::grouping_set_to_exprlist(&a.group_expr)
                .map_err(|_| Unknown::of("a grouping set"))?
                .into_iter()
                .cloned()
                .collect()
        } else {
            a.group_expr.clone()
        };
        let labels = self.exprs(&keys, schema, &input)?;
        let mut groups = self.at("GROUP BY", |me| {
            me.uses.placed(&input.rows);
            me.grouped(&labels, &input)
        });
        // which of the sets a row is of is public
        groups.columns.extend(sets.then(Label::default));
        for e in &a.aggr_expr {
            let Expr::AggregateFunction(function) = unalias(e) else { return Err(Unknown::of("an aggregate without a function")) };
            let label = self.at(&words(e), |me| me.function(function, schema, &input))?;
            groups.columns.push(label.and(&groups.rows));
        }
        if groups.columns.len() != a.schema.fields().len() {
            return Err(Unknown::of("an aggregate with other columns than its keys and functions"));
        }
        Ok(groups)
    }

    fn function(&mut self, f: &AggregateFunction, schema: &DFSchema, input: &Labels) -> Result<Label, Unknown> {
        let mut given = Label::default();
        if let Some(filter) = &f.params.filter {
            given = self.condition(filter, schema, input)?;
        }
        let mut order = Label::default();
        for by in &f.params.order_by {
            // what a percentile is of comes before it WITHIN GROUP, and is ordered by nothing else
            let own = is_percentile(f.func.name()) && f.params.args.first().is_some_and(|of| uncast(of) == uncast(&by.expr));
            if !own {
                order = order.and(&self.ordered(&by.expr, schema, input)?);
            }
        }
        if matches!(f.func.name(), "first_value" | "last_value" | "nth_value") {
            given = given.and(&input.placed(&order));
        }
        let args = self.exprs(&f.params.args, schema, input)?;
        self.fold(f.func.name(), f.params.distinct, &args, &given.and(&order.tested(Operation::Order, "ORDER BY")), &input.rows)
    }

    /// An aggregate by its name, of values that are given where a condition holds.
    fn fold(&mut self, name: &str, distinct: bool, args: &[Label], given: &Label, rows: &Label) -> Result<Label, Unknown> {
        use Operation::{Avg, Corr, CountDistinct, Max, Median, Min, Sum, Var};
        let arg = args.first().cloned().unwrap_or_default();
        let both = Label::union(args).and(given);
        let folded = match name {
            // 1, if there are rows
            "count" if distinct && both.0.is_empty() => Label::default(),
            "count" if distinct => self.uses.fold(CountDistinct, &both, rows),
            "count" => {
                let there = Label::union(args).presence(self.always());
                let of_row = |atom: &Atom| atom.kind == Kind::Presence && matches!(atom.source, Source::Rows(_)) && atom.folds.is_empty();
                let there = there.map(|atom| (!of_row(atom)).then(|| atom.clone()));
                match there.0.is_empty() && given.0.is_empty() {
                    true => self.uses.count(rows),
                    false => self.uses.fold(Operation::Count, &there.and(given), rows),
                }
            }
            "approx_distinct" => self.uses.fold(CountDistinct, &both, rows),
            "sum" => self.uses.fold(Sum, &both, rows),
            "avg" => self.uses.fold(Avg, &both, rows),
            "min" | "bool_and" => self.uses.fold(Min, &both, rows),
            "max" | "bool_or" => self.uses.fold(Max, &both, rows),
            "var" | "var_pop" | "stddev" | "stddev_pop" => self.uses.fold(Var, &both, rows),
            // it opens the sums of each
            name if matches!(name, "corr" | "covar_samp" | "covar_pop") || name.starts_with("regr_") => {
                let sums: Vec<_> = args.iter().map(|arg| self.uses.fold(Corr, &arg.clone().and(given), rows)).collect();
                Label::union(&sums)
            }
            name if is_percentile(name) => self.uses.fold(Median, &arg.and(given), rows),
            // which set of keys a row is of
            "grouping" => Label::default(),
            // values of single rows
            "first_value" | "last_value" | "nth_value" | "array_agg" | "string_agg" => both.clone(),
            other => return Err(Unknown::of(format!("the aggregate {other}()"))),
        };
        // what is taken once for each value depends on which values there are
        Ok(if distinct && name != "count" { folded.and(&self.uses.fold(CountDistinct, &both, rows)) } else { folded })
    }

    fn window(&mut self, f: &WindowFunction, schema: &DFSchema, input: &Labels) -> Result<Label, Unknown> {
        let keys = self.exprs(&f.params.partition_by, schema, input)?;
        let split = self.uses.parted(&keys, &input.joined);
        let mut order = Label::default();
        for by in &f.params.order_by {
            order = order.and(&self.ordered(&by.expr, schema, input)?);
        }
        let mut given = order.tested(Operation::Order, "ORDER BY");
        if let Some(filter) = &f.params.filter {
            given = given.and(&self.condition(filter, schema, input)?);
        }
        let ignores = matches!(f.params.null_treatment, Some(NullTreatment::IgnoreNulls));
        let args = self.exprs(&f.params.args, schema, input)?;
        let place = input.placed(&order);
        let label = match f.fun.name() {
            // it counts the rows before
            "row_number" | "ntile" => place,
            "rank" | "dense_rank" | "percent_rank" | "cume_dist" => input.ranked(&order),
            "lag" | "lead" if args.len() > 2 => Label::one_of([&Label::union(&args), &Label::default()]).and(&place),
            "lag" | "lead" | "first_value" | "last_value" | "nth_value" => Label::union(&args).and(&place),
            _ if ignores => return Err(Unknown::of("IGNORE NULLS")),
            name => {
                let folded = self.fold(name, f.params.distinct, &args, &Label::default(), &input.rows)?;
                match is_whole(&f.params.window_frame, f.params.order_by.is_empty()) {
                    true => folded,
                    false => folded.and(&self.framed(name, &args)).and(&place),
                }
            }
        };
        Ok(label.and(&given).and(&split))
    }

    /// What an aggregate over a part of the rows says besides: the part may be a single row, or differ from another's in one.
    fn framed(&self, name: &str, args: &[Label]) -> Label {
        let values = Label::union(args);
        if name == "count" { values.presence(self.always()) } else { values.computed() }
    }

    fn join(&mut self, j: &Join) -> Result<Labels, Unknown> {
        let (left, right) = (self.plan(&j.left)?, self.plan(&j.right)?);
        let (mut on_left, mut on_right) = (BTreeSet::new(), BTreeSet::new());
        for (l, r) in &j.on {
            let place = format!("{} = {}", words(l), words(r));
            let (l, r) = (self.row(j.left.schema(), &left).matching(l)?, self.row(j.right.schema(), &right).matching(r)?);
            self.at(&place, |me| me.uses.matched(&l, &r));
            on_left.extend(l.joining());
            on_right.extend(r.joining());
        }
        let (left, right) = (self.joined_on(&left, &on_left), self.joined_on(&right, &on_right));
        let met = &left.joined | &right.joined;
        let both = Labels::new(left.columns.iter().chain(&right.columns).cloned().collect(), Label::default());
        if let Some(filter) = &j.filter {
            let schema = j.left.schema().join(j.right.schema()).map_err(|_| Unknown::of("a join of relations of one name"))?;
            let label = self.condition(filter, &schema, &both)?;
            self.at(&words(filter), |me| me.uses.filter(&label));
        }
        let rows = left.rows.clone().and(&right.rows);
        let single = match j.join_type {
            // of the other side they are no rows
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left.single.clone(),
            JoinType::RightSemi | JoinType::RightAnti => right.single.clone(),
            _ => left.single.clone().and(&right.single),
        };
        // a row that a side lacks is NULL, and so tells that it does
        let outer = |columns: &[Label], there: &Label| columns.iter().map(|c| c.clone().and(&there.where_rows())).collect::<Vec<_>>();
        let joined = |l: Vec<Label>, r: Vec<Label>| l.into_iter().chain(r).collect::<Vec<_>>();
        let columns = match j.join_type {
            JoinType::Inner => both.columns,
            JoinType::Left => joined(left.columns, outer(&right.columns, &right.rows)),
            JoinType::Right => joined(outer(&left.columns, &left.rows), right.columns),
            JoinType::Full => joined(outer(&left.columns, &left.rows), outer(&right.columns, &right.rows)),
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
            JoinType::RightSemi | JoinType::RightAnti => right.columns,
            JoinType::LeftMark => {
                let met = |label: &Label| label.tested(Operation::Join, "EXISTS");
                let keys =
                    j.on.iter().map(|(l, r)| Ok((self.row(j.left.schema(), &left).expr(l)?, self.row(j.right.schema(), &right).expr(r)?)));
                let keys = keys.collect::<Result<Vec<_>, Unknown>>()?;
                let mark = keys.iter().fold(right.rows.where_rows(), |mark, (l, r)| mark.and(&met(l)).and(&met(r)));
                joined(left.columns, vec![mark])
            }
            other => return Err(Unknown::of(format!("a {other} join"))),
        };
        Ok(Labels { single, joined: met, ..Labels::new(columns, rows) })
    }

    /// After a join on these sources.
    pub(super) fn joined_on(&mut self, labels: &Labels, on: &BTreeSet<Source>) -> Labels {
        labels.columns.iter().chain([&labels.rows]).for_each(|label| self.uses.joins(label, on));
        let columns = labels.columns.iter().map(|c| c.joined_on(on)).collect();
        let out = Labels::new(columns, labels.rows.joined_on(on)).of(&[labels]);
        Labels { joined: &labels.joined | on, ..out }
    }
}

impl Labels {
    /// In no order.
    pub(super) fn new(columns: Vec<Label>, rows: Label) -> Self {
        Labels { columns, single: rows.clone(), rows, order: Label::default(), joined: BTreeSet::new() }
    }

    /// Of which each is a row of each of these, or of one of them.
    pub(super) fn of(self, all: &[&Labels]) -> Self {
        let joined = all.iter().flat_map(|one| one.joined.iter().cloned()).collect();
        Labels { single: Label::union(all.iter().map(|one| &one.single)), joined, ..self }
    }

    /// Of which each is a row of the base, and was joined with the table's.
    pub(super) fn looked_up(self, base: &Labels, table: &Labels) -> Self {
        Labels { joined: &base.joined | &table.joined, ..self.of(&[base]) }
    }

    /// Of a place among the rows in an order by values with this label. What orders them is known to whoever may order by it. What is equal in it is in no order: where it is nothing of
    /// anybody's, all the rows, or groups; else those of another table, rows of a group that are ordered by what it has, and groups by what else they were made by.
    pub(super) fn placed(&self, order: &Label) -> Label {
        let known = match order.is_private() || order.is_number() {
            true => order.tested(Operation::Order, "ORDER BY"),
            false => self.rows.placed(),
        };
        known.and(&self.single.unordered(order).placed())
    }

    /// Of a rank among the rows: what is equal in an order of rows has one.
    pub(super) fn ranked(&self, order: &Label) -> Label {
        if order.is_of_rows() { order.tested(Operation::Order, "ORDER BY") } else { self.placed(order) }
    }

    /// Some of the rows, by their place in the order.
    fn cut(self) -> Self {
        let rows = self.rows.clone().and(&self.placed(&self.order));
        Labels { rows, ..self }
    }
}

fn is_percentile(name: &str) -> bool {
    matches!(
        name,
        "median"
            | "approx_median"
            | "percentile_cont"
            | "percentile_disc"
            | "percentile_below"
            | "percentile_above"
            | "approx_percentile_cont"
    )
}

/// Whether a window's frame is its whole partition.
fn is_whole(frame: &WindowFrame, unordered: bool) -> bool {
    let from_start = matches!(&frame.start_bound, WindowFrameBound::Preceding(v) if v.is_null());
    let to_end = match &frame.end_bound {
        WindowFrameBound::Following(v) => v.is_null(),
        // with all that are equal to it in the order
        WindowFrameBound::CurrentRow => unordered && frame.units != WindowFrameUnits::Rows,
        WindowFrameBound::Preceding(_) => false,
    };
    from_start && to_end
}

pub(super) fn unalias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(a) => unalias(&a.expr),
        other => other,
    }
}
