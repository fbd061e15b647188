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
    pub(crate) use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicU64, Ordering},
        },
        thread::{Builder as ThreadBuilder, Thread, current, park},
    };

    pub(crate) use parking_lot::{Mutex, MutexGuard};
}

#[cfg(loom)]
mod model {
    pub(crate) use loom::{
        sync::{
            Arc, MutexGuard,
            atomic::{AtomicBool, AtomicU64, Ordering},
        },
        thread::{Builder as ThreadBuilder, Thread, current, park},
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
}
