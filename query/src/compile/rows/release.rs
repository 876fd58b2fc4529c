//! What is opened, and what the planner computes from it.

mod chain;
mod moments;
mod noised;
mod permit;

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, ExprSchema, ScalarValue, tree_node::TreeNodeRecursion},
    functions::core::expr_fn::coalesce,
    logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Sort, lit},
};

pub(in crate::compile) use self::moments::no_percentile;
pub(super) use self::moments::wide_integer;

use self::{
    chain::{in_order, limited, over_aggregate, rebased, replaced},
    moments::{How, Part, RowMoments},
};
use super::{Demand, Rows, emit::unalias, form, home, order, ratio};
use crate::compile::expr::Reads;
use crate::{
    compile::{
        SqlError,
        answer::Released,
        facts::{self, Facts},
        internal,
        release::{aggregate_function, exact_argument},
        words::words,
    },
    plan::{
        Finish, ReleasedColumn, Reveal, RowRelease, Type,
        relation::{Operator as Op, RowForm},
    },
};

impl Rows<'_> {
    /// The whole query as something the planner computes from released rows.
    pub(in crate::compile) fn root(&mut self, plan: &LogicalPlan) -> Result<Released, SqlError> {
        let plan = order::prepared(plan, self.catalog)?;
        self.computable(&plan)?;
        self.released(&plan)
    }

    /// What no operator computes is named itself, and not its result's type.
    fn computable(&self, plan: &LogicalPlan) -> Result<(), SqlError> {
        let mut refused = None;
        let walk = plan.apply_with_subqueries(|node| {
            if facts::owners(node).len() > 1 {
                refused = match node {
                    LogicalPlan::Aggregate(a) => self.no_fold(a),
                    LogicalPlan::Window(w) => self.no_share_of_rank(w),
                    _ => None,
                };
            }
            Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        walk.map_err(internal)?;
        refused.map_or(Ok(()), Err)
    }

    fn released(&mut self, plan: &LogicalPlan) -> Result<Released, SqlError> {
        match plan {
            LogicalPlan::SubqueryAlias(a) => self.released(&a.input)?.above(plan),
            // the planner sorts what it has
            LogicalPlan::Sort(s) if s.fetch.is_none() => self.released(&s.input)?.above(plan),
            LogicalPlan::Projection(p)
                if self.core(&p.input).is_none() && matches!(p.input.as_ref(), LogicalPlan::Sort(s) if s.fetch.is_none()) =>
            {
                // the columns it is ordered by may not be selected: the order is made on shares
                let LogicalPlan::Sort(s) = p.input.as_ref() else { return Err(internal("a sort")) };
                let sorted = Sort { fetch: Some(usize::MAX), ..s.clone() };
                let plan = plan.with_new_exprs(plan.expressions(), vec![LogicalPlan::Sort(sorted)]).map_err(internal)?;
                self.released(&plan)
            }
            LogicalPlan::Projection(p) => {
                // over aggregates the planner computes in clear, from what is released of them
                if over_aggregate(&p.input) {
                    return self.released(&p.input)?.above(plan);
                }
                let whole = (self.relations.len(), self.releases.len(), self.reveals.len(), self.decided.len());
                match self.release(plan) {
                    Ok(released) => Ok(released),
                    // what shares cannot express is computed in clear, if the columns may be seen
                    Err(first) => {
                        self.relations.truncate(whole.0);
                        self.releases.truncate(whole.1);
                        self.reveals.truncate(whole.2);
                        self.decided.truncate(whole.3);
                        let mut read: Vec<Column> = p.expr.iter().flat_map(Reads::reads).cloned().collect();
                        read.sort();
                        read.dedup();
                        let exprs = read.into_iter().map(Expr::Column).collect::<Vec<_>>();
                        if exprs.is_empty()
                            || exprs.len() == p.input.schema().fields().len() && matches!(first.code, crate::message::Code::Internal)
                        {
                            return Err(first);
                        }
                        let input =
                            LogicalPlanBuilder::from(p.input.as_ref().clone()).project(exprs).and_then(|b| b.build()).map_err(internal)?;
                        let released = self.release(&input).map_err(|_| first)?;
                        released.above(plan)
                    }
                }
            }
            _ => self.release(plan),
        }
    }

    /// The aggregate at the bottom of filters, orders and limits, if there is one.
    fn core<'p>(&self, plan: &'p LogicalPlan) -> Option<&'p Aggregate> {
        match plan {
            LogicalPlan::Aggregate(a) => Some(a),
            LogicalPlan::SubqueryAlias(a) => self.core(&a.input),
            LogicalPlan::Filter(f) => self.core(&f.input),
            LogicalPlan::Sort(s) => self.core(&s.input),
            LogicalPlan::Limit(l) => self.core(&l.input),
            _ => None,
        }
    }

    /// Opens the rows of a relation. Of aggregates, what they follow from is opened.
    fn release(&mut self, plan: &LogicalPlan) -> Result<Released, SqlError> {
        // SELECT … FROM (…) ORDER BY … LIMIT: the projection under the limit is computed by the planner, too
        if let Some((chain, projection)) = limited(plan)
            && let Some(a) = self.core(&projection.input)
        {
            let (a, projection) = (a.clone(), projection.clone());
            return self.release_limited(plan, chain, &projection, &a);
        }
        if let Some(a) = self.core(plan) {
            let a = a.clone();
            return self.release_aggregate(plan, &a, &plan.schema().columns());
        }
        let columns = plan.schema().columns();
        let facts = Facts::of(plan, self.catalog);
        if facts.raw {
            self.may_show_rows(plan)?;
        }
        if let Some(groups) = self.groups {
            groups.inexact(plan, "here rows would come out as they are", "ask for COUNT, SUM or AVG of all of them")?;
        }
        let plan = &self.groups.map_or_else(|| Ok(plan.clone()), |groups| groups.kept(plan))?;
        let mut demands = Vec::new();
        let mut finishes = Vec::new();
        for c in &columns {
            let expr = Expr::Column(c.clone());
            finishes.push((demands.len(), plan.schema().field_from_column(c).map_err(internal)?.data_type().clone()));
            let form = self.natural(plan, &expr)?;
            demands.push(Demand { expr, form });
        }
        let ordered = in_order(plan);
        let finishes = finishes.into_iter().map(|(i, ty)| (ty, One::Column(i))).collect();
        self.open(plan, &demands, finishes, &[], &columns, (ordered, false))
    }

    /// Lowers, opens, and describes what is opened; `moments` are the last of the demands.
    fn open(
        &mut self,
        plan: &LogicalPlan,
        demands: &[Demand],
        columns: Vec<(DataType, One)>,
        moments: &[Part],
        names: &[Column],
        (ordered, safe): (bool, bool),
    ) -> Result<Released, SqlError> {
        let got = self.lower(&ratio::compared(plan)?, demands)?;
        let id = self.exactly(got);
        let first = demands.len() - moments.len();
        // a moment is called what it is, not what this compiler called it
        for (column, moment) in self.relations[id.0].columns[first..].iter_mut().zip(moments) {
            column.words.clone_from(&moment.words);
        }
        let relation = self.relation(id);
        let width = relation.columns.len();
        let valid = |c: usize| relation.columns[c].nullable.then_some(width + c);
        let mut released = Vec::new();
        for (i, (ty, one)) in columns.into_iter().enumerate() {
            let value = match one {
                One::Column(c) | One::Moment(c) => finish_of(c, &relation.columns[c].form, valid(c))?,
                One::Finish(f) => f,
            };
            released.push(ReleasedColumn { name: format!("c{i}"), data_type: Type(ty), value });
        }
        let number = self.releases.len();
        let name = format!("rows{number}");
        let per =
            if matches!(relation.op, Op::Total { .. }) || relation.places == 1 { "all rows together" } else { "each row of the answer" };
        let mut reveals = Vec::new();
        for (i, column) in relation.columns.iter().enumerate() {
            let moment = i.checked_sub(first).and_then(|m| moments.get(m));
            let why = moment.map_or(&column.words, |m| &m.why);
            reveals.push(Reveal { release: number, what: column.words.clone(), per: per.into(), why: why.clone() });
        }
        if per != "all rows together" {
            reveals.insert(
                0,
                Reveal {
                    release: number,
                    what: "how many rows there are".into(),
                    per: "all rows together".into(),
                    why: "the answer's rows".into(),
                },
            );
        }
        let single = relation.places == 1 && relation.full;
        self.reveals.extend(reveals);
        let out = Released::new(&name, &released, names, single)?;
        self.releases.push(RowRelease { name, relation: id, ordered, safe, columns: released });
        Ok(out)
    }

    /// Filters, orders and limits over an aggregate: keys, and the moments from which its columns follow.
    fn release_aggregate(&mut self, plan: &LogicalPlan, a: &Aggregate, names: &[Column]) -> Result<Released, SqlError> {
        self.may_show_keys(a)?;
        if self.groups.is_some_and(|groups| groups.noise(&a.input).is_some()) {
            return self.release_noised(plan, a, names);
        }
        let Extended { plan: extended, keys: mut demands, moments, parts, finishes, guarded, .. } = self.with_moments(plan, a)?;
        let base = demands.len();
        demands.extend(moments);
        let mut columns = Vec::new();
        for name in names {
            let ty = plan.schema().field_from_column(name).map_err(internal)?.data_type().clone();
            let at = plan.schema().index_of_column(name).map_err(internal)?;
            columns.push((ty, finishes[at].clone().shifted(base)));
        }
        let whole = a.group_expr.is_empty() && matches!(unnamed(plan), LogicalPlan::Aggregate(_));
        self.open(&extended, &demands, columns, &parts, names, (in_order(plan), guarded && whole))
    }

    /// ORDER BY … LIMIT over a projection over an aggregate: the order is computed on shares, the projection in clear.
    fn release_limited(
        &mut self,
        plan: &LogicalPlan,
        chain: &LogicalPlan,
        projection: &datafusion::logical_expr::Projection,
        a: &Aggregate,
    ) -> Result<Released, SqlError> {
        self.may_show_keys(a)?;
        if let Some(groups) = self.groups {
            groups.inexact(&a.input, "LIMIT chooses by exact values", "leave LIMIT out")?;
        }
        let below = &projection.input;
        let Extended { plan: extended, keys: mut demands, moments, parts, finishes, .. } = self.with_moments(below, a)?;
        // the limit, with its order computed over the aggregate itself
        let limited = rebased(chain, &projection.expr, extended)?;
        let base = demands.len();
        demands.extend(moments);
        let names = below.schema().columns();
        let mut out = Vec::new();
        for name in &names {
            let at = below.schema().index_of_column(name).map_err(internal)?;
            out.push((below.schema().field(at).data_type().clone(), finishes[at].clone().shifted(base)));
        }
        let released = self.open(&limited, &demands, out, &parts, &names, (true, false))?;
        let projected = LogicalPlan::Projection(projection.clone());
        let released = released.above(&projected)?;
        // aliases and projections above the limit's own were not passed
        let _ = plan;
        Ok(released)
    }

    fn with_moments(&self, plan: &LogicalPlan, a: &Aggregate) -> Result<Extended, SqlError> {
        let mut counted = self.groups.filter(|g| g.concern(&a.input)).map(|g| g.counted(&a.input)).transpose()?;
        let enough = counted.as_mut().map(|c| c.folds(a, self.catalog)).transpose()?;
        let counts = enough.as_ref().map_or(&[][..], |enough| enough.aggregates.as_slice());
        let below = counted.map_or_else(|| a.input.as_ref().clone(), |c| c.plan);
        let input = Facts::of(&below, self.catalog);
        let rows = home::places(&input, self.catalog).ok_or_else(|| internal("a relation without a bound"))?;
        let mut moments = RowMoments {
            schema: below.schema(),
            columns: &input.columns,
            catalog: self.catalog,
            rows: rows.into(),
            grouped: !a.group_expr.is_empty(),
            args: Vec::new(),
            filter: None,
            distinct: false,
            why: String::new(),
            parts: Vec::new(),
        };
        let mut how = Vec::new();
        for expr in &a.aggr_expr {
            let f = aggregate_function(expr).ok_or_else(|| internal("an aggregate is a function"))?;
            moments.why = words(expr);
            moments.args = f.params.args.iter().map(|e| wide_integer(exact_argument(e, below.schema()), below.schema())).collect();
            moments.filter = f.params.filter.as_deref().cloned();
            moments.distinct = f.params.distinct;
            let place = || f.params.args.iter().find_map(|e| self.text.expr(e));
            how.push(moments.how(f, expr).map_err(|e| e.at(place()))?);
        }
        let parts = moments.parts;
        let mut aggregates = a.aggr_expr.clone();
        aggregates.extend(parts.iter().enumerate().map(|(i, p)| p.aggregate.clone().alias(format!("moment {i}"))));
        aggregates.extend(counts.iter().enumerate().map(|(i, count)| count.clone().alias(format!("entities {i}"))));
        let extended = LogicalPlanBuilder::from(below.clone()).aggregate(a.group_expr.clone(), aggregates);
        let mut extended = extended.and_then(|b| b.build()).map_err(internal)?;
        // groups of too few entities are none, for HAVING, ORDER BY and LIMIT as well
        let guarded = !counts.is_empty();
        // with noise they are compared behind it
        let noisy = self.groups.is_some_and(|groups| groups.noise(&a.input).is_some());
        if let Some(enough) = enough.as_ref().filter(|_| !noisy)
            && let (groups, Some(condition)) = enough.of(extended.clone())?
        {
            extended = LogicalPlanBuilder::from(groups).filter(condition).and_then(|b| b.build()).map_err(internal)?;
        }
        let extended = replaced(plan, extended)?;
        let moment = |i: usize| -> Result<Expr, SqlError> {
            let columns = extended.schema().columns();
            let name = format!("moment {i}");
            columns.into_iter().find(|c| c.name == name).map(Expr::Column).ok_or_else(|| internal("a moment is a column"))
        };
        let mut demands = Vec::new();
        for (i, Part { aggregate, form, .. }) in parts.iter().enumerate() {
            let column = moment(i)?;
            // a sum of no value is 0: whether there is one is another moment
            let zero = ScalarValue::new_zero(&aggregate.get_type(below.schema()).map_err(internal)?).map_err(internal)?;
            let expr = coalesce(vec![column.clone(), Expr::Literal(zero, None)]);
            let summed = matches!(unalias(aggregate), Expr::AggregateFunction(f) if f.func.name() == "sum");
            demands.push(Demand { expr: if summed { expr } else { column }, form: form.clone() });
        }
        let mut keys: Vec<Demand> = Vec::new();
        let mut finishes = Vec::new();
        for c in plan.schema().columns() {
            let at = plan.schema().index_of_column(&c).map_err(internal)?;
            let expr = Expr::Column(extended.schema().columns()[at].clone());
            match at.checked_sub(a.group_expr.len()).and_then(|i| how.get(i).cloned()) {
                Some(How::Finish(finish)) => finishes.push(One::Finish(finish)),
                Some(How::Moment(moment)) => finishes.push(One::Moment(moment)),
                Some(How::Itself) | None => {
                    let form = self.natural(&extended, &expr)?;
                    finishes.push(One::Column(keys.len()));
                    keys.push(Demand { expr, form });
                }
            }
        }
        let (columns, known) = (extended.schema().columns(), Facts::of(&extended, self.catalog).columns);
        let counted = enough.iter().flat_map(|enough| enough.counts());
        let entities = counted.enumerate().map(|(i, (fold, least, words))| {
            let at = columns.iter().position(|c| c.name == format!("entities {i}"));
            let at = at.ok_or_else(|| internal("a number of entities is a column"))?;
            let form = known[at].range.and_then(|range| form::field(range, 0)).ok_or_else(|| internal("a count is small"))?;
            // a sum of none is none
            let column = Expr::Column(columns[at].clone());
            let expr = if known[at].nullable { coalesce(vec![column, lit(0i64)]) } else { column };
            Ok(Compared { fold, demand: Demand { expr, form }, least, words })
        });
        let least = if noisy { entities.collect::<Result<_, SqlError>>()? } else { Vec::new() };
        Ok(Extended { plan: extended, keys, moments: demands, parts, finishes, guarded, below, least })
    }
}

