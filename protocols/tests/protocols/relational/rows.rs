//! Rows that move: shuffles, secret and owners' permutations, compaction.

use super::{EDGES, SIZES, flags, input, input_bits, keys, one, open, open_bits, orders};
use mpc_core::world::World;
use mpc_core::{Column, Fp61, Fp127, Index, PartyId, Permutation, Ring, Z64, index_bits};
use protocols::relational::{apply, compact, compose, places_by_digit, undo};
use protocols::world::{Protocol, check_seeded};
use protocols::{Abort, Engine, Rep3, Share, Table};

/// Opened rows: each column's elements.
pub type Rows = Vec<Vec<u128>>;

/// A table with columns of every ring, each row recognisable.
fn table<E: Engine>(e: &mut E, rows: usize) -> Result<Table<E>, Abort> {
    let number = |i: usize, by: u64| (i as u64 + 1).wrapping_mul(by);
    let ints = |by| (0..rows).map(|i| number(i, by)).collect::<Vec<_>>();
    let narrow = input_bits(e, 0, &ints(1), 20)?;
    let wide = input_bits(e, 1, &ints(0x9e37_79b9_7f4a_7c15), 64)?;
    let flag = input_bits(e, 2, &ints(3), 1)?;
    let index = input(e, 2, &Column::from_indices((0..rows as u32).map(|i| i ^ 5), 17))?;
    let z64 = input(e, 0, &Column::from_rows((0..rows).map(|i| Z64(number(i, 1 << 60))).collect()))?;
    let fp61 = input(e, 1, &Column::from_rows((0..rows).map(|i| Fp61::new(number(i, 77))).collect()))?;
    let fp127 = input(e, 2, &Column::from_rows((0..rows).map(|i| Fp127::from_i128(-(i as i128))).collect()))?;
    Ok(Table::new(rows).with(narrow).with(wide).with(flag).with(index).with(z64).with(fp61).with(fp127))
}

fn open_table<E: Engine>(e: &mut E, table: &Table<E>) -> Result<Rows, Abort> {
    let mut all = Vec::new();
    for bits in table.columns::<mpc_core::B64>() {
        all.push(open_bits(e, bits)?.into_iter().map(u128::from).collect());
    }
    for index in table.columns::<Index>() {
        all.push(open::<E, Index>(e, index)?);
    }
    for z64 in table.columns::<Z64>() {
        all.push(open::<E, Z64>(e, z64)?);
    }
    for fp61 in table.columns::<Fp61>() {
        all.push(open::<E, Fp61>(e, fp61)?);
    }
    for fp127 in table.columns::<Fp127>() {
        all.push(open::<E, Fp127>(e, fp127)?);
    }
    Ok(all)
}

/// The same columns in the order that puts row i at `places[i]`.
fn placed(rows: &Rows, places: &[usize]) -> Rows {
    let place = |column: &Vec<u128>| {
        let mut moved = vec![0; column.len()];
        column.iter().zip(places).for_each(|(v, to)| moved[*to] = *v);
        moved
    };
    rows.iter().map(place).collect()
}

/// Several shuffles, the last undone first.
struct ThereAndBack(usize);

impl Protocol for ThereAndBack {
    type Output = bool;

    fn run<E: Engine>(&self, e: &mut E) -> Result<bool, Abort> {
        let start = table(e, self.0)?;
        let (one, first) = e.shuffle(start.clone())?;
        let (two, second) = e.shuffle(one)?;
        let (_, third) = e.shuffle(two.clone())?;
        let shuffled = e.shuffle(two.clone())?;
        let unmoved = e.unshuffle(shuffled.0, &shuffled.1)?;
        let back = e.unshuffle(unmoved, &second)?;
        let back = e.unshuffle(back, &first)?;
        let astray = e.unshuffle(two.clone(), &third)?;
        let (start, there, back) = (open_table(e, &start)?, open_table(e, &two)?, open_table(e, &back)?);
        let sorted = |rows: &Rows| {
            // rows stay together: the first column tells them apart
            let mut all: Vec<Vec<u128>> = (0..self.0).map(|i| rows.iter().map(|c| c[i]).collect()).collect();
            all.sort();
            all
        };
        let astray = open_table(e, &astray)?;
        let moved = self.0 < 30 || (start != there && start != astray);
        Ok(E::MODEL == protocols::Security::None
            || start == back && sorted(&start) == sorted(&there) && moved
            || start.iter().flatten().all(|v| *v == 0))
    }
}

