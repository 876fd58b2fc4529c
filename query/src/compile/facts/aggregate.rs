//! Facts of GROUP BY and of window functions.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{Aggregate, Expr, ExprSchemable, WindowFunctionDefinition, expr::WindowFunction},
};

use super::{Facts, Input, Known, of_expr};
use crate::{
    catalog::Catalog,
    compile::{
        range::{self, Interval},
        real::Real,
        rows::form,
    },
    percentile::Rank,
};

pub(super) fn aggregate(a: &Aggregate, input: &Facts, catalog: &Catalog) -> Facts {
    let (rows, of_input) = (input.rows, input);
    let input = Input { schema: a.input.schema(), columns: &input.columns, catalog };
    if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
        let mut facts = super::by_type(&datafusion::logical_expr::LogicalPlan::Aggregate(a.clone()), u128::MAX, false);
        facts.raw = false;
        return facts;
    }
    let mut columns: Vec<_> = a.group_expr.iter().map(|e| of_expr(e, input)).collect();
    let groups = columns.len();
    let in_group = of_input.in_group(&a.group_expr, a.input.schema());
    columns.extend(a.aggr_expr.iter().map(|e| one(e, input, in_group, groups == 0)));
    let places: Vec<_> = a.group_expr.iter().map(|e| super::plain(e, a.input.schema())).collect();
    let determines = super::moved(&of_input.determines, |c| places.iter().position(|p| *p == Some(*c)));
    if let [known] = &mut columns[..groups] {
        known.repeats = Some(1);
    }
    let constant = |i: &usize| matches!(unalias(&a.group_expr[*i]), Expr::Literal(..));
    let keys: BTreeSet<_> = undetermined(&columns[..groups], catalog).into_iter().filter(|i| !constant(i)).collect();
    let unique = of_input.essential(&keys, |i| places[i]);
    let tuples = form::tuples(unique.iter().map(|i| &columns[*i]), catalog).unwrap_or(u128::MAX);
    let rows = if groups == 0 { 1 } else { rows.min(tuples) };
    Facts { columns, unique: vec![unique], determines, rows, exactly_one: groups == 0, raw: false }
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

/// What an aggregate yields over groups of up to so many rows; `whole`: of all rows, perhaps none.
pub(in crate::compile) fn one(expr: &Expr, input: Input<'_>, rows: u128, whole: bool) -> Known {
    let ty = expr.get_type(input.schema).unwrap_or(DataType::Null);
    let Expr::AggregateFunction(f) = unalias(expr) else { return Known::of_type(ty) };
    let args: Vec<_> = f.params.args.iter().map(|e| of_expr(e, input)).collect();
    // only over no rows at all, or over NULLs, is an aggregate NULL
    let some = !whole && f.params.filter.is_none() && args.iter().all(|a| !a.nullable);
    let known = result(f.func.name(), ty, &args, count(rows));
    if f.func.name() == "count" {
        let range = known.range.map(|i| Interval { min: i.min.max(i128::from(some)).min(i.max), ..i });
        Known { range, nullable: false, ..known }
    } else {
        Known { nullable: !some || of_two(f.func.name()), ..known }
    }
}

/// What a window function yields over a relation of up to so many rows.
pub(in crate::compile) fn window(expr: &Expr, input: Input<'_>, rows: u128) -> Known {
    let ty = expr.get_type(input.schema).unwrap_or(DataType::Null);
    let Expr::WindowFunction(w) = unalias(expr) else { return Known::of_type(ty) };
    let args: Vec<_> = w.params.args.iter().map(|e| of_expr(e, input)).collect();
    match (&w.fun, w.fun.name()) {
        (WindowFunctionDefinition::AggregateUDF(_), name) => result(name, ty, &args, count(rows)),
        (_, "ntile") if let Some(Expr::Literal(n, _)) = w.params.args.first() => {
            let most = range::literal(n).map_or(1, |n| n.max.max(1));
            let range = range::limits(&ty).map(|l| Interval { min: 1, max: most }.meet(l));
            Known { range, nullable: false, ..Known::of_type(ty) }
        }
        (_, "row_number" | "rank" | "dense_rank" | "ntile") => {
            let range = range::limits(&ty).map(|l| Interval { min: 1, max: count(rows).max(1) }.meet(l));
            Known { range, nullable: false, ..Known::of_type(ty) }
        }
        (_, "percent_rank" | "cume_dist") => Known { real: Some(Real::SHARE), nullable: false, ..Known::of_type(ty) },
        (_, "lag" | "lead") => away(w, ty, input),
        (_, "first_value" | "last_value" | "nth_value") => {
            args.into_iter().next().map_or(Known::of_type(ty), |a| Known { nullable: true, origin: None, repeats: None, ..a })
        }
        _ => Known::of_type(ty),
    }
}

/// A value of another row, or a default.
fn away(w: &WindowFunction, ty: DataType, input: Input<'_>) -> Known {
    let unknown = Known { nullable: true, ..Known::of_type(ty.clone()) };
    let Some(of) = w.params.args.first().map(|e| of_expr(e, input)).filter(|of| of.ty == ty) else { return unknown };
    let value = Known { range: of.range, real: of.real, wide: of.wide, values: of.values, ..unknown.clone() };
    match default_away(w, &ty) {
        Ok(None) => value,
        Ok(Some(default)) => {
            let default = of_expr(&Expr::Literal(default, None), input);
            let both = |(a, b): (&Arc<Vec<String>>, &Arc<Vec<String>>)| {
                Arc::new(a.iter().chain(b.iter()).cloned().collect::<BTreeSet<_>>().into_iter().collect())
            };
            Known {
                range: value.range.zip(default.range).map(|(a, b)| a.hull(b)),
                real: value.real.zip(default.real).map(|(a, b)| a.hull(b)),
                values: value.values.as_ref().zip(default.values.as_ref()).map(both),
                nullable: of.nullable,
                ..value
            }
        }
        Err(()) => unknown,
    }
}

