//! Interruptions: they make receivers that wait with a deadline return early, without a request.
//!
//! ```text
//!              raise, nobody sleeps             a receiver is about to sleep, and does not
//!   nothing ─────────────────────────► kept ──────────────────────────────────► nothing
//!      └───────────────────────────────────────────────────────────────────────► nothing
//!              raise, some sleep: all of them are woken
//! ```
//!
//! In addition, each interruption is counted, for workers that share a server. A worker passes the
//! count that it knew before it looked at the announced state. If there have been more
//! interruptions since, the worker does not sleep, whichever worker they woke.
//!
//! An interruption is like the token of `std::thread::park`, but for any receiver that sleeps here.
//! A receiver comes here only when it has found no request and is about to sleep, and when it wakes
//! up. So requests pay nothing.
//!
//! # Invariants
//!
//! 1. While an interruption is kept, no receiver is registered: so it is not kept from a receiver
//!    that could use it.
//! 2. An interruption that was raised is used up by a receiver that returns without a request
//!    because of it, or it is merged with one that is raised again.

#![forbid(unsafe_code)]

use crate::{
    sync::{AtomicUsize, Mutex, Ordering},
    wait::wait_queue::{Removal, WaitQueue, WaiterKey},
    wait::waiter::Waiter,
};

pub(crate) struct Interruptions {
    /// The number of interruptions so far. Written under the lock; a receiver that is about to
    /// sleep reads it under the lock as well.
    count: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: bool,
    sleepers: WaitQueue,
}

impl Interruptions {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            state: Mutex::new(State::default()),
        }
    }

    /// Returns the number of interruptions so far.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        // ORDERING: Acquire pairs with the Release of `raise`: everything that happened before a
        // counted interruption is visible.
        self.count.load(Ordering::Acquire)
    }

    /// Raises an interruption: wakes all receivers that sleep, or keeps it if there are none.
    pub(crate) fn raise(&self) {
        let mut state = self.state.lock();
        // ORDERING: Release pairs with the Acquire of `count`.
        self.count.fetch_add(1, Ordering::Release);
        state.kept |= state.sleepers.is_empty();
        let sleepers = state.sleepers.take_all();
        drop(state);
        sleepers.for_each(Waiter::wake);
    }

    /// Registers a receiver that is about to sleep. Returns false if the receiver must not sleep:
    /// because of an interruption that is thereby used up, or because of one that the receiver does
    /// not know of.
    pub(crate) fn register(
        &self,
        key: &mut WaiterKey,
        sleeper: Waiter,
        known: Option<usize>,
    ) -> bool {
        let mut state = self.state.lock();
        let is_interrupted = match known {
            Some(known) => self.count() != known,
            None => std::mem::take(&mut state.kept),
        };
        if is_interrupted {
            return false;
        }
        let replaced = state.sleepers.register(key, sleeper);
        drop(state);
        drop(replaced);
        true
    }

    /// Removes a receiver that is awake again. Returns whether it was interrupted; that
    /// interruption is used up.
    pub(crate) fn remove(&self, key: &mut WaiterKey) -> bool {
        let left = self.state.lock().sleepers.remove(key);
        matches!(left, Removal::Woken)
    }
}