/// A plan with the moments of its aggregate added.
struct Extended {
    plan: LogicalPlan,
    /// What is demanded of it besides moments.
    keys: Vec<Demand>,
    moments: Vec<Demand>,
    /// What each moment is.
    parts: Vec<Part>,
    /// How each column of the answer follows; the numbers of moments begin at 0.
    finishes: Vec<One>,
    /// Whether groups may be left out as of too few entities.
    guarded: bool,
    /// What is folded.
    below: LogicalPlan,
    /// With noise: numbers of entities.
    least: Vec<Compared>,
}

/// A number of entities, and how much it must be.
struct Compared {
    fold: Expr,
    demand: Demand,
    least: i64,
    words: String,
}

fn unnamed(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::SubqueryAlias(a) => unnamed(&a.input),
        other => other,
    }
}

/// A column of a released table: of the relation, or finished from several.
#[derive(Clone, Debug)]
enum One {
    Column(usize),
    Moment(usize),
    Finish(Finish),
}

impl One {
    fn shifted(self, by: usize) -> Self {
        match self {
            One::Finish(f) => One::Finish(f.moved(|i| i + by)),
            One::Moment(i) => One::Column(i + by),
            other => other,
        }
    }
}

fn finish_of(of: usize, form: &RowForm, some: Option<usize>) -> Result<Finish, SqlError> {
    Ok(match form {
        RowForm::Code { .. } | RowForm::Text { .. } => Finish::Text { of, some },
        RowForm::Planes { scale, .. } | RowForm::Field { scale, .. } => Finish::Value { of, scale: *scale, some },
        RowForm::Bit => Finish::Value { of, scale: 0, some },
    })
}
