//! Joins on a unique key.

use super::{EDGES, Words, flags, input_bits, keys, open_bits};
use mpc_core::{B64, Layout, PartyId};
use protocols::cost::{self, Moved, Opening, Pairing};
use protocols::relational::{JoinOptions, Radix, Side, Sorting, has_duplicates, join, pairs, undo};
use protocols::world::{Protocol, check_seeded, estimated};
use protocols::{Abort, Cost, Engine, Share, Table};
use std::collections::HashMap;

/// Rows of a side: key, payload, valid.
pub type Rows = Vec<(u64, u64, u64)>;

pub struct Join {
    pub left: Rows,
    pub right: Rows,
    pub options: JoinOptions,
}

/// In the order of the join: key, left's payload, right's payload, matched, right valid, right unmatched; left matched and unmatched where asked for;
/// and, in the order of the right side: left's payload and matched.
pub type Opened = (Vec<Vec<u64>>, Vec<Vec<u64>>, Vec<u64>, Vec<u64>);

impl Protocol for Join {
    type Output = Opened;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Opened, Abort> {
        fn side<E: Engine>(e: &mut E, owner: u8, rows: &Rows) -> Result<Side<E>, Abort> {
            let column = |f: fn(&(u64, u64, u64)) -> u64| rows.iter().map(f).collect::<Vec<_>>();
            let key = input_bits(e, owner, &column(|r| r.0), 7)?;
            let payload = input_bits(e, owner, &column(|r| r.1), 20)?;
            let valid = input_bits(e, owner, &column(|r| r.2), 1)?;
            Ok(Side { key, valid, table: Table::new(rows.len()).with(payload) })
        }
        let (left, right) = (side(e, 0, &self.left)?, side(e, 1, &self.right)?);
        let joined = join(e, left, right, self.options)?;
        let rows = self.left.len() + self.right.len();
        let (mut lefts, mut rights) = (joined.left.clone(), joined.right.clone());
        let (payload, right_rows) = (lefts.take_first::<B64>(), rights.take_first::<B64>());
        let mut back = undo(e, &joined.applied, Table::new(rows).with(payload.clone()).with(joined.matched.clone()))?;
        let back = [(); 2].map(|()| back.take_first::<B64>().slice(self.left.len()..rows));
        let all = [&joined.key, &payload, &right_rows, &joined.matched, &joined.right_valid, &joined.right_unmatched()];
        let all = all.into_iter().map(|bits| open_bits(e, bits)).collect::<Result<_, _>>()?;
        let flags = match &joined.left_matched {
            Some(matched) => vec![open_bits(e, matched)?, open_bits(e, &joined.left_unmatched())?],
            None => Vec::new(),
        };
        Ok((all, flags, open_bits(e, &back[0])?, open_bits(e, &back[1])?))
    }
}

impl Join {
    fn verify(&self) {
        let (columns, flags, back_payload, back_matched) = check_seeded(self, 5);
        let table: HashMap<u64, u64> = self.left.iter().filter(|r| r.2 == 1).map(|r| (r.0, r.1)).collect();
        let found: Vec<Option<u64>> = self.right.iter().map(|r| table.get(&r.0).copied().filter(|_| r.2 == 1)).collect();
        assert_eq!(back_matched, found.iter().map(|f| u64::from(f.is_some())).collect::<Vec<_>>());
        assert!(back_payload.iter().zip(&found).all(|(got, found)| found.is_none_or(|found| found == *got)));
        let [key, payload, right, matched, right_valid, unmatched] = &columns[..] else { unreachable!("six columns") };
        assert!(key.is_sorted());
        let mut pairs: Vec<_> = (0..key.len()).filter(|i| matched[*i] == 1).map(|i| (key[i], payload[i], right[i])).collect();
        let mut expected: Vec<_> = self.right.iter().zip(&found).filter_map(|(r, f)| f.map(|f| (r.0, f, r.1))).collect();
        pairs.sort();
        expected.sort();
        assert_eq!(pairs, expected);
        assert_eq!(right_valid.iter().sum::<u64>(), self.right.iter().map(|r| r.2).sum::<u64>());
        assert!((0..key.len()).all(|i| unmatched[i] == right_valid[i] & (1 - matched[i])));
        if let [has, has_not] = &flags[..] {
            let matched_key = |k: u64| self.right.iter().any(|r| r.0 == k && r.2 == 1);
            let keys = |flag: &Vec<u64>| (0..key.len()).filter(|i| flag[*i] == 1).map(|i| key[i]).collect::<Vec<_>>();
            let lefts = |which: bool| {
                let mut keys: Vec<u64> = self.left.iter().filter(|r| r.2 == 1 && matched_key(r.0) == which).map(|r| r.0).collect();
                keys.sort();
                keys
            };
            assert_eq!((keys(has), keys(has_not)), (lefts(true), lefts(false)));
        }
    }
}

