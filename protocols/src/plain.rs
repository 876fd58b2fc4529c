//! No protection at all: shares are clear columns. The executable specification of every protocol, and the oracle of its tests.

use crate::engine::{Difference, Engine, Input, Released, Security, Share, Verified};
use crate::planes::{bit_planes, element, quotient};
use crate::retrieve::{Ask, Offer, Retrieved, Sizes, asked, offered};
use crate::table::Table;
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout, PartyId, Permutation, Ring};
use std::collections::HashMap;
use std::ops::Range;

/// The clear oracle. It holds everyone's inputs, sends nothing and shows every opening.
#[derive(Debug, Default)]
pub struct Plain {
    shuffles: u64,
    random: u64,
}

impl Plain {
    /// The oracle.
    pub fn new() -> Self {
        Plain::default()
    }

    /// The oracle with other random bits: they are a function of the seed.
    pub fn seeded(seed: u64) -> Self {
        Plain { random: seed, ..Plain::default() }
    }
}

impl<R: Ring> Share<R> for Column<R> {
    fn layout(&self) -> Layout {
        Column::layout(self)
    }
    fn add(&self, other: &Self) -> Self {
        self.zip(other, R::add)
    }
    fn sub(&self, other: &Self) -> Self {
        self.zip(other, R::sub)
    }
    fn scale(&self, public: &Column<R>) -> Self {
        self.zip(public, R::mul)
    }
    fn planes(&self, planes: impl IntoIterator<Item = usize>) -> Self {
        self.pick_planes(planes)
    }
    fn stack(shares: &[&Self]) -> Self {
        Column::stack(shares)
    }
    fn gather(&self, rows: &[Option<usize>]) -> Self {
        Column::gather(self, rows)
    }
    fn sum_groups(&self, groups: &[Option<usize>], count: usize) -> Self {
        Column::sum_groups(self, groups, count)
    }
    fn sum(&self) -> Self {
        Column::sum(self)
    }
    fn slice(&self, range: Range<usize>) -> Self {
        self.slice_rows(range)
    }
    fn concat(shares: &[&Self]) -> Self {
        Column::concat(shares)
    }
    fn prefix_sums(&self) -> Self {
        Column::prefix_sums(self)
    }
    fn differences(&self) -> Self {
        Column::differences(self)
    }
    fn sums_before(&self) -> Self {
        Column::sums_before(self)
    }
    fn pick(&self, rows: &[u32]) -> Self {
        Column::pick(self, rows)
    }
    fn place(self, to: &Permutation) -> Self {
        Column::place(self, to)
    }
    fn fetch(self, from: &Permutation) -> Self {
        Column::fetch(self, from)
    }
}

/// The next of a repeatable stream of words (SplitMix64): the oracle has no secrets.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A repeatable permutation, different for each seed, so that what depends on the order after a shuffle shows.
fn varied(rows: usize, seed: u64) -> Permutation {
    let mut state = seed;
    let mut places: Vec<u32> = (0..rows).map(|i| i as u32).collect();
    (1..rows).rev().for_each(|last| places.swap(last, (next(&mut state) % (last as u64 + 1)) as usize));
    Permutation::new(places).expect("swaps keep a permutation")
}

impl Engine for Plain {
    const MODEL: Security = Security::None;
    type Share<R: Ring> = Column<R>;
    type Shuffled = Permutation;

    fn holds(&self, _owner: PartyId) -> bool {
        true
    }

