//! Division of secret by secret, exactly.
//!
//! *Functionality.* Q = n s / d with a public scale s, rounded toward zero, or to the nearest with halves away from zero; and whether d is not
//! zero. Where it is, Q is 0. For |n| < 2^N, |d| < 2^m and |n s / d| < 2^q: ranges that the plan proves.
//! *Protocol.* A reciprocal by multiplication in the field, then an exact correction (compare Goldschmidt; Catrina and Saxena, FC'10, whose truncations are
//! probabilistic and whose result is approximate):
//!
//! 1. The bits of |d| and both signs ([`field_bits`]; the bits of -d are the complements of d's, as the modulus is 2^k - 1), the position of the top bit by a
//!    [prefix tree](super::prefix), its distance e from m in binary (exclusive ors), v = 2^e by one converted bit and one product for each bit of e.
//! 2. b = |d| v in [2^(m-1), 2^m), so β = b / 2^m in [1/2, 1), held to t bits. y = (45 - 30 β)/16 has 1 - β y = ε with |ε| <= 1/16 everywhere;
//!    1/β = y (1 + ε)(1 + ε²)(1 + ε⁴)…, of which F factors leave 2^(-4 2^F).
//! 3. |n| s v / 2^m to 4 bits below the point, times 1/β, is Q but for less than 1/2.
//! 4. T, that less 2, is floor(Q + h) less 0, 1 or 2, with h = 0 or 1/2. The remainder, exact in the field, says which: two signs. Then the sign.
//!
//! Every truncation is [`Engine::near_quotient`], off by at most one in the last place and never by more. With t = q + 6 those of step 2 lose
//! (2.2 F + 3) 2^-t < 12 2^-t of 1/β, which is less than 12/64 < 0.2 of a quotient below 2^q; those of step 3 lose 2.2/2^4 < 0.14. The field must hold 2^(q+m) and
//! 2^(2q+18), so a quotient has up to 54 bits ([`Division::is_possible`]). What fits into Fp61 is done there, the rest in Fp127.
//!
//! *Cost.* In bits a row (mean of the parties) and rounds, both operands signed, from [`cost::divide`](crate::cost::divide); beside it what the same
//! function takes on bits, counted in ANDs without the conversions there and back (another 1000 bits and more, 14 rounds):
//!
//! | method | k = 32, q = 20 | k = 32, q = 40 | k = 59, q = 20 | k = 59, q = 40 |
//! |---|---|---|---|---|
//! | this | 3513, 49 | 7581, 57 | 7640, 55 | 8232, 58 |
//! | restoring: q steps of an adder and a choice | 3860, 140 | 7720, 280 | 7880, 160 | 15760, 320 |
//! | non-restoring: q steps of an adder | 3220, 120 | 6440, 240 | 6700, 140 | 13400, 280 |
//! | radix 16 by comparison in the field: q/4 steps of 15 signs | 13200, 55 | 26500, 110 | 13200, 55 | 26500, 110 |
//!
//! A bit of quotient costs the others a carry chain; here its length costs a round of products when it doubles. *Leakage.* None.

use super::list::step_wires;
use super::prefix::prefix_ands;
use super::{Bits, Sign, constant, field_bits, is_negative, minus, plus, products, times, zero};
use crate::{Abort, Engine, Pair, Share, Wire};
use mpc_core::{Fp127, Ring};

/// How a quotient becomes an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The part after the point is dropped.
    TowardZero,
    /// To the nearest, halves away from zero.
    HalfAwayFromZero,
}

/// What is public of a division.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    /// Bits of the numerator's magnitude, and whether it may be negative.
    pub numerator: (u32, Sign),
    /// Bits of the denominator's magnitude, and whether it may be negative.
    pub denominator: (u32, Sign),
    /// The numerator is multiplied by it: 10^s for s digits after the point.
    pub scale: u128,
    /// Bits of the quotient's magnitude, before rounding, for denominators that are not zero.
    pub quotient: u32,
    /// How the quotient is rounded.
    pub rounding: Rounding,
}

/// A quotient, and whether there is one.
pub struct Quotient<E: Engine, R: Ring> {
    /// The quotient; 0 if the denominator is zero.
    pub value: E::Share<R>,
    /// Whether the denominator is not zero.
    pub valid: Bits<E>,
}

