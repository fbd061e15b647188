//! The queue under the channel's lock: two lanes, their waiters, and the counters.
//!
//! # Invariants
//!
//! 1. A thread accesses a [`Queue`] only while it holds the lock of its channel.
//! 2. A slot's `queued` is true exactly while the list of its lane in the queue of its channel
//!    holds its entry. So the slot is alive then (invariant 1 of the list).
//! 3. `awaited` is true exactly if a receiver or a poller is registered, whenever the lock is free.

use std::{iter, time::Instant};

use crate::{
    channel::handoff::{AffinityTracker, DirectHandoff, Lease},
    options::Lane,
    slot::Slot,
    slot::completion::Completion,
    slot::list::{Batch, List},
    slot::server::{Entry, Rejected},
    stats::{Ending, QueueCounters, Untaken},
    wait::wait_queue::{Removal, WaitQueue, WaiterKey},
    wait::wait_set::WaitSet,
    wait::waiter::{DeferredWake, Waiter},
};

/// The number of urgent requests that may be taken in a row while a normal one waits.
pub(crate) const URGENT_RUN: u32 = 16;

/// The number of expired requests to reject before the lock is released to complete them.
pub(super) const EXPIRED_RUN: usize = 32;

/// The state under the lock. The fields are in the order of how often they are used: between two
/// ends that are awake, only the first cache lines move.
#[repr(C)]
pub(super) struct Queue<S, R, E> {
    /// The queued requests of each lane.
    pub(super) lanes: [List<S, R, E>; 2],
    /// The number of urgent requests taken since the last normal one, while a normal one waited.
    pub(super) run: u32,
    /// Whether requests can enter. False once the server is closed or gone.
    pub(super) open: bool,
    /// Whether there are `receivers` or a `poller`.
    pub(super) awaited: bool,
    /// Whether the injector is open.
    pub(super) injector_open: bool,
    pub(super) counters: QueueCounters,
    pub(super) affinity: AffinityTracker<S, R, E>,
    pub(super) receivers: WaitQueue,
    pub(super) poller: Option<Waiter>,
    /// The waiters for room in each lane.
    pub(super) senders: [WaitQueue; 2],
    /// The room in each lane that is reserved for requests that have not been sent yet.
    pub(super) reserved: [usize; 2],
    /// The waiters for the end of the server.
    pub(super) until_closed: WaitSet,
    /// The expired posts to drop, for each thread that is dropping some already.
    pub(super) discards: Vec<Discards<S, R, E>>,
    /// The waiters for the end of the last client, and for the queue being empty after that.
    pub(super) until_deserted: WaitSet,
}

/// Expired posts that a thread drops later.
///
/// Dropping a message is user code and may post again, which makes room by dropping other messages.
/// If these were dropped within the first drop, a chain of them would use up the stack. So a thread
/// drops messages one after the other, and keeps here the ones that it drops next.
pub(super) struct Discards<S, R, E> {
    pub(super) thread: usize,
    pub(super) posts: List<S, R, E>,
}

/// The lanes, in the order of their numbers.
pub(super) const LANES: [Lane; 2] = [Lane::Normal, Lane::Urgent];

/// How to wait if there is nothing (no request, no room).
pub(crate) enum WaitMode<'a> {
    /// Does not wait.
    NoWait,
    /// Waits in the wait queue. With a waiter the caller registers; without one it only looks, and
    /// keeps its turn. A caller that gets what it wants leaves the wait queue.
    InLine(&'a mut WaiterKey, Option<Waiter>),
    /// Uses room that has been reserved (senders only).
    Reserved,
    /// Waits as the poller (receivers only). The latest poller replaces the one before.
    Poller(Option<Waiter>),
}

impl WaitMode<'_> {
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        matches!(self, Self::Reserved)
    }

    /// Returns whether the caller is going to sleep if there is nothing.
    #[inline]
    pub(super) fn is_to_sleep(&self) -> bool {
        matches!(self, Self::InLine(_, Some(_)) | Self::Poller(Some(_)))
    }
}

/// The requests that were taken so far, and the work that is left for after the lock is released.
pub(super) struct TakeResult<S, R, E> {
    pub(super) taken: Batch<S, R, E>,
    /// The time, once it was needed.
    pub(super) now: Option<Instant>,
    /// The deferred work. Usually there is none.
    pub(super) deferred: Option<Box<Deferred<R, E>>>,
}

