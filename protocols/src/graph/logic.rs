//! A [`Graph`] over shared planes at hand.

use super::{Graph, Wire, all};
use crate::{Engine, Share, stack};
use mpc_core::{Abort, B64, Column, Layout};

/// Shares of bits.
type Bits<E> = <E as Engine>::Share<B64>;

/// A circuit whose inputs are planes of shares.
pub struct Logic<'a, E: Engine> {
    /// Its gates.
    pub graph: Graph,
    inputs: Vec<(&'a Bits<E>, usize)>,
}

impl<'a, E: Engine> Logic<'a, E> {
    /// No gate over planes of `rows` rows.
    pub fn new(rows: usize) -> Self {
        Logic { graph: Graph::new(rows), inputs: Vec::new() }
    }

    /// The planes of a share.
    pub fn wires(&mut self, share: &'a Bits<E>) -> Vec<Wire> {
        (0..share.layout().planes).map(|plane| self.wire(share, plane)).collect()
    }

    /// A plane of a share.
    pub fn wire(&mut self, share: &'a Bits<E>, plane: usize) -> Wire {
        let known = self.inputs.iter().position(|(s, p)| std::ptr::eq(*s, share) && *p == plane);
        let number = known.unwrap_or_else(|| {
            self.inputs.push((share, plane));
            self.inputs.len() - 1
        });
        self.graph.input(number as u32)
    }

    /// The conjunction of the first planes of `shares`.
    pub fn all(&mut self, shares: impl IntoIterator<Item = &'a Bits<E>>) -> Wire {
        let wires = shares.into_iter().map(|s| self.wire(s, 0)).collect();
        all(&mut self.graph, wires)
    }

    /// The outputs, a plane each.
    pub fn run(&self, engine: &mut E, outputs: &[Wire]) -> Result<Bits<E>, Abort> {
        let done = self.graph.schedule(outputs.iter().copied()).run(&self.graph, engine, |number| {
            let (share, plane) = self.inputs[number as usize];
            share.planes([plane])
        })?;
        let planes: Vec<Bits<E>> = outputs
            .iter()
            .map(|wire| match (self.graph.value(*wire), done.share(*wire)) {
                (Some(public), _) => engine.constant(public),
                (None, Some(share)) => share.clone(),
                (None, None) => unreachable!("a schedule keeps its outputs"),
            })
            .collect();
        if planes.is_empty() {
            return Ok(engine.constant(&Column::zeros(Layout::new(self.graph.rows(), 0))));
        }
        Ok(stack(&planes))
    }
}
