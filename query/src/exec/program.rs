//! A plan laid out for the public row counts at hand: what is shared, which gates are computed, what is lifted and multiplied, in
//! which order. Everything here is public and the same at every node; nothing is left to decide once shares move.

use super::InputRing;
use super::relation::{self, Relations};
use super::step::{Step, StepKind};
use super::sums::sums_of;
use crate::ground::Ground;
use crate::local::InputColumn;
use crate::plan::relation::RelationId;
use crate::plan::{Form, Node, NodeId, NodeKind, Op, Opening, Plan, Ring, ScanId, Source};
use mpc_core::{B64, Column, Layout};
use protocols::graph::{self, Graph, Schedule, Wire};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A plan whose parts do not fit together: a defect of the compiler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan cannot be executed: {0} (a defect in the compiler; please report the query)")]
pub struct ProgramError(pub(super) &'static str);

/// A [`Plan`] ready to run.
pub struct Program<'p> {
    plan: &'p Plan,
    ground: &'p Ground,
    slots: Vec<Slot>,
    slot_of: HashMap<(ScanId, usize, Form), usize>,
    /// The secret planes of the circuits, by their number: slot and plane.
    planes: Vec<(usize, usize)>,
    circuits: Vec<(Graph, Schedule)>,
    wires: HashMap<NodeId, Vec<Wire>>,
    lifts: BTreeMap<(Ring, usize), Vec<(NodeId, NodeId)>>,
    products: BTreeMap<Ring, Vec<Batch>>,
    relations: Relations<'p>,
    steps: Vec<Step>,
}

/// Columns to be shared.
pub(super) struct Slot {
    pub of: SlotOf,
    pub owner: String,
    pub ring: InputRing,
    pub layout: Layout,
}

/// What is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotOf {
    /// A column of a scan in a form.
    Scan(ScanId, usize, usize),
    /// All planes of a relation of one ring.
    Relation(RelationId),
}

/// A product of two shared elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    /// The node it is the value of.
    pub node: NodeId,
    pub a: NodeId,
    pub b: NodeId,
}

/// Products of one depth over one frame.
struct Batch {
    frame: usize,
    depth: u32,
    products: Vec<Product>,
}

impl<'p> Program<'p> {
    /// Lays out `plan` on the public rows.
    pub fn new(plan: &'p Plan, ground: &'p Ground) -> Result<Self, ProgramError> {
        let circuits = (0..plan.frames.len()).map(|f| ground.rows(crate::plan::FrameId(f)));
        let circuits = circuits
            .map(|rows| {
                let g = Graph::new(rows);
                let s = g.schedule([]);
                (g, s)
            })
            .collect();
        let mut program = Program {
            plan,
            ground,
            slots: Vec::new(),
            slot_of: HashMap::new(),
            planes: Vec::new(),
            circuits,
            wires: HashMap::new(),
            lifts: BTreeMap::new(),
            products: BTreeMap::new(),
            relations: Relations::new(plan)?,
            steps: Vec::new(),
        };
        program.lay_slots()?;
        program.lay_nodes()?;
        program.lay_steps();
        Ok(program)
    }

