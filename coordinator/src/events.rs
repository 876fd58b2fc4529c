//! The events of one job: a short log that any number of readers follow, from wherever they left off.

use crate::clock::Now;
use query::message::job::{Event, What};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A job's log. Old events are dropped; the sequence numbers of those that remain do not change.
pub(crate) struct Log {
    events: Mutex<Events>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Events {
    kept: VecDeque<Event>,
    last: u64,
    ended: bool,
}

impl Log {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { events: Mutex::default(), changed: watch::Sender::new(()) })
    }

    /// Appends. Sequence numbers follow the clock, so that they keep rising over a restart.
    pub(crate) fn push(&self, now: Now, what: What) {
        let mut events = self.lock();
        let seq = now.unix_ms.max(events.last + 1);
        events.last = seq;
        if let What::State { state, .. } = &what {
            events.ended = state.is_final();
        }
        let keep = if events.ended { KEEP_ENDED } else { KEEP };
        events.kept.push_back(Event { seq, at: now.unix_ms, what });
        while events.kept.len() > keep {
            events.kept.pop_front();
        }
        drop(events);
        self.changed.send_replace(());
    }

    /// Ends the streams of all readers; what they have not read yet they still get.
    pub(crate) fn close(&self) {
        self.lock().ended = true;
        self.changed.send_replace(());
    }

    /// Reads what comes behind `seq`.
    pub(crate) fn follow(self: &Arc<Self>, seq: u64) -> Follow {
        Follow { log: self.clone(), changed: self.changed.subscribe(), seq }
    }

    fn lock(&self) -> MutexGuard<'_, Events> {
        // A panic elsewhere leaves a log whole: it only ever grows by one event.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader of a log.
pub(crate) struct Follow {
    log: Arc<Log>,
    changed: watch::Receiver<()>,
    seq: u64,
}

impl Follow {
    /// The next event; `None` behind the last one of a job that is over.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            {
                let events = self.log.lock();
                if let Some(event) = events.kept.iter().find(|event| event.seq > self.seq) {
                    self.seq = event.seq;
                    return Some(event.clone());
                }
                if events.ended {
                    return None;
                }
            }
            self.changed.changed().await.ok()?;
        }
    }
}

/// Events kept of a job that goes on, and of one that is over.
const KEEP: usize = 512;
const KEEP_ENDED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use query::message::job::JobState;

    fn state(state: JobState) -> What {
        What::State { state, attempt: 1 }
    }

    #[tokio::test]
    async fn readers_resume_where_they_left_off_and_end_with_the_job() {
        let log = Log::new();
        let now = Now { unix_ms: 5, ..Now::read() };
        log.push(now, state(JobState::Queued));
        log.push(now, state(JobState::Offered));
        let mut reader = log.follow(0);
        assert_eq!(reader.next().await.map(|e| e.seq), Some(5));
        assert_eq!(reader.next().await.map(|e| e.seq), Some(6));
        let late = tokio::spawn(async move { (reader.next().await.map(|e| e.seq), reader.next().await) });
        log.push(Now { unix_ms: 100, ..now }, state(JobState::Done));
        assert_eq!(late.await.expect("read"), (Some(100), None));
        let mut resumed = log.follow(6);
        assert_eq!(resumed.next().await.map(|e| e.seq), Some(100));
        assert_eq!(resumed.next().await, None);
    }

    #[tokio::test]
    async fn a_log_is_bounded() {
        let log = Log::new();
        for _ in 0..2 * KEEP {
            log.push(Now { unix_ms: 1, ..Now::read() }, state(JobState::Running));
        }
        assert_eq!(log.lock().kept.len(), KEEP);
        assert_eq!(log.follow(0).next().await.map(|e| e.seq), Some(KEEP as u64 + 1));
        log.close();
        assert_eq!(log.follow(2 * KEEP as u64).next().await, None);
    }
}
