//! The primitives of a large model: shuttle's. Where shuttle leaves something to chance, its own
//! random numbers decide, so that a schedule can be replayed. See the `sync` module of the channel.

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

/// The mutex for a [`Condvar`]. In a model any mutex will do.
pub(crate) use Mutex as SleepMutex;

/// Waits for the end of a thread, its thread-locals included.
pub(crate) fn join_thread(thread: ThreadHandle<()>) {
    let _ = thread.join();
}

#[derive(Debug)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    /// Waits to be notified. With a time limit it lets other threads run, and then the limit has
    /// passed.
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
