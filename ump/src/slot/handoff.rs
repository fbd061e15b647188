//! A slot in a direct handoff: the caller hands its next request over in the slot itself, and a receiver that watches the slot takes it from there.

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
