//! What the planner computes in clear from released rows, and the root of the plan.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema},
    common::{
        Column,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, Subquery},
};

use super::{
    Compiler, SqlError, facts, internal,
    parse::Declared,
    relation::{Joint, Lowered},
    release::{Draft, Request, Requests, any},
    symbol::{Bits, Local, Side, Val},
};
use crate::compile::expr::Reads;
use crate::plan::{Finish, ReleasedColumn};

/// A plan over released tables.
#[derive(Clone, Debug)]
pub(super) struct Released {
    pub(super) plan: LogicalPlan,
    /// Exactly one row.
    pub(super) single: bool,
}

impl Released {
    pub(super) fn new(name: &str, columns: &[ReleasedColumn], names: &[Column], single: bool) -> Result<Self, SqlError> {
        let fields: Vec<_> = columns.iter().map(|c| Field::new(&c.name, c.data_type.0.clone(), true)).collect();
        let scan = LogicalPlanBuilder::scan(name, Arc::new(Declared(Arc::new(Schema::new(fields)))), None).map_err(internal)?;
        let named: Vec<_> = columns
            .iter()
            .zip(names)
            .map(|(c, name)| {
                Expr::Column(Column::new(Some(name_of(&scan, &c.name)), &c.name)).alias_qualified(name.relation.clone(), &name.name)
            })
            .collect();
        let plan = scan.project(named).and_then(|b| b.build()).map_err(internal)?;
        Ok(Released { plan, single })
    }

    /// The same node over the released rows.
    pub(super) fn above(self, node: &LogicalPlan) -> Result<Self, SqlError> {
        let plan = node.with_new_exprs(node.expressions(), vec![self.plan]).map_err(internal)?;
        Ok(Released { plan, ..self })
    }
}

fn name_of(scan: &LogicalPlanBuilder, column: &str) -> datafusion::common::TableReference {
    let found = scan.schema().columns().into_iter().find(|c| c.name == column).and_then(|c| c.relation);
    found.unwrap_or_else(|| datafusion::common::TableReference::bare("released"))
}

