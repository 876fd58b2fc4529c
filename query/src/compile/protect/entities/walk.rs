//! Operators of one input: what they make of the entities of its rows.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::{Column, DFSchema},
    functions::core::expr_fn::least,
    functions_aggregate::expr_fn::{count, max, sum},
    logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, Projection, Window, lit},
};

use super::{Are, Counted, Entities, MOST, OWN, Rule, enough::Share, named, or_none, over, unalias};
use crate::compile::expr::Reads;
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        facts::{self, Facts, plain},
        internal,
        locate::Text,
        protect::{
            dominance::{Portion, Portions, Projected, is_sum},
            given, refused, scans, subquery,
        },
        release::aggregate_function,
        rows::{form, order},
    },
    protection::Protection,
};

/// Carries entities up a plan.
pub(super) struct Walk<'a> {
    pub(super) protection: &'a Protection,
    pub(super) catalog: &'a Catalog,
    pub(super) text: &'a Text,
    pub(super) rule: Rule,
    pub(super) next: usize,
}

impl Walk<'_> {
    pub(super) fn plan(&mut self, plan: &LogicalPlan) -> Result<Counted, SqlError> {
        if !self.protects(plan) {
            return Ok(self.counted(plan.clone(), Vec::new()));
        }
        match plan {
            LogicalPlan::TableScan(scan) => Ok(self.counted(plan.clone(), self.scanned(&scan.table_name.to_string(), plan.schema())?)),
            LogicalPlan::SubqueryAlias(a) => {
                let inner = self.plan(&a.input)?;
                let before = inner.plan.schema().clone();
                let above = rebuilt(plan, vec![inner.plan])?;
                let of =
                    inner.of.iter().map(|e| e.moved(|c| Ok(at(above.schema(), before.index_of_column(c)?)))).collect::<Result<_, _>>()?;
                Ok(self.counted(above, of))
            }
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) if self.asks(plan) => {
                // the one row of a sub-query is a row of its own entities
                let joined = order::with_scalars(plan.clone(), self.catalog).map_err(internal)?.data;
                if self.asks(&joined) { Err(self.subquery()) } else { self.plan(&joined) }
            }
            _ if self.asks(plan) => Err(self.subquery()),
            LogicalPlan::Projection(p) => self.projection(p),
            LogicalPlan::Filter(f) => self.passed(plan, &f.input),
            LogicalPlan::Sort(s) => self.passed(plan, &s.input),
            LogicalPlan::Limit(l) => self.passed(plan, &l.input),
            LogicalPlan::Repartition(r) => self.passed(plan, &r.input),
            LogicalPlan::Window(w) => {
                let inner = self.passed(plan, &w.input)?;
                if !w.window_expr.iter().all(|e| inner.of_own(e)) {
                    return Err(self.uncounted("a window function that brings values of other rows"));
                }
                self.first(inner, w, &plan.schema().columns())
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let inner = self.plan(input)?;
                self.folded(inner, input.schema().columns().into_iter().map(Expr::Column).collect(), Vec::new())
            }
            LogicalPlan::Aggregate(a) if !a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) => {
                let inner = self.plan(&a.input)?;
                self.folded(inner, a.group_expr.clone(), a.aggr_expr.clone())
            }
            LogicalPlan::Join(j) => self.join(j),
            LogicalPlan::Union(u) => self.union(u, plan),
            other => Err(self.uncounted(other.display().to_string().split([':', ' ']).next().unwrap_or("this construct"))),
        }
    }

    /// The rows of a table: of the entities that its contract says, or by themselves, which its key may name.
    fn scanned(&self, name: &str, schema: &DFSchema) -> Result<Vec<Entities>, SqlError> {
        let data = self.protection.datasets.get(name).ok_or_else(|| internal("a table that is protected"))?;
        let portions = || if self.rule.percent.is_some() { Portions::whole(schema.columns()) } else { Portions::default() };
        let entities = |key: Option<&String>, are| Entities { table: name.to_owned(), key: key.cloned(), are, portions: portions() };
        let named = |key: &String, entity: Option<&String>| {
            let column = schema.columns().into_iter().find(|c| c.name == *key).ok_or_else(|| internal("a scan has all columns"))?;
            Ok(entities(entity, Are::Named(column)))
        };
        let key = self.catalog.table(name).and_then(|table| if let [key] = table.key.as_slice() { Some(key) } else { None });
        match (data.entity_keys.is_empty(), key) {
            (false, _) => data.entity_keys.iter().map(|key| named(key, Some(key))).collect(),
            (true, Some(key)) => Ok(vec![named(key, None)?]),
            (true, None) => Ok(vec![entities(None, Are::Numbered { number: lit(1i64), most: Some(1) })]),
        }
    }

    pub(super) fn counted(&self, plan: LogicalPlan, of: Vec<Entities>) -> Counted {
        Counted { plan, of, rule: self.rule }
    }

    pub(super) fn protects(&self, plan: &LogicalPlan) -> bool {
        facts::tables(plan).iter().any(|t| self.protection.datasets.contains_key(t))
    }

    /// Whether the expressions of an operator read a protected table.
    fn asks(&self, plan: &LogicalPlan) -> bool {
        use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
        let mut found = false;
        let _ = plan.apply_expressions(|e| {
            e.apply(|e| {
                found |= subquery(e).is_some_and(|s| self.protects(&s.subquery));
                Ok(TreeNodeRecursion::Continue)
            })
        });
        found
    }

    /// An operator that keeps the columns of its input.
    fn passed(&mut self, plan: &LogicalPlan, input: &LogicalPlan) -> Result<Counted, SqlError> {
        let inner = self.plan(input)?;
        Ok(self.counted(rebuilt(plan, vec![inner.plan])?, inner.of))
    }

    fn projection(&mut self, p: &Projection) -> Result<Counted, SqlError> {
        let inner = self.plan(&p.input)?;
        let facts = Facts::of(&inner.plan, self.catalog);
        let input = facts::Input { schema: inner.plan.schema(), columns: &facts.columns, catalog: self.catalog };
        let (mut exprs, own) = (p.expr.clone(), p.expr.len());
        let (mut places, mut portions) = (Vec::new(), Vec::new());
        for e in &inner.of {
            let value = e.value();
            let place = (!value.reads().is_empty()).then(|| {
                exprs.iter().position(|p| *unalias(p) == value).unwrap_or_else(|| {
                    exprs.push(value.alias(self.name(e)));
                    exprs.len() - 1
                })
            });
            portions.push(match self.rule.percent.is_some() && scans::is_clamped(p) {
                // values are what the owner's bounds leave of them
                true => Projected::whole(own),
                false => e.portions.projected(&mut exprs, own, input, || self.name(e)),
            });
            places.push(place);
        }
        let mut counted = self.projected(inner, exprs, places)?;
        let schema = counted.plan.schema();
        counted.of.iter_mut().zip(portions).for_each(|(e, portions)| e.portions = portions.at(|place| at(schema, place)));
        Ok(counted)
    }

    /// These expressions of a relation, and where among them its entities are; `None`: as they were.
    pub(super) fn projected(&self, inner: Counted, exprs: Vec<Expr>, places: Vec<Option<usize>>) -> Result<Counted, SqlError> {
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(inner.plan)).map_err(internal)?);
        let of = inner.of.into_iter().zip(places).map(|(e, place)| match place {
            Some(place) => e.with(at(plan.schema(), place)),
            None => e,
        });
        let of = of.collect();
        Ok(self.counted(plan, of))
    }

    /// These columns of a window first, and then those that only count.
    fn first(&mut self, mut inner: Counted, w: &Window, columns: &[Column]) -> Result<Counted, SqlError> {
        let exprs = columns.iter().cloned().map(Expr::Column);
        let more: BTreeSet<Column> = inner.of.iter().flat_map(Entities::columns).filter(|c| !columns.contains(c)).collect();
        let exprs: Vec<Expr> = exprs.chain(more.into_iter().map(Expr::Column)).collect();
        let of_window = columns.len() - w.window_expr.len();
        let facts = Facts::of(&inner.plan, self.catalog);
        let input = facts::Input { schema: inner.plan.schema(), columns: &facts.columns, catalog: self.catalog };
        for e in &mut inner.of {
            let below = e.portions.clone();
            for (column, f) in columns[of_window..].iter().zip(&w.window_expr).filter(|(_, f)| below.concern(f)) {
                e.portions.made(column.clone(), f, &below, input);
                e.portions.sum(column.clone());
            }
        }
        let places = vec![None; inner.of.len()];
        self.projected(inner, exprs, places)
    }

    pub(super) fn folded(&mut self, mut inner: Counted, groups: Vec<Expr>, aggregates: Vec<Expr>) -> Result<Counted, SqlError> {
        let shares = inner.shares(&groups, &aggregates, self.catalog)?;
        let facts = Facts::of(&inner.plan, self.catalog);
        let given = inner.given(&aggregates, &facts, self.catalog)?;
        let schema = inner.plan.schema().clone();
        let input = facts::Input { schema: &schema, columns: &facts.columns, catalog: self.catalog };
        let chosen = self.rule.branches && given::chooses(&aggregates, input)?;
        let (keys, mut all) = (groups.len(), aggregates);
        // columns of the fold that are made of values of a data set
        let of_values: Vec<Expr> = groups.iter().chain(&all).cloned().collect();
        let mut of = Vec::new();
        for (e, shares) in inner.of.iter().zip(shares) {
            let key = match &e.are {
                Are::Named(c) => groups.iter().position(|g| matches!(unalias(g), Expr::Column(g) if g == c)),
                Are::Numbered { .. } => None,
            };
            let fold = match (&e.are, key) {
                // of a group of which the question chooses no row nobody is seen
                (Are::Named(c), Some(_)) if chosen => {
                    let first = all.len();
                    all.extend(given.iter().map(|g| over(count(lit(1i64)), g.clone()).alias(self.name(e))));
                    Fold::Own(first..all.len(), groups_of(c, &groups, &schema, &facts, self.catalog))
                }
                (_, Some(key)) => Fold::Key(key),
                (Are::Named(c), None) => {
                    let first = all.len();
                    all.extend(given.iter().map(|g| over(named(c, &schema, &facts), g.clone()).alias(self.name(e))));
                    Fold::Counts(first..all.len(), groups_of(c, &groups, &schema, &facts, self.catalog))
                }
                (Are::Numbered { number, most: None }, None) if number.reads().is_empty() => {
                    return Err(e.lost(self.rule));
                }
                (Are::Numbered { number, most }, None) => {
                    let first = all.len();
                    let fold = |given: &Option<Expr>| match most {
                        Some(_) => over(sum(number.clone()), given.clone()),
                        None => over(max(number.clone()), given.clone()),
                    };
                    all.extend(given.iter().map(|g| fold(g).alias(self.name(e))));
                    Fold::Counts(first..all.len(), *most)
                }
            };
            // the greatest share of each sum, and the sum; which column of the fold that is
            let mut sums = Vec::new();
            for Share { summand, greatest, total } in shares.apart() {
                let own = of_values[keys..].iter().position(|f| summand.is(f, &schema));
                sums.push((own.map(|i| (keys + i, summand.is_total(&total))), keys + all.len()));
                all.extend([greatest, total].map(|fold| fold.alias(self.name(e))));
            }
            of.push((e.clone(), fold, sums));
        }
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(inner.plan), groups, all).map_err(internal)?);
        let column = |place| Expr::Column(at(plan.schema(), place));
        let of = of.into_iter().map(|(e, fold, sums)| {
            let mut portions = Portions::default();
            for i in (0..of_values.len()).filter(|i| !is_count(&of_values[*i])) {
                portions.made(at(plan.schema(), i), &of_values[i], &e.portions, input);
            }
            for i in (0..of_values.len()).filter(|i| is_sum(&of_values[*i]) && e.portions.concern(&of_values[*i])) {
                portions.sum(at(plan.schema(), i));
            }
            for (own, greatest) in sums {
                if let Some((own, all)) = own {
                    let whole = column(if all { own } else { greatest + 1 });
                    portions.add(at(plan.schema(), own), Portion { greatest: column(greatest), whole });
                }
                portions.show(column(greatest), column(greatest + 1));
            }
            (Entities { portions, ..e }, fold)
        });
        let of = of.map(|(e, fold)| match fold {
            Fold::Key(key) => Entities { are: Are::Named(at(plan.schema(), key)), ..e },
            Fold::Counts(places, most) => {
                // of no rows, or of NULLs alone, there is no sum
                let each = places.map(|p| or_none(Expr::Column(at(plan.schema(), keys + p)))).collect::<Vec<_>>();
                let number = if each.len() == 1 { each.into_iter().next().unwrap_or_else(|| lit(0i64)) } else { least(each) };
                Entities { are: Are::Numbered { number, most }, ..e }
            }
            Fold::Own(places, most) => {
                let each = places.map(|p| Expr::Column(at(plan.schema(), keys + p))).chain([lit(1i64)]).collect();
                Entities { are: Are::Numbered { number: least(each), most }, ..e }
            }
        });
        let of = of.collect();
        Ok(self.counted(plan, of))
    }

    /// The name of a column that only counts.
    pub(super) fn name(&mut self, e: &Entities) -> String {
        self.next += 1;
        format!("{OWN}{} ({})", e.table, self.next)
    }

    fn subquery(&self) -> SqlError {
        self.uncounted("a sub-query that stands for a value")
    }

    pub(super) fn uncounted(&self, construct: &str) -> SqlError {
        let least = self.protection.min_group;
        let tables: Vec<&str> = self.protection.datasets.keys().map(String::as_str).collect();
        let what = format!(
            "the contracts for {} ask for groups of at least {least} entities, and of how many a group is cannot be counted behind {construct}",
            tables.join(", ")
        );
        let fix =
            "count all rows and those with EXISTS … (equal keys), and take the difference; or write a join, or a sub-query that aggregates";
        let word = ["EXISTS", "IN", "OR", "WHERE"].into_iter().find(|w| construct.starts_with("NOT") && self.text.word(w).is_some());
        refused(what, fix).at(word.and_then(|w| self.text.word(w)).or_else(|| self.text.keyword("SELECT")))
    }
}

