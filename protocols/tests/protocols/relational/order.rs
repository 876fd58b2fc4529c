//! Sorting.

use super::rows::clear_places;
use super::{EDGES, flags, input_bits, keys, open, open_bits, same_everywhere};
use mpc_core::{B64, Index, Layout};
use protocols::relational::{Key, Network, Radix, Sorting, choices, choose, order, sort, sort_places};
use protocols::world::{self, Protocol, check_seeded};
use protocols::{Abort, Cost, Engine, Message, Table};

/// The places of a sort, and the keys in their order with the row numbers.
pub struct Sort {
    pub keys: Vec<u64>,
    pub width: usize,
    pub sorting: Sorting,
}

impl Protocol for Sort {
    type Output = (Vec<u128>, Vec<u64>);

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let rows = self.keys.len();
        let key = input_bits(e, 1, &self.keys, self.width)?;
        let places = sort_places(e, key.clone(), self.sorting)?;
        let table = Table::new(rows).with(key.clone());
        let (mut sorted, _) = sort(e, key, table, self.sorting)?;
        Ok((open::<E, Index>(e, &places)?, open_bits(e, &sorted.take_first::<B64>())?))
    }
}

const ALL: [Radix; 6] = [
    Radix { digit: 1, moving: false },
    Radix { digit: 2, moving: false },
    Radix { digit: 3, moving: false },
    Radix { digit: 1, moving: true },
    Radix { digit: 2, moving: true },
    Radix { digit: 3, moving: true },
];

#[test]
fn radix_sorts_every_kind_of_key_stably() {
    for rows in EDGES.into_iter().chain([1000]) {
        for (i, keys) in keys(rows, 10).into_iter().enumerate() {
            let radix = ALL[(i + rows) % ALL.len()];
            let (places, sorted) = check_seeded(&Sort { keys: keys.clone(), width: 10, sorting: radix.into() }, 6);
            assert_eq!(places, clear_places(&keys), "{radix:?}");
            assert!(sorted.is_sorted() && sorted.len() == rows);
        }
    }
}

#[test]
fn radix_sorts_every_width_in_every_variant() {
    for width in [1, 2, 3, 4, 5, 7, 64] {
        for radix in ALL {
            let keys = keys(65, width).pop().expect("random keys");
            let (places, sorted) = check_seeded(&Sort { keys: keys.clone(), width, sorting: radix.into() }, 6);
            assert_eq!(places, clear_places(&keys), "{radix:?}, {width} bits");
            assert!(sorted.is_sorted());
        }
    }
}

/// Two columns, the second descending.
struct Composite(Vec<u64>, Vec<u64>);

/// A column in its order, or the other way, whose NULLs are behind or in front of the rest; and rows that are none behind all.
struct Nullable {
    keys: Vec<u64>,
    null: Vec<u64>,
    none: Vec<u64>,
    descending: bool,
    nulls_first: bool,
}

impl Protocol for Nullable {
    type Output = Vec<u128>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let (none, null, value) = (input_bits(e, 0, &self.none, 1)?, input_bits(e, 1, &self.null, 1)?, input_bits(e, 2, &self.keys, 8)?);
        let key = |bits, descending| Key { bits, descending };
        let key = order(e, &[key(&none, false), key(&null, self.nulls_first), key(&value, self.descending)]);
        let places = sort_places(e, key, Radix::default())?;
        open::<E, Index>(e, &places)
    }
}

#[test]
fn nulls_of_every_kind_of_key_at_every_size() {
    for rows in EDGES {
        let (kinds, flags) = (keys(rows, 8), flags(rows));
        for (i, null) in flags.iter().enumerate() {
            let none = &flags[(i + 7) % flags.len()];
            // what is NULL, or no row, has the value 0
            let keys: Vec<u64> = kinds[i % kinds.len()].iter().zip(null).map(|(k, null)| k * (1 - null)).collect();
            let (descending, nulls_first) = (i % 2 == 0, i % 4 < 2);
            let sorted = Nullable { keys: keys.clone(), null: null.clone(), none: none.clone(), descending, nulls_first };
            let value = |key: u64| if descending { 255 - key } else { key };
            let clear = (0..rows).map(|i| none[i] << 9 | (null[i] ^ u64::from(nulls_first)) << 8 | value(keys[i]));
            assert_eq!(check_seeded(&sorted, 6), clear_places(&clear.collect::<Vec<_>>()), "NULLs {null:?}, no rows {none:?}");
        }
    }
}

impl Protocol for Composite {
    type Output = Vec<u128>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let (first, second) = (input_bits(e, 0, &self.0, 3)?, input_bits(e, 2, &self.1, 5)?);
        let key = order(e, &[Key { bits: &first, descending: false }, Key { bits: &second, descending: true }]);
        let places = sort_places(e, key, Radix::default())?;
        open::<E, Index>(e, &places)
    }
}

