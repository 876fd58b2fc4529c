//! Look-ups against a search in clear.

use super::*;
use mpc_core::Abort;
use query::plan::relation::{Fold, FoldOp, RowKind, RowNode, RowNodeId, RowOp, Search};

/// Rows of a table with distinct non-NULL keys among `bound`, a few NULL keys, and three columns to look up.
fn table(dice: &mut Dice, count: usize, bound: u64, nullable: bool) -> Vec<Row> {
    let mut keys: Vec<u64> = (0..bound).collect();
    (0..count)
        .map(|_| {
            let key = if nullable && dice.below(5) == 0 || keys.is_empty() {
                None
            } else {
                int(keys.remove(dice.below(keys.len() as u64) as usize).into())
            };
            vec![dice.cell(9, false), key, dice.cell(200, true), dice.cell(50, false), dice.cell(50, true)]
        })
        .filter(|row| nullable || row[1].is_some())
        .collect()
}

fn columns(nullable: bool) -> Vec<RowColumn> {
    vec![
        column(planes(4), false),
        column(planes(5), nullable),
        column(planes(8), true),
        column(field(Ring::Fp61), false),
        column(field(Ring::Fp127), true),
    ]
}

/// A Map that keeps everything: the rows of `input`, in places whose order nobody knows of.
fn dropped(build: &mut Build, input: RelationId) -> RelationId {
    let columns = build.columns(input);
    let kind = |c: &RowColumn| match c.form.ring() {
        Some(ring) => RowKind::Field(ring),
        None => RowKind::Planes(c.form.width() as u32),
    };
    let mut nodes: Vec<RowNode> = Vec::new();
    let mut outputs = Vec::new();
    for (number, column) in columns.iter().enumerate() {
        nodes.push(RowNode { op: RowOp::Column(number), kind: kind(column) });
        let value = RowNodeId(nodes.len() - 1);
        let valid = column.nullable.then(|| {
            nodes.push(RowNode { op: RowOp::Valid(number), kind: RowKind::Bit });
            RowNodeId(nodes.len() - 1)
        });
        outputs.push((value, valid));
    }
    // column 0 is not 0
    nodes.push(RowNode { op: RowOp::Integer(vec![0]), kind: RowKind::Planes(4) });
    nodes.push(RowNode { op: RowOp::Less(RowNodeId(nodes.len() - 1), outputs[0].0), kind: RowKind::Bit });
    let keep = RowNodeId(nodes.len() - 1);
    let places = build.relations[input.0].places;
    build.push(Operator::Map { input, nodes, columns: outputs, keep: Some(keep) }, places, false, columns)
}

fn look_up(build: &mut Build, base: RelationId, table: RelationId, on: Vec<(usize, usize)>, proved: bool) {
    let (places, full) = (build.relations[base.0].places, build.relations[base.0].full);
    let of_table = build.columns(table);
    let found = [2, 3, 4].map(|c| RowColumn { nullable: true, ..of_table[c].clone() });
    let columns = [build.columns(base), found.to_vec(), vec![column(RowForm::Bit, false)]].concat();
    let op = Operator::Lookup { base, table, on, columns: vec![2, 3, 4], proved, search: Search::Sort };
    build.push(op, places, full, columns);
}

#[test]
fn rows_find_the_row_with_their_key() {
    let mut dice = Dice(9);
    for (case, (m, n)) in [(0, 3), (3, 0), (1, 1), (7, 5), (20, 30), (30, 12), (4, 60)].into_iter().enumerate() {
        for kept in [false, true] {
            for nullable in [false, true] {
                let rows = table(&mut dice, m, 32, nullable);
                let base = dice.rows(n, &[(32, nullable), (7, false)]);
                let mut build = Build::default();
                let extra = if case % 2 == 0 { 0 } else { 3 };
                let t = match extra == 0 && !rows.is_empty() {
                    true => build.home(Source::Party("energy".into()), rows.len() as u64, true, columns(nullable), &rows),
                    false => build.private(1, (rows.len() + extra) as u64, columns(nullable), &rows),
                };
                let t = if kept { dropped(&mut build, t) } else { t };
                let b = build.private(0, (n + extra) as u64, vec![column(planes(5), nullable), column(field(Ring::Fp61), false)], &base);
                look_up(&mut build, b, t, vec![(0, 1)], case % 3 == 0);
                let there = |row: &&Row| !kept || row[0] != int(0);
                let find = |key: &Cell| rows.iter().filter(there).find(|r| key.is_some() && r[1] == *key);
                let expected = base.iter().map(|row| match find(&row[0]) {
                    Some(found) => [row.clone(), found[2..].to_vec(), vec![int(1)]].concat(),
                    None => [row.clone(), vec![None, None, None, int(0)]].concat(),
                });
                build.expect(expected.collect());
            }
        }
    }
}

