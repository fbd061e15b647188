//! The slot of one request: its message, its outcome, and the waiters of its two ends.
//!
//! The file is long because the unsafe parts of a slot stay beside the invariants that they rely
//! on.
//!
//! # Ownership
//!
//! A slot is on the heap. A client allocates it, keeps it and uses it again (see `pool`). While a
//! request is under way, two ends share the slot without a reference count. The **caller's end**
//! belongs to the caller. The **server's end** is first the queue's ([`Entry`]), then the handler's
//! ([`Responder`]). The end that stays last owns the slot, and the state word says which one that
//! is:
//!
//! ```text
//!             server's end publishes an outcome
//!   PENDING ────────────────────────────────────► DONE       the slot is the caller's alone
//!      │
//!      └────────────────────────────────────────► ABANDONED  the slot is the server's end's alone
//!             caller leaves a request that was taken
//! ```
//!
//! Both states are final for this request. Each is reached by exactly one store or
//! compare-exchange, and the side that made it never touches the slot again. (A caller that leaves
//! while its request is still *queued* withdraws it from the queue under the channel's lock. Nobody
//! else can reach the slot then, so this needs no state. A post has no caller's end from the
//! start.)
//!
//! In addition, the channel's direct handoff may watch *one* slot, also while that slot is idle
//! between two requests of its client: see `handoff`. The handoff does not touch the contents of
//! the slot before a request is handed over, but the memory has to stay. The owner that would free
//! a slot while it is `ARMED` sets `ORPHAN` instead, and the handoff frees it.
//!
//! # The state word
//!
//! | bit | set by | means |
//! |---|---|---|
//! | `LOCKED` | either end, the handoff; for a few instructions | the waiters or the handoff's bits are being exchanged; every other thread waits |
//! | `CALLER` | caller, under `LOCKED` or before the request enters | the cell `caller` holds the waiter for the outcome |
//! | `HANDLER` | handler, under `LOCKED` | the cell `handler` holds the waiter to wake when the caller leaves |
//! | `DONE` | server's end, last thing | the outcome is in place |
//! | `ABANDONED` | caller, last thing, only while the request is taken | the caller no longer waits |
//! | `ARMED` | handoff, under the channel's lock; set while nobody has `LOCKED`, cleared under it | the handoff watches this slot |
//! | `DISARMING` | handoff, under the channel's lock; set while nobody has `LOCKED`, cleared under it or by arming again | the handoff will soon stop watching: no more requests are handed over |
//! | `HANDED` | caller, only from idle with `ARMED` | a request is in the slot, for the handoff to take; no queue holds it |
//! | `COMMITTED` | caller, with `HANDED`; the caller clears it under the lease of the handoff | the caller will not take the request back: a receiver may accept it without a write, and `HANDED` stays until `DONE` |
//! | `TIMED` | caller, with `HANDED` | the request has a deadline: it is accepted under the channel's lock, as it is withdrawn under that lock |
//! | `PARITY` | caller, toggles with each `HANDED` | tells a committed request from the one before, which has been accepted |
//! | `ORPHAN` | the last owner | the handoff has to free the slot |
//! | the bits of `ENDING` | server's end with `DONE`, if `ARMED` | how the request ended; the side that clears them counts it |
//!
//! If no waiter is registered, the server's end publishes by one compare-exchange that adds `DONE`.
//! Otherwise it takes the waiter *out* under `LOCKED`, publishes `DONE` by the store that unlocks,
//! and wakes the waiter afterwards, from its own stack.
//!
//! # Speed
//!
//! Between two ends that are awake, the cost is the transfer of one cache line, which holds the
//! state, the outcome and the message: there and back, about twice 60 ns. Two rules keep the line
//! from moving more often. Each end writes to the line only to hand it over: neither message nor
//! outcome is marked as taken, since the state implies it. And no end executes another locked
//! instruction between seeing the other end's store and its own. (Measured: one `fetch_add` on an
//! undisputed line there costs 100 ns, as it separates the read of the line from the write.) Hence
//! `ENDING`: the handoff counts the ending of one request when it takes the next.
//!
//! # Invariants
//!
//! 1. `message` is initialized from `fill` until a handler takes it; if the request is rejected or
//!    withdrawn, until the caller takes it back. It is touched by the creator before the request
//!    enters, then by the one holder of the [`Entry`], then (if it came back) by the caller after
//!    `DONE` or after withdrawal. `origin` is written with it, and read by the server's end.
//! 2. `completion` is written by the server's end before `DONE`, and moved out once by the caller
//!    after it has seen `DONE`.
//! 3. `caller` and `handler` are touched only under `LOCKED`, or by the owner that has the slot
//!    alone.
//! 4. `links` are touched only through the list that holds the entry: that of the queue, under the
//!    channel's lock, or that of a batch which a receiver has taken, without it. While the entry
//!    enters through the injector, its invariant 1 says so of `next`. `queued` is touched only
//!    under the channel's lock.
//! 5. After the store that sets `DONE` (`ABANDONED`) the server's end (the caller) makes no further
//!    access.
//! 6. The handoff makes no access after it has cleared `ARMED`, unless it found `HANDED` (then it
//!    has the entry) or `ORPHAN` (then it has the slot).
//! 7. One end *owns the slot alone* in these cases: the client, while the slot is idle or its
//!    request is not sent; the caller's end, after `DONE` or withdrawal; the server's end, after
//!    `ABANDONED`, or if the request is a post.
//! 8. The slot is allocated until an end that owns it alone frees it, or leaves it to the handoff
//!    because it is `ARMED`. So it is alive for each end that has not let go of it, and for the
//!    handoff while it is `ARMED`. It holds its pool, and thereby its channel, so `shared` outlives
//!    it.
//! 9. `options` and `entered` are written only by the client, while the request is not sent
//!    (invariant 7). After that, both ends only read them.

