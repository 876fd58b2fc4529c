//! The planner's side: three parties' parts become numbers, numbers become the released tables, and the planner's own SQL over them
//! becomes the answer. Nothing is taken on trust: copies of a component must agree, lengths and elements must be exact, and every opened
//! number must lie in the range the plan proved.

mod rows;
mod valueless;

pub use rows::OpenedRows;
pub use valueless::Valueless;

use crate::exec::{InputRing, Part};
use crate::ground::{Ground, PartShape, ring_of};
use crate::local::{Local, LocalError, Tables};
use crate::moments;
use crate::plan::{Existence, Finish, Opening, Plan, Release, ReleasedColumn, RowRelease};
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use mpc_core::{B64, Column, Fp61, Fp127, Ring};
use protocols::Released;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Why an answer could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// Two parties released different copies of the same component: one of them deviated or is broken.
    #[error(
        "the parts of {0} and {1} disagree; the answer is refused: ask again, and if it happens again tell the operators of both: one of the two computed with something else than the other"
    )]
    Disagree(String, String),
    /// A party's part has not the shape the plan prescribes.
    #[error("the part of {0} is not what the plan prescribes; the answer is refused")]
    Malformed(String),
    /// Together the parts do not give every component.
    #[error("the parts of {0} do not add up to an answer: a component is missing")]
    Incomplete(String),
    /// An opened number lies outside its proven range.
    #[error("a released number of {0} lies outside the range the plan proved; a party deviated or its data changed: the answer is refused")]
    Range(String),
    /// A released column could not be given its type.
    #[error("the released column {0} does not fit its type {1}")]
    Type(String, String),
    /// What the question computes of what came out has no value.
    #[error("{0}")]
    Valueless(Box<Valueless>),
    /// The finishing SQL failed otherwise.
    #[error(transparent)]
    Answer(LocalError),
}

/// The answer, and how much of it does not come out.
pub struct Answer {
    /// Its rows.
    pub rows: RecordBatch,
    /// Cells that contracts hold back; `None` if they hold none back, or if it does not show which there are.
    pub suppressed: Option<Suppressed>,
}

/// Cells whose values are NULL because too few entities are in them, or none, or because one has too much of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// So many.
    pub cells: usize,
    /// Of so many.
    pub of: usize,
}

/// The rows of the answer from the parts of all parties, each under its party's name.
pub fn finish(plan: &Plan, ground: &Ground, local: &Local, parts: &[(String, Vec<Part>)]) -> Result<RecordBatch, FinishError> {
    answer(plan, ground, local, parts).map(|answer| answer.rows)
}

/// The answer from the parts of all parties, each under its party's name.
pub fn answer(plan: &Plan, ground: &Ground, local: &Local, parts: &[(String, Vec<Part>)]) -> Result<Answer, FinishError> {
    let opened = reconstruct(plan, ground, parts)?;
    let tables = released_tables(plan, ground, &opened)?;
    let mut at_hand = Tables::new();
    for (name, batch) in plan.releases.iter().map(|r| &r.name).chain(plan.rows.iter().map(|r| &r.name)).zip(tables) {
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
        let table = table.map_err(|_| FinishError::Type(name.clone(), "a table".into()))?;
        at_hand.insert(name.clone(), Arc::new(table));
    }
    let rows = local.run(&plan.answer, &at_hand, "the planner's answer");
    let rows = rows.map_err(|error| valueless::explained(error, &plan.answer, &at_hand, local))?;
    Ok(Answer { rows, suppressed: opened.suppressed(plan) })
}

/// Everything the plan opens: `numbers[release][opening, counted cell by cell][public group]`, and rows.
pub struct OpenedNumbers {
    numbers: Vec<Vec<Vec<i128>>>,
    rows: Vec<OpenedRows>,
}

impl OpenedNumbers {
    /// The openings of a release, counted cell by cell; a number for each public group.
    pub fn release(&self, release: usize) -> &[Vec<i128>] {
        &self.numbers[release]
    }

