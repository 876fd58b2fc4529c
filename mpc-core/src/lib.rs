//! The core every protocol of Tacit stands on: rings and columns, pairwise randomness, transcripts, identities,
//! and the [`Session`] over which parties exchange rounds of messages. It knows neither sockets nor async code:
//! a [`link::Link`] carries frames, and `mpc-quic` offers one over QUIC.
//!
//! ```text
//! ring ── column ─┐
//! prss ── prf ────┼─ session ── round ── link (memory, fault, record, replay | mpc-quic)
//! transcript ── establish ─┘
//! ```

mod abort;
pub mod column;
pub mod establish;
pub mod file;
pub mod identity;
pub mod link;
#[cfg(all(test, target_os = "linux"))]
mod memory;
pub mod meter;
pub mod permutation;
pub mod prf;
pub mod prss;
pub mod ring;
pub mod roster;
pub mod round;
mod rows;
pub mod session;
pub mod stack;
pub mod transcript;
mod wire;
pub mod world;

pub use abort::Abort;
pub use column::{Column, Layout, index_bits};
pub use meter::Meter;
pub use permutation::Permutation;
pub use ring::{B64, Fp31, Fp61, Fp127, Index, Ring, Z64};
pub use rows::{Row8, Row32, Row64};
pub use session::Session;

/// A compute party's place in the roster, 0-based. It always comes from the roster (the pinned key of a connection),
/// never from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PartyId(pub u8);

impl PartyId {
    /// The party `by` places to the right in a ring of `parties`.
    pub fn right(self, by: u8, parties: u8) -> Self {
        PartyId((self.0 + by) % parties)
    }

    /// The position as an index.
    pub fn index(self) -> usize {
        self.0.into()
    }
}

impl std::fmt::Display for PartyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}
