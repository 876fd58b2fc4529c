//! What it costs that ties are broken at random.

use super::*;

#[test]
fn peers_whose_order_is_seen_are_shuffled() {
    let element = Moved { fp61: 1, ..Moved::default() };
    let fold = || Fold { op: FoldOp::Sum(3), when: None };
    let sum = |places, row, unique, function| window_of(places, row, unique, vec![(function, column(field(Ring::Fp61), false))]);
    for places in SIZES {
        for row in [false, true] {
            let running = Function::Running { fold: fold(), peers: false };
            let shuffled = cost::shuffle(moved(row).message(places), 0);
            let (sorted, turn) = sort(places, PARTITION + ORDER + usize::from(row), moved(row), 1);
            let formula = shuffled.then(sorted).then(partitions(places, row, element, turn));
            assert_eq!(sum(places, row, false, running), formula, "{places} {row}");
            // it is not seen
            for function in [Function::Whole(fold()), Function::Running { fold: fold(), peers: true }] {
                assert_eq!(sum(places, row, false, function.clone()), sum(places, row, true, function), "{places} {row}");
            }
        }
    }
}

#[test]
fn first_rows_of_which_none_are_equal() {
    let by = || vec![SortKey { column: 1, descending: true, nulls_first: false }];
    let top = |build: &mut Build, input, places: usize, full| {
        build.push(Operator::Top { input, by: by(), unique: true, skip: 0 }, places as u64, full, columns());
        priced(build, "sort")
    };
    for places in SIZES {
        for row in [false, true] {
            let mut build = Build::default();
            let input = input(&mut build, places, row);
            let sorted = sort(places, ORDER + usize::from(row), moved(row), 0).0;
            assert_eq!(top(&mut build, input, places, !row), sorted, "{places} {row}");
        }
    }
    // an owner knows the order of its rows, of which others may have dropped some
    for places in SIZES.into_iter().filter(|places| *places > 60) {
        let message = moved(true).message(places);
        let front = cost::compact(places, index_bits(places), message, 0, Opening::Within);
        for (stand, formula) in [
            (Stand::Sorted, Cost::FREE),
            (Stand::Dropped, front),
            (Stand::OtherwiseDropped, cost::permute_by(PartyId(1), places, message).then(front)),
        ] {
            let mut build = Build::default();
            let with_bit = || [columns(), vec![column(RowForm::Bit, false)]].concat();
            let rows = build.private(1, places as u64, with_bit(), &[]);
            let rows = build.stand(rows, stand, 0, 4);
            // without the bit that says which are left
            let mut nodes = Vec::new();
            let mut node = |op, kind| {
                nodes.push(RowNode { op, kind });
                RowNodeId(nodes.len() - 1)
            };
            let out = columns().into_iter().enumerate().map(|(c, column)| {
                let kind =
                    if column.form.ring().is_some() { RowKind::Field(Ring::Fp61) } else { RowKind::Planes(column.form.width() as u32) };
                (node(RowOp::Column(c), kind), column.nullable.then(|| node(RowOp::Valid(c), RowKind::Bit)))
            });
            let out: Vec<_> = out.collect();
            let input = build.push(Operator::Map { input: rows, nodes, columns: out, keep: None }, places as u64, false, columns());
            assert_eq!(top(&mut build, input, places, false), formula, "{places} {stand:?}");
        }
    }
}
