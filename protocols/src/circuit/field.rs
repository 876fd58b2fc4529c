//! Field elements as integers in bits; their sign, order and equality.
//!
//! *Functionality.* [`field_bits`]: the canonical bits, or the low ones of smaller values; [`signed_field_bits`]: two's complement; [`is_negative`]: the sign
//! of the representative nearest zero; [`is_zero`]; [`field_less`] and [`field_equal`], which compare by the difference: for the order it must be less than
//! half the modulus in magnitude, as the plan's ranges say.
//! *Protocol.* [`Engine::difference`] gives x = a - c with a, c in 0..p: of the integers' bits a_i xor c_i and g_i = (not a_i) c_i in two rounds. p = 2^k - 1, so
//! a - c mod p is subtraction mod 2^k with the borrow of the top position going *around* into the lowest. With
//! p_i = not (a_i xor c_i), (G_i, P_i) those of positions 0..=i by a [prefix tree](super::prefix) and w = G_{k-1} the borrow that goes around,
//! bit i is a_i xor c_i xor G_{i-1} xor P_{i-1} w. Equal integers borrow nothing, so zero is all zeros: the result is canonical. *Sign*: bit k-1 is set in
//! (p+1)/2..p, so the borrow into it is enough; by the rotation of positions k-1, 0, 1, …, k-2 it is the borrow out of a chain that nothing enters (if the
//! others all pass, position k-1 decides with its g alone). Pairs of bits need one AND for their g as in [`less`](super::less()):
//! g = c_1 xor p_1 (c_1 xor g_0), so that only every other g_i is asked for. *Zero*: a = c. Over Z_{2^k} the same without going around. Elements are given up: what
//! becomes of them takes their place.
//! *Cost.* Fp61: bits 472 a row, 9 rounds; sign 176 by P_0, 146 by the others, 8 rounds; zero 121 by P_0, 60 by the others, 7 rounds
//! ([`cost::field_bits`](crate::cost::field_bits), [`cost::is_negative`](crate::cost::is_negative), [`cost::is_zero`](crate::cost::is_zero)). *Leakage.* None.
//!
//! The other way is [`integer`](super::integer). A product whose *bits* are wanted is a product in the field and then its bits: factors are shared there
//! anyway, and one multiplication with 472 bits is below the k^2 ANDs of a multiplier on bits from k = 22 on, and below its rounds for every k.

use super::prefix::{Tree, alone};
use super::{Bits, all, level, merge_blocks};
use crate::engine::Difference;
use crate::planes::{element, modulus};
use crate::{Abort, Engine, Share, Wire};
use mpc_core::{Column, Ring};

/// The low `width` bits of canonical values below 2^`width`, or with `width` = `R::BITS` of all values.
pub fn field_bits<E: Engine, R: Ring>(e: &mut E, x: E::Share<R>, width: usize) -> Result<Bits<E>, Abort> {
    let tree = borrows::<R>(width);
    let read: Vec<usize> = (0..tree.reads.len()).filter(|i| tree.reads[*i]).collect();
    let Difference { odd, borrows, .. } = e.difference(x, &read, &[])?;
    let (odd, mut borrows) = (Wire::level(odd), Wire::level(borrows).into_iter());
    // what the tree does not read may be anything
    let generated = |i: usize| if tree.reads[i] { borrows.next().expect("one a position read") } else { odd[i].clone() };
    let g: Vec<_> = (0..odd.len()).map(generated).collect();
    let (g, p) = tree.run(e, g, odd.iter().map(|bit| !bit).collect())?;
    let lower = width - 1;
    if !goes_around::<R>() {
        let bits: Vec<_> = std::iter::once(odd[0].clone()).chain((0..lower).map(|i| &odd[i + 1] ^ &g[i])).collect();
        return Ok(e.join(&bits));
    }
    let around = &g[odd.len() - 1];
    let passed = level(e, p[..lower].iter().map(|p| (p.clone(), around.clone())).collect())?;
    let upper = (0..lower).map(|i| &(&odd[i + 1] ^ &g[i]) ^ &passed[i]);
    let bits: Vec<_> = std::iter::once(&odd[0] ^ around).chain(upper).collect();
    Ok(e.join(&bits))
}

