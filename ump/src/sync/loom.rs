//! The primitives of a loom model: loom's own, and replacements for the few that loom lacks.

#![forbid(unsafe_code)]

use std::{ops::Deref, time::Instant};

/// The `Arc` of wakers, and whether this thread panics: both are the standard library's in a model
/// as well.
pub(crate) use std::{sync::Arc as WakerArc, thread::panicking};

pub(crate) use loom::{
    sync::{Arc, MutexGuard, atomic::Ordering},
    thread::{Thread, current, park},
    thread_local as of_each_thread,
};

/// Counters and hints are not part of the protocol: loom need not explore their interleavings.
pub(crate) use std::sync::atomic::AtomicU64;

/// loom's atomics, with compare-exchanges that can fail as the language allows.
///
/// In loom a compare-exchange reads the newest value, whether it succeeds or fails. The language
/// guarantees that only for one that succeeds. One that fails is a load, which may read an older
/// value like any other load. So these begin with a load, and fail if it does not read the expected
/// value.
///
/// ORDERING: Every operation of the macro uses the orderings of its caller.
macro_rules! atomics {
    ($($(#[$attr:meta])* $name:ident $(<$T:ident>)?: $value:ty;)+) => { $(
        $(#[$attr])*
        #[derive(Debug)]
        pub(crate) struct $name $(<$T>)?(loom::sync::atomic::$name $(<$T>)?);

        #[allow(dead_code, reason = "each has the same")]
        impl $(<$T>)? $name $(<$T>)? {
            pub(crate) fn new(value: $value) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }

            pub(crate) fn compare_exchange(
                &self,
                expected: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let found = self.0.load(failure);
                if found != expected {
                    return Err(found);
                }
                self.0.compare_exchange(expected, new, success, failure)
            }

            /// Has no load of its own. Each caller uses it in a loop that begins with a load, which
            /// may have read any value that a failing exchange could read. (Each iteration tries
            /// again with the value that it finds. More loads would only make the models several
            /// times as large.)
            pub(crate) fn compare_exchange_weak(
                &self,
                expected: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.0.compare_exchange(expected, new, success, failure)
            }

            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                step: impl Fn($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut found = self.0.load(failure);
                while let Some(next) = step(found) {
                    match self.0.compare_exchange(found, next, success, failure) {
                        Ok(found) => return Ok(found),
                        Err(other) => found = other,
                    }
                }
                Err(found)
            }
        }

        impl $(<$T>)? Deref for $name $(<$T>)? {
            type Target = loom::sync::atomic::$name $(<$T>)?;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    )+ };
}

atomics! {
    AtomicBool: bool;
    AtomicPtr<T>: *mut T;
    AtomicUsize: usize;
    /// Freeing this atomic counts as an access that has to come after all others. loom does not
    /// check that by itself.
    AtomicU32: u32;
}

impl Drop for AtomicU32 {
    fn drop(&mut self) {
        if !panicking() {
            self.0.with_mut(|_| ());
        }
    }
}

/// loom's `UnsafeCell`. Freeing it counts as an access that has to come after all others.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }
}

impl<T> Deref for UnsafeCell<T> {
    type Target = loom::cell::UnsafeCell<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> Drop for UnsafeCell<T> {
    fn drop(&mut self) {
        if !panicking() {
            self.0.with_mut(|_| ());
        }
    }
}

/// loom's mutex without poisoning.
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Creates an unlocked mutex.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Locks the mutex, poisoned or not.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Yields once; after that the deadline has passed. So loom explores both orders.
pub(crate) fn park_until(deadline: Option<Instant>) -> bool {
    if deadline.is_none() {
        park();
        return false;
    }
    loom::thread::yield_now();
    true
}

/// Yields, so that the holder of the lock bit runs.
pub(crate) fn lock_pause(_: &mut u32) {
    loom::thread::yield_now();
}
