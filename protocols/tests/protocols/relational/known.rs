//! Joins whose sides are in clear at their owners.

use super::{Words, open, open_bits};
use mpc_core::world::World;
use mpc_core::{B64, Column, Fp61, Fp127, Layout, PartyId};
use protocols::relational::{Keys, Known, Standing, find, has_repeats};
use protocols::world::{Protocol, check_seeded, estimated};
use protocols::{Abort, Engine, Payload, cost};
use std::collections::HashMap;

/// Rows: a key, if they have one, and a number from which all they have follows.
type Rows = Vec<(Option<u128>, u64)>;

struct Find {
    base: (u8, Rows),
    table: (u8, Rows),
    width: usize,
    payload: Payload,
    standing: Standing,
}

/// For each row of base whether it was found, and what.
#[derive(Debug, PartialEq)]
struct Opened {
    matched: Vec<u64>,
    bits: Vec<u128>,
    fp61: Vec<u128>,
    fp127: Vec<u128>,
}

fn planes(rows: &Rows, width: usize) -> (Column<B64>, Column<B64>) {
    let ints: Vec<i128> = rows.iter().map(|(key, _)| key.unwrap_or(0) as i128).collect();
    (Column::from_ints(&ints, width), Column::from_bools(&rows.iter().map(|(key, _)| key.is_some()).collect::<Vec<_>>()))
}

/// What a row has: its bits and, in each plane, an element.
fn bits_of(number: u64, planes: usize) -> u128 {
    (u128::from(number) << 64 | u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))) & (u128::MAX >> (128 - planes.clamp(1, 128)))
}

fn elements(rows: &Rows, planes: usize) -> (Column<Fp61>, Column<Fp127>) {
    let each = |plane: u64| rows.iter().map(move |(_, number)| number.wrapping_mul(plane + 1));
    let layout = Layout::new(rows.len(), planes);
    let fp61 = (0..planes as u64).flat_map(each).map(Fp61::new).collect();
    let fp127 = (0..planes as u64).flat_map(each).map(|v| Fp127::new(u128::from(v) << 60)).collect();
    (Column::from_elements(fp61, layout).expect("it fits"), Column::from_elements(fp127, layout).expect("it fits"))
}

impl Protocol for Find {
    type Output = Opened;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Opened, Abort> {
        let [(base_key, base_valid), (table_key, table_valid)] = [&self.base, &self.table].map(|side| planes(&side.1, self.width));
        let side = |e: &E, owner: u8, key: &'_ Column<B64>| (PartyId(owner), key.layout(), e.holds(PartyId(owner)));
        let (owner, key, here) = side(e, self.base.0, &base_key);
        let base = Known { owner, key, clear: here.then_some(Keys { key: &base_key, valid: &base_valid }) };
        let (owner, key, here) = side(e, self.table.0, &table_key);
        let table = Known { owner, key, clear: here.then_some(Keys { key: &table_key, valid: &table_valid }) };
        let Payload { bits, fp61, fp127 } = self.payload;
        let ints: Vec<i128> = self.table.1.iter().map(|(_, number)| bits_of(*number, bits) as i128).collect();
        let bits = Column::from_ints(&ints, bits);
        let (narrow, wide) = (elements(&self.table.1, fp61).0, elements(&self.table.1, fp127).1);
        let found = find(e, (&base, self.standing), &table, self.payload, here.then_some((&bits, &narrow, &wide)))?;
        let bits = e.verify(found.bits)?;
        let bits = e.open::<B64>(&bits)?.to_uints();
        Ok(Opened {
            matched: open_bits(e, &found.matched)?,
            bits,
            fp61: open::<E, Fp61>(e, &found.fp61)?,
            fp127: open::<E, Fp127>(e, &found.fp127)?,
        })
    }
}

