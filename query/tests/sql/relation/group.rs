//! Groups and orders against the same in clear.

use super::*;
use query::plan::relation::{Fold, FoldOp, SortKey};
use std::collections::BTreeMap;

/// Two keys, a condition, a value of each kind.
fn columns() -> Vec<RowColumn> {
    vec![
        column(planes(2), true),
        column(RowForm::Bit, false),
        column(RowForm::Bit, true),
        column(planes(5), true),
        column(field(Ring::Fp61), true),
        column(field(Ring::Fp127), false),
        column(planes(3), false),
        // the values of two of them as elements
        column(field(Ring::Fp61), true),
        column(field(Ring::Fp127), false),
    ]
}

fn folds() -> Vec<(FoldOp, Option<usize>, RowColumn)> {
    let (small, wide) = (column(field(Ring::Fp61), false), column(field(Ring::Fp127), false));
    let (value, other) = (column(planes(5), true), column(planes(3), true));
    let percentile = |column, of, lower, discrete| FoldOp::Percentile { column, of, lower, discrete, descending: false };
    let from_largest = |column, of| FoldOp::Percentile { column, of, lower: false, discrete: true, descending: true };
    vec![
        (FoldOp::Max(3), None, value.clone()),
        (FoldOp::Rows, None, small.clone()),
        (FoldOp::Sum(5), Some(2), wide.clone()),
        (FoldOp::Min(3), None, value.clone()),
        (FoldOp::CountDistinct(3), None, small.clone()),
        (FoldOp::Count(3), Some(2), wide.clone()),
        (FoldOp::Sum(4), None, small.clone()),
        (FoldOp::Min(6), Some(2), other.clone()),
        (FoldOp::CountDistinct(6), Some(2), wide.clone()),
        (FoldOp::Rows, Some(2), small.clone()),
        (FoldOp::SumDistinct { by: 3, of: 7 }, None, small.clone()),
        (FoldOp::SumDistinct { by: 6, of: 8 }, Some(2), wide.clone()),
        (FoldOp::SumDistinct { by: 6, of: 8 }, None, wide),
        (FoldOp::SumDistinct { by: 3, of: 7 }, Some(2), small),
        (percentile(3, (1, 2), true, false), None, value.clone()),
        (percentile(3, (1, 2), false, false), None, value.clone()),
        (percentile(3, (9, 10), true, false), None, value.clone()),
        (percentile(3, (9, 10), false, true), None, value.clone()),
        (percentile(3, (0, 1), true, true), None, value.clone()),
        (percentile(3, (1, 1), false, true), None, value.clone()),
        (percentile(6, (1, 4), true, false), Some(2), other.clone()),
        (percentile(6, (1, 4), false, false), Some(2), other.clone()),
        (from_largest(3, (0, 1)), None, value.clone()),
        (from_largest(3, (3, 8)), None, value.clone()),
        (from_largest(3, (1, 1)), None, value),
        (from_largest(6, (1, 4)), Some(2), other),
    ]
}

fn folded(op: &FoldOp, when: Option<usize>, rows: &[&Row]) -> Cell {
    let rows: Vec<&Row> = rows.iter().copied().filter(|r| when.is_none_or(|w| r[w] == int(1))).collect();
    let values = |c: usize| {
        let mut values: Vec<Value> = rows.iter().filter_map(|r| r[c].clone()).collect();
        values.sort();
        values
    };
    match op {
        FoldOp::Rows => int(rows.len() as i128),
        FoldOp::Count(c) => int(values(*c).len() as i128),
        FoldOp::CountDistinct(c) => {
            let mut values = values(*c);
            values.dedup();
            int(values.len() as i128)
        }
        FoldOp::Sum(c) => int(rows.iter().filter_map(|r| number(&r[*c])).sum()),
        FoldOp::SumDistinct { by, of } => {
            let distinct: BTreeMap<&Value, i128> = rows.iter().filter_map(|r| Some((r[*by].as_ref()?, number(&r[*of])?))).collect();
            int(distinct.values().sum())
        }
        FoldOp::Same(c) => rows.first().and_then(|r| r[*c].clone()),
        FoldOp::Min(c) => values(*c).first().cloned(),
        FoldOp::Max(c) => values(*c).last().cloned(),
        FoldOp::Percentile { column, of, lower, discrete, descending } => {
            let (mut values, (a, b)) = (values(*column), *of);
            if *descending {
                values.reverse();
            }
            let n = values.len() as u64;
            if n == 0 {
                return None;
            }
            let position = match (discrete, lower) {
                (true, _) => (a * n).div_ceil(b).max(1) - 1,
                (false, true) => a * (n - 1) / b,
                (false, false) => (a * (n - 1)).div_ceil(b),
            };
            Some(values[position as usize].clone())
        }
    }
}

