//! One reading of the clock, passed down so that whatever depends on time can be tested without waiting.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment: by the calendar for what is stored and shown, by the stopwatch for deadlines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Unix milliseconds.
    pub unix_ms: u64,
    /// The stopwatch.
    pub at: Instant,
}

impl Now {
    pub(crate) fn read() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX), at: Instant::now() }
    }

    /// Unix seconds.
    pub(crate) fn unix(self) -> u64 {
        self.unix_ms / 1000
    }
}