    fn input<R: Ring>(&mut self, inputs: &[Input<'_, R>]) -> Result<Vec<Column<R>>, Abort> {
        inputs.iter().map(|i| i.checked_values().cloned()).collect()
    }

    fn constant<R: Ring>(&mut self, public: &Column<R>) -> Column<R> {
        public.clone()
    }

    fn random_bits(&mut self, layout: Layout) -> Result<Column<B64>, Abort> {
        let random = &mut self.random;
        Ok(Column::build(layout, |_, words| words.fill_with(|| B64(next(random)))))
    }

    fn sum_of_products<R: Ring>(&mut self, pairs: &[(&Column<R>, &Column<R>)]) -> Result<Column<R>, Abort> {
        let products = pairs.iter().map(|(x, y)| x.zip(y, R::mul));
        Ok(products.reduce(|s, p| s.zip(&p, R::add)).expect("a sum of products has at least one"))
    }

    fn dot<R: Ring>(&mut self, x: &Column<R>, y: &Column<R>) -> Result<Column<R>, Abort> {
        Ok(x.zip(y, R::mul).sum())
    }

    fn bits_as<R: Ring>(&mut self, bits: &Column<B64>, layout: Layout) -> Result<Column<R>, Abort> {
        Ok(bits.bits_as(layout))
    }

    fn shuffle(&mut self, table: Table<Self>) -> Result<(Table<Self>, Permutation), Abort> {
        self.shuffles += 1;
        let to = varied(table.rows(), self.shuffles);
        Ok((table.place(&to), to))
    }

    fn unshuffle(&mut self, table: Table<Self>, shuffled: &Permutation) -> Result<Table<Self>, Abort> {
        Ok(table.fetch(shuffled))
    }

    fn permute_by(&mut self, owner: PartyId, to: Option<&Permutation>, table: Table<Self>) -> Result<Table<Self>, Abort> {
        let to = crate::engine::stated(owner, to, table.rows())?;
        Ok(table.place(to))
    }

    /// Where nothing is found there are ones in the check and zeros beside it.
    fn retrieve(&mut self, ask: Ask, offer: Offer<'_>) -> Result<Retrieved<Self>, Abort> {
        let missing = || Abort::Refused("keys that are asked for, or offered, are missing or not as declared".into());
        let (sizes, count) = (Sizes::of(&ask, &offer), ask.count);
        let (keys, rows) = (asked(count, ask.keys).ok_or_else(missing)?, offered(offer).ok_or_else(missing)?);
        let places: HashMap<&[u64], usize> = rows.keys.iter().zip(rows.keys.rows.iter()).map(|(key, row)| (key, *row as usize)).collect();
        let none = std::iter::repeat_n(None, count - keys.rows.len());
        let found: Vec<Option<usize>> = none.chain(keys.iter().map(|key| places.get(key).copied())).collect();
        let check = Column::from_bools(&found.iter().map(Option::is_none).collect::<Vec<_>>());
        Ok(Retrieved {
            check: check.pick_planes(std::iter::repeat_n(0, sizes.check_bits())),
            bits: rows.bits.gather(&found),
            fp61: Column::<Fp61>::gather(rows.fp61, &found),
            fp127: Column::<Fp127>::gather(rows.fp127, &found),
        })
    }

    fn difference<R: Ring>(&mut self, x: Column<R>, borrows: &[usize], subtrahend: &[usize]) -> Result<Difference<Column<B64>>, Abort> {
        let zeros = |planes: &[usize]| Column::zeros(Layout::new(x.rows(), planes.len()));
        Ok(Difference { odd: bit_planes(&x), borrows: zeros(borrows), subtrahend: zeros(subtrahend) })
    }

    fn near_quotient<R: Ring, S: Ring>(&mut self, x: &Column<R>, divisors: &[u128]) -> Result<Column<S>, Abort> {
        let plane = |(i, d): (usize, &u128)| x.plane(i).iter().map(|v| element(quotient(v.to_bits(), *d, R::BITS))).collect::<Vec<S>>();
        let quotients = divisors.iter().enumerate().flat_map(plane).collect();
        Ok(Column::from_elements(quotients, Layout::new(x.rows(), divisors.len())).expect("one element a row"))
    }

    fn barrier(&mut self) -> Result<(), Abort> {
        Ok(())
    }

    fn open_all<R: Ring>(&mut self, xs: &Verified<Vec<&Column<R>>>) -> Result<Vec<Column<R>>, Abort> {
        let shown = |x: &&Column<R>| {
            let mut values = (*x).clone();
            values.clear_tails();
            values
        };
        Ok(xs.get().iter().map(shown).collect())
    }

    fn open_to<R: Ring>(&mut self, _to: PartyId, x: &Verified<Column<R>>) -> Result<Option<Column<R>>, Abort> {
        self.open(x).map(Some)
    }

    fn release<R: Ring>(&mut self, x: &Verified<Column<R>>) -> Result<Released<R>, Abort> {
        Ok(Released { of: 1, components: vec![(0, self.open(x)?)] })
    }
}
