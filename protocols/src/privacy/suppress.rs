//! Which cells may be shown.
//!
//! *Functionality.* A bit a cell: it has as many entities as the rule asks for, and none of them, or no few, make up too much of it ((n, k) and p% rules: Hundepool et al., Statistical
//! Disclosure Control, 2012, chapter 4). [`suppress`] zeroes the others, for good: what then opens is the bit, and 0.
//! *Protocol.* Each rule is the sign of a linear form; all signs are taken at once, and joined.
//! *Cost.* A sign for each rule, 8 rounds over Fp61, one AND in a round if there are two ([`cost::safe`](crate::cost::safe)). *Leakage.* None. The bits, once open, tell of a cell that it is
//! below the threshold or dominated: that is what a suppressed cell says everywhere. They are exact, and no differential privacy is claimed for them, unless the entities counted
//! have noise on them already.

use super::Bits;
use crate::planes::{element, modulus};
use crate::{Abort, Cell, Engine, Share, Table, circuit};
use mpc_core::{Column, Ring};

/// When few entities make up too much of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Dominance {
    /// The (n, k) rule: the `largest` greatest together have more than `percent` of the total.
    Share {
        /// n.
        largest: usize,
        /// k.
        percent: u32,
    },
    /// The p% rule: the second greatest could estimate the greatest within `percent` of it, as all others together have less.
    Estimate {
        /// p.
        percent: u32,
    },
}

impl Dominance {
    /// How many of the greatest totals it looks at.
    pub fn ranks(&self) -> usize {
        match self {
            Dominance::Share { largest, .. } => *largest,
            Dominance::Estimate { .. } => 2,
        }
    }
}

/// What a cell must be to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    /// Distinct entities, at least.
    pub entities: u64,
    /// What makes a cell dominated.
    pub dominance: Option<Dominance>,
}

/// What is known of cells, a row each.
pub struct Facts<'a, S> {
    /// Distinct entities.
    pub entities: &'a S,
    /// The sum of all values, and the greatest totals of single entities, a plane each, the greatest first: where a rule looks at them. Totals times a hundred and more stay
    /// below half the modulus.
    pub totals: Option<(&'a S, &'a S)>,
}

/// Zeroes the cells that are not shown, for good: noise and all.
pub fn suppress<E: Engine>(e: &mut E, shown: &Bits<E>, cells: &mut Table<E>) -> Result<(), Abort> {
    cells.blank(e, shown)
}

/// Whether each cell may be shown.
pub fn safe<E: Engine, R: Cell>(e: &mut E, facts: &Facts<'_, E::Share<R>>, rule: &Rule) -> Result<Bits<E>, Abort> {
    assert!(u128::from(rule.entities) < modulus::<R>() / 2, "the least number of entities fits the field");
    let layout = facts.entities.layout();
    let rows = layout.rows;
    let least = e.constant(&Column::splat(element::<R>(rule.entities.into()), layout));
    let enough = facts.entities.sub(&least);
    let Some(dominance) = &rule.dominance else {
        let few = circuit::is_negative::<E, R>(e, enough)?;
        return Ok(e.not(&few));
    };
    let (total, largest) = facts.totals.expect("a rule of dominance comes with totals");
    let rest = margin::<R, _>(dominance, total, largest);
    let wrong = circuit::is_negative::<E, R>(e, Share::concat(&[&enough, &rest]))?;
    let fine = e.not(&wrong);
    e.mul(&fine.slice(0..rows), &fine.slice(rows..2 * rows))
}

/// What is negative where a cell is dominated.
fn margin<R: Ring, S: Share<R>>(dominance: &Dominance, total: &S, largest: &S) -> S {
    assert!(dominance.ranks() > 0 && dominance.ranks() <= largest.layout().planes, "as many of the greatest totals as the rule looks at");
    let times = |x: &S, c: u32| x.scale(&Column::splat(element(c.into()), x.layout()));
    let sum = |n: usize| (1..n).fold(largest.planes([0]), |sum, i| sum.add(&largest.planes([i])));
    match *dominance {
        Dominance::Share { largest: n, percent } => times(total, percent).sub(&times(&sum(n), 100)),
        Dominance::Estimate { percent } => times(&total.sub(&sum(2)), 100).sub(&times(&largest.planes([0]), percent)),
    }
}
