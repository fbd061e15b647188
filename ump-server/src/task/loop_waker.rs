//! Wakes a loop's task from elsewhere, when a timer is armed that is due before the end of the
//! task's sleep.
//!
//! The loop registers its waker before it computes until when to sleep. A thread or task that arms
//! a timer wakes the loop after the timer is armed. So either the loop sees the timer, or the
//! waking side sees the loop's waker.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Waker,
};

use crate::sync::Mutex;

#[derive(Debug, Default)]
pub(super) struct LoopWaker {
    waker: Mutex<Option<Waker>>,
    /// The number of wakes. Raised after the waker was taken out.
    wakes: AtomicUsize,
}

/// The waker that a loop has registered, and the number of wakes at that time. With it the loop
/// need not take the lock for each wait.
#[derive(Debug, Default)]
pub(super) struct RegisteredWaker(Option<(Waker, usize)>);

impl LoopWaker {
    /// Registers a waker, which the next wake takes out and wakes.
    #[inline]
    pub(super) fn register(&self, known: &mut RegisteredWaker, waker: &Waker) {
        // ORDERING: a Relaxed load, which need not see a `wake` that runs right now. That `wake`
        // has taken the registered waker and wakes it, and it is the same waker as this one.
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
        // ORDERING: Relaxed, pairs with the load in `register`. The number is raised before the
        // task is woken, so the poll that follows the wake reads the new number, and registers its
        // waker again.
        self.wakes.fetch_add(1, Ordering::Relaxed);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
