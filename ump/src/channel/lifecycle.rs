//! The lifecycle of a channel: it counts the clients, and the server closes it or leaves. The
//! waiters for either event are woken.

use std::{iter, time::Instant};

use crate::{
    channel::Channel,
    channel::queue::{EXPIRED_RUN, LANES, Queue, TakeContext},
    slot::completion::Completion,
    slot::list::List,
    slot::server::Rejected,
    stats::Untaken,
    sync::{MutexGuard, Ordering, lock_pause},
    wait::wait_queue::{WaitQueue, WaiterKey},
    wait::waiter::Waiter,
};

impl<S, R, E> Channel<S, R, E> {
    /// Adds a strong client.
    pub(crate) fn add_client(&self) {
        // ORDERING: Relaxed. The new client comes from an existing one, which keeps the count above
        // zero.
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds a strong client, unless the last one has gone. Returns whether it did.
    pub(crate) fn revive_client(&self) -> bool {
        self.clients
            // ORDERING: Relaxed on success: the count guards no data, and the handle of the new
            // client came here in a way of its own. Acquire on failure pairs with the Release of
            // `remove_client`: a thread that finds the last client gone sees everything that this
            // client sent.
            .fetch_update(Ordering::Relaxed, Ordering::Acquire, |n| {
                (n > 0).then_some(n + 1)
            })
            .is_ok()
    }

    /// Removes a strong client. The last one wakes the waiters for that event, then the waiters for
    /// a request.
    pub(crate) fn remove_client(&self) {
        // ORDERING: Release pairs with the Acquire of `take`, `await_desertion`, `await_drain` and
        // `revive_client`: everything that this client sent happens before a receiver sees zero.
        // (Both hold the lock as well.) Acquire pairs with the Release of the other clients' calls:
        // the last client wakes the waiters after all others have gone.
        if self.clients.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let mut queue = self.lock();
        queue.awaited = false;
        let receivers = queue.receivers.take_all();
        let poller = queue.poller.take();
        let until_deserted = queue.until_deserted.take_all();
        drop(queue);
        until_deserted.for_each(Waiter::wake);
        receivers.chain(poller).for_each(Waiter::wake);
    }

    /// Returns whether the channel is closed. If it is not, `waiter` is woken when it is.
    pub(crate) fn await_close(&self, key: &mut WaiterKey, waiter: Waiter) -> bool {
        let mut queue = self.lock();
        let open = queue.open;
        let discarded = if open {
            queue.until_closed.register(key, waiter)
        } else {
            queue.until_closed.remove(key)
        };
        drop(queue);
        drop(discarded);
        !open
    }

    /// Removes the waiter for the close.
    pub(crate) fn stop_awaiting_close(&self, key: &mut WaiterKey) {
        let left = self.lock().until_closed.remove(key);
        drop(left);
    }

    /// Returns whether no strong client is left. If there is one, `waiter` is woken when there is
    /// none.
    pub(crate) fn await_desertion(&self, key: &mut WaiterKey, waiter: Waiter) -> bool {
        let mut queue = self.lock();
        // The count is read under the lock, which the last client takes after it has decremented
        // the count. So either this thread sees zero, or that client finds the waiter.
        //
        // ORDERING: Acquire pairs with the Release of `remove_client`.
        let deserted = self.clients.load(Ordering::Acquire) == 0;
        let discarded = if deserted {
            let left = queue.until_deserted.remove(key);
            [left, Some(waiter)]
        } else {
            [queue.until_deserted.register(key, waiter), None]
        };
        drop(queue);
        drop(discarded);
        deserted
    }

    /// Removes the waiter for the end of the last client.
    pub(crate) fn stop_awaiting_desertion(&self, key: &mut WaiterKey) {
        let left = self.lock().until_deserted.remove(key);
        drop(left);
    }

    /// Checks whether no strong client is left and nothing is queued.
    ///
    /// Rejects requests whose deadline has passed. Returns `Ok` if the channel is drained.
    /// Otherwise `waiter` is woken when the channel may be drained; it may also be drained at the
    /// returned instant.
    pub(crate) fn await_drain(
        &self,
        key: &mut WaiterKey,
        waiter: Waiter,
    ) -> Result<(), Option<Instant>> {
        self.clock().refresh();
        let mut looks = 0;
        loop {
            let mut queue = self.lock();
            // ORDERING: Acquire pairs with the Release of `remove_client`. The lock excludes a lost
            // wake-up, as in `await_desertion`.
            let deserted = self.clients.load(Ordering::Acquire) == 0;
            if !deserted {
                let replaced = queue.until_deserted.register(key, waiter);
                drop(queue);
                drop(replaced);
                return Err(None);
            }
            if !self.queue_handed_over(&mut queue) {
                drop(queue);
                lock_pause(&mut looks);
                continue;
            }
            let mut lanes = LANES.iter();
            let take_expired = |&lane| self.take_expired(&mut queue, lane as usize, EXPIRED_RUN);
            if let Some(expired) = lanes.find_map(take_expired) {
                drop(queue);
                self.finish_expired(*expired);
                continue;
            }
            let (outcome, discarded) = if queue.is_empty() {
                let left = queue.until_deserted.remove(key);
                (Ok(()), [left, Some(waiter)])
            } else {
                let deadlines = queue.lanes.iter().filter_map(List::first_deadline);
                let outcome = Err(deadlines.min());
                (outcome, [queue.until_deserted.register(key, waiter), None])
            };
            drop(queue);
            drop(discarded);
            return outcome;
        }
    }

    /// Moves the request that was handed over, if there is one, to the head of the queue. Returns
    /// false if a receiver is awake and about to take it.
    fn queue_handed_over(&self, queue: &mut MutexGuard<'_, Queue<S, R, E>>) -> bool {
        // SAFETY: `queue` is a guard of this channel's lock (invariant 1 of the queue), and no
        // lease is passed.
        if let Some(entry) = unsafe { self.handoff.0.disarm(None) } {
            queue.put_first(entry);
            self.note_len(queue);
        }
        !self.handoff.0.has_request()
    }

    /// Returns the waiters to wake when a request has left the queue after the last client.
    pub(super) fn awaiting_drain(
        &self,
        queue: &mut Queue<S, R, E>,
    ) -> Option<impl Iterator<Item = Waiter> + use<S, R, E>> {
        let awaited = !queue.until_deserted.is_empty() && self.is_deserted();
        awaited.then(|| queue.until_deserted.take_all())
    }

    /// Closes the channel: no more requests enter. Queued requests stay for the receivers, which
    /// see the end after them.
    pub(crate) fn close(&self) {
        self.refuse_from_now_on().for_each(Waiter::wake);
    }

    /// Refuses all later requests, and all senders that wait for room. Returns the waiters for a
    /// request.
    fn refuse_from_now_on(&self) -> impl Iterator<Item = Waiter> + use<S, R, E> {
        let mut queue = self.lock();
        queue.open = false;
        self.shut_injector(&mut queue);
        // SAFETY: `queue` is a guard of this channel's lock (invariant 1 of the queue). `open` is
        // false from now on, so `arm_handoff` arms no other slot.
        unsafe { self.handoff.0.begin_disarm() };
        queue.awaited = false;
        let receivers = queue.receivers.take_all();
        let poller = queue.poller.take();
        let senders = queue.senders.each_mut().map(WaitQueue::take_all);
        let until_closed = queue.until_closed.take_all();
        drop(queue);
        until_closed.for_each(Waiter::wake);
        senders.into_iter().flatten().for_each(Waiter::wake);
        receivers.chain(poller)
    }

    /// Ends the server: rejects all queued requests at once, and every request that comes later.
    pub(crate) fn leave(&self) {
        let forgotten = self.refuse_from_now_on();
        // The requests are rejected one at a time. So the lock is held only briefly, and a message
        // that sends to its own channel when it is dropped does no harm.
        let rejected = iter::from_fn(|| {
            let mut queue = self.lock();
            // SAFETY: `queue` is a guard of this channel's lock (invariant 1 of the queue), and no
            // lease is passed.
            let call = unsafe { self.handoff.0.disarm(None) };
            queue.counters.accepted += u64::from(call.is_some());
            let context = TakeContext {
                handoff: &self.handoff.0,
                lease: None,
                capacity: self.capacity,
            };
            let entry = call.or_else(|| Some(queue.pop(&context)?.0))?;
            queue.counters.count(Untaken::ServerDisappeared);
            let rejected = entry.reject(Completion::ServerDisappeared);
            self.note_len(&queue);
            Some(rejected)
        });
        rejected.for_each(Rejected::finish);
        drop(forgotten);
        let until_drained = self.awaiting_drain(&mut self.lock());
        until_drained.into_iter().flatten().for_each(Waiter::wake);
    }

    /// Returns whether no client is left.
    #[inline]
    pub(crate) fn is_deserted(&self) -> bool {
        // ORDERING: Relaxed. It is a hint for a receiver. `awaiting_drain` holds the lock: if it
        // misses zero, the last client takes the lock later and wakes the waiters.
        self.clients.load(Ordering::Relaxed) == 0
    }
}
