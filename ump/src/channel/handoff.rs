//! The direct handoff: a receiver waits for the next request of the client that it has just served
//! in the slot of that client.
//!
//! Passing through the queue moves two or three cache lines between the two ends: that of the lock
//! and the queue, and the slot. A client that sends, gets the reply and sends again can leave its
//! next request where the last reply came from, in its slot, if a receiver looks there. Then one
//! line moves, as between two threads that exchange one atomic.
//!
//! # Protocol
//!
//! A channel has at most one handoff. It **watches** the slot of the client that was served twice
//! in a row while no other client sent a request (`ARMED` in the slot's state). If the queue is
//! empty, such a client [hands over](crate::slot::SlotCore::hand_over) its next request instead of
//! queueing it. The holder of the **lease** may accept that request. A receiver that waits holds
//! the lease to look at the slot without the channel's lock. A receiver that looks at the queue
//! under the lock takes the lease in passing, if it is free, and accepts after the urgent requests
//! and before the normal ones.
//!
//! # Invariants
//!
//! 1. *Order.* A request is handed over when the queue is empty, as far as its client can know. So
//!    all requests that happened before it have been taken, and it is right to take it before any
//!    normal request that is queued. A receiver that looks at the queue looks at the handoff first.
//! 2. *No receiver sleeps while there may be a handed-over request.* A receiver that is about to
//!    sleep disarms the slot, under the channel's lock, under which it registers. If another
//!    receiver holds the lease, it sets `DISARMING` instead. Then the only handed-over request that
//!    there may be is one that the other receiver accepts, since that one gives back the lease only
//!    after it has accepted, or under the lock. If it gives back the lease under the lock while
//!    there is a request and a receiver sleeps, it wakes that receiver. A slot is watched only if
//!    no receiver sleeps.
//! 3. Accepting takes the lease. Arming and disarming take the lease and the channel's lock. So the
//!    watched slot does not change for a thread that has either of them, and it is alive while it
//!    is watched (invariant 8 of the slot).
//! 4. Once the channel is closed, the watched slot stays `DISARMING` and no other slot is armed. So
//!    the last request that is handed over is one from before.
//! 5. A bounded channel has no handoff, as a handed-over request is not counted with the queue.
//! 6. A request that was handed over has no [`Entry`] until the holder of the lease accepts it, or
//!    disarms the slot. That thread then makes the only one.

use std::ptr::{self, NonNull};

use crate::{
    slot::handoff::Disarmed,
    slot::server::Entry,
    slot::state::Parity,
    slot::{Slot, SlotCore},
    stats::{AtomicCounters, Stats},
    sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering},
};

/// How often a client has to be served in a row before its slot is armed: less than this may be
/// chance. In a model of loom the first time suffices, so that short models get there.
const AFFINITY_THRESHOLD: u32 = if cfg!(loom) { 1 } else { 2 };

pub(crate) struct DirectHandoff<S, R, E> {
    /// The watched slot; null if there is none. Written by the thread that has the lease and the
    /// channel's lock.
    armed_slot: AtomicPtr<Slot<S, R, E>>,
    leased: AtomicBool,
    /// The parity of the last request that was accepted. Written by the holder of the lease.
    last: AtomicU32,
    /// The number of requests accepted without the channel's lock, and how the requests ended that
    /// were handed over. Written by the holder of the lease, without locked instructions.
    handed_over: AtomicU64,
    counters: AtomicCounters,
    /// Frees the memory of a slot that its last owner has left to the handoff.
    free: FreeSlot<S, R, E>,
}

/// Frees the memory of a slot that no other thread can reach, and that holds neither message nor
/// outcome.
pub(crate) type FreeSlot<S, R, E> = unsafe fn(NonNull<Slot<S, R, E>>);

/// The slot of the client that was served last, and how often in a row it was. Under the channel's
/// lock.
pub(crate) struct AffinityTracker<S, R, E> {
    /// An address that is only compared.
    last: *const Slot<S, R, E>,
    in_a_row: u32,
}

// SAFETY: the address is only compared, never dereferenced.
unsafe impl<S: Send, R: Send, E: Send> Send for AffinityTracker<S, R, E> {}

