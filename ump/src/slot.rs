//! The slot: one request's message on the way there, its outcome on the way back, and who waits for it.
//!
//! # Who owns it
//!
//! A slot is shared by two ends without a reference count. The **caller's end** is whoever asked; the **server's
//! end** is first the queue ([`Entry`]), then the one who answers ([`Handler`]). The slot lives on the stack of a blocking
//! caller that cannot leave, or on the heap. Its memory belongs to whoever stays last, and the state word says who that is:
//!
//! ```text
//!             server's end publishes an outcome
//!   PENDING ────────────────────────────────────► DONE       the slot is the caller's alone
//!      │
//!      └────────────────────────────────────────► ABANDONED  the slot is the server's end's alone
//!             caller leaves a request that was taken
//! ```
//!
//! Both are final, and each is reached by exactly one store or compare-exchange, after which the side that made it
//! never touches the slot again. (A caller that leaves while its request is still *queued* withdraws it from the queue under the
//! channel's lock; nobody else can reach the slot then, and no state is needed. A post has no caller's end from the start.)
//!
//! # The state word
//!
//! | bit | set by | means |
//! |---|---|---|
//! | `LOCKED` | either end, for a few instructions | the waiters are being exchanged; everybody else waits |
//! | `CALLER` | caller, under `LOCKED` | the cell `caller` holds who sleeps for the outcome |
//! | `HANDLER` | handler, under `LOCKED` | the cell `handler` holds who wants to know that the caller has left |
//! | `DONE` | server's end, last thing | the outcome is in place |
//! | `ABANDONED` | caller, last thing, only while the request is taken | nobody waits any more |
//!
//! When nobody sleeps (no bit set) publishing is one compare-exchange from `PENDING` to `DONE`. Otherwise it takes the
//! waiter *out* under `LOCKED`, publishes `DONE` by the store that unlocks, and wakes the waiter afterwards, from its own stack.
//!
//! # Invariants
//!
//! 1. `message` is touched by the creator before it is queued, then by the one holder of the [`Entry`], then (if it came back)
//!    by the caller after `DONE` or after withdrawal.
//! 2. `verdict` is written by the server's end before `DONE`, read by the caller after it has seen `DONE`.
//! 3. `caller` and `handler` are touched only under `LOCKED`.
//! 4. `links` are touched only through the list that holds the entry: that of the queue, under the channel's lock, or that of a batch
//!    which a receiver has taken, without it. `queued` is touched only under the channel's lock.
//! 5. After the store that sets `DONE` (`ABANDONED`) the server's end (the caller) makes no further access.

use std::{
    mem::{self, ManuallyDrop},
    ptr::NonNull,
    time::Instant,
};

use crate::{
    error::NoReply,
    stats::{Ending, Ledger, Untaken},
    sync::{
        AtomicU8, Ordering, Padded, Patience, UnsafeCell, current, lock_pause, panicking,
        park_until, spin_until,
    },
    waiter::{Waiter, Wake, shielded},
};

const PENDING: u8 = 0;
const LOCKED: u8 = 1;
const CALLER: u8 = 1 << 1;
const HANDLER: u8 = 1 << 2;
const DONE: u8 = 1 << 3;
const ABANDONED: u8 = 1 << 4;

/// What the server's end says in the end.
#[derive(Debug)]
pub(crate) enum Verdict<R, E> {
    Reply(R),
    App(E),
    NoReply(NoReply),
    /// Taken, and let go of after the deadline: nobody was owed a reply any more.
    Overdue,
    /// Never taken: the server went. The message is still in the slot.
    ServerDisappeared,
    /// Never taken: the deadline passed. The message is still in the slot.
    Expired,
}

impl<R, E> Verdict<R, E> {
    /// The column of the ledger, for verdicts on requests that were taken. For a post letting go is handling.
    fn ending(&self, post: bool) -> Ending {
        match self {
            Self::App(_) => Ending::Failed,
            Self::NoReply(NoReply::Panicked) => Ending::Panicked,
            Self::NoReply(NoReply::Dropped) if !post => Ending::NoReply,
            Self::Overdue => Ending::TimeoutTaken,
            _ => Ending::Replied,
        }
    }
}

