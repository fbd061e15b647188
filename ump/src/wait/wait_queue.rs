//! Waiters in the order in which they are woken.
//!
//! A [`WaitQueue`] lives under a lock and runs no user code there. It takes wakers that were cloned
//! before the lock was taken. It returns wakers that are woken or dropped after the lock is
//! released.
//!
//! A wake-up removes the waiter from the queue. So a waiter learns from its own key what happened.
//! If its key is still in the queue, it was *not woken*. If its key is not in the queue, it was
//! *woken*; if it leaves without using its turn, it has to pass the wake-up on to the next waiter.
//! So no wake-up is lost when a future is dropped or a wait times out.

#![forbid(unsafe_code)]

use std::{collections::VecDeque, mem};

use crate::wait::waiter::Waiter;

/// The place of a waiter in a [`WaitQueue`] or in a set, from its first registration until its
/// removal.
#[derive(Debug, Default)]
pub(crate) struct WaiterKey(pub(super) Option<u64>);

impl WaiterKey {
    /// Returns whether the key stands for a place that was not removed.
    #[inline]
    pub(crate) fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}

/// The state in which a removal finds the waiter.
#[derive(Debug)]
pub(crate) enum Removal {
    /// The waiter had not registered.
    NotRegistered,
    /// The waiter had not been woken. It is to be dropped after unlocking.
    Waiting(Waiter),
    /// The waiter had been woken. If it does not use its turn, another waiter has to be woken.
    Woken,
}

impl Removal {
    /// Returns the waiter to drop after unlocking.
    #[inline]
    pub(crate) fn into_waiter(self) -> Option<Waiter> {
        match self {
            Self::Waiting(waiter) => Some(waiter),
            Self::NotRegistered | Self::Woken => None,
        }
    }
}

/// A first-in, first-out queue of waiters.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    /// The waiters by key, and so in the order of first registration.
    line: VecDeque<(u64, Waiter)>,
    /// The key of the latest registration.
    last: u64,
}

/// The capacity beyond which an empty queue gives its memory back.
const KEPT: usize = 64;

impl WaitQueue {
    /// Registers `waiter` under `key`, or replaces the waiter that is registered. Returns a waiter
    /// to drop after unlocking.
    ///
    /// A waiter that was woken in vain (another one was quicker) gets its old place again.
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

    /// Removes the waiter of `key` from the queue.
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

    /// Returns how many waiters come before the one of `key`: all of them, if it has never
    /// registered.
    pub(crate) fn ahead_of(&self, key: Option<&WaiterKey>) -> usize {
        match key.and_then(|key| key.0) {
            Some(key) => self.find(key).unwrap_or_else(|at| at),
            None => self.line.len(),
        }
    }

    /// Removes the first waiter, to be woken after unlocking.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Waiter> {
        let (_, waiter) = self.line.pop_front()?;
        self.shrink();
        Some(waiter)
    }

    /// Removes all waiters, to be woken after unlocking.
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