    /// Cells that do not come out, where the plan shows which.
    pub fn suppressed(&self, plan: &Plan) -> Option<Suppressed> {
        let of_frames = plan.releases.iter().zip(&self.numbers).filter_map(|(release, numbers)| {
            let Existence::Safe(opening) = release.exists else { return None };
            let per_cell = release.cells.first().map_or(0, |c| c.openings.len());
            let bits = || (0..release.cells.len()).filter_map(|c| numbers.get(c * per_cell + opening)).flatten();
            Some((bits().filter(|bit| **bit == 0).count(), bits().count()))
        });
        let of_rows =
            plan.rows.iter().zip(&self.rows).filter(|(release, _)| release.safe).map(|(_, rows)| (usize::from(rows.rows() == 0), 1));
        of_frames
            .chain(of_rows)
            .map(|(cells, of)| Suppressed { cells, of })
            .reduce(|a, b| Suppressed { cells: a.cells + b.cells, of: a.of + b.of })
    }

    /// The rows of a release of rows.
    pub fn rows(&self, release: usize) -> &OpenedRows {
        &self.rows[release]
    }
}

/// Adds up the parts of all parties, after checking that their copies agree.
pub fn reconstruct(plan: &Plan, ground: &Ground, parts: &[(String, Vec<Part>)]) -> Result<OpenedNumbers, FinishError> {
    let shapes = ground.parts(plan);
    if let Some((party, _)) = parts.iter().find(|(_, p)| p.len() != shapes.len()) {
        return Err(FinishError::Malformed(party.clone()));
    }
    let mut planes: Vec<[std::vec::IntoIter<Vec<i128>>; 3]> =
        plan.releases.iter().map(|_| std::array::from_fn(|_| Vec::new().into_iter())).collect();
    let mut rows: Vec<rows::Planes> = plan.rows.iter().map(|_| rows::Planes::default()).collect();
    for (number, shape) in shapes.iter().enumerate() {
        if let Some(of) = shape.release.checked_sub(plan.releases.len()) {
            let (planes, release) = (&mut rows[of], &plan.rows[of].name);
            match shape.ring {
                InputRing::Bits => planes.bits = Some(add_up(parts, number, shape, release, bits_of)?),
                InputRing::Fp61 => planes.fp61 = Some(add_up(parts, number, shape, release, fp61_of)?),
                InputRing::Fp127 => planes.fp127 = Some(add_up(parts, number, shape, release, fp127_of)?),
            }
            continue;
        }
        let release = &plan.releases[shape.release].name;
        let values = match shape.ring {
            InputRing::Bits => {
                let c = add_up(parts, number, shape, release, bits_of)?;
                (0..c.planes()).map(|p| c.to_bools(p).into_iter().map(i128::from).collect()).collect()
            }
            InputRing::Fp61 => {
                let c = add_up(parts, number, shape, release, fp61_of)?;
                (0..c.planes()).map(|p| c.plane(p).iter().map(|v| v.centered().into()).collect()).collect()
            }
            InputRing::Fp127 => {
                let c = add_up(parts, number, shape, release, fp127_of)?;
                (0..c.planes()).map(|p| c.plane(p).iter().map(|v| v.centered()).collect()).collect::<Vec<_>>()
            }
        };
        planes[shape.release][shape.ring as usize] = values.into_iter();
    }
    let mut numbers = Vec::with_capacity(plan.releases.len());
    for (release, mut planes) in plan.releases.iter().zip(planes) {
        let mut opened = Vec::new();
        for opening in release.cells.iter().flat_map(|c| &c.openings) {
            let values = planes[ring_of(opening) as usize].next().unwrap_or_default();
            if let Opening::Sum { min, max, .. } = opening
                && values.iter().any(|v| v < min || v > max)
            {
                return Err(FinishError::Range(release.name.clone()));
            }
            opened.push(values);
        }
        numbers.push(opened);
    }
    let read = |(release, planes): (&RowRelease, &rows::Planes)| {
        OpenedRows::read(plan.relation(release.relation), planes).ok_or_else(|| FinishError::Range(release.name.clone()))
    };
    let rows = plan.rows.iter().zip(&rows).map(read).collect::<Result<_, _>>()?;
    Ok(OpenedNumbers { numbers, rows })
}

