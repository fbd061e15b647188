//! The facade: every primitive that the crate synchronises with, named once.
//!
//! Nothing else in the crate names `parking_lot`, `loom` or `std::sync`. Built with `--cfg loom` the same names are loom's, and the whole
//! crate can be model-checked.

#[cfg(loom)]
pub(crate) use model::*;
#[cfg(not(loom))]
pub(crate) use native::*;

#[cfg(not(loom))]
mod native {
    use std::time::Instant;

    pub(crate) use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicU64, Ordering, fence},
        },
        thread::{Builder as ThreadBuilder, Thread, current, park, yield_now},
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
}

#[cfg(loom)]
mod model {
    use std::time::Instant;

    pub(crate) use loom::{
        sync::{
            Arc, MutexGuard,
            atomic::{AtomicBool, AtomicU64, Ordering, fence},
        },
        thread::{Builder as ThreadBuilder, Thread, current, park, yield_now},
    };

    /// loom's mutex without poisoning.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(loom::sync::Condvar::new())
        }

        /// By an instant it comes back at once: time is up.
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
}
