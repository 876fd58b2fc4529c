//! Frames on their way to the coordinator.

use mpc_quic::quinn::SendStream;
use query::message::frame::{self, FromParty};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Frames on their way to the coordinator. Notes wait for a connection; progress and what is the log's do not.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    more: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<FromParty>,
    /// Whether there is a line to send them over.
    connected: bool,
}

/// Notes that wait for the coordinator to come back.
const WAITING: usize = 256;
/// Frames in the queue beyond which progress is not added.
const CROWDED: usize = 64;

impl Outbox {
    pub fn push(&self, frame: FromParty) {
        let mut queue = self.lock();
        let progress = matches!(frame, FromParty::Progress(_));
        if progress && queue.frames.len() >= CROWDED || is_of_the_moment(&frame) && !queue.connected {
            return;
        }
        if queue.frames.len() >= WAITING {
            queue.frames.pop_front();
        }
        queue.frames.push_back(frame);
        drop(queue);
        self.more.notify_one();
    }

    pub fn connected(&self, connected: bool) {
        let mut queue = self.lock();
        queue.connected = connected;
        queue.frames.retain(|frame| !is_of_the_moment(frame));
    }

    pub fn retain(&self, stays: impl Fn(&FromParty) -> bool) {
        self.lock().frames.retain(stays);
    }

    /// Whether there is something to send, and a line to send it over.
    pub fn is_sending(&self) -> bool {
        let queue = self.lock();
        queue.connected && !queue.frames.is_empty()
    }

    /// Writes frames as they come; a frame leaves the queue only once it is written.
    pub async fn write(&self, to: &mut SendStream) {
        loop {
            let next = self.lock().frames.front().cloned();
            let Some(next) = next else {
                self.more.notified().await;
                continue;
            };
            match frame::encode(&next) {
                Ok(bytes) => {
                    if to.write_all(&bytes).await.is_err() {
                        // The reader knows why.
                        return std::future::pending().await;
                    }
                }
                Err(error) => tracing::error!(%error, "a frame was not sent"),
            }
            let mut queue = self.lock();
            if queue.frames.front() == Some(&next) {
                queue.frames.pop_front();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a frame means nothing to another connection.
fn is_of_the_moment(frame: &FromParty) -> bool {
    matches!(frame, FromParty::Progress(_) | FromParty::Ledger(_))
}
