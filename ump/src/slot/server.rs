//! The server's end of a slot: first an [`Entry`], which is queued, then a [`Responder`], which
//! completes the request.
//!
//! The invariants are those of the [module above](super).

use std::{
    mem::{self, ManuallyDrop},
    ptr::NonNull,
    time::Instant,
};

use crate::{
    error::NoReply,
    error::panic::PanicMessage,
    options::RequestOptions,
    slot::completion::Completion,
    slot::state::{ABANDONED, ARMED, DONE, HANDLER, INVOLVED, LASTING, code},
    slot::{Slot, SlotCore},
    stats::Ending,
    sync::{Ordering, panicking},
    wait::waiter::{DeferredWake, Waiter, catch_user_panic},
};

/// The server's end of a request that has not been taken: the right to queue it, to take it or to
/// reject it.
///
/// There is at most one for each slot at a time. It does nothing when dropped.
#[must_use]
pub(crate) struct Entry<S, R, E>(NonNull<Slot<S, R, E>>);

// SAFETY: it brings a message to its thread and returns a reply or an error; all three are `Send`.
// By invariants 1 to 4 one thread at a time touches each cell of the slot, and by invariant 9 the
// others are only read.
unsafe impl<S: Send, R: Send, E: Send> Send for Entry<S, R, E> {}

impl<S, R, E> Entry<S, R, E> {
    /// Creates the entry of a slot.
    ///
    /// # Safety
    /// There is no other `Entry` nor `Responder` of this slot. The slot stays alive until it is
    /// `DONE` or withdrawn; if it holds a post, this end owns it. There is a message in it.
    pub(crate) unsafe fn new(slot: NonNull<Slot<S, R, E>>) -> Self {
        Self(slot)
    }

    #[inline]
    pub(crate) fn slot(&self) -> NonNull<Slot<S, R, E>> {
        self.0
    }

    #[inline]
    pub(crate) fn into_slot(self) -> NonNull<Slot<S, R, E>> {
        self.0
    }

    #[inline]
    fn core(&self) -> &SlotCore<R, E> {
        // SAFETY: invariant 8: the server's end has not let go of the slot.
        &unsafe { self.0.as_ref() }.core
    }

    #[inline]
    pub(crate) fn options(&self) -> RequestOptions {
        self.core().options()
    }

    /// Returns whether the deadline has passed at `now`. Reads the clock into `now` only if there
    /// is a deadline.
    #[inline]
    pub(crate) fn is_overdue(&self, now: &mut Option<Instant>) -> bool {
        let deadline = self.options().deadline;
        deadline.is_some_and(|at| at <= *now.get_or_insert_with(|| self.core().clock().recent()))
    }

    /// Hands the request to a handler.
    #[inline]
    pub(crate) fn take<T>(self, wrap: impl FnOnce(Responder<R, E>) -> T) -> (S, T) {
        // SAFETY: the slot is alive (invariant 8), and `self` is the only `Entry`, so the message
        // is there and this end may move it out (invariant 1).
        let message = unsafe { self.0.as_ref().message() };
        (message, wrap(Responder(self.0.cast())))
    }

    /// Rejects the request before it was taken. The message stays in the slot for its caller. A
    /// post keeps it, and drops it with itself.
    pub(crate) fn reject(self, completion: Completion<R, E>) -> Rejected<R, E> {
        if self.core().is_post() {
            return Rejected::Post(RejectedPost(self.0.cast()));
        }
        // SAFETY: `self` is the server's end of a slot that is not a post. It is consumed, so this
        // end makes no access after `DONE` (invariant 5).
        match unsafe { SlotCore::publish(self.0.cast(), completion, None) } {
            Ok(wake) => Rejected::Request(wake),
            Err(_) => unreachable!("only a request that was taken can be abandoned"),
        }
    }
}

