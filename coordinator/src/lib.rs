//! The coordinator: takes signed queries from planners over HTTP, puts them to the three parties over QUIC, and keeps the
//! sealed results until they are fetched or expire.
//!
//! It is trusted for nothing but staying up. Every note it passes on is verified again by whoever acts on it; it never
//! holds a share, a key of the result or an open result, and what it stores (queries, states, sealed results) is what
//! anyone on the wire could keep as well.
//!
//! ```text
//! planners ──HTTP/JSON──► api ──► scheduler (one thread, owns all state) ◄──frames── parties (QUIC, they dial)
//!                          ▲            │
//!                          │└── events ◄─┴─► store (redb)                                    │
//!                          └──────────► ledger (one thread, owns the city's log) ◄──frames──────┘
//! ```

mod api;
mod clock;
mod config;
mod control;
mod events;
mod handle;
mod ledger;
mod listener;
mod scheduler;
mod service;
mod store;
#[cfg(test)]
mod testing;

pub use config::{Config, ConfigError, Deadlines, LedgerConfig, Limits, Profile};
pub use service::{Coordinator, Error, run};
