//! Congestion control that never has more in flight than is of use. On one machine or one fast network nothing but the receiving socket limits
//! what is in flight, and every datagram beyond its buffer is lost: 212,992 bytes on a Linux nobody has tuned, a few jumbo
//! datagrams. A loss at the end of a round costs many round trips. BBR, far apart, takes the bursts of rounds for a path without end.

use quinn::congestion::{BbrConfig, Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

/// Builds [`Capped`] controllers.
pub(crate) struct Cap {
    inner: Arc<dyn ControllerFactory + Send + Sync>,
    cap: u64,
}

impl Cap {
    /// Cubic with at most `cap` bytes in flight, and as many from the start: there is no network between to be gentle to.
    pub(crate) fn cubic(cap: u64) -> Self {
        let mut cubic = CubicConfig::default();
        cubic.initial_window(cap);
        Cap { inner: Arc::new(cubic), cap }
    }

    /// BBR with at most `cap` bytes in flight.
    pub(crate) fn bbr(cap: u64) -> Self {
        Cap { inner: Arc::new(BbrConfig::default()), cap }
    }
}

impl ControllerFactory for Cap {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        Box::new(Capped { inner: self.inner.clone().build(now, mtu), cap: self.cap })
    }
}

struct Capped {
    inner: Box<dyn Controller>,
    cap: u64,
}

impl Controller for Capped {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        // beyond the cap there is nothing to probe for
        let app_limited = app_limited || self.inner.window() >= self.cap;
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_packet_num_acked: Option<u64>) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.inner.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.inner.window().min(self.cap)
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Capped { inner: self.inner.clone_box(), cap: self.cap })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window().min(self.cap)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_controller_nor_its_copies_leave_the_cap() {
        for cap in [Cap::cubic(100_000), Cap::bbr(100_000)] {
            let mut controller = Arc::new(cap).build(Instant::now(), 1452);
            for mtu in [1452, 8900, 65_507] {
                controller.on_mtu_update(mtu);
                let copy = controller.clone_box();
                assert!(controller.window() <= 100_000 && copy.window() <= 100_000 && copy.initial_window() <= 100_000, "{mtu}");
            }
        }
    }
}
