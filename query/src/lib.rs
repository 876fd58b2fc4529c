//! From SQL to a closed, hashed [`Plan`](plan::Plan), and its execution on any engine.

pub use datafusion;

pub mod catalog;
pub mod citylog;
pub mod compile;
pub mod consent;
pub mod dealing;
pub mod difference;
pub mod exec;
pub mod explain;
pub mod finish;
pub mod ground;
pub mod joblog;
pub mod local;
pub mod message;
pub mod moments;
pub mod network;
pub mod oracle;
pub mod percentile;
pub mod plan;
pub mod protection;
mod rules;
pub mod size;
pub mod trace;
pub mod wire;