fn data(dice: &mut Dice, count: usize, all_equal: bool) -> Vec<Row> {
    let bounds = [(4, true), (2, false), (2, true), (32, true), (100, true), (100, false), (8, false)];
    let mut rows = dice.rows(count, &bounds);
    if all_equal {
        rows.iter_mut().for_each(|r| (r[0], r[1], r[3]) = (int(2), int(1), int(7)));
    }
    for row in &mut rows {
        row.extend([row[3].clone(), row[6].clone()]);
    }
    rows
}

#[test]
fn groups() {
    let mut dice = Dice(21);
    for (count, places, equal) in
        [(0, 0, false), (0, 4, false), (1, 1, false), (1, 3, false), (9, 9, true), (40, 40, false), (50, 57, false)]
    {
        let rows = data(&mut dice, count, equal);
        for (keys, stand) in [vec![0, 1], vec![1], vec![0]].into_iter().flat_map(|keys| Stand::ALL.map(|stand| (keys.clone(), stand))) {
            let mut build = Build::default();
            let input = match count == places {
                true => build.home(Source::Party("health".into()), places as u64, true, columns(), &rows),
                false => build.private(2, places as u64, columns(), &rows),
            };
            let input = build.stand(input, stand, 6, 1);
            let left = rows.iter().filter(|row| !stand.dropped() || row[1] == int(1));
            let mut groups: BTreeMap<Vec<Cell>, Vec<&Row>> = BTreeMap::new();
            left.for_each(|r| groups.entry(keys.iter().map(|k| r[*k].clone()).collect()).or_default().push(r));
            let chosen = if keys.len() == 2 { folds() } else { folds().into_iter().skip(keys[0]).step_by(5).collect() };
            let outputs: Vec<RowColumn> = keys.iter().map(|k| columns()[*k].clone()).chain(chosen.iter().map(|f| f.2.clone())).collect();
            let op = Operator::Group {
                input,
                keys: keys.clone(),
                folds: chosen.iter().map(|(op, when, _)| Fold { op: op.clone(), when: *when }).collect(),
            };
            let most = if keys == [1] { places.min(2) } else { places };
            build.push(op, most as u64, false, outputs);
            if places > 30 {
                let (sorts, on) = build.sorts("group");
                assert_eq!((sorts, on.contains("sorted at home by health")), (stand == Stand::Unknown, stand != Stand::Unknown), "{on}");
            }
            let expected = groups.iter().map(|(key, rows)| {
                let folds = chosen.iter().map(|(op, when, _)| folded(op, *when, rows));
                key.iter().cloned().chain(folds).collect()
            });
            build.expect(expected.collect());
        }
    }
}

