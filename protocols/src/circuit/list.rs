//! Integers against lists of public constants.
//!
//! *Functionality.* [`is_in`]: whether x is one of the constants. [`at_least`]: for each constant whether x is at least that. [`steps`]: a public step
//! function of x. Constants are the rows of a column of bit-planes, so that any width will do; order is unsigned.
//! *Protocol.* The trees of [`equal`](super::equal()) and [`less_public`](super::less_public) for all constants at once. A node compares a range of bits; what
//! it compares with is computed once for each *distinct* value that the constants have there. All four values of a pair of bits take one AND. At most one
//! constant equals x, so "one of them" is the exclusive or. x < c within a node needs no AND where c's lower half is zero, as nothing is less.
//! Step functions are exclusive ors of what [`at_least`] gives, since those bits never rise.
//! *Cost.* k/2 bits a row for the pairs; then with d distinct values in a node d bits for membership, up to 2d for order (d in the lowest chain);
//! ceil(log2 k) rounds ([`cost::is_in`](crate::cost::is_in), [`cost::at_least`](crate::cost::at_least)). One constant costs no more than
//! [`equal`](super::equal()) or [`less_public`](super::less_public). *Leakage.* None.

use super::{Bits, level, zero};
use crate::{Abort, Engine, Share, Wire};
use mpc_core::{B64, Column};
use std::collections::BTreeMap;

/// Whether each row of `x` is one of the rows of `constants`.
pub fn is_in<E: Engine>(e: &mut E, x: &Bits<E>, constants: &Column<B64>) -> Result<Bits<E>, Abort> {
    let nodes = Nodes::new(x.layout().planes, constants);
    if constants.rows() == 0 {
        return Ok(zero(e, x.layout().rows, 1));
    }
    let leaves = leaves::<E>(e, x)?;
    let values = leaves.iter().zip(&nodes.leaves);
    let mut here: Vec<Vec<_>> = values.map(|(leaf, values)| values.iter().map(|v| leaf.equals(*v)).collect()).collect();
    for merged in &nodes.levels {
        let gates = merged.iter().enumerate().flat_map(|(i, values)| values.iter().map(move |v| (i, v)));
        let gates: Vec<_> = gates.map(|(i, v)| (here[2 * i + 1][v.high].clone(), here[2 * i][v.low].clone())).collect();
        let mut products = level(e, gates)?.into_iter();
        let odd = if here.len() % 2 == 1 { here.pop() } else { None };
        here = merged.iter().map(|values| products.by_ref().take(values.len()).collect()).chain(odd).collect();
    }
    let any = here.remove(0).into_iter().reduce(|any, one| &any ^ &one).expect("there is a constant");
    Ok(e.join(&[any]))
}

/// For each row of `constants` a plane: whether `x` is at least that, unsigned. For two's complement flip the top bits of both.
pub fn at_least<E: Engine>(e: &mut E, x: &Bits<E>, constants: &Column<B64>) -> Result<Bits<E>, Abort> {
    let nodes = Nodes::new(x.layout().planes, constants);
    assert!(constants.rows() > 0, "there is a constant to compare with");
    let leaves = leaves::<E>(e, x)?;
    let values = leaves.iter().zip(&nodes.leaves);
    let mut here: Vec<Vec<Compared<'_, E>>> =
        values.map(|(leaf, values)| values.iter().map(|v| (leaf.less(*v), Some(leaf.equals(*v)))).collect()).collect();
    for merged in &nodes.levels {
        let mut gates = Vec::new();
        for (i, v) in merged.iter().enumerate().flat_map(|(i, values)| values.iter().map(move |v| (i, v))) {
            let ((less_low, equal_low), (_, equal_high)) = (&here[2 * i][v.low], &here[2 * i + 1][v.high]);
            let equal_high = equal_high.as_ref().expect("only the lowest node lacks equality");
            gates.extend(less_low.iter().map(|less| (equal_high.clone(), less.clone())));
            if i > 0 {
                gates.push((equal_high.clone(), equal_low.clone().expect("only the lowest node lacks equality")));
            }
        }
        let mut products = level(e, gates)?.into_iter();
        let mut next = || products.next().expect("one product a gate");
        let mut above = Vec::with_capacity(here.len().div_ceil(2));
        for (i, values) in merged.iter().enumerate() {
            let value = |v: &Value| {
                let carried = here[2 * i][v.low].0.is_some().then(&mut next);
                let less = match (&here[2 * i + 1][v.high].0, carried) {
                    (Some(high), Some(low)) => Some(high ^ &low),
                    (high, low) => high.clone().or(low),
                };
                (less, (i > 0).then(&mut next))
            };
            above.push(values.iter().map(value).collect());
        }
        above.extend(if here.len() % 2 == 1 { here.pop() } else { None });
        here = above;
    }
    let nothing = zero::<E>(e, x.layout().rows, 1);
    let root = here.remove(0);
    let results = nodes.root.iter().map(|at| !root[*at].0.clone().unwrap_or_else(|| Wire::each(&nothing).remove(0)));
    let results: Vec<_> = results.collect();
    Ok(e.join(&results))
}

