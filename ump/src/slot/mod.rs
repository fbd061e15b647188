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

pub(crate) mod list;

use std::{
    mem::{self, ManuallyDrop, MaybeUninit},
    panic::Location,
    ptr::{self, NonNull},
    task::Waker,
    time::Instant,
};

use crate::{
    error::NoReply,
    error::panic::PanicMessage,
    hooks::{self, ChannelId, Cycle, Goal, RequestId, Wait},
    stats::{AtomicCounters, Ending, Untaken},
    sync::{
        AtomicU32, Ordering, Padded, UnsafeCell, WaitPolicy, current, lock_pause, panicking,
        pause_for_peer, spin_until,
    },
    time::clock::Clock,
    wait::waiter::{DeferredWake, Waiter, catch_user_panic},
};

const PENDING: u32 = 0;
const LOCKED: u32 = 1;
const CALLER: u32 = 1 << 1;
const HANDLER: u32 = 1 << 2;
const DONE: u32 = 1 << 3;
const ABANDONED: u32 = 1 << 4;
const ARMED: u32 = 1 << 5;
const DISARMING: u32 = 1 << 6;
const HANDED: u32 = 1 << 7;
const ORPHAN: u32 = 1 << 8;
const COMMITTED: u32 = 1 << 9;
const PARITY: u32 = 1 << 10;
const TIMED: u32 = 1 << 11;
const ENDING: u32 = 7 << ENDING_SHIFT;
const ENDING_SHIFT: u32 = 12;
/// What outlasts a request.
const LASTING: u32 = ARMED | DISARMING | PARITY;
/// What keeps the server's end from publishing by one exchange.
const INVOLVED: u32 = LOCKED | CALLER | HANDLER | ABANDONED;

/// What the server's end says in the end.
#[derive(Debug)]
pub(crate) enum Completion<R, E> {
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

impl<R, E> Completion<R, E> {
    /// The column of the counters, for completions on requests that were taken. For a post letting go is handling.
    #[inline]
    fn ending(&self, post: bool) -> Ending {
        match self {
            Self::App(_) => Ending::Failed,
            Self::NoReply(NoReply::Panicked(_)) => Ending::Panicked,
            Self::NoReply(NoReply::Dropped) if post => Ending::Replied,
            Self::NoReply(_) => Ending::NoReply,
            Self::Overdue => Ending::TimeoutTaken,
            _ => Ending::Replied,
        }
    }

    /// Whether the message is still in the slot.
    pub(crate) fn is_untaken(&self) -> bool {
        matches!(self, Self::ServerDisappeared | Self::Expired)
    }
}

impl<R, E> From<Result<R, E>> for Completion<R, E> {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestOptions {
    pub(crate) lane: Lane,
    pub(crate) deadline: Option<Instant>,
    /// The caller's thread is blocked until the outcome or the deadline.
    pub(crate) blocks: bool,
    /// Nobody waits for the reply: the server's end owns the slot from the moment it is queued.
    pub(crate) post: bool,
}

impl RequestOptions {
    /// Those of a request about which nothing was said.
    pub(crate) const PLAIN: Self = Self {
        lane: Lane::Normal,
        deadline: None,
        blocks: false,
        post: false,
    };

    /// Whether it is taken in its turn, whenever that comes.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.lane == Lane::Normal && self.deadline.is_none()
    }
}

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

/// Which of two calls in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parity(pub(crate) u32);

/// What the handoff found when it stopped to watch a slot.
pub(crate) enum Disarmed {
    /// Nothing that concerns it.
    Idle,
    /// A call, which it has taken: there is an entry now.
    Request,
    /// Nobody else has the slot.
    Orphan,
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

    // ---- the caller's end

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
    unsafe fn preregistered_bit(&self) -> u32 {
        // SAFETY: as promised by the caller.
        let armed = self.cold.caller.with(|cell| unsafe { &*cell }.is_some());
        if armed { CALLER } else { 0 }
    }

    /// Whether the handoff watches the slot, so that a [`hand_over`](Self::hand_over) may succeed.
    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        // Relaxed: `hand_over` decides.
        self.state.load(Ordering::Relaxed) & (ARMED | DISARMING) == ARMED
    }