#[test]
fn shuffles_move_whole_rows_and_can_be_undone() {
    for rows in EDGES.into_iter().chain([1000]) {
        assert!(check_seeded(&ThereAndBack(rows), rows as u64));
    }
}

#[test]
fn every_order_is_equally_likely() {
    // chi-square over the 24 orders of four rows, 2400 shuffles: 23 degrees of freedom, 64.7 is the 10^-5 quantile
    let outcomes = World::new(3, 5).run_ok(|session| {
        let mut e = Rep3::new(session);
        let mut orders = std::collections::HashMap::new();
        for _ in 0..2400 {
            let numbers = e.constant(&Column::from_indices(0..4, 2));
            let (mut moved, _) = e.shuffle(Table::new(4).with(numbers))?;
            let moved = e.verify(moved.take_first::<Index>())?;
            let order: Vec<u32> = e.open(&moved)?.as_slice().iter().map(|v| v.0).collect();
            *orders.entry(order).or_insert(0u32) += 1;
        }
        Ok(orders)
    });
    let orders = &outcomes[0].0;
    let distance: f64 = orders.values().map(|n| (f64::from(*n) - 100.0).powi(2) / 100.0).sum();
    assert!(orders.len() == 24 && distance < 64.7, "{} orders, chi-square {distance}", orders.len());
}

/// An owner's permutation, twice, by each owner.
struct ByOwner {
    owner: u8,
    places: Vec<u32>,
}

impl Protocol for ByOwner {
    type Output = (Rows, Rows);

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let start = table(e, self.places.len())?;
        let owner = PartyId(self.owner);
        let places = Permutation::new(self.places.clone()).expect("a permutation");
        let moved = e.permute_by(owner, e.holds(owner).then_some(&places), start.clone())?;
        Ok((open_table(e, &start)?, open_table(e, &moved)?))
    }
}

#[test]
fn owners_permute_by_what_they_know() {
    for rows in EDGES.into_iter().chain([1000]) {
        for (i, places) in orders(rows).into_iter().enumerate() {
            let owner = ((i + rows) % 3) as u8;
            let (start, moved) = check_seeded(&ByOwner { owner, places: places.clone() }, 3);
            assert_eq!(moved, placed(&start, &places.iter().map(|p| *p as usize).collect::<Vec<_>>()));
        }
    }
}

#[test]
fn an_owner_without_its_permutation_is_refused() {
    let outcomes = World::new(3, 8).run(|session| {
        let mut e = Rep3::new(session);
        let table = table(&mut e, 3)?;
        e.permute_by(PartyId(1), None, table).map(drop)
    });
    assert!(matches!(outcomes[1].result, Err(Abort::Refused(_))));
}

/// Places given as shares: applied, undone, and composed with the places of another permutation.
struct Secret {
    first: Vec<u32>,
    then: Vec<u32>,
}

impl Protocol for Secret {
    type Output = (Rows, Rows, Rows, Vec<u128>);

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let rows = self.first.len();
        let start = table(e, rows)?;
        let width = index_bits(rows);
        let first = input(e, 0, &Column::from_indices(self.first.iter().copied(), width))?;
        let then = input(e, 1, &Column::from_indices(self.then.iter().copied(), width))?;
        let (moved, applied) = apply(e, first, start.clone())?;
        let back = undo(e, &applied, moved.clone())?;
        let composed = compose(e, &applied, then)?;
        Ok((open_table(e, &start)?, open_table(e, &moved)?, open_table(e, &back)?, open::<E, Index>(e, &composed)?))
    }
}

