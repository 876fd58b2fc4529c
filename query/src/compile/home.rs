//! Queries one owner can answer alone. He computes the aggregates at home; what he shares is one row for each group of a public set of
//! groups, so that the other parties learn nothing and the planner learns the answer only.

use std::collections::BTreeSet;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    functions_aggregate::expr_fn::{count, sum},
    logical_expr::{Aggregate, Case, Expr, LogicalPlan, LogicalPlanBuilder, lit},
};

use super::{
    Compiler, SqlError,
    answer::Released,
    expr::cast,
    facts::{self, Facts, Known},
    frame::{self, Axis},
    internal, range,
    relation::Joint,
    release::{Draft, Held, Moments, Request, Requests, aggregate_function, exact_argument, is_statistic, statistic},
    rows::form,
    symbol::{Bits, Side, Val},
    temporal,
    words::words,
};
use crate::{message::Code, plan::Finish};

impl Compiler<'_> {
    pub(super) fn release_home(&mut self, plan: &LogicalPlan) -> Result<Released, SqlError> {
        match plan {
            LogicalPlan::Projection(p) if pure(&p.input) => {
                let finished = self.attempt(|me| {
                    let released = me.release_home(&p.input)?;
                    me.released_node(released, plan)
                });
                // CAST(MEDIAN(x) AS DECIMAL(9, 1)): the median itself cannot be shared, its cast at home can
                finished.or_else(|e| match e.code {
                    Code::NoConsent => Err(e),
                    _ => self.attempt(|me| me.release_relation(plan)).map_err(|_| e),
                })
            }
            LogicalPlan::Sort(s) if s.fetch.is_none() => {
                let released = self.release_home(&s.input)?;
                self.released_node(released, plan)
            }
            LogicalPlan::SubqueryAlias(a) => self.release_home(&a.input)?.above(plan),
            LogicalPlan::EmptyRelation(e) if e.produce_one_row => Ok(Released { plan: plan.clone(), single: true }),
            LogicalPlan::Aggregate(a) if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) => Err(self.grouping_sets()),
            LogicalPlan::Aggregate(a) => self.release_aggregate(a),
            LogicalPlan::Limit(l) => {
                let released = self.release_relation(plan)?;
                // the order that LIMIT cut by is the order of the answer
                match l.input.as_ref() {
                    LogicalPlan::Sort(s) => {
                        let plan =
                            LogicalPlanBuilder::from(released.plan).sort(s.expr.clone()).and_then(|b| b.build()).map_err(internal)?;
                        Ok(Released { plan, ..released })
                    }
                    _ => Ok(released),
                }
            }
            _ => self.release_relation(plan),
        }
    }

    /// ROLLUP, CUBE or GROUPING SETS.
    pub(super) fn grouping_sets(&self) -> SqlError {
        let word = ["ROLLUP", "CUBE", "GROUPING"].into_iter().find(|w| self.text.keyword(w).is_some()).unwrap_or("GROUP");
        SqlError::unsupported("ROLLUP, CUBE and GROUPING SETS are not supported", "ask one question for each grouping")
            .at(self.text.keyword(word))
    }

    /// GROUP BY at home: sums and counts for each group are shared, and finished at the planner.
    fn release_aggregate(&mut self, a: &Aggregate) -> Result<Released, SqlError> {
        let mut counted = self.groups.filter(|g| g.concern(&a.input)).map(|g| g.counted(&a.input)).transpose()?;
        let enough = counted.as_mut().map(|c| c.folds(a, self.catalog)).transpose()?;
        let below = counted.as_ref().map_or(a.input.as_ref(), |c| &c.plan);
        let spreads = self.groups.map_or(Ok(None), |g| g.spreads(a, below))?;
        // noise is made on shares, and what is compared behind it as well
        let counts = enough.as_ref().filter(|_| spreads.is_some()).map_or(Vec::new(), |enough| enough.counts());
        let folds: Vec<Expr> = counts.iter().map(|(fold, ..)| fold.clone()).collect();
        let moved = self.groups.filter(|_| !folds.is_empty()).map_or(Ok(Vec::new()), |g| g.moves(a, below, &folds))?;
        let input = Facts::of(below, self.catalog);
        let schema = below.schema();
        let over = facts::Input { schema, columns: &input.columns, catalog: self.catalog };
        let keys: Vec<_> = a.group_expr.iter().map(|e| facts::of_expr(e, over)).collect();
        let names: Vec<_> = a.group_expr.iter().map(words).collect();
        let places: Vec<_> = a.group_expr.iter().map(|e| self.text.expr(e)).collect();
        let (axes, order) = self.axes(&keys, &names, &places)?;
        let mut home = HomeMoments {
            compiler: self,
            schema: schema.clone(),
            columns: &input.columns,
            args: Vec::new(),
            filter: None,
            reason: String::new(),
            parts: Vec::new(),
        };
        let mut finishes = Vec::new();
        for expr in &a.aggr_expr {
            let f = aggregate_function(expr).ok_or_else(|| internal("an aggregate is a function"))?;
            let moments = is_statistic(f.func.name()) && !f.params.distinct && f.params.order_by.is_empty();
            home.args = f.params.args.iter().map(|e| exact_argument(e, schema).clone()).collect();
            home.filter = f.params.filter.as_deref().cloned();
            home.why(expr);
            finishes.push(if moments { statistic(f.func.name(), f.params.args.len(), &mut home)? } else { home.whole(expr) });
        }
        let parts = home.parts;
        let all = parts.iter().map(|p| &p.expr).chain(enough.iter().flat_map(|enough| &enough.aggregates));
        let aggregates: Vec<_> = all.enumerate().map(|(i, e)| e.clone().alias(format!("a{i}"))).collect();
        // DataFusion wants at least one key or aggregate; SELECT key … GROUP BY key has no aggregate
        let groups: Vec<_> = a.group_expr.iter().enumerate().map(|(i, e)| unaliased(e).alias(format!("g{i}"))).collect();
        let plan = LogicalPlanBuilder::from(below.clone()).aggregate(groups, aggregates).and_then(|b| b.build()).map_err(internal)?;
        let (plan, holds) = match &enough {
            Some(enough) if spreads.is_none() => enough.of(plan)?,
            _ => (plan, None),
        };
        let facts = Facts::of(&plan, self.catalog);
        let frame = self.frames.frame(axes)?;
        let columns = plan.schema().columns();
        let on: Vec<_> = order.iter().enumerate().map(|(g, &k)| (self.frames.key(frame, k), Expr::Column(columns[g].clone()))).collect();
        let side = facts::owners(&plan).into_iter().next().map_or(Side::Public, Side::Owner);
        let unit = self.frames.attach(frame, side.clone(), &plan, on, true, keys.is_empty())?;
        let mut present = self.frames.present(unit, &mut self.bits);
        let mut guards = Vec::new();
        for (i, ((_, least, of), moved)) in counts.into_iter().zip(moved).enumerate() {
            let index = keys.len() + parts.len() + i;
            let count = self.frames.value(unit, index, facts.columns[index].clone());
            let num = self.as_num(Val::Local(count), &Expr::Column(columns[index].clone()))?;
            let request = Request::Sum { products: num.products, range: num.range, given: Bits::TRUE, place: None };
            guards.push(Held { of, request, least, moved: Some(moved) });
        }
        let safe = holds.is_some();
        if let Some(holds) = holds {
            let holds = holds.transform(|e| match &e {
                Expr::Column(c) => {
                    let index = plan.schema().index_of_column(c)?;
                    Ok(Transformed::yes(self.frames.value(unit, index, facts.columns[index].clone()).expr))
                }
                _ => Ok(Transformed::no(e)),
            });
            let bit = self.bits.local(side.clone(), Expr::IsTrue(Box::new(holds.map_err(internal)?.data)));
            present = self.bits.and([present, bit]);
        }
        let mut requests = Requests::default();
        let mut openings = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let index = keys.len() + i;
            let local = self.frames.value(unit, index, facts.columns[index].clone());
            let column = Expr::Column(columns[index].clone());
            let opened = match part.use_as {
                Use::Bit => {
                    let more = if part.expr_is_count { local.expr.clone().gt(lit(0i64)) } else { local.expr.clone().is_not_null() };
                    let bit = self.bits.local(side.clone(), Expr::IsTrue(Box::new(more)));
                    requests.open(Request::Any(bit), part.words.clone(), &part.why)
                }
                Use::Truth => {
                    let bit = self.bits.local(side.clone(), Expr::IsTrue(Box::new(local.expr.clone())));
                    requests.open(Request::Any(bit), part.words.clone(), &part.why)
                }
                Use::Number => {
                    let num = self.as_num(Val::Local(local), &column).map_err(|mut e| {
                        e.message = e.message.replace(&words(&column), &part.words);
                        e.fix = e.fix.replace(&words(&column), &part.words);
                        e.at(part.place)
                    })?;
                    requests.open(
                        Request::Sum { products: num.products, range: num.range, given: Bits::TRUE, place: part.place },
                        part.words.clone(),
                        &part.why,
                    )
                }
            };
            openings.push(opened);
        }
        let types = a.schema.fields();
        let mut released: Vec<_> = order.iter().enumerate().map(|(g, &k)| (types[g].data_type().clone(), Finish::Public(k))).collect();
        for (i, finish) in finishes.into_iter().enumerate() {
            released.push((types[keys.len() + i].data_type().clone(), finish.moved(|i| openings[i])));
        }
        let mut by: Vec<(Expr, DataType, String)> = Vec::new();
        for (k, (_, ty)) in self.frames.all[frame].keys.iter().enumerate() {
            let name = order.iter().position(|&o| o == k).map_or_else(|| format!("k{k}"), |g| names[g].clone());
            by.push((self.frames.key(frame, k), ty.clone(), name));
        }
        let joint = Joint { frame, present, columns: Vec::new(), raw: BTreeSet::new() };
        let draft = Draft {
            joint,
            by,
            secret: Vec::new(),
            grouped: !keys.is_empty(),
            rows_a_group: Some(1),
            requests,
            columns: released,
            safe,
            guards,
            spreads,
        };
        self.release(draft, &a.schema.columns())
    }

    /// Any relation of one owner whose rows have a public key: each row is released.
    fn release_relation(&mut self, plan: &LogicalPlan) -> Result<Released, SqlError> {
        let facts = Facts::of(plan, self.catalog);
        if facts.raw {
            let tables = facts::tables(plan).into_iter().filter(|t| !t.starts_with("public.")).collect();
            return Err(self.raw_rows(&tables, plan));
        }
        self.rows_have_no_noise(plan)?;
        let kept = self.groups.map_or_else(|| Ok(plan.clone()), |groups| groups.kept(plan))?;
        let (plan, facts) = (&kept, Facts::of(&kept, self.catalog));
        let columns = plan.schema().columns();
        if facts.rows <= 1 {
            let frame = self.frames.frame(Vec::new())?;
            let joint = self.unit(frame, plan, &facts, Vec::new(), Bits::TRUE)?;
            return self.release_rows(joint, plan);
        }
        let place = self.place_of(plan);
        let mut error = None;
        for key in &facts.unique {
            let keys: Vec<_> = key.iter().map(|&c| facts.columns[c].clone()).collect();
            let names: Vec<_> = key.iter().map(|&c| columns[c].name.clone()).collect();
            match self.axes(&keys, &names, &vec![place; keys.len()]) {
                Ok((axes, order)) => {
                    let frame = self.frames.frame(axes)?;
                    let on: Vec<_> =
                        key.iter().zip(&order).map(|(&c, &k)| (self.frames.key(frame, k), Expr::Column(columns[c].clone()))).collect();
                    let side = facts::owners(plan).into_iter().next().map_or(Side::Public, Side::Owner);
                    let unit = self.frames.attach(frame, side, plan, on, true, false)?;
                    let present = self.frames.present(unit, &mut self.bits);
                    let mut values: Vec<_> = facts.columns.iter().enumerate().map(|(i, k)| self.frames.value(unit, i, k.clone())).collect();
                    for (&c, &k) in key.iter().zip(&order) {
                        values[c].side = Side::Public;
                        values[c].expr = self.frames.key(frame, k);
                        values[c].absent.clear();
                        values[c].valid = present;
                    }
                    let joint = Joint { frame, present, columns: values.into_iter().map(Val::Local).collect(), raw: BTreeSet::new() };
                    return self.release_rows(joint, plan);
                }
                Err(e) => error = Some(e),
            }
        }
        Err(error.unwrap_or_else(|| {
            SqlError::unsupported("the rows of the answer have no public key", "aggregate them with GROUP BY a public key").at(place)
        }))
    }

    /// Public sets of values for group keys; and for each key its position among the frame's keys.
    fn axes(&self, keys: &[Known], names: &[String], places: &[Option<super::locate::Place>]) -> Result<(Vec<Axis>, Vec<usize>), SqlError> {
        if let Some(i) = form::private_key(keys, self.catalog) {
            return Err(form::is_private(&names[i], places[i]));
        }
        let mut axes = Vec::new();
        let mut order = vec![usize::MAX; keys.len()];
        let mut next = 0;
        for i in 0..keys.len() {
            if order[i] != usize::MAX {
                continue;
            }
            let key = &keys[i];
            if let Some(origin) = &key.origin {
                // columns of the same public row go together
                let same: Vec<_> = (i..keys.len()).filter(|&j| keys[j].origin.as_ref().is_some_and(|o| o.scan == origin.scan)).collect();
                let scan = self.scan(&origin.table)?;
                let null = same.iter().any(|&j| keys[j].nullable);
                if let ([_], Some(column)) = (&same[..], origin.column()) {
                    axes.push(self.domain_axis(&origin.table, column, null)?);
                } else {
                    let exprs = same
                        .iter()
                        .filter_map(|&j| keys[j].origin.as_ref())
                        .map(|o| super::relation::unqualified_to(&o.expr, &scan))
                        .collect::<Result<Vec<_>, _>>()?;
                    let rows = self.catalog.table(&origin.table).map_or(u64::MAX, |t| t.max_rows);
                    axes.push(frame::public_axis(scan, &origin.table, &exprs, null, rows)?);
                }
                for j in same {
                    order[j] = next;
                    next += 1;
                }
                continue;
            }
            let listed = |values: Vec<ScalarValue>| {
                let mut values = values;
                if key.nullable {
                    values.extend(ScalarValue::try_from(&key.ty));
                }
                frame::listed_axis(&names[i], values)
            };
            let listable = key.wide.is_none() && (key.ty.is_integer() || temporal::unit(&key.ty).is_some());
            // `distinct` may say that few of many occur
            let range = key.range.filter(|r| listable && r.max.checked_sub(r.min).is_some_and(|span| span < form::MOST_LISTED as i128));
            axes.push(if let Some((table, column)) = &key.draws {
                self.domain_axis(table, column, key.nullable)?
            } else if let Some(values) = &key.values {
                listed(values.iter().map(|v| ScalarValue::Utf8(Some(v.clone()))).collect())?
            } else if key.ty == DataType::Boolean {
                listed(vec![ScalarValue::Boolean(Some(false)), ScalarValue::Boolean(Some(true))])?
            } else if let Some(range) = range {
                let values = (range.min..=range.max)
                    .map(|v| match key.ty {
                        DataType::Date32 => ScalarValue::Int32(i32::try_from(v).ok()).cast_to(&key.ty),
                        _ => ScalarValue::Int64(i64::try_from(v).ok()).cast_to(&key.ty),
                    })
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(internal)?;
                listed(values)?
            } else {
                return Err(form::is_private(&names[i], places[i]));
            });
            order[i] = next;
            next += 1;
        }
        Ok((axes, order))
    }
}

