//! Window functions and joins of many with many against the same in clear.

use super::*;
use query::plan::relation::{Constant, Fold, FoldOp, Function, SortKey};
use std::collections::BTreeMap;

/// Partition, order (distinct, then with ties), a value, a condition, two to add up.
fn columns() -> Vec<RowColumn> {
    vec![
        column(planes(2), true),
        column(planes(6), false),
        column(planes(2), true),
        column(planes(5), true),
        column(RowForm::Bit, true),
        column(field(Ring::Fp61), true),
        column(field(Ring::Fp127), false),
        // the value once more
        column(field(Ring::Fp61), true),
    ]
}

fn data(dice: &mut Dice, count: usize) -> Vec<Row> {
    let bounds = [(3, true), (64, false), (4, true), (32, true), (2, true), (100, true), (100, false)];
    let mut rows = dice.rows(count, &bounds);
    // the first order has no ties
    rows.iter_mut().enumerate().for_each(|(at, row)| row[1] = int((at as i128 * 37) % 64));
    rows.iter_mut().for_each(|row| row.push(row[3].clone()));
    rows
}

fn functions() -> Vec<(Function, RowColumn)> {
    let (number, small, wide) = (column(planes(8), false), column(field(Ring::Fp61), false), column(field(Ring::Fp127), false));
    let fold = |op, when| Fold { op, when };
    let running = |fold, peers| Function::Running { fold, peers };
    vec![
        (Function::RowNumber, number.clone()),
        (running(fold(FoldOp::Sum(5), None), false), small.clone()),
        (Function::Rank, number.clone()),
        (Function::Whole(fold(FoldOp::Sum(6), Some(4))), wide.clone()),
        (Function::DenseRank, number.clone()),
        (Function::Ntile(3), number.clone()),
        (Function::Whole(fold(FoldOp::Rows, None)), small.clone()),
        (Function::Ntile(1), number.clone()),
        (running(fold(FoldOp::Sum(6), Some(4)), true), wide.clone()),
        (away(3, 1, None), column(planes(5), true)),
        (away(5, 2, None), column(field(Ring::Fp61), true)),
        (away(6, -1, None), column(field(Ring::Fp127), true)),
        (away(3, -3, None), column(planes(5), true)),
        (away(3, 0, None), column(planes(5), true)),
        // a default, of columns with and without NULL
        (away(3, 1, Some(Constant::Planes(vec![22]))), column(planes(5), true)),
        (away(1, -2, Some(Constant::Planes(Vec::new()))), columns()[1].clone()),
        (away(4, -1, Some(Constant::Planes(vec![1]))), column(RowForm::Bit, true)),
        (away(5, -2, Some(Constant::Element(-7))), column(field(Ring::Fp61), true)),
        (away(6, 1, Some(Constant::Element(1 << 39))), column(field(Ring::Fp127), false)),
        (Function::Whole(fold(FoldOp::Max(3), None)), column(planes(5), true)),
        (running(fold(FoldOp::Rows, Some(4)), true), small.clone()),
        (Function::Whole(fold(FoldOp::CountDistinct(3), Some(4))), small.clone()),
        (running(fold(FoldOp::Count(3), None), false), wide.clone()),
        (Function::Whole(fold(FoldOp::SumDistinct { by: 3, of: 7 }, Some(4))), small.clone()),
        (Function::Ntile(40), number),
        (Function::Trailing { fold: fold(FoldOp::Sum(5), None), before: 2 }, small.clone()),
        (Function::Trailing { fold: fold(FoldOp::Sum(6), Some(4)), before: 0 }, wide.clone()),
        (Function::Trailing { fold: fold(FoldOp::Rows, Some(4)), before: 7 }, small.clone()),
        (Function::Trailing { fold: fold(FoldOp::Count(3), None), before: u64::MAX }, wide),
        (Function::First(3), column(planes(5), true)),
        (Function::First(6), column(field(Ring::Fp127), false)),
        (Function::First(5), column(field(Ring::Fp61), true)),
        (Function::First(4), column(RowForm::Bit, true)),
        (Function::Whole(fold(FoldOp::Count(5), None)), small),
        (
            Function::Whole(fold(FoldOp::Percentile { column: 3, of: (1, 2), lower: true, discrete: false, descending: false }, None)),
            column(planes(5), true),
        ),
    ]
}

fn away(column: usize, by: i64, default: Option<Constant>) -> Function {
    Function::Lag { column, by, default }
}

