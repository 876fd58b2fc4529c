//! Outer joins whose kept side meets many rows.

use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan};

use crate::{
    compile::{
        SqlError, internal,
        rows::{Asked, Demand, Rows, substituted},
    },
    plan::relation::{Operator as Op, RowColumn},
};

impl Rows<'_> {
    /// Outer joins whose kept side meets many rows: the pairs, and the kept rows that meet none.
    pub(super) fn outer(&mut self, join: &Join, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        if join.filter.is_some() {
            return Err(SqlError::unsupported(
                format!("a {} JOIN of many rows with a condition beside the keys", join.join_type.to_string().to_uppercase()),
                "filter in the sub-queries before joining",
            )
            .at(self.text.keyword("JOIN")));
        }
        let build = |left: &LogicalPlan, right: &LogicalPlan, kind: JoinType, on: Vec<(Expr, Expr)>| {
            Join::try_new(left.clone().into(), right.clone().into(), on, None, kind, join.join_constraint, join.null_equality, false)
                .map(LogicalPlan::Join)
                .map_err(internal)
        };
        let swapped: Vec<_> = join.on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
        let mut parts = Vec::new();
        let columns: Vec<_> = plan.schema().columns();
        let null = |i: usize| {
            Expr::Literal(
                datafusion::common::ScalarValue::try_from(plan.schema().field(i).data_type())
                    .unwrap_or(datafusion::common::ScalarValue::Null),
                None,
            )
        };
        let width = join.left.schema().fields().len();
        let (left, right) = (self.sides(join, true), self.sides(join, false));
        let first = match join.join_type {
            // one of the sides may still be looked up
            JoinType::Full if self.unique(&left) => JoinType::Left,
            JoinType::Full if self.unique(&right) => JoinType::Right,
            _ => JoinType::Inner,
        };
        let whole: Vec<_> = columns.iter().map(|c| Expr::Column(c.clone())).collect();
        parts.push((build(&join.left, &join.right, first, join.on.clone())?, whole.clone()));
        if matches!(join.join_type, JoinType::Left | JoinType::Full) && first != JoinType::Left {
            let exprs = whole.iter().enumerate().map(|(i, e)| if i < width { e.clone() } else { null(i) }).collect();
            parts.push((build(&join.left, &join.right, JoinType::LeftAnti, join.on.clone())?, exprs));
        }
        if matches!(join.join_type, JoinType::Right | JoinType::Full) && first != JoinType::Right {
            let exprs = whole.iter().enumerate().map(|(i, e)| if i < width { null(i) } else { e.clone() }).collect();
            parts.push((build(&join.right, &join.left, JoinType::LeftAnti, swapped)?, exprs));
        }
        let mut inputs = Vec::new();
        let (mut places, mut out): (u64, Vec<RowColumn>) = (0, Vec::new());
        for (part, exprs) in parts {
            let moved = demands
                .iter()
                .map(|d| Ok(Demand { expr: substituted(&d.expr, plan.schema(), &exprs)?, form: d.form.clone() }))
                .collect::<Result<Vec<_>, SqlError>>()?;
            let got = self.lower(&part, &moved)?;
            let id = self.exactly(got);
            let relation = self.relation(id);
            places = places.saturating_add(relation.places);
            if out.is_empty() {
                out = relation.columns.clone();
            } else {
                out.iter_mut().zip(&relation.columns).for_each(|(a, b)| a.nullable |= b.nullable);
            }
            inputs.push(id);
        }
        let id = self.push(Op::Union { inputs }, places, false, out);
        Ok(Asked { id, at: (0..demands.len()).collect() })
    }
}
