//! Order of integers.
//!
//! *Functionality.* One bit a row: a < b, unsigned or two's complement; with it a = b where wanted; or against public values.
//! *Protocol.* A tree over blocks of bits, each with l = "less in this block" and e = "equal in this block", merged by l = l_hi xor e_hi l_lo and
//! e = e_hi e_lo (Garay, Schoenmakers, Villegas, PKC'07). Its leaves are *pairs* of bits, whose l takes two ANDs instead of three:
//! with g = (not a_0) b_0 for the lower bits, l = b_1 xor (a_1 = b_1)(g xor b_1). Against a public value a pair takes one AND for both l and e, since
//! both are linear in a_1 a_0, a_1 and a_0. Signed order is unsigned order with the top bits complemented.
//! *Cost.* For even k: 2.5 k - 2 - ceil(log2 k) bits a row in 1 + ceil(log2 k) rounds ([`cost::less`](crate::cost::less)); with equality ceil(log2 k) bits more
//! ([`cost::less_and_equal`](crate::cost::less_and_equal)); against public values 1.5 k - 1 - ceil(log2 k) bits, ceil(log2 k) rounds
//! ([`cost::less_public`](crate::cost::less_public)). Odd widths: the top bit is a block of its own. *Leakage.* None.

use super::{Bits, Block, assert_same_width, level, merge_blocks};
use crate::{Abort, Engine, Share, Wire};
use mpc_core::{B64, Column, Ring};

/// Whether `a` < `b`, unsigned.
pub fn less<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<Bits<E>, Abort> {
    assert_same_width::<E>(a, b);
    let (less, _) = compare(e, &Wire::each(a), &Wire::each(b), false)?;
    Ok(e.join(&[less]))
}

/// Whether `a` < `b`, two's complement.
pub fn less_signed<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<Bits<E>, Abort> {
    assert_same_width::<E>(a, b);
    let (less, _) = compare(e, &signed::<E>(a), &signed::<E>(b), false)?;
    Ok(e.join(&[less]))
}

/// Whether `a` < `b` and whether `a` = `b`, unsigned.
pub fn less_and_equal<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<(Bits<E>, Bits<E>), Abort> {
    assert_same_width::<E>(a, b);
    both(e, &Wire::each(a), &Wire::each(b))
}

/// Whether `a` < `b` and whether `a` = `b`, two's complement.
pub fn less_and_equal_signed<E: Engine>(e: &mut E, a: &Bits<E>, b: &Bits<E>) -> Result<(Bits<E>, Bits<E>), Abort> {
    assert_same_width::<E>(a, b);
    both(e, &signed::<E>(a), &signed::<E>(b))
}

/// Whether `a` < `c` for public `c`, unsigned. For two's complement flip the top bit of both.
pub fn less_public<E: Engine>(e: &mut E, a: &Bits<E>, c: &Column<B64>) -> Result<Bits<E>, Abort> {
    assert_eq!(a.layout(), c.layout(), "both sides have the same rows and width");
    let width = c.planes();
    assert!(width > 0, "integers have at least one bit");
    let pairs = width / 2;
    let wires = Wire::each(a);
    let products: Vec<_> = (0..pairs).map(|i| (wires[2 * i + 1].clone(), wires[2 * i].clone())).collect();
    let mut blocks: Vec<Block<'_, E>> = Vec::with_capacity(pairs + 1);
    if pairs > 0 {
        let both = e.ands(products)?;
        let (low, high) = (a.planes((0..pairs).map(|i| 2 * i)), a.planes((0..pairs).map(|i| 2 * i + 1)));
        let (c_low, c_high) = (c.pick_planes((0..pairs).map(|i| 2 * i)), c.pick_planes((0..pairs).map(|i| 2 * i + 1)));
        let (not_low, not_high) = (c_low.map(|v| v.add(B64::ONE)), c_high.map(|v| v.add(B64::ONE)));
        // (high = c_high)(low = c_low) = (high ^ not_high)(low ^ not_low)
        let equal = both.add(&high.scale(&not_low)).add(&low.scale(&not_high));
        let equal = e.add_public(&equal, &not_high.zip(&not_low, B64::mul));
        // less: high < c_high, or high = c_high and low < c_low; that is c_high (not high) ^ c_low (high ^ not_high)(not low)
        let equal_high = e.add_public(&high.add(&both).add(&low.scale(&not_high)), &not_high);
        let less = e.not(&high).scale(&c_high).add(&equal_high.scale(&c_low));
        blocks.extend(Wire::level(less).into_iter().zip(Wire::level(equal).into_iter().map(Some)));
    }
    if width % 2 == 1 {
        let (top, c_top) = (a.planes([width - 1]), c.pick_planes([width - 1]));
        let less = e.not(&top).scale(&c_top);
        let equal = e.add_public(&top, &c_top.map(|v| v.add(B64::ONE)));
        blocks.push((Wire::level(less).remove(0), Some(Wire::level(equal).remove(0))));
    }
    let (less, _) = merge_blocks(e, blocks, false)?;
    Ok(e.join(&[less]))
}

/// Whether `a` > `c` for public `c`, unsigned: complements reverse the order.
pub fn greater_public<E: Engine>(e: &mut E, a: &Bits<E>, c: &Column<B64>) -> Result<Bits<E>, Abort> {
    let not_a = e.not(a);
    less_public(e, &not_a, &c.map(|v| v.add(B64::ONE)))
}

/// The planes of two's complement integers in the order of unsigned ones.
fn signed<E: Engine>(bits: &Bits<E>) -> Vec<Wire<'_, Bits<E>>> {
    let mut wires = Wire::each(bits);
    if let Some(top) = wires.last_mut() {
        *top = !&*top;
    }
    wires
}

fn both<E: Engine>(e: &mut E, a: &[Wire<'_, Bits<E>>], b: &[Wire<'_, Bits<E>>]) -> Result<(Bits<E>, Bits<E>), Abort> {
    let (less, equal) = compare(e, a, b, true)?;
    let equal = equal.expect("asked for");
    Ok((e.join(&[less]), e.join(&[equal])))
}

/// (less, equal); equal only with `keep`.
fn compare<'a, E: Engine>(e: &mut E, a: &[Wire<'a, Bits<E>>], b: &[Wire<'a, Bits<E>>], keep: bool) -> Result<Block<'a, E>, Abort> {
    let width = a.len();
    let same = |i: usize| !(&a[i] ^ &b[i]);
    let lows: Vec<usize> = (0..width - 1).step_by(2).collect();
    let mut gates = Vec::with_capacity(width + 1);
    for &i in &lows {
        gates.push((!&a[i], b[i].clone()));
        if i > 0 || keep {
            gates.push((same(i + 1), same(i)));
        }
    }
    if width % 2 == 1 {
        gates.push((!&a[width - 1], b[width - 1].clone()));
    }
    let mut products = level(e, gates)?.into_iter();
    let mut next = || products.next().expect("one product a gate");
    let pairs: Vec<_> = lows.iter().map(|&i| (next(), (i > 0 || keep).then(&mut next))).collect();
    let top = (width % 2 == 1).then(|| (next(), Some(same(width - 1))));

    let gates: Vec<_> = lows.iter().zip(&pairs).map(|(&i, (g, _))| (same(i + 1), g ^ &b[i + 1])).collect();
    let products = level(e, gates)?;
    let less = lows.iter().zip(&products).map(|(&i, product)| &b[i + 1] ^ product);
    let blocks = less.zip(pairs).map(|(less, (_, equal))| (less, equal)).chain(top).collect();
    merge_blocks(e, blocks, keep)
}
