//! The life of a channel: its clients are counted, the server closes it or leaves, and those who wait for either are woken.

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
    /// One more strong client.
    pub(crate) fn add_client(&self) {
        // Relaxed: made from a client that exists, which keeps the count above zero.
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// One more strong client, unless the last one has gone.
    pub(crate) fn revive_client(&self) -> bool {
        self.clients
            // Relaxed: the count guards no data; the client's own handle came here by its own way. Acquire: who finds that the last one has gone finds
            // what that one sent. Pairs with the Release of `remove_client`.
            .fetch_update(Ordering::Relaxed, Ordering::Acquire, |n| {
                (n > 0).then_some(n + 1)
            })
            .is_ok()
    }

    /// One strong client less. The last one wakes everybody who waits for that, then everybody who waits for a request.
    pub(crate) fn remove_client(&self) {
        // Release: what this client sent happens before the receiver's Acquire sees zero. (Both hold the lock as well.)
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

    /// Whether nothing enters any more; otherwise wakes who waits when that is so.
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

    pub(crate) fn stop_awaiting_close(&self, key: &mut WaiterKey) {
        let left = self.lock().until_closed.remove(key);
        drop(left);
    }

    /// Whether no strong client is left; otherwise `waiter` is woken when that is so.
    pub(crate) fn await_desertion(&self, key: &mut WaiterKey, waiter: Waiter) -> bool {
        let mut queue = self.lock();
        // Under the lock, which the last client takes after it has counted itself out: this sees zero, or that client finds the waiter.
        // Acquire: pairs with the Release of `remove_client`.
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

    pub(crate) fn stop_awaiting_desertion(&self, key: &mut WaiterKey) {
        let left = self.lock().until_deserted.remove(key);
        drop(left);
    }

    /// Whether no strong client is left and nothing is queued: requests whose deadline has passed are turned down. Otherwise `waiter` is woken when that
    /// may be so, and it may be so at the instant that is returned as well.
    pub(crate) fn await_drain(
        &self,
        key: &mut WaiterKey,
        waiter: Waiter,
    ) -> Result<(), Option<Instant>> {
        self.clock().refresh();
        let mut looks = 0;
        loop {
            let mut queue = self.lock();
            // As in `await_desertion`.
            let deserted = self.clients.load(Ordering::Acquire) == 0;
            if !deserted {
                let replaced = queue.until_deserted.register(key, waiter);
                drop(queue);
                drop(replaced);
                return Err(None);
            }
            if !self.queue_call(&mut queue) {
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

    /// Puts the call, if there is one, into the queue, before all others. False if another one is awake and about to take it.
    fn queue_call(&self, queue: &mut MutexGuard<'_, Queue<S, R, E>>) -> bool {
        // SAFETY: we hold the channel's lock.
        if let Some(entry) = unsafe { self.handoff.0.disarm(None) } {
            queue.put_first(entry);
            self.note_len(queue);
        }
        !self.handoff.0.has_request()
    }

    /// Whom to wake when a request has left the queue after the last client.
    pub(super) fn awaiting_drain(
        &self,
        queue: &mut Queue<S, R, E>,
    ) -> Option<impl Iterator<Item = Waiter> + use<S, R, E>> {
        let awaited = !queue.until_deserted.is_empty() && self.is_deserted();
        awaited.then(|| queue.until_deserted.take_all())
    }

    /// Nothing enters any more. What is queued stays for the receivers, who learn of the end after it.
    pub(crate) fn close(&self) {
        self.refuse_from_now_on().for_each(Waiter::wake);
    }

    /// Turns away whoever comes later or waits for room. Returns who waits for a request.
    fn refuse_from_now_on(&self) -> impl Iterator<Item = Waiter> + use<S, R, E> {
        let mut queue = self.lock();
        queue.open = false;
        self.shut_injector(&mut queue);
        // SAFETY: we hold the lock.
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

    /// The server goes: whatever is queued learns of it at once, and so does everything that comes later.
    pub(crate) fn leave(&self) {
        let forgotten = self.refuse_from_now_on();
        // One at a time: the lock stays short, and a message that sends to its own channel when dropped is no trouble.
        let rejected = iter::from_fn(|| {
            let mut queue = self.lock();
            // SAFETY: we hold the lock.
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

    /// Whether no client is left.
    #[inline]
    pub(crate) fn is_deserted(&self) -> bool {
        // Relaxed: a hint.
        self.clients.load(Ordering::Relaxed) == 0
    }
}
