//! The link of one lane of one job: a stream to and a stream from every peer.

use crate::endpoint::describe;
use crate::mesh::Shared;
use crate::park::poll_until;
use crate::stream::{Outgoing, Preface, Reading};
use bytes::Bytes;
use mpc_core::PartyId;
use mpc_core::link::{Frame, Head, Kind, Link, LinkError};
use quinn::Connection;
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Carries frames over QUIC. Made by [`crate::Mesh::link`].
pub struct QuicLink {
    job: Arc<Job>,
    lane: u16,
    peers: Vec<Option<Ends>>,
}

/// This lane's ends towards one peer.
struct Ends {
    connection: Connection,
    outgoing: Arc<Outgoing>,
    incoming: Option<Reading>,
    /// Frames taken from the peer.
    taken: u64,
}

impl Ends {
    /// Whether the peer has what this end sent first. A reset takes back what is still on its way, and a peer that knows of no stream for its
    /// job would wait for one: so a stream is reset only once the peer has answered, which its second frame does, or so much is under way that
    /// QUIC takes no more.
    fn is_begun(&self) -> bool {
        self.taken >= 2 || self.outgoing.is_full()
    }
}

/// One attempt at a job, shared by its lanes. When the last of them is gone the attempt has ended here.
pub(crate) struct Job {
    pub(crate) shared: Arc<Shared>,
    pub(crate) job: [u8; 32],
    pub(crate) attempt: u32,
    pub(crate) wait: Duration,
    pub(crate) stop: Mutex<Stop>,
}

/// Whether the job has been cancelled here, and who waits and must then be told.
#[derive(Default)]
pub(crate) struct Stop {
    reason: Option<String>,
    waiting: HashMap<u16, Waker>,
}

impl Job {
    /// Ends every wait of every lane.
    pub(crate) fn cancel(&self, reason: &str) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        stop.reason.get_or_insert_with(|| reason.to_owned());
        stop.waiting.drain().for_each(|(_, waker)| waker.wake());
    }

    fn check(&self) -> Result<(), LinkError> {
        match &self.stop.lock().unwrap_or_else(PoisonError::into_inner).reason {
            Some(reason) => Err(LinkError::Gone(reason.clone())),
            None => Ok(()),
        }
    }

    fn check_or_wait(&self, lane: u16, cx: &Context<'_>) -> Result<(), LinkError> {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &stop.reason {
            return Err(LinkError::Gone(reason.clone()));
        }
        let known = stop.waiting.entry(lane).or_insert_with(|| cx.waker().clone());
        known.clone_from(cx.waker());
        Ok(())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.shared.end((self.job, self.attempt));
    }
}

impl QuicLink {
    /// Opens lane `lane` over one connection per peer, `None` at this party's own place.
    pub(crate) fn open(job: Arc<Job>, lane: u16, connections: Vec<Option<Connection>>) -> Result<Self, (PartyId, LinkError)> {
        let preface = Preface { job: job.job, attempt: job.attempt, lane };
        let deadline = Instant::now() + job.wait;
        let mut peers = Vec::with_capacity(connections.len());
        for (peer, connection) in connections.into_iter().enumerate() {
            let Some(connection) = connection else {
                peers.push(None);
                continue;
            };
            let opened = {
                let mut opening = pin!(connection.open_uni());
                poll_until(deadline, |cx| opening.as_mut().poll(cx))
            };
            let outgoing = match opened {
                None => Err(LinkError::Deadline(job.wait)),
                Some(Err(e)) => Err(LinkError::Gone(describe(&e))),
                Some(Ok(stream)) => {
                    let outgoing = Outgoing::new(stream, job.shared.runtime().clone());
                    outgoing.submit(Bytes::copy_from_slice(&preface.encode())).map(|()| outgoing)
                }
            };
            let outgoing = outgoing.map_err(|e| (PartyId(peer as u8), e))?;
            peers.push(Some(Ends { connection, outgoing, incoming: None, taken: 0 }));
        }
        Ok(QuicLink { job, lane, peers })
    }

    fn ends(&mut self, peer: PartyId) -> Result<&mut Ends, LinkError> {
        let ends = self.peers.get_mut(peer.index()).and_then(Option::as_mut);
        ends.ok_or_else(|| LinkError::Gone("it is not a peer of this party".into()))
    }
}

impl Link for QuicLink {
    fn submit(&mut self, to: PartyId, frame: Frame) -> Result<(), LinkError> {
        let ends = self.ends(to)?;
        if frame.head().is_some_and(|head| head.kind == Kind::Abort) {
            match ends.is_begun() {
                // quicker and surer than a frame behind what is queued
                true => ends.outgoing.abort(),
                // fails if it has failed before, and then the peer knows
                false => drop(ends.outgoing.submit(Bytes::from_owner(frame))),
            }
            if let Some(reading) = &mut ends.incoming {
                reading.abort();
            }
            return Ok(());
        }
        let outgoing = ends.outgoing.clone();
        let (job, lane) = (&self.job, self.lane);
        let room = poll_until(Instant::now() + job.wait, |cx| match outgoing.poll_room(cx) {
            Poll::Ready(()) => Poll::Ready(job.check()),
            Poll::Pending => pending_unless(job.check_or_wait(lane, cx)),
        });
        room.unwrap_or(Err(LinkError::Deadline(job.wait)))?;
        outgoing.submit(Bytes::from_owner(frame))
    }

    fn take(&mut self, from: PartyId, expected: &Head) -> Result<Vec<u8>, LinkError> {
        let job = self.job.clone();
        let preface = Preface { job: job.job, attempt: job.attempt, lane: self.lane };
        let ends = self.ends(from)?;
        let frame = poll_until(Instant::now() + job.wait, |cx| {
            loop {
                if let Some(reading) = &mut ends.incoming {
                    let polled = reading.poll_frame(cx, expected);
                    return match polled.is_pending() {
                        true => pending_unless(job.check_or_wait(preface.lane, cx)),
                        false => polled,
                    };
                }
                match job.shared.rendezvous().poll_take(from, preface, cx) {
                    Poll::Ready(stream) => ends.incoming = Some(Reading::new(stream)),
                    // asked after the waker is in place, so that neither is missed
                    Poll::Pending => {
                        return pending_unless(match ends.connection.close_reason() {
                            Some(e) => Err(LinkError::Gone(describe(&e))),
                            None => job.check_or_wait(preface.lane, cx),
                        });
                    }
                }
            }
        });
        let frame = frame.unwrap_or(Err(LinkError::Deadline(job.wait)))?;
        ends.taken += 1;
        Ok(frame)
    }

    fn lane(&mut self, lane: u16) -> Result<Box<dyn Link>, LinkError> {
        let connections = self.peers.iter().map(|ends| ends.as_ref().map(|ends| ends.connection.clone())).collect();
        let link = QuicLink::open(self.job.clone(), lane, connections).map_err(|(_, e)| e)?;
        Ok(Box::new(link))
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        for ends in self.peers.drain(..).flatten() {
            match std::thread::panicking() && ends.is_begun() {
                true => ends.outgoing.abort(),
                false => self.job.shared.finish(ends.outgoing, self.job.wait),
            }
        }
    }
}

fn pending_unless<T>(result: Result<(), LinkError>) -> Poll<Result<T, LinkError>> {
    match result {
        Ok(()) => Poll::Pending,
        Err(e) => Poll::Ready(Err(e)),
    }
}