impl<R, E> From<Result<R, E>> for Verdict<R, E> {
    fn from(answer: Result<R, E>) -> Self {
        match answer {
            Ok(reply) => Self::Reply(reply),
            Err(error) => Self::App(error),
        }
    }
}

/// The lane in which a request queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Normal,
    Urgent,
}

/// What is fixed about a request when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) lane: Lane,
    pub(crate) deadline: Option<Instant>,
    /// Nobody waits for the reply: the server's end owns the slot from the moment it is queued.
    pub(crate) post: bool,
}

/// The part of a channel that every slot can reach, whatever the types.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) ledger: Padded<Ledger>,
    /// How long it pays to spin for a reply.
    pub(crate) patience: Patience,
}

/// What only the allocation knows how to do, as [`Core`] does not know the type of the message.
///
/// Both are called with the address of the `Core` that holds them.
pub(crate) struct Memory<R, E> {
    /// Takes the request out of the queue if it is still there, and tells whether it was.
    pub(crate) withdraw: unsafe fn(NonNull<Core<R, E>>, Untaken) -> bool,
    /// Frees the slot with all that is in it. The caller of this function must be its only owner.
    pub(crate) free: unsafe fn(NonNull<Core<R, E>>),
}

/// The part of a slot that does not depend on the type of the message. What is used only by those who sleep comes last.
#[repr(C)]
pub(crate) struct Core<R, E> {
    state: AtomicU8,
    /// Outlives the slot: on the stack the caller borrows the channel, on the heap the allocation holds an `Arc` of it.
    common: NonNull<Common>,
    verdict: UnsafeCell<Option<Verdict<R, E>>>,
    terms: Terms,
    memory: Memory<R, E>,
    caller: UnsafeCell<Option<Waiter>>,
    handler: UnsafeCell<Option<Waiter>>,
}

/// A slot. `repr(C)`: a pointer to it is a pointer to its `core`.
#[repr(C)]
pub(crate) struct Slot<S, R, E> {
    pub(crate) core: Core<R, E>,
    message: UnsafeCell<Option<S>>,
    /// See `list`.
    pub(crate) links: UnsafeCell<Links<S, R, E>>,
    /// Whether the queue of the channel holds it.
    queued: UnsafeCell<bool>,
}

/// A slot's neighbours in a list.
pub(crate) struct Links<S, R, E> {
    pub(crate) prev: Option<NonNull<Slot<S, R, E>>>,
    pub(crate) next: Option<NonNull<Slot<S, R, E>>>,
}

