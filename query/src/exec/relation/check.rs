//! Whether the relations of a plan fit together: what a defect of the compiler could break is found before any share moves.

use super::super::program::ProgramError;
use crate::plan::Plan;
use crate::plan::relation::{Constant, Fold, FoldOp, Function, Operator, Relation, RelationId, RowColumn, RowForm, SortKey};

/// Most tiles of NTILE: each is a comparison a row.
const TILES: u64 = 1000;

/// Checks every relation and every release of rows. (A Map's expressions are checked where they are laid out.)
pub(super) fn check(plan: &Plan) -> Result<(), ProgramError> {
    for (id, relation) in plan.relations.iter().enumerate() {
        if relation.op.inputs().iter().any(|input| input.0 >= id) {
            return Err(ProgramError("a relation is computed from earlier ones"));
        }
        if relation.places > u32::MAX.into() {
            return Err(ProgramError("a relation has fewer than 2^32 places"));
        }
        operator(plan, relation)?;
    }
    match plan.rows.iter().all(|r| r.relation.0 < plan.relations.len()) {
        true => Ok(()),
        false => Err(ProgramError("the rows that are released are a relation's")),
    }
}

fn operator(plan: &Plan, relation: &Relation) -> Result<(), ProgramError> {
    let of = |id: &RelationId| plan.relation(*id);
    match &relation.op {
        Operator::Home { .. } => Ok(()),
        Operator::Map { input, .. } => expect(relation.places == of(input).places, "a map has the places of its input"),
        Operator::Cross { left, right } => {
            let (left, right) = (of(left), of(right));
            expect(left.places.checked_mul(right.places) == Some(relation.places), "a cross product has all pairs of places")?;
            expect(relation.full == (left.full && right.full), "a cross product is full if both sides are")?;
            same(relation, left.columns.iter().chain(&right.columns))
        }
        Operator::Union { inputs } => {
            let all: Vec<&Relation> = inputs.iter().map(of).collect();
            expect(
                !all.is_empty() && all.iter().map(|i| i.places).sum::<u64>() == relation.places,
                "a union has the places of its inputs",
            )?;
            expect(relation.full == all.iter().all(|i| i.full), "a union is full if its inputs are")?;
            expect(all.iter().all(|i| i.columns.len() == relation.columns.len()), "a union has the columns of its inputs")?;
            for (c, column) in relation.columns.iter().enumerate() {
                let fits = all.iter().all(|i| i.columns[c].form == column.form);
                expect(fits && column.nullable == all.iter().any(|i| i.columns[c].nullable), "a union has the columns of its inputs")?;
            }
            Ok(())
        }
        Operator::Total { input, folds } => {
            expect(relation.places == 1 && relation.full, "a total is one row")?;
            expect(!folds.iter().any(|f| matches!(f.op, FoldOp::Same(_))), "rows have a value in common by their keys")?;
            folded(of(input), folds, &relation.columns)
        }
        Operator::Noise { input, noised, least } => {
            let input = of(input);
            expect(relation.places == 1 && input.places == 1 && input.full, "noise is on one row")?;
            expect(relation.full == least.is_empty(), "a row with a condition may be none")?;
            expect(input.columns.len() == relation.columns.len() + least.len(), "noise leaves the columns that are not compared only")?;
            let sums = noised.iter().all(|n| input.columns.get(n.of).is_some_and(|c| c.form.ring().is_some()));
            expect(sums, "noise is on sums")?;
            let fits = |(out, of): (&RowColumn, &RowColumn)| out.form.ring() == of.form.ring() && !out.nullable;
            expect(relation.columns.iter().zip(&input.columns).all(fits), "noise leaves columns in their fields")
        }
        Operator::Lookup { base, table, on, columns, .. } => {
            let (base, table) = (of(base), of(table));
            expect(relation.places == base.places && relation.full == base.full, "a look-up has the places of its base")?;
            keys(base, table, on)?;
            let found: Vec<&RowColumn> = columns.iter().map(|c| column(table, *c)).collect::<Result<_, _>>()?;
            expect(relation.columns.len() == base.columns.len() + found.len() + 1, "a look-up has base's columns, its own and a bit")?;
            let (of_base, rest) = relation.columns.split_at(base.columns.len());
            expect(of_base.iter().zip(&base.columns).all(alike), "a look-up has the columns of its base")?;
            let fits = |(out, found): (&RowColumn, &&RowColumn)| out.form == found.form && (out.nullable || !found.nullable);
            expect(rest.iter().zip(&found).all(fits), "a look-up has the columns it looks up, which may become nullable")?;
            expect(rest[found.len()].form == RowForm::Bit && !rest[found.len()].nullable, "a look-up ends with a bit")
        }
        Operator::Group { input, keys, folds } => {
            let input = of(input);
            expect(relation.places <= input.places && !relation.full, "a group-by has at most the places of its input")?;
            expect(relation.columns.len() == keys.len() + folds.len(), "a group-by has its keys and its folds")?;
            for (key, out) in keys.iter().zip(&relation.columns) {
                let key = column(input, *key)?;
                expect(alike((key, out)) && key.form.ring().is_none(), "a key of a group-by is a column in planes")?;
            }
            folded(input, folds, &relation.columns[keys.len()..])
        }
        Operator::Top { input, by, skip, .. } => {
            let input = of(input);
            let last = relation.places.checked_add(*skip).ok_or(ProgramError("rows can be counted"))?;
            expect(!relation.full || (input.full && last <= input.places), "every place has a row only if the input has as many")?;
            sortable(input, by)?;
            same(relation, input.columns.iter())
        }
        Operator::Pairs { left, right, on } => {
            let (left, right) = (of(left), of(right));
            keys(left, right, on)?;
            expect(!relation.full, "a join of many with many is not full")?;
            expect(relation.places > 0 || left.places == 0 || right.places == 0, "a join has a place for a pair")?;
            same(relation, left.columns.iter().chain(&right.columns))
        }
        Operator::Window { input, partition, by, functions, .. } => {
            let input = of(input);
            expect(relation.places == input.places && relation.full == input.full, "a window function keeps the rows")?;
            partition.iter().try_for_each(|p| expect(column(input, *p)?.form.ring().is_none(), "a partition is by columns in planes"))?;
            sortable(input, by)?;
            let same = relation.columns.len() == input.columns.len() + functions.len();
            expect(same && relation.columns.iter().zip(&input.columns).all(alike), "a window has the columns of its input")?;
            functions.iter().zip(&relation.columns[input.columns.len()..]).try_for_each(|(f, out)| function(input, f, out))
        }
    }
}

