//! Existence bits: whether a bit is 1 in any row of a group. A tree of ORs over the rows of each group, all groups and all openings of
//! a release side by side; as many ORs as there are rows, less one for each group.

use super::{Known, Run, share_of};
use crate::plan::Opening;
use mpc_core::{Abort, B64, Column};
use protocols::{Engine, Share, stack};

impl<E: Engine> Run<'_, E> {
    /// The existence bits of a release: a plane for each of its bit openings, a row for each public group.
    pub(super) fn exists(&self, engine: &mut E, release: usize) -> Result<E::Share<B64>, Abort> {
        let groups = self.ground().groups(release);
        let rows: Rows = groups.members();
        let openings = self.plan().releases[release].cells.iter().flat_map(|c| &c.openings);
        let nodes: Vec<_> = openings.filter_map(|o| if let Opening::Any(node) = o { Some(self.bit(*node)) } else { None }).collect();
        if nodes.iter().all(|n| matches!(n, Known::Public(_))) {
            let clear: Vec<_> = nodes
                .into_iter()
                .filter_map(|n| if let Known::Public(c) = n { Some(c) } else { None })
                .map(|c| {
                    let any: Vec<bool> = rows.iter().map(|rows| rows.iter().any(|r| c.bit(*r, 0))).collect();
                    engine.constant(&Column::from_bools(&any))
                })
                .collect();
            return Ok(stack(&clear));
        }
        let planes: Vec<_> = nodes.into_iter().map(|n| share_of(engine, n)).collect();
        any(engine, stack(&planes), rows)
    }
}

type Rows = Vec<Vec<usize>>;

/// The OR of the rows of each group, one row a group; an empty group gives 0.
fn any<E: Engine>(engine: &mut E, mut bits: E::Share<B64>, mut groups: Rows) -> Result<E::Share<B64>, Abort> {
    while groups.iter().any(|rows| rows.len() > 1) {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        // the next rows: either the OR of a pair, or a row that has no partner
        let (mut paired, mut single) = (Vec::new(), Vec::new());
        for rows in &mut groups {
            *rows = rows
                .chunks(2)
                .map(|pair| {
                    match pair {
                        [a, b] => {
                            paired.push(Some(left.len()));
                            single.push(None);
                            left.push(Some(*a));
                            right.push(Some(*b));
                        }
                        rest => {
                            paired.push(None);
                            single.push(Some(rest[0]));
                        }
                    }
                    paired.len() - 1
                })
                .collect();
        }
        let (x, y) = (bits.gather(&left), bits.gather(&right));
        let or = engine.mul(&x, &y)?.add(&x).add(&y);
        bits = or.gather(&paired).add(&bits.gather(&single));
    }
    let last: Vec<Option<usize>> = groups.iter().map(|rows| rows.first().copied()).collect();
    Ok(bits.gather(&last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::Plain;

    #[test]
    fn any_is_or_over_every_group() {
        let mut e = Plain::new();
        let a: Vec<bool> = (0..70).map(|r| r % 13 == 5).collect();
        let b: Vec<bool> = (0..70).map(|r| r == 69).collect();
        let groups: Rows = vec![(0..5).collect(), vec![], vec![5], (6..18).collect(), vec![18, 69], (19..69).collect()];
        let bits = Column::stack(&[&Column::from_bools(&a), &Column::from_bools(&b)]);
        let out = any(&mut e, bits, groups.clone()).expect("the clear engine does not abort");
        assert_eq!(out.layout(), mpc_core::Layout::new(groups.len(), 2));
        for (plane, values) in [(0, &a), (1, &b)] {
            let want: Vec<bool> = groups.iter().map(|g| g.iter().any(|r| values[*r])).collect();
            assert_eq!(out.to_bools(plane), want);
        }
    }
}
