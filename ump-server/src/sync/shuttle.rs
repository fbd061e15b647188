//! The primitives of a large model: shuttle's, with what it leaves to chance decided by its own random numbers, so that a schedule can be
//! replayed. See the channel's.

use std::time::{Duration, Instant};

pub(crate) use shuttle::{
    lazy_static,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
    thread::{Builder as ThreadBuilder, JoinHandle as ThreadHandle, yield_now},
};

/// shuttle's mutex without poisoning.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Any mutex will do for a [`Condvar`] in a model.
pub(crate) use Mutex as SleepMutex;

/// Waits for the end of a thread, thread-locals included. Returns at once on that thread itself.
pub(crate) fn join_thread(thread: ThreadHandle<()>) {
    let _ = thread.join();
}

#[derive(Debug)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    /// By an instant it lets others run, and then time is up.
    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        until: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        let is_timed = until.is_some();
        let guard = if is_timed {
            let waited = self.0.wait_timeout(guard, Duration::ZERO);
            waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
        } else {
            let waited = self.0.wait(guard);
            waited.unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        (guard, is_timed)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}
