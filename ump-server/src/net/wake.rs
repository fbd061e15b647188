//! The hand-over between a loop that sleeps in its selector and the threads that wake it.
//!
//! ```text
//!           announce_sleep                wake: signals
//!   AWAKE ─────────────────▶ SLEEPING ───────────────────┐
//!    ▲  │                       │                        ▼
//!    │  │ wake: no signal       │                    NOTIFIED ◀─┐ wake: no signal
//!    │  └───────────────────────┼───────────────────▶  │  └────┘
//!    │                          │ woke_up              │ woke_up, announce_sleep
//!    └──────────────────────────┴──────────────────────┘
//! ```
//!
//! A signal is a system call: one write to an `eventfd`. So a loop that is awake costs its wakers
//! one atomic swap, and a loop that sleeps costs the first of them one system call.
//!
//! # Invariants
//!
//! 1. Only the loop moves the state to `AWAKE` or `SLEEPING`. Each time that it leaves `NOTIFIED`
//!    it looks at all its sources again before it sleeps.
//! 2. Whoever changes a source calls `wake` after the change. So either the loop sees the change
//!    when it looks after `NOTIFIED`, or the state was `SLEEPING` and the signal ends the sleep.
//! 3. A signal that is given before the sleep begins ends the sleep immediately: the selector keeps
//!    it.

#![allow(unreachable_pub, reason = "public in models only")]

use crate::sync::{AtomicU64, Ordering};

/// The loop looks at its sources.
const AWAKE: u64 = 0;
/// The loop sleeps or is about to: whoever changes a source has to signal.
const SLEEPING: u64 = 1;
/// A source has changed since the loop looked at all of them.
const NOTIFIED: u64 = 2;

/// Ends the sleep of a loop in its selector.
pub trait Signal {
    /// Ends the current sleep, or the next one if the loop does not sleep yet.
    fn signal(&self);
}

/// The state of a loop that sleeps in a selector, with the signal that ends its sleep.
#[derive(Debug)]
pub struct WakeState<S> {
    state: AtomicU64,
    signal: S,
}

impl<S: Signal> WakeState<S> {
    /// Creates the state of a loop that is awake.
    pub fn new(signal: S) -> Self {
        Self {
            state: AtomicU64::new(AWAKE),
            signal,
        }
    }

    /// Makes the loop look at its sources again. To be called after the change of a source.
    #[inline]
    pub fn wake(&self) {
        // ORDERING: Release pairs with the Acquire of `announce_sleep` and `woke_up`: the loop
        // that leaves `NOTIFIED` sees the change of the source. Acquire: if several threads wake,
        // the last swap publishes the changes of the earlier ones as well.
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == SLEEPING {
            self.signal.signal();
        }
    }

    /// Announces the sleep of the loop, which has found nothing in its sources. Returns false if a
    /// source has changed meanwhile: then the loop does not sleep, but looks again.
    #[inline]
    #[must_use = "a loop that was notified must not sleep"]
    pub fn announce_sleep(&self) -> bool {
        // ORDERING: Acquire on both outcomes pairs with the Release of `wake`. On failure the
        // state is `NOTIFIED`, and `woke_up` reads it again.
        let announced =
            self.state
                .compare_exchange(AWAKE, SLEEPING, Ordering::AcqRel, Ordering::Acquire);
        if announced.is_err() {
            self.woke_up();
        }
        announced.is_ok()
    }

    /// Returns whether a source has changed since the loop looked at all of them. It is a hint: the
    /// loop has to call `announce_sleep` before it sleeps.
    #[inline]
    pub fn is_notified(&self) -> bool {
        // ORDERING: Relaxed: a hint.
        self.state.load(Ordering::Relaxed) == NOTIFIED
    }

    /// Ends the sleep, for whatever reason. From now on the loop looks at its sources.
    #[inline]
    pub fn woke_up(&self) {
        // ORDERING: Acquire pairs with the Release of `wake`: the loop sees what the wakers have
        // changed before.
        self.state.swap(AWAKE, Ordering::AcqRel);
    }

    /// Returns the signal.
    pub fn signal(&self) -> &S {
        &self.signal
    }
}
