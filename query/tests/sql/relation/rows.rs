//! Rows at home, put together, totalled and released.

use super::*;
use query::plan::relation::{Fold, FoldOp};

fn every_form() -> Vec<RowColumn> {
    vec![
        column(RowForm::Bit, true),
        column(RowForm::Planes { scale: 2, offset: -500, width: 11 }, false),
        column(codes(), true),
        column(RowForm::Text { bytes: 20 }, true),
        column(RowForm::Field { ring: Ring::Fp61, scale: 1, min: -100, max: 100 }, false),
        column(field(Ring::Fp127), true),
        column(RowForm::Planes { scale: 0, offset: 7, width: 0 }, false),
    ]
}

fn some_rows() -> Vec<Row> {
    vec![
        vec![int(1), int(-500), text("ant"), text("Zürich, Bahnhofstr."), int(-100), int(1 << 40), int(7)],
        vec![None, int(1547), text("eel"), text(""), int(0), None, int(7)],
        vec![int(0), int(3), None, None, int(100), int(-5), int(7)],
    ]
}

#[test]
fn rows_of_every_form_come_back() {
    for places in [3, 4, 70] {
        let mut build = Build::default();
        build.private(1, places, every_form(), &some_rows());
        build.expect(some_rows());
    }
    let mut full = Build::default();
    full.home(Source::Party("health".into()), 3, true, every_form(), &some_rows());
    full.expect(some_rows());
    let mut public = Build::default();
    public.home(Source::Public, 3, true, every_form(), &some_rows());
    public.expect(some_rows());
    let mut none = Build::default();
    none.private(0, 5, every_form(), &[]);
    none.expect(Vec::new());
    let mut nowhere = Build::default();
    nowhere.private(0, 0, every_form(), &[]);
    nowhere.expect(Vec::new());
}

#[test]
fn rows_that_break_the_plan_are_refused_without_showing_a_value() {
    let refused = |columns: Vec<RowColumn>, rows: &[Row]| {
        let mut build = Build::default();
        build.private(0, 3, columns, rows);
        let plan = build.plan(false);
        let local = Local::new(64 << 20).expect("a runtime");
        let ground = Ground::new(&plan, &local, &build.tables).expect("nothing is public");
        build.inputs(&plan, &local, &ground).err().expect("must be refused").to_string()
    };
    let long = refused(vec![column(RowForm::Text { bytes: 3 }, false)], &[vec![text("Zür")]]);
    assert!(long.contains("more than 3 bytes") && long.contains('c') && !long.contains("Zür"), "{long}");
    let unlisted = refused(vec![column(codes(), false)], &[vec![text("gnu")]]);
    assert!(unlisted.contains("dictionary") && !unlisted.contains("gnu"), "{unlisted}");
    let range = refused(vec![column(planes(4), false)], &[vec![int(16)]]);
    assert!(range.contains("0 to 15") && !range.contains("16"), "{range}");
    let null = refused(vec![column(planes(4), false)], &[vec![None]]);
    assert!(null.contains("NULL"), "{null}");
    let many = refused(vec![column(planes(4), false)], &vec![vec![int(1)]; 4]);
    assert!(many.contains("max_rows"), "{many}");
}

#[test]
fn all_pairs_and_unions() {
    let mut dice = Dice(5);
    for (left, right) in [(3, 4), (0, 2), (1, 1), (9, 8)] {
        let (a, b) = (dice.rows(left, &[(9, true)]), dice.rows(right, &[(9, true), (5, false)]));
        let mut build = Build::default();
        let l = build.private(0, left as u64 + 1, vec![column(planes(4), true)], &a);
        let r = build.home(
            Source::Party("health".into()),
            right as u64,
            true,
            vec![column(planes(4), true), column(field(Ring::Fp61), false)],
            &b,
        );
        let columns = [build.columns(l), build.columns(r)].concat();
        build.push(Operator::Cross { left: l, right: r }, (left as u64 + 1) * right as u64, false, columns);
        build.expect(a.iter().flat_map(|a| b.iter().map(|b| [a.clone(), b.clone()].concat())).collect());

        let c = dice.rows(right, &[(9, false), (5, false)]);
        let s = build.private(1, right as u64 + 2, vec![column(planes(4), false), column(field(Ring::Fp61), false)], &c);
        let columns = build.columns(r);
        build.push(Operator::Union { inputs: vec![r, s, r] }, 3 * right as u64 + 2, false, columns);
        build.expect([b.clone(), c, b].concat());
    }
}

