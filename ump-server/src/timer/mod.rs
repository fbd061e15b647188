//! Timers of a loop: one-shot and periodic, cancelled and rescheduled, by the million.
//!
//! [`Timers`] arms them, in any thread; [`Due`] hands them out, in the loop. Both share a table: a heap ordered by the exact deadline (why not a
//! wheel: see below), behind a lock that is held for one operation.
//!
//! # No wake-up is lost
//!
//! Before the loop sleeps it announces when it will look again ([`Due::sleep_until`]), in the critical section in which it looks what comes next. Whoever arms
//! something earlier finds that out in the critical section in which it does so, withdraws the announcement, and then calls `wake`. That ends the
//! sleep even if it comes before it.
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
//! While the announcement is exact, which an atomic says, the loop takes no lock: not to see that nothing is due yet, nor before it sleeps. It stays exact
//! while requests are handled, so a handler that arms something earlier wakes its own loop, once, to no effect. By a doubtful one nobody comes late; a loop that is asleep
//! then wakes up once for nothing.
//!
//! # A heap and not a wheel
//!
//! Hierarchical timing wheels (Varghese and Lauck, 1987) arm and cancel in constant time, whatever the number of timers. But when a slot of a coarse
//! level comes due, all its timers move down at once: of a million timers within a minute 280,000, which takes 8 ms, while the loop stands still and whoever
//! arms a timer waits for the lock. With a heap no look takes longer than 0.1 ms, and it knows the exact next deadline and the exact order.
//!
//! What it costs: among a million timers, to cancel one and arm another takes about 440 ns instead of 180 if it is any of them, 140 instead of 30 if it is
//! the oldest; to arm costs the same, and so does coming due. The measurements, beside tokio's wheels too, are in `benches/results/timers.md`.

mod due;
mod handle;
mod heap;
mod periodic;
mod shared;
mod slab;
mod table;
mod tick;

pub use self::{
    due::Due,
    handle::Timers,
    periodic::{Missed, Periodic},
    table::TimerId,
};

use crate::{Clock, sync::Arc};

/// Makes the two ends of a loop's timers.
///
/// `wake` has to wake the loop: it is called when something is armed that is due before the loop would look, on the thread that arms it (which may be the
/// loop's own), not under a lock. It must not block. See [`Due::sleep_until`].
pub fn timers<T>(clock: Clock, wake: impl Fn() + Send + Sync + 'static) -> (Timers<T>, Due<T>) {
    let shared = Arc::new(shared::Shared::new(clock, Box::new(wake)));
    (Timers::new(Arc::clone(&shared)), Due::new(shared))
}