fn folded(fold: &Fold, rows: &[&Row]) -> Cell {
    let rows: Vec<&&Row> = rows.iter().filter(|r| fold.when.is_none_or(|w| r[w] == int(1))).collect();
    let values = |c: usize| {
        let mut values: Vec<Value> = rows.iter().filter_map(|r| r[c].clone()).collect();
        values.sort();
        values
    };
    match &fold.op {
        FoldOp::Rows => int(rows.len() as i128),
        FoldOp::Count(c) => int(values(*c).len() as i128),
        FoldOp::Sum(c) => int(rows.iter().filter_map(|r| number(&r[*c])).sum()),
        FoldOp::Max(c) => values(*c).last().cloned(),
        FoldOp::CountDistinct(c) => {
            let mut values = values(*c);
            values.dedup();
            int(values.len() as i128)
        }
        FoldOp::SumDistinct { by, .. } => {
            let mut values = values(*by);
            values.dedup();
            int(values.into_iter().filter_map(|v| number(&Some(v))).sum())
        }
        FoldOp::Percentile { column, .. } => {
            let values = values(*column);
            values.get(values.len().saturating_sub(1) / 2).cloned()
        }
        FoldOp::Min(_) | FoldOp::Same(_) => panic!("not asked for"),
    }
}

/// A function at row `at` of a partition sorted by `rank`.
fn value(function: &Function, rows: &[&Row], at: usize, rank: &dyn Fn(&Row) -> Vec<(bool, i128)>) -> Cell {
    let mine = rank(rows[at]);
    let before = rows.iter().filter(|r| rank(r) < mine).count();
    let peers = rows.iter().filter(|r| rank(r) <= mine).count();
    match function {
        Function::RowNumber => int(at as i128 + 1),
        Function::Rank => int(before as i128 + 1),
        Function::DenseRank => {
            let mut ranks: Vec<_> = rows[..before].iter().map(|r| rank(r)).collect();
            ranks.dedup();
            int(ranks.len() as i128 + 1)
        }
        Function::Ntile(n) => {
            let n = *n as usize;
            let (size, rest) = (rows.len() / n, rows.len() % n);
            let tile = if at < rest * (size + 1) { at / (size + 1) } else { rest + (at - rest * (size + 1)) / size };
            int(tile as i128 + 1)
        }
        Function::Lag { column, by, default } => match (usize::try_from(at as i64 - by).ok().and_then(|r| rows.get(r)), default) {
            (Some(row), _) => row[*column].clone(),
            (None, None) => None,
            (None, Some(Constant::Planes(limbs))) => int(limbs.first().copied().unwrap_or(0).into()),
            (None, Some(Constant::Element(value))) => int(*value),
        },
        Function::Whole(fold) => folded(fold, rows),
        Function::Running { fold, peers: true } => folded(fold, &rows[..peers]),
        Function::Running { fold, peers: false } => folded(fold, &rows[..=at]),
        Function::Trailing { fold, before } => folded(fold, &rows[at.saturating_sub(usize::try_from(*before).unwrap_or(usize::MAX))..=at]),
        Function::First(column) => rows[0][*column].clone(),
    }
}

#[test]
fn window_functions() {
    let mut dice = Dice(31);
    for (count, places) in [(0, 0), (0, 2), (1, 1), (1, 3), (30, 30), (40, 47)] {
        let orders = [(vec![0], vec![1], false), (vec![], vec![2], true), (vec![0, 4], vec![2], true), (vec![0], vec![], true)];
        for ((partition, by, ties), stand) in orders.into_iter().flat_map(|order| Stand::ALL.map(|stand| (order.clone(), stand))) {
            let rows = data(&mut dice, count);
            let by: Vec<SortKey> = by
                .into_iter()
                .map(|column| SortKey { column, descending: partition.len() == 1, nulls_first: partition.is_empty() })
                .collect();
            // what depends on the order of ties is asked for without ties only
            let tied = |f: &Function| match f {
                Function::RowNumber | Function::Ntile(2..) | Function::Running { peers: false, .. } => false,
                Function::Trailing { .. } | Function::First(_) => false,
                Function::Lag { by, .. } => *by == 0,
                _ => true,
            };
            let chosen: Vec<(Function, RowColumn)> = functions().into_iter().filter(|(f, _)| !ties || tied(f)).collect();
            let mut build = Build::default();
            let full = count as u64 == places;
            let input = build.home(Source::Party("energy".into()), places, full, columns(), &rows);
            let input = build.stand(input, stand, 3, 4);
            let full = full && !stand.dropped();
            let rows: Vec<Row> = rows.into_iter().filter(|row| !stand.dropped() || row[4] == int(1)).collect();
            let (functions, outputs): (Vec<Function>, Vec<RowColumn>) = chosen.into_iter().unzip();
            let expected = computed(&rows.iter().collect::<Vec<_>>(), &partition, &by, &functions);
            // whether or not the catalogue says that there are no ties
            for unique in [!ties, false] {
                let mut build = Build { relations: build.relations.clone(), tables: build.tables.clone() };
                let (partition, by, functions) = (partition.clone(), by.clone(), functions.clone());
                build.push(
                    Operator::Window { input, partition, by, unique, functions },
                    places,
                    full,
                    [columns(), outputs.clone()].concat(),
                );
                if places > 30 {
                    let known = stand != Stand::Unknown && (unique || ties || !stand.dropped());
                    let (sorts, on) = build.sorts("window");
                    assert_eq!((sorts, on.contains("sorted at home by energy")), (!known, known), "{on}");
                }
                build.expect(expected.clone());
                if ties {
                    break;
                }
            }
        }
    }
}