#[test]
fn unions_of_every_kind_of_value_at_every_size() {
    let columns = || vec![column(planes(8), true), column(field(Ring::Fp61), false), column(RowForm::Bit, false)];
    for count in EDGES {
        for kind in 0..4 {
            let rows = |kind: usize, null: usize| -> Vec<Row> {
                let values = now_and_then(kinds(count)[kind].clone(), null);
                values.into_iter().zip(0..).map(|(value, number)| vec![value, int(number), int(number % 2)]).collect()
            };
            let (a, b) = (rows(kind, 5), rows((kind + 1) % 4, 7));
            let mut build = Build::default();
            let l = build.private(0, (count + kind) as u64, columns(), &a);
            let r = build.home(Source::Party("health".into()), count as u64, true, columns(), &b);
            let left = kept(&mut build, l, 2);
            let few: Vec<Row> = a.iter().filter(|row| row[2] == int(1)).cloned().collect();
            let places = build.relations[left.0].places;
            build.push(Operator::Union { inputs: vec![left, r] }, places + count as u64, false, columns());
            build.expect([few, b].concat());
        }
    }
}

#[test]
fn totals() {
    let fold = |op, when| Fold { op, when };
    let mut dice = Dice(11);
    for (count, places) in [(0, 0), (0, 3), (1, 1), (1, 4), (5, 5), (20, 27)] {
        for filled in [true, false] {
            let mut data = dice.rows(count, &[(30, true), (2, true), (100, true), (1000, false)]);
            if !filled {
                data.iter_mut().for_each(|row| row[1] = int(0));
            }
            let mut build = Build::default();
            let columns = vec![
                column(planes(5), true),
                column(RowForm::Bit, true),
                column(field(Ring::Fp61), true),
                column(field(Ring::Fp127), false),
            ];
            let input = match places == count {
                true => build.home(Source::Party("energy".into()), places as u64, true, columns, &data),
                false => build.private(1, places as u64, columns, &data),
            };
            let (count61, count127) = (column(field(Ring::Fp61), false), column(field(Ring::Fp127), false));
            let folds = vec![
                (fold(FoldOp::Rows, None), count61.clone()),
                (fold(FoldOp::Rows, Some(1)), count127.clone()),
                (fold(FoldOp::Count(0), None), count61.clone()),
                (fold(FoldOp::Count(2), Some(1)), count61.clone()),
                (fold(FoldOp::Sum(2), None), count61.clone()),
                (fold(FoldOp::Sum(2), Some(1)), count61.clone()),
                (fold(FoldOp::Sum(3), None), count127.clone()),
                (fold(FoldOp::Sum(3), Some(1)), count127),
                (fold(FoldOp::Min(0), None), column(planes(5), true)),
                (fold(FoldOp::Max(0), None), column(planes(5), true)),
                (fold(FoldOp::Min(0), Some(1)), column(planes(5), true)),
                (fold(FoldOp::Max(0), Some(1)), column(planes(5), true)),
            ];
            let (folds, columns) = folds.into_iter().unzip();
            build.push(Operator::Total { input, folds }, 1, true, columns);
            let chosen: Vec<&Row> = data.iter().filter(|r| r[1] == int(1)).collect();
            let all: Vec<&Row> = data.iter().collect();
            let sum = |rows: &[&Row], c: usize| int(rows.iter().filter_map(|r| number(&r[c])).sum());
            let some = |rows: &[&Row], c: usize| int(rows.iter().filter(|r| r[c].is_some()).count() as i128);
            let least = |rows: &[&Row]| rows.iter().filter_map(|r| r[0].clone()).min();
            let most = |rows: &[&Row]| rows.iter().filter_map(|r| r[0].clone()).max();
            build.expect(vec![vec![
                int(count as i128),
                int(chosen.len() as i128),
                some(&all, 0),
                some(&chosen, 2),
                sum(&all, 2),
                sum(&chosen, 2),
                sum(&all, 3),
                sum(&chosen, 3),
                least(&all),
                most(&all),
                least(&chosen),
                most(&chosen),
            ]]);
        }
    }
}