mod caller;
pub(crate) mod completion;
pub(crate) mod handoff;
pub(crate) mod list;
pub(crate) mod server;
pub(crate) mod state;

use std::{
    mem::{self, MaybeUninit},
    panic::Location,
    ptr::{self, NonNull},
    time::Instant,
};

use crate::{
    hooks::{ChannelId, RequestId},
    options::{Lane, RequestOptions},
    slot::completion::Completion,
    slot::state::{ARMED, LASTING, LOCKED, PENDING, ending},
    stats::{AtomicCounters, Ending, Untaken},
    sync::{AtomicU32, Ordering, Padded, UnsafeCell, lock_pause},
    time::clock::Clock,
    wait::WaitPolicy,
    wait::waiter::Waiter,
};

/// The part of a channel that every slot can reach, whatever the types are.
#[derive(Debug)]
pub(crate) struct ChannelShared {
    pub(crate) counters: Padded<AtomicCounters>,
    /// How a caller waits for a reply.
    pub(crate) wait_policy: WaitPolicy,
    pub(crate) clock: Clock,
    /// Whether requests record the time at which they enter.
    pub(crate) entry_times: bool,
}

impl ChannelShared {
    pub(crate) fn id(&self) -> ChannelId {
        ChannelId(ptr::from_ref(self).addr())
    }
}

/// The operations that depend on the allocation, as [`SlotCore`] does not know the type of the
/// message.
///
/// Each is called with the address of the `SlotCore` that holds it.
pub(crate) struct SlotVtable<R, E> {
    /// Withdraws the request from the queue, and returns whether it was still there.
    pub(crate) withdraw: unsafe fn(NonNull<SlotCore<R, E>>, Untaken) -> bool,
    /// Gives up the slot, which holds neither message nor outcome. The caller of this function must
    /// own the slot alone.
    pub(crate) release: unsafe fn(NonNull<SlotCore<R, E>>),
    /// Gives up the slot and drops the message in it. The caller of this function must own the slot
    /// alone.
    pub(crate) discard: unsafe fn(NonNull<SlotCore<R, E>>),
}

