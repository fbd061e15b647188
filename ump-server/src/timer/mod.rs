//! Timers of a loop: one-shot and periodic, with cancel and reschedule, for millions of timers.
//!
//! [`Timers`] arms timers, on any thread. [`Due`] returns the due timers, in the loop. Both share a
//! table: a heap ordered by the exact deadline, behind a lock that is held for one operation. (Why
//! not a timing wheel: see below.)
//!
//! # No wake-up is lost
//!
//! Before the loop sleeps, [`Due::sleep_until`] announces when the loop will look at its timers
//! again. It does so in the critical section in which it reads the next deadline. A thread that
//! arms an earlier timer sees that in the critical section in which it arms the timer. It withdraws
//! the announcement, and then calls `wake`. The call ends the sleep even if it precedes the sleep.
//!
//! ```text
//!              nothing is due; or sleep_until             cancelled, rescheduled: it may be too early
//!   withdrawn ─────────────────────────────► exact ─────────────────────────────────────► doubtful
//!    ▲     ▲   a round begins;                 │  ◄─────────────────────────────────────────  │
//!    │     └── something earlier is armed, ────┘      sleep_until; a look, and nothing is due │
//!    │         then wake                                                                      │
//!    └────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! While the announcement is exact, which an atomic flag says, the loop takes no lock: neither to
//! see that no timer is due yet, nor before it sleeps. The announcement stays exact while requests
//! are handled. So a handler that arms an earlier timer wakes its own loop, once, without effect. A
//! doubtful announcement makes no timer late; a loop that is asleep then wakes up once for nothing.
//!
//! # A heap and not a wheel
//!
//! Hierarchical timing wheels (Varghese and Lauck, 1987) arm and cancel in constant time, whatever
//! the number of timers. But when a slot of a coarse level comes due, all its timers move down at
//! once. Of a million timers within a minute, 280,000 move, which takes 8 ms. Meanwhile the loop
//! stands still, and every thread that arms a timer waits for the lock. With a heap no look takes
//! longer than 0.1 ms, and the heap knows the exact next deadline and the exact order.
//!
//! The cost: among a million timers, to cancel one and arm another takes about 440 ns instead of
//! 180 if it is a random timer, and 140 instead of 30 if it is the oldest. To arm a timer costs the
//! same, and so does a timer that comes due. The measurements, with tokio's wheels among them, are
//! in `benches/results/timers.md`.

mod due;
mod handle;
pub(crate) mod heap;
mod periodic;
mod shared;
pub(crate) mod slab;
mod table;
pub(crate) mod tick;

pub use self::{
    due::Due,
    handle::Timers,
    periodic::{Missed, Periodic},
    table::TimerId,
};

use crate::{Clock, sync::Arc};

/// Creates the two ends of a loop's timers.
///
/// `wake` has to wake the loop. It is called when a timer is armed that is due before the loop
/// would look at its timers. The call is on the thread that arms the timer, which may be the loop's
/// own, and not under a lock. It must not block. See [`Due::sleep_until`].
pub fn timers<T>(clock: Clock, wake: impl Fn() + Send + Sync + 'static) -> (Timers<T>, Due<T>) {
    let shared = Arc::new(shared::Shared::new(clock, Box::new(wake)));
    (Timers::new(Arc::clone(&shared)), Due::new(shared))
}
