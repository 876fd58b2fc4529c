//! Statistics from exact moments: what is released are integers (a count, sums, sums of products), and every numerator is formed in
//! 256-bit integers, so that no cancellation error appears. Only the last division is rounded.

use datafusion::arrow::datatypes::i256;

/// The exact integer as the nearest double, after division by ten to the `scale`.
pub fn to_f64(value: i256, scale: u32) -> f64 {
    // decimal text is parsed with correct rounding
    format!("{value}e-{scale}").parse().expect("digits and an exponent are a number")
}

fn wide(value: i128) -> i256 {
    i256::from_i128(value)
}

/// n Σab - Σa Σb, exact: |n| < 2^63 and sums below 2^126 stay far below 2^255.
fn centred(n: i128, a: i128, b: i128, ab: i128) -> i256 {
    wide(n).wrapping_mul(wide(ab)).wrapping_sub(wide(a).wrapping_mul(wide(b)))
}

/// The arithmetic mean of `n` integers of `scale` with sum `x`; NULL without any.
pub fn mean(n: i128, x: i128, scale: u32) -> Option<f64> {
    (n > 0).then(|| to_f64(wide(x), scale) / n as f64)
}

/// The arithmetic mean as a decimal of `scale + extra` digits, truncated toward zero; NULL without any.
pub fn mean_decimal(n: i128, x: i128, extra: u32) -> Option<i256> {
    if n <= 0 {
        return None;
    }
    let numerator = (0..extra).try_fold(wide(x), |v, _| v.checked_mul(i256::from_i128(10)))?;
    numerator.checked_div(wide(n))
}

/// The covariance of `n` pairs whose products have `scale` digits after the point, over the sample (n - 1) or the population (n);
/// NULL where it is not defined.
pub fn covariance(n: i128, x: i128, y: i128, xy: i128, scale: u32, sample: bool) -> Option<f64> {
    let below = if sample { n - 1 } else { n };
    if n < 1 || below < 1 {
        return None;
    }
    Some(to_f64(centred(n, x, y, xy), scale) / n as f64 / below as f64)
}

/// The variance of `n` values with sum `x` and sum of squares `xx`, squares having `scale` digits after the point.
pub fn variance(n: i128, x: i128, xx: i128, scale: u32, sample: bool) -> Option<f64> {
    covariance(n, x, x, xx, scale, sample)
}

/// Pearson's correlation of `n` pairs; NULL for fewer than two or where one side does not vary.
pub fn correlation(n: i128, x: i128, y: i128, xx: i128, yy: i128, xy: i128) -> Option<f64> {
    if n < 2 {
        return None;
    }
    let (sxx, syy) = (centred(n, x, x, xx), centred(n, y, y, yy));
    if sxx == i256::ZERO || syy == i256::ZERO {
        return None;
    }
    Some(to_f64(centred(n, x, y, xy), 0) / to_f64(sxx, 0).sqrt() / to_f64(syy, 0).sqrt())
}

/// PERCENTILE_CONT of `n` values whose neighbours of position p (n - 1), p = a / b, are these; NULL without any. It is interpolated as DataFusion does: the position is a double, and
/// how far it lies beyond the lower one is cut to six digits. Where the position is a whole number the neighbours are one value, and that is the answer, however the double is rounded.
pub fn percentile(n: i128, lower: i128, upper: i128, scale: u32, (a, b): (u64, u64), descending: bool) -> Option<f64> {
    const WEIGHTS: f64 = 1_000_000.0;
    let last = u64::try_from(n - 1).ok()?;
    let (low, high) = (to_f64(wide(lower), scale), to_f64(wide(upper), scale));
    let p = if descending { 1.0 - (b - a) as f64 / b as f64 } else { a as f64 / b as f64 };
    let floor = u128::from(a) * u128::from(last) / u128::from(b);
    let beyond = (p * last as f64 - floor as f64).clamp(0.0, 1.0);
    Some(low + (high - low) * ((beyond * WEIGHTS).floor() / WEIGHTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(pairs: &[(i128, i128)]) -> (i128, i128, i128, i128, i128, i128) {
        pairs.iter().fold((0, 0, 0, 0, 0, 0), |m, (x, y)| (m.0 + 1, m.1 + x, m.2 + y, m.3 + x * x, m.4 + y * y, m.5 + x * y))
    }

    #[test]
    fn large_offsets_do_not_cancel() {
        let offset = 1_000_000_000_000_000;
        let (n, x, _, xx, ..) = moments(&[(offset, 0), (offset + 1, 0), (offset + 2, 0)]);
        assert_eq!(variance(n, x, xx, 0, true), Some(1.0));
        let scaled = variance(n, x, xx, 2, false).expect("three values vary");
        assert!((scaled - 2.0 / 300.0).abs() < 1e-17);
    }

    #[test]
    fn undefined_statistics_are_null() {
        assert_eq!(mean(0, 0, 0), None);
        assert_eq!(variance(1, 5, 25, 0, true), None);
        assert_eq!(variance(1, 5, 25, 0, false), Some(0.0));
        let (n, x, y, xx, yy, xy) = moments(&[(3, 1), (3, 2)]);
        assert_eq!(correlation(n, x, y, xx, yy, xy), None);
    }

    #[test]
    fn correlation_of_a_line_is_one() {
        let (n, x, y, xx, yy, xy) = moments(&[(1, -2), (2, -4), (7, -14)]);
        assert_eq!(correlation(n, x, y, xx, yy, xy), Some(-1.0));
    }

    #[test]
    fn decimal_means_are_truncated() {
        assert_eq!(mean_decimal(3, -20, 4), Some(i256::from_i128(-66666)));
        assert_eq!(to_f64(i256::from_i128(-1234), 2), -12.34);
    }

    #[test]
    fn percentiles_lie_between_their_neighbours() {
        assert_eq!(percentile(0, 0, 0, 0, (1, 2), false), None);
        assert_eq!(percentile(1, 7, 7, 0, (9, 10), false), Some(7.0));
        assert_eq!(percentile(4, 10, 20, 1, (1, 2), false), Some(1.5));
        // 0.29 * 100 is a little less than 29 in doubles
        assert_eq!(percentile(101, 5, 5, 0, (29, 100), false), Some(5.0));
        // 0.9 * 7 = 6.3 is 6.299999 after six digits
        assert_eq!(percentile(8, 0, 1_000_000, 6, (9, 10), false), Some(0.299999));
        // and so is 1 - 0.9
        assert_eq!(percentile(8, 0, 1, 0, (1, 10), false), Some(0.7));
        assert_eq!(percentile(8, 0, 1, 0, (1, 10), true), Some(0.699999));
    }
}
