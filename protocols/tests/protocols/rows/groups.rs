//! Groups, by sorting, in an order that their owner knows, and by masks; and one row for all.

use super::*;

/// Groups by these keys, with counts in this field.
fn run(table: Clear, op: Op, counts: Form) -> (Run, Vec<Row>) {
    let (keys, folds) = match &op {
        Op::Group { keys, folds } | Op::AsTheyAre { keys, folds } | Op::Masks { keys, folds, .. } => (keys, folds),
        _ => unreachable!("groups"),
    };
    let outputs = keys.iter().map(|k| columns()[*k]).chain(folds.iter().map(|fold| folded(fold, counts))).collect();
    let groups = oracle::groups(&table.rows(), keys);
    let expected = groups.into_iter().map(|(key, rows)| key.into_iter().chain(folds.iter().map(|f| oracle::fold(f, &rows))).collect());
    let expected = expected.collect();
    (Run::new(vec![table.clone()], op, Shape { places: table.cells.len(), full: false, columns: outputs }), expected)
}

/// Folds of every kind, which are over groups by the partition.
fn all() -> Vec<Fold> {
    folds().into_iter().chain([fold(FoldOp::Same(OF_PARTITION))]).collect()
}

#[test]
fn folds_of_every_group() {
    for table in tables(&EDGES) {
        for (keys, counts) in [(vec![PARTITION], Form::Fp61), (vec![], Form::Fp127), (vec![PARTITION, ORDER], Form::Fp127)] {
            let folds = if keys.is_empty() { folds() } else { all() };
            let (mut run, expected) = run(table.clone(), Op::Group { keys, folds }, counts);
            for known in [false, true] {
                run.known = known;
                run.expect(expected.clone());
            }
        }
    }
}

#[test]
fn distinct_rows_are_groups_without_folds() {
    for table in tables(&EDGES) {
        let keys = vec![ORDER, VALUE];
        let (run, expected) = run(table, Op::Group { keys, folds: vec![] }, Form::Fp61);
        run.expect(expected);
    }
}

#[test]
fn wide_keys_are_grouped_by_a_digest() {
    for table in tables(&[2, 65]) {
        // 100 bits that say the partition
        let mut table = table;
        table.columns[OWN].form = Form::Planes(100);
        table.cells.iter_mut().for_each(|row| row[OWN] = row[PARTITION].map_or(Some(1 << 99), |p| Some(p << 90 | 5)));
        let groups = oracle::groups(&table.rows(), &[OWN, ORDER]);
        let expected = groups.into_iter().map(|(key, rows)| [key, vec![Some(rows.len() as i128)]].concat()).collect();
        let op = Op::Group { keys: vec![OWN, ORDER], folds: vec![fold(FoldOp::Rows)] };
        let columns = vec![table.columns[OWN], table.columns[ORDER], shape(Form::Fp61, false)];
        let shape = Shape { places: table.cells.len(), full: false, columns };
        Run::new(vec![table], op, shape).expect(expected);
    }
}

#[test]
fn rows_that_stand_side_by_side_stay_where_they_are() {
    let plain = || all().into_iter().filter(Fold::is_plain).collect::<Vec<_>>();
    for table in tables(&EDGES) {
        for keys in [vec![PARTITION], vec![PARTITION, OF_PARTITION]] {
            let (run, expected) = run(table.clone(), Op::AsTheyAre { keys, folds: plain() }, Form::Fp61);
            run.expect(expected);
        }
    }
}

/// Every partition, NULL among them, and values that no row has.
fn tuples() -> Vec<Tuple> {
    (0..8).map(|p| vec![Some(p)]).chain([vec![None]]).collect()
}

#[test]
fn few_tuples_have_a_mask_each() {
    let plain = || folds().into_iter().filter(|fold| !fold.needs_order()).collect::<Vec<_>>();
    for table in tables(&EDGES) {
        for (counts, spare) in [(Form::Fp61, 0), (Form::Fp127, 5)] {
            let op = Op::Masks { keys: vec![PARTITION], folds: plain(), tuples: tuples() };
            let (mut run, expected) = run(table.clone(), op, counts);
            run.shape.places = tuples().len() + spare;
            run.expect(expected);
        }
    }
}

/// One row for all.
fn total(table: Clear, folds: Vec<Fold>, counts: Form) -> (Run, Vec<Row>) {
    let columns = folds.iter().map(|fold| folded(fold, counts)).collect();
    let expected = vec![folds.iter().map(|fold| oracle::fold(fold, &table.rows())).collect()];
    (Run::new(vec![table], Op::Total { folds }, Shape { places: 1, full: true, columns }), expected)
}

#[test]
fn one_row_for_all() {
    for table in tables(&EDGES) {
        for counts in [Form::Fp61, Form::Fp127] {
            let (mut run, expected) = total(table.clone(), folds(), counts);
            for known in [false, true] {
                run.known = known;
                run.expect(expected.clone());
            }
        }
    }
}

#[test]
fn three_parties_compute_groups_at_their_cost() {
    for (places, known) in [(0, false), (3, true), (65, false), (130, true)] {
        let table = Clear { row: masks(places)[1].clone(), ..table(places, 4) };
        let plain = || all().into_iter().filter(Fold::is_plain).collect::<Vec<_>>();
        let masked = plain().into_iter().filter(|fold| !fold.needs_order()).collect();
        let ops = [
            Op::Group { keys: vec![PARTITION], folds: all() },
            Op::AsTheyAre { keys: vec![PARTITION], folds: plain() },
            Op::Masks { keys: vec![PARTITION], folds: masked, tuples: tuples() },
        ];
        for op in ops {
            let few = matches!(op, Op::Masks { .. });
            let (mut run, expected) = run(table.clone(), op, Form::Fp61);
            run.known = known;
            run.shape.places = if few { tuples().len() } else { places };
            run.check(expected);
        }
        let (mut run, expected) = total(table, folds(), Form::Fp127);
        run.known = known;
        run.check(expected);
    }
}
