//! The rules by which DataFusion rewrites plans, but for one that loses sort keys.
//!
//! Its rule against duplicate expressions also drops a sort key that the ones before it determine. It takes a key of the side of an outer join that may be missing for one that
//! determines: but all rows without a partner have the same NULL there. Then rows would come out, or be cut off by LIMIT, in an order nobody asked for.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::eliminate_duplicated_expr::EliminateDuplicatedExpr;
use datafusion::optimizer::{ApplyOrder, Optimizer, OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// A rule as an optimizer takes it.
pub(crate) type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// Duplicate group keys are dropped; sorts stay as they are.
#[derive(Debug, Default)]
pub(crate) struct GroupKeysOnce(EliminateDuplicatedExpr);

impl OptimizerRule for GroupKeysOnce {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Sort(_) => Ok(Transformed::no(plan)),
            plan => self.0.rewrite(plan, config),
        }
    }
}

/// DataFusion's rules, with this in its place.
pub(crate) fn all() -> Vec<Rule> {
    let ours: Rule = Arc::new(GroupKeysOnce::default());
    Optimizer::default().rules.into_iter().map(|rule| if rule.name() == ours.name() { ours.clone() } else { rule }).collect()
}