/// The fields that two ends that are awake only read.
struct ColdFields<R, E> {
    options: UnsafeCell<RequestOptions>,
    /// When the request entered, if that is recorded. Written and read like the options.
    entered: UnsafeCell<Option<Instant>>,
    notes_entry: bool,
    /// The shared part of the channel. It outlives the slot, which holds a reference to the
    /// channel.
    shared: NonNull<ChannelShared>,
    vtable: SlotVtable<R, E>,
    caller: UnsafeCell<Option<Waiter>>,
    handler: UnsafeCell<Option<Waiter>>,
}

/// The part of a slot that does not depend on the type of the message: first the cold fields, then,
/// at the start of a cache line, the hot ones.
#[repr(C)]
pub(crate) struct SlotCore<R, E> {
    cold: ColdFields<R, E>,
    padding: [u8; PADDING],
    state: AtomicU32,
    /// Where the request was made: touched like the message. It is among the hot fields since one
    /// client may send from many places.
    origin: UnsafeCell<&'static Location<'static>>,
    completion: UnsafeCell<MaybeUninit<Completion<R, E>>>,
}

const PADDING: usize = 128_usize.saturating_sub(size_of::<ColdFields<(), ()>>());

/// A slot. `repr(C)`: a pointer to it is a pointer to its `core`, and the message follows the
/// outcome.
#[repr(C, align(128))]
pub(crate) struct Slot<S, R, E> {
    pub(crate) core: SlotCore<R, E>,
    message: UnsafeCell<MaybeUninit<S>>,
    /// The neighbours in the list that holds the entry: see `list`.
    pub(crate) links: UnsafeCell<Links<S, R, E>>,
    /// Whether the queue of the channel holds the entry.
    queued: UnsafeCell<bool>,
}

/// Two ends that are awake exchange a small request and its outcome by one cache line.
#[cfg(not(any(loom, shuttle)))]
const _: () = {
    let hot = mem::offset_of!(SlotCore<u64, ()>, state);
    assert!(hot % 128 == 0 && mem::offset_of!(Slot<u64, u64, ()>, links) - hot <= 64);
};

/// A slot's neighbours in a list.
pub(crate) struct Links<S, R, E> {
    pub(crate) prev: Option<NonNull<Slot<S, R, E>>>,
    pub(crate) next: Option<NonNull<Slot<S, R, E>>>,
}

