//! Values that a CASE chooses in a sub-query, written out where they are summed: SUM(v) over `SELECT CASE WHEN … THEN x ELSE 2 END AS v` becomes the sum of the CASE. So what an aggregate
//! is made of ([`super::given`]) is read from the aggregate, however the question is cut. What the CASE reads is carried up beside it, which changes no row.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DFSchema, DataFusionError,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Aggregate, Case, Cast, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Projection, Subquery, TryCast, Window, lit},
};

use super::{entities::unalias, given::is_condition, refused};
use crate::compile::{
    SqlError,
    expr::{Reads, said},
    internal,
    release::aggregate_function,
};

/// The same question with all choices where they are summed.
pub(in crate::compile) fn where_summed(plan: &LogicalPlan) -> Result<LogicalPlan, SqlError> {
    Walk { carried: 0 }.whole(plan)
}

/// What columns of a plan are in terms of others of its columns, and a choice; `None`: of several choices.
type Chosen = BTreeMap<Column, Option<Expr>>;

struct Walk {
    carried: usize,
}

impl Walk {
    /// A plan with its own columns and no others.
    fn whole(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan, SqlError> {
        Ok(self.own(plan)?.0)
    }

    /// The same, and whether a column is chosen.
    fn own(&mut self, plan: &LogicalPlan) -> Result<(LogicalPlan, Chosen), SqlError> {
        let (moved, chosen) = self.plan(plan)?;
        let own = plan.schema().columns();
        if moved.schema().fields().len() == own.len() {
            return Ok((moved, chosen));
        }
        let exprs = own.into_iter().map(Expr::Column).collect();
        Ok((projected(exprs, moved)?, chosen))
    }

    fn plan(&mut self, plan: &LogicalPlan) -> Result<(LogicalPlan, Chosen), SqlError> {
        match plan {
            LogicalPlan::Projection(p) => self.projection(p),
            LogicalPlan::Aggregate(a) => self.aggregate(a),
            LogicalPlan::Window(w) => self.window(plan, w),
            LogicalPlan::Join(j) => self.join(j),
            LogicalPlan::SubqueryAlias(a) => {
                let (input, chosen) = self.plan(&a.input)?;
                let before = input.schema().clone();
                let above = self.rebuilt(plan, vec![input])?;
                let to = |c: &Column| Ok(Column::from(above.schema().qualified_field(before.index_of_column(c)?)));
                let chosen = chosen.into_iter().map(|(c, of)| {
                    let of = of.map(|of| with_columns(of, |c| to(c).map(Expr::Column))).transpose()?;
                    Ok((to(&c).map_err(internal)?, of))
                });
                let chosen = chosen.collect::<Result<_, SqlError>>()?;
                Ok((above, chosen))
            }
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Repartition(_) => {
                let input = plan.inputs().into_iter().next().ok_or_else(|| internal("an operator has an input"))?;
                let (input, chosen) = self.plan(input)?;
                Ok((self.rebuilt(plan, vec![input])?, chosen))
            }
            // rows of several inputs, or one row for several: columns are as they were
            other => {
                let inputs = other.inputs().into_iter().map(|input| self.own(input)).collect::<Result<Vec<_>, _>>()?;
                let (inputs, chosen): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
                let places = other.schema().columns();
                let is_union = matches!(other, LogicalPlan::Union(_));
                let is_chosen = |at: usize| {
                    let of = |input: &LogicalPlan| input.schema().columns().into_iter().nth(at);
                    // a number of the question beside a value of the table
                    let literal = |input: &&LogicalPlan| is_literal(input, at);
                    let mixed = is_union && inputs.iter().any(|i| literal(&i)) && !inputs.iter().all(|i| literal(&i));
                    mixed || inputs.iter().zip(&chosen).any(|(input, chosen)| of(input).is_some_and(|c| chosen.contains_key(&c)))
                };
                let chosen = places.into_iter().enumerate().filter(|(at, _)| is_chosen(*at)).map(|(_, c)| (c, None)).collect();
                Ok((self.rebuilt(other, inputs)?, chosen))
            }
        }
    }

    fn projection(&mut self, p: &Projection) -> Result<(LogicalPlan, Chosen), SqlError> {
        let (input, below) = self.plan(&p.input)?;
        let mut exprs = self.subqueries_of(&p.expr)?;
        let own = exprs.len();
        let mut written_out: Vec<(usize, Option<Expr>)> = Vec::new();
        for place in 0..own {
            let value = written(unalias(&exprs[place]), &below)?;
            if value.as_ref().is_some_and(|value| !chooses(value, input.schema())) {
                continue;
            }
            for read in value.iter().flat_map(Reads::reads) {
                if !exprs.iter().any(|e| is_column(e, read)) {
                    exprs.push(Expr::Column(read.clone()).alias(self.name()));
                }
            }
            written_out.push((place, value));
        }
        let plan = projected(exprs.clone(), input)?;
        let at = |place: usize| Column::from(plan.schema().qualified_field(place));
        let carried = |c: &Column| {
            let place = exprs.iter().position(|e| is_column(e, c));
            let place = place.ok_or_else(|| DataFusionError::Internal(format!("{c} is not carried")))?;
            Ok(Expr::Column(at(place)))
        };
        let chosen = written_out.into_iter().map(|(place, of)| Ok((at(place), of.map(|of| with_columns(of, carried)).transpose()?)));
        let chosen = chosen.collect::<Result<_, SqlError>>()?;
        Ok((plan, chosen))
    }

    fn aggregate(&mut self, a: &Aggregate) -> Result<(LogicalPlan, Chosen), SqlError> {
        let (input, below) = self.plan(&a.input)?;
        let aggregates = self.subqueries_of(&a.aggr_expr)?.into_iter().map(|e| {
            let counts = aggregate_function(&e).is_none_or(|f| f.func.name() == "count" && !f.params.distinct);
            let reads = e.reads().into_iter().any(|c| below.contains_key(c));
            if counts || !reads {
                return Ok(e);
            }
            let name = e.schema_name().to_string();
            let Some(above) = written(unalias(&e), &below)? else { return Err(unseen(&e)) };
            Ok(above.alias(name))
        });
        let aggregates = aggregates.collect::<Result<Vec<_>, _>>()?;
        let groups = self.subqueries_of(&a.group_expr)?;
        let is_chosen = |key: &Expr| chooses(key, input.schema()) || key.reads().into_iter().any(|c| below.contains_key(c));
        let chosen: Vec<usize> = groups.iter().enumerate().filter(|(_, key)| is_chosen(key)).map(|(place, _)| place).collect();
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), groups, aggregates).map_err(internal)?);
        // of a key that is chosen it is not seen from here which rows have it
        let chosen = chosen.into_iter().map(|place| (Column::from(plan.schema().qualified_field(place)), None)).collect();
        Ok((plan, chosen))
    }

    fn window(&mut self, plan: &LogicalPlan, w: &Window) -> Result<(LogicalPlan, Chosen), SqlError> {
        let (input, chosen) = self.plan(&w.input)?;
        let is_chosen = |arg: &Expr| chooses(arg, input.schema()) || arg.reads().into_iter().any(|c| chosen.contains_key(c));
        let of_chosen = |e: &&Expr| match unalias(e) {
            Expr::WindowFunction(f) => f.params.filter.is_some() || f.params.args.iter().any(is_chosen),
            _ => false,
        };
        if let Some(e) = w.window_expr.iter().find(of_chosen) {
            return Err(unseen(e));
        }
        Ok((self.rebuilt(plan, vec![input])?, chosen))
    }

    fn join(&mut self, j: &Join) -> Result<(LogicalPlan, Chosen), SqlError> {
        use JoinType::{Full, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
        let (left, of_left) = self.plan(&j.left)?;
        let (right, of_right) = self.plan(&j.right)?;
        let (left, of_left) = if matches!(j.join_type, Right | Full) { self.marked(left, of_left)? } else { (left, of_left) };
        let (right, of_right) = if matches!(j.join_type, Left | Full) { self.marked(right, of_right)? } else { (right, of_right) };
        let chosen = match j.join_type {
            LeftSemi | LeftAnti | LeftMark => of_left,
            RightSemi | RightAnti | RightMark => of_right,
            _ => of_left.into_iter().chain(of_right).collect(),
        };
        let kind = (j.join_type, j.join_constraint, j.null_equality, j.null_aware);
        let join = Join::try_new(left.into(), right.into(), j.on.clone(), j.filter.clone(), kind.0, kind.1, kind.2, kind.3);
        Ok((LogicalPlan::Join(join.map_err(internal)?), chosen))
    }

    /// A side of which an outer join may have no row: there what is chosen is NULL, and not what the CASE makes of NULLs.
    fn marked(&mut self, side: LogicalPlan, chosen: Chosen) -> Result<(LogicalPlan, Chosen), SqlError> {
        if chosen.is_empty() {
            return Ok((side, chosen));
        }
        let mut exprs: Vec<Expr> = side.schema().columns().into_iter().map(Expr::Column).collect();
        exprs.push(lit(true).alias(self.name()));
        let place = exprs.len() - 1;
        let side = projected(exprs, side)?;
        let there = Expr::Column(Column::from(side.schema().qualified_field(place))).is_not_null();
        let when = |of: Expr| Expr::Case(Case::new(None, vec![(Box::new(there.clone()), Box::new(of))], None));
        Ok((side, chosen.into_iter().map(|(c, of)| (c, of.map(when))).collect()))
    }

    /// An operator over other inputs.
    fn rebuilt(&mut self, plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan, SqlError> {
        let exprs = self.subqueries_of(&plan.expressions())?;
        plan.with_new_exprs(exprs, inputs).map_err(internal)
    }

    /// The same of the sub-queries that stand for values.
    fn subqueries_of(&mut self, exprs: &[Expr]) -> Result<Vec<Expr>, SqlError> {
        let mut failed = None;
        let mut of = |subquery: &mut Subquery| match self.whole(&subquery.subquery) {
            Ok(plan) => subquery.subquery = Arc::new(plan),
            Err(e) => {
                failed.get_or_insert(e);
            }
        };
        let moved = exprs.iter().map(|e| {
            e.clone().transform(|mut e| {
                match &mut e {
                    Expr::ScalarSubquery(s) => of(s),
                    Expr::Exists(x) => of(&mut x.subquery),
                    Expr::InSubquery(x) => of(&mut x.subquery),
                    _ => return Ok(Transformed::no(e)),
                }
                Ok(Transformed::yes(e))
            })
        });
        let moved = moved.map(|e| e.map(|t| t.data).map_err(internal)).collect();
        failed.map_or(moved, Err)
    }

    /// The name of a column that is carried up.
    fn name(&mut self) -> String {
        self.carried += 1;
        format!("what a case reads ({})", self.carried)
    }
}

/// Whether a column is the same literal in all rows.
fn is_literal(plan: &LogicalPlan, column: usize) -> bool {
    match plan {
        LogicalPlan::Projection(p) => p.expr.get(column).is_some_and(|e| e.reads().is_empty()),
        LogicalPlan::SubqueryAlias(a) => is_literal(&a.input, column),
        LogicalPlan::Filter(f) => is_literal(&f.input, column),
        _ => false,
    }
}

/// Whether a projection has this column as it is.
fn is_column(e: &Expr, column: &Column) -> bool {
    matches!(unalias(e), Expr::Column(c) if c == column)
}

/// A value with what its columns are in their places; `None` if one is of several choices.
fn written(e: &Expr, chosen: &Chosen) -> Result<Option<Expr>, SqlError> {
    if e.reads().into_iter().any(|c| matches!(chosen.get(c), Some(None))) {
        return Ok(None);
    }
    with_columns(e.clone(), |c| Ok(chosen.get(c).cloned().flatten().unwrap_or_else(|| Expr::Column(c.clone())))).map(Some)
}

/// A value with others in the place of its columns.
fn with_columns(e: Expr, mut to: impl FnMut(&Column) -> datafusion::common::Result<Expr>) -> Result<Expr, SqlError> {
    let moved = e.transform_down(|e| match &e {
        Expr::Column(c) => Ok(Transformed::new(to(c)?, true, TreeNodeRecursion::Jump)),
        _ => Ok(Transformed::no(e)),
    });
    moved.map(|t| t.data).map_err(internal)
}

/// Whether a value may be one or another by a condition.
fn chooses(e: &Expr, schema: &DFSchema) -> bool {
    if is_condition(e, schema) {
        return true;
    }
    let chosen = e.exists(|e| {
        Ok(match e {
            Expr::Case(_) => true,
            Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
                matches!(expr.get_type(schema), Ok(DataType::Boolean))
            }
            Expr::ScalarFunction(f) => matches!(f.name(), "coalesce" | "nvl" | "ifnull" | "nvl2"),
            _ => false,
        })
    });
    chosen.unwrap_or(true)
}

fn projected(exprs: Vec<Expr>, input: LogicalPlan) -> Result<LogicalPlan, SqlError> {
    Projection::try_new(exprs, Arc::new(input)).map(LogicalPlan::Projection).map_err(internal)
}

fn unseen(e: &Expr) -> SqlError {
    let what = format!(
        "{} is of values that the question has chosen, and by a contract each kind of rows must be of enough, which is not seen from here",
        said(e)
    );
    refused(
        what,
        "choose in the aggregate itself (CASE, FILTER), over rows that no UNION, DISTINCT, window function or key of a group has made",
    )
}
