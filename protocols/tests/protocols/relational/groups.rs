//! Sums by group, groups seen from their rows, distinct rows.

use super::{EDGES, SIZES, Words, flags, input, input_bits, keys, open, open_bits, same_everywhere};
use mpc_core::{B64, Column, Fp61, Index, index_bits};
use protocols::relational::{Radix, Segments, Tail, distinct, first_rows, group_sums, numbers_of_rows, sums_before};
use protocols::world::{Protocol, check_seeded};
use protocols::{Abort, Engine, Share, Table};

/// Sorted keys with values of two columns, and which rows count.
pub struct Grouped {
    pub keys: Vec<u64>,
    pub values: [Vec<u64>; 2],
    pub valid: Option<Vec<u64>>,
    pub tail: Tail,
}

/// Keys, sums, carried bits and values, and flags as opened.
pub type Opened = (Vec<u64>, Vec<u128>, Vec<u64>, Vec<u128>, Option<Vec<u64>>);

impl Protocol for Grouped {
    type Output = Opened;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Opened, Abort> {
        let rows = self.keys.len();
        let key = input_bits(e, 0, &self.keys, 12)?;
        let values: Vec<_> = self.values.iter().flatten().map(|v| Fp61::new(*v)).collect();
        let layout = mpc_core::Layout::new(rows, 2);
        let values = input(e, 1, &Column::from_elements(values, layout).expect("two planes"))?;
        let carried = input_bits(e, 2, &self.values[0], 9)?;
        let number = input(e, 2, &Column::from_rows(self.values[1].iter().map(|v| Fp61::new(*v)).collect()))?;
        let valid = self.valid.as_ref().map(|valid| input_bits(e, 1, valid, 1)).transpose()?;
        let carried = Table::new(rows).with(carried).with::<Fp61>(number);
        let mut groups = group_sums::<E, Fp61>(e, key, values, carried, valid.as_ref(), self.tail)?;
        let valid = groups.valid.map(|valid| open_bits(e, &valid)).transpose()?;
        let (bits, number) = (groups.carried.take_first::<B64>(), groups.carried.take_first::<Fp61>());
        Ok((open_bits(e, &groups.key)?, open::<E, Fp61>(e, &groups.sums)?, open_bits(e, &bits)?, open::<E, Fp61>(e, &number)?, valid))
    }
}

/// Row ranges of equal keys.
fn runs(keys: &[u64]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        match runs.last_mut().filter(|run| keys[run.start] == *key) {
            Some(run) => run.end = i + 1,
            None => runs.push(i..i + 1),
        }
    }
    runs
}

impl Grouped {
    fn verify(&self) {
        let (key, sums, carried, number, valid) = match self.tail {
            // what an opened number cuts off no estimate knows
            Tail::Open => same_everywhere(self),
            _ => check_seeded(self, 3),
        };
        let groups: Vec<_> =
            runs(&self.keys).into_iter().filter(|run| self.valid.as_ref().is_none_or(|valid| valid[run.end - 1] == 1)).collect();
        let rows = if self.tail == Tail::Open { groups.len() } else { self.keys.len() };
        let padded = |mut column: Vec<u128>| {
            column.resize(rows, 0);
            column
        };
        let by = |f: &dyn Fn(&std::ops::Range<usize>) -> u64| padded(groups.iter().map(|run| u128::from(f(run))).collect());
        let wide = |v: Vec<u64>| v.into_iter().map(u128::from).collect::<Vec<_>>();
        assert_eq!(wide(key), by(&|run| self.keys[run.start]));
        let sum = |i: usize| by(&|run| self.values[i][run.clone()].iter().sum());
        assert_eq!(sums, [sum(0), sum(1)].concat());
        assert_eq!(wide(carried), by(&|run| self.values[0][run.end - 1]));
        assert_eq!(number, by(&|run| self.values[1][run.end - 1]));
        assert_eq!(valid.map(wide), (self.tail == Tail::Blank).then(|| by(&|_| 1)));
    }
}

#[test]
fn sums_by_group() {
    for rows in EDGES.into_iter().chain([1000]) {
        for (i, mut keys) in keys(rows, 12).into_iter().enumerate() {
            keys.sort();
            let mut words = Words(i as u64);
            let values = [(); 2].map(|()| (0..rows).map(|_| words.below(512)).collect());
            let tail = if (rows + i) % 2 == 0 { Tail::Blank } else { Tail::Open };
            Grouped { keys, values, valid: None, tail }.verify();
        }
    }
}

#[test]
fn groups_of_rows_that_do_not_count_are_left_out() {
    for rows in EDGES {
        for (number, counted) in [0, rows.min(1), rows / 2, rows.saturating_sub(1), rows].into_iter().enumerate() {
            for (tail, alike) in [(Tail::Blank, number % 2 == 0), (Tail::Open, number % 2 == 1)] {
                // invalid rows come last, under keys of their own, with values of zero
                let key = |i: u64, each: u64| if alike { 9 } else { i / each };
                let keys = (0..rows as u64).map(|i| if i < counted as u64 { key(i, 3) } else { 2048 + key(i, 5) }).collect();
                let valid: Vec<u64> = (0..rows).map(|i| u64::from(i < counted)).collect();
                let values = [1, 7].map(|by| valid.iter().map(|v| v * by).collect());
                Grouped { keys, values, valid: Some(valid), tail }.verify();
            }
        }
    }
}

