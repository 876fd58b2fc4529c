//! The rows of a relation in clear, as the columns that are shared: for each ring one column with all planes of the relation, in the order
//! of [`planes`].

use super::{InputColumn, LocalError};
use crate::dealing::is_set;
use crate::exec::{HomeOrder, InputRing};
use crate::plan::Ring;
use crate::plan::relation::{Operator, Relation, RowColumn, RowForm, SortKey};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use mpc_core::{B64, Column, Fp61, Fp127, Layout};
use protocols::rows::Ties;

/// The columns of a relation at its owner, one for each ring it uses. `order` says how the rows are sorted.
pub(crate) fn encode(
    relation: &Relation,
    batch: &RecordBatch,
    order: Option<&HomeOrder>,
    place: &str,
) -> Result<Vec<(InputRing, InputColumn)>, LocalError> {
    let defect = |what| LocalError::Defect { place: place.into(), what };
    let places = usize::try_from(relation.places).map_err(|_| defect("a relation has a number of places that can be counted"))?;
    if batch.num_columns() != relation.columns.len() {
        return Err(defect("a relation's rows have its columns"));
    }
    let rows = batch.num_rows();
    if rows > places || (relation.full && rows < places) {
        return Err(LocalError::Places { place: place.into(), places: relation.places });
    }
    let clear: Vec<Clear> =
        relation.columns.iter().zip(batch.columns()).map(|(c, array)| clear(c, array, place)).collect::<Result<_, _>>()?;
    // an order that the question asks for is shown as it is
    let in_any_order = matches!(&relation.op, Operator::Home { plan, .. } if is_set(plan));
    let from = if in_any_order { canonical(&clear, rows) } else { (0..rows).collect() };
    let from = match order {
        Some(order) => in_order(relation, &clear, from, order).ok_or_else(|| defect("the operating system gives randomness"))?,
        None => from,
    };
    let mut bits = Column::zeros(Layout::new(places, planes(relation, InputRing::Bits)));
    let mut fp61 = Column::zeros(Layout::new(places, planes(relation, InputRing::Fp61)));
    let mut fp127 = Column::zeros(Layout::new(places, planes(relation, InputRing::Fp127)));
    let mut next = [0, 0, 0];
    if !relation.full {
        (0..rows).for_each(|row| set(&mut bits, 0, row));
        next[0] = 1;
    }
    for (column, clear) in relation.columns.iter().zip(&clear) {
        for (to, from) in from.iter().enumerate() {
            match &clear.values {
                Values::Integers(values) => {
                    (0..column.form.width()).filter(|p| values[*from] >> p & 1 == 1).for_each(|p| set(&mut bits, next[0] + p, to))
                }
                Values::Texts(values) => {
                    let width = column.form.width();
                    for (at, byte) in values[*from].iter().enumerate() {
                        let low = width - 8 * (at + 1);
                        (0..8).filter(|p| byte >> p & 1 == 1).for_each(|p| set(&mut bits, next[0] + low + p, to));
                    }
                }
                Values::Elements(Ring::Fp61, values) => fp61.as_mut_slice()[next[1] * places + to] = Fp61::from_i128(values[*from]),
                Values::Elements(Ring::Fp127, values) => fp127.as_mut_slice()[next[2] * places + to] = Fp127::from_i128(values[*from]),
            }
            if column.nullable && clear.valid[*from] {
                set(&mut bits, next[0] + column.form.width(), to);
            }
        }
        next[0] += column.form.width() + usize::from(column.nullable);
        match column.form.ring() {
            Some(Ring::Fp61) => next[1] += 1,
            Some(Ring::Fp127) => next[2] += 1,
            None => {}
        }
    }
    let all = [
        (InputRing::Bits, InputColumn::Bits(bits)),
        (InputRing::Fp61, InputColumn::Fp61(fp61)),
        (InputRing::Fp127, InputColumn::Fp127(fp127)),
    ];
    Ok(all.into_iter().filter(|(ring, _)| planes(relation, *ring) > 0).collect())
}

/// The rows in the order of all their columns: the same set of rows is shared alike, whatever order the local stage left them in ([`crate::dealing`]).
fn canonical(clear: &[Clear], rows: usize) -> Vec<usize> {
    let mut from: Vec<usize> = (0..rows).collect();
    let compared = |a: usize, b: usize| {
        let unequal =
            clear.iter().map(|c| c.valid[a].cmp(&c.valid[b]).then_with(|| c.value(a).cmp(&c.value(b)))).find(|order| order.is_ne());
        unequal.unwrap_or(std::cmp::Ordering::Equal)
    };
    from.sort_by(|a, b| compared(*a, *b));
    from
}