impl Find {
    fn verify(&self) {
        let opened = check_seeded(self, 3);
        let mut places = HashMap::new();
        for (place, (key, _)) in self.table.1.iter().enumerate() {
            key.iter().for_each(|key| _ = places.entry(*key).or_insert(place));
        }
        let found: Vec<Option<usize>> = self.base.1.iter().map(|(key, _)| key.and_then(|key| places.get(&key).copied())).collect();
        let (fp61, fp127) = (elements(&self.table.1, self.payload.fp61).0, elements(&self.table.1, self.payload.fp127).1);
        assert_eq!(opened.matched, found.iter().map(|f| u64::from(f.is_some())).collect::<Vec<_>>());
        let bits = |place: usize| if self.payload.bits == 0 { 0 } else { bits_of(self.table.1[place].1, self.payload.bits) };
        assert_eq!(opened.bits, found.iter().map(|f| f.map_or(0, bits)).collect::<Vec<_>>());
        let of = |values: Vec<Vec<u128>>| values.concat();
        let fp61 = (0..self.payload.fp61).map(|p| found.iter().map(|f| f.map_or(0, |f| fp61.plane(p)[f].get().into())).collect());
        let fp127 = (0..self.payload.fp127).map(|p| found.iter().map(|f| f.map_or(0, |f| fp127.plane(p)[f].get())).collect());
        assert_eq!((opened.fp61, opened.fp127), (of(fp61.collect()), of(fp127.collect())));
        let side = |side: &(u8, Rows)| (PartyId(side.0), side.1.len());
        // beside the openings
        let formula = cost::find(side(&self.base), self.standing, side(&self.table), self.width, self.payload);
        let n = self.base.1.len();
        let opened = [
            cost::open::<B64>(Layout::new(n, self.payload.bits)),
            cost::open::<B64>(Layout::new(n, 1)),
            cost::open::<Fp61>(Layout::new(n, self.payload.fp61)),
            cost::open::<Fp127>(Layout::new(n, self.payload.fp127)),
        ];
        assert_eq!(estimated(self), opened.into_iter().fold(formula, cost::Cost::then));
    }
}

const BITS: Payload = Payload { bits: 20, fp61: 0, fp127: 0 };

/// Rows side by side by their keys, those without one last.
fn together(mut rows: Rows) -> Rows {
    rows.sort_by_key(|(key, _)| (key.is_none(), key.map(|k| k.rotate_left(64).wrapping_mul(31))));
    rows
}

fn rows(words: &mut Words, count: usize, mut key: impl FnMut(&mut Words, u64) -> Option<u128>) -> Rows {
    (0..count as u64).map(|i| (key(words, i), words.next())).collect()
}

#[test]
fn every_row_finds_its_own() {
    let mut words = Words(11);
    for (left, right) in
        [(0, 0), (0, 5), (5, 0), (1, 1), (2, 2), (63, 1), (1, 64), (64, 65), (65, 63), (1000, 64), (64, 1000), (1000, 1100)]
    {
        for (case, owners) in [(0, 1), (1, 2), (2, 0), (1, 0), (0, 2)].into_iter().enumerate() {
            let table = rows(&mut words, right, |words, i| (words.below(5) > 0).then_some(u128::from(i * 3)));
            let base = rows(&mut words, left, |words, _| (words.below(4) > 0).then_some(u128::from(words.below(3 * right as u64 + 3))));
            let (base, standing) = if case % 2 == 0 { (base, Standing::Anywhere) } else { (together(base), Standing::Together) };
            Find { base: (owners.0, base), table: (owners.1, table), width: 13, payload: BITS, standing }.verify();
        }
    }
}

#[test]
fn all_kinds_of_rows_move() {
    let mut words = Words(12);
    for payload in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (128, 0, 0), (23, 2, 1), (87, 3, 2)] {
        let payload = Payload { bits: payload.0, fp61: payload.1, fp127: payload.2 };
        let table = rows(&mut words, 40, |_, i| Some(u128::from(i) << 90));
        let base = rows(&mut words, 70, |words, _| (words.below(6) > 0).then_some(u128::from(words.below(60)) << 90));
        for (base, standing) in [(base.clone(), Standing::Anywhere), (together(base), Standing::Together)] {
            Find { base: (2, base), table: (0, table.clone()), width: 100, payload, standing }.verify();
        }
    }
}

