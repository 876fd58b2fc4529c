//! Where incoming streams meet the jobs they are for. A peer may be ahead of this node: its streams then wait, few and not for ever.

use crate::stream::{Preface, code};
use mpc_core::PartyId;
use quinn::{RecvStream, VarInt};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Streams of one peer that may wait for jobs that have not begun here.
const WAITING: usize = 64;
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// Attempts that have ended here and are remembered, so that a late stream for one is told so at once.
const REMEMBERED: usize = 4096;

/// A job and the number of the attempt at it.
pub(crate) type Attempt = ([u8; 32], u32);

/// The meeting place of one node.
#[derive(Default)]
pub(crate) struct Rendezvous(Mutex<Places>);

#[derive(Default)]
struct Places {
    running: HashSet<Attempt>,
    ended: HashSet<Attempt>,
    ended_order: VecDeque<Attempt>,
    places: HashMap<(PartyId, Preface), Place>,
}

enum Place {
    /// The stream is here, its taker not yet; with the connection that brought it, and when.
    Here(RecvStream, usize, Instant),
    /// The taker is here, the stream not yet.
    Wanted(Waker),
    /// They have met.
    Met,
}

impl Rendezvous {
    /// Begins an attempt; `false` if it runs or has run here.
    pub(crate) fn begin(&self, attempt: Attempt) -> bool {
        let mut places = self.lock();
        !places.ended.contains(&attempt) && places.running.insert(attempt)
    }

    /// Ends an attempt: its streams are refused from now on.
    pub(crate) fn end(&self, attempt: Attempt) {
        let mut places = self.lock();
        places.running.remove(&attempt);
        places.places.retain(|(_, preface), place| (preface.job, preface.attempt) != attempt || place.refuse(code::LATE));
        if places.ended.insert(attempt) {
            places.ended_order.push_back(attempt);
        }
        if places.ended_order.len() > REMEMBERED
            && let Some(oldest) = places.ended_order.pop_front()
        {
            places.ended.remove(&oldest);
        }
    }

    /// Leaves a stream that has just come, or refuses it.
    pub(crate) fn leave(&self, peer: PartyId, connection: usize, preface: Preface, stream: RecvStream) {
        let now = Instant::now();
        let mut places = self.lock();
        let attempt = (preface.job, preface.attempt);
        let running = places.running.contains(&attempt);
        let mut stream = Place::Here(stream, connection, now);
        if places.ended.contains(&attempt) {
            stream.refuse(code::LATE);
            return;
        }
        if !running && places.crowded(peer, now) {
            tracing::warn!(%peer, "a stream for an unknown job is refused: too many wait");
            stream.refuse(code::BUSY);
            return;
        }
        match places.places.get_mut(&(peer, preface)) {
            None => {
                places.places.insert((peer, preface), stream);
            }
            Some(place @ Place::Wanted(_)) => {
                if let Place::Wanted(taker) = std::mem::replace(place, stream) {
                    taker.wake();
                }
            }
            Some(Place::Here(..) | Place::Met) => {
                tracing::warn!(%peer, lane = preface.lane, "a second stream for the same lane is refused");
                stream.refuse(code::LATE);
            }
        }
    }

    /// Takes a stream of a running attempt, or waits for it.
    pub(crate) fn poll_take(&self, peer: PartyId, preface: Preface, cx: &mut Context<'_>) -> Poll<RecvStream> {
        let mut places = self.lock();
        let place = places.places.entry((peer, preface)).or_insert_with(|| Place::Wanted(cx.waker().clone()));
        match std::mem::replace(place, Place::Met) {
            Place::Here(stream, ..) => Poll::Ready(stream),
            Place::Wanted(_) => {
                *place = Place::Wanted(cx.waker().clone());
                Poll::Pending
            }
            // a lane has one taker, who asks until it is given the stream
            Place::Met => Poll::Pending,
        }
    }

    /// Forgets what a lost connection brought and wakes who waits for more of it.
    pub(crate) fn lost(&self, peer: PartyId, connection: usize) {
        self.lock().places.retain(|(from, _), place| match place {
            _ if *from != peer => true,
            Place::Here(_, by, _) => *by != connection,
            Place::Wanted(taker) => {
                taker.wake_by_ref();
                true
            }
            Place::Met => true,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Whether `peer` has as many streams waiting for unknown jobs as it may, after those that have waited too long are sent away.
    fn crowded(&mut self, peer: PartyId, now: Instant) -> bool {
        let mut waiting = 0;
        let running = &self.running;
        self.places.retain(|(from, preface), place| match place {
            Place::Here(.., since) if *from == peer && !running.contains(&(preface.job, preface.attempt)) => {
                let stays = now.duration_since(*since) < PATIENCE;
                waiting += usize::from(stays);
                stays || place.refuse(code::BUSY)
            }
            _ => true,
        });
        waiting >= WAITING
    }
}

impl Place {
    /// Tells the sender why its stream is not wanted, and the taker that there will be none; always `false`.
    fn refuse(&mut self, why: u32) -> bool {
        match self {
            // fails if it has ended already
            Place::Here(stream, ..) => drop(stream.stop(VarInt::from_u32(why))),
            Place::Wanted(taker) => taker.wake_by_ref(),
            Place::Met => {}
        }
        false
    }
}