/// The rest of the work for a rejected request, once no lock is held.
#[must_use = "somebody sleeps until this is finished"]
pub(crate) enum Rejected<R, E> {
    Request(DeferredWake),
    Post(RejectedPost<R, E>),
}

impl<R, E> Rejected<R, E> {
    #[inline]
    pub(crate) fn finish(self) {
        match self {
            Self::Request(wake) => wake.fire(),
            // This drops the message of the post, which runs the poster's code. Its panic must not
            // reach the thread that happens to run this.
            Self::Post(post) => catch_user_panic(|| drop(post)),
        }
    }
}

/// A post that was rejected. Dropping it drops the message and gives up the slot.
pub(crate) struct RejectedPost<R, E>(NonNull<SlotCore<R, E>>);

impl<R, E> Drop for RejectedPost<R, E> {
    fn drop(&mut self) {
        // SAFETY: invariant 7: the server's end of a post owns the slot alone. The message was not
        // taken, so it is there (invariant 1), and no outcome was written.
        unsafe { SlotCore::discard(self.0) }
    }
}

/// The server's end of a request that was taken: the obligation to complete it. If it is dropped,
/// the caller learns that there is no reply.
pub(crate) struct Responder<R, E>(NonNull<SlotCore<R, E>>);

// SAFETY: it carries a reply or an error to the caller, and moves nothing else to this thread: the
// message has been taken out (invariant 1). If this frees the last reference to the channel, the
// channel holds no messages any more.
unsafe impl<R: Send, E: Send> Send for Responder<R, E> {}

// SAFETY: through a shared reference only these are read: the state word, which is atomic; the
// options and the entry time, which do not change (invariant 9); the origin, likewise (invariant
// 1).
unsafe impl<R: Send, E: Send> Sync for Responder<R, E> {}

impl<R, E> Responder<R, E> {
    #[inline]
    pub(crate) fn core(&self) -> &SlotCore<R, E> {
        // SAFETY: invariant 8: the server's end has not let go of the slot.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.core().is_abandoned()
    }

    /// Registers a waiter to be woken when the caller leaves. Returns false if the caller has left
    /// already.
    pub(crate) fn watch_caller(&mut self, waiter: Option<Waiter>) -> bool {
        let core = self.core();
        let bits = core.lock();
        if bits & ABANDONED != 0 {
            core.unlock(bits);
            return false;
        }
        // SAFETY: invariant 3: this function has `LOCKED`.
        let old = core
            .cold
            .handler
            .with_mut(|cell| unsafe { mem::replace(&mut *cell, waiter) });
        core.unlock(bits | HANDLER);
        drop(old);
        true
    }

    /// Completes the request. Returns the completion if the caller has left.
    #[inline]
    pub(crate) fn finish(self, completion: Completion<R, E>) -> Result<(), Completion<R, E>> {
        let this = ManuallyDrop::new(self);
        let core = this.core();
        let ending = completion.ending(core.is_post());
        if core.is_post() {
            core.counters().count(ending);
            // SAFETY: invariant 7: the server's end of a post owns the slot alone. The message was
            // taken, and no outcome was written.
            unsafe { SlotCore::release(this.0) };
            return Ok(());
        }
        // SAFETY: `self` is the server's end of a slot that is not a post. It is consumed, so this
        // end makes no access after `DONE` (invariant 5).
        match unsafe { SlotCore::publish(this.0, completion, Some(ending)) } {
            Ok(wake) => {
                wake.fire();
                Ok(())
            }
            Err(completion) => {
                // SAFETY: invariant 7: the caller has abandoned the request, so this end owns the
                // slot alone. The message was taken, and `publish` has moved the completion out
                // again.
                unsafe { SlotCore::release(this.0) };
                Err(completion)
            }
        }
    }
}

