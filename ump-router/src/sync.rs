//! The facade of synchronisation primitives.
//!
//! Nothing else in the crate names `parking_lot`, `loom` or `std::sync::atomic`. With `--cfg loom`
//! the same names are loom's. `Arc` is the standard library's also in a model, and loom does not
//! know that its last drop happens after all others. Code that relies on that order uses `Shared`.

#[cfg(loom)]
pub(crate) use model::*;
#[cfg(not(loom))]
pub(crate) use native::*;

#[cfg(not(loom))]
mod native {
    pub(crate) use std::sync::{
        Arc as Shared, OnceLock,
        atomic::{AtomicBool, Ordering},
    };

    pub(crate) use parking_lot::{Mutex, RwLock};
}

#[cfg(loom)]
mod model {
    use std::sync::{self, PoisonError};

    pub(crate) use loom::sync::{
        Arc as Shared,
        atomic::{AtomicBool, Ordering},
    };
    use loom::sync::{RwLockReadGuard, RwLockWriteGuard};

    pub(crate) use ump::internal::ModelMutex as Mutex;

    /// loom's lock without poisoning.
    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// The standard library's `OnceLock`, with an atomic beside it that shows loom the order of its
    /// write and reads.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        is_set: AtomicBool,
        value: sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self {
                is_set: AtomicBool::new(false),
                value: sync::OnceLock::new(),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            let is_set = self.is_set.load(Ordering::Acquire);
            is_set.then(|| self.value.get()).flatten()
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.value.set(value)?;
            self.is_set.store(true, Ordering::Release);
            Ok(())
        }
    }
}
