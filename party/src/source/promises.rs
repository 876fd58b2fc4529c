//! What the catalogue promises of whole columns: that keys are unique, that a column has few values, that each is in few rows. Exact: values are
//! compared, not hashes.

use super::declared::DeclaredTable;
use super::findings::Report;
use query::datafusion::arrow::array::{Array, ArrayRef};
use query::datafusion::arrow::compute::{filter, is_not_null};
use query::datafusion::arrow::error::ArrowError;
use query::datafusion::arrow::row::{RowConverter, Rows, SortField};

/// The promises of a table, and the values seen so far.
pub(crate) struct Promises<'a> {
    declared: &'a DeclaredTable,
    of: Vec<Promise>,
}

/// What is promised of some columns together.
struct Promise {
    columns: Vec<usize>,
    /// Most rows that have the same values, if that is promised.
    repeats: Option<u64>,
    /// Most different values, if that is promised.
    distinct: Option<u64>,
    seen: Seen,
}

impl<'a> Promises<'a> {
    /// Those the catalogue makes of this table.
    pub fn new(declared: &'a DeclaredTable) -> Result<Self, ArrowError> {
        let promise = |columns: Vec<usize>, repeats, distinct| -> Result<Promise, ArrowError> {
            let seen = Seen::new(columns.iter().map(|at| SortField::new(declared.columns[*at].data_type.clone())).collect())?;
            Ok(Promise { columns, repeats, distinct, seen })
        };
        let mut of = Vec::new();
        if !declared.key.is_empty() {
            of.push(promise(declared.key.clone(), Some(1), None)?);
        }
        for (at, column) in declared.columns.iter().enumerate() {
            if column.repeats.is_some() || column.distinct.is_some() {
                of.push(promise(vec![at], column.repeats, column.distinct)?);
            }
        }
        Ok(Promises { declared, of })
    }

    /// Whether something is promised of a column.
    pub fn concern(&self, column: usize) -> bool {
        self.of.iter().any(|promise| promise.columns.contains(&column))
    }

    /// Adds a batch of the table's columns, those nothing is promised of left out at will; `places[i]` is where row i is. A row with a NULL has no value.
    pub fn append(&mut self, columns: &[Option<ArrayRef>], places: &[u64]) -> Result<(), ArrowError> {
        for promise in &mut self.of {
            let of: Option<Vec<ArrayRef>> = promise.columns.iter().map(|at| columns[*at].clone()).collect();
            let of = of.ok_or_else(|| ArrowError::SchemaError("a column is missing".into()))?;
            match of.as_slice() {
                [column] if column.null_count() > 0 => {
                    let places = (0..places.len()).filter(|row| column.is_valid(*row)).map(|row| places[row]);
                    promise.seen.append(&[filter(column, &is_not_null(column)?)?], places)?;
                }
                all => promise.seen.append(all, places.iter().copied())?,
            }
        }
        Ok(())
    }

    /// Reports every promise that is broken; `place` names a place.
    pub fn check(&self, report: &mut Report<'_>, place: impl Fn(u64) -> String) {
        for Promise { columns, repeats, distinct, seen } in &self.of {
            let names: Vec<&str> = columns.iter().map(|at| self.declared.columns[*at].name.as_str()).collect();
            let names = names.join("`, `");
            let whole = seen.whole(*repeats);
            for (row, first) in &whole.beyond {
                report.cell(place(*row), columns[0], &names, || match repeats {
                    Some(1) => format!("the same key as in {}; the catalogue declares it unique", place(*first)),
                    _ => format!(
                        "the same value as in {} and others; the catalogue declares that a value is in at most {} rows (repeats)",
                        place(*first),
                        repeats.unwrap_or_default()
                    ),
                });
            }
            if let Some(most) = distinct.filter(|most| whole.distinct > *most) {
                let has = whole.distinct;
                report.column(&names, format_args!("has {has} different values, the catalogue declares at most {most} (distinct)"));
            }
        }
    }
}

/// The values of some columns, row by row.
struct Seen {
    converter: RowConverter,
    rows: Rows,
    places: Vec<u64>,
}

/// What the whole table shows.
struct Whole {
    /// The places of rows whose value too many earlier rows have, and the first such row's place, in the order of the places.
    beyond: Vec<(u64, u64)>,
    distinct: u64,
}

impl Seen {
    fn new(fields: Vec<SortField>) -> Result<Self, ArrowError> {
        let converter = RowConverter::new(fields)?;
        let rows = converter.empty_rows(0, 0);
        Ok(Self { converter, rows, places: Vec::new() })
    }

    fn append(&mut self, columns: &[ArrayRef], places: impl Iterator<Item = u64>) -> Result<(), ArrowError> {
        self.converter.append(&mut self.rows, columns)?;
        self.places.extend(places);
        Ok(())
    }

    fn whole(&self, repeats: Option<u64>) -> Whole {
        let count = self.places.len();
        let row = |i: usize| self.rows.row(i);
        // most tables lie sorted by their key
        if (1..count).all(|i| row(i - 1) < row(i)) {
            return Whole { beyond: Vec::new(), distinct: count as u64 };
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_unstable_by(|a, b| row(*a).cmp(&row(*b)).then(a.cmp(b)));
        let (mut beyond, mut distinct) = (Vec::new(), 0);
        let allowed = repeats.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        for equal in order.chunk_by(|a, b| row(*a) == row(*b)) {
            distinct += 1;
            beyond.extend(equal.iter().skip(allowed).map(|i| (self.places[*i], self.places[equal[0]])));
        }
        beyond.sort_unstable();
        Whole { beyond, distinct }
    }
}
