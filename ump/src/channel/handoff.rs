//! The handoff: a receiver that waits for the next request of the client that it has just served, where that client will put it.
//!
//! Passing through the queue moves two or three cache lines between the two ends: that of the lock and the queue, and the slot. A client that
//! asks, gets the reply and asks again could as well leave its next request where the last reply came from, in its slot, if somebody looks
//! there: then one line moves, as between two threads that exchange one atomic.
//!
//! # Protocol
//!
//! A channel has at most one handoff. It **watches** the slot of the client which was served twice in a row while nobody else asked
//! (`ARMED` in the slot's state). Such a client [hands over](crate::slot::SlotCore::hand_over) instead of queueing, if the queue is empty.
//! Who holds the **lease** may answer the call: a receiver that waits holds it to look at the slot without the channel's lock; whoever looks
//! at the queue under the lock takes it in passing, if it is free, and answers after the urgent requests and before the normal ones.
//!
//! # Invariants
//!
//! 1. *Order.* A call was made when the queue was empty, as far as its client could know: so all that happened before it has been taken, and to
//!    take it before anything normal that is queued is right. Whoever looks at the queue looks at the handoff first.
//! 2. *Nobody sleeps while there may be a call.* A receiver that is about to sleep hangs up, under the channel's lock, in which it registers. If
//!    another one holds the lease, it cools the slot instead: then there is no call but one that the other will answer, since
//!    it gives back the lease only after it has answered, or under the lock; and who gives it back there while there is a call and
//!    somebody sleeps wakes that one. A slot is watched only if nobody sleeps.
//! 3. Answering takes the lease; to begin to watch a slot, or to stop, takes the lease and the channel's lock. So the slot does not change
//!    for who has either of them, and it lives while it is watched.
//! 4. Once the channel is closed the slot that is watched stays cool and no other one is: so the last call is one that was made before.
//! 5. A bounded channel has none: a call does not pass by the count of the queue.

use std::ptr::{self, NonNull};

use crate::{
    slot::handoff::Disarmed,
    slot::server::Entry,
    slot::state::Parity,
    slot::{Slot, SlotCore},
    stats::{AtomicCounters, Stats},
    sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering},
};

/// So often a client has to be served in a row before its slot is armed: less than this may be chance. In a model of loom at once, so that short models
/// get there.
const AFFINITY_THRESHOLD: u32 = if cfg!(loom) { 1 } else { 2 };

pub(crate) struct DirectHandoff<S, R, E> {
    /// Null if there is none. Written by who has the lease and the channel's lock.
    armed_slot: AtomicPtr<Slot<S, R, E>>,
    leased: AtomicBool,
    /// The turn of the last call that was answered. Written by who has the lease.
    last: AtomicU32,
    /// Calls answered without the channel's lock, and how requests ended that were made by this way. Written by who has the lease, without
    /// locked instructions.
    handed_over: AtomicU64,
    counters: AtomicCounters,
    /// Frees the memory of a slot that its last owner has left to the handoff.
    free: FreeSlot<S, R, E>,
}

/// Frees the memory of a slot that nobody else can reach, and that holds neither message nor outcome.
pub(crate) type FreeSlot<S, R, E> = unsafe fn(NonNull<Slot<S, R, E>>);

/// Who was served last, and how often in a row. Under the channel's lock.
pub(crate) struct AffinityTracker<S, R, E> {
    /// Only compared.
    last: *const Slot<S, R, E>,
    in_a_row: u32,
}

// SAFETY: it is just an address.
unsafe impl<S: Send, R: Send, E: Send> Send for AffinityTracker<S, R, E> {}

impl<S, R, E> AffinityTracker<S, R, E> {
    pub(crate) const fn new() -> Self {
        Self {
            last: ptr::null(),
            in_a_row: 0,
        }
    }

    /// Notes who was served; tells whether it looks as if the next request were to come from there.
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

    /// The slot that is watched; sure only for who holds the lease or the channel's lock.
    #[inline]
    fn armed_slot(&self) -> Option<NonNull<Slot<S, R, E>>> {
        // Relaxed: a hint, or ordered by the lease or the lock.
        NonNull::new(self.armed_slot.load(Ordering::Relaxed))
    }