/// One relation, two groups by different keys: the owner of the rows moves them from one order to the other.
#[test]
fn a_second_group_of_rows_needs_no_sort_either() {
    let mut dice = Dice(55);
    let plain = |(op, ..): &(FoldOp, Option<usize>, RowColumn)| matches!(op, FoldOp::Rows | FoldOp::Count(_) | FoldOp::Sum(_));
    let same = (FoldOp::Same(6), None, columns()[6].clone());
    for (count, places) in [(0, 0), (0, 3), (1, 4), (100, 100), (100, 107)] {
        for stand in [Stand::Otherwise, Stand::OtherwiseDropped] {
            for roomy in [true, false] {
                let mut rows = data(&mut dice, count, false);
                rows.iter_mut().for_each(|r| r[6] = int(number(&r[3]).map_or(5, |k| k % 7)));
                let mut build = Build::default();
                let home = build.home(Source::Party("transport".into()), places as u64, count == places, columns(), &rows);
                let input = build.stand(home, stand, 0, 1);
                let mut groups: BTreeMap<Cell, Vec<&Row>> = BTreeMap::new();
                let left = rows.iter().filter(|r| !stand.dropped() || r[1] == int(1));
                left.for_each(|r| groups.entry(r[3].clone()).or_default().push(r));
                let chosen: Vec<_> = folds().into_iter().filter(plain).chain([same.clone()]).collect();
                let outputs: Vec<RowColumn> = [columns()[3].clone()].into_iter().chain(chosen.iter().map(|f| f.2.clone())).collect();
                let folds = chosen.iter().map(|(op, when, _)| Fold { op: op.clone(), when: *when }).collect();
                // fewer places than rows: rows that were dropped must not take the places of groups
                let room = if roomy { places } else { places.min(33) };
                build.push(Operator::Group { input, keys: vec![3], folds }, room as u64, false, outputs);
                // fewer are compared with one another as quickly
                if places > 90 {
                    let words = "sorted at home by transport, who moves the rows from another order";
                    assert_eq!(build.ways("group"), [words, "by sorting"]);
                    assert!(!build.sorts("group").0, "nothing is sorted on shares");
                }
                let row = |(key, rows): (&Cell, &Vec<&Row>)| {
                    [key.clone()].into_iter().chain(chosen.iter().map(|(op, when, _)| folded(op, *when, rows))).collect()
                };
                build.expect(groups.iter().map(row).collect());
            }
        }
    }
}

#[test]
fn groups_that_their_owner_sorted_need_no_sort() {
    let mut dice = Dice(77);
    let plain = |(op, ..): &(FoldOp, Option<usize>, RowColumn)| matches!(op, FoldOp::Rows | FoldOp::Count(_) | FoldOp::Sum(_));
    let same = (FoldOp::Same(6), None, columns()[6].clone());
    for (count, places) in [(0, 0), (0, 3), (1, 1), (1, 4), (40, 40), (60, 67), (200, 260)] {
        for dropped in [false, true] {
            let mut rows = data(&mut dice, count, false);
            // a key with enough values to be worth a sort, and a function of it; 0 is a key, and so is NULL
            rows.iter_mut().for_each(|r| r[6] = int(number(&r[3]).map_or(5, |k| k % 7)));
            let mut build = Build::default();
            let home = build.home(Source::Party("energy".into()), places as u64, count == places, columns(), &rows);
            let input = if dropped { kept(&mut build, home, 1) } else { home };
            let left: Vec<&Row> = rows.iter().filter(|r| !dropped || r[1] == int(1)).collect();
            let mut groups: BTreeMap<Cell, Vec<&Row>> = BTreeMap::new();
            left.iter().for_each(|r| groups.entry(r[3].clone()).or_default().push(r));
            let chosen: Vec<_> = folds().into_iter().filter(plain).chain([same.clone()]).collect();
            let outputs: Vec<RowColumn> = [columns()[3].clone()].into_iter().chain(chosen.iter().map(|f| f.2.clone())).collect();
            let folds = chosen.iter().map(|(op, when, _)| Fold { op: op.clone(), when: *when }).collect();
            // groups of dropped rows alone need room, too
            let room = if count == places && !dropped { places.min(33) } else { places };
            build.push(Operator::Group { input, keys: vec![3], folds }, room as u64, false, outputs);
            // fewer are sorted as quickly as their counts are compared with 0
            if places > 90 {
                assert_eq!(build.ways("group"), ["sorted at home by energy", "by sorting"]);
            }
            let expected = groups
                .iter()
                .map(|(key, rows)| [key.clone()].into_iter().chain(chosen.iter().map(|(op, when, _)| folded(op, *when, rows))).collect());
            build.expect(expected.collect());
        }
    }
}

