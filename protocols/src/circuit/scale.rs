//! Division by public constants: another scale of a decimal, an average of a public number.
//!
//! *Functionality.* x / d for |x| < 2^bits, rounded toward zero, or to the nearest with halves away from zero: exactly.
//! *Protocol.* With h = 0, or floor(d/2) to round to the nearest, the quotient is floor((x + h) / d) for x >= 0 and floor((x + h + u) / d) for x < 0, u = d-1-2h (if h > 0
//! that is 0 or -1). [`Engine::near_quotient`] gives T with r = x + h - T d in -2d..d, so that floor((x + h) / d) = T - [r < 0] - [r < -d], and for x < 0
//! the same with 1 added to the bounds, where also 1 is added if h = 0. The comparisons are signs in the field, all at once.
//! *Cost.* Fp61, signed: 5 signs, 2 ANDs, 2 or 3 elements: 13 rounds; unsigned, or to the nearest by an odd number: 2 signs and 2 elements, 12
//! rounds ([`cost::divide_public`](crate::cost::divide_public)). *Leakage.* None.

use super::{Bits, Rounding, Sign, is_negative, level, minus, plus, times};
use crate::{Abort, Engine, Share, Wire};
use mpc_core::Ring;

/// x / `divisor` for |x| < 2^`bits`, where 2^(`bits` + 1) + 2 `divisor` is at most half the modulus.
pub fn divide_public<E: Engine, R: Ring>(
    e: &mut E,
    x: &E::Share<R>,
    divisor: u128,
    bits: u32,
    sign: Sign,
    rounding: Rounding,
) -> Result<E::Share<R>, Abort> {
    assert!(divisor > 0 && divisor >> (R::BITS - 3) == 0 && bits + 3 <= R::BITS, "dividends and divisors leave room in the field");
    if divisor == 1 {
        return Ok(x.clone());
    }
    let half = if rounding == Rounding::HalfAwayFromZero { divisor / 2 } else { 0 };
    // a multiple of the divisor that makes the dividend positive
    let lift = if sign == Sign::Signed { (1u128 << bits).div_ceil(divisor) } else { 0 };
    let dividend = plus::<E, R>(e, x, half);
    let lifted = plus::<E, R>(e, &dividend, lift * divisor);
    let near = e.near_quotient::<R, R>(&lifted, &[divisor])?;
    let near = minus::<E, R>(e, &near, lift);
    let rest = dividend.sub(&times(&near, divisor));
    let bounds = [rest.clone(), plus::<E, R>(e, &rest, divisor)];
    let rows = x.layout().rows;
    if !by_sign(divisor, sign, rounding) {
        let below = is_negative::<E, R>(e, Share::concat(&bounds.each_ref()))?;
        let below = e.bits_to::<R>(&below)?;
        return Ok(near.sub(&below.slice(0..rows)).sub(&below.slice(rows..2 * rows)));
    }
    let [low, high] = bounds;
    let (low_1, high_1) = (minus::<E, R>(e, &low, 1), minus::<E, R>(e, &high, 1));
    let below = is_negative::<E, R>(e, Share::concat(&[&low, &high, &low_1, &high_1, x]))?;
    let below: [Bits<E>; 5] = std::array::from_fn(|i| below.slice(i * rows..(i + 1) * rows));
    let [low, high, low_1, high_1, negative] = below.each_ref().map(|bits| Wire::each(bits).remove(0));
    let turned = level(e, vec![(negative.clone(), &low ^ &low_1), (negative.clone(), &high ^ &high_1)])?;
    let mut corrections = vec![&low ^ &turned[0], &high ^ &turned[1]];
    corrections.extend((half == 0).then_some(negative));
    let corrections = e.join(&corrections);
    let corrections = e.bits_to::<R>(&corrections)?;
    let floor = near.sub(&corrections.planes([0])).sub(&corrections.planes([1]));
    Ok(if half == 0 { floor.add(&corrections.planes([2])) } else { floor })
}

/// Whether the sign of the dividend decides anything: not if none is negative, nor if there are no halves.
pub(crate) fn by_sign(divisor: u128, sign: Sign, rounding: Rounding) -> bool {
    sign == Sign::Signed && (rounding == Rounding::TowardZero || divisor.is_multiple_of(2))
}
