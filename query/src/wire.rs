//! The wire form of what a party releases: exact widths, every length known from the plan and the public rows before a byte is read.
//!
//! First the numbers of rows that owners disclosed ([`Plan::disclosing`]), 8 bytes each, least significant first. Then, for each part in the order of [`Ground::parts`], for each component the party holds: its index (one byte), then the column.

use crate::exec::{InputRing, Part};
use crate::ground::{Ground, PartShape};
use crate::message::{Code, Refusal, Sealed};
use crate::plan::Plan;
use mpc_core::{Column, Ring};
use protocols::Released;
use zeroize::Zeroizing;

/// Components of a value in the three-party scheme, and how many of them a party holds.
const COMPONENTS: (u8, usize) = (3, 2);

/// Bytes of a number of rows.
const SIZE: usize = 8;

/// Bytes of one party's release.
pub fn release_bytes(plan: &Plan, ground: &Ground) -> usize {
    head(plan) + bytes(&ground.parts(plan))
}

/// Those of released rows alone.
pub fn released_rows(plan: &Plan) -> usize {
    head(plan) + bytes(&Ground::row_parts(plan))
}

fn head(plan: &Plan) -> usize {
    SIZE * plan.disclosing().count()
}

fn bytes(parts: &[PartShape]) -> usize {
    parts.iter().map(|p| COMPONENTS.1 * (1 + p.ring.bytes(p.layout))).sum()
}

/// Refuses a release that is too long to be sealed.
///
/// # Errors
/// `E_TOO_LARGE`, with both figures.
pub fn admit(release: usize) -> Result<(), Refusal> {
    if release <= Sealed::MAX_RELEASE {
        return Ok(());
    }
    let reason = format!("the answer would be {release} bytes at each party, and at most {} are released", Sealed::MAX_RELEASE);
    Err(Refusal::new(Code::TooLarge, reason, "ask for fewer rows (LIMIT), groups or columns at a time"))
}

/// One party's release as bytes, ready to be sealed; wiped when dropped. The plan is the one that ran ([`Plan::sized`]). `None` if the parts are
/// not those of the three-party scheme.
pub fn encode(plan: &Plan, parts: &[Part]) -> Option<Zeroizing<Vec<u8>>> {
    // as long as it will be: a growing vector leaves copies of shares behind
    let mut out = Zeroizing::new(Vec::with_capacity(head(plan) + parts.iter().map(size).sum::<usize>()));
    plan.disclosing().for_each(|d| out.extend_from_slice(&d.places.to_le_bytes()));
    for part in parts {
        match part {
            Part::Bits(r) => put(&mut out, r)?,
            Part::Fp61(r) => put(&mut out, r)?,
            Part::Fp127(r) => put(&mut out, r)?,
        }
    }
    Some(out)
}

/// The plan on the numbers of rows that a release says were disclosed: `None` if these are none that could have been.
pub fn sized(bytes: &[u8], plan: &Plan) -> Option<Plan> {
    let sizes = bytes.get(..head(plan))?.chunks_exact(SIZE).map(|size| size.try_into().map(u64::from_le_bytes));
    plan.sized(&sizes.collect::<Result<Vec<_>, _>>().ok()?)
}

/// The inverse of [`encode`]: `None` if the bytes are not exactly one party's release of this plan.
pub fn decode(bytes: &[u8], plan: &Plan, ground: &Ground) -> Option<Vec<Part>> {
    if bytes.len() != release_bytes(plan, ground) {
        return None;
    }
    let (sizes, mut rest) = bytes.split_at_checked(head(plan))?;
    if !sizes.chunks_exact(SIZE).zip(plan.disclosing()).all(|(size, d)| *size == d.places.to_le_bytes()) {
        return None;
    }
    ground
        .parts(plan)
        .iter()
        .map(|shape| {
            Some(match shape.ring {
                InputRing::Bits => Part::Bits(take(&mut rest, shape)?),
                InputRing::Fp61 => Part::Fp61(take(&mut rest, shape)?),
                InputRing::Fp127 => Part::Fp127(take(&mut rest, shape)?),
            })
        })
        .collect()
}

