//! Opened rows of a relation: numbers and texts of the places that hold a row.

use super::{FinishError, finished, schema_of, typed_as};
use crate::plan::relation::{Relation, RowForm};
use crate::plan::{Finish, Plan, Ring, RowRelease};
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray, new_null_array};
use mpc_core::{B64, Column, Fp61, Fp127};
use std::sync::Arc;

/// All planes of a relation, opened.
#[derive(Default)]
pub(super) struct Planes {
    pub bits: Option<Column<B64>>,
    pub fp61: Option<Column<Fp61>>,
    pub fp127: Option<Column<Fp127>>,
}

/// The rows a release opened, in the order in which they were.
pub struct OpenedRows {
    columns: Vec<OpenedColumn>,
    rows: usize,
}

struct OpenedColumn {
    values: Values,
    valid: Vec<bool>,
}

enum Values {
    Numbers(Vec<i128>),
    Texts(Vec<String>),
}

impl OpenedRows {
    /// Reads the planes of a relation. `None` if anything shows outside a row or a value, or a value is none of its column's.
    pub(super) fn read(relation: &Relation, planes: &Planes) -> Option<Self> {
        let places = relation.places as usize;
        let bit = |place: usize, plane: usize| planes.bits.as_ref().is_some_and(|b| b.bit(place, plane));
        let present: Vec<bool> = (0..places).map(|place| relation.full || bit(place, 0)).collect();
        let rows: Vec<usize> = (0..places).filter(|place| present[*place]).collect();
        let mut columns = Vec::with_capacity(relation.columns.len());
        let mut next = [usize::from(!relation.full), 0, 0];
        for column in &relation.columns {
            let (from, width) = (next[0], column.form.width());
            next[0] += width + usize::from(column.nullable);
            let valid: Vec<bool> =
                (0..places).map(|place| if column.nullable { bit(place, from + width) } else { present[place] }).collect();
            if (0..places).any(|place| valid[place] && !present[place]) {
                return None;
            }
            let raw: Vec<i128> = match column.form.ring() {
                Some(Ring::Fp61) => {
                    next[1] += 1;
                    planes.fp61.as_ref()?.plane(next[1] - 1).iter().map(|v| v.centered().into()).collect()
                }
                Some(Ring::Fp127) => {
                    next[2] += 1;
                    planes.fp127.as_ref()?.plane(next[2] - 1).iter().map(|v| v.centered()).collect()
                }
                None => {
                    // a text is read byte by byte below; here it matters only whether anything is there
                    let whole = |place: usize| (0..width).fold(0, |v, p| if bit(place, from + p) { v | 1 << p.min(126) } else { v });
                    (0..places).map(whole).collect()
                }
            };
            if (0..places).any(|place| !valid[place] && raw[place] != 0) {
                return None;
            }
            let listed = |place: &usize| if valid[*place] { Some(raw[*place]) } else { None };
            let values = match &column.form {
                RowForm::Bit => Values::Numbers(rows.iter().map(|place| raw[*place]).collect()),
                RowForm::Planes { offset, .. } => {
                    Values::Numbers(rows.iter().map(|place| raw[*place].checked_add(*offset)).collect::<Option<_>>()?)
                }
                RowForm::Field { min, max, .. } => {
                    if rows.iter().filter_map(listed).any(|v| v < *min || v > *max) {
                        return None;
                    }
                    Values::Numbers(rows.iter().map(|place| raw[*place]).collect())
                }
                RowForm::Code { values, .. } => {
                    let text = |place: &usize| match listed(place) {
                        Some(code) => values.get(usize::try_from(code).ok()?).cloned(),
                        None => Some(String::new()),
                    };
                    Values::Texts(rows.iter().map(text).collect::<Option<_>>()?)
                }
                RowForm::Text { bytes } => {
                    let byte =
                        |place: usize, at: usize| (0..8).fold(0, |v, p| v | u8::from(bit(place, from + width - 8 * (at + 1) + p)) << p);
                    let text = |place: &usize| {
                        let all: Vec<u8> = (0..*bytes as usize).map(|at| byte(*place, at)).collect();
                        let length = all.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
                        String::from_utf8(all[..length].to_vec()).ok()
                    };
                    Values::Texts(rows.iter().map(text).collect::<Option<_>>()?)
                }
            };
            columns.push(OpenedColumn { values, valid: rows.iter().map(|place| valid[*place]).collect() });
        }
        Some(OpenedRows { columns, rows: rows.len() })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// An opening by its number: a number for each row. `None` if it is a text or not opened.
    pub fn numbers(&self, opening: usize) -> Option<Vec<i128>> {
        match opening.checked_sub(self.columns.len()) {
            None => match &self.columns[opening].values {
                Values::Numbers(numbers) => Some(numbers.clone()),
                Values::Texts(_) => None,
            },
            Some(column) => Some(self.columns.get(column)?.valid.iter().map(|v| i128::from(*v)).collect()),
        }
    }

    /// The texts of a column, empty where it is NULL; `None` if it is not of texts.
    pub fn texts(&self, column: usize) -> Option<&[String]> {
        match &self.columns.get(column)?.values {
            Values::Texts(texts) => Some(texts),
            Values::Numbers(_) => None,
        }
    }

    fn text_array(&self, column: usize, some: Option<usize>) -> Option<ArrayRef> {
        let texts = self.texts(column)?;
        let some = some.map(|s| self.numbers(s));
        let there: Vec<bool> = match some {
            None => vec![true; self.rows],
            Some(some) => some?.iter().map(|s| *s != 0).collect(),
        };
        let texts = texts.iter().zip(there).map(|(t, there)| there.then_some(t.as_str()));
        Some(Arc::new(texts.collect::<StringArray>()))
    }
}

/// The released table.
pub(super) fn table(plan: &Plan, release: &RowRelease, opened: &OpenedRows) -> Result<RecordBatch, FinishError> {
    // the one row of all is there also if nothing of it is
    let hidden = release.safe && opened.rows == 0;
    let mut columns = Vec::with_capacity(release.columns.len());
    for column in &release.columns {
        let wrong = || FinishError::Type(column.name.clone(), column.data_type.to_string());
        let array = match &column.value {
            Finish::Text { of, some } => opened.text_array(*of, *some),
            value => {
                let named = value.openings();
                let all: Option<Vec<(usize, Vec<i128>)>> = named.into_iter().map(|o| Some((o, opened.numbers(o)?))).collect();
                all.and_then(|all| {
                    finished(column, &|opening| all.iter().find(|(o, _)| *o == opening).map_or(Vec::new(), |(_, numbers)| numbers.clone()))
                })
            }
        };
        let array = typed_as(&array.ok_or_else(wrong)?, column)?;
        columns.push(if hidden { new_null_array(array.data_type(), 1) } else { array });
    }
    let schema = schema_of(plan, &release.name, &release.columns);
    let rows = if hidden { 1 } else { opened.rows };
    let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|_| FinishError::Type(release.name.clone(), format!("{schema:?}")))
}