/// Whether released rows can be computed on in clear without seeing more than the answer.
fn pure(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(p) => pure(&p.input),
        LogicalPlan::SubqueryAlias(a) => pure(&a.input),
        LogicalPlan::Sort(s) => s.fetch.is_none() && pure(&s.input),
        LogicalPlan::Aggregate(_) => true,
        LogicalPlan::EmptyRelation(e) => e.produce_one_row,
        LogicalPlan::Limit(l) => matches!(l.input.as_ref(), LogicalPlan::Sort(_)),
        _ => false,
    }
}

fn unaliased(expr: &Expr) -> Expr {
    match expr {
        Expr::Alias(a) => unaliased(&a.expr),
        other => other.clone(),
    }
}

/// How a part is opened.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    Number,
    /// Whether it is more than 0 (a count) or not NULL.
    Bit,
    /// Whether it is TRUE.
    Truth,
}

/// An aggregate the owner computes at home.
struct PartOf {
    expr: Expr,
    use_as: Use,
    expr_is_count: bool,
    words: String,
    why: String,
    place: Option<super::locate::Place>,
}

/// Moments as aggregates at home.
struct HomeMoments<'m, 'c> {
    compiler: &'m mut Compiler<'c>,
    schema: datafusion::common::DFSchemaRef,
    columns: &'m [Known],
    args: Vec<Expr>,
    filter: Option<Expr>,
    reason: String,
    parts: Vec<PartOf>,
}

