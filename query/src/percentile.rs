//! Percentiles that are values of a row: PERCENTILE_DISC, which DataFusion has not, and the two values between which PERCENTILE_CONT interpolates. At home they are aggregates
//! like any other; on shares they are [folds](crate::plan::relation::FoldOp::Percentile).

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::{concat, filter, is_not_null, sort_to_indices};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, lit};
use datafusion::physical_expr::expressions::Literal;
use std::sync::Arc;

/// More digits behind the point than these are not told apart by doubles, which is how DataFusion holds a percentile.
const DIGITS: usize = 15;

/// Which of the sorted values is meant, at a percentile p of n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rank {
    /// PERCENTILE_DISC: the first value that at least the part p of all is not above.
    Discrete,
    /// The value at position p (n - 1), or the next below.
    Below,
    /// The value at that position, or the next above.
    Above,
}

impl Rank {
    /// The rank that an aggregate is.
    pub fn of(name: &str) -> Option<Self> {
        [Rank::Discrete, Rank::Below, Rank::Above].into_iter().find(|rank| rank.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Rank::Discrete => "percentile_disc",
            Rank::Below => "percentile_below",
            Rank::Above => "percentile_above",
        }
    }

    /// Position among n > 0 values in ascending order, p = a / b.
    fn position(self, n: usize, (a, b): (u64, u64)) -> usize {
        let (n, a, b) = (n as u128, u128::from(a), u128::from(b));
        let position = match self {
            Rank::Discrete => (a * n).div_ceil(b).max(1) - 1,
            Rank::Below => a * (n - 1) / b,
            Rank::Above => (a * (n - 1)).div_ceil(b),
        };
        // p is at most 1
        position as usize
    }

    /// The aggregate of `value` at a percentile, over rows that pass the filter.
    pub fn call(self, value: Expr, (a, b): (u64, u64), filter: Option<Expr>) -> Expr {
        let args = vec![value, lit(a as f64 / b as f64)];
        Expr::AggregateFunction(AggregateFunction::new_udf(self.function(), args, false, filter.map(Box::new), Vec::new(), None))
    }

    fn function(self) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::from(Ranked { rank: self, signature: Signature::user_defined(Volatility::Immutable) }))
    }
}

/// `PERCENTILE_DISC(p) WITHIN GROUP (ORDER BY x)`.
pub fn percentile_disc() -> Arc<AggregateUDF> {
    Rank::Discrete.function()
}

/// A percentile as a fraction in lowest terms: the decimal number that is written, if it is between 0 and 1 and has few digits.
pub(crate) fn fraction(p: &Expr) -> Option<(u64, u64)> {
    match p {
        Expr::Alias(a) => fraction(&a.expr),
        Expr::Literal(ScalarValue::Float64(Some(p)), _) => of_double(*p),
        _ => None,
    }
}

fn of_double(p: f64) -> Option<(u64, u64)> {
    if !(0.0..=1.0).contains(&p) {
        return None;
    }
    // the shortest number that is this double: the one that was written
    let text = p.to_string();
    let (whole, digits) = text.split_once('.').unwrap_or((&text, ""));
    if digits.len() > DIGITS {
        return None;
    }
    let (a, b) = (format!("{whole}{digits}").parse::<u64>().ok()?, 10_u64.pow(digits.len() as u32));
    let common = gcd(a, b);
    Some((a / common, b / common))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// One of these aggregates.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Ranked {
    rank: Rank,
    signature: Signature,
}

impl AggregateUDFImpl for Ranked {
    fn name(&self) -> &str {
        self.rank.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [value, p] if p.is_numeric() => Ok(vec![value.clone(), DataType::Float64]),
            _ => plan_err!("write {}(p) WITHIN GROUP (ORDER BY x), p a number from 0 to 1", self.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let value = args.input_fields[0].data_type().clone();
        let list = DataType::List(Arc::new(Field::new_list_field(value, true)));
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "values"), list, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let p = args.exprs[1].downcast_ref::<Literal>().map(Literal::value);
        let Some(of) = p.and_then(|p| if let ScalarValue::Float64(Some(p)) = p { of_double(*p) } else { None }) else {
            return plan_err!("the percentile of {} is a number from 0 to 1 with at most {DIGITS} digits", self.name());
        };
        if args.is_distinct {
            return plan_err!("{} takes no DISTINCT", self.name());
        }
        let descending = args.order_bys.first().is_some_and(|by| by.options.descending);
        let data_type = args.expr_fields[0].data_type().clone();
        Ok(Box::new(Values { rank: self.rank, of, descending, data_type, values: Vec::new() }))
    }

    fn supports_within_group_clause(&self) -> bool {
        self.rank == Rank::Discrete
    }
}

/// All values of a group.
#[derive(Debug)]
struct Values {
    rank: Rank,
    of: (u64, u64),
    descending: bool,
    data_type: DataType,
    values: Vec<ArrayRef>,
}

impl Values {
    fn all(&self) -> Result<ArrayRef> {
        if self.values.is_empty() {
            return Ok(datafusion::arrow::array::new_empty_array(&self.data_type));
        }
        Ok(concat(&self.values.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
    }
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.push(filter(&values[0], &is_not_null(&values[0])?)?);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let all = self.all()?;
        if all.is_empty() {
            return ScalarValue::try_from(&self.data_type);
        }
        let position = self.rank.position(all.len(), self.of);
        let position = if self.descending { all.len() - 1 - position } else { position };
        let order = sort_to_indices(&all, None, None)?;
        ScalarValue::try_from_array(&all, order.value(position) as usize)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.iter().map(|v| v.get_array_memory_size()).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![SingleRowListArrayBuilder::new(self.all()?).build_list_scalar()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|values| self.update_batch(&[values]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_number_that_was_written() {
        let cases = [
            (0.0, Some((0, 1))),
            (1.0, Some((1, 1))),
            (0.5, Some((1, 2))),
            (0.9, Some((9, 10))),
            (0.29, Some((29, 100))),
            (0.123456789012345, Some((24_691_357_802_469, 200_000_000_000_000))),
            (1.0 / 3.0, None),
            (1e-20, None),
            (-0.1, None),
            (1.5, None),
            (f64::NAN, None),
        ];
        for (p, expected) in cases {
            assert_eq!(of_double(p), expected, "{p}");
        }
    }

    #[test]
    fn positions_stay_among_the_values() {
        for n in 1..50 {
            for (a, b) in [(0, 1), (1, 1), (1, 2), (9, 10), (29, 100), (999, 1000)] {
                let [disc, low, high] = [Rank::Discrete, Rank::Below, Rank::Above].map(|rank| rank.position(n, (a, b)));
                assert!(low <= high && high <= low + 1 && high < n && disc < n, "{n} {a}/{b}: {disc} {low} {high}");
            }
        }
    }
}
