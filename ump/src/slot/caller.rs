//! The caller's end of a slot: waiting for the outcome, and leaving before it comes.

use std::{
    ptr::{self, NonNull},
    task::Waker,
    time::Instant,
};

use crate::{
    error::cycle::Cycle,
    hooks::{self, Goal, Wait},
    slot::SlotCore,
    slot::completion::Completion,
    slot::state::{ABANDONED, ARMED, CALLER, DONE, LASTING},
    stats::Ending,
    sync::{Ordering, current},
    wait::waiter::{DeferredWake, Waiter},
    wait::{pause_for_peer, spin_until},
};

impl<R, E> SlotCore<R, E> {
    /// Leaves word whom to wake before the request enters: the slot is the caller's alone.
    ///
    /// # Safety
    /// The slot is the caller's alone.
    #[inline]
    pub(crate) unsafe fn preregister(&self, waker: &Waker) {
        // SAFETY: invariant 3.
        let armed = unsafe { self.would_wake(waker) };
        if !armed {
            let waiter = Waiter::task(waker);
            // SAFETY: the same.
            let old = self
                .cold
                .caller
                .with_mut(|cell| unsafe { (*cell).replace(waiter) });
            drop(old);
        }
    }

    /// Whether the caller has left word to wake the task of `waker`.
    ///
    /// # Safety
    /// LOCKED is ours, or the whole slot.
    #[inline]
    unsafe fn would_wake(&self, waker: &Waker) -> bool {
        self.cold.caller.with(|cell| {
            // SAFETY: invariant 3.
            let caller = unsafe { &*cell };
            caller.as_ref().is_some_and(|old| old.will_wake(waker))
        })
    }

    /// The bit for whether the caller has left word.
    ///
    /// # Safety
    /// The slot is the caller's alone.
    #[inline]
    pub(super) unsafe fn preregistered_bit(&self) -> u32 {
        // SAFETY: as promised by the caller.
        let armed = self.cold.caller.with(|cell| unsafe { &*cell }.is_some());
        if armed { CALLER } else { 0 }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        // Acquire: pairs with the Release that set DONE, so the completion and all that the handler did are visible.
        self.state.load(Ordering::Acquire) & DONE != 0
    }

    /// Blocks until the outcome is there, or until `deadline`, which is that of the request or earlier. Tells whether it is there.
    ///
    /// # Errors
    /// The thread's watcher says that it would wait for itself.
    #[inline]
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Result<bool, Cycle> {
        if self.is_armed() {
            pause_for_peer();
        }
        let policy = &self.shared().wait_policy.threads;
        if spin_until(policy, || self.is_done()) {
            return Ok(true);
        }
        // One that ends before the request does waits for nobody for ever, whatever its watcher finds.
        let is_bounded_by_call = deadline != self.deadline();
        let _watched = if is_bounded_by_call {
            None
        } else {
            hooks::before(|| self.awaited(deadline, true))?
        };
        if !self.sleep(Waiter::Thread(current())) {
            return Ok(true);
        }
        let mut passed = false;
        let asleep = policy.sleeps();
        // It looks before it parks for the first time as well: to let go of a former waiter runs the user's code, which may use up the unpark.
        loop {
            if self.is_done() {
                policy.woken(asleep);
                return Ok(true);
            }
            if passed {
                return Ok(false);
            }
            passed = self.clock().park_until(deadline);
        }
    }

    /// What one waits for who waits for the outcome.
    pub(crate) fn awaited(&self, deadline: Option<Instant>, is_first: bool) -> Wait {
        Wait {
            request: self.id(),
            channel: self.shared().id(),
            deadline,
            clock: self.clock().id(),
            goal: Goal::Reply,
            lane: self.lane(),
            is_first,
        }
    }

    /// Spins for the outcome of a call that has just been made by a task.
    ///
    /// Only then: a thread is awake at the other end, and so quick as it recently was, it answers sooner than a task could be woken.
    #[inline]
    pub(crate) fn is_answered_at_once(&self) -> bool {
        // Relaxed: a hint.
        let quick = self.state.load(Ordering::Relaxed) & (ARMED | CALLER) == ARMED;
        if quick {
            pause_for_peer();
        }
        quick && spin_until(&self.shared().wait_policy.tasks, || self.is_done())
    }

    /// Leaves word to wake the task of `waker` when the outcome is there. False if it is there already.
    pub(crate) fn sleep_as_task(&self, waker: &Waker) -> bool {
        // Relaxed: a hint, that there is a waiter which may be the same.
        if self.state.load(Ordering::Relaxed) & CALLER != 0 {
            let bits = self.lock();
            // SAFETY: LOCKED is ours.
            let armed = unsafe { self.would_wake(waker) };
            self.unlock(bits);
            if bits & DONE != 0 {
                return false;
            }
            if armed {
                return true;
            }
        }
        self.sleep(Waiter::task(waker))
    }

    /// Leaves word whom to wake when the outcome is there. False if it is there already.
    pub(crate) fn sleep(&self, waiter: Waiter) -> bool {
        let bits = self.lock();
        if bits & DONE != 0 {
            self.unlock(bits);
            return false;
        }
        // SAFETY: LOCKED is ours.
        let old = self
            .cold
            .caller
            .with_mut(|cell| unsafe { (*cell).replace(waiter) });
        self.unlock(bits | CALLER);
        drop(old);
        true
    }

    /// Leaves a request that was taken, counting it as `ending`. `None` if the outcome came first: then the slot is still the
    /// caller's. Otherwise it is gone for the caller, and the handler is to be woken.
    ///
    /// # Safety
    /// `this` is the caller's end of a slot that was sent.
    pub(crate) unsafe fn abandon(this: NonNull<Self>, ending: Ending) -> Option<DeferredWake> {
        // SAFETY: the slot is alive until the store below.
        let core = unsafe { this.as_ref() };
        let bits = core.lock();
        if bits & DONE != 0 {
            core.unlock(bits);
            return None;
        }
        // SAFETY: LOCKED is ours.
        let (handler, caller) = unsafe { core.take_waiters() };
        core.counters().count(ending);
        // SAFETY: alive, and not used after this.
        unsafe { Self::unlock_for_good(this, bits & LASTING | ABANDONED) };
        Some(DeferredWake::new(handler).and_discard([caller, None]))
    }

    /// The outcome, once.
    ///
    /// # Safety
    /// That of [`with_completion`](Self::with_completion).
    pub(crate) unsafe fn completion(&self) -> Completion<R, E> {
        // SAFETY: as promised by the caller; the copy is the one that counts.
        unsafe { self.with_completion(|completion| ptr::read(completion)) }
    }

    /// Shows the outcome where it is; `read` moves out of it what there is to move.
    ///
    /// # Safety
    /// `is_done` returned true, this is the caller's end, and it was not called before.
    #[inline]
    pub(crate) unsafe fn with_completion<T>(&self, read: impl FnOnce(&Completion<R, E>) -> T) -> T {
        // SAFETY: after DONE the slot is the caller's alone (invariants 2 and 5).
        self.completion
            .with(|cell| read(unsafe { (*cell).assume_init_ref() }))
    }
}
