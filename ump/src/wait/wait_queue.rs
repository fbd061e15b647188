//! Waiters in the order in which they are to be woken.
//!
//! A [`WaitQueue`] lives under a lock and runs none of the user's code there: it takes wakers that were cloned before the lock was taken, and returns wakers to
//! be woken or dropped after it is released.
//!
//! Being woken takes a waiter off the queue. So a waiter learns from its own key what happened: if it is still in the queue, it was *not woken*; if it is not,
//! it was *woken*, and if it leaves without using its turn, it owes the wake-up to the next in the queue. That is how no wake-up gets lost when a future is
//! dropped or a wait times out.

#![forbid(unsafe_code)]

use std::{collections::VecDeque, mem};

use crate::wait::waiter::Waiter;

/// One's place in a [`WaitQueue`] list or in a [`WaitSet`], from the first registration until it is left.
#[derive(Debug, Default)]
pub(crate) struct WaiterKey(pub(super) Option<u64>);

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
