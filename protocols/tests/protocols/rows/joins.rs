//! Look-ups, pairs, products and unions.

use super::*;
use std::collections::BTreeMap;

/// Two columns of a key, both with NULLs, and what is looked up.
const FIRST: usize = 0;
const SECOND: usize = 1;

fn columns() -> Vec<ColumnShape> {
    vec![
        shape(Form::Planes(4), true),
        shape(Form::Planes(5), true),
        shape(Form::Planes(7), true),
        shape(Form::Fp61, true),
        shape(Form::Fp127, false),
    ]
}

/// Rows whose keys are below these bounds, now and then NULL.
fn side(places: usize, bounds: (u64, u64), salt: u64) -> Clear {
    let mut words = Words(salt << 32 | places as u64);
    let cells = (0..places).map(|_| {
        let mut cell = |bound: u64, null: u64| -> Cell { (words.below(null) > 0).then(|| words.below(bound).into()) };
        let narrow = cell(1 << 20, 3).map(|v| v - (1 << 19));
        let wide = cell(1 << 50, u64::MAX).map(|v| -v);
        vec![cell(bounds.0, 9), cell(bounds.1, 9), cell(100, 4), narrow, wide]
    });
    Clear { columns: columns(), cells: cells.collect(), row: None }
}

/// The key of a row, unless one of its columns is NULL.
fn key(row: &Row) -> Option<(i128, i128)> {
    row[FIRST].zip(row[SECOND])
}

/// The same, each key once: of further rows the first column is NULL.
fn unique(mut table: Clear) -> Clear {
    let mut seen = std::collections::BTreeSet::new();
    let is_row = |place: usize| table.row.as_ref().is_none_or(|row| row[place]);
    for place in (0..table.cells.len()).filter(|place| is_row(*place)) {
        if key(&table.cells[place]).is_some_and(|key| !seen.insert(key)) {
            table.cells[place][FIRST] = None;
        }
    }
    table
}

/// In the order of the keys, what cannot be found last.
fn in_order(table: Clear) -> Clear {
    let mut places: Vec<usize> = (0..table.cells.len()).collect();
    let is_row = |place: &usize| table.row.as_ref().is_none_or(|row| row[*place]);
    places.sort_by_key(|place| {
        let found = key(&table.cells[*place]).filter(|_| is_row(place));
        (found.is_none(), found)
    });
    let row = table.row.as_ref().map(|row| places.iter().map(|place| row[*place]).collect());
    Clear { cells: places.iter().map(|place| table.cells[*place].clone()).collect(), row, columns: table.columns }
}

const ON: [(usize, usize); 2] = [(FIRST, FIRST), (SECOND, SECOND)];

/// A look-up, and what each row of base finds.
fn look_up(base: Clear, table: Clear, [proved, sorted, in_order]: [bool; 3]) -> (Run, Vec<Row>) {
    let looked_up = vec![2, 3, 4];
    let found = looked_up.iter().map(|c| ColumnShape { nullable: true, ..columns()[*c] });
    let outputs = base.columns.iter().copied().chain(found).chain([shape(Form::Planes(1), false)]).collect();
    let by_key: BTreeMap<(i128, i128), Row> = table.rows().into_iter().filter_map(|row| Some((key(&row)?, row))).collect();
    let expected = base.rows().into_iter().map(|row| {
        let found = key(&row).and_then(|key| by_key.get(&key));
        let values = looked_up.iter().map(|c| found.and_then(|found| found[*c]));
        row.iter().copied().chain(values).chain([Some(i128::from(found.is_some()))]).collect()
    });
    let expected = expected.collect();
    let shape = Shape { columns: outputs, ..base.shape() };
    (Run::new(vec![base, table], Op::Lookup { on: ON.to_vec(), columns: looked_up, proved, sorted, in_order }, shape), expected)
}

/// Sizes of both sides.
const SIDES: [(usize, usize); 11] = [(0, 0), (0, 3), (3, 0), (1, 1), (2, 3), (63, 2), (1, 64), (65, 63), (64, 65), (300, 20), (20, 300)];

/// Keys that are all equal, few, and many.
const BOUNDS: [(u64, u64); 3] = [(1, 1), (3, 4), (16, 32)];

#[test]
fn every_row_finds_its_partner() {
    for (left, right) in SIDES {
        for bounds in BOUNDS {
            for (base_row, table_row) in masks(left).into_iter().zip(masks(right)).flat_map(|(l, r)| [(l.clone(), r), (l, None)]) {
                let base = Clear { row: base_row, ..side(left, bounds, 1) };
                let table = unique(Clear { row: table_row, ..side(right, bounds, 2) });
                for case in 0..8 {
                    let how @ [_, sorted, _] = std::array::from_fn(|bit| case >> bit & 1 == 1);
                    let table = if sorted { in_order(table.clone()) } else { table.clone() };
                    let (run, expected) = look_up(base.clone(), table, how);
                    run.expect(expected);
                }
            }
        }
    }
}

