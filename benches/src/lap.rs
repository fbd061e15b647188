//! A stopwatch of CPU time.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::sample::as_f64;

/// Returns the CPU time of this thread, so that other threads on its CPU do not count.
pub(crate) struct Lap(Duration);

impl Lap {
    pub(crate) fn start() -> Self {
        Self(running())
    }

    pub(crate) fn nanoseconds_each(&self, count: usize) -> f64 {
        self.elapsed().as_secs_f64() * 1e9 / as_f64(count as u64)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        running().saturating_sub(self.0)
    }
}

fn running() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the system has this clock");
    time.into()
}