/// Rows in an order, those that are equal in it as they stood; `None` if there is no randomness.
fn in_order(relation: &Relation, clear: &[Clear], mut from: Vec<usize>, order: &HomeOrder) -> Option<Vec<usize>> {
    let null = |columns: &[usize], row: usize| columns.iter().any(|c| !clear[*c].valid[row]);
    match order {
        HomeOrder::Lookup(columns, None) => {
            from.sort_by_cached_key(|row| (null(columns, *row), columns.iter().map(|c| clear[*c].value(*row)).collect::<Vec<_>>()))
        }
        // the first column's planes are the most significant
        HomeOrder::Lookup(columns, Some(digest)) => from.sort_by_cached_key(|row| {
            let planes = columns.iter().rev().flat_map(|c| clear[*c].planes(*row, relation.columns[*c].form.width()));
            (null(columns, *row), digest.of_clear(&planes.collect::<Vec<_>>()))
        }),
        HomeOrder::By(by, at_random) => {
            let ties = if *at_random == Ties::Random { ties(from.len())? } else { Vec::new() };
            let compared = |key: &SortKey, a: usize, b: usize| {
                let column = &clear[key.column];
                let (a_valid, b_valid) = (column.valid[a], column.valid[b]);
                let nulls = if key.nulls_first { a_valid.cmp(&b_valid) } else { b_valid.cmp(&a_valid) };
                let values = column.value(a).cmp(&column.value(b));
                nulls.then(if key.descending { values.reverse() } else { values })
            };
            from.sort_by(|a, b| {
                let unequal = by.iter().map(|key| compared(key, *a, *b)).find(|order| order.is_ne());
                unequal.unwrap_or_else(|| ties.get(*a).cmp(&ties.get(*b)))
            })
        }
    }
    Some(from)
}

/// A random number for each row, by which those that are equal otherwise are ordered; `None` if the operating system gives none.
pub(crate) fn ties(rows: usize) -> Option<Vec<u64>> {
    let mut bytes = vec![0; 8 * rows];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.chunks_exact(8).map(|chunk| chunk.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))).collect())
}

/// Planes of a relation in one ring. Bits: the row's own bit unless every place holds a row, then column by column the value, then the valid bit if
/// it is nullable. Elements: a plane for each column of that field.
pub(crate) fn planes(relation: &Relation, ring: InputRing) -> usize {
    let of = |column: &RowColumn| match (ring, column.form.ring()) {
        (InputRing::Bits, _) => column.form.width() + usize::from(column.nullable),
        (InputRing::Fp61, Some(Ring::Fp61)) | (InputRing::Fp127, Some(Ring::Fp127)) => 1,
        _ => 0,
    };
    let row = ring == InputRing::Bits && !relation.full;
    relation.columns.iter().map(of).sum::<usize>() + usize::from(row)
}

/// The planes of a column among those of its relation in bits: the value's, and the valid bit if it is nullable.
pub(crate) fn bits_at(relation: &Relation, column: usize) -> std::ops::Range<usize> {
    let width = |column: &RowColumn| column.form.width() + usize::from(column.nullable);
    let first = usize::from(!relation.full) + relation.columns[..column].iter().map(width).sum::<usize>();
    first..first + width(&relation.columns[column])
}

/// The plane of a column among those of its relation in its field.
pub(crate) fn element_at(relation: &Relation, column: usize) -> usize {
    let ring = relation.columns[column].form.ring();
    relation.columns[..column].iter().filter(|c| c.form.ring() == ring).count()
}

fn set(bits: &mut Column<B64>, plane: usize, row: usize) {
    let stride = bits.layout().stride::<B64>();
    bits.as_mut_slice()[plane * stride + row / 64].0 |= 1 << (row % 64);
}

/// A column in clear.
struct Clear {
    /// 0 (or no byte) where it is NULL.
    values: Values,
    valid: Vec<bool>,
}

enum Values {
    /// Raw less the offset: never negative.
    Integers(Vec<i128>),
    /// UTF-8, not padded.
    Texts(Vec<Vec<u8>>),
    Elements(Ring, Vec<i128>),
}

impl Clear {
    /// The planes of a value that is no element, least significant first.
    fn planes(&self, row: usize, width: usize) -> impl Iterator<Item = bool> {
        (0..width).map(move |plane| match &self.values {
            Values::Integers(v) | Values::Elements(_, v) => v[row] >> plane & 1 == 1,
            Values::Texts(v) => {
                let byte = v[row].get(width / 8 - 1 - plane / 8).copied().unwrap_or(0);
                byte >> (plane % 8) & 1 == 1
            }
        })
    }