#[test]
fn composite_keys_and_descending_order() {
    let mut words = super::Words(3);
    let (first, second): (Vec<u64>, Vec<u64>) = (0..500).map(|_| (words.below(8), words.below(32))).unzip();
    let places = check_seeded(&Composite(first.clone(), second.clone()), 6);
    let keys: Vec<u64> = first.iter().zip(&second).map(|(a, b)| a << 5 | (31 - b)).collect();
    assert_eq!(places, clear_places(&keys));
}

#[test]
fn samplesort_sorts_every_kind_of_key_stably() {
    for rows in EDGES.into_iter().chain([5, 90, 91, 1000, 2500]) {
        for keys in keys(rows, 9) {
            let (places, sorted) = same_everywhere(&Sort { keys: keys.clone(), width: 9, sorting: Sorting::Samplesort });
            assert_eq!(places, clear_places(&keys));
            assert!(sorted.is_sorted() && sorted.len() == rows);
        }
    }
    // by quarters above 2^15
    for (rows, width) in [(200, 1), (200, 2), (200, 33), (200, 64), (32_768, 40), (32_769, 12)] {
        let keys = keys(rows, width).pop().expect("random keys");
        let (places, _) = same_everywhere(&Sort { keys: keys.clone(), width, sorting: Sorting::Samplesort });
        assert_eq!(places, clear_places(&keys));
    }
}

/// The rows alone, without places.
struct Rows(usize);

impl Protocol for Rows {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        let key = input_bits(e, 1, &vec![7; self.0], 40)?;
        sort(e, key.clone(), Table::new(self.0).with(key), Sorting::Samplesort).map(drop)
    }
}

#[test]
fn samplesort_costs_about_what_is_expected() {
    // the last two in quarters; the more rows, the less depends on their order
    for (rows, seeds, bits) in [(91, 20, 2.0), (300, 20, 0.25), (1000, 20, 0.1), (5000, 5, 0.05), (100_000, 1, 0.01), (140_000, 1, 0.01)] {
        let expected = world::estimated(&Rows(rows));
        for seed in 0..seeds {
            let (_, metered) = world::metered(&Rows(rows), seed);
            let is_within = |f: fn(&Cost) -> u64, band: f64| (f(&metered) as f64 / f(&expected) as f64 - 1.0).abs() < band;
            assert!(
                is_within(|c| c.total_bits(), bits) && is_within(|c| c.rounds, 0.2),
                "{rows} rows take {metered:?}, expected are {expected:?}"
            );
        }
    }
    // all with all: nothing depends on the order
    for rows in [0, 1, 2, 63, 90] {
        let (_, metered) = world::metered(&Rows(rows), 5);
        assert_eq!(metered, world::estimated(&Rows(rows)), "{rows} rows");
        assert!(Sorting::Samplesort.is_exact(rows) && !Sorting::Samplesort.is_exact(91) && Sorting::default().is_exact(91));
    }
}

#[test]
fn the_network_decides_how_to_sort() {
    let moved = |rows| Message::of::<B64>(Layout::new(rows, 64));
    let n = 1 << 20;
    assert_eq!(choose(n, 64, moved(n), Network::LOOPBACK), Sorting::Samplesort);
    // the quickest as measured, local work and loopback together
    for (rows, bits) in [(100_000, 64), (1_000_000, 32), (1_000_000, 64)] {
        assert_eq!(choose(rows, bits, Message::default(), Network::LOOPBACK), Sorting::Samplesort, "{rows} rows by {bits} bits");
    }
    // a slow network with few bytes: short keys go digit by digit
    let slow = Network { bandwidth: 20e6, round_trip: 1e-3 };
    assert!(matches!(choose(n, 16, moved(n), slow), Sorting::Radix(Radix { digit: 2, .. })));
    // few rows far apart: rounds are all that counts, and those of comparisons do not grow with the key
    let far = Network { bandwidth: 1e9, round_trip: 0.2 };
    assert!(matches!(choose(100, 8, moved(100), far), Sorting::Radix(Radix { digit: 3, moving: true })));
    assert_eq!(choose(100, 32, moved(100), far), Sorting::Samplesort);
    let all = choices(1000, 64, moved(1000), Network::WAN);
    assert!(all.len() == 7 && all.is_sorted_by(|a, b| a.seconds <= b.seconds));
    // digits of three bits take more than three times their share columns
    let many = choices(32_769, 64, moved(131_073), far);
    assert!(many.len() == 5 && many.iter().all(|c| !matches!(c.sorting, Sorting::Radix(Radix { digit: 3, .. }))));
}
