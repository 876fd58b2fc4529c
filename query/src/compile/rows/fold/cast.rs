//! CAST(AVG(x) AS DECIMAL(p, s)), and of the other aggregates that SQL has as DOUBLE and that are quotients: the exact quotient of what is folded, rounded half away from 0.
//!
//! ```text
//!  AVG               Σx / n
//!  VAR_POP           (n Σx² - (Σx)²) / n²
//!  VAR_SAMP          (n Σx² - (Σx)²) / (n (n - 1))
//!  MEDIAN            (low + high) / 2
//!  PERCENTILE_CONT   (b low + r (high - low)) / b, with r = a (n - 1) mod b at p = a/b
//! ```
//!
//! DataFusion rounds the double nearest to the quotient (or near it: of a variance it adds up doubles, and of a percentile it cuts the weight of the upper value to six
//! digits). The last digit is the same unless a rounding lies between the two.
//! *Cost.* A quotient by a count or a square is [`Quotient`](RowOp::Quotient), by 2 or b a [`Floor`](RowOp::Floor), or nothing where s digits hold it without rounding.

use datafusion::{
    arrow::datatypes::DataType,
    logical_expr::{BinaryExpr, Expr, Operator},
};

use super::{AggregateFunction, Emit, Folds, Val};
use crate::{
    compile::{
        SqlError,
        expr::{cast, said},
        range::{self, Interval},
        release::exact_argument,
        rows::{
            emit::{Fraction, Under},
            form,
            release::no_percentile,
        },
    },
    percentile,
    plan::{
        Ring,
        relation::{FoldOp, RowColumn, RowForm, RowKind, RowOp},
    },
};

/// What to write for an aggregate that is a DOUBLE.
pub(super) fn instead(name: &str, exact: bool) -> &'static str {
    match name {
        "stddev" | "stddev_pop" | "avg" | "median" | "var" | "var_pop" | "percentile_cont" | "covar_samp" | "covar_pop" | "corr"
        | "sum"
            if !exact =>
        {
            "CAST its argument to DECIMAL(p, s)"
        }
        "avg" | "median" | "var" | "var_pop" | "percentile_cont" => "write CAST(… AS DECIMAL(p, s)) with the digits you need",
        "stddev" | "stddev_pop" => {
            "compare its square, CAST(VAR_SAMP(…) AS DECIMAL(p, s)) or CAST(VAR_POP(…) AS DECIMAL(p, s)), with a square, or select it in the outermost SELECT"
        }
        _ => {
            "compute it in a sub-query of one owner, or use COUNT, SUM, MIN, MAX, PERCENTILE_DISC, or AVG, MEDIAN, VAR and PERCENTILE_CONT, CAST to DECIMAL(p, s); STDDEV, COVAR and CORR in the outermost SELECT"
        }
    }
}