    /// The turn of the last call that was answered; sure only for who holds the lease.
    #[inline]
    fn last(&self) -> Parity {
        // Relaxed: ordered by the lease; to others a hint.
        Parity(self.last.load(Ordering::Relaxed))
    }

    /// Gets the lease, if there is a slot to watch and nobody has it.
    #[inline]
    pub(crate) fn lease(&self) -> Option<Lease<'_, S, R, E>> {
        self.armed_slot()?;
        let lease = self.seize()?;
        lease.slot().is_some().then_some(lease)
    }

    /// Whether there may be a call.
    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        self.armed_slot().is_some()
    }

    #[inline]
    fn seize(&self) -> Option<Lease<'_, S, R, E>> {
        self.leased
            // Acquire: pairs with the Release of the one who gave it back.
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| Lease(self))
    }

    /// Whether there is a call. To be asked under the channel's lock or with the lease.
    #[inline]
    pub(crate) fn has_request(&self) -> bool {
        // SAFETY: invariant 3.
        self.armed_slot()
            .is_some_and(|slot| unsafe { slot.as_ref() }.core.has_request(self.last()))
    }

    /// Begins to watch the slot of a request that has just been taken, except if somebody calls where it watched before.
    ///
    /// # Safety
    /// Under the channel's lock. The slot's entry is in the hands of the caller of this function, and nobody sleeps.
    pub(crate) unsafe fn arm(
        &self,
        slot: NonNull<Slot<S, R, E>>,
        lease: Option<Lease<'_, S, R, E>>,
    ) {
        let Some(lease) = lease.or_else(|| self.seize()) else {
            return;
        };
        // SAFETY: alive, as its entry is not given away.
        let core = unsafe { &slot.as_ref().core };
        let moved = lease.slot().is_some_and(|watched| watched != slot);
        if core.is_post() || (moved && matches!(lease.disarm(true), DisarmResult::StillArmed)) {
            return;
        }
        // SAFETY: we hold the lease and the channel's lock, and no other slot is watched.
        let last = unsafe { core.arm() };
        self.last.store(last.0, Ordering::Relaxed);
        self.armed_slot.store(slot.as_ptr(), Ordering::Relaxed);
    }

    /// Makes sure that there will be no call which a sleeping receiver would miss. Returns the one that there is.
    ///
    /// # Safety
    /// Under the channel's lock; the lease is that of this channel.
    pub(crate) unsafe fn disarm(
        &self,
        lease: Option<&Lease<'_, S, R, E>>,
    ) -> Option<Entry<S, R, E>> {
        let slot = self.armed_slot()?;
        let own = if lease.is_none() {
            self.seize().or_else(|| {
                // SAFETY: watched, and we hold the channel's lock.
                unsafe { slot.as_ref().core.begin_disarm() };
                // It may have been given back before the slot was cooled, and a call made in between.
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

    /// Makes sure that there will be no call any more. One that there is stays, for whoever looks next.
    ///
    /// # Safety
    /// Under the channel's lock, and from now on nothing is watched that is not watched now.
    pub(crate) unsafe fn begin_disarm(&self) {
        if let Some(slot) = self.armed_slot() {
            // SAFETY: watched, and we hold the channel's lock.
            unsafe { slot.as_ref().core.begin_disarm() };
        }
    }

    /// Whether there is a call from the slot at this address. To be asked under the channel's lock.
    pub(crate) fn has_request_from(&self, address: usize) -> bool {
        let from = self.armed_slot().map(|slot| slot.addr().get());
        from == Some(address) && self.has_request()
    }

    /// Makes a firm call one that its caller can take back, unless it has been answered. False if somebody has the lease and may be about to
    /// answer.
    ///
    /// # Safety
    /// Under the channel's lock; this is the caller's end of a slot that was sent to this channel.
    pub(crate) unsafe fn uncommit(&self, core: &SlotCore<R, E>) -> bool {
        let Some(_lease) = self.seize() else {
            return false;
        };
        if core.is_committed() && self.has_request_from(core.id().0) {
            // SAFETY: we have the lease, and it is watched.
            unsafe { core.uncommit() };
        }
        true
    }

    /// Adds the endings that are not in the channel's counters; returns how many calls were answered without the channel's lock. To be
    /// called under it.
    pub(crate) fn stats(&self, ended: &mut Stats) -> u64 {
        ended.add(&self.counters);
        // SAFETY: invariant 3.
        let uncounted = self
            .armed_slot()
            .and_then(|slot| unsafe { slot.as_ref() }.core.uncounted(self.last()));
        if let Some(ending) = uncounted {
            ended.add_ending(ending, 1);
        }
        // After the endings, so that none is seen without its taking.
        self.handed_over.load(Ordering::Relaxed)
    }
}

/// The right to answer, until it is dropped.
pub(crate) struct Lease<'a, S, R, E>(&'a DirectHandoff<S, R, E>);

impl<S, R, E> Lease<'_, S, R, E> {
    #[inline]
    fn slot(&self) -> Option<NonNull<Slot<S, R, E>>> {
        self.0.armed_slot()
    }

    /// Whether there is a call.
    #[inline]
    pub(crate) fn has_request(&self) -> bool {
        self.0.has_request()
    }

    /// Takes the call, if there is one. Without the channel's lock only one without a deadline.
    #[inline]
    pub(crate) fn accept(&self, locked: bool) -> Option<Entry<S, R, E>> {
        let slot = self.slot()?;
        // SAFETY: watched, and we hold the lease.
        let (parity, ending) = unsafe { slot.as_ref().core.accept(self.0.last(), locked) }?;
        self.0.last.store(parity.0, Ordering::Relaxed);
        if let Some(ending) = ending {
            self.0.counters.count_exclusive(ending);
        }
        // SAFETY: a call brings the right to take it, to the one who ends it.
        Some(unsafe { Entry::new(slot) })
    }

    /// Counts a request that was accepted and taken without the channel's lock.
    #[inline]
    pub(crate) fn count(&self) {
        // Relaxed, and no locked instruction, as only who has the lease counts.
        let handed_over = self.0.handed_over.load(Ordering::Relaxed);
        self.0.handed_over.store(handed_over + 1, Ordering::Relaxed);
    }

    /// Stops to watch; `unless_handed`, goes on if there is a call. To be called under the channel's lock.
    fn disarm(&self, unless_handed: bool) -> DisarmResult<S, R, E> {
        let Some(slot) = self.slot() else {
            return DisarmResult::Idle;
        };
        // SAFETY: watched, and we hold the lease and the channel's lock.
        let hung_up =
            unsafe { SlotCore::<R, E>::disarm(slot.cast(), self.0.last(), unless_handed) };
        let Some((found, ending)) = hung_up else {
            return DisarmResult::StillArmed;
        };
        self.0.armed_slot.store(ptr::null_mut(), Ordering::Relaxed);
        if let Some(ending) = ending {
            self.0.counters.count_exclusive(ending);
        }
        match found {
            Disarmed::Idle => DisarmResult::Idle,
            Disarmed::Orphan => {
                // SAFETY: its last owner has left it to us.
                unsafe { (self.0.free)(slot) };
                DisarmResult::Idle
            }
            // SAFETY: a call brings the right to take it, to the one who ends it.
            Disarmed::Request => DisarmResult::Request(unsafe { Entry::new(slot) }),
        }
    }
}

/// How it stopped to watch.
enum DisarmResult<S, R, E> {
    /// Nobody called.
    Idle,
    /// Somebody did; here it is.
    Request(Entry<S, R, E>),
    /// Somebody did, so it goes on.
    StillArmed,
}

impl<S, R, E> Drop for Lease<'_, S, R, E> {
    #[inline]
    fn drop(&mut self) {
        // Release: what we did with the slot, and counted, happens before the next one's.
        self.0.leased.store(false, Ordering::Release);
    }
}
