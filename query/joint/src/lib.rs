//! The joint stage in the schemes that parties run, and in clear, compiled here once.
//!
//! `query` is generic over the engine, and every kernel it uses is compiled, optimised, where the engine is chosen. That is the longest part of
//! compiling a node, so it has a place of its own: what is around it (nodes, tests) changes more often and is quick to build.

use mpc_core::{Abort, PartyId};
use protocols::{Plain, Rep3};
use query::exec::disclose::disclose;
use query::exec::{Part, Program};
use query::local::{AtHome, Inputs};
use query::plan::Plan;

/// [`Program::run`] among three parties, semi-honest.
///
/// # Errors
/// As there.
pub fn rep3(
    program: &Program<'_>,
    engine: &mut Rep3,
    owner: &dyn Fn(&str) -> Option<PartyId>,
    inputs: &Inputs,
    progress: &mut dyn FnMut(&Rep3, usize),
) -> Result<Vec<Part>, Abort> {
    program.run(engine, owner, inputs, progress)
}

/// [`disclose`] among three parties, semi-honest.
///
/// # Errors
/// As there.
pub fn rep3_disclose(engine: &mut Rep3, plan: &Plan, owner: &dyn Fn(&str) -> Option<PartyId>, home: &AtHome) -> Result<Vec<u64>, Abort> {
    disclose(engine, plan, owner, home)
}

/// [`Program::run`] in clear: the oracle, with the noise of a seed.
///
/// # Errors
/// As there.
pub fn plain(program: &Program<'_>, seed: u64, owner: &dyn Fn(&str) -> Option<PartyId>, inputs: &Inputs) -> Result<Vec<Part>, Abort> {
    program.run(&mut Plain::seeded(seed), owner, inputs, &mut |_, _| ())
}
