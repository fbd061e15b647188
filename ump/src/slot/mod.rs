//! The slot: one request's message on the way there, its outcome on the way back, and who waits for it.
//!
//! # Who owns it
//!
//! A slot is on the heap. It is made by a client, which keeps it and uses it again (see `pool`). While a request is under way it is shared
//! by two ends without a reference count. The **caller's end** is whoever asked; the **server's end** is first the queue
//! ([`Entry`]), then the one who answers ([`Responder`]). It belongs to whoever stays last, and the state word says who that is:
//!
//! ```text
//!             server's end publishes an outcome
//!   PENDING ────────────────────────────────────► DONE       the slot is the caller's alone
//!      │
//!      └────────────────────────────────────────► ABANDONED  the slot is the server's end's alone
//!             caller leaves a request that was taken
//! ```
//!
//! Both are final for this request, and each is reached by exactly one store or compare-exchange, after which the side that made it
//! never touches the slot again. (A caller that leaves while its request is still *queued* withdraws it from the queue under the
//! channel's lock; nobody else can reach the slot then, and no state is needed. A post has no caller's end from the start.)
//!
//! Besides, the channel's handoff may watch *one* slot, also while it is idle between two requests of its client: see `handoff`. It does
//! not touch what is in the slot before a request is called in, but the memory has to stay: whoever would free a slot that is `ARMED` leaves
//! that to the handoff by `ORPHAN`.
//!
//! # The state word
//!
//! | bit | set by | means |
//! |---|---|---|
//! | `LOCKED` | either end, the handoff; for a few instructions | the waiters or the handoff's bits are being exchanged; everybody else waits |
//! | `CALLER` | caller, under `LOCKED` or before the request enters | the cell `caller` holds who sleeps for the outcome |
//! | `HANDLER` | handler, under `LOCKED` | the cell `handler` holds who wants to know that the caller has left |
//! | `DONE` | server's end, last thing | the outcome is in place |
//! | `ABANDONED` | caller, last thing, only while the request is taken | nobody waits any more |
//! | `ARMED` | handoff, under `LOCKED` and the channel's lock | the handoff watches this slot |
//! | `DISARMING` | handoff, under `LOCKED` and the channel's lock | it will soon stop: no more calls |
//! | `HANDED` | caller, only from idle with `ARMED` | a request is in the slot, for the handoff to take; no queue has it |
//! | `COMMITTED` | caller, with `HANDED`; it clears it under the lease of the handoff | the caller will not take it back: it may be answered without a write, and `HANDED` stays until `DONE` |
//! | `TIMED` | caller, with `HANDED` | it has a deadline: to be answered under the channel's lock, as it is withdrawn under it |
//! | `PARITY` | caller, toggles with each `HANDED` | tells a firm call from the one before, which has been answered |
//! | `ORPHAN` | the last owner | the handoff is to free it |
//! | the bits of `ENDING` | server's end with `DONE`, if `ARMED` | how the request ended; whoever clears them counts it |
//!
//! When nobody sleeps publishing is one compare-exchange that adds `DONE`. Otherwise it takes the
//! waiter *out* under `LOCKED`, publishes `DONE` by the store that unlocks, and wakes the waiter afterwards, from its own stack.
//!
//! # Speed
//!
//! Between two ends that are awake, what costs is the cache line with the state, the outcome and the message, going there and back: about
//! twice 60 ns. So that it moves no oftener, nobody writes to it except to hand it over (neither message nor outcome is marked as
//! taken, the state implies it), and nobody executes another locked instruction between seeing the other's store and its own
//! (measured: one `fetch_add` on an undisputed line there costs 100 ns, as it separates the read of the line from the write). Hence `ENDING`: the handoff
//! counts the ending of one request when it takes the next.
//!
//! # Invariants
//!
//! 1. `message` is there from the making of the request until it is taken, and longer if it is turned down or withdrawn. It is touched by
//!    the creator before the request enters, then by the one holder of the [`Entry`], then (if it came back) by the caller after `DONE` or
//!    after withdrawal. `origin` is written with it, and read by the server's end.
//! 2. `completion` is written by the server's end before `DONE`, moved out once by the caller after it has seen `DONE`.
//! 3. `caller` and `handler` are touched only under `LOCKED`, or by who owns the slot alone.
//! 4. `links` are touched only through the list that holds the entry: that of the queue, under the channel's lock, or that of a batch
//!    which a receiver has taken, without it. `queued` is touched only under the channel's lock.
//! 5. After the store that sets `DONE` (`ABANDONED`) the server's end (the caller) makes no further access.
//! 6. The handoff makes no access after it has cleared `ARMED`, unless it found `HANDED` (then it has the entry) or `ORPHAN` (then it has
//!    the slot).

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

