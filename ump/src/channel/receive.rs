//! Taking requests: directly from the injector, or in the order of the lanes.

use std::{iter, mem};

use crate::{
    channel::Channel,
    channel::handoff::Lease,
    channel::queue::{Queue, TakeContext, TakeResult, WaitMode},
    options::RequestOptions,
    slot::list::Batch,
    sync::{MutexGuard, Ordering},
    wait::wait_queue::{Removal, WaiterKey},
    wait::waiter::{DeferredWake, Waiter},
};

/// The kind of a receiver: how likely it is to look for the next request soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiverKind {
    /// A thread that waits.
    Thread,
    /// A task that waits.
    Task,
    /// A receiver that does not wait.
    Passing,
}

impl ReceiverKind {
    /// Returns whether it pays off to arm the slot of a caller with these options. A task that
    /// sends a request may run on the very thread of the task that answers it.
    #[inline]
    fn suits(self, options: RequestOptions) -> bool {
        match self {
            Self::Thread => true,
            Self::Task => options.blocks,
            Self::Passing => false,
        }
    }
}

/// The result of looking for requests.
pub(crate) enum Taken<S, R, E> {
    /// At least one request.
    Some(Batch<S, R, E>),
    /// Only overdue requests, which were rejected. There may be others: look again.
    Overdue,
    /// No request now.
    Empty,
    /// No request, now or later.
    Closed,
}

/// Finishes looking at an empty queue.
#[inline]
fn finish_empty<S, R, E>(
    mut queue: MutexGuard<'_, Queue<S, R, E>>,
    mode: WaitMode<'_>,
    closed: bool,
) -> Taken<S, R, E> {
    let discard = queue.await_request(mode, !closed);
    drop(queue);
    drop(discard);
    if closed { Taken::Closed } else { Taken::Empty }
}

impl<S, R, E> Channel<S, R, E> {
    /// Takes the lease of the handoff, if it is available.
    #[inline]
    pub(crate) fn lease_handoff(&self) -> Option<Lease<'_, S, R, E>> {
        self.handoff.0.lease()
    }

    /// Takes up to `max` requests, at least one. Rejects requests whose deadline has passed on the
    /// way.
    #[inline]
    pub(crate) fn take(
        &self,
        max: usize,
        mode: WaitMode<'_>,
        lease: Option<Lease<'_, S, R, E>>,
        kind: ReceiverKind,
    ) -> Taken<S, R, E> {
        self.clock().refresh();
        let mut queue = self.locked_queue.0.queue.lock();
        // The count is read before the queue, so that the receiver does not miss what the last
        // client did before it went.
        //
        // ORDERING: Acquire pairs with the Release of `remove_client`.
        let closed = self.clients.load(Ordering::Acquire) == 0 || !queue.open;
        let mut result = TakeResult::new();
        if mode.is_to_sleep() || closed {
            self.shut_injector(&mut queue);
        } else if self.is_injector_next(&queue) {
            self.take_injected_directly(&mut queue, &mut result, max);
        } else {
            self.drain_injector_if_needed(&mut queue);
        }
        let leased = lease.is_some();
        if result.is_empty() {
            if queue.is_empty() && !self.handoff.0.is_armed() {
                return finish_empty(queue, mode, closed);
            }
            let sleeps = mode.is_to_sleep() && !closed;
            self.take_ordered(&mut queue, &mut result, max, sleeps, lease.as_ref());
        }
        self.note_len(&queue);
        let nothing = result.is_empty();
        let discard = match mode {
            WaitMode::InLine(key, waiter) if !result.taken.is_empty() => {
                [queue.stop(key).into_waiter(), waiter]
            }
            mode => [queue.await_request(mode, nothing && !closed), None],
        };
        if kind == ReceiverKind::Passing {
            drop(lease);
        } else {
            // Returns the lease under the lock: from now on another receiver accepts a request that
            // is handed over.
            self.arm_handoff(&mut queue, &result.taken, lease, kind);
        }
        let answerer = if leased && self.handoff.0.has_request() {
            queue.next_receiver()
        } else {
            DeferredWake::default()
        };
        let until_drained = if closed {
            self.awaiting_drain(&mut queue)
        } else {
            None
        };
        drop(queue);
        drop(discard);
        answerer.fire();
        until_drained.into_iter().flatten().for_each(Waiter::wake);
        match result.finish() {
            taken if !taken.is_empty() => Taken::Some(taken),
            _ if !nothing => Taken::Overdue,
            _ if closed => Taken::Closed,
            _ => Taken::Empty,
        }
    }

    /// Returns whether the next request comes from the injector.
    #[inline]
    fn is_injector_next(&self, queue: &Queue<S, R, E>) -> bool {
        queue.injector_open && queue.is_empty() && !self.handoff.0.is_armed()
    }

    /// Takes the requests in the injector past the queue, unless they have to be sorted. The
    /// requests beyond `max` are queued.
    #[inline]
    fn take_injected_directly(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        result: &mut TakeResult<S, R, E>,
        max: usize,
    ) {
        if self.injector.0.looks_empty() {
            return;
        }
        let (mut entered, plain) = self.take_injected(queue, true);
        if plain {
            if entered.len() <= max {
                mem::swap(&mut result.taken, &mut entered);
            } else {
                let first = iter::from_fn(|| entered.pop_front()).take(max);
                first.for_each(|entry| result.taken.push_back(entry));
            }
            queue.note_taken_directly(&result.taken);
        }
        queue.append(entered);
    }

    /// Takes requests with regard to capacity, lanes, deadlines and the handoff.
    fn take_ordered(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        result: &mut TakeResult<S, R, E>,
        max: usize,
        sleeps: bool,
        lease: Option<&Lease<'_, S, R, E>>,
    ) {
        let context = TakeContext {
            handoff: &self.handoff.0,
            lease,
            capacity: self.capacity,
        };
        queue.take(max, result, &context);
        if sleeps {
            queue.before_sleep(result, &context);
        }
    }

    /// Prepares for a next request that comes soon, and returns the lease.
    #[inline]
    fn arm_handoff(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        taken: &Batch<S, R, E>,
        lease: Option<Lease<'_, S, R, E>>,
        kind: ReceiverKind,
    ) {
        if self.capacity != usize::MAX || queue.awaited || !queue.open {
            return;
        }
        if kind == ReceiverKind::Thread {
            self.open_injector(queue);
        }
        if let Some(slot) = taken.single().filter(|_| queue.is_empty()) {
            // SAFETY: Its entry is in `taken`, so the slot is alive (invariant 1 of the list).
            let options = unsafe { slot.as_ref() }.core.options();
            if kind.suits(options) && queue.affinity.note_served(slot) {
                // SAFETY: `queue` is a guard of this channel's lock (invariant 1 of the queue). The
                // slot's entry is in `taken`, in the hands of this receiver. No receiver sleeps,
                // because `awaited` is false (invariant 3 of the queue).
                unsafe { self.handoff.0.arm(slot, lease) };
            }
        }
    }

    /// Leaves the wait queue for requests without a request.
    pub(crate) fn stop_receiving(&self, key: &mut WaiterKey) {
        let mut queue = self.lock();
        let left = queue.stop(key);
        let something = !queue.is_empty() || self.handoff.0.has_request();
        let pass_on = matches!(left, Removal::Woken) && something;
        let next = if pass_on { queue.receivers.pop() } else { None };
        queue.note_awaited();
        drop(queue);
        DeferredWake::new(next).fire();
        drop(left);
    }
}
