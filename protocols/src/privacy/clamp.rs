//! Clamping to public bounds.
//!
//! *Functionality.* The value, or the bound that it is beyond: so that no row moves a sum by more than a bound, whatever its owner put in.
//! *Protocol.* On bits: [`at_least`](crate::circuit::at_least) against both bounds at once; a value is kept by one AND a bit, and bounds are public, so that the rest is linear. In the field: the signs of
//! the differences to both bounds, then x + below (low - x) + above (high - x) as one sum of products.
//! *Cost.* k bits: k/2 and up to 2 for each node of the comparison, then k; ceil(log2 k) + 1 rounds ([`cost::clamp`](crate::cost::clamp)). Field: two signs, 3 elements, 11 rounds
//! ([`cost::clamp_field`](crate::cost::clamp_field)). *Leakage.* None.

use super::Bits;
use crate::circuit::{self, Sign};
use crate::planes::element;
use crate::{Abort, Engine, Share, Wire};
use mpc_core::{B64, Column, Ring};

/// Public bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bounds {
    /// The least value.
    pub low: i64,
    /// The greatest value.
    pub high: i64,
}

impl Bounds {
    /// Bounds in order, or `None`.
    pub fn new(low: i64, high: i64) -> Option<Self> {
        (low <= high).then_some(Bounds { low, high })
    }

    /// How far from 0 a value within them can be.
    pub fn magnitude(&self) -> u128 {
        u128::from(self.low.unsigned_abs().max(self.high.unsigned_abs()))
    }
}

/// x within the bounds; those beyond what the bits can hold bound nothing.
pub fn clamp<E: Engine>(e: &mut E, x: &Bits<E>, sign: Sign, bounds: &Bounds) -> Result<Bits<E>, Abort> {
    let width = x.layout().planes;
    let (low, high) = reached(width, sign, bounds);
    let Some(constants) = constants(width, sign, bounds) else { return Ok(x.clone()) };
    let ordered = match sign {
        Sign::Unsigned => x.clone(),
        Sign::Signed => e.join(&flipped(Wire::each(x))),
    };
    let reached = circuit::at_least(e, &ordered, &constants)?;
    let reached = Wire::each(&reached);
    let below = low.then(|| !&reached[0]);
    let above = high.then(|| reached[usize::from(low)].clone());
    let outside = match (&below, &above) {
        (Some(below), Some(above)) => below ^ above,
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => unreachable!("there is a constant"),
    };
    let inside = !&outside;
    let gates: Vec<_> = Wire::each(x).into_iter().map(|bit| (inside.clone(), bit)).collect();
    let kept = Wire::level(e.ands(gates)?);
    let set = |bound: i64, i: usize| bound >> i.min(63) & 1 == 1;
    let bits = kept.into_iter().enumerate().map(|(i, bit)| {
        let bounds = [below.as_ref().filter(|_| set(bounds.low, i)), above.as_ref().filter(|_| set(bounds.high, i))];
        bounds.into_iter().flatten().fold(bit, |bit, bound| &bit ^ bound)
    });
    Ok(e.join(&bits.collect::<Vec<_>>()))
}

/// The representative nearest 0 within the bounds; its difference to either must be less than half the modulus in magnitude.
pub fn clamp_field<E: Engine, R: Ring>(e: &mut E, x: &E::Share<R>, bounds: &Bounds) -> Result<E::Share<R>, Abort> {
    let layout = x.layout();
    assert_eq!(layout.planes, 1, "one column at a time");
    let mut constant = |v: i64| {
        let magnitude: R = element(v.unsigned_abs().into());
        e.constant(&Column::splat(if v < 0 { R::ZERO.sub(magnitude) } else { magnitude }, layout))
    };
    let (to_low, to_high) = (constant(bounds.low).sub(x), constant(bounds.high).sub(x));
    // x < low where low - x > 0: the sign of x - low
    let zero = x.sub(x);
    let outside = circuit::is_negative::<E, R>(e, Share::concat(&[&zero.sub(&to_low), &to_high]))?;
    let rows = layout.rows;
    let planes: Bits<E> = Share::stack(&[&outside.slice(0..rows), &outside.slice(rows..2 * rows)]);
    let outside = e.bits_to::<R>(&planes)?;
    Ok(e.sum_of_products(&[(&outside.planes([0]), &to_low), (&outside.planes([1]), &to_high)])?.add(x))
}

/// Whether any integer of `width` bits is below the lower bound, and above the upper one.
fn reached(width: usize, sign: Sign, bounds: &Bounds) -> (bool, bool) {
    let (least, most) = range(width, sign);
    (i128::from(bounds.low) > least, i128::from(bounds.high) < most)
}

fn range(width: usize, sign: Sign) -> (i128, i128) {
    match sign {
        Sign::Unsigned => (0, (1 << width.min(126)) - 1),
        Sign::Signed => (-(1 << (width.min(127) - 1)), (1 << (width.min(127) - 1)) - 1),
    }
}

/// What x is compared with, in the order of unsigned integers: the lower bound, and one more than the upper one, as far as any x is beyond them.
pub(crate) fn constants(width: usize, sign: Sign, bounds: &Bounds) -> Option<Column<B64>> {
    let (least, most) = range(width, sign);
    assert!(least <= bounds.high.into() && i128::from(bounds.low) <= most, "some integers of {width} bits are within the bounds");
    let lift = if sign == Sign::Signed { 1i128 << (width.min(127) - 1) } else { 0 };
    let (low, high) = reached(width, sign, bounds);
    let both = [low.then_some(i128::from(bounds.low) + lift), high.then_some(i128::from(bounds.high) + 1 + lift)];
    let constants: Vec<i128> = both.into_iter().flatten().collect();
    (!constants.is_empty()).then(|| Column::from_ints(&constants, width))
}

/// Two's complement in the order of unsigned integers: the top bit complemented.
fn flipped<S>(mut bits: Vec<Wire<'_, S>>) -> Vec<Wire<'_, S>> {
    if let Some(top) = bits.pop() {
        bits.push(!top);
    }
    bits
}
