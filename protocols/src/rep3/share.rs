//! A replicated share as one party holds it, and what it can do without a message.

use crate::engine::Share;
use mpc_core::{Column, Layout, Permutation, Ring};
use std::ops::Range;

/// The two components of a column that P_i holds: (x_i, x_{i+1}). Wiped on drop, as every [`Column`] is.
#[derive(Clone)]
pub struct Rep3Share<R: Ring> {
    first: Column<R>,
    second: Column<R>,
}

/// The elements of both components of the same rows.
pub(super) type Slices<'a, R> = (&'a [R], &'a [R]);

impl<R: Ring> Rep3Share<R> {
    /// The share with components `first` = x_i and `second` = x_{i+1}.
    ///
    /// # Panics
    /// If their layouts differ.
    pub fn from_components(first: Column<R>, second: Column<R>) -> Self {
        assert_eq!(first.layout(), second.layout(), "components have equal layouts");
        Rep3Share { first, second }
    }

    /// Component i, which P_{i-1} holds too.
    pub fn first(&self) -> &Column<R> {
        &self.first
    }

    /// Component i+1, which P_{i+1} holds too.
    pub fn second(&self) -> &Column<R> {
        &self.second
    }

    /// Both components.
    pub fn into_components(self) -> (Column<R>, Column<R>) {
        (self.first, self.second)
    }

    pub(super) fn slices(&self) -> Slices<'_, R> {
        (self.first.as_slice(), self.second.as_slice())
    }

    pub(super) fn plane(&self, i: usize) -> Slices<'_, R> {
        (self.first.plane(i), self.second.plane(i))
    }

    /// The sum of both components: the value less the component that is missing here.
    pub(super) fn known(&self) -> Column<R> {
        self.first.zip(&self.second, R::add)
    }

    /// [`known`](Self::known), in the place of the share.
    pub(super) fn into_known(self) -> Column<R> {
        self.first.combine(&self.second, R::add)
    }

    fn each(&self, f: impl Fn(&Column<R>) -> Column<R>) -> Self {
        Rep3Share { first: f(&self.first), second: f(&self.second) }
    }

    fn zip(&self, other: &Self, f: impl Fn(R, R) -> R) -> Self {
        Rep3Share { first: self.first.zip(&other.first, &f), second: self.second.zip(&other.second, &f) }
    }
}

impl<R: Ring> Share<R> for Rep3Share<R> {
    fn layout(&self) -> Layout {
        self.first.layout()
    }
    fn add(&self, other: &Self) -> Self {
        self.zip(other, R::add)
    }
    fn sub(&self, other: &Self) -> Self {
        self.zip(other, R::sub)
    }
    fn scale(&self, public: &Column<R>) -> Self {
        self.each(|c| c.zip(public, R::mul))
    }
    fn planes(&self, planes: impl IntoIterator<Item = usize>) -> Self {
        let planes: Vec<usize> = planes.into_iter().collect();
        self.each(|c| c.pick_planes(planes.iter().copied()))
    }
    fn stack(shares: &[&Self]) -> Self {
        Rep3Share {
            first: Column::stack(&shares.iter().map(|s| &s.first).collect::<Vec<_>>()),
            second: Column::stack(&shares.iter().map(|s| &s.second).collect::<Vec<_>>()),
        }
    }
    fn gather(&self, rows: &[Option<usize>]) -> Self {
        self.each(|c| c.gather(rows))
    }
    fn sum_groups(&self, groups: &[Option<usize>], count: usize) -> Self {
        self.each(|c| c.sum_groups(groups, count))
    }
    fn sum(&self) -> Self {
        self.each(Column::sum)
    }
    fn slice(&self, range: Range<usize>) -> Self {
        self.each(|c| c.slice_rows(range.clone()))
    }
    fn concat(shares: &[&Self]) -> Self {
        Rep3Share {
            first: Column::concat(&shares.iter().map(|s| &s.first).collect::<Vec<_>>()),
            second: Column::concat(&shares.iter().map(|s| &s.second).collect::<Vec<_>>()),
        }
    }
    fn prefix_sums(&self) -> Self {
        self.each(Column::prefix_sums)
    }
    fn differences(&self) -> Self {
        self.each(Column::differences)
    }
    fn sums_before(&self) -> Self {
        self.each(Column::sums_before)
    }
    fn pick(&self, rows: &[u32]) -> Self {
        self.each(|c| c.pick(rows))
    }
    fn place(self, to: &Permutation) -> Self {
        Rep3Share { first: self.first.place(to), second: self.second.place(to) }
    }
    fn fetch(self, from: &Permutation) -> Self {
        Rep3Share { first: self.first.fetch(from), second: self.second.fetch(from) }
    }
}
