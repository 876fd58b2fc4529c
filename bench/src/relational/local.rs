//! What the cost model takes as local work, measured: each way to sort is run by three parties, and then by each of them alone against a recording of what it received, so that
//! what is counted is the CPU time of one party's own work, however busy the machine is.

use crate::usage;
use anyhow::{Result, anyhow};
use mpc_core::world::World;
use mpc_core::{Layout, PartyId, Session};
use protocols::relational::{Choice, Network, Sorting, choices, sort_places, sort_work};
use protocols::{Engine, Message, Rep3};
use std::time::Duration;

/// Rows and bits of a key.
const SIZES: [(usize, usize); 3] = [(100_000, 64), (1_000_000, 32), (1_000_000, 64)];

/// Prints each way's seconds beside the model's; `false` if the model picks one that is not the quickest of those measured, on loopback, by more than a tenth.
#[allow(clippy::print_stdout, reason = "a table")]
pub fn run() -> Result<bool> {
    let mut ok = true;
    for (rows, key) in SIZES {
        println!("{rows} rows, keys of {key} bits: local CPU-s of a party, as the model has it, with the network of loopback");
        let mut totals = Vec::new();
        for Choice { sorting, cost, seconds } in choices(rows, key, Message::default(), Network::LOOPBACK) {
            let local = alone(rows, key, sorting)?;
            let total = local + Network::LOOPBACK.seconds(&cost);
            println!("  {local:7.3} {:7.3} {total:7.3} {seconds:7.3}  {sorting}", sort_work(rows, key, sorting));
            totals.push(total);
        }
        // the model's pick is the first
        let quickest = totals.iter().copied().fold(f64::INFINITY, f64::min);
        ok &= totals.first().is_some_and(|picked| *picked <= 1.1 * quickest);
    }
    Ok(ok)
}

/// CPU-seconds of the party that works most.
fn alone(rows: usize, key: usize, sorting: Sorting) -> Result<f64> {
    let run = |session: Session| {
        let mut engine = Rep3::new(session);
        let keys = engine.random_bits(Layout::new(rows, key))?;
        let before = usage::cpu();
        sort_places(&mut engine, keys, sorting)?;
        Ok((before, usage::cpu()))
    };
    let world = World::new(3, 1).timeout(Duration::from_mins(5));
    let mut most: f64 = 0.0;
    for (party, outcome) in (0..3).map(PartyId).zip(world.run(run)) {
        let failed = |e| anyhow!("{sorting}: {e}");
        let _ = outcome.result.map_err(failed)?;
        let (before, after) = world.run_alone(party, outcome.view, run).map_err(failed)?;
        most = most.max((after? - before?).as_secs_f64());
    }
    Ok(most)
}