/// Whether these folds of `input` yield these columns.
pub(super) fn folded(input: &Relation, folds: &[Fold], columns: &[RowColumn]) -> Result<(), ProgramError> {
    expect(folds.len() == columns.len(), "a column for each fold")?;
    let of = |c: &usize| input.columns.get(*c).ok_or(ProgramError("a fold names a column"));
    for (fold, column) in folds.iter().zip(columns) {
        if matches!(fold.op, FoldOp::Same(_)) {
            expect(fold.when.is_none(), "all rows of a group have a value that depends on its keys")?;
        }
        if let Some(when) = &fold.when {
            expect(of(when)?.form == RowForm::Bit, "rows are chosen by a bit")?;
        }
        let fits = match &fold.op {
            FoldOp::Rows => column.form.ring().is_some(),
            FoldOp::Count(c) => of(c).is_ok() && column.form.ring().is_some(),
            FoldOp::CountDistinct(c) => of(c)?.form.ring().is_none() && column.form.ring().is_some(),
            FoldOp::Sum(c) => of(c)?.form.ring().is_some() && of(c)?.form.ring() == column.form.ring(),
            FoldOp::SumDistinct { by, of: c } => {
                of(by)?.form.ring().is_none() && of(c)?.form.ring().is_some() && of(c)?.form.ring() == column.form.ring()
            }
            FoldOp::Same(c) => of(c)?.form.ring().is_none() && of(c)?.form == column.form && of(c)?.nullable == column.nullable,
            FoldOp::Min(c) | FoldOp::Max(c) | FoldOp::Percentile { column: c, .. } => {
                of(c)?.form.ring().is_none() && of(c)?.form == column.form
            }
        };
        expect(fits, "a fold has the form of what it yields")?;
    }
    Ok(())
}