#[test]
fn groups_by_keys_of_few_values_have_a_mask_each() {
    let mut dice = Dice(4);
    for (count, places, spare) in [(0, 20, 0), (1, 30, 3), (60, 60, 0), (400, 420, 9)] {
        for keys in [vec![0, 1], vec![2], vec![]] {
            let rows = data(&mut dice, count, false);
            let mut build = Build::default();
            let input = build.private(2, places, columns(), &rows);
            let input = build.stand(input, Stand::Unknown, 6, 1);
            let mut groups: BTreeMap<Vec<Cell>, Vec<&Row>> = BTreeMap::new();
            rows.iter().for_each(|r| groups.entry(keys.iter().map(|k| r[*k].clone()).collect()).or_default().push(r));
            let plain = |(op, ..): &(FoldOp, Option<usize>, RowColumn)| matches!(op, FoldOp::Rows | FoldOp::Count(_) | FoldOp::Sum(_));
            let chosen: Vec<_> = folds().into_iter().filter(plain).collect();
            let outputs: Vec<RowColumn> = keys.iter().map(|k| columns()[*k].clone()).chain(chosen.iter().map(|f| f.2.clone())).collect();
            let folds = chosen.iter().map(|(op, when, _)| Fold { op: op.clone(), when: *when }).collect();
            let tuples = [1, 3, 10][keys.len()];
            build.push(Operator::Group { input, keys: keys.clone(), folds }, tuples + spare, false, outputs);
            let ways = build.ways("group");
            assert!(ways[0].contains("masks") && ways[1] == "by sorting", "{ways:?}");
            let expected = groups.iter().map(|(key, rows)| {
                let folds = chosen.iter().map(|(op, when, _)| folded(op, *when, rows));
                key.iter().cloned().chain(folds).collect()
            });
            build.expect(expected.collect());
        }
    }
}

#[test]
fn distinct_rows_and_totals_over_an_order() {
    let mut dice = Dice(2);
    for ((count, places), stand) in [(0, 0), (0, 3), (1, 2), (30, 33)].into_iter().flat_map(|size| Stand::ALL.map(|stand| (size, stand))) {
        let rows = data(&mut dice, count, false);
        let mut build = Build::default();
        let input = build.private(0, places, columns(), &rows);
        let input = build.stand(input, stand, 1, 1);
        let rows: Vec<Row> = rows.into_iter().filter(|row| !stand.dropped() || row[1] == int(1)).collect();
        build.push(
            Operator::Group { input, keys: vec![0, 6], folds: vec![] },
            places,
            false,
            vec![columns()[0].clone(), columns()[6].clone()],
        );
        let mut distinct: Vec<Row> = rows.iter().map(|r| vec![r[0].clone(), r[6].clone()]).collect();
        distinct.sort();
        distinct.dedup();
        build.expect(distinct);

        let all: Vec<&Row> = rows.iter().collect();
        let outputs = folds().into_iter().map(|f| f.2).collect();
        let op = Operator::Total { input, folds: folds().into_iter().map(|(op, when, _)| Fold { op, when }).collect() };
        build.push(op, 1, true, outputs);
        if places > 30 {
            assert_eq!(build.sorts("total").0, stand == Stand::Unknown);
        }
        build.expect(vec![folds().iter().map(|(op, when, _)| folded(op, *when, &all)).collect()]);
    }
}

/// Rows of every kind of key and value; a quarter of them is to be dropped by column 1.
fn of_every_kind(count: usize, kind: usize) -> Vec<Row> {
    let mut dice = Dice(count as u64);
    let (keys, values) = (now_and_then(kinds(count)[kind].clone(), 7), now_and_then(kinds(count)[(kind + 1) % 4].clone(), 5));
    let mut rows = data(&mut dice, count, false);
    for ((row, key), value) in rows.iter_mut().zip(keys).zip(values) {
        row[0] = key;
        row[3] = number(&value).map(|v| Value::Int(v % 32));
        row[1] = int(i128::from(dice.below(4) > 0));
        row[7] = row[3].clone();
    }
    rows
}

/// [`columns`] with a key of eight bits.
fn wide_key() -> Vec<RowColumn> {
    [vec![column(planes(8), true)], columns()[1..].to_vec()].concat()
}