/// What each row sees of its group: the first row's value, the sums over the group and up to the row, its number.
struct Seen {
    keys: Vec<u64>,
    values: Vec<u64>,
}

impl Protocol for Seen {
    type Output = [Vec<u128>; 5];

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let rows = self.keys.len();
        let key = input_bits(e, 0, &self.keys, 12)?;
        let values = input(e, 1, &Column::from_rows(self.values.iter().map(|v| Fp61::new(*v)).collect()))?;
        let bits = input_bits(e, 2, &self.values, 10)?;
        let first = first_rows(e, &key)?;
        let numbers = numbers_of_rows(e, rows);
        let table = Table::new(rows).with::<Fp61>(values.clone()).with(sums_before::<E, Fp61>(&values)).with(bits).with(numbers);
        let (segments, mut heads) = Segments::new(e, &first, table)?;
        let [heads_values, starts] = [heads.take_first::<Fp61>(), heads.take_first::<Fp61>()];
        let numbers = heads.take_first::<Index>();
        let totals = segments.totals::<Fp61>(e, &values.sum(), &starts)?;
        let running = segments.running_sums::<Fp61>(e, &values, &starts)?;
        let numbers = segments.numbers(e, &numbers)?;
        let mut spread = segments.spread(e, heads.with::<Fp61>(heads_values))?;
        let (bits, values) = (spread.take_first::<B64>(), spread.take_first::<Fp61>());
        let bits = open_bits(e, &bits)?.into_iter().map(u128::from).collect();
        let values = open::<E, Fp61>(e, &values)?;
        Ok([values, bits, open::<E, Fp61>(e, &totals)?, open::<E, Fp61>(e, &running)?, open::<E, Index>(e, &numbers)?])
    }
}

#[test]
fn rows_see_their_groups() {
    for rows in SIZES {
        for mut keys in keys(rows, 12) {
            keys.sort();
            let mut words = Words(11);
            let values: Vec<u64> = (0..rows).map(|_| words.below(1 << 10)).collect();
            let [spread, bits, totals, running, numbers] = check_seeded(&Seen { keys: keys.clone(), values: values.clone() }, 3);
            let mask = (1u128 << index_bits(rows)) - 1;
            for run in runs(&keys) {
                let total: u64 = values[run.clone()].iter().sum();
                for i in run.clone() {
                    assert_eq!((spread[i], bits[i]), (values[run.start].into(), values[run.start].into()));
                    assert_eq!((totals[i], running[i]), (total.into(), values[run.start..=i].iter().sum::<u64>().into()));
                    assert_eq!(numbers[i], (i - run.start) as u128 & mask);
                }
            }
        }
    }
}

struct DistinctKeys {
    keys: Vec<u64>,
    valid: Vec<u64>,
}

impl Protocol for DistinctKeys {
    type Output = (Vec<u64>, Vec<u64>, Vec<u64>);

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let key = input_bits(e, 0, &self.keys, 6)?;
        let valid = input_bits(e, 1, &self.valid, 1)?;
        let table = Table::new(self.keys.len()).with(key.clone());
        let mut distinct = distinct(e, key, valid, table, Radix::default())?;
        let table = distinct.table.take_first::<B64>();
        Ok((open_bits(e, &distinct.key)?, open_bits(e, &distinct.first)?, open_bits(e, &table)?))
    }
}

#[test]
fn distinct_valid_rows() {
    for rows in EDGES.into_iter().chain([1000]) {
        let (kinds, flags) = (keys(rows, 6), flags(rows));
        // every kind of keys, and of rows that are valid
        for (keys, valid) in kinds.iter().cycle().zip(&flags).chain(kinds.iter().zip(flags.iter().rev())) {
            let (sorted, first, table) = check_seeded(&DistinctKeys { keys: keys.clone(), valid: valid.clone() }, 3);
            let mut expected: Vec<u64> = keys.iter().zip(valid).filter(|(_, v)| **v == 1).map(|(k, _)| *k).collect();
            expected.sort();
            expected.dedup();
            let got: Vec<u64> = sorted.iter().zip(&first).filter(|(_, f)| **f == 1).map(|(k, _)| *k).collect();
            assert_eq!(got, expected);
            assert_eq!(table, sorted);
        }
    }
    // the independent model's example
    let got = check_seeded(&DistinctKeys { keys: vec![3, 1, 3, 2, 1, 2], valid: vec![1, 0, 0, 1, 0, 1] }, 3);
    assert_eq!((got.0, got.1), (vec![2, 2, 3, 1, 1, 3], vec![1, 0, 1, 0, 0, 0]));
}

/// Differences and their sums undo one another in every ring.
#[test]
fn differences_sum_up() {
    struct Ups(usize);
    impl Protocol for Ups {
        type Output = (Vec<u64>, Vec<u64>);
        fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
            let values: Vec<u64> = (0..self.0 as u64).map(|i| i * i % 61).collect();
            let bits = input_bits(e, 0, &values, 6)?;
            let table = Table::new(self.0).with(bits.clone());
            let mut back: Table<E> = table.differences().prefix_sums();
            assert_eq!(bits.layout(), back.columns::<B64>()[0].layout());
            let back = back.take_first::<B64>();
            Ok((open_bits(e, &bits)?, open_bits(e, &back)?))
        }
    }
    for rows in SIZES {
        let (bits, back) = check_seeded(&Ups(rows), 1);
        assert_eq!(bits, back);
    }
}