impl<R, E> Core<R, E> {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.terms.deadline
    }

    pub(crate) fn lane(&self) -> Lane {
        self.terms.lane
    }

    pub(crate) fn is_post(&self) -> bool {
        self.terms.post
    }

    fn common(&self) -> &Common {
        // SAFETY: it outlives the slot, see the field.
        unsafe { self.common.as_ref() }
    }

    fn ledger(&self) -> &Ledger {
        &self.common().ledger.0
    }

    /// Takes `LOCKED` and returns the other bits. Pairs with the Release of `unlock`.
    fn lock(&self) -> u8 {
        let mut looks = 0;
        loop {
            // Relaxed: the exchange below decides.
            let bits = self.state.load(Ordering::Relaxed);
            if bits & LOCKED == 0
                && self
                    .state
                    // Acquire: sees what the last holder did to the cells, and all that came before DONE or ABANDONED.
                    .compare_exchange_weak(
                        bits,
                        bits | LOCKED,
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    )
                    .is_ok()
            {
                return bits;
            }
            lock_pause(&mut looks);
        }
    }

    /// Gives up `LOCKED` and sets the other bits, by one store.
    fn unlock(&self, bits: u8) {
        // Release: pairs with the Acquire of `lock`, `is_done` and `is_abandoned`.
        self.state.store(bits, Ordering::Release);
    }

    /// Gives up `LOCKED` and sets `DONE` or `ABANDONED`: the last access. By pointer, since the other side may free the slot before this
    /// function is back, and a reference among the arguments of a function has to be valid until then.
    ///
    /// # Safety
    /// `this` is alive, LOCKED is ours, and this end does not use the slot afterwards.
    unsafe fn unlock_for_good(this: NonNull<Self>, bits: u8) {
        // SAFETY: alive. The reference is to the atomic alone, which may be shared with anybody.
        let state = unsafe { &(*this.as_ptr()).state };
        // Release: pairs with the Acquire of `lock`, `is_done` and `is_abandoned`.
        state.store(bits, Ordering::Release);
    }

    // ---- the caller's end

    pub(crate) fn is_done(&self) -> bool {
        // Acquire: pairs with the Release that set DONE, so the verdict and all that the handler did are visible.
        self.state.load(Ordering::Acquire) & DONE != 0
    }

    /// Blocks until the outcome is there, or until `deadline`. Tells whether it is there.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        if spin_until(&self.common().patience, || self.is_done())
            || !self.sleep(Waiter::Thread(current()))
        {
            return true;
        }
        loop {
            let passed = park_until(deadline);
            if self.is_done() {
                return true;
            }
            if passed {
                return false;
            }
        }
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
    /// `this` is the caller's end of a slot on the heap that was sent.
    pub(crate) unsafe fn abandon(this: NonNull<Self>, ending: Ending) -> Option<Wake> {
        // SAFETY: the slot is alive until `publish_state` below.
        let core = unsafe { this.as_ref() };
        let bits = core.lock();
        if bits & DONE != 0 {
            core.unlock(bits);
            return None;
        }
        // SAFETY: LOCKED is ours.
        let handler = core.handler.with_mut(|cell| unsafe { (*cell).take() });
        // SAFETY: LOCKED is ours.
        let caller = core.caller.with_mut(|cell| unsafe { (*cell).take() });
        core.ledger().count(ending);
        // SAFETY: alive, and not used after this.
        unsafe { Self::unlock_for_good(this, ABANDONED) };
        Some(Wake {
            wake: [handler, None],
            discard: [caller, None],
        })
    }

    /// The outcome, once.
    ///
    /// # Safety
    /// `is_done` returned true, this is the caller's end, and it was not called before.
    pub(crate) unsafe fn verdict(&self) -> Verdict<R, E> {
        // SAFETY: after DONE the slot is the caller's alone (invariants 2 and 5).
        let verdict = self.verdict.with_mut(|cell| unsafe { (*cell).take() });
        verdict.expect("an outcome precedes DONE")
    }

    /// See [`Memory::withdraw`].
    ///
    /// # Safety
    /// `this` is the caller's end of a slot on the heap that was queued and not abandoned.
    pub(crate) unsafe fn withdraw(this: NonNull<Self>, why: Untaken) -> bool {
        // SAFETY: alive, as the caller's end has not left.
        let withdraw = unsafe { this.as_ref() }.memory.withdraw;
        // SAFETY: as promised by the caller.
        unsafe { withdraw(this, why) }
    }

    /// See [`Memory::free`].
    ///
    /// # Safety
    /// The slot is on the heap and its only owner calls this.
    pub(crate) unsafe fn free(this: NonNull<Self>) {
        // SAFETY: alive, as its owner says so.
        let free = unsafe { this.as_ref() }.memory.free;
        // SAFETY: as promised by the caller.
        unsafe { free(this) }
    }

    // ---- the server's end

    fn is_abandoned(&self) -> bool {
        // Acquire: pairs with the Release of `abandon`.
        self.state.load(Ordering::Acquire) & ABANDONED != 0
    }

    /// Puts the verdict in place and hands the slot to the caller. Gives it back if the caller has left: then
    /// the slot is the server's end's.
    ///
    /// # Safety
    /// `this` is the server's end of a slot that is not a post. If it returns `Ok`, that end never touches the slot again.
    unsafe fn publish(this: NonNull<Self>, verdict: Verdict<R, E>) -> Result<Wake, Verdict<R, E>> {
        // SAFETY: the slot is alive until DONE is set; the references do not outlive the statements (see `unlock_for_good`).
        let (state, cell) = unsafe { (&(*this.as_ptr()).state, &(*this.as_ptr()).verdict) };
        // SAFETY: nobody else touches the verdict before DONE (invariant 2).
        cell.with_mut(|cell| unsafe { *cell = Some(verdict) });
        // Relaxed: only to spare an exchange that would fail. Nobody asleep: the usual case between two ends that are awake.
        let nobody_sleeps = state.load(Ordering::Relaxed) == PENDING
            && state
                // Release: pairs with the Acquire of `is_done`.
                .compare_exchange(PENDING, DONE, Ordering::Release, Ordering::Relaxed)
                .is_ok();
        if nobody_sleeps {
            return Ok(Wake::default());
        }
        // SAFETY: still alive, as DONE is not set.
        let core = unsafe { this.as_ref() };
        let bits = core.lock();
        if bits & ABANDONED != 0 {
            core.unlock(bits);
            // SAFETY: the slot is ours alone.
            let verdict = core.verdict.with_mut(|cell| unsafe { (*cell).take() });
            return Err(verdict.expect("written above"));
        }
        // SAFETY: LOCKED is ours.
        let caller = core.caller.with_mut(|cell| unsafe { (*cell).take() });
        // SAFETY: LOCKED is ours.
        let handler = core.handler.with_mut(|cell| unsafe { (*cell).take() });
        // SAFETY: alive, and not used after this.
        unsafe { Self::unlock_for_good(this, DONE) };
        Ok(Wake {
            wake: [caller, None],
            discard: [handler, None],
        })
    }
}

