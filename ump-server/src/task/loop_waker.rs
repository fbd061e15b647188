//! Wakes a loop's task from elsewhere: for a timer that is earlier than what it sleeps for.
//!
//! The loop listens before it looks until when to sleep; whoever arms a timer wakes after it is
//! armed. So either the loop sees the timer, or whoever wakes sees the loop's waker.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Waker,
};

use crate::sync::Mutex;

#[derive(Debug, Default)]
pub(super) struct LoopWaker {
    waker: Mutex<Option<Waker>>,
    /// How often it has woken. Raised after the waker was taken out.
    wakes: AtomicUsize,
}

/// What a loop knows of its loop waker, so that it need not take the lock each time it waits.
#[derive(Debug, Default)]
pub(super) struct RegisteredWaker(Option<(Waker, usize)>);

impl LoopWaker {
    /// From now on it wakes this one, until it has woken.
    #[inline]
    pub(super) fn register(&self, known: &mut RegisteredWaker, waker: &Waker) {
        // That it is ringing right now may not be seen here. Then the waker that is known is woken,
        // which is this one.
        let wakes = self.wakes.load(Ordering::Relaxed);
        if let RegisteredWaker(Some((known, woken))) = known {
            if *woken == wakes && known.will_wake(waker) {
                return;
            }
        }
        self.replace(waker);
        known.0 = Some((waker.clone(), wakes));
    }

    #[cold]
    fn replace(&self, waker: &Waker) {
        let waker = waker.clone();
        let replaced = self.waker.lock().replace(waker);
        drop(replaced);
    }

    pub(super) fn wake(&self) {
        let waker = self.waker.lock().take();
        self.wakes.fetch_add(1, Ordering::Relaxed);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
