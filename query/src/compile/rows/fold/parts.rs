//! Aggregates as the sums, counts and extremes they are made of, which can be formed below a join.

use std::collections::BTreeSet;

use datafusion::{
    common::ScalarValue,
    functions::core::expr_fn::coalesce,
    functions_aggregate::expr_fn::{count, max, min, sum},
    logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, lit},
};

use super::{Demand, Folds, Rows};
use crate::{
    compile::{
        SqlError, internal,
        rows::{eager, emit::positions, release::wide_integer},
    },
    plan::{
        Decided,
        relation::{FoldOp, RowForm},
    },
};

/// The aggregate without the functions that nothing asks for: a mean is none where its sum and its count are. `None` if all are asked for.
pub(super) fn needed(a: &Aggregate, demands: &[Demand]) -> Result<Option<Aggregate>, SqlError> {
    let groups = a.group_expr.len();
    let asked: BTreeSet<usize> = demands.iter().flat_map(|d| positions(&d.expr, &a.schema)).collect();
    let kept: Vec<Expr> = (0..a.aggr_expr.len()).filter(|i| asked.contains(&(groups + i))).map(|i| a.aggr_expr[i].clone()).collect();
    if kept.len() == a.aggr_expr.len() || kept.is_empty() && groups == 0 {
        return Ok(None);
    }
    Aggregate::try_new(a.input.clone(), a.group_expr.clone(), kept).map(Some).map_err(internal)
}

/// Another plan for the keys and the folds of an aggregate.
pub(super) struct Parts {
    pub(super) plan: LogicalPlan,
    /// What is asked of it: the keys, then the folds.
    pub(super) demands: Vec<Demand>,
    pub(super) decided: Option<Decided>,
}

impl Rows<'_> {
    /// The folds of an aggregate, formed below the join it is over, if that helps.
    pub(super) fn parts(&self, a: &Aggregate, folds: &Folds<'_>, keys: &[RowForm]) -> Result<Option<Parts>, SqlError> {
        let groups = keys.len();
        let mut parts = Vec::new();
        for draft in &folds.drafts {
            let value = |of: usize| folds.asked[of].expr.clone();
            let part = match draft.fold.op {
                FoldOp::Rows => count(lit(1i64)),
                FoldOp::Sum(of) => sum(wide_integer(&value(of), folds.schema)),
                FoldOp::Min(of) => min(value(of)),
                FoldOp::Max(of) => max(value(of)),
                FoldOp::Same(_) => continue,
                _ => return Ok(None),
            };
            let given = draft.fold.when.map(value);
            let part = eager::filtered(part, given).ok_or_else(|| internal("a fold is an aggregate"))?;
            parts.push(part.alias(format!("part {}", parts.len())));
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let whole = Aggregate::try_new(a.input.clone(), a.group_expr.clone(), parts).map_err(internal)?;
        let columns = whole.schema.columns();
        let (Some(plan), decided) = eager::below_join(&whole, self.catalog, self.otherwise)? else { return Ok(None) };
        let of_keys = keys.iter().enumerate().map(|(i, form)| Ok(Demand { expr: Expr::Column(columns[i].clone()), form: form.clone() }));
        let folded = folds.drafts.iter().filter(|draft| !matches!(draft.fold.op, FoldOp::Same(_))).enumerate().map(|(i, draft)| {
            let column = Expr::Column(columns[groups + i].clone());
            let expr = match draft.fold.op {
                // of no value it is 0: whether there is one is another fold
                FoldOp::Sum(_) => {
                    let zero = ScalarValue::new_zero(&column.get_type(&whole.schema).map_err(internal)?).map_err(internal)?;
                    coalesce(vec![column, Expr::Literal(zero, None)])
                }
                _ => column,
            };
            Ok(Demand { expr, form: draft.column.form.clone() })
        });
        let demands = of_keys.chain(folded).collect::<Result<Vec<_>, SqlError>>()?;
        Ok(Some(Parts { plan, demands, decided }))
    }
}