/// Work for after the lock is released.
pub(super) struct Deferred<R, E> {
    /// The requests to complete.
    pub(super) rejected: Vec<Rejected<R, E>>,
    /// The senders to wake.
    pub(super) senders: Vec<Waiter>,
    /// The waiter of a sender that got its room without having been woken.
    pub(super) discard: Option<Waiter>,
    /// The number of posts that this thread drops later: see [`Discards`].
    pub(super) put_off: usize,
}

impl<S, R, E> TakeResult<S, R, E> {
    #[inline]
    pub(super) fn new() -> Self {
        Self {
            taken: Batch::new(),
            now: None,
            deferred: None,
        }
    }

    #[cold]
    pub(super) fn deferred(&mut self) -> &mut Deferred<R, E> {
        self.deferred.get_or_insert_with(|| {
            Box::new(Deferred {
                rejected: Vec::new(),
                senders: Vec::new(),
                discard: None,
                put_off: 0,
            })
        })
    }

    #[inline]
    pub(super) fn rejected(&self) -> usize {
        self.deferred
            .as_ref()
            .map_or(0, |deferred| deferred.rejected.len() + deferred.put_off)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.rejected() == 0
    }

    /// Does the deferred work, and returns the requests that were taken. This runs user code: it
    /// must not be called under a lock.
    #[inline]
    pub(super) fn finish(self) -> Batch<S, R, E> {
        if let Some(deferred) = self.deferred {
            deferred.finish();
        }
        self.taken
    }
}

impl<R, E> Deferred<R, E> {
    /// Does the work. This runs user code: it must not be called under a lock.
    #[cold]
    pub(super) fn finish(self) {
        self.senders.into_iter().for_each(Waiter::wake);
        self.rejected.into_iter().for_each(Rejected::finish);
    }
}

/// The parts of the channel that taking a request needs.
pub(super) struct TakeContext<'a, S, R, E> {
    pub(super) handoff: &'a DirectHandoff<S, R, E>,
    /// The lease of the receiver that takes.
    pub(super) lease: Option<&'a Lease<'a, S, R, E>>,
    pub(super) capacity: usize,
}

impl<S, R, E> TakeContext<'_, S, R, E> {
    /// Accepts the request that was handed over, if there is one and no other receiver has the
    /// lease.
    #[inline]
    pub(super) fn accept(&self) -> Option<Entry<S, R, E>> {
        match self.lease {
            Some(lease) => lease.accept(true),
            None => self.handoff.lease()?.accept(true),
        }
    }
}

impl<S, R, E> Queue<S, R, E> {
    #[inline]
    pub(super) fn queued(&self) -> usize {
        self.lanes.iter().map(List::len).sum()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(List::is_empty)
    }

    /// Returns whether a lane has no room, because all of it is taken or reserved.
    #[inline]
    pub(super) fn is_full(&self, lane: usize, capacity: usize) -> bool {
        self.lanes[lane].len() + self.reserved[lane] >= capacity
    }

    /// Waits for room in `mode`, or counts a refusal. Returns a waiter to drop after unlocking.
    pub(super) fn await_room(&mut self, lane: usize, mode: WaitMode<'_>) -> Option<Waiter> {
        match mode {
            WaitMode::InLine(key, Some(waiter)) => self.senders[lane].register(key, waiter),
            WaitMode::InLine(_, None) => None,
            WaitMode::NoWait | WaitMode::Reserved | WaitMode::Poller(_) => {
                self.counters.refused += 1;
                None
            }
        }
    }