#[test]
fn keys_of_every_kind_find_their_row_at_every_size() {
    for count in EDGES {
        for kind in 0..4 {
            let mut dice = Dice(count as u64);
            let keys = now_and_then(kinds(count)[kind].iter().map(|k| k % 32).collect(), 8);
            let base: Vec<Row> = keys.into_iter().map(|key| vec![key, dice.cell(7, false)]).collect();
            // sorted, reversed, every other one, one alone
            let keys: Vec<i128> = match kind {
                0 => (0..32).collect(),
                1 => (0..32).rev().collect(),
                2 => (0..16).map(|k| 2 * k + 1).collect(),
                _ => vec![31],
            };
            let mut row = |key| vec![dice.cell(5, false), int(key), dice.cell(200, true), dice.cell(50, false), dice.cell(50, true)];
            let rows: Vec<Row> = keys.into_iter().map(&mut row).collect();
            let mut build = Build::default();
            let t = build.private(1, (rows.len() + kind) as u64, columns(false), &rows);
            let kept = kind % 2 == 0;
            let t = if kept { dropped(&mut build, t) } else { t };
            let b = build.private(0, (count + kind) as u64, vec![column(planes(5), true), column(field(Ring::Fp61), false)], &base);
            look_up(&mut build, b, t, vec![(0, 1)], kind > 1);
            let find = |key: &Cell| rows.iter().find(|r| key.is_some() && r[1] == *key && (!kept || r[0] != int(0)));
            let expected = base.iter().map(|row| match find(&row[0]) {
                Some(found) => [row.clone(), found[2..].to_vec(), vec![int(1)]].concat(),
                None => [row.clone(), vec![None, None, None, int(0)]].concat(),
            });
            build.expect(expected.collect());
        }
    }
}

#[test]
fn keys_of_two_columns_and_no_columns_looked_up() {
    let mut build = Build::default();
    let keys = || vec![column(planes(2), true), column(RowForm::Text { bytes: 2 }, false)];
    let t =
        build.private(1, 6, keys(), &[vec![int(1), text("a")], vec![int(1), text("ab")], vec![None, text("a")], vec![int(0), text("")]]);
    let base = [vec![int(1), text("a")], vec![int(1), text("b")], vec![None, text("a")], vec![int(0), text("")], vec![int(0), text("a")]];
    let b = build.private(2, 5, keys(), &base);
    let columns = [keys(), vec![column(RowForm::Bit, false)]].concat();
    let op = Operator::Lookup { base: b, table: t, on: vec![(0, 0), (1, 1)], columns: vec![], proved: false, search: Search::Sort };
    build.push(op, 5, false, columns);
    let explained = query::explain::explain(&build.plan(false), &build.tables, &PARTIES).expect("an explanation").to_string();
    for needle in
        ["energy, row by row (6 places, fewer rows padded to them, sorted by c, c)", "text of at most 2 bytes", "join", "5 places with 6"]
    {
        assert!(explained.contains(needle), "{needle} is missing in\n{explained}");
    }
    let found = [1, 0, 0, 1, 0];
    build.expect(base.iter().zip(found).map(|(row, found)| [row.clone(), vec![int(found)]].concat()).collect());
}

