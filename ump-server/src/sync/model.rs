//! The primitives of a model: loom's.

use std::time::Instant;

pub(crate) use loom::{
    lazy_static,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
    thread::{Builder as ThreadBuilder, JoinHandle as ThreadHandle, yield_now},
};

pub(crate) use ump::internal::ModelMutex as Mutex;

/// The mutex for a [`Condvar`]. In a model any mutex will do.
pub(crate) use Mutex as SleepMutex;

/// Waits for the end of a thread, its thread-locals included.
pub(crate) fn join_thread(thread: ThreadHandle<()>) {
    let _ = thread.join();
}

pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    /// Waits to be notified. With a time limit it returns immediately: the limit has passed.
    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        until: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        if until.is_some() {
            return (guard, true);
        }
        let guard = self.0.wait(guard);
        let guard = guard.unwrap_or_else(std::sync::PoisonError::into_inner);
        (guard, false)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}