/// Bits of |n| s v / 2^m below the point.
const GUARD: u32 = 4;

impl Division {
    /// Whether it can be done for elements of `R` at all.
    pub fn is_possible<R: Ring>(&self) -> bool {
        let bits = |(bits, sign): (u32, Sign)| 0 < bits && bits + u32::from(sign == Sign::Signed) < R::BITS;
        bits(self.numerator) && bits(self.denominator) && 0 < self.quotient && self.quotient + 2 < R::BITS && self.fits::<Fp127>()
    }

    /// Whether everything in between fits into `W`: then it is done there, else in [`Fp127`].
    pub fn fits<W: Ring>(&self) -> bool {
        let (m, q) = (self.denominator.0, self.quotient);
        q + m < W::BITS && 2 * q + 18 < W::BITS && m + 4 < W::BITS && self.numerator.0 + 1 < W::BITS
    }

    /// Fraction bits of the reciprocal.
    fn fraction(&self) -> u32 {
        self.quotient + 6
    }

    /// Factors of the reciprocal: 2^(-4 2^F) <= 2^-t.
    pub(crate) fn factors(&self) -> u32 {
        self.fraction().div_ceil(4).next_power_of_two().ilog2()
    }

    /// Bits of the distance of the top bit from the top position.
    pub(crate) fn shift_bits(&self) -> usize {
        u32::BITS.saturating_sub((self.denominator.0 - 1).leading_zeros()) as usize
    }

    /// Planes of the conversion to bits: magnitudes, and a sign above the longer of those that have one.
    pub(crate) fn width(&self) -> usize {
        let signed = [self.numerator, self.denominator].into_iter().filter(|(_, sign)| *sign == Sign::Signed);
        let width = signed.map(|(bits, _)| bits + 1).chain([self.denominator.0]).max();
        width.expect("the denominator is there") as usize
    }

    /// Divisors of b and of the scaled numerator on their way to t and to [`GUARD`] bits below the point; 1 where they are multiplied instead.
    pub(crate) fn first_shifts(&self) -> [u32; 2] {
        let m = self.denominator.0;
        [m.saturating_sub(self.fraction()), m.saturating_sub(GUARD)]
    }
}

/// numerator * scale / denominator.
///
/// # Panics
/// If the division is not [possible](Division::is_possible) over `R`: the plan refuses what is not.
pub fn divide<E: Engine, R: Ring>(
    e: &mut E,
    numerator: &E::Share<R>,
    denominator: &E::Share<R>,
    of: &Division,
) -> Result<Quotient<E, R>, Abort> {
    assert!(of.is_possible::<R>(), "the plan proves ranges that a division can work with");
    let bits = Operands::new::<R>(e, numerator, denominator, of)?;
    let valid = e.join(&[bits.nonzero()]);
    if of.fits::<R>() {
        let value = quotient::<E, R>(e, numerator, denominator, &bits, of)?;
        return Ok(Quotient { value, valid });
    }
    // what may be negative is lifted on its way from field to field
    let middle = |sign| if sign == Sign::Signed { 1u128 << (R::BITS - 2) } else { 0 };
    let lifts = [middle(of.numerator.1), middle(of.denominator.1)];
    let lifted = [(numerator, lifts[0]), (denominator, lifts[1])].map(|(x, lift)| plus::<E, R>(e, x, lift));
    let both = e.near_quotient::<R, Fp127>(&Share::stack(&lifted.each_ref()), &[1, 1])?;
    let [numerator, denominator] = [0, 1].map(|i| minus::<E, Fp127>(e, &both.planes([i]), lifts[i]));
    let value = quotient::<E, Fp127>(e, &numerator, &denominator, &bits, of)?;
    let lift = middle(Sign::Signed);
    let value = plus::<E, Fp127>(e, &value, lift);
    let value = e.near_quotient::<Fp127, R>(&value, &[1])?;
    Ok(Quotient { value: minus::<E, R>(e, &value, lift), valid })
}

/// What is known of the operands in bits.
struct Operands<E: Engine> {
    /// The distance of the denominator's top bit from the top position in binary, then whether it is not zero, then the signs there are.
    flags: Bits<E>,
    shift_bits: usize,
}

