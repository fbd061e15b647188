//! Admission of requests: through the injector, the handoff or the lock. Room in a bounded lane,
//! and withdrawing a request.

use std::{cell::Cell, ptr};

use crate::{
    channel::Channel,
    channel::queue::{Deferred, Discards, EXPIRED_RUN, LANES, Queue, TakeResult, WaitMode},
    options::Lane,
    slot::completion::Completion,
    slot::list::List,
    slot::server::{Entry, Rejected},
    slot::{Slot, SlotCore},
    stats::Untaken,
    sync::{MutexGuard, Ordering, lock_pause, of_each_thread},
    wait::wait_queue::{Removal, WaiterKey},
    wait::waiter::{DeferredWake, Waiter},
};

/// The number of posts with a deadline after which a sender drops expired ones. It drops at most
/// twice as many, so that they do not accumulate.
const SWEEP_EVERY: usize = 64;

of_each_thread! {
    /// A mark whose address identifies the thread.
    static MARK: Cell<u8> = Cell::new(0);
}

fn this_thread() -> usize {
    MARK.with(|mark| ptr::from_ref(mark).addr())
}

/// The reason why a request was not admitted.
#[derive(Debug)]
pub(crate) enum Refusal {
    Full,
    ServerDisappeared,
}

impl<S, R, E> Channel<S, R, E> {
    /// Hands a request over to a receiver that is awake and waits for it, past the queue. Returns
    /// false if the request has to queue.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone. The slot holds a message and no post, and
    /// was made for this channel.
    #[inline]
    pub(crate) unsafe fn hand_over(&self, core: &SlotCore<R, E>) -> bool {
        // `looks_empty` sees at least this client's own requests that are queued: these come first.
        core.is_armed() && self.looks_empty() && core.lane() == Lane::Normal
            // SAFETY: The caller guarantees that it owns the slot alone (invariant 7 of the slot),
            // and that there is a message in it.
            && unsafe { core.hand_over() }
    }

    /// Admits a request, and returns the receivers to wake. If the request is refused, the entry is
    /// void and its caller owns the slot again.
    #[inline]
    pub(crate) fn send(
        &self,
        entry: Entry<S, R, E>,
        mut mode: WaitMode<'_>,
    ) -> Result<DeferredWake, Refusal> {
        let has_room = mode.has_room();
        let entry = if has_room {
            entry
        } else {
            match self.enter(entry) {
                Ok(()) => return Ok(DeferredWake::default()),
                Err(entry) => entry,
            }
        };
        let lane = entry.options().lane as usize;
        if self.capacity != usize::MAX {
            self.clock().refresh();
        }
        let mut queue = self.lock();
        if !queue.open {
            queue.counters.refused += 1;
            drop(queue);
            return Err(Refusal::ServerDisappeared);
        }
        let mut expired = None;
        if has_room {
            queue.reserved[lane] -= 1;
        } else if queue.is_full(lane, self.capacity) {
            expired = match self.make_room(&mut queue, lane, &mut mode) {
                Ok(expired) => Some(expired),
                Err(expired) => return Err(self.reject_full(queue, lane, mode, expired)),
            };
        }
        let discard = queue.stop_awaiting_room(lane, mode);
        if let Some(ending) = queue.enter(entry) {
            self.shared.counters.0.count(ending);
        }
        self.note_len(&queue);
        let wake = queue.next_receiver();
        if !queue.awaited && self.capacity == usize::MAX {
            self.open_injector(&mut queue);
        }
        drop(queue);
        let wake = wake.and_discard(discard);
        let Some(expired) = expired else {
            return Ok(wake);
        };
        // The receivers are woken first: dropping an expired message is user code, and may wait for
        // one of them.
        wake.fire();
        self.finish_expired(*expired);
        Ok(DeferredWake::default())
    }

    /// Reserves room in a lane for a request that has not been sent yet.
    pub(crate) fn reserve(&self, lane: Lane, mut mode: WaitMode<'_>) -> Result<(), Refusal> {
        let lane = lane as usize;
        self.clock().refresh();
        let mut queue = self.lock();
        if !queue.open {
            queue.counters.refused += 1;
            return Err(Refusal::ServerDisappeared);
        }
        let mut expired = None;
        if queue.is_full(lane, self.capacity) {
            expired = match self.make_room(&mut queue, lane, &mut mode) {
                Ok(expired) => Some(expired),
                Err(expired) => return Err(self.reject_full(queue, lane, mode, expired)),
            };
        }
        queue.reserved[lane] += 1;
        let discard = queue.stop_awaiting_room(lane, mode);
        drop(queue);
        drop(discard);
        if let Some(expired) = expired {
            self.finish_expired(*expired);
        }
        Ok(())
    }

