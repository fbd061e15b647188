//! Getting receivers that wait with a deadline back before it, without a request.
//!
//! ```text
//!              raise, nobody sleeps             one comes to sleep, and does not
//!   nothing ─────────────────────────► kept ──────────────────────────────────► nothing
//!      └───────────────────────────────────────────────────────────────────────► nothing
//!              raise, some sleep: all of them are woken
//! ```
//!
//! Each is counted besides, for workers that share a server: who says how many it knew of before it looked at what they announce does not sleep
//! if there have been more, whoever was woken for them.
//!
//! As the token of `std::thread::park`, but for whoever sleeps here. A receiver passes by only when it has found no request and is about to
//! sleep, and when it wakes up: requests pay nothing.
//!
//! # Invariants
//!
//! 1. While one is kept nobody is in line: so it is not kept from who could use it.
//! 2. One that was raised is used up by a receiver that returns empty-handed for it, or raised again.

#![forbid(unsafe_code)]

use crate::{
    sync::{AtomicUsize, Mutex, Ordering},
    wait::wait_queue::{Removal, WaitQueue, WaiterKey},
    wait::waiter::Waiter,
};

pub(crate) struct Interruptions {
    /// How many there have been. Written under the lock; who sleeps reads it there, too.
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

    /// How many there have been.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        // Pairs with `raise`: what was done before an interruption that is counted is seen.
        self.count.load(Ordering::Acquire)
    }

    /// Wakes all who sleep; kept if nobody does.
    pub(crate) fn raise(&self) {
        let mut state = self.state.lock();
        // Pairs with `count`.
        self.count.fetch_add(1, Ordering::Release);
        state.kept |= state.sleepers.is_empty();
        let sleepers = state.sleepers.take_all();
        drop(state);
        sleepers.for_each(Waiter::wake);
    }

    /// Announces that one is about to sleep. False if it is not to: for an interruption that is thereby used up, or for one that it does not know of.
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

    /// Announces that one is awake again. Tells whether it was interrupted, which thereby is used up.
    pub(crate) fn remove(&self, key: &mut WaiterKey) -> bool {
        let left = self.state.lock().sleepers.remove(key);
        matches!(left, Removal::Woken)
    }
}