#[test]
fn two_rows_of_one_key_end_the_session() {
    for (kept, second, refused) in [(false, 3, true), (true, 3, true), (true, 0, false), (false, 0, true)] {
        let mut build = Build::default();
        let row = |flag: i128, key: i128| vec![int(flag), int(key), int(4), int(5), int(6)];
        let t = build.private(1, 8, columns(false), &[row(1, 7), row(second, 9), row(2, 9), row(2, 8)]);
        let t = if kept { dropped(&mut build, t) } else { t };
        let b = build.private(0, 2, vec![column(planes(5), false)], &[vec![int(9)]]);
        look_up(&mut build, b, t, vec![(0, 1)], false);
        let plan = build.plan(false);
        let local = Local::new(64 << 20).expect("a runtime");
        let ground = Ground::new(&plan, &local, &build.tables).expect("nothing is public");
        let plans = search::all(&plan, &ground);
        // who dropped rows by a shared bit does not know which are left, and is not asked
        assert_eq!(plans.len(), if kept { 2 } else { 3 });
        for plan in &plans {
            let inputs = build.inputs(plan, &local, &ground).expect("the data are right");
            let program = Program::new(plan, &ground).expect("the plan is executable");
            let mut pooled = Inputs::default();
            inputs.iter().for_each(|i| pooled.extend(i.clone()));
            let clear = joint::plain(&program, 0, &owner, &pooled).err();
            let shared = World::new(3, 7).run(|session| {
                let me = session.me().index();
                joint::rep3(&program, &mut Rep3::new(session), &owner, &inputs[me], &mut |_, _| ()).map(|_| ())
            });
            for end in shared.into_iter().map(|o| o.result.err()).chain([clear]) {
                assert_eq!(end.is_some(), refused, "{end:?}");
                if let Some(end) = end {
                    assert!(matches!(&end, Abort::Data(what) if what.contains("two rows have the same c")), "{end}");
                }
            }
        }
    }
}

#[test]
fn who_asks_shares_nothing_of_what_is_asked_for_and_may_have_lost_rows_and_found_others() {
    let mut dice = Dice(77);
    for together in [false, true] {
        let mut build = Build::default();
        let rows = table(&mut dice, 25, 32, true);
        let t = build.private(1, 27, columns(true), &rows);
        let other = table(&mut dice, 20, 32, false);
        let o = build.private(2, 20, columns(false), &other);
        let base = dice.rows(40, &[(9, false), (32, true), (32, false)]);
        let kept = vec![column(planes(4), false), column(planes(5), true), column(planes(5), false)];
        let b = build.private(0, 44, kept, &base);
        // the other look-up comes first, and decides the order at home if it asks
        let (first, second) = if together { ((1, t), (2, o)) } else { ((2, o), (1, t)) };
        let d = dropped(&mut build, b);
        look_up(&mut build, d, first.1, vec![(first.0, 1)], false);
        let d = RelationId(build.relations.len() - 1);
        look_up(&mut build, d, second.1, vec![(second.0, 1)], true);
        let found = |rows: &[Row], key: &Cell| match rows.iter().find(|r| key.is_some() && r[1] == *key) {
            Some(row) => [row[2..].to_vec(), vec![int(1)]].concat(),
            None => vec![None, None, None, int(0)],
        };
        let tables = if together { [(1, &rows), (2, &other)] } else { [(2, &other), (1, &rows)] };
        let expected = base.iter().filter(|row| row[0] != int(0));
        let expected = expected.map(|row| tables.iter().fold(row.clone(), |all, (key, rows)| [all, found(rows, &row[*key])].concat()));
        build.expect(expected.collect());

        let plan = build.plan(false);
        let local = Local::new(64 << 20).expect("a runtime");
        let ground = Ground::new(&plan, &local, &build.tables).expect("nothing is public");
        let asks = search::with(&plan, &ground, Search::Ask);
        assert_eq!(search::count(&asks, Search::Ask), 2);
        let explained = query::explain::explain(&asks, &build.tables, &PARTIES).expect("an explanation");
        let asked: Vec<bool> = explained.rows.iter().map(|rows| rows.asked).collect();
        assert_eq!(asked, [true, true, false]);
        let shares = explained.steps.iter().find(|s| s.operator == "share bits").expect("base is shared");
        assert_eq!(shares.bytes[1..], [0, 0]);
        let sorted: Vec<usize> = explained.rows.iter().map(|rows| rows.sorted.len()).collect();
        assert_eq!(sorted, [0, 0, 1]);
        let text = explained.to_string();
        for needle in ["is asked for c", "transport asks energy", "transport asks health"] {
            assert!(text.contains(needle), "{needle} is missing in\n{text}");
        }
    }
}