    /// Hands the request to the handoff, if it watches the slot: then it will be taken without passing through the queue.
    ///
    /// # Safety
    /// The slot is the caller's alone, with a message in it.
    #[inline]
    pub(crate) unsafe fn hand_over(&self) -> bool {
        // Relaxed: the exchange decides.
        let bits = self.state.load(Ordering::Relaxed);
        // SAFETY: invariant 3.
        let armed = unsafe { self.preregistered_bit() };
        let RequestOptions {
            blocks, deadline, ..
        } = self.options();
        let firm = match (deadline, blocks) {
            (Some(_), _) => TIMED,
            (None, true) => COMMITTED,
            (None, false) => 0,
        };
        let call = (bits & (ARMED | PARITY | ENDING)) ^ PARITY | HANDED | firm | armed;
        bits & (ARMED | DISARMING | LOCKED) == ARMED
            && self
                .state
                // Release: pairs with the Acquire of `accept` and `disarm`.
                .compare_exchange(bits, call, Ordering::Release, Ordering::Relaxed)
                .is_ok()
    }

    /// Whether the request cannot be taken back.
    #[inline]
    pub(crate) fn is_committed(&self) -> bool {
        // Relaxed: set by this end.
        self.state.load(Ordering::Relaxed) & (HANDED | COMMITTED) == HANDED | COMMITTED
    }

    /// Makes a firm call one that can be taken back.
    ///
    /// # Safety
    /// The slot was sent by this end. Under the lease of the handoff that watches it, and the call has not been answered.
    pub(crate) unsafe fn uncommit(&self) {
        // Relaxed: no data goes with it.
        self.exchange(Ordering::Relaxed, |bits| Some(bits & !COMMITTED));
    }

