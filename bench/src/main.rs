//! What Tacit costs, measured: `micro` and `relational` (protocols and operators among three processes over QUIC), `cost` (the cost gate), `demo` (a whole
//! city), `governance` (contracts, the ledger, noise on what is released), `peers` (other systems on the same work), `nyc` and
//! `tpch` (New York and TPC-H through real nodes), `fuzz-sql` (random questions).

mod cost;
mod demo;
mod fuzz;
mod governance;
mod micro;
mod nodes;
mod nyc;
mod peers;
mod relational;
mod report;
mod tpch;
mod usage;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Benchmarks and the cost gate.
#[derive(Parser)]
#[command(
    name = "bench",
    version,
    after_help = "Examples:
  cargo run -p bench -- micro                          all works, as a table
  cargo run -p bench -- micro --json                   one JSON object a line
  cargo run -p bench -- micro --work lt64_1e6 -n 15    one work, fifteen repetitions
  cargo run -p bench -- network --json                 40 ms away, and under a flood, as ratios
  cargo run -p bench -- relational --json              sorts, groups and joins of private rows
  cargo run -p bench -- governance --json              contracts; appends, audits and jobs of the ledger; noise
  cargo run -p bench -- peers                          Tacit beside SPU, on the same work
  cargo run -p bench -- demo                           a whole city, from started processes to the last answer
  cargo run -p bench -- nyc                            the questions of New York through real nodes
  cargo run -p bench -- tpch --scale 0.01              TPC-H through real nodes
  cargo run -p bench -- fuzz-sql --queries 10000       random questions, compared with DataFusion
  cargo run -p bench -- cost                           metered cost = formulas = model?"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Protocols among three processes on this machine's loopback, and the demo
    Micro(micro::Args),
    /// What a network does to a session: 40 ms of round trip under either profile, and a flood of junk
    Network(micro::network::Args),
    /// Sorts, groups and joins of private rows among three processes on this machine's loopback
    Relational(relational::Args),
    /// Contracts, differences of answers; the ledger: appends, an audit of 10^5 entries, what a job adds; and noise on what is released
    Governance(governance::Args),
    /// Tacit and SPU in turn on the same work, three processes on loopback each
    Peers(peers::Args),
    /// A whole city: `tacit demo`, from started processes to the last answer
    Demo(demo::Args),
    /// The questions of the New York pack through real nodes: a coordinator and three agencies on loopback
    Nyc(nyc::Args),
    /// TPC-H through real nodes: three agencies and a coordinator on loopback
    Tpch(tpch::Args),
    /// Random questions, each compared with DataFusion on the pooled tables
    FuzzSql(fuzz::Args),
    /// The cost gate: every operation's metered bits and rounds equal the formulas and the model's figures
    Cost(cost::Args),
    /// One party of `micro` and `relational`; started by them
    #[command(hide = true)]
    Party,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Micro(args) => micro::run(&args),
        Command::Network(args) => micro::network::run(&args),
        Command::Relational(args) => relational::run(&args),
        Command::Governance(args) => governance::run(&args),
        Command::Peers(args) => peers::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Nyc(args) => nyc::run(&args),
        Command::Tpch(args) => tpch::run(&args),
        Command::FuzzSql(args) => fuzz::run(&args),
        Command::Cost(args) => cost::run(&args),
        Command::Party => micro::party::run().map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // a limit is exceeded or a figure differs: said already
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            report::error(&error);
            ExitCode::from(2)
        }
    }
}