    /// Takes up to `count` senders from the wait queue, to be woken after unlocking.
    pub(super) fn next_senders(
        &mut self,
        lane: usize,
        count: usize,
    ) -> impl Iterator<Item = Waiter> + '_ {
        let line = &mut self.senders[lane];
        iter::from_fn(|| line.pop()).take(count)
    }

    /// Leaves the wait queue for room, because there is room, whether the sender was woken or not.
    /// Returns waiters to drop after unlocking.
    #[inline]
    pub(super) fn stop_awaiting_room(
        &mut self,
        lane: usize,
        mode: WaitMode<'_>,
    ) -> [Option<Waiter>; 2] {
        match mode {
            WaitMode::InLine(key, waiter) => [self.senders[lane].remove(key).into_waiter(), waiter],
            _ => [None, None],
        }
    }

    /// Queues a request that has just been sent. Returns the ending of the last request from this
    /// slot, if it has not been counted.
    #[inline]
    pub(super) fn enter(&mut self, entry: Entry<S, R, E>) -> Option<Ending> {
        // SAFETY: The entry keeps its slot alive (invariant 8 of the slot). By invariant 1 this
        // thread holds the channel's lock. The request has not been sent yet, so this end owns the
        // slot alone (invariant 7 of the slot).
        let uncounted = unsafe { entry.slot().as_ref().enter() };
        self.push(entry);
        uncounted
    }

    /// Queues a request as the last one of its lane.
    pub(super) fn push(&mut self, entry: Entry<S, R, E>) {
        // SAFETY: The entry keeps its slot alive (invariant 8 of the slot), and by invariant 1 this
        // thread holds the channel's lock.
        unsafe { entry.slot().as_ref().set_queued(true) };
        self.lanes[entry.options().lane as usize].push_back(entry);
        self.counters.accepted += 1;
    }

    /// Queues a request that was handed over, as the first one of its lane: it is older than all
    /// queued ones.
    pub(super) fn put_first(&mut self, entry: Entry<S, R, E>) {
        // SAFETY: The entry keeps its slot alive (invariant 8 of the slot), and by invariant 1 this
        // thread holds the channel's lock.
        unsafe { entry.slot().as_ref().set_queued(true) };
        self.lanes[entry.options().lane as usize].push_front(entry);
        self.counters.accepted += 1;
    }

    pub(super) fn append(&mut self, mut entered: Batch<S, R, E>) {
        while let Some(entry) = entered.pop_front() {
            self.push(entry);
        }
    }

    /// Counts normal requests that a receiver took from the injector directly.
    #[inline]
    pub(super) fn note_taken_directly(&mut self, taken: &Batch<S, R, E>) {
        let count = taken.len() as u64;
        self.counters.accepted += count;
        self.counters.taken += count;
        // No urgent request waits.
        self.run = 0;
    }

    #[inline]
    pub(super) fn pop_from(&mut self, lane: Lane) -> Option<Entry<S, R, E>> {
        let entry = self.lanes[lane as usize].pop_front()?;
        // SAFETY: The entry keeps its slot alive (invariant 8 of the slot), and by invariant 1 this
        // thread holds the channel's lock.
        unsafe { entry.slot().as_ref().set_queued(false) };
        Some(entry)
    }

    /// Takes requests until there are `max`. Rejects overdue ones, but only a limited number at a
    /// time, unless there is a request to return.
    #[inline]
    pub(super) fn take(
        &mut self,
        max: usize,
        result: &mut TakeResult<S, R, E>,
        context: &TakeContext<'_, S, R, E>,
    ) {
        while result.taken.len() < max
            && (result.rejected() < EXPIRED_RUN || !result.taken.is_empty())
        {
            let run = self.run;
            let Some((entry, sender)) = self.pop(context) else {
                // Finding nothing is no turn of a lane.
                self.run = run;
                break;
            };
            if let Some(sender) = sender {
                result.deferred().senders.push(sender);
            }
            if !self.hand_out(entry, result) {
                // An overdue request is no turn of a lane.
                self.run = run;
            }
        }
    }

    /// Adds a request to the taken ones and returns true. If the request is overdue, rejects it and
    /// returns false.
    #[inline]
    pub(super) fn hand_out(
        &mut self,
        entry: Entry<S, R, E>,
        result: &mut TakeResult<S, R, E>,
    ) -> bool {
        let overdue = entry.is_overdue(&mut result.now);
        if overdue {
            self.counters.count(Untaken::Timeout);
            // Under the lock, so that the caller finds its request either queued or `DONE`, and no
            // state in between.
            let rejected = entry.reject(Completion::Expired);
            result.deferred().rejected.push(rejected);
        } else {
            self.counters.taken += 1;
            result.taken.push_back(entry);
        }
        !overdue
    }

    /// Disarms the handoff before a receiver that has found nothing sleeps, so that it does not
    /// miss a request that is handed over.
    #[inline]
    pub(super) fn before_sleep(
        &mut self,
        result: &mut TakeResult<S, R, E>,
        context: &TakeContext<'_, S, R, E>,
    ) {
        if result.is_empty() {
            // SAFETY: By invariant 1 this thread holds the channel's lock, and the lease in
            // `context` is of the same channel.
            if let Some(entry) = unsafe { context.handoff.disarm(context.lease) } {
                self.counters.accepted += 1;
                self.hand_out(entry, result);
            }
        }
    }

    /// Takes the next request, and the sender that may use its room.
    #[inline]
    pub(super) fn pop(
        &mut self,
        context: &TakeContext<'_, S, R, E>,
    ) -> Option<(Entry<S, R, E>, Option<Waiter>)> {
        let urgent_waits = !self.lanes[Lane::Urgent as usize].is_empty();
        let handed_over = context.handoff.has_request();
        let normal_waits = handed_over || !self.lanes[Lane::Normal as usize].is_empty();
        let urgent = urgent_waits && !(normal_waits && self.run >= URGENT_RUN);
        self.run = if urgent && normal_waits {
            self.run + 1
        } else {
            0
        };
        if handed_over && !urgent {
            if let Some(entry) = context.accept() {
                self.counters.accepted += 1;
                return Some((entry, None));
            }
        }
        // (If another receiver has the lease, an urgent request may be next all the same.)
        let urgent = urgent || self.lanes[Lane::Normal as usize].is_empty();
        let lane = if urgent { Lane::Urgent } else { Lane::Normal };
        let entry = self.pop_from(lane)?;
        let bounded = context.capacity != usize::MAX;
        let sender = if bounded {
            self.senders[lane as usize].pop()
        } else {
            None
        };
        Some((entry, sender))
    }

    /// Removes a slot from the middle of its lane, if it is there.
    ///
    /// # Safety
    /// `slot` is alive. If any queue holds it, it is this one.
    pub(super) unsafe fn remove(&mut self, slot: &Slot<S, R, E>) -> Option<Entry<S, R, E>> {
        // SAFETY: The caller guarantees that the slot is alive, and by invariant 1 this thread
        // holds the channel's lock.
        let queued = unsafe { slot.set_queued(false) };
        // SAFETY: By invariant 2 the list of its lane holds the slot: `queued` was true, and the
        // caller guarantees that it is this queue.
        queued.then(|| unsafe { self.lanes[slot.core.lane() as usize].unlink(slot.into()) })
    }

    /// Takes the waiters to wake for a request that has entered.
    #[inline]
    pub(super) fn next_receiver(&mut self) -> DeferredWake {
        if !self.awaited {
            return DeferredWake::default();
        }
        let next = DeferredWake::new(self.receivers.pop()).and_wake(self.poller.take());
        self.note_awaited();
        next
    }

    /// Waits for a request in `mode`, if `is_to_wait` and there is a waiter. Returns a waiter to
    /// drop after unlocking.
    #[inline]
    pub(super) fn await_request(&mut self, mode: WaitMode<'_>, is_to_wait: bool) -> Option<Waiter> {
        match mode {
            WaitMode::InLine(key, Some(waiter)) if is_to_wait => {
                self.awaited = true;
                self.receivers.register(key, waiter)
            }
            WaitMode::Poller(Some(waiter)) if is_to_wait => {
                self.awaited = true;
                self.poller.replace(waiter)
            }
            WaitMode::InLine(_, waiter) | WaitMode::Poller(waiter) => waiter,
            WaitMode::NoWait | WaitMode::Reserved => None,
        }
    }

    /// Leaves the wait queue for requests.
    #[inline]
    pub(super) fn stop(&mut self, key: &mut WaiterKey) -> Removal {
        if !key.is_taken() {
            return Removal::NotRegistered;
        }
        let left = self.receivers.remove(key);
        self.note_awaited();
        left
    }

    #[inline]
    pub(super) fn note_awaited(&mut self) {
        self.awaited = !self.receivers.is_empty() || self.poller.is_some();
    }
}