/// The rows with what the functions are, in clear.
fn computed(rows: &[&Row], partition: &[usize], by: &[SortKey], functions: &[Function]) -> Vec<Row> {
    let rank = |row: &Row| -> Vec<(bool, i128)> {
        let of = |k: &SortKey| match number(&row[k.column]) {
            None => (!k.nulls_first, 0),
            Some(v) => (k.nulls_first, if k.descending { -v } else { v }),
        };
        by.iter().map(of).collect()
    };
    let mut partitions: BTreeMap<Vec<Cell>, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|r| partitions.entry(partition.iter().map(|k| r[*k].clone()).collect()).or_default().push(r));
    let mut all = Vec::new();
    for rows in partitions.values_mut() {
        rows.sort_by_key(|r| rank(r));
        for at in 0..rows.len() {
            all.push(rows[at].iter().cloned().chain(functions.iter().map(|f| value(f, rows, at, &rank))).collect());
        }
    }
    all
}

#[test]
fn how_peers_are_numbered_says_nothing_of_the_order_at_home() {
    let fold = || Fold { op: FoldOp::Rows, when: None };
    let asked = [
        (Function::RowNumber, column(planes(8), false)),
        (Function::Ntile(64), column(planes(8), false)),
        (away(1, 1, None), column(planes(6), true)),
        (away(1, -1, None), column(planes(6), true)),
        (Function::Running { fold: fold(), peers: false }, column(field(Ring::Fp61), false)),
        (Function::Trailing { fold: fold(), before: 40 }, column(field(Ring::Fp61), false)),
    ];
    // equal in partition and order, as they stand at home; all but one in eight are left
    let rows: Vec<Row> = (0..64).map(|row| vec![int(1), int(row), int(i128::from(row % 8 > 0))]).collect();
    for stand in Stand::ALL {
        let mut build = Build::default();
        let columns = vec![column(planes(1), false), column(planes(6), false), column(RowForm::Bit, false)];
        let home = build.home(Source::Party("energy".into()), 64, true, columns.clone(), &rows);
        let input = build.stand(home, stand, 1, 2);
        for by in [vec![SortKey { column: 0, descending: false, nulls_first: false }], Vec::new()] {
            let mut build = Build { relations: build.relations.clone(), tables: build.tables.clone() };
            let (functions, outputs): (Vec<_>, Vec<_>) = asked.iter().cloned().unzip();
            let op = Operator::Window { input, partition: vec![0], by, unique: false, functions };
            build.push(op, 64, !stand.dropped(), [columns.clone(), outputs].concat());
            for mut opened in build.opened(false) {
                opened.sort_by_key(|row| number(&row[1]));
                for (at, (function, _)) in asked.iter().enumerate() {
                    let shown: Vec<&Value> = opened.iter().filter_map(|row| row[columns.len() + at].as_ref()).collect();
                    assert!(!shown.is_sorted(), "{stand:?} {function:?} {shown:?}");
                }
            }
        }
    }
}