fn sides(left: usize, right: usize, seed: u64) -> (Rows, Rows) {
    let mut words = Words(seed);
    let mut keys: Vec<u64> = (0..128).collect();
    (1..128).rev().for_each(|last| keys.swap(last, words.below(last as u64 + 1) as usize));
    keys.truncate(left);
    keys.sort();
    let lefts = keys.into_iter().map(|k| (k, words.below(1 << 20), u64::from(words.below(4) > 0))).collect();
    let rights = (0..right).map(|_| (words.below(128), words.below(1 << 20), u64::from(words.below(4) > 0))).collect();
    (lefts, rights)
}

pub const LEFT_FLAGS: JoinOptions =
    JoinOptions { right_filtered: true, left_flag: true, sorting: Sorting::Radix(Radix { digit: 2, moving: false }) };

#[test]
fn every_join_on_a_unique_key() {
    for (left, right) in [(0, 0), (0, 5), (5, 0), (1, 1), (63, 1), (1, 64), (64, 65), (100, 900)] {
        for (seed, options) in [(1, JoinOptions::default()), (2, LEFT_FLAGS), (3, LEFT_FLAGS)] {
            let (left, right) = sides(left, right, seed);
            Join { left, right, options }.verify();
        }
    }
}

#[test]
fn a_filtered_row_between_a_left_row_and_its_match() {
    let left = vec![(4, 44, 1), (6, 66, 0), (9, 99, 1)];
    let right = vec![(4, 20, 0), (9, 21, 1), (4, 22, 1), (6, 23, 1), (3, 24, 1)];
    Join { left, right, options: LEFT_FLAGS }.verify();
}

#[test]
fn all_right_rows_of_one_key() {
    let left: Rows = (0..20).map(|k| (k, k * 1000, 1)).collect();
    let right: Rows = (0..200).map(|i| (7, i, 1)).collect();
    Join { left: left.clone(), right, options: LEFT_FLAGS }.verify();
    let right: Rows = (0..200).map(|i| (99, i, 1)).collect();
    Join { left, right, options: LEFT_FLAGS }.verify();
}

struct Duplicates(Vec<u64>, Vec<u64>);

impl Protocol for Duplicates {
    type Output = Vec<u64>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<u64>, Abort> {
        let (key, valid) = (input_bits(e, 0, &self.0, 7)?, input_bits(e, 1, &self.1, 1)?);
        let found = has_duplicates(e, &key, &valid)?;
        open_bits(e, &found)
    }
}

#[test]
fn duplicates_are_found() {
    for rows in EDGES {
        // of rows that are all alike two valid ones in front make a duplicate
        for mut valid in flags(rows) {
            valid.sort_by_key(|valid| 1 - valid);
            let twice = u64::from(valid.iter().sum::<u64>() > 1);
            assert_eq!(check_seeded(&Duplicates(vec![127; rows], valid.clone()), 1), [twice], "{valid:?}");
        }
        let keys: Vec<u64> = (0..rows.min(128) as u64).collect();
        assert_eq!(check_seeded(&Duplicates(keys.clone(), vec![1; keys.len()]), 1), [0]);
        for at in (1..keys.len()).step_by(13) {
            let mut twice = keys.clone();
            twice[at] = twice[at - 1];
            assert_eq!(check_seeded(&Duplicates(twice.clone(), vec![1; twice.len()]), 1), [1]);
            let mut valid = vec![1; twice.len()];
            valid[at] = 0;
            assert_eq!(check_seeded(&Duplicates(twice, valid), 1), [0]);
        }
    }
}

/// Bits of the keys of pairs.
const PAIR_KEY: usize = 7;

struct ManyToMany {
    left: Rows,
    right: Rows,
    places: usize,
}

impl Protocol for ManyToMany {
    type Output = Result<Vec<(u64, u64)>, Abort>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let column = |rows: &Rows, f: fn(&(u64, u64, u64)) -> u64| rows.iter().map(f).collect::<Vec<_>>();
        let mut sides = Vec::new();
        for (owner, rows) in [(0, &self.left), (2, &self.right)] {
            let key = input_bits(e, owner, &column(rows, |r| r.0), PAIR_KEY)?;
            let payload = input_bits(e, owner, &column(rows, |r| r.1), 12)?;
            let valid = input_bits(e, owner, &column(rows, |r| r.2), 1)?;
            sides.push(Side { key, valid, table: Table::new(rows.len()).with(payload) });
        }
        let (right, left) = (sides.remove(1), sides.remove(0));
        let mut pairs = match pairs(e, left, right, self.places, Sorting::default()) {
            Ok(pairs) => pairs,
            Err(refused @ Abort::Data(_)) => return Ok(Err(refused)),
            Err(other) => return Err(other),
        };
        let (left, right) = (pairs.left.take_first::<B64>(), pairs.right.take_first::<B64>());
        let (left, right, valid) = (open_bits(e, &left)?, open_bits(e, &right)?, open_bits(e, &pairs.valid)?);
        Ok(Ok(left.into_iter().zip(right).zip(valid).filter(|(_, valid)| *valid == 1).map(|(pair, _)| pair).collect()))
    }
}