#[test]
fn rows_that_stay_in_order_have_equal_keys_side_by_side() {
    for (left, right) in SIDES.into_iter().filter(|(_, right)| *right > 0) {
        for bounds in BOUNDS {
            for (base_row, table_row) in masks(left).into_iter().flat_map(|l| masks(right).map(|r| (l.clone(), r))) {
                for sorted in [false, true] {
                    let table = unique(Clear { row: table_row.clone(), ..side(right, bounds, 2) });
                    let table = if sorted { in_order(table) } else { table };
                    let base = Clear { row: base_row.clone(), ..side(left, bounds, 1) };
                    let (run, mut expected) = look_up(base, table, [false, sorted, true]);
                    let mut rows = Run { ordered: true, ..run }.plain().expect("in clear");
                    let mut keys: Vec<(Cell, Cell)> = rows.iter().map(|row| (row[FIRST], row[SECOND])).collect();
                    keys.dedup();
                    let runs = keys.len();
                    keys.sort();
                    keys.dedup();
                    assert_eq!(runs, keys.len(), "{left} rows, {right} in the table");
                    rows.sort();
                    expected.sort();
                    assert_eq!(rows, expected);
                }
            }
        }
    }
}

/// Keys of 110 bits that differ in the highest, and agree in the lowest.
fn long_keys(side: Clear) -> Clear {
    let mut long = side;
    long.columns[FIRST].form = Form::Planes(110);
    long.cells.iter_mut().for_each(|row| row[FIRST] = row[FIRST].map(|first| first << 105 | 5));
    long
}

#[test]
fn long_keys_are_sorted_and_compared_by_digests() {
    for (left, right) in [(1, 1), (2, 3), (65, 63), (20, 300)] {
        for bounds in BOUNDS {
            let (base, table) = (long_keys(side(left, bounds, 1)), long_keys(unique(side(right, bounds, 2))));
            for how in [[false; 3], [true, false, false], [false, false, true], [true, false, true]] {
                let (run, expected) = look_up(base.clone(), table.clone(), how);
                run.expect(expected);
            }
        }
    }
    let (base, table) = (long_keys(side(20, (16, 32), 12)), long_keys(unique(side(30, (16, 32), 13))));
    for in_order in [false, true] {
        let (run, expected) = look_up(base.clone(), table.clone(), [false, false, in_order]);
        run.check(expected);
    }
}

#[test]
fn what_cannot_be_missing_has_no_valid_bit() {
    // all of base's keys are there, and what is looked up is never NULL
    let table = unique(side(40, (16, 32), 3));
    let rows: Vec<Row> = table.cells.iter().filter(|row| key(row).is_some()).cloned().collect();
    let base = Clear { cells: (0..70).map(|i| rows[i * 7 % rows.len()].clone()).collect(), ..table.clone() };
    let wide = columns()[4];
    let expected = base.cells.iter().map(|row| row.iter().copied().chain([row[4], Some(1)]).collect()).collect();
    let shape = Shape { columns: columns().into_iter().chain([wide, shape(Form::Planes(1), false)]).collect(), ..base.shape() };
    Run::new(vec![base, table], Op::Lookup { on: ON.to_vec(), columns: vec![4], proved: false, sorted: false, in_order: false }, shape)
        .expect(expected);
}

#[test]
fn a_key_that_is_there_twice_ends_the_session() {
    for (sorted, stays) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut table = unique(side(20, (16, 32), 4));
        let base = side(10, (16, 32), 5);
        let twice: Vec<usize> = (0..20).filter(|place| key(&table.cells[*place]).is_some()).take(2).collect();
        table.cells[twice[1]] = table.cells[twice[0]].clone();
        let ordered = |table: Clear| if sorted { in_order(table) } else { table };
        let how = [false, sorted, stays];
        let (run, _) = look_up(base.clone(), ordered(table.clone()), how);
        assert!(matches!(run.plain(), Err(Abort::Data(why)) if why.contains("two rows have the same keys")));
        // unless one of them is no row, or NULL
        table.row = Some((0..20).map(|place| place != twice[1]).collect());
        let (run, expected) = look_up(base.clone(), ordered(table.clone()), how);
        run.expect(expected);
        table.row = None;
        table.cells[twice[1]][SECOND] = None;
        let (run, expected) = look_up(base, ordered(table), how);
        run.expect(expected);
    }
}

