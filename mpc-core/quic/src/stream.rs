//! One direction of one lane: a preface that binds the stream to job, attempt and lane, then frames.

use crate::endpoint::describe;
use bytes::{BufMut, Bytes};
use mpc_core::link::{Head, Kind, LinkError};
use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncReadExt;
use zeroize::Zeroize;

/// What a stream carries, said once at its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Preface {
    pub(crate) job: [u8; 32],
    pub(crate) attempt: u32,
    pub(crate) lane: u16,
}

impl Preface {
    /// Bytes of an encoded preface.
    pub(crate) const BYTES: usize = 4 + 32 + 4 + 2;
    const MAGIC: [u8; 4] = *b"tq1\n";

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut b = [0; Self::BYTES];
        b[..4].copy_from_slice(&Self::MAGIC);
        b[4..36].copy_from_slice(&self.job);
        b[36..40].copy_from_slice(&self.attempt.to_le_bytes());
        b[40..].copy_from_slice(&self.lane.to_le_bytes());
        b
    }

    pub(crate) fn decode(b: &[u8; Self::BYTES]) -> Option<Self> {
        let (magic, rest) = b.split_first_chunk()?;
        let (job, rest) = rest.split_first_chunk()?;
        let (attempt, lane) = rest.split_first_chunk()?;
        (*magic == Self::MAGIC).then_some(Preface {
            job: *job,
            attempt: u32::from_le_bytes(*attempt),
            lane: u16::from_le_bytes(lane.try_into().ok()?),
        })
    }
}

/// Codes with which a stream is reset or stopped.
pub(crate) mod code {
    /// The sender's session has aborted.
    pub(crate) const ABORTED: u32 = 1;
    /// The stream is for a job that has ended here, or came twice.
    pub(crate) const LATE: u32 = 2;
    /// Too many streams wait for jobs that have not begun here.
    pub(crate) const BUSY: u32 = 3;
    /// The stream does not begin with a preface.
    pub(crate) const MALFORMED: u32 = 4;
}

// ---------------------------------------------------------------- outgoing

/// A peer that is this many frames and this many bytes behind is waited for; one that never reads costs no more memory than that. Parties that run
/// the same program cannot all wait like this: the one that is waited for has the earliest frame still to read, and is itself behind nobody.
const AHEAD_FRAMES: usize = 16;
const AHEAD_BYTES: usize = 64 << 20;

/// The sending end. A frame is handed to QUIC at once, by the thread that made it; what flow control does not let through yet is
/// queued and follows from the IO thread.
pub(crate) struct Outgoing {
    state: Mutex<State>,
    runtime: tokio::runtime::Handle,
}

struct State {
    stream: Option<SendStream>,
    queue: VecDeque<Bytes>,
    /// Bytes in the queue.
    queued: usize,
    draining: bool,
    /// The task that drains, while it waits; and the sender, while it waits for room.
    drainer: Option<Waker>,
    sender: Option<Waker>,
    failed: Option<LinkError>,
}

impl Outgoing {
    pub(crate) fn new(stream: SendStream, runtime: tokio::runtime::Handle) -> Arc<Self> {
        let state =
            State { stream: Some(stream), queue: VecDeque::new(), queued: 0, draining: false, drainer: None, sender: None, failed: None };
        Arc::new(Outgoing { state: Mutex::new(state), runtime })
    }

    /// Ready once the peer is not too far behind.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.failed.is_none() && state.is_ahead() {
            state.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Whether QUIC has taken as much as it takes, and the rest is queued.
    pub(crate) fn is_full(&self) -> bool {
        !self.lock().queue.is_empty()
    }

