//! What lies between the parties, as the catalogue declares it.
//!
//! Which of several ways a question goes depends on it, and all parties have to go the same: so it is public, one for all, pinned with the catalogue's hash, and a
//! part of every plan. It is a declaration, and not a measurement: what each node measured would differ.

use serde::Serialize;
use std::fmt;

/// The slowest that a party can send, and the longest way there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Megabits a second that each party can send.
    bandwidth_mbit: u64,
    /// Microseconds there and back.
    round_trip_us: u64,
}

/// What may be declared: more is a slip of the pen.
const MBIT: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const MICROS: std::ops::RangeInclusive<u64> = 1..=10_000_000;

impl Default for Network {
    /// One data centre.
    fn default() -> Self {
        Network { bandwidth_mbit: 1000, round_trip_us: 500 }
    }
}

impl Network {
    /// A network of so many Mbit/s and milliseconds, each as [by default](Network::default) if it is not given.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn new(bandwidth_mbit: Option<i64>, round_trip_ms: Option<f64>) -> Result<Self, String> {
        let mut network = Network::default();
        if let Some(mbit) = bandwidth_mbit {
            let fits = u64::try_from(mbit).ok().filter(|mbit| MBIT.contains(mbit));
            network.bandwidth_mbit = fits.ok_or_else(|| {
                format!(
                    "[network]: bandwidth_mbit = {mbit} cannot be: write the Mbit/s that each party can send, from {} to {}",
                    MBIT.start(),
                    MBIT.end()
                )
            })?;
        }
        if let Some(ms) = round_trip_ms {
            let micros = (ms * 1e3).round();
            // what is no number fits nowhere
            let fits = (micros >= *MICROS.start() as f64 && micros <= *MICROS.end() as f64).then_some(micros as u64);
            network.round_trip_us = fits.ok_or_else(|| {
                format!("[network]: round_trip_ms = {ms} cannot be: write the milliseconds there and back between two parties, from 0.001 to 10000")
            })?;
        }
        Ok(network)
    }

    /// As the cost model takes it.
    pub(crate) fn model(&self) -> protocols::relational::Network {
        protocols::relational::Network { bandwidth: self.bandwidth_mbit as f64 * 1e6, round_trip: self.round_trip_us as f64 / 1e6 }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bandwidth_mbit {
            mbit @ ..1000 => write!(f, "{mbit} Mbit/s")?,
            mbit => write!(f, "{} Gbit/s", mbit as f64 / 1e3)?,
        }
        write!(f, " from each party, {} ms there and back", self.round_trip_us as f64 / 1e3)
    }
}