impl Folds<'_> {
    /// An aggregate that is a DOUBLE as a DECIMAL, or `None` for one that is no quotient. `expr` is the cast.
    pub(super) fn rounded(
        &mut self,
        f: &AggregateFunction,
        expr: &Expr,
        to: &DataType,
        emit: &mut Emit<'_>,
        leaf: &mut dyn FnMut(&mut Emit<'_>, usize, &RowColumn) -> Val,
        natural: &dyn Fn(&Expr) -> Result<RowForm, SqlError>,
    ) -> Result<Option<Val>, SqlError> {
        let Some(arg) = f.params.args.first().map(|e| exact_argument(e, self.schema).clone()) else { return Ok(None) };
        let known = self.known(&arg);
        let (Some(scale), Some(range)) = (range::number(&known.ty), known.range.filter(|_| known.wide.is_none())) else { return Ok(None) };
        let place = emit.text().expr(&arg);
        let wide = || {
            SqlError::width(
                format!("{} can leave the numbers that are shared exactly", said(expr)),
                "CAST it to a DECIMAL(p, s) with fewer digits behind the point, or its argument to fewer digits",
            )
            .at(place)
        };
        let fraction = match (f.func.name(), f.params.args.get(1), f.params.distinct) {
            ("avg", None, _) => self.mean(f, &arg, (scale, range), emit, leaf, natural)?,
            ("var" | "var_pop", None, false) => self.variance(f, &arg, (scale, range), expr, emit, leaf)?.ok_or_else(wide)?,
            // PERCENTILE_CONT at 0 and 1
            ("min" | "max", None, _) => {
                let form = natural(&arg)?;
                let column = self.demand(&arg, form.clone());
                let when = f.params.filter.as_deref().map(|f| self.demand(f, RowForm::Bit));
                let op = if f.func.name() == "min" { FoldOp::Min(column) } else { FoldOp::Max(column) };
                let i = self.fold(op, when, format!("{}({})", f.func.name().to_uppercase(), said(&arg)), form, true);
                let val = leaf(emit, i, &self.drafts[i].column.clone());
                let over = emit.converted(val, &form::field(range, scale).ok_or_else(wide)?, expr)?;
                Fraction { over, under: Under::Public(1), scale, most: range.magnitude() }
            }
            ("median", None, false) => {
                let (low, high) = self.middle(f, &arg, (1, 2), emit, leaf, natural)?;
                let form = range.times(2).and_then(|both| form::field(both, scale)).ok_or_else(wide)?;
                let (low, high) = (emit.converted(low, &form, expr)?, emit.converted(high, &form, expr)?);
                let node = emit.linear(&[(1, low.node), (1, high.node)], 0, &form);
                Fraction { over: Val { node, ..low }, under: Under::Public(2), scale, most: range.magnitude() }
            }
            ("percentile_cont", Some(p), false) => {
                let (a, b) = percentile::fraction(p).ok_or_else(|| no_percentile(p).at(place))?;
                let of = if f.params.order_by.iter().any(|by| !by.asc) { (b - a, b) } else { (a, b) };
                let neighbours = self.middle(f, &arg, of, emit, leaf, natural)?;
                let n = self.counted(f.params.filter.as_deref(), &[&arg]);
                let n = leaf(emit, n, &self.drafts[n].column.clone());
                let over = emit.interpolated(neighbours, n, of, (scale, range), expr)?.ok_or_else(wide)?;
                Fraction { over, under: Under::Public(b.into()), scale, most: range.magnitude() }
            }
            _ => return Ok(None),
        };
        let digits = i32::from(range::scale(to).unwrap_or(0)) - i32::from(fraction.scale);
        let largest = fraction.largest(digits).ok_or_else(wide)?;
        if range::limits(to).is_none_or(|limits| largest > limits.max) {
            let what = format!("{} can leave its type {}", said(expr), range::sql_type(to));
            return Err(SqlError::width(what, "CAST to a DECIMAL of more digits").at(place));
        }
        emit.quotient_of(fraction, digits, largest, expr)?.ok_or_else(wide).map(Some)
    }

    fn mean(
        &mut self,
        f: &AggregateFunction,
        arg: &Expr,
        (scale, range): (i8, Interval),
        emit: &mut Emit<'_>,
        leaf: &mut dyn FnMut(&mut Emit<'_>, usize, &RowColumn) -> Val,
        natural: &dyn Fn(&Expr) -> Result<RowForm, SqlError>,
    ) -> Result<Fraction, SqlError> {
        let filter = f.params.filter.as_deref();
        let by = f.params.distinct.then(|| natural(arg)).transpose()?;
        let x = self.summed(arg, filter, by.clone(), Ring::Fp61)?;
        let n = match by {
            None => self.counted(filter, &[arg]),
            Some(by) => self.counted_distinct(arg, filter, by),
        };
        let x = leaf(emit, x, &self.drafts[x].column.clone());
        let n = leaf(emit, n, &self.drafts[n].column.clone());
        let valid = emit.unless_zero(n.node);
        let under = Under::Secret(n.node, Ring::Fp61, self.rows);
        Ok(Fraction { over: Val { valid: Some(valid), ..x }, under, scale, most: range.magnitude() })
    }

    /// `None` if it is too wide.
    fn variance(
        &mut self,
        f: &AggregateFunction,
        arg: &Expr,
        (scale, range): (i8, Interval),
        expr: &Expr,
        emit: &mut Emit<'_>,
        leaf: &mut dyn FnMut(&mut Emit<'_>, usize, &RowColumn) -> Val,
    ) -> Result<Option<Fraction>, SqlError> {
        let filter = f.params.filter.as_deref();
        // of n values below m in magnitude, no term of the numerator is above (n m)²
        let top = range.magnitude().checked_mul(self.rows).and_then(|total| total.checked_mul(total));
        let spread = range.max.checked_sub(range.min).and_then(|spread| spread.checked_mul(spread));
        let (Some(top), Some(most), Some(twice)) = (top, spread, scale.checked_mul(2)) else { return Ok(None) };
        let Some(form) = form::field(Interval { min: -top, max: top }, twice) else { return Ok(None) };
        let RowForm::Field { ring, .. } = form else { return Ok(None) };
        let factor = Box::new(cast(arg.clone(), DataType::Decimal128(38, scale)));
        let square = Expr::BinaryExpr(BinaryExpr::new(factor.clone(), Operator::Multiply, factor));
        let x = self.summed(arg, filter, None, ring)?;
        let xx = self.summed(&square, filter, None, ring)?;
        let n = self.counted(filter, &[arg]);
        let [x, xx, n] = [x, xx, n].map(|i| leaf(emit, i, &self.drafts[i].column.clone()));
        let n = emit.in_ring(n, ring, expr)?;
        let (nxx, square) = (emit.product(n.node, xx.node, ring), emit.product(x.node, x.node, ring));
        let node = emit.linear(&[(1, nxx), (-1, square)], 0, &form);
        let other = match f.func.name() {
            "var" => emit.linear(&[(1, n.node)], -1, &form),
            _ => n.node,
        };
        let under = emit.product(n.node, other, ring);
        // 0 of none, and of one if n - 1 is a factor
        let valid = emit.unless_zero(under);
        // it is not negative
        let form = RowForm::Field { ring, scale: twice, min: 0, max: top };
        let pairs = self.rows.saturating_mul(self.rows);
        Ok(Some(Fraction { over: Val { node, valid: Some(valid), form }, under: Under::Secret(under, ring, pairs), scale: twice, most }))
    }

    /// The values at a position and after it.
    fn middle(
        &mut self,
        f: &AggregateFunction,
        arg: &Expr,
        of: (u64, u64),
        emit: &mut Emit<'_>,
        leaf: &mut dyn FnMut(&mut Emit<'_>, usize, &RowColumn) -> Val,
        natural: &dyn Fn(&Expr) -> Result<RowForm, SqlError>,
    ) -> Result<(Val, Val), SqlError> {
        let form = natural(arg)?;
        let column = self.demand(arg, form.clone());
        let when = f.params.filter.as_deref().map(|f| self.demand(f, RowForm::Bit));
        let mut at = |lower: bool| {
            let op = FoldOp::Percentile { column, of, lower, discrete: false, descending: false };
            let i = self.fold(op, when, format!("a value of {} beside a percentile", said(arg)), form.clone(), true);
            leaf(emit, i, &self.drafts[i].column.clone())
        };
        Ok((at(true), at(false)))
    }
}

impl Emit<'_> {
    /// b low + r (high - low) with r = a (n - 1) mod b, or `None` if it is too wide.
    fn interpolated(
        &mut self,
        (low, high): (Val, Val),
        n: Val,
        (a, b): (u64, u64),
        (scale, range): (i8, Interval),
        expr: &Expr,
    ) -> Result<Option<Val>, SqlError> {
        let (a, b) = (i128::from(a), i128::from(b));
        let RowForm::Field { max: rows, .. } = n.form else { return Ok(None) };
        let position = a.checked_mul(rows).and_then(|top| top.checked_add(b));
        let top = range.magnitude().checked_mul(3).and_then(|top| top.checked_mul(b));
        let (Some(position), Some(top)) = (position, top) else { return Ok(None) };
        let (Some(of_position), Some(form)) =
            (form::field(Interval { min: 0, max: position }, 0), form::field(Interval { min: -top, max: top }, scale))
        else {
            return Ok(None);
        };
        let (Some(ring), bits) = (of_position.ring().max(form.ring()), form::width(position)) else { return Ok(None) };
        let form = RowForm::Field { ring, scale, min: if range.min < 0 { -top } else { 0 }, max: top };
        let (low, high) = (self.converted(low, &form, expr)?, self.converted(high, &form, expr)?);
        if b == 1 {
            return Ok(Some(low));
        }
        if bits + 3 > 124 {
            return Ok(None);
        }
        // a (n - 1) with b more is not negative
        let n = self.in_ring(n, ring, expr)?;
        let position = self.linear(&[(a, n.node)], b - a, &form);
        let planes = self.node(RowOp::ToPlanes(position, 0), RowKind::Planes(bits));
        let whole = self.node(RowOp::Floor { of: planes, by: b }, RowKind::Planes(bits));
        let whole = self.node(RowOp::ToField(whole, 0), RowKind::Field(ring));
        let rest = self.linear(&[(1, position), (-b, whole)], 0, &form);
        let gap = self.linear(&[(1, high.node), (-1, low.node)], 0, &form);
        let beyond = self.product(rest, gap, ring);
        let node = self.linear(&[(b, low.node), (1, beyond)], 0, &form);
        Ok(Some(Val { node, valid: low.valid, form }))
    }
}
