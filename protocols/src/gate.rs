//! The cost gate: every operation and circuit, at every width and size, must cost exactly what the formulas of [`cost`] say, what
//! [`Estimate`](crate::Estimate) says, and what an independent model of the protocols says.
//!
//! The model's figures are rows `{op, n, k, bits: [P_0, P_1, P_2], rounds}` ([`Reference`], as JSON). Integers mod 2^k, the prime fields and
//! k bit-planes are all held to the same row. A difference is a failure, not a tolerance.

mod arithmetic;
mod privacy;
mod relational;

use crate::cost::{self, Cost};
use crate::world::{self, Protocol};
use crate::{Abort, Engine, Input, Share, circuit};
use mpc_core::{B64, Column, Fp31, Fp61, Index, Layout, PartyId, Ring, Z64};
use std::collections::HashMap;
use std::marker::PhantomData;

/// Numbers of rows at which the gate runs.
pub const SIZES: [usize; 6] = [1, 2, 7, 64, 1000, 65536];

/// Operations of the model that this release does not have, or not at every width of the model. Comparisons and carries have one form each, that of fewest
/// bits among those of least rounds: not `lt_plain`, `lt_ripple`, `a2b_kogge_stone`, `msb`; `a2b` computes a carry out of the top that nobody reads; the
/// `csa` forms are for a scheme that verifies its messages. `noise_bits` is the difference of two geometrics, of 2d biased bits; ours has d + 1
/// ([`privacy::Laplace`](crate::privacy::Laplace)). `msb_pair` is held to the model for 64 bits, the one integer ring of fixed width.
pub const ABSENT: [&str; 12] = [
    "lt_plain",
    "lt_ripple",
    "a2b",
    "a2b_kogge_stone",
    "a2b_csa",
    "msb",
    "msb_pair",
    "msb_csa",
    "b2a_word",
    "shuffle_tag",
    "noise_bits",
    "hash_check",
];

/// Figures of an independent model.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Reference {
    /// One row for each operation, size and width.
    pub operations: Vec<ReferenceRow>,
}

/// An operation at sizes, named as in the model: `k` is bits of an element, `w` of an index, `W` of what moves, and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the model says what its parameters mean")]
pub struct Case {
    pub op: String,
    pub n: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub w: Option<u32>,
    #[serde(rename = "W", skip_serializing_if = "Option::is_none")]
    pub moved: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_bits: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub m: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blank: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semi_left: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right_filtered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
}

/// What the model says of one operation.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct ReferenceRow {
    /// Which, at which sizes.
    #[serde(flatten)]
    pub case: Case,
    /// Bits sent by each party.
    pub bits: [u64; 3],
    /// Rounds.
    pub rounds: u64,
}

/// One comparison.
#[derive(Debug, Clone, serde::Serialize)]
pub struct GateLine {
    /// The operation, named as in the model where it is there.
    #[serde(flatten)]
    pub case: Case,
    /// The ring of the elements; `Z2` for bit-planes.
    pub ring: &'static str,
    /// What three parties' meters say; `None` where so many rows are not run.
    pub metered: Option<Cost>,
    /// What [`cost`] says.
    pub formula: Cost,
    /// What [`Estimate`](crate::Estimate) says.
    pub estimate: Cost,
    /// Bits and rounds in the model; `None` where it has no such row or is not at hand.
    pub model: Option<([u64; 3], u64)>,
    /// Whether all that are there are equal.
    pub ok: bool,
}

/// Runs every operation at each of `sizes`.
///
/// # Panics
/// If an operation fails to run.
pub fn gate(sizes: &[usize], reference: Option<&Reference>) -> Vec<GateLine> {
    let model: HashMap<_, _> = reference.into_iter().flat_map(|r| &r.operations).map(|row| (&row.case, (row.bits, row.rounds))).collect();
    let mut lines = Vec::new();
    for &rows in sizes {
        [1, 8, 31, 32].into_iter().for_each(|w| arithmetic::<Index>(Layout::narrow(rows, 1, w), &mut lines));
        arithmetic::<Fp31>(Layout::new(rows, 1), &mut lines);
        arithmetic::<Fp61>(Layout::new(rows, 1), &mut lines);
        arithmetic::<Z64>(Layout::new(rows, 1), &mut lines);
        for k in [1, 8, 31, 32, 61, 64] {
            planes(rows, k, &mut lines);
        }
        arithmetic::lines(rows, &mut lines);
        // noise is for cells, which are not so many
        if rows <= 1000 {
            privacy::lines(rows, &mut lines);
        }
    }
    lines.extend(relational::lines(reference.into_iter().flat_map(|r| &r.operations).map(|r| &r.case), sizes));
    lines.extend(relational::known(sizes));
    for line in &mut lines {
        line.model = model.get(&line.case).copied();
        let as_formula = line.metered.is_none_or(|m| m == line.formula) && line.estimate == line.formula;
        line.ok = as_formula && line.model.is_none_or(|m| m == (line.formula.bits, line.formula.rounds));
    }
    lines
}

/// Rows of the model at `sizes` that no line is held to, other than [`ABSENT`] operations: there should be none.
pub fn uncovered<'r>(sizes: &[usize], reference: &'r Reference, lines: &[GateLine]) -> Vec<&'r ReferenceRow> {
    let covered: std::collections::HashSet<_> = lines.iter().filter(|l| l.model.is_some()).map(|l| &l.case).collect();
    let expected = |row: &&ReferenceRow| sizes.contains(&row.case.n) && !ABSENT.contains(&row.case.op.as_str());
    let is_covered = |row: &&ReferenceRow| covered.contains(&row.case);
    reference.operations.iter().filter(expected).filter(|row| !is_covered(row)).collect()
}

