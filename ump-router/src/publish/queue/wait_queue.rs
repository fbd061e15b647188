//! Who waits for room in a queue: the messages themselves, in line.
//!
//! ```text
//!    join               admit: the first
//!  ───────► in line ─────────────────────► queued
//!              │ │ leave: its publisher waits no more
//!              │ └───────► missed
//!              └─────────► refused
//!                break_up: the queue has ended
//! ```
//!
//! # Invariants
//!
//! 1. TopicPositions are numbered in the order in which they are taken, and admitted from the front. So of those that are not in line any more, and did not leave
//!    it themselves, the ones below `refused_from` were queued, and the others refused. NoServerYet needs to be called to find out which.
//! 2. The waker of a publisher that sleeps is in its place. Who takes it out to admit or refuse it wakes it, after the lock.
//! 3. A gap keeps its place as well: it is a number at the message that comes after it.

use std::{collections::BTreeMap, task::Waker};

use super::{super::received::Received, Entry, PushOutcome};

pub(super) struct WaitQueue<M> {
    waiters: BTreeMap<u64, Waiter<M>>,
    next: u64,
    /// No number is as high until the queue ends.
    refused_from: u64,
}

struct Waiter<M> {
    entry: Entry<M>,
    /// That of the publisher, once it was polled.
    waker: Option<Waker>,
}

/// The number of a place.
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

    pub(super) fn join(&mut self, entry: Entry<M>) -> WaiterKey {
        let number = self.next;
        self.next += 1;
        let waker = None;
        self.waiters.insert(number, Waiter { entry, waker });
        WaiterKey(number)
    }

    /// Where the waker of a publisher belongs, as long as it is in line.
    pub(super) fn waker(&mut self, WaiterKey(number): WaiterKey) -> Option<&mut Option<Waker>> {
        let place = self.waiters.get_mut(&number)?;
        Some(&mut place.waker)
    }

    /// The first, and who is to be woken.
    pub(super) fn admit(&mut self) -> Option<(Entry<M>, Option<Waker>)> {
        let (_, Waiter { entry, waker }) = self.waiters.pop_first()?;
        Some((entry, waker))
    }

    /// One that is in line still is missed: before the next one, or else `after` all of them. Its waker is not to be woken, but dropped after the lock.
    pub(super) fn leave(
        &mut self,
        WaiterKey(number): WaiterKey,
        after: &mut u64,
    ) -> Option<(Received<M>, Option<Waker>)> {
        let Waiter { entry, waker } = self.waiters.remove(&number)?;
        let next = self.waiters.range_mut(number..).next();
        *next.map_or(after, |(_, next)| &mut next.entry.missed) += entry.missed + 1;
        Some((entry.message, waker))
    }

    /// What has become of one that did not leave.
    pub(super) fn outcome(&self, WaiterKey(number): WaiterKey) -> PushOutcome {
        if self.waiters.contains_key(&number) {
            PushOutcome::Waiting(WaiterKey(number))
        } else if number < self.refused_from {
            PushOutcome::Queued
        } else {
            PushOutcome::Ended
        }
    }

    /// All are refused, and so is who would join. The gaps between them stay: they are noted `after` what is queued.
    pub(super) fn break_up(
        &mut self,
        after: &mut u64,
    ) -> impl Iterator<Item = (Received<M>, Option<Waker>)> + use<M> {
        let first = self.waiters.first_key_value();
        let first = first.map_or(self.next, |(number, _)| *number);
        self.refused_from = self.refused_from.min(first);
        let waiters = std::mem::take(&mut self.waiters);
        *after += waiters
            .values()
            .map(|place| place.entry.missed)
            .sum::<u64>();
        let refused = |place: Waiter<M>| (place.entry.message, place.waker);
        waiters.into_values().map(refused)
    }
}
