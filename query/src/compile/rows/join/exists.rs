//! IN, EXISTS and their negations: the table is looked up, and only whether there is a row counts.

use datafusion::{
    common::{Column, ScalarValue},
    functions_aggregate::expr_fn::{count, max, min},
    logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, binary_expr, lit, not, utils::split_conjunction},
};

use super::{Sides, both::Both};
use crate::{
    compile::{
        SqlError,
        expr::{Reads, said},
        internal,
        rows::{
            Asked, Demand, Rows,
            emit::{Emit, Scope, Val},
        },
        words::words,
    },
    plan::relation::RowForm,
};

/// The name of a table with one row for each key. Its columns are called what they are, in words.
pub(in crate::compile) const SOME: &str = "__some";

/// A table with one row for each key.
struct Folded {
    table: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    /// What is left to ask of it and the base.
    filter: Option<Expr>,
}

impl Rows<'_> {
    /// IN, EXISTS and their negations, and the mark of whether there is a row.
    pub(super) fn exists(&mut self, sides: Sides<'_>, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        if join.null_aware {
            return self.not_in(sides, join, demands);
        }
        if !self.unique(&sides) {
            // only whether there is a row counts: one for each key says it
            let Folded { table, on, filter } = self.folded(&sides, join.filter.as_ref())?;
            if on.is_empty() {
                return self.beside_one_row(sides.base, table, filter, join, demands);
            }
            let join = Join { filter, null_aware: false, ..join.clone() };
            return self.exists(Sides { table: &table, on, ..sides }, &join, demands);
        }
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

    /// The rows of the table with equal keys as one, of which a condition says what EXISTS asks of them: y > x for some y if the greatest is, and y <> x if the least
    /// or the greatest is.
    fn folded(&self, sides: &Sides<'_>, filter: Option<&Expr>) -> Result<Folded, SqlError> {
        let within = |e: &Expr, plan: &LogicalPlan| e.reads().iter().all(|c| plan.schema().has_column(c));
        let mut table = LogicalPlanBuilder::from(sides.table.clone());
        let (mut conditions, mut across) = (Vec::new(), Vec::new());
        for condition in filter.into_iter().flat_map(split_conjunction).filter(|c| !is_true(c)) {
            if within(condition, sides.base) {
                conditions.push(condition.clone());
            } else if within(condition, sides.table) {
                table = table.filter(condition.clone()).map_err(internal)?;
            } else {
                across.push(condition);
            }
        }
        // called what they are
        let column = |of: &Expr| Expr::Column(Column::new(Some(SOME), words(of)));
        let mut folds = Vec::new();
        match across.as_slice() {
            [] if sides.on.is_empty() => {
                folds.push(count(lit(1i64)));
                conditions.push(column(&folds[0]).gt(lit(0i64)));
            }
            [] => {}
            [one] => {
                let (mine, op, theirs) =
                    compared(one, |e| within(e, sides.base), |e| within(e, sides.table)).ok_or_else(|| self.no_condition(one))?;
                folds = match op {
                    Operator::Lt | Operator::LtEq => vec![max(theirs.clone())],
                    Operator::Gt | Operator::GtEq => vec![min(theirs.clone())],
                    _ => vec![min(theirs.clone()), max(theirs.clone())],
                };
                conditions.extend(folds.iter().map(|fold| binary_expr(mine.clone(), op, column(fold))).reduce(Expr::or));
            }
            [_, another, ..] => return Err(self.no_condition(another)),
        }
        let named = |e: &Expr| e.clone().alias(words(e));
        let mut keys: Vec<Expr> = Vec::new();
        for (_, key) in &sides.on {
            keys.extend((!keys.contains(key)).then(|| key.clone()));
        }
        // words leave casts out: one column of two types has one name
        let name = |i: usize| {
            if keys[..i].iter().any(|e| words(e) == words(&keys[i])) { format!("{} {i}", words(&keys[i])) } else { words(&keys[i]) }
        };
        let place = |key: &Expr| keys.iter().position(|e| e == key).unwrap_or_default();
        let on = sides.on.iter().map(|(mine, key)| (mine.clone(), Expr::Column(Column::new(Some(SOME), name(place(key)))))).collect();
        let keys: Vec<Expr> = keys.iter().enumerate().map(|(i, key)| key.clone().alias(name(i))).collect();
        let one_of_each = match folds.is_empty() {
            true => table.project(keys).and_then(|b| b.distinct()),
            false => table.aggregate(keys, folds.iter().map(named).collect::<Vec<_>>()),
        };
        let table = one_of_each.and_then(|b| b.alias(SOME)).and_then(|b| b.build()).map_err(internal)?;
        Ok(Folded { table, on, filter: conditions.into_iter().reduce(Expr::and) })
    }

    fn no_condition(&self, condition: &Expr) -> SqlError {
        let what = format!(
            "EXISTS with the condition {}, where beside equal keys there may be one comparison (<, <=, >, >=, <>) of something of the sub-query with something of the \
             outer query",
            said(condition)
        );
        SqlError::unsupported(what, "join the two on these conditions in a sub-query, and ask for key IN (SELECT key FROM … JOIN …)")
            .at(self.text.expr(condition).or_else(|| self.text.keyword("EXISTS")).or_else(|| self.text.keyword("IN")))
    }

    /// EXISTS without equal keys: what is asked of the rows of the table is asked of one, which stands beside each row of the base.
    fn beside_one_row(
        &mut self,
        base: &LogicalPlan,
        table: LogicalPlan,
        filter: Option<Expr>,
        join: &Join,
        demands: &[Demand],
    ) -> Result<Asked, SqlError> {
        let there = filter.unwrap_or_else(|| lit(true)).is_true();
        let mut columns: Vec<_> = base.schema().columns().into_iter().map(Expr::Column).collect();
        let beside = LogicalPlanBuilder::from(base.clone()).cross_join(table);
        let kept = match join.join_type {
            JoinType::LeftSemi | JoinType::RightSemi => beside.and_then(|b| b.filter(there)),
            JoinType::LeftAnti | JoinType::RightAnti => beside.and_then(|b| b.filter(not(there))),
            _ => {
                let mark = join.schema.columns().pop().ok_or_else(|| internal("a mark is a column"))?;
                columns.push(there.alias_qualified(mark.relation, mark.name));
                beside
            }
        };
        let whole = kept.and_then(|b| b.project(columns)).and_then(|b| b.build()).map_err(internal)?;
        self.lower(&whole, demands)
    }
}

fn is_true(condition: &Expr) -> bool {
    matches!(condition, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

/// A comparison of something of one side with something of the other, the first side's before.
fn compared(condition: &Expr, of_one: impl Fn(&Expr) -> bool, of_other: impl Fn(&Expr) -> bool) -> Option<(&Expr, Operator, &Expr)> {
    use Operator::{Gt, GtEq, Lt, LtEq, NotEq};
    let Expr::BinaryExpr(b) = condition else { return None };
    matches!(b.op, NotEq | Lt | LtEq | Gt | GtEq).then_some(())?;
    match (of_one(&b.left) && of_other(&b.right), of_other(&b.left) && of_one(&b.right)) {
        (true, _) => Some((&b.left, b.op, &b.right)),
        (_, true) => Some((&b.right, b.op.swap()?, &b.left)),
        _ => None,
    }
}