#[test]
fn one_asks_only_where_both_know_their_keys() {
    let mut build = Build::default();
    let keys = || vec![column(planes(4), false), column(planes(5), false)];
    let row = vec![int(1), int(2)];
    let t = build.private(1, 3, keys(), std::slice::from_ref(&row));
    let same = build.private(1, 3, keys(), std::slice::from_ref(&row));
    let public = build.home(Source::Public, 1, true, keys(), std::slice::from_ref(&row));
    let b = build.private(0, 4, keys(), &[row]);
    let dropped_table = dropped(&mut build, t);
    for (base, table, can) in [(b, t, true), (same, t, false), (public, t, false), (b, public, false), (b, dropped_table, false)] {
        let mut build = Build { relations: build.relations.clone(), tables: build.tables.clone() };
        let (places, full) = (build.relations[base.0].places, build.relations[base.0].full);
        let columns = [keys(), vec![column(RowForm::Bit, false)]].concat();
        let op = Operator::Lookup { base, table, on: vec![(1, 1)], columns: vec![], proved: true, search: Search::Ask };
        build.push(op, places, full, columns);
        let plan = build.plan(false);
        let ground = Ground::new(&plan, &Local::new(64 << 20).expect("a runtime"), &build.tables).expect("the public part is right");
        assert_eq!(Program::new(&plan, &ground).is_ok(), can, "{base:?} {table:?}");
    }
}

#[test]
fn wide_keys_are_sorted_by_a_digest() {
    let street = |n: u64| text(&format!("{} {} Street", n % 7, ["Bleecker", "Canal", "Broome"][(n % 3) as usize]));
    let wide = || vec![column(RowForm::Text { bytes: 17 }, true), column(planes(5), false)];
    let mut dice = Dice(40);
    for kept in [false, true] {
        // seven times three streets, a few of them without a name
        let rows: Vec<Row> = (0..21)
            .filter(|n| n % 4 != 1)
            .map(|n| vec![int(i128::from(n) % 3), if n % 5 == 4 { None } else { street(n) }, int(n.into()), int(1), None])
            .collect();
        let columns = vec![
            column(planes(4), false),
            wide().remove(0),
            column(planes(8), true),
            column(field(Ring::Fp61), false),
            column(field(Ring::Fp127), true),
        ];
        let base: Vec<Row> =
            (0..40).map(|_| vec![if dice.below(9) == 0 { None } else { street(dice.below(25)) }, dice.cell(32, false)]).collect();
        let mut build = Build::default();
        let t = build.private(1, 19, columns, &rows);
        let t = if kept { dropped(&mut build, t) } else { t };
        let b = build.private(0, 44, wide(), &base);
        look_up(&mut build, b, t, vec![(0, 1)], false);
        let there = |row: &&Row| !kept || row[0] != int(0);
        let find = |key: &Cell| rows.iter().filter(there).find(|r| key.is_some() && r[1] == *key);
        let expected = base.iter().map(|row| match find(&row[0]) {
            Some(found) => [row.clone(), found[2..].to_vec(), vec![int(1)]].concat(),
            None => [row.clone(), vec![None, None, None, int(0)]].concat(),
        });
        build.expect(expected.collect());
        let steps = |build: &Build| {
            let plan = build.plan(false);
            let local = Local::new(64 << 20).expect("a runtime");
            let ground = Ground::new(&plan, &local, &build.tables).expect("nothing is public");
            let program = Program::new(&plan, &ground).expect("the plan is executable");
            let prices = price(&program, &PARTIES).expect("a price");
            program.steps().iter().zip(&prices).find(|(s, _)| s.name == "join").map(|(_, p)| p.cost.rounds).expect("a join")
        };
        // 136 planes would take 4 + 9 * 67 rounds
        assert!(steps(&build) < 300, "{}", steps(&build));

        let count = column(field(Ring::Fp61), false);
        let names: std::collections::BTreeSet<&Cell> = base.iter().map(|row| &row[0]).filter(|name| name.is_some()).collect();
        let folds = vec![Fold { op: FoldOp::CountDistinct(0), when: None }];
        build.push(Operator::Total { input: b, folds }, 1, true, vec![count]);
        build.expect(vec![vec![int(names.len() as i128)]]);

        let columns = vec![wide().remove(0), wide().remove(1)];
        build.push(Operator::Group { input: b, keys: vec![0, 1], folds: vec![] }, 44, false, columns);
        let mut distinct = base;
        distinct.sort();
        distinct.dedup();
        build.expect(distinct);
    }
}