/// The part of a channel that every slot can reach, whatever the types.
#[derive(Debug)]
pub(crate) struct ChannelShared {
    pub(crate) counters: Padded<AtomicCounters>,
    /// For a reply.
    pub(crate) wait_policy: WaitPolicy,
    pub(crate) clock: Clock,
    /// Whether requests note when they enter.
    pub(crate) entry_times: bool,
}

impl ChannelShared {
    pub(crate) fn id(&self) -> ChannelId {
        ChannelId(ptr::from_ref(self).addr())
    }
}

/// What only the allocation knows how to do, as [`SlotCore`] does not know the type of the message.
///
/// All are called with the address of the `SlotCore` that holds them.
pub(crate) struct SlotVtable<R, E> {
    /// Takes the request out of the queue if it is still there, and tells whether it was.
    pub(crate) withdraw: unsafe fn(NonNull<SlotCore<R, E>>, Untaken) -> bool,
    /// Gives up the slot, in which nothing is left. The caller of this function must be its only owner.
    pub(crate) release: unsafe fn(NonNull<SlotCore<R, E>>),
    /// The same, with the message in it.
    pub(crate) discard: unsafe fn(NonNull<SlotCore<R, E>>),
}

/// What two ends that are awake only read.
struct ColdFields<R, E> {
    options: UnsafeCell<RequestOptions>,
    /// When it entered, if that is noted: touched like the options.
    entered: UnsafeCell<Option<Instant>>,
    notes_entry: bool,
    /// Outlives the slot, which holds a reference to the channel.
    shared: NonNull<ChannelShared>,
    vtable: SlotVtable<R, E>,
    caller: UnsafeCell<Option<Waiter>>,
    handler: UnsafeCell<Option<Waiter>>,
}

/// The part of a slot that does not depend on the type of the message: what is cold, and then, at the start of a cache line, what is hot.
#[repr(C)]
pub(crate) struct SlotCore<R, E> {
    cold: ColdFields<R, E>,
    padding: [u8; PADDING],
    state: AtomicU32,
    /// Where the request was made: touched like the message, and among what is hot since a client may be asked in many places.
    origin: UnsafeCell<&'static Location<'static>>,
    completion: UnsafeCell<MaybeUninit<Completion<R, E>>>,
}

const PADDING: usize = 128_usize.saturating_sub(size_of::<ColdFields<(), ()>>());

