//! Window functions.

use super::*;
use protocols::rows::Constant;

/// By partition and order and, if no rows are to be equal in both, the number that each row has for itself.
fn run(table: Clear, by: Vec<SortKey>, functions: Vec<(Function, ColumnShape)>) -> (Run, Vec<Row>) {
    let unique = by.iter().any(|key| key.column == OWN);
    let (functions, outputs): (Vec<_>, Vec<_>) = functions.into_iter().unzip();
    let expected = oracle::windows(&table.rows(), &[PARTITION], &by, &functions);
    let shape = Shape { columns: [columns(), outputs].concat(), ..table.shape() };
    (Run::new(vec![table], Op::Window { partition: vec![PARTITION], by, unique, functions }, shape), expected)
}

/// Orders in which no rows are equal: ascending and descending, NULL first and last.
fn orders() -> [Vec<SortKey>; 2] {
    let order = SortKey { column: ORDER, descending: true, nulls_first: false };
    [
        vec![order, ascending(OWN)],
        vec![SortKey { descending: false, nulls_first: true, ..order }, SortKey { descending: true, ..ascending(OWN) }],
    ]
}

fn number() -> ColumnShape {
    shape(Form::Planes(9), false)
}

fn numbers() -> Vec<(Function, ColumnShape)> {
    let functions = [Function::RowNumber, Function::Rank, Function::DenseRank];
    functions.into_iter().chain([1, 2, 3, 10, 100].map(Function::Ntile)).map(|function| (function, number())).collect()
}

/// Values of other rows: each kind of column, before and behind, near and far, with and without a default.
fn others() -> Vec<(Function, ColumnShape)> {
    let default = |column: usize| match columns()[column].form {
        Form::Planes(_) => Constant::Planes(vec![9]),
        _ => Constant::Element(-77),
    };
    let lag = |column: usize, by, default: Option<Constant>| {
        let nullable = default.is_none() || columns()[column].nullable;
        (Function::Lag { column, by, default }, ColumnShape { nullable, ..columns()[column] })
    };
    let all = [VALUE, NARROW, WIDE, OF_PARTITION].into_iter().flat_map(|column| [(column, 1), (column, -1), (column, 3), (column, 70)]);
    let all = all.flat_map(|(column, by)| [lag(column, by, None), lag(column, by, Some(default(column)))]);
    let first = [VALUE, NARROW, WIDE, ORDER].map(|column| (Function::First(column), columns()[column]));
    all.chain([lag(VALUE, 0, None)]).chain(first).collect()
}

/// Counts and sums: whole, running to the row and to its last peer, trailing.
fn sums() -> Vec<(Function, ColumnShape)> {
    let plain = |f: &Fold| matches!(f.op, FoldOp::Rows | FoldOp::Count(_) | FoldOp::Sum(_));
    let all = folds().into_iter().filter(plain).enumerate().flat_map(|(number, fold)| {
        let out = folded(&fold, if number % 2 == 0 { Form::Fp61 } else { Form::Fp127 });
        let running = [false, true].map(|peers| Function::Running { fold: fold.clone(), peers });
        let trailing = [0, 2, 1000].map(|before| Function::Trailing { fold: fold.clone(), before });
        running.into_iter().chain(trailing).chain([Function::Whole(fold)]).map(move |function| (function, out)).collect::<Vec<_>>()
    });
    all.collect()
}

/// Folds over partitions that take an order of their own.
fn ordered() -> Vec<(Function, ColumnShape)> {
    let folds = folds().into_iter().filter(|fold| !fold.is_plain()).chain([fold(FoldOp::Same(OF_PARTITION))]);
    folds.map(|fold| (Function::Whole(fold.clone()), folded(&fold, Form::Fp61))).collect()
}

#[test]
fn functions_of_rows_in_an_order() {
    for table in tables(&EDGES) {
        for (by, functions) in [numbers(), others(), sums(), ordered()].into_iter().enumerate() {
            let (mut run, expected) = run(table.clone(), orders()[by % 2].clone(), functions);
            for known in [false, true] {
                run.known = known;
                run.expect(expected.clone());
            }
        }
    }
}

#[test]
fn ties_are_broken_anyhow() {
    // what shows which of the peers is which is left out
    for table in tables(&EDGES) {
        for known in [false, true] {
            let (mut run, expected) = run(table.clone(), orders()[0][..1].to_vec(), numbers());
            run.keep = [PARTITION, ORDER].into_iter().chain(columns().len()..run.shape.columns.len()).collect();
            // ranks follow from the order, the rest from the row's number
            let kept = expected.iter().map(|row| run.keep.iter().map(|c| row[*c]).collect()).collect();
            run.known = known && table.row.is_none();
            run.expect(kept);
        }
    }
}

#[test]
fn sums_to_the_last_peer_are_those_of_all_peers() {
    let to_peers = |(function, _): &(Function, ColumnShape)| {
        matches!(function, Function::Running { peers: true, .. } | Function::Rank | Function::DenseRank)
    };
    for table in tables(&EDGES) {
        let functions = sums().into_iter().chain(numbers()).filter(to_peers).collect();
        let (run, expected) = run(table, orders()[0][..1].to_vec(), functions);
        run.expect(expected);
    }
}

#[test]
fn without_partitions_or_an_order() {
    for table in tables(&[0, 1, 65]) {
        let functions = [Function::Rank, Function::DenseRank, Function::Whole(fold(FoldOp::Max(VALUE)))];
        let outputs = vec![number(), number(), shape(Form::Planes(5), true)];
        for partition in [vec![], vec![PARTITION, OF_PARTITION]] {
            let expected = oracle::windows(&table.rows(), &partition, &[], &functions);
            let shape = Shape { columns: [columns(), outputs.clone()].concat(), ..table.shape() };
            let op = Op::Window { partition, by: vec![], unique: false, functions: functions.to_vec() };
            Run::new(vec![table.clone()], op, shape).expect(expected);
        }
    }
}

#[test]
fn three_parties_compute_windows_at_their_cost() {
    for (places, known) in [(0, false), (3, true), (65, false), (130, true)] {
        let table = Clear { row: masks(places)[1].clone(), ..table(places, 4) };
        let functions = [numbers(), others(), sums(), ordered()].concat();
        let few = |salt: usize| functions.iter().enumerate().filter(move |(at, _)| at % 3 == salt).map(|(_, f)| f.clone()).collect();
        for salt in 0..3 {
            let (mut run, expected) = run(table.clone(), orders()[0].clone(), few(salt));
            run.known = known;
            run.check(expected);
        }
        let (run, expected) = run(table, orders()[0][..1].to_vec(), numbers()[1..3].to_vec());
        run.check(expected);
    }
}
