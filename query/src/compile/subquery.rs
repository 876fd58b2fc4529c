//! Sub-queries that decorrelation would change, or leave where they are.

use datafusion::{
    common::{
        DFSchema, JoinType, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Subquery,
        expr::{Exists, InSubquery, SetQuantifier},
        lit, not,
        utils::{conjunction, split_conjunction},
    },
};

use super::{SqlError, locate::Text, rows::join::constant_in_nulls, words::words};

/// Sub-queries out of the ON of inner joins into WHERE: there DataFusion would ask them of a side that may lack the columns they speak of.
pub(super) fn above_joins(plan: LogicalPlan, text: &Text) -> Result<LogicalPlan, SqlError> {
    let mut outer = false;
    let moved = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Join(mut join) = node else { return Ok(Transformed::no(node)) };
        let conditions = join.filter.iter().flat_map(|filter| split_conjunction(filter)).cloned();
        let (asking, rest): (Vec<Expr>, Vec<Expr>) = conditions.partition(asks);
        if asking.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        outer |= join.join_type != JoinType::Inner;
        join.filter = conjunction(rest);
        let filter = asking.into_iter().reduce(Expr::and).expect("there is one");
        LogicalPlanBuilder::from(LogicalPlan::Join(join)).filter(filter)?.build().map(Transformed::yes)
    });
    let moved = moved.map_err(|e| text.explain(&e))?.data;
    let fix = "ask it in WHERE, or in a sub-query that is joined";
    let refused = || SqlError::unsupported("EXISTS or IN (sub-query) in the ON of an outer join", fix).at(text.keyword("ON"));
    if outer { Err(refused()) } else { Ok(moved) }
}

/// IN (sub-query) inside a larger condition, of what may be NULL, with all three of SQL's values: DataFusion marks the rows for which the value is listed, and a mark is
/// true or false. Beside the mark stands when it is unknown: a NULL is listed, or the value is NULL and something is listed. At the top of WHERE nothing is added: IN is
/// right there, and NOT IN is looked after.
pub(super) fn three_valued(plan: LogicalPlan, text: &Text) -> Result<LogicalPlan, SqlError> {
    let whole = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Filter(mut filter) = node else { return Ok(Transformed::no(node)) };
        let mut changed = false;
        let conditions = split_conjunction(&filter.predicate).into_iter().cloned().map(|condition| {
            let bare = if let Expr::Not(e) = &condition { e.as_ref() } else { &condition };
            if matches!(bare, Expr::InSubquery(_)) {
                return Ok(condition);
            }
            let condition = unknown_kept(condition, Matters::True, filter.input.schema())?;
            changed |= condition.transformed;
            Ok(condition.data)
        });
        let conditions = conditions.collect::<datafusion::common::Result<Vec<_>>>()?;
        if changed && let Some(predicate) = conjunction(conditions) {
            filter.predicate = predicate;
        }
        Ok(Transformed::new(LogicalPlan::Filter(filter), changed, TreeNodeRecursion::Continue))
    });
    Ok(whole.map_err(|e| text.explain(&e))?.data)
}

/// Which values of a condition have to be told from the others.
#[derive(Clone, Copy, PartialEq)]
enum Matters {
    /// Whether it is true.
    True,
    /// Whether it is false.
    False,
    /// All three.
    All,
}

impl Matters {
    fn negated(self) -> Self {
        match self {
            Matters::True => Matters::False,
            Matters::False => Matters::True,
            Matters::All => Matters::All,
        }
    }
}

/// A condition, with what its IN (sub-query) lacks of the values that matter.
fn unknown_kept(condition: Expr, matters: Matters, schema: &DFSchema) -> datafusion::common::Result<Transformed<Expr>> {
    let below = match &condition {
        Expr::InSubquery(_) => return listed(condition, matters, schema),
        Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => matters,
        Expr::Alias(_) => matters,
        Expr::Not(_) => matters.negated(),
        Expr::IsTrue(_) | Expr::IsNotTrue(_) => Matters::True,
        Expr::IsFalse(_) | Expr::IsNotFalse(_) => Matters::False,
        _ => Matters::All,
    };
    condition.map_children(|e| unknown_kept(e, below, schema))
}

