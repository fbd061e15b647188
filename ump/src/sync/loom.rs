//! The primitives of a model: loom's, with the few that loom lacks expressed by those that it has.

#![forbid(unsafe_code)]

use std::{ops::Deref, time::Instant};

/// What wakers are made of, and what the standard library knows about this thread: the same in a model.
pub(crate) use std::{sync::Arc as WakerArc, thread::panicking};

pub(crate) use loom::{
    sync::{Arc, MutexGuard, atomic::Ordering},
    thread::{Thread, current, park},
    thread_local as of_each_thread,
};

/// Counters and hints are not part of the protocol: loom need not explore their interleavings.
pub(crate) use std::sync::atomic::AtomicU64;

/// loom's atomics, with compare-exchanges that can fail as the language lets them.
///
/// In loom a compare-exchange reads the newest value, whether it succeeds or fails. The language promises that only of one that succeeds: one that fails
/// is a load, which may read an older value like any other. So a load comes first, and ends it if it does not read what is expected.
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

            /// Without a load of its own: who uses it, in a loop, has begun with a load, which may have read whatever one that fails here could. (Each
            /// of them tries again with what it finds; more loads would only make the models some times as large.)
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
    /// To free it is an access as well: one that has to come after all the others, which loom does not ask for.
    AtomicU32: u32;
}

impl Drop for AtomicU32 {
    fn drop(&mut self) {
        if !panicking() {
            self.0.with_mut(|_| ());
        }
    }
}

/// The same.
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

/// Lets the others run once; after that a deadline has passed. So both orders are explored.
pub(crate) fn park_until(deadline: Option<Instant>) -> bool {
    if deadline.is_none() {
        park();
        return false;
    }
    loom::thread::yield_now();
    true
}

/// Lets the holder of the lock bit run.
pub(crate) fn lock_pause(_: &mut u32) {
    loom::thread::yield_now();
}