    /// Takes a call back. False if there is none, or if it is firm.
    ///
    /// # Safety
    /// The slot was sent by this end.
    pub(crate) unsafe fn take_back(&self) -> bool {
        // It was no turn: the next one is.
        let step = |bits| {
            (bits & (HANDED | COMMITTED) == HANDED).then_some((bits & !(HANDED | TIMED)) ^ PARITY)
        };
        // Acquire: nothing to see but our own.
        self.exchange(Ordering::Acquire, step).is_some()
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

    pub(crate) fn id(&self) -> RequestId {
        RequestId(ptr::from_ref(self).addr())
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

    // ---- the server's end

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

    // ---- the handoff

    /// Begins to watch the slot. Returns the turn of its last call.
    ///
    /// # Safety
    /// Under the channel's lock and the lease of its handoff, which watches no other slot; the slot is the server's end's.
    pub(crate) unsafe fn arm(&self) -> Parity {
        let step = |bits: u32| Some((bits | ARMED) & !DISARMING);
        // Relaxed: no data goes with it.
        let bits = self.exchange(Ordering::Relaxed, step);
        Parity(bits.unwrap_or(0) & PARITY)
    }

    /// Announces that the handoff will stop to watch the slot: no more calls.
    ///
    /// # Safety
    /// Under the channel's lock, whose handoff watches the slot.
    pub(crate) unsafe fn begin_disarm(&self) {
        // Acquire: pairs with the Release of `hand_over`. Whoever gave back the lease before the call that is found here did so before that call was made (it
        // had answered the one before), so `disarm`, which tries to get the lease next, sees that it is free: an exchange that fails may read an old value.
        self.exchange(Ordering::Acquire, |bits| Some(bits | DISARMING));
    }

    /// Whether there is a call to [`accept`](Self::accept), if the last one that was answered had that turn.
    #[inline]
    pub(crate) fn has_request(&self, last: Parity) -> bool {
        // Relaxed: `accept` decides.
        is_handed(self.state.load(Ordering::Relaxed), last)
    }

    /// Takes the call if there is one (without the channel's lock: one that has no deadline), with the ending of the request before, which
    /// the caller of this function counts.
    ///
    /// # Safety
    /// With the lease of the handoff that watches the slot, and under the channel's lock if `locked`.
    #[inline]
    pub(crate) unsafe fn accept(
        &self,
        last: Parity,
        locked: bool,
    ) -> Option<(Parity, Option<Ending>)> {
        // Acquire: pairs with the Release of `hand_over`.
        let mut bits = self.state.load(Ordering::Acquire);
        if !is_handed(bits, last) {
            return None;
        }
        if bits & COMMITTED == 0 {
            let unfit = if locked { 0 } else { TIMED };
            let step = |bits| {
                (bits & HANDED != 0 && bits & unfit == 0)
                    .then_some(bits & !(HANDED | TIMED | ENDING))
            };
            // Acquire: the same.
            bits = self.exchange(Ordering::Acquire, step)?;
        }
        Some((Parity(bits & PARITY), ending(bits)))
    }

    /// How the last request ended, if nobody has counted it.
    pub(crate) fn uncounted(&self, last: Parity) -> Option<Ending> {
        // Relaxed: a number for the books.
        uncounted(self.state.load(Ordering::Relaxed), last)
    }

    /// Stops to watch the slot, except if there is a call and `unless_handed`. Returns what it found, and the ending of the last request,
    /// which the caller of this function counts.
    ///
    /// # Safety
    /// Under the channel's lock and the lease of its handoff, which watches the slot. For the handoff the slot is gone,
    /// unless there is a call or it is an orphan.
    pub(crate) unsafe fn disarm(
        this: NonNull<Self>,
        last: Parity,
        unless_handed: bool,
    ) -> Option<(Disarmed, Option<Ending>)> {
        // SAFETY: alive while it is watched.
        let core = unsafe { this.as_ref() };
        let bits = core.lock();
        let found = if bits & ORPHAN != 0 {
            Disarmed::Orphan
        } else if !is_handed(bits, last) {
            Disarmed::Idle
        } else if unless_handed {
            core.unlock(bits);
            return None;
        } else {
            Disarmed::Request
        };
        // SAFETY: alive; a call or an orphan stay so.
        unsafe {
            Self::unlock_for_good(this, bits & !(ARMED | DISARMING | HANDED | TIMED | ENDING))
        };
        Some((found, uncounted(bits, last)))
    }

    /// Leaves it to the handoff to free the slot. False if it is not watched: then nobody but the owner can reach it.
    ///
    /// # Safety
    /// The only owner calls this, and if it returns true, gives up the slot.
    pub(crate) unsafe fn leave_to_handoff(this: NonNull<Self>) -> bool {
        // SAFETY: alive, as its owner says so. By pointer, see `unlock_for_good`.
        let state = unsafe { &(*this.as_ptr()).state };
        let mut looks = 0;
        loop {
            // Acquire: pairs with the Release of `disarm`, which was the handoff's last access.
            let bits = state.load(Ordering::Acquire);
            if bits & ARMED == 0 && bits & LOCKED == 0 {
                return false;
            }
            // Release: pairs with the Acquire of `disarm`; all that the owner did happens before the slot is freed.
            let left = bits & LOCKED == 0
                && state
                    .compare_exchange(bits, bits | ORPHAN, Ordering::Release, Ordering::Relaxed)
                    .is_ok();
            if left {
                return true;
            }
            lock_pause(&mut looks);
        }
    }
}

/// Whether a firm call has been answered, which does not show in the slot.
#[inline]
fn is_accepted(bits: u32, last: Parity) -> bool {
    bits & (HANDED | COMMITTED) == HANDED | COMMITTED && bits & PARITY == last.0
}

#[inline]
fn is_handed(bits: u32, last: Parity) -> bool {
    bits & HANDED != 0 && !is_accepted(bits, last)
}

fn uncounted(bits: u32, last: Parity) -> Option<Ending> {
    ending(bits).filter(|_| !is_accepted(bits, last))
}

/// An ending in the bits of the state word.
#[inline]
fn code(ending: Option<Ending>) -> u32 {
    ending.map_or(0, |ending| (ending as u32 + 1) << ENDING_SHIFT)
}

#[inline]
fn ending(bits: u32) -> Option<Ending> {
    let code = (bits & ENDING) >> ENDING_SHIFT;
    Ending::ALL.get((code as usize).wrapping_sub(1)).copied()
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
