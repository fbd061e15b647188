//! `tokio_util::time::DelayQueue`: a hierarchical wheel with a tick of a millisecond.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::time::{DelayQueue, delay_queue::Key};

use super::Queue;
use crate::timers::clock::advance_to;

pub(in super::super) struct Delays {
    queue: DelayQueue<u64>,
    start: Instant,
}

impl Queue for Delays {
    type Id = Key;

    fn new() -> Self {
        Self {
            queue: DelayQueue::new(),
            start: Instant::now(),
        }
    }

    #[inline]
    fn arm(&mut self, at: u64, token: u64) -> Key {
        self.queue
            .insert_at(token, self.start + Duration::from_nanos(at))
    }

    #[inline]
    fn cancel(&mut self, id: Key) {
        self.queue.remove(&id);
    }

    fn look(&mut self, now: u64) -> usize {
        advance_to(self.start + Duration::from_nanos(now));
        let mut cx = Context::from_waker(Waker::noop());
        let mut count = 0;
        while let Poll::Ready(Some(_)) = self.queue.poll_expired(&mut cx) {
            count += 1;
        }
        count
    }
}
