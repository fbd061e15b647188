//! The primitives of a shuttle model. They make their random decisions with shuttle's own random
//! numbers, so that a schedule can be replayed.
//!
//! shuttle models sequential consistency only: the `Ordering` of an operation is checked by loom.

#![forbid(unsafe_code)]

use std::{
    cell::{self, Cell},
    future, mem,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use shuttle::rand::{Rng, thread_rng};

pub(crate) use shuttle::{thread::yield_now, thread_local as of_each_thread};

/// The `Arc` of wakers, and whether this thread panics: both are the standard library's in a model
/// as well.
pub(crate) use std::{sync::Arc as WakerArc, thread::panicking};

pub(crate) use shuttle::sync::{
    Arc, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

/// One in this many calls of `park` returns without a reason.
const EARLY: u32 = 16;

/// The maximum number of checks, or of yields, of a thread that waits awake or for a deadline.
const TIMES: u32 = 3;

/// shuttle's mutex without poisoning.
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

/// `std::cell::UnsafeCell` that detects accesses that overlap with a write. Other threads may run
/// in the middle of a write.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T> {
    value: cell::UnsafeCell<T>,
    /// The number of readers, or [`WRITTEN`].
    access: Cell<usize>,
}

const WRITTEN: usize = usize::MAX;

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: cell::UnsafeCell::new(value),
            access: Cell::new(0),
        }
    }

    /// Gives access for reading. The caller guarantees that no other thread writes.
    pub(crate) fn with<U>(&self, f: impl FnOnce(*const T) -> U) -> U {
        let readers = self.access.get();
        assert!(readers != WRITTEN, "read while it is written");
        self.access.set(readers + 1);
        let _done = Done(&self.access);
        f(self.value.get())
    }

    /// Gives access for writing. The caller guarantees that there is no other access.
    pub(crate) fn with_mut<U>(&self, f: impl FnOnce(*mut T) -> U) -> U {
        let before = self.access.replace(WRITTEN);
        assert!(before == 0, "written while it is read or written");
        let _done = Done(&self.access);
        switch();
        f(self.value.get())
    }
}

struct Done<'a>(&'a Cell<usize>);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let left = match self.0.get() {
            WRITTEN => 0,
            readers => readers - 1,
        };
        self.0.set(left);
    }
}

/// A thread or task of shuttle's that can sleep.
#[derive(Clone, Debug)]
pub(crate) struct Thread(Waker);

impl Thread {
    pub(crate) fn unpark(self) {
        switch();
        self.0.wake();
    }
}

pub(crate) fn current() -> Thread {
    shuttle::future::block_on(future::poll_fn(|cx| {
        Poll::Ready(Thread(cx.waker().clone()))
    }))
}

/// Parks until the thread is unparked.
///
/// This is not shuttle's `park`. That one may return without a reason whenever another thread can
/// run, which would hide a missing wake-up. This one rarely does.
pub(crate) fn park() {
    if one_in(EARLY) {
        return switch();
    }
    let mut slept = false;
    shuttle::future::block_on(future::poll_fn(|_| {
        if mem::replace(&mut slept, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
}

/// Yields a few times. After that the deadline has passed, or the thread was woken early.
pub(crate) fn park_until(deadline: Option<Instant>) -> bool {
    if deadline.is_none() {
        park();
        return false;
    }
    (0..times()).for_each(|_| shuttle::thread::yield_now());
    one_in(2)
}

/// Yields, so that the holder of the lock bit runs.
pub(crate) fn lock_pause(_: &mut u32) {
    shuttle::thread::yield_now();
}

/// Lets other threads run.
fn switch() {
    shuttle::thread::sleep(Duration::ZERO);
}

pub(crate) fn one_in(times: u32) -> bool {
    thread_rng().gen_ratio(1, times)
}

pub(crate) fn times() -> u32 {
    thread_rng().gen_range(0..=TIMES)
}