#[test]
fn all_none_and_one() {
    let mut words = Words(13);
    let (count, width) = (65, 70);
    let key = |i: u64| Some(u128::from(i) << 60 | 5);
    let table = rows(&mut words, count, |_, i| key(i));
    type Key<'k> = &'k dyn Fn(u64) -> Option<u128>;
    let kinds: [Key<'_>; 5] = [&key, &|i| key(i + 100), &|_| key(7), &|_| key(700), &|_| None];
    for kind in kinds {
        let base = rows(&mut words, count, |_, i| kind(i));
        for standing in [Standing::Anywhere, Standing::Together] {
            Find { base: (0, together(base.clone())), table: (1, table.clone()), width, payload: BITS, standing }.verify();
        }
        // and the other way round: of equal keys the first row is found
        Find { base: (1, table.clone()), table: (2, base), width, payload: BITS, standing: Standing::Anywhere }.verify();
    }
}

#[test]
fn narrow_keys_ask_no_more_often_than_there_are_keys() {
    let mut words = Words(14);
    for width in [0, 1, 3, 6] {
        let keys = 1 << width;
        let table = rows(&mut words, 90, |words, _| (words.below(3) > 0).then_some(u128::from(words.below(keys))));
        let base = rows(&mut words, 200, |words, _| (words.below(3) > 0).then_some(u128::from(words.below(keys))));
        for standing in [Standing::Anywhere, Standing::Together] {
            Find { base: (0, together(base.clone())), table: (1, table.clone()), width, payload: BITS, standing }.verify();
        }
    }
}

struct Repeats(Rows);

impl Protocol for Repeats {
    type Output = bool;

    fn run<E: Engine>(&self, e: &mut E) -> Result<bool, Abort> {
        let (key, valid) = planes(&self.0, 9);
        let clear = e.holds(PartyId(1)).then_some(Keys { key: &key, valid: &valid });
        has_repeats(e, &Known { owner: PartyId(1), key: key.layout(), clear })
    }
}

#[test]
fn repeats_are_found() {
    for count in [0, 1, 2, 64, 300] {
        let distinct: Rows = (0..count).map(|i| (Some(i), 0)).collect();
        assert!(!check_seeded(&Repeats(distinct.clone()), 1));
        assert_eq!(estimated(&Repeats(distinct.clone())), cost::has_repeats(PartyId(1)));
        for at in (1..distinct.len()).step_by(17) {
            let mut twice = distinct.clone();
            twice[at].0 = twice[at / 2].0;
            assert!(check_seeded(&Repeats(twice.clone()), 1));
            twice[at].0 = None;
            assert!(!check_seeded(&Repeats(twice), 1));
        }
    }
}

#[test]
fn rows_that_do_not_stand_together_are_refused_at_home() {
    let base = vec![(Some(1), 0), (Some(2), 0), (Some(1), 0)];
    let late = vec![(None, 0), (Some(2), 0)];
    for base in [base, late] {
        let find = Find { base: (0, base), table: (1, vec![(Some(1), 5)]), width: 9, payload: BITS, standing: Standing::Together };
        let ends = World::new(3, 1).run(|session| find.run(&mut protocols::Rep3::new(session)));
        assert!(matches!(ends[0].result, Err(Abort::Refused(_))));
        assert!(ends.iter().all(|end| end.result.is_err()));
    }
}

#[test]
fn one_party_alone_and_strangers_are_refused() {
    for (base, table) in [(1, 1), (0, 3), (4, 1)] {
        let rows = vec![(Some(1), 5)];
        let find = Find { base: (base, rows.clone()), table: (table, rows), width: 9, payload: BITS, standing: Standing::Anywhere };
        let ends = World::new(3, 1).run(|session| find.run(&mut protocols::Rep3::new(session)));
        assert!(ends.iter().all(|end| matches!(end.result, Err(Abort::Refused(_)))));
        assert!(matches!(find.run(&mut protocols::Estimate::new()), Err(Abort::Refused(_))));
    }
}