impl Compiler<'_> {
    /// The whole query as something the planner computes from what is released.
    pub(super) fn root(&mut self, plan: &LogicalPlan) -> Result<Released, SqlError> {
        if facts::owners(plan).len() <= 1 {
            return self.release_home(plan);
        }
        match plan {
            LogicalPlan::Sort(s) if s.fetch.is_none() => {
                let released = self.root(&s.input)?;
                self.released_node(released, plan)
            }
            LogicalPlan::SubqueryAlias(a) => self.root(&a.input)?.above(plan),
            LogicalPlan::Projection(p) if sorted(&p.input) => {
                let released = self.root(&p.input)?;
                self.released_node(released, plan)
            }
            _ => match self.attempt(|me| me.kept(plan).and_then(|kept| me.lower(&kept))) {
                Ok(Lowered::Released(released)) => Ok(released),
                Ok(Lowered::Joint(joint)) => self.release_rows(joint, plan),
                Ok(Lowered::Home(plan)) => self.release_home(&plan),
                Err(e) => match plan {
                    // what shares cannot express may be finished in clear, from columns that are released anyway
                    LogicalPlan::Projection(p) if facts::owners(&p.input).len() > 1 => {
                        self.attempt(|me| me.finished_in_clear(p, plan)).map_err(|_| e)
                    }
                    _ => Err(e),
                },
            },
        }
    }

    /// Tries one way; if it fails, nothing of it stays to be shared or opened.
    pub(super) fn attempt<T>(&mut self, way: impl FnOnce(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        let before = (self.emitted.clone(), self.releases.clone(), self.reveals.clone());
        let result = way(self);
        if result.is_err() {
            (self.emitted, self.releases, self.reveals) = before;
        }
        result
    }

    /// A projection over released rows of the columns it reads.
    fn finished_in_clear(&mut self, p: &Projection, node: &LogicalPlan) -> Result<Released, SqlError> {
        let mut read: Vec<_> = p.expr.iter().flat_map(Reads::reads).cloned().collect();
        read.sort();
        read.dedup();
        let read = read.into_iter().map(Expr::Column).collect::<Vec<_>>();
        let input = LogicalPlanBuilder::from(p.input.as_ref().clone()).project(read).and_then(|b| b.build()).map_err(internal)?;
        let kept = self.kept(&input)?;
        let released = match self.lower(&kept)? {
            Lowered::Released(released) => released,
            Lowered::Joint(joint) => self.release_rows(joint, &input)?,
            Lowered::Home(plan) => self.release_home(&plan)?,
        };
        self.released_node(released, node)
    }

    /// A projection or sort over released rows. Scalar sub-queries in it are released, too.
    pub(super) fn released_node(&mut self, released: Released, node: &LogicalPlan) -> Result<Released, SqlError> {
        let mut exprs = Vec::new();
        for expr in node.expressions() {
            let mut error = None;
            let moved = expr.transform(|e| match &e {
                Expr::ScalarSubquery(s) if !facts::owners(&s.subquery).is_empty() => match self.root(&s.subquery) {
                    Ok(inner) => Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: Arc::new(inner.plan), ..s.clone() }))),
                    Err(e) => {
                        error = Some(e);
                        datafusion::common::plan_err!("refused")
                    }
                },
                _ => Ok(Transformed::no(e)),
            });
            match (moved, error) {
                (_, Some(e)) => return Err(e),
                (moved, None) => exprs.push(moved.map_err(internal)?.data),
            }
        }
        let plan = node.with_new_exprs(exprs, vec![released.plan]).map_err(internal)?;
        Ok(Released { plan, ..released })
    }

    /// Released results side by side: only where each is one row, so that nothing is opened that the answer does not show.
    pub(super) fn join_released(&mut self, join: &Join, left: Lowered, right: Lowered) -> Result<Lowered, SqlError> {
        let mut sides = Vec::new();
        for side in [left, right] {
            sides.push(match side {
                Lowered::Released(r) => r,
                Lowered::Home(plan) if facts::Facts::of(&plan, self.catalog).exactly_one => self.release_home(&plan)?,
                _ => return Err(self.no_join()),
            });
        }
        let one = sides.iter().all(|r| r.single)
            && join.on.is_empty()
            && join.filter.is_none()
            && matches!(join.join_type, JoinType::Inner | JoinType::Left);
        match (one, sides.pop(), sides.pop()) {
            (true, Some(right), Some(left)) => {
                let plan = LogicalPlanBuilder::from(left.plan).cross_join(right.plan).and_then(|b| b.build()).map_err(internal)?;
                Ok(Lowered::Released(Released { plan, single: true }))
            }
            _ => Err(self.no_join()),
        }
    }

    fn no_join(&self) -> SqlError {
        let fix = "join the owners' sub-queries first and aggregate once";
        SqlError::unsupported("a join with the result of a joint aggregate is not supported", fix).at(self.text.keyword("JOIN"))
    }

    /// A plan of which each row comes out, without those that may not; another one as it is.
    fn kept(&self, plan: &LogicalPlan) -> Result<LogicalPlan, SqlError> {
        match self.groups.filter(|_| !folds(plan)) {
            Some(groups) => groups.kept(plan),
            None => Ok(plan.clone()),
        }
    }

    /// Each row of a joint relation as a row of the answer. Its private columns must be aggregates of their owners.
    pub(super) fn release_rows(&mut self, joint: Joint, plan: &LogicalPlan) -> Result<Released, SqlError> {
        if !joint.raw.is_empty() {
            return Err(self.raw_rows(&joint.raw, plan));
        }
        let names = plan.schema().columns();
        let mut by: Vec<(Expr, DataType, String)> = Vec::new();
        for (i, (_, ty)) in self.frames.all[joint.frame].keys.iter().enumerate() {
            by.push((
                self.frames.key(joint.frame, i),
                ty.clone(),
                self.frames.all[joint.frame].axes.get(i).map_or_else(|| format!("k{i}"), |a| a.name.clone()),
            ));
        }
        let mut requests = Requests::default();
        let mut columns = Vec::new();
        for (i, val) in joint.columns.clone().into_iter().enumerate() {
            let field = plan.schema().field(i);
            let (name, ty) = (field.name().clone(), field.data_type().clone());
            let expr = Expr::Column(names[i].clone());
            let finish = match self.settle(val, joint.present) {
                Val::Local(Local { side: Side::Public, expr, valid, .. }) if valid == Bits::TRUE => {
                    let at = by.iter().position(|(e, ..)| *e == expr).unwrap_or_else(|| {
                        by.push((expr, ty.clone(), name.clone()));
                        by.len() - 1
                    });
                    Finish::Public(at)
                }
                val if ty == DataType::Boolean => {
                    let x = self.as_tri(val, &expr)?;
                    let (of, some) = any(&mut requests, x, &mut self.bits, &name);
                    Finish::Value { of, scale: 0, some }
                }
                val => {
                    let num = self.as_num(val, &expr)?;
                    let scale = num.scale;
                    let of = requests.open(
                        Request::Sum { products: num.products, range: num.range, given: Bits::TRUE, place: self.text.expr(&expr) },
                        name.clone(),
                        &name,
                    );
                    let some = (!self.bits.implied(num.valid, joint.present))
                        .then(|| requests.open(Request::Any(num.valid), format!("whether {name} is not NULL"), &name));
                    Finish::Value { of, scale, some }
                }
            };
            columns.push((ty, finish));
        }
        self.rows_have_no_noise(plan)?;
        let safe = self.groups.is_some_and(|groups| groups.concern(plan));
        let draft = Draft {
            joint,
            by,
            secret: Vec::new(),
            grouped: true,
            rows_a_group: Some(1),
            requests,
            columns,
            safe,
            guards: Vec::new(),
            spreads: None,
        };
        self.release(draft, &names)
    }

    pub(super) fn raw_rows(&self, tables: &BTreeSet<String>, plan: &LogicalPlan) -> SqlError {
        let tables = tables.iter().cloned().collect::<Vec<_>>().join(", ");
        SqlError::unsupported(
            format!("the answer would show rows of the private table {tables}"),
            "aggregate: SELECT COUNT(*), SUM(…), AVG(…) …",
        )
        .at(self.text.keyword("SELECT").or(self.place_of(plan)))
    }
}

/// Whether groups are formed of several owners' rows.
fn folds(plan: &LogicalPlan) -> bool {
    facts::owners(plan).len() > 1 && (matches!(plan, LogicalPlan::Aggregate(_)) || plan.inputs().into_iter().any(folds))
}

fn sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(s) => s.fetch.is_none(),
        LogicalPlan::Projection(p) => sorted(&p.input),
        LogicalPlan::SubqueryAlias(a) => sorted(&a.input),
        _ => false,
    }
}
