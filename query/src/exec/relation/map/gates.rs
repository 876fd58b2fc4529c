//! The bits and bit-planes of a Map as gates.

use super::super::super::program::ProgramError;
use super::{Layout, Source, convert};
use crate::plan::relation::{Relation, RowKind, RowNode, RowNodeId, RowOp};
use protocols::graph::{self, Wire};

/// Wires of a node of bits.
pub(super) fn width(kind: RowKind) -> usize {
    match kind {
        RowKind::Bit => 1,
        RowKind::Planes(width) => width as usize,
        RowKind::Field(_) => 0,
    }
}

/// Whether a node that is an input column as it is has the column's kind.
pub(super) fn check_passing(node: &RowNode, input: &Relation) -> Result<(), ProgramError> {
    let column = |c: &usize| input.columns.get(*c);
    let fits = match (&node.op, node.kind) {
        (RowOp::Column(c), RowKind::Field(ring)) => column(c).is_some_and(|c| c.form.ring() == Some(ring)),
        (RowOp::Column(c), kind) => column(c).is_some_and(|c| c.form.ring().is_none() && c.form.width() == width(kind)),
        (RowOp::Valid(c), RowKind::Bit) => column(c).is_some_and(|c| c.nullable),
        _ => false,
    };
    if fits { Ok(()) } else { Err(ProgramError("a column node has its column's kind")) }
}

impl Layout<'_> {
    pub(super) fn lay_bits(&mut self, input: &Relation, id: usize, stage: usize) -> Result<(), ProgramError> {
        let kind = self.nodes[id].kind;
        let wires = self.gates(input, id, stage)?;
        if wires.len() != width(kind) {
            return Err(ProgramError("a node has as many planes as its kind says"));
        }
        self.wires.insert(id, wires);
        Ok(())
    }

    fn gates(&mut self, input: &Relation, id: usize, stage: usize) -> Result<Vec<Wire>, ProgramError> {
        let width = width(self.nodes[id].kind);
        let op = self.nodes[id].op.clone();
        Ok(match &op {
            RowOp::Column(column) => {
                check_passing(&self.nodes[id], input)?;
                (0..width).map(|plane| self.stages[stage].source(Source::Column(*column, plane))).collect()
            }
            RowOp::Valid(column) => {
                check_passing(&self.nodes[id], input)?;
                vec![self.stages[stage].source(Source::Valid(*column))]
            }
            RowOp::Bit(bit) => vec![self.stages[stage].graph.constant(*bit)],
            RowOp::Integer(limbs) => {
                let graph = &self.stages[stage].graph;
                let bit = |plane: usize| limbs.get(plane / 64).is_some_and(|limb| limb >> (plane % 64) & 1 == 1);
                if (width..64 * limbs.len()).any(bit) {
                    return Err(ProgramError("a constant fits its planes"));
                }
                (0..width).map(|plane| graph.constant(bit(plane))).collect()
            }
            RowOp::Not(a) => {
                let a = self.bit_of(*a, stage)?;
                vec![self.stages[stage].graph.not(a)]
            }
            RowOp::And(all) | RowOp::Or(all) => {
                let bits = all.iter().map(|a| self.bit_of(*a, stage)).collect::<Result<_, _>>()?;
                let join = if matches!(op, RowOp::And(_)) { graph::all } else { graph::any };
                vec![join(&mut self.stages[stage].graph, bits)]
            }
            RowOp::Less(a, b) | RowOp::Equal(a, b) => {
                let (a, b) = self.both(*a, *b, None, stage)?;
                let compare = if matches!(op, RowOp::Less(..)) { graph::less } else { graph::equal };
                vec![compare(&mut self.stages[stage].graph, &a, &b)]
            }
            RowOp::Add(a, b) => {
                let (a, b) = self.both(*a, *b, Some(width), stage)?;
                graph::sum(&mut self.stages[stage].graph, &a, &b, width)
            }
            RowOp::Sub(a, b) => {
                let (a, b) = self.both(*a, *b, Some(width), stage)?;
                graph::difference(&mut self.stages[stage].graph, &a, &b)
            }
            RowOp::Select(bit, a, b) => {
                let bit = self.bit_of(*bit, stage)?;
                let (a, b) = self.both(*a, *b, Some(width), stage)?;
                let graph = &mut self.stages[stage].graph;
                a.iter().zip(&b).map(|(a, b)| graph::choose(graph, bit, *a, *b)).collect()
            }
            RowOp::Shift(of, by) => {
                let below = self.stages[stage].graph.constant(false);
                let of = self.wires_in(*of, stage)?;
                std::iter::repeat_n(below, *by as usize).chain(of).collect()
            }
            RowOp::Listed(of, values) => {
                let of = self.wires_in(*of, stage)?;
                if of.len() > RowOp::MOST_LISTED.ilog2() as usize {
                    return Err(ProgramError("a list of values has at most 4096"));
                }
                graph::listed(&mut self.stages[stage].graph, &of, values, width)
            }
            op if convert::is_conversion(op) => {
                self.lay_conversion(id, stage)?;
                (0..width).map(|plane| self.stages[stage].source(Source::Converted(id, plane))).collect()
            }
            _ => return Err(ProgramError("an operation on elements yields an element")),
        })
    }

    pub(super) fn bit_of(&mut self, id: RowNodeId, stage: usize) -> Result<Wire, ProgramError> {
        match self.wires_in(id, stage)?.as_slice() {
            [bit] => Ok(*bit),
            _ => Err(ProgramError("an operand is a bit where its operation needs one")),
        }
    }

    /// Two operands in as many planes as the node or the wider of them; what is above a width may only be missing.
    fn both(&mut self, a: RowNodeId, b: RowNodeId, width: Option<usize>, stage: usize) -> Result<(Vec<Wire>, Vec<Wire>), ProgramError> {
        let (mut a, mut b) = (self.wires_in(a, stage)?, self.wires_in(b, stage)?);
        let zero = self.stages[stage].graph.constant(false);
        let width = width.unwrap_or(a.len().max(b.len()));
        // a sum or difference that fits its node does not depend on what would be cut off
        a.resize(width, zero);
        b.resize(width, zero);
        Ok((a, b))
    }
}

impl RowOp {
    /// The nodes it reads.
    pub(super) fn operands(&self) -> Vec<RowNodeId> {
        match self {
            RowOp::Column(_) | RowOp::Valid(_) | RowOp::Bit(_) | RowOp::Integer(_) | RowOp::Element(_) => Vec::new(),
            RowOp::Not(a) | RowOp::Lift(a) | RowOp::ToField(a, _) | RowOp::ToPlanes(a, _) | RowOp::Negative(a) | RowOp::Zero(a) => vec![*a],
            RowOp::And(all) | RowOp::Or(all) => all.clone(),
            RowOp::Less(a, b) | RowOp::Equal(a, b) | RowOp::Add(a, b) | RowOp::Sub(a, b) | RowOp::Product(a, b) => vec![*a, *b],
            RowOp::Select(bit, a, b) => vec![*bit, *a, *b],
            RowOp::Linear(terms, _) => terms.iter().map(|(_, n)| *n).collect(),
            RowOp::Quotient { a, b, .. } => vec![*a, *b],
            RowOp::Floor { of, .. } | RowOp::DatePart { of, .. } | RowOp::Shift(of, _) | RowOp::Listed(of, _) => vec![*of],
        }
    }
}
