//! How the values of an expression are shared, from what is publicly known of them.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, ScalarValue},
    logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan},
};

use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        facts::Known,
        locate::{Place, Text},
        range::{self, Interval},
    },
    plan::{Ring, relation::RowForm},
};

/// Magnitudes below these fit the fields, with room for a sign.
const FP61: i128 = 1 << 60;
const FP127: i128 = 1 << 126;

/// The field in which integers of this range live.
pub(super) fn ring(range: Interval) -> Option<Ring> {
    match range.magnitude() {
        m if m < FP61 => Some(Ring::Fp61),
        m if m < FP127 => Some(Ring::Fp127),
        _ => None,
    }
}

/// Bits of an unsigned integer up to `max`.
pub(super) fn width(max: i128) -> u32 {
    128 - max.max(0).leading_zeros()
}

/// Unsigned integers that cover a range.
pub(super) fn planes(range: Interval, scale: i8) -> Option<RowForm> {
    let span = range.max.checked_sub(range.min)?;
    (width(span) <= 126).then(|| RowForm::Planes { scale, offset: range.min, width: width(span) })
}

/// Whether elements of this range can be taken apart into so many planes, from an offset on: the distance from it is an element, too.
pub(super) fn apart(field: Ring, range: Interval, offset: i128, planes: u32) -> bool {
    let (bits, last) = match field {
        Ring::Fp61 => (61, (1 << 61) - 2),
        Ring::Fp127 => (127, i128::MAX - 1),
    };
    ring(range).is_some_and(|ring| ring <= field) && planes <= bits && range.max.checked_sub(offset).is_some_and(|top| top <= last)
}

/// A field element that covers a range.
pub(super) fn field(range: Interval, scale: i8) -> Option<RowForm> {
    let range = range.with_zero();
    Some(RowForm::Field { ring: ring(range)?, scale, min: range.min, max: range.max })
}

/// The same element in a field at least as wide.
pub(super) fn field_in(at_least: Ring, range: Interval, scale: i8) -> Option<RowForm> {
    let range = range.with_zero();
    Some(RowForm::Field { ring: ring(range)?.max(at_least), scale, min: range.min, max: range.max })
}

/// A text of a sorted list.
pub(super) fn code(values: &Arc<Vec<String>>) -> RowForm {
    RowForm::Code { values: values.to_vec(), width: width(values.len().saturating_sub(1) as i128) }
}

/// A text of at most so many bytes as an integer, in limbs: the first byte is the most significant.
pub(super) fn text_limbs(text: &str, bytes: u32) -> Option<Vec<u64>> {
    let size = usize::try_from(bytes).ok().filter(|size| text.len() <= *size)?;
    let mut limbs = vec![0u64; size.div_ceil(8)];
    for (i, byte) in text.bytes().enumerate() {
        let place = size - 1 - i;
        limbs[place / 8] |= u64::from(byte) << (place % 8 * 8);
    }
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    Some(limbs)
}

/// The form in which values can be compared, grouped, sorted and released. `bytes` is what is known of a text's length.
pub(super) fn natural(known: &Known, bytes: Option<u32>, words: &str) -> Result<RowForm, SqlError> {
    let cast = |to: &str| format!("CAST {words} to {to} in a sub-query of its owner");
    match &known.ty {
        DataType::Boolean => Ok(RowForm::Bit),
        ty if ty.is_string() => match (&known.values, bytes) {
            (Some(values), _) if !values.is_empty() => Ok(code(values)),
            (_, Some(bytes)) => Ok(RowForm::Text { bytes: bytes.max(1) }),
            _ => Err(SqlError::width(
                format!("{words} is a text of no declared length"),
                "declare max_bytes (or a dictionary) for its column in the catalogue",
            )),
        },
        ty => {
            if let Some(why) = &known.wide {
                return Err(SqlError::width(why.clone(), cast("DECIMAL with fewer digits")));
            }
            match (range::scale(ty), known.range) {
                (Some(scale), Some(range)) => planes(range, scale)
                    .ok_or_else(|| SqlError::width(format!("{words} can have more than 126 bits"), cast("DECIMAL with fewer digits"))),
                _ => Err(SqlError::unsupported(
                    format!("{words} is {}, which is not shared exactly", range::sql_type(ty)),
                    match ty {
                        ty if ty.is_floating() => format!(
                            "write CAST({words} AS DECIMAL(p, s)), which can be computed of AVG, MEDIAN, PERCENTILE_CONT and VAR, and of what one owner \
                             computes; of a STDDEV compare the square, VAR; anything else only in the outermost SELECT, where the planner computes it"
                        ),
                        ty if ty.is_temporal() => range::as_number(words, ty),
                        _ => cast("DECIMAL(p, s)"),
                    },
                )),
            }
        }
    }
}

