//! The time of the calendar, which follows the clock of a test if there is one.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ump::Clock;

#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    clock: Clock,
    /// When the calendar was made, by both clocks.
    began: (SystemTime, Instant),
}

impl Calendar {
    pub(crate) fn new(clock: Clock) -> Self {
        let began = (SystemTime::now(), clock.now());
        Self { clock, began }
    }

    /// Returns the microseconds since 1970.
    #[inline]
    pub(crate) fn micros(&self) -> u64 {
        let now = if self.clock.is_system() {
            SystemTime::now()
        } else {
            let (time, instant) = self.began;
            time + self.clock.now().saturating_duration_since(instant)
        };
        micros(now)
    }
}

/// Returns the microseconds since 1970, or 0 for a time before.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Until the year 9999, the last that can be written.
    u64::try_from(since.as_micros())
        .unwrap_or(u64::MAX)
        .min(253_402_300_799_999_999)
}
