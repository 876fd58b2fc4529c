//! Facts of GROUP BY and of window functions.

use std::collections::BTreeSet;

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{Aggregate, Expr, ExprSchemable, WindowFunctionDefinition},
};

use super::{Facts, Known, of_expr};
use crate::{
    catalog::Catalog,
    compile::range::{self, Interval},
};

pub(super) fn aggregate(a: &Aggregate, input: &Facts, catalog: &Catalog) -> Facts {
    let schema = a.input.schema();
    let rows = i128::try_from(input.rows).unwrap_or(i128::MAX);
    if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
        let mut facts = super::by_type(&datafusion::logical_expr::LogicalPlan::Aggregate(a.clone()), u128::MAX, false);
        facts.raw = false;
        return facts;
    }
    let mut columns: Vec<_> = a.group_expr.iter().map(|e| of_expr(e, schema, &input.columns)).collect();
    let groups = columns.len();
    columns.extend(a.aggr_expr.iter().map(|e| one(e, schema, &input.columns, rows, groups == 0)));
    let unique = vec![undetermined(&columns[..groups], catalog)];
    Facts { columns, unique, rows: if groups == 0 { 1 } else { input.rows }, exactly_one: groups == 0, raw: false }
}

/// The group keys without those that are a function of another: columns of the public row whose key is among them.
fn undetermined(keys: &[Known], catalog: &Catalog) -> BTreeSet<usize> {
    let has =
        |scan: usize, name: &str| keys.iter().position(|k| k.origin.as_ref().is_some_and(|o| o.scan == scan && o.column() == Some(name)));
    (0..keys.len())
        .filter(|&i| {
            let Some(origin) = &keys[i].origin else { return true };
            let Some(table) = catalog.table(&origin.table).filter(|t| !t.key.is_empty()) else { return true };
            let key: Option<Vec<_>> = table.key.iter().map(|name| has(origin.scan, name)).collect();
            key.is_none_or(|key| key.contains(&i))
        })
        .collect()
}

fn one(expr: &Expr, schema: &DFSchema, columns: &[Known], rows: i128, whole: bool) -> Known {
    let ty = expr.get_type(schema).unwrap_or(DataType::Null);
    let Expr::AggregateFunction(f) = unalias(expr) else { return unknown(ty) };
    let args: Vec<_> = f.params.args.iter().map(|e| of_expr(e, schema, columns)).collect();
    // only over no rows at all, or over NULLs, is an aggregate NULL
    let nullable = f.func.name() != "count" && (whole || f.params.filter.is_some() || args.iter().any(|a| a.nullable));
    Known { nullable, ..result(f.func.name(), ty, &args, rows) }
}

pub(super) fn window(expr: &Expr, schema: &DFSchema, input: &Facts) -> Known {
    let ty = expr.get_type(schema).unwrap_or(DataType::Null);
    let Expr::WindowFunction(w) = unalias(expr) else { return unknown(ty) };
    let args: Vec<_> = w.params.args.iter().map(|e| of_expr(e, schema, &input.columns)).collect();
    let rows = i128::try_from(input.rows).unwrap_or(i128::MAX);
    match (&w.fun, w.fun.name()) {
        (WindowFunctionDefinition::AggregateUDF(_), name) => result(name, ty, &args, rows),
        (_, "row_number" | "rank" | "dense_rank" | "ntile") => {
            let range = range::limits(&ty).map(|l| Interval { min: 0, max: rows }.meet(l));
            Known { range, nullable: false, ..unknown(ty) }
        }
        (_, "lag" | "lead") => {
            let range = args.iter().map(|a| a.range).reduce(|a, b| a.zip(b).map(|(a, b)| a.hull(b))).flatten();
            Known { range: range.or(range::limits(&ty)), ..unknown(ty) }
        }
        (_, "first_value" | "last_value" | "nth_value") => {
            args.into_iter().next().map_or(unknown(ty), |a| Known { nullable: true, origin: None, ..a })
        }
        _ => unknown(ty),
    }
}

fn result(name: &str, ty: DataType, args: &[Known], rows: i128) -> Known {
    let Some(limits) = range::limits(&ty) else {
        // MIN and MAX of a text keep its values
        let values = args.first().filter(|_| matches!(name, "min" | "max" | "first_value" | "last_value")).and_then(|a| a.values.clone());
        return Known { values, ..unknown(ty) };
    };
    let arg = args.first();
    if let Some(why) = arg.and_then(|a| a.wide.clone()) {
        return Known { wide: Some(why), range: None, ..unknown(ty) };
    }
    let of = arg.and_then(|a| a.range).map(Interval::with_zero);
    let found = match name {
        "count" | "approx_distinct" | "regr_count" => Some(Interval { min: 0, max: rows }.meet(limits)),
        "sum" => match of.map(|i| i.times(rows)) {
            Some(Some(sum)) if !ty.is_integer() || sum.within(limits) => Some(sum),
            Some(_) => {
                let wide = format!("SUM over up to {rows} rows can leave its type {}", range::sql_type(&ty));
                return Known { wide: Some(wide), range: None, ..unknown(ty) };
            }
            None => None,
        },
        "min" | "max" | "median" | "first_value" | "last_value" | "nth_value" | "approx_median" | "bool_and" | "bool_or"
            if arg.is_some_and(|a| a.ty == ty) =>
        {
            arg.and_then(|a| a.range)
        }
        "avg" => arg.zip(of).and_then(|(a, i)| i.rescale(range::scale(&a.ty)?, range::scale(&ty)?)),
        _ => None,
    };
    let draws = arg.filter(|a| matches!(name, "min" | "max" | "first_value" | "last_value") && a.ty == ty).and_then(|a| a.draws.clone());
    Known { range: Some(found.unwrap_or(limits)), draws, ..unknown(ty) }
}

fn unknown(ty: DataType) -> Known {
    Known { range: range::limits(&ty), ty, wide: None, nullable: true, values: None, origin: None, draws: None }
}

fn unalias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(a) => unalias(&a.expr),
        other => other,
    }
}