impl<S, R, E> AffinityTracker<S, R, E> {
    pub(crate) const fn new() -> Self {
        Self {
            last: ptr::null(),
            in_a_row: 0,
        }
    }

    /// Records which client was served. Returns whether the next request is likely to come from the
    /// same client.
    #[inline]
    pub(crate) fn note_served(&mut self, slot: NonNull<Slot<S, R, E>>) -> bool {
        if self.last != slot.as_ptr() {
            self.last = slot.as_ptr();
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.in_a_row >= AFFINITY_THRESHOLD
    }
}

impl<S, R, E> DirectHandoff<S, R, E> {
    pub(crate) fn new(free: FreeSlot<S, R, E>) -> Self {
        Self {
            free,
            armed_slot: AtomicPtr::new(ptr::null_mut()),
            leased: AtomicBool::new(false),
            last: AtomicU32::new(0),
            handed_over: AtomicU64::new(0),
            counters: AtomicCounters::default(),
        }
    }

    /// Returns the watched slot. The result is a hint unless the caller holds the lease or the
    /// channel's lock.
    #[inline]
    fn armed_slot(&self) -> Option<NonNull<Slot<S, R, E>>> {
        // ORDERING: Relaxed. The lease and the channel's lock each order it after the store of
        // `arm` or `disarm`, which are made under both. For any other thread it is a hint.
        NonNull::new(self.armed_slot.load(Ordering::Relaxed))
    }

    /// Returns the parity of the last request that was accepted. The result is a hint unless the
    /// caller holds the lease.
    #[inline]
    fn last(&self) -> Parity {
        // ORDERING: Relaxed. The Acquire of `seize` orders it after the stores of former holders of
        // the lease. For any other thread it is a hint, unless an Acquire of the slot's state came
        // before, as in `begin_disarm`: a client hands over a request only after the one before was
        // accepted.
        Parity(self.last.load(Ordering::Relaxed))
    }

    /// Takes the lease, if there is a watched slot and no thread has the lease.
    #[inline]
    pub(crate) fn lease(&self) -> Option<Lease<'_, S, R, E>> {
        self.armed_slot()?;
        let lease = self.seize()?;
        lease.slot().is_some().then_some(lease)
    }