fn size(part: &Part) -> usize {
    fn of<R: Ring>(released: &Released<R>) -> usize {
        released.components.iter().map(|(_, column)| 1 + column.layout().bytes::<R>()).sum()
    }
    match part {
        Part::Bits(r) => of(r),
        Part::Fp61(r) => of(r),
        Part::Fp127(r) => of(r),
    }
}

fn put<R: Ring>(out: &mut Vec<u8>, released: &Released<R>) -> Option<()> {
    if released.of != COMPONENTS.0 || released.components.len() != COMPONENTS.1 {
        return None;
    }
    for (index, column) in &released.components {
        out.push(*index);
        column.encode(out);
    }
    Some(())
}

fn take<R: Ring>(rest: &mut &[u8], shape: &PartShape) -> Option<Released<R>> {
    let mut components = Vec::with_capacity(COMPONENTS.1);
    for _ in 0..COMPONENTS.1 {
        let (index, after) = rest.split_first()?;
        let (column, after) = after.split_at_checked(shape.ring.bytes(shape.layout))?;
        *rest = after;
        let known = *index < COMPONENTS.0 && components.iter().all(|(i, _)| i != index);
        components.push((*index, Column::decode(column, shape.layout)?));
        if !known {
            return None;
        }
    }
    Some(Released { of: COMPONENTS.0, components })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::relation::{Operator, Relation};
    use crate::plan::{PLAN_VERSION, Source, Subplan};
    use datafusion::logical_expr::LogicalPlanBuilder;
    use ledger::contract::Sizes;
    use mpc_core::{B64, Fp61, Layout};

    #[test]
    fn the_bytes_of_a_release_are_reserved_at_once() {
        let (bits, sums) = (Layout::new(100, 3), Layout::new(7, 2));
        let parts = [
            Part::Bits(Released { of: 3, components: vec![(0, Column::<B64>::zeros(bits)), (1, Column::zeros(bits))] }),
            Part::Fp61(Released { of: 3, components: vec![(0, Column::<Fp61>::zeros(sums)), (1, Column::zeros(sums))] }),
        ];
        let plan = plan();
        let bytes = encode(&plan, &parts).expect("three-party parts");
        assert_eq!(bytes.len(), 16 + parts.iter().map(size).sum::<usize>());
        assert_eq!(bytes.len(), 16 + 4 + 2 * bits.bytes::<B64>() + 2 * sums.bytes::<Fp61>());
    }

    #[test]
    fn numbers_of_rows_are_read_back_if_they_can_be() {
        let ran = plan().sized(&[7, 80]).expect("numbers that can be");
        let bytes = encode(&ran, &[]).expect("three-party parts");
        let read = sized(&bytes, &plan()).expect("what was encoded");
        assert_eq!(read.relations.iter().map(|r| r.places).collect::<Vec<_>>(), [7, 100, 80]);
        assert_eq!(read.hash(), ran.hash());
        for (of, to) in [(0, 101), (0, 0), (8, 81), (8, 101)] {
            let mut wrong = bytes.to_vec();
            wrong[of] = to;
            assert!(sized(&wrong, &plan()).is_none(), "{of} {to}");
        }
        assert!(sized(&bytes[..15], &plan()).is_none() && sized(&[], &plan()).is_none());
    }

    /// Rows of three parties, of which two tell how many they are.
    fn plan() -> Plan {
        let nothing = || Subplan::new(LogicalPlanBuilder::empty(false).build().expect("a plan"));
        let home = |sizes| Relation {
            op: Operator::Home { source: Source::Party("a".into()), plan: nothing(), sizes },
            places: 100,
            full: false,
            columns: Vec::new(),
        };
        let (frames, scans, nodes, releases, rows, reveals) = Default::default();
        let relations = [Sizes::Exact, Sizes::Hidden, Sizes::Bucket].map(home).to_vec();
        Plan {
            version: PLAN_VERSION,
            parties: Vec::new(),
            frames,
            scans,
            nodes,
            releases,
            relations,
            rows,
            answer: nothing(),
            reveals,
            network: Default::default(),
            decided: Vec::new(),
            protection: None,
        }
    }
}
