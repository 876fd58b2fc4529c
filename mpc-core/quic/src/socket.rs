//! The UDP socket, wrapped so that jumbo datagrams and segmentation offload go together: a batch the kernel takes in one call
//! is at most 65,507 bytes, which quinn does not know.

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

/// The largest UDP payload there is over IPv4.
pub(crate) const MAX_DATAGRAM: usize = 65_507;

/// Puts something between a node's socket and QUIC: another network than the one there is, for benchmarks.
pub type Through = Box<dyn FnOnce(Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> + Send>;

/// A socket that never hands the kernel more than it can take at once.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    /// The largest datagram sent so far: how many fit into one call.
    largest: AtomicUsize,
    receive_buffer: usize,
}

impl Socket {
    /// Takes over a bound socket, with kernel buffers of `buffer` bytes as far as the system allows. `through` may put something between the
    /// socket and QUIC.
    pub(crate) fn new(socket: UdpSocket, buffer: usize, through: Through) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        for set in [UdpSocketState::set_recv_buffer_size, UdpSocketState::set_send_buffer_size] {
            if let Err(e) = set(&state, (&socket).into(), buffer) {
                tracing::debug!(%e, buffer, "the socket buffers stay as they are");
            }
        }
        let receive_buffer = state.recv_buffer_size((&socket).into())?;
        let inner = through(TokioRuntime.wrap_udp_socket(socket)?);
        Ok(Socket { receive_buffer, inner, largest: AtomicUsize::new(1200) })
    }
}

impl Socket {
    /// What the system has given for receiving.
    pub(crate) fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        self.largest.fetch_max(segment, Relaxed);
        if transmit.contents.len() <= MAX_DATAGRAM {
            return self.inner.try_send(transmit);
        }
        // the batch was made before the larger size was known
        let batch = (MAX_DATAGRAM / segment).max(1) * segment;
        transmit.contents.chunks(batch).try_for_each(|contents| {
            let segment_size = (contents.len() > segment).then_some(segment);
            self.inner.try_send(&Transmit { contents, segment_size, ..transmit.clone() })
        })
    }

    fn poll_recv(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments().min(MAX_DATAGRAM / self.largest.load(Relaxed)).max(1)
    }

    fn max_receive_segments(&self) -> usize {
        // quinn multiplies this with the largest datagram; what the kernel coalesces is no larger than one
        1
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
