//! Window functions over private rows.

use datafusion::{
    common::Column,
    logical_expr::{
        Expr, LogicalPlan, Window, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
        expr::{NullTreatment, WindowFunction},
    },
};

use super::{
    Asked, Demand, Rows,
    emit::{Emit, Scope, Val, positions, unalias},
    fold::{Folds, at},
    form,
};
use crate::{
    compile::{
        SqlError,
        expr::{Reads, said},
        facts::{self, Facts},
        internal, range,
        range::Interval,
    },
    plan::relation::{Fold, FoldOp, Function, Operator as Op, RowColumn, RowForm, SortKey},
};

/// The relation's name under which functions are leaves.
const WINDOW: &str = "window";

impl Rows<'_> {
    pub(super) fn window(&mut self, w: &Window, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        let width = w.input.schema().fields().len();
        let input = Facts::of(&w.input, self.catalog);
        let output = Facts::of(plan, self.catalog);
        let functions = w.window_expr.iter().map(|e| match unalias(e) {
            Expr::WindowFunction(f) => Ok(f.as_ref()),
            _ => Err(internal("a window function is a function")),
        });
        let functions: Vec<&WindowFunction> = functions.collect::<Result<_, _>>()?;
        let first = functions.first().ok_or_else(|| internal("a window has a function"))?;
        if let Some(other) =
            functions.iter().find(|f| f.params.partition_by != first.params.partition_by || f.params.order_by != first.params.order_by)
        {
            return Err(self.no_function(other, "it has another OVER (…) than its neighbour; put it in a sub-query"));
        }
        let bound = super::home::places(&input, self.catalog).ok_or_else(|| internal("a relation without a bound"))?;
        let mut folds = Folds::new(w.input.schema(), &input.columns, self.catalog, bound.into(), Vec::new());
        let mut partition = Vec::new();
        for e in &first.params.partition_by {
            let form = self.natural(&w.input, e)?;
            partition.push(self.demand(&mut folds.asked, e, form));
        }
        let by = self.sort_demands(&w.input, &first.params.order_by, &mut folds.asked)?;
        let keys = first.params.partition_by.iter().chain(first.params.order_by.iter().map(|key| &key.expr));
        let unique = super::no_ties(&input, &w.input, keys);
        let ranks = RowForm::Planes { scale: 0, offset: 0, width: form::width(bound.into()) };
        let mut made_functions: Vec<(Function, RowColumn)> = Vec::new();
        let mut emit = Emit::new(self.text);
        let natural = |e: &Expr| self.natural(&w.input, e);
        let catalog = self.catalog;
        let bytes = |e: &Expr| form::text_bytes(e, plan, catalog);
        let leaf = |e: &Expr| {
            let of = positions(e, plan.schema());
            !of.is_empty() && of.iter().all(|p| *p < width)
        };
        let mut made = |emit: &mut Emit<'_>, e: &Expr| -> Result<Option<Val>, SqlError> {
            let Expr::Column(c) = e else { return Ok(None) };
            let Some(number) = plan.schema().index_of_column(c).map_err(internal)?.checked_sub(width) else { return Ok(None) };
            let (f, expr) = (functions[number], &w.window_expr[number]);
            let mut put = |emit: &mut Emit<'_>, function: Function, form: &RowForm, nullable: bool| {
                let i = made_functions.iter().position(|(f, _)| *f == function).unwrap_or_else(|| {
                    made_functions.push((function, RowColumn { words: said(expr), form: form.clone(), nullable }));
                    made_functions.len() - 1
                });
                emit.leaf(&Expr::Column(Column::new(Some(WINDOW), i.to_string())), form, nullable)
            };
            let known = &output.columns[width + number];
            Ok(Some(match (&f.fun, f.fun.name()) {
                (_, "first_value") => {
                    if !from_start(&f.params.window_frame) {
                        return Err(
                            self.no_function(f, "let the frame begin with UNBOUNDED PRECEDING, and end with CURRENT ROW or behind it")
                        );
                    }
                    if f.params.null_treatment == Some(NullTreatment::IgnoreNulls) {
                        return Err(self.no_function(f, "leave IGNORE NULLS out"));
                    }
                    let arg = &f.params.args[0];
                    let form = form::natural(known, bytes(e), &said(arg)).map_err(|error| error.at(self.text.expr(arg)))?;
                    put(emit, Function::First(folds.demand(arg, form.clone())), &form, true)
                }
                (WindowFunctionDefinition::AggregateUDF(udf), _) => {
                    let frame = Frame::of(&f.params.window_frame, f.params.order_by.is_empty()).ok_or_else(|| {
                        self.no_function(
                            f,
                            "use the whole partition, or ROWS from a number of rows PRECEDING or UNBOUNDED PRECEDING to CURRENT ROW",
                        )
                    })?;
                    let aggregate = datafusion::logical_expr::expr::AggregateFunction::new_udf(
                        udf.clone(),
                        f.params.args.clone(),
                        f.params.distinct,
                        f.params.filter.clone(),
                        Vec::new(),
                        None,
                    );
                    let mut refused = false;
                    let mut leaf = |emit: &mut Emit<'_>, _: usize, column: &RowColumn, fold: &Fold| {
                        refused |= frame != Frame::Whole && !matches!(fold.op, FoldOp::Rows | FoldOp::Count(_) | FoldOp::Sum(_));
                        put(emit, frame.function(fold.clone()), &column.form, column.nullable)
                    };
                    let val = folds.windowed(&aggregate, expr, &known.ty, known.nullable, emit, &mut leaf, &natural)?;
                    match val {
                        Some(val) if !refused => val,
                        _ if frame != Frame::Whole => {
                            let fix =
                                "take it over the whole partition (leave ORDER BY and ROWS out): only sums and counts run from row to row";
                            return Err(self.no_function(f, fix));
                        }
                        _ => return Err(self.no_function(f, "group by what it is partitioned by in a sub-query, and join that")),
                    }
                }
                (_, "row_number") => put(emit, Function::RowNumber, &ranks, false),
                (_, "rank") => put(emit, Function::Rank, &ranks, false),
                (_, "dense_rank") => put(emit, Function::DenseRank, &ranks, false),
                (_, "ntile") => {
                    let n = number_of(f.params.args.first()).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
                    let n = n.ok_or_else(|| self.no_function(f, "write NTILE(n) with a number"))?;
                    let most = Interval { min: 0, max: n.into() };
                    let form = form::planes(most, 0).ok_or_else(|| internal("a small number has a form"))?;
                    put(emit, Function::Ntile(n), &form, false)
                }
                (_, name @ ("lag" | "lead")) => {
                    let n = match f.params.args.get(1) {
                        None => 1,
                        some => number_of(some)
                            .and_then(|n| i64::try_from(n).ok())
                            .ok_or_else(|| self.no_function(f, "write the distance as a number"))?,
                    };
                    if f.params.null_treatment == Some(NullTreatment::IgnoreNulls) {
                        return Err(self.no_function(f, "leave IGNORE NULLS out"));
                    }
                    let arg = &f.params.args[0];
                    let default = facts::default_away(f, &known.ty);
                    let default = default.map_err(|()| self.no_function(f, "write the default as a literal of the value's type"))?;
                    // the column has the form of the default, too
                    let form = form::natural(known, bytes(e), &said(arg)).map_err(|error| error.at(self.text.expr(arg)))?;
                    let default = default.map(|default| emit.constant(&default, &form, expr)).transpose()?.flatten();
                    let by = if name == "lag" { n } else { n.checked_neg().ok_or_else(|| internal("a distance can be turned"))? };
                    put(emit, Function::Lag { column: folds.demand(arg, form.clone()), by, default }, &form, true)
                }
                (_, "last_value") => return Err(self.no_function(f, "write FIRST_VALUE(…) OVER (… ORDER BY … DESC)")),
                _ => {
                    let fix = "number the rows with ROW_NUMBER() OVER (…) AS r in a sub-query, and take MAX(CASE WHEN r = n THEN … END) OVER (PARTITION BY …)";
                    return Err(self.no_function(f, fix));
                }
            }))
        };
        let mut scope = Scope { schema: plan.schema(), columns: &output.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut made };
        let mut values = Vec::new();
        for d in demands {
            values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
        }
        let mut asked = folds.asked;
        // leaves: functions by number, everything else is asked of the input
        let homes: Vec<Result<usize, usize>> = emit
            .leaves
            .iter()
            .map(|leaf| match &leaf.expr {
                Expr::Column(c) if c.relation.as_ref().is_some_and(|r| r.table() == WINDOW) => Err(c.name.parse().unwrap_or_default()),
                expr => Ok(self.demand(&mut asked, expr, leaf.form.clone())),
            })
            .collect();
        let got = self.lower(&w.input, &asked)?;
        let relation = self.relation(got.id);
        let inner = relation.columns.len();
        let (places, full) = (relation.places, relation.full);
        let mut columns = relation.columns.clone();
        let by = by.into_iter().map(|k| SortKey { column: got.at[k.column], ..k }).collect();
        let moved = |fold: &Fold| Fold { op: at(&fold.op, &got.at), when: fold.when.map(|w| got.at[w]) };
        let mut functions = Vec::new();
        for (function, mut column) in made_functions {
            functions.push(match function {
                Function::Lag { column: of, by, default } => {
                    column.nullable = default.is_none() || relation.columns[got.at[of]].nullable;
                    Function::Lag { column: got.at[of], by, default }
                }
                Function::Whole(fold) => Function::Whole(moved(&fold)),
                Function::First(of) => {
                    column.nullable = relation.columns[got.at[of]].nullable;
                    Function::First(got.at[of])
                }
                Function::Running { fold, peers } => Function::Running { fold: moved(&fold), peers },
                Function::Trailing { fold, before } => Function::Trailing { fold: moved(&fold), before },
                other => other,
            });
            columns.push(column);
        }
        let partition = partition.into_iter().map(|p| got.at[p]).collect();
        let id = self.push(Op::Window { input: got.id, partition, by, unique, functions }, places, full, columns);
        let to: Vec<_> = homes.into_iter().map(|h| h.map_or_else(|f| inner + f, |d| got.at[d])).collect();
        Ok(self.mapped(id, emit, &to, values, None))
    }

    /// The refusal of a function that divides places by rows.
    pub(super) fn no_share_of_rank(&self, w: &Window) -> Option<SqlError> {
        let function = |e: &Expr| match unalias(e) {
            Expr::WindowFunction(f) if matches!(f.fun.name(), "percent_rank" | "cume_dist") => Some(f.clone()),
            _ => None,
        };
        let f = w.window_expr.iter().find_map(function)?;
        Some(self.no_function(&f, "compute it from RANK() OVER (…) and COUNT(*) OVER (…), which are whole numbers"))
    }

    fn no_function(&self, f: &WindowFunction, fix: &str) -> SqlError {
        let place = f.params.args.iter().chain(&f.params.partition_by).find_map(|e| self.text.expr(e));
        let place = self.text.before(f.fun.name(), place).or_else(|| self.text.keyword("OVER"));
        SqlError::unsupported(format!("the window function {}() over several owners' rows in this form", f.fun.name()), fix).at(place)
    }
}