fn bits_of(part: &Part) -> Option<&Released<B64>> {
    if let Part::Bits(r) = part { Some(r) } else { None }
}

fn fp61_of(part: &Part) -> Option<&Released<Fp61>> {
    if let Part::Fp61(r) = part { Some(r) } else { None }
}

fn fp127_of(part: &Part) -> Option<&Released<Fp127>> {
    if let Part::Fp127(r) = part { Some(r) } else { None }
}

/// A component as the first party that has it released it.
type Held<'p> = (&'p str, Zeroizing<Vec<u8>>);

fn add_up<R: Ring>(
    parts: &[(String, Vec<Part>)],
    number: usize,
    shape: &PartShape,
    release: &str,
    of: fn(&Part) -> Option<&Released<R>>,
) -> Result<Column<R>, FinishError> {
    let mut components: Vec<Option<Held<'_>>> = Vec::new();
    let mut total = Column::zeros(shape.layout);
    for (party, parts) in parts {
        let released = of(&parts[number]).ok_or_else(|| FinishError::Malformed(party.clone()))?;
        if components.is_empty() {
            components.resize(released.of.into(), None);
        }
        if components.len() != usize::from(released.of) {
            return Err(FinishError::Malformed(party.clone()));
        }
        for (index, column) in &released.components {
            let known = components.get_mut(usize::from(*index)).ok_or_else(|| FinishError::Malformed(party.clone()))?;
            if column.layout() != shape.layout {
                return Err(FinishError::Malformed(party.clone()));
            }
            // the wire form has no unspecified bits, so that equal values are equal bytes
            let mut bytes = Zeroizing::new(Vec::with_capacity(column.layout().bytes::<R>()));
            column.encode(&mut bytes);
            match known {
                None => {
                    *known = Some((party, bytes));
                    total = total.zip(column, R::add);
                }
                Some((_, copy)) if *copy == bytes => {}
                Some((other, _)) => return Err(FinishError::Disagree((*other).to_string(), party.clone())),
            }
        }
    }
    if components.is_empty() || components.iter().any(Option::is_none) {
        return Err(FinishError::Incomplete(release.to_string()));
    }
    Ok(total)
}

/// The released tables, one for each release of the plan, those of rows last.
pub fn released_tables(plan: &Plan, ground: &Ground, opened: &OpenedNumbers) -> Result<Vec<RecordBatch>, FinishError> {
    let of_frames = plan.releases.iter().enumerate().map(|(number, release)| table(plan, ground, number, release, opened.release(number)));
    let of_rows = plan.rows.iter().zip(&opened.rows).map(|(release, opened)| rows::table(plan, release, opened));
    of_frames.chain(of_rows).collect()
}

