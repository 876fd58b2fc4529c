//! The agency node: it keeps its data at home, checks them against the catalogue, judges every query for itself, and computes with its
//! peers so that only the planner learns the answer.
//!
//! ```text
//! config ─► source   every table checked and loaded, or none
//!           node     run(): a mesh of peers, a line to the coordinator, jobs until shutdown
//!           control  offers, starts and stops as the coordinator sends them
//!           offer    an offer judged: signature, roster, catalogue, time, replay, our own compilation, consent
//!           contracts  what the agencies allow, as it stands now
//!           attempts which attempts were begun, on disk
//!           job      one attempt: session, local stage, joint stage, release, on a thread of its own
//!           joblog   what it signs of a job for the city's log, and whether that lets an attempt begin
//!           ledger   witness and mirror of the city's log, and what this node wants to stand there
//!           snapshot what this node says there that its tables hold
//!           answers  this node's shares of the answers with noise that were given
//!           openings the words of the questions it takes part in, for audits
//!           difference  what was told of protected tables, that no two answers differ in too few entities
//!           exchange what the parties of a session tell each other in clear
//!           lock     what is released opens with all parts alone
//!           disk     files that a crash leaves whole or not there
//!           seal     what is released, readable by the planner alone
//!           observe  health and metrics · doctor   what is wrong before the node starts
//! ```

mod answers;
pub mod attempts;
mod budget;
pub mod config;
pub mod contracts;
mod control;
mod dealing;
pub mod difference;
pub mod disk;
pub mod doctor;
mod exchange;
mod job;
mod joblog;
pub mod ledger;
pub mod lock;
mod node;
pub mod observe;
pub mod offer;
pub mod openings;
pub mod seal;
pub mod snapshot;
pub mod source;

pub use config::Config;
pub use node::{NodeError, run};
