//! Boolean circuits that are laid out before they run: any number of comparisons, sums and connectives over bit-planes as one.
//!
//! *Functionality.* Planes of bits, secret or public, as functions of others, row by row.
//! *Protocol.* All of them become gates of one graph, in which equal gates are one gate and what is public is computed at once. An AND of two secret planes is the only
//! gate that sends anything ([`Engine::mul`]); gates of equal AND-depth travel in one message. A secret wire is kept as m·v ⊕ f with public planes m and f, and ANDs are
//! taken between the bare v: thus a comparison with public planes costs what [`circuit`](crate::circuit) states for public operands, and `a = b` shares its gates with
//! `a < b`. (Goldreich, Micali, Wigderson, STOC'87: exclusive ors are free, a level of ANDs is a round.)
//! *Cost.* A bit a row for each AND ([`Schedule::ands`]); as many rounds as the AND-depth of the whole, however many circuits there are. *Leakage.* None: nothing is opened.
//!
//! The circuits of [`circuit`](crate::circuit) run as they are called, on shares, each in rounds of its own; those here ([`less`], [`equal`], [`sum`], …) only add gates, and
//! share their rounds with whatever else is in the graph. [`Logic`] is a graph over shares at hand.
//!
//! | gates | rounds | ANDs, k bits |
//! |---|---|---|
//! | [`less`] | 1 + ceil(log2 k) | 2.5k - 2 - log2 k for even k; k - 1 fewer if a side is public |
//! | [`equal`] | ceil(log2 k) | k - 1 |
//! | [`sum`], [`difference`] | 1 + ceil(log2 k) | some k + k log2 k |
//! | [`multiple`] by c | those of a sum for each bit of c that is set but the first | likewise |
//! | [`count`] of n bits | a tree of sums | likewise |
//! | [`choose`] | 1 | 1 |
//! | [`listed`] | ceil(log2 k) | 2^k - k - 1, however wide the values |
//! | [`all`], [`any`] of n planes | ceil(log2 n) | n - 1 |

mod circuits;
mod logic;

pub use circuits::{all, any, choose, count, difference, equal, less, listed, multiple, number, sum};
pub use logic::Logic;

use crate::{Engine, Share};
use mpc_core::{Abort, B64, Column, Layout};
use std::collections::HashMap;

