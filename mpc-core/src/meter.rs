//! What a session has cost so far: exact, counted where messages are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A reading of a session's meter. Payload only: frame heads, QUIC and TLS are counted by the transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// Rounds run (lanes of one session that run side by side add up).
    pub rounds: u64,
    /// Payload bits sent, exact element widths.
    pub bits: u64,
    /// Payload bytes sent: the bits of each column sent, rounded up.
    pub bytes: u64,
    /// Payload bytes received.
    pub received: u64,
}

impl std::ops::Sub for Meter {
    type Output = Meter;
    fn sub(self, o: Meter) -> Meter {
        Meter {
            rounds: self.rounds - o.rounds,
            bits: self.bits - o.bits,
            bytes: self.bytes - o.bytes,
            received: self.received - o.received,
        }
    }
}

impl std::ops::AddAssign for Meter {
    fn add_assign(&mut self, o: Meter) {
        self.rounds += o.rounds;
        self.bits += o.bits;
        self.bytes += o.bytes;
        self.received += o.received;
    }
}

/// The live counters of a session, shared by its lanes; any thread may read them.
#[derive(Debug, Default, Clone)]
pub struct Counters(Arc<[AtomicU64; 4]>);

impl Counters {
    /// The present reading.
    pub fn read(&self) -> Meter {
        let [rounds, bits, bytes, received] = std::array::from_fn(|i| self.0[i].load(Relaxed));
        Meter { rounds, bits, bytes, received }
    }

    pub(crate) fn round(&self) {
        self.0[0].fetch_add(1, Relaxed);
    }

    pub(crate) fn sent(&self, bits: u64, bytes: usize) {
        self.0[1].fetch_add(bits, Relaxed);
        self.0[2].fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.0[3].fetch_add(bytes as u64, Relaxed);
    }
}