    /// What orders rows as their shared planes do.
    fn value(&self, row: usize) -> (i128, &[u8]) {
        match &self.values {
            Values::Integers(v) | Values::Elements(_, v) => (v[row], &[]),
            Values::Texts(v) => (0, &v[row]),
        }
    }
}

fn clear(column: &RowColumn, array: &ArrayRef, place: &str) -> Result<Clear, LocalError> {
    let defect = |what| LocalError::Defect { place: place.into(), what };
    if !column.nullable && array.null_count() > 0 {
        return Err(LocalError::Null { place: place.into(), column: column.words.clone() });
    }
    let valid: Vec<bool> = (0..array.len()).map(|r| array.is_valid(r)).collect();
    let raw =
        |scale: i8| raw_integers(array, scale).ok_or_else(|| defect("an integer is a decimal of the plan's scale, an integer or a moment"));
    let values = match &column.form {
        RowForm::Bit => {
            let bits = array.as_boolean_opt().ok_or_else(|| defect("a bit is a boolean"))?;
            Values::Integers((0..bits.len()).map(|r| i128::from(valid[r] && bits.value(r))).collect())
        }
        RowForm::Planes { scale, offset, width } => {
            let max = if *width >= 127 { i128::MAX } else { (1 << width) - 1 };
            let range =
                || LocalError::Range { place: place.into(), column: column.words.clone(), min: *offset, max: offset.saturating_add(max) };
            let raised = raw(*scale)?.into_iter().zip(&valid).map(|(v, valid)| match valid {
                true => v.checked_sub(*offset).filter(|v| (0..=max).contains(v)),
                false => Some(0),
            });
            Values::Integers(raised.collect::<Option<_>>().ok_or_else(range)?)
        }
        RowForm::Field { ring, scale, min, max } => {
            let values: Vec<i128> = raw(*scale)?.into_iter().zip(&valid).map(|(v, valid)| if *valid { v } else { 0 }).collect();
            if values.iter().zip(&valid).any(|(v, valid)| *valid && (v < min || v > max)) {
                return Err(LocalError::Range { place: place.into(), column: column.words.clone(), min: *min, max: *max });
            }
            Values::Elements(*ring, values)
        }
        RowForm::Code { values: listed, .. } => {
            let position = |text: &str| listed.binary_search_by(|v| v.as_str().cmp(text)).ok();
            let codes = texts(array).ok_or_else(|| defect("a code is of a text"))?.into_iter().map(|text| match text {
                Some(text) => position(&text).map(|p| p as i128),
                None => Some(0),
            });
            let unlisted = || LocalError::Unlisted { place: place.into(), column: column.words.clone() };
            Values::Integers(codes.collect::<Option<_>>().ok_or_else(unlisted)?)
        }
        RowForm::Text { bytes } => {
            let texts = texts(array).ok_or_else(|| defect("a text is a text"))?;
            let fits = |text: &String| text.len() <= *bytes as usize && !text.contains('\0');
            if !texts.iter().flatten().all(fits) {
                return Err(LocalError::Length { place: place.into(), column: column.words.clone(), bytes: *bytes });
            }
            Values::Texts(texts.into_iter().map(|t| t.map_or(Vec::new(), String::into_bytes)).collect())
        }
    };
    Ok(Clear { values, valid })
}

/// The values of an array times 10^scale; anything where it is NULL.
fn raw_integers(array: &ArrayRef, scale: i8) -> Option<Vec<i128>> {
    match array.data_type() {
        DataType::Decimal128(_, s) if *s == scale => Some(array.as_primitive::<Decimal128Type>().values().to_vec()),
        DataType::UInt64 if scale == 0 => {
            let values = array.as_primitive::<datafusion::arrow::datatypes::UInt64Type>();
            Some(values.values().iter().map(|v| i128::from(*v)).collect())
        }
        t if t.is_integer() || t.is_temporal() => {
            let wide = match t {
                DataType::Date32 => cast(&cast(array, &DataType::Int32).ok()?, &DataType::Int64).ok()?,
                _ => cast(array, &DataType::Int64).ok()?,
            };
            let factor = 10_i128.checked_pow(u32::try_from(scale).ok()?)?;
            wide.as_primitive::<Int64Type>().values().iter().map(|v| i128::from(*v).checked_mul(factor)).collect()
        }
        _ => None,
    }
}

fn texts(array: &ArrayRef) -> Option<Vec<Option<String>>> {
    let texts = cast(array, &DataType::Utf8).ok().filter(|_| is_text(array.data_type()))?;
    let texts = texts.as_string::<i32>();
    Some((0..texts.len()).map(|r| texts.is_valid(r).then(|| texts.value(r).to_string())).collect())
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}
