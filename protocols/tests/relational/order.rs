//! Sorting.

use super::rows::clear_places;
use super::{SIZES, input_bits, keys, open, open_bits};
use mpc_core::Index;
use protocols::relational::{Key, Radix, order, sort, sort_places};
use protocols::world::{Protocol, check_seeded};
use protocols::{Abort, Engine, Table};

/// The places of a sort, and the keys in their order with the row numbers.
struct Sort {
    keys: Vec<u64>,
    width: usize,
    radix: Radix,
}

impl Protocol for Sort {
    type Output = (Vec<u128>, Vec<u64>);

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let rows = self.keys.len();
        let key = input_bits(e, 1, &self.keys, self.width)?;
        let places = sort_places(e, &key, self.radix)?;
        let table = Table::new(rows).with(key.clone());
        let (mut sorted, _) = sort(e, &key, &table, self.radix)?;
        Ok((open::<E, Index>(e, &places)?, open_bits(e, &sorted.take_first::<mpc_core::B64>())?))
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
    for rows in SIZES {
        for (i, keys) in keys(rows, 10).into_iter().enumerate() {
            let radix = ALL[(i + rows) % ALL.len()];
            let (places, sorted) = check_seeded(&Sort { keys: keys.clone(), width: 10, radix }, 6);
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
            let (places, sorted) = check_seeded(&Sort { keys: keys.clone(), width, radix }, 6);
            assert_eq!(places, clear_places(&keys), "{radix:?}, {width} bits");
            assert!(sorted.is_sorted());
        }
    }
}

/// Two columns, the second descending.
struct Composite(Vec<u64>, Vec<u64>);

impl Protocol for Composite {
    type Output = Vec<u128>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let (first, second) = (input_bits(e, 0, &self.0, 3)?, input_bits(e, 2, &self.1, 5)?);
        let key = order(e, &[Key { bits: &first, descending: false }, Key { bits: &second, descending: true }]);
        let places = sort_places(e, &key, Radix::default())?;
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
