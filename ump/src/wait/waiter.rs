//! Waiters: a thread or a task, and how it is woken.

#![forbid(unsafe_code)]

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
};

use crate::sync::Thread;

/// A sleeping thread, or a task that returned `Pending`.
///
/// To wake or drop a task's waker runs user code, and must not be done under a lock. A panicking
/// waker is caught; only the panic hook reports it. It does not affect the client or server that
/// happens to wake it.
#[derive(Debug)]
pub(crate) enum Waiter {
    Thread(Thread),
    Task(TaskWaker),
}

impl Waiter {
    #[inline]
    pub(crate) fn task(waker: &Waker) -> Self {
        Self::Task(TaskWaker(Some(waker.clone())))
    }

    /// Returns whether the waiter is the task of `waker`, as far as that can be known.
    #[inline]
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        match self {
            Self::Thread(_) => false,
            Self::Task(task) => task.0.as_ref().is_some_and(|old| old.will_wake(waker)),
        }
    }

    #[inline]
    pub(crate) fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            Self::Task(mut task) => catch_user_panic(|| task.0.take().map(Waker::wake)),
        }
    }
}

/// A waker whose drop does not panic.
#[derive(Debug)]
pub(crate) struct TaskWaker(Option<Waker>);

impl Drop for TaskWaker {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            catch_user_panic(|| drop(waker));
        }
    }
}

/// Requests another poll of the current task, after other tasks have run.
#[inline]
pub(crate) fn request_repoll(waker: &Waker) {
    catch_user_panic(|| waker.wake_by_ref());
}

/// Runs user code on a thread that does not own it: wakes a waker, or drops a message. A panic is
/// caught; only the panic hook reports it.
pub fn catch_user_panic<T>(users_code: impl FnOnce() -> T) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(users_code)) else {
        return;
    };
    // The panic payload belongs to the user as well, and its drop may panic. The payload of that
    // second panic is leaked, so that the chain ends here.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(panic);
    }
}

/// Waiters that were removed under a lock, to be woken or dropped after the lock is released.
/// Usually there is only one.
#[derive(Debug, Default)]
#[must_use = "somebody sleeps until this is fired"]
pub(crate) struct DeferredWake {
    first: Option<Waiter>,
    others: Option<Box<Others>>,
}

#[derive(Debug, Default)]
struct Others {
    wake: Option<Waiter>,
    /// Waiters to drop: they need not be woken any more.
    discard: [Option<Waiter>; 2],
}

impl DeferredWake {
    #[inline]
    pub(crate) fn new(waiter: Option<Waiter>) -> Self {
        Self {
            first: waiter,
            others: None,
        }
    }

    #[inline]
    pub(crate) fn and_wake(mut self, waiter: Option<Waiter>) -> Self {
        if self.first.is_none() {
            self.first = waiter;
        } else if waiter.is_some() {
            self.others().wake = waiter;
        }
        self
    }

    #[inline]
    pub(crate) fn and_discard(mut self, waiters: [Option<Waiter>; 2]) -> Self {
        if waiters.iter().any(Option::is_some) {
            self.others().discard = waiters;
        }
        self
    }

    #[cold]
    fn others(&mut self) -> &mut Others {
        self.others.get_or_insert_default()
    }

    /// Wakes and drops the waiters. This runs user code: it must not be called under a lock.
    #[inline]
    pub(crate) fn fire(self) {
        if let Some(waiter) = self.first {
            waiter.wake();
        }
        if let Some(waiter) = self.others.and_then(|others| others.wake) {
            waiter.wake();
        }
    }
}
