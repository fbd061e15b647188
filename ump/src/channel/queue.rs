//! The queue under the channel's lock: two lanes, who waits for them, and the counters.

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

/// So many urgent requests may be taken in a row while a normal one waits.
pub(crate) const URGENT_RUN: u32 = 16;

/// Expired requests turned down before the lock is released to tell their callers.
pub(super) const EXPIRED_RUN: usize = 32;

/// In the order of how often it is touched: between two ends that are awake, only the first lines move.
#[repr(C)]
pub(super) struct Queue<S, R, E> {
    pub(super) lanes: [List<S, R, E>; 2],
    /// Urgent requests taken since the last normal one, while a normal one waited.
    pub(super) run: u32,
    /// False once the server is closed or gone: nothing enters any more.
    pub(super) open: bool,
    /// Whether there are `receivers` or a `poller`.
    pub(super) awaited: bool,
    /// Whether the injector is open.
    pub(super) injector_open: bool,
    pub(super) counters: QueueCounters,
    pub(super) affinity: AffinityTracker<S, R, E>,
    pub(super) receivers: WaitQueue,
    pub(super) poller: Option<Waiter>,
    /// Who waits for room in each lane.
    pub(super) senders: [WaitQueue; 2],
    /// Room in each lane that was promised to those who have not sent yet.
    pub(super) reserved: [usize; 2],
    /// Who waits for the end of the server.
    pub(super) until_closed: WaitSet,
    /// Expired posts to be dropped, of each thread that drops some already.
    pub(super) discards: Vec<Discards<S, R, E>>,
    /// Who waits for the last client to leave, or besides for the queue to be empty then.
    pub(super) until_deserted: WaitSet,
}

/// A message that is dropped is the user's, and may post again, which makes room by dropping others. Were these dropped within that drop, a chain of them
/// would use up the stack: so a thread drops them one after the other, and here are those that it is to drop next.
pub(super) struct Discards<S, R, E> {
    pub(super) thread: usize,
    pub(super) posts: List<S, R, E>,
}

/// By their numbers.
pub(super) const LANES: [Lane; 2] = [Lane::Normal, Lane::Urgent];

/// Where to wait if there is nothing (no request, no room).
pub(crate) enum WaitMode<'a> {
    /// One does not wait.
    NoWait,
    /// In line: with a waiter one registers, without one just looks, keeping the turn. Who gets what it wants leaves the line.
    InLine(&'a mut WaiterKey, Option<Waiter>),
    /// Room has been reserved (senders only).
    Reserved,
    /// As the one who polls (receivers only): the latest takes the place of the one before.
    Poller(Option<Waiter>),
}

impl WaitMode<'_> {
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        matches!(self, Self::Reserved)
    }

    /// Whether one is going to sleep if there is nothing.
    #[inline]
    pub(super) fn is_to_sleep(&self) -> bool {
        matches!(self, Self::InLine(_, Some(_)) | Self::Poller(Some(_)))
    }
}

/// What a look at the queue has brought so far, and the work that it leaves for after the lock is released.
pub(super) struct TakeResult<S, R, E> {
    pub(super) taken: Batch<S, R, E>,
    /// The time, once somebody had to know it.
    pub(super) now: Option<Instant>,
    /// Usually there is none.
    pub(super) deferred: Option<Box<Deferred<R, E>>>,
}

pub(super) struct Deferred<R, E> {
    /// To be told.
    pub(super) rejected: Vec<Rejected<R, E>>,
    /// To be woken.
    pub(super) senders: Vec<Waiter>,
    /// Of a sender that has its room without having been woken.
    pub(super) discard: Option<Waiter>,
    /// How many posts this thread drops later: see [`Discards`].
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

    /// Runs the user's code: not to be called under a lock.
    #[inline]
    pub(super) fn finish(self) -> Batch<S, R, E> {
        if let Some(deferred) = self.deferred {
            deferred.finish();
        }
        self.taken
    }
}

impl<R, E> Deferred<R, E> {
    #[cold]
    pub(super) fn finish(self) {
        self.senders.into_iter().for_each(Waiter::wake);
        self.rejected.into_iter().for_each(Rejected::finish);
    }
}

/// What a look at the queue has to know of the channel around it.
pub(super) struct TakeContext<'a, S, R, E> {
    pub(super) handoff: &'a DirectHandoff<S, R, E>,
    /// That of the one who looks.
    pub(super) lease: Option<&'a Lease<'a, S, R, E>>,
    pub(super) capacity: usize,
}

