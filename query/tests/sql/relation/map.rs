//! Expressions over rows against the same in clear.

use super::*;
use query::plan::relation::{DatePart, Fold, FoldOp, RowKind, RowNode, RowNodeId, RowOp};

fn node(op: RowOp, kind: RowKind) -> RowNode {
    RowNode { op, kind }
}

fn n(id: usize) -> RowNodeId {
    RowNodeId(id)
}

#[test]
fn expressions_over_rows() {
    let (bit, f61, f127) = (RowKind::Bit, RowKind::Field(Ring::Fp61), RowKind::Field(Ring::Fp127));
    let nodes = vec![
        node(RowOp::Column(0), RowKind::Planes(6)),                            // 0: a, nullable
        node(RowOp::Valid(0), bit),                                            // 1
        node(RowOp::Column(1), RowKind::Planes(4)),                            // 2: b
        node(RowOp::Column(2), f61),                                           // 3: x
        node(RowOp::Column(3), f61),                                           // 4: y, nullable
        node(RowOp::Valid(3), bit),                                            // 5
        node(RowOp::Less(n(0), n(2)), bit),                                    // 6: a < b
        node(RowOp::Equal(n(0), n(2)), bit),                                   // 7
        node(RowOp::Add(n(0), n(2)), RowKind::Planes(7)),                      // 8: a + b
        node(RowOp::Integer(vec![63]), RowKind::Planes(6)),                    // 9
        node(RowOp::Sub(n(9), n(0)), RowKind::Planes(6)),                      // 10: 63 - a
        node(RowOp::Select(n(6), n(0), n(2)), RowKind::Planes(6)),             // 11: least(a, b)
        node(RowOp::Lift(n(6)), f61),                                          // 12
        node(RowOp::ToField(n(8), -3), f61),                                   // 13: a + b - 3
        node(RowOp::Product(n(3), n(13)), f61),                                // 14: x (a + b - 3)
        node(RowOp::Product(n(14), n(12)), f61),                               // 15: .. if a < b
        node(RowOp::Element(7), f61),                                          // 16
        node(RowOp::Linear(vec![(2, n(15)), (-1, n(4)), (5, n(16))], 1), f61), // 17
        node(RowOp::Select(n(7), n(16), n(17)), f61),                          // 18
        node(RowOp::And(vec![n(1), n(5), n(6)]), bit),                         // 19
        node(RowOp::Or(vec![n(6), n(7)]), bit),                                // 20: a <= b
        node(RowOp::Not(n(20)), bit),                                          // 21
        node(RowOp::ToField(n(11), 1 << 62), f127),                            // 22
        node(RowOp::Bit(true), bit),                                           // 23
        node(RowOp::And(vec![n(21), n(23)]), bit),                             // 24: a > b
        node(RowOp::Lift(n(23)), f61),                                         // 25: 1
        node(RowOp::Product(n(25), n(3)), f61),                                // 26: x
        node(RowOp::Select(n(23), n(3), n(4)), f61),                           // 27: x
    ];
    let outputs = [
        (0, Some(1)),
        (8, None),
        (10, None),
        (11, None),
        (14, None),
        (17, None),
        (18, None),
        (19, None),
        (22, None),
        (24, None),
        (26, None),
        (27, None),
        (4, Some(5)),
        (12, None),
    ];
    let wide = RowForm::Field { ring: Ring::Fp127, scale: 0, min: 0, max: 1 << 63 };
    let small = field(Ring::Fp61);
    let forms = [
        planes(6),
        planes(7),
        planes(6),
        planes(6),
        small.clone(),
        small.clone(),
        small.clone(),
        RowForm::Bit,
        wide,
        RowForm::Bit,
        small.clone(),
        small.clone(),
        small.clone(),
        small,
    ];
    let mut dice = Dice(3);
    for (count, places) in [(0, 0), (0, 2), (1, 1), (40, 40), (50, 65)] {
        for keep in [None, Some(20)] {
            let data = dice.rows(count, &[(64, true), (16, false), (50, false), (50, true)]);
            let mut build = Build::default();
            let columns =
                vec![column(planes(6), true), column(planes(4), false), column(field(Ring::Fp61), false), column(field(Ring::Fp61), true)];
            let full = count == places;
            let input = build.home(Source::Party("transport".into()), places as u64, full, columns, &data);
            let op = Operator::Map {
                input,
                nodes: nodes.clone(),
                columns: outputs.iter().map(|(v, valid)| (n(*v), valid.map(n))).collect(),
                keep: keep.map(n),
            };
            let columns = outputs.iter().zip(&forms).map(|((_, valid), form)| column(form.clone(), valid.is_some())).collect();
            build.push(op, places as u64, full && keep.is_none(), columns);
            let expected = data.iter().filter_map(|row| {
                let (a, b, x, y) = (number(&row[0]).unwrap_or(0), number(&row[1])?, number(&row[2])?, number(&row[3]).unwrap_or(0));
                if keep.is_some() && a > b {
                    return None;
                }
                let s = x * (a + b - 3);
                let linear = 2 * if a < b { s } else { 0 } - y + 36;
                let both = row[0].is_some() && row[3].is_some() && a < b;
                Some(vec![
                    row[0].clone(),
                    int(a + b),
                    int(63 - a),
                    int(a.min(b)),
                    int(s),
                    int(linear),
                    int(if a == b { 7 } else { linear }),
                    int(both.into()),
                    int(a.min(b) + (1 << 62)),
                    int((a > b).into()),
                    int(x),
                    int(x),
                    row[3].clone(),
                    int((a < b).into()),
                ])
            });
            build.expect(expected.collect());
        }
    }
}

