//! What is written down and signed: notes in the C2SP signed-note format over canonical JSON.
//!
//! Everything a planner or a node states that another must be able to check later (a query, an acceptance, a sealed
//! share of a result) is one signed note: text a person can read, that any tool knowing the format can verify, and of
//! which there is exactly one spelling.
//!
//! ```text
//! tacit/accept/v1
//! {"attempt":1,"job":"5f0c…","plan_hash":"9b1d…"}
//!
//! — transport x08go/ZJkuBS9UG…=
//! ```

pub mod audit;
pub mod bytes;
pub mod checkpoint;
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
