//! A slot in a direct handoff: the caller hands its next request over in the slot itself, and a
//! receiver that watches the slot takes it from there.
//!
//! The invariants are those of the [module above](super).

use std::ptr::NonNull;

use crate::{
    options::RequestOptions,
    slot::SlotCore,
    slot::state::{
        ARMED, COMMITTED, DISARMING, ENDING, HANDED, LOCKED, ORPHAN, PARITY, Parity, TIMED, ending,
        is_handed, uncounted,
    },
    stats::Ending,
    sync::{Ordering, lock_pause},
};

/// The state in which the handoff found the slot that it disarmed.
pub(crate) enum Disarmed {
    /// No request, and the slot has another owner.
    Idle,
    /// A request that was handed over, which the handoff has taken: there is an entry now.
    Request,
    /// The last owner has left the slot to the handoff, which owns it alone.
    Orphan,
}

impl<R, E> SlotCore<R, E> {
    /// Returns whether the handoff watches the slot, so that a [`hand_over`](Self::hand_over) may
    /// succeed.
    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        // ORDERING: Relaxed, as this is a hint: the exchange of `hand_over` decides.
        self.state.load(Ordering::Relaxed) & (ARMED | DISARMING) == ARMED
    }

    /// Hands the request over, if the handoff watches the slot: then a receiver takes it without
    /// passing through the queue. Returns false if the request has to queue.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone, and there is a message in it.
    #[inline]
    pub(crate) unsafe fn hand_over(&self) -> bool {
        // ORDERING: Relaxed, as the exchange below fails if the bits are old.
        let bits = self.state.load(Ordering::Relaxed);
        // SAFETY: invariant 3: by this function's contract its caller owns the slot alone.
        let armed = unsafe { self.preregistered_bit() };
        let RequestOptions {
            blocks, deadline, ..
        } = self.options();
        let kind = match (deadline, blocks) {
            (Some(_), _) => TIMED,
            (None, true) => COMMITTED,
            (None, false) => 0,
        };
        let handed = (bits & (ARMED | PARITY | ENDING)) ^ PARITY | HANDED | kind | armed;
        bits & (ARMED | DISARMING | LOCKED) == ARMED
            && self
                .state
                // ORDERING: Release, pairs with the Acquire of `accept`, of `begin_disarm`, and of
                // `lock` in `disarm`: the message, its origin, the options and the waiter are
                // visible to the receiver. On failure Relaxed: nothing was published, and the
                // request queues.
                .compare_exchange(bits, handed, Ordering::Release, Ordering::Relaxed)
                .is_ok()
    }

    /// Returns whether the request is committed, so that the caller cannot take it back.
    #[inline]
    pub(crate) fn is_committed(&self) -> bool {
        // ORDERING: Relaxed. Only this end sets the two bits, so it sees at least its own exchange.
        // If it misses that `publish` has cleared them, `DirectHandoff::uncommit` finds under the
        // lease that the request has been accepted.
        self.state.load(Ordering::Relaxed) & (HANDED | COMMITTED) == HANDED | COMMITTED
    }

    /// Makes a committed request one that the caller can take back.
    ///
    /// # Safety
    /// This end has sent the slot. The caller of this function has the lease of the handoff that
    /// watches the slot, and the request has not been accepted.
    pub(crate) unsafe fn uncommit(&self) {
        // ORDERING: Relaxed, as the exchange publishes no data. The lease orders it with `accept`,
        // and as a read-modify-write it continues the release sequence of `hand_over`.
        self.exchange(Ordering::Relaxed, |bits| Some(bits & !COMMITTED));
    }

    /// Takes back a request that was handed over. Returns false if there is none, or if it is
    /// committed.
    ///
    /// # Safety
    /// This end has sent the slot.
    pub(crate) unsafe fn take_back(&self) -> bool {
        // The request does not count as a turn, so this toggles `PARITY` back: the next request
        // gets the same parity.
        let step = |bits| {
            (bits & (HANDED | COMMITTED) == HANDED).then_some((bits & !(HANDED | TIMED)) ^ PARITY)
        };
        // ORDERING: Acquire, which nothing depends on: no other thread has touched the contents of
        // the slot between the `hand_over` of this end and this exchange. If `accept` exchanges the
        // bits too, the first of the two exchanges has the request.
        self.exchange(Ordering::Acquire, step).is_some()
    }

    /// Arms the slot: the handoff begins to watch it. Returns the parity of the last request that
    /// was handed over in it.
    ///
    /// # Safety
    /// The caller of this function has the channel's lock, the lease of its handoff, which watches
    /// no other slot, and the server's end of this slot.
    pub(crate) unsafe fn arm(&self) -> Parity {
        let step = |bits: u32| Some((bits | ARMED) & !DISARMING);
        // ORDERING: Relaxed, as the exchange publishes no data: a caller that sees `ARMED` reads
        // nothing else of the handoff's, and its request comes with the Release of `hand_over`.
        let bits = self.exchange(Ordering::Relaxed, step);
        Parity(bits.unwrap_or(0) & PARITY)
    }

    /// Announces that the handoff will disarm the slot: no more requests are handed over.
    ///
    /// # Safety
    /// The caller of this function has the channel's lock, and the channel's handoff watches the
    /// slot.
    pub(crate) unsafe fn begin_disarm(&self) {
        // ORDERING: Acquire, pairs with the Release of `hand_over`. A receiver that gave back the
        // lease before the request that is found here did so before that request was handed over:
        // it gives back the lease only under the channel's lock, or after it has accepted the
        // request before (invariant 2 of the handoff), whose outcome the caller has seen. So
        // `DirectHandoff::disarm`, which tries to get the lease next, sees that it is free. Without
        // the pairing its exchange could fail on an old value.
        self.exchange(Ordering::Acquire, |bits| Some(bits | DISARMING));
    }

    /// Returns whether there is a request to [`accept`](Self::accept), if `last` is the parity of
    /// the last one that was accepted.
    #[inline]
    pub(crate) fn has_request(&self, last: Parity) -> bool {
        // ORDERING: Relaxed, as `accept` decides, or `disarm` under `LOCKED`.
        is_handed(self.state.load(Ordering::Relaxed), last)
    }

    /// Takes the request that was handed over, if there is one. Without the channel's lock it takes
    /// only one that has no deadline. Returns its parity, and the ending of the request before,
    /// which the caller of this function counts.
    ///
    /// # Safety
    /// The caller of this function has the lease of the handoff that watches the slot, and the
    /// channel's lock if `locked`.
    #[inline]
    pub(crate) unsafe fn accept(
        &self,
        last: Parity,
        locked: bool,
    ) -> Option<(Parity, Option<Ending>)> {
        // ORDERING: Acquire, pairs with the Release of `hand_over`: the message, its origin, the
        // options and the waiter are visible. A committed request is taken by this load alone.
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
            // ORDERING: Acquire, pairs with the Release of `hand_over`, for the same data.
            bits = self.exchange(Ordering::Acquire, step)?;
        }
        Some((Parity(bits & PARITY), ending(bits)))
    }

    /// Returns how the last request ended, if that has not been counted.
    pub(crate) fn uncounted(&self, last: Parity) -> Option<Ending> {
        // ORDERING: Relaxed, as this is a number for the statistics and no data goes with it.
        uncounted(self.state.load(Ordering::Relaxed), last)
    }

    /// Disarms the slot: the handoff stops watching it. If there is a request and `unless_handed`
    /// is true, the slot stays armed and this returns `None`. Otherwise returns what was found, and
    /// the ending of the last request, which the caller of this function counts.
    ///
    /// # Safety
    /// The caller of this function has the channel's lock and the lease of its handoff, which
    /// watches the slot. Afterwards the handoff must not touch the slot, unless this found a
    /// request or an orphan.
    pub(crate) unsafe fn disarm(
        this: NonNull<Self>,
        last: Parity,
        unless_handed: bool,
    ) -> Option<(Disarmed, Option<Ending>)> {
        // SAFETY: invariant 8: the slot is alive while it is `ARMED`.
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
        // SAFETY: the slot is alive until `ARMED` is cleared (invariant 8), and this function has
        // `LOCKED`. By invariant 6 the handoff makes no access after this store, unless it has the
        // entry or, of an orphan, the slot.
        unsafe {
            Self::unlock_for_good(this, bits & !(ARMED | DISARMING | HANDED | TIMED | ENDING));
        }
        Some((found, uncounted(bits, last)))
    }

    /// Leaves it to the handoff to free the slot. Returns false if the slot is unarmed: then only
    /// its owner can reach it.
    ///
    /// # Safety
    /// The caller of this function owns the slot alone. If this returns true, it has given the slot
    /// up.
    pub(crate) unsafe fn leave_to_handoff(this: NonNull<Self>) -> bool {
        // SAFETY: invariant 8: its owner has not freed the slot. The reference is to the atomic
        // alone, and `this` is a pointer, for the reason given at `unlock_for_good`.
        let state = unsafe { &(*this.as_ptr()).state };
        let mut looks = 0;
        loop {
            // ORDERING: Acquire, pairs with the Release store of `disarm` (`unlock_for_good`), the
            // last access of the handoff (invariant 6): it happens before the owner frees the slot.
            let bits = state.load(Ordering::Acquire);
            if bits & ARMED == 0 && bits & LOCKED == 0 {
                return false;
            }
            // ORDERING: Release, pairs with the Acquire of `lock` in `disarm`: all that the owner
            // did with the slot happens before the handoff frees it. On failure Relaxed, as the
            // loop loads the bits again.
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