#[test]
fn elements_become_bits_and_planes_are_divided() {
    let (bit, f61, f127) = (RowKind::Bit, RowKind::Field(Ring::Fp61), RowKind::Field(Ring::Fp127));
    let nodes = vec![
        node(RowOp::Column(0), f61),                                                             // 0: x
        node(RowOp::Column(1), RowKind::Planes(6)),                                              // 1: a
        node(RowOp::Column(2), RowKind::Planes(4)),                                              // 2: b
        node(RowOp::ToPlanes(n(0), -50), RowKind::Planes(8)),                                    // 3: x + 50
        node(RowOp::Negative(n(0)), bit),                                                        // 4
        node(RowOp::Zero(n(0)), bit),                                                            // 5
        node(RowOp::Quotient { a: n(1), b: n(2), shift: 2, round: false }, RowKind::Planes(13)), // 6
        node(RowOp::Quotient { a: n(1), b: n(2), shift: 1, round: true }, RowKind::Planes(10)),  // 7
        node(RowOp::Column(3), f127),                                                            // 8: w
        node(RowOp::Negative(n(8)), bit),                                                        // 9
        node(RowOp::ToPlanes(n(8), -100), RowKind::Planes(9)),                                   // 10
        node(RowOp::Less(n(3), n(10)), bit),                                                     // 11: x + 50 < w + 100
        node(RowOp::Lift(n(11)), f61),                                                           // 12
        node(RowOp::Product(n(12), n(0)), f61),                                                  // 13
        node(RowOp::Linear(vec![(1, n(13)), (-7, n(12))], 0), f61),                              // 14
        node(RowOp::Negative(n(14)), bit),                                                       // 15
        node(RowOp::And(vec![n(15), n(4)]), bit),                                                // 16
        node(RowOp::Select(n(11), n(0), n(14)), f61),                                            // 17
        node(RowOp::Select(n(15), n(17), n(0)), f61),                                            // 18
    ];
    let outputs = [
        (3, planes(8)),
        (4, RowForm::Bit),
        (5, RowForm::Bit),
        (6, planes(13)),
        (7, planes(10)),
        (9, RowForm::Bit),
        (15, RowForm::Bit),
        (16, RowForm::Bit),
        (18, field(Ring::Fp61)),
    ];
    let mut dice = Dice(77);
    for (count, places) in [(0, 1), (1, 1), (30, 33)] {
        let data: Vec<Row> = dice.rows(count, &[(100, false), (64, false), (16, false), (200, false)]);
        let data: Vec<Row> = data
            .into_iter()
            .map(|r| vec![int(number(&r[0]).unwrap() - 50), r[1].clone(), r[2].clone(), int(number(&r[3]).unwrap() - 100)])
            .collect();
        let mut build = Build::default();
        let columns =
            vec![column(field(Ring::Fp61), false), column(planes(6), false), column(planes(4), false), column(field(Ring::Fp127), false)];
        let input = build.private(2, places, columns, &data);
        let op = Operator::Map { input, nodes: nodes.clone(), columns: outputs.iter().map(|(v, _)| (n(*v), None)).collect(), keep: None };
        build.push(op, places, false, outputs.iter().map(|(_, form)| column(form.clone(), false)).collect());
        let expected = data.iter().map(|row| {
            let v: Vec<i128> = row.iter().map(|c| number(c).unwrap()).collect();
            let (x, a, b, w) = (v[0], v[1], v[2], v[3]);
            let quotient = |n: i128, round: bool| {
                if b == 0 {
                    0
                } else if round {
                    (2 * n + b) / (2 * b)
                } else {
                    n / b
                }
            };
            let less = x + 50 < w + 100;
            let linear = if less { x - 7 } else { 0 };
            let chosen = if less { x } else { linear };
            vec![
                int(x + 50),
                int((x < 0).into()),
                int((x == 0).into()),
                int(quotient(100 * a, false)),
                int(quotient(10 * a, true)),
                int((w < 0).into()),
                int((linear < 0).into()),
                int((linear < 0 && x < 0).into()),
                int(if linear < 0 { chosen } else { x }),
            ]
        });
        build.expect(expected.collect());
    }
}

