//! The HTTP listener with bounds: so many connections at a time, and none that stays silent. Without them, anyone who can
//! reach the port could hold all of the process's file descriptors.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
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
    silence: Duration,
}

impl Bounded {
    /// At most `connections` at a time, each closed when nothing moves for `silence`.
    pub(crate) fn new(listener: TcpListener, connections: usize, silence: Duration) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(connections)), silence }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Bound;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Bound, SocketAddr) {
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, addr) = axum::serve::Listener::accept(&mut self.listener).await;
        // A wish about latency: the connection works without it.
        let _ = stream.set_nodelay(true);
        let silence = Box::pin(tokio::time::sleep(self.silence));
        (Bound { stream, silence, limit: self.silence, _slot: slot }, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing moves for too long.
pub(crate) struct Bound {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    limit: Duration,
    _slot: OwnedSemaphorePermit,
}

impl Bound {
    /// Passes on what the stream says; if it says nothing, the clock runs.
    fn timed<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.silence.as_mut().reset(Instant::now() + self.limit);
            return poll;
        }
        self.silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Bound {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.timed(context, poll)
    }
}

impl AsyncWrite for Bound {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(context, poll)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.timed(context, poll)
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

    async fn bounded(silence: Duration) -> Bounded {
        Bounded::new(TcpListener::bind("127.0.0.1:0").await.expect("a port"), 1, silence)
    }

    #[tokio::test]
    async fn a_second_connection_waits_for_the_first_to_end() {
        let mut listener = bounded(Duration::from_secs(3600)).await;
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
        let mut listener = bounded(Duration::ZERO).await;
        let addr = listener.local_addr().expect("an address");
        let _silent = TcpStream::connect(addr).await.expect("connected");
        let (mut accepted, _) = listener.accept().await;
        let error = accepted.read_u8().await.expect_err("silence");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
