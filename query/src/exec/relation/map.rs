//! Columns computed row by row.
//!
//! *Protocol.* All logic between two conversions is one circuit ([`Graph`]), in which gates of equal depth share a round. Where bits become elements or
//! elements become bits a *stage* ends: a stage is its circuit, the lifting of the bits its elements need, then the elements, products of equal depth in one
//! round; whatever turns elements into bits opens the next. *Rounds.* The circuits' depths, two for each field and stage that lifts, one for each depth of
//! products; and those for each block of rows ([`blocks`]). *Cost.* A bit a row for each AND, and what each conversion and product takes ([`protocols::cost`]); EXPLAIN counts them. *Leakage.* None.

mod blocks;
mod convert;
mod elements;
mod gates;
mod words;

use super::super::program::{ProgramError, counted};
use crate::plan::relation::{Operator, Relation, RowForm, RowKind, RowNode, RowNodeId, RowOp};
use crate::plan::{Plan, Ring};
pub(super) use blocks::Map;
pub(crate) use blocks::on_the_way;
use elements::{Elements, ElementsOf};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout as Shape};
use protocols::graph::{Graph, Schedule, Wire};
use protocols::rows::{Bits, Cells, Rows, Values};
use protocols::{Engine, Share, stack};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A Map laid out for so many places.
struct Layout<'p> {
    nodes: &'p [RowNode],
    columns: &'p [(RowNodeId, Option<RowNodeId>)],
    stages: Vec<Stage>,
    /// The stage after whose circuit (bits) or elements a node is known; `None` if nothing needs it.
    stage: Vec<Option<usize>>,
    /// The wires of the bit nodes, in the circuit of their stage.
    wires: HashMap<usize, Vec<Wire>>,
    /// Whether an element node is known in clear.
    public: HashMap<usize, bool>,
    /// The bits an element node needs as elements, in the circuit of its stage.
    lifted: HashMap<usize, Vec<Wire>>,
    /// Which places hold a row, if that changes.
    row: Option<(usize, Wire)>,
}

/// One circuit, then elements.
struct Stage {
    graph: Graph,
    schedule: Schedule,
    /// The planes of the circuit's inputs, by their number.
    inputs: Vec<Source>,
    /// What later stages and outputs read of the circuit.
    outputs: BTreeSet<Wire>,
    /// Nodes that turn what earlier stages computed into bits, before the circuit.
    converted: Vec<usize>,
    /// Bits that become elements.
    lifts: BTreeMap<Ring, BTreeSet<Wire>>,
    /// Element nodes by their depth of products.
    elements: BTreeMap<u32, Vec<usize>>,
}

/// Where a plane comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    /// A plane of an input column.
    Column(usize, usize),
    /// The valid bit of an input column.
    Valid(usize),
    /// The row's own bit.
    Row,
    /// A wire of an earlier stage.
    Wire(usize, Wire),
    /// A plane of a node that was converted.
    Converted(usize, usize),
}

impl<'p> Layout<'p> {
    /// Lays out a Map over `places` of its input's places.
    fn new(plan: &'p Plan, relation: &'p Relation, places: usize) -> Result<Self, ProgramError> {
        let Operator::Map { input, nodes, columns, keep } = &relation.op else {
            return Err(ProgramError("a map is laid out as a map"));
        };
        let input = plan.relation(*input);
        let mut layout = Layout {
            nodes,
            columns,
            stages: Vec::new(),
            stage: vec![None; nodes.len()],
            wires: HashMap::new(),
            public: HashMap::new(),
            lifted: HashMap::new(),
            row: None,
        };
        // in stages first: what turns elements into bits comes a stage later
        let mut stage = vec![0; nodes.len()];
        for (id, node) in nodes.iter().enumerate() {
            let operands = node.op.operands();
            if operands.iter().any(|o| o.0 >= id) {
                return Err(ProgramError("operands come first"));
            }
            stage[id] = operands.iter().map(|o| stage[o.0]).max().unwrap_or(0) + usize::from(convert::is_conversion(&node.op));
        }
        let mut needed = vec![false; nodes.len()];
        let outputs = columns.iter().flat_map(|(value, valid)| std::iter::once(value).chain(valid));
        if outputs.clone().chain(keep).any(|n| n.0 >= nodes.len()) {
            return Err(ProgramError("an output of a map is one of its nodes"));
        }
        // columns that pass are not computed
        let outputs = outputs.filter(|n| !passes(&nodes[n.0].op));
        outputs.chain(keep).for_each(|n| needed[n.0] = true);
        for id in (0..nodes.len()).rev() {
            if needed[id] {
                nodes[id].op.operands().iter().for_each(|o| needed[o.0] = true);
            }
        }
        let stages = (0..nodes.len()).filter(|id| needed[*id]).map(|id| stage[id] + 1).max().unwrap_or(1);
        layout.stages = (0..stages).map(|_| Stage::new(places)).collect();
        let mut depth: HashMap<usize, u32> = HashMap::new();
        for id in (0..nodes.len()).filter(|id| needed[*id]) {
            layout.stage[id] = Some(stage[id]);
            match nodes[id].kind {
                RowKind::Field(ring) => layout.lay_element(input, id, ring, stage[id], &mut depth)?,
                _ => layout.lay_bits(input, id, stage[id])?,
            }
        }
        layout.lay_outputs(relation, input, keep.as_ref())?;
        for stage in &mut layout.stages {
            stage.schedule = stage.graph.schedule(stage.outputs.iter().copied());
        }
        Ok(layout)
    }

