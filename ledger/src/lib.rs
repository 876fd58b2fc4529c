//! What is written down and signed, and the log it stands in.
//!
//! Everything a planner or a node states that another must be able to check later is a signed note over canonical JSON
//! ([`note`], [`entry`]): text a person can read, that any tool knowing the format can verify.
//!
//! ```text
//! tacit/accept/v1
//! {"attempt":1,"job":"5f0c…","plan_hash":"9b1d…"}
//!
//! — transport x08go/ZJkuBS9UG…=
//! ```
//!
//! What must stand for all to see is an entry in one Merkle log. A [`sequencer`] orders it, every agency is its [`cosigner`],
//! and who has its files can [`audit`] it. No clock, no network and no key of its own are in this room: times, bodies and signers
//! are handed in. The formats and what they prove are in docs/ledger.md.

pub mod audit;
mod batch;
pub mod budget;
pub mod bytes;
pub mod checkpoint;
pub mod code;
pub mod contract;
pub mod cosigner;
mod disk;
mod edge;
pub mod entry;
pub mod evidence;
pub mod gate;
pub mod json;
pub mod key;
pub mod note;
pub mod policy;
pub mod receipt;
pub mod replay;
pub mod sequencer;
pub mod signed;
pub mod store;
#[cfg(test)]
mod testing;
pub mod tile;
pub mod tree;
pub mod wire;
