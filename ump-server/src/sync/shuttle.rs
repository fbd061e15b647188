//! The primitives of a large model: shuttle's, with what it leaves to chance decided by its own random numbers, so that a schedule can be
//! replayed. See the channel's.

use std::{
    future, mem,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use shuttle::rand::{Rng, thread_rng};
pub(crate) use shuttle::{
    lazy_static,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
    thread::{Builder as ThreadBuilder, yield_now},
};

/// One in so many calls of `park` returns for no reason.
const EARLY: u32 = 16;

/// shuttle's mutex without poisoning.
#[derive(Debug, Default)]
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

#[derive(Debug)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    /// By an instant it lets others run, and then time is up.
    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        until: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        let is_timed = until.is_some();
        let guard = if is_timed {
            let waited = self.0.wait_timeout(guard, Duration::ZERO);
            waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
        } else {
            let waited = self.0.wait(guard);
            waited.unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        (guard, is_timed)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}

/// Somebody who can sleep.
#[derive(Clone, Debug)]
pub(crate) struct Thread(Waker);

impl Thread {
    pub(crate) fn unpark(&self) {
        // Others may run before.
        shuttle::thread::sleep(Duration::ZERO);
        self.0.wake_by_ref();
    }
}

pub(crate) fn current() -> Thread {
    shuttle::future::block_on(future::poll_fn(|cx| {
        Poll::Ready(Thread(cx.waker().clone()))
    }))
}

/// Sleeps until unparked. Not shuttle's own, which may return for no reason whenever anybody else can run, and so makes up for a wake-up that is
/// missing; this one seldom does.
pub(crate) fn park() {
    if thread_rng().gen_ratio(1, EARLY) {
        return shuttle::thread::sleep(Duration::ZERO);
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