#[test]
fn secret_places() {
    for rows in EDGES.into_iter().chain([1000]) {
        let all = orders(rows);
        // each with the one before it, the first with the random one
        for (first, then) in all.iter().zip(all.iter().cycle().skip(all.len() - 1)) {
            let (start, moved, back, composed) = check_seeded(&Secret { first: first.clone(), then: then.clone() }, 4);
            assert_eq!(moved, placed(&start, &first.iter().map(|p| *p as usize).collect::<Vec<_>>()));
            assert_eq!(back, start);
            assert_eq!(composed, first.iter().map(|p| u128::from(then[*p as usize])).collect::<Vec<_>>());
        }
    }
}

/// Places by a digit, and how many rows have each value.
struct ByDigit {
    digits: Vec<u64>,
    bits: usize,
}

impl Protocol for ByDigit {
    type Output = (Vec<u128>, Vec<u128>);

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let digit = input_bits(e, 1, &self.digits, self.bits)?;
        let digit = places_by_digit(e, &digit, index_bits(self.digits.len() + 1))?;
        let counts = Share::concat(&digit.counts.iter().collect::<Vec<_>>());
        Ok((open::<E, Index>(e, &digit.places)?, open::<E, Index>(e, &counts)?))
    }
}

#[test]
fn digits_of_one_two_and_three_bits() {
    for rows in SIZES {
        let each = |bits| keys(rows, bits).into_iter().map(move |digits| (bits, digits));
        for (bits, digits) in (1..=3).flat_map(each) {
            let (places, counts) = check_seeded(&ByDigit { digits: digits.clone(), bits }, 1);
            assert_eq!(places, clear_places(&digits));
            assert_eq!(counts, (0..1 << bits).map(|v| digits.iter().filter(|d| **d == v).count() as u128).collect::<Vec<_>>());
        }
    }
}

/// The places of the rows in the stable order of their keys.
pub fn clear_places(keys: &[u64]) -> Vec<u128> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|i| keys[*i]);
    let mut places = vec![0; keys.len()];
    order.iter().enumerate().for_each(|(to, from)| places[*from] = to as u128);
    places
}

pub struct Compaction {
    pub flags: Vec<u64>,
    pub open: bool,
}

impl Protocol for Compaction {
    type Output = (Rows, Rows, Option<usize>);

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let start = table(e, self.flags.len())?;
        let flag = input_bits(e, 0, &self.flags, 1)?;
        let compacted = compact(e, &flag, start.clone(), self.open)?;
        Ok((open_table(e, &start)?, open_table(e, &compacted.table)?, compacted.count))
    }
}

#[test]
fn compaction_is_stable_and_counts() {
    for rows in EDGES.into_iter().chain([1000]) {
        for flags in flags(rows) {
            for open in [false, true] {
                let (start, moved, count) = check_seeded(&Compaction { flags: flags.clone(), open }, 2);
                let behind: Vec<u64> = flags.iter().map(|f| 1 - f).collect();
                assert_eq!(moved, placed(&start, &clear_places(&behind).iter().map(|p| *p as usize).collect::<Vec<_>>()), "{flags:?}");
                assert_eq!(count, open.then(|| flags.iter().sum::<u64>() as usize), "{flags:?}");
            }
        }
    }
}

#[test]
fn places_that_are_no_permutation_abort() {
    let outcomes = World::new(3, 8).run(|session| {
        let mut e = Rep3::new(session);
        let places = e.constant(&Column::from_indices([1, 1, 0], 2));
        let values = e.constant(&Column::splat(Fp61::ONE, one(3)));
        apply(&mut e, places, Table::new(3).with(values)).map(drop)
    });
    assert!(outcomes.iter().all(|o| matches!(o.result, Err(Abort::Cheating { .. }))));
}
