//! Prices a protocol by running its own code on shapes instead of shares.

use crate::cost::{self, Cost, Opening};
use crate::engine::{Difference, Engine, Input, Opened, Released, Security, Share, Verified};
use crate::relational::{Sorting, find_work, sort_work};
use crate::retrieve::{Ask, Offer, Retrieved, Sizes};
use crate::table::Table;
use crate::wire::{Gate, Wire};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Index, Layout, PartyId, Permutation, Ring};
use std::ops::Range;

/// An engine that shares nothing and adds up what [`Rep3`](crate::Rep3) would cost. Protocols never branch on values, so this is exact; but for samplesort, which branches on a
/// random order, and of which it has what is expected ([`is_exact`](Self::is_exact)). Openings yield zeros.
#[derive(Debug, Default)]
pub struct Estimate {
    cost: Cost,
    work: f64,
    sorts: Vec<(Layout, Sorting)>,
    shuffles: u64,
    opening: Opening,
}

impl Estimate {
    /// Nothing spent yet.
    pub fn new() -> Self {
        Estimate::default()
    }

    /// The cost so far.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Seconds of local work so far, as far as the cost model knows any: of sorts and of retrieving rows.
    pub fn work(&self) -> f64 {
        self.work
    }

    /// The sorts so far: the layouts of their keys, and how they were sorted.
    pub fn sorts(&self) -> &[(Layout, Sorting)] {
        &self.sorts
    }

    /// Whether the cost so far is what will be paid, and not what is expected.
    pub fn is_exact(&self) -> bool {
        self.sorts.iter().all(|(key, by)| by.is_exact(key.rows))
    }

    fn spend(&mut self, cost: Cost) {
        self.cost = self.cost.then(cost);
    }
}

/// The layout of a share, and nothing in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape(Layout);

impl Shape {
    fn with_rows(self, rows: usize) -> Self {
        Shape(self.0.with_rows(rows))
    }

    fn with_planes(self, planes: usize) -> Self {
        Shape(self.0.with_planes(planes))
    }
}

impl<R: Ring> Share<R> for Shape {
    fn layout(&self) -> Layout {
        self.0
    }
    fn add(&self, other: &Self) -> Self {
        assert_eq!(self, other, "columns have equal layouts");
        *self
    }
    fn sub(&self, other: &Self) -> Self {
        assert_eq!(self, other, "columns have equal layouts");
        *self
    }
    fn scale(&self, public: &Column<R>) -> Self {
        assert_eq!(self.0, public.layout(), "columns have equal layouts");
        *self
    }
    fn planes(&self, planes: impl IntoIterator<Item = usize>) -> Self {
        let of = self.0.planes;
        self.with_planes(planes.into_iter().inspect(|i| assert!(*i < of, "plane {i} of {of}")).count())
    }
    fn stack(shares: &[&Self]) -> Self {
        let one = shares.first().map_or(Layout::new(0, 0), |s| s.0.with_planes(1));
        assert!(shares.iter().all(|s| s.0.with_planes(1) == one), "stacked columns have equal rows");
        Shape(one.with_planes(shares.iter().map(|s| s.0.planes).sum()))
    }
    fn gather(&self, rows: &[Option<usize>]) -> Self {
        self.with_rows(rows.len())
    }
    fn sum_groups(&self, groups: &[Option<usize>], count: usize) -> Self {
        assert_eq!(groups.len(), self.0.rows, "one group for each row");
        self.with_rows(count)
    }
    fn sum(&self) -> Self {
        self.with_rows(1)
    }
    fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.0.rows, "rows of the column");
        self.with_rows(range.len())
    }
    fn concat(shares: &[&Self]) -> Self {
        let none = shares.first().map_or(Layout::new(0, 0), |s| s.0.with_rows(0));
        assert!(shares.iter().all(|s| s.0.with_rows(0) == none), "concatenated columns have equal planes");
        Shape(none.with_rows(shares.iter().map(|s| s.0.rows).sum()))
    }
    fn prefix_sums(&self) -> Self {
        *self
    }
    fn differences(&self) -> Self {
        *self
    }
    fn sums_before(&self) -> Self {
        *self
    }
    fn pick(&self, rows: &[u32]) -> Self {
        self.with_rows(rows.len())
    }
    fn place(self, _to: &Permutation) -> Self {
        self
    }
    fn fetch(self, _from: &Permutation) -> Self {
        self
    }
}

