//! The primitives of a real program.

#![forbid(unsafe_code)]

use std::{cell, thread, time::Instant};

/// What wakers are made of, and what the standard library knows about this thread.
pub(crate) use std::{sync::Arc as WakerArc, thread::panicking};

/// What each thread has of its own: known at compile time, so that to read it is one instruction.
macro_rules! of_each_thread {
    ($($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;)+) => {
        std::thread_local! { $($(#[$attr])* static $name: $type = const { $init };)+ }
    };
}
pub(crate) use of_each_thread;

pub(crate) use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{Thread, current, park},
};

pub(crate) use parking_lot::{Mutex, MutexGuard};

/// `std::cell::UnsafeCell` behind the part of loom's interface that is used here, so that one text serves both.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(cell::UnsafeCell::new(value))
    }

    /// Gives access for reading; the caller vouches that nobody writes.
    #[inline]
    pub(crate) fn with<U>(&self, f: impl FnOnce(*const T) -> U) -> U {
        f(self.0.get())
    }

    /// Gives access for writing; the caller vouches for being alone.
    #[inline]
    pub(crate) fn with_mut<U>(&self, f: impl FnOnce(*mut T) -> U) -> U {
        f(self.0.get())
    }
}

/// So often a client has to be served in a row before the handoff watches its slot: less than this may be chance.
pub(crate) const AFFINITY_THRESHOLD: u32 = 2;

/// How many results of its futures each thread has before one of them lets other tasks run.
pub(crate) const INITIAL_BUDGET: u32 = crate::coop::BUDGET;

/// Sleeps until unparked or until `deadline`; tells whether the deadline has passed.
///
/// May return early for no reason, like `std::thread::park`.
pub(crate) fn park_until(deadline: Option<Instant>) -> bool {
    let Some(deadline) = deadline else {
        park();
        return false;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::park_timeout(left);
    }
    Instant::now() >= deadline
}
