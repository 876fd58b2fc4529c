//! Carries at many positions: Sklansky's prefix tree (IRE Trans. EC-9, 1960), only as far as its results are wanted.
//!
//! A block of positions *generates* a carry (or borrow) or *passes* one on. After the level of span d every position of an upper half of 2d
//! positions knows both for all positions from the bottom of its block up to itself.
//!
//! *Cost.* ceil(log2 k) rounds; one AND for each position of an upper half that generates, a second where what it passes on is read later: k/2 log2 k to k log2 k bits a row
//! ([`cost::adder`](crate::cost::adder)). *Leakage.* None.

use super::{Bits, level};
use crate::{Abort, Engine, Share, Wire};
use mpc_core::prss::BLOCK;

/// A wire for each position, lowest first.
pub(super) type Positions<'a, E> = Vec<Wire<'a, Bits<E>>>;

/// One level: the positions whose carry is made, and whose passing on, each with the top of the half below.
#[derive(Default)]
struct Level {
    carried: Vec<(usize, usize)>,
    passed: Vec<(usize, usize)>,
}

/// The levels of a tree, lowest first, and at which positions it reads what they generate.
pub(crate) struct Tree {
    levels: Vec<Level>,
    pub(crate) reads: Vec<bool>,
}

impl Tree {
    /// The tree that ends with the carry (`generate`) and the passing on (`pass`) of positions 0..=i where they are wanted.
    pub(crate) fn new(mut generate: Vec<bool>, mut pass: Vec<bool>) -> Self {
        let mut levels = Vec::new();
        let mut span = generate.len().next_power_of_two() / 2;
        while span > 0 {
            let mut level = Level::default();
            for i in (0..generate.len()).filter(|i| i & span != 0) {
                let below = (i & !(2 * span - 1)) + span - 1;
                if pass[i] {
                    level.passed.push((i, below));
                    pass[below] = true;
                }
                if generate[i] {
                    level.carried.push((i, below));
                    (pass[i], generate[below]) = (true, true);
                }
            }
            levels.push(level);
            span /= 2;
        }
        levels.reverse();
        Tree { levels, reads: generate }
    }

    /// ANDs in each level.
    pub(crate) fn gates(&self) -> impl Iterator<Item = usize> {
        self.levels.iter().map(|level| level.carried.len() + level.passed.len())
    }

    /// Runs it on what each position generates and passes; positions that the tree does not read may be anything.
    pub(super) fn run<'a, E: Engine>(
        &self,
        e: &mut E,
        mut g: Positions<'a, E>,
        mut p: Positions<'a, E>,
    ) -> Result<(Positions<'a, E>, Positions<'a, E>), Abort> {
        for Level { carried, passed } in &self.levels {
            let carries = carried.iter().map(|&(i, below)| (p[i].clone(), g[below].clone()));
            let passes = passed.iter().map(|&(i, below)| (p[i].clone(), p[below].clone()));
            let mut products = level(e, carries.chain(passes).collect())?.into_iter();
            for ((i, _), product) in carried.iter().zip(&mut products) {
                g[*i] = alone(e, &g[*i] ^ &product);
            }
            for ((i, _), product) in passed.iter().zip(products) {
                p[*i] = alone(e, product);
            }
        }
        Ok((g, p))
    }
}

/// The wire as a plane of its own, where planes are long: what it was made of can be freed then, and is not added up again by each gate that reads it.
pub(super) fn alone<'a, E: Engine>(e: &mut E, wire: Wire<'a, Bits<E>>) -> Wire<'a, Bits<E>> {
    let rows = wire.planes().next().map_or(0, |(share, _)| share.layout().rows);
    if rows < LONG { wire } else { Wire::level(e.join(&[wire])).remove(0) }
}

/// Rows of which a plane fills a block.
const LONG: usize = 64 * BLOCK;

/// The AND of wires 0..=i for every i: n a power of two takes (n/2) log2 n ANDs in log2 n levels.
pub(super) fn prefix_ands<'a, E: Engine>(e: &mut E, wires: Positions<'a, E>) -> Result<Positions<'a, E>, Abort> {
    let tree = prefix_and_tree(wires.len());
    Ok(tree.run(e, wires.clone(), wires)?.1)
}

/// The tree of [`prefix_ands`].
pub(crate) fn prefix_and_tree(wires: usize) -> Tree {
    Tree::new(vec![false; wires], vec![true; wires])
}
