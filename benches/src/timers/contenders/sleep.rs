//! `tokio::time::sleep_until`, polled once: a hierarchical wheel with a tick of a millisecond, in
//! the runtime.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::Queue;
use crate::timers::clock::advance_to;

pub(in super::super) struct Sleeps {
    woken: Arc<Woken>,
    waker: Waker,
    start: Instant,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Queue for Sleeps {
    type Id = Pin<Box<Sleep>>;

    fn new() -> Self {
        let woken = Arc::new(Woken::default());
        Self {
            waker: Waker::from(Arc::clone(&woken)),
            woken,
            start: Instant::now(),
        }
    }

    #[inline]
    fn arm(&mut self, at: u64, _: u64) -> Pin<Box<Sleep>> {
        let mut sleep = Box::pin(sleep_until(self.start + Duration::from_nanos(at)));
        let mut cx = Context::from_waker(&self.waker);
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        sleep
    }

    #[inline]
    fn cancel(&mut self, id: Pin<Box<Sleep>>) {
        drop(id);
    }

    fn look(&mut self, now: u64) -> usize {
        advance_to(self.start + Duration::from_nanos(now));
        self.woken.0.swap(0, Ordering::Relaxed)
    }
}
