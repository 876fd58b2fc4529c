//! Differences of moments as the integers they are. SQL compares them as INTERVALs, which DataFusion orders by months, days and nanoseconds in turn, and gives
//! EXTRACT(EPOCH) as DOUBLE: neither is exact, nor known on shares. Here both become integers wherever the answer is the same.

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::{
        DFSchema, DataFusionError, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, expr_rewriter::NamePreserver},
};

use super::{
    SqlError,
    expr::{cast, said},
    internal,
    locate::Text,
    range,
    temporal::{self, DAY, SECOND},
    words::words,
};

/// Doubles tell all integers up to this apart.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The plan with differences as integers; one that is compared with days or months is refused.
pub(super) fn exact(plan: LogicalPlan, text: &Text) -> Result<LogicalPlan, SqlError> {
    let mut refused = None;
    let done = plan.transform_up_with_subqueries(|node| {
        if node.expressions().is_empty() {
            return Ok(Transformed::no(node));
        }
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema = schema.join(input.schema())?;
        }
        let names = NamePreserver::new(&node);
        let spans = Spans { schema: &schema, text };
        let node = node.map_expressions(|e| {
            let name = names.save(&e);
            let done = e.transform_up(|e| {
                spans.rewritten(e).map_err(|e| {
                    refused.get_or_insert(e);
                    DataFusionError::Plan("refused".into())
                })
            })?;
            Ok(done.update_data(|e| name.restore(e)))
        })?;
        if node.transformed { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
    });
    match (done, refused) {
        (_, Some(e)) => Err(e),
        (done, None) => Ok(done.map_err(internal)?.data),
    }
}

/// The expressions over some columns.
struct Spans<'a> {
    schema: &'a DFSchema,
    text: &'a Text,
}

