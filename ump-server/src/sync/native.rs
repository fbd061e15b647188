//! The primitives of a real program.

use std::{
    sync::{MutexGuard as SleepGuard, PoisonError},
    time::Instant,
};

pub(crate) use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
    thread::{Builder as ThreadBuilder, JoinHandle as ThreadHandle, yield_now},
};

pub(crate) use parking_lot::{Mutex, MutexGuard};

/// A mutex for a [`Condvar`], never poisoned.
///
/// Both are those of the standard library, because a thread may sleep here without a limit.
/// `parking_lot` would keep that thread in a table of the process, by an address on its stack,
/// which a forked child inherits and reuses.
#[derive(Debug, Default)]
pub(crate) struct SleepMutex<T>(std::sync::Mutex<T>);

impl<T> SleepMutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> SleepGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of a thread, its thread-locals included. Returns immediately on that thread
/// itself.
pub(crate) fn join_thread(thread: ThreadHandle<()>) {
    if thread.thread().id() != std::thread::current().id() {
        // A loop catches the panics of its handler.
        let _ = thread.join();
    }
}

pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    /// Waits to be notified, at most until an instant. Returns whether that has passed.
    pub(crate) fn wait<'a, T>(
        &self,
        guard: SleepGuard<'a, T>,
        until: Option<Instant>,
    ) -> (SleepGuard<'a, T>, bool) {
        let Some(until) = until else {
            let guard = self.0.wait(guard);
            return (guard.unwrap_or_else(PoisonError::into_inner), false);
        };
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.0.wait_timeout(guard, left);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (guard, until <= Instant::now())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}