#[test]
fn window_functions_of_every_kind_of_key_at_every_size() {
    let wide = || [vec![column(planes(8), true), column(planes(8), false), column(planes(8), true)], columns()[3..].to_vec()].concat();
    let of_wide = |(function, output)| match function {
        Function::Lag { column: 1, .. } => (function, column(planes(8), false)),
        _ => (function, output),
    };
    for count in EDGES {
        for kind in 0..4 {
            let mut dice = Dice(count as u64);
            let mut rows = data(&mut dice, count);
            let partition = now_and_then(kinds(count)[kind].clone(), 9);
            // an order without ties: sorted, reversed, or neither
            let n = count as i128;
            for (at, (row, partition)) in (0..n).zip(rows.iter_mut().zip(partition)) {
                row[0] = partition;
                row[1] = int([at, n - at, at * 37 % 251][kind % 3]);
                row[4] = if dice.below(9) == 0 { None } else { int(i128::from(dice.below(4) > 0)) };
            }
            let dropped = kind % 2 == 0;
            let left: Vec<&Row> = rows.iter().filter(|r| !dropped || r[4] == int(1)).collect();
            let mut build = Build::default();
            let home = build.private(kind % 3, (count + kind) as u64, wide(), &rows);
            let input = if dropped { kept(&mut build, home, 4) } else { home };
            let by = vec![SortKey { column: 1, descending: kind > 1, nulls_first: false }];
            let (functions, outputs): (Vec<Function>, Vec<RowColumn>) = functions().into_iter().map(of_wide).unzip();
            let (unique, partition) = (kind % 2 == 1, vec![0]);
            let op = Operator::Window { input, partition, by: by.clone(), unique, functions: functions.clone() };
            build.push(op, (count + kind) as u64, false, [wide(), outputs].concat());
            build.expect(computed(&left, &[0], &by, &functions));
        }
    }
}

#[test]
fn pairs_of_every_kind_of_key_at_every_size() {
    for count in EDGES {
        for kind in 0..4 {
            let mut dice = Dice(count as u64);
            let keys = now_and_then(kinds(count)[kind].clone(), 6);
            let many: Vec<Row> = keys.into_iter().map(|key| vec![key, int(i128::from(dice.below(3) > 0)), dice.cell(90, true)]).collect();
            // a few rows with keys of the others, so that equal keys are some hundred pairs
            let few: Vec<Row> = many.iter().step_by(40).cloned().chain([vec![int(1), int(1), int(5)], vec![None, int(1), None]]).collect();
            let columns = vec![column(planes(8), true), column(RowForm::Bit, false), column(field(Ring::Fp61), true)];
            let mut build = Build::default();
            let home = build.private(0, (count + kind) as u64, columns.clone(), &many);
            let left = kept(&mut build, home, 1);
            let right = build.private(2, few.len() as u64, columns.clone(), &few);
            let meets = |a: &Row, b: &Row| a[1] == int(1) && a[0].is_some() && a[0] == b[0];
            let pairs = many.iter().flat_map(|a| few.iter().filter(move |b| meets(a, b)).map(move |b| [a.clone(), b.clone()].concat()));
            let pairs: Vec<Row> = pairs.collect();
            let places = pairs.len().max(1) as u64;
            build.push(Operator::Pairs { left, right, on: vec![(0, 0)] }, places, false, [columns.clone(), columns].concat());
            build.expect(pairs);
        }
    }
}

#[test]
fn pairs_of_rows() {
    let mut dice = Dice(6);
    for (left, right, nullable) in [(0, 3, true), (4, 0, true), (1, 1, false), (12, 9, true), (9, 20, false)] {
        let (a, b) = (dice.rows(left, &[(4, nullable), (50, true)]), dice.rows(right, &[(90, false), (4, nullable)]));
        let mut build = Build::default();
        let l = build.private(0, left as u64 + 1, vec![column(planes(2), nullable), column(field(Ring::Fp61), true)], &a);
        let of_right = vec![column(field(Ring::Fp127), false), column(planes(2), nullable)];
        let r = build.home(Source::Party("health".into()), right as u64, true, of_right, &b);
        let columns = [build.columns(l), build.columns(r)].concat();
        let pairs = a.iter().flat_map(|a| b.iter().filter(|b| a[0].is_some() && a[0] == b[1]).map(|b| [a.clone(), b.clone()].concat()));
        let pairs: Vec<Row> = pairs.collect();
        for spare in [0, 5] {
            let places = (pairs.len() as u64 + spare).max(1);
            build.push(Operator::Pairs { left: l, right: r, on: vec![(0, 1)] }, places, false, columns.clone());
            build.expect(pairs.clone());
        }
    }
}