    /// What will be done, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn plan(&self) -> &'p Plan {
        self.plan
    }

    pub(super) fn ground(&self) -> &'p Ground {
        self.ground
    }

    pub(super) fn relations(&self) -> &Relations<'p> {
        &self.relations
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn slot_of(&self, scan: ScanId, column: usize, form: Form) -> Option<usize> {
        self.slot_of.get(&(scan, column, form)).copied()
    }

    pub(super) fn plane(&self, number: u32) -> (usize, usize) {
        self.planes[number as usize]
    }

    pub(super) fn circuit(&self, frame: usize) -> (&Graph, &Schedule) {
        let (graph, schedule) = &self.circuits[frame];
        (graph, schedule)
    }

    /// The wire of a bit node.
    pub(super) fn bit(&self, node: NodeId) -> Wire {
        self.wires[&node][0]
    }

    pub(super) fn lifts(&self, ring: Ring, frame: usize) -> &[(NodeId, NodeId)] {
        self.lifts.get(&(ring, frame)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn products(&self, ring: Ring, batch: usize) -> &[Product] {
        &self.products[&ring][batch].products
    }

    /// A public column in one of its forms.
    pub(super) fn public(&self, scan: ScanId, column: usize, form: Form) -> Option<&'p InputColumn> {
        let position = self.plan.scan(scan).columns.get(column)?.forms.iter().position(|f| *f == form)?;
        self.ground.column(scan, column, position)
    }

    fn lay_slots(&mut self) -> Result<(), ProgramError> {
        for (s, scan) in self.plan.scans.iter().enumerate() {
            let Source::Party(owner) = &scan.source else { continue };
            let rows = self.ground.rows(scan.frame);
            for (column, c) in scan.columns.iter().enumerate() {
                for (form, f) in c.forms.iter().enumerate() {
                    let (ring, planes) = shape(*f);
                    self.slot_of.insert((ScanId(s), column, *f), self.slots.len());
                    let layout = Layout::new(rows, planes);
                    self.slots.push(Slot { of: SlotOf::Scan(ScanId(s), column, form), owner: owner.clone(), ring, layout });
                }
                if c.forms.is_empty() {
                    return Err(ProgramError("a private column has no form"));
                }
            }
        }
        self.slots.extend(relation::slots(self.plan));
        Ok(())
    }

    fn lay_nodes(&mut self) -> Result<(), ProgramError> {
        let needed = self.needed()?;
        // whether a field node is secret, and how many products deep it is
        let mut fields: HashMap<NodeId, (bool, u32)> = HashMap::new();
        let mut batches: BTreeMap<(Ring, u32, usize), Vec<Product>> = BTreeMap::new();
        for id in (0..self.plan.nodes.len()).filter(|n| needed[*n]).map(NodeId) {
            let node = self.plan.node(id);
            let NodeKind::Field(ring) = node.kind else {
                let wires = self.gates(node)?;
                let width = if let NodeKind::Planes(width) = node.kind { width as usize } else { 1 };
                if wires.len() != width {
                    return Err(ProgramError("a node has as many planes as its kind says"));
                }
                self.wires.insert(id, wires);
                continue;
            };
            let of = |id: &NodeId| match self.plan.node(*id) {
                n if n.kind == node.kind && n.frame == node.frame => fields.get(id).copied().ok_or(ProgramError("operands come first")),
                _ => Err(ProgramError("a product is of elements of one field and frame")),
            };
            let known = match &node.op {
                Op::Column { scan, column, form } => {
                    self.check_column(node, *scan, *column, *form, Form::Field(ring))?;
                    (self.slot_of(*scan, *column, *form).is_some(), 0)
                }
                Op::Lift(bit) => {
                    let secret = matches!(self.operand(node, *bit, NodeKind::Bit)?[0], Wire::Secret(_));
                    if secret {
                        self.lifts.entry((ring, node.frame.0)).or_default().push((id, *bit));
                    }
                    (secret, 0)
                }
                Op::Product(a, b) => {
                    let ((a_secret, a_depth), (b_secret, b_depth)) = (of(a)?, of(b)?);
                    let both = a_secret && b_secret;
                    let depth = a_depth.max(b_depth) + both as u32;
                    if both {
                        batches.entry((ring, depth, node.frame.0)).or_default().push(Product { node: id, a: *a, b: *b });
                    }
                    (a_secret || b_secret, depth)
                }
                _ => return Err(ProgramError("a field node is a column, a lifted bit or a product")),
            };
            fields.insert(id, known);
        }
        for ((ring, depth, frame), products) in batches {
            self.products.entry(ring).or_default().push(Batch { frame, depth, products });
        }
        let mut outputs: Vec<Vec<Wire>> = vec![Vec::new(); self.plan.frames.len()];
        for ((_, frame), lifts) in &self.lifts {
            outputs[*frame].extend(lifts.iter().map(|(_, bit)| self.bit(*bit)));
        }
        for release in &self.plan.releases {
            for opening in release.cells.iter().flat_map(|c| &c.openings) {
                if let Opening::Any(bit) = opening {
                    outputs[release.frame.0].push(self.bit(*bit));
                }
            }
        }
        for ((graph, schedule), outputs) in self.circuits.iter_mut().zip(outputs) {
            *schedule = graph.schedule(outputs);
        }
        Ok(())
    }

    /// Which nodes something opened depends on.
    fn needed(&self) -> Result<Vec<bool>, ProgramError> {
        let mut needed = vec![false; self.plan.nodes.len()];
        for release in &self.plan.releases {
            let mut mark = |id: NodeId, fits: &dyn Fn(NodeKind) -> bool| match self.plan.nodes.get(id.0) {
                Some(node) if node.frame == release.frame && fits(node.kind) => {
                    needed[id.0] = true;
                    Ok(())
                }
                _ => Err(ProgramError("an opening names a node of its frame and kind")),
            };
            for opening in release.cells.iter().flat_map(|c| &c.openings) {
                if let Opening::Any(bit) = opening {
                    mark(*bit, &|k| k == NodeKind::Bit)?;
                }
                for (ring, terms) in sums_of(opening) {
                    for id in terms.iter().flat_map(|t| std::iter::once(t.a).chain(t.b)) {
                        mark(id, &|k| k == NodeKind::Field(ring))?;
                    }
                }
            }
        }
        for (id, node) in self.plan.nodes.iter().enumerate() {
            if operands(&node.op).iter().any(|o| o.0 >= id) {
                return Err(ProgramError("operands come first"));
            }
        }
        for id in (0..needed.len()).rev() {
            if needed[id] {
                operands(&self.plan.nodes[id].op).iter().for_each(|o| needed[o.0] = true);
            }
        }
        Ok(needed)
    }

    /// The wires of a bit or plane node.
    fn gates(&mut self, node: &Node) -> Result<Vec<Wire>, ProgramError> {
        let frame = node.frame.0;
        let widths =
            |a: &[Wire], b: &[Wire]| if a.len() == b.len() { Ok(()) } else { Err(ProgramError("what is compared has equal width")) };
        Ok(match &node.op {
            Op::Column { scan, column, form } => {
                self.check_column(node, *scan, *column, *form, *form)?;
                let (ring, planes) = shape(*form);
                if ring != InputRing::Bits {
                    return Err(ProgramError("a bit node is of bits"));
                }
                match self.slot_of(*scan, *column, *form) {
                    Some(slot) => (0..planes)
                        .map(|plane| {
                            self.planes.push((slot, plane));
                            self.circuits[frame].0.input(self.planes.len() as u32 - 1)
                        })
                        .collect(),
                    None => {
                        let Some(InputColumn::Bits(bits)) = self.public(*scan, *column, *form) else {
                            return Err(ProgramError("a public bit column is of bits"));
                        };
                        (0..planes).map(|plane| self.circuits[frame].0.public(plane_of(bits, plane))).collect()
                    }
                }
            }
            Op::Not(a) => {
                let a = self.operand(node, *a, NodeKind::Bit)?[0];
                vec![self.circuits[frame].0.not(a)]
            }
            Op::And(all) | Op::Or(all) => {
                let bits = all.iter().map(|a| Ok(self.operand(node, *a, NodeKind::Bit)?[0])).collect::<Result<_, _>>()?;
                let join = if matches!(node.op, Op::And(_)) { graph::all } else { graph::any };
                vec![join(&mut self.circuits[frame].0, bits)]
            }
            Op::Less(a, b) | Op::Equal(a, b) => {
                let (a, b) = (self.planes_of(node, *a)?, self.planes_of(node, *b)?);
                widths(&a, &b)?;
                let compare = if matches!(node.op, Op::Less(..)) { graph::less } else { graph::equal };
                vec![compare(&mut self.circuits[frame].0, &a, &b)]
            }
            Op::Add(a, b) => {
                let (a, b) = (self.planes_of(node, *a)?, self.planes_of(node, *b)?);
                let NodeKind::Planes(width) = node.kind else { return Err(ProgramError("a sum of planes is in planes")) };
                graph::sum(&mut self.circuits[frame].0, &a, &b, width as usize)
            }
            Op::Lift(_) | Op::Product(..) => return Err(ProgramError("a field operation yields an element")),
        })
    }

    fn operand(&self, node: &Node, id: NodeId, kind: NodeKind) -> Result<&[Wire], ProgramError> {
        let operand = self.plan.nodes.get(id.0).filter(|n| n.kind == kind && n.frame == node.frame);
        operand
            .and_then(|_| self.wires.get(&id))
            .map(Vec::as_slice)
            .ok_or(ProgramError("an operand has the kind and frame its operation needs"))
    }

    fn planes_of(&self, node: &Node, id: NodeId) -> Result<Vec<Wire>, ProgramError> {
        let kind = self.plan.nodes.get(id.0).map(|n| n.kind).ok_or(ProgramError("operands come first"))?;
        if matches!(kind, NodeKind::Field(_)) {
            return Err(ProgramError("what is compared is in planes"));
        }
        self.operand(node, id, kind).map(<[Wire]>::to_vec)
    }

    fn check_column(&self, node: &Node, scan: ScanId, column: usize, form: Form, wanted: Form) -> Result<(), ProgramError> {
        let there = self.plan.scans.get(scan.0).filter(|s| s.frame == node.frame).and_then(|s| s.columns.get(column));
        let held = self.slot_of(scan, column, form).is_some() || self.public(scan, column, form).is_some();
        if there.is_some() && held && form == wanted {
            Ok(())
        } else {
            Err(ProgramError("a column node names a column of its frame in one of its forms"))
        }
    }

    fn lay_steps(&mut self) {
        let mut steps = Vec::new();
        for (ring, kind, name) in [
            (InputRing::Bits, StepKind::ShareBits, "share bits"),
            (InputRing::Fp61, StepKind::ShareFp61, "share values"),
            (InputRing::Fp127, StepKind::ShareFp127, "share wide values"),
        ] {
            let slots: Vec<&Slot> = self.slots.iter().filter(|s| s.ring == ring).collect();
            if slots.is_empty() {
                continue;
            }
            let owners: BTreeSet<&str> = slots.iter().map(|s| s.owner.as_str()).collect();
            let planes: usize = slots.iter().map(|s| s.layout.planes).sum();
            let unit = if ring == InputRing::Bits { "bit-planes" } else { "columns" };
            let what = format!("{} of {}", counted(planes, unit), owners.into_iter().collect::<Vec<_>>().join(", "));
            steps.push(self.step(kind, name, what, slots.iter().map(|s| s.layout.rows).max().unwrap_or(0)));
        }
        for (frame, (graph, schedule)) in self.circuits.iter().enumerate() {
            if schedule.is_empty() {
                continue;
            }
            let what = format!("{} a row over {}", counted(schedule.ands(), "ANDs"), self.plan.frames[frame].name);
            steps.push(self.step(StepKind::Logic(frame), "logic", what, graph.rows()));
        }
        let of = |release: usize, counts: &dyn Fn(&Opening) -> usize| {
            self.plan.releases[release].cells.iter().flat_map(|c| &c.openings).map(counts).sum::<usize>()
        };
        for release in 0..self.plan.releases.len() {
            let bits = of(release, &|o| usize::from(matches!(o, Opening::Any(_))));
            if bits > 0 {
                let rows = self.ground.rows(self.plan.releases[release].frame);
                let what = format!("{} for {}", counted(bits, "bits"), counted(self.ground.groups(release).count, "groups"));
                steps.push(self.step(StepKind::Exists(release), "exists", what, rows));
            }
        }
        for ((ring, frame), lifts) in &self.lifts {
            let kind = if *ring == Ring::Fp61 { StepKind::Lift61(*frame) } else { StepKind::Lift127(*frame) };
            let what = format!("{} over {} to {}", counted(lifts.len(), "bits"), self.plan.frames[*frame].name, name(*ring));
            steps.push(self.step(kind, "lift", what, self.circuits[*frame].0.rows()));
        }
        for (ring, batches) in &self.products {
            for (number, batch) in batches.iter().enumerate() {
                let kind = if *ring == Ring::Fp61 { StepKind::Multiply61(number) } else { StepKind::Multiply127(number) };
                let what = format!("{} of depth {} in {}", counted(batch.products.len(), "products"), batch.depth, name(*ring));
                steps.push(self.step(kind, "multiply", what, self.circuits[batch.frame].0.rows()));
            }
        }
        for release in 0..self.plan.releases.len() {
            let (rows, groups) = (self.ground.rows(self.plan.releases[release].frame), self.ground.groups(release).count);
            for ring in [Ring::Fp61, Ring::Fp127] {
                let sums = of(release, &|o| sums_of(o).filter(|(of, _)| *of == ring).count());
                let kind = if ring == Ring::Fp61 { StepKind::Sum61(release) } else { StepKind::Sum127(release) };
                if sums > 0 {
                    let what = format!("{} for {}", counted(sums, "sums"), counted(groups, "groups"));
                    steps.push(self.step(kind, "sum", what, rows));
                }
            }
            let cells = self.plan.releases[release].cells.len() * groups;
            let noised = self.plan.releases[release].noise.len();
            if noised > 0 {
                let what = format!("{} in {}", counted(noised, "sums"), counted(cells, "cells"));
                steps.push(self.step(StepKind::Noise(release), "noise", what, cells));
            }
            if of(release, &|o| usize::from(matches!(o, Opening::Safe { .. }))) > 0 {
                let what = format!("{}, those that contracts hold back", counted(cells, "cells"));
                steps.push(self.step(StepKind::Suppress(release), "suppress", what, cells));
            }
        }
        steps.extend(self.relations.steps(self.plan));
        let parts = self.ground.parts(self.plan);
        let opened =
            |of: fn(InputRing) -> bool| parts.iter().filter(|p| of(p.ring)).map(|p| p.layout.rows * p.layout.planes).sum::<usize>();
        let opened = [(opened(|ring| ring != InputRing::Bits), "numbers"), (opened(|ring| ring == InputRing::Bits), "bits")];
        let opened: Vec<_> = opened.into_iter().filter(|(n, _)| *n > 0).map(|(n, of)| counted(n, of)).collect();
        let what = format!("{} to the planner", opened.join(" and "));
        steps.push(self.step(StepKind::Release, "release", what, parts.iter().map(|p| p.layout.rows).max().unwrap_or(0)));
        self.steps = steps;
    }

    fn step(&self, kind: StepKind, name: &str, what: String, rows: usize) -> Step {
        Step { kind, name: name.into(), what, rows: rows as u64 }
    }
}