impl HomeMoments<'_, '_> {
    fn why(&mut self, expr: &Expr) {
        self.reason = words(expr);
    }

    fn part(&mut self, expr: Expr, use_as: Use, expr_is_count: bool, words: String) -> usize {
        if let Some(i) = self.parts.iter().position(|p| p.expr == expr && p.use_as == use_as) {
            return i;
        }
        let place = self.args.iter().find_map(|e| self.compiler.text.expr(e));
        let why = self.reason.clone();
        self.parts.push(PartOf { expr, use_as, expr_is_count, words, why, place });
        self.parts.len() - 1
    }

    fn input(&self) -> facts::Input<'_> {
        facts::Input { schema: &self.schema, columns: self.columns, catalog: self.compiler.catalog }
    }

    // the filter, and that these arguments are not NULL
    fn given(&self, of: &[usize]) -> Option<Expr> {
        let valid = of.iter().filter(|&&i| !matches!(&self.args[i], Expr::Literal(v, _) if !v.is_null())).map(|&i| &self.args[i]);
        let valid = valid.filter(|e| facts::of_expr(e, self.input()).nullable).map(|e| e.clone().is_not_null());
        self.filter.clone().into_iter().chain(valid).reduce(Expr::and)
    }

    fn words(&self, of: &[usize]) -> String {
        of.iter().map(|&i| words(&self.args[i])).collect::<Vec<_>>().join(" × ")
    }

    fn counted(&self, of: &[usize]) -> Expr {
        count(when(self.given(of), lit(1i64)))
    }

    /// An aggregate that is released as it is.
    fn whole(&mut self, expr: &Expr) -> Finish {
        let aggregate = unaliased(expr);
        let said = words(&aggregate);
        let known = datafusion::logical_expr::ExprSchemable::get_type(&aggregate, self.schema.as_ref()).unwrap_or(DataType::Null);
        let scale = range::scale(&known).unwrap_or(0);
        let use_as = if known == DataType::Boolean { Use::Truth } else { Use::Number };
        let of = self.part(aggregate.clone(), use_as, false, said.clone());
        let some = self.part(aggregate, Use::Bit, false, format!("whether {said} is not NULL"));
        Finish::Value { of, scale, some: Some(some) }
    }
}

