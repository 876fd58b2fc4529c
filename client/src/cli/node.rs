//! `tacit party` and `tacit coordinator`: the long-running nodes.

use super::{Done, LogFormat, runtime};
use crate::error::Error;
use crate::signals::Signals;
use clap::Args;
use std::fmt::Display;
use std::io::Read;
use std::path::PathBuf;
use std::pin::Pin;
use tracing_subscriber::EnvFilter;

/// Run an agency's node beside its own data
#[derive(Debug, Args)]
#[command(after_long_help = PARTY_HELP)]
pub(super) struct NodeArgs {
    /// The node's configuration, party.toml
    #[arg(long, value_name = "FILE", env = "TACIT_PARTY_CONFIG")]
    config: PathBuf,
    #[command(flatten)]
    service: ServiceArgs,
}

const PARTY_HELP: &str = "Examples:
  tacit party --config transport/party.toml
  tacit doctor transport/party.toml                 checks everything before the first start
  TACIT_LOG=debug tacit party --config party.toml --log json

Data are loaded and checked at the start; a bad cell is named by file, line and column. The node listens for its peers
on its roster address (QUIC, UDP) and dials the coordinator itself. SIGTERM or Ctrl-C ends it cleanly. No value, share
or key is ever logged.";

/// Run the city's coordinator: schedules jobs, keeps sealed results, sees no data
#[derive(Debug, Args)]
#[command(after_long_help = COORDINATOR_HELP)]
pub(super) struct CoordinatorArgs {
    /// The coordinator's configuration, coordinator.toml
    #[arg(long, value_name = "FILE", env = "TACIT_COORDINATOR_CONFIG")]
    config: PathBuf,
    #[command(flatten)]
    service: ServiceArgs,
}

const COORDINATOR_HELP: &str = "Examples:
  tacit coordinator --config coordinator/coordinator.toml
  tacit doctor coordinator/coordinator.toml         checks everything before the first start
  TACIT_LOG=debug tacit coordinator --config coordinator.toml --log json

It listens for parties (QUIC, UDP) and planners (HTTP) at its roster addresses. Its job queue survives a restart.
SIGTERM or Ctrl-C ends it cleanly.";

#[derive(Debug, Clone, Args)]
struct ServiceArgs {
    /// How the log is written, on standard error; TACIT_LOG=debug says more
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    log: LogFormat,
    /// Ends when standard input does: for a parent process that must not leave it behind
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

pub(super) fn party(args: NodeArgs) -> Done {
    serve(&args.service, || party::Config::load(&args.config), party::run)
}

pub(super) fn coordinator(args: CoordinatorArgs) -> Done {
    serve(&args.service, || coordinator::Config::load(&args.config), coordinator::run)
}

/// Runs a node until it is asked to end.
fn serve<C, L: Display, E: Display, R: Future<Output = Result<(), E>>>(
    service: &ServiceArgs,
    load: impl FnOnce() -> Result<C, L>,
    run: impl FnOnce(C, Shutdown) -> R,
) -> Done {
    start_log(service.log)?;
    let config = load().map_err(|e| Error::config(e.to_string()))?;
    runtime()?.block_on(async {
        let shutdown = shutdown(service.until_stdin_closes)?;
        run(config, shutdown).await.map_err(|e| Error::config(e.to_string()))
    })?;
    Ok(())
}

type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Comes when the node is asked to end.
fn shutdown(until_stdin_closes: bool) -> Result<Shutdown, Error> {
    let mut signals = Signals::new()?;
    let closed = until_stdin_closes.then(|| {
        let (say, hear) = tokio::sync::oneshot::channel::<()>();
        // A thread of its own: a read of standard input cannot be given up, and must not hold the runtime back.
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while matches!(std::io::stdin().read(&mut buffer), Ok(n) if n > 0) {}
            say.send(()).ok();
        });
        hear
    });
    Ok(Box::pin(async move {
        match closed {
            None => signals.come().await,
            Some(closed) => {
                tokio::select! {
                    () = signals.come() => {}
                    _ = closed => {}
                }
            }
        }
    }))
}

fn start_log(format: LogFormat) -> Result<(), Error> {
    let filter = match std::env::var("TACIT_LOG") {
        Ok(text) if !text.is_empty() => {
            text.parse::<EnvFilter>().map_err(|e| Error::config(format!("TACIT_LOG: {e}; use such as `info` or `party=debug`")))?
        }
        _ => EnvFilter::new("warn,client=info,party=info,coordinator=info,mpc_quic=info"),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log that cannot be written, on a full disk say, ends nothing: to complain of it there would.
    let log = log.log_internal_errors(false);
    // A log that somebody else has set up (a test) stays.
    match format {
        LogFormat::Text => log.with_ansi(super::on_terminal()).try_init().ok(),
        LogFormat::Json => log.json().try_init().ok(),
    };
    Ok(())
}