impl<R, E> SlotCore<R, E> {
    /// # Safety
    /// `shared` outlives the slot.
    unsafe fn new(
        options: RequestOptions,
        shared: NonNull<ChannelShared>,
        vtable: SlotVtable<R, E>,
    ) -> Self {
        Self {
            cold: ColdFields {
                options: UnsafeCell::new(options),
                entered: UnsafeCell::new(None),
                // SAFETY: by this function's contract `shared` is alive (invariant 8).
                notes_entry: unsafe { shared.as_ref() }.entry_times,
                shared,
                vtable,
                caller: UnsafeCell::new(None),
                handler: UnsafeCell::new(None),
            },
            padding: [0; PADDING],
            state: AtomicU32::new(PENDING),
            origin: UnsafeCell::new(Location::caller()),
            completion: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    #[inline]
    pub(crate) fn options(&self) -> RequestOptions {
        // SAFETY: invariant 9: no other thread writes `options` while an end can read them.
        self.cold.options.with(|options| unsafe { *options })
    }

    /// Sets the options of the next request. Writes only if they differ, so that the cache line
    /// does not move.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone.
    #[inline]
    pub(crate) unsafe fn set_options(&self, options: RequestOptions) {
        if self.options() != options {
            // SAFETY: invariant 9: by this function's contract nobody else can reach the slot.
            self.cold
                .options
                .with_mut(|cell| unsafe { *cell = options });
        }
    }

    /// Records when the request enters, if the channel wants that.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone.
    #[inline]
    pub(crate) unsafe fn note_entry(&self) {
        if self.cold.notes_entry {
            let now = self.clock().now();
            // SAFETY: invariant 9: by this function's contract nobody else can reach the slot.
            let write = |cell: *mut _| unsafe { *cell = Some(now) };
            self.cold.entered.with_mut(write);
        }
    }

    /// Returns when the request entered, if that was recorded.
    pub(crate) fn entered(&self) -> Option<Instant> {
        // SAFETY: invariant 9: no other thread writes `entered` while an end can read it.
        self.cold.entered.with(|entered| unsafe { *entered })
    }

    /// Sets where the request was made.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone.
    #[inline]
    pub(crate) unsafe fn set_origin(&self, origin: &'static Location<'static>) {
        // SAFETY: invariant 1: by this function's contract the request has not entered, and nobody
        // else can reach the slot.
        self.origin.with_mut(|cell| unsafe { *cell = origin });
    }

    /// Returns where the request was made. For the server's end.
    #[inline]
    pub(crate) fn origin(&self) -> &'static Location<'static> {
        // SAFETY: invariant 1: `origin` is written before the request enters, so not while an end
        // reads it.
        self.origin.with(|origin| unsafe { *origin })
    }

    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.options().deadline
    }

    #[inline]
    pub(crate) fn lane(&self) -> Lane {
        self.options().lane
    }

    #[inline]
    pub(crate) fn is_post(&self) -> bool {
        self.options().post
    }

    #[inline]
    pub(crate) fn shared(&self) -> &ChannelShared {
        // SAFETY: invariant 8: the channel outlives the slot.
        unsafe { self.cold.shared.as_ref() }
    }

    #[inline]
    pub(crate) fn clock(&self) -> &Clock {
        &self.shared().clock
    }

    /// Returns whether the deadline of the request has passed.
    #[inline]
    pub(crate) fn is_overdue(&self) -> bool {
        self.clock().has_passed(self.deadline())
    }

    #[inline]
    fn counters(&self) -> &AtomicCounters {
        &self.shared().counters.0
    }

    /// Takes `LOCKED` and returns the other bits.
    #[inline]
    fn lock(&self) -> u32 {
        // ORDERING: Acquire, pairs with the Release stores of `unlock` and `unlock_for_good` and
        // with the Release exchange of `publish`: the waiters that the last holder of `LOCKED` left
        // are visible and, with `DONE`, the completion. Pairs with the Release of `hand_over` and
        // of `leave_to_handoff` too: `disarm` sees the message of the one and the slot as the other
        // left it.
        self.exchange(Ordering::Acquire, |bits| Some(bits | LOCKED))
            .expect("it always goes on")
    }

    /// Gives up `LOCKED` and sets the other bits, by one store.
    #[inline]
    fn unlock(&self, bits: u32) {
        // ORDERING: Release, pairs with the Acquire of `lock`, `is_done` and `is_abandoned`: the
        // waiters as this end left them, and all that it did before, are visible.
        self.state.store(bits, Ordering::Release);
    }

    /// Gives up `LOCKED` by this side's last access to the slot.
    ///
    /// # Safety
    /// `this` is alive, this side has `LOCKED`, and afterwards it uses the slot only as far as
    /// invariants 5 and 6 allow.
    #[inline]
    unsafe fn unlock_for_good(this: NonNull<Self>, bits: u32) {
        // This function takes a pointer, since the other side may free the slot before this
        // function returns, and a reference among its arguments would have to be valid until then.
        // SAFETY: invariant 8: this side has not let go of the slot before the store below. The
        // reference is to the atomic alone, which any thread may share.
        let state = unsafe { &(*this.as_ptr()).state };
        // ORDERING: Release, pairs with the Acquire of `lock`, `is_done`, `is_abandoned` and
        // `leave_to_handoff`: the completion, and all that this side did with the slot, is visible
        // to the side that goes on with it.
        state.store(bits, Ordering::Release);
    }

    /// Replaces the bits by those that `step` computes from them, and returns the former bits.
    /// Returns `None` if `step` does. Waits while `LOCKED` is set.
    #[inline]
    fn exchange(&self, order: Ordering, step: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        let mut looks = 0;
        loop {
            // ORDERING: Relaxed, as the exchange below decides. If `step` returns `None`, the
            // callers act upon that only under the channel's lock, or if they own the slot alone.
            let bits = self.state.load(Ordering::Relaxed);
            if bits & LOCKED == 0 {
                let next = step(bits)?;
                // ORDERING: on success `order`, which each caller of this function justifies. On
                // failure Relaxed, as the loop loads the bits again.
                let exchanged =
                    self.state
                        .compare_exchange_weak(bits, next, order, Ordering::Relaxed);
                if exchanged.is_ok() {
                    return Some(bits);
                }
            }
            lock_pause(&mut looks);
        }
    }

    pub(crate) fn id(&self) -> RequestId {
        RequestId(ptr::from_ref(self).addr())
    }

    /// Takes the waiters out: the handler's and the caller's.
    ///
    /// # Safety
    /// The caller of this function has `LOCKED`, or owns the slot alone.
    #[inline]
    unsafe fn take_waiters(&self) -> (Option<Waiter>, Option<Waiter>) {
        let take = |cell: &UnsafeCell<Option<Waiter>>| {
            // SAFETY: invariant 3, which is this function's contract.
            cell.with_mut(|cell| unsafe { (*cell).take() })
        };
        (take(&self.cold.handler), take(&self.cold.caller))
    }

    /// Calls [`SlotVtable::withdraw`].
    ///
    /// # Safety
    /// `this` is the caller's end of a slot that was sent and not abandoned.
    pub(crate) unsafe fn withdraw(this: NonNull<Self>, why: Untaken) -> bool {
        // SAFETY: invariant 8: the caller's end has not let go of the slot.
        let withdraw = unsafe { this.as_ref() }.cold.vtable.withdraw;
        // SAFETY: the contract of `withdraw` is this function's, and the slot is the one that holds
        // the vtable.
        unsafe { withdraw(this, why) }
    }

    /// Calls [`SlotVtable::release`].
    ///
    /// # Safety
    /// The caller of this function owns the slot alone, and the slot holds neither message nor
    /// outcome.
    #[inline]
    pub(crate) unsafe fn release(this: NonNull<Self>) {
        // SAFETY: invariant 8: its owner has not freed the slot.
        let release = unsafe { this.as_ref() }.cold.vtable.release;
        // SAFETY: the contract of `release` is this function's, and the slot is the one that holds
        // the vtable.
        unsafe { release(this) }
    }

    /// Calls [`SlotVtable::discard`].
    ///
    /// # Safety
    /// The caller of this function owns the slot alone, and the slot holds a message but no
    /// outcome.
    pub(crate) unsafe fn discard(this: NonNull<Self>) {
        // SAFETY: invariant 8: its owner has not freed the slot.
        let discard = unsafe { this.as_ref() }.cold.vtable.discard;
        // SAFETY: the contract of `discard` is this function's, and the slot is the one that holds
        // the vtable.
        unsafe { discard(this) }
    }
}

impl<S, R, E> Slot<S, R, E> {
    /// Creates an idle slot.
    ///
    /// # Safety
    /// `shared` outlives the slot.
    pub(crate) unsafe fn new(
        options: RequestOptions,
        shared: NonNull<ChannelShared>,
        vtable: SlotVtable<R, E>,
    ) -> Self {
        Self {
            // SAFETY: invariant 8: by this function's contract `shared` outlives the slot.
            core: unsafe { SlotCore::new(options, shared, vtable) },
            message: UnsafeCell::new(MaybeUninit::uninit()),
            links: UnsafeCell::new(Links {
                prev: None,
                next: None,
            }),
            queued: UnsafeCell::new(false),
        }
    }

