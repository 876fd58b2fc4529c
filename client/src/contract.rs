//! Contracts that this program writes by itself.

pub(crate) mod standing;
