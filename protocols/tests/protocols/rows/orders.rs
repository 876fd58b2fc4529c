//! The first rows in an order.

use super::*;

/// So many rows after the first few; `by` is whether every place of them holds a row.
fn run(table: Clear, by: Vec<SortKey>, (skip, places): (usize, usize)) -> (Run, Vec<Row>) {
    let unique = by.iter().any(|key| key.column == OWN);
    let mut rows = table.rows();
    rows.sort_by(|a, b| compare(&by, a, b));
    let rows: Vec<Row> = rows.into_iter().skip(skip).take(places).collect();
    let full = table.row.is_none() && skip + places <= table.cells.len();
    let shape = Shape { places, full, ..table.shape() };
    let keep: Vec<usize> = if unique { (0..shape.columns.len()).collect() } else { by.iter().map(|key| key.column).collect() };
    let expected = rows.iter().map(|row| keep.iter().map(|c| row[*c]).collect()).collect();
    (Run { keep, ordered: true, ..Run::new(vec![table], Op::Top { by, unique, skip }, shape) }, expected)
}

/// Orders, some with ties: ascending and descending, NULL first and last.
fn orders() -> Vec<Vec<SortKey>> {
    let order = SortKey { column: ORDER, descending: true, nulls_first: true };
    let value = SortKey { column: VALUE, descending: false, nulls_first: false };
    vec![vec![order, ascending(OWN)], vec![value, SortKey { descending: true, ..ascending(OWN) }], vec![order, value], vec![value]]
}

#[test]
fn the_first_rows_in_an_order() {
    for table in tables(&EDGES) {
        let n = table.cells.len();
        for cut in [(0, n), (0, n / 2), (n / 3, n / 2), (n / 2, n), (n, 1), (n + 3, 2), (1, 0)] {
            for by in orders() {
                let (mut run, expected) = run(table.clone(), by, cut);
                run.expect(expected.clone());
                // who breaks ties must not learn who was dropped
                run.known = table.row.is_none() || matches!(run.op, Op::Top { unique: true, .. });
                run.expect(expected);
            }
        }
    }
}

#[test]
fn no_order_is_any_order() {
    for table in tables(&[0, 1, 65]) {
        let n = table.cells.len();
        let (mut run, _) = run(table.clone(), vec![], (0, n));
        (run.keep, run.ordered) = ((0..table.columns.len()).collect(), false);
        run.expect(table.rows());
    }
}

#[test]
fn three_parties_find_the_first_rows_at_their_cost() {
    for (places, known) in [(0, false), (3, true), (65, false), (130, true), (130, false)] {
        let table = Clear { row: masks(places)[1].clone(), ..table(places, 4) };
        for by in orders() {
            let (mut run, expected) = run(table.clone(), by, (places / 5, places / 2));
            run.known = known && matches!(run.op, Op::Top { unique: true, .. });
            run.check(expected);
        }
    }
}
