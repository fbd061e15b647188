//! Timers with jitter (RFC 4271, 10), and pauses that grow.

use std::time::Duration;

/// A generator of pseudo-random numbers (`SplitMix64`). Its numbers spread timers; they keep no
/// secrets.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Returns from three quarters of a time to all of it.
    pub(super) fn jitter(&mut self, time: Duration) -> Duration {
        let part = u32::try_from(self.next() >> 54).unwrap_or(0); // less than 1024
        time * 3 / 4 + time / 4 * part / 1_024
    }
}

/// The pause after a session that failed: it doubles until a session has lasted.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        let next = first;
        Self {
            first,
            longest,
            next,
        }
    }

    /// Returns the pause, and doubles the next one.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest).max(self.first);
        pause
    }

    /// Notes a session that was established for this time.
    pub(super) fn lasted(&mut self, time: Duration) {
        if time >= self.longest {
            self.next = self.first;
        }
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}
