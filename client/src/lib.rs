//! The planner's side of Tacit, as a library and as the `tacit` command.
//!
//! [`client::Client`] compiles a question, signs it, submits it, follows the job, and opens the answer. The way to the
//! coordinator is plain HTTP, because the coordinator is not trusted with anything that TLS would keep from others: the
//! query is signed, each party verifies and compiles it by itself, and the result comes back as three notes, signed by the
//! parties of the planner's *own* roster and sealed to a key that was made for this one query and never leaves this
//! process. A coordinator (or anyone on the way) can drop or delay a question; it cannot change it, read its answer or
//! make another one up. The text of the question is not secret: every party reads it.
//!
//! ```text
//! cli ── demo ── city (child processes)
//!   └─── client ── http ── coordinator
//!          └─ result: verify, open, finish
//! ```

pub mod audit;
mod caret;
pub mod city;
pub mod cli;
pub mod client;
mod clock;
pub mod config;
pub mod contract;
pub mod demo;
pub mod doctor;
pub mod error;
mod founding;
pub mod http;
pub mod init;
mod joblog;
pub mod pooled;
mod progress;
pub mod render;
pub mod result;
mod signals;

pub use client::{Ask, Client};
pub use error::Error;
pub use joblog::Logged;
pub use result::Answer;
