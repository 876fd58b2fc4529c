//! The owner's own part, in clear: values within their bounds, and of an entity's rows only so many. A scan becomes a sub-plan over itself, and all that
//! follows, filters included, reads what that leaves.

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, ScalarValue, tree_node::Transformed},
    functions::core::expr_fn::{greatest, least},
    functions_window::expr_fn::row_number,
    logical_expr::{Case, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, Projection, TableScan, lit},
};
use ledger::contract::Bound;

use super::refused;
use crate::{
    catalog::{Catalog, Column, ColumnType, Table},
    compile::{SqlError, internal},
    protection::{Protected, Protection},
};

/// The column that numbers the rows of an entity.
pub(super) const NUMBER: &str = "row of its entity";

/// The plan with every scan clamped and capped.
pub(in crate::compile) fn bounded(plan: LogicalPlan, protection: &Protection, catalog: &Catalog) -> Result<LogicalPlan, SqlError> {
    let mut failed = None;
    let moved = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::yes(node.recompute_schema()?)) };
        let name = scan.table_name.to_string();
        let (Some(data), Some(table)) = (protection.datasets.get(&name), catalog.table(&name)) else { return Ok(Transformed::no(node)) };
        match of_scan(scan, table, data) {
            Ok(bounded) => Ok(Transformed::yes(bounded)),
            Err(e) => {
                failed.get_or_insert(e);
                Ok(Transformed::no(node))
            }
        }
    });
    match failed {
        Some(e) => Err(e),
        None => Ok(moved.map_err(internal)?.data),
    }
}

/// Whether these are the columns of a table within their bounds, which alone have its name.
pub(super) fn is_clamped(p: &Projection) -> bool {
    let LogicalPlan::TableScan(scan) = p.input.as_ref() else { return false };
    let own = |e: &Expr| match e {
        Expr::Alias(a) => a.relation.as_ref() == Some(&scan.table_name),
        other => matches!(other, Expr::Column(_)),
    };
    p.expr.iter().all(own)
}

fn of_scan(scan: &TableScan, table: &Table, data: &Protected) -> Result<LogicalPlan, SqlError> {
    let has = |name: &String| table.column(name).is_some();
    if let Some(absent) = data.entity_keys.iter().chain(data.clamp.keys()).find(|name| !has(name)) {
        let what = format!("the contract for {} speaks of its column {absent}, which the catalogue does not have", table.name);
        return Err(refused(what, "have the owner sign a contract for the columns of the catalogue"));
    }
    let mut plan = LogicalPlanBuilder::from(LogicalPlan::TableScan(scan.clone()));
    let values = plan.schema().columns().into_iter().map(|c| match data.clamp.get(&c.name).zip(table.column(&c.name)) {
        Some((bounds, column)) => match clamped(Expr::Column(c.clone()), column, *bounds)? {
            Some(value) => Ok((value.alias_qualified(c.relation, c.name), true)),
            None => Ok((Expr::Column(c), false)),
        },
        None => Ok((Expr::Column(c), false)),
    });
    let values = values
        .collect::<Result<Vec<_>, _>>()
        .map_err(|what: String| refused(format!("{}: {what}", table.name), "have its owner sign a contract that clamps numbers only"))?;
    if values.iter().any(|(_, changed)| *changed) {
        plan = plan.project(values.into_iter().map(|(value, _)| value)).map_err(internal)?;
    }
    for key in data.max_rows_per_entity.iter().flat_map(|_| &data.entity_keys) {
        plan = capped(plan, key, data.max_rows_per_entity.unwrap_or(u64::MAX))?;
    }
    plan.build().map_err(internal)
}

/// A column within bounds; `None` if the catalogue says already that it is.
fn clamped(value: Expr, column: &Column, (low, high): (Bound, Bound)) -> Result<Option<Expr>, String> {
    let number = matches!(column.column_type, ColumnType::Int | ColumnType::BigInt | ColumnType::Decimal(..));
    let Some(limits) = column.range.or(column.column_type.limits()).filter(|_| number) else {
        return Err(format!("its contract clamps {}, which is {} and no number", column.name, column.column_type));
    };
    // inwards, where the bounds have more digits than the column
    let unit = 10_i128
        .pow(u32::try_from(12 - column.column_type.scale()).map_err(|_| format!("{} has more digits than contracts write", column.name))?);
    let (low, high) = (-(-low.0).div_euclid(unit), high.0.div_euclid(unit));
    let literal = |raw: i128| scalar(raw, column.column_type).map(|value| Expr::Literal(value, None));
    let null = || ScalarValue::try_from(&column.column_type.arrow()).map(|value| Expr::Literal(value, None)).map_err(|e| e.to_string());
    if low > high {
        return null().map(Some);
    }
    if low <= limits.min && limits.max <= high {
        return Ok(None);
    }
    let bound = |raw: i128| literal(raw.clamp(limits.min, limits.max)).ok_or_else(|| format!("{} cannot be clamped", column.name));
    let within = least(vec![greatest(vec![value.clone(), bound(low)?]), bound(high)?]);
    // GREATEST passes NULLs over
    Ok(Some(match column.nullable {
        true => Expr::Case(Case::new(None, vec![(Box::new(value.is_not_null()), Box::new(within))], None)),
        false => within,
    }))
}

fn scalar(raw: i128, column_type: ColumnType) -> Option<ScalarValue> {
    Some(match column_type.arrow() {
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(raw).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(i64::try_from(raw).ok()?)),
        DataType::Decimal128(precision, scale) => ScalarValue::Decimal128(Some(raw), precision, scale),
        _ => return None,
    })
}

/// Of the rows of each entity the first ones, in the order of all columns: equal rows are not told apart by it, and need not be. Rows of no entity are
/// those of one that is not known.
fn capped(plan: LogicalPlanBuilder, key: &str, most: u64) -> Result<LogicalPlanBuilder, SqlError> {
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let of = columns.iter().filter(|c| matches!(c, Expr::Column(c) if c.name == key)).cloned().collect();
    let order = columns.iter().map(|c| c.clone().sort(true, false)).collect();
    let number = row_number().partition_by(of).order_by(order).build().map_err(internal)?.alias(NUMBER);
    let numbered = plan.window(vec![number]).map_err(internal)?;
    let number = numbered_as(numbered.schema()).ok_or_else(|| internal("a window is a column"))?;
    numbered.filter(number.lt_eq(lit(most))).and_then(|b| b.project(columns)).map_err(internal)
}

fn numbered_as(schema: &DFSchema) -> Option<Expr> {
    schema.columns().into_iter().find(|c| c.name == NUMBER).map(Expr::Column)
}
