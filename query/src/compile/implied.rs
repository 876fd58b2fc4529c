//! Group keys that nobody wrote: the binder adds every column that the written keys determine, so that it can be selected beside them. One that nothing reads is taken out again:
//! a key is shown, and asks to be shown.

use std::collections::BTreeSet;

use datafusion::{
    common::{
        Column, Result, get_target_functional_dependencies,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Aggregate, Expr, LogicalPlan},
};

use super::{SqlError, locate::Text};
use crate::compile::expr::Reads;

/// The plan without the group keys that are neither written nor read.
pub(super) fn only_asked(plan: LogicalPlan, text: &Text) -> std::result::Result<LogicalPlan, SqlError> {
    let asked = plan.transform_up_with_subqueries(|node| {
        if !matches!(node, LogicalPlan::Projection(_)) {
            return Ok(Transformed::no(node));
        }
        Ok(below(&node, &mut BTreeSet::new())?.map_or_else(|| Transformed::no(node), Transformed::yes))
    });
    Ok(asked.map_err(|e| text.explain(&e))?.data)
}

/// A projection over conditions over an aggregate, with the keys that are read; `None` if it has no others.
fn below(node: &LogicalPlan, read: &mut BTreeSet<Column>) -> Result<Option<LogicalPlan>> {
    let input = match node {
        LogicalPlan::Projection(p) => &p.input,
        LogicalPlan::Filter(f) => &f.input,
        LogicalPlan::Aggregate(a) => return fewer(a, read),
        _ => return Ok(None),
    };
    let exprs = node.expressions();
    // what a sub-query reads of it is not looked for
    if exprs.iter().any(asks) || matches!(input.as_ref(), LogicalPlan::Projection(_)) {
        return Ok(None);
    }
    read.extend(exprs.iter().flat_map(Reads::reads).cloned());
    let Some(input) = below(input, read)? else { return Ok(None) };
    node.with_new_exprs(exprs, vec![input]).map(Some)
}

fn fewer(a: &Aggregate, read: &BTreeSet<Column>) -> Result<Option<LogicalPlan>> {
    let columns = a.schema.columns();
    let added = |i: usize| matches!(&a.group_expr[i], Expr::Column(c) if c.spans().first().is_none()) && !read.contains(&columns[i]);
    let (gone, kept): (Vec<usize>, Vec<usize>) = (0..a.group_expr.len()).partition(|i| added(*i));
    if gone.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = kept.iter().map(|i| a.group_expr[*i].schema_name().to_string()).collect();
    let determined = get_target_functional_dependencies(a.input.schema(), &names).unwrap_or_default();
    let at = |i: &usize| if let Expr::Column(c) = &a.group_expr[*i] { a.input.schema().index_of_column(c).ok() } else { None };
    if !gone.iter().all(|i| at(i).is_some_and(|at| determined.contains(&at))) {
        return Ok(None);
    }
    let keys = kept.into_iter().map(|i| a.group_expr[i].clone()).collect();
    Aggregate::try_new(a.input.clone(), keys, a.aggr_expr.clone()).map(|a| Some(LogicalPlan::Aggregate(a)))
}

fn asks(expr: &Expr) -> bool {
    let mut found = false;
    let walk = expr.apply(|e| {
        found |= matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walk.is_err() || found
}