    /// Sends `bytes` after everything before it.
    pub(crate) fn submit(self: &Arc<Self>, bytes: Bytes) -> Result<(), LinkError> {
        let mut state = self.lock();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        state.queued += bytes.len();
        state.queue.push_back(bytes);
        if state.draining {
            return Ok(());
        }
        // whatever is left, the IO thread polls again with a waker of its own
        match state.poll_drain(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                state.draining = true;
                self.runtime.spawn(self.clone().drain());
                Ok(())
            }
        }
    }

    /// Drops what is queued and tells the peer that the session has aborted.
    pub(crate) fn abort(&self) {
        let mut state = self.lock();
        state.fail(LinkError::Aborted);
        if let Some(mut stream) = state.stream.take() {
            // fails if the connection is gone, and then the peer knows
            let _ = stream.reset(VarInt::from_u32(code::ABORTED));
        }
    }

    async fn drain(self: Arc<Self>) {
        // the error is kept for the next submit
        let _ = std::future::poll_fn(|cx| {
            let mut state = self.lock();
            let polled = state.poll_drain(cx);
            state.draining = polled.is_pending();
            state.drainer = polled.is_pending().then(|| cx.waker().clone());
            polled
        })
        .await;
    }

    /// The stream, once everything queued is with QUIC; for a graceful end. Dropping it finishes it.
    pub(crate) async fn finish(&self) -> Option<SendStream> {
        std::future::poll_fn(|cx| self.lock().poll_drain(cx)).await.ok()?;
        let mut state = self.lock();
        state.wake();
        state.stream.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_ahead(&self) -> bool {
        self.queue.len() >= AHEAD_FRAMES && self.queued >= AHEAD_BYTES
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        while let Some(front) = self.queue.front_mut() {
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(Err(self.failed.clone().unwrap_or(LinkError::Aborted)));
            };
            let before = front.len();
            let polled = {
                let writing = pin!(stream.write_chunks(std::slice::from_mut(front)));
                writing.poll(cx)
            };
            self.queued -= before - front.len();
            match polled.map_err(|e| written(&e)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(_)) => {
                    if front.is_empty() {
                        self.queue.pop_front();
                    }
                    if !self.is_ahead()
                        && let Some(sender) = self.sender.take()
                    {
                        sender.wake();
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.fail(error.clone());
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing more is sent; the first reason is kept.
    fn fail(&mut self, error: LinkError) {
        self.queue.clear();
        self.queued = 0;
        self.failed.get_or_insert(error);
        self.wake();
    }

    /// QUIC knows one waker a stream, that of the last who asked: the others are told here, when there is nothing left to wait for.
    fn wake(&mut self) {
        self.drainer.take().into_iter().chain(self.sender.take()).for_each(Waker::wake);
    }
}

fn written(error: &WriteError) -> LinkError {
    match error {
        WriteError::ConnectionLost(e) => LinkError::Gone(describe(e)),
        WriteError::Stopped(code) => stopped(*code),
        other => LinkError::Gone(other.to_string()),
    }
}

fn stopped(reason: VarInt) -> LinkError {
    match u32::try_from(reason.into_inner()) {
        Ok(code::ABORTED) => LinkError::Aborted,
        Ok(code::LATE) => LinkError::Gone("it has ended this attempt already".into()),
        Ok(code::BUSY) => LinkError::Gone("too many sessions wait for it to begin; try again".into()),
        Ok(code::MALFORMED) => LinkError::Gone("it does not understand this node; install the same release at both".into()),
        _ => LinkError::Gone("it left the session".into()),
    }
}

// ---------------------------------------------------------------- incoming

/// The receiving end, and how far the present frame has been read. What has been read of a frame that is never taken is wiped.
pub(crate) struct Reading {
    stream: RecvStream,
    head: Vec<u8>,
    payload: Option<Vec<u8>>,
}

impl Reading {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Reading { stream, head: Vec::with_capacity(Head::BYTES), payload: None }
    }

    /// Reads the next frame, which must have the head `expected`. Memory for the payload is taken only once the head has come and
    /// is as expected, and as much as this side expects.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>, expected: &Head) -> Poll<Result<Vec<u8>, LinkError>> {
        loop {
            match &mut self.payload {
                Some(payload) if payload.len() == expected.len as usize => {
                    self.head.clear();
                    return Poll::Ready(Ok(self.payload.take().unwrap_or_default()));
                }
                Some(payload) => match poll_fill(&mut self.stream, cx, payload, expected.len as usize) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                    Poll::Pending => return Poll::Pending,
                },
                None => match self.head.first_chunk().map(Head::decode) {
                    Some(Some(head)) if head == *expected => self.payload = Some(Vec::with_capacity(expected.len as usize)),
                    Some(Some(Head { kind: Kind::Abort, .. })) => return Poll::Ready(Err(LinkError::Aborted)),
                    Some(unexpected) => return Poll::Ready(Err(LinkError::Unexpected(unexpected))),
                    None => match poll_fill(&mut self.stream, cx, &mut self.head, Head::BYTES) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                        Poll::Pending => return Poll::Pending,
                    },
                },
            }
        }
    }

    /// Tells the peer to send no more because the session has aborted.
    pub(crate) fn abort(&mut self) {
        // fails if it has ended already
        let _ = self.stream.stop(VarInt::from_u32(code::ABORTED));
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(payload) = &mut self.payload {
            payload.as_mut_slice().zeroize();
        }
    }
}

/// Reads what there is, up to `len` bytes in all.
fn poll_fill(stream: &mut RecvStream, cx: &mut Context<'_>, buffer: &mut Vec<u8>, len: usize) -> Poll<Result<(), LinkError>> {
    let left = len - buffer.len();
    let mut room = buffer.limit(left);
    match pin!(stream.read_buf(&mut room)).poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(0)) => Poll::Ready(Err(LinkError::Gone("it left the session".into()))),
        Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(read(&error))),
    }
}

fn read(error: &std::io::Error) -> LinkError {
    match error.get_ref().and_then(|e| e.downcast_ref::<ReadError>()) {
        Some(ReadError::ConnectionLost(e)) => LinkError::Gone(describe(e)),
        Some(ReadError::Reset(code)) => stopped(*code),
        _ => LinkError::Gone(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prefaces_round_trip(job: [u8; 32], attempt: u32, lane: u16) {
            let preface = Preface { job, attempt, lane };
            prop_assert_eq!(Preface::decode(&preface.encode()), Some(preface));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(mut bytes: [u8; Preface::BYTES], good: bool) {
            if good {
                bytes[..4].copy_from_slice(&Preface::MAGIC);
            }
            match Preface::decode(&bytes) {
                Some(preface) => prop_assert_eq!(preface.encode(), bytes),
                None => prop_assert!(bytes[..4] != Preface::MAGIC),
            }
        }

        #[test]
        fn heads_of_any_bytes_decode_or_not_but_never_panic(mut bytes: [u8; Head::BYTES], kind in 0u8..6) {
            bytes[30] = kind;
            match Head::decode(&bytes) {
                Some(head) => prop_assert_eq!(head.encode(), bytes),
                None => prop_assert!(!(1..=4).contains(&kind)),
            }
        }
    }
}
