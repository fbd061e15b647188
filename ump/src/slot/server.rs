//! The server's end of a slot: first an [`Entry`], which is queued, then a [`Responder`], which completes the request.

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

/// The server's end of a request that has not been taken: the right to queue it, to take it or to turn it down.
///
/// There is one for each slot at a time. It does nothing when dropped.
#[must_use]
pub(crate) struct Entry<S, R, E>(NonNull<Slot<S, R, E>>);

// SAFETY: it is a slot on its way to another thread: message there, reply or error back.
unsafe impl<S: Send, R: Send, E: Send> Send for Entry<S, R, E> {}

impl<S, R, E> Entry<S, R, E> {
    /// # Safety
    /// There is no other `Entry` nor `Responder` of this slot, and the slot stays alive until it is `DONE` or withdrawn; if it is a
    /// post, it belongs to this end. There is a message in it.
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
        // SAFETY: the slot is alive while its server's end has not let go of it.
        &unsafe { self.0.as_ref() }.core
    }

    #[inline]
    pub(crate) fn options(&self) -> RequestOptions {
        self.core().options()
    }

    /// Whether its deadline has passed `now`, which is asked for only if there is one.
    #[inline]
    pub(crate) fn is_overdue(&self, now: &mut Option<Instant>) -> bool {
        let deadline = self.options().deadline;
        deadline.is_some_and(|at| at <= *now.get_or_insert_with(|| self.core().clock().recent()))
    }

    /// Hands the request to a handler.
    #[inline]
    pub(crate) fn take<T>(self, wrap: impl FnOnce(Responder<R, E>) -> T) -> (S, T) {
        // SAFETY: alive as above; invariant 1: we hold the only `Entry`.
        let message = unsafe { self.0.as_ref().message() };
        (message, wrap(Responder(self.0.cast())))
    }

    /// Turns the request down before it was taken. The message stays in the slot for its caller; a post takes it along.
    pub(crate) fn reject(self, completion: Completion<R, E>) -> Rejected<R, E> {
        if self.core().is_post() {
            return Rejected::Post(RejectedPost(self.0.cast()));
        }
        // SAFETY: we are the server's end, and `self` is gone after this.
        match unsafe { SlotCore::publish(self.0.cast(), completion, None) } {
            Ok(wake) => Rejected::Request(wake),
            Err(_) => unreachable!("only a request that was taken can be abandoned"),
        }
    }
}

/// What is left to do for a request that was turned down, once no lock is held.
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
            // Its message is dropped with it: the poster's code, whose panic is no trouble of who happens to run it.
            Self::Post(post) => catch_user_panic(|| drop(post)),
        }
    }
}

/// A post that was turned down: discarded when dropped.
pub(crate) struct RejectedPost<R, E>(NonNull<SlotCore<R, E>>);

impl<R, E> Drop for RejectedPost<R, E> {
    fn drop(&mut self) {
        // SAFETY: a post has no caller, so the server's end is its only owner; the message was not taken.
        unsafe { SlotCore::discard(self.0) }
    }
}

/// The server's end of a request that was taken: the duty to answer it. Dropped, it says that there is no reply.
pub(crate) struct Responder<R, E>(NonNull<SlotCore<R, E>>);

// SAFETY: it carries a reply or an error to the caller, and moves nothing else to this thread. (The message has
// been taken out. The channel, if this frees the last reference to it, holds no messages any more.)
unsafe impl<R: Send, E: Send> Send for Responder<R, E> {}

// SAFETY: through a shared reference only the state word and the fixed options are read.
unsafe impl<R: Send, E: Send> Sync for Responder<R, E> {}

impl<R, E> Responder<R, E> {
    #[inline]
    pub(crate) fn core(&self) -> &SlotCore<R, E> {
        // SAFETY: the slot is alive while its server's end has not let go of it.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.core().is_abandoned()
    }

    /// Leaves word whom to wake when the caller leaves. False if it has left already.
    pub(crate) fn watch_caller(&mut self, waiter: Option<Waiter>) -> bool {
        let core = self.core();
        let bits = core.lock();
        if bits & ABANDONED != 0 {
            core.unlock(bits);
            return false;
        }
        // SAFETY: LOCKED is ours.
        let old = core
            .cold
            .handler
            .with_mut(|cell| unsafe { mem::replace(&mut *cell, waiter) });
        core.unlock(bits | HANDLER);
        drop(old);
        true
    }