fn table(plan: &Plan, ground: &Ground, number: usize, release: &Release, opened: &[Vec<i128>]) -> Result<RecordBatch, FinishError> {
    let groups = ground.groups(number);
    let per_cell = release.cells.first().map_or(0, |c| c.openings.len());
    let exists = |group: usize, cell: usize| match release.exists {
        Existence::Always | Existence::Safe(_) => true,
        Existence::NonZero(opening) => opened[cell * per_cell + opening][group] != 0,
    };
    let rows: Vec<(usize, usize)> =
        (0..groups.count).flat_map(|g| (0..release.cells.len()).map(move |c| (g, c))).filter(|(g, c)| exists(*g, *c)).collect();
    // nothing of a cell that is not safe is a value: not even 0
    let shown = match release.exists {
        Existence::Safe(opening) => {
            let safe = |(at, (g, c)): (usize, &(usize, usize))| (opened[c * per_cell + opening][*g] != 0).then_some(at as u64);
            Some(rows.iter().enumerate().map(safe).collect::<UInt64Array>())
        }
        Existence::Always | Existence::NonZero(_) => None,
    };
    let mut columns = Vec::with_capacity(release.columns.len());
    for column in &release.columns {
        let wrong = || FinishError::Type(column.name.clone(), column.data_type.to_string());
        let of = |opening: usize| -> Vec<i128> { rows.iter().map(|(g, c)| opened[c * per_cell + opening][*g]).collect() };
        let array = match &column.value {
            Finish::Public(key) => {
                let picked = UInt64Array::from_iter_values(rows.iter().map(|(g, _)| *g as u64));
                take(groups.keys.get(*key).ok_or_else(wrong)?, &picked, None).map_err(|_| wrong())?
            }
            Finish::Secret(key) => {
                let texts: Vec<Option<&str>> =
                    rows.iter().map(|(_, c)| release.cells[*c].keys.get(*key).and_then(|k| k.as_deref())).collect();
                Arc::new(StringArray::from(texts))
            }
            _ => {
                let values = finished(column, &of).ok_or_else(wrong)?;
                shown.as_ref().map_or(Ok(values.clone()), |shown| take(&values, shown, None)).map_err(|_| wrong())?
            }
        };
        columns.push(typed_as(&array, column)?);
    }
    let schema = schema_of(plan, &release.name, &release.columns);
    RecordBatch::try_new(schema.clone(), columns).map_err(|_| FinishError::Type(release.name.clone(), format!("{schema:?}")))
}

/// A column in its type. A cast that cannot keep a value yields NULL; a released value is never lost like that.
fn typed_as(array: &ArrayRef, column: &ReleasedColumn) -> Result<ArrayRef, FinishError> {
    let typed = cast(array, &column.data_type.0).ok().filter(|typed| typed.null_count() == array.null_count());
    typed.ok_or_else(|| FinishError::Type(column.name.clone(), column.data_type.to_string()))
}

/// The column the answer reads, before its last cast.
fn finished(column: &ReleasedColumn, of: &dyn Fn(usize) -> Vec<i128>) -> Option<ArrayRef> {
    let data_type = &column.data_type.0;
    let floats = |f: &dyn Fn(usize) -> Option<f64>, rows: usize| -> ArrayRef { Arc::new((0..rows).map(f).collect::<Float64Array>()) };
    Some(match &column.value {
        Finish::Value { of: opening, scale, some } => {
            let values = of(*opening);
            let some = some.map(of);
            let values = values.into_iter().enumerate().map(|(r, v)| some.as_ref().is_none_or(|s| s[r] != 0).then_some(v));
            typed(values.collect(), *scale, data_type)?
        }
        Finish::Average { n, x, scale, within } => {
            let (n, mut x) = (of(*n), of(*x));
            if let Some((min, max)) = within {
                // with noise a sum may be beyond what so many values can have
                x.iter_mut().zip(&n).filter(|(_, n)| **n > 0).for_each(|(x, n)| {
                    *x = (*x).clamp(min.saturating_mul(*n), max.saturating_mul(*n));
                });
            }
            if let DataType::Decimal128(precision, to) = data_type {
                let extra = u32::try_from(i32::from(*to) - i32::from(*scale)).ok()?;
                let mean = |r: usize| match moments::mean_decimal(n[r], x[r], extra) {
                    None if n[r] <= 0 => Some(None),
                    mean => Some(Some(mean?.to_i128()?)),
                };
                let means: Vec<Option<i128>> = (0..n.len()).map(mean).collect::<Option<_>>()?;
                Arc::new(Decimal128Array::from(means).with_precision_and_scale(*precision, *to).ok()?)
            } else {
                let scale = u32::try_from(*scale).ok()?;
                floats(&|r| moments::mean(n[r], x[r], scale), n.len())
            }
        }
        Finish::Variance { n, x, xx, scale, sample, root } => {
            let (n, x, xx, scale) = (of(*n), of(*x), of(*xx), 2 * u32::try_from(*scale).ok()?);
            let variance = |r: usize| moments::variance(n[r], x[r], xx[r], scale, *sample);
            floats(&|r| if *root { variance(r).map(f64::sqrt) } else { variance(r) }, n.len())
        }
        Finish::Covariance { n, x, y, xy, scale, sample } => {
            let (n, x, y, xy, scale) = (of(*n), of(*x), of(*y), of(*xy), u32::try_from(*scale).ok()?);
            floats(&|r| moments::covariance(n[r], x[r], y[r], xy[r], scale, *sample), n.len())
        }
        Finish::Correlation { n, x, y, xx, yy, xy } => {
            let (n, x, y, xx, yy, xy) = (of(*n), of(*x), of(*y), of(*xx), of(*yy), of(*xy));
            floats(&|r| moments::correlation(n[r], x[r], y[r], xx[r], yy[r], xy[r]), n.len())
        }
        Finish::Percentile { n, lower, upper, scale, of: p, descending } => {
            let (n, lower, upper, scale) = (of(*n), of(*lower), of(*upper), u32::try_from(*scale).ok()?);
            floats(&|r| moments::percentile(n[r], lower[r], upper[r], scale, *p, *descending), n.len())
        }
        Finish::Public(_) | Finish::Secret(_) | Finish::Text { .. } => return None,
    })
}