#[test]
fn planes_are_divided_by_public_numbers() {
    // one too many for the smaller field, and as many as either takes
    for (width, by) in
        [(1, 2), (6, 3), (6, 64), (58, 86_400), (59, 1000), (63, (1 << 58) - 1), (124, 86_400_000_000_000), (124, (1 << 100) + 1)]
    {
        let largest = (1i128 << width) - 1;
        let rows = [0, 1, by - 1, by, by + 1, largest / by * by - 1, largest / by * by, largest - 1, largest];
        let rows: Vec<Row> = rows.iter().filter(|v| (0..=largest).contains(*v)).map(|v| vec![int(*v)]).collect();
        let quotient = (128 - (largest / by).leading_zeros()).max(1);
        let nodes = vec![
            node(RowOp::Column(0), RowKind::Planes(width)),
            node(RowOp::Floor { of: n(0), by }, RowKind::Planes(quotient)),
            node(RowOp::Floor { of: n(1), by: 1 }, RowKind::Planes(quotient)),
        ];
        let planes = |width| column(RowForm::Planes { scale: 0, offset: 0, width }, false);
        let mut build = Build::default();
        let input = build.private(1, 10, vec![planes(width)], &rows);
        let op = Operator::Map { input, nodes, columns: vec![(n(1), None), (n(2), None)], keep: None };
        build.push(op, 10, false, vec![planes(quotient), planes(quotient)]);
        build.expect(rows.iter().map(|row| vec![int(number(&row[0]).unwrap() / by); 2]).collect());
    }
}

#[test]
fn parts_of_dates() {
    // 1968-01-15, 1999-12-31, 2000-02-29, 2000-03-01, 2024-11-05
    let days = [(-717, 1968, 1, 15), (10956, 1999, 12, 31), (11016, 2000, 2, 29), (11017, 2000, 3, 1), (20032, 2024, 11, 5)];
    let offset = -1000;
    let part = |part, base| RowOp::DatePart { of: n(0), offset, part, base };
    let nodes = vec![
        node(RowOp::Column(0), RowKind::Planes(15)),
        node(part(DatePart::Year, 1900), RowKind::Planes(8)),
        node(part(DatePart::Month, 1), RowKind::Planes(4)),
        node(part(DatePart::Day, 0), RowKind::Planes(5)),
        node(part(DatePart::Quarter, 1), RowKind::Planes(2)),
        node(part(DatePart::DayOfQuarter, 1), RowKind::Planes(7)),
        node(part(DatePart::DayOfYear, 0), RowKind::Planes(9)),
        // a base below the least days there are
        node(part(DatePart::Later(1), 20), RowKind::Planes(5)),
    ];
    let mut build = Build::default();
    let form = RowForm::Planes { scale: 0, offset, width: 15 };
    let rows: Vec<Row> = days.iter().map(|d| vec![int(d.0)]).collect();
    let input = build.private(0, 7, vec![column(form, false)], &rows);
    let of = |offset, width| column(RowForm::Planes { scale: 0, offset, width }, false);
    let op = Operator::Map { input, nodes, columns: (1..8).map(|v| (n(v), None)).collect(), keep: None };
    build.push(op, 7, false, vec![of(1900, 8), of(1, 4), of(0, 5), of(1, 2), of(1, 7), of(0, 9), of(20, 5)]);
    let later = [[15, 15, 31], [92, 365, 31], [60, 60, 29], [61, 61, 31], [36, 310, 30]];
    build.expect(
        days.iter().zip(later).map(|(d, later)| [d.1, d.2, d.3, (d.2 + 2) / 3].into_iter().chain(later).map(int).collect()).collect(),
    );
}