    /// Returns whether a slot is watched, so that there may be a handed-over request.
    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        self.armed_slot().is_some()
    }

    #[inline]
    fn seize(&self) -> Option<Lease<'_, S, R, E>> {
        self.leased
            // ORDERING: Acquire, pairs with the Release of `Lease::drop`: the slot, `last` and the
            // counters as the last holder left them are visible. On failure Relaxed: nothing of the
            // handoff is read.
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| Lease(self))
    }

    /// Returns whether there is a request to accept. To be called under the channel's lock or with
    /// the lease.
    ///
    /// Under the lock alone the answer may miss a request, if `last` is read before, and the
    /// slot's state after, another receiver has accepted the request before that one. That is as if
    /// it had been handed over later: a request that happens before the call is not missed, as the
    /// acceptance of the one before happens before it; and no receiver sleeps that would have to be
    /// woken for it, as no slot is armed while one sleeps.
    #[inline]
    pub(crate) fn has_request(&self) -> bool {
        // SAFETY: invariant 3: the caller has the lock or the lease, so the watched slot is alive.
        self.armed_slot()
            .is_some_and(|slot| unsafe { slot.as_ref() }.core.has_request(self.last()))
    }

    /// Arms the slot of a request that has just been taken, unless a request has been handed over
    /// in the slot that was watched before.
    ///
    /// # Safety
    /// The caller of this function has the channel's lock and the entry of the slot, and no
    /// receiver sleeps.
    pub(crate) unsafe fn arm(
        &self,
        slot: NonNull<Slot<S, R, E>>,
        lease: Option<Lease<'_, S, R, E>>,
    ) {
        let Some(lease) = lease.or_else(|| self.seize()) else {
            return;
        };
        // SAFETY: the caller of this function has the slot's entry, so the slot is alive (invariant
        // 8 of the slot).
        let core = unsafe { &slot.as_ref().core };
        let moved = lease.slot().is_some_and(|watched| watched != slot);
        if core.is_post() || (moved && matches!(lease.disarm(true), DisarmResult::StillArmed)) {
            return;
        }
        // SAFETY: this thread has the lease and, by this function's contract, the channel's lock
        // and the server's end of the slot. No other slot is watched: another one has just been
        // disarmed.
        let last = unsafe { core.arm() };
        // ORDERING: Relaxed. The Release of `Lease::drop` makes it visible to the Acquire of
        // `seize`.
        self.last.store(last.0, Ordering::Relaxed);
        // ORDERING: Relaxed. The Release of `Lease::drop`, or of the channel's lock, makes it
        // visible to the next thread that has either.
        self.armed_slot.store(slot.as_ptr(), Ordering::Relaxed);
    }

    /// Makes sure that no request is handed over which a sleeping receiver would miss. Returns the
    /// request that has been handed over already.
    ///
    /// # Safety
    /// The caller of this function has the channel's lock; the lease is that of this channel.
    pub(crate) unsafe fn disarm(
        &self,
        lease: Option<&Lease<'_, S, R, E>>,
    ) -> Option<Entry<S, R, E>> {
        let slot = self.armed_slot()?;
        let own = if lease.is_none() {
            self.seize().or_else(|| {
                // SAFETY: by this function's contract the channel's lock is held, so the slot is
                // still watched and alive (invariant 3).
                unsafe { slot.as_ref().core.begin_disarm() };
                // The lease may have been given back before `DISARMING` was set, and a request
                // handed over in between.
                self.seize()
            })
        } else {
            None
        };
        let lease = lease.or(own.as_ref())?;
        match lease.disarm(false) {
            DisarmResult::Request(entry) => Some(entry),
            DisarmResult::Idle | DisarmResult::StillArmed => None,
        }
    }

    /// Makes sure that no request is handed over any more. A request that has been handed over
    /// stays for the next receiver.
    ///
    /// # Safety
    /// The caller of this function has the channel's lock, and from now on no slot is armed that is
    /// not armed now.
    pub(crate) unsafe fn begin_disarm(&self) {
        if let Some(slot) = self.armed_slot() {
            // SAFETY: by this function's contract the channel's lock is held, so the slot is still
            // watched and alive (invariant 3).
            unsafe { slot.as_ref().core.begin_disarm() };
        }
    }

    /// Returns whether there is a request to accept in the slot at this address. To be called under
    /// the channel's lock.
    pub(crate) fn has_request_from(&self, address: usize) -> bool {
        let from = self.armed_slot().map(|slot| slot.addr().get());
        from == Some(address) && self.has_request()
    }

    /// Makes a committed request one that its caller can take back, unless it has been accepted.
    /// Returns false if a thread has the lease and may be about to accept the request.
    ///
    /// # Safety
    /// The caller of this function has the channel's lock; `core` is the caller's end of a slot
    /// that was sent to this channel.
    pub(crate) unsafe fn uncommit(&self, core: &SlotCore<R, E>) -> bool {
        let Some(_lease) = self.seize() else {
            return false;
        };
        if core.is_committed() && self.has_request_from(core.id().0) {
            // SAFETY: by this function's contract this is the caller's end of a slot that was sent.
            // This thread has the lease, and the slot is watched, with a request in it that has not
            // been accepted.
            unsafe { core.uncommit() };
        }
        true
    }

    /// Adds the endings that are not in the channel's counters. Returns how many requests were
    /// accepted without the channel's lock. To be called under that lock.
    pub(crate) fn stats(&self, ended: &mut Stats) -> u64 {
        ended.add(&self.counters);
        // SAFETY: invariant 3: the caller has the channel's lock, so the watched slot is alive.
        let uncounted = self
            .armed_slot()
            .and_then(|slot| unsafe { slot.as_ref() }.core.uncounted(self.last()));
        if let Some(ending) = uncounted {
            ended.add_ending(ending, 1);
        }
        // ORDERING: Relaxed, as this is a number for the statistics. It is loaded after the
        // endings, so that no ending is counted without its taking. The loads order this only for
        // endings that happen before them; for others the statistics subtract with saturation.
        self.handed_over.load(Ordering::Relaxed)
    }
}

