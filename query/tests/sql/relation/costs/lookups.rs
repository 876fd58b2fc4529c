//! What look-ups by sorting cost.

use super::*;
use protocols::Plain;
use protocols::rows::Lookup;
use query::plan::relation::Search;

/// Who looks up, and where.
#[derive(Debug, Clone, Copy)]
struct Sides {
    base: usize,
    table: usize,
    /// Bits of the keys, where they are never NULL.
    key: usize,
    /// Whether keys may be NULL.
    nullable: bool,
    /// Whether the table has places without a row.
    row: bool,
    /// Whether it is in the order of the keys at home.
    sorted: bool,
    /// Whether it is known to have no key twice.
    proved: bool,
    /// Whether rows stay for which none is found.
    outer: bool,
    /// Whether rows stay in the order of the keys.
    in_order: bool,
}

impl Sides {
    /// What is looked up: a value in planes and one in the field, that are NULL where none is found; else the order and that in the field.
    fn found(self) -> [usize; 2] {
        if self.outer { [2, 3] } else { [1, 3] }
    }

    fn columns(self) -> Vec<RowColumn> {
        let [partition, _, value, element] = columns().try_into().expect("four");
        vec![partition, column(planes(self.key as u32), false), value, element]
    }

    fn price(self) -> Cost {
        let mut build = Build::default();
        let columns = self.columns();
        let base = build.private(1, self.base as u64, columns.clone(), &[]);
        let base = build.stand(base, Stand::Unknown, 0, 0);
        let table = match self.row {
            true => build.private(2, self.table as u64, columns.clone(), &[]),
            false => build.home(Source::Party("health".into()), self.table as u64, true, columns.clone(), &[]),
        };
        let table = if self.sorted { table } else { build.stand(table, Stand::Unknown, 0, 0) };
        let found = self.found().map(|c| RowColumn { nullable: self.outer, ..columns[c].clone() });
        let outputs = [columns, found.to_vec(), vec![column(RowForm::Bit, false)]].concat();
        let key = usize::from(!self.nullable);
        let (on, columns, proved) = (vec![(key, key)], self.found().to_vec(), self.proved);
        let search = if self.in_order { Search::SortInOrder } else { Search::Sort };
        build.push(Operator::Lookup { base, table, on, columns, proved, search }, self.base as u64, false, outputs);
        priced(&build, "join")
    }

    fn formula(self) -> Cost {
        let rows = self.base + self.table;
        let (key, null) = if self.nullable { (PARTITION - 1, 1) } else { (self.key, 0) };
        let keys = Lookup::<Plain>::keys(self.base as u64, self.table as u64, self.in_order);
        let digest = Digest::bits(key, keys).unwrap_or(key);
        let (key, draw) = compared(key, rows);
        // a row of the table that can be found is one, and has no NULL in its key
        let live = usize::from(self.row) + null;
        let by = digest + usize::from(live > 0) + if self.in_order { null } else { 0 };
        let found = Moved { bits: if self.outer { VALUE } else { self.key }, fp61: 1, ..Moved::default() };
        let with = Moved::bits(key + 1);
        let of_base = Moved { bits: PARTITION + self.key + VALUE + 1, fp61: 1, ..Moved::default() };
        // base's rows, and which they are
        let along = if self.in_order { of_base + Moved::bits(usize::from(self.sorted)) } else { Moved::default() };
        let (sorted, turn) = sort(rows, by, found + with + along + if self.sorted { with } else { Moved::bits(1) }, 0);
        let front = match self.sorted {
            true => Cost::FREE,
            // the table's rows to the front, and back
            false => {
                let message = (found + with).message(rows);
                cost::compact(rows, index_bits(rows), message, turn, Opening::Within).then(cost::shuffle(message, turn))
            }
        };
        let same = cost::equal(rows, key, 0).then(ands(rows, 1));
        let twice = match self.proved {
            true => Cost::FREE,
            false => {
                let halved = std::iter::successors(Some(rows), |n| Some(n.div_ceil(2))).take_while(|n| *n > 1);
                let any = halved.fold(ands(rows, 1), |formula, n| formula.then(ands(n / 2, 1)));
                any.then(cost::open::<B64>(Layout::new(1, 1)))
            }
        };
        let matched = found + Moved::bits(1);
        let back = match self.in_order {
            true => {
                let turn = turn + if self.sorted { 0 } else { 1 };
                cost::compact(rows, index_bits(rows), (of_base + matched).message(rows), turn, Opening::Within)
            }
            false => cost::shuffle(matched.message(rows), turn - 1),
        };
        let nulls = match self.outer {
            true => ands(self.base, VALUE).then(cost::bit_times::<Fp61>(Layout::new(self.base, 1))),
            false => Cost::FREE,
        };
        let live = if live > 0 { cost::all(self.table, live) } else { Cost::FREE };
        live.then(draw).then(sorted).then(front).then(same).then(twice).then(back).then(cost::all(self.base, 1 + null)).then(nulls)
    }
}

#[test]
fn look_ups() {
    let sizes = [(1, 1), (1, 2), (2, 1), (3, 63), (64, 26), (65, 26), (63, 65), (1, 127), (128, 1), (129, 300)];
    for (base, table) in sizes {
        for case in 0..64 {
            let [nullable, row, sorted, proved, outer, in_order] = std::array::from_fn(|bit| case >> bit & 1 == 1);
            // the second is sorted by a digest, the last compared by one, too
            for key in [ORDER, 85, 200].into_iter().filter(|key| *key == ORDER || base + table <= 90) {
                let sides = Sides { base, table, key, nullable, row, sorted, proved, outer, in_order };
                assert_eq!(sides.price(), sides.formula(), "{sides:?}");
            }
        }
    }
}