impl<R, E> Drop for Responder<R, E> {
    fn drop(&mut self) {
        let completion = if panicking() {
            Completion::NoReply(NoReply::Panicked(PanicMessage::default()))
        } else if !self.core().is_post() && self.core().is_overdue() {
            Completion::Overdue
        } else {
            Completion::NoReply(NoReply::of_drop())
        };
        // If the caller has left, the completion is dropped: it holds no reply.
        let _ = Responder(self.0).finish(completion);
    }
}

impl<R, E> SlotCore<R, E> {
    #[inline]
    fn is_abandoned(&self) -> bool {
        // ORDERING: Acquire, pairs with the Release store of `abandon` (`unlock_for_good`): all
        // that the caller did before it left is visible.
        self.state.load(Ordering::Acquire) & ABANDONED != 0
    }

    /// Puts the completion in place and hands the slot to the caller. Returns the completion if the
    /// caller has left: then the server's end owns the slot alone. The ending is counted before the
    /// caller can see the outcome.
    ///
    /// # Safety
    /// `this` is the server's end of a slot that is not a post. If this returns `Ok`, that end
    /// never touches the slot again.
    #[inline]
    unsafe fn publish(
        this: NonNull<Self>,
        completion: Completion<R, E>,
        ending: Option<Ending>,
    ) -> Result<DeferredWake, Completion<R, E>> {
        // SAFETY: invariant 8: the slot is alive until this end sets `DONE`. The references are not
        // arguments of this function (see `unlock_for_good`), and it does not use them after that.
        let (state, cell) = unsafe { (&(*this.as_ptr()).state, &(*this.as_ptr()).completion) };
        // SAFETY: invariant 8: the slot is alive, and its channel, which has the counters, outlives
        // it.
        let counters = unsafe { this.as_ref() }.counters();
        // ORDERING: Relaxed, as the exchange below fails if the bits are old, and then those of
        // `lock` count. `ARMED` may be cleared meanwhile, but it is not set: the handoff arms a
        // slot only while it has the entry.
        let bits = state.load(Ordering::Relaxed);
        let mut counted = false;
        if let (Some(ending), 0) = (ending, bits & ARMED) {
            counters.count(ending);
            counted = true;
        }
        // SAFETY: invariant 2: `DONE` is not set, so only this end touches the completion.
        cell.with_mut(|cell| unsafe { (*cell).write(completion) });
        // No waiter is registered: the usual case between two ends that are awake.
        if bits & INVOLVED == 0 {
            let code = if counted { 0 } else { code(ending) };
            let done = bits & LASTING | DONE | code;
            // ORDERING: Release, pairs with the Acquire of `is_done` and of `lock`: the completion,
            // the count and all that the handler did is visible to a caller that sees `DONE`. On
            // failure Relaxed, as `lock` below reads the bits again.
            if state
                .compare_exchange(bits, done, Ordering::Release, Ordering::Relaxed)
                .is_ok()
            {
                return Ok(DeferredWake::default());
            }
        }
        // SAFETY: invariant 8: this end has not set `DONE`.
        let core = unsafe { this.as_ref() };
        let bits = core.lock();
        if bits & ABANDONED != 0 {
            core.unlock(bits);
            if let (Some(ending), true) = (ending, counted) {
                counters.uncount(ending);
            }
            // SAFETY: invariant 7: with `ABANDONED` this end owns the slot alone. The completion
            // was written above.
            return Err(cell.with(|cell| unsafe { (*cell).assume_init_read() }));
        }
        // SAFETY: invariant 3: this function has `LOCKED`.
        let (handler, caller) = unsafe { core.take_waiters() };
        let mut done = bits & LASTING | DONE;
        if let (Some(ending), false) = (ending, counted) {
            if bits & ARMED != 0 {
                done |= code(Some(ending));
            } else {
                counters.count(ending);
            }
        }
        // SAFETY: the slot is alive until this store (invariant 8), this function has `LOCKED`, and
        // this end makes no access after it (invariant 5).
        unsafe { Self::unlock_for_good(this, done) };
        Ok(DeferredWake::new(caller).and_discard([handler, None]))
    }
}
