//! Contracts as people handle them.
//!
//! ```text
//! document  a file: a draft, or a signed note
//! words     what it allows, for people
//! changes   what another version widens and narrows
//! odrl      what it says as an ODRL policy
//! receipt   what it says for those who answer for the data
//! standing  contracts that this program writes by itself
//! ```

pub mod changes;
pub mod document;
pub mod odrl;
pub mod receipt;
pub(crate) mod standing;
pub mod words;

pub use document::{Document, Signed, State};
