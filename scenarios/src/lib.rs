//! The city that Tacit is tried on: its data, its public catalogue, the questions asked of it.
//!
//! * [`generate`] writes a small invented city with the schema and layout of the real data pack;
//! * [`City`] opens such a folder (real or invented): it says which file is which agency's table, derives the public tables
//!   and writes the catalogue that all nodes share;
//! * [`questions`] are the SQL questions, each with who holds what;
//! * [`pairs`] are questions of which two together tell more than each, and which nodes therefore refuse;
//! * [`allowed`] is what the agencies' contracts allow to be asked;
//! * [`shared_data`] finds the real data pack, where there is one;
//! * [`tpch`] is the field's benchmark, dealt out to three agencies.
//!
//! Nothing here depends on another crate of the workspace, so that every one of them can use it.

mod calendar;
mod catalog;
mod city;
mod consent;
mod error;
mod layout;
mod pairs;
mod public;
mod questions;
mod shared;
pub mod tpch;

pub use city::{DEMO_SEED, generate};
pub use consent::{Allowed, allowed};
pub use error::DataError;
pub use layout::{City, Format, PARTIES, Source};
pub use pairs::{Pair, pairs};
pub use questions::{Question, demo, question, questions, real, records, refused};
pub use shared::shared_data;