/// The right to accept a handed-over request, until it is dropped.
pub(crate) struct Lease<'a, S, R, E>(&'a DirectHandoff<S, R, E>);

impl<S, R, E> Lease<'_, S, R, E> {
    #[inline]
    fn slot(&self) -> Option<NonNull<Slot<S, R, E>>> {
        self.0.armed_slot()
    }

    /// Returns whether there is a request to accept.
    #[inline]
    pub(crate) fn has_request(&self) -> bool {
        self.0.has_request()
    }

    /// Takes the handed-over request, if there is one. Without the channel's lock (`locked` is
    /// false) it takes only a request without a deadline.
    #[inline]
    pub(crate) fn accept(&self, locked: bool) -> Option<Entry<S, R, E>> {
        let slot = self.slot()?;
        // SAFETY: this thread has the lease of the handoff that watches the slot, so the slot is
        // alive (invariant 3). Callers pass `locked` only under the channel's lock.
        let (parity, ending) = unsafe { slot.as_ref().core.accept(self.0.last(), locked) }?;
        // ORDERING: Relaxed. The Release of `Lease::drop` makes it visible to the Acquire of
        // `seize`.
        self.0.last.store(parity.0, Ordering::Relaxed);
        if let Some(ending) = ending {
            self.0.counters.count_exclusive(ending);
        }
        // SAFETY: invariant 6: this thread has accepted the request, so this is its only entry. The
        // message is in the slot, which stays alive while the caller's end waits.
        Some(unsafe { Entry::new(slot) })
    }

    /// Counts a request that was accepted and taken without the channel's lock.
    #[inline]
    pub(crate) fn count(&self) {
        // ORDERING: Relaxed load and store instead of a locked instruction: only the holder of the
        // lease counts, and the pairing of `seize` with `Lease::drop` orders the holders.
        let handed_over = self.0.handed_over.load(Ordering::Relaxed);
        self.0.handed_over.store(handed_over + 1, Ordering::Relaxed);
    }

    /// Disarms the slot. If `unless_handed` is true and there is a request, leaves it armed. To be
    /// called under the channel's lock.
    fn disarm(&self, unless_handed: bool) -> DisarmResult<S, R, E> {
        let Some(slot) = self.slot() else {
            return DisarmResult::Idle;
        };
        // SAFETY: this thread has the lease and, as its callers promise, the channel's lock, so the
        // slot is watched and alive (invariant 3). After this the handoff touches it only if it has
        // the entry or the slot.
        let disarmed =
            unsafe { SlotCore::<R, E>::disarm(slot.cast(), self.0.last(), unless_handed) };
        let Some((found, ending)) = disarmed else {
            return DisarmResult::StillArmed;
        };
        // ORDERING: Relaxed. The Release of `Lease::drop`, or of the channel's lock, makes it
        // visible to the next thread that has either.
        self.0.armed_slot.store(ptr::null_mut(), Ordering::Relaxed);
        if let Some(ending) = ending {
            self.0.counters.count_exclusive(ending);
        }
        match found {
            Disarmed::Idle => DisarmResult::Idle,
            Disarmed::Orphan => {
                // SAFETY: its last owner has left the empty slot to the handoff, which owns it
                // alone now that it is unarmed (invariants 6 and 8 of the slot).
                unsafe { (self.0.free)(slot) };
                DisarmResult::Idle
            }
            // SAFETY: invariant 6: disarming has taken the request, so this is its only entry. The
            // message is in the slot, which stays alive while the caller's end waits.
            Disarmed::Request => DisarmResult::Request(unsafe { Entry::new(slot) }),
        }
    }
}

/// The result of disarming a slot.
enum DisarmResult<S, R, E> {
    /// No request had been handed over.
    Idle,
    /// A request had been handed over: its entry.
    Request(Entry<S, R, E>),
    /// A request had been handed over, so the slot stays armed.
    StillArmed,
}

impl<S, R, E> Drop for Lease<'_, S, R, E> {
    #[inline]
    fn drop(&mut self) {
        // ORDERING: Release, pairs with the Acquire of `seize`: the slot, `last` and the counters
        // as this holder left them are visible to the next one.
        self.0.leased.store(false, Ordering::Release);
    }
}
