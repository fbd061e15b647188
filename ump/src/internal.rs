//! Pieces that the crates of this family share. They are no part of the interface, and change
//! without notice.

use std::fmt;

use crate::{
    RequestFuture,
    api::builder::{LONG, THREAD},
    wait::{SpinPolicy, spin_until},
};

/// loom's mutex without poisoning.
#[cfg(loom)]
pub use crate::sync::Mutex as ModelMutex;
pub use crate::{time::timeout::timeout_at, wait::waiter::catch_user_panic};

/// Makes a request register its waker as soon as it waits for the reply, instead of yielding first.
///
/// For a future that a loop polls among others with a waker of its own: to wake the loop for
/// another poll costs more than a yield of a task saves.
pub fn register_at_once<S, R, E>(request: &mut RequestFuture<'_, S, R, E>) {
    request.registers_at_once();
}

/// Learns whether it pays off that a thread stays awake for a moment before it sleeps in a system
/// call. All threads that wait for the same thing share it.
///
/// A thread spins for 20 µs at most, and for 250 µs now and then, so that both ends get to wait
/// awake; not at all where the process can use one CPU only, and not after it was in vain for some
/// time. In between it yields its CPU to threads that are ready. It is the policy by which callers
/// of a channel wait for their replies, where a check is a system call.
pub struct AdaptiveSpin(SpinPolicy);

impl AdaptiveSpin {
    /// Creates the policy for something that nobody has waited for yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(SpinPolicy::of_costly_checks(THREAD, LONG))
    }

    /// Checks until `ready` holds or the policy gives up. Returns whether `ready` holds.
    pub fn until(&self, ready: impl Fn() -> bool) -> bool {
        spin_until(&self.0, ready)
    }

    /// Sleeps by `sleep`, and learns how long that took if what is waited for `has_come`.
    pub fn sleep<T>(&self, sleep: impl FnOnce() -> T, has_come: impl FnOnce(&T) -> bool) -> T {
        let start = self.0.sleeps();
        let slept = sleep();
        if has_come(&slept) {
            self.0.woken(start);
        }
        slept
    }
}

impl Default for AdaptiveSpin {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for AdaptiveSpin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveSpin").finish_non_exhaustive()
    }
}
