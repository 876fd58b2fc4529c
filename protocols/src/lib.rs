//! Sharing schemes, the circuits over them, and operators: over bare columns ([`relational`]), and over rows as queries have them ([`rows`]).
//!
//! A protocol is written once, over [`Engine`], and runs in every scheme: [`Plain`] is the executable specification and the
//! oracle of every test, [`Rep3`] shares among three parties of which one may be corrupt, [`Estimate`] computes nothing
//! and prices everything.

pub mod circuit;
pub mod cost;
mod engine;
mod estimate;
pub mod gate;
pub mod graph;
mod plain;
mod planes;
pub mod privacy;
pub mod relational;
mod rep3;
mod retrieve;
pub mod rows;
mod store;
mod table;
mod wire;
pub mod world;

pub use mpc_core::Abort;

pub use cost::{Cost, Estimate};
pub use engine::{Difference, Engine, Input, Opened, Pair, Ranked, Released, Security, Share, Verified, stack};
pub use plain::Plain;
pub use rep3::{Ahead, DEALING, Dealing, Rep3, Rep3Share, Said};
pub use retrieve::{Ask, KeySet, KeyWords, Offer, Offered, Payload, Retrieved};
pub use table::{Cell, Message, Table};
pub use wire::{Gate, Wire};
