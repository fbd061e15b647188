//! Detects blocking calls on the thread of an executor, which may wait for a task that only this
//! thread can run.
//!
//! This cannot be detected for certain: a thread within `spawn_blocking` has the same runtime, and
//! does not keep it from running. So such a call is made anyway. If it times out, its error names
//! the possible reason.

#[cfg(not(any(loom, shuttle)))]
use std::cell::Cell;

/// The explanation for the texts of errors.
pub(crate) const EXECUTOR: &str = "the waiting thread is that of a current-thread runtime, \
    whose tasks do not run while the thread blocks: await instead";

/// Returns whether this thread has a runtime whose tasks do not run while the thread blocks.
#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
pub(crate) fn blocks_an_executor() -> bool {
    use tokio::runtime::{Handle, RuntimeFlavor};

    let here = Handle::try_current();
    here.is_ok_and(|here| here.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

#[cfg(not(all(feature = "tokio", not(any(loom, shuttle)))))]
pub(crate) fn blocks_an_executor() -> bool {
    false
}

#[cfg(not(any(loom, shuttle)))]
thread_local! {
    /// Whether a blocking call that polls a future is in progress on the thread of an executor.
    static IS_BLOCKED: Cell<bool> = const { Cell::new(false) };
}

/// Makes a blocking call. During the call [`executor_is_blocked`] returns whether it blocks the
/// executor of this thread.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn blocking<T>(call: impl FnOnce() -> T) -> T {
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            IS_BLOCKED.set(self.0);
        }
    }

    let _before = Before(IS_BLOCKED.replace(blocks_an_executor()));
    call()
}

/// Returns whether the future polled here is driven by a call that blocks an executor.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn executor_is_blocked() -> bool {
    IS_BLOCKED.get()
}
