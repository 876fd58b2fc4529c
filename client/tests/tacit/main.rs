//! The `tacit` binary as people use it: the command line, a running city, what goes wrong in it, a coordinator that lies,
//! and real records. One test program, so that it is linked once.

mod audit;
mod budgets;
mod canary;
mod citylog;
mod command;
mod contract;
mod crash;
mod demo;
mod difference;
mod failures;
mod fixture;
mod full;
mod handover;
mod ledger;
mod liar;
mod log;
mod members;
mod noise;
mod openings;
mod questions;
mod readme;
mod real;
mod relay;
mod signals;