    /// Refuses a request because the lane has no room, or room only for other senders.
    fn reject_full(
        &self,
        mut queue: MutexGuard<'_, Queue<S, R, E>>,
        lane: usize,
        mode: WaitMode<'_>,
        expired: Option<Box<Deferred<R, E>>>,
    ) -> Refusal {
        let replaced = queue.await_room(lane, mode);
        drop(queue);
        drop(replaced);
        if let Some(expired) = expired {
            self.finish_expired(*expired);
        }
        Refusal::Full
    }

    /// Rejects the requests at the head of a full lane whose deadline has passed.
    ///
    /// Their room goes to the registered senders, in their order, and then to a sender that has not
    /// registered. Returns `Ok` if the sender in `mode` has its share; then it has left the wait
    /// queue. All other senders that have a share are woken.
    #[cold]
    fn make_room(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        lane: usize,
        mode: &mut WaitMode<'_>,
    ) -> Result<Box<Deferred<R, E>>, Option<Box<Deferred<R, E>>>> {
        let (mut key, is_back) = match mode {
            WaitMode::InLine(key, waiter) => (Some(&mut **key), waiter.is_none()),
            _ => (None, false),
        };
        let ahead = queue.senders[lane].ahead_of(key.as_deref());
        if is_back && ahead > 0 {
            // The sender comes back to register. If it made the room now, it would then take the
            // room of the senders before it.
            return Err(None);
        }
        let most = EXPIRED_RUN.max(ahead + 1);
        let Some(mut deferred) = self.take_expired(queue, lane, most) else {
            return Err(None);
        };
        let mut room = deferred.rejected.len() + deferred.put_off;
        let has_share = ahead < room;
        if has_share {
            room -= 1;
            deferred.discard = key
                .take()
                .and_then(|key| queue.senders[lane].remove(key).into_waiter());
        }
        deferred.senders.extend(queue.next_senders(lane, room));
        if has_share {
            Ok(deferred)
        } else {
            Err(Some(deferred))
        }
    }

    /// Returns reserved room that is not needed, and wakes the next sender for it.
    pub(crate) fn give_back_room(&self, lane: Lane) {
        let lane = lane as usize;
        let mut queue = self.lock();
        queue.reserved[lane] -= 1;
        let next = queue.senders[lane].pop();
        drop(queue);
        DeferredWake::new(next).fire();
    }

    /// Records that a post with a deadline was sent.
    ///
    /// Now and then this drops the expired posts at the head of the lane. Nothing waits for them,
    /// so they would accumulate while no receiver comes.
    pub(crate) fn note_timed_post(&self, lane: Lane) {
        // ORDERING: Relaxed. It is a counter that guards no data.
        let before = self.timed_posts.fetch_add(1, Ordering::Relaxed);
        if (before + 1) % SWEEP_EVERY == 0 {
            self.sweep(lane);
        }
    }

    #[cold]
    fn sweep(&self, lane: Lane) {
        // ORDERING: Relaxed, also for the store below. The flag guards no data: it only bounds the
        // depth of the stack.
        if self.is_sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        self.sweep_once(lane);
        self.is_sweeping.store(false, Ordering::Relaxed);
    }

    fn sweep_once(&self, lane: Lane) {
        self.clock().refresh();
        for _ in 0..2 * SWEEP_EVERY / EXPIRED_RUN {
            let mut queue = self.lock();
            let lane = lane as usize;
            let Some(mut expired) = self.take_expired(&mut queue, lane, EXPIRED_RUN) else {
                return;
            };
            let freed = expired.rejected.len() + expired.put_off;
            let senders = queue.next_senders(lane, freed);
            expired.senders.extend(senders);
            drop(queue);
            self.finish_expired(*expired);
        }
    }

    /// Rejects the requests at the head of a lane whose deadline has passed, at most `most` of
    /// them. Returns `None` if there are none.
    #[cold]
    pub(super) fn take_expired(
        &self,
        queue: &mut MutexGuard<'_, Queue<S, R, E>>,
        lane: usize,
        most: usize,
    ) -> Option<Box<Deferred<R, E>>> {
        let first = queue.lanes[lane].first_deadline()?;
        let now = self.clock().recent();
        if first > now {
            return None;
        }
        let this_thread = this_thread();
        let discards = (queue.discards.iter()).position(|it| it.thread == this_thread);
        let mut result = TakeResult::new();
        result.now = Some(now);
        while result.rejected() < most
            && queue.lanes[lane]
                .first_deadline()
                .is_some_and(|at| at <= now)
        {
            let entry = queue.pop_from(LANES[lane])?;
            match discards {
                Some(at) if entry.options().post => {
                    queue.counters.count(Untaken::Timeout);
                    queue.discards[at].posts.push_back(entry);
                    result.deferred().put_off += 1;
                }
                _ => drop(queue.hand_out(entry, &mut result)),
            }
        }
        self.note_len(queue);
        result.deferred
    }