/// A step function of `width` bits: `values[j]` where the first j planes of `reached` are set and the others not. Local.
pub fn steps<E: Engine>(e: &mut E, reached: &Bits<E>, values: &[u128], width: usize) -> Bits<E> {
    assert_eq!(values.len(), reached.layout().planes + 1, "one value before each step and one after the last");
    let nothing = zero::<E>(e, reached.layout().rows, 1);
    let planes = step_wires(&Wire::each(reached), &Wire::each(&nothing)[0], values, width);
    e.join(&planes)
}

/// [`steps`] over wires; `nothing` is a wire of zeros.
pub(super) fn step_wires<'a, S: Share<B64>>(
    reached: &[Wire<'a, S>],
    nothing: &Wire<'a, S>,
    values: &[u128],
    width: usize,
) -> Vec<Wire<'a, S>> {
    let plane = |bit: usize| {
        let set = |v: u128| v >> bit & 1 == 1;
        let turns = reached.iter().zip(values.windows(2)).filter(|(_, pair)| set(pair[0] ^ pair[1]));
        let changed = turns.map(|(wire, _)| wire.clone()).reduce(|sum, wire| &sum ^ &wire).unwrap_or_else(|| nothing.clone());
        if set(values[0]) { !changed } else { changed }
    };
    (0..width).map(plane).collect()
}

/// A wire of an engine.
type WireOf<'a, E> = Wire<'a, Bits<E>>;

/// x < value and x = value within a node; the first is `None` where nothing is less, the second in the lowest chain.
type Compared<'a, E> = (Option<WireOf<'a, E>>, Option<WireOf<'a, E>>);

/// A pair of bits and their product; or the odd bit on top.
struct Leaf<'a, E: Engine> {
    low: WireOf<'a, E>,
    above: Option<(WireOf<'a, E>, WireOf<'a, E>)>,
}

fn leaves<'a, E: Engine>(e: &mut E, x: &'a Bits<E>) -> Result<Vec<Leaf<'a, E>>, Abort> {
    let wires = Wire::each(x);
    let gates: Vec<_> = wires.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let mut products = level(e, gates)?.into_iter();
    let leaf = |bits: &[Wire<'a, Bits<E>>]| Leaf {
        low: bits[0].clone(),
        above: bits.get(1).map(|high| (high.clone(), products.next().expect("one product a pair"))),
    };
    Ok(wires.chunks(2).map(leaf).collect())
}