impl<S, R, E> Slot<S, R, E> {
    /// # Safety
    /// `common` outlives the slot.
    pub(crate) unsafe fn new(
        message: S,
        terms: Terms,
        common: NonNull<Common>,
        memory: Memory<R, E>,
    ) -> Self {
        Self {
            core: Core {
                state: AtomicU8::new(PENDING),
                verdict: UnsafeCell::new(None),
                caller: UnsafeCell::new(None),
                handler: UnsafeCell::new(None),
                terms,
                common,
                memory,
            },
            message: UnsafeCell::new(Some(message)),
            links: UnsafeCell::new(Links {
                prev: None,
                next: None,
            }),
            queued: UnsafeCell::new(false),
        }
    }

    /// Notes whether the queue of the channel holds it; returns whether it did.
    ///
    /// # Safety
    /// To be called under the lock of the channel.
    pub(crate) unsafe fn set_queued(&self, queued: bool) -> bool {
        // SAFETY: invariant 4.
        self.queued
            .with_mut(|cell| unsafe { mem::replace(&mut *cell, queued) })
    }

    /// The message that came back (or was never sent).
    ///
    /// # Safety
    /// The caller of this function owns the slot alone, and nobody took the message.
    pub(crate) unsafe fn message(&self) -> S {
        // SAFETY: invariant 1.
        let message = self.message.with_mut(|cell| unsafe { (*cell).take() });
        message.expect("nobody took the message")
    }
}

/// The server's end of a request that has not been taken: the right to queue it, to take it or to turn it down.
///
/// There is one for each slot at a time. It does nothing when dropped.
#[must_use]
pub(crate) struct Entry<S, R, E>(NonNull<Slot<S, R, E>>);

// SAFETY: it is a slot on its way to another thread: message there, reply or error back.
unsafe impl<S: Send, R: Send, E: Send> Send for Entry<S, R, E> {}

impl<S, R, E> Entry<S, R, E> {
    /// # Safety
    /// There is no other `Entry` nor `Handler` of this slot, and the slot stays alive until it is `DONE` or withdrawn; if it is a
    /// post, it is on the heap and belongs to this end.
    pub(crate) unsafe fn new(slot: NonNull<Slot<S, R, E>>) -> Self {
        Self(slot)
    }

    pub(crate) fn slot(&self) -> NonNull<Slot<S, R, E>> {
        self.0
    }

    pub(crate) fn into_slot(self) -> NonNull<Slot<S, R, E>> {
        self.0
    }

    fn core(&self) -> &Core<R, E> {
        // SAFETY: the slot is alive while its server's end has not let go of it.
        &unsafe { self.0.as_ref() }.core
    }

    pub(crate) fn terms(&self) -> Terms {
        self.core().terms
    }

    /// Hands the request to a handler.
    pub(crate) fn take(self) -> (S, Handler<R, E>) {
        // SAFETY: alive as above; invariant 1: we hold the only `Entry`.
        let message = unsafe { self.0.as_ref().message() };
        (message, Handler(self.0.cast()))
    }

