//! The waker of a thread that drives a future.

#![forbid(unsafe_code)]

use std::task::Wake;

use crate::sync::{AtomicBool, Ordering, Thread, WakerArc, current};

/// Wakes the thread that drives a future.
///
/// The flag decides whether the future was woken. The thread's park token is not enough: a future
/// that parks while it is polled (in a blocking request, or in a channel of the standard library)
/// uses the token up.
pub(super) struct ThreadWaker {
    thread: Thread,
    is_woken: AtomicBool,
}

impl ThreadWaker {
    /// Creates a waker of the current thread.
    pub(super) fn new() -> Self {
        Self {
            thread: current(),
            is_woken: AtomicBool::new(false),
        }
    }

    /// Returns whether the future was woken since the last call.
    pub(super) fn take_wake_up(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of `wake_by_ref`, so the next poll sees what
        // happened before the wake-up.
        self.is_woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for ThreadWaker {
    fn wake(self: WakerArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &WakerArc<Self>) {
        // ORDERING: Release pairs with the Acquire of `take_wake_up`. The exchange comes before the
        // unpark, so that the unparked thread finds the flag. It is an exchange, not a store, so
        // that this and the exchanges of `take_wake_up` have one order in loom as well, which does
        // not know that nothing can come between the two halves of an exchange.
        self.is_woken.swap(true, Ordering::Release);
        self.thread.clone().unpark();
    }
}
