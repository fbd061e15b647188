//! Waiters for an event that occurs once.

#![forbid(unsafe_code)]

use std::{collections::BTreeMap, mem};

use crate::{wait::wait_queue::WaiterKey, wait::waiter::Waiter};

/// A set of waiters for an event that occurs once and wakes all of them. There may be very many
/// waiters, and each may leave at any time.
#[derive(Debug, Default)]
pub(crate) struct WaitSet {
    /// The waiters by key, and so in the order of first registration.
    waiters: BTreeMap<u64, Waiter>,
    /// The key of the latest registration.
    last: u64,
}

impl WaitSet {
    /// Registers `waiter` under `key`, or replaces the waiter that is registered. Returns a waiter
    /// to drop after unlocking.
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

    /// Removes the waiter of `key`. Returns a waiter to drop after unlocking.
    #[must_use = "a waiter may hold the user's waker: drop it after unlocking"]
    pub(crate) fn remove(&mut self, key: &mut WaiterKey) -> Option<Waiter> {
        self.waiters.remove(&key.0.take()?)
    }

    /// Removes all waiters, to be woken after unlocking.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waiter> + use<> {
        mem::take(&mut self.waiters).into_values()
    }
}
