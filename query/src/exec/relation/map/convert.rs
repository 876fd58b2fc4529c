//! What turns elements into bits, and divisions and dates: bits that do not come from gates.
//!
//! Conversions of one kind in one stage are one conversion of so many times the rows.

use super::super::super::program::ProgramError;
use super::elements::Elements;
use super::{Layout, Running, Stage, gates};
use crate::plan::Ring;
use crate::plan::relation::{DatePart, RowKind, RowNodeId, RowOp};
use mpc_core::{Abort, Column, Fp61, Fp127, Layout as Shape};
use protocols::circuit::{
    Division, Rounding, Sign, date_part, days_until, divide, divide_public, field_bits, integer, is_negative, is_zero,
};
use protocols::graph::{self, Logic, Wire};
use protocols::rows::{Bits, Values};
use protocols::{Engine, Share};
use std::collections::BTreeMap;

/// Widest dates: the years of the range are constants of a circuit.
const DATE_BITS: usize = 20;

/// Whether an operation ends a stage: its bits do not come from gates.
pub(super) fn is_conversion(op: &RowOp) -> bool {
    matches!(
        op,
        RowOp::ToPlanes(..) | RowOp::Negative(_) | RowOp::Zero(_) | RowOp::Quotient { .. } | RowOp::Floor { .. } | RowOp::DatePart { .. }
    )
}

/// Conversions that are done as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Planes(Ring, usize),
    Negative(Ring),
    Zero(Ring),
}