impl ManyToMany {
    /// All pairs of payloads, in clear.
    fn expected(&self) -> Vec<(u64, u64)> {
        let mut all: Vec<(u64, u64)> = Vec::new();
        for l in self.left.iter().filter(|l| l.2 == 1) {
            all.extend(self.right.iter().filter(|r| r.2 == 1 && r.0 == l.0).map(|r| (l.1, r.1)));
        }
        all.sort();
        all
    }

    /// What it costs, with what is shared and opened.
    fn formula(&self) -> Cost {
        let (left, right) = (self.left.len(), self.right.len());
        let input = |owner, rows, planes| cost::input::<B64>([(PartyId(owner), Layout::new(rows, planes))]);
        let shared = [(0, left), (2, right)].into_iter().flat_map(|(o, n)| [PAIR_KEY, 12, 1].map(|planes| input(o, n, planes)));
        let opened = [12, 12, 1].map(|planes| cost::open::<B64>(Layout::new(self.places, planes)));
        let payload = Moved::bits(12);
        let of = Pairing { left: (left, payload), right: (right, payload), key: PAIR_KEY, places: self.places, radix: Radix::default() };
        shared.sum::<Cost>().then(cost::pairs(&of, 0, Opening::Within)).then(opened.into_iter().sum())
    }

    fn verify(&self) {
        let mut got = check_seeded(self, 3).expect("there is room");
        got.sort();
        assert_eq!(got, self.expected());
        assert_eq!(estimated(self), self.formula());
    }
}

#[test]
fn all_pairs_up_to_a_bound() {
    let mut words = Words(77);
    let mut side =
        |rows: usize, keys: u64| -> Rows { (0..rows).map(|i| (words.below(keys), i as u64, u64::from(words.below(5) > 0))).collect() };
    for (left, right, keys) in [(0, 4, 2), (4, 0, 2), (1, 1, 1), (7, 9, 3), (20, 30, 32), (40, 25, 6)] {
        let (left, right) = (side(left, keys), side(right, keys));
        let pairs = ManyToMany { left: left.clone(), right: right.clone(), places: 0 }.expected().len();
        for places in [pairs, pairs + 1, 300] {
            ManyToMany { left: left.clone(), right: right.clone(), places }.verify();
        }
        if let Some(places) = pairs.checked_sub(1) {
            let got = super::same_everywhere(&ManyToMany { left, right, places });
            assert!(matches!(got, Err(Abort::Data(_))));
        }
    }
}

#[test]
fn pairs_of_every_kind_of_key_at_every_size() {
    let side = |keys: &[u64], valid: u64| -> Rows { (0..).zip(keys).map(|(i, k)| (*k, i, u64::from(i % valid != 0))).collect() };
    for rows in EDGES {
        let all = keys(rows, PAIR_KEY);
        for (number, kind) in all.iter().enumerate() {
            // many with few, so that equal keys have no more than some hundred pairs; and no row that is valid
            let few: Vec<u64> = kind.iter().copied().take(3).chain([1, 0]).collect();
            let (many, few) = (side(kind, 5), side(&few, if number == 2 { 1 } else { 4 }));
            let (left, right) = if number % 2 == 0 { (many, few) } else { (few, many) };
            let pairs = ManyToMany { left: left.clone(), right: right.clone(), places: 0 }.expected().len();
            ManyToMany { left, right, places: pairs + rows % 2 }.verify();
        }
    }
}

#[test]
fn joins_of_every_kind_of_key_at_every_size() {
    for rows in EDGES {
        let (kinds, flags) = (keys(rows, 7), flags(rows));
        for (number, valid) in flags.iter().enumerate() {
            let right: Rows = (0..).zip(&kinds[number % kinds.len()]).zip(valid).map(|((i, k), valid)| (*k, i, *valid)).collect();
            // all keys, one of them, or those that nobody has
            for left in [(0..128).collect(), vec![127], (0..128).filter(|k| right.iter().all(|r| r.0 != *k)).collect::<Vec<u64>>()] {
                let left: Rows = left.into_iter().map(|k| (k, k * 1000, u64::from(k % 5 != 2))).collect();
                let options = if number % 2 == 0 { LEFT_FLAGS } else { JoinOptions::default() };
                Join { left, right: right.clone(), options }.verify();
            }
        }
    }
}

#[test]
fn sides_of_which_no_row_counts() {
    for rows in EDGES.into_iter().filter(|rows| *rows <= 128) {
        for valid in flags(rows) {
            let side = |valid: &dyn Fn(usize) -> u64| -> Rows { (0..rows).map(|i| (i as u64, i as u64 + 7, valid(i))).collect() };
            let (some, none) = (side(&|i| valid[i]), side(&|_| 0));
            for (left, right) in [(some.clone(), none.clone()), (none, some.clone()), (some.clone(), some)] {
                Join { left, right, options: LEFT_FLAGS }.verify();
            }
        }
    }
}