/// What of an expression is a DOUBLE that is no exact number, where that is one column: there a CAST helps, and not around what is computed of it.
pub(super) fn double_in<'e>(expr: &'e Expr, schema: &DFSchema) -> &'e Expr {
    fn found<'e>(expr: &'e Expr, schema: &DFSchema) -> Option<&'e Expr> {
        match expr {
            Expr::Column(_) => expr.get_type(schema).is_ok_and(|ty| ty.is_floating()).then_some(expr),
            Expr::Alias(a) => found(&a.expr, schema),
            Expr::Cast(c) => found(&c.expr, schema),
            Expr::Negative(e) => found(e, schema),
            Expr::BinaryExpr(b) => found(&b.left, schema).or_else(|| found(&b.right, schema)),
            Expr::ScalarFunction(f) => f.args.iter().find_map(|e| found(e, schema)),
            _ => None,
        }
    }
    found(expr, schema).unwrap_or(expr)
}

/// Where an expression is that has no form. Of a DOUBLE more is said here than wherever else the question is refused, even if it has no place of its own.
pub(super) fn place(expr: &Expr, known: &Known, text: &Text) -> Option<Place> {
    text.expr(expr).or_else(|| text.first().filter(|_| known.ty.is_floating()))
}

/// One form for the values of two columns that are compared.
pub(super) fn common(a: (&Known, Option<u32>), b: (&Known, Option<u32>), words: &str) -> Result<RowForm, SqlError> {
    let (ka, kb) = (a.0, b.0);
    if ka.ty.is_string() && kb.ty.is_string() {
        if let (Some(x), Some(y)) = (&ka.values, &kb.values) {
            let all: std::collections::BTreeSet<String> = x.iter().chain(y.iter()).cloned().collect();
            return natural(&Known { values: Some(Arc::new(all.into_iter().collect())), ..ka.clone() }, None, words);
        }
        let length =
            |k: &Known, bytes: Option<u32>| bytes.or_else(|| k.values.as_ref().and_then(|v| v.iter().map(|t| t.len() as u32).max()));
        let bytes = length(ka, a.1).zip(length(kb, b.1)).map(|(x, y)| x.max(y));
        return natural(&Known { values: None, ..ka.clone() }, bytes, words);
    }
    let hull = ka.range.zip(kb.range).map(|(x, y)| x.hull(y));
    let wide = ka.wide.clone().or(kb.wide.clone());
    natural(&Known { range: hull, wide, values: None, ..ka.clone() }, None, words)
}

/// How many values a column can have, as the catalogue bounds them; NULL is one of them if it may be.
pub(in crate::compile) fn values(known: &Known, catalog: &Catalog) -> Option<u128> {
    let domain = known.draws.as_ref().and_then(|(table, column)| {
        let exact = catalog.domains().iter().filter(|d| d.table == *table && d.column == *column).map(|d| d.values).min();
        exact.or_else(|| catalog.table(table).map(|t| t.max_rows))
    });
    let own = match (&known.ty, &known.values, known.range) {
        (DataType::Boolean, ..) => Some(2),
        (_, Some(values), _) => Some(values.len() as u128),
        (_, None, Some(range)) => range.max.checked_sub(range.min).and_then(|n| u128::try_from(n).ok()).map(|n| n.saturating_add(1)),
        _ => None,
    };
    let values = domain.map(u128::from).into_iter().chain(own).chain(known.distinct).min()?;
    Some(values + u128::from(known.nullable))
}

/// How many tuples columns can form.
pub(in crate::compile) fn tuples<'k>(columns: impl IntoIterator<Item = &'k Known>, catalog: &Catalog) -> Option<u128> {
    columns.into_iter().try_fold(1u128, |n, known| n.checked_mul(values(known, catalog)?))
}

/// Keys that no public table lists show at most so many tuples of values, whatever the data.
pub(in crate::compile) const MOST_LISTED: u128 = 4096;

/// The first of some group keys whose values must not be seen. Which tuples of values occur is seen: that is a summary if the keys are
/// public columns, or if all tuples there can be are few. Each key alone says nothing: a wide column can be taken apart into narrow ones.
pub(in crate::compile) fn private_key(keys: &[Known], catalog: &Catalog) -> Option<usize> {
    let few = tuples(keys, catalog).is_some_and(|n| n <= MOST_LISTED);
    keys.iter().position(|key| key.draws.is_none() && key.origin.is_none() && !few)
}

/// The refusal of such a key.
pub(in crate::compile) fn is_private(key: &str, place: Option<crate::compile::locate::Place>) -> SqlError {
    SqlError::unsupported(
        format!("the group key {key} is private: which of its values occur would be seen in the answer"),
        format!(
            "group by public tables' columns and columns with a domain, or by keys that can have {MOST_LISTED} tuples of values at most (a dictionary, a \
             condition, a narrow range); or have the owner declare release = \"rows\""
        ),
    )
    .at(place)
}