    /// Completes the expired requests of callers, and drops the expired posts, including those that
    /// these drops add.
    pub(super) fn finish_expired(&self, expired: Deferred<R, E>) {
        let is_post = |it: &Rejected<R, E>| matches!(it, Rejected::Post(_));
        if !expired.rejected.iter().any(is_post) {
            return expired.finish();
        }
        let thread = this_thread();
        self.lock().discards.push(Discards {
            thread,
            posts: List::new(),
        });
        expired.finish();
        loop {
            let mut queue = self.lock();
            let mut all = queue.discards.iter_mut();
            let at = all.position(|it| it.thread == thread).expect("just added");
            let Some(post) = queue.discards[at].posts.pop_front() else {
                queue.discards.swap_remove(at);
                return;
            };
            let post = post.reject(Completion::Expired);
            drop(queue);
            post.finish();
        }
    }

    /// Admits a request through the injector, if the injector is open.
    #[inline]
    fn enter(&self, entry: Entry<S, R, E>) -> Result<(), Entry<S, R, E>> {
        // SAFETY: The entry keeps its slot alive (invariant 8 of the slot). The request has not
        // been sent, so this end owns the slot alone (invariant 7 of the slot).
        if unsafe { entry.slot().as_ref().enter_unarmed() } {
            self.injector.0.enter(entry)
        } else {
            Err(entry)
        }
    }

    /// Leaves the wait queue for room without having been admitted.
    pub(crate) fn stop_sending(&self, lane: Lane, key: &mut WaiterKey) {
        let mut queue = self.lock();
        queue.counters.refused += 1;
        let lane = lane as usize;
        let left = queue.senders[lane].remove(key);
        let room = queue.open && !queue.is_full(lane, self.capacity);
        let pass_on = matches!(left, Removal::Woken) && room;
        let next = if pass_on {
            queue.senders[lane].pop()
        } else {
            None
        };
        drop(queue);
        DeferredWake::new(next).fire();
        drop(left);
    }

    /// Counts a request that was refused before it reached the channel.
    pub(crate) fn refuse(&self) {
        self.lock().counters.refused += 1;
    }

    /// Withdraws a request from the queue, if it is still there: then the caller's end owns the
    /// slot alone.
    ///
    /// If the request is not there, it has been handed to a handler, or it is `DONE` already.
    ///
    /// # Safety
    /// The caller of this function has the caller's end of `slot`, which keeps the slot alive. The
    /// slot was sent to this channel, if it was sent at all.
    pub(crate) unsafe fn withdraw(&self, slot: &Slot<S, R, E>, why: Untaken) -> bool {
        if slot.core.is_committed() {
            // SAFETY: The caller's guarantee is the one that `uncommit` requires.
            unsafe { self.uncommit(&slot.core) };
        }
        let mut queue = self.lock();
        // SAFETY: By the caller's guarantee the slot is alive, and no other queue than this one
        // holds it.
        if unsafe { queue.remove(slot) }.is_none() {
            // SAFETY: By the caller's guarantee this end has sent the slot.
            if !unsafe { slot.core.take_back() } {
                return false;
            }
            queue.counters.accepted += 1;
        }
        let sender = queue.senders[slot.core.lane() as usize].pop();
        queue.counters.count(why);
        self.note_len(&queue);
        let until_drained = self.awaiting_drain(&mut queue);
        drop(queue);
        DeferredWake::new(sender).fire();
        until_drained.into_iter().flatten().for_each(Waiter::wake);
        true
    }

    /// Makes a committed request one that its caller can withdraw, unless a receiver has accepted
    /// it.
    ///
    /// # Safety
    /// The guarantee of [`withdraw`](Self::withdraw).
    #[cold]
    unsafe fn uncommit(&self, core: &SlotCore<R, E>) {
        let uncommitted = || {
            // This takes the lock: otherwise a receiver could fall asleep because this thread has
            // the lease.
            let _queue = self.lock();
            // SAFETY: This thread holds the channel's lock. By the caller's guarantee this is the
            // caller's end of a slot that was sent to this channel.
            unsafe { self.handoff.0.uncommit(core) }
        };
        let mut looks = 0;
        // The receiver that has the lease is awake. It accepts the request, or returns the lease.
        while !uncommitted() {
            lock_pause(&mut looks);
        }
    }
}