impl<'a, E: Engine> Leaf<'a, E> {
    fn equals(&self, value: u8) -> WireOf<'a, E> {
        match (&self.above, value) {
            (None, 0) => !&self.low,
            (None, _) => self.low.clone(),
            (Some((high, both)), 0) => !(&(&self.low ^ high) ^ both),
            (Some((_, both)), 1) => &self.low ^ both,
            (Some((high, both)), 2) => high ^ both,
            (Some((_, both)), _) => both.clone(),
        }
    }

    fn less(&self, value: u8) -> Option<WireOf<'a, E>> {
        match (&self.above, value) {
            (_, 0) => None,
            (None, _) => Some(!&self.low),
            (Some(_), 1) => Some(self.equals(0)),
            (Some((high, _)), 2) => Some(!high),
            (Some((_, both)), _) => Some(!both),
        }
    }
}

/// The distinct values of constants in every node of the tree over pairs of bits.
pub(crate) struct Nodes {
    /// Of each pair of bits.
    leaves: Vec<Vec<u8>>,
    /// Of each merged node of each level, as places in the two nodes it merges. A last odd node is passed on.
    levels: Vec<Vec<Vec<Value>>>,
    /// The place of each constant in the root.
    root: Vec<usize>,
}

struct Value {
    low: usize,
    high: usize,
    /// Whether nothing is less than the lower part.
    low_is_zero: bool,
}

impl Nodes {
    pub(crate) fn new(width: usize, constants: &Column<B64>) -> Self {
        assert!(width > 0 && constants.planes() == width, "constants have the width of what is compared");
        let bits = |plane: usize, row: usize| plane < width && constants.bit(row, plane);
        let leaf = |i: usize| (0..constants.rows()).map(move |row| u8::from(bits(2 * i, row)) | u8::from(bits(2 * i + 1, row)) << 1);
        let (mut leaves, mut here) = (Vec::new(), Vec::new());
        for i in 0..width.div_ceil(2) {
            let (values, places) = distinct(leaf(i));
            here.push((values.iter().map(|v| *v == 0).collect::<Vec<_>>(), places));
            leaves.push(values);
        }
        let mut levels = Vec::new();
        while here.len() > 1 {
            let (mut level, mut above) = (Vec::new(), Vec::new());
            for pair in here.chunks(2) {
                let [(low_zeros, low), (high_zeros, high)] = pair else {
                    above.push(pair[0].clone());
                    continue;
                };
                let (values, places) = distinct(low.iter().copied().zip(high.iter().copied()));
                above.push((values.iter().map(|(l, h)| low_zeros[*l] && high_zeros[*h]).collect(), places));
                level.push(values.into_iter().map(|(low, high)| Value { low, high, low_is_zero: low_zeros[low] }).collect());
            }
            levels.push(level);
            here = above;
        }
        Nodes { leaves, levels, root: here.remove(0).1 }
    }

    /// ANDs in each level of [`is_in`].
    pub(crate) fn membership_gates(&self, width: usize) -> Vec<usize> {
        let merged = self.levels.iter().map(|nodes| nodes.iter().map(Vec::len).sum());
        std::iter::once(width / 2).chain(merged).filter(|gates| *gates > 0).collect()
    }

    /// ANDs in each level of [`at_least`].
    pub(crate) fn order_gates(&self, width: usize) -> Vec<usize> {
        let gates =
            |(i, values): (usize, &Vec<Value>)| -> usize { values.iter().map(|v| usize::from(!v.low_is_zero) + usize::from(i > 0)).sum() };
        let merged = self.levels.iter().map(|nodes| nodes.iter().enumerate().map(gates).sum());
        std::iter::once(width / 2).chain(merged).filter(|gates| *gates > 0).collect()
    }
}

/// The distinct ones of `values`, in order, and the place of each value among them.
fn distinct<T: Ord + Copy>(values: impl Iterator<Item = T> + Clone) -> (Vec<T>, Vec<usize>) {
    let mut places: BTreeMap<T, usize> = values.clone().map(|v| (v, 0)).collect();
    places.values_mut().enumerate().for_each(|(i, place)| *place = i);
    (places.keys().copied().collect(), values.map(|v| places[&v]).collect())
}