impl<S, R, E> TakeContext<'_, S, R, E> {
    /// Takes the call if there is one, and if it is not another's to answer.
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

    /// Whether there is no room in a lane, all of it being taken or promised.
    #[inline]
    pub(super) fn is_full(&self, lane: usize, capacity: usize) -> bool {
        self.lanes[lane].len() + self.reserved[lane] >= capacity
    }

    /// Waits for room in `mode`, or is refused. Returns a waiter to drop after unlocking.
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

    /// Takes so many senders from the line, to be woken after unlocking.
    pub(super) fn next_senders(
        &mut self,
        lane: usize,
        count: usize,
    ) -> impl Iterator<Item = Waiter> + '_ {
        let line = &mut self.senders[lane];
        iter::from_fn(|| line.pop()).take(count)
    }

    /// There is room: whoever waited for it, woken or not, has what it waited for. Returns waiters to drop after unlocking.
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

    /// Returns the ending of the last request from this slot, if it has not been counted.
    #[inline]
    pub(super) fn enter(&mut self, entry: Entry<S, R, E>) -> Option<Ending> {
        // SAFETY: we hold the channel's lock (as in the three below), and an entry's slot is alive.
        let uncounted = unsafe { entry.slot().as_ref().enter() };
        self.push(entry);
        uncounted
    }

    pub(super) fn push(&mut self, entry: Entry<S, R, E>) {
        // SAFETY: see `enter`.
        unsafe { entry.slot().as_ref().set_queued(true) };
        self.lanes[entry.options().lane as usize].push_back(entry);
        self.counters.accepted += 1;
    }

    /// Queues a call, which is older than all that is queued.
    pub(super) fn put_first(&mut self, entry: Entry<S, R, E>) {
        // SAFETY: see `enter`.
        unsafe { entry.slot().as_ref().set_queued(true) };
        self.lanes[entry.options().lane as usize].push_front(entry);
        self.counters.accepted += 1;
    }

    pub(super) fn append(&mut self, mut entered: Batch<S, R, E>) {
        while let Some(entry) = entered.pop_front() {
            self.push(entry);
        }
    }

    /// Books normal requests that came from the injector into a receiver's hands.
    #[inline]
    pub(super) fn note_taken_directly(&mut self, taken: &Batch<S, R, E>) {
        let count = taken.len() as u64;
        self.counters.accepted += count;
        self.counters.taken += count;
        // Nothing urgent waits.
        self.run = 0;
    }

    #[inline]
    pub(super) fn pop_from(&mut self, lane: Lane) -> Option<Entry<S, R, E>> {
        let entry = self.lanes[lane as usize].pop_front()?;
        // SAFETY: see `enter`.
        unsafe { entry.slot().as_ref().set_queued(false) };
        Some(entry)
    }

    /// Takes requests until there are `max`. Turns those down whose deadline has passed; of these not too many at a time, unless it has
    /// something to return.
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
                // A look at nothing is no turn either.
                self.run = run;
                break;
            };
            if let Some(sender) = sender {
                result.deferred().senders.push(sender);
            }
            if !self.hand_out(entry, result) {
                // It was nobody's turn.
                self.run = run;
            }
        }
    }

    /// Adds a request to those that are taken, unless it is overdue: then it is turned down, and the answer is false.
    #[inline]
    pub(super) fn hand_out(
        &mut self,
        entry: Entry<S, R, E>,
        result: &mut TakeResult<S, R, E>,
    ) -> bool {
        let overdue = entry.is_overdue(&mut result.now);
        if overdue {
            self.counters.count(Untaken::Timeout);
            // Under the lock, so that its caller finds it queued or DONE and nothing in between.
            let rejected = entry.reject(Completion::Expired);
            result.deferred().rejected.push(rejected);
        } else {
            self.counters.taken += 1;
            result.taken.push_back(entry);
        }
        !overdue
    }

    /// Who found nothing and is going to sleep must not miss a call.
    #[inline]
    pub(super) fn before_sleep(
        &mut self,
        result: &mut TakeResult<S, R, E>,
        context: &TakeContext<'_, S, R, E>,
    ) {
        if result.is_empty() {
            // SAFETY: we hold the channel's lock.
            if let Some(entry) = unsafe { context.handoff.disarm(context.lease) } {
                self.counters.accepted += 1;
                self.hand_out(entry, result);
            }
        }
    }

    /// Takes the next request, and the sender that may have its place.
    #[inline]
    pub(super) fn pop(
        &mut self,
        context: &TakeContext<'_, S, R, E>,
    ) -> Option<(Entry<S, R, E>, Option<Waiter>)> {
        let urgent_waits = !self.lanes[Lane::Urgent as usize].is_empty();
        let called = context.handoff.has_request();
        let normal_waits = called || !self.lanes[Lane::Normal as usize].is_empty();
        let urgent = urgent_waits && !(normal_waits && self.run >= URGENT_RUN);
        self.run = if urgent && normal_waits {
            self.run + 1
        } else {
            0
        };
        if called && !urgent {
            if let Some(entry) = context.accept() {
                self.counters.accepted += 1;
                return Some((entry, None));
            }
        }
        // (If the call is another's to answer, an urgent one may be next all the same.)
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

    /// Takes a slot out of the middle, if it is there.
    ///
    /// # Safety
    /// `slot` is alive; if any queue holds it, it is this one.
    pub(super) unsafe fn remove(&mut self, slot: &Slot<S, R, E>) -> Option<Entry<S, R, E>> {
        // SAFETY: see `enter`.
        let queued = unsafe { slot.set_queued(false) };
        // SAFETY: it is in this list.
        queued.then(|| unsafe { self.lanes[slot.core.lane() as usize].unlink(slot.into()) })
    }

    /// Whom to wake for a request that has entered.
    #[inline]
    pub(super) fn next_receiver(&mut self) -> DeferredWake {
        if !self.awaited {
            return DeferredWake::default();
        }
        let next = DeferredWake::new(self.receivers.pop()).and_wake(self.poller.take());
        self.note_awaited();
        next
    }

    /// Waits in `mode`, if there is something to wait for and a waiter. Returns a waiter to drop after unlocking.
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

    /// Leaves the line for requests.
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