impl Layout<'_> {
    /// Notes a conversion at the start of a stage.
    pub(super) fn lay_conversion(&mut self, id: usize, stage: usize) -> Result<(), ProgramError> {
        self.stages[stage].converted.push(id);
        let node = &self.nodes[id];
        match &node.op {
            RowOp::ToPlanes(of, _) | RowOp::Negative(of) | RowOp::Zero(of) => {
                let RowKind::Field(ring) = self.nodes[of.0].kind else { return Err(ProgramError("elements are turned into bits")) };
                let bits = if ring == Ring::Fp61 { 61 } else { 127 };
                if gates::width(node.kind) > bits { Err(ProgramError("an element has as many bits as its field")) } else { Ok(()) }
            }
            RowOp::Quotient { a, b, .. } => {
                self.read(*a)?;
                self.read(*b)?;
                self.division(id).map(|_| ())
            }
            RowOp::Floor { of, .. } => {
                self.read(*of)?;
                self.public_division(id).map(|_| ())
            }
            RowOp::DatePart { of, offset, .. } => {
                let width = self.read(*of)?;
                if width > DATE_BITS || i64::try_from(*offset).is_err() {
                    return Err(ProgramError("a date lies in a range of at most 2^20 days"));
                }
                Ok(())
            }
            _ => Err(ProgramError("this is no conversion")),
        }
    }

    /// Notes that a node of bits is read as a share; its width.
    fn read(&mut self, id: RowNodeId) -> Result<usize, ProgramError> {
        let stage = self.stage.get(id.0).copied().flatten().ok_or(ProgramError("operands come first"))?;
        let wires = self.wires.get(&id.0).ok_or(ProgramError("an operand has the kind its operation needs"))?;
        self.stages[stage].outputs.extend(wires.iter().filter(|w| matches!(w, Wire::Secret(_))));
        Ok(wires.len())
    }

    /// A division and the field it is done in.
    pub(super) fn division(&self, id: usize) -> Result<(Division, Ring), ProgramError> {
        let RowOp::Quotient { a, b, shift, round } = &self.nodes[id].op else { return Err(ProgramError("this is no division")) };
        let width = |id: &RowNodeId| self.wires.get(&id.0).map_or(0, Vec::len).max(1) as u32;
        let division = Division {
            numerator: (width(a), Sign::Unsigned),
            denominator: (width(b), Sign::Unsigned),
            scale: 10_u128.checked_pow(*shift).ok_or(ProgramError("a quotient has at most 38 digits after the point"))?,
            quotient: gates::width(self.nodes[id].kind).max(1) as u32,
            rounding: if *round { Rounding::HalfAwayFromZero } else { Rounding::TowardZero },
        };
        match (division.is_possible::<Fp61>(), division.is_possible::<Fp127>()) {
            (true, _) => Ok((division, Ring::Fp61)),
            (_, true) => Ok((division, Ring::Fp127)),
            _ => Err(ProgramError("a quotient has at most 54 bits and its operands fewer than 127")),
        }
    }

    /// The divisor of a division by a public number, the bits of what is divided, and the field it is done in.
    pub(super) fn public_division(&self, id: usize) -> Result<(u128, u32, Ring), ProgramError> {
        let RowOp::Floor { of, by } = &self.nodes[id].op else { return Err(ProgramError("this is no division")) };
        let bits = self.wires.get(&of.0).map_or(0, Vec::len).max(1) as u32;
        let by = u128::try_from(*by).ok().filter(|by| *by > 0).ok_or(ProgramError("a public divisor is positive"))?;
        let wider = bits.max(u128::BITS - by.leading_zeros());
        match wider + 3 {
            0..=61 => Ok((by, bits, Ring::Fp61)),
            62..=127 => Ok((by, bits, Ring::Fp127)),
            _ => Err(ProgramError("what is divided by a public number, and the number, have at most 124 bits")),
        }
    }

    /// What opens a stage.
    pub(super) fn convert<E: Engine>(&self, engine: &mut E, stage: &Stage, run: &mut Running<'_, E>) -> Result<(), Abort> {
        let mut together: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for id in &stage.converted {
            let ring = |of: &RowNodeId| if let RowKind::Field(ring) = self.nodes[of.0].kind { ring } else { Ring::Fp61 };
            match &self.nodes[*id].op {
                RowOp::ToPlanes(of, _) => together.entry(Kind::Planes(ring(of), gates::width(self.nodes[*id].kind))).or_default().push(*id),
                RowOp::Negative(of) => together.entry(Kind::Negative(ring(of))).or_default().push(*id),
                RowOp::Zero(of) => together.entry(Kind::Zero(ring(of))).or_default().push(*id),
                _ => {}
            }
        }
        for (kind, nodes) in together {
            let (Kind::Planes(ring, _) | Kind::Negative(ring) | Kind::Zero(ring)) = kind;
            match ring {
                Ring::Fp61 => self.convert_alike::<Fp61, E>(engine, kind, &nodes, run)?,
                Ring::Fp127 => self.convert_alike::<Fp127, E>(engine, kind, &nodes, run)?,
            }
        }
        for id in &stage.converted {
            let bits = match &self.nodes[*id].op {
                RowOp::Quotient { .. } => self.quotient(engine, *id, run)?,
                RowOp::Floor { .. } => self.floor(engine, *id, run)?,
                RowOp::DatePart { .. } => self.date_part(engine, *id, run)?,
                _ => continue,
            };
            run.converted.insert(*id, bits);
        }
        Ok(())
    }

    fn convert_alike<R: Elements, E: Engine>(
        &self,
        engine: &mut E,
        kind: Kind,
        nodes: &[usize],
        run: &mut Running<'_, E>,
    ) -> Result<(), Abort> {
        let places = run.input.places;
        let mut all = Vec::with_capacity(nodes.len());
        for id in nodes {
            let (of, offset) = match &self.nodes[*id].op {
                RowOp::ToPlanes(of, offset) => (of, *offset),
                RowOp::Negative(of) | RowOp::Zero(of) => (of, 0),
                _ => unreachable!("checked by the layout: a conversion of an element"),
            };
            let element = R::of_run(run).share(engine, of.0);
            let offset = Column::splat(R::ZERO.sub(R::element(offset)), Shape::new(places, 1));
            all.push(engine.add_public(&element, &offset));
        }
        let all: E::Share<R> = Share::concat(&all.iter().collect::<Vec<_>>());
        let bits = match kind {
            Kind::Planes(_, 0) => engine.constant(&Column::zeros(Shape::new(all.layout().rows, 0))),
            Kind::Planes(_, width) => field_bits::<E, R>(engine, all, width)?,
            Kind::Negative(_) => is_negative::<E, R>(engine, all)?,
            Kind::Zero(_) => is_zero::<E, R>(engine, all)?,
        };
        run.converted.extend(nodes.iter().enumerate().map(|(at, id)| (*id, bits.slice(at * places..(at + 1) * places))));
        Ok(())
    }

    fn quotient<E: Engine>(&self, engine: &mut E, id: usize, run: &Running<'_, E>) -> Result<Bits<E>, Abort> {
        let (division, ring) = self.division(id).map_err(|e| Abort::Refused(e.to_string()))?;
        match ring {
            Ring::Fp61 => self.quotient_in::<Fp61, E>(engine, id, &division, run),
            Ring::Fp127 => self.quotient_in::<Fp127, E>(engine, id, &division, run),
        }
    }

    fn quotient_in<R: Elements, E: Engine>(
        &self,
        engine: &mut E,
        id: usize,
        division: &Division,
        run: &Running<'_, E>,
    ) -> Result<Bits<E>, Abort> {
        let RowOp::Quotient { a, b, .. } = &self.nodes[id].op else { unreachable!("checked by the layout: a division") };
        let (a, b) = (self.integer::<R, E>(engine, run, *a)?, self.integer::<R, E>(engine, run, *b)?);
        let quotient = divide::<E, R>(engine, &a, &b, division)?.value;
        self.planes::<R, E>(engine, id, &quotient, run)
    }

    fn floor<E: Engine>(&self, engine: &mut E, id: usize, run: &Running<'_, E>) -> Result<Bits<E>, Abort> {
        match self.public_division(id).map_err(|e| Abort::Refused(e.to_string()))? {
            (by, bits, Ring::Fp61) => self.floor_in::<Fp61, E>(engine, id, (by, bits), run),
            (by, bits, Ring::Fp127) => self.floor_in::<Fp127, E>(engine, id, (by, bits), run),
        }
    }

    fn floor_in<R: Elements, E: Engine>(
        &self,
        engine: &mut E,
        id: usize,
        (by, bits): (u128, u32),
        run: &Running<'_, E>,
    ) -> Result<Bits<E>, Abort> {
        let RowOp::Floor { of, .. } = &self.nodes[id].op else { unreachable!("checked by the layout: a division") };
        let of = self.integer::<R, E>(engine, run, *of)?;
        let quotient = divide_public::<E, R>(engine, &of, by, bits, Sign::Unsigned, Rounding::TowardZero)?;
        self.planes::<R, E>(engine, id, &quotient, run)
    }

    /// A node of planes as an element.
    fn integer<R: Elements, E: Engine>(&self, engine: &mut E, run: &Running<'_, E>, id: RowNodeId) -> Result<E::Share<R>, Abort> {
        let bits = self.bits(engine, run, id);
        match bits.layout().planes {
            0 => Ok(engine.constant(&Column::zeros(Shape::new(run.input.places, 1)))),
            _ => integer::<E, R>(engine, &bits, Sign::Unsigned),
        }
    }

    /// An element in as many planes as the node has.
    fn planes<R: Elements, E: Engine>(&self, engine: &mut E, id: usize, of: &E::Share<R>, run: &Running<'_, E>) -> Result<Bits<E>, Abort> {
        match gates::width(self.nodes[id].kind) {
            0 => Ok(engine.constant(&Column::zeros(Shape::new(run.input.places, 0)))),
            width => field_bits::<E, R>(engine, of.clone(), width),
        }
    }

    fn date_part<E: Engine>(&self, engine: &mut E, id: usize, run: &Running<'_, E>) -> Result<Bits<E>, Abort> {
        let RowOp::DatePart { of, offset, part, base } = &self.nodes[id].op else { unreachable!("checked by the layout: a date") };
        let days = self.bits(engine, run, *of);
        let (places, width) = (run.input.places, gates::width(self.nodes[id].kind));
        let range = *offset as i64..=*offset as i64 + (1 << days.layout().planes) - 1;
        // two's complement with room for both ends
        let signed = |value: i64| 65 - if value < 0 { (!value).leading_zeros() } else { value.leading_zeros() } as usize;
        let wide = signed(*range.start()).max(signed(*range.end()));
        let mut logic = Logic::<E>::new(places);
        let planes = logic.wires(&days);
        let start = constant(&mut logic, *range.start(), wide);
        let sum = graph::sum(&mut logic.graph, &planes, &start, wide);
        let days = logic.run(engine, &sum)?;
        let of = match part {
            DatePart::Year => protocols::circuit::DatePart::Year,
            DatePart::Month | DatePart::Quarter => protocols::circuit::DatePart::Month,
            DatePart::Day => protocols::circuit::DatePart::Day,
            DatePart::DayOfQuarter => protocols::circuit::DatePart::DayOfQuarter,
            DatePart::DayOfYear => protocols::circuit::DatePart::DayOfYear,
            DatePart::Later(months) => protocols::circuit::DatePart::Later(*months),
        };
        let base = match part {
            DatePart::Later(months) => i64::from(*base) - days_until(&range, *months).start(),
            _ => i64::from(*base),
        };
        let value = date_part(engine, &days, &range, of)?;
        let mut logic = Logic::<E>::new(places);
        let mut planes = logic.wires(&value);
        if *part == DatePart::Quarter {
            // 1 + [month > 3] + [month > 6] + [month > 9]
            let mut quarter = constant(&mut logic, 1, 3);
            for last in [3, 6, 9] {
                let last = constant(&mut logic, last, planes.len());
                let later = graph::less(&mut logic.graph, &last, &planes);
                quarter = graph::sum(&mut logic.graph, &quarter, &[later], 3);
            }
            planes = quarter;
        }
        let full = planes.len().max(width);
        planes.resize(full, logic.graph.constant(false));
        let base = constant(&mut logic, base, full);
        let planes = graph::difference(&mut logic.graph, &planes, &base);
        logic.run(engine, &planes[..width])
    }

    /// A node of bits as a share.
    fn bits<E: Engine>(&self, engine: &mut E, run: &Running<'_, E>, id: RowNodeId) -> Bits<E> {
        match self.values(engine, run, id) {
            Values::Bits(bits) => bits,
            _ => unreachable!("checked by the layout: bits"),
        }
    }
}

/// A public integer in two's complement.
fn constant<E: Engine>(logic: &mut Logic<'_, E>, value: i64, width: usize) -> Vec<Wire> {
    (0..width).map(|plane| logic.graph.constant(value >> plane.min(63) & 1 == 1)).collect()
}