#[test]
fn positions_in_lists() {
    let list: Vec<Vec<u64>> = vec![vec![7], vec![], vec![1 << 63, 5], vec![u64::MAX, u64::MAX >> 30], vec![1]];
    let value = |at: usize| list.get(at).map_or(0, |v| v.iter().rev().fold(0i128, |sum, limb| sum << 64 | i128::from(*limb)));
    let nodes = vec![
        node(RowOp::Column(0), RowKind::Planes(3)),
        node(RowOp::Listed(n(0), list.clone()), RowKind::Planes(100)),
        node(RowOp::Shift(n(0), 61), RowKind::Planes(64)),
        // a position that is known, and a list of a single value
        node(RowOp::Integer(vec![]), RowKind::Planes(0)),
        node(RowOp::Listed(n(3), vec![vec![9]]), RowKind::Planes(4)),
    ];
    let planes = |width| column(RowForm::Planes { scale: 0, offset: 0, width }, false);
    let mut build = Build::default();
    let rows: Vec<Row> = (0..8).map(|at| vec![int(at)]).collect();
    let input = build.private(1, 9, vec![planes(3)], &rows);
    let op = Operator::Map { input, nodes, columns: vec![(n(1), None), (n(2), None), (n(4), None)], keep: None };
    build.push(op, 9, false, vec![planes(100), planes(64), planes(4)]);
    build.expect((0..8).map(|at| vec![int(value(at)), int((at as i128) << 61), int(9)]).collect());
}

/// Of more than 2^15 places, where what is on the way is more than the columns.
#[test]
fn many_rows_are_mapped_by_blocks() {
    let mapped = |build: &mut Build, places: u64, rows: &[Row]| {
        let input = build.private(1, places, vec![column(planes(12), false)], rows);
        let nodes = vec![
            node(RowOp::Column(0), RowKind::Planes(12)),
            node(RowOp::ToField(n(0), -7), RowKind::Field(Ring::Fp61)),
            node(RowOp::Integer(vec![3000]), RowKind::Planes(12)),
            node(RowOp::Less(n(0), n(2)), RowKind::Bit),
        ];
        let op = Operator::Map { input, nodes, columns: vec![(n(1), None), (n(0), None)], keep: Some(n(3)) };
        build.push(op, places, false, vec![column(field(Ring::Fp61), false), column(planes(12), false)])
    };
    let priced = |places: u64| {
        let mut build = Build::default();
        mapped(&mut build, places, &[]);
        costs::priced(&build, "map")
    };
    let (whole, blocks) = (priced(1 << 15), priced(40_001));
    assert!(blocks.rounds > whole.rounds && blocks.rounds % whole.rounds == 0 && blocks.rounds <= 4 * whole.rounds, "{blocks:?} {whole:?}");
    assert_eq!(blocks.bits.map(|bits| bits << 15), whole.bits.map(|bits| bits * 40_001));

    let data = Dice(5).rows(40_001, &[(4096, false)]);
    let mut build = Build::default();
    let input = mapped(&mut build, 40_001, &data);
    let folds = [FoldOp::Sum(0), FoldOp::Rows].map(|op| Fold { op, when: None }).to_vec();
    build.push(Operator::Total { input, folds }, 1, true, vec![column(field(Ring::Fp61), false); 2]);
    let kept: Vec<i128> = data.iter().filter_map(|row| number(&row[0]).filter(|a| *a < 3000)).collect();
    build.expect(vec![vec![int(kept.iter().sum::<i128>() - 7 * kept.len() as i128), int(kept.len() as i128)]]);
}