/// A slot. `repr(C)`: a pointer to it is a pointer to its `core`, and the message follows the outcome.
#[repr(C, align(128))]
pub(crate) struct Slot<S, R, E> {
    pub(crate) core: SlotCore<R, E>,
    message: UnsafeCell<MaybeUninit<S>>,
    /// See `list`.
    pub(crate) links: UnsafeCell<Links<S, R, E>>,
    /// Whether the queue of the channel holds it.
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
    /// `shared` outlives it.
    unsafe fn new(
        options: RequestOptions,
        shared: NonNull<ChannelShared>,
        vtable: SlotVtable<R, E>,
    ) -> Self {
        Self {
            cold: ColdFields {
                options: UnsafeCell::new(options),
                entered: UnsafeCell::new(None),
                // SAFETY: it is alive.
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
        // SAFETY: written only by who owns the slot alone (`set_options`).
        self.cold.options.with(|options| unsafe { *options })
    }

    /// Only if they are others: not to move the line.
    ///
    /// # Safety
    /// The slot is the caller's alone.
    #[inline]
    pub(crate) unsafe fn set_options(&self, options: RequestOptions) {
        if self.options() != options {
            // SAFETY: as promised by the caller.
            self.cold
                .options
                .with_mut(|cell| unsafe { *cell = options });
        }
    }

    /// Notes when it enters, if that is wanted.
    ///
    /// # Safety
    /// The slot is the caller's alone.
    #[inline]
    pub(crate) unsafe fn note_entry(&self) {
        if self.cold.notes_entry {
            let now = self.clock().now();
            // SAFETY: as promised by the caller.
            let write = |cell: *mut _| unsafe { *cell = Some(now) };
            self.cold.entered.with_mut(write);
        }
    }

    /// When it entered, if that was noted.
    pub(crate) fn entered(&self) -> Option<Instant> {
        // SAFETY: written only by who owns the slot alone (`note_entry`).
        self.cold.entered.with(|entered| unsafe { *entered })
    }

    /// Where it was made.
    ///
    /// # Safety
    /// The slot is the caller's alone.
    #[inline]
    pub(crate) unsafe fn set_origin(&self, origin: &'static Location<'static>) {
        // SAFETY: as promised by the caller.
        self.origin.with_mut(|cell| unsafe { *cell = origin });
    }

    /// Where the request was made. For the server's end.
    #[inline]
    pub(crate) fn origin(&self) -> &'static Location<'static> {
        // SAFETY: written only by who owns the slot alone (`set_origin`).
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
        // SAFETY: it outlives the slot, see the field.
        unsafe { self.cold.shared.as_ref() }
    }

    #[inline]
    pub(crate) fn clock(&self) -> &Clock {
        &self.shared().clock
    }

    /// Whether its deadline has passed.
    #[inline]
    pub(crate) fn is_overdue(&self) -> bool {
        self.clock().has_passed(self.deadline())
    }

    #[inline]
    fn counters(&self) -> &AtomicCounters {
        &self.shared().counters.0
    }

    /// Takes `LOCKED` and returns the other bits. Pairs with the Release of `unlock`.
    #[inline]
    fn lock(&self) -> u32 {
        self.exchange(Ordering::Acquire, |bits| Some(bits | LOCKED))
            .expect("it always goes on")
    }

    /// Gives up `LOCKED` and sets the other bits, by one store.
    #[inline]
    fn unlock(&self, bits: u32) {
        // Release: pairs with the Acquire of `lock`, `is_done` and `is_abandoned`.
        self.state.store(bits, Ordering::Release);
    }

    /// Gives up `LOCKED` for the last time: see `store_for_good`.
    ///
    /// # Safety
    /// `this` is alive, LOCKED is ours, and this end does not use the slot afterwards.
    #[inline]
    unsafe fn unlock_for_good(this: NonNull<Self>, bits: u32) {
        // By pointer, since the other side may free the slot before this function is back, and a reference among the arguments of a
        // function has to be valid until then.
        // SAFETY: alive. The reference is to the atomic alone, which may be shared with anybody.
        let state = unsafe { &(*this.as_ptr()).state };
        // Release: pairs with the Acquire of `lock`, `is_done` and `is_abandoned`.
        state.store(bits, Ordering::Release);
    }

    /// Replaces the bits by those that `step` makes of them, and returns the former ones; `None` if it makes none. Waits while they are
    /// `LOCKED`.
    #[inline]
    fn exchange(&self, order: Ordering, step: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        let mut looks = 0;
        loop {
            // Relaxed: the exchange below decides. A refusal is acted upon under the channel's lock, or by who owns the slot.
            let bits = self.state.load(Ordering::Relaxed);
            if bits & LOCKED == 0 {
                let next = step(bits)?;
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

    /// The handler's and the caller's.
    ///
    /// # Safety
    /// LOCKED is ours, or the whole slot.
    #[inline]
    unsafe fn take_waiters(&self) -> (Option<Waiter>, Option<Waiter>) {
        let take = |cell: &UnsafeCell<Option<Waiter>>| {
            // SAFETY: as promised by the caller.
            cell.with_mut(|cell| unsafe { (*cell).take() })
        };
        (take(&self.cold.handler), take(&self.cold.caller))
    }

    /// See [`SlotVtable::withdraw`].
    ///
    /// # Safety
    /// `this` is the caller's end of a slot that was sent and not abandoned.
    pub(crate) unsafe fn withdraw(this: NonNull<Self>, why: Untaken) -> bool {
        // SAFETY: alive, as the caller's end has not left.
        let withdraw = unsafe { this.as_ref() }.cold.vtable.withdraw;
        // SAFETY: as promised by the caller.
        unsafe { withdraw(this, why) }
    }

    /// See [`SlotVtable::release`].
    ///
    /// # Safety
    /// Its only owner calls this, and there is neither message nor outcome in it.
    #[inline]
    pub(crate) unsafe fn release(this: NonNull<Self>) {
        // SAFETY: alive, as its owner says so.
        let release = unsafe { this.as_ref() }.cold.vtable.release;
        // SAFETY: as promised by the caller.
        unsafe { release(this) }
    }

    /// See [`SlotVtable::discard`].
    ///
    /// # Safety
    /// Its only owner calls this, and there is a message but no outcome in it.
    pub(crate) unsafe fn discard(this: NonNull<Self>) {
        // SAFETY: alive, as its owner says so.
        let discard = unsafe { this.as_ref() }.cold.vtable.discard;
        // SAFETY: as promised by the caller.
        unsafe { discard(this) }
    }
}

impl<S, R, E> Slot<S, R, E> {
    /// An idle slot.
    ///
    /// # Safety
    /// `shared` outlives the slot.
    pub(crate) unsafe fn new(
        options: RequestOptions,
        shared: NonNull<ChannelShared>,
        vtable: SlotVtable<R, E>,
    ) -> Self {
        Self {
            // SAFETY: as promised by the caller.
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
    /// The slot is the caller's alone, and there is no message in it.
    #[inline]
    pub(crate) unsafe fn fill(&self, message: S, origin: &'static Location<'static>) {
        // SAFETY: we own the slot alone.
        self.message
            .with_mut(|cell| unsafe { (*cell).write(message) });
        // SAFETY: the same.
        unsafe { self.core.set_origin(origin) };
    }

    /// Sets the state of a request that enters the queue. Returns the ending of the last request, which the caller of this function counts.
    ///
    /// # Safety
    /// The slot is the caller's alone; under the channel's lock, unless it is not watched.
    #[inline]
    pub(crate) unsafe fn enter(&self) -> Option<Ending> {
        let core = &self.core;
        // SAFETY: invariant 3: until it is in the queue the slot is its caller's.
        let armed = unsafe { core.preregistered_bit() };
        // Relaxed, here and below: the channel's lock orders it; and with that lock in our hands the handoff does not change the bits.
        let bits = core.state.load(Ordering::Relaxed);
        core.state.store(bits & LASTING | armed, Ordering::Relaxed);
        ending(bits)
    }

    /// The same without the channel's lock. False if the slot is watched: then it takes the lock.
    ///
    /// # Safety
    /// The slot is the caller's alone.
    #[inline]
    pub(crate) unsafe fn enter_unarmed(&self) -> bool {
        // Relaxed: ARMED may go meanwhile, but does not come, and without it nobody but us knows the slot.
        let unwatched = self.core.state.load(Ordering::Relaxed) & (ARMED | LOCKED) == 0;
        if unwatched {
            // SAFETY: the slot is its caller's. Whoever stopped to watch it has counted the last ending.
            unsafe { self.enter() };
        }
        unwatched
    }

    /// Notes whether the queue of the channel holds it; returns whether it did.
    ///
    /// # Safety
    /// To be called under the lock of the channel.
    #[inline]
    pub(crate) unsafe fn set_queued(&self, queued: bool) -> bool {
        // SAFETY: invariant 4.
        self.queued
            .with_mut(|cell| unsafe { mem::replace(&mut *cell, queued) })
    }

    /// The message that came back (or was never sent).
    ///
    /// # Safety
    /// The caller of this function owns the slot alone, and the message is there, and afterwards it is not.
    #[inline]
    pub(crate) unsafe fn message(&self) -> S {
        // SAFETY: invariant 1.
        self.message
            .with(|cell| unsafe { (*cell).assume_init_read() })
    }

    /// Forgets the waiters of the last request.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone.
    #[inline]
    pub(crate) unsafe fn clear(&self) {
        let none = |cell: &UnsafeCell<Option<Waiter>>| {
            // SAFETY: invariant 3.
            cell.with(|cell| unsafe { &*cell }.is_none())
        };
        // It only looks, usually: not to move the line.
        if !none(&self.core.cold.caller) || !none(&self.core.cold.handler) {
            // SAFETY: invariant 3.
            drop(unsafe { self.core.take_waiters() });
        }
    }
}
