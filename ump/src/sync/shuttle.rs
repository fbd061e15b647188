//! The primitives of a large model: shuttle's, with what it leaves to chance decided by its own random numbers, so that a schedule can be
//! replayed.
//!
//! shuttle models sequential consistency only: what an `Ordering` is good for is loom's to find out.

#![forbid(unsafe_code)]

use std::{
    cell::{self, Cell},
    future, mem,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use shuttle::rand::{Rng, thread_rng};

pub(crate) use shuttle::{thread::yield_now, thread_local as of_each_thread};

/// What wakers are made of, and what the standard library knows about this thread: the same in a model.
pub(crate) use std::{sync::Arc as WakerArc, thread::panicking};

pub(crate) use shuttle::sync::{
    Arc, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

/// One in so many calls of `park` returns for no reason.
const EARLY: u32 = 16;

/// So often, at most, one looks or lets others run while it waits awake or for a deadline.
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

/// `std::cell::UnsafeCell` that finds access which overlaps with writing: others may run in the middle of it.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T> {
    value: cell::UnsafeCell<T>,
    /// How many read it now, or [`WRITTEN`].
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

    /// Gives access for reading; the caller vouches that nobody writes.
    pub(crate) fn with<U>(&self, f: impl FnOnce(*const T) -> U) -> U {
        let readers = self.access.get();
        assert!(readers != WRITTEN, "read while it is written");
        self.access.set(readers + 1);
        let _done = Done(&self.access);
        f(self.value.get())
    }

    /// Gives access for writing; the caller vouches for being alone.
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

/// Somebody who can sleep, be it a thread of shuttle's or one of its tasks.
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

/// Sleeps until unparked.
///
/// Not shuttle's `park`: that may return for no reason whenever anybody else can run, which would make up for a wake-up that is missing.
/// This one seldom does.
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

/// Lets others run for a while; after that a deadline has passed, or it was woken early.
pub(crate) fn park_until(deadline: Option<Instant>) -> bool {
    if deadline.is_none() {
        park();
        return false;
    }
    (0..times()).for_each(|_| shuttle::thread::yield_now());
    one_in(2)
}

/// Lets the holder of the lock bit run.
pub(crate) fn lock_pause(_: &mut u32) {
    shuttle::thread::yield_now();
}

/// Others may run here.
fn switch() {
    shuttle::thread::sleep(Duration::ZERO);
}

pub(crate) fn one_in(times: u32) -> bool {
    thread_rng().gen_ratio(1, times)
}

pub(crate) fn times() -> u32 {
    thread_rng().gen_range(0..=TIMES)
}