impl<E: Engine> Operands<E> {
    fn new<R: Ring>(e: &mut E, numerator: &E::Share<R>, denominator: &E::Share<R>, of: &Division) -> Result<Self, Abort> {
        let rows = numerator.layout().rows;
        let ((n, n_sign), (m, d_sign), width) = (of.numerator, of.denominator, of.width());
        let (numerator, denominator) = if n_sign == Sign::Signed {
            let bits = field_bits::<E, R>(e, Share::concat(&[numerator, denominator]), width)?;
            (Some(bits.slice(0..rows)), bits.slice(rows..2 * rows))
        } else {
            (None, field_bits::<E, R>(e, denominator.clone(), width)?)
        };
        let wires = Wire::each(&denominator);
        let negative = (d_sign == Sign::Signed).then(|| wires[m as usize].clone());
        let magnitude = wires[..m as usize].iter().map(|bit| negative.as_ref().map_or_else(|| bit.clone(), |sign| bit ^ sign));
        // from the top: whether all bits so far are zero
        let zeros = prefix_ands(e, magnitude.rev().map(|bit| !bit).collect())?;
        let reached: Vec<_> = zeros.iter().rev().map(|zero| !zero).collect();
        let distances: Vec<u128> = std::iter::once(0).chain((0..m.into()).rev()).collect();
        let nothing = zero::<E>(e, rows, 1);
        let mut flags = step_wires(&reached, &Wire::each(&nothing)[0], &distances, of.shift_bits());
        flags.push(reached[0].clone());
        flags.extend(numerator.iter().map(|bits| Wire::each(bits).swap_remove(n as usize)));
        flags.extend(negative);
        Ok(Operands { flags: e.join(&flags), shift_bits: of.shift_bits() })
    }

    fn nonzero(&self) -> Wire<'_, Bits<E>> {
        Wire::each(&self.flags).swap_remove(self.shift_bits)
    }
}

/// The quotient over `W`.
fn quotient<E: Engine, W: Ring>(
    e: &mut E,
    numerator: &E::Share<W>,
    denominator: &E::Share<W>,
    bits: &Operands<E>,
    of: &Division,
) -> Result<E::Share<W>, Abort> {
    let rows = numerator.layout().rows;
    let flags = e.bits_to::<W>(&bits.flags)?;
    let flag = |i: usize| flags.planes([i]);
    let unit = constant::<E, W>(e, rows, 1);
    let signs: Vec<_> = (bits.shift_bits + 1..flags.layout().planes).map(|i| unit.sub(&times(&flag(i), 2))).collect();
    let n_sign = (of.numerator.1 == Sign::Signed).then(|| &signs[0]);
    let d_sign = (of.denominator.1 == Sign::Signed).then(|| &signs[signs.len() - 1]);
    let scaled = times(numerator, of.scale);

    // magnitudes, the sign of the quotient (0 without one) and the factors of v: products, level by level
    let mut shift: Vec<_> = (0..bits.shift_bits).map(|i| plus::<E, W>(e, &times(&flag(i), (1u128 << (1 << i)) - 1), 1)).collect();
    let mut sign: Vec<_> = signs.iter().cloned().chain([flag(bits.shift_bits)]).collect();
    let magnitudes = [n_sign.map(|sign| (&scaled, sign)), d_sign.map(|sign| (denominator, sign))];
    let made = halve::<E, W>(e, &magnitudes.into_iter().flatten().collect::<Vec<_>>(), [&mut shift, &mut sign])?;
    while shift.len() > 1 || sign.len() > 1 {
        halve::<E, W>(e, &[], [&mut shift, &mut sign])?;
    }
    let n = if n_sign.is_some() { &made[0] } else { &scaled };
    let d = if d_sign.is_some() { &made[made.len() - 1] } else { denominator };
    let shifted = match shift.pop() {
        Some(v) => products::<E, W>(e, &[(d, &v), (n, &v)])?,
        None => vec![d.clone(), n.clone()],
    };
    let sign = sign.pop().expect("whether there is a quotient");

    let magnitude = approximate::<E, W>(e, &shifted, of)?;
    let exact = corrected::<E, W>(e, &magnitude, n, d, of)?;
    e.mul(&exact, &sign)
}

