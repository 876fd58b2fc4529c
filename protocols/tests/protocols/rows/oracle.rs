//! What operators yield, in clear, as SQL says it.

use protocols::rows::{Constant, Fold, FoldOp, Function, SortKey};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// A value; `None` is NULL.
pub type Cell = Option<i128>;
/// A row.
pub type Row = Vec<Cell>;

/// How two rows stand in an order.
pub fn compare(by: &[SortKey], a: &Row, b: &Row) -> Ordering {
    by.iter().fold(Ordering::Equal, |so_far, key| {
        so_far.then_with(|| match (a[key.column], b[key.column]) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) if key.nulls_first => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) if key.nulls_first => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) if key.descending => b.cmp(&a),
            (Some(a), Some(b)) => a.cmp(&b),
        })
    })
}

/// The rows by their keys, NULL a key like others.
pub fn groups(rows: &[Row], keys: &[usize]) -> BTreeMap<Row, Vec<Row>> {
    let mut all: BTreeMap<Row, Vec<Row>> = BTreeMap::new();
    rows.iter().for_each(|row| all.entry(keys.iter().map(|k| row[*k]).collect()).or_default().push(row.clone()));
    all
}

/// A fold over some rows.
pub fn fold(fold: &Fold, rows: &[Row]) -> Cell {
    let rows: Vec<&Row> = rows.iter().filter(|row| fold.when.is_none_or(|when| row[when] == Some(1))).collect();
    let values = |column: usize| rows.iter().filter_map(move |row| row[column]);
    match fold.op {
        FoldOp::Rows => Some(rows.len() as i128),
        FoldOp::Count(c) => Some(values(c).count() as i128),
        FoldOp::Sum(c) => Some(values(c).sum()),
        FoldOp::CountDistinct(c) => Some(values(c).collect::<BTreeSet<_>>().len() as i128),
        FoldOp::SumDistinct { by, of } => {
            let each: BTreeMap<i128, i128> = rows.iter().filter_map(|row| Some((row[by]?, row[of]?))).collect();
            Some(each.values().sum())
        }
        FoldOp::Same(c) => rows[0][c],
        FoldOp::Min(c) => values(c).min(),
        FoldOp::Max(c) => values(c).max(),
        FoldOp::Percentile { column, of: (a, b), lower, discrete, descending } => {
            let mut sorted: Vec<i128> = values(column).collect();
            sorted.sort();
            let (a, b, n) = (a as usize, b as usize, sorted.len());
            let position = match (discrete, descending) {
                _ if n == 0 => return None,
                (true, true) => ((b - a) * n / b).min(n - 1),
                (true, false) => (a * n).div_ceil(b).max(1) - 1,
                _ if lower => a * (n - 1) / b,
                _ => (a * (n - 1)).div_ceil(b),
            };
            Some(sorted[position])
        }
    }
}

/// Each row with the values of window functions.
pub fn windows(rows: &[Row], partition: &[usize], by: &[SortKey], functions: &[Function]) -> Vec<Row> {
    let mut all = Vec::new();
    for mut rows in groups(rows, partition).into_values() {
        rows.sort_by(|a, b| compare(by, a, b));
        for at in 0..rows.len() {
            let values = functions.iter().map(|f| function(f, &rows, at, by));
            all.push(rows[at].iter().copied().chain(values).collect());
        }
    }
    all
}

/// A function of one row of a partition in its order.
fn function(function: &Function, rows: &[Row], at: usize, by: &[SortKey]) -> Cell {
    let peers = |other: &Row| compare(by, other, &rows[at]).is_eq();
    match function {
        Function::RowNumber => Some(at as i128 + 1),
        Function::Rank => Some(rows.iter().position(peers).expect("a row is its own peer") as i128 + 1),
        Function::DenseRank => {
            let new = |at: &usize| *at == 0 || compare(by, &rows[at - 1], &rows[*at]).is_lt();
            Some((0..=at).filter(new).count() as i128)
        }
        Function::Ntile(tiles) => {
            // the first tiles have one row more, as many as are left over
            let tiles = *tiles as usize;
            let sizes = (0..tiles).flat_map(|tile| vec![tile; rows.len() / tiles + usize::from(tile < rows.len() % tiles)]);
            sizes.into_iter().nth(at).map(|tile| tile as i128 + 1)
        }
        Function::Lag { column, by, default } => {
            let from = usize::try_from(at as i64 - by).ok().and_then(|from| rows.get(from));
            match (from, default) {
                (Some(row), _) => row[*column],
                (None, Some(Constant::Planes(limbs))) => Some(limbs[0].into()),
                (None, Some(Constant::Element(value))) => Some(*value),
                (None, None) => None,
            }
        }
        Function::Whole(whole) => fold(whole, rows),
        Function::Running { fold: running, peers: true } => {
            let last = rows.iter().rposition(peers).expect("a row is its own peer");
            fold(running, &rows[..=last])
        }
        Function::Running { fold: running, peers: false } => fold(running, &rows[..=at]),
        Function::Trailing { fold: trailing, before } => fold(trailing, &rows[at.saturating_sub(*before as usize)..=at]),
        Function::First(column) => rows[0][*column],
    }
}