/// Whether an expression over a part of the plan is made of AVG OVER.
pub(super) fn is_windowed_mean(plan: &LogicalPlan, expr: &Expr) -> bool {
    let of = |c: &Column| {
        let Ok(at) = plan.schema().index_of_column(c) else { return false };
        let same = |input: &LogicalPlan| is_windowed_mean(input, &Expr::Column(input.schema().columns().swap_remove(at)));
        match plan {
            LogicalPlan::Window(w) => match at.checked_sub(w.input.schema().fields().len()) {
                Some(number) => matches!(unalias(&w.window_expr[number]), Expr::WindowFunction(f) if f.fun.name() == "avg"),
                None => same(&w.input),
            },
            LogicalPlan::Projection(p) => is_windowed_mean(&p.input, &p.expr[at]),
            LogicalPlan::SubqueryAlias(a) => same(&a.input),
            LogicalPlan::Filter(f) => same(&f.input),
            LogicalPlan::Sort(s) => same(&s.input),
            LogicalPlan::Limit(l) => same(&l.input),
            _ => false,
        }
    };
    expr.reads().into_iter().any(of)
}

fn number_of(expr: Option<&Expr>) -> Option<i128> {
    match unalias(expr?) {
        Expr::Literal(v, _) if !v.is_null() => range::literal(v).map(|i| i.min),
        Expr::Cast(c) => number_of(Some(&c.expr)),
        _ => None,
    }
}

