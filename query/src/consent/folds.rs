//! The aggregates that a value went through.

use ledger::contract::Operation;

/// A set of aggregates: a bit for each, since labels are copied at every expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Folds(u16);

impl Folds {
    pub(super) const NONE: Self = Self(0);

    /// Something was computed of what came of them: it is not a part of a sum any more.
    const COMPUTED: Self = Self(1 << 15);

    pub(super) const fn computed(self) -> Self {
        if self.is_empty() { self } else { Self(self.0 | Self::COMPUTED.0) }
    }

    pub(super) const fn uncomputed(self) -> Self {
        Self(self.0 & !Self::COMPUTED.0)
    }

    pub(super) const fn of(fold: Operation) -> Self {
        Self(1 << fold as u16)
    }

    pub(super) const fn and(self, fold: Operation) -> Self {
        Self(self.0 | Self::of(fold).0)
    }

    pub(super) const fn without(self, fold: Operation) -> Self {
        Self(self.0 & !Self::of(fold).0)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |fold| Self::of(*fold).is_within(self))
    }
}