/// Of who is counted each is one.
pub(super) fn is_count(e: &Expr) -> bool {
    aggregate_function(e).is_some_and(|f| matches!(f.func.name(), "count" | "regr_count" | "approx_distinct"))
}

/// How the entities of a group are known: by a key of the group, or from the columns of some aggregates.
enum Fold {
    Key(usize),
    /// By a key of the group, as far as all of these numbers of rows are not 0.
    Own(std::ops::Range<usize>, Option<u128>),
    Counts(std::ops::Range<usize>, Option<u128>),
}

impl Counted {
    /// Whether what a window function says of a row is of the row's own entities: a rank, or something of rows of the same.
    fn of_own(&self, window: &Expr) -> bool {
        let Expr::WindowFunction(f) = unalias(window) else { return false };
        let own =
            |e: &Entities| matches!(&e.are, Are::Named(c) if f.params.partition_by.iter().any(|p| matches!(p, Expr::Column(p) if p == c)));
        matches!(f.fun.name(), "row_number" | "rank" | "dense_rank" | "ntile" | "percent_rank" | "cume_dist") || self.of.iter().all(own)
    }
}

/// In how many groups an entity can be.
fn groups_of(key: &Column, groups: &[Expr], schema: &DFSchema, facts: &Facts, catalog: &Catalog) -> Option<u128> {
    let at = schema.index_of_column(key).ok()?;
    let determined = facts.determined(&BTreeSet::from([at]));
    let free: Vec<&Expr> = groups.iter().filter(|g| plain(g, schema).is_none_or(|c| !determined.contains(&c))).collect();
    if free.is_empty() {
        return Some(1);
    }
    let known = free.iter().map(|g| facts::of_expr(g, facts::Input { schema, columns: &facts.columns, catalog })).collect::<Vec<_>>();
    facts.columns[at].repeats.into_iter().chain(form::tuples(&known, catalog)).min().filter(|m| *m <= MOST)
}

/// A column by its place.
pub(super) fn at(schema: &DFSchema, place: usize) -> Column {
    Column::from(schema.qualified_field(place))
}

fn rebuilt(plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan, SqlError> {
    plan.with_new_exprs(plan.expressions(), inputs).map_err(internal)
}