    /// Makes a request of an idle slot.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone, and there is no message in it.
    #[inline]
    pub(crate) unsafe fn fill(&self, message: S, origin: &'static Location<'static>) {
        // SAFETY: invariant 1: by this function's contract the request has not entered, and nobody
        // else can reach the slot.
        self.message
            .with_mut(|cell| unsafe { (*cell).write(message) });
        // SAFETY: by this function's contract its caller owns the slot alone (invariant 7).
        unsafe { self.core.set_origin(origin) };
    }

    /// Sets the state of a request that enters the queue. Returns the ending of the last request,
    /// which the caller of this function counts.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone, and has the channel's lock unless the slot
    /// is unarmed.
    #[inline]
    pub(crate) unsafe fn enter(&self) -> Option<Ending> {
        let core = &self.core;
        // SAFETY: invariant 3: until the request is in the queue, the client owns the slot alone
        // (invariant 7).
        let armed = unsafe { core.preregistered_bit() };
        // ORDERING: Relaxed. The channel's lock orders this load and the store below after the bits
        // that `arm` and `disarm` set, and while this thread has that lock the handoff changes no
        // bits: `accept` exchanges them only if `HANDED` is set. Without the lock the slot is
        // unarmed, and no other thread can reach it.
        let bits = core.state.load(Ordering::Relaxed);
        // ORDERING: Relaxed. The server's end reads the entry, and this state, after it has taken
        // the channel's lock, which this thread releases; or after the Acquire of
        // `Injector::take_all`, which pairs with the Release of `Injector::enter`.
        core.state.store(bits & LASTING | armed, Ordering::Relaxed);
        ending(bits)
    }