/// What LAG and LEAD are outside the partition, in the type of their value: `None` if that is NULL. An error if it is no literal of a value that the type has.
pub(in crate::compile) fn default_away(w: &WindowFunction, ty: &DataType) -> Result<Option<ScalarValue>, ()> {
    let Some(default) = w.params.args.get(2) else { return Ok(None) };
    let Expr::Literal(value, _) = unalias(default) else { return Err(()) };
    let value = value.cast_to(ty).map_err(|_| ())?;
    Ok((!value.is_null()).then_some(value))
}

fn count(rows: u128) -> i128 {
    i128::try_from(rows).unwrap_or(i128::MAX)
}

fn result(name: &str, ty: DataType, args: &[Known], rows: i128) -> Known {
    let arg = args.first();
    let Some(limits) = range::limits(&ty) else {
        // MIN and MAX of a text keep its values
        let values = arg.filter(|_| one_of_them(name)).and_then(|a| a.values.clone());
        return Known { values, real: arg.and_then(|a| floating(name, a, rows)), ..Known::of_type(ty) };
    };
    let wide = |why: String| Known { wide: Some(why), range: None, ..Known::of_type(ty.clone()) };
    if let Some(why) = arg.and_then(|a| a.wide.clone()) {
        return wide(why);
    }
    let of = arg.and_then(|a| a.range).map(Interval::with_zero);
    let found = match name {
        "count" | "approx_distinct" | "regr_count" => Some(Interval { min: 0, max: rows }.meet(limits)),
        "sum" => match of.map(|i| i.times(rows)) {
            Some(Some(sum)) if !(ty.is_integer() || ty.is_temporal()) || sum.within(limits) => match arg.and_then(|a| a.range) {
                // a sum of numbers above 0 is at least one of them (or NULL, of none)
                Some(one) if one.min > 0 => Some(Interval { min: one.min, max: sum.max.max(one.min) }),
                Some(one) if one.max < 0 => Some(Interval { min: sum.min.min(one.max), max: one.max }),
                _ => Some(sum),
            },
            Some(_) => return wide(format!("SUM over up to {rows} rows can leave its type {}", range::sql_type(&ty))),
            None => None,
        },
        "median" => match arg.filter(|a| a.ty == ty).and_then(|a| a.range) {
            // the two in the middle are added up
            Some(i) if ty.is_integer() && !i.times(2).is_some_and(|i| i.within(limits)) => {
                return wide(format!("MEDIAN adds two values, and their sum can leave the type {}", range::sql_type(&ty)));
            }
            range => range,
        },
        "approx_median" | "bool_and" | "bool_or" if arg.is_some_and(|a| a.ty == ty) => arg.and_then(|a| a.range),
        name if one_of_them(name) && arg.is_some_and(|a| a.ty == ty) => arg.and_then(|a| a.range),
        "avg" => {
            let scales = arg.and_then(|a| range::scale(&a.ty)).zip(range::scale(&ty));
            let (mean, sum) = match of.zip(scales) {
                Some((i, (from, to))) => (i.rescale(from, to), i.times(rows).and_then(|i| i.rescale(from, to))),
                None => (None, None),
            };
            // DataFusion divides the sum at the scale of the mean, and checks the digits of the mean
            if sum.is_none() || mean.is_none_or(|i| !i.within(limits)) {
                return wide(format!("AVG over up to {rows} rows can leave its type {}", range::sql_type(&ty)));
            }
            mean
        }
        _ => None,
    };
    let draws = arg.filter(|a| one_of_them(name) && a.ty == ty).and_then(|a| a.draws.clone());
    Known { range: Some(found.unwrap_or(limits)), draws, ..Known::of_type(ty) }
}

/// Whether an aggregate is one of the values of its argument.
pub(in crate::compile) fn one_of_them(name: &str) -> bool {
    matches!(name, "min" | "max" | "first_value" | "last_value" | "nth_value") || Rank::of(name).is_some()
}

/// Whether an aggregate is NULL of a single row.
fn of_two(name: &str) -> bool {
    matches!(name, "var" | "stddev" | "covar_samp" | "corr") || (name.starts_with("regr_") && name != "regr_count")
}

/// Bounds of an aggregate that is a floating-point number.
fn floating(name: &str, arg: &Known, rows: i128) -> Option<Real> {
    let of = arg.real.or_else(|| Real::of(arg.range?, range::scale(&arg.ty)?))?;
    match name {
        "avg" | "median" | "approx_median" | "percentile_cont" | "approx_percentile_cont" => Some(of),
        name if one_of_them(name) => Some(of),
        "sum" => of.times(rows),
        "stddev" | "stddev_pop" => of.spread(),
        "var" | "var_pop" => of.spread()?.squared(),
        _ => None,
    }
}

fn unalias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(a) => unalias(&a.expr),
        other => other,
    }
}
