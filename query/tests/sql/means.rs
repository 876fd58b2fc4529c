//! Quotients cast to exact numbers: what comes out is the exact quotient, rounded half away from 0, and DataFusion's double, rounded, but for one in the last digit.

use super::percentiles::{MOST, pool, score};
use super::pool::On;
use query::datafusion::arrow::array::{Array, AsArray, RecordBatch};
use query::datafusion::arrow::datatypes::{Decimal128Type, Int32Type};

/// Each with its digits behind the point.
const QUOTIENTS: [(&str, u32); 9] = [
    ("AVG(t.score)", 3),
    ("AVG(t.score)", 0),
    ("AVG(7 - t.score)", 2),
    ("VAR_POP(t.score)", 2),
    ("VAR_SAMP(t.score)", 1),
    ("MEDIAN(t.score)", 1),
    ("MEDIAN(t.score)", 0),
    ("PERCENTILE_CONT(0.3) WITHIN GROUP (ORDER BY t.score)", 0),
    ("PERCENTILE_CONT(0.35) WITHIN GROUP (ORDER BY t.score DESC)", 2),
];

/// Numerator and denominator of each, of sorted values; the latter is 0 where there is no value.
fn exact(v: &[i128]) -> [(i128, i128); 9] {
    let n = v.len() as i128;
    let (x, xx): (i128, i128) = (v.iter().sum(), v.iter().map(|v| v * v).sum());
    let percentile = |a: i128, b: i128| {
        let (at, rest) = ((a * (n - 1) / b) as usize, a * (n - 1) % b);
        (b * v[at] + rest * (v[(at + 1).min(v.len() - 1)] - v[at]), b)
    };
    let (mean, middle) = ((x, n), percentile(1, 2));
    let spread = n * xx - x * x;
    [mean, mean, (7 * n - x, n), (spread, n * n), (spread, n * (n - 1)), middle, middle, percentile(3, 10), percentile(13, 20)]
}

fn rounded((over, under): (i128, i128), digits: u32) -> Option<i128> {
    let size = over.abs() * 10_i128.pow(digits);
    (under > 0).then(|| (2 * size + under) / (2 * under) * over.signum())
}

/// By the group: the value in each column after it.
fn values(answer: &RecordBatch) -> Vec<(i32, Vec<Option<i128>>)> {
    let groups = answer.column(0).as_primitive::<Int32Type>();
    let value = |row: usize, column: usize| {
        let column = answer.column(column).as_primitive::<Decimal128Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let mut all: Vec<_> =
        (0..answer.num_rows()).map(|row| (groups.value(row), (1..=QUOTIENTS.len()).map(|c| value(row, c)).collect())).collect();
    all.sort();
    all
}

#[test]
fn of_one_to_twenty_values() {
    let pool = pool();
    let each = QUOTIENTS.iter().enumerate().map(|(i, (of, digits))| format!("CAST({of} AS DECIMAL(12,{digits})) AS x{i}"));
    let names: Vec<_> = (0..QUOTIENTS.len()).map(|i| format!("x.x{i}")).collect();
    // joined, as what is selected of an aggregate itself is computed by the planner
    let sql = format!(
        "SELECT p.class, {} FROM school.pupils p JOIN (SELECT q.class, {} FROM school.pupils q JOIN clinic.tests t ON t.pupil = q.pupil GROUP BY q.class) x \
         ON x.class = p.class",
        names.join(", "),
        each.collect::<Vec<_>>().join(", ")
    );
    let clear = values(&pool.clear(&sql).expect("an answer in clear"));
    let shared = pool.answer(&sql, On::Plain).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    let shared = values(&shared);
    assert_eq!(clear.len(), shared.len());
    let mut pupil = 0;
    for n in 1..=MOST {
        let mut scores: Vec<_> = (pupil..pupil + n).map(|pupil| i128::from(score(pupil))).collect();
        scores.sort_unstable();
        let expected: Vec<_> = exact(&scores).into_iter().zip(QUOTIENTS).map(|(of, (_, digits))| rounded(of, digits)).collect();
        for row in pupil..pupil + n {
            assert_eq!(shared[row], (n as i32, expected.clone()), "{scores:?}");
            let close = |(a, b): (&Option<i128>, &Option<i128>)| a.is_some() == b.is_some() && (a.unwrap_or(0) - b.unwrap_or(0)).abs() <= 1;
            assert!(clear[row].1.iter().zip(&expected).all(close), "{:?} {expected:?}", clear[row]);
        }
        pupil += n;
    }
}
