//! Ctrl-C and a polite request to end, noticed wherever this process waits.

use crate::error::Error;
use std::future::Future;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, from when it is made: one that comes while the process is busy is noticed at the next wait.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens from now on; inside a runtime.
    ///
    /// # Errors
    /// The system does not let this process listen.
    pub fn new() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|e| Error::internal(format!("cannot listen for signals: {e}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Comes back when one has come.
    pub async fn come(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Does `work`, unless a signal comes first.
    ///
    /// # Errors
    /// Those of the work; [`Error::Cancelled`] if a signal came.
    pub async fn or<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.come() => Err(Error::Cancelled("stopped".into())),
            done = work => done,
        }
    }
}
