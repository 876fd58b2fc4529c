//! Waiting for a poll from a thread that knows no runtime.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

/// Polls until ready; the thread sleeps in between. `None` at the deadline.
pub(crate) fn poll_until<T>(deadline: Instant, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    THREAD.with(|cell| {
        let (flag, waker) = cell.get_or_init(|| {
            let flag = Arc::new(Unpark { thread: std::thread::current(), woken: AtomicBool::new(false) });
            (flag.clone(), Waker::from(flag))
        });
        let mut cx = Context::from_waker(waker);
        loop {
            if let Poll::Ready(value) = poll(&mut cx) {
                return Some(value);
            }
            while !flag.woken.swap(false, Ordering::Acquire) {
                match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => std::thread::park_timeout(left),
                    _ => return None,
                }
            }
        }
    })
}

thread_local! {
    static THREAD: OnceCell<(Arc<Unpark>, Waker)> = const { OnceCell::new() };
}

struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn waits_for_a_wake_from_another_thread() {
        let (send, recv) = std::sync::mpsc::channel::<Waker>();
        let woken = Arc::new(AtomicBool::new(false));
        let flag = woken.clone();
        let waker = std::thread::spawn(move || {
            let waker = recv.recv().expect("a waker comes");
            flag.store(true, Ordering::SeqCst);
            waker.wake();
        });
        let ready = poll_until(Instant::now() + Duration::from_secs(20), |cx| match woken.load(Ordering::SeqCst) {
            true => Poll::Ready(7),
            false => {
                // it hangs up once it has one
                let _ = send.send(cx.waker().clone());
                Poll::Pending
            }
        });
        assert_eq!(ready, Some(7));
        waker.join().expect("no panic");
    }

    #[test]
    fn gives_up_at_the_deadline() {
        assert_eq!(poll_until(Instant::now(), |_| Poll::<()>::Pending), None);
    }
}