/// A plane of bits of a graph, one for each row. (A [`crate::Wire`] is of shares at hand.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// Known to every node.
    Public(u32),
    /// Shared.
    Secret(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Gate {
    Input(u32),
    Xor(u32, u32),
    And(u32, u32),
    /// A secret wire AND a public plane.
    Mask(u32, u32),
    /// A secret wire XOR a public plane.
    Flip(u32, u32),
}

/// A circuit over planes of equally many rows.
pub struct Graph {
    rows: usize,
    gates: Vec<Gate>,
    /// AND-depth of each gate.
    depth: Vec<u32>,
    known: HashMap<Gate, u32>,
    public: Vec<Column<B64>>,
    known_public: HashMap<Vec<u64>, u32>,
    zeros: Wire,
    ones: Wire,
}

impl Graph {
    /// No gate over planes of so many rows.
    pub fn new(rows: usize) -> Self {
        let (zeros, ones) = (Wire::Public(0), Wire::Public(0));
        let mut graph = Graph {
            rows,
            gates: Vec::new(),
            depth: Vec::new(),
            known: HashMap::new(),
            public: Vec::new(),
            known_public: HashMap::new(),
            zeros,
            ones,
        };
        graph.zeros = graph.public(Column::splat(B64(0), Layout::new(rows, 1)));
        graph.ones = graph.public(Column::splat(B64(u64::MAX), Layout::new(rows, 1)));
        graph
    }

    /// Rows of each plane.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The secret plane that the caller will supply under `number`.
    pub fn input(&mut self, number: u32) -> Wire {
        self.gate(Gate::Input(number), 0)
    }

    /// A public plane.
    pub fn public(&mut self, mut plane: Column<B64>) -> Wire {
        // bits past the last row are unspecified in a column; here they must not distinguish planes
        if let (Some(last), true) = (plane.as_mut_slice().last_mut(), !self.rows.is_multiple_of(64)) {
            last.0 &= u64::MAX >> (64 - self.rows % 64);
        }
        let words: Vec<u64> = plane.as_slice().iter().map(|w| w.0).collect();
        let fresh = self.public.len() as u32;
        let number = *self.known_public.entry(words).or_insert(fresh);
        if number == fresh {
            self.public.push(plane);
        }
        Wire::Public(number)
    }

    /// The public plane of equal bits.
    pub fn constant(&self, bit: bool) -> Wire {
        if bit { self.ones } else { self.zeros }
    }

    /// The value of a public wire.
    pub fn value(&self, wire: Wire) -> Option<&Column<B64>> {
        match wire {
            Wire::Public(p) => Some(&self.public[p as usize]),
            Wire::Secret(_) => None,
        }
    }

    /// The exclusive or: no message.
    pub fn xor(&mut self, a: Wire, b: Wire) -> Wire {
        match (a, b) {
            (Wire::Public(_), Wire::Public(_)) if a == self.zeros => b,
            (Wire::Public(_), Wire::Public(_)) if b == self.zeros => a,
            (Wire::Public(a), Wire::Public(b)) => self.on_public(a, b, |x, y| x ^ y),
            (Wire::Secret(s), Wire::Public(p)) | (Wire::Public(p), Wire::Secret(s)) => self.flip(s, p),
            (Wire::Secret(a), Wire::Secret(b)) => {
                // flips are kept outermost
                let ((a, f), (b, g)) = (self.unflip(a), self.unflip(b));
                let bare = if a == b {
                    self.constant(false)
                } else {
                    let depth = self.depth[a as usize].max(self.depth[b as usize]);
                    self.gate(Gate::Xor(a.min(b), a.max(b)), depth)
                };
                let f = self.xor(f, g);
                self.xor(bare, f)
            }
        }
    }

    /// The complement: no message.
    pub fn not(&mut self, a: Wire) -> Wire {
        let ones = self.constant(true);
        self.xor(a, ones)
    }

    /// The conjunction: one AND if both are secret.
    pub fn and(&mut self, a: Wire, b: Wire) -> Wire {
        match (a, b) {
            (Wire::Public(_), Wire::Public(_)) if a == self.zeros || b == self.ones => a,
            (Wire::Public(_), Wire::Public(_)) if b == self.zeros || a == self.ones => b,
            (Wire::Public(a), Wire::Public(b)) => self.on_public(a, b, |x, y| x & y),
            (Wire::Secret(s), Wire::Public(p)) | (Wire::Public(p), Wire::Secret(s)) => self.mask(s, p),
            (Wire::Secret(a), Wire::Secret(b)) => {
                // (m v + f)(n w + g) = m n (v w) + m g v + n f w + f g
                let ((m, v, f), (n, w, g)) = (self.split(a), self.split(b));
                let bare = if v == w {
                    Wire::Secret(v)
                } else {
                    let depth = self.depth[v as usize].max(self.depth[w as usize]) + 1;
                    self.gate(Gate::And(v.min(w), v.max(w)), depth)
                };
                let mn = self.and(m, n);
                let product = self.and(bare, mn);
                let mg = self.and(m, g);
                let left = self.and(Wire::Secret(v), mg);
                let nf = self.and(n, f);
                let right = self.and(Wire::Secret(w), nf);
                let fg = self.and(f, g);
                let sum = self.xor(product, left);
                let sum = self.xor(sum, right);
                self.xor(sum, fg)
            }
        }
    }

    /// The disjunction, of as many ANDs.
    pub fn or(&mut self, a: Wire, b: Wire) -> Wire {
        let both = self.and(a, b);
        let either = self.xor(a, b);
        self.xor(either, both)
    }

    /// AND-depth of a wire: the rounds until it is known.
    pub fn depth_of(&self, wire: Wire) -> u32 {
        match wire {
            Wire::Public(_) => 0,
            Wire::Secret(s) => self.depth[s as usize],
        }
    }

    /// The schedule that computes `outputs`.
    pub fn schedule(&self, outputs: impl IntoIterator<Item = Wire>) -> Schedule {
        let mut needed = vec![0_u32; self.gates.len()];
        let mut stack: Vec<u32> = Vec::new();
        let outputs: Vec<u32> = outputs.into_iter().filter_map(|w| if let Wire::Secret(s) = w { Some(s) } else { None }).collect();
        for s in outputs {
            // an output is used once more than its gates use it, so that it is never dropped
            needed[s as usize] += 1;
            if needed[s as usize] == 1 {
                stack.push(s);
            }
        }
        while let Some(s) = stack.pop() {
            for operand in self.gates[s as usize].operands() {
                needed[operand as usize] += 1;
                if needed[operand as usize] == 1 {
                    stack.push(operand);
                }
            }
        }
        let levels = (0..self.gates.len()).filter(|g| needed[*g] > 0).map(|g| self.depth[g] as usize + 1).max().unwrap_or(0);
        let mut schedule = Schedule { levels: vec![Level::default(); levels], uses: needed };
        for (number, gate) in self.gates.iter().enumerate().filter(|(g, _)| schedule.uses[*g] > 0) {
            let level = &mut schedule.levels[self.depth[number] as usize];
            match gate {
                Gate::And(..) => level.ands.push(number as u32),
                _ => level.local.push(number as u32),
            }
        }
        schedule
    }

    fn gate(&mut self, gate: Gate, depth: u32) -> Wire {
        let fresh = self.gates.len() as u32;
        let number = *self.known.entry(gate).or_insert(fresh);
        if number == fresh {
            self.gates.push(gate);
            self.depth.push(depth);
        }
        Wire::Secret(number)
    }

    fn on_public(&mut self, a: u32, b: u32, f: impl Fn(u64, u64) -> u64) -> Wire {
        let plane = self.public[a as usize].zip(&self.public[b as usize], |x, y| B64(f(x.0, y.0)));
        self.public(plane)
    }

    fn is_constant(&self, p: u32, bit: bool) -> bool {
        self.constant(bit) == Wire::Public(p)
    }

    /// Splits off the outermost flip.
    fn unflip(&self, s: u32) -> (u32, Wire) {
        match self.gates[s as usize] {
            Gate::Flip(v, f) => (v, Wire::Public(f)),
            _ => (s, self.constant(false)),
        }
    }

    /// s = m·v + f with v neither masked nor flipped.
    fn split(&self, s: u32) -> (Wire, u32, Wire) {
        let (v, f) = self.unflip(s);
        match self.gates[v as usize] {
            Gate::Mask(v, m) => (Wire::Public(m), v, f),
            _ => (self.constant(true), v, f),
        }
    }

    fn flip(&mut self, s: u32, p: u32) -> Wire {
        let (v, f) = self.unflip(s);
        let Wire::Public(p) = self.xor(f, Wire::Public(p)) else { unreachable!("public planes combine to a public plane") };
        if self.is_constant(p, false) {
            return Wire::Secret(v);
        }
        self.gate(Gate::Flip(v, p), self.depth[v as usize])
    }

    fn mask(&mut self, s: u32, p: u32) -> Wire {
        let (m, v, f) = self.split(s);
        let m = self.and(m, Wire::Public(p));
        let f = self.and(f, Wire::Public(p));
        let Wire::Public(m) = m else { unreachable!("public planes combine to a public plane") };
        let bare = if self.is_constant(m, false) {
            self.constant(false)
        } else if self.is_constant(m, true) {
            Wire::Secret(v)
        } else {
            self.gate(Gate::Mask(v, m), self.depth[v as usize])
        };
        self.xor(bare, f)
    }
}

impl Gate {
    fn operands(self) -> impl Iterator<Item = u32> {
        let (a, b) = match self {
            Gate::Input(_) => (None, None),
            Gate::Xor(a, b) | Gate::And(a, b) => (Some(a), Some(b)),
            Gate::Mask(a, _) | Gate::Flip(a, _) => (Some(a), None),
        };
        a.into_iter().chain(b)
    }
}

/// Which gates are computed, level by level.
#[derive(Debug, Clone)]
pub struct Schedule {
    levels: Vec<Level>,
    /// How often each gate's value is read.
    uses: Vec<u32>,
}

#[derive(Debug, Clone, Default)]
struct Level {
    ands: Vec<u32>,
    local: Vec<u32>,
}

impl Schedule {
    /// Whether nothing secret is needed of the circuit.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// ANDs for each row.
    pub fn ands(&self) -> usize {
        self.levels.iter().map(|l| l.ands.len()).sum()
    }

    /// Rounds it takes.
    #[cfg(test)]
    pub fn rounds(&self) -> usize {
        self.levels.iter().filter(|l| !l.ands.is_empty()).count()
    }

    /// Runs the circuit. `input` yields the shared planes of [`Graph::input`].
    pub fn run<E: Engine>(
        &self,
        graph: &Graph,
        engine: &mut E,
        mut input: impl FnMut(u32) -> E::Share<B64>,
    ) -> Result<Evaluated<E::Share<B64>>, Abort> {
        let mut run = Running { graph, uses: self.uses.clone(), values: graph.gates.iter().map(|_| None).collect() };
        for level in &self.levels {
            if !level.ands.is_empty() {
                let operands: Vec<(u32, u32)> = level.ands.iter().map(|g| run.and_operands(*g)).collect();
                let x: Vec<_> = operands.iter().map(|o| run.value(o.0)).collect();
                let y: Vec<_> = operands.iter().map(|o| run.value(o.1)).collect();
                let products = engine.mul(&Share::stack(&x), &Share::stack(&y))?;
                for (plane, g) in level.ands.iter().enumerate() {
                    run.set(*g, products.planes([plane]));
                }
            }
            for g in &level.local {
                let value = match graph.gates[*g as usize] {
                    Gate::Input(number) => input(number),
                    Gate::Xor(a, b) => run.value(a).add(run.value(b)),
                    Gate::Mask(a, p) => run.value(a).scale(&graph.public[p as usize]),
                    Gate::Flip(a, p) => engine.add_public(run.value(a), &graph.public[p as usize]),
                    Gate::And(..) => unreachable!("scheduled above"),
                };
                run.set(*g, value);
            }
        }
        Ok(Evaluated { values: run.values })
    }
}

struct Running<'g, S> {
    graph: &'g Graph,
    uses: Vec<u32>,
    values: Vec<Option<S>>,
}

impl<S> Running<'_, S> {
    fn and_operands(&self, g: u32) -> (u32, u32) {
        match self.graph.gates[g as usize] {
            Gate::And(a, b) => (a, b),
            _ => unreachable!("scheduled as an AND"),
        }
    }

    fn value(&self, g: u32) -> &S {
        self.values[g as usize].as_ref().expect("a gate is computed before it is read, and kept until it was read for the last time")
    }

    /// Stores a value and drops the operands nobody will read again.
    fn set(&mut self, g: u32, value: S) {
        self.values[g as usize] = Some(value);
        for operand in self.graph.gates[g as usize].operands() {
            let left = &mut self.uses[operand as usize];
            *left -= 1;
            if *left == 0 {
                self.values[operand as usize] = None;
            }
        }
    }
}

/// The values of the outputs.
pub struct Evaluated<S> {
    values: Vec<Option<S>>,
}

impl<S> Evaluated<S> {
    /// The share of an output wire that is secret.
    pub fn share(&self, wire: Wire) -> Option<&S> {
        match wire {
            Wire::Secret(s) => self.values[s as usize].as_ref(),
            Wire::Public(_) => None,
        }
    }
}