/// The longest UTF-8 a text expression can have, in bytes.
pub(super) fn text_bytes(expr: &Expr, plan: &LogicalPlan, catalog: &Catalog) -> Option<u32> {
    let known = |e: &Expr| text_bytes(e, plan, catalog);
    match expr {
        Expr::Alias(a) => known(&a.expr),
        Expr::Column(c) => column_bytes(plan, plan.schema().index_of_column(c).ok()?, catalog),
        Expr::Literal(ScalarValue::Utf8(v) | ScalarValue::Utf8View(v) | ScalarValue::LargeUtf8(v), _) => {
            Some(v.as_ref().map_or(0, |t| t.len() as u32))
        }
        Expr::Literal(v, _) if v.is_null() => Some(0),
        Expr::Cast(c) => match c.expr.get_type(plan.schema()).ok()? {
            ty if ty.is_string() => known(&c.expr),
            // as many digits as the widest integer, a sign, a point
            ty if range::scale(&ty).is_some() => Some(42),
            _ => None,
        },
        Expr::Case(c) => {
            let branches = c.when_then_expr.iter().map(|(_, t)| t.as_ref()).chain(c.else_expr.as_deref());
            branches.map(known).try_fold(0, |most, b| Some(most.max(b?)))
        }
        Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            ("coalesce" | "greatest" | "least", args) => args.iter().map(known).try_fold(0, |most, b| Some(most.max(b?))),
            // a prefix of n characters has at most 4n bytes, and no more than the whole
            ("substr" | "substring", [text, _, Expr::Literal(n, _)]) | ("left" | "right", [text, Expr::Literal(n, _)]) => {
                let n = u32::try_from(range::literal(n)?.max).ok()?;
                Some(known(text)?.min(n.saturating_mul(4)))
            }
            ("substr" | "substring" | "btrim" | "ltrim" | "rtrim" | "trim", [text, ..]) => known(text),
            ("concat", args) => args.iter().map(known).try_fold(0u32, |sum, b| sum.checked_add(b?)),
            // case folding can lengthen UTF-8 by at most three
            ("upper" | "lower", [text]) => Some(known(text)?.saturating_mul(3)),
            _ => None,
        },
        Expr::BinaryExpr(b) if b.op == datafusion::logical_expr::Operator::StringConcat => known(&b.left)?.checked_add(known(&b.right)?),
        _ => None,
    }
}

fn column_bytes(plan: &LogicalPlan, column: usize, catalog: &Catalog) -> Option<u32> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = catalog.table(&scan.table_name.to_string())?;
            let at = scan.projection.as_ref().map_or(column, |p| p[column]);
            table.columns.get(at)?.max_bytes
        }
        LogicalPlan::Projection(p) => text_bytes(&p.expr[column], &p.input, catalog),
        LogicalPlan::Aggregate(a) => match a.group_expr.get(column) {
            Some(key) => text_bytes(key, &a.input, catalog),
            None => {
                let f = crate::compile::release::aggregate_function(a.aggr_expr.get(column - a.group_expr.len())?)?;
                crate::compile::facts::one_of_them(f.func.name()).then(|| text_bytes(&f.params.args[0], &a.input, catalog))?
            }
        },
        LogicalPlan::Join(j) => {
            let left = j.left.schema().fields().len();
            match j.join_type {
                datafusion::logical_expr::JoinType::RightSemi | datafusion::logical_expr::JoinType::RightAnti => {
                    column_bytes(&j.right, column, catalog)
                }
                _ if column < left => column_bytes(&j.left, column, catalog),
                _ => column_bytes(&j.right, column - left, catalog),
            }
        }
        LogicalPlan::Union(u) => u.inputs.iter().map(|i| column_bytes(i, column, catalog)).try_fold(0, |most, b| Some(most.max(b?))),
        LogicalPlan::Window(w) => {
            let inner = w.input.schema().fields().len();
            if column < inner {
                return column_bytes(&w.input, column, catalog);
            }
            match &w.window_expr[column - inner] {
                // of a value of another row the default, too
                Expr::WindowFunction(f) => {
                    let mut texts = f.params.args.iter().take(1).chain(f.params.args.get(2));
                    let first = text_bytes(texts.next()?, &w.input, catalog)?;
                    texts.try_fold(first, |most, text| Some(most.max(text_bytes(text, &w.input, catalog)?)))
                }
                _ => None,
            }
        }
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => column_bytes(plan.inputs().first()?, column, catalog),
        _ => None,
    }
}

/// What is known of an expression over a plan, and how long a text it is.
pub(super) fn known_of(expr: &Expr, schema: &DFSchema, columns: &[Known], catalog: &Catalog) -> Known {
    crate::compile::facts::of_expr(expr, crate::compile::facts::Input { schema, columns, catalog })
}