/// IN (sub-query), with what it lacks.
fn listed(condition: Expr, matters: Matters, schema: &DFSchema) -> datafusion::common::Result<Transformed<Expr>> {
    let Expr::InSubquery(within) = condition else { return Ok(Transformed::no(condition)) };
    let list = within.subquery.subquery.as_ref();
    let exists = |list: LogicalPlan| {
        Expr::Exists(Exists { subquery: Subquery { subquery: list.into(), ..within.subquery.clone() }, negated: false })
    };
    let column = list.schema().columns().into_iter().next().map(Expr::Column);
    let mut unknown = Vec::new();
    if let Some(column) = column.filter(|_| list.schema().fields().first().is_some_and(|field| field.is_nullable())) {
        unknown.push(exists(LogicalPlanBuilder::from(list.clone()).filter(column.is_null())?.build()?));
    }
    if within.expr.nullable(schema).unwrap_or(true) {
        unknown.push(within.expr.as_ref().clone().is_null().and(exists(list.clone())));
    }
    // a mark that is false says of NOT IN that it is true
    let seen = if within.negated { matters.negated() } else { matters };
    let Some(unknown) = unknown.into_iter().reduce(Expr::or).filter(|_| seen != Matters::True) else {
        return Ok(Transformed::no(Expr::InSubquery(within)));
    };
    let unknown = if seen == Matters::All { unknown.and(lit(ScalarValue::Boolean(None))) } else { unknown };
    let negated = within.negated;
    let whole = Expr::InSubquery(InSubquery { negated: false, ..within }).or(unknown);
    Ok(Transformed::yes(if negated { not(whole) } else { whole }))
}

/// Whether a condition has a sub-query that becomes a join.
fn asks(condition: &Expr) -> bool {
    let asks = |e: &Expr| match e {
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => true,
        Expr::ScalarSubquery(s) => !s.outer_ref_columns.is_empty(),
        _ => false,
    };
    condition.exists(|e| Ok(asks(e))).unwrap_or(true)
}

/// What is left after decorrelation has no join that says the same: whoever ran it would lack the columns of the outer query.
pub(super) fn all_joined(plan: &LogicalPlan, text: &Text) -> Result<(), SqlError> {
    let mut found = None;
    let walk = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|e| {
            e.apply(|e| {
                let (what, fix) = match e {
                    Expr::Exists(_) | Expr::InSubquery(_) => (
                        format!("{} as a value", words(e)),
                        "write LEFT JOIN (SELECT DISTINCT key FROM …) x ON x.key = …, and x.key IS NOT NULL as the value",
                    ),
                    Expr::ScalarSubquery(s) if !s.outer_ref_columns.is_empty() => match node {
                        LogicalPlan::Aggregate(_) => (
                            "a sub-query of the row at hand in what is grouped by or aggregated".to_owned(),
                            "SELECT it as a column of a sub-query, and group by that column, or aggregate it",
                        ),
                        _ => (
                            "a sub-query that is a value, and compares with the row at hand other than by =".to_owned(),
                            "join its table on the same conditions, and GROUP BY the key of the row at hand",
                        ),
                    },
                    Expr::OuterReferenceColumn(_, column) => {
                        (format!("{} within LATERAL", column.flat_name()), "write JOIN (SELECT key, … GROUP BY key) x ON x.key = …")
                    }
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                found.get_or_insert_with(|| SqlError::unsupported(format!("{what} is not supported"), fix).at(text.expr(e)));
                Ok(TreeNodeRecursion::Stop)
            })
        })
    });
    walk.map_err(|e| text.explain(&e))?;
    let lateral = |e: SqlError| if e.message.contains("LATERAL") { e.at(text.keyword("LATERAL")) } else { e.at(text.keyword("SELECT")) };
    found.map_or(Ok(()), |refused| Err(lateral(refused)))
}