fn when(condition: Option<Expr>, value: Expr) -> Expr {
    match condition {
        None => value,
        Some(condition) => Expr::Case(Case::new(None, vec![(Box::new(condition), Box::new(value))], None)),
    }
}

impl Moments for HomeMoments<'_, '_> {
    fn count(&mut self, of: &[usize]) -> Result<usize, SqlError> {
        let what = match (self.given(of), &self.filter) {
            (None, _) => "number of rows".to_owned(),
            (Some(given), Some(filter)) if given == *filter => "number of rows that pass the filter".to_owned(),
            _ => format!("number of rows with {}", self.words(of).replace(" × ", ", ")),
        };
        Ok(self.part(self.counted(of), Use::Number, true, what))
    }

    fn sum(&mut self, product: &[usize], of: &[usize]) -> Result<usize, SqlError> {
        let mut factors = Vec::new();
        for &i in product {
            let scale = self.scale(i)?;
            factors.push(cast(self.args[i].clone(), DataType::Decimal128(38, scale)));
        }
        let value = factors.into_iter().reduce(|a, b| a * b).ok_or_else(|| internal("a moment has a factor"))?;
        let others: Vec<_> = of.iter().copied().filter(|i| !product.contains(i)).collect();
        let nullable: Vec<_> = others.iter().copied().filter(|&i| facts::of_expr(&self.args[i], self.input()).nullable).collect();
        let with =
            if nullable.is_empty() { String::new() } else { format!(" over rows with {}", self.words(&nullable).replace(" × ", ", ")) };
        let pass = if self.filter.is_none() { "" } else { " that pass the filter" };
        let rows = if with.is_empty() && !pass.is_empty() { " over rows" } else { "" };
        let words = format!("sum of {}{with}{rows}{pass}", self.words(product));
        Ok(self.part(sum(when(self.given(&others), value)), Use::Number, false, words))
    }

    fn some(&mut self, of: &[usize]) -> Result<Option<usize>, SqlError> {
        let counted = self.counted(of);
        if let Some(i) = self.parts.iter().position(|p| p.expr == counted && p.use_as == Use::Number) {
            return Ok(Some(i));
        }
        let words = format!("whether any {} is not NULL", self.words(of));
        Ok(Some(self.part(counted, Use::Bit, true, words)))
    }

    fn scale(&mut self, of: usize) -> Result<i8, SqlError> {
        let expr = &self.args[of];
        let known = facts::of_expr(expr, self.input());
        let words = super::expr::said(expr);
        if let Some(why) = known.wide {
            return Err(SqlError::width(why, format!("CAST the operands of {words} to DECIMAL(38, s), or to fewer digits"))
                .at(self.compiler.text.expr(expr)));
        }
        range::number(&known.ty).ok_or_else(|| {
            SqlError::unsupported(
                format!("{words} is {} and cannot be shared as a number; only INT, BIGINT and DECIMAL can", range::sql_type(&known.ty)),
                range::as_number(&words, &known.ty),
            )
            .at(self.compiler.text.expr(expr))
        })
    }
}
