//! The HTTP listener with bounds: so many connections at a time and from one address, none that stays silent, and none that takes for
//! ever over a request. Without them, anyone who can reach the port could hold all of the process's file descriptors.

use query::message::{Code, Refusal};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// A listener that accepts no more than so many connections at a time; the rest wait in the system's backlog.
pub(crate) struct Bounded {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    bounds: Bounds,
}

/// What connections may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// At a time.
    pub connections: usize,
    /// Of these, from one address; more are turned away with an answer.
    pub per_address: usize,
    /// How long nothing may move.
    pub silence: Duration,
    /// How long the other side may take over a request, from its beginning (or the end of the last answer) to its end.
    pub request: Duration,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener, bounds: Bounds) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(bounds.connections)), held: Arc::default(), bounds }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Bound;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Bound, SocketAddr) {
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, place, addr) = loop {
            let (stream, addr) = axum::serve::Listener::accept(&mut self.listener).await;
            match Place::take(&self.held, addr.ip(), self.bounds.per_address) {
                Some(place) => break (stream, place, addr),
                // If it does not fit the empty buffer of a new connection, its end says as much.
                None => drop(stream.try_write(turned_away(self.bounds.per_address).as_bytes())),
            }
        };
        // A wish about latency: the connection works without it.
        let _ = stream.set_nodelay(true);
        let Bounds { silence, request, .. } = self.bounds;
        let timer = |after| Box::pin(tokio::time::sleep(after));
        (Bound { stream, silence: timer(silence), request: timer(request), bounds: self.bounds, _slot: slot, _place: place }, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn turned_away(most: usize) -> String {
    let reason = format!("{most} connections from this address are open, the most there may be");
    let refusal = Refusal::new(Code::Busy, reason, "close some, and ask again in a moment");
    let body = serde_json::to_string(&refusal).expect("a refusal is plain strings");
    let head = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nconnection: close\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

/// One of an address's connections.
struct Place {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Place {
    fn take(held: &Arc<Mutex<HashMap<IpAddr, usize>>>, address: IpAddr, most: usize) -> Option<Self> {
        let mut counts = held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        (*count < most).then(|| {
            *count += 1;
            Self { held: held.clone(), address }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// A connection that ends when nothing moves for too long, or a request does not end.
pub(crate) struct Bound {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    request: Pin<Box<Sleep>>,
    bounds: Bounds,
    _slot: OwnedSemaphorePermit,
    _place: Place,
}

impl Bound {
    /// Passes on what the stream says; if it says nothing, the clock runs.
    fn timed<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.silence.as_mut().reset(Instant::now() + self.bounds.silence);
            return poll;
        }
        self.silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// What was written is an answer, or part of one: the next request has all of its time.
    fn answered<T>(&mut self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(poll, Poll::Ready(Ok(_))) {
            self.request.as_mut().reset(Instant::now() + self.bounds.request);
        }
        poll
    }
}

impl AsyncRead for Bound {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Before the stream is asked: one byte at a time is no way around it.
        if self.request.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.timed(context, poll)
    }
}

impl AsyncWrite for Bound {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        let poll = self.timed(context, poll);
        self.answered(poll)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        let poll = self.timed(context, poll);
        self.answered(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::serve::Listener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const HOUR: Duration = Duration::from_secs(3600);
    const BOUNDS: Bounds = Bounds { connections: 1, per_address: 1, silence: HOUR, request: HOUR };

    async fn bounded(bounds: Bounds) -> Bounded {
        Bounded::new(TcpListener::bind("127.0.0.1:0").await.expect("a port"), bounds)
    }

    #[tokio::test]
    async fn a_second_connection_waits_for_the_first_to_end() {
        let mut listener = bounded(BOUNDS).await;
        let addr = listener.local_addr().expect("an address");
        let _first = TcpStream::connect(addr).await.expect("connected");
        let mut second = TcpStream::connect(addr).await.expect("in the backlog");
        let (accepted, _) = listener.accept().await;
        let mut next = Box::pin(listener.accept());
        let waker = std::task::Waker::noop();
        assert!(next.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        drop(accepted);
        let (mut accepted, _) = next.await;
        accepted.write_all(b"hello").await.expect("written");
        drop(accepted);
        let mut text = String::new();
        second.read_to_string(&mut text).await.expect("read");
        assert_eq!(text, "hello");
    }

    #[tokio::test]
    async fn a_silent_connection_is_ended() {
        let mut listener = bounded(Bounds { silence: Duration::ZERO, ..BOUNDS }).await;
        let addr = listener.local_addr().expect("an address");
        let _silent = TcpStream::connect(addr).await.expect("connected");
        let (mut accepted, _) = listener.accept().await;
        let error = accepted.read_u8().await.expect_err("silence");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_request_that_comes_a_byte_at_a_time_is_ended() {
        let mut listener = bounded(Bounds { request: Duration::from_millis(1), ..BOUNDS }).await;
        let mut slow = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let (mut accepted, _) = listener.accept().await;
        let dripping = tokio::spawn(async move { while slow.write_all(b"x").await.is_ok() {} });
        let error = loop {
            if let Err(error) = accepted.read_u8().await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // An answer gives the next request its time.
        accepted.bounds.request = HOUR;
        accepted.write_all(b"an answer").await.expect("written");
        accepted.read_u8().await.expect("it is read again");
        drop(accepted);
        dripping.await.expect("no panic");
    }

    #[tokio::test]
    async fn an_address_has_so_many_connections_and_is_told() {
        let mut listener = bounded(Bounds { connections: 3, per_address: 2, ..BOUNDS }).await;
        let addr = listener.local_addr().expect("an address");
        let mut kept = Vec::new();
        for _ in 0..2 {
            let stream = TcpStream::connect(addr).await.expect("connected");
            kept.push((stream, listener.accept().await.0));
        }
        let mut turned_away = TcpStream::connect(addr).await.expect("connected");
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.2:0".parse().expect("an address")).expect("another address of this machine");
        let _other = socket.connect(addr).await.expect("connected");
        let (_accepted, from) = listener.accept().await;
        assert_eq!(from.ip().to_string(), "127.0.0.2");
        let mut text = String::new();
        turned_away.read_to_string(&mut text).await.expect("read");
        assert!(text.starts_with("HTTP/1.1 429 ") && text.contains("{\"code\":\"E_BUSY\"") && text.contains("2 connections"), "{text}");
        drop(kept);
        let _again = TcpStream::connect(addr).await.expect("connected");
        assert_eq!(listener.accept().await.1.ip().to_string(), "127.0.0.1");
    }
}
