//! Who waits, and in which order: threads and tasks alike.
//!
//! A [`WaitQueue`] list lives under a channel's lock and is never asked to run the user's code there: it takes wakers that
//! were cloned before the lock was taken and hands out wakers to be woken (or dropped) after it is released.
//!
//! Being woken takes a waiter off the list. So whoever registered learns from its own entry what happened: still
//! there means *not woken*; gone means *woken*, and a woken waiter that leaves without using its turn owes
//! the wake-up to the next in line. That is how no wake-up gets lost when a future is dropped or a wait times out.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
};

use crate::sync::Thread;

/// A sleeping thread, or a task that returned `Pending`.
///
/// To wake or drop the second is to run the user's code: not to be done under a lock. If that panics it is the trouble of whoever
/// made the waker (the panic hook tells), not of the client or server that happens to wake it.
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

    /// Whether it is the task of `waker`, as far as can be known.
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

/// Lets other tasks run before this one is polled again.
#[inline]
pub(crate) fn request_repoll(waker: &Waker) {
    catch_user_panic(|| waker.wake_by_ref());
}

/// Runs user code on somebody else's thread: wakes a waker, or drops a message. A panic is caught; only
/// the panic hook reports it.
pub fn catch_user_panic<T>(users_code: impl FnOnce() -> T) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(users_code)) else {
        return;
    };
    // What was thrown is the user's as well, and its drop may throw. There it ends: what that throws is not dropped any more.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(panic);
    }
}

/// Waiters taken out under a lock, to be woken (or dropped) once it is released. Usually there is one.
#[derive(Debug, Default)]
#[must_use = "somebody sleeps until this is fired"]
pub(crate) struct DeferredWake {
    first: Option<Waiter>,
    others: Option<Box<Others>>,
}

#[derive(Debug, Default)]
struct Others {
    wake: Option<Waiter>,
    /// They need not be woken any more.
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

    /// Runs the user's code: not to be called under a lock.
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

/// One's place in a [`WaitQueue`] list or in a [`WaitSet`], from the first registration until it is left.
#[derive(Debug, Default)]
pub(crate) struct WaiterKey(Option<u64>);

impl WaiterKey {
    /// Whether it stands for a place that has not been left.
    #[inline]
    pub(crate) fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}

/// What a waiter finds when it leaves the list.
#[derive(Debug)]
pub(crate) enum Removal {
    /// It had not registered.
    NotRegistered,
    /// It had not been woken; here is its waiter, to be dropped after unlocking.
    Waiting(Waiter),
    /// It had been woken: if it does not use its turn, another has to be woken.
    Woken,
}

impl Removal {
    /// What is to be dropped after unlocking.
    #[inline]
    pub(crate) fn into_waiter(self) -> Option<Waiter> {
        match self {
            Self::Waiting(waiter) => Some(waiter),
            Self::NotRegistered | Self::Woken => None,
        }
    }
}

/// First come, first woken.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    /// By key, so in the order of first registration.
    line: VecDeque<(u64, Waiter)>,
    last: u64,
}

/// A line that has grown beyond this gives its memory back when it is empty.
const KEPT: usize = 64;

impl WaitQueue {
    /// Registers or stays registered, with `waiter` as the one to wake. Returns a waiter to drop after unlocking.
    ///
    /// Who was woken for nothing (another was quicker) gets its old place again.
    #[must_use = "a waiter may hold the user's waker: drop it after unlocking"]
    #[inline]
    pub(crate) fn register(&mut self, key: &mut WaiterKey, waiter: Waiter) -> Option<Waiter> {
        let Some(key) = key.0 else {
            self.last += 1;
            key.0 = Some(self.last);
            self.line.push_back((self.last, waiter));
            return None;
        };
        match self.find(key) {
            Ok(at) => Some(mem::replace(&mut self.line[at].1, waiter)),
            Err(at) => {
                self.line.insert(at, (key, waiter));
                None
            }
        }
    }

    /// Leaves the line.
    #[must_use = "a wake-up may have to be passed on"]
    #[inline]
    pub(crate) fn remove(&mut self, key: &mut WaiterKey) -> Removal {
        let Some(key) = key.0.take() else {
            return Removal::NotRegistered;
        };
        match self.find(key) {
            Ok(at) => {
                let (_, waiter) = self.line.remove(at).expect("just found");
                self.shrink();
                Removal::Waiting(waiter)
            }
            Err(_) => Removal::Woken,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// How many in line come before the one with this turn; all of them, if it has never registered.
    pub(crate) fn ahead_of(&self, key: Option<&WaiterKey>) -> usize {
        match key.and_then(|key| key.0) {
            Some(key) => self.find(key).unwrap_or_else(|at| at),
            None => self.line.len(),
        }
    }

    /// Takes the first in line, to be woken after unlocking.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Waiter> {
        let (_, waiter) = self.line.pop_front()?;
        self.shrink();
        Some(waiter)
    }

    /// Takes everybody, to be woken after unlocking.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waiter> + use<> {
        mem::take(&mut self.line).into_iter().map(|(_, w)| w)
    }

    fn find(&self, key: u64) -> Result<usize, usize> {
        self.line.binary_search_by_key(&key, |(key, _)| *key)
    }

    fn shrink(&mut self) {
        if self.line.is_empty() && self.line.capacity() > KEPT {
            self.line = VecDeque::new();
        }
    }
}

/// Those who wait for what happens once: then all are woken. There may be very many of them, and each may leave at any time.
#[derive(Debug, Default)]
pub(crate) struct WaitSet {
    /// By key, so in the order of first registration.
    waiters: BTreeMap<u64, Waiter>,
    last: u64,
}

impl WaitSet {
    /// Registers or stays registered, with `waiter` as the one to wake. Returns a waiter to drop after unlocking.
    #[must_use = "a waiter may hold the user's waker: drop it after unlocking"]
    pub(crate) fn register(&mut self, key: &mut WaiterKey, waiter: Waiter) -> Option<Waiter> {
        let key = *key.0.get_or_insert_with(|| {
            self.last += 1;
            self.last
        });
        self.waiters.insert(key, waiter)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Leaves it. Returns a waiter to drop after unlocking.
    #[must_use = "a waiter may hold the user's waker: drop it after unlocking"]
    pub(crate) fn remove(&mut self, key: &mut WaiterKey) -> Option<Waiter> {
        self.waiters.remove(&key.0.take()?)
    }

    /// Takes everybody, to be woken after unlocking.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waiter> + use<> {
        mem::take(&mut self.waiters).into_values()
    }
}
