//! The caller's end of a slot: waiting for the outcome, and leaving before it comes.
//!
//! The invariants are those of the [module above](super).

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
    /// Registers the waker for the outcome before the request enters.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone.
    #[inline]
    pub(crate) unsafe fn preregister(&self, waker: &Waker) {
        // SAFETY: by this function's contract its caller owns the slot alone.
        let armed = unsafe { self.would_wake(waker) };
        if !armed {
            let waiter = Waiter::task(waker);
            // SAFETY: invariant 3: by this function's contract its caller owns the slot alone.
            let old = self
                .cold
                .caller
                .with_mut(|cell| unsafe { (*cell).replace(waiter) });
            drop(old);
        }
    }

    /// Returns whether the registered waiter wakes the task of `waker`.
    ///
    /// # Safety
    /// The caller of this function has `LOCKED`, or owns the slot alone.
    #[inline]
    unsafe fn would_wake(&self, waker: &Waker) -> bool {
        self.cold.caller.with(|cell| {
            // SAFETY: invariant 3, which is the contract of `would_wake`.
            let caller = unsafe { &*cell };
            caller.as_ref().is_some_and(|old| old.will_wake(waker))
        })
    }

    /// Returns `CALLER` if a waiter for the outcome is registered, and 0 otherwise.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone.
    #[inline]
    pub(super) unsafe fn preregistered_bit(&self) -> u32 {
        // SAFETY: invariant 3: by this function's contract its caller owns the slot alone.
        let armed = self.cold.caller.with(|cell| unsafe { &*cell }.is_some());
        if armed { CALLER } else { 0 }
    }

    /// Returns whether the outcome is there.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        // ORDERING: Acquire, pairs with the Release exchange of `publish` and with the Release
        // store of `unlock_for_good`, one of which set `DONE`: the completion, and all that the
        // handler did, is visible.
        self.state.load(Ordering::Acquire) & DONE != 0
    }

    /// Blocks until the outcome is there, or until `deadline`, which is that of the request or
    /// earlier. Returns whether the outcome is there.
    ///
    /// # Errors
    /// Returns the cycle if the thread's watcher reports that the wait would deadlock.
    #[inline]
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Result<bool, Cycle> {
        if self.is_armed() {
            pause_for_peer();
        }
        let policy = &self.shared().wait_policy.threads;
        if spin_until(policy, || self.is_done()) {
            return Ok(true);
        }
        // A wait that ends before the request's deadline cannot deadlock for ever, so its watcher
        // is not asked.
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
        // The loop checks before it parks for the first time, too: dropping a former waiter runs
        // the user's code, which may use up the unpark.
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

    /// Describes the wait for the outcome to the watchers.
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

    /// Spins for the outcome of a request that a task has just handed over.
    ///
    /// It spins in that case only: a thread is awake at the other end, and if it is as quick as it
    /// recently was, it replies sooner than the task could be woken.
    #[inline]
    pub(crate) fn is_answered_at_once(&self) -> bool {
        // ORDERING: Relaxed, as this is a hint: it only decides whether to spin, and `is_done`
        // reads the outcome.
        let quick = self.state.load(Ordering::Relaxed) & (ARMED | CALLER) == ARMED;
        if quick {
            pause_for_peer();
        }
        quick && spin_until(&self.shared().wait_policy.tasks, || self.is_done())
    }

    /// Registers the task of `waker` to be woken when the outcome is there. Returns false if the
    /// outcome is there already.
    pub(crate) fn sleep_as_task(&self, waker: &Waker) -> bool {
        // ORDERING: Relaxed, as this is a hint that a waiter is registered which may be the same.
        // `lock` below, or that of `sleep`, decides.
        if self.state.load(Ordering::Relaxed) & CALLER != 0 {
            let bits = self.lock();
            // SAFETY: this function has `LOCKED`, as invariant 3 demands.
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

    /// Registers a waiter to be woken when the outcome is there. Returns false if the outcome is
    /// there already.
    pub(crate) fn sleep(&self, waiter: Waiter) -> bool {
        let bits = self.lock();
        if bits & DONE != 0 {
            self.unlock(bits);
            return false;
        }
        // SAFETY: invariant 3: this function has `LOCKED`.
        let old = self
            .cold
            .caller
            .with_mut(|cell| unsafe { (*cell).replace(waiter) });
        self.unlock(bits | CALLER);
        drop(old);
        true
    }

    /// Leaves a request that was taken, and counts it as `ending`. Returns `None` if the outcome
    /// came first: then the caller's end owns the slot alone. Otherwise the caller must not touch
    /// the slot any more, and wakes the handler.
    ///
    /// # Safety
    /// `this` is the caller's end of a slot that was sent.
    pub(crate) unsafe fn abandon(this: NonNull<Self>, ending: Ending) -> Option<DeferredWake> {
        // SAFETY: invariant 8: the caller's end does not let go of the slot before the store below.
        let core = unsafe { this.as_ref() };
        let bits = core.lock();
        if bits & DONE != 0 {
            core.unlock(bits);
            return None;
        }
        // SAFETY: this function has `LOCKED` (invariant 3).
        let (handler, caller) = unsafe { core.take_waiters() };
        core.counters().count(ending);
        // SAFETY: the slot is alive until this store (invariant 8), this function has `LOCKED`, and
        // the caller's end makes no access after it (invariant 5).
        unsafe { Self::unlock_for_good(this, bits & LASTING | ABANDONED) };
        Some(DeferredWake::new(handler).and_discard([caller, None]))
    }

    /// Moves the outcome out of the slot.
    ///
    /// # Safety
    /// That of [`with_completion`](Self::with_completion).
    pub(crate) unsafe fn completion(&self) -> Completion<R, E> {
        // SAFETY: the contract is the same. The copy is the one that counts: the outcome is moved
        // out once (invariant 2), and the slot does not drop it.
        unsafe { self.with_completion(|completion| ptr::read(completion)) }
    }

    /// Passes the outcome to `read` where it is. `read` moves out of it what it needs.
    ///
    /// # Safety
    /// `is_done` returned true, `self` is the caller's end, and the outcome of this request was not
    /// read before.
    #[inline]
    pub(crate) unsafe fn with_completion<T>(&self, read: impl FnOnce(&Completion<R, E>) -> T) -> T {
        // SAFETY: by this function's contract the caller has seen `DONE`. After it the completion
        // is in place (invariant 2), and the server's end does not access the slot (invariant 5).
        self.completion
            .with(|cell| read(unsafe { (*cell).assume_init_ref() }))
    }
}