/// What NOT IN asks beside NULLs is lost in two ways as sub-queries are decorrelated: `3 NOT IN (SELECT x …)` becomes a condition on x, which keeps NULLs out of the list;
/// and of `x NOT IN (SELECT k … WHERE k = x)` one of the two equalities is left, as if the list were the same for every row.
pub(super) fn no_lost_nulls(plan: &LogicalPlan, text: &Text) -> Result<(), SqlError> {
    let mut found = None;
    let walk = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|e| {
            e.apply(|e| {
                if let Expr::SetComparison(compared) = e {
                    let listed_may_be = compared.subquery.subquery.schema().fields().first().is_some_and(|field| field.is_nullable());
                    if listed_may_be || compared.expr.nullable(node.schema()).unwrap_or(true) {
                        found.get_or_insert_with(|| compared_in_nulls(compared.op, &compared.quantifier));
                    }
                }
                let within = match e {
                    Expr::InSubquery(within) if within.negated => within,
                    Expr::Not(e) => match e.as_ref() {
                        Expr::InSubquery(within) => within,
                        _ => return Ok(TreeNodeRecursion::Continue),
                    },
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                let listed_may_be = within.subquery.subquery.schema().fields().first().is_some_and(|field| field.is_nullable());
                if listed_may_be || within.expr.nullable(node.schema()).unwrap_or(true) {
                    let is_column = within.expr.any_column_refs() || within.expr.contains_outer();
                    found = found.take().or_else(|| (!is_column).then(constant_in_nulls)).or(listed_by_itself(within)?);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walk.map_err(|e| text.explain(&e))?;
    found.map_or(Ok(()), |refused| Err(refused.at(["IN", "ANY", "SOME", "ALL"].iter().find_map(|word| text.keyword(word)))))
}

/// The refusal of ANY and ALL, which are NULL where no comparison decides and one is NULL.
fn compared_in_nulls(op: Operator, quantifier: &SetQuantifier) -> SqlError {
    let (what, fix) = match (quantifier, op.negate()) {
        (SetQuantifier::All, Some(not)) => {
            ("ALL", format!("write NOT EXISTS (SELECT 1 … WHERE value {not} column) AND NOT EXISTS (SELECT 1 … WHERE column IS NULL)"))
        }
        _ => ("ANY", format!("write EXISTS (SELECT 1 … WHERE value {op} column)")),
    };
    SqlError::unsupported(format!("a comparison with {what} of a sub-query, where something may be NULL"), fix)
}

/// The refusal of `x NOT IN (SELECT k … WHERE k = x)`.
fn listed_by_itself(within: &InSubquery) -> datafusion::common::Result<Option<SqlError>> {
    let (list, mut found) = (&within.subquery.subquery, false);
    let listed = list.head_output_expr()?;
    list.apply(|node| {
        let conditions = if let LogicalPlan::Filter(f) = node { split_conjunction(&f.predicate) } else { Vec::new() };
        found |= conditions.into_iter().any(|condition| {
            let Expr::BinaryExpr(b) = condition else { return false };
            let outer = |e: &Expr| matches!((e, within.expr.as_ref()), (Expr::OuterReferenceColumn(_, c), Expr::Column(x)) if c == x);
            let own = |e: &Expr| listed.as_ref() == Some(e);
            b.op == Operator::Eq && (own(&b.left) && outer(&b.right) || own(&b.right) && outer(&b.left))
        });
        Ok(TreeNodeRecursion::Continue)
    })?;
    let refused = || {
        let what = "NOT IN (sub-query) of a value to which what is listed is equal by a condition, where one of them may be NULL";
        SqlError::unsupported(what, "write NOT EXISTS (SELECT 1 … WHERE key = key)")
    };
    Ok(found.then(refused))
}
