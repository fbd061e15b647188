//! Blocking calls on the thread of an executor: what they wait for may be a task that only this thread could run.
//!
//! Nobody can tell for certain: within `spawn_blocking` a thread knows the same runtime, and does not keep it from running. So such a call is made, and if
//! it is late its error says what the reason may be.

#[cfg(not(any(loom, shuttle)))]
use std::cell::Cell;

/// For the texts of errors.
pub(crate) const EXECUTOR: &str = "the thread that waits is that of a current-thread runtime, \
    whose tasks do not run while it blocks: await it instead";

/// Whether this thread knows a runtime whose tasks do not run while it blocks.
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
    /// Whether a blocking call that polls a future is under way on the thread of an executor.
    static IS_BLOCKED: Cell<bool> = const { Cell::new(false) };
}

/// Makes a blocking call, for which [`executor_is_blocked`] tells what it does to the executor of this thread.
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

/// Whether the future that is polled here is waited for by a call that blocks an executor.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn executor_is_blocked() -> bool {
    IS_BLOCKED.get()
}
