//! The command line of `tacit`: what can be said, and which exit code it ends in. Each command is a function in a file
//! of this folder.

mod ask;
mod audit;
mod contract;
mod ledger;
mod look;
mod node;
mod setup;

use crate::config::{self, VARIABLE};
use crate::demo;
use crate::error::Error;
use crate::render;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use mpc_core::file::Kind;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the command line `args` (the program's name first) and says how it ended.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            let usage = e.use_stderr();
            e.print().ok();
            return ExitCode::from(if usage { 2 } else { 0 });
        }
    };
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(End::Quiet(code)) => ExitCode::from(code),
        Err(End::Error(error)) => {
            let mut err = std::io::stderr().lock();
            // text of other nodes may be in it
            writeln!(err, "tacit: {}", render::plain(&error.to_string())).ok();
            ExitCode::from(error.exit_code())
        }
    }
}

/// How a command ends when it does not end well.
pub(crate) enum End {
    /// With an error to show.
    Error(Error),
    /// Everything has been said; only the code is left.
    Quiet(u8),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        End::Error(error)
    }
}

pub(crate) type Done = Result<(), End>;

/// Ask one question across agencies whose data stay at home.
///
/// Each agency runs a party node beside its own data; a coordinator schedules; planners ask in SQL. The answer comes
/// out and nothing else does.
#[derive(Debug, Parser)]
#[command(name = "tacit", version, about, after_long_help = HELP, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "Examples:
  tacit demo                                   a whole city on this machine, in seconds
  tacit init city --parties transport,energy,health
  tacit doctor city/planning-office/planner.toml
  tacit query \"SELECT COUNT(*) FROM transport.green_trips\"
  tacit explain -f question.sql
  tacit query -f question.sql --format csv --output answer.csv

Exit codes:
  0  done
  1  the query or job failed, or a check did (doctor, demo, contract, ledger, audit)
  2  wrong usage or configuration
  3  refused: by a party, or by the coordinator
  4  no connection
  130  cancelled with Ctrl-C";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Init(setup::InitArgs),
    Key(setup::KeyArgs),
    Party(node::NodeArgs),
    Coordinator(node::CoordinatorArgs),
    Query(ask::QueryArgs),
    Explain(ask::ExplainArgs),
    Catalog(look::CatalogArgs),
    Jobs(ask::JobsArgs),
    Doctor(look::DoctorArgs),
    Contract(contract::ContractArgs),
    Ledger(ledger::LedgerArgs),
    Audit(audit::AuditArgs),
}

impl Command {
    fn run(self) -> Done {
        match self {
            Command::Demo(args) => demo::run(args),
            Command::Init(args) => setup::init(args),
            Command::Key(args) => setup::key(args),
            Command::Party(args) => node::party(args),
            Command::Coordinator(args) => node::coordinator(args),
            Command::Query(args) => ask::query(args),
            Command::Explain(args) => ask::explain(args),
            Command::Catalog(args) => look::catalog(args),
            Command::Jobs(args) => ask::jobs(args),
            Command::Doctor(args) => look::doctor(args),
            Command::Contract(args) => contract::contract(args),
            Command::Ledger(args) => ledger::ledger(args),
            Command::Audit(args) => audit::audit(&args),
        }
    }
}

/// Where the planner's configuration is.
#[derive(Debug, Clone, Args)]
struct PlannerArgs {
    /// The planner's configuration; if left out ./planner.toml, then ~/.config/tacit/planner.toml
    // What is empty is judged where the file is looked for: of a variable it means none.
    #[arg(long, value_name = "FILE", env = VARIABLE, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    config: Option<PathBuf>,
}

/// Where the SQL comes from.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct SqlArgs {
    /// The question in SQL; `-` reads it from standard input
    #[arg(value_name = "SQL")]
    sql: Option<String>,
    /// Reads the question from a file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// How a node writes its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl SqlArgs {
    fn read(&self) -> Result<String, Error> {
        let text = match (&self.file, self.sql.as_deref()) {
            (Some(path), _) => config::read(path, Kind::Question)?,
            (None, Some("-")) => std::io::read_to_string(std::io::stdin()).map_err(|e| Error::config(format!("standard input: {e}")))?,
            (None, sql) => sql.unwrap_or_default().to_owned(),
        };
        if text.trim().is_empty() {
            return Err(Error::config("the question is empty; give SQL as an argument, with -f FILE, or `-` for standard input"));
        }
        Ok(text)
    }
}

/// Writes to standard output; a reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::Failed(format!("standard output: {e}"))),
        _ => Ok(()),
    }
}

/// Whether there is a person at the other end of standard error.
pub(crate) fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// A runtime for the planner's side: one thread, it only waits for the network.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Error::internal(format!("cannot start the runtime: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_examples() {
        Cli::command().debug_assert();
        let root = Cli::command();
        let below = ["ledger", "contract", "hand-over"]
            .iter()
            .filter_map(|name| root.find_subcommand(name).or_else(|| root.find_subcommand("ledger")?.find_subcommand(name)));
        let below: Vec<_> = below.flat_map(|command| command.get_subcommands().cloned()).collect();
        assert_eq!(below.len(), 9 + 7 + 2);
        for command in root.get_subcommands().chain(&below) {
            let help = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", command.get_name());
        }
    }
}
