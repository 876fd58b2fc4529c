//! Casts: those that hold every value, and what to write for the others.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, utils::merge_schema},
};

use super::Check;
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        facts::{self, Facts, Input},
        internal,
        locate::Text,
        range,
        range::Interval,
        words::{decimal, words},
    },
};

/// A text that is cast in what the planner computes holds a value of the type, whatever it is: there would be no answer otherwise, and it would have been opened for nothing. What
/// owners and shares compute has been looked at before.
pub(in crate::compile) fn no_lost_answer(plan: &LogicalPlan, catalog: &Catalog, text: &Text) -> Result<(), SqlError> {
    let mut refused = None;
    let walk = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|e| {
            e.apply(|e| {
                let Expr::Cast(c) = e else { return Ok(TreeNodeRecursion::Continue) };
                let schema = merge_schema(&node.inputs());
                let (from, to) = (c.expr.get_type(&schema)?, c.field.data_type());
                if from.is_string() && !to.is_string() {
                    let columns: Vec<_> = node.inputs().into_iter().flat_map(|input| Facts::of(input, catalog).columns).collect();
                    if !every_value(c, Input { schema: &schema, columns: &columns, catalog }) {
                        let (of, ty) = (words(&c.expr), range::sql_type(to));
                        let message = format!("CAST({of} AS {ty}) can fail on some texts, and then there is no answer");
                        let place = text.expr(e).or_else(|| text.keyword("CAST"));
                        refused.get_or_insert(SqlError::unsupported(message, format!("write TRY_CAST({of} AS {ty})")).at(place));
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walk.map_err(internal)?;
    refused.map_or(Ok(()), Err)
}

impl Check<'_, '_> {
    pub(super) fn cast(self, c: &Cast, expr: &Expr) -> Result<(), SqlError> {
        let (from, to) = (c.expr.get_type(self.input.schema).map_err(internal)?, c.field.data_type());
        let numeric = |t: &DataType| range::scale(t).is_some() || *t == DataType::Boolean;
        let total = match (&from, to) {
            _ if from == *to => true,
            (DataType::Null, _) => true,
            (t, DataType::Boolean) if t.is_integer() => true,
            (DataType::Date32, t) | (t, DataType::Date32) if t.is_integer() => return self.holds(c, expr),
            (DataType::Date32, t) | (t, DataType::Date32) if t.is_string() => t == to || every_value(c, self.input),
            (DataType::Date32, DataType::Timestamp(..) | DataType::Date64) => self.dated(&c.expr),
            (DataType::Date64, DataType::Date32) => true,
            (DataType::Timestamp(..), DataType::Date32) => self.has_date(&c.expr),
            (DataType::Duration(_), DataType::Interval(_)) => self.in_time(&c.expr),
            (DataType::Timestamp(..), DataType::Timestamp(..)) => self.dated(&c.expr),
            (_, t) if t.is_floating() && (numeric(&from) || from.is_floating()) => true,
            (t, to) if numeric(to) && (numeric(t) || t.is_floating()) => return self.holds(c, expr),
            (t, to) if t.is_string() && !to.is_string() => every_value(c, self.input),
            (_, t) if t.is_string() => true,
            _ => false,
        };
        if total { Ok(()) } else { Err(self.lossy(c, "can fail on some values", "", expr)) }
    }

    /// Every value of the operand's range is one of the type.
    fn holds(self, c: &Cast, expr: &Expr) -> Result<(), SqlError> {
        let to = c.field.data_type();
        let found = range::converted(&c.expr, to, self.input);
        let (range, limits) = match (found, range::limits(to)) {
            (Err(why), _) => return self.not_wide(Some(why), expr),
            (Ok(Some(range)), Some(limits)) => (range, limits),
            _ => return Err(self.lossy(c, "can fail on some values", "", expr)),
        };
        if range.within(limits) {
            return Ok(());
        }
        let scale = range::scale(to).unwrap_or(0);
        let what = format!("does not hold every value from {} to {}", decimal(range.min, scale), decimal(range.max, scale));
        let wider = digits(range).map(|p| format!(", which is NULL for the others, or CAST it to DECIMAL({p}, {scale})"));
        Err(self.lossy(c, &what, &wider.unwrap_or_default(), expr))
    }

    fn lossy(self, c: &Cast, what: &str, or: &str, expr: &Expr) -> SqlError {
        let (of, ty) = (words(&c.expr), range::sql_type(c.field.data_type()));
        self.refuse(&format!("CAST({of} AS {ty}) {what}"), &format!("write TRY_CAST({of} AS {ty}){or}"), expr)
    }
}

/// A text with a public dictionary whose every value can be cast.
fn every_value(c: &Cast, input: Input<'_>) -> bool {
    let values = facts::of_expr(&c.expr, input).values;
    values.is_some_and(|all| all.iter().all(|v| ScalarValue::Utf8(Some(v.clone())).cast_to(c.field.data_type()).is_ok()))
}

/// Digits of the largest magnitude.
fn digits(range: Interval) -> Option<u32> {
    (0..=38).find(|&p| range::ten(p).is_some_and(|unit| range.magnitude() < unit))
}