#[test]
fn folds_of_every_kind_of_key_at_every_size() {
    let chosen = folds();
    let (folds, outputs): (Vec<Fold>, Vec<RowColumn>) =
        chosen.iter().map(|(op, when, column)| (Fold { op: op.clone(), when: *when }, column.clone())).unzip();
    for count in EDGES {
        for kind in 0..4 {
            let rows = of_every_kind(count, kind);
            let dropped = (count + kind) % 2 == 1;
            let left: Vec<&Row> = rows.iter().filter(|r| !dropped || r[1] == int(1)).collect();
            let mut build = Build::default();
            let home = build.private(kind % 3, (count + kind) as u64, wide_key(), &rows);
            let input = if dropped { kept(&mut build, home, 1) } else { home };
            let places = build.relations[input.0].places;
            build.push(
                Operator::Group { input, keys: vec![0], folds: folds.clone() },
                places,
                false,
                [wide_key()[..1].to_vec(), outputs.clone()].concat(),
            );
            let mut groups: BTreeMap<Cell, Vec<&Row>> = BTreeMap::new();
            left.iter().for_each(|r| groups.entry(r[0].clone()).or_default().push(r));
            let of = |rows: &[&Row]| chosen.iter().map(|(op, when, _)| folded(op, *when, rows)).collect::<Row>();
            build.expect(groups.iter().map(|(key, rows)| [vec![key.clone()], of(rows)].concat()).collect());
            build.push(Operator::Total { input, folds: folds.clone() }, 1, true, outputs.clone());
            build.expect(vec![of(&left)]);
        }
    }
}

#[test]
fn first_rows_of_every_kind_of_key_at_every_size() {
    for count in EDGES {
        for kind in 0..4 {
            let rows = of_every_kind(count, kind);
            let mut build = Build::default();
            let home = build.private(kind % 3, (count + kind) as u64, wide_key(), &rows);
            let input = if kind % 2 == 0 { kept(&mut build, home, 1) } else { home };
            let mut left: Vec<&Row> = rows.iter().filter(|r| kind % 2 == 1 || r[1] == int(1)).collect();
            let by = SortKey { column: 0, descending: kind > 1, nulls_first: kind == 3 };
            let (skip, take) = (count as u64 / 8, count as u64 / 2 + 1);
            build.push(Operator::Top { input, by: vec![by], unique: false, skip }, take, false, wide_key());
            let rank = |row: &Row| match number(&row[0]) {
                None => (!by.nulls_first, 0),
                Some(v) => (by.nulls_first, if by.descending { -v } else { v }),
            };
            left.sort_by_key(|row| rank(row));
            let expected: Vec<_> = left.iter().skip(skip as usize).take(take as usize).map(|row| rank(row)).collect();
            for opened in build.opened(true) {
                assert_eq!(opened.iter().map(rank).collect::<Vec<_>>(), expected);
                let mut left = left.clone();
                for row in &opened {
                    let at = left.iter().position(|r| *r == row).expect("an opened row is one of the rows");
                    left.remove(at);
                }
            }
        }
    }
}

#[test]
fn first_rows() {
    let mut dice = Dice(8);
    for (count, places, skip, take) in [
        (0, 0, 0, 0),
        (0, 0, 2, 1),
        (0, 3, 1, 2),
        (1, 1, 0, 1),
        (1, 1, 0, 4),
        (1, 1, 3, 5),
        (20, 20, 0, 20),
        (30, 37, 3, 5),
        (30, 37, 28, 9),
        (30, 37, 35, 4),
    ] {
        let orders = [(false, false, true), (true, false, true), (false, true, false), (true, true, false)];
        for ((descending, nulls_first, full_key), stand) in orders.into_iter().flat_map(|order| Stand::ALL.map(|stand| (order, stand))) {
            let rows = data(&mut dice, count, false);
            let mut build = Build::default();
            let full = count as u64 == places;
            let input = build.home(Source::Party("transport".into()), places, full, columns(), &rows);
            let input = build.stand(input, stand, 6, 1);
            let rows: Vec<Row> = rows.into_iter().filter(|row| !stand.dropped() || row[1] == int(1)).collect();
            let full = full && !stand.dropped();
            let key = |column| SortKey { column, descending, nulls_first };
            let by = if full_key { vec![key(0), key(3)] } else { vec![key(0)] };
            let columns = columns();
            build.push(
                Operator::Top { input, by: by.clone(), unique: false, skip },
                take,
                full && skip + take <= places && take != 5,
                columns,
            );
            if places > 30 {
                // who knows how ties stand could tell which rows were dropped from who comes out
                let (sorts, on) = build.sorts("sort");
                let known = !stand.dropped() && stand != Stand::Unknown;
                assert_eq!((sorts, on.contains("sorted at home by transport")), (!known, known), "{on}");
            }
            let rank = |row: &Row| -> Vec<(bool, i128)> {
                let of = |k: &SortKey| match number(&row[k.column]) {
                    None => (!nulls_first, 0),
                    Some(v) => (nulls_first, if descending { -v } else { v }),
                };
                by.iter().map(of).collect()
            };
            let mut sorted = rows.clone();
            sorted.sort_by_key(rank);
            let expected: Vec<_> = sorted.iter().skip(skip as usize).take(take as usize).map(rank).collect();
            for opened in build.opened(true) {
                // ties are broken at random: the ranks are those of the order, and the rows are rows
                assert_eq!(opened.iter().map(rank).collect::<Vec<_>>(), expected);
                let mut left = rows.clone();
                for row in opened {
                    let at = left.iter().position(|r| *r == row).expect("an opened row is one of the rows");
                    left.remove(at);
                }
            }
        }
    }
}