/// Two's complement of `width` bits of values nearest zero, in -2^(width-1)..2^(width-1) and with x + 2^(width-1) below the modulus.
pub fn signed_field_bits<E: Engine, R: Ring>(e: &mut E, x: &E::Share<R>, width: usize) -> Result<Bits<E>, Abort> {
    let lifted = e.add_public(x, &Column::splat(element(1 << (width - 1)), x.layout()));
    let bits = field_bits::<E, R>(e, lifted, width)?;
    let mut wires = Wire::each(&bits);
    wires[width - 1] = !&wires[width - 1];
    Ok(e.join(&wires))
}

/// Whether the representative nearest zero is negative.
pub fn is_negative<E: Engine, R: Ring>(e: &mut E, x: E::Share<R>) -> Result<Bits<E>, Abort> {
    let (top, around) = (R::BITS as usize - 1, goes_around::<R>());
    let pairs = top / 2;
    let upper: Vec<usize> = (0..pairs).map(|j| 2 * j + 1).collect();
    let Difference { odd, borrows, subtrahend } = e.difference(x, &sign_borrows::<R>(), &upper)?;
    let (odd, low, c) = (Wire::level(odd), Wire::level(borrows), Wire::level(subtrahend));
    let gates = (0..pairs).map(|j| (!&odd[2 * j + 1], &c[j] ^ &low[j]));
    let alike = (usize::from(!around)..pairs).map(|j| (!&odd[2 * j + 1], !&odd[2 * j]));
    let gates = gates.chain(alike).collect();
    // what is read later leaves the columns it is in, which go with the gates
    let highest = alone(e, odd[top].clone());
    let lowest = around.then(|| (alone(e, low[low.len() - 1].clone()), None));
    let topmost = (top % 2 == 1).then(|| (alone(e, low[pairs].clone()), Some(alone(e, !&odd[top - 1]))));
    drop((odd, low));
    let mut products = level(e, gates)?.into_iter();
    let borrows: Vec<_> = c.into_iter().map(|c| alone(e, &c ^ &products.next().expect("one product a gate"))).collect();
    let pair = |(j, borrow)| (borrow, if around || j > 0 { products.next() } else { None });
    let blocks = lowest.into_iter().chain(borrows.into_iter().enumerate().map(pair)).chain(topmost).collect();
    let (borrow, _) = merge_blocks(e, blocks, false)?;
    Ok(e.join(&[&highest ^ &borrow]))
}

/// Whether the element is zero.
pub fn is_zero<E: Engine, R: Ring>(e: &mut E, x: E::Share<R>) -> Result<Bits<E>, Abort> {
    let Difference { odd, .. } = e.difference(x, &[], &[])?;
    let even = e.not(&odd);
    drop(odd);
    all(e, &even)
}

/// Whether x < y, where x - y is less than half the modulus in magnitude.
pub fn field_less<E: Engine, R: Ring>(e: &mut E, x: &E::Share<R>, y: &E::Share<R>) -> Result<Bits<E>, Abort> {
    is_negative::<E, R>(e, x.sub(y))
}

/// Whether x = y.
pub fn field_equal<E: Engine, R: Ring>(e: &mut E, x: &E::Share<R>, y: &E::Share<R>) -> Result<Bits<E>, Abort> {
    is_zero::<E, R>(e, x.sub(y))
}

/// Whether the borrow of the top position goes into the lowest: the modulus is 2^k - 1, not 2^k.
pub(crate) fn goes_around<R: Ring>() -> bool {
    !modulus::<R>().is_power_of_two()
}

/// The tree of borrows that the low `width` bits need.
pub(crate) fn borrows<R: Ring>(width: usize) -> Tree {
    let bits = R::BITS as usize;
    assert!(0 < width && width <= bits, "a width of 1 to {bits} bits");
    let around = goes_around::<R>();
    let lower = |i: usize| i + 1 < width;
    let generate = (0..bits).map(|i| lower(i) || around && i + 1 == bits).collect();
    Tree::new(generate, (0..bits).map(|i| around && lower(i)).collect())
}

/// Positions of whose borrows the sign needs to know: the lower of each pair below the top position, and the top one if its borrow goes around.
pub(crate) fn sign_borrows<R: Ring>() -> Vec<usize> {
    let top = R::BITS as usize - 1;
    (0..top).step_by(2).chain(goes_around::<R>().then_some(top)).collect()
}