/// Integers of a scale as an array from which a cast to `data_type` is exact.
fn typed(values: Vec<Option<i128>>, scale: i8, data_type: &DataType) -> Option<ArrayRef> {
    Some(match data_type {
        DataType::Decimal128(precision, to) => {
            let up = u32::try_from(i32::from(*to) - i32::from(scale)).ok()?;
            let factor = 10_i128.checked_pow(up)?;
            let raised: Vec<Option<i128>> =
                values.into_iter().map(|v| v.map_or(Some(None), |v| v.checked_mul(factor).map(Some))).collect::<Option<_>>()?;
            Arc::new(Decimal128Array::from(raised).with_precision_and_scale(*precision, *to).ok()?)
        }
        DataType::Float64 => {
            let scale = u32::try_from(scale).ok()?;
            let float = |v: i128| moments::to_f64(datafusion::arrow::datatypes::i256::from_i128(v), scale);
            Arc::new(values.into_iter().map(|v| v.map(float)).collect::<Float64Array>())
        }
        _ if scale != 0 => return None,
        DataType::Boolean => Arc::new(values.into_iter().map(|v| v.map(|v| v != 0)).collect::<BooleanArray>()),
        DataType::Date32 => {
            let days: Vec<Option<i32>> =
                values.into_iter().map(|v| v.map_or(Some(None), |v| i32::try_from(v).ok().map(Some))).collect::<Option<_>>()?;
            Arc::new(datafusion::arrow::array::Date32Array::from(days))
        }
        _ => {
            let narrow: Vec<Option<i64>> =
                values.into_iter().map(|v| v.map_or(Some(None), |v| i64::try_from(v).ok().map(Some))).collect::<Option<_>>()?;
            Arc::new(Int64Array::from(narrow))
        }
    })
}

/// The schema under which the answer reads a release.
fn schema_of(plan: &Plan, name: &str, columns: &[ReleasedColumn]) -> SchemaRef {
    let mut found = None;
    // the walk itself cannot fail
    let _ = plan.answer.logical().apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.table() == name
        {
            found = Some(scan.source.schema());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.unwrap_or_else(|| {
        Arc::new(Schema::new(columns.iter().map(|c| Field::new(&c.name, c.data_type.0.clone(), true)).collect::<Vec<_>>()))
    })
}
