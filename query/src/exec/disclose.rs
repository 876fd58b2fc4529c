//! How many rows owners have, told to the other parties before rows are shared: where the catalogue allows it ([`Plan::disclosing`]).
//!
//! Numbers are shared and opened, like anything else that parties learn: two rounds, 61 bits a number each, from the owner to both and then from each to
//! its neighbour. All parties see the same numbers or the attempt ends; none is believed that the owner could not have disclosed.

use super::stranger;
use crate::exec::{Step, StepKind};
use crate::local::AtHome;
use crate::plan::Plan;
use crate::plan::sizes::Disclosing;
use mpc_core::{Abort, Column, Fp61, Layout, PartyId};
use protocols::{Engine, Input};

/// The step in which numbers of rows are told, if a plan has one: the first.
pub fn step(plan: &Plan) -> Option<Step> {
    let of: Vec<&str> = plan.disclosing().map(|d| d.owner).collect();
    let rows = of.len() as u64;
    let mut owners = of;
    owners.sort_unstable();
    owners.dedup();
    (rows > 0).then(|| Step {
        kind: StepKind::Disclose,
        name: "disclose".into(),
        what: format!("numbers of rows of {}", owners.join(", ")),
        rows,
    })
}

/// The places of all relations whose owners disclose them, for [`Plan::sized`]. `home` is what this node holds.
///
/// # Errors
/// Those of the engine; an owner told a number that cannot be.
pub fn disclose<E: Engine>(engine: &mut E, plan: &Plan, owner: &dyn Fn(&str) -> Option<PartyId>, home: &AtHome) -> Result<Vec<u64>, Abort> {
    let told = told(engine, plan, owner, home)?;
    match plan.disclosing().zip(&told).find(|(d, number)| d.said(**number) != **number) {
        None => Ok(told),
        Some((d, _)) => Err(Abort::Cheating { check: "an owner has at most the rows its plan has places for", culprit: owner(d.owner) }),
    }
}

/// What owners tell.
pub(crate) fn told<E: Engine>(
    engine: &mut E,
    plan: &Plan,
    owner: &dyn Fn(&str) -> Option<PartyId>,
    home: &AtHome,
) -> Result<Vec<u64>, Abort> {
    let all: Vec<Disclosing<'_>> = plan.disclosing().collect();
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mine = |d: &Disclosing<'_>| home.rows(d.id).map(|rows| Column::from_rows(vec![Fp61::from_i128(d.said(rows).into())]));
    let mine: Vec<Option<Column<Fp61>>> = all.iter().map(mine).collect();
    let mut inputs = Vec::with_capacity(all.len());
    for (d, mine) in all.iter().zip(&mine) {
        let owner = owner(d.owner).ok_or_else(|| stranger(d.owner))?;
        if engine.holds(owner) && mine.is_none() {
            return Err(Abort::Refused("this node's local stage did not yield the rows of the plan".into()));
        }
        inputs.push(Input { owner, layout: Layout::new(1, 1), values: mine.as_ref() });
    }
    let shares = engine.input(&inputs)?;
    let shares = engine.verify(shares.iter().collect::<Vec<_>>())?;
    Ok(engine.open_all(&shares)?.iter().map(|number| number.as_slice()[0].get()).collect())
}
