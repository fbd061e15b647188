//! The primitives of a real program.

use std::time::Instant;

pub(crate) use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
    thread::{Builder as ThreadBuilder, yield_now},
};

pub(crate) use parking_lot::{Mutex, MutexGuard};

pub(crate) struct Condvar(parking_lot::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(parking_lot::Condvar::new())
    }

    /// Waits to be notified, at most until an instant; tells whether that has come.
    pub(crate) fn wait<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        until: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        let is_late = if let Some(until) = until {
            self.0.wait_until(&mut guard, until).timed_out()
        } else {
            self.0.wait(&mut guard);
            false
        };
        (guard, is_late)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}