    /// Turns the request down before it was taken. The message stays in the slot for its caller; a post takes it along.
    pub(crate) fn turn_down(self, verdict: Verdict<R, E>) -> TurnedDown<R, E> {
        if self.core().is_post() {
            return TurnedDown::Post(Abandoned(self.0.cast()));
        }
        // SAFETY: we are the server's end, and `self` is gone after this.
        match unsafe { Core::publish(self.0.cast(), verdict) } {
            Ok(wake) => TurnedDown::Request(wake),
            Err(_) => unreachable!("only a request that was taken can be abandoned"),
        }
    }
}

/// What is left to do for a request that was turned down, once no lock is held.
#[must_use = "somebody sleeps until this is finished"]
pub(crate) enum TurnedDown<R, E> {
    Request(Wake),
    Post(Abandoned<R, E>),
}

impl<R, E> TurnedDown<R, E> {
    pub(crate) fn finish(self) {
        match self {
            Self::Request(wake) => wake.fire(),
            // Its message is dropped with it: the poster's code, whose panic is no trouble of who happens to run it.
            Self::Post(slot) => shielded(|| drop(slot)),
        }
    }
}

/// A slot without a caller. Freed, with all that is in it, when dropped.
pub(crate) struct Abandoned<R, E>(NonNull<Core<R, E>>);

impl<R, E> Drop for Abandoned<R, E> {
    fn drop(&mut self) {
        // SAFETY: only slots on the heap can be without a caller, and the server's end is then their only owner.
        unsafe { Core::free(self.0) }
    }
}

/// The server's end of a request that was taken: the duty to answer it. Dropped, it says that there is no reply.
pub(crate) struct Handler<R, E>(NonNull<Core<R, E>>);

// SAFETY: it carries a reply or an error to the caller, and moves nothing else to this thread. (The message has
// been taken out. The channel, if this frees the last reference to it, holds no messages any more.)
unsafe impl<R: Send, E: Send> Send for Handler<R, E> {}
// SAFETY: through a shared reference only the state word and the fixed terms are read.
unsafe impl<R: Send, E: Send> Sync for Handler<R, E> {}

impl<R, E> Handler<R, E> {
    pub(crate) fn core(&self) -> &Core<R, E> {
        // SAFETY: the slot is alive while its server's end has not let go of it.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.core().is_abandoned()
    }

    /// Leaves word whom to wake when the caller leaves. False if it has left already.
    pub(crate) fn watch(&mut self, waiter: Option<Waiter>) -> bool {
        let core = self.core();
        let bits = core.lock();
        if bits & ABANDONED != 0 {
            core.unlock(bits);
            return false;
        }
        // SAFETY: LOCKED is ours.
        let old = core
            .handler
            .with_mut(|cell| unsafe { mem::replace(&mut *cell, waiter) });
        core.unlock(bits | HANDLER);
        drop(old);
        true
    }

    /// Ends the request. Gives the verdict back if there is nobody to take it.
    pub(crate) fn finish(self, verdict: Verdict<R, E>) -> Result<(), Verdict<R, E>> {
        let this = ManuallyDrop::new(self);
        let core = this.core();
        let ending = verdict.ending(core.is_post());
        if core.is_post() {
            core.ledger().count(ending);
            drop(Abandoned(this.0));
            return Ok(());
        }
        if core.is_abandoned() {
            drop(Abandoned(this.0));
            return Err(verdict);
        }
        // Counted first, so that the caller never sees an outcome that is not in the books.
        core.ledger().count(ending);
        // SAFETY: we are the server's end, and `self` is gone after this.
        match unsafe { Core::publish(this.0, verdict) } {
            Ok(wake) => {
                wake.fire();
                Ok(())
            }
            Err(verdict) => {
                this.core().ledger().uncount(ending);
                drop(Abandoned(this.0));
                Err(verdict)
            }
        }
    }
}

impl<R, E> Drop for Handler<R, E> {
    fn drop(&mut self) {
        let overdue = |deadline| deadline <= Instant::now();
        let verdict = if panicking() {
            Verdict::NoReply(NoReply::Panicked)
        } else if !self.core().is_post() && self.core().deadline().is_some_and(overdue) {
            Verdict::Overdue
        } else {
            Verdict::NoReply(NoReply::Dropped)
        };
        // Nobody there to take it: nothing is lost, there was no answer.
        let _ = Handler(self.0).finish(verdict);
    }
}
