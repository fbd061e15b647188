//! The waker of a thread that drives a future.

#![forbid(unsafe_code)]

use std::task::Wake;

use crate::sync::{AtomicBool, Ordering, Thread, WakerArc, current};

/// Wakes the thread that drives a future.
///
/// The flag is what counts. The thread's park token is not enough: a future that parks while it is polled (in a blocking request, or in a
/// channel of the standard library) uses the token up.
pub(super) struct ThreadWaker {
    thread: Thread,
    is_woken: AtomicBool,
}

impl ThreadWaker {
    /// Of this thread.
    pub(super) fn new() -> Self {
        Self {
            thread: current(),
            is_woken: AtomicBool::new(false),
        }
    }

    /// Whether the future was woken since this was last asked.
    pub(super) fn take_wake_up(&self) -> bool {
        // Acquire: pairs with the Release of `wake`, so the next poll sees what was done before it.
        self.is_woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for ThreadWaker {
    fn wake(self: WakerArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &WakerArc<Self>) {
        // Release: pairs with the Acquire of `take_wake_up`. Before the unpark, so that whoever is unparked finds it. An exchange, so that this and
        // those of `take_wake_up` have one order in loom as well, which does not know that nothing can come between the two halves of an exchange.
        self.is_woken.swap(true, Ordering::Release);
        self.thread.clone().unpark();
    }
}
