//! The line to the coordinator: dialled again whenever it ends.

use super::Jobs;
use ledger::bytes::Hash;
use mpc_quic::quinn::{Connection, RecvStream, VarInt};
use mpc_quic::{Backoff, DialError, Endpoint};
use query::message::frame::{self, FromParty, Ready};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The task that keeps the line to the coordinator.
pub(crate) struct Control {
    task: JoinHandle<()>,
    jobs: Jobs,
}

impl Control {
    pub fn start(line: Endpoint, jobs: Jobs) -> Self {
        Self { task: tokio::spawn(keep(line, jobs.clone())), jobs }
    }

    /// Ends the line, after what waits has been sent if that is possible.
    pub async fn close(self, grace: Duration) {
        let outbox = &self.jobs.0.outbox;
        let emptied = async {
            while outbox.is_sending() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // What cannot be sent in time is lost; the coordinator then knows that this node is gone.
        let _ = tokio::time::timeout(grace, emptied).await;
        self.task.abort();
        let _ = self.task.await;
    }
}

/// A connection that lasted as long is no reason to wait before the next.
const LASTED: Duration = Duration::from_secs(5);
/// The close code of a breach of protocol.
const PROTOCOL: VarInt = VarInt::from_u32(3);

async fn keep(line: Endpoint, jobs: Jobs) {
    let desk = jobs.0.desk.clone();
    let coordinator = desk.grounds.roster().coordinator().name.clone();
    let mut backoff = Backoff::default();
    loop {
        let mut last = None;
        let failed = |error: &DialError, _| {
            if last.as_ref() != Some(error) {
                tracing::warn!(%error, "the coordinator is out of reach");
                desk.observed.link(&coordinator, Some(error.to_string()));
                last = Some(error.clone());
            }
        };
        let (connection, _) = line.dial(&coordinator, failed).await;
        let begun = Instant::now();
        let why = serve(&connection, &jobs, &coordinator).await;
        jobs.0.outbox.connected(false);
        desk.observed.link(&coordinator, Some(why.clone()));
        tracing::warn!(why, "the line to the coordinator ended");
        if begun.elapsed() > LASTED {
            backoff = Backoff::default();
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Serves one connection to its end, and says why it ended.
async fn serve(connection: &Connection, jobs: &Jobs, coordinator: &str) -> String {
    let desk = &jobs.0.desk;
    let (mut send, mut recv) = match connection.open_bi().await {
        Ok(streams) => streams,
        Err(error) => return error.to_string(),
    };
    let ready = Ready {
        version: env!("CARGO_PKG_VERSION").into(),
        roster_hash: Hash(desk.grounds.roster().hash()),
        catalog_hash: desk.grounds.catalog_hash(),
        catalog: desk.catalogue.clone(),
    };
    let first = match frame::encode(&FromParty::Ready(ready)) {
        Ok(first) => first,
        Err(error) => return error.to_string(),
    };
    if send.write_all(&first).await.is_err() {
        return connection.closed().await.to_string();
    }
    desk.observed.link(coordinator, None);
    tracing::info!(coordinator, "connected to the coordinator");
    jobs.0.outbox.connected(true);
    if let Some(ledger) = &jobs.0.ledger {
        ledger.connected();
    }
    tokio::select! {
        why = read(connection, &mut recv, jobs) => why,
        () = jobs.0.outbox.write(&mut send) => "the writer ended".into(),
    }
}

async fn read(connection: &Connection, recv: &mut RecvStream, jobs: &Jobs) -> String {
    let broken = |error: frame::FrameError| {
        connection.close(PROTOCOL, b"not a frame of the control plane");
        format!("the coordinator broke the protocol: {error}")
    };
    let mut frame = frame::Partial::default();
    loop {
        match frame.missing() {
            Ok(0) => match std::mem::take(&mut frame).message() {
                Ok(frame) => jobs.take(frame),
                Err(error) => return broken(error),
            },
            Ok(missing) => match recv.read_chunk(missing, true).await {
                Ok(Some(chunk)) => frame.add(&chunk.bytes),
                _ => return connection.closed().await.to_string(),
            },
            Err(error) => return broken(error),
        }
    }
}
