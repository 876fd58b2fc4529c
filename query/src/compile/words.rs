//! Expressions in words: SQL as a person writes it, with the parentheses that its meaning needs.

use datafusion::{
    arrow::{datatypes::DataType, util::display::array_value_to_string},
    common::ScalarValue,
    logical_expr::{Between, BinaryExpr, Case, Cast, Expr, Operator, expr::AggregateFunction},
};

use super::{
    range::{sql_type, ten},
    rows::{eager::is_folded, join::SOME, order::ONE},
};

/// An expression for messages, EXPLAIN and *Reveals*. Casts that only widen a number are left out: the types of operands bring them in.
pub(crate) fn words(expr: &Expr) -> String {
    match expr {
        // its name is the words of what it is
        Expr::Column(c) if is_folded(c) || c.relation.as_ref().is_some_and(|r| r.table() == SOME) => c.name.clone(),
        // the one row of a sub-query, which has no name in the text
        Expr::Column(c) if c.relation.as_ref().is_some_and(|r| r.table().starts_with(ONE)) => "(SELECT …)".into(),
        Expr::Column(c) | Expr::OuterReferenceColumn(_, c) => c.flat_name(),
        Expr::Alias(a) => words(&a.expr),
        Expr::Literal(value, _) => literal(value),
        Expr::BinaryExpr(b) => binary(b),
        Expr::Not(e) => format!("NOT {}", inside(e, NOT)),
        Expr::Negative(e) => format!("-{}", inside(e, ATOM)),
        Expr::IsNull(e) => format!("{} IS NULL", inside(e, RELATION + 1)),
        Expr::IsNotNull(e) => format!("{} IS NOT NULL", inside(e, RELATION + 1)),
        Expr::IsTrue(e) => format!("{} IS TRUE", inside(e, RELATION + 1)),
        Expr::IsFalse(e) => format!("{} IS FALSE", inside(e, RELATION + 1)),
        Expr::IsUnknown(e) => format!("{} IS UNKNOWN", inside(e, RELATION + 1)),
        Expr::IsNotTrue(e) => format!("{} IS NOT TRUE", inside(e, RELATION + 1)),
        Expr::IsNotFalse(e) => format!("{} IS NOT FALSE", inside(e, RELATION + 1)),
        Expr::IsNotUnknown(e) => format!("{} IS NOT UNKNOWN", inside(e, RELATION + 1)),
        Expr::Between(Between { expr, negated, low, high }) => {
            let not = if *negated { "NOT " } else { "" };
            format!("{} {not}BETWEEN {} AND {}", inside(expr, SUM), inside(low, SUM), inside(high, SUM))
        }
        Expr::Like(l) => {
            let (not, like) = (if l.negated { "NOT " } else { "" }, if l.case_insensitive { "ILIKE" } else { "LIKE" });
            format!("{} {not}{like} {}", inside(&l.expr, SUM), inside(&l.pattern, SUM))
        }
        Expr::InList(l) => {
            let not = if l.negated { "NOT " } else { "" };
            format!("{} {not}IN ({})", inside(&l.expr, SUM), listed(&l.list))
        }
        Expr::Case(c) => case(c),
        Expr::Cast(c) if brought_in(c) => words(&c.expr),
        Expr::Cast(c) => format!("CAST({} AS {})", words(&c.expr), sql_type(c.field.data_type())),
        Expr::TryCast(c) => format!("TRY_CAST({} AS {})", words(&c.expr), sql_type(c.field.data_type())),
        Expr::ScalarFunction(f) => format!("{}({})", f.name(), listed(&f.args)),
        Expr::AggregateFunction(f) => aggregate(f),
        Expr::ScalarSubquery(_) => "(SELECT …)".to_owned(),
        Expr::Exists(e) => format!("{}EXISTS (SELECT …)", if e.negated { "NOT " } else { "" }),
        Expr::InSubquery(e) => format!("{} {}IN (SELECT …)", inside(&e.expr, SUM), if e.negated { "NOT " } else { "" }),
        other => other.human_display().to_string(),
    }
}

/// A cast such as the types of operands bring in.
fn brought_in(c: &Cast) -> bool {
    let ty = c.field.data_type();
    ty.is_floating() || ty.is_decimal() || matches!(ty, DataType::Int64 | DataType::UInt64 | DataType::Timestamp(_, None))
}

const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const RELATION: u8 = 4;
const BITS: u8 = 5;
const SUM: u8 = 6;
const PRODUCT: u8 = 7;
const ATOM: u8 = 9;

/// How tightly an expression holds together.
fn hold(expr: &Expr) -> u8 {
    match expr {
        Expr::Alias(a) => hold(&a.expr),
        Expr::Cast(c) if brought_in(c) => hold(&c.expr),
        Expr::BinaryExpr(b) => of(b.op),
        Expr::Not(_) => NOT,
        Expr::Negative(_) => PRODUCT + 1,
        Expr::Literal(value, _) if literal(value).starts_with('-') => PRODUCT + 1,
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Between(_)
        | Expr::Like(_)
        | Expr::InList(_)
        | Expr::InSubquery(_) => RELATION,
        _ => ATOM,
    }
}

fn of(op: Operator) -> u8 {
    match op {
        Operator::Or => OR,
        Operator::And => AND,
        Operator::Plus | Operator::Minus | Operator::StringConcat => SUM,
        Operator::Multiply | Operator::Divide | Operator::Modulo => PRODUCT,
        op if op.supports_propagation() || matches!(op, Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) => {
            RELATION
        }
        _ => BITS,
    }
}

