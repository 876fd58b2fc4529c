//! Maps by blocks of rows.
//!
//! What a Map computes on the way may be many times its columns: a bit that becomes an element is 8 bytes or 16, and both components and a message of it. Rows do not depend on one another; so of many rows a block is
//! computed at a time, such that what is on the way takes no more than the columns that are read and made; but not fewer than 2^13 rows, of which it is little, and rounds are more. *Cost.* The bits of all rows; the rounds of one block for each.

use super::super::super::program::ProgramError;
use super::Layout;
use crate::plan::Plan;
use crate::plan::relation::{Operator, Relation, RowKind, RowNode, RowNodeId, RowOp};
use mpc_core::Abort;
use protocols::Engine;
use protocols::rows::{Rows, union};

/// Of no more places everything is computed at once.
const AT_ONCE: u64 = 1 << 15;
/// No block has fewer places.
const LEAST: u64 = 1 << 13;

/// A Map laid out.
pub(in super::super) struct Map<'p> {
    relation: &'p Relation,
    /// Places of a block.
    block: usize,
    layout: Layout<'p>,
    /// The last block, if it has fewer places.
    rest: Option<Layout<'p>>,
}

impl<'p> Map<'p> {
    /// Lays out a Map, which has the places of its input.
    pub fn new(plan: &'p Plan, relation: &'p Relation) -> Result<Self, ProgramError> {
        let places = usize::try_from(relation.places).map_err(|_| ProgramError("a relation has a number of places that can be counted"))?;
        let block = block(plan, relation) as usize;
        let rest = if block == 0 { 0 } else { places % block };
        let rest = if rest > 0 { Some(Layout::new(plan, relation, rest)?) } else { None };
        Ok(Map { relation, block, layout: Layout::new(plan, relation, block)?, rest })
    }

    /// What it does, for people.
    pub fn words(&self) -> String {
        let blocks = self.relation.places.div_ceil(self.block.max(1) as u64);
        let blocks = if blocks > 1 { format!(", in {blocks} blocks of rows one after the other") } else { String::new() };
        self.layout.words() + &blocks
    }

    /// How divisions and parts of dates are computed, for people.
    pub fn divisions(&self) -> String {
        self.layout.divisions()
    }

    /// Computes the columns for the rows of `input`.
    pub fn run<E: Engine>(&self, engine: &mut E, input: &Rows<E>) -> Result<Rows<E>, Abort> {
        if input.places == self.block {
            return self.layout.run(engine, input);
        }
        let mut all = Vec::new();
        for from in (0..input.places).step_by(self.block) {
            let to = input.places.min(from + self.block);
            let layout = if to - from == self.block { &self.layout } else { self.rest.as_ref().expect("laid out for the last block") };
            all.push(layout.run(engine, &input.slice(from..to))?);
        }
        Ok(union(engine, &all.iter().collect::<Vec<_>>(), &self.relation.shape()))
    }
}

/// How many places of a Map are computed at a time: as many as have on the way what the columns take, those that are read and made.
fn block(plan: &Plan, relation: &Relation) -> u64 {
    let (places, nodes) = (relation.places, nodes(relation));
    if places <= AT_ONCE {
        return places;
    }
    let columns = relation.op.inputs().iter().map(|id| plan.relation(*id).held_bits()).fold(relation.held_bits(), u64::saturating_add);
    let blocks = of_nodes(nodes).div_ceil(2 * columns).clamp(1, places / LEAST);
    places.div_ceil(blocks)
}

/// Bytes of what is on the way in a Map, about; nothing in other operators.
pub(crate) fn on_the_way(plan: &Plan, relation: &Relation) -> u64 {
    block(plan, relation).saturating_mul(of_nodes(nodes(relation))) / 8
}

fn nodes(relation: &Relation) -> &[RowNode] {
    if let Operator::Map { nodes, .. } = &relation.op { nodes } else { &[] }
}

/// Bits a place of what is on the way, about: both components and the messages of all that is computed.
fn of_nodes(nodes: &[RowNode]) -> u64 {
    let width = |kind: RowKind| match kind {
        RowKind::Bit => 1,
        RowKind::Planes(planes) => u64::from(planes),
        RowKind::Field(ring) => ring.held_bits(),
    };
    let of = |node: &RowNode| {
        let operand = |id: &RowNodeId| nodes.get(id.0).map_or(0, |node| width(node.kind));
        let own = width(node.kind);
        match &node.op {
            RowOp::Column(_) | RowOp::Valid(_) | RowOp::Bit(_) | RowOp::Integer(_) | RowOp::Element(_) => 0,
            RowOp::Not(_) | RowOp::Shift(..) => 2 * own,
            RowOp::And(bits) | RowOp::Or(bits) => 4 * bits.len() as u64,
            RowOp::Less(a, _) | RowOp::Equal(a, _) => 4 * operand(a),
            RowOp::Listed(a, values) => 4 * (own + (values.len() as u64).min(1 << operand(a).min(16))),
            RowOp::Add(..) | RowOp::Sub(..) => 8 * own,
            RowOp::Select(..) | RowOp::Linear(..) | RowOp::Product(..) => 6 * own,
            // each bit an element
            RowOp::Lift(_) => 4 * own,
            RowOp::ToField(a, _) => 4 * own * (operand(a) + 1),
            RowOp::ToPlanes(a, _) | RowOp::Negative(a) | RowOp::Zero(a) => 16 * operand(a),
            RowOp::Quotient { a, b, .. } => 2 * 128 * (operand(a) + operand(b)),
            RowOp::Floor { of, .. } => 2 * 128 * operand(of),
            RowOp::DatePart { .. } => 1 << 12,
        }
    };
    nodes.iter().map(of).fold(0, u64::saturating_add)
}
