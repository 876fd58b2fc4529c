//! From SQL to a closed, hashed [`Plan`](plan::Plan), and its execution on any engine.

pub use datafusion;

pub mod catalog;
pub mod message;
pub mod plan;