const P0: PartyId = PartyId(0);

fn arithmetic<R: Ring>(layout: Layout, lines: &mut Vec<GateLine>) {
    let k = layout.width::<R>();
    of_any_ring::<R>(layout, k, lines);
    let mut line = |op, formula| lines.push(run(On::<R> { op, layout, ring: PhantomData }, k, formula));
    line("two_holder", cost::bits_to::<R>(layout));
    line("b2a", cost::bits_to::<R>(layout));
    line("count", cost::count::<R>(layout));
    line("bit_times", cost::bit_times::<R>(layout));
    line("filtered_sum", cost::filtered_sum::<R>(layout));
}

fn planes(rows: usize, k: u32, lines: &mut Vec<GateLine>) {
    let width = k as usize;
    let layout = Layout::new(rows, width);
    of_any_ring::<B64>(layout, k, lines);
    let mut line = |op, formula| lines.push(run(On::<B64> { op, layout, ring: PhantomData }, k, formula));
    line("eq", cost::equal(rows, width, 0));
    line("eq_also", cost::equal(rows, width, 1));
    line("lt", cost::less(rows, width));
    line("lt_signed", cost::less(rows, width));
    line("lt_and_eq", cost::less_and_equal(rows, width));
    line("lt_public", cost::less_public(rows, width));
    line("gt_public", cost::less_public(rows, width));
    line("minimum", cost::minimum(rows, width));
    line("select_bits", cost::select::<B64>(layout));
    line("all", cost::all(rows, width));
    line("any", cost::all(rows, width));
    line("adder", cost::adder(rows, width));
    line("subtract", cost::adder(rows, width));
}

fn of_any_ring<R: Ring>(layout: Layout, k: u32, lines: &mut Vec<GateLine>) {
    let mut line = |op, formula| lines.push(run(On::<R> { op, layout, ring: PhantomData }, k, formula));
    line("input_by_P0", cost::input::<R>([(P0, layout)]));
    line("open_all", cost::open::<R>(layout));
    line("open_to_P0", cost::open_to::<R>(P0, layout));
    line("release", cost::release::<R>(layout));
    line("mul", cost::product::<R>(layout));
    line("dot", cost::dot::<R>(layout));
    line("select", cost::select::<R>(layout));
}

fn run<R: Ring>(on: On<R>, k: u32, formula: Cost) -> GateLine {
    let case = Case { op: on.op.into(), n: on.layout.rows, k: Some(k), ..Case::default() };
    measured(&on, case, R::NAME, formula)
}

fn measured(on: &impl Protocol, case: Case, ring: &'static str, formula: Cost) -> GateLine {
    let ((_, metered), estimate) = (world::metered(on, 1), world::estimated(on));
    GateLine { case, ring, metered: Some(metered), formula, estimate, model: None, ok: false }
}

/// An operation on shares of zeros, which cost nothing to make.
struct On<R> {
    op: &'static str,
    layout: Layout,
    ring: PhantomData<fn() -> R>,
}

impl<R: Ring> Protocol for On<R> {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        let zeros = Column::<R>::zeros(self.layout);
        let x = e.constant(&zeros);
        let bit = e.constant(&Column::<B64>::zeros(Layout::new(self.layout.rows, 1)));
        match self.op {
            "input_by_P0" => {
                let mine = e.holds(P0).then_some(&zeros);
                e.input(&[Input::new(P0, self.layout, mine)]).map(drop)
            }
            "open_all" => {
                let x = e.verify(x)?;
                e.open(&x).map(drop)
            }
            "open_to_P0" => {
                let x = e.verify(x)?;
                e.open_to(P0, &x).map(drop)
            }
            "release" => {
                let x = e.verify(x)?;
                e.release(&x).map(drop)
            }
            "mul" => e.mul(&x, &x).map(drop),
            "dot" => e.dot(&x, &x).map(drop),
            "select" => {
                let bit = x.planes([0]);
                e.select(&bit, &x, &x).map(drop)
            }
            "two_holder" | "b2a" => e.bits_as::<R>(&bit, self.layout).map(drop),
            "count" => circuit::count_in::<E, R>(e, &bit, self.layout).map(drop),
            "bit_times" => circuit::bit_times::<E, R>(e, &bit, &x).map(drop),
            "filtered_sum" => circuit::filtered_sum::<E, R>(e, &bit, &x).map(drop),
            _ => self.run_circuit(e, &bit),
        }
    }
}

impl<R: Ring> On<R> {
    fn run_circuit<E: Engine>(&self, e: &mut E, bit: &E::Share<B64>) -> Result<(), Abort> {
        let zeros = Column::<B64>::zeros(self.layout);
        let x = e.constant(&zeros);
        match self.op {
            "eq" => circuit::equal(e, &x, &x, &[]).map(drop),
            "eq_also" => circuit::equal(e, &x, &x, &[bit]).map(drop),
            "lt" => circuit::less(e, &x, &x).map(drop),
            "lt_signed" => circuit::less_signed(e, &x, &x).map(drop),
            "lt_and_eq" => circuit::less_and_equal(e, &x, &x).map(drop),
            "lt_public" => circuit::less_public(e, &x, &zeros).map(drop),
            "gt_public" => circuit::greater_public(e, &x, &zeros).map(drop),
            "minimum" => circuit::minimum(e, &x, &x).map(drop),
            "select_bits" => circuit::select(e, bit, &x, &x).map(drop),
            "all" => circuit::all(e, &x).map(drop),
            "any" => circuit::any(e, &x).map(drop),
            "adder" => circuit::add(e, &x, &x).map(drop),
            "subtract" => circuit::subtract(e, &x, &x).map(drop),
            other => unreachable!("the gate names no operation {other}"),
        }
    }
}