impl Engine for Estimate {
    const MODEL: Security = Security::SemiHonest;
    type Share<R: Ring> = Shape;
    type Shuffled = u64;

    fn holds(&self, _owner: PartyId) -> bool {
        false
    }

    fn input<R: Ring>(&mut self, inputs: &[Input<'_, R>]) -> Result<Vec<Shape>, Abort> {
        if let Some(stranger) = inputs.iter().find(|i| i.owner.0 >= 3) {
            return Err(Abort::Refused(format!("party {} takes no part in this session", stranger.owner)));
        }
        self.spend(cost::input::<R>(inputs.iter().map(|i| (i.owner, i.layout))));
        Ok(inputs.iter().map(|i| Shape(i.layout)).collect())
    }

    fn constant<R: Ring>(&mut self, public: &Column<R>) -> Shape {
        Shape(public.layout())
    }

    fn random_bits(&mut self, layout: Layout) -> Result<Shape, Abort> {
        Ok(Shape(layout))
    }

    fn sum_of_products<R: Ring>(&mut self, pairs: &[(&Shape, &Shape)]) -> Result<Shape, Abort> {
        let shape = *pairs.first().expect("a sum of products has at least one").0;
        assert!(pairs.iter().all(|(x, y)| **x == shape && **y == shape), "factors have equal layouts");
        self.spend(cost::product::<R>(shape.0));
        Ok(shape)
    }

    fn ands(&mut self, gates: Vec<Gate<'_, Shape>>) -> Result<Shape, Abort> {
        let (x, y): (Vec<_>, Vec<_>) = gates.into_iter().unzip();
        let (x, y) = (self.join(&x), self.join(&y));
        self.mul::<B64>(&x, &y)
    }

    fn dot<R: Ring>(&mut self, x: &Shape, y: &Shape) -> Result<Shape, Abort> {
        assert_eq!(x, y, "factors have equal layouts");
        self.spend(cost::dot::<R>(x.0));
        Ok(x.with_rows(1))
    }

    fn bits_as<R: Ring>(&mut self, bits: &Shape, layout: Layout) -> Result<Shape, Abort> {
        assert_eq!((layout.rows, layout.planes), (bits.0.rows, bits.0.planes), "one element a bit");
        self.spend(cost::bits_to::<R>(layout));
        Ok(Shape(layout))
    }

    fn shuffle(&mut self, table: Table<Self>) -> Result<(Table<Self>, u64), Abort> {
        let turn = self.shuffles;
        self.shuffles += 1;
        self.spend(cost::shuffle(table.message(), turn));
        Ok((table, turn))
    }

    fn shuffle_and_open(&mut self, table: Table<Self>, places: Shape, also: &Verified<Vec<&Shape>>) -> Result<Opened<Self>, Abort> {
        let turn = self.shuffles;
        self.shuffles += 1;
        let opened = also.get().iter().map(|x| cost::open::<Index>(x.0));
        // what else is opened travels in the last round
        let last = Cost { rounds: 0, ..Cost::at_once(opened) };
        self.spend(cost::apply(places.0, table.message(), turn, self.opening).then(last));
        let also = also.get().iter().map(|x| Column::zeros(x.0)).collect();
        Ok(Opened { table, shuffled: turn, places: Column::zeros(places.0), also })
    }

    fn open_after_shuffles(&mut self) {
        self.opening = Opening::After;
    }

    fn sorts(&mut self, key: Layout, by: Sorting) {
        self.work += sort_work(key.rows, key.planes, by);
        self.sorts.push((key, by));
    }

    fn expects_order(&mut self, key: Layout) -> bool {
        self.spend(cost::ordering(key).0);
        true
    }

    fn unshuffle(&mut self, table: Table<Self>, turn: &u64) -> Result<Table<Self>, Abort> {
        self.spend(cost::shuffle(table.message(), *turn));
        Ok(table)
    }

    fn permute_by(&mut self, owner: PartyId, _to: Option<&Permutation>, table: Table<Self>) -> Result<Table<Self>, Abort> {
        if owner.0 >= 3 {
            return Err(Abort::Refused(format!("party {owner} takes no part in this session")));
        }
        self.spend(cost::permute_by(owner, table.rows(), table.message()));
        Ok(table)
    }

    fn retrieve(&mut self, ask: Ask, offer: Offer<'_>) -> Result<Retrieved<Self>, Abort> {
        if ask.owner.0 >= 3 || offer.owner.0 >= 3 || ask.owner == offer.owner {
            return Err(Abort::Refused(format!("party {} and party {} are not two parties of this session", ask.owner, offer.owner)));
        }
        self.spend(cost::retrieve((ask.owner, ask.count), (offer.owner, offer.count), offer.payload));
        self.work += find_work(ask.count, offer.count);
        let sizes = Sizes::of(&ask, &offer);
        let bits = Shape(sizes.bits());
        Ok(Retrieved {
            check: bits.with_planes(sizes.check_bits()),
            bits: bits.with_planes(offer.payload.bits),
            fp61: Shape(sizes.elements::<Fp61>()),
            fp127: Shape(sizes.elements::<Fp127>()),
        })
    }

    /// Nothing is opened here, so any permutation stands for all.
    fn permutation(&self, opened: &Column<Index>) -> Result<Permutation, Abort> {
        Ok(Permutation::identity(opened.rows()))
    }

    fn difference<R: Ring>(&mut self, x: Shape, borrows: &[usize], subtrahend: &[usize]) -> Result<Difference<Shape>, Abort> {
        assert_eq!(x.0.planes, 1, "one plane at a time");
        self.spend(cost::difference::<R>(x.0.rows, borrows.len()));
        let planes = |planes: usize| x.with_planes(planes);
        Ok(Difference { odd: planes(R::BITS as usize), borrows: planes(borrows.len()), subtrahend: planes(subtrahend.len()) })
    }

    fn near_quotient<R: Ring, S: Ring>(&mut self, x: &Shape, divisors: &[u128]) -> Result<Shape, Abort> {
        assert_eq!(x.0.planes, divisors.len(), "one divisor for each plane");
        self.spend(cost::near_quotient::<S>(x.0));
        Ok(*x)
    }

    fn barrier(&mut self) -> Result<(), Abort> {
        Ok(())
    }

    fn open_all<R: Ring>(&mut self, xs: &Verified<Vec<&Shape>>) -> Result<Vec<Column<R>>, Abort> {
        self.spend(Cost::at_once(xs.get().iter().map(|x| cost::open::<R>(x.0))));
        Ok(xs.get().iter().map(|x| Column::zeros(x.0)).collect())
    }

    fn open_to<R: Ring>(&mut self, to: PartyId, x: &Verified<Shape>) -> Result<Option<Column<R>>, Abort> {
        if to.0 >= 3 {
            return Err(Abort::Refused(format!("party {to} takes no part in this session")));
        }
        self.spend(cost::open_to::<R>(to, x.get().0));
        Ok(Some(Column::zeros(x.get().0)))
    }

    fn release<R: Ring>(&mut self, x: &Verified<Shape>) -> Result<Released<R>, Abort> {
        self.spend(cost::release::<R>(x.get().0));
        Ok(Released { of: 1, components: vec![(0, Column::zeros(x.get().0))] })
    }

    fn join(&mut self, wires: &[Wire<'_, Shape>]) -> Shape {
        let first = wires.first().and_then(|w| w.planes().next()).expect("a join has at least one wire").0;
        let fits = |(share, plane): (&Shape, usize)| share.0.rows == first.0.rows && plane < share.0.planes;
        assert!(wires.iter().flat_map(Wire::planes).all(fits), "wires of a level have equal rows");
        first.with_planes(wires.len())
    }

    fn not(&mut self, x: &Shape) -> Shape {
        *x
    }
}