    /// What it does, for people.
    fn words(&self) -> String {
        let ands: usize = self.stages.iter().map(|s| s.schedule.ands()).sum();
        let lifted: usize = self.stages.iter().flat_map(|s| s.lifts.values()).map(BTreeSet::len).sum();
        let products = self.nodes.iter().zip(&self.stage).filter(|(n, s)| s.is_some() && matches!(n.op, RowOp::Product(..))).count();
        let all = [(ands, "ANDs"), (lifted, "lifted bits"), (products, "products")];
        let words: Vec<String> = all.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| counted(*n, unit)).collect();
        if words.is_empty() { "columns as they are".into() } else { format!("{} a row", words.join(", ")) }
    }

    fn lay_outputs(&mut self, relation: &Relation, input: &Relation, keep: Option<&RowNodeId>) -> Result<(), ProgramError> {
        if self.columns.len() != relation.columns.len() {
            return Err(ProgramError("a map computes the columns of its relation"));
        }
        for ((value, valid), column) in self.columns.iter().zip(&relation.columns) {
            let kind = self.nodes.get(value.0).map(|n| n.kind);
            let fits = match (&column.form, kind) {
                (RowForm::Field { ring, .. }, Some(RowKind::Field(of))) => *ring == of,
                (RowForm::Field { .. }, _) | (_, None | Some(RowKind::Field(_))) => false,
                (form, Some(kind)) => gates::width(kind) == form.width(),
            };
            let valid_fits = valid.map(|v| self.nodes.get(v.0).map(|n| n.kind) == Some(RowKind::Bit));
            if !fits || valid_fits != column.nullable.then_some(true) {
                return Err(ProgramError("a column of a map has the form of its node, and a valid bit if it is nullable"));
            }
            for node in std::iter::once(value).chain(valid) {
                if passes(&self.nodes[node.0].op) {
                    gates::check_passing(&self.nodes[node.0], input)?;
                } else if let (Some(wires), Some(stage)) = (self.wires.get(&node.0), self.stage[node.0]) {
                    self.stages[stage].outputs.extend(wires.iter().filter(|w| matches!(w, Wire::Secret(_))));
                }
            }
        }
        match keep {
            None if relation.full != input.full => Err(ProgramError("a map that keeps all rows is as full as its input")),
            None => Ok(()),
            Some(keep) => {
                let kept = self.wires.get(&keep.0).zip(self.stage.get(keep.0).copied().flatten());
                let (wires, stage) = kept.filter(|(w, _)| w.len() == 1).ok_or(ProgramError("rows are kept by a bit"))?;
                let kept = wires[0];
                let stages = &mut self.stages[stage];
                let row = if input.full { stages.graph.constant(true) } else { stages.source(Source::Row) };
                let row = stages.graph.and(kept, row);
                stages.outputs.extend(Some(row).filter(|w| matches!(w, Wire::Secret(_))));
                self.row = Some((stage, row));
                if relation.full { Err(ProgramError("a map that drops rows is not full")) } else { Ok(()) }
            }
        }
    }

    /// A wire of a stage as a wire of a later one.
    fn wires_in(&mut self, id: RowNodeId, stage: usize) -> Result<Vec<Wire>, ProgramError> {
        let at = self.stage.get(id.0).copied().flatten().ok_or(ProgramError("operands come first"))?;
        let wires = self.wires.get(&id.0).cloned().ok_or(ProgramError("an operand has the kind its operation needs"))?;
        if at == stage {
            return Ok(wires);
        }
        let mut moved = Vec::with_capacity(wires.len());
        for wire in wires {
            moved.push(match self.stages[at].graph.value(wire).cloned() {
                Some(public) => self.stages[stage].graph.public(public),
                None => {
                    self.stages[at].outputs.insert(wire);
                    self.stages[stage].source(Source::Wire(at, wire))
                }
            });
        }
        Ok(moved)
    }
}