/// All pairs of equal keys, in as many places as there are, and some.
fn paired(left: Clear, right: Clear, spare: usize) -> (Run, Vec<Row>) {
    let mut expected = Vec::new();
    for l in left.rows() {
        let partners = right.rows().into_iter().filter(|r| key(r).is_some() && key(r) == key(&l));
        expected.extend(partners.map(|r| [l.clone(), r].concat()));
    }
    let shape = Shape { places: expected.len() + spare, full: false, columns: [columns(), columns()].concat() };
    (Run::new(vec![left, right], Op::Pairs { on: ON.to_vec() }, shape), expected)
}

#[test]
fn all_pairs_of_equal_keys() {
    for (left, right) in SIDES {
        // pairs of all with all are many
        for bounds in &BOUNDS[usize::from(left * right > 5000)..] {
            for (left_row, right_row) in masks(left).into_iter().zip(masks(right)).flat_map(|(l, r)| [(l.clone(), r), (l, None)]) {
                let left = Clear { row: left_row, ..side(left, *bounds, 6) };
                let right = Clear { row: right_row, ..side(right, *bounds, 7) };
                let (run, expected) = paired(left, right, 2);
                run.expect(expected);
            }
        }
    }
}

#[test]
fn more_pairs_than_places_end_the_session() {
    let (mut run, expected) = paired(side(20, (3, 4), 8), side(30, (3, 4), 9), 0);
    run.expect(expected);
    run.shape.places -= 1;
    assert!(matches!(run.plain(), Err(Abort::Data(why)) if why.contains("more pairs")));
}

/// Every pair of rows.
fn product(left: Clear, right: Clear) -> (Run, Vec<Row>) {
    let expected = left.rows().iter().flat_map(|l| right.rows().into_iter().map(|r| [l.clone(), r].concat()).collect::<Vec<_>>()).collect();
    let (places, full) = (left.cells.len() * right.cells.len(), left.row.is_none() && right.row.is_none());
    let shape = Shape { places, full, columns: [columns(), columns()].concat() };
    (Run { ordered: true, ..Run::new(vec![left, right], Op::Cross, shape) }, expected)
}

/// The rows of all.
fn all(inputs: Vec<Clear>) -> (Run, Vec<Row>) {
    let column = |c: usize| ColumnShape { nullable: inputs.iter().any(|i| i.columns[c].nullable), ..columns()[c] };
    let shape = Shape {
        places: inputs.iter().map(|i| i.cells.len()).sum(),
        full: inputs.iter().all(|i| i.row.is_none()),
        columns: (0..columns().len()).map(column).collect(),
    };
    let expected = inputs.iter().flat_map(Clear::rows).collect();
    (Run { ordered: true, ..Run::new(inputs, Op::Union, shape) }, expected)
}

/// A side without NULLs.
fn never_null(mut side: Clear) -> Clear {
    side.columns.iter_mut().for_each(|column| column.nullable = false);
    side.cells.iter_mut().flatten().for_each(|cell| *cell = Some(cell.unwrap_or(0)));
    side
}

#[test]
fn products_and_unions() {
    for (left, right) in [(0, 3), (1, 1), (2, 3), (63, 2), (9, 65)] {
        for (left_row, right_row) in masks(left).into_iter().flat_map(|l| masks(right).map(|r| (l.clone(), r))) {
            let left = Clear { row: left_row, ..side(left, (9, 9), 10) };
            let right = Clear { row: right_row, ..side(right, (9, 9), 11) };
            let (run, expected) = product(left.clone(), right.clone());
            run.expect(expected);
            for inputs in [vec![left.clone()], vec![left.clone(), right.clone()], vec![left, never_null(right.clone()), right]] {
                let (run, expected) = all(inputs);
                run.expect(expected);
            }
        }
    }
}

#[test]
fn three_parties_join_at_the_cost_of_it() {
    for (left, right) in [(0, 2), (2, 3), (30, 35), (65, 64)] {
        let base = Clear { row: masks(left)[1].clone(), ..side(left, (16, 32), 12) };
        let other = Clear { row: masks(right)[1].clone(), ..side(right, (16, 32), 13) };
        let table = unique(other.clone());
        for how @ [_, sorted, _] in [[false; 3], [true, true, false], [false, false, true], [true; 3]] {
            let table = if sorted { in_order(table.clone()) } else { table.clone() };
            let (run, expected) = look_up(base.clone(), table, how);
            run.check(expected);
        }
        for (run, expected) in [paired(base.clone(), other.clone(), 3), product(base.clone(), other.clone()), all(vec![base, other])] {
            run.check(expected);
        }
    }
}