    /// Sets the state of a request that enters without the channel's lock. Returns false if the
    /// slot is armed: then the request has to enter under the lock.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone.
    #[inline]
    pub(crate) unsafe fn enter_unarmed(&self) -> bool {
        // ORDERING: Relaxed. `ARMED` may be cleared meanwhile, but it is not set: the handoff arms
        // a slot only while it has the entry. Without `ARMED` and `LOCKED` the handoff has made its
        // last access (invariant 6), which was to this word alone.
        let unwatched = self.core.state.load(Ordering::Relaxed) & (ARMED | LOCKED) == 0;
        if unwatched {
            // SAFETY: by this function's contract its caller owns the slot alone, and the slot is
            // unarmed. There is no ending to count, since `disarm` has returned it to its caller.
            unsafe { self.enter() };
        }
        unwatched
    }

    /// Records whether the queue of the channel holds the entry, and returns whether it did before.
    ///
    /// # Safety
    /// The caller of this function has the channel's lock.
    #[inline]
    pub(crate) unsafe fn set_queued(&self, queued: bool) -> bool {
        // SAFETY: invariant 4: by this function's contract the channel's lock is held.
        self.queued
            .with_mut(|cell| unsafe { mem::replace(&mut *cell, queued) })
    }

    /// Moves the message out of a request that came back, or that was never sent, or that a handler
    /// takes.
    ///
    /// # Safety
    /// The message is there, and the caller of this function is the one that may touch it
    /// (invariant 1). Afterwards the message is gone.
    #[inline]
    pub(crate) unsafe fn message(&self) -> S {
        // SAFETY: invariant 1, which is this function's contract.
        self.message
            .with(|cell| unsafe { (*cell).assume_init_read() })
    }

    /// Drops the waiters of the last request.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone.
    #[inline]
    pub(crate) unsafe fn clear(&self) {
        let none = |cell: &UnsafeCell<Option<Waiter>>| {
            // SAFETY: invariant 3: by the contract of `clear` its caller owns the slot alone.
            cell.with(|cell| unsafe { &*cell }.is_none())
        };
        // Usually this only reads, so that the cache line does not move.
        if !none(&self.core.cold.caller) || !none(&self.core.cold.handler) {
            // SAFETY: invariant 3: by this function's contract its caller owns the slot alone.
            drop(unsafe { self.core.take_waiters() });
        }
    }
}
