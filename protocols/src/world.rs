//! One line tests a protocol: [`check`] runs it in every scheme, compares, and holds it to its estimated cost.

use crate::{Abort, Cost, Engine, Estimate, Plain, Rep3};
use mpc_core::world::World;
use std::fmt::Debug;

/// A protocol as tests run it: from inputs to opened values. It must behave the same at every party; what one party alone knows it asks the
/// engine for ([`Engine::holds`]).
pub trait Protocol: Sync {
    /// What it opens to everyone.
    type Output: PartialEq + Debug + Send;

    /// Runs it.
    fn run<E: Engine>(&self, engine: &mut E) -> Result<Self::Output, Abort>;
}

/// Runs `protocol` in [`Plain`] and, among three parties in memory, in [`Rep3`]; returns what Plain opened.
///
/// This is the one line a new protocol needs as a test:
///
/// ```
/// use mpc_core::{Column, Fp61, Layout, PartyId};
/// use protocols::world::{Protocol, check};
/// use protocols::{Abort, Engine, Input};
///
/// struct Square(u64);
///
/// impl Protocol for Square {
///     type Output = u64;
///     fn run<E: Engine>(&self, e: &mut E) -> Result<u64, Abort> {
///         let (owner, values) = (PartyId(1), Column::from_rows(vec![Fp61::new(self.0)]));
///         let mine = e.holds(owner).then_some(&values);
///         let x = e.input(&[Input::new(owner, Layout::new(1, 1), mine)])?.remove(0);
///         let xx = e.mul(&x, &x)?;
///         let xx = e.verify(xx)?;
///         Ok(e.open(&xx)?.as_slice()[0].get())
///     }
/// }
///
/// assert_eq!(check(&Square(12)), 144);
/// ```
///
/// # Panics
/// If any party's result differs from Plain's, if the run fails, if the metered bits, bytes or rounds differ from what
/// [`Estimate`] says of the same code, or if a pairwise random value is used twice.
pub fn check<P: Protocol>(protocol: &P) -> P::Output {
    check_seeded(protocol, 1)
}

/// [`check`] with other randomness.
pub fn check_seeded<P: Protocol>(protocol: &P, seed: u64) -> P::Output {
    let expected = protocol.run(&mut Plain::new()).unwrap_or_else(|e| panic!("in clear: {e}"));
    let (results, metered) = metered(protocol, seed);
    for (p, result) in results.iter().enumerate() {
        assert_eq!(*result, expected, "party {p} differs from the run in clear");
    }
    assert_eq!(metered, estimated(protocol), "metered and estimated cost");
    expected
}

/// What [`Estimate`] says of `protocol`.
///
/// # Panics
/// If the protocol fails.
pub fn estimated<P: Protocol>(protocol: &P) -> Cost {
    let mut estimate = Estimate::new();
    protocol.run(&mut estimate).unwrap_or_else(|e| panic!("estimated: {e}"));
    estimate.cost()
}

/// Runs `protocol` in [`Rep3`] among three parties in memory: what each opened, and what their meters say.
///
/// # Panics
/// If the protocol fails, or if the parties count different rounds.
pub fn metered<P: Protocol>(protocol: &P, seed: u64) -> (Vec<P::Output>, Cost) {
    let (results, meters): (Vec<_>, Vec<_>) =
        World::new(3, seed).run_ok(|session| protocol.run(&mut Rep3::new(session))).into_iter().unzip();
    assert!(meters.iter().all(|m| m.rounds == meters[0].rounds), "all parties run the same rounds");
    let cost =
        Cost { bits: std::array::from_fn(|p| meters[p].bits), bytes: std::array::from_fn(|p| meters[p].bytes), rounds: meters[0].rounds };
    (results, cost)
}
