//! The agency node.

pub mod config;
pub mod seal;
pub mod source;
