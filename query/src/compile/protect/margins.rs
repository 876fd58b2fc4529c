//! Groups beside their total. Where one group does not come out, the total and the others tell it; so another one goes with it: those of the fewest
//! entities go first, until at least two are hidden, and those hidden have as many entities together as one must have. This is
//! `protocols::privacy::complement` as window functions over the groups: at home if one owner has all, else on shares.

mod shown;

use std::collections::BTreeSet;

use datafusion::{
    common::{Column, ScalarValue},
    functions_aggregate::{min_max::min_udaf, sum::sum_udaf},
    functions_window::expr_fn::row_number,
    logical_expr::{
        Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
        expr::WindowFunction, lit,
    },
};

use self::shown::Fold;
use super::{entities::choose, refused};
use crate::{
    catalog::Catalog,
    compile::{SqlError, internal},
    protection::Protection,
};

/// Whether a question shows the groups of a protected data set beside their total. Refused is what shows groups of two kinds, and groups of which
/// some are left out: what is left out would be hidden by nobody knows what.
pub(super) fn beside_total(plan: &LogicalPlan, protection: &Protection, catalog: &Catalog) -> Result<bool, SqlError> {
    let shown = shown::folds(plan, protection, catalog);
    let mut beside = false;
    // a difference to a total has the noise of all that it is of: of data sets that have noise, and of no others
    let exact = |table: &&String| protection.noise.as_ref().is_none_or(|noise| !noise.datasets.contains(*table));
    for table in protection.datasets.keys().filter(exact) {
        let of: Vec<&Fold> = shown.iter().filter(|fold| fold.tables.contains(table)).collect();
        let kinds: BTreeSet<&[String]> = of.iter().map(|fold| fold.keys.as_slice()).collect();
        if kinds.len() < 2 {
            continue;
        }
        let total = kinds.iter().any(|keys| keys.is_empty());
        let words: Vec<String> = kinds.iter().filter(|keys| !keys.is_empty()).map(|keys| format!("by {}", keys.join(", "))).collect();
        if words.len() > 1 {
            let what = format!(
                "groups of {table} {} beside each other: a group that does not come out could be told from those of another kind",
                words.join(" and ")
            );
            return Err(refused(what, "ask one question for each grouping"));
        }
        if total && of.iter().any(|fold| fold.cut && !fold.keys.is_empty()) {
            let what = format!(
                "groups of {table} {} beside their total, of which a condition, a join or LIMIT leaves some out",
                words.join(" and ")
            );
            return Err(refused(what, "show all groups, or ask for the total by itself"));
        }
        beside = true;
    }
    Ok(beside)
}

/// What must hold of each row of a plan, in its columns.
#[derive(Default)]
pub(super) struct Conditions {
    /// Numbers of entities, and how many are needed.
    pub(super) counts: Vec<(Expr, i64)>,
    pub(super) others: Vec<Expr>,
}

impl Conditions {
    /// All of them; `None`: nothing is asked.
    pub(super) fn all(&self) -> Option<Expr> {
        let counts = self.counts.iter().map(|(number, least)| number.clone().gt_eq(lit(*least)));
        counts.chain(self.others.iter().cloned()).reduce(Expr::and)
    }

    /// The rows with more columns, and which of them may be shown beside the total of all. `order` tells them apart.
    pub(super) fn beside_total(&self, plan: LogicalPlan, order: &[Expr]) -> Result<(LogicalPlan, Option<Expr>), SqlError> {
        let Some(holds) = self.all() else { return Ok((plan, None)) };
        let one = [(lit(1i64), 1i64)];
        let counts = if self.counts.is_empty() { &one[..] } else { self.counts.as_slice() };
        let first = plan.schema().fields().len();
        let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        columns.push(choose(holds, lit(1i64), lit(0i64)).alias("safe by itself"));
        columns.extend(counts.iter().enumerate().map(|(i, (number, _))| number.clone().alias(format!("weight {i}"))));
        let rows = LogicalPlanBuilder::from(plan).project(columns).map_err(internal)?;
        let at = |b: &LogicalPlanBuilder, i: usize| Expr::Column(Column::from(b.schema().qualified_field(i)));
        let (safe, number) = (at(&rows, first), |i: usize| at(&rows, first + 1 + i));
        let by: Vec<_> = [safe.clone(), number(0)].into_iter().chain(order.iter().cloned()).map(|e| e.sort(true, false)).collect();
        let so_far = || {
            let start = WindowFrameBound::Preceding(ScalarValue::UInt64(None));
            WindowFrame::new_bounds(WindowFrameUnits::Rows, start, WindowFrameBound::CurrentRow)
        };
        let mut ranks = vec![row_number().order_by(by.clone()).build().map_err(internal)?.alias("place")];
        for i in 0..counts.len() {
            let sum = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(sum_udaf()), vec![number(i)]);
            let sum = Expr::from(sum).order_by(by.clone()).window_frame(so_far()).build().map_err(internal)?;
            ranks.push(sum.alias(format!("weight so far {i}")));
        }
        let least = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(min_udaf()), vec![safe.clone()]);
        let ranked = rows.clone().window(ranks).and_then(|b| b.window(vec![Expr::from(least).alias("all safe")])).map_err(internal)?;
        let ranks = first + 1 + counts.len();
        let last = at(&ranked, ranks + 1 + counts.len());
        // by themselves, and behind two that are hidden and have enough
        let mut apart = safe.eq(lit(1i64)).and(at(&ranked, ranks).gt(lit(2u64)));
        for (i, (_, least)) in counts.iter().enumerate() {
            apart = apart.and((at(&ranked, ranks + 1 + i) - number(i)).gt_eq(lit(*least)));
        }
        Ok((ranked.build().map_err(internal)?, Some(last.eq(lit(1i64)).or(apart))))
    }
}