#[test]
fn first_rows_where_none_are_equal() {
    let columns = || vec![column(planes(7), true), column(RowForm::Bit, false), column(field(Ring::Fp61), true), column(planes(7), false)];
    for (count, places, skip, take) in [(0, 0, 0, 0), (1, 3, 0, 2), (37, 37, 0, 37), (37, 40, 3, 5), (37, 40, 30, 9), (100, 101, 40, 60)] {
        for (stand, (descending, nulls_first)) in
            Stand::ALL.into_iter().flat_map(|s| [(false, true), (true, false)].map(|order| (s, order)))
        {
            let mut dice = Dice(count);
            let rows: Vec<Row> = (0..count as i128)
                .map(|at| vec![if at == 7 { None } else { int(at * 37 % 101) }, int(i128::from(at % 3 > 0)), dice.cell(90, true), int(at)])
                .collect();
            let mut build = Build::default();
            let full = count == places;
            let input = build.home(Source::Party("transport".into()), places, full, columns(), &rows);
            let input = build.stand(input, stand, 3, 1);
            let by = vec![SortKey { column: 0, descending, nulls_first }];
            let full = full && !stand.dropped() && skip + take <= places;
            build.push(Operator::Top { input, by, unique: true, skip }, take, full, columns());
            if places > 30 {
                // nobody is missed among equals, so that their owner may know the order of rows that others dropped
                let (sorts, on) = build.sorts("sort");
                let known = stand != Stand::Unknown;
                assert_eq!((sorts, on.contains("sorted at home by transport")), (!known, known), "{on}");
            }
            let mut left: Vec<Row> = rows.into_iter().filter(|row| !stand.dropped() || row[1] == int(1)).collect();
            left.sort_by_key(|row| match number(&row[0]) {
                None => (!nulls_first, 0),
                Some(v) => (nulls_first, if descending { -v } else { v }),
            });
            let expected: Vec<Row> = left.into_iter().skip(skip as usize).take(take as usize).collect();
            for opened in build.opened(true) {
                assert_eq!(opened, expected, "{stand:?}");
            }
        }
    }
}

#[test]
fn who_is_first_among_equals_says_nothing_of_the_order_at_home() {
    let rows: Vec<Row> = (0..64).map(|row| vec![int(1), int(row)]).collect();
    for stand in [Stand::Sorted, Stand::Otherwise, Stand::Unknown] {
        let mut build = Build::default();
        let columns = vec![column(planes(1), false), column(planes(6), false)];
        let home = build.home(Source::Party("energy".into()), 64, true, columns.clone(), &rows);
        let input = build.stand(home, stand, 1, 0);
        let by = vec![SortKey { column: 0, descending: false, nulls_first: false }];
        build.push(Operator::Top { input, by, unique: false, skip: 0 }, 60, true, columns);
        for opened in build.opened(true) {
            assert!(opened.len() == 60 && !opened.is_sorted(), "{stand:?}");
        }
    }
}
