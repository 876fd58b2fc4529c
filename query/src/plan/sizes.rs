//! How many places relations have once their owners said how many rows they hold.
//!
//! A filter at home may leave few rows of many, and padding them to the bound of the catalogue makes everyone pay for what is not there. Where
//! a table's `sizes` in the catalogue allows it, an owner discloses how many rows are left to the other parties, as they are or rounded up; all
//! operators then work on so many places. Only numbers of places change: forms, ranges and everything else stay as the bounds made them.

use super::relation::{Operator, Relation, RelationId};
use super::{Plan, Source};
use ledger::contract::Sizes;

/// Fewer rows than this are said to be as many, where numbers are rounded.
const LEAST: u64 = 64;

impl Plan {
    /// The relations whose owners disclose how many rows they have.
    pub fn disclosing(&self) -> impl Iterator<Item = Disclosing<'_>> {
        (0..).map(RelationId).zip(&self.relations).filter_map(|(id, relation)| match &relation.op {
            Operator::Home { source: Source::Party(owner), sizes: sizes @ (Sizes::Bucket | Sizes::Exact), .. } if !relation.full => {
                Some(Disclosing { id, owner, sizes: *sizes, places: relation.places })
            }
            _ => None,
        })
    }

    /// The plan on so many places, one number for each of [`Plan::disclosing`]. `None`: that is none of the numbers that an owner can disclose.
    pub fn sized(&self, sizes: &[u64]) -> Option<Plan> {
        let disclosing: Vec<_> = self.disclosing().collect();
        if disclosing.len() != sizes.len() || !disclosing.iter().zip(sizes).all(|(d, size)| d.said(*size) == *size) {
            return None;
        }
        let mut sized: Vec<(RelationId, u64)> = disclosing.iter().map(|d| d.id).zip(sizes.iter().copied()).collect();
        sized.reverse();
        let mut plan = self.clone();
        for at in 0..plan.relations.len() {
            let places = match sized.last() {
                Some((id, size)) if id.0 == at => Some(*size),
                _ => None,
            };
            plan.relations[at].places = match places {
                Some(size) => {
                    sized.pop();
                    size
                }
                None => places_of(&plan.relations[at], |id| plan.relations[id.0].places),
            };
        }
        Some(plan)
    }
}

/// A relation whose owner discloses how many rows it has.
#[derive(Clone, Copy, Debug)]
pub struct Disclosing<'p> {
    /// Which.
    pub id: RelationId,
    /// Whose.
    pub owner: &'p str,
    /// How exactly.
    pub sizes: Sizes,
    /// The bound.
    pub places: u64,
}

impl Disclosing<'_> {
    /// What is said of so many rows: no relation is without a place, and none has more than its bound.
    pub fn said(&self, rows: u64) -> u64 {
        let said = match self.sizes {
            Sizes::Hidden => self.places,
            Sizes::Bucket => rounded_up(rows),
            Sizes::Exact => rows,
        };
        said.max(1).min(self.places)
    }
}

/// The next number of three binary digits and zeros behind them: at most a quarter more.
fn rounded_up(rows: u64) -> u64 {
    let rows = rows.max(LEAST);
    let step = 1 << (rows.ilog2() - 2);
    rows.div_ceil(step).saturating_mul(step)
}

/// The places of a relation that follow from those of others; never more than it has.
fn places_of(relation: &Relation, of: impl Fn(&RelationId) -> u64) -> u64 {
    let most = match &relation.op {
        Operator::Home { .. } | Operator::Total { .. } | Operator::Noise { .. } => relation.places,
        Operator::Map { input, .. } | Operator::Group { input, .. } | Operator::Top { input, .. } | Operator::Window { input, .. } => {
            of(input)
        }
        Operator::Lookup { base, .. } => of(base),
        Operator::Pairs { left, right, .. } | Operator::Cross { left, right } => of(left).saturating_mul(of(right)),
        Operator::Union { inputs } => inputs.iter().map(of).sum(),
    };
    most.min(relation.places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_up_by_a_quarter_at_most() {
        let said = |sizes, rows| Disclosing { id: RelationId(0), owner: "a", sizes, places: 100_000 }.said(rows);
        let rounded = [
            (0, 64),
            (1, 64),
            (64, 64),
            (65, 80),
            (80, 80),
            (81, 96),
            (113, 128),
            (129, 160),
            (1000, 1024),
            (1025, 1280),
            (99_000, 100_000),
        ];
        for (rows, shown) in rounded {
            assert_eq!(said(Sizes::Bucket, rows), shown, "{rows}");
        }
        for rows in 64..100_000 {
            let shown = said(Sizes::Bucket, rows);
            assert!((rows..=rows + rows / 4 + 1).contains(&shown) && said(Sizes::Bucket, shown) == shown, "{rows}: {shown}");
        }
        assert_eq!([0, 1, 7, 100_000, u64::MAX].map(|rows| said(Sizes::Exact, rows)), [1, 1, 7, 100_000, 100_000]);
        assert_eq!(said(Sizes::Bucket, u64::MAX), 100_000);
        assert_eq!(said(Sizes::Hidden, 3), 100_000);
    }
}
