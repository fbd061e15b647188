//! Publishers that wait for room in a queue, in the order in which they came, each with its
//! message.
//!
//! ```text
//!    push               admit_first
//!  ───────► waiting ─────────────────────► admitted
//!              │ │ remove: its publisher stops waiting
//!              │ └───────► missed
//!              └─────────► refused
//!                refuse_all: the queue has ended
//! ```
//!
//! # Invariants
//!
//! 1. Waiters are numbered in the order in which they come, and admitted from the front. So a
//!    waiter that is gone, and was not removed by its own publisher, was admitted if its number is
//!    below `refused_from`, and refused otherwise. Finding that out needs no waker.
//! 2. The waker of a sleeping publisher is stored with its waiter. Whoever admits or refuses the
//!    waiter wakes it, after the lock is released.
//! 3. A gap keeps its place: it is a number stored with the message that comes after it.

use std::{collections::BTreeMap, task::Waker};

use super::entry::{Entry, join_gaps};
use crate::publish::received::Received;

pub(super) struct WaitQueue<M> {
    waiters: BTreeMap<u64, Waiter<M>>,
    next: u64,
    /// `u64::MAX` until the queue ends.
    refused_from: u64,
}

struct Waiter<M> {
    entry: Entry<M>,
    /// The waker of the publisher, once it was polled.
    waker: Option<Waker>,
}

/// Identifies a waiter of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaiterKey(u64);

impl<M> WaitQueue<M> {
    pub(super) fn new() -> Self {
        Self {
            waiters: BTreeMap::new(),
            next: 0,
            refused_from: u64::MAX,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn push(&mut self, entry: Entry<M>) -> WaiterKey {
        let number = self.next;
        self.next += 1;
        let waker = None;
        self.waiters.insert(number, Waiter { entry, waker });
        WaiterKey(number)
    }

    /// Returns the place for the publisher's waker, as long as it waits.
    pub(super) fn waker_mut(&mut self, WaiterKey(number): WaiterKey) -> Option<&mut Option<Waker>> {
        let waiter = self.waiters.get_mut(&number)?;
        Some(&mut waiter.waker)
    }

    /// Admits the first waiter. The waker is to be woken.
    pub(super) fn admit_first(&mut self) -> Option<(Entry<M>, Option<Waker>)> {
        let (_, Waiter { entry, waker }) = self.waiters.pop_first()?;
        Some((entry, waker))
    }

    /// Removes a waiter whose publisher stops waiting. Its message is missed: the gap is noted with
    /// the next waiter, or else in `after`, which counts what is missing after all waiters. The
    /// waker is not to be woken, but dropped after the lock is released.
    pub(super) fn remove(
        &mut self,
        WaiterKey(number): WaiterKey,
        after: &mut u64,
    ) -> Option<(Received<M>, Option<Waker>)> {
        let Waiter { entry, waker } = self.waiters.remove(&number)?;
        let next = self.waiters.range_mut(number..).next();
        let gap = next.map_or(after, |(_, next)| &mut next.entry.missed);
        *gap = join_gaps(*gap, entry.missed + 1);
        Some((entry.message, waker))
    }

    /// Returns whether a waiter that is gone, and was not removed, was admitted. Otherwise it was
    /// refused.
    pub(super) fn was_admitted(&self, WaiterKey(number): WaiterKey) -> bool {
        number < self.refused_from
    }

    /// Refuses all waiters, and all that would come later. The gaps between them are added to
    /// `after`, which counts what is missing after the last entry.
    pub(super) fn refuse_all(
        &mut self,
        after: &mut u64,
    ) -> impl Iterator<Item = (Received<M>, Option<Waker>)> + use<M> {
        let first = self.waiters.first_key_value();
        let first = first.map_or(self.next, |(number, _)| *number);
        self.refused_from = self.refused_from.min(first);
        let waiters = std::mem::take(&mut self.waiters);
        let gaps = waiters.values().map(|waiter| waiter.entry.missed);
        *after = gaps.fold(*after, join_gaps);
        let refused = |waiter: Waiter<M>| (waiter.entry.message, waiter.waker);
        waiters.into_values().map(refused)
    }
}
