//! The logical plan, bottom-up: what one owner computes alone stays a plan of his; where owners meet, relations are attached to the public
//! rows of a frame, and an aggregate over them ends in a release.

mod join;

use std::collections::BTreeSet;

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{Distinct, Expr, LogicalPlan, LogicalPlanBuilder},
};

use super::{
    Compiler, SqlError,
    answer::Released,
    expr::Scope,
    facts::{self, Facts, plain},
    frame::{self, Axis},
    internal,
    locate::Place,
    symbol::{BitId, Bits, Side, Val},
};

/// What a part of the logical plan has become.
pub(super) enum Lowered {
    /// One side computes it; it has not been aligned to anything yet.
    Home(LogicalPlan),
    Joint(Joint),
    /// Opened to the planner; what follows is computed in clear there.
    Released(Released),
}

/// A relation over the rows of a frame.
#[derive(Clone, Debug)]
pub(super) struct Joint {
    pub(super) frame: usize,
    /// Which rows of the frame are rows of the relation.
    pub(super) present: BitId,
    pub(super) columns: Vec<Val>,
    /// Private tables whose own rows (not aggregates of them) it shows.
    pub(super) raw: BTreeSet<String>,
}

impl Compiler<'_> {
    pub(super) fn lower(&mut self, plan: &LogicalPlan) -> Result<Lowered, SqlError> {
        if facts::owners(plan).len() <= 1 {
            return Ok(Lowered::Home(plan.clone()));
        }
        self.lower_node(plan)
    }

    fn lower_node(&mut self, plan: &LogicalPlan) -> Result<Lowered, SqlError> {
        match plan {
            LogicalPlan::SubqueryAlias(a) => match self.lower(&a.input)? {
                Lowered::Released(r) => Ok(Lowered::Released(r.above(plan)?)),
                other => Ok(other),
            },
            LogicalPlan::Projection(p) => match self.lower(&p.input)? {
                Lowered::Released(r) => Ok(Lowered::Released(self.released_node(r, plan)?)),
                input => {
                    let joint = self.joint(input, &p.input)?;
                    let scope = Scope { schema: p.input.schema(), columns: &joint.columns, present: joint.present };
                    let columns = p.expr.iter().map(|e| self.value(e, scope)).collect::<Result<_, _>>()?;
                    Ok(Lowered::Joint(Joint { columns, ..joint }))
                }
            },
            LogicalPlan::Filter(f) => match self.lower(&f.input)? {
                Lowered::Released(_) => Err(self.refuse(
                    "a condition on aggregates (HAVING)",
                    if self.text.keyword("HAVING").is_some() { "HAVING" } else { "WHERE" },
                    self.text.expr(&f.predicate),
                    "release the aggregate and drop the rows you do not need, or put the condition into a sub-query of one owner",
                )),
                input => {
                    let joint = self.joint(input, &f.input)?;
                    let scope = Scope { schema: f.input.schema(), columns: &joint.columns, present: joint.present };
                    let condition = self.tri(&f.predicate, scope)?;
                    let present = self.bits.and([joint.present, condition.t]);
                    Ok(Lowered::Joint(Joint { present, ..joint }))
                }
            },
            LogicalPlan::Join(j) => self.join(j),
            LogicalPlan::Aggregate(a) => {
                let counted = self.groups.filter(|g| g.concern(&a.input)).map(|g| g.counted(&a.input)).transpose()?;
                let below = counted.as_ref().map_or(a.input.as_ref(), |c| &c.plan);
                match self.lower(below)? {
                    Lowered::Released(_) => Err(self.again()),
                    input => {
                        let joint = self.joint(input, below)?;
                        let weights = counted.as_ref().map_or(Ok(Vec::new()), |c| c.weights(a, self.catalog))?;
                        let weights = self.groups.map_or(Ok(weights.clone()), |g| g.weighed(a, below, weights))?;
                        let spreads = self.groups.map_or(Ok(None), |g| g.spreads(a, below))?;
                        Ok(Lowered::Released(self.aggregate(a, below.schema(), joint, weights, spreads)?))
                    }
                }
            }
            LogicalPlan::Sort(s) if s.fetch.is_none() => match self.lower(&s.input)? {
                Lowered::Released(r) => Ok(Lowered::Released(self.released_node(r, plan)?)),
                // the order of a sub-query's rows has no meaning
                other => Ok(other),
            },
            LogicalPlan::Subquery(s) => self.lower(&s.subquery),
            other => Err(self.unsupported_node(other)),
        }
    }

    /// The input of a joint operator as a relation over a frame.
    fn joint(&mut self, lowered: Lowered, plan: &LogicalPlan) -> Result<Joint, SqlError> {
        match lowered {
            Lowered::Joint(joint) => Ok(joint),
            Lowered::Home(home) => self.align(&home, false),
            Lowered::Released(_) => Err(self.unsupported_node(plan)),
        }
    }

    /// A relation of one side as one over the rows of a frame. `nulls_drop`: its rows with a NULL key do not matter to the query.
    pub(super) fn align(&mut self, plan: &LogicalPlan, nulls_drop: bool) -> Result<Joint, SqlError> {
        let facts = Facts::of(plan, self.catalog);
        if facts.rows <= 1 {
            let frame = self.frames.frame(Vec::new())?;
            return self.unit(frame, plan, &facts, Vec::new(), Bits::TRUE);
        }
        // with a public table in it, the public part can carry the frame and stay public
        let public = facts::tables(plan).iter().any(|t| t.starts_with("public."));
        let open = matches!(
            plan,
            LogicalPlan::Projection(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Join(_)
                | LogicalPlan::Sort(_)
        );
        let mut first_error = None;
        if public && open {
            match self.lower_node(plan) {
                Ok(Lowered::Joint(joint)) => return Ok(joint),
                Ok(_) => {}
                Err(e) => first_error = Some(e),
            }
        }
        match self.align_whole(plan, &facts, nulls_drop) {
            Ok(joint) => Ok(joint),
            Err(e) => Err(first_error.filter(|f: &SqlError| f.code != e.code).unwrap_or(e)),
        }
    }

    fn align_whole(&mut self, plan: &LogicalPlan, facts: &Facts, nulls_drop: bool) -> Result<Joint, SqlError> {
        let place = self.place_of(plan);
        let names: Vec<_> = plan.schema().columns().iter().map(|c| c.name.clone()).collect();
        let drawn = |key: &BTreeSet<usize>| key.iter().all(|&c| facts.columns[c].draws.is_some());
        let Some(key) = facts.unique.iter().filter(|k| !k.is_empty() && drawn(k)).min_by_key(|k| k.len()) else {
            return Err(self.no_key(plan, facts, None));
        };
        if let Some(&null) = key.iter().find(|&&c| facts.columns[c].nullable).filter(|_| !nulls_drop) {
            let (of, column) = (facts::tables(plan).join(", "), &names[null]);
            return Err(SqlError::unsupported(
                format!("{column} of {of} may be NULL, and no row of the joint stage stands for NULL"),
                format!("add WHERE {column} IS NOT NULL to the sub-query"),
            )
            .at(place));
        }
        let mut axes = Vec::new();
        for &c in key {
            let (table, column) = facts.columns[c].draws.clone().expect("chosen for it");
            axes.push(self.domain_axis(&table, &column, false)?);
        }
        // a public table's own key: its rows are the frame's
        let whole = |p: &LogicalPlan| -> bool {
            let mut p = p;
            loop {
                match p {
                    LogicalPlan::SubqueryAlias(a) => p = &a.input,
                    LogicalPlan::Projection(x) => p = &x.input,
                    LogicalPlan::TableScan(s) => break s.table_name.schema() == Some(crate::catalog::PUBLIC_SCHEMA),
                    _ => break false,
                }
            }
        };
        let own = key.len() == 1
            && whole(plan)
            && key.iter().all(|&c| {
                let k = &facts.columns[c];
                k.origin.as_ref().zip(k.draws.as_ref()).is_some_and(|(o, (table, column))| o.table == *table && o.column() == Some(column))
            });
        let frame = self.frames.frame(axes)?;
        let columns = plan.schema().columns();
        let on: Vec<_> = key.iter().enumerate().map(|(i, &c)| (self.frames.key(frame, i), Expr::Column(columns[c].clone()))).collect();
        self.unit_with(frame, plan, facts, on, Bits::TRUE, own)
    }

    /// The distinct values of a public column.
    pub(super) fn domain_axis(&self, table: &str, column: &str, null: bool) -> Result<Axis, SqlError> {
        let rows = self.catalog.domains().iter().filter(|d| d.table == table && d.column == column).map(|d| d.values).min();
        let rows = rows.or_else(|| self.catalog.table(table).map(|t| t.max_rows)).unwrap_or(u64::MAX);
        let expr = Expr::Column(datafusion::common::Column::new_unqualified(column));
        frame::public_axis(self.scan(table)?, table, &[expr], null, rows)
    }

    /// A scan of a table of the catalogue.
    pub(super) fn scan(&self, table: &str) -> Result<LogicalPlan, SqlError> {
        let declared = self.catalog.table(table).ok_or_else(|| internal(format!("no table {table}")))?;
        let source = std::sync::Arc::new(super::parse::Declared(declared.arrow_schema()));
        LogicalPlanBuilder::scan(table, source, None).and_then(|b| b.build()).map_err(internal)
    }

    pub(super) fn unit(
        &mut self,
        frame: usize,
        plan: &LogicalPlan,
        facts: &Facts,
        on: Vec<(Expr, Expr)>,
        matched: BitId,
    ) -> Result<Joint, SqlError> {
        let total = on.is_empty() && facts.exactly_one;
        self.unit_with(frame, plan, facts, on, matched, total)
    }

    /// Attaches a relation and reads its columns: those that are functions of the public row become public.
    fn unit_with(
        &mut self,
        frame: usize,
        plan: &LogicalPlan,
        facts: &Facts,
        on: Vec<(Expr, Expr)>,
        matched: BitId,
        total: bool,
    ) -> Result<Joint, SqlError> {
        let owners = facts::owners(plan);
        let side = owners.into_iter().next().map_or(Side::Public, Side::Owner);
        let unit = self.frames.attach(frame, side.clone(), plan, on.clone(), false, total)?;
        let here = self.frames.present(unit, &mut self.bits);
        let present = self.bits.and([here, matched]);
        let mut columns: Vec<_> = facts.columns.iter().enumerate().map(|(i, k)| self.frames.value(unit, i, k.clone())).collect();
        for (frame_key, unit_key) in &on {
            let Some(k) = plain(unit_key, plan.schema()) else { continue };
            if let Some(key_origin) = facts.columns[k].origin.clone().filter(|_| side != Side::Public) {
                self.publish(frame, frame_key, key_origin, facts, &mut columns, present)?;
            }
            // equal to the frame's key wherever the unit has a row, and of the same type
            if matches!(unit_key, Expr::Column(_)) {
                columns[k].side = Side::Public;
                columns[k].expr = frame_key.clone();
                columns[k].known.nullable = false;
                columns[k].absent.clear();
                columns[k].valid = present;
            }
        }
        let raw = if facts.raw { facts::tables(plan).into_iter().filter(|t| !t.starts_with("public.")).collect() } else { BTreeSet::new() };
        Ok(Joint { frame, present, columns: columns.into_iter().map(Val::Local).collect(), raw })
    }

    /// Columns of the same public row as the key are functions of the key: everyone has them.
    fn publish(
        &mut self,
        frame: usize,
        frame_key: &Expr,
        key: facts::Origin,
        facts: &Facts,
        columns: &mut [super::symbol::Local],
        present: BitId,
    ) -> Result<(), SqlError> {
        let Some(table) = self.catalog.table(&key.table).filter(|t| t.key.len() == 1 && key.column() == Some(&t.key[0])) else {
            return Ok(());
        };
        let same_row: Vec<_> =
            (0..columns.len()).filter(|&i| facts.columns[i].origin.as_ref().is_some_and(|o| o.scan == key.scan && *o != key)).collect();
        if same_row.is_empty() {
            return Ok(());
        }
        let scan = self.scan(&table.name)?;
        let key_column = scan.schema().columns().into_iter().find(|c| c.name == table.key[0]).map(Expr::Column);
        let Some(key_column) = key_column else { return Ok(()) };
        let of_frame = *frame_key == self.frames.key(frame, 0) && self.frames.all[frame].keys.len() == 1;
        let public_facts = Facts::of(&scan, self.catalog);
        let public = self.unit_with(frame, &scan, &public_facts, vec![(frame_key.clone(), key_column)], Bits::TRUE, of_frame)?;
        for i in same_row {
            let Some(origin) = &facts.columns[i].origin else { continue };
            // the origin's columns are unqualified: resolve them in the table's own schema
            let expr = unqualified_to(&origin.expr, &scan)?;
            let scope = Scope { schema: scan.schema(), columns: &public.columns, present: public.present };
            if let Val::Local(local) = self.value(&expr, scope)? {
                columns[i] = super::symbol::Local { valid: present, absent: BTreeSet::new(), ..local };
                columns[i].known.values = facts.columns[i].values.clone();
            }
        }
        Ok(())
    }

    /// Why a relation cannot be joined row by row with another owner's.
    pub(super) fn no_key(&self, plan: &LogicalPlan, facts: &Facts, on: Option<&BTreeSet<usize>>) -> SqlError {
        let names: Vec<_> = plan.schema().columns().iter().map(|c| c.name.clone()).collect();
        let of = facts::tables(plan).join(", ");
        let place = self.place_of(plan);
        if let Some(on) = on {
            let keys = on.iter().map(|&c| names[c].as_str()).collect::<Vec<_>>().join(", ");
            if keys.is_empty() {
                return SqlError::unsupported(
                    format!("{of} is joined with another owner's relation without a key that both have"),
                    "join on columns that have the same public domain in the catalogue, as in ON a.zone = b.zone",
                )
                .at(place);
            }
            return SqlError::unsupported(
                format!("{of} has many rows for each {keys} and is joined row by row with another owner's relation"),
                format!("aggregate it with GROUP BY {keys} in a sub-query first"),
            )
            .at(place);
        }
        if facts.unique.is_empty() {
            let domains: Vec<_> = (0..names.len()).filter(|&c| facts.columns[c].draws.is_some()).map(|c| names[c].as_str()).collect();
            let by = if domains.is_empty() { "a column with a domain in the catalogue".to_owned() } else { domains.join(" or ") };
            return SqlError::unsupported(
                format!("{of} has many rows for each key and cannot be aligned with other owners' relations"),
                format!("aggregate it with GROUP BY {by} in a sub-query first"),
            )
            .at(place);
        }
        let keys: Vec<_> = facts
            .unique
            .iter()
            .filter(|u| !u.is_empty())
            .map(|u| u.iter().map(|&c| names[c].as_str()).collect::<Vec<_>>().join(", "))
            .collect();
        SqlError::unsupported(
            format!("the key {} of {of} is not drawn from a public domain", keys.join(" or ")),
            "aggregate by a column that has a domain in the catalogue, or declare domain = \"…\" for the key",
        )
        .at(place)
    }

    /// Where a relation stands in the query: the first of its columns, or its table's name.
    pub(super) fn place_of(&self, plan: &LogicalPlan) -> Option<Place> {
        let tables = facts::tables(plan);
        tables.iter().filter(|t| !t.starts_with("public.")).chain(&tables).find_map(|t| {
            let (schema, name) = t.split_once('.')?;
            self.text.table(schema, name)
        })
    }

    pub(super) fn refuse(&self, construct: &str, keyword: &str, anchor: Option<Place>, fix: &str) -> SqlError {
        let place = self.text.before(keyword, anchor).or(anchor);
        SqlError::unsupported(format!("{construct} over several owners' data is not supported"), fix).at(place)
    }

    fn again(&self) -> SqlError {
        SqlError::unsupported(
            "an aggregate over the result of a joint aggregate is not supported",
            "aggregate once, over the joined sub-queries of the owners",
        )
        .at(self.text.keyword("SELECT"))
    }

    fn unsupported_node(&self, plan: &LogicalPlan) -> SqlError {
        let at_home = "do it in a sub-query of one owner, or to the answer";
        match plan {
            LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
                let keyword = ["LIMIT", "OFFSET", "FETCH"].into_iter().find(|k| self.text.keyword(k).is_some()).unwrap_or("LIMIT");
                self.refuse(keyword, keyword, None, at_home)
            }
            LogicalPlan::Distinct(Distinct::All(_)) => self.refuse(
                "DISTINCT",
                if self.text.keyword("DISTINCT").is_some() { "DISTINCT" } else { "UNION" },
                None,
                "write GROUP BY with the public key",
            ),
            LogicalPlan::Distinct(_) => self.refuse("DISTINCT ON", "DISTINCT", None, at_home),
            LogicalPlan::Window(w) => {
                let anchor = w.window_expr.first().and_then(|e| self.text.expr(e));
                let name = w.window_expr.iter().find_map(window_name).unwrap_or_default();
                let place = self.text.before(&name, anchor).or_else(|| self.text.keyword("OVER"));
                SqlError::unsupported(format!("the window function {name}() over several owners' data is not supported"), at_home).at(place)
            }
            LogicalPlan::Union(_) => self.refuse("UNION", "UNION", None, "ask two questions, or join the owners' sub-queries on a key"),
            LogicalPlan::Values(_) => self.refuse("VALUES", "VALUES", None, at_home),
            LogicalPlan::Unnest(_) => self.refuse("UNNEST", "UNNEST", None, at_home),
            LogicalPlan::Aggregate(_) => self.again(),
            other => self.refuse(other.display().to_string().split([':', ' ']).next().unwrap_or("this"), "SELECT", None, at_home),
        }
    }
}

fn window_name(expr: &Expr) -> Option<String> {
    let mut name = None;
    let _ = expr.apply(|e| {
        if let Expr::WindowFunction(w) = e {
            name = Some(w.fun.name().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    name
}

/// Columns of a table's own definition, as columns of a scan of it.
pub(super) fn unqualified_to(expr: &Expr, scan: &LogicalPlan) -> Result<Expr, SqlError> {
    use datafusion::common::tree_node::Transformed;
    let columns = scan.schema().columns();
    let moved = expr.clone().transform(|e| {
        Ok(match &e {
            Expr::Column(c) => columns
                .iter()
                .find(|q| q.name == c.name)
                .map_or_else(|| Transformed::no(e.clone()), |q| Transformed::yes(Expr::Column(q.clone()))),
            _ => Transformed::no(e),
        })
    });
    Ok(moved.map_err(internal)?.data)
}
