//! Statistics as functions of counts, sums and sums of products.

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{Expr, ExprSchemable},
};

use crate::{
    compile::{SqlError, internal, range},
    plan::Finish,
};

/// Where moments come from. Arguments are named by position; the results are positions of openings.
pub(in crate::compile) trait Moments {
    /// Number of rows in which none of these arguments is NULL.
    fn count(&mut self, of: &[usize]) -> Result<usize, SqlError>;
    /// Σ of the product of one or two arguments, over rows in which none of `of` is NULL.
    fn sum(&mut self, product: &[usize], of: &[usize]) -> Result<usize, SqlError>;
    /// Something that is not 0 if there is a row in which none of these is NULL; `None` if there always is.
    fn some(&mut self, of: &[usize]) -> Result<Option<usize>, SqlError>;
    /// Digits behind the point of an argument.
    fn scale(&mut self, of: usize) -> Result<i8, SqlError>;
}

/// Whether an aggregate is one of those below.
pub(in crate::compile) fn is_statistic(name: &str) -> bool {
    matches!(name, "count" | "sum" | "avg" | "var" | "var_pop" | "stddev" | "stddev_pop" | "covar_samp" | "covar_pop" | "corr")
}

/// How an aggregate follows from moments.
pub(in crate::compile) fn statistic(name: &str, arguments: usize, m: &mut dyn Moments) -> Result<Finish, SqlError> {
    Ok(match (name, arguments) {
        ("count", _) => Finish::Value { of: m.count(&(0..arguments).collect::<Vec<_>>())?, scale: 0, some: None },
        ("sum", 1) => Finish::Value { of: m.sum(&[0], &[0])?, scale: m.scale(0)?, some: m.some(&[0])? },
        ("avg", 1) => Finish::Average { n: m.count(&[0])?, x: m.sum(&[0], &[0])?, scale: m.scale(0)?, within: None },
        ("var" | "var_pop" | "stddev" | "stddev_pop", 1) => Finish::Variance {
            n: m.count(&[0])?,
            x: m.sum(&[0], &[0])?,
            xx: m.sum(&[0, 0], &[0])?,
            scale: m.scale(0)?,
            sample: !name.ends_with("_pop"),
            root: name.starts_with("stddev"),
        },
        ("covar_samp" | "covar_pop", 2) => Finish::Covariance {
            n: m.count(&[0, 1])?,
            x: m.sum(&[0], &[0, 1])?,
            y: m.sum(&[1], &[0, 1])?,
            xy: m.sum(&[0, 1], &[0, 1])?,
            scale: m.scale(0)? + m.scale(1)?,
            sample: name == "covar_samp",
        },
        ("corr", 2) => Finish::Correlation {
            n: m.count(&[0, 1])?,
            x: m.sum(&[0], &[0, 1])?,
            y: m.sum(&[1], &[0, 1])?,
            xx: m.sum(&[0, 0], &[0, 1])?,
            yy: m.sum(&[1, 1], &[0, 1])?,
            xy: m.sum(&[0, 1], &[0, 1])?,
        },
        (name, n) => return Err(internal(format!("{name} of {n} arguments"))),
    })
}

/// DataFusion casts the arguments of AVG, CORR … to DOUBLE; moments are taken of the exact values.
pub(in crate::compile) fn exact_argument<'e>(expr: &'e Expr, schema: &DFSchema) -> &'e Expr {
    match expr {
        Expr::Alias(a) => exact_argument(&a.expr, schema),
        Expr::Cast(c) if *c.field.data_type() == DataType::Float64 => match c.expr.get_type(schema) {
            Ok(ty) if range::number(&ty).is_some() => exact_argument(&c.expr, schema),
            _ => expr,
        },
        // SUM of an INT sums BIGINTs, which are the same numbers
        Expr::Cast(c) if *c.field.data_type() == DataType::Int64 => match c.expr.get_type(schema) {
            Ok(DataType::Int8 | DataType::Int16 | DataType::Int32) => exact_argument(&c.expr, schema),
            _ => expr,
        },
        _ => expr,
    }
}
