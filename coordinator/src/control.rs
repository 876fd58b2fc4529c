//! Parties' connections: who is there is known from the handshake; frames are pumped between the QUIC stream and the
//! party's line to the scheduler.

use crate::handle::{Handle, Line};
use mpc_quic::quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use mpc_quic::{Incoming, Peer};
use query::message::frame::{self, FromParty, ToParty};
use std::time::Duration;
use tokio::sync::mpsc;

/// Takes connections until the endpoint is closed.
pub(crate) async fn accept(handle: Handle, mut incoming: Incoming) {
    while let Some((connection, peer)) = incoming.next().await {
        tokio::spawn(serve(handle.clone(), connection, peer));
    }
}

async fn serve(handle: Handle, connection: Connection, peer: Peer) {
    let end = |why: &str| connection.close(PROTOCOL, why.as_bytes());
    let Some(party) = peer.party else { return end("only parties connect here") };
    let Ok(Ok((send, recv))) = tokio::time::timeout(FIRST_STREAM, connection.accept_bi()).await else {
        return end("no control stream in time");
    };
    let Line { to_party, of_the_log, from_party } = handle.connect(party.index()).await;
    tokio::select! {
        why = read_frames(recv, &from_party) => {
            // The stream fails a moment before the connection's own reason is in.
            let why = match why {
                End::Lost => tokio::time::timeout(REASON, connection.closed()).await.map_or("it closed its stream".into(), |e| describe(&e)),
                End::Said(why) => why,
            };
            end(&why);
            // If the scheduler has ended, it does not mind.
            let _ = from_party.send(Err(why)).await;
        }
        () = write_frames(to_party, of_the_log, send) => end("the coordinator ended this connection"),
    }
}

/// Why a party is not read any further.
enum End {
    /// The connection is gone; it knows why.
    Lost,
    /// For this reason.
    Said(String),
}

async fn read_frames(mut recv: RecvStream, from_party: &mpsc::Sender<Result<FromParty, String>>) -> End {
    loop {
        match read_frame(&mut recv).await {
            Ok(frame) => {
                if from_party.send(Ok(frame)).await.is_err() {
                    return End::Said("the coordinator stops".into());
                }
            }
            Err(end) => return end,
        }
    }
}

async fn read_frame(recv: &mut RecvStream) -> Result<FromParty, End> {
    let broken = |e: frame::FrameError| End::Said(format!("it broke the protocol: {e}"));
    let mut frame = frame::Partial::default();
    loop {
        match frame.missing().map_err(broken)? {
            0 => return frame.message().map_err(broken),
            missing => match recv.read_chunk(missing, true).await {
                Ok(Some(chunk)) => frame.add(&chunk.bytes),
                _ => return Err(End::Lost),
            },
        }
    }
}

/// Writes until the scheduler drops the line, or the stream fails; the reader then knows why.
async fn write_frames(mut to_party: mpsc::Receiver<ToParty>, mut of_the_log: mpsc::Receiver<ToParty>, mut send: SendStream) {
    loop {
        // Jobs do not wait for the log.
        let frame = tokio::select! {
            biased;
            frame = to_party.recv() => match frame {
                Some(frame) => frame,
                None => return,
            },
            Some(frame) = of_the_log.recv() => frame,
        };
        match frame::encode(&frame) {
            Ok(bytes) => {
                if send.write_all(&bytes).await.is_err() {
                    return std::future::pending().await;
                }
            }
            Err(error) => tracing::error!(%error, "a frame was not sent"),
        }
    }
}

fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TimedOut => "no sign of life from it for seconds".into(),
        ConnectionError::Reset => "it has restarted".into(),
        ConnectionError::ApplicationClosed(_) => "it closed the connection".into(),
        other => other.to_string(),
    }
}

/// The close code of a breach of protocol.
const PROTOCOL: VarInt = VarInt::from_u32(3);
/// How long a party may take to open its stream.
const FIRST_STREAM: Duration = Duration::from_secs(5);
/// How long the connection may take to know why it ended.
const REASON: Duration = Duration::from_secs(1);