/// Which rows of its partition a row's fold is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Whole,
    /// Those up to it, with its peers or without.
    Running {
        peers: bool,
    },
    /// It and so many before it.
    Trailing {
        before: u64,
    },
}

impl Frame {
    /// `None` for another frame than these.
    fn of(frame: &WindowFrame, unordered: bool) -> Option<Self> {
        let to_end = matches!(&frame.end_bound, WindowFrameBound::Following(v) if v.is_null());
        let to_row = matches!(frame.end_bound, WindowFrameBound::CurrentRow);
        let start = match &frame.start_bound {
            WindowFrameBound::Preceding(v) if v.is_null() => None,
            WindowFrameBound::Preceding(v) => Some(u64::try_from(range::literal(v)?.min).ok()?),
            _ => return None,
        };
        match (start, to_end, to_row, frame.units) {
            (None, true, ..) => Some(Frame::Whole),
            (None, _, true, WindowFrameUnits::Range | WindowFrameUnits::Groups) if unordered => Some(Frame::Whole),
            (None, _, true, WindowFrameUnits::Range | WindowFrameUnits::Groups) => Some(Frame::Running { peers: true }),
            (None, _, true, WindowFrameUnits::Rows) => Some(Frame::Running { peers: false }),
            (Some(before), _, true, WindowFrameUnits::Rows) => Some(Frame::Trailing { before }),
            _ => None,
        }
    }