/// Whether a window function of `input` yields this column.
fn function(input: &Relation, function: &Function, out: &RowColumn) -> Result<(), ProgramError> {
    match function {
        Function::RowNumber | Function::Rank | Function::DenseRank | Function::Ntile(_) => {
            let tiles = if let Function::Ntile(tiles) = function { *tiles } else { 1 };
            let fits = matches!(out.form, RowForm::Planes { scale: 0, offset: 0, .. }) && !out.nullable;
            expect(fits && (1..=TILES).contains(&tiles), "a number is in planes from 0, and there are 1 to 1000 tiles")
        }
        Function::Lag { column: c, default, .. } => {
            let of = column(input, *c)?;
            expect(of.form == out.form, "a row away has the form of the column")?;
            expect(
                out.nullable == (default.is_none() || of.nullable),
                "a row away is NULL outside its partition, unless it has a default",
            )?;
            let fits = |default: &Constant| match default {
                Constant::Planes(limbs) => {
                    of.form.ring().is_none() && (of.form.width()..64 * limbs.len()).all(|plane| !default.plane(plane))
                }
                Constant::Element(_) => of.form.ring().is_some(),
            };
            expect(default.as_ref().is_none_or(fits), "a default has the form of its column")
        }
        Function::Whole(fold) => folded(input, std::slice::from_ref(fold), std::slice::from_ref(out)),
        Function::First(c) => {
            let of = column(input, *c)?;
            expect(of.form == out.form && of.nullable == out.nullable, "a first value has the form of its column")
        }
        Function::Running { fold, .. } | Function::Trailing { fold, .. } => {
            let sum = matches!(fold.op, FoldOp::Rows | FoldOp::Count(_) | FoldOp::Sum(_));
            expect(sum, "only counts and sums run")?;
            folded(input, std::slice::from_ref(fold), std::slice::from_ref(out))
        }
    }
}

fn column(relation: &Relation, number: usize) -> Result<&RowColumn, ProgramError> {
    relation.columns.get(number).ok_or(ProgramError("a column that is named is there"))
}

/// Whether the pairs of columns can be compared.
fn keys(a: &Relation, b: &Relation, on: &[(usize, usize)]) -> Result<(), ProgramError> {
    for (x, y) in on {
        let (x, y) = (column(a, *x)?, column(b, *y)?);
        expect(x.form == y.form && x.form.ring().is_none(), "what is compared has equal forms, in planes")?;
    }
    Ok(())
}

fn sortable(input: &Relation, by: &[SortKey]) -> Result<(), ProgramError> {
    by.iter().try_for_each(|key| expect(column(input, key.column)?.form.ring().is_none(), "what is sorted by is in planes"))
}

fn alike((a, b): (&RowColumn, &RowColumn)) -> bool {
    a.form == b.form && a.nullable == b.nullable
}

fn same<'c>(relation: &Relation, columns: impl Iterator<Item = &'c RowColumn>) -> Result<(), ProgramError> {
    let columns: Vec<&RowColumn> = columns.collect();
    let equal = columns.len() == relation.columns.len() && columns.into_iter().zip(&relation.columns).all(alike);
    expect(equal, "a relation has the columns it is computed from")
}

fn expect(holds: bool, what: &'static str) -> Result<(), ProgramError> {
    if holds { Ok(()) } else { Err(ProgramError(what)) }
}