fn operands(op: &Op) -> Vec<NodeId> {
    match op {
        Op::Column { .. } => Vec::new(),
        Op::Not(a) | Op::Lift(a) => vec![*a],
        Op::And(all) | Op::Or(all) => all.clone(),
        Op::Less(a, b) | Op::Equal(a, b) | Op::Add(a, b) | Op::Product(a, b) => vec![*a, *b],
    }
}

fn plane_of(bits: &Column<B64>, plane: usize) -> Column<B64> {
    bits.slice_planes(plane..plane + 1)
}

fn shape(form: Form) -> (InputRing, usize) {
    match form {
        Form::Bit => (InputRing::Bits, 1),
        Form::Planes { width, .. } => (InputRing::Bits, width as usize),
        Form::Field(Ring::Fp61) => (InputRing::Fp61, 1),
        Form::Field(Ring::Fp127) => (InputRing::Fp127, 1),
    }
}

fn name(ring: Ring) -> &'static str {
    match ring {
        Ring::Fp61 => "Fp61",
        Ring::Fp127 => "Fp127",
    }
}

/// `1 bit`, `2 bits`: `unit` is the plural.
pub(super) fn counted(count: usize, unit: &str) -> String {
    match count {
        1 => format!("1 {}", unit.strip_suffix('s').unwrap_or(unit)),
        _ => format!("{count} {unit}"),
    }
}
