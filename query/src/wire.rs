//! The wire form of what a party releases: exact widths, every length known from the plan and the public rows before a byte is read.
//!
//! For each part in the order of [`Ground::parts`], for each component the party holds: its index (one byte), then the column.

use crate::exec::{InputRing, Part};
use crate::ground::{Ground, PartShape};
use crate::message::{Code, Refusal, Sealed};
use crate::plan::Plan;
use mpc_core::{Column, Ring};
use protocols::Released;
use zeroize::Zeroizing;

/// Components of a value in the three-party scheme, and how many of them a party holds.
const COMPONENTS: (u8, usize) = (3, 2);

/// Bytes of one party's release.
pub fn release_bytes(plan: &Plan, ground: &Ground) -> usize {
    bytes(&ground.parts(plan))
}

/// Those of released rows alone.
pub fn released_rows(plan: &Plan) -> usize {
    bytes(&Ground::row_parts(plan))
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

/// One party's release as bytes, ready to be sealed; wiped when dropped. `None` if the parts are not those of the three-party scheme.
pub fn encode(parts: &[Part]) -> Option<Zeroizing<Vec<u8>>> {
    // as long as it will be: a growing vector leaves copies of shares behind
    let mut out = Zeroizing::new(Vec::with_capacity(parts.iter().map(size).sum()));
    for part in parts {
        match part {
            Part::Bits(r) => put(&mut out, r)?,
            Part::Fp61(r) => put(&mut out, r)?,
            Part::Fp127(r) => put(&mut out, r)?,
        }
    }
    Some(out)
}

/// The inverse of [`encode`]: `None` if the bytes are not exactly one party's release of this plan.
pub fn decode(bytes: &[u8], plan: &Plan, ground: &Ground) -> Option<Vec<Part>> {
    if bytes.len() != release_bytes(plan, ground) {
        return None;
    }
    let mut rest = bytes;
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
    use mpc_core::{B64, Fp61, Layout};

    #[test]
    fn the_bytes_of_a_release_are_reserved_at_once() {
        let (bits, sums) = (Layout::new(100, 3), Layout::new(7, 2));
        let parts = [
            Part::Bits(Released { of: 3, components: vec![(0, Column::<B64>::zeros(bits)), (1, Column::zeros(bits))] }),
            Part::Fp61(Released { of: 3, components: vec![(0, Column::<Fp61>::zeros(sums)), (1, Column::zeros(sums))] }),
        ];
        let bytes = encode(&parts).expect("three-party parts");
        assert_eq!(bytes.len(), parts.iter().map(size).sum::<usize>());
        assert_eq!(bytes.len(), 4 + 2 * bits.bytes::<B64>() + 2 * sums.bytes::<Fp61>());
    }
}