impl Spans<'_> {
    fn rewritten(&self, expr: Expr) -> Result<Transformed<Expr>, SqlError> {
        let found = match &expr {
            Expr::BinaryExpr(b) if compares(b.op) => match self.compared(b, &expr)? {
                Some(sides) => Some(sides),
                None => self.seconds(b),
            }
            .map(|sides| of_sides(sides, b.op)),
            Expr::BinaryExpr(b) if adds(b.op) => self.seconds(b).map(|sides| cast(of_sides(sides, b.op), DataType::Float64)),
            Expr::Cast(c) if c.field.data_type().is_integer() || c.field.data_type().is_decimal() => {
                let whole = self.epoch(&c.expr);
                whole.map(|whole| if *c.field.data_type() == DataType::Int64 { whole } else { cast(whole, c.field.data_type().clone()) })
            }
            Expr::ScalarFunction(f) if f.name() == "date_part" => match &f.args[..] {
                [Expr::Literal(ScalarValue::Utf8(Some(part)), _), of] if part.eq_ignore_ascii_case("epoch") => self.since(of, &expr)?,
                _ => None,
            },
            _ => None,
        };
        Ok(found.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }

    /// EXTRACT(EPOCH) of whole seconds.
    fn since(&self, of: &Expr, expr: &Expr) -> Result<Option<Expr>, SqlError> {
        let Ok(ty) = of.get_type(self.schema) else { return Ok(None) };
        let seconds = match &ty {
            DataType::Date32 => cast(of.clone(), DataType::Timestamp(TimeUnit::Second, None)),
            DataType::Timestamp(TimeUnit::Second, None) | DataType::Duration(TimeUnit::Second) => of.clone(),
            // DataFusion loses the fraction of a difference of more than two seconds
            DataType::Duration(_) => {
                let refused = SqlError::unsupported(format!("{} is not exact", said(expr)), range::as_number(&said(of), &ty));
                return Err(refused.at(self.text.expr(expr)));
            }
            _ => return Ok(None),
        };
        Ok(Some(cast(cast(seconds, DataType::Int64), DataType::Float64)))
    }

    /// The integer behind a DOUBLE of seconds since 1970, or of a sum in which they are.
    fn epoch(&self, expr: &Expr) -> Option<Expr> {
        match expr {
            Expr::Cast(c) if *c.field.data_type() == DataType::Float64 && self.counts(&c.expr) => Some(c.expr.as_ref().clone()),
            _ => None,
        }
    }

    fn counts(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Cast(c) if *c.field.data_type() == DataType::Int64 => {
                let unit = c.expr.get_type(self.schema).ok().and_then(|ty| temporal::unit(&ty));
                unit.is_some_and(|unit| unit >= SECOND)
            }
            Expr::BinaryExpr(b) if adds(b.op) => match (self.counts(&b.left), self.counts(&b.right)) {
                (true, right) => right || self.is_small(&b.right),
                (false, right) => right && self.is_small(&b.left),
            },
            _ => false,
        }
    }

    /// An integer that doubles tell apart from others, as what is added to seconds.
    fn is_small(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Literal(ScalarValue::Int64(Some(_)), _) => true,
            Expr::Cast(c) => matches!(c.expr.get_type(self.schema), Ok(DataType::Int8 | DataType::Int16 | DataType::Int32)),
            _ => false,
        }
    }

    /// EXTRACT(EPOCH) beside what is an integer, too.
    fn seconds(&self, b: &BinaryExpr) -> Option<(Expr, Expr)> {
        let whole = |e: &Expr| match e {
            Expr::Literal(ScalarValue::Float64(Some(v)), _) => {
                (v.fract() == 0.0 && v.abs() < EXACT).then(|| Expr::Literal(ScalarValue::Int64(Some(*v as i64)), None))
            }
            Expr::Cast(c) if *c.field.data_type() == DataType::Float64 && self.is_small(e) => {
                Some(cast(c.expr.as_ref().clone(), DataType::Int64))
            }
            _ => self.epoch(e),
        };
        let any = self.epoch(&b.left).or_else(|| self.epoch(&b.right)).is_some();
        whole(&b.left).zip(whole(&b.right)).filter(|_| any)
    }

    /// A difference of moments, as an interval, against another or a literal one.
    fn compared(&self, b: &BinaryExpr, expr: &Expr) -> Result<Option<(Expr, Expr)>, SqlError> {
        Ok(match (self.difference(&b.left), self.difference(&b.right)) {
            (Some(l), Some(r)) => Some((fine(l), fine(r))),
            (Some(l), None) => self.against(l, &b.right, expr)?,
            (None, Some(r)) => self.against(r, &b.left, expr)?.map(|(span, literal)| (literal, span)),
            (None, None) => None,
        })
    }

    /// A difference that is turned into an interval, and its unit.
    fn difference(&self, expr: &Expr) -> Option<(Expr, i128)> {
        match expr {
            Expr::Cast(c) if matches!(c.field.data_type(), DataType::Interval(_)) => match c.expr.get_type(self.schema) {
                Ok(ty @ DataType::Duration(_)) => Some((c.expr.as_ref().clone(), temporal::unit(&ty)?)),
                _ => None,
            },
            _ => None,
        }
    }

    fn against(&self, (span, unit): (Expr, i128), literal: &Expr, expr: &Expr) -> Result<Option<(Expr, Expr)>, SqlError> {
        let Some((months, days, nanos)) = temporal::interval(literal) else { return Ok(None) };
        if months != 0 || days != 0 {
            let message = format!("{}: a difference of timestamps has no days or months, only hours, minutes and seconds", words(expr));
            let fix = match months {
                0 => format!("write INTERVAL '{} hours'", (days * DAY + nanos).div_euclid(3600 * SECOND)),
                _ => "say how many hours".to_owned(),
            };
            return Err(SqlError::unsupported(message, fix).at(self.text.expr(expr)));
        }
        let whole = |units: i128| ScalarValue::Int64(i64::try_from(units).ok());
        let (span, count) = match span.get_type(self.schema) {
            Ok(ty) if nanos % unit == 0 => (span, whole(nanos / unit).cast_to(&ty)),
            _ => (fine((span, unit)), whole(nanos).cast_to(&DataType::Duration(TimeUnit::Nanosecond))),
        };
        Ok(Some((span, Expr::Literal(count.map_err(internal)?, None))))
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn adds(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus)
}

fn of_sides((left, right): (Expr, Expr), op: Operator) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// In nanoseconds.
fn fine((span, unit): (Expr, i128)) -> Expr {
    if unit == 1 { span } else { cast(span, DataType::Duration(TimeUnit::Nanosecond)) }
}
