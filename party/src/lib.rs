//! The agency node.

pub mod attempts;
pub mod config;
pub mod observe;
pub mod offer;
pub mod seal;
pub mod source;