impl Stage {
    fn new(places: usize) -> Self {
        let graph = Graph::new(places);
        let schedule = graph.schedule([]);
        Stage {
            graph,
            schedule,
            inputs: Vec::new(),
            outputs: BTreeSet::new(),
            converted: Vec::new(),
            lifts: BTreeMap::new(),
            elements: BTreeMap::new(),
        }
    }

    /// The input wire of a plane.
    fn source(&mut self, source: Source) -> Wire {
        let number = self.inputs.iter().position(|s| *s == source).unwrap_or_else(|| {
            self.inputs.push(source);
            self.inputs.len() - 1
        });
        self.graph.input(number as u32)
    }
}

/// Whether a node is an input column as it is.
fn passes(op: &RowOp) -> bool {
    matches!(op, RowOp::Column(_) | RowOp::Valid(_))
}

/// What is known while a Map runs.
struct Running<'r, E: Engine> {
    input: &'r Rows<E>,
    /// The secret outputs of each stage's circuit.
    circuits: Vec<HashMap<Wire, Bits<E>>>,
    converted: HashMap<usize, Bits<E>>,
    fp61: ElementsOf<E, Fp61>,
    fp127: ElementsOf<E, Fp127>,
}

impl Layout<'_> {
    /// Computes the columns for the rows of `input`.
    fn run<E: Engine>(&self, engine: &mut E, input: &Rows<E>) -> Result<Rows<E>, Abort> {
        let mut run = Running {
            input,
            circuits: Vec::with_capacity(self.stages.len()),
            converted: HashMap::new(),
            fp61: ElementsOf::default(),
            fp127: ElementsOf::default(),
        };
        for (number, stage) in self.stages.iter().enumerate() {
            self.convert(engine, stage, &mut run)?;
            let done = stage.schedule.run(&stage.graph, engine, |plane| run.plane(stage.inputs[plane as usize]))?;
            let secret = stage.outputs.iter().map(|w| (*w, done.share(*w).expect("a schedule keeps its outputs").clone()));
            run.circuits.push(secret.collect());
            self.run_elements(engine, number, &mut run)?;
        }
        let row = match self.row {
            None => input.row.clone(),
            Some((stage, wire)) => Some(self.bit(engine, &run, stage, wire)),
        };
        let columns = self.columns.iter().map(|(value, valid)| Cells {
            values: self.values(engine, &run, *value),
            valid: valid.map(|v| match self.values(engine, &run, v) {
                Values::Bits(bits) => bits,
                _ => unreachable!("checked by the layout: a valid bit is a bit"),
            }),
        });
        let columns = columns.collect();
        Ok(Rows { places: input.places, row, columns })
    }

    /// A node that is an output.
    fn values<E: Engine>(&self, engine: &mut E, run: &Running<'_, E>, id: RowNodeId) -> Values<E> {
        match self.nodes[id.0].op {
            RowOp::Column(column) => return run.input.columns[column].values.clone(),
            RowOp::Valid(column) => {
                let valid = run.input.columns[column].valid.as_ref();
                return Values::Bits(valid.expect("checked by the layout: the column is nullable").clone());
            }
            _ => {}
        }
        match self.nodes[id.0].kind {
            RowKind::Field(Ring::Fp61) => Values::Fp61(Fp61::of_run(run).share(engine, id.0)),
            RowKind::Field(Ring::Fp127) => Values::Fp127(Fp127::of_run(run).share(engine, id.0)),
            _ => {
                let stage = self.stage[id.0].expect("an output is needed");
                let planes: Vec<Bits<E>> = self.wires[&id.0].iter().map(|w| self.bit(engine, run, stage, *w)).collect();
                if planes.is_empty() {
                    return Values::Bits(engine.constant(&Column::zeros(Shape::new(run.input.places, 0))));
                }
                Values::Bits(stack::<B64, _>(&planes))
            }
        }
    }

    /// A wire of a stage that has run.
    fn bit<E: Engine>(&self, engine: &mut E, run: &Running<'_, E>, stage: usize, wire: Wire) -> Bits<E> {
        match self.stages[stage].graph.value(wire) {
            Some(public) => engine.constant(public),
            None => run.circuits[stage][&wire].clone(),
        }
    }
}

impl<E: Engine> Running<'_, E> {
    fn plane(&self, source: Source) -> Bits<E> {
        match source {
            Source::Column(column, plane) => self.input.columns[column].bits().planes([plane]),
            Source::Valid(column) => self.input.columns[column].valid.clone().expect("checked by the layout: the column is nullable"),
            Source::Row => self.input.row.clone().expect("checked by the layout: the input is not full"),
            Source::Wire(stage, wire) => self.circuits[stage][&wire].clone(),
            Source::Converted(node, plane) => self.converted[&node].planes([plane]),
        }
    }
}
