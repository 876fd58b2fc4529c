//! Wires: how circuits name their bits.

use crate::engine::Share;
use mpc_core::B64;
use std::ops::{BitXor, Not};
use std::rc::Rc;

/// One bit a row inside a circuit: the exclusive or of planes of shares, perhaps complemented. Exclusive or and complement are linear, so
/// they cost no message; kept symbolic until a gate reads them, they cost no memory either.
pub struct Wire<'a, S> {
    planes: Vec<(Held<'a, S>, usize)>,
    complemented: bool,
}

/// Two wires to be ANDed.
pub type Gate<'a, S> = (Wire<'a, S>, Wire<'a, S>);

/// A share of the caller's, or the result of an earlier level, which lives as long as a wire leads to it.
enum Held<'a, S> {
    Input(&'a S),
    Level(Rc<S>),
}

impl<'a, S: Share<B64>> Wire<'a, S> {
    /// One wire for each plane of `share`.
    pub fn each(share: &'a S) -> Vec<Self> {
        (0..share.layout().planes).map(|plane| Wire { planes: vec![(Held::Input(share), plane)], complemented: false }).collect()
    }

    /// One wire for each plane of the result of a level.
    pub fn level(share: S) -> Vec<Self> {
        let (planes, share) = (share.layout().planes, Rc::new(share));
        (0..planes).map(|plane| Wire { planes: vec![(Held::Level(share.clone()), plane)], complemented: false }).collect()
    }
}

impl<S> Wire<'_, S> {
    /// The planes whose exclusive or it is; at least one.
    pub fn planes(&self) -> impl Iterator<Item = (&S, usize)> {
        self.planes.iter().map(|(share, plane)| match share {
            Held::Input(share) => (*share, *plane),
            Held::Level(share) => (&**share, *plane),
        })
    }

    /// Whether it is the complement of that.
    pub fn is_complemented(&self) -> bool {
        self.complemented
    }
}

impl<S> Clone for Wire<'_, S> {
    fn clone(&self) -> Self {
        Wire { planes: self.planes.clone(), complemented: self.complemented }
    }
}

impl<S> Clone for Held<'_, S> {
    fn clone(&self) -> Self {
        match self {
            Held::Input(share) => Held::Input(share),
            Held::Level(share) => Held::Level(share.clone()),
        }
    }
}

impl<'a, S> BitXor for &Wire<'a, S> {
    type Output = Wire<'a, S>;
    fn bitxor(self, other: Self) -> Wire<'a, S> {
        let planes = self.planes.iter().chain(&other.planes).cloned().collect();
        Wire { planes, complemented: self.complemented != other.complemented }
    }
}

impl<'a, S> Not for &Wire<'a, S> {
    type Output = Wire<'a, S>;
    fn not(self) -> Wire<'a, S> {
        !self.clone()
    }
}

impl<'a, S> Not for Wire<'a, S> {
    type Output = Wire<'a, S>;
    fn not(self) -> Wire<'a, S> {
        Wire { complemented: !self.complemented, ..self }
    }
}