    /// Ends the request. Gives the completion back if there is nobody to take it.
    #[inline]
    pub(crate) fn finish(self, completion: Completion<R, E>) -> Result<(), Completion<R, E>> {
        let this = ManuallyDrop::new(self);
        let core = this.core();
        let ending = completion.ending(core.is_post());
        if core.is_post() {
            core.counters().count(ending);
            // SAFETY: a post has no caller, so the server's end is its only owner; the message was taken.
            unsafe { SlotCore::release(this.0) };
            return Ok(());
        }
        // SAFETY: we are the server's end, and `self` is gone after this.
        match unsafe { SlotCore::publish(this.0, completion, Some(ending)) } {
            Ok(wake) => {
                wake.fire();
                Ok(())
            }
            Err(completion) => {
                // SAFETY: the caller has left, so we are its only owner; the message was taken, and the completion given back.
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
        // Nobody there to take it: nothing is lost, there was no answer.
        let _ = Responder(self.0).finish(completion);
    }
}

impl<R, E> SlotCore<R, E> {
    #[inline]
    fn is_abandoned(&self) -> bool {
        // Acquire: pairs with the Release of `abandon`.
        self.state.load(Ordering::Acquire) & ABANDONED != 0
    }

    /// Puts the completion in place and hands the slot to the caller. Gives it back if the caller has left: then
    /// the slot is the server's end's. What is counted is counted before the caller can see the outcome.
    ///
    /// # Safety
    /// `this` is the server's end of a slot that is not a post. If it returns `Ok`, that end never touches the slot again.
    #[inline]
    unsafe fn publish(
        this: NonNull<Self>,
        completion: Completion<R, E>,
        ending: Option<Ending>,
    ) -> Result<DeferredWake, Completion<R, E>> {
        // SAFETY: the slot is alive until DONE is set; the references do not outlive the statements (see `unlock_for_good`).
        let (state, cell) = unsafe { (&(*this.as_ptr()).state, &(*this.as_ptr()).completion) };
        // SAFETY: the channel outlives the slot.
        let counters = unsafe { this.as_ref() }.counters();
        // Relaxed: ARMED may go meanwhile, but does not come.
        let bits = state.load(Ordering::Relaxed);
        let mut counted = false;
        if let (Some(ending), 0) = (ending, bits & ARMED) {
            counters.count(ending);
            counted = true;
        }
        // SAFETY: nobody else touches the completion before DONE (invariant 2).
        cell.with_mut(|cell| unsafe { (*cell).write(completion) });
        // Nobody asleep: the usual case between two ends that are awake.
        if bits & INVOLVED == 0 {
            let code = if counted { 0 } else { code(ending) };
            let done = bits & LASTING | DONE | code;
            // Release: pairs with the Acquire of `is_done`.
            if state
                .compare_exchange(bits, done, Ordering::Release, Ordering::Relaxed)
                .is_ok()
            {
                return Ok(DeferredWake::default());
            }
        }
        // SAFETY: still alive, as DONE is not set.
        let core = unsafe { this.as_ref() };
        let bits = core.lock();
        if bits & ABANDONED != 0 {
            core.unlock(bits);
            if let (Some(ending), true) = (ending, counted) {
                counters.uncount(ending);
            }
            // SAFETY: the slot is ours alone, and the completion was written above.
            return Err(cell.with(|cell| unsafe { (*cell).assume_init_read() }));
        }
        // SAFETY: LOCKED is ours.
        let (handler, caller) = unsafe { core.take_waiters() };
        let mut done = bits & LASTING | DONE;
        if let (Some(ending), false) = (ending, counted) {
            if bits & ARMED != 0 {
                done |= code(Some(ending));
            } else {
                counters.count(ending);
            }
        }
        // SAFETY: alive, and not used after this.
        unsafe { Self::unlock_for_good(this, done) };
        Ok(DeferredWake::new(caller).and_discard([handler, None]))
    }
}
