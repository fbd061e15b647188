//! A loop's timers, with the time as an argument.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ump_server::{
    Clock, TimerId, Timers,
    timer::{Due, Periodic, timers},
};

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A loop's timers. Times are relative to `start`.
pub(crate) struct Bench<T> {
    pub(crate) timers: Timers<T>,
    pub(crate) due: Due<T>,
    pub(crate) start: Instant,
    woken: Arc<AtomicUsize>,
}

impl<T> Bench<T> {
    pub(crate) fn new() -> Self {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let wake = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let (timers, due) = timers(Clock::system(), wake);
        Self {
            timers,
            due,
            start: Instant::now(),
            woken,
        }
    }

    pub(crate) fn at(&self, time: Duration, token: T) -> TimerId {
        self.timers.at(self.start + time, token)
    }

    /// Returns the tokens that come in a round at `time`.
    pub(crate) fn round(&mut self, time: Duration) -> Vec<T> {
        self.due.begin(self.start + time);
        std::iter::from_fn(|| self.due.pop()).collect()
    }

    pub(crate) fn sleeps_until(&mut self) -> Option<Duration> {
        let until = self.due.sleep_until()?;
        Some(until.saturating_duration_since(self.start))
    }

    pub(crate) fn woken(&self) -> usize {
        self.woken.load(Ordering::Relaxed)
    }
}

impl<T: Clone> Bench<T> {
    /// Arms a periodic timer that first comes at `first`.
    pub(crate) fn every(&self, periodic: Periodic, first: Duration, token: T) -> TimerId {
        self.timers
            .every(periodic.first_at(self.start + first), token)
    }
}