fn inside(expr: &Expr, least: u8) -> String {
    if hold(expr) < least { format!("({})", words(expr)) } else { words(expr) }
}

fn binary(b: &BinaryExpr) -> String {
    let hold_of = of(b.op);
    let same = |e: &Expr| matches!(bare(e), Expr::BinaryExpr(inner) if inner.op == b.op);
    let associative = matches!(b.op, Operator::And | Operator::Or | Operator::Plus | Operator::Multiply | Operator::StringConcat);
    // a relation of relations is not SQL without parentheses
    let left = if hold_of == RELATION { RELATION + 1 } else { hold_of };
    let right = if associative && same(&b.right) { hold_of } else { hold_of + 1 };
    format!("{} {} {}", inside(&b.left, left), b.op, inside(&b.right, right))
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(a) => bare(&a.expr),
        Expr::Cast(c) => bare(&c.expr),
        other => other,
    }
}

fn listed(exprs: &[Expr]) -> String {
    exprs.iter().map(words).collect::<Vec<_>>().join(", ")
}

fn case(c: &Case) -> String {
    let mut text = "CASE".to_owned();
    if let Some(e) = &c.expr {
        text += &format!(" {}", words(e));
    }
    for (when, then) in &c.when_then_expr {
        text += &format!(" WHEN {} THEN {}", words(when), words(then));
    }
    if let Some(e) = &c.else_expr {
        text += &format!(" ELSE {}", words(e));
    }
    text + " END"
}

fn aggregate(f: &AggregateFunction) -> String {
    let name = f.func.name();
    let all = match &f.params.args[..] {
        [] => true,
        [Expr::Literal(v, _)] => name == "count" && !v.is_null(),
        _ => false,
    };
    let mut text = match (all, f.params.distinct) {
        (true, _) => format!("{name}(*)"),
        (false, true) => format!("{name}(DISTINCT {})", listed(&f.params.args)),
        (false, false) => format!("{name}({})", listed(&f.params.args)),
    };
    if let Some(filter) = &f.params.filter {
        text += &format!(" FILTER (WHERE {})", words(filter));
    }
    text
}

fn literal(value: &ScalarValue) -> String {
    match value {
        v if v.is_null() => "NULL".to_owned(),
        ScalarValue::Utf8(Some(t)) | ScalarValue::LargeUtf8(Some(t)) | ScalarValue::Utf8View(Some(t)) => {
            format!("'{}'", t.replace('\'', "''"))
        }
        ScalarValue::Date32(_) => format!("DATE '{value}'"),
        v if matches!(v.data_type(), DataType::Timestamp(_, None)) => format!("TIMESTAMP '{}'", shown(v).replacen('T', " ", 1)),
        v if matches!(v.data_type(), DataType::Interval(_)) => format!("INTERVAL '{}'", shown(v)),
        ScalarValue::Decimal128(Some(v), _, scale) => decimal(*v, *scale),
        other => other.to_string(),
    }
}

/// As the engine prints it.
fn shown(value: &ScalarValue) -> String {
    value.to_array().and_then(|one| Ok(array_value_to_string(&one, 0)?)).unwrap_or_else(|_| value.to_string())
}

/// A scaled integer as a number with a point.
pub(super) fn decimal(value: i128, scale: i8) -> String {
    let unit = u32::try_from(scale).ok().and_then(ten).filter(|u| *u > 1);
    let Some(unit) = unit else { return value.to_string() };
    let (whole, rest) = ((value / unit).unsigned_abs(), (value % unit).unsigned_abs());
    format!("{}{whole}.{rest:0>width$}", if value < 0 { "-" } else { "" }, width = scale as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit, try_cast};

    #[test]
    fn parentheses_stand_where_the_meaning_needs_them() {
        let cases = [
            (lit(1000) / (col("a") - lit(5)), "1000 / (a - 5)"),
            (lit(1000) / col("a") - lit(5), "1000 / a - 5"),
            (col("a") - (col("b") - col("c")), "a - (b - c)"),
            (col("a") - col("b") - col("c"), "a - b - c"),
            (col("a") * (col("b") / col("c")), "a * (b / c)"),
            (col("a") + (col("b") + col("c")), "a + b + c"),
            (-(col("a") + col("b")), "-(a + b)"),
            (col("a").gt(lit(1)).and(col("b").or(col("c"))), "a > 1 AND (b OR c)"),
            (col("a").and(col("b")).or(col("c")), "a AND b OR c"),
            (Expr::Not(Box::new(col("a").and(col("b")))), "NOT (a AND b)"),
            (col("a").eq(lit("it's")).is_null(), "(a = 'it''s') IS NULL"),
            (try_cast(col("a"), DataType::Decimal128(9, 2)), "TRY_CAST(a AS DECIMAL(9,2))"),
            (col("a") * Expr::Literal(ScalarValue::Decimal128(Some(-105), 3, 2), None), "a * -1.05"),
            (col("a") + Expr::Literal(ScalarValue::new_interval_mdn(1, 0, 0), None), "a + INTERVAL '1 mons'"),
            (col("a") - Expr::Literal(ScalarValue::new_interval_mdn(0, 30, 0), None), "a - INTERVAL '30 days'"),
        ];
        for (expr, expected) in cases {
            assert_eq!(words(&expr), expected);
        }
    }
}
