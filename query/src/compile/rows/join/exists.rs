//! IN, EXISTS and their negations: the table is looked up, and only whether there is a row counts.

use datafusion::{
    common::Column,
    logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator},
};

use super::{Sides, both::Both};
use crate::{
    compile::{
        SqlError,
        expr::said,
        facts::Facts,
        internal,
        rows::{
            Asked, Demand, Rows,
            emit::{Emit, Scope, Val},
            form,
        },
    },
    plan::relation::RowForm,
};

impl Rows<'_> {
    /// IN, EXISTS and their negations, and the mark of whether there is a row.
    pub(super) fn exists(&mut self, sides: Sides<'_>, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        if join.null_aware && self.may_be_null(&sides) {
            return self.not_in(join, demands);
        }
        let unique = self.unique(&sides);
        if sides.on.is_empty() {
            return Err(SqlError::unsupported(
                "EXISTS or IN without an equality between the sub-query and the outer query",
                "compare a column of the sub-query with one of the outer query",
            )
            .at(self.text.keyword("EXISTS").or_else(|| self.text.keyword("IN"))));
        }
        // only whether there is a row counts: distinct keys are unique
        let distinct;
        let sides = if unique {
            sides
        } else if let Some(filter) = &join.filter {
            return self.exists_other(sides, filter, join, demands);
        } else {
            let keys: Vec<_> = sides.on.iter().enumerate().map(|(i, (_, t))| t.clone().alias(format!("key{i}"))).collect();
            distinct = LogicalPlanBuilder::from(sides.table.clone())
                .project(keys)
                .and_then(|b| b.distinct())
                .and_then(|b| b.build())
                .map_err(internal)?;
            let columns = distinct.schema().columns();
            let on = sides.on.iter().zip(columns).map(|((b, _), c)| (b.clone(), Expr::Column(c))).collect();
            Sides { table: &distinct, on, ..sides }
        };
        let whole = Both::exists(&sides, join, self)?;
        let catalog = self.catalog;
        let bytes = |e: &Expr| whole.text_bytes(e, catalog);
        let mut emit = Emit::new(self.text);
        let leaf = |e: &Expr| whole.leaf(e, false);
        let mut matched_leaf = None;
        let matched = self.matched(&mut emit, &mut matched_leaf);
        let mark = whole.mark;
        let mut there = matched;
        if let Some(filter) = &join.filter {
            let mut none = |_: &mut Emit<'_>, _: &Expr| Ok(None);
            let mut scope = Scope { schema: &whole.schema, columns: &whole.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut none };
            let condition = emit.condition(filter, &mut scope)?;
            there = emit.and([matched, condition.node]);
        }
        let schema = whole.schema.clone();
        let mut made = |_: &mut Emit<'_>, e: &Expr| {
            let Expr::Column(c) = e else { return Ok(None) };
            let at = schema.index_of_column(c).map_err(internal)?;
            Ok((Some(at) == mark).then_some(Val { node: there, valid: None, form: RowForm::Bit }))
        };
        let mut scope = Scope { schema: &whole.schema, columns: &whole.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut made };
        let mut values = Vec::new();
        for d in demands {
            values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
        }
        let keep = match join.join_type {
            JoinType::LeftSemi | JoinType::RightSemi => Some(there),
            JoinType::LeftAnti | JoinType::RightAnti => Some(emit.not(there)),
            _ => None,
        };
        self.looked_up(&sides, &whole, emit, matched_leaf, values, keep, false)
    }

    /// EXISTS (… key = key AND x <> y): there is another y than x if the smallest or the largest is another.
    fn exists_other(&mut self, sides: Sides<'_>, filter: &Expr, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        use datafusion::functions_aggregate::expr_fn::{max, min};
        let refused = || {
            SqlError::unsupported(
                format!("EXISTS with the condition {} beside the keys", said(filter)),
                "aggregate the sub-query by its key (MIN, MAX, COUNT) and compare",
            )
            .at(self.text.expr(filter))
        };
        let Expr::BinaryExpr(b) = filter else { return Err(refused()) };
        if b.op != Operator::NotEq {
            return Err(refused());
        }
        let of = |e: &Expr, plan: &LogicalPlan| e.column_refs().iter().all(|c| plan.schema().has_column(c));
        let (mine, theirs) = if of(&b.left, sides.base) && of(&b.right, sides.table) {
            (b.left.as_ref(), b.right.as_ref())
        } else if of(&b.right, sides.base) && of(&b.left, sides.table) {
            (b.right.as_ref(), b.left.as_ref())
        } else {
            return Err(refused());
        };
        let keys: Vec<_> = sides.on.iter().enumerate().map(|(i, (_, t))| t.clone().alias(format!("key{i}"))).collect();
        let folds = vec![min(theirs.clone()).alias("least"), max(theirs.clone()).alias("most")];
        let grouped = LogicalPlanBuilder::from(sides.table.clone()).aggregate(keys, folds).and_then(|b| b.build()).map_err(internal)?;
        let columns: Vec<_> = grouped.schema().columns().into_iter().map(Expr::Column).collect();
        let n = sides.on.len();
        let on: Vec<_> = sides.on.iter().zip(&columns).map(|((b, _), c)| (b.clone(), c.clone())).collect();
        let filter = mine.clone().not_eq(columns[n].clone()).or(mine.clone().not_eq(columns[n + 1].clone()));
        let join = Join { filter: Some(filter), null_aware: false, ..join.clone() };
        self.exists(Sides { table: &grouped, on, base: sides.base, straight: sides.straight }, &join, demands)
    }

    fn may_be_null(&self, sides: &Sides<'_>) -> bool {
        let (base, table) = (Facts::of(sides.base, self.catalog), Facts::of(sides.table, self.catalog));
        sides.on.iter().any(|(b, t)| {
            form::known_of(b, sides.base.schema(), &base.columns, self.catalog).nullable
                || form::known_of(t, sides.table.schema(), &table.columns, self.catalog).nullable
        })
    }

    /// x NOT IN (…) is true if the list is empty, or if x is not NULL, nor anything in the list, and x is not in it.
    fn not_in(&mut self, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        use datafusion::{functions_aggregate::expr_fn::count, logical_expr::lit};
        let refused = || {
            SqlError::unsupported(
                "NOT IN (sub-query) with a key that may be NULL, beside another condition",
                "write NOT EXISTS (SELECT 1 … WHERE key = key), or add WHERE key IS NOT NULL",
            )
            .at(self.text.keyword("IN"))
        };
        let (JoinType::LeftAnti, [(x, key)], None) = (join.join_type, join.on.as_slice(), &join.filter) else { return Err(refused()) };
        let counts = LogicalPlanBuilder::from(join.right.as_ref().clone())
            .aggregate(Vec::<Expr>::new(), vec![count(lit(1i64)).alias("listed"), count(key.clone()).alias("not_null")])
            .and_then(|b| b.alias("__list"))
            .and_then(|b| b.build())
            .map_err(internal)?;
        let marked = Join::try_new(
            join.left.clone(),
            join.right.clone(),
            join.on.clone(),
            None,
            JoinType::LeftMark,
            join.join_constraint,
            join.null_equality,
            false,
        )
        .map_err(internal)?;
        let mark = marked.schema.columns().pop().map(Expr::Column).ok_or_else(|| internal("a mark is a column"))?;
        let column = |name: &str| Expr::Column(Column::new(Some("__list"), name));
        let full = column("listed").eq(column("not_null"));
        let none = column("listed").eq(lit(0i64));
        let keep = none.or(x.clone().is_not_null().and(full).and(mark.is_true().eq(lit(false))));
        let columns = join.left.schema().columns().into_iter().map(Expr::Column).collect::<Vec<_>>();
        let whole = LogicalPlanBuilder::from(LogicalPlan::Join(marked))
            .cross_join(counts)
            .and_then(|b| b.filter(keep))
            .and_then(|b| b.project(columns))
            .and_then(|b| b.build())
            .map_err(internal)?;
        self.lower(&whole, demands)
    }
}
