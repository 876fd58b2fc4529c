//! A network of some length on one machine: a socket that keeps what it receives for a while. Both ends have one, so a round trip takes two
//! delays, and nothing else changes: what the kernel drops is dropped, what QUIC sends is sent at once.

use mpc_quic::quinn::udp::{RecvMeta, Transmit};
use mpc_quic::quinn::{AsyncUdpSocket, UdpPoller};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Hands on every datagram `delay` after it came. Exact to a millisecond, tokio's tick.
#[derive(Debug)]
pub struct Delayed {
    inner: Arc<dyn AsyncUdpSocket>,
    delay: Duration,
    underway: Mutex<Underway>,
}

#[derive(Debug)]
struct Underway {
    datagrams: VecDeque<(Instant, RecvMeta, Vec<u8>)>,
    timer: Option<Pin<Box<Sleep>>>,
    buffer: Vec<u8>,
}

/// The most the kernel hands over at once.
const LARGEST: usize = 65_507;

impl Delayed {
    /// Puts `delay` before `inner`.
    pub fn new(inner: Arc<dyn AsyncUdpSocket>, delay: Duration) -> Self {
        let underway = Underway { datagrams: VecDeque::new(), timer: None, buffer: vec![0; LARGEST] };
        Delayed { inner, delay, underway: Mutex::new(underway) }
    }
}

impl AsyncUdpSocket for Delayed {
    fn poll_recv(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        let mut underway = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        let Underway { datagrams, timer, buffer } = &mut *underway;
        loop {
            let mut came = [RecvMeta::default()];
            match self.inner.poll_recv(cx, &mut [IoSliceMut::new(buffer)], &mut came) {
                Poll::Pending => break,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Ready(Ok(_)) => datagrams.push_back((Instant::now() + self.delay, came[0], buffer[..came[0].len].to_vec())),
            }
        }
        loop {
            let mut due = 0;
            while due < bufs.len().min(meta.len()) && datagrams.front().is_some_and(|(at, ..)| *at <= Instant::now()) {
                let Some((_, about, bytes)) = datagrams.pop_front() else { break };
                bufs[due][..bytes.len()].copy_from_slice(&bytes);
                meta[due] = about;
                due += 1;
            }
            let Some((next, ..)) = datagrams.front().filter(|_| due == 0) else {
                return if due > 0 { Poll::Ready(Ok(due)) } else { Poll::Pending };
            };
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(*next)));
            timer.as_mut().reset(*next);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