/// One level of products: those of `pairs`, and of neighbours in each list of factors, which take their place.
fn halve<E: Engine, W: Ring>(
    e: &mut E,
    pairs: &[Pair<'_, E::Share<W>>],
    factors: [&mut Vec<E::Share<W>>; 2],
) -> Result<Vec<E::Share<W>>, Abort> {
    let neighbours = factors.iter().flat_map(|list| list.chunks_exact(2)).map(|pair| (&pair[0], &pair[1]));
    let gates: Vec<_> = pairs.iter().copied().chain(neighbours).collect();
    let mut made = products::<E, W>(e, &gates)?;
    let mut halved = made.split_off(pairs.len()).into_iter();
    for list in factors {
        let odd = if list.len() % 2 == 1 { list.pop() } else { None };
        *list = halved.by_ref().take(list.len() / 2).chain(odd).collect();
    }
    Ok(made)
}

/// T, at most 2 less than the rounded quotient and not more than it, of b = |d| v and |n| s v.
fn approximate<E: Engine, W: Ring>(e: &mut E, shifted: &[E::Share<W>], of: &Division) -> Result<E::Share<W>, Abort> {
    let (m, t, rows) = (of.denominator.0, of.fraction(), shifted[0].layout().rows);
    let by = of.first_shifts();
    let mut near = if by == [0, 0] {
        shifted.to_vec()
    } else {
        let near = e.near_quotient::<W, W>(&Share::stack(&[&shifted[0], &shifted[1]]), &by.map(|by| 1 << by))?;
        vec![near.planes([0]), near.planes([1])]
    };
    let scaled = times(&near.pop().expect("two"), 1 << GUARD.saturating_sub(m));
    let b = times(&near.pop().expect("two"), 1 << t.saturating_sub(m));

    // y with t + 4 bits below the point, ε with t
    let first = constant::<E, W>(e, rows, 45 << t);
    let mut y = first.sub(&times(&b, 30));
    let by = e.mul(&b, &y)?;
    let lifted = constant::<E, W>(e, rows, 1 << (2 * t + 5)).sub(&by);
    let lifted = e.near_quotient::<W, W>(&lifted, &[1 << (t + 4)])?;
    let unit = constant::<E, W>(e, rows, 1 << t);
    let mut error = lifted.sub(&unit);
    for i in 0..of.factors() {
        let factor = error.add(&unit);
        let below = t + if i == 0 { 4 } else { 0 };
        if i + 1 == of.factors() {
            let product = e.mul(&y, &factor)?;
            y = e.near_quotient::<W, W>(&product, &[1 << below])?;
        } else {
            let both = products::<E, W>(e, &[(&y, &factor), (&error, &error)])?;
            let both = e.near_quotient::<W, W>(&Share::stack(&[&both[0], &both[1]]), &[1 << below, 1 << t])?;
            (y, error) = (both.planes([0]), both.planes([1]));
        }
    }
    let product = e.mul(&scaled, &y)?;
    // to be off by less than one after adding 1/2 for the error, h for the rounding
    let half = 1u128 << (t + GUARD - 1);
    let lifted = plus::<E, W>(e, &product, if of.rounding == Rounding::HalfAwayFromZero { 2 * half } else { half });
    let near = e.near_quotient::<W, W>(&lifted, &[1 << (t + GUARD)])?;
    Ok(minus::<E, W>(e, &near, 2))
}

/// The rounded quotient of magnitudes, of one that is 0, 1 or 2 less.
fn corrected<E: Engine, W: Ring>(
    e: &mut E,
    near: &E::Share<W>,
    n: &E::Share<W>,
    d: &E::Share<W>,
    of: &Division,
) -> Result<E::Share<W>, Abort> {
    let rows = near.layout().rows;
    let product = e.mul(near, d)?;
    // to the nearest: floor((2n + d) / 2d)
    let (rest, d) = match of.rounding {
        Rounding::TowardZero => (n.sub(&product), d.clone()),
        Rounding::HalfAwayFromZero => (times(&n.sub(&product), 2).add(d), times(d, 2)),
    };
    let (once, twice) = (rest.sub(&d), rest.sub(&times(&d, 2)));
    let below = is_negative::<E, W>(e, Share::concat(&[&once, &twice]))?;
    let reached = e.not(&below);
    let reached = e.bits_to::<W>(&reached)?;
    Ok(near.add(&reached.slice(0..rows)).add(&reached.slice(rows..2 * rows)))
}
