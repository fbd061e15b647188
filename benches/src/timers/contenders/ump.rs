//! `ump-server` through its public interface, with the lock that lets other threads arm timers.

use std::time::{Duration, Instant};

use ump_server::{
    Clock, TimerId, Timers,
    timer::{Due, timers},
};

use super::Queue;

pub(in super::super) struct Ump {
    timers: Timers<u64>,
    due: Due<u64>,
    start: Instant,
}

impl Queue for Ump {
    type Id = TimerId;

    fn new() -> Self {
        let (timers, due) = timers(Clock::system(), || {});
        Self {
            timers,
            due,
            start: Instant::now(),
        }
    }

    #[inline]
    fn arm(&mut self, at: u64, token: u64) -> TimerId {
        self.timers.at(self.start + Duration::from_nanos(at), token)
    }

    #[inline]
    fn cancel(&mut self, id: TimerId) {
        assert!(self.timers.cancel(id).is_some());
    }

    fn look(&mut self, now: u64) -> usize {
        self.due.begin(self.start + Duration::from_nanos(now));
        std::iter::from_fn(|| self.due.pop()).count()
    }
}