    fn function(self, fold: Fold) -> Function {
        match self {
            Frame::Whole => Function::Whole(fold),
            Frame::Running { peers } => Function::Running { fold, peers },
            Frame::Trailing { before } => Function::Trailing { fold, before },
        }
    }
}

/// Whether the first row of its partition is in each row's frame.
fn from_start(frame: &WindowFrame) -> bool {
    let begins = matches!(&frame.start_bound, WindowFrameBound::Preceding(v) if v.is_null());
    begins && !matches!(frame.end_bound, WindowFrameBound::Preceding(_))
}

impl Folds<'_> {
    /// As [`value`](Folds::value), for the folds of a window.
    #[allow(clippy::too_many_arguments)]
    fn windowed(
        &mut self,
        f: &datafusion::logical_expr::expr::AggregateFunction,
        expr: &Expr,
        ty: &datafusion::arrow::datatypes::DataType,
        nullable: bool,
        emit: &mut Emit<'_>,
        leaf: &mut dyn FnMut(&mut Emit<'_>, usize, &RowColumn, &Fold) -> Val,
        natural: &dyn Fn(&Expr) -> Result<RowForm, SqlError>,
    ) -> Result<Option<Val>, SqlError> {
        // the same folds, found by their numbers once they are there
        let mut seen: Vec<(usize, RowColumn)> = Vec::new();
        let mut probe = Emit::new(emit.text());
        let mut note = |probe: &mut Emit<'_>, i: usize, column: &RowColumn| {
            seen.push((i, column.clone()));
            probe.leaf(&Expr::Column(Column::new_unqualified(i.to_string())), &column.form, column.nullable)
        };
        if self.value(f, expr, ty, nullable, &mut probe, &mut note, natural)?.is_none() {
            return Ok(None);
        }
        let folds: Vec<Fold> = self.drafts.iter().map(|d| d.fold.clone()).collect();
        self.value(f, expr, ty, nullable, emit, &mut |emit, i, column| leaf(emit, i, column, &folds[i]), natural)
    }
}
